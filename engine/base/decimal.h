/*
 * decimal.h - numeric: a 128-bit integer and a scale that stands in the type (0-38 digits).
 * Rounding is half away from zero, as PostgreSQL's numeric. Values stay within 38 digits; false =
 * out of range (SQLSTATE 22003). Thread: any.
 */
#ifndef MR_BASE_DECIMAL_H
#define MR_BASE_DECIMAL_H

#include <millrace/batch.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MR_DECIMAL_DIGITS_MAX = 38, MR_DECIMAL_TEXT_MAX = 42 };

/* 10^digits, 0-38. */
mr_int128 mr_decimal_power(uint32_t digits);
/* Whether |value| has at most `precision` digits. */
bool mr_decimal_fits(mr_int128 value, uint32_t precision);
/* From one scale to another; rounds; false = beyond 38 digits. */
bool mr_decimal_rescale(mr_int128 value, uint32_t from_scale, uint32_t to_scale, mr_int128 *out);
bool mr_decimal_add(mr_int128 a, mr_int128 b, mr_int128 *out);
bool mr_decimal_subtract(mr_int128 a, mr_int128 b, mr_int128 *out);
/* Exact product; its scale is the sum of both. */
bool mr_decimal_multiply(mr_int128 a, mr_int128 b, mr_int128 *out);
/* (a / 10^scale_a) / (b / 10^scale_b) at `scale`, rounded; b not zero (asserted). */
bool mr_decimal_divide(mr_int128 a, uint32_t scale_a, mr_int128 b, uint32_t scale_b, uint32_t scale,
                       mr_int128 *out);
/*
 * Reads [sign] digits [. digits] [e exponent] exactly. `digits`/`scale` receive the value as
 * unscaled and its own scale (trailing zeros after the point removed when `trim`). Returns 0 ok, 1
 * syntax error, 2 more than 38 digits.
 */
int mr_decimal_parse(const char *text, size_t size_bytes, bool trim, mr_int128 *unscaled,
                     uint32_t *scale);
/* All scale digits, no exponent; returns the size; `out` is not terminated. */
uint32_t mr_decimal_print(mr_int128 value, uint32_t scale, char out[MR_DECIMAL_TEXT_MAX]);
/* Nearest double; and from a double by its 15 significant digits (false: range, NaN, infinity). */
double mr_decimal_to_double(mr_int128 value, uint32_t scale);
bool mr_decimal_from_double(double value, uint32_t scale, mr_int128 *out);

/* Shortest text that reads back equal ("1.5", "1e+20", "NaN", "Infinity"); as PostgreSQL 15. */
enum { MR_DOUBLE_TEXT_MAX = 32 };
uint32_t mr_double_print(double value, char out[MR_DOUBLE_TEXT_MAX]);
/* 0 ok, 1 syntax, 2 out of range. */
int mr_double_parse(const char *text, size_t size_bytes, double *value);
/* Decimal integer with optional sign: 0 ok, 1 syntax, 2 out of range. */
int mr_integer_parse(const char *text, size_t size_bytes, int64_t *value);
enum { MR_INTEGER_TEXT_MAX = 20 };
uint32_t mr_integer_print(int64_t value, char out[MR_INTEGER_TEXT_MAX]);

#endif
