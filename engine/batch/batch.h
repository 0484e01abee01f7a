/*
 * batch.h - filling batches, pools of them, and the keys of a batch. Readers need only
 * <millrace/batch.h>. Thread: the owning shard's.
 *
 * A batch has either cells of its own (sources, aggregates) or borrows all its columns (filter,
 * map). Its memory is taken in OPEN; nothing is allocated while rows flow.
 */
#ifndef MR_BATCH_BATCH_H
#define MR_BATCH_BATCH_H

#include "engine/base/arena.h"
#include <millrace/batch.h>
#include <millrace/store.h>
#include <stdbool.h>
#include <stdint.h>

/* ---- Schemas ---- */

/* Copies fields, key, mode and identity into `arena`. NULL = no memory. */
mr_schema *mr_schema_copy(struct mr_arena *arena, const mr_schema *schema);
/* Index of the column, or UINT32_MAX. */
uint32_t mr_schema_find(const mr_schema *schema, const char *name, uint32_t size_bytes);
/* XXH3-64 over names, types, precision and scale, nullability left out. */
uint64_t mr_schema_fingerprint(const mr_schema *schema);
/* "numeric(18,2)", "text" into `out`; returns out. */
enum { MR_TYPE_TEXT_MAX = 32 };
const char *mr_type_text(const mr_field *field, char out[MR_TYPE_TEXT_MAX]);
/* Bytes of one cell of a type in a column (1, 4, 8 or 16). */
uint32_t mr_type_cell_bytes(mr_type type);

/* ---- Batches ---- */

typedef struct mr_batch_pool mr_batch_pool;

/*
 * `count` batches of `schema`; with `scratch_bytes` of text room each. `borrows`: no cells.
 * Lives as long as the arena; NULL = no memory.
 */
mr_batch_pool *mr_batch_pool_create(struct mr_arena *arena, const mr_schema *schema, uint32_t count,
                                    uint32_t scratch_bytes, bool borrows);
/*
 * What happens to a fetch when the batch that owns it (by mr_batch_set_fetch) goes home or is
 * cleared; a batch that only inherited it releases nothing. `context` is borrowed for the pool's
 * life.
 */
void mr_batch_pool_on_release(mr_batch_pool *pool, void (*release)(void *context, void *fetch),
                              void *context);
/* Batches at home. */
uint32_t mr_batch_pool_free_count(const mr_batch_pool *pool);
/* An empty batch, or NULL when all are out (which is backpressure). */
mr_batch *mr_batch_take(mr_batch_pool *pool);
/* Home; releases its fetch if this batch owns it. */
void mr_batch_give_back(mr_batch *batch);
/* Empties a taken batch for refilling: no rows, no nulls, scratch free, nothing borrowed. */
void mr_batch_clear(mr_batch *batch);

/* Cells of a column with room for MR_BATCH_ROWS_MAX rows: uint8_t, int64_t, int32_t, double,
 * mr_int128, mr_interval or mr_view by type. Not for a borrowing batch. */
void *mr_batch_cells(mr_batch *batch, uint32_t column);
/* Marks one cell null; cells are valid until marked. */
void mr_batch_set_null(mr_batch *batch, uint32_t column, uint32_t row);
/* The validity bitmap for bulk writing (all ones after clear); makes the column nullable. */
uint64_t *mr_batch_validity(mr_batch *batch, uint32_t column);
/* Makes event times of its own present: room for a full batch, to be filled by the caller. */
int64_t *mr_batch_event_times(mr_batch *batch);
uint8_t *mr_batch_changes(mr_batch *batch);    /* Makes `change` present, zeroed. */
uint16_t *mr_batch_records(mr_batch *batch);   /* Makes `record` present. */
uint16_t *mr_batch_selection(mr_batch *batch); /* Room; takes effect by mr_batch_select. */
/* Text scratch valid until the batch goes home or is cleared; NULL = full. */
uint8_t *mr_batch_scratch(mr_batch *batch, uint32_t size_bytes);
/* The scratch room as a span, and how much of it was used, for bulk writers. */
void mr_batch_scratch_room(mr_batch *batch, uint8_t **from, uint8_t **end);
void mr_batch_scratch_used(mr_batch *batch, uint8_t *up_to);

/* Rows are complete: all selected. They have event times (asserted). */
void mr_batch_set_rows(mr_batch *batch, uint32_t row_count);
/* The first `count` entries of mr_batch_selection() are the selection. */
void mr_batch_select(mr_batch *batch, uint32_t count);

/* Borrowing: all columns and row attributes of `in` (schemas of equal columns). */
void mr_batch_share(mr_batch *out, const mr_batch *in);
/* Borrowing: one column; and row attributes alone (times, change, record, fetch, selection). */
void mr_batch_borrow_column(mr_batch *out, uint32_t column, const mr_column *source);
void mr_batch_inherit(mr_batch *out, const mr_batch *in);

/*
 * The fetch (opaque here) whose records `record` numbers; NULL = none. The batch on which it is set
 * owns it; batches made by mr_batch_share and mr_batch_inherit see it.
 */
void mr_batch_set_fetch(mr_batch *batch, void *fetch);
void *mr_batch_fetch(const mr_batch *batch);

/* ---- Keys ---- */

/*
 * Key bytes are canonical: for each key column one byte (0 null, 1 present), then the value:
 * boolean 1, bigint and timestamptz 8, date 4, double 8 (-0 as 0, one NaN), numeric 16, interval
 * 16, little-endian; text, bytea, jsonb a uint32 size and the bytes.
 */
enum { MR_KEY_TOO_LONG = 0xffff };

/* Scratch for one operator instance. `columns` of the input schema; `seed` of mr_table_seed(). */
mr_keys *mr_keys_create(struct mr_arena *arena, const uint16_t *columns, uint32_t column_count,
                        uint64_t seed);
/*
 * Encodes, hashes and folds equal keys of the selected rows; key_of_row[i] is of the i-th selected
 * row, MR_KEY_TOO_LONG above MR_KEY_BYTES_MAX. False = the distinct keys of the batch exceed the
 * scratch (MR_KEYS_BYTES_MAX): the caller fails the task with MR_ERR_OVERFLOW, and smaller batches
 * follow; one key always fits.
 */
enum { MR_KEYS_BYTES_MAX = MR_BATCH_ROWS_MAX * 1024 };
bool mr_keys_encode(mr_keys *keys, const mr_batch *in);
/* One key of at least one column from `in`'s row into `out` (MR_KEY_BYTES_MAX room); its size, or 0
 * when too long. */
uint32_t mr_key_encode_row(const mr_batch *in, uint32_t row, const uint16_t *columns,
                           uint32_t column_count, uint8_t *out);
/* Decodes a key of the first `column_count` columns of `schema` into row `row` of `out`: column i
 * goes to column targets[i], of the same type. Texts become views into `key`. False = the bytes do
 * not fit the types (damaged); cells may have been written. */
bool mr_key_decode_row(mr_view key, const mr_schema *schema, const uint16_t *targets,
                       uint32_t column_count, mr_batch *out, uint32_t row);

#endif
