"""F4: the broker is paused, killed and started again under a working topology; nothing is lost."""
# CTEST: TIMEOUT=180
import pathlib
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.fault import scenario
from tests.support import harness

PAUSE_S = 1.5  # How long the broker does not answer; nothing waits for this time to pass.


def test_F4_broker_paused_and_killed_in_the_middle(t):
    """COVERS: F4 I1 I2 I3 I4 I5"""
    broker = t.private_broker()
    run = scenario.Scenario(t, "running")
    run.feed(scenario.RECORDS)
    worker = run.worker()
    run.wait_committed(worker, 3000)

    broker.signal(signal.SIGSTOP)
    resume = time.monotonic() + PAUSE_S
    t.wait_until(lambda: time.monotonic() >= resume, "the end of the pause")
    broker.signal(signal.SIGCONT)
    run.feed(scenario.RECORDS // 2)
    run.wait_committed(worker, 3000)
    assert worker.running(), "a pause of the broker must not end the worker"

    broker.kill()
    broker.start(fresh=False)
    run.watch.reconnect()
    run.feed(scenario.RECORDS // 2)
    run.wait_committed(worker, 3000)
    run.finish(worker)


def test_F4_worker_ends_cleanly_while_the_broker_is_away(t):
    """SIGTERM with nobody to commit to: it ends within its budget, and nothing half is visible.

    COVERS: F4 I1 I2 I11
    """
    broker = t.private_broker()
    run = scenario.Scenario(t, "running")
    run.feed(scenario.RECORDS)
    worker = run.worker()
    run.wait_committed(worker, 3000)
    broker.kill()
    worker.signal(signal.SIGTERM)
    status = worker.wait(20)
    assert status in (harness.EXIT_OK, harness.EXIT_FAILURE), f"status {status}"
    broker.start(fresh=False)
    run.watch.reconnect()
    run.finish()


harness.main(globals())
