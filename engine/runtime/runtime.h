/*
 * runtime.h - a worker from a plan: shards, epochs, commit, recovery.
 *
 * mr_shard_step() does a bounded piece of work and makes no system call beyond the seams; the
 * worker's threads call it in a loop, a simulator calls it for all shards in one thread.
 */
#ifndef MR_RUNTIME_RUNTIME_H
#define MR_RUNTIME_RUNTIME_H

#include "engine/base/counters.h"
#include "engine/base/secret.h"
#include "engine/runtime/env.h"
#include <millrace/batch.h>
#include <millrace/plan.h>
#include <millrace/status.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { MR_SHARDS_MAX = 64, MR_PARTITIONS_MAX = 10000 };

/* One-time answers to a refused recovery. */
typedef enum mr_adopt { MR_ADOPT_NONE, MR_ADOPT_KEEP_STATE, MR_ADOPT_RESET_STATE } mr_adopt;

typedef struct mr_answers {
    mr_adopt adopt;
    bool accepts_regression;
    int64_t reset_offsets; /* MR_START_EARLIEST or _LATEST; 0 = not given. */
    /* "topic:3,topic:4": the partitions each is for; NULL = all. Borrowed. */
    const char *adopt_scope, *regression_scope, *reset_scope;
} mr_answers;

typedef struct mr_answer_texts { /* As written on the command line; NULL = not given. */
    const char *adopt_offsets, *accept_regression, *reset_offsets;
} mr_answer_texts;

typedef struct mr_turns {   /* Of the shards of one process, zeroed; turns.c. */
    _Atomic uint32_t owner; /* The shard that tries a record, or waits to: index + 1. 0 = none. */
    _Atomic uint32_t busy;  /* Shards with something open or undecided. */
} mr_turns;

typedef struct mr_shard_options {
    const mr_plan *plan;
    const mr_env *env;
    uint32_t index, shard_count;
    const char *worker_set;     /* Valid for the shard's life. */
    const char *directory;      /* `<state dir>/<app>`; NULL = volatile. */
    const uint32_t *partitions; /* Of this shard, ascending. */
    uint32_t partition_count;
    uint64_t store_bytes;  /* For the store. */
    uint64_t memory_bytes; /* For tasks, batches, operators: each of two arenas. */
    uint64_t arena_bytes;  /* Of one output arena. */
    /* The row as JSON into `room`; size, or 0 when it does not fit. For dead letters of rows that
     * stem from no single record. */
    uint32_t (*row_json)(const mr_batch *batch, uint32_t row, uint8_t *room, uint32_t room_bytes);
    const mr_answers *answers; /* Borrowed; NULL = none. */
    /* So many partitions the inputs had when this worker last ran: those behind are read from
     * their beginning, whatever `start:` says. 0 = not known. */
    uint32_t known_partitions;
    mr_turns *turns;   /* Borrowed; NULL = there is no other shard. */
    mr_mark mark;      /* As a former process left it; zeroed = none. */
    bool retry_poison; /* Forget the mark. */
    bool test_headers; /* Outputs carry mr-src and mr-inc: test builds only. */
} mr_shard_options;

typedef struct mr_shard_counters { /* One writer: the shard. */
    mr_counter records_in, records_out, bytes_in, rejected, dead_letters, dropped;
    mr_counter epochs, recoveries, repeated, misplaced, credit_waits;
    mr_counter committed_in; /* Input records of acked epochs. */
    mr_counter is_running;   /* 1 after the claim is committed. */
    mr_counter is_drained;   /* 1: bounded inputs are at their end, all committed. */
    mr_counter state_keys, state_bytes, wal_bytes;
    mr_counter step_cycle_us_max;
    mr_counter turns; /* Steps: whether it lives. */
} mr_shard_counters;

typedef struct mr_shard mr_shard;

MR_MUST_USE mr_status mr_shard_open(mr_shard **shard, const mr_shard_options *options,
                                    mr_diag *diag);
uint32_t mr_shard_step(mr_shard *shard);                /* Work done; 0 = nothing to do now. */
int64_t mr_shard_wake_at_us(const mr_shard *shard);     /* When to step again at the latest. */
void mr_shard_sleep(mr_shard *shard);                   /* Waits in the ring until then or woken. */
const mr_diag *mr_shard_failure(const mr_shard *shard); /* NULL while it can go on. */
void mr_shard_stop(mr_shard *shard);                    /* Close the epoch, commit, then stopped. */
bool mr_shard_is_stopped(const mr_shard *shard);        /* Nothing open, nothing undecided. */
const mr_shard_counters *mr_shard_read_counters(const mr_shard *shard);
void mr_shard_close(mr_shard *shard); /* NULL is allowed. */

/* ---- The worker: threads, start, drain ---- */

typedef struct mr_worker_options {
    const mr_plan *plan;
    const mr_secrets *secrets;   /* Those of the plan; NULL = it has none. */
    const char *state_directory; /* DIR; state lies in DIR/<app>/ */
    const char *partitions;      /* "0-3,7", or "1/3" of --ordinal; NULL = all */
    uint32_t shard_count;        /* 0 = usable cores */
    bool allow_client_version, take_over, retry_poison;
    mr_answer_texts answers;
    bool progress;            /* One line a second on stderr. */
    uint32_t file_partitions; /* Plans without Kafka: how many tasks; else 0. */
    uint32_t (*row_json)(const mr_batch *batch, uint32_t row, uint8_t *room, uint32_t room_bytes);
    mr_log *log;
    /* Asked once a turn of control: whether to stop (a signal came). */
    bool (*stop_requested)(void *self);
    void *stop_self;
} mr_worker_options;

/* Runs until stopped, drained (bounded inputs), or failed. Blocks. Thread: control. */
MR_MUST_USE mr_status mr_worker_run(const mr_worker_options *options, mr_diag *diag);

#endif
