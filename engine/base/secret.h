/*
 * secret.h - passwords and the like: read once at the start, wiped at the end, without a text form.
 *
 * Whoever prints, logs or dumps says `<secret NAME>` (mr_secret_text). The value leaves through one
 * function only, whose callers are the few that hand it to a client library. Threads: open and
 * close control; all else any.
 */
#ifndef MR_BASE_SECRET_H
#define MR_BASE_SECRET_H

#include "engine/base/memory.h"
#include <millrace/status.h>
#include <stdint.h>

enum {
    MR_SECRETS_MAX = 64,
    MR_SECRET_BYTES_MAX = 16 << 10,
    MR_SECRET_TEXT_MAX = 80 /* Of `<secret NAME>`. */
};

typedef struct mr_secret_source { /* Exactly one of file and env. */
    const char *name;             /* At most 63 bytes. */
    const char *file;             /* Ours alone: nobody else may read it. */
    const char *env;              /* The name of a variable. */
} mr_secret_source;

typedef struct mr_secrets mr_secrets;

/*
 * Reads them all. A file loses one final newline. E_SECRET (MR_ERR_CONFIG), without any of the
 * content: absent, empty, too large, a NUL inside, or a file that others may read. Returns owned.
 * The names are borrowed for the life of `secrets`.
 */
MR_MUST_USE mr_status mr_secrets_open(mr_memory memory, const mr_secret_source *sources,
                                      uint32_t count, mr_secrets **secrets, mr_diag *diag);
/* The value of the i-th one, NUL-terminated; valid until the close. Never print it. */
const char *mr_secret_reveal(const mr_secrets *secrets, uint32_t index);
/* Overwrites the values and gives the memory back; NULL is allowed. */
void mr_secrets_close(mr_secrets *secrets);

/* `<secret NAME>`; returns `text`. */
const char *mr_secret_text(const char *name, char text[MR_SECRET_TEXT_MAX]);

#endif
