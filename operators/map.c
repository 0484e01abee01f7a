/*
 * map.c - computes columns: `set` adds or replaces, `select` gives exactly these, `drop` leaves
 * out.
 *
 * The output borrows columns of the input and of the evaluation, so nothing is copied. Hidden
 * columns (meta.*) come along. Expressions see the input row, never each other's results. A rename
 * keeps the key of the stream; a key column that is replaced or left out makes it unkeyed. An
 * upsert stream must keep its identity (M0310). A row for which an expression fails is rejected.
 */
#include "engine/base/arena.h"
#include "engine/base/assert.h"
#include "engine/batch/batch.h"
#include "engine/expr/expr.h"
#include "operators/operators.h"
#include <millrace/version.h>
#include <stddef.h>
#include <string.h>

typedef struct map_column { /* Where an output column comes from. */
    const mr_expr *expr;    /* NULL: the input's column `input`. */
    uint32_t input;
} map_column;

typedef struct map_spec {
    mr_select set, select;
    mr_columns drop;
    /* Made by plan. */
    const map_column *columns;
    const mr_expr *const *exprs; /* Of the columns that have one, in order. */
    uint32_t column_count, expr_count;
} map_spec;

typedef struct map {
    const map_spec *spec;
    mr_eval *eval; /* Owned by the task arena; NULL: nothing to evaluate. */
} map;

typedef struct map_draft { /* The output while it is planned. */
    const mr_schema *input;
    mr_field *fields;
    map_column *columns;
    const mr_expr **exprs;
    uint32_t count, room;
} map_draft;

static bool draft_add(map_draft *draft, const char *name, const mr_expr *expr, uint32_t input)
{
    if (draft->count == draft->room) {
        return false;
    }
    mr_field *field = &draft->fields[draft->count];
    *field = expr != NULL ? *mr_expr_result(expr) : draft->input->fields[input];
    field->name = name;
    if (expr != NULL && mr_expr_is_column(expr, &input)) {
        expr = NULL;
        field->nullable = draft->input->fields[input].nullable;
    }
    draft->columns[draft->count++] = (map_column){.expr = expr, .input = input};
    return true;
}

static const mr_expr *expr_named(const mr_select *select, const char *name)
{
    for (uint32_t i = 0; i < select->count; i++) {
        if (strcmp(select->names[i], name) == 0) {
            return select->exprs[i];
        }
    }
    return NULL;
}

static bool is_dropped(const map_spec *s, uint32_t column)
{
    for (uint32_t i = 0; i < s->drop.count; i++) {
        if (s->drop.indexes[i] == column) {
            return true;
        }
    }
    return false;
}

/* Visible columns, then the hidden ones of the input. */
static bool draft_columns(const map_spec *s, map_draft *draft)
{
    const mr_schema *input = draft->input;
    bool fits = true;

    for (uint32_t i = 0; s->select.count == 0 && i < input->field_count; i++) {
        const char *name = input->fields[i].name;
        if (!input->fields[i].hidden && !is_dropped(s, i)) {
            fits = fits && draft_add(draft, name, expr_named(&s->set, name), i);
        }
    }
    for (uint32_t i = 0; i < s->set.count; i++) {
        const uint32_t old =
            mr_schema_find(input, s->set.names[i], (uint32_t)strlen(s->set.names[i]));
        if (old == UINT32_MAX || input->fields[old].hidden) {
            fits = fits && draft_add(draft, s->set.names[i], s->set.exprs[i], 0);
        }
    }
    for (uint32_t i = 0; i < s->select.count; i++) {
        fits = fits && draft_add(draft, s->select.names[i], s->select.exprs[i], 0);
    }
    for (uint32_t i = 0; i < input->field_count; i++) {
        if (input->fields[i].hidden) {
            fits = fits && draft_add(draft, input->fields[i].name, NULL, i);
        }
    }
    return fits;
}

/* Where input column `column` is found unchanged in the output: under its name if it can be. */
static uint32_t find_unchanged(const map_draft *draft, uint32_t column)
{
    uint32_t found = UINT32_MAX;

    for (uint32_t i = 0; i < draft->count; i++) {
        if (draft->columns[i].expr == NULL && draft->columns[i].input == column) {
            if (strcmp(draft->fields[i].name, draft->input->fields[column].name) == 0) {
                return i;
            }
            found = found == UINT32_MAX ? i : found;
        }
    }
    return found;
}

static mr_status keep_keys(const map_draft *draft, mr_plan_node *node, mr_schema *output)
{
    const mr_schema *input = draft->input;

    for (uint32_t i = 0; i < input->key_count; i++) {
        const uint32_t at = find_unchanged(draft, input->key[i]);
        if (at == UINT32_MAX) {
            output->key_count = 0;
            break;
        }
        output->key[output->key_count++] = (uint16_t)at;
    }
    for (uint32_t i = 0; i < input->identity_count; i++) {
        const uint32_t at = find_unchanged(draft, input->identity[i]);
        if (at == UINT32_MAX) {
            const char *name = input->fields[input->identity[i]].name;
            return mr_plan_error(node, NULL, 310, "keep this column as it is, or rename it",
                                 "map changes or leaves out \"%s\", by which rows of the upsert "
                                 "stream replace each other",
                                 name);
        }
        output->identity[output->identity_count++] = (uint16_t)at;
    }
    return MR_OK;
}

static mr_status test_options(const map_spec *s, mr_plan_node *node)
{
    const int given = (s->set.count > 0) + (s->select.count > 0) + (s->drop.given != 0);
    const mr_select *lists[] = {&s->set, &s->select};

    if (given != 1) {
        return mr_plan_error(node, NULL, 104,
                             "`set` adds or replaces, `select` gives exactly "
                             "these columns, `drop` leaves out",
                             "op map needs exactly one of \"set\", \"select\", \"drop\"");
    }
    for (uint32_t l = 0; l < 2; l++) {
        for (uint32_t i = 0; i < lists[l]->count; i++) {
            if (strncmp(lists[l]->names[i], "meta.", 5) == 0) {
                return mr_plan_error(
                    node, l == 0 ? "set" : "select", 113, "give the result another name",
                    "\"%s\": names beginning with meta. belong to the record", lists[l]->names[i]);
            }
        }
    }
    return MR_OK;
}

static mr_status no_memory(mr_diag *diag)
{
    return mr_diag_set(diag, MR_ERR_MEMORY, 0, "no memory for a map");
}

/* Keeps what `process` needs, and tells the plan what can fail. */
static mr_status finish_spec(map_spec *s, map_draft *draft, mr_plan_node *node)
{
    for (uint32_t i = 0; i < draft->count; i++) {
        const mr_expr *expr = draft->columns[i].expr;
        const char *what = NULL;
        if (expr == NULL) {
            continue;
        }
        const uint32_t classes = mr_expr_fallible(expr, &what);
        if (classes != 0) {
            mr_plan_fallible(node, classes, what);
        }
        draft->exprs[s->expr_count++] = expr;
    }
    s->columns = draft->columns;
    s->column_count = draft->count;
    s->exprs = draft->exprs;
    return MR_OK;
}

static mr_status map_plan(void *spec, mr_plan_node *node, mr_diag *diag)
{
    map_spec *s = spec;
    mr_arena *arena = mr_plan_arena(node);
    map_draft draft = {.input = mr_plan_input(node)};

    mr_status status = test_options(s, node);
    if (status != MR_OK) {
        return status;
    }
    draft.room = draft.input->field_count + s->set.count + s->select.count;
    draft.fields = mr_arena_take_array(arena, draft.room, sizeof(mr_field));
    draft.columns = mr_arena_take_array(arena, draft.room, sizeof(map_column));
    draft.exprs = mr_arena_take_array(arena, draft.room, sizeof(mr_expr *));
    if (draft.fields == NULL || draft.columns == NULL || draft.exprs == NULL) {
        return no_memory(diag);
    }
    const bool fits = draft_columns(s, &draft);
    MR_ASSERT(fits);
    if (draft.count == 0 || draft.fields[0].hidden) {
        return mr_plan_error(node, "drop", 106, "keep at least one column",
                             "nothing is left of the row");
    }
    mr_schema output = {
        .fields = draft.fields, .field_count = draft.count, .mode = draft.input->mode};
    status = keep_keys(&draft, node, &output);
    if (status != MR_OK) {
        return status;
    }
    const mr_schema *schema = mr_schema_copy(arena, &output);
    if (schema == NULL) {
        return no_memory(diag);
    }
    mr_plan_set_output(node, 0, schema, true);
    return finish_spec(s, &draft, node);
}

static mr_status map_open(void *self, const void *spec, mr_task *task)
{
    map *m = self;

    m->spec = spec;
    if (m->spec->expr_count == 0) {
        return MR_OK;
    }
    m->eval = mr_eval_create(mr_task_arena(task), m->spec->exprs, m->spec->expr_count,
                             MR_EXPR_SCRATCH_BYTES);
    return m->eval != NULL
               ? MR_OK
               : mr_diag_set(mr_task_diag(task), MR_ERR_MEMORY, 0, "no memory for a map");
}

/* Rejects the rows in error; the others are the selection. */
static void reject_failed(mr_task *task, const mr_batch *in, const mr_row_error *errors,
                          mr_batch *out)
{
    uint16_t *selection = mr_batch_selection(out);
    uint32_t count = 0;

    for (uint32_t i = 0; i < in->selected_count; i++) {
        const uint32_t row = mr_batch_row(in, i);
        if (errors[row] == MR_ROW_OK) {
            selection[count++] = (uint16_t)row;
        } else {
            mr_task_reject(task, in, row, errors[row]);
        }
    }
    mr_batch_select(out, count);
}

static mr_step map_process(void *self, mr_task *task, uint32_t port, const mr_batch *in,
                           mr_batch *const out[])
{
    const map *m = self;
    uint32_t evaluated = 0;

    MR_ASSERT(port == 0);
    if (m->eval != NULL && mr_eval_run(m->eval, in) != MR_OK) {
        return mr_task_fail(task, MR_ERR_OVERFLOW, "the texts of %u rows exceed the scratch",
                            in->selected_count);
    }
    mr_batch_inherit(out[0], in);
    for (uint32_t i = 0; i < m->spec->column_count; i++) {
        const map_column *column = &m->spec->columns[i];
        mr_batch_borrow_column(out[0], i,
                               column->expr != NULL ? mr_eval_column(m->eval, evaluated++)
                                                    : &in->columns[column->input]);
    }
    const mr_row_error *errors = m->eval != NULL ? mr_eval_errors(m->eval) : NULL;
    if (errors != NULL) {
        reject_failed(task, in, errors, out[0]);
    }
    return MR_STEP_NEXT;
}

static const mr_option map_options[] = {
    {.name = "set",
     .kind = MR_OPTION_SELECT,
     .offset = offsetof(map_spec, set),
     .summary = "Columns to add or replace."},
    {.name = "select",
     .kind = MR_OPTION_SELECT,
     .offset = offsetof(map_spec, select),
     .summary = "Exactly these columns."},
    {.name = "drop",
     .kind = MR_OPTION_COLUMNS,
     .offset = offsetof(map_spec, drop),
     .summary = "Columns to leave out."},
};

const mr_operator_type mr_op_map = {
    .abi_version = MR_OPERATOR_ABI,
    .struct_size = sizeof(mr_operator_type),
    .name = "map",
    .summary = "Computes columns of each row.",
    .options = map_options,
    .option_count = MR_LENGTH(map_options),
    .input_count_min = 1,
    .input_count_max = 1,
    .output_count = 1,
    .spec_size = sizeof(map_spec),
    .self_size = sizeof(map),
    .plan = map_plan,
    .open = map_open,
    .process = map_process,
};
