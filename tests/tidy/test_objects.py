"""Objects: no mutable statics, names with our prefix, a core without system calls, a hard release.

Reads the symbol tables of the dev build and of the release build, so both must be up to date.
"""

import os
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from source import BUILD_DIR, ENGINE, ROOT, Finding, c_files, code_only, every_file, read, run

RELEASE = pathlib.Path(os.environ.get("MR_RELEASE_DIR") or ROOT / "build" / "release")

# Where the core ends: what runs on a shard makes no system call, starts no thread, reads no clock.
CORE = ("engine/batch/", "engine/state/", "engine/runtime/", "operators/")
# These run the threads of a worker, around the core.
NOT_CORE = {"engine/runtime/worker.c", "engine/runtime/block_file.c",
            "engine/runtime/machine_memory.c"}
CORE_MAY_CALL = re.compile(
    r"mr_\w+|mem(cpy|move|set|cmp|chr|rchr|mem)|str(len|nlen|cmp|ncmp|chr|rchr|str|spn|cspn|tol+|"
    r"toul+|tod|casecmp|ncasecmp)|v?snprintf|bsearch|qsort(_r)?|abort|"
    r"(ll?)?(abs|div)|f(abs|loor|min|max|mod)|ceil|trunc|l?l?round|rint|nearbyint|isnan|isinf|"
    r"ldexp|frexp|modf|pow|sqrt|log(2|10)?|exp|__(u?(div|mod)|float|fix)\w*|__stack_chk_fail|"
    r"__(mem|str|v?snprintf)\w*_chk|__isoc\d+_\w+|__errno_location|_GLOBAL_OFFSET_TABLE_|__cpu_\w+|"
    r"__ctype_\w+|__popcount\w+|__ctz\w+|__clz\w+|XXH\w+|__tls_get_addr")
HOOKS = (b"MR_CRASH_AT", b"MR_STOP_AT", b"MR_BUG", b"MR_TEST_HEADERS")
MUTABLE = re.compile(r"\.(data|bss|tdata|tbss|ldata|lbss)(\.(?!rel\.ro)[\w.]+)?$|\*COM\*")


def objects(build, *folders):
    """{source path: object path} of the project's objects below the folders."""
    found = {}
    for path in sorted((build / "CMakeFiles").glob("mr_*.dir/**/*.o")):
        source = path.relative_to(build / "CMakeFiles").as_posix().partition("/")[2][:-2]
        if source.startswith(folders) and (ROOT / source).exists():
            found[source] = path
    return found


def symbols(path):
    """(name, section, is_global, is_object) of each symbol; section *UND* if it is elsewhere."""
    out = subprocess.run(["objdump", "-tw", path], stdout=subprocess.PIPE, check=True, text=True)
    for line in out.stdout.splitlines():
        match = re.match(r"[0-9a-f]{16} (.{7}) (\S+)\t[0-9a-f]{16}\s+(?:\.hidden )?(\S+)$", line)
        if match and "d" not in match[1][5]:
            yield match[3], match[2], match[1][0] in "gu" or match[1][1] == "w", "O" in match[1]


def built():
    """A stale or missing object would be a check that looks at nothing."""
    for build, what in ((BUILD_DIR, "dev"), (RELEASE, "release")):
        have = objects(build, *ENGINE)
        for path in c_files("engine/", "io/", "operators/", "cli/"):
            if path.endswith((".c", ".cpp")) and path != "cli/main.c":
                if path not in have:
                    yield Finding("built", f"{path}:{what}", 0, f"has no object in {what}: is the "
                                                                f"file dead, or not built?")
                elif have[path].stat().st_mtime < (ROOT / path).stat().st_mtime:
                    yield Finding("built", f"{path}:{what}", 0, f"is newer than its object: "
                                                                f"./dev build {what}")


def dead_sources():
    """Every C file is compiled by the build: its path stands in the compilation database."""
    database = (BUILD_DIR / "compile_commands.json").read_text()
    for path in c_files():
        if not path.endswith(".h") and f"/{path}\"" not in database:
            yield Finding("dead-source", path, 0, "no target compiles this file")


def mutable_statics():
    for source, path in objects(BUILD_DIR, *ENGINE).items():
        for name, section, _, is_object in symbols(path):
            if name.startswith("DW.ref."):
                continue  # The C++ compiler's own reference to its personality routine.
            if MUTABLE.match(section) and (is_object or section == "*COM*"):
                # GCC numbers the statics inside functions.
                name = re.sub(r"\.\d+$", "", name)
                yield Finding("mutable-static", f"{source}:{name}", 0,
                              f"{name} is a mutable static (section {section})")


def prefixes():
    for source, path in objects(BUILD_DIR, *ENGINE).items():
        for name, section, is_global, _ in symbols(path):
            is_cpp_glue = source.endswith(".cpp") and name.startswith(("_Z", "DW.ref."))
            if is_global and section != "*UND*" and not name.startswith("mr_") and not is_cpp_glue:
                yield Finding("prefix", f"{source}:{name}", 0,
                              f"{name} has linkage but not the prefix mr_")


def core_calls():
    for source, path in objects(BUILD_DIR, *CORE).items():
        if source in NOT_CORE:
            continue
        for name, section, _, _ in symbols(path):
            if section == "*UND*" and not CORE_MAY_CALL.fullmatch(name):
                yield Finding("core-call", f"{source}:{name}", 0,
                              f"the core may not call {name}; it is not on the list of "
                              f"tests/tidy/test_objects.py")


def private_symbols():
    """An object of another folder may not refer to what a _private.h declares."""
    owner = {}
    for path in every_file():
        if path.endswith("_private.h") and path.startswith(ENGINE):
            code = re.sub(r"#.*", "", code_only(read(path)))
            for name in re.findall(r"\b(mr_\w+)\s*\(", code):
                owner[name] = os.path.dirname(path)
    for source, path in objects(BUILD_DIR, *ENGINE).items():
        folder = os.path.dirname(source)
        for name, section, _, _ in symbols(path):
            if section == "*UND*" and owner.get(name, folder) != folder:
                yield Finding("private", f"{source}:{name}", 0,
                              f"{name} is private to {owner[name]}")


def release_hooks():
    """Release objects hold no crash point and no planted bug."""
    paths = list(objects(RELEASE, *ENGINE).values()) + [RELEASE / "millrace"]
    for path in paths:
        content = path.read_bytes() if path.exists() else b""
        for hook in HOOKS:
            if hook in content:
                yield Finding("release-hook", f"{path.relative_to(RELEASE)}:{hook.decode()}", 0,
                              "a test hook in the release build")


def hardening():
    program = RELEASE / "millrace"
    if not program.exists():
        yield Finding("hardening", "millrace:missing", 0, "no release program: ./dev build release")
        return
    out = subprocess.run(["readelf", "-hlWd", "--dyn-syms", program], stdout=subprocess.PIPE,
                         check=True, text=True).stdout
    wanted = {
        "pie": r"Type:\s+DYN",
        "relro": r"GNU_RELRO",
        "bind-now": r"Flags:.*\bNOW\b",
        "stack-protector": r"__stack_chk_fail",
        "stack-not-executable": r"GNU_STACK(\s+0x[0-9a-f]+){5}\s+RW\s",
        "fortify": r"__\w+_chk\b",
    }
    for name, pattern in wanted.items():
        if not re.search(pattern, out):
            yield Finding("hardening", f"millrace:{name}", 0, f"the release program lacks {name}")


if __name__ == "__main__":
    run(["built", "dead-source", "mutable-static", "prefix", "core-call", "private",
         "release-hook", "hardening"],
        [built, dead_sources, mutable_statics, prefixes, core_calls, private_symbols,
         release_hooks, hardening])
