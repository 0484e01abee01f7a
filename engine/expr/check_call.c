/*
 * check_call.c - which function a call means, the type of its result, and what can fail; see
 * check.c.
 */
#include "engine/base/decimal.h"
#include "engine/base/time_interval.h"
#include "engine/base/time_unit.h"
#include "engine/expr/expr_private.h"
#include <millrace/plan.h>
#include <string.h>

enum { UNIT_SHOWN_MAX = 40 };

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

/* The constant number of digits of round and trunc: negative ones go to `operation`. */
static bool take_digits(mr_compile *c, mr_node *node, mr_value_type *digits)
{
    const mr_node *given = node->kids[1];

    if (given->kind != MR_NODE_CONST || given->value.is_null) {
        return mr_compile_error(c, given->location, 304,
                                "%s() takes a constant number of digits\nhint: the scale of its "
                                "result stands in its type",
                                node->name);
    }
    const int64_t count = given->value.as.integer;
    if (count > MR_DECIMAL_DIGITS_MAX) {
        return mr_compile_error(c, given->location, 304, "a numeric has at most %d digits",
                                MR_DECIMAL_DIGITS_MAX);
    }
    /* Beyond twice the digits there are no more to round away. */
    node->operation = count >= 0                                    ? 0
                      : count < INT64_C(-2) * MR_DECIMAL_DIGITS_MAX ? 2 * MR_DECIMAL_DIGITS_MAX
                                                                    : (uint8_t)-count;
    *digits = (mr_value_type){MR_NUMERIC, MR_DECIMAL_DIGITS_MAX, (uint8_t)(count > 0 ? count : 0)};
    node->kid_count = 1; /* It is part of the step. */
    return true;
}

/* Whether the function takes the unit of its type. */
static bool unit_fits(const mr_function *f, mr_time_unit unit)
{
    const bool is_part = f->rule == MR_RULE_PART;

    switch (f->arguments[1]) {
    case MR_INTERVAL:
        return is_part ? mr_interval_has_part(unit) : mr_interval_can_truncate(unit);
    case MR_DATE:
        return is_part ? unit >= MR_UNIT_DAY && unit != MR_UNIT_ZONE
                       : unit <= MR_UNIT_LAST_TO_TRUNCATE;
    default:
        return is_part || unit <= MR_UNIT_LAST_TO_TRUNCATE;
    }
}

static bool no_unit(mr_compile *c, const mr_node *node, mr_view text, bool known)
{
    const uint8_t type = node->function->arguments[1];
    const bool is_part = node->function->rule == MR_RULE_PART;
    const bool has_time = type != MR_DATE || !is_part, has_weeks = type != MR_INTERVAL;
    char name[MR_TYPE_TEXT_MAX];

    return mr_compile_error(
        c, node->kids[0]->location, 308,
        "%s() of %s knows no unit \"%.*s\" (%s)\nhint: %sday, %smonth, quarter, year, decade, "
        "century, millennium%s%s",
        node->name, mr_value_type_text((mr_value_type){.type = type}, name),
        text.size_bytes > UNIT_SHOWN_MAX ? UNIT_SHOWN_MAX : (int)text.size_bytes,
        (const char *)text.bytes, known ? "0A000" : "22023",
        has_time ? "microseconds, milliseconds, second, minute, hour, " : "",
        has_weeks ? "week, " : "", is_part ? ", epoch" : "",
        is_part && has_weeks ? ", dow, isodow, doy, isoyear, julian" : "");
}

/* The constant unit of date_trunc and extract, which becomes part of the step. */
static bool take_unit(mr_compile *c, mr_node *node)
{
    const mr_node *given = node->kids[0];
    const mr_view text = given->value.as.view;
    mr_time_unit unit = MR_UNIT_DAY;

    if (given->kind != MR_NODE_CONST || given->value.is_null) {
        return mr_compile_error(c, given->location, 304,
                                "%s() takes a constant unit\nhint: 'day', 'hour', ...", node->name);
    }
    const bool is_part = node->function->rule == MR_RULE_PART;
    const bool known = mr_time_unit_named((const char *)text.bytes, text.size_bytes, &unit);
    if (!known || !unit_fits(node->function, unit)) {
        return no_unit(c, node, text, known);
    }
    node->operation = (uint8_t)unit;
    node->kids[0] = node->kids[1];
    node->kid_count = 1;
    const uint8_t scale = (uint8_t)mr_time_part_scale(unit);
    node->type = is_part ? (mr_value_type){MR_NUMERIC, 20, scale}
                         : (mr_value_type){.type = node->function->result};
    return true;
}

bool mr_check_call(mr_compile *c, mr_node *node)
{
    if (strcmp(node->name, "concat") == 0 || strcmp(node->name, "concat_ws") == 0) {
        return mr_check_concat_call(c, node);
    }
    if (strcmp(node->name, "make_interval") == 0) {
        return mr_check_make_interval(c, node);
    }
    if (strcmp(node->name, "to_timestamp") == 0 && node->kid_count == 2) {
        return mr_compile_error(c, node->location, 306,
                                "to_timestamp() with a format is not part of this release\nhint: "
                                "an ISO 8601 text is cast: x::timestamptz");
    }
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
    const mr_value_type a = node->kids[0]->type;
    mr_value_type b = node->kids[node->kid_count - 1]->type;
    if (f->rule == MR_RULE_DIGITS && !take_digits(c, node, &b)) {
        return false;
    }
    if (f->rule == MR_RULE_UNIT || f->rule == MR_RULE_PART) {
        if (!take_unit(c, node)) {
            return false;
        }
    } else if (f->rule == MR_RULE_FIXED) {
        node->type.type = f->result;
    } else if (f->rule == MR_RULE_SAME) {
        node->type = a;
    } else if (!mr_type_numeric_result((mr_result_rule)f->rule, a, b, &node->type)) {
        return mr_compile_error(c, node->location, 304,
                                "the product has %d digits behind the point, more than 38\nhint: "
                                "round a factor first: x::numeric(18,2)",
                                a.scale + b.scale);
    }
    if (f->run == mr_run_date_bin && !mr_check_stride(c, node)) {
        return false;
    }
    mr_node_inherit(node);
    mr_node_can_fail(node, call_fallible(node), f->what);
    return true;
}

static bool no_function(mr_compile *c, const mr_node *node)
{
    char a[MR_TYPE_TEXT_MAX], b[MR_TYPE_TEXT_MAX], d[MR_TYPE_TEXT_MAX];
    const bool symbol = strchr("+-*/%", node->name[0]) != NULL;
    uint32_t count = 0;
    const mr_function *functions = mr_functions(&count);
    bool takes = false;

    for (uint32_t i = 0; i < count; i++) {
        takes = takes || (strcmp(functions[i].name, node->name) == 0 &&
                          functions[i].argument_count == node->kid_count);
    }
    if (symbol && node->kid_count == 2) {
        return mr_compile_error(c, node->location, 303,
                                "no operator %s for %s and %s\nhint: write a cast, e.g. x::bigint",
                                node->name, mr_value_type_text(node->kids[0]->type, a),
                                mr_value_type_text(node->kids[1]->type, b));
    }
    if (node->kid_count == 1) {
        return mr_compile_error(
            c, node->location, 303, "no %s%s for %s\nhint: write a cast, e.g. x::text",
            symbol ? "operator " : "", node->name, mr_value_type_text(node->kids[0]->type, a));
    }
    if (!takes) {
        return mr_compile_error(
            c, node->location, 303,
            "%s() does not take %u arguments\nhint: docs/functions.md says which", node->name,
            node->kid_count);
    }
    return mr_compile_error(
        c, node->location, 303, "no %s for %s, %s%s%s\nhint: write a cast, e.g. x::text",
        node->name, mr_value_type_text(node->kids[0]->type, a),
        mr_value_type_text(node->kids[1]->type, b), node->kid_count > 2 ? ", " : "",
        node->kid_count > 2 ? mr_value_type_text(node->kids[2]->type, d) : "");
}

/* How a row's argument takes a type. */
typedef enum fit { FIT_EXACT, FIT_CONVERTED, FIT_ANY_LITERAL } fit;

/* Literals of no type are text; under FIT_ANY_LITERAL whatever is needed. */
static bool fits(const mr_function *f, const mr_node *node, const mr_value_type *types, fit how)
{
    if (f->argument_count != node->kid_count || strcmp(f->name, node->name) != 0) {
        return false;
    }
    for (uint32_t k = 0; k < node->kid_count; k++) {
        const uint8_t wanted = f->arguments[k];
        const bool is_literal = types[k].type == MR_TYPE_UNKNOWN;
        const bool good = is_literal         ? how == FIT_ANY_LITERAL || wanted == MR_TEXT
                          : how == FIT_EXACT ? types[k].type == wanted
                                             : mr_type_converts(types[k], (mr_type)wanted);
        if (!good) {
            return false;
        }
    }
    return true;
}

static const mr_function *find_by(const mr_node *node, const mr_value_type *types, fit how)
{
    uint32_t count = 0;
    const mr_function *functions = mr_functions(&count), *found = NULL;

    for (uint32_t i = 0; i < count; i++) {
        if (!fits(&functions[i], node, types, how)) {
            continue;
        }
        if (how != FIT_ANY_LITERAL) {
            return &functions[i];
        }
        if (found != NULL) {
            return NULL; /* There is no telling which. */
        }
        found = &functions[i];
    }
    return found;
}

static const mr_function *find_function(const mr_node *node)
{
    mr_value_type types[MR_ARGUMENTS_MAX];

    if (node->kid_count == 0 || node->kid_count > MR_ARGUMENTS_MAX) {
        return NULL;
    }
    for (uint32_t i = 0; i < node->kid_count; i++) {
        types[i] = node->kids[i]->type;
    }
    /* A quoted literal beside another type is of that type, for an operator. */
    if (node->kid_count == 2 && strchr("+-*/%", node->name[0]) != NULL) {
        const mr_value_type both[] = {
            types[0].type == MR_TYPE_UNKNOWN ? types[1] : types[0],
            types[1].type == MR_TYPE_UNKNOWN ? types[0] : types[1],
        };
        const mr_function *same = find_by(node, both, FIT_CONVERTED);
        if (same != NULL) {
            return same;
        }
        if (both[0].type == MR_DATE) {
            return NULL; /* `date + '1'`: a number of days, or an interval? */
        }
    }
    for (fit how = FIT_EXACT; how <= FIT_ANY_LITERAL; how++) {
        const mr_function *f = find_by(node, types, how);
        if (f != NULL) {
            return f;
        }
    }
    return NULL;
}

/* Whether a cast makes zero of nothing but zero: one that rounds may. */
static bool keeps_from_zero(const mr_node *cast)
{
    const mr_value_type from = cast->kids[0]->type, to = cast->type;

    return from.type == MR_BIGINT || from.type == to.type
               ? from.type != MR_NUMERIC || from.scale <= to.scale
               : from.type == MR_NUMERIC && to.type == MR_DOUBLE;
}

/* A divisor that cannot be zero: a literal, or nullif(x, 0). */
static bool never_zero(const mr_node *node)
{
    while (node->kind == MR_NODE_CAST || node->kind == MR_NODE_LET) {
        if (node->kind == MR_NODE_CAST && !keeps_from_zero(node)) {
            return false;
        }
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

/* Whether a constant argument shows that the call has no error of class data. */
static bool constant_excludes(const mr_node *node)
{
    const mr_function *f = node->function;
    const mr_node *last = node->kids[node->kid_count - 1];
    const bool is_integer =
        last->kind == MR_NODE_CONST && !last->value.is_null && last->type.type == MR_BIGINT;

    if (f->run == mr_run_substring_for) {
        return is_integer && last->value.as.integer >= 0;
    }
    if (f->run == mr_run_split_part) {
        return is_integer && last->value.as.integer != 0;
    }
    if (f->run == mr_run_date_bin) {
        return node->kids[0]->kind == MR_NODE_CONST; /* Tested. */
    }
    return strchr("/%md", f->name[0]) != NULL && node->kid_count == 2 && never_zero(last);
}

/* The classes of a call, less what its types and constants exclude. */
static uint8_t call_fallible(const mr_node *node)
{
    const mr_function *f = node->function;
    uint8_t classes = f->fallible;

    if (f->rule == MR_RULE_UNIT && node->operation < MR_UNIT_WEEK) {
        return 0; /* Only longer units begin before the year 1. */
    }
    if (f->rule == MR_RULE_PART && node->operation != MR_UNIT_EPOCH) {
        return 0;
    }
    if (f->rule == MR_RULE_UNIT || f->rule == MR_RULE_PART) {
        return classes;
    }
    if (f->rule != MR_RULE_FIXED && f->rule != MR_RULE_SAME && f->rule != MR_RULE_MODULO) {
        const uint32_t digits = f->rule == MR_RULE_DIVIDE || f->rule == MR_RULE_QUOTIENT ? 37 : 38;
        classes &= node->type.precision < digits ? (uint8_t)~MR_FALLIBLE_RANGE : 0xff;
    }
    if ((classes & MR_FALLIBLE_DATA) != 0 && constant_excludes(node)) {
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
