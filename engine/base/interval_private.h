/*
 * interval_private.h - what the two readers of intervals share: the parts of one as they are read,
 * and how numbers with fractions are added to them. False = a part out of range. Inside
 * engine/base only.
 */
#ifndef MR_BASE_INTERVAL_PRIVATE_H
#define MR_BASE_INTERVAL_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MR_US_PER_SECOND INT64_C(1000000)
#define MR_US_PER_MINUTE (60 * MR_US_PER_SECOND)
#define MR_US_PER_HOUR (60 * MR_US_PER_MINUTE)
#define MR_US_PER_DAY (24 * MR_US_PER_HOUR)

enum { MR_MONTHS_PER_YEAR = 12 };
/* What mr_interval_parse() gives. */
enum { MR_INTERVAL_OK = 0, MR_INTERVAL_SYNTAX = 1, MR_INTERVAL_RANGE = 2, MR_INTERVAL_FIELD = 3 };

typedef struct mr_interval_parts { /* Years apart from months. */
    int64_t us;
    int32_t days, months, years;
} mr_interval_parts;

typedef struct mr_interval_number {
    int64_t whole;
    double fraction; /* Of the same sign, below 1. */
} mr_interval_number;

/* The byte at `at`, or 0 behind the end. */
static inline char mr_text_peek(const char *at, const char *end)
{
    return at < end ? *at : '\0';
}

static inline bool mr_text_is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

/* Behind the digits that begin here, if any. */
static inline const char *mr_text_skip_digits(const char *at, const char *end)
{
    while (at < end && mr_text_is_digit(*at)) {
        at++;
    }
    return at;
}

bool mr_parts_add_us(mr_interval_parts *into, int64_t value, int64_t scale_us);
bool mr_parts_add_time(mr_interval_parts *into, mr_interval_number n, int64_t scale_us);
bool mr_parts_add_days(mr_interval_parts *into, mr_interval_number n);
bool mr_parts_add_weeks(mr_interval_parts *into, mr_interval_number n);
bool mr_parts_add_months(mr_interval_parts *into, mr_interval_number n);
bool mr_parts_add_years(mr_interval_parts *into, mr_interval_number n, int32_t scale);

/* ISO 8601, `P1Y2M3DT4H5M6S` and its alternative forms; results as above. */
int mr_interval_read_iso(const char *text, size_t size_bytes, mr_interval_parts *into);

#endif
