/* pace_test.c - output of an epoch follows what was committed lately. */
#include "engine/runtime/runtime_private.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define MIB (UINT64_C(1) << 20)

enum { INTERVAL_US = 100000 };

static void test_nothing_measured_is_no_limit(void **state)
{
    (void)state;
    const mr_pace pace = {.next = 0};
    assert_true(mr_pace_limit(&pace, INTERVAL_US) == UINT64_MAX);
}

/* An epoch of 40 MiB that took 400 ms: one interval commits 10 MiB. */
static void test_a_long_flush_makes_the_next_epochs_shorter(void **state)
{
    (void)state;
    mr_pace pace = {.next = 0};
    mr_pace_note(&pace, 40 * MIB, 1000, 401000);
    const uint64_t limit = mr_pace_limit(&pace, INTERVAL_US);
    assert_true(limit > 12 * MIB && limit <= 13 * MIB);
}

/* The successor was open while its predecessor was committed: its time begins behind that. */
static void test_time_is_not_counted_twice(void **state)
{
    (void)state;
    mr_pace pace = {.next = 0};
    mr_pace_note(&pace, 4 * MIB, 1000, 101000);
    mr_pace_note(&pace, 20 * MIB, 2000, 201000);
    const uint64_t limit = mr_pace_limit(&pace, INTERVAL_US);
    assert_true(limit > 24 * MIB && limit <= 25 * MIB);
}

static void test_a_quiet_moment_leaves_room(void **state)
{
    (void)state;
    mr_pace pace = {.next = 0};
    int64_t now_us = 1000;
    for (uint32_t i = 0; i < 2 * MR_PACE_EPOCHS; i++) {
        mr_pace_note(&pace, 100, now_us, now_us + INTERVAL_US);
        now_us += INTERVAL_US;
    }
    assert_int_equal(mr_pace_limit(&pace, INTERVAL_US), MIB);
    mr_pace_note(&pace, 100, now_us, now_us); /* No time passed. */
    assert_true(mr_pace_limit(&pace, INTERVAL_US) > MIB);
}

static void test_the_best_of_the_last_epochs_counts(void **state)
{
    (void)state;
    mr_pace pace = {.next = 0};
    int64_t now_us = 1000;
    mr_pace_note(&pace, 10 * MIB, now_us, now_us + INTERVAL_US);
    for (uint32_t i = 1; i < MR_PACE_EPOCHS; i++) {
        now_us += INTERVAL_US;
        mr_pace_note(&pace, 100, now_us, now_us + INTERVAL_US);
    }
    assert_true(mr_pace_limit(&pace, INTERVAL_US) > 12 * MIB);
    now_us += INTERVAL_US;
    mr_pace_note(&pace, 100, now_us, now_us + INTERVAL_US);
    assert_int_equal(mr_pace_limit(&pace, INTERVAL_US), MIB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_measured_is_no_limit),
        cmocka_unit_test(test_a_long_flush_makes_the_next_epochs_shorter),
        cmocka_unit_test(test_time_is_not_counted_twice),
        cmocka_unit_test(test_a_quiet_moment_leaves_room),
        cmocka_unit_test(test_the_best_of_the_last_epochs_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
