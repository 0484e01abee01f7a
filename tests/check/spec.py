"""The small JSON file that tells the judge what a topology should have done.

It is written by hand beside each test, not derived from the topology file, so that a mistake in
the engine's reading of a topology cannot hide itself. README.md lists the fields.
"""
import re

_TYPES = {"boolean", "bigint", "double precision", "numeric", "text", "timestamptz", "jsonb"}
_ALIASES = {"bool": "boolean", "int8": "bigint", "float8": "double precision",
            "decimal": "numeric", "varchar": "text"}
_TYPE = re.compile(r"([a-z0-9 ]+?)(?:\((\d+)(?:, *(\d+))?\))?( not null)?")
_FOLDS = {"count", "sum", "min", "max", "avg"}
_FILTER_OPS = {"=", "<>", "<", "<=", ">", ">=", "in", "is null", "is not null"}
_FIELDS = {
    "workload", "group", "inputs", "outputs", "dlq", "on_error", "tombstones", "columns", "key",
    "filter", "map", "by", "select", "emit", "unchanged", "partition", "timestamp", "start",
    "max_record", "state", "poison",
}


class SpecError(Exception):
    """The spec file asks for something unknown or contradicts itself."""


class Column:
    """A typed column of the source. source: "value" or "key"."""

    __slots__ = ("name", "type", "precision", "scale", "required", "path", "source")


class Fold:
    """One output column: kind "key" (a column of by), or count, sum, min, max, avg of column."""

    __slots__ = ("name", "kind", "column")

    def __init__(self, name, kind, column):
        self.name = name
        self.kind = kind
        self.column = column


def _choice(spec, name, allowed, default):
    value = spec.get(name, default)
    if value not in allowed:
        raise SpecError(f"{name}: {value!r} is none of {', '.join(map(str, allowed))}")
    return value


def _column(name, text):
    column = Column()
    options = {"type": text} if isinstance(text, str) else dict(text)
    found = _TYPE.fullmatch(options.pop("type", ""))
    kind = found and _ALIASES.get(found[1], found[1])
    if kind not in _TYPES:
        raise SpecError(f"columns.{name}: unknown type {text!r}")
    column.name, column.type = name, kind
    column.precision = int(found[2]) if found[2] else 38
    column.scale = int(found[3] or 0)
    column.required = bool(found[4])
    column.path = options.pop("path", name).split(".")
    column.source = options.pop("from", "value")
    if column.source not in ("value", "key") or options:
        raise SpecError(f"columns.{name}: from is value or key; unknown: {sorted(options)}")
    return column


def _fold(name, text, by):
    if text in by:
        return Fold(name, "key", text)
    kind, _, column = text.partition(":")
    if kind not in _FOLDS or (kind != "count" and not column):
        raise SpecError(f"select.{name}: {text!r} is no column of by and none of "
                        f"{', '.join(sorted(_FOLDS))}")
    return Fold(name, kind, column or None)


class Spec:
    """The checked form. inputs and outputs are lists of topic names."""

    def __init__(self, spec):
        unknown = sorted(set(spec) - _FIELDS)
        if unknown:
            raise SpecError(f"unknown fields: {', '.join(unknown)}")
        for name in ("workload", "group", "inputs", "outputs"):
            if not spec.get(name):
                raise SpecError(f"{name} is missing")
        self.workload = _choice(spec, "workload", ("echo", "aggregate"), None)
        aggregate = self.workload == "aggregate"
        self.group, self.inputs, self.outputs = spec["group"], spec["inputs"], spec["outputs"]
        self.dlq = spec.get("dlq")
        self.on_error = _choice(spec, "on_error", ("stop", "drop", "dlq"),
                                "dlq" if self.dlq else "stop")
        self.tombstones = _choice(spec, "tombstones", ("error", "drop", "pass"),
                                  "error" if aggregate else "pass")
        self.columns = {n: _column(n, t) for n, t in spec.get("columns", {}).items()}
        self.key = spec.get("key", [])
        self.filter = spec.get("filter", [])
        self.map = spec.get("map", {})
        self.by = spec.get("by", self.key)
        self.select = [_fold(n, t, self.by) for n, t in spec.get("select", {}).items()]
        self.emit = _choice(spec, "emit", ("every", "on_commit"), "on_commit")
        self.unchanged = _choice(spec, "unchanged", ("skip", "send"), "skip")
        self.partition = _choice(spec, "partition", ("same", "murmur2"),
                                 "murmur2" if aggregate else "same")
        self.timestamp = _choice(spec, "timestamp", ("any", "source"), "any")
        self.start = _choice(spec, "start", ("earliest", "latest"), "earliest")
        self.max_record = spec.get("max_record", 1 << 20)
        self.state = spec.get("state", False)
        self.poison = {(topic, int(partition), int(offset)) for topic, partition, offset in
                       (text.rsplit(":", 2) for text in spec.get("poison", []))}
        self._cross_check(aggregate)

    def _cross_check(self, aggregate):
        if (self.on_error == "dlq") != bool(self.dlq):
            raise SpecError("on_error: dlq and dlq: TOPIC belong together")
        names = set(self.columns) | set(self.map)
        for where, wanted in (("key", self.key), ("by", self.by),
                              ("filter", [t.get("column") for t in self.filter]),
                              ("select", [f.column for f in self.select if f.column])):
            lost = [name for name in wanted if name not in names]
            if lost:
                raise SpecError(f"{where}: {lost[0]!r} is not in columns")
        for term in self.filter:
            if term.get("op") not in _FILTER_OPS:
                raise SpecError(f"filter: op {term.get('op')!r} is none of "
                                f"{', '.join(sorted(_FILTER_OPS))}")
        if aggregate and (len(self.inputs) != 1 or len(self.outputs) != 1 or not self.by
                          or not self.select):
            raise SpecError("aggregate needs one input, one output, by and select")
        if not aggregate and (self.select or self.map or self.state):
            raise SpecError("echo has no select, map or state")

    @property
    def decoded(self):
        """True if values are read as JSON; else they are opaque bytes."""
        return bool(self.columns)

    def topics(self):
        """Every topic the check looks at."""
        return list(dict.fromkeys(self.inputs + self.outputs + ([self.dlq] if self.dlq else [])))
