/*
 * ring_threads.c - the raw back-end that runs everywhere: a pool of threads with pread and pwrite.
 *
 * For kernels and containers without io_uring, and for filesystems without O_DIRECT. One mutex
 * guards two queues; a completion rings an eventfd, on which the shard waits together with its
 * watches. Dearer in CPU time than io_uring, equal in what reaches the disk.
 *
 * Limits: MR_RING_DEPTH_MAX requests, THREADS at a time. Thread: the owner calls the type's
 * functions; `work` runs in the pool.
 */
#define _GNU_SOURCE
#include "engine/base/assert.h"
#include "engine/base/memory.h"
#include "io/ring/ring_private.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

enum { THREADS = 8 };

typedef struct queue {
    mr_io_request requests[MR_RING_DEPTH_MAX];
    uint32_t from, count;
} queue;

typedef struct pool {
    pthread_t threads[THREADS];
    pthread_mutex_t mutex; /* Over all down to `stop`. */
    pthread_cond_t work;
    queue queued;
    mr_io_raw_completion done[MR_RING_DEPTH_MAX];
    uint32_t done_count, in_flight;
    bool stop;
    int files[MR_RING_FILES_MAX]; /* Written by the owner while nothing of the file is in flight. */
    bool files_used[MR_RING_FILES_MAX];
    struct pollfd watched[MR_RING_WATCHES_MAX + 1]; /* [0]: the bell of completions. */
    uint64_t watch_tags[MR_RING_WATCHES_MAX + 1];
    uint32_t watch_count, thread_count;
} pool;

static mr_status threads_probe(void *self, const char *directory, mr_diag *diag);
static mr_status threads_attach(void *self, int descriptor, int32_t *file);
static void threads_detach(void *self, int32_t file);
static uint32_t threads_queue(void *self, const mr_io_request *requests, uint32_t count);
static mr_status threads_flush(void *self);
static mr_status threads_watch(void *self, int descriptor, uint64_t tag);
static uint32_t threads_reap(void *self, mr_io_raw_completion *completions, uint32_t count_max);
static void threads_wait(void *self, uint32_t completion_count_min, int64_t timeout_us);
static void threads_close(void *self);
static void *work(void *argument);
static int64_t perform(const pool *threads, const mr_io_request *request);
static mr_status refuse(pool *threads, mr_diag *diag, int error);

static const mr_io_raw_type threads_type = {.name = "threads",
                                            .probe = threads_probe,
                                            .attach = threads_attach,
                                            .detach = threads_detach,
                                            .queue = threads_queue,
                                            .flush = threads_flush,
                                            .watch = threads_watch,
                                            .reap = threads_reap,
                                            .wait = threads_wait,
                                            .close = threads_close};

mr_status mr_ring_threads_open(mr_io *io, mr_diag *diag)
{
    const mr_memory memory = mr_memory_system();
    pool *threads = memory.type->acquire(memory.self, sizeof(*threads), "I/O threads");

    if (threads == NULL) {
        return mr_diag_set(diag, MR_ERR_MEMORY, 0, "no memory for I/O threads");
    }
    int error = pthread_mutex_init(&threads->mutex, NULL);
    MR_ASSERT(error == 0);
    error = pthread_cond_init(&threads->work, NULL);
    MR_ASSERT(error == 0);
    threads->watched[0] =
        (struct pollfd){.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .events = POLLIN};
    if (threads->watched[0].fd < 0) {
        return refuse(threads, diag, errno);
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        error = pthread_create(&threads->threads[i], NULL, work, threads);
        if (error != 0) {
            return refuse(threads, diag, error);
        }
        threads->thread_count++;
    }
    io->raw = &threads_type;
    io->raw_self = threads;
    return MR_OK;
}

/* ---- The type's functions ---- */

static mr_status threads_probe(void *self, const char *directory, mr_diag *diag)
{
    return mr_ring_probe(&threads_type, self, directory, false, diag);
}

static mr_status threads_attach(void *self, int descriptor, int32_t *file)
{
    pool *threads = self;

    for (int32_t i = 0; i < MR_RING_FILES_MAX; i++) {
        if (!threads->files_used[i]) {
            threads->files_used[i] = true;
            threads->files[i] = descriptor;
            *file = i;
            return MR_OK;
        }
    }
    return MR_ERR_LIMIT;
}

static void threads_detach(void *self, int32_t file)
{
    pool *threads = self;

    MR_ASSERT(file >= 0 && file < MR_RING_FILES_MAX && threads->files_used[file]);
    threads->files_used[file] = false;
}

static uint32_t threads_queue(void *self, const mr_io_request *requests, uint32_t count)
{
    pool *threads = self;
    uint32_t taken = 0;

    (void)pthread_mutex_lock(&threads->mutex);
    for (; taken < count && threads->in_flight < MR_RING_DEPTH_MAX; taken++) {
        MR_ASSERT(threads->files_used[requests[taken].file]);
        queue *queued = &threads->queued;
        queued->requests[(queued->from + queued->count) % MR_RING_DEPTH_MAX] = requests[taken];
        queued->count++;
        threads->in_flight++;
    }
    (void)pthread_mutex_unlock(&threads->mutex);
    return taken;
}

static mr_status threads_flush(void *self)
{
    pool *threads = self;

    (void)pthread_cond_broadcast(&threads->work);
    return MR_OK;
}

static mr_status threads_watch(void *self, int descriptor, uint64_t tag)
{
    pool *threads = self;

    MR_ASSERT((tag & MR_RING_WATCH_BIT) != 0);
    if (threads->watch_count == MR_RING_WATCHES_MAX) {
        return MR_ERR_LIMIT;
    }
    threads->watch_count++;
    threads->watched[threads->watch_count] = (struct pollfd){.fd = descriptor, .events = POLLIN};
    threads->watch_tags[threads->watch_count] = tag;
    return MR_OK;
}

static uint32_t threads_reap(void *self, mr_io_raw_completion *completions, uint32_t count_max)
{
    pool *threads = self;
    uint32_t count = 0;

    (void)pthread_mutex_lock(&threads->mutex);
    for (; count < count_max && threads->done_count > 0; count++) {
        completions[count] = threads->done[--threads->done_count];
        threads->in_flight--;
    }
    (void)pthread_mutex_unlock(&threads->mutex);
    /* A level that a former wait or a look saw; told once, until the next look. */
    for (uint32_t i = 1; i <= threads->watch_count && count < count_max; i++) {
        if (threads->watched[i].revents != 0) {
            threads->watched[i].revents = 0;
            completions[count++] = (mr_io_raw_completion){.tag = threads->watch_tags[i]};
        }
    }
    return count;
}

static void threads_wait(void *self, uint32_t completion_count_min, int64_t timeout_us)
{
    pool *threads = self;
    const struct timespec time = {.tv_sec = timeout_us / 1000000,
                                  .tv_nsec = timeout_us % 1000000 * 1000};
    uint64_t bells;

    (void)completion_count_min; /* One suffices: the caller asks again. */
    (void)pthread_mutex_lock(&threads->mutex);
    const bool is_done = threads->done_count > 0;
    (void)pthread_mutex_unlock(&threads->mutex);
    const struct timespec none = {0};
    if (ppoll(threads->watched, threads->watch_count + 1, is_done ? &none : &time, NULL) > 0 &&
        threads->watched[0].revents != 0 &&
        read(threads->watched[0].fd, &bells, sizeof(bells)) < 0) {
        MR_ASSERT(errno == EAGAIN || errno == EINTR);
    }
}

static void threads_close(void *self)
{
    const mr_memory memory = mr_memory_system();
    pool *threads = self;

    (void)pthread_mutex_lock(&threads->mutex);
    threads->stop = true;
    (void)pthread_mutex_unlock(&threads->mutex);
    (void)pthread_cond_broadcast(&threads->work);
    for (uint32_t i = 0; i < threads->thread_count; i++) {
        const int error = pthread_join(threads->threads[i], NULL);
        MR_ASSERT(error == 0);
    }
    if (threads->watched[0].fd >= 0) {
        (void)close(threads->watched[0].fd);
    }
    (void)pthread_cond_destroy(&threads->work);
    (void)pthread_mutex_destroy(&threads->mutex);
    memory.type->release(memory.self, threads, sizeof(*threads));
}

/* ---- The pool ---- */

/* Queued requests are done before a stop: their buffers are freed after close. */
static void *work(void *argument)
{
    const uint64_t one = 1;
    pool *threads = argument;

    (void)pthread_mutex_lock(&threads->mutex);
    for (;;) {
        while (threads->queued.count == 0 && !threads->stop) {
            (void)pthread_cond_wait(&threads->work, &threads->mutex);
        }
        if (threads->queued.count == 0) {
            break;
        }
        const mr_io_request request = threads->queued.requests[threads->queued.from];
        threads->queued.from = (threads->queued.from + 1) % MR_RING_DEPTH_MAX;
        threads->queued.count--;
        (void)pthread_mutex_unlock(&threads->mutex);
        const int64_t result = perform(threads, &request);
        (void)pthread_mutex_lock(&threads->mutex);
        MR_ASSERT(threads->done_count < MR_RING_DEPTH_MAX);
        threads->done[threads->done_count++] =
            (mr_io_raw_completion){.tag = request.tag, .result = result};
        if (write(threads->watched[0].fd, &one, sizeof(one)) < 0) {
            MR_ASSERT(errno == EAGAIN);
        }
    }
    (void)pthread_mutex_unlock(&threads->mutex);
    return NULL;
}

static int64_t perform(const pool *threads, const mr_io_request *request)
{
    const int descriptor = threads->files[request->file];
    const struct iovec span = {.iov_base = request->buffer, .iov_len = request->size_bytes};
    int64_t result = -EINVAL;

    switch (request->op) {
    case MR_IO_READ:
        result = pread(descriptor, request->buffer, request->size_bytes, (off_t)request->offset);
        break;
    case MR_IO_WRITE:
        result = pwrite(descriptor, request->buffer, request->size_bytes, (off_t)request->offset);
        break;
    case MR_IO_WRITE_DURABLE:
        result = pwritev2(descriptor, &span, 1, (off_t)request->offset, RWF_DSYNC);
        break;
    case MR_IO_SYNC:
        result = fdatasync(descriptor);
        break;
    }
    return result < 0 ? -errno : result;
}

static mr_status refuse(pool *threads, mr_diag *diag, int error)
{
    threads_close(threads);
    return mr_diag_set(diag, MR_ERR_IO, 0,
                       "E_STATE_IO: I/O threads cannot be started (errno %d): raise the limits of "
                       "processes and open files",
                       error);
}
