"""What becomes of keys, headers, null values and start positions on the way through."""
# CTEST: TIMEOUT=120
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.fault import scenario
from tests.integration import documents
from tests.support import harness


def run_bounded(t, text, *flags):
    text["sources"]["events"]["bounded"] = True
    worker = documents.worker(t, documents.write(t, text), *flags)
    worker.expect_exit(harness.EXIT_OK)
    return worker


def test_echo_keeps_bytes_keys_times_and_tombstones(t):
    source, sink = t.topic("in"), t.topic("out")
    rows = [(f"k{n % 7}", None if n % 10 == 0 else f"value {n} äß") for n in range(500)]
    t.kafka.produce(source, rows)
    run_bounded(t, documents.echo(t, source, sink))
    before, after = documents.read(t, source), documents.read(t, sink)
    for partition, records in before.items():
        assert [(r.key, r.value, r.timestamp) for r in records] == \
            [(r.key, r.value, r.timestamp) for r in after[partition]], f"partition {partition}"
    scenario.judge(t, {"workload": "echo", "group": documents.app_of(t), "inputs": [source],
                       "outputs": [sink], "tombstones": "pass", "partition": "murmur2",
                       "timestamp": "source"})


def test_partitions_of_keys_are_those_of_java(t):
    """Records placed anyhow come out where murmur2 puts their key."""
    source, sink = t.topic("in"), t.topic("out", partitions=7)
    t.kafka.produce(source, [(f"key-{n}", f"v{n}") for n in range(400)], "--partition", 1)
    run_bounded(t, documents.echo(t, source, sink))
    after = documents.read(t, sink)
    assert sum(len(records) for records in after.values()) == 400
    for partition, records in after.items():
        for record in records:
            assert documents.partition_of(record.key, 7) == partition, record.key


def test_sink_headers_are_computed(t):
    source, sink = t.topic("in"), t.topic("out")
    t.kafka.produce(source, [("a", '{"user_id":"a","n":1}')], "--header", "trace=t-1")
    keys = {"topic": source, "format": "json", "key": ["user_id"],
            "schema": {"user_id": "text not null", "n": "bigint",
                       "trace": {"type": "text", "from": "header", "name": "trace"}}}
    text = documents.document(
        t, keys, {"kept": {"op": "map", "from": "events", "drop": ["n"]}},
        {"out": {"from": "kept", "topic": sink,
                 "headers": {"copied": "trace", "fixed": "'x'",
                             "place": "meta.topic || '/' || meta.partition::text"}}})
    run_bounded(t, text)
    record = next(r for found in documents.read(t, sink).values() for r in found)
    partition = documents.partition_of(b"a", 4)
    assert json.loads(record.value) == {"user_id": "a", "trace": "t-1"}, record.value
    assert record.header(b"copied") == b"t-1"
    assert record.header(b"fixed") == b"x"
    assert record.header(b"place") == f"{source}/{partition}".encode()


def test_nested_records_and_bytes(t):
    """In from JSON, by them in state over two runs, out as JSON and as a record key; and a letter
    that names the field."""
    source, sink, dlq = t.topic("in"), t.topic("out"), t.topic("dlq")
    fields = {"id": "bigint not null", "address": {"type": "record", "fields": {"city": "text"}}}
    keys = {"topic": source, "format": "json", "key": ["who.id"], "key_format": "json",
            "schema": {"who": {"type": "record", "path": "payload.who", "fields": fields},
                       "mark": "bytea"}}
    text = documents.document(
        t, keys,
        {"counts": {"op": "aggregate", "from": "events", "by": ["who.id", "mark"], "emit": "every",
                    "select": {"who.id": None, "mark": None, "n": "count(*)",
                               "who.city": "max(who.address.city)"}}},
        {"out": {"from": "counts", "topic": sink, "key": ["who.id", "mark"],
                 "key_format": "json"}},
        errors={"default": {"dlq": "bad"}}, dlqs={"bad": {"topic": dlq}})
    for n in (1, 2):
        t.kafka.produce(source, [("", '{"payload":{"who":{"id":5,"address":{"city":"Bern"}}},'
                                      '"mark":"/w=="}'),
                                 ("", '{"payload":{"who":{"address":{}}},"mark":null}')],
                        "--partition", 2)
        run_bounded(t, text)
        record = documents.read(t, sink)[documents.partition_of(
            b'{"who":{"id":5},"mark":"/w=="}', 4)][-1]
        assert record.key == b'{"who":{"id":5},"mark":"/w=="}'
        assert record.value == (b'{"who":{"id":5,"city":"Bern"},"mark":"/w==","n":%d}' % n)
    letters = [record for found in documents.read(t, dlq).values() for record in found]
    assert len(letters) == 2
    assert letters[0].header(b"millrace.error.code") == b"DECODE_NULL"
    assert letters[0].header(b"millrace.error.message").endswith(b": who.id")
    dump = t.millrace("state", "dump", t.state_dir / documents.app_of(t), "--topology",
                      t.folder / "topology.yaml")
    dump.expect_exit(harness.EXIT_OK)
    assert '"columns":{"who":{"id":5,"city":"Bern"},"mark":"/w==","n":2}' in dump.stdout(), \
        dump.stdout()
    # A file that this state does not fit names its tables, but not its columns.
    changed = t.write("changed.yaml",
                      (t.folder / "topology.yaml").read_text().replace("max(", "min("))
    dump = t.millrace("state", "dump", t.state_dir / documents.app_of(t), "--topology", changed)
    dump.expect_exit(harness.EXIT_OK)
    assert '"value":' in dump.stdout() and '"columns":' not in dump.stdout(), dump.stdout()
    for words, said in ((("--topology", t.folder / "topology.yaml"), "  counts.results\n"),
                        (("--topology", changed), "  counts.results\n"),
                        (("--topology", changed, "--format", "json"),
                         ',"name":"counts.results"}\n')):
        ls = t.millrace("state", "ls", t.state_dir / documents.app_of(t), *words)
        ls.expect_exit(harness.EXIT_OK)
        assert said in ls.stdout(), ls.stdout()


def test_a_text_key_of_bytes_is_hex(t):
    source, sink, back = t.topic("in"), t.topic("out"), t.topic("back")
    t.kafka.produce(source, [(b"\xff\x00", "x")])
    raw = {"topic": source, "format": "raw", "key_format": "raw",
           "schema": {"k": {"type": "bytea", "from": "key"}, "v": "bytea"}}
    run_bounded(t, documents.document(t, raw, {}, {"out": {"from": "events", "topic": sink,
                                                           "key": ["k"]}}))
    record = next(r for found in documents.read(t, sink).values() for r in found)
    assert record.key == b"\\xff00", record.key
    assert json.loads(record.value) == {"k": "/wA=", "v": "eA=="}, record.value
    text = {"topic": sink, "format": "json", "schema": {"k": {"type": "bytea", "from": "key"},
                                                        "v": "bytea"}}
    run_bounded(t, documents.document(t, text, {}, {"out": {"from": "events", "topic": back,
                                                            "format": "json"}},
                                      app=documents.app_of(t) + "-back"))
    record = next(r for found in documents.read(t, back).values() for r in found)
    assert json.loads(record.value) == {"k": "/wA=", "v": "eA=="}, record.value


def test_tombstones_of_a_counted_stream_are_dropped_when_told(t):
    source, sink = t.topic("in"), t.topic("out")
    rows = [("a", '{"user_id":"a","amount":1}'), ("a", None), ("a", '{"user_id":"a","amount":2}')]
    t.kafka.produce(source, rows)
    run_bounded(t, documents.running(t, source, sink, tombstones="drop"))
    assert [json.loads(v)["n"] for v in documents.values(t, sink)] == [1, 2]


def test_null_amounts_and_empty_groups_are_those_of_sql(t):
    source, sink = t.topic("in"), t.topic("out")
    t.kafka.produce(source, [("a", '{"user_id":"a","amount":null}'), ("a", '{"user_id":"a"}'),
                             ("a", '{"user_id":"a","amount":-2.5}')])
    run_bounded(t, documents.running(t, source, sink))
    rows = [json.loads(v) for v in documents.values(t, sink)]
    assert [row["n"] for row in rows] == [1, 2, 3]
    assert [row["total"] for row in rows] == [None, None, -2.5]
    assert [row["low"] for row in rows] == [None, None, -2.5]


def test_intervals_and_38_digits_are_read_stored_and_written(t):
    """A second run goes on from the stored interval and sum."""
    source, sink = t.topic("in"), t.topic("out")
    most = "9" * 38
    keys = {"topic": source, "format": "json", "key": ["user_id"],
            "schema": {"user_id": "text not null", "gap": "interval", "day": "date",
                       "large": "numeric(38,0)"}}
    select = {"user_id": None, "longest": "max(gap)", "shortest": "min(gap)", "all": "sum(large)",
              "due": "max(day + gap)"}
    text = documents.document(
        t, keys, {"gaps": {"op": "aggregate", "from": "events", "by": ["user_id"],
                           "select": select, "emit": "every"}},
        {"out": {"from": "gaps", "topic": sink, "numbers": "string"}})
    t.kafka.produce(source, [
        ("a", '{"user_id":"a","gap":"1 mon","day":"2026-01-31","large":"%s"}' % most),
        ("a", '{"user_id":"a","gap":"P29DT24H","day":"2026-01-01","large":-1}')])
    run_bounded(t, text)
    t.kafka.produce(source, [("a", '{"user_id":"a","gap":"-1 day +02:00","large":1}')])
    run_bounded(t, text)
    rows = [json.loads(v) for v in documents.values(t, sink)]
    assert [row["longest"] for row in rows] == ["1 mon", "29 days 24:00:00", "29 days 24:00:00"]
    assert [row["shortest"] for row in rows] == ["1 mon", "29 days 24:00:00", "-1 days +02:00:00"]
    assert [row["all"] for row in rows] == [most, str(10 ** 38 - 2), most]
    assert [row["due"] for row in rows] == ["2026-02-28T00:00:00Z"] * 3


def test_on_commit_sends_the_last_row_of_each_key(t):
    source, sink = t.topic("in"), t.topic("out")
    t.kafka.produce(source, scenario.rows(0, 3000))
    run_bounded(t, documents.running(t, source, sink, emit="on_commit"))
    last = {}
    for records in documents.read(t, sink).values():
        for record in records:
            row = json.loads(record.value)
            assert row["n"] > last.get(record.key, {"n": 0})["n"], "a key went back"
            last[record.key] = row
    assert sum(row["n"] for row in last.values()) == 3000


def test_start_latest_skips_what_was_there(t):
    source, sink = t.topic("in"), t.topic("out")
    t.kafka.produce(source, [("a", f"old {n}") for n in range(50)])
    text = documents.echo(t, source, sink, start="latest")
    path = documents.write(t, text)
    worker = documents.worker(t, path)
    watch = documents.Watch(t, source)
    t.wait_until(watch.done, "the start offsets are committed before anything is read")
    t.kafka.produce(source, [("a", f"new {n}") for n in range(20)])
    t.wait_until(lambda: watch.done() and len(documents.values(t, sink)) == 20, "the new records")
    worker.terminate()
    # What comes while nobody runs is not skipped: the start is committed, not chosen again.
    t.kafka.produce(source, [("a", f"later {n}") for n in range(10)])
    worker = documents.worker(t, path)
    t.wait_until(watch.done, "the later records")
    worker.terminate()
    assert [v.split()[0] for v in documents.values(t, sink)] == [b"new"] * 20 + [b"later"] * 10


def test_bounded_ends_at_the_end_it_saw(t):
    source, sink = t.topic("in"), t.topic("out")
    t.kafka.produce(source, scenario.rows(0, 5000))
    worker = run_bounded(t, documents.running(t, source, sink), "--shards", 2)
    assert worker.wait() == harness.EXIT_OK
    assert len(documents.values(t, sink)) == 5000
    # Again, with nothing new: it ends at once and adds nothing.
    documents.worker(t, t.folder / "topology.yaml", "--shards", 2).expect_exit(harness.EXIT_OK)
    assert len(documents.values(t, sink)) == 5000


def test_ordinals_share_the_partitions(t):
    """`--ordinal 0/2` reads and commits the even partitions, 1/2 the rest; together all, once."""
    source, sink = t.topic("in"), t.topic("out")
    t.kafka.produce(source, [(f"k{n}", f"v{n}") for n in range(400)])
    text = documents.echo(t, source, sink)
    text["sources"]["events"]["bounded"] = True
    path = documents.write(t, text)
    for ordinal in range(2):
        worker = t.worker(path, "--shards", 1, "--ordinal", f"{ordinal}/2",
                          "--state-dir", t.folder / f"state-{ordinal}")
        worker.expect_exit(harness.EXIT_OK)
        assert f"worker_set=o{ordinal}of2" in worker.stderr()
        committed = documents.Watch(t, source).committed()
        assert {p for p, offset in committed.items() if offset > 0} == \
            set(range(0, 4, 2) if ordinal == 0 else range(4)), committed
    scenario.judge(t, {"workload": "echo", "group": documents.app_of(t), "inputs": [source],
                       "outputs": [sink], "partition": "murmur2"})


harness.main(globals())
