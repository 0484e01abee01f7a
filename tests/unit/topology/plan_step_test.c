/*
 * plan_step_test.c - option tables of steps, and the rules of keys and groups.
 */
#include "tests/unit/topology/fake.h"

#define HEAD                                                                                  \
    "millrace: 1\napp: t\nkafka: { brokers: [a:1] }\nerrors: { default: { stop: true } }\n"   \
    "sources:\n"                                                                              \
    "  a: { topic: in, format: json, key: [id], schema: { id: text, k: text, n: bigint } }\n" \
    "  free: { topic: in2, format: json, schema: { id: text, n: bigint } }\n"
#define SINK "sinks:\n  b: { from: s, topic: out }\n"
#define STEP(text) HEAD SINK "steps:\n  s: " text "\n"

static void test_options_reach_the_spec(void **state)
{
    mr_topology *topology = fake_load(STEP(
        "{ op: aggregate, from: a, by: [k, id], select: { id, k, c: count(*) }, emit: every }"));

    (void)state;
    assert_non_null(mr_topology_plan(topology));
    const mr_plan_node *node = fake_node(mr_topology_plan(topology), "s");
    const fake_aggregate_spec *spec = node->spec;
    assert_int_equal(spec->by.count, 2);
    assert_int_equal(spec->by.indexes[0], 1);
    assert_int_equal(spec->by.indexes[1], 0);
    assert_int_equal(spec->by.given, 1);
    assert_int_equal(spec->emit, 1);
    assert_non_null(spec->fold);
    assert_string_equal(node->input->fields[0].name, "id");
    assert_int_equal(node->outputs[0].schema->mode, MR_UPSERT);
    assert_true(mr_topology_plan(topology)->is_stateful);
    mr_topology_destroy(topology);
}

static void test_by_is_the_key_unless_given(void **state)
{
    mr_topology *topology =
        fake_load(STEP("{ op: aggregate, from: a, select: { id, c: count(*) } }"));

    (void)state;
    assert_non_null(mr_topology_plan(topology));
    const fake_aggregate_spec *spec = fake_node(mr_topology_plan(topology), "s")->spec;
    assert_int_equal(spec->by.count, 1);
    assert_int_equal(spec->by.indexes[0], 0);
    assert_int_equal(spec->by.given, 0);
    assert_int_equal(spec->emit, 0);
    mr_topology_destroy(topology);
}

static void test_an_empty_value_is_the_column(void **state)
{
    mr_topology *topology = fake_load(STEP("{ op: map, from: a, select: { id, m: n } }"));
    uint32_t column = 9;

    (void)state;
    assert_non_null(mr_topology_plan(topology));
    const fake_map_spec *spec = fake_node(mr_topology_plan(topology), "s")->spec;
    assert_int_equal(spec->select.count, 2);
    assert_string_equal(spec->select.names[1], "m");
    assert_true(mr_expr_is_column(spec->select.exprs[0], &column));
    assert_int_equal(column, 0);
    assert_true(mr_expr_is_column(spec->select.exprs[1], &column));
    assert_int_equal(column, 2);
    assert_int_equal(spec->set.count, 0);
    mr_topology_destroy(topology);
}

static void test_mistakes(void **state)
{
    (void)state;
    fake_expect(STEP("{ op: filter, from: a }"), 104, 11);
    fake_expect(STEP("{ op: filter, from: a, where: n }"), 304, 11);
    fake_expect(STEP("{ op: filter, from: a, where: [n > 0] }"), 105, 11);
    fake_expect(STEP("{ op: filter, from: a, where: n > 0, were: 1 }"), 102, 11);
    fake_expect(STEP("{ op: filter, from: a, where: n > 0, was: old }"), 109, 11);
    fake_expect(STEP("{ op: filter, from: a, where: n > 0, late: count }"), 109, 11);
    fake_expect(STEP("{ op: map, from: a, select: [id] }"), 105, 11);
    fake_expect(STEP("{ op: map, from: a, select: {} }"), 209, 11);
    fake_expect(STEP("{ op: map, from: a }"), 104, 11); /* By the operator's plan(). */
    fake_expect(STEP("{ op: aggregate, from: a, by: [k], select: { k } }"), 401, 11);
    fake_expect(STEP("{ op: aggregate, from: a, by: [], select: { c: count(*) } }"), 401, 11);
    fake_expect(STEP("{ op: aggregate, from: free, by: [id], select: { id } }"), 403, 11);
    fake_expect(STEP("{ op: aggregate, from: a, by: [x], select: { id } }"), 302, 11);
    fake_expect(STEP("{ op: aggregate, from: a, select: { id }, ttl: 1d }"), 109, 11);
    fake_expect(STEP("{ op: aggregate, from: a, select: { id }, emit: evry }"), 106, 11);
    fake_expect(STEP("{ op: aggregate, from: a, select: { id }, scope: partition }"), 109, 11);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_reach_the_spec),
        cmocka_unit_test(test_by_is_the_key_unless_given),
        cmocka_unit_test(test_an_empty_value_is_the_column),
        cmocka_unit_test(test_mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
