/*
 * wal.c - a gathered delta on its way to the disk, and the parts that receive it.
 *
 * The flush rule: at most 1 MiB, contiguous in one part, is one durable write. Anything else is
 * plain writes in parallel; when every one has completed with its full length, and only then, one
 * sync as its own request. Never plain chunks followed by one durable write: the kernel may turn
 * that into a forced-unit-access write and drop the flush of the drive's cache.
 *
 * Parts are zero-filled before their first use, by the ring's helper two parts ahead, because a
 * write into prewritten space needs no journal; parts.c says where each stands. What a base has
 * made free is used again first. A log that reaches its limit all the same ends in
 * E_STATE_NO_SPACE. On a full filesystem the parts ahead are what the open epoch is finished in:
 * input pauses until there are as many again, and a seal that still has no room waits.
 */
#include "engine/base/crash.h"
#include "engine/state/state_private.h"
#include <errno.h>
#include <stdio.h>

enum tag_kind { TAG_PIECE = 1, TAG_SYNC, TAG_PART, TAG_TRANSFER, TAG_BASE, TAG_GROW };

enum {
    KIND_SHIFT = 32,
    REAP_BATCH = 32,
    BLOCKING_WAIT_US = 100 * 1000,
    TRANSFERS_MAX = 16,
    DIRTY_SHARE = 4,  /* An epoch closes at a quarter of the largest; */
    EPOCH_BLOCKS = 4, /* header, sections and seal are whole blocks. */
    RETRY_US = 1000 * 1000
};

static uint64_t tag_of(enum tag_kind kind, uint32_t index);
static uint64_t part_of(const mr_volume *volume, uint64_t position);
static bool parts_are_ahead(const mr_state *state);
static void post_part(mr_state *state);
static void part_done(mr_state *state, int32_t error);
static void add_piece(mr_flight *flight, uint64_t offset, uint8_t *bytes, uint64_t size_bytes);
static void cut_pieces(mr_state *state, uint64_t from, uint64_t end);
static uint8_t *part_block(mr_state *state, uint64_t part, uint8_t *room);
static void send_pieces(mr_state *state);
static void finish_writing(mr_state *state);
static void fail(mr_state *state, mr_status status, int32_t error);
static mr_status not_written(const mr_state *state, const char *what, int32_t error, mr_diag *diag);
static void reap_blocking(mr_state *state);
static void return_others(mr_state *state);

uint64_t mr_wal_seed(const mr_volume *volume, uint64_t position)
{
    uint64_t low = 0;

    memcpy(&low, volume->super.store, sizeof(low));
    return low ^ position;
}

uint64_t mr_wal_advance(const mr_volume *volume, uint64_t position, uint64_t bytes)
{
    const uint64_t part_bytes = volume->super.part_bytes;
    const uint64_t usable = part_bytes - MR_BLOCK_BYTES;
    const uint64_t part = position / part_bytes;
    const uint64_t from = position % part_bytes - MR_BLOCK_BYTES + bytes;

    MR_ASSERT(position % part_bytes >= MR_BLOCK_BYTES);
    return (part + from / usable) * part_bytes + MR_BLOCK_BYTES + from % usable;
}

uint64_t mr_wal_file_offset(const mr_volume *volume, uint64_t position)
{
    const uint64_t part_bytes = volume->super.part_bytes;
    const uint32_t slot = mr_parts_find(volume, position / part_bytes);

    if (slot == UINT32_MAX) {
        return (uint64_t)volume->parts_ready * part_bytes;
    }
    return slot * part_bytes + position % part_bytes;
}

mr_step mr_wal_room(mr_state *state, uint64_t bytes)
{
    mr_volume *volume = &state->volume;
    const uint64_t last = mr_wal_advance(volume, state->log.end.position, bytes - MR_BLOCK_BYTES);

    for (uint64_t part = part_of(volume, state->log.end.position); part <= part_of(volume, last);
         part++) {
        if (mr_parts_take(volume, part)) {
            continue;
        }
        const bool may_come = volume->part_error == 0 || volume->part_error == ENOSPC;
        if (volume->parts_ready < volume->part_count_max && may_come) {
            state->parts_wanted = part_of(volume, last);
            mr_wal_prepare_parts(state);
            if (mr_parts_take(volume, part)) { /* A simulated helper works at once. */
                continue;
            }
            return MR_STEP_WAIT; /* For the helper, or for somebody to make room. */
        }
        /* An install under way makes parts free; a candidate that waits for more epochs does not.
         */
        return mr_base_is_installing(state) ? MR_STEP_WAIT : MR_STEP_FAILED;
    }
    return MR_STEP_NEXT;
}

void mr_wal_prepare_parts(mr_state *state)
{
    if (state->volume.part_error == 0 && !parts_are_ahead(state)) {
        post_part(state);
    }
}

bool mr_wal_is_short(const mr_state *state)
{
    return state->volume.part_error == ENOSPC && !parts_are_ahead(state);
}

mr_status mr_state_no_space(const mr_state *state, mr_diag *diag)
{
    const mr_volume *volume = &state->volume;

    if (mr_wal_is_short(state)) {
        return mr_diag_set(diag, MR_ERR_LIMIT, 0,
                           "E_STATE_NO_SPACE: %s/shard-%u.wal: the filesystem has no room for the "
                           "next %u KiB of the log: free space there; input waits and goes on by "
                           "itself",
                           volume->directory, state->options.shard,
                           (unsigned)(volume->super.part_bytes >> 10));
    }
    return mr_diag_set(diag, MR_ERR_LIMIT, 0,
                       "E_STATE_NO_SPACE: %s/shard-%u.data: the filesystem has no room for a base "
                       "of the state: free space there; input waits when the log has reached "
                       "state.wal_max, and goes on by itself",
                       volume->directory, state->options.shard);
}

void mr_state_retry(mr_state *state, int64_t now_us)
{
    mr_volume *volume = &state->volume;

    if (mr_state_is_durable(state) && mr_wal_is_short(state) && now_us >= volume->part_retry_us) {
        volume->part_retry_us = now_us + RETRY_US;
        post_part(state);
    }
}

void mr_wal_send(mr_state *state, uint64_t total_bytes)
{
    mr_flight *flight = &state->flight;
    const mr_seal *seal = (const mr_seal *)(const void *)(state->buffer + total_bytes);

    MR_ASSERT(flight->phase == MR_FLIGHT_NONE);
    *flight = (mr_flight){
        .phase = MR_FLIGHT_WRITING, .pieces = flight->pieces, .piece_room = flight->piece_room};
    memcpy(flight->seal_checksum, seal->checksum, sizeof(flight->seal_checksum));
    flight->end_position = mr_wal_advance(&state->volume, state->log.end.position, total_bytes);
    /* The first chunk last: while it is missing the rest is nothing. */
    const uint64_t first = total_bytes < MR_CHUNK_BYTES ? total_bytes : MR_CHUNK_BYTES;
    state->part_block_count = 0;
    cut_pieces(state, first, total_bytes);
    cut_pieces(state, 0, first);
    flight->durable = flight->piece_count == 1;
    mr_wal_pump(state);
}

void mr_wal_pump(mr_state *state)
{
    mr_flight *flight = &state->flight;

    if (flight->phase == MR_FLIGHT_WRITING) {
        send_pieces(state);
        if (flight->completed == flight->piece_count) {
            finish_writing(state);
        }
    }
    if (flight->phase == MR_FLIGHT_SYNCING && !flight->sync_sent) {
        const mr_io_request request = {
            .op = MR_IO_SYNC, .file = state->volume.wal_file, .tag = tag_of(TAG_SYNC, 0)};
        flight->sync_sent = mr_ring_submit(state->ring, &request, 1) == 1;
    }
}

void mr_state_complete(mr_state *state, const mr_io_completion *completion)
{
    mr_flight *flight = &state->flight;

    MR_ASSERT((completion->tag & MR_STATE_TAG) != 0);
    switch ((enum tag_kind)((completion->tag & ~MR_STATE_TAG) >> KIND_SHIFT)) {
    case TAG_PIECE:
        MR_ASSERT(flight->phase == MR_FLIGHT_WRITING && flight->completed < flight->sent);
        flight->completed++;
        if (completion->error != 0 && flight->error == 0) {
            flight->error = completion->error;
        }
        mr_wal_pump(state);
        return;
    case TAG_SYNC:
        MR_ASSERT(flight->phase == MR_FLIGHT_SYNCING && flight->sync_sent);
        flight->error = completion->error;
        finish_writing(state);
        return;
    case TAG_PART:
        part_done(state, completion->error);
        return;
    case TAG_BASE:
        mr_base_complete(state, (uint32_t)completion->tag, completion->error);
        return;
    case TAG_GROW:
        mr_base_grown(state, completion->error);
        return;
    case TAG_TRANSFER:
        MR_ASSERT(state->transfer_count > 0);
        state->transfer_count--;
        if (completion->error != 0 && state->transfer_error == 0) {
            state->transfer_error = completion->error;
        }
        return;
    }
    MR_ASSERT(!"a tag of the store");
}

mr_step mr_state_prepared(mr_state *state, uint64_t epoch, mr_diag *diag)
{
    MR_ASSERT(epoch == state->epochs[1 - state->open].number);
    mr_wal_pump(state);
    switch (state->flight.phase) {
    case MR_FLIGHT_DONE:
        return MR_STEP_NEXT;
    case MR_FLIGHT_FAILED:
        return mr_wal_failure(state, diag) == MR_OK ? MR_STEP_NEXT : MR_STEP_FAILED;
    case MR_FLIGHT_NONE:
    case MR_FLIGHT_WRITING:
    case MR_FLIGHT_SYNCING:
        break;
    }
    return MR_STEP_WAIT;
}

void mr_wal_refuse(mr_state *state, mr_status status)
{
    MR_ASSERT(state->flight.phase == MR_FLIGHT_NONE);
    fail(state, status, state->volume.part_error);
}

mr_status mr_wal_failure(const mr_state *state, mr_diag *diag)
{
    const mr_flight *flight = &state->flight;
    const mr_volume *volume = &state->volume;
    char what[64];

    if (state->flight_is_full) {
        return mr_state_full(state, diag);
    }
    if (state->base.error != 0) {
        return not_written(state, "data: a base", state->base.error, diag);
    }
    const int32_t no_room = state->base.no_room;
    if (flight->status == MR_ERR_LIMIT) {
        if (volume->part_error != 0 && volume->part_error != ENOSPC) {
            return not_written(state, "wal: the next part of the log", volume->part_error, diag);
        }
        const mr_status crowded =
            mr_base_crowded(state, state->epochs[1 - state->open].number, diag);
        if (crowded != MR_OK) {
            return crowded;
        }
        if (no_room != 0 && no_room != ENOSPC) {
            return not_written(state, "data: the room for a base", no_room, diag);
        }
        return mr_diag_set(
            diag, MR_ERR_LIMIT, 0, "E_STATE_NO_SPACE: %s/shard-%u.wal: no room for epoch %llu: %s",
            volume->directory, state->options.shard,
            (unsigned long long)state->epochs[1 - state->open].number,
            no_room == ENOSPC
                ? "the filesystem is full; free space and start again"
                : "the log has reached state.wal_max before a base could shorten it; raise "
                  "state.wal_max or lower commit.dirty_state, and start again");
    }
    const uint64_t sealed = state->epochs[1 - state->open].number;
    (void)snprintf(what, sizeof(what), "wal: epoch %llu",
                   (unsigned long long)(sealed != 0 ? sealed : state->log.end.epoch));
    return not_written(state, what, flight->error, diag);
}

int32_t mr_wal_transfer(mr_state *state, const mr_transfer *transfer)
{
    uint64_t sent = 0;
    bool is_sent = false; /* A sync has no bytes that would tell. */

    MR_ASSERT(state->transfer_count == 0);
    state->transfer_error = 0;
    while (!is_sent) {
        const uint64_t rest = transfer->size_bytes - sent;
        const mr_io_request request = {
            .op = transfer->op,
            .file = transfer->file,
            .offset = transfer->offset + sent,
            .buffer = transfer->bytes == NULL ? NULL : transfer->bytes + sent,
            .size_bytes = (uint32_t)(rest < MR_CHUNK_BYTES ? rest : MR_CHUNK_BYTES),
            .tag = tag_of(TAG_TRANSFER, 0)};
        if (state->transfer_count < TRANSFERS_MAX &&
            mr_ring_submit(state->ring, &request, 1) == 1) {
            state->transfer_count++;
            sent += request.size_bytes;
            is_sent = sent == transfer->size_bytes;
        } else {
            reap_blocking(state);
        }
    }
    while (state->transfer_count > 0) {
        reap_blocking(state);
    }
    return_others(state);
    return state->transfer_error;
}

mr_status mr_wal_rewrite_last(mr_state *state, mr_diag *diag)
{
    mr_log_end *end = &state->log.end;
    const uint64_t bytes = end->last_bytes;
    uint8_t *delta = state->buffer + MR_BLOCK_BYTES;

    MR_ASSERT(end->delta_count > 0 && bytes + MR_BLOCK_BYTES <= state->buffer_bytes);
    const mr_seal *seal = (const mr_seal *)(const void *)(delta + bytes - MR_BLOCK_BYTES);
    bool holds = false;
    for (uint32_t i = 0; !holds && i < 2; i++) { /* Twice before it is believed to be gone. */
        holds = mr_scan_read(state, end->last_position, delta, bytes) == 0 &&
                mr_scan_holds(&state->volume, (const mr_delta_header *)(const void *)delta,
                              end->last_position, bytes) &&
                memcmp(seal->checksum, end->previous, sizeof(end->previous)) == 0;
    }
    if (!holds) {
        return mr_diag_set(
            diag, MR_ERR_CORRUPT, 0,
            "E_STATE_DAMAGED: %s/shard-%u.wal@%llu: could be read once, but not "
            "again; check the disk",
            state->volume.directory, state->options.shard,
            (unsigned long long)mr_wal_file_offset(&state->volume, end->last_position));
    }
    end->position = end->last_position;
    state->flight.phase = MR_FLIGHT_NONE;
    mr_wal_send(state, bytes);
    mr_wal_settle(state);
    if (state->flight.phase == MR_FLIGHT_FAILED) {
        return mr_wal_failure(state, diag);
    }
    MR_ASSERT(state->flight.phase == MR_FLIGHT_DONE);
    state->flight.phase = MR_FLIGHT_NONE;
    state->is_tail_safe = true;
    return MR_OK;
}

void mr_wal_settle(mr_state *state)
{
    while (state->flight.phase == MR_FLIGHT_WRITING || state->flight.phase == MR_FLIGHT_SYNCING ||
           state->volume.part_pending || mr_base_is_busy(state)) {
        mr_wal_pump(state);
        mr_base_pump(state);
        reap_blocking(state);
    }
    return_others(state);
}

/* ---- Helpers ---- */

static uint64_t tag_of(enum tag_kind kind, uint32_t index)
{
    return MR_STATE_TAG | (uint64_t)kind << KIND_SHIFT | index;
}

uint64_t mr_wal_base_tag(uint32_t index)
{
    return tag_of(TAG_BASE, index);
}

uint64_t mr_wal_grow_tag(void)
{
    return tag_of(TAG_GROW, 0);
}

static uint64_t part_of(const mr_volume *volume, uint64_t position)
{
    return position / volume->super.part_bytes;
}

/* Enough for an epoch that is as large as it may get before it closes, and for what a seal asked.
 */
static bool parts_are_ahead(const mr_state *state)
{
    const mr_volume *volume = &state->volume;
    const uint64_t usable = volume->super.part_bytes - MR_BLOCK_BYTES;
    const uint64_t epoch = state->options.epoch_bytes_max / DIRTY_SHARE +
                           state->options.task_count * sizeof(mr_delta_task) +
                           state->offset_count_max * sizeof(mr_delta_offset) +
                           state->table_count * sizeof(mr_section) +
                           (uint64_t)EPOCH_BLOCKS * MR_BLOCK_BYTES;
    const uint64_t parts = epoch / usable + 2; /* One is lost when the file first cannot grow. */
    const uint64_t wanted = parts > MR_PARTS_AHEAD ? parts : MR_PARTS_AHEAD;
    const uint64_t part = part_of(volume, state->log.end.position);
    const uint64_t ready_end = part + mr_parts_run(volume, part) + volume->free_count;

    return volume->parts_ready >= volume->part_count_max ||
           (ready_end > part + wanted && ready_end > state->parts_wanted);
}

static void post_part(mr_state *state)
{
    mr_volume *volume = &state->volume;
    const mr_file_job job = {.descriptor = volume->wal_descriptor,
                             .offset = (uint64_t)volume->parts_ready * volume->super.part_bytes,
                             .size_bytes = volume->super.part_bytes,
                             .tag = tag_of(TAG_PART, 0)};

    if (!volume->part_pending) {
        volume->part_pending = mr_ring_prepare(state->ring, &job);
    }
}

static void part_done(mr_state *state, int32_t error)
{
    mr_volume *volume = &state->volume;

    MR_ASSERT(volume->part_pending);
    volume->part_pending = false;
    if (error != 0) {
        volume->part_error = error;
        return;
    }
    volume->free_slots[volume->free_count++] = volume->parts_ready++;
    volume->part_retry_us = 0; /* Where there was room for one there may be for the next. */
    if (parts_are_ahead(state)) {
        volume->part_error = 0;
    }
}

/* Writes for the bytes `from` to `end` of the delta, and the part blocks they come behind. */
static void cut_pieces(mr_state *state, uint64_t from, uint64_t end)
{
    mr_flight *flight = &state->flight;
    const mr_volume *volume = &state->volume;
    const uint64_t part_bytes = volume->super.part_bytes;
    uint8_t *delta = state->buffer + MR_BLOCK_BYTES;

    while (from < end) {
        const uint64_t position = mr_wal_advance(volume, state->log.end.position, from);
        MR_ASSERT(mr_parts_find(volume, part_of(volume, position)) != UINT32_MAX);
        const uint64_t offset = mr_wal_file_offset(volume, position);
        const uint64_t in_part = part_bytes - position % part_bytes;
        const uint64_t in_chunk = MR_CHUNK_BYTES - from % MR_CHUNK_BYTES;
        uint64_t size = end - from < in_part ? end - from : in_part;
        size = size < in_chunk ? size : in_chunk;
        if (position % part_bytes != MR_BLOCK_BYTES) {
            if (from == 0 && mr_parts_is_new(volume, part_of(volume, position))) {
                /* The part was lost with what stood in front: none found it again without. */
                add_piece(flight, offset - position % part_bytes,
                          part_block(state, part_of(volume, position), NULL), MR_BLOCK_BYTES);
            }
            add_piece(flight, offset, delta + from, size);
        } else if (from == 0) { /* The block in front of the delta makes it one write. */
            (void)part_block(state, part_of(volume, position), state->buffer);
            add_piece(flight, offset - MR_BLOCK_BYTES, state->buffer, size + MR_BLOCK_BYTES);
        } else {
            add_piece(flight, offset - MR_BLOCK_BYTES,
                      part_block(state, part_of(volume, position), NULL), MR_BLOCK_BYTES);
            add_piece(flight, offset, delta + from, size);
        }
        from += size;
    }
}

static void add_piece(mr_flight *flight, uint64_t offset, uint8_t *bytes, uint64_t size_bytes)
{
    MR_ASSERT(flight->piece_count < flight->piece_room);
    flight->pieces[flight->piece_count++] =
        (mr_piece){.offset = offset, .bytes = bytes, .size_bytes = (uint32_t)size_bytes};
}

/* Fills a part's first block, in `room` or in the next of the store's. */
static uint8_t *part_block(mr_state *state, uint64_t part, uint8_t *room)
{
    if (room == NULL) {
        MR_ASSERT(state->part_block_count < state->part_block_room);
        room = state->part_blocks + (size_t)state->part_block_count++ * MR_BLOCK_BYTES;
    }
    mr_wal_part *block = (mr_wal_part *)(void *)room;
    memset(room, 0, MR_BLOCK_BYTES);
    memcpy(block->magic, "MRWALP01", sizeof(block->magic));
    memcpy(block->store, state->volume.super.store, sizeof(block->store));
    block->sequence = part;
    block->part_bytes = state->volume.super.part_bytes;
    const uint64_t position = (uint64_t)part * block->part_bytes;
    mr_hash128(room, MR_BLOCK_BYTES, mr_wal_seed(&state->volume, position), block->checksum);
    return room;
}

static void send_pieces(mr_state *state)
{
    mr_flight *flight = &state->flight;

    /* One at a time: they are large, and between any two a crash point can stand. */
    while (flight->sent < flight->piece_count) {
        const mr_piece *piece = &flight->pieces[flight->sent];
        const mr_io_request request = {.op = flight->durable ? MR_IO_WRITE_DURABLE : MR_IO_WRITE,
                                       .file = state->volume.wal_file,
                                       .offset = piece->offset,
                                       .buffer = piece->bytes,
                                       .size_bytes = piece->size_bytes,
                                       .tag = tag_of(TAG_PIECE, flight->sent)};
        if (flight->sent > 0) {
            mr_crash_pass(MR_K4);
        }
        if (mr_ring_submit(state->ring, &request, 1) != 1) {
            return; /* The ring is full; called again when something has completed. */
        }
        flight->sent++;
        if (flight->piece_count == 1) {
            mr_crash_pass(MR_K4);
        }
    }
}

/* All writes, or the sync, have completed. */
static void finish_writing(mr_state *state)
{
    mr_flight *flight = &state->flight;

    if (flight->error != 0) {
        fail(state, MR_ERR_IO, flight->error);
        return;
    }
    if (flight->phase == MR_FLIGHT_WRITING && !flight->durable) {
        mr_crash_pass(MR_K5);
        flight->phase = MR_FLIGHT_SYNCING;
        return;
    }
    flight->phase = MR_FLIGHT_DONE;
    mr_parts_written(&state->volume, part_of(&state->volume, state->log.end.position),
                     part_of(&state->volume, flight->end_position));
    state->log.end.position = flight->end_position;
    memcpy(state->log.end.previous, flight->seal_checksum, sizeof(flight->seal_checksum));
    mr_wal_prepare_parts(state);
}

/* What lies on the disk is unknown from here on: the next roll reads it. */
static void fail(mr_state *state, mr_status status, int32_t error)
{
    state->flight.phase = MR_FLIGHT_FAILED;
    state->flight.status = status;
    state->flight.error = error;
    state->log_doubtful = true;
}

static mr_status not_written(const mr_state *state, const char *what, int32_t error, mr_diag *diag)
{
    const bool space = error == ENOSPC;
    char text[128];

    return mr_diag_set(diag, space ? MR_ERR_LIMIT : MR_ERR_IO, 0,
                       "%s: %s/shard-%u.%s could not be written: %s; %s",
                       space ? "E_STATE_NO_SPACE" : "E_STATE_IO", state->volume.directory,
                       state->options.shard, what, mr_io_error_text(error, text),
                       space ? "free space on that filesystem and start again" : "check the disk");
}

/* Waits for completions and takes the store's; what belongs to others is kept for return_others. */
static void reap_blocking(mr_state *state)
{
    mr_io_completion completions[REAP_BATCH];
    uint32_t count = mr_ring_reap(state->ring, completions, REAP_BATCH);

    if (count == 0) {
        mr_ring_wait(state->ring, 1, BLOCKING_WAIT_US);
        count = mr_ring_reap(state->ring, completions, REAP_BATCH);
    }
    for (uint32_t i = 0; i < count; i++) {
        if ((completions[i].tag & MR_STATE_TAG) != 0 && completions[i].tag >> 63 == 0) {
            mr_state_complete(state, &completions[i]);
            continue;
        }
        uint32_t at = 0;
        while (at < state->other_count && state->others[at].tag != completions[i].tag) {
            at++;
        }
        MR_ASSERT(at < MR_RING_WATCHES_MAX);
        state->others[at] = completions[i];
        state->other_count += at == state->other_count;
    }
}

/* Wake-ups that came while we blocked: the shard still wants them. */
static void return_others(mr_state *state)
{
    for (uint32_t i = 0; i < state->other_count; i++) {
        mr_ring_put_back(state->ring, &state->others[i]);
    }
    state->other_count = 0;
}
