"""What the tests of refusals share: a clean first run, then a worker that must not start.

A refused worker ends with status 1 and one last line that names the error, the place and what to
do; it writes nothing to the output and moves no offset. `Before` holds what must not change.
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


class Application:
    """One topology with its topics; `bounded`: a worker ends once it has read what is there."""

    def __init__(self, t, kind="running", records=400, name=None):
        self.t = t
        self.kind = kind
        self.source = t.topic("in")
        self.sink = t.topic("out")
        self.group = name or documents.app_of(t)
        text = getattr(documents, kind)(t, self.source, self.sink, bounded=True)
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

    def refuses(self, name, *words, flags=(), status=harness.EXIT_FAILURE):
        """Starts a worker that must refuse: status, one line with the error's name and the words,
        nothing written and no offset moved. Returns that line."""
        written, offsets = self.written(), self.offsets()
        worker = self.worker(*flags)
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
