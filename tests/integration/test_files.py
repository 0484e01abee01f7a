"""Files and pipes with no service at all."""
# CTEST: TIMEOUT=60
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.integration import documents
from tests.support import harness

PIPE = documents.ROOT / "topologies" / "pipe.yaml"


def test_pipe_without_any_service(t):
    lines = '{"city":"Bern","c":21.5}\n{"city":"Oslo","c":null}\n{"city":"Rom","c":30}\n'
    run = t.millrace("run", PIPE, feed=lines.encode())
    run.expect_exit(harness.EXIT_OK)
    rows = [json.loads(line) for line in run.stdout().splitlines()]
    assert [row["city"] for row in rows] == ["BERN", "ROM"], run.stdout()
    assert [row["f"] for row in rows] == [70.7, 86.0], run.stdout()


def test_a_field_that_is_wrong_is_named(t):
    schema = {"who": {"type": "record not null", "fields": {"id": "bigint not null"}}}
    text = {"millrace": 1, "app": documents.app_of(t), "delivery": "at_least_once",
            "memory": {"total": documents.MEMORY},
            "sources": {"rows": {"kind": "file", "path": "-", "format": "json", "schema": schema}},
            "sinks": {"out": {"from": "rows", "kind": "file", "path": "-"}},
            "errors": {"default": {"stop": True}}}
    path = documents.write(t, text)
    for line, name in (('{"who":{}}', "who.id"), ('{"who":{"id":"x"}}', "who.id"), ("{}", "who"),
                       ('{"who":[]}', "who")):
        run = t.millrace("run", path, feed=f'{{"who":{{"id":5}}}}\n{line}\n'.encode())
        run.expect_exit(harness.EXIT_FAILURE)
        last = run.stderr().strip().splitlines()[-1]
        assert ":2:" in last and f": {name} (" in last, last
        assert run.stdout() in ("", '{"who":{"id":5}}\n'), run.stdout()


def test_pipe_names_the_line_that_is_wrong(t):
    run = t.millrace("run", PIPE, feed=b'{"city":"Bern","c":21.5}\n{"city":\n')
    run.expect_exit(harness.EXIT_FAILURE)
    last = run.stderr().strip().splitlines()[-1]
    assert "readings" in last and ":2:" in last, last


def test_counts_from_file_to_file(t):
    rows = [{"k": f"k{n % 3}", "v": n} for n in range(3000)]
    source = t.write("in.ndjson", "".join(json.dumps(row) + "\n" for row in rows))
    sink = t.folder / "out.ndjson"
    text = {"millrace": 1, "app": documents.app_of(t), "delivery": "at_least_once",
            "memory": {"total": documents.MEMORY},
            "sources": {"rows": {"kind": "file", "path": str(source), "format": "json",
                                 "key": ["k"], "schema": {"k": "text not null", "v": "bigint"}}},
            "steps": {"sums": {"op": "aggregate", "from": "rows", "by": ["k"],
                               "select": {"k": "k", "n": "count(*)", "total": "sum(v)"}}},
            "sinks": {"out": {"from": "sums", "kind": "file", "path": str(sink)}},
            "errors": {"default": {"stop": True}}}
    run = t.millrace("run", documents.write(t, text))
    run.expect_exit(harness.EXIT_OK)
    last = {row["k"]: row for row in map(json.loads, sink.read_text().splitlines())}
    assert {k: row["n"] for k, row in last.items()} == {"k0": 1000, "k1": 1000, "k2": 1000}
    assert sum(row["total"] for row in last.values()) == sum(range(3000))


def test_absent_file_is_named(t):
    run = t.millrace("run", PIPE, env={"PIPE_IN": str(t.folder / "absent.ndjson")})
    run.expect_exit(harness.EXIT_CONFIG)
    assert "absent.ndjson" in run.stderr(), run.stderr()


def test_exactly_once_is_refused_for_a_file_sink(t):
    text = PIPE.read_text().replace("delivery: at_least_once\n", "")
    run = t.millrace("check", t.write("pipe.yaml", text))
    run.expect_exit(harness.EXIT_CONFIG)
    assert "at_least_once" in run.stdout() + run.stderr()


harness.main(globals())
