"""Makes the dump of a run that never was, for the checker's own tests; and edits dumps.

A small simulated engine of its own (it shares no code with model.py) runs two shards with one
transactional producer each over four partitions: epochs, kills, aborted attempts, new
incarnations with their claims, dead letters in a partition that both shards write, offsets with
records, the group's log, the state dump, a concurrent reader. Everything is drawn from one seed.
"""
import json
import random
from collections import namedtuple

from dump import Dump, Partition, Topic
from model import partition_of
from offsets import encode_commit, format_record, group_partition
from records import ABORT, COMMIT, Record, batches, encode_batch, encode_marker
from txns import PartitionLog

PARTITIONS, SHARDS, GROUP = 4, 2, "synth-app"
IN, OUT, DLQ = "synth.in", "synth.out", "synth.dlq"
TIME_MS = 1_700_000_000_000
BATCH_RECORDS = 40

Item = namedtuple("Item", "kind producer_id producer_epoch transactional records codec")
# kind: "data", or COMMIT / ABORT for a marker


class EditableLog:
    """One partition as a list of Items; write() gives offsets, sequences and indexes anew."""

    def __init__(self, items=()):
        self.items = list(items)

    @classmethod
    def parse(cls, partition):
        log = cls()
        for batch in batches(partition.data):
            kind = batch.marker() if batch.control else "data"
            log.items.append(Item(kind, batch.producer_id, batch.producer_epoch,
                                  batch.transactional, list(batch.records()),
                                  batch.attributes & 7))
        return log

    def add(self, records, producer=(-1, -1), codec=0):
        self.items.append(Item("data", *producer, producer[0] >= 0, list(records), codec))

    def mark(self, kind, producer):
        self.items.append(Item(kind, *producer, True, [], 0))

    def end(self):
        """The offset that the next record will get."""
        return sum(len(item.records) or 1 for item in self.items)

    def write(self):
        """A Partition as a broker at rest would serve it."""
        offset, out, opened, aborted, sequences = 0, [], {}, [], {}
        cut = {}
        for item in self.items:
            cut[offset] = len(out)
            producer = item.producer_id, item.producer_epoch
            if item.kind == "data":
                sequence = sequences.get(producer, 0) if item.producer_id >= 0 else -1
                out.append(encode_batch(item.records, offset, *producer, sequence,
                                        item.transactional, False, item.codec))
                sequences[producer] = sequence + len(item.records)
                if item.transactional:
                    opened.setdefault(item.producer_id, offset)
                offset += len(item.records)
                continue
            out.append(encode_marker(item.kind, offset, *producer, TIME_MS))
            first = opened.pop(item.producer_id, None)
            if item.kind == ABORT and first is not None:
                aborted.append((item.producer_id, first))
            offset += 1
        stable = min(opened.values(), default=offset)
        upto = cut.get(stable, len(out))
        return Partition(0, offset, stable, aborted, b"".join(out), b"".join(out[:upto]))


class _Shard:
    """One producer and the tasks it owns."""

    def __init__(self, number, rng):
        self.number = number
        self.partitions = [p for p in range(PARTITIONS) if p % SHARDS == number]
        self.producer = (1000 + number, 0)
        self.epoch = 0
        self.recover(rng)

    def recover(self, rng):
        self.producer = (self.producer[0], self.producer[1] + 1)
        self.incarnation = f"{rng.getrandbits(64):016x}"


class Synth:
    """The simulated run. kind: "echo", "every" or "on_commit"."""

    def __init__(self, kind, seed=1, records=10000, headers=True, history=True):
        self.kind = kind
        self.rng = random.Random(seed)
        self.headers = headers
        self.history = history
        self.inputs = [EditableLog() for _ in range(PARTITIONS)]
        self.outputs = [EditableLog() for _ in range(PARTITIONS)]
        self.dlq = [EditableLog()]
        self.group_log = EditableLog()
        self.position = [0] * PARTITIONS
        self.metadata = [""] * PARTITIONS
        self.since = [0] * PARTITIONS
        self.points = [None] * PARTITIONS
        self.before = [None] * PARTITIONS       # (groups, point, position) one epoch ago
        self.samples = []
        self.lineage = [f"{self.rng.getrandbits(64):016x}" for _ in range(PARTITIONS)]
        self.topic_id = {t: f"{self.rng.getrandbits(128):032x}" for t in (IN, OUT, DLQ)}
        self.groups = [{} for _ in range(PARTITIONS)]
        self.records = self._feed(records)
        self.shards = [_Shard(i, self.rng) for i in range(SHARDS)]
        self._run()

    # ---- inputs ----------------------------------------------------------------------------

    def _feed(self, count):
        queues = [[] for _ in range(PARTITIONS)]
        for i in range(count):
            user = f"user-{self.rng.randrange(200)}"
            amount = self.rng.randrange(-5, 500)
            value = f'{{"user":"{user}","amount":{amount},"seq":{i}}}'.encode()
            if self.kind != "echo" and self.rng.random() < 0.01:
                value = self.rng.choice([b'{"user":', b'{"user":null,"amount":1}', b"\xff{}",
                                         b'{"user":"x","amount":1.5}', b"[1]"])
            partition = partition_of(user.encode(), PARTITIONS)
            queue = queues[partition]
            queue.append(Record(len(queue), TIME_MS + i, user.encode(), value))
        for log, queue in zip(self.inputs, queues):
            for at in range(0, len(queue), BATCH_RECORDS):
                log.add(queue[at:at + BATCH_RECORDS], codec=at // BATCH_RECORDS % 2)
        return queues

    # ---- epochs ----------------------------------------------------------------------------

    def _run(self):
        for shard in self.shards:
            self._commit(shard, {p: 0 for p in shard.partitions})
        stop = [len(queue) - 30 for queue in self.records]
        while any(self.position[p] < stop[p] for p in range(PARTITIONS)):
            shard = self.rng.choice(self.shards)
            upto = {p: min(stop[p], self.position[p] + self.rng.randrange(10, 80))
                    for p in shard.partitions}
            upto = {p: end for p, end in upto.items() if end > self.position[p]}
            if not upto:
                continue
            if self.rng.random() < 0.08:
                self._attempt_and_die(shard, upto)
            else:
                self._epoch(shard, upto)

    def _epoch(self, shard, upto):
        shard.epoch += 1
        touched = set()
        for partition, end in upto.items():
            groups = {key: list(cells) for key, cells in self.groups[partition].items()}
            self.before[partition] = groups, self.points[partition], self.position[partition]
            outs, letters = self._apply(shard, partition, self.position[partition], end,
                                        self.groups[partition])
            self._write(shard, self.outputs[partition], outs, touched)
            self._write(shard, self.dlq[0], letters, touched)
            self.position[partition] = end
            self.since[partition] = shard.epoch
        for log in touched:
            log.mark(COMMIT, shard.producer)
        self._commit(shard, {p: self.position[p] for p in upto}, bump=False)

    def _attempt_and_die(self, shard, upto):
        """Outputs of part of an epoch, never committed; then recovery and claim."""
        shard.epoch += 1
        touched = set()
        for partition, end in upto.items():
            if self.rng.random() < 0.2:
                continue
            groups = {key: list(cells) for key, cells in self.groups[partition].items()}
            outs, letters = self._apply(shard, partition, self.position[partition], end, groups)
            self._write(shard, self.outputs[partition], outs, touched)
            self._write(shard, self.dlq[0], letters, touched)
        pending = self.rng.random() < 0.5
        if pending:
            self._log_commits(shard, {p: upto[p] for p in upto}, "mr1;never")
        dead = shard.producer
        shard.recover(self.rng)
        fence = (dead[0], dead[1] + 1)
        for log in touched:
            log.mark(ABORT, fence)
        if pending:
            self.group_log.mark(ABORT, fence)
        self._commit(shard, {p: self.position[p] for p in shard.partitions})

    def _write(self, shard, log, records, touched):
        for at in range(0, len(records), BATCH_RECORDS):
            log.add(records[at:at + BATCH_RECORDS], shard.producer)
            touched.add(log)

    def _apply(self, shard, partition, start, end, groups):
        """(outputs, dead letters) of the inputs from start to end; changes groups."""
        outs, letters, changed = [], [], {}
        for record in self.records[partition][start:end]:
            headers = self._headers(shard, f"{IN}:{partition}:{record.offset}")
            if self.kind == "echo":
                outs.append(Record(0, record.timestamp, record.key, record.value, headers))
                continue
            row = self._row(record.value)
            if row is None:
                letters.append(Record(0, record.timestamp, record.key, record.value, headers))
            elif row[1] >= 0:
                self._fold(groups, *row)
                changed[row[0]] = record.timestamp
                if self.kind == "every":
                    outs.append(self._output(shard, row[0], groups[row[0]], record.timestamp))
        if self.kind == "on_commit":
            outs = [self._output(shard, key, groups[key], time) for key, time in changed.items()]
        return outs, letters

    def _row(self, value):
        try:
            row = json.loads(value.decode())
            amount, user = row["amount"], row["user"]
        except (ValueError, TypeError):
            return None
        if user is None or isinstance(amount, float):
            return None
        return user, amount

    def _fold(self, groups, user, amount):
        cells = groups.get(user)
        if cells is None:
            groups[user] = [1, amount, amount, amount]
        else:
            cells[0] += 1
            cells[1] += amount
            cells[2] = min(cells[2], amount)
            cells[3] = max(cells[3], amount)

    def _output(self, shard, user, cells, time):
        value = '{"user":"%s","n":%d,"total":%d,"lo":%d,"hi":%d}' % (user, *cells)
        return Record(0, time, user.encode(), value.encode(), self._headers(shard, None))

    def _headers(self, shard, source):
        if not self.headers:
            return []
        found = [(b"mr-src", source.encode())] if source else []
        return found + [(b"mr-inc", f"{shard.incarnation}:{shard.epoch:x}".encode())]

    # ---- offsets ---------------------------------------------------------------------------

    def _commit(self, shard, offsets, bump=True):
        if bump:
            shard.epoch += 1
        for partition in offsets:
            digest = "0" * 16 if self.kind == "echo" else f"{self.rng.getrandbits(64):016x}"
            self.points[partition] = (shard.epoch, shard.incarnation, digest)
            self.metadata[partition] = format_record(
                self.lineage[partition], shard.epoch, self.since[partition], shard.incarnation,
                digest, f"all-{shard.number}", self.topic_id[IN])
            self.samples.append({"topic": IN, "partition": partition,
                                 "offset": offsets[partition]})
        self._log_commits(shard, offsets, None)
        self.group_log.mark(COMMIT, shard.producer)

    def _log_commits(self, shard, offsets, metadata):
        records = []
        for partition, offset in offsets.items():
            key, value = encode_commit(GROUP, IN, partition, offset,
                                       metadata or self.metadata[partition], TIME_MS)
            records.append(Record(0, TIME_MS, key, value))
        self.group_log.add(records, shard.producer)

    # ---- the dump --------------------------------------------------------------------------

    def spec(self):
        spec = {"workload": "echo", "group": GROUP, "inputs": [IN], "outputs": [OUT],
                "tombstones": "pass"}
        if self.kind != "echo":
            spec.update({
                "workload": "aggregate", "dlq": DLQ, "on_error": "dlq", "tombstones": "error",
                "columns": {"user": "text not null", "amount": "bigint"}, "key": ["user"],
                "filter": [{"column": "amount", "op": ">=", "value": 0}], "by": ["user"],
                "select": {"user": "user", "n": "count", "total": "sum:amount",
                           "lo": "min:amount", "hi": "max:amount"},
                "emit": self.kind, "state": True})
        return spec

    def state(self, behind=None):
        """The lines of the state dump; behind names a partition that stands one epoch back."""
        lines = []
        now = [(self.groups[p], self.points[p], self.position[p]) for p in range(PARTITIONS)]
        if behind is not None:
            now[behind] = self.before[behind]
        for shard in self.shards:
            tasks = [{"task": p, "lineage": self.lineage[p], "epoch": now[p][1][0],
                      "incarnation": now[p][1][1], "digest": now[p][1][2],
                      "offsets": [{"input": 0, "partition": p, "to": now[p][2]}]}
                     for p in shard.partitions]
            lines.append({"store": "synth", "shard": shard.number, "epoch": shard.epoch,
                          "tasks": tasks})
            for p in shard.partitions:
                for user, (n, total, low, high) in now[p][0].items():
                    lines.append({"task": p, "table": 0, "key": user.encode().hex(), "value": "00",
                                  "columns": {"user": user, "n": n, "total": total, "lo": low,
                                              "hi": high}})
        return lines

    def dump(self):
        found = Dump()
        found.spec = self.spec()
        logs = {IN: self.inputs, OUT: self.outputs, DLQ: self.dlq}
        for name in (IN, OUT) + ((DLQ,) if self.kind != "echo" else ()):
            found.topics[name] = Topic(self.topic_id[name], [log.write() for log in logs[name]])
        found.offsets = [{"topic": IN, "partition": p, "offset": self.position[p],
                          "metadata": self.metadata[p], "error": 0} for p in range(PARTITIONS)]
        found.samples = self.samples
        if self.kind != "echo":
            found.state = self.state()
        if self.history:
            found.group_log = (group_partition(GROUP, 50), self.group_log.write())
        for p in range(PARTITIONS):
            found.follow[OUT, p] = follow(found.topics[OUT].partitions[p])
        return found


def follow(partition, share=2 / 3, parts=3):
    """What a concurrent reader would have been sent of it by that share of the run."""
    log = PartitionLog("", 0, partition.data, 0, partition.high_watermark)
    found = [b for b in batches(partition.committed)]
    found = found[:int(len(found) * share)]
    out = []
    for at in range(0, len(found), max(1, len(found) // parts)):
        piece = found[at:at + max(1, len(found) // parts)]
        aborted = [(s.producer_id, s.first) for s in log.segments if s.ending == ABORT
                   and s.first <= piece[-1].last_offset and s.marker_at >= piece[0].base_offset]
        out.append((b"".join(b.raw() for b in piece), aborted))
    return out
