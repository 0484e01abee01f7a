"""What a broker needs, made once and kept in the user's cache folder: jars, archive, template.

${XDG_CACHE_HOME:-$HOME/.cache}/millrace/kafka-<version>/
    lib/                  the jars, resolved with Maven from tools/pom.xml
    <key>/app.jsa         the class archive; halves the start
    <key>/template/       a formatted data folder in which the internal topics exist already

The key is a hash of the JDK's build, of the jars and of the JVM line: the archive is tied to all of
them. Everything is made beside its place and renamed, under a lock, so an interrupted or a second
run harms nothing. Command line: kafka_install.py
"""

import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import kafka

VERSION = "4.1.0"
JAVA_PACKAGE = "openjdk-17-jre-headless"


class Install:
    """The pieces of a broker. archive and template are None while they are being made."""

    def __init__(self, java, jars, archive=None, template=None, archive_out=None):
        self.java = java
        self.jars = jars
        self.archive = archive
        self.template = template
        self.archive_out = archive_out

    @property
    def classpath(self):
        return f"{self.jars}/*"

    def archive_flags(self, profile):
        if self.archive_out:
            return [f"-XX:ArchiveClassesAtExit={self.archive_out}", "-Xlog:cds=off",
                    "-Xlog:cds+dynamic=off"]
        if self.archive and profile == "test":
            return [f"-XX:SharedArchiveFile={self.archive}"]
        return []

    def run_java(self, *words):
        run = subprocess.run([self.java, "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp",
                              self.classpath, *map(str, words)],
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if run.returncode != 0:
            raise kafka.ServiceError(f"{' '.join(map(str, words))} failed:\n{run.stdout}")


def java_home():
    """The JDK 17 of the distribution's package, whatever else is first on PATH."""
    listing = subprocess.run(["dpkg-query", "-L", JAVA_PACKAGE], stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, text=True)
    for line in listing.stdout.splitlines():
        if line.endswith("/bin/java") and os.access(line, os.X_OK):
            return pathlib.Path(line).parent.parent
    raise kafka.ServiceError(f"the package {JAVA_PACKAGE} is missing; `./dev setup` installs it")


def cache_folder():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return pathlib.Path(base) / "millrace" / f"kafka-{VERSION}"


def _resolve_jars(cache, home):
    jars = cache / "lib"
    if jars.exists():
        return jars
    began = time.monotonic()
    print(f"kafka: fetching the jars of Apache Kafka {VERSION} with Maven, once", flush=True)
    fresh = cache / "lib.new"
    shutil.rmtree(fresh, ignore_errors=True)
    run = subprocess.run(["mvn", "-q", "-B", "-f", kafka.ROOT / "tools" / "pom.xml",
                          "dependency:copy-dependencies", f"-DoutputDirectory={fresh}",
                          "-DincludeScope=runtime"], stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                         env=dict(os.environ, JAVA_HOME=str(home)))
    if run.returncode != 0:
        raise kafka.ServiceError(f"Maven could not fetch the jars:\n{run.stdout[-4000:]}")
    fresh.rename(jars)
    print(f"kafka: {len(list(jars.iterdir()))} jars in {jars}, "
          f"{time.monotonic() - began:.0f} s", flush=True)
    return jars


def _key(home, jars):
    digest = hashlib.sha256((home / "release").read_bytes())
    for jar in sorted(jars.iterdir()):
        digest.update(f"{jar.name} {jar.stat().st_size}\n".encode())
    digest.update(f"{jars}{kafka.TEST_JVM}{kafka.PROPERTIES}".encode())
    return digest.hexdigest()[:16]


def _make_archive_and_template(place, java, jars):
    """Two runs: the first formats and records the classes, the second leaves the clean data."""
    began = time.monotonic()
    print("kafka: making class archive and data template, once", flush=True)
    work = place.with_name(place.name + ".new")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    archive = work / "app.jsa"
    broker = kafka.Broker(Install(java, jars, archive_out=archive), "setup", owned=True,
                          folder=work / "run")
    try:
        broker.start()
    finally:
        broker.stop()
    if not archive.exists():
        raise kafka.ServiceError("the JVM wrote no class archive:\n"
                                 + broker.log.read_text(errors="replace")[-2000:])
    (work / "run" / "data").rename(work / "template")
    shutil.rmtree(work / "run")
    work.rename(place)
    print(f"kafka: archive and template in {place}, {time.monotonic() - began:.0f} s", flush=True)


def ensure():
    """Returns the Install, making what is missing. Raises kafka.ServiceError."""
    home = java_home()
    java = home / "bin" / "java"
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        jars = _resolve_jars(cache, home)
        place = cache / _key(home, jars)
        if not place.exists():
            _make_archive_and_template(place, java, jars)
    return Install(java, jars, place / "app.jsa", place / "template")


if __name__ == "__main__":
    try:
        ensure()
    except kafka.ServiceError as error:
        sys.exit(f"kafka: {error}")
