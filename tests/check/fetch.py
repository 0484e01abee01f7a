#!/usr/bin/env python3
"""Brings what a broker holds into a directory that judge.py can judge (dump.py names its files).

First it waits, 30 s at most, until everything rests: last stable offset = high watermark in every
partition, committed offsets stable and no longer moving. What does not come to rest is written all
the same, marked, and judged as I9. Then it reads every topic twice, uncommitted and committed, the
group's offsets, and the group's own log.

--follow is the concurrent reader: it reads committed records and samples committed offsets while
a test runs, until SIGTERM or SIGINT, through broker restarts, and leaves its part in the same
directory.
"""
import argparse
import json
import os
import shutil
import signal
import sys
import time

import dump as dumps
from kafka_wire import (EARLIEST, LATEST, PASSING, READ_COMMITTED, READ_UNCOMMITTED, Client,
                        KafkaError, WireError)
from offsets import GROUP_LOG, group_partition
from records import batches
from spec import Spec, SpecError

REST_S = 30.0               # I9
QUIET_S = 0.5               # committed offsets must stand still for that long
POLL_S = 0.05
BROKER_AWAY_S = 90.0        # a follower outlives a broker's restart


class Fetcher:
    """Reads the topics of one spec from one broker."""

    def __init__(self, bootstrap, spec):
        self.client = Client(bootstrap)
        self.spec = spec
        self.topics = spec.topics()
        self.client.refresh(self.topics)

    def partitions(self):
        return [(t, p) for t in self.topics for p in range(self.client.partitions(t))]

    def unrest(self):
        """What is not at rest yet, in words; None if all is."""
        for topic, number in self.partitions():
            end = self.client.list_offset(topic, number, LATEST, READ_UNCOMMITTED)
            stable = self.client.list_offset(topic, number, LATEST, READ_COMMITTED)
            if stable != end:
                return f"{topic}-{number}: last stable offset {stable}, high watermark {end}"
        for topic, number, _, _, _, error in self.client.committed(self.spec.group,
                                                                   self.spec.inputs):
            if error:
                return f"committed offset of {topic}-{number} is not stable ({error})"
        return None

    def committed_now(self):
        return sorted(c[:3] for c in self.client.committed(self.spec.group, self.spec.inputs,
                                                           stable=False))

    def wait_for_inputs(self, limit_s):
        """Waits until the group has committed behind the last record of every input."""
        ends = {}
        for topic in self.spec.inputs:
            for number in range(self.client.partitions(topic)):
                ends[topic, number] = self._data_end(topic, number)
        deadline = time.monotonic() + limit_s
        while True:
            behind = [(t, n, max(0, o), ends[t, n]) for t, n, o in self.committed_now()
                      if max(0, o) < ends[t, n]]
            if not behind:
                return
            if time.monotonic() > deadline:
                topic, number, offset, end = behind[0]
                raise WireError(f"inputs are not done after {limit_s:.0f} s: {topic}-{number} is "
                                f"committed to {offset} of {end}")
            time.sleep(POLL_S)

    def _data_end(self, topic, number):
        """The offset behind the last data record: a marker may be the last thing in the log."""
        end = 0
        high = self.client.list_offset(topic, number, LATEST)
        for batch in batches(self._read(topic, number, READ_UNCOMMITTED, high)[0]):
            end = end if batch.control else batch.last_offset + 1
        return end

    def wait_for_rest(self, limit_s):
        """(True, seconds) when all rests, (False, seconds) with a word on stderr when not."""
        start = time.monotonic()
        before, since = None, start
        while True:
            reason = self.unrest()
            now = self.committed_now()
            if now != before:
                before, since = now, time.monotonic()
            waited = time.monotonic() - start
            if reason is None and time.monotonic() - since >= QUIET_S:
                return True, waited
            if waited > limit_s:
                reason = reason or "committed offsets still move"
                print(f"fetch: not at rest after {waited:.0f} s: {reason}", file=sys.stderr)
                return False, waited
            time.sleep(POLL_S)

    def _read(self, topic, number, isolation, end):
        """(raw batches, aborted list) from the log's start to end."""
        at = self.client.list_offset(topic, number, EARLIEST)
        parts, aborted = [], {}
        while at < end:
            found = self.client.fetch(topic, number, at, isolation)
            raw, last = whole_batches(found.data, end)
            if last is None:
                raise WireError(f"{topic}-{number}@{at}: the broker sent no whole batch, though "
                                f"the log ends at {end}")
            parts.append(raw)
            for item in found.aborted or ():
                aborted[item] = None
            at = last + 1
        return b"".join(parts), list(aborted)

    def partition(self, topic, number):
        """A Partition; the log may grow meanwhile, so each end is asked for once."""
        found = dumps.Partition()
        found.log_start = self.client.list_offset(topic, number, EARLIEST)
        found.high_watermark = self.client.list_offset(topic, number, LATEST)
        found.last_stable = self.client.list_offset(topic, number, LATEST, READ_COMMITTED)
        found.data = self._read(topic, number, READ_UNCOMMITTED, found.high_watermark)[0]
        found.committed, found.aborted = self._read(topic, number, READ_COMMITTED,
                                                    found.last_stable)
        return found

    def group_log(self):
        """(partition number, Partition) of the group's log."""
        self.client.refresh([GROUP_LOG])
        number = group_partition(self.spec.group, self.client.partitions(GROUP_LOG))
        return number, self.partition(GROUP_LOG, number)

    def dump(self, settled, waited):
        found = dumps.Dump()
        found.settled, found.settle_s = settled, waited
        for topic in self.topics:
            partitions = [self.partition(topic, p) for p in range(self.client.partitions(topic))]
            found.topics[topic] = dumps.Topic(self.client.topics[topic]["id"], partitions)
        for topic, number, offset, _, metadata, error in self.client.committed(
                self.spec.group, self.spec.inputs):
            found.offsets.append({"topic": topic, "partition": number, "offset": offset,
                                  "metadata": metadata or "", "error": error})
        return found


def whole_batches(data, end):
    """(the whole batches of a response below offset end, the last one's last offset or None)."""
    size, last = 0, None
    for batch in batches(data, whole=False):
        if batch.base_offset >= end:
            break
        size, last = batch.start + batch.size, batch.last_offset
    return data[:size], last


class Follower:
    """The concurrent reader: committed batches and committed offsets as they appear."""

    def __init__(self, bootstrap, spec, path):
        self.bootstrap = bootstrap
        self.spec = spec
        self.topics = [t for t in spec.topics() if t not in spec.inputs]
        self.path = path
        self.client = None
        self.positions = {}
        self.last_sample = {}
        self.stop = False
        shutil.rmtree(os.path.join(path, "follow"), ignore_errors=True)
        os.makedirs(os.path.join(path, "follow"))
        self.samples = open(os.path.join(path, "samples.jsonl"), "w", encoding="utf-8")

    def run(self):
        """Until stop is set; then one more round, so that the end is seen."""
        away_since = None
        while True:
            last_round = self.stop
            try:
                idle = self._round()
                away_since = None
            except (WireError, KafkaError) as error:
                if isinstance(error, KafkaError) and error.code not in PASSING:
                    raise
                self._disconnect()
                idle = True
                away_since = away_since or time.monotonic()
                if time.monotonic() - away_since > BROKER_AWAY_S:
                    raise
            if last_round:
                break
            if idle:
                time.sleep(POLL_S)
        self._disconnect()
        self.samples.close()

    def _disconnect(self):
        if self.client:
            self.client.close()
        self.client = None

    def _round(self):
        if self.client is None:
            self.client = Client(self.bootstrap, 5.0)
            self.client.refresh(self.topics + self.spec.inputs)
        self._sample()
        idle = True
        for topic in self.topics:
            for number in range(self.client.partitions(topic)):
                idle = not self._take(topic, number) and idle
        return idle

    def _take(self, topic, number):
        at = self.positions.get((topic, number), 0)
        found = self.client.fetch(topic, number, at, READ_COMMITTED)
        raw, last = whole_batches(found.data, found.last_stable)
        if last is None:
            return False
        base = os.path.join(self.path, "follow", f"{topic}-{number}")
        with open(base + ".committed", "ab") as file:
            file.write(raw)
        with open(base + ".jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps({"bytes": len(raw), "aborted": found.aborted or []}) + "\n")
        self.positions[topic, number] = last + 1
        return True

    def _sample(self):
        for topic, number, offset, _, _, error in self.client.committed(
                self.spec.group, self.spec.inputs, stable=False):
            if not error and offset >= 0 and self.last_sample.get((topic, number)) != offset:
                self.last_sample[topic, number] = offset
                self.samples.write(json.dumps({"topic": topic, "partition": number,
                                               "offset": offset}) + "\n")
        self.samples.flush()


def follow(options, spec):
    follower = Follower(options.bootstrap, spec, options.out)

    def stop(_signal, _frame):
        follower.stop = True
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    print("fetch: following", flush=True)
    follower.run()
    return 0


def fetch(options, raw_spec, spec):
    fetcher = Fetcher(options.bootstrap, spec)
    try:
        if options.wait_inputs:
            fetcher.wait_for_inputs(options.wait_inputs)
        settled, waited = fetcher.wait_for_rest(options.rest)
        found = fetcher.dump(settled, waited)
        if not options.no_group_log:
            found.group_log = fetcher.group_log()
    finally:
        fetcher.client.close()
    found.spec = raw_spec
    if options.state:
        found.state = [line for path in options.state for line in dumps.read_lines(path)]
    found.save(options.out)
    size = sum(len(p.data) for t in found.topics.values() for p in t.partitions)
    print(f"fetch: {options.out}: {len(fetcher.partitions())} partitions, {size} bytes, "
          f"{'at rest' if settled else 'NOT at rest'} after {waited:.1f} s")
    return 0


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bootstrap", default=os.environ.get("MR_KAFKA"),
                        help="HOST:PORT (default: $MR_KAFKA)")
    parser.add_argument("--spec", required=True, help="the workload's spec file")
    parser.add_argument("--out", required=True, help="the directory to write")
    parser.add_argument("--state", action="append", default=[], metavar="FILE",
                        help="what `millrace state dump` printed; may be repeated")
    parser.add_argument("--follow", action="store_true", help="be the concurrent reader")
    parser.add_argument("--wait-inputs", type=float, default=0, metavar="SECONDS",
                        help="first wait until all inputs are committed; exit 1 if not")
    parser.add_argument("--rest", type=float, default=REST_S, metavar="SECONDS",
                        help="how long to wait for rest (I9: 30)")
    parser.add_argument("--no-group-log", action="store_true",
                        help="leave out the group's log, for brokers that refuse to show it")
    options = parser.parse_args(argv)
    if not options.bootstrap:
        print("fetch: no broker: give --bootstrap HOST:PORT or set MR_KAFKA", file=sys.stderr)
        return 2
    try:
        raw_spec = dumps.read_json(options.spec)
        spec = Spec(raw_spec)
        return follow(options, spec) if options.follow else fetch(options, raw_spec, spec)
    except (dumps.DumpError, SpecError) as error:
        print(f"fetch: {error}", file=sys.stderr)
        return 2
    except (WireError, KafkaError) as error:
        print(f"fetch: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
