/*
 * parse_node.c - one node of PostgreSQL's tree becomes one or a few of ours; see parse.c.
 *
 * A value that our form needs twice (`a` in `a between b and c`) is built twice when it is a column
 * or a literal, else bound by a LET.
 */
#include "engine/expr/parse_private.h"
#include <string.h>

static bool parse_constant(mr_builder *b, const PgQuery__AConst *pg, mr_node **slot);
static bool parse_operator(mr_builder *b, const PgQuery__AExpr *pg, mr_node **slot);
static bool parse_case(mr_builder *b, const PgQuery__CaseExpr *pg, mr_node **slot);
static bool parse_list(mr_builder *b, mr_expr_node_kind kind, int32_t location,
                       PgQuery__Node *const *args, size_t count, mr_node **slot);
static bool parse_test(mr_builder *b, const PgQuery__Node *arg, mr_test test, int32_t location,
                       mr_node **slot);
static bool parse_boolean_test(mr_builder *b, const PgQuery__BooleanTest *pg, mr_node **slot);
static bool refuse(mr_builder *b, const PgQuery__Node *pg);

static int32_t at(const mr_builder *b, int32_t location)
{
    return location < b->prefix_bytes ? 0 : location - b->prefix_bytes;
}

static mr_node *place_node(mr_builder *b, mr_expr_node_kind kind, int32_t location,
                           uint32_t kid_count, mr_node **slot)
{
    mr_node *node = mr_node_new(b->c, kind, location, kid_count);
    *slot = node;
    return node;
}

bool mr_parse_node(mr_builder *b, const PgQuery__Node *pg, mr_node **slot)
{
    switch (pg->node_case) {
    case PG_QUERY__NODE__NODE_A_CONST:
        return parse_constant(b, pg->a_const, slot);
    case PG_QUERY__NODE__NODE_COLUMN_REF:
        return mr_parse_column(b, pg->column_ref, slot);
    case PG_QUERY__NODE__NODE_A_EXPR:
        return parse_operator(b, pg->a_expr, slot);
    case PG_QUERY__NODE__NODE_FUNC_CALL:
        return mr_parse_call(b, pg->func_call, slot);
    case PG_QUERY__NODE__NODE_TYPE_CAST:
        return mr_parse_cast(b, pg->type_cast, slot);
    case PG_QUERY__NODE__NODE_CASE_EXPR:
        return parse_case(b, pg->case_expr, slot);
    case PG_QUERY__NODE__NODE_BOOL_EXPR: {
        const PgQuery__BoolExpr *e = pg->bool_expr;
        return parse_list(b,
                          e->boolop == PG_QUERY__BOOL_EXPR_TYPE__AND_EXPR  ? MR_NODE_AND
                          : e->boolop == PG_QUERY__BOOL_EXPR_TYPE__OR_EXPR ? MR_NODE_OR
                                                                           : MR_NODE_NOT,
                          at(b, e->location), e->args, e->n_args, slot);
    }
    case PG_QUERY__NODE__NODE_COALESCE_EXPR:
        return parse_list(b, MR_NODE_COALESCE, at(b, pg->coalesce_expr->location),
                          pg->coalesce_expr->args, pg->coalesce_expr->n_args, slot);
    case PG_QUERY__NODE__NODE_MIN_MAX_EXPR: {
        const PgQuery__MinMaxExpr *e = pg->min_max_expr;
        if (!parse_list(b, MR_NODE_EXTREME, at(b, e->location), e->args, e->n_args, slot)) {
            return false;
        }
        (*slot)->operation = e->op == PG_QUERY__MIN_MAX_OP__IS_GREATEST;
        return true;
    }
    case PG_QUERY__NODE__NODE_NULL_TEST: {
        const PgQuery__NullTest *e = pg->null_test;
        return parse_test(b, e->arg,
                          e->nulltesttype == PG_QUERY__NULL_TEST_TYPE__IS_NULL ? MR_IS_NULL
                                                                               : MR_IS_NOT_NULL,
                          at(b, e->location), slot);
    }
    case PG_QUERY__NODE__NODE_BOOLEAN_TEST:
        return parse_boolean_test(b, pg->boolean_test, slot);
    default:
        return refuse(b, pg);
    }
}

const char *mr_parse_string(const PgQuery__Node *pg)
{
    return pg != NULL && pg->node_case == PG_QUERY__NODE__NODE_STRING ? pg->string->sval : NULL;
}

static bool parse_boolean_test(mr_builder *b, const PgQuery__BooleanTest *pg, mr_node **slot)
{
    mr_test test = MR_IS_TRUE;

    switch (pg->booltesttype) {
    case PG_QUERY__BOOL_TEST_TYPE__IS_TRUE:
        break;
    case PG_QUERY__BOOL_TEST_TYPE__IS_NOT_TRUE:
        test = MR_IS_NOT_TRUE;
        break;
    case PG_QUERY__BOOL_TEST_TYPE__IS_FALSE:
        test = MR_IS_FALSE;
        break;
    case PG_QUERY__BOOL_TEST_TYPE__IS_NOT_FALSE:
        test = MR_IS_NOT_FALSE;
        break;
    default:
        return mr_compile_error(b->c, at(b, pg->location), 305,
                                "IS UNKNOWN is not part of the language\nhint: write IS NULL");
    }
    return parse_test(b, pg->arg, test, at(b, pg->location), slot);
}

static bool parse_test(mr_builder *b, const PgQuery__Node *arg, mr_test test, int32_t location,
                       mr_node **slot)
{
    mr_node *node = place_node(b, MR_NODE_TEST, location, 1, slot);
    if (node == NULL) {
        return false;
    }
    node->operation = (uint8_t)test;
    return mr_parse_push(b, arg, &node->kids[0]);
}

static bool parse_list(mr_builder *b, mr_expr_node_kind kind, int32_t location,
                       PgQuery__Node *const *args, size_t count, mr_node **slot)
{
    mr_node *node = place_node(b, kind, location, (uint32_t)count, slot);
    if (node == NULL) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (!mr_parse_push(b, args[i], &node->kids[i])) {
            return false;
        }
    }
    return true;
}

static bool parse_constant(mr_builder *b, const PgQuery__AConst *pg, mr_node **slot)
{
    mr_node *node = place_node(b, MR_NODE_CONST, at(b, pg->location), 0, slot);
    if (node == NULL) {
        return false;
    }
    node->type.type = MR_TYPE_UNKNOWN;
    if (pg->isnull) {
        node->value.is_null = true;
        return true;
    }
    switch (pg->val_case) {
    case PG_QUERY__A__CONST__VAL_IVAL:
        node->type.type = MR_BIGINT;
        node->value.as.integer = pg->ival->ival;
        return true;
    case PG_QUERY__A__CONST__VAL_BOOLVAL:
        node->type.type = MR_BOOLEAN;
        node->value.as.boolean = pg->boolval->boolval != 0;
        return true;
    case PG_QUERY__A__CONST__VAL_FVAL:
        if (!mr_type_literal(pg->fval->fval, &node->value, &node->type)) {
            return mr_compile_error(b->c, node->location, 304,
                                    "the number %s has more than 38 digits\nhint: "
                                    "'%s'::float8 is a double",
                                    pg->fval->fval, pg->fval->fval);
        }
        return true;
    case PG_QUERY__A__CONST__VAL_SVAL: {
        const size_t size = strlen(pg->sval->sval);
        node->value.as.view.bytes =
            (const uint8_t *)mr_arena_copy(b->c->work, pg->sval->sval, size);
        node->value.as.view.size_bytes = (uint32_t)size;
        return node->value.as.view.bytes != NULL || mr_compile_no_memory(b->c);
    }
    default:
        return mr_compile_error(b->c, node->location, 305, "bit strings are refused");
    }
}

static bool is_leaf(const PgQuery__Node *pg)
{
    return pg != NULL && (pg->node_case == PG_QUERY__NODE__NODE_A_CONST ||
                          pg->node_case == PG_QUERY__NODE__NODE_COLUMN_REF);
}

/* Where a value is needed several times: the LET that binds it, or NULL for a leaf. */
typedef struct binding {
    const PgQuery__Node *pg;
    mr_node *let;
} binding;

/* Begins a binding; the body goes to the slot left in *slot. */
static bool bind(mr_builder *b, const PgQuery__Node *pg, int32_t location, mr_node ***slot,
                 binding *bound)
{
    *bound = (binding){.pg = pg};
    if (is_leaf(pg)) {
        return true;
    }
    bound->let = place_node(b, MR_NODE_LET, location, 2, *slot);
    if (bound->let == NULL) {
        return false;
    }
    *slot = &bound->let->kids[1];
    return mr_parse_push(b, pg, &bound->let->kids[0]);
}

/* One use of the bound value. */
static bool use(mr_builder *b, const binding *bound, int32_t location, mr_node **slot)
{
    if (bound->let == NULL) {
        return mr_parse_push(b, bound->pg, slot);
    }
    mr_node *node = place_node(b, MR_NODE_REF, location, 0, slot);
    if (node == NULL) {
        return false;
    }
    node->target = bound->let;
    return true;
}

/* `bound <operation> right` */
static bool compare_bound(mr_builder *b, const binding *bound, mr_comparison operation,
                          const PgQuery__Node *right, int32_t location, mr_node **slot)
{
    mr_node *node = place_node(b, MR_NODE_COMPARE, location, 2, slot);
    if (node == NULL) {
        return false;
    }
    node->operation = (uint8_t)operation;
    return use(b, bound, location, &node->kids[0]) && mr_parse_push(b, right, &node->kids[1]);
}

/* Puts NOT around what goes to *slot. */
static bool negate(mr_builder *b, int32_t location, mr_node ***slot)
{
    mr_node *node = place_node(b, MR_NODE_NOT, location, 1, *slot);
    if (node == NULL) {
        return false;
    }
    *slot = &node->kids[0];
    return true;
}

static bool parse_between(mr_builder *b, const PgQuery__AExpr *pg, mr_node **slot)
{
    const int32_t location = at(b, pg->location);
    binding bound;

    if (pg->rexpr == NULL || pg->rexpr->node_case != PG_QUERY__NODE__NODE_LIST ||
        pg->rexpr->list->n_items != 2) {
        return mr_compile_error(b->c, location, 301, "BETWEEN needs two bounds");
    }
    if (pg->kind == PG_QUERY__A__EXPR__KIND__AEXPR_NOT_BETWEEN && !negate(b, location, &slot)) {
        return false;
    }
    if (!bind(b, pg->lexpr, location, &slot, &bound)) {
        return false;
    }
    mr_node *both = place_node(b, MR_NODE_AND, location, 2, slot);
    return both != NULL &&
           compare_bound(b, &bound, MR_GREATER_EQUAL, pg->rexpr->list->items[0], location,
                         &both->kids[0]) &&
           compare_bound(b, &bound, MR_LESS_EQUAL, pg->rexpr->list->items[1], location,
                         &both->kids[1]);
}

static bool parse_in(mr_builder *b, const PgQuery__AExpr *pg, mr_node **slot)
{
    const int32_t location = at(b, pg->location);
    const char *name = mr_parse_string(pg->name[0]);
    binding bound;

    if (pg->rexpr == NULL || pg->rexpr->node_case != PG_QUERY__NODE__NODE_LIST) {
        return mr_compile_error(b->c, location, 305, "IN needs a list of values");
    }
    const PgQuery__List *list = pg->rexpr->list;
    if (strcmp(name, "<>") == 0 && !negate(b, location, &slot)) {
        return false;
    }
    if (!bind(b, pg->lexpr, location, &slot, &bound)) {
        return false;
    }
    if (list->n_items == 1) {
        return compare_bound(b, &bound, MR_EQUAL, list->items[0], location, slot);
    }
    mr_node *any = place_node(b, MR_NODE_OR, location, (uint32_t)list->n_items, slot);
    for (size_t i = 0; any != NULL && i < list->n_items; i++) {
        if (!compare_bound(b, &bound, MR_EQUAL, list->items[i], location, &any->kids[i])) {
            return false;
        }
    }
    return any != NULL;
}

static bool parse_nullif(mr_builder *b, const PgQuery__AExpr *pg, mr_node **slot)
{
    const int32_t location = at(b, pg->location);
    binding bound;

    if (!bind(b, pg->lexpr, location, &slot, &bound)) {
        return false;
    }
    mr_node *node = place_node(b, MR_NODE_NULLIF, location, 2, slot);
    return node != NULL && use(b, &bound, location, &node->kids[0]) &&
           compare_bound(b, &bound, MR_EQUAL, pg->rexpr, location, &node->kids[1]);
}

static bool parse_case(mr_builder *b, const PgQuery__CaseExpr *pg, mr_node **slot)
{
    const int32_t location = at(b, pg->location);
    const bool has_else = pg->defresult != NULL;
    binding bound = {0};

    if (pg->arg != NULL && !bind(b, pg->arg, location, &slot, &bound)) {
        return false;
    }
    mr_node *node =
        place_node(b, MR_NODE_CASE, location, 2 * (uint32_t)pg->n_args + (has_else ? 1 : 0), slot);
    if (node == NULL) {
        return false;
    }
    node->has_else = has_else;
    for (size_t i = 0; i < pg->n_args; i++) {
        const PgQuery__CaseWhen *when = pg->args[i]->case_when;
        const bool good = pg->arg != NULL ? compare_bound(b, &bound, MR_EQUAL, when->expr,
                                                          at(b, when->location), &node->kids[2 * i])
                                          : mr_parse_push(b, when->expr, &node->kids[2 * i]);
        if (!good || !mr_parse_push(b, when->result, &node->kids[2 * i + 1])) {
            return false;
        }
    }
    return !has_else || mr_parse_push(b, pg->defresult, &node->kids[2 * pg->n_args]);
}

/* The lower case of what will stand in *slot, which moves there. */
static bool wrap_lower(mr_builder *b, int32_t location, mr_node ***slot)
{
    mr_node *lower = place_node(b, MR_NODE_CALL, location, 1, *slot);

    if (lower == NULL) {
        return false;
    }
    lower->name = "lower";
    *slot = &lower->kids[0];
    return true;
}

static bool parse_like(mr_builder *b, const PgQuery__AExpr *pg, mr_node **slot)
{
    const int32_t location = at(b, pg->location);
    const char *name = mr_parse_string(pg->name[0]);
    const PgQuery__Node *pattern = pg->rexpr, *escape = NULL;
    const bool folds = pg->kind == PG_QUERY__A__EXPR__KIND__AEXPR_ILIKE;

    if (name[0] == '!' && !negate(b, location, &slot)) {
        return false;
    }
    if (pattern != NULL && pattern->node_case == PG_QUERY__NODE__NODE_FUNC_CALL &&
        pattern->func_call->n_funcname == 2 && pattern->func_call->n_args == 2 &&
        strcmp(mr_parse_string(pattern->func_call->funcname[1]), "like_escape") == 0) {
        escape = pattern->func_call->args[1];
        pattern = pattern->func_call->args[0];
    }
    if (folds && escape != NULL) {
        return mr_compile_error(b->c, location, 306,
                                "ILIKE with ESCAPE is not part of this release\nhint: `lower(x) "
                                "like ... escape ...`");
    }
    mr_node *node = place_node(b, MR_NODE_LIKE, location, escape != NULL ? 3 : 2, slot);
    if (node == NULL) {
        return false;
    }
    mr_node **left = &node->kids[0], **right = &node->kids[1];
    if (folds && (!wrap_lower(b, location, &right) || !wrap_lower(b, location, &left))) {
        return false;
    }
    return mr_parse_push(b, pg->lexpr, left) && mr_parse_push(b, pattern, right) &&
           (escape == NULL || mr_parse_push(b, escape, &node->kids[2]));
}

/* A comparison by its symbol; false = none. */
static bool comparison_named(const char *name, mr_comparison *operation)
{
    static const struct {
        const char *name;
        mr_comparison operation;
    } table[] = {{"=", MR_EQUAL},       {"<>", MR_NOT_EQUAL}, {"<", MR_LESS},
                 {"<=", MR_LESS_EQUAL}, {">", MR_GREATER},    {">=", MR_GREATER_EQUAL},
                 {"!=", MR_NOT_EQUAL}};

    for (size_t i = 0; i < MR_LENGTH(table); i++) {
        if (strcmp(table[i].name, name) == 0) {
            *operation = table[i].operation;
            return true;
        }
    }
    return false;
}

static bool parse_plain_operator(mr_builder *b, const PgQuery__AExpr *pg, mr_node **slot)
{
    const int32_t location = at(b, pg->location);
    const char *name = mr_parse_string(pg->name[pg->n_name - 1]);
    const uint32_t kid_count = pg->lexpr != NULL ? 2 : 1;
    mr_comparison operation = MR_EQUAL;
    mr_expr_node_kind kind = MR_NODE_CALL;
    bool to_text = false;

    if (name == NULL) {
        return mr_compile_error(b->c, location, 301, "the operator cannot be read");
    }
    if (kid_count == 2 && comparison_named(name, &operation)) {
        kind = MR_NODE_COMPARE;
    } else if (strcmp(name, "->") == 0 || strcmp(name, "->>") == 0) {
        kind = MR_NODE_GET;
        to_text = name[2] != '\0';
    } else if (strcmp(name, "||") == 0) {
        kind = MR_NODE_CONCAT;
    } else if (!mr_function_known(b->c, location, name)) {
        return false;
    }
    mr_node *node = place_node(b, kind, location, kid_count, slot);
    if (node == NULL) {
        return false;
    }
    node->operation = kind == MR_NODE_GET ? to_text : (uint8_t)operation;
    node->name = mr_arena_copy(b->c->work, name, strlen(name));
    if (node->name == NULL) {
        return mr_compile_no_memory(b->c);
    }
    if (kid_count == 2 && !mr_parse_push(b, pg->lexpr, &node->kids[0])) {
        return false;
    }
    return mr_parse_push(b, pg->rexpr, &node->kids[kid_count - 1]);
}

static bool parse_operator(mr_builder *b, const PgQuery__AExpr *pg, mr_node **slot)
{
    const int32_t location = at(b, pg->location);

    switch (pg->kind) {
    case PG_QUERY__A__EXPR__KIND__AEXPR_OP:
        return parse_plain_operator(b, pg, slot);
    case PG_QUERY__A__EXPR__KIND__AEXPR_DISTINCT:
    case PG_QUERY__A__EXPR__KIND__AEXPR_NOT_DISTINCT: {
        mr_node *node = place_node(b, MR_NODE_COMPARE, location, 2, slot);
        if (node == NULL) {
            return false;
        }
        node->operation =
            pg->kind == PG_QUERY__A__EXPR__KIND__AEXPR_DISTINCT ? MR_DISTINCT : MR_NOT_DISTINCT;
        return mr_parse_push(b, pg->lexpr, &node->kids[0]) &&
               mr_parse_push(b, pg->rexpr, &node->kids[1]);
    }
    case PG_QUERY__A__EXPR__KIND__AEXPR_NULLIF:
        return parse_nullif(b, pg, slot);
    case PG_QUERY__A__EXPR__KIND__AEXPR_IN:
        return parse_in(b, pg, slot);
    case PG_QUERY__A__EXPR__KIND__AEXPR_LIKE:
    case PG_QUERY__A__EXPR__KIND__AEXPR_ILIKE:
        return parse_like(b, pg, slot);
    case PG_QUERY__A__EXPR__KIND__AEXPR_BETWEEN:
    case PG_QUERY__A__EXPR__KIND__AEXPR_NOT_BETWEEN:
        return parse_between(b, pg, slot);
    case PG_QUERY__A__EXPR__KIND__AEXPR_OP_ANY:
    case PG_QUERY__A__EXPR__KIND__AEXPR_OP_ALL:
        return mr_compile_error(b->c, location, 305,
                                "ANY and ALL over arrays are not part of the language\nhint: "
                                "`x in (1, 2)`");
    case PG_QUERY__A__EXPR__KIND__AEXPR_SIMILAR:
        return mr_compile_error(b->c, location, 305, "SIMILAR TO is not part of the language");
    default:
        return mr_compile_error(b->c, location, 305,
                                "BETWEEN SYMMETRIC is not part of the language\nhint: "
                                "`x between least(a, b) and greatest(a, b)`");
    }
}

static bool refuse(mr_builder *b, const PgQuery__Node *pg)
{
    switch (pg->node_case) {
    case PG_QUERY__NODE__NODE_SUB_LINK:
        return mr_compile_error(b->c, at(b, pg->sub_link->location), 305,
                                "subqueries are not part of the language\nhint: an expression sees "
                                "one row; bring other rows in by a step");
    case PG_QUERY__NODE__NODE_PARAM_REF:
        return mr_compile_error(b->c, at(b, pg->param_ref->location), 305,
                                "parameters ($1) are not part of the language");
    case PG_QUERY__NODE__NODE_SQLVALUE_FUNCTION:
        return mr_compile_error(b->c, at(b, pg->sqlvalue_function->location), 307,
                                "the current date, time or user is not repeatable\nhint: use "
                                "event_time or meta.timestamp");
    case PG_QUERY__NODE__NODE_A_INDIRECTION:
        return mr_compile_error(b->c, 0, 305,
                                "subscripts and fields of values are not part of the language"
                                "\nhint: a field of jsonb is `x -> 'field'`");
    case PG_QUERY__NODE__NODE_A_ARRAY_EXPR:
        return mr_compile_error(b->c, at(b, pg->a_array_expr->location), 305,
                                "arrays are not part of the language");
    case PG_QUERY__NODE__NODE_ROW_EXPR:
        return mr_compile_error(b->c, at(b, pg->row_expr->location), 305,
                                "rows (a, b) are not part of the language\nhint: compare the "
                                "columns one by one");
    case PG_QUERY__NODE__NODE_COLLATE_CLAUSE:
        return mr_compile_error(b->c, at(b, pg->collate_clause->location), 305,
                                "COLLATE is not part of the language: text compares by bytes");
    case PG_QUERY__NODE__NODE_GROUPING_FUNC:
        return mr_compile_error(b->c, at(b, pg->grouping_func->location), 305,
                                "GROUPING is not part of the language");
    case PG_QUERY__NODE__NODE_XML_EXPR:
        return mr_compile_error(b->c, at(b, pg->xml_expr->location), 305,
                                "XML is not part of the language");
    default:
        return mr_compile_error(b->c, 0, 305, "this form of SQL is not part of the language");
    }
}
