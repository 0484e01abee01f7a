"""The directory between fetch and judge: what a broker held and what a reader saw.

    dump.json             topics, ids, watermarks, aborted lists, whether all came to rest
    spec.json             the workload (spec.py)
    logs/T-P.all          raw batches of a read_uncommitted fetch from the log start to the end
    logs/T-P.committed    raw batches of a read_committed fetch
    offsets.json          the group's committed offsets with metadata
    samples.jsonl         committed offsets seen while the test ran (follow mode; optional)
    state.jsonl           what `millrace state dump` printed (optional)
    follow/T-P.jsonl      {"bytes": N, "aborted": [...]} per response of the concurrent reader
    follow/T-P.committed  the raw batches of those responses

Nothing here is judged; a directory that is not of this form raises DumpError.
"""
import json
import os
from decimal import Decimal

FORMAT = "millrace-check-1"


class DumpError(Exception):
    """The directory is incomplete or not a dump; the text names the file."""


class Partition:
    """One partition of a topic in the dump; data and committed are raw bytes."""

    __slots__ = ("log_start", "high_watermark", "last_stable", "aborted", "data", "committed")

    def __init__(self, log_start=0, high_watermark=0, last_stable=0, aborted=(), data=b"",
                 committed=b""):
        self.log_start = log_start
        self.high_watermark = high_watermark
        self.last_stable = last_stable
        self.aborted = [tuple(item) for item in aborted]
        self.data = data
        self.committed = committed


class Topic:
    __slots__ = ("id", "partitions")

    def __init__(self, topic_id, partitions):
        self.id = topic_id
        self.partitions = partitions


class Dump:
    """Everything in the directory, in memory.

    offsets: [{"topic", "partition", "offset", "metadata", "error"}]
    samples: [{"topic", "partition", "offset"}] in the order seen; state: list of objects
    group_log: None or (partition number, Partition)
    follow: {(topic, partition): [(raw bytes, aborted list)]}
    """

    def __init__(self):
        self.spec = {}
        self.topics = {}
        self.offsets = []
        self.samples = []
        self.state = None
        self.group_log = None
        self.follow = {}
        self.settled = True
        self.settle_s = 0.0

    def save(self, path):
        os.makedirs(os.path.join(path, "logs"), exist_ok=True)
        head = {"format": FORMAT, "settled": self.settled, "settle_s": self.settle_s,
                "topics": {}, "group_log": None}
        for name, topic in self.topics.items():
            head["topics"][name] = {"id": topic.id, "partitions": [
                _save_partition(path, name, i, p) for i, p in enumerate(topic.partitions)]}
        if self.group_log:
            number, partition = self.group_log
            head["group_log"] = {"partition": number,
                                 **_save_partition(path, "group_log", number, partition)}
        write_json(os.path.join(path, "dump.json"), head)
        write_json(os.path.join(path, "spec.json"), self.spec)
        write_json(os.path.join(path, "offsets.json"), self.offsets)
        if self.samples:
            _write_lines(os.path.join(path, "samples.jsonl"), self.samples)
        stale = os.path.join(path, "state.jsonl")
        if self.state is None and os.path.exists(stale):
            os.remove(stale)
        if self.state is not None:
            _write_lines(os.path.join(path, "state.jsonl"), self.state)
        for (topic, number), parts in self.follow.items():
            os.makedirs(os.path.join(path, "follow"), exist_ok=True)
            base = os.path.join(path, "follow", f"{topic}-{number}")
            _write_lines(base + ".jsonl",
                         [{"bytes": len(raw), "aborted": aborted} for raw, aborted in parts])
            _write_bytes(base + ".committed", b"".join(raw for raw, _ in parts))


def load(path):
    """The Dump in that directory."""
    dump = Dump()
    head = read_json(os.path.join(path, "dump.json"))
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        raise DumpError(f"{path}/dump.json: not of format {FORMAT}")
    try:
        dump.settled, dump.settle_s = head["settled"], head["settle_s"]
        for name, topic in head["topics"].items():
            dump.topics[name] = Topic(topic["id"], [
                _load_partition(path, name, i, p) for i, p in enumerate(topic["partitions"])])
        found = head["group_log"]
        if found:
            dump.group_log = (found["partition"],
                              _load_partition(path, "group_log", found["partition"], found))
    except KeyError as error:
        raise DumpError(f"{path}/dump.json: {error} is missing") from None
    dump.spec = read_json(os.path.join(path, "spec.json"))
    dump.offsets = read_json(os.path.join(path, "offsets.json"))
    if os.path.exists(os.path.join(path, "samples.jsonl")):
        dump.samples = read_lines(os.path.join(path, "samples.jsonl"))
    if os.path.exists(os.path.join(path, "state.jsonl")):
        dump.state = read_lines(os.path.join(path, "state.jsonl"))
    _load_follow(dump, os.path.join(path, "follow"))
    return dump


def _save_partition(path, name, number, partition):
    base = os.path.join(path, "logs", f"{name}-{number}")
    _write_bytes(base + ".all", partition.data)
    _write_bytes(base + ".committed", partition.committed)
    return {"log_start": partition.log_start, "high_watermark": partition.high_watermark,
            "last_stable": partition.last_stable, "aborted": partition.aborted}


def _load_partition(path, name, number, head):
    base = os.path.join(path, "logs", f"{name}-{number}")
    return Partition(head["log_start"], head["high_watermark"], head["last_stable"],
                     head["aborted"], _read_bytes(base + ".all"), _read_bytes(base + ".committed"))


def _load_follow(dump, path):
    if not os.path.isdir(path):
        return
    for name in sorted(os.listdir(path)):
        if not name.endswith(".jsonl"):
            continue
        topic, _, number = name[:-len(".jsonl")].rpartition("-")
        data = _read_bytes(os.path.join(path, name[:-len(".jsonl")] + ".committed"))
        parts, at = [], 0
        for line in read_lines(os.path.join(path, name)):
            parts.append((data[at:at + line["bytes"]], [tuple(a) for a in line["aborted"]]))
            at += line["bytes"]
        if at > len(data):
            raise DumpError(f"{path}/{name}: names {at} bytes, {len(data)} are there")
        dump.follow[topic, int(number)] = parts


def _read_bytes(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise DumpError(f"{path}: {error.strerror}") from None


def _write_bytes(path, data):
    with open(path, "wb") as file:
        file.write(data)


def read_json(path):
    try:
        return json.loads(_read_bytes(path))
    except ValueError as error:
        raise DumpError(f"{path}: {error}") from None


def write_json(path, value):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=1)
        file.write("\n")


def read_lines(path):
    """The objects of a file of JSON lines."""
    out = []
    for number, line in enumerate(_read_bytes(path).splitlines(), 1):
        try:
            out.append(json.loads(line, parse_float=Decimal))
        except ValueError as error:
            raise DumpError(f"{path}:{number}: {error}") from None
    return out


def _write_lines(path, values):
    with open(path, "w", encoding="utf-8") as file:
        for value in values:
            file.write(json.dumps(value, separators=(",", ":"), default=str) + "\n")
