/*
 * settings_test.c - kafka, delivery, commit, state and memory: defaults, values, refusals.
 */
#include "tests/unit/topology/fake.h"

#define ITEMS                                                          \
    "sources:\n  a: { topic: a, format: json, schema: { x: text } }\n" \
    "sinks:\n  b: { from: a, topic: b }\n"                             \
    "errors: { default: { stop: true } }\n"
#define HEAD "millrace: 1\napp: t\n"

static void test_defaults(void **state)
{
    mr_topology *topology = fake_load(HEAD "kafka: { brokers: [a:1] }\n" ITEMS);
    const mr_plan *plan = mr_topology_plan(topology);

    (void)state;
    assert_non_null(plan);
    assert_string_equal(plan->app, "t");
    assert_string_equal(plan->client_id, "t");
    assert_string_equal(plan->brokers, "a:1");
    assert_true(plan->has_kafka);
    assert_int_equal(plan->delivery, MR_EXACTLY_ONCE);
    assert_int_equal(plan->commit.interval_us, 100000);
    assert_int_equal(plan->commit.transaction_timeout_us, 10000000);
    assert_int_equal(plan->commit.dirty_state_bytes, 8 << 20);
    assert_int_equal(plan->commit.output_bytes, 32 << 20);
    assert_false(plan->commit.output_given);
    assert_int_equal(plan->commit.records, 200000);
    assert_int_equal(plan->state.io, MR_PLAN_IO_AUTO);
    assert_int_equal(plan->state.wal_max_bytes, (uint64_t)4 << 30);
    assert_int_equal(plan->state.value_max_bytes, 1 << 20);
    assert_int_equal(plan->memory.total.percent, 50);
    assert_int_equal(plan->memory.kafka.percent, 25);
    mr_topology_destroy(topology);
}

static void test_values(void **state)
{
    mr_topology *topology = fake_load(
        HEAD "kafka: { brokers: [a:1, \"${NOBODY:-b:2,c:3}\"], client_id: me, client: { linger.ms: "
             "20, compression.type: zstd } }\n"
             "delivery: at_least_once\n"
             "commit: { interval: 3s, dirty_state: 1MiB, output: 2MiB, records: 10, slots: 1 }\n"
             "state: { durability: local, io: threads, wal_max: 64MiB, value_max: 4KiB }\n"
             "memory: { total: 1GiB, kafka: 40% }\n" ITEMS);
    const mr_plan *plan = mr_topology_plan(topology);

    (void)state;
    assert_non_null(plan);
    assert_string_equal(plan->brokers, "a:1,b:2,c:3");
    assert_string_equal(plan->client_id, "me");
    assert_int_equal(plan->property_count, 2);
    assert_string_equal(plan->properties[1].name, "compression.type");
    assert_string_equal(plan->properties[1].value, "zstd");
    assert_int_equal(plan->delivery, MR_AT_LEAST_ONCE);
    assert_int_equal(plan->commit.transaction_timeout_us, 15000000); /* 5 x interval */
    assert_true(plan->commit.output_given);
    assert_int_equal(plan->commit.output_bytes, 2 << 20);
    assert_int_equal(plan->commit.records, 10);
    assert_int_equal(plan->state.io, MR_PLAN_IO_THREADS);
    assert_int_equal(plan->memory.total.bytes, 1 << 30);
    assert_int_equal(plan->memory.total.percent, 0);
    assert_int_equal(plan->memory.kafka.percent, 40);
    mr_topology_destroy(topology);
}

static void test_refusals(void **state)
{
    (void)state;
    fake_expect(HEAD "kafka: {}\n" ITEMS, 104, 3);
    fake_expect(HEAD "kafka: { brokers: [a] }\n" ITEMS, 106, 3);
    fake_expect(HEAD "kafka: { brokers: [] }\n" ITEMS, 106, 3);
    fake_expect(HEAD "kafka: { brokers: [a:1], client: { group.id: x } }\n" ITEMS, 115, 3);
    fake_expect(HEAD "kafka: { brokers: [a:1], client: { sasl.password: x } }\n" ITEMS, 720, 3);
    fake_expect(HEAD "kafka: { brokers: [a:1], sasl: {} }\n" ITEMS, 104, 3);
    fake_expect(HEAD "kafka: { brokers: [a:1] }\ncommit: { interval: 61s }\n" ITEMS, 106, 4);
    fake_expect(HEAD "kafka: { brokers: [a:1] }\ncommit: { dirty_state: 57MiB }\n" ITEMS, 106, 4);
    fake_expect(HEAD "kafka: { brokers: [a:1] }\ncommit: { slots: 2 }\n" ITEMS, 109, 4);
    fake_expect(HEAD "kafka: { brokers: [a:1] }\nstate: { durability: changelog }\n" ITEMS, 109, 4);
    fake_expect(HEAD "kafka: { brokers: [a:1] }\nstate: { io: aio }\n" ITEMS, 109, 4);
    fake_expect(HEAD "kafka: { brokers: [a:1] }\nstate: { checkpoint: 500ms }\n" ITEMS, 106, 4);
    fake_expect(HEAD "kafka: { brokers: [a:1] }\nmemory: { total: 96% }\n" ITEMS, 106, 4);
    fake_expect(HEAD "kafka: { brokers: [a:1] }\nmemory: { total: 0 }\n" ITEMS, 106, 4);
    fake_expect(HEAD "kafka: { brokers: [a:1] }\ndelivery: once\n" ITEMS, 106, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
