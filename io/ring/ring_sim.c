/*
 * ring_sim.c - the raw back-end on the simulated disk: late, reordered, short, refused, failing,
 * misdirected, flipped, lost and doubled, all drawn from one seed. Tests only.
 */
#include "engine/base/assert.h"
#include "engine/base/memory.h"
#include "io/ring/ring_private.h"
#include "io/ring/sim_private.h"
#include <errno.h>
#include <string.h>

static mr_status sim_probe(void *self, const char *directory, mr_diag *diag);
static mr_status sim_attach(void *self, int descriptor, int32_t *file);
static void sim_detach(void *self, int32_t file);
static uint32_t sim_queue(void *self, const mr_io_request *requests, uint32_t count);
static mr_status sim_flush(void *self);
static mr_status sim_watch(void *self, int descriptor, uint64_t tag);
static uint32_t sim_reap(void *self, mr_io_raw_completion *completions, uint32_t count_max);
static void sim_wait(void *self, uint32_t completion_count_min, int64_t timeout_us);
static void sim_close(void *self);
static mr_sim_request *draw_due(mr_sim_disk *disk);
static int64_t perform(mr_sim_disk *disk, const mr_sim_request *request);
static int64_t perform_read(mr_sim_disk *disk, const mr_io_request *request);
static int64_t perform_write(mr_sim_disk *disk, const mr_sim_request *submitted);
static int64_t perform_sync(mr_sim_disk *disk, const mr_sim_request *submitted);
static uint64_t draw_size(mr_sim_disk *disk, uint64_t size_bytes);

static const mr_io_raw_type sim_type = {.name = "sim",
                                        .probe = sim_probe,
                                        .attach = sim_attach,
                                        .detach = sim_detach,
                                        .queue = sim_queue,
                                        .flush = sim_flush,
                                        .watch = sim_watch,
                                        .reap = sim_reap,
                                        .wait = sim_wait,
                                        .close = sim_close};

mr_io mr_sim_disk_io(mr_sim_disk *disk)
{
    return (mr_io){.raw = &sim_type,
                   .files = mr_sim_file_type(),
                   .raw_self = disk,
                   .files_self = disk,
                   .files_at_once = true};
}

/* ---- The type's functions ---- */

static mr_status sim_probe(void *self, const char *directory, mr_diag *diag)
{
    (void)self;
    (void)directory;
    (void)diag;
    return MR_OK;
}

static mr_status sim_attach(void *self, int descriptor, int32_t *file)
{
    mr_sim_disk *disk = self;

    (void)mr_sim_file_of(disk, descriptor);
    for (int32_t i = 0; i < MR_RING_FILES_MAX; i++) {
        if (disk->attached[i] < 0) {
            disk->attached[i] = descriptor;
            *file = i;
            return MR_OK;
        }
    }
    return MR_ERR_LIMIT;
}

static void sim_detach(void *self, int32_t file)
{
    mr_sim_disk *disk = self;

    MR_ASSERT(file >= 0 && file < MR_RING_FILES_MAX && disk->attached[file] >= 0);
    disk->attached[file] = -1;
}

/* The bytes of a write may reach the medium from here on, whatever becomes of the request. */
static uint32_t sim_queue(void *self, const mr_io_request *requests, uint32_t count)
{
    mr_sim_disk *disk = self;
    uint32_t taken = 0;

    disk->step++;
    if (disk->fault.queue_max > 0 && count > disk->fault.queue_max) {
        count = disk->fault.queue_max;
    }
    for (uint32_t i = 0; i < MR_RING_DEPTH_MAX && taken < count; i++) {
        mr_sim_request *place = &disk->requests[i];
        if (place->is_used) {
            continue;
        }
        const mr_io_request *request = &requests[taken++];
        *place = (mr_sim_request){.request = *request,
                                  .number = disk->next_write++,
                                  .submitted_at = disk->step,
                                  .due_at = disk->reaps + 1 +
                                            mr_sim_draw(disk, (uint64_t)disk->fault.delay_max + 1),
                                  .is_used = true};
        if (request->op == MR_IO_WRITE || request->op == MR_IO_WRITE_DURABLE) {
            mr_sim_file *file = mr_sim_file_of(disk, disk->attached[request->file]);
            mr_sim_write_pending(disk, file, request->offset, request->buffer, request->size_bytes,
                                 place->number);
        }
    }
    return taken;
}

static mr_status sim_flush(void *self)
{
    (void)self;
    return MR_OK;
}

static mr_status sim_watch(void *self, int descriptor, uint64_t tag)
{
    (void)self;
    (void)descriptor;
    (void)tag;
    return MR_OK;
}

static uint32_t sim_reap(void *self, mr_io_raw_completion *completions, uint32_t count_max)
{
    mr_sim_disk *disk = self;
    uint32_t count = 0;

    disk->step++;
    disk->reaps++;
    if (disk->has_stale && count < count_max) {
        completions[count++] = disk->stale;
        disk->has_stale = false;
    }
    while (count < count_max) {
        mr_sim_request *due = draw_due(disk);
        if (due == NULL) {
            break;
        }
        due->is_used = false;
        completions[count] =
            (mr_io_raw_completion){.tag = due->request.tag, .result = perform(disk, due)};
        mr_sim_write_completed(disk, due->number);
        if (mr_sim_strikes(disk, &disk->fault.stale_at)) {
            disk->stale = completions[count];
            disk->has_stale = true;
        }
        count++;
    }
    return count;
}

static void sim_wait(void *self, uint32_t completion_count_min, int64_t timeout_us)
{
    (void)self;
    (void)completion_count_min;
    (void)timeout_us; /* Time passes with each reap. */
}

static void sim_close(void *self)
{
    mr_sim_disk *disk = self;

    memset(disk->requests, 0, sizeof(disk->requests));
    disk->has_stale = false;
    mr_sim_settle(disk);
    for (uint32_t i = 0; i < MR_RING_FILES_MAX; i++) {
        disk->attached[i] = -1;
    }
}

/* ---- Helpers ---- */

/* One of the requests that are due, in no order. */
static mr_sim_request *draw_due(mr_sim_disk *disk)
{
    uint32_t due = 0;

    for (uint32_t i = 0; i < MR_RING_DEPTH_MAX; i++) {
        due += disk->requests[i].is_used && disk->requests[i].due_at <= disk->reaps;
    }
    if (due == 0) {
        return NULL;
    }
    uint64_t skip = disk->fault.delay_max > 0 ? mr_sim_draw(disk, due) : 0;
    for (uint32_t i = 0; i < MR_RING_DEPTH_MAX; i++) {
        if (disk->requests[i].is_used && disk->requests[i].due_at <= disk->reaps && skip-- == 0) {
            return &disk->requests[i];
        }
    }
    return NULL;
}

static int64_t perform(mr_sim_disk *disk, const mr_sim_request *submitted)
{
    if (!mr_sim_call(disk)) {
        return -EIO;
    }
    if (disk->fault.busy_percent > 0 && mr_sim_draw(disk, 100) < disk->fault.busy_percent) {
        return -EAGAIN;
    }
    switch (submitted->request.op) {
    case MR_IO_READ:
        return perform_read(disk, &submitted->request);
    case MR_IO_WRITE:
    case MR_IO_WRITE_DURABLE:
        return perform_write(disk, submitted);
    case MR_IO_SYNC:
        return perform_sync(disk, submitted);
    }
    return -EINVAL;
}

static int64_t perform_read(mr_sim_disk *disk, const mr_io_request *request)
{
    const mr_sim_file *file = mr_sim_file_of(disk, disk->attached[request->file]);

    if (mr_sim_strikes(disk, &disk->fault.read_error_at)) {
        return -EIO;
    }
    if (request->offset >= file->seen_bytes) {
        return 0;
    }
    uint64_t size = file->seen_bytes - request->offset;
    size = size < request->size_bytes ? size : request->size_bytes;
    size = draw_size(disk, size);
    memcpy(request->buffer, file->seen + request->offset, size);
    return (int64_t)size;
}

static int64_t perform_write(mr_sim_disk *disk, const mr_sim_request *submitted)
{
    const mr_io_request *request = &submitted->request;
    mr_sim_file *file = mr_sim_file_of(disk, disk->attached[request->file]);
    uint8_t *bytes = request->buffer;
    uint64_t offset = request->offset;

    if (mr_sim_strikes(disk, &disk->fault.write_error_at)) {
        return -EIO;
    }
    const bool lost = mr_sim_strikes(disk, &disk->fault.lose_at);
    const bool misdirected = mr_sim_strikes(disk, &disk->fault.misdirect_at);
    if (lost || misdirected) {
        mr_sim_make_durable(disk, file, 0, submitted->number, true);
        if (lost) {
            return request->size_bytes;
        }
        offset += MR_IO_BLOCK_BYTES;
        mr_sim_write_pending(disk, file, offset, bytes, request->size_bytes, submitted->number);
    }
    const uint64_t size = draw_size(disk, request->size_bytes);
    mr_sim_mark_seen(disk, submitted->number);
    mr_sim_write_seen(file, offset, bytes, size);
    if (mr_sim_strikes(disk, &disk->fault.flip_at)) {
        const uint64_t at = mr_sim_draw(disk, size);
        file->seen[offset + at] ^= (uint8_t)(1u << mr_sim_draw(disk, 8));
        mr_sim_make_durable(disk, file, 0, submitted->number, true);
        mr_sim_write_pending(disk, file, offset, file->seen + offset, size, submitted->number);
    }
    if (request->op == MR_IO_WRITE_DURABLE && size == request->size_bytes) {
        mr_sim_make_durable(disk, file, 0, submitted->number, false);
    }
    return (int64_t)size;
}

static int64_t perform_sync(mr_sim_disk *disk, const mr_sim_request *submitted)
{
    const mr_sim_file *file = mr_sim_file_of(disk, disk->attached[submitted->request.file]);
    const bool fails = mr_sim_strikes(disk, &disk->fault.sync_error_at);

    mr_sim_make_durable(disk, file, submitted->submitted_at, 0, fails);
    return fails ? -EIO : 0;
}

static uint64_t draw_size(mr_sim_disk *disk, uint64_t size_bytes)
{
    if (disk->fault.short_percent == 0 || size_bytes <= MR_SIM_SECTOR_BYTES ||
        mr_sim_draw(disk, 100) >= disk->fault.short_percent) {
        return size_bytes;
    }
    return mr_sim_draw(disk, size_bytes / MR_SIM_SECTOR_BYTES) * MR_SIM_SECTOR_BYTES;
}
