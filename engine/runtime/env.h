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

enum { MR_MARK_PRINTS = 2000 };

typedef struct mr_mark { /* What outlives the process of a shard's attempts; attempt.c. */
    /* Of where each input stood when the attempt began: its topic, partition and committed offset,
     * in the order of the shard's inputs; 0 = none. */
    uint16_t prints[MR_MARK_PRINTS];
    uint32_t failures; /* Attempts that failed there before it. */
    uint32_t limit;    /* Records of an epoch; 0 = as many as usual. */
    /* The suspect: records of one input that an epoch of their own holds, or held when it failed.
     */
    uint64_t topic; /* Hash of its name. */
    uint32_t partition;
    int64_t offset, end;       /* The first one, and the offset behind the last one. */
    uint32_t suspect_failures; /* Of the record at `offset` alone, with a limit of one. */
    uint32_t in_a_row;         /* Records convicted since the last one that passed. */
    uint32_t reason;           /* mr_status of the last failure; MR_OK = the process died. */
    bool is_open;              /* Nobody wrote how the attempt ended. */
    bool has_suspect;
    bool is_tried;     /* The suspect's epoch is under way. */
    bool is_convicted; /* The record at `offset`. */
} mr_mark;

typedef struct mr_env {
    mr_clock clock;
    mr_random random;
    mr_memory memory;
    mr_io io;       /* raw NULL: no state on disk (a plan without Kafka). */
    mr_kafka kafka; /* type NULL: a plan without Kafka. */
    mr_log *log;
    struct { /* Where the mark is kept; write NULL: nowhere, and nothing is counted. */
        mr_status (*write)(void *self, const mr_mark *mark, mr_diag *diag); /* Durable then. */
        void *self;
    } marks;
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
