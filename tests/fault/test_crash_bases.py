"""kill -9 while a base of the state is written, installed and its former place freed; a log that is
much smaller than what passes through it."""
# CTEST: TIMEOUT=240
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.fault import scenario
from tests.support import harness

SMALL = {"wal_max": "4MiB"}  # A base is due at a third of it.
USERS = 5000  # An epoch of a thousand records changes most of a thousand keys: some 90 KB.
RECORDS = 72000


def crash_twice(t, point):
    run = scenario.Scenario(t, "running", state=SMALL, users=USERS)
    run.feed(RECORDS)
    committed = [run.crash(point, 1), run.crash(point, 1)]
    print(f"     {point}: {committed[0]} and {committed[1]} records committed before the kills",
          flush=True)
    run.finish()


def test_K11a_chunks_written(t):
    """COVERS: K11 F1 I1 I2 I3 I4 I5 I6 I8 I9"""
    crash_twice(t, "K11A")


def test_K11b_base_durable(t):
    """COVERS: K11 F1 I1 I2 I3 I4 I5 I6 I8 I9"""
    crash_twice(t, "K11B")


def test_K11c_superblock_written(t):
    """COVERS: K11 F1 I1 I2 I3 I4 I5 I6 I8 I9"""
    crash_twice(t, "K11C")


def test_K11d_superblock_durable(t):
    """COVERS: K11 F1 I1 I2 I3 I4 I5 I6 I8 I9"""
    crash_twice(t, "K11D")


def test_a_small_log_lasts(t):
    """Many times `wal_max` passes through the log; the state is what a model says."""
    run = scenario.Scenario(t, "running", state=SMALL, users=USERS)
    run.feed(2 * RECORDS)
    worker = run.worker()
    run.wait_committed(worker, RECORDS)
    worker.kill9()
    run.finish()
    wal = next(t.state_dir.rglob("shard-0.wal")).stat().st_size
    assert wal <= 4 << 20, f"the log has {wal} bytes"


harness.main(globals())
