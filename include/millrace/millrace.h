/*
 * millrace.h - runs a topology to its end: what `millrace run` calls.
 *
 * The engine installs its own handling of SIGTERM and SIGINT for the duration of the call: the
 * first one drains and commits, a second one ends the process. Thread: control; one run a process.
 */
#ifndef MILLRACE_MILLRACE_H
#define MILLRACE_MILLRACE_H

#include <millrace/plan.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct mr_engine_options { /* Borrowed for the call. */
    const char *file;              /* The topology's path, for messages. */
    const mr_plan *plan;           /* Loaded from `file`, without mistakes. */
    const char *state_directory;   /* DIR; state lies in DIR/<app>/ */
    const char *partitions;        /* "0-3,7", or "1/3" (p mod 3 = 1), well formed; NULL = all. */
    uint32_t shard_count;          /* 0 = usable cores. */
    bool allow_client_version;     /* Run on a librdkafka known to be unsafe. */
    bool take_over;                /* Fence a living worker that has the same state. */
    /* Answers to a refused recovery, as written on the command line; NULL = none. */
    const char *adopt_offsets, *accept_regression, *reset_offsets;
    bool retry_poison;         /* Forget what failed attempts have shown. */
    bool progress;             /* A line a second on standard error. */
    int log_format, log_level; /* mr_log_format and mr_log_level of engine/base/log.h */
} mr_engine_options;

/*
 * Blocks until stopped, drained or failed; the last line of a failing run on standard error names
 * the error and what to do. Returns the exit status: 0 done, 1 failed at run time, 78 the
 * configuration does not fit the machine or the brokers.
 */
int mr_engine_run(const mr_engine_options *options);

#endif
