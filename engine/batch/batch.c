/*
 * batch.c - filling a batch: own cells, nulls, row attributes, scratch; or borrowing another's.
 *
 * A cleared batch shows its own column headers, each pointing at its own cells, no nulls. A
 * validity bitmap costs nothing until the first null of its column.
 */
#include "engine/batch/batch.h"
#include "engine/base/assert.h"
#include "engine/batch/batch_private.h"
#include <string.h>

void mr_batch_clear(mr_batch *batch)
{
    MR_ASSERT(batch != NULL && batch->home != NULL);
    mr_batch_home *home = batch->home;
    const mr_schema *schema = home->pool->schema;

    if (home->owns_fetch && home->pool->release != NULL) {
        home->pool->release(home->pool->release_context, home->fetch);
    }
    home->fetch = NULL;
    home->owns_fetch = false;
    home->scratch_at = home->scratch;
    for (uint32_t i = 0; i < schema->field_count; i++) {
        home->columns[i].valid = NULL;
        home->columns[i].as.views = home->cells != NULL ? home->cells[i] : NULL;
    }
    *batch = (mr_batch){.schema = schema, .columns = home->columns, .home = home};
}

void *mr_batch_cells(mr_batch *batch, uint32_t column)
{
    MR_ASSERT(column < batch->schema->field_count && batch->home->cells != NULL);
    return batch->home->cells[column];
}

void mr_batch_set_null(mr_batch *batch, uint32_t column, uint32_t row)
{
    MR_ASSERT(row < MR_BATCH_ROWS_MAX);
    uint64_t *validity = mr_batch_validity(batch, column);
    validity[row / 64] &= ~(UINT64_C(1) << (row % 64));
}

uint64_t *mr_batch_validity(mr_batch *batch, uint32_t column)
{
    mr_batch_home *home = batch->home;

    MR_ASSERT(column < batch->schema->field_count && home->validity != NULL);
    uint64_t *own = home->validity + (size_t)column * MR_BATCH_WORDS_MAX;
    if (home->columns[column].valid == NULL) {
        memset(own, 0xff, MR_BATCH_WORDS_MAX * sizeof(*own));
        home->columns[column].valid = own;
    }
    MR_ASSERT(home->columns[column].valid == own);
    return own;
}

int64_t *mr_batch_event_times(mr_batch *batch)
{
    batch->event_time_us = batch->home->event_times;
    return batch->home->event_times;
}

uint8_t *mr_batch_changes(mr_batch *batch)
{
    mr_batch_home *home = batch->home;

    if (batch->change != home->changes) {
        memset(home->changes, MR_CHANGE_INSERT, MR_BATCH_ROWS_MAX);
        batch->change = home->changes;
    }
    return home->changes;
}

uint16_t *mr_batch_records(mr_batch *batch)
{
    batch->record = batch->home->records;
    return batch->home->records;
}

uint16_t *mr_batch_selection(mr_batch *batch)
{
    return batch->home->selection;
}

uint8_t *mr_batch_scratch(mr_batch *batch, uint32_t size_bytes)
{
    mr_batch_home *home = batch->home;

    if (size_bytes > (size_t)(home->scratch_end - home->scratch_at)) {
        return NULL;
    }
    uint8_t *room = home->scratch_at;
    home->scratch_at += size_bytes;
    return room;
}

void mr_batch_scratch_room(mr_batch *batch, uint8_t **from, uint8_t **end)
{
    *from = batch->home->scratch_at;
    *end = batch->home->scratch_end;
}

void mr_batch_scratch_used(mr_batch *batch, uint8_t *up_to)
{
    mr_batch_home *home = batch->home;

    MR_ASSERT(up_to >= home->scratch_at && up_to <= home->scratch_end);
    home->scratch_at = up_to;
}

void mr_batch_set_rows(mr_batch *batch, uint32_t row_count)
{
    MR_ASSERT(row_count <= MR_BATCH_ROWS_MAX);
    MR_ASSERT(row_count == 0 || batch->event_time_us != NULL);
    batch->row_count = row_count;
    batch->selected_count = row_count;
    batch->selection = NULL;
}

void mr_batch_select(mr_batch *batch, uint32_t count)
{
    MR_ASSERT(count <= batch->row_count);
    batch->selection = batch->home->selection;
    batch->selected_count = count;
    for (uint32_t i = 0; i < count; i++) {
        MR_CHECK_SLOW(batch->selection[i] < batch->row_count);
        MR_CHECK_SLOW(i == 0 || batch->selection[i - 1] < batch->selection[i]);
    }
}

void mr_batch_share(mr_batch *out, const mr_batch *in)
{
    MR_ASSERT(out != in && out->schema->field_count == in->schema->field_count);
    mr_batch_inherit(out, in);
    out->columns = in->columns;
}

void mr_batch_borrow_column(mr_batch *out, uint32_t column, const mr_column *source)
{
    mr_batch_home *home = out->home;

    MR_ASSERT(column < out->schema->field_count && out->columns == home->columns);
    home->columns[column] = *source;
}

void mr_batch_inherit(mr_batch *out, const mr_batch *in)
{
    MR_ASSERT(out != in && !out->home->owns_fetch);
    out->event_time_us = in->event_time_us;
    out->watermark_us = in->watermark_us;
    out->change = in->change;
    out->selection = in->selection;
    out->record = in->record;
    out->row_count = in->row_count;
    out->selected_count = in->selected_count;
    out->home->fetch = in->home->fetch;
}

void mr_batch_set_fetch(mr_batch *batch, void *fetch)
{
    MR_ASSERT(batch->home->fetch == NULL);
    batch->home->fetch = fetch;
    batch->home->owns_fetch = fetch != NULL;
}

void *mr_batch_fetch(const mr_batch *batch)
{
    return batch->home->fetch;
}
