/*
 * check_concat.c - concat(a, ...) and concat_ws(separator, a, ...) become chains of pairs: NULLs
 * are left out, values of other types are written as PostgreSQL's output does (booleans t and f).
 * The separator is bound once, by a LET.
 */
#include "engine/expr/expr_private.h"
#include <millrace/plan.h>
#include <string.h>

static const mr_function letter = {"concat", 1, {MR_BOOLEAN},          MR_RULE_FIXED,
                                   MR_TEXT,  0, mr_run_boolean_letter, NULL};
static const mr_function append = {"concat",
                                   2,
                                   {MR_TEXT, MR_TEXT},
                                   MR_RULE_FIXED,
                                   MR_TEXT,
                                   MR_FALLIBLE_RANGE,
                                   mr_run_append,
                                   "length of concat()"};
static const mr_function append_separated = {"concat_ws",
                                             3,
                                             {MR_TEXT, MR_TEXT, MR_TEXT},
                                             MR_RULE_FIXED,
                                             MR_TEXT,
                                             MR_FALLIBLE_RANGE,
                                             mr_run_append_separated,
                                             "length of concat_ws()"};

static mr_node *new_typed(mr_compile *c, mr_expr_node_kind kind, int32_t location,
                          uint32_t kid_count)
{
    mr_node *node = mr_node_new(c, kind, location, kid_count);

    if (node != NULL) {
        node->is_typed = true;
        node->type = (mr_value_type){.type = MR_TEXT};
    }
    return node;
}

/* The text of an argument. */
static bool as_text(mr_compile *c, mr_node **slot)
{
    mr_node *given = *slot;

    if (given->type.type == MR_TYPE_UNKNOWN || given->type.type == MR_TEXT) {
        return mr_convert_kind(c, slot, MR_TEXT);
    }
    mr_node *node = new_typed(c, given->type.type == MR_BOOLEAN ? MR_NODE_CALL : MR_NODE_CAST,
                              given->location, 1);
    if (node == NULL) {
        return false;
    }
    node->kids[0] = given;
    *slot = node;
    if (node->kind == MR_NODE_CAST) {
        return mr_cast_check(c, node);
    }
    node->name = letter.name;
    node->function = &letter;
    mr_node_inherit(node);
    return mr_constant_fold(c, node);
}

/* A constant text: NULL, or ''. */
static mr_node *start_of(mr_compile *c, const mr_node *node, bool is_null)
{
    mr_node *start = new_typed(c, MR_NODE_CONST, node->location, 0);

    if (start != NULL) {
        start->nullable = is_null;
        start->value.is_null = is_null;
        start->value.as.view = (mr_view){(const uint8_t *)"", 0};
    }
    return start;
}

static mr_node *reference(mr_compile *c, mr_node *let)
{
    mr_node *node = new_typed(c, MR_NODE_REF, let->location, 0);

    if (node != NULL) {
        node->target = let;
        node->nullable = let->kids[0]->nullable;
    }
    return node;
}

bool mr_check_concat_call(mr_compile *c, mr_node *node)
{
    const bool separated = strcmp(node->name, "concat_ws") == 0;
    const uint32_t first = separated ? 1 : 0, count = node->kid_count;

    if (count <= first) {
        return mr_compile_error(c, node->location, 303, "%s() needs at least %s", node->name,
                                separated ? "a separator and one value" : "one value");
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!as_text(c, &node->kids[i])) {
            return false;
        }
    }
    mr_node *chain = start_of(c, node, separated);
    for (uint32_t i = first; i < count && chain != NULL; i++) {
        mr_node *pair = new_typed(c, MR_NODE_CALL, node->kids[i]->location, separated ? 3 : 2);
        if (pair == NULL) {
            return false;
        }
        pair->name = node->name;
        pair->function = separated ? &append_separated : &append;
        pair->kids[0] = chain;
        pair->kids[1] = node->kids[i];
        pair->operation = i + 1 == count;
        if (separated) {
            pair->kids[2] = reference(c, node);
            if (pair->kids[2] == NULL) {
                return false;
            }
        }
        mr_node_inherit(pair);
        pair->nullable = separated && (i + 1 < count || node->kids[0]->nullable);
        mr_node_can_fail(pair, MR_FALLIBLE_RANGE, pair->function->what);
        chain = pair;
    }
    if (chain == NULL) {
        return false;
    }
    node->type = (mr_value_type){.type = MR_TEXT};
    if (separated) {
        node->kind = MR_NODE_LET;
        node->kids[1] = chain;
        node->kid_count = 2;
        mr_node_inherit(node);
        node->nullable = chain->nullable;
        return true;
    }
    *node = *chain;
    return true;
}
