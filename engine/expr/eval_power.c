/*
 * eval_power.c - power, sqrt, ln and exp on double precision, with PostgreSQL 15's errors: no real
 * result is 2201F, a logarithm of what is not positive 2201E; a result that becomes infinite, or
 * zero where it cannot be, 22003.
 */
#include "engine/expr/expr_private.h"
#include <math.h>

typedef mr_row_error (*real_of)(double a, double b, double *out);

static void run(mr_frame *frame, const mr_program_step *step, uint32_t argument_count, real_of of)
{
    const double *a = frame->registers[step->a].column.as.doubles;
    const double *b = frame->registers[step->b].column.as.doubles;
    double *out = frame->registers[step->dst].cells;
    uint64_t live[MR_BATCH_WORDS_MAX];

    mr_frame_strict(frame, step, argument_count);
    mr_frame_live(frame, step, argument_count, live);
    for (uint32_t row = 0; mr_next_row(live, frame->word_count, &row); row++) {
        const mr_row_error error = of(a[row], b[row], &out[row]);
        if (error != MR_ROW_OK) {
            mr_frame_fail_row(frame, row, error);
        }
    }
}

static mr_row_error power(double a, double b, double *out)
{
    if (isnan(a) || isnan(b)) {
        *out = pow(a, b); /* 1 for NaN ^ 0 and 1 ^ NaN. */
        return MR_ROW_OK;
    }
    if ((a == 0.0 && b < 0.0) || (a < 0.0 && floor(b) != b)) {
        return MR_ROW_2201F;
    }
    *out = pow(a, b);
    if (isinf(a) || isinf(b)) {
        return MR_ROW_OK;
    }
    return isinf(*out) || (*out == 0.0 && a != 0.0) ? MR_ROW_22003 : MR_ROW_OK;
}

static mr_row_error root(double a, double b, double *out)
{
    (void)b;
    *out = sqrt(a);
    return a < 0.0 ? MR_ROW_2201F : MR_ROW_OK;
}

static mr_row_error logarithm(double a, double b, double *out)
{
    (void)b;
    *out = log(a);
    return a <= 0.0 ? MR_ROW_2201E : MR_ROW_OK;
}

static mr_row_error exponential(double a, double b, double *out)
{
    (void)b;
    *out = exp(a);
    return !isinf(a) && (isinf(*out) || *out == 0.0) ? MR_ROW_22003 : MR_ROW_OK;
}

void mr_run_power(mr_frame *frame, const mr_program_step *step)
{
    run(frame, step, 2, power);
}

void mr_run_sqrt(mr_frame *frame, const mr_program_step *step)
{
    run(frame, step, 1, root);
}

void mr_run_ln(mr_frame *frame, const mr_program_step *step)
{
    run(frame, step, 1, logarithm);
}

void mr_run_exp(mr_frame *frame, const mr_program_step *step)
{
    run(frame, step, 1, exponential);
}
