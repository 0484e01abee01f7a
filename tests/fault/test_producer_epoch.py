"""S24: a transactional id has used up the epochs of its producer id: 32,767 is the last. The broker
then gives it a new producer id, and nothing is lost, nothing twice, and nothing late counts.

Each owner of an id takes one epoch more, and so does a renewal, and an abort that the broker makes;
here an owner that does nothing else takes the first 32,760, in some seconds.
"""
# CTEST: TIMEOUT=240
import pathlib
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.fault import scenario
from tests.integration import documents
from tests.proxy import frames, proxied
from tests.proxy.proxy import HOLD, HOLD_AND_CUT, REPLY, REQUEST
from tests.support import harness
import kafka_txn

LAST = kafka_txn.PRODUCER_EPOCH_MAX - 1  # With it or above the next owner is given a new id.


class Producer:
    """The transactional id of a run's only shard, as its coordinator sees it."""

    def __init__(self, run):
        self.client = run.watch.client
        self.name = f"{documents.app_of(run.t)}-p0_3-0"

    def raise_to(self, epoch):
        """Without a worker: the next one's first epoch is one above."""
        kafka_txn.raise_epoch(self.client, self.name, epoch)

    def now(self):
        return kafka_txn.describe(self.client, self.name)

    def expect(self, state, epoch, producer_id=None):
        """What it is; producer_id: the one that it must not be any more."""
        now = self.now()
        print(f"     {now}", flush=True)
        assert (now.state, now.producer_epoch) == (state, epoch), f"not {state}, {epoch}: {now}"
        assert now.producer_id != producer_id, f"the producer id is the old one: {now}"
        return now.producer_id


def running(t):
    proxied.shared_proxy()  # Its broker is that of all cases of this file.
    return scenario.Scenario(t, "running")


def killed_across(t, point, epoch):
    """kill -9 with a transaction open in this epoch. Its abort takes one epoch more, and then the
    next owner begins under a new producer id; it is killed as well."""
    run = running(t)
    producer = Producer(run)
    run.feed(scenario.RECORDS)
    run.crash(point, 5)
    producer.raise_to(epoch - 1)
    run.crash(point, 5)
    old = producer.expect("Ongoing", epoch)
    run.crash(point, 5)
    producer.expect("Ongoing", 0, old)
    run.finish()


def test_S24_killed_with_the_epoch_before_the_last(t):
    """COVERS: S24 I1 I2 I4 I5 I6 I8 I9"""
    killed_across(t, "K7", LAST - 1)


def test_S24_killed_with_the_last_epoch(t):
    """COVERS: S24 I1 I2 I4 I5 I6 I8 I9"""
    killed_across(t, "K7", LAST)


def test_S24_timed_out_with_the_last_epoch(t):
    """The broker's abort takes the very last epoch, 32,767. The worker lives, is fenced by nobody,
    and goes on under a new producer id.

    COVERS: S24 F9 I1 I2 I9
    """
    run = running(t)
    producer = Producer(run)
    run.feed(scenario.RECORDS)
    run.crash("K7", 5)
    producer.raise_to(LAST - 1)
    worker = run.worker(stop_at="K7:5")
    t.wait_until(lambda: is_stopped(worker.pid), "the worker has stopped itself")
    run.demand_in_flight("K7:5, paused")
    old = producer.expect("Ongoing", LAST)
    t.wait_until(lambda: producer.now().state == "CompleteAbort", "the broker gives it up")
    assert producer.expect("CompleteAbort", kafka_txn.PRODUCER_EPOCH_MAX) == old
    worker.signal(signal.SIGCONT)
    run.wait_done(worker)
    assert "msg=recovering" in worker.stderr(), "it has not noticed that its transaction is gone"
    producer.expect("CompleteCommit", 0, old)
    run.finish(worker)


def test_S24_renewed_with_the_last_epoch(t):
    """A tainted producer is renewed under a new producer id. The request that tainted it arrives in
    the middle of the next transaction of the same transactional id, and then the worker is killed:
    if it counts, outputs without their offsets are committed.

    COVERS: S24 S1 I1 I2
    """
    with proxied.scene(t) as run:
        producer = Producer(run)
        run.started().terminate()
        producer.raise_to(LAST - 1)
        worker = run.started()
        old = producer.expect("CompleteCommit", LAST)
        late = run.proxy.rule(REQUEST, "EndTxn", HOLD_AND_CUT)
        ends = run.notes(kind=REPLY)
        run.feed(1000)
        late.wait()
        run.wait_done(worker)
        assert frames.error(ends.wait()) == frames.NONE
        offsets = run.proxy.rule(REQUEST, "AddOffsetsToTxn", HOLD)
        before = sum(run.watch.ends(run.sink).values())
        run.feed(500)
        offsets.wait()
        t.wait_until(lambda: sum(run.watch.ends(run.sink).values()) > before,
                     "the broker has outputs of the next epoch")
        producer.expect("Ongoing", 0, old)
        answer = frames.error(late.release())
        worker.kill9()
        run.finish()
        assert answer == frames.INVALID_PRODUCER_ID_MAPPING, f"it was answered {answer}"


def is_stopped(pid):
    state = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return state == "T"


harness.main(globals())
