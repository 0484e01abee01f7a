"""Committed offsets: the metadata record `mr1;...` and the group's own log.

The record is parsed strictly: order, lengths, lower-case hex, nothing behind `c`, and the sum.
It names, per input partition, lineage, epoch, epoch of the last state change, incarnation,
digest, owner and topic id.

The group's log is the partition of __consumer_offsets that holds the group. It shows every
commit in order with the transaction it was part of, so offsets can be compared with the outputs
transaction by transaction. Formats: OffsetCommitKey (versions 0, 1) and OffsetCommitValue
(versions 0 to 4) of Apache Kafka's group coordinator.
"""
import re
import struct
from collections import namedtuple

from crc32c import crc32c
from records import COMMIT, FormatError
from txns import PartitionLog

GROUP_LOG = "__consumer_offsets"
RECORD_BYTES_MAX = 195
_RECORD = re.compile(
    r"mr1;l=([0-9a-f]{16});e=([0-9a-f]{1,16});s=([0-9a-f]{1,16});i=([0-9a-f]{16});"
    r"d=([0-9a-f]{16});w=([A-Za-z0-9._]{1,40}-[0-9]{1,7});t=([0-9a-f]{32});c=([0-9a-f]{8})")

CommitRecord = namedtuple("CommitRecord",
                          "lineage epoch since incarnation digest owner topic_id")
Commit = namedtuple("Commit", "at topic partition offset metadata producer_id producer_epoch")


class BadRecord(Exception):
    """The metadata is not a valid mr1 record; the text says why."""


def parse_record(metadata):
    """A CommitRecord of the metadata string; BadRecord names what is wrong."""
    if not metadata:
        raise BadRecord("the committed offset has no metadata")
    found = _RECORD.fullmatch(metadata)
    if not found:
        raise BadRecord(f"not of the form mr1;l=;e=;s=;i=;d=;w=;t=;c=: {metadata!r}")
    if len(metadata) > RECORD_BYTES_MAX:
        raise BadRecord(f"{len(metadata)} bytes, {RECORD_BYTES_MAX} are the limit")
    lineage, epoch, since, incarnation, digest, owner, topic_id, crc = found.groups()
    want = crc32c(metadata[:metadata.rindex(";c=")].encode())
    if int(crc, 16) != want:
        raise BadRecord(f"c={crc}, but the CRC-32C of the rest is {want:08x}")
    record = CommitRecord(lineage, int(epoch, 16), int(since, 16), incarnation, digest, owner,
                          topic_id)
    if record.since > record.epoch:
        raise BadRecord(f"s={since} is above e={epoch}")
    return record


def format_record(lineage, epoch, since, incarnation, digest, owner, topic_id):
    """The metadata string of these fields; the inverse of parse_record."""
    body = (f"mr1;l={lineage};e={epoch:x};s={since:x};i={incarnation};d={digest};w={owner};"
            f"t={topic_id}")
    return f"{body};c={crc32c(body.encode()):08x}"


def group_partition(group, count):
    """The partition of __consumer_offsets that holds the group (Java's String.hashCode)."""
    value = 0
    for unit in struct.unpack(f">{len(group.encode('utf-16-be')) // 2}H",
                              group.encode("utf-16-be")):
        value = (31 * value + unit) & 0xFFFFFFFF
    if value == 0x80000000:
        return 0
    return (value if value < 0x80000000 else 0x100000000 - value) % count


def _string(data, pos):
    size = struct.unpack_from(">h", data, pos)[0]
    pos += 2
    return (None, pos) if size < 0 else (data[pos:pos + size].decode(), pos + size)


def _uvarint(data, pos):
    value = shift = 0
    while True:
        byte = data[pos]
        pos += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, pos
        shift += 7


def _parse_value(data):
    """(offset, metadata) of an OffsetCommitValue."""
    version, offset = struct.unpack_from(">hq", data)
    pos = 10 + (4 if version >= 3 else 0)
    if version not in (0, 1, 2, 3, 4):
        raise FormatError(f"OffsetCommitValue version {version} is unknown")
    if version < 4:
        return offset, _string(data, pos)[0]
    size, pos = _uvarint(data, pos)
    return offset, data[pos:pos + size - 1].decode()


def parse_commit(record, group):
    """(topic, partition, offset, metadata) if the record is a commit of the group; offset None
    for a removed one; None if the record is something else."""
    if record.key is None or struct.unpack_from(">h", record.key)[0] > 1:
        return None
    owner, pos = _string(record.key, 2)
    if owner != group:
        return None
    topic, pos = _string(record.key, pos)
    partition = struct.unpack_from(">i", record.key, pos)[0]
    if record.value is None:
        return topic, partition, None, None
    offset, metadata = _parse_value(record.value)
    return topic, partition, offset, metadata


def encode_commit(group, topic, partition, offset, metadata, time_ms):
    """Key and value of a commit as the broker writes them (key version 1, value version 3)."""
    def text(value):
        raw = value.encode()
        return struct.pack(">h", len(raw)) + raw
    key = struct.pack(">h", 1) + text(group) + text(topic) + struct.pack(">i", partition)
    value = struct.pack(">hqi", 3, offset, -1) + text(metadata) + struct.pack(">q", time_ms)
    return key, value


def read_group_log(data, partition, log_start, end, group, verify_crc=True):
    """({(topic, partition): [Commit]} of what was committed, PartitionLog).

    The order is that of the entries, not of the markers: where two commits are decided late, the
    broker keeps the one that was written later. Of one transaction the last entry counts."""
    log = PartitionLog(GROUP_LOG, partition, data, log_start, end, verify_crc)
    commits = {}
    for batch, segment in log.entries:
        if segment is not None and segment.ending != COMMIT:
            continue
        at = batch.base_offset if segment is None else segment.marker_at
        for record in batch.records():
            found = parse_commit(record, group)
            if not found:
                continue
            topic, number, offset, metadata = found
            chain = commits.setdefault((topic, number), [])
            commit = Commit(at, topic, number, offset, metadata, batch.producer_id,
                            batch.producer_epoch)
            if chain and segment is not None and chain[-1].at == at:
                chain[-1] = commit
            else:
                chain.append(commit)
    return commits, log
