"""F25: rights that are missing at the start, or withdrawn and given back while a worker runs."""
# CTEST: TIMEOUT=240
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.integration import acls, documents
from tests.integration.secured import USER, canary, feed, last_line, secret_file, security
from tests.support import harness


def denied(t, source, kind, name, operation):
    """A worker that lacks a right from the first start on ends, and says which kind of right."""
    broker = t.private_broker(secured=(USER, canary(t)), settings=acls.SETTINGS)
    for topic in (source, t.topic_name("out")):
        t.kafka.create(topic, 4)
    feed(t, source)
    text = documents.running(t, source, t.topic_name("out"))
    text.update(security(broker.sasl_bootstrap, secret_file(t, canary(t))))
    acls.deny(broker.bootstrap, USER, kind, name, operation)
    path = documents.write(t, text)
    worker = documents.worker(t, path)
    worker.expect_exit(harness.EXIT_FAILURE, limit_s=60)
    assert "E_AUTHORIZATION" in last_line(worker), worker.stderr()[-3000:]
    assert sum(value.offset if value else 0 for value in
               t.kafka.offsets(documents.app_of(t), source).values()) == 0, "nothing is committed"
    acls.allow(broker.bootstrap, USER, kind, name, operation)
    worker = documents.worker(t, path)
    t.wait_until(lambda: len(documents.values(t, t.topic_name("out"))) == 40,
                 "all is there, once it may")
    worker.terminate()


def test_F25_no_right_to_write_the_output(t):
    """COVERS: F25"""
    denied(t, t.topic_name("in"), acls.TOPIC, t.topic_name("out"), acls.WRITE)


def test_F25_no_right_to_commit(t):
    """COVERS: F25"""
    denied(t, t.topic_name("in"), acls.GROUP, documents.app_of(t), acls.READ)


def test_F25_no_right_to_read_the_input(t):
    """COVERS: F25"""
    denied(t, t.topic_name("in"), acls.TOPIC, t.topic_name("in"), acls.READ)


def test_F25_rights_withdrawn_and_given_back(t):
    """While it runs it goes on trying, and loses nothing.
    COVERS: F25 I1 I2"""
    broker = t.private_broker(secured=(USER, canary(t)), settings=acls.SETTINGS)
    source, sink = t.topic_name("in"), t.topic_name("out")
    for topic in (source, sink):
        t.kafka.create(topic, 4)
    text = documents.running(t, source, sink)
    text.update(security(broker.sasl_bootstrap, secret_file(t, canary(t))))
    worker = documents.worker(t, documents.write(t, text))
    for round_, (kind, name, operation) in enumerate((
            (acls.TOPIC, sink, acls.WRITE), (acls.GROUP, documents.app_of(t), acls.READ),
            (acls.TOPIC, source, acls.READ))):
        feed(t, source)
        t.wait_until(lambda: len(documents.values(t, sink)) == 40 * (2 * round_ + 1), "some work")
        acls.deny(broker.bootstrap, USER, kind, name, operation)
        told = worker.stderr().count("E_AUTHORIZATION")
        feed(t, source)
        t.wait_until(lambda: worker.stderr().count("E_AUTHORIZATION") > told or
                     not worker.running(), "it meets the refusal")
        assert worker.running(), worker.stderr()[-3000:]
        acls.allow(broker.bootstrap, USER, kind, name, operation)
        t.wait_until(lambda: len(documents.values(t, sink)) == 40 * (2 * round_ + 2),
                     "all is there, once it may again")
    worker.terminate()


harness.main(globals())
