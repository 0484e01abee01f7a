/*
 * watchdog.c - whether a shard turns its loop.
 *
 * A shard wakes ten times a second even when it is idle. One that stands all the same - a sink
 * whose reader stands, a disk that answers no call, much state being loaded - would be a silence;
 * it is told once, and once when it turns again. Time in which the process itself was stopped does
 * not count. A commit that hangs is watched by the client (io/kafka/kafka_client.c). Thread:
 * control.
 */
#include "engine/runtime/runtime_private.h"

enum {
    STANDS_US = 10000000,
    GAP_US_MAX = 1000000 /* A longer gap between two looks is our own absence. */
};

mr_watch_word mr_watchdog_look(mr_watchdog *dog, uint64_t turns, int64_t now_us)
{
    const int64_t gap_us = dog->looked_us == 0 ? 0 : now_us - dog->looked_us;
    mr_watch_word word = MR_WATCH_NOTHING;

    dog->looked_us = now_us;
    if (turns != dog->turns) {
        word = dog->is_told ? MR_WATCH_TURNS : MR_WATCH_NOTHING;
        *dog = (mr_watchdog){.turns = turns, .looked_us = now_us};
        return word;
    }
    dog->still_us += gap_us < GAP_US_MAX ? gap_us : GAP_US_MAX;
    if (dog->still_us >= STANDS_US && !dog->is_told) {
        dog->is_told = true;
        word = MR_WATCH_STANDS;
    }
    return word;
}
