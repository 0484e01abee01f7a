/*
 * dlq_limit_test.c - `stop_above`: what counts, for how long, and what an abort takes back.
 */
#include "engine/runtime/runtime_private.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { PER_US = 6400000, SLOT_US = PER_US / 64 };

static mr_dlq_limit limit_of(uint64_t records)
{
    return (mr_dlq_limit){.records = records, .per_us = PER_US};
}

static void test_one_more_than_the_limit(void **state)
{
    mr_dlq_limit limit = limit_of(3);

    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        assert_false(mr_dlq_limit_note(&limit, 1, 1000));
    }
    assert_true(mr_dlq_limit_note(&limit, 1, 1000));
}

static void test_over_many_epochs(void **state)
{
    mr_dlq_limit limit = limit_of(20);

    (void)state;
    for (uint64_t epoch = 1; epoch <= 20; epoch++) {
        assert_false(mr_dlq_limit_note(&limit, epoch, (int64_t)epoch * 1000));
    }
    assert_true(mr_dlq_limit_note(&limit, 21, 21000));
}

static void test_what_is_older_than_the_window_is_forgotten(void **state)
{
    mr_dlq_limit limit = limit_of(2);

    (void)state;
    for (uint64_t epoch = 1; epoch < 1000; epoch++) { /* Never three within the window. */
        assert_false(mr_dlq_limit_note(&limit, epoch, (int64_t)epoch * PER_US / 2));
    }
    /* Two are 63 and 31 slots old, the third makes too many. */
    assert_false(mr_dlq_limit_note(&limit, 2000, (int64_t)9000 * PER_US));
    assert_false(mr_dlq_limit_note(&limit, 2010, (int64_t)9000 * PER_US + (int64_t)32 * SLOT_US));
    assert_true(mr_dlq_limit_note(&limit, 2020, (int64_t)9000 * PER_US + (int64_t)63 * SLOT_US));
}

static void test_an_old_epoch_does_not_count_for_ever(void **state)
{
    mr_dlq_limit limit = limit_of(1);

    (void)state;
    assert_false(mr_dlq_limit_note(&limit, 1, 1000));
    assert_false(mr_dlq_limit_note(&limit, 100, (int64_t)3 * PER_US));
    assert_true(mr_dlq_limit_note(&limit, 101, (int64_t)3 * PER_US + 1));
}

static void test_a_dropped_epoch_is_counted_once(void **state)
{
    mr_dlq_limit limit = limit_of(4);

    (void)state;
    assert_false(mr_dlq_limit_note(&limit, 7, 1000));
    for (uint32_t round = 0; round < 50; round++) { /* 8 is undecided, 9 open; both are redone. */
        assert_false(mr_dlq_limit_note(&limit, 8, 2000));
        assert_false(mr_dlq_limit_note(&limit, 9, 3000));
        mr_dlq_limit_recovered(&limit, 7);
    }
    assert_false(mr_dlq_limit_note(&limit, 8, 2000));
    assert_false(mr_dlq_limit_note(&limit, 8, 2000));
    mr_dlq_limit_recovered(&limit, 8); /* This time it was committed. */
    assert_false(mr_dlq_limit_note(&limit, 9, 3000));
    assert_true(mr_dlq_limit_note(&limit, 9, 3000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_more_than_the_limit),
        cmocka_unit_test(test_over_many_epochs),
        cmocka_unit_test(test_what_is_older_than_the_window_is_forgotten),
        cmocka_unit_test(test_an_old_epoch_does_not_count_for_ever),
        cmocka_unit_test(test_a_dropped_epoch_is_counted_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
