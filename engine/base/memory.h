/*
 * memory.h - the memory seam: where all memory of the engine comes from, in the OPEN phase only.
 * Thread: any, if the implementation is (the system one is).
 */
#ifndef MR_BASE_MEMORY_H
#define MR_BASE_MEMORY_H

#include <stddef.h>

typedef struct mr_memory_type {
    /* Zeroed memory aligned to 64 bytes (to 2 MiB above 2 MiB), or NULL. `purpose` for messages. */
    void *(*acquire)(void *self, size_t size_bytes, const char *purpose);
    void (*release)(void *self, void *memory, size_t size_bytes);
} mr_memory_type;

typedef struct mr_memory {
    const mr_memory_type *type;
    void *self;
} mr_memory;

/* The system's memory: small sizes by malloc, large ones mapped. */
mr_memory mr_memory_system(void);

#endif
