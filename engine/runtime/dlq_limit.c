/*
 * dlq_limit.c - `stop_above` of a dlq: how many dead letters the last `per` has seen.
 *
 * Only what is committed counts for good: letters of an epoch that is redone would else be counted
 * twice. So the open and the undecided epoch have counts of their own, which become part of the
 * window two epochs later, or go with the epoch when a recovery drops it. The window is kept in
 * slots of a 64th of `per`. Each shard counts for itself. Limits: MR_DLQ_SLOTS slots,
 * MR_DLQ_EPOCHS epochs. Thread: the shard's.
 */
#include "engine/runtime/runtime_private.h"
#include <string.h>

static void fold(mr_dlq_limit *limit, uint64_t epoch_max);
static void add_to_window(mr_dlq_limit *limit, int64_t at_us, uint64_t count);
static int64_t slot_of(const mr_dlq_limit *limit, int64_t at_us);
static uint64_t total(const mr_dlq_limit *limit, int64_t now_us);

bool mr_dlq_limit_note(mr_dlq_limit *limit, uint64_t epoch, int64_t now_us)
{
    uint32_t at = 0;

    MR_ASSERT(limit->records > 0 && limit->per_us >= MR_DLQ_SLOTS && now_us >= 0);
    if (epoch >= 2) {
        fold(limit, epoch - 2); /* At most one is undecided: that one and older are committed. */
    }
    while (at < limit->epoch_count && limit->epochs[at].epoch != epoch) {
        at++;
    }
    if (at == limit->epoch_count) {
        MR_ASSERT(limit->epoch_count < MR_DLQ_EPOCHS);
        limit->epochs[limit->epoch_count++] =
            (mr_dlq_epoch){.epoch = epoch, .first_us = now_us, .count = 0};
    }
    limit->epochs[at].count++;
    return total(limit, now_us) > limit->records;
}

void mr_dlq_limit_recovered(mr_dlq_limit *limit, uint64_t epoch)
{
    fold(limit, epoch);
    limit->epoch_count = 0; /* The others are redone, and counted then. */
}

/* ---- Helpers ---- */

/* Epochs up to this one are committed. */
static void fold(mr_dlq_limit *limit, uint64_t epoch_max)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < limit->epoch_count; i++) {
        const mr_dlq_epoch counted = limit->epochs[i];
        if (counted.epoch <= epoch_max) {
            add_to_window(limit, counted.first_us, counted.count);
        } else {
            limit->epochs[kept++] = counted;
        }
    }
    limit->epoch_count = kept;
}

static void add_to_window(mr_dlq_limit *limit, int64_t at_us, uint64_t count)
{
    const int64_t slot = slot_of(limit, at_us);
    const uint32_t index = (uint32_t)(slot % MR_DLQ_SLOTS);

    if (limit->slots[index] > slot) {
        return; /* Older than the window. */
    }
    if (limit->slots[index] < slot) {
        limit->slots[index] = slot;
        limit->counts[index] = 0;
    }
    limit->counts[index] += count;
}

static int64_t slot_of(const mr_dlq_limit *limit, int64_t at_us)
{
    return at_us / (limit->per_us / MR_DLQ_SLOTS);
}

static uint64_t total(const mr_dlq_limit *limit, int64_t now_us)
{
    const int64_t newest = slot_of(limit, now_us);
    uint64_t sum = 0;

    for (uint32_t i = 0; i < MR_DLQ_SLOTS; i++) {
        sum += limit->slots[i] > newest - MR_DLQ_SLOTS ? limit->counts[i] : 0;
    }
    for (uint32_t i = 0; i < limit->epoch_count; i++) {
        sum += limit->epochs[i].count;
    }
    return sum;
}
