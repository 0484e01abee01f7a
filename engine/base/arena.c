/*
 * arena.c - bump allocation in blocks, up to a limit.
 *
 * Blocks grow from 64 KiB to 4 MiB, so that a small arena is small and a large one has few blocks;
 * a request that is large beside a block gets one of its own, and the open block stays in use. The
 * limit counts the bytes of blocks, not of requests: it is what the process pays. An arena whose
 * limit is at most 64 KiB is one block from the first take on, so exact sizes can be planned.
 */
#include "engine/base/arena.h"
#include "engine/base/assert.h"
#include <stdalign.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum {
    ALIGNMENT_MIN = 16,
    ALIGNMENT_MAX = 4096,
    BLOCK_BYTES_FIRST = 64 << 10,
    BLOCK_BYTES_MAX = 4 << 20
};

typedef struct block {
    alignas(64) struct block *next;
    size_t size_bytes; /* Of `bytes`. */
    size_t used_bytes;
    alignas(64) uint8_t bytes[];
} block;

struct mr_arena {
    mr_memory memory;
    const char *purpose;
    block *open;  /* Head of the list: takes come from here. */
    block *first; /* Survives a reset. */
    size_t size_max_bytes, acquired_bytes, used_bytes;
    size_t block_bytes; /* Of the next shared block. */
    bool sealed;
};

static void *take_from(mr_arena *arena, block *from, size_t size_bytes, size_t alignment);
static block *add_block(mr_arena *arena, size_t size_bytes);
static void release_block(mr_arena *arena, block *victim);

mr_arena *mr_arena_create(mr_memory memory, size_t size_max_bytes, const char *purpose)
{
    MR_ASSERT(memory.type != NULL && size_max_bytes > 0 && purpose != NULL);
    mr_arena *arena = memory.type->acquire(memory.self, sizeof(*arena), purpose);
    if (arena == NULL) {
        return NULL;
    }
    *arena = (mr_arena){
        .memory = memory,
        .purpose = purpose,
        .size_max_bytes = size_max_bytes,
        .block_bytes = BLOCK_BYTES_FIRST,
    };
    return arena;
}

void mr_arena_destroy(mr_arena *arena)
{
    if (arena == NULL) {
        return;
    }
    while (arena->open != NULL) {
        block *victim = arena->open;
        arena->open = victim->next;
        release_block(arena, victim);
    }
    MR_ASSERT(arena->acquired_bytes == 0);
    arena->memory.type->release(arena->memory.self, arena, sizeof(*arena));
}

void *mr_arena_take(mr_arena *arena, size_t size_bytes)
{
    return mr_arena_take_aligned(arena, size_bytes, ALIGNMENT_MIN);
}

void *mr_arena_take_aligned(mr_arena *arena, size_t size_bytes, size_t alignment)
{
    MR_ASSERT(arena != NULL && !arena->sealed);
    MR_ASSERT(alignment > 0 && (alignment & (alignment - 1)) == 0 && alignment <= ALIGNMENT_MAX);
    if (alignment < ALIGNMENT_MIN) {
        alignment = ALIGNMENT_MIN;
    }
    if (size_bytes == 0) {
        size_bytes = 1; /* Every take has an address of its own. */
    }
    if (size_bytes > arena->size_max_bytes) {
        return NULL;
    }
    if (arena->open != NULL) {
        void *memory = take_from(arena, arena->open, size_bytes, alignment);
        if (memory != NULL) {
            return memory;
        }
    }
    /* A block's bytes are aligned to 64. */
    const size_t needed = size_bytes + (alignment > 64 ? alignment : 0);
    block *fresh = add_block(arena, needed);
    return fresh == NULL ? NULL : take_from(arena, fresh, size_bytes, alignment);
}

void *mr_arena_take_array(mr_arena *arena, size_t count, size_t size_bytes)
{
    size_t total = 0;

    if (__builtin_mul_overflow(count, size_bytes, &total)) {
        return NULL;
    }
    return mr_arena_take(arena, total);
}

char *mr_arena_copy(mr_arena *arena, const char *text, size_t size_bytes)
{
    MR_ASSERT(text != NULL || size_bytes == 0);
    if (size_bytes == SIZE_MAX) {
        return NULL;
    }
    char *copy = mr_arena_take(arena, size_bytes + 1);
    if (copy != NULL && size_bytes > 0) {
        memcpy(copy, text, size_bytes);
    }
    return copy;
}

char *mr_arena_print(mr_arena *arena, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    const int size = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    MR_ASSERT(size >= 0);
    char *text = mr_arena_take(arena, (size_t)size + 1);
    if (text != NULL) {
        va_start(arguments, format);
        const int printed = vsnprintf(text, (size_t)size + 1, format, arguments);
        va_end(arguments);
        MR_ASSERT(printed == size);
    }
    return text;
}

void mr_arena_reset(mr_arena *arena)
{
    MR_ASSERT(arena != NULL);
    while (arena->open != NULL) {
        block *victim = arena->open;
        arena->open = victim->next;
        if (victim != arena->first) {
            release_block(arena, victim);
        }
    }
    if (arena->first != NULL) {
        memset(arena->first->bytes, 0, arena->first->used_bytes);
        arena->first->used_bytes = 0;
        arena->first->next = NULL;
        arena->open = arena->first;
    }
    arena->used_bytes = 0;
    arena->block_bytes = BLOCK_BYTES_FIRST;
    arena->sealed = false;
}

void mr_arena_seal(mr_arena *arena)
{
    MR_ASSERT(arena != NULL);
    arena->sealed = true;
}

size_t mr_arena_used_bytes(const mr_arena *arena)
{
    MR_ASSERT(arena != NULL);
    return arena->used_bytes;
}

/* NULL = does not fit this block. */
static void *take_from(mr_arena *arena, block *from, size_t size_bytes, size_t alignment)
{
    const uintptr_t at = (uintptr_t)(from->bytes + from->used_bytes);
    const size_t padding = (alignment - at % alignment) % alignment;
    const size_t room = from->size_bytes - from->used_bytes;

    MR_ASSERT(from->used_bytes <= from->size_bytes);
    if (padding > room || size_bytes > room - padding) {
        return NULL;
    }
    uint8_t *memory = from->bytes + from->used_bytes + padding;
    from->used_bytes += padding + size_bytes;
    arena->used_bytes += padding + size_bytes;
    return memory;
}

/* A block with room for `size_bytes`; NULL = limit or no memory. */
static block *add_block(mr_arena *arena, size_t size_bytes)
{
    const size_t left = arena->size_max_bytes - arena->acquired_bytes;
    size_t block_bytes = arena->block_bytes < left ? arena->block_bytes : left;
    const bool is_own = arena->open != NULL && size_bytes > block_bytes / 4;

    if (size_bytes > left) {
        return NULL;
    }
    if (is_own || block_bytes < size_bytes) {
        block_bytes = size_bytes;
    }
    block *fresh = arena->memory.type->acquire(arena->memory.self, sizeof(block) + block_bytes,
                                               arena->purpose);
    if (fresh == NULL) {
        return NULL;
    }
    fresh->size_bytes = block_bytes;
    fresh->used_bytes = 0;
    arena->acquired_bytes += block_bytes;
    if (is_own) {
        fresh->next = arena->open->next;
        arena->open->next = fresh;
        return fresh;
    }
    fresh->next = arena->open;
    arena->open = fresh;
    if (arena->first == NULL) {
        arena->first = fresh;
    }
    if (arena->block_bytes < BLOCK_BYTES_MAX) {
        arena->block_bytes *= 2;
    }
    return fresh;
}

static void release_block(mr_arena *arena, block *victim)
{
    MR_ASSERT(arena->acquired_bytes >= victim->size_bytes);
    arena->acquired_bytes -= victim->size_bytes;
    arena->memory.type->release(arena->memory.self, victim, sizeof(block) + victim->size_bytes);
}
