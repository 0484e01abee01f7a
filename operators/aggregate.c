/*
 * aggregate.c - one running result for each key: count, sum, min, max, avg.
 *
 * A batch costs one store probe for each distinct key and one fold for each row. With `emit:
 * on_commit` (the default) one row leaves for each key that changed in the epoch, when it closes:
 * readers of a compacted topic want the newest value, and a hot key then costs one record an epoch
 * instead of one a row. `emit: every` sends after each input row.
 *
 * The output is an upsert stream with the identity `by`. If something downstream needs it, the row
 * last sent goes in front of the new one (OLD, NEW): from the record before the row (`every`), or
 * from the record when the epoch opened (`on_commit`, where equal halves send nothing).
 *
 * Limits: keys of 4 KiB, values of `state.value_max`; rows beyond are rejected. Overflow rejects
 * the row and leaves the record as it was.
 */
#include "engine/base/arena.h"
#include "engine/base/assert.h"
#include "engine/batch/batch.h"
#include "engine/expr/expr.h"
#include "operators/operators.h"
#include <millrace/version.h>
#include <stddef.h>
#include <string.h>

enum { EMIT_ON_COMMIT = 0, EMIT_EVERY = 1, SCAN_ROWS_MAX = 256 };

typedef struct aggregate_spec {
    mr_columns by;
    const mr_fold *fold; /* Owned by the plan. */
    uint32_t emit;
} aggregate_spec;

typedef struct aggregate {
    const aggregate_spec *spec;
    mr_table *results; /* Owned by the store. */
    mr_keys *keys;     /* Owned by the task arena, as is the rest. */
    mr_fold_scratch *scratch;
    uint16_t *cause;  /* Output row -> row of the input, `every` only. */
    mr_scan changed;  /* flush */
    uint32_t scan_at; /* Rows of `changed` done. */
    uint32_t next;    /* Selected rows of the batch done. */
    uint32_t value_max_bytes;
    uint64_t room_bytes; /* Of texts in an empty output batch. */
    bool scan_done, wants_old;
} aggregate;

typedef struct emission { /* Output rows being written. */
    mr_batch *out;
    uint8_t *change;        /* NULL: halves are not wanted. */
    uint32_t count, groups; /* Rows; groups they are of: one row each, or two halves. */
} emission;

static mr_status aggregate_plan(void *spec, mr_plan_node *node, mr_diag *diag)
{
    const aggregate_spec *s = spec;
    const mr_schema *input = mr_plan_input(node), *output = mr_fold_schema(s->fold);
    const char *what = NULL;
    const uint32_t classes = mr_fold_fallible(s->fold, &what);

    if (input->mode == MR_UPSERT) {
        return mr_plan_error(node, "from", 404, "aggregate the stream it was made from",
                             "op aggregate cannot take an upsert stream in this release");
    }
    if (s->by.count == 0 || output->key_count != input->key_count) {
        return mr_plan_error(node, "by", 401, "name every key column of the stream in `by`",
                             "the groups do not contain the key of the stream");
    }
    for (uint32_t i = 0; i < s->by.count; i++) {
        if (input->fields[s->by.indexes[i]].type == MR_INTERVAL) {
            return mr_plan_error(node, "by", 409, "group by a text or a number of it",
                                 "\"%s\" is an interval, of which equal ones have different texts",
                                 input->fields[s->by.indexes[i]].name);
        }
    }
    mr_plan_fallible(node, classes | MR_FALLIBLE_RANGE,
                     what != NULL ? what : "a key or a value that is too large");
    const mr_table_spec results = {
        .kind = MR_TABLE_HASH,
        .layout = mr_fold_layout(s->fold),
        .value_size_bytes = mr_fold_is_variable(s->fold) ? 0 : mr_fold_record_size(s->fold)};
    mr_plan_set_output(node, 0, output, false);
    return mr_plan_add_table(node, "results", &results, mr_fold_key_schema(s->fold),
                             mr_fold_value_schema(s->fold), diag);
}

static mr_status aggregate_open(void *self, const void *spec, mr_task *task)
{
    aggregate *agg = self;
    mr_arena *arena = mr_task_arena(task);

    agg->spec = spec;
    agg->results = mr_task_table(task, 0);
    agg->wants_old = mr_task_wants_old(task, 0);
    agg->value_max_bytes = mr_table_value_max(agg->results);
    agg->keys = mr_keys_create(arena, agg->spec->by.indexes, agg->spec->by.count,
                               mr_table_seed(agg->results));
    agg->scratch = mr_fold_scratch_create(agg->spec->fold, arena);
    agg->cause = mr_arena_take_array(arena, MR_BATCH_ROWS_MAX, sizeof(uint16_t));
    agg->changed.row_count_max = SCAN_ROWS_MAX;
    agg->changed.rows = mr_arena_take_array(arena, SCAN_ROWS_MAX, sizeof(mr_table_row));
    if (agg->keys == NULL || agg->scratch == NULL || agg->cause == NULL ||
        agg->changed.rows == NULL) {
        return mr_diag_set(mr_task_diag(task), MR_ERR_MEMORY, 0, "no memory for an aggregate");
    }
    return MR_OK;
}

static mr_step aggregate_prefetch(void *self, mr_task *task, uint32_t port, const mr_batch *in)
{
    aggregate *agg = self;

    MR_ASSERT(port == 0);
    agg->next = 0;
    if (!mr_keys_encode(agg->keys, in)) {
        return mr_task_fail(task, MR_ERR_OVERFLOW, "the keys of %u rows exceed their scratch",
                            in->selected_count);
    }
    return mr_table_prefetch(agg->results, agg->keys);
}

/* ---- Writing output rows ---- */

static emission begin(const aggregate *agg, mr_batch *out)
{
    return (emission){.out = out, .change = agg->wants_old ? mr_batch_changes(out) : NULL};
}

/* Bytes of texts two halves of this group may take at most. */
static uint64_t room_needed(mr_view key, uint32_t value_bytes)
{
    return 2 * ((uint64_t)key.size_bytes + value_bytes);
}

static uint64_t room_left(mr_batch *out)
{
    uint8_t *from = NULL, *end = NULL;

    mr_batch_scratch_room(out, &from, &end);
    return (uint64_t)(end - from);
}

/* One half; the room was tested. */
static void emit_half(const aggregate *agg, emission *e, mr_view key, const void *record,
                      mr_change change)
{
    const bool fits = mr_fold_emit(agg->scratch, key, record, e->out, e->count);

    MR_ASSERT(fits && e->count < MR_BATCH_ROWS_MAX);
    if (e->change != NULL) {
        e->change[e->count] = (uint8_t)change;
    }
    e->count++;
}

/* Result expressions; rows in error leave. `in`: NULL when the rows have no cause (flush). */
static mr_step finish(aggregate *agg, mr_task *task, emission *e, const mr_batch *in, mr_step step)
{
    const mr_row_error *errors = NULL;
    uint32_t kept = 0;

    if (mr_fold_finish(agg->scratch, e->out, e->count, e->groups <= 1, &errors) != MR_OK) {
        return mr_task_fail(task, MR_ERR_OVERFLOW, "the texts of %u groups exceed the scratch",
                            e->count);
    }
    if (e->count == 0) {
        return step;
    }
    mr_batch_set_rows(e->out, e->count);
    if (errors == NULL) {
        return step;
    }
    uint16_t *selection = mr_batch_selection(e->out);
    for (uint32_t row = 0; row < e->count; row++) {
        if (errors[row] == MR_ROW_OK) {
            selection[kept++] = (uint16_t)row;
        } else if (in == NULL) {
            mr_task_reject(task, e->out, row, errors[row]);
        } else if (e->change == NULL || e->change[row] != MR_CHANGE_OLD) {
            mr_task_reject(task, in, agg->cause[row], errors[row]);
        }
    }
    mr_batch_select(e->out, kept);
    return step;
}

/* ---- Rows ---- */

typedef enum fold_result { FOLDED, REJECTED, NO_ROOM, NO_MEMORY } fold_result;

/* Why the row cannot be folded into its group; else the bytes of the record after it. */
static mr_row_error test_row(aggregate *agg, uint32_t row, uint32_t key, const void **old,
                             uint32_t *size_bytes)
{
    mr_row_error error = mr_fold_argument_error(agg->scratch, row);

    if (error != MR_ROW_OK) {
        return error;
    }
    if (key == MR_KEY_TOO_LONG) {
        return MR_ROW_STATE_KEY;
    }
    *old = mr_table_get(agg->results, agg->keys, key);
    error = mr_fold_test(agg->scratch, row, *old);
    if (error != MR_ROW_OK) {
        return error;
    }
    *size_bytes = mr_fold_size_after(agg->scratch, row, *old);
    if (*size_bytes > agg->value_max_bytes) {
        return MR_ROW_STATE_VALUE;
    }
    /* A result that no output batch could carry. */
    return room_needed(agg->keys->views[key], *size_bytes) > agg->room_bytes ? MR_ROW_54000
                                                                             : MR_ROW_OK;
}

/* One row into its group, and out if `every`. */
static fold_result fold_row(aggregate *agg, mr_task *task, const mr_batch *in, uint32_t index,
                            emission *e)
{
    const uint32_t row = mr_batch_row(in, index), key = agg->keys->key_of_row[index];
    const bool every = agg->spec->emit == EMIT_EVERY;
    const void *old = NULL;
    uint32_t size = 0;

    const mr_row_error error = test_row(agg, row, key, &old, &size);
    if (error != MR_ROW_OK) {
        mr_task_reject(task, in, row, error);
        return REJECTED;
    }
    const mr_view key_bytes = agg->keys->views[key];
    if (every &&
        (e->count + 2 > MR_BATCH_ROWS_MAX || room_needed(key_bytes, size) > room_left(e->out))) {
        return NO_ROOM;
    }
    const bool has_old = every && agg->wants_old && old != NULL;
    if (has_old) { /* Before the record changes. */
        agg->cause[e->count] = (uint16_t)row;
        emit_half(agg, e, key_bytes, old, MR_CHANGE_OLD);
    }
    void *record = mr_table_update(agg->results, agg->keys, key, size);
    if (record == NULL) {
        return NO_MEMORY;
    }
    mr_fold_apply(agg->scratch, row, record);
    if (every) {
        e->groups++;
        agg->cause[e->count] = (uint16_t)row;
        emit_half(agg, e, key_bytes, record, has_old ? MR_CHANGE_NEW : MR_CHANGE_INSERT);
    }
    return FOLDED;
}

static mr_step aggregate_process(void *self, mr_task *task, uint32_t port, const mr_batch *in,
                                 mr_batch *const out[])
{
    aggregate *agg = self;
    emission e = begin(agg, out[0]);

    MR_ASSERT(port == 0);
    agg->room_bytes = room_left(out[0]);
    if (agg->next == 0 && mr_fold_arguments(agg->scratch, in) != MR_OK) {
        return mr_task_fail(task, MR_ERR_OVERFLOW, "the texts of %u rows exceed the scratch",
                            in->selected_count);
    }
    for (; agg->next < in->selected_count; agg->next++) {
        switch (fold_row(agg, task, in, agg->next, &e)) {
        case FOLDED:
        case REJECTED:
            break;
        case NO_ROOM:
            MR_ASSERT(e.count > 0);
            return finish(agg, task, &e, in, MR_STEP_AGAIN);
        case NO_MEMORY:
            return mr_task_fail_full(task);
        }
    }
    return finish(agg, task, &e, in, MR_STEP_NEXT);
}

/* What `on_commit` owes for one record touched in the epoch; false = no room. `groups_max`: what
 * did not fit comes again in smaller batches. */
static bool flush_row(aggregate *agg, emission *e, const mr_table_row *row, uint32_t groups_max)
{
    const bool has_old = row->before.bytes != NULL, has_new = row->value.bytes != NULL;
    const uint32_t size = row->before.size_bytes > row->value.size_bytes ? row->before.size_bytes
                                                                         : row->value.size_bytes;

    if (has_old == has_new &&
        (!has_old || (row->before.size_bytes == row->value.size_bytes &&
                      memcmp(row->before.bytes, row->value.bytes, row->value.size_bytes) == 0))) {
        return true; /* Came and went, or is as it was. */
    }
    if (e->count + 2 > MR_BATCH_ROWS_MAX || e->groups == groups_max ||
        room_needed(row->key, size) > room_left(e->out)) {
        return false;
    }
    e->groups++;
    if (has_old && agg->wants_old) {
        emit_half(agg, e, row->key, row->before.bytes, MR_CHANGE_OLD);
    }
    if (has_new) {
        emit_half(agg, e, row->key, row->value.bytes,
                  has_old && agg->wants_old ? MR_CHANGE_NEW : MR_CHANGE_INSERT);
    }
    return true;
}

static mr_step aggregate_flush(void *self, mr_task *task, mr_batch *const out[])
{
    aggregate *agg = self;
    emission e = begin(agg, out[0]);
    const uint32_t groups_max = mr_task_rows_max(task);

    if (agg->spec->emit == EMIT_EVERY) {
        return MR_STEP_NEXT;
    }
    for (;;) {
        for (; agg->scan_at < agg->changed.row_count; agg->scan_at++) {
            if (!flush_row(agg, &e, &agg->changed.rows[agg->scan_at], groups_max)) {
                if (e.count == 0) {
                    return mr_task_fail(task, MR_ERR_LIMIT,
                                        "a group of %u bytes does not fit an empty batch",
                                        agg->changed.rows[agg->scan_at].value.size_bytes);
                }
                return finish(agg, task, &e, NULL, MR_STEP_AGAIN);
            }
        }
        if (agg->scan_done) {
            agg->scan_done = false;
            agg->scan_at = 0;
            agg->changed.row_count = 0;
            return finish(agg, task, &e, NULL, MR_STEP_NEXT);
        }
        const mr_step step = mr_table_changed(agg->results, &agg->changed);
        MR_ASSERT(step == MR_STEP_NEXT || step == MR_STEP_AGAIN);
        agg->scan_at = 0;
        agg->scan_done = step == MR_STEP_NEXT;
    }
}

static const mr_option aggregate_options[] = {
    {.name = "by",
     .kind = MR_OPTION_COLUMNS,
     .offset = offsetof(aggregate_spec, by),
     .summary = "Columns of a group; default: the key of the stream."},
    {.name = "select",
     .kind = MR_OPTION_FOLD,
     .flags = MR_OPTION_REQUIRED,
     .offset = offsetof(aggregate_spec, fold),
     .summary = "Result columns of a group."},
    {.name = "emit",
     .kind = MR_OPTION_CHOICE,
     .fallback = "on_commit",
     .choices = "on_commit|every",
     .offset = offsetof(aggregate_spec, emit),
     .summary = "When results leave: once an epoch, or after every row."},
    {.name = "ttl",
     .kind = MR_OPTION_REFUSED,
     .choices = "groups are kept for ever: watermarks are not built",
     .summary = "How long a group lives after its last change."},
    {.name = "on_expire",
     .kind = MR_OPTION_REFUSED,
     .choices = "groups are kept for ever: watermarks are not built",
     .summary = "What a group leaves behind when its time has come."},
};

const mr_operator_type mr_op_aggregate = {
    .abi_version = MR_OPERATOR_ABI,
    .struct_size = sizeof(mr_operator_type),
    .name = "aggregate",
    .summary = "Keeps one running result for each key.",
    .options = aggregate_options,
    .option_count = MR_LENGTH(aggregate_options),
    .input_count_min = 1,
    .input_count_max = 1,
    .output_count = 1,
    .flags = MR_OP_KEYED | MR_OP_STATEFUL,
    .spec_size = sizeof(aggregate_spec),
    .self_size = sizeof(aggregate),
    .plan = aggregate_plan,
    .open = aggregate_open,
    .prefetch = aggregate_prefetch,
    .process = aggregate_process,
    .flush = aggregate_flush,
};
