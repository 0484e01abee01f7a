"""The topologies that are shipped, as they stand in the folder: fixed input, and an output worked
out here by other means. Each runs straight, and again with a kill and two shards."""
# CTEST: TIMEOUT=180
import collections
import decimal
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.integration import documents
from tests.support import harness

TOPOLOGIES = documents.ROOT / "topologies"
RECORDS = 3000
USERS = 60


class Shipped:
    """One file of topologies/ with topics of its own; names: the variables of the file."""

    def __init__(self, t, name, records, source, sink, **more):
        self.t, self.records, self.name = t, records, name
        self.source, self.sink = t.topic("in"), t.topic("out")
        self.group = documents.app_of(t)
        self.env = {f"{name.upper()}_APP": self.group, source: self.source, sink: self.sink,
                    "KAFKA_BROKERS": t.kafka.bootstrap,
                    **{key: t.topic(role) for key, role in more.items()}}

    def worker(self, shards, **more):
        return self.t.worker(TOPOLOGIES / f"{self.name}.yaml", "--partitions", "0-3", "--shards",
                             shards, env=self.env, **more)

    def committed(self):
        return sum(at.offset for at in self.t.kafka.offsets(self.group, self.source).values() if at)

    def straight(self):
        self.t.kafka.produce(self.source, self.records)
        worker = self.worker(1)
        self.t.wait_until(lambda: self.committed() == len(self.records), "all is committed")
        worker.terminate()

    def killed(self):
        """The first third is committed, the second may be under way when the worker is killed."""
        third = len(self.records) // 3
        worker = self.worker(2)
        self.t.kafka.produce(self.source, self.records[:third])
        self.t.wait_until(lambda: self.committed() == third, "a third is committed")
        self.t.kafka.produce(self.source, self.records[third:2 * third])
        worker.kill9()
        self.t.kafka.produce(self.source, self.records[2 * third:])
        worker = self.worker(2)
        self.t.wait_until(lambda: self.committed() == len(self.records), "all is committed")
        worker.terminate()


    def written(self):
        """The output: a commit is answered before the last transaction can be seen."""
        ends = self.t.kafka.ends
        self.t.wait_until(lambda: ends(self.sink) == ends(self.sink, "--uncommitted"),
                          "every transaction is decided")
        return self.t.kafka.read(self.sink)


def by_partition(records):
    """{partition: [(key, value)]} in the order of the log."""
    found = collections.defaultdict(list)
    for record in records:
        found[record.partition].append((record.key, record.value))
    return found


def by_key(records):
    """{key: [value]} in the order of the log."""
    found = collections.defaultdict(list)
    for record in records:
        found[record.key].append(record.value)
    return found


def echo(t):
    return Shipped(t, "echo", [(f"k{n % USERS}", f"value {n}") for n in range(RECORDS)],
                   "ECHO_IN", "ECHO_OUT")


def check_echo(t, app):
    assert by_partition(app.written()) == by_partition(t.kafka.read(app.source))


def running(t):
    return Shipped(t, "running", [(f"a{n % USERS}", json.dumps(
        {"account": f"a{n % USERS}", "amount": n * 7919 % 2001 - 1000})) for n in range(RECORDS)],
        "RUNNING_IN", "RUNNING_OUT")


def check_running(t, app):
    got = by_key(app.written())
    for key, values in by_key(t.kafka.read(app.source)).items():
        amounts = [json.loads(value)["amount"] for value in values]
        want = [{"account": key.decode(), "payments": n, "total": sum(amounts[:n]),
                 "largest": max(amounts[:n])} for n in range(1, len(amounts) + 1)]
        assert [json.loads(value) for value in got[key]] == want, key
    assert len(got) == USERS


def activity(t):
    rows = []
    for n in range(RECORDS):
        user, what = f"u{n * 7 % USERS}", ("view", "purchase", "heartbeat", "click")[n % 4]
        row = {"user_id": user, "event": what, "page": f"/p/{n % 9}",
               "at": f"2026-01-01T00:{n // 60:02}:{n % 60:02}Z"}
        if what == "purchase":
            row["amount"] = f"{n % 100}.{n % 90 + 10}"
        rows.append((user, "no JSON" if n % 100 == 99 else json.dumps(row)))
    return Shipped(t, "activity", rows, "ACTIVITY_EVENTS", "ACTIVITY_BY_USER",
                   ACTIVITY_DLQ="dead")


def check_activity(t, app):
    want = collections.defaultdict(list)
    bad = []
    for record in t.kafka.read(app.source):
        try:
            row = json.loads(record.value)
        except ValueError:
            bad.append((record.key, record.value))
            continue
        if row["event"] != "heartbeat":
            want[record.key].append((decimal.Decimal(row.get("amount", 0)), row["at"]))
    got = {key: json.loads(values[-1], parse_float=decimal.Decimal)
           for key, values in by_key(app.written()).items()}
    assert set(got) == set(want)
    for key, rows in want.items():
        amounts = [amount for amount, _ in rows]
        assert got[key] == {"user_id": key.decode(), "events": len(rows), "spent": sum(amounts),
                            "smallest": min(amounts), "largest": max(amounts),
                            "last_seen": max(at for _, at in rows)}, (key, got[key])
    dead = t.kafka.read(t.topic("dead"))
    assert sorted((r.key, r.value) for r in dead) == sorted(bad) and len(bad) == RECORDS // 100


def test_echo(t):
    app = echo(t)
    app.straight()
    check_echo(t, app)


def test_echo_killed_with_two_shards(t):
    app = echo(t)
    app.killed()
    check_echo(t, app)


def test_running(t):
    app = running(t)
    app.straight()
    check_running(t, app)


def test_running_killed_with_two_shards(t):
    app = running(t)
    app.killed()
    check_running(t, app)


def test_activity(t):
    app = activity(t)
    app.straight()
    check_activity(t, app)


def test_activity_killed_with_two_shards(t):
    app = activity(t)
    app.killed()
    check_activity(t, app)


harness.main(globals())
