"""The demo: a topology on a real Kafka, killed twice while it works, counted exactly once.

`./dev demo` runs it; `--check` is for scripts. README.md says what happens. What the table shows
comes from Kafka, read over a connection of our own; the worker's word is not asked for. The topics
store values uncompressed, because the independent checker reads only what Python's library can.
"""
import argparse
import ctypes
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests" / "check")]
import kafka
import kafka_install
import kafka_wire

BUILD = pathlib.Path(os.environ.get("MR_BUILD_DIR") or ROOT / "build" / "release")
WORK = ROOT / "build" / "demo"
CHECK = ROOT / "tests" / "check"
TOPOLOGY = ROOT / "topologies" / "activity.yaml"
APP, EVENTS, BY_USER, DLQ = "activity", "activity.events", "activity.by_user", "activity.dlq"
PARTITIONS = 4
SHARDS = 2

STEADY, RATE = 120000, 8000  # Events of the steady stream, and how many a second.
RUSH = 20000  # Events that arrive at once when a kill is due.
MALFORMED_EVERY = 2000
KILLS_AT = (0.3, 0.65)  # Of the steady stream.
IN_FLIGHT_MIN = 1000  # A kill that hits less proves nothing.
ROW_S = 1.0
POLL_S = 0.005
WAIT_S_MAX = 60

SPEC = {
    "workload": "aggregate", "group": APP, "inputs": [EVENTS], "outputs": [BY_USER], "dlq": DLQ,
    "columns": {"user_id": "text not null", "event": "text not null", "page": "text",
                "amount": "numeric(12,2)", "at": "timestamptz not null"},
    "key": ["user_id"],
    "filter": [{"column": "event", "op": "<>", "value": "heartbeat"}],
    "map": {"amount": ["coalesce", "amount", ["lit", 0]]},
    "by": ["user_id"],
    "select": {"user_id": "user_id", "events": "count", "spent": "sum:amount",
               "smallest": "min:amount", "largest": "max:amount", "last_seen": "max:at"},
    "emit": "on_commit", "state": True,
}


class DemoError(Exception):
    """The demo cannot go on; the text says what was expected and what was seen."""


def die_with_parent():
    """Runs in the child: whatever ends us ends it too."""
    ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL)  # 1 = PR_SET_PDEATHSIG


def thousands(number):
    return f"{number:,}".replace(",", " ")


class Demo:
    def __init__(self, is_check):
        self.bold = ("\033[1m", "\033[0m") if sys.stdout.isatty() and not is_check else ("", "")
        self.broker = kafka.Broker(kafka_install.ensure(), "demo", owned=True)
        self.client = None
        self.children = []
        self.worker = None
        self.kills = 0
        self.began = time.monotonic()
        self.next_row = 0.0

    def say(self, text):
        print(f"{self.bold[0]}{text}{self.bold[1]}", flush=True)

    # ---- processes ----

    def start(self, name, *words):
        environment = dict(os.environ, **self.broker.environment(),
                           KAFKA_BROKERS=self.broker.bootstrap)
        with open(WORK / f"{name}.log", "ab") as log:
            child = subprocess.Popen([str(word) for word in words], env=environment, stdout=log,
                                     stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
                                     preexec_fn=die_with_parent)
        self.children.append(child)
        return child

    def start_worker(self):
        self.worker = self.start(
            "worker", BUILD / "millrace", "run", TOPOLOGY,
            "--partitions", f"0-{PARTITIONS - 1}", "--shards", SHARDS, "--state-dir",
            WORK / "state", "--allow-client-version", "--progress")

    def feed(self, name, count, first, *options):
        return self.start(name, BUILD / "demo_feed", EVENTS, count, "--first", first, "--malformed",
                          MALFORMED_EVERY, *options)

    def tool(self, *words):
        run = subprocess.run([str(kafka.kafka_tool()), *map(str, words)], text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             env=dict(os.environ, **self.broker.environment()))
        if run.returncode != 0:
            raise DemoError(run.stdout.strip())

    def close(self):
        for child in self.children:
            if child.poll() is None:
                child.kill()
            child.wait()
        if self.client:
            self.client.close()
        self.broker.stop()

    # ---- what Kafka says ----

    def ends(self, topic, isolation=kafka_wire.READ_COMMITTED):
        return sum(self.client.list_offset(topic, p, isolation=isolation)
                   for p in range(PARTITIONS))

    def committed(self):
        rows = self.client.committed(APP, [EVENTS], stable=False)
        return sum(max(row[2], 0) for row in rows)

    def row(self, is_due=False):
        """One line of the table, at most one a second unless it is due. Returns (fed, committed)."""
        committed = self.committed()
        fed = self.ends(EVENTS)
        now = time.monotonic()
        if is_due or now >= self.next_row:
            self.next_row = now + ROW_S
            print(f"  {now - self.began:5.1f} s {thousands(fed):>12} {thousands(committed):>12} "
                  f"{thousands(fed - committed):>10} {thousands(self.ends(BY_USER)):>14} "
                  f"{self.kills:>6}", flush=True)
        return fed, committed

    def demand_alive(self):
        if self.worker.poll() is not None:
            raise DemoError(f"the worker ended by itself, with status {self.worker.returncode}:\n"
                            + tail(WORK / "worker.log"))

    def wait(self, condition, what):
        """Shows the table until condition(fed, committed) holds."""
        deadline = time.monotonic() + WAIT_S_MAX
        while True:
            self.demand_alive()
            fed, committed = self.row()
            if condition(fed, committed):
                return fed, committed
            if time.monotonic() > deadline:
                raise DemoError(f"not within {WAIT_S_MAX} s: {what}\n" + tail(WORK / "worker.log"))
            time.sleep(POLL_S)

    # ---- the show ----

    def prepare(self):
        shutil.rmtree(WORK, ignore_errors=True)
        WORK.mkdir(parents=True)
        seconds = self.broker.start()
        self.client = kafka_wire.Client(self.broker.bootstrap)
        for topic in (EVENTS, BY_USER, DLQ):
            self.tool("create", topic, PARTITIONS, "compression.type=uncompressed")
        self.say(f"1. Kafka at {self.broker.bootstrap}, ready after {seconds:.1f} s; "
                 f"3 topics with {PARTITIONS} partitions")

    def kill(self, first):
        """A rush of events, and kill -9 while the worker is in the middle of them."""
        self.feed("rush", RUSH, first)
        deadline = time.monotonic() + WAIT_S_MAX
        while True:
            self.demand_alive()
            in_flight = self.ends(EVENTS) - self.committed()
            if in_flight >= IN_FLIGHT_MIN:
                break
            if time.monotonic() > deadline:
                raise DemoError(f"the worker never had {IN_FLIGHT_MIN} events in flight")
            time.sleep(POLL_S)
        self.worker.kill()
        self.worker.wait()
        self.kills += 1
        committed = self.committed()
        in_flight = self.ends(EVENTS) - committed
        if in_flight < IN_FLIGHT_MIN:
            raise DemoError(f"the kill came too late: only {in_flight} events were not committed")
        hidden = self.ends(BY_USER, kafka_wire.READ_UNCOMMITTED) - self.ends(BY_USER)
        left_open = f", {thousands(hidden)} records in an open transaction" if hidden else ""
        self.say(f"  kill -9 ({self.kills} of {len(KILLS_AT)}): {thousands(in_flight)} events read "
                 f"or waiting but not committed{left_open}")
        began = time.monotonic()
        self.start_worker()
        self.wait(lambda _, now: now > committed, "the worker recovers and commits again")
        self.say(f"  restarted: recovered, and commits again after "
                 f"{time.monotonic() - began:.1f} s")

    def show(self):
        self.say(f"2. Feeding {RATE} events a second; millrace counts them by user "
                 f"({SHARDS} shards, state on disk)")
        print(f"  {'time':>7} {'events in':>12} {'committed':>12} {'lag':>10} "
              f"{'counts out':>14} {'kills':>6}", flush=True)
        feed = self.feed("feed", STEADY, 0, "--rate", RATE)
        self.start_worker()
        rushed = 0
        for share in KILLS_AT:
            goal = int(share * STEADY) + rushed
            self.wait(lambda fed, now: fed >= goal and now > 0, f"{goal} events are fed")
            self.kill(STEADY + rushed)
            rushed += RUSH
        total = STEADY + rushed
        self.wait(lambda fed, now: fed == total and now == total, "everything is committed")
        self.row(is_due=True)
        if any(child.wait() != 0 for child in self.children if child.args[0].endswith("feed")) \
                or feed.returncode != 0:
            raise DemoError("the feed failed:\n" + tail(WORK / "feed.log"))
        self.worker.send_signal(signal.SIGTERM)
        if self.worker.wait(WAIT_S_MAX) != 0:
            raise DemoError(f"SIGTERM ended the worker with status {self.worker.returncode}:\n"
                            + tail(WORK / "worker.log"))
        self.say("3. Everything is committed; the worker ended cleanly")

    def judge(self):
        """The independent checker. Returns whether its verdict is good."""
        self.say("4. The independent checker reads the raw logs, recounts and compares")
        (WORK / "spec.json").write_text(json.dumps(SPEC, indent=1) + "\n")
        with open(WORK / "state.jsonl", "wb") as out:
            run = subprocess.run([str(BUILD / "millrace"), "state", "dump",
                                  str(WORK / "state" / APP), "--topology", str(TOPOLOGY)],
                                 stdout=out, stderr=subprocess.PIPE)
        if run.returncode != 0:
            raise DemoError(f"millrace state dump: {run.stderr.decode().strip()}")
        for words in ([CHECK / "fetch.py", "--bootstrap", self.broker.bootstrap, "--spec",
                       WORK / "spec.json", "--out", WORK / "check", "--state",
                       WORK / "state.jsonl"],
                      [CHECK / "judge.py", WORK / "check"]):
            run = subprocess.run([sys.executable, *map(str, words)], stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, text=True)
            if run.returncode != 0:
                print(run.stdout)
                return False
        print(f"  {run.stdout.strip()}")
        self.explain(dict(word.split("=") for word in run.stdout.split() if "=" in word))
        return True

    def explain(self, counts):
        inputs, filtered = int(counts["inputs"]), int(counts["filtered"])
        dead = int(counts["dead_letters"])
        self.say(f"  {thousands(inputs)} events in = {thousands(inputs - filtered - dead)} counted "
                 f"+ {thousands(filtered)} heartbeats filtered + {thousands(dead)} malformed, as "
                 f"dead letters")
        self.say(f"  EVERY INPUT RECORD IS COUNTED EXACTLY ONCE, after {self.kills} kills "
                 f"({time.monotonic() - self.began:.0f} s)")


def tail(path):
    return "\n".join(path.read_text(errors="replace").splitlines()[-30:])


def interrupted(number, _frame):
    sys.exit(128 + number)


def main():
    parser = argparse.ArgumentParser(prog="./dev demo")
    parser.add_argument("--check", action="store_true", help="plain text, for scripts")
    arguments = parser.parse_args()
    for name in ("millrace", "demo_feed"):
        if not (BUILD / name).exists():
            sys.exit(f"demo: {BUILD / name} is missing; ./dev demo builds it")
    # Both ends unwind through close(): nothing we started stays behind.
    signal.signal(signal.SIGTERM, interrupted)
    signal.signal(signal.SIGINT, interrupted)
    demo = Demo(arguments.check)
    is_good = False
    try:
        demo.prepare()
        demo.show()
        is_good = demo.judge()
    except (DemoError, kafka.ServiceError, kafka_wire.WireError, kafka_wire.KafkaError,
            subprocess.TimeoutExpired) as error:
        print(f"demo: {error}", file=sys.stderr)
    finally:
        demo.close()
    if is_good:
        shutil.rmtree(WORK, ignore_errors=True)
        shutil.rmtree(demo.broker.folder, ignore_errors=True)
    else:
        print(f"demo: NOT PROVED; logs and data are kept in {WORK.relative_to(ROOT)} and "
              f"{demo.broker.folder.relative_to(ROOT)}", file=sys.stderr)
    sys.exit(0 if is_good else 1)


if __name__ == "__main__":
    main()
