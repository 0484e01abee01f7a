/*
 * base.c - a base: the whole state of one acknowledged epoch, written so that the log before it is
 * no longer needed.
 *
 * By stop-and-write: at an epoch boundary with nothing open and nothing undecided input pauses
 * while `tick` copies every record to chunks, a budget at a time; then work goes on while chunks
 * and manifest reach a fresh range of the data file and are synced. The finished candidate waits
 * until its epoch is at or below the horizon, the eighth-newest acknowledged epoch. Only then one
 * superblock pair names it, and only when that pair is durable are the old range and the old
 * parts of the log free. An epoch that touches a record while it is being copied, and a roll,
 * throw the copy away: nothing on the disk refers to it.
 *
 * An I/O error is never retried: the next epoch fails, and the roll reads the disk again.
 * Thread: the shard's.
 */
#include "engine/base/crash.h"
#include "engine/state/state_private.h"
#include <errno.h>

enum {
    WAL_SHARE = 3,                 /* A base is due when the log behind it is a third of wal_max, */
    TIMED_SHARE = 16,              /* or, by time, a sixteenth of the state. */
    EMPTY_EPOCHS = MR_HORIZON + 4, /* Set aside, to bring a candidate to the horizon. */
    GROW_BYTES_MAX = 64 << 20,
    GROW_TRIES = 3,         /* In the reserve; then epochs are refused. */
    RETRY_US = 1000 * 1000, /* Of a full filesystem. */
    GROW_SLACK = 8,         /* An eighth more than now: the state grows meanwhile. */
    INDEX_MANIFEST = 64,    /* Tags: below are buffers. */
    INDEX_SYNC,
    INDEX_SUPER,
    INDEX_SUPER_SYNC
};

#define STATE_BYTES_FLOOR (UINT64_C(1) << 30)
#define CHECKPOINT_US_DEFAULT (INT64_C(300) * 1000 * 1000)

static uint64_t state_bytes(const mr_state *state);
static uint64_t empty_epoch_bytes(const mr_state *state);
static bool in_reserve(const mr_state *state);
static bool must_be_now(const mr_state *state);
static bool is_due(mr_state *state, int64_t now_us);
static uint64_t manifest_bytes_of(const mr_state *state, uint64_t chunk_count,
                                  uint32_t *offset_count);
static uint64_t bound_of(const mr_state *state);
static bool manifest_fits(mr_state *state, uint64_t range_bytes);
static void refused(mr_state *state);
static bool place(mr_state *state, uint64_t bytes);
static void grow(mr_state *state);
static void begin(mr_state *state);
static void copy(mr_state *state, uint64_t budget_bytes);
static uint64_t emit_row(mr_state *state);
static bool next_row(mr_state *state);
static bool send_chunk(mr_state *state);
static bool submit(mr_state *state, const mr_io_request *request);
static void finish_manifest(mr_state *state);
static void advance(mr_state *state);
static void install(mr_state *state);
static void installed(mr_state *state);
static void forget(mr_state *state);
static uint64_t round_block(uint64_t bytes);

mr_status mr_base_prepare(mr_state *state, mr_diag *diag)
{
    mr_base *base = &state->base;
    const mr_memory *memory = &state->options.memory;

    if (base->memory != NULL || !mr_state_is_durable(state) || state->is_read_only) {
        return MR_OK;
    }
    base->chunk_bytes = mr_base_chunk_bytes(state->volume.super.part_bytes);
    const uint64_t buffers = MR_BASE_BUFFERS * (uint64_t)base->chunk_bytes;
    base->manifest_room = mr_base_manifest_bytes(
        state->options.task_count + state->log.history_count, mr_log_kept_offsets(state),
        state->table_count, state->memory_bytes / base->chunk_bytes + 2);
    base->memory_bytes = buffers + base->manifest_room + MR_BLOCK_BYTES;
    base->memory = memory->type->acquire(memory->self, base->memory_bytes, "base buffers");
    if (base->memory == NULL) {
        return mr_state_no_memory(state->options.shard, "the buffers of a base", diag);
    }
    base->buffers =
        base->memory + (MR_BLOCK_BYTES - (uintptr_t)base->memory % MR_BLOCK_BYTES) % MR_BLOCK_BYTES;
    base->manifest = base->buffers + buffers;
    return MR_OK;
}

uint32_t mr_base_demand(const mr_state *state)
{
    switch (state->base.phase) {
    case MR_BASE_WAITING:
        return MR_DEMAND_CLOSE_EPOCH | MR_DEMAND_PAUSE_INPUT;
    case MR_BASE_COPYING:
        return MR_DEMAND_PAUSE_INPUT;
    case MR_BASE_GROWING:
        return (state->base.no_room == ENOSPC ? MR_DEMAND_SPACE : 0) |
               (in_reserve(state) ? MR_DEMAND_PAUSE_INPUT : 0);
    case MR_BASE_FLUSHING:
    case MR_BASE_MANIFEST:
    case MR_BASE_SYNCING:
    case MR_BASE_INSTALLING:
    case MR_BASE_SEALING:
        return in_reserve(state) ? MR_DEMAND_PAUSE_INPUT : 0;
    case MR_BASE_READY:
        return in_reserve(state) ? MR_DEMAND_CLOSE_EPOCH | MR_DEMAND_PAUSE_INPUT | MR_DEMAND_COMMIT
                                 : 0;
    case MR_BASE_NONE: /* It begins in the next tick: a pause without that would never end. */
        return must_be_now(state) && !mr_base_is_hopeless(state) ? MR_DEMAND_PAUSE_INPUT : 0;
    case MR_BASE_FAILED:
        break;
    }
    return 0;
}

void mr_base_tick(mr_state *state, int64_t now_us, uint64_t budget_bytes)
{
    mr_base *base = &state->base;

    if (base->due_us == 0) {
        base->due_us = now_us + (state->options.checkpoint_us > 0 ? state->options.checkpoint_us
                                                                  : CHECKPOINT_US_DEFAULT);
    }
    if (base->phase == MR_BASE_NONE && is_due(state, now_us)) {
        base->due_us = 0;
        base->phase = MR_BASE_GROWING;
    }
    if (base->phase == MR_BASE_GROWING &&
        (base->no_room != ENOSPC || now_us >= base->grow_retry_us)) {
        base->grow_retry_us = now_us + RETRY_US;
        grow(state);
    }
    if (base->phase == MR_BASE_WAITING) {
        begin(state);
    }
    if (base->phase == MR_BASE_COPYING) {
        mr_base_touched(state);
    }
    if (base->phase == MR_BASE_COPYING) {
        copy(state, budget_bytes);
    }
    mr_base_pump(state);
}

void mr_base_acked(mr_state *state, uint64_t epoch)
{
    mr_base *base = &state->base;

    if (base->ack_count == MR_HORIZON) {
        memmove(base->acks, base->acks + 1, sizeof(base->acks) - sizeof(base->acks[0]));
        base->ack_count--;
    }
    base->acks[base->ack_count++] = epoch;
    mr_base_pump(state);
}

void mr_base_touched(mr_state *state)
{
    if (state->base.phase == MR_BASE_COPYING && state->epochs[state->open].dirty_bytes > 0) {
        /* Requests in flight write to a range nothing refers to; begin() waits for them. */
        state->base.phase = MR_BASE_WAITING;
    }
}

void mr_base_complete(mr_state *state, uint32_t index, int32_t error)
{
    mr_base *base = &state->base;

    MR_ASSERT(base->in_flight > 0);
    base->in_flight--;
    if (index < MR_BASE_BUFFERS) {
        base->busy[index] = false;
    }
    if (error != 0) {
        base->is_complete |= mr_base_is_installing(state);
        state->volume.is_doubtful |= mr_base_is_installing(state);
        base->error = base->error != 0 ? base->error : error;
        base->phase = MR_BASE_FAILED;
    }
    mr_base_pump(state);
}

void mr_base_grown(mr_state *state, int32_t error)
{
    mr_base *base = &state->base;

    MR_ASSERT(base->in_flight > 0);
    base->in_flight--;
    base->no_room = error; /* Not fatal: the log goes on as long as it has room. */
    if (error == 0) {
        state->volume.data_bytes = base->sent_bytes;
    } else if (error != ENOSPC) { /* Not fatal either. */
        refused(state);
    }
}

bool mr_base_is_hopeless(const mr_state *state)
{
    return state->base.phase == MR_BASE_NONE && state->base.refusals >= GROW_TRIES &&
           in_reserve(state);
}

mr_status mr_base_crowded(const mr_state *state, uint64_t epoch, mr_diag *diag)
{
    const mr_base *base = &state->base;

    if (base->offsets_over == 0) {
        return MR_OK;
    }
    return mr_diag_set(diag, MR_ERR_LIMIT, 0,
                       "E_STATE_NO_SPACE: %s/shard-%u.wal: no room for epoch %llu: the log has "
                       "reached state.wal_max, and no base can shorten it: the stored and the "
                       "assigned tasks have %u input offsets, a base has room for %u of them; "
                       "start again with fewer partitions (--partitions), as room is made for "
                       "those that are only stored",
                       state->volume.directory, state->options.shard, (unsigned long long)epoch,
                       base->offsets_over, base->offsets_room);
}

bool mr_base_is_busy(const mr_state *state)
{
    return state->base.in_flight > 0 || mr_base_is_installing(state);
}

bool mr_base_is_installing(const mr_state *state)
{
    return state->base.phase == MR_BASE_INSTALLING || state->base.phase == MR_BASE_SEALING;
}

void mr_base_cancel(mr_state *state)
{
    mr_base *base = &state->base;

    MR_ASSERT(!mr_base_is_busy(state));
    if (base->phase == MR_BASE_FAILED && base->is_complete) {
        base->phase = MR_BASE_READY; /* Only its superblock failed, which is read again. */
    }
    if (base->phase != MR_BASE_READY) {
        forget(state);
    }
    base->error = base->no_room = 0;
    base->refusals = 0;
}

void mr_base_rolled(mr_state *state, uint64_t epoch)
{
    mr_base *base = &state->base;

    if (base->phase == MR_BASE_READY &&
        (base->epoch > epoch || base->epoch <= state->volume.super.base_to)) {
        forget(state);
    }
    while (base->ack_count > 0 && base->acks[base->ack_count - 1] > epoch) {
        base->ack_count--;
    }
}

void mr_base_pump(mr_state *state)
{
    mr_base *base = &state->base;
    mr_base_phase before;

    do { /* Every pass moves one phase on. */
        before = base->phase;
        advance(state);
    } while (base->phase != before);
}

uint64_t mr_base_delta_since(const mr_state *state)
{
    const uint64_t from = state->volume.super.wal_position;

    return state->log.end.position > from ? state->log.end.position - from : 0;
}

/* ---- When ---- */

static uint64_t state_bytes(const mr_state *state)
{
    return (uint64_t)(state->pages.page_count - state->pages.free_count) * MR_PAGE_BYTES;
}

static uint64_t empty_epoch_bytes(const mr_state *state)
{
    return round_block(sizeof(mr_delta_header) + state->options.task_count * sizeof(mr_delta_task) +
                       state->offset_count_max * sizeof(mr_delta_offset)) +
           MR_BLOCK_BYTES;
}

/* Only what the open epoch and the way to the horizon need is left of the log, or of the disk. */
static bool in_reserve(const mr_state *state)
{
    if (mr_wal_is_short(state)) {
        return true;
    }
    const mr_volume *volume = &state->volume;
    const uint64_t all = mr_parts_all(volume);
    const uint64_t empty = empty_epoch_bytes(state);
    const uint64_t wanted = state->options.epoch_bytes_max + EMPTY_EPOCHS * empty +
                            2 * (uint64_t)volume->super.part_bytes;
    const uint64_t reserve = wanted < all / 2 ? wanted : all / 2;

    return mr_parts_left(state) <= reserve;
}

/* What the last base's way to the horizon wrote is not worth another one, unless it is half of a
 * small log: the rest is what the next base needs. */
static bool must_be_now(const mr_state *state)
{
    const uint64_t half = mr_parts_all(&state->volume) / 2;
    const uint64_t way = UINT64_C(2) * EMPTY_EPOCHS * empty_epoch_bytes(state);

    return in_reserve(state) && mr_base_delta_since(state) > (way < half ? way : half);
}

static bool is_due(mr_state *state, int64_t now_us)
{
    const mr_volume *volume = &state->volume;
    const uint64_t all = (uint64_t)volume->part_count_max * volume->super.part_bytes;
    const uint64_t bytes = state_bytes(state);
    const uint64_t most = bytes > STATE_BYTES_FLOOR ? bytes : STATE_BYTES_FLOOR;
    const uint64_t limit = most < all / WAL_SHARE ? most : all / WAL_SHARE;
    const uint64_t since = mr_base_delta_since(state);

    if (state->log.end.epoch <= volume->super.base_to ||
        (state->base.no_room != 0 && state->log.end.position < state->base.retry_position &&
         !(in_reserve(state) && state->base.refusals < GROW_TRIES))) {
        return false;
    }
    if (since >= limit) {
        return true;
    }
    if (must_be_now(state)) {
        return true;
    }
    return now_us >= state->base.due_us && since >= bytes / TIMED_SHARE;
}

/* ---- Where ---- */

static uint64_t manifest_bytes_of(const mr_state *state, uint64_t chunk_count,
                                  uint32_t *offset_count)
{
    const mr_log *log = &state->log;

    *offset_count = 0;
    for (uint32_t i = 0; i < log->history_count; i++) {
        const mr_history *history = &log->histories[i];
        if (history->moment_count > 0) {
            *offset_count += mr_history_at(history, history->moment_count - 1)->offset_count;
        }
    }
    return round_block(sizeof(mr_base_header) + log->history_count * sizeof(mr_base_task) +
                       *offset_count * sizeof(mr_delta_offset) +
                       state->table_count * sizeof(mr_base_table) + chunk_count * 16);
}

/* No record takes more in the stream than in its slot and pages. */
static uint64_t bound_of(const mr_state *state)
{
    const uint32_t chunk_bytes = state->base.chunk_bytes;
    uint32_t offset_count = 0;
    uint64_t pages = 0;

    for (uint32_t i = 0; i < state->table_count; i++) {
        pages += state->tables[i]->slabs.page_count + state->tables[i]->run_pages;
    }
    const uint64_t stream = pages * MR_PAGE_BYTES + chunk_bytes;
    return stream + manifest_bytes_of(state, stream / chunk_bytes + 1, &offset_count);
}

static bool manifest_fits(mr_state *state, uint64_t range_bytes)
{
    mr_base *base = &state->base;
    uint32_t offset_count = 0;
    const uint64_t chunks = range_bytes / base->chunk_bytes + 1;
    const uint64_t bytes = manifest_bytes_of(state, chunks, &offset_count);
    const bool fits = bytes <= base->manifest_room;
    const uint64_t others = bytes - offset_count * sizeof(mr_delta_offset);

    base->offsets_over = fits ? 0 : offset_count;
    base->offsets_room = fits || others > base->manifest_room
                             ? 0
                             : (uint32_t)((base->manifest_room - others) / sizeof(mr_delta_offset));
    return fits;
}

/* Asked again a part further on; in the reserve at once, until tries have failed there. */
static void refused(mr_state *state)
{
    mr_base *base = &state->base;

    base->refusals += in_reserve(state); /* Elsewhere there is time for other ones. */
    base->retry_position = state->log.end.position + state->volume.super.part_bytes;
    base->phase = base->phase == MR_BASE_GROWING ? MR_BASE_NONE : base->phase;
}

/* A range beside the installed base: in front of it if that is large enough, else behind. False:
 * the file must grow; the range is set all the same. */
static bool place(mr_state *state, uint64_t bytes)
{
    mr_base *base = &state->base;
    const mr_volume *volume = &state->volume;

    base->range_bytes = bytes;
    base->range_from = MR_DATA_FROM;
    if (volume->base_bytes > 0 && MR_DATA_FROM + bytes > volume->base_from) {
        base->range_from = volume->base_from + volume->base_bytes;
    }
    return base->range_from + bytes <= volume->data_bytes;
}

static void grow(mr_state *state)
{
    mr_base *base = &state->base;
    mr_volume *volume = &state->volume;
    const uint64_t now = bound_of(state);

    if (base->in_flight > 0) {
        return;
    }
    if (!manifest_fits(state, now)) {
        base->no_room = ENOMEM;
        refused(state);
        return;
    }
    if (place(state, now + round_block(now / GROW_SLACK))) {
        base->no_room = 0;
        base->refusals = 0;
        base->phase = MR_BASE_WAITING;
        return;
    }
    const uint64_t missing = base->range_from + base->range_bytes - volume->data_bytes;
    const uint64_t size = missing < GROW_BYTES_MAX ? missing : GROW_BYTES_MAX;
    const mr_file_job job = {.descriptor = volume->data_descriptor,
                             .offset = volume->data_bytes,
                             .size_bytes = size,
                             .tag = mr_wal_grow_tag()};
    base->sent_bytes = volume->data_bytes + size;
    base->in_flight += mr_ring_prepare(state->ring, &job);
}

/* ---- The copy ---- */

/* Starts where nothing is open or undecided and the newest delta is the acknowledged one. */
static void begin(mr_state *state)
{
    mr_base *base = &state->base;
    uint32_t offset_count = 0;

    if (base->in_flight > 0 || state->epochs[1 - state->open].number != 0 ||
        state->epochs[state->open].dirty_bytes > 0 || state->log.end.epoch != state->acked) {
        return;
    }
    if (!place(state, bound_of(state)) || !manifest_fits(state, base->range_bytes)) {
        base->phase = MR_BASE_GROWING;
        return;
    }
    (void)manifest_bytes_of(state, 0, &offset_count);
    base->epoch = state->acked;
    base->wal_position = state->log.end.position;
    memcpy(base->wal_previous, state->log.end.previous, sizeof(base->wal_previous));
    memset(base->manifest, 0, base->manifest_room);
    mr_base_header *header = (mr_base_header *)(void *)base->manifest;
    *header = (mr_base_header){.magic = {'M', 'R', 'B', 'A', 'S', 'E', '0', '1'},
                               .epoch = base->epoch,
                               .stream_from = base->range_from,
                               .chunk_bytes = base->chunk_bytes,
                               .task_count = state->log.history_count,
                               .offset_count = offset_count,
                               .table_count = state->table_count};
    memcpy(header->store, state->volume.super.store, sizeof(header->store));
    mr_base_task *tasks = (mr_base_task *)(void *)(header + 1);
    mr_delta_offset *offsets = (mr_delta_offset *)(void *)(tasks + header->task_count);
    for (uint32_t i = 0; i < header->task_count; i++) {
        const mr_history *history = &state->log.histories[i];
        tasks[i] = (mr_base_task){.task = history->task};
        if (history->moment_count > 0) {
            const uint32_t newest = history->moment_count - 1;
            const mr_moment *moment = mr_history_at(history, newest);
            tasks[i].offset_count = moment->offset_count;
            tasks[i].lineage = moment->point.lineage;
            tasks[i].epoch = moment->point.epoch;
            tasks[i].incarnation = moment->point.incarnation;
            tasks[i].digest = moment->point.digest;
            tasks[i].watermark_us = moment->point.watermark_us;
            if (moment->offset_count > 0) {
                memcpy(offsets, mr_history_offsets(history, newest),
                       moment->offset_count * sizeof(*offsets));
            }
            offsets += moment->offset_count;
        }
    }
    base->tables = (mr_base_table *)(void *)offsets;
    for (uint32_t i = 0; i < state->table_count; i++) {
        base->tables[i] = (mr_base_table){.task = state->tables[i]->spec.task,
                                          .table = state->tables[i]->spec.table,
                                          .layout = state->tables[i]->spec.layout};
    }
    base->sums = (uint8_t *)(base->tables + state->table_count);
    base->stream_bytes = base->record_count = base->row_done = 0;
    base->chunk_count = base->buffer = base->filled = base->table = 0;
    base->cursor = (mr_cursor){.subtable = 0};
    base->row = NULL;
    base->phase = MR_BASE_COPYING;
}

/* Records to chunks, as far as budget and buffers go. */
static void copy(mr_state *state, uint64_t budget_bytes)
{
    mr_base *base = &state->base;
    uint64_t copied = 0;

    while (copied < budget_bytes) {
        if (base->filled == base->chunk_bytes && !send_chunk(state)) {
            return;
        }
        if (base->busy[base->buffer]) {
            return;
        }
        if (base->row == NULL && !next_row(state)) {
            if (base->filled == 0 || send_chunk(state)) {
                base->phase = MR_BASE_FLUSHING; /* Nothing more is read from memory. */
            }
            return;
        }
        copied += emit_row(state);
    }
}

static bool next_row(mr_state *state)
{
    mr_base *base = &state->base;

    for (; base->table < state->table_count; base->table++) {
        const mr_table *table = state->tables[base->table];
        base->row = mr_index_next(&table->index, &base->cursor);
        while (base->row != NULL && (base->row->flags & MR_FLAG_TOMBSTONE) != 0) {
            base->row = mr_index_next(&table->index, &base->cursor);
        }
        if (base->row != NULL) {
            base->row_done = 0;
            base->record_count++;
            base->tables[base->table].record_count++;
            return true;
        }
        base->cursor = (mr_cursor){.subtable = 0};
    }
    return false;
}

/* As much of the record as the chunk has room for: header, key, value, zeros to 8. */
static uint64_t emit_row(mr_state *state)
{
    mr_base *base = &state->base;
    const mr_row *row = base->row;
    static const uint8_t zeros[8] = {0};
    const mr_delta_record record = {.value_size = row->value_size, .key_size = row->key_size};
    const uint64_t exact = sizeof(record) + row->key_size + (uint64_t)row->value_size;
    const uint64_t size = (exact + 7) / 8 * 8;
    const uint8_t *const pieces[] = {(const uint8_t *)&record, mr_row_key(row),
                                     mr_row_value(state->tables[base->table], row), zeros};
    const uint64_t sizes[] = {sizeof(record), row->key_size, row->value_size, size - exact};
    uint8_t *buffer = base->buffers + (size_t)base->buffer * base->chunk_bytes;
    uint64_t from = 0;
    uint64_t emitted = 0;

    for (size_t i = 0; i < MR_LENGTH(pieces); from += sizes[i], i++) {
        if (base->row_done >= from + sizes[i]) {
            continue;
        }
        const uint64_t skip = base->row_done - from;
        const uint64_t room = base->chunk_bytes - base->filled;
        const uint64_t part = sizes[i] - skip < room ? sizes[i] - skip : room;
        memcpy(buffer + base->filled, pieces[i] + skip, part);
        base->filled += (uint32_t)part;
        base->row_done += part;
        emitted += part;
        if (part == room) {
            break;
        }
    }
    base->stream_bytes += emitted;
    base->tables[base->table].bytes += emitted;
    if (base->row_done == size) {
        base->row = NULL;
    }
    return emitted;
}

static bool send_chunk(mr_state *state)
{
    mr_base *base = &state->base;
    uint8_t *buffer = base->buffers + (size_t)base->buffer * base->chunk_bytes;
    const uint64_t size = round_block(base->filled);
    const uint64_t offset = base->range_from + (uint64_t)base->chunk_count * base->chunk_bytes;

    MR_ASSERT(offset + size <= base->range_from + base->range_bytes);
    memset(buffer + base->filled, 0, size - base->filled);
    const mr_io_request request = {.op = MR_IO_WRITE,
                                   .file = state->volume.data_file,
                                   .offset = offset,
                                   .buffer = buffer,
                                   .size_bytes = (uint32_t)size,
                                   .priority = 2,
                                   .tag = mr_wal_base_tag(base->buffer)};
    if (!submit(state, &request)) {
        return false;
    }
    mr_hash128(buffer, size, mr_wal_seed(&state->volume, offset),
               base->sums + 16 * (size_t)base->chunk_count);
    base->busy[base->buffer] = true;
    base->buffer = (base->buffer + 1) % MR_BASE_BUFFERS;
    base->filled = 0;
    base->chunk_count++;
    return true;
}

/* ---- From the copy to the superblock ---- */

static bool submit(mr_state *state, const mr_io_request *request)
{
    if (mr_ring_submit(state->ring, request, 1) != 1) {
        return false;
    }
    state->base.in_flight++;
    return true;
}

static void finish_manifest(mr_state *state)
{
    mr_base *base = &state->base;
    mr_base_header *header = (mr_base_header *)(void *)base->manifest;

    mr_crash_pass(MR_K11A);
    header->stream_bytes = base->stream_bytes;
    header->record_count = base->record_count;
    header->chunk_count = base->chunk_count;
    const uint64_t exact =
        (uint64_t)(base->sums - base->manifest) + 16 * (uint64_t)base->chunk_count;
    base->manifest_bytes = round_block(exact);
    base->range_bytes = round_block(base->stream_bytes) + base->manifest_bytes;
    base->sent_bytes = 0;
    base->phase = MR_BASE_MANIFEST;
}

/* One step of what follows the copy, if nothing in flight stands before it. */
static void advance(mr_state *state)
{
    mr_base *base = &state->base;

    if (base->phase == MR_BASE_FLUSHING && base->in_flight == 0) {
        finish_manifest(state);
        return;
    }
    if (base->phase == MR_BASE_MANIFEST) {
        while (base->sent_bytes < base->manifest_bytes) {
            const uint64_t rest = base->manifest_bytes - base->sent_bytes;
            const mr_io_request request = {
                .op = MR_IO_WRITE,
                .file = state->volume.data_file,
                .offset = base->range_from + base->range_bytes - rest,
                .buffer = base->manifest + base->sent_bytes,
                .size_bytes = (uint32_t)(rest < MR_CHUNK_BYTES ? rest : MR_CHUNK_BYTES),
                .priority = 2,
                .tag = mr_wal_base_tag(INDEX_MANIFEST)};
            if (!submit(state, &request)) {
                return;
            }
            base->sent_bytes += request.size_bytes;
        }
        if (base->in_flight == 0) {
            base->phase = MR_BASE_SYNCING;
            base->sync_sent = false;
        }
        return;
    }
    if (base->phase == MR_BASE_SYNCING || base->phase == MR_BASE_SEALING) {
        const bool is_last = base->phase == MR_BASE_SEALING;
        const mr_io_request request = {
            .op = MR_IO_SYNC,
            .file = state->volume.data_file,
            .tag = mr_wal_base_tag(is_last ? INDEX_SUPER_SYNC : INDEX_SYNC)};
        if (!base->sync_sent) {
            base->sync_sent = submit(state, &request);
        } else if (base->in_flight == 0 && is_last) {
            installed(state);
        } else if (base->in_flight == 0) {
            mr_crash_pass(MR_K11B);
            base->phase = MR_BASE_READY;
        }
        return;
    }
    if (base->phase == MR_BASE_READY) {
        install(state);
    } else if (base->phase == MR_BASE_INSTALLING && base->in_flight == 0) {
        mr_crash_pass(MR_K11C);
        base->phase = MR_BASE_SEALING;
        base->sync_sent = false;
    }
}

/* Once the candidate is at or below the eighth-newest acknowledged epoch. */
static void install(mr_state *state)
{
    mr_base *base = &state->base;

    if (!state->is_rolled || base->ack_count < MR_HORIZON || base->epoch > base->acks[0]) {
        return;
    }
    mr_superblock super = state->volume.super;
    super.minor = MR_FORMAT_MINOR;
    super.incompatible |= MR_FEATURE_BASE;
    super.sequence++;
    super.base_from = super.base_to = base->epoch;
    super.acked = state->acked;
    super.wal_position = base->wal_position;
    memcpy(super.wal_previous, base->wal_previous, sizeof(super.wal_previous));
    const uint64_t at = base->range_from + base->range_bytes - base->manifest_bytes;
    super.manifest_block = at / MR_BLOCK_BYTES;
    super.manifest_bytes = base->manifest_bytes;
    mr_hash128(base->manifest, base->manifest_bytes, mr_wal_seed(&state->volume, at),
               super.manifest_sum);
    super.task_count = ((const mr_base_header *)(const void *)base->manifest)->task_count;
    const mr_io_request request = {.op = MR_IO_WRITE,
                                   .file = state->volume.data_file,
                                   .offset = mr_volume_fill_pair(&super, base->buffers),
                                   .buffer = base->buffers,
                                   .size_bytes = 2 * MR_BLOCK_BYTES,
                                   .tag = mr_wal_base_tag(INDEX_SUPER)};
    if (submit(state, &request)) {
        base->phase = MR_BASE_INSTALLING;
    }
}

/* The pair is durable: what only the older one needed is free. */
static void installed(mr_state *state)
{
    mr_base *base = &state->base;
    mr_volume *volume = &state->volume;

    mr_crash_pass(MR_K11D);
    memcpy(&volume->super, base->buffers, sizeof(volume->super));
    volume->is_pair_lost = false; /* It was the one written now. */
    volume->base_from = base->range_from;
    volume->base_bytes = base->range_bytes;
    volume->base_stream_bytes = base->stream_bytes;
    mr_parts_free_below(volume, volume->super.wal_position / volume->super.part_bytes);
    volume->part_error = 0; /* What is free now may be enough; if not, it is asked again. */
    base->installed_count++;
    forget(state);
}

static void forget(mr_state *state)
{
    mr_base *base = &state->base;

    base->phase = MR_BASE_NONE;
    base->is_complete = false;
    base->row = NULL;
    base->due_us = 0;
    memset(base->busy, 0, sizeof(base->busy));
}

static uint64_t round_block(uint64_t bytes)
{
    return (bytes + MR_BLOCK_BYTES - 1) / MR_BLOCK_BYTES * MR_BLOCK_BYTES;
}
