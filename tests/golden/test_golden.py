#!/usr/bin/env python3
"""Every diagnostic and every explained plan, byte for byte.

  bad/NAME.yaml      is wrong in one or many ways; `millrace check` of it must end with status 78 (or
                     0 where it has warnings only) and print exactly bad/NAME.expected;
                     `--format json` must say the same
  explain/NAME.expected   is what `millrace explain topologies/NAME.yaml` prints
  codes.expected     every diagnostic that a file in bad/ shows, with its long text
  docs/options.md, functions.md, failures.md   pages made from the engine's own tables

`--update` writes the expected files anew; the difference is then read before it is committed.
No service is needed. The environment is empty, so defaults of ${VAR:-...} are seen.
"""

import difflib
import json
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
GOLDEN = ROOT / "tests" / "golden"
BUILD_DIR = pathlib.Path(os.environ.get("MR_BUILD_DIR") or ROOT / "build" / "dev")
MILLRACE = BUILD_DIR / "millrace"
REFERENCE = BUILD_DIR / "reference"
BAD_FILES_MIN = 60

JSON_FIELDS = {"file", "line", "column", "length", "severity", "code", "message", "hint"}

EXIT_OK = 0
EXIT_CONFIG = 78


def millrace(*words):
    """Runs in the project's folder, so that paths in messages are relative."""
    environment = {key: os.environ[key] for key in ("PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS")
                   if key in os.environ}
    done = subprocess.run([MILLRACE, *words], cwd=ROOT, capture_output=True, timeout=60,
                          env=environment, stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


class Golden:
    """Collects what differs."""

    def __init__(self, update):
        self.update = update
        self.failures = 0
        self.compared = 0

    def fail(self, text):
        self.failures += 1
        print(f"FAIL {text}")

    def compare(self, path, text):
        self.compared += 1
        if self.update:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
            return
        expected = path.read_text() if path.exists() else ""
        if expected != text:
            self.fail(f"{path.relative_to(ROOT)} differs (tests/golden/test_golden.py --update)")
            sys.stdout.writelines(difflib.unified_diff(
                expected.splitlines(True), text.splitlines(True), "expected", "printed"))


def check_bad_files(golden):
    """Returns the codes that were seen.

    COVERS: F27 I11
    """
    files = sorted((GOLDEN / "bad").glob("*.yaml"))
    seen = set()
    if len(files) < BAD_FILES_MIN:
        golden.fail(f"only {len(files)} bad files")
    for file in files:
        name = str(file.relative_to(ROOT))
        status, printed, errors = millrace("check", "-q", name)
        if errors:
            golden.fail(f"{name}: on standard error: {errors}")
        wanted = EXIT_CONFIG if ": error[" in printed else EXIT_OK
        if status != wanted or not printed:
            golden.fail(f"{name}: status {status}, {len(printed)} bytes printed")
        strict, _, _ = millrace("check", "-q", "--strict", name)
        if strict != EXIT_CONFIG:
            golden.fail(f"{name}: status {strict} with --strict")
        seen.update(re.findall(r"(?:error|warning)\[(M\d{4})\]", printed))
        golden.compare(file.with_suffix(".expected"), printed)
    orphans = {f.stem for f in (GOLDEN / "bad").glob("*.expected")} - {f.stem for f in files}
    for stem in sorted(orphans):
        golden.fail(f"bad/{stem}.expected has no file")
    return seen


def check_json(golden):
    """--format json says of each file what the text says: a line is an object."""
    for file in sorted((GOLDEN / "bad").glob("*.yaml")):
        name = str(file.relative_to(ROOT))
        status, printed, errors = millrace("check", "--format", "json", name)
        rows = [json.loads(line) for line in printed.splitlines()]
        if errors or status != (EXIT_CONFIG if any(r["severity"] == "error" for r in rows) else 0):
            golden.fail(f"{name}: --format json: status {status}, {errors}")
        heads, hints = [], []
        for row in rows:
            if not set(row) <= JSON_FIELDS:
                golden.fail(f"{name}: --format json has {sorted(set(row) - JSON_FIELDS)}")
            place = f":{row['line']}:{row['column']}" if "line" in row else ""
            heads.append(f"{row['file']}{place}: {row['severity']}[{row['code']}]: "
                         f"{row['message']}")
            hints += [f"hint: {row['hint']}"] if "hint" in row else []
        lines = file.with_suffix(".expected").read_text().splitlines()
        if heads != [line for line in lines if re.match(r"\S+: (error|warning)\[", line)]:
            golden.fail(f"{name}: --format json has other messages than the text")
        if hints != [line for line in lines if line.startswith("hint: ")]:
            golden.fail(f"{name}: --format json has other hints than the text")


def check_all_at_once(golden):
    """One run over all files says what the runs of single files say, in the same order."""
    files = sorted((GOLDEN / "bad").glob("*.yaml"))
    status, printed, _ = millrace("check", "-q", *[str(f.relative_to(ROOT)) for f in files])
    expected = "".join(f.with_suffix(".expected").read_text() for f in files)
    if status != EXIT_CONFIG or printed != expected:
        golden.fail(f"check of all files together: status {status}, or another text")


def check_explain(golden):
    files = sorted((ROOT / "topologies").glob("*.yaml"))
    for file in files:
        name = str(file.relative_to(ROOT))
        status, printed, errors = millrace("check", "-q", "--strict", name)
        if status != EXIT_OK or printed or errors:
            golden.fail(f"{name} is not clean: status {status}\n{printed}{errors}")
        status, printed, errors = millrace("explain", name)
        if status != EXIT_OK or errors:
            golden.fail(f"explain {name}: status {status}\n{errors}")
        golden.compare(GOLDEN / "explain" / f"{file.stem}.expected", printed)


def check_codes(golden, seen):
    """Every code is shown by a bad file, and every one that is shown has a long text."""
    texts = []
    table = (ROOT / "engine" / "base" / "diag_codes.c").read_text()
    known = {f"M0{code}" for code in re.findall(r"^    \{(\d{3}), ", table, re.M)}
    for code in sorted(known - seen):
        golden.fail(f"no file in bad/ shows {code}")
    for code in sorted(seen - known):
        golden.fail(f"{code} is shown, but has no long text")
    for code in sorted(seen):
        status, printed, errors = millrace("explain", code)
        if status != EXIT_OK:
            golden.fail(f"explain {code}: status {status}: {errors}")
        texts.append(printed)
    golden.compare(GOLDEN / "codes.expected", "\n".join(texts))


def check_reference(golden):
    """The generated pages of docs/ are what the tables of the engine say."""
    topology = "".join(f.read_text() for f in sorted((ROOT / "engine" / "topology").glob("*.c")))
    tables = len(re.findall(r"^    static const mr_key_rule \w+\[\]", topology, re.M))
    seen = subprocess.run([REFERENCE, "tables"], capture_output=True, text=True).stdout.strip()
    if str(tables) != seen:
        golden.fail(f"the sources have {tables} tables of keys, tools/reference.c saw {seen}")
    for page in ("options", "functions", "failures"):
        done = subprocess.run([REFERENCE, page], capture_output=True, text=True, timeout=60)
        if done.returncode != 0 or done.stderr:
            golden.fail(f"reference {page}: status {done.returncode}: {done.stderr}")
        text = done.stdout + (refused_functions() if page == "functions" else "")
        golden.compare(ROOT / "docs" / f"{page}.md", text)


def check_version(golden):
    """`version` and FORMAT.md name the same state format, as text and as JSON."""
    page = (ROOT / "engine" / "state" / "FORMAT.md").read_text().split("\n", 1)[0]
    number = page.removeprefix("# State format ")
    _, printed, _ = millrace("version")
    if f", state format {number}, " not in printed:
        golden.fail(f"FORMAT.md has {number}, version prints: {printed}")
    _, printed, _ = millrace("version", "--format", "json")
    if json.loads(printed)["state_format"] != number:
        golden.fail(f"FORMAT.md has {number}, version prints: {printed}")


def refused_functions():
    """Of the table that names what the language has and this release has not."""
    source = (ROOT / "engine" / "expr" / "functions.c").read_text()
    table = re.search(r"refused_function refused\[\] = \{(.*?)\n\};", source, re.S)[1]
    names = re.findall(r"\{\s*\"([^\"]+)\",\s*\"([^\"]*)\"", table)
    rows = [f"| {name} | {hint} |" for name, hint in names]
    return ("\n## Not in this release\nRefused by name (M0306).\n\n| name | instead |\n|---|---|\n"
            + "\n".join(rows) + "\n")


def main():
    golden = Golden("--update" in sys.argv[1:])
    seen = check_bad_files(golden)
    check_json(golden)
    check_all_at_once(golden)
    check_explain(golden)
    check_codes(golden, seen)
    check_reference(golden)
    check_version(golden)
    print(f"{golden.compared} texts compared, {len(seen)} codes seen, {golden.failures} failures")
    return 1 if golden.failures else 0


if __name__ == "__main__":
    sys.exit(main())
