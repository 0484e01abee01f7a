/*
 * faulty.h - a memory and a back-end that fail at their n-th use, put between the store and what it
 * would have used. Both are seams that the store is handed, so nothing of this is in the product.
 *
 * The simulated disk has faults of its own (a failed sync there loses data); here a request took
 * effect and is told to have failed, finds no space, or stays short however often it is repeated.
 * The memory also counts, so that a test knows to the byte what a store holds.
 */
#ifndef MR_TESTS_STATE_FAULTY_H
#define MR_TESTS_STATE_FAULTY_H

#include "engine/base/hash.h"
#include "engine/base/memory.h"
#include "io/ring/ring.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

typedef enum faulty_kind {
    FAULTY_NONE,
    FAULTY_MEMORY,     /* The n-th acquire gives NULL. */
    FAULTY_ERROR,      /* The n-th request or file call: EIO, although it was done. */
    FAULTY_SPACE,      /* The n-th write, sync or file call: ENOSPC. */
    FAULTY_SHORT,      /* The n-th read or write is short, and so is every repetition. */
    FAULTY_SHORT_ONCE, /* Is short once. */
    FAULTY_FLIP,       /* The n-th read gives one bit turned; a second time it does not. */
    FAULTY_KINDS
} faulty_kind;

enum { FAULTY_SLOTS = 1 << 16 };

typedef struct faulty {
    faulty_kind kind;
    uint64_t at; /* Which use from now on; 1 = the next. */
    bool was_hit;
    mr_memory memory;                                  /* The real one. */
    uint64_t acquired_bytes, peak_bytes, window_count; /* window: to read log or base. */
    mr_io io;                                          /* The real one. */
    mr_io_op ops[FAULTY_SLOTS];
    uint8_t *buffers[FAULTY_SLOTS];
    uint64_t op_counts[MR_IO_SYNC + 1]; /* Completions since the fault was armed, repeated ones */
    uint64_t room_count;                /* too; and calls that ask for room in a file. */
    uint32_t short_slot;                /* Of the request that stays short; FAULTY_SLOTS = none. */
} faulty;

static inline void faulty_arm(faulty *f, faulty_kind kind, uint64_t at)
{
    f->kind = kind;
    f->at = at;
    f->was_hit = false;
    memset(f->op_counts, 0, sizeof(f->op_counts));
    f->room_count = 0;
    f->short_slot = FAULTY_SLOTS;
}

static inline bool faulty_strikes(faulty *f)
{
    if (f->at == 0 || --f->at > 0) {
        return false;
    }
    f->was_hit = true;
    return true;
}

/* ---- Memory ---- */

static inline void *faulty_acquire(void *self, size_t size_bytes, const char *purpose)
{
    faulty *f = self;
    if (f->kind == FAULTY_MEMORY && faulty_strikes(f)) {
        return NULL;
    }
    void *memory = f->memory.type->acquire(f->memory.self, size_bytes, purpose);
    assert_non_null(memory);
    f->window_count += strstr(purpose, "window") != NULL;
    f->acquired_bytes += size_bytes;
    f->peak_bytes = f->acquired_bytes > f->peak_bytes ? f->acquired_bytes : f->peak_bytes;
    return memory;
}

static inline void faulty_release(void *self, void *memory, size_t size_bytes)
{
    faulty *f = self;
    assert_true(f->acquired_bytes >= size_bytes);
    f->acquired_bytes -= size_bytes;
    f->memory.type->release(f->memory.self, memory, size_bytes);
}

static inline mr_memory faulty_memory(faulty *f)
{
    static const mr_memory_type type = {.acquire = faulty_acquire, .release = faulty_release};
    f->memory = mr_memory_system();
    return (mr_memory){.type = &type, .self = f};
}

/* ---- Requests ---- */

static inline mr_status faulty_probe(void *self, const char *directory, mr_diag *diag)
{
    faulty *f = self;
    return f->io.raw->probe(f->io.raw_self, directory, diag);
}

static inline mr_status faulty_attach(void *self, int descriptor, int32_t *file)
{
    faulty *f = self;
    return f->io.raw->attach(f->io.raw_self, descriptor, file);
}

static inline void faulty_detach(void *self, int32_t file)
{
    faulty *f = self;
    f->io.raw->detach(f->io.raw_self, file);
}

static inline uint32_t faulty_queue(void *self, const mr_io_request *requests, uint32_t count)
{
    faulty *f = self;
    for (uint32_t i = 0; i < count; i++) {
        f->ops[requests[i].tag % FAULTY_SLOTS] = requests[i].op;
        f->buffers[requests[i].tag % FAULTY_SLOTS] = requests[i].buffer;
    }
    return f->io.raw->queue(f->io.raw_self, requests, count);
}

static inline mr_status faulty_flush(void *self)
{
    faulty *f = self;
    return f->io.raw->flush(f->io.raw_self);
}

static inline mr_status faulty_watch(void *self, int descriptor, uint64_t tag)
{
    faulty *f = self;
    return f->io.raw->watch(f->io.raw_self, descriptor, tag);
}

static inline int64_t faulty_result(faulty *f, mr_io_op op, uint32_t slot, int64_t result)
{
    const bool is_transfer = op != MR_IO_SYNC && result > 0;
    switch (f->kind) {
    case FAULTY_ERROR:
        return faulty_strikes(f) ? -EIO : result;
    case FAULTY_SPACE:
        return op != MR_IO_READ && faulty_strikes(f) ? -ENOSPC : result;
    case FAULTY_SHORT:
    case FAULTY_SHORT_ONCE:
        if (is_transfer && faulty_strikes(f)) {
            f->short_slot = f->kind == FAULTY_SHORT ? slot : FAULTY_SLOTS;
            return result / 2;
        }
        return is_transfer && slot == f->short_slot ? result / 2 : result;
    case FAULTY_FLIP:
        if (op == MR_IO_READ && result > 0 && faulty_strikes(f)) {
            const uint64_t bit = mr_hash64(&f->op_counts, sizeof(f->op_counts), slot);
            f->buffers[slot][bit % (uint64_t)result] ^= (uint8_t)(1u << (bit >> 32) % 8);
        }
        return result;
    case FAULTY_NONE:
    case FAULTY_MEMORY:
    case FAULTY_KINDS:
        break;
    }
    return result;
}

static inline uint32_t faulty_reap(void *self, mr_io_raw_completion *completions,
                                   uint32_t count_max)
{
    faulty *f = self;
    const uint32_t count = f->io.raw->reap(f->io.raw_self, completions, count_max);
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t slot = (uint32_t)(completions[i].tag % FAULTY_SLOTS);
        f->op_counts[f->ops[slot]]++;
        completions[i].result = faulty_result(f, f->ops[slot], slot, completions[i].result);
    }
    return count;
}

static inline void faulty_wait(void *self, uint32_t completion_count_min, int64_t timeout_us)
{
    faulty *f = self;
    f->io.raw->wait(f->io.raw_self, completion_count_min, timeout_us);
}

static inline void faulty_raw_close(void *self)
{
    faulty *f = self;
    f->io.raw->close(f->io.raw_self);
}

/* ---- File calls ---- */

static inline mr_status faulty_call(faulty *f, mr_status status)
{
    if (status == MR_OK && (f->kind == FAULTY_ERROR || f->kind == FAULTY_SPACE) &&
        faulty_strikes(f)) {
        return f->kind == FAULTY_SPACE ? MR_ERR_FULL : MR_ERR_IO;
    }
    return status;
}

static inline mr_status faulty_open(void *self, const char *path, uint32_t flags, int *descriptor,
                                    uint64_t *size_bytes, mr_diag *diag)
{
    faulty *f = self;
    if (faulty_call(f, MR_OK) != MR_OK) {
        return mr_diag_set(diag, MR_ERR_REFUSED, 0, "E_STATE_IO: %s: cannot be opened", path);
    }
    return f->io.files->open(f->io.files_self, path, flags, descriptor, size_bytes, diag);
}

static inline mr_status faulty_reserve(void *self, int descriptor, uint64_t offset,
                                       uint64_t size_bytes)
{
    faulty *f = self;
    f->room_count++;
    return faulty_call(f, f->io.files->reserve(f->io.files_self, descriptor, offset, size_bytes));
}

static inline mr_status faulty_zero_fill(void *self, int descriptor, uint64_t offset,
                                         uint64_t size_bytes)
{
    faulty *f = self;
    f->room_count++;
    return faulty_call(f, f->io.files->zero_fill(f->io.files_self, descriptor, offset, size_bytes));
}

static inline mr_status faulty_shrink(void *self, int descriptor, uint64_t size_bytes)
{
    faulty *f = self;
    return faulty_call(f, f->io.files->shrink(f->io.files_self, descriptor, size_bytes));
}

static inline void faulty_close(void *self, int descriptor)
{
    faulty *f = self;
    f->io.files->close(f->io.files_self, descriptor);
}

static inline mr_io faulty_io(void *self, const mr_io *io)
{
    static const mr_io_raw_type raw = {.name = "faulty",
                                       .probe = faulty_probe,
                                       .attach = faulty_attach,
                                       .detach = faulty_detach,
                                       .queue = faulty_queue,
                                       .flush = faulty_flush,
                                       .watch = faulty_watch,
                                       .reap = faulty_reap,
                                       .wait = faulty_wait,
                                       .close = faulty_raw_close};
    static const mr_file_type files = {.open = faulty_open,
                                       .reserve = faulty_reserve,
                                       .zero_fill = faulty_zero_fill,
                                       .shrink = faulty_shrink,
                                       .close = faulty_close};
    faulty *f = self;
    f->io = *io;
    return (mr_io){.raw = &raw,
                   .files = &files,
                   .raw_self = f,
                   .files_self = f,
                   .files_at_once = io->files_at_once};
}

#endif
