/*
 * pace.c - how much output an epoch may hold.
 *
 * While an epoch is being committed its successor goes on, and under saturation it would fill the
 * whole arena; its own commit then lasts as long as flushing an arena does, and readers wait that
 * long. So an epoch may hold a quarter more than was committed in one interval lately, and a commit
 * lasts about as long as the interval. The best of the last epochs counts: small epochs of a quiet
 * moment say nothing about what the brokers take. Thread: the shard's.
 */
#include "engine/runtime/runtime_private.h"

enum { LIMIT_BYTES_MIN = 1 << 20, SECOND_US = 1000000 };

void mr_pace_note(mr_pace *pace, uint64_t bytes, int64_t opened_us, int64_t now_us)
{
    const int64_t from_us = opened_us > pace->committed_us ? opened_us : pace->committed_us;
    const uint64_t took_us = now_us > from_us ? (uint64_t)(now_us - from_us) : 1;

    pace->bytes_per_second[pace->next] = bytes * SECOND_US / took_us;
    pace->next = (pace->next + 1) % MR_PACE_EPOCHS;
    pace->committed_us = now_us;
}

uint64_t mr_pace_limit(const mr_pace *pace, int64_t interval_us)
{
    uint64_t best = 0;

    MR_ASSERT(interval_us > 0);
    for (uint32_t i = 0; i < MR_PACE_EPOCHS; i++) {
        best = pace->bytes_per_second[i] > best ? pace->bytes_per_second[i] : best;
    }
    if (best == 0) {
        return UINT64_MAX;
    }
    const uint64_t limit = best / 4 * 5 / SECOND_US * (uint64_t)interval_us;
    return limit > LIMIT_BYTES_MIN ? limit : LIMIT_BYTES_MIN;
}
