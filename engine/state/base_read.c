/*
 * base_read.c - the installed base read back: manifest, then records, every byte under a sum.
 *
 * The superblock holds the manifest's sum, the manifest those of the chunks, so a write that was
 * lost or landed elsewhere shows. A sum that fails is read once more before it is believed. What
 * makes no sense under good sums is damage by name, never an assertion.
 */
#include "engine/state/state_private.h"

enum { CHUNKS_AHEAD_MIN = 2, CHUNKS_AHEAD_MAX = 16 };

typedef struct base_view { /* A verified manifest in memory. */
    uint8_t *memory;
    uint64_t memory_bytes;
    const mr_base_header *header;
    const mr_base_task *tasks;
    const mr_delta_offset *offsets;
    const mr_base_table *tables;
    const uint8_t *sums;
} base_view;

typedef struct stream { /* The records' bytes, chunk by chunk. */
    mr_state *state;
    const base_view *view;
    uint8_t *memory, *window; /* memory NULL: the delta's buffer is used. */
    uint64_t room, filled, used;
    uint32_t chunk; /* The next one. */
    uint32_t reserved;
} stream;

static mr_status read_manifest(mr_state *state, base_view *view, mr_diag *diag);
static bool check_manifest(const mr_state *state, base_view *view);
static void release(const mr_state *state, base_view *view);
static uint64_t lineage_of(const base_view *view, uint32_t task);
static mr_status need(stream *in, uint64_t bytes, mr_diag *diag);
static mr_status move_rest(stream *in, uint64_t bytes, mr_diag *diag);
static mr_status walk_table(stream *in, const mr_base_table *table, mr_base_visit visit,
                            void *context, mr_diag *diag);
static mr_status damaged(const mr_state *state, uint64_t offset, const char *what, mr_diag *diag);

mr_status mr_base_read(mr_state *state, mr_diag *diag)
{
    mr_volume *volume = &state->volume;
    mr_log *log = &state->log;
    base_view view;
    uint32_t offset = 0;

    volume->base_bytes = 0;
    if (volume->super.base_to == 0) {
        return MR_OK;
    }
    mr_status status = read_manifest(state, &view, diag);
    if (status != MR_OK) {
        return status;
    }
    MR_ASSERT(view.header != NULL && view.tasks != NULL && view.tables != NULL);
    const uint64_t end =
        volume->super.manifest_block * MR_BLOCK_BYTES + volume->super.manifest_bytes;
    volume->base_from = view.header->stream_from;
    volume->base_bytes = end - view.header->stream_from;
    volume->base_stream_bytes = view.header->stream_bytes;
    bool ok = true;
    for (uint32_t i = 0; ok && i < view.header->task_count; i++) {
        const mr_base_task *task = &view.tasks[i];
        const mr_delta_header header = {.epoch = task->epoch,
                                        .incarnation = task->incarnation,
                                        .follows = log->end.epoch,
                                        .task_count = 1,
                                        .offset_count = task->offset_count};
        const mr_delta_task entry = {.task = task->task,
                                     .lineage = task->lineage,
                                     .watermark_us = task->watermark_us,
                                     .digest = task->digest};
        ok = task->epoch == 0 ? mr_log_reserve(log, &task->task, 1, 1)
                              : mr_log_add(log, &header, &entry, view.offsets + offset);
        offset += task->offset_count;
    }
    for (uint32_t i = 0; ok && i < view.header->table_count; i++) {
        ok =
            mr_log_add_table(log, view.tables[i].task, view.tables[i].table, view.tables[i].layout);
    }
    log->end.epoch = log->end.epoch_max = volume->super.base_to;
    log->end.acked = volume->super.acked;
    release(state, &view);
    return ok ? MR_OK : mr_state_no_memory(state->options.shard, "the history of the log", diag);
}

mr_status mr_base_walk(mr_state *state, mr_base_visit visit, void *context, mr_diag *diag)
{
    const mr_memory *memory = &state->options.memory;
    base_view view;
    stream in = {.state = state, .view = &view};

    if (state->volume.super.base_to == 0) {
        return MR_OK;
    }
    mr_status status = read_manifest(state, &view, diag);
    MR_ASSERT(status != MR_OK || (view.header != NULL && view.tables != NULL));
    for (uint32_t i = 0; status == MR_OK && i < view.header->table_count; i++) {
        status = walk_table(&in, &view.tables[i], visit, context, diag);
    }
    if (in.memory != NULL) {
        memory->type->release(memory->self, in.memory, in.room + MR_BLOCK_BYTES);
    }
    release(state, &view);
    return status;
}

/* ---- Helpers ---- */

static mr_status read_manifest(mr_state *state, base_view *view, mr_diag *diag)
{
    const mr_volume *volume = &state->volume;
    const mr_memory *memory = &state->options.memory;
    const uint64_t offset = volume->super.manifest_block * MR_BLOCK_BYTES;
    const uint64_t bytes = volume->super.manifest_bytes;
    uint8_t sum[16] = {0};

    *view = (base_view){.memory_bytes = bytes + MR_BLOCK_BYTES};
    if (offset + bytes > volume->data_bytes) {
        return damaged(state, offset, "the file ends before the manifest", diag);
    }
    view->memory = memory->type->acquire(memory->self, view->memory_bytes, "manifest");
    if (view->memory == NULL) {
        return mr_state_no_memory(state->options.shard, "the manifest of the base", diag);
    }
    uint8_t *manifest =
        view->memory + (MR_BLOCK_BYTES - (uintptr_t)view->memory % MR_BLOCK_BYTES) % MR_BLOCK_BYTES;
    const mr_transfer read = {.op = MR_IO_READ,
                              .file = volume->data_file,
                              .offset = offset,
                              .bytes = manifest,
                              .size_bytes = bytes};
    bool holds = false;
    for (uint32_t i = 0; !holds && i < 2; i++) {
        if (mr_wal_transfer(state, &read) == 0) {
            mr_hash128(manifest, bytes, mr_wal_seed(volume, offset), sum);
            holds = memcmp(sum, volume->super.manifest_sum, sizeof(sum)) == 0;
        }
    }
    view->header = (const mr_base_header *)(const void *)manifest;
    if (!holds || !check_manifest(state, view)) {
        release(state, view);
        return damaged(
            state, offset,
            holds ? "the manifest holds impossible values" : "the manifest does not verify", diag);
    }
    return MR_OK;
}

/* Sizes that fit each other; then pointers into the manifest are safe. */
static bool check_manifest(const mr_state *state, base_view *view)
{
    const mr_volume *volume = &state->volume;
    const mr_base_header *header = view->header;
    const uint64_t exact = sizeof(*header) + header->task_count * sizeof(mr_base_task) +
                           header->offset_count * sizeof(mr_delta_offset) +
                           header->table_count * sizeof(mr_base_table) +
                           header->chunk_count * UINT64_C(16);
    uint64_t offsets = 0;
    uint64_t bytes = 0;

    if (memcmp(header->magic, "MRBASE01", sizeof(header->magic)) != 0 ||
        memcmp(header->store, volume->super.store, sizeof(header->store)) != 0 ||
        header->epoch != volume->super.base_to || exact > volume->super.manifest_bytes ||
        header->chunk_bytes < MR_BLOCK_BYTES || header->chunk_bytes % MR_BLOCK_BYTES != 0 ||
        header->chunk_bytes > MR_CHUNK_BYTES || header->stream_from < MR_DATA_FROM ||
        header->stream_from % MR_BLOCK_BYTES != 0 ||
        header->stream_from > volume->super.manifest_block * MR_BLOCK_BYTES ||
        header->stream_bytes >
            volume->super.manifest_block * MR_BLOCK_BYTES - header->stream_from ||
        header->chunk_count !=
            (header->stream_bytes + header->chunk_bytes - 1) / header->chunk_bytes) {
        return false;
    }
    view->tasks = (const mr_base_task *)(const void *)(header + 1);
    view->offsets = (const mr_delta_offset *)(const void *)(view->tasks + header->task_count);
    view->tables = (const mr_base_table *)(const void *)(view->offsets + header->offset_count);
    view->sums = (const uint8_t *)(view->tables + header->table_count);
    for (uint32_t i = 0; i < header->task_count; i++) {
        offsets += view->tasks[i].offset_count;
        if (view->tasks[i].epoch > header->epoch) {
            return false;
        }
    }
    for (uint32_t i = 0; i < header->table_count; i++) {
        uint32_t at = 0;
        while (at < header->task_count && view->tasks[at].task != view->tables[i].task) {
            at++;
        }
        if (at == header->task_count || view->tables[i].bytes > header->stream_bytes - bytes) {
            return false;
        }
        bytes += view->tables[i].bytes;
    }
    return offsets == header->offset_count && bytes == header->stream_bytes;
}

static void release(const mr_state *state, base_view *view)
{
    const mr_memory *memory = &state->options.memory;

    if (view->memory != NULL) {
        memory->type->release(memory->self, view->memory, view->memory_bytes);
        view->memory = NULL;
    }
}

static mr_status walk_table(stream *in, const mr_base_table *table, mr_base_visit visit,
                            void *context, mr_diag *diag)
{
    const mr_state *state = in->state;
    const uint64_t lineage = lineage_of(in->view, table->task);
    uint64_t left = table->bytes;
    uint64_t count = 0;
    mr_status status = MR_OK;

    for (; status == MR_OK && left >= sizeof(mr_delta_record); count++) {
        status = need(in, sizeof(mr_delta_record), diag);
        if (status != MR_OK) {
            break;
        }
        mr_delta_record record;
        MR_ASSERT(in->window != NULL); /* need() succeeded. */
        memcpy(&record, in->window + in->used, sizeof(record));
        const uint64_t size =
            (sizeof(record) + record.key_size + (uint64_t)record.value_size + 7) / 8 * 8;
        if (size > left || record.key_size > MR_KEY_BYTES_MAX || record.flags != 0 ||
            record.reserved != 0) {
            return damaged(state, in->view->header->stream_from, "holds an impossible record",
                           diag);
        }
        status = need(in, size, diag);
        if (status == MR_OK) {
            const mr_view key = {.bytes = in->window + in->used + sizeof(record),
                                 .size_bytes = record.key_size};
            const mr_view value = {.bytes = key.bytes + key.size_bytes,
                                   .size_bytes = record.value_size};
            if (visit != NULL && !visit(context, table, lineage, key, value)) {
                return mr_state_full(state, diag);
            }
            in->used += size;
            left -= size;
        }
    }
    if (status == MR_OK && (left != 0 || count != table->record_count)) {
        return damaged(state, in->view->header->stream_from, "counts other records than it holds",
                       diag);
    }
    return status;
}

/* Of a task as the base has it; 0 = it has none. */
static uint64_t lineage_of(const base_view *view, uint32_t task)
{
    for (uint32_t i = 0; i < view->header->task_count; i++) {
        if (view->tasks[i].task == task) {
            return view->tasks[i].lineage;
        }
    }
    return 0;
}

/* Makes `bytes` stand behind `used`; the caller knows that the stream has them. */
static mr_status need(stream *in, uint64_t bytes, mr_diag *diag)
{
    mr_state *state = in->state;
    const mr_base_header *header = in->view->header;
    const uint64_t chunk_bytes = header->chunk_bytes;

    if (in->filled - in->used >= bytes) {
        return MR_OK;
    }
    const mr_status status = move_rest(in, bytes, diag);
    if (status != MR_OK) {
        return status;
    }
    while (in->filled - in->used < bytes ||
           (in->chunk < header->chunk_count && in->room - in->filled >= chunk_bytes)) {
        if (in->chunk >= header->chunk_count) {
            return damaged(state, header->stream_from, "ends within a record", diag);
        }
        const uint64_t from = (uint64_t)in->chunk * chunk_bytes;
        const uint64_t exact =
            header->stream_bytes - from < chunk_bytes ? header->stream_bytes - from : chunk_bytes;
        const mr_transfer read = {.op = MR_IO_READ,
                                  .file = state->volume.data_file,
                                  .offset = header->stream_from + from,
                                  .bytes = in->window + in->filled,
                                  .size_bytes = (exact + MR_BLOCK_BYTES - 1) / MR_BLOCK_BYTES *
                                                MR_BLOCK_BYTES};
        bool holds = false;
        for (uint32_t i = 0; !holds && i < 2; i++) {
            uint8_t sum[16];
            if (mr_wal_transfer(state, &read) == 0) {
                mr_hash128(read.bytes, read.size_bytes, mr_wal_seed(&state->volume, read.offset),
                           sum);
                holds = memcmp(sum, in->view->sums + 16 * (size_t)in->chunk, sizeof(sum)) == 0;
            }
        }
        if (!holds) {
            return damaged(state, read.offset, "does not verify", diag);
        }
        in->filled += exact;
        in->chunk++;
    }
    return MR_OK;
}

/* The rest to the front of a window with room for `bytes`, and as much ahead as pays. */
static mr_status move_rest(stream *in, uint64_t bytes, mr_diag *diag)
{
    const mr_state *state = in->state;
    const mr_memory *memory = &state->options.memory;
    const uint64_t chunk_bytes = in->view->header->chunk_bytes;
    const uint64_t rest = in->filled - in->used;
    const uint64_t needed = (bytes + chunk_bytes - 1) / chunk_bytes;
    const uint64_t most = mr_state_window_bytes(state) / chunk_bytes;
    uint64_t ahead = most > needed + CHUNKS_AHEAD_MIN ? most - needed : CHUNKS_AHEAD_MIN;
    ahead = ahead < CHUNKS_AHEAD_MAX ? ahead : CHUNKS_AHEAD_MAX;
    const uint64_t wanted = (needed + ahead) * chunk_bytes;
    uint8_t *window = in->window;
    uint8_t *grown = NULL;

    if (in->room < wanted && in->memory == NULL && state->buffer != NULL &&
        wanted + MR_BLOCK_BYTES <= state->buffer_bytes) {
        window = state->buffer;
        in->room = wanted;
    } else if (in->room < wanted) {
        grown = memory->type->acquire(memory->self, wanted + MR_BLOCK_BYTES, "base window");
        if (grown == NULL) {
            return mr_state_no_memory(state->options.shard, "a window of the base", diag);
        }
        window = grown + (MR_BLOCK_BYTES - (uintptr_t)grown % MR_BLOCK_BYTES) % MR_BLOCK_BYTES;
    }
    /* It ends at a block's end, so that what is read behind it is aligned. */
    const uint64_t front = MR_BLOCK_BYTES - rest % MR_BLOCK_BYTES;
    if (rest > 0) {
        memmove(window + front, in->window + in->used, rest);
    }
    if (grown != NULL) {
        if (in->memory != NULL) {
            memory->type->release(memory->self, in->memory, in->room + MR_BLOCK_BYTES);
        }
        in->memory = grown;
        in->room = wanted;
    }
    in->window = window;
    in->used = front;
    in->filled = front + rest;
    return MR_OK;
}

static mr_status damaged(const mr_state *state, uint64_t offset, const char *what, mr_diag *diag)
{
    char lost[MR_LOST_TEXT_BYTES];

    return mr_diag_set(diag, MR_ERR_CORRUPT, 0,
                       "E_STATE_DAMAGED: %s/shard-%u.data@%llu: the base of epoch %llu: %s; "
                       "%srestore the directory from a copy",
                       state->volume.directory, state->options.shard, (unsigned long long)offset,
                       (unsigned long long)state->volume.super.base_to, what,
                       mr_volume_lost_text(&state->volume, lost));
}
