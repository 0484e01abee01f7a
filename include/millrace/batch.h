/*
 * batch.h - rows travel as batches: columns plus a selection vector.
 *
 * A batch is at most MR_BATCH_ROWS_MAX rows of one schema. Rows outside the selection do not exist
 * for a reader. Views stay valid until the batch goes home (to the pool it came from). The means to
 * fill a batch are in engine/batch/batch.h. Thread: the owning shard's.
 */
#ifndef MILLRACE_BATCH_H
#define MILLRACE_BATCH_H

#include <stdbool.h>
#include <stdint.h>

enum {
    MR_BATCH_ROWS_MAX = 1024,
    MR_BATCH_WORDS_MAX = MR_BATCH_ROWS_MAX / 64, /* Words of a validity bitmap. */
    MR_FIELDS_MAX = 512,                         /* Columns of a schema. */
    MR_KEY_FIELDS_MAX = 16,                      /* Columns of a key. */
    MR_NAME_BYTES_MAX = 63
};

typedef enum mr_type {
    MR_BOOLEAN,
    MR_BIGINT,
    MR_DOUBLE,
    MR_NUMERIC,
    MR_TEXT,
    MR_BYTEA,
    MR_TIMESTAMPTZ,
    MR_DATE,
    MR_INTERVAL,
    MR_JSONB
} mr_type;

__extension__ typedef __int128 mr_int128;

typedef struct mr_view { /* Borrowed bytes. NULL bytes = null where null is possible. */
    const uint8_t *bytes;
    uint32_t size_bytes;
} mr_view;

typedef struct mr_interval {
    int64_t microseconds;
    int32_t days, months;
} mr_interval;

typedef struct mr_field { /* A column's name and type; owned by the plan. */
    const char *name;
    mr_type type;
    uint8_t precision, scale; /* numeric only: precision 1-38, scale 0-precision. */
    bool nullable;
    bool hidden; /* `meta.*` and other passengers: carried along, never written by a sink. */
} mr_field;

typedef enum mr_mode { MR_APPEND, MR_UPSERT } mr_mode;

typedef struct mr_schema { /* Immutable, owned by the plan. */
    const mr_field *fields;
    uint32_t field_count;
    uint32_t key_count; /* Columns that decide the partition; 0 = unkeyed. */
    uint16_t key[MR_KEY_FIELDS_MAX];
    mr_mode mode;
    uint32_t identity_count; /* Upsert: the columns that name the thing a row is about. */
    uint16_t identity[MR_KEY_FIELDS_MAX];
} mr_schema;

typedef struct mr_column {
    const uint64_t *valid; /* One bit a row, set = not null; NULL = no nulls. */
    union {
        const uint8_t *booleans;
        const int64_t *integers; /* bigint; timestamptz in microseconds UTC since 1970 */
        const int32_t *dates;    /* days since 1970-01-01 */
        const double *doubles;
        const mr_int128 *numerics; /* unscaled; the scale is in the schema */
        const mr_interval *intervals;
        const mr_view *views; /* text, bytea, jsonb; valid until the batch goes home */
    } as;
} mr_column;

typedef enum mr_change { /* What a row of an upsert stream says. */
                         MR_CHANGE_INSERT =
                             0, /* A new half without an old one. Every row of an append stream. */
                         MR_CHANGE_OLD, /* The row as last sent. If its NEW follows in the next
                                           selected row the two are one update; alone it is a
                                           delete. */
                         MR_CHANGE_NEW /* The row as it is now; without its OLD in front: an insert.
                                        */
} mr_change;

typedef struct mr_batch_home mr_batch_home; /* Private: the pool, and what is borrowed. */

typedef struct mr_batch {
    const mr_schema *schema;      /* Names, types, scales, key columns; owned by the plan. */
    const mr_column *columns;     /* schema->field_count of them. */
    const int64_t *event_time_us; /* One a row; NULL only in an empty batch. */
    const int64_t *watermark_us;  /* The watermark each row meets; NULL = nobody asks. */
    const uint8_t *change;        /* mr_change a row; NULL = all INSERT. */
    const uint16_t *selection;    /* Row numbers, ascending; NULL = all rows. */
    const uint16_t *record;       /* Row -> record of its fetch; NULL = of no single record. */
    uint32_t row_count, selected_count;
    mr_batch_home *home;
} mr_batch;

/* The row number of the i-th selected row. */
static inline uint32_t mr_batch_row(const mr_batch *batch, uint32_t i)
{
    return batch->selection != 0 ? batch->selection[i] : i;
}

/* Whether a cell is not null. */
static inline bool mr_column_valid(const mr_column *column, uint32_t row)
{
    return column->valid == 0 || ((column->valid[row / 64] >> (row % 64)) & 1) != 0;
}

#endif
