/*
 * time_interval_test.c - every line of tests/golden/expr/intervals.txt, whose values are those of a
 * PostgreSQL 15; and that what is printed is read again.
 */
#include "engine/base/decimal.h"
#include "engine/base/time_interval.h"
#include "engine/base/time_text.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
// clang-format on

enum { LINE_MAX_BYTES = 2048, PARTS_MAX = 5, RESULT_MAX = 128 };

static const char *const range = "error 22008";

/* Splits at bars, missing parts are empty; `\t` and `\n` become what they stand for. */
static uint32_t split(char *line, char *parts[PARTS_MAX])
{
    uint32_t count = 0;
    char *to = line;

    parts[count++] = line;
    for (const char *at = line; *at != '\0'; at++) {
        if (*at == '|') {
            assert_true(count < PARTS_MAX);
            *to++ = '\0';
            parts[count++] = to;
        } else if (*at == '\\' && (at[1] == 't' || at[1] == 'n')) {
            *to++ = *++at == 't' ? '\t' : '\n';
        } else {
            *to++ = *at;
        }
    }
    *to = '\0';
    for (uint32_t i = count; i < PARTS_MAX; i++) {
        parts[i] = to;
    }
    return count;
}

static mr_interval interval_of(const char *text)
{
    mr_interval interval = {0};

    assert_int_equal(mr_interval_parse(text, strlen(text), &interval), 0);
    return interval;
}

static int64_t time_of(const char *text)
{
    int64_t time_us = 0;

    assert_int_equal(mr_time_parse(text, strlen(text), &time_us), 0);
    return time_us;
}

static double double_of(const char *text)
{
    double value = 0;

    assert_int_equal(mr_double_parse(text, strlen(text), &value), 0);
    return value;
}

static mr_time_unit unit_of(const char *text)
{
    mr_time_unit unit = MR_UNIT_DAY;

    assert_true(mr_time_unit_named(text, strlen(text), &unit));
    return unit;
}

static void print_interval(bool fits, mr_interval value, char out[RESULT_MAX])
{
    char text[MR_INTERVAL_TEXT_MAX];

    if (!fits) {
        (void)snprintf(out, RESULT_MAX, "%s", range);
        return;
    }
    const uint32_t size = mr_interval_print(value, text);
    (void)snprintf(out, RESULT_MAX, "%.*s", (int)size, text);
    /* Texts are read as they are printed, but for the one time without an opposite. */
    mr_interval again = {0};
    const int result = mr_interval_parse(text, size, &again);
    if (value.microseconds == INT64_MIN) {
        assert_int_equal(result, 1);
        return;
    }
    assert_int_equal(result, 0);
    assert_true(again.months == value.months && again.days == value.days &&
                again.microseconds == value.microseconds);
}

/* As to_char writes it: always six digits. */
static void print_time(bool fits, int64_t time_us, char out[RESULT_MAX])
{
    mr_civil civil;

    if (!fits) {
        (void)snprintf(out, RESULT_MAX, "%s", range);
        return;
    }
    mr_time_civil(time_us, &civil);
    (void)snprintf(out, RESULT_MAX, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", civil.year, civil.month,
                   civil.day, civil.hour, civil.minute, civil.second, civil.microsecond);
}

static void run_parse(const char *text, char out[RESULT_MAX])
{
    static const char *const errors[] = {NULL, "error 22007", "error 22008", "error 22015"};
    /* Not terminated, as texts of a batch are. */
    const size_t size = strlen(text);
    char *copy = malloc(size + 1);
    mr_interval value = {0};

    assert_non_null(copy);
    memcpy(copy, text, size);
    copy[size] = '9';
    const int result = mr_interval_parse(copy, size, &value);
    free(copy);
    if (result == 0) {
        print_interval(true, value, out);
    } else {
        (void)snprintf(out, RESULT_MAX, "%s", errors[result]);
    }
}

static void run_part(const char *unit_name, const char *text, char out[RESULT_MAX])
{
    const mr_time_unit unit = unit_of(unit_name);
    char number[MR_DECIMAL_TEXT_MAX];

    assert_true(mr_interval_has_part(unit));
    const uint32_t size = mr_decimal_print(mr_interval_part(unit, interval_of(text)),
                                           mr_time_part_scale(unit), number);
    (void)snprintf(out, RESULT_MAX, "%.*s", (int)size, number);
}

static bool run_intervals(char *const *part, char out[RESULT_MAX])
{
    mr_interval value = {0};
    bool fits = true;

    if (strcmp(part[0], "plus") == 0) {
        fits = mr_interval_add(interval_of(part[1]), interval_of(part[2]), &value);
    } else if (strcmp(part[0], "minus") == 0) {
        fits = mr_interval_subtract(interval_of(part[1]), interval_of(part[2]), &value);
    } else if (strcmp(part[0], "times") == 0) {
        fits = mr_interval_multiply(interval_of(part[1]), double_of(part[2]), &value);
    } else if (strcmp(part[0], "over") == 0 && double_of(part[2]) == 0.0) {
        (void)snprintf(out, RESULT_MAX, "error 22012"); /* The caller's. */
        return true;
    } else if (strcmp(part[0], "over") == 0) {
        fits = mr_interval_divide(interval_of(part[1]), double_of(part[2]), &value);
    } else if (strcmp(part[0], "trunc") == 0) {
        value = mr_interval_truncate(unit_of(part[1]), interval_of(part[2]));
    } else if (strcmp(part[0], "diff") == 0) {
        value = mr_time_difference(time_of(part[1]), time_of(part[2]));
    } else {
        return false;
    }
    print_interval(fits, value, out);
    return true;
}

static void run(char *const *part, char out[RESULT_MAX])
{
    int64_t time_us = 0;

    if (run_intervals(part, out)) {
        return;
    }
    if (strcmp(part[0], "parse") == 0) {
        run_parse(part[1], out);
    } else if (strcmp(part[0], "part") == 0) {
        run_part(part[1], part[2], out);
    } else if (strcmp(part[0], "add") == 0) {
        const bool fits = mr_time_add_interval(time_of(part[1]), interval_of(part[2]), &time_us);
        print_time(fits, time_us, out);
    } else if (strcmp(part[0], "sub") == 0) {
        const bool fits =
            mr_time_subtract_interval(time_of(part[1]), interval_of(part[2]), &time_us);
        print_time(fits, time_us, out);
    } else if (strcmp(part[0], "compare") == 0) {
        (void)snprintf(out, RESULT_MAX, "%d",
                       mr_interval_compare(interval_of(part[1]), interval_of(part[2])));
    } else {
        assert_string_equal(part[0], "bin");
        const int result =
            mr_time_bin(interval_of(part[1]), time_of(part[2]), time_of(part[3]), &time_us);
        if (result == 1) {
            (void)snprintf(out, RESULT_MAX, "error 0A000");
        } else {
            print_time(result == 0, time_us, out);
        }
    }
}

static void every_line(void **state)
{
    const char *root = getenv("MR_SOURCE_DIR");
    char path[512], line[LINE_MAX_BYTES], kept[LINE_MAX_BYTES], got[RESULT_MAX];
    char *part[PARTS_MAX];
    uint32_t lines = 0, bad = 0;

    (void)state;
    (void)snprintf(path, sizeof(path), "%s/tests/golden/expr/intervals.txt",
                   root != NULL ? root : ".");
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] == '#' || line[0] == '\0') {
            continue;
        }
        memcpy(kept, line, sizeof(kept));
        const uint32_t count = split(line, part);
        assert_true(count >= 3);
        run(part, got);
        if (strcmp(got, part[count - 1]) != 0) {
            print_error("%s\n    is %s\n", kept, got);
            bad++;
        }
        lines++;
    }
    (void)fclose(file);
    assert_true(lines > 2000);
    assert_int_equal(bad, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_line)};
    return cmocka_run_group_tests_name("intervals", tests, NULL, NULL);
}
