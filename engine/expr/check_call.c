/*
 * check_call.c - which function a call means, the type of its result, and what can fail; see
 * check.c.
 */
#include "engine/expr/expr_private.h"
#include <millrace/plan.h>
#include <string.h>

static const mr_function *find_function(const mr_node *node);
static bool no_function(mr_compile *c, const mr_node *node);
static uint8_t call_fallible(const mr_node *node);

void mr_node_inherit(mr_node *node)
{
    for (uint32_t i = 0; i < node->kid_count; i++) {
        const mr_node *kid = node->kids[i];
        node->nullable = node->nullable || kid->nullable;
        if ((kid->fallible & MR_FALLIBLE_DATA) > (node->fallible & MR_FALLIBLE_DATA) ||
            (node->fallible == 0 && kid->fallible != 0)) {
            node->what = kid->what;
        }
        node->fallible |= kid->fallible;
    }
}

void mr_node_can_fail(mr_node *node, uint8_t classes, const char *what)
{
    if ((classes & MR_FALLIBLE_DATA) > (node->fallible & MR_FALLIBLE_DATA) ||
        (node->fallible == 0 && classes != 0)) {
        node->what = what;
    }
    node->fallible |= classes;
}

bool mr_check_call(mr_compile *c, mr_node *node)
{
    const mr_function *f = find_function(node);

    if (f == NULL) {
        return no_function(c, node);
    }
    node->function = f;
    for (uint32_t i = 0; i < node->kid_count; i++) {
        if (!mr_convert_kind(c, &node->kids[i], (mr_type)f->arguments[i])) {
            return false;
        }
    }
    const mr_value_type a = node->kids[0]->type, b = node->kids[node->kid_count - 1]->type;
    if (f->rule == MR_RULE_FIXED) {
        node->type.type = f->result;
    } else if (f->rule == MR_RULE_SAME) {
        node->type = a;
    } else if (!mr_type_numeric_result((mr_result_rule)f->rule, a, b, &node->type)) {
        return mr_compile_error(c, node->location, 304,
                                "the product has %d digits behind the point, more than 38\nhint: "
                                "round a factor first: x::numeric(18,2)",
                                a.scale + b.scale);
    }
    mr_node_inherit(node);
    mr_node_can_fail(node, call_fallible(node), f->what);
    return true;
}

static bool no_function(mr_compile *c, const mr_node *node)
{
    char a[MR_TYPE_TEXT_MAX], b[MR_TYPE_TEXT_MAX];
    const bool symbol = strchr("+-*/%", node->name[0]) != NULL;

    if (symbol && node->kid_count == 2) {
        return mr_compile_error(c, node->location, 303,
                                "no operator %s for %s and %s\nhint: write a cast, e.g. x::bigint",
                                node->name, mr_value_type_text(node->kids[0]->type, a),
                                mr_value_type_text(node->kids[1]->type, b));
    }
    if (node->kid_count == 1) {
        return mr_compile_error(c, node->location, 303, "no %s%s for %s", symbol ? "operator " : "",
                                node->name, mr_value_type_text(node->kids[0]->type, a));
    }
    return mr_compile_error(c, node->location, 303, "%s() does not take %u arguments", node->name,
                            node->kid_count);
}

static const mr_function *find_function(const mr_node *node)
{
    uint32_t count = 0;
    const mr_function *functions = mr_functions(&count);
    mr_value_type types[2] = {{.type = MR_TYPE_UNKNOWN}, {.type = MR_TYPE_UNKNOWN}};

    if (node->kid_count == 0 || node->kid_count > 2) {
        return NULL;
    }
    for (uint32_t i = 0; i < node->kid_count; i++) {
        types[i] = node->kids[i]->type;
    }
    /* A quoted literal beside another type is of that type. */
    if (node->kid_count == 2 && types[0].type == MR_TYPE_UNKNOWN) {
        types[0] = types[1];
    } else if (node->kid_count == 2 && types[1].type == MR_TYPE_UNKNOWN) {
        types[1] = types[0];
    }
    for (uint32_t i = 0; i < count; i++) {
        const mr_function *f = &functions[i];
        bool fits = f->argument_count == node->kid_count && strcmp(f->name, node->name) == 0;
        for (uint32_t k = 0; fits && k < node->kid_count; k++) {
            /* Only text takes a lone quoted literal: for numbers there is no telling which. */
            fits = types[k].type == MR_TYPE_UNKNOWN
                       ? f->arguments[k] == MR_TEXT
                       : mr_type_converts(types[k], (mr_type)f->arguments[k]);
        }
        if (fits) {
            return f;
        }
    }
    return NULL;
}

/* A divisor that cannot be zero: a literal, or nullif(x, 0). */
static bool never_zero(const mr_node *node)
{
    while (node->kind == MR_NODE_CAST || node->kind == MR_NODE_LET) {
        node = node->kids[node->kid_count - 1];
    }
    if (node->kind == MR_NODE_CONST) {
        return node->value.is_null ||
               (node->type.type == MR_DOUBLE    ? node->value.as.real != 0.0
                : node->type.type == MR_NUMERIC ? node->value.as.numeric != 0
                                                : node->value.as.integer != 0);
    }
    if (node->kind != MR_NODE_NULLIF || node->kids[1]->kind != MR_NODE_COMPARE) {
        return false;
    }
    const mr_node *other = node->kids[1]->kids[1];
    if (other->kind != MR_NODE_CONST || other->value.is_null) {
        return false;
    }
    return other->type.type == MR_DOUBLE    ? other->value.as.real == 0.0
           : other->type.type == MR_NUMERIC ? other->value.as.numeric == 0
                                            : other->value.as.integer == 0;
}

/* The classes of a call, less what its types and constants exclude. */
static uint8_t call_fallible(const mr_node *node)
{
    const mr_function *f = node->function;
    uint8_t classes = f->fallible;

    if (f->rule == MR_RULE_ADD || f->rule == MR_RULE_MULTIPLY || f->rule == MR_RULE_DIVIDE) {
        const uint32_t digits = f->rule == MR_RULE_DIVIDE ? 37u : 38u;
        classes &= node->type.precision < digits ? (uint8_t)~MR_FALLIBLE_RANGE : 0xff;
    }
    if ((classes & MR_FALLIBLE_DATA) != 0 && never_zero(node->kids[1])) {
        classes &= (uint8_t)~MR_FALLIBLE_DATA;
        /* The smallest bigint over -1 is the one quotient out of range. */
        const mr_node *divisor = node->kids[1];
        if (node->type.type == MR_BIGINT && divisor->kind == MR_NODE_CONST &&
            divisor->value.as.integer != -1) {
            classes &= (uint8_t)~MR_FALLIBLE_RANGE;
        }
    }
    return classes;
}
