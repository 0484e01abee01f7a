/*
 * counters.h - numbers with one writing thread, read relaxed by others. Thread: one writer.
 */
#ifndef MR_BASE_COUNTERS_H
#define MR_BASE_COUNTERS_H

#include <stdatomic.h>
#include <stdint.h>

typedef struct mr_counter {
    _Atomic uint64_t value;
} mr_counter;

static inline void mr_counter_add(mr_counter *counter, uint64_t count)
{
    const uint64_t value = atomic_load_explicit(&counter->value, memory_order_relaxed);
    atomic_store_explicit(&counter->value, value + count, memory_order_relaxed);
}

static inline void mr_counter_set(mr_counter *counter, uint64_t value)
{
    atomic_store_explicit(&counter->value, value, memory_order_relaxed);
}

static inline uint64_t mr_counter_read(const mr_counter *counter)
{
    return atomic_load_explicit(&counter->value, memory_order_relaxed);
}

#endif
