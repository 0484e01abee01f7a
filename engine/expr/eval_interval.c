/*
 * eval_interval.c - intervals: sums, multiples, and sums with times and dates (a date counts as its
 * midnight UTC, and the sum is a time). Kernels walk the rows that act; out of range is 22008.
 */
#include "engine/base/time_interval.h"
#include "engine/expr/expr_private.h"
#include <math.h>

#define US_PER_DAY INT64_C(86400000000)

typedef bool (*of_two)(mr_interval a, mr_interval b, mr_interval *out);
typedef bool (*of_factor)(mr_interval a, double factor, mr_interval *out);
typedef bool (*of_time)(int64_t time_us, mr_interval interval, int64_t *out_us);

static void run_two(mr_frame *frame, const mr_program_step *step, of_two operation)
{
    const mr_interval *a = frame->registers[step->a].column.as.intervals;
    const mr_interval *b = frame->registers[step->b].column.as.intervals;
    mr_interval *out = frame->registers[step->dst].cells;
    uint64_t live[MR_BATCH_WORDS_MAX];

    mr_frame_strict(frame, step, 2);
    mr_frame_live(frame, step, 2, live);
    for (uint32_t row = 0; mr_next_row(live, frame->word_count, &row); row++) {
        if (!operation(a[row], b[row], &out[row])) {
            mr_frame_fail_row(frame, row, MR_ROW_22008);
        }
    }
}

void mr_run_add_intervals(mr_frame *frame, const mr_program_step *step)
{
    run_two(frame, step, mr_interval_add);
}

void mr_run_subtract_intervals(mr_frame *frame, const mr_program_step *step)
{
    run_two(frame, step, mr_interval_subtract);
}

void mr_run_negate_interval(mr_frame *frame, const mr_program_step *step)
{
    const mr_interval *a = frame->registers[step->a].column.as.intervals;
    mr_interval *out = frame->registers[step->dst].cells;
    uint64_t live[MR_BATCH_WORDS_MAX];

    mr_frame_strict(frame, step, 1);
    mr_frame_live(frame, step, 1, live);
    for (uint32_t row = 0; mr_next_row(live, frame->word_count, &row); row++) {
        if (!mr_interval_negate(a[row], &out[row])) {
            mr_frame_fail_row(frame, row, MR_ROW_22008);
        }
    }
}

/* ---- Multiples ---- */

static void run_factor(mr_frame *frame, const mr_program_step *step, uint16_t interval_register,
                       uint16_t factor_register, of_factor operation)
{
    const mr_interval *a = frame->registers[interval_register].column.as.intervals;
    const double *factors = frame->registers[factor_register].column.as.doubles;
    mr_interval *out = frame->registers[step->dst].cells;
    uint64_t live[MR_BATCH_WORDS_MAX];

    mr_frame_strict(frame, step, 2);
    mr_frame_live(frame, step, 2, live);
    for (uint32_t row = 0; mr_next_row(live, frame->word_count, &row); row++) {
        if (operation == mr_interval_divide && factors[row] == 0.0) {
            mr_frame_fail_row(frame, row, MR_ROW_22012);
        } else if (!operation(a[row], factors[row], &out[row])) {
            mr_frame_fail_row(frame, row, MR_ROW_22008);
        }
    }
}

void mr_run_multiply_interval(mr_frame *frame, const mr_program_step *step)
{
    run_factor(frame, step, step->a, step->b, mr_interval_multiply);
}

void mr_run_multiply_by_interval(mr_frame *frame, const mr_program_step *step)
{
    run_factor(frame, step, step->b, step->a, mr_interval_multiply);
}

void mr_run_divide_interval(mr_frame *frame, const mr_program_step *step)
{
    run_factor(frame, step, step->a, step->b, mr_interval_divide);
}

/* ---- Times and dates ---- */

/* One of them a time, or a date where `dates`; the other an interval. */
static void run_time(mr_frame *frame, const mr_program_step *step, uint16_t time_register,
                     uint16_t interval_register, bool dates, of_time operation)
{
    const mr_column *times = &frame->registers[time_register].column;
    const mr_interval *intervals = frame->registers[interval_register].column.as.intervals;
    int64_t *out = frame->registers[step->dst].cells;
    uint64_t live[MR_BATCH_WORDS_MAX];

    mr_frame_strict(frame, step, 2);
    mr_frame_live(frame, step, 2, live);
    for (uint32_t row = 0; mr_next_row(live, frame->word_count, &row); row++) {
        const int64_t time_us = dates ? times->as.dates[row] * US_PER_DAY : times->as.integers[row];
        if (!operation(time_us, intervals[row], &out[row])) {
            mr_frame_fail_row(frame, row, MR_ROW_22008);
        }
    }
}

void mr_run_add_time_interval(mr_frame *frame, const mr_program_step *step)
{
    run_time(frame, step, step->a, step->b, false, mr_time_add_interval);
}

void mr_run_add_interval_time(mr_frame *frame, const mr_program_step *step)
{
    run_time(frame, step, step->b, step->a, false, mr_time_add_interval);
}

void mr_run_subtract_time_interval(mr_frame *frame, const mr_program_step *step)
{
    run_time(frame, step, step->a, step->b, false, mr_time_subtract_interval);
}

void mr_run_add_date_interval(mr_frame *frame, const mr_program_step *step)
{
    run_time(frame, step, step->a, step->b, true, mr_time_add_interval);
}

void mr_run_add_interval_date(mr_frame *frame, const mr_program_step *step)
{
    run_time(frame, step, step->b, step->a, true, mr_time_add_interval);
}

void mr_run_subtract_date_interval(mr_frame *frame, const mr_program_step *step)
{
    run_time(frame, step, step->a, step->b, true, mr_time_subtract_interval);
}

void mr_run_subtract_times(mr_frame *frame, const mr_program_step *step)
{
    const int64_t *a = frame->registers[step->a].column.as.integers;
    const int64_t *b = frame->registers[step->b].column.as.integers;
    mr_interval *out = frame->registers[step->dst].cells;
    uint64_t live[MR_BATCH_WORDS_MAX];

    mr_frame_strict(frame, step, 2);
    mr_frame_live(frame, step, 2, live);
    for (uint32_t row = 0; mr_next_row(live, frame->word_count, &row); row++) {
        out[row] = mr_time_difference(a[row], b[row]);
    }
}

void mr_run_date_bin(mr_frame *frame, const mr_program_step *step)
{
    const mr_interval *strides = frame->registers[step->a].column.as.intervals;
    const int64_t *times = frame->registers[step->b].column.as.integers;
    const int64_t *origins = frame->registers[step->c].column.as.integers;
    int64_t *out = frame->registers[step->dst].cells;
    uint64_t live[MR_BATCH_WORDS_MAX];

    mr_frame_strict(frame, step, 3);
    mr_frame_live(frame, step, 3, live);
    for (uint32_t row = 0; mr_next_row(live, frame->word_count, &row); row++) {
        const int result = mr_time_bin(strides[row], times[row], origins[row], &out[row]);
        if (result != 0) {
            mr_frame_fail_row(frame, row, result == 1 ? MR_ROW_0A000 : MR_ROW_22008);
        }
    }
}

/* ---- make_interval, in steps: check_interval.c ---- */

/* a and two counts, of the part and its fraction that `operation` says. */
void mr_run_interval_with(mr_frame *frame, const mr_program_step *step)
{
    const mr_interval *a = frame->registers[step->a].column.as.intervals;
    const int64_t *b = frame->registers[step->b].column.as.integers;
    const int64_t *c = frame->registers[step->c].column.as.integers;
    mr_interval *out = frame->registers[step->dst].cells;
    uint64_t live[MR_BATCH_WORDS_MAX];

    mr_frame_strict(frame, step, 3);
    mr_frame_live(frame, step, 3, live);
    for (uint32_t row = 0; mr_next_row(live, frame->word_count, &row); row++) {
        const mr_int128 x = b[row], y = c[row];
        const mr_int128 sum = step->operation == MR_WITH_MONTHS ? x * 12 + y
                              : step->operation == MR_WITH_DAYS ? x * 7 + y
                                                                : (x * 60 + y) * 60 * 1000000;
        const bool narrow = step->operation != MR_WITH_TIME;
        out[row] = a[row];
        if (sum < (narrow ? INT32_MIN : INT64_MIN) || sum > (narrow ? INT32_MAX : INT64_MAX)) {
            mr_frame_fail_row(frame, row, MR_ROW_22008);
        } else if (step->operation == MR_WITH_MONTHS) {
            out[row].months = (int32_t)sum;
        } else if (step->operation == MR_WITH_DAYS) {
            out[row].days = (int32_t)sum;
        } else {
            out[row].microseconds = (int64_t)sum;
        }
    }
}

void mr_run_interval_with_seconds(mr_frame *frame, const mr_program_step *step)
{
    const mr_interval *a = frame->registers[step->a].column.as.intervals;
    const double *b = frame->registers[step->b].column.as.doubles;
    mr_interval *out = frame->registers[step->dst].cells;
    uint64_t live[MR_BATCH_WORDS_MAX];

    mr_frame_strict(frame, step, 2);
    mr_frame_live(frame, step, 2, live);
    for (uint32_t row = 0; mr_next_row(live, frame->word_count, &row); row++) {
        int64_t us = 0;
        out[row] = a[row];
        if (!mr_cast_double_to_integer(b[row] * 1e6, &us) ||
            __builtin_add_overflow(us, a[row].microseconds, &out[row].microseconds)) {
            mr_frame_fail_row(frame, row, MR_ROW_22008);
        }
    }
}
