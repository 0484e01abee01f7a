/* decimal_test.c - numeric arithmetic at its limits, rounding, and text both ways. */
#include "engine/base/assert.h"
#include "engine/base/decimal.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

static mr_int128 number(const char *text, uint32_t scale)
{
    mr_int128 unscaled = 0;
    mr_int128 value = 0;
    uint32_t own = 0;

    assert_int_equal(mr_decimal_parse(text, strlen(text), true, &unscaled, &own), 0);
    assert_true(mr_decimal_rescale(unscaled, own, scale, &value));
    return value;
}

static void expect_text(mr_int128 value, uint32_t scale, const char *wanted)
{
    char text[MR_DECIMAL_TEXT_MAX + 1];
    const uint32_t size_bytes = mr_decimal_print(value, scale, text);

    text[size_bytes] = '\0';
    assert_string_equal(text, wanted);
}

static void test_text_both_ways(void **state)
{
    static const struct {
        const char *text;
        uint32_t scale;
        const char *printed;
    } rows[] = {
        {"0", 0, "0"},
        {"-0", 2, "0.00"},
        {"1.5", 2, "1.50"},
        {"-0.05", 2, "-0.05"},
        {"1e2", 0, "100"},
        {"12.34e-1", 3, "1.234"},
        {".5", 1, "0.5"},
        {"5.", 0, "5"},
        {"+7", 0, "7"},
        {"99999999999999999999999999999999999999", 0, "99999999999999999999999999999999999999"},
        {"-0.99999999999999999999999999999999999999", 38,
         "-0.99999999999999999999999999999999999999"},
        {"000000000000000000000000000000000000000000001.000000000000000000000000000000000000000", 1,
         "1.0"},
        {"0e999999999999", 0, "0"},
    };

    (void)state;
    for (size_t i = 0; i < MR_LENGTH(rows); i++) {
        expect_text(number(rows[i].text, rows[i].scale), rows[i].scale, rows[i].printed);
    }
}

static void test_own_scale(void **state)
{
    mr_int128 value = 0;
    uint32_t scale = 0;

    (void)state;
    assert_int_equal(mr_decimal_parse("2.500", 5, false, &value, &scale), 0);
    assert_true(value == 2500 && scale == 3);
    assert_int_equal(mr_decimal_parse("2.500", 5, true, &value, &scale), 0);
    assert_true(value == 25 && scale == 1);
    assert_int_equal(mr_decimal_parse("1.0e1", 5, false, &value, &scale), 0);
    assert_true(value == 10 && scale == 0);
    assert_int_equal(mr_decimal_parse("1500", 4, true, &value, &scale), 0);
    assert_true(value == 1500 && scale == 0);
    assert_int_equal(mr_decimal_parse("0.000", 5, false, &value, &scale), 0);
    assert_true(value == 0 && scale == 3);
}

static void test_bad_text(void **state)
{
    static const char *const syntax[] = {"",      "-",   ".",   "1e",  "1e+",   "1 ", " 1",
                                         "1.2.3", "0x1", "NaN", "--1", "1e1.5", "e5"};
    static const char *const range[] = {"100000000000000000000000000000000000000",
                                        "1e38",
                                        "1e-39",
                                        "1e999999999999",
                                        "1e-999999999999",
                                        "0.999999999999999999999999999999999999999"};
    mr_int128 value = 0;
    uint32_t scale = 0;

    (void)state;
    for (size_t i = 0; i < MR_LENGTH(syntax); i++) {
        assert_int_equal(mr_decimal_parse(syntax[i], strlen(syntax[i]), true, &value, &scale), 1);
    }
    for (size_t i = 0; i < MR_LENGTH(range); i++) {
        assert_int_equal(mr_decimal_parse(range[i], strlen(range[i]), true, &value, &scale), 2);
    }
}

static void test_rounding_is_half_away_from_zero(void **state)
{
    static const struct {
        const char *text;
        uint32_t scale;
        const char *rounded;
    } rows[] = {{"2.5", 1, "3"},   {"-2.5", 1, "-3"}, {"2.4", 1, "2"},   {"-2.4", 1, "-2"},
                {"2.449", 3, "2"}, {"0.5", 1, "1"},   {"-0.5", 1, "-1"}, {"0.49", 2, "0"}};

    (void)state;
    for (size_t i = 0; i < MR_LENGTH(rows); i++) {
        mr_int128 out = 0;
        assert_true(
            mr_decimal_rescale(number(rows[i].text, rows[i].scale), rows[i].scale, 0, &out));
        expect_text(out, 0, rows[i].rounded);
    }
}

static void test_limits_of_arithmetic(void **state)
{
    const mr_int128 largest = mr_decimal_power(38) - 1;
    mr_int128 out = 0;

    (void)state;
    assert_true(mr_decimal_add(largest - 1, 1, &out) && out == largest);
    assert_false(mr_decimal_add(largest, 1, &out));
    assert_false(mr_decimal_subtract(-largest, 1, &out));
    assert_true(mr_decimal_subtract(1, 2, &out) && out == -1);
    assert_true(mr_decimal_multiply(mr_decimal_power(19), mr_decimal_power(18), &out));
    assert_false(mr_decimal_multiply(mr_decimal_power(19), mr_decimal_power(19), &out));
    assert_false(mr_decimal_multiply(largest, largest, &out));
    assert_false(mr_decimal_rescale(largest, 0, 1, &out));
    assert_true(mr_decimal_fits(999, 3) && !mr_decimal_fits(1000, 3) && !mr_decimal_fits(-1000, 3));
}

static void test_division(void **state)
{
    static const struct {
        const char *a;
        uint32_t scale_a;
        const char *b;
        uint32_t scale_b, scale;
        const char *quotient;
    } rows[] = {
        {"1", 0, "3", 0, 6, "0.333333"},
        {"2", 0, "3", 0, 6, "0.666667"},
        {"-1", 0, "6", 0, 0, "0"},
        {"-1", 0, "2", 0, 0, "-1"},
        {"1", 0, "-2", 0, 1, "-0.5"},
        {"10.50", 2, "0.5", 1, 2, "21.00"},
        {"1", 0, "99999999999999999999999999999999999999", 0, 38,
         "0.00000000000000000000000000000000000001"},
        {"99999999999999999999999999999999999999", 0, "99999999999999999999999999999999999998", 0,
         37, "1.0000000000000000000000000000000000000"},
        {"0.00000000000000000000000000000000000005", 38, "1", 0, 37,
         "0.0000000000000000000000000000000000001"},
        {"0.00000000000000000000000000000000000014", 38, "1", 0, 37,
         "0.0000000000000000000000000000000000001"},
        {"0.00000000000000000000000000000000000015", 38, "3", 0, 37,
         "0.0000000000000000000000000000000000001"},
        {"0.00000000000000000000000000000000000014", 38, "3", 0, 37,
         "0.0000000000000000000000000000000000000"},
    };
    mr_int128 out = 0;

    (void)state;
    for (size_t i = 0; i < MR_LENGTH(rows); i++) {
        assert_true(mr_decimal_divide(number(rows[i].a, rows[i].scale_a), rows[i].scale_a,
                                      number(rows[i].b, rows[i].scale_b), rows[i].scale_b,
                                      rows[i].scale, &out));
        expect_text(out, rows[i].scale, rows[i].quotient);
    }
    assert_false(mr_decimal_divide(mr_decimal_power(38) - 1, 0, 1, 1, 6, &out));
    assert_false(mr_decimal_divide(mr_decimal_power(37), 0, 1, 0, 6, &out));
}

static void test_doubles(void **state)
{
    mr_int128 out = 0;

    (void)state;
    assert_true(mr_decimal_to_double(number("0.1", 1), 1) == 0.1);
    assert_true(mr_decimal_to_double(number("12345678901234567890.123456789", 9), 9) ==
                12345678901234567890.123456789);
    assert_true(mr_decimal_to_double(number("-1", 30), 30) == -1.0);
    assert_true(mr_decimal_from_double(0.1 + 0.2, 17, &out));
    expect_text(out, 17, "0.30000000000000000");
    assert_true(mr_decimal_from_double(-2.5, 0, &out) && out == -3);
    assert_true(mr_decimal_from_double(1e-300, 2, &out) && out == 0);
    assert_true(mr_decimal_from_double(6e-39, 38, &out) && out == 1);
    assert_true(mr_decimal_from_double(4e-39, 38, &out) && out == 0);
    assert_true(mr_decimal_from_double(1e37, 0, &out) && out == mr_decimal_power(37));
    assert_false(mr_decimal_from_double(1e38, 0, &out));
    assert_false(mr_decimal_from_double(1e37, 2, &out));
    assert_false(mr_decimal_from_double((double)NAN, 2, &out));
    assert_false(mr_decimal_from_double((double)INFINITY, 2, &out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_both_ways),
        cmocka_unit_test(test_own_scale),
        cmocka_unit_test(test_bad_text),
        cmocka_unit_test(test_rounding_is_half_away_from_zero),
        cmocka_unit_test(test_limits_of_arithmetic),
        cmocka_unit_test(test_division),
        cmocka_unit_test(test_doubles),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
