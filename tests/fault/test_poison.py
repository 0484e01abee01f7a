"""Records with which the process dies: found in few starts, named or sent to a dlq, nothing else."""
# CTEST: TIMEOUT=600
import json
import math
import pathlib
import random
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.fault import scenario
from tests.integration import documents
from tests.support import harness

RECORDS = 8000
AFTER = 3
SHARDS = 2
FETCH_RECORDS = 1024
EXIT_FAILED = 1
OLD_MS = 1000000000000


class Poisoned(scenario.Scenario):
    """A running aggregate with an `errors.poison`; `poison` are (partition, offset)."""

    def __init__(self, t, ending, shards=1, after=AFTER):
        super().__init__(t, "running", shards=shards)
        self.dead = t.topic("dead")
        self.poison = []
        text = json.loads(self.path.read_text())
        text["errors"] = {"default": {"dlq": "dead"}, "poison": {"after": after, **ending}}
        text["dlqs"] = {"dead": {"topic": self.dead}}
        self.path = documents.write(t, text)

    def places(self):
        return [f"{self.source}:{partition}:{offset}" for partition, offset in self.poison]

    def spec(self):
        return {**super().spec(), "dlq": self.dead, "on_error": "dlq",
                "poison": self.places()}

    def start(self, *flags, **more):
        return self.worker(*flags, env={"MR_CRASH_AT_RECORD": ",".join(self.places())}, **more)

    def run_on(self, starts_max, end=None):
        """Starts a worker whenever one dies, or ends with the error `end`, until all is committed
        or one ends otherwise. Returns the last worker and how many starts it took."""
        for starts in range(1, starts_max + 1):
            worker = self.start()
            self.t.wait_until(lambda: not worker.running() or self.watch.done(),
                              "the worker has committed all, or is dead")
            if worker.running() or worker.wait() != -9 and not (end and end in worker.stderr()):
                return worker, starts
        raise AssertionError(f"not there after {starts_max} starts:\n{worker.stderr()[-3000:]}")

    def letters(self):
        """(source partition, source offset, code, attempts) of every dead letter."""
        found = []
        for records in documents.read(self.t, self.dead).values():
            for record in records:
                words = [record.header(b"millrace.error." + name).decode() for name in
                         (b"partition", b"offset", b"code", b"attempt")]
                found.append((int(words[0]), int(words[1]), words[2], int(words[3])))
        return sorted(found)


def starts_max(after, records=1):
    """Every start but the last one dies: it committed an epoch as usual first; or it failed at the
    same offsets; or it halved what it tried, at most a fetch; or it tried the record alone."""
    halvings = math.ceil(math.log2(FETCH_RECORDS))
    return RECORDS // scenario.EPOCH_RECORDS + records * (2 * after + halvings) + 1


def middle(run, partition, share=0.5):
    return partition, int(run.watch.ends()[partition] * share)


def test_S16_a_poison_record_is_a_dead_letter(t):
    """One record of one partition; all partitions of the shard are redone, and nothing is lost.
    COVERS: S16 I1 I2"""
    run = Poisoned(t, {"dlq": "dead"})
    run.feed(RECORDS)
    run.poison = [middle(run, 2)]
    worker, starts = run.run_on(starts_max(AFTER))
    print(f"     {starts} starts", flush=True)
    run.feed(RECORDS)
    run.finish(worker)
    assert run.letters() == [(*run.poison[0], "POISON", AFTER)], run.letters()
    assert starts > 2 * AFTER


def test_a_poison_record_stops_the_worker(t):
    run = Poisoned(t, {"stop": True})
    run.feed(RECORDS)
    run.poison = [middle(run, 1)]
    place = f"{run.source}-1@{run.poison[0][1]}"
    worker, starts = run.run_on(starts_max(AFTER))
    worker.expect_exit(EXIT_FAILED)
    assert f"E_POISON: {place}: failed {AFTER} times" in worker.stderr(), worker.stderr()
    print(f"     {starts} starts", flush=True)
    committed = run.watch.committed()
    assert committed[1] == run.poison[0][1], committed
    for _ in range(2):  # A supervisor: it stops at once, and nothing moves.
        again = run.start()
        again.expect_exit(EXIT_FAILED)
        assert f"E_POISON: {place}" in again.stderr(), again.stderr()
        assert "msg=recovered" not in again.stderr(), again.stderr()
    assert run.watch.committed() == committed
    run.start("--retry-poison").expect_exit(-9)  # Not mended: it dies as at first.
    run.poison = []
    run.finish(run.start("--retry-poison"))
    assert run.letters() == []
    assert run.watch.committed() == run.watch.ends()


def test_poison_in_two_shards(t):
    """Two records, a shard each: whoever is tried is alone in the process, so the shard that did
    not die accuses nobody."""
    run = Poisoned(t, {"dlq": "dead"}, shards=SHARDS, after=2)
    run.feed(RECORDS)
    run.poison = [middle(run, 0, 0.3), middle(run, 3, 0.6)]
    worker, starts = run.run_on(starts_max(2, records=2))
    print(f"     {starts} starts", flush=True)
    run.finish(worker)
    assert run.letters() == [(*place, "POISON", 2) for place in sorted(run.poison)], run.letters()


def test_a_record_whose_output_is_refused(t):
    """No crash: the broker refuses what becomes of one record, for its old timestamp."""
    run = Poisoned(t, {"dlq": "dead"}, after=2)
    t.kafka.alter(run.sink, message_timestamp_before_max_ms=3600000)
    run.feed(RECORDS // 2)
    t.kafka.produce(run.source, [(OLD_MS, "old", '{"user_id":"old","amount":1.5}')], "--time")
    place, = [(record.partition, record.offset) for record in t.kafka.read(run.source)
              if record.time_ms == OLD_MS]
    run.feed(RECORDS // 2)
    worker, starts = run.run_on(starts_max(2), "E_OUTPUT_REJECTED")
    print(f"     {starts} starts", flush=True)
    run.poison = [place]
    run.finish(worker)
    assert run.letters() == [(*place, "POISON", 2)], run.letters()
    assert starts > 2 * 2


def test_kills_accuse_nobody(t):
    """At the same offsets, more often than `after`, and then at drawn moments."""
    chance = random.Random(harness.SEED)
    run = Poisoned(t, {"dlq": "dead"}, shards=SHARDS)
    run.feed(RECORDS)
    logs = ""
    for _ in range(SHARDS * AFTER + 1):  # Whichever shard dies, one of them did so `AFTER` times.
        worker = run.worker(crash_at="K1:1")
        worker.expect_exit(-9)
        logs += worker.stderr()
    assert "epochs fail at the same offsets: fewer records are tried" in logs, logs
    for _ in range(6):
        worker = run.worker()
        moment = time.monotonic() + chance.uniform(0, 0.8)
        t.wait_until(lambda: time.monotonic() >= moment, "the moment of the kill")
        worker.kill9()
        run.feed(500)
    run.finish()
    assert run.letters() == []


harness.main(globals())
