/*
 * routes_test.c - where rejected rows go.
 */
#include "tests/unit/topology/fake.h"

#define HEAD "millrace: 1\napp: t\nkafka: { brokers: [a:1] }\n"
#define SOURCE "sources:\n  a: { topic: a, format: json, schema: { x: text } }\n"
#define SINK "sinks:\n  b: { from: a, topic: b }\n"

static void test_own_route_before_the_default(void **state)
{
    mr_topology *topology = fake_load(
        HEAD
        "sources:\n"
        "  a: { topic: a, format: json, schema: { x: text }, on_error: { drop: true } }\n"
        "  c: { topic: c, format: json, schema: { x: text } }\n"
        "sinks:\n  b: { from: a, topic: b, on_error: { stop: true } }\n  d: { from: c, topic: d }\n"
        "errors: { default: { dlq: dead }, poison: { after: 3, stop: true } }\n"
        "dlqs: { dead: { topic: dead, create: { partitions: 2 } } }\n");
    const mr_plan *plan = mr_topology_plan(topology);

    (void)state;
    assert_non_null(plan);
    assert_int_equal(fake_node(plan, "a")->on_error.kind, MR_ROUTE_DROP);
    assert_int_equal(fake_node(plan, "b")->on_error.kind, MR_ROUTE_STOP);
    assert_int_equal(fake_node(plan, "c")->on_error.kind, MR_ROUTE_DLQ);
    assert_int_equal(fake_node(plan, "d")->on_error.kind, MR_ROUTE_DLQ);
    assert_int_equal(plan->dlq_count, 1);
    assert_string_equal(plan->dlqs[0].name, "dead");
    const mr_plan_topic *topic = &plan->topics[plan->dlqs[0].topic];
    assert_string_equal(topic->name, "dead");
    assert_true(topic->is_output);
    assert_int_equal(topic->create_partitions, 2);
    assert_int_equal(topic->create_replication, -1);
    mr_topology_destroy(topology);
}

static void test_an_unused_dlq_is_left_out(void **state)
{
    mr_topology *topology = fake_load(HEAD SOURCE SINK "errors: { default: { stop: true } }\n"
                                                       "dlqs: { dead: { topic: dead } }\n");

    (void)state;
    assert_non_null(mr_topology_plan(topology));
    assert_int_equal(mr_topology_plan(topology)->dlq_count, 0);
    assert_int_equal(mr_topology_plan(topology)->topic_count, 2);
    assert_non_null(fake_message(topology, 203));
    mr_topology_destroy(topology);
}

static void test_mistakes(void **state)
{
    (void)state;
    fake_expect(HEAD SOURCE SINK, 601, 5);
    fake_expect(HEAD SOURCE SINK "errors: { default: { dlq: dead } }\n", 602, 8);
    fake_expect(HEAD SOURCE SINK "errors: { default: {} }\n", 603, 8);
    fake_expect(HEAD SOURCE SINK "errors: { default: { stop: true, drop: true } }\n", 603, 8);
    fake_expect(HEAD SOURCE SINK "errors: { default: { stop: false } }\n", 106, 8);
    fake_expect(HEAD SOURCE SINK "errors: { default: { output: true } }\n", 109, 8);
    fake_expect(HEAD SOURCE SINK "errors: { default: { stop: true, retry: {} } }\n", 109, 8);
    fake_expect(HEAD SOURCE SINK "errors: { default: { stopp: true } }\n", 102, 8);
    fake_expect(HEAD SOURCE SINK "errors: { default: { stop: true }, poison: { after: 2 } }\n", 109,
                8);
    fake_expect(HEAD SOURCE SINK "errors: { default: { stop: true }, poison: { stop: false } }\n",
                109, 8);
    fake_expect(HEAD SOURCE SINK "errors: { default: { dlq: d } }\ndlqs: { d: {} }\n", 104, 9);
    fake_expect(HEAD SOURCE SINK
                "errors: { default: { dlq: d } }\ndlqs: { d: { topic: x, stop_above: {} } }\n",
                109, 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own_route_before_the_default),
        cmocka_unit_test(test_an_unused_dlq_is_left_out),
        cmocka_unit_test(test_mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
