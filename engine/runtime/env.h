/*
 * env.h - the seams: everything nondeterministic enters a shard through these tables, so that a
 * whole worker can run in one thread from a seed. Called a batch at a time, so their price is
 * noise. Thread: the owning shard's.
 */
#ifndef MR_RUNTIME_ENV_H
#define MR_RUNTIME_ENV_H

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/memory.h"
#include "io/kafka/kafka.h"
#include "io/ring/ring.h"

typedef struct mr_env {
    mr_clock clock;
    mr_random random;
    mr_memory memory;
    mr_io io;       /* raw NULL: no state on disk (a plan without Kafka). */
    mr_kafka kafka; /* type NULL: a plan without Kafka. */
    mr_log *log;
    int wake_descriptor; /* Eventfd that ends the shard's sleep. */
    struct {             /* The one thing that sleeps: worker.c, or a simulator. */
        /* Reads `descriptor` empty. */
        void (*drain)(void *self, int descriptor);
        /* Without a ring: until one of the descriptors is readable, or `timeout_us`. */
        void (*wait)(void *self, const int *descriptors, uint32_t count, int64_t timeout_us);
        void *self;
    } sleep;
} mr_env;

#endif
