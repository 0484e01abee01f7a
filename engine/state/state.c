/*
 * state.c - the life of a store: open, declare, epochs in and out, demands, close.
 *
 * One mapping holds all records, index and undo; one buffer holds the delta under way (shares.c).
 * They are taken when the first table is declared: a store without tables costs nothing, writes
 * nothing and only numbers epochs. At most one epoch is undecided and one open.
 */
#include "engine/state/state_private.h"
#include <stdio.h>

enum {
    CLOSE_SHARE = 4, /* The runtime's dirty limit is a quarter of the largest epoch. */
    PAUSE_PERCENT = 97,
    CONTROL_BYTES_MAX = 1 << 30,
    FULLEST_TABLES = 3
};

static mr_status check_options(const mr_state_options *options, mr_diag *diag);
static mr_status check_spec(const mr_state *state, const mr_table_spec *spec, const char *name,
                            mr_diag *diag);
static mr_status check_layout(const mr_state *state, const mr_table_spec *spec, const char *name,
                              mr_diag *diag);
static uint32_t stored_number(const mr_state *state, const mr_table_spec *spec);
static bool add_table(mr_state *state, mr_table *table);
static uint64_t table_order(const mr_table *table);
static void seal_unwritten(mr_state *state, const mr_input_offset *offsets, uint32_t offset_count,
                           mr_task_point *points, uint32_t *point_count);
static uint32_t used_percent(const mr_state *state);

mr_status mr_state_open(mr_state **state, const mr_state_options *options, mr_ring *ring,
                        mr_diag *diag)
{
    return mr_state_open_as(state, options, ring, false, diag);
}

mr_status mr_state_open_as(mr_state **state, const mr_state_options *options, mr_ring *ring,
                           bool is_read_only, mr_diag *diag)
{
    mr_status status = check_options(options, diag);
    if (status != MR_OK) {
        return status;
    }
    mr_arena *arena = mr_arena_create(options->memory, CONTROL_BYTES_MAX, "store");
    mr_state *opened = arena == NULL ? NULL : mr_arena_take(arena, sizeof(*opened));
    if (opened == NULL) {
        mr_arena_destroy(arena);
        return mr_state_no_memory(options->shard, "the store", diag);
    }
    opened->arena = arena;
    opened->options = *options;
    opened->is_read_only = is_read_only;
    opened->ring = options->directory == NULL ? NULL : ring;
    opened->volume.lock_descriptor = opened->volume.wal_descriptor = -1;
    opened->volume.data_descriptor = opened->volume.wal_file = -1;
    opened->volume.data_file = -1;
    const uint32_t count = options->task_count;
    opened->tasks = mr_arena_take_array(arena, count + 1u, sizeof(*opened->tasks));
    opened->watermarks = mr_arena_take_array(arena, count + 1u, sizeof(*opened->watermarks));
    opened->lineages = mr_arena_take_array(arena, count + 1u, sizeof(*opened->lineages));
    opened->resets = mr_arena_take_array(arena, count + 1u, sizeof(*opened->resets));
    opened->in_epoch = mr_arena_take_array(arena, count + 1u, sizeof(*opened->in_epoch));
    if (opened->tasks == NULL || opened->watermarks == NULL || opened->lineages == NULL ||
        opened->resets == NULL || opened->in_epoch == NULL ||
        !mr_log_open(&opened->log, options->memory)) {
        mr_state_close(opened);
        return mr_state_no_memory(options->shard, "the store", diag);
    }
    for (uint32_t i = 0; i < count; i++) { /* Sorted; they come sorted. */
        uint32_t at = i;
        for (; at > 0 && opened->tasks[at - 1] > options->tasks[i]; at--) {
            opened->tasks[at] = opened->tasks[at - 1];
        }
        opened->tasks[at] = options->tasks[i];
        opened->watermarks[i] = INT64_MIN;
    }
    mr_classes_init(&opened->classes);
    memcpy(&opened->hash_seed, options->random + 16, sizeof(opened->hash_seed));
    if (opened->ring != NULL) {
        status = mr_volume_open(opened, diag);
    }
    if (status != MR_OK) {
        mr_state_close(opened);
        return status;
    }
    *state = opened;
    return MR_OK;
}

mr_status mr_state_declare(mr_state *state, const mr_table_spec *spec, const char *name,
                           mr_table **table, mr_diag *diag)
{
    MR_ASSERT(!state->is_rolled && table != NULL);
    mr_status status = check_spec(state, spec, name, diag);
    if (status == MR_OK && state->table_count == 0 && state->memory == NULL) {
        status = mr_state_first_table(state, diag);
    }
    if (status == MR_OK) {
        status = check_layout(state, spec, name, diag);
    }
    if (status != MR_OK) {
        return status;
    }
    mr_table *added = mr_arena_take(state->arena, sizeof(*added));
    if (added != NULL) {
        *added = (mr_table){
            .state = state, .spec = *spec, .task_index = mr_state_task_index(state, spec->task)};
        added->spec.table = stored_number(state, spec);
        (void)snprintf(added->name, sizeof(added->name), "%s", name);
        added->pins = mr_arena_take_array(state->arena, MR_BATCH_ROWS_MAX, sizeof(mr_row *));
    }
    if (added == NULL || added->pins == NULL || !mr_table_init(added) || !add_table(state, added)) {
        return mr_diag_set(diag, MR_ERR_MEMORY, 0,
                           "E_MEMORY_BUDGET: no memory for table %s of task %u: raise memory.total",
                           name, spec->task);
    }
    *table = added;
    return MR_OK;
}

void mr_state_watermark(mr_state *state, uint32_t task, int64_t watermark_us)
{
    const uint32_t index = mr_state_task_index(state, task);

    MR_ASSERT(index != UINT32_MAX);
    state->watermarks[index] = watermark_us;
}

uint32_t mr_state_demand(const mr_state *state)
{
    const mr_epoch *open = &state->epochs[state->open];
    uint32_t demand = 0;

    if (state->table_count == 0 || !state->is_rolled) {
        return 0;
    }
    const uint64_t limit = state->options.epoch_bytes_max / CLOSE_SHARE;
    if (open->dirty_bytes >= limit || open->undo_bytes >= 2 * limit || state->is_exhausted) {
        demand |= MR_DEMAND_CLOSE_EPOCH;
    }
    if (used_percent(state) >= PAUSE_PERCENT) {
        demand |= MR_DEMAND_PAUSE_INPUT;
        /* With nothing open and nothing undecided no acknowledgement will ever free memory. */
        if (open->dirty_bytes == 0 && state->epochs[1 - state->open].number == 0) {
            demand |= MR_DEMAND_STUCK;
        }
    }
    if (!mr_state_is_durable(state)) {
        return demand;
    }
    if (mr_wal_is_short(state)) {
        demand |= MR_DEMAND_PAUSE_INPUT | MR_DEMAND_SPACE;
    }
    return demand | mr_base_demand(state);
}

uint64_t mr_state_dirty_bytes(const mr_state *state)
{
    return state->epochs[state->open].dirty_bytes;
}

uint64_t mr_state_epoch(const mr_state *state)
{
    return state->epochs[state->open].number;
}

mr_step mr_state_seal(mr_state *state, const mr_input_offset *offsets, uint32_t offset_count,
                      uint64_t *epoch, mr_task_point *points, uint32_t *point_count)
{
    const uint64_t number = state->epochs[state->open].number;
    mr_step room = MR_STEP_NEXT;

    MR_ASSERT(state->is_rolled && offset_count <= MR_OFFSETS_MAX);
    if (state->epochs[1 - state->open].number != 0) {
        return MR_STEP_WAIT;
    }
    if (mr_state_is_durable(state)) {
        /* What is left of the log is for what must be written before a base can shorten it. */
        room = state->base.phase == MR_BASE_FAILED || mr_base_is_hopeless(state)
                   ? MR_STEP_FAILED
                   : mr_wal_room(state, mr_delta_bytes_bound(state, offset_count));
        if (room == MR_STEP_WAIT) {
            return MR_STEP_WAIT;
        }
        mr_base_touched(state);
        state->offset_count_max =
            offset_count > state->offset_count_max ? offset_count : state->offset_count_max;
        const uint64_t bytes = mr_delta_gather(state, offsets, offset_count, points, point_count);
        const mr_delta_header *header =
            (const mr_delta_header *)(const void *)(state->buffer + MR_BLOCK_BYTES);
        const mr_delta_task *tasks = (const mr_delta_task *)(const void *)(header + 1);
        const mr_delta_offset *stored =
            (const mr_delta_offset *)(const void *)(tasks + header->task_count);
        const bool is_told = mr_log_add(&state->log, header, tasks, stored);
        if (room == MR_STEP_FAILED || state->is_exhausted || !is_told) {
            state->flight_is_full = room != MR_STEP_FAILED;
            mr_wal_refuse(state, state->base.error != 0 ? MR_ERR_IO : MR_ERR_LIMIT);
        } else {
            mr_wal_send(state, bytes);
        }
    } else {
        seal_unwritten(state, offsets, offset_count, points, point_count);
    }
    *epoch = number;
    state->follows = number;
    state->number_max = number;
    state->open = 1 - state->open;
    mr_state_open_epoch(state, number + 1);
    return MR_STEP_NEXT;
}

void mr_state_acknowledge(mr_state *state, uint64_t epoch)
{
    const uint32_t undecided = 1 - state->open;

    MR_ASSERT(state->epochs[undecided].number == epoch && epoch > 0);
    MR_ASSERT(state->flight.phase == MR_FLIGHT_DONE);
    mr_undo_sweep(state, undecided);
    mr_undo_release(state, undecided);
    state->acked = state->log.end.acked = epoch;
    state->flight.phase = MR_FLIGHT_NONE;
    if (mr_state_is_durable(state)) {
        mr_base_acked(state, epoch);
    }
}

void mr_state_tick(mr_state *state, int64_t now_us, uint64_t budget_bytes)
{
    if (mr_state_is_durable(state) && state->is_rolled) {
        mr_wal_pump(state);
        mr_wal_prepare_parts(state);
        mr_base_tick(state, now_us, budget_bytes);
    }
}

mr_status mr_state_full(const mr_state *state, mr_diag *diag)
{
    const mr_table *fullest[FULLEST_TABLES] = {NULL};
    char text[512] = "";
    size_t used = 0;

    for (uint32_t i = 0; i < state->table_count; i++) {
        const mr_table *table = state->tables[i];
        for (uint32_t place = 0; place < FULLEST_TABLES && table != NULL; place++) {
            if (fullest[place] == NULL || mr_table_pages(table) > mr_table_pages(fullest[place])) {
                const mr_table *moved = fullest[place];
                fullest[place] = table;
                table = moved;
            }
        }
    }
    for (uint32_t i = 0; i < FULLEST_TABLES && fullest[i] != NULL; i++) {
        const int size =
            snprintf(text + used, sizeof(text) - used, "%s%s of task %u %llu MiB (%llu keys)",
                     i > 0 ? ", " : "", fullest[i]->name, fullest[i]->spec.task,
                     (unsigned long long)(mr_table_pages(fullest[i]) * MR_PAGE_BYTES >> 20),
                     (unsigned long long)fullest[i]->key_count);
        used += size > 0 && (size_t)size < sizeof(text) - used ? (size_t)size : 0;
    }
    return mr_diag_set(diag, MR_ERR_LIMIT, 0,
                       "E_STATE_FULL: the state of shard %u does not fit its %llu MiB; largest "
                       "tables: %s; raise memory.total, or use fewer keys",
                       state->options.shard,
                       (unsigned long long)(state->options.memory_bytes >> 20), text);
}

void mr_state_read_stats(const mr_state *state, mr_state_stats *stats)
{
    const mr_volume *volume = &state->volume;

    *stats = (mr_state_stats){.memory_bytes_max = state->options.memory_bytes};
    for (uint32_t i = 0; i < state->table_count; i++) {
        stats->key_count += state->tables[i]->key_count;
    }
    stats->memory_bytes =
        (uint64_t)(state->pages.page_count - state->pages.free_count) * MR_PAGE_BYTES +
        state->buffer_memory_bytes + state->base.memory_bytes;
    if (mr_state_is_durable(state)) {
        stats->wal_bytes_max = (uint64_t)volume->part_count_max * volume->super.part_bytes;
        if (state->log.end.position > 0) {
            stats->wal_bytes = mr_base_delta_since(state);
        }
        stats->base_epoch = volume->super.base_to;
        stats->base_count = state->base.installed_count;
    }
}

void mr_state_close(mr_state *state)
{
    if (state == NULL) {
        return;
    }
    const mr_memory memory = state->options.memory;
    if (state->ring != NULL) {
        mr_wal_settle(state);
    }
    mr_volume_close(state);
    if (state->memory != NULL) {
        memory.type->release(memory.self, state->memory, state->memory_bytes);
    }
    if (state->buffer_memory != NULL) {
        memory.type->release(memory.self, state->buffer_memory, state->buffer_memory_bytes);
    }
    if (state->base.memory != NULL) {
        memory.type->release(memory.self, state->base.memory, state->base.memory_bytes);
    }
    mr_log_release(&state->log);
    mr_arena_destroy(state->arena);
}

/* ---- Between the files of this folder ---- */

uint32_t mr_state_task_index(const mr_state *state, uint32_t task)
{
    uint32_t low = 0;
    uint32_t high = state->options.task_count;

    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (state->tasks[middle] < task) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < state->options.task_count && state->tasks[low] == task ? low : UINT32_MAX;
}

mr_table *mr_state_find_table(const mr_state *state, uint32_t task, uint32_t table)
{
    const uint64_t wanted = (uint64_t)task << 32 | table;
    uint32_t low = 0;
    uint32_t high = state->table_count;

    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (table_order(state->tables[middle]) < wanted) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < state->table_count && table_order(state->tables[low]) == wanted
               ? state->tables[low]
               : NULL;
}

void mr_state_open_epoch(mr_state *state, uint64_t number)
{
    /* 0 in a record means "loaded": a number whose low half is 0 would look like that. */
    const uint64_t next = (uint32_t)number == 0 ? number + 1 : number;

    MR_ASSERT(state->epochs[state->open].number == 0 && next > state->acked);
    state->epochs[state->open] = (mr_epoch){.number = next};
    state->is_exhausted = false;
}

bool mr_state_empty(mr_state *state)
{
    mr_pages_init(&state->pages, state->pages.base, state->pages.info, state->pages.page_count);
    state->epochs[0] = state->epochs[1] = (mr_epoch){.number = 0};
    state->generation++;
    for (uint32_t i = 0; i < state->table_count; i++) {
        if (!mr_table_init(state->tables[i])) {
            return false;
        }
    }
    return true;
}

bool mr_state_is_durable(const mr_state *state)
{
    return state->ring != NULL && state->table_count > 0;
}

mr_status mr_state_first_table(mr_state *state, mr_diag *diag)
{
    mr_status status = MR_OK;

    if (state->ring != NULL) {
        status = mr_volume_prepare(state, diag);
        if (status == MR_OK) {
            state->hash_seed = state->volume.super.hash_seed;
            status = mr_log_read(state, diag);
        }
    }
    state->is_scanned = status == MR_OK;
    return status == MR_OK ? mr_state_take_pages(state, diag) : status;
}

mr_status mr_state_keep_tables(mr_state *state, mr_diag *diag)
{
    for (uint32_t i = 0; i < state->log.table_count; i++) {
        const mr_stored_table *stored = &state->log.tables[i];
        if (mr_state_find_table(state, stored->task, stored->table) != NULL) {
            continue;
        }
        mr_table *added = mr_arena_take(state->arena, sizeof(*added));
        if (added != NULL) {
            *added = (mr_table){.state = state,
                                .spec = {.task = stored->task,
                                         .table = stored->table,
                                         .kind = MR_TABLE_HASH,
                                         .layout = stored->layout},
                                .task_index = mr_state_task_index(state, stored->task)};
            (void)snprintf(added->name, sizeof(added->name), "stored table %u", stored->table);
        }
        if (added == NULL || !mr_table_init(added) || !add_table(state, added)) {
            return mr_diag_set(diag, MR_ERR_MEMORY, 0,
                               "E_MEMORY_BUDGET: no memory for table %u of task %u, which is "
                               "stored: raise memory.total",
                               stored->table, stored->task);
        }
        state->memory_intact = false; /* Its records come from the disk. */
    }
    return MR_OK;
}

/* ---- Helpers ---- */

static mr_status check_options(const mr_state_options *options, mr_diag *diag)
{
    MR_ASSERT(options->memory.type != NULL);
    if (options->epoch_bytes_max > UINT64_C(224) << 20) {
        return mr_diag_set(diag, MR_ERR_CONFIG, 0,
                           "commit.dirty_state is too large: an epoch of %llu MiB exceeds the 224 "
                           "MiB that a delta can hold; at most 56MiB",
                           (unsigned long long)(options->epoch_bytes_max >> 20));
    }
    return MR_OK;
}

static mr_status check_spec(const mr_state *state, const mr_table_spec *spec, const char *name,
                            mr_diag *diag)
{
    if (spec->kind != MR_TABLE_HASH || spec->flags != 0 || spec->bucket_width_us != 0 ||
        spec->merge != NULL) {
        return mr_diag_set(diag, MR_ERR_CONFIG, 0,
                           "table %s: only plain hash tables are in this release", name);
    }
    MR_ASSERT(mr_state_task_index(state, spec->task) != UINT32_MAX);
    MR_ASSERT(mr_state_find_table(state, spec->task, spec->table) == NULL);
    return MR_OK;
}

static mr_status check_layout(const mr_state *state, const mr_table_spec *spec, const char *name,
                              mr_diag *diag)
{
    for (uint32_t i = 0; i < state->log.table_count; i++) {
        const mr_stored_table *stored = &state->log.tables[i];
        if (stored->task == spec->task && stored->table == spec->table &&
            stored->layout != spec->layout) {
            return mr_diag_set(diag, MR_ERR_REFUSED, 0,
                               "E_STATE_LAYOUT: %s/shard-%u: %s, task %u: the stored records have "
                               "another layout (%016llx) than the topology asks for (%016llx); "
                               "give the step a new name, or the application",
                               state->volume.directory, state->options.shard, name, spec->task,
                               (unsigned long long)stored->layout,
                               (unsigned long long)spec->layout);
        }
    }
    return MR_OK;
}

/* Before 1.2 tables were numbered by their rank in the plan. One that is stored under such a number
 * keeps it: the layout, which is made of the names too, says which one it is. */
static uint32_t stored_number(const mr_state *state, const mr_table_spec *spec)
{
    uint32_t number = spec->table;

    for (uint32_t i = 0; i < state->log.table_count; i++) {
        const mr_stored_table *stored = &state->log.tables[i];
        if (stored->task == spec->task && stored->table == spec->table) {
            return spec->table;
        }
        if (stored->task == spec->task && stored->layout == spec->layout) {
            number = stored->table;
        }
    }
    return number;
}

/* In order of (task, table): a task's sections then follow each other. */
static bool add_table(mr_state *state, mr_table *table)
{
    if (state->table_count == MR_TABLES_MAX) {
        return false;
    }
    if (state->table_count == state->table_room) {
        const uint32_t room = state->table_room == 0 ? 16 : state->table_room * 2;
        mr_table **tables = mr_arena_take_array(state->arena, room, sizeof(mr_table *));
        if (tables == NULL) {
            return false;
        }
        for (uint32_t i = 0; i < state->table_count; i++) {
            tables[i] = state->tables[i];
        }
        state->tables = tables;
        state->table_room = room;
    }
    uint32_t at = state->table_count++;
    for (; at > 0 && table_order(state->tables[at - 1]) > table_order(table); at--) {
        state->tables[at] = state->tables[at - 1];
    }
    state->tables[at] = table;
    return true;
}

static uint64_t table_order(const mr_table *table)
{
    return (uint64_t)table->spec.task << 32 | table->spec.table;
}

/* Volatile or stateless: prepared at once; the points only carry the number. */
static void seal_unwritten(mr_state *state, const mr_input_offset *offsets, uint32_t offset_count,
                           mr_task_point *points, uint32_t *point_count)
{
    memset(state->in_epoch, 0, state->options.task_count * sizeof(*state->in_epoch));
    for (uint32_t i = 0; i < offset_count; i++) {
        state->in_epoch[mr_state_task_index(state, offsets[i].task)] = true;
    }
    for (uint32_t i = 0; i < state->table_count; i++) {
        if (state->tables[i]->dirty[state->open].count > 0) {
            state->in_epoch[state->tables[i]->task_index] = true;
        }
    }
    *point_count = 0;
    for (uint32_t i = 0; i < state->options.task_count; i++) {
        if (state->in_epoch[i]) {
            points[(*point_count)++] = (mr_task_point){.task = state->tasks[i],
                                                       .lineage = state->lineages[i],
                                                       .epoch = state->epochs[state->open].number,
                                                       .incarnation = state->incarnation,
                                                       .watermark_us = state->watermarks[i]};
        }
    }
    state->flight.phase = state->is_exhausted ? MR_FLIGHT_FAILED : MR_FLIGHT_DONE;
    state->flight.status = MR_ERR_LIMIT;
    state->flight_is_full = state->is_exhausted;
}

static uint32_t used_percent(const mr_state *state)
{
    const uint64_t count = state->pages.page_count;

    return (uint32_t)((count - state->pages.free_count) * 100 / count);
}
