/*
 * prune_test.c - which columns a source decodes, and where old halves are needed.
 */
#include "tests/unit/topology/fake.h"

#define HEAD                                                                                \
    "millrace: 1\napp: t\nkafka: { brokers: [a:1] }\nerrors: { default: { stop: true } }\n" \
    "sources:\n  a:\n    topic: in\n    format: json\n    key: [id]\n    event_time: at\n"  \
    "    schema: { id: text, n: bigint, m: bigint, at: timestamptz, z: text }\n"

#define WITH_ERRORS                                                                       \
    "steps:\n  s: { op: map, from: a, select: { id, x: z::bigint }, on_error: { output: " \
    "true } }\n"

/* The needed columns of source a as letters; meta columns as `.`. */
static void expect_needed(const char *text, const char *wanted)
{
    mr_topology *topology = fake_load(text);
    char needed[64] = "";

    assert_non_null(mr_topology_plan(topology));
    const mr_source_common *common = fake_node(mr_topology_plan(topology), "a")->common;
    for (uint32_t i = 0; i < common->schema->field_count; i++) {
        if (common->fields[i].needed) {
            needed[strlen(needed)] =
                common->schema->fields[i].hidden ? '.' : common->schema->fields[i].name[0];
        }
    }
    assert_string_equal(needed, wanted);
    mr_topology_destroy(topology);
}

static void test_needed_columns(void **state)
{
    (void)state;
    expect_needed(HEAD "sinks: { b: { from: a, topic: o } }\n", "inmaz");
    /* Behind a map: what it reads, the key and the event time. */
    expect_needed(HEAD "steps: { s: { op: map, from: a, select: { id, x: m } } }\n"
                       "sinks: { b: { from: s, topic: o } }\n",
                  "ima");
    expect_needed(HEAD "steps: { s: { op: map, from: a, select: { x: z } } }\n"
                       "sinks: { b: { from: s, topic: o, partitioner: same } }\n",
                  "iaz");
    /* A column that is only handed through a filter is needed where it is read. */
    expect_needed(HEAD "steps:\n  f: { op: filter, from: a, where: n is not null and n > 0 }\n"
                       "  s: { op: map, from: f, select: { id, m } }\n"
                       "sinks: { b: { from: s, topic: o } }\n",
                  "inma");
    expect_needed(HEAD "steps: { s: { op: aggregate, from: a, select: { id, c: count(*) } } }\n"
                       "sinks: { b: { from: s, topic: o } }\n",
                  "ia");
    /* A hidden column that a sink's expression reads. */
    expect_needed(HEAD "steps: { s: { op: map, from: a, select: { id } } }\n"
                       "sinks: { b: { from: s, topic: o, headers: { t: meta.topic } } }\n",
                  "ia.");
    /* An error output: what is read of it, under the names of the step's input. */
    expect_needed(HEAD WITH_ERRORS "sinks: { b: { from: s, topic: o }, e: { "
                                   "from: s.errors, topic: p } }\n",
                  "inmaz");
    expect_needed(HEAD WITH_ERRORS "  t: { op: map, from: s.errors, "
                                   "select: { id, m, error_code } }\n"
                                   "sinks: { b: { from: s, topic: o "
                                   "}, e: { from: t, topic: p } }\n",
                  "imaz");
    expect_needed(HEAD "steps:\n  s: { op: aggregate, from: a, select: { id, c: sum(n) }, "
                       "on_error: { output: true } }\n"
                       "  t: { op: map, from: s.errors, select: { id, z, error_code } }\n"
                       "sinks: { b: { from: s, topic: o }, e: { from: t, topic: p } }\n",
                  "inaz");
    /* A step that no sink reads needs nothing. */
    expect_needed(HEAD "steps:\n  s: { op: map, from: a, select: { id } }\n"
                       "  lost: { op: map, from: a, select: { z } }\n"
                       "sinks: { b: { from: s, topic: o } }\n",
                  "ia");
}

static void expect_old(const char *text, bool wanted)
{
    mr_topology *topology = fake_load(text);

    assert_non_null(mr_topology_plan(topology));
    assert_int_equal(fake_node(mr_topology_plan(topology), "s")->outputs[0].wants_old, wanted);
    assert_false(fake_node(mr_topology_plan(topology), "a")->outputs[0].wants_old);
    mr_topology_destroy(topology);
}

#define COUNTS "  s: { op: aggregate, from: a, select: { id, c: count(*) } }\n"

static void test_old_halves(void **state)
{
    (void)state;
    expect_old(HEAD "sinks: { b: { from: s, topic: o } }\nsteps:\n" COUNTS, false);
    expect_old(HEAD "sinks: { b: { from: t, topic: o } }\nsteps:\n" COUNTS
                    "  t: { op: map, from: s, select: { id, c } }\n",
               false);
    expect_old(HEAD "sinks: { b: { from: t, topic: o } }\nsteps:\n" COUNTS
                    "  t: { op: filter, from: s, where: c > 1 }\n",
               true);
    expect_old(HEAD "sinks: { b: { from: u, topic: o }, d: { from: s, topic: p } }\nsteps:\n" COUNTS
                    "  t: { op: map, from: s, select: { id, c } }\n"
                    "  u: { op: filter, from: t, where: c > 1 }\n",
               true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_needed_columns),
        cmocka_unit_test(test_old_halves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
