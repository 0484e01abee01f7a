/*
 * time_interval.c - arithmetic on intervals and times, as PostgreSQL 15 in UTC.
 *
 * Sums of a time and an interval go through times that may lie far outside of the years 1-9999;
 * PostgreSQL's own range (4714 BC to 294276) decides there, ours at the end. Its 32-bit sums wrap
 * at places, ours are out of range.
 */
#include "engine/base/time_interval.h"
#include "engine/base/assert.h"
#include "engine/base/time_text.h"
#include <math.h>

#define US_PER_SECOND INT64_C(1000000)
#define US_PER_HOUR (3600 * US_PER_SECOND)
#define US_PER_DAY INT64_C(86400000000)
#define TIME_MIN_US (MR_DATE_MIN * US_PER_DAY)
#define TIME_END_US ((MR_DATE_MAX + 1) * US_PER_DAY)

/* PostgreSQL's first day, and the day behind its last, from 1970. */
enum { DAY_FIRST = -2440588, DAY_END = 106751983 + 10957 };
enum { MONTHS_PER_YEAR = 12, DAYS_PER_MONTH = 30, SECONDS_PER_DAY = 86400 };

typedef struct moment { /* A time of a wider range. */
    int64_t day, us;    /* 0 <= us < a day */
} moment;

static mr_int128 span_us(mr_interval a)
{
    return ((mr_int128)a.months * DAYS_PER_MONTH + a.days) * US_PER_DAY + a.microseconds;
}

int mr_interval_compare(mr_interval a, mr_interval b)
{
    const mr_int128 x = span_us(a), y = span_us(b);

    return x < y ? -1 : x > y;
}

bool mr_interval_add(mr_interval a, mr_interval b, mr_interval *out)
{
    return !__builtin_add_overflow(a.months, b.months, &out->months) &&
           !__builtin_add_overflow(a.days, b.days, &out->days) &&
           !__builtin_add_overflow(a.microseconds, b.microseconds, &out->microseconds);
}

bool mr_interval_subtract(mr_interval a, mr_interval b, mr_interval *out)
{
    return !__builtin_sub_overflow(a.months, b.months, &out->months) &&
           !__builtin_sub_overflow(a.days, b.days, &out->days) &&
           !__builtin_sub_overflow(a.microseconds, b.microseconds, &out->microseconds);
}

bool mr_interval_negate(mr_interval a, mr_interval *out)
{
    return mr_interval_subtract((mr_interval){0}, a, out);
}

/* ---- Multiples ---- */

/* To microseconds, where the value is seconds or days of which the digits behind are noise. */
static double tidy(double value)
{
    return rint(value * 1e6) / 1e6;
}

static bool to_integer(double value, int32_t *out)
{
    if (!(value >= INT32_MIN && value <= INT32_MAX)) {
        return false; /* NaN, too. */
    }
    *out = (int32_t)value;
    return true;
}

/* The exact products are handed down from months to days to time. */
static bool scale(double months, double days, double us, mr_interval *out)
{
    if (!to_integer(months, &out->months) || !to_integer(days, &out->days)) {
        return false;
    }
    const double more_days = tidy((months - out->months) * DAYS_PER_MONTH);
    double seconds =
        tidy((days - out->days + more_days - (int32_t)more_days) * (double)SECONDS_PER_DAY);
    if (fabs(seconds) >= SECONDS_PER_DAY) {
        const int32_t carry = (int32_t)(seconds / SECONDS_PER_DAY);
        if (__builtin_add_overflow(out->days, carry, &out->days)) {
            return false;
        }
        seconds -= carry * (double)SECONDS_PER_DAY;
    }
    if (__builtin_add_overflow(out->days, (int32_t)more_days, &out->days)) {
        return false;
    }
    const double time_us = rint(us + seconds * (double)US_PER_SECOND);
    if (!(time_us >= -9223372036854775808.0 && time_us < 9223372036854775808.0)) {
        return false;
    }
    out->microseconds = (int64_t)time_us;
    return true;
}

bool mr_interval_multiply(mr_interval a, double factor, mr_interval *out)
{
    return scale(a.months * factor, a.days * factor, (double)a.microseconds * factor, out);
}

bool mr_interval_divide(mr_interval a, double divisor, mr_interval *out)
{
    MR_ASSERT(divisor != 0.0);
    return scale(a.months / divisor, a.days / divisor, (double)a.microseconds / divisor, out);
}

/* ---- Parts ---- */

bool mr_interval_has_part(mr_time_unit unit)
{
    return mr_interval_can_truncate(unit) || unit == MR_UNIT_EPOCH;
}

mr_int128 mr_interval_part(mr_time_unit unit, mr_interval interval)
{
    const int32_t year = interval.months / MONTHS_PER_YEAR;
    const int32_t month = interval.months % MONTHS_PER_YEAR;
    const int64_t us = interval.microseconds;

    switch (unit) {
    case MR_UNIT_MICROSECOND:
    case MR_UNIT_MILLISECOND: /* Scale 3. */
    case MR_UNIT_SECOND:      /* Scale 6. */
        return us % (60 * US_PER_SECOND);
    case MR_UNIT_MINUTE:
        return us / (60 * US_PER_SECOND) % 60;
    case MR_UNIT_HOUR:
        return us / US_PER_HOUR;
    case MR_UNIT_DAY:
        return interval.days;
    case MR_UNIT_MONTH:
        return month;
    case MR_UNIT_QUARTER:
        return month / 3 + 1;
    case MR_UNIT_YEAR:
        return year;
    case MR_UNIT_DECADE:
        return year / 10;
    case MR_UNIT_CENTURY:
        return year / 100;
    case MR_UNIT_MILLENNIUM:
        return year / 1000;
    default: {
        MR_ASSERT(unit == MR_UNIT_EPOCH);
        /* A year has 365.25 days here, though not in comparisons. */
        const mr_int128 quarter_days = (mr_int128)year * 1461 +
                                       (mr_int128)4 * DAYS_PER_MONTH * month +
                                       (mr_int128)4 * interval.days;
        return quarter_days * (US_PER_DAY / 4) + us;
    }
    }
}

bool mr_interval_can_truncate(mr_time_unit unit)
{
    return unit <= MR_UNIT_LAST_TO_TRUNCATE && unit != MR_UNIT_WEEK;
}

mr_interval mr_interval_truncate(mr_time_unit unit, mr_interval interval)
{
    static const int64_t sizes_us[] = {1, 1000, US_PER_SECOND, 60 * US_PER_SECOND, US_PER_HOUR};
    static const int32_t months[] = {
        [MR_UNIT_MONTH] = 1,    [MR_UNIT_QUARTER] = 3,    [MR_UNIT_YEAR] = 12,
        [MR_UNIT_DECADE] = 120, [MR_UNIT_CENTURY] = 1200, [MR_UNIT_MILLENNIUM] = 12000,
    };
    mr_interval out = interval;

    MR_ASSERT(mr_interval_can_truncate(unit));
    if (unit < MR_UNIT_DAY) {
        out.microseconds -= interval.microseconds % sizes_us[unit];
        return out;
    }
    out.microseconds = 0;
    if (unit != MR_UNIT_DAY) {
        out.days = 0;
        out.months -= interval.months % months[unit];
    }
    return out;
}

/* ---- Times ---- */

static moment moment_of(int64_t time_us)
{
    int64_t day = time_us / US_PER_DAY, us = time_us % US_PER_DAY;

    if (us < 0) {
        us += US_PER_DAY;
        day--;
    }
    return (moment){.day = day, .us = us};
}

/* Whether PostgreSQL has such a time. */
static bool exists(moment at)
{
    return at.day >= DAY_FIRST && at.day < DAY_END;
}

static bool is_leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* Days from 1970 to the first of a month; months count on through the years. */
static int64_t day_of_month(int64_t year, int32_t month)
{
    static const int32_t before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    /* Years are moved by a multiple of 400, so that divisions round alike. */
    const int64_t moved = year + 400000 - 1;

    MR_ASSERT(month >= 0 && month < MONTHS_PER_YEAR && moved > 0);
    return moved * 365 + moved / 4 - moved / 100 + moved / 400 - INT64_C(146097000) - 719162 +
           before[month] + (is_leap(year) && month > 1 ? 1 : 0);
}

static bool add_months(moment *at, int32_t months)
{
    static const int32_t month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    mr_civil civil;

    mr_time_civil(at->day * US_PER_DAY, &civil); /* Still within 1-9999: the first step. */
    const int64_t count = (int64_t)civil.year * MONTHS_PER_YEAR + (civil.month - 1) + months;
    const int64_t year = count / MONTHS_PER_YEAR - (count % MONTHS_PER_YEAR < 0 ? 1 : 0);
    const int32_t month = (int32_t)(count - year * MONTHS_PER_YEAR);
    if (year < -4713 || year > 294276) {
        return false;
    }
    const int32_t most = month_days[month] + (month == 1 && is_leap(year) ? 1 : 0);
    at->day = day_of_month(year, month) + (civil.day < most ? civil.day : most) - 1;
    return exists(*at);
}

static bool add_interval(int64_t time_us, mr_interval interval, int64_t *out_us)
{
    moment at = moment_of(time_us);

    MR_ASSERT(time_us >= TIME_MIN_US && time_us < TIME_END_US);
    if (interval.months != 0 && !add_months(&at, interval.months)) {
        return false;
    }
    at.day += interval.days;
    if (!exists(at)) {
        return false;
    }
    const mr_int128 sum = (mr_int128)at.day * US_PER_DAY + at.us + interval.microseconds;
    *out_us = (int64_t)sum;
    return sum >= (mr_int128)TIME_MIN_US && sum < (mr_int128)TIME_END_US;
}

bool mr_time_add_interval(int64_t time_us, mr_interval interval, int64_t *out_us)
{
    return add_interval(time_us, interval, out_us);
}

bool mr_time_subtract_interval(int64_t time_us, mr_interval interval, int64_t *out_us)
{
    mr_interval opposite;

    return mr_interval_negate(interval, &opposite) && add_interval(time_us, opposite, out_us);
}

mr_interval mr_time_difference(int64_t a_us, int64_t b_us)
{
    const int64_t us = a_us - b_us;

    return (mr_interval){.days = (int32_t)(us / US_PER_DAY), .microseconds = us % US_PER_DAY};
}

int mr_time_bin(mr_interval stride, int64_t time_us, int64_t origin_us, int64_t *out_us)
{
    int64_t size_us = 0;

    if (stride.months != 0) {
        return 1;
    }
    if (__builtin_mul_overflow((int64_t)stride.days, US_PER_DAY, &size_us) ||
        __builtin_add_overflow(size_us, stride.microseconds, &size_us) || size_us <= 0) {
        return 2;
    }
    const int64_t distance_us = time_us - origin_us;
    int64_t rest_us = distance_us % size_us;
    rest_us += rest_us < 0 ? size_us : 0;
    return __builtin_sub_overflow(time_us, rest_us, out_us) || *out_us < TIME_MIN_US ? 2 : 0;
}
