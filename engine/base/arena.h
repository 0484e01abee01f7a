/*
 * arena.h - a bump allocator with a limit, freed whole. Not for RUN: a sealed arena asserts.
 * Memory comes zeroed and aligned to 16 bytes. Thread: one owner at a time.
 */
#ifndef MR_BASE_ARENA_H
#define MR_BASE_ARENA_H

#include "engine/base/memory.h"
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

typedef struct mr_arena mr_arena;

/*
 * An arena that grows by blocks up to `size_max_bytes` in all. Returns owned; NULL = no memory.
 * `purpose` is a static text for messages.
 */
mr_arena *mr_arena_create(mr_memory memory, size_t size_max_bytes, const char *purpose);
void mr_arena_destroy(mr_arena *arena); /* NULL is allowed. */

/* Zeroed; NULL = the limit is reached or no memory. Alignment: 16, or a power of two up to 4096. */
void *mr_arena_take(mr_arena *arena, size_t size_bytes);
void *mr_arena_take_aligned(mr_arena *arena, size_t size_bytes, size_t alignment);
/* count x size_bytes, overflow tested. */
void *mr_arena_take_array(mr_arena *arena, size_t count, size_t size_bytes);
/* Copies with a final NUL. */
char *mr_arena_copy(mr_arena *arena, const char *text, size_t size_bytes);
char *mr_arena_print(mr_arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Gives everything back but the first block; memory handed out becomes invalid. */
void mr_arena_reset(mr_arena *arena);
/* After this a take is an assertion failure (RUN phase); reset opens it again. */
void mr_arena_seal(mr_arena *arena);
size_t mr_arena_used_bytes(const mr_arena *arena);

#endif
