/*
 * diag_codes.h - the table of diagnostics: what `millrace explain M0302` prints.
 *
 * A code is a number; 302 is printed as M0302. M01 document, M02 graph, M03 expressions, M04 keys,
 * modes and formats, M06 errors, M07 outside world. A code keeps its meaning for ever.
 * Thread: any.
 */
#ifndef MR_BASE_DIAG_CODES_H
#define MR_BASE_DIAG_CODES_H

#include <stdint.h>

typedef struct mr_diag_code { /* All static. */
    uint16_t code;
    const char *title;   /* One line, without a final dot. */
    const char *text;    /* Lines of at most 90 characters: what is wrong, why, what to do. */
    const char *example; /* Lines of a file: the mistake, and behind # how it is mended. */
} mr_diag_code;

/* The entry of a code, or NULL. */
const mr_diag_code *mr_diag_code_find(uint16_t code);

/* All entries, by code. */
const mr_diag_code *mr_diag_codes(uint32_t *count);

#endif
