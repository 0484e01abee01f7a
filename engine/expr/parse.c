/*
 * parse.c - from SQL text to our tree, by PostgreSQL's own grammar (libpg_query 15).
 *
 * The text is parsed as the one column of "SELECT <text>". What PostgreSQL spells in several ways
 * becomes one form here: BETWEEN, IN, NULLIF and the simple CASE turn into comparisons, with the
 * value that occurs twice bound by a LET so that it is evaluated once. Everything outside the
 * language is refused by name. Pending work stands on a stack: kids are pushed from left to right,
 * hence created from right to left (see expr_private.h).
 *
 * Limits: MR_EXPR_TEXT_MAX bytes, MR_EXPR_STEPS_MAX tokens (libpg_query recurses by nesting),
 * MR_EXPR_DEPTH_MAX levels. Grammar: PostgreSQL 15, chapter 4.
 */
#include "engine/expr/parse_private.h"
#include <pg_query.h>
#include <string.h>

static const char prefix[] = "SELECT ";
enum { PREFIX_BYTES = sizeof(prefix) - 1 };

static bool text_fits(mr_compile *c);
static bool parser_error(mr_compile *c, const PgQueryError *error, const char *query);
static bool single_target(mr_compile *c, const PgQuery__ParseResult *tree,
                          const PgQuery__Node **target);
static bool build(mr_compile *c, const PgQuery__Node *target);

bool mr_parse(mr_compile *c)
{
    const size_t size = strlen(c->text);
    const PgQuery__Node *target = NULL;
    bool good = false;

    MR_ASSERT(c->root == NULL);
    if (!text_fits(c)) {
        return false;
    }
    char *query = mr_arena_take(c->work, size + PREFIX_BYTES + 1);
    if (query == NULL) {
        return mr_compile_no_memory(c);
    }
    memcpy(query, prefix, PREFIX_BYTES);
    memcpy(query + PREFIX_BYTES, c->text, size + 1);

    PgQueryProtobufParseResult parsed = pg_query_parse_protobuf(query);
    if (parsed.error != NULL) {
        good = parser_error(c, parsed.error, query);
    } else {
        PgQuery__ParseResult *tree = pg_query__parse_result__unpack(
            NULL, parsed.parse_tree.len, (const uint8_t *)parsed.parse_tree.data);
        if (tree == NULL) {
            good = mr_compile_no_memory(c);
        } else {
            good = single_target(c, tree, &target) && build(c, target);
            pg_query__parse_result__free_unpacked(tree, NULL);
        }
    }
    pg_query_free_protobuf_parse_result(parsed);
    return good;
}

mr_node *mr_node_new(mr_compile *c, mr_expr_node_kind kind, int32_t location, uint32_t kid_count)
{
    if (c->node_count == MR_EXPR_NODES_MAX) {
        (void)mr_compile_error(c, location, 301, "the expression has more than %d parts",
                               MR_EXPR_NODES_MAX);
        return NULL;
    }
    if (c->node_count == c->node_room) {
        const uint32_t room = c->node_room == 0 ? 64 : c->node_room * 2;
        mr_node **nodes = mr_arena_take_array(c->work, room, sizeof(mr_node *));
        if (nodes == NULL) {
            (void)mr_compile_no_memory(c);
            return NULL;
        }
        if (c->node_count > 0) {
            memcpy(nodes, c->nodes, c->node_count * sizeof(mr_node *));
        }
        c->nodes = nodes;
        c->node_room = room;
    }
    mr_node *node = mr_arena_take(c->work, sizeof(mr_node));
    mr_node **kids = mr_arena_take_array(c->work, kid_count + 1, sizeof(mr_node *));
    if (node == NULL || kids == NULL) {
        (void)mr_compile_no_memory(c);
        return NULL;
    }
    node->kind = kind;
    node->location = location;
    node->kids = kids;
    node->kid_count = kid_count;
    node->reg = MR_NO_REGISTER;
    c->nodes[c->node_count++] = node;
    return node;
}

/* Whether quotes are what they seem: outside of comments, and no other way to quote. */
static bool quotes_are_plain(const char *text)
{
    return strstr(text, "--") == NULL && strstr(text, "/*") == NULL && strpbrk(text, "$\\") == NULL;
}

/*
 * libpg_query's own recursion grows with nesting, nesting is bounded by tokens: count those. A
 * quoted text is one; where a comment could begin or end it elsewhere, each of its words is.
 */
static bool text_fits(mr_compile *c)
{
    const char *text = c->text;
    const bool plain = quotes_are_plain(text);
    uint32_t tokens = 0;
    bool in_word = false;
    size_t i;

    for (i = 0; text[i] != '\0' && i <= MR_EXPR_TEXT_MAX; i++) {
        const unsigned char byte = (unsigned char)text[i];
        const bool is_word = byte == '_' || byte >= 0x80 || (byte >= '0' && byte <= '9') ||
                             ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'z');
        if (plain && (byte == '\'' || byte == '"')) {
            const size_t start = i;
            for (i++; text[i] != '\0' && text[i] != (char)byte; i++) {
            }
            if (text[i] == '\0') {
                i = start; /* Not closed: the parser will say so. */
            }
            tokens++;
            in_word = false;
        } else if (is_word) {
            tokens += in_word ? 0 : 1;
            in_word = true;
        } else {
            tokens += byte > ' ' ? 1 : 0;
            in_word = false;
        }
    }
    if (i > MR_EXPR_TEXT_MAX) {
        return mr_compile_error(c, 0, 301, "the expression is longer than %d bytes",
                                MR_EXPR_TEXT_MAX);
    }
    if (tokens > MR_EXPR_STEPS_MAX) {
        return mr_compile_error(c, 0, 301,
                                "the expression has more than %d words\nhint: split it over "
                                "several `map` steps",
                                MR_EXPR_STEPS_MAX);
    }
    return true;
}

static bool parser_error(mr_compile *c, const PgQueryError *error, const char *query)
{
    /* The cursor counts characters from 1. */
    int32_t at = 0;

    for (int32_t characters = 1; query[at] != '\0' && characters < error->cursorpos; at++) {
        if ((query[at + 1] & 0xc0) != 0x80) {
            characters++;
        }
    }
    at = at < PREFIX_BYTES ? 0 : at - PREFIX_BYTES;
    if (strstr(error->message, "end of input") != NULL) {
        return mr_compile_error(c, (int32_t)strlen(c->text), 301, "%s",
                                c->text[strspn(c->text, " \t\r\n")] == '\0'
                                    ? "the expression is empty"
                                    : "the expression ends too early");
    }
    return mr_compile_error(c, at, 301, "%s", error->message);
}

/* Whether the statement is a SELECT of nothing but columns. */
static bool bare_select(const PgQuery__SelectStmt *select)
{
    return select->n_distinct_clause == 0 && select->into_clause == NULL &&
           select->n_from_clause == 0 && select->where_clause == NULL &&
           select->n_group_clause == 0 && select->having_clause == NULL &&
           select->n_window_clause == 0 && select->n_values_lists == 0 &&
           select->n_sort_clause == 0 && select->limit_offset == NULL &&
           select->limit_count == NULL && select->n_locking_clause == 0 &&
           select->with_clause == NULL && select->larg == NULL && select->rarg == NULL;
}

static bool single_target(mr_compile *c, const PgQuery__ParseResult *tree,
                          const PgQuery__Node **target)
{
    if (tree->n_stmts != 1 || tree->stmts[0]->stmt == NULL ||
        tree->stmts[0]->stmt->node_case != PG_QUERY__NODE__NODE_SELECT_STMT ||
        !bare_select(tree->stmts[0]->stmt->select_stmt)) {
        return mr_compile_error(c, 0, 305,
                                "this is a query, not an expression\nhint: an expression has no "
                                "FROM, WHERE, ORDER BY or `;`");
    }
    const PgQuery__SelectStmt *select = tree->stmts[0]->stmt->select_stmt;
    if (select->n_target_list == 0) {
        return mr_compile_error(c, 0, 301, "the expression is empty");
    }
    const PgQuery__ResTarget *first = select->target_list[0]->res_target;
    if (select->n_target_list > 1) {
        const int32_t at = select->target_list[1]->res_target->location - PREFIX_BYTES;
        return mr_compile_error(c, at, 301, "one expression is expected, here begins a second one");
    }
    if (first->name != NULL && first->name[0] != '\0') {
        return mr_compile_error(c, first->location - PREFIX_BYTES, 305,
                                "AS is not part of the language\nhint: the name of a result is the "
                                "key in front of it");
    }
    *target = first->val;
    return true;
}

bool mr_parse_push(mr_builder *b, const PgQuery__Node *pg, mr_node **slot)
{
    MR_ASSERT(slot != NULL);
    if (pg == NULL) {
        return mr_compile_error(b->c, 0, 301, "the expression cannot be read");
    }
    if (b->pending_count == MR_EXPR_NODES_MAX) {
        return mr_compile_error(b->c, 0, 301, "the expression has more than %d parts",
                                MR_EXPR_NODES_MAX);
    }
    b->pending[b->pending_count++] = (mr_pending){
        .pg = pg, .slot = slot, .depth = b->depth + 1, .in_aggregate = b->in_aggregate};
    return true;
}

static bool build(mr_compile *c, const PgQuery__Node *target)
{
    mr_builder b = {.c = c, .prefix_bytes = PREFIX_BYTES};

    b.pending = mr_arena_take_array(c->work, MR_EXPR_NODES_MAX, sizeof(mr_pending));
    if (b.pending == NULL) {
        return mr_compile_no_memory(c);
    }
    if (!mr_parse_push(&b, target, &c->root)) {
        return false;
    }
    while (b.pending_count > 0) {
        const mr_pending next = b.pending[--b.pending_count];
        b.depth = next.depth;
        b.in_aggregate = next.in_aggregate;
        if (b.depth > MR_EXPR_DEPTH_MAX) {
            return mr_compile_error(c, 0, 301,
                                    "the expression is nested deeper than %d levels\nhint: split "
                                    "it over several `map` steps",
                                    MR_EXPR_DEPTH_MAX);
        }
        if (!mr_parse_node(&b, next.pg, next.slot)) {
            return false;
        }
    }
    MR_ASSERT(c->root != NULL && c->node_count > 0);
    return true;
}
