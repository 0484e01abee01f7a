/*
 * turns.c - while one shard tries a single record, no other shard of the process works on any.
 *
 * Whoever dies takes the process with it, so a trial is worth nothing while somebody else may be
 * the one who died. A shard is busy from its first read of an epoch until nothing of it is open or
 * undecided; one that wants to try a record says so, waits until nobody is busy, and gives the turn
 * back when the epoch is committed or dropped. Both sides first write and then read (sequentially
 * consistent), so they cannot miss each other. Without a trial a batch costs one load. Thread: the
 * shards'; `mr_turns` is shared by all of a worker.
 */
#include "engine/runtime/runtime_private.h"

static uint32_t number(const mr_shard *shard);

bool mr_turn_may_read(mr_shard *shard)
{
    mr_turns *turns = shard->options.turns;

    if (turns == NULL) {
        return true;
    }
    uint32_t owner = atomic_load_explicit(&turns->owner, memory_order_seq_cst);
    if (owner == number(shard)) {
        return true;
    }
    if (owner == 0 && !shard->is_busy) {
        shard->is_busy = true;
        (void)atomic_fetch_add_explicit(&turns->busy, 1, memory_order_seq_cst);
        owner = atomic_load_explicit(&turns->owner, memory_order_seq_cst);
    }
    return owner == 0;
}

bool mr_turn_take(mr_shard *shard)
{
    mr_turns *turns = shard->options.turns;
    uint32_t owner = 0;

    if (turns == NULL) {
        return true;
    }
    mr_turn_leave(shard);
    if (!atomic_compare_exchange_strong_explicit(&turns->owner, &owner, number(shard),
                                                 memory_order_seq_cst, memory_order_seq_cst) &&
        owner != number(shard)) {
        return false;
    }
    return atomic_load_explicit(&turns->busy, memory_order_seq_cst) == 0;
}

void mr_turn_leave(mr_shard *shard)
{
    mr_turns *turns = shard->options.turns;

    if (shard->is_busy) {
        shard->is_busy = false;
        (void)atomic_fetch_sub_explicit(&turns->busy, 1, memory_order_seq_cst);
    }
}

void mr_turn_give(mr_shard *shard)
{
    mr_turns *turns = shard->options.turns;
    uint32_t owner = number(shard);

    if (turns != NULL) {
        (void)atomic_compare_exchange_strong_explicit(&turns->owner, &owner, 0,
                                                      memory_order_seq_cst, memory_order_seq_cst);
    }
}

bool mr_turn_is_wanted(const mr_shard *shard)
{
    const mr_turns *turns = shard->options.turns;

    if (turns == NULL) {
        return false;
    }
    const uint32_t owner = atomic_load_explicit(&turns->owner, memory_order_relaxed);
    return owner != 0 && owner != number(shard);
}

/* Of a shard among its worker's; 0 is nobody. */
static uint32_t number(const mr_shard *shard)
{
    return shard->options.index + 1;
}
