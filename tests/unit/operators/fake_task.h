/*
 * fake_task.h - a task, a plan node and a table for the tests of operators: what runtime, topology
 * and state implement, in memory and with everything noted down.
 */
#ifndef MR_TESTS_OPERATORS_FAKE_TASK_H
#define MR_TESTS_OPERATORS_FAKE_TASK_H

#include "engine/base/arena.h"
#include "engine/batch/batch.h"
#include "engine/expr/expr.h"
#include <millrace/operator.h>

enum { FAKE_RECORDS_MAX = 4096, FAKE_NOTES_MAX = 8192 };

typedef struct fake_record {
    uint8_t key[MR_KEY_BYTES_MAX];
    uint32_t key_size, value_size, before_size;
    uint8_t *value, *before; /* NULL = absent. */
    bool changed;
} fake_record;

struct mr_table {
    fake_record *records;
    uint32_t count, changed_order[FAKE_RECORDS_MAX], changed_count;
    uint32_t record_max; /* More are "no memory". */
    uint32_t value_max;
    const mr_keys *pinned;
};

struct mr_task {
    mr_arena *arena;
    mr_diag diag;
    mr_table table;
    bool wants_old;
    char notes[FAKE_NOTES_MAX]; /* "row 3 22012; " for each reject. */
    uint32_t reject_count;
};

typedef struct fake {
    mr_task task;
    mr_plan_node node;
    char error[512];     /* Of mr_plan_error: "M0404 text". */
    uint32_t fallible;
    const char *what;
    bool borrows;
    const mr_operator_type *op;
    void *spec, *self;
    mr_batch *out; /* Of the node's output schema. */
} fake;

/* A fake of its own arena. */
fake *fake_create(void);
void fake_destroy(fake *f);

/* A schema from text (see batch_text.h) with these key columns. */
const mr_schema *fake_schema(fake *f, const char *columns, uint32_t key_count);
const mr_expr *fake_expr(fake *f, const mr_schema *schema, const char *text);
/* "name: expr, name: expr" is too clever: names and texts side by side, NULL-terminated. */
mr_select fake_select(fake *f, const mr_schema *schema, const char *const *pairs);
const mr_fold *fake_fold(fake *f, const mr_schema *schema, const mr_columns *by,
                         const char *const *pairs);

/* Runs plan(); the spec is of the operator's own type. */
mr_status fake_plan(fake *f, const mr_operator_type *op, const mr_schema *input, void *spec);
/* open(), with a self of its own and an output batch. */
void fake_open(fake *f);
/* One batch through prefetch and process; the rows of all outputs as text. */
const char *fake_process(fake *f, const mr_batch *in, uint32_t *calls);
/* The same for flush. */
const char *fake_flush(fake *f, uint32_t *calls);
/* The epoch is committed: before-images go. */
void fake_commit(fake *f);

#endif
