/*
 * time_unit.c - the parts of a time, as PostgreSQL 15's extract and date_trunc in UTC. Weeks are
 * those of ISO 8601; centuries and millennia begin with the year 1, decades with a year that ends
 * in 0. Names are compared by their first ten bytes, as there.
 */
#include "engine/base/time_unit.h"
#include "engine/base/assert.h"
#include "engine/base/time_text.h"
#include <ctype.h>
#include <string.h>

#define US_PER_SECOND INT64_C(1000000)
#define US_PER_DAY (86400 * US_PER_SECOND)
#define TIME_MIN_US (INT64_C(-719162) * US_PER_DAY) /* 0001-01-01 */

enum { NAME_BYTES_MAX = 10, JULIAN_OF_1970 = 2440588, DAYS_OF_WEEK = 7 };

typedef struct unit_name {
    const char *name;
    mr_time_unit unit;
} unit_name;

static const unit_name names[] = {
    {"microsecon", MR_UNIT_MICROSECOND},
    {"us", MR_UNIT_MICROSECOND},
    {"usec", MR_UNIT_MICROSECOND},
    {"usecs", MR_UNIT_MICROSECOND},
    {"usecond", MR_UNIT_MICROSECOND},
    {"useconds", MR_UNIT_MICROSECOND},
    {"millisecon", MR_UNIT_MILLISECOND},
    {"ms", MR_UNIT_MILLISECOND},
    {"msec", MR_UNIT_MILLISECOND},
    {"msecs", MR_UNIT_MILLISECOND},
    {"msecond", MR_UNIT_MILLISECOND},
    {"mseconds", MR_UNIT_MILLISECOND},
    {"second", MR_UNIT_SECOND},
    {"seconds", MR_UNIT_SECOND},
    {"s", MR_UNIT_SECOND},
    {"sec", MR_UNIT_SECOND},
    {"secs", MR_UNIT_SECOND},
    {"minute", MR_UNIT_MINUTE},
    {"minutes", MR_UNIT_MINUTE},
    {"m", MR_UNIT_MINUTE},
    {"min", MR_UNIT_MINUTE},
    {"mins", MR_UNIT_MINUTE},
    {"hour", MR_UNIT_HOUR},
    {"hours", MR_UNIT_HOUR},
    {"h", MR_UNIT_HOUR},
    {"hr", MR_UNIT_HOUR},
    {"hrs", MR_UNIT_HOUR},
    {"day", MR_UNIT_DAY},
    {"days", MR_UNIT_DAY},
    {"d", MR_UNIT_DAY},
    {"week", MR_UNIT_WEEK},
    {"weeks", MR_UNIT_WEEK},
    {"w", MR_UNIT_WEEK},
    {"month", MR_UNIT_MONTH},
    {"months", MR_UNIT_MONTH},
    {"mon", MR_UNIT_MONTH},
    {"mons", MR_UNIT_MONTH},
    {"quarter", MR_UNIT_QUARTER},
    {"qtr", MR_UNIT_QUARTER},
    {"year", MR_UNIT_YEAR},
    {"years", MR_UNIT_YEAR},
    {"y", MR_UNIT_YEAR},
    {"yr", MR_UNIT_YEAR},
    {"yrs", MR_UNIT_YEAR},
    {"decade", MR_UNIT_DECADE},
    {"decades", MR_UNIT_DECADE},
    {"dec", MR_UNIT_DECADE},
    {"decs", MR_UNIT_DECADE},
    {"century", MR_UNIT_CENTURY},
    {"centuries", MR_UNIT_CENTURY},
    {"c", MR_UNIT_CENTURY},
    {"cent", MR_UNIT_CENTURY},
    {"millennium", MR_UNIT_MILLENNIUM},
    {"millennia", MR_UNIT_MILLENNIUM},
    {"mil", MR_UNIT_MILLENNIUM},
    {"mils", MR_UNIT_MILLENNIUM},
    {"dow", MR_UNIT_DAY_OF_WEEK},
    {"isodow", MR_UNIT_ISO_DAY_OF_WEEK},
    {"doy", MR_UNIT_DAY_OF_YEAR},
    {"isoyear", MR_UNIT_ISO_YEAR},
    {"julian", MR_UNIT_JULIAN},
    {"j", MR_UNIT_JULIAN},
    {"jd", MR_UNIT_JULIAN},
    {"epoch", MR_UNIT_EPOCH},
    {"timezone", MR_UNIT_ZONE},
    {"timezone_h", MR_UNIT_ZONE},
    {"timezone_m", MR_UNIT_ZONE},
};

bool mr_time_unit_named(const char *name, size_t size_bytes, mr_time_unit *unit)
{
    const size_t size = size_bytes < NAME_BYTES_MAX ? size_bytes : NAME_BYTES_MAX;
    char word[NAME_BYTES_MAX + 1] = "";

    for (size_t i = 0; i < size; i++) {
        word[i] = (char)tolower((unsigned char)name[i]);
    }
    for (size_t i = 0; i < MR_LENGTH(names); i++) {
        if (strlen(names[i].name) == size && memcmp(names[i].name, word, size) == 0) {
            *unit = names[i].unit;
            return true;
        }
    }
    return false;
}

uint32_t mr_time_part_scale(mr_time_unit unit)
{
    return unit == MR_UNIT_SECOND || unit == MR_UNIT_EPOCH ? 6
           : unit == MR_UNIT_MILLISECOND                   ? 3
                                                           : 0;
}

/* Days since 1970, rounded down. */
static int64_t day_of(int64_t time_us)
{
    return time_us / US_PER_DAY - (time_us % US_PER_DAY < 0 ? 1 : 0);
}

/* Monday is 0. 1970-01-01 was a Thursday. */
static int64_t weekday_of(int64_t day)
{
    const int64_t rest = (day + 3) % DAYS_OF_WEEK;
    return rest < 0 ? rest + DAYS_OF_WEEK : rest;
}

static int64_t start_of_year(int32_t year)
{
    /* Leap days before the year, which is at least 1. */
    const int64_t before = (int64_t)year - 1;
    return before * 365 + before / 4 - before / 100 + before / 400 - 719162;
}

static int32_t year_of(int64_t day)
{
    mr_civil civil;
    mr_time_civil(day * US_PER_DAY, &civil);
    return civil.year;
}

/* The ISO year is that of the week's Thursday. */
static int64_t thursday_of(int64_t day)
{
    return day - weekday_of(day) + 3;
}

static int64_t start_of_month(int32_t year, int32_t month)
{
    static const int32_t before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    const bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    MR_ASSERT(month >= 1 && month <= 12);
    return start_of_year(year) + before[month - 1] + (is_leap && month > 2 ? 1 : 0);
}

static int64_t part_of_day(mr_time_unit unit, int64_t day)
{
    switch (unit) {
    case MR_UNIT_WEEK: {
        const int64_t thursday = thursday_of(day);
        return (thursday - start_of_year(year_of(thursday))) / DAYS_OF_WEEK + 1;
    }
    case MR_UNIT_ISO_YEAR:
        return year_of(thursday_of(day));
    case MR_UNIT_DAY_OF_WEEK:
        return (weekday_of(day) + 1) % DAYS_OF_WEEK;
    case MR_UNIT_ISO_DAY_OF_WEEK:
        return weekday_of(day) + 1;
    default:
        MR_ASSERT(unit == MR_UNIT_DAY_OF_YEAR);
        return day - start_of_year(year_of(day)) + 1;
    }
}

mr_int128 mr_time_part(mr_time_unit unit, int64_t time_us)
{
    const int64_t day = day_of(time_us);
    mr_civil civil;

    mr_time_civil(time_us, &civil);
    switch (unit) {
    case MR_UNIT_MICROSECOND:
    case MR_UNIT_MILLISECOND: /* Scale 3. */
    case MR_UNIT_SECOND:      /* Scale 6. */
        return civil.second * US_PER_SECOND + civil.microsecond;
    case MR_UNIT_MINUTE:
        return civil.minute;
    case MR_UNIT_HOUR:
        return civil.hour;
    case MR_UNIT_DAY:
        return civil.day;
    case MR_UNIT_MONTH:
        return civil.month;
    case MR_UNIT_QUARTER:
        return (civil.month - 1) / 3 + 1;
    case MR_UNIT_YEAR:
        return civil.year;
    case MR_UNIT_DECADE:
        return civil.year / 10;
    case MR_UNIT_CENTURY:
        return (civil.year + 99) / 100;
    case MR_UNIT_MILLENNIUM:
        return (civil.year + 999) / 1000;
    case MR_UNIT_JULIAN:
        return day + JULIAN_OF_1970 + ((time_us - day * US_PER_DAY) * 2 >= US_PER_DAY ? 1 : 0);
    case MR_UNIT_EPOCH:
        return time_us;
    case MR_UNIT_ZONE:
        return 0;
    default:
        return part_of_day(unit, day);
    }
}

bool mr_time_truncate(mr_time_unit unit, int64_t time_us, int64_t *out_us)
{
    static const int64_t sizes_us[] = {1, 1000, US_PER_SECOND, 60 * US_PER_SECOND,
                                       3600 * US_PER_SECOND};
    const int64_t day = day_of(time_us);
    mr_civil civil;
    int64_t start = day;

    MR_ASSERT(unit <= MR_UNIT_LAST_TO_TRUNCATE);
    if (unit < MR_UNIT_DAY) {
        const int64_t rest = (time_us - day * US_PER_DAY) % sizes_us[unit];
        *out_us = time_us - rest;
        return true;
    }
    mr_time_civil(time_us, &civil);
    switch (unit) {
    case MR_UNIT_DAY:
        break;
    case MR_UNIT_WEEK:
        start = day - weekday_of(day);
        break;
    case MR_UNIT_MONTH:
        start = start_of_month(civil.year, civil.month);
        break;
    case MR_UNIT_QUARTER:
        start = start_of_month(civil.year, (civil.month - 1) / 3 * 3 + 1);
        break;
    case MR_UNIT_YEAR:
        start = start_of_year(civil.year);
        break;
    case MR_UNIT_DECADE:
        if (civil.year < 10) {
            return false; /* The decade begins with the year 0. */
        }
        start = start_of_year(civil.year / 10 * 10);
        break;
    case MR_UNIT_CENTURY:
        start = start_of_year((civil.year - 1) / 100 * 100 + 1);
        break;
    default:
        start = start_of_year((civil.year - 1) / 1000 * 1000 + 1);
        break;
    }
    *out_us = start * US_PER_DAY;
    return *out_us >= TIME_MIN_US;
}
