"""A small Kafka client over plain TCP: what the checker reads, and what its own tests write.

It shares nothing with the engine or with librdkafka, on purpose: the judge of exactly-once must
not look through the judged client's eyes. One request is in flight at a time and every call has
a deadline; nothing is retried behind the caller's back but what refresh() names.

Protocol: kafka.apache.org/protocol. Each API is used at one fixed version that Apache Kafka 3.6
to 4.1 speaks, and the broker's ranges are compared at the first contact. No TLS, no SASL.
"""
import socket
import struct
import time

CLIENT_ID = "millrace-check"
LATEST, EARLIEST = -1, -2
READ_UNCOMMITTED, READ_COMMITTED = 0, 1
MAX_RESPONSE_BYTES = 256 << 20

# name: (api key, version, flexible)
APIS = {
    "Produce": (0, 7, False), "Fetch": (1, 11, False), "ListOffsets": (2, 5, False),
    "Metadata": (3, 12, True), "OffsetCommit": (8, 7, False), "OffsetFetch": (9, 7, True),
    "FindCoordinator": (10, 2, False), "ApiVersions": (18, 0, False),
    "CreateTopics": (19, 4, False), "DeleteTopics": (20, 3, False),
    "InitProducerId": (22, 1, False), "AddPartitionsToTxn": (24, 1, False),
    "AddOffsetsToTxn": (25, 1, False), "EndTxn": (26, 1, False),
    "TxnOffsetCommit": (28, 2, False), "CreateAcls": (30, 1, False), "DeleteAcls": (31, 1, False),
    "DescribeTransactions": (65, 0, True),
}
ERRORS = {
    -1: "UNKNOWN_SERVER_ERROR", 1: "OFFSET_OUT_OF_RANGE", 3: "UNKNOWN_TOPIC_OR_PARTITION",
    5: "LEADER_NOT_AVAILABLE", 6: "NOT_LEADER_OR_FOLLOWER", 7: "REQUEST_TIMED_OUT",
    14: "COORDINATOR_LOAD_IN_PROGRESS", 15: "COORDINATOR_NOT_AVAILABLE", 16: "NOT_COORDINATOR",
    35: "UNSUPPORTED_VERSION", 36: "TOPIC_ALREADY_EXISTS", 47: "INVALID_PRODUCER_EPOCH",
    48: "INVALID_TXN_STATE", 51: "CONCURRENT_TRANSACTIONS", 74: "FENCED_LEADER_EPOCH",
    88: "UNSTABLE_OFFSET_COMMIT", 90: "PRODUCER_FENCED",
}
# Answers that pass by themselves: a leader or coordinator is moving or loading.
PASSING = {3, 5, 6, 7, 14, 15, 16, 51, 74}


class WireError(Exception):
    """The connection failed or the broker's bytes are not what the protocol says."""


class KafkaError(Exception):
    """The broker answered with an error code."""

    def __init__(self, code, what):
        self.code = code
        super().__init__(f"{what}: {ERRORS.get(code, 'error')} ({code})")


def check(code, what):
    if code:
        raise KafkaError(code, what)


class Writer:
    """Builds a request body. Compact forms are for flexible API versions."""

    def __init__(self):
        self.out = bytearray()

    def put(self, form, *values):
        self.out += struct.pack(">" + form, *values)
        return self

    def string(self, text):
        if text is None:
            return self.put("h", -1)
        raw = text.encode()
        self.put("h", len(raw))
        self.out += raw
        return self

    def blob(self, raw):
        self.put("i", -1 if raw is None else len(raw))
        self.out += raw or b""
        return self

    def uvarint(self, value):
        while value > 0x7F:
            self.out.append(value & 0x7F | 0x80)
            value >>= 7
        self.out.append(value)
        return self

    def compact(self, text):
        if text is None:
            return self.uvarint(0)
        raw = text.encode()
        self.uvarint(len(raw) + 1)
        self.out += raw
        return self

    def tags(self):
        return self.uvarint(0)


class Reader:
    """Takes a response apart; running past the end is a WireError."""

    def __init__(self, data):
        self.data = data
        self.pos = 0

    def get(self, form):
        try:
            found = struct.unpack_from(">" + form, self.data, self.pos)
        except struct.error:
            raise WireError(f"response is cut off at byte {self.pos}") from None
        self.pos += struct.calcsize(">" + form)
        return found[0] if len(found) == 1 else found

    def take(self, size):
        if size < 0 or self.pos + size > len(self.data):
            raise WireError(f"response is cut off: {size} bytes wanted at byte {self.pos}")
        self.pos += size
        return self.data[self.pos - size:self.pos]

    def string(self):
        size = self.get("h")
        return None if size < 0 else self.take(size).decode()

    def blob(self):
        size = self.get("i")
        return None if size < 0 else self.take(size)

    def uvarint(self):
        value = shift = 0
        while True:
            byte = self.get("B")
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
            if shift > 35:
                raise WireError(f"varint too long at byte {self.pos}")

    def compact(self):
        size = self.uvarint()
        return None if size == 0 else self.take(size - 1).decode()

    def tags(self):
        for _ in range(self.uvarint()):
            self.uvarint()
            self.take(self.uvarint())

    def items(self):
        """The element count of an array; a null array is empty."""
        return range(max(0, self.get("i")))

    def compact_items(self):
        return range(max(0, self.uvarint() - 1))


class Connection:
    """One TCP connection; one request at a time."""

    def __init__(self, host, port, timeout_s):
        try:
            self.sock = socket.create_connection((host, port), timeout_s)
        except OSError as error:
            raise WireError(f"cannot reach the broker at {host}:{port}: {error}") from None
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.name = f"{host}:{port}"
        self.correlation = 0

    def close(self):
        self.sock.close()

    def _exactly(self, size):
        parts, left = [], size
        while left:
            part = self.sock.recv(min(left, 1 << 20))
            if not part:
                raise WireError(f"{self.name} closed the connection")
            parts.append(part)
            left -= len(part)
        return b"".join(parts)

    def call(self, api, body, timeout_s):
        """Sends one request and returns a Reader on the response's body."""
        return self.call_all(api, [body], timeout_s)[0]

    def call_all(self, api, bodies, timeout_s):
        """Sends requests of one API behind each other, without waiting between them, and returns
        a Reader on each response's body. For few and small ones: nothing is read meanwhile."""
        try:
            self.sock.settimeout(timeout_s)
            self.sock.sendall(b"".join(self._frame(api, body) for body in bodies))
            return [self._answer(api, self.correlation - len(bodies) + 1 + i)
                    for i in range(len(bodies))]
        except OSError as error:
            raise WireError(f"{api} at {self.name}: {error}") from None

    def _frame(self, api, body):
        key, version, flexible = APIS[api]
        self.correlation += 1
        head = Writer().put("hhi", key, version, self.correlation).string(CLIENT_ID)
        if flexible:
            head.tags()
        frame = bytes(head.out) + bytes(body.out)
        return struct.pack(">i", len(frame)) + frame

    def _answer(self, api, correlation):
        size = struct.unpack(">i", self._exactly(4))[0]
        if not 4 <= size <= MAX_RESPONSE_BYTES:
            raise WireError(f"{self.name}: response of {size} bytes to {api}")
        reader = Reader(self._exactly(size))
        if reader.get("i") != correlation:
            raise WireError(f"{self.name}: the answer to {api} has another correlation id")
        if APIS[api][2]:
            reader.tags()
        return reader


class FetchedPartition:
    """One partition's part of a Fetch response. aborted: [(producer id, first offset)] or None."""

    __slots__ = ("error", "high_watermark", "last_stable", "log_start", "aborted", "data")


class Client:
    """Finds leaders and coordinators, keeps one connection a broker."""

    def __init__(self, bootstrap, timeout_s=10.0):
        host, _, port = bootstrap.rpartition(":")
        if not host or not port.isdigit():
            raise WireError(f"bootstrap {bootstrap!r} is not HOST:PORT")
        self.bootstrap = (host, int(port))
        self.timeout_s = timeout_s
        self.connections = {}
        self.brokers = {}
        self.topics = {}                # name -> {"id": hex, "leaders": [broker id, ...]}

    def close(self):
        for connection in self.connections.values():
            connection.close()
        self.connections = {}

    def _connection(self, address):
        if address not in self.connections:
            connection = Connection(*address, self.timeout_s)
            self._compare_versions(connection)
            self.connections[address] = connection
        return self.connections[address]

    def _compare_versions(self, connection):
        reader = connection.call("ApiVersions", Writer(), self.timeout_s)
        check(reader.get("h"), "ApiVersions")
        ranges = {}
        for _ in reader.items():
            key, low, high = reader.get("hhh")
            ranges[key] = (low, high)
        for name, (key, version, _) in APIS.items():
            low, high = ranges.get(key, (0, -1))
            if not low <= version <= high:
                raise WireError(f"{connection.name} speaks {name} versions {low} to {high}, "
                                f"this client only {version}; Apache Kafka 3.6 to 4.1 is needed")

    def call(self, address, api, body, timeout_s=None):
        return self.call_all(address, api, [body], timeout_s)[0]

    def call_all(self, address, api, bodies, timeout_s=None):
        try:
            return self._connection(address).call_all(api, bodies, timeout_s or self.timeout_s)
        except WireError:
            broken = self.connections.pop(address, None)
            if broken:
                broken.close()
            raise

    # ---- topics ----------------------------------------------------------------------------

    def refresh(self, names, deadline_s=10.0):
        """Learns ids and leaders of these topics; waits while a leader is being elected."""
        end = time.monotonic() + deadline_s
        while True:
            try:
                self._metadata(names)
                return
            except KafkaError as error:
                if error.code not in PASSING or time.monotonic() > end:
                    raise
            time.sleep(0.05)

    def _metadata(self, names):
        body = Writer().uvarint(len(names) + 1)
        for name in names:
            body.put("16x").compact(name).tags()
        body.put("??", False, False).tags()
        reader = self.call(self.bootstrap, "Metadata", body)
        reader.get("i")
        brokers, topics, failed = {}, {}, None
        for _ in reader.compact_items():
            node, host, port = reader.get("i"), reader.compact(), reader.get("i")
            reader.compact()
            reader.tags()
            brokers[node] = (host, port)
        reader.compact()
        reader.get("i")
        for _ in reader.compact_items():
            code, name = reader.get("h"), reader.compact()
            topic_id = reader.take(16).hex()
            reader.get("?")
            leaders = {}
            for _ in reader.compact_items():
                error, index, leader, _epoch = reader.get("hiii")
                for _ in range(3):
                    reader.take(4 * len(reader.compact_items()))
                reader.tags()
                leaders[index] = leader
                code = code or (5 if leader < 0 else error if error not in (9, 0) else 0)
            reader.get("i")
            reader.tags()
            topics[name] = {"id": topic_id, "leaders": [leaders[p] for p in sorted(leaders)]}
            failed = failed or (KafkaError(code, f"topic {name}") if code else None)
        self.brokers.update(brokers)
        if failed:
            raise failed
        self.topics.update(topics)

    def leader(self, topic, partition):
        if topic not in self.topics:
            self.refresh([topic])
        leaders = self.topics[topic]["leaders"]
        if partition >= len(leaders):
            raise WireError(f"topic {topic} has {len(leaders)} partitions, no {partition}")
        return self.brokers[leaders[partition]]

    def partitions(self, topic):
        if topic not in self.topics:
            self.refresh([topic])
        return len(self.topics[topic]["leaders"])

    def create_topic(self, topic, partitions, config=()):
        body = Writer().put("i", 1).string(topic).put("ihi", partitions, 1, 0)
        body.put("i", len(config))
        for key, value in config:
            body.string(key).string(value)
        body.put("i?", int(self.timeout_s * 1000), False)
        reader = self.call(self.bootstrap, "CreateTopics", body)
        reader.get("i")
        for _ in reader.items():
            reader.string()
            code, text = reader.get("h"), reader.string()
            check(code, f"create topic {topic}: {text}")
        self.refresh([topic])

    def delete_topic(self, topic):
        body = Writer().put("i", 1).string(topic).put("i", int(self.timeout_s * 1000))
        reader = self.call(self.bootstrap, "DeleteTopics", body)
        reader.get("i")
        for _ in reader.items():
            reader.string()
            check(reader.get("h"), f"delete topic {topic}")

    # ---- reading ---------------------------------------------------------------------------

    def list_offset(self, topic, partition, when=LATEST, isolation=READ_UNCOMMITTED):
        """LATEST gives the high watermark, or with READ_COMMITTED the last stable offset."""
        body = Writer().put("ib", -1, isolation).put("i", 1).string(topic)
        body.put("iiiq", 1, partition, -1, when)
        reader = self.call(self.leader(topic, partition), "ListOffsets", body)
        reader.get("i")
        for _ in reader.items():
            reader.string()
            for _ in reader.items():
                _, code, _, offset, _ = reader.get("ihqqi")
                check(code, f"offsets of {topic}-{partition}")
                return offset
        raise WireError(f"ListOffsets answered nothing for {topic}-{partition}")

    def fetch(self, topic, partition, offset, isolation, max_bytes=4 << 20, max_wait_ms=0):
        """One Fetch of one partition from offset; a FetchedPartition without an error."""
        body = Writer().put("iiiibii", -1, max_wait_ms, 1, max_bytes, isolation, 0, -1)
        body.put("i", 1).string(topic).put("i", 1)
        body.put("iiqqi", partition, -1, offset, -1, max_bytes)
        body.put("i", 0).string("")
        reader = self.call(self.leader(topic, partition), "Fetch", body,
                           self.timeout_s + max_wait_ms / 1000)
        reader.get("i")
        check(reader.get("h"), f"fetch of {topic}-{partition}")
        reader.get("i")
        for _ in reader.items():
            reader.string()
            for _ in reader.items():
                found = FetchedPartition()
                (_, found.error, found.high_watermark, found.last_stable,
                 found.log_start) = reader.get("ihqqq")
                count = reader.get("i")
                found.aborted = (None if count < 0
                                 else [tuple(reader.get("qq")) for _ in range(count)])
                reader.get("i")
                found.data = reader.blob() or b""
                check(found.error, f"fetch of {topic}-{partition}@{offset}")
                return found
        raise WireError(f"Fetch answered nothing for {topic}-{partition}")

    # ---- groups ----------------------------------------------------------------------------

    def coordinator(self, key, kind=0):
        """The coordinator's address of a group (kind 0) or of a transactional id (kind 1)."""
        reader = self.call(self.bootstrap, "FindCoordinator", Writer().string(key).put("b", kind))
        reader.get("i")
        code = reader.get("h")
        reader.string()
        node, host, port = reader.get("i"), reader.string(), reader.get("i")
        check(code, f"coordinator of {key}")
        self.brokers[node] = (host, port)
        return host, port

    def committed(self, group, topics, stable=True):
        """[(topic, partition, offset, leader epoch, metadata, error code)] of all partitions of
        these topics; offset -1 where nothing is committed."""
        body = Writer().compact(group).uvarint(len(topics) + 1)
        for topic in topics:
            count = self.partitions(topic)
            body.compact(topic).uvarint(count + 1)
            for partition in range(count):
                body.put("i", partition)
            body.tags()
        body.put("?", stable).tags()
        reader = self.call(self.coordinator(group), "OffsetFetch", body)
        reader.get("i")
        out = []
        for _ in reader.compact_items():
            topic = reader.compact()
            for _ in reader.compact_items():
                partition, offset, epoch = reader.get("iqi")
                metadata = reader.compact()
                code = reader.get("h")
                reader.tags()
                out.append((topic, partition, offset, epoch, metadata, code))
            reader.tags()
        check(reader.get("h"), f"committed offsets of group {group}")
        return out
