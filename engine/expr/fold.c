/*
 * fold.c - compiles the `select` of a grouping step: aggregates with their arguments over the
 * input, and result expressions over the group (its columns and the aggregates' values).
 *
 * Limits: MR_FOLD_AGGREGATES_MAX aggregates. The layout fingerprint covers the types of key and
 * record and what every aggregate is of, so that a sum of something else never continues an old
 * one.
 */
#include "engine/base/hash.h"
#include "engine/expr/fold_private.h"
#include <millrace/plan.h>
#include <string.h>

typedef struct folding { /* One compilation of all items. */
    const mr_expr_scope *scope;
    const mr_columns *by;
    const mr_fold_item *items;
    uint32_t item_count;
    mr_arena *arena;
    mr_fold *fold;
    mr_diag *diag;
    uint64_t arguments_hash;
} folding;

static mr_status compile_item(folding *f, uint32_t index);
static mr_status make_schemas(folding *f);

mr_status mr_fold_compile(const mr_expr_scope *scope, const mr_columns *by,
                          const mr_fold_item *items, uint32_t item_count, mr_arena *arena,
                          const mr_fold **fold, mr_diag *diag)
{
    folding f = {.scope = scope,
                 .by = by,
                 .items = items,
                 .item_count = item_count,
                 .arena = arena,
                 .diag = diag};

    MR_ASSERT(by->count <= MR_KEY_FIELDS_MAX && item_count > 0 && item_count <= MR_FIELDS_MAX);
    *fold = NULL;
    f.fold = mr_arena_take(arena, sizeof(mr_fold));
    if (f.fold == NULL) {
        return mr_diag_set(diag, MR_ERR_MEMORY, 0, "no memory for a fold");
    }
    f.fold->results = mr_arena_take_array(arena, item_count, sizeof(mr_expr *));
    if (f.fold->results == NULL) {
        return mr_diag_set(diag, MR_ERR_MEMORY, 0, "no memory for a fold");
    }
    f.fold->result_count = item_count;
    f.fold->by_count = by->count;
    f.fold->record_size = MR_FOLD_HEAD_BYTES;
    memcpy(f.fold->by, by->indexes, by->count * sizeof(uint16_t));
    for (uint32_t i = 0; i < item_count; i++) {
        const mr_status status = compile_item(&f, i);
        if (status != MR_OK) {
            return status;
        }
    }
    const mr_status status = make_schemas(&f);
    if (status == MR_OK) {
        *fold = f.fold;
    }
    return status;
}

const mr_schema *mr_fold_schema(const mr_fold *fold)
{
    return fold->output;
}

const mr_schema *mr_fold_key_schema(const mr_fold *fold)
{
    return fold->key;
}

const mr_schema *mr_fold_value_schema(const mr_fold *fold)
{
    return fold->value;
}

uint64_t mr_fold_layout(const mr_fold *fold)
{
    return fold->layout;
}

uint32_t mr_fold_record_size(const mr_fold *fold)
{
    return fold->record_size;
}

uint32_t mr_fold_fallible(const mr_fold *fold, const char **what)
{
    if (what != NULL) {
        *what = fold->what;
    }
    return fold->fallible;
}

void mr_fold_columns(const mr_fold *fold, bool *needed)
{
    for (uint32_t i = 0; i < fold->by_count; i++) {
        needed[fold->by[i]] = true;
    }
    for (uint32_t i = 0; i < fold->argument_count; i++) {
        mr_expr_columns(fold->arguments[i], needed);
    }
}

bool mr_fold_is_variable(const mr_fold *fold)
{
    return fold->variable;
}

/* ---- Aggregates ---- */

static uint32_t slot_bytes(const mr_fold_aggregate *a)
{
    switch (a->kind) {
    case MR_COUNT_ROWS:
    case MR_COUNT:
        return 8;
    case MR_SUM:
    case MR_AVG:
        return a->argument.type == MR_DOUBLE ? 16 : 24;
    default:
        if (a->argument.type == MR_TEXT) {
            return 8;
        }
        return mr_type_cell_bytes((mr_type)a->argument.type) == 16 ? 24 : 16;
    }
}

static void hash_more(uint64_t *hash, const void *bytes, size_t size_bytes)
{
    *hash = mr_hash64(bytes, size_bytes, *hash);
}

static void hash_text(uint64_t *hash, const char *text)
{
    if (text != NULL) {
        hash_more(hash, text, strlen(text) + 1);
    }
}

/* What a node says by itself. */
static void hash_node(uint64_t *hash, const mr_schema *schema, const mr_node *node)
{
    const uint16_t head[] = {(uint16_t)node->kind, node->operation,  node->type.type,
                             node->type.precision, node->type.scale, (uint16_t)node->kid_count};

    hash_more(hash, head, sizeof(head));
    hash_text(hash, node->name);
    if (node->kind == MR_NODE_COLUMN) {
        hash_text(hash, schema->fields[node->column].name);
    }
    if (node->kind != MR_NODE_CONST || node->value.is_null) {
        return;
    }
    const uint32_t bytes = mr_type_cell_bytes((mr_type)node->type.type);
    if (node->type.type == MR_TEXT || node->type.type == MR_BYTEA || node->type.type == MR_JSONB) {
        hash_more(hash, node->value.as.view.bytes, node->value.as.view.size_bytes);
    } else {
        hash_more(hash, &node->value.as, bytes);
    }
}

/* The argument's tree, from the top; kids in order. */
static bool hash_tree(folding *f, mr_compile *c, const mr_node *root)
{
    const mr_node **stack = mr_arena_take_array(c->work, MR_EXPR_NODES_MAX, sizeof(mr_node *));
    uint32_t count = 0;

    if (stack == NULL) {
        return mr_compile_no_memory(c);
    }
    stack[count++] = root;
    while (count > 0) {
        const mr_node *node = stack[--count];
        hash_node(&f->arguments_hash, f->scope->schema, node);
        for (uint32_t i = node->kid_count; i-- > 0;) {
            MR_ASSERT(count < MR_EXPR_NODES_MAX);
            stack[count++] = node->kids[i];
        }
    }
    return true;
}

/* The node becomes the column of the group that holds its value. */
static bool take_aggregate(folding *f, mr_compile *c, mr_node *node)
{
    mr_fold *fold = f->fold;

    if (fold->aggregate_count == MR_FOLD_AGGREGATES_MAX) {
        return mr_compile_error(c, node->location, 301, "more than %d aggregates in one step",
                                MR_FOLD_AGGREGATES_MAX);
    }
    mr_fold_aggregate *a = &fold->aggregates[fold->aggregate_count];
    *a = (mr_fold_aggregate){
        .kind = (mr_aggregate)node->operation, .result = node->type, .offset = fold->record_size};
    hash_node(&f->arguments_hash, f->scope->schema, node);
    if (node->kid_count > 0) {
        a->argument = node->kids[0]->type;
        a->argument_index = fold->argument_count;
        const mr_expr *argument = mr_program_make(c, node->kids[0], f->arena);
        if (argument == NULL || !hash_tree(f, c, node->kids[0])) {
            return false;
        }
        fold->arguments[fold->argument_count++] = argument;
        fold->fallible |= argument->fallible;
        fold->what = fold->what != NULL ? fold->what : argument->what;
    }
    if (a->kind == MR_SUM || a->kind == MR_AVG) {
        fold->fallible |= MR_FALLIBLE_RANGE;
        fold->what = fold->what != NULL ? fold->what : a->kind == MR_SUM ? "sum" : "avg";
    }
    fold->variable =
        fold->variable || ((a->kind == MR_MIN || a->kind == MR_MAX) && a->argument.type == MR_TEXT);
    fold->record_size += slot_bytes(a);
    node->kind = MR_NODE_COLUMN;
    node->kid_count = 0;
    node->fallible = 0;
    node->what = NULL;
    node->column = (uint16_t)(fold->by_count + fold->aggregate_count++);
    return true;
}

/* ---- Items ---- */

/* Columns outside of aggregates are numbered within the group; what only arguments can fail at
 * happens before the results are made. */
static bool regroup(folding *f, mr_compile *c)
{
    for (uint32_t i = c->node_count; i-- > 0;) {
        mr_node *node = c->nodes[i];
        if (node->kind == MR_NODE_AGGREGATE && !take_aggregate(f, c, node)) {
            return false;
        }
        if (node->kind != MR_NODE_COLUMN || node->in_aggregate ||
            (node->name != NULL && node->column >= f->fold->by_count)) {
            continue; /* An aggregate's value has the aggregate's name. */
        }
        for (uint16_t k = 0; k < f->by->count; k++) {
            if (f->by->indexes[k] == node->column) {
                node->column = k;
                break;
            }
        }
    }
    return true;
}

static bool parse_item(mr_compile *c, const mr_fold_item *item)
{
    if (item->text[0] != '\0') {
        return mr_parse(c);
    }
    c->root = mr_node_new(c, MR_NODE_COLUMN, 0, 0);
    return c->root != NULL && mr_column_named(c, c->root, (const char *const[]){item->name}, 1);
}

static mr_status compile_item(folding *f, uint32_t index)
{
    const mr_fold_item *item = &f->items[index];
    mr_expr_scope scope = *f->scope;
    mr_compile c;
    const mr_expr *made = NULL;

    scope.place = item->place;
    scope.literal_block = item->literal_block;
    scope.indent = item->indent;
    if (mr_compile_begin(&c, &scope, item->text[0] != '\0' ? item->text : item->name, f->diag)) {
        c.aggregates = true;
        c.by = f->by;
        if (parse_item(&c, item) && mr_check(&c) &&
            (c.root->type.type != MR_TYPE_UNKNOWN || mr_convert_kind(&c, &c.root, MR_TEXT)) &&
            regroup(f, &c)) {
            made = mr_program_make(&c, c.root, f->arena);
        }
    }
    mr_compile_end(&c);
    if (made == NULL) {
        MR_ASSERT(c.status != MR_OK);
        return c.status;
    }
    f->fold->results[index] = made;
    f->fold->fallible |= made->fallible;
    f->fold->what = f->fold->what != NULL ? f->fold->what : made->what;
    return MR_OK;
}

/* ---- Schemas ---- */

static mr_field field_of(const char *name, mr_value_type type, bool nullable)
{
    return (mr_field){.name = name,
                      .type = (mr_type)type.type,
                      .precision = type.precision,
                      .scale = type.scale,
                      .nullable = nullable};
}

/* The result that is this by-column, or MR_FIELDS_MAX. */
static uint32_t result_of(const mr_fold *fold, uint32_t by)
{
    for (uint32_t i = 0; i < fold->result_count; i++) {
        if (fold->results[i]->is_column && fold->results[i]->column == by) {
            return i;
        }
    }
    return MR_FIELDS_MAX;
}

static mr_status name_identity(folding *f, mr_schema *output)
{
    const mr_schema *input = f->scope->schema;
    const mr_fold *fold = f->fold;

    for (uint32_t k = 0; k < fold->by_count; k++) {
        const uint32_t at = result_of(fold, k);
        if (at == MR_FIELDS_MAX) {
            const char *name = input->fields[fold->by[k]].name;
            const mr_status status =
                mr_diag_set(f->diag, MR_ERR_CONFIG, 310,
                            "\"select\" leaves out \"%s\", by which the rows are grouped\nhint: "
                            "add `%s:` to it; a result must say which group it is of",
                            name, name);
            if (f->diag != NULL) {
                f->diag->place = f->scope->place;
            }
            return status;
        }
        output->identity[output->identity_count++] = (uint16_t)at;
    }
    for (uint32_t i = 0; i < input->key_count; i++) {
        for (uint32_t k = 0; k < fold->by_count; k++) {
            if (fold->by[k] == input->key[i]) {
                output->key[output->key_count++] = output->identity[k];
                break;
            }
        }
    }
    if (output->key_count != input->key_count) {
        output->key_count = 0; /* A key column is not grouped by: the operator refuses that. */
    }
    return MR_OK;
}

static mr_status make_schemas(folding *f)
{
    static const char *const names[] = {"count", "count", "sum", "min", "max", "avg"};
    mr_fold *fold = f->fold;
    const mr_schema *input = f->scope->schema;
    mr_field group[MR_KEY_FIELDS_MAX + MR_FOLD_AGGREGATES_MAX];
    mr_field *output = mr_arena_take_array(f->arena, (size_t)f->item_count + 1, sizeof(mr_field));

    if (output == NULL) {
        return mr_diag_set(f->diag, MR_ERR_MEMORY, 0, "no memory for a fold");
    }
    for (uint32_t k = 0; k < fold->by_count; k++) {
        group[k] = input->fields[fold->by[k]];
        group[k].hidden = false;
    }
    for (uint32_t i = 0; i < fold->aggregate_count; i++) {
        const mr_fold_aggregate *a = &fold->aggregates[i];
        const bool nullable = a->kind != MR_COUNT && a->kind != MR_COUNT_ROWS;
        const char *name = mr_arena_print(f->arena, "%s_%u", names[a->kind], i + 1);
        if (name == NULL) {
            return mr_diag_set(f->diag, MR_ERR_MEMORY, 0, "no memory for a fold");
        }
        group[fold->by_count + i] = field_of(name, a->result, nullable);
    }
    for (uint32_t i = 0; i < f->item_count; i++) {
        output[i] = fold->results[i]->result;
        output[i].name = f->items[i].name;
    }
    mr_schema out = {.fields = output, .field_count = f->item_count, .mode = MR_UPSERT};
    const mr_status status = name_identity(f, &out);
    if (status != MR_OK) {
        return status;
    }
    const mr_schema keys = {.fields = group, .field_count = fold->by_count};
    const mr_schema values = {.fields = group + fold->by_count,
                              .field_count = fold->aggregate_count};
    const mr_schema both = {.fields = group, .field_count = fold->by_count + fold->aggregate_count};
    fold->output = mr_schema_copy(f->arena, &out);
    fold->key = mr_schema_copy(f->arena, &keys);
    fold->value = mr_schema_copy(f->arena, &values);
    fold->group = mr_schema_copy(f->arena, &both);
    if (fold->output == NULL || fold->key == NULL || fold->value == NULL || fold->group == NULL) {
        return mr_diag_set(f->diag, MR_ERR_MEMORY, 0, "no memory for a fold");
    }
    fold->layout = f->arguments_hash ^ MR_FOLD_LAYOUT_VERSION;
    for (uint32_t i = 0; i < fold->by_count; i++) {
        const uint16_t part[] = {fold->by_count > 0 ? (uint16_t)group[i].type : 0,
                                 group[i].precision, group[i].scale};
        hash_more(&fold->layout, part, sizeof(part));
        hash_text(&fold->layout, group[i].name);
    }
    return MR_OK;
}
