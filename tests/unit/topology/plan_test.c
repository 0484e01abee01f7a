/*
 * plan_test.c - table numbers, layouts and the fingerprint of a plan; what the front door promises.
 */
#include "tests/unit/topology/fake.h"

#define HEAD                                                                                   \
    "millrace: 1\napp: t\nkafka: { brokers: [a:1] }\nerrors: { default: { stop: true } }\n"    \
    "sources:\n  a: { topic: in, format: json, key: [id], schema: { id: text, n: bigint } }\n" \
    "sinks:\n  p: { from: one, topic: p }\n  q: { from: two, topic: q }\n"                     \
    "steps:\n"
#define ONE "  one: { op: aggregate, from: a, select: { id, c: count(*) } }\n"
#define NEW_HEAD                                                                               \
    "millrace: 1\napp: t\nkafka: { brokers: [a:1] }\nerrors: { default: { stop: true } }\n"    \
    "sources:\n  a: { topic: in, format: json, key: [id], schema: { id: text, n: bigint } }\n" \
    "sinks:\n  o: { from: aaa, topic: o }\n  p: { from: one, topic: p }\n"                     \
    "  q: { from: two, topic: q }\n"                                                           \
    "steps:\n"
#define NEW "  aaa: { op: aggregate, from: a, select: { id, c: count(*) } }\n"
#define TWO "  two: { op: aggregate, from: a, select: { id, c: count(*) } }\n"

static void test_tables_are_known_by_name(void **state)
{
    mr_topology *forward = fake_load(HEAD ONE TWO), *backward = fake_load(HEAD TWO ONE);
    const mr_plan *plan = mr_topology_plan(forward), *other = mr_topology_plan(backward);

    (void)state;
    assert_non_null(plan);
    assert_non_null(other);
    assert_int_equal(plan->table_count, 2);
    const mr_plan_node *one = fake_node(plan, "one"), *two = fake_node(plan, "two");
    assert_true(one->tables[0].table != two->tables[0].table);
    assert_int_equal(fake_node(other, "one")->tables[0].table, one->tables[0].table);
    assert_int_equal(fake_node(other, "two")->tables[0].table, two->tables[0].table);
    assert_true(one->tables[0].layout == fake_node(other, "one")->tables[0].layout);
    assert_true(one->tables[0].layout != two->tables[0].layout); /* Same types, other step. */
    assert_string_equal(one->table_names[0], "results");
    assert_string_equal(one->table_keys[0]->fields[0].name, "id");
    assert_true(plan->fingerprint != 0);
    mr_topology_destroy(forward);
    mr_topology_destroy(backward);
}

static void test_a_new_step_renumbers_nothing(void **state)
{
    mr_topology *before = fake_load(HEAD ONE TWO);
    mr_topology *after = fake_load(NEW_HEAD NEW ONE TWO);
    const mr_plan *plan = mr_topology_plan(before), *grown = mr_topology_plan(after);

    (void)state;
    assert_int_equal(fake_node(plan, "two")->tables[0].table,
                     fake_node(grown, "two")->tables[0].table);
    mr_topology_destroy(before);
    mr_topology_destroy(after);
}

static void test_a_wrong_file_has_no_plan(void **state)
{
    mr_topology *topology = fake_load("millrace: 1\n");

    (void)state;
    assert_null(mr_topology_plan(topology));
    mr_topology_destroy(topology);
    mr_topology_destroy(NULL);
}

static void test_edges_and_builds(void **state)
{
    mr_topology *topology = fake_load(HEAD ONE TWO);
    const mr_plan *plan = mr_topology_plan(topology);
    const mr_plan_output *source = &fake_node(plan, "a")->outputs[0];

    (void)state;
    assert_int_equal(source->consumer_count, 2);
    assert_string_equal(plan->nodes[source->consumers[0].node].name, "one");
    assert_string_equal(plan->nodes[source->consumers[1].node].name, "two");
    for (uint32_t i = 0; i < plan->node_count; i++) {
        assert_null(plan->nodes[i].build);
    }
    mr_topology_destroy(topology);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tables_are_known_by_name),
        cmocka_unit_test(test_a_new_step_renumbers_nothing),
        cmocka_unit_test(test_a_wrong_file_has_no_plan),
        cmocka_unit_test(test_edges_and_builds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
