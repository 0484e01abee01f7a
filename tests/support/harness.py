"""What a test with real processes and a real broker needs: names, topics, workers, deadlines.

A test file holds functions `test_<what>(t)` and ends with `harness.main(globals())`. Each function
gets a Case of its own: its topics, application id, folder and processes exist for it alone, are
removed when it succeeds and kept under build/failures/ when it does not. There is no retry and no
skip; a test waits for a condition with a deadline, never for a time.

The broker is the one `./dev test` started (MR_SERVICES_ENV names its env file). A test that is run
by hand without one starts its own and takes it down at its end. tests/support/README.md shows an
example.
"""

import atexit
import collections
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
import traceback

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import kafka as kafka_service
import kafka_install

SOURCE_DIR = ROOT
BUILD_DIR = pathlib.Path(os.environ.get("MR_BUILD_DIR") or ROOT / "build" / "dev")
FAILURES = ROOT / "build" / "failures"
WORK = ROOT / "build" / "tmp"
MILLRACE = BUILD_DIR / "millrace"
SEED = int(os.environ.get("MR_SEED") or 1)

WAIT_S = 30  # Deadline of a wait that names none.
POLL_S = 0.01
DUMP_RECORDS_MAX = 20000

EXIT_OK = 0
EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_CONFIG = 78

Record = collections.namedtuple("Record", "partition offset time_ms key value")
Offset = collections.namedtuple("Offset", "offset metadata")


def wait_until(condition, what, limit_s=WAIT_S):
    """Returns the first true value of condition(); fails by name at the deadline."""
    deadline = time.monotonic() + limit_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {limit_s} s: {what}")
        time.sleep(POLL_S)


def _escape(field):
    """Bytes, str or None as a field of kafka_tool."""
    if field is None:
        return b"\\N"
    if isinstance(field, str):
        field = field.encode()
    for byte, text in ((b"\\", b"\\\\"), (b"\t", b"\\t"), (b"\n", b"\\n"), (b"\r", b"\\r")):
        field = field.replace(byte, text)
    return field


def _unescape(field):
    if field == b"\\N":
        return None
    return re.sub(rb"\\(\\|x[0-9a-f]{2})", lambda m: b"\\" if m[1] == b"\\"
                  else bytes([int(m[1][1:], 16)]), field)


class Kafka:
    """A cluster, through kafka_tool. Every call raises AssertionError with the tool's own words."""

    def __init__(self, bootstrap, pid):
        self.bootstrap = bootstrap
        self.pid = int(pid)

    def tool(self, *words, feed=b""):
        run = subprocess.run([kafka_service.kafka_tool(), *map(str, words)], input=feed,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             env=dict(os.environ, MR_KAFKA=self.bootstrap))
        if run.returncode != 0:
            raise AssertionError(f"kafka_tool {' '.join(map(str, words))}: "
                                 f"{run.stderr.decode(errors='replace').strip()}")
        return run.stdout

    def create(self, topic, partitions=4, **settings):
        """settings: with underscores for dots, retention_ms=1."""
        self.tool("create", topic, partitions,
                  *(f"{key.replace('_', '.')}={value}" for key, value in settings.items()))

    def delete(self, *topics):
        if topics:
            self.tool("delete", *topics)

    def alter(self, topic, **settings):
        self.tool("alter", topic,
                  *(f"{key.replace('_', '.')}={value}" for key, value in settings.items()))

    def produce(self, topic, rows, *options):
        """rows: (key, value) or, with the option "--time", (time_ms, key, value); bytes, str or
        None for null. options: those of kafka_tool, e.g. "--partition", 2."""
        lines = (b"\t".join(_escape(str(f) if isinstance(f, int) else f) for f in row)
                 for row in rows)
        self.tool("produce", topic, "--escaped", *options,
                  feed=b"".join(line + b"\n" for line in lines))

    def read(self, topic, *options):
        """Every record up to the present end, as Records; read_committed unless told otherwise."""
        out = self.tool("read", topic, "--escaped", *options)
        records = []
        for line in out.splitlines():
            partition, offset, time_ms, key, value = line.split(b"\t")
            records.append(Record(int(partition), int(offset), int(time_ms), _unescape(key),
                                  _unescape(value)))
        return records

    def ends(self, topic, *options):
        """{partition: (first, end)}; the end is the last stable offset, or with "--uncommitted"
        the high watermark."""
        out = self.tool("ends", topic, *options).decode()
        return {int(p): (int(first), int(end))
                for p, first, end in (line.split("\t") for line in out.splitlines())}

    def truncate(self, topic, partition, offset):
        """Removes the records below the offset, as retention does."""
        self.tool("truncate", topic, partition, offset)

    def commit(self, group, topic, partition, offset, metadata=None):
        self.tool("commit", group, topic, partition, offset, *([metadata] if metadata else []))

    def offsets(self, group, topic):
        """{partition: Offset or None}."""
        out = self.tool("offsets", group, topic).decode()
        rows = (line.split("\t", 2) for line in out.splitlines())
        return {int(p): None if offset == "-" else Offset(int(offset), metadata)
                for p, offset, metadata in rows}

    def delete_group(self, group):
        self.tool("delete-group", group)


_shared = None


def broker():
    """The cluster of this run; starts one of our own if there is none."""
    global _shared
    if _shared is None:
        path = os.environ.get("MR_SERVICES_ENV") or ROOT / "build" / "services" / "env"
        values = dict(os.environ) if "MR_KAFKA" in os.environ else kafka_service.read_env(path)
        if values is None:
            own = kafka_service.Broker(kafka_install.ensure(), f"own-{os.getpid()}", owned=True)
            atexit.register(_discard, own)
            own.start()
            values = own.environment()
        _shared = Kafka(values["MR_KAFKA"], values.get("MR_KAFKA_PID", 0))
    return _shared


def _discard(own):
    own.stop()
    shutil.rmtree(own.folder, ignore_errors=True)


class Process:
    """A program that runs beside the test, with its output in files."""

    def __init__(self, words, folder, name, environment, feed=None):
        self.name = name
        self.stdout_path = folder / f"{name}.stdout"
        self.stderr_path = folder / f"{name}.stderr"
        with open(self.stdout_path, "wb") as out, open(self.stderr_path, "wb") as err:
            self.popen = subprocess.Popen(
                [str(word) for word in words], stdout=out, stderr=err, cwd=folder,
                stdin=subprocess.PIPE if feed is not None else subprocess.DEVNULL,
                env=environment, preexec_fn=kafka_service.die_with_parent)
        if feed is not None:
            try:
                self.popen.stdin.write(feed)
                self.popen.stdin.close()
            except BrokenPipeError:
                pass  # It ended early; its status says why.

    @property
    def pid(self):
        return self.popen.pid

    def running(self):
        return self.popen.poll() is None

    def stdout(self):
        return self.stdout_path.read_text(errors="replace")

    def stderr(self):
        return self.stderr_path.read_text(errors="replace")

    def signal(self, number):
        if self.running():
            self.popen.send_signal(number)

    def wait(self, limit_s=WAIT_S):
        """The exit status; -9 is death by SIGKILL."""
        try:
            return self.popen.wait(timeout=limit_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} still runs after {limit_s} s; the end of its "
                                 f"stderr:\n{self.stderr()[-2000:]}") from None

    def expect_exit(self, status, limit_s=WAIT_S):
        got = self.wait(limit_s)
        if got != status:
            raise AssertionError(f"{self.name} ended with status {got}, not {status}; its stderr:"
                                 f"\n{self.stderr()[-4000:]}")

    def kill9(self):
        """SIGKILL; fails if the process was not alive, for then nothing was killed."""
        if not self.running():
            raise AssertionError(f"{self.name} had ended (status {self.popen.returncode}) before "
                                 f"the kill:\n{self.stderr()[-4000:]}")
        self.popen.kill()
        self.expect_exit(-signal.SIGKILL)

    def terminate(self, limit_s=WAIT_S):
        """SIGTERM and a clean end with status 0."""
        self.signal(signal.SIGTERM)
        self.expect_exit(EXIT_OK, limit_s)

    def wait_stderr(self, pattern, limit_s=WAIT_S):
        """The first match of a regular expression in stderr; fails if the process ends without."""
        def look():
            ended = not self.running()
            match = re.search(pattern, self.stderr())
            if match is None and ended:
                raise AssertionError(f"{self.name} ended (status {self.popen.returncode}) without "
                                     f"'{pattern}' in its stderr:\n{self.stderr()[-4000:]}")
            return match
        return wait_until(look, f"'{pattern}' in the stderr of {self.name}", limit_s)


class Case:
    """The surroundings of one test function. See the names in the class for what it offers."""

    def __init__(self, test):
        run = f"{os.getpid():x}{int(time.time()) & 0xffff:04x}"
        self.name = re.sub(r"[^A-Za-z0-9]+", "-", test)
        self.run_id = run
        self.app = f"a-{self.name}-{run}"
        self.folder = WORK / f"{self.name}.{run}"
        self.state_dir = self.folder / "state"
        self.processes = []
        self.topics = []
        self.brokers = []
        self._count = 0

    # Kafka

    @property
    def kafka(self):
        """The cluster: the shared one, or the private one once there is one."""
        own = self.brokers[-1] if self.brokers else None
        return Kafka(own.bootstrap, own.pid or 0) if own else broker()

    def topic_name(self, role):
        """t.<test>.<run>.<role>; also for a topic that must not exist."""
        return f"t.{self.name}.{self.run_id}.{role}"

    def topic(self, role, partitions=4, **settings):
        """Creates a topic of this case and returns its name. Call it again: the same name."""
        name = self.topic_name(role)
        if name not in self.topics:
            self.kafka.create(name, partitions, **settings)
            self.topics.append(name)
        return name

    def private_broker(self, secured=None, client_ca=None, settings=None):
        """A broker for this case alone, to be killed, stopped and started again: kafka.Broker with
        kill(), stop(), signal(n), start(fresh=False). secured, client_ca, settings: as there, for
        listeners with SASL and TLS, and for other properties."""
        own = kafka_service.Broker(kafka_install.ensure(), f"{self.name}.{self.run_id}", owned=True,
                                   secured=secured, client_ca=client_ca, settings=settings)
        self.brokers.append(own)
        own.start()
        return own

    # Processes

    def write(self, name, text):
        """A file in the folder of the case; $-names are the caller's business. Returns its path."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def start(self, *words, feed=None, env=None):
        """Starts any program beside the test. env: variables on top of ours. Returns a Process."""
        self._count += 1
        name = f"{self._count:02d}-{pathlib.Path(str(words[0])).name}"
        environment = dict(os.environ, MR_KAFKA="", **{k: str(v) for k, v in (env or {}).items()})
        if not environment["MR_KAFKA"]:
            environment["MR_KAFKA"] = self._bootstrap_if_any()
        process = Process(words, self.folder, name, environment, feed)
        self.processes.append(process)
        return process

    def millrace(self, *words, feed=None, env=None):
        """Starts `millrace WORDS...`, any verb."""
        return self.start(MILLRACE, *words, feed=feed, env=env)

    def worker(self, topology, *flags, crash_at=None, stop_at=None, env=None, feed=None, under=()):
        """Starts `millrace run` on a file, with the state directory of this case. crash_at="K7:3":
        SIGKILL to itself at the third pass of K7; stop_at: SIGSTOP. under: a program and its words
        that start it."""
        extra = {"MR_TEST_HEADERS": "1", **(env or {})}
        if crash_at:
            extra["MR_CRASH_AT"] = crash_at
        if stop_at:
            extra["MR_STOP_AT"] = stop_at
        words = ["run", topology, "--allow-client-version"]
        if "--state-dir" not in flags:
            words += ["--state-dir", self.state_dir]
        return self.start(*under, MILLRACE, *words, *flags, feed=feed, env=extra)

    def wait_until(self, condition, what, limit_s=WAIT_S):
        return wait_until(condition, what, limit_s)

    # Ends

    def _bootstrap_if_any(self):
        if self.brokers or _shared is not None or self.topics:
            return self.kafka.bootstrap
        values = kafka_service.read_env(os.environ.get("MR_SERVICES_ENV", ""))
        return values["MR_KAFKA"] if values else ""

    def __enter__(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        return self

    def __exit__(self, kind, error, trace):
        for process in self.processes:
            if process.running():
                process.popen.kill()
                process.popen.wait()
        try:
            if kind is None:
                self._remove()
            else:
                self._keep(error)
        finally:
            for own in self.brokers:
                own.kill() if kind else own.stop()
                shutil.rmtree(own.folder, ignore_errors=True)
        return False

    def _remove(self):
        if not self.brokers:
            broker_topics = list(self.topics)
            if broker_topics:
                self.kafka.delete(*broker_topics)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _keep(self, error):
        """Everything needed to judge a failure: folder, output, state, what the topics held."""
        (self.folder / "error.txt").write_text("".join(traceback.format_exception(error))
                                               + f"\nseed {SEED}\n")
        for topic in self.topics:
            try:
                dump = self.kafka.tool("read", topic, "--escaped", "--uncommitted", "--count",
                                       DUMP_RECORDS_MAX)
            except AssertionError as problem:
                dump = f"{problem}\n".encode()
            (self.folder / f"{topic}.tsv").write_bytes(dump)
        for own in self.brokers:
            shutil.copy(own.log, self.folder / "broker.log")
        kept = FAILURES / self.folder.name
        FAILURES.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(kept, ignore_errors=True)
        shutil.move(self.folder, kept)
        print(f"     kept in {kept.relative_to(ROOT)}", flush=True)


def main(names):
    """Runs every test_* function of a module (or those named on the command line) and exits."""
    tests = [(name, value) for name, value in names.items()
             if name.startswith("test_") and callable(value)]
    wanted = sys.argv[1:]
    unknown = set(wanted) - {name for name, _ in tests}
    if unknown or not tests:
        sys.exit(f"no such test: {', '.join(sorted(unknown)) or 'the file has none'}")
    # A terminated run unwinds like a failed one: processes and brokers end with it.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda got, _: sys.exit(128 + got))
    if "MR_SERVICES_ENV" in os.environ:  # Started by ctest: not to outlive it.
        kafka_service.die_with_parent()
    file_name = pathlib.Path(sys.modules["__main__"].__file__).stem.removeprefix("test_")
    failed = 0
    for name, function in tests:
        if wanted and name not in wanted:
            continue
        began = time.monotonic()
        try:
            with Case(f"{file_name}-{name.removeprefix('test_')}") as case:
                function(case)
            print(f"ok   {name} {time.monotonic() - began:.2f} s", flush=True)
        except Exception:
            failed += 1
            print(f"FAIL {name} {time.monotonic() - began:.2f} s", flush=True)
            traceback.print_exc(file=sys.stdout)
    sys.exit(1 if failed else 0)
