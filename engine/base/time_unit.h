/*
 * time_unit.h - the parts of a time: by name, taken out (extract), and cut off (date_trunc), as
 * PostgreSQL 15 does in UTC. Times are microseconds UTC since 1970, years 1-9999. Thread: any.
 */
#ifndef MR_BASE_TIME_UNIT_H
#define MR_BASE_TIME_UNIT_H

#include <millrace/batch.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum mr_time_unit {
    MR_UNIT_MICROSECOND,
    MR_UNIT_MILLISECOND,
    MR_UNIT_SECOND,
    MR_UNIT_MINUTE,
    MR_UNIT_HOUR,
    MR_UNIT_DAY,
    MR_UNIT_WEEK,
    MR_UNIT_MONTH,
    MR_UNIT_QUARTER,
    MR_UNIT_YEAR,
    MR_UNIT_DECADE,
    MR_UNIT_CENTURY,
    MR_UNIT_MILLENNIUM,
    MR_UNIT_LAST_TO_TRUNCATE = MR_UNIT_MILLENNIUM, /* The rest can only be extracted. */
    MR_UNIT_DAY_OF_WEEK,                           /* 0 is Sunday. */
    MR_UNIT_ISO_DAY_OF_WEEK,                       /* 7 is Sunday. */
    MR_UNIT_DAY_OF_YEAR,
    MR_UNIT_ISO_YEAR,
    MR_UNIT_JULIAN,
    MR_UNIT_EPOCH,
    MR_UNIT_ZONE /* timezone, timezone_hour, timezone_minute: 0 */
} mr_time_unit;

/* By name or abbreviation, in any case ("day", "days", "d"); false = none. */
bool mr_time_unit_named(const char *name, size_t size_bytes, mr_time_unit *unit);
/* Digits behind the point of what mr_time_part() gives: 6 of second and epoch, 3 of millisecond. */
uint32_t mr_time_part_scale(mr_time_unit unit);
/* The part, unscaled; a Julian day is rounded. */
mr_int128 mr_time_part(mr_time_unit unit, int64_t time_us);
/* The start of the unit; `unit` up to MR_UNIT_LAST_TO_TRUNCATE. False: before the year 1. */
bool mr_time_truncate(mr_time_unit unit, int64_t time_us, int64_t *out_us);

#endif
