/*
 * error_names.h - the table of named failures at run time: what `millrace explain E_FENCED` prints.
 *
 * A name is the first word of a story in an mr_diag. A name keeps its meaning for ever; a unit test
 * reads the sources and fails when one of their names is missing here. Thread: any.
 */
#ifndef MR_BASE_ERROR_NAMES_H
#define MR_BASE_ERROR_NAMES_H

#include <stdint.h>

typedef struct mr_error_name { /* All static. */
    const char *name;
    const char *title;   /* One line, without a final dot. */
    const char *text;    /* Lines of at most 90 characters: what has happened, and why it stops. */
    const char *example; /* One message as it is logged. */
    const char *remedy;  /* Lines of at most 90 characters: what to do. */
} mr_error_name;

/* The entry of a name, or NULL. */
const mr_error_name *mr_error_name_find(const char *name);

/* All entries, sorted by name. */
const mr_error_name *mr_error_names(uint32_t *count);

#endif
