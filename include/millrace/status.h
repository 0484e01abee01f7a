/*
 * status.h - how every part of millrace reports failure.
 *
 * A function that can fail returns an mr_status (or an mr_step) and tells the story in an mr_diag
 * that its caller owns. There is no errno across folders, no thread-local error and no longjmp.
 * Thread: any.
 */
#ifndef MILLRACE_STATUS_H
#define MILLRACE_STATUS_H

#include <stdint.h>

#define MR_MUST_USE __attribute__((warn_unused_result))
#define MR_PRINTF(format_at, first_at) __attribute__((format(printf, format_at, first_at)))

/* What the caller must do, see mr_status_class(). */
typedef enum mr_class {
    MR_CLASS_OK,
    MR_CLASS_USER,        /* The topology, an option or the command line is wrong: exit 78 or 2. */
    MR_CLASS_RETRY,       /* May pass by itself; retried by the one function that knows how. */
    MR_CLASS_ABORT_EPOCH, /* This epoch cannot be trusted: recovery. */
    MR_CLASS_FATAL        /* Going on could do harm: the shard stops, exit 1. */
} mr_class;

/* The high byte is the class. */
typedef enum mr_status {
    MR_OK = 0,
    MR_ERR_USAGE = 0x101,
    MR_ERR_CONFIG,
    MR_ERR_TYPE,
    MR_ERR_FULL = 0x201,
    MR_ERR_UNREACHABLE,
    MR_ERR_TXN_ABORTED = 0x301,
    MR_ERR_OUTCOME_UNKNOWN,
    MR_ERR_IO,
    MR_ERR_OVERFLOW,
    MR_ERR_FENCED = 0x401,
    MR_ERR_CORRUPT,
    MR_ERR_MEMORY,
    MR_ERR_LIMIT,
    MR_ERR_FOREIGN_STATE,
    MR_ERR_REFUSED,   /* A recovery that would guess; the diag names the E_... case and the flag. */
    MR_ERR_ROW,       /* A row was rejected and its route says stop. */
    MR_ERR_PARTITIONS /* Partitions were added to the inputs; a plan without state begins anew. */
} mr_status;

/* The answer of a batch function. */
typedef enum mr_step {
    MR_STEP_NEXT,  /* This call is complete. */
    MR_STEP_AGAIN, /* An output is full: take it, call again with the same arguments. */
    MR_STEP_WAIT,  /* State reads or room are outstanding; see the rule of each function. */
    MR_STEP_END,   /* Sources only: nothing will ever follow. */
    MR_STEP_FAILED /* mr_task_fail() has filled the task's diag. */
} mr_step;

typedef struct mr_place {
    const char *file; /* Valid as long as the loaded topology; NULL: nowhere in a file. */
    uint32_t line, column, length; /* From 1; length in bytes. */
} mr_place;

typedef struct mr_diag { /* Owned by the caller, filled in place, never allocates. */
    mr_status status;
    uint16_t code;        /* 123 prints as M0123; 0 when nobody can act on a code. */
    uint16_t frame_count; /* Context frames in `text`, at most 8. */
    mr_place place;
    uint32_t text_size_bytes; /* Without the final NUL. */
    char text[4060];
} mr_diag;
_Static_assert(sizeof(mr_diag) == 4096, "a diag is one page");

/* The class of a status: its high byte. */
mr_class mr_status_class(mr_status status);

/* The name of a status as it stands in this header, for logs; static. */
const char *mr_status_name(mr_status status);

/*
 * Replaces the story of `diag` (may be NULL: then only the status counts). Both functions return
 * `status`, so that a failing function ends in `return mr_diag_set(...)`. Text beyond the room of
 * a diag is cut.
 */
MR_MUST_USE mr_status mr_diag_set(mr_diag *diag, mr_status status, uint16_t code,
                                  const char *format, ...) MR_PRINTF(4, 5);

/* Puts one more "context: " in front of the story; a ninth frame is dropped. */
MR_MUST_USE mr_status mr_diag_frame(mr_diag *diag, mr_status status, const char *format, ...)
    MR_PRINTF(3, 4);

#endif
