/* watchdog_test.c - a shard that stands is told once, and once when it turns again. */
#include "engine/runtime/runtime_private.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { LOOK_US = 50000, LIMIT_US = 10000000 };

/* Looks for `span_us` while nothing turns; how often it stood. */
static uint32_t stand(mr_watchdog *dog, uint64_t turns, int64_t *now_us, int64_t span_us)
{
    const int64_t until_us = *now_us + span_us;
    uint32_t told = 0;
    for (; *now_us < until_us; *now_us += LOOK_US) {
        const mr_watch_word word = mr_watchdog_look(dog, turns, *now_us);
        assert_int_not_equal(word, MR_WATCH_TURNS);
        told += word == MR_WATCH_STANDS;
    }
    return told;
}

static void test_a_shard_that_stands_is_told_once(void **state)
{
    mr_watchdog dog = {.turns = 0};
    int64_t now_us = 1;

    (void)state;
    for (uint64_t turns = 1; turns < 1000; turns++, now_us += LOOK_US) {
        assert_int_equal(mr_watchdog_look(&dog, turns, now_us), MR_WATCH_NOTHING);
    }
    assert_int_equal(stand(&dog, 999, &now_us, LIMIT_US - LOOK_US), 0);
    assert_int_equal(stand(&dog, 999, &now_us, INT64_C(6) * LIMIT_US), 1);
    assert_int_equal(mr_watchdog_look(&dog, 1000, now_us), MR_WATCH_TURNS);
    assert_int_equal(mr_watchdog_look(&dog, 1001, now_us + LOOK_US), MR_WATCH_NOTHING);
    now_us += INT64_C(2) * LOOK_US;
    assert_int_equal(stand(&dog, 1001, &now_us, INT64_C(2) * LIMIT_US), 1);
}

/* SIGSTOP and SIGCONT of the process: control did not look, so it cannot blame the shard. */
static void test_our_own_absence_does_not_count(void **state)
{
    mr_watchdog dog = {.turns = 0};

    (void)state;
    assert_int_equal(mr_watchdog_look(&dog, 1, 1), MR_WATCH_NOTHING);
    assert_int_equal(mr_watchdog_look(&dog, 1, 100 * (int64_t)LIMIT_US), MR_WATCH_NOTHING);
    assert_int_equal(mr_watchdog_look(&dog, 2, 200 * (int64_t)LIMIT_US), MR_WATCH_NOTHING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_shard_that_stands_is_told_once),
                                       cmocka_unit_test(test_our_own_absence_does_not_count)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
