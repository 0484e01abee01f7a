"""The checks that need no model of the workload: logs, transactions, offsets, epochs, readers.

Each takes what the judge has read and reports violations by invariant; none stops at the first.
"""
from bisect import bisect_right
from collections import defaultdict
from decimal import Decimal

from match import place
from model import Aggregate, plain
from offsets import BadRecord, parse_record
from records import COMMIT, FormatError
from rows import BadRow, convert
from txns import shown_to_committed_reader


def check_log(log, partition, report):
    """Damage, open transactions (I9), and what the broker shows a committed reader (I1, I6)."""
    name = f"{log.topic}-{log.partition}"
    for invariant, offset, text in log.problems:
        report(invariant, f"{name}@{offset}", text)
    for segment in log.open_segments():
        report("I9", f"{name}@{segment.first}", f"{segment} was never ended")
    if partition.last_stable != partition.high_watermark and not log.open_segments():
        report("I9", f"{name}@{partition.last_stable}", f"last stable offset, but the high "
               f"watermark is {partition.high_watermark} and every transaction has its marker")
    compare_committed_fetch(log, partition.committed, partition.aborted, report)


def compare_committed_fetch(log, raw, aborted, report):
    """A read_committed fetch must show exactly what the markers say is committed."""
    name = f"{log.topic}-{log.partition}"
    try:
        shown = {b.base_offset: b for b in shown_to_committed_reader(raw, aborted)}
    except FormatError as error:
        report("I1", name, f"read_committed fetch: {error}")
        return
    wanted = log.visible_batches()
    fate = {batch.base_offset: segment for batch, segment in log.entries}
    for offset, (batch, _) in wanted.items():
        found = shown.get(offset)
        if found is None:
            report("I1", f"{name}@{offset}", "committed by its marker, but a read_committed "
                   "fetch does not show it: the broker hides it")
        elif found.raw() != batch.raw():
            report("I1", f"{name}@{offset}", "a read_committed fetch shows other bytes")
    for offset in shown:
        if offset not in wanted and offset not in log.damaged:
            report("I6", f"{name}@{offset}", f"shown to a read_committed reader: "
                   f"{fate.get(offset) or 'not in the log'}; the broker leaks it")


def check_follow(log, parts, report):
    """What a concurrent read_committed reader saw must be a prefix of the late one's view."""
    name = f"{log.topic}-{log.partition}"
    wanted = log.visible_batches()
    seen, end = set(), 0
    for raw, aborted in parts:
        try:
            for batch in shown_to_committed_reader(raw, aborted):
                seen.add(batch.base_offset)
                end = max(end, batch.last_offset + 1)
                late = wanted.get(batch.base_offset)
                if late is None or late[0].raw() != batch.raw():
                    report("I6", f"{name}@{batch.base_offset}", "the concurrent reader saw a "
                           "batch that the late one does not see")
        except FormatError as error:
            report("I1", name, f"concurrent reader: {error}")
    for offset, (batch, _) in wanted.items():
        if batch.last_offset < end and offset not in seen:
            report("I6", f"{name}@{offset}", "the concurrent reader passed over a batch that the "
                   "late one sees")


class Offsets:
    """The committed offsets: values, records, history.

    committed: {(topic, partition): offset, 0 or the log start if nothing is committed};
    records: {(topic, partition): CommitRecord}.
    """

    def __init__(self, spec, dump, history, report):
        self.committed, self.records = {}, {}
        self.history = history          # {(topic, partition): [Commit]} or None
        self.report = report
        for entry in dump.offsets:
            key = entry["topic"], entry["partition"]
            if entry["topic"] in spec.inputs:
                self._take(key, entry, dump.topics[entry["topic"]])
        for topic in spec.inputs:
            for number in range(len(dump.topics[topic].partitions)):
                if (topic, number) not in self.committed:
                    report("I4", f"{topic}-{number}", "no committed offset was fetched")
                    self.committed[topic, number] = 0
        self._agree()
        self._samples(dump.samples)
        if history is not None:
            self._walk_history()

    def _take(self, key, entry, topic):
        name, offset = f"{key[0]}-{key[1]}", entry["offset"]
        partition = topic.partitions[key[1]]
        self.committed[key] = max(offset, 0)
        if entry.get("error"):
            self.report("I9", name, f"committed offset is not stable: error {entry['error']}")
        if offset < 0:
            return
        if offset > partition.high_watermark:
            self.report("I4", f"{name}@{offset}", f"committed offset is beyond the log's end, "
                        f"{partition.high_watermark}")
        if offset < partition.log_start:
            self.report("I4", f"{name}@{offset}", f"committed offset is below the log's start, "
                        f"{partition.log_start}")
        record = self._parse(f"{name}@{offset}", entry["metadata"], topic.id)
        if record:
            self.records[key] = record

    def _parse(self, where, metadata, topic_id):
        try:
            record = parse_record(metadata)
        except BadRecord as error:
            self.report("I4", where, f"commit record: {error}")
            return None
        if record.topic_id.strip("0") and record.topic_id != topic_id:
            self.report("I4", where, f"commit record names topic id {record.topic_id}, the "
                        f"topic's is {topic_id}")
        return record

    def _agree(self):
        """Records of one task agree in all but t; two tasks do not share a lineage."""
        tasks, lineages = {}, {}
        for (topic, number), record in sorted(self.records.items()):
            body = record._replace(topic_id="")
            first = tasks.setdefault(number, (topic, body))
            if first[1] != body:
                self.report("I4", f"{topic}-{number}", f"its record disagrees with that of "
                            f"{first[0]}-{number}, the same task: {body} and {first[1]}")
            owner = lineages.setdefault(record.lineage, number)
            if owner != number and record.lineage.strip("0"):
                self.report("I4", f"{topic}-{number}", f"its record has the lineage "
                            f"{record.lineage} of task {owner}: another task's record")

    def _samples(self, samples):
        highest = {}
        for sample in samples:
            key, offset = (sample["topic"], sample["partition"]), sample["offset"]
            if offset < highest.get(key, -1):
                self.report("I8", f"{key[0]}-{key[1]}@{offset}", f"committed offset went back "
                            f"from {highest[key]} (sampled)")
            highest[key] = max(offset, highest.get(key, -1))
        for key, offset in highest.items():
            if key in self.committed and self.committed[key] < offset:
                self.report("I8", f"{key[0]}-{key[1]}@{self.committed[key]}", f"committed offset "
                            f"is below {offset}, which was seen during the run")

    def _walk_history(self):
        for key, offset in self.committed.items():
            chain = self.history.get(key, [])
            name = f"{key[0]}-{key[1]}"
            previous = None
            for commit in chain:
                previous = self._step(name, previous, commit)
            last = chain[-1] if chain else None
            if (last.offset if last else 0) != offset:
                self.report("I4", f"{name}@{offset}", f"the broker answers this committed "
                            f"offset, the group's log ends with {last and last.offset}")

    def _step(self, name, previous, commit):
        where = f"{name}@{commit.offset}"
        if commit.offset is None:
            self.report("I8", name, "the committed offset was removed")
            return previous
        try:
            record = parse_record(commit.metadata)
        except BadRecord as error:
            self.report("I4", where, f"commit record in the group's log: {error}")
            return previous
        if previous:
            old, old_record = previous
            if commit.offset < old.offset:
                self.report("I8", where, f"committed offset went back from {old.offset}")
            if record.lineage != old_record.lineage:
                self.report("I4", where, f"lineage changed from {old_record.lineage} to "
                            f"{record.lineage}: another task's record")
            elif record.epoch <= old_record.epoch:
                self.report("I4", where, f"epoch {record.epoch:x} was committed after "
                            f"{old_record.epoch:x}")
        return commit, record

    def cuts(self, key):
        """[(offset, Commit)] at which this partition's epochs ended; None if not known."""
        if self.history is None:
            return None
        return [(c.offset, c) for c in self.history.get(key, []) if c.offset is not None]


def check_epochs(matched, offsets, report):
    """Offsets and outputs move together: the outputs of one committed stretch of input are one
    transaction in each output partition, by the producer that committed the offsets."""
    cuts = {}
    seen = {}
    for origin, ref in matched:
        source = origin[:2]
        if source not in cuts:
            found = offsets.cuts(source)
            cuts[source] = found and ([o for o, _ in found], [c for _, c in found])
        if not cuts[source] or ref.segment is None:
            continue
        ends, commits = cuts[source]
        at = bisect_right(ends, origin[2])
        if at == len(ends):
            continue
        epoch = (source, ends[at], ref.topic, ref.partition)
        segment = seen.setdefault(epoch, ref.segment)
        if segment is not ref.segment:
            report("I4", str(ref), f"effect of {place(origin)} is in another transaction than "
                   f"others of its epoch, which ended at offset {ends[at]}: {segment}")
        commit = next(c for c in commits[at:] if c.offset == ends[at])
        if commit.producer_id >= 0 and commit.producer_id != segment.producer_id:
            report("I4", str(ref), f"effect of {place(origin)} was written by producer "
                   f"{segment.producer_id}, its offset committed by {commit.producer_id}")
    _one_epoch_a_segment(seen, report)


def _one_epoch_a_segment(seen, report):
    ends = defaultdict(set)
    for (source, end, _, _), segment in seen.items():
        ends[source, id(segment)].add((end, str(segment)))
    for (source, _), found in ends.items():
        if len(found) > 1:
            stretch = ", ".join(str(end) for end, _ in sorted(found))
            text = sorted(found)[0][1]
            report("I4", f"{source[0]}-{source[1]}", f"outputs of epochs that ended at {stretch} "
                   f"are in one {text}")


def check_incarnations(matched, report):
    """I7: in an output partition, per input partition, incarnations follow each other and none
    comes back."""
    by_place = defaultdict(list)
    for origin, ref in matched:
        if ref.attempt:
            by_place[origin[:2], ref.topic, ref.partition].append(ref)
    incarnations = set()
    for (source, _, _), refs in by_place.items():
        refs.sort(key=lambda ref: ref.record.offset)
        current, retired = None, {}
        for ref in refs:
            incarnation = ref.attempt[0]
            if incarnation == current:
                continue
            if incarnation in retired:
                report("I7", str(ref), f"incarnation {incarnation} writes after its successor "
                       f"{current} (task of {source[0]}-{source[1]})")
                continue
            if current is not None:
                retired[current] = True
            current = incarnation
            incarnations.add(incarnation)
    return len(incarnations)


def check_attempts(logs, report):
    """An attempt (mr-inc) of one producer is committed everywhere or nowhere."""
    fates = defaultdict(dict)
    for log in logs:
        for batch, segment in log.entries:
            if segment is None:
                continue
            for record in batch.records()[:1]:
                attempt = record.header(b"mr-inc")
                if attempt is not None:
                    fates[segment.producer_id, attempt].setdefault(segment.ending, segment)
    for (_, attempt), endings in fates.items():
        if COMMIT in endings and len(endings) > 1:
            other = next(s for ending, s in endings.items() if ending != COMMIT)
            report("I4", f"{other.topic}-{other.partition}@{other.first}", f"attempt "
                   f"{attempt.decode('ascii', 'replace')} is torn: {other}, and "
                   f"{endings[COMMIT]}")


def check_state(spec, dump, offsets, replay, report):
    """State dump = model, and its task points = the committed records (I4, I5)."""
    if dump.state is None:
        if spec.state:
            report("I5", "state", "the spec asks for a state dump and there is none")
        return 0
    tasks, records = {}, []
    for line in dump.state:
        if "tasks" in line:
            for task in line["tasks"]:
                tasks[task["task"]] = task
        else:
            records.append(line)
    home = {}
    for number, task in tasks.items():
        for entry in task["offsets"]:
            topic = spec.inputs[entry["input"]]
            home[number] = entry["partition"]
            _compare_point(f"{topic}-{entry['partition']}", task, entry["to"],
                           offsets.records.get((topic, entry["partition"])),
                           offsets.committed.get((topic, entry["partition"])), report)
    covered = set(home.values())
    for partition, groups in replay.groups.items():
        if partition not in covered:
            report("I5", f"state of partition {partition}", f"no task in the state dump, the "
                   f"model has {len(groups)} groups")
    _compare_rows(spec, records, home, replay, report)
    return len(records)


def _compare_point(name, task, to, record, committed, report):
    where = f"state of {name}"
    if to != committed:
        report("I4", where, f"the state stands at input offset {to}, {committed} is committed")
    if record is None:
        return
    point = (task["lineage"], task["epoch"], task["incarnation"], task["digest"])
    wanted = (record.lineage, record.epoch, record.incarnation, record.digest)
    for field, have, want in zip(("lineage", "epoch", "incarnation", "digest"), point, wanted):
        if have != want:
            report("I4", where, f"{field} of the state is {have}, of the commit record {want}")


def _compare_rows(spec, records, home, replay, report):
    parser = Aggregate(spec)
    wanted = {(p, tuple(plain(v) for v in identity)): row
              for p, groups in replay.groups.items() for identity, row in groups.items()}
    if any("columns" not in line for line in records):
        _compare_counts(records, home, replay, report)
        return
    seen = set()
    for line in records:
        columns, partition = line["columns"], home.get(line["task"])
        where = f"state of task {line['task']} key {line['key']}"
        absent = [name for name in spec.by if name not in columns]
        if absent:
            report("I5", where, f"column {absent[0]} is not in the dump")
            continue
        identity = tuple(_column_value(spec.columns.get(name), columns[name])
                         for name in spec.by)
        key = partition, identity
        if key not in wanted:
            report("I5", where, f"group {identity} is in the state, not in the model of "
                   f"partition {partition}")
            continue
        if key in seen:
            report("I5", where, f"group {identity} is in the state twice")
        seen.add(key)
        for fold, want in zip(spec.select, wanted[key]):
            if fold.kind == "key" or fold.name not in columns:
                continue
            have = parser.received_value(fold, columns[fold.name])
            if isinstance(have, str) and isinstance(want, (int, float, Decimal)):
                have = _number(have)
            if have != want:
                report("I5", where, f"group {identity}: {fold.name} is {have}, the model "
                       f"says {want}")
    for partition, identity in wanted.keys() - seen:
        report("I5", f"state of partition {partition}", f"group {identity} is missing")


def _number(text):
    """A number that the dump writes as text; the text itself if it is none."""
    try:
        return Decimal(text)
    except ArithmeticError:
        return text


def _column_value(column, value):
    """A by column of the dump in the model's plain form."""
    try:
        return plain(convert(column, value)) if column else plain(value)
    except BadRow:
        return value


def _compare_counts(records, home, replay, report):
    counts = defaultdict(int)
    for line in records:
        counts[home.get(line["task"])] += 1
    for partition, groups in replay.groups.items():
        if counts[partition] != len(groups):
            report("I5", f"state of partition {partition}", f"{counts[partition]} records, the "
                   f"model has {len(groups)} groups (no columns in the dump to compare)")
