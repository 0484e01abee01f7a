/*
 * topics_test.c - topics of the plan: each once, created or not.
 */
#include "tests/unit/topology/fake.h"

#define HEAD "millrace: 1\napp: t\nkafka: { brokers: [a:1] }\nerrors: { default: { stop: true } }\n"
#define SOURCE "sources:\n  a: { topic: in, format: json, schema: { x: text } }\n"

static void test_topics(void **state)
{
    mr_topology *topology = fake_load(
        HEAD SOURCE
        "sinks:\n  b: { from: a, topic: out, create: { partitions: 4, replication: 3 } }\n"
        "  c: { from: a, topic: out }\n  d: { from: a, topic: in }\n");
    const mr_plan *plan = mr_topology_plan(topology);

    (void)state;
    assert_non_null(plan);
    assert_int_equal(plan->topic_count, 2);
    assert_string_equal(plan->topics[0].name, "in");
    assert_int_equal(plan->topics[0].source, 0);
    assert_true(plan->topics[0].is_output); /* And a warning. */
    assert_non_null(fake_message(topology, 211));
    assert_int_equal(plan->topics[1].source, MR_NO_INDEX);
    assert_int_equal(plan->topics[1].create_partitions, 4);
    assert_int_equal(plan->topics[1].create_replication, 3);
    mr_topology_destroy(topology);
}

static void test_mistakes(void **state)
{
    (void)state;
    fake_expect(HEAD SOURCE "sinks:\n  b: { from: a, topic: \"a b\" }\n", 703, 8);
    fake_expect(HEAD SOURCE "sinks:\n  b: { from: a, topic: . }\n", 703, 8);
    fake_expect(HEAD SOURCE "sinks:\n  b: { from: a, topic: \"\" }\n", 703, 8);
    fake_expect(HEAD SOURCE "sinks:\n  b: { from: a, topic: o, create: {} }\n", 104, 8);
    fake_expect(HEAD SOURCE "sinks:\n  b: { from: a, topic: o, create: { partitions: 0 } }\n", 106,
                8);
    fake_expect(HEAD SOURCE
                "sinks:\n  b: { from: a, topic: o, create: { partitions: 1, config: { x: y } } }\n",
                109, 8);
    fake_expect(HEAD SOURCE "  b: { topic: in, format: json, schema: { x: text } }\n"
                            "sinks:\n  c: { from: a, topic: o }\n  d: { from: b, topic: p }\n",
                210, 7);
    fake_expect("millrace: 1\napp: t\nerrors: { default: { stop: true } }\n" SOURCE
                "sinks:\n  b: { from: a, topic: o }\n",
                701, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_topics),
        cmocka_unit_test(test_mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
