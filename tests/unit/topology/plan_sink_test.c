/*
 * plan_sink_test.c - record keys, partitioners, timestamps, headers and delivery of sinks.
 */
#include "tests/unit/topology/fake.h"

#define HEAD                                                                                \
    "millrace: 1\napp: t\nkafka: { brokers: [a:1] }\nerrors: { default: { stop: true } }\n" \
    "sources:\n"                                                                            \
    "  a: { topic: in, format: json, key: [id],\n"                                          \
    "       schema: { id: text, n: bigint, at: timestamptz, j: jsonb } }\n"                 \
    "  free: { topic: in2, format: json, schema: { id: text } }\n"                          \
    "steps: { s: { op: aggregate, from: a, select: { id, c: count(*) } } }\n"
#define SINKS(text) \
    HEAD "sinks:\n  all: { from: free, topic: x }\n  counts: { from: s, topic: y }\n  b: " text "\n"

static const mr_sink_common *common_of(const mr_topology *topology, const char *name)
{
    assert_non_null(mr_topology_plan(topology));
    return fake_node(mr_topology_plan(topology), name)->common;
}

static void test_defaults(void **state)
{
    mr_topology *topology = fake_load(SINKS("{ from: a, topic: out }"));

    (void)state;
    const mr_sink_common *keyed = common_of(topology, "b");
    assert_int_equal(keyed->key_count, 1);
    assert_int_equal(keyed->key[0], 0);
    assert_int_equal(keyed->partitioner, MR_PARTITION_MURMUR2);
    assert_int_equal(keyed->key_format, MR_KEY_TEXT);
    assert_null(keyed->timestamp);
    assert_false(keyed->timestamp_create);
    assert_int_equal(keyed->delivery, MR_EXACTLY_ONCE);
    const mr_sink_common *free_one = common_of(topology, "all");
    assert_int_equal(free_one->key_count, 0);
    assert_int_equal(free_one->partitioner, MR_PARTITION_SAME);
    const mr_sink_common *counts = common_of(topology, "counts");
    assert_int_equal(counts->key_count, 1); /* The identity. */
    mr_topology_destroy(topology);
}

static void test_values(void **state)
{
    mr_topology *topology = fake_load(
        SINKS("{ from: a, topic: out, key: [n], key_format: int64, partitioner: { expr: n }, "
              "timestamp: at, headers: { who: id }, numbers: string, times: epoch_ms }"));

    (void)state;
    const mr_sink_common *common = common_of(topology, "b");
    assert_int_equal(common->key[0], 1);
    assert_int_equal(common->key_format, MR_KEY_INT64);
    assert_int_equal(common->partitioner, MR_PARTITION_EXPR);
    assert_non_null(common->partition);
    assert_non_null(common->timestamp);
    assert_int_equal(common->header_count, 1);
    assert_string_equal(common->headers[0].name, "who");
    mr_topology_destroy(topology);
    topology =
        fake_load(SINKS("{ from: a, topic: out, key: [], partitioner: same, timestamp: create }"));
    common = common_of(topology, "b");
    assert_int_equal(common->key_count, 0);
    assert_true(common->timestamp_create);
    mr_topology_destroy(topology);
}

/* A raw record has the key columns in its key only. */
static void test_raw_hides_the_key(void **state)
{
    mr_topology *topology = fake_load(SINKS("{ from: s, topic: out, format: raw, key: [id] }"));

    (void)state;
    const mr_sink_common *common = common_of(topology, "b");
    const mr_plan_node *node = fake_node(mr_topology_plan(topology), "b");
    assert_ptr_equal(common->format_spec, node->input);
    assert_true(node->input->fields[0].hidden);
    assert_false(node->input->fields[1].hidden);
    assert_false(fake_node(mr_topology_plan(topology), "s")->outputs[0].schema->fields[0].hidden);
    mr_topology_destroy(topology);
    topology = fake_load(SINKS("{ from: free, topic: out, format: raw, key: [id] }"));
    assert_false(fake_node(mr_topology_plan(topology), "b")->input->fields[0].hidden);
    mr_topology_destroy(topology);
}

static void test_mistakes(void **state)
{
    (void)state;
    fake_expect(SINKS("{ from: a }"), 104, 13);
    fake_expect(SINKS("{ from: a, topic: o, key: [x] }"), 302, 13);
    fake_expect(SINKS("{ from: a, topic: o, key: [j] }"), 409, 13);
    fake_expect(SINKS("{ from: a, topic: o, key_format: int32 }"), 409, 13);
    fake_expect(SINKS("{ from: a, topic: o, key: [], partitioner: murmur2 }"), 411, 13);
    fake_expect(SINKS("{ from: a, topic: o, partitioner: { expr: id } }"), 304, 13);
    fake_expect(SINKS("{ from: a, topic: o, partitioner: {} }"), 104, 13);
    fake_expect(SINKS("{ from: a, topic: o, timestamp: id }"), 304, 13);
    fake_expect(SINKS("{ from: a, topic: o, headers: { h: n } }"), 304, 13);
    fake_expect(SINKS("{ from: a, topic: o, format: xml }"), 208, 13);
    fake_expect(SINKS("{ from: a, topic: o, format: avro }"), 109, 13);
    fake_expect(SINKS("{ from: a, topic: o, numbers: words }"), 106, 13);
    fake_expect(SINKS("{ from: a, topic: o, topic_from: id }"), 109, 13);
    fake_expect(SINKS("{ from: s, topic: o, key: [c] }"), 405, 13);
    fake_expect(SINKS("{ from: s, topic: o, key: [id, c] }"), 405, 13);
    fake_expect(SINKS("{ from: s, topic: o, key: [] }"), 405, 13);
    fake_expect(SINKS("{ from: a, kind: file, path: x }"), 702, 13);
    fake_expect(SINKS("{ from: a, kind: file, path: x, delivery: at_least_once, key: [id] }"), 120,
                13);
    fake_expect(SINKS("{ from: a, kind: file, delivery: at_least_once }"), 104, 13);
    fake_expect(SINKS("{ from: a, topic: o, delivery: best_effort }"), 109, 13);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_raw_hides_the_key),
        cmocka_unit_test(test_mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
