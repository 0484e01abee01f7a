"""The answers to a refused recovery, on a real broker: what each does, and that it is for one start."""
# CTEST: TIMEOUT=120
import json
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.integration import documents
from tests.support import harness


def rows(count, user="a"):
    return [(user, json.dumps({"user_id": user, "amount": 1})) for _ in range(count)]


def counts(t, sink):
    """The running counts a reader sees, in order; one key, so one partition."""
    return [json.loads(value)["n"] for value in documents.values(t, sink)]


def refused(worker, name, *words):
    worker.expect_exit(harness.EXIT_FAILURE)
    last = worker.stderr().strip().splitlines()[-1]
    for word in (name, *words):
        assert word in last, f"'{word}' is not in:\n{last}"


def run(t, path, *flags):
    worker = documents.worker(t, path, *flags)
    worker.expect_exit(harness.EXIT_OK)
    return worker


def running(t):
    source, sink = t.topic("in"), t.topic("out")
    t.kafka.produce(source, rows(5))
    path = documents.write(t, documents.running(t, source, sink, bounded=True))
    run(t, path)
    assert counts(t, sink) == [1, 2, 3, 4, 5]
    return source, sink, path


def test_lost_state_begins_anew(t):
    source, sink, path = running(t)
    elsewhere = t.folder / "elsewhere"
    refused(documents.worker(t, path, "--state-dir", elsewhere), "E_STATE_BEHIND",
            "--adopt-offsets=reset-state")
    t.kafka.produce(source, rows(2))
    worker = run(t, path, "--state-dir", elsewhere, "--adopt-offsets=reset-state")
    assert "an answer was used" in worker.stderr() and "answer=reset-state" in worker.stderr()
    assert counts(t, sink) == [1, 2, 3, 4, 5, 1, 2], "only what was not committed, counted anew"
    t.kafka.produce(source, rows(1))
    run(t, path, "--state-dir", elsewhere)
    assert counts(t, sink)[-1] == 3


def test_lost_offsets_go_on_from_the_state(t):
    source, sink, path = running(t)
    t.kafka.produce(source, rows(1))
    run(t, path)  # Its log knows by now that the first epochs were committed.
    t.kafka.delete_group(documents.app_of(t))
    refused(documents.worker(t, path), "E_OFFSETS_MISSING", "keep-state", "reset-state")
    t.kafka.produce(source, rows(2))
    worker = run(t, path, "--adopt-offsets", "keep-state")
    assert "answer=keep-state" in worker.stderr()
    assert counts(t, sink)[-1] == 8, "every record is counted once in the state"
    run(t, path)


def test_lost_offsets_begin_anew(t):
    _, sink, path = running(t)
    t.kafka.delete_group(documents.app_of(t))
    run(t, path, "--adopt-offsets=reset-state")
    assert counts(t, sink) == [1, 2, 3, 4, 5] * 2, "from the start of the topic, on empty state"
    run(t, path)


def test_offsets_set_by_hand_are_taken(t):
    source, sink, path = running(t)
    place = next(p for p, offset in t.kafka.offsets(documents.app_of(t), source).items()
                 if offset and offset.offset == 5)
    t.kafka.commit(documents.app_of(t), source, place, 3)
    refused(documents.worker(t, path), "E_OFFSETS_FOREIGN", f"{source}-{place}@3")
    other = (place + 1) % documents.PARTITIONS
    refused(documents.worker(t, path, f"--adopt-offsets=reset-state@{source}:{other}"),
            "E_OFFSETS_FOREIGN", f"{source}-{place}@3")
    run(t, path, f"--adopt-offsets=reset-state@{source}:{place}")
    assert counts(t, sink) == [1, 2, 3, 4, 5, 1, 2], "from the offset that was set, on empty state"


def test_a_stateless_plan_takes_offsets_set_by_hand(t):
    source, sink = t.topic("in"), t.topic("out")
    path = documents.write(t, documents.echo(t, source, sink, bounded=True))
    t.kafka.produce(source, [("a", f"{n}") for n in range(9)])
    place = next(p for p, (_, end) in t.kafka.ends(source).items() if end == 9)
    t.kafka.commit(documents.app_of(t), source, place, 7)
    refused(documents.worker(t, path), "E_OFFSETS_FOREIGN", f"{source}-{place}@7")
    worker = run(t, path, "--adopt-offsets=keep-state")
    assert "answer=adopt-offsets" in worker.stderr() and "committed=7" in worker.stderr()
    assert documents.values(t, sink) == [b"7", b"8"]


def test_an_offset_beyond_the_end_goes_on_where_told(t):
    """COVERS: S15"""
    source, sink = t.topic("in"), t.topic("out")
    path = documents.write(t, documents.echo(t, source, sink, bounded=True))
    t.kafka.produce(source, [("a", f"{n}") for n in range(9)])
    run(t, path)
    place, record = next((p, o) for p, o in t.kafka.offsets(documents.app_of(t), source).items()
                         if o and o.offset == 9)
    t.kafka.commit(documents.app_of(t), source, place, 40, record.metadata)  # As if truncated.
    t.kafka.produce(source, [("a", "new")])
    refused(documents.worker(t, path), "E_OFFSET_BEYOND_END", f"{source}-{place}@40", "at 10",
            "--reset-offsets=")
    run(t, path, "--reset-offsets=latest")
    assert len(documents.values(t, sink)) == 9
    t.kafka.produce(source, [("a", "newer")])
    run(t, path)
    assert documents.values(t, sink)[-1] == b"newer"


def test_partitions_that_are_not_ours_are_told(t):
    """A smaller set on the same directory: what it leaves behind is neither lost nor silent.

    COVERS: F15
    """
    source, sink = t.topic("in"), t.topic("out")
    t.kafka.produce(source, rows(5))
    path = documents.write(t, documents.running(t, source, sink, bounded=True))
    t.worker(path, "--partitions", "0-3", "--shards", 1).expect_exit(harness.EXIT_OK)
    worker = t.worker(path, "--partitions", "0-1", "--shards", 1)
    worker.expect_exit(harness.EXIT_OK)
    assert re.search(r"not ours is kept.*count=2 partitions=2,3", worker.stderr()), worker.stderr()
    whole = t.worker(path, "--partitions", "0-3", "--shards", 1)
    whole.expect_exit(harness.EXIT_OK)
    assert "not ours" not in whole.stderr()


def test_an_answer_must_be_understood(t):
    source, _, path = running(t)
    for words in ("--adopt-offsets=maybe", f"--adopt-offsets=keep-state@{source}",
                  "--reset-offsets=now", "--accept-regression=yes",
                  "--adopt-offsets=keep-state@nowhere:1"):
        worker = documents.worker(t, path, words)
        worker.expect_exit(harness.EXIT_USAGE)
        assert words.split("=")[0] in worker.stderr(), worker.stderr()


harness.main(globals())
