/*
 * fields_test.c - columns of a source: types, the long form, the hidden ones.
 */
#include "tests/unit/topology/fake.h"

#define HEAD "millrace: 1\napp: t\nkafka: { brokers: [a:1] }\nerrors: { default: { stop: true } }\n"
#define SINK "sinks:\n  b: { from: a, topic: out }\n"
#define WITH(schema) \
    HEAD SINK "sources:\n  a:\n    topic: in\n    format: json\n    schema:\n" schema

static void test_types(void **state)
{
    mr_topology *topology = fake_load(WITH("      a: bool\n"
                                           "      b: bigint not null\n"
                                           "      c: double   precision NOT NULL\n"
                                           "      d: numeric(18, 2) not null\n"
                                           "      e: decimal(5)\n"
                                           "      f: text\n"
                                           "      g: timestamptz\n"
                                           "      h: jsonb\n"
                                           "      i: bytea\n"));
    static const mr_type types[] = {MR_BOOLEAN, MR_BIGINT,      MR_DOUBLE, MR_NUMERIC, MR_NUMERIC,
                                    MR_TEXT,    MR_TIMESTAMPTZ, MR_JSONB,  MR_BYTEA};

    (void)state;
    assert_non_null(mr_topology_plan(topology));
    const mr_schema *schema = fake_node(mr_topology_plan(topology), "a")->outputs[0].schema;
    assert_int_equal(schema->field_count, 9 + 6);
    for (uint32_t i = 0; i < 9; i++) {
        assert_int_equal(schema->fields[i].type, types[i]);
        assert_int_equal(schema->fields[i].nullable, i < 1 || i > 3);
        assert_false(schema->fields[i].hidden);
    }
    assert_int_equal(schema->fields[3].precision, 18);
    assert_int_equal(schema->fields[3].scale, 2);
    assert_int_equal(schema->fields[4].precision, 5);
    assert_int_equal(schema->fields[4].scale, 0);
    assert_string_equal(schema->fields[9].name, "meta.topic");
    assert_string_equal(schema->fields[14].name, "meta.key_bytes");
    assert_true(schema->fields[9].hidden && schema->fields[14].hidden);
    mr_topology_destroy(topology);
}

static void test_long_form(void **state)
{
    mr_topology *topology =
        fake_load(WITH("      a: { type: bigint not null, path: after.n, default: 7 }\n"
                       "      b: { type: text, from: header, name: X-Trace }\n"
                       "      c: { type: text, from: header }\n"
                       "      d: { type: timestamptz, format: epoch_ms }\n"
                       "      e.f: text\n"));

    (void)state;
    assert_non_null(mr_topology_plan(topology));
    const mr_source_common *common = fake_node(mr_topology_plan(topology), "a")->common;
    assert_int_equal(common->fields[0].path_count, 2);
    assert_string_equal(common->fields[0].path[0], "after");
    assert_string_equal(common->fields[0].path[1], "n");
    assert_string_equal(common->fields[0].fallback, "7");
    assert_int_equal(common->fields[1].from, MR_FROM_HEADER);
    assert_string_equal(common->fields[1].header, "X-Trace");
    assert_string_equal(common->fields[2].header, "c");
    assert_int_equal(common->fields[3].time_format, MR_TIME_EPOCH_MS);
    assert_int_equal(common->fields[4].path_count, 1); /* Only `path` has dots. */
    assert_string_equal(common->fields[4].path[0], "e.f");
    assert_int_equal(common->fields[5].from, MR_FROM_META);
    mr_topology_destroy(topology);
}

static void test_mistakes(void **state)
{
    (void)state;
    fake_expect(HEAD SINK "sources:\n  a: { topic: in, format: json }\n", 104, 8);
    fake_expect(HEAD SINK "sources:\n  a: { topic: in, format: json, schema: {} }\n", 209, 8);
    fake_expect(WITH("      a: integer\n"), 121, 12);
    fake_expect(WITH("      a: numeric(39,2)\n"), 121, 12);
    fake_expect(WITH("      a: numeric(3,4)\n"), 121, 12);
    fake_expect(WITH("      a: numeric(3,2,1)\n"), 121, 12);
    fake_expect(WITH("      a: record\n"), 109, 12);
    fake_expect(WITH("      a: { path: b }\n"), 104, 12);
    fake_expect(WITH("      a: { type: text, path: b. }\n"), 106, 12);
    fake_expect(WITH("      a: { type: text, name: b }\n"), 106, 12);
    fake_expect(WITH("      a: { type: text, from: header, path: b }\n"), 106, 12);
    fake_expect(WITH("      a: { type: bigint, default: 1.5 }\n"), 106, 12);
    fake_expect(WITH("      a: { type: \"numeric(3,1)\", default: 100 }\n"), 106, 12);
    fake_expect(WITH("      a: { type: bigint, format: iso }\n"), 106, 12);
    fake_expect(WITH("      a: { type: text, fields: {} }\n"), 109, 12);
    fake_expect(WITH("      meta.offset: bigint\n"), 113, 12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_long_form),
        cmocka_unit_test(test_mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
