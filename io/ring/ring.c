/*
 * ring.c - the common layer: a completion is the full length or an error, whatever the back-end.
 *
 * A raw back-end may complete short, late, out of order or with EAGAIN, and the kernel may take
 * fewer requests than were queued. All that is dealt with here and only here, so that the simulated
 * disk exercises the very code that runs on io_uring. A short or refused request is submitted again
 * whole: a remainder might be unaligned, and a durable write must cover its whole range. A tag
 * carries slot and generation; one that does not match is dropped and counted.
 *
 * Limits: MR_RING_DEPTH_MAX requests, MR_RING_RESUBMITS_MAX resubmissions each. Thread: the
 * shard's.
 */
#define _GNU_SOURCE
#include "engine/base/assert.h"
#include "engine/base/memory.h"
#include "io/ring/ring_private.h"
#include <errno.h>
#include <string.h>

enum { REAP_BATCH = 64, PUT_BACK_MAX = 64, SLOT_BITS = 16 };

/* The helper's own watch: its completions are taken from its ring, not from the back-end. */
#define HELPER_TAG (MR_RING_WATCH_BIT | UINT64_C(0x7fffffffffffffff))

typedef struct slot {
    mr_io_request request;
    uint32_t generation;
    uint16_t resubmits;
    bool is_used;
} slot;

struct mr_ring {
    mr_io io;
    mr_ring_helper *helper;
    slot slots[MR_RING_DEPTH_MAX];
    uint16_t free_slots[MR_RING_DEPTH_MAX]; /* A stack. */
    uint16_t waiting[MR_RING_DEPTH_MAX];    /* Slots not yet taken by the back-end; a queue. */
    uint32_t free_count, waiting_from, waiting_count;
    uint32_t job_count, watch_count;
    uint64_t stale_count;
    mr_io_completion put_back[PUT_BACK_MAX];
    uint32_t put_back_count;
};

static void push_waiting(mr_ring *ring);
static void wait_again(mr_ring *ring, uint32_t index);
static bool settle(mr_ring *ring, const mr_io_raw_completion *raw, mr_io_completion *completion);
static int32_t outcome(const mr_io_request *request, int64_t result, bool *again);
static uint32_t reap_put_back(mr_ring *ring, mr_io_completion *completions, uint32_t count_max);

mr_status mr_ring_open(mr_ring **ring, const mr_io *io, mr_diag *diag)
{
    MR_ASSERT(ring != NULL && io->raw != NULL && io->files != NULL);
    const mr_memory memory = mr_memory_system();
    mr_ring *opened = memory.type->acquire(memory.self, sizeof(*opened), "ring");
    if (opened == NULL) {
        return mr_diag_set(diag, MR_ERR_MEMORY, 0, "no memory for the I/O ring");
    }
    opened->io = *io;
    for (uint32_t i = 0; i < MR_RING_DEPTH_MAX; i++) {
        opened->free_slots[opened->free_count++] = (uint16_t)(MR_RING_DEPTH_MAX - 1 - i);
    }
    mr_status status = mr_ring_helper_open(&opened->helper, io, diag);
    const int descriptor = status == MR_OK ? mr_ring_helper_descriptor(opened->helper) : -1;
    if (status == MR_OK && descriptor >= 0) {
        status = io->raw->watch(io->raw_self, descriptor, HELPER_TAG);
        if (status != MR_OK) {
            status = mr_diag_set(diag, MR_ERR_IO, 0,
                                 "E_STATE_IO: the %s ring watches no "
                                 "descriptor; try state.io: threads",
                                 io->raw->name);
        }
    }
    if (status != MR_OK) {
        mr_ring_helper_close(opened->helper);
        io->raw->close(io->raw_self);
        memory.type->release(memory.self, opened, sizeof(*opened));
        return status;
    }
    *ring = opened;
    return MR_OK;
}

const mr_io *mr_ring_io(const mr_ring *ring)
{
    MR_ASSERT(ring != NULL);
    return &ring->io;
}

mr_status mr_ring_attach(mr_ring *ring, int descriptor, int32_t *file)
{
    MR_ASSERT(ring != NULL && descriptor >= 0 && file != NULL);
    return ring->io.raw->attach(ring->io.raw_self, descriptor, file);
}

void mr_ring_detach(mr_ring *ring, int32_t file)
{
    MR_ASSERT(ring != NULL && file >= 0);
    ring->io.raw->detach(ring->io.raw_self, file);
}

uint32_t mr_ring_submit(mr_ring *ring, const mr_io_request *requests, uint32_t count)
{
    uint32_t taken = 0;

    for (; taken < count && ring->free_count > 0; taken++) {
        const mr_io_request *request = &requests[taken];
        MR_ASSERT((request->tag & MR_RING_WATCH_BIT) == 0);
        MR_ASSERT(request->op == MR_IO_SYNC
                      ? request->size_bytes == 0 && request->offset == 0
                      : request->size_bytes > 0 && request->size_bytes % MR_IO_BLOCK_BYTES == 0 &&
                            request->offset % MR_IO_BLOCK_BYTES == 0 &&
                            (uintptr_t)request->buffer % MR_IO_BLOCK_BYTES == 0);
        const uint16_t index = ring->free_slots[--ring->free_count];
        slot *taken_slot = &ring->slots[index];
        taken_slot->request = *request;
        taken_slot->resubmits = 0;
        taken_slot->is_used = true;
        wait_again(ring, index);
    }
    push_waiting(ring);
    return taken;
}

uint32_t mr_ring_reap(mr_ring *ring, mr_io_completion *completions, uint32_t count_max)
{
    mr_io_raw_completion raw[REAP_BATCH];
    uint32_t count = reap_put_back(ring, completions, count_max);

    while (count < count_max) {
        const uint32_t room = count_max - count;
        const uint32_t got =
            ring->io.raw->reap(ring->io.raw_self, raw, room < REAP_BATCH ? room : REAP_BATCH);
        for (uint32_t i = 0; i < got; i++) {
            if (settle(ring, &raw[i], &completions[count])) {
                count++;
            }
        }
        if (got == 0) {
            break;
        }
    }
    while (count < count_max && mr_ring_helper_reap(ring->helper, &completions[count])) {
        MR_ASSERT(ring->job_count > 0);
        ring->job_count--;
        count++;
    }
    push_waiting(ring);
    return count;
}

void mr_ring_wait(mr_ring *ring, uint32_t completion_count_min, int64_t timeout_us)
{
    push_waiting(ring);
    if (ring->put_back_count > 0) {
        return;
    }
    ring->io.raw->wait(ring->io.raw_self, completion_count_min, timeout_us > 0 ? timeout_us : 0);
}

mr_status mr_ring_watch(mr_ring *ring, int descriptor, uint64_t tag)
{
    MR_ASSERT((tag & MR_RING_WATCH_BIT) != 0 && tag != HELPER_TAG);
    if (ring->watch_count >= MR_RING_WATCHES_MAX - 1) {
        return MR_ERR_LIMIT;
    }
    const mr_status status = ring->io.raw->watch(ring->io.raw_self, descriptor, tag);
    ring->watch_count += status == MR_OK;
    return status;
}

uint32_t mr_ring_in_flight(const mr_ring *ring)
{
    return MR_RING_DEPTH_MAX - ring->free_count + ring->job_count;
}

uint64_t mr_ring_stale_count(const mr_ring *ring)
{
    return ring->stale_count;
}

void mr_ring_put_back(mr_ring *ring, const mr_io_completion *completion)
{
    MR_ASSERT((completion->tag & MR_RING_WATCH_BIT) != 0);
    for (uint32_t i = 0; i < ring->put_back_count; i++) {
        if (ring->put_back[i].tag == completion->tag) {
            return;
        }
    }
    MR_ASSERT(ring->put_back_count < PUT_BACK_MAX);
    ring->put_back[ring->put_back_count++] = *completion;
}

bool mr_ring_prepare(mr_ring *ring, const mr_file_job *job)
{
    MR_ASSERT((job->tag & MR_RING_WATCH_BIT) == 0 && job->descriptor >= 0 && job->size_bytes > 0);
    if (ring->job_count >= MR_FILE_JOBS_MAX) {
        return false;
    }
    ring->job_count++;
    mr_ring_helper_post(ring->helper, job);
    return true;
}

void mr_ring_close(mr_ring *ring)
{
    if (ring == NULL) {
        return;
    }
    const mr_memory memory = mr_memory_system();
    mr_ring_helper_close(ring->helper);
    ring->io.raw->close(ring->io.raw_self);
    memory.type->release(memory.self, ring, sizeof(*ring));
}

/* ---- Helpers ---- */

/* Offers the waiting requests to the back-end, in order; what it does not take stays. */
static void push_waiting(mr_ring *ring)
{
    mr_io_request requests[REAP_BATCH];
    bool any = false;

    while (ring->waiting_count > 0) {
        uint32_t count = 0;
        for (; count < REAP_BATCH && count < ring->waiting_count; count++) {
            const uint32_t at = (ring->waiting_from + count) % MR_RING_DEPTH_MAX;
            const uint32_t index = ring->waiting[at];
            requests[count] = ring->slots[index].request;
            requests[count].tag = (uint64_t)ring->slots[index].generation << SLOT_BITS | index;
        }
        const uint32_t taken = ring->io.raw->queue(ring->io.raw_self, requests, count);
        MR_ASSERT(taken <= count);
        ring->waiting_from = (ring->waiting_from + taken) % MR_RING_DEPTH_MAX;
        ring->waiting_count -= taken;
        any = any || taken > 0;
        if (taken < count) {
            break;
        }
    }
    if (any) {
        /* A flush that fails leaves the requests queued: the next one takes them along. */
        (void)ring->io.raw->flush(ring->io.raw_self);
    }
}

static void wait_again(mr_ring *ring, uint32_t index)
{
    MR_ASSERT(ring->waiting_count < MR_RING_DEPTH_MAX && ring->slots[index].is_used);
    slot *again = &ring->slots[index];
    /* 47 bits are left for it in the tag. */
    again->generation++;
    const uint32_t at = (ring->waiting_from + ring->waiting_count) % MR_RING_DEPTH_MAX;
    ring->waiting[at] = (uint16_t)index;
    ring->waiting_count++;
}

/* True: `completion` is for the caller. */
static bool settle(mr_ring *ring, const mr_io_raw_completion *raw, mr_io_completion *completion)
{
    if (raw->tag == HELPER_TAG) {
        mr_ring_helper_clear(ring->helper);
        return false;
    }
    if ((raw->tag & MR_RING_WATCH_BIT) != 0) {
        *completion = (mr_io_completion){.tag = raw->tag};
        return true;
    }
    const uint32_t index = (uint32_t)(raw->tag & ((1u << SLOT_BITS) - 1));
    const uint64_t generation = raw->tag >> SLOT_BITS;
    if (index >= MR_RING_DEPTH_MAX || !ring->slots[index].is_used ||
        ring->slots[index].generation != generation) {
        ring->stale_count++;
        return false;
    }
    slot *done = &ring->slots[index];
    bool again = false;
    const int32_t error = outcome(&done->request, raw->result, &again);
    if (again && done->resubmits < MR_RING_RESUBMITS_MAX) {
        done->resubmits++;
        wait_again(ring, index);
        return false;
    }
    *completion = (mr_io_completion){.tag = done->request.tag, .error = error};
    done->is_used = false;
    done->generation++;
    ring->free_slots[ring->free_count++] = (uint16_t)index;
    return true;
}

/* The errno a result means in the end; `again`: worth a resubmission before. */
static int32_t outcome(const mr_io_request *request, int64_t result, bool *again)
{
    if (result < 0) {
        *again = result == -EAGAIN || result == -EINTR;
        return (int32_t)-result;
    }
    if (result == request->size_bytes) {
        return 0;
    }
    *again = result < request->size_bytes;
    return EIO;
}

static uint32_t reap_put_back(mr_ring *ring, mr_io_completion *completions, uint32_t count_max)
{
    uint32_t count = 0;

    while (count < count_max && ring->put_back_count > 0) {
        completions[count++] = ring->put_back[--ring->put_back_count];
    }
    return count;
}
