/*
 * option.h - the table from which an operator's or connector's YAML keys are parsed, checked and
 * documented. One row a key; `offset` says where the parsed value goes in the spec.
 * Thread: control, while loading.
 */
#ifndef MILLRACE_OPTION_H
#define MILLRACE_OPTION_H

#include <stdint.h>

typedef struct mr_expr mr_expr; /* engine/expr: a compiled expression, owned by the plan. */
typedef struct mr_fold mr_fold; /* engine/expr: typed aggregates over a group, owned by the plan. */

/* What the parsed value is, and its C type in the spec. */
typedef enum mr_option_kind {
    MR_OPTION_EXPR,      /* const mr_expr *: any type */
    MR_OPTION_CONDITION, /* const mr_expr *: boolean */
    MR_OPTION_SELECT,    /* mr_select: map `column: expr` in order */
    MR_OPTION_FOLD,     /* const mr_fold *: map `column: expr over aggregates`, needs `by` before */
    MR_OPTION_COLUMNS,  /* mr_columns: names of input columns */
    MR_OPTION_TEXT,     /* const char * */
    MR_OPTION_CHOICE,   /* uint32_t: index in `choices` */
    MR_OPTION_BOOLEAN,  /* bool */
    MR_OPTION_COUNT,    /* uint64_t */
    MR_OPTION_SIZE,     /* uint64_t bytes */
    MR_OPTION_DURATION, /* int64_t microseconds */
    MR_OPTION_REFUSED   /* A key of the language that this release refuses by name: M0109. */
} mr_option_kind;

enum { MR_OPTION_REQUIRED = 1 };

typedef struct mr_option {
    const char *name, *fallback, *summary; /* `fallback` is written as a user would write it. */
    uint16_t kind, flags;
    uint32_t offset;     /* Where in the spec the parsed value goes. */
    const char *choices; /* CHOICE: "on_commit|every". REFUSED: the reason. */
} mr_option;

typedef struct mr_select { /* All arrays are owned by the plan; zero count = key absent. */
    const char *const *names;
    const mr_expr *const *exprs;
    uint32_t count;
} mr_select;

typedef struct mr_columns { /* Indexes into the input schema. `given`: the key was written. */
    const uint16_t *indexes;
    uint32_t count;
    uint32_t given;
} mr_columns;

#endif
