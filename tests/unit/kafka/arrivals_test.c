/*
 * arrivals_test.c - marks of queues that have filled, and that no wake-up is lost: threads fill
 * queues while a shard empties them and sleeps.
 *
 * ALSO: tsan
 */
#include "io/kafka/kafka_private.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    FILLERS = 2,
    QUEUES = 2 * FILLERS,
    ROUNDS = 20000,
    AT_ONCE = 2,    /* Of one look; more than that stays in the queue. */
    LOST_MS = 20000 /* Nobody sleeps as long as all do their work. */
};

typedef struct queue { /* As one of librdkafka: it tells under its lock, when it was empty. */
    pthread_mutex_t lock;
    uint32_t count;
} queue;

typedef struct world {
    mr_arena *arena;
    mr_arrivals arrivals;
    int bell;
    queue queues[QUEUES];
    _Atomic uint64_t emptied[FILLERS]; /* Rounds of a filler of which nothing is left. */
} world;

static world open_world(void)
{
    world w = {.arena = mr_arena_create(mr_memory_system(), 65536, "test"),
               .bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};

    assert_true(w.arena != NULL && w.bell >= 0);
    for (uint32_t i = 0; i < QUEUES; i++) {
        assert_int_equal(pthread_mutex_init(&w.queues[i].lock, NULL), 0);
    }
    return w;
}

static void close_world(world *w)
{
    for (uint32_t i = 0; i < QUEUES; i++) {
        pthread_mutex_destroy(&w->queues[i].lock);
    }
    close(w->bell);
    mr_arena_destroy(w->arena);
}

static bool has_rung(const world *w)
{
    uint64_t count = 0;
    return read(w->bell, &count, sizeof(count)) == sizeof(count);
}

static void test_marks(void **state)
{
    world w = open_world();
    mr_arrivals *a = &w.arrivals;

    (void)state;
    assert_int_equal(mr_arrivals_open(a, QUEUES, w.bell, w.arena), MR_OK);
    mr_arrivals_turn(a, 1);
    assert_false(mr_arrivals_take(a, 3));
    mr_arrivals_tell(a, 3);
    assert_false(has_rung(&w)); /* Nobody sleeps. */
    assert_false(mr_arrivals_take(a, 2));
    assert_true(mr_arrivals_take(a, 3));
    assert_false(mr_arrivals_take(a, 3));
    mr_arrivals_keep(a, 3);
    assert_true(mr_arrivals_take(a, 3));
    close_world(&w);
}

static void test_sleep(void **state)
{
    world w = open_world();
    mr_arrivals *a = &w.arrivals;

    (void)state;
    assert_int_equal(mr_arrivals_open(a, QUEUES, w.bell, w.arena), MR_OK);
    mr_arrivals_turn(a, 1);
    mr_arrivals_tell(a, 1);
    assert_false(mr_arrivals_may_sleep(a)); /* It came in this turn. */
    mr_arrivals_tell(a, 1);
    assert_false(has_rung(&w));
    mr_arrivals_turn(a, 1);
    assert_true(mr_arrivals_may_sleep(a)); /* A mark that the turn passed over is no reason. */
    mr_arrivals_tell(a, 2);
    assert_true(has_rung(&w));
    mr_arrivals_tell(a, 0);
    assert_false(has_rung(&w)); /* Once a sleep. */
    close_world(&w);
}

/* A call that never came. */
static void test_once_a_second_all_count(void **state)
{
    world w = open_world();
    mr_arrivals *a = &w.arrivals;

    (void)state;
    assert_int_equal(mr_arrivals_open(a, QUEUES, w.bell, w.arena), MR_OK);
    mr_arrivals_turn(a, 500000);
    assert_false(mr_arrivals_take(a, 2));
    mr_arrivals_turn(a, 1000000);
    for (uint32_t i = 0; i < QUEUES; i++) {
        assert_true(mr_arrivals_take(a, i));
    }
    mr_arrivals_turn(a, 1999999);
    assert_false(mr_arrivals_take(a, 2));
    assert_true(mr_arrivals_may_sleep(a));
    close_world(&w);
}

typedef struct filler {
    world *w;
    uint32_t number;
} filler;

/* A round fills one of its queues and waits until all is gone. */
static void *fill(void *argument)
{
    const filler *f = argument;
    world *w = f->w;

    for (uint64_t round = 1; round <= ROUNDS; round++) {
        const uint32_t own = 2 * f->number + (uint32_t)(round % 2);
        for (uint32_t i = 0; i < 1 + round % 4; i++) {
            queue *q = &w->queues[own];
            pthread_mutex_lock(&q->lock);
            if (q->count++ == 0) {
                mr_arrivals_tell(&w->arrivals, own);
            }
            pthread_mutex_unlock(&q->lock);
        }
        while (atomic_load(&w->emptied[f->number]) < round) {
            sched_yield();
        }
    }
    return NULL;
}

/* What one look at a queue brings; at the end of a round its filler is told. */
static uint32_t look(world *w, uint32_t index, uint32_t *left)
{
    queue *q = &w->queues[index];

    if (!mr_arrivals_take(&w->arrivals, index)) {
        return 0;
    }
    pthread_mutex_lock(&q->lock);
    const uint32_t count = q->count < AT_ONCE ? q->count : AT_ONCE;
    q->count -= count;
    pthread_mutex_unlock(&q->lock);
    if (count == AT_ONCE) {
        mr_arrivals_keep(&w->arrivals, index);
    }
    *left -= count;
    return count;
}

static void test_no_wake_up_is_lost(void **state)
{
    world w = open_world();
    pthread_t threads[FILLERS];
    filler fillers[FILLERS];
    uint64_t rounds[FILLERS] = {0};
    uint32_t left[FILLERS];

    (void)state;
    assert_int_equal(mr_arrivals_open(&w.arrivals, QUEUES, w.bell, w.arena), MR_OK);
    for (uint32_t i = 0; i < FILLERS; i++) {
        fillers[i] = (filler){.w = &w, .number = i};
        left[i] = 1 + 1 % 4;
        assert_int_equal(pthread_create(&threads[i], NULL, fill, &fillers[i]), 0);
    }
    while (rounds[0] < ROUNDS || rounds[1] < ROUNDS) {
        uint32_t found = 0;
        mr_arrivals_turn(&w.arrivals, 1);
        for (uint32_t i = 0; i < QUEUES; i++) {
            const uint32_t f = i / 2;
            found += look(&w, i, &left[f]);
            if (left[f] == 0) {
                rounds[f]++;
                left[f] = 1 + (uint32_t)((rounds[f] + 1) % 4);
                atomic_store(&w.emptied[f], rounds[f]);
            }
        }
        if (found == 0 && mr_arrivals_may_sleep(&w.arrivals)) {
            struct pollfd wait = {.fd = w.bell, .events = POLLIN};
            const int rung = poll(&wait, 1, LOST_MS);
            MR_ASSERT(rung == 1); /* Else the threads would run on without this stack. */
            (void)has_rung(&w);
        }
    }
    for (uint32_t i = 0; i < FILLERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_marks),
        cmocka_unit_test(test_sleep),
        cmocka_unit_test(test_once_a_second_all_count),
        cmocka_unit_test(test_no_wake_up_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
