/*
 * routes_test.c - where rejected rows go.
 */
#include "engine/base/assert.h"
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
        "dlqs: { dead: { topic: dead, create: { partitions: 2 }, stop_above: { records: 9, per: 1m "
        "} } }\n");
    const mr_plan *plan = mr_topology_plan(topology);

    (void)state;
    assert_non_null(plan);
    assert_int_equal(fake_node(plan, "a")->on_error.kind, MR_ROUTE_DROP);
    assert_int_equal(fake_node(plan, "b")->on_error.kind, MR_ROUTE_STOP);
    assert_int_equal(fake_node(plan, "c")->on_error.kind, MR_ROUTE_DLQ);
    assert_int_equal(fake_node(plan, "d")->on_error.kind, MR_ROUTE_DLQ);
    assert_int_equal(plan->dlq_count, 1);
    assert_string_equal(plan->dlqs[0].name, "dead");
    assert_int_equal(plan->dlqs[0].stop_records, 9);
    assert_int_equal(plan->dlqs[0].stop_per_us, 60000000);
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

static void expect_poison(const char *errors, uint32_t after, const char *dlq)
{
    char text[1024];
    (void)snprintf(text, sizeof(text), HEAD SOURCE SINK "errors: { default: { stop: true }%s }\n%s",
                   errors, dlq != NULL ? "dlqs: { dead: { topic: dead } }\n" : "");
    mr_topology *topology = fake_load(text);
    const mr_plan *plan = mr_topology_plan(topology);

    assert_non_null(plan);
    assert_null(fake_message(topology, 203)); /* To be named there is to be used. */
    assert_int_equal(plan->poison.after, after);
    assert_int_equal(plan->poison.has_dlq, dlq != NULL);
    if (dlq != NULL) {
        assert_string_equal(plan->dlqs[plan->poison.dlq].name, dlq);
        assert_true(plan->topics[plan->dlqs[plan->poison.dlq].topic].is_output);
    }
    mr_topology_destroy(topology);
}

static void test_poison(void **state)
{
    (void)state;
    expect_poison("", 3, NULL);
    expect_poison(", poison: { stop: true }", 3, NULL);
    expect_poison(", poison: { after: 1, stop: true }", 1, NULL);
    expect_poison(", poison: { after: 100, dlq: dead }", 100, "dead");
    expect_poison(", poison: { dlq: dead }", 3, "dead");
}

#define STEP "steps:\n  s: { op: map, from: a, select: { n: \"x::bigint\" }, on_error: "
#define STOP "errors: { default: { stop: true } }\n"

static void test_an_error_output_is_a_stream(void **state)
{
    mr_topology *topology = fake_load(HEAD SOURCE STEP "{ output: true } }\n"
                                                       "sinks:\n  b: { from: s, topic: b }\n"
                                                       "  e: { from: s.errors, topic: e }\n" STOP);
    const mr_plan *plan = mr_topology_plan(topology);

    (void)state;
    assert_non_null(plan);
    const mr_plan_node *step = fake_node(plan, "s"), *sink = fake_node(plan, "e");
    assert_int_equal(step->on_error.kind, MR_ROUTE_OUTPUT);
    assert_int_equal(step->on_error.output, 1);
    assert_int_equal(step->output_count, 2);
    const mr_plan_output *errors = &step->outputs[1];
    assert_string_equal(errors->name, "s.errors");
    assert_true(errors->borrows);
    assert_int_equal(errors->consumer_count, 1);
    assert_int_equal(errors->consumers[0].node, sink->index);
    assert_int_equal(errors->schema->field_count, step->input->field_count + 2);
    assert_int_equal(errors->schema->mode, MR_APPEND);
    assert_string_equal(errors->schema->fields[0].name, "x");
    assert_string_equal(errors->schema->fields[step->input->field_count].name, "error_code");
    assert_string_equal(errors->schema->fields[step->input->field_count + 1].name, "error_message");
    mr_topology_destroy(topology);
}

static void test_mistakes_of_error_outputs(void **state)
{
    (void)state;
    fake_expect(HEAD SOURCE STEP "{ output: true } }\nsinks:\n  b: { from: s, topic: b }\n" STOP,
                605, 7);
    fake_expect(HEAD SOURCE STEP
                "{ drop: true } }\nsinks:\n  b: { from: s.errors, topic: b }\n" STOP,
                202, 9);
    fake_expect(HEAD SOURCE STEP
                "{ output: true } }\n"
                "  t: { op: map, from: s.errors, select: { n: \"x::bigint\" }, on_error: { output: "
                "true } }\n"
                "sinks:\n  b: { from: t.errors, topic: b }\n" STOP,
                606, 8);
    fake_expect(HEAD SOURCE "sinks:\n  b: { from: a, topic: b, on_error: { output: true } }\n" STOP,
                604, 7);
}

static void test_mistakes(void **state)
{
    (void)state;
    fake_expect(HEAD SOURCE SINK, 601, 5);
    fake_expect(HEAD SOURCE SINK "errors: { default: { dlq: dead } }\n", 602, 8);
    fake_expect(HEAD SOURCE SINK "errors: { default: {} }\n", 603, 8);
    fake_expect(HEAD SOURCE SINK "errors: { default: { stop: true, drop: true } }\n", 603, 8);
    fake_expect(HEAD SOURCE SINK "errors: { default: { stop: false } }\n", 106, 8);
    fake_expect(HEAD SOURCE SINK "errors: { default: { output: true } }\n", 604, 8);
    fake_expect(HEAD SOURCE SINK "errors: { default: { stop: true, retry: {} } }\n", 109, 8);
    fake_expect(HEAD SOURCE SINK "errors: { default: { stopp: true } }\n", 102, 8);
    static const struct {
        const char *poison;
        int code;
    } poisons[] = {{"{ after: 2 }", 603},
                   {"{}", 603},
                   {"{ stop: true, dlq: dead }", 603},
                   {"{ stop: false }", 106},
                   {"{ after: 0, stop: true }", 106},
                   {"{ after: 101, stop: true }", 106},
                   {"{ after: 3, drop: true, stop: true }", 102},
                   {"{ dlq: deed }", 602},
                   {"{ dlq: [] }", 105},
                   {"3", 105}};
    for (uint32_t i = 0; i < MR_LENGTH(poisons); i++) {
        char text[1024];
        (void)snprintf(text, sizeof(text),
                       HEAD SOURCE SINK "errors: { default: { dlq: dead }, poison: %s }\n"
                                        "dlqs: { dead: { topic: x } }\n",
                       poisons[i].poison);
        fake_expect(text, (uint16_t)poisons[i].code, 8);
    }
    fake_expect(HEAD SOURCE SINK "errors: { default: { dlq: d } }\ndlqs: { d: {} }\n", 104, 9);
    fake_expect(HEAD SOURCE SINK
                "errors: { default: { dlq: d } }\ndlqs: { d: { topic: x, stop_above: {} } }\n",
                104, 9);
    fake_expect(HEAD SOURCE SINK "errors: { default: { dlq: d } }\ndlqs: { d: { topic: x, "
                                 "stop_above: { records: 1, per: 10ms } } }\n",
                106, 9);
    fake_expect(HEAD SOURCE SINK "errors: { default: { dlq: d } }\ndlqs: { d: { topic: x, "
                                 "stop_above: { records: 0, per: 1m } } }\n",
                106, 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own_route_before_the_default),
        cmocka_unit_test(test_an_unused_dlq_is_left_out),
        cmocka_unit_test(test_poison),
        cmocka_unit_test(test_an_error_output_is_a_stream),
        cmocka_unit_test(test_mistakes_of_error_outputs),
        cmocka_unit_test(test_mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
