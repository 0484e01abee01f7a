"""The reference: what a topology must have put out for the inputs below the committed offsets.

Deliberately naive: one record at a time, one dictionary of groups, no batches, no epochs. The
result is held per *unit*: one key in one output partition, since that is where order is promised.
"""
import json
import struct
from decimal import Decimal

import rows
from rows import BadRow


def murmur2(data):
    """The 32-bit hash of Java's DefaultPartitioner, unsigned."""
    size, mix = len(data), 0x5BD1E995
    value = 0x9747B28C ^ size
    for (word,) in struct.iter_unpack("<I", data[:size & ~3]):
        word = word * mix & 0xFFFFFFFF
        word = (word ^ word >> 24) * mix & 0xFFFFFFFF
        value = (value * mix & 0xFFFFFFFF) ^ word
    tail = data[size & ~3:]
    if tail:
        value = (value ^ int.from_bytes(tail, "little")) * mix & 0xFFFFFFFF
    value = (value ^ value >> 13) * mix & 0xFFFFFFFF
    return value ^ value >> 15


def partition_of(key, count):
    return (murmur2(key) & 0x7FFFFFFF) % count


class Unit:
    """One key in one output partition.

    expected: comparable elements in order; origins: [(topic, partition, offset)] of their inputs;
    ahead: elements that inputs at or above the committed offset would give next.
    """

    __slots__ = ("topic", "partition", "key", "expected", "origins", "ahead", "received", "refs")

    def __init__(self, topic, partition, key):
        self.topic = topic
        self.partition = partition
        self.key = key
        self.expected, self.origins, self.ahead = [], [], []
        self.received, self.refs = [], []


def plain(value):
    """A value in the form in which output JSON is compared."""
    if isinstance(value, bool):
        return ("boolean", value)
    if isinstance(value, rows.Instant):
        return rows.text_of(value)
    if isinstance(value, (dict, list)):
        return json.dumps(value, default=str, sort_keys=True)
    return value


class _Group:
    """The accumulators of one group: one [value, count] for each fold."""

    __slots__ = ("cells", "sent", "offset")

    def __init__(self, size):
        self.cells = [[None, 0] for _ in range(size)]
        self.sent = None
        self.offset = -1


class Aggregate:
    """Running folds by key."""

    def __init__(self, spec):
        self.spec = spec
        self.names = [fold.name for fold in spec.select]
        self.groups = {}

    def add(self, row):
        """Applies a row; returns its group and the group's output row in plain values."""
        identity = tuple(row[name] for name in self.spec.by)
        group = self.groups.get(identity)
        if group is None:
            group = self.groups[identity] = _Group(len(self.spec.select))
        for fold, cell in zip(self.spec.select, group.cells):
            _apply(fold, cell, row)
        return group, self.row(group)

    def row(self, group):
        return tuple(plain(self._result(f, c)) for f, c in zip(self.spec.select, group.cells))

    def _result(self, fold, cell):
        value, count = cell
        if fold.kind != "avg" or count == 0:
            return count if fold.kind == "count" else value
        if isinstance(value, float):
            return value / count
        column = self.spec.columns.get(fold.column)
        scale = max(column.scale if column and column.type == "numeric" else 0, 6)
        return rows.rounded(Decimal(value) / count, scale)

    def parse(self, value):
        """A received output value as such a tuple, or a marked one that equals none."""
        try:
            found = _DECODER.decode(value.decode())
        except (ValueError, AttributeError):
            return ("unreadable", value)
        if not isinstance(found, _Pairs) or [name for name, _ in found.items] != self.names:
            return ("other columns", value)
        return tuple(self.received_value(f, v)
                     for f, (_, v) in zip(self.spec.select, found.items))

    def received_value(self, fold, value):
        """A value of parsed JSON in the form of the model's rows."""
        if isinstance(value, _Pairs):
            return ("object", str(value.items))
        if isinstance(value, (int, Decimal)) and not isinstance(value, bool) and fold.column:
            column = self.spec.columns.get(fold.column)
            if column and column.type == "double precision" and fold.kind != "count":
                return float(value)
        return plain(value)


class _Pairs:
    """A JSON object with the order of its names kept."""

    __slots__ = ("items",)

    def __init__(self, items):
        self.items = items


_DECODER = json.JSONDecoder(parse_float=Decimal, object_pairs_hook=_Pairs)


def _apply(fold, cell, row):
    if fold.kind == "key":
        cell[0] = row[fold.column]
        return
    value = row[fold.column] if fold.column else 1
    if value is None:
        return
    cell[1] += 1
    if cell[0] is None:
        cell[0] = value
    elif fold.kind in ("sum", "avg"):
        cell[0] += value
    elif fold.kind == "min":
        cell[0] = min(cell[0], value)
    elif fold.kind == "max":
        cell[0] = max(cell[0], value)


class Replay:
    """The whole expected result.

    units: {(output topic, key, source or None): Unit}; dead: [((topic, partition, offset), key,
    value)] of the dead letters below the committed offsets, dead_ahead those above; produced:
    {(topic, partition): [offsets that must have an effect on an output]}; groups: {partition:
    {identity: row}} at the committed offsets; stopped: [(origin, reason)] of bad records that
    were passed although the policy is stop.
    """

    def __init__(self, spec, counts):
        self.spec = spec
        self.counts = counts            # output topic -> partitions
        self.units = {}
        self.dead, self.dead_ahead, self.stopped = [], [], []
        self.produced = {}
        self.groups = {}
        self.inputs = self.filtered = self.dropped = 0

    def run(self, topic, partition, records, start, committed, cuts=None):
        """Replays one input partition from start; committed is its committed offset. cuts, for
        emit on_commit: the offsets at which epochs ended, if they are known."""
        engine = Aggregate(self.spec) if self.spec.select else None
        made = self.produced.setdefault((topic, partition), [])
        pending = {} if cuts and engine and self.spec.emit == "on_commit" else None
        at_commit, at_cut = False, 0
        for record in records:
            if record.offset < start:
                continue
            if pending is not None:
                while at_cut < len(cuts) and cuts[at_cut] <= record.offset:
                    self._flush(pending, True, made)
                    at_cut += 1
            if record.offset >= committed and not at_commit:
                at_commit = True
                self._keep_groups(partition, engine)
            below = not at_commit
            self.inputs += below
            self._one(engine, (topic, partition, record.offset), record, below, made, pending)
        if pending is not None:
            self._flush(pending, not at_commit, made)
        if not at_commit:
            self._keep_groups(partition, engine)

    def _keep_groups(self, partition, engine):
        if engine:
            self.groups[partition] = {
                identity: engine.row(group) for identity, group in engine.groups.items()}

    def _one(self, engine, origin, record, below, made, pending):
        if origin in self.spec.poison:
            self._bad(origin, record, "poison", below)
            return
        try:
            out = self._step(engine, record)
        except BadRow as error:
            self._bad(origin, record, str(error), below)
            return
        if out is None:
            self.filtered += below
            return
        key, element, group = out
        if pending is not None:
            pending[key] = (element, group, origin, below)
            return
        if group is not None:
            if self.spec.unchanged == "skip" and group.sent == element:
                return
            group.sent = element
        self._put(origin, key, element, below, made)

    def _flush(self, pending, below, made):
        for key, (element, group, origin, was_below) in pending.items():
            if self.spec.unchanged == "skip" and group.sent == element:
                continue
            group.sent = element
            self._put(origin, key, element, below and was_below, made)
        pending.clear()
        made.sort()

    def _step(self, engine, record):
        """(key, element, group or None) of one record; None if it has no output."""
        spec = self.spec
        row = None
        if spec.decoded:
            row = rows.decode(spec, record)
            if row is None or not rows.passes(spec, row):
                return None
            for name, expr in spec.map.items():
                row[name] = rows.evaluate(expr, row)
        elif record.value is None:
            if spec.tombstones == "error":
                raise BadRow("a null value")
            if spec.tombstones == "drop":
                return None
        elif len(record.value) > spec.max_record:
            raise BadRow(f"{len(record.value)} bytes, max_record is {spec.max_record}")
        if engine is None:
            element = record.value
            if spec.timestamp == "source":
                element = (record.value, record.timestamp)
            return record.key, element, None
        key = rows.key_bytes(spec, row)
        if key is None:
            raise BadRow("the identity is NULL")
        group, element = engine.add(row)
        return key, element, group

    def _bad(self, origin, record, reason, below):
        if self.spec.on_error == "drop":
            self.dropped += below
        elif self.spec.on_error == "dlq":
            (self.dead if below else self.dead_ahead).append((origin, record.key, record.value))
        elif below:
            self.stopped.append((origin, reason))

    def home(self, topic, source_partition, key):
        count = self.counts[topic]
        if self.spec.partition == "murmur2" and key is not None:
            return partition_of(key, count)
        return source_partition % count

    def _put(self, origin, key, element, below, made):
        if below:
            made.append(origin[2])
        for topic in self.spec.outputs:
            unit = self.unit(topic, key, origin[:2])
            if unit is None:
                source = origin[:2] if self.spec.workload == "echo" else None
                unit = Unit(topic, self.home(topic, origin[1], key), key)
                self.units[topic, key, source] = unit
            if below:
                unit.expected.append(element)
                unit.origins.append(origin)
            else:
                unit.ahead.append(element)

    def unit(self, topic, key, source):
        """The unit of that key; for echo it also depends on the source partition."""
        return self.units.get((topic, key, source if self.spec.workload == "echo" else None))
