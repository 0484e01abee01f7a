/*
 * time_interval.h - intervals: months, days and microseconds that are not converted into each
 * other, as PostgreSQL 15's. To compare, a month counts as 30 days and a day as 24 hours. False =
 * out of range (SQLSTATE 22008); nothing wraps. Thread: any.
 */
#ifndef MR_BASE_TIME_INTERVAL_H
#define MR_BASE_TIME_INTERVAL_H

#include "engine/base/time_unit.h"
#include <millrace/batch.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MR_INTERVAL_TEXT_MAX = 80 };

/*
 * `1 year 2 mons -3 days 04:05:06.7`, also SQL's `1-2` for years and months, units in words or
 * letters, `ago`, and ISO 8601's `P1Y2M3DT4H5M6S`; white space is PostgreSQL's. 0 ok, 1 syntax
 * (22007), 2 out of range (22008), 3 a field out of range (22015).
 */
int mr_interval_parse(const char *text, size_t size_bytes, mr_interval *interval);
/* intervalstyle postgres; returns the size; `out` is not terminated. */
uint32_t mr_interval_print(mr_interval interval, char out[MR_INTERVAL_TEXT_MAX]);

/* -1, 0, 1; intervals of different parts may be equal. */
int mr_interval_compare(mr_interval a, mr_interval b);
bool mr_interval_add(mr_interval a, mr_interval b, mr_interval *out);
bool mr_interval_subtract(mr_interval a, mr_interval b, mr_interval *out);
bool mr_interval_negate(mr_interval a, mr_interval *out);
/* Fractions of months become days (30), fractions of days time. */
bool mr_interval_multiply(mr_interval a, double factor, mr_interval *out);
bool mr_interval_divide(mr_interval a, double divisor, mr_interval *out); /* Not zero (asserted). */

/* Parts of an interval; which ones exist, and which of them stay. */
bool mr_interval_has_part(mr_time_unit unit);
mr_int128 mr_interval_part(mr_time_unit unit, mr_interval interval);
bool mr_interval_can_truncate(mr_time_unit unit);
mr_interval mr_interval_truncate(mr_time_unit unit, mr_interval interval);

/* Months first, cut to the month's end, then days, then time. */
bool mr_time_add_interval(int64_t time_us, mr_interval interval, int64_t *out_us);
bool mr_time_subtract_interval(int64_t time_us, mr_interval interval, int64_t *out_us);
/* a - b in days and time, of one sign. */
mr_interval mr_time_difference(int64_t a_us, int64_t b_us);
/*
 * The start of the bin of `stride` that holds the time, bins beginning at `origin`. 0 ok, 1 the
 * stride has months (0A000), 2 out of range, or a stride that is not above zero (22008).
 */
int mr_time_bin(mr_interval stride, int64_t time_us, int64_t origin_us, int64_t *out_us);

#endif
