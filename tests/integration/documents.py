"""Topology files of the tests, built from Python values, and what is asked of a cluster about them.

A topology is written as JSON, which is YAML, so that a test can change one value of a document
without a template. Values are uncompressed on the way out: the independent checker reads only what
Python's library can read.
"""
import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "tests" / "check"))
import kafka_wire
import records
from model import partition_of

PARTITIONS = 4
MEMORY = "768MiB"  # Small, as two tests run at a time; each worker fills it at its start.


def app_of(t):
    """The application id of a case: an app's name has no capital letters."""
    return t.app.lower()[:63]


def document(t, source, steps, sinks, **more):
    """A document with one source `events`. source, steps, sinks: maps as in the file; more: further
    top-level keys, which replace ours."""
    base = {
        "millrace": 1,
        "app": app_of(t),
        "kafka": {"brokers": [t.kafka.bootstrap], "client": {"compression.type": "none"}},
        "commit": {"interval": "50ms", "transaction_timeout": "3s"},
        "memory": {"total": MEMORY},
        "sources": {"events": source},
        "steps": steps,
        "sinks": sinks,
        "errors": {"default": {"stop": True}},
    }
    base.update(more)
    return {name: value for name, value in base.items() if value is not None}


def echo(t, source_topic, sink_topic, **source):
    """Every record as it came: value and key as bytes, in the partition of its key."""
    columns = {"k": {"type": "bytea", "from": "key"}, "v": "bytea"}
    keys = {"topic": source_topic, "format": "raw", "key_format": "raw", "schema": columns,
            "tombstones": "pass", **source}
    out = {"from": "events", "topic": sink_topic, "format": "raw", "key": ["k"],
           "key_format": "raw"}
    return document(t, keys, {}, {"out": out})


def running(t, source_topic, sink_topic, emit="every", **source):
    """Count, sum, minimum and maximum by key, an output per input."""
    columns = {"user_id": "text not null", "amount": "numeric(18,2)"}
    keys = {"topic": source_topic, "format": "json", "key": ["user_id"], "schema": columns,
            **source}
    select = {"user_id": None, "n": "count(*)", "total": "sum(amount)", "low": "min(amount)",
              "high": "max(amount)"}
    return document(t, keys,
                    {"totals": {"op": "aggregate", "from": "events", "by": ["user_id"],
                                "select": select, "emit": emit}},
                    {"out": {"from": "totals", "topic": sink_topic}})


def write(t, text, name="topology.yaml"):
    """The document as a file of the case. Returns its path."""
    return t.write(name, json.dumps(text, indent=1) + "\n")


def worker(t, path, *flags, **more):
    """`millrace run` with the assignment of all tests: partitions 0-3, one shard unless told."""
    words = list(flags)
    if "--shards" not in words:
        words += ["--shards", 1]
    return t.worker(path, "--partitions", "0-3", *words, **more)


class Watch:
    """Committed offsets and log ends of one application's input, over one connection."""

    def __init__(self, t, topic):
        self.client = kafka_wire.Client(t.kafka.bootstrap)
        self.group = app_of(t)
        self.topic = topic

    def committed(self):
        """{partition: offset}; 0 where nothing is committed. Pending commits do not count."""
        rows = self.client.committed(self.group, [self.topic], stable=False)
        return {row[1]: max(row[2], 0) for row in rows}

    def ends(self, topic=None, isolation=kafka_wire.READ_UNCOMMITTED):
        topic = topic or self.topic
        return {p: self.client.list_offset(topic, p, isolation=isolation)
                for p in range(self.client.partitions(topic))}

    def behind(self):
        """Input records that are not committed."""
        return sum(self.ends().values()) - sum(self.committed().values())

    def done(self):
        return self.behind() == 0

    def reconnect(self):
        """After a restart of the broker; the next question connects again."""
        self.client.close()


def read(t, topic, isolation=kafka_wire.READ_COMMITTED):
    """Every visible record of a topic, with its headers: {partition: [records.Record]}."""
    client = kafka_wire.Client(t.kafka.bootstrap)
    found = {}
    for partition in range(client.partitions(topic)):
        if isolation == kafka_wire.READ_COMMITTED:
            _wait_decided(t, client, topic, partition)
        found[partition] = _read_partition(client, topic, partition, isolation)
    client.close()
    return found


def _wait_decided(t, client, topic, partition):
    """A commit is answered before its markers are written: what it holds is not visible yet."""
    end = client.list_offset(topic, partition, isolation=kafka_wire.READ_UNCOMMITTED)
    t.wait_until(lambda: client.list_offset(topic, partition,
                                            isolation=kafka_wire.READ_COMMITTED) >= end,
                 f"every transaction up to {topic}-{partition}@{end} is decided")


def _read_partition(client, topic, partition, isolation):
    end = client.list_offset(topic, partition, isolation=isolation)
    offset, aborted, out = 0, {}, []
    while offset < end:
        part = client.fetch(topic, partition, offset, isolation)
        for producer, first in part.aborted or ():
            aborted.setdefault(producer, set()).add(first)
        for batch in records.batches(part.data, whole=False):
            offset = batch.last_offset + 1
            if batch.control:
                if batch.marker() == records.ABORT and aborted.get(batch.producer_id):
                    aborted[batch.producer_id].discard(min(aborted[batch.producer_id]))
                continue
            hidden = batch.transactional and any(
                first <= batch.base_offset for first in aborted.get(batch.producer_id, ()))
            if not hidden:
                out += batch.records()
    return out


def values(t, topic):
    """The values of every committed record of a topic, partition by partition."""
    return [record.value for found in read(t, topic).values() for record in found]
