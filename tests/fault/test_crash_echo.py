"""kill -9 at every point of an epoch, on a topology without state: nothing lost, nothing twice."""
# CTEST: TIMEOUT=240
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.fault import crash_points
from tests.support import harness


def test_K0_polled(t):
    """COVERS: K0 F1 I1 I2 I3 I4 I6 I8 I9"""
    crash_points.crash_twice(t, "echo", "K0")


def test_K1_in_the_middle_of_a_batch(t):
    """COVERS: K1 F1 I1 I2 I3 I4 I6 I8 I9"""
    crash_points.crash_twice(t, "echo", "K1")


def test_K2_outputs_enqueued(t):
    """COVERS: K2 F1 I1 I2 I3 I4 I6 I8 I9"""
    crash_points.crash_twice(t, "echo", "K2")


def test_K3_deliveries_acked(t):
    """COVERS: K3 F1 I1 I2 I3 I4 I6 I8 I9"""
    crash_points.crash_twice(t, "echo", "K3")


def test_K7_offsets_accepted(t):
    """COVERS: K7 F1 I1 I2 I3 I4 I6 I8 I9"""
    crash_points.crash_twice(t, "echo", "K7")


def test_K8_end_of_transaction_sent(t):
    """COVERS: K8 F1 I1 I2 I3 I4 I6 I8 I9"""
    crash_points.crash_twice(t, "echo", "K8")


def test_K9_end_of_transaction_acked(t):
    """COVERS: K9 F1 I1 I2 I3 I4 I6 I8 I9"""
    crash_points.crash_twice(t, "echo", "K9")


def test_K10_acknowledgement_not_on_disk(t):
    """COVERS: K10 F1 I1 I2 I3 I4 I6 I8 I9"""
    crash_points.crash_twice(t, "echo", "K10")


def test_K14_in_the_shutdown(t):
    """COVERS: K14 F1 I1 I2 I3 I4 I6 I8 I9"""
    crash_points.crash_in_shutdown(t, "echo")


harness.main(globals())
