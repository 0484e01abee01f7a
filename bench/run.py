"""The benchmarks: `./dev bench foundation [--quick]`. README.md says what each figure means.

A broker of its own on core 0, one program at a time on core 1, inputs preloaded; pairs of millrace
and the plain program in the order A B B A; equal outputs proved by a fingerprint of what a
read_committed reader sees. A table on stdout, one JSON line a run appended to results.jsonl.
"""
import argparse
import json
import os
import pathlib
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests" / "check"), str(ROOT / "bench")]
import kafka
import kafka_install
import kafka_wire
import flat
import measure

BUILD = pathlib.Path(os.environ.get("MR_BUILD_DIR") or ROOT / "build" / "release")
RESULTS = ROOT / "bench" / "results.jsonl"
WORK = ROOT / "build" / "bench"
PARTITIONS = 4
COMMIT_MS = 100
SEED = 1
PAIRS, PAIRS_QUICK = 10, 3
OTHER_CPU_MAX = 0.1  # Cores that other processes may use before a run is doubtful.
CALIBRATION_DRIFT_MAX = 0.15


class Workload:
    def __init__(self, name, label, query, kind, records, records_quick, last=False, job=None,
                 partitions=PARTITIONS, size=None):
        self.name, self.label, self.query, self.kind = name, label, query, kind
        self.records, self.records_quick = records, records_quick
        self.last = last  # Compare the last record of each key, not every record.
        self.job = job or name  # Its topology, and what the plain program is told to do.
        self.partitions = partitions
        self.size = size  # Bytes of a raw value, or number of keys; None: the generator's.

    def count(self, quick, scale):
        return int((self.records_quick if quick else self.records) * scale)


WORKLOADS = [
    Workload("pass", "W1", "q0", "raw", 12_000_000, 2_000_000),
    Workload("q2", "W2", "q2", "bids", 20_000_000, 5_000_000),
    Workload("count", "W3", "keyed count, 1 M keys", "keyed", 15_000_000, 3_000_000, last=True),
]


def say(text):
    print(text, flush=True)


def both_cores():
    os.sched_setaffinity(0, range(os.cpu_count()))


class Campaign:
    """One call of this program: broker, inputs, runs, lines."""

    def __init__(self, arguments):
        self.quick = arguments.quick
        self.scale = arguments.scale
        self.pairs_given = arguments.pairs is not None
        self.work = WORK
        self.pairs = arguments.pairs or (PAIRS_QUICK if self.quick else PAIRS)
        self.name = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        self.broker = kafka.Broker(kafka_install.ensure(), "bench", profile="bench", owned=True)
        self.head = {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain")),
                     "machine": machine()}
        self.client = None
        self.first_calibration = None
        self.rows = []

    def open(self):
        shutil.rmtree(WORK, ignore_errors=True)
        WORK.mkdir(parents=True)
        seconds = self.broker.start()
        self.client = kafka_wire.Client(self.broker.bootstrap, timeout_s=60)
        self.client.call(self.client.bootstrap, "ApiVersions", kafka_wire.Writer())
        say(f"broker on core 0, ready after {seconds:.1f} s; programs on core 1")

    def close(self):
        if self.client:
            self.client.close()
        self.broker.stop()
        shutil.rmtree(self.broker.folder, ignore_errors=True)
        shutil.rmtree(WORK, ignore_errors=True)

    def tool(self, name, *words):
        environment = dict(os.environ, **self.broker.environment())
        path = kafka.kafka_tool() if name == "kafka_tool" else BUILD / name
        run = subprocess.run([str(path), *map(str, words)], env=environment, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             preexec_fn=both_cores)
        if run.returncode != 0:
            raise measure.RunError(f"{name}: {run.stderr.strip()}")
        return run.stdout.strip()

    # ---- one workload ----

    def workload(self, w):
        total = w.count(self.quick, self.scale)
        source = self.fill(w, total)
        reference = self.fingerprint(source, w) if w.name == "pass" else None
        rows = []
        self.one(w, source, total, "warm", "plain")  # The broker's JIT, the page cache: not counted.
        for pair in range(self.pairs):
            order = ("millrace", "plain") if pair % 2 == 0 else ("plain", "millrace")
            two = {engine: self.one(w, source, total, pair, engine) for engine in order}
            rows.append(self.judge(w, pair, two, reference))
        self.tool("kafka_tool", "delete", source)
        self.rows.append((w, total, rows))

    def fill(self, w, total):
        """Makes the input topic and writes `total` records. Returns its name."""
        source = f"bench.{w.name}.in"
        self.tool("kafka_tool", "create", source, w.partitions)
        shape = [] if w.size is None else [w.size]
        say(f"\n{w.name}: {self.tool('bench_gen', source, w.kind, total, *shape)}")
        return source

    def fingerprint(self, topic, w):
        words = self.tool("bench_count", topic, *(["--last"] if w.last else [])).split()
        return dict(word.split("=") for word in words)

    def one(self, w, source, total, pair, engine, compare=True, **more):
        """One run. compare: whether its output is read for a fingerprint; more: environment."""
        sink = f"bench.{w.name}.out.{pair}.{engine}"
        app = f"bench-{w.name}-{engine}-{pair}-{self.name.lower()}"
        state = WORK / f"state-{engine}"
        self.tool("kafka_tool", "create", sink, w.partitions)
        self.client.refresh([source])
        environment = dict(os.environ, **self.broker.environment(), BENCH_APP=app, BENCH_IN=source,
                           BENCH_OUT=sink, KAFKA_BROKERS=self.broker.bootstrap, **more)
        if engine == "millrace":
            words = self.millrace_words(w, state)
        else:
            words = [BUILD / "bench_copy", w.job, source, sink, app, COMMIT_MS]

        committed = self.committed_of(app, source)
        measure.wait_quiet(self.broker.pid)
        before = measure.calibrate()
        result = measure.run(words, environment, committed, total, self.broker.pid,
                             WORK / f"{engine}.log", ends_itself=engine == "plain")
        measure.wait_quiet(self.broker.pid)
        after = measure.calibrate()
        self.first_calibration = self.first_calibration or before
        result.calibration = [before / self.first_calibration, after / self.first_calibration]
        if abs(after / before - 1) > CALIBRATION_DRIFT_MAX and not result.why_invalid:
            result.why_invalid = "the machine's speed changed during the run"
        if result.other_cpu > OTHER_CPU_MAX and not result.why_invalid:
            result.why_invalid = f"other processes used {result.other_cpu:.2f} cores"
        result.output = self.fingerprint(sink, w) if compare else None
        result.disk_bytes = sum(f.stat().st_size for f in state.rglob("*") if f.is_file())
        shutil.rmtree(state, ignore_errors=True)
        self.tool("kafka_tool", "delete", sink)
        return result

    def millrace_words(self, w, state):
        return [BUILD / "millrace", "run", ROOT / "bench" / "topologies" / f"{w.job}.yaml",
                "--partitions", f"0-{w.partitions - 1}", "--shards", 1, "--state-dir", state,
                "--allow-client-version"]

    def committed_of(self, app, source):
        """A function that asks how many input records the group has committed."""
        self.client.refresh([source])

        def ask():
            rows = self.client.committed(app, [source], stable=False)
            return sum(max(row[2], 0) for row in rows)
        return ask

    def judge(self, w, pair, two, reference):
        """Compares the outputs of a pair, prints it, writes its lines."""
        hashes = {r.output["hash"] for r in two.values()}
        if reference:
            hashes.add(reference["hash"])
        equal = len(hashes) == 1
        for engine, result in two.items():
            if not equal:
                result.why_invalid = "the outputs differ"
            say(f"  pair {pair + 1} {engine:<9} {result.events_per_s / 1000:7.0f} k/s  "
                f"{result.program_ns:6.0f} ns  broker {result.broker_ns:5.0f} ns  "
                f"out {result.output['records']}  {result.output['hash']}"
                + (f"  INVALID: {result.why_invalid}" if result.why_invalid else ""))
            self.append(w, pair, engine, result, two["plain"], equal)
        return two

    def append(self, w, pair, engine, result, plain, equal):
        roof = 100 * result.events_per_s / plain.events_per_s if plain.events_per_s else None
        line = {
            "v": 1, "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "commit": self.head["commit"], "dirty": self.head["dirty"], "campaign": self.name,
            "quick": self.quick, "pair": pair + 1, "slot": "A" if engine == "millrace" else "B",
            "workload": w.label, "query": w.query, "engine": engine,
            "version": version(engine), "config": "R",
            "params": {"commit_ms": COMMIT_MS, "partitions": w.partitions, "seed": SEED,
                       "n": w.count(self.quick, self.scale)},
            "machine": self.head["machine"], "events": result.events,
            "seconds": round(result.seconds, 3), "events_per_s": round(result.events_per_s),
            "cpu_ns_event": {"engine": round(result.program_ns, 1),
                             "broker": round(result.broker_ns, 1)},
            "roof_pct": roof and round(roof, 1), "latency_us": None, "commit_us": None,
            "rss_bytes": result.rss_bytes, "disk_bytes": result.disk_bytes,
            "noise": {"other_cpu": round(result.other_cpu, 3), "steal": round(result.steal, 4),
                      "calib": [round(c, 3) for c in result.calibration],
                      "foreign_write_mb": None},
            "records_out": int(result.output["records"]), "result_hash": result.output["hash"],
            "result_sha256": None, "reference": "equal" if equal else "differs",
            "valid": result.why_invalid is None, "why_invalid": result.why_invalid}
        with open(RESULTS, "a", encoding="utf-8") as file:
            file.write(json.dumps(line, separators=(",", ":")) + "\n")

    # ---- the table ----

    def table(self):
        say("\nthis machine, this hour" + ("; quick: never a claim" if self.quick else ""))
        say(f"{'':<22}{'k records/s':>20}  {'program ns':>10}  {'broker ns':>9}  {'valid':>6}")
        for w, total, rows in self.rows:
            say(f"{w.name}, {total} records")
            for engine in ("millrace", "plain"):
                say(row_text(engine, [two[engine] for two in rows]))
            say(ratio_text(rows))

    def all_valid(self):
        return all(r.why_invalid is None for _, _, rows in self.rows for two in rows
                   for r in two.values())

    def outputs_equal(self):
        return not any(r.why_invalid == "the outputs differ" for _, _, rows in self.rows
                       for two in rows for r in two.values())


def row_text(engine, results):
    good = [r for r in results if r.why_invalid is None]
    if not good:
        return f"  {engine:<20}{'-':>20}  {'-':>10}  {'-':>9}  {0:>3}/{len(results)}"
    rates = sorted(r.events_per_s / 1000 for r in good)
    text = f"{rates[0]:.0f} / {statistics.median(rates):.0f} / {rates[-1]:.0f}"
    return (f"  {engine:<20}{text:>20}  {statistics.median(r.program_ns for r in good):>10.0f}  "
            f"{statistics.median(r.broker_ns for r in good):>9.0f}  {len(good):>3}/{len(results)}")


def ratio_text(rows):
    pairs = [two for two in rows if all(r.why_invalid is None for r in two.values())]
    if not pairs:
        return "  millrace / plain      no valid pair"
    rate = sorted(two["millrace"].events_per_s / two["plain"].events_per_s for two in pairs)
    cpu = sorted(two["millrace"].program_ns / two["plain"].program_ns for two in pairs)
    return (f"  millrace / plain      rate {statistics.median(rate):.2f} ({rate[0]:.2f}-"
            f"{rate[-1]:.2f}), CPU {statistics.median(cpu):.2f} ({cpu[0]:.2f}-{cpu[-1]:.2f}), "
            f"outputs equal")


def git(*words):
    run = subprocess.run(["git", *words], cwd=ROOT, stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL, text=True)
    return run.stdout.strip() or None


def version(engine):
    if engine == "plain":
        return "librdkafka by hand"
    run = subprocess.run([str(BUILD / "millrace"), "version"], stdout=subprocess.PIPE, text=True)
    return run.stdout.splitlines()[0] if run.stdout else None


def machine():
    cpu = next((line.partition(":")[2].strip() for line
                in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")), platform.machine())
    fs = subprocess.run(["stat", "-f", "-c", "%T", str(ROOT)], stdout=subprocess.PIPE, text=True)
    return {"cpu": cpu, "cores": os.cpu_count(), "kernel": platform.release(),
            "fs": fs.stdout.strip()}


def main():
    parser = argparse.ArgumentParser(prog="./dev bench")
    parser.add_argument("group", choices=["foundation", "flat"])
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD",
                        help="of " + ", ".join(w.name for w in WORKLOADS) + "; flat: of "
                        + ", ".join(flat.SWEEPS) + "; default: all")
    parser.add_argument("--quick", action="store_true", help="three short pairs, never a claim")
    parser.add_argument("--pairs", type=int, help=f"pairs of runs ({PAIRS}; quick: {PAIRS_QUICK})")
    parser.add_argument("--scale", type=float, default=1.0, help="factor on the number of records")
    arguments = parser.parse_intermixed_args()
    known = flat.SWEEPS if arguments.group == "flat" else {w.name for w in WORKLOADS}
    unknown = set(arguments.workloads) - set(known)
    if unknown:
        parser.error(f"no workload {', '.join(sorted(unknown))}")
    if (os.cpu_count() or 1) < 2:
        sys.exit("bench: two cores are needed, one for the broker and one for the program")
    for name in ("millrace", "bench_copy", "bench_gen", "bench_count"):
        if not (BUILD / name).exists():
            sys.exit(f"bench: {BUILD / name} is missing; ./dev bench builds it")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    os.sched_setaffinity(0, {0})
    campaign = Campaign(arguments)
    try:
        campaign.open()
        if arguments.group == "flat":
            flat.run(campaign, Workload, arguments.workloads or list(flat.SWEEPS))
            return
        for w in WORKLOADS:
            if not arguments.workloads or w.name in arguments.workloads:
                campaign.workload(w)
        campaign.table()
    except (measure.RunError, kafka.ServiceError, kafka_wire.WireError,
            kafka_wire.KafkaError) as error:
        sys.exit(f"bench: {error}")
    finally:
        campaign.close()
    say(f"\nlines appended to {RESULTS.relative_to(ROOT)}")
    sys.exit(0 if campaign.outputs_equal() else 1)


if __name__ == "__main__":
    main()
