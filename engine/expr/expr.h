/*
 * expr.h - SQL expressions: PostgreSQL's text, checked at load, evaluated a column at a time.
 *
 * mr_expr_compile() parses with PostgreSQL's own grammar (libpg_query), checks names and types and
 * makes a flat program. mr_eval_* runs programs over batches. mr_fold_* are typed aggregates over
 * the rows of a group. Value, NULL or SQLSTATE equal PostgreSQL 15's but for the exceptions listed
 * in docs/topology.md. Threads: compile on control; an mr_eval or mr_fold_scratch belongs to one
 * shard; the compiled objects are immutable and shared.
 */
#ifndef MR_EXPR_EXPR_H
#define MR_EXPR_EXPR_H

#include "engine/base/arena.h"
#include <millrace/batch.h>
#include <millrace/option.h>
#include <millrace/row_error.h>
#include <millrace/status.h>
#include <millrace/store.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    MR_EXPR_TEXT_MAX = 65536,       /* Bytes of one expression. */
    MR_EXPR_STEPS_MAX = 4096,       /* Of one program. */
    MR_EXPR_DEPTH_MAX = 64,         /* Nesting. */
    MR_EXPR_SCRATCH_BYTES = 4 << 20 /* A fit scratch: the texts of one batch. Programs that make
                                       no text take none. */
};

typedef struct mr_expr_scope { /* What an expression may see. */
    const char *input_name;    /* `input.column` is the same as `column`. */
    const mr_schema *schema;   /* Hidden fields are reached as meta.offset, meta.header('x')... */
    bool event_time;           /* Whether `event_time` is known here. */
    mr_place place;            /* Of the first character of the text, for errors. */
    bool literal_block; /* The text is a `|` block: columns of later lines start at `indent`. */
    uint32_t indent;    /* Column (from 1) where lines after the first start. */
} mr_expr_scope;

/*
 * Compiles one expression. On a user error: MR_ERR_CONFIG with code M03xx and the exact place; a
 * hint may follow the text after "\nhint: ". The result lives as long as `arena`.
 */
MR_MUST_USE mr_status mr_expr_compile(const mr_expr_scope *scope, const char *text, mr_arena *arena,
                                      const mr_expr **expr, mr_diag *diag);
/* Type, precision, scale and nullability of the result; `name` is the column name if the
 * expression is a plain column, else NULL. */
const mr_field *mr_expr_result(const mr_expr *expr);
/* MR_FALLIBLE_ bits of plan.h; `what` (may be NULL) receives a text like `cast text -> numeric`. */
uint32_t mr_expr_fallible(const mr_expr *expr, const char **what);
/* Marks the input columns it reads in `needed` (schema->field_count entries). */
void mr_expr_columns(const mr_expr *expr, bool *needed);
/* Whether it is nothing but a column; which one. */
bool mr_expr_is_column(const mr_expr *expr, uint32_t *column);
/* A quoted literal converted to the wanted type, as the language's implicit conversion. Changes
 * nothing if the types are equal; M0304 if no implicit conversion exists. */
MR_MUST_USE mr_status mr_expr_convert(const mr_expr *expr, const mr_field *wanted, mr_arena *arena,
                                      const mr_expr **converted, mr_diag *diag);

/* Names of headers read by meta.header('x') in `text`, for the planner's first pass: at most
 * `count_max`, copied to `arena`. A text that does not parse has none. */
uint32_t mr_expr_headers(const char *text, mr_arena *arena, const char **names, uint32_t count_max);

/* ---- Evaluation ---- */

typedef struct mr_eval mr_eval; /* Scratch for a list of programs over one schema. */

/* `scratch_bytes_max` bounds the text results of one batch. NULL = no memory. */
mr_eval *mr_eval_create(mr_arena *arena, const mr_expr *const *exprs, uint32_t count,
                        uint32_t scratch_bytes_max);
/*
 * Evaluates all programs over the selected rows. Results are valid until the next run and as long
 * as `in`. MR_ERR_OVERFLOW: texts exceed the scratch (the task is failed with it, and the epoch
 * redone with smaller batches; a single row, or one of the two halves of one change, is in error
 * 54000 instead).
 */
MR_MUST_USE mr_status mr_eval_run(mr_eval *eval, const mr_batch *in);
/* The same for rows of which the caller knows that no smaller batch can follow. */
void mr_eval_run_least(mr_eval *eval, const mr_batch *in);
/* Result `index` by row number of `in`; a plain column gives the input's own column. */
const mr_column *mr_eval_column(const mr_eval *eval, uint32_t index);
/* By row number: the first error of the row in any program; NULL = no row has one. */
const mr_row_error *mr_eval_errors(const mr_eval *eval);
/* What became of a row of the last run fails after all: its error, if it has none yet. */
void mr_eval_fail(mr_eval *eval, uint32_t row, mr_row_error error);
/* For a single boolean program: the selected rows that are true, and not in error, into
 * `selection` (room for a full batch); returns their count. */
uint32_t mr_eval_condition(const mr_eval *eval, const mr_batch *in, uint16_t *selection);

/* ---- Aggregates ---- */

typedef struct mr_fold_item { /* One result column as written. */
    const char *name, *text;  /* `text` empty: the group column of this name. */
    mr_place place;
    bool literal_block;
    uint32_t indent;
} mr_fold_item;

typedef struct mr_fold_scratch mr_fold_scratch;

/*
 * Compiles `select` of a grouping step: columns of `by` and expressions over aggregates count,
 * sum, min, max, avg, each with or without `filter (where ...)`. Errors M0309 and M03xx.
 * `fold`'s output schema: the items in order, key = the stream's key columns kept by their output
 * names (else unkeyed), mode upsert, identity = `by`, then hidden nothing.
 */
MR_MUST_USE mr_status mr_fold_compile(const mr_expr_scope *scope, const mr_columns *by,
                                      const mr_fold_item *items, uint32_t item_count,
                                      mr_arena *arena, const mr_fold **fold, mr_diag *diag);
const mr_schema *mr_fold_schema(const mr_fold *fold);       /* Of the output rows. */
const mr_schema *mr_fold_key_schema(const mr_fold *fold);   /* Of `by`, for keys and dumps. */
const mr_schema *mr_fold_value_schema(const mr_fold *fold); /* Accumulators as columns, dumps. */
uint64_t mr_fold_layout(const mr_fold *fold);
/* Fixed size of a record's head; a record of variable size says its own in its head. */
uint32_t mr_fold_record_size(const mr_fold *fold);
uint32_t mr_fold_fallible(const mr_fold *fold, const char **what);
void mr_fold_columns(const mr_fold *fold, bool *needed);
/* Whether records have a variable tail (min or max of text). */
bool mr_fold_is_variable(const mr_fold *fold);

mr_fold_scratch *mr_fold_scratch_create(const mr_fold *fold, mr_arena *arena);
/* Evaluates the arguments of all aggregates over the batch. As mr_eval_run. */
MR_MUST_USE mr_status mr_fold_arguments(mr_fold_scratch *scratch, const mr_batch *in);
/* By row number. */
mr_row_error mr_fold_argument_error(const mr_fold_scratch *scratch, uint32_t row);
/* Bytes the record will need after row `row`; `record` NULL = a new one. */
uint32_t mr_fold_size_after(const mr_fold_scratch *scratch, uint32_t row, const void *record);
/* Whether the row can be folded into the record (NULL = a new one): an overflow, or OK. */
mr_row_error mr_fold_test(mr_fold_scratch *scratch, uint32_t row, const void *record);
/* Folds in the row that was tested last, against this record. `record` has the size asked for
 * above. Cannot fail. */
void mr_fold_apply(mr_fold_scratch *scratch, uint32_t row, void *record);
/* Both. On an error the record is as it was. */
mr_row_error mr_fold_row(mr_fold_scratch *scratch, uint32_t row, void *record);
/*
 * Writes output row `row` of `out` from key bytes and a record (the result expressions are
 * evaluated by mr_fold_finish() over all rows written since). Texts are copied to out's scratch;
 * false = scratch full: finish the rows before this one, it is written again later.
 */
bool mr_fold_emit(mr_fold_scratch *scratch, mr_view key, const void *record, mr_batch *out,
                  uint32_t row);
/* Completes `row_count` emitted rows: result expressions. Row errors by row number in `errors`
 * (NULL = none); what such a row could not compute is NULL. The rows are still to be set. Texts
 * that do not fit are MR_ERR_OVERFLOW; of rows that no smaller batch can hold, which the caller
 * knows (`is_least`), they are the row's error 54000. */
MR_MUST_USE mr_status mr_fold_finish(mr_fold_scratch *scratch, mr_batch *out, uint32_t row_count,
                                     bool is_least, const mr_row_error **errors);

#endif
