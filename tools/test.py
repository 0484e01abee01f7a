"""Runs the tests: setup, builds, services, ctest for each label, the comparison with the manifest.

A label is run by itself, so that its time can be compared with its budget: one that takes twice
its budget is ended and fails. The unit tests run a second time under ASan and UBSan; the label
tsan, tests with threads, runs under the thread sanitizer only. The label clang has no tests: it is
a build of everything by clang, in which a warning is an error, and clang-tidy over every file of
it, in which a finding is a failure. The run fails
if a test fails, if a listed test did not report or if an unlisted one did. The services die with
this process. The last line is always `N passed, N failed`.
"""

import argparse
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import clang_tidy
import faults
import kafka
import kafka_install

ROOT = pathlib.Path(__file__).resolve().parent.parent
MANIFEST = ROOT / "tests" / "manifest.txt"
JOBS = 2
MINUTES_MAX = 24

# Label: (budget in seconds, needs Kafka, presets it needs besides dev). In the order of the run.
# The budget of clang, a build and clang-tidy, is told and not enforced.
LABELS = {
    "tidy": (60, False, ["release"]),
    "clang": (90, False, ["clang"]),
    "unit": (90, False, ["asan-ubsan"]),
    "tsan": (30, False, ["tsan"]),
    "golden": (30, False, []),
    "check": (30, True, []),
    "mutant": (60, True, []),
    "contract": (60, True, []),
    "integration": (300, True, []),
    "fault": (420, True, []),
}
BUILD_TARGETS = {"dev": "all", "asan-ubsan": "unit_tests", "release": "all", "tsan": "tsan_tests",
                 "clang": "all"}
RUNS_IN = {"unit": ["dev", "asan-ubsan"], "tsan": ["tsan"]}  # The others: in dev.
COMPILE_ONLY = "clang"
CLANG_TIDY_S = 120  # Budget when no file is known to be clean yet; told, too.


class Failure(Exception):
    """A step that must succeed before any test can run."""


def say(text):
    print(f"== {text}", flush=True)


def run_step(what, *command):
    began = time.monotonic()
    say(what)
    status = subprocess.run([str(word) for word in command], cwd=ROOT,
                            stdin=subprocess.DEVNULL).returncode
    took = time.monotonic() - began
    if status != 0:
        raise Failure(f"{what}: failed (status {status}) after {took:.0f} s")
    say(f"{what}: {took:.0f} s")


def build(preset):
    """Returns the seconds it took, without the configuration."""
    if not (ROOT / "build" / preset / "build.ninja").exists():
        run_step(f"configure {preset}", "cmake", "--preset", preset, "--log-level=WARNING")
    began = time.monotonic()
    run_step(f"build {preset}", "cmake", "--build", "--preset", preset,
             "--target", BUILD_TARGETS[preset], "--", "--quiet")
    return time.monotonic() - began


def registered(preset):
    """Every ctest entry of a build as {name: label}."""
    listing = subprocess.run(["ctest", "--show-only=json-v1"], cwd=ROOT / "build" / preset,
                             stdout=subprocess.PIPE, check=True).stdout
    entries = {}
    for test in json.loads(listing)["tests"]:
        properties = {p["name"]: p["value"] for p in test.get("properties", [])}
        entries[test["name"]] = properties.get("LABELS", ["none"])[0]
    return entries


def read_manifest():
    entries = {}
    if MANIFEST.exists():
        for line in MANIFEST.read_text().splitlines():
            if line and not line.startswith("#"):
                name, label = line.split()
                entries[name] = label
    return entries


def write_manifest(entries):
    lines = ["# Every test with its label; a test that is not here, or does not report, fails the",
             "# run. Written by ./dev test --update-manifest."]
    lines += [f"{name} {entries[name]}" for name in sorted(entries)]
    MANIFEST.write_text("\n".join(lines) + "\n")


def run_ctest(preset, label, arguments, limit_s):
    """Runs one label in one build. Returns ({test name: passed}, seconds)."""
    report = ROOT / "build" / preset / f"report-{label}.xml"
    report.unlink(missing_ok=True)
    command = ["ctest", "-L", f"^{label}$", "-j", str(JOBS), "--output-on-failure",
               "--output-junit", str(report), "--no-tests=ignore"]
    if arguments.repeat > 1:
        command += ["--repeat", f"until-fail:{arguments.repeat}"]
    environment = dict(os.environ)
    if arguments.seed is not None:
        environment["MR_SEED"] = str(arguments.seed)
    began = time.monotonic()
    child = subprocess.Popen(command, cwd=ROOT / "build" / preset, stdin=subprocess.DEVNULL,
                             env=environment, start_new_session=True,
                             preexec_fn=kafka.die_with_parent)
    try:
        child.wait(timeout=limit_s * arguments.repeat)
    except subprocess.TimeoutExpired:
        say(f"{label}: over twice its budget, ended after {limit_s * arguments.repeat} s")
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
    return read_report(report), time.monotonic() - began


def read_report(report):
    """The verdict of each test in a JUnit file; anything but `run` counts as failed."""
    try:
        cases = xml.etree.ElementTree.parse(report).getroot().iter("testcase")
    except (OSError, xml.etree.ElementTree.ParseError):
        return {}
    return {case.get("name"): case.get("status") == "run" and case.find("failure") is None
            for case in cases}


def compare_manifest(preset, label, listed, results):
    """Names of tests that did not report, or that are not listed."""
    wanted = {name for name, of in listed.items() if of == label}
    problems = [f"{preset} {name}: listed in tests/manifest.txt but did not report"
                for name in sorted(wanted - results.keys())]
    problems += [f"{preset} {name}: not listed; ./dev test --update-manifest adds it"
                 for name in sorted(results.keys() - wanted)]
    return problems


def start_services(needs_kafka):
    if not needs_kafka:
        return None
    broker = kafka.Broker(kafka_install.ensure(), "test", owned=True)
    (kafka.SERVICES / "env").unlink(missing_ok=True)
    try:
        seconds = broker.start()
    except BaseException:
        broker.stop()
        raise
    (kafka.SERVICES / "env").write_text((broker.folder / "env").read_text())
    say(f"kafka: {broker.bootstrap}, ready after {seconds:.1f} s")
    return broker


def stop_services(broker):
    if broker is not None:
        (kafka.SERVICES / "env").unlink(missing_ok=True)
        broker.stop()
        say("kafka: stopped")


def run_labels(labels, arguments, build_seconds):
    """Returns (passed, [problem...])."""
    listed = read_manifest()
    rows = []
    problems = []
    passed = 0
    for label in labels:
        budget_s = LABELS[label][0]
        if label == COMPILE_ONLY:
            rows.append((label, label, 0, 0, build_seconds[label], budget_s))
            say("clang-tidy")
            began = time.monotonic()
            count, found = clang_tidy.check(JOBS)
            problems += found
            rows.append((label, "clang-tidy", count, len(found), time.monotonic() - began,
                         CLANG_TIDY_S))
            continue
        for preset in RUNS_IN.get(label, ["dev"]):
            say(f"test {label} ({preset})")
            results, seconds = run_ctest(preset, label, arguments, 2 * budget_s)
            failed = [f"{preset} {name}: failed" for name, good in results.items() if not good]
            passed += sum(results.values())
            problems += failed + compare_manifest(preset, label, listed, results)
            rows.append((label, preset, len(results), len(failed), seconds, budget_s))
    print("\nlabel        build       tests  failed  seconds  budget")
    for label, preset, count, failed, seconds, budget_s in rows:
        print(f"{label:<12} {preset:<11} {count:5d}  {failed:6d}  {seconds:7.1f}  {budget_s:6d}")
    return passed, problems


def prepare(arguments):
    """Setup and builds. Returns the labels to run in their order, and {preset: seconds}."""
    labels = arguments.labels or list(LABELS)
    unknown = [label for label in labels if label not in LABELS]
    if unknown:
        raise Failure(f"no label {', '.join(unknown)}; there are: {' '.join(LABELS)}")
    labels = [label for label in LABELS if label in labels]
    run_step("setup: packages and Kafka's jars", ROOT / "tools" / "setup.sh")
    presets = {"dev"}.union(*(LABELS[label][2] for label in labels))
    return labels, {preset: build(preset) for preset in BUILD_TARGETS if preset in presets}


def test(labels, arguments, build_seconds):
    """Returns (passed, [problem...])."""
    broker = start_services(any(LABELS[label][1] for label in labels))
    try:
        return run_labels(labels, arguments, build_seconds)
    finally:
        stop_services(broker)


def main():
    parser = argparse.ArgumentParser(prog="./dev test")
    parser.add_argument("labels", nargs="*", metavar="LABEL", help=" ".join(LABELS))
    parser.add_argument("--repeat", type=int, default=1, help="run each test N times")
    parser.add_argument("--seed", type=int, help="seed of the random tests (MR_SEED)")
    parser.add_argument("--faults", action="store_true", help="print which faults and promises have a test, and which not")
    parser.add_argument("--update-manifest", action="store_true")
    arguments = parser.parse_args()
    if arguments.faults:
        return 1 if faults.report() else 0
    # A terminated run still stops what it started.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda got, _: sys.exit(128 + got))
    began = time.monotonic()
    passed = 0
    try:
        labels, build_seconds = prepare(arguments)
        if arguments.update_manifest:
            entries = registered("dev")
            write_manifest(entries)
            say(f"tests/manifest.txt: {len(entries)} tests")
            return 0
        passed, problems = test(labels, arguments, build_seconds)
    except (Failure, kafka.ServiceError) as error:
        problems = [str(error)]
    seconds = time.monotonic() - began
    if not arguments.labels and arguments.repeat == 1 and seconds > MINUTES_MAX * 60:
        problems.append(f"the whole run took over {MINUTES_MAX} minutes")
    for problem in problems:
        print(f"FAILED {problem}")
    say(f"tests: {seconds / 60:.1f} min of {MINUTES_MAX}")
    print(f"{passed} passed, {len(problems)} failed", flush=True)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
