/*
 * plan_source_test.c - keys, formats of keys, times and words of sources.
 */
#include "tests/unit/topology/fake.h"

#define HEAD "millrace: 1\napp: t\nkafka: { brokers: [a:1] }\nerrors: { default: { stop: true } }\n"
#define SINK "sinks:\n  b: { from: a, topic: out }\n"
#define WITH(keys) HEAD SINK "sources:\n  a:\n    topic: in\n    format: json\n" keys
#define SCHEMA "    schema: { id: text, n: bigint, at: timestamptz }\n"

static void test_defaults(void **state)
{
    mr_topology *topology = fake_load(WITH(SCHEMA));

    (void)state;
    assert_non_null(mr_topology_plan(topology));
    const mr_plan_node *node = fake_node(mr_topology_plan(topology), "a");
    const mr_source_common *common = node->common;
    assert_null(common->event_time);
    assert_int_equal(common->start_us, MR_START_EARLIEST);
    assert_int_equal(common->tombstones, MR_TOMBSTONE_ERROR);
    assert_false(common->bounded || common->key_test);
    assert_int_equal(common->topic, 0);
    assert_int_equal(((const fake_source_spec *)node->spec)->max_record_bytes, 1 << 20);
    assert_int_equal(common->schema->key_count, 0);
    assert_false(mr_topology_plan(topology)->is_bounded);
    mr_topology_destroy(topology);
}

static void test_values(void **state)
{
    mr_topology *topology = fake_load(
        WITH(SCHEMA "    key: [n]\n    key_format: int64\n    partitioner: murmur2\n"
                    "    event_time: at\n    watermark: { idle_after: 1m, on_idle: leave }\n"
                    "    start: 2026-01-01T00:00:00Z\n    bounded: true\n    tombstones: drop\n"
                    "    max_record: 2KiB\n    mode: append\n    description: words\n"));

    (void)state;
    assert_non_null(mr_topology_plan(topology));
    const mr_plan_node *node = fake_node(mr_topology_plan(topology), "a");
    const mr_source_common *common = node->common;
    assert_non_null(common->event_time);
    assert_int_equal(common->start_us, INT64_C(1767225600000000));
    assert_int_equal(common->tombstones, MR_TOMBSTONE_DROP);
    assert_true(common->bounded && common->key_test);
    assert_int_equal(common->key_format, MR_KEY_INT64);
    assert_int_equal(common->schema->key_count, 1);
    assert_int_equal(common->schema->key[0], 1);
    assert_false(common->schema->fields[1].nullable); /* A key column is never NULL. */
    assert_int_equal(((const fake_source_spec *)node->spec)->max_record_bytes, 2048);
    assert_true(mr_topology_plan(topology)->is_bounded);
    mr_topology_destroy(topology);
}

static void test_files_need_no_kafka(void **state)
{
    mr_topology *topology = fake_load(
        "millrace: 1\napp: t\ndelivery: at_least_once\nerrors: { default: { stop: true } }\n"
        "sources:\n  a: { kind: file, path: \"-\", format: json, schema: { x: text } }\n"
        "sinks:\n  b: { from: a, kind: file, path: out }\n");
    const mr_plan *plan = mr_topology_plan(topology);

    (void)state;
    assert_non_null(plan);
    assert_false(plan->has_kafka);
    assert_true(plan->is_bounded);
    assert_null(plan->brokers);
    assert_int_equal(plan->topic_count, 0);
    assert_string_equal(((const fake_source_spec *)fake_node(plan, "a")->spec)->path, "-");
    mr_topology_destroy(topology);
}

static void test_mistakes(void **state)
{
    (void)state;
    fake_expect(HEAD SINK "sources:\n  a: { format: json, schema: { x: text } }\n", 104, 8);
    fake_expect(HEAD SINK "sources:\n  a: { topic: in, schema: { x: text } }\n", 104, 8);
    fake_expect(HEAD SINK "sources:\n  a: { topic: in, format: jsn, schema: { x: text } }\n", 208,
                8);
    fake_expect(HEAD SINK "sources:\n  a: { topic: in, format: avro, schema: { x: text } }\n", 109,
                8);
    fake_expect(WITH(SCHEMA "    key: [idd]\n"), 302, 12);
    fake_expect(WITH(SCHEMA "    key: [id, id]\n"), 103, 12);
    fake_expect(WITH(SCHEMA "    key: [meta.offset]\n"), 302, 12);
    fake_expect(WITH(SCHEMA "    key: id\n"), 105, 12);
    fake_expect(WITH(SCHEMA "    key: [id]\n    key_format: int32\n"), 409, 13);
    fake_expect(WITH(SCHEMA "    key: [id, n]\n    key_format: raw\n"), 409, 13);
    fake_expect(
        WITH("    schema: { x: { type: text, from: key }, y: { type: text, from: key } }\n"), 409,
        8);
    fake_expect(WITH("    schema: { x: { type: text, from: key }, y: text }\n    key: [y]\n"), 409,
                12);
    fake_expect(WITH(SCHEMA "    key_format: avro\n"), 109, 12);
    fake_expect(WITH(SCHEMA "    partitioner: crc32\n"), 109, 12);
    fake_expect(WITH(SCHEMA "    mode: upsert\n"), 109, 12);
    fake_expect(WITH(SCHEMA "    event_time: n\n"), 304, 12);
    fake_expect(WITH(SCHEMA "    watermark: { lateness: 10s }\n"), 109, 12);
    fake_expect(WITH(SCHEMA "    start: never\n"), 106, 12);
    fake_expect(WITH(SCHEMA "    follow: true\n"), 109, 12);
    fake_expect(WITH("    schema: { id: text not null }\n    tombstones: pass\n"), 410, 12);
    fake_expect(HEAD SINK "sources:\n"
                          "  a: { kind: file, path: x, format: json, schema: { x: text } }\n",
                109, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_files_need_no_kafka),
        cmocka_unit_test(test_mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
