"""Layers: the include table, cycles, third-party headers, front doors, headers compiled alone."""

import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from source import ENGINE, ROOT, Finding, c_files, code_only, line_of, read, run

TABLE = ROOT / "tests" / "tidy" / "includes.txt"
INCLUDE = re.compile(r"^[ \t]*#[ \t]*include[ \t]+(?:<([^>]+)>|\"([^\"]+)\")", re.M)
# What an unlisted <header> may be: the language, the C library, the kernel's interface.
SYSTEM = re.compile(
    r"assert|complex|ctype|errno|fenv|float|inttypes|iso646|limits|locale|math|setjmp|signal|"
    r"stdalign|stdarg|stdatomic|stdbool|stddef|stdint|stdio|stdlib|stdnoreturn|string|strings|"
    r"threads|time|uchar|wchar|wctype|dirent|dlfcn|endian|fcntl|getopt|poll|pthread|pwd|sched|"
    r"semaphore|syslog|termios|ucontext|unistd|alloca|byteswap|glob|ftw|fnmatch|regex|utime|"
    r"(sys|linux|asm|arpa|net|netinet)/\w+|[a-z]mmintrin|immintrin|x86intrin|arm_neon|arm_acle|"
    r"cpuid")

ROOTS = {"engine": "engine.h", "io": "connectors.h"}  # The composition root's folders and headers.


def read_table():
    """{folder: (allowed, third-party headers)}."""
    table = {}
    for line in TABLE.read_text().splitlines():
        line = line.partition("#")[0].strip()
        if line:
            folder, _, rest = line.partition(":")
            allowed, _, third = rest.partition("|")
            table[folder.strip()] = (set(allowed.split()), set(third.split()))
    return table


def owner_of(path, table):
    """The row a file belongs to: its folder's, or that of a top folder that may do anything."""
    folder = os.path.dirname(path)
    if folder in table:
        return folder
    top = path.split("/")[0]
    return top if top in table and "anything" in table[top][0] else None


def includes_of(path):
    """(line, header, is_system) of each #include."""
    code = code_only(read(path), keep_strings=True)
    for match in INCLUDE.finditer(code):
        yield line_of(code, match.start()), match[1] or match[2], match[1] is not None


def target_of(path, header, is_system):
    """The project file an #include names, or None."""
    if header.startswith("millrace/"):
        return f"include/{header}"
    if is_system:
        return None
    return header


def edge_problem(path, owner, target, table):
    """Why this edge is not allowed; None if it is."""
    allowed = table[owner][0]
    if not (ROOT / target).exists():
        return f"no such file from the root: {target}"
    if "anything" in allowed:
        return None
    folder = os.path.dirname(target)
    if folder == os.path.dirname(path):
        return None
    if target.endswith("_private.h"):
        return f"{target} is private to {folder}"
    if folder == "include/millrace":
        good = "public" in allowed or os.path.basename(target) in allowed
    elif folder != "engine/base" and os.path.basename(target) != ROOTS.get(
            folder, os.path.basename(folder) + ".h"):
        return f"{target} is not the front door of {folder}"
    else:
        good = folder in allowed or "front-doors" in allowed
    return None if good else f"{owner} may not include {target}"


def layers():
    table = read_table()
    third_of = {header: row for row, (_, headers) in table.items() for header in headers}
    for path in c_files():
        owner = owner_of(path, table)
        if owner is None:
            yield Finding("layer", path, 0, "no row of includes.txt covers this file")
            continue
        for line, header, is_system in includes_of(path):
            place = f"{path}:{header}"
            target = target_of(path, header, is_system)
            if target is not None:
                problem = edge_problem(path, owner, target, table)
                if problem:
                    yield Finding("layer", place, line, problem)
            elif "anything" in table[owner][0] or header in table[owner][1]:
                continue
            elif header in third_of:
                yield Finding("layer", place, line, f"<{header}> is for {third_of[header]} alone")
            elif not SYSTEM.fullmatch(header.removesuffix(".h")) and not (
                    path.endswith(".cpp") and re.fullmatch(r"[a-z_]+", header)):
                yield Finding("layer", place, line, f"<{header}> is in no row of includes.txt")


def _cycle(edges):
    """One cycle of a graph {node: set of nodes}, or None."""
    done = set()
    for start in sorted(edges):
        path = []
        stack = [(start, iter(sorted(edges[start])))]
        while stack:
            node, rest = stack[-1]
            if node not in path:
                path.append(node)
            step = next((n for n in rest if n in edges and n not in done), None)
            if step is None:
                done.add(node)
                path.pop()
                stack.pop()
            elif step in path:
                return path[path.index(step):] + [step]
            else:
                stack.append((step, iter(sorted(edges[step]))))
    return None


def cycles():
    """Between folders of the engine, and between headers."""
    folders = {}
    headers = {}
    for path in c_files(*ENGINE):
        folder = os.path.dirname(path)
        for _, header, is_system in includes_of(path):
            target = target_of(path, header, is_system)
            if target is None:
                continue
            if path.endswith(".h"):
                headers.setdefault(path, set()).add(target)
            to = os.path.dirname(target)
            if to != folder and to != "include/millrace" and folder not in ROOTS:
                folders.setdefault(folder, set()).add(to)
    for what, edges in (("folders", folders), ("headers", headers)):
        found = _cycle(edges)
        if found:
            yield Finding("cycle", found[0], 0, f"cycle of {what}: {' -> '.join(found)}")


def front_doors():
    """A folder offers exactly one header; base and the public folder offer one a tool."""
    for path in c_files("engine/", "io/", "operators/"):
        folder, name = os.path.split(path)
        if not name.endswith(".h") or folder == "engine/base" or name.endswith("_private.h"):
            continue
        door = ROOTS.get(folder, os.path.basename(folder) + ".h")
        if name != door:
            yield Finding("front-door", path, 0, f"neither {door} nor a _private.h")


def dead_headers():
    used = {target_of(path, header, is_system)
            for path in c_files() for _, header, is_system in includes_of(path)}
    for path in c_files():
        if path.endswith(".h") and path not in used:
            yield Finding("dead-file", path, 0, "no file includes this header")


def _compile_alone(path):
    command = ["gcc", "-std=c17", "-fsyntax-only", "-Werror", "-Wall", "-Wextra", "-Wundef",
               "-Wstrict-prototypes", "-I.", "-Iinclude", "-DMR_CRASH_POINTS=1",
               "-DMR_SLOW_CHECKS=1", "-DMR_VERSION_TEXT=\"\"", "-DMR_PROFILE_TEXT=\"\"",
               "-include", path, "-x", "c", "/dev/null"]
    result = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            text=True)
    return path, result.returncode, result.stdout


def headers_alone():
    headers = [path for path in c_files() if path.endswith(".h")]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for path, status, output in pool.map(_compile_alone, headers):
            if status != 0:
                error = next((line for line in output.splitlines() if "error" in line), output)
                yield Finding("header-alone", path, 0, f"does not compile alone: {error}")


if __name__ == "__main__":
    run(["layer", "cycle", "front-door", "dead-file", "header-alone"],
        [layers, cycles, front_doors, dead_headers, headers_alone])
