/*
 * messages_test.c - order, repetition, limit and lines of messages; near words.
 */
#include "tests/unit/topology/private.h"

static mr_place at(uint32_t line, uint32_t column)
{
    return (mr_place){.file = "t.yaml", .line = line, .column = column, .length = 1};
}

static void test_sorted_by_place_without_repetition(void **state)
{
    fixture f;

    (void)state;
    fixture_open(&f, "first\nsecond\r\nthird");
    mr_load_error(&f.load, at(3, 1), 102, NULL, "c");
    mr_load_error(&f.load, at(1, 5), 103, "h", "b %d", 1);
    mr_load_warning(&f.load, at(1, 2), 203, NULL, "a");
    mr_load_error(&f.load, at(1, 5), 103, NULL, "b %d", 1);
    mr_load_error(&f.load, at(2, 1), 104, NULL, "d");
    mr_load_finish_messages(&f.load);
    assert_int_equal(f.load.message_count, 4);
    assert_int_equal(f.load.error_count, 4);
    assert_string_equal(f.load.messages[0].text, "a");
    assert_true(f.load.messages[0].is_warning);
    assert_string_equal(f.load.messages[1].text, "b 1");
    assert_string_equal(f.load.messages[1].hint, "h");
    assert_string_equal(f.load.messages[1].line, "first");
    assert_string_equal(f.load.messages[2].line, "second");
    assert_string_equal(f.load.messages[3].line, "third");
    fixture_close(&f);
}

static void test_a_limit_is_said(void **state)
{
    fixture f;

    (void)state;
    fixture_open(&f, "x");
    for (uint32_t i = 0; i < MR_TOPOLOGY_ERRORS_MAX + 50; i++) {
        mr_load_error(&f.load, at(1, i + 1), 102, NULL, "%u", i);
    }
    mr_load_finish_messages(&f.load);
    assert_int_equal(f.load.message_count, MR_TOPOLOGY_ERRORS_MAX + 1);
    assert_int_equal(f.load.messages[MR_TOPOLOGY_ERRORS_MAX].code, 118);
    assert_null(f.load.messages[MR_TOPOLOGY_ERRORS_MAX].line);
    assert_int_equal(f.load.error_count, MR_TOPOLOGY_ERRORS_MAX + 50);
    fixture_close(&f);
}

static void test_a_diag_brings_its_place_and_hint(void **state)
{
    fixture f;
    mr_diag diag = {0};

    (void)state;
    fixture_open(&f, "x\ny\n");
    assert_int_equal(mr_diag_set(&diag, MR_ERR_CONFIG, 302, "no column%s", "\nhint: try this"),
                     MR_ERR_CONFIG);
    mr_load_diag(&f.load, &diag, at(2, 1));
    diag.place = at(1, 1);
    mr_load_diag(&f.load, &diag, at(2, 1));
    mr_load_finish_messages(&f.load);
    assert_int_equal(f.load.message_count, 2);
    assert_int_equal(f.load.messages[0].place.line, 1);
    assert_int_equal(f.load.messages[1].place.line, 2);
    assert_string_equal(f.load.messages[0].text, "no column");
    assert_string_equal(f.load.messages[0].hint, "try this");
    fixture_close(&f);
}

static const char *nearest(const char *word, const char *a, const char *b)
{
    mr_nearest near = {.word = word};

    mr_nearest_try(&near, a);
    mr_nearest_try(&near, b);
    return near.best;
}

static void test_near_words(void **state)
{
    (void)state;
    assert_string_equal(nearest("amout", "amount", "about"), "amount");
    assert_string_equal(nearest("fitler", "filter", "map"), "filter");
    assert_null(nearest("window", "filter", "map"));
    assert_null(nearest("ab", "cd", "xy"));       /* All of it would be replaced. */
    assert_null(nearest("map", "map", "filter")); /* Equal is no hint. */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sorted_by_place_without_repetition),
        cmocka_unit_test(test_a_limit_is_said),
        cmocka_unit_test(test_a_diag_brings_its_place_and_hint),
        cmocka_unit_test(test_near_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
