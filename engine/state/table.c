/*
 * table.c - <millrace/store.h>: what operators do with keyed records.
 *
 * prefetch probes the whole batch in a pipeline, buckets sixteen keys ahead of records and those
 * sixteen ahead of comparisons, so that cache misses overlap, and pins what it found; get, update
 * and delete then take the pinned record and touch no index. Distinct keys never disturb each
 * other's pins; what frees records (a sweep, a roll) moves the generation on, and a stale pin is
 * probed again.
 *
 * Values up to 4 KiB stand in the record; a larger one has a run of pages of its own. A value that
 * shrinks keeps its room while an epoch may be taken back, so that this never has to find memory.
 */
#include "engine/state/state_private.h"

enum { GROUP = 16 };

static mr_row *pinned_row(mr_table *table, const mr_keys *keys, uint32_t key);
static mr_row *insert(mr_table *table, const mr_keys *keys, uint32_t key, uint32_t size_bytes);
static mr_row *make_row(mr_table *table, uint64_t hash, mr_view key, uint32_t size_bytes);
static bool take_run(mr_table *table, mr_row *row, uint32_t size_bytes);
static mr_row *resize(mr_table *table, uint64_t hash, mr_row *row, uint32_t size_bytes);
static mr_row *move(mr_table *table, uint64_t hash, mr_row *row, uint32_t size_bytes);
static void give_run(mr_table *table, const mr_row *row);
static bool is_loose_for(const mr_table *table, const mr_row *row, uint32_t size_bytes);
static uint64_t room_of(const mr_table *table, const mr_row *row);
static bool charge(mr_state *state, uint64_t more, uint64_t less);
static void fill_row(const mr_table *table, const mr_undo *undo, mr_table_row *row);

bool mr_table_init(mr_table *table)
{
    mr_slabs_init(&table->slabs);
    table->key_count = table->run_pages = 0;
    table->dirty[0] = table->dirty[1] = (mr_dirty){.first = NULL};
    table->pinned = NULL;
    return mr_index_init(&table->index, &table->state->pages);
}

uint64_t mr_table_seed(const mr_table *table)
{
    return table->state->hash_seed;
}

uint32_t mr_table_value_max(const mr_table *table)
{
    return table->state->options.value_bytes_max;
}

uint64_t mr_table_key_count(const mr_table *table)
{
    return table->key_count;
}

uint64_t mr_table_pages(const mr_table *table)
{
    return table->index.page_count + table->slabs.page_count + table->run_pages;
}

mr_step mr_table_prefetch(mr_table *table, const mr_keys *keys)
{
    MR_ASSERT(keys->count <= MR_BATCH_ROWS_MAX && table->state->is_rolled);
    table->pinned = keys;
    table->pin_count = keys->count;
    table->pin_generation = table->state->generation;
    /* Three stages, each GROUP keys behind the one before: bucket, record, comparison. */
    for (uint32_t i = 0; i < keys->count + 2 * GROUP; i++) {
        if (i < keys->count) {
            mr_index_prefetch(&table->index, keys->hashes[i]);
        }
        if (i >= GROUP && i - GROUP < keys->count) {
            mr_index_prefetch_rows(&table->index, keys->hashes[i - GROUP]);
        }
        if (i >= 2 * GROUP) {
            const uint32_t at = i - 2 * GROUP;
            table->pins[at] = mr_index_find(&table->index, keys->hashes[at], keys->views[at].bytes,
                                            keys->views[at].size_bytes);
        }
    }
    return MR_STEP_NEXT;
}

const void *mr_table_get(mr_table *table, const mr_keys *keys, uint32_t key)
{
    const mr_row *row = pinned_row(table, keys, key);

    return row == NULL || (row->flags & MR_FLAG_TOMBSTONE) != 0 ? NULL : mr_row_value(table, row);
}

void *mr_table_update(mr_table *table, const mr_keys *keys, uint32_t key, uint32_t size_bytes)
{
    mr_state *state = table->state;
    const uint32_t open = (uint32_t)state->epochs[state->open].number;
    mr_row *row = pinned_row(table, keys, key);

    MR_ASSERT(size_bytes <= state->options.value_bytes_max);
    if (row == NULL) {
        row = insert(table, keys, key, size_bytes);
        return row == NULL ? NULL : (void *)(uintptr_t)mr_row_value(table, row);
    }
    const bool was_there = (row->flags & MR_FLAG_TOMBSTONE) == 0;
    if (row->dirty_epoch != open) {
        const uint64_t image = sizeof(mr_row) + row->key_size + row->value_size;
        if (!charge(state, image, 0) || !mr_undo_touch(table, row)) {
            return NULL;
        }
    }
    if (row->value_size != size_bytes) {
        if (!charge(state, size_bytes, row->value_size)) {
            return NULL;
        }
        row = resize(table, keys->hashes[key], row, size_bytes);
        if (row == NULL) {
            return NULL;
        }
        table->pins[key] = row;
        table->dirty[state->open].loosened += mr_table_is_loose(table, row);
    }
    row->flags &= (uint8_t)~MR_FLAG_TOMBSTONE;
    table->key_count += !was_there;
    return (void *)(uintptr_t)mr_row_value(table, row);
}

void mr_table_delete(mr_table *table, const mr_keys *keys, uint32_t key)
{
    mr_state *state = table->state;
    mr_row *row = pinned_row(table, keys, key);

    if (row == NULL || (row->flags & MR_FLAG_TOMBSTONE) != 0) {
        return;
    }
    if (row->dirty_epoch == (uint32_t)state->epochs[state->open].number) {
        const bool ok = charge(state, 0, row->value_size);
        MR_ASSERT(ok);
    } else if (!charge(state, sizeof(mr_row) + row->key_size, 0) || !mr_undo_touch(table, row)) {
        /* A delete has no answer: the epoch fails at its seal. */
        state->is_exhausted = true;
        return;
    }
    row->value_size = 0;
    row->flags |= MR_FLAG_TOMBSTONE;
    table->dirty[state->open].loosened++;
    table->key_count--;
}

mr_step mr_table_changed(mr_table *table, mr_scan *scan)
{
    const mr_undo *undo = NULL;

    MR_ASSERT(scan->rows != NULL && scan->row_count_max > 0);
    if (scan->position[0] == 0) {
        undo = table->dirty[table->state->open].first;
    } else {
        memcpy(&undo, &scan->position[1], sizeof(mr_undo *));
    }
    scan->row_count = 0;
    for (; undo != NULL && scan->row_count < scan->row_count_max; undo = undo->next) {
        fill_row(table, undo, &scan->rows[scan->row_count++]);
    }
    if (undo == NULL) {
        memset(scan->position, 0, sizeof(scan->position));
        return MR_STEP_NEXT;
    }
    scan->position[0] = 1;
    memcpy(&scan->position[1], &undo, sizeof(mr_undo *));
    return MR_STEP_AGAIN;
}

const uint8_t *mr_row_value(const mr_table *table, const mr_row *row)
{
    uint8_t *body = mr_row_body(row);

    if ((row->flags & MR_FLAG_RUN) == 0) {
        return body;
    }
    const mr_run *run = (const mr_run *)(const void *)body;
    return mr_page_at(&table->state->pages, run->page);
}

void mr_table_drop_row(mr_table *table, mr_row *row)
{
    const uint64_t hash = mr_hash64(mr_row_key(row), row->key_size, table->state->hash_seed);

    mr_index_remove(&table->index, hash, row);
    give_run(table, row);
    mr_slab_give(&table->state->pages, row);
}

bool mr_table_is_loose(const mr_table *table, const mr_row *row)
{
    return is_loose_for(table, row, row->value_size);
}

void mr_table_shrink(mr_table *table, mr_row *row)
{
    if (mr_table_is_loose(table, row)) {
        const uint64_t hash = mr_hash64(mr_row_key(row), row->key_size, table->state->hash_seed);
        if (move(table, hash, row, row->value_size) != NULL) {
            mr_slab_give(&table->state->pages, row);
        }
    }
}

bool mr_table_load(mr_table *table, const mr_image *image)
{
    const mr_view *key = &image->key;
    const mr_view *value = &image->value;
    mr_row *row = mr_index_find(&table->index, image->hash, key->bytes, key->size_bytes);

    if (image->is_tombstone) {
        if (row != NULL) {
            mr_table_drop_row(table, row);
            table->key_count--;
        }
        return true;
    }
    if (row == NULL) {
        row = make_row(table, image->hash, *key, value->size_bytes);
        table->key_count += row != NULL;
    } else if (room_of(table, row) < value->size_bytes ||
               is_loose_for(table, row, value->size_bytes)) {
        mr_table_drop_row(table, row);
        row = make_row(table, image->hash, *key, value->size_bytes);
    }
    if (row == NULL) {
        return false;
    }
    row->value_size = value->size_bytes;
    memcpy((uint8_t *)(uintptr_t)mr_row_value(table, row), value->bytes, value->size_bytes);
    return true;
}

/* ---- Helpers ---- */

static mr_row *pinned_row(mr_table *table, const mr_keys *keys, uint32_t key)
{
    MR_ASSERT(table->pinned == keys && key < table->pin_count && keys->count == table->pin_count);
    if (table->pin_generation == table->state->generation) {
        return table->pins[key];
    }
    /* Something was freed since prefetch: all pins anew. */
    mr_step step = mr_table_prefetch(table, keys);
    MR_ASSERT(step == MR_STEP_NEXT);
    return table->pins[key];
}

static mr_row *insert(mr_table *table, const mr_keys *keys, uint32_t key, uint32_t size_bytes)
{
    mr_state *state = table->state;
    const mr_view view = keys->views[key];

    MR_ASSERT(view.size_bytes <= MR_KEY_BYTES_MAX);
    if (!charge(state, sizeof(mr_row) + view.size_bytes + size_bytes, 0)) {
        return NULL;
    }
    mr_row *row = make_row(table, keys->hashes[key], view, size_bytes);
    if (row == NULL) {
        return NULL;
    }
    row->dirty_epoch = (uint32_t)state->epochs[state->open].number;
    if (!mr_undo_insert(table, row)) {
        mr_table_drop_row(table, row);
        return NULL;
    }
    memset((uint8_t *)(uintptr_t)mr_row_value(table, row), 0, size_bytes);
    table->key_count++;
    table->pins[key] = row;
    return row;
}

/* A clean record in slot and index, its value undefined; NULL = no memory. */
static mr_row *make_row(mr_table *table, uint64_t hash, mr_view key, uint32_t size_bytes)
{
    mr_state *state = table->state;
    const bool in_run = size_bytes > MR_INLINE_BYTES_MAX;
    const uint32_t body = in_run ? (uint32_t)sizeof(mr_run) : size_bytes;
    mr_row *row = mr_slab_take(&state->pages, &state->classes, &table->slabs,
                               (uint32_t)sizeof(mr_row) + mr_align16(key.size_bytes) + body);
    if (row == NULL) {
        return NULL;
    }
    *row = (mr_row){.hash = (uint32_t)(hash >> 32),
                    .key_size = (uint16_t)key.size_bytes,
                    .class = row->class,
                    .value_size = size_bytes};
    memcpy(mr_row_key(row), key.bytes, key.size_bytes);
    if (in_run && !take_run(table, row, size_bytes)) {
        mr_slab_give(&state->pages, row);
        return NULL;
    }
    if (!mr_index_insert(&table->index, hash, row)) {
        give_run(table, row);
        mr_slab_give(&state->pages, row);
        return NULL;
    }
    return row;
}

static bool take_run(mr_table *table, mr_row *row, uint32_t size_bytes)
{
    const uint32_t order = mr_pages_order(size_bytes);
    const uint32_t page = mr_pages_take(&table->state->pages, order);
    mr_run *run = (mr_run *)(void *)mr_row_body(row);

    if (page == MR_NO_PAGE) {
        return false;
    }
    *run = (mr_run){.page = page, .order = order};
    row->flags |= MR_FLAG_RUN;
    table->run_pages += UINT64_C(1) << order;
    return true;
}

static void give_run(mr_table *table, const mr_row *row)
{
    if ((row->flags & MR_FLAG_RUN) != 0) {
        const mr_run *run = (const mr_run *)(const void *)mr_row_body(row);
        table->run_pages -= UINT64_C(1) << run->order;
        mr_pages_give(&table->state->pages, run->page, run->order);
    }
}

/* Gives the record, touched in this epoch, another value size; the new part is zero. */
static mr_row *resize(mr_table *table, uint64_t hash, mr_row *row, uint32_t size_bytes)
{
    const uint32_t kept = row->value_size < size_bytes ? row->value_size : size_bytes;
    mr_row *to = row;

    if (room_of(table, row) < size_bytes) {
        to = move(table, hash, row, size_bytes);
        if (to == NULL) {
            return NULL;
        }
        mr_undo_forward(table, row, to);
    }
    to->value_size = size_bytes;
    memset((uint8_t *)(uintptr_t)mr_row_value(table, to) + kept, 0, size_bytes - kept);
    return to;
}

/* Into room for another value size; the old slot is the caller's. NULL = no memory. */
static mr_row *move(mr_table *table, uint64_t hash, mr_row *row, uint32_t size_bytes)
{
    mr_state *state = table->state;
    const uint32_t kept = row->value_size < size_bytes ? row->value_size : size_bytes;
    const bool in_run = size_bytes > MR_INLINE_BYTES_MAX;
    const uint32_t head = (uint32_t)sizeof(mr_row) + mr_align16(row->key_size);

    mr_row *to = mr_slab_take(&state->pages, &state->classes, &table->slabs,
                              head + (in_run ? (uint32_t)sizeof(mr_run) : size_bytes));
    if (to == NULL) {
        return NULL;
    }
    const uint8_t class = to->class;
    memcpy(to, row, head);
    to->class = class;
    to->flags &= (uint8_t)~MR_FLAG_RUN;
    if (in_run && !take_run(table, to, size_bytes)) {
        mr_slab_give(&state->pages, to);
        return NULL;
    }
    memcpy((uint8_t *)(uintptr_t)mr_row_value(table, to), mr_row_value(table, row), kept);
    mr_index_move(&table->index, hash, row, to);
    give_run(table, row);
    return to;
}

static bool is_loose_for(const mr_table *table, const mr_row *row, uint32_t size_bytes)
{
    const mr_classes *classes = &table->state->classes;
    const uint32_t head = (uint32_t)sizeof(mr_row) + mr_align16(row->key_size);

    if ((row->flags & MR_FLAG_RUN) != 0) {
        const mr_run *run = (const mr_run *)(const void *)mr_row_body(row);
        return size_bytes <= MR_INLINE_BYTES_MAX || mr_pages_order(size_bytes) < run->order;
    }
    if (size_bytes > MR_INLINE_BYTES_MAX) {
        return false;
    }
    const uint32_t units = (head + size_bytes + MR_UNIT_BYTES - 1) / MR_UNIT_BYTES;
    return 2 * classes->bytes[classes->of_units[units]] <= classes->bytes[row->class];
}

static uint64_t room_of(const mr_table *table, const mr_row *row)
{
    const uint8_t *body = mr_row_body(row);

    if ((row->flags & MR_FLAG_RUN) != 0) {
        return (uint64_t)MR_PAGE_BYTES << ((const mr_run *)(const void *)body)->order;
    }
    const uint64_t room =
        table->state->classes.bytes[row->class] - (uint64_t)(body - (const uint8_t *)row);
    return room < MR_INLINE_BYTES_MAX ? room : MR_INLINE_BYTES_MAX;
}

/* Counts dirty bytes; false = the epoch would grow beyond its limit. */
static bool charge(mr_state *state, uint64_t more, uint64_t less)
{
    mr_epoch *epoch = &state->epochs[state->open];

    MR_ASSERT(state->is_rolled && epoch->dirty_bytes >= less);
    if (epoch->dirty_bytes - less + more > state->options.epoch_bytes_max) {
        return false;
    }
    epoch->dirty_bytes = epoch->dirty_bytes - less + more;
    return true;
}

static void fill_row(const mr_table *table, const mr_undo *undo, mr_table_row *row)
{
    const mr_row *now = mr_undo_resolve(table->state, undo);

    *row = (mr_table_row){.key = {.bytes = mr_row_key(now), .size_bytes = now->key_size}};
    if ((now->flags & MR_FLAG_TOMBSTONE) == 0) {
        row->value = (mr_view){.bytes = mr_row_value(table, now), .size_bytes = now->value_size};
    }
    if ((undo->before.flags & (MR_FLAG_INSERTED | MR_FLAG_TOMBSTONE)) == 0) {
        row->before =
            (mr_view){.bytes = (const uint8_t *)(undo + 1), .size_bytes = undo->before.value_size};
    }
}
