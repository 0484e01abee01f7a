/*
 * expr_private.h - what the files of engine/expr share: the tree of an expression, the flat program
 * made of it, and the frame in which a program runs. Inside engine/expr only.
 *
 * Text -> parse.c -> nodes -> check.c (types, constants folded) -> compile.c -> program -> eval.c.
 * Nodes are kept in order of creation, which puts every node before its kids and a left kid behind
 * its right neighbour: read backwards, the list gives kids before parents and left before right,
 * so that no pass needs recursion.
 */
#ifndef MR_EXPR_EXPR_PRIVATE_H
#define MR_EXPR_EXPR_PRIVATE_H

#include "engine/base/arena.h"
#include "engine/base/assert.h"
#include "engine/batch/batch.h"
#include "engine/expr/expr.h"

enum {
    MR_TYPE_UNKNOWN = 100, /* A quoted literal or NULL whose type the context decides. */
    MR_EXPR_NODES_MAX = 16384,
    MR_EXPR_WORK_BYTES_MAX = 32 << 20, /* Tree and working memory of one compilation. */
    /* A level of SQL becomes at most this many of ours (NOT, LET, AND, comparison, cast). */
    MR_EXPR_LEVELS_MAX = 6 * MR_EXPR_DEPTH_MAX,
    MR_ARGUMENTS_MAX = 3,
    MR_MAKE_INTERVAL_PARTS = 7,
    MR_NO_REGISTER = 0xffff
};

typedef struct mr_value_type {
    uint16_t type; /* mr_type, or MR_TYPE_UNKNOWN */
    uint8_t precision, scale;
} mr_value_type;

typedef struct mr_value { /* A constant. */
    bool is_null;
    union {
        uint8_t boolean;
        int64_t integer;
        double real;
        mr_int128 numeric;
        mr_interval interval;
        mr_view view;
    } as;
} mr_value;

typedef enum mr_expr_node_kind {
    MR_NODE_COLUMN, /* `column` of the schema */
    MR_NODE_EVENT_TIME,
    MR_NODE_CONST,   /* `value` */
    MR_NODE_CALL,    /* `name`, later `function` */
    MR_NODE_COMPARE, /* `operation`: mr_comparison */
    MR_NODE_AND,
    MR_NODE_OR,
    MR_NODE_NOT,
    MR_NODE_CASE, /* when, then, when, then, ... [else] */
    MR_NODE_COALESCE,
    MR_NODE_EXTREME, /* `operation`: 1 greatest, 0 least */
    MR_NODE_NULLIF,  /* a value, and whether it becomes NULL */
    MR_NODE_TEST,    /* `operation`: mr_test */
    MR_NODE_CAST,    /* to `type` */
    MR_NODE_LIKE,    /* text, pattern [, escape] */
    MR_NODE_TRY,
    MR_NODE_LET, /* a value, and a body in which REF stands for it */
    MR_NODE_REF, /* `target` is the LET */
    MR_NODE_GET, /* jsonb -> key; `operation`: 1 for ->> */
    MR_NODE_CONCAT,
    MR_NODE_AGGREGATE /* `operation`: mr_aggregate */
} mr_expr_node_kind;

typedef enum mr_comparison {
    MR_EQUAL,
    MR_NOT_EQUAL,
    MR_LESS,
    MR_LESS_EQUAL,
    MR_GREATER,
    MR_GREATER_EQUAL,
    MR_DISTINCT,
    MR_NOT_DISTINCT
} mr_comparison;

typedef enum mr_test {
    MR_IS_NULL,
    MR_IS_NOT_NULL,
    MR_IS_TRUE,
    MR_IS_NOT_TRUE,
    MR_IS_FALSE,
    MR_IS_NOT_FALSE
} mr_test;

typedef enum mr_aggregate { MR_COUNT_ROWS, MR_COUNT, MR_SUM, MR_MIN, MR_MAX, MR_AVG } mr_aggregate;

typedef struct mr_frame mr_frame;
typedef struct mr_program_step mr_program_step;
typedef void (*mr_step_run)(mr_frame *frame, const mr_program_step *step);

typedef enum mr_result_rule {
    MR_RULE_FIXED, /* `result` */
    MR_RULE_SAME,  /* the type of the first argument */
    MR_RULE_ADD,
    MR_RULE_MULTIPLY,
    MR_RULE_DIVIDE,
    MR_RULE_MODULO,
    MR_RULE_QUOTIENT, /* div: scale 0 */
    MR_RULE_WHOLE,    /* Of a numeric: scale 0, one digit more if it had another. */
    MR_RULE_DIGITS,   /* The same to a constant number of digits. */
    MR_RULE_UNIT,     /* date_trunc: a constant unit, and a time; `result`. */
    MR_RULE_PART      /* extract: the same, a number. */
} mr_result_rule;

/* What a step of make_interval sets: years and months, weeks and days, hours and minutes. */
typedef enum mr_interval_with {
    MR_WITH_MONTHS,
    MR_WITH_DAYS,
    MR_WITH_TIME,
    MR_WITH_SECONDS
} mr_interval_with;

typedef struct mr_function { /* One row a signature; functions.c. */
    const char *name;
    uint8_t argument_count;
    uint8_t arguments[MR_ARGUMENTS_MAX]; /* mr_type */
    uint8_t rule, result;
    uint8_t fallible; /* MR_FALLIBLE_ bits; a constant argument may exclude them. */
    mr_step_run run;
    const char *what; /* For M0601. */
} mr_function;

typedef struct mr_node mr_node;
struct mr_node {
    mr_expr_node_kind kind;
    int32_t location; /* Byte of the text. */
    uint32_t kid_count;
    mr_node **kids;
    uint8_t operation;
    bool has_else;     /* CASE */
    bool is_typed;     /* Checked already (nodes made while checking). */
    bool in_aggregate; /* COLUMN: the argument of an aggregate, so of the input. */
    bool nullable;
    uint8_t fallible;
    uint16_t reg; /* compile.c: where the result is. */
    uint16_t column;
    mr_value_type type;
    mr_value value;
    const char *name; /* CALL: function or operator. AGGREGATE: its name. */
    const char *what; /* What can fail. */
    const mr_function *function;
    mr_node *target;
};

typedef struct mr_compile { /* One compilation. */
    const mr_expr_scope *scope;
    const char *text;
    mr_arena *work; /* Freed when the compilation ends. */
    mr_diag *diag;
    mr_status status; /* The first failure. */
    mr_node **nodes;  /* In order of creation. */
    uint32_t node_count, node_room;
    mr_node *root;
    bool aggregates;      /* Aggregates are allowed: `select` of a grouping step. */
    const mr_columns *by; /* Then: the columns of the group. */
    bool collects;        /* Only header names are wanted: columns are not looked up. */
    const char **headers;
    uint32_t header_count, header_count_max;
} mr_compile;

/* ---- place.c: errors with a place ---- */

/* Both set the diag unless an error stands already, and return false. */
bool mr_compile_error(mr_compile *c, int32_t location, uint16_t code, const char *format, ...)
    MR_PRINTF(4, 5);
bool mr_compile_no_memory(mr_compile *c);
/* The nearer of two words at edit distance 1 or 2 from `word`: keeps the best in `best`. */
typedef struct mr_nearest_word {
    const char *best;
    uint32_t distance;
} mr_nearest_word;
void mr_nearest_word_try(mr_nearest_word *nearest, const char *word, const char *candidate);
/* "bigint", "numeric(3,1)", "text literal" */
const char *mr_value_type_text(mr_value_type type, char out[MR_TYPE_TEXT_MAX]);

/* ---- parse.c, names.c ---- */

/* Fills c->root and c->nodes. */
bool mr_parse(mr_compile *c);
mr_node *mr_node_new(mr_compile *c, mr_expr_node_kind kind, int32_t location, uint32_t kid_count);
/* A type by its SQL name and modifiers; false after an error. */
bool mr_type_named(mr_compile *c, int32_t location, const char *name, const int32_t *modifiers,
                   uint32_t modifier_count, mr_value_type *type);
/* Column `name` (parts joined by dots) into `node`; false after an error. */
bool mr_column_named(mr_compile *c, mr_node *node, const char *const *parts, uint32_t part_count);
/* Whether a function may be called at all: unknown, refused and not repeatable ones are errors. */
bool mr_function_known(mr_compile *c, int32_t location, const char *name);

/* ---- functions.c ---- */

const mr_function *mr_functions(uint32_t *count);
/* Why a function or operator of the language is not in this release, or NULL. */
const char *mr_function_refused(const char *name);
bool mr_aggregate_named(const char *name, mr_aggregate *aggregate);

/* ---- types.c ---- */

bool mr_types_equal(mr_value_type a, mr_value_type b);
/* The type both convert to implicitly; false = none. */
bool mr_types_common(mr_value_type a, mr_value_type b, mr_value_type *common);
bool mr_type_converts(mr_value_type from, mr_type to);
/* bigint as the numeric it counts as; numeric unchanged. */
mr_value_type mr_type_as_numeric(mr_value_type type);
/* Result of a numeric operator; false: the scale would exceed 38. */
bool mr_type_numeric_result(mr_result_rule rule, mr_value_type a, mr_value_type b,
                            mr_value_type *result);
/* Digits of a literal such as 0.908; false = not at most 38. */
bool mr_type_literal(const char *digits, mr_value *value, mr_value_type *type);

/* ---- check.c, check_call.c, convert.c ---- */

/* Types all nodes, folds constants. */
bool mr_check(mr_compile *c);
/* A call whose kids are typed. */
bool mr_check_call(mr_compile *c, mr_node *node);
/* concat() and concat_ws(), whose kids are typed: becomes a chain of pairs. */
bool mr_check_concat_call(mr_compile *c, mr_node *node);
/* make_interval(), with a kid for each of its parts: becomes a chain of steps. */
bool mr_check_make_interval(mr_compile *c, mr_node *node);
/* Number of the argument of make_interval with this name, or -1. */
int32_t mr_make_interval_part(const char *name);
/* A constant stride of date_bin() must be one. */
bool mr_check_stride(mr_compile *c, mr_node *node);
/* Takes over from the kids what can be NULL and what can fail. */
void mr_node_inherit(mr_node *node);
/* The node itself can fail so. */
void mr_node_can_fail(mr_node *node, uint8_t classes, const char *what);
/* Puts a conversion in front of *slot if need be; implicit ones only. */
bool mr_convert_slot(mr_compile *c, mr_node **slot, mr_value_type wanted);
/* The same, to the type alone: numerics keep their digits. */
bool mr_convert_kind(mr_compile *c, mr_node **slot, mr_type wanted);
/* Tests a CAST node whose kid is typed, sets its run, fallible, what. */
bool mr_cast_check(mr_compile *c, mr_node *node);
mr_step_run mr_cast_run(mr_value_type from, mr_value_type to);
/* If all kids are constants: evaluates the node; M0308 when that fails. */
bool mr_constant_fold(mr_compile *c, mr_node *node);

/* ---- compile.c: programs ---- */

typedef enum mr_register_kind {
    MR_REGISTER_INPUT,
    MR_REGISTER_EVENT_TIME,
    MR_REGISTER_CONST,
    MR_REGISTER_TEMP
} mr_register_kind;

typedef struct mr_register_plan {
    uint8_t kind, type; /* type: mr_type */
    uint16_t index;     /* INPUT: column. TEMP: number within its width. */
    mr_value value;
} mr_register_plan;

struct mr_program_step {
    mr_step_run run;
    uint16_t dst, a, b, c; /* Registers; mask steps: dst is a mask. */
    uint16_t mask;         /* The rows it acts upon. */
    bool writes;           /* May write to the scratch. */
    uint8_t operation;
    uint8_t scale_a, scale_b, scale, precision;
    const void *extra;
};

enum { MR_WIDTH_CLASSES = 3 }; /* Cells of 1, 8 and 16 bytes. */

struct mr_expr { /* Immutable. */
    mr_field result;
    bool is_column, is_literal;
    uint32_t column;
    uint32_t fallible;
    const char *what;
    const mr_program_step *steps;
    const mr_register_plan *registers;
    const uint16_t *columns; /* Input columns it reads. */
    uint32_t step_count, register_count, mask_count, column_count;
    uint32_t temp_counts[MR_WIDTH_CLASSES];
    uint16_t result_register;
    mr_view literal; /* is_literal: its text. */
    mr_place place;  /* Of the whole text. */
};

/* The program of a checked tree; all of it in `arena`. NULL after an error. */
mr_expr *mr_program_make(mr_compile *c, mr_node *root, mr_arena *arena);
uint32_t mr_width_class(mr_type type);
/* expr.c: begins and ends a compilation. */
bool mr_compile_begin(mr_compile *c, const mr_expr_scope *scope, const char *text, mr_diag *diag);
void mr_compile_end(mr_compile *c);

/* ---- eval.c: running ---- */

typedef struct mr_register {
    mr_column column; /* As kernels read it. */
    void *cells;      /* TEMP, CONST: own room; what column.as points to. */
    uint64_t *words;  /* Own validity. */
} mr_register;

struct mr_frame {
    const mr_batch *in;
    uint32_t row_count, word_count;
    mr_register *registers;                /* Of the running program. */
    uint64_t (*masks)[MR_BATCH_WORDS_MAX]; /* masks[0]: the selected rows. */
    uint64_t *failed;                      /* Rows in error. */
    mr_row_error *errors;
    uint8_t *scratch_at, *scratch_end;
    bool any_failed, overflow;
    bool is_least; /* No smaller batch can follow: what finds no room is its row's error. */
};

/* As mr_eval_create for batches of at most `rows_max`. */
mr_eval *mr_eval_create_sized(mr_arena *arena, const mr_expr *const *exprs, uint32_t count,
                              uint32_t scratch_bytes_max, uint32_t rows_max);
/* Marks the rows of `rows` (words) that act and have no error yet. */
void mr_frame_fail(mr_frame *frame, const mr_program_step *step, const uint64_t *rows,
                   mr_row_error error);
void mr_frame_fail_row(mr_frame *frame, uint32_t row, mr_row_error error);
/* Room for a text result of `row`; NULL = full, and the row or the batch is marked. */
uint8_t *mr_frame_room(mr_frame *frame, uint32_t row, uint64_t size_bytes);
/* The text of this size that was written there. */
static inline mr_view mr_frame_take(mr_frame *frame, uint64_t size_bytes)
{
    const mr_view text = {frame->scratch_at, (uint32_t)size_bytes};

    MR_ASSERT(size_bytes <= (uint64_t)(frame->scratch_end - frame->scratch_at));
    frame->scratch_at += size_bytes;
    return text;
}
/* The rows a kernel must look at: mask, no error, none of the 1 to 3 arguments null. */
void mr_frame_live(const mr_frame *frame, const mr_program_step *step, uint32_t argument_count,
                   uint64_t *live);
/* Result validity of a strict function of 1 to 3 arguments. */
void mr_frame_strict(mr_frame *frame, const mr_program_step *step, uint32_t argument_count);
/* The same where rows may become null beside: own words, filled as above. */
uint64_t *mr_frame_words(mr_frame *frame, const mr_program_step *step, uint32_t argument_count);
/* One bit a row from one byte a row. */
void mr_frame_bits(const mr_frame *frame, const uint8_t *booleans, uint64_t *bits);

/* The next row of `words` from `*row` on; false = none. Call with *row = 0, then row + 1. */
static inline bool mr_next_row(const uint64_t *words, uint32_t word_count, uint32_t *row)
{
    uint32_t at = *row / 64;
    if (at >= word_count) {
        return false;
    }
    uint64_t word = words[at] >> (*row % 64);
    if (word != 0) {
        *row += (uint32_t)__builtin_ctzll(word);
        return true;
    }
    for (at++; at < word_count; at++) {
        if (words[at] != 0) {
            *row = at * 64 + (uint32_t)__builtin_ctzll(words[at]);
            return true;
        }
    }
    return false;
}

/* Kernels, by file. */
/* eval_mask.c */
void mr_run_mask_true(mr_frame *frame, const mr_program_step *step);
void mr_run_mask_not_true(mr_frame *frame, const mr_program_step *step);
void mr_run_mask_not_false(mr_frame *frame, const mr_program_step *step);
void mr_run_mask_valid(mr_frame *frame, const mr_program_step *step);
void mr_run_mask_null(mr_frame *frame, const mr_program_step *step);
void mr_run_mask_live(mr_frame *frame, const mr_program_step *step);
void mr_run_clear(mr_frame *frame, const mr_program_step *step);
void mr_run_merge(mr_frame *frame, const mr_program_step *step);
void mr_run_try_end(mr_frame *frame, const mr_program_step *step);
/* eval_boolean.c */
void mr_run_and(mr_frame *frame, const mr_program_step *step);
void mr_run_or(mr_frame *frame, const mr_program_step *step);
void mr_run_not(mr_frame *frame, const mr_program_step *step);
void mr_run_test(mr_frame *frame, const mr_program_step *step);
void mr_run_nullif(mr_frame *frame, const mr_program_step *step);
/* eval_integer.c */
void mr_run_add_integer(mr_frame *frame, const mr_program_step *step);
void mr_run_subtract_integer(mr_frame *frame, const mr_program_step *step);
void mr_run_multiply_integer(mr_frame *frame, const mr_program_step *step);
void mr_run_divide_integer(mr_frame *frame, const mr_program_step *step);
void mr_run_modulo_integer(mr_frame *frame, const mr_program_step *step);
void mr_run_negate_integer(mr_frame *frame, const mr_program_step *step);
void mr_run_abs_integer(mr_frame *frame, const mr_program_step *step);
/* Division by a constant: `extra` is what mr_divisor_make() gave. NULL: not for this divisor. */
const void *mr_divisor_make(mr_arena *arena, int64_t divisor);
void mr_run_divide_fixed(mr_frame *frame, const mr_program_step *step);
void mr_run_modulo_fixed(mr_frame *frame, const mr_program_step *step);
/* eval_double.c */
void mr_run_add_double(mr_frame *frame, const mr_program_step *step);
void mr_run_subtract_double(mr_frame *frame, const mr_program_step *step);
void mr_run_multiply_double(mr_frame *frame, const mr_program_step *step);
void mr_run_divide_double(mr_frame *frame, const mr_program_step *step);
void mr_run_negate_double(mr_frame *frame, const mr_program_step *step);
void mr_run_abs_double(mr_frame *frame, const mr_program_step *step);
/* eval_numeric.c */
/* The rows that act, each given to `operation`; what it returns is the row's error. */
typedef mr_row_error (*mr_numeric_operation)(const mr_program_step *step, mr_int128 a, mr_int128 b,
                                             mr_int128 *out);
void mr_run_numeric_pairs(mr_frame *frame, const mr_program_step *step,
                          mr_numeric_operation operation);
/* The same of one argument: b is 0. */
void mr_run_numerics(mr_frame *frame, const mr_program_step *step, mr_numeric_operation operation);
void mr_run_add_numeric(mr_frame *frame, const mr_program_step *step);
void mr_run_subtract_numeric(mr_frame *frame, const mr_program_step *step);
void mr_run_multiply_numeric(mr_frame *frame, const mr_program_step *step);
void mr_run_divide_numeric(mr_frame *frame, const mr_program_step *step);
void mr_run_modulo_numeric(mr_frame *frame, const mr_program_step *step);
void mr_run_negate_numeric(mr_frame *frame, const mr_program_step *step);
void mr_run_abs_numeric(mr_frame *frame, const mr_program_step *step);
/* eval_compare.c */
mr_step_run mr_compare_run(mr_type type);
mr_step_run mr_extreme_run(mr_type type);
int mr_compare_numeric(mr_int128 a, uint32_t scale_a, mr_int128 b, uint32_t scale_b);
int mr_compare_double(double a, double b);
int mr_compare_view(mr_view a, mr_view b);
/* eval_text.c */
void mr_run_lower(mr_frame *frame, const mr_program_step *step);
void mr_run_upper(mr_frame *frame, const mr_program_step *step);
void mr_run_length(mr_frame *frame, const mr_program_step *step);
void mr_run_octet_length(mr_frame *frame, const mr_program_step *step);
void mr_run_concat(mr_frame *frame, const mr_program_step *step);
/* eval_string.c */
void mr_run_substring_from(mr_frame *frame, const mr_program_step *step);
void mr_run_substring_for(mr_frame *frame, const mr_program_step *step);
void mr_run_left(mr_frame *frame, const mr_program_step *step);
void mr_run_right(mr_frame *frame, const mr_program_step *step);
void mr_run_position(mr_frame *frame, const mr_program_step *step);
void mr_run_starts_with(mr_frame *frame, const mr_program_step *step);
void mr_run_split_part(mr_frame *frame, const mr_program_step *step);
void mr_run_trim_spaces(mr_frame *frame, const mr_program_step *step);
void mr_run_trim_left_spaces(mr_frame *frame, const mr_program_step *step);
void mr_run_trim_right_spaces(mr_frame *frame, const mr_program_step *step);
void mr_run_trim(mr_frame *frame, const mr_program_step *step);
void mr_run_trim_left(mr_frame *frame, const mr_program_step *step);
void mr_run_trim_right(mr_frame *frame, const mr_program_step *step);
void mr_run_ascii(mr_frame *frame, const mr_program_step *step);
/* eval_time.c: `operation` is the mr_time_unit. */
void mr_run_date_trunc(mr_frame *frame, const mr_program_step *step);
void mr_run_date_trunc_date(mr_frame *frame, const mr_program_step *step);
void mr_run_date_trunc_interval(mr_frame *frame, const mr_program_step *step);
void mr_run_extract(mr_frame *frame, const mr_program_step *step);
void mr_run_extract_date(mr_frame *frame, const mr_program_step *step);
void mr_run_extract_interval(mr_frame *frame, const mr_program_step *step);
void mr_run_to_timestamp(mr_frame *frame, const mr_program_step *step);
/* eval_interval.c */
void mr_run_add_intervals(mr_frame *frame, const mr_program_step *step);
void mr_run_subtract_intervals(mr_frame *frame, const mr_program_step *step);
void mr_run_negate_interval(mr_frame *frame, const mr_program_step *step);
void mr_run_multiply_interval(mr_frame *frame, const mr_program_step *step);
void mr_run_multiply_by_interval(mr_frame *frame, const mr_program_step *step);
void mr_run_divide_interval(mr_frame *frame, const mr_program_step *step);
void mr_run_add_time_interval(mr_frame *frame, const mr_program_step *step);
void mr_run_add_interval_time(mr_frame *frame, const mr_program_step *step);
void mr_run_subtract_time_interval(mr_frame *frame, const mr_program_step *step);
void mr_run_add_date_interval(mr_frame *frame, const mr_program_step *step);
void mr_run_add_interval_date(mr_frame *frame, const mr_program_step *step);
void mr_run_subtract_date_interval(mr_frame *frame, const mr_program_step *step);
void mr_run_subtract_times(mr_frame *frame, const mr_program_step *step);
void mr_run_date_bin(mr_frame *frame, const mr_program_step *step);
void mr_run_interval_with(mr_frame *frame, const mr_program_step *step);
void mr_run_interval_with_seconds(mr_frame *frame, const mr_program_step *step);
/* eval_date.c, cast_bytes.c */
void mr_run_add_date_days(mr_frame *frame, const mr_program_step *step);
void mr_run_add_days_date(mr_frame *frame, const mr_program_step *step);
void mr_run_subtract_date_days(mr_frame *frame, const mr_program_step *step);
void mr_run_subtract_dates(mr_frame *frame, const mr_program_step *step);
void mr_run_cast_date_time(mr_frame *frame, const mr_program_step *step);
void mr_run_cast_time_date(mr_frame *frame, const mr_program_step *step);
void mr_run_cast_bytes_text(mr_frame *frame, const mr_program_step *step);
void mr_run_cast_text_bytes(mr_frame *frame, const mr_program_step *step);
/* eval_build.c: texts that are no part of an argument. */
void mr_run_replace(mr_frame *frame, const mr_program_step *step);
void mr_run_pad_left(mr_frame *frame, const mr_program_step *step);
void mr_run_pad_right(mr_frame *frame, const mr_program_step *step);
void mr_run_pad_left_spaces(mr_frame *frame, const mr_program_step *step);
void mr_run_pad_right_spaces(mr_frame *frame, const mr_program_step *step);
void mr_run_reverse(mr_frame *frame, const mr_program_step *step);
void mr_run_chr(mr_frame *frame, const mr_program_step *step);
/* Parts of concat and concat_ws; check_concat.c. */
void mr_run_boolean_letter(mr_frame *frame, const mr_program_step *step);
void mr_run_append(mr_frame *frame, const mr_program_step *step);
void mr_run_append_separated(mr_frame *frame, const mr_program_step *step);
/* eval_round.c, eval_power.c */
void mr_run_round_double(mr_frame *frame, const mr_program_step *step);
void mr_run_ceil_double(mr_frame *frame, const mr_program_step *step);
void mr_run_floor_double(mr_frame *frame, const mr_program_step *step);
void mr_run_trunc_double(mr_frame *frame, const mr_program_step *step);
void mr_run_sign_double(mr_frame *frame, const mr_program_step *step);
void mr_run_round_numeric(mr_frame *frame, const mr_program_step *step);
void mr_run_ceil_numeric(mr_frame *frame, const mr_program_step *step);
void mr_run_floor_numeric(mr_frame *frame, const mr_program_step *step);
void mr_run_trunc_numeric(mr_frame *frame, const mr_program_step *step);
void mr_run_sign_numeric(mr_frame *frame, const mr_program_step *step);
void mr_run_quotient_numeric(mr_frame *frame, const mr_program_step *step);
void mr_run_power(mr_frame *frame, const mr_program_step *step);
void mr_run_sqrt(mr_frame *frame, const mr_program_step *step);
void mr_run_ln(mr_frame *frame, const mr_program_step *step);
void mr_run_exp(mr_frame *frame, const mr_program_step *step);
/* eval_like.c: `extra` points to the escape's code point (uint32_t; 0 = none). */
void mr_run_like(mr_frame *frame, const mr_program_step *step);
/* Whether no text can bring this pattern to its error (a lone escape at its end). */
bool mr_like_pattern_safe(mr_view pattern, uint32_t escape);
/* eval_json.c: `extra` is a mr_json_key. */
typedef struct mr_json_key {
    bool is_index;
    int64_t index;
    mr_view quoted; /* The key as it stands in the text, quotes included. */
} mr_json_key;
void mr_run_get(mr_frame *frame, const mr_program_step *step);
void mr_run_get_text(mr_frame *frame, const mr_program_step *step);
void mr_run_json_kind(mr_frame *frame, const mr_program_step *step);
void mr_run_json_length(mr_frame *frame, const mr_program_step *step);
/* The kind of a jsonb text: its first byte classified; see eval_json.c. */

/* cast_number.c, cast_text.c, cast_json.c: step->scale_a source, scale and precision target. */
void mr_run_cast_integer_double(mr_frame *frame, const mr_program_step *step);
void mr_run_cast_integer_numeric(mr_frame *frame, const mr_program_step *step);
void mr_run_cast_numeric_integer(mr_frame *frame, const mr_program_step *step);
void mr_run_cast_numeric_double(mr_frame *frame, const mr_program_step *step);
void mr_run_cast_numeric_numeric(mr_frame *frame, const mr_program_step *step);
void mr_run_cast_double_integer(mr_frame *frame, const mr_program_step *step);
void mr_run_cast_double_numeric(mr_frame *frame, const mr_program_step *step);
bool mr_cast_double_to_integer(double value, int64_t *out);
void mr_run_cast_to_text(mr_frame *frame, const mr_program_step *step);   /* operation: mr_type */
void mr_run_cast_from_text(mr_frame *frame, const mr_program_step *step); /* operation: to */
void mr_run_cast_text_json(mr_frame *frame, const mr_program_step *step);
void mr_run_cast_json(mr_frame *frame, const mr_program_step *step); /* operation: to */
/* Exact text to numeric(precision, scale), rounded. */
mr_row_error mr_numeric_from_text(const char *text, uint32_t size_bytes, uint32_t precision,
                                  uint32_t scale, mr_int128 *out);

#endif
