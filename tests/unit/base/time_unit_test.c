/*
 * time_unit_test.c - parts of times: names and abbreviations, and that every day of four centuries
 * and its neighbour agree about weeks, years and months. Values stand in
 * tests/golden/expr/values.txt.
 */
#include "engine/base/time_text.h"
#include "engine/base/time_unit.h"
#include <string.h>
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
// clang-format on

#define DAY_US INT64_C(86400000000)

static void names(void **state)
{
    static const struct {
        const char *name;
        mr_time_unit unit;
    } table[] = {{"day", MR_UNIT_DAY},
                 {"DAYS", MR_UNIT_DAY},
                 {"m", MR_UNIT_MINUTE},
                 {"mon", MR_UNIT_MONTH},
                 {"c", MR_UNIT_CENTURY},
                 {"milliseconds", MR_UNIT_MILLISECOND},
                 {"timezone_hour", MR_UNIT_ZONE},
                 {"microsecond", MR_UNIT_MICROSECOND}};
    static const char *const none[] = {"", "da", "dayss", "fortnight", "days "};
    mr_time_unit unit;

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        assert_true(mr_time_unit_named(table[i].name, strlen(table[i].name), &unit));
        assert_int_equal(unit, table[i].unit);
    }
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        assert_false(mr_time_unit_named(none[i], strlen(none[i]), &unit));
    }
}

/* Each day belongs to the unit that began last, and begins it itself or is of the day before's. */
static void every_day(void **state)
{
    static const mr_time_unit units[] = {MR_UNIT_WEEK, MR_UNIT_MONTH,  MR_UNIT_QUARTER,
                                         MR_UNIT_YEAR, MR_UNIT_DECADE, MR_UNIT_CENTURY};

    (void)state;
    for (int64_t day = -146097; day < 146097; day++) {
        const int64_t now = day * DAY_US, before = now - DAY_US;
        for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
            int64_t start = 0, start_before = 0;
            assert_true(mr_time_truncate(units[i], now + DAY_US - 1, &start));
            assert_true(mr_time_truncate(units[i], before, &start_before));
            assert_true(start == start_before || start == now);
            const bool begins = units[i] == MR_UNIT_WEEK
                                    ? mr_time_part(MR_UNIT_ISO_DAY_OF_WEEK, now) == 1
                                : units[i] == MR_UNIT_MONTH
                                    ? mr_time_part(MR_UNIT_DAY, now) == 1
                                    : mr_time_part(units[i], now) != mr_time_part(units[i], before);
            assert_int_equal(begins, start == now);
        }
        const bool new_year = mr_time_part(MR_UNIT_YEAR, now) != mr_time_part(MR_UNIT_YEAR, before);
        assert_true((int64_t)mr_time_part(MR_UNIT_DAY_OF_YEAR, now) ==
                    (new_year ? 1 : (int64_t)mr_time_part(MR_UNIT_DAY_OF_YEAR, before) + 1));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(names), cmocka_unit_test(every_day)};
    return cmocka_run_group_tests_name("base time_unit", tests, NULL, NULL);
}
