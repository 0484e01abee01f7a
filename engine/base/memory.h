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

/* Tells malloc to keep what threads free, pieces up to 32 MiB too (of the main thread up to 128 MiB
 * in all), rather than give it back to the kernel: librdkafka takes and frees a buffer a response
 * and an object a message, and each page that comes back costs a fault and a cleared page. What is
 * kept is bounded by librdkafka's queues, whose limits the memory plan sets. For the whole process:
 * once, at its start, before there are threads. */
void mr_memory_keep_freed(void);

#endif
