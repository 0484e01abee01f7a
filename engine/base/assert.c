/*
 * assert.c - the end of a process that has caught itself in a mistake.
 *
 * The line goes out by dprintf: no stdio buffer is involved, so it is not lost by abort().
 */
#define _GNU_SOURCE
#include "engine/base/assert.h"
#include <stdio.h>
#include <stdlib.h>

void mr_assert_failed(const char *file, int line, const char *expression)
{
    /* Nothing is left to do if even this line cannot be written. */
    (void)!dprintf(2, "millrace: assertion failed: %s:%d: %s\n", file, line, expression);
    abort();
}
