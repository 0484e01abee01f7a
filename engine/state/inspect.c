/*
 * inspect.c - a store looked at from outside: its superblock, log, tasks, tables and records.
 *
 * A reader takes the lock shared, so that no worker runs meanwhile, and writes nothing: an
 * unfinished format stays unfinished. Its memory is sized by the log, which bounds what the log can
 * hold; pages never touched cost nothing.
 */
#include "engine/state/state_private.h"
#include <stdio.h>

enum { READER_BYTES = 64 << 20 };

typedef struct log_walk {
    void (*visit)(void *context, const mr_state_delta *delta);
    void *context;
} log_walk;

static mr_status adopt_tasks(mr_state *state, mr_diag *diag);
static mr_status visit_delta(mr_state *state, void *context, const mr_delta_view *delta,
                             mr_diag *diag);
static mr_status verify_part(mr_state *state, uint64_t part, uint8_t *block, mr_diag *diag);

mr_status mr_state_open_reader(mr_state **state, const mr_state_options *options, mr_ring *ring,
                               mr_diag *diag)
{
    const mr_state_options own = {.directory = options->directory,
                                  .shard = options->shard,
                                  .memory = options->memory,
                                  .memory_bytes = READER_BYTES,
                                  .value_bytes_max = UINT32_MAX};
    mr_state *opened = NULL;

    MR_ASSERT(options->directory != NULL && ring != NULL);
    mr_status status = mr_state_open_as(&opened, &own, ring, true, diag);
    if (status != MR_OK) {
        return status;
    }
    status = mr_state_first_table(opened, diag);
    if (status == MR_OK) {
        status = adopt_tasks(opened, diag);
    }
    for (uint32_t i = 0; status == MR_OK && i < opened->log.table_count; i++) {
        const mr_stored_table *stored = &opened->log.tables[i];
        const mr_table_spec spec = {
            .task = stored->task, .table = stored->table, .layout = stored->layout};
        char name[MR_TABLE_NAME_BYTES];
        mr_table *table;
        (void)snprintf(name, sizeof(name), "table %u", stored->table);
        status = mr_state_declare(opened, &spec, name, &table, diag);
    }
    if (status != MR_OK) {
        mr_state_close(opened);
        return status;
    }
    *state = opened;
    return MR_OK;
}

void mr_state_summarize(const mr_state *state, mr_state_summary *summary)
{
    const mr_superblock *super = &state->volume.super;
    const mr_log *log = &state->log;

    *summary = (mr_state_summary){
        .major = super->major,
        .minor = super->minor,
        .shard = super->shard,
        .part_bytes = super->part_bytes,
        .superblock = super->sequence,
        .task_count = log->history_count,
        .table_count = state->table_count,
        .dead_count = log->dead_count,
        .delta_count = log->end.delta_count,
        .epoch = log->end.epoch,
        .acked = log->end.acked,
        .wal_bytes = mr_base_delta_since(state),
        .base_epoch = super->base_to,
        .base_bytes = state->volume.base_stream_bytes,
        .wal_file_bytes = state->volume.wal_bytes,
    };
    memcpy(summary->store, super->store, sizeof(summary->store));
}

void mr_state_stored_task(const mr_state *state, uint32_t index, mr_task_point *point)
{
    MR_ASSERT(index < state->log.history_count);
    const mr_history *history = &state->log.histories[index];

    *point = (mr_task_point){.task = history->task};
    if (history->moment_count > 0) {
        *point = mr_history_at(history, history->moment_count - 1)->point;
    }
}

bool mr_state_stored_offset(const mr_state *state, uint32_t index, uint32_t input,
                            mr_input_offset *offset)
{
    MR_ASSERT(index < state->log.history_count);
    const mr_history *history = &state->log.histories[index];

    if (history->moment_count == 0 ||
        input >= mr_history_at(history, history->moment_count - 1)->offset_count) {
        return false;
    }
    const mr_delta_offset *stored = mr_history_offsets(history, history->moment_count - 1) + input;
    *offset = (mr_input_offset){.task = stored->task,
                                .input = stored->input,
                                .partition = stored->partition,
                                .topic = stored->topic,
                                .from = stored->from,
                                .to = stored->to};
    return true;
}

void mr_state_stored_table(const mr_state *state, uint32_t index, mr_state_table *table)
{
    MR_ASSERT(index < state->table_count);
    const mr_table *stored = state->tables[index];

    *table = (mr_state_table){.task = stored->spec.task,
                              .table = stored->spec.table,
                              .layout = stored->spec.layout,
                              .key_count = stored->key_count};
}

mr_status mr_state_read_epoch(mr_state *state, uint64_t epoch, mr_diag *diag)
{
    MR_ASSERT(state->is_read_only);
    if (epoch > state->log.end.epoch || mr_log_is_dead(&state->log, epoch)) {
        return mr_diag_set(diag, MR_ERR_REFUSED, 0,
                           "E_STATE_BEHIND: %s/shard-%u: epoch %llu %s; the newest is %llu",
                           state->volume.directory, state->options.shard, (unsigned long long)epoch,
                           epoch > state->log.end.epoch ? "is not in the log"
                                                        : "was rolled back and never committed",
                           (unsigned long long)state->log.end.epoch);
    }
    if (epoch < state->volume.super.base_to) {
        return mr_diag_set(diag, MR_ERR_REFUSED, 0,
                           "E_STATE_TOO_OLD: %s/shard-%u: epoch %llu is older than the base; the "
                           "oldest that can be read is %llu",
                           state->volume.directory, state->options.shard, (unsigned long long)epoch,
                           (unsigned long long)state->volume.super.base_to);
    }
    if (state->table_count == 0) {
        return MR_OK;
    }
    return mr_state_replay(state, epoch, diag);
}

bool mr_state_next_row(const mr_state *state, uint32_t table_index, uint64_t position[2],
                       mr_table_row *row)
{
    MR_ASSERT(table_index < state->table_count);
    const mr_table *table = state->tables[table_index];
    mr_cursor cursor = {.subtable = (uint32_t)position[0], .entry = (uint32_t)position[1]};

    const mr_row *next = mr_index_next(&table->index, &cursor);
    position[0] = cursor.subtable;
    position[1] = cursor.entry;
    if (next == NULL) {
        return false;
    }
    *row = (mr_table_row){
        .key = {.bytes = mr_row_key(next), .size_bytes = next->key_size},
        .value = {.bytes = mr_row_value(table, next), .size_bytes = next->value_size}};
    return true;
}

mr_status mr_state_walk_log(mr_state *state,
                            void (*visit)(void *context, const mr_state_delta *delta),
                            void *context, mr_diag *diag)
{
    log_walk walk = {.visit = visit, .context = context};
    mr_log_end end;

    return mr_scan_chain(state, visit_delta, &walk, &end, diag);
}

mr_status mr_state_verify(mr_state *state, mr_state_summary *summary, mr_diag *diag)
{
    const mr_volume *volume = &state->volume;
    const uint64_t end = state->log.end.position;
    const uint64_t last = (end - MR_BLOCK_BYTES) / volume->super.part_bytes;
    uint64_t position = 0;
    uint64_t beyond = 0;
    mr_status status = MR_OK;

    MR_ASSERT(state->is_read_only);
    mr_state_summarize(state, summary);
    const mr_memory *memory = &state->options.memory;
    uint8_t *memory_block =
        memory->type->acquire(memory->self, 2 * (size_t)MR_BLOCK_BYTES, "part block");
    if (memory_block == NULL) {
        return mr_state_no_memory(state->options.shard, "a block of the log", diag);
    }
    uint8_t *block =
        memory_block + (MR_BLOCK_BYTES - (uintptr_t)memory_block % MR_BLOCK_BYTES) % MR_BLOCK_BYTES;
    const uint64_t first = volume->super.wal_position / volume->super.part_bytes;
    for (uint64_t part = first; status == MR_OK && state->log.end.delta_count > 0 && part <= last;
         part++) {
        if (part == last && end % volume->super.part_bytes == MR_BLOCK_BYTES) {
            break; /* Nothing was written behind this part's block. */
        }
        status = verify_part(state, part, block, diag);
    }
    memory->type->release(memory->self, memory_block, 2 * (size_t)MR_BLOCK_BYTES);
    if (status == MR_OK && volume->lost_parts > 0) {
        status = mr_diag_set(diag, MR_ERR_CORRUPT, 0,
                             "E_STATE_DAMAGED: %s/shard-%u.wal: the blocks of %u parts do not "
                             "verify; restore the directory from a copy",
                             volume->directory, state->options.shard, volume->lost_parts);
    }
    if (status == MR_OK && volume->is_pair_lost) {
        char lost[MR_LOST_TEXT_BYTES];
        status =
            mr_diag_set(diag, MR_ERR_CORRUPT, 0,
                        "E_STATE_DAMAGED: %s/shard-%u.data: %srestore the directory from a "
                        "copy, or start on it: Kafka's record tells whether it is older",
                        volume->directory, state->options.shard, mr_volume_lost_text(volume, lost));
    }
    if (status == MR_OK) {
        status = mr_base_walk(state, NULL, NULL, diag);
    }
    if (status == MR_OK) {
        status = mr_scan_beyond(state, &beyond, &position, diag);
    }
    if (status == MR_OK && beyond != 0) {
        summary->beyond_epoch = beyond;
        summary->beyond_offset = mr_wal_file_offset(volume, position);
        status = mr_diag_set(diag, MR_ERR_CORRUPT, 0,
                             "E_STATE_DAMAGED: %s/shard-%u.wal@%llu: the delta after epoch %llu "
                             "does not verify, but "
                             "epoch %llu stands behind it; restore the directory from a copy",
                             volume->directory, state->options.shard,
                             (unsigned long long)mr_wal_file_offset(volume, end),
                             (unsigned long long)state->log.end.epoch, (unsigned long long)beyond);
    }
    return status;
}

/* ---- Helpers ---- */

/* A reader's tasks are those the log knows. */
static mr_status adopt_tasks(mr_state *state, mr_diag *diag)
{
    const uint32_t count = state->log.history_count;

    state->tasks = mr_arena_take_array(state->arena, count + 1u, sizeof(*state->tasks));
    if (state->tasks == NULL) {
        return mr_state_no_memory(state->options.shard, "the tasks of the log", diag);
    }
    for (uint32_t i = 0; i < count; i++) {
        state->tasks[i] = state->log.histories[i].task;
    }
    state->options.task_count = count;
    return MR_OK;
}

static mr_status visit_delta(mr_state *state, void *context, const mr_delta_view *delta,
                             mr_diag *diag)
{
    const log_walk *walk = context;
    const mr_delta_header *header = delta->header;
    mr_state_delta told = {.epoch = header->epoch,
                           .follows = header->follows,
                           .acked = header->acked,
                           .incarnation = header->incarnation,
                           .offset = mr_wal_file_offset(&state->volume, delta->position),
                           .total_bytes = header->total_bytes,
                           .task_count = header->task_count,
                           .is_dead = mr_log_is_dead(&state->log, header->epoch)};
    uint64_t at = 0;

    (void)diag;
    while (at < header->section_bytes) {
        const mr_section *section = (const mr_section *)(const void *)(delta->sections + at);
        told.record_count += section->count;
        at += sizeof(*section) + section->bytes;
    }
    walk->visit(walk->context, &told);
    return MR_OK;
}

static mr_status verify_part(mr_state *state, uint64_t part, uint8_t *block, mr_diag *diag)
{
    const mr_volume *volume = &state->volume;
    const uint64_t position = part * volume->super.part_bytes;
    const mr_transfer read = {.op = MR_IO_READ,
                              .file = volume->wal_file,
                              .offset = mr_wal_file_offset(volume, position),
                              .bytes = block,
                              .size_bytes = MR_BLOCK_BYTES};
    mr_wal_part *head = (mr_wal_part *)(void *)block;
    uint8_t checksum[16];

    const int32_t error = mr_wal_transfer(state, &read);
    if (error == 0) {
        const mr_wal_part stored = *head;
        memset(head->checksum, 0, sizeof(head->checksum));
        mr_hash128(block, MR_BLOCK_BYTES, mr_wal_seed(volume, position), checksum);
        if (memcmp(checksum, stored.checksum, sizeof(checksum)) == 0 &&
            memcmp(stored.magic, "MRWALP01", sizeof(stored.magic)) == 0 &&
            memcmp(stored.store, volume->super.store, sizeof(stored.store)) == 0 &&
            stored.sequence == part && stored.part_bytes == volume->super.part_bytes) {
            return MR_OK;
        }
    }
    return mr_diag_set(diag, MR_ERR_CORRUPT, 0,
                       "E_STATE_DAMAGED: %s/shard-%u.wal@%llu: the block of part %llu does not "
                       "verify; restore the directory from a copy",
                       volume->directory, state->options.shard, (unsigned long long)read.offset,
                       (unsigned long long)part);
}
