/*
 * batch_private.h - what stands behind a batch: its own room, and the pool it goes home to. Inside
 * engine/batch only.
 */
#ifndef MR_BATCH_BATCH_PRIVATE_H
#define MR_BATCH_BATCH_PRIVATE_H

#include "engine/batch/batch.h"

struct mr_batch_home {
    mr_batch batch; /* What the world sees; `batch.home` points here. */
    mr_batch_pool *pool;
    mr_batch_home *next_free;
    mr_column *columns; /* Own headers; batch.columns points here unless it shares another's. */
    void **cells;       /* One a column; NULL in a borrowing batch. */
    uint64_t *validity; /* MR_BATCH_WORDS_MAX words a column; NULL in a borrowing batch. */
    int64_t *event_times;
    uint8_t *changes;
    uint16_t *records, *selection;
    uint8_t *scratch, *scratch_at, *scratch_end;
    void *fetch;
    bool owns_fetch;
    bool is_out; /* Taken from the pool. */
};

struct mr_batch_pool {
    const mr_schema *schema;
    mr_batch_home *free; /* Last in, first out: the warmest memory first. */
    uint32_t count, free_count;
    void (*release)(void *context, void *fetch);
    void *release_context;
};

#endif
