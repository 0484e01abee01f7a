/*
 * eval_time.c - parts of times, dates and intervals: date_trunc and extract. `operation` is the
 * unit, a constant of the expression. Times outside of the years 1-9999 do not occur; a start
 * before them is 22008. A date is its midnight UTC, of which date_trunc makes a time. Also
 * to_timestamp.
 */
#include "engine/base/decimal.h"
#include "engine/base/time_interval.h"
#include "engine/base/time_text.h"
#include "engine/expr/expr_private.h"

#define US_PER_DAY INT64_C(86400000000)
#define TIME_MIN_US (MR_DATE_MIN * US_PER_DAY)
#define TIME_END_US ((MR_DATE_MAX + 1) * US_PER_DAY)

enum { SECONDS_OF_2000 = 946684800 };

static int64_t time_of(const mr_column *column, uint32_t row, bool dates)
{
    return dates ? column->as.dates[row] * US_PER_DAY : column->as.integers[row];
}

static void run_trunc(mr_frame *frame, const mr_program_step *step, bool dates)
{
    const mr_column *a = &frame->registers[step->a].column;
    int64_t *out = frame->registers[step->dst].cells;
    const mr_time_unit unit = (mr_time_unit)step->operation;
    uint64_t live[MR_BATCH_WORDS_MAX];

    mr_frame_strict(frame, step, 1);
    mr_frame_live(frame, step, 1, live);
    for (uint32_t row = 0; mr_next_row(live, frame->word_count, &row); row++) {
        if (!mr_time_truncate(unit, time_of(a, row, dates), &out[row])) {
            mr_frame_fail_row(frame, row, MR_ROW_22008);
        }
    }
}

void mr_run_date_trunc(mr_frame *frame, const mr_program_step *step)
{
    run_trunc(frame, step, false);
}

void mr_run_date_trunc_date(mr_frame *frame, const mr_program_step *step)
{
    run_trunc(frame, step, true);
}

void mr_run_date_trunc_interval(mr_frame *frame, const mr_program_step *step)
{
    const mr_interval *a = frame->registers[step->a].column.as.intervals;
    mr_interval *out = frame->registers[step->dst].cells;
    const mr_time_unit unit = (mr_time_unit)step->operation;
    uint64_t live[MR_BATCH_WORDS_MAX];

    mr_frame_strict(frame, step, 1);
    mr_frame_live(frame, step, 1, live);
    for (uint32_t row = 0; mr_next_row(live, frame->word_count, &row); row++) {
        out[row] = mr_interval_truncate(unit, a[row]);
    }
}

static void run_extract(mr_frame *frame, const mr_program_step *step, bool dates)
{
    const mr_column *a = &frame->registers[step->a].column;
    mr_int128 *out = frame->registers[step->dst].cells;
    const mr_time_unit unit = (mr_time_unit)step->operation;
    uint64_t live[MR_BATCH_WORDS_MAX];

    mr_frame_strict(frame, step, 1);
    mr_frame_live(frame, step, 1, live);
    for (uint32_t row = 0; mr_next_row(live, frame->word_count, &row); row++) {
        out[row] = mr_time_part(unit, time_of(a, row, dates));
    }
}

void mr_run_extract(mr_frame *frame, const mr_program_step *step)
{
    run_extract(frame, step, false);
}

void mr_run_extract_date(mr_frame *frame, const mr_program_step *step)
{
    run_extract(frame, step, true);
}

/* Seconds of very long intervals have more digits than the result. */
void mr_run_extract_interval(mr_frame *frame, const mr_program_step *step)
{
    const mr_interval *a = frame->registers[step->a].column.as.intervals;
    mr_int128 *out = frame->registers[step->dst].cells;
    const mr_time_unit unit = (mr_time_unit)step->operation;
    uint64_t live[MR_BATCH_WORDS_MAX];

    mr_frame_strict(frame, step, 1);
    mr_frame_live(frame, step, 1, live);
    for (uint32_t row = 0; mr_next_row(live, frame->word_count, &row); row++) {
        out[row] = mr_interval_part(unit, a[row]);
        if (!mr_decimal_fits(out[row], step->precision)) {
            mr_frame_fail_row(frame, row, MR_ROW_22003);
        }
    }
}

/* Seconds since 1970. They are rounded as seconds since 2000, as there. */
void mr_run_to_timestamp(mr_frame *frame, const mr_program_step *step)
{
    const double *a = frame->registers[step->a].column.as.doubles;
    int64_t *out = frame->registers[step->dst].cells;
    uint64_t live[MR_BATCH_WORDS_MAX];

    mr_frame_strict(frame, step, 1);
    mr_frame_live(frame, step, 1, live);
    for (uint32_t row = 0; mr_next_row(live, frame->word_count, &row); row++) {
        int64_t us = 0;
        if (!mr_cast_double_to_integer((a[row] - SECONDS_OF_2000) * 1e6, &us) ||
            __builtin_add_overflow(us, SECONDS_OF_2000 * INT64_C(1000000), &us) ||
            us < TIME_MIN_US || us >= TIME_END_US) {
            mr_frame_fail_row(frame, row, MR_ROW_22008);
            continue;
        }
        out[row] = us;
    }
}
