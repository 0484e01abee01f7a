/*
 * memory.c - the system's memory behind the memory seam.
 *
 * Up to 256 KiB comes from malloc, aligned to a cache line and zeroed here. Larger pieces are
 * mapped: the kernel zeroes a page when it is first touched, so room that is planned for the worst
 * case costs nothing until it is used. Above 2 MiB they begin at a 2 MiB boundary, so that the
 * kernel can back them by huge pages: the random accesses of a hash table then miss the TLB far
 * less. The only file that calls malloc and free.
 */
#define _GNU_SOURCE
#include "engine/base/memory.h"
#include "engine/base/assert.h"
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    LINE_BYTES = 64,
    MAP_BYTES = 256 << 10,
    HUGE_BYTES = 2 << 20,
    KEPT_PIECE_BYTES = 32 << 20, /* glibc takes no larger threshold. */
    KEPT_BYTES = 128 << 20,
    HEAP_BYTES = 64 << 20 /* Of glibc's heaps, of which a thread's arena has one or more. */
};

static void *acquire(void *self, size_t size_bytes, const char *purpose);
static void release(void *self, void *memory, size_t size_bytes);
static void *map_huge(size_t size_bytes);
static void *map(size_t size_bytes);
static void unmap(void *memory, size_t size_bytes);

mr_memory mr_memory_system(void)
{
    static const mr_memory_type type = {.acquire = acquire, .release = release};

    return (mr_memory){.type = &type, .self = NULL};
}

void mr_memory_keep_freed(void)
{
    (void)mallopt(M_MMAP_THRESHOLD, KEPT_PIECE_BYTES);
    (void)mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
    /* A heap goes whole when it is empty, whatever the threshold, unless the heap before it has
     * less room than this: none has more. */
    (void)mallopt(M_TOP_PAD, HEAP_BYTES);
}

static void *acquire(void *self, size_t size_bytes, const char *purpose)
{
    (void)self;
    MR_ASSERT(size_bytes > 0 && purpose != NULL);
    if (size_bytes > SIZE_MAX / 2) {
        return NULL;
    }
    if (size_bytes > MAP_BYTES) {
        return size_bytes > HUGE_BYTES ? map_huge(size_bytes) : map(size_bytes);
    }
    const size_t rounded = (size_bytes + LINE_BYTES - 1) / LINE_BYTES * LINE_BYTES;
    void *memory = aligned_alloc(LINE_BYTES, rounded);
    if (memory != NULL) {
        memset(memory, 0, rounded);
    }
    return memory;
}

static void release(void *self, void *memory, size_t size_bytes)
{
    (void)self;
    MR_ASSERT(memory != NULL && size_bytes > 0);
    if (size_bytes > MAP_BYTES) {
        unmap(memory, size_bytes);
    } else {
        free(memory);
    }
}

/* Maps 2 MiB too much and gives the ends back. */
static void *map_huge(size_t size_bytes)
{
    const size_t page_bytes = 4096;
    const size_t kept = (size_bytes + page_bytes - 1) / page_bytes * page_bytes;
    uint8_t *mapped = map(kept + HUGE_BYTES);

    if (mapped == NULL) {
        return NULL;
    }
    const size_t front = (HUGE_BYTES - (uintptr_t)mapped % HUGE_BYTES) % HUGE_BYTES;
    if (front > 0) {
        unmap(mapped, front);
    }
    unmap(mapped + front + kept, HUGE_BYTES - front);
    /* Advice only: without huge pages all works, slower. */
    (void)madvise(mapped + front, kept, MADV_HUGEPAGE);
    MR_ASSERT((uintptr_t)(mapped + front) % HUGE_BYTES == 0);
    return mapped + front;
}

static void *map(size_t size_bytes)
{
    void *mapped =
        mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return mapped == MAP_FAILED ? NULL : mapped;
}

static void unmap(void *memory, size_t size_bytes)
{
    const int error = munmap(memory, size_bytes);

    MR_ASSERT(error == 0);
}
