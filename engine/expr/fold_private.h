/*
 * fold_private.h - what fold.c (compiling) and fold_run.c (running) share: the record of a group.
 *
 * A record is a head and a slot for each aggregate, at fixed offsets; texts of min and max follow
 * as a tail, in the order of their slots. Numbers are little-endian, as the machine's.
 *
 *   head       u32 used bytes (0: a new, zeroed record), u32 0, i64 greatest event time
 *   count      i64
 *   sum, avg   i128 sum, i64 rows (bigint, numeric); f64 sum, i64 rows (double)
 *   min, max   u64 present, value of 8 or 16 bytes; text: u32 present, u32 bytes in the tail
 *
 * Inside engine/expr only.
 */
#ifndef MR_EXPR_FOLD_PRIVATE_H
#define MR_EXPR_FOLD_PRIVATE_H

#include "engine/expr/expr_private.h"

enum { MR_FOLD_AGGREGATES_MAX = 32, MR_FOLD_HEAD_BYTES = 16, MR_FOLD_LAYOUT_VERSION = 1 };

typedef struct mr_fold_aggregate {
    mr_aggregate kind;
    mr_value_type argument, result;
    uint32_t offset;         /* Of its slot in the record. */
    uint32_t argument_index; /* In mr_fold.arguments; count(*): none. */
} mr_fold_aggregate;

struct mr_fold { /* Immutable, owned by the plan. */
    const mr_schema *output, *key, *value;
    const mr_schema *group; /* By-columns, then results of the aggregates: what results see. */
    mr_fold_aggregate aggregates[MR_FOLD_AGGREGATES_MAX];
    const mr_expr *arguments[MR_FOLD_AGGREGATES_MAX]; /* Over the input. */
    const mr_expr **results;                          /* Over the group; one a result column. */
    uint32_t aggregate_count, argument_count, result_count, by_count;
    uint16_t by[MR_KEY_FIELDS_MAX]; /* Columns of the input. */
    uint32_t record_size;           /* Head and slots. */
    bool variable;
    uint64_t layout;
    uint32_t fallible;
    const char *what;
};

#endif
