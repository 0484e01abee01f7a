/*
 * spsc_ring.h - a ring of fixed-size elements between exactly one producing and one consuming
 * thread. Elements are copied in and out; capacity is a power of two. No lock, never blocks; wake
 * the other side by an eventfd of your own. Orders: release on publish, acquire on take.
 */
#ifndef MR_BASE_SPSC_RING_H
#define MR_BASE_SPSC_RING_H

#include "engine/base/arena.h"
#include <stdbool.h>
#include <stdint.h>

typedef struct mr_spsc_ring mr_spsc_ring;

/* NULL = no memory. Lives as long as the arena. */
mr_spsc_ring *mr_spsc_ring_create(mr_arena *arena, uint32_t capacity, uint32_t element_bytes);
/* Producer: false = full. */
bool mr_spsc_ring_push(mr_spsc_ring *ring, const void *element);
/* Consumer: false = empty. */
bool mr_spsc_ring_pop(mr_spsc_ring *ring, void *element);
/* Consumer: elements waiting; producer: at most so many. */
uint32_t mr_spsc_ring_count(const mr_spsc_ring *ring);

#endif
