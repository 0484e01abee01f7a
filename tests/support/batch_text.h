/*
 * batch_text.h - schemas and batches from text, and batches to text, for tests.
 *
 * Columns: "id bigint, name text not null, price numeric(10,2), m text hidden". Rows: one a line,
 * cells between `|`, `\N` for null; texts as they stand, times in ISO, jsonb canonical already.
 * A failure is an assertion: a test's text is our own.
 */
#ifndef MR_TESTS_SUPPORT_BATCH_TEXT_H
#define MR_TESTS_SUPPORT_BATCH_TEXT_H

#include "engine/base/arena.h"
#include <millrace/batch.h>

/* A schema in append mode without a key; it and its names live as long as the arena. */
mr_schema *mr_test_schema(mr_arena *arena, const char *columns);

/* A batch of a pool of its own; event times are the row number in milliseconds. */
mr_batch *mr_test_batch(mr_arena *arena, const mr_schema *schema, const char *rows);

/* The selected rows as text in the same form, from the arena. */
const char *mr_test_rows(mr_arena *arena, const mr_batch *batch);

#endif
