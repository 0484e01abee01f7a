/*
 * fake_task.h - a task, a plan node and a table for the tests of operators: what runtime, topology
 * and state implement, in memory and with everything noted down. A test program is one file, so
 * all of it stands here.
 */
#ifndef MR_TESTS_OPERATORS_FAKE_TASK_H
#define MR_TESTS_OPERATORS_FAKE_TASK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/base/arena.h"
#include "engine/base/hash.h"
#include "engine/batch/batch.h"
#include "engine/expr/expr.h"
#include "operators/operators.h"
#include "tests/support/batch_text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FAKE_RECORDS_MAX = 4096,
    FAKE_TEXT_MAX = 8192,
    FAKE_ARENA_BYTES = 512 << 20,
    FAKE_SCRATCH_BYTES = 1 << 20
};

typedef struct fake_record {
    mr_view key;
    uint8_t *value, *before; /* Exactly as long as they say, for the sanitizer; NULL = absent. */
    uint32_t value_size, before_size;
    bool changed;
} fake_record;

struct mr_table {
    fake_record records[FAKE_RECORDS_MAX];
    uint32_t order[FAKE_RECORDS_MAX]; /* Changed records, by first touch. */
    uint32_t count, changed_count, count_max, value_max;
    const mr_keys *pinned;
};

struct mr_task {
    mr_arena *arena;
    mr_diag diag;
    mr_table table;
    bool wants_old;
    uint32_t rows_max;
    char rejects[FAKE_TEXT_MAX]; /* "3 22012;" for each: row and reason. */
};

typedef struct fake {
    mr_arena *arena;
    mr_task task;
    mr_plan_node node;
    const mr_operator_type *op;
    void *spec, *self;
    mr_batch *out;
    char error[FAKE_TEXT_MAX]; /* Of mr_plan_error: "M0404 text". */
    uint32_t fallible, out_scratch_bytes;
    const char *what;
    mr_table_spec table_spec;
} fake;

/* The fake of the running test: mr_plan_* get a node and no context. */
static fake *fake_now;

static inline fake *fake_create(void)
{
    fake *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    f->arena = mr_arena_create(mr_memory_system(), FAKE_ARENA_BYTES, "fake");
    f->task.arena = f->arena;
    f->task.rows_max = MR_BATCH_ROWS_MAX;
    f->task.table.count_max = FAKE_RECORDS_MAX;
    f->task.table.value_max = 1 << 20;
    f->out_scratch_bytes = FAKE_SCRATCH_BYTES;
    fake_now = f;
    return f;
}

static inline void fake_destroy(fake *f)
{
    for (uint32_t i = 0; i < f->task.table.count; i++) {
        free(f->task.table.records[i].value);
        free(f->task.table.records[i].before);
    }
    if (f->op != NULL && f->op->close != NULL) {
        f->op->close(f->self);
    }
    mr_arena_destroy(f->arena);
    free(f);
    fake_now = NULL;
}

/* A schema whose first columns are its key. */
static inline mr_schema *fake_schema(fake *f, const char *columns, uint32_t key_count)
{
    mr_schema *schema = mr_test_schema(f->arena, columns);

    for (uint32_t i = 0; i < key_count; i++) {
        schema->key[schema->key_count++] = (uint16_t)i;
    }
    return schema;
}

static inline const mr_expr *fake_expr(fake *f, const mr_schema *schema, const char *text)
{
    const mr_expr_scope scope = {.schema = schema, .event_time = true};
    const mr_expr *expr = NULL;
    mr_diag diag = {0};

    if (mr_expr_compile(&scope, text, f->arena, &expr, &diag) != MR_OK) {
        print_error("%s: %s\n", text, diag.text);
    }
    assert_non_null(expr);
    return expr;
}

/* Names and texts in turn, to a NULL. */
static inline mr_select fake_select(fake *f, const mr_schema *schema, const char *const *pairs)
{
    const char **names = mr_arena_take_array(f->arena, 32, sizeof(char *));
    const mr_expr **exprs = mr_arena_take_array(f->arena, 32, sizeof(mr_expr *));
    uint32_t count = 0;

    for (; pairs[(size_t)2 * count] != NULL; count++) {
        names[count] = pairs[(size_t)2 * count];
        exprs[count] = fake_expr(f, schema, pairs[(size_t)2 * count + 1]);
    }
    return (mr_select){.names = names, .exprs = exprs, .count = count};
}

static inline mr_status fake_fold(fake *f, const mr_schema *schema, const mr_columns *by,
                                  const char *const *pairs, const mr_fold **fold, mr_diag *diag)
{
    const mr_expr_scope scope = {.schema = schema, .event_time = true};
    mr_fold_item items[32];
    uint32_t count = 0;

    for (; pairs[(size_t)2 * count] != NULL; count++) {
        items[count] =
            (mr_fold_item){.name = pairs[(size_t)2 * count], .text = pairs[(size_t)2 * count + 1]};
    }
    return mr_fold_compile(&scope, by, items, count, f->arena, fold, diag);
}

/* plan(), with the spec filled in by the test. */
static inline mr_status fake_plan(fake *f, const mr_operator_type *op, const mr_schema *input,
                                  void *spec)
{
    mr_diag diag = {0};

    f->op = op;
    f->spec = spec;
    f->node.input = input;
    const mr_status status = op->plan(spec, &f->node, &diag);
    if (status == MR_OK && f->node.outputs[0].schema == NULL) {
        mr_plan_set_output(&f->node, 0, input, true);
    }
    return status;
}

static inline void fake_open(fake *f)
{
    const mr_plan_output *output = &f->node.outputs[0];
    mr_batch_pool *pool = mr_batch_pool_create(
        f->arena, output->schema, 1, output->borrows ? 0 : f->out_scratch_bytes, output->borrows);

    f->out = mr_batch_take(pool);
    f->self = mr_arena_take(f->arena, f->op->self_size);
    assert_int_equal(f->op->open(f->self, f->spec, &f->task), MR_OK);
}

/* Output rows as text; with changes, "-" (old) or "+" (new) or " " in front of each. */
static inline void fake_rows(const fake *f, char *text, size_t *size)
{
    static const char marks[] = " -+";
    char rows[1 << 18];

    (void)snprintf(rows, sizeof(rows), "%s", mr_test_rows(f->arena, f->out));
    char *at = rows;
    for (uint32_t i = 0; i < f->out->selected_count; i++) {
        const size_t line = strcspn(at, "\n");
        const uint32_t row = mr_batch_row(f->out, i);
        const char mark = f->out->change != NULL ? marks[f->out->change[row]] : ' ';
        *size += (size_t)snprintf(text + *size, FAKE_TEXT_MAX - *size, "%s%.*s\n",
                                  mark == ' ' ? "" : (const char[]){mark, '\0'}, (int)line, at);
        assert_true(*size < FAKE_TEXT_MAX);
        at += line + (at[line] == '\n');
    }
}

/* One batch through prefetch and process until NEXT. `text`: room of FAKE_TEXT_MAX, or NULL. */
static inline mr_step fake_process(fake *f, const mr_batch *in, char *text, uint32_t *calls)
{
    mr_batch *out[1] = {f->out};
    size_t size = 0;
    mr_step step =
        f->op->prefetch != NULL ? f->op->prefetch(f->self, &f->task, 0, in) : MR_STEP_NEXT;

    *calls = 0;
    while (step == MR_STEP_NEXT || step == MR_STEP_AGAIN) {
        mr_batch_clear(f->out);
        step = f->op->process(f->self, &f->task, 0, in, out);
        ++*calls;
        assert_true(*calls < 1000);
        if (step != MR_STEP_FAILED && text != NULL) {
            fake_rows(f, text, &size);
        }
        if (step != MR_STEP_AGAIN) {
            break;
        }
    }
    return step;
}

static inline mr_step fake_flush(fake *f, char *text, uint32_t *calls)
{
    mr_batch *out[1] = {f->out};
    size_t size = 0;
    mr_step step = MR_STEP_AGAIN;

    text[0] = '\0';
    for (*calls = 0; step == MR_STEP_AGAIN; ++*calls) {
        mr_batch_clear(f->out);
        step = f->op->flush(f->self, &f->task, out);
        if (step != MR_STEP_FAILED) {
            fake_rows(f, text, &size);
        }
    }
    return step;
}

/* The epoch is sealed: what is now is what was before the next one. */
static inline void fake_commit(fake *f)
{
    mr_table *table = &f->task.table;

    for (uint32_t i = 0; i < table->changed_count; i++) {
        fake_record *record = &table->records[table->order[i]];
        free(record->before);
        record->before = NULL;
        record->changed = false;
    }
    table->changed_count = 0;
}

/* ---- include/millrace/operator.h ---- */

mr_arena *mr_task_arena(mr_task *task)
{
    return task->arena;
}

mr_diag *mr_task_diag(mr_task *task)
{
    return &task->diag;
}

mr_table *mr_task_table(mr_task *task, uint32_t index)
{
    assert_int_equal(index, 0);
    return &task->table;
}

uint32_t mr_task_rows_max(const mr_task *task)
{
    return task->rows_max;
}

bool mr_task_wants_old(const mr_task *task, uint32_t output)
{
    assert_int_equal(output, 0);
    return task->wants_old;
}

void mr_task_reject(mr_task *task, const mr_batch *in, uint32_t row, mr_row_error error)
{
    const size_t size = strlen(task->rejects);

    assert_true(row < in->row_count);
    if (in->change != NULL && in->change[row] == MR_CHANGE_OLD) {
        return;
    }
    (void)snprintf(task->rejects + size, FAKE_TEXT_MAX - size, "%u %s;", row,
                   mr_row_error_name(error));
}

mr_step mr_task_fail(mr_task *task, mr_status status, const char *format, ...)
{
    char text[512];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    const mr_status set = mr_diag_set(&task->diag, status, 0, "%s", text);
    assert_int_equal(set, status);
    return MR_STEP_FAILED;
}

mr_step mr_task_fail_full(mr_task *task)
{
    const mr_status set = mr_diag_set(&task->diag, MR_ERR_LIMIT, 0, "E_STATE_FULL");
    assert_int_equal(set, MR_ERR_LIMIT);
    return MR_STEP_FAILED;
}

/* ---- include/millrace/plan.h ---- */

struct mr_arena *mr_plan_arena(mr_plan_node *node)
{
    (void)node;
    return fake_now->arena;
}

const mr_schema *mr_plan_input(const mr_plan_node *node)
{
    return node->input;
}

void mr_plan_set_output(mr_plan_node *node, uint32_t output, const mr_schema *schema, bool borrows)
{
    node->outputs[output].schema = schema;
    node->outputs[output].borrows = borrows;
    node->output_count = output + 1;
}

mr_status mr_plan_add_table(mr_plan_node *node, const char *name, const mr_table_spec *spec,
                            const mr_schema *key, const mr_schema *value, mr_diag *diag)
{
    (void)node;
    (void)diag;
    assert_string_equal(name, "results");
    assert_non_null(key);
    assert_non_null(value);
    fake_now->table_spec = *spec;
    return MR_OK;
}

void mr_plan_fallible(mr_plan_node *node, uint32_t classes, const char *what)
{
    (void)node;
    fake_now->fallible |= classes;
    fake_now->what = fake_now->what != NULL ? fake_now->what : what;
}

mr_status mr_plan_error(mr_plan_node *node, const char *option, uint16_t code, const char *hint,
                        const char *format, ...)
{
    va_list arguments;

    (void)node;
    (void)option;
    (void)hint;
    int size = snprintf(fake_now->error, FAKE_TEXT_MAX, "M0%u ", code);
    va_start(arguments, format);
    (void)vsnprintf(fake_now->error + size, FAKE_TEXT_MAX - (size_t)size, format, arguments);
    va_end(arguments);
    return MR_ERR_CONFIG;
}

/* ---- include/millrace/store.h ---- */

uint64_t mr_table_seed(const mr_table *table)
{
    (void)table;
    return 77;
}

uint32_t mr_table_value_max(const mr_table *table)
{
    return table->value_max;
}

mr_step mr_table_prefetch(mr_table *table, const mr_keys *keys)
{
    table->pinned = keys;
    return MR_STEP_NEXT;
}

static inline fake_record *fake_find(mr_table *table, const mr_keys *keys, uint32_t key)
{
    assert_ptr_equal(table->pinned, keys);
    assert_true(key < keys->count);
    const mr_view view = keys->views[key];
    assert_int_equal(keys->hashes[key], mr_hash64(view.bytes, view.size_bytes, 77));
    for (uint32_t i = 0; i < table->count; i++) {
        fake_record *record = &table->records[i];
        if (record->key.size_bytes == view.size_bytes &&
            memcmp(record->key.bytes, view.bytes, view.size_bytes) == 0) {
            return record;
        }
    }
    return NULL;
}

const void *mr_table_get(mr_table *table, const mr_keys *keys, uint32_t key)
{
    const fake_record *record = fake_find(table, keys, key);
    return record != NULL ? record->value : NULL;
}

void *mr_table_update(mr_table *table, const mr_keys *keys, uint32_t key, uint32_t size_bytes)
{
    fake_record *record = fake_find(table, keys, key);

    assert_true(size_bytes > 0 && size_bytes <= table->value_max);
    if (record == NULL) {
        if (table->count == table->count_max) {
            return NULL;
        }
        const mr_view view = keys->views[key];
        record = &table->records[table->count++];
        uint8_t *copy = mr_arena_take(fake_now->arena, view.size_bytes + 1);
        memcpy(copy, view.bytes, view.size_bytes);
        record->key = (mr_view){copy, view.size_bytes};
    }
    if (!record->changed) {
        record->changed = true;
        table->order[table->changed_count++] = (uint32_t)(record - table->records);
        record->before_size = record->value_size;
        if (record->value != NULL) {
            record->before = malloc(record->value_size);
            memcpy(record->before, record->value, record->value_size);
        }
    }
    uint8_t *value = calloc(1, size_bytes);
    if (record->value != NULL) {
        memcpy(value, record->value,
               size_bytes < record->value_size ? size_bytes : record->value_size);
    }
    free(record->value); /* Whoever still looks at the old place is found out. */
    record->value = value;
    record->value_size = size_bytes;
    return value;
}

void mr_table_delete(mr_table *table, const mr_keys *keys, uint32_t key)
{
    (void)table;
    (void)keys;
    (void)key;
    fail_msg("nobody deletes");
}

mr_step mr_table_changed(mr_table *table, mr_scan *scan)
{
    scan->row_count = 0;
    while (scan->position[0] < table->changed_count && scan->row_count < scan->row_count_max) {
        const fake_record *record = &table->records[table->order[scan->position[0]++]];
        scan->rows[scan->row_count++] =
            (mr_table_row){.key = record->key,
                           .value = {record->value, record->value_size},
                           .before = {record->before, record->before_size}};
    }
    if (scan->position[0] < table->changed_count) {
        return MR_STEP_AGAIN;
    }
    memset(scan->position, 0, sizeof(scan->position));
    return MR_STEP_NEXT;
}

#endif
