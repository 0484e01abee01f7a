"""`./dev bench flat`: what must not grow. README.md says what each figure means.

Each sweep varies one thing and runs the values in turn, several rounds, so that the machine's moods
hit all of them alike. Only the CPU time per input record counts. Nothing is appended to
results.jsonl, as no line of it is a comparison of two programs.
"""
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import time

ROUNDS, ROUNDS_QUICK = 3, 2
KILL_AT_SHARE = 0.98
WAIT_S_MAX = 300


def run(campaign, workload, sweeps):
    """Runs the named sweeps. campaign: an open Campaign; workload: the class Workload."""
    rounds = campaign.pairs if campaign.pairs_given else (
        ROUNDS_QUICK if campaign.quick else ROUNDS)
    for name in sweeps:
        SWEEPS[name](campaign, workload, rounds)


def partitions(campaign, workload, rounds):
    """CPU per record must not depend on how many partitions the records lie in."""
    rows = [workload(f"q2-{n}", "flat", "q2", "bids", 6_000_000, 2_000_000, job="q2", partitions=n)
            for n in (1, 4, 16, 64)]
    results = _interleave(campaign, rows, ("millrace", "plain"), rounds)
    for engine in ("millrace", "plain"):
        _table(f"partitions, q2, {engine}",
               [(str(w.partitions), results[w.name, engine]) for w in rows])


def keys(campaign, workload, rounds):
    """Keys in state: what the caches no longer hold costs, nothing else may."""
    rows = [workload(f"count-{n}", "flat", "count", "keyed", 12_000_000, 3_000_000, job="count",
                     size=n) for n in (10_000, 1_000_000, 10_000_000)]
    results = _interleave(campaign, rows, ("millrace",), rounds, BENCH_EMIT="every")
    _table("keys, count, an output a record", [(str(w.size), results[w.name, "millrace"]) for w in rows])


def sizes(campaign, workload, rounds):
    """Bytes of a value: as the plain program grows."""
    rows = [workload(f"pass-{n}", "flat", "pass", "raw", 4_000_000, 1_000_000, job="pass", size=n)
            for n in (100, 322, 1024)]
    results = _interleave(campaign, rows, ("millrace", "plain"), rounds)
    for engine in ("millrace", "plain"):
        _table(f"value bytes, pass, {engine}",
               [(str(w.size), results[w.name, engine]) for w in rows])


def memory(campaign, workload, rounds):
    """The peak of resident memory must stay below memory.total."""
    w = workload("count-memory", "flat", "count", "keyed", 20_000_000, 4_000_000, job="count")
    total = w.count(campaign.quick, campaign.scale)
    source = campaign.fill(w, total)
    del rounds
    for limit in ("512MiB", "2GiB"):
        result = campaign.one(w, source, total, f"memory-{limit.lower()}", "millrace", compare=False,
                              BENCH_MEMORY=limit, BENCH_KAFKA_SHARE="40%")
        print(f"memory.total {limit:>7}: peak resident {result.rss_bytes / 2**20:.0f} MiB, "
              f"{result.program_ns:.0f} ns a record", flush=True)
    campaign.tool("kafka_tool", "delete", source)


def restart(campaign, workload, rounds):
    """Seconds from the start behind a kill -9 to the first commit, with 10 M keys in state."""
    w = workload("count-restart", "flat", "count", "keyed", 25_000_000, 3_000_000, job="count",
                 size=10_000_000)
    total = w.count(campaign.quick, campaign.scale)
    source = campaign.fill(w, total)
    sink, app = f"bench.{w.name}.out", f"bench-restart-{campaign.name.lower()}"
    campaign.tool("kafka_tool", "create", sink, w.partitions)
    state = campaign.work / "state-restart"
    environment = dict(os.environ, **campaign.broker.environment(), BENCH_APP=app, BENCH_IN=source,
                       BENCH_OUT=sink, KAFKA_BROKERS=campaign.broker.bootstrap)
    words = [*campaign.millrace_words(w, state), "--progress"]
    committed = campaign.committed_of(app, source)
    _start_and_kill(words, environment, campaign.work / "fill.log",
                    lambda text: committed() >= KILL_AT_SHARE * total)
    for number in range(rounds):
        log = campaign.work / f"restart-{number}.log"
        seconds = _start_and_kill(words, environment, log, lambda text: "msg=recovered" in text)
        text = log.read_text(errors="replace")
        found = re.search(r"msg=recovered.* keys=(\d+) ms=(\d+)", text)
        print(f"restart {number + 1}: first commit after {seconds:.2f} s, of which recovery "
              f"{int(found[2]) / 1000:.2f} s", flush=True)
    keys_seen = re.findall(r" keys=(\d+)", (campaign.work / "fill.log").read_text())
    print(f"keys in state: {keys_seen[-1] if keys_seen else '?'}; files "
          f"{sum(f.stat().st_size for f in state.rglob('*') if f.is_file()) / 2**20:.0f} MiB",
          flush=True)
    shutil.rmtree(state, ignore_errors=True)
    campaign.tool("kafka_tool", "delete", source)
    campaign.tool("kafka_tool", "delete", sink)


SWEEPS = {"partitions": partitions, "keys": keys, "sizes": sizes, "memory": memory,
          "restart": restart}


# ---- Helpers ----

def _interleave(campaign, rows, engines, rounds, **environment):
    """{(workload name, engine): [Result]}, each value once a round."""
    sources, results = {}, {}
    for w in rows:
        sources[w.name] = campaign.fill(w, w.count(campaign.quick, campaign.scale))
    for number in range(rounds):
        for w in rows:
            for engine in engines:
                total = w.count(campaign.quick, campaign.scale)
                result = campaign.one(w, sources[w.name], total, f"flat-{number}", engine,
                                      compare=False, **environment)
                results.setdefault((w.name, engine), []).append(result)
    for source in sources.values():
        campaign.tool("kafka_tool", "delete", source)
    return results


def _table(title, rows):
    """CPU per record of each value, and its ratio to the first one."""
    print(f"\n{title}: CPU ns a record, min / median / max; ratio of medians to the first",
          flush=True)
    first = None
    for label, results in rows:
        values = sorted(r.program_ns for r in results if r.program_ns > 0)
        if not values:
            print(f"  {label:>10}  no run long enough", flush=True)
            continue
        median = statistics.median(values)
        first = first or median
        print(f"  {label:>10}  {values[0]:6.0f} / {median:6.0f} / {values[-1]:6.0f}   "
              f"{median / first:.2f}", flush=True)


def _start_and_kill(words, environment, log, is_there):
    """Starts a worker on core 1, waits until is_there(its log), kills it. Returns the seconds."""
    began = time.monotonic()
    with open(log, "wb") as out:
        process = subprocess.Popen(["taskset", "-c", "1", *map(str, words)], env=environment,
                                   stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        while not is_there(pathlib.Path(log).read_text(errors="replace")):
            if process.poll() is not None or time.monotonic() - began > WAIT_S_MAX:
                raise RuntimeError(f"the worker ended, or was too slow:\n"
                                   f"{pathlib.Path(log).read_text(errors='replace')[-2000:]}")
            time.sleep(0.01)
        return time.monotonic() - began
    finally:
        process.kill()
        process.wait()
