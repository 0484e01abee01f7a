/*
 * double_private.h - the C++ standard library's exact conversions between doubles and text, for
 * number_text.c only: C17 has none that are both exact and free of the locale.
 */
#ifndef MR_BASE_DOUBLE_PRIVATE_H
#define MR_BASE_DOUBLE_PRIVATE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Shortest digits of a finite value in the form d[.ddd]e+xx; returns the size, at most 24. */
uint32_t mr_double_digits(double value, char out[32]);

/* Reads [-]digits[.digits][e[sign]digits], tested before: 0 ok, 2 out of range. */
int mr_double_scan(const char *text, size_t size_bytes, double *value);

#ifdef __cplusplus
}
#endif
#endif
