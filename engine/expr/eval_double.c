/*
 * eval_double.c - arithmetic on double precision as PostgreSQL 15's float.h: a result that becomes
 * infinite from finite arguments, or zero where it cannot be, is 22003; a zero divisor is 22012
 * unless the dividend is NaN.
 */
#include "engine/expr/expr_private.h"
#include <math.h>

typedef mr_row_error (*judge)(double a, double b, double result);

static void find_wrong(mr_frame *frame, const mr_program_step *step, judge error_of)
{
    const double *a = frame->registers[step->a].column.as.doubles;
    const double *b = frame->registers[step->b].column.as.doubles;
    const double *out = frame->registers[step->dst].cells;
    uint64_t live[MR_BATCH_WORDS_MAX];

    mr_frame_live(frame, step, 2, live);
    for (uint32_t row = 0; mr_next_row(live, frame->word_count, &row); row++) {
        const mr_row_error error = error_of(a[row], b[row], out[row]);
        if (error != MR_ROW_OK) {
            mr_frame_fail_row(frame, row, error);
        }
    }
}

static mr_row_error judge_sum(double a, double b, double result)
{
    return isinf(result) && !isinf(a) && !isinf(b) ? MR_ROW_22003 : MR_ROW_OK;
}

static mr_row_error judge_product(double a, double b, double result)
{
    if (isinf(result) && !isinf(a) && !isinf(b)) {
        return MR_ROW_22003;
    }
    return result == 0.0 && a != 0.0 && b != 0.0 ? MR_ROW_22003 : MR_ROW_OK;
}

static mr_row_error judge_quotient(double a, double b, double result)
{
    if (b == 0.0 && !isnan(a)) {
        return MR_ROW_22012;
    }
    if (isinf(result) && !isinf(a)) {
        return MR_ROW_22003;
    }
    return result == 0.0 && a != 0.0 && !isinf(b) ? MR_ROW_22003 : MR_ROW_OK;
}

void mr_run_add_double(mr_frame *frame, const mr_program_step *step)
{
    const double *a = frame->registers[step->a].column.as.doubles;
    const double *b = frame->registers[step->b].column.as.doubles;
    double *out = frame->registers[step->dst].cells;
    bool suspect = false;

    mr_frame_strict(frame, step, 2);
    for (uint32_t i = 0; i < frame->row_count; i++) {
        out[i] = a[i] + b[i];
        suspect |= isinf(out[i]) != 0;
    }
    if (suspect) {
        find_wrong(frame, step, judge_sum);
    }
}

void mr_run_subtract_double(mr_frame *frame, const mr_program_step *step)
{
    const double *a = frame->registers[step->a].column.as.doubles;
    const double *b = frame->registers[step->b].column.as.doubles;
    double *out = frame->registers[step->dst].cells;
    bool suspect = false;

    mr_frame_strict(frame, step, 2);
    for (uint32_t i = 0; i < frame->row_count; i++) {
        out[i] = a[i] - b[i];
        suspect |= isinf(out[i]) != 0;
    }
    if (suspect) {
        find_wrong(frame, step, judge_sum);
    }
}

void mr_run_multiply_double(mr_frame *frame, const mr_program_step *step)
{
    const double *a = frame->registers[step->a].column.as.doubles;
    const double *b = frame->registers[step->b].column.as.doubles;
    double *out = frame->registers[step->dst].cells;
    bool suspect = false;

    mr_frame_strict(frame, step, 2);
    for (uint32_t i = 0; i < frame->row_count; i++) {
        out[i] = a[i] * b[i];
        suspect |= isinf(out[i]) != 0 || out[i] == 0.0;
    }
    if (suspect) {
        find_wrong(frame, step, judge_product);
    }
}

void mr_run_divide_double(mr_frame *frame, const mr_program_step *step)
{
    const double *a = frame->registers[step->a].column.as.doubles;
    const double *b = frame->registers[step->b].column.as.doubles;
    double *out = frame->registers[step->dst].cells;
    bool suspect = false;

    mr_frame_strict(frame, step, 2);
    for (uint32_t i = 0; i < frame->row_count; i++) {
        const bool is_zero = b[i] == 0.0;
        out[i] = a[i] / (is_zero ? 1.0 : b[i]);
        suspect |= is_zero || isinf(out[i]) != 0 || out[i] == 0.0;
    }
    if (suspect) {
        find_wrong(frame, step, judge_quotient);
    }
}

void mr_run_negate_double(mr_frame *frame, const mr_program_step *step)
{
    const double *a = frame->registers[step->a].column.as.doubles;
    double *out = frame->registers[step->dst].cells;

    mr_frame_strict(frame, step, 1);
    for (uint32_t i = 0; i < frame->row_count; i++) {
        out[i] = -a[i];
    }
}

void mr_run_abs_double(mr_frame *frame, const mr_program_step *step)
{
    const double *a = frame->registers[step->a].column.as.doubles;
    double *out = frame->registers[step->dst].cells;

    mr_frame_strict(frame, step, 1);
    for (uint32_t i = 0; i < frame->row_count; i++) {
        out[i] = fabs(a[i]);
    }
}
