/*
 * parse_call.c - function calls, casts and names of columns; see parse.c.
 */
#include "engine/expr/parse_private.h"
#include <string.h>

enum { NAME_PARTS_MAX = 8, MODIFIERS_MAX = 2 };

static int32_t at(const mr_builder *b, int32_t location)
{
    return location < b->prefix_bytes ? 0 : location - b->prefix_bytes;
}

/* meta.header('x') is the hidden column "meta.header.x". */
static bool parse_header(mr_builder *b, const PgQuery__FuncCall *pg, mr_node **slot)
{
    const int32_t location = at(b, pg->location);
    const PgQuery__Node *arg = pg->n_args == 1 ? pg->args[0] : NULL;

    if (arg == NULL || arg->node_case != PG_QUERY__NODE__NODE_A_CONST ||
        arg->a_const->val_case != PG_QUERY__A__CONST__VAL_SVAL) {
        return mr_compile_error(b->c, location, 304,
                                "meta.header takes one quoted name\nhint: `meta.header('x')`");
    }
    const char *name =
        mr_arena_copy(b->c->work, arg->a_const->sval->sval, strlen(arg->a_const->sval->sval));
    if (name == NULL) {
        return mr_compile_no_memory(b->c);
    }
    if (b->c->collects && b->c->header_count < b->c->header_count_max) {
        b->c->headers[b->c->header_count++] = name;
    }
    mr_node *node = mr_node_new(b->c, MR_NODE_COLUMN, location, 0);
    *slot = node;
    if (node == NULL) {
        return false;
    }
    node->in_aggregate = b->in_aggregate;
    return mr_column_named(b->c, node, (const char *const[]){"meta", "header", name}, 3);
}

/* What may stand inside the parentheses of a call beside its arguments. */
static bool plain_call(mr_builder *b, const PgQuery__FuncCall *pg, const char *name,
                       bool is_aggregate)
{
    const int32_t location = at(b, pg->location);

    if (pg->over != NULL) {
        return mr_compile_error(b->c, location, 305, "OVER is not part of the language");
    }
    if (pg->agg_filter != NULL && !is_aggregate) {
        return mr_compile_error(b->c, location, 303,
                                "filter (where ...) goes with an aggregate; %s() is none", name);
    }
    if (pg->agg_distinct) {
        return mr_compile_error(b->c, location, 306, "%s(distinct ...) is not part of this release",
                                name);
    }
    if (pg->n_agg_order > 0 || pg->agg_within_group) {
        return mr_compile_error(b->c, location, 306,
                                "ORDER BY inside %s() is not part of this release", name);
    }
    if (pg->func_variadic) {
        return mr_compile_error(b->c, location, 305, "VARIADIC is not part of the language");
    }
    for (size_t i = 0; i < pg->n_args && strcmp(name, "make_interval") != 0; i++) {
        if (pg->args[i]->node_case == PG_QUERY__NODE__NODE_NAMED_ARG_EXPR) {
            return mr_compile_error(b->c, location, 305,
                                    "named arguments are not part of the language");
        }
    }
    return true;
}

/* make_interval(1, 2) or make_interval(days => 3): parts that are not given are 0. */
static bool parse_make_interval(mr_builder *b, const PgQuery__FuncCall *pg, mr_node **slot)
{
    const int32_t location = at(b, pg->location);
    mr_node *node = mr_node_new(b->c, MR_NODE_CALL, location, MR_MAKE_INTERVAL_PARTS);
    bool named = false;

    *slot = node;
    if (node == NULL) {
        return false;
    }
    node->name = "make_interval";
    if (pg->agg_star || pg->n_args > MR_MAKE_INTERVAL_PARTS) {
        return mr_compile_error(b->c, location, 303, "make_interval() takes 0 to %d arguments",
                                MR_MAKE_INTERVAL_PARTS);
    }
    const PgQuery__Node *given[MR_MAKE_INTERVAL_PARTS] = {0};
    for (size_t i = 0; i < pg->n_args; i++) {
        const PgQuery__Node *arg = pg->args[i];
        int32_t part = (int32_t)i;
        if (arg->node_case == PG_QUERY__NODE__NODE_NAMED_ARG_EXPR) {
            part = mr_make_interval_part(arg->named_arg_expr->name);
            arg = arg->named_arg_expr->arg;
            named = true;
        } else if (named) {
            part = -1;
        }
        if (part < 0 || given[part] != NULL) {
            return mr_compile_error(b->c, location, 303,
                                    "make_interval() takes each of its arguments once, those with "
                                    "a name last\nhint: years, months, weeks, days, hours, mins, "
                                    "secs");
        }
        given[part] = arg;
    }
    for (uint32_t i = 0; i < MR_MAKE_INTERVAL_PARTS; i++) {
        if (given[i] != NULL) {
            if (!mr_parse_push(b, given[i], &node->kids[i])) {
                return false;
            }
            continue;
        }
        node->kids[i] = mr_node_new(b->c, MR_NODE_CONST, location, 0);
        if (node->kids[i] == NULL) {
            return false;
        }
        node->kids[i]->type.type = MR_BIGINT;
    }
    return true;
}

/*
 * `sum(x) filter (where c)` is `sum(case when c then x end)`: aggregates leave NULLs out, and x is
 * not evaluated where c is not true. `count(*)` counts the rows where c is true.
 */
static bool parse_filter(mr_builder *b, const PgQuery__FuncCall *pg, mr_node *aggregate)
{
    mr_node *chosen = mr_node_new(b->c, MR_NODE_CASE, aggregate->location, 2);

    if (chosen == NULL) {
        return false;
    }
    aggregate->kids[0] = chosen;
    if (!mr_parse_push(b, pg->agg_filter, &chosen->kids[0])) {
        return false;
    }
    if (pg->n_args > 0) {
        return mr_parse_push(b, pg->args[0], &chosen->kids[1]);
    }
    mr_node *counted = mr_node_new(b->c, MR_NODE_CONST, aggregate->location, 0);
    if (counted == NULL) {
        return false;
    }
    counted->type.type = MR_BOOLEAN;
    counted->value.as.boolean = true;
    chosen->kids[1] = counted;
    return true;
}

static bool parse_aggregate(mr_builder *b, const PgQuery__FuncCall *pg, const char *name,
                            mr_aggregate aggregate, mr_node **slot)
{
    const int32_t location = at(b, pg->location);

    if (!b->c->aggregates) {
        return mr_compile_error(b->c, location, 303,
                                "%s() is an aggregate: it stands in the `select` of `op: aggregate`"
                                " only",
                                name);
    }
    if (b->in_aggregate) {
        return mr_compile_error(b->c, location, 303, "%s() stands inside another aggregate", name);
    }
    const bool has_filter = pg->agg_filter != NULL;
    if (aggregate == MR_COUNT && pg->agg_star) {
        aggregate = has_filter ? MR_COUNT : MR_COUNT_ROWS;
    } else if (pg->agg_star || pg->n_args != 1) {
        return mr_compile_error(b->c, location, 303, "%s() takes one argument%s", name,
                                aggregate == MR_COUNT ? ", or count(*)" : "");
    }
    const uint32_t kid_count = has_filter ? 1 : (uint32_t)pg->n_args;
    mr_node *node = mr_node_new(b->c, MR_NODE_AGGREGATE, location, kid_count);
    *slot = node;
    if (node == NULL) {
        return false;
    }
    node->operation = (uint8_t)aggregate;
    node->name = mr_arena_copy(b->c->work, name, strlen(name));
    if (node->name == NULL) {
        return mr_compile_no_memory(b->c);
    }
    b->in_aggregate = true;
    if (has_filter) {
        return parse_filter(b, pg, node);
    }
    return pg->n_args == 0 || mr_parse_push(b, pg->args[0], &node->kids[0]);
}

bool mr_parse_call(mr_builder *b, const PgQuery__FuncCall *pg, mr_node **slot)
{
    const int32_t location = at(b, pg->location);
    const char *name = mr_parse_string(pg->funcname[pg->n_funcname - 1]);
    const char *space = pg->n_funcname == 2 ? mr_parse_string(pg->funcname[0]) : NULL;
    mr_aggregate aggregate = MR_COUNT;

    if (name == NULL || pg->n_funcname > 2) {
        return mr_compile_error(b->c, location, 303, "the name of the function has too many parts");
    }
    if (space != NULL && strcmp(space, "meta") == 0 && strcmp(name, "header") == 0) {
        return parse_header(b, pg, slot);
    }
    if (space != NULL && strcmp(space, "pg_catalog") != 0) {
        return mr_compile_error(b->c, location, 303, "no function %s.%s()", space, name);
    }
    const bool is_aggregate = mr_aggregate_named(name, &aggregate);
    if (!plain_call(b, pg, name, is_aggregate)) {
        return false;
    }
    if (is_aggregate) {
        return parse_aggregate(b, pg, name, aggregate, slot);
    }
    if (strcmp(name, "make_interval") == 0) {
        return parse_make_interval(b, pg, slot);
    }
    const bool is_try = strcmp(name, "try") == 0;
    if (!is_try && !mr_function_known(b->c, location, name)) {
        return false;
    }
    if (pg->agg_star || (is_try && pg->n_args != 1)) {
        return mr_compile_error(b->c, location, 303, "%s() takes %s", name,
                                is_try ? "one argument" : "no *");
    }
    mr_node *node =
        mr_node_new(b->c, is_try ? MR_NODE_TRY : MR_NODE_CALL, location, (uint32_t)pg->n_args);
    *slot = node;
    if (node == NULL) {
        return false;
    }
    node->name = mr_arena_copy(b->c->work, name, strlen(name));
    if (node->name == NULL) {
        return mr_compile_no_memory(b->c);
    }
    for (size_t i = 0; i < pg->n_args; i++) {
        if (!mr_parse_push(b, pg->args[i], &node->kids[i])) {
            return false;
        }
    }
    return true;
}

bool mr_parse_cast(mr_builder *b, const PgQuery__TypeCast *pg, mr_node **slot)
{
    const PgQuery__TypeName *name = pg->type_name;
    const int32_t location = at(b, pg->location >= 0 ? pg->location : name->location);
    const int32_t type_location = at(b, name->location);
    int32_t modifiers[MODIFIERS_MAX];
    mr_value_type type = {0};

    if (name->n_array_bounds > 0 || name->setof || name->pct_type) {
        return mr_compile_error(b->c, type_location, 305, "arrays are not part of the language");
    }
    if (name->n_names == 0 || name->n_names > 2 || name->n_typmods > MODIFIERS_MAX) {
        return mr_compile_error(b->c, type_location, 304, "no such type");
    }
    if (name->n_names == 2 && name->location < 0 &&
        strcmp(mr_parse_string(name->names[1]), "int4") == 0) {
        /* Not written: the grammar puts it into `substring(s for n)`. */
        return mr_parse_push(b, pg->arg, slot);
    }
    for (size_t i = 0; i < name->n_typmods; i++) {
        const PgQuery__Node *modifier = name->typmods[i];
        if (modifier->node_case != PG_QUERY__NODE__NODE_A_CONST ||
            modifier->a_const->val_case != PG_QUERY__A__CONST__VAL_IVAL) {
            return mr_compile_error(b->c, type_location, 304,
                                    "a number is expected in the parentheses of a type");
        }
        modifiers[i] = modifier->a_const->ival->ival;
    }
    const char *word = mr_parse_string(name->names[name->n_names - 1]);
    if (word == NULL ||
        !mr_type_named(b->c, type_location, word, modifiers, (uint32_t)name->n_typmods, &type)) {
        return false;
    }
    mr_node *node = mr_node_new(b->c, MR_NODE_CAST, location, 1);
    *slot = node;
    if (node == NULL) {
        return false;
    }
    node->type = type;
    return mr_parse_push(b, pg->arg, &node->kids[0]);
}

bool mr_parse_column(mr_builder *b, const PgQuery__ColumnRef *pg, mr_node **slot)
{
    const int32_t location = at(b, pg->location);
    const char *parts[NAME_PARTS_MAX];

    if (pg->n_fields == 0 || pg->n_fields > NAME_PARTS_MAX) {
        return mr_compile_error(b->c, location, 302, "the name has too many parts");
    }
    for (size_t i = 0; i < pg->n_fields; i++) {
        parts[i] = mr_parse_string(pg->fields[i]);
        if (parts[i] == NULL) {
            return mr_compile_error(b->c, location, 305,
                                    "* is not part of the language\nhint: name the columns");
        }
    }
    mr_node *node = mr_node_new(b->c, MR_NODE_COLUMN, location, 0);
    *slot = node;
    if (node == NULL) {
        return false;
    }
    node->in_aggregate = b->in_aggregate;
    return mr_column_named(b->c, node, parts, (uint32_t)pg->n_fields);
}
