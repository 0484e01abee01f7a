"""The soak: random kills and pauses over random topologies, judged round by round.

A round has a broker, topics and a state directory of its own. Its topology, its load and what
happens to its worker are drawn from the seed and the number of the round, so `--seed S --first N`
draws round N again; when exactly the kernel and the broker do what they do is not drawn. Records
come all the while. Then the load ends, everything is committed, the worker ends by SIGTERM and the
independent checker recounts the whole.

A finding is: a worker that ended by itself (also after a pause longer than the transaction
timeout: it must go on), one that commits nothing for STALL_S_MAX although there is work, an end
that is not clean, or a word of the checker. Its folder is kept in build/failures/, with the
stacks of a worker that stands still. Exit 0 if nothing was found, 1 otherwise.
"""

import argparse
import collections
import json
import pathlib
import random
import signal
import subprocess
import sys
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from tests.fault import scenario
from tests.integration import documents
from tests.integration.documents import kafka_wire
from tests.support import harness

KINDS = ("echo", "every", "on_commit", "activity")
KILLS_MAX = 5
SHORT_PAUSES_MAX = 3
LONG_PAUSES_MAX = 2
SEED_MAX = 999_999
MALFORMED_EVERY = 50  # Of the topology that has a dead letter topic.
TIMEOUT_S = 3  # transaction_timeout of every round.
SHORT_S = (0.01, 1.5)  # A pause within the transaction timeout.
LONG_S = (TIMEOUT_S + 0.5, TIMEOUT_S + 2.5)  # One beyond it.
OPEN_TRIES_MAX = 20  # To stop the worker inside a transaction; each lets it run a bit longer.
OPEN_STEP_S = 0.01
EARLY_S = (0.0, 1.2)  # After the start of a worker: often in its recovery.
LATE_S = (0.0, 0.4)  # After a commit.
STALL_S_MAX = 60
END_S_MAX = 30
STACKS_S_MAX = 30
FINDINGS_MAX = 5  # So many folders say enough.

ACTIVITY_COLUMNS = {"user_id": "text not null", "event": "text not null", "page": "text",
                    "amount": "numeric(12,2)", "at": "timestamptz not null"}

# What is drawn for a round. events: (what, early, after_s, length_s) in their order; what is kill,
# pause or pause-kill (SIGKILL while it is stopped), length_s of the pauses.
# is_small: a log and a time that make bases of the state often.
Plan = collections.namedtuple("Plan", "number kind shards interval_ms records rate users follow "
                              "events is_small")
SMALL_STATE = {"wal_max": "4MiB", "checkpoint": "1s"}


def draw_plan(seed, number):
    """The plan of a round. Four rounds in a row have all four topologies, in a drawn order."""
    kinds = random.Random(f"{seed}/{(number - 1) // len(KINDS)}").sample(KINDS, len(KINDS))
    chance = random.Random(f"{seed}:{number}")
    lengths = [None] * chance.randint(1, KILLS_MAX)
    lengths += [chance.uniform(*SHORT_S) for _ in range(chance.randint(0, SHORT_PAUSES_MAX))]
    lengths += [chance.uniform(*LONG_S) for _ in range(chance.randint(1, LONG_PAUSES_MAX))]
    chance.shuffle(lengths)
    events = []
    for length_s in lengths:
        early = chance.random() < 0.5
        what = "kill" if length_s is None else chance.choice(["pause"] * 4 + ["pause-kill"])
        events.append((what, early, chance.uniform(*(EARLY_S if early else LATE_S)), length_s))
    return Plan(number, kinds[(number - 1) % len(KINDS)], chance.choice([1, 2]),
                chance.randint(20, 200), chance.choice([500, 5000, 200000]),
                chance.randint(1000, 3000), chance.choice([5, 200, 3000]), chance.random() < 0.5,
                events, chance.random() < 0.5)


def activity(t, source, sink, letters):
    """Filter, map and aggregate, with dead letters."""
    keys = {"topic": source, "format": "json", "key": ["user_id"], "schema": ACTIVITY_COLUMNS}
    steps = {
        "people": {"op": "filter", "from": "events", "where": "event <> 'heartbeat'"},
        "priced": {"op": "map", "from": "people",
                   "select": {"user_id": None, "amount": "coalesce(amount, 0)", "at": None}},
        "by_user": {"op": "aggregate", "from": "priced", "by": ["user_id"],
                    "select": {"user_id": None, "events": "count(*)", "spent": "sum(amount)",
                               "smallest": "min(amount)", "largest": "max(amount)",
                               "last_seen": "max(at)"}},
    }
    return documents.document(t, keys, steps, {"out": {"from": "by_user", "topic": sink}},
                              errors={"default": {"dlq": "rejected"}},
                              dlqs={"rejected": {"topic": letters}})


class Round(scenario.Scenario):
    """One round: the scenario of its plan, one worker at a time, what happened to it."""

    def __init__(self, t, plan):
        self.t, self.plan = t, plan
        self.kind = {"every": "running", "on_commit": "running"}.get(plan.kind, plan.kind)
        self.shards = plan.shards
        self.source, self.sink = t.topic("in"), t.topic("out")
        self.letters = t.topic("dlq") if plan.kind == "activity" else None
        text = self.document()
        text["commit"] = {"interval": f"{plan.interval_ms}ms", "records": plan.records,
                          "transaction_timeout": f"{TIMEOUT_S}s"}
        if plan.is_small:
            text["state"] = SMALL_STATE
        self.path = documents.write(t, text)
        self.watch = documents.Watch(t, self.source)
        self.fed = 0
        self.current = None
        self.counts = collections.Counter(rounds=1)
        self.began = time.monotonic()

    def document(self):
        if self.plan.kind == "activity":
            return activity(self.t, self.source, self.sink, self.letters)
        if self.plan.kind == "echo":
            return documents.echo(self.t, self.source, self.sink)
        return documents.running(self.t, self.source, self.sink, emit=self.plan.kind)

    def spec(self):
        if self.plan.kind == "activity":
            return {"workload": "aggregate", "group": documents.app_of(self.t),
                    "inputs": [self.source], "outputs": [self.sink], "dlq": self.letters,
                    "columns": ACTIVITY_COLUMNS, "key": ["user_id"],
                    "filter": [{"column": "event", "op": "<>", "value": "heartbeat"}],
                    "map": {"amount": ["coalesce", "amount", ["lit", 0]]}, "by": ["user_id"],
                    "select": {"user_id": "user_id", "events": "count", "spent": "sum:amount",
                               "smallest": "min:amount", "largest": "max:amount",
                               "last_seen": "max:at"},
                    "emit": "on_commit", "state": True}
        spec = super().spec()
        if self.plan.kind == "on_commit":
            spec.update(emit="on_commit", unchanged="skip")
        return spec

    def judge(self):
        scenario.judge(self.t, self.spec(), None if self.kind == "echo" else self.state_dump())

    def run(self):
        reader = self.follow() if self.plan.follow else None
        spoil = ["--malformed", MALFORMED_EVERY] if self.letters else []
        feed = self.t.start(harness.BUILD_DIR / "demo_feed", self.source, 10 ** 9, "--rate",
                            self.plan.rate, "--users", self.plan.users, *spoil)
        for event in self.plan.events:
            self.event(*event)
        self.advance(lambda _: True, "the worker goes on after the last kill or pause")
        feed.terminate()
        end = self.ends()
        self.advance(lambda committed: committed == end, "every input record is committed")
        self.wait_recovered(self.current, STALL_S_MAX)
        self.current.terminate(END_S_MAX)
        if reader:
            reader.terminate()
        self.judge()

    # ---- what happens to the worker ----

    def event(self, what, early, after_s, length_s):
        self.demand_worker()
        if not early:
            first = self.committed()
            self.advance(lambda committed: committed > first, f"a commit before the {what}")
        self.wait_for(after_s)
        if length_s is not None:
            self.pause(length_s, what == "pause-kill")
        else:
            self.kill()

    def demand_worker(self):
        if self.current is None:
            self.current = self.worker()
            self.say("start")

    def kill(self):
        self.counts["kills"] += 1
        self.counts["in_flight"] += self.watch.behind() > 0
        self.current.kill9()
        self.say("kill")
        self.current = None

    def pause(self, length_s, is_killed):
        """SIGSTOP, and SIGCONT or SIGKILL after it. A long one is tried until it stops the worker
        inside a transaction, and lasts until the broker has given that up; then the same process
        must commit again."""
        is_long = length_s > TIMEOUT_S
        self.counts["pauses"] += 1
        self.counts["long"] += is_long
        self.stop()
        was_open = is_long and self.is_open()
        for once_more in range(OPEN_TRIES_MAX if is_long else 0):
            if was_open:
                break
            self.current.signal(signal.SIGCONT)
            self.wait_for(OPEN_STEP_S * (once_more + 1))
            self.stop()
            was_open = self.is_open()
        self.say(f"pause of {length_s:.2f} s{', a transaction is open' if was_open else ''}")
        self.wait_for(length_s)
        if was_open:
            self.t.wait_until(lambda: not self.is_open(), "the broker gave up the transaction")
            self.counts["timed_out"] += 1
        if is_killed:
            self.kill()
            return
        first = self.committed()
        self.current.signal(signal.SIGCONT)
        self.say("goes on")
        if is_long:
            self.advance(lambda committed: committed > first,
                         f"the same process commits after a pause of {length_s:.2f} s")

    def stop(self):
        self.demand_running()
        self.current.signal(signal.SIGSTOP)
        self.t.wait_until(lambda: is_stopped(self.current.pid), f"{self.current.name} is stopped")

    def is_open(self):
        """Whether outputs or offsets of the application wait for the end of a transaction."""
        rows = self.watch.client.committed(self.watch.group, [self.source], stable=True)
        return any(row[5] for row in rows) or any(
            self.watch.ends(topic) != self.watch.ends(topic, kafka_wire.READ_COMMITTED)
            for topic in (self.sink, self.letters) if topic)

    # ---- waiting ----

    def committed(self):
        return sum(self.watch.committed().values())

    def ends(self):
        return sum(self.watch.ends().values())

    def demand_running(self):
        if not self.current.running():
            raise AssertionError(f"{self.current.name} ended by itself (status "
                                 f"{self.current.popen.returncode}):\n"
                                 f"{self.current.stderr()[-4000:]}")

    def wait_for(self, seconds):
        moment = time.monotonic() + seconds
        self.t.wait_until(lambda: time.monotonic() >= moment, "the drawn moment",
                          seconds + END_S_MAX)

    def advance(self, condition, what):
        """Until condition(committed input records); the worker must live and go on meanwhile."""
        self.demand_worker()
        most, deadline = -1, 0
        while True:
            committed = self.committed()
            if condition(committed):
                return
            self.demand_running()
            now = time.monotonic()
            if committed > most:
                most, deadline = committed, now + STALL_S_MAX
            if now > deadline:
                self.keep_stacks()
                raise AssertionError(
                    f"no progress within {STALL_S_MAX} s, waiting until: {what}; {committed} of "
                    f"{self.ends()} input records are committed; the end of the stderr of "
                    f"{self.current.name}:\n{self.current.stderr()[-2000:]}")
            time.sleep(harness.POLL_S)

    def keep_stacks(self):
        """Where the threads of a worker stand that does not go on; gdb if there is one."""
        try:
            text = subprocess.run(["gdb", "-p", str(self.current.pid), "-batch", "-ex",
                                   "thread apply all backtrace 30"], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                  errors="replace", timeout=STACKS_S_MAX).stdout
        except (OSError, subprocess.TimeoutExpired) as error:
            text = f"no stacks: {error}\n"
        self.t.write("stacks.txt", text)

    def say(self, text):
        """A line of the kept story: when, to whom, what, and how far the input was."""
        who = self.current.name if self.current else "-"
        line = (f"{time.monotonic() - self.began:8.3f} s  {who}  {text}; committed "
                f"{self.committed()} of {self.ends()}\n")
        with open(self.t.folder / "story.txt", "a", encoding="utf-8") as story:
            story.write(line)


def is_stopped(pid):
    state = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return state == "T"


def describe(plan):
    return (f"round {plan.number}: {plan.kind}, {plan.shards} shard{'s' * (plan.shards > 1)}, "
            f"commit {plan.interval_ms} ms or {plan.records} records, {plan.rate} records/s of "
            f"{plan.users} users{', bases' if plan.is_small else ''}"
            f"{', a reader beside it' if plan.follow else ''}")


def run_round(seed, plan, counts):
    """One round; returns the kept folder if something was found, else None. Adds to counts."""
    print(describe(plan), flush=True)
    began = time.monotonic()
    case, this = harness.Case(f"soak-{plan.number}"), None
    try:
        with case as t:
            t.write("plan.json", json.dumps({"seed": seed, **plan._asdict()}, indent=1) + "\n")
            t.private_broker()
            this = Round(t, plan)
            this.run()
            this.counts["records"] = this.ends()
    except harness.kafka_service.ServiceError:
        raise
    except Exception:
        traceback.print_exc(file=sys.stdout)
        return harness.FAILURES / case.folder.name
    finally:
        if this:
            counts.update(this.counts)
            print(f"     {this.counts['kills']} kills, {this.counts['pauses']} pauses "
                  f"({this.counts['long']} long), {time.monotonic() - began:.0f} s", flush=True)
    return None


def verdict(seed, counts, findings, trouble):
    """The last line: what was found, in what, with which seed."""
    if findings:
        kept = ", ".join(str(folder.relative_to(harness.ROOT)) for folder in findings)
        word = f"{len(findings)} FOUND, kept in {kept}"
    elif trouble:
        word = "NOT PROVED"
    else:
        word = "nothing found"
    if trouble:
        word += f" ({trouble})"
    return (f"soak: {word}; seed {seed}, {counts['rounds']} rounds, {counts['records']} records, "
            f"{counts['kills']} kills ({counts['in_flight']} with records in flight), "
            f"{counts['pauses']} pauses ({counts['long']} longer than the transaction timeout, "
            f"{counts['timed_out']} of them on an open transaction)")


def soak(arguments):
    counts, findings, trouble = collections.Counter(), [], ""
    deadline = time.monotonic() + arguments.minutes * 60
    number = arguments.first
    try:
        while time.monotonic() < deadline and len(findings) < FINDINGS_MAX:
            kept = run_round(arguments.seed, draw_plan(arguments.seed, number), counts)
            findings += [kept] if kept else []
            number += 1
    except harness.kafka_service.ServiceError as error:
        trouble = f"stopped: {error}"
    except SystemExit as end:
        trouble = f"interrupted by {signal.Signals(end.code - 128).name}"
    print(verdict(arguments.seed, counts, findings, trouble), flush=True)
    return 1 if findings or trouble else 0


def main():
    parser = argparse.ArgumentParser(prog="./dev soak", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, required=True,
                        help="no round begins later; the one in hand ends")
    parser.add_argument("--seed", type=int, help=f"what is drawn; default: one of 1 to {SEED_MAX}")
    parser.add_argument("--first", type=int, default=1, help="number of the first round (1)")
    arguments = parser.parse_args()
    if not arguments.minutes > 0 or arguments.first < 1:
        parser.error("--minutes must be above 0 and --first at least 1")
    if arguments.seed is None:
        arguments.seed = random.SystemRandom().randint(1, SEED_MAX)
    for name in ("millrace", "demo_feed"):
        if not (harness.BUILD_DIR / name).exists():
            sys.exit(f"soak: {harness.BUILD_DIR / name} is missing; ./dev soak builds it")
    # What is kept names this seed; a terminated run takes its processes and broker with it.
    harness.SEED = arguments.seed
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda got, _: sys.exit(128 + got))
    print(f"soak: seed {arguments.seed}, {arguments.minutes:g} minutes", flush=True)
    return soak(arguments)


if __name__ == "__main__":
    sys.exit(main())
