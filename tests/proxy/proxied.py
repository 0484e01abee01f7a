"""A scenario whose worker reaches the broker only through the proxy; the test and the checker do
not. The broker is one for all cases of a file, as its listener is advertised at the proxy's port.
"""
import atexit
import contextlib
import json
import os
import pathlib
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.fault import scenario
from tests.integration import documents
from tests.integration.documents import kafka_wire
from tests.proxy.proxy import NOTE, REQUEST, Proxy
from tests.support import harness

_shared = None


def shared_proxy():
    """The proxy of this file before its broker, which from now on is the cluster of every case."""
    global _shared
    if _shared is None:
        proxy = Proxy()
        broker = harness.kafka_service.Broker(harness.kafka_install.ensure(),
                                              f"proxied-{os.getpid()}", owned=True,
                                              proxy_port=proxy.port)
        atexit.register(_discard, broker)
        broker.start()
        os.environ.update(broker.environment())
        proxy.open(broker.proxied_port)
        _shared = proxy
    return _shared


def _discard(broker):
    broker.stop()
    shutil.rmtree(broker.folder, ignore_errors=True)


class Proxied(scenario.Scenario):
    """A Scenario behind the proxy."""

    def __init__(self, t, kind="running", **more):
        self.proxy = shared_proxy()
        super().__init__(t, kind, **more)
        self.change(lambda document: document["kafka"].update(brokers=[self.proxy.bootstrap]))

    def change(self, edit):
        document = json.loads(self.path.read_text())
        edit(document)
        documents.write(self.t, document, self.path.name)

    def started(self, count=2000, **more):
        """A worker that has committed `count` records: genesis, claim and some epochs lie behind
        it, and it waits for more."""
        worker = self.worker(**more)
        self.feed(count)
        self.wait_done(worker)
        return worker

    def notes(self, api="EndTxn", kind=REQUEST, where=None):
        return self.proxy.rule(kind, api, NOTE, times=None, where=where)


@contextlib.contextmanager
def scene(t, *words, **more):
    """A Proxied of this case. The proxy is as new afterwards, and its story is kept of a failure."""
    run = Proxied(t, *words, **more)
    try:
        yield run
    except BaseException:
        t.write("proxy.txt", run.proxy.told())
        raise
    finally:
        run.proxy.reset()


def count(worker, words):
    """How often the worker has logged the words."""
    return worker.stderr().count(words)


def recovered_epochs(worker, times):
    """The epochs that the worker's first recoveries rolled to: `times` of them, waited for."""
    found = worker.wait_stderr("(?s)" + r"msg=recovered [^\n]*?epoch=(\d+).*" * times)
    return [int(epoch) for epoch in found.groups()]


def undone(run):
    """How many output records were written and belong to no committed transaction."""
    sizes = [sum(map(len, documents.read(run.t, run.sink, isolation).values()))
             for isolation in (kafka_wire.READ_UNCOMMITTED, kafka_wire.READ_COMMITTED)]
    return sizes[0] - sizes[1]
