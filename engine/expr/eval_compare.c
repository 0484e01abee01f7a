/*
 * eval_compare.c - comparisons and GREATEST/LEAST. Text compares by bytes; NaN equals itself and is
 * the greatest double; numerics of different scales compare exactly, without overflow. IS DISTINCT
 * FROM treats NULL as a value.
 */
#include "engine/base/decimal.h"
#include "engine/base/time_interval.h"
#include "engine/expr/expr_private.h"
#include <math.h>
#include <string.h>

/* Result of each comparison for less, equal, greater. */
static const uint8_t truth[][3] = {
    [MR_EQUAL] = {0, 1, 0},      [MR_NOT_EQUAL] = {1, 0, 1},    [MR_LESS] = {1, 0, 0},
    [MR_LESS_EQUAL] = {1, 1, 0}, [MR_GREATER] = {0, 0, 1},      [MR_GREATER_EQUAL] = {0, 1, 1},
    [MR_DISTINCT] = {1, 0, 1},   [MR_NOT_DISTINCT] = {0, 1, 0},
};

int mr_compare_double(double a, double b)
{
    if (isnan(a) || isnan(b)) {
        return isnan(a) && isnan(b) ? 0 : isnan(a) ? 1 : -1;
    }
    return a < b ? -1 : a > b;
}

int mr_compare_view(mr_view a, mr_view b)
{
    const uint32_t both = a.size_bytes < b.size_bytes ? a.size_bytes : b.size_bytes;
    const int order = both == 0 ? 0 : memcmp(a.bytes, b.bytes, both);

    if (order != 0) {
        return order < 0 ? -1 : 1;
    }
    return a.size_bytes < b.size_bytes ? -1 : a.size_bytes > b.size_bytes;
}

int mr_compare_numeric(mr_int128 a, uint32_t scale_a, mr_int128 b, uint32_t scale_b)
{
    mr_int128 x = a, y = b;

    /* Beyond 38 digits at the other's scale: beyond the other. */
    if (scale_a < scale_b && !mr_decimal_rescale(a, scale_a, scale_b, &x)) {
        return a < 0 ? -1 : 1;
    }
    if (scale_b < scale_a && !mr_decimal_rescale(b, scale_b, scale_a, &y)) {
        return b < 0 ? 1 : -1;
    }
    return x < y ? -1 : x > y;
}

/* Validity of the result; for (NOT) DISTINCT also the rows with NULLs. */
static void finish(mr_frame *frame, const mr_program_step *step)
{
    const uint64_t *a = frame->registers[step->a].column.valid;
    const uint64_t *b = frame->registers[step->b].column.valid;
    mr_register *dst = &frame->registers[step->dst];
    uint8_t *out = dst->cells;

    if (step->operation != MR_DISTINCT && step->operation != MR_NOT_DISTINCT) {
        mr_frame_strict(frame, step, 2);
        return;
    }
    dst->column.valid = NULL;
    for (uint32_t w = 0; w < frame->word_count; w++) {
        const uint64_t va = a != NULL ? a[w] : ~0ull, vb = b != NULL ? b[w] : ~0ull;
        for (uint64_t word = ~(va & vb); word != 0; word &= word - 1) {
            const uint32_t bit = (uint32_t)__builtin_ctzll(word);
            const bool differ = (((va ^ vb) >> bit) & 1) != 0;
            out[w * 64 + bit] = differ == (step->operation == MR_DISTINCT);
        }
    }
}

static void compare_integer(mr_frame *frame, const mr_program_step *step)
{
    const int64_t *a = frame->registers[step->a].column.as.integers;
    const int64_t *b = frame->registers[step->b].column.as.integers;
    uint8_t *out = frame->registers[step->dst].cells;
    const uint32_t count = frame->row_count;

    switch ((mr_comparison)step->operation) {
    case MR_EQUAL:
    case MR_NOT_DISTINCT:
        for (uint32_t i = 0; i < count; i++) {
            out[i] = a[i] == b[i];
        }
        break;
    case MR_NOT_EQUAL:
    case MR_DISTINCT:
        for (uint32_t i = 0; i < count; i++) {
            out[i] = a[i] != b[i];
        }
        break;
    case MR_LESS:
        for (uint32_t i = 0; i < count; i++) {
            out[i] = a[i] < b[i];
        }
        break;
    case MR_LESS_EQUAL:
        for (uint32_t i = 0; i < count; i++) {
            out[i] = a[i] <= b[i];
        }
        break;
    case MR_GREATER:
        for (uint32_t i = 0; i < count; i++) {
            out[i] = a[i] > b[i];
        }
        break;
    case MR_GREATER_EQUAL:
        for (uint32_t i = 0; i < count; i++) {
            out[i] = a[i] >= b[i];
        }
        break;
    }
    finish(frame, step);
}

static void compare_date(mr_frame *frame, const mr_program_step *step)
{
    const int32_t *a = frame->registers[step->a].column.as.dates;
    const int32_t *b = frame->registers[step->b].column.as.dates;
    uint8_t *out = frame->registers[step->dst].cells;

    for (uint32_t i = 0; i < frame->row_count; i++) {
        out[i] = truth[step->operation][(a[i] > b[i]) - (a[i] < b[i]) + 1];
    }
    finish(frame, step);
}

static void compare_double(mr_frame *frame, const mr_program_step *step)
{
    const double *a = frame->registers[step->a].column.as.doubles;
    const double *b = frame->registers[step->b].column.as.doubles;
    uint8_t *out = frame->registers[step->dst].cells;

    for (uint32_t i = 0; i < frame->row_count; i++) {
        const int nan_a = a[i] != a[i], nan_b = b[i] != b[i];
        const int order = nan_a - nan_b + (a[i] > b[i]) - (a[i] < b[i]);
        out[i] = truth[step->operation][order + 1];
    }
    finish(frame, step);
}

static void compare_boolean(mr_frame *frame, const mr_program_step *step)
{
    const uint8_t *a = frame->registers[step->a].column.as.booleans;
    const uint8_t *b = frame->registers[step->b].column.as.booleans;
    uint8_t *out = frame->registers[step->dst].cells;

    for (uint32_t i = 0; i < frame->row_count; i++) {
        out[i] = truth[step->operation][(a[i] & 1) - (b[i] & 1) + 1];
    }
    finish(frame, step);
}

static void compare_numeric(mr_frame *frame, const mr_program_step *step)
{
    const mr_int128 *a = frame->registers[step->a].column.as.numerics;
    const mr_int128 *b = frame->registers[step->b].column.as.numerics;
    uint8_t *out = frame->registers[step->dst].cells;
    uint64_t live[MR_BATCH_WORDS_MAX];

    mr_frame_live(frame, step, 2, live);
    for (uint32_t row = 0; mr_next_row(live, frame->word_count, &row); row++) {
        const int order = mr_compare_numeric(a[row], step->scale_a, b[row], step->scale_b);
        out[row] = truth[step->operation][order + 1];
    }
    finish(frame, step);
}

static void compare_interval(mr_frame *frame, const mr_program_step *step)
{
    const mr_interval *a = frame->registers[step->a].column.as.intervals;
    const mr_interval *b = frame->registers[step->b].column.as.intervals;
    uint8_t *out = frame->registers[step->dst].cells;
    uint64_t live[MR_BATCH_WORDS_MAX];

    mr_frame_live(frame, step, 2, live);
    for (uint32_t row = 0; mr_next_row(live, frame->word_count, &row); row++) {
        out[row] = truth[step->operation][mr_interval_compare(a[row], b[row]) + 1];
    }
    finish(frame, step);
}

static void compare_text(mr_frame *frame, const mr_program_step *step)
{
    const mr_view *a = frame->registers[step->a].column.as.views;
    const mr_view *b = frame->registers[step->b].column.as.views;
    uint8_t *out = frame->registers[step->dst].cells;
    uint64_t live[MR_BATCH_WORDS_MAX];
    const bool only_equal = truth[step->operation][0] == truth[step->operation][2];

    mr_frame_live(frame, step, 2, live);
    for (uint32_t row = 0; mr_next_row(live, frame->word_count, &row); row++) {
        const bool differ = only_equal && a[row].size_bytes != b[row].size_bytes;
        const int order = differ ? 1 : mr_compare_view(a[row], b[row]);
        out[row] = truth[step->operation][order + 1];
    }
    finish(frame, step);
}

mr_step_run mr_compare_run(mr_type type)
{
    switch (type) {
    case MR_BOOLEAN:
        return compare_boolean;
    case MR_BIGINT:
    case MR_TIMESTAMPTZ:
        return compare_integer;
    case MR_DOUBLE:
        return compare_double;
    case MR_NUMERIC:
        return compare_numeric;
    case MR_DATE:
        return compare_date;
    case MR_INTERVAL:
        return compare_interval;
    default:
        MR_ASSERT(type == MR_TEXT || type == MR_BYTEA);
        return compare_text;
    }
}

/* ---- GREATEST, LEAST: of two, NULLs left out ---- */

static int order_of(const mr_column *a, const mr_column *b, mr_type type, uint32_t row)
{
    switch (type) {
    case MR_BOOLEAN:
        return a->as.booleans[row] - b->as.booleans[row];
    case MR_BIGINT:
    case MR_TIMESTAMPTZ:
        return a->as.integers[row] < b->as.integers[row]
                   ? -1
                   : a->as.integers[row] > b->as.integers[row];
    case MR_DATE:
        return (a->as.dates[row] > b->as.dates[row]) - (a->as.dates[row] < b->as.dates[row]);
    case MR_DOUBLE:
        return mr_compare_double(a->as.doubles[row], b->as.doubles[row]);
    case MR_NUMERIC: /* Of equal scale: the checker has unified them. */
        return a->as.numerics[row] < b->as.numerics[row]
                   ? -1
                   : a->as.numerics[row] > b->as.numerics[row];
    case MR_INTERVAL:
        return mr_interval_compare(a->as.intervals[row], b->as.intervals[row]);
    default:
        return mr_compare_view(a->as.views[row], b->as.views[row]);
    }
}

static void pick(mr_frame *frame, const mr_program_step *step, mr_type type)
{
    const mr_column *a = &frame->registers[step->a].column, *b = &frame->registers[step->b].column;
    mr_register *dst = &frame->registers[step->dst];
    const uint32_t bytes = mr_type_cell_bytes(type);
    const uint64_t *rows = frame->masks[step->mask];

    for (uint32_t w = 0; w < frame->word_count; w++) {
        dst->words[w] =
            (a->valid != NULL ? a->valid[w] : ~0ull) | (b->valid != NULL ? b->valid[w] : ~0ull);
    }
    dst->column.valid = dst->words;
    for (uint32_t row = 0; mr_next_row(rows, frame->word_count, &row); row++) {
        const bool has_a = mr_column_valid(a, row), has_b = mr_column_valid(b, row);
        const bool failed = ((frame->failed[row / 64] >> (row % 64)) & 1) != 0;
        if (failed || (!has_a && !has_b)) {
            continue;
        }
        bool take_b = !has_a;
        if (has_a && has_b) {
            const int order = order_of(a, b, type, row);
            take_b = step->operation != 0 ? order < 0 : order > 0;
        }
        const mr_column *from = take_b ? b : a;
        memcpy((uint8_t *)dst->cells + (size_t)row * bytes, from->as.booleans + (size_t)row * bytes,
               bytes);
    }
}

static void pick_boolean(mr_frame *frame, const mr_program_step *step)
{
    pick(frame, step, MR_BOOLEAN);
}

static void pick_integer(mr_frame *frame, const mr_program_step *step)
{
    pick(frame, step, MR_BIGINT);
}

static void pick_double(mr_frame *frame, const mr_program_step *step)
{
    pick(frame, step, MR_DOUBLE);
}

static void pick_numeric(mr_frame *frame, const mr_program_step *step)
{
    pick(frame, step, MR_NUMERIC);
}

static void pick_text(mr_frame *frame, const mr_program_step *step)
{
    pick(frame, step, MR_TEXT);
}

static void pick_date(mr_frame *frame, const mr_program_step *step)
{
    pick(frame, step, MR_DATE);
}

static void pick_interval(mr_frame *frame, const mr_program_step *step)
{
    pick(frame, step, MR_INTERVAL);
}

mr_step_run mr_extreme_run(mr_type type)
{
    return type == MR_BOOLEAN    ? pick_boolean
           : type == MR_DOUBLE   ? pick_double
           : type == MR_NUMERIC  ? pick_numeric
           : type == MR_DATE     ? pick_date
           : type == MR_INTERVAL ? pick_interval
           : type == MR_TEXT     ? pick_text
           : type == MR_BYTEA    ? pick_text
                                 : pick_integer;
}
