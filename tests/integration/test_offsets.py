"""Committed offsets that somebody else changed, and logs that no longer reach them.

Each is refused by name with topic-partition@offset; nothing is reset, written or committed.
"""
# CTEST: TIMEOUT=180
import pathlib
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.integration import documents, refusals
from tests.support import harness


def busy(app):
    """A partition with committed input, and its committed offset."""
    offsets = app.offsets()
    partition = max(offsets, key=lambda p: offsets[p].offset)
    assert offsets[partition].offset > 20, offsets
    return partition, offsets[partition]


def place(app, partition, offset):
    return f"{app.source}-{partition}@{offset}"


def test_set_by_hand_without_metadata(t):
    """COVERS: I11"""
    app = refusals.Application(t, "echo")
    partition, found = busy(app)
    t.kafka.commit(app.group, app.source, partition, found.offset - 5)
    app.refuses("E_OFFSETS_FOREIGN", place(app, partition, found.offset - 5))


def test_set_by_hand_under_state(t):
    """Also when the offset is the right one: the record beside it is what proves it.

    COVERS: I11
    """
    app = refusals.Application(t)
    partition, found = busy(app)
    t.kafka.commit(app.group, app.source, partition, found.offset)
    app.refuses("E_OFFSETS_FOREIGN", place(app, partition, found.offset))
    t.kafka.commit(app.group, app.source, partition, found.offset, found.metadata)
    app.feed(50)
    app.run()
    assert len(documents.values(t, app.sink)) == app.fed


def test_metadata_of_another_tool(t):
    """COVERS: I11"""
    app = refusals.Application(t)
    partition, found = busy(app)
    flipped = found.metadata[:-1] + ("0" if found.metadata[-1] != "0" else "1")
    for metadata in ("mirror-maker", "mr1;", found.metadata[:-3], flipped):
        t.kafka.commit(app.group, app.source, partition, found.offset, metadata)
        app.refuses("E_OFFSETS_FOREIGN", place(app, partition, found.offset))


def test_offset_moved_under_its_own_record(t):
    """The record is ours and whole, the offset beside it is not the one of its epoch.

    COVERS: I4 I11
    """
    app = refusals.Application(t)
    partition, found = busy(app)
    t.kafka.commit(app.group, app.source, partition, found.offset - 5, found.metadata)
    app.refuses("E_RECORD_DISAGREE", app.directory, f"task {partition}")


def test_older_record_put_back(t):
    """Offset and record of an earlier epoch: outputs after it are committed, so it is refused.

    COVERS: I8 I11
    """
    app = refusals.Application(t)
    before = app.offsets()
    app.feed(400)
    app.run()
    for partition, found in before.items():
        t.kafka.commit(app.group, app.source, partition, found.offset, found.metadata)
    app.refuses("E_OFFSET_REGRESSION", app.directory)


def test_record_of_another_task(t):
    """COVERS: I4 I11"""
    app = refusals.Application(t)
    offsets = app.offsets()
    t.kafka.commit(app.group, app.source, 0, offsets[0].offset, offsets[1].metadata)
    line = app.refuses("E_", "task 0")
    assert any(name in line for name in ("E_RECORD_DISAGREE", "E_STATE_FOREIGN",
                                         "E_OFFSETS_FOREIGN")), line


def test_deleted_under_state(t):
    """COVERS: I2 I11"""
    app = refusals.Application(t)
    t.kafka.delete_group(app.group)
    app.refuses("E_OFFSETS_MISSING", app.directory, "task ")


def test_one_offset_expired_under_state(t):
    """Offsets expire one by one; the other tasks have theirs.

    COVERS: I2 I11
    """
    app = refusals.Application(t)
    partition, found = busy(app)
    t.kafka.tool("forget", app.group, app.source, partition)
    app.refuses("E_OFFSETS_MISSING", f"{app.source}-{partition}:", f"task {partition}:")
    t.kafka.commit(app.group, app.source, partition, found.offset, found.metadata)
    app.feed(50)
    app.run()
    assert len(documents.values(t, app.sink)) == app.fed


def test_deleted_while_it_runs_and_committed_again(t):
    """The next commit puts them back: nothing is read twice, by this worker or by the next.

    COVERS: I1 I2
    """
    live = refusals.Live(t, "running", "live")
    t.kafka.delete_group(live.group)
    live.feed(200)
    live.wait_done()
    live.process.terminate()
    live.feed(50)
    live.process = live.worker()
    live.wait_done()
    live.process.terminate()
    live.expect_values(live.fed)


def test_deleted_before_a_kill(t):
    """COVERS: I11"""
    live = refusals.Live(t, "running", "live")
    t.kafka.delete_group(live.group)
    live.process.kill9()
    live.refused(live.worker(), ["E_OFFSETS_MISSING"], t.state_dir / live.group, "task ")
    live.expect_values(live.fed)


def test_deleted_before_a_recovery(t):
    """The worker has no state that could tell, but it knows what it committed itself.

    COVERS: I8 I11
    """
    live = refusals.Live(t, "echo", "live")
    live.process.terminate()
    live.feed(100)
    live.process = live.worker(stop_at="K7:2")
    t.wait_until(live.is_stopped, "the worker has stopped itself in a commit")
    t.wait_until(lambda: live.is_stable(), "the broker aborted the paused transaction")
    t.kafka.delete_group(live.group)
    live.process.signal(signal.SIGCONT)
    live.refused(live.process, ["E_OFFSETS_MISSING"], live.source + "-", "restore the offsets")
    live.expect_values(200)


def disagree(t, kind):
    app = refusals.Application(t, kind, change=refusals.second_input)
    before = app.offsets()
    app.feed(400)
    t.kafka.produce(t.topic("other-in"), refusals.rows(0, 400))
    app.run()
    partition, found = busy(app)
    assert before[partition].offset < found.offset
    t.kafka.commit(app.group, app.source, partition, before[partition].offset,
                   before[partition].metadata)
    app.refuses("E_RECORD_DISAGREE", f"-{partition}@", "name different epochs", "restore")
    t.kafka.commit(app.group, app.source, partition, found.offset, found.metadata)
    app.run()
    assert len(documents.values(t, app.sink)) == app.fed


def test_inputs_of_a_task_that_disagree(t):
    """COVERS: I4 I11"""
    disagree(t, "echo")


def test_inputs_of_a_task_that_disagree_under_state(t):
    """COVERS: I4 I11"""
    disagree(t, "running")


def test_F22_log_truncated_below_the_offset(t):
    """Retention ran past what was not read yet.

    COVERS: F22 I1 I11
    """
    app = refusals.Application(t)
    partition, found = busy(app)
    app.feed(400)
    assert t.kafka.ends(app.source)[partition][1] > found.offset + 10
    t.kafka.truncate(app.source, partition, found.offset + 10)
    app.refuses("E_OFFSET_LOST", place(app, partition, found.offset), found.offset + 10)


def test_F22_truncated_without_state(t):
    """COVERS: F22 I1 I11"""
    app = refusals.Application(t, "echo")
    partition, found = busy(app)
    app.feed(400)
    t.kafka.truncate(app.source, partition, found.offset + 1)
    app.refuses("E_OFFSET_LOST", place(app, partition, found.offset), found.offset + 1)


def test_F22_truncated_up_to_the_offset_is_fine(t):
    """Only what was read is gone: nothing is lost, and nothing is refused.

    COVERS: F22
    """
    app = refusals.Application(t)
    partition, found = busy(app)
    t.kafka.truncate(app.source, partition, found.offset)
    app.feed(100)
    app.run()
    assert len(documents.values(t, app.sink)) == app.fed


def recreate(t, app):
    t.kafka.delete(app.source)

    def absent():
        try:
            t.kafka.create(app.source)
        except AssertionError:  # The deletion is not done everywhere yet.
            return False
        return True
    t.wait_until(absent, "the topic can be created again")


def test_F22_S15_topic_recreated_shorter(t):
    """Group offsets outlive the topic in this cluster, so the old ones are beyond the new end.

    COVERS: F22 S15 I8 I11
    """
    app = refusals.Application(t)
    partition, found = busy(app)
    before = app.offsets()
    recreate(t, app)
    for number, old in before.items():  # The broker may have dropped them with the topic.
        t.kafka.commit(app.group, app.source, number, old.offset, old.metadata)
    t.kafka.produce(app.source, [("a", '{"user_id":"a","amount":1}')] * 3,
                    "--partition", partition)
    line = app.refuses("E_OFFSET_BEYOND_END", app.source + "-")
    assert "@" in line, line


def test_F22_topic_recreated_and_offsets_dropped(t):
    """With the topic the broker may drop its offsets: then the state alone remembers them.

    COVERS: F22 I11
    """
    app = refusals.Application(t)
    recreate(t, app)
    t.kafka.delete_group(app.group)
    app.feed(400)
    app.refuses("E_OFFSETS_MISSING", app.directory)


harness.main(globals())
