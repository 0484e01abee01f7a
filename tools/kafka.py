"""One Kafka broker of our own: Apache Kafka, one node, KRaft, on loopback, in a private folder.

Used by `./dev kafka`, the tests, the demo and the benchmarks; there is no second way to start one.
A broker lives in build/services/<name>/: its data (a copy of the template, so that no topic has to
be created), its properties, its log, its process id and an env file with MR_KAFKA=host:port and
MR_KAFKA_PID=.... It takes the two ports from 19092 on, or of the next block of 1,000 if one is
taken. One with a proxy has a third listener; a secured one has SASL (PLAIN) on the third port and
SASL over TLS on the fourth, with a certificate of its own for 127.0.0.1 alone (ca.pem in its
folder). It is ready when a topic was created and one transaction with an offset was committed.

A broker is stopped by its process id, never by name. One that was started as `owned` dies with the
process that started it, whatever happens to that process.

Command line: kafka.py start|stop|status [--name NAME] [--profile test|bench] [--keep]
              kafka.py java|classpath      the JDK's program and the jars, for Java test programs
"""

import argparse
import ctypes
import fcntl
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
SERVICES = ROOT / "build" / "services"

LIBC = ctypes.CDLL(None, use_errno=True)
PORT_FIRST = 19092
PORT_STEP = 1000
PORT_BLOCKS_MAX = 20
READY_S_MAX = 30
STOP_S_MAX = 20

TEST_JVM = ["-XX:TieredStopAtLevel=1", "-XX:CICompilerCount=1", "-XX:+UseSerialGC",
            "-Xms128m", "-Xmx384m", "-Xss256k"]
BENCH_JVM = ["-XX:+UseG1GC", "-Xms1g", "-Xmx2g"]

LONG_MAX = 2**63 - 1

PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}{more_listeners}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}{more_advertised}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT
log.dirs={data}
num.partitions=4
auto.create.topics.enable=false
delete.topic.enable=true
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=4
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=500
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
transaction.abort.timed.out.transaction.cleanup.interval.ms=500
log.retention.ms=-1
log.retention.bytes=-1
log.message.timestamp.before.max.ms={long_max}
log.message.timestamp.after.max.ms={long_max}
log.cleaner.enable=false
"""

SECURED = """\
sasl.enabled.mechanisms=PLAIN
listener.name.sasl.plain.sasl.jaas.config={login}
listener.name.tls.plain.sasl.jaas.config={login}
listener.name.tls.ssl.keystore.location={folder}/keystore.p12
listener.name.tls.ssl.keystore.type=PKCS12
listener.name.tls.ssl.keystore.password={store_password}
"""
CLIENT_AUTHORITY = """\
listener.name.tls.ssl.client.auth=required
listener.name.tls.ssl.truststore.type=PEM
listener.name.tls.ssl.truststore.location={client_ca}
"""
LOGIN = 'org.apache.kafka.common.security.plain.PlainLoginModule required user_{user}="{password}";'
STORE_PASSWORD = "changeit"  # Of a key that lives as long as its test.

LOGGING = """\
<Configuration status="WARN">
  <Appenders><Console name="E" target="SYSTEM_ERR"><PatternLayout pattern="%d %p %c %m%n"/></Console></Appenders>
  <Loggers><Root level="WARN"><AppenderRef ref="E"/></Root></Loggers>
</Configuration>
"""


class ServiceError(Exception):
    """A service that did not start or stop; the text says what to look at."""


def kafka_tool():
    """The path of kafka_tool, compiled when a source is newer. Needs no configured build."""
    sources = sorted((ROOT / "tools" / "kafka_tool").glob("*.[ch]"))
    newest = max(source.stat().st_mtime for source in sources)
    program = ROOT / "build" / "tools" / "kafka_tool"
    program.parent.mkdir(parents=True, exist_ok=True)
    with open(program.parent / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists() or program.stat().st_mtime < newest:
            fresh = program.with_suffix(".new")
            subprocess.run(["cc", "-std=c17", "-O1", "-I", ROOT, "-o", fresh,
                            *(source for source in sources if source.suffix == ".c"),
                            "-lrdkafka"], check=True)
            fresh.replace(program)
    return program


def process_is_alive(pid, word="kafka.Kafka"):
    """Whether pid runs and is a broker: a stale file may name a process of somebody else."""
    try:
        line = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return word.encode() in line and state != "Z"


def _ports_free(ports):
    for port in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True


def die_with_parent():
    """From now on the kernel kills this process when the thread that started it ends."""
    LIBC.prctl(1, signal.SIGKILL)  # 1 = PR_SET_PDEATHSIG


def _claim_port(port):
    """The locked file that stands for a port block, or None if another broker has it. Two brokers
    that start at the same moment would else both find the port free, and the one that loses would
    take the other for itself."""
    claim = open(pathlib.Path(tempfile.gettempdir()) / f"millrace-kafka-{port}.lock", "w")
    try:
        fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        claim.close()
        return None
    return claim


class Broker:
    """A broker in build/services/<name>/. `install` comes from kafka_install.ensure()."""

    def __init__(self, install, name, profile="test", owned=False, folder=None, secured=None,
                 client_ca=None, proxy_port=None, settings=None):
        """secured: (user, password) of the listeners with SASL; None = there are none. client_ca: a
        file in PEM; over TLS clients need a certificate that it has signed. proxy_port: adds a
        listener at proxied_port that is advertised as this port of 127.0.0.1, so that a client
        which enters through a proxy there is never told a way round it. Not with `secured`.
        settings: more properties of the broker, {name: value}."""
        assert not (secured and proxy_port)
        self.install = install
        self.secured = secured
        self.client_ca = client_ca
        self.name = name
        self.profile = profile
        self.owned = owned
        self.folder = pathlib.Path(folder) if folder else SERVICES / name
        self.log = self.folder / "broker.log"
        self.port = None
        self.proxy_port = proxy_port
        self.settings = settings or {}
        self.pid = None
        self.process = None

    @property
    def proxied_port(self):
        """Where the proxy connects to."""
        return self.port + 2

    @property
    def bootstrap(self):
        return f"127.0.0.1:{self.port}"

    @property
    def sasl_bootstrap(self):
        return f"127.0.0.1:{self.port + 2}"

    @property
    def tls_bootstrap(self):
        return f"127.0.0.1:{self.port + 3}"

    @property
    def ca(self):
        return self.folder / "ca.pem"

    def start(self, fresh=True):
        """Starts the broker and waits until it is ready. fresh: on a new copy of the template;
        else on the data and the ports it had. Raises ServiceError with the end of its log."""
        if fresh:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
            self._lay_out_data()
            if self.secured:
                self.make_certificate()
        began = time.monotonic()
        for block in range(PORT_BLOCKS_MAX):
            if fresh:
                self.port = PORT_FIRST + block * PORT_STEP
                count = 4 if self.secured else 3 if self.proxy_port else 2
                if not _ports_free(range(self.port, self.port + count)):
                    continue
            claim = _claim_port(self.port)
            if claim is None:
                if fresh:
                    continue
                raise ServiceError(f"Kafka: port {self.port} belongs to another broker of ours")
            with claim:
                self._spawn(claim)
            if self._wait_ready():
                self._write_env()
                return time.monotonic() - began
            # Only a port taken between the look and the start is worth another block.
            if not fresh or "already in use" not in self.log.read_text(errors="replace"):
                raise ServiceError(f"Kafka did not start; the end of {self.log}:\n" + self._tail())
            self.stop()
        raise ServiceError(f"Kafka: no free pair of ports in {PORT_BLOCKS_MAX} blocks "
                           f"from {PORT_FIRST} on")

    def stop(self):
        """Ends the broker: SIGTERM, and SIGKILL after STOP_S_MAX. Keeps its folder."""
        if self.pid is None:
            return
        self.signal(signal.SIGTERM)
        if not self._wait_gone(STOP_S_MAX):
            self.kill()
        self._forget()

    def kill(self):
        """kill -9, and waits until the process is gone. The data stay for start(fresh=False)."""
        self.signal(signal.SIGKILL)
        self._wait_gone(STOP_S_MAX)
        self._forget()

    def signal(self, number):
        """Sends a signal to the broker, e.g. SIGSTOP and SIGCONT."""
        if self.pid is not None and process_is_alive(self.pid):
            os.kill(self.pid, number)

    def environment(self):
        return {"MR_KAFKA": self.bootstrap, "MR_KAFKA_PID": str(self.pid)}

    def _lay_out_data(self):
        data = self.folder / "data"
        if self.install.template:
            subprocess.run(["cp", "-r", "--sparse=always", "--reflink=auto",
                            self.install.template, data], check=True)
            return
        self.port = PORT_FIRST
        self._write_properties()
        self.install.run_java("kafka.tools.StorageTool", "format", "-t",
                              "MkU3OEVBNTcwNTJENDM2Qg", "-c", self.folder / "server.properties")

    def make_certificate(self):
        """Signed by itself, so that it is its own authority; by the JDK's tool, which is there."""
        keytool = pathlib.Path(self.install.java).with_name("keytool")
        common = ["-keystore", self.folder / "keystore.p12", "-storetype", "PKCS12", "-storepass",
                  STORE_PASSWORD, "-alias", "broker"]
        for words in (["-genkeypair", "-keyalg", "EC", "-groupname", "secp256r1", "-validity", "2",
                       "-dname", "CN=millrace test broker", "-ext", "san=ip:127.0.0.1"],
                      ["-exportcert", "-rfc", "-file", self.ca]):
            run = subprocess.run([str(word) for word in (keytool, *words, *common)],
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            if run.returncode != 0:
                raise ServiceError(f"keytool: {run.stdout.decode(errors='replace').strip()}")

    def _write_properties(self):
        listener, advertised = (f",PROXIED://127.0.0.1:{port}" if self.proxy_port else ""
                                for port in (self.proxied_port, self.proxy_port))
        text = PROPERTIES.format(port=self.port, controller_port=self.port + 1,
                                 data=self.folder / "data", long_max=LONG_MAX,
                                 more_listeners=listener, more_advertised=advertised)
        if self.secured:
            more = f",SASL://{self.sasl_bootstrap},TLS://{self.tls_bootstrap}"
            text = re.sub(r"^((advertised\.)?listeners=.*)$", rf"\1{more}", text, flags=re.M)
            text = re.sub(r"^(listener\.security\.protocol\.map=.*)$",
                          r"\1,SASL:SASL_PLAINTEXT,TLS:SASL_SSL", text, flags=re.M)
            user, password = self.secured
            text += SECURED.format(login=LOGIN.format(user=user, password=password),
                                   folder=self.folder, store_password=STORE_PASSWORD)
        if self.client_ca:
            text += CLIENT_AUTHORITY.format(client_ca=self.client_ca)
        text += "".join(f"{name}={value}\n" for name, value in self.settings.items())
        (self.folder / "server.properties").write_text(text)
        (self.folder / "log4j2.xml").write_text(LOGGING)

    def _spawn(self, claim):
        """claim: the file whose lock stands for the ports; the broker keeps it while it lives."""
        self._write_properties()
        line = ["taskset", "-c", "0"] if self.profile == "bench" else []
        line += [self.install.java, *(BENCH_JVM if self.profile == "bench" else TEST_JVM)]
        line += self.install.archive_flags(self.profile)
        line += [f"-Dlog4j2.configurationFile={self.folder / 'log4j2.xml'}",
                 "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
                 "-Dorg.slf4j.simpleLogger.showDateTime=true",
                 "-cp", self.install.classpath, "kafka.Kafka", self.folder / "server.properties"]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [str(word) for word in line], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=self.folder, start_new_session=True, pass_fds=(claim.fileno(),),
                preexec_fn=die_with_parent if self.owned else None)
        self.pid = self.process.pid
        (self.folder / "pid").write_text(f"{self.pid}\n")

    def _wait_ready(self):
        """True when kafka_tool's `ready` succeeds; False when broker or check fail in time."""
        deadline = time.monotonic() + READY_S_MAX
        check = subprocess.Popen([kafka_tool(), "ready"], stdout=subprocess.DEVNULL,
                                 stderr=subprocess.PIPE, env=dict(os.environ, **self.environment()))
        try:
            while time.monotonic() < deadline and self.process.poll() is None:
                try:
                    return check.wait(timeout=0.05) == 0
                except subprocess.TimeoutExpired:
                    pass
            return False
        finally:
            check.kill()
            check.wait()
            check.stderr.close()

    def _wait_gone(self, limit_s):
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            gone = (self.process.poll() is not None if self.process
                    else not process_is_alive(self.pid))
            if gone:
                return True
            time.sleep(0.01)
        return False

    def _forget(self):
        self.pid = None
        self.process = None
        for name in ("pid", "env"):
            (self.folder / name).unlink(missing_ok=True)

    def _write_env(self):
        text = "".join(f"{key}={value}\n" for key, value in self.environment().items())
        fresh = self.folder / "env.new"
        fresh.write_text(text)
        fresh.replace(self.folder / "env")

    def _tail(self):
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(lines[-50:])


def read_env(path):
    """The env file as a dict, if its broker is alive; else None."""
    try:
        lines = pathlib.Path(path).read_text().splitlines()
    except OSError:
        return None
    values = dict(line.split("=", 1) for line in lines if "=" in line)
    if not process_is_alive(values.get("MR_KAFKA_PID", "")):
        return None
    return values


def attach(name):
    """The running broker of that name, or None."""
    values = read_env(SERVICES / name / "env")
    if values is None:
        return None
    broker = Broker(None, name)
    broker.port = int(values["MR_KAFKA"].rpartition(":")[2])
    broker.pid = int(values["MR_KAFKA_PID"])
    return broker


def _command_start(arguments):
    import kafka_install
    broker = attach(arguments.name)
    if broker is None:
        broker = Broker(kafka_install.ensure(), arguments.name, arguments.profile)
        keep = arguments.keep and (broker.folder / "data").exists()
        if keep:
            text = (broker.folder / "server.properties").read_text()
            broker.port = int(text.partition("PLAINTEXT://127.0.0.1:")[2].partition(",")[0])
        try:
            seconds = broker.start(fresh=not keep)
        except BaseException:
            broker.stop()
            raise
        print(f"kafka: {broker.bootstrap}, process {broker.pid}, ready after {seconds:.1f} s")
    else:
        print(f"kafka: {broker.bootstrap}, process {broker.pid}, was running")
    print(f"kafka: environment in {(broker.folder / 'env').relative_to(ROOT)}")
    return 0


def _command_stop(arguments):
    broker = attach(arguments.name)
    if broker is None:
        print("kafka: not running")
        return 0
    pid = broker.pid
    broker.stop()
    print(f"kafka: process {pid} stopped, its data stay in {broker.folder.relative_to(ROOT)}")
    return 0


def _command_status(arguments):
    broker = attach(arguments.name)
    if broker is None:
        print("kafka: not running")
        return 1
    print(f"kafka: {broker.bootstrap}, process {broker.pid}")
    return 0


def main():
    parser = argparse.ArgumentParser(prog="kafka.py", description=__doc__.splitlines()[0])
    parser.add_argument("verb", choices=["start", "stop", "status", "java", "classpath"])
    parser.add_argument("--name", default="dev", help="folder in build/services (dev)")
    parser.add_argument("--profile", default="test", choices=["test", "bench"])
    parser.add_argument("--keep", action="store_true", help="start on the data of the last run")
    arguments = parser.parse_args()
    # A terminated script still stops the broker it is starting.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda got, _: sys.exit(128 + got))
    try:
        if arguments.verb in ("java", "classpath"):
            import kafka_install
            install = kafka_install.ensure()
            print(install.java if arguments.verb == "java" else install.classpath)
            return 0
        return {"start": _command_start, "stop": _command_stop,
                "status": _command_status}[arguments.verb](arguments)
    except ServiceError as error:
        print(f"kafka: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
