/*
 * decimal.c - numeric: 128-bit integers with a scale that stands in the type.
 *
 * 38 digits fit 127 bits (10^38 < 1.71e38), and a sum of two never overflows the 128; products and
 * scaled dividends may, and are tested. Rounding is half away from zero. Division is exact to the
 * last digit: where the scaled dividend does not fit, digits are made one at a time.
 */
#include "engine/base/decimal.h"
#include "engine/base/assert.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__extension__ typedef unsigned __int128 wide;

typedef struct mantissa { /* digits x 10^exponent, no trailing zeros. */
    wide digits;
    uint32_t digit_count;
    int64_t exponent;
    int64_t fraction_count; /* Digits after the point, less the exponent. */
    bool too_long;
} mantissa;

static wide magnitude(mr_int128 value);
static mr_int128 with_sign(wide size, bool negative);
static bool scale_up(mr_int128 value, uint32_t digits, mr_int128 *out);
static mr_int128 divide_rounded(mr_int128 value, mr_int128 divisor);
static bool divide_up(wide dividend, wide divisor, uint32_t digits, wide *quotient);
static wide divide_down(wide dividend, wide divisor, uint32_t digits);
static void add_digit(mantissa *into, char digit, uint32_t *zeros);
static bool scan(const char *text, size_t size_bytes, mantissa *found);
static bool scan_exponent(const char **at, const char *end, int64_t *exponent);

mr_int128 mr_decimal_power(uint32_t digits)
{
    static const uint64_t small[20] = {
        UINT64_C(1),
        UINT64_C(10),
        UINT64_C(100),
        UINT64_C(1000),
        UINT64_C(10000),
        UINT64_C(100000),
        UINT64_C(1000000),
        UINT64_C(10000000),
        UINT64_C(100000000),
        UINT64_C(1000000000),
        UINT64_C(10000000000),
        UINT64_C(100000000000),
        UINT64_C(1000000000000),
        UINT64_C(10000000000000),
        UINT64_C(100000000000000),
        UINT64_C(1000000000000000),
        UINT64_C(10000000000000000),
        UINT64_C(100000000000000000),
        UINT64_C(1000000000000000000),
        UINT64_C(10000000000000000000),
    };

    MR_ASSERT(digits <= MR_DECIMAL_DIGITS_MAX);
    return digits < 20 ? (mr_int128)small[digits] : (mr_int128)small[19] * small[digits - 19];
}

bool mr_decimal_fits(mr_int128 value, uint32_t precision)
{
    MR_ASSERT(precision <= MR_DECIMAL_DIGITS_MAX);
    const mr_int128 end = mr_decimal_power(precision);
    return value < end && value > -end;
}

bool mr_decimal_rescale(mr_int128 value, uint32_t from_scale, uint32_t to_scale, mr_int128 *out)
{
    MR_ASSERT(from_scale <= MR_DECIMAL_DIGITS_MAX && to_scale <= MR_DECIMAL_DIGITS_MAX);
    if (to_scale >= from_scale) {
        return scale_up(value, to_scale - from_scale, out);
    }
    *out = divide_rounded(value, mr_decimal_power(from_scale - to_scale));
    return mr_decimal_fits(*out, MR_DECIMAL_DIGITS_MAX);
}

bool mr_decimal_add(mr_int128 a, mr_int128 b, mr_int128 *out)
{
    return !__builtin_add_overflow(a, b, out) && mr_decimal_fits(*out, MR_DECIMAL_DIGITS_MAX);
}

bool mr_decimal_subtract(mr_int128 a, mr_int128 b, mr_int128 *out)
{
    return !__builtin_sub_overflow(a, b, out) && mr_decimal_fits(*out, MR_DECIMAL_DIGITS_MAX);
}

bool mr_decimal_multiply(mr_int128 a, mr_int128 b, mr_int128 *out)
{
    return !__builtin_mul_overflow(a, b, out) && mr_decimal_fits(*out, MR_DECIMAL_DIGITS_MAX);
}

bool mr_decimal_divide(mr_int128 a, uint32_t scale_a, mr_int128 b, uint32_t scale_b, uint32_t scale,
                       mr_int128 *out)
{
    const int32_t digits = (int32_t)scale + (int32_t)scale_b - (int32_t)scale_a;
    wide quotient = 0;

    MR_ASSERT(b != 0 && scale <= MR_DECIMAL_DIGITS_MAX);
    MR_ASSERT(scale_a <= MR_DECIMAL_DIGITS_MAX && scale_b <= MR_DECIMAL_DIGITS_MAX);
    MR_ASSERT(mr_decimal_fits(a, MR_DECIMAL_DIGITS_MAX));
    MR_ASSERT(mr_decimal_fits(b, MR_DECIMAL_DIGITS_MAX));
    if (digits < 0) {
        quotient = divide_down(magnitude(a), magnitude(b), (uint32_t)-digits);
    } else if (!divide_up(magnitude(a), magnitude(b), (uint32_t)digits, &quotient)) {
        return false;
    }
    *out = with_sign(quotient, (a < 0) != (b < 0));
    return mr_decimal_fits(*out, MR_DECIMAL_DIGITS_MAX);
}

int mr_decimal_parse(const char *text, size_t size_bytes, bool trim, mr_int128 *unscaled,
                     uint32_t *scale)
{
    mantissa found = {0};
    const bool negative = size_bytes > 0 && text[0] == '-';

    MR_ASSERT(unscaled != NULL && scale != NULL && (text != NULL || size_bytes == 0));
    if (!scan(text, size_bytes, &found)) {
        return 1;
    }
    int64_t wanted = trim ? -found.exponent : found.fraction_count;
    if (found.digits == 0) {
        wanted = trim || wanted < 0 ? 0 : wanted;
        *unscaled = 0;
        *scale = (uint32_t)(wanted > MR_DECIMAL_DIGITS_MAX ? MR_DECIMAL_DIGITS_MAX : wanted);
        return 0;
    }
    wanted = wanted < 0 ? 0 : wanted;
    const int64_t zeros = found.exponent + wanted;
    MR_ASSERT(zeros >= 0);
    if (found.too_long || wanted > MR_DECIMAL_DIGITS_MAX ||
        zeros + found.digit_count > MR_DECIMAL_DIGITS_MAX) {
        return 2;
    }
    *unscaled = with_sign(found.digits * (wide)mr_decimal_power((uint32_t)zeros), negative);
    *scale = (uint32_t)wanted;
    return 0;
}

uint32_t mr_decimal_print(mr_int128 value, uint32_t scale, char out[MR_DECIMAL_TEXT_MAX])
{
    char digits[MR_DECIMAL_DIGITS_MAX + 1];
    wide rest = magnitude(value);
    uint32_t count = 0;
    uint32_t at = 0;

    MR_ASSERT(scale <= MR_DECIMAL_DIGITS_MAX && mr_decimal_fits(value, MR_DECIMAL_DIGITS_MAX));
    /* Least significant first; at least one before the point. 64 bits are divided while they do. */
    for (; rest > UINT64_MAX; rest /= 10) {
        digits[count++] = (char)('0' + (int)(rest % 10));
    }
    for (uint64_t low = (uint64_t)rest; low > 0 || count <= scale; low /= 10) {
        digits[count++] = (char)('0' + (int)(low % 10));
    }
    if (value < 0) {
        out[at++] = '-';
    }
    while (count > 0) {
        if (count == scale) {
            out[at++] = '.';
        }
        out[at++] = digits[--count];
    }
    MR_ASSERT(at <= MR_DECIMAL_TEXT_MAX);
    return at;
}

double mr_decimal_to_double(mr_int128 value, uint32_t scale)
{
    static const double exact[23] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                     1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                     1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    const mr_int128 limit = (mr_int128)1 << 53;
    char text[MR_DECIMAL_TEXT_MAX];
    double result = 0;

    MR_ASSERT(scale <= MR_DECIMAL_DIGITS_MAX);
    if (value <= limit && value >= -limit && scale < MR_LENGTH(exact)) {
        return (double)(int64_t)value / exact[scale]; /* Both exact, so one rounding. */
    }
    const uint32_t size_bytes = mr_decimal_print(value, scale, text);
    const int error = mr_double_parse(text, size_bytes, &result);
    MR_ASSERT(error == 0);
    return result;
}

bool mr_decimal_from_double(double value, uint32_t scale, mr_int128 *out)
{
    char text[MR_DOUBLE_TEXT_MAX];
    uint32_t own_scale = 0;
    mr_int128 unscaled = 0;
    mantissa found = {0};

    MR_ASSERT(scale <= MR_DECIMAL_DIGITS_MAX && out != NULL);
    if (!isfinite(value) || fabs(value) >= 1e38) {
        return false;
    }
    const int size = snprintf(text, sizeof(text), "%.14e", value);
    MR_ASSERT(size > 0 && (size_t)size < sizeof(text));
    const bool is_number = scan(text, (size_t)size, &found);
    MR_ASSERT(is_number && found.digit_count <= 15);
    if (-found.exponent > MR_DECIMAL_DIGITS_MAX) {
        /* Digits beyond the 38th decimal place: rounded at the place itself. */
        const int64_t beyond = -found.exponent - (int64_t)scale;
        *out = 0;
        if (beyond <= MR_DECIMAL_DIGITS_MAX) {
            *out = with_sign(
                (wide)divide_rounded((mr_int128)found.digits, mr_decimal_power((uint32_t)beyond)),
                value < 0);
        }
        return true;
    }
    if (mr_decimal_parse(text, (size_t)size, true, &unscaled, &own_scale) != 0) {
        return false;
    }
    return mr_decimal_rescale(unscaled, own_scale, scale, out);
}

static wide magnitude(mr_int128 value)
{
    return value < 0 ? (wide)0 - (wide)value : (wide)value;
}

static mr_int128 with_sign(wide size, bool negative)
{
    return negative ? -(mr_int128)size : (mr_int128)size;
}

static bool scale_up(mr_int128 value, uint32_t digits, mr_int128 *out)
{
    return mr_decimal_multiply(value, mr_decimal_power(digits), out);
}

static mr_int128 divide_rounded(mr_int128 value, mr_int128 divisor)
{
    const wide size = magnitude(value);
    const wide by = (wide)divisor;

    MR_ASSERT(divisor > 0);
    wide quotient = size / by;
    if (size % by >= by - by / 2) {
        quotient++;
    }
    return with_sign(quotient, value < 0);
}

/* dividend x 10^digits / divisor, rounded; false = beyond 38 digits. */
static bool divide_up(wide dividend, wide divisor, uint32_t digits, wide *quotient)
{
    const wide limit = (wide)mr_decimal_power(MR_DECIMAL_DIGITS_MAX);
    wide rest = dividend % divisor;

    *quotient = dividend / divisor;
    for (uint32_t i = 0; i < digits; i++) {
        /* Ten times the rest may not fit 128 bits, twice does: it is below 10^38. */
        wide sum = 0;
        uint32_t digit = 0;
        for (uint32_t j = 0; j < 10; j++) {
            sum += rest;
            if (sum >= divisor) {
                sum -= divisor;
                digit++;
            }
        }
        rest = sum;
        *quotient = *quotient * 10 + digit;
        if (*quotient >= limit) {
            return false;
        }
    }
    if (rest >= divisor - rest) {
        (*quotient)++;
    }
    return true;
}

/* dividend / (divisor x 10^digits), rounded, without forming the divisor. */
static wide divide_down(wide dividend, wide divisor, uint32_t digits)
{
    const wide power = (wide)mr_decimal_power(digits);
    const wide shifted = dividend / power;
    const wide lost = dividend % power;
    wide quotient = shifted / divisor;
    const wide rest = shifted % divisor;

    /* The whole rest is rest x power + lost, to be compared with half of divisor x power. */
    if (2 * rest >= divisor || (2 * rest == divisor - 1 && lost >= power - lost)) {
        quotient++;
    }
    return quotient;
}

/* Zeros count only once another digit follows. */
static void add_digit(mantissa *into, char digit, uint32_t *zeros)
{
    if (digit == '0') {
        *zeros += into->digits != 0;
        return;
    }
    const uint32_t more = *zeros + 1;
    if (into->digit_count + more > MR_DECIMAL_DIGITS_MAX) {
        into->too_long = true;
        into->exponent -= more;
    } else {
        into->digits *= (wide)mr_decimal_power(more);
        into->digits += (uint32_t)(digit - '0');
        into->digit_count += more;
    }
    *zeros = 0;
}

/* [sign] digits [. digits] [e exponent], with at least one digit; false = syntax. */
static bool scan(const char *text, size_t size_bytes, mantissa *found)
{
    const char *at = text;
    const char *end = text + size_bytes;
    uint32_t zeros = 0;
    int64_t exponent = 0;
    int64_t places = 0;
    bool any = false;

    if (at < end && (*at == '-' || *at == '+')) {
        at++;
    }
    for (; at < end && *at >= '0' && *at <= '9'; at++) {
        add_digit(found, *at, &zeros);
        any = true;
    }
    if (at < end && *at == '.') {
        for (at++; at < end && *at >= '0' && *at <= '9'; at++) {
            add_digit(found, *at, &zeros);
            places++;
            any = true;
        }
    }
    if (!any || !scan_exponent(&at, end, &exponent) || at != end) {
        return false;
    }
    found->fraction_count = places - exponent;
    found->exponent = exponent - places + zeros;
    return true;
}

/* Beyond any use it stays at a million. */
static bool scan_exponent(const char **at, const char *end, int64_t *exponent)
{
    const int64_t limit = 1000000;
    bool negative = false;

    *exponent = 0;
    if (*at == end || (**at != 'e' && **at != 'E')) {
        return true;
    }
    (*at)++;
    if (*at < end && (**at == '-' || **at == '+')) {
        negative = **at == '-';
        (*at)++;
    }
    if (*at == end) {
        return false;
    }
    for (; *at < end && **at >= '0' && **at <= '9'; (*at)++) {
        *exponent = *exponent * 10 + (**at - '0');
        *exponent = *exponent > limit ? limit : *exponent;
    }
    *exponent = negative ? -*exponent : *exponent;
    return true;
}
