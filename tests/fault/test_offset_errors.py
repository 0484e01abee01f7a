"""S14: an OffsetFetch is answered with an error, each that a broker may give, of the whole group and
of one partition. The worker asks again, recovers, or ends with a name; it never takes an error for
"nothing is committed", and begins nowhere else than at the committed offsets.

The topology is the one without state: there a wrong beginning is found by nothing but the judge.
"""
# CTEST: TIMEOUT=240
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.integration import documents
from tests.proxy import frames, proxied
from tests.proxy.proxy import CHANGE, REPLY
from tests.support import harness

RECOVERING = "msg=recovering"
WAITS, RECOVERS, ENDS = "asks again", "recovers", "ends with E_AUTHORIZATION"
UNKNOWN_SERVER_ERROR = -1
# What a worker that starts does about it, whoever the error is of.
ERRORS = (
    ("UNKNOWN_SERVER_ERROR", UNKNOWN_SERVER_ERROR, RECOVERS),
    ("UNKNOWN_TOPIC_OR_PARTITION", 3, RECOVERS),
    ("NOT_LEADER_OR_FOLLOWER", 6, WAITS),
    ("REQUEST_TIMED_OUT", 7, WAITS),
    ("COORDINATOR_LOAD_IN_PROGRESS", 14, WAITS),
    ("COORDINATOR_NOT_AVAILABLE", 15, WAITS),
    ("NOT_COORDINATOR", 16, WAITS),
    ("INVALID_GROUP_ID", 24, RECOVERS),
    ("UNKNOWN_MEMBER_ID", 25, RECOVERS),
    ("TOPIC_AUTHORIZATION_FAILED", 29, ENDS),
    ("GROUP_AUTHORIZATION_FAILED", 30, ENDS),
    ("UNSUPPORTED_VERSION", 35, RECOVERS),
    ("GROUP_ID_NOT_FOUND", 69, RECOVERS),
    ("UNSTABLE_OFFSET_COMMIT", 88, WAITS),
    ("UNKNOWN_TOPIC_ID", 100, RECOVERS),
    ("STALE_MEMBER_EPOCH", 113, RECOVERS),
)
OF_THE_GROUP, OF_A_PARTITION = frames.fetch_refused, frames.fetch_spoiled


def answer(run, change, is_stable, where=lambda frame: True, times=1):
    """Changes the answer to the next OffsetFetch: the one that looks at the records as they are, or
    the one that waits for stable offsets and decides where to begin."""
    return run.proxy.rule(REPLY, "OffsetFetch", CHANGE, times=times,
                          where=lambda reply: (frames.asks_stable(reply.request) == is_stable
                                               and where(reply)),
                          change=change)


def start_through(run, name, outcome, rules):
    """Starts until the errors are used up and all is committed; each start as the table says."""
    for is_last in (False, False, True) if outcome == ENDS else (True,):
        worker = run.worker()
        if not is_last:
            worker.expect_exit(harness.EXIT_FAILURE)
            last = worker.stderr().strip().splitlines()[-1]
            assert last.startswith("millrace: error: E_AUTHORIZATION: "), f"{name}: {last}"
            continue
        run.wait_done(worker)
        worker.wait_stderr("msg=recovered")
        worker.terminate()
        expected = 2 if outcome == RECOVERS else 0
        assert proxied.count(worker, RECOVERING) == expected, f"{name}: {worker.stderr()[-3000:]}"
    assert [len(rule.frames) for rule in rules] == [1, 1], f"{name} was not met"


def starts(t, make):
    with proxied.scene(t, "echo") as run:
        run.started().terminate()
        for name, code, outcome in ERRORS:
            run.feed(100)
            rules = [answer(run, lambda reply: make(reply, code), is_stable)
                     for is_stable in (False, True)]
            start_through(run, name, outcome, rules)
        run.finish()


def test_S14_at_a_start_of_the_group(t):
    """COVERS: S14 I1 I2 I8 I11"""
    starts(t, OF_THE_GROUP)


def test_S14_at_a_start_of_a_partition(t):
    """COVERS: S14 I1 I2 I8 I11"""
    starts(t, OF_A_PARTITION)


def test_S14_in_a_recovery(t):
    """A worker that has committed recovers, and meets the errors there: it goes on after each, as
    rights may be given back.

    COVERS: S14 I1 I2 I8
    """
    with proxied.scene(t, "echo") as run:
        worker = run.started()
        for name, code, outcome in ERRORS:
            recover_through(run, worker, name, code, outcome)
        run.finish(worker)


def recover_through(run, worker, name, code, outcome):
    """One recovery, for a reason of ours, and those that follow from the errors in it."""
    taken = run.notes("InitProducerId", REPLY, lambda reply: frames.error(reply) == frames.NONE)
    cause = run.proxy.rule(
        REPLY, "AddOffsetsToTxn", CHANGE,
        change=lambda reply: frames.with_error(reply, frames.INVALID_PRODUCER_ID_MAPPING))
    rules = [answer(run, lambda reply, make=make: make(reply, code), is_stable,
                    lambda _: cause.frames)
             for is_stable, make in ((False, OF_THE_GROUP), (True, OF_A_PARTITION))]
    run.feed(100)
    run.wait_done(worker)
    assert [len(rule.frames) for rule in (cause, *rules)] == [1, 1, 1], f"{name} was not met"
    expected = 1 if outcome == WAITS else 3
    assert len(taken.frames) == expected, f"{name}: {len(taken.frames)} recoveries"
    taken.remove()


# ---- The look for a rival, once this worker was fenced, is answered with an error ----

def fenced(t, change):
    """A second worker takes over the id. The first asks who it was, gets an error, and asks again:
    else it would take the id back."""
    with proxied.scene(t, "echo") as run:
        first = run.started()
        # Only behind its fence shall it find out.
        answer(run, refused, False, lambda _: RECOVERING not in first.stderr(), times=None)
        asked = answer(run, change, False, lambda _: RECOVERING in first.stderr())
        second = documents.worker(t, direct(run), "--state-dir", t.folder / "state-of-the-second")
        second.wait_stderr("msg=recovered")
        run.feed(1000)
        first.expect_exit(harness.EXIT_FAILURE)
        assert "E_FENCED" in first.stderr(), first.stderr()[-3000:]
        assert len(asked.frames) == 1, "no error was met"
        run.wait_done(second)
        assert RECOVERING not in second.stderr(), "the second worker was disturbed"
        run.finish(second)


def refused(reply):
    return OF_THE_GROUP(reply, UNKNOWN_SERVER_ERROR)


def direct(run):
    """The topology for a worker that does not go through the proxy."""
    document = json.loads(run.path.read_text())
    document["kafka"]["brokers"] = [run.t.kafka.bootstrap]
    return documents.write(run.t, document, "direct.yaml")


def test_S14_in_the_look_for_a_rival_of_the_group(t):
    """COVERS: S14 S21"""
    fenced(t, refused)


def test_S14_in_the_look_for_a_rival_of_every_partition(t):
    """COVERS: S14 S21"""
    fenced(t, lambda reply: OF_A_PARTITION(reply, UNKNOWN_SERVER_ERROR, documents.PARTITIONS))


harness.main(globals())
