/*
 * eval_round.c - round, ceil, floor, trunc, sign and div. numeric rounds half away from zero,
 * double half to even. For a numeric the digits to keep are the result's scale, less `operation`:
 * round(x, -2) has scale 0 and operation 2.
 */
#include "engine/base/decimal.h"
#include "engine/expr/expr_private.h"
#include <math.h>

__extension__ typedef unsigned __int128 wide;

typedef enum direction { NEAREST, UP, DOWN, TO_ZERO } direction;

static void run_double(mr_frame *frame, const mr_program_step *step, double (*of)(double))
{
    const double *a = frame->registers[step->a].column.as.doubles;
    double *out = frame->registers[step->dst].cells;

    mr_frame_strict(frame, step, 1);
    for (uint32_t i = 0; i < frame->row_count; i++) {
        out[i] = of(a[i]);
    }
}

static double sign(double value)
{
    return value > 0.0 ? 1.0 : value < 0.0 ? -1.0 : 0.0; /* Also of NaN. */
}

void mr_run_round_double(mr_frame *frame, const mr_program_step *step)
{
    run_double(frame, step, rint);
}

void mr_run_ceil_double(mr_frame *frame, const mr_program_step *step)
{
    run_double(frame, step, ceil);
}

void mr_run_floor_double(mr_frame *frame, const mr_program_step *step)
{
    run_double(frame, step, floor);
}

void mr_run_trunc_double(mr_frame *frame, const mr_program_step *step)
{
    run_double(frame, step, trunc);
}

void mr_run_sign_double(mr_frame *frame, const mr_program_step *step)
{
    run_double(frame, step, sign);
}

/* Whole multiples of 10^dropped, as a count of them. */
static mr_int128 reduce(mr_int128 value, uint32_t dropped, direction way)
{
    if (dropped > MR_DECIMAL_DIGITS_MAX) {
        return 0; /* Less than half of it; UP and DOWN never drop so many digits. */
    }
    const mr_int128 unit = mr_decimal_power(dropped);
    const mr_int128 whole = value / unit, rest = value % unit;
    switch (way) {
    case NEAREST: {
        const mr_int128 size = rest < 0 ? -rest : rest;
        return size >= unit - size ? whole + (value < 0 ? -1 : 1) : whole;
    }
    case UP:
        return whole + (rest > 0);
    case DOWN:
        return whole - (rest < 0);
    default:
        return whole;
    }
}

static mr_row_error keep_digits(const mr_program_step *step, mr_int128 value, direction way,
                                mr_int128 *out)
{
    const uint32_t zeros = step->operation;
    bool good = true;

    if (step->scale > step->scale_a) {
        good = mr_decimal_rescale(value, step->scale_a, step->scale, &value);
    } else {
        value = reduce(value, step->scale_a - step->scale + zeros, way);
        good =
            value == 0 || zeros == 0 || mr_decimal_multiply(value, mr_decimal_power(zeros), &value);
    }
    *out = value;
    return good && mr_decimal_fits(value, step->precision) ? MR_ROW_OK : MR_ROW_22003;
}

static mr_row_error nearest(const mr_program_step *step, mr_int128 a, mr_int128 b, mr_int128 *out)
{
    (void)b;
    return keep_digits(step, a, NEAREST, out);
}

static mr_row_error up(const mr_program_step *step, mr_int128 a, mr_int128 b, mr_int128 *out)
{
    (void)b;
    return keep_digits(step, a, UP, out);
}

static mr_row_error down(const mr_program_step *step, mr_int128 a, mr_int128 b, mr_int128 *out)
{
    (void)b;
    return keep_digits(step, a, DOWN, out);
}

static mr_row_error to_zero(const mr_program_step *step, mr_int128 a, mr_int128 b, mr_int128 *out)
{
    (void)b;
    return keep_digits(step, a, TO_ZERO, out);
}

static mr_row_error sign_of(const mr_program_step *step, mr_int128 a, mr_int128 b, mr_int128 *out)
{
    (void)step;
    *out = (a > b) - (a < b);
    return MR_ROW_OK;
}

void mr_run_round_numeric(mr_frame *frame, const mr_program_step *step)
{
    mr_run_numerics(frame, step, nearest);
}

void mr_run_ceil_numeric(mr_frame *frame, const mr_program_step *step)
{
    mr_run_numerics(frame, step, up);
}

void mr_run_floor_numeric(mr_frame *frame, const mr_program_step *step)
{
    mr_run_numerics(frame, step, down);
}

void mr_run_trunc_numeric(mr_frame *frame, const mr_program_step *step)
{
    mr_run_numerics(frame, step, to_zero);
}

void mr_run_sign_numeric(mr_frame *frame, const mr_program_step *step)
{
    mr_run_numerics(frame, step, sign_of);
}

/* (a 10^digits) / b for a dividend that does not fit when scaled: a digit at a time, each by
 * additions that stay below 2 x 10^38. */
static mr_row_error long_quotient(mr_int128 a, mr_int128 b, uint32_t digits, uint32_t precision,
                                  mr_int128 *out)
{
    const wide divisor = b < 0 ? 0 - (wide)b : (wide)b, size = a < 0 ? 0 - (wide)a : (wide)a;
    mr_int128 value = (mr_int128)(size / divisor);
    wide rest = size % divisor;

    for (uint32_t i = 0; i < digits; i++) {
        wide sum = 0;
        uint32_t digit = 0;
        for (uint32_t k = 0; k < 10; k++) {
            sum += rest;
            digit += sum >= divisor;
            sum = sum >= divisor ? sum - divisor : sum;
        }
        rest = sum;
        if (!mr_decimal_multiply(value, 10, &value) || !mr_decimal_add(value, digit, &value)) {
            return MR_ROW_22003;
        }
    }
    *out = (a < 0) != (b < 0) ? -value : value;
    return mr_decimal_fits(value, precision) ? MR_ROW_OK : MR_ROW_22003;
}

/* The whole part of a / b. */
static mr_row_error quotient(const mr_program_step *step, mr_int128 a, mr_int128 b, mr_int128 *out)
{
    const uint32_t scale = step->scale_a > step->scale_b ? step->scale_a : step->scale_b;
    mr_int128 x = a, y = b;

    if (b == 0) {
        return MR_ROW_22012;
    }
    if (mr_decimal_rescale(a, step->scale_a, scale, &x) &&
        mr_decimal_rescale(b, step->scale_b, scale, &y)) {
        *out = x / y;
        return mr_decimal_fits(*out, step->precision) ? MR_ROW_OK : MR_ROW_22003;
    }
    if (step->scale_a > step->scale_b) {
        *out = 0; /* b is beyond 38 digits at a's scale, so larger than a. */
        return MR_ROW_OK;
    }
    return long_quotient(a, b, scale - step->scale_a, step->precision, out);
}

void mr_run_quotient_numeric(mr_frame *frame, const mr_program_step *step)
{
    mr_run_numeric_pairs(frame, step, quotient);
}
