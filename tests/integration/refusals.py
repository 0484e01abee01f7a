"""What the tests of refusals share: a clean first run, then a worker that must not start.

A refused worker ends with status 1 and one last line that names the error, the place and what to
do; it writes nothing to the output and moves no offset.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.integration import documents
from tests.support import harness

KEYS = 40


def rows(first, count):
    """(key, value) of records that both topologies can read."""
    return [(f"u{n % KEYS}", f'{{"user_id":"u{n % KEYS}","amount":{n}}}')
            for n in range(first, first + count)]


def second_input(t, text):
    """A second source with a step and a sink of its own: each task has two inputs."""
    (source,), (sink,) = text["sources"].values(), text["sinks"].values()
    text["sources"]["others"] = {**source, "topic": t.topic("other-in")}
    feeds = "others"
    for step in list(text["steps"].values()):
        text["steps"]["other_totals"] = {**step, "from": "others"}
        feeds = "other_totals"
    text["sinks"]["other_out"] = {**sink, "from": feeds, "topic": t.topic("other-out")}


class Application:
    """One topology with its topics; `bounded`: a worker ends once it has read what is there."""

    def __init__(self, t, kind="running", records=400, name=None, change=None):
        """change(t, document): what else the topology has."""
        self.t = t
        self.kind = kind
        self.source = t.topic("in")
        self.sink = t.topic("out")
        self.group = name or documents.app_of(t)
        text = getattr(documents, kind)(t, self.source, self.sink, bounded=True)
        if change:
            change(t, text)
        self.path = documents.write(t, {**text, "app": self.group})
        self.directory = t.state_dir / self.group
        self.fed = 0
        if records:
            self.feed(records)
            self.run()

    def feed(self, count):
        self.t.kafka.produce(self.source, rows(self.fed, count))
        self.fed += count

    def worker(self, *flags, **more):
        return documents.worker(self.t, self.path, *flags, **more)

    def run(self, *flags):
        """A run to the end of the input, which must succeed."""
        self.worker(*flags).expect_exit(harness.EXIT_OK)

    def written(self):
        """Every byte of the output log, aborted attempts and markers too: its ends."""
        return self.t.kafka.ends(self.sink, "--uncommitted")

    def offsets(self):
        return self.t.kafka.offsets(self.group, self.source)

    def refuses(self, name, *words, flags=(), status=harness.EXIT_FAILURE, **more):
        """Starts a worker that must refuse: status, one line with the error's name and the words,
        nothing written and no offset moved. Returns that line."""
        written, offsets = self.written(), self.offsets()
        worker = self.worker(*flags, **more)
        worker.expect_exit(status)
        lines = worker.stderr().strip().splitlines()
        assert lines, f"{worker.name} said nothing"
        named = [line for line in lines if line.startswith("millrace: ") and name in line]
        assert len(named) == 1 and named[0] == lines[-1], \
            f"not one last line with {name}:\n{worker.stderr()[-3000:]}"
        for word in words:
            assert str(word) in named[0], f"'{word}' is not in: {named[0]}"
        assert self.written() == written, "a refused worker wrote to the output"
        assert self.offsets() == offsets, "a refused worker moved offsets"
        return named[0]


class Live:
    """A worker that runs on, of one topology, with all it was fed committed."""

    def __init__(self, t, kind, role, change=None, flags=("--partitions", "0-3")):
        self.t = t
        self.kind = kind
        self.source, self.sink = t.topic(role + "-in"), t.topic(role + "-out")
        text = getattr(documents, kind)(t, self.source, self.sink)
        text["app"] = self.group = f"{role}-{documents.app_of(t)}"[:63]
        if change:
            change(text)
        self.path = documents.write(t, text, f"{role}.yaml")
        self.watch = documents.Watch(t, self.source)
        self.watch.group = self.group
        self.flags = flags
        self.fed = 0
        self.feed(200)
        self.process = self.worker()
        self.wait_done()

    def worker(self, **more):
        return self.t.worker(self.path, *self.flags, "--shards", 1, **more)

    def widen(self, count):
        """Adds partitions to the input."""
        self.t.kafka.tool("partitions", self.source, count)

        def seen():
            self.watch.client.refresh([self.source])
            return self.watch.client.partitions(self.source) == count
        self.t.wait_until(seen, f"{self.source} has {count} partitions")

    def is_stable(self):
        """No transaction on the output and no pending offset."""
        rows = self.watch.client.committed(self.group, [self.source], stable=True)
        return self.watch.ends(self.sink) == self.watch.ends(self.sink, isolation=1) \
            and not any(row[5] for row in rows)

    def is_stopped(self):
        state = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text()
        return state.rpartition(")")[2].split()[0] == "T"

    def feed(self, count, *options):
        self.t.kafka.produce(self.source, rows(self.fed, count), *options)
        self.fed += count

    def wait_done(self):
        def done():
            assert self.process.running(), self.process.stderr()[-3000:]
            return self.watch.done()
        self.t.wait_until(done, "all that was fed is committed")

    def refused(self, process, names, *words, limit_s=harness.WAIT_S):
        """It must end with status 1, and its last line must have one of the names, and the words."""
        process.expect_exit(harness.EXIT_FAILURE, limit_s)
        last = process.stderr().strip().splitlines()[-1]
        assert last.startswith("millrace: error: "), last
        assert any(name in last for name in names), f"none of {names} in: {last}"
        for word in words:
            assert str(word) in last, f"'{word}' is not in: {last}"

    def expect_values(self, count):
        """So many committed records, none twice."""
        found = documents.values(self.t, self.sink)
        assert len(found) == count and len(set(found)) == count, (len(found), len(set(found)), count)
