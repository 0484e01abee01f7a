/*
 * spsc_ring.c - one producer, one consumer, elements of a fixed size copied in and out.
 *
 * Positions only grow; they are taken modulo the capacity, and 64 bits never wrap. Each side keeps
 * the other's position as last seen, so that it reads the other's cache line only when the ring
 * looks full or empty.
 */
#include "engine/base/spsc_ring.h"
#include "engine/base/assert.h"
#include <stdalign.h>
#include <stdatomic.h>
#include <string.h>

struct mr_spsc_ring {
    uint32_t capacity, element_bytes;
    uint8_t *elements;
    alignas(64) _Atomic uint64_t pushed; /* Written by the producer. */
    uint64_t popped_seen;                /* The producer's. */
    alignas(64) _Atomic uint64_t popped; /* Written by the consumer. */
    uint64_t pushed_seen;                /* The consumer's. */
};

static uint8_t *element_at(const mr_spsc_ring *ring, uint64_t position);

mr_spsc_ring *mr_spsc_ring_create(mr_arena *arena, uint32_t capacity, uint32_t element_bytes)
{
    MR_ASSERT(capacity > 0 && (capacity & (capacity - 1)) == 0 && element_bytes > 0);
    mr_spsc_ring *ring = mr_arena_take_aligned(arena, sizeof(*ring), alignof(mr_spsc_ring));
    uint8_t *elements = mr_arena_take_array(arena, capacity, element_bytes);
    if (ring == NULL || elements == NULL) {
        return NULL;
    }
    ring->capacity = capacity;
    ring->element_bytes = element_bytes;
    ring->elements = elements;
    atomic_init(&ring->pushed, 0);
    atomic_init(&ring->popped, 0);
    return ring;
}

bool mr_spsc_ring_push(mr_spsc_ring *ring, const void *element)
{
    const uint64_t pushed = atomic_load_explicit(&ring->pushed, memory_order_relaxed);

    MR_ASSERT(element != NULL);
    if (pushed - ring->popped_seen == ring->capacity) {
        ring->popped_seen = atomic_load_explicit(&ring->popped, memory_order_acquire);
        if (pushed - ring->popped_seen == ring->capacity) {
            return false;
        }
    }
    MR_ASSERT(pushed - ring->popped_seen < ring->capacity);
    memcpy(element_at(ring, pushed), element, ring->element_bytes);
    atomic_store_explicit(&ring->pushed, pushed + 1, memory_order_release);
    return true;
}

bool mr_spsc_ring_pop(mr_spsc_ring *ring, void *element)
{
    const uint64_t popped = atomic_load_explicit(&ring->popped, memory_order_relaxed);

    MR_ASSERT(element != NULL);
    if (popped == ring->pushed_seen) {
        ring->pushed_seen = atomic_load_explicit(&ring->pushed, memory_order_acquire);
        if (popped == ring->pushed_seen) {
            return false;
        }
    }
    MR_ASSERT(popped < ring->pushed_seen);
    memcpy(element, element_at(ring, popped), ring->element_bytes);
    atomic_store_explicit(&ring->popped, popped + 1, memory_order_release);
    return true;
}

uint32_t mr_spsc_ring_count(const mr_spsc_ring *ring)
{
    /* Popped first: read the other way round, a pop in between could make the count negative. */
    const uint64_t popped = atomic_load_explicit(&ring->popped, memory_order_acquire);
    const uint64_t pushed = atomic_load_explicit(&ring->pushed, memory_order_acquire);
    const uint64_t count = pushed - popped;

    return count > ring->capacity ? ring->capacity : (uint32_t)count;
}

static uint8_t *element_at(const mr_spsc_ring *ring, uint64_t position)
{
    return ring->elements + (size_t)(position & (ring->capacity - 1)) * ring->element_bytes;
}
