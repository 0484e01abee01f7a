/*
 * helper.c - the one thread beside a ring that grows and zero-fills files.
 *
 * fallocate, writes into fresh ranges and their sync block for milliseconds up to seconds; the
 * shard's thread must not. Jobs go over and come back through two SPSC rings; an eventfd wakes each
 * side. The helper never sees memory of the store. With simulated files there is no thread: a job
 * is done when it is posted, because a simulation must not depend on a scheduler.
 *
 * Thread: open, post, reap and close the ring's owner; `run` the helper's own.
 */
#define _GNU_SOURCE
#include "engine/base/assert.h"
#include "engine/base/memory.h"
#include "engine/base/spsc_ring.h"
#include "io/ring/ring_private.h"
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct mr_ring_helper {
    mr_io io;
    mr_arena *arena;
    mr_spsc_ring *posted, *done;
    int wake_descriptor, done_descriptor; /* eventfds; -1 = jobs run in the caller. */
    pthread_t thread;
    _Atomic int stop;
    bool is_started; /* The thread starts with the first job: many rings never have one. */
};

static void *run(void *argument);
static mr_io_completion perform(const mr_io *io, const mr_file_job *job);
static void ring_bell(int descriptor);
static void clear_bell(int descriptor);

mr_status mr_ring_helper_open(mr_ring_helper **helper, const mr_io *io, mr_diag *diag)
{
    mr_arena *arena = mr_arena_create(mr_memory_system(), 64 << 10, "ring helper");
    mr_ring_helper *opened = arena == NULL ? NULL : mr_arena_take(arena, sizeof(*opened));
    if (opened == NULL) {
        mr_arena_destroy(arena);
        return mr_diag_set(diag, MR_ERR_MEMORY, 0, "no memory for the ring's helper");
    }
    opened->io = *io;
    opened->arena = arena;
    opened->wake_descriptor = opened->done_descriptor = -1;
    atomic_init(&opened->stop, 0);
    opened->posted = mr_spsc_ring_create(arena, MR_FILE_JOBS_MAX, sizeof(mr_file_job));
    opened->done = mr_spsc_ring_create(arena, MR_FILE_JOBS_MAX, sizeof(mr_io_completion));
    *helper = opened;
    if (opened->posted == NULL || opened->done == NULL) {
        return mr_diag_set(diag, MR_ERR_MEMORY, 0, "no memory for the ring's helper");
    }
    if (!io->files_at_once) {
        opened->wake_descriptor = eventfd(0, EFD_CLOEXEC);
        opened->done_descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (opened->wake_descriptor < 0 || opened->done_descriptor < 0) {
            return mr_diag_set(diag, MR_ERR_IO, 0,
                               "E_STATE_IO: no eventfd (errno %d): raise the limit of open files",
                               errno);
        }
    }
    return MR_OK;
}

void mr_ring_helper_close(mr_ring_helper *helper)
{
    if (helper == NULL) {
        return;
    }
    if (helper->is_started) {
        atomic_store_explicit(&helper->stop, 1, memory_order_release);
        ring_bell(helper->wake_descriptor);
        const int error = pthread_join(helper->thread, NULL);
        MR_ASSERT(error == 0);
    }
    if (helper->wake_descriptor >= 0) {
        (void)close(helper->wake_descriptor);
    }
    if (helper->done_descriptor >= 0) {
        (void)close(helper->done_descriptor);
    }
    mr_arena_destroy(helper->arena);
}

int mr_ring_helper_descriptor(const mr_ring_helper *helper)
{
    return helper->done_descriptor;
}

void mr_ring_helper_post(mr_ring_helper *helper, const mr_file_job *job)
{
    bool pushed = true;

    if (!helper->io.files_at_once && !helper->is_started) {
        helper->is_started = pthread_create(&helper->thread, NULL, run, helper) == 0;
    }
    if (helper->is_started) {
        pushed = mr_spsc_ring_push(helper->posted, job);
        ring_bell(helper->wake_descriptor);
    } else { /* Simulated, or the system has no thread for us: blocking is better than not going on.
              */
        const mr_io_completion completion = perform(&helper->io, job);
        pushed = mr_spsc_ring_push(helper->done, &completion);
        if (helper->done_descriptor >= 0) {
            ring_bell(helper->done_descriptor);
        }
    }
    MR_ASSERT(pushed);
}

bool mr_ring_helper_reap(mr_ring_helper *helper, mr_io_completion *completion)
{
    return mr_spsc_ring_pop(helper->done, completion);
}

void mr_ring_helper_clear(mr_ring_helper *helper)
{
    clear_bell(helper->done_descriptor);
}

/* ---- The helper's thread ---- */

static void *run(void *argument)
{
    mr_ring_helper *helper = argument;
    mr_file_job job;

    while (atomic_load_explicit(&helper->stop, memory_order_acquire) == 0) {
        if (!mr_spsc_ring_pop(helper->posted, &job)) {
            clear_bell(helper->wake_descriptor); /* Blocks until something is posted. */
            continue;
        }
        const mr_io_completion completion = perform(&helper->io, &job);
        const bool pushed = mr_spsc_ring_push(helper->done, &completion);
        MR_ASSERT(pushed);
        ring_bell(helper->done_descriptor);
    }
    return NULL;
}

static mr_io_completion perform(const mr_io *io, const mr_file_job *job)
{
    mr_status status =
        io->files->reserve(io->files_self, job->descriptor, job->offset, job->size_bytes);
    if (status == MR_OK) {
        status =
            io->files->zero_fill(io->files_self, job->descriptor, job->offset, job->size_bytes);
    }
    const int32_t error = status == MR_OK ? 0 : status == MR_ERR_FULL ? ENOSPC : EIO;
    return (mr_io_completion){.tag = job->tag, .error = error};
}

static void ring_bell(int descriptor)
{
    const uint64_t one = 1;

    /* An eventfd takes eight bytes or, at 2^64 - 2, none; both leave it readable. */
    if (write(descriptor, &one, sizeof(one)) < 0) {
        MR_ASSERT(errno == EAGAIN);
    }
}

static void clear_bell(int descriptor)
{
    uint64_t count;

    if (read(descriptor, &count, sizeof(count)) < 0) {
        MR_ASSERT(errno == EAGAIN || errno == EINTR);
    }
}
