"""fetch.py and judge.py against a real Apache Kafka, with records made by the checker's own
transactional producer: committed, aborted by the owner, aborted by a fencing successor, open.

Needs the broker of MR_KAFKA (HOST:PORT), or of the env file that MR_SERVICES_ENV names. Without
one the test fails; it is never skipped.
"""
# CTEST: TIMEOUT=180
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import dump as dumps
import fetch
import judge
from kafka_txn import TransactionalProducer, commit_offset, produce
from kafka_wire import LATEST, READ_COMMITTED, Client, KafkaError, WireError
from offsets import format_record
from records import GZIP, Record, encode_batch
from spec import Spec

TIME_MS = 1_700_000_000_000
PARTITIONS = 2


def bootstrap():
    """HOST:PORT of the broker under test."""
    if os.environ.get("MR_KAFKA"):
        return os.environ["MR_KAFKA"]
    path = os.environ.get("MR_SERVICES_ENV")
    if path and os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            for line in file:
                if line.startswith("MR_KAFKA="):
                    return line.strip().split("=", 1)[1]
    raise RuntimeError("no broker: set MR_KAFKA=HOST:PORT (./dev kafka start prints it)")


class Echo:
    """A two-partition echo made by hand, epoch by epoch."""

    def __init__(self, client, name):
        self.client = client
        self.name = name
        run = f"{os.getpid()}.{time.monotonic_ns()}"
        self.input, self.output = f"t.{name}.{run}.in", f"t.{name}.{run}.out"
        self.group = f"g.{name}.{run}"
        for topic in (self.input, self.output):
            client.create_topic(topic, PARTITIONS)
        self.spec = {"workload": "echo", "group": self.group, "inputs": [self.input],
                     "outputs": [self.output]}
        self.records = [[Record(i, TIME_MS + i, b"k%d" % (i % 5), b"p%d value %d" % (p, i))
                         for i in range(60)] for p in range(PARTITIONS)]
        for p, found in enumerate(self.records):
            produce(client, self.input, p, encode_batch(found[:30]))
            produce(client, self.input, p, encode_batch(found[30:], codec=GZIP))
        self.epoch = 0
        self.start()

    def start(self):
        """A new incarnation: fences the last one and claims."""
        self.producer = TransactionalProducer(self.client, self.group + "-all-0")
        self.incarnation = f"{self.producer.epoch + 1:016x}"

    def metadata(self, partition):
        return format_record(f"{partition + 1:016x}", self.epoch, 0, self.incarnation, "0" * 16,
                             "all-0", self.client.topics[self.input]["id"])

    def write(self, start, end):
        for p in range(PARTITIONS):
            headers = [(b"mr-inc", f"{self.incarnation}:{self.epoch:x}".encode())]
            self.producer.send(self.output, p, [
                Record(0, r.timestamp, r.key, r.value,
                       [(b"mr-src", f"{self.input}:{p}:{r.offset}".encode())] + headers)
                for r in self.records[p][start:end]])

    def offsets(self, end):
        self.producer.send_offsets(self.group, [(self.input, p, end, self.metadata(p))
                                                for p in range(PARTITIONS)])

    def commit(self, start, end):
        self.epoch += 1
        if end > start:
            self.write(start, end)
        self.offsets(end)
        self.producer.end(True)

    def remove(self):
        for topic in (self.input, self.output):
            self.client.delete_topic(topic)


class FetchReal(unittest.TestCase):
    def setUp(self):
        self.client = Client(bootstrap())
        self.addCleanup(self.client.close)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def run_fetch(self, echo, *more):
        spec = os.path.join(self.folder, f"{echo.name}.json")
        with open(spec, "w", encoding="utf-8") as file:
            json.dump(echo.spec, file)
        out = os.path.join(self.folder, echo.name)
        code = fetch.main(["--bootstrap", bootstrap(), "--spec", spec, "--out", out, *more])
        self.assertEqual(code, 0)
        return out

    def judged(self, path):
        found = judge.Judge(dumps.load(path))
        return found, found.run()

    def story(self, name):
        """Committed, aborted by itself, killed and fenced with and without pending offsets."""
        echo = Echo(self.client, name)
        echo.commit(0, 0)
        echo.commit(0, 20)
        echo.epoch += 1
        echo.write(20, 35)
        echo.producer.end(False)
        echo.epoch += 1
        echo.write(20, 30)
        echo.offsets(30)
        echo.start()
        echo.commit(20, 20)
        echo.commit(20, 45)
        return echo

    def test_clean(self):
        echo = self.story("clean")
        path = self.run_fetch(echo)
        found, violations = self.judged(path)
        self.assertEqual(violations, [])
        self.assertEqual(found.counts["inputs"], 2 * 45)
        self.assertEqual(found.counts["outputs"], 2 * 45)
        self.assertEqual(found.counts["aborted"], 4)
        self.assertEqual(found.counts["commits"], 2 * 4, "commits in the group's own log")
        self.assertEqual(found.counts["incarnations"], 2)
        self.assertEqual(judge.main([path]), 0)
        echo.remove()

    def test_lost_and_doubled(self):
        """A worker that commits offsets without outputs, then outputs twice."""
        echo = self.story("wrong")
        echo.commit(50, 55)
        echo.commit(52, 60)
        violations = self.judged(self.run_fetch(echo))[1]
        self.assertEqual({v[0] for v in violations}, {"I1", "I2", "I4"})
        lost = [v for v in violations if v[0] == "I1"]
        self.assertEqual(len(lost), 2 * 5)
        self.assertIn(f"{echo.input}-0@45", [v[1] for v in lost])
        self.assertEqual(len([v for v in violations if v[0] == "I2"]), 2 * 3)
        echo.remove()

    def test_open_transaction(self):
        """A hanging transaction holds the last stable offset: I9, and nothing of it is shown."""
        echo = self.story("open")
        echo.epoch += 1
        echo.write(45, 50)
        end = self.client.list_offset(echo.output, 0, LATEST)
        self.assertLess(self.client.list_offset(echo.output, 0, LATEST, READ_COMMITTED), end)
        violations = self.judged(self.run_fetch(echo, "--rest", "0.5"))[1]
        self.assertEqual({v[0] for v in violations}, {"I9"})
        echo.producer.end(False)
        self.assertEqual(self.judged(self.run_fetch(echo))[1], [])
        echo.remove()

    def test_pending_offset_is_not_stable(self):
        echo = self.story("pending")
        echo.epoch += 1
        echo.write(45, 50)
        echo.offsets(50)
        codes = {c[5] for c in self.client.committed(echo.group, [echo.input])}
        self.assertEqual(codes, {88})
        echo.producer.end(True)
        self.assertEqual(self.judged(self.run_fetch(echo))[1], [])
        echo.remove()

    def test_offset_goes_back(self):
        echo = self.story("back")
        commit_offset(self.client, echo.group, echo.input, 0, 30, echo.metadata(0))
        violations = self.judged(self.run_fetch(echo))[1]
        self.assertIn("I8", {v[0] for v in violations})
        self.assertIn("I4", {v[0] for v in violations})
        echo.remove()

    def test_concurrent_reader(self):
        """What it saw while transactions ran is a prefix; a forged view is refused."""
        echo = Echo(self.client, "follow")
        path = os.path.join(self.folder, "follow")
        spec = os.path.join(self.folder, "follow.json")
        with open(spec, "w", encoding="utf-8") as file:
            json.dump(echo.spec, file)
        reader = subprocess.Popen(
            [sys.executable, os.path.join(HERE, "fetch.py"), "--follow", "--bootstrap",
             bootstrap(), "--spec", spec, "--out", path], stdout=subprocess.PIPE, text=True)
        self.addCleanup(reader.stdout.close)
        self.addCleanup(reader.kill)
        self.assertEqual(reader.stdout.readline(), "fetch: following\n")
        for end in range(0, 60, 6):
            echo.commit(max(0, end - 6), end)
            echo.epoch += 1
            echo.write(end, end + 3)
            echo.producer.end(False)
        reader.send_signal(signal.SIGTERM)
        self.assertEqual(reader.wait(20), 0)
        self.run_fetch(echo)
        found, violations = self.judged(path)
        self.assertEqual(violations, [])
        seen = sum(len(raw) for parts in found.dump.follow.values() for raw, _ in parts)
        self.assertGreater(seen, 0)
        self.assertGreater(len(found.dump.samples), 0)
        found.dump.follow = {key: [(raw, []) for raw, _ in parts]
                             for key, parts in found.dump.follow.items()}
        self.assertEqual({v[0] for v in judge.Judge(found.dump).run()}, {"I6"})
        echo.remove()

    def test_unknown_topic_is_named(self):
        with self.assertRaisesRegex(KafkaError, "no.such.topic.*UNKNOWN_TOPIC"):
            self.client.refresh(["no.such.topic"], 0.1)

    def test_inputs_not_done_is_named(self):
        echo = self.story("undone")
        fetcher = fetch.Fetcher(bootstrap(), Spec(echo.spec))
        self.addCleanup(fetcher.client.close)
        with self.assertRaisesRegex(WireError, "inputs are not done.*committed to 45 of 60"):
            fetcher.wait_for_inputs(0.1)
        echo.commit(45, 60)
        fetcher.wait_for_inputs(5)
        echo.remove()


if __name__ == "__main__":
    unittest.main()
