/*
 * operator.h - how to write an operator, and what an operator may ask of its task.
 *
 * An operator is one const mr_operator_type: a table of functions over batches. No function
 * blocks, reads a clock, draws randomness, allocates (after `open`), logs, or calls another
 * operator. Whatever must survive an epoch lives in a table (store.h); `self` holds scratch that
 * `open` can rebuild. A NULL slot means: `plan` output = input schema; `prefetch` no keys;
 * `flush` nothing owed. Thread: `plan` control, all others the owning shard's.
 */
#ifndef MILLRACE_OPERATOR_H
#define MILLRACE_OPERATOR_H

#include <millrace/batch.h>
#include <millrace/option.h>
#include <millrace/plan.h>
#include <millrace/row_error.h>
#include <millrace/status.h>
#include <millrace/store.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct mr_task mr_task;   /* (sub-topology, partition); engine/runtime */
typedef struct mr_arena mr_arena; /* engine/base/arena.h */

enum { MR_OP_KEYED = 1, MR_OP_STATEFUL = 2 }; /* Needs a key; has tables. */

typedef struct mr_operator_type {
    uint32_t abi_version, struct_size; /* Checked before anything else is read. */
    const char *name, *summary;        /* The word after `op:`; one sentence. */
    const mr_option *options;
    const char *const *output_names; /* [0] is the step itself, then e.g. "late"; may be NULL. */
    uint32_t option_count;
    uint8_t input_count_min, input_count_max, output_count;
    uint16_t flags;
    uint32_t spec_size, self_size; /* Shared and read-only; one a task, zeroed. */

    /*
     * Once at load, options already parsed into `spec`: declare output schemas, tables, key needs;
     * report user errors with a place (mr_plan_error).
     */
    mr_status (*plan)(void *spec, mr_plan_node *node, mr_diag *diag);
    /* At start, and after every recovery: allocate from the task arena. */
    mr_status (*open)(void *self, const void *spec, mr_task *task);
    /* Exactly once a batch: encode keys, start state reads. NEXT, FAILED, or WAIT. */
    mr_step (*prefetch)(void *self, mr_task *task, uint32_t port, const mr_batch *in);
    /*
     * Until NEXT: touches only keys named in prefetch; fills each `out` at most once a call.
     * `in` is borrowed for the call; out[i] is empty, owned by dispatch, with room for a full
     * batch. NEXT, AGAIN (called again with the same arguments and emptied outputs), FAILED.
     */
    mr_step (*process)(void *self, mr_task *task, uint32_t port, const mr_batch *in,
                       mr_batch *const out[]);
    /* Once an epoch when it closes, in plan order, until NEXT. NEXT, AGAIN, FAILED. */
    mr_step (*flush)(void *self, mr_task *task, mr_batch *const out[]);
    /* Last, also after a failed open: drop references. May be NULL. */
    void (*close)(void *self);
} mr_operator_type;

/* Memory that lives until the task is closed. Only in open(): in RUN it asserts. */
mr_arena *mr_task_arena(mr_task *task);

/* Where open() tells its story. */
mr_diag *mr_task_diag(mr_task *task);

/* The node's tables in order of declaration in plan(). */
mr_table *mr_task_table(mr_task *task, uint32_t index);

/* How many rows a batch may have now that is not made from another batch, by a source or a flush: 1
 * to MR_BATCH_ROWS_MAX, less after MR_ERR_OVERFLOW (which then comes again with less). */
uint32_t mr_task_rows_max(const mr_task *task);

/* Upsert streams: whether something behind this output reads the OLD half of a change. */
bool mr_task_wants_old(const mr_task *task, uint32_t output);

/* The partition number of the task. */
uint32_t mr_task_partition(const mr_task *task);

/*
 * Sends row `row` of `in` (a row number, not an index of the selection) to the step's error route
 * with the original bytes, key and headers where the row stems from one record; counts it. The
 * caller leaves the row out of its output. Rows whose change is OLD are dropped silently. Called
 * from process and flush only, where all rejected rows of one call stand in one batch; `in` must
 * stay as it is until its outputs are delivered.
 */
void mr_task_reject(mr_task *task, const mr_batch *in, uint32_t row, mr_row_error error);

/* The same, with the column or record that is to blame, for messages; NULL = none alone. */
void mr_task_reject_column(mr_task *task, const mr_batch *in, uint32_t row, mr_row_error error,
                           const char *column);

/* Stops the epoch with a story; returns MR_STEP_FAILED. `status` decides what follows. */
MR_MUST_USE mr_step mr_task_fail(mr_task *task, mr_status status, const char *format, ...)
    MR_PRINTF(3, 4);

/* The same, for a table that found no memory: E_STATE_FULL with the shard's largest tables. */
MR_MUST_USE mr_step mr_task_fail_full(mr_task *task);

#endif
