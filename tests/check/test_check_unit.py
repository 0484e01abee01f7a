"""The checker's own parts: sums, record batches, transactions, records of offsets, wire forms,
rows, alignment, and each kind of violation on a log small enough to read. Needs no broker."""
import io
import os
import random
import struct
import sys
import tempfile
import unittest
from decimal import Decimal

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import dump as dumps
import fetch
import judge
import kafka_wire
import rows
from crc32c import crc32c
from match import align
from model import murmur2, partition_of
from offsets import (BadRecord, encode_commit, format_record, group_partition, parse_commit,
                     parse_record)
from records import (ABORT, COMMIT, GZIP, FormatError, Record, batches, encode_batch,
                     encode_marker)
from spec import Spec, SpecError
from synth import EditableLog
from txns import PartitionLog, shown_to_committed_reader

A, B = (1, 0), (2, 0)


def record(key=b"k", value=b"v", headers=(), time=1000):
    return Record(0, time, key, value, list(headers))


class Sums(unittest.TestCase):
    def test_vectors(self):
        """RFC 3720 B.4 and the usual check value."""
        for data, want in ((b"123456789", 0xE3069283), (bytes(32), 0x8A9136AA),
                           (b"\xff" * 32, 0x62A8AB43), (bytes(range(32)), 0x46DD794E),
                           (bytes(range(31, -1, -1)), 0x113FDB5C), (b"", 0), (b"a", 0xC1D04330)):
            self.assertEqual(crc32c(data), want, data[:9])

    def test_folding_equals_bitwise(self):
        data = random.Random(5).randbytes(5000)
        for size in list(range(0, 140)) + [511, 512, 513, 1024, 4999, 5000]:
            crc = 0xFFFFFFFF
            for byte in data[:size]:
                crc ^= byte
                for _ in range(8):
                    crc = (crc >> 1) ^ 0x82F63B78 if crc & 1 else crc >> 1
            self.assertEqual(crc32c(data[:size]), crc ^ 0xFFFFFFFF, size)

    def test_murmur2_like_the_java_client(self):
        """The vectors of Apache Kafka's own UtilsTest."""
        for data, want in ((b"21", -973932308), (b"foobar", -790332482),
                           (b"a-little-bit-long-string", -985981536),
                           (b"a-little-bit-longer-string", -1486304829),
                           (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
                           (b"abc", 479470107)):
            self.assertEqual(murmur2(data), want & 0xFFFFFFFF, data)


class Batches(unittest.TestCase):
    RECORDS = [record(), record(None, None), record(b"", b"", [(b"h", b"x"), (b"h", None)]),
               record(b"k" * 200, b"v" * 3000, time=5), record(b"z", b"\0", time=1 << 40)]

    def test_round_trip(self):
        for codec in (0, GZIP):
            raw = encode_batch(self.RECORDS, 77, 9, 3, 5, True, False, codec, 4)
            batch, = batches(raw)
            self.assertTrue(batch.crc_ok())
            self.assertTrue(batch.transactional and not batch.control)
            self.assertEqual((batch.base_offset, batch.last_offset, batch.producer_id,
                              batch.producer_epoch, batch.base_sequence), (77, 81, 9, 3, 5))
            found = batch.records()
            self.assertEqual([r.offset for r in found], list(range(77, 82)))
            self.assertTrue(all(a.same(b) for a, b in zip(found, self.RECORDS)))
        self.assertIsNone(found[2].header(b"h"))

    def test_markers(self):
        for kind in (ABORT, COMMIT):
            batch, = batches(encode_marker(kind, 5, 9, 1, 0))
            self.assertTrue(batch.control)
            self.assertEqual(batch.marker(), kind)

    def test_every_truncation_is_refused(self):
        raw = encode_batch(self.RECORDS[:3])
        for size in range(1, len(raw)):
            with self.assertRaises(FormatError, msg=size):
                list(batches(raw[:size]))
            self.assertEqual(list(batches(raw[:size], whole=False)), [])

    def test_every_truncation_of_the_records_is_refused(self):
        raw = encode_batch(self.RECORDS[:3])
        for size in range(62, len(raw)):
            short = bytearray(raw[:size])
            struct.pack_into(">i", short, 8, size - 12)
            batch, = batches(bytes(short))
            self.assertFalse(batch.crc_ok())
            with self.assertRaises(FormatError, msg=size):
                batch.records()

    def test_every_bit_is_covered(self):
        raw = encode_batch([record()])
        for bit in range(8 * 21, 8 * len(raw)):
            bad = bytearray(raw)
            bad[bit // 8] ^= 1 << bit % 8
            try:
                self.assertFalse(all(b.crc_ok() for b in batches(bytes(bad))), bit)
            except FormatError:
                pass

    def test_other_codecs_and_versions_are_named(self):
        raw = bytearray(encode_batch([record()]))
        raw[22] = 4
        with self.assertRaisesRegex(FormatError, "zstd"):
            next(batches(bytes(raw))).records()
        raw[16] = 1
        with self.assertRaisesRegex(FormatError, "magic 1"):
            next(batches(bytes(raw)))

    def test_whole_batches_of_a_response(self):
        one, two = encode_batch([record()] * 3), encode_batch([record()] * 2, 3)
        self.assertEqual(fetch.whole_batches(one + two[:-1], 99), (one, 2))
        self.assertEqual(fetch.whole_batches(one + two, 5), (one + two, 4))
        self.assertEqual(fetch.whole_batches(one + two, 3), (one, 2))
        self.assertEqual(fetch.whole_batches(one[:40], 9), (b"", None))


class Transactions(unittest.TestCase):
    def log(self, edits, verify=True):
        written = edits.write()
        return written, PartitionLog("t", 0, written.data, 0, written.high_watermark, verify)

    def test_interleaved_producers(self):
        edit = EditableLog()
        edit.add([record(b"a1")], A)
        edit.add([record(b"b1")], B)
        edit.mark(COMMIT, A)
        edit.add([record(b"a2")], A)
        edit.mark(ABORT, (2, 1))
        edit.add([record(b"plain")])
        edit.mark(COMMIT, A)
        written, log = self.log(edit)
        self.assertEqual([r.key for r, _ in log.visible()], [b"a1", b"a2", b"plain"])
        self.assertEqual([r.key for r, _ in log.hidden()], [b"b1"])
        self.assertEqual(log.aborted_index(), [(2, 1)])
        self.assertEqual(log.aborted_index(), written.aborted)
        shown = shown_to_committed_reader(written.committed, written.aborted)
        self.assertEqual([b.base_offset for b in shown], [0, 3, 5])
        self.assertEqual(log.problems, [])

    def test_open_transaction_holds_the_stable_offset(self):
        edit = EditableLog()
        edit.add([record()] * 3, A)
        edit.mark(COMMIT, A)
        edit.add([record()] * 2, B)
        edit.add([record()], A)
        edit.mark(COMMIT, A)
        written, log = self.log(edit)
        self.assertEqual((log.last_stable(), written.last_stable), (4, 4))
        self.assertEqual(written.high_watermark, 8)
        self.assertEqual([s.producer_id for s in log.open_segments()], [2])
        self.assertEqual(list(log.visible_batches()), [0])

    def test_empty_aborted_transaction_before_committed_rows(self):
        edit = EditableLog()
        edit.mark(ABORT, A)
        edit.add([record(b"x")], A)
        edit.mark(COMMIT, A)
        self.assertEqual([r.key for r, _ in self.log(edit)[1].visible()], [b"x"])

    def test_damage_is_reported(self):
        edit = EditableLog()
        edit.add([record()] * 4, (5, 3))
        edit.add([record()] * 4, (5, 2))
        edit.mark(COMMIT, (5, 3))
        written, log = self.log(edit)
        self.assertEqual([p[0] for p in log.problems], ["I7"])
        gone = written.data[list(batches(written.data))[1].start:]
        log = PartitionLog("t", 0, gone, 0, written.high_watermark)
        self.assertEqual(log.problems[0][:2], ("I1", 0))
        log = PartitionLog("t", 0, written.data, 0, written.high_watermark + 1)
        self.assertIn("high watermark", log.problems[-1][2])


class CommitRecords(unittest.TestCase):
    FIELDS = ("0123456789abcdef", 0x1F, 0x1E, "fedcba9876543210", "0" * 16, "p0_3-1", "a" * 32)

    def test_round_trip(self):
        text = format_record(*self.FIELDS)
        self.assertLessEqual(len(text), 195)
        self.assertEqual(tuple(parse_record(text)), self.FIELDS)

    def test_strictness(self):
        text = format_record(*self.FIELDS)
        for bad in (text + ";", text.replace("mr1", "mr2"), text.replace(";s=", ";x="),
                    text[:-1], text.upper(), " " + text, "", None, text.replace("1f", "20"),
                    format_record(*self.FIELDS[:1], 1, 2, *self.FIELDS[3:])):
            with self.assertRaises(BadRecord, msg=bad):
                parse_record(bad)
        for i in range(len(text)):
            changed = text[:i] + ("0" if text[i] != "0" else "1") + text[i + 1:]
            with self.assertRaises(BadRecord, msg=changed):
                parse_record(changed)

    def test_group_log_entries(self):
        key, value = encode_commit("g", "topic", 3, 1 << 40, "meta", 5)
        self.assertEqual(parse_commit(record(key, value), "g"), ("topic", 3, 1 << 40, "meta"))
        self.assertIsNone(parse_commit(record(key, value), "other"))
        self.assertEqual(parse_commit(record(key, None), "g"), ("topic", 3, None, None))
        self.assertIsNone(parse_commit(record(struct.pack(">hh", 2, 0), b""), "g"))
        with self.assertRaises(FormatError):
            parse_commit(record(key, struct.pack(">hq", 9, 0)), "g")

    def test_group_partition_is_javas_hash(self):
        self.assertEqual(group_partition("hello", 1 << 40), 99162322)
        self.assertEqual(group_partition("polygenelubricants", 50), 0)


class Wire(unittest.TestCase):
    def test_forms(self):
        body = kafka_wire.Writer().put("hiq", 1, 2, 3).string("ab").string(None).blob(b"x")
        body.blob(None).uvarint(300).compact("c").compact(None).tags()
        reader = kafka_wire.Reader(bytes(body.out))
        self.assertEqual(reader.get("hiq"), (1, 2, 3))
        self.assertEqual([reader.string(), reader.string()], ["ab", None])
        self.assertEqual([reader.blob(), reader.blob()], [b"x", None])
        self.assertEqual([reader.uvarint(), reader.compact(), reader.compact()], [300, "c", None])
        reader.tags()
        self.assertEqual(reader.pos, len(reader.data))

    def test_truncation(self):
        body = kafka_wire.Writer().put("q", 3).string("abc").compact("cde")
        for size in range(len(body.out)):
            reader = kafka_wire.Reader(bytes(body.out[:size]))
            with self.assertRaises(kafka_wire.WireError, msg=size):
                reader.get("q")
                reader.string()
                reader.compact()

    def test_unreachable_and_malformed_bootstrap(self):
        with self.assertRaisesRegex(kafka_wire.WireError, "not HOST:PORT"):
            kafka_wire.Client("localhost")
        with self.assertRaisesRegex(kafka_wire.WireError, "cannot reach the broker at 127.0.0.1"):
            kafka_wire.Client("127.0.0.1:1", 0.5).refresh(["t"])


def aggregate_spec(**more):
    return Spec({"workload": "aggregate", "group": "g", "inputs": ["i"], "outputs": ["o"],
                 "columns": {"k": "text not null", "n": "bigint", "m": "numeric(6,2)",
                             "d": "double precision", "t": "timestamptz", "b": "boolean"},
                 "key": ["k"], "select": {"k": "k", "c": "count"}, **more})


class Rows(unittest.TestCase):
    def row(self, text, **more):
        return rows.decode(aggregate_spec(**more), record(b"key", text.encode()))

    def test_good(self):
        row = self.row('{"k":"x","n":"12","m":1.50,"d":3,"t":"2024-01-02 03:04:05.25","b":true,'
                       '"n":7.0,"other":{"a":[1]}}')
        self.assertEqual((row["k"], row["n"], row["m"], row["d"], row["b"]),
                         ("x", 7, Decimal("1.5"), 3.0, True))
        self.assertEqual(rows.text_of(row["t"]), "2024-01-02T03:04:05.250Z")

    def test_bad(self):
        for text in ('{"k":null}', '{}', '[1]', '{"k":"x"', '{"k":1}', '{"k":"x","n":1.5}',
                     '{"k":"x","n":9223372036854775808}', '{"k":"x","n":true}',
                     '{"k":"x","m":1.234}', '{"k":"x","m":10000}', '{"k":"x","d":1e999}',
                     '{"k":"x","t":"yesterday"}', '{"k":"x","b":1}', '{"k":"a\\u0000"}',
                     '{"k":"x","n":NaN}', '{"k":"x"}{}', '{"k":"\\ud800"}',
                     '{"k":"x","z":' + "[" * 64 + "]" * 64 + "}"):
            with self.assertRaises(rows.BadRow, msg=text):
                self.row(text)
        with self.assertRaises(rows.BadRow):
            rows.decode(aggregate_spec(), record(b"k", b'{"k":"\xff"}'))
        with self.assertRaises(rows.BadRow):
            rows.decode(aggregate_spec(), record(b"k", None))
        with self.assertRaises(rows.BadRow):
            self.row('{"k":"' + "x" * 100 + '"}', max_record=100)

    def test_filter(self):
        def passes(text, **term):
            return rows.passes(aggregate_spec(filter=[term]), self.row(text))
        self.assertTrue(passes('{"k":"x","n":5}', column="n", op=">", value=4))
        self.assertFalse(passes('{"k":"x"}', column="n", op="<>", value=4))
        self.assertTrue(passes('{"k":"x"}', column="n", op="is null"))
        self.assertTrue(passes('{"k":"x","m":2.50}', column="m", op="=", value=2.5))
        self.assertTrue(passes('{"k":"x"}', column="k", op="in", value=["y", "x"]))

    def test_map(self):
        row = {"n": -7, "k": "aB", "z": None}
        self.assertEqual(rows.evaluate(["*", "n", ["lit", 3]], row), -21)
        self.assertEqual(rows.evaluate(["/", "n", ["lit", 2]], row), -3)
        self.assertEqual(rows.evaluate(["||", ["upper", "k"], ["lit", "!"]], row), "AB!")
        self.assertIsNone(rows.evaluate(["+", "z", "n"], row))
        self.assertEqual(rows.evaluate(["coalesce", "z", "n"], row), -7)

    def test_specs_are_refused_by_name(self):
        base = {"workload": "echo", "group": "g", "inputs": ["i"], "outputs": ["o"]}
        for change, text in (({"workload": "window"}, "workload"), ({"outputz": 1}, "outputz"),
                             ({"group": ""}, "group"), ({"columns": {"a": "int"}}, "columns.a"),
                             ({"dlq": "d", "on_error": "drop"}, "dlq"),
                             ({"filter": [{"column": "q", "op": "="}]}, "'q'"),
                             ({"state": True}, "state"), ({"emit": "later"}, "emit")):
            with self.assertRaisesRegex(SpecError, text):
                Spec({**base, **change})


class Alignment(unittest.TestCase):
    def test_longest_common_subsequence(self):
        rng = random.Random(3)
        for _ in range(300):
            a = [rng.randrange(4) for _ in range(rng.randrange(9))]
            b = [rng.randrange(4) for _ in range(rng.randrange(9))]
            pairs = align(a, b)
            self.assertTrue(all(a[i] == b[j] for i, j in pairs))
            self.assertTrue(all(p[0] < q[0] and p[1] < q[1] for p, q in zip(pairs, pairs[1:])))
            table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
            for i, x in enumerate(a):
                for j, y in enumerate(b):
                    table[i + 1][j + 1] = table[i][j] + 1 if x == y else max(
                        table[i][j + 1], table[i + 1][j])
            self.assertEqual(len(pairs), table[-1][-1], (a, b))

    def test_long_equal_values(self):
        self.assertEqual(len(align([1] * 5000 + [2], [2] + [1] * 5000)), 5000)


def small(outputs, committed=4, **more):
    """A dump of one input partition with values 0..5 and the outputs of an EditableLog."""
    found = dumps.Dump()
    found.spec = {"workload": "echo", "group": "g", "inputs": ["i"], "outputs": ["o"], **more}
    inputs = EditableLog()
    inputs.add([record(b"k", b"%d" % n) for n in range(6)])
    found.topics = {"i": dumps.Topic("a" * 32, [inputs.write()]),
                    "o": dumps.Topic("b" * 32, [outputs.write()])}
    found.offsets = [{"topic": "i", "partition": 0, "offset": committed, "error": 0,
                      "metadata": format_record("1" * 16, 5, 0, "2" * 16, "0" * 16, "all-0",
                                                "a" * 32)}]
    return found


def outputs(*transactions):
    """An EditableLog with one transaction for each list of values."""
    edit = EditableLog()
    for values in transactions:
        edit.add([record(b"k", b"%d" % n) for n in values], A)
        edit.mark(COMMIT, A)
    return edit


class Violations(unittest.TestCase):
    def named(self, found):
        return sorted(v[0] for v in judge.Judge(found).run())

    def test_clean(self):
        self.assertEqual(self.named(small(outputs([0, 1], [2, 3]))), [])

    def test_each_kind(self):
        for edit, want in ((outputs([0, 2], [3]), ["I1"]),
                           (outputs([0, 1, 1], [2, 3]), ["I2"]),
                           (outputs([0, 1, 9], [2, 3]), ["I2"]),
                           (outputs([1, 0], [2, 3]), ["I3"]),
                           (outputs([0, 1], [2, 3, 4]), ["I4"]),
                           (outputs([0, 1]), ["I1", "I1", "I4"]),
                           (outputs([0, 1], [0, 1], [2, 3]), ["I2", "I2", "I6", "I6"])):
            self.assertEqual(self.named(small(edit)), want)

    def test_nothing_came_out(self):
        self.assertEqual(self.named(small(EditableLog())), ["I1"] * 4 + ["I4"])

    def test_nothing_committed(self):
        found = small(outputs([0]), committed=0)
        found.offsets[0].update(offset=-1, metadata="")
        self.assertEqual(self.named(found), ["I4"])

    def test_offset_beyond_the_end_and_other_topic(self):
        self.assertEqual(self.named(small(outputs([0, 1, 2, 3, 4, 5]), committed=7)), ["I4"])
        found = small(outputs([0, 1, 2, 3]))
        found.topics["i"].id = "c" * 32
        self.assertEqual(self.named(found), ["I4"])

    def test_unsettled_and_open(self):
        edit = outputs([0, 1, 2, 3])
        edit.add([record()], B)
        self.assertEqual(self.named(small(edit)), ["I9"])
        found = small(outputs([0, 1, 2, 3]))
        found.settled = False
        self.assertEqual(self.named(found), ["I9"])

    def test_samples_go_back(self):
        found = small(outputs([0, 1, 2, 3]))
        found.samples = [{"topic": "i", "partition": 0, "offset": n} for n in (1, 3, 2, 4)]
        self.assertEqual(self.named(found), ["I8"])
        found.samples = [{"topic": "i", "partition": 0, "offset": 5}]
        self.assertEqual(self.named(found), ["I8"])

    def test_stop_policy(self):
        found = small(outputs([0, 1, 2, 3]), tombstones="error", max_record=0)
        self.assertEqual(self.named(found).count("I1"), 4)

    def test_on_commit_without_known_epochs(self):
        """A rising subsequence that ends in the last value."""
        def run(*values):
            found = small(EditableLog(), workload="aggregate", columns={"v": "bigint"},
                          by=["v"], select={"v": "v", "c": "count"}, emit="on_commit")
            inputs = EditableLog()
            inputs.add([record(b"1", b'{"v":1}') for _ in range(4)])
            edit = EditableLog()
            for value in values:
                edit.add([record(b"1", b'{"v":1,"c":%d}' % c) for c in value], A)
                edit.mark(COMMIT, A)
            found.topics["i"].partitions = [inputs.write()]
            found.topics["o"].partitions = [edit.write()]
            return self.named(found)
        self.assertEqual(run([1], [3], [4]), [])
        self.assertEqual(run([4]), [])
        self.assertEqual(run([1], [3]), ["I1", "I4"])
        self.assertEqual(run([1, 4]), ["I2"])
        self.assertEqual(run([1], [4], [4]), ["I2"])
        self.assertEqual(run([3], [2], [4]), ["I3"])
        self.assertEqual(run([7], [4]), ["I2"])

    def test_directory_round_trip_and_exit_codes(self):
        with tempfile.TemporaryDirectory() as folder:
            found = small(outputs([0, 1], [2, 3]))
            found.follow = {("o", 0): [(found.topics["o"].partitions[0].committed, [])]}
            found.save(folder)
            out, sys.stdout = sys.stdout, io.StringIO()
            try:
                self.assertEqual(judge.main([folder]), 0)
                self.assertRegex(sys.stdout.getvalue(), r"^check: OK workload=echo inputs=4 .*\n$")
                small(outputs([0])).save(folder)
                self.assertEqual(judge.main([folder, "--limit", "2"]), 1)
                self.assertIn("FAILED 6 violations (I1=3 I4=1 I6=2), 2 shown",
                              sys.stdout.getvalue())
            finally:
                sys.stdout = out
            err, sys.stderr = sys.stderr, io.StringIO()
            try:
                os.remove(os.path.join(folder, "logs", "o-0.all"))
                self.assertEqual(judge.main([folder]), 2)
                self.assertIn("o-0.all: No such file", sys.stderr.getvalue())
            finally:
                sys.stderr = err


if __name__ == "__main__":
    unittest.main()
