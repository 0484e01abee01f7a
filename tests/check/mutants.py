"""Mutants: small edits of a clean dump, each one a bug that a streaming engine has had.

A mutant is a function (lab) that edits lab.dump. The log is written anew after an edit, so that
offsets, sums, sequences and the aborted index agree with each other again: the judge has to find
the bug by what the records say, not by the damage of the editing. TABLE says what it must name.
"""
import copy
import random

from offsets import encode_commit, format_record, parse_commit, parse_record
from records import ABORT, COMMIT, Record, batches
from synth import DLQ, GROUP, IN, OUT, PARTITIONS, TIME_MS, EditableLog, follow


class Lab:
    """A copy of a clean dump with the tools to edit it."""

    def __init__(self, synth, dump, seed=7):
        self.synth = synth
        self.dump = copy.copy(dump)
        self.dump.topics = {n: copy.copy(t) for n, t in dump.topics.items()}
        for topic in self.dump.topics.values():
            topic.partitions = list(topic.partitions)
        self.dump.offsets = copy.deepcopy(dump.offsets)
        self.dump.samples = list(dump.samples)
        self.dump.state = copy.deepcopy(dump.state)
        self.dump.follow = dict(dump.follow)
        self.rng = random.Random(seed)

    def log(self, topic, partition):
        return EditableLog.parse(self.dump.topics[topic].partitions[partition])

    def put(self, topic, partition, log):
        """Writes an edited log back; the concurrent reader saw the same."""
        written = log.write()
        self.dump.topics[topic].partitions[partition] = written
        if (topic, partition) in self.dump.follow:
            self.dump.follow[topic, partition] = follow(written)

    def busiest(self, topic=OUT):
        return max(range(len(self.dump.topics[topic].partitions)),
                   key=lambda p: self.dump.topics[topic].partitions[p].high_watermark)

    def edit_records(self, topic, choose):
        """Calls choose(log, committed transactions) on the busiest partition and writes it."""
        partition = self.busiest(topic)
        log = self.log(topic, partition)
        choose(log, transactions(log, COMMIT))
        log.items = [i for i in log.items if i.kind != "data" or i.records]
        self.put(topic, partition, log)

    def edit_commits(self, partition, change):
        """change(index, count, offset, metadata) gives the new (offset, metadata) of each
        committed entry of that input partition in the group's log."""
        if self.dump.group_log is None:
            return
        number, written = self.dump.group_log
        log = EditableLog.parse(written)
        places = []
        for indexes in transactions(log, COMMIT):
            for i in indexes:
                for j, record in enumerate(log.items[i].records):
                    found = parse_commit(record, GROUP)
                    if found and found[1] == partition:
                        places.append((i, j, found))
        for at, (i, j, (topic, _, offset, metadata)) in enumerate(places):
            offset, metadata = change(at, len(places), offset, metadata)
            key, value = encode_commit(GROUP, topic, partition, offset, metadata, TIME_MS)
            log.items[i].records[j] = Record(0, TIME_MS, key, value)
        self.dump.group_log = number, log.write()

    def set_last_commit(self, partition, offset=None, metadata=None):
        """Changes the committed offset or record everywhere a reader could learn it."""
        entry = self.dump.offsets[partition]
        entry["offset"] = entry["offset"] if offset is None else offset
        entry["metadata"] = entry["metadata"] if metadata is None else metadata
        last = max(i for i, s in enumerate(self.dump.samples) if s["partition"] == partition)
        self.dump.samples[last] = {"topic": IN, "partition": partition, "offset": entry["offset"]}
        self.edit_commits(partition, lambda at, count, o, m: (
            (entry["offset"], entry["metadata"]) if at == count - 1 else (o, m)))


def transactions(log, ending):
    """[[item indexes]] of the transactions with that ending, in the order of their markers."""
    waiting, out = {}, []
    for i, item in enumerate(log.items):
        if item.kind == "data" and item.transactional:
            waiting.setdefault(item.producer_id, []).append(i)
        elif item.kind != "data":
            found = waiting.pop(item.producer_id, None)
            if item.kind == ending and found:
                out.append(found)
    return out


def _drop(txn_at, record_at):
    def mutate(lab):
        def choose(log, found):
            indexes = found[int(txn_at * (len(found) - 1))]
            item = log.items[indexes[-1 if record_at < 0 else 0]]
            del item.records[int(record_at * len(item.records)) if record_at >= 0 else -1]
        lab.edit_records(OUT, choose)
    return mutate


def drop_tail(lab):
    def choose(log, found):
        for i in found[-1] + found[-2]:
            log.items[i].records.clear()
    lab.edit_records(OUT, choose)


def drop_dead_letter(lab):
    lab.edit_records(DLQ, lambda log, found: log.items[found[len(found) // 2][0]].records.pop())


def duplicate_adjacent(lab):
    def choose(log, found):
        records = log.items[found[len(found) // 2][0]].records
        records.insert(6, records[5])
    lab.edit_records(OUT, choose)


def duplicate_later(lab):
    def choose(log, found):
        record = log.items[found[len(found) // 2][0]].records[3]
        later = log.items[found[len(found) // 2 + 3][0]].records
        headers = [(n, later[0].header(b"mr-inc") if n == b"mr-inc" else v)
                   for n, v in record.headers]
        later.append(Record(0, record.timestamp, record.key, record.value, headers))
    lab.edit_records(OUT, choose)


def _swap(same_key):
    def mutate(lab):
        def choose(log, found):
            for indexes in found[len(found) // 2:]:
                records = log.items[indexes[0]].records
                for a in range(len(records)):
                    for b in range(a + 1, len(records)):
                        if same_key == (records[a].key == records[b].key) and (
                                same_key or b == a + 1):
                            records[a], records[b] = records[b], records[a]
                            return
            raise AssertionError("no such pair in the dump")
        lab.edit_records(OUT, choose)
    return mutate


def half_a_transaction(lab):
    def choose(log, found):
        indexes = max(found[1:-1], key=lambda t: sum(len(log.items[i].records) for i in t))
        left = sum(len(log.items[i].records) for i in indexes) // 2
        for i in indexes:
            keep = min(left, len(log.items[i].records))
            del log.items[i].records[keep:]
            left -= keep
    lab.edit_records(OUT, choose)


def commit_to_abort(lab):
    def choose(log, found):
        last = max(found[len(found) // 2])
        pid = log.items[last].producer_id
        at = next(i for i in range(last, len(log.items))
                  if log.items[i].kind == COMMIT and log.items[i].producer_id == pid)
        log.items[at] = log.items[at]._replace(kind=ABORT)
    lab.edit_records(OUT, choose)


def abort_to_commit(lab):
    partition = max(range(PARTITIONS), key=lambda p: len(transactions(lab.log(OUT, p), ABORT)))
    log = lab.log(OUT, partition)
    dead = max((t for t in transactions(log, ABORT)), key=len)
    fence = next(i for i in log.items[max(dead):]
                 if i.kind == ABORT and i.producer_id == log.items[dead[0]].producer_id)
    for topic in (OUT, DLQ):
        for number in range(len(lab.dump.topics[topic].partitions) if topic in lab.dump.topics
                            else 0):
            log = lab.log(topic, number)
            log.items = [i._replace(kind=COMMIT) if i.kind == ABORT and
                         i[1:3] == fence[1:3] else i for i in log.items]
            lab.put(topic, number, log)


def _other_attempt(records):
    """The records as an attempt of another incarnation would have written them."""
    return [Record(0, r.timestamp, r.key, r.value,
                   [(n, b"00000000deadbeef:7" if n == b"mr-inc" else v) for n, v in r.headers])
            for r in records]


def open_shown(lab):
    partition = lab.busiest()
    log = lab.log(OUT, partition)
    stable = lab.dump.topics[OUT].partitions[partition]
    item = log.items[transactions(log, COMMIT)[-1][0]]
    log.add(_other_attempt(item.records[:9]), (item.producer_id, item.producer_epoch))
    written = log.write()
    written.committed = written.data
    written.last_stable = written.high_watermark
    written.aborted = stable.aborted
    lab.dump.topics[OUT].partitions[partition] = written


def aborted_shown(lab):
    partition = max(range(PARTITIONS),
                    key=lambda p: len(lab.dump.topics[OUT].partitions[p].aborted))
    found = copy.copy(lab.dump.topics[OUT].partitions[partition])
    found.aborted = found.aborted[1:]
    lab.dump.topics[OUT].partitions[partition] = found


def committed_hidden(lab):
    partition = lab.busiest()
    log = lab.log(OUT, partition)
    last = transactions(log, COMMIT)[-1]
    found = copy.copy(lab.dump.topics[OUT].partitions[partition])
    first = sum(len(i.records) or 1 for i in log.items[:last[0]])
    found.aborted = found.aborted + [(log.items[last[0]].producer_id, first)]
    lab.dump.topics[OUT].partitions[partition] = found


def reader_saw_aborted(lab):
    partition = max(range(PARTITIONS),
                    key=lambda p: len(lab.dump.topics[OUT].partitions[p].aborted))
    found = lab.dump.topics[OUT].partitions[partition]
    lab.dump.follow[OUT, partition] = [(found.committed, found.aborted[1:])]


def _offset(step):
    def mutate(lab):
        lab.set_last_commit(1, offset=lab.dump.offsets[1]["offset"] + step)
    return mutate


def offset_goes_back(lab):
    mid = [i for i, s in enumerate(lab.dump.samples) if s["partition"] == 1]
    at = mid[len(mid) // 2]
    lower = lab.dump.samples[mid[len(mid) // 2 - 2]]["offset"] - 1
    lab.dump.samples[at] = {"topic": IN, "partition": 1, "offset": lower}
    lab.edit_commits(1, lambda i, count, offset, metadata: (
        (lower, metadata) if i == len(mid) // 2 else (offset, metadata)))


def other_tasks_record(lab):
    lab.set_last_commit(0, metadata=lab.dump.offsets[1]["metadata"])


def record_sum_wrong(lab):
    metadata = lab.dump.offsets[2]["metadata"]
    lab.set_last_commit(2, metadata=metadata[:-1] + ("0" if metadata[-1] != "0" else "1"))


def epoch_of_record(lab):
    """The record's epoch is one too high, its sum right."""
    record = parse_record(lab.dump.offsets[2]["metadata"])
    lab.set_last_commit(2, metadata=format_record(
        record.lineage, record.epoch + 1, record.since, record.incarnation, record.digest,
        record.owner, record.topic_id))


def state_behind(lab):
    lab.dump.state = lab.synth.state(behind=2)


def _state_rows(lab):
    return [i for i, line in enumerate(lab.dump.state) if "columns" in line]


def state_key_missing(lab):
    del lab.dump.state[lab.rng.choice(_state_rows(lab))]


def state_key_extra(lab):
    line = copy.deepcopy(lab.dump.state[_state_rows(lab)[3]])
    line["columns"]["user"] = "nobody"
    lab.dump.state.append(line)


def state_value_off(lab):
    lab.dump.state[lab.rng.choice(_state_rows(lab))]["columns"]["total"] += 1


def other_key(lab):
    def choose(log, found):
        records = log.items[found[len(found) // 2][0]].records
        other = next(r.key for r in records if r.key != records[4].key)
        records[4] = Record(0, records[4].timestamp, other, records[4].value, records[4].headers)
    lab.edit_records(OUT, choose)


def value_changed(lab):
    def choose(log, found):
        records = log.items[found[len(found) // 2][0]].records
        old = records[4]
        records[4] = Record(0, old.timestamp, old.key, old.value.replace(b"1", b"2", 1) + b" ",
                            old.headers)
    lab.edit_records(OUT, choose)


def old_incarnation(lab):
    def choose(log, found):
        first = log.items[found[0][0]].records[0].header(b"mr-inc")
        for indexes in reversed(found):
            records = log.items[indexes[0]].records
            if records[0].header(b"mr-inc").split(b":")[0] != first.split(b":")[0]:
                old = records[1]
                headers = [(n, first if n == b"mr-inc" else v) for n, v in old.headers]
                records[1] = Record(0, old.timestamp, old.key, old.value, headers)
                return
        raise AssertionError("one incarnation only in this dump")
    lab.edit_records(OUT, choose)


def old_producer_epoch(lab):
    def choose(log, found):
        i = found[-1][0]
        log.items[i] = log.items[i]._replace(producer_epoch=log.items[i].producer_epoch - 1)
    lab.edit_records(OUT, choose)


def wrong_partition(lab):
    source = lab.busiest()
    target = (source + 2) % PARTITIONS          # of the same shard
    log, other = lab.log(OUT, source), lab.log(OUT, target)
    found, places = transactions(log, COMMIT), transactions(other, COMMIT)
    record = log.items[found[len(found) // 2][0]].records.pop(3)
    other.items[places[len(places) // 2][0]].records.append(record)
    lab.put(OUT, source, log)
    lab.put(OUT, target, other)


def output_in_next_transaction(lab):
    """One output left its transaction for the next: a reader between the two sees it missing."""
    def choose(log, found):
        record = log.items[found[len(found) // 2][-1]].records.pop()
        log.items[found[len(found) // 2 + 1][0]].records.insert(0, record)
    lab.edit_records(OUT, choose)


def bit_flipped(lab):
    partition = lab.busiest()
    found = copy.copy(lab.dump.topics[OUT].partitions[partition])
    chosen = list(batches(found.data))[20]
    at = chosen.start + chosen.size - 15
    data = bytearray(found.data)
    data[at] ^= 4
    found.data = found.committed = bytes(data)
    lab.dump.topics[OUT].partitions[partition] = found
    lab.dump.follow.pop((OUT, partition), None)


def hole_in_log(lab):
    """A batch gone from the middle, offsets as they were: what the log itself has lost."""
    partition = lab.busiest()
    found = copy.copy(lab.dump.topics[OUT].partitions[partition])
    gone = [b for b in batches(found.data) if not b.control][10]
    found.data = found.data[:gone.start] + found.data[gone.start + gone.size:]
    found.committed = found.data
    lab.dump.topics[OUT].partitions[partition] = found
    lab.dump.follow.pop((OUT, partition), None)


def hanging_transaction(lab):
    partition = lab.busiest()
    log = lab.log(OUT, partition)
    log.add([Record(0, TIME_MS, b"k", b"v")], (4711, 0))
    lab.put(OUT, partition, log)


def aborted_attempt(lab):
    """Control: one more attempt, marked aborted by a fencing successor."""
    for partition in range(PARTITIONS):
        log = lab.log(OUT, partition)
        indexes = transactions(log, COMMIT)[-1]
        item = log.items[indexes[0]]
        end = next(i for i in range(max(indexes), len(log.items))
                   if log.items[i].kind == COMMIT
                   and log.items[i].producer_id == item.producer_id)
        log.items[end + 1:end + 1] = [
            item._replace(producer_epoch=item.producer_epoch + 1,
                          records=_other_attempt(item.records)),
            item._replace(kind=ABORT, producer_epoch=item.producer_epoch + 2, records=[])]
        lab.put(OUT, partition, log)


EVERY, ECHO = ("every",), ("echo",)
BOTH = ("echo", "every")
# name: (function, workloads, what must be named, what may be named besides, needs)
TABLE = {
    "drop-first": (_drop(0, 0), BOTH, "I1", "", ""),
    "drop-middle": (_drop(0.5, 0.5), BOTH, "I1", "", ""),
    "drop-last": (_drop(1, -1), BOTH, "I1", "I4", ""),
    "drop-tail": (drop_tail, BOTH, "I1 I4", "", ""),
    "drop-dead-letter": (drop_dead_letter, EVERY, "I1", "", ""),
    "duplicate-adjacent": (duplicate_adjacent, BOTH, "I2", "", ""),
    "duplicate-later": (duplicate_later, BOTH, "I2", "", ""),
    "swap-one-key": (_swap(True), BOTH, "I3", "", ""),
    "half-transaction": (half_a_transaction, BOTH, "I1 I4", "", ""),
    "commit-to-abort": (commit_to_abort, BOTH, "I1 I4", "", ""),
    "abort-to-commit": (abort_to_commit, BOTH, "I2 I6", "I4", ""),
    "open-shown": (open_shown, BOTH, "I6 I9", "", ""),
    "aborted-shown": (aborted_shown, BOTH, "I6", "", ""),
    "offset-plus-one": (_offset(1), BOTH, "I4", "I1 I5", ""),
    "offset-minus-one": (_offset(-1), BOTH, "I4", "I5", ""),
    "offset-goes-back": (offset_goes_back, BOTH, "I8", "I4", ""),
    "state-behind": (state_behind, EVERY, "I4 I5", "", ""),
    "state-key-missing": (state_key_missing, EVERY, "I5", "", ""),
    "state-key-extra": (state_key_extra, EVERY, "I5", "", ""),
    "state-value-off": (state_value_off, EVERY, "I5", "", ""),
    "other-key": (other_key, BOTH, "I1 I2", "", ""),
    "old-incarnation": (old_incarnation, BOTH, "I7", "", "headers"),
    "other-tasks-record": (other_tasks_record, BOTH, "I4", "", ""),
    "wrong-partition": (wrong_partition, BOTH, "I3", "", ""),
    "bit-flipped": (bit_flipped, BOTH, "I1", "I4", ""),
    # beyond the twenty-four
    "value-changed": (value_changed, BOTH, "I1 I2", "", ""),
    "committed-hidden": (committed_hidden, BOTH, "I1", "", ""),
    "reader-saw-aborted": (reader_saw_aborted, BOTH, "I6", "", ""),
    "record-sum-wrong": (record_sum_wrong, BOTH, "I4", "", ""),
    "record-epoch-off": (epoch_of_record, EVERY, "I4", "", ""),
    "old-producer-epoch": (old_producer_epoch, BOTH, "I7", "", ""),
    "next-transaction": (output_in_next_transaction, BOTH, "I4", "I3", "history"),
    "hole-in-log": (hole_in_log, BOTH, "I1", "I4", ""),
    "hanging-transaction": (hanging_transaction, BOTH, "I9", "", ""),
}
CONTROLS = {
    "swap-different-keys": (_swap(False), BOTH),
    "aborted-attempt": (aborted_attempt, BOTH),
}
