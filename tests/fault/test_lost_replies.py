"""F7, S1, S2, K8: a request or a reply of a transaction is lost, held or late, and nothing is lost,
nothing twice. The worker reaches the broker only through a proxy, which reports what it has done.
"""
# CTEST: TIMEOUT=240
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.proxy import frames, proxied
from tests.proxy.proxy import HOLD, HOLD_AND_CUT, LOSE, NOTE, REPLY, REQUEST
from tests.support import harness

RENEWED = "renewing a tainted producer"
RECOVERING = "msg=recovering"
TRANSACTION_APIS = ("AddPartitionsToTxn", "Produce", "AddOffsetsToTxn", "TxnOffsetCommit", "EndTxn")


def lose_each(t, kind):
    """One of each request of a transaction is lost with its connection. librdkafka tries again and
    says nothing; only the taint shows it, and the producer is renewed behind the commit."""
    with proxied.scene(t) as run:
        worker = run.started()
        ends = run.notes()
        for done, api in enumerate(TRANSACTION_APIS):
            rule = run.proxy.rule(kind, api, LOSE)
            run.feed(1000)
            rule.wait()
            run.wait_done(worker)
            t.wait_until(lambda: proxied.count(worker, RENEWED) == done + 1,
                         f"the producer is renewed after a lost {api} {kind}")
        run.feed(1000)
        run.wait_done(worker)
        assert RECOVERING not in worker.stderr(), worker.stderr()[-3000:]
        producers = sorted({frames.producer(frame) for frame in ends.frames})
        assert len(producers) == len(TRANSACTION_APIS) + 1, f"these ended transactions: {producers}"
        run.finish(worker)


def test_F7_replies_lost(t):
    lose_each(t, REPLY)


def test_F7_requests_lost(t):
    lose_each(t, REQUEST)


# ---- EndTxn is without an answer, and Kafka has decided one way or the other (S2, K8) ----

class Doubt:
    """A worker that has sent EndTxn for an epoch with input and hears no answer."""

    def __init__(self, run, kind, action, times=1):
        self.run = run
        self.worker = run.started()
        offsets = run.notes("TxnOffsetCommit")
        run.feed(100)
        run.wait_done(self.worker)
        self.decided = frames.epoch(offsets.frames[-1])
        self.producer = frames.producer(offsets.frames[-1])
        self.rule = run.proxy.rule(kind, "EndTxn", action, times=times, where=self._is_ours)
        run.feed(1000)
        self.rule.wait()
        self.doubtful = frames.epoch(offsets.frames[-1])
        assert self.doubtful > self.decided

    def _is_ours(self, frame):
        return frames.producer(frame.request or frame) == self.producer

    def expect(self, worker, is_committed, recoveries):
        """The worker rolls to the epoch in doubt, or to the one before; then it does the rest."""
        epochs = proxied.recovered_epochs(worker, recoveries)
        outcome = "committed, rolled forward" if is_committed else "not committed, done again"
        print(f"     epoch {self.doubtful} in doubt: {outcome}", flush=True)
        assert epochs[-1] == (self.doubtful if is_committed else self.decided), (
            f"rolled to epoch {epochs[-1]}; {self.decided} was committed, {self.doubtful} in doubt")
        self.run.feed(1000)
        self.run.finish(worker)
        undone = proxied.undone(self.run)
        assert (undone == 0) == is_committed, f"{undone} output records were written in vain"


def test_S2_reply_lost_until_the_deadline(t):
    """Committed, and the worker cannot know: it recovers, reads it from Kafka, redoes nothing."""
    with proxied.scene(t) as run:
        doubt = Doubt(run, REPLY, LOSE, times=None)
        doubt.worker.wait_stderr(RECOVERING + " .*MR_ERR_OUTCOME_UNKNOWN")
        doubt.expect(doubt.worker, is_committed=True, recoveries=2)


def test_S2_request_lost_until_the_deadline(t):
    with proxied.scene(t) as run:
        doubt = Doubt(run, REQUEST, LOSE, times=None)
        doubt.worker.wait_stderr(RECOVERING)
        doubt.expect(doubt.worker, is_committed=False, recoveries=2)


def test_K8_killed_with_its_reply_on_the_way(t):
    with proxied.scene(t) as run:
        doubt = Doubt(run, REPLY, HOLD)
        doubt.worker.kill9()
        doubt.expect(run.worker(), is_committed=True, recoveries=1)


def test_K8_killed_with_its_request_on_the_way(t):
    """The request arrives once the successor has taken over, and is refused."""
    with proxied.scene(t) as run:
        doubt = Doubt(run, REQUEST, HOLD)
        doubt.worker.kill9()
        worker = run.worker()
        proxied.recovered_epochs(worker, 1)
        assert frames.error(doubt.rule.release()) == frames.INVALID_PRODUCER_EPOCH
        doubt.expect(worker, is_committed=False, recoveries=1)


# ---- A request of epoch N arrives in N+1 (S1): the renewal gets it refused ----

def stray(run, worker, api):
    """A rule that holds a request of the worker's next epoch, whose retry has won by now."""
    rule = run.proxy.rule(REQUEST, api, HOLD_AND_CUT)
    ends = run.notes(kind=REPLY)
    run.feed(1000)
    rule.wait()
    run.wait_done(worker)
    ends.wait()
    assert frames.error(ends.frames[-1]) == frames.NONE
    return rule


def test_S1_late_EndTxn(t):
    """It arrives when the next epoch has outputs and no offsets, and then the worker is killed: had
    it committed, those outputs would be there twice."""
    with proxied.scene(t) as run:
        worker = run.started()
        late = stray(run, worker, "EndTxn")
        offsets = run.proxy.rule(REQUEST, "AddOffsetsToTxn", HOLD)
        before = sum(run.watch.ends(run.sink).values())
        run.feed(500)
        offsets.wait()
        t.wait_until(lambda: sum(run.watch.ends(run.sink).values()) > before,
                     "the broker has outputs of the next epoch")
        answer = frames.error(late.release())
        worker.kill9()
        run.finish()
        assert answer == frames.INVALID_PRODUCER_EPOCH, f"the late EndTxn was answered {answer}"
        assert RENEWED in worker.stderr()


def test_S1_late_TxnOffsetCommit(t):
    """It arrives behind the next epoch's own, so that it would win, and then the worker is killed:
    had it counted, its input would be read again."""
    with proxied.scene(t) as run:
        worker = run.started()
        late = stray(run, worker, "TxnOffsetCommit")
        end = run.proxy.rule(REQUEST, "EndTxn", HOLD)
        run.feed(500)
        end.wait()
        answer = frames.error(late.release())
        assert frames.error(end.release()) == frames.NONE
        worker.kill9()
        run.finish()
        assert answer == frames.INVALID_PRODUCER_EPOCH, (
            f"the late TxnOffsetCommit was answered {answer}")
        assert RENEWED in worker.stderr()


harness.main(globals())
