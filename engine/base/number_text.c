/*
 * number_text.c - doubles and integers as text (declared in decimal.h).
 *
 * Doubles are printed as PostgreSQL prints them: the shortest digits that read back equal whichever
 * way a reader rounds ties, plain where the decimal exponent is -4 to 14, else with an exponent of
 * at least two digits.
 */
#include "engine/base/assert.h"
#include "engine/base/decimal.h"
#include "engine/base/double_private.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

__extension__ typedef unsigned __int128 wide;

enum { PLAIN_EXPONENT_MIN = -4, PLAIN_EXPONENT_END = 15, DIGITS_MAX = 17 };

static int32_t take_digits(const char *raw, uint32_t raw_bytes, char digits[DIGITS_MAX + 1],
                           uint32_t *digit_count);
static bool is_tie(double value, const char *digits, uint32_t digit_count, int32_t exponent);
static uint32_t print_longer(double value, uint32_t digit_count, char raw[32]);
static uint32_t print_plain(const char *digits, uint32_t digit_count, int32_t exponent, char *out);
static bool is_double_syntax(const char *text, size_t size_bytes, bool *is_zero);
static bool equals_word(const char *text, size_t size_bytes, const char *word);

uint32_t mr_double_print(double value, char out[MR_DOUBLE_TEXT_MAX])
{
    char raw[32];
    char digits[DIGITS_MAX + 1];
    uint32_t digit_count = 0;
    uint32_t at = 0;

    if (isnan(value)) {
        memcpy(out, "NaN", 3);
        return 3;
    }
    if (signbit(value)) {
        out[at++] = '-';
        value = -value;
    }
    if (isinf(value)) {
        memcpy(out + at, "Infinity", 8);
        return at + 8;
    }
    uint32_t raw_bytes = mr_double_digits(value, raw);
    int32_t exponent = take_digits(raw, raw_bytes, digits, &digit_count);
    if (is_tie(value, digits, digit_count, exponent)) {
        raw_bytes = print_longer(value, digit_count, raw);
        exponent = take_digits(raw, raw_bytes, digits, &digit_count);
    }
    if (exponent >= PLAIN_EXPONENT_MIN && exponent < PLAIN_EXPONENT_END) {
        return at + print_plain(digits, digit_count, exponent, out + at);
    }
    memcpy(out + at, raw, raw_bytes); /* d.ddde+xx already has two digits at least. */
    return at + raw_bytes;
}

int mr_double_parse(const char *text, size_t size_bytes, double *value)
{
    bool is_zero = true;

    MR_ASSERT(value != NULL && (text != NULL || size_bytes == 0));
    const bool negative = size_bytes > 0 && text[0] == '-';
    if (size_bytes > 0 && (text[0] == '-' || text[0] == '+')) {
        text++;
        size_bytes--;
    }
    if (equals_word(text, size_bytes, "nan")) {
        *value = (double)NAN;
        return 0;
    }
    if (equals_word(text, size_bytes, "infinity") || equals_word(text, size_bytes, "inf")) {
        *value = negative ? -(double)INFINITY : (double)INFINITY;
        return 0;
    }
    if (!is_double_syntax(text, size_bytes, &is_zero)) {
        return 1;
    }
    double size = 0;
    if (!is_zero && (mr_double_scan(text, size_bytes, &size) != 0 || size == 0 || isinf(size))) {
        return 2;
    }
    *value = negative ? -size : size;
    return 0;
}

int mr_integer_parse(const char *text, size_t size_bytes, int64_t *value)
{
    const char *at = text;
    const char *end = text + size_bytes;
    int64_t sum = 0;
    bool fits = true;

    MR_ASSERT(value != NULL && (text != NULL || size_bytes == 0));
    const bool negative = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+')) {
        at++;
    }
    if (at == end) {
        return 1;
    }
    for (; at < end; at++) {
        if (*at < '0' || *at > '9') {
            return 1;
        }
        /* Downwards, because the negative range is the larger one. */
        fits = fits && !__builtin_mul_overflow(sum, 10, &sum) &&
               !__builtin_sub_overflow(sum, *at - '0', &sum);
    }
    if (!fits || (!negative && sum == INT64_MIN)) {
        return 2;
    }
    *value = negative ? sum : -sum;
    return 0;
}

uint32_t mr_integer_print(int64_t value, char out[MR_INTEGER_TEXT_MAX])
{
    char digits[MR_INTEGER_TEXT_MAX];
    uint64_t rest = value < 0 ? UINT64_C(0) - (uint64_t)value : (uint64_t)value;
    uint32_t count = 0;
    uint32_t at = 0;

    do {
        digits[count++] = (char)('0' + (int)(rest % 10));
        rest /= 10;
    } while (rest > 0);
    if (value < 0) {
        out[at++] = '-';
    }
    while (count > 0) {
        out[at++] = digits[--count];
    }
    MR_ASSERT(at <= MR_INTEGER_TEXT_MAX);
    return at;
}

/* Digits with the point where it belongs, zeros on either side as needed. */
static uint32_t print_plain(const char *digits, uint32_t digit_count, int32_t exponent, char *out)
{
    uint32_t at = 0;

    for (int32_t place = exponent < 0 ? 0 : exponent;; place--) {
        const int32_t index = exponent - place;
        if (place == -1) {
            out[at++] = '.';
        }
        out[at++] = index >= 0 && index < (int32_t)digit_count ? digits[index] : '0';
        if (place <= 0 && index >= (int32_t)digit_count - 1) {
            break;
        }
    }
    MR_ASSERT(at < MR_DOUBLE_TEXT_MAX);
    return at;
}

/* Splits d.ddde+xx; returns the exponent. */
static int32_t take_digits(const char *raw, uint32_t raw_bytes, char digits[DIGITS_MAX + 1],
                           uint32_t *digit_count)
{
    uint32_t i = 0;
    int32_t exponent = 0;

    *digit_count = 0;
    for (; i < raw_bytes && raw[i] != 'e'; i++) {
        if (raw[i] != '.') {
            MR_ASSERT(*digit_count < DIGITS_MAX);
            digits[(*digit_count)++] = raw[i];
        }
    }
    MR_ASSERT(i + 2 < raw_bytes && *digit_count > 0);
    for (uint32_t j = i + 2; j < raw_bytes; j++) {
        exponent = exponent * 10 + (raw[j] - '0');
    }
    return raw[i + 1] == '-' ? -exponent : exponent;
}

/*
 * Whether the digits lie exactly between the value and its neighbour, so that only a reader that
 * rounds ties to even gets it back. The number between has an odd part of 54 bits or more; digits
 * times a power of ten have that only where the last digit stands for 10^-1 to 10^23.
 */
static bool is_tie(double value, const char *digits, uint32_t digit_count, int32_t exponent)
{
    const int32_t last = exponent - ((int32_t)digit_count - 1);
    const uint64_t smallest = UINT64_C(1) << 52;
    int32_t twos = last, power = 0;
    wide odd = 0;

    if (last < -1 || last > 23) {
        return false;
    }
    for (uint32_t i = 0; i < digit_count; i++) {
        odd = odd * 10 + (uint32_t)(digits[i] - '0');
    }
    if (odd == 0 || (last == -1 && odd % 5 != 0)) {
        return false;
    }
    odd = last == -1 ? odd / 5 : odd;
    for (int32_t i = 0; i < last; i++) {
        odd *= 5;
    }
    for (; odd % 2 == 0; odd /= 2) {
        twos++;
    }
    const uint64_t size = (uint64_t)ldexp(frexp(value, &power), 53);
    power -= 53;
    if (twos == power - 1) {
        return odd == 2 * (wide)size + 1 || (odd == 2 * (wide)size - 1 && size != smallest);
    }
    return twos == power - 2 && size == smallest && odd == 4 * (wide)size - 1;
}

/* The least digits above `digit_count` that are no tie: d.ddde+xx, without zeros at the end. */
static uint32_t print_longer(double value, uint32_t digit_count, char raw[32])
{
    char text[32], digits[DIGITS_MAX + 1];
    double back = 0;
    uint32_t count = 0;

    for (uint32_t wanted = digit_count + 1; wanted <= DIGITS_MAX; wanted++) {
        const int size = snprintf(text, sizeof(text), "%.*e", (int)wanted - 1, value);
        MR_ASSERT(size > 0 && (size_t)size < sizeof(text));
        const int32_t exponent = take_digits(text, (uint32_t)size, digits, &count);
        const bool reads = mr_double_parse(text, (size_t)size, &back) == 0 && back == value;
        if (reads && (wanted == DIGITS_MAX || !is_tie(value, digits, count, exponent))) {
            memcpy(raw, text, (size_t)size);
            return (uint32_t)size;
        }
    }
    MR_ASSERT(!"17 digits are enough");
    return 0;
}

/* digits[.digits][e[sign]digits] with a digit before or after the point, the sign taken off. */
static bool is_double_syntax(const char *text, size_t size_bytes, bool *is_zero)
{
    const char *at = text;
    const char *end = text + size_bytes;
    bool any = false;

    *is_zero = true;
    for (bool point = false; at < end; at++) {
        if (*at == '.' && !point) {
            point = true;
        } else if (*at >= '0' && *at <= '9') {
            any = true;
            *is_zero = *is_zero && *at == '0';
        } else {
            break;
        }
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        if (at < end && (*at == '-' || *at == '+')) {
            at++;
        }
        if (at == end) {
            return false;
        }
        while (at < end && *at >= '0' && *at <= '9') {
            at++;
        }
    }
    return any && at == end;
}

/* Without regard to case; `word` is lower case. */
static bool equals_word(const char *text, size_t size_bytes, const char *word)
{
    if (strlen(word) != size_bytes) {
        return false;
    }
    for (size_t i = 0; i < size_bytes; i++) {
        if ((text[i] | 0x20) != word[i]) {
            return false;
        }
    }
    return true;
}
