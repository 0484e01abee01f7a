/*
 * shard_test.c - a shard, step by step: every row exactly once through aborts, unknown outcomes,
 * refusals, stops, bounded ends, overflows and rejected rows.
 *
 * LINK: mr_runtime mr_state mr_kafka mr_ring mr_format mr_batch mr_base
 */
#include "tests/unit/runtime/shard_fixture.h"

/* ---- Exactly once ---- */

static void test_rows_pass_once_and_offsets_are_committed(void **state)
{
    (void)state;
    fixture *f = run_through(false, FAKE_COMMITS, 0);
    for (uint32_t p = 0; p < 2; p++) {
        assert_int_equal(f->kafka.logs[TOPIC_IN][p].committed, ROWS);
        (void)record_of(f, TOPIC_IN, p);
    }
    const mr_shard_counters *counters = mr_shard_read_counters(f->shard);
    assert_int_equal(recoveries(f), 0);
    assert_int_equal(mr_counter_read(&counters->records_in), 2 * ROWS);
    drive(f, is_running);
    for (uint32_t i = 0; i < 10; i++) {
        step_once(f);
    }
    assert_int_equal(mr_counter_read(&counters->committed_in), 2 * ROWS);
    assert_true(f->kafka.commit_count >= 2 * ROWS / 1000); /* By `records`, not all in one. */
    const uint32_t commits = f->kafka.commit_count;
    for (uint32_t i = 0; i < 100; i++) {
        step_once(f);
    }
    assert_int_equal(f->kafka.commit_count, commits); /* Nothing in it: not closed. */
    free_fixture(f);
}

static void test_counts_are_exact(void **state)
{
    (void)state;
    fixture *f = run_through(true, FAKE_COMMITS, 0);
    const mr_offset_record first = record_of(f, TOPIC_IN, 0);
    assert_true(first.state_epoch > 0);
    feed(f, TOPIC_IN, 0, KEYS); /* Later rows meet the state of the first ones. */
    drive(f, all_committed);
    const fake_log *out = &f->kafka.logs[TOPIC_OUT][0];
    const uint32_t last = (ROWS - 1) % KEYS;
    char expected[FAKE_TEXT];
    snprintf(expected, sizeof(expected), "%u", (ROWS + KEYS - 1 - last) / KEYS + 1);
    assert_string_equal(out->records[out->count - KEYS + last].value, expected);
    const mr_offset_record second = record_of(f, TOPIC_IN, 0);
    assert_int_equal(first.lineage, second.lineage);
    assert_int_equal(first.incarnation, second.incarnation);
    assert_true(second.epoch > first.epoch && second.state_epoch > first.state_epoch);
    free_fixture(f);
}

/* COVERS: S11 I1 I2 */
static void test_an_aborted_epoch_is_redone(void **state)
{
    (void)state;
    for (uint32_t at = 2; at < 5; at++) {
        fixture *f = run_through(true, FAKE_ABORTS, at);
        assert_int_equal(recoveries(f), 1);
        free_fixture(f);
    }
}

static bool after_second_init(const fixture *f)
{
    return f->kafka.init_count == 2 && f->kafka.is_assigned;
}

/* Runs up to the assignment behind an unknown outcome of the second commit. */
static fixture *run_unknown(fake_outcome outcome, int64_t *before)
{
    fixture *f = fixture_with_rows(1, true, ROWS);
    f->kafka.outcome = outcome;
    f->kafka.outcome_at = 2;
    open_it(f);
    while (f->kafka.commit_count < 1) {
        step_once(f);
    }
    *before = f->kafka.logs[TOPIC_IN][0].committed;
    drive(f, after_second_init);
    return f;
}

/* COVERS: S2 I2 */
static void test_unknown_but_committed_is_not_redone(void **state)
{
    (void)state;
    int64_t before = 0;
    fixture *f = run_unknown(FAKE_UNKNOWN_COMMITTED, &before);
    assert_true(f->kafka.assigned[0] > before);
    drive(f, all_committed);
    check_all(f);
    assert_int_equal(recoveries(f), 1);
    free_fixture(f);
}

/* COVERS: S2 I1 */
static void test_unknown_and_aborted_is_redone(void **state)
{
    (void)state;
    int64_t before = 0;
    fixture *f = run_unknown(FAKE_UNKNOWN_ABORTED, &before);
    assert_int_equal(f->kafka.assigned[0], before);
    drive(f, all_committed);
    check_all(f);
    assert_int_equal(recoveries(f), 1);
    free_fixture(f);
}

static void test_a_failed_claim_is_recovered(void **state)
{
    (void)state;
    static const fake_outcome outcomes[] = {FAKE_ABORTS, FAKE_UNKNOWN_COMMITTED,
                                            FAKE_UNKNOWN_ABORTED};
    for (uint32_t i = 0; i < MR_LENGTH(outcomes); i++) {
        fixture *f = run_through(true, outcomes[i], 1);
        assert_int_equal(recoveries(f), 1);
        assert_int_equal(f->kafka.init_count, 2);
        free_fixture(f);
    }
}

/* COVERS: S6 I1 I2 */
static void test_a_failed_delivery_is_redone(void **state)
{
    (void)state;
    fixture *f = fixture_with_rows(2, true, ROWS);
    f->kafka.reject_at = 2;
    open_it(f);
    drive(f, all_committed);
    check_all(f);
    assert_int_equal(recoveries(f), 1);
    free_fixture(f);
}

static void test_a_full_queue_delays_only(void **state)
{
    (void)state;
    fixture *f = fixture_with_rows(2, true, ROWS);
    f->kafka.full_count = 50;
    open_it(f);
    drive(f, all_committed);
    check_all(f);
    assert_int_equal(f->kafka.full_count, 0);
    assert_int_equal(recoveries(f), 0);
    free_fixture(f);
}

/* The next epoch fills while a commit runs, and stops at its limit until the answer. */
static void test_a_slow_commit_holds_input_back(void **state)
{
    (void)state;
    fixture *f = fixture_with_rows(1, true, ROWS);
    open_it(f);
    drive(f, is_running);
    f->kafka.hold_commits = true;
    for (uint32_t i = 0; i < 500; i++) {
        step_once(f);
    }
    const mr_shard_counters *counters = mr_shard_read_counters(f->shard);
    const uint64_t in = mr_counter_read(&counters->records_in);
    assert_true(in >= 1000 && in < ROWS); /* Two epochs of 500 rows, by whole batches. */
    assert_true(mr_counter_read(&counters->credit_waits) > 0);
    f->kafka.hold_commits = false;
    drive(f, all_committed);
    check_all(f);
    assert_int_equal(recoveries(f), 0);
    free_fixture(f);
}

static void test_repeated_records_are_dropped(void **state)
{
    (void)state;
    fixture *f = fixture_with_rows(2, true, ROWS);
    f->kafka.repeat_at = 3;
    open_it(f);
    drive(f, all_committed);
    check_all(f);
    assert_true(f->kafka.repeated > ROWS / 2);
    assert_int_equal(mr_counter_read(&mr_shard_read_counters(f->shard)->repeated),
                     f->kafka.repeated);
    free_fixture(f);
}

/* ---- At any moment ---- */

/* The fake's commit, if one is under way, ends either way, and then everything fails. */
static void break_at(uint32_t step, bool commit_wins, bool *was_there)
{
    fixture *f = fixture_with_rows(2, true, FEW_ROWS);
    f->plan.commit.records = 100;
    f->kafka.fetch_rows = 10;
    open_it(f);
    for (uint32_t i = 0; i < step; i++) {
        step_once(f);
    }
    *was_there = !all_committed(f);
    if (f->kafka.commit_posted && commit_wins) {
        fake_apply(&f->kafka);
    }
    fake_fail(&f->kafka, MR_ERR_OUTCOME_UNKNOWN, "the test says so");
    drive(f, all_committed);
    check_all(f);
    assert_true(recoveries(f) <= 1);
    free_fixture(f);
}

/* COVERS: S11 I1 I2 */
static void test_a_failure_at_any_step_loses_nothing(void **state)
{
    (void)state;
    bool was_there = true;
    uint32_t step = 0;
    for (; was_there; step++) {
        break_at(step, step % 2 == 0, &was_there);
        break_at(step, step % 2 != 0, &was_there);
    }
    assert_true(step > 20);
}

static void test_a_stop_at_any_step_is_clean(void **state)
{
    (void)state;
    bool was_there = true;
    for (uint32_t step = 0; was_there; step++) {
        fixture *f = fixture_with_rows(2, true, FEW_ROWS);
        f->plan.commit.records = 100;
        f->kafka.fetch_rows = 10;
        open_it(f);
        for (uint32_t i = 0; i < step; i++) {
            step_once(f);
        }
        was_there = !all_committed(f);
        mr_shard_stop(f->shard);
        drive(f, is_stopped);
        assert_int_equal(f->kafka.open_epoch, 0);
        const mr_shard_counters *counters = mr_shard_read_counters(f->shard);
        uint64_t committed = 0;
        for (uint32_t p = 0; p < 2; p++) {
            const int64_t offset = f->kafka.logs[TOPIC_IN][p].committed;
            check_prefix(f, p, offset < 0 ? 0 : (uint32_t)offset);
            committed += offset < 0 ? 0 : (uint64_t)offset;
        }
        assert_int_equal(mr_counter_read(&counters->records_in), committed);
        free_fixture(f);
    }
}

static void test_a_failure_while_the_assignment_is_under_way(void **state)
{
    (void)state;
    fixture *f = fixture_with_rows(2, true, ROWS);
    f->kafka.hold_assign = true;
    open_it(f);
    drive(f, is_running);
    fake_fail(&f->kafka, MR_ERR_TXN_ABORTED, "the test says so");
    drive(f, is_assigning_again);
    f->kafka.hold_assign = false;
    drive(f, all_committed);
    check_all(f);
    free_fixture(f);
}

/* COVERS: F18 I11 */
static void test_too_little_memory_is_told(void **state)
{
    (void)state;
    uint64_t bytes = 16 << 10;
    uint32_t refused = 0;
    for (mr_status status = MR_ERR_MEMORY; status != MR_OK; bytes += bytes / 8) {
        fixture *f = fixture_with_rows(3, true, 1);
        f->memory_bytes = bytes;
        status = open_shard(f);
        if (status != MR_OK) {
            refused++;
            assert_int_equal(status, MR_ERR_MEMORY);
            assert_non_null(strstr(f->diag.text, "no memory"));
            assert_null(f->shard);
        }
        free_fixture(f);
    }
    assert_true(refused > 20);
}

/* ---- Refusals: never guess ---- */

static void set_offset(fixture *f, uint32_t topic, int64_t offset, uint64_t epoch)
{
    fake_log *log = &f->kafka.logs[topic][0];
    mr_offset_record record = {
        .lineage = 5, .epoch = epoch, .state_epoch = epoch, .incarnation = 6, .owner = "all-0"};
    memset(record.topic_id, '0', sizeof(record.topic_id) - 1);
    log->committed = offset;
    log->metadata_bytes = mr_offset_record_print(&record, log->metadata);
}

static void expect_refusal(fixture *f, const char *name, const char *place)
{
    open_it(f);
    expect_failure(f, name);
    assert_int_equal(mr_shard_failure(f->shard)->status, MR_ERR_REFUSED);
    assert_non_null(strstr(mr_shard_failure(f->shard)->text, place));
    assert_int_equal(f->kafka.commit_count, 0);
    assert_int_equal(f->kafka.logs[TOPIC_OUT][0].count, 0);
    free_fixture(f);
}

/* It was committed by this very shard: that it is gone is no beginning.
 * COVERS: I8 I11 */
static void test_an_offset_that_vanished_is_refused(void **state)
{
    (void)state;
    fixture *f = fixture_with_rows(1, false, 10);
    open_it(f);
    drive(f, all_committed);
    f->kafka.logs[TOPIC_IN][0].committed = -1;
    f->kafka.logs[TOPIC_IN][0].metadata_bytes = 0;
    fake_fail(&f->kafka, MR_ERR_TXN_ABORTED, "the test says so");
    expect_failure(f, "E_OFFSETS_MISSING: in-0@10:");
    assert_int_equal(f->kafka.logs[TOPIC_IN][0].committed, -1);
    check_all(f);
    free_fixture(f);
}

/* Partitions that were added are read from their beginning, whatever `start:` says.
 * COVERS: F23 */
static void test_added_partitions_have_a_beginning(void **state)
{
    (void)state;
    fixture *f = make_fixture(2, false, false);
    f->known_partitions = 1;
    f->commons[TOPIC_IN].start_us = MR_START_LATEST;
    open_it(f);
    drive(f, is_running);
    assert_int_equal(f->kafka.init_offsets[0].start, MR_START_LATEST);
    assert_int_equal(f->kafka.init_offsets[1].start, MR_START_EARLIEST);
    free_fixture(f);
}

static void test_foreign_offsets_are_refused(void **state)
{
    (void)state;
    fixture *f = fixture_with_rows(1, false, 10);
    set_offset(f, TOPIC_IN, 4, 3);
    f->kafka.logs[TOPIC_IN][0].metadata[20] ^= 1; /* Its CRC no longer holds. */
    expect_refusal(f, "E_OFFSETS_FOREIGN", "in-0@4");
    f = fixture_with_rows(1, false, 10);
    f->kafka.logs[TOPIC_IN][0].committed = 4; /* By a tool, without metadata. */
    expect_refusal(f, "E_OFFSETS_FOREIGN", "in-0@4");
}

static void test_a_newer_record_is_refused(void **state)
{
    (void)state;
    fixture *f = fixture_with_rows(1, false, 10);
    fake_log *log = &f->kafka.logs[TOPIC_IN][0];
    log->committed = 4;
    log->metadata_bytes = (uint32_t)snprintf(log->metadata, sizeof(log->metadata), "mr2;x=1");
    expect_refusal(f, "E_RECORD_NEWER", "in-0@4");
}

static void test_a_lost_offset_is_refused(void **state)
{
    (void)state;
    fixture *f = fixture_with_rows(1, false, 10);
    set_offset(f, TOPIC_IN, 4, 3);
    f->kafka.logs[TOPIC_IN][0].start = 5;
    expect_refusal(f, "E_OFFSET_LOST", "in-0@4");
}

static void test_an_offset_beyond_the_end_is_refused(void **state)
{
    (void)state;
    fixture *f = fixture_with_rows(1, false, 10);
    set_offset(f, TOPIC_IN, 11, 3);
    expect_refusal(f, "E_OFFSET_BEYOND_END", "in-0@11");
}

static void test_records_that_disagree_are_refused(void **state)
{
    (void)state;
    fixture *f = make_fixture(1, true, false);
    feed(f, TOPIC_IN, 0, 10);
    feed(f, TOPIC_OTHER, 0, 10);
    set_offset(f, TOPIC_IN, 4, 3);
    set_offset(f, TOPIC_OTHER, 4, 4);
    expect_refusal(f, "E_RECORD_DISAGREE", "other-0@4");
}

static void test_a_rival_ends_the_shard(void **state)
{
    (void)state;
    fixture *f = fixture_with_rows(1, false, 10);
    f->kafka.init_fails = MR_ERR_FENCED;
    open_it(f);
    expect_failure(f, "E_FENCED");
    assert_int_equal(mr_shard_failure(f->shard)->status, MR_ERR_FENCED);
    const uint32_t inits = f->kafka.init_count;
    for (uint32_t i = 0; i < 10; i++) {
        step_once(f);
    }
    assert_int_equal(f->kafka.init_count, inits); /* No ping-pong. */
    free_fixture(f);
}

/* ---- Stop ---- */

static bool has_taken(const fixture *f)
{
    return mr_counter_read(&mr_shard_read_counters(f->shard)->records_in) >= 100;
}

static void test_a_stop_commits_what_is_open(void **state)
{
    (void)state;
    fixture *f = fixture_with_rows(2, true, 300);
    f->plan.commit.interval_us = INT64_C(3600000000);
    open_it(f);
    drive(f, has_taken);
    const mr_shard_counters *counters = mr_shard_read_counters(f->shard);
    const uint64_t in = mr_counter_read(&counters->records_in);
    assert_true(in < 600); /* Something is left unread. */
    assert_int_equal(f->kafka.commit_count, 1);
    mr_shard_stop(f->shard);
    drive(f, is_stopped);
    assert_int_equal(mr_counter_read(&counters->records_in), in);
    assert_int_equal(mr_counter_read(&counters->committed_in), in);
    uint32_t committed = 0;
    for (uint32_t p = 0; p < 2; p++) {
        check_prefix(f, p, (uint32_t)f->kafka.logs[TOPIC_IN][p].committed);
        committed += f->kafka.logs[TOPIC_OUT][p].count;
    }
    assert_int_equal(committed, in);
    assert_int_equal(f->kafka.open_epoch, 0);
    free_fixture(f);
}

static void test_a_stop_before_the_claim_is_at_once(void **state)
{
    (void)state;
    fixture *f = fixture_with_rows(1, false, 10);
    f->kafka.hold_init = true;
    open_it(f);
    for (uint32_t i = 0; i < 10; i++) {
        step_once(f);
    }
    assert_int_equal(f->kafka.init_count, 1);
    mr_shard_stop(f->shard);
    step_once(f);
    assert_true(is_stopped(f));
    free_fixture(f);
}

static void test_a_stop_waits_for_the_claim(void **state)
{
    (void)state;
    fixture *f = fixture_with_rows(1, false, 10);
    f->kafka.hold_commits = true;
    open_it(f);
    for (uint32_t i = 0; i < 10; i++) {
        step_once(f);
    }
    mr_shard_stop(f->shard);
    for (uint32_t i = 0; i < 10; i++) {
        step_once(f);
    }
    assert_false(is_stopped(f));
    f->kafka.hold_commits = false;
    drive(f, is_stopped);
    assert_int_equal(f->kafka.commit_count, 1);
    assert_int_equal(f->kafka.logs[TOPIC_OUT][0].count, 0);
    free_fixture(f);
}

/* ---- Bounded runs ---- */

static void bound(fixture *f)
{
    f->plan.is_bounded = true;
    f->commons[TOPIC_IN].bounded = true;
}

static void test_a_bounded_run_drains(void **state)
{
    (void)state;
    fixture *f = fixture_with_rows(3, true, ROWS);
    f->kafka.logs[TOPIC_IN][1].count = 0; /* One is empty, one ends with control records. */
    f->kafka.logs[TOPIC_IN][1].end = 0;
    fake_write_marker(&f->kafka, TOPIC_IN, 2);
    fake_write_marker(&f->kafka, TOPIC_IN, 2);
    bound(f);
    open_it(f);
    drive(f, is_drained);
    check_all(f);
    assert_true(all_committed(f));
    mr_shard_stop(f->shard);
    drive(f, is_stopped);
    free_fixture(f);
}

static void test_a_bounded_run_ends_where_the_log_ended(void **state)
{
    (void)state;
    fixture *f = fixture_with_rows(1, true, ROWS);
    bound(f);
    f->kafka.fetch_rows = 800;
    open_it(f);
    drive(f, is_running);
    feed(f, TOPIC_IN, 0, 100); /* Too late for this run, in one fetch with the last of it. */
    drive(f, is_drained);
    check_prefix(f, 0, ROWS);
    assert_int_equal(f->kafka.logs[TOPIC_IN][0].committed, ROWS);
    free_fixture(f);
}

/* The end of the log was seen, then its epoch fails: all of it is read again. */
static void test_a_bounded_run_is_redone_after_its_end(void **state)
{
    (void)state;
    fixture *f = fixture_with_rows(2, true, 100);
    fake_write_marker(&f->kafka, TOPIC_IN, 0);
    fake_write_marker(&f->kafka, TOPIC_IN, 1);
    bound(f);
    f->kafka.outcome = FAKE_ABORTS;
    f->kafka.outcome_at = 2;
    open_it(f);
    drive(f, is_drained);
    assert_int_equal(recoveries(f), 1);
    check_all(f);
    free_fixture(f);
}

/* ---- Overflow ---- */

static void test_an_overflow_halves_batches_until_they_fit(void **state)
{
    (void)state;
    fixture *f = fixture_with_rows(1, true, ROWS);
    f->kafka.fetch_rows = MR_BATCH_ROWS_MAX;
    f->sink_spec.value_bytes = 12000; /* 1,024 of them are 12 MB in an arena of 4 MiB. */
    open_it(f);
    drive(f, all_committed);
    check_all(f);
    assert_true(recoveries(f) >= 2);
    assert_int_equal(f->kafka.logs[TOPIC_OUT][0].records[ROWS - 1].value_bytes, 12000);
    free_fixture(f);
}

static void test_a_bounded_run_survives_an_overflow_at_its_end(void **state)
{
    (void)state;
    fixture *f = fixture_with_rows(1, true, 900);
    fake_write_marker(&f->kafka, TOPIC_IN, 0);
    bound(f);
    f->kafka.fetch_rows = MR_BATCH_ROWS_MAX;
    f->sink_spec.value_bytes = 12000;
    open_it(f);
    drive(f, is_drained);
    check_all(f);
    assert_true(recoveries(f) >= 1);
    free_fixture(f);
}

/* COVERS: S22 I11 */
static void test_one_row_too_large_is_told(void **state)
{
    (void)state;
    fixture *f = fixture_with_rows(1, false, 10);
    f->sink_spec.value_bytes = 5 << 20;
    open_it(f);
    expect_failure(f, "E_OUTPUT_TOO_LARGE");
    assert_non_null(strstr(mr_shard_failure(f->shard)->text, "E_OUTPUT_TOO_LARGE: in-0@0: "));
    assert_int_equal(f->kafka.logs[TOPIC_OUT][0].count, 0);
    free_fixture(f);
}

/* ---- Rejected rows ---- */

static fixture *fixture_with_bad_row(mr_route_kind route)
{
    fixture *f = fixture_with_rows(2, false, 10);
    f->nodes[0].on_error = (mr_error_route){.kind = route, .dlq = 0};
    snprintf(f->kafka.logs[TOPIC_IN][1].records[4].value, FAKE_TEXT, "bad");
    open_it(f);
    return f;
}

static void check_without_bad_row(const fixture *f)
{
    const fake_log *in = &f->kafka.logs[TOPIC_IN][1];
    const fake_log *out = &f->kafka.logs[TOPIC_OUT][1];
    assert_int_equal(out->count, 9);
    for (uint32_t i = 0; i < 9; i++) {
        assert_string_equal(out->records[i].value, in->records[i < 4 ? i : i + 1].value);
    }
    assert_int_equal(f->kafka.logs[TOPIC_OUT][0].count, 10);
    assert_int_equal(mr_counter_read(&mr_shard_read_counters(f->shard)->rejected), 1);
}

static void test_a_rejected_row_stops(void **state)
{
    (void)state;
    fixture *f = fixture_with_bad_row(MR_ROUTE_STOP);
    expect_failure(f, "E_ROW_REJECTED");
    assert_int_equal(mr_shard_failure(f->shard)->status, MR_ERR_ROW);
    assert_non_null(strstr(mr_shard_failure(f->shard)->text, "in-1@4"));
    assert_true(f->kafka.logs[TOPIC_IN][1].committed <= 4);
    free_fixture(f);
}

static void test_a_rejected_row_is_dropped_and_counted(void **state)
{
    (void)state;
    fixture *f = fixture_with_bad_row(MR_ROUTE_DROP);
    drive(f, all_committed);
    check_without_bad_row(f);
    assert_int_equal(mr_counter_read(&mr_shard_read_counters(f->shard)->dropped), 1);
    free_fixture(f);
}

static const char *header_of(const fake_record *record, const char *name)
{
    for (uint32_t i = 0; i < record->header_count; i++) {
        if (strcmp(record->headers[i][0], name) == 0) {
            return record->headers[i][1];
        }
    }
    return "(none)";
}

static void test_a_rejected_row_becomes_a_dead_letter(void **state)
{
    (void)state;
    fixture *f = fixture_with_bad_row(MR_ROUTE_DLQ);
    f->kafka.outcome = FAKE_ABORTS; /* Redone, it is still one. */
    f->kafka.outcome_at = 2;
    drive(f, all_committed);
    const fake_log *dead = &f->kafka.logs[TOPIC_DEAD][1];
    assert_int_equal(dead->count, 1);
    assert_int_equal(f->kafka.logs[TOPIC_DEAD][0].count, 0);
    const fake_record *letter = &dead->records[0];
    assert_string_equal(letter->key, "k4");
    assert_string_equal(letter->value, "bad");
    assert_string_equal(header_of(letter, "trace"), "t1");
    assert_string_equal(header_of(letter, "millrace.error.code"), "DECODE_TYPE");
    assert_string_equal(header_of(letter, "millrace.error.topic"), "in");
    assert_string_equal(header_of(letter, "millrace.error.partition"), "1");
    assert_string_equal(header_of(letter, "millrace.error.offset"), "4");
    assert_string_equal(header_of(letter, "millrace.error.step"), "source");
    assert_int_equal(f->kafka.logs[TOPIC_OUT][1].count, 9);
    free_fixture(f);
}

static void test_too_many_dead_letters_stop(void **state)
{
    (void)state;
    fixture *f = fixture_with_rows(2, false, 10);
    f->nodes[0].on_error = (mr_error_route){.kind = MR_ROUTE_DLQ, .dlq = 0};
    f->dlq.stop_records = 2;
    f->dlq.stop_per_us = 60000000;
    snprintf(f->kafka.logs[TOPIC_IN][1].records[4].value, FAKE_TEXT, "bad");
    snprintf(f->kafka.logs[TOPIC_IN][1].records[5].value, FAKE_TEXT, "bad");
    snprintf(f->kafka.logs[TOPIC_IN][1].records[7].value, FAKE_TEXT, "bad");
    open_it(f);
    expect_failure(f, "E_DLQ_LIMIT");
    assert_non_null(strstr(mr_shard_failure(f->shard)->text, "in-1@7"));
    assert_true(f->kafka.logs[TOPIC_DEAD][1].count <= 2);
    assert_true(f->kafka.logs[TOPIC_IN][1].committed <= 7);
    free_fixture(f);
}

static void test_redone_dead_letters_count_once(void **state)
{
    (void)state;
    fixture *f = fixture_with_rows(2, false, 10);
    f->nodes[0].on_error = (mr_error_route){.kind = MR_ROUTE_DLQ, .dlq = 0};
    f->dlq.stop_records = 1;
    f->dlq.stop_per_us = 60000000;
    snprintf(f->kafka.logs[TOPIC_IN][1].records[4].value, FAKE_TEXT, "bad");
    f->kafka.outcome = FAKE_ABORTS;
    f->kafka.outcome_at = 2;
    open_it(f);
    drive(f, all_committed);
    assert_int_equal(recoveries(f), 1);
    assert_int_equal(f->kafka.logs[TOPIC_DEAD][1].count, 1);
    free_fixture(f);
}

/* ---- Backing off ---- */

static bool after_ten_inits(const fixture *f)
{
    return f->kafka.init_count == 10;
}

static void test_recoveries_back_off_after_five(void **state)
{
    (void)state;
    fixture *f = fixture_with_rows(1, true, ROWS);
    f->kafka.outcome = FAKE_ABORTS;
    f->kafka.outcome_at = 2;
    f->kafka.outcome_repeats = true;
    open_it(f);
    drive(f, after_ten_inits);
    int64_t expected_us = 250000;
    for (uint32_t i = 1; i < 10; i++) {
        const int64_t gap_us = f->kafka.init_us[i] - f->kafka.init_us[i - 1];
        if (i < 5) {
            assert_true(gap_us < 250000);
        } else {
            assert_true(gap_us >= expected_us && gap_us < expected_us + 200000);
            expected_us *= 2;
        }
    }
    f->kafka.outcome_at = 0;
    drive(f, all_committed);
    check_all(f);
    f->kafka.outcome_at = f->kafka.commit_count + 1; /* An acked epoch has calmed it. */
    f->kafka.outcome_repeats = false;
    for (uint32_t i = 0; i < 10; i++) {
        step_once(f);
    }
    feed(f, TOPIC_IN, 0, 5);
    const uint32_t inits = f->kafka.init_count;
    drive(f, all_committed);
    assert_int_equal(f->kafka.init_count, inits + 1);
    assert_true(f->kafka.init_us[inits] - f->kafka.failed_us < 100000);
    free_fixture(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_pass_once_and_offsets_are_committed),
        cmocka_unit_test(test_counts_are_exact),
        cmocka_unit_test(test_an_aborted_epoch_is_redone),
        cmocka_unit_test(test_unknown_but_committed_is_not_redone),
        cmocka_unit_test(test_unknown_and_aborted_is_redone),
        cmocka_unit_test(test_a_failed_claim_is_recovered),
        cmocka_unit_test(test_a_failed_delivery_is_redone),
        cmocka_unit_test(test_a_full_queue_delays_only),
        cmocka_unit_test(test_a_slow_commit_holds_input_back),
        cmocka_unit_test(test_repeated_records_are_dropped),
        cmocka_unit_test(test_a_failure_at_any_step_loses_nothing),
        cmocka_unit_test(test_a_stop_at_any_step_is_clean),
        cmocka_unit_test(test_a_failure_while_the_assignment_is_under_way),
        cmocka_unit_test(test_too_little_memory_is_told),
        cmocka_unit_test(test_an_offset_that_vanished_is_refused),
        cmocka_unit_test(test_added_partitions_have_a_beginning),
        cmocka_unit_test(test_foreign_offsets_are_refused),
        cmocka_unit_test(test_a_newer_record_is_refused),
        cmocka_unit_test(test_a_lost_offset_is_refused),
        cmocka_unit_test(test_an_offset_beyond_the_end_is_refused),
        cmocka_unit_test(test_records_that_disagree_are_refused),
        cmocka_unit_test(test_a_rival_ends_the_shard),
        cmocka_unit_test(test_a_stop_commits_what_is_open),
        cmocka_unit_test(test_a_stop_before_the_claim_is_at_once),
        cmocka_unit_test(test_a_stop_waits_for_the_claim),
        cmocka_unit_test(test_a_bounded_run_drains),
        cmocka_unit_test(test_a_bounded_run_ends_where_the_log_ended),
        cmocka_unit_test(test_a_bounded_run_is_redone_after_its_end),
        cmocka_unit_test(test_an_overflow_halves_batches_until_they_fit),
        cmocka_unit_test(test_a_bounded_run_survives_an_overflow_at_its_end),
        cmocka_unit_test(test_one_row_too_large_is_told),
        cmocka_unit_test(test_a_rejected_row_stops),
        cmocka_unit_test(test_a_rejected_row_is_dropped_and_counted),
        cmocka_unit_test(test_a_rejected_row_becomes_a_dead_letter),
        cmocka_unit_test(test_too_many_dead_letters_stop),
        cmocka_unit_test(test_redone_dead_letters_count_once),
        cmocka_unit_test(test_recoveries_back_off_after_five)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
