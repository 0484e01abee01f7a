/*
 * keys_test.c - known, refused, unknown and missing keys of a map.
 */
#include "tests/unit/topology/private.h"

static const mr_key_rule rules[] = {
    {"topic", NULL, MR_KEY_KAFKA | MR_KEY_REQUIRED},
    {"format", NULL, MR_KEY_REQUIRED},
    {"mode", "modes come later", 0},
};
static const mr_option options[] = {
    {.name = "path", .kind = MR_OPTION_TEXT},
    {.name = "ttl", .kind = MR_OPTION_REFUSED, .choices = "nothing ends"},
};

static void test_map(fixture *f, const char *text, const char *not_kafka)
{
    const mr_key_set set = {.what = "thing \"x\"",
                            .rules = rules,
                            .rule_count = 3,
                            .options = options,
                            .option_count = 2,
                            .not_kafka = not_kafka,
                            .place = {.file = "t.yaml", .line = 1, .column = 1}};
    const mr_yaml *root = fixture_parse(f, text);

    assert_non_null(root);
    mr_keys_test(&f->load, root, &set);
}

static void expect_one(const char *text, const char *not_kafka, uint16_t code, const char *hint)
{
    fixture f;

    test_map(&f, text, not_kafka);
    assert_int_equal(f.load.message_count, 1);
    assert_int_equal(f.load.messages[0].code, code);
    if (hint != NULL) {
        assert_string_equal(f.load.messages[0].hint, hint);
    }
    fixture_close(&f);
}

static void test_keys(void **state)
{
    fixture f;

    (void)state;
    test_map(&f, "{ topic: a, format: b, path: c }\n", NULL);
    assert_int_equal(f.load.message_count, 0);
    fixture_close(&f);
    expect_one("{ topic: a }\n", NULL, 104, NULL);
    expect_one("{ format: b }\n", NULL, 104, NULL);
    expect_one("{ topic: a, format: b, mode: c }\n", NULL, 109, NULL);
    expect_one("{ topic: a, format: b, ttl: c }\n", NULL, 109, NULL);
    expect_one("{ topic: a, format: b, pth: c }\n", NULL, 102, "did you mean \"path\"?");
    expect_one("{ topic: a, format: b, xyz: c }\n", NULL, 102, "keys: topic, format, path");
    expect_one("{ format: b, topic: a }\n", "file", 120, NULL);
    expect_one("{ format: b, xyz: c }\n", "file", 102, "keys: format, path");
}

static void test_names(void **state)
{
    char name[80];

    (void)state;
    assert_true(mr_name_valid("a", false));
    assert_true(mr_name_valid("orders_2", false));
    assert_true(mr_name_valid("my-app", true));
    assert_false(mr_name_valid("my-app", false));
    assert_false(mr_name_valid("", true));
    assert_false(mr_name_valid("2a", true));
    assert_false(mr_name_valid("_a", true));
    assert_false(mr_name_valid("Ab", true));
    memset(name, 'a', sizeof(name));
    name[63] = '\0';
    assert_true(mr_name_valid(name, false));
    name[63] = 'a';
    name[64] = '\0';
    assert_false(mr_name_valid(name, false));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
