"""Topics that change: deleted, made anew, truncated, given partitions, while a worker runs or between
two runs. What would lose or repeat records in silence ends by name; new partitions of a topology
without state are taken up from their beginning.
"""
# CTEST: TIMEOUT=180
import json
import pathlib
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.integration import documents, refusals
from tests.support import harness

GONE_S_MAX = 80  # 30 s of absence, and the time until it is noticed.


def recreate(t, topic, partitions=4):
    t.kafka.delete(topic)

    def made():
        try:
            t.kafka.create(topic, partitions)
        except AssertionError:  # The deletion is not done everywhere yet.
            return False
        return True
    t.wait_until(made, "the topic can be created again")


def test_topics_deleted_while_it_runs(t):
    """COVERS: F22 I11"""
    reader, writer = refusals.Live(t, "running", "reader"), refusals.Live(t, "echo", "writer")
    t.kafka.delete(reader.source, writer.sink)
    t.topics.remove(reader.source)
    t.topics.remove(writer.sink)
    for live, topic in ((reader, reader.source), (writer, writer.sink)):
        live.refused(live.process, ["E_TOPIC_GONE"], topic, limit_s=GONE_S_MAX)
    reader.expect_values(reader.fed)
    offsets = t.kafka.offsets(writer.group, writer.source)
    assert sum(found.offset for found in offsets.values()) == writer.fed, offsets


def test_inputs_recreated_while_it_runs(t):
    """With the topic go its offsets, which is no reason to begin anew.

    COVERS: F22 S23 I8 I11
    """
    for kind in ("running", "echo"):
        live = refusals.Live(t, kind, kind)
        recreate(t, live.source)
        live.t.kafka.produce(live.source, refusals.rows(0, 20))
        live.refused(live.process, ["E_OFFSETS_MISSING", "E_OFFSET_BEYOND_END"], live.source)
        live.expect_values(live.fed)


def test_retention_passes_a_paused_worker(t):
    """COVERS: F22 I1 I8 I11"""
    for kind in ("running", "echo"):
        live = refusals.Live(t, kind, kind)
        before = t.kafka.offsets(live.group, live.source)
        live.process.signal(signal.SIGSTOP)
        t.wait_until(lambda: live.is_stopped(), "the worker is paused")
        # What is fed first may answer the fetch that was under way; what follows cannot.
        live.feed(40)
        read = t.kafka.ends(live.source)
        live.feed(400)
        partition = max(read, key=lambda p: t.kafka.ends(live.source)[p][1] - read[p][1])
        start = read[partition][1] + 5
        assert t.kafka.ends(live.source)[partition][1] > start
        t.kafka.truncate(live.source, partition, start)
        live.process.signal(signal.SIGCONT)
        live.refused(live.process, ["E_OFFSET_LOST"], f"{live.source}-{partition}@", start)
        after = t.kafka.offsets(live.group, live.source)
        assert before[partition].offset <= after[partition].offset <= read[partition][1]
        live.expect_values(sum(offset.offset for offset in after.values()))


def test_partitions_added_under_state(t):
    """Keys have moved and their state has not: told while it runs, and again by each start.

    COVERS: F23 I3 I11
    """
    live = refusals.Live(t, "running", "live")
    live.widen(6)
    live.refused(live.process, ["E_PARTITIONS_CHANGED"], live.source, "6 partitions")
    live.refused(live.worker(), ["E_PARTITIONS_CHANGED"], live.source, "6 partitions", "to 4",
                 t.state_dir / live.group)
    live.expect_values(live.fed)


def from_latest(live):
    """From the next start on `start:` would skip what it finds in a partition without an offset."""
    live.process.terminate()
    text = json.loads(live.path.read_text())
    text["sources"]["events"]["start"] = "latest"
    live.path.write_text(json.dumps(text))


def test_partitions_added_without_state(t):
    """The same process takes them up, from their beginning whatever `start:` says.

    COVERS: F23
    """
    live = refusals.Live(t, "echo", "live", flags=())
    from_latest(live)
    live.widen(5)  # Between two runs.
    live.feed(30, "--partition", 4)
    live.process = live.worker()
    live.wait_done()

    live.widen(6)  # While it runs.
    live.feed(40, "--partition", 5)
    live.feed(40)
    live.wait_done()
    live.process.terminate()
    assert "starting again" in live.process.stderr(), live.process.stderr()
    live.expect_values(live.fed)


def test_added_partitions_are_known_once_their_beginning_is_committed(t):
    """A worker that dies in its claim has not taken them up: the next one must not skip them.

    COVERS: F23
    """
    live = refusals.Live(t, "echo", "live", flags=())
    from_latest(live)
    live.widen(5)
    live.feed(30, "--partition", 4)
    live.worker(crash_at="K12C:1").expect_exit(-signal.SIGKILL)
    live.process = live.worker()
    live.wait_done()
    live.process.terminate()
    live.expect_values(live.fed)


def create(partitions):
    def change(_, text):
        text["sinks"]["out"]["create"] = {"partitions": partitions}
    return change


def test_an_output_of_another_shape(t):
    """COVERS: F24 I11"""
    app = refusals.Application(t, "echo", change=create(4))
    text = json.loads(app.path.read_text())
    create(8)(t, text)
    app.path.write_text(json.dumps(text))
    app.feed(10)
    app.refuses("E_TOPIC_SHAPE", app.sink, "4 partitions", "says 8", status=harness.EXIT_CONFIG)


def test_inputs_of_unequal_shape(t):
    """COVERS: F24 I11"""
    app = refusals.Application(t, "running", change=refusals.second_input)
    other = t.topic("other-in")
    recreate(t, other, 3)
    app.refuses("E_TOPIC_SHAPE", other, app.source, status=harness.EXIT_CONFIG)


harness.main(globals())
