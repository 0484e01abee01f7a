"""kill -9 while an epoch's delta, of several MiB and so of several writes and a sync, is on its way to
the disk. A torn delta counts for nothing, and is no damage to what lies before it."""
# CTEST: TIMEOUT=300
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.fault import scenario
from tests.integration import documents
from tests.support import harness

MIB = 1 << 20  # What one write of a delta holds.
USERS = 12000
PAD = 900
EPOCH_RECORDS = 3000  # They change most of as many keys: a delta of three writes.
RECORDS = 12000
STATE = {"wal_max": "256MiB"}  # Parts of 4 MiB: what cuts a delta is the size of a write.


def crash_four_times(t, io, point, passes):
    """Dies there in four runs, behind the fourth once more in the recovery; then all is committed."""
    run = scenario.Scenario(t, "running", state=STATE, users=USERS, pad=PAD,
                            records=EPOCH_RECORDS, interval="1500ms", output="40MiB")
    run.feed(RECORDS)
    committed = [run.crash(point, number, env={"MR_IO": io}) for number in passes]
    assert run.crash("K12C", 1, env={"MR_IO": io}) == 0, "a recovery that died committed input"
    print(f"     {point} at passes {passes}: {committed} records committed before the kills",
          flush=True)
    run.finish(env={"MR_IO": io})
    inspect = t.millrace("state", "inspect", "--topology", run.path,
                         t.state_dir / documents.app_of(t))
    inspect.expect_exit(harness.EXIT_OK)
    largest = max(int(size) for size in re.findall(r" bytes (\d+)", inspect.stdout()))
    assert largest > 2 * MIB, f"a delta of {largest} bytes is not of three writes"


def between_writes(t, io):
    # A claim is one write and passes K4 behind it; an epoch of three passes before its second and
    # its third. What a start finds as the newest is written again first: the claim of the run
    # before, in the fourth its first epoch.
    crash_four_times(t, io, "K4", (2, 4, 5, 5))


def test_K4_between_the_writes_on_io_uring(t):
    """COVERS: K4 F1 I5"""
    between_writes(t, "uring")


def test_K4_between_the_writes_on_threads(t):
    """COVERS: K4 F1 I5"""
    between_writes(t, "threads")


def before_the_sync(t, io):
    # A claim needs no sync. What the run before left whole is written, and synced, again: 1.
    crash_four_times(t, io, "K5", (2, 2, 3, 2))


def test_K5_before_the_sync_on_io_uring(t):
    """COVERS: K5 F1 I5"""
    before_the_sync(t, "uring")


def test_K5_before_the_sync_on_threads(t):
    """COVERS: K5 F1 I5"""
    before_the_sync(t, "threads")


harness.main(globals())
