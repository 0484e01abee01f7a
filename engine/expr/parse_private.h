/*
 * parse_private.h - what parse.c and parse_node.c share: the stack of PostgreSQL's nodes that wait
 * to be turned into ours. Inside engine/expr only.
 */
#ifndef MR_EXPR_PARSE_PRIVATE_H
#define MR_EXPR_PARSE_PRIVATE_H

#include "engine/expr/expr_private.h"
#include <pg_query/pg_query.pb-c.h>

typedef struct mr_pending {
    const PgQuery__Node *pg;
    mr_node **slot; /* Where our node goes. */
    uint16_t depth;
    bool in_aggregate;
} mr_pending;

typedef struct mr_builder {
    mr_compile *c;
    mr_pending *pending;
    uint32_t pending_count;
    int32_t prefix_bytes; /* In front of the text, in libpg_query's locations. */
    uint16_t depth;       /* Of the node in work. */
    bool in_aggregate;
} mr_builder;

/* Queues a kid of the node in work. */
bool mr_parse_push(mr_builder *b, const PgQuery__Node *pg, mr_node **slot);
/* Turns one node into ours and queues its kids. parse_node.c */
bool mr_parse_node(mr_builder *b, const PgQuery__Node *pg, mr_node **slot);
/* parse_call.c */
bool mr_parse_call(mr_builder *b, const PgQuery__FuncCall *pg, mr_node **slot);
bool mr_parse_cast(mr_builder *b, const PgQuery__TypeCast *pg, mr_node **slot);
bool mr_parse_column(mr_builder *b, const PgQuery__ColumnRef *pg, mr_node **slot);
/* The text of a String node, or NULL. */
const char *mr_parse_string(const PgQuery__Node *pg);

#endif
