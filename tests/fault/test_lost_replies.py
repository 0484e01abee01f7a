"""F5-F7, S1, S2, S13, K8: a request or a reply of a transaction is lost, held or late, and nothing is lost,
nothing twice. The worker reaches the broker only through a proxy, which reports what it has done.
"""
# CTEST: TIMEOUT=240
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.integration import documents
from tests.proxy import frames, proxied
from tests.proxy.proxy import (HOLD, HOLD_AND_CUT, LOSE, NOTE, REPLY, REQUEST, TO_BROKER,
                               TO_CLIENT)
from tests.support import harness
import crc32c
import kafka_txn

RENEWED = "renewing a tainted producer"
RECOVERING = "msg=recovering"
TRANSACTION_APIS = ("AddPartitionsToTxn", "Produce", "AddOffsetsToTxn", "TxnOffsetCommit", "EndTxn")
SLOW_BYTES_PER_S = 200000


def lose_each(t, kind):
    """One of each request of a transaction is lost with its connection. librdkafka tries again and
    says nothing; only the taint shows it, and the producer is renewed behind the commit."""
    with proxied.scene(t) as run:
        worker = run.started()
        ends = run.notes()
        for done, api in enumerate(TRANSACTION_APIS):
            lose_one(run, kind, api)
            run.wait_done(worker)
            t.wait_until(lambda: proxied.count(worker, RENEWED) == done + 1,
                         f"the producer is renewed after a lost {api} {kind}")
        run.feed(500)
        run.wait_done(worker)
        assert RECOVERING not in worker.stderr(), worker.stderr()[-3000:]
        producers = sorted({frames.producer(frame) for frame in ends.frames})
        assert len(producers) == len(TRANSACTION_APIS) + 1, f"these ended transactions: {producers}"
        run.finish(worker)


def lose_one(run, kind, api):
    """Feeds an epoch of which this is lost, and no other request, as that would taint as well."""
    if api in ("AddPartitionsToTxn", "EndTxn"):  # Alone on their connection, or nearly so.
        rule = run.proxy.rule(kind, api, LOSE)
        run.feed(500)
        rule.wait()
        return
    acked = run.notes("Produce", REPLY)
    if api == "Produce":
        rule = run.proxy.rule(kind, api, LOSE)
        offsets = run.proxy.rule(REQUEST, "AddOffsetsToTxn", HOLD)
        run.feed(500)
        rule.wait()
        acked.wait(2 if kind == REPLY else 1)
        offsets.wait()
        offsets.release()
        return
    rule = run.proxy.rule(REQUEST, api, HOLD)
    run.feed(500)
    rule.wait()
    acked.wait()
    rule.lose(reaches_broker=kind == REPLY)


def test_F7_replies_lost(t):
    """COVERS: F7 I1 I2"""
    lose_each(t, REPLY)


def test_F7_requests_lost(t):
    """COVERS: F7 I1 I2"""
    lose_each(t, REQUEST)


def test_F7_offsets_lost_for_good(t):
    """Every TxnOffsetCommit of a producer is lost: librdkafka gives up, and the epoch is redone.
    COVERS: F7 F9"""
    with proxied.scene(t) as run:
        worker = run.started()
        lost = run.proxy.rule(REQUEST, "TxnOffsetCommit", LOSE, times=None, where=lambda frame: (
            frames.producer(frame) == frames.producer((lost.frames or [frame])[0])))
        run.feed(500)
        worker.wait_stderr(RECOVERING + ".*MR_ERR_TXN_ABORTED")
        run.finish(worker)


def no_commit_without_offsets(t, api):
    """A request of the offsets has no answer until the worker gives the epoch up; the connection
    stands, and for librdkafka the transaction is well. Nothing may end it: outputs would be
    committed without their offsets, and once more with them."""
    with proxied.scene(t) as run:
        worker = run.started()
        ends = run.notes()
        held = run.proxy.rule(REQUEST, api, HOLD, times=None, where=lambda frame: (
            frames.producer(frame) == frames.producer((held.frames or [frame])[0])))
        run.feed(500)
        worker.wait_stderr(RECOVERING + ".*sending the offsets")
        run.finish(worker)
        producer = frames.producer(held.frames[0])
        assert producer not in {frames.producer(frame) for frame in ends.frames}


def test_F7_offsets_not_added(t):
    """COVERS: F7 F9 I2 I4"""
    no_commit_without_offsets(t, "AddOffsetsToTxn")


def test_F7_offsets_not_sent(t):
    """COVERS: F7 F9 I2 I4"""
    no_commit_without_offsets(t, "TxnOffsetCommit")


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
    """Committed, and the worker cannot know: it recovers, reads it from Kafka, redoes nothing.
    COVERS: S2"""
    with proxied.scene(t) as run:
        doubt = Doubt(run, REPLY, LOSE, times=None)
        doubt.worker.wait_stderr(RECOVERING + " .*MR_ERR_OUTCOME_UNKNOWN")
        doubt.expect(doubt.worker, is_committed=True, recoveries=2)


def test_S2_request_lost_until_the_deadline(t):
    """COVERS: S2"""
    with proxied.scene(t) as run:
        doubt = Doubt(run, REQUEST, LOSE, times=None)
        doubt.worker.wait_stderr(RECOVERING)
        doubt.expect(doubt.worker, is_committed=False, recoveries=2)


def test_K8_killed_with_its_reply_on_the_way(t):
    """COVERS: K8 F1"""
    with proxied.scene(t) as run:
        doubt = Doubt(run, REPLY, HOLD)
        doubt.worker.kill9()
        doubt.expect(run.worker(), is_committed=True, recoveries=1)


def test_K8_killed_with_its_request_on_the_way(t):
    """The request arrives once the successor has taken over, and is refused.
    COVERS: K8 F1 I7"""
    with proxied.scene(t) as run:
        doubt = Doubt(run, REQUEST, HOLD)
        doubt.worker.kill9()
        worker = run.worker()
        proxied.recovered_epochs(worker, 1)
        assert frames.error(doubt.rule.release()) == frames.INVALID_PRODUCER_EPOCH
        doubt.expect(worker, is_committed=False, recoveries=1)


# ---- A request of epoch N arrives in N+1 (S1): the renewal gets it refused ----

def hold_and_retry(run, worker, api):
    """A rule that holds a request of the worker's next epoch, whose retry has won by now."""
    rule = run.proxy.rule(REQUEST, api, HOLD_AND_CUT)
    ends = run.notes(kind=REPLY)
    run.feed(1000)
    rule.wait()
    run.wait_done(worker)
    assert frames.error(ends.wait()) == frames.NONE
    return rule


def late_end(run, **more):
    """EndTxn arrives when the next epoch has outputs and no offsets, and then the worker is killed:
    if it commits, those outputs will be there twice. Returns what it was answered."""
    worker = run.started(**more)
    late = hold_and_retry(run, worker, "EndTxn")
    offsets = run.proxy.rule(REQUEST, "AddOffsetsToTxn", HOLD)
    before = sum(run.watch.ends(run.sink).values())
    run.feed(500)
    offsets.wait()
    run.t.wait_until(lambda: sum(run.watch.ends(run.sink).values()) > before,
                     "the broker has outputs of the next epoch")
    answer = frames.error(late.release())
    worker.kill9()
    return answer


def late_offsets(run, **more):
    """TxnOffsetCommit arrives behind the next epoch's own, and then the worker is killed: if it
    counts, it wins, and input will be read again. Returns what it was answered."""
    worker = run.started(**more)
    late = hold_and_retry(run, worker, "TxnOffsetCommit")
    end = run.proxy.rule(REQUEST, "EndTxn", HOLD)
    run.feed(500)
    end.wait()
    answer = frames.error(late.release())
    assert frames.error(end.release()) == frames.NONE
    worker.kill9()
    return answer


def refused(t, late):
    with proxied.scene(t) as run:
        answer = late(run)
        run.finish()
        assert answer == frames.INVALID_PRODUCER_EPOCH, f"the late request was answered {answer}"


def accepted(t, late):
    """The control: the same without the taint rule. The broker takes the late request, and what it
    has done is found; else the tests above would prove nothing."""
    with proxied.scene(t) as run:
        answer = late(run, env={"MR_BUG": "no_taint"})
        assert answer == frames.NONE, f"the late request was answered {answer}"
        try:
            run.finish()
        except AssertionError as error:
            # The next start, where the disk knows that a later epoch was committed; else the judge.
            assert "check: I2 " in str(error) or "E_OFFSET_REGRESSION" in str(error), \
                f"not what was expected: {error}"
            return
        raise AssertionError("the judge found nothing, although a late request was accepted")


def test_S1_late_EndTxn(t):
    """COVERS: S1 I2"""
    refused(t, late_end)


def test_S1_late_TxnOffsetCommit(t):
    """COVERS: S1 I2"""
    refused(t, late_offsets)


def test_S1_late_EndTxn_without_the_taint_rule(t):
    accepted(t, late_end)


def test_S1_late_TxnOffsetCommit_without_the_taint_rule(t):
    accepted(t, late_offsets)


# ---- Offsets of a transaction that nobody knows of are not decided at the start (S12, S13) ----

def open_transaction(run, number):
    """The open transaction of a worker of another set, whose name no committed record holds yet:
    outputs and offsets of the rest of partition 0, as such a worker would write them."""
    row = next(row for row in run.watch.client.committed(run.watch.group, [run.source])
               if row[1] == 0)
    offset, record = row[2], row[4]
    todo = documents.read(run.t, run.source)[0][offset:]
    assert len(todo) >= 100, f"only {len(todo)} records are left in partition 0"
    fields = dict(field.split("=") for field in record.split(";")[1:])
    owner = f"z{number}-0"
    fields.update(e=f"{int(fields['e'], 16) + 1:x}", i=f"{number:016x}", w=owner)
    del fields["c"]
    record = ";".join(["mr1", *(f"{name}={value}" for name, value in fields.items())])
    producer = kafka_txn.TransactionalProducer(run.watch.client, f"{run.watch.group}-{owner}")
    producer.send(run.sink, 0, todo)
    producer.send_offsets(run.watch.group, [
        (run.source, 0, offset + len(todo), f"{record};c={crc32c.crc32c(record.encode()):08x}")])
    return producer


def test_S13_the_start_waits_for_unstable_offsets(t):
    """Aborted, then committed: the worker begins where the decision says, and never before it.
    COVERS: S13 I8"""
    with proxied.scene(t, "echo") as run:
        run.started().terminate()
        for number, is_committed in ((1, False), (2, True)):
            run.feed(1000)
            other = open_transaction(run, number)
            unstable = run.notes("OffsetFetch", REPLY, where=lambda reply: (
                frames.UNSTABLE_OFFSET_COMMIT in frames.fetch_errors(reply)))
            worker = run.worker()
            unstable.wait(count=3)
            assert "msg=recovered" not in worker.stderr(), worker.stderr()[-3000:]
            other.end(is_committed)
            run.wait_done(worker)
            worker.terminate()
            unstable.remove()
        run.judge()


# ---- The network is cut for longer than a transaction may last, or slow (F5, F6) ----

def test_F5_cut_and_healed(t):
    """One way, the other, both: each time the moment before a transaction ends.
    COVERS: F5 I1"""
    with proxied.scene(t) as run:
        worker = run.started()
        for done, ways in enumerate(((TO_CLIENT,), (TO_BROKER,), (TO_BROKER, TO_CLIENT))):
            cut = run.proxy.rule(REQUEST, "EndTxn", NOTE, then=lambda: run.proxy.stall(*ways))
            run.feed(1000)
            cut.wait()
            t.wait_until(lambda: proxied.count(worker, RECOVERING) == done + 1,
                         f"the worker gives the epoch up: no way {' and '.join(ways)}")
            run.proxy.heal()
            run.feed(1000)
            run.wait_done(worker)
        run.finish(worker)


def test_F6_slow_line_in_small_pieces(t):
    """It takes longer, and nothing is given up for it.
    COVERS: F6 I1"""
    with proxied.scene(t) as run:
        worker = run.started()
        run.proxy.limit(SLOW_BYTES_PER_S)
        run.feed(4000)
        run.wait_done(worker)
        assert RECOVERING not in worker.stderr(), worker.stderr()[-3000:]
        run.proxy.limit(None)
        run.finish(worker)


harness.main(globals())
