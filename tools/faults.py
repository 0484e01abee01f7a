"""`./dev test --faults`: which faults and promises have a test.

Each test case says what it covers by a line `COVERS: F1 K0 I1` of ids: in Python in the docstring of
its function or method, in C in the comment above its function. The ids, with their meaning and what
is not proved, stand in tests/faults.txt. A claim outside of a test case, of an unknown id, or of a
test that is never run is a mistake, and so is an id without a test that says no reason.
"""

import ast
import pathlib
import re
import textwrap

ROOT = pathlib.Path(__file__).resolve().parent.parent
TABLE = ROOT / "tests" / "faults.txt"
CLAIM = re.compile(r"^[ \t/*\"]*COVERS:(.*)$", re.M)
C_CASE = re.compile(r"/\*((?:[^*]|\*(?!/))*)\*/\nstatic void (\w+)\(void \*\*state\)")


def read_table(text):
    """{id: (meaning, what is not proved)}, in the order of the file; and the mistakes."""
    table, mistakes = {}, []
    for number, line in enumerate(text.splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        fields = [field.strip() for field in line.split("|")]
        if len(fields) != 3 or not re.fullmatch(r"[A-Z]\d+", fields[0]) or fields[0] in table:
            mistakes.append(f"tests/faults.txt:{number}: a new ID | meaning | what is not proved")
            continue
        table[fields[0]] = (fields[1], fields[2])
    return table, mistakes


def claims_of(text):
    return [name for words in CLAIM.findall(text or "")
            for name in words.replace("*/", "").replace('"""', "").split()]


def python_cases(source):
    """(name, claims) of each test function or method."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and node.name.startswith(("test_", "check_")):
            yield node.name, claims_of(ast.get_docstring(node))


def c_cases(source):
    """(name, claims) of each function under a comment that is listed as a test."""
    for comment, name in C_CASE.findall(source):
        # Listed by its name, or by that behind test_.
        if len(re.findall(rf"\b(?:test_)?{name.removeprefix('test_')}\b", source)) > 1:
            yield name, claims_of(comment)


def entry_of(path):
    """tests/unit/state/wal_test.c is unit.state.wal, tests/fault/test_rivals.py fault.rivals."""
    parts = list(path.relative_to(ROOT / "tests").parts)
    parts[-1] = path.stem
    if path.suffix == ".py":
        parts[-1] = path.stem.removeprefix("test_")
    elif parts[0] != "contract":
        parts[-1] = path.stem.removesuffix("_test")
    return ".".join(parts)


def read_tests(table):
    """{id: {ctest entry: [test case...]}} and the mistakes."""
    found, mistakes = {}, []
    for path in sorted((ROOT / "tests").rglob("*")):
        if path.suffix not in (".c", ".py"):
            continue
        source = path.read_text()
        cases = list((python_cases if path.suffix == ".py" else c_cases)(source))
        for name, claims in cases:
            for claim in claims:
                if claim not in table:
                    mistakes.append(f"{path.relative_to(ROOT)}: {name} covers {claim}, which is no "
                                    "id of tests/faults.txt")
                found.setdefault(claim, {}).setdefault(entry_of(path), []).append(name)
        if sum(len(claims) for _, claims in cases) != len(claims_of(source)):
            mistakes.append(f"{path.relative_to(ROOT)}: a COVERS line that belongs to no test case")
    return found, mistakes


def silent(table, found):
    """The mistakes: ids without a test and without a reason."""
    return [f"tests/faults.txt: {name} has no test and says no reason"
            for name, (_, lacks) in table.items() if name not in found and not lacks]


def report():
    """Prints what is covered by what, then what is not; returns the mistakes."""
    table, mistakes = read_table(TABLE.read_text())
    found, more = read_tests(table)
    mistakes += more + silent(table, found)
    print("Covered:")
    for name, (meaning, lacks) in table.items():
        if name not in found:
            continue
        print(f"  {name:<4} {meaning}" + (f"\n       not: {lacks}" if lacks else ""))
        for entry, cases in found[name].items():
            print(textwrap.fill(f"{entry}: {', '.join(cases)}", 100, initial_indent=7 * " ",
                                subsequent_indent=9 * " "))
    print("\nNot covered:")
    for name, (meaning, lacks) in table.items():
        if name in found:
            continue
        print(f"  {name:<4} {meaning}: {lacks}")
    in_part = sum(1 for name in found if name in table and table[name][1])
    print(f"\n{len(table)} ids: {len(found)} covered ({in_part} of them in part), "
          f"{len(table) - len(found)} not")
    for mistake in mistakes:
        print(f"MISTAKE {mistake}")
    return mistakes
