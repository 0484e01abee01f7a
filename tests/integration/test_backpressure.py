"""What comes after the worker does not keep up: a broker that stands, a reader that does not read.
Input waits, memory stays within `memory.total`, nothing spins, nothing is lost, and it goes on."""
# CTEST: TIMEOUT=180
import fcntl
import json
import os
import pathlib
import signal
import struct
import sys
import termios
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.fault import scenario
from tests.integration import documents
from tests.support import harness

STALL_S = 4  # Longer than the transaction timeout of these tests.
QUIET_S = 1.5
# Share of a core over a second in which everything stands. It needs a hundredth (timers, the
# client's own threads). A loop that spins takes all there is and never comes to this, unless twenty
# others want the core too; a slow machine only makes the share of one that sleeps smaller.
BUSY_MAX = 0.05
MEMORY_BYTES = 768 << 20  # documents.MEMORY
LINES = 200000


def cpu_s(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_bytes(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) << 10 for line in status.splitlines()
                if line.startswith("VmHWM:"))


def expect_idle(t, worker, stall_s, what):
    """It comes to rest while everything stands, for `stall_s` at least, in its memory."""
    began = time.monotonic()
    seen = [began, cpu_s(worker.pid)]

    def rests():
        assert worker.running(), worker.stderr()[-4000:]
        now = time.monotonic()
        if now - seen[0] < 1:
            return None
        share = (cpu_s(worker.pid) - seen[1]) / (now - seen[0])
        seen[:] = now, cpu_s(worker.pid)
        return (share,) if share < BUSY_MAX and now - began >= stall_s else None
    share, = t.wait_until(rests, f"{what}: a second with less than {BUSY_MAX} of a core")
    peak = peak_bytes(worker.pid)
    print(f"     {what}: {share:.3f} of a core, at most {peak >> 20} MiB", flush=True)
    assert peak <= MEMORY_BYTES, f"{what}: {peak >> 20} MiB of {documents.MEMORY}"


def test_a_broker_that_stands(t):
    """SIGSTOP in the middle of large epochs: the client's queue and the arenas fill, no more."""
    broker = t.private_broker()
    run = scenario.Scenario(t, "running", pad=300, records=1000000, interval="400ms")
    run.feed(60000)
    worker = run.worker()
    run.wait_committed(worker, 1)
    broker.signal(signal.SIGSTOP)
    try:
        expect_idle(t, worker, STALL_S, "the broker stands")
    finally:
        broker.signal(signal.SIGCONT)
    run.feed(2000)
    run.finish(worker)


class Pipe:
    """A worker from a file to its standard output, which is a pipe that the test reads or not."""

    def __init__(self, t):
        rows = (json.dumps({"k": f"k{n % 100}", "v": n}) + "\n" for n in range(LINES))
        source = t.write("in.ndjson", "".join(rows))
        text = {"millrace": 1, "app": documents.app_of(t), "delivery": "at_least_once",
                "memory": {"total": documents.MEMORY},
                "sources": {"rows": {"kind": "file", "path": str(source), "format": "json",
                                     "key": ["k"],
                                     "schema": {"k": "text not null", "v": "bigint"}}},
                "sinks": {"out": {"from": "rows", "kind": "file", "path": "-"}},
                "errors": {"default": {"stop": True}}}
        fifo = t.folder / "out"
        os.mkfifo(fifo)
        self.reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        self.worker = t.start("sh", "-c", 'exec "$0" "$@" >out', harness.MILLRACE, "run",
                              documents.write(t, text))
        seen = [-1, 0]

        def is_full():
            waiting = struct.unpack("i", fcntl.ioctl(self.reader, termios.FIONREAD, b"0000"))[0]
            if waiting == 0 or waiting != seen[0]:
                seen[:] = waiting, time.monotonic()
            return time.monotonic() - seen[1] > QUIET_S
        t.wait_until(is_full, "the pipe is full")

    def lines(self):
        """What is left to read until the worker ends; a line cut short is left out."""
        os.set_blocking(self.reader, True)
        with os.fdopen(self.reader) as lines:
            return [json.loads(line)["v"] for line in lines if line.endswith("\n")]


def test_standard_output_that_nobody_reads(t):
    pipe = Pipe(t)
    expect_idle(t, pipe.worker, QUIET_S, "nobody reads")
    assert pipe.lines() == list(range(LINES)), "lines were lost, doubled or moved"
    pipe.worker.expect_exit(harness.EXIT_OK)


def test_a_stop_while_nobody_reads(t):
    """The write cannot be taken back, so the process ends within its budget all the same."""
    pipe = Pipe(t)
    pipe.worker.signal(signal.SIGTERM)
    pipe.worker.expect_exit(harness.EXIT_FAILURE)
    assert "the shard does not end" in pipe.worker.stderr()
    got = pipe.lines()
    assert got == list(range(len(got)))


harness.main(globals())
