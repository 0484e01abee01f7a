/*
 * expr.c - the front door's functions about a compiled expression.
 */
#include "engine/base/decimal.h"
#include "engine/expr/expr_private.h"
#include <millrace/plan.h>
#include <string.h>

bool mr_compile_begin(mr_compile *c, const mr_expr_scope *scope, const char *text, mr_diag *diag)
{
    *c = (mr_compile){.scope = scope, .text = text, .diag = diag};
    c->work = mr_arena_create(mr_memory_system(), MR_EXPR_WORK_BYTES_MAX, "an expression");
    return c->work != NULL || mr_compile_no_memory(c);
}

void mr_compile_end(mr_compile *c)
{
    mr_arena_destroy(c->work);
    c->work = NULL;
}

/* An unsettled literal at the top is text; its text is kept for mr_expr_convert(). */
static bool settle_root(mr_compile *c, mr_view *literal)
{
    if (c->root->type.type != MR_TYPE_UNKNOWN) {
        return true;
    }
    if (!c->root->value.is_null) {
        *literal = c->root->value.as.view;
    }
    return mr_convert_kind(c, &c->root, MR_TEXT);
}

mr_status mr_expr_compile(const mr_expr_scope *scope, const char *text, mr_arena *arena,
                          const mr_expr **expr, mr_diag *diag)
{
    mr_compile c;
    mr_view literal = {0};
    mr_expr *made = NULL;

    MR_ASSERT(scope != NULL && scope->schema != NULL && text != NULL && expr != NULL);
    *expr = NULL;
    if (mr_compile_begin(&c, scope, text, diag) && mr_parse(&c) && mr_check(&c)) {
        const bool was_unknown = c.root->type.type == MR_TYPE_UNKNOWN;
        if (settle_root(&c, &literal)) {
            made = mr_program_make(&c, c.root, arena);
        }
        if (made != NULL) {
            made->is_literal = was_unknown;
            made->place = scope->place;
            made->result.name = made->is_column ? scope->schema->fields[made->column].name : NULL;
            if (literal.bytes != NULL) {
                made->literal.bytes = (const uint8_t *)mr_arena_copy(
                    arena, (const char *)literal.bytes, literal.size_bytes);
                made->literal.size_bytes = literal.size_bytes;
            }
        }
    }
    mr_compile_end(&c);
    MR_ASSERT(made != NULL || c.status != MR_OK);
    *expr = made;
    return made != NULL ? MR_OK : c.status;
}

const mr_field *mr_expr_result(const mr_expr *expr)
{
    return &expr->result;
}

uint32_t mr_expr_fallible(const mr_expr *expr, const char **what)
{
    if (what != NULL) {
        *what = expr->what;
    }
    return expr->fallible;
}

void mr_expr_columns(const mr_expr *expr, bool *needed)
{
    for (uint32_t i = 0; i < expr->column_count; i++) {
        needed[expr->columns[i]] = true;
    }
}

bool mr_expr_is_column(const mr_expr *expr, uint32_t *column)
{
    if (expr->is_column && column != NULL) {
        *column = expr->column;
    }
    return expr->is_column;
}

static mr_status not_convertible(const mr_expr *expr, const mr_field *wanted, mr_diag *diag)
{
    char from[MR_TYPE_TEXT_MAX], to[MR_TYPE_TEXT_MAX];
    const mr_status status = mr_diag_set(
        diag, MR_ERR_CONFIG, 304, "this is %s, needed is %s\nhint: write a cast: (...)::%s",
        mr_type_text(&expr->result, from), mr_type_text(wanted, to), to);

    if (diag != NULL) {
        diag->place = expr->place;
    }
    return status;
}

/* A quoted literal of the wanted type: a tree of its own, folded into a constant. */
static mr_status convert_literal(const mr_expr *expr, const mr_field *wanted, mr_arena *arena,
                                 const mr_expr **converted, mr_diag *diag)
{
    const mr_schema none = {0};
    const mr_expr_scope scope = {.schema = &none, .place = expr->place};
    mr_compile c;
    mr_expr *made = NULL;

    if (mr_compile_begin(&c, &scope, "", diag)) {
        mr_node *node = mr_node_new(&c, MR_NODE_CONST, 0, 0);
        if (node != NULL) {
            node->type.type = MR_TYPE_UNKNOWN;
            node->value.is_null = expr->literal.bytes == NULL;
            node->value.as.view = expr->literal;
            c.root = node;
            if (mr_convert_slot(
                    &c, &c.root,
                    (mr_value_type){(uint16_t)wanted->type, wanted->precision, wanted->scale})) {
                made = mr_program_make(&c, c.root, arena);
            }
        }
    }
    mr_compile_end(&c);
    if (made != NULL) {
        made->place = expr->place;
    }
    *converted = made;
    return made != NULL ? MR_OK : c.status;
}

/* The same program with one more step: a number becomes a wider one. */
static mr_expr *append_cast(const mr_expr *expr, mr_value_type from, mr_value_type to,
                            mr_arena *arena)
{
    mr_expr *made = mr_arena_take(arena, sizeof(*made));
    mr_program_step *steps =
        mr_arena_take_array(arena, expr->step_count + 1, sizeof(mr_program_step));
    mr_register_plan *registers =
        mr_arena_take_array(arena, expr->register_count + 1, sizeof(mr_register_plan));
    const uint32_t width = mr_width_class((mr_type)to.type);

    if (made == NULL || steps == NULL || registers == NULL) {
        return NULL;
    }
    *made = *expr;
    if (expr->step_count > 0) {
        memcpy(steps, expr->steps, expr->step_count * sizeof(*steps));
    }
    memcpy(registers, expr->registers, expr->register_count * sizeof(*registers));
    steps[expr->step_count] = (mr_program_step){.run = mr_cast_run(from, to),
                                                .dst = (uint16_t)expr->register_count,
                                                .a = expr->result_register,
                                                .b = expr->result_register,
                                                .operation = (uint8_t)from.type,
                                                .scale_a = from.scale,
                                                .scale = to.scale,
                                                .precision = to.precision};
    registers[expr->register_count] =
        (mr_register_plan){.kind = MR_REGISTER_TEMP,
                           .type = (uint8_t)to.type,
                           .index = (uint16_t)made->temp_counts[width]++};
    made->steps = steps;
    made->registers = registers;
    made->step_count++;
    made->result_register = (uint16_t)made->register_count++;
    made->is_column = false;
    made->result = (mr_field){.type = (mr_type)to.type,
                              .precision = to.precision,
                              .scale = to.scale,
                              .nullable = expr->result.nullable};
    if (to.type == MR_NUMERIC && made->fallible == 0) {
        made->fallible = MR_FALLIBLE_RANGE;
        made->what = "conversion to numeric";
    }
    return made;
}

mr_status mr_expr_convert(const mr_expr *expr, const mr_field *wanted, mr_arena *arena,
                          const mr_expr **converted, mr_diag *diag)
{
    const mr_value_type from = {(uint16_t)expr->result.type, expr->result.precision,
                                expr->result.scale};
    const mr_value_type to = {(uint16_t)wanted->type, wanted->precision, wanted->scale};

    MR_ASSERT(converted != NULL);
    *converted = expr;
    if (mr_types_equal(from, to)) {
        return MR_OK;
    }
    if (expr->is_literal) {
        return convert_literal(expr, wanted, arena, converted, diag);
    }
    const bool loses =
        from.type == MR_NUMERIC && to.type == MR_NUMERIC &&
        (from.scale > to.scale || from.precision - from.scale > to.precision - to.scale);
    if (!mr_type_converts(from, wanted->type) || loses) {
        *converted = NULL;
        return not_convertible(expr, wanted, diag);
    }
    *converted = append_cast(expr, from, to, arena);
    return *converted != NULL ? MR_OK : mr_diag_set(diag, MR_ERR_MEMORY, 0, "no memory");
}

uint32_t mr_expr_headers(const char *text, mr_arena *arena, const char **names, uint32_t count_max)
{
    const mr_schema none = {0};
    const mr_expr_scope scope = {.schema = &none};
    mr_diag diag = {0};
    mr_compile c;
    uint32_t count = 0;

    if (!mr_compile_begin(&c, &scope, text, &diag)) {
        return 0;
    }
    c.collects = true;
    c.aggregates = true;
    c.headers = mr_arena_take_array(c.work, (size_t)count_max + 1, sizeof(char *));
    c.header_count_max = c.headers == NULL ? 0 : count_max;
    if (mr_parse(&c)) {
        for (uint32_t i = 0; i < c.header_count; i++) {
            names[count] = mr_arena_copy(arena, c.headers[i], strlen(c.headers[i]));
            count += names[count] != NULL ? 1 : 0;
        }
    }
    mr_compile_end(&c);
    return count;
}
