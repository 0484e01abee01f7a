/*
 * ring_uring.c - the raw back-end on io_uring (liburing 2.3, kernel 5.11 or newer).
 *
 * The ring is created in the shard's own pinned thread with SINGLE_ISSUER and DEFER_TASKRUN, so
 * that completions are processed where and when the shard asks; an older kernel falls back to
 * COOP_TASKRUN, then to nothing. Files and the ring's descriptor are registered. Writes go to
 * prewritten ranges with O_DIRECT and so need no kernel worker threads. No linked requests (a short
 * write would cancel the chain), no SQPOLL (dearer per request than batched submission).
 *
 * Watches are multishot polls; one that ends is armed again.
 */
#define _GNU_SOURCE
#include "engine/base/assert.h"
#include "engine/base/memory.h"
#include "io/ring/ring_private.h"
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <string.h>

enum {
    SQ_ENTRIES = 256,
    CQ_ENTRIES = 4 * SQ_ENTRIES,
    CLOSE_WAITS_MAX = 600, /* 100 ms each: a disk that hangs longer than a minute is given up. */
    CLOSE_WAIT_US = 100 * 1000
};

typedef struct watch {
    int descriptor;
    uint64_t tag;
    bool is_armed;
} watch;

typedef struct uring {
    struct io_uring ring;
    bool files_used[MR_RING_FILES_MAX];
    watch watches[MR_RING_WATCHES_MAX];
    uint32_t watch_count, in_flight;
    bool rearm;
} uring;

static mr_status uring_probe(void *self, const char *directory, mr_diag *diag);
static mr_status uring_attach(void *self, int descriptor, int32_t *file);
static void uring_detach(void *self, int32_t file);
static uint32_t uring_queue(void *self, const mr_io_request *requests, uint32_t count);
static mr_status uring_flush(void *self);
static mr_status uring_watch(void *self, int descriptor, uint64_t tag);
static uint32_t uring_reap(void *self, mr_io_raw_completion *completions, uint32_t count_max);
static void uring_wait(void *self, uint32_t completion_count_min, int64_t timeout_us);
static void uring_close(void *self);
static int set_up(struct io_uring *ring);
static void prepare(struct io_uring_sqe *sqe, const mr_io_request *request);
static void arm(uring *backend);

static const mr_io_raw_type uring_type = {.name = "uring",
                                          .probe = uring_probe,
                                          .attach = uring_attach,
                                          .detach = uring_detach,
                                          .queue = uring_queue,
                                          .flush = uring_flush,
                                          .watch = uring_watch,
                                          .reap = uring_reap,
                                          .wait = uring_wait,
                                          .close = uring_close};

mr_status mr_ring_uring_open(mr_io *io, mr_diag *diag)
{
    const mr_memory memory = mr_memory_system();
    unsigned workers[2] = {2, 2}; /* Bounded and unbounded kernel workers: none is expected. */
    char text[128];

    uring *backend = memory.type->acquire(memory.self, sizeof(*backend), "io_uring");
    if (backend == NULL) {
        return mr_diag_set(diag, MR_ERR_MEMORY, 0, "no memory for io_uring");
    }
    int error = set_up(&backend->ring);
    if (error == 0) {
        error = io_uring_register_files_sparse(&backend->ring, MR_RING_FILES_MAX);
        if (error < 0) {
            io_uring_queue_exit(&backend->ring);
        }
    }
    if (error < 0) {
        memory.type->release(memory.self, backend, sizeof(*backend));
        return mr_diag_set(diag, MR_ERR_IO, 0, "E_STATE_IO: io_uring is not available here: %s%s",
                           strerror_r(-error, text, sizeof(text)),
                           error == -EPERM || error == -ENOSYS
                               ? " (a container's seccomp profile, or kernel.io_uring_disabled)"
                               : "");
    }
    /* Both are savings, not needs. */
    (void)io_uring_register_ring_fd(&backend->ring);
    (void)io_uring_register_iowq_max_workers(&backend->ring, workers);
    (void)io_uring_ring_dontfork(&backend->ring);
    io->raw = &uring_type;
    io->raw_self = backend;
    return MR_OK;
}

/* ---- The type's functions ---- */

static mr_status uring_probe(void *self, const char *directory, mr_diag *diag)
{
    return mr_ring_probe(&uring_type, self, directory, true, diag);
}

static mr_status uring_attach(void *self, int descriptor, int32_t *file)
{
    uring *backend = self;

    for (int32_t i = 0; i < MR_RING_FILES_MAX; i++) {
        if (!backend->files_used[i]) {
            if (io_uring_register_files_update(&backend->ring, (unsigned)i, &descriptor, 1) != 1) {
                return MR_ERR_IO;
            }
            backend->files_used[i] = true;
            *file = i;
            return MR_OK;
        }
    }
    return MR_ERR_LIMIT;
}

static void uring_detach(void *self, int32_t file)
{
    uring *backend = self;
    const int none = -1;

    MR_ASSERT(file >= 0 && file < MR_RING_FILES_MAX && backend->files_used[file]);
    (void)io_uring_register_files_update(&backend->ring, (unsigned)file, &none, 1);
    backend->files_used[file] = false;
}

static uint32_t uring_queue(void *self, const mr_io_request *requests, uint32_t count)
{
    uring *backend = self;
    uint32_t taken = 0;

    for (; taken < count; taken++) {
        struct io_uring_sqe *sqe = io_uring_get_sqe(&backend->ring);
        if (sqe == NULL) {
            break;
        }
        MR_ASSERT(backend->files_used[requests[taken].file]);
        prepare(sqe, &requests[taken]);
    }
    backend->in_flight += taken;
    return taken;
}

static mr_status uring_flush(void *self)
{
    uring *backend = self;
    const int submitted = io_uring_submit(&backend->ring);

    /* What the kernel did not take stays in the submission queue for the next flush. */
    return submitted >= 0 || submitted == -EAGAIN || submitted == -EBUSY || submitted == -EINTR
               ? MR_OK
               : MR_ERR_IO;
}

static mr_status uring_watch(void *self, int descriptor, uint64_t tag)
{
    uring *backend = self;

    MR_ASSERT((tag & MR_RING_WATCH_BIT) != 0);
    if (backend->watch_count == MR_RING_WATCHES_MAX) {
        return MR_ERR_LIMIT;
    }
    backend->watches[backend->watch_count++] = (watch){.descriptor = descriptor, .tag = tag};
    arm(backend);
    return uring_flush(backend);
}

static uint32_t uring_reap(void *self, mr_io_raw_completion *completions, uint32_t count_max)
{
    struct io_uring_cqe *cqes[64];
    uring *backend = self;
    const unsigned room = count_max < 64 ? count_max : 64;
    const unsigned count = io_uring_peek_batch_cqe(&backend->ring, cqes, room);

    for (unsigned i = 0; i < count; i++) {
        const uint64_t tag = io_uring_cqe_get_data64(cqes[i]);
        completions[i] = (mr_io_raw_completion){.tag = tag, .result = cqes[i]->res};
        if ((tag & MR_RING_WATCH_BIT) == 0) {
            MR_ASSERT(backend->in_flight > 0);
            backend->in_flight--;
        } else if ((cqes[i]->flags & IORING_CQE_F_MORE) == 0) {
            for (uint32_t w = 0; w < backend->watch_count; w++) {
                if (backend->watches[w].tag == tag) {
                    backend->watches[w].is_armed = false;
                }
            }
            backend->rearm = true;
        }
    }
    io_uring_cq_advance(&backend->ring, count);
    if (backend->rearm) {
        arm(backend);
        (void)uring_flush(backend);
    }
    return count;
}

static void uring_wait(void *self, uint32_t completion_count_min, int64_t timeout_us)
{
    uring *backend = self;
    struct __kernel_timespec time = {.tv_sec = timeout_us / 1000000,
                                     .tv_nsec = timeout_us % 1000000 * 1000};
    struct io_uring_cqe *cqe = NULL;
    const unsigned count = completion_count_min > 0 ? completion_count_min : 1;

    /* Interrupted, timed out, too busy: the caller looks for itself. */
    (void)io_uring_submit_and_wait_timeout(&backend->ring, &cqe, count, &time, NULL);
}

static void uring_close(void *self)
{
    const mr_memory memory = mr_memory_system();
    mr_io_raw_completion dropped[64];
    uring *backend = self;

    /* Buffers belong to the kernel until their completion: the caller frees them after this. */
    for (uint32_t i = 0; i < CLOSE_WAITS_MAX && backend->in_flight > 0; i++) {
        if (uring_reap(backend, dropped, 64) == 0) {
            uring_wait(backend, 1, CLOSE_WAIT_US);
        }
    }
    io_uring_queue_exit(&backend->ring);
    memory.type->release(memory.self, backend, sizeof(*backend));
}

/* ---- Helpers ---- */

static int set_up(struct io_uring *ring)
{
    static const unsigned modes[] = {IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                                         IORING_SETUP_TASKRUN_FLAG,
                                     IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG, 0};
    const unsigned needed = IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG;
    int error = -EINVAL;

    for (size_t i = 0; i < MR_LENGTH(modes) && error == -EINVAL; i++) {
        struct io_uring_params params = {.flags = modes[i] | IORING_SETUP_CQSIZE,
                                         .cq_entries = CQ_ENTRIES};
        error = io_uring_queue_init_params(SQ_ENTRIES, ring, &params);
        if (error == 0 && (params.features & needed) != needed) {
            io_uring_queue_exit(ring);
            return -ENOSYS;
        }
    }
    return error;
}

static void prepare(struct io_uring_sqe *sqe, const mr_io_request *request)
{
    switch (request->op) {
    case MR_IO_READ:
        io_uring_prep_read(sqe, request->file, request->buffer, request->size_bytes,
                           request->offset);
        break;
    case MR_IO_WRITE:
    case MR_IO_WRITE_DURABLE:
        io_uring_prep_write(sqe, request->file, request->buffer, request->size_bytes,
                            request->offset);
        if (request->op == MR_IO_WRITE_DURABLE) {
            sqe->rw_flags = RWF_DSYNC;
        }
        break;
    case MR_IO_SYNC:
        io_uring_prep_fsync(sqe, request->file, IORING_FSYNC_DATASYNC);
        break;
    }
    io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
    io_uring_sqe_set_data64(sqe, request->tag);
}

/* Arms what is not armed; what finds no room in the queue is armed at the next reap. */
static void arm(uring *backend)
{
    backend->rearm = false;
    for (uint32_t i = 0; i < backend->watch_count; i++) {
        watch *armed = &backend->watches[i];
        if (armed->is_armed) {
            continue;
        }
        struct io_uring_sqe *sqe = io_uring_get_sqe(&backend->ring);
        if (sqe == NULL) {
            backend->rearm = true;
            return;
        }
        io_uring_prep_poll_multishot(sqe, armed->descriptor, POLLIN);
        io_uring_sqe_set_data64(sqe, armed->tag);
        armed->is_armed = true;
    }
}
