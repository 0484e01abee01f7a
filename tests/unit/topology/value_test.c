/*
 * value_test.c - scalars by type.
 */
#include "tests/unit/topology/private.h"

static void test_good_values(void **state)
{
    fixture f;
    const mr_yaml *root = fixture_parse(
        &f, "t: text\nb: true\nn: 42\ns: 8MiB\nd: 250ms\nc: every\ne: |\n  a > 0\n  and b\n");
    const char *text;
    bool flag = false;
    uint64_t number = 0;
    int64_t duration_us = 0;
    uint32_t index = 9;

    (void)state;
    assert_true(mr_value_text(&f.load, mr_yaml_get(root, "t"), "t", &text));
    assert_string_equal(text, "text");
    assert_true(mr_value_boolean(&f.load, mr_yaml_get(root, "b"), "b", &flag));
    assert_true(flag);
    assert_true(mr_value_count(&f.load, mr_yaml_get(root, "n"), "n", 1, 42, &number));
    assert_int_equal(number, 42);
    assert_true(mr_value_size(&f.load, mr_yaml_get(root, "s"), "s", &number));
    assert_int_equal(number, 8 << 20);
    assert_true(mr_value_duration(&f.load, mr_yaml_get(root, "d"), "d", &duration_us));
    assert_int_equal(duration_us, 250000);
    assert_true(
        mr_value_choice(&f.load, mr_yaml_get(root, "c"), "c", "on_commit|every", NULL, &index));
    assert_int_equal(index, 1);
    assert_true(mr_value_expr(&f.load, mr_yaml_get(root, "e"), "e", &text));
    assert_string_equal(text, "a > 0\nand b\n");
    assert_int_equal(f.load.message_count, 0);
    fixture_close(&f);
}

typedef bool (*reader)(mr_load *load, const mr_yaml *node);

static bool as_boolean(mr_load *load, const mr_yaml *node)
{
    bool value;
    return mr_value_boolean(load, node, "v", &value);
}

static bool as_count(mr_load *load, const mr_yaml *node)
{
    uint64_t value;
    return mr_value_count(load, node, "v", 1, 10, &value);
}

static bool as_size(mr_load *load, const mr_yaml *node)
{
    uint64_t value;
    return mr_value_size(load, node, "v", &value);
}

static bool as_duration(mr_load *load, const mr_yaml *node)
{
    int64_t value;
    return mr_value_duration(load, node, "v", &value);
}

static bool as_choice(mr_load *load, const mr_yaml *node)
{
    uint32_t value;
    return mr_value_choice(load, node, "v", "a|bc", "later", &value);
}

static bool as_expr(mr_load *load, const mr_yaml *node)
{
    const char *value;
    return mr_value_expr(load, node, "v", &value);
}

static void refused(reader read, const char *document, uint16_t code)
{
    fixture f;
    const mr_yaml *root = fixture_parse(&f, document);

    assert_non_null(root);
    assert_false(read(&f.load, mr_yaml_get(root, "v")));
    assert_int_equal(f.load.message_count, 1);
    assert_int_equal(f.load.messages[0].code, code);
    fixture_close(&f);
}

static void test_refused_values(void **state)
{
    (void)state;
    refused(as_boolean, "v: yes\n", 106);
    refused(as_boolean, "v: [true]\n", 105);
    refused(as_boolean, "v:\n", 105);
    refused(as_count, "v: 0\n", 106);
    refused(as_count, "v: 11\n", 106);
    refused(as_count, "v: 1.0\n", 106);
    refused(as_count, "v: 99999999999999999999\n", 106);
    refused(as_size, "v: 8 Mb\n", 106);
    refused(as_duration, "v: 5 minutes\n", 106);
    refused(as_choice, "v: ab\n", 106);
    refused(as_choice, "v: \"\"\n", 106);
    refused(as_choice, "v: later\n", 109);
    refused(as_choice, "v: \"a|bc\"\n", 106);
    refused(as_expr, "v: >\n  a\n  b\n", 108);
    refused(as_expr, "v: a\n  b\n", 108);
    refused(as_expr, "v: a > ${X}\n", 107);
    refused(as_expr, "v: \"  \"\n", 106);
    refused(as_expr, "v: { a: b }\n", 105);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_values),
        cmocka_unit_test(test_refused_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
