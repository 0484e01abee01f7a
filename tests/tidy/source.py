"""What the tidy tests share: the list of files, comments and strings taken out, exemptions, output.

A check is a function that yields Findings; run() prints those without an exemption and fails on
exemptions that nothing used. Every check sees the working tree as it stands, built or not.
"""

import collections
import os
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD_DIR = pathlib.Path(os.environ.get("MR_BUILD_DIR") or ROOT / "build" / "dev")
EXEMPT = ROOT / "tests" / "tidy" / "exempt.txt"

LEFT_OUT = {".git", "build", "__pycache__"}
C_SUFFIXES = {".c", ".h", ".cpp"}
ENGINE = ("include/", "engine/", "io/", "operators/", "cli/")

# place: what an exemption names, a path or path:detail. line: 0 when there is none.
Finding = collections.namedtuple("Finding", "rule place line text")


def every_file():
    """Paths relative to the root, sorted, of everything that belongs to the project."""
    found = []
    for folder, names, files in os.walk(ROOT):
        names[:] = [name for name in names if name not in LEFT_OUT]
        found += [pathlib.Path(folder, name).relative_to(ROOT).as_posix() for name in files]
    return sorted(found)


def c_files(*folders):
    """C and C++ files below the folders; of the whole project if there are none."""
    return [path for path in every_file() if pathlib.Path(path).suffix in C_SUFFIXES
            and (not folders or path.startswith(folders))]


def read(path):
    return (ROOT / path).read_text(errors="replace")


_TOKEN = re.compile(r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.S)


def code_only(text, keep_strings=False):
    """The text with comments (and strings) replaced by blanks; line numbers stay."""
    def blank(match):
        token = match[0]
        if token[0] in "\"'":
            return token if keep_strings else '""'
        return " " + "\n" * token.count("\n")
    return _TOKEN.sub(blank, text)


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def _exemptions():
    for number, line in enumerate(EXEMPT.read_text().splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            words = line.split(None, 2)
            yield number, words[0], words[1] if len(words) > 1 else "", len(words) > 2


def run(rules, checks):
    """Runs the checks and exits. rules: the names they use, for these alone an unused exemption is
    this file's business."""
    findings = [finding for check in checks for finding in check()]
    unknown = {finding.rule for finding in findings} - set(rules)
    assert not unknown, f"rules not listed: {unknown}"
    lines = []
    used = set()
    exempt = {}
    for number, rule, place, has_reason in _exemptions():
        exempt[rule, place] = number
        if rule in rules and not has_reason:
            lines.append(f"tests/tidy/exempt.txt:{number}: exemption without a reason")
    for finding in findings:
        if (finding.rule, finding.place) in exempt:
            used.add((finding.rule, finding.place))
            continue
        path = finding.place.partition(":")[0]
        where = f"{path}:{finding.line}" if finding.line else finding.place
        lines.append(f"{where}: [{finding.rule}] {finding.text} (exempt as: {finding.rule} "
                     f"{finding.place})")
    for key in exempt.keys() - used:
        if key[0] in rules:
            lines.append(f"tests/tidy/exempt.txt:{exempt[key]}: nothing needs the exemption "
                         f"{' '.join(key)}")
    for line in lines:
        print(line)
    print(f"{len(lines)} findings, {len(used)} exemptions used, "
          f"checks: {', '.join(check.__name__ for check in checks)}")
    sys.exit(1 if lines else 0)
