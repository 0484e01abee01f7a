"""F11, S26: the disk of the state is full while a worker runs: input pauses, and goes on by itself
when there is room again, with nothing lost, doubled or wrong; a start without room ends by name.

The disk is a small tmpfs in a mount namespace of its own, in which the worker runs and which the
test reaches through /proc; once it is a limit of file sizes on the filesystem of the build.
"""
# CTEST: TIMEOUT=300
import os
import pathlib
import re
import resource
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.fault import scenario
from tests.support import harness

MIB = 1 << 20
USERS = 5000
PAD = 200  # An epoch of a thousand records changes most of a thousand keys: some 300 KB.
QUIET_S = 1.5  # Nothing is committed for so long: the input stands.
BUSY_MAX = 0.1  # Share of a core in a pause: one that sleeps needs a hundredth, on any machine.
FULL = r'msg="the disk is full" component=state shard=0 cause="E_STATE_NO_SPACE: (\S+): '
ROOM = 'msg="there is room on the disk again"'


class Disk:
    """A tmpfs as the state directory of a case, seen by the programs of millrace alone."""

    def __init__(self, t, size_bytes):
        self.place = t.state_dir
        self.place.mkdir(parents=True)
        self.holder = t.start("unshare", "--user", "--map-root-user", "--mount", "sh", "-c",
                              f'mount -t tmpfs -o size={size_bytes},mode=0700 state "$0" && '
                              'echo mounted && exec sleep infinity', self.place)
        t.wait_until(lambda: "mounted" in self.holder.stdout() or not self.holder.running(),
                     "a tmpfs in a namespace")
        assert self.holder.running(), f"no tmpfs can be mounted: {self.holder.stderr()}"
        self.inside = pathlib.Path(f"/proc/{self.holder.pid}/root{self.place}")
        start = t.start

        def start_inside(program, *words, **more):
            if program != harness.MILLRACE:
                return start(program, *words, **more)
            return start("nsenter", "--target", self.holder.pid, "--user", "--mount",
                         "--preserve-credentials", f"--wdns={t.folder}", program, *words, **more)
        t.start = start_inside

    def fill(self, leave_bytes=0):
        """A ballast that leaves so much room."""
        with open(self.inside / "ballast", "wb") as ballast:
            room = os.statvfs(self.inside)
            os.posix_fallocate(ballast.fileno(), 0, room.f_bavail * room.f_bsize - leave_bytes)

    def free(self):
        (self.inside / "ballast").unlink()


def cpu_s(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def expect_pause(t, run, worker, file_name):
    """The worker says by name what is full, commits what it can, and then waits without spinning,
    alive, with input before it."""
    told = worker.wait_stderr(FULL)
    assert told[1].endswith(file_name), told[0]
    assert "free space there" in worker.stderr()
    seen = [None, 0, 0]  # Committed records, since when, CPU time then.

    def stands():
        assert worker.running(), worker.stderr()[-4000:]
        committed = sum(run.watch.committed().values())
        if committed != seen[0]:
            seen[:] = committed, time.monotonic(), cpu_s(worker.pid)
        return time.monotonic() - seen[1] >= QUIET_S
    t.wait_until(stands, "the input stands")
    busy = (cpu_s(worker.pid) - seen[2]) / (time.monotonic() - seen[1])
    behind = run.watch.behind()
    print(f"     paused with {behind} of {run.fed} records before it, {busy:.3f} of a core",
          flush=True)
    assert behind > 0, "the worker did not pause: all input is committed"
    assert busy < BUSY_MAX, f"a pause that takes {busy:.2f} of a core"
    assert ROOM not in worker.stderr()


def expect_end(run, worker):
    """All is committed by the same process, which did not have to recover."""
    run.wait_done(worker)
    worker.wait_stderr(ROOM)
    assert "msg=recovering" not in worker.stderr(), worker.stderr()[-4000:]
    run.finish(worker)


def log_grows(t, io):
    disk = Disk(t, 48 * MIB)
    run = scenario.Scenario(t, "running", state={"wal_max": "64MiB"}, users=USERS, pad=PAD,
                            dirty_state="1MiB")
    run.feed(2000)
    worker = run.worker(env={"MR_IO": io})
    run.wait_committed(worker, 1000)
    disk.fill()
    run.feed(60000)  # Far more than the parts of the log that were reserved at its format hold.
    expect_pause(t, run, worker, "/shard-0.wal")
    disk.free()
    expect_end(run, worker)


def test_F11_the_log_on_io_uring(t):
    """COVERS: F11 S26 I11"""
    log_grows(t, "uring")


def test_F11_the_log_on_threads(t):
    """COVERS: F11 S26 I11"""
    log_grows(t, "threads")


def base_grows(t, io):
    """The log has all its parts; what is missing is room for a base, which makes them free again."""
    disk = Disk(t, 48 * MIB)
    run = scenario.Scenario(t, "running", state={"wal_max": "4MiB"}, users=USERS, pad=PAD,
                            dirty_state="1MiB")
    run.feed(2000)
    worker = run.worker(env={"MR_IO": io})
    run.wait_committed(worker, 1000)
    disk.fill()
    run.feed(30000)
    expect_pause(t, run, worker, "/shard-0.data")
    disk.free()
    expect_end(run, worker)


def test_F11_a_base_on_io_uring(t):
    """COVERS: F11 S26 I11"""
    base_grows(t, "uring")


def test_F11_a_base_on_threads(t):
    """COVERS: F11 S26 I11"""
    base_grows(t, "threads")


def test_F11_a_limit_of_file_sizes(t):
    """No file of the state may be larger, and the disk is told to be full; but there is a base in
    the room it has, and what it makes free of the log suffices: it goes on, exactly."""
    run = scenario.Scenario(t, "running", state={"wal_max": "64MiB"}, users=USERS, pad=PAD,
                            dirty_state="1MiB")
    run.feed(2000)
    worker = run.worker()
    run.wait_committed(worker, 1000)
    resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (6 * MIB, resource.RLIM_INFINITY))
    run.feed(40000)
    told = worker.wait_stderr(FULL)
    assert told[1].endswith("/shard-0.wal"), told[0]
    run.wait_done(worker)
    assert "msg=recovering" not in worker.stderr(), worker.stderr()[-4000:]
    sizes = {path.name: path.stat().st_size for path in t.state_dir.rglob("shard-0.*")}
    assert all(size <= 6 * MIB for size in sizes.values()), sizes
    run.finish(worker)


def test_F11_killed_in_the_pause(t):
    """A start on the full disk ends by name; with room the next one goes on, exactly.
    COVERS: F11 S26 I11"""
    disk = Disk(t, 48 * MIB)
    run = scenario.Scenario(t, "running", state={"wal_max": "4MiB"}, users=USERS, pad=PAD,
                            dirty_state="1MiB")
    run.feed(2000)
    worker = run.worker()
    run.wait_committed(worker, 1000)
    disk.fill()
    run.feed(30000)
    expect_pause(t, run, worker, "/shard-0.data")
    worker.kill9()
    expect_refusal(run.worker())
    disk.free()
    run.finish()


def expect_refusal(worker):
    worker.expect_exit(harness.EXIT_FAILURE)
    last = worker.stderr().strip().splitlines()[-1]
    assert re.search(r"error: E_STATE_NO_SPACE: /\S+", last) and "free space" in last, last


def test_F11_first_starts_without_room(t):
    """None at all; room for the file `worker` alone, then for a little of the log. Nothing half made
    is in the way of the start that has room."""
    disk = Disk(t, 48 * MIB)
    run = scenario.Scenario(t, "running", users=USERS, state={"wal_max": "64MiB"})
    run.feed(3000)
    for room in (0, 8 << 10, 64 << 10, 2 * MIB):
        disk.fill(leave_bytes=room)
        for io in ("uring", "threads"):
            expect_refusal(run.worker(env={"MR_IO": io}))
        assert sum(run.watch.committed().values()) == 0
        disk.free()
    run.finish()


harness.main(globals())
