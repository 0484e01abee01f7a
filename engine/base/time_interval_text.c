/*
 * time_interval_text.c - intervals from and to text, as PostgreSQL 15 with intervalstyle postgres.
 *
 * The traditional form is split into fields, which are read from the last to the first, so that a
 * unit is known before its number. What is not of this form is tried as ISO 8601. Numbers have
 * their fractions in double, as there. Limits: 25 fields, 255 bytes of fields.
 */
#include "engine/base/assert.h"
#include "engine/base/decimal.h"
#include "engine/base/interval_private.h"
#include "engine/base/time_interval.h"
#include <math.h>
#include <string.h>

enum { FIELDS_MAX = 25, FIELD_BYTES_MAX = 255 };
enum { UNIT_OPEN = 100, UNIT_NONE = 101 }; /* Beside mr_time_unit. */

typedef enum field_kind {
    FIELD_NUMBER, /* Digits, and perhaps a point or a dash. */
    FIELD_SIGNED, /* The same behind a sign; perhaps a time. */
    FIELD_TIME,
    FIELD_WORD,
    FIELD_WRONG /* What only dates can have. */
} field_kind;

typedef struct field {
    field_kind kind;
    bool negative;
    const char *at, *end; /* Behind the sign. */
} field;

typedef struct fields {
    field of[FIELDS_MAX];
    uint32_t count, bytes;
} fields;

static bool split(const char *text, size_t size_bytes, fields *into);
static int read_fields(const fields *from, mr_interval_parts *into);

int mr_interval_parse(const char *text, size_t size_bytes, mr_interval *interval)
{
    fields found;
    mr_interval_parts sum = {0};

    MR_ASSERT(interval != NULL && (text != NULL || size_bytes == 0));
    int result = split(text, size_bytes, &found) ? read_fields(&found, &sum) : MR_INTERVAL_SYNTAX;
    if (result == MR_INTERVAL_SYNTAX) {
        sum = (mr_interval_parts){0};
        result = mr_interval_read_iso(text, size_bytes, &sum);
    }
    if (result != MR_INTERVAL_OK) {
        return result;
    }
    const int64_t months = (int64_t)sum.years * MR_MONTHS_PER_YEAR + sum.months;
    if (months < INT32_MIN || months > INT32_MAX) {
        return MR_INTERVAL_RANGE;
    }
    *interval = (mr_interval){.microseconds = sum.us, .days = sum.days, .months = (int32_t)months};
    return MR_INTERVAL_OK;
}

/* ---- Characters ---- */

static bool is_letter(char byte)
{
    return ((unsigned char)byte | 0x20) >= 'a' && ((unsigned char)byte | 0x20) <= 'z';
}

static bool is_space(char byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static bool is_punctuation(char byte)
{
    return byte > ' ' && byte < 0x7f && !mr_text_is_digit(byte) && !is_letter(byte);
}

/* ---- Fields ---- */

static const char *skip_letters(const char *at, const char *end)
{
    while (at < end && is_letter(*at)) {
        at++;
    }
    return at;
}

/* Digits and bytes of `also`. */
static const char *skip_digits_and(const char *at, const char *end, const char *also)
{
    while (at < end && (mr_text_is_digit(*at) || strchr(also, *at) != NULL)) {
        at++;
    }
    return at;
}

/* From a digit on: a time, a date, or a number. */
static const char *split_number(const char *from, const char *end, field *out)
{
    const char *at = mr_text_skip_digits(from, end);
    const char delimiter[] = {mr_text_peek(at, end), '\0'};

    out->kind = FIELD_NUMBER;
    if (delimiter[0] == ':') {
        out->kind = FIELD_TIME;
        return skip_digits_and(at, end, ":.");
    }
    if (delimiter[0] != '-' && delimiter[0] != '/' && delimiter[0] != '.') {
        return at;
    }
    at++;
    if (mr_text_is_digit(mr_text_peek(at, end))) {
        at = mr_text_skip_digits(at, end);
        return mr_text_peek(at, end) == delimiter[0] ? skip_digits_and(at, end, delimiter) : at;
    }
    while (at < end && (mr_text_is_digit(*at) || is_letter(*at) || *at == delimiter[0])) {
        at++;
    }
    return at;
}

/* A word ends before a digit only if dates know it, too: `1d2h`, but not `1day2h`. */
static bool ends_before_digit(const char *from, const char *at)
{
    static const char *const words[] = {"d", "dec", "h", "m", "mon", "s", "y"};
    const size_t size = (size_t)(at - from);
    char word[4] = "";

    for (size_t i = 0; i < size && i < sizeof(word) - 1; i++) {
        word[i] = (char)((unsigned char)from[i] | 0x20);
    }
    for (size_t i = 0; i < MR_LENGTH(words); i++) {
        if (strlen(words[i]) == size && memcmp(words[i], word, size) == 0) {
            return true;
        }
    }
    return false;
}

static const char *split_word(const char *from, const char *end, field *out)
{
    const char *at = skip_letters(from, end);
    const char next = mr_text_peek(at, end);
    bool is_date = next == '-' || next == '/' || next == '.';

    if (next == '+' || mr_text_is_digit(next)) {
        is_date = !ends_before_digit(from, at);
    }
    out->kind = is_date ? FIELD_WRONG : FIELD_WORD;
    while (is_date && at < end &&
           (mr_text_is_digit(*at) || is_letter(*at) || strchr("+-/_.:", *at) != NULL)) {
        at++;
    }
    return at;
}

/* Behind a sign; NULL = neither a number nor a word. */
static const char *split_signed(const char *at, const char *end, field *out)
{
    while (at < end && is_space(*at)) {
        at++;
    }
    out->at = at;
    if (mr_text_is_digit(mr_text_peek(at, end))) {
        out->kind = FIELD_SIGNED;
        return skip_digits_and(at, end, ":.-");
    }
    out->kind = FIELD_WRONG;
    return is_letter(mr_text_peek(at, end)) ? skip_letters(at, end) : NULL;
}

static bool split(const char *text, size_t size_bytes, fields *into)
{
    const char *at = text, *end = text + size_bytes;

    into->count = 0;
    into->bytes = 0;
    while (at < end) {
        if (is_space(*at)) {
            at++;
            continue;
        }
        if (into->count == FIELDS_MAX) {
            return false;
        }
        field *next = &into->of[into->count];
        *next = (field){.at = at};
        const bool has_sign = *at == '-' || *at == '+';
        if (mr_text_is_digit(*at)) {
            at = split_number(at, end, next);
        } else if (*at == '.') {
            at = mr_text_skip_digits(at + 1, end);
        } else if (is_letter(*at)) {
            at = split_word(at, end, next);
        } else if (has_sign) {
            next->negative = *at == '-';
            at = split_signed(at + 1, end, next);
        } else if (is_punctuation(*at)) {
            at++;
            continue;
        } else {
            at = NULL;
        }
        if (at == NULL) {
            return false;
        }
        next->end = at;
        /* PostgreSQL keeps each with an end mark in 256 bytes. */
        const size_t size = (size_t)(next->end - next->at) + (has_sign ? 1 : 0);
        if (size > FIELD_BYTES_MAX - into->bytes) {
            return false;
        }
        into->bytes += (uint32_t)size + 1;
        into->bytes = into->bytes > FIELD_BYTES_MAX ? FIELD_BYTES_MAX : into->bytes;
        into->count++;
    }
    return true;
}

/* Digits, perhaps none; `*at` is moved behind them. False = beyond 64 bits. */
static bool take_integer(const char **at, const char *end, bool negative, int64_t *value)
{
    const char *from = *at;
    bool fits = true;

    *at = mr_text_skip_digits(from, end);
    *value = 0;
    for (; from < *at; from++) {
        const int64_t digit = negative ? -(*from - '0') : *from - '0';
        fits = fits && !__builtin_mul_overflow(*value, 10, value) &&
               !__builtin_add_overflow(*value, digit, value);
    }
    return fits;
}

/* The rest from the point on: digits, perhaps none, and nothing else. */
static bool take_fraction(const char *at, const char *end, double *fraction)
{
    MR_ASSERT(at < end && *at == '.');
    *fraction = 0;
    return end - at == 1 || mr_double_parse(at, (size_t)(end - at), fraction) == 0;
}

/* hours:minutes[:seconds[.fraction]], or minutes:seconds.fraction */
static int read_time(const char *at, const char *end, int64_t *us)
{
    int64_t hour = 0, minute = 0, second = 0;
    double fraction = 0;

    if (!take_integer(&at, end, false, &hour)) {
        return MR_INTERVAL_FIELD;
    }
    if (mr_text_peek(at, end) != ':') {
        return MR_INTERVAL_SYNTAX;
    }
    at++;
    if (!take_integer(&at, end, false, &minute) || minute > INT32_MAX) {
        return MR_INTERVAL_FIELD;
    }
    if (mr_text_peek(at, end) == '.') {
        if (!take_fraction(at, end, &fraction)) {
            return MR_INTERVAL_SYNTAX;
        }
        if (hour > INT32_MAX) {
            return MR_INTERVAL_FIELD;
        }
        second = minute;
        minute = hour;
        hour = 0;
    } else if (mr_text_peek(at, end) == ':') {
        at++;
        if (!take_integer(&at, end, false, &second) || second > INT32_MAX) {
            return MR_INTERVAL_FIELD;
        }
        if (at < end && (*at != '.' || !take_fraction(at, end, &fraction))) {
            return MR_INTERVAL_SYNTAX;
        }
    } else if (at < end) {
        return MR_INTERVAL_SYNTAX;
    }
    if (minute > 59 || second > 60) {
        return MR_INTERVAL_FIELD;
    }
    mr_interval_parts sum = {.us = (int64_t)rint(fraction * (double)MR_US_PER_SECOND)};
    if (!mr_parts_add_us(&sum, hour, MR_US_PER_HOUR) ||
        !mr_parts_add_us(&sum, minute, MR_US_PER_MINUTE) ||
        !mr_parts_add_us(&sum, second, MR_US_PER_SECOND)) {
        return MR_INTERVAL_FIELD;
    }
    *us = sum.us;
    return MR_INTERVAL_OK;
}

/* A number, or SQL's years-months, which sets the unit. */
static int read_number(const field *from, mr_interval_number *n, uint32_t *unit)
{
    const char *at = from->at;
    int64_t more = 0;

    n->fraction = 0;
    if (!take_integer(&at, from->end, from->negative, &n->whole)) {
        return MR_INTERVAL_FIELD;
    }
    if (at == from->end) {
        return MR_INTERVAL_OK;
    }
    if (*at == '.') {
        if (!take_fraction(at, from->end, &n->fraction)) {
            return MR_INTERVAL_SYNTAX;
        }
        n->fraction = from->negative ? -n->fraction : n->fraction;
        return MR_INTERVAL_OK;
    }
    if (*at != '-') {
        return MR_INTERVAL_SYNTAX;
    }
    at++;
    /* A second dash is a sign: -0 is no month, and anything else is out of range. */
    const bool minus = mr_text_peek(at, from->end) == '-';
    at += minus ? 1 : 0;
    const char *digits = at;
    if (!take_integer(&at, from->end, false, &more) || more >= (minus ? 1 : MR_MONTHS_PER_YEAR)) {
        return MR_INTERVAL_FIELD;
    }
    if (at != from->end || (minus && at == digits)) {
        return MR_INTERVAL_SYNTAX;
    }
    *unit = MR_UNIT_MONTH;
    more = from->negative ? -more : more;
    return __builtin_mul_overflow(n->whole, MR_MONTHS_PER_YEAR, &n->whole) ||
                   __builtin_add_overflow(n->whole, more, &n->whole)
               ? MR_INTERVAL_FIELD
               : MR_INTERVAL_OK;
}

static bool add_number(mr_interval_parts *into, uint32_t unit, mr_interval_number n)
{
    switch (unit) {
    case MR_UNIT_MICROSECOND:
        return mr_parts_add_time(into, n, 1);
    case MR_UNIT_MILLISECOND:
        return mr_parts_add_time(into, n, 1000);
    case MR_UNIT_SECOND:
        return mr_parts_add_time(into, n, MR_US_PER_SECOND);
    case MR_UNIT_MINUTE:
        return mr_parts_add_time(into, n, MR_US_PER_MINUTE);
    case MR_UNIT_HOUR:
        return mr_parts_add_time(into, n, MR_US_PER_HOUR);
    case MR_UNIT_DAY:
        return mr_parts_add_days(into, n);
    case MR_UNIT_WEEK:
        return mr_parts_add_weeks(into, n);
    case MR_UNIT_MONTH:
        return mr_parts_add_months(into, n);
    case MR_UNIT_YEAR:
        return mr_parts_add_years(into, n, 1);
    case MR_UNIT_DECADE:
        return mr_parts_add_years(into, n, 10);
    case MR_UNIT_CENTURY:
        return mr_parts_add_years(into, n, 100);
    default:
        MR_ASSERT(unit == MR_UNIT_MILLENNIUM);
        return mr_parts_add_years(into, n, 1000);
    }
}

/* One bit a unit: none may be given twice. */
static uint32_t bit_of(uint32_t unit)
{
    return 1u << unit;
}

static const uint32_t second_bits =
    1u << MR_UNIT_SECOND | 1u << MR_UNIT_MILLISECOND | 1u << MR_UNIT_MICROSECOND;
static const uint32_t time_bits = 1u << MR_UNIT_HOUR | 1u << MR_UNIT_MINUTE | 1u << MR_UNIT_SECOND |
                                  1u << MR_UNIT_MILLISECOND | 1u << MR_UNIT_MICROSECOND;

static int read_quantity(const field *from, uint32_t *unit, mr_interval_parts *into, uint32_t *bits)
{
    mr_interval_number n = {0};

    if (*unit == UNIT_OPEN) {
        *unit = MR_UNIT_SECOND;
    }
    const int result = read_number(from, &n, unit);
    if (result != MR_INTERVAL_OK) {
        return result;
    }
    if (*unit > MR_UNIT_MILLENNIUM || *unit == MR_UNIT_QUARTER) {
        return MR_INTERVAL_SYNTAX;
    }
    if (!add_number(into, *unit, n)) {
        return MR_INTERVAL_FIELD;
    }
    *bits = *unit == MR_UNIT_SECOND && n.fraction != 0 ? second_bits : bit_of(*unit);
    if (*unit == MR_UNIT_HOUR) {
        *unit = MR_UNIT_DAY; /* `1 02` hours: days come in front. */
    }
    return MR_INTERVAL_OK;
}

/* A time replaces what fractions of larger units have left: as there. */
static bool read_clock(const field *from, mr_interval_parts *into, int *result)
{
    int64_t us = 0;

    if (from->kind == FIELD_SIGNED) {
        const bool has_colon = memchr(from->at, ':', (size_t)(from->end - from->at)) != NULL;
        if (!has_colon || read_time(from->at, from->end, &us) != MR_INTERVAL_OK) {
            return false; /* A number, or nothing. */
        }
        *result = MR_INTERVAL_OK;
    } else {
        *result = read_time(from->at, from->end, &us);
    }
    into->us = from->negative ? -us : us;
    return true;
}

static bool read_unit(const field *from, uint32_t *unit, bool *ago)
{
    const size_t size = (size_t)(from->end - from->at);
    mr_time_unit named = MR_UNIT_DAY;

    if (size == 3 && (from->at[0] | 0x20) == 'a' && (from->at[1] | 0x20) == 'g' &&
        (from->at[2] | 0x20) == 'o') {
        *ago = true;
        *unit = UNIT_NONE;
        return true;
    }
    if (!mr_time_unit_named(from->at, size, &named) ||
        (named > MR_UNIT_LAST_TO_TRUNCATE && named != MR_UNIT_ZONE)) {
        return false;
    }
    *unit = named;
    return true;
}

static int read_fields(const fields *from, mr_interval_parts *into)
{
    uint32_t seen = 0, unit = UNIT_OPEN;
    bool ago = false;

    for (uint32_t i = from->count; i-- > 0;) {
        const field *next = &from->of[i];
        const bool may_be_time = next->kind == FIELD_TIME || next->kind == FIELD_SIGNED;
        uint32_t bits = 0;
        int result = MR_INTERVAL_OK;
        if (may_be_time && read_clock(next, into, &result)) {
            bits = time_bits;
            unit = MR_UNIT_DAY;
        } else if (next->kind == FIELD_NUMBER || next->kind == FIELD_SIGNED) {
            result = read_quantity(next, &unit, into, &bits);
        } else if (next->kind == FIELD_WRONG || !read_unit(next, &unit, &ago)) {
            result = MR_INTERVAL_SYNTAX;
        }
        if (result != MR_INTERVAL_OK || (seen & bits) != 0) {
            return result != MR_INTERVAL_OK ? result : MR_INTERVAL_SYNTAX;
        }
        seen |= bits;
    }
    if (seen == 0) {
        return MR_INTERVAL_SYNTAX;
    }
    if (ago) {
        const bool fits = !__builtin_sub_overflow(0, into->us, &into->us) &&
                          !__builtin_sub_overflow(0, into->days, &into->days) &&
                          !__builtin_sub_overflow(0, into->months, &into->months) &&
                          !__builtin_sub_overflow(0, into->years, &into->years);
        return fits ? MR_INTERVAL_OK : MR_INTERVAL_FIELD;
    }
    return MR_INTERVAL_OK;
}

/* ---- To text ---- */

static uint32_t put_unsigned(char *out, uint64_t value, uint32_t digits_min)
{
    char digits[MR_INTEGER_TEXT_MAX];
    uint32_t count = 0;

    do {
        digits[count++] = (char)('0' + (int)(value % 10));
        value /= 10;
    } while (value > 0 || count < digits_min);
    for (uint32_t i = 0; i < count; i++) {
        out[i] = digits[count - 1 - i];
    }
    return count;
}

static uint64_t magnitude(int64_t value)
{
    return value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
}

typedef struct printer {
    char *out;
    uint32_t at;
    bool after_negative; /* A sign must show that the next is not. */
} printer;

static void put_word(printer *p, int32_t value, const char *unit)
{
    if (value == 0) {
        return;
    }
    if (p->at > 0) {
        p->out[p->at++] = ' ';
    }
    if (value < 0 || p->after_negative) {
        p->out[p->at++] = value < 0 ? '-' : '+';
    }
    p->at += put_unsigned(p->out + p->at, magnitude(value), 1);
    p->out[p->at++] = ' ';
    memcpy(p->out + p->at, unit, strlen(unit));
    p->at += (uint32_t)strlen(unit);
    if (value != 1) {
        p->out[p->at++] = 's';
    }
    p->after_negative = value < 0;
}

static void put_clock(printer *p, int64_t us)
{
    const uint64_t size = magnitude(us);
    const uint32_t fraction = (uint32_t)(size % (uint64_t)MR_US_PER_SECOND);

    if (p->at > 0) {
        p->out[p->at++] = ' ';
    }
    if (us < 0 || p->after_negative) {
        p->out[p->at++] = us < 0 ? '-' : '+';
    }
    p->at += put_unsigned(p->out + p->at, size / (uint64_t)MR_US_PER_HOUR, 2);
    p->out[p->at++] = ':';
    p->at += put_unsigned(p->out + p->at, size / (uint64_t)MR_US_PER_MINUTE % 60, 2);
    p->out[p->at++] = ':';
    p->at += put_unsigned(p->out + p->at, size / (uint64_t)MR_US_PER_SECOND % 60, 2);
    if (fraction != 0) {
        p->out[p->at++] = '.';
        p->at += put_unsigned(p->out + p->at, fraction, 6);
        while (p->out[p->at - 1] == '0') {
            p->at--;
        }
    }
}

uint32_t mr_interval_print(mr_interval interval, char out[MR_INTERVAL_TEXT_MAX])
{
    printer p = {.out = out};

    put_word(&p, interval.months / MR_MONTHS_PER_YEAR, "year");
    put_word(&p, interval.months % MR_MONTHS_PER_YEAR, "mon");
    put_word(&p, interval.days, "day");
    if (p.at == 0 || interval.microseconds != 0) {
        put_clock(&p, interval.microseconds);
    }
    MR_ASSERT(p.at <= MR_INTERVAL_TEXT_MAX);
    return p.at;
}
