"""State directories that are not the right one: each is refused by name, and nothing is written."""
# CTEST: TIMEOUT=180
import os
import pathlib
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.integration import documents, refusals
from tests.support import harness

NOBODY = 65534


def test_F15_directory_lost(t):
    """Then the right one is put back, and the application goes on where it was.

    COVERS: F15 I5 I11
    """
    app = refusals.Application(t)
    kept = t.folder / "kept"
    app.directory.rename(kept)
    app.feed(100)
    app.refuses("E_STATE_BEHIND", app.directory, "task ")
    shutil.rmtree(app.directory)
    kept.rename(app.directory)
    app.run()
    assert len(documents.values(t, app.sink)) == app.fed


def test_F15_older_copy_put_back(t):
    """COVERS: F15 I5 I11"""
    app = refusals.Application(t)
    older, newer = t.folder / "older", t.folder / "newer"
    shutil.copytree(app.directory, older)
    app.feed(400)
    app.run()
    app.directory.rename(newer)
    older.rename(app.directory)
    app.feed(100)
    app.refuses("E_STATE_BEHIND", app.directory, "task ")
    shutil.rmtree(app.directory)
    newer.rename(app.directory)
    app.run()
    assert len(documents.values(t, app.sink)) == app.fed


def test_F15_directory_of_another_application(t):
    """Same tables, same epochs, another lineage: told apart by the record in Kafka.

    COVERS: F15 I5 I11
    """
    app = refusals.Application(t)
    other_sink = t.topic("other-out")
    text = documents.running(t, app.source, other_sink, bounded=True)
    text["app"] = "other-" + text["app"][:50]
    documents.worker(t, documents.write(t, text, "other.yaml")).expect_exit(harness.EXIT_OK)
    shutil.rmtree(app.directory)
    (t.state_dir / text["app"]).rename(app.directory)
    app.refuses("E_STATE_FOREIGN", app.directory, "task ")


def test_F15_log_cut_off(t):
    """The newest committed delta is damaged on disk: what is left is an older state.

    COVERS: F15 I5 I11
    """
    app = refusals.Application(t)
    path = app.directory / "shard-0.wal"
    size = path.stat().st_size
    with open(path, "r+b") as log:
        log.truncate(4096)
        log.truncate(size)
    line = app.refuses("E_STATE_", app.directory)
    assert "E_STATE_BEHIND" in line or "E_STATE_DAMAGED" in line, line


def test_F15_superblock_destroyed(t):
    """COVERS: F15 I11"""
    app = refusals.Application(t)
    path = app.directory / "shard-0.data"
    path.write_bytes(bytes(path.stat().st_size))
    app.refuses("E_STATE_DAMAGED", app.directory, "shard-0.data")


def test_F15_superblock_pair_rotten(t):
    """What is left by a pair of superblocks that rots is an older state: the disk is named, not the
    directory, and the answer to a state that is lost is the same.

    COVERS: F15 I11
    """
    app = refusals.Application(t)
    with open(app.directory / "shard-0.data", "r+b") as data:
        data.seek(8192)
        data.write(b"rot" * 2000)
    log = app.directory / "shard-0.wal"
    log.write_bytes(log.read_bytes()[:4096] + bytes(log.stat().st_size - 4096))
    app.refuses("E_STATE_DAMAGED", app.directory, "bytes 8192 and 12288 of shard-0.data",
                "do not verify", "--adopt-offsets=reset-state")
    app.run("--adopt-offsets=reset-state")


def test_F16_symbolic_link(t):
    """COVERS: F16 I11"""
    app = refusals.Application(t)
    real = t.folder / "real"
    app.directory.rename(real)
    app.directory.symlink_to(real)
    app.refuses("E_STATE_UNSAFE", app.directory, "symbolic link")


def test_F16_others_may_write(t):
    """COVERS: F16 I11"""
    app = refusals.Application(t)
    for mode in (0o770, 0o702):
        app.directory.chmod(mode)
        app.refuses("E_STATE_UNSAFE", app.directory, f"{mode:03o}", "chmod 700")
    app.directory.chmod(0o700)
    app.run()


def test_F16_a_state_file_is_a_link(t):
    """COVERS: F16 I11"""
    app = refusals.Application(t)
    log = app.directory / "shard-0.wal"
    log.rename(t.folder / "elsewhere.wal")
    log.symlink_to(t.folder / "elsewhere.wal")
    app.refuses("E_STATE_", log, "symbolic link")


def test_F16_wrong_owner(t):
    """Root gives the directory away; others are pointed at one of root's, which is named as an app
    could be.

    COVERS: F16 I11
    """
    if os.geteuid() == 0:
        app = refusals.Application(t)
        os.chown(app.directory, NOBODY, NOBODY)
        app.refuses("E_STATE_UNSAFE", app.directory, str(NOBODY), "chown")
    else:
        app = refusals.Application(t, records=0, name="usr")
        app.refuses("E_STATE_UNSAFE", "/usr", "user 0", "chown", flags=("--state-dir", "/"))


# Root may write everywhere; without this capability it is held to the mode bits like anybody.
AS_ANYBODY = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")


def test_F16_read_only(t):
    """COVERS: F16 I11"""
    under = AS_ANYBODY if os.geteuid() == 0 else ()
    app = refusals.Application(t)
    for path, status in ((app.directory, harness.EXIT_FAILURE),
                         (app.directory / "worker", harness.EXIT_CONFIG),
                         (app.directory / "shard-0.wal", harness.EXIT_FAILURE)):
        mode = path.stat().st_mode & 0o777
        path.chmod(mode & 0o555)
        try:
            app.refuses("E_STATE_", path, "Permission denied", status=status, under=under)
        finally:
            path.chmod(mode)
    app.feed(50)
    app.worker(under=under).expect_exit(harness.EXIT_OK)
    assert len(documents.values(t, app.sink)) == app.fed


def test_F16_locked_by_a_running_worker(t):
    """COVERS: F16 S21 I11"""
    source, sink = t.topic("in"), t.topic("out")
    t.kafka.produce(source, refusals.rows(0, 100))
    path = documents.write(t, documents.running(t, source, sink))
    first = documents.worker(t, path)
    t.wait_until(documents.Watch(t, source).done, "the first worker has committed")
    before = t.kafka.ends(sink, "--uncommitted")
    second = documents.worker(t, path)
    second.expect_exit(harness.EXIT_FAILURE)
    last = second.stderr().strip().splitlines()[-1]
    assert "E_STATE_LOCKED" in last and str(t.state_dir) in last, last
    assert t.kafka.ends(sink, "--uncommitted") == before
    first.terminate()


harness.main(globals())
