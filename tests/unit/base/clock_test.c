/* clock_test.c - the system's clocks and random source, splitmix64, counters. */
#include "engine/base/clock.h"
#include "engine/base/counters.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <time.h>

static void test_clocks(void **state)
{
    const mr_clock clock = mr_clock_system();
    const time_t before = time(NULL);
    const int64_t wall_us = clock.type->wall_us(clock.self);
    int64_t last = clock.type->monotonic_us(clock.self);

    (void)state;
    assert_true(wall_us / 1000000 >= before - 1 && wall_us / 1000000 <= time(NULL) + 1);
    for (int i = 0; i < 1000; i++) {
        const int64_t now = clock.type->monotonic_us(clock.self);
        assert_true(now >= last);
        last = now;
    }
}

static void test_random(void **state)
{
    const mr_random random = mr_random_system();
    uint64_t seed = 1234567;

    (void)state;
    assert_true(random.type->next(random.self) != random.type->next(random.self));
    /* The published values of splitmix64 for this seed. */
    assert_true(mr_prng_next(&seed) == UINT64_C(6457827717110365317));
    assert_true(mr_prng_next(&seed) == UINT64_C(3203168211198807973));
    assert_true(mr_prng_next(&seed) == UINT64_C(9817491932198370423));
}

static void test_counters(void **state)
{
    mr_counter counter = {0};

    (void)state;
    mr_counter_add(&counter, 5);
    mr_counter_add(&counter, 7);
    assert_int_equal(mr_counter_read(&counter), 12);
    mr_counter_set(&counter, 3);
    assert_int_equal(mr_counter_read(&counter), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clocks),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_counters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
