"""Secrets, TLS and SASL: what works, what is refused by name, and that no secret is in any output.

The passwords are canaries: random words that are looked for in everything a process of ours has
written, the state directory included.
"""
# CTEST: TIMEOUT=400
import json
import pathlib
import resource
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.integration import documents
from tests.integration.secured import USER, canary, feed, last_line, secret_file, security
from tests.support import harness


def assert_no_secret(t, *secrets):
    """In no output, no log and no file of the case, but for those that hold the secret itself."""
    looked = 0
    for path in t.folder.rglob("*"):
        if not path.is_file() or path.name == "password":
            continue
        content = path.read_bytes()
        looked += 1
        for secret in secrets:
            assert secret.encode() not in content, f"a secret stands in {path}"
    assert looked >= 2, "nothing was written at all"


def certificate(t):
    """A certificate of a worker, its own authority; its key is encrypted. Returns both files."""
    files = t.folder / "cert.pem", t.folder / "key.pem"
    t.start("openssl", "req", "-x509", "-newkey", "rsa:2048", "-out", files[0], "-keyout", files[1],
            "-days", "2", "-subj", "/CN=worker", "-passout",
            f"pass:{canary(t, 'key')}").expect_exit(harness.EXIT_OK)
    return files


def test_F26_sasl_and_tls_from_end_to_end(t):
    """First over SASL alone, then over TLS too, on the same state: every client of a worker.
    COVERS: F26"""
    broker = t.private_broker(secured=(USER, canary(t)))
    source, sink = t.topic("in"), t.topic("out")
    path = secret_file(t, canary(t) + "\n")
    for round_, more in enumerate((security(broker.sasl_bootstrap, path),
                                   security(broker.tls_bootstrap, path, broker.ca))):
        feed(t, source)
        text = documents.running(t, source, sink, bounded=True)
        text.update(more)
        worker = documents.worker(t, documents.write(t, text, f"round-{round_}.yaml"), "-v")
        worker.expect_exit(harness.EXIT_OK, limit_s=60)
        rows = [json.loads(value) for value in documents.values(t, sink)]
        assert len(rows) == 40 * (round_ + 1), f"round {round_}: {len(rows)} rows"
        assert max(row["n"] for row in rows) == round_ + 1
    assert_no_secret(t, canary(t))


def test_F26_a_certificate_of_the_worker(t):
    """With it and its key's password all is well; without it, or with another password, it is not.
    COVERS: F26"""
    cert, key = certificate(t)
    broker = t.private_broker(secured=(USER, canary(t)), client_ca=cert)
    source, sink = t.topic("in"), t.topic("out")
    feed(t, source)
    text = documents.running(t, source, sink, bounded=True)
    text.update(security(broker.tls_bootstrap, secret_file(t, canary(t)), broker.ca))
    path = documents.write(t, text, "without.yaml")
    worker = documents.worker(t, path)
    worker.expect_exit(harness.EXIT_FAILURE, limit_s=90)
    assert "E_TLS" in last_line(worker), last_line(worker)
    text["kafka"]["tls"].update(cert=str(cert), key=str(key), key_password={"secret": "key_pw"})
    text["secrets"]["key_pw"] = {"env": "MR_TEST_KEY_PW"}
    path = documents.write(t, text)
    worker = documents.worker(t, path, env={"MR_TEST_KEY_PW": canary(t, "wrong")})
    worker.expect_exit(harness.EXIT_CONFIG)
    assert "ssl.key.location" in last_line(worker), last_line(worker)
    worker = documents.worker(t, path, env={"MR_TEST_KEY_PW": canary(t, "key")})
    worker.expect_exit(harness.EXIT_OK, limit_s=60)
    assert len(documents.values(t, sink)) == 40
    assert_no_secret(t, canary(t), canary(t, "key"), canary(t, "wrong"))


def test_F26_wrong_password(t):
    """COVERS: F26"""
    broker = t.private_broker(secured=(USER, canary(t)))
    source, sink = t.topic("in"), t.topic("out")
    feed(t, source)
    path = secret_file(t, canary(t, "wrong"))
    for bootstrap, ca in ((broker.sasl_bootstrap, None), (broker.tls_bootstrap, broker.ca)):
        text = documents.running(t, source, sink)
        text.update(security(bootstrap, path, ca))
        worker = documents.worker(t, documents.write(t, text), "-v")
        worker.expect_exit(harness.EXIT_FAILURE, limit_s=60)
        assert "E_AUTHENTICATION" in last_line(worker), last_line(worker)
        assert bootstrap in last_line(worker) and "kafka.sasl" in last_line(worker)
    assert t.kafka.offsets(documents.app_of(t), source)[0] is None, "nothing may be committed"
    assert_no_secret(t, canary(t), canary(t, "wrong"))


def test_F26_wrong_authority(t):
    """The broker's certificate is signed by nobody the worker trusts; and it has no other name.
    COVERS: F26"""
    broker = t.private_broker(secured=(USER, canary(t)))
    source, sink = t.topic("in"), t.topic("out")
    path = secret_file(t, canary(t))
    other = type(broker)(broker.install, "other", folder=t.folder / "other")
    other.folder.mkdir()
    other.make_certificate()
    host = broker.tls_bootstrap.replace("127.0.0.1", "localhost")
    for bootstrap, ca in ((broker.tls_bootstrap, other.ca), (host, broker.ca)):
        text = documents.running(t, source, sink)
        text.update(security(bootstrap, path, ca))
        worker = documents.worker(t, documents.write(t, text))
        worker.expect_exit(harness.EXIT_FAILURE, limit_s=90)
        assert "E_TLS" in last_line(worker), last_line(worker)
        assert "certificate" in last_line(worker) and "kafka.tls" in last_line(worker)
    assert_no_secret(t, canary(t))


def test_secrets_that_cannot_be_read(t):
    """Each is named, with what to do; without any of the content."""
    missing, written = t.folder / "missing", secret_file(t, canary(t), 0o640)
    empty = secret_file(t, "\n", name="empty")
    for where, words in (({"file": str(missing)}, [str(missing), "cannot be opened"]),
                         ({"file": str(written)}, [str(written), "mode 640", "chmod 600"]),
                         ({"file": str(empty)}, [str(empty), "is empty"]),
                         ({"env": "MR_NO_SUCH_VARIABLE"}, ["MR_NO_SUCH_VARIABLE", "not set"])):
        text = documents.document(t, {"topic": "in", "format": "json", "schema": {"x": "text"}},
                                  {}, {"out": {"from": "events", "topic": "out"}}, kafka=None)
        text.update(security("127.0.0.1:1", missing))
        text["secrets"]["pw"] = where
        path = documents.write(t, text)
        check = t.millrace("check", path)
        check.expect_exit(harness.EXIT_OK)  # A file is checked where there are no secrets.
        worker = documents.worker(t, path)
        worker.expect_exit(harness.EXIT_CONFIG)
        for word in ["E_SECRET", "<secret pw>", *words]:
            assert word in last_line(worker), f"'{word}' is not in: {last_line(worker)}"
    assert_no_secret(t, canary(t))


def test_I12_no_secret_in_any_output(t):
    """Of every verb, with every word librdkafka can say, and of a worker that nobody answers.
    COVERS: I12"""
    source = {"topic": "in", "format": "json", "schema": {"x": "text"}}
    sinks = {"out": {"from": "events", "topic": "out"}}
    for ca, form in ((None, "logfmt"), ("ca", "json")):
        text = documents.document(t, source, {}, sinks, kafka=None)
        text.update(security("127.0.0.1:1", secret_file(t, canary(t)), ca))
        if ca:
            cert, key = certificate(t)
            text["kafka"]["tls"] = {"ca": str(cert), "cert": str(cert), "key": str(key),
                                    "key_password": {"secret": "key_pw"}}
            text["secrets"]["key_pw"] = {"env": "MR_TEST_KEY_PW"}
        text["kafka"]["client"]["debug"] = "all"
        path = documents.write(t, text)
        environment = {"MR_TEST_KEY_PW": canary(t, "key")}
        for verb in ("check", "explain"):
            run = t.millrace(verb, path, env=environment)
            run.expect_exit(harness.EXIT_OK)
            if verb == "explain":
                assert "<secret pw>" in run.stdout(), run.stdout()
        worker = documents.worker(t, path, "-v", "--log-format", form, env=environment)
        worker.expect_exit(harness.EXIT_FAILURE, limit_s=60)
        assert "E_UNREACHABLE" in last_line(worker), last_line(worker)
        assert worker.stderr().count("librdkafka") > 5, "librdkafka said little: was debug on?"
    assert_no_secret(t, canary(t), canary(t, "key"))


def test_I12_a_literal_is_refused_and_not_shown(t):
    """COVERS: I12"""
    text = documents.document(t, {"topic": "in", "format": "json", "schema": {"x": "text"}},
                              {}, {"out": {"from": "events", "topic": "out"}}, kafka=None)
    text.update(security("127.0.0.1:1", "unused"))
    text["kafka"]["sasl"]["password"] = canary(t)
    for text["kafka"]["client"] in ({}, {"sasl.password": canary(t)}):
        path = documents.write(t, text, "password")  # The one file that holds it.
        for words in (["check"], ["check", "--format", "json"], ["explain"], ["run"]):
            run = t.millrace(*words, path)
            run.expect_exit(harness.EXIT_CONFIG)
            assert "M0720" in run.stdout() + run.stderr()
    assert_no_secret(t, canary(t))


def test_cores_are_off(t):
    """Also where the one who starts a worker allows them."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    broker = t.private_broker()
    source, sink = t.topic("in"), t.topic("out")
    worker = documents.worker(t, documents.write(t, documents.echo(t, source, sink)))
    worker.wait_stderr("running|started")
    limits = pathlib.Path(f"/proc/{worker.pid}/limits").read_text()
    line = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
    assert line.split()[-3:-1] == ["0", "0"], line
    worker.terminate()
    assert broker.pid


harness.main(globals())
