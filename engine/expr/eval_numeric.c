/*
 * eval_numeric.c - arithmetic on numeric: 128-bit integers with the scale in the type. Kernels walk
 * the rows that act; a value beyond 38 digits, or beyond the result's precision, is 22003.
 */
#include "engine/base/decimal.h"
#include "engine/expr/expr_private.h"

__extension__ typedef unsigned __int128 wide;

void mr_run_numeric_pairs(mr_frame *frame, const mr_program_step *step,
                          mr_numeric_operation operation)
{
    const mr_int128 *a = frame->registers[step->a].column.as.numerics;
    const mr_int128 *b = frame->registers[step->b].column.as.numerics;
    mr_int128 *out = frame->registers[step->dst].cells;
    uint64_t live[MR_BATCH_WORDS_MAX];

    mr_frame_strict(frame, step, 2);
    mr_frame_live(frame, step, 2, live);
    for (uint32_t row = 0; mr_next_row(live, frame->word_count, &row); row++) {
        const mr_row_error error = operation(step, a[row], b[row], &out[row]);
        if (error != MR_ROW_OK) {
            mr_frame_fail_row(frame, row, error);
        }
    }
}

static wide magnitude(mr_int128 value)
{
    return value < 0 ? 0 - (wide)value : (wide)value;
}

/* value 10^digits; false = beyond 128 bits, so that no number of 38 digits brings it back. */
static bool scaled_up(mr_int128 value, uint32_t digits, wide *out)
{
    return !__builtin_mul_overflow(magnitude(value), (wide)mr_decimal_power(digits), out);
}

/* At the scale of the result, which is the larger of theirs: nothing is rounded. What one of them
 * has beyond 38 digits there the other may take away again. */
static mr_row_error sum(const mr_program_step *step, mr_int128 a, mr_int128 b, mr_int128 *out)
{
    wide x = 0, y = 0;

    if (step->scale_a == step->scale_b) {
        return mr_decimal_add(a, b, out) ? MR_ROW_OK : MR_ROW_22003;
    }
    if (!scaled_up(a, (uint32_t)(step->scale - step->scale_a), &x) ||
        !scaled_up(b, (uint32_t)(step->scale - step->scale_b), &y)) {
        return MR_ROW_22003;
    }
    wide size = x > y ? x - y : y - x;
    if ((a < 0) == (b < 0) && __builtin_add_overflow(x, y, &size)) {
        return MR_ROW_22003;
    }
    if (size >= (wide)mr_decimal_power(MR_DECIMAL_DIGITS_MAX)) {
        return MR_ROW_22003;
    }
    *out = (x > y ? a : b) < 0 ? -(mr_int128)size : (mr_int128)size;
    return MR_ROW_OK;
}

static mr_row_error add(const mr_program_step *step, mr_int128 a, mr_int128 b, mr_int128 *out)
{
    return sum(step, a, b, out);
}

static mr_row_error subtract(const mr_program_step *step, mr_int128 a, mr_int128 b, mr_int128 *out)
{
    return sum(step, a, -b, out);
}

static mr_row_error multiply(const mr_program_step *step, mr_int128 a, mr_int128 b, mr_int128 *out)
{
    (void)step;
    return mr_decimal_multiply(a, b, out) ? MR_ROW_OK : MR_ROW_22003;
}

static mr_row_error divide(const mr_program_step *step, mr_int128 a, mr_int128 b, mr_int128 *out)
{
    if (b == 0) {
        return MR_ROW_22012;
    }
    return mr_decimal_divide(a, step->scale_a, b, step->scale_b, step->scale, out) ? MR_ROW_OK
                                                                                   : MR_ROW_22003;
}

/* (a 10^digits) mod b for a dividend that does not fit when scaled: a digit at a time, each by
 * additions that stay below 2 x 10^38. */
static wide scaled_modulo(wide a, uint32_t digits, wide b)
{
    wide rest = a % b;

    for (uint32_t i = 0; i < digits; i++) {
        wide sum = 0;
        for (uint32_t k = 0; k < 10; k++) {
            sum += rest;
            sum = sum >= b ? sum - b : sum;
        }
        rest = sum;
    }
    return rest;
}

static mr_row_error modulo(const mr_program_step *step, mr_int128 a, mr_int128 b, mr_int128 *out)
{
    mr_int128 divisor = b;

    if (b == 0) {
        return MR_ROW_22012;
    }
    if (!mr_decimal_rescale(b, step->scale_b, step->scale, &divisor)) {
        *out = a; /* The divisor is larger than any dividend, which is at the result's scale. */
        return MR_ROW_OK;
    }
    const wide rest =
        scaled_modulo(magnitude(a), (uint32_t)(step->scale - step->scale_a), magnitude(divisor));
    *out = a < 0 ? -(mr_int128)rest : (mr_int128)rest;
    return MR_ROW_OK;
}

void mr_run_add_numeric(mr_frame *frame, const mr_program_step *step)
{
    mr_run_numeric_pairs(frame, step, add);
}

void mr_run_subtract_numeric(mr_frame *frame, const mr_program_step *step)
{
    mr_run_numeric_pairs(frame, step, subtract);
}

void mr_run_multiply_numeric(mr_frame *frame, const mr_program_step *step)
{
    mr_run_numeric_pairs(frame, step, multiply);
}

void mr_run_divide_numeric(mr_frame *frame, const mr_program_step *step)
{
    mr_run_numeric_pairs(frame, step, divide);
}

void mr_run_modulo_numeric(mr_frame *frame, const mr_program_step *step)
{
    mr_run_numeric_pairs(frame, step, modulo);
}

void mr_run_numerics(mr_frame *frame, const mr_program_step *step, mr_numeric_operation operation)
{
    const mr_int128 *a = frame->registers[step->a].column.as.numerics;
    mr_int128 *out = frame->registers[step->dst].cells;
    uint64_t live[MR_BATCH_WORDS_MAX];

    mr_frame_strict(frame, step, 1);
    mr_frame_live(frame, step, 1, live);
    for (uint32_t row = 0; mr_next_row(live, frame->word_count, &row); row++) {
        const mr_row_error error = operation(step, a[row], 0, &out[row]);
        if (error != MR_ROW_OK) {
            mr_frame_fail_row(frame, row, error);
        }
    }
}

/* The range of numeric is symmetric: neither sign nor magnitude can overflow. */
static mr_row_error negate(const mr_program_step *step, mr_int128 a, mr_int128 b, mr_int128 *out)
{
    (void)step;
    *out = b - a;
    return MR_ROW_OK;
}

static mr_row_error absolute(const mr_program_step *step, mr_int128 a, mr_int128 b, mr_int128 *out)
{
    (void)step;
    *out = a < b ? -a : a;
    return MR_ROW_OK;
}

void mr_run_negate_numeric(mr_frame *frame, const mr_program_step *step)
{
    mr_run_numerics(frame, step, negate);
}

void mr_run_abs_numeric(mr_frame *frame, const mr_program_step *step)
{
    mr_run_numerics(frame, step, absolute);
}
