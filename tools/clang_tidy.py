"""clang-tidy over every C and C++ file of the build of clang, with the checks of .clang-tidy.

A file that was clean is not looked at again until something it is made of changes: the tool, the
checks, its compile command, or its text behind the preprocessor with all comments. The list of what
was clean is build/clang/tidy-clean.txt; a fresh clone has none and everything is looked at.

By hand, after ./dev build clang: /usr/bin/python3 tools/clang_tidy.py [FILE...]
"""

import concurrent.futures
import hashlib
import json
import pathlib
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "clang"
CLEAN = BUILD / "tidy-clean.txt"
TOOL = "clang-tidy-14"
FILE_SECONDS_MAX = 300

# Found by a plain check and by the analyzer: a run in which the tool finds nothing here has not
# read .clang-tidy, or has none of its checks.
CANARY = """long canary(int a, int *b)
{
    if (b == 0) {
        *b = a;
    }
    return a * a;
}
"""
CANARY_CHECKS = ["bugprone-implicit-widening-of-multiplication-result",
                 "clang-analyzer-core.NullDereference"]


def run(*command):
    return subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=FILE_SECONDS_MAX)


def canary():
    """Why the tool is not to be trusted; None if it finds what it must."""
    path = BUILD / "tidy-canary.c"
    path.write_text(CANARY)
    result = run(TOOL, "--quiet", str(path), "--", "-std=c17")
    output = result.stdout.decode(errors="replace")
    missing = [check for check in CANARY_CHECKS if check not in output]
    if missing or result.returncode == 0:
        return (f"{TOOL}: does not find {', '.join(missing) or 'an error'} in {path}; is .clang-tidy "
                f"intact?\n{output}{result.stderr.decode(errors='replace')}")
    return None


def read_commands():
    """{path: its compile command}, large files first: the last ones keep all jobs busy."""
    commands = {}
    for entry in json.loads((BUILD / "compile_commands.json").read_text()):
        if entry["file"] in commands:
            raise ValueError(f"{entry['file']} stands in compile_commands.json twice")
        commands[entry["file"]] = entry["command"]
    by_size = sorted(commands, key=lambda path: -pathlib.Path(path).stat().st_size)
    return {path: commands[path] for path in by_size}


def key_of(path, command, common):
    """What the verdict depends on, as one hash; None if the file cannot be preprocessed."""
    words = shlex.split(command)
    at = words.index("-o")
    result = run(*words[:at], *words[at + 2:], "-E", "-CC")
    if result.returncode != 0:
        return None
    parts = [common, path.encode(), command.encode(), result.stdout]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def look_at(path, command, common, clean):
    """(path, key, what the tool says; empty if the file is clean)."""
    key = key_of(path, command, common)
    if key is not None and key in clean:
        return path, key, ""
    try:
        result = run(TOOL, "-p", str(BUILD), "--quiet", path)
    except subprocess.TimeoutExpired:
        return path, key, f"{path}: {TOOL} was ended after {FILE_SECONDS_MAX} s"
    said = result.stdout.decode(errors="replace")
    if result.returncode != 0:
        said += result.stderr.decode(errors="replace") + f"status {result.returncode}"
    return path, key, said.replace(f"{ROOT}/", "")


def check(jobs, only=()):
    """Prints what the tool says. Returns (files, [problem...])."""
    problem = canary()
    if problem:
        print(problem, flush=True)
        return 0, [problem.partition("\n")[0]]
    common = run(TOOL, "--version").stdout + (ROOT / ".clang-tidy").read_bytes()
    known = set(CLEAN.read_text().split()) if CLEAN.exists() else set()
    commands = read_commands()
    if only:
        commands = {path: command for path, command in commands.items() if path in only}
    keys, problems, kept = set(), [], known
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        try:
            looks = [pool.submit(look_at, path, command, common, known)
                     for path, command in commands.items()]
            for look in concurrent.futures.as_completed(looks):
                path, key, said = look.result()
                if said:
                    print(said, flush=True)
                    problems.append(f"clang-tidy {pathlib.Path(path).relative_to(ROOT)}: see above")
                elif key is not None:
                    keys.add(key)
            kept = known if only else set()  # After a whole run: what was seen now, so it is short.
        finally:
            pool.shutdown(cancel_futures=True)
            CLEAN.write_text("".join(f"{key}\n" for key in sorted(keys | kept)))
    return len(commands), sorted(problems)


if __name__ == "__main__":
    count, found = check(2, {str(pathlib.Path(name).resolve()) for name in sys.argv[1:]})
    print(f"{count} files, {len(found)} with findings")
    sys.exit(1 if found or count == 0 else 0)
