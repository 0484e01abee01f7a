"""What the fault tests share: two topologies under load, kills that must hit work, the judgement.

A crash test is worth nothing if the process dies while it has nothing to lose. So every kill is
checked: the point was reached, and at least IN_FLIGHT_MIN input records were not committed yet.
"""
import json
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.integration import documents
from tests.support import harness

RECORDS = 24000
EPOCH_RECORDS = 1000
IN_FLIGHT_MIN = 1000
USERS = 200
CHECK = documents.ROOT / "tests" / "check"


def rows(first, count, users=USERS, pad=0):
    """(key, value) of records first, first + 1, ...: JSON that both topologies can read. pad: more
    bytes of each key, to make much state of few records."""
    for n in range(first, first + count):
        mixed = (n * 0x9E3779B97F4A7C15 >> 32) & 0xFFFFFFFF
        user = f"u{mixed % users}" + pad * "x"
        yield user, f'{{"user_id":"{user}","amount":{mixed % 2001 - 1000}.{n % 10},"seq":{n}}}'


class Scenario:
    """One topology of one case, with its topics and its judge."""

    def __init__(self, t, kind, shards=1, state=None, users=USERS, pad=0, **commit):
        """commit: keys of the document's `commit:` other than those of all tests; state: its
        `state:`; users: keys, each longer by `pad` bytes."""
        self.t = t
        self.kind = kind
        self.shards = shards
        self.source = t.topic("in")
        self.sink = t.topic("out")
        text = getattr(documents, kind)(t, self.source, self.sink)
        text["commit"].update({"records": EPOCH_RECORDS, **commit})
        if state:
            text["state"] = state
        # Kills in a row look like poison, and small epochs have little to lose: what becomes of
        # those is the business of test_poison.py.
        text.setdefault("errors", {})["poison"] = {"after": 100, "stop": True}
        self.path = documents.write(t, text)
        self.watch = documents.Watch(t, self.source)
        self.fed = 0
        self.users = users
        self.pad = pad

    def feed(self, count):
        self.t.kafka.produce(self.source, rows(self.fed, count, self.users,
                                                   self.pad))
        self.fed += count

    def worker(self, *flags, **more):
        return documents.worker(self.t, self.path, *flags, "--shards", self.shards, **more)

    def crash(self, point, passes, **more):
        """Runs a worker until it kills itself at the point; fails if it did not, or had nothing
        to lose there."""
        before = sum(self.watch.committed().values())
        worker = self.worker(crash_at=f"{point}:{passes}", **more)
        worker.expect_exit(-9)
        self.demand_in_flight(f"{point}:{passes}")
        return sum(self.watch.committed().values()) - before

    def demand_in_flight(self, what):
        behind = self.watch.behind()
        if behind < IN_FLIGHT_MIN:
            raise AssertionError(f"the kill at {what} proves nothing: only {behind} of "
                                 f"{self.fed} input records were not committed yet")

    def finish(self, worker=None, **more):
        """Lets a worker commit all there is, ends it cleanly and judges what the cluster holds."""
        worker = worker or self.worker(**more)
        self.wait_done(worker)
        self.wait_recovered(worker)
        worker.terminate()
        self.judge()

    def wait_recovered(self, worker, limit_s=harness.WAIT_S):
        """Until each shard of it has recovered, as all may be done before: a SIGTERM before it runs
        would end it by the default action, and the state of a shard that has not recovered is that
        of the worker before."""
        for shard in range(self.shards):
            worker.wait_stderr(f"msg=recovered component=recovery shard={shard} ", limit_s)

    def wait_done(self, worker):
        def done():
            if not worker.running():
                raise AssertionError(f"{worker.name} ended (status {worker.popen.returncode}) "
                                     f"before all was committed:\n{worker.stderr()[-4000:]}")
            return self.watch.done()
        self.t.wait_until(done, "every input record is committed")

    def wait_committed(self, worker, count):
        """Until `count` more input records are committed than now."""
        goal = sum(self.watch.committed().values()) + count

        def reached():
            if not worker.running():
                raise AssertionError(f"{worker.name} ended (status {worker.popen.returncode}):\n"
                                     f"{worker.stderr()[-4000:]}")
            return sum(self.watch.committed().values()) >= goal
        self.t.wait_until(reached, f"{count} more records are committed")

    def follow(self):
        """The checker's concurrent reader; what it saw must agree with what is there at the end."""
        spec_path = self.t.write("spec.json", json.dumps(self.spec(), indent=1))
        return self.t.start(sys.executable, CHECK / "fetch.py", "--follow", "--bootstrap",
                            self.t.kafka.bootstrap, "--spec", spec_path, "--out",
                            self.t.folder / "check")

    def spec(self):
        common = {"group": documents.app_of(self.t), "inputs": [self.source],
                  "outputs": [self.sink]}
        if self.kind == "echo":
            return {**common, "workload": "echo", "tombstones": "pass", "partition": "murmur2",
                    "timestamp": "source"}
        return {**common, "workload": "aggregate", "emit": "every", "unchanged": "send",
                "columns": {"user_id": "text not null", "amount": "numeric(18,2)"}, "key": ["user_id"],
                "select": {"user_id": "user_id", "n": "count", "total": "sum:amount",
                           "low": "min:amount", "high": "max:amount"}, "state": True}

    def judge(self):
        """The independent checker over topics, offsets and state; fails with its words."""
        judge(self.t, self.spec(), self.state_dump() if self.kind == "running" else None)

    def state_dump(self):
        dump = self.t.folder / "state.jsonl"
        run = self.t.millrace("state", "dump", "--topology", self.path,
                              self.t.state_dir / documents.app_of(self.t))
        run.expect_exit(harness.EXIT_OK)
        dump.write_text(run.stdout())
        return dump


def judge(t, spec, state=None):
    spec_path = t.write("spec.json", json.dumps(spec, indent=1))
    where = t.folder / "check"
    fetch = [CHECK / "fetch.py", "--bootstrap", t.kafka.bootstrap, "--spec", spec_path, "--out",
             where]
    if state:
        fetch += ["--state", state]
    for words in (fetch, [CHECK / "judge.py", where]):
        run = subprocess.run([sys.executable, *map(str, words)], stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True)
        if run.returncode != 0:
            raise AssertionError(f"{pathlib.Path(words[0]).name} refuses the run:\n{run.stdout}")
    print(f"     {run.stdout.strip()}", flush=True)
