/*
 * spsc_ring_test.c - order, full and empty, and two threads that count.
 *
 * ALSO: tsan
 */
#include "engine/base/spsc_ring.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>

enum { COUNT = 200000 };

static void test_full_and_empty(void **state)
{
    mr_arena *arena = mr_arena_create(mr_memory_system(), 65536, "test");
    mr_spsc_ring *ring = mr_spsc_ring_create(arena, 4, sizeof(uint32_t));
    uint32_t value = 0;

    (void)state;
    assert_false(mr_spsc_ring_pop(ring, &value));
    for (uint32_t round = 0; round < 10; round++) {
        for (uint32_t i = 0; i < 4; i++) {
            assert_true(mr_spsc_ring_push(ring, &(uint32_t){10 * round + i}));
            assert_int_equal(mr_spsc_ring_count(ring), i + 1);
        }
        assert_false(mr_spsc_ring_push(ring, &value));
        for (uint32_t i = 0; i < 4; i++) {
            assert_true(mr_spsc_ring_pop(ring, &value));
            assert_int_equal(value, 10 * round + i);
        }
        assert_false(mr_spsc_ring_pop(ring, &value));
        assert_int_equal(mr_spsc_ring_count(ring), 0);
    }
    mr_arena_destroy(arena);
}

typedef struct pair {
    uint64_t number, square;
} pair;

static void *produce(void *argument)
{
    mr_spsc_ring *ring = argument;

    for (uint64_t i = 0; i < COUNT; i++) {
        const pair element = {i, i * i};
        while (!mr_spsc_ring_push(ring, &element)) {
            (void)sched_yield();
        }
    }
    return NULL;
}

static void test_two_threads(void **state)
{
    mr_arena *arena = mr_arena_create(mr_memory_system(), 65536, "test");
    mr_spsc_ring *ring = mr_spsc_ring_create(arena, 64, sizeof(pair));
    pthread_t producer;

    (void)state;
    assert_int_equal(pthread_create(&producer, NULL, produce, ring), 0);
    for (uint64_t i = 0; i < COUNT; i++) {
        pair element = {0};
        while (!mr_spsc_ring_pop(ring, &element)) {
            (void)sched_yield();
        }
        assert_true(element.number == i && element.square == i * i);
    }
    assert_int_equal(pthread_join(producer, NULL), 0);
    mr_arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full_and_empty),
        cmocka_unit_test(test_two_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
