/*
 * delta.c - the open epoch gathered into one delta, as FORMAT.md lays it out.
 *
 * The dirty lists are walked in order of tables; each record touched gives one image, its last. A
 * key inserted and deleted in the same epoch still gives its tombstone. The delta stands whole in
 * one buffer before anything is sent: its header names the total length and the digests of the
 * sections behind it.
 */
#include "engine/state/state_private.h"

enum { RECORDS_AHEAD = 16, SMALL_ROW_BYTES = 48 };

typedef struct writer {
    uint8_t *delta; /* First byte of the header. */
    uint64_t at;    /* Bytes from there. */
} writer;

static uint32_t mark_tasks(mr_state *state, const mr_input_offset *offsets, uint32_t offset_count);
static void sort_offsets(const mr_input_offset *offsets, uint32_t offset_count,
                         mr_delta_offset *to);
static void put_tasks(mr_state *state, writer *out, mr_delta_header *header, mr_task_point *points);
static void put_sections(const mr_state *state, uint32_t *table_index, writer *out,
                         mr_delta_task *task);
static const mr_undo *prefetch_record(const mr_state *state, const mr_undo *undo);
static void put_record(const mr_table *table, const mr_undo *undo, writer *out);
static void put_seal(const mr_state *state, const mr_delta_header *header);
static void pad(writer *out, uint64_t multiple);
static uint64_t round_block(uint64_t bytes);

uint64_t mr_delta_bytes_bound(const mr_state *state, uint32_t offset_count)
{
    const uint64_t header = sizeof(mr_delta_header) +
                            state->options.task_count * sizeof(mr_delta_task) +
                            offset_count * sizeof(mr_delta_offset);
    uint64_t sections = 0;

    for (uint32_t i = 0; i < state->table_count; i++) { /* Tables that are only kept have none. */
        sections += state->tables[i]->dirty[state->open].count > 0;
    }
    return round_block(header) +
           round_block(state->epochs[state->open].dirty_bytes + sections * sizeof(mr_section)) +
           MR_BLOCK_BYTES;
}

uint64_t mr_delta_gather(mr_state *state, const mr_input_offset *offsets, uint32_t offset_count,
                         mr_task_point *points, uint32_t *point_count)
{
    uint8_t *delta = state->buffer + MR_BLOCK_BYTES;
    mr_delta_header *header = (mr_delta_header *)(void *)delta;
    mr_delta_task *tasks = (mr_delta_task *)(void *)(header + 1);
    const uint32_t task_count = mark_tasks(state, offsets, offset_count);
    const uint64_t header_bytes = round_block(sizeof(*header) + task_count * sizeof(mr_delta_task) +
                                              offset_count * sizeof(mr_delta_offset));

    MR_ASSERT(MR_BLOCK_BYTES + mr_delta_bytes_bound(state, offset_count) <= state->buffer_bytes);
    memset(delta, 0, header_bytes);
    *header = (mr_delta_header){.magic = {'M', 'R', 'D', 'E', 'L', 'T', 'A', '1'},
                                .major = MR_FORMAT_MAJOR,
                                .minor = MR_FORMAT_MINOR,
                                .incompatible = MR_FEATURE_NAMED,
                                .shard = state->options.shard,
                                .incarnation = state->incarnation,
                                .epoch = state->epochs[state->open].number,
                                .follows = state->follows,
                                .acked = state->acked,
                                .position = state->log.end.position,
                                .header_bytes = (uint32_t)header_bytes,
                                .task_count = task_count,
                                .offset_count = offset_count,
                                .chunk_bytes = MR_CHUNK_BYTES};
    memcpy(header->store, state->volume.super.store, sizeof(header->store));
    memcpy(header->previous, state->log.end.previous, sizeof(header->previous));
    sort_offsets(offsets, offset_count, (mr_delta_offset *)(void *)(tasks + task_count));
    writer out = {.delta = delta, .at = header_bytes};
    put_tasks(state, &out, header, points);
    *point_count = task_count;
    header->section_bytes = out.at - header_bytes;
    pad(&out, MR_BLOCK_BYTES);
    header->total_bytes = out.at + MR_BLOCK_BYTES;
    const uint64_t seed = mr_wal_seed(&state->volume, header->position);
    mr_hash128(delta, header_bytes, seed, header->checksum);
    put_seal(state, header);
    return header->total_bytes;
}

uint64_t mr_delta_task_digest(const mr_delta_task *task, const mr_delta_offset *offsets,
                              uint32_t offset_count, const uint8_t *sections)
{
    mr_delta_task bare = *task;

    bare.digest = 0;
    const uint64_t entry = mr_hash64(&bare, sizeof(bare), 0);
    const uint64_t inputs = mr_hash64(offsets, offset_count * sizeof(*offsets), entry);
    return mr_hash64(sections, task->section_bytes, inputs);
}

/* ---- Helpers ---- */

/* A task takes part if it has offsets or touched records. Returns how many do. */
static uint32_t mark_tasks(mr_state *state, const mr_input_offset *offsets, uint32_t offset_count)
{
    uint32_t count = 0;

    memset(state->in_epoch, 0, state->options.task_count * sizeof(*state->in_epoch));
    for (uint32_t i = 0; i < offset_count; i++) {
        const uint32_t index = mr_state_task_index(state, offsets[i].task);
        MR_ASSERT(index != UINT32_MAX && offsets[i].to >= offsets[i].from);
        state->in_epoch[index] = true;
    }
    for (uint32_t i = 0; i < state->table_count; i++) {
        const mr_table *table = state->tables[i];
        if (table->dirty[state->open].count > 0) { /* Not so for a table that is only kept. */
            state->in_epoch[table->task_index] = true;
        }
    }
    for (uint32_t i = 0; i < state->options.task_count; i++) {
        count += state->in_epoch[i];
    }
    return count;
}

/* By task, stable. They nearly always come in that order, so insertion is linear. */
static void sort_offsets(const mr_input_offset *offsets, uint32_t offset_count, mr_delta_offset *to)
{
    for (uint32_t i = 0; i < offset_count; i++) {
        uint32_t at = i;
        for (; at > 0 && to[at - 1].task > offsets[i].task; at--) {
            to[at] = to[at - 1];
        }
        to[at] = (mr_delta_offset){.task = offsets[i].task,
                                   .input = offsets[i].input,
                                   .partition = offsets[i].partition,
                                   .topic = offsets[i].topic,
                                   .from = offsets[i].from,
                                   .to = offsets[i].to};
    }
}

/* Entries, sections and points of all tasks in the epoch. */
static void put_tasks(mr_state *state, writer *out, mr_delta_header *header, mr_task_point *points)
{
    mr_delta_task *tasks = (mr_delta_task *)(void *)(header + 1);
    const mr_delta_offset *offsets =
        (const mr_delta_offset *)(const void *)(tasks + header->task_count);
    uint32_t done = 0;
    uint32_t from = 0;
    uint32_t table_index = 0;

    for (uint32_t i = 0; i < state->options.task_count; i++) {
        if (!state->in_epoch[i]) {
            continue;
        }
        mr_delta_task *task = &tasks[done];
        const mr_history *history = mr_log_history(&state->log, state->tasks[i]);
        *task = (mr_delta_task){.task = state->tasks[i],
                                .lineage = state->lineages[i],
                                .section_from = out->at,
                                .watermark_us = state->watermarks[i]};
        if (history != NULL && history->moment_count > 0) {
            task->previous_epoch = mr_history_at(history, history->moment_count - 1)->point.epoch;
        }
        put_sections(state, &table_index, out, task);
        uint32_t end = from;
        while (end < header->offset_count && offsets[end].task == task->task) {
            end++;
        }
        task->digest =
            mr_delta_task_digest(task, offsets + from, end - from, out->delta + task->section_from);
        from = end;
        points[done++] = (mr_task_point){.task = task->task,
                                         .lineage = task->lineage,
                                         .epoch = header->epoch,
                                         .incarnation = header->incarnation,
                                         .digest = task->digest,
                                         .watermark_us = task->watermark_us};
    }
    MR_ASSERT(done == header->task_count && from == header->offset_count);
}

/* Tables stand in order of tasks, and so does the call: `table_index` only goes forward. */
static void put_sections(const mr_state *state, uint32_t *table_index, writer *out,
                         mr_delta_task *task)
{
    for (; *table_index < state->table_count; (*table_index)++) {
        const mr_table *table = state->tables[*table_index];
        const mr_dirty *dirty = &table->dirty[state->open];
        if (table->spec.task > task->task) {
            break;
        }
        if (dirty->count == 0) {
            continue;
        }
        MR_ASSERT(table->spec.task == task->task);
        mr_section *section = (mr_section *)(void *)(out->delta + out->at);
        *section = (mr_section){.task = task->task,
                                .table = table->spec.table,
                                .kind = MR_SECTION_RECORDS,
                                .count = (uint32_t)dirty->count,
                                .layout = table->spec.layout};
        out->at += sizeof(*section);
        const uint64_t body = out->at;
        const mr_undo *ahead = dirty->first;
        for (uint32_t i = 0; i < RECORDS_AHEAD; i++) {
            ahead = prefetch_record(state, ahead);
        }
        for (const mr_undo *undo = dirty->first; undo != NULL; undo = undo->next) {
            ahead = prefetch_record(state, ahead);
            put_record(table, undo, out);
        }
        section->bytes = out->at - body;
        task->section_count++;
    }
    task->section_bytes = out->at - task->section_from;
}

/* Entries stand in a row, the records they name anywhere. Returns the next entry. */
static const mr_undo *prefetch_record(const mr_state *state, const mr_undo *undo)
{
    if (undo == NULL) {
        return NULL;
    }
    const uint8_t *row = (const uint8_t *)mr_row_at(&state->pages, undo->address);
    __builtin_prefetch(row);
    __builtin_prefetch(row + SMALL_ROW_BYTES - 1);
    return undo->next;
}

static void put_record(const mr_table *table, const mr_undo *undo, writer *out)
{
    const mr_row *row = mr_undo_resolve(table->state, undo);
    const bool is_deleted = (row->flags & MR_FLAG_TOMBSTONE) != 0;
    mr_delta_record *record = (mr_delta_record *)(void *)(out->delta + out->at);

    *record = (mr_delta_record){.value_size = row->value_size,
                                .key_size = row->key_size,
                                .flags = is_deleted ? MR_RECORD_TOMBSTONE : 0};
    MR_ASSERT(!is_deleted || row->value_size == 0);
    out->at += sizeof(*record);
    memcpy(out->delta + out->at, mr_row_key(row), row->key_size);
    out->at += row->key_size;
    memcpy(out->delta + out->at, mr_row_value(table, row), row->value_size);
    out->at += row->value_size;
    pad(out, 8);
}

static void put_seal(const mr_state *state, const mr_delta_header *header)
{
    const uint8_t *delta = (const uint8_t *)header;
    const uint64_t body = header->total_bytes - MR_BLOCK_BYTES;
    mr_seal *seal = (mr_seal *)(void *)(state->buffer + MR_BLOCK_BYTES + body);

    MR_ASSERT(body <= MR_DELTA_BYTES_MAX);
    memset(seal, 0, sizeof(*seal));
    memcpy(seal->magic, "MRSEAL01", sizeof(seal->magic));
    memcpy(seal->store, header->store, sizeof(seal->store));
    seal->incarnation = header->incarnation;
    seal->epoch = header->epoch;
    seal->total_bytes = header->total_bytes;
    seal->position = header->position;
    memcpy(seal->header_checksum, header->checksum, sizeof(seal->header_checksum));
    for (uint64_t from = 0; from < body; from += MR_CHUNK_BYTES) {
        const uint64_t size = body - from < MR_CHUNK_BYTES ? body - from : MR_CHUNK_BYTES;
        const uint64_t position = mr_wal_advance(&state->volume, header->position, from);
        seal->chunk_sums[seal->chunk_count++] =
            mr_hash64(delta + from, size, mr_wal_seed(&state->volume, position));
    }
    const uint64_t position = mr_wal_advance(&state->volume, header->position, body);
    mr_hash128(seal, sizeof(*seal), mr_wal_seed(&state->volume, position), seal->checksum);
}

static void pad(writer *out, uint64_t multiple)
{
    const uint64_t end = (out->at + multiple - 1) / multiple * multiple;

    memset(out->delta + out->at, 0, end - out->at);
    out->at = end;
}

static uint64_t round_block(uint64_t bytes)
{
    return (bytes + MR_BLOCK_BYTES - 1) / MR_BLOCK_BYTES * MR_BLOCK_BYTES;
}
