"""Starts that cannot work end in one clear line with the right status, and lose nothing."""
# CTEST: TIMEOUT=180
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.integration import documents
from tests.support import harness


def last_line(worker):
    """The last line of a failing process: it names the error, the place and what to do."""
    lines = worker.stderr().strip().splitlines()
    assert lines, f"{worker.name} said nothing"
    return lines[-1]


def expect(worker, status, *words, limit_s=harness.WAIT_S):
    worker.expect_exit(status, limit_s)
    text = worker.stderr()
    for word in words:
        assert word in text, f"'{word}' is not in its messages:\n{text[-3000:]}"
    return text


def test_missing_input_topic(t):
    """COVERS: I11"""
    sink = t.topic("out")
    path = documents.write(t, documents.echo(t, t.topic_name("nowhere"), sink))
    worker = documents.worker(t, path)
    expect(worker, harness.EXIT_CONFIG, "E_TOPIC_MISSING", t.topic_name("nowhere"))
    assert t.topic_name("nowhere") in last_line(worker)


def test_missing_output_topic(t):
    """COVERS: I11"""
    source = t.topic("in")
    t.kafka.produce(source, [("a", "1")])
    path = documents.write(t, documents.echo(t, source, t.topic_name("nowhere")))
    worker = documents.worker(t, path)
    expect(worker, harness.EXIT_CONFIG, "E_TOPIC_MISSING", t.topic_name("nowhere"))
    assert t.kafka.offsets(documents.app_of(t), source)[0] is None, "nothing may be committed"


def test_unreachable_broker_at_start(t):
    """Nobody listens at the address: it is named, and the worker does not pretend to run.

    COVERS: I11
    """
    text = documents.echo(t, "in", "out")
    text["kafka"]["brokers"] = ["127.0.0.1:1"]
    worker = documents.worker(t, documents.write(t, text))
    expect(worker, harness.EXIT_FAILURE, "E_UNREACHABLE", "127.0.0.1:1", limit_s=90)
    assert "127.0.0.1:1" in last_line(worker)


def test_brokers_that_forget_offsets_soon(t):
    """A worker that was away for longer would be refused: it is warned about while it works."""
    source, sink = t.topic("in"), t.topic("out")
    path = documents.write(t, documents.echo(t, source, sink))
    worker = documents.worker(t, path)
    worker.wait_stderr("msg=recovered")
    assert "offsets.retention.minutes" not in worker.stderr(), worker.stderr()
    worker.terminate()
    t.private_broker(settings={"offsets.retention.minutes": 239})
    for name in (source, sink):
        t.kafka.create(name, 4)
    worker = documents.worker(t, documents.write(t, documents.echo(t, source, sink)), "--state-dir",
                              t.folder / "other")
    worker.wait_stderr("msg=recovered")
    line, = [line for line in worker.stderr().splitlines() if "offsets.retention.minutes" in line]
    assert "level=warn" in line and "minutes=239" in line and "wanted=240" in line, line
    worker.terminate()


def test_a_stop_while_the_broker_is_away(t):
    """The start asks for it for 15 s; a stop need not wait for that.

    COVERS: F30
    """
    text = documents.echo(t, "in", "out")
    text["kafka"]["brokers"] = ["127.0.0.1:1"]
    worker = documents.worker(t, documents.write(t, text))
    worker.wait_stderr("librdkafka is older")  # Its first words in the start.
    worker.terminate(limit_s=10)
    assert "E_UNREACHABLE" not in worker.stderr()


def test_state_directory_that_cannot_be_written(t):
    """COVERS: I11"""
    source, sink = t.topic("in"), t.topic("out")
    path = documents.write(t, documents.running(t, source, sink))
    (t.folder / "file").write_text("no folder\n")
    worker = documents.worker(t, path, "--state-dir", t.folder / "file")
    expect(worker, harness.EXIT_CONFIG, "E_STATE_DIRECTORY")
    assert str(t.folder / "file") in last_line(worker), last_line(worker)


def budget(t, source, sink, total):
    text = documents.running(t, source, sink, bounded=True)
    text["memory"] = {"total": total}
    return documents.worker(t, documents.write(t, text, f"budget-{total}.yaml"))


def test_memory_budget_too_small(t):
    """Refused with the table of what needs how much, and the smallest total; that total works.

    COVERS: I11
    """
    source, sink = t.topic("in"), t.topic("out")
    t.kafka.produce(source, [("a", '{"user_id":"a","amount":1}')])
    worker = budget(t, source, sink, "64MiB")
    text = expect(worker, harness.EXIT_CONFIG, "memory.total")
    assert len(re.findall(r"\d+ ?MiB", text)) >= 3, f"no table of shares:\n{text}"
    smallest = int(re.findall(r"(\d+) ?MiB", last_line(worker))[-1])
    assert smallest > 64, last_line(worker)
    budget(t, source, sink, f"{smallest - 1}MiB").expect_exit(harness.EXIT_CONFIG)
    budget(t, source, sink, f"{smallest}MiB").expect_exit(harness.EXIT_OK)
    assert len(documents.values(t, sink)) == 1


def test_partition_counts_that_cannot_meet(t):
    """--partitions beyond the topic is refused before anything is read.

    COVERS: I11
    """
    source, sink = t.topic("in"), t.topic("out")
    path = documents.write(t, documents.echo(t, source, sink))
    worker = t.worker(path, "--partitions", "0-7", "--shards", 1)
    expect(worker, harness.EXIT_CONFIG, "--partitions 0-7", "4 partitions")


def test_wrong_use_of_the_command_line(t):
    for words in (["run"], ["run", "a.yaml", "--partitions", "x"], ["run", "a.yaml", "--nonsense"],
                  ["nonsense"], ["run", "a.yaml", "--shards", "0"]):
        run = t.millrace(*words)
        run.expect_exit(harness.EXIT_USAGE)
        assert run.stderr().strip(), f"millrace {' '.join(words)} said nothing"


def test_wrong_topology(t):
    path = t.write("wrong.yaml", "millrace: 1\napp: wrong\nsources: {}\n")
    for verb in ("check", "run"):
        run = t.millrace(verb, path)
        run.expect_exit(harness.EXIT_CONFIG)
        assert re.search(r"wrong\.yaml:\d+:\d+: error\[M\d{4}\]", run.stdout() + run.stderr())
    run = t.millrace("check", t.folder / "absent.yaml")
    run.expect_exit(harness.EXIT_CONFIG)
    assert "absent.yaml" in run.stdout() + run.stderr()


def test_what_is_not_there_yet_is_refused_by_name(t):
    """Known words of the language that this version does not do: 78, and the word is named."""
    source, sink = t.topic("in"), t.topic("out")
    for change, word in (({"commit": {"slots": 2}}, "slots"),
                         ({"state": {"durability": "changelog"}}, "changelog")):
        text = documents.running(t, source, sink)
        for key, value in change.items():
            text[key] = {**text.get(key, {}), **value}
        run = t.millrace("check", documents.write(t, text))
        run.expect_exit(harness.EXIT_CONFIG)
        assert word in run.stdout() + run.stderr()


def test_another_number_of_shards_is_refused(t):
    """State lies in files of shards; without the flag a start keeps the number it had.

    COVERS: I5 I11
    """
    source, sink = t.topic("in"), t.topic("out")
    t.kafka.produce(source, [(f"k{n}", f'{{"user_id":"k{n}","amount":1}}') for n in range(40)])
    path = documents.write(t, documents.running(t, source, sink, bounded=True))
    documents.worker(t, path, "--shards", 2).expect_exit(harness.EXIT_OK)
    worker = documents.worker(t, path, "--shards", 1)
    expect(worker, harness.EXIT_CONFIG, "E_SHARD_COUNT", "--shards 2", str(t.state_dir))
    t.worker(path, "--partitions", "0-3").expect_exit(harness.EXIT_OK)
    assert len(documents.values(t, sink)) == 40


def test_a_stateless_plan_may_change_its_shards(t):
    source, sink = t.topic("in"), t.topic("out")
    t.kafka.produce(source, [(f"k{n}", f"{n}") for n in range(40)])
    path = documents.write(t, documents.echo(t, source, sink, bounded=True))
    for shards in (4, 1, 2):
        documents.worker(t, path, "--shards", shards).expect_exit(harness.EXIT_OK)
    assert len(documents.values(t, sink)) == 40


harness.main(globals())
