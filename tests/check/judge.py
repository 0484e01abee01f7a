#!/usr/bin/env python3
"""Judges a dump: is every input below the committed offsets accounted for exactly once?

Works offline on the directory that fetch.py wrote. It parses every batch itself, rebuilds
committed and aborted from the control markers, replays a naive model over the inputs and compares
outputs, dead letters, offsets, their history and the state. Exit 0 with one verdict line, 1 with
the violations (20 shown), 2 when the dump or the spec cannot be used.
"""
import argparse
import sys
import time
from collections import Counter

import checks
import dump as dumps
from match import Matcher, Ref, place, short
from model import Aggregate, Replay
from offsets import read_group_log
from records import COMMIT, FormatError
from spec import Spec, SpecError
from txns import PartitionLog

SHOWN_MAX = 20
CRC_FULL_BYTES_MAX = 50 << 20


class Judge:
    """One run over one dump. violations: [(invariant, where, text)].

    known, a dictionary, keeps parsed logs between runs over the very same Partition objects.
    """

    def __init__(self, dump, crc="auto", known=None):
        self.dump = dump
        self.known = {} if known is None else known
        self.spec = Spec(dump.spec)
        self.violations = []
        self.logs = {}
        self.counts = Counter()
        size = sum(len(p.data) for t in dump.topics.values() for p in t.partitions)
        self.crc_every = 1 if crc == "full" or (crc == "auto" and size < CRC_FULL_BYTES_MAX) \
            else 0

    def report(self, invariant, where, text):
        self.violations.append((invariant, where, text))

    def run(self):
        """All checks; returns the violations."""
        for topic in self.spec.topics():
            if topic not in self.dump.topics:
                raise dumps.DumpError(f"topic {topic} of the spec is not in the dump")
        self._read_logs()
        if not self.dump.settled:
            self.report("I9", "broker", f"not at rest after {self.dump.settle_s:.0f} s: an open "
                        f"transaction, an unstable offset, or a group that still commits")
        offsets = checks.Offsets(self.spec, self.dump, self._history(), self.report)
        replay = self._replay(offsets)
        matched = self._compare_outputs(offsets, replay)
        if self.spec.dlq:
            self._compare_dead_letters(offsets, replay)
        checks.check_epochs(matched, offsets, self.report)
        self.counts["incarnations"] = checks.check_incarnations(matched, self.report)
        outputs = [log for log in self.logs.values() if log.topic not in self.spec.inputs]
        checks.check_attempts(outputs, self.report)
        if self.spec.select:
            self.counts["state"] = checks.check_state(self.spec, self.dump, offsets, replay,
                                                      self.report)
        return self.violations

    def _read_logs(self):
        for name in self.spec.topics():
            for number, partition in enumerate(self.dump.topics[name].partitions):
                log = self._parse(name, number, partition)
                self.logs[name, number] = log
                checks.check_log(log, partition, self.report)
                parts = self.dump.follow.get((name, number))
                if parts is not None:
                    checks.check_follow(log, parts, self.report)
        for log in self.logs.values():
            if log.topic not in self.spec.inputs:
                for segment in log.segments:
                    self.counts["committed" if segment.ending == COMMIT else "aborted"] += 1

    def _parse(self, name, number, partition):
        same, log = self.known.get((name, number), (None, None))
        if same is not partition:
            log = PartitionLog(name, number, partition.data, partition.log_start,
                               partition.high_watermark, bool(self.crc_every))
            self.known[name, number] = partition, log
        return log

    def _history(self):
        if self.dump.group_log is None:
            return None
        number, partition = self.dump.group_log
        history, log = read_group_log(partition.data, number, partition.log_start,
                                      partition.high_watermark, self.spec.group,
                                      bool(self.crc_every))
        for invariant, offset, text in log.problems:
            self.report(invariant, f"{log.topic}-{number}@{offset}", text)
        self.counts["commits"] = sum(len(chain) for chain in history.values())
        return history

    def _partitions(self, topic):
        return range(len(self.dump.topics[topic].partitions))

    def _replay(self, offsets):
        replay = Replay(self.spec, {t: len(self._partitions(t)) for t in self.spec.outputs})
        for topic in self.spec.inputs:
            for number in self._partitions(topic):
                log, key = self.logs[topic, number], (topic, number)
                cuts = offsets.cuts(key)
                start = self._start(log, cuts)
                replay.run(topic, number, [r for r, _ in log.visible()], start,
                           offsets.committed[key], [o for o, _ in cuts] if cuts else None)
        for origin, reason in replay.stopped:
            self.report("I1", place(origin), f"passed over, though on_error is stop: {reason}")
        return replay

    def _start(self, log, cuts):
        """The offset from which the group had to read."""
        name = f"{log.topic}-{log.partition}"
        if log.log_start > 0 and self.spec.start == "earliest":
            self.report("I1", f"{name}@0", f"the log starts at {log.log_start}: what lies before "
                        f"cannot be checked")
        first = cuts[0][0] if cuts else log.log_start
        if self.spec.start == "latest":
            return first
        if first > log.log_start:
            self.report("I1", f"{name}@{log.log_start}", f"the first commit is at {first}, the "
                        f"log starts at {log.log_start}: inputs between were passed over")
        return log.log_start

    # ---- outputs ---------------------------------------------------------------------------

    def _refs(self, topic):
        refs = []
        for number in self._partitions(topic):
            for record, segment in self.logs[topic, number].visible():
                refs.append(Ref(topic, number, record, segment, self._source(record),
                                self._attempt(record)))
        return refs

    def _source(self, record):
        text = record.header(b"mr-src")
        if text is None:
            return None
        parts = text.decode("utf-8", "replace").rsplit(":", 2)
        if len(parts) != 3 or not (parts[1].isdigit() and parts[2].isdigit()):
            return None
        return parts[0], int(parts[1]), int(parts[2])

    def _attempt(self, record):
        text = record.header(b"mr-inc")
        if text is None:
            return None
        incarnation, _, epoch = text.decode("ascii", "replace").partition(":")
        return incarnation, epoch

    def _element_of(self):
        if self.spec.select:
            parse = Aggregate(self.spec).parse
            return lambda record: parse(record.value)
        if self.spec.timestamp == "source":
            return lambda record: (record.value, record.timestamp)
        return lambda record: record.value

    def _compare_outputs(self, offsets, replay):
        known = all(offsets.cuts((t, p)) for t in self.spec.inputs for p in self._partitions(t))
        rising = bool(self.spec.select) and self.spec.emit == "on_commit" and not known
        matcher = Matcher(self.spec, replay, offsets.committed, self.report, self._hidden())
        sourced, element_of = {}, self._element_of()
        for topic in self.spec.outputs:
            refs = self._refs(topic)
            sourced[topic] = bool(refs) and not self.spec.select \
                and all(ref.source for ref in refs)
            if refs and not sourced[topic] and not self.spec.select:
                self._need_sources(topic, replay)
            matcher.receive(refs, element_of, sourced[topic])
            self.counts["outputs"] += len(refs)
        matcher.compare(sourced, rising)
        self.counts["inputs"] = replay.inputs
        self.counts["filtered"] = replay.filtered
        self.counts["keys"] = len({unit.key for unit in replay.units.values()})
        return matcher.matched

    def _need_sources(self, topic, replay):
        """Without mr-src an echo's source is told from the partition, if that is possible."""
        simple = len(self.spec.inputs) == 1 and all(
            unit.partition == source[1] for (name, _, source), unit in replay.units.items()
            if name == topic)
        if not simple:
            raise SpecError("echo of several inputs, or to other partitions, can only be judged "
                            f"if every record of {topic} has an mr-src header")

    def _hidden(self):
        """{(topic, key, value): where} of outputs in aborted and open transactions."""
        found = {}
        if self.spec.select:
            return found
        for topic in self.spec.outputs:
            for number in self._partitions(topic):
                for record, segment in self.logs[topic, number].hidden():
                    found[topic, record.key, record.value] = str(segment)
        return found

    # ---- dead letters ----------------------------------------------------------------------

    def _dead_source(self, record):
        """Where a dead letter says it came from; None if it does not say."""
        source = self._source(record)
        if source:
            return source
        topic, partition, offset = (record.header(b"millrace.error." + name)
                                    for name in (b"topic", b"partition", b"offset"))
        if topic is None or not (partition or b"").isdigit() or not (offset or b"").isdigit():
            return None
        return topic.decode("utf-8", "replace"), int(partition), int(offset)

    def _compare_dead_letters(self, offsets, replay):
        letters = []
        for number in self._partitions(self.spec.dlq):
            for record, _ in self.logs[self.spec.dlq, number].visible():
                letters.append((number, record, self._dead_source(record)))
        self.counts["dead_letters"] = len(letters)
        if all(source for _, _, source in letters):
            self._dead_by_source(letters, offsets, replay)
        else:
            self._dead_by_content(letters, replay)

    def _dead_by_source(self, letters, offsets, replay):
        wanted = {origin: (key, value) for origin, key, value in replay.dead}
        seen, last = {}, {}
        for number, record, source in letters:
            where = f"{self.spec.dlq}-{number}@{record.offset}"
            if source in seen:
                self.report("I2", where, f"dead letter of {place(source)} twice, the first is at "
                            f"{seen[source]}")
            elif source[2] >= offsets.committed.get(source[:2], 0):
                self.report("I4", where, f"dead letter of {place(source)}, which is not below "
                            f"the committed offset")
            elif source not in wanted:
                self.report("I2", where, f"dead letter of {place(source)}, a good record")
            elif wanted[source] != (record.key, record.value):
                self.report("I2", where, f"dead letter of {place(source)} has other bytes: "
                            f"{short(record.value)}")
            seen.setdefault(source, where)
            if source[2] < last.get((number, source[:2]), -1):
                self.report("I3", where, f"dead letter of {place(source)} behind a later one")
            last[number, source[:2]] = source[2]
        for origin, _, value in replay.dead:
            if origin not in seen:
                self.report("I1", place(origin), f"its dead letter is missing: {short(value)}")

    def _dead_by_content(self, letters, replay):
        wanted = Counter((key, value) for _, key, value in replay.dead)
        ahead = Counter((key, value) for _, key, value in replay.dead_ahead)
        for number, record, _ in letters:
            where = f"{self.spec.dlq}-{number}@{record.offset}"
            item = record.key, record.value
            if wanted[item] > 0:
                wanted[item] -= 1
            elif ahead[item] > 0:
                ahead[item] -= 1
                self.report("I4", where, "dead letter of an input not below the committed offset")
            else:
                self.report("I2", where, f"dead letter of no bad input, or twice: "
                            f"{short(record.value)}")
        for origin, key, value in replay.dead:
            if wanted[key, value] > 0:
                wanted[key, value] -= 1
                self.report("I1", place(origin), f"its dead letter is missing: {short(value)}")


def verdict(judge, seconds):
    """The one line of a clean run."""
    names = ("inputs", "filtered", "outputs", "dead_letters", "keys", "state", "commits",
             "committed", "aborted", "incarnations")
    counts = " ".join(f"{name}={judge.counts[name]}" for name in names)
    crc = "all" if judge.crc_every else "none"
    return f"check: OK workload={judge.spec.workload} {counts} crc={crc} seconds={seconds:.1f}"


def print_violations(violations, limit, out):
    for invariant, where, text in violations[:limit]:
        print(f"check: {invariant} {where}: {text}", file=out)
    tally = " ".join(f"{name}={count}" for name, count
                     in sorted(Counter(v[0] for v in violations).items()))
    print(f"check: FAILED {len(violations)} violations ({tally}), "
          f"{min(limit, len(violations))} shown", file=out)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", help="what fetch.py wrote")
    parser.add_argument("--spec", help="a spec file instead of the one in the directory")
    parser.add_argument("--crc", choices=("auto", "full", "none"), default="auto",
                        help="verify the CRC-32C of every batch; auto: below 50 MB")
    parser.add_argument("--limit", type=int, default=SHOWN_MAX, help="violations to print")
    options = parser.parse_args(argv)
    start = time.monotonic()
    try:
        dump = dumps.load(options.directory)
        if options.spec:
            dump.spec = dumps.read_json(options.spec)
        judge = Judge(dump, options.crc)
        violations = judge.run()
    except (dumps.DumpError, SpecError, FormatError) as error:
        print(f"check: cannot judge: {error}", file=sys.stderr)
        return 2
    if violations:
        print_violations(violations, options.limit, sys.stdout)
        return 1
    print(verdict(judge, time.monotonic() - start))
    return 0


if __name__ == "__main__":
    sys.exit(main())
