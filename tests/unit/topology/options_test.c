/*
 * options_test.c - every kind of value of an option table, written and by its fallback.
 */
#include "tests/unit/topology/private.h"

typedef struct spec {
    const char *text;
    uint32_t choice;
    bool flag;
    uint64_t count, size_bytes;
    int64_t duration_us;
    mr_columns by, columns;
    const mr_expr *expr;
    mr_select select;
} spec;

static const mr_option table[] = {
    {.name = "text", .kind = MR_OPTION_TEXT, .fallback = "f", .offset = offsetof(spec, text)},
    {.name = "choice",
     .kind = MR_OPTION_CHOICE,
     .choices = "a|b",
     .fallback = "b",
     .offset = offsetof(spec, choice)},
    {.name = "flag", .kind = MR_OPTION_BOOLEAN, .fallback = "true", .offset = offsetof(spec, flag)},
    {.name = "count", .kind = MR_OPTION_COUNT, .fallback = "7", .offset = offsetof(spec, count)},
    {.name = "size",
     .kind = MR_OPTION_SIZE,
     .fallback = "1KiB",
     .offset = offsetof(spec, size_bytes)},
    {.name = "duration",
     .kind = MR_OPTION_DURATION,
     .fallback = "1s",
     .offset = offsetof(spec, duration_us)},
    {.name = "by", .kind = MR_OPTION_COLUMNS, .offset = offsetof(spec, by)},
    {.name = "columns", .kind = MR_OPTION_COLUMNS, .offset = offsetof(spec, columns)},
    {.name = "expr", .kind = MR_OPTION_EXPR, .offset = offsetof(spec, expr)},
    {.name = "select", .kind = MR_OPTION_SELECT, .offset = offsetof(spec, select)},
    {.name = "later", .kind = MR_OPTION_REFUSED},
};
enum { TABLE_COUNT = sizeof(table) / sizeof(table[0]) };

static const mr_field fields[] = {{.name = "id", .type = MR_TEXT},
                                  {.name = "n", .type = MR_BIGINT}};
static const mr_schema schema = {.fields = fields, .field_count = 2, .key_count = 1, .key = {1}};

static bool parse(fixture *f, const char *text, const mr_schema *input, spec *into)
{
    const mr_yaml *root = fixture_parse(f, text);
    const mr_item item = {
        .kind = MR_ITEM_STEP, .name = "s", .kind_name = "op", .map = root, .place = root->place};

    *into = (spec){0};
    return mr_options_parse(&f->load, &item, input, table, TABLE_COUNT, into);
}

static void test_fallbacks(void **state)
{
    fixture f;
    spec s;

    (void)state;
    assert_true(parse(&f, "{}", &schema, &s));
    assert_string_equal(s.text, "f");
    assert_int_equal(s.choice, 1);
    assert_true(s.flag);
    assert_int_equal(s.count, 7);
    assert_int_equal(s.size_bytes, 1024);
    assert_int_equal(s.duration_us, 1000000);
    assert_int_equal(s.by.count, 1); /* The key. */
    assert_int_equal(s.by.indexes[0], 1);
    assert_int_equal(s.columns.count, 0);
    assert_null(s.expr);
    assert_int_equal(s.select.count, 0);
    fixture_close(&f);
}

static void test_written(void **state)
{
    fixture f;
    spec s;

    (void)state;
    assert_true(parse(&f,
                      "{ text: \"${GREETING}\", choice: a, flag: false, count: 0, size: 2MiB, "
                      "duration: 2m, by: [], columns: [n, id], expr: n, select: { x: id, n: } }",
                      &schema, &s));
    assert_string_equal(s.text, "hello");
    assert_int_equal(s.choice, 0);
    assert_false(s.flag);
    assert_int_equal(s.count, 0);
    assert_int_equal(s.size_bytes, 2 << 20);
    assert_int_equal(s.duration_us, 120000000);
    assert_int_equal(s.by.count, 0);
    assert_int_equal(s.by.given, 1);
    assert_int_equal(s.columns.count, 2);
    assert_int_equal(s.columns.indexes[0], 1);
    assert_non_null(s.expr);
    assert_int_equal(s.select.count, 2);
    bool needed[2] = {false, false};
    mr_options_columns(table, TABLE_COUNT, &s, needed);
    assert_true(needed[0] && needed[1]);
    fixture_close(&f);
}

/* Behind a broken input the plain values are still tested. */
static void test_without_a_schema(void **state)
{
    fixture f;
    spec s;

    (void)state;
    assert_false(parse(&f, "{ expr: nonsense here, choice: c, by: [x] }", NULL, &s));
    assert_int_equal(f.load.message_count, 1);
    assert_int_equal(f.load.messages[0].code, 106);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fallbacks),
        cmocka_unit_test(test_written),
        cmocka_unit_test(test_without_a_schema),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
