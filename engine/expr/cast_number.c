/*
 * cast_number.c - casts between bigint, numeric and double precision. numeric rounds half away from
 * zero, double half to even; a double becomes numeric by its 15 significant digits.
 */
#include "engine/base/decimal.h"
#include "engine/expr/expr_private.h"
#include <math.h>

void mr_run_cast_integer_double(mr_frame *frame, const mr_program_step *step)
{
    const int64_t *a = frame->registers[step->a].column.as.integers;
    double *out = frame->registers[step->dst].cells;

    mr_frame_strict(frame, step, 1);
    for (uint32_t i = 0; i < frame->row_count; i++) {
        out[i] = (double)a[i];
    }
}

void mr_run_cast_integer_numeric(mr_frame *frame, const mr_program_step *step)
{
    const int64_t *a = frame->registers[step->a].column.as.integers;
    mr_int128 *out = frame->registers[step->dst].cells;
    const mr_int128 factor = mr_decimal_power(step->scale);
    uint64_t live[MR_BATCH_WORDS_MAX];

    mr_frame_strict(frame, step, 1);
    mr_frame_live(frame, step, 1, live);
    for (uint32_t row = 0; mr_next_row(live, frame->word_count, &row); row++) {
        if (!mr_decimal_multiply(a[row], factor, &out[row]) ||
            !mr_decimal_fits(out[row], step->precision)) {
            mr_frame_fail_row(frame, row, MR_ROW_22003);
        }
    }
}

void mr_run_cast_numeric_integer(mr_frame *frame, const mr_program_step *step)
{
    const mr_int128 *a = frame->registers[step->a].column.as.numerics;
    int64_t *out = frame->registers[step->dst].cells;
    uint64_t live[MR_BATCH_WORDS_MAX];

    mr_frame_strict(frame, step, 1);
    mr_frame_live(frame, step, 1, live);
    for (uint32_t row = 0; mr_next_row(live, frame->word_count, &row); row++) {
        mr_int128 whole = 0;
        if (!mr_decimal_rescale(a[row], step->scale_a, 0, &whole) || whole < INT64_MIN ||
            whole > INT64_MAX) {
            mr_frame_fail_row(frame, row, MR_ROW_22003);
            continue;
        }
        out[row] = (int64_t)whole;
    }
}

void mr_run_cast_numeric_double(mr_frame *frame, const mr_program_step *step)
{
    const mr_int128 *a = frame->registers[step->a].column.as.numerics;
    double *out = frame->registers[step->dst].cells;
    uint64_t live[MR_BATCH_WORDS_MAX];

    mr_frame_strict(frame, step, 1);
    mr_frame_live(frame, step, 1, live);
    for (uint32_t row = 0; mr_next_row(live, frame->word_count, &row); row++) {
        out[row] = mr_decimal_to_double(a[row], step->scale_a);
    }
}

void mr_run_cast_numeric_numeric(mr_frame *frame, const mr_program_step *step)
{
    const mr_int128 *a = frame->registers[step->a].column.as.numerics;
    mr_int128 *out = frame->registers[step->dst].cells;
    uint64_t live[MR_BATCH_WORDS_MAX];

    mr_frame_strict(frame, step, 1);
    mr_frame_live(frame, step, 1, live);
    for (uint32_t row = 0; mr_next_row(live, frame->word_count, &row); row++) {
        if (!mr_decimal_rescale(a[row], step->scale_a, step->scale, &out[row]) ||
            !mr_decimal_fits(out[row], step->precision)) {
            mr_frame_fail_row(frame, row, MR_ROW_22003);
        }
    }
}

bool mr_cast_double_to_integer(double value, int64_t *out)
{
    const double rounded = rint(value);

    /* 2^63 is a double, 2^63 - 1 is none; NaN fails both. */
    if (!(rounded >= -9223372036854775808.0 && rounded < 9223372036854775808.0)) {
        return false;
    }
    *out = (int64_t)rounded;
    return true;
}

void mr_run_cast_double_integer(mr_frame *frame, const mr_program_step *step)
{
    const double *a = frame->registers[step->a].column.as.doubles;
    int64_t *out = frame->registers[step->dst].cells;
    uint64_t live[MR_BATCH_WORDS_MAX];

    mr_frame_strict(frame, step, 1);
    mr_frame_live(frame, step, 1, live);
    for (uint32_t row = 0; mr_next_row(live, frame->word_count, &row); row++) {
        if (!mr_cast_double_to_integer(a[row], &out[row])) {
            mr_frame_fail_row(frame, row, MR_ROW_22003);
        }
    }
}

void mr_run_cast_double_numeric(mr_frame *frame, const mr_program_step *step)
{
    const double *a = frame->registers[step->a].column.as.doubles;
    mr_int128 *out = frame->registers[step->dst].cells;
    uint64_t live[MR_BATCH_WORDS_MAX];

    mr_frame_strict(frame, step, 1);
    mr_frame_live(frame, step, 1, live);
    for (uint32_t row = 0; mr_next_row(live, frame->word_count, &row); row++) {
        if (!mr_decimal_from_double(a[row], step->scale, &out[row]) ||
            !mr_decimal_fits(out[row], step->precision)) {
            mr_frame_fail_row(frame, row, MR_ROW_22003);
        }
    }
}
