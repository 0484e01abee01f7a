"""Two kills at one crash point, then a clean run to the end, then the judgement."""
import signal

from tests.fault import scenario

# The pass that kills, of the first and of the second run. Genesis and claim are epochs too, so the
# points of a commit come late enough that records were committed before them.
PASSES = {"K0": (6, 5), "K1": (6, 5), "K2": (6, 5), "K3": (6, 5), "K4": (6, 5), "K5": (6, 5),
          "K6": (6, 5), "K7": (6, 5), "K8": (6, 5), "K9": (6, 5), "K10": (6, 5)}


def crash_twice(t, kind, point):
    """Dies at the point, recovers and dies there again, recovers and commits the rest."""
    run = scenario.Scenario(t, kind)
    run.feed(scenario.RECORDS)
    committed = [run.crash(point, passes) for passes in PASSES[point]]
    print(f"     {point}: {committed[0]} and {committed[1]} records committed before the kills",
          flush=True)
    run.finish()


def crash_in_shutdown(t, kind):
    """SIGTERM under load, and SIGKILL where the shutdown begins; twice, then the rest."""
    run = scenario.Scenario(t, kind)
    run.feed(scenario.RECORDS)
    for _ in range(2):
        worker = run.worker(crash_at="K14:1")
        run.wait_committed(worker, 1000)
        run.feed(scenario.RECORDS)
        worker.signal(signal.SIGTERM)
        worker.expect_exit(-signal.SIGKILL)
        run.demand_in_flight("K14:1")
    run.finish()
