/*
 * time_interval_iso.c - intervals in the forms of ISO 8601, and the sums of both readers; see
 * time_interval_text.c. As PostgreSQL 15 it takes signs, fractions and exponents in every part.
 * Hexadecimal numbers, which it lets through too, are syntax errors here.
 */
#include "engine/base/assert.h"
#include "engine/base/decimal.h"
#include "engine/base/interval_private.h"
#include <math.h>

enum { ISO_MORE = 10, ISO_NEXT_PART = 11, DAYS_PER_MONTH = 30 }; /* The form goes on. */

/* ---- Parts ---- */

bool mr_parts_add_us(mr_interval_parts *into, int64_t value, int64_t scale)
{
    int64_t product = 0;

    return !__builtin_mul_overflow(value, scale, &product) &&
           !__builtin_add_overflow(into->us, product, &into->us);
}

/* A fraction below 1 of `scale` microseconds, rounded to the nearest, halves to zero. */
static bool add_fraction_us(mr_interval_parts *into, double fraction, int64_t scale)
{
    const double scaled = fraction * (double)scale;
    int64_t us = (int64_t)scaled;
    const double rest = scaled - (double)us;

    us += rest > 0.5 ? 1 : rest < -0.5 ? -1 : 0;
    return !__builtin_add_overflow(into->us, us, &into->us);
}

static bool add_scaled(int32_t *into, int64_t value, int32_t scale)
{
    int32_t product = 0;

    return value >= INT32_MIN && value <= INT32_MAX &&
           !__builtin_mul_overflow((int32_t)value, scale, &product) &&
           !__builtin_add_overflow(*into, product, into);
}

/* A fraction of `scale` days: whole days, and time. */
static bool add_fraction_days(mr_interval_parts *into, double fraction, int32_t scale)
{
    const double scaled = fraction * scale;
    const int32_t days = (int32_t)scaled;

    return !__builtin_add_overflow(into->days, days, &into->days) &&
           add_fraction_us(into, scaled - days, MR_US_PER_DAY);
}

bool mr_parts_add_time(mr_interval_parts *into, mr_interval_number n, int64_t scale)
{
    return mr_parts_add_us(into, n.whole, scale) && add_fraction_us(into, n.fraction, scale);
}

bool mr_parts_add_days(mr_interval_parts *into, mr_interval_number n)
{
    return add_scaled(&into->days, n.whole, 1) && add_fraction_us(into, n.fraction, MR_US_PER_DAY);
}

bool mr_parts_add_weeks(mr_interval_parts *into, mr_interval_number n)
{
    return add_scaled(&into->days, n.whole, 7) && add_fraction_days(into, n.fraction, 7);
}

bool mr_parts_add_months(mr_interval_parts *into, mr_interval_number n)
{
    return add_scaled(&into->months, n.whole, 1) &&
           add_fraction_days(into, n.fraction, DAYS_PER_MONTH);
}

/* The fraction becomes whole months. */
bool mr_parts_add_years(mr_interval_parts *into, mr_interval_number n, int32_t scale)
{
    const int32_t months = (int32_t)rint(n.fraction * scale * MR_MONTHS_PER_YEAR);

    return add_scaled(&into->years, n.whole, scale) &&
           !__builtin_add_overflow(into->months, months, &into->months);
}

/* ---- ISO 8601 ---- */

typedef struct iso {
    const char *at, *end;
    bool in_time, has_field;
    mr_interval_parts *into;
} iso;

/* A decimal number, perhaps with an exponent; parts with a fraction below 1. */
static int iso_number(iso *in, mr_interval_number *n)
{
    const char *from = in->at, *at = from;
    double value = 0;

    if (mr_text_peek(at, in->end) == '-') {
        at++;
    }
    const char *digits = at;
    at = mr_text_skip_digits(at, in->end);
    size_t count = (size_t)(at - digits);
    if (mr_text_peek(at, in->end) == '.') {
        digits = ++at;
        at = mr_text_skip_digits(at, in->end);
        count += (size_t)(at - digits);
    }
    if (count == 0) {
        return MR_INTERVAL_SYNTAX;
    }
    if ((mr_text_peek(at, in->end) | 0x20) == 'e') {
        const char *exponent = at + 1;
        exponent += mr_text_peek(exponent, in->end) == '-' || mr_text_peek(exponent, in->end) == '+'
                        ? 1
                        : 0;
        at = mr_text_is_digit(mr_text_peek(exponent, in->end))
                 ? mr_text_skip_digits(exponent, in->end)
                 : at;
    }
    in->at = at;
    if (mr_double_parse(from, (size_t)(at - from), &value) != 0) {
        return MR_INTERVAL_SYNTAX;
    }
    if (value < -1.0e15 || value > 1.0e15) {
        return MR_INTERVAL_FIELD;
    }
    n->whole = (int64_t)value;
    n->fraction = value - (double)n->whole;
    return MR_INTERVAL_OK;
}

/* Digits of a number, without its sign. */
static uint32_t iso_width(const iso *in, const char *from)
{
    from += mr_text_peek(from, in->end) == '-' ? 1 : 0;
    return (uint32_t)(mr_text_skip_digits(from, in->end) - from);
}

/* Behind a part of an alternative form: its end, or the time. */
static int iso_rest(const iso *in)
{
    return in->at == in->end ? MR_INTERVAL_OK : *in->at == 'T' ? ISO_NEXT_PART : MR_INTERVAL_SYNTAX;
}

/* 0001-02-03, of which the year is read; `unit` is what follows it, taken already. */
static int iso_date_alternative(iso *in, mr_interval_number n, char unit)
{
    if (in->has_field) {
        return MR_INTERVAL_SYNTAX;
    }
    if (!mr_parts_add_years(in->into, n, 1)) {
        return MR_INTERVAL_FIELD;
    }
    if (unit != '-') {
        return unit == '\0' ? MR_INTERVAL_OK : ISO_NEXT_PART;
    }
    int result = iso_number(in, &n);
    if (result != MR_INTERVAL_OK) {
        return result;
    }
    if (!mr_parts_add_months(in->into, n)) {
        return MR_INTERVAL_FIELD;
    }
    if (mr_text_peek(in->at, in->end) != '-') {
        return iso_rest(in);
    }
    in->at++;
    result = iso_number(in, &n);
    if (result != MR_INTERVAL_OK) {
        return result;
    }
    return mr_parts_add_days(in->into, n) ? iso_rest(in) : MR_INTERVAL_FIELD;
}

static int iso_date_field(iso *in, const char *from, mr_interval_number n, char unit)
{
    switch (unit) {
    case 'Y':
        return mr_parts_add_years(in->into, n, 1) ? ISO_MORE : MR_INTERVAL_FIELD;
    case 'M':
        return mr_parts_add_months(in->into, n) ? ISO_MORE : MR_INTERVAL_FIELD;
    case 'W':
        return mr_parts_add_weeks(in->into, n) ? ISO_MORE : MR_INTERVAL_FIELD;
    case 'D':
        return mr_parts_add_days(in->into, n) ? ISO_MORE : MR_INTERVAL_FIELD;
    case 'T':
    case '\0':
        if (iso_width(in, from) == 8 && !in->has_field) { /* 00010203 */
            const bool fits = add_scaled(&in->into->years, n.whole / 10000, 1) &&
                              add_scaled(&in->into->months, n.whole / 100 % 100, 1) &&
                              add_scaled(&in->into->days, n.whole % 100, 1) &&
                              add_fraction_us(in->into, n.fraction, MR_US_PER_DAY);
            return !fits ? MR_INTERVAL_FIELD : unit == '\0' ? MR_INTERVAL_OK : ISO_NEXT_PART;
        }
        return iso_date_alternative(in, n, unit);
    case '-':
        return iso_date_alternative(in, n, unit);
    default:
        return MR_INTERVAL_SYNTAX;
    }
}

/* 01:02:03, of which the hour is read. */
static int iso_time_alternative(iso *in, mr_interval_number n, char unit)
{
    if (in->has_field) {
        return MR_INTERVAL_SYNTAX;
    }
    if (!mr_parts_add_time(in->into, n, MR_US_PER_HOUR)) {
        return MR_INTERVAL_FIELD;
    }
    if (unit == '\0') {
        return MR_INTERVAL_OK;
    }
    int result = iso_number(in, &n);
    if (result != MR_INTERVAL_OK) {
        return result;
    }
    if (!mr_parts_add_time(in->into, n, MR_US_PER_MINUTE)) {
        return MR_INTERVAL_FIELD;
    }
    if (in->at == in->end) {
        return MR_INTERVAL_OK;
    }
    if (*in->at != ':') {
        return MR_INTERVAL_SYNTAX;
    }
    in->at++;
    result = iso_number(in, &n);
    if (result != MR_INTERVAL_OK) {
        return result;
    }
    if (!mr_parts_add_time(in->into, n, MR_US_PER_SECOND)) {
        return MR_INTERVAL_FIELD;
    }
    return in->at == in->end ? MR_INTERVAL_OK : MR_INTERVAL_SYNTAX;
}

static int iso_time_field(iso *in, const char *from, mr_interval_number n, char unit)
{
    switch (unit) {
    case 'H':
        return mr_parts_add_time(in->into, n, MR_US_PER_HOUR) ? ISO_MORE : MR_INTERVAL_FIELD;
    case 'M':
        return mr_parts_add_time(in->into, n, MR_US_PER_MINUTE) ? ISO_MORE : MR_INTERVAL_FIELD;
    case 'S':
        return mr_parts_add_time(in->into, n, MR_US_PER_SECOND) ? ISO_MORE : MR_INTERVAL_FIELD;
    case '\0':
        if (iso_width(in, from) == 6 && !in->has_field) { /* 010203 */
            return mr_parts_add_us(in->into, n.whole / 10000, MR_US_PER_HOUR) &&
                           mr_parts_add_us(in->into, n.whole / 100 % 100, MR_US_PER_MINUTE) &&
                           mr_parts_add_us(in->into, n.whole % 100, MR_US_PER_SECOND) &&
                           add_fraction_us(in->into, n.fraction, 1)
                       ? MR_INTERVAL_OK
                       : MR_INTERVAL_FIELD;
        }
        return iso_time_alternative(in, n, unit);
    case ':':
        return iso_time_alternative(in, n, unit);
    default:
        return MR_INTERVAL_SYNTAX;
    }
}

int mr_interval_read_iso(const char *text, size_t size_bytes, mr_interval_parts *into)
{
    if (size_bytes < 2 || text[0] != 'P') {
        return MR_INTERVAL_SYNTAX;
    }
    iso in = {.at = text + 1, .end = text + size_bytes, .into = into};
    while (in.at < in.end) {
        mr_interval_number n = {0};
        if (*in.at == 'T') {
            in.in_time = true;
            in.has_field = false;
            in.at++;
            continue;
        }
        const char *from = in.at;
        int result = iso_number(&in, &n);
        if (result != MR_INTERVAL_OK) {
            return result;
        }
        const char unit = mr_text_peek(in.at, in.end);
        in.at += in.at < in.end ? 1 : 0;
        result =
            in.in_time ? iso_time_field(&in, from, n, unit) : iso_date_field(&in, from, n, unit);
        if (result != ISO_MORE && result != ISO_NEXT_PART) {
            return result;
        }
        in.in_time = in.in_time || result == ISO_NEXT_PART;
        in.has_field = result == ISO_MORE;
    }
    return MR_INTERVAL_OK;
}
