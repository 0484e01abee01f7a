/*
 * undo.c - what an epoch touched, and how to take it back.
 *
 * The first touch of a record in an epoch saves its image, once; the entries of a table, in order
 * of first touch, are also its dirty list, from which the delta is gathered. Rolling back never
 * needs memory: while an entry may point to a record it only ever grows in place or moves to a
 * larger slot, and the image goes back into what it has now. Therefore a deleted record keeps slot
 * and index entry until its epoch is acknowledged, an outgrown slot stays as a forward as long as
 * an entry may point to it, and a record that needs less than half of its room is moved into less
 * when its epoch is acknowledged, or taken back, and nothing else points to it.
 *
 * At most two epochs have undo: the open one and the undecided one; blocks are freed whole.
 */
#include "engine/state/state_private.h"

enum { BLOCK_ORDER_MIN = 4, UNDO_EPOCHS_MAX = 3 };

static mr_undo *append(mr_table *table, const mr_row *row, uint64_t image_bytes);
static void *take(mr_state *state, mr_epoch *epoch, uint64_t size_bytes);
static void restore(mr_table *table, mr_undo *undo);

bool mr_undo_touch(mr_table *table, mr_row *row)
{
    mr_state *state = table->state;
    const uint32_t open = (uint32_t)state->epochs[state->open].number;

    MR_ASSERT(row->dirty_epoch != open && (row->flags & MR_FLAG_FORWARD) == 0);
    mr_undo *undo = append(table, row, row->value_size);
    if (undo == NULL) {
        return false;
    }
    undo->before = *row;
    memcpy(undo + 1, mr_row_value(table, row), row->value_size);
    row->dirty_epoch = open;
    return true;
}

bool mr_undo_insert(mr_table *table, const mr_row *row)
{
    mr_undo *undo = append(table, row, 0);
    if (undo == NULL) {
        return false;
    }
    undo->before = (mr_row){.flags = MR_FLAG_INSERTED};
    return true;
}

void mr_undo_forward(mr_table *table, mr_row *from, const mr_row *to)
{
    mr_state *state = table->state;
    mr_epoch *epoch = &state->epochs[state->open];
    mr_forward *forward = (mr_forward *)(void *)(from + 1);

    from->flags = MR_FLAG_FORWARD;
    *forward = (mr_forward){.to = mr_address(&state->pages, to), .next = epoch->forwards};
    epoch->forwards = mr_address(&state->pages, from);
}

mr_row *mr_undo_resolve(const mr_state *state, const mr_undo *undo)
{
    mr_row *row = mr_row_at(&state->pages, undo->address);

    while ((row->flags & MR_FLAG_FORWARD) != 0) {
        const mr_forward *forward = (const mr_forward *)(const void *)(row + 1);
        row = mr_row_at(&state->pages, forward->to);
    }
    return row;
}

void mr_undo_rollback(mr_state *state, uint32_t slot)
{
    for (uint32_t i = 0; i < state->table_count; i++) {
        mr_table *table = state->tables[i];
        for (mr_undo *undo = table->dirty[slot].first; undo != NULL; undo = undo->next) {
            restore(table, undo);
        }
    }
    state->generation++;
}

void mr_undo_sweep(mr_state *state, uint32_t slot)
{
    const uint32_t epoch = (uint32_t)state->epochs[slot].number;

    for (uint32_t i = 0; i < state->table_count; i++) {
        mr_table *table = state->tables[i];
        if (table->dirty[slot].loosened == 0) {
            continue;
        }
        for (mr_undo *undo = table->dirty[slot].first; undo != NULL; undo = undo->next) {
            mr_row *row = mr_undo_resolve(state, undo);
            if (row->dirty_epoch != epoch) { /* The open epoch has its own entry. */
                table->dirty[1 - slot].loosened += mr_table_is_loose(table, row);
            } else if ((row->flags & MR_FLAG_TOMBSTONE) != 0) {
                mr_table_drop_row(table, row);
            } else {
                mr_table_shrink(table, row);
            }
        }
        state->generation++;
    }
}

void mr_undo_release(mr_state *state, uint32_t slot)
{
    mr_epoch *epoch = &state->epochs[slot];

    while (epoch->forwards != 0) {
        mr_row *row = mr_row_at(&state->pages, epoch->forwards);
        const mr_forward *forward = (const mr_forward *)(const void *)(row + 1);
        epoch->forwards = forward->next;
        mr_slab_give(&state->pages, row);
    }
    while (epoch->blocks != NULL) {
        mr_undo_block *block = epoch->blocks;
        epoch->blocks = block->next;
        mr_pages_give(&state->pages, mr_page_of(&state->pages, block), block->order);
    }
    for (uint32_t i = 0; i < state->table_count; i++) {
        state->tables[i]->dirty[slot] = (mr_dirty){.first = NULL};
    }
    *epoch = (mr_epoch){.number = 0};
}

/* ---- Helpers ---- */

static mr_undo *append(mr_table *table, const mr_row *row, uint64_t image_bytes)
{
    mr_state *state = table->state;
    mr_dirty *dirty = &table->dirty[state->open];
    const uint64_t size_bytes = (sizeof(mr_undo) + image_bytes + 15) & ~UINT64_C(15);

    mr_undo *undo = take(state, &state->epochs[state->open], size_bytes);
    if (undo == NULL) {
        return NULL;
    }
    undo->next = NULL;
    undo->address = mr_address(&state->pages, row);
    if (dirty->last == NULL) {
        dirty->first = undo;
    } else {
        dirty->last->next = undo;
    }
    dirty->last = undo;
    dirty->count++;
    return undo;
}

static void *take(mr_state *state, mr_epoch *epoch, uint64_t size_bytes)
{
    mr_undo_block *block = epoch->blocks;

    if (block == NULL || block->size_bytes - block->used_bytes < size_bytes) {
        if (epoch->undo_bytes + size_bytes > UNDO_EPOCHS_MAX * state->options.epoch_bytes_max) {
            return NULL;
        }
        const uint32_t needed = mr_pages_order(size_bytes + sizeof(*block));
        uint32_t order = needed < BLOCK_ORDER_MIN ? BLOCK_ORDER_MIN : needed;
        uint32_t page = mr_pages_take(&state->pages, order);
        if (page == MR_NO_PAGE && order > needed) {
            order = needed;
            page = mr_pages_take(&state->pages, order);
        }
        if (page == MR_NO_PAGE) {
            return NULL;
        }
        block = mr_page_at(&state->pages, page);
        *block = (mr_undo_block){.next = epoch->blocks,
                                 .order = order,
                                 .used_bytes = sizeof(*block),
                                 .size_bytes = (uint64_t)MR_PAGE_BYTES << order};
        epoch->blocks = block;
    }
    void *taken = (uint8_t *)block + block->used_bytes;
    block->used_bytes += size_bytes;
    epoch->undo_bytes += size_bytes;
    return taken;
}

/* Puts one record back; unless the undecided epoch has an entry of it too, what the sweep of an
 * epoch long acknowledged would do is done at once. */
static void restore(mr_table *table, mr_undo *undo)
{
    mr_row *row = mr_undo_resolve(table->state, undo);
    const bool was_there = (row->flags & MR_FLAG_TOMBSTONE) == 0;

    if ((undo->before.flags & MR_FLAG_INSERTED) != 0) {
        table->key_count -= was_there;
        mr_table_drop_row(table, row);
        return;
    }
    const bool is_there = (undo->before.flags & MR_FLAG_TOMBSTONE) == 0;
    row->dirty_epoch = undo->before.dirty_epoch;
    row->value_size = undo->before.value_size;
    row->flags =
        (uint8_t)((row->flags & ~MR_FLAG_TOMBSTONE) | (undo->before.flags & MR_FLAG_TOMBSTONE));
    table->key_count += (uint64_t)is_there - (uint64_t)was_there;
    memcpy((uint8_t *)(uintptr_t)mr_row_value(table, row), undo + 1, row->value_size);
    const uint32_t other = 1 - table->state->open;
    const mr_epoch *undecided = &table->state->epochs[other];
    if (undecided->number != 0 && row->dirty_epoch == (uint32_t)undecided->number) {
        table->dirty[other].loosened += mr_table_is_loose(table, row);
    } else if (!is_there) {
        mr_table_drop_row(table, row);
    } else {
        mr_table_shrink(table, row);
    }
}
