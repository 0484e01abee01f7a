/*
 * check_test.c - names, `from`, circles, what is unused, and the order of the plan.
 */
#include "tests/unit/topology/fake.h"

#define HEAD "millrace: 1\napp: t\nkafka: { brokers: [a:1] }\nerrors: { default: { stop: true } }\n"
#define SOURCE "sources:\n  a: { topic: a, format: json, schema: { x: text, n: bigint } }\n"

static void test_order_follows_the_graph(void **state)
{
    mr_topology *topology =
        fake_load(HEAD "sinks:\n  out: { from: third, topic: out }\n"
                       "steps:\n"
                       "  third: { op: filter, from: second, where: n > 0 }\n"
                       "  first: { op: filter, from: a, where: n > 0 }\n"
                       "  second: { op: filter, from: first, where: n > 0 }\n" SOURCE);
    const mr_plan *plan = mr_topology_plan(topology);
    static const char *const names[] = {"a", "first", "second", "third", "out"};

    (void)state;
    assert_non_null(plan);
    assert_int_equal(plan->node_count, 5);
    for (uint32_t i = 0; i < 5; i++) {
        assert_string_equal(plan->nodes[i].name, names[i]);
        assert_int_equal(plan->nodes[i].index, i);
    }
    assert_int_equal(plan->nodes[3].input_node, 2);
    assert_int_equal(plan->nodes[0].outputs[0].consumer_count, 1);
    assert_int_equal(plan->nodes[0].outputs[0].consumers[0].node, 1);
    mr_topology_destroy(topology);
}

static void test_unused_items_are_left_out(void **state)
{
    mr_topology *topology =
        fake_load(HEAD SOURCE "  more: { topic: more, format: json, schema: { x: text } }\n"
                              "steps:\n  lost: { op: filter, from: a, where: n > 0 }\n"
                              "sinks:\n  out: { from: a, topic: out }\n");
    const mr_plan *plan = mr_topology_plan(topology);
    uint32_t count = 0;
    const mr_message *messages = mr_topology_messages(topology, &count);

    (void)state;
    assert_non_null(plan);
    assert_int_equal(plan->node_count, 2);
    assert_int_equal(plan->topic_count, 2);
    assert_int_equal(count, 2);
    assert_int_equal(messages[0].code, 203);
    assert_true(messages[0].is_warning && messages[1].is_warning);
    mr_topology_destroy(topology);
}

static void test_mistakes(void **state)
{
    (void)state;
    fake_expect(HEAD SOURCE "sinks:\n  out: { from: b, topic: out }\n", 202, 8);
    fake_expect(HEAD SOURCE "sinks:\n  out: { from: a.late, topic: out }\n", 202, 8);
    fake_expect(HEAD SOURCE "sinks:\n  out: { from: out, topic: out }\n", 202, 8);
    fake_expect(HEAD SOURCE "sinks:\n  out: { topic: out }\n", 104, 8);
    fake_expect(HEAD SOURCE "sinks:\n  out: { from: [a], topic: out }\n", 105, 8);
    fake_expect(HEAD SOURCE "sinks:\n  a: { from: a, topic: out }\n", 201, 8);
    fake_expect(HEAD SOURCE "steps:\n  s: { op: filter, from: s, where: n > 0 }\n"
                            "sinks:\n  out: { from: s, topic: out }\n",
                204, 8);
    fake_expect(HEAD SOURCE "steps:\n  s: { op: filter, from: t, where: n > 0 }\n"
                            "  t: { op: filter, from: s, where: n > 0 }\n"
                            "  u: { op: filter, from: t, where: n > 0 }\n"
                            "sinks:\n  out: { from: u, topic: out }\n",
                204, 8);
    fake_expect(HEAD SOURCE "steps:\n  s: { op: filter, from: a, where: n > 0 }\n"
                            "sinks:\n  out: { from: s.errors, topic: out }\n",
                202, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_follows_the_graph),
        cmocka_unit_test(test_unused_items_are_left_out),
        cmocka_unit_test(test_mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
