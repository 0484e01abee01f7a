/*
 * parts.c - where each part of the log stands in its file.
 *
 * A part has a sequence number for ever and a slot of the file for as long as it is needed; its
 * first block tells the number, so the map is read back from the blocks. A slot whose part lies
 * wholly before the installed base is free and is written again without being zero-filled: what it
 * held can never be taken for new, as every sum is seeded with the WAL position.
 */
#include "engine/state/state_private.h"

static mr_status take_arrays(mr_state *state, mr_diag *diag);
static mr_status read_slot(mr_state *state, uint32_t slot, uint8_t *block, uint64_t *sequence,
                           mr_diag *diag);
static bool part_holds(const mr_volume *volume, uint8_t *block, uint64_t *sequence);
static bool is_zero(const uint8_t *block);

mr_status mr_parts_read(mr_state *state, mr_diag *diag)
{
    mr_volume *volume = &state->volume;
    const mr_memory *memory = &state->options.memory;
    const uint64_t first = volume->super.wal_position / volume->super.part_bytes;

    mr_status status = take_arrays(state, diag);
    if (status != MR_OK) {
        return status;
    }
    uint8_t *taken = memory->type->acquire(memory->self, 2 * (size_t)MR_BLOCK_BYTES, "part block");
    if (taken == NULL) {
        return mr_state_no_memory(state->options.shard, "a block of the log", diag);
    }
    uint8_t *block = taken + (MR_BLOCK_BYTES - (uintptr_t)taken % MR_BLOCK_BYTES) % MR_BLOCK_BYTES;
    for (uint32_t i = volume->parts_ready; status == MR_OK && i > 0; i--) {
        uint64_t sequence = 0;
        status = read_slot(state, i - 1, block, &sequence, diag);
        if (status != MR_OK) {
            break;
        }
        if (sequence < first || sequence - first >= volume->part_room) {
            volume->free_slots[volume->free_count++] = i - 1;
        } else if (mr_parts_find(volume, sequence) != UINT32_MAX) {
            status =
                mr_diag_set(diag, MR_ERR_CORRUPT, 0,
                            "E_STATE_DAMAGED: %s/shard-%u.wal: part %llu stands in it twice; "
                            "restore the directory from a copy",
                            volume->directory, state->options.shard, (unsigned long long)sequence);
        } else {
            volume->parts[sequence % volume->part_room] =
                (mr_part){.sequence = sequence, .slot = i - 1};
        }
    }
    memory->type->release(memory->self, taken, 2 * (size_t)MR_BLOCK_BYTES);
    return status;
}

uint32_t mr_parts_find(const mr_volume *volume, uint64_t sequence)
{
    const mr_part *part = &volume->parts[sequence % volume->part_room];

    return part->sequence == sequence ? part->slot : UINT32_MAX;
}

bool mr_parts_take(mr_volume *volume, uint64_t sequence)
{
    mr_part *part = &volume->parts[sequence % volume->part_room];

    if (part->sequence == sequence) {
        return true;
    }
    if (volume->free_count == 0 || part->sequence != 0) {
        return false;
    }
    uint32_t lowest = 0; /* So that the file is as dense as can be. */
    for (uint32_t i = 1; i < volume->free_count; i++) {
        lowest = volume->free_slots[i] < volume->free_slots[lowest] ? i : lowest;
    }
    *part = (mr_part){.sequence = sequence, .slot = volume->free_slots[lowest], .is_new = true};
    volume->free_slots[lowest] = volume->free_slots[--volume->free_count];
    return true;
}

bool mr_parts_is_new(const mr_volume *volume, uint64_t sequence)
{
    const mr_part *part = &volume->parts[sequence % volume->part_room];

    return part->sequence == sequence && part->is_new;
}

void mr_parts_written(mr_volume *volume, uint64_t first, uint64_t last)
{
    for (uint64_t sequence = first; sequence <= last; sequence++) {
        mr_part *part = &volume->parts[sequence % volume->part_room];
        part->is_new = part->is_new && part->sequence != sequence;
    }
}

void mr_parts_free_below(mr_volume *volume, uint64_t sequence)
{
    for (uint32_t i = 0; i < volume->part_room; i++) {
        mr_part *part = &volume->parts[i];
        if (part->sequence != 0 && part->sequence < sequence) {
            volume->free_slots[volume->free_count++] = part->slot;
            *part = (mr_part){.sequence = 0};
        }
    }
}

uint64_t mr_parts_run(const mr_volume *volume, uint64_t sequence)
{
    uint64_t count = 0;

    while (count < volume->part_room && mr_parts_find(volume, sequence + count) != UINT32_MAX) {
        count++;
    }
    return count;
}

uint64_t mr_parts_all(const mr_volume *volume)
{
    const uint64_t count = volume->part_error == 0 ? volume->part_count_max : volume->parts_ready;

    return count * volume->super.part_bytes;
}

uint64_t mr_parts_left(const mr_state *state)
{
    const mr_volume *volume = &state->volume;
    const uint64_t part_bytes = volume->super.part_bytes;
    const uint64_t at = state->log.end.position;
    const uint64_t mapped = mr_parts_run(volume, at / part_bytes);
    const uint64_t unready = mr_parts_all(volume) / part_bytes - volume->parts_ready;
    const uint64_t unused = volume->free_count + unready + (mapped > 0 ? mapped - 1 : 0);

    return unused * (part_bytes - MR_BLOCK_BYTES) + (mapped > 0 ? part_bytes - at % part_bytes : 0);
}

/* ---- Helpers ---- */

static mr_status take_arrays(mr_state *state, mr_diag *diag)
{
    mr_volume *volume = &state->volume;
    const uint32_t room = volume->part_count_max;

    volume->part_room = room;
    volume->free_count = volume->lost_parts = 0;
    volume->parts = mr_arena_take_array(state->arena, room, sizeof(*volume->parts));
    volume->free_slots = mr_arena_take_array(state->arena, room, sizeof(*volume->free_slots));
    if (volume->parts == NULL || volume->free_slots == NULL) {
        return mr_state_no_memory(state->options.shard, "the parts of the log", diag);
    }
    return MR_OK;
}

/* The number the slot's block tells; 0: none, as it is zero or lost. */
static mr_status read_slot(mr_state *state, uint32_t slot, uint8_t *block, uint64_t *sequence,
                           mr_diag *diag)
{
    mr_volume *volume = &state->volume;
    const mr_transfer read = {.op = MR_IO_READ,
                              .file = volume->wal_file,
                              .offset = slot * (uint64_t)volume->super.part_bytes,
                              .bytes = block,
                              .size_bytes = MR_BLOCK_BYTES};
    char text[128];
    int32_t error = 0;

    for (uint32_t i = 0; i < 2; i++) { /* Once more before it is believed. */
        error = mr_wal_transfer(state, &read);
        if (error == 0 && (is_zero(block) || part_holds(volume, block, sequence))) {
            return MR_OK;
        }
    }
    if (error != 0) {
        return mr_diag_set(diag, MR_ERR_CORRUPT, 0,
                           "E_STATE_DAMAGED: %s/shard-%u.wal@%llu: cannot be read: %s; check the "
                           "disk, or restore the directory from a copy",
                           volume->directory, state->options.shard, (unsigned long long)read.offset,
                           mr_io_error_text(error, text));
    }
    volume->lost_parts++;
    return MR_OK;
}

static bool part_holds(const mr_volume *volume, uint8_t *block, uint64_t *sequence)
{
    const uint64_t part_bytes = volume->super.part_bytes;
    mr_wal_part *head = (mr_wal_part *)(void *)block;
    const mr_wal_part stored = *head;
    uint8_t checksum[16];

    memset(head->checksum, 0, sizeof(head->checksum));
    mr_hash128(block, MR_BLOCK_BYTES, mr_wal_seed(volume, stored.sequence * part_bytes), checksum);
    if (memcmp(checksum, stored.checksum, sizeof(checksum)) != 0 ||
        memcmp(stored.magic, "MRWALP01", sizeof(stored.magic)) != 0 ||
        memcmp(stored.store, volume->super.store, sizeof(stored.store)) != 0 ||
        stored.part_bytes != part_bytes) {
        return false;
    }
    *sequence = stored.sequence;
    return true;
}

static bool is_zero(const uint8_t *block)
{
    for (uint32_t i = 0; i < MR_BLOCK_BYTES; i++) {
        if (block[i] != 0) {
            return false;
        }
    }
    return true;
}
