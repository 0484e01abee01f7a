/*
 * eval_time.c - parts of times: date_trunc and extract. `operation` is the unit, a constant of the
 * expression. Times outside of the years 1-9999 do not occur; a start before them is 22008.
 */
#include "engine/base/time_unit.h"
#include "engine/expr/expr_private.h"

void mr_run_date_trunc(mr_frame *frame, const mr_program_step *step)
{
    const int64_t *a = frame->registers[step->a].column.as.integers;
    int64_t *out = frame->registers[step->dst].cells;
    const mr_time_unit unit = (mr_time_unit)step->operation;
    uint64_t live[MR_BATCH_WORDS_MAX];

    mr_frame_strict(frame, step, 1);
    mr_frame_live(frame, step, 1, live);
    for (uint32_t row = 0; mr_next_row(live, frame->word_count, &row); row++) {
        if (!mr_time_truncate(unit, a[row], &out[row])) {
            mr_frame_fail_row(frame, row, MR_ROW_22008);
        }
    }
}

void mr_run_extract(mr_frame *frame, const mr_program_step *step)
{
    const int64_t *a = frame->registers[step->a].column.as.integers;
    mr_int128 *out = frame->registers[step->dst].cells;
    const mr_time_unit unit = (mr_time_unit)step->operation;
    uint64_t live[MR_BATCH_WORDS_MAX];

    mr_frame_strict(frame, step, 1);
    mr_frame_live(frame, step, 1, live);
    for (uint32_t row = 0; mr_next_row(live, frame->word_count, &row); row++) {
        out[row] = mr_time_part(unit, a[row]);
    }
}
