/*
 * types.c - the type rules of the language: which types convert, what a numeric operator gives.
 *
 * Numerics have fixed scale and at most 38 digits. The rules stand in docs/topology.md under
 * "Expressions"; a precision that would exceed 38 is cut to 38, and a value beyond it is 22003 when
 * it occurs.
 */
#include "engine/base/decimal.h"
#include "engine/expr/expr_private.h"
#include <ctype.h>
#include <string.h>

enum { BIGINT_DIGITS = 19, DIVISION_SCALE_MIN = 6 };

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static mr_value_type numeric(uint32_t integer_digits, uint32_t scale)
{
    uint32_t precision = integer_digits + scale;

    precision = precision > MR_DECIMAL_DIGITS_MAX ? MR_DECIMAL_DIGITS_MAX : precision;
    precision = precision == 0 ? 1 : precision;
    return (mr_value_type){MR_NUMERIC, (uint8_t)precision, (uint8_t)scale};
}

bool mr_types_equal(mr_value_type a, mr_value_type b)
{
    return a.type == b.type &&
           (a.type != MR_NUMERIC || (a.precision == b.precision && a.scale == b.scale));
}

mr_value_type mr_type_as_numeric(mr_value_type type)
{
    MR_ASSERT(type.type == MR_BIGINT || type.type == MR_NUMERIC);
    return type.type == MR_BIGINT ? numeric(BIGINT_DIGITS, 0) : type;
}

/* Place in bigint -> numeric -> double; 0: elsewhere. */
static uint32_t number_rank(uint16_t type)
{
    return type == MR_BIGINT ? 1 : type == MR_NUMERIC ? 2 : type == MR_DOUBLE ? 3 : 0;
}

bool mr_type_converts(mr_value_type from, mr_type to)
{
    return from.type == MR_TYPE_UNKNOWN || from.type == (uint16_t)to ||
           (number_rank(from.type) > 0 && number_rank(from.type) < number_rank((uint16_t)to));
}

bool mr_types_common(mr_value_type a, mr_value_type b, mr_value_type *common)
{
    if (a.type == MR_TYPE_UNKNOWN || mr_types_equal(a, b)) {
        *common = b;
        return true;
    }
    if (b.type == MR_TYPE_UNKNOWN) {
        *common = a;
        return true;
    }
    const uint32_t rank_a = number_rank(a.type), rank_b = number_rank(b.type);
    if (rank_a == 0 || rank_b == 0) {
        *common = a;
        return a.type == b.type;
    }
    if (rank_a == 3 || rank_b == 3) {
        *common = (mr_value_type){.type = MR_DOUBLE};
        return true;
    }
    const mr_value_type x = mr_type_as_numeric(a), y = mr_type_as_numeric(b);
    *common = numeric(larger((uint32_t)(x.precision - x.scale), (uint32_t)(y.precision - y.scale)),
                      larger(x.scale, y.scale));
    return true;
}

bool mr_type_numeric_result(mr_result_rule rule, mr_value_type a, mr_value_type b,
                            mr_value_type *result)
{
    const uint32_t digits_a = (uint32_t)(a.precision - a.scale);
    const uint32_t digits_b = (uint32_t)(b.precision - b.scale);
    const uint32_t scale = larger(a.scale, b.scale);

    MR_ASSERT(a.type == MR_NUMERIC && b.type == MR_NUMERIC);
    switch (rule) {
    case MR_RULE_ADD:
        *result = numeric(larger(digits_a, digits_b) + 1, scale);
        return true;
    case MR_RULE_MODULO:
        *result = numeric(larger(digits_a, digits_b), scale);
        return true;
    case MR_RULE_DIVIDE:
        *result = numeric(digits_a + b.scale, larger(scale, DIVISION_SCALE_MIN));
        return true;
    case MR_RULE_QUOTIENT:
        *result = numeric(digits_a + b.scale, 0);
        return true;
    case MR_RULE_WHOLE:
        *result = numeric(digits_a + (a.scale > 0 ? 1 : 0), 0);
        return true;
    case MR_RULE_DIGITS: /* b.scale: the digits to keep. */
        *result = numeric(digits_a + 1, b.scale);
        return true;
    case MR_RULE_MULTIPLY: {
        const uint32_t both = (uint32_t)a.scale + b.scale;
        if (both > MR_DECIMAL_DIGITS_MAX) {
            return false;
        }
        *result = numeric((uint32_t)a.precision + b.precision - both, both);
        return true;
    }
    default:
        *result = a;
        return true;
    }
}

bool mr_type_literal(const char *digits, mr_value *value, mr_value_type *type)
{
    size_t size = strlen(digits);
    mr_int128 unscaled = 0;
    uint32_t scale = 0;

    while (size > 0 && isspace((unsigned char)digits[0])) {
        digits++;
        size--;
    }
    while (size > 0 && isspace((unsigned char)digits[size - 1])) {
        size--;
    }
    if (strpbrk(digits, ".eE") == NULL && mr_integer_parse(digits, size, &value->as.integer) == 0) {
        *type = (mr_value_type){.type = MR_BIGINT};
        return true;
    }
    if (mr_decimal_parse(digits, size, false, &unscaled, &scale) != 0) {
        return false;
    }
    uint32_t precision = 1;
    while (precision < MR_DECIMAL_DIGITS_MAX && !mr_decimal_fits(unscaled, precision)) {
        precision++;
    }
    precision = larger(precision, scale);
    /* "0.908" has three digits: a zero in front of the point is none. */
    *type = (mr_value_type){MR_NUMERIC, (uint8_t)precision, (uint8_t)scale};
    value->as.numeric = unscaled;
    return true;
}
