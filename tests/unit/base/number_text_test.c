/* number_text_test.c - doubles as PostgreSQL prints them, read exactly; integers to their limits.
 */
#include "engine/base/assert.h"
#include "engine/base/clock.h"
#include "engine/base/decimal.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void test_doubles_as_postgresql_prints_them(void **state)
{
    static const struct {
        double value;
        const char *text;
    } rows[] = {{0, "0"},
                {-0.0, "-0"},
                {1.5, "1.5"},
                {-123.456, "-123.456"},
                {0.1 + 0.2, "0.30000000000000004"},
                {1e14, "100000000000000"},
                {123456789012345, "123456789012345"},
                {1e15, "1e+15"},
                {1.5e20, "1.5e+20"},
                {1e-4, "0.0001"},
                {1.25e-4, "0.000125"},
                {1e-5, "1e-05"},
                {1e100, "1e+100"},
                {5e-324, "5e-324"},
                {DBL_MAX, "1.7976931348623157e+308"},
                {(double)NAN, "NaN"},
                {(double)INFINITY, "Infinity"},
                {-(double)INFINITY, "-Infinity"}};

    (void)state;
    for (size_t i = 0; i < MR_LENGTH(rows); i++) {
        char text[MR_DOUBLE_TEXT_MAX + 1];
        text[mr_double_print(rows[i].value, text)] = '\0';
        assert_string_equal(text, rows[i].text);
    }
}

static void test_every_double_reads_back(void **state)
{
    uint64_t seed = 4711;

    (void)state;
    for (uint32_t i = 0; i < 20000; i++) {
        const uint64_t bits = mr_prng_next(&seed);
        double value = 0;
        double back = 0;
        char text[MR_DOUBLE_TEXT_MAX + 1];
        memcpy(&value, &bits, sizeof(value));
        if (!isfinite(value)) {
            continue;
        }
        const uint32_t size_bytes = mr_double_print(value, text);
        text[size_bytes] = '\0';
        assert_int_equal(mr_double_parse(text, size_bytes, &back), 0);
        assert_memory_equal(&back, &value, sizeof(value));
        assert_true(strtod(text, NULL) == value);
    }
}

static int parse(const char *text, double *value)
{
    return mr_double_parse(text, strlen(text), value);
}

static void test_text_of_doubles(void **state)
{
    static const char *const bad[] = {"",   " 1",  "1 ",    ".",   "1e", "1e+", "0x10", "nan(1)",
                                      "in", "--1", "1.1.1", "1,5", "+",  "e1",  "1e5e"};
    double value = 0;

    (void)state;
    assert_true(parse("+1.5e1", &value) == 0 && value == 15);
    assert_true(parse(".5", &value) == 0 && value == 0.5);
    assert_true(parse("5.", &value) == 0 && value == 5);
    assert_true(parse("-0", &value) == 0 && value == 0 && signbit(value));
    assert_true(parse("0e99999", &value) == 0 && value == 0);
    assert_true(parse("4.9e-324", &value) == 0 && value == 5e-324);
    assert_true(parse("nan", &value) == 0 && isnan(value));
    assert_true(parse("-Infinity", &value) == 0 && value == -(double)INFINITY);
    assert_true(parse("INF", &value) == 0 && value == (double)INFINITY);
    for (size_t i = 0; i < MR_LENGTH(bad); i++) {
        assert_int_equal(parse(bad[i], &value), 1);
    }
    assert_int_equal(parse("1e309", &value), 2);
    assert_int_equal(parse("-1e309", &value), 2);
    assert_int_equal(parse("1e-400", &value), 2);
}

static void test_integers(void **state)
{
    static const struct {
        const char *text;
        int64_t value;
    } good[] = {{"0", 0},
                {"-0", 0},
                {"+12", 12},
                {"0007", 7},
                {"9223372036854775807", INT64_MAX},
                {"-9223372036854775808", INT64_MIN}};
    static const char *const bad[] = {"", "-", "+", "1.0", " 1", "1 ", "1e1", "0x1"};
    static const char *const range[] = {"9223372036854775808", "-9223372036854775809",
                                        "99999999999999999999999"};
    int64_t value = 0;
    char text[MR_INTEGER_TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < MR_LENGTH(good); i++) {
        assert_int_equal(mr_integer_parse(good[i].text, strlen(good[i].text), &value), 0);
        assert_true(value == good[i].value);
    }
    for (size_t i = 0; i < MR_LENGTH(bad); i++) {
        assert_int_equal(mr_integer_parse(bad[i], strlen(bad[i]), &value), 1);
    }
    for (size_t i = 0; i < MR_LENGTH(range); i++) {
        assert_int_equal(mr_integer_parse(range[i], strlen(range[i]), &value), 2);
    }
    assert_int_equal(mr_integer_print(INT64_MIN, text), 20);
    assert_memory_equal(text, "-9223372036854775808", 20);
    assert_int_equal(mr_integer_print(0, text), 1);
    assert_memory_equal(text, "0", 1);
    assert_int_equal(mr_integer_print(INT64_MAX, text), 19);
    assert_memory_equal(text, "9223372036854775807", 19);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_doubles_as_postgresql_prints_them),
        cmocka_unit_test(test_every_double_reads_back),
        cmocka_unit_test(test_text_of_doubles),
        cmocka_unit_test(test_integers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
