"""F2: twenty kills at drawn moments while records keep coming; a reader watches all the while."""
# CTEST: TIMEOUT=240
import pathlib
import random
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.fault import scenario
from tests.support import harness

KILLS = 20
RATE = 4000  # Records a second while it runs.
EARLY_S_MAX = 0.6  # Every second worker dies at a moment after its start: often in its recovery.
LATE_S_MAX = 0.3  # The others at a moment after their first commit.


def test_F2_twenty_random_kills_under_load(t):
    """COVERS: F2 I1 I2 I3 I4 I5 I6 I8 I9"""
    chance = random.Random(harness.SEED)
    run = scenario.Scenario(t, "running", shards=2, interval="400ms", records=100000)
    run.feed(scenario.IN_FLIGHT_MIN)
    reader = run.follow()
    feed = t.start(harness.BUILD_DIR / "demo_feed", run.source, 10 ** 9, "--rate", RATE, "--users",
                   scenario.USERS)
    for kill in range(KILLS):
        worker = run.worker()
        if kill % 2 == 0:
            moment = time.monotonic() + chance.uniform(0, EARLY_S_MAX)
        else:
            run.wait_committed(worker, 1)
            moment = time.monotonic() + chance.uniform(0, LATE_S_MAX)
        t.wait_until(lambda: time.monotonic() >= moment
                     and run.watch.behind() >= scenario.IN_FLIGHT_MIN, "work for the kill")
        worker.kill9()
    feed.terminate()
    run.fed = sum(run.watch.ends().values())
    print(f"     {KILLS} kills, {run.fed} records", flush=True)
    worker = run.worker()
    run.wait_done(worker)
    worker.terminate()
    reader.terminate()
    run.judge()


harness.main(globals())
