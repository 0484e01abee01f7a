/*
 * fixture.h - the row that tests/golden/expr/values.txt speaks of, in batches of any shape. Only
 * for the tests of engine/expr.
 */
#ifndef MR_TESTS_EXPR_FIXTURE_H
#define MR_TESTS_EXPR_FIXTURE_H

#include "engine/base/arena.h"
#include "engine/base/decimal.h"
#include "engine/base/time_interval.h"
#include "engine/base/time_text.h"
#include "engine/batch/batch.h"
#include "engine/expr/expr.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIELD_COUNT = 37, VALUE_TEXT_MAX = 4096 };

static const mr_field fixture_fields[FIELD_COUNT] = {
    {.name = "i", .type = MR_BIGINT},
    {.name = "j", .type = MR_BIGINT, .nullable = true},
    {.name = "z", .type = MR_BIGINT, .nullable = true},
    {.name = "big", .type = MR_BIGINT, .nullable = true},
    {.name = "low", .type = MR_BIGINT, .nullable = true},
    {.name = "ni", .type = MR_BIGINT, .nullable = true},
    {.name = "d", .type = MR_DOUBLE, .nullable = true},
    {.name = "dz", .type = MR_DOUBLE, .nullable = true},
    {.name = "nan", .type = MR_DOUBLE, .nullable = true},
    {.name = "nd", .type = MR_DOUBLE, .nullable = true},
    {.name = "m", .type = MR_NUMERIC, .precision = 10, .scale = 2, .nullable = true},
    {.name = "w", .type = MR_NUMERIC, .precision = 9, .scale = 3, .nullable = true},
    {.name = "huge", .type = MR_NUMERIC, .precision = 38, .nullable = true},
    {.name = "mz", .type = MR_NUMERIC, .precision = 10, .scale = 2, .nullable = true},
    {.name = "nm", .type = MR_NUMERIC, .precision = 10, .scale = 2, .nullable = true},
    {.name = "t", .type = MR_TEXT, .nullable = true},
    {.name = "u", .type = MR_TEXT, .nullable = true},
    {.name = "e", .type = MR_TEXT, .nullable = true},
    {.name = "nt", .type = MR_TEXT, .nullable = true},
    {.name = "sp", .type = MR_TEXT, .nullable = true},
    {.name = "num", .type = MR_TEXT, .nullable = true},
    {.name = "bad", .type = MR_TEXT, .nullable = true},
    {.name = "b", .type = MR_BOOLEAN, .nullable = true},
    {.name = "f", .type = MR_BOOLEAN, .nullable = true},
    {.name = "nb", .type = MR_BOOLEAN, .nullable = true},
    {.name = "ts", .type = MR_TIMESTAMPTZ, .nullable = true},
    {.name = "nts", .type = MR_TIMESTAMPTZ, .nullable = true},
    {.name = "js", .type = MR_JSONB, .nullable = true},
    {.name = "nj", .type = MR_JSONB, .nullable = true},
    {.name = "by", .type = MR_BYTEA, .nullable = true},
    {.name = "userId", .type = MR_BIGINT, .nullable = true},
    {.name = "meta.offset", .type = MR_BIGINT, .hidden = true},
    {.name = "meta.header.x", .type = MR_TEXT, .nullable = true, .hidden = true},
    {.name = "dt", .type = MR_DATE, .nullable = true},
    {.name = "ndt", .type = MR_DATE, .nullable = true},
    {.name = "iv", .type = MR_INTERVAL, .nullable = true},
    {.name = "niv", .type = MR_INTERVAL, .nullable = true},
};

static const mr_schema fixture_schema = {.fields = fixture_fields, .field_count = FIELD_COUNT};

static const char fixture_json[] =
    "{\"a\": 1, \"b\": {\"c\": [10, 20, \"x\\ny\"]}, \"n\": null, \"s\": \"q\\\"r\", \"t\": true}";

typedef struct fixture {
    mr_batch batch;
    mr_column columns[FIELD_COUNT];
    uint64_t valid[FIELD_COUNT][MR_BATCH_WORDS_MAX];
    void *cells[FIELD_COUNT];
    int64_t event_times[MR_BATCH_ROWS_MAX];
    uint16_t selection[MR_BATCH_ROWS_MAX];
} fixture;

/* The last ` => ` of a line: arguments may have one, too. */
static inline char *last_arrow(char *line)
{
    char *last = NULL;

    for (char *at = line; (at = strstr(at, " => ")) != NULL; at++) {
        last = at;
    }
    return last;
}

static inline mr_view text_view(const char *text)
{
    return (mr_view){(const uint8_t *)text, (uint32_t)strlen(text)};
}

/* Puts the value of column `f` into a row; NULL columns hold poison. */
static inline void fixture_cell(fixture *x, uint32_t f, uint32_t row, bool is_null)
{
    static const int64_t integers[] = {7, -3, 0, INT64_MAX, INT64_MIN};
    static const char *const texts[] = {"Hello", "Größe", "", NULL, "  42 ", "12.345", "x1"};
    static const double doubles[] = {2.5, 0.0, 0.0};
    const mr_field *field = &fixture_fields[f];
    const mr_view poison = {(const uint8_t *)1, 1000};
    const bool null_column =
        field->name[0] == 'n' && strcmp(field->name, "nan") != 0 && strcmp(field->name, "num") != 0;

    if (is_null || null_column) {
        if (field->nullable) {
            x->valid[f][row / 64] &= ~(1ull << (row % 64));
        }
        switch (mr_type_cell_bytes(field->type)) {
        case 16:
            ((mr_view *)x->cells[f])[row] = poison;
            return;
        case 8:
            ((int64_t *)x->cells[f])[row] = field->nullable ? INT64_MIN : 7;
            return;
        case 4:
            ((int32_t *)x->cells[f])[row] = INT32_MIN;
            return;
        default:
            ((uint8_t *)x->cells[f])[row] = 0xff;
            return;
        }
    }
    x->valid[f][row / 64] |= 1ull << (row % 64);
    if (f < 5) {
        ((int64_t *)x->cells[f])[row] = integers[f];
    } else if (f >= 6 && f <= 8) {
        ((double *)x->cells[f])[row] = f == 8 ? (double)__builtin_nan("") : doubles[f - 6];
    } else if (f >= 10 && f <= 13) {
        const mr_int128 most = mr_decimal_power(37) * 9 + (mr_decimal_power(37) - 1);
        const mr_int128 values[] = {1250, 1, most, 0};
        ((mr_int128 *)x->cells[f])[row] = values[f - 10];
    } else if (f >= 15 && f <= 21) {
        ((mr_view *)x->cells[f])[row] = text_view(texts[f - 15]);
    } else if (f == 22 || f == 23) {
        ((uint8_t *)x->cells[f])[row] = f == 22;
    } else if (f == 25) {
        ((int64_t *)x->cells[f])[row] = 1772360430500000;
    } else if (f == 27) {
        ((mr_view *)x->cells[f])[row] = text_view(fixture_json);
    } else if (f == 29) {
        ((mr_view *)x->cells[f])[row] = (mr_view){(const uint8_t *)"\0\1\2", 3};
    } else if (f == 30) {
        ((int64_t *)x->cells[f])[row] = 99;
    } else if (f == 31) {
        ((int64_t *)x->cells[f])[row] = 1000 + row;
    } else if (f == 32) {
        ((mr_view *)x->cells[f])[row] = text_view("hx");
    } else if (f == 33) {
        ((int32_t *)x->cells[f])[row] = 20513; /* 2026-03-01 */
    } else if (f == 35) {
        ((mr_interval *)x->cells[f])[row] =
            (mr_interval){.months = 1, .days = 2, .microseconds = 11045600000};
    }
}

/* A batch of `rows` rows in `arena`; is_null(row) makes all nullable columns NULL. */
static inline fixture *fixture_make(mr_arena *arena, uint32_t rows, bool (*is_null)(uint32_t row))
{
    fixture *x = mr_arena_take(arena, sizeof(*x));

    for (uint32_t f = 0; f < FIELD_COUNT; f++) {
        x->cells[f] = mr_arena_take_aligned(arena, (size_t)MR_BATCH_ROWS_MAX * 16, 64);
        x->columns[f].as.booleans = x->cells[f];
        x->columns[f].valid = fixture_fields[f].nullable ? x->valid[f] : NULL;
        for (uint32_t row = 0; row < rows; row++) {
            fixture_cell(x, f, row, is_null != NULL && is_null(row));
        }
        for (uint32_t row = rows; row < MR_BATCH_ROWS_MAX; row++) {
            memset((uint8_t *)x->cells[f] +
                       (size_t)row * mr_type_cell_bytes(fixture_fields[f].type),
                   0xa5, mr_type_cell_bytes(fixture_fields[f].type));
        }
    }
    for (uint32_t row = 0; row < rows; row++) {
        x->event_times[row] = 1000000 * (int64_t)row;
    }
    x->batch = (mr_batch){.schema = &fixture_schema,
                          .columns = x->columns,
                          .event_time_us = x->event_times,
                          .row_count = rows,
                          .selected_count = rows};
    return x;
}

/* Keeps the rows for which keep() says so. */
static inline void fixture_select(fixture *x, bool (*keep)(uint32_t row))
{
    uint32_t count = 0;

    for (uint32_t row = 0; row < x->batch.row_count; row++) {
        if (keep(row)) {
            x->selection[count++] = (uint16_t)row;
        }
    }
    x->batch.selection = x->selection;
    x->batch.selected_count = count;
}

/* A cell as text; "NULL" for null. */
static inline void value_text(const mr_field *field, const mr_column *column, uint32_t row,
                              char out[VALUE_TEXT_MAX])
{
    uint32_t size = 0;

    if (!mr_column_valid(column, row)) {
        (void)snprintf(out, VALUE_TEXT_MAX, "NULL");
        return;
    }
    switch (field->type) {
    case MR_BOOLEAN:
        (void)snprintf(out, VALUE_TEXT_MAX, "%s",
                       column->as.booleans[row] == 1   ? "true"
                       : column->as.booleans[row] == 0 ? "false"
                                                       : "neither");
        return;
    case MR_BIGINT:
        (void)snprintf(out, VALUE_TEXT_MAX, "%" PRId64, column->as.integers[row]);
        return;
    case MR_DOUBLE:
        size = mr_double_print(column->as.doubles[row], out);
        break;
    case MR_NUMERIC:
        size = mr_decimal_print(column->as.numerics[row], field->scale, out);
        break;
    case MR_TIMESTAMPTZ:
        size = mr_time_print(column->as.integers[row], out);
        break;
    case MR_DATE:
        size = mr_date_print(column->as.dates[row], out);
        break;
    case MR_INTERVAL:
        size = mr_interval_print(column->as.intervals[row], out);
        break;
    default:
        (void)snprintf(out, VALUE_TEXT_MAX, "%.*s", (int)column->as.views[row].size_bytes,
                       (const char *)column->as.views[row].bytes);
        return;
    }
    out[size] = '\0';
}

#endif
