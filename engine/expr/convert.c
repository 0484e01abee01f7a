/*
 * convert.c - conversions between types: which casts exist, when they can fail, and where implicit
 * ones are put into the tree; and the folding of constants.
 */
#include "engine/base/decimal.h"
#include "engine/expr/expr_private.h"
#include <millrace/plan.h>
#include <string.h>

enum { BIGINT_DIGITS = 19, FOLD_SCRATCH_BYTES = 4 * MR_EXPR_TEXT_MAX, FOLD_ARENA_BYTES = 8 << 20 };

typedef struct cast_rule {
    uint8_t from, to;
    mr_step_run run;
    const char *what; /* Not NULL: class data. */
} cast_rule;

static const cast_rule cast_rules[] = {
    {MR_BIGINT, MR_NUMERIC, mr_run_cast_integer_numeric, NULL},
    {MR_BIGINT, MR_DOUBLE, mr_run_cast_integer_double, NULL},
    {MR_NUMERIC, MR_BIGINT, mr_run_cast_numeric_integer, NULL},
    {MR_NUMERIC, MR_NUMERIC, mr_run_cast_numeric_numeric, NULL},
    {MR_NUMERIC, MR_DOUBLE, mr_run_cast_numeric_double, NULL},
    {MR_DOUBLE, MR_BIGINT, mr_run_cast_double_integer, NULL},
    {MR_DOUBLE, MR_NUMERIC, mr_run_cast_double_numeric, NULL},
    {MR_BOOLEAN, MR_TEXT, mr_run_cast_to_text, NULL},
    {MR_BIGINT, MR_TEXT, mr_run_cast_to_text, NULL},
    {MR_NUMERIC, MR_TEXT, mr_run_cast_to_text, NULL},
    {MR_DOUBLE, MR_TEXT, mr_run_cast_to_text, NULL},
    {MR_TIMESTAMPTZ, MR_TEXT, mr_run_cast_to_text, NULL},
    {MR_DATE, MR_TEXT, mr_run_cast_to_text, NULL},
    {MR_DATE, MR_TIMESTAMPTZ, mr_run_cast_date_time, NULL},
    {MR_TIMESTAMPTZ, MR_DATE, mr_run_cast_time_date, NULL},
    {MR_INTERVAL, MR_TEXT, mr_run_cast_to_text, NULL},
    {MR_TEXT, MR_INTERVAL, mr_run_cast_from_text, "cast text -> interval"},
    {MR_BYTEA, MR_TEXT, mr_run_cast_bytes_text, NULL},
    {MR_TEXT, MR_BYTEA, mr_run_cast_text_bytes, "cast text -> bytea"},
    {MR_TEXT, MR_DATE, mr_run_cast_from_text, "cast text -> date"},
    {MR_JSONB, MR_TEXT, mr_run_cast_to_text, NULL},
    {MR_TEXT, MR_BOOLEAN, mr_run_cast_from_text, "cast text -> boolean"},
    {MR_TEXT, MR_BIGINT, mr_run_cast_from_text, "cast text -> bigint"},
    {MR_TEXT, MR_NUMERIC, mr_run_cast_from_text, "cast text -> numeric"},
    {MR_TEXT, MR_DOUBLE, mr_run_cast_from_text, "cast text -> double precision"},
    {MR_TEXT, MR_TIMESTAMPTZ, mr_run_cast_from_text, "cast text -> timestamptz"},
    {MR_TEXT, MR_JSONB, mr_run_cast_text_json, "cast text -> jsonb"},
    {MR_JSONB, MR_BOOLEAN, mr_run_cast_json, "cast jsonb -> boolean"},
    {MR_JSONB, MR_BIGINT, mr_run_cast_json, "cast jsonb -> bigint"},
    {MR_JSONB, MR_NUMERIC, mr_run_cast_json, "cast jsonb -> numeric"},
    {MR_JSONB, MR_DOUBLE, mr_run_cast_json, "cast jsonb -> double precision"},
};

static const cast_rule *rule_of(uint16_t from, uint16_t to)
{
    for (size_t i = 0; i < MR_LENGTH(cast_rules); i++) {
        if (cast_rules[i].from == from && cast_rules[i].to == to) {
            return &cast_rules[i];
        }
    }
    return NULL;
}

/* Whether a number can be too large for the target. */
static const char *narrows(mr_value_type from, mr_value_type to)
{
    if (from.type == MR_DOUBLE && (to.type == MR_BIGINT || to.type == MR_NUMERIC)) {
        return to.type == MR_BIGINT ? "cast double -> bigint" : "cast double -> numeric";
    }
    if (from.type == MR_BIGINT && to.type == MR_NUMERIC) {
        return to.precision - to.scale < BIGINT_DIGITS ? "cast bigint -> numeric" : NULL;
    }
    if (from.type != MR_NUMERIC) {
        return NULL;
    }
    /* Rounding can carry into one more digit. */
    const int carry = from.scale > to.scale ? 1 : 0;
    const int digits = from.precision - from.scale + carry;
    if (to.type == MR_BIGINT) {
        return from.precision - from.scale + (from.scale > 0 ? 1 : 0) >= BIGINT_DIGITS
                   ? "cast numeric -> bigint"
                   : NULL;
    }
    return to.type == MR_NUMERIC && digits > to.precision - to.scale ? "cast numeric -> numeric"
                                                                     : NULL;
}

mr_step_run mr_cast_run(mr_value_type from, mr_value_type to)
{
    const cast_rule *rule = rule_of(from.type, to.type);

    if (rule == NULL || mr_types_equal(from, to)) {
        return NULL;
    }
    return rule->run;
}

bool mr_cast_check(mr_compile *c, mr_node *node)
{
    const mr_node *kid = node->kids[0];
    const cast_rule *rule = rule_of(kid->type.type, node->type.type);
    char from[MR_TYPE_TEXT_MAX], to[MR_TYPE_TEXT_MAX];

    node->is_typed = true;
    node->nullable = kid->nullable;
    node->fallible = kid->fallible;
    node->what = kid->what;
    if (mr_types_equal(kid->type, node->type)) {
        return mr_constant_fold(c, node);
    }
    if (rule == NULL) {
        const bool through_text =
            rule_of(kid->type.type, MR_TEXT) != NULL && rule_of(MR_TEXT, node->type.type) != NULL;
        (void)mr_value_type_text(node->type, to);
        return mr_compile_error(c, node->location, 304, "no cast from %s to %s%s%s",
                                mr_value_type_text(kid->type, from), to,
                                through_text ? "\nhint: through text: x::text::" : "",
                                through_text ? to : "");
    }
    const char *range = narrows(kid->type, node->type);
    if (rule->what != NULL) {
        node->what = (node->fallible & MR_FALLIBLE_DATA) != 0 ? node->what : rule->what;
        node->fallible |= MR_FALLIBLE_DATA | MR_FALLIBLE_RANGE;
    } else if (range != NULL) {
        node->what = node->fallible != 0 ? node->what : range;
        node->fallible |= MR_FALLIBLE_RANGE;
    }
    return mr_constant_fold(c, node);
}

/* A CAST in front of *slot. */
static bool insert_cast(mr_compile *c, mr_node **slot, mr_value_type wanted)
{
    mr_node *cast = mr_node_new(c, MR_NODE_CAST, (*slot)->location, 1);

    if (cast == NULL) {
        return false;
    }
    cast->type = wanted;
    cast->kids[0] = *slot;
    *slot = cast;
    return mr_cast_check(c, cast);
}

static bool no_conversion(mr_compile *c, const mr_node *node, mr_value_type wanted)
{
    char from[MR_TYPE_TEXT_MAX], to[MR_TYPE_TEXT_MAX];
    const bool has_cast = rule_of(node->type.type, wanted.type) != NULL;

    (void)mr_value_type_text(wanted, to);
    return mr_compile_error(c, node->location, 304, "this is %s, needed is %s%s%s",
                            mr_value_type_text(node->type, from), to,
                            has_cast ? "\nhint: write a cast: x::" : "", has_cast ? to : "");
}

bool mr_convert_slot(mr_compile *c, mr_node **slot, mr_value_type wanted)
{
    mr_node *node = *slot;

    MR_ASSERT(wanted.type != MR_TYPE_UNKNOWN);
    if (node->type.type == MR_TYPE_UNKNOWN) {
        if (node->value.is_null) {
            node->type = wanted;
            node->nullable = true;
            return true;
        }
        node->type = (mr_value_type){.type = MR_TEXT};
        if (wanted.type == MR_TEXT) {
            return true;
        }
        return rule_of(MR_TEXT, wanted.type) != NULL ? insert_cast(c, slot, wanted)
                                                     : no_conversion(c, node, wanted);
    }
    if (mr_types_equal(node->type, wanted)) {
        return true;
    }
    if (!mr_type_converts(node->type, (mr_type)wanted.type)) {
        return no_conversion(c, node, wanted);
    }
    if (node->type.type == MR_NUMERIC && wanted.type == MR_NUMERIC &&
        node->type.scale == wanted.scale && node->type.precision <= wanted.precision) {
        return true;
    }
    return insert_cast(c, slot, wanted);
}

bool mr_convert_kind(mr_compile *c, mr_node **slot, mr_type wanted)
{
    mr_node *node = *slot;
    mr_value_type type = {.type = (uint16_t)wanted};

    if (wanted != MR_NUMERIC) {
        return mr_convert_slot(c, slot, type);
    }
    if (node->type.type == MR_BIGINT && node->kind == MR_NODE_CONST && !node->value.is_null) {
        /* A literal has its own digits. */
        const mr_int128 value = node->value.as.integer;
        uint8_t digits = 1;
        while (!mr_decimal_fits(value, digits)) {
            digits++;
        }
        node->value.as.numeric = value;
        node->type = (mr_value_type){MR_NUMERIC, digits, 0};
        return true;
    }
    if (node->type.type == MR_BIGINT) {
        return mr_convert_slot(c, slot, mr_type_as_numeric(node->type));
    }
    if (node->type.type == MR_TYPE_UNKNOWN && !node->value.is_null) {
        mr_value value = {0};
        if (!mr_type_literal((const char *)node->value.as.view.bytes, &value, &type)) {
            return mr_compile_error(c, node->location, 304, "'%.40s' is not a number",
                                    (const char *)node->value.as.view.bytes);
        }
        node->type = type;
        node->value = value;
        return mr_convert_kind(c, slot, MR_NUMERIC);
    }
    type = node->type.type == MR_NUMERIC ? node->type : (mr_value_type){MR_NUMERIC, 1, 0};
    return mr_convert_slot(c, slot, type);
}

/* ---- Constants ---- */

static bool foldable(const mr_node *node)
{
    if (node->kid_count == 0 || node->kind == MR_NODE_LET || node->kind == MR_NODE_AGGREGATE) {
        return false;
    }
    for (uint32_t i = 0; i < node->kid_count; i++) {
        if (node->kids[i]->kind != MR_NODE_CONST) {
            return false;
        }
    }
    return true;
}

static bool value_of_cell(mr_compile *c, const mr_column *column, mr_type type, mr_value *value)
{
    value->is_null = !mr_column_valid(column, 0);
    if (value->is_null) {
        return true;
    }
    switch (type) {
    case MR_BOOLEAN:
        value->as.boolean = column->as.booleans[0];
        return true;
    case MR_BIGINT:
    case MR_TIMESTAMPTZ:
        value->as.integer = column->as.integers[0];
        return true;
    case MR_DATE:
        value->as.integer = column->as.dates[0];
        return true;
    case MR_DOUBLE:
        value->as.real = column->as.doubles[0];
        return true;
    case MR_NUMERIC:
        value->as.numeric = column->as.numerics[0];
        return true;
    case MR_INTERVAL:
        value->as.interval = column->as.intervals[0];
        return true;
    default: {
        const mr_view view = column->as.views[0];
        value->as.view.bytes =
            (const uint8_t *)mr_arena_copy(c->work, (const char *)view.bytes, view.size_bytes);
        value->as.view.size_bytes = view.size_bytes;
        return value->as.view.bytes != NULL || mr_compile_no_memory(c);
    }
    }
}

/* Runs the node's program over one row without columns. */
static bool evaluate(mr_compile *c, mr_node *node, mr_arena *arena, mr_value *value)
{
    const int64_t event_time = 0;
    const mr_batch row = {.event_time_us = &event_time, .row_count = 1, .selected_count = 1};
    mr_arena *work = c->work;

    c->work = arena; /* What the making needs goes with the fold. */
    const mr_expr *expr = mr_program_make(c, node, arena);
    c->work = work;
    if (expr == NULL) {
        return false;
    }
    mr_eval *eval = mr_eval_create_sized(arena, &expr, 1, FOLD_SCRATCH_BYTES, 64);
    if (eval == NULL) {
        return mr_compile_no_memory(c);
    }
    if (mr_eval_run(eval, &row) != MR_OK) {
        return mr_compile_no_memory(c);
    }
    const mr_row_error *errors = mr_eval_errors(eval);
    if (errors != NULL && errors[0] != MR_ROW_OK) {
        return mr_compile_error(c, node->location, 308, "this constant part always fails: %s (%s)",
                                mr_row_error_text(errors[0]), mr_row_error_name(errors[0]));
    }
    return value_of_cell(c, mr_eval_column(eval, 0), (mr_type)node->type.type, value);
}

bool mr_constant_fold(mr_compile *c, mr_node *node)
{
    mr_value value = {0};

    if (!foldable(node)) {
        return true;
    }
    mr_arena *arena = mr_arena_create(mr_memory_system(), FOLD_ARENA_BYTES, "a constant");
    if (arena == NULL) {
        return mr_compile_no_memory(c);
    }
    const bool good = evaluate(c, node, arena, &value);
    mr_arena_destroy(arena);
    if (!good) {
        return false;
    }
    node->kind = MR_NODE_CONST;
    node->kid_count = 0;
    node->value = value;
    node->fallible = 0;
    node->what = NULL;
    node->nullable = value.is_null;
    node->reg = MR_NO_REGISTER;
    return true;
}
