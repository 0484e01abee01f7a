"""Committed offsets that somebody else changed, and logs that no longer reach them.

Each is refused by name with topic-partition@offset; nothing is reset, written or committed.
"""
# CTEST: TIMEOUT=180
import pathlib
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
    app = refusals.Application(t, "echo")
    partition, found = busy(app)
    t.kafka.commit(app.group, app.source, partition, found.offset - 5)
    app.refuses("E_OFFSETS_FOREIGN", place(app, partition, found.offset - 5))


def test_set_by_hand_under_state(t):
    """Also when the offset is the right one: the record beside it is what proves it."""
    app = refusals.Application(t)
    partition, found = busy(app)
    t.kafka.commit(app.group, app.source, partition, found.offset)
    app.refuses("E_OFFSETS_FOREIGN", place(app, partition, found.offset))
    t.kafka.commit(app.group, app.source, partition, found.offset, found.metadata)
    app.feed(50)
    app.run()
    assert len(documents.values(t, app.sink)) == app.fed


def test_metadata_of_another_tool(t):
    app = refusals.Application(t)
    partition, found = busy(app)
    flipped = found.metadata[:-1] + ("0" if found.metadata[-1] != "0" else "1")
    for metadata in ("mirror-maker", "mr1;", found.metadata[:-3], flipped):
        t.kafka.commit(app.group, app.source, partition, found.offset, metadata)
        app.refuses("E_OFFSETS_FOREIGN", place(app, partition, found.offset))


def test_offset_moved_under_its_own_record(t):
    """The record is ours and whole, the offset beside it is not the one of its epoch."""
    app = refusals.Application(t)
    partition, found = busy(app)
    t.kafka.commit(app.group, app.source, partition, found.offset - 5, found.metadata)
    app.refuses("E_RECORD_DISAGREE", app.directory, f"task {partition}")


def test_older_record_put_back(t):
    """Offset and record of an earlier epoch: outputs after it are committed, so it is refused."""
    app = refusals.Application(t)
    before = app.offsets()
    app.feed(400)
    app.run()
    for partition, found in before.items():
        t.kafka.commit(app.group, app.source, partition, found.offset, found.metadata)
    app.refuses("E_OFFSET_REGRESSION", app.directory)


def test_record_of_another_task(t):
    app = refusals.Application(t)
    offsets = app.offsets()
    t.kafka.commit(app.group, app.source, 0, offsets[0].offset, offsets[1].metadata)
    line = app.refuses("E_", "task 0")
    assert any(name in line for name in ("E_RECORD_DISAGREE", "E_STATE_FOREIGN",
                                         "E_OFFSETS_FOREIGN")), line


def test_deleted_under_state(t):
    app = refusals.Application(t)
    t.kafka.delete_group(app.group)
    app.refuses("E_OFFSETS_MISSING", app.directory, "task ")


def test_F22_log_truncated_below_the_offset(t):
    """Retention ran past what was not read yet."""
    app = refusals.Application(t)
    partition, found = busy(app)
    app.feed(400)
    assert t.kafka.ends(app.source)[partition][1] > found.offset + 10
    t.kafka.truncate(app.source, partition, found.offset + 10)
    app.refuses("E_OFFSET_LOST", place(app, partition, found.offset), found.offset + 10)


def test_F22_truncated_without_state(t):
    app = refusals.Application(t, "echo")
    partition, found = busy(app)
    app.feed(400)
    t.kafka.truncate(app.source, partition, found.offset + 1)
    app.refuses("E_OFFSET_LOST", place(app, partition, found.offset), found.offset + 1)


def test_F22_truncated_up_to_the_offset_is_fine(t):
    """Only what was read is gone: nothing is lost, and nothing is refused."""
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
    """Group offsets outlive the topic in this cluster, so the old ones are beyond the new end."""
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
    """With the topic the broker may drop its offsets: then the state alone remembers them."""
    app = refusals.Application(t)
    recreate(t, app)
    t.kafka.delete_group(app.group)
    app.feed(400)
    app.refuses("E_OFFSETS_MISSING", app.directory)


harness.main(globals())
