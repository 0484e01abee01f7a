"""Kafka record batches, format version 2: a strict parser and a writer.

Everything a batch says twice is compared: its length, its sum, its count, each record's length
and the offsets. A batch that disagrees with itself raises FormatError, never a guess.

Format: kafka.apache.org/documentation, section "Message format" (record batch, record, control
batch). Compression: none and gzip, which is what Python's library can read; the others are
refused by name.
"""
import gzip
import struct
import zlib

from crc32c import crc32c

HEADER = struct.Struct(">qiibIhiqqqhii")    # base offset ... record count
HEADER_BYTES = HEADER.size                  # 61
PREFIX_BYTES = 12                           # base offset and length, before what length counts
CRC_FROM = 21                               # the sum covers everything from the attributes on
GZIP = 1
_CODECS = {0: "none", 1: "gzip", 2: "snappy", 3: "lz4", 4: "zstd"}
_TXN, _CONTROL, _LOG_APPEND_TIME = 0x10, 0x20, 0x08
ABORT, COMMIT = 0, 1


class FormatError(Exception):
    """Bytes that are not what the format says; the text names the place and the reason."""


class Record:
    """One record. key and value are bytes or None, headers a list of (bytes, bytes or None)."""

    __slots__ = ("offset", "timestamp", "key", "value", "headers")

    def __init__(self, offset, timestamp, key, value, headers=()):
        self.offset = offset
        self.timestamp = timestamp
        self.key = key
        self.value = value
        self.headers = headers

    def header(self, name):
        """The last header of that name, or None."""
        found = None
        for key, value in self.headers:
            if key == name:
                found = value
        return found

    def same(self, other):
        """Equal in all that a producer gave."""
        return (self.key == other.key and self.value == other.value
                and self.timestamp == other.timestamp
                and list(self.headers) == list(other.headers))


class Batch:
    """The header of one batch and the bytes it stands in; records() decodes them."""

    __slots__ = ("data", "start", "size", "base_offset", "last_offset", "leader_epoch", "crc",
                 "attributes", "base_timestamp", "max_timestamp", "producer_id",
                 "producer_epoch", "base_sequence", "count", "_records")

    def __init__(self, data, start):
        (self.base_offset, length, self.leader_epoch, magic, self.crc, self.attributes,
         last_delta, self.base_timestamp, self.max_timestamp, self.producer_id,
         self.producer_epoch, self.base_sequence, self.count) = HEADER.unpack_from(data, start)
        if magic != 2:
            raise FormatError(f"batch at byte {start}: magic {magic}, only 2 is read")
        if length < HEADER_BYTES - PREFIX_BYTES:
            raise FormatError(f"batch at byte {start}: length {length} is below its own header")
        if last_delta < 0 or self.count < 0:
            raise FormatError(f"batch at byte {start}: last offset delta {last_delta}, "
                              f"count {self.count}")
        self.data = data
        self.start = start
        self.size = length + PREFIX_BYTES
        self.last_offset = self.base_offset + last_delta
        self._records = None

    @property
    def transactional(self):
        return bool(self.attributes & _TXN)

    @property
    def control(self):
        return bool(self.attributes & _CONTROL)

    def raw(self):
        return bytes(self.data[self.start:self.start + self.size])

    def crc_ok(self):
        view = memoryview(self.data)
        return crc32c(view[self.start + CRC_FROM:self.start + self.size]) == self.crc

    def _body(self):
        body = self.data[self.start + HEADER_BYTES:self.start + self.size]
        codec = self.attributes & 7
        if codec == 0:
            return bytes(body)
        if codec != GZIP:
            raise FormatError(f"batch at offset {self.base_offset}: compression "
                              f"{_CODECS.get(codec, codec)} cannot be read here; use none or gzip")
        try:
            return gzip.decompress(body)
        except (OSError, EOFError, zlib.error) as error:
            raise FormatError(f"batch at offset {self.base_offset}: gzip: {error}") from None

    def records(self):
        """All records, strictly parsed at the first call and kept."""
        if self._records is not None:
            return self._records
        body = self._body()
        try:
            self._records = _parse_records(self, body)
            return self._records
        except (IndexError, ValueError) as error:
            raise FormatError(f"batch at offset {self.base_offset}: cut off or malformed record "
                              f"({error})") from None

    def marker(self):
        """ABORT or COMMIT of a control batch; None for a control record of another type."""
        found = self.records()
        if len(found) != 1 or found[0].key is None or len(found[0].key) < 4:
            raise FormatError(f"control batch at offset {self.base_offset}: "
                              f"not exactly one control record")
        kind = struct.unpack_from(">hh", found[0].key)[1]
        return kind if kind in (ABORT, COMMIT) else None


def _varint(body, pos):
    """A zig-zag varint at pos; returns it and the position behind it."""
    byte = body[pos]
    if byte < 0x80:
        return (byte >> 1) ^ -(byte & 1), pos + 1
    value, shift = byte & 0x7F, 7
    while True:
        pos += 1
        byte = body[pos]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), pos + 1
        shift += 7
        if shift > 63:
            raise ValueError("varint longer than ten bytes")


def _bytes(body, pos, end):
    """A nullable byte string with its varint length; returns it and the position behind it."""
    length, pos = _varint(body, pos)
    if length < 0:
        if length != -1:
            raise ValueError(f"length {length}")
        return None, pos
    if pos + length > end:
        raise ValueError(f"{length} bytes reach past the record's end")
    return body[pos:pos + length], pos + length


def _parse_headers(body, pos, end):
    count, pos = _varint(body, pos)
    if count < 0 or count > end - pos:
        raise ValueError(f"{count} headers")
    headers = []
    for _ in range(count):
        name, pos = _bytes(body, pos, end)
        value, pos = _bytes(body, pos, end)
        if name is None:
            raise ValueError("header without a name")
        headers.append((name, value))
    return headers, pos


def _parse_records(batch, body):
    pos, out, previous = 0, [], -1
    size, base = len(body), batch.base_offset
    fixed_time = batch.max_timestamp if batch.attributes & _LOG_APPEND_TIME else None
    limit = batch.last_offset - base
    for _ in range(batch.count):
        length, pos = _varint(body, pos)
        end = pos + length
        if length < 0 or end > size:
            raise ValueError(f"record of {length} bytes")
        time_delta, pos = _varint(body, pos + 1)
        delta, pos = _varint(body, pos)
        key, pos = _bytes(body, pos, end)
        value, pos = _bytes(body, pos, end)
        headers, pos = _parse_headers(body, pos, end)
        if pos != end:
            raise ValueError(f"record ends {end - pos} bytes off its length")
        if delta <= previous or delta > limit:
            raise ValueError(f"offset delta {delta} after {previous}, last is {limit}")
        previous = delta
        time = fixed_time if fixed_time is not None else batch.base_timestamp + time_delta
        out.append(Record(base + delta, time, key, value, headers))
    if pos != size:
        raise ValueError(f"{size - pos} bytes behind the last record")
    return out


def batches(data, whole=True):
    """The batches in data. whole=False leaves out a cut-off last one, as a broker may send it."""
    pos, size = 0, len(data)
    while pos < size:
        if size - pos >= PREFIX_BYTES:
            length = struct.unpack_from(">i", data, pos + 8)[0] + PREFIX_BYTES
            if size - pos >= max(length, HEADER_BYTES):
                batch = Batch(data, pos)
                yield batch
                pos += batch.size
                continue
        if whole:
            raise FormatError(f"batch at byte {pos} is cut off: {size - pos} bytes left")
        return


# ---- writing -------------------------------------------------------------------------------

def _put_varint(out, value):
    value = (value << 1) ^ (value >> 63)
    while value > 0x7F:
        out.append((value & 0x7F) | 0x80)
        value >>= 7
    out.append(value)


def _put_bytes(out, value):
    if value is None:
        out.append(1)
        return
    _put_varint(out, len(value))
    out += value


def _encode_record(delta, time_delta, record):
    body = bytearray(1)
    _put_varint(body, time_delta)
    _put_varint(body, delta)
    _put_bytes(body, record.key)
    _put_bytes(body, record.value)
    _put_varint(body, len(record.headers))
    for name, value in record.headers:
        _put_bytes(body, name)
        _put_bytes(body, value)
    out = bytearray()
    _put_varint(out, len(body))
    return out + body


def encode_batch(records, base_offset=0, producer_id=-1, producer_epoch=-1, base_sequence=-1,
                 transactional=False, control=False, codec=0, leader_epoch=0):
    """One batch of records at consecutive offsets from base_offset."""
    base_time = records[0].timestamp
    body = b"".join(_encode_record(i, r.timestamp - base_time, r) for i, r in enumerate(records))
    if codec == GZIP:
        body = gzip.compress(body, 1, mtime=0)
    attributes = codec | (_TXN if transactional else 0) | (_CONTROL if control else 0)
    tail = struct.pack(">hiqqqhii", attributes, len(records) - 1, base_time,
                       max(r.timestamp for r in records), producer_id, producer_epoch,
                       base_sequence, len(records)) + body
    head = struct.pack(">qiibI", base_offset, len(tail) + 9, leader_epoch, 2, crc32c(tail))
    return head + tail


def control_record(kind, timestamp):
    """The one record of a control batch that ends a transaction; kind is ABORT or COMMIT."""
    return Record(0, timestamp, struct.pack(">hh", 0, kind), struct.pack(">hi", 0, 0))


def encode_marker(kind, base_offset, producer_id, producer_epoch, timestamp):
    """The control batch that ends a transaction."""
    return encode_batch([control_record(kind, timestamp)], base_offset, producer_id,
                        producer_epoch, -1, transactional=True, control=True)
