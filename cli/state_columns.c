/*
 * state_columns.c - prints a stored record as the columns its topology gives it.
 *
 * The plan says which step a table belongs to; a grouping step's record is turned into its result
 * row by the same code that sends it (mr_fold_emit), so that what is printed is what a reader of
 * the sink would see. Thread: control.
 */
#include "cli/state_dump.h"
#include "engine/base/arena.h"
#include "engine/base/assert.h"
#include "engine/batch/batch.h"
#include "engine/expr/expr.h"
#include "io/format/format.h"
#include <inttypes.h>
#include <millrace/operator.h>
#include <stdio.h>
#include <string.h>

enum { ROW_BYTES_MAX = 4 << 20, ARENA_BYTES_MAX = 64 << 20 };

typedef struct table_columns { /* One table of the plan. */
    const char *name;
    mr_fold_scratch *scratch; /* NULL: its records have no columns. */
    mr_batch *batch;
    uint64_t layout;
    uint32_t number;
} table_columns;

struct mr_state_columns {
    mr_arena *arena;
    table_columns *tables;
    uint32_t table_count;
    uint8_t *text;
};

static bool add_table(mr_state_columns *columns, const mr_plan_node *node, uint32_t index);
static const table_columns *find(const mr_state_columns *columns, uint32_t number, uint64_t layout);
static const mr_fold *fold_of(const mr_plan_node *node);

mr_state_columns *mr_state_columns_create(const mr_plan *plan)
{
    mr_arena *arena = mr_arena_create(mr_memory_system(), ARENA_BYTES_MAX, "columns");
    mr_state_columns *columns = arena != NULL ? mr_arena_take(arena, sizeof(*columns)) : NULL;
    bool ok = columns != NULL;
    if (ok) {
        columns->arena = arena;
        columns->tables = mr_arena_take_array(arena, plan->table_count + 1, sizeof(table_columns));
        columns->text = mr_arena_take(arena, ROW_BYTES_MAX);
        ok = columns->tables != NULL && columns->text != NULL;
    }
    for (uint32_t i = 0; ok && i < plan->node_count; i++) {
        for (uint32_t t = 0; ok && t < plan->nodes[i].table_count; t++) {
            ok = add_table(columns, &plan->nodes[i], t);
        }
    }
    if (!ok) {
        mr_arena_destroy(arena);
        return NULL;
    }
    return columns;
}

static bool add_table(mr_state_columns *columns, const mr_plan_node *node, uint32_t index)
{
    const mr_fold *fold = node->table_count == 1 ? fold_of(node) : NULL;
    const size_t room = strlen(node->name) + strlen(node->table_names[index]) + 2;
    table_columns *table = &columns->tables[columns->table_count++];
    char *name = mr_arena_take(columns->arena, room);

    if (name == NULL) {
        return false;
    }
    (void)snprintf(name, room, "%s.%s", node->name, node->table_names[index]);
    *table = (table_columns){
        .name = name, .layout = node->tables[index].layout, .number = node->tables[index].table};
    if (fold == NULL) {
        return true;
    }
    mr_batch_pool *pool =
        mr_batch_pool_create(columns->arena, mr_fold_schema(fold), 1, ROW_BYTES_MAX, false);
    table->scratch = mr_fold_scratch_create(fold, columns->arena);
    table->batch = pool != NULL ? mr_batch_take(pool) : NULL;
    return table->scratch != NULL && table->batch != NULL;
}

void mr_state_columns_destroy(mr_state_columns *columns)
{
    if (columns != NULL) {
        mr_arena_destroy(columns->arena);
    }
}

const char *mr_state_columns_name(const mr_state_columns *columns, uint32_t number, uint64_t layout)
{
    const table_columns *found = find(columns, number, layout);

    return found != NULL ? found->name : NULL;
}

uint32_t mr_state_columns_text(mr_state_columns *columns, uint32_t number, uint64_t layout,
                               const mr_table_row *row, const uint8_t **text)
{
    const table_columns *table = find(columns, number, layout);
    const mr_row_error *errors = NULL;

    if (table == NULL || table->layout != layout || table->scratch == NULL) {
        return 0;
    }
    mr_batch_clear(table->batch);
    if (!mr_fold_emit(table->scratch, row->key, row->value.bytes, table->batch, 0) ||
        mr_fold_finish(table->scratch, table->batch, 1, true, &errors) != MR_OK) {
        return 0;
    }
    mr_batch_set_rows(table->batch, 1);
    *text = columns->text;
    return mr_row_json(table->batch, 0, columns->text, ROW_BYTES_MAX);
}

/* By its number; one of a state before format 1.2, which has another, by its layout. */
static const table_columns *find(const mr_state_columns *columns, uint32_t number, uint64_t layout)
{
    const table_columns *alike = NULL;

    for (uint32_t i = 0; columns != NULL && i < columns->table_count; i++) {
        const table_columns *table = &columns->tables[i];
        if (table->number == number) {
            return table;
        }
        alike = alike == NULL && table->layout == layout ? table : alike;
    }
    return alike;
}

/* The aggregates of a grouping step, found through its option table. */
static const mr_fold *fold_of(const mr_plan_node *node)
{
    if (node->kind != MR_NODE_STEP) {
        return NULL;
    }
    for (uint32_t i = 0; i < node->op->option_count; i++) {
        const mr_option *option = &node->op->options[i];
        if (option->kind == MR_OPTION_FOLD) {
            const void *at = (const uint8_t *)node->spec + option->offset;
            return *(const mr_fold *const *)at;
        }
    }
    return NULL;
}
