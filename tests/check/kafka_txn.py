"""The producer's half of the protocol, for tests only: idempotent and
transactional batches, made by hand so that a test can leave a transaction open, abort it, or
end it as a fenced predecessor would.

Protocol: as kafka_wire.py. The transaction calls are those of a client that does not know
transaction.version=2, as librdkafka is one.
"""
import time

from kafka_wire import KafkaError, PASSING, WireError, Writer, check
from records import encode_batch

_DEADLINE_S = 20.0
_AT_ONCE = 64
PRODUCER_EPOCH_MAX = 32767


class Described:
    """What the coordinator knows of a transactional id."""

    __slots__ = ("state", "producer_id", "producer_epoch")

    def __str__(self):
        return f"producer {self.producer_id}, epoch {self.producer_epoch}, {self.state}"


def describe(client, transactional_id):
    """DescribeTransactions of one id."""
    body = Writer().uvarint(2).compact(transactional_id).tags()
    reader = client.call(client.coordinator(transactional_id, 1), "DescribeTransactions", body)
    reader.get("i")
    for _ in reader.compact_items():
        check(reader.get("h"), f"the transaction of {transactional_id}")
        reader.compact()
        found = Described()
        found.state = reader.compact()
        reader.get("iq")
        found.producer_id, found.producer_epoch = reader.get("qh")
        return found
    raise WireError(f"DescribeTransactions answered nothing for {transactional_id}")


def raise_epoch(client, transactional_id, goal, timeout_ms=3000):
    """InitProducerId, again and again, until the producer epoch of the id is `goal`."""
    TransactionalProducer(client, transactional_id, timeout_ms)  # Ends what is open.
    address = client.coordinator(transactional_id, 1)
    body = Writer().string(transactional_id).put("i", timeout_ms)
    left = goal - describe(client, transactional_id).producer_epoch
    while left > 0:
        for reader in client.call_all(address, "InitProducerId", [body] * min(left, _AT_ONCE)):
            reader.get("i")
            check(reader.get("h"), f"InitProducerId {transactional_id}")
        left -= min(left, _AT_ONCE)
    now = describe(client, transactional_id)
    if now.producer_epoch != goal:
        raise WireError(f"{transactional_id} has {now}, not epoch {goal}")


def produce(client, topic, partition, batch, transactional_id=None):
    """Appends one encoded batch; returns its base offset."""
    body = Writer().string(transactional_id).put("hi", -1, 10000)
    body.put("i", 1).string(topic).put("i", 1).put("i", partition).blob(batch)
    reader = client.call(client.leader(topic, partition), "Produce", body)
    for _ in reader.items():
        reader.string()
        for _ in reader.items():
            _, code, offset, _, _ = reader.get("ihqqq")
            check(code, f"produce to {topic}-{partition}")
            return offset
    raise WireError(f"Produce answered nothing for {topic}-{partition}")


def commit_offset(client, group, topic, partition, offset, metadata=""):
    """A plain OffsetCommit of a group without members."""
    body = Writer().string(group).put("i", -1).string("").string(None)
    body.put("i", 1).string(topic).put("i", 1)
    body.put("iqi", partition, offset, -1).string(metadata)
    reader = client.call(client.coordinator(group), "OffsetCommit", body)
    reader.get("i")
    for _ in reader.items():
        reader.string()
        for _ in reader.items():
            check(reader.get("ih")[1], f"commit of {topic}-{partition}@{offset}")


class TransactionalProducer:
    """One transactional id. Every call waits out what passes by itself, 20 s at most."""

    def __init__(self, client, transactional_id, timeout_ms=60000):
        self.client = client
        self.name = transactional_id
        self.sequences = {}
        self.added = set()
        self.init(timeout_ms)

    def _call(self, api, body, read):
        end = time.monotonic() + _DEADLINE_S
        while True:
            try:
                address = self.client.coordinator(self.name, 1)
                return read(self.client.call(address, api, body))
            except KafkaError as error:
                if error.code not in PASSING or time.monotonic() > end:
                    raise
            time.sleep(0.02)

    def init(self, timeout_ms):
        """InitProducerId: aborts what an earlier owner of the id left open."""
        def read(reader):
            reader.get("i")
            check(reader.get("h"), f"InitProducerId {self.name}")
            return reader.get("qh")
        self.id, self.epoch = self._call(
            "InitProducerId", Writer().string(self.name).put("i", timeout_ms), read)

    def _add_partition(self, topic, partition):
        def read(reader):
            reader.get("i")
            for _ in reader.items():
                reader.string()
                for _ in reader.items():
                    check(reader.get("ih")[1], f"AddPartitionsToTxn {topic}-{partition}")
        body = Writer().string(self.name).put("qh", self.id, self.epoch)
        body.put("i", 1).string(topic).put("ii", 1, partition)
        self._call("AddPartitionsToTxn", body, read)
        self.added.add((topic, partition))

    def send(self, topic, partition, records, codec=0):
        """Appends records to the open transaction; returns their base offset."""
        if (topic, partition) not in self.added:
            self._add_partition(topic, partition)
        sequence = self.sequences.get((topic, partition), 0)
        batch = encode_batch(records, 0, self.id, self.epoch, sequence, True, False, codec)
        self.sequences[topic, partition] = sequence + len(records)
        return produce(self.client, topic, partition, batch, self.name)

    def send_offsets(self, group, offsets):
        """offsets: [(topic, partition, offset, metadata)], made part of the transaction."""
        def read_added(reader):
            reader.get("i")
            check(reader.get("h"), f"AddOffsetsToTxn {group}")

        head = Writer().string(self.name).put("qh", self.id, self.epoch).string(group)
        self._call("AddOffsetsToTxn", head, read_added)
        body = Writer().string(self.name).string(group).put("qh", self.id, self.epoch)
        body.put("i", len(offsets))
        for topic, partition, offset, metadata in offsets:
            body.string(topic).put("i", 1).put("iqi", partition, offset, -1).string(metadata)
        end = time.monotonic() + _DEADLINE_S
        while True:
            try:
                reader = self.client.call(self.client.coordinator(group), "TxnOffsetCommit", body)
                reader.get("i")
                for _ in reader.items():
                    reader.string()
                    for _ in reader.items():
                        check(reader.get("ih")[1], f"TxnOffsetCommit {group}")
                return
            except KafkaError as error:
                if error.code not in PASSING or time.monotonic() > end:
                    raise
            time.sleep(0.02)

    def end(self, commit):
        """EndTxn: commit or abort."""
        def read(reader):
            reader.get("i")
            check(reader.get("h"), f"EndTxn {self.name}")
        body = Writer().string(self.name).put("qh?", self.id, self.epoch, commit)
        self._call("EndTxn", body, read)
        self.added.clear()
