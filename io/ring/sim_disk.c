/*
 * sim_disk.c - sectors, files, crashes and clones of the simulated disk. Tests only.
 *
 * A pending sector may be kept by a crash or not, each for itself, so writes tear inside blocks.
 * A failed sync drops what it covered and the next one reports clean, while reads go on giving the
 * lost data: as kernels do. Names become durable with the sync of their folder.
 */
#include "engine/base/assert.h"
#include "engine/base/clock.h"
#include "engine/base/memory.h"
#include "io/ring/sim_private.h"
#include <stdio.h>
#include <string.h>

enum { ROOM_FIRST = 64 << 10, PENDING_FIRST = 1024, READER_BIT = 63 };

static void *take(uint64_t size_bytes);
static void give(void *memory, uint64_t size_bytes);
static void grow(mr_sim_file *file, uint64_t size_bytes);
static void drop_file(mr_sim_disk *disk, mr_sim_file *file);
static void apply(mr_sim_disk *disk, const mr_sim_sector *sector);
static void forget(mr_sim_disk *disk, uint32_t index);
static mr_status sim_open(void *self, const char *path, uint32_t flags, int *descriptor,
                          uint64_t *size_bytes, mr_diag *diag);
static mr_status sim_reserve(void *self, int descriptor, uint64_t offset, uint64_t size_bytes);
static mr_status sim_zero_fill(void *self, int descriptor, uint64_t offset, uint64_t size_bytes);
static mr_status sim_shrink(void *self, int descriptor, uint64_t size_bytes);
static void sim_close(void *self, int descriptor);

mr_sim_disk *mr_sim_disk_create(uint64_t seed)
{
    mr_sim_disk *disk = take(sizeof(*disk));

    disk->seed = seed;
    disk->step = disk->next_write = 1;
    for (uint32_t i = 0; i < MR_RING_FILES_MAX; i++) {
        disk->attached[i] = -1;
    }
    return disk;
}

void mr_sim_disk_destroy(mr_sim_disk *disk)
{
    if (disk == NULL) {
        return;
    }
    for (uint32_t i = 0; i < MR_SIM_FILES_MAX; i++) {
        drop_file(disk, &disk->files[i]);
    }
    if (disk->pending != NULL) {
        give(disk->pending, disk->pending_room * sizeof(*disk->pending));
    }
    give(disk, sizeof(*disk));
}

void mr_sim_disk_fault(mr_sim_disk *disk, const mr_sim_fault *fault)
{
    disk->fault = *fault;
}

uint64_t mr_sim_disk_call_count(const mr_sim_disk *disk)
{
    return disk->calls;
}

void mr_sim_disk_die_at(mr_sim_disk *disk, uint64_t call_count)
{
    disk->dies_at = call_count;
}

uint32_t mr_sim_disk_pending_count(const mr_sim_disk *disk)
{
    return disk->pending_count;
}

void mr_sim_disk_crash(mr_sim_disk *disk, const uint8_t *keep)
{
    for (uint32_t i = 0; i < disk->pending_count; i++) {
        const bool kept =
            keep == NULL ? mr_sim_draw(disk, 2) == 1 : (keep[i / 8] >> (i % 8) & 1) != 0;
        if (kept) {
            apply(disk, &disk->pending[i]);
        }
    }
    disk->pending_count = 0;
    for (uint32_t i = 0; i < MR_SIM_FILES_MAX; i++) {
        mr_sim_file *file = &disk->files[i];
        file->locks = 0;
        file->open_count = 0;
        if (file->path[0] == '\0') {
            continue;
        }
        if (!file->name_is_durable && mr_sim_draw(disk, 2) == 1) {
            drop_file(disk, file);
            continue;
        }
        file->name_is_durable = true;
        file->seen_bytes = file->durable_bytes;
        memset(file->seen, 0, file->room_bytes);
        memcpy(file->seen, file->durable, file->durable_bytes);
        memset(file->durable + file->durable_bytes, 0, file->room_bytes - file->durable_bytes);
    }
    memset(disk->requests, 0, sizeof(disk->requests));
    disk->has_stale = false;
    disk->dies_at = 0;
    disk->fault = (mr_sim_fault){.read_error_at = 0};
    for (uint32_t i = 0; i < MR_RING_FILES_MAX; i++) {
        disk->attached[i] = -1;
    }
}

mr_sim_disk *mr_sim_disk_clone(const mr_sim_disk *disk, uint64_t seed)
{
    mr_sim_disk *clone = take(sizeof(*clone));

    *clone = *disk;
    clone->seed = seed;
    for (uint32_t i = 0; i < MR_SIM_FILES_MAX; i++) {
        const mr_sim_file *file = &disk->files[i];
        if (file->path[0] == '\0') {
            continue;
        }
        clone->files[i].seen = take(file->room_bytes);
        clone->files[i].durable = take(file->room_bytes);
        memcpy(clone->files[i].seen, file->seen, file->room_bytes);
        memcpy(clone->files[i].durable, file->durable, file->room_bytes);
    }
    if (disk->pending != NULL) {
        clone->pending = take(disk->pending_room * sizeof(*disk->pending));
        memcpy(clone->pending, disk->pending, disk->pending_count * sizeof(*disk->pending));
    }
    return clone;
}

uint8_t *mr_sim_disk_file(mr_sim_disk *disk, const char *path, uint64_t *size_bytes)
{
    for (uint32_t i = 0; i < MR_SIM_FILES_MAX; i++) {
        if (strcmp(disk->files[i].path, path) == 0) {
            *size_bytes = disk->files[i].seen_bytes;
            return disk->files[i].seen;
        }
    }
    return NULL;
}

void mr_sim_disk_remove(mr_sim_disk *disk, const char *path)
{
    for (uint32_t i = 0; i < MR_SIM_FILES_MAX; i++) {
        if (strcmp(disk->files[i].path, path) == 0) {
            MR_ASSERT(disk->files[i].open_count == 0);
            drop_file(disk, &disk->files[i]);
            return;
        }
    }
}

/* ---- Between the two files ---- */

bool mr_sim_call(mr_sim_disk *disk)
{
    disk->calls++;
    return disk->dies_at == 0 || disk->calls < disk->dies_at;
}

bool mr_sim_strikes(const mr_sim_disk *disk, uint64_t *countdown)
{
    if (*countdown == 0) {
        return false;
    }
    if (*countdown == 1) {
        *countdown = disk->fault.for_ever ? 1 : 0;
        return true;
    }
    (*countdown)--;
    return false;
}

uint64_t mr_sim_draw(mr_sim_disk *disk, uint64_t below)
{
    return mr_prng_next(&disk->seed) % below;
}

mr_sim_file *mr_sim_file_of(mr_sim_disk *disk, int descriptor)
{
    const int index = (descriptor - MR_SIM_DESCRIPTOR_FIRST) % MR_SIM_DESCRIPTOR_STEP;

    MR_ASSERT(index >= 0 && index < MR_SIM_FILES_MAX && disk->files[index].path[0] != '\0');
    return &disk->files[index];
}

void mr_sim_write_pending(mr_sim_disk *disk, mr_sim_file *file, uint64_t offset,
                          const uint8_t *bytes, uint64_t size_bytes, uint64_t write)
{
    const uint64_t count = size_bytes / MR_SIM_SECTOR_BYTES;

    MR_ASSERT(offset % MR_SIM_SECTOR_BYTES == 0 && size_bytes % MR_SIM_SECTOR_BYTES == 0);
    while (disk->pending_count + count > disk->pending_room) {
        const uint32_t room = disk->pending_room == 0 ? PENDING_FIRST : disk->pending_room * 2;
        mr_sim_sector *grown = take(room * sizeof(*grown));
        if (disk->pending != NULL) {
            memcpy(grown, disk->pending, disk->pending_count * sizeof(*grown));
            give(disk->pending, disk->pending_room * sizeof(*grown));
        }
        disk->pending = grown;
        disk->pending_room = room;
    }
    for (uint64_t i = 0; i < count; i++) {
        mr_sim_sector *sector = &disk->pending[disk->pending_count++];
        *sector = (mr_sim_sector){.sector = offset / MR_SIM_SECTOR_BYTES + i,
                                  .write = write,
                                  .file = (uint32_t)(file - disk->files)};
        memcpy(sector->bytes, bytes + i * MR_SIM_SECTOR_BYTES, MR_SIM_SECTOR_BYTES);
    }
}

void mr_sim_write_seen(mr_sim_file *file, uint64_t offset, const uint8_t *bytes,
                       uint64_t size_bytes)
{
    grow(file, offset + size_bytes);
    memcpy(file->seen + offset, bytes, size_bytes);
    if (offset + size_bytes > file->seen_bytes) {
        file->seen_bytes = offset + size_bytes;
    }
}

void mr_sim_mark_seen(mr_sim_disk *disk, uint64_t write)
{
    for (uint32_t i = 0; i < disk->pending_count; i++) {
        if (disk->pending[i].write == write) {
            disk->pending[i].is_seen = true;
        }
    }
}

void mr_sim_settle(mr_sim_disk *disk)
{
    uint32_t kept = 0;

    disk->step++;
    for (uint32_t i = 0; i < disk->pending_count; i++) {
        mr_sim_sector sector = disk->pending[i];
        if (!sector.is_seen && sector.file < MR_SIM_FILES_MAX) {
            if (mr_sim_draw(disk, 2) == 0) {
                continue;
            }
            mr_sim_write_seen(&disk->files[sector.file], sector.sector * MR_SIM_SECTOR_BYTES,
                              sector.bytes, MR_SIM_SECTOR_BYTES);
            sector.is_seen = true;
        }
        sector.completed_at = disk->step;
        disk->pending[kept++] = sector;
    }
    disk->pending_count = kept;
}

void mr_sim_write_completed(mr_sim_disk *disk, uint64_t write)
{
    for (uint32_t i = 0; i < disk->pending_count; i++) {
        if (disk->pending[i].write == write) {
            disk->pending[i].completed_at = disk->step;
        }
    }
}

void mr_sim_make_durable(mr_sim_disk *disk, const mr_sim_file *file, uint64_t before_step,
                         uint64_t write, bool drop)
{
    const uint32_t number = (uint32_t)(file - disk->files);
    uint32_t kept = 0;

    for (uint32_t i = 0; i < disk->pending_count; i++) {
        const mr_sim_sector *sector = &disk->pending[i];
        const bool covered =
            sector->file == number &&
            (write != 0 ? sector->write == write
                        : sector->completed_at != 0 && sector->completed_at < before_step);
        if (!covered) {
            disk->pending[kept++] = *sector;
        } else if (!drop) {
            const mr_sim_sector settled = *sector;
            apply(disk, &settled);
            for (uint32_t older = 0; older < kept; older++) {
                if (disk->pending[older].file == number &&
                    disk->pending[older].sector == settled.sector &&
                    disk->pending[older].completed_at != 0) {
                    forget(disk, older);
                }
            }
        }
    }
    disk->pending_count = kept;
    if (write == 0 && !drop) {
        disk->files[number].durable_bytes = disk->files[number].seen_bytes;
    }
}

const mr_file_type *mr_sim_file_type(void)
{
    static const mr_file_type type = {.open = sim_open,
                                      .reserve = sim_reserve,
                                      .zero_fill = sim_zero_fill,
                                      .shrink = sim_shrink,
                                      .close = sim_close};

    return &type;
}

/* ---- Files ---- */

static mr_status sim_open(void *self, const char *path, uint32_t flags, int *descriptor,
                          uint64_t *size_bytes, mr_diag *diag)
{
    mr_sim_disk *disk = self;
    int found = -1;
    int empty = -1;

    MR_ASSERT(strlen(path) < MR_SIM_PATH_BYTES);
    for (int i = 0; i < MR_SIM_FILES_MAX; i++) {
        if (strcmp(disk->files[i].path, path) == 0) {
            found = i;
        } else if (disk->files[i].path[0] == '\0') {
            empty = i;
        }
    }
    if (!mr_sim_call(disk)) {
        return mr_diag_set(diag, MR_ERR_REFUSED, 0, "E_STATE_IO: %s: the disk is dead", path);
    }
    if (found < 0) {
        if ((flags & MR_FILE_CREATE) == 0) {
            return mr_diag_set(diag, MR_ERR_REFUSED, 0, "E_STATE_MISSING: %s: no such file", path);
        }
        MR_ASSERT(empty >= 0);
        found = empty;
        mr_sim_file *file = &disk->files[found];
        *file = (mr_sim_file){.open_count = 0};
        (void)snprintf(file->path, sizeof(file->path), "%s", path);
        grow(file, ROOM_FIRST);
    }
    mr_sim_file *file = &disk->files[found];
    const uint32_t bit =
        (flags & MR_FILE_READ_ONLY) != 0 ? READER_BIT : flags >> MR_FILE_SHARD_SHIFT;
    const uint64_t lock = (flags & MR_FILE_LOCK) != 0 ? UINT64_C(1) << bit : 0;
    MR_ASSERT(bit <= READER_BIT);
    if (lock != 0 &&
        (bit == READER_BIT ? file->locks != 0
                           : (file->locks & (lock | UINT64_C(1) << READER_BIT)) != 0)) {
        return mr_diag_set(diag, MR_ERR_REFUSED, 0, "E_STATE_LOCKED: %s: in use", path);
    }
    if ((flags & MR_FILE_CREATE) != 0) {
        if (!mr_sim_call(disk)) {
            return mr_diag_set(diag, MR_ERR_REFUSED, 0, "E_STATE_IO: %s: the disk is dead", path);
        }
        file->name_is_durable = true;
    }
    file->locks |= lock;
    file->open_count++;
    *descriptor =
        MR_SIM_DESCRIPTOR_FIRST + found + (lock != 0 ? MR_SIM_DESCRIPTOR_STEP * ((int)bit + 1) : 0);
    *size_bytes = file->seen_bytes;
    return MR_OK;
}

static mr_status sim_reserve(void *self, int descriptor, uint64_t offset, uint64_t size_bytes)
{
    mr_sim_disk *disk = self;

    (void)mr_sim_file_of(disk, descriptor);
    (void)offset;
    (void)size_bytes;
    if (!mr_sim_call(disk)) {
        return MR_ERR_IO;
    }
    return mr_sim_strikes(disk, &disk->fault.space_error_at) ? MR_ERR_FULL : MR_OK;
}

static mr_status sim_zero_fill(void *self, int descriptor, uint64_t offset, uint64_t size_bytes)
{
    mr_sim_disk *disk = self;
    mr_sim_file *file = mr_sim_file_of(disk, descriptor);
    uint8_t *zeros = take(size_bytes);
    const uint64_t write = disk->next_write++;

    mr_sim_write_pending(disk, file, offset, zeros, size_bytes, write);
    if (!mr_sim_call(disk)) {
        give(zeros, size_bytes);
        return MR_ERR_IO;
    }
    if (mr_sim_strikes(disk, &disk->fault.space_error_at)) {
        give(zeros, size_bytes);
        /* Nothing of it is under way any more, to land on what is written there later. */
        mr_sim_make_durable(disk, file, 0, write, true);
        return MR_ERR_FULL;
    }
    mr_sim_write_seen(file, offset, zeros, size_bytes);
    give(zeros, size_bytes);
    disk->step++;
    mr_sim_mark_seen(disk, write);
    mr_sim_write_completed(disk, write);
    if (!mr_sim_call(disk)) {
        return MR_ERR_IO;
    }
    disk->step++;
    mr_sim_make_durable(disk, file, disk->step, 0, false);
    return MR_OK;
}

static mr_status sim_shrink(void *self, int descriptor, uint64_t size_bytes)
{
    mr_sim_disk *disk = self;
    mr_sim_file *file = mr_sim_file_of(disk, descriptor);

    if (!mr_sim_call(disk)) {
        return MR_ERR_IO;
    }
    if (size_bytes < file->seen_bytes) {
        memset(file->seen + size_bytes, 0, file->seen_bytes - size_bytes);
        file->seen_bytes = size_bytes;
    }
    return MR_OK;
}

static void sim_close(void *self, int descriptor)
{
    mr_sim_disk *disk = self;
    mr_sim_file *file = mr_sim_file_of(disk, descriptor);

    MR_ASSERT(file->open_count > 0);
    file->open_count--;
    const int step = (descriptor - MR_SIM_DESCRIPTOR_FIRST) / MR_SIM_DESCRIPTOR_STEP;
    if (step > 0) {
        file->locks &= ~(UINT64_C(1) << (step - 1));
    }
}

/* ---- Helpers ---- */

static void *take(uint64_t size_bytes)
{
    const mr_memory memory = mr_memory_system();
    void *taken = memory.type->acquire(memory.self, size_bytes, "simulated disk");

    MR_ASSERT(taken != NULL);
    return taken;
}

static void give(void *memory_block, uint64_t size_bytes)
{
    const mr_memory memory = mr_memory_system();

    memory.type->release(memory.self, memory_block, size_bytes);
}

static void grow(mr_sim_file *file, uint64_t size_bytes)
{
    uint64_t room = file->room_bytes == 0 ? ROOM_FIRST : file->room_bytes;

    while (room < size_bytes) {
        room *= 2;
    }
    if (room == file->room_bytes) {
        return;
    }
    uint8_t *seen = take(room);
    uint8_t *durable = take(room);
    if (file->room_bytes > 0) {
        memcpy(seen, file->seen, file->room_bytes);
        memcpy(durable, file->durable, file->room_bytes);
        give(file->seen, file->room_bytes);
        give(file->durable, file->room_bytes);
    }
    file->seen = seen;
    file->durable = durable;
    file->room_bytes = room;
}

static void drop_file(mr_sim_disk *disk, mr_sim_file *file)
{
    (void)disk;
    if (file->room_bytes > 0) {
        give(file->seen, file->room_bytes);
        give(file->durable, file->room_bytes);
    }
    *file = (mr_sim_file){.open_count = 0};
}

/* A sector is on the medium; beyond the durable size it is not part of the file. */
static void apply(mr_sim_disk *disk, const mr_sim_sector *sector)
{
    mr_sim_file *file = &disk->files[sector->file];
    const uint64_t offset = sector->sector * MR_SIM_SECTOR_BYTES;

    if (file->path[0] == '\0') {
        return;
    }
    grow(file, offset + MR_SIM_SECTOR_BYTES);
    memcpy(file->durable + offset, sector->bytes, MR_SIM_SECTOR_BYTES);
}

/* An older version that can no longer come back. */
static void forget(mr_sim_disk *disk, uint32_t index)
{
    disk->pending[index].file = MR_SIM_FILES_MAX;
}
