"""kill -9 at every point of an epoch, on a running aggregate: outputs, offsets and state agree."""
# CTEST: TIMEOUT=240
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.fault import crash_points, scenario
from tests.support import harness


def test_K0_polled(t):
    """COVERS: K0 F1 I1 I2 I3 I4 I5 I6 I8 I9"""
    crash_points.crash_twice(t, "running", "K0")


def test_K1_in_the_middle_of_a_batch(t):
    """COVERS: K1 F1 I1 I2 I3 I4 I5 I6 I8 I9"""
    crash_points.crash_twice(t, "running", "K1")


def test_K2_outputs_enqueued(t):
    """COVERS: K2 F1 I1 I2 I3 I4 I5 I6 I8 I9"""
    crash_points.crash_twice(t, "running", "K2")


def test_K3_deliveries_acked(t):
    """COVERS: K3 F1 I1 I2 I3 I4 I5 I6 I8 I9"""
    crash_points.crash_twice(t, "running", "K3")


def test_K4_prepare_half_written(t):
    """COVERS: K4 F1 I1 I2 I3 I4 I5 I6 I8 I9"""
    crash_points.crash_twice(t, "running", "K4")


def test_K6_prepared(t):
    """COVERS: K6 F1 I1 I2 I3 I4 I5 I6 I8 I9 S17"""
    crash_points.crash_twice(t, "running", "K6")


def test_K7_offsets_accepted(t):
    """COVERS: K7 F1 I1 I2 I3 I4 I5 I6 I8 I9"""
    crash_points.crash_twice(t, "running", "K7")


def test_K8_end_of_transaction_sent(t):
    """COVERS: K8 F1 I1 I2 I3 I4 I5 I6 I8 I9"""
    crash_points.crash_twice(t, "running", "K8")


def test_K9_end_of_transaction_acked(t):
    """COVERS: K9 F1 I1 I2 I3 I4 I5 I6 I8 I9"""
    crash_points.crash_twice(t, "running", "K9")


def test_K10_acknowledgement_not_on_disk(t):
    """COVERS: K10 F1 I1 I2 I3 I4 I5 I6 I8 I9"""
    crash_points.crash_twice(t, "running", "K10")


def test_K14_in_the_shutdown(t):
    """COVERS: K14 F1 I1 I2 I3 I4 I5 I6 I8 I9"""
    crash_points.crash_in_shutdown(t, "running")


def test_K12_claim_after_a_kill_at_K9(t):
    """Three more kills in the recovery itself change nothing.

    COVERS: K12 F1 I1 I2 I3 I4 I5 I6 I8 I9
    """
    run = scenario.Scenario(t, "running")
    run.feed(scenario.RECORDS)
    run.crash("K9", 6)
    for _ in range(3):
        assert run.crash("K12C", 1) == 0, "a recovery that died in its claim committed input"
    run.finish()


def test_K12_restore_after_a_kill_at_K9(t):
    """Killed while the state is read from disk, three times, each time a little further on.

    COVERS: K12 F1 I1 I2 I3 I4 I5 I6 I8 I9
    """
    run = scenario.Scenario(t, "running")
    run.feed(scenario.RECORDS)
    run.crash("K9", 6)
    for passes in range(1, 4):
        assert run.crash("K12", passes) == 0, "a restore that died committed input"
    run.finish()


harness.main(globals())
