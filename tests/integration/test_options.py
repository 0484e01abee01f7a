"""What options of sources and sinks do to the records that are written, read back from the broker:
compression, key formats, partitions, times, start times, topics that are made."""
# CTEST: TIMEOUT=180
import json
import pathlib
import struct
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.integration import documents
from tests.support import harness
import kafka_wire
import records

SECOND_MS = 1000
MORNING_MS = 1767225600000  # 2026-01-01T00:00:00Z


def run_bounded(t, text):
    text["sources"]["events"]["bounded"] = True
    worker = documents.worker(t, documents.write(t, text))
    worker.expect_exit(harness.EXIT_OK)
    return worker


def json_source(topic, columns, **more):
    return {"topic": topic, "format": "json", "schema": columns, **more}


def keyed(t, source, sink, columns, key, **out):
    """A JSON topic whose records go to `sink` as they are, under other options."""
    return documents.document(t, json_source(source, columns, key=[key]), {},
                              {"out": {"from": "events", "topic": sink, **out}})


def batches(t, topic):
    """The batches with records, as they lie in the log."""
    client = kafka_wire.Client(t.kafka.bootstrap)
    found = []
    for partition in range(client.partitions(topic)):
        part = client.fetch(topic, partition, 0, kafka_wire.READ_UNCOMMITTED)
        found += [b for b in records.batches(part.data, whole=False) if not b.control]
    client.close()
    return found


def test_compression_is_what_the_file_says(t):
    """`kafka.client: compression.type`; lz4 without it. The bytes in the log tell the codec."""
    source = t.topic("in")
    rows = [(f"k{n % 9}", f"value {n} " + 40 * "abc") for n in range(3000)]
    t.kafka.produce(source, rows)
    for codec, number in (("none", 0), ("gzip", 1), ("snappy", 2), ("lz4", 3), ("zstd", 4),
                          (None, 3)):
        sink = t.topic(f"out-{codec}")
        text = documents.echo(t, source, sink)
        text["app"] = f"{documents.app_of(t)}-{codec or 'default'}".lower()[:63]
        text["kafka"]["client"] = {"compression.type": codec} if codec else {}
        run_bounded(t, text)
        codecs = {batch.attributes & 7 for batch in batches(t, sink)}
        assert codecs == {number}, f"compression.type {codec}: codecs {codecs} in the log"
        got = [(r.key.decode(), r.value.decode()) for r in t.kafka.read(sink)]
        assert sorted(got) == sorted(rows), f"compression.type {codec}"


KEYS = [("text", "b-1", b"b-1", "text"), ("json", "b-1", b'{"k":"b-1"}', "text"),
        ("int32", -5, struct.pack(">i", -5), "bigint"), ("text", -5, b"-5", "bigint"),
        ("int64", 1 << 40, struct.pack(">q", 1 << 40), "bigint"),
        ("json", 7, b'{"k":7}', "bigint")]


def test_key_formats_are_written_and_read(t):
    """A sink writes a key in the format, at the partition of its bytes; a source reads it back."""
    for count, (key_format, value, raw, kind) in enumerate(KEYS):
        source, middle, sink = (t.topic(f"{role}-{count}") for role in ("in", "mid", "out"))
        columns = {"k": f"{kind} not null", "v": "bigint"}
        t.kafka.produce(source, [("any", json.dumps({"k": value, "v": 1}))])
        text = keyed(t, source, middle, columns, "k", key_format=key_format)
        text["sources"]["events"]["partitioner"] = "opaque"
        text["app"] += f"-w{count}"
        run_bounded(t, text)
        found = documents.read(t, middle)
        partition = documents.partition_of(raw, 4)
        assert [r.key for r in found[partition]] == [raw], f"{key_format}: {found}"
        back = {"k": {"type": f"{kind} not null", "from": "key"}, "v": "bigint"}
        text = documents.document(
            t, json_source(middle, back, key_format=key_format, key=["k"]), {},
            {"out": {"from": "events", "topic": sink}})
        text["app"] += f"-r{count}"
        run_bounded(t, text)
        got = [json.loads(v) for v in documents.values(t, sink)]
        assert got == [{"k": value, "v": 1}], f"{key_format}: {got}"


def test_raw_keys_are_written_and_read(t):
    source, sink = t.topic("in"), t.topic("out")
    key = b"\x00\xff\x80 raw"
    t.kafka.produce(source, [(key, "v")])
    run_bounded(t, documents.echo(t, source, sink))
    found = documents.read(t, sink)
    assert [r.key for r in found[documents.partition_of(key, 4)]] == [key], found


def test_partitioner_same_and_by_expression(t):
    """`same`: the number of the input's partition; an expression: modulo the partitions, never
    below 0."""
    source = t.topic("in")
    for partition in range(4):
        t.kafka.produce(source, [(f"k{n}", json.dumps({"k": f"k{n}", "v": n - 20}))
                                 for n in range(partition, 40, 4)], "--partition", partition)
    columns = {"k": "text not null", "v": "bigint"}
    for name, partitioner, place in (("same", "same", lambda row: (row["v"] + 20) % 4),
                                     ("expr", {"expr": "v"}, lambda row: row["v"] % 3)):
        sink = t.topic(f"out-{name}", partitions=4 if name == "same" else 3)
        text = keyed(t, source, sink, columns, "k", partitioner=partitioner)
        text["sources"]["events"]["partitioner"] = "opaque"
        text["app"] += f"-{name}"
        run_bounded(t, text)
        seen = 0
        for partition, found in documents.read(t, sink).items():
            for record in found:
                row = json.loads(record.value)
                assert place(row) == partition, f"{name}: {row} in partition {partition}"
                seen += 1
        assert seen == 40, f"{name}: {seen} records"


def test_times_of_output_records(t):
    """Without a word the time of the event; an expression; `create`: the time of writing."""
    source = t.topic("in")
    t.kafka.produce(source, [(MORNING_MS + n * SECOND_MS, "a", json.dumps(
        {"k": "a", "at": f"2026-01-02T00:00:{n:02d}Z"})) for n in range(5)], "--time")
    columns = {"k": "text not null", "at": "timestamptz"}
    day_ms = 24 * 3600 * SECOND_MS
    begun_ms = time.time() * 1000
    for name, timestamp, expected in (
            ("event", None, [MORNING_MS + n * SECOND_MS for n in range(5)]),
            ("expr", "at", [MORNING_MS + day_ms + n * SECOND_MS for n in range(5)]),
            ("create", "create", None)):
        sink = t.topic(f"out-{name}")
        text = keyed(t, source, sink, columns, "k",
                     **({"timestamp": timestamp} if timestamp else {}))
        text["app"] += f"-{name}"
        run_bounded(t, text)
        times = [r.timestamp for found in documents.read(t, sink).values() for r in found]
        if expected:
            assert times == expected, f"{name}: {times}"
        else:
            assert len(times) == 5 and all(begun_ms <= at <= time.time() * 1000 for at in times), \
                f"{name}: {times}, begun at {begun_ms}"


def test_start_at_a_time(t):
    """The first record at or after it, in each partition for itself; none there: the end."""
    source, sink = t.topic("in"), t.topic("out")
    for partition, last in ((0, 10), (1, 3), (2, 6)):
        t.kafka.produce(source, [(MORNING_MS + n * SECOND_MS, "any", f"{partition}.{n}")
                                 for n in range(last)], "--time", "--partition", partition)
    text = documents.echo(t, source, sink, start="2026-01-01T00:00:05Z", partitioner="opaque")
    run_bounded(t, text)
    got = sorted(v.decode() for v in documents.values(t, sink))
    assert got == ["0.5", "0.6", "0.7", "0.8", "0.9", "2.5"], got


def test_missing_topics_are_made_as_told(t):
    """`create:` of a sink and of a dlq: so many partitions, once; records are in them."""
    source = t.topic("in")
    sink, dead = t.topic_name("made"), t.topic_name("dead")
    t.kafka.produce(source, [("a", '{"k":"a","v":1}'), ("a", '{"k":"a","v":"no number"}')])
    text = keyed(t, source, sink, {"k": "text not null", "v": "bigint"}, "k",
                 create={"partitions": 5, "replication": 1})
    text["errors"] = {"default": {"dlq": "dead"}}
    text["dlqs"] = {"dead": {"topic": dead, "create": {"partitions": 2}}}
    t.topics += [sink, dead]
    worker = run_bounded(t, text)
    assert worker.stderr().count('msg="topic created"') == 2, worker.stderr()
    found, letters = documents.read(t, sink), documents.read(t, dead)
    assert (len(found), len(letters)) == (5, 2)
    assert [r.value for part in found.values() for r in part] == [b'{"k":"a","v":1}']
    assert [r.value for part in letters.values() for r in part] == [b'{"k":"a","v":"no number"}']
    t.kafka.produce(source, [("a", '{"k":"a","v":2}')])
    worker = run_bounded(t, text)
    assert "topic created" not in worker.stderr(), "what is there is not made again"
    assert len(documents.values(t, sink)) == 2


harness.main(globals())
