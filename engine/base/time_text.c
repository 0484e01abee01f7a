/*
 * time_text.c - timestamps, durations and sizes, from and to text.
 *
 * Timestamps are ISO 8601 in the proleptic Gregorian calendar, UTC, years 1-9999; what lies outside
 * after the offset is applied is out of range. Days are counted by eras of 400 years, which need no
 * table and no loop. Fractions beyond six digits are read as a double and rounded half to even, as
 * PostgreSQL's input does. Second 60 is taken and carries over, as there.
 */
#include "engine/base/time_text.h"
#include "engine/base/assert.h"
#include "engine/base/decimal.h"
#include <math.h>
#include <stdbool.h>
#include <string.h>

#define US_PER_SECOND INT64_C(1000000)
#define US_PER_MINUTE (60 * US_PER_SECOND)
#define US_PER_HOUR (60 * US_PER_MINUTE)
#define US_PER_DAY (24 * US_PER_HOUR)
#define TIME_MIN_US (INT64_C(-719162) * US_PER_DAY) /* 0001-01-01 */
#define TIME_END_US (INT64_C(2932897) * US_PER_DAY) /* 10000-01-01 */

enum { PARSE_OK = 0, PARSE_SYNTAX = 1, PARSE_RANGE = 2 };

typedef struct cursor {
    const char *at, *end;
} cursor;

static int parse_date(cursor *in, int64_t *time_us);
static int parse_clock(cursor *in, int64_t *time_us);
static int parse_fraction(cursor *in, int64_t *fraction_us);
static int parse_zone(cursor *in, int64_t *offset_us);
static bool take(cursor *in, char wanted);
static bool take_two(cursor *in, int32_t *number);
static bool take_digits(cursor *in, uint32_t count, int32_t *number);
static bool is_digit(char byte);
static int64_t days_of(int32_t year, int32_t month, int32_t day);
static void put_digits(char *out, uint32_t count, int32_t number);

int mr_time_parse(const char *text, size_t size_bytes, int64_t *time_us)
{
    cursor in = {.at = text, .end = text + size_bytes};
    int64_t clock_us = 0;
    int64_t offset_us = 0;
    int64_t date_us = 0;

    MR_ASSERT(time_us != NULL && (text != NULL || size_bytes == 0));
    int result = parse_date(&in, &date_us);
    if (result == PARSE_SYNTAX) {
        return PARSE_SYNTAX;
    }
    int worst = result;
    if (in.at < in.end) {
        if (!take(&in, 'T') && !take(&in, 't') && !take(&in, ' ')) {
            return PARSE_SYNTAX;
        }
        result = parse_clock(&in, &clock_us);
        if (result == PARSE_SYNTAX) {
            return PARSE_SYNTAX;
        }
        worst = result != PARSE_OK ? result : worst;
        result = parse_zone(&in, &offset_us);
        if (result == PARSE_SYNTAX || in.at < in.end) {
            return PARSE_SYNTAX;
        }
        worst = result != PARSE_OK ? result : worst;
    }
    const int64_t sum_us = date_us + clock_us - offset_us;
    if (worst != PARSE_OK || sum_us < TIME_MIN_US || sum_us >= TIME_END_US) {
        return PARSE_RANGE;
    }
    *time_us = sum_us;
    return PARSE_OK;
}

uint32_t mr_time_print(int64_t time_us, char out[MR_TIME_TEXT_MAX])
{
    mr_civil civil = {0};

    MR_ASSERT(time_us >= TIME_MIN_US && time_us < TIME_END_US);
    mr_time_civil(time_us, &civil);
    put_digits(out, 4, civil.year);
    out[4] = '-';
    put_digits(out + 5, 2, civil.month);
    out[7] = '-';
    put_digits(out + 8, 2, civil.day);
    out[10] = 'T';
    put_digits(out + 11, 2, civil.hour);
    out[13] = ':';
    put_digits(out + 14, 2, civil.minute);
    out[16] = ':';
    put_digits(out + 17, 2, civil.second);
    uint32_t size_bytes = 19;
    if (civil.microsecond != 0) {
        const bool is_milli = civil.microsecond % 1000 == 0;
        const uint32_t digits = is_milli ? 3 : 6;
        out[size_bytes] = '.';
        put_digits(out + size_bytes + 1, digits,
                   is_milli ? civil.microsecond / 1000 : civil.microsecond);
        size_bytes += 1 + digits;
    }
    out[size_bytes++] = 'Z';
    return size_bytes;
}

int mr_date_parse(const char *text, size_t size_bytes, int32_t *days)
{
    cursor in = {.at = text, .end = text + size_bytes};
    int64_t date_us = 0, unused = 0;

    MR_ASSERT(days != NULL && (text != NULL || size_bytes == 0));
    const int result = parse_date(&in, &date_us);
    if (result == PARSE_SYNTAX) {
        return PARSE_SYNTAX;
    }
    const int whole = in.at < in.end ? mr_time_parse(text, size_bytes, &unused) : PARSE_OK;
    if (whole != PARSE_OK || result != PARSE_OK) {
        return whole != PARSE_OK ? whole : result;
    }
    *days = (int32_t)(date_us / US_PER_DAY);
    return PARSE_OK;
}

uint32_t mr_date_print(int32_t days, char out[MR_TIME_TEXT_MAX])
{
    mr_civil civil = {0};

    MR_ASSERT(days >= MR_DATE_MIN && days <= MR_DATE_MAX);
    mr_time_civil(days * US_PER_DAY, &civil);
    put_digits(out, 4, civil.year);
    out[4] = '-';
    put_digits(out + 5, 2, civil.month);
    out[7] = '-';
    put_digits(out + 8, 2, civil.day);
    return 10;
}

int mr_duration_parse(const char *text, size_t size_bytes, int64_t *duration_us)
{
    static const struct {
        const char *name;
        int64_t us;
    } units[] = {{"us", 1},          {"ms", 1000},     {"s", US_PER_SECOND}, {"m", US_PER_MINUTE},
                 {"h", US_PER_HOUR}, {"d", US_PER_DAY}};
    cursor in = {.at = text, .end = text + size_bytes};
    int64_t sum_us = 0;
    int64_t unit_us_before = INT64_MAX;

    MR_ASSERT(duration_us != NULL && (text != NULL || size_bytes == 0));
    if (size_bytes == 0) {
        return PARSE_SYNTAX;
    }
    bool fits = true;
    while (in.at < in.end) {
        int64_t number = 0;
        if (!is_digit(*in.at)) {
            return PARSE_SYNTAX;
        }
        while (in.at < in.end && is_digit(*in.at)) {
            fits = fits && !__builtin_mul_overflow(number, 10, &number) &&
                   !__builtin_add_overflow(number, *in.at - '0', &number);
            in.at++;
        }
        const char *unit = in.at;
        while (in.at < in.end && *in.at >= 'a' && *in.at <= 'z') {
            in.at++;
        }
        int64_t unit_us = 0;
        for (uint32_t i = 0; i < MR_LENGTH(units); i++) {
            const size_t name_bytes = strlen(units[i].name);
            if ((size_t)(in.at - unit) == name_bytes &&
                memcmp(unit, units[i].name, name_bytes) == 0) {
                unit_us = units[i].us;
            }
        }
        /* From the largest unit down, each once: `30m1h` is more likely a slip than meant. */
        if (unit_us == 0 || unit_us >= unit_us_before) {
            return PARSE_SYNTAX;
        }
        unit_us_before = unit_us;
        fits = fits && !__builtin_mul_overflow(number, unit_us, &number) &&
               !__builtin_add_overflow(sum_us, number, &sum_us);
    }
    if (!fits) {
        return PARSE_RANGE;
    }
    *duration_us = sum_us;
    return PARSE_OK;
}

int mr_size_parse(const char *text, size_t size_bytes, uint64_t *bytes)
{
    static const struct {
        const char *name;
        uint64_t bytes;
    } units[] = {{"", 1},
                 {"B", 1},
                 {"KiB", UINT64_C(1) << 10},
                 {"MiB", UINT64_C(1) << 20},
                 {"GiB", UINT64_C(1) << 30},
                 {"TiB", UINT64_C(1) << 40}};
    size_t digits = 0;
    uint64_t number = 0;
    bool fits = true;

    MR_ASSERT(bytes != NULL && (text != NULL || size_bytes == 0));
    for (; digits < size_bytes && is_digit(text[digits]); digits++) {
        fits = fits && !__builtin_mul_overflow(number, 10, &number) &&
               !__builtin_add_overflow(number, (uint64_t)(text[digits] - '0'), &number);
    }
    if (digits == 0) {
        return PARSE_SYNTAX;
    }
    for (uint32_t i = 0; i < MR_LENGTH(units); i++) {
        const size_t name_bytes = strlen(units[i].name);
        if (size_bytes - digits == name_bytes &&
            memcmp(text + digits, units[i].name, name_bytes) == 0) {
            fits = fits && !__builtin_mul_overflow(number, units[i].bytes, &number);
            if (!fits) {
                return PARSE_RANGE;
            }
            *bytes = number;
            return PARSE_OK;
        }
    }
    return PARSE_SYNTAX;
}

void mr_time_civil(int64_t time_us, mr_civil *civil)
{
    MR_ASSERT(civil != NULL);
    int64_t days = time_us / US_PER_DAY;
    int64_t rest_us = time_us % US_PER_DAY;
    if (rest_us < 0) {
        rest_us += US_PER_DAY;
        days--;
    }
    /* Years here begin in March, so that the leap day is the last day of a year. */
    const int64_t shifted = days + 719468;
    const int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    const int32_t day_of_era = (int32_t)(shifted - era * 146097);
    const int32_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    const int32_t day_of_year =
        day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const int32_t march_month = (5 * day_of_year + 2) / 153;

    civil->day = day_of_year - (153 * march_month + 2) / 5 + 1;
    civil->month = march_month < 10 ? march_month + 3 : march_month - 9;
    civil->year = (int32_t)(year_of_era + era * 400) + (civil->month <= 2 ? 1 : 0);
    civil->hour = (int32_t)(rest_us / US_PER_HOUR);
    civil->minute = (int32_t)(rest_us / US_PER_MINUTE % 60);
    civil->second = (int32_t)(rest_us / US_PER_SECOND % 60);
    civil->microsecond = (int32_t)(rest_us % US_PER_SECOND);
    MR_ASSERT(civil->month >= 1 && civil->month <= 12 && civil->day >= 1 && civil->day <= 31);
}

static int parse_date(cursor *in, int64_t *time_us)
{
    static const int32_t month_days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int32_t year = 0;
    int32_t month = 0;
    int32_t day = 0;

    if (!take_digits(in, 4, &year) || !take(in, '-') || !take_two(in, &month) || !take(in, '-') ||
        !take_two(in, &day)) {
        return PARSE_SYNTAX;
    }
    if (year < 1 || month < 1 || month > 12 || day < 1) {
        return PARSE_RANGE;
    }
    const bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    if (day > month_days[month - 1] + (is_leap && month == 2 ? 1 : 0)) {
        return PARSE_RANGE;
    }
    *time_us = days_of(year, month, day) * US_PER_DAY;
    return PARSE_OK;
}

/* hh:mm[:ss[.fraction]] */
static int parse_clock(cursor *in, int64_t *time_us)
{
    int32_t hour = 0;
    int32_t minute = 0;
    int32_t second = 0;
    int64_t fraction_us = 0;

    if (!take_two(in, &hour) || !take(in, ':') || !take_two(in, &minute)) {
        return PARSE_SYNTAX;
    }
    if (take(in, ':')) {
        if (!take_two(in, &second)) {
            return PARSE_SYNTAX;
        }
        if (take(in, '.') && parse_fraction(in, &fraction_us) != PARSE_OK) {
            return PARSE_SYNTAX;
        }
    }
    /* 24:00:00 is the end of the day. */
    const bool is_midnight = hour == 24 && minute == 0 && second == 0 && fraction_us == 0;
    if (minute > 59 || second > 60 || (hour > 23 && !is_midnight)) {
        return PARSE_RANGE;
    }
    *time_us = hour * US_PER_HOUR + minute * US_PER_MINUTE + second * US_PER_SECOND + fraction_us;
    return PARSE_OK;
}

/* Digits behind the point. */
static int parse_fraction(cursor *in, int64_t *fraction_us)
{
    const char *from = in->at;
    int64_t us = 0;
    uint32_t digits = 0;
    double fraction = 0;

    for (; in->at < in->end && is_digit(*in->at); in->at++) {
        us = digits < 6 ? us * 10 + (*in->at - '0') : us;
        digits++;
    }
    if (digits == 0) {
        return PARSE_SYNTAX;
    }
    if (digits > 6) {
        /* From the point on. */
        if (mr_double_parse(from - 1, (size_t)(in->at - from) + 1, &fraction) != 0) {
            return PARSE_SYNTAX;
        }
        *fraction_us = (int64_t)rint(fraction * (double)US_PER_SECOND);
        return PARSE_OK;
    }
    for (; digits < 6; digits++) {
        us *= 10;
    }
    *fraction_us = us;
    return PARSE_OK;
}

/* Z, +hh, +hhmm, +hh:mm, or nothing: UTC. */
static int parse_zone(cursor *in, int64_t *offset_us)
{
    int32_t hours = 0;
    int32_t minutes = 0;

    *offset_us = 0;
    if (in->at == in->end || take(in, 'Z') || take(in, 'z')) {
        return PARSE_OK;
    }
    const bool is_west = *in->at == '-';
    if (!take(in, '+') && !take(in, '-')) {
        return PARSE_SYNTAX;
    }
    if (!take_two(in, &hours)) {
        return PARSE_SYNTAX;
    }
    if (in->at < in->end) {
        (void)take(in, ':');
        if (!take_two(in, &minutes)) {
            return PARSE_SYNTAX;
        }
    }
    if (hours > 15 || minutes > 59) {
        return PARSE_RANGE;
    }
    const int64_t size_us = hours * US_PER_HOUR + minutes * US_PER_MINUTE;
    *offset_us = is_west ? -size_us : size_us;
    return PARSE_OK;
}

static bool take(cursor *in, char wanted)
{
    if (in->at == in->end || *in->at != wanted) {
        return false;
    }
    in->at++;
    return true;
}

static bool take_two(cursor *in, int32_t *number)
{
    return take_digits(in, 2, number);
}

/* Exactly `count` digits. */
static bool take_digits(cursor *in, uint32_t count, int32_t *number)
{
    int32_t value = 0;

    MR_ASSERT(count <= 4);
    if ((size_t)(in->end - in->at) < count) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!is_digit(in->at[i])) {
            return false;
        }
        value = value * 10 + (in->at[i] - '0');
    }
    in->at += count;
    *number = value;
    return true;
}

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

/* Days from 1970-01-01. */
static int64_t days_of(int32_t year, int32_t month, int32_t day)
{
    const int32_t march_year = month <= 2 ? year - 1 : year;
    const int32_t era = (march_year >= 0 ? march_year : march_year - 399) / 400;
    const int32_t year_of_era = march_year - era * 400;
    const int32_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    const int32_t day_of_era =
        year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

    MR_ASSERT(day_of_era >= 0 && day_of_era < 146097);
    return (int64_t)era * 146097 + day_of_era - 719468;
}

static void put_digits(char *out, uint32_t count, int32_t number)
{
    MR_ASSERT(number >= 0);
    for (uint32_t i = count; i > 0; i--) {
        out[i - 1] = (char)('0' + number % 10);
        number /= 10;
    }
    MR_ASSERT(number == 0);
}
