/*
 * heartbeat_test.c - a task without input commits its offset again, unchanged, once an hour.
 *
 * LINK: mr_runtime mr_state mr_kafka mr_ring mr_format mr_batch mr_base
 */
#include "tests/unit/runtime/shard_fixture.h"

enum { SECOND_US = 1000000, HOUR_S = 3600 };

static void pass_seconds(fixture *f, uint32_t seconds)
{
    const int64_t until_us = f->now_us + (int64_t)seconds * SECOND_US;
    while (f->now_us < until_us) {
        step_once(f);
    }
}

static void test_a_quiet_task_commits_once_an_hour(void **state)
{
    (void)state;
    fixture *f = fixture_with_rows(2, true, FEW_ROWS);
    open_it(f);
    drive(f, all_committed);
    pass_seconds(f, 1);
    const uint32_t commits = f->kafka.commit_count;
    const mr_offset_record before = record_of(f, TOPIC_IN, 1);
    pass_seconds(f, HOUR_S - 60);
    assert_int_equal(f->kafka.commit_count, commits);
    pass_seconds(f, 120);
    assert_int_equal(f->kafka.commit_count, commits + 1);
    assert_int_equal(f->kafka.logs[TOPIC_IN][1].committed, FEW_ROWS);
    const mr_offset_record after = record_of(f, TOPIC_IN, 1);
    assert_true(after.epoch > before.epoch);
    assert_int_equal(after.state_epoch, before.state_epoch); /* No state changed. */
    assert_int_equal(after.lineage, before.lineage);
    pass_seconds(f, 24 * HOUR_S);
    assert_int_equal(f->kafka.commit_count, commits + 1 + 24);
    check_all(f);
    free_fixture(f);
}

/* Its neighbour's epochs say nothing about a task. */
static void test_a_busy_neighbour_is_no_heartbeat(void **state)
{
    (void)state;
    fixture *f = fixture_with_rows(2, true, FEW_ROWS);
    open_it(f);
    drive(f, all_committed);
    pass_seconds(f, 1);
    const mr_offset_record before = record_of(f, TOPIC_IN, 1);
    for (uint32_t i = 0; i < 4; i++) {
        pass_seconds(f, HOUR_S / 4 + 10);
        feed(f, TOPIC_IN, 0, KEYS);
        drive(f, all_committed);
    }
    pass_seconds(f, 2);
    assert_true(record_of(f, TOPIC_IN, 1).epoch > before.epoch);
    check_all(f);
    free_fixture(f);
}

static void test_a_lost_heartbeat_is_recovered(void **state)
{
    (void)state;
    fixture *f = fixture_with_rows(2, true, FEW_ROWS);
    open_it(f);
    drive(f, all_committed);
    pass_seconds(f, 1);
    f->kafka.outcome = FAKE_UNKNOWN_COMMITTED;
    f->kafka.outcome_at = f->kafka.commit_count + 1;
    pass_seconds(f, HOUR_S + 60);
    feed(f, TOPIC_IN, 1, KEYS);
    drive(f, all_committed);
    check_all(f);
    assert_int_equal(recoveries(f), 1);
    free_fixture(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_quiet_task_commits_once_an_hour),
        cmocka_unit_test(test_a_busy_neighbour_is_no_heartbeat),
        cmocka_unit_test(test_a_lost_heartbeat_is_recovered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
