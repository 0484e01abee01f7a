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

/* Shorter digits would lie exactly between two doubles: values made by a PostgreSQL 15. */
static void test_no_digits_on_a_tie(void **state)
{
    static const struct {
        double value;
        const char *text;
    } rows[] = {{6083203114907026.0, "6.083203114907026e+15"},
                {4524463243041714.0, "4.524463243041714e+15"},
                {5.866300461560842e+16, "5.8663004615608416e+16"},
                {6.319523265893346e+16, "6.3195232658933456e+16"},
                {4.37110571605301e+16, "4.3711057160530096e+16"},
                {9.1507405566817e+16, "9.150740556681699e+16"},
                {5.7341639011078e+17, "5.7341639011078003e+17"},
                {1.9207743901907e+17, "1.9207743901907002e+17"},
                {5.797541134686e+17, "5.797541134686001e+17"},
                {6.74886926103e+17, "6.748869261030001e+17"},
                {1.52599797003e+18, "1.5259979700300001e+18"},
                {1.96019509241e+18, "1.9601950924099999e+18"},
                {7.2521585982e+18, "7.252158598200001e+18"},
                {8.210049473e+18, "8.210049472999999e+18"},
                {3.4927907104e+20, "3.4927907103999997e+20"},
                {2.485068234e+19, "2.4850682339999998e+19"},
                {5.9923361e+19, "5.9923360999999996e+19"},
                {6.1594199e+19, "6.1594199000000004e+19"},
                {7.3826072e+20, "7.382607200000001e+20"},
                {9.480051e+19, "9.480051000000001e+19"},
                {3.033898e+20, "3.0338979999999997e+20"},
                {4.10677e+20, "4.1067699999999997e+20"},
                {7.071296e+22, "7.0712959999999996e+22"},
                {1.05081e+21, "1.0508099999999999e+21"},
                {6.6124e+21, "6.612400000000001e+21"},
                {2.435e+21, "2.4350000000000003e+21"},
                {4.73e+21, "4.729999999999999e+21"},
                {5.35e+21, "5.350000000000001e+21"},
                {7.32e+22, "7.3200000000000004e+22"},
                {3.04e+23, "3.0400000000000003e+23"},
                {5e+22, "4.9999999999999996e+22"},
                {7e+22, "7.0000000000000004e+22"},
                {1e+23, "9.999999999999999e+22"},
                {2e+23, "1.9999999999999998e+23"},
                {8e+23, "7.999999999999999e+23"}};

    (void)state;
    for (size_t i = 0; i < MR_LENGTH(rows); i++) {
        char text[MR_DOUBLE_TEXT_MAX + 1];
        text[mr_double_print(rows[i].value, text)] = '\0';
        assert_string_equal(text, rows[i].text);
        text[mr_double_print(-rows[i].value, text)] = '\0';
        assert_string_equal(text + 1, rows[i].text);
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
        cmocka_unit_test(test_no_digits_on_a_tie),
        cmocka_unit_test(test_every_double_reads_back),
        cmocka_unit_test(test_text_of_doubles),
        cmocka_unit_test(test_integers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
