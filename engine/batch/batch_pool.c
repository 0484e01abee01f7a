/*
 * batch_pool.c - batches of one schema, made in OPEN, taken and given back while rows flow.
 *
 * A pool that runs dry is backpressure, so taking may fail; nothing is ever added.
 */
#include "engine/base/assert.h"
#include "engine/batch/batch.h"
#include "engine/batch/batch_private.h"

enum { LINE_BYTES = 64 };

static bool make_home(mr_arena *arena, mr_batch_home *home, uint32_t scratch_bytes, bool borrows);
static bool make_cells(mr_arena *arena, mr_batch_home *home, const mr_schema *schema);

mr_batch_pool *mr_batch_pool_create(struct mr_arena *arena, const mr_schema *schema, uint32_t count,
                                    uint32_t scratch_bytes, bool borrows)
{
    MR_ASSERT(arena != NULL && schema != NULL && schema->field_count <= MR_FIELDS_MAX);
    MR_ASSERT(count > 0);
    mr_batch_pool *pool = mr_arena_take(arena, sizeof(*pool));
    mr_batch_home *homes = mr_arena_take_array(arena, count, sizeof(*homes));
    if (pool == NULL || homes == NULL) {
        return NULL;
    }
    pool->schema = schema;
    pool->count = count;
    for (uint32_t i = count; i > 0; i--) {
        mr_batch_home *home = &homes[i - 1];
        home->pool = pool;
        home->batch.schema = schema;
        home->batch.home = home;
        if (!make_home(arena, home, scratch_bytes, borrows)) {
            return NULL;
        }
        mr_batch_clear(&home->batch);
        home->next_free = pool->free;
        pool->free = home;
        pool->free_count++;
    }
    return pool;
}

void mr_batch_pool_on_release(mr_batch_pool *pool, void (*release)(void *context, void *fetch),
                              void *context)
{
    MR_ASSERT(pool != NULL && release != NULL && pool->free_count == pool->count);
    pool->release = release;
    pool->release_context = context;
}

uint32_t mr_batch_pool_free_count(const mr_batch_pool *pool)
{
    MR_ASSERT(pool != NULL && pool->free_count <= pool->count);
    return pool->free_count;
}

mr_batch *mr_batch_take(mr_batch_pool *pool)
{
    MR_ASSERT(pool != NULL);
    mr_batch_home *home = pool->free;
    if (home == NULL) {
        MR_ASSERT(pool->free_count == 0);
        return NULL;
    }
    MR_ASSERT(!home->is_out && pool->free_count > 0);
    pool->free = home->next_free;
    pool->free_count--;
    home->next_free = NULL;
    home->is_out = true;
    return &home->batch;
}

void mr_batch_give_back(mr_batch *batch)
{
    MR_ASSERT(batch != NULL && batch->home->is_out);
    mr_batch_home *home = batch->home;
    mr_batch_pool *pool = home->pool;

    mr_batch_clear(batch);
    home->is_out = false;
    home->next_free = pool->free;
    pool->free = home;
    pool->free_count++;
    MR_ASSERT(pool->free_count <= pool->count);
}

/* The room of one batch; false = no memory. */
static bool make_home(mr_arena *arena, mr_batch_home *home, uint32_t scratch_bytes, bool borrows)
{
    const mr_schema *schema = home->pool->schema;

    home->columns = mr_arena_take_array(arena, schema->field_count, sizeof(*home->columns));
    home->event_times =
        mr_arena_take_aligned(arena, MR_BATCH_ROWS_MAX * sizeof(*home->event_times), LINE_BYTES);
    home->changes = mr_arena_take(arena, MR_BATCH_ROWS_MAX * sizeof(*home->changes));
    home->records = mr_arena_take(arena, MR_BATCH_ROWS_MAX * sizeof(*home->records));
    home->selection = mr_arena_take(arena, MR_BATCH_ROWS_MAX * sizeof(*home->selection));
    if (home->columns == NULL || home->event_times == NULL || home->changes == NULL ||
        home->records == NULL || home->selection == NULL) {
        return false;
    }
    if (scratch_bytes > 0) {
        home->scratch = mr_arena_take_aligned(arena, scratch_bytes, LINE_BYTES);
        if (home->scratch == NULL) {
            return false;
        }
        home->scratch_end = home->scratch + scratch_bytes;
    }
    return borrows || make_cells(arena, home, schema);
}

static bool make_cells(mr_arena *arena, mr_batch_home *home, const mr_schema *schema)
{
    home->cells = mr_arena_take_array(arena, schema->field_count, sizeof(*home->cells));
    home->validity = mr_arena_take_array(arena, schema->field_count,
                                         MR_BATCH_WORDS_MAX * sizeof(*home->validity));
    if (home->cells == NULL || home->validity == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < schema->field_count; i++) {
        const size_t cell_bytes = mr_type_cell_bytes(schema->fields[i].type);
        home->cells[i] = mr_arena_take_aligned(arena, MR_BATCH_ROWS_MAX * cell_bytes, LINE_BYTES);
        if (home->cells[i] == NULL) {
            return false;
        }
    }
    return true;
}
