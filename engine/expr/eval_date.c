/*
 * eval_date.c - dates: days added and subtracted, casts from and to timestamptz (UTC). A date
 * outside of the years 1-9999 is 22008.
 */
#include "engine/base/time_text.h"
#include "engine/expr/expr_private.h"

#define US_PER_DAY INT64_C(86400000000)

static void run_days(mr_frame *frame, const mr_program_step *step, uint16_t date_register,
                     uint16_t days_register, bool subtract)
{
    const int32_t *dates = frame->registers[date_register].column.as.dates;
    const int64_t *days = frame->registers[days_register].column.as.integers;
    int32_t *out = frame->registers[step->dst].cells;
    uint64_t live[MR_BATCH_WORDS_MAX];

    mr_frame_strict(frame, step, 2);
    mr_frame_live(frame, step, 2, live);
    for (uint32_t row = 0; mr_next_row(live, frame->word_count, &row); row++) {
        int64_t result = 0;
        const bool overflows = subtract ? __builtin_sub_overflow(dates[row], days[row], &result)
                                        : __builtin_add_overflow(dates[row], days[row], &result);
        if (overflows || result < MR_DATE_MIN || result > MR_DATE_MAX) {
            mr_frame_fail_row(frame, row, MR_ROW_22008);
            continue;
        }
        out[row] = (int32_t)result;
    }
}

void mr_run_add_date_days(mr_frame *frame, const mr_program_step *step)
{
    run_days(frame, step, step->a, step->b, false);
}

void mr_run_add_days_date(mr_frame *frame, const mr_program_step *step)
{
    run_days(frame, step, step->b, step->a, false);
}

void mr_run_subtract_date_days(mr_frame *frame, const mr_program_step *step)
{
    run_days(frame, step, step->a, step->b, true);
}

void mr_run_subtract_dates(mr_frame *frame, const mr_program_step *step)
{
    const int32_t *a = frame->registers[step->a].column.as.dates;
    const int32_t *b = frame->registers[step->b].column.as.dates;
    int64_t *out = frame->registers[step->dst].cells;

    mr_frame_strict(frame, step, 2);
    for (uint32_t i = 0; i < frame->row_count; i++) {
        out[i] = (int64_t)a[i] - b[i];
    }
}

void mr_run_cast_date_time(mr_frame *frame, const mr_program_step *step)
{
    const int32_t *a = frame->registers[step->a].column.as.dates;
    int64_t *out = frame->registers[step->dst].cells;

    mr_frame_strict(frame, step, 1);
    for (uint32_t i = 0; i < frame->row_count; i++) {
        out[i] = (int64_t)((uint64_t)(int64_t)a[i] * (uint64_t)US_PER_DAY);
    }
}

void mr_run_cast_time_date(mr_frame *frame, const mr_program_step *step)
{
    const int64_t *a = frame->registers[step->a].column.as.integers;
    int32_t *out = frame->registers[step->dst].cells;

    mr_frame_strict(frame, step, 1);
    for (uint32_t i = 0; i < frame->row_count; i++) {
        out[i] = (int32_t)(a[i] / US_PER_DAY - (a[i] % US_PER_DAY < 0 ? 1 : 0));
    }
}
