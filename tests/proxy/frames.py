"""What tests ask of the frames that a proxy picked: whose transaction, which epoch, which error.

Only the versions that librdkafka sends are known: a 2.x client stops at the old transaction
protocol. The wire is read by the checker's Reader. Protocol: kafka.apache.org/protocol.
"""
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "check"))
import kafka_wire
import records

FLEXIBLE_FROM = {"Produce": 9, "InitProducerId": 2, "AddPartitionsToTxn": 3, "AddOffsetsToTxn": 3,
                 "EndTxn": 3, "TxnOffsetCommit": 3, "OffsetFetch": 6}
NONE, INVALID_PRODUCER_EPOCH, INVALID_PRODUCER_ID_MAPPING = 0, 47, 49
UNSTABLE_OFFSET_COMMIT = 88


def is_flexible(frame):
    return frame.version >= FLEXIBLE_FROM[frame.api]


def _body(frame):
    """A Reader behind the header."""
    reader = kafka_wire.Reader(frame.body)
    if frame.kind == "request":
        reader.get("hhi")
        reader.string()
    else:
        reader.get("i")
    if is_flexible(frame):
        reader.tags()
    return reader


def produced(request):
    """(topic, partition, its first batch) of a Produce, which librdkafka sends for one partition."""
    reader = _body(request)
    flexible = is_flexible(request)
    text = reader.compact if flexible else reader.string
    text()
    reader.get("hi")
    assert len(reader.compact_items() if flexible else reader.items()) == 1, request
    topic = text()
    assert len(reader.compact_items() if flexible else reader.items()) == 1, request
    partition = reader.get("i")
    data = reader.take(reader.uvarint() - 1) if flexible else reader.blob()
    return topic, partition, next(iter(records.batches(data)))


def producer(request):
    """(producer id, producer epoch) of a Produce, EndTxn, AddOffsetsToTxn or TxnOffsetCommit."""
    if request.api == "Produce":
        batch = produced(request)[2]
        return batch.producer_id, batch.producer_epoch
    reader = _body(request)
    text = reader.compact if is_flexible(request) else reader.string
    text()
    if request.api == "TxnOffsetCommit":
        text()
    return tuple(reader.get("qh"))


def commits(request):
    """Whether an EndTxn commits."""
    reader = _body(request)
    (reader.compact if is_flexible(request) else reader.string)()
    return reader.get("qh?")[2]


def epoch(request):
    """The engine's epoch in the records of a TxnOffsetCommit."""
    found = re.search(rb"mr1;l=[0-9a-f]{1,16};e=([0-9a-f]{1,16});", request.body)
    assert found, f"{request} holds no record of the engine"
    return int(found[1], 16)


def error(reply):
    """The error code of an EndTxn or InitProducerId, or the first of a TxnOffsetCommit or Produce
    that is not zero."""
    reader = _body(reply)
    if reply.api != "Produce":
        reader.get("i")
    if reply.api in ("EndTxn", "InitProducerId"):
        return reader.get("h")
    assert reply.api in ("TxnOffsetCommit", "Produce"), f"no error is known of {reply}"
    flexible = is_flexible(reply)
    items = reader.compact_items if flexible else reader.items
    codes = []
    for _ in items():
        (reader.compact if flexible else reader.string)()
        for _ in items():
            codes.append(reader.get("ih")[1])
            if reply.api == "Produce":
                _skip_appended(reader, reply.version)
            if flexible:
                reader.tags()
        if flexible:
            reader.tags()
    return next((code for code in codes if code), 0)


def _skip_appended(reader, version):
    """What a Produce reply says of a partition behind its error."""
    reader.get("qq" if version < 5 else "qqq")
    if version < 8:
        return
    flexible = version >= FLEXIBLE_FROM["Produce"]
    text = reader.compact if flexible else reader.string
    for _ in (reader.compact_items() if flexible else reader.items()):
        reader.get("i")
        text()
        if flexible:
            reader.tags()
    text()


def fetch_errors(reply):
    """The error codes of an OffsetFetch reply of one group, partition by partition and its own."""
    reader = _body(reply)
    if reply.version >= 3:
        reader.get("i")
    flexible = is_flexible(reply)
    items = reader.compact_items if flexible else reader.items
    text = reader.compact if flexible else reader.string
    codes = []
    for _ in items():
        text()
        for _ in items():
            reader.get("iq")
            if reply.version >= 5:
                reader.get("i")
            text()
            codes.append(reader.get("h"))
            if flexible:
                reader.tags()
        if flexible:
            reader.tags()
    if reply.version >= 2:
        codes.append(reader.get("h"))
    return codes


def asks_stable(request):
    """Whether an OffsetFetch waits for undecided transactions."""
    if request.version < 7:
        return False
    reader = _body(request)
    assert request.version == 7, f"{request} has version {request.version}, of several groups"
    reader.compact()
    for _ in reader.compact_items():
        reader.compact()
        for _ in reader.compact_items():
            reader.get("i")
        reader.tags()
    return reader.get("?")


def fetch_refused(reply, code):
    """The body of an OffsetFetch reply with this error of the whole group, as the broker makes it:
    without a partition."""
    assert 6 <= reply.version <= 7, f"{reply} has version {reply.version}"
    body = kafka_wire.Writer().put("i", reply.correlation).tags()
    return bytes(body.put("i", 0).uvarint(1).put("h", code).tags().out)


def fetch_spoiled(reply, code, count=1):
    """The body of an OffsetFetch reply with this error of the first partitions that have an offset,
    `count` of them, as the broker makes it: their offset is -1. The others stay."""
    assert 6 <= reply.version <= 7, f"{reply} has version {reply.version}"
    reader = _body(reply)
    reader.get("i")
    body = kafka_wire.Writer().put("i", reply.correlation).tags().put("i", 0)
    topics = reader.compact_items()
    body.uvarint(len(topics) + 1)
    spoiled = 0
    for _ in topics:
        body.compact(reader.compact())
        partitions = reader.compact_items()
        body.uvarint(len(partitions) + 1)
        for _ in partitions:
            number, offset, leader = reader.get("iqi")
            metadata, error_before = reader.compact(), reader.get("h")
            reader.tags()
            if offset >= 0 and spoiled < count:
                offset, leader, metadata, error_before = -1, -1, "", code
                spoiled += 1
            body.put("iqi", number, offset, leader).compact(metadata).put("h", error_before).tags()
        reader.tags()
        body.tags()
    assert spoiled == count, f"{reply} has offsets of {spoiled} partitions"
    return bytes(body.put("h", reader.get("h")).tags().out)


def with_error(reply, code):
    """The body of an AddOffsetsToTxn reply with this error."""
    assert reply.api == "AddOffsetsToTxn" and not is_flexible(reply)
    return bytes(kafka_wire.Writer().put("iih", reply.correlation, 0, code).out)
