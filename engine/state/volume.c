/*
 * volume.c - the files of a shard's store: LOCK, shard-N.wal, shard-N.data.
 *
 * Both files are made and synced with their folder when the first table is declared; never a create
 * or rename afterwards. The superblock is written last, twice, after the log's first part is zero
 * on disk: without a valid copy and with an untouched log a format was not finished and is redone;
 * with a log in use and no valid copy something is damaged. Behind the superblock the data file
 * holds bases (base.c).
 */
#include "engine/state/state_private.h"
#include <errno.h>
#include <stdio.h>

enum {
    DATA_BYTES = MR_SUPERBLOCK_COPIES * MR_BLOCK_BYTES,
    PAIR_BYTES = 2 * MR_BLOCK_BYTES,
    PATH_BYTES = 4096,
    PART_BYTES_MIN = 1 << 20,
    PART_BYTES_MAX = 64 << 20,
    PARTS_BY_LIMIT = 64
};

static mr_status open_file(mr_state *state, const char *suffix, uint32_t flags, int *descriptor,
                           uint64_t *size_bytes, mr_diag *diag);
static mr_status read_superblock(mr_state *state, int32_t data_file, uint64_t data_bytes,
                                 uint8_t *blocks, mr_diag *diag);
static bool pick_copy(mr_volume *volume, const uint8_t *blocks);
static bool copy_holds(const uint8_t *stored, uint32_t slot, mr_superblock *super);
static mr_status check_superblock(mr_state *state, mr_diag *diag);
static mr_status wal_is_untouched(mr_state *state, uint8_t *block, bool *untouched, mr_diag *diag);
static mr_status format(mr_state *state, int32_t data_file, uint8_t *blocks, mr_diag *diag);
static mr_status sync_both(mr_state *state, int32_t data_file, mr_diag *diag);
static mr_status write_again(mr_state *state, int32_t data_file, uint8_t *blocks, mr_diag *diag);
static bool base_is_sane(const mr_superblock *super);
static bool is_zero(const uint8_t *bytes, uint64_t size_bytes);
static uint64_t superblock_seed(const mr_superblock *super, uint32_t copy);
static mr_status io_failed(const mr_state *state, const char *what, int32_t error, mr_diag *diag);

mr_status mr_volume_open(mr_state *state, mr_diag *diag)
{
    mr_volume *volume = &state->volume;
    const mr_io *io = mr_ring_io(state->ring);
    const uint32_t how = state->is_read_only ? MR_FILE_READ_ONLY | MR_FILE_LOCK
                                             : MR_FILE_CREATE | MR_FILE_LOCK |
                                                   state->options.shard << MR_FILE_SHARD_SHIFT;
    char path[PATH_BYTES];
    uint64_t size_bytes = 0;

    volume->wal_file = volume->data_file = -1;
    volume->lock_descriptor = volume->wal_descriptor = volume->data_descriptor = -1;
    const int size =
        snprintf(volume->directory, sizeof(volume->directory), "%s", state->options.directory);
    if (size <= 0 || (size_t)size >= sizeof(volume->directory)) {
        return mr_diag_set(diag, MR_ERR_CONFIG, 0,
                           "the name of the state directory has %d bytes; "
                           "it must have 1 to %zu",
                           size, sizeof(volume->directory) - 1);
    }
    (void)snprintf(path, sizeof(path), "%s/LOCK", volume->directory);
    return io->files->open(io->files_self, path, how, &volume->lock_descriptor, &size_bytes, diag);
}

mr_status mr_volume_prepare(mr_state *state, mr_diag *diag)
{
    mr_volume *volume = &state->volume;
    const uint32_t how = state->is_read_only ? MR_FILE_READ_ONLY : MR_FILE_CREATE;
    uint64_t data_bytes = 0;

    mr_status status =
        open_file(state, "wal", how, &volume->wal_descriptor, &volume->wal_bytes, diag);
    if (status == MR_OK) {
        status = open_file(state, "data", how, &volume->data_descriptor, &data_bytes, diag);
    }
    if (status == MR_OK &&
        (mr_ring_attach(state->ring, volume->wal_descriptor, &volume->wal_file) != MR_OK ||
         mr_ring_attach(state->ring, volume->data_descriptor, &volume->data_file) != MR_OK)) {
        status = mr_diag_set(diag, MR_ERR_LIMIT, 0, "the ring of shard %u takes no more files",
                             state->options.shard);
    }
    uint8_t *blocks = NULL;
    if (status == MR_OK) {
        blocks = state->options.memory.type->acquire(state->options.memory.self,
                                                     DATA_BYTES + MR_BLOCK_BYTES, "superblock");
        status = blocks != NULL ? MR_OK
                                : mr_state_no_memory(state->options.shard, "the superblock", diag);
    }
    if (blocks != NULL) {
        uint8_t *aligned =
            blocks + (MR_BLOCK_BYTES - (uintptr_t)blocks % MR_BLOCK_BYTES) % MR_BLOCK_BYTES;
        status = read_superblock(state, volume->data_file, data_bytes, aligned, diag);
        state->options.memory.type->release(state->options.memory.self, blocks,
                                            DATA_BYTES + MR_BLOCK_BYTES);
    }
    if (status != MR_OK) {
        return status;
    }
    volume->is_formatted = true;
    volume->part_count_max = (uint32_t)(state->options.wal_bytes_max / volume->super.part_bytes);
    volume->parts_ready = (uint32_t)(volume->wal_bytes / volume->super.part_bytes);
    if (volume->part_count_max < volume->parts_ready) {
        volume->part_count_max = volume->parts_ready; /* What is there is used. */
    }
    if (volume->part_count_max > MR_PARTS_MAX) {
        volume->part_count_max = MR_PARTS_MAX;
    }
    if (volume->parts_ready > volume->part_count_max) {
        volume->parts_ready = volume->part_count_max; /* Nobody ever wrote so many. */
    }
    if (volume->part_count_max == 0) {
        volume->part_count_max = 1; /* The log is gone, and its parts were larger than all now. */
    }
    volume->data_bytes = data_bytes / MR_BLOCK_BYTES * MR_BLOCK_BYTES;
    if (volume->data_bytes < MR_DATA_FROM) {
        volume->data_bytes = MR_DATA_FROM; /* Formatted just now. */
    }
    return mr_parts_read(state, diag);
}

void mr_volume_close(mr_state *state)
{
    mr_volume *volume = &state->volume;
    const mr_io *io = state->ring == NULL ? NULL : mr_ring_io(state->ring);

    if (io == NULL) {
        return;
    }
    if (volume->wal_file >= 0) {
        mr_ring_detach(state->ring, volume->wal_file);
    }
    if (volume->data_file >= 0) {
        mr_ring_detach(state->ring, volume->data_file);
    }
    const int descriptors[] = {volume->wal_descriptor, volume->data_descriptor,
                               volume->lock_descriptor};
    for (size_t i = 0; i < MR_LENGTH(descriptors); i++) {
        if (descriptors[i] >= 0) {
            io->files->close(io->files_self, descriptors[i]);
        }
    }
}

mr_status mr_volume_reload(mr_state *state, mr_diag *diag)
{
    mr_volume *volume = &state->volume;
    const mr_memory *memory = &state->options.memory;

    uint8_t *taken = memory->type->acquire(memory->self, DATA_BYTES + MR_BLOCK_BYTES, "superblock");
    if (taken == NULL) {
        return mr_state_no_memory(state->options.shard, "the superblock", diag);
    }
    uint8_t *blocks = taken + (MR_BLOCK_BYTES - (uintptr_t)taken % MR_BLOCK_BYTES) % MR_BLOCK_BYTES;
    mr_status status = read_superblock(state, volume->data_file, DATA_BYTES, blocks, diag);
    memory->type->release(memory->self, taken, DATA_BYTES + MR_BLOCK_BYTES);
    if (status == MR_OK) {
        volume->is_doubtful = false;
        mr_parts_free_below(volume, volume->super.wal_position / volume->super.part_bytes);
    }
    return status;
}

uint64_t mr_volume_fill_pair(const mr_superblock *super, uint8_t *blocks)
{
    const uint32_t first = super->sequence % 2 == 1 ? 0 : 2;

    memset(blocks, 0, 2 * (size_t)MR_BLOCK_BYTES);
    for (uint32_t i = 0; i < 2; i++) {
        uint8_t *block = blocks + (size_t)i * MR_BLOCK_BYTES;
        mr_superblock copy = *super;
        copy.copy = first + i;
        memset(copy.checksum, 0, sizeof(copy.checksum));
        memcpy(block, &copy, sizeof(copy));
        mr_hash128(block, MR_BLOCK_BYTES, superblock_seed(&copy, copy.copy), copy.checksum);
        memcpy(block, &copy, sizeof(copy));
    }
    return (uint64_t)first * MR_BLOCK_BYTES;
}

const char *mr_volume_lost_text(const mr_volume *volume, char text[MR_LOST_TEXT_BYTES])
{
    const uint32_t other = volume->super.sequence % 2 == 1 ? 2 : 0;

    text[0] = '\0';
    if (volume->is_pair_lost) {
        (void)snprintf(text, MR_LOST_TEXT_BYTES,
                       "both superblocks at bytes %u and %u of shard-%u.data were written and do "
                       "not verify, so number %llu was read, which may be an older one: check the "
                       "disk; ",
                       other * MR_BLOCK_BYTES, (other + 1) * MR_BLOCK_BYTES, volume->super.shard,
                       (unsigned long long)volume->super.sequence);
    }
    return text;
}

/* ---- Helpers ---- */

static mr_status open_file(mr_state *state, const char *suffix, uint32_t flags, int *descriptor,
                           uint64_t *size_bytes, mr_diag *diag)
{
    const mr_io *io = mr_ring_io(state->ring);
    char path[PATH_BYTES + 32];

    (void)snprintf(path, sizeof(path), "%s/shard-%u.%s", state->volume.directory,
                   state->options.shard, suffix);
    return io->files->open(io->files_self, path, flags, descriptor, size_bytes, diag);
}

/* Reads, judges, and formats where nothing was finished. */
static mr_status read_superblock(mr_state *state, int32_t data_file, uint64_t data_bytes,
                                 uint8_t *blocks, mr_diag *diag)
{
    mr_volume *volume = &state->volume;
    bool untouched = false;

    if (data_bytes >= DATA_BYTES) {
        const mr_transfer read = {
            .op = MR_IO_READ, .file = data_file, .bytes = blocks, .size_bytes = DATA_BYTES};
        const int32_t error = mr_wal_transfer(state, &read);
        if (error != 0) {
            return io_failed(state, "data: cannot be read", error, diag);
        }
        if (pick_copy(volume, blocks)) {
            mr_status status = check_superblock(state, diag);
            if (status == MR_OK && !state->is_read_only) {
                status = write_again(state, data_file, blocks, diag);
            }
            return status;
        }
    }
    mr_status status = wal_is_untouched(state, blocks, &untouched, diag);
    if (status != MR_OK) {
        return status;
    }
    if (!untouched) {
        return mr_diag_set(diag, MR_ERR_REFUSED, 0,
                           "E_STATE_DAMAGED: %s/shard-%u.data: no copy of the superblock is valid, "
                           "but the log is in use; restore the directory from a copy",
                           volume->directory, state->options.shard);
    }
    if (state->is_read_only) {
        return mr_diag_set(diag, MR_ERR_REFUSED, 0,
                           "E_STATE_MISSING: %s/shard-%u.data: was never formatted; there is no "
                           "state yet",
                           volume->directory, state->options.shard);
    }
    return format(state, data_file, blocks, diag);
}

/*
 * The valid copy with the highest sequence. One suffices. Whether the other pair was ever written
 * is known too: pairs are written in turn, so behind the first superblock both were; before that a
 * block that was never written is zero, and a write that power ended leaves whole sectors, of which
 * only the first is not.
 */
static bool pick_copy(mr_volume *volume, const uint8_t *blocks)
{
    bool holds[MR_SUPERBLOCK_COPIES];
    bool found = false;

    for (uint32_t i = 0; i < MR_SUPERBLOCK_COPIES; i++) {
        mr_superblock copy;
        holds[i] = copy_holds(blocks + (size_t)i * MR_BLOCK_BYTES, i, &copy);
        if (holds[i] && (!found || copy.sequence > volume->super.sequence)) {
            volume->super = copy;
            found = true;
        }
    }
    if (found) {
        const uint32_t other = volume->super.sequence % 2 == 1 ? 2 : 0;
        const uint8_t *pair = blocks + (size_t)other * MR_BLOCK_BYTES;
        const bool was_written = volume->super.sequence > 1 || !is_zero(pair, PAIR_BYTES);
        volume->is_pair_lost = was_written && !holds[other] && !holds[other + 1];
    }
    return found;
}

static bool copy_holds(const uint8_t *stored, uint32_t slot, mr_superblock *super)
{
    uint8_t block[MR_BLOCK_BYTES];
    uint8_t checksum[16];

    memcpy(block, stored, sizeof(block));
    memcpy(super, block, sizeof(*super));
    memset(block + offsetof(mr_superblock, checksum), 0, sizeof(super->checksum));
    mr_hash128(block, sizeof(block), superblock_seed(super, slot), checksum);
    return memcmp(super->magic, "MRSUPER1", sizeof(super->magic)) == 0 && super->copy == slot &&
           memcmp(checksum, super->checksum, sizeof(checksum)) == 0;
}

static bool is_zero(const uint8_t *bytes, uint64_t size_bytes)
{
    for (uint64_t i = 0; i < size_bytes; i++) {
        if (bytes[i] != 0) {
            return false;
        }
    }
    return true;
}

static mr_status check_superblock(mr_state *state, mr_diag *diag)
{
    const mr_superblock *super = &state->volume.super;

    if (super->major != MR_FORMAT_MAJOR ||
        (super->incompatible & ~(uint32_t)MR_FEATURES_KNOWN) != 0) {
        return mr_diag_set(diag, MR_ERR_REFUSED, 0,
                           "E_STATE_FORMAT: %s/shard-%u.data: written in state format %u.%u "
                           "(features %08x), this release reads %u.x; run the release that wrote "
                           "it",
                           state->volume.directory, state->options.shard, super->major,
                           super->minor, super->incompatible, MR_FORMAT_MAJOR);
    }
    if (super->shard != state->options.shard) {
        return mr_diag_set(diag, MR_ERR_REFUSED, 0,
                           "E_STATE_FOREIGN: %s/shard-%u.data: belongs to shard %u; files were "
                           "renamed or mixed, put them back",
                           state->volume.directory, state->options.shard, super->shard);
    }
    if (super->part_bytes < 2 * MR_BLOCK_BYTES || super->part_bytes % MR_BLOCK_BYTES != 0 ||
        !base_is_sane(super)) {
        return mr_diag_set(diag, MR_ERR_REFUSED, 0,
                           "E_STATE_DAMAGED: %s/shard-%u.data: the superblock holds impossible "
                           "values; restore the directory from a copy",
                           state->volume.directory, state->options.shard);
    }
    return MR_OK;
}

static mr_status wal_is_untouched(mr_state *state, uint8_t *block, bool *untouched, mr_diag *diag)
{
    *untouched = state->volume.wal_bytes < MR_BLOCK_BYTES;
    if (*untouched) {
        return MR_OK;
    }
    const mr_transfer read = {.op = MR_IO_READ,
                              .file = state->volume.wal_file,
                              .bytes = block,
                              .size_bytes = MR_BLOCK_BYTES};
    const int32_t error = mr_wal_transfer(state, &read);
    if (error != 0) {
        return io_failed(state, "wal: cannot be read", error, diag);
    }
    *untouched = is_zero(block, MR_BLOCK_BYTES);
    return MR_OK;
}

static mr_status format(mr_state *state, int32_t data_file, uint8_t *blocks, mr_diag *diag)
{
    mr_volume *volume = &state->volume;
    const mr_io *io = mr_ring_io(state->ring);
    const uint32_t part_bytes = mr_volume_part_bytes(&state->options);
    const uint64_t parts = state->options.wal_bytes_max / part_bytes;

    if (parts == 0) {
        return mr_diag_set(diag, MR_ERR_CONFIG, 0,
                           "state.wal_max of %llu bytes is less than one part of %u",
                           (unsigned long long)state->options.wal_bytes_max, part_bytes);
    }
    const uint64_t reserved = parts < MR_PARTS_RESERVED ? parts : MR_PARTS_RESERVED;
    mr_status status =
        io->files->reserve(io->files_self, volume->wal_descriptor, 0, reserved * part_bytes);
    if (status == MR_OK) {
        status = io->files->zero_fill(io->files_self, volume->wal_descriptor, 0, part_bytes);
    }
    if (status == MR_OK) {
        status = io->files->zero_fill(io->files_self, volume->data_descriptor, 0, DATA_BYTES);
    }
    if (status != MR_OK) {
        return io_failed(state, "wal: cannot be formatted", status == MR_ERR_FULL ? ENOSPC : EIO,
                         diag);
    }
    volume->wal_bytes = volume->wal_bytes > part_bytes ? volume->wal_bytes : part_bytes;
    mr_superblock super = {.magic = {'M', 'R', 'S', 'U', 'P', 'E', 'R', '1'},
                           .major = MR_FORMAT_MAJOR,
                           .minor = MR_FORMAT_MINOR,
                           .shard = state->options.shard,
                           .sequence = 1,
                           .part_bytes = part_bytes,
                           .wal_position = (uint64_t)part_bytes + MR_BLOCK_BYTES};
    memcpy(super.store, state->options.random, sizeof(super.store));
    memcpy(&super.hash_seed, state->options.random + sizeof(super.store), sizeof(super.hash_seed));
    (void)mr_volume_fill_pair(&super, blocks); /* An odd sequence: slots 0 and 1. */
    volume->super = super;
    const mr_transfer write = {.op = MR_IO_WRITE,
                               .file = data_file,
                               .bytes = blocks,
                               .size_bytes = UINT64_C(2) * MR_BLOCK_BYTES};
    const int32_t error = mr_wal_transfer(state, &write);
    if (error != 0) {
        return io_failed(state, "data: cannot be written", error, diag);
    }
    return sync_both(state, data_file, diag);
}

/* What reads back may still be only in a cache, its own sync having failed in a former life. All
 * that the superblock names was durable before it was written. */
static mr_status write_again(mr_state *state, int32_t data_file, uint8_t *blocks, mr_diag *diag)
{
    const uint64_t offset = mr_volume_fill_pair(&state->volume.super, blocks);
    const mr_transfer write = {.op = MR_IO_WRITE,
                               .file = data_file,
                               .offset = offset,
                               .bytes = blocks,
                               .size_bytes = UINT64_C(2) * MR_BLOCK_BYTES};
    const int32_t error = mr_wal_transfer(state, &write);

    if (error != 0) {
        return io_failed(state, "data: cannot be written", error, diag);
    }
    return sync_both(state, data_file, diag);
}

static bool base_is_sane(const mr_superblock *super)
{
    const uint64_t first = (uint64_t)super->part_bytes + MR_BLOCK_BYTES;

    if (super->base_to == 0) {
        return super->base_from == 0 && super->wal_position == first;
    }
    return super->base_from == super->base_to && super->manifest_bytes % MR_BLOCK_BYTES == 0 &&
           super->manifest_bytes > 0 && super->manifest_bytes <= INT64_MAX / 2 &&
           super->manifest_block <= INT64_MAX / 2 / MR_BLOCK_BYTES &&
           super->wal_position >= first && super->wal_position % MR_BLOCK_BYTES == 0 &&
           super->wal_position % super->part_bytes >= MR_BLOCK_BYTES;
}

/* What reads back may still be only in a cache. */
static mr_status sync_both(mr_state *state, int32_t data_file, mr_diag *diag)
{
    const int32_t files[] = {state->volume.wal_file, data_file};

    for (size_t i = 0; i < MR_LENGTH(files); i++) {
        const mr_transfer sync = {.op = MR_IO_SYNC, .file = files[i]};
        const int32_t error = mr_wal_transfer(state, &sync);
        if (error != 0) {
            return io_failed(state, i == 0 ? "wal: cannot be synced" : "data: cannot be synced",
                             error, diag);
        }
    }
    return MR_OK;
}

uint32_t mr_volume_part_bytes(const mr_state_options *options)
{
    uint64_t bytes = options->wal_part_bytes;

    if (bytes == 0) {
        bytes = options->wal_bytes_max / PARTS_BY_LIMIT / MR_BLOCK_BYTES * MR_BLOCK_BYTES;
        bytes = bytes < PART_BYTES_MIN ? PART_BYTES_MIN : bytes;
        bytes = bytes > PART_BYTES_MAX ? PART_BYTES_MAX : bytes;
    }
    MR_ASSERT(bytes % MR_BLOCK_BYTES == 0 && bytes >= UINT64_C(2) * MR_BLOCK_BYTES);
    return (uint32_t)bytes;
}

static uint64_t superblock_seed(const mr_superblock *super, uint32_t copy)
{
    uint64_t low = 0;

    memcpy(&low, super->store, sizeof(low));
    return low ^ (uint64_t)copy * MR_BLOCK_BYTES;
}

static mr_status io_failed(const mr_state *state, const char *what, int32_t error, mr_diag *diag)
{
    char text[128];
    const bool space = error == ENOSPC;

    return mr_diag_set(diag, space ? MR_ERR_LIMIT : MR_ERR_IO, 0, "%s: %s/shard-%u.%s: %s; %s",
                       space ? "E_STATE_NO_SPACE" : "E_STATE_IO", state->volume.directory,
                       state->options.shard, what, mr_io_error_text(error, text),
                       space ? "free space on that filesystem" : "check the disk");
}
