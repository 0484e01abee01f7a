/*
 * model_test.c - the top level and the types of items.
 */
#include "tests/unit/topology/fake.h"

#define SOURCE "sources:\n  a: { topic: a, format: json, schema: { x: text } }\n"
#define SINK "sinks:\n  b: { from: a, topic: b }\n"
#define REST "kafka: { brokers: [a:1] }\nerrors: { default: { stop: true } }\n"

static void test_extra_keys(void **state)
{
    mr_topology *topology = fake_load("millrace: 1\napp: my-app\ndescription: about\n"
                                      "x-anything: { whatever: [1] }\nsteps:\n" REST SOURCE SINK);

    (void)state;
    assert_non_null(mr_topology_plan(topology));
    mr_topology_destroy(topology);
}

static void test_mistakes(void **state)
{
    (void)state;
    fake_expect("[]\n", 105, 1);
    fake_expect("app: t\n" REST SOURCE SINK, 104, 1);
    fake_expect("millrace: 2\napp: t\n" REST SOURCE SINK, 114, 1);
    fake_expect("millrace: 1\n" REST SOURCE SINK, 104, 1);
    fake_expect("millrace: 1\napp: T\n" REST SOURCE SINK, 113, 2);
    fake_expect("millrace: 1\napp: t\n" REST SOURCE, 104, 1);
    fake_expect("millrace: 1\napp: t\n" REST SOURCE "sinks: {}\n", 207, 7);
    fake_expect("millrace: 1\napp: t\n" REST "sources: {}\n" SINK, 207, 5);
    fake_expect("millrace: 1\napp: t\ntests: [a.test.yaml]\n" REST SOURCE SINK, 109, 3);
    fake_expect("millrace: 1\napp: t\nregistry: {}\n" REST SOURCE SINK, 109, 3);
    fake_expect("millrace: 1\napp: t\ntable: {}\n" REST SOURCE SINK, 102, 3);
    fake_expect("millrace: 1\napp: t\n" REST SOURCE "  B: { topic: b }\n" SINK, 113, 7);
    fake_expect("millrace: 1\napp: t\n" REST SOURCE "  c: { kind: kafkaa }\n" SINK, 206, 7);
    fake_expect("millrace: 1\napp: t\n" REST SOURCE "  c: { kind: generator }\n" SINK, 109, 7);
    fake_expect("millrace: 1\napp: t\n" REST SOURCE SINK "  c: { kind: postgres, from: a }\n", 109,
                9);
    fake_expect("millrace: 1\napp: t\n" REST SOURCE SINK "steps: { s: { op: mpa, from: a } }\n",
                205, 9);
    fake_expect("millrace: 1\napp: t\n" REST SOURCE SINK "steps: { s: { op: join, from: a } }\n",
                109, 9);
    fake_expect("millrace: 1\napp: t\n" REST SOURCE SINK "steps: { s: { from: a } }\n", 104, 9);
    fake_expect("millrace: 1\napp: t\n" REST SOURCE SINK "steps: { s: text }\n", 105, 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_extra_keys),
        cmocka_unit_test(test_mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
