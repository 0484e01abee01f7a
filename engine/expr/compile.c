/*
 * compile.c - from a checked tree to a flat program of steps over registers and masks.
 *
 * A register is a column; a mask is a set of rows. Every step acts upon the rows of its mask, which
 * is how "a part that is not needed cannot fail" works on columns: the branches of CASE, the
 * further parts of AND, OR and COALESCE run under the mask of the rows that still need them. Mask 0
 * is the selection of the batch. Temporary registers are used again as soon as they were read; the
 * tree is walked with an explicit stack.
 */
#include "engine/base/json.h"
#include "engine/expr/expr_private.h"
#include <string.h>

typedef struct level { /* A node being compiled. */
    mr_node *node;
    uint32_t stage;     /* Kids done. */
    uint16_t mask;      /* Rows that need the node. */
    uint16_t rest, hit; /* CASE, COALESCE: rows without a result yet; rows of the open branch. */
    uint16_t result;    /* Register so far. */
} level;

typedef struct emitter {
    mr_compile *c;
    mr_arena *arena; /* Of the result. */
    mr_program_step *steps;
    mr_register_plan *registers;
    uint32_t step_count, step_room, register_count, register_room, mask_count;
    uint32_t temp_counts[MR_WIDTH_CLASSES];
    uint16_t *free_temps; /* Registers not in use now, with their types. */
    uint32_t free_count, free_room;
    level levels[MR_EXPR_LEVELS_MAX];
    uint32_t level_count;
    bool failed;
} emitter;

static void walk(emitter *e, mr_node *root);
static void advance(emitter *e, level *at);
static void finish_node(emitter *e, const level *at);
static mr_expr *make_expr(emitter *e, const mr_node *root);

uint32_t mr_width_class(mr_type type)
{
    const uint32_t bytes = mr_type_cell_bytes(type);
    return bytes == 1 ? 0 : bytes == 16 ? 2 : 1;
}

mr_expr *mr_program_make(mr_compile *c, mr_node *root, mr_arena *arena)
{
    emitter *e = mr_arena_take(c->work, sizeof(emitter));

    MR_ASSERT(root->type.type != MR_TYPE_UNKNOWN);
    if (e == NULL) {
        (void)mr_compile_no_memory(c);
        return NULL;
    }
    e->c = c;
    e->arena = arena;
    e->mask_count = 1;
    walk(e, root);
    if (e->failed) {
        return NULL;
    }
    mr_expr *expr = make_expr(e, root);
    if (expr == NULL) {
        (void)mr_compile_no_memory(c);
    }
    return expr;
}

/* ---- Growing lists ---- */

static void out_of_memory(emitter *e)
{
    e->failed = true;
    (void)mr_compile_no_memory(e->c);
}

static void *grow(emitter *e, void *list, uint32_t count, uint32_t *room, size_t size_bytes)
{
    if (count < *room) {
        return list;
    }
    const uint32_t more = *room == 0 ? 16 : *room * 2;
    void *bigger = mr_arena_take_array(e->c->work, more, size_bytes);
    if (bigger == NULL) {
        out_of_memory(e);
        return NULL;
    }
    if (count > 0) {
        memcpy(bigger, list, count * size_bytes);
    }
    *room = more;
    return bigger;
}

static mr_program_step *emit(emitter *e, mr_step_run run, uint32_t dst, uint32_t a, uint32_t b,
                             uint16_t mask)
{
    if (e->step_count == MR_EXPR_STEPS_MAX && !e->failed) {
        e->failed = true;
        (void)mr_compile_error(e->c, 0, 301,
                               "the expression needs more than %d steps\nhint: split it over "
                               "several `map` steps",
                               MR_EXPR_STEPS_MAX);
    }
    mr_program_step *steps =
        e->failed ? NULL : grow(e, e->steps, e->step_count, &e->step_room, sizeof(mr_program_step));
    if (steps == NULL) {
        return NULL;
    }
    e->steps = steps;
    mr_program_step *step = &steps[e->step_count++];
    *step = (mr_program_step){
        .run = run, .dst = (uint16_t)dst, .a = (uint16_t)a, .b = (uint16_t)b, .mask = mask};
    return step;
}

static uint16_t new_mask(emitter *e)
{
    return (uint16_t)e->mask_count++;
}

static uint16_t add_register(emitter *e, mr_register_plan plan)
{
    mr_register_plan *registers =
        grow(e, e->registers, e->register_count, &e->register_room, sizeof(mr_register_plan));
    if (registers == NULL) {
        return 0;
    }
    e->registers = registers;
    registers[e->register_count] = plan;
    return (uint16_t)e->register_count++;
}

static uint16_t take_temp(emitter *e, uint16_t type)
{
    const uint32_t width = mr_width_class((mr_type)type);

    for (uint32_t i = 0; i < e->free_count; i++) {
        const uint16_t reg = e->free_temps[i];
        if (e->registers[reg].type == type) {
            e->free_temps[i] = e->free_temps[--e->free_count];
            return reg;
        }
    }
    return add_register(e, (mr_register_plan){.kind = MR_REGISTER_TEMP,
                                              .type = (uint8_t)type,
                                              .index = (uint16_t)e->temp_counts[width]++});
}

static void give_temp(emitter *e, uint16_t reg)
{
    uint16_t *list = grow(e, e->free_temps, e->free_count, &e->free_room, sizeof(uint16_t));
    if (list != NULL) {
        e->free_temps = list;
        list[e->free_count++] = reg;
    }
}

/* The node's result was read for the last time. A REF's register belongs to its LET. */
static void release(emitter *e, const mr_node *node)
{
    while (node->kind == MR_NODE_CAST && mr_cast_run(node->kids[0]->type, node->type) == NULL) {
        node = node->kids[0]; /* A cast to the same type has its kid's register. */
    }
    if (node->kind != MR_NODE_REF && node->reg != MR_NO_REGISTER && !e->failed &&
        e->registers[node->reg].kind == MR_REGISTER_TEMP) {
        give_temp(e, node->reg);
    }
}

/* ---- The walk ---- */

static void descend(emitter *e, mr_node *node, uint16_t mask)
{
    if (e->level_count == MR_EXPR_LEVELS_MAX) {
        e->failed = true;
        (void)mr_compile_error(e->c, node->location, 301,
                               "the expression is nested too deeply\nhint: split it over several "
                               "`map` steps");
        return;
    }
    e->levels[e->level_count++] =
        (level){.node = node, .mask = mask, .rest = mask, .hit = mask, .result = MR_NO_REGISTER};
}

static void walk(emitter *e, mr_node *root)
{
    descend(e, root, 0);
    while (e->level_count > 0 && !e->failed) {
        level *at = &e->levels[e->level_count - 1];
        if (at->stage <= at->node->kid_count) {
            advance(e, at);
        } else {
            e->level_count--;
        }
    }
}

static uint16_t start_result(emitter *e, level *at)
{
    const uint16_t reg = take_temp(e, at->node->type.type);

    (void)emit(e, mr_run_clear, reg, 0, 0, at->mask);
    return reg;
}

/* Copies the kid's cells of `rows` into the result; `operation` is the size of a cell. */
static void emit_merge(emitter *e, const level *at, const mr_node *kid, uint16_t rows)
{
    mr_program_step *step = emit(e, mr_run_merge, at->result, kid->reg, 0, rows);

    if (step != NULL) {
        step->operation = (uint8_t)mr_type_cell_bytes((mr_type)at->node->type.type);
    }
}

/* CASE: before kid `stage`; the kid before it is done. */
static void advance_case(emitter *e, level *at)
{
    mr_node *node = at->node;
    const uint32_t done = at->stage++;
    const bool is_else = node->has_else && done + 1 == node->kid_count;

    if (done == 0) {
        at->result = start_result(e, at);
    } else {
        mr_node *kid = node->kids[done - 1];
        const bool was_else = node->has_else && done == node->kid_count;
        if (was_else || done % 2 == 0) { /* A result. */
            emit_merge(e, at, kid, was_else ? at->rest : at->hit);
        } else { /* A condition: split the rest. */
            const uint16_t hit = new_mask(e), rest = new_mask(e);
            (void)emit(e, mr_run_mask_true, hit, kid->reg, 0, at->rest);
            (void)emit(e, mr_run_mask_not_true, rest, kid->reg, 0, at->rest);
            at->hit = hit;
            at->rest = rest;
        }
        release(e, kid);
    }
    if (done == node->kid_count) {
        node->reg = at->result;
    } else {
        descend(e, node->kids[done], is_else || done % 2 == 0 ? at->rest : at->hit);
    }
}

static void advance_coalesce(emitter *e, level *at)
{
    mr_node *node = at->node;
    const uint32_t done = at->stage++;

    if (done == 0) {
        at->result = start_result(e, at);
    } else {
        mr_node *kid = node->kids[done - 1];
        if (done == node->kid_count) {
            emit_merge(e, at, kid, at->rest);
        } else {
            const uint16_t hit = new_mask(e), rest = new_mask(e);
            (void)emit(e, mr_run_mask_valid, hit, kid->reg, 0, at->rest);
            (void)emit(e, mr_run_mask_null, rest, kid->reg, 0, at->rest);
            emit_merge(e, at, kid, hit);
            at->rest = rest;
        }
        release(e, kid);
    }
    if (done == node->kid_count) {
        node->reg = at->result;
    } else {
        descend(e, node->kids[done], at->rest);
    }
}

/* AND, OR: kid after kid, each for the rows that are still open. GREATEST, LEAST: all of them. */
static void advance_chain(emitter *e, level *at)
{
    mr_node *node = at->node;
    const uint32_t done = at->stage++;
    const bool is_and = node->kind == MR_NODE_AND, is_extreme = node->kind == MR_NODE_EXTREME;

    if (done > 0) {
        mr_node *kid = node->kids[done - 1];
        if (done == 1) {
            at->result = kid->reg;
        } else {
            const uint16_t dst = take_temp(e, node->type.type);
            mr_program_step *step = emit(e,
                                         is_extreme ? mr_extreme_run((mr_type)node->type.type)
                                         : is_and   ? mr_run_and
                                                    : mr_run_or,
                                         dst, at->result, kid->reg, at->mask);
            if (step == NULL) {
                return;
            }
            step->operation = node->operation;
            release(e, kid);
            if (done == 2) {
                release(e, node->kids[0]);
            } else {
                give_temp(e, at->result);
            }
            at->result = dst;
        }
    }
    if (done == node->kid_count) {
        node->reg = at->result;
        return;
    }
    if (done > 0 && !is_extreme) {
        const uint16_t rest = new_mask(e);
        (void)emit(e, is_and ? mr_run_mask_not_false : mr_run_mask_not_true, rest, at->result, 0,
                   at->rest);
        at->rest = rest;
    }
    descend(e, node->kids[done], at->rest);
}

static void advance_try(emitter *e, level *at)
{
    mr_node *node = at->node;

    if (at->stage++ == 0) {
        at->rest = new_mask(e);
        (void)emit(e, mr_run_mask_live, at->rest, 0, 0, at->mask);
        descend(e, node->kids[0], at->rest);
        return;
    }
    node->reg = take_temp(e, node->type.type);
    mr_program_step *step = emit(e, mr_run_try_end, node->reg, node->kids[0]->reg, 0, at->rest);
    if (step != NULL) {
        step->operation = (uint8_t)mr_type_cell_bytes((mr_type)node->type.type);
    }
    release(e, node->kids[0]);
}

static void advance(emitter *e, level *at)
{
    switch (at->node->kind) {
    case MR_NODE_CASE:
        advance_case(e, at);
        return;
    case MR_NODE_COALESCE:
        advance_coalesce(e, at);
        return;
    case MR_NODE_AND:
    case MR_NODE_OR:
    case MR_NODE_EXTREME:
        advance_chain(e, at);
        return;
    case MR_NODE_TRY:
        advance_try(e, at);
        return;
    default:
        if (at->stage < at->node->kid_count && at->node->kind == MR_NODE_GET && at->stage == 1) {
            at->stage++; /* The key is part of the step. */
        }
        if (at->stage < at->node->kid_count) {
            descend(e, at->node->kids[at->stage++], at->mask);
        } else {
            at->stage++;
            finish_node(e, at);
        }
        return;
    }
}

/* ---- Nodes whose kids are all evaluated ---- */

static void emit_call(emitter *e, mr_node *node, mr_program_step *step)
{
    const mr_node *a = node->kids[0], *b = node->kids[node->kid_count - 1];

    step->scale_a = a->type.scale;
    step->scale_b = b->type.scale;
    step->scale = node->type.scale;
    step->precision = node->type.precision;
    const bool divides = step->run == mr_run_divide_integer || step->run == mr_run_modulo_integer;
    if (divides && b->kind == MR_NODE_CONST && !b->value.is_null) {
        step->extra = mr_divisor_make(e->arena, b->value.as.integer);
        if (step->extra != NULL) {
            step->run =
                step->run == mr_run_divide_integer ? mr_run_divide_fixed : mr_run_modulo_fixed;
        }
    }
}

static const void *json_key(emitter *e, const mr_node *node)
{
    const mr_node *given = node->kids[1];
    mr_json_key *key = mr_arena_take(e->arena, sizeof(*key));

    if (key == NULL) {
        out_of_memory(e);
        return NULL;
    }
    key->is_index = given->type.type == MR_BIGINT;
    if (given->value.is_null) {
        return key; /* The kernel sees neither: all NULL. */
    }
    if (key->is_index) {
        key->index = given->value.as.integer;
        return key;
    }
    const mr_view text = given->value.as.view;
    const uint32_t room = 6 * text.size_bytes + 2;
    uint8_t *quoted = mr_arena_take(e->arena, room);
    if (quoted == NULL) {
        out_of_memory(e);
        return NULL;
    }
    key->quoted = (mr_view){quoted, mr_json_quote(text.bytes, text.size_bytes, quoted, room)};
    return key;
}

static void emit_like(emitter *e, mr_node *node, mr_program_step *step)
{
    uint32_t *escape = mr_arena_take(e->arena, sizeof(*escape));

    if (escape == NULL) {
        out_of_memory(e);
        return;
    }
    *escape = (uint32_t)node->value.as.integer;
    step->extra = escape;
}

/* Whether the step makes a text of its own. */
static bool writes_view(const mr_node *node)
{
    const uint16_t type = node->type.type;

    if (type != MR_TEXT && type != MR_BYTEA && type != MR_JSONB) {
        return false;
    }
    return node->kind == MR_NODE_CALL || node->kind == MR_NODE_CAST ||
           node->kind == MR_NODE_CONCAT || (node->kind == MR_NODE_GET && node->operation != 0);
}

/* A node of one to three arguments that is one step. */
static void finish_step(emitter *e, const level *at, mr_step_run run)
{
    mr_node *node = at->node;
    const uint16_t dst = take_temp(e, node->type.type);
    const mr_node *a = node->kids[0];
    const bool one = node->kid_count == 1 || node->kind == MR_NODE_GET;
    const mr_node *b = one ? a : node->kids[1];
    mr_program_step *step = emit(e, run, dst, a->reg, b->reg, at->mask);

    if (step == NULL || e->failed) {
        return;
    }
    step->operation = node->operation;
    step->scale_a = a->type.scale;
    step->scale_b = b->type.scale;
    step->writes = writes_view(node);
    if (node->kid_count == MR_ARGUMENTS_MAX) {
        step->c = node->kids[2]->reg;
    }
    if (node->kind == MR_NODE_CALL) {
        emit_call(e, node, step);
    } else if (node->kind == MR_NODE_LIKE) {
        emit_like(e, node, step);
    } else if (node->kind == MR_NODE_GET) {
        step->extra = json_key(e, node);
    } else if (node->kind == MR_NODE_NULLIF) {
        step->scale = (uint8_t)mr_type_cell_bytes((mr_type)node->type.type);
    } else if (node->kind == MR_NODE_CAST) {
        /* From text and jsonb the target decides, else the source. */
        const bool from_text = a->type.type == MR_TEXT || a->type.type == MR_JSONB;
        step->operation =
            (uint8_t)(from_text && node->type.type != MR_TEXT ? node->type.type : a->type.type);
        step->scale = node->type.scale;
        step->precision = node->type.precision;
    }
    node->reg = dst;
    release(e, a);
    for (uint32_t i = 1; !one && i < node->kid_count; i++) {
        release(e, node->kids[i]);
    }
}

static void finish_leaf(emitter *e, mr_node *node)
{
    mr_register_plan plan = {.type = (uint8_t)node->type.type};

    if (node->kind == MR_NODE_REF) {
        node->reg = node->target->kids[0]->reg;
        return;
    }
    if (node->kind == MR_NODE_CONST) {
        plan.kind = MR_REGISTER_CONST;
        plan.value = node->value;
        const bool is_view = node->type.type == MR_TEXT || node->type.type == MR_BYTEA ||
                             node->type.type == MR_JSONB;
        if (is_view && !node->value.is_null) {
            const mr_view view = node->value.as.view;
            plan.value.as.view.bytes =
                (const uint8_t *)mr_arena_copy(e->arena, (const char *)view.bytes, view.size_bytes);
            if (plan.value.as.view.bytes == NULL) {
                out_of_memory(e);
            }
        }
    } else if (node->kind == MR_NODE_EVENT_TIME) {
        plan.kind = MR_REGISTER_EVENT_TIME;
    } else {
        plan.kind = MR_REGISTER_INPUT;
        plan.index = node->column;
        for (uint32_t i = 0; i < e->register_count; i++) {
            if (e->registers[i].kind == MR_REGISTER_INPUT &&
                e->registers[i].index == node->column) {
                node->reg = (uint16_t)i;
                return;
            }
        }
    }
    node->reg = add_register(e, plan);
}

static void finish_node(emitter *e, const level *at)
{
    mr_node *node = at->node;

    switch (node->kind) {
    case MR_NODE_COLUMN:
    case MR_NODE_EVENT_TIME:
    case MR_NODE_CONST:
    case MR_NODE_REF:
        finish_leaf(e, node);
        return;
    case MR_NODE_LET:
        node->reg = node->kids[1]->reg;
        release(e, node->kids[0]);
        return;
    case MR_NODE_CAST: {
        const mr_step_run run = mr_cast_run(node->kids[0]->type, node->type);
        if (run == NULL) {
            node->reg = node->kids[0]->reg;
        } else {
            finish_step(e, at, run);
        }
        return;
    }
    case MR_NODE_CALL:
        finish_step(e, at, node->function->run);
        return;
    case MR_NODE_COMPARE:
        finish_step(e, at, mr_compare_run((mr_type)node->kids[0]->type.type));
        return;
    case MR_NODE_NOT:
        finish_step(e, at, mr_run_not);
        return;
    case MR_NODE_NULLIF:
        finish_step(e, at, mr_run_nullif);
        return;
    case MR_NODE_TEST:
        finish_step(e, at, mr_run_test);
        return;
    case MR_NODE_LIKE:
        finish_step(e, at, mr_run_like);
        return;
    case MR_NODE_GET:
        finish_step(e, at, node->operation != 0 ? mr_run_get_text : mr_run_get);
        return;
    case MR_NODE_CONCAT:
        finish_step(e, at, mr_run_concat);
        return;
    default:
        MR_ASSERT(!"a node without a step");
    }
}

/* ---- The result ---- */

static void *keep(mr_arena *arena, const void *list, uint32_t count, size_t size_bytes)
{
    void *copy = mr_arena_take_array(arena, count + 1, size_bytes);

    if (copy != NULL && count > 0) {
        memcpy(copy, list, count * size_bytes);
    }
    return copy;
}

static mr_expr *make_expr(emitter *e, const mr_node *root)
{
    mr_expr *expr = mr_arena_take(e->arena, sizeof(*expr));
    uint16_t *columns = mr_arena_take_array(e->arena, e->register_count + 1, sizeof(uint16_t));

    MR_ASSERT(root->reg < e->register_count);
    if (expr == NULL || columns == NULL) {
        return NULL;
    }
    expr->steps = keep(e->arena, e->steps, e->step_count, sizeof(mr_program_step));
    expr->registers = keep(e->arena, e->registers, e->register_count, sizeof(mr_register_plan));
    if (expr->steps == NULL || expr->registers == NULL) {
        return NULL;
    }
    for (uint32_t i = 0; i < e->register_count; i++) {
        if (e->registers[i].kind == MR_REGISTER_INPUT) {
            columns[expr->column_count++] = e->registers[i].index;
        }
    }
    expr->columns = columns;
    expr->step_count = e->step_count;
    expr->register_count = e->register_count;
    expr->mask_count = e->mask_count;
    memcpy(expr->temp_counts, e->temp_counts, sizeof(expr->temp_counts));
    expr->result_register = root->reg;
    expr->result = (mr_field){.type = (mr_type)root->type.type,
                              .precision = root->type.precision,
                              .scale = root->type.scale,
                              .nullable = root->nullable};
    expr->fallible = root->fallible;
    expr->what = root->what;
    if (root->kind == MR_NODE_COLUMN) {
        expr->is_column = true;
        expr->column = root->column;
    }
    return expr;
}
