/*
 * crash.h - crash points for fault tests. Builds with MR_CRASH_POINTS=1 read `MR_CRASH_AT=K7:3`
 * (SIGKILL to self at the third pass of K7) and `MR_STOP_AT=K7:3` (SIGSTOP); other builds have no
 * trace of them. `MR_CRASH_AT_RECORD=orders:3:1207,...` kills whenever one of these records was
 * read and is about to be applied. Thread: any; passes are counted with an atomic.
 */
#ifndef MR_BASE_CRASH_H
#define MR_BASE_CRASH_H

#include <stdint.h>

typedef enum mr_crash_point {
    MR_K0,   /* A fetch was taken from a queue. */
    MR_K1,   /* In the middle of applying a batch. */
    MR_K2,   /* Outputs are enqueued in the client. */
    MR_K3,   /* Deliveries of the epoch are acked by the broker. */
    MR_K4,   /* Prepare is half written. */
    MR_K5,   /* Written, not synced. */
    MR_K6,   /* The epoch is durable here. */
    MR_K7,   /* Offsets are accepted by the broker. */
    MR_K8,   /* EndTxn was sent, no reply yet. */
    MR_K9,   /* EndTxn was acked. */
    MR_K10,  /* The acknowledgement is not on disk yet. */
    MR_K11A, /* The chunks of a base are written, its manifest is not. */
    MR_K11B, /* The base is durable, nothing names it. */
    MR_K11C, /* The superblock is written, not synced. */
    MR_K11D, /* The superblock is durable, nothing is free yet. */
    MR_K12,  /* In a restore. */
    MR_K12C, /* In the claim. */
    MR_K14,  /* In the shutdown. */
    MR_CRASH_POINT_COUNT
} mr_crash_point;

#if defined(MR_CRASH_POINTS) && MR_CRASH_POINTS
void mr_crash_pass(mr_crash_point point);
/* Records `first` to `end` - 1 of the partition. */
void mr_crash_record(const char *topic, uint32_t partition, int64_t first, int64_t end);
#else
static inline void mr_crash_pass(mr_crash_point point)
{
    (void)point;
}

static inline void mr_crash_record(const char *topic, uint32_t partition, int64_t first,
                                   int64_t end)
{
    (void)topic;
    (void)partition;
    (void)first;
    (void)end;
}
#endif

#endif
