/*
 * time_text.h - timestamps, durations and sizes as text. Timestamps are microseconds UTC since
 * 1970, years 1-9999. Thread: any.
 */
#ifndef MR_BASE_TIME_TEXT_H
#define MR_BASE_TIME_TEXT_H

#include <stddef.h>
#include <stdint.h>

enum { MR_TIME_TEXT_MAX = 32 };

/*
 * ISO 8601: `2026-01-01T00:00:05Z`, also with a space for T, fraction digits (more than six
 * round), an offset +hh[:mm], or no zone (UTC); also a date alone. 0 ok, 1 syntax (22007), 2 field
 * out of range (22008).
 */
int mr_time_parse(const char *text, size_t size_bytes, int64_t *time_us);
/* `2026-01-01T00:00:05Z`, with 0, 3 or 6 fraction digits; returns the size. */
uint32_t mr_time_print(int64_t time_us, char out[MR_TIME_TEXT_MAX]);

/* Days since 1970-01-01, of the years 1-9999. */
enum { MR_DATE_MIN = -719162, MR_DATE_MAX = 2932896 };
/* `2026-01-01`, or a timestamp as above, of which the date as written counts. Results as above. */
int mr_date_parse(const char *text, size_t size_bytes, int32_t *days);
/* `2026-01-01`; returns the size. */
uint32_t mr_date_print(int32_t days, char out[MR_TIME_TEXT_MAX]);

/* `250ms`, `30s`, `1h30m`, `7d`: 0 ok, 1 syntax, 2 too large. */
int mr_duration_parse(const char *text, size_t size_bytes, int64_t *duration_us);
/* `64KiB`, `8MiB`, `4GiB`, plain bytes: 0 ok, 1 syntax, 2 too large. */
int mr_size_parse(const char *text, size_t size_bytes, uint64_t *bytes);

/* Proleptic Gregorian, for extract and printing. */
typedef struct mr_civil {
    int32_t year, month, day, hour, minute, second, microsecond;
} mr_civil;
void mr_time_civil(int64_t time_us, mr_civil *civil);

#endif
