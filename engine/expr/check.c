/*
 * check.c - types for every node, in one pass from kids to parents and from left to right; implicit
 * conversions are put in, constants folded, and what can fail is noted (MR_FALLIBLE_ bits).
 */
#include "engine/base/utf8.h"
#include "engine/expr/expr_private.h"
#include <millrace/plan.h>
#include <string.h>

static bool check_node(mr_compile *c, mr_node *node);
static bool check_compare(mr_compile *c, mr_node *node);
static bool check_case(mr_compile *c, mr_node *node);
static bool check_like(mr_compile *c, mr_node *node);
static bool check_get(mr_compile *c, mr_node *node);
static bool check_concat(mr_compile *c, mr_node *node);
static bool check_aggregate(mr_compile *c, mr_node *node);

bool mr_check(mr_compile *c)
{
    MR_ASSERT(c->root != NULL);
    for (uint32_t i = c->node_count; i-- > 0;) {
        mr_node *node = c->nodes[i];
        if (!node->is_typed && !check_node(c, node)) {
            MR_ASSERT(c->status != MR_OK);
            return false;
        }
        node->is_typed = true;
    }
    return true;
}

static bool all_boolean(mr_compile *c, mr_node *node)
{
    for (uint32_t i = 0; i < node->kid_count; i++) {
        if (!mr_convert_kind(c, &node->kids[i], MR_BOOLEAN)) {
            return false;
        }
    }
    node->type.type = MR_BOOLEAN;
    mr_node_inherit(node);
    return true;
}

/*
 * Brings `count` kids to one type: every `stride`-th from `first`. Quoted literals take the type of
 * the others, numerics among them with their own digits.
 */
static bool unify(mr_compile *c, mr_node *node, const uint32_t *slots, uint32_t count,
                  mr_value_type *type)
{
    char a[MR_TYPE_TEXT_MAX], b[MR_TYPE_TEXT_MAX];
    mr_value_type common = {.type = MR_TYPE_UNKNOWN};

    for (uint32_t i = 0; i < count; i++) {
        const mr_value_type next = node->kids[slots[i]]->type, before = common;
        if (!mr_types_common(before, next, &common)) {
            return mr_compile_error(c, node->kids[slots[i]]->location, 304,
                                    "this is %s, the values before it are %s",
                                    mr_value_type_text(next, a), mr_value_type_text(before, b));
        }
    }
    if (common.type == MR_TYPE_UNKNOWN) {
        common.type = MR_TEXT;
    }
    for (uint32_t i = 0; common.type == MR_NUMERIC && i < count; i++) {
        mr_node **slot = &node->kids[slots[i]];
        if ((*slot)->type.type == MR_TYPE_UNKNOWN && !(*slot)->value.is_null) {
            if (!mr_convert_kind(c, slot, MR_NUMERIC) ||
                !mr_types_common(common, (*slot)->type, &common)) {
                return false;
            }
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!mr_convert_slot(c, &node->kids[slots[i]], common)) {
            return false;
        }
    }
    *type = common;
    return true;
}

static bool unify_all(mr_compile *c, mr_node *node)
{
    uint32_t *slots = mr_arena_take_array(c->work, node->kid_count + 1, sizeof(uint32_t));

    if (slots == NULL) {
        return mr_compile_no_memory(c);
    }
    for (uint32_t i = 0; i < node->kid_count; i++) {
        slots[i] = i;
    }
    return unify(c, node, slots, node->kid_count, &node->type);
}

static bool comparable(mr_compile *c, const mr_node *node, mr_value_type type)
{
    char text[MR_TYPE_TEXT_MAX];

    switch (type.type) {
    case MR_BOOLEAN:
    case MR_BIGINT:
    case MR_DOUBLE:
    case MR_NUMERIC:
    case MR_TEXT:
    case MR_BYTEA:
    case MR_TIMESTAMPTZ:
    case MR_DATE:
    case MR_INTERVAL:
        return true;
    case MR_JSONB:
        return mr_compile_error(c, node->location, 303,
                                "jsonb has no equality and no order\nhint: compare its text: "
                                "`x ->> 'key'`, or `x::text`");
    default:
        return mr_compile_error(c, node->location, 306, "comparing %s is not part of this release",
                                mr_value_type_text(type, text));
    }
}

static bool check_coalesce(mr_compile *c, mr_node *node)
{
    if (!unify_all(c, node)) {
        return false;
    }
    mr_node_inherit(node);
    node->nullable = true;
    for (uint32_t i = 0; i < node->kid_count; i++) {
        node->nullable = node->nullable && node->kids[i]->nullable;
    }
    return true;
}

static bool check_nullif(mr_compile *c, mr_node *node)
{
    /* As in PostgreSQL the result has the type under which the two were compared. */
    const mr_node *compare = node->kids[1];
    const mr_type wanted = compare->kind == MR_NODE_COMPARE ? (mr_type)compare->kids[0]->type.type
                           : node->kids[0]->type.type == MR_TYPE_UNKNOWN
                               ? MR_TEXT
                               : (mr_type)node->kids[0]->type.type;

    if (!mr_convert_kind(c, &node->kids[0], wanted)) {
        return false;
    }
    node->type = node->kids[0]->type;
    mr_node_inherit(node);
    node->nullable = true;
    return true;
}

static bool check_test(mr_compile *c, mr_node *node)
{
    const bool null_test = node->operation == MR_IS_NULL || node->operation == MR_IS_NOT_NULL;
    const mr_type wanted = null_test ? MR_TEXT : MR_BOOLEAN;

    if ((!null_test || node->kids[0]->type.type == MR_TYPE_UNKNOWN) &&
        !mr_convert_kind(c, &node->kids[0], wanted)) {
        return false;
    }
    mr_node_inherit(node);
    node->nullable = false;
    node->type.type = MR_BOOLEAN;
    return true;
}

static bool check_try(mr_compile *c, mr_node *node)
{
    if (node->kids[0]->type.type == MR_TYPE_UNKNOWN &&
        !mr_convert_kind(c, &node->kids[0], MR_TEXT)) {
        return false;
    }
    node->type = node->kids[0]->type;
    node->nullable = true;
    return true;
}

static bool check_cast(mr_compile *c, mr_node *node)
{
    mr_node *kid = node->kids[0];

    if (kid->type.type == MR_TYPE_UNKNOWN) {
        if (kid->value.is_null) {
            kid->type = node->type;
            kid->nullable = true;
        } else {
            kid->type.type = MR_TEXT;
        }
    }
    return mr_cast_check(c, node);
}

static bool check_let(mr_node *node)
{
    if (node->kind == MR_NODE_REF) {
        const mr_node *value = node->target->kids[0];
        node->type = value->type;
        node->nullable = value->nullable;
        return true;
    }
    mr_node_inherit(node);
    node->type = node->kids[1]->type;
    node->nullable = node->kids[1]->nullable;
    return true;
}

static bool check_node(mr_compile *c, mr_node *node)
{
    bool good = true;

    switch (node->kind) {
    case MR_NODE_CONST:
        node->nullable = node->value.is_null;
        return true;
    case MR_NODE_COLUMN:
    case MR_NODE_EVENT_TIME:
        return true;
    case MR_NODE_LET:
    case MR_NODE_REF:
        return check_let(node);
    case MR_NODE_AGGREGATE:
        return check_aggregate(c, node);
    case MR_NODE_CAST:
        return check_cast(c, node);
    case MR_NODE_CALL:
        good = mr_check_call(c, node);
        break;
    case MR_NODE_COMPARE:
        good = check_compare(c, node);
        break;
    case MR_NODE_AND:
    case MR_NODE_OR:
    case MR_NODE_NOT:
        good = all_boolean(c, node);
        break;
    case MR_NODE_CASE:
        good = check_case(c, node);
        break;
    case MR_NODE_COALESCE:
        good = check_coalesce(c, node);
        break;
    case MR_NODE_EXTREME:
        good = check_coalesce(c, node) && comparable(c, node, node->type);
        break;
    case MR_NODE_NULLIF:
        good = check_nullif(c, node);
        break;
    case MR_NODE_TEST:
        good = check_test(c, node);
        break;
    case MR_NODE_LIKE:
        good = check_like(c, node);
        break;
    case MR_NODE_TRY:
        good = check_try(c, node);
        break;
    case MR_NODE_GET:
        good = check_get(c, node);
        break;
    case MR_NODE_CONCAT:
        good = check_concat(c, node);
        break;
    }
    return good && mr_constant_fold(c, node);
}

static bool check_compare(mr_compile *c, mr_node *node)
{
    mr_value_type common = {0};
    char a[MR_TYPE_TEXT_MAX], b[MR_TYPE_TEXT_MAX];

    if (!mr_types_common(node->kids[0]->type, node->kids[1]->type, &common)) {
        return mr_compile_error(c, node->location, 303,
                                "%s and %s cannot be compared\nhint: write a cast, e.g. x::%s",
                                mr_value_type_text(node->kids[0]->type, a),
                                mr_value_type_text(node->kids[1]->type, b), a);
    }
    if (common.type == MR_TYPE_UNKNOWN) {
        common.type = MR_TEXT;
    }
    if (!comparable(c, node, common) || !mr_convert_kind(c, &node->kids[0], (mr_type)common.type) ||
        !mr_convert_kind(c, &node->kids[1], (mr_type)common.type)) {
        return false;
    }
    mr_node_inherit(node);
    node->type.type = MR_BOOLEAN;
    if (node->operation == MR_DISTINCT || node->operation == MR_NOT_DISTINCT) {
        node->nullable = false;
    }
    return true;
}

static bool check_case(mr_compile *c, mr_node *node)
{
    uint32_t *slots = mr_arena_take_array(c->work, node->kid_count + 1, sizeof(uint32_t));
    uint32_t count = 0;

    if (slots == NULL) {
        return mr_compile_no_memory(c);
    }
    for (uint32_t i = 0; i < node->kid_count; i++) {
        const bool is_else = node->has_else && i + 1 == node->kid_count;
        if (i % 2 == 1 || is_else) {
            slots[count++] = i;
        } else if (!mr_convert_kind(c, &node->kids[i], MR_BOOLEAN)) {
            return false;
        }
    }
    if (!unify(c, node, slots, count, &node->type)) {
        return false;
    }
    mr_node_inherit(node);
    node->nullable = !node->has_else;
    for (uint32_t i = 0; i < count; i++) {
        node->nullable = node->nullable || node->kids[slots[i]]->nullable;
    }
    return true;
}

static bool check_like(mr_compile *c, mr_node *node)
{
    uint32_t escape = '\\';

    for (uint32_t i = 0; i < node->kid_count; i++) {
        if (!mr_convert_kind(c, &node->kids[i], MR_TEXT)) {
            return false;
        }
    }
    if (node->kid_count == 3) {
        const mr_node *given = node->kids[2];
        const mr_view text = given->value.as.view;
        if (given->kind != MR_NODE_CONST || given->value.is_null) {
            return mr_compile_error(c, given->location, 304, "ESCAPE needs a constant text");
        }
        if (text.size_bytes > 0 &&
            (text.size_bytes > 4 || mr_utf8_length(text.bytes, text.size_bytes) != 1)) {
            return mr_compile_error(c, given->location, 308,
                                    "ESCAPE must be empty or one character (22025)");
        }
        escape = 0;
        if (text.size_bytes > 0) {
            (void)mr_utf8_decode(text.bytes, &escape);
        }
        node->kid_count = 2;
    }
    node->value.as.integer = escape;
    node->type.type = MR_BOOLEAN;
    mr_node_inherit(node);
    const mr_node *pattern = node->kids[1];
    if (pattern->kind != MR_NODE_CONST) {
        mr_node_can_fail(node, MR_FALLIBLE_DATA, "LIKE with a pattern that is not constant");
    } else if (!pattern->value.is_null && !mr_like_pattern_safe(pattern->value.as.view, escape)) {
        mr_node_can_fail(node, MR_FALLIBLE_DATA, "LIKE with an escape at the end of the pattern");
    }
    return true;
}

static bool check_get(mr_compile *c, mr_node *node)
{
    mr_node *key = node->kids[1];

    if (!mr_convert_kind(c, &node->kids[0], MR_JSONB)) {
        return false;
    }
    if (key->kind == MR_NODE_CONST && key->type.type == MR_TYPE_UNKNOWN) {
        if (!mr_convert_kind(c, &node->kids[1], MR_TEXT)) {
            return false;
        }
        key = node->kids[1];
    }
    if (key->kind != MR_NODE_CONST || (key->type.type != MR_TEXT && key->type.type != MR_BIGINT)) {
        return mr_compile_error(c, key->location, 304,
                                "the right side of %s is a constant key or index\nhint: "
                                "`x -> 'key'`, `x -> 0`",
                                node->operation != 0 ? "->>" : "->");
    }
    node->type.type = node->operation != 0 ? MR_TEXT : MR_JSONB;
    mr_node_inherit(node);
    node->nullable = true;
    return true;
}

/* bytea || bytea; a quoted literal beside it is one too. */
static bool check_concat_bytes(mr_compile *c, mr_node *node)
{
    if (!mr_convert_kind(c, &node->kids[0], MR_BYTEA) ||
        !mr_convert_kind(c, &node->kids[1], MR_BYTEA)) {
        return false;
    }
    node->type.type = MR_BYTEA;
    mr_node_inherit(node);
    mr_node_can_fail(node, MR_FALLIBLE_RANGE, "length of ||");
    return true;
}

static bool check_concat(mr_compile *c, mr_node *node)
{
    char a[MR_TYPE_TEXT_MAX], b[MR_TYPE_TEXT_MAX];
    bool has_text = false, has_other = false;

    if (node->kid_count == 2 &&
        (node->kids[0]->type.type == MR_BYTEA || node->kids[1]->type.type == MR_BYTEA)) {
        return check_concat_bytes(c, node);
    }

    for (uint32_t i = 0; i < node->kid_count; i++) {
        const uint16_t type = node->kids[i]->type.type;
        has_text = has_text || type == MR_TEXT;
        has_other = has_other || type == MR_JSONB || type == MR_BYTEA;
    }
    for (uint32_t i = 0; i < node->kid_count; i++) {
        has_text = has_text || (!has_other && node->kids[i]->type.type == MR_TYPE_UNKNOWN);
    }
    if (!has_text || node->kid_count != 2) {
        return mr_compile_error(c, node->location, 303,
                                "no operator || for %s and %s\nhint: one side must be text: "
                                "x::text || y",
                                mr_value_type_text(node->kids[0]->type, a),
                                mr_value_type_text(node->kids[node->kid_count - 1]->type, b));
    }
    for (uint32_t i = 0; i < 2; i++) {
        mr_node **slot = &node->kids[i];
        if ((*slot)->type.type == MR_TYPE_UNKNOWN || (*slot)->type.type == MR_TEXT) {
            if (!mr_convert_kind(c, slot, MR_TEXT)) {
                return false;
            }
            continue;
        }
        mr_node *cast = mr_node_new(c, MR_NODE_CAST, (*slot)->location, 1);
        if (cast == NULL) {
            return false;
        }
        cast->type.type = MR_TEXT;
        cast->kids[0] = *slot;
        *slot = cast;
        if (!mr_cast_check(c, cast)) {
            return false;
        }
    }
    node->type.type = MR_TEXT;
    mr_node_inherit(node);
    mr_node_can_fail(node, MR_FALLIBLE_RANGE, "length of ||");
    return true;
}

static bool check_aggregate(mr_compile *c, mr_node *node)
{
    char text[MR_TYPE_TEXT_MAX];
    const mr_aggregate aggregate = (mr_aggregate)node->operation;

    node->type.type = MR_BIGINT;
    if (aggregate == MR_COUNT_ROWS) {
        return true;
    }
    if (node->kids[0]->type.type == MR_TYPE_UNKNOWN &&
        !mr_convert_kind(c, &node->kids[0], MR_TEXT)) {
        return false;
    }
    const mr_value_type type = node->kids[0]->type;
    const bool is_number =
        type.type == MR_BIGINT || type.type == MR_NUMERIC || type.type == MR_DOUBLE;
    mr_node_inherit(node);
    if (aggregate == MR_COUNT) {
        node->nullable = false;
        return true;
    }
    node->nullable = true;
    if (!is_number && (aggregate == MR_SUM || aggregate == MR_AVG ||
                       (type.type != MR_TEXT && type.type != MR_TIMESTAMPTZ &&
                        type.type != MR_DATE && type.type != MR_INTERVAL))) {
        return mr_compile_error(c, node->location, 303, "no %s() for %s", node->name,
                                mr_value_type_text(type, text));
    }
    if (aggregate == MR_MIN || aggregate == MR_MAX || type.type == MR_DOUBLE) {
        node->type = type;
    } else {
        const uint8_t scale = type.type == MR_BIGINT ? 0 : type.scale;
        const uint8_t average = scale > 6 ? scale : 6;
        node->type = (mr_value_type){MR_NUMERIC, 38, aggregate == MR_AVG ? average : scale};
    }
    if (aggregate == MR_SUM || aggregate == MR_AVG) {
        mr_node_can_fail(node, MR_FALLIBLE_RANGE, aggregate == MR_SUM ? "sum" : "avg");
    }
    return true;
}
