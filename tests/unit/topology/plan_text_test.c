/*
 * plan_text_test.c - what `explain` says of a plan. The whole text of the example topologies is in
 * tests/golden/explain.
 */
#include "tests/unit/topology/fake.h"

typedef struct lines {
    char text[8192];
    uint32_t count, widest;
} lines;

static void keep(void *self, const char *text)
{
    lines *kept = self;
    const size_t used = strlen(kept->text);

    assert_true(used + strlen(text) + 2 < sizeof(kept->text));
    (void)snprintf(kept->text + used, sizeof(kept->text) - used, "%s\n", text);
    kept->count++;
    kept->widest = strlen(text) > kept->widest ? (uint32_t)strlen(text) : kept->widest;
}

static void explain(const char *text, lines *kept)
{
    mr_topology *topology = fake_load(text);

    *kept = (lines){0};
    assert_non_null(mr_topology_plan(topology));
    mr_plan_explain(mr_topology_plan(topology), keep, kept);
    mr_topology_destroy(topology);
}

static void expect(const lines *kept, const char *part)
{
    if (strstr(kept->text, part) == NULL) {
        fail_msg("no \"%s\" in:\n%s", part, kept->text);
    }
}

static void test_a_plan_with_kafka(void **state)
{
    lines kept;

    (void)state;
    explain("millrace: 1\napp: t\nkafka: { brokers: [a:1] }\nerrors: { default: { dlq: dead } }\n"
            "dlqs: { dead: { topic: bad } }\n"
            "sources:\n  a: { topic: in, format: json, key: [id], schema: { id: text not null, "
            "n: bigint, z: text } }\n"
            "steps:\n  s: { op: aggregate, from: a, select: { id, c: count(*) } }\n"
            "sinks:\n  b: { from: s, topic: out }\n",
            &kept);
    expect(&kept, "a              source kafka topic in  append  key (id)\n");
    expect(&kept, "  out          id text not null, n bigint, z text\n");
    expect(&kept, "  not decoded  n, z\n");
    expect(&kept, "  errors       rows go to dlq dead, topic bad\n");
    expect(&kept, "upsert  identity (id)  key (id)\n");
    expect(&kept, "  record       key (id) as text, partition by murmur2, timestamp event_time\n");
    expect(&kept, "commit         every 100 ms, or 200000 records, or 8MiB of changed state,\n"
                  "               or 32MiB of output (at most 80 % of an arena)\n"
                  "  timeout      10000 ms, then the brokers give up a transaction whose worker is "
                  "silent\n");
    expect(&kept, "exactly once   b, dlq dead\n");
    expect(&kept, "For every input record below the group's committed offset");
    expect(&kept, "instead of guessing.\n");
    assert_true(kept.widest <= 100);
}

static void test_a_plan_of_files_promises_less(void **state)
{
    lines kept;

    (void)state;
    explain("millrace: 1\napp: t\ndelivery: at_least_once\nerrors: { default: { drop: true } }\n"
            "sources:\n  a: { kind: file, path: x, format: json, schema: { x: text } }\n"
            "sinks:\n  b: { from: a, kind: file, path: y }\n",
            &kept);
    expect(&kept, "at least once  b\n");
    expect(&kept, "commit         none: without Kafka a run starts empty, at the beginning\n");
    expect(&kept, "rows are dropped and counted");
    assert_null(strstr(kept.text, "exactly once"));
    assert_null(strstr(kept.text, "For every input record"));
}

/* A worker does not stop for what cannot happen, whatever errors.default says. */
static void test_a_step_that_cannot_fail_has_no_route(void **state)
{
    lines kept;

    (void)state;
    explain("millrace: 1\napp: t\nkafka: { brokers: [a:1] }\nerrors: { default: { dlq: dead } }\n"
            "dlqs: { dead: { topic: bad } }\n"
            "sources:\n  a: { topic: in, format: json, schema: { x: text, n: bigint } }\n"
            "steps:\n  s: { op: filter, from: a, where: n > 0 }\n"
            "  t: { op: filter, from: s, where: \"x::bigint > 0\" }\n"
            "  u: { op: filter, from: t, where: n + 1 > 0, on_error: { stop: true } }\n"
            "sinks:\n  b: { from: u, topic: out }\n",
            &kept);
    const char *none = strstr(kept.text, "  errors       none: it cannot fail\n");
    assert_non_null(none);
    assert_true(none > strstr(kept.text, "\ns              filter"));
    assert_true(none < strstr(kept.text, "\nt              filter"));
    assert_null(strstr(strchr(none, '\n'), "none: it cannot fail"));
    expect(&kept, "  errors       stop the worker\n");
}

static void test_many_columns_are_wrapped(void **state)
{
    char text[16384] =
        "millrace: 1\napp: t\ndelivery: at_least_once\n"
        "errors: { default: { drop: true } }\n"
        "sinks:\n  b: { from: a, kind: file, path: y }\n"
        "sources:\n  a:\n    kind: file\n    path: x\n    format: json\n    schema:\n";
    lines kept;

    (void)state;
    for (int i = 0; i < 60; i++) {
        const size_t used = strlen(text);
        (void)snprintf(text + used, sizeof(text) - used, "      column_%d: numeric(38,2)\n", i);
    }
    explain(text, &kept);
    expect(&kept, "column_59 numeric(38,2)\n");
    assert_true(kept.widest <= 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_plan_with_kafka),
        cmocka_unit_test(test_a_plan_of_files_promises_less),
        cmocka_unit_test(test_a_step_that_cannot_fail_has_no_route),
        cmocka_unit_test(test_many_columns_are_wrapped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
