"""A topology that changes between two runs: what nobody touched goes on where it was."""
# CTEST: TIMEOUT=120
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.integration import documents, refusals
from tests.support import harness

COUNT = {"op": "aggregate", "from": "events", "by": ["user_id"],
         "select": {"user_id": None, "n": "count(*)"}, "emit": "every"}


class Grown(refusals.Application):
    """An application whose document the test changes; `text` is what the next run reads."""

    def __init__(self, t):
        super().__init__(t)
        self.text = json.loads(self.path.read_text())

    def run_changed(self, feed=100):
        self.feed(feed)
        documents.write(self.t, self.text)
        self.run()

    def counted(self, sink):
        """What the newest row of each key of a sink has counted, together."""
        newest = {}
        for value in map(json.loads, documents.values(self.t, sink)):
            newest[value["user_id"]] = max(value["n"], newest.get(value["user_id"], 0))
        return sum(newest.values())


def test_a_step_is_added_and_another_removed(t):
    """The new one's name comes first: nothing about the old one depends on that."""
    app = Grown(t)
    second = t.topic("second")
    app.text["steps"] = {"aaa": COUNT, **app.text["steps"]}
    app.text["sinks"]["second"] = {"from": "aaa", "topic": second}
    app.run_changed()
    assert app.counted(app.sink) == app.fed
    assert app.counted(second) == 100  # From now on.
    totals, out = app.text["steps"].pop("totals"), app.text["sinks"].pop("out")
    app.run_changed()
    assert app.counted(second) == 200
    app.text["steps"]["totals"], app.text["sinks"]["out"] = totals, out
    app.run_changed()
    assert app.counted(app.sink) == app.fed - 100  # Without what came while it was away.
    assert app.counted(second) == 300


def test_a_changed_step_with_a_new_name_starts_empty(t):
    app = Grown(t)
    totals = app.text["steps"].pop("totals")
    totals["select"]["total"] = "max(amount)"
    app.text["steps"]["totals"] = totals
    documents.write(t, app.text)
    app.feed(100)
    app.refuses("E_STATE_LAYOUT", "totals.results", status=1)
    app.text["steps"] = {"renewed": totals}
    app.text["sinks"]["out"]["from"] = "renewed"
    before = len(documents.values(t, app.sink))
    documents.write(t, app.text)
    app.run()
    after = [json.loads(value) for value in documents.values(t, app.sink)]
    assert len(after) == before + 100
    assert sum(1 for value in after if value["n"] == 1) == 2 * refusals.KEYS


def test_sources_come_move_and_go(t):
    app = Grown(t)
    other_in, other_out = t.topic("other-in"), t.topic("other-out")
    t.kafka.produce(other_in, refusals.rows(0, 50))
    events = app.text["sources"]["events"]
    other = {**events, "topic": other_in}
    app.text["sources"] = {"another": other, "events": events}
    app.text["steps"]["others"] = {**COUNT, "from": "another"}
    app.text["sinks"]["second"] = {"from": "others", "topic": other_out}
    app.run_changed()
    assert app.counted(app.sink) == app.fed
    assert app.counted(other_out) == 50
    app.text["sources"] = {"events": events, "another": other}
    app.run_changed()
    assert app.counted(app.sink) == app.fed
    for items, name in (("sources", "another"), ("steps", "others"), ("sinks", "second")):
        del app.text[items][name]
    app.run_changed()
    assert app.counted(app.sink) == app.fed


def test_other_partitions_of_two_shards(t):
    """A task's file follows from its place in the set: the state would be sought where it is not."""
    app = Grown(t)
    path = documents.write(t, {**app.text, "app": app.text["app"][:-1]}, "two.yaml")
    t.worker(path, "--partitions", "1-3", "--shards", 2).expect_exit(harness.EXIT_OK)
    refused = t.worker(path, "--partitions", "0-3", "--shards", 2)
    refused.expect_exit(harness.EXIT_CONFIG)
    last = refused.stderr().strip().splitlines()[-1]
    assert "E_SHARD_COUNT" in last and "p1_3" in last and "--shards 2" in last, last
    t.worker(path, "--partitions", "1-3").expect_exit(harness.EXIT_OK)


harness.main(globals())
