"""F19: records that cannot be decoded: stop, drop and dead letter, with exact counts and bytes."""
# CTEST: TIMEOUT=120
import hashlib
import json
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.fault import scenario
from tests.integration import documents
from tests.integration.documents import kafka_wire
from tests.support import harness

SCHEMA = {"user_id": "text not null", "n": "bigint", "price": "numeric(10,2)", "note": "text"}
MAX_RECORD = 2048
GOOD = 300
LARGE_GROUPS = 200


def good(n):
    """A record whose output has the very bytes of its input."""
    return f"u{n % 17}", f'{{"user_id":"u{n % 17}","n":{n},"price":{n}.50,"note":"fine"}}'


def bad():
    """name: (key, value) of records that the source must refuse."""
    def with_n(text):
        return "k", f'{{"user_id":"k","n":{text},"price":1.00,"note":"x"}}'

    def with_price(text):
        return "k", f'{{"user_id":"k","n":1,"price":{text},"note":"x"}}'
    return {
        "cut off": ("k", b'{"user_id":"k","n":1'),
        "not an object": ("k", b'["k",1]'),
        "text behind it": ("k", b'{"user_id":"k","n":1} 2'),
        "empty": ("k", b""),
        "invalid UTF-8": ("k", b'{"user_id":"k","n":1,"note":"\xff\xfe"}'),
        "invalid UTF-8 in a column nobody asked for": ("k", b'{"user_id":"k","other":"\xc3("}'),
        "a fraction for bigint": with_n("1.5"),
        "too large for bigint": with_n("9223372036854775808"),
        "text for bigint": with_n('"many"'),
        "an object for bigint": with_n('{"v":1}'),
        "digits beyond the scale": with_price("1.234"),
        "digits beyond the precision": with_price("123456789.00"),
        "a number for text": ("k", b'{"user_id":"k","n":1,"note":5}'),
        "a null key column": (None, b'{"user_id":null,"n":1}'),
        "no key column": (None, b'{"n":1}'),
        "above max_record": ("k", b'{"user_id":"k","note":"' + b"y" * MAX_RECORD + b'"}'),
        "a tombstone": ("k", None),
    }


def topology(t, source, sink, on_error, dlq=None):
    keys = {"topic": source, "format": "json", "key": ["user_id"], "schema": SCHEMA,
            "max_record": f"{MAX_RECORD // 1024}KiB", "bounded": True, "on_error": on_error}
    more = {"dlqs": {"rejected": {"topic": dlq}}} if dlq else {}
    return documents.document(t, keys, {}, {"out": {"from": "events", "topic": sink}}, **more)


def settle(t, text):
    """A commit is decided before its markers stand in every topic: waits until all can be read."""
    written = [item["topic"] for part in ("sinks", "dlqs") for item in text.get(part, {}).values()]
    for topic in written:
        watch = documents.Watch(t, topic)
        t.wait_until(lambda: watch.ends() == watch.ends(isolation=kafka_wire.READ_COMMITTED),
                     f"the last commit is visible in {topic}")
        watch.reconnect()


def run_to_end(t, text, *flags):
    worker = documents.worker(t, documents.write(t, text), *flags)
    worker.expect_exit(harness.EXIT_OK)
    settle(t, text)
    return worker


def spec(t, source, sink, **more):
    return {"workload": "echo", "group": documents.app_of(t), "inputs": [source],
            "outputs": [sink], "columns": SCHEMA, "key": ["user_id"], "partition": "murmur2",
            "max_record": MAX_RECORD, "tombstones": "error", **more}


def feed_mixed(t, source):
    """Good records with the bad ones among them, each bad one with a header of its own."""
    records = bad()
    t.kafka.produce(source, [good(n) for n in range(GOOD // 2)])
    for key, value in records.values():
        t.kafka.produce(source, [(key, value)], "--header", "trace=abc", "--partition", 2)
    t.kafka.produce(source, [good(n) for n in range(GOOD // 2, GOOD)])
    return records


def test_F19_dead_letters_carry_the_original_and_where_it_came_from(t):
    """COVERS: F19 I1 I2"""
    source, sink, dlq = t.topic("in"), t.topic("out"), t.topic("dlq")
    records = feed_mixed(t, source)
    run_to_end(t, topology(t, source, sink, {"dlq": "rejected"}, dlq))
    assert len(documents.values(t, sink)) == GOOD
    originals = {(record.offset): record for record in documents.read(t, source)[2]}
    letters = [record for found in documents.read(t, dlq).values() for record in found]
    assert len(letters) == len(records), f"{len(letters)} dead letters of {len(records)}"
    seen = set()
    for letter in letters:
        offset = int(letter.header(b"millrace.error.offset"))
        original = originals[offset]
        assert offset not in seen, f"two dead letters of offset {offset}"
        seen.add(offset)
        assert (letter.key, letter.value) == (original.key, original.value), offset
        assert letter.header(b"trace") == b"abc", "the original's own headers are kept"
        assert letter.header(b"millrace.error.topic") == source.encode()
        assert letter.header(b"millrace.error.partition") == b"2"
        assert letter.header(b"millrace.error.app") == documents.app_of(t).encode()
        assert letter.header(b"millrace.error.step") == b"events"
        assert letter.header(b"millrace.error.payload") == b"source"
        assert letter.header(b"millrace.error.timestamp"), "when the original was made"
        code = letter.header(b"millrace.error.code").decode()
        assert re.fullmatch("[0-9A-Z_]+", code), code
        assert letter.header(b"millrace.error.message"), f"{code} has no message"
    cut_off = next(letter for letter in letters if letter.value == records["cut off"][1])
    assert cut_off.header(b"millrace.error.code") == b"DECODE_JSON"
    scenario.judge(t, spec(t, source, sink, dlq=dlq))


def names_of(letter, name):
    return [value for found, value in letter.headers if found == name]


def test_F19_a_dead_letter_that_is_read_again(t):
    """One set of provenance headers, and the attempts of both.
    COVERS: F19
    """
    source, sink, dlq = t.topic("in"), t.topic("out"), t.topic("dlq")
    t.kafka.produce(source, [("k", b"bad")], "--header", "trace=abc", "--header",
                    "millrace.error.attempt=2", "--header", "millrace.error.code=22012",
                    "--header", "millrace.replay=1")
    t.kafka.produce(source, [("k", b"bad")], "--header", "millrace.error.attempt=two")
    run_to_end(t, topology(t, source, sink, {"dlq": "rejected"}, dlq))
    first, second = sorted((record for found in documents.read(t, dlq).values()
                            for record in found), key=lambda record: record.offset)
    assert names_of(first, b"millrace.error.code") == [b"DECODE_JSON"], first.headers
    assert names_of(first, b"millrace.error.attempt") == [b"3"], first.headers
    assert names_of(second, b"millrace.error.attempt") == [b"1"], second.headers
    assert first.header(b"trace") == b"abc" and first.header(b"millrace.replay") == b"1"


def test_F19_a_record_that_the_dead_letter_topic_cannot_take(t):
    """Something of it stands there, and what can be told of the rest.
    COVERS: F19 F20
    """
    source, sink = t.topic("in"), t.topic("out")
    dlq = t.topic("dlq", max_message_bytes=3000)
    value, key = b"y" * 5000, "k" * 4000
    t.kafka.produce(source, [("k", value)], "--header", "trace=abc", "--partition", 0)
    t.kafka.produce(source, [(key, b"bad")], "--partition", 1)
    many = [word for n in range(70) for word in ("--header", f"h{n}=v")]
    t.kafka.produce(source, [("k", b"bad")], *many, "--partition", 2)
    large = [word for n in range(40) for word in ("--header", f"h{n}={n:0>100}")]
    t.kafka.produce(source, [("k", b"bad")], *large, "--partition", 3)
    run_to_end(t, topology(t, source, sink, {"dlq": "rejected"}, dlq))
    letters = {partition: found for partition, (found,) in documents.read(t, dlq).items()}
    kept = b"millrace.error.headers_kept"
    assert json.loads(letters[0].value) == {
        "omitted": "record too large for the topic", "size_bytes": len(value),
        "sha256": hashlib.sha256(value).hexdigest()}
    assert (letters[0].key, letters[0].header(b"trace")) == (b"k", b"abc")
    assert letters[1].key is None
    assert json.loads(letters[1].value)["size_bytes"] == len(b"bad")
    assert (letters[2].key, letters[2].value) == (b"k", b"bad")
    assert letters[2].header(kept) == b"64" and letters[2].header(b"h63") == b"v"
    assert names_of(letters[2], b"h64") == []
    assert letters[3].header(kept) == b"0" and names_of(letters[3], b"h0") == []
    for letter in letters.values():
        assert letter.header(b"millrace.error.topic") == source.encode()


def test_F19_dropped_records_are_counted(t):
    """COVERS: F19 I1 I2"""
    source, sink = t.topic("in"), t.topic("out")
    records = feed_mixed(t, source)
    worker = run_to_end(t, topology(t, source, sink, {"drop": True}), "--progress")
    assert len(documents.values(t, sink)) == GOOD
    assert re.search(rf"dropped\D{{0,3}}{len(records)}\b", worker.stderr()), \
        f"nothing says that {len(records)} records were dropped:\n{worker.stderr()[-3000:]}"
    scenario.judge(t, spec(t, source, sink, on_error="drop"))


def stop_at(t, name):
    """Runs into one bad record: status 1, one line that names its place, nothing beyond it."""
    source, sink, dlq = t.topic("in"), t.topic("out"), t.topic("dlq")
    t.kafka.produce(source, [good(n) for n in range(GOOD)])
    place = t.kafka.ends(source)[2][1]
    t.kafka.produce(source, [bad()[name]], "--partition", 2)
    t.kafka.produce(source, [good(n) for n in range(GOOD, 2 * GOOD)])
    worker = documents.worker(t, documents.write(t, topology(t, source, sink, {"stop": True})))
    worker.expect_exit(harness.EXIT_FAILURE)
    last = worker.stderr().strip().splitlines()[-1]
    for word in (source, "2", str(place), "on_error"):
        assert word in last, f"'{word}' is not in its last line:\n{last}"
    offset = t.kafka.offsets(documents.app_of(t), source)[2]
    assert offset is None or offset.offset <= place, "the bad record was passed over"
    # The file now says where such records go: everything arrives, once.
    run_to_end(t, topology(t, source, sink, {"dlq": "rejected"}, dlq))
    assert len(documents.values(t, sink)) == 2 * GOOD
    scenario.judge(t, spec(t, source, sink, dlq=dlq))


def test_F19_stop_at_malformed_json(t):
    """COVERS: F19 I11"""
    stop_at(t, "cut off")


def test_F19_stop_at_invalid_utf8(t):
    """COVERS: F19 I11"""
    stop_at(t, "invalid UTF-8")


def test_F19_stop_at_a_number_that_does_not_fit(t):
    """COVERS: F19 I11"""
    stop_at(t, "too large for bigint")


def test_F19_stop_at_a_null_key(t):
    """COVERS: F19 I11"""
    stop_at(t, "a null key column")


def test_F20_stop_at_a_value_above_max_record(t):
    """COVERS: F20 I11"""
    stop_at(t, "above max_record")


def test_F19_an_expression_that_fails(t):
    """A division by zero in a step: the letter is the source record, the code an SQLSTATE.

    COVERS: F19 I1 I2
    """
    source, sink, dlq = t.topic("in"), t.topic("out"), t.topic("dlq")
    t.kafka.produce(source, [(f"u{n}", f'{{"user_id":"u{n}","n":{n % 5}}}') for n in range(100)])
    keys = {"topic": source, "format": "json", "key": ["user_id"], "bounded": True,
            "schema": {"user_id": "text not null", "n": "bigint"}}
    steps = {"ratio": {"op": "map", "from": "events", "set": {"part": "100 / n"},
                       "on_error": {"dlq": "rejected"}}}
    text = documents.document(t, keys, steps, {"out": {"from": "ratio", "topic": sink}},
                              dlqs={"rejected": {"topic": dlq}})
    run_to_end(t, text)
    letters = [record for found in documents.read(t, dlq).values() for record in found]
    assert len(letters) == 20 and len(documents.values(t, sink)) == 80
    assert {letter.header(b"millrace.error.code") for letter in letters} == {b"22012"}
    assert {letter.header(b"millrace.error.step") for letter in letters} == {b"ratio"}
    assert all(b'"n":0' in letter.value for letter in letters)


def test_F19_too_many_dead_letters_stop_the_worker(t):
    """stop_above: the worker stops by name, with no more letters than allowed, and loses nothing.

    COVERS: F19 I1 I2 I11
    """
    source, sink, dlq = t.topic("in"), t.topic("out"), t.topic("dlq")
    t.kafka.produce(source, [good(n) for n in range(GOOD)])
    t.kafka.produce(source, [bad()["cut off"]] * 6, "--partition", 2)
    place = t.kafka.ends(source)[2][1] - 1
    text = topology(t, source, sink, {"dlq": "rejected"}, dlq)
    text["dlqs"]["rejected"]["stop_above"] = {"records": 5, "per": "1h"}
    worker = documents.worker(t, documents.write(t, text))
    worker.expect_exit(harness.EXIT_FAILURE)
    last = worker.stderr().strip().splitlines()[-1]
    for word in ("E_DLQ_LIMIT", "rejected", f"{source}-2@{place}", "stop_above"):
        assert word in last, f"'{word}' is not in its last line:\n{last}"
    settle(t, text)
    letters = [record for found in documents.read(t, dlq).values() for record in found]
    assert len(letters) <= 5, f"{len(letters)} dead letters were committed"
    text["dlqs"]["rejected"]["stop_above"]["records"] = 6
    run_to_end(t, text)
    scenario.judge(t, spec(t, source, sink, dlq=dlq))
    assert len(documents.values(t, sink)) == GOOD


def test_F19_an_error_output_is_a_stream(t):
    """Rows that a step rejects, read by a sink and by a step whose own dead letters are originals.

    COVERS: F19 I1 I2
    """
    source, sink, wrong, dlq = t.topic("in"), t.topic("out"), t.topic("wrong"), t.topic("dlq")
    values = ["5", "0", "x", "20", "99999999999999999999"]
    t.kafka.produce(source, [(f"u{n}", f'{{"user_id":"u{n}","n":"{values[n % 5]}"}}')
                             for n in range(100)])
    keys = {"topic": source, "format": "json", "key": ["user_id"], "bounded": True,
            "schema": {"user_id": "text not null", "n": "text"}}
    steps = {"ratio": {"op": "map", "from": "events", "on_error": {"output": True},
                       "select": {"user_id": None, "part": "100 / n::bigint"}},
             "again": {"op": "map", "from": "ratio.errors", "on_error": {"dlq": "rejected"},
                       "select": {"user_id": None, "n": "n::numeric(38,0)", "error_code": None}}}
    text = documents.document(t, keys, steps, {"out": {"from": "ratio", "topic": sink},
                                               "wrong": {"from": "again", "topic": wrong}},
                              dlqs={"rejected": {"topic": dlq}})
    run_to_end(t, text)
    letters = [record for found in documents.read(t, dlq).values() for record in found]
    rows = documents.values(t, wrong)
    assert len(documents.values(t, sink)) == 40
    assert len(rows) == 40, f"{len(rows)} rows went on"
    assert len([row for row in rows if b'"error_code":"22012"' in row]) == 20, rows[:3]
    assert len([row for row in rows if b'"error_code":"22003"' in row]) == 20, rows[:3]
    assert len(letters) == 20
    for letter in letters:
        assert b'"n":"x"' in letter.value, "the letter is the source record, not the row"
        assert letter.header(b"millrace.error.step") == b"again"
        assert letter.header(b"millrace.error.payload") == b"source"


def test_F19_a_group_that_is_rejected_when_the_epoch_closes(t):
    """The group's row has no input row: columns it shares with the input, the others null.

    COVERS: F19 I1 I2
    """
    source, sink, wrong = t.topic("in"), t.topic("out"), t.topic("wrong")
    t.kafka.produce(source, [(f"u{n}", f'{{"user_id":"u{n}","n":{n % 2}}}') for n in range(20)])
    keys = {"topic": source, "format": "json", "key": ["user_id"], "bounded": True,
            "schema": {"user_id": "text not null", "n": "bigint"}}
    steps = {"sums": {"op": "aggregate", "from": "events", "by": ["user_id"],
                      "select": {"user_id": None, "part": "100 / sum(n)::bigint"},
                      "on_error": {"output": True}}}
    text = documents.document(t, keys, steps, {"out": {"from": "sums", "topic": sink},
                                               "wrong": {"from": "sums.errors", "topic": wrong}})
    run_to_end(t, text)
    rows = documents.values(t, wrong)
    assert len(documents.values(t, sink)) == 10 and len(rows) == 10
    assert all(b'"n":null,"error_code":"22012"' in row for row in rows), rows[:2]
    assert len({row.split(b",")[0] for row in rows}) == 10, "each group is named"


def test_groups_whose_results_are_large(t):
    """Results that an expression makes long: a batch or an epoch holds few of them, and those that
    none can hold go where rejected rows go: the second would fit without its key, the third is too
    large for the topics alone, so that of its dead letter only the headers are left.

    COVERS: S22 I2 I11
    """
    source, sink, wrong, dead = t.topic("in"), t.topic("out"), t.topic("wrong"), t.topic("dead")
    odd = {0: 9000000, 1: 4 << 20, 2: 2000000}
    t.kafka.produce(source, [(f"u{n}", f'{{"user_id":"u{n}","n":{odd.get(n, 900000)}}}')
                             for n in range(LARGE_GROUPS)])
    keys = {"topic": source, "format": "json", "key": ["user_id"], "bounded": True,
            "schema": {"user_id": "text not null", "n": "bigint"}}
    steps = {"wide": {"op": "aggregate", "from": "events", "by": ["user_id"],
                      "select": {"user_id": None, "text": "lpad(user_id, max(n))"},
                      "on_error": {"output": True}}}
    sinks = {"out": {"from": "wide", "topic": sink, "on_error": {"dlq": "dead"}},
             "wrong": {"from": "wide.errors", "topic": wrong}}
    text = documents.document(t, keys, steps, sinks, dlqs={"dead": {"topic": dead}})
    worker = run_to_end(t, text)
    sizes = [len(row) for row in documents.values(t, sink)]
    assert len(sizes) == LARGE_GROUPS - len(odd) and min(sizes) > 900000, sizes[:3]
    rows = sorted(documents.values(t, wrong))
    assert [b'"user_id":"u%d"' % n in row for n, row in enumerate(rows)] == [True, True], rows
    assert all(b'"error_code":"54000"' in row for row in rows), rows
    letter, = [record for part in documents.read(t, dead).values() for record in part]
    assert letter.header(b"millrace.error.code") == b"OUTPUT_TOO_LARGE", letter
    assert worker.stderr().count("msg=recovering") > 10, "batches of one row were too many an epoch"


harness.main(globals())
