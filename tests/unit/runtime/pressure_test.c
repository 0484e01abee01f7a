/*
 * pressure_test.c - a shard whose disk, committer or client does not keep up: input waits, what it
 * holds stays within two epochs, it sleeps instead of spinning, and it goes on by itself. "Sleeps"
 * is counted in turns a second of the fake clock, so no machine is too slow for it.
 *
 * LINK: mr_runtime mr_state mr_kafka mr_ring mr_format mr_batch mr_base
 */
#define _GNU_SOURCE
#include "tests/unit/runtime/shard_fixture.h"
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    EPOCH_ROWS = 20,
    SECOND_US = 1000000,
    STALL_S = 60,
    TURNS_A_SECOND_MAX =
        30, /* A shard that sleeps wakes ten times; one that spins, 10,000 times. */
    FULL_STEPS = 20000,
    MANY_ROWS = 2499,
    MORE_ROWS = 700
};

static void drain(void *self, int descriptor)
{
    uint64_t value = 0;
    (void)self;
    (void)!read(descriptor, &value, sizeof(value));
}

/* A counter over two partitions, its state on a simulated disk with a log of 1-MiB parts. */
static fixture *fixture_on_disk(mr_sim_disk *disk)
{
    fixture *f = fixture_with_rows(2, true, ROWS);
    f->directory = "dir";
    f->env.io = mr_sim_disk_io(disk);
    f->env.wake_descriptor = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    f->env.sleep.drain = drain;
    f->kafka.fetch_rows = EPOCH_ROWS;
    f->plan.commit.records = EPOCH_ROWS;
    f->plan.commit.dirty_state_bytes = 64 << 10;
    f->plan.state.wal_max_bytes = 64 << 20;
    open_it(f);
    return f;
}

static void free_on_disk(fixture *f, mr_sim_disk *disk)
{
    const int descriptor = f->env.wake_descriptor;
    free_fixture(f);
    close(descriptor);
    mr_sim_disk_destroy(disk);
}

static uint64_t records_in(const fixture *f)
{
    return mr_counter_read(&mr_shard_read_counters(f->shard)->records_in);
}

static uint64_t committed_in(const fixture *f)
{
    return mr_counter_read(&mr_shard_read_counters(f->shard)->committed_in);
}

/* A minute passes; returns what was read in it. */
static uint64_t stall(fixture *f)
{
    const int64_t until_us = f->now_us + (int64_t)STALL_S * SECOND_US;
    const uint64_t before = records_in(f);
    uint32_t turns = 0;

    for (; f->now_us < until_us; turns++) {
        assert_true(turns < STALL_S * TURNS_A_SECOND_MAX);
        assert_false(has_failed(f));
        step_once(f);
        assert_true(mr_output_used(f->shard, 0) <= 4 << 20);
    }
    return records_in(f) - before;
}

static bool wants_space(const fixture *f)
{
    return (mr_state_demand(f->shard->state) & MR_DEMAND_SPACE) != 0;
}

static bool has_settled(const fixture *f)
{
    return f->shard->epoch.opened_us == 0 && !f->shard->undecided.is_used;
}

static void test_a_full_disk_holds_input_back(void **state)
{
    mr_sim_disk *disk = mr_sim_disk_create(1);
    fixture *f = fixture_on_disk(disk);

    (void)state;
    drive(f, is_running);
    mr_sim_disk_fault(disk, &(mr_sim_fault){.space_error_at = 1, .for_ever = true});
    drive(f, wants_space);
    drive(f, has_settled); /* What was open is committed. */
    assert_int_equal(stall(f), 0);
    assert_false(all_committed(f));
    assert_true(has_settled(f) && is_running(f));
    mr_sim_disk_fault(disk, &(mr_sim_fault){.space_error_at = 0});
    drive(f, all_committed);
    check_all(f);
    assert_int_equal(recoveries(f), 0);
    free_on_disk(f, disk);
}

/* Room for the format and no more: nothing is read, and no base can make room. */
static void test_a_disk_that_is_full_from_the_start(void **state)
{
    mr_sim_disk *disk = mr_sim_disk_create(4);
    mr_sim_disk_fault(disk, &(mr_sim_fault){.space_error_at = 4, .for_ever = true});
    fixture *f = fixture_on_disk(disk);

    (void)state;
    drive(f, wants_space);
    (void)stall(f);
    assert_true(is_running(f) && has_settled(f));
    assert_false(all_committed(f));
    mr_sim_disk_fault(disk, &(mr_sim_fault){.space_error_at = 0});
    drive(f, all_committed);
    check_all(f);
    assert_int_equal(recoveries(f), 0);
    free_on_disk(f, disk);
}

/* The pause is no state of the input alone: a stop gets through, a failure is recovered. */
static void test_a_full_disk_lets_a_stop_and_a_recovery_through(void **state)
{
    (void)state;
    for (uint32_t fails = 0; fails < 2; fails++) {
        mr_sim_disk *disk = mr_sim_disk_create(2);
        fixture *f = fixture_on_disk(disk);
        drive(f, is_running);
        mr_sim_disk_fault(disk, &(mr_sim_fault){.space_error_at = 1, .for_ever = true});
        drive(f, wants_space);
        if (fails) {
            fake_fail(&f->kafka, MR_ERR_OUTCOME_UNKNOWN, "the test says so");
            step_once(f);
            drive(f, is_running);
            assert_int_equal(recoveries(f), 1);
            drive(f, has_settled);
            (void)stall(f);
            assert_true(wants_space(f));
            mr_sim_disk_fault(disk, &(mr_sim_fault){.space_error_at = 0});
            drive(f, all_committed);
            check_all(f);
        } else {
            mr_shard_stop(f->shard);
            drive(f, is_stopped);
        }
        free_on_disk(f, disk);
    }
}

/* Every completion comes late: an epoch is read while one is prepared, and no more. */
static void test_a_slow_disk_holds_input_back(void **state)
{
    mr_sim_disk *disk = mr_sim_disk_create(3);
    fixture *f = fixture_on_disk(disk);
    uint64_t most = 0;

    (void)state;
    drive(f, is_running);
    mr_sim_disk_fault(disk, &(mr_sim_fault){.delay_max = 200});
    for (uint32_t i = 0; i < FULL_STEPS && !all_committed(f); i++) {
        step_once(f);
        assert_false(has_failed(f));
        const uint64_t held = records_in(f) - committed_in(f);
        most = held > most ? held : most;
    }
    assert_true(most > EPOCH_ROWS && most <= UINT64_C(2) * (EPOCH_ROWS + EPOCH_ROWS));
    mr_sim_disk_fault(disk, &(mr_sim_fault){.delay_max = 0});
    drive(f, all_committed);
    check_all(f);
    assert_int_equal(recoveries(f), 0);
    free_on_disk(f, disk);
}

/* The committer is in a call that does not come back for a minute. */
static void test_a_blocked_committer_holds_input_back(void **state)
{
    fixture *f = fixture_with_rows(2, true, ROWS);

    (void)state;
    open_it(f);
    drive(f, is_running);
    f->kafka.hold_commits = true;
    for (uint32_t i = 0; i < 200; i++) {
        step_once(f); /* The next epoch fills meanwhile. */
    }
    const uint64_t held = records_in(f) - committed_in(f);
    assert_int_equal(stall(f), 0);
    assert_true(held >= 1000 && held <= 1200); /* Two epochs of 500 rows, by whole batches. */
    f->kafka.hold_commits = false;
    drive(f, all_committed);
    check_all(f);
    assert_int_equal(recoveries(f), 0);
    free_fixture(f);
}

/* The client's queue is full: what is sealed waits in its arena. */
static void test_a_full_client_holds_input_back(void **state)
{
    fixture *f = fixture_with_rows(2, true, ROWS);

    (void)state;
    open_it(f);
    drive(f, is_running);
    f->kafka.full_count = UINT32_MAX;
    for (uint32_t i = 0; i < 200; i++) {
        step_once(f);
    }
    const uint64_t held = records_in(f) - committed_in(f);
    assert_int_equal(stall(f), 0);
    assert_true(held >= 1000 && held <= 1200);
    f->kafka.full_count = 0;
    drive(f, all_committed);
    check_all(f);
    assert_int_equal(recoveries(f), 0);
    free_fixture(f);
}

/* Every batch of the largest size overflows: it is tried ever less often, not behind each epoch;
 * until it has held for as long. */
static void test_batches_that_never_fit_are_tried_less_and_less(void **state)
{
    fixture *f = fixture_with_rows(3, true, MANY_ROWS);

    (void)state;
    f->kafka.fetch_rows = MR_BATCH_ROWS_MAX;
    f->sink_spec.value_bytes = 6000; /* 512 of them fit the arena, 1,024 do not. */
    open_it(f);
    drive(f, all_committed);
    check_all(f);
    const uint64_t before = recoveries(f);
    assert_in_range(before, 3, 5); /* In some 15 epochs: behind 1, 2, 4, 8 of them. */
    assert_true(f->shard->rows.wait_epochs > 1);
    f->sink_spec.value_bytes = 0;
    f->kafka.fetch_rows = EPOCH_ROWS;
    f->plan.commit.records = EPOCH_ROWS;
    for (uint32_t p = 0; p < 3; p++) {
        feed(f, TOPIC_IN, p, MORE_ROWS);
    }
    drive(f, all_committed);
    assert_int_equal(f->shard->rows_max, MR_BATCH_ROWS_MAX);
    assert_int_equal(f->shard->rows.wait_epochs, 0);
    assert_int_equal(recoveries(f), before);
    free_fixture(f);
}

/* What overflowed once is forgotten. */
static void test_batches_grow_again(void **state)
{
    fixture *f = fixture_with_rows(3, true, FAKE_RECORDS - 1);

    (void)state;
    f->kafka.fetch_rows = MR_BATCH_ROWS_MAX;
    f->sink_spec.value_bytes = 20000;
    open_it(f);
    for (uint32_t i = 0; i < FULL_STEPS && f->shard->rows_max > MR_BATCH_ROWS_MAX / 8; i++) {
        step_once(f);
    }
    f->sink_spec.value_bytes = 0;
    const uint64_t before = recoveries(f);
    drive(f, all_committed);
    check_all(f);
    assert_int_equal(f->shard->rows_max, MR_BATCH_ROWS_MAX);
    assert_int_equal(f->shard->rows.wait_epochs, 0);
    assert_int_equal(recoveries(f), before);
    free_fixture(f);
}

/* With one row a batch the epoch shrinks, and grows first. */
static void test_epochs_of_single_rows_shrink(void **state)
{
    fixture *f = fixture_with_rows(1, true, 10);
    mr_shard *shard = NULL;

    (void)state;
    open_it(f);
    shard = f->shard;
    shard->rows_max = 2;
    shard->epoch.records_in = 5;
    mr_rows_overflow(shard);
    assert_int_equal(shard->rows_max, 1);
    assert_int_equal(shard->rows.epoch_shift, 0);
    for (uint32_t i = 1; i <= 2; i++) {
        assert_true(mr_rows_can_shrink(shard));
        mr_rows_overflow(shard);
        assert_int_equal(shard->rows_max, 1);
        assert_int_equal(shard->rows.epoch_shift, i);
    }
    shard->epoch.records_in = 1; /* No epoch is smaller. */
    assert_false(mr_rows_can_shrink(shard));
    for (uint32_t i = 0; i < 100 && shard->rows.epoch_shift > 0; i++) {
        assert_int_equal(shard->rows_max, 1);
        mr_rows_committed(shard);
    }
    assert_int_equal(shard->rows.epoch_shift, 0);
    for (uint32_t i = 0; i < 100 && shard->rows_max == 1; i++) {
        mr_rows_committed(shard);
    }
    assert_int_equal(shard->rows_max, 2);
    shard->epoch.records_in = 0;
    free_fixture(f);
}

/* The records of two sources do not fit one epoch: each gets its own. */
static void test_an_epoch_of_one_record_is_of_one_source(void **state)
{
    fixture *f = make_fixture(1, true, false);

    (void)state;
    feed(f, TOPIC_IN, 0, 5);
    feed(f, TOPIC_OTHER, 0, 5);
    f->sink_spec.value_bytes = 2200000;
    open_it(f);
    for (uint32_t i = 0; i < FULL_STEPS && f->kafka.logs[TOPIC_OUT][0].count < 10; i++) {
        step_once(f);
        if (has_failed(f)) {
            fail_msg("%s", mr_shard_failure(f->shard)->text);
        }
    }
    assert_int_equal(f->kafka.logs[TOPIC_OUT][0].count, 10);
    assert_true(recoveries(f) < 30);
    free_fixture(f);
}

/* A source that has no room for a dead letter, say, behind the first record of an epoch. */
static mr_step poll_alone(void *self, mr_task *task, mr_batch *out)
{
    return task->shard->epoch.records_in > 0
               ? mr_task_fail(task, MR_ERR_OVERFLOW, "no room for a second one")
               : source_poll(self, task, out);
}

/* The record that a source fails with counts, too: it may fit an epoch of its own. */
static void test_the_second_record_fails_in_its_source(void **state)
{
    fixture *f = fixture_with_rows(1, true, 10);
    mr_source_type type = source_type;

    (void)state;
    type.poll = poll_alone;
    f->nodes[0].source = &type;
    f->plan.commit.records = UINT32_MAX;
    open_it(f);
    drive(f, all_committed);
    check_all(f);
    assert_in_range(recoveries(f), 11, 20); /* Ten until batches have one row. */
    free_fixture(f);
}

/* Both get their turn, though the first one always has records. */
static void test_epochs_of_one_record_take_turns(void **state)
{
    fixture *f = make_fixture(1, true, false);
    const fake_log *in = &f->kafka.logs[TOPIC_IN][0], *other = &f->kafka.logs[TOPIC_OTHER][0];

    (void)state;
    feed(f, TOPIC_IN, 0, 100);
    feed(f, TOPIC_OTHER, 0, 5);
    f->sink_spec.value_bytes = 2200000;
    open_it(f);
    for (uint32_t i = 0; i < FULL_STEPS && other->committed < 5; i++) {
        step_once(f);
        assert_false(has_failed(f));
    }
    assert_int_equal(other->committed, 5);
    assert_in_range(in->committed, 3, 30);
    free_fixture(f);
}

static mr_step flush_too_much(void *self, mr_task *task, mr_batch *const out[])
{
    (void)self;
    (void)out;
    return mr_task_fail(task, MR_ERR_OVERFLOW, "no room for what leaves at the end");
}

/* Also where its output leaves when the epoch closes, the record is named. */
static void test_one_record_whose_epoch_is_too_large(void **state)
{
    fixture *f = fixture_with_rows(2, true, 0);
    mr_operator_type type = counter_type;

    (void)state;
    open_it(f);
    drive(f, is_running);
    feed(f, TOPIC_IN, 1, 3);
    drive(f, all_committed);
    type.flush = flush_too_much;
    f->nodes[1].op = &type;
    feed(f, TOPIC_IN, 1, 2);
    expect_failure(f, "E_OUTPUT_TOO_LARGE: in-1@3: ");
    free_fixture(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_full_disk_holds_input_back),
        cmocka_unit_test(test_a_disk_that_is_full_from_the_start),
        cmocka_unit_test(test_a_full_disk_lets_a_stop_and_a_recovery_through),
        cmocka_unit_test(test_a_slow_disk_holds_input_back),
        cmocka_unit_test(test_a_blocked_committer_holds_input_back),
        cmocka_unit_test(test_a_full_client_holds_input_back),
        cmocka_unit_test(test_batches_that_never_fit_are_tried_less_and_less),
        cmocka_unit_test(test_batches_grow_again),
        cmocka_unit_test(test_epochs_of_single_rows_shrink),
        cmocka_unit_test(test_an_epoch_of_one_record_is_of_one_source),
        cmocka_unit_test(test_epochs_of_one_record_take_turns),
        cmocka_unit_test(test_the_second_record_fails_in_its_source),
        cmocka_unit_test(test_one_record_whose_epoch_is_too_large)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
