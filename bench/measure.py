"""One timed run: a program reads a preloaded topic to its end while we look at the clocks.

Rate and CPU come from the slope between two moments at which the group's committed input offsets
moved: the first past the warm-up share, the last before the tail. What a program does before its
first commit and behind its last one (start, memory, clean-up) is not in them.
"""
import os
import pathlib
import signal
import subprocess
import time

SAMPLE_S = 0.02
WARM_UP_SHARE = 0.15  # Of the input: caches, the broker's JIT and the client's queues fill.
TAIL_SHARE = 0.98
WINDOW_SAMPLES_MIN = 5
RUN_S_MAX = 600
CALIBRATION_TRIES = 25
QUIET_SPAN_S = 0.3  # The broker counts as quiet when it used a tenth of that.
QUIET_S_MAX = 10
STOP_S_MAX = 30
TICKS = os.sysconf("SC_CLK_TCK")


class RunError(Exception):
    """The program ended before the input did, or did not end at all; the text says what it said."""


def process_cpu_s(pid):
    """CPU time of all threads of a process, ended ones and the kernel's I/O workers included."""
    return time.clock_gettime((~pid << 3) | 2)  # The process clock of pid: clock_getcpuclockid(3).


def machine_cpu_s():
    """(busy, stolen) seconds of all cores since the machine started."""
    fields = pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    user, nice, system, _, _, irq, soft, steal = map(int, fields[:8])
    return (user + nice + system + irq + soft) / TICKS, steal / TICKS


def peak_memory_bytes(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


class Sample:
    __slots__ = ("time_s", "committed", "program_s", "broker_s", "busy_s", "steal_s", "own_s")

    def __init__(self, committed, pid, broker_pid):
        self.time_s = time.monotonic()
        self.committed = committed
        self.program_s = process_cpu_s(pid)
        self.broker_s = process_cpu_s(broker_pid)
        self.busy_s, self.steal_s = machine_cpu_s()
        self.own_s = time.process_time()


class Result:
    """What one run measured; why_invalid is None if it may be used."""

    def __init__(self):
        self.events = 0
        self.seconds = self.events_per_s = self.program_ns = self.broker_ns = 0.0
        self.other_cpu = self.steal = 0.0
        self.rss_bytes = 0
        self.whole_s = 0.0
        self.said = ""
        self.why_invalid = None


def run(words, environment, committed, total, broker_pid, log_path, ends_itself):
    """Runs the program on core 1 until `committed()` is `total`. Returns a Result."""
    began = time.monotonic()
    with open(log_path, "wb") as log:
        process = subprocess.Popen(["taskset", "-c", "1", *map(str, words)], env=environment,
                                   stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        moves, rss = _watch(process, committed, total, broker_pid, log_path)
        whole_s = time.monotonic() - began
        if not ends_itself:
            process.send_signal(signal.SIGTERM)
        status = process.wait(STOP_S_MAX)
    except BaseException:
        process.kill()
        process.wait()
        raise
    said = log_path.read_text(errors="replace")
    if status != 0:
        raise RunError(f"{words[0]} ended with status {status}:\n{said[-3000:]}")
    result = _slope(moves, total)
    result.rss_bytes = rss
    result.whole_s = whole_s
    result.said = said
    return result


def _watch(process, committed, total, broker_pid, log_path):
    """Samples at each move of the committed offsets. Returns ([Sample], peak memory)."""
    moves, rss, last = [], 0, -1
    deadline = time.monotonic() + RUN_S_MAX
    while last < total:
        if process.poll() is not None and committed() < total:
            raise RunError(f"the program ended (status {process.returncode}) at "
                           f"{max(last, 0)} of {total} records:\n"
                           f"{log_path.read_text(errors='replace')[-3000:]}")
        if time.monotonic() > deadline:
            raise RunError(f"only {last} of {total} records committed within {RUN_S_MAX} s:\n"
                           f"{log_path.read_text(errors='replace')[-3000:]}")
        now = committed()
        if now != last and process.poll() is None:
            moves.append(Sample(now, process.pid, broker_pid))
            rss = max(rss, peak_memory_bytes(process.pid))
        last = now
        time.sleep(SAMPLE_S)
    return moves, rss


def _slope(moves, total):
    result = Result()
    window = [m for m in moves if WARM_UP_SHARE * total <= m.committed <= TAIL_SHARE * total]
    if len(window) < WINDOW_SAMPLES_MIN:
        result.why_invalid = f"only {len(window)} commits seen in the timed part"
    if len(window) < 2:
        return result
    first, last = window[0], window[-1]
    result.events = last.committed - first.committed
    result.seconds = last.time_s - first.time_s
    result.events_per_s = result.events / result.seconds
    result.program_ns = (last.program_s - first.program_s) * 1e9 / result.events
    result.broker_ns = (last.broker_s - first.broker_s) * 1e9 / result.events
    ours = (last.program_s - first.program_s + last.broker_s - first.broker_s
            + last.own_s - first.own_s)
    result.other_cpu = max(0.0, (last.busy_s - first.busy_s - ours) / result.seconds)
    result.steal = (last.steal_s - first.steal_s) / result.seconds
    return result


def wait_quiet(broker_pid):
    """Returns when the broker has nothing to do, or after QUIET_S_MAX. Creating and deleting topics
    keeps it busy for a while, and its core may share its units with ours."""
    deadline = time.monotonic() + QUIET_S_MAX
    while time.monotonic() < deadline:
        before = process_cpu_s(broker_pid)
        time.sleep(QUIET_SPAN_S)
        if process_cpu_s(broker_pid) - before < QUIET_SPAN_S / 10:
            return


def calibrate(core=1):
    """Seconds of a fixed piece of work on a core: how fast the machine is at this moment."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        best = 1e9
        for _ in range(CALIBRATION_TRIES):  # The best: interruptions only ever add.
            began = time.process_time()
            sum(i * i for i in range(100000))
            best = min(best, time.process_time() - began)
        return best
    finally:
        os.sched_setaffinity(0, before)
