"""Two workers with one identity, clean stops, pauses: nobody writes twice, nobody plays ping-pong.

The topology is the one without state, so that the second worker may have a directory of its own;
with state it would be refused for lacking it.
"""
# CTEST: TIMEOUT=240
import pathlib
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.fault import scenario
from tests.support import harness



def rival(run):
    return run.worker("--state-dir", run.t.folder / "state-of-the-second")


def expect_fenced(worker):
    worker.expect_exit(harness.EXIT_FAILURE)
    text = worker.stderr()
    assert "E_FENCED" in text, f"no E_FENCED in its last words:\n{text[-3000:]}"


def test_S21_second_worker_fences_the_first(t):
    """COVERS: S21 I1 I2 I7 I11"""
    run = scenario.Scenario(t, "echo", interval="50ms")
    run.feed(2000)
    first = run.worker()
    run.wait_committed(first, 1000)
    second = rival(run)
    run.feed(4000)
    expect_fenced(first)
    run.wait_done(second)

    # The first one's directory is marked: its supervisor cannot bring it back by itself.
    again = run.worker()
    again.expect_exit(harness.EXIT_FAILURE)
    assert "--take-over" in again.stderr(), again.stderr()[-3000:]
    run.feed(2000)
    run.wait_done(second)
    assert second.running(), "the newer worker must not be disturbed"

    third = run.worker("--take-over")
    expect_fenced(second)
    run.finish(third)


def come_back(t, point):
    """SIGSTOP at the point of an epoch, a successor, SIGCONT: what is late is refused or counts."""
    run = scenario.Scenario(t, "echo")
    run.feed(scenario.RECORDS)
    first = run.worker(stop_at=f"{point}:6")
    t.wait_until(lambda: is_stopped(first.pid), "the first worker has stopped itself")
    run.demand_in_flight(f"{point}:6, paused")
    second = rival(run)
    run.wait_committed(second, 2000)
    first.signal(signal.SIGCONT)
    expect_fenced(first)
    run.finish(second)


def test_S12_paused_before_its_offsets_are_sent(t):
    """COVERS: S12 S21 I1 I2 I7 I9"""
    come_back(t, "K3")


def test_S13_paused_with_its_offsets_sent(t):
    """COVERS: S13 S21 I1 I2 I7 I9"""
    come_back(t, "K7")


def test_S10_timeout_without_a_rival_is_no_fence(t):
    """The transaction timed out while the process was paused: the same process takes back what it
    had applied, by undo, and goes on. Reading the state from disk instead would kill it: K12.

    COVERS: S10 F9 I1 I2 I3 I4 I5 I6 I9
    """
    run = scenario.Scenario(t, "running")
    run.feed(scenario.RECORDS)
    worker = run.worker(stop_at="K7:6", crash_at="K12:1")
    t.wait_until(lambda: is_stopped(worker.pid), "the worker has stopped itself")
    run.demand_in_flight("K7:6, paused")
    assert not is_stable(run), "no transaction is open: the pause would prove nothing"
    # Offsets are pending until the broker gives the transaction up: then they can be read again.
    t.wait_until(lambda: is_stable(run), "the broker aborted the paused transaction")
    worker.signal(signal.SIGCONT)
    run.wait_done(worker)
    assert "msg=recovering" in worker.stderr(), "it has not noticed that its transaction is gone"
    run.finish(worker)


def test_S21_two_layouts(t):
    """A second worker takes some of the first one's partitions under another id: the first one is
    fenced, says so, and stays away; the second goes on.

    COVERS: S21 I1 I2 I7 I11
    """
    run = scenario.Scenario(t, "echo", interval="50ms")
    run.feed(4000)
    first = run.worker()
    run.wait_committed(first, 1000)
    second = t.worker(run.path, "--partitions", "0-1", "--shards", 1, "--state-dir",
                      t.folder / "state-of-the-second")
    first.expect_exit(harness.EXIT_FAILURE)
    assert "E_TWO_OWNERS" in first.stderr(), first.stderr()[-3000:]
    again = run.worker()
    again.expect_exit(harness.EXIT_FAILURE)
    assert "--take-over" in again.stderr(), again.stderr()[-3000:]
    second.wait_stderr("msg=recovered")
    second.terminate()
    run.feed(2000)
    run.finish(run.worker("--take-over"))


def test_S21_one_state_directory(t):
    """COVERS: S21 F16 I11"""
    run = scenario.Scenario(t, "running")
    run.feed(3000)
    first = run.worker()
    run.wait_committed(first, 1000)
    second = run.worker()
    second.expect_exit(harness.EXIT_FAILURE)
    assert "E_STATE_LOCKED" in second.stderr(), second.stderr()[-3000:]
    run.feed(2000)
    run.finish(first)


def test_F30_terminated_under_load(t):
    """SIGTERM closes the epoch, commits and ends with 0, five times in a row.

    COVERS: F30 I1 I2 I5 I9
    """
    run = scenario.Scenario(t, "running", shards=2)
    for _ in range(5):
        run.feed(6000)
        worker = run.worker()
        run.wait_committed(worker, 1000)
        began = time.monotonic()
        worker.terminate(limit_s=10)
        assert time.monotonic() - began < 10
    run.finish()


def test_F30_terminated_twice(t):
    """The second SIGTERM ends it at once, in the middle of its shutdown, and loses nothing.

    COVERS: F30 I1 I9
    """
    run = scenario.Scenario(t, "running")
    run.feed(scenario.RECORDS)
    worker = run.worker(stop_at="K14:1")
    run.wait_committed(worker, 1000)
    run.feed(scenario.RECORDS // 2)
    worker.signal(signal.SIGTERM)
    t.wait_until(lambda: is_stopped(worker.pid), "the worker has stopped itself in its shutdown")
    run.demand_in_flight("K14:1")
    worker.signal(signal.SIGTERM)
    worker.signal(signal.SIGCONT)
    worker.expect_exit(-signal.SIGTERM)
    run.finish()


def test_F30_terminated_at_each_point(t):
    """SIGTERM arrives at a point of an epoch: it ends with 0 within 10 s.

    COVERS: F30 I1 I9
    """
    run = scenario.Scenario(t, "running")
    for point in ("K0", "K1", "K2", "K3", "K4", "K6", "K7", "K8", "K9", "K10"):
        run.feed(3500)
        worker = run.worker(stop_at=f"{point}:3")
        t.wait_until(lambda: is_stopped(worker.pid), f"the worker has stopped itself at {point}")
        worker.signal(signal.SIGTERM)
        worker.signal(signal.SIGCONT)
        worker.expect_exit(harness.EXIT_OK, 10)
    run.finish()


def is_stopped(pid):
    state = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return state == "T"


def is_stable(run):
    ends = run.watch.ends(run.sink)
    return ends == run.watch.ends(run.sink, isolation=1) and not pending(run)


def pending(run):
    rows = run.watch.client.committed(run.watch.group, [run.source], stable=True)
    return any(row[5] for row in rows)


harness.main(globals())
