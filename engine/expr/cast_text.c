/*
 * cast_text.c - casts to and from text, and from jsonb. White space around a value is allowed.
 * Syntax is 22P02, range 22003, times 22007 and 22008; a jsonb of the wrong kind is 22023.
 */
#include "engine/base/decimal.h"
#include "engine/base/json.h"
#include "engine/base/time_interval.h"
#include "engine/base/time_text.h"
#include "engine/expr/expr_private.h"
#include <string.h>
#include <strings.h>

enum { TEXT_ROOM = 80, EXPONENT_MAX = 100000 }; /* Longest text of a number or time. */
_Static_assert((int)MR_DECIMAL_TEXT_MAX <= TEXT_ROOM && (int)MR_TIME_TEXT_MAX <= TEXT_ROOM &&
                   (int)MR_INTERVAL_TEXT_MAX <= TEXT_ROOM,
               "room for every printed value");

typedef union cell { /* A parsed value. */
    uint8_t boolean;
    int64_t integer;
    int32_t date;
    double real;
    mr_int128 numeric;
    mr_interval interval;
} cell;

static bool is_space(uint8_t byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static mr_view trim(mr_view text)
{
    while (text.size_bytes > 0 && is_space(text.bytes[0])) {
        text.bytes++;
        text.size_bytes--;
    }
    while (text.size_bytes > 0 && is_space(text.bytes[text.size_bytes - 1])) {
        text.size_bytes--;
    }
    return text;
}

/* ---- To text ---- */

static uint32_t print_cell(const mr_column *column, mr_type type, uint32_t scale, uint32_t row,
                           char *out)
{
    switch (type) {
    case MR_BOOLEAN: {
        const bool is_true = (column->as.booleans[row] & 1) != 0;
        memcpy(out, is_true ? "true" : "false", is_true ? 4 : 5);
        return is_true ? 4 : 5;
    }
    case MR_BIGINT:
        return mr_integer_print(column->as.integers[row], out);
    case MR_DOUBLE:
        return mr_double_print(column->as.doubles[row], out);
    case MR_NUMERIC:
        return mr_decimal_print(column->as.numerics[row], scale, out);
    case MR_DATE:
        return mr_date_print(column->as.dates[row], out);
    case MR_INTERVAL:
        return mr_interval_print(column->as.intervals[row], out);
    default:
        MR_ASSERT(type == MR_TIMESTAMPTZ);
        return mr_time_print(column->as.integers[row], out);
    }
}

void mr_run_cast_to_text(mr_frame *frame, const mr_program_step *step)
{
    const mr_column *a = &frame->registers[step->a].column;
    mr_view *out = frame->registers[step->dst].cells;
    const mr_type type = (mr_type)step->operation;
    uint64_t live[MR_BATCH_WORDS_MAX];

    mr_frame_strict(frame, step, 1);
    mr_frame_live(frame, step, 1, live);
    for (uint32_t row = 0; mr_next_row(live, frame->word_count, &row); row++) {
        char text[TEXT_ROOM];
        if (type == MR_JSONB) { /* Its cell is its text. */
            out[row] = a->as.views[row];
            continue;
        }
        const uint32_t size = print_cell(a, type, step->scale_a, row, text);
        uint8_t *to = mr_frame_room(frame, row, size);
        if (to == NULL) {
            continue;
        }
        memcpy(to, text, size);
        out[row] = mr_frame_take(frame, size);
    }
}

/* ---- From text ---- */

static mr_row_error boolean_from_text(mr_view text, uint8_t *out)
{
    /* Each word may be cut short as long as it is the only one with that beginning. */
    static const struct {
        const char *word;
        uint8_t least, value;
    } words[] = {{"true", 1, 1}, {"false", 1, 0}, {"yes", 1, 1}, {"no", 1, 0},
                 {"on", 2, 1},   {"off", 2, 0},   {"1", 1, 1},   {"0", 1, 0}};

    for (size_t i = 0; i < MR_LENGTH(words); i++) {
        if (text.size_bytes >= words[i].least && text.size_bytes <= strlen(words[i].word) &&
            strncasecmp((const char *)text.bytes, words[i].word, text.size_bytes) == 0) {
            *out = words[i].value;
            return MR_ROW_OK;
        }
    }
    return MR_ROW_22P02;
}

typedef struct number {              /* A decimal number as written. */
    const char *digits, *digits_end; /* Digits, with at most one point among them. */
    int32_t exponent;                /* Of the digits' point. */
    bool negative;
} number;

static bool split_number(const char *text, uint32_t size_bytes, number *n)
{
    const char *at = text, *end = text + size_bytes;
    uint32_t digits = 0, points = 0;

    *n = (number){0};
    if (at < end && (*at == '-' || *at == '+')) {
        n->negative = *at++ == '-';
    }
    n->digits = at;
    for (; at < end && ((*at >= '0' && *at <= '9') || (*at == '.' && points == 0)); at++) {
        points += *at == '.';
        digits += *at != '.';
    }
    n->digits_end = at;
    if (digits == 0) {
        return false;
    }
    if (at < end && (*at | 0x20) == 'e') {
        bool negative = false;
        at++;
        if (at < end && (*at == '-' || *at == '+')) {
            negative = *at++ == '-';
        }
        if (at == end) {
            return false;
        }
        for (; at < end && *at >= '0' && *at <= '9'; at++) {
            n->exponent = n->exponent < EXPONENT_MAX ? n->exponent * 10 + (*at - '0') : n->exponent;
        }
        n->exponent = negative ? -n->exponent : n->exponent;
    }
    return at == end;
}

/* A numeric(p,s) has no room for it. */
static bool is_infinite(const char *text, uint32_t size_bytes)
{
    const uint32_t sign = size_bytes > 0 && (text[0] == '-' || text[0] == '+') ? 1 : 0;
    const uint32_t size = size_bytes - sign;

    return (size == 3 && strncasecmp(text + sign, "inf", 3) == 0) ||
           (size == 8 && strncasecmp(text + sign, "infinity", 8) == 0);
}

mr_row_error mr_numeric_from_text(const char *text, uint32_t size_bytes, uint32_t precision,
                                  uint32_t scale, mr_int128 *out)
{
    number n;
    mr_int128 value = 0;
    bool rounds = false;

    MR_ASSERT(precision >= 1 && precision <= MR_DECIMAL_DIGITS_MAX && scale <= precision);
    if (!split_number(text, size_bytes, &n)) {
        return is_infinite(text, size_bytes) ? MR_ROW_22003 : MR_ROW_22P02;
    }
    /* `left`: power of ten of the next digit, above the last digit that is kept (-scale). */
    const char *point = memchr(n.digits, '.', (size_t)(n.digits_end - n.digits));
    const ptrdiff_t whole = (point != NULL ? point : n.digits_end) - n.digits;
    int64_t left = (int64_t)whole - 1 + n.exponent + (int64_t)scale;
    for (const char *at = n.digits; at < n.digits_end; at++) {
        if (*at == '.') {
            continue;
        }
        if (left >= 0) {
            if (!mr_decimal_fits(value, MR_DECIMAL_DIGITS_MAX - 1)) {
                return MR_ROW_22003;
            }
            value = value * 10 + (*at - '0');
        } else if (left == -1) {
            rounds = *at >= '5';
        }
        left--;
    }
    for (; left >= 0 && value != 0; left--) {
        if (!mr_decimal_multiply(value, 10, &value)) {
            return MR_ROW_22003;
        }
    }
    value += rounds ? 1 : 0;
    if (!mr_decimal_fits(value, precision)) {
        return MR_ROW_22003;
    }
    *out = n.negative ? -value : value;
    return MR_ROW_OK;
}

/* As there, digits beyond the range are met before what is wrong behind them. */
static mr_row_error bigint_from_text(const char *text, uint32_t size_bytes, int64_t *out)
{
    const int result = mr_integer_parse(text, size_bytes, out);
    uint32_t size = size_bytes > 0 && (text[0] == '-' || text[0] == '+') ? 1 : 0;
    int64_t unused = 0;

    if (result != 1) {
        return result == 0 ? MR_ROW_OK : MR_ROW_22003;
    }
    while (size < size_bytes && text[size] >= '0' && text[size] <= '9') {
        size++;
    }
    return mr_integer_parse(text, size, &unused) == 2 ? MR_ROW_22003 : MR_ROW_22P02;
}

static mr_row_error by_parser(int result, mr_row_error syntax, mr_row_error range)
{
    return result == 0 ? MR_ROW_OK : result == 1 ? syntax : range;
}

static mr_row_error parse_interval(const char *text, uint32_t size_bytes, mr_interval *out)
{
    static const mr_row_error errors[] = {MR_ROW_OK, MR_ROW_22007, MR_ROW_22008, MR_ROW_22015};
    const int result = mr_interval_parse(text, size_bytes, out);

    MR_ASSERT(result >= 0 && (size_t)result < MR_LENGTH(errors));
    return errors[result];
}

static mr_row_error parse_cell(const mr_program_step *step, mr_view text, cell *out)
{
    const char *chars = (const char *)text.bytes;

    switch ((mr_type)step->operation) {
    case MR_BOOLEAN:
        return boolean_from_text(text, &out->boolean);
    case MR_BIGINT:
        return bigint_from_text(chars, text.size_bytes, &out->integer);
    case MR_DOUBLE:
        return by_parser(mr_double_parse(chars, text.size_bytes, &out->real), MR_ROW_22P02,
                         MR_ROW_22003);
    case MR_NUMERIC:
        return mr_numeric_from_text(chars, text.size_bytes, step->precision, step->scale,
                                    &out->numeric);
    case MR_DATE:
        return by_parser(mr_date_parse(chars, text.size_bytes, &out->date), MR_ROW_22007,
                         MR_ROW_22008);
    case MR_INTERVAL:
        return parse_interval(chars, text.size_bytes, &out->interval);
    default:
        MR_ASSERT(step->operation == MR_TIMESTAMPTZ);
        return by_parser(mr_time_parse(chars, text.size_bytes, &out->integer), MR_ROW_22007,
                         MR_ROW_22008);
    }
}

static mr_row_error parse_json_cell(const mr_program_step *step, mr_view text, cell *out)
{
    const char *chars = (const char *)text.bytes;
    const uint8_t first = text.size_bytes == 0 ? 0 : text.bytes[0];
    mr_row_error error = MR_ROW_OK;
    mr_int128 whole = 0;

    if (step->operation == MR_BOOLEAN) {
        out->boolean = first == 't';
        return first == 't' || first == 'f' ? MR_ROW_OK : MR_ROW_22023;
    }
    if (first != '-' && (first < '0' || first > '9')) {
        return MR_ROW_22023;
    }
    if (step->operation != MR_BIGINT) {
        return parse_cell(step, text, out);
    }
    /* jsonb numbers are numeric: 1.5 rounds half away from zero. */
    error = mr_numeric_from_text(chars, text.size_bytes, MR_DECIMAL_DIGITS_MAX, 0, &whole);
    if (error == MR_ROW_OK && (whole < INT64_MIN || whole > INT64_MAX)) {
        error = MR_ROW_22003;
    }
    out->integer = (int64_t)whole;
    return error;
}

static void parse_column(mr_frame *frame, const mr_program_step *step,
                         mr_row_error (*parse)(const mr_program_step *, mr_view, cell *))
{
    const mr_view *a = frame->registers[step->a].column.as.views;
    void *cells = frame->registers[step->dst].cells;
    /* White space around an interval is its reader's: none is allowed in the ISO form. */
    const bool trims = step->operation != MR_INTERVAL;
    uint64_t live[MR_BATCH_WORDS_MAX];

    mr_frame_strict(frame, step, 1);
    mr_frame_live(frame, step, 1, live);
    for (uint32_t row = 0; mr_next_row(live, frame->word_count, &row); row++) {
        cell value = {.numeric = 0};
        const mr_row_error error = parse(step, trims ? trim(a[row]) : a[row], &value);
        if (error != MR_ROW_OK) {
            mr_frame_fail_row(frame, row, error);
            continue;
        }
        switch ((mr_type)step->operation) {
        case MR_BOOLEAN:
            ((uint8_t *)cells)[row] = value.boolean;
            break;
        case MR_DATE:
            ((int32_t *)cells)[row] = value.date;
            break;
        case MR_DOUBLE:
            ((double *)cells)[row] = value.real;
            break;
        case MR_NUMERIC:
            ((mr_int128 *)cells)[row] = value.numeric;
            break;
        case MR_INTERVAL:
            ((mr_interval *)cells)[row] = value.interval;
            break;
        default:
            ((int64_t *)cells)[row] = value.integer;
            break;
        }
    }
}

void mr_run_cast_from_text(mr_frame *frame, const mr_program_step *step)
{
    parse_column(frame, step, parse_cell);
}

void mr_run_cast_json(mr_frame *frame, const mr_program_step *step)
{
    parse_column(frame, step, parse_json_cell);
}

void mr_run_cast_text_json(mr_frame *frame, const mr_program_step *step)
{
    const mr_view *a = frame->registers[step->a].column.as.views;
    mr_view *out = frame->registers[step->dst].cells;
    uint64_t live[MR_BATCH_WORDS_MAX];

    mr_frame_strict(frame, step, 1);
    mr_frame_live(frame, step, 1, live);
    for (uint32_t row = 0; mr_next_row(live, frame->word_count, &row); row++) {
        const uint64_t left = (uint64_t)(frame->scratch_end - frame->scratch_at);
        const uint32_t room = left > UINT32_MAX ? UINT32_MAX : (uint32_t)left;
        mr_json_result result = MR_JSON_OK;
        /* Not trimmed: JSON has less white space than other types. */
        const uint32_t size =
            mr_json_canonical(a[row].bytes, a[row].size_bytes, frame->scratch_at, room, &result);
        if (size == 0 && result == MR_JSON_ROOM) {
            (void)mr_frame_room(frame, row, UINT64_MAX);
        } else if (size == 0) {
            mr_frame_fail_row(frame, row, result == MR_JSON_DEPTH ? MR_ROW_54000 : MR_ROW_22P02);
        } else {
            out[row] = mr_frame_take(frame, size);
        }
    }
}
