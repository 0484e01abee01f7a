"""S8: a Produce request arrives when its transaction was aborted. It joins no later transaction of
its id and leaves none hanging: the abort has raised the producer epoch, and the broker refuses it.
"""
# CTEST: TIMEOUT=240
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.integration import documents
from tests.integration.documents import kafka_wire
from tests.proxy import frames, proxied
from tests.proxy.proxy import HOLD, HOLD_AND_CUT, REPLY, REQUEST
from tests.support import harness
import kafka_txn
import records

RECOVERING = "msg=recovering"


class Late:
    """A worker in the middle of a transaction, of which one Produce has not reached the broker."""

    def __init__(self, run, action=HOLD):
        self.run = run
        self.id = f"{documents.app_of(run.t)}-p0_3-0"
        self.worker = run.started()
        self.ended = run.notes(kind=REPLY)
        self.rule = run.proxy.rule(REQUEST, "Produce", action)
        run.feed(500)
        self.topic, self.partition, self.batch = frames.produced(self.rule.wait())
        self.producer = frames.producer(self.rule.frames[0])

    def transaction(self):
        return kafka_txn.describe(self.run.watch.client, self.id)

    def refused(self):
        """The Produce arrives, and the broker refuses it."""
        answer = frames.error(self.rule.release())
        assert answer == frames.INVALID_PRODUCER_EPOCH, f"the late Produce was answered {answer}"


class Open:
    """The first transaction of the next producer epoch that has outputs where the late ones belong,
    kept open before it ends. Made before it can begin."""

    def __init__(self, late):
        self.late = late
        self.acked = late.run.notes("Produce", REPLY, where=self._is_same_place)
        self.end = late.run.proxy.rule(REQUEST, "EndTxn", HOLD, where=lambda request: (
            self._is_newer(request) and self.acked.frames))

    def _is_newer(self, request):
        return frames.producer(request) > self.late.producer

    def _is_same_place(self, reply):
        topic, partition, _ = frames.produced(reply.request)
        return (self._is_newer(reply.request) and frames.error(reply) == frames.NONE
                and (topic, partition) == (self.late.topic, self.late.partition))

    def wait(self):
        """Until it is open, with its outputs: the last batch of those."""
        self.end.wait()
        now = self.late.transaction()
        assert now.state == "Ongoing", f"no transaction is open: {now}"
        return frames.produced(self.acked.frames[-1].request)[2]

    def go_on(self):
        assert frames.error(self.end.release()) == frames.NONE


def is_decided(run):
    """Whether readers of committed records see the outputs up to their end."""
    return run.watch.ends(run.sink) == run.watch.ends(run.sink, kafka_wire.READ_COMMITTED)


def test_S8_after_the_timeout(t):
    """The worker is dead, and nobody has taken over: the broker's own abort has raised the epoch.

    COVERS: S8 F9 I1 I2 I6 I9
    """
    with proxied.scene(t) as run:
        late = Late(run)
        late.worker.kill9()
        t.wait_until(lambda: late.transaction().state == "CompleteAbort", "the broker gives it up")
        t.wait_until(lambda: is_decided(run), "the abort is in the outputs")
        before = run.watch.ends(run.sink)
        late.refused()
        assert run.watch.ends(run.sink) == before, "the broker has appended the late Produce"
        assert is_decided(run), "the late Produce has left a transaction open"
        run.finish()


def test_S8_in_the_successors_transaction(t):
    """COVERS: S8 F1 I1 I2 I6 I7"""
    with proxied.scene(t) as run:
        late = Late(run)
        late.worker.kill9()
        following = Open(late)
        worker = run.worker()
        following.wait()
        late.refused()
        following.go_on()
        run.finish(worker)


def test_S8_in_the_next_transaction_of_the_same_process(t):
    """The worker waits for the reply, is timed out, and recovers.

    COVERS: S8 F9 I1 I2 I6
    """
    with proxied.scene(t) as run:
        late = Late(run)
        following = Open(late)
        late.worker.wait_stderr(RECOVERING)
        following.wait()
        late.refused()
        following.go_on()
        run.finish(late.worker)


def test_S8_behind_its_retry(t):
    """The connection is lost, and the same records are sent again and committed: nothing is aborted,
    and the first Produce arrives in the next transaction. The renewal has raised the epoch.

    COVERS: S8 S1 I1 I2
    """
    with proxied.scene(t) as run:
        late = Late(run, HOLD_AND_CUT)
        following = Open(late)
        assert frames.error(late.ended.wait()) == frames.NONE
        run.feed(500)
        following.wait()
        late.refused()
        following.go_on()
        run.finish(late.worker)
        assert RECOVERING not in late.worker.stderr(), late.worker.stderr()[-3000:]


def test_S8_a_late_record_would_be_found(t):
    """The control: the late records as the broker would have them if it took them for the successor's.
    The judge finds them; else the tests above would prove nothing."""
    with proxied.scene(t) as run:
        late = Late(run)
        late.worker.kill9()
        following = Open(late)
        worker = run.worker()
        last = following.wait()
        batch = records.encode_batch(late.batch.records(), 0, last.producer_id, last.producer_epoch,
                                     last.base_sequence + last.count, transactional=True)
        kafka_txn.produce(run.watch.client, late.topic, late.partition, batch, late.id)
        following.go_on()
        run.wait_done(worker)
        worker.terminate()
        try:
            run.judge()
        except AssertionError as error:
            assert "check: I2 " in str(error), f"not what was expected: {error}"
            return
        raise AssertionError("the judge found nothing, although records are there twice")


harness.main(globals())
