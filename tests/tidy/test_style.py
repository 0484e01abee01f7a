"""Style: lengths, banned calls, macros, words, skips, pages, clang-format."""

import os
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from pages import page_links, page_names, page_paths, page_sections
from source import ENGINE, ROOT, Finding, c_files, code_only, every_file, line_of, read, run

sys.path.insert(0, str(ROOT / "tools"))
import faults

FILE_LINES_MAX = 800
FUNCTION_LINES_MAX = 70
PAGE_LINES_MAX = {"README.md": 60}
ARCHITECTURE_LINES_MAX = 300
TEXT = (".c", ".h", ".cpp", ".py", ".sh", ".cmake", ".txt", ".md", ".yaml", ".json", ".xml")
TIDY = "tests/tidy/"

# Names, where they are allowed (paths they may start with), and why not elsewhere.
BANNED = [
    ("strcpy strcat sprintf vsprintf strtok gets atoi atol atoll atof system rand srand alloca",
     (), "no bound, no error, or hidden state"),
    ("malloc calloc realloc reallocarray free strdup strndup posix_memalign aligned_alloc",
     ("engine/base/", "bench/", "demo/", "tools/", "tests/"), "memory comes from engine/base"),
    ("read write pread pwrite readv writev preadv pwritev fsync fdatasync",
     ("io/ring/", "bench/", "demo/", "tools/", "tests/"), "files and disks belong to io/ring"),
    ("time gettimeofday clock_gettime clock localtime gmtime",
     ("engine/base/", "bench/", "demo/", "tools/", "tests/"), "clocks belong to engine/base"),
    ("sleep usleep nanosleep clock_nanosleep",
     ("bench/", "demo/", "tools/"), "wait for a condition, not for a time"),
]
MACROS = {"MR_ASSERT", "MR_CHECK_SLOW", "MR_LENGTH", "MR_PRINTF"}
MACRO_PREFIXES = ("MR_LOG",)
# Spelled apart, so that this file does not find itself.
WORDS = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK|not impl" r"emented)\b")
SKIPS = re.compile(r"\bskip\s*\(|SKIP_RETURN_CODE|\bDISABLED\b|unittest\.skip|skipTest|skipIf")


def file_length():
    for path in every_file():
        if path == "LICENSE" or path.startswith("tests/golden/"):
            continue
        name = os.path.basename(path)
        if not name.endswith(TEXT) and name != "dev":
            continue
        lines = read(path).count("\n")
        limit = FILE_LINES_MAX
        if path == "ARCHITECTURE.md":
            limit = ARCHITECTURE_LINES_MAX
        elif "/" in path:
            limit = PAGE_LINES_MAX.get(name, limit)
        elif name == "CHANGELOG.md":
            continue
        if lines > limit:
            yield Finding("file-length", path, 0, f"{lines} lines, the limit is {limit}")


def functions_of(path):
    """(first line, name, lines from brace to brace) of each function: its braces are in column 0."""
    start = 0
    head = ""
    lines = code_only(read(path)).splitlines()
    for number, line in enumerate(lines, 1):
        if line.startswith("{") and not re.match(r"(inline )?namespace|extern", head):
            start = number
            signature = " ".join(lines[max(0, number - 12):number - 1])
            names = re.findall(r"(\w+)\s*\([^()]*(?:\([^()]*\)[^()]*)*\)\s*$", signature)
            name = names[-1] if names else "?"
        elif line.startswith("}") and start:
            yield start, name, number - start + 1
            start = 0
        if line.strip():
            head = line


def function_length():
    for path in c_files():
        for line, name, lines in functions_of(path):
            if lines > FUNCTION_LINES_MAX:
                yield Finding("function-length", f"{path}:{name}", line,
                              f"{name} has {lines} lines, the limit is {FUNCTION_LINES_MAX}")


def banned_calls():
    for path in c_files():
        code = code_only(read(path))
        for names, allowed, why in BANNED:
            if allowed and path.startswith(allowed):
                continue
            # A call through a member or of something longer is another function.
            pattern = rf"(?<![\w.>])({'|'.join(names.split())})\s*\("
            for match in re.finditer(pattern, code):
                yield Finding("banned-call", f"{path}:{match[1]}", line_of(code, match.start()),
                              f"{match[1]}(): {why}")


def macros():
    for path in c_files(*ENGINE):
        code = code_only(read(path))
        for match in re.finditer(r"^[ \t]*#[ \t]*define[ \t]+(\w+)\(", code, re.M):
            if match[1] not in MACROS and not match[1].startswith(MACRO_PREFIXES):
                yield Finding("macro", f"{path}:{match[1]}", line_of(code, match.start()),
                              f"{match[1]} is a function-like macro off the list")


def words():
    for path in every_file():
        if not path.endswith(TEXT) and os.path.basename(path) != "dev":
            continue
        text = read(path)
        for match in WORDS.finditer(text):
            yield Finding("word", f"{path}:{match[1].replace(' ', '-')}",
                          line_of(text, match.start()), f"'{match[1]}' in the source")


def skips():
    for path in every_file():
        if path.startswith("tests/") and not path.startswith(TIDY) and path.endswith(
                (".c", ".py", ".txt", ".cmake")):
            text = read(path)
            for match in SKIPS.finditer(text):
                yield Finding("skip", path, line_of(text, match.start()), "nothing is skipped")


def opening_comment():
    """Each source file says first what it is."""
    for path in every_file():
        text = read(path) if path.endswith((".c", ".h", ".cpp", ".py", ".sh")) else ""
        if text and not re.match(r"(#![^\n]*\n)?(/\*|//|\"\"\"|#)", text):
            yield Finding("opening-comment", path, 1, "does not open with what it is")


def folder_pages():
    """Each folder with code of the engine has a README.md."""
    for folder in sorted({os.path.dirname(path) for path in c_files(*ENGINE)}):
        if folder not in ("engine", "io") and not (ROOT / folder / "README.md").exists():
            yield Finding("folder-page", f"{folder}/README.md", 0, "the folder has no page")


def formatted():
    files = c_files()
    if not files:
        return
    result = subprocess.run(["clang-format-14", "--dry-run", "-Werror", *files], cwd=ROOT,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    wrong = set(re.findall(r"^(\S+?):\d+:\d+: error: code should be clang-formatted",
                           result.stdout, re.M))
    for path in sorted(wrong):
        yield Finding("format", path, 0, "not clang-formatted; ./dev format does it")
    if result.returncode != 0 and not wrong:
        yield Finding("format", ".clang-format", 0, result.stdout.strip()[:400])


def fault_ids():
    """Claims of tests and the table of what they can claim fit each other."""
    table, mistakes = faults.read_table(faults.TABLE.read_text())
    found, more = faults.read_tests(table)
    for mistake in mistakes + more + faults.silent(table, found):
        yield Finding("fault-id", mistake.partition(":")[0], 0, mistake.partition(": ")[2])


if __name__ == "__main__":
    run(["file-length", "function-length", "banned-call", "macro", "word", "skip",
         "opening-comment", "folder-page", "page-path", "page-link", "page-name", "page-section",
         "format", "fault-id"],
        [file_length, function_length, banned_calls, macros, words, skips, opening_comment,
         folder_pages, page_paths, page_links, page_names, page_sections, formatted,
         fault_ids])
