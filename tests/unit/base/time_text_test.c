/* time_text_test.c - timestamps, durations and sizes; the calendar against the C library's. */
#define _GNU_SOURCE
#include "engine/base/assert.h"
#include "engine/base/time_text.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>
#include <time.h>

static void test_timestamps(void **state)
{
    static const struct {
        const char *text;
        int64_t us;
        const char *printed;
    } rows[] = {
        {"1970-01-01T00:00:00Z", 0, "1970-01-01T00:00:00Z"},
        {"1970-01-01", 0, "1970-01-01T00:00:00Z"},
        {"1970-01-01 00:00:01", 1000000, "1970-01-01T00:00:01Z"},
        {"1970-01-01t00:01z", 60000000, "1970-01-01T00:01:00Z"},
        {"1970-01-01T00:00:00.5Z", 500000, "1970-01-01T00:00:00.500Z"},
        {"1970-01-01T00:00:00.000001Z", 1, "1970-01-01T00:00:00.000001Z"},
        {"1970-01-01T00:00:00.0000005Z", 0, "1970-01-01T00:00:00Z"},
        {"1970-01-01T00:00:00.00000051Z", 1, "1970-01-01T00:00:00.000001Z"},
        {"1970-01-01T00:00:00.0000015Z", 2, "1970-01-01T00:00:00.000002Z"},
        {"1970-01-01T00:00:00.12345678901234567890Z", 123457, "1970-01-01T00:00:00.123457Z"},
        {"1970-01-01T00:00:00.9999999Z", 1000000, "1970-01-01T00:00:01Z"},
        {"1970-01-01T00:00:00.000000499Z", 0, "1970-01-01T00:00:00Z"},
        {"1969-12-31T23:59:59.999Z", -1000, "1969-12-31T23:59:59.999Z"},
        {"2026-01-01T02:00:00+02:00", INT64_C(1767225600000000), "2026-01-01T00:00:00Z"},
        {"2025-12-31T19:30:00-0430", INT64_C(1767225600000000), "2026-01-01T00:00:00Z"},
        {"2026-01-01T01:00:00+01", INT64_C(1767225600000000), "2026-01-01T00:00:00Z"},
        {"2024-02-29T24:00:00Z", INT64_C(1709251200000000), "2024-03-01T00:00:00Z"},
        {"2016-12-31T23:59:60Z", INT64_C(1483228800000000), "2017-01-01T00:00:00Z"},
        {"0001-01-01T00:00:00Z", INT64_C(-62135596800000000), "0001-01-01T00:00:00Z"},
        {"9999-12-31T23:59:59.999999Z", INT64_C(253402300799999999), "9999-12-31T23:59:59.999999Z"},
    };

    (void)state;
    for (size_t i = 0; i < MR_LENGTH(rows); i++) {
        int64_t us = -1;
        char text[MR_TIME_TEXT_MAX + 1];
        assert_int_equal(mr_time_parse(rows[i].text, strlen(rows[i].text), &us), 0);
        assert_true(us == rows[i].us);
        text[mr_time_print(us, text)] = '\0';
        assert_string_equal(text, rows[i].printed);
    }
}

static void test_bad_timestamps(void **state)
{
    static const char *const syntax[] = {"",
                                         "2026",
                                         "2026-1-01",
                                         "2026-01-01T",
                                         "2026-01-01X00:00:00Z",
                                         "2026-01-01T00",
                                         "2026-01-01T00:0",
                                         "2026-01-01T00:00:00.Z",
                                         "2026-01-01T00:00:00ZZ",
                                         "2026-01-01T00:00:00+1",
                                         "2026-01-01T00:00:00+01:",
                                         " 2026-01-01",
                                         "2026-01-01T00:00:00 Z",
                                         "-2026-01-01",
                                         "2026-02-30x"};
    static const char *const range[] = {"2026-13-01",
                                        "2026-00-01",
                                        "2026-02-29",
                                        "1900-02-29",
                                        "2026-01-32",
                                        "0000-01-01",
                                        "2026-01-01T24:00:01Z",
                                        "2026-01-01T25:00:00Z",
                                        "2026-01-01T00:60:00Z",
                                        "2026-01-01T00:00:61Z",
                                        "2026-01-01T00:00:00+16:00",
                                        "0001-01-01T00:00:00+01:00",
                                        "9999-12-31T23:59:59-01:00"};
    int64_t us = 0;

    (void)state;
    for (size_t i = 0; i < MR_LENGTH(syntax); i++) {
        if (mr_time_parse(syntax[i], strlen(syntax[i]), &us) != 1) {
            fail_msg("%s", syntax[i]);
        }
    }
    for (size_t i = 0; i < MR_LENGTH(range); i++) {
        if (mr_time_parse(range[i], strlen(range[i]), &us) != 2) {
            fail_msg("%s", range[i]);
        }
    }
}

/* Every ninth day of all years, against gmtime. */
static void test_the_calendar(void **state)
{
    (void)state;
    for (int64_t day = -719162; day < 2932897; day += 9) {
        const time_t seconds = (time_t)(day * 86400 + 3723);
        struct tm wanted = {0};
        mr_civil civil = {0};
        char text[MR_TIME_TEXT_MAX + 1];
        int64_t back = 0;
        assert_non_null(gmtime_r(&seconds, &wanted));
        mr_time_civil((int64_t)seconds * 1000000 + 7, &civil);
        assert_int_equal(civil.year, wanted.tm_year + 1900);
        assert_int_equal(civil.month, wanted.tm_mon + 1);
        assert_int_equal(civil.day, wanted.tm_mday);
        assert_int_equal(civil.hour, 1);
        assert_int_equal(civil.minute, 2);
        assert_int_equal(civil.second, 3);
        assert_int_equal(civil.microsecond, 7);
        const uint32_t size_bytes = mr_time_print((int64_t)seconds * 1000000 + 7, text);
        assert_int_equal(mr_time_parse(text, size_bytes, &back), 0);
        assert_true(back == (int64_t)seconds * 1000000 + 7);
    }
}

static void test_durations(void **state)
{
    int64_t us = 0;
    static const char *const bad[] = {"",      "5",    "ms",  "5x",  "1h 30m",
                                      "30m1h", "1s1s", "-1s", "1.5s"};

    (void)state;
    assert_true(mr_duration_parse("250ms", 5, &us) == 0 && us == 250000);
    assert_true(mr_duration_parse("1h30m", 5, &us) == 0 && us == INT64_C(5400000000));
    assert_true(mr_duration_parse("7d", 2, &us) == 0 && us == INT64_C(604800000000));
    assert_true(mr_duration_parse("0s", 2, &us) == 0 && us == 0);
    assert_true(mr_duration_parse("1d2h3m4s5ms6us", 14, &us) == 0 && us == INT64_C(93784005006));
    for (size_t i = 0; i < MR_LENGTH(bad); i++) {
        assert_int_equal(mr_duration_parse(bad[i], strlen(bad[i]), &us), 1);
    }
    assert_int_equal(mr_duration_parse("106751992d", 10, &us), 2);
    assert_int_equal(mr_duration_parse("99999999999999999999s", 21, &us), 2);
}

static void test_sizes(void **state)
{
    uint64_t bytes = 0;
    static const char *const bad[] = {"", "KiB", "1KB", "1 KiB", "1.5MiB", "-1", "1kib", "1M"};

    (void)state;
    assert_true(mr_size_parse("0", 1, &bytes) == 0 && bytes == 0);
    assert_true(mr_size_parse("4096", 4, &bytes) == 0 && bytes == 4096);
    assert_true(mr_size_parse("7B", 2, &bytes) == 0 && bytes == 7);
    assert_true(mr_size_parse("64KiB", 5, &bytes) == 0 && bytes == 65536);
    assert_true(mr_size_parse("8MiB", 4, &bytes) == 0 && bytes == 8388608);
    assert_true(mr_size_parse("4GiB", 4, &bytes) == 0 && bytes == UINT64_C(4294967296));
    assert_true(mr_size_parse("1TiB", 4, &bytes) == 0 && bytes == UINT64_C(1099511627776));
    for (size_t i = 0; i < MR_LENGTH(bad); i++) {
        assert_int_equal(mr_size_parse(bad[i], strlen(bad[i]), &bytes), 1);
    }
    assert_int_equal(mr_size_parse("18446744073709551616", 20, &bytes), 2);
    assert_int_equal(mr_size_parse("16777216TiB", 11, &bytes), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_timestamps),   cmocka_unit_test(test_bad_timestamps),
        cmocka_unit_test(test_the_calendar), cmocka_unit_test(test_durations),
        cmocka_unit_test(test_sizes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
