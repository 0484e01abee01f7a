/*
 * arrivals.c - which partition queues have filled, so that a turn asks only those.
 *
 * A queue of librdkafka calls back when it was empty and is not any more, in the thread that filled
 * it, under the queue's lock; so nothing of librdkafka may be called here. The shard clears a mark
 * before it reads the queue and sets it again when it did not read all: what comes between is
 * marked by its own call, at worst once too often.
 *
 * Once a second all queues count as filled, so that a call that some release of librdkafka leaves
 * out costs a second, not a partition that stands still for ever.
 *
 * The eventfd is written only for a shard that sleeps, or is about to: it says so first, and then
 * asks whether anything came since its last turn began. Whoever comes after that finds it asleep;
 * both sides are sequentially consistent, so at least one sees the other.
 */
#include "io/kafka/kafka_private.h"
#include <errno.h>
#include <unistd.h>

enum { LOOK_US = 1000000 };

typedef struct mr_arrival {
    _Atomic bool has_come;
    mr_arrivals *all;
} mr_arrival;

static void has_filled(rd_kafka_t *client, void *opaque);

mr_status mr_arrivals_open(mr_arrivals *arrivals, uint32_t input_max, int wake_descriptor,
                           mr_arena *arena)
{
    arrivals->inputs = mr_arena_take_array(arena, input_max, sizeof(mr_arrival));
    if (arrivals->inputs == NULL) {
        return MR_ERR_MEMORY;
    }
    arrivals->input_max = input_max;
    arrivals->wake_descriptor = wake_descriptor;
    for (uint32_t i = 0; i < input_max; i++) {
        arrivals->inputs[i].all = arrivals;
    }
    return MR_OK;
}

void mr_arrivals_watch(mr_arrivals *arrivals, uint32_t input, rd_kafka_queue_t *queue)
{
    MR_ASSERT(input < arrivals->input_max);
    rd_kafka_queue_cb_event_enable(queue, has_filled, &arrivals->inputs[input]);
    mr_arrivals_tell(arrivals, input); /* What lay in it before. */
}

void mr_arrivals_forget(rd_kafka_queue_t *queue)
{
    rd_kafka_queue_cb_event_enable(queue, NULL, NULL);
}

void mr_arrivals_tell(mr_arrivals *arrivals, uint32_t input)
{
    static const uint64_t one = 1;

    MR_ASSERT(input < arrivals->input_max);
    atomic_store_explicit(&arrivals->inputs[input].has_come, true, memory_order_release);
    atomic_fetch_add_explicit(&arrivals->told, 1, memory_order_seq_cst);
    if (atomic_exchange_explicit(&arrivals->is_asleep, false, memory_order_seq_cst)) {
        const ssize_t written = write(arrivals->wake_descriptor, &one, sizeof(one));
        MR_ASSERT(written == sizeof(one) || errno == EAGAIN); /* Full: it is readable. */
    }
}

void mr_arrivals_turn(mr_arrivals *arrivals, int64_t now_us)
{
    atomic_store_explicit(&arrivals->is_asleep, false, memory_order_relaxed);
    arrivals->seen = atomic_load_explicit(&arrivals->told, memory_order_seq_cst);
    if (now_us - arrivals->looked_us < LOOK_US) {
        return;
    }
    arrivals->looked_us = now_us;
    for (uint32_t i = 0; i < arrivals->input_max; i++) {
        mr_arrivals_keep(arrivals, i);
    }
}

bool mr_arrivals_take(mr_arrivals *arrivals, uint32_t input)
{
    _Atomic bool *has_come = &arrivals->inputs[input].has_come;

    MR_ASSERT(input < arrivals->input_max);
    if (!atomic_load_explicit(has_come, memory_order_acquire)) {
        return false;
    }
    atomic_store_explicit(has_come, false, memory_order_relaxed); /* Before the queue's lock. */
    return true;
}

void mr_arrivals_keep(mr_arrivals *arrivals, uint32_t input)
{
    MR_ASSERT(input < arrivals->input_max);
    atomic_store_explicit(&arrivals->inputs[input].has_come, true, memory_order_relaxed);
}

bool mr_arrivals_may_sleep(mr_arrivals *arrivals)
{
    atomic_store_explicit(&arrivals->is_asleep, true, memory_order_seq_cst);
    if (atomic_load_explicit(&arrivals->told, memory_order_seq_cst) == arrivals->seen) {
        return true;
    }
    atomic_store_explicit(&arrivals->is_asleep, false, memory_order_relaxed);
    return false;
}

/* ---- Helpers ---- */

static void has_filled(rd_kafka_t *client, void *opaque)
{
    mr_arrival *arrival = opaque;

    (void)client;
    mr_arrivals_tell(arrival->all, (uint32_t)(arrival - arrival->all->inputs));
}
