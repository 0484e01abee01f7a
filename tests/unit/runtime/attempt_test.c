/*
 * attempt_test.c - a shard that dies with certain records: they are found in few starts, named or
 * sent to a dlq, and everything else passes exactly once. Kills and aborts blame nobody.
 *
 * LINK: mr_runtime mr_state mr_kafka mr_ring mr_format mr_batch mr_base
 */
#include "tests/unit/runtime/shard_fixture.h"

#define HOUR_US INT64_C(3600000000)

enum { AFTER = 3, TRAPS_MAX = 12, STARTS_MAX = 2000, HALVINGS = 10 };

typedef struct trap { /* The process dies when this record is applied. */
    uint32_t partition;
    int64_t offset;
} trap;

typedef struct bench { /* A shard, what its process leaves, and its enemies. */
    fixture *f;
    mr_mark stored;
    uint32_t writes, trap_count, starts;
    bool is_dead, write_fails;
    trap traps[TRAPS_MAX];
} bench;

static mr_status write_mark(void *self, const mr_mark *mark, mr_diag *diag)
{
    bench *b = self;
    if (b->write_fails) {
        return mr_diag_set(diag, MR_ERR_IO, 0, "no room");
    }
    if (!b->is_dead) {
        b->stored = *mark;
        b->writes++;
    }
    return MR_OK;
}

static void start(bench *b)
{
    b->is_dead = false;
    b->starts++;
    b->f->mark = b->stored;
    b->f->env.marks.write = write_mark;
    b->f->env.marks.self = b;
    open_it(b->f);
}

/* Nothing that a closing shard says reaches the disk. */
static void kill_it(bench *b)
{
    b->is_dead = true;
    mr_shard_close(b->f->shard);
    b->f->shard = NULL;
    fake_reset(&b->f->kafka);
}

static bench *make(uint32_t partitions, uint32_t rows, bool has_dlq)
{
    bench *b = calloc(1, sizeof(*b));
    MR_ASSERT(b != NULL);
    b->f = fixture_with_rows(partitions, false, rows);
    b->f->plan.poison.after = AFTER;
    b->f->plan.poison.has_dlq = has_dlq;
    start(b);
    return b;
}

static void drop(bench *b)
{
    free_fixture(b->f);
    free(b);
}

static void set_trap(bench *b, uint32_t partition, int64_t offset)
{
    MR_ASSERT(b->trap_count < TRAPS_MAX);
    b->traps[b->trap_count++] = (trap){.partition = partition, .offset = offset};
}

/* A record of a trap is applied and not committed; that of a dead letter was not applied. */
static bool is_caught(const bench *b)
{
    const mr_mark *mark = &b->stored;
    for (uint32_t i = 0; i < b->trap_count && !has_failed(b->f); i++) {
        const trap *at = &b->traps[i];
        const int64_t committed = b->f->kafka.logs[TOPIC_IN][at->partition].committed;
        const bool is_letter =
            mark->is_convicted && mark->partition == at->partition && mark->offset == at->offset;
        if (b->f->shard->inputs[at->partition].applied > at->offset && committed <= at->offset &&
            !is_letter) {
            return true;
        }
    }
    return false;
}

/* Until all is committed, or the shard refuses; starts it again whenever it dies. */
static void run(bench *b)
{
    uint32_t steps = 0;
    while (!has_failed(b->f) && !all_committed(b->f)) {
        step_once(b->f);
        assert_true(++steps < STARTS_MAX * 100);
        if (is_caught(b)) {
            kill_it(b);
            assert_true(b->starts < STARTS_MAX);
            start(b);
        }
    }
}

static bool is_trapped(const bench *b, uint32_t partition, int64_t offset)
{
    for (uint32_t i = 0; i < b->trap_count; i++) {
        if (b->traps[i].partition == partition && b->traps[i].offset == offset) {
            return true;
        }
    }
    return false;
}

/* Every record but those of traps went out once and in order; those are dead letters. */
static void check_outputs(const bench *b)
{
    uint32_t letters = 0;
    for (uint32_t p = 0; p < b->f->partition_count; p++) {
        const fake_log *in = &b->f->kafka.logs[TOPIC_IN][p];
        const fake_log *out = &b->f->kafka.logs[TOPIC_OUT][p];
        const fake_log *dead = &b->f->kafka.logs[TOPIC_DEAD][p];
        uint32_t sent = 0, of_partition = 0;
        for (uint32_t i = 0; i < in->count; i++) {
            const bool is_dead = is_trapped(b, p, in->records[i].offset);
            const fake_record *record =
                is_dead ? &dead->records[of_partition] : &out->records[sent];
            assert_true(is_dead ? of_partition < dead->count : sent < out->count);
            assert_string_equal(record->key, in->records[i].key);
            assert_string_equal(record->value, in->records[i].value);
            of_partition += is_dead;
            sent += !is_dead;
        }
        assert_int_equal(out->count, sent);
        assert_int_equal(dead->count, of_partition);
        letters += of_partition;
    }
    assert_int_equal(letters, b->trap_count);
}

static void expect_header(const fake_record *record, const char *name, const char *value)
{
    for (uint32_t i = 0; i < record->header_count; i++) {
        if (strcmp(record->headers[i][0], name) == 0) {
            assert_string_equal(record->headers[i][1], value);
            return;
        }
    }
    fail_msg("no header %s", name);
}

/* ---- Found ---- */

static void test_a_poison_record_is_a_dead_letter(void **state)
{
    (void)state;
    static const int64_t offsets[] = {0, 1, 700, ROWS - 1};
    for (uint32_t i = 0; i < MR_LENGTH(offsets); i++) {
        bench *b = make(2, ROWS, true);
        set_trap(b, 1, offsets[i]);
        run(b);
        check_outputs(b);
        const fake_record *letter = &b->f->kafka.logs[TOPIC_DEAD][1].records[0];
        char offset[24];
        snprintf(offset, sizeof(offset), "%lld", (long long)offsets[i]);
        expect_header(letter, "trace", "t1");
        expect_header(letter, "millrace.error.code", "POISON");
        expect_header(letter, "millrace.error.topic", "in");
        expect_header(letter, "millrace.error.partition", "1");
        expect_header(letter, "millrace.error.offset", offset);
        expect_header(letter, "millrace.error.attempt", "3");
        expect_header(letter, "millrace.error.step", "source");
        /* As usual, halved, alone; with the first start. */
        assert_true(b->starts <= AFTER + HALVINGS + AFTER + 1);
        drop(b);
    }
}

static void test_several_poison_records(void **state)
{
    (void)state;
    static const trap traps[] = {{0, 300}, {1, 300}, {1, 301}, {1, 302}, {1, 1400}, {0, 1500}};
    bench *b = make(2, ROWS, true);
    for (uint32_t i = 0; i < MR_LENGTH(traps); i++) {
        set_trap(b, traps[i].partition, traps[i].offset);
    }
    run(b);
    check_outputs(b);
    assert_true(b->starts <= MR_LENGTH(traps) * (AFTER + HALVINGS + AFTER) + 1);
    drop(b);
}

/* More than enough to read beside it: that passes do not hide where it failed. */
static void test_a_poison_record_beside_a_long_backlog(void **state)
{
    (void)state;
    for (int64_t offset = 0; offset < 800; offset += 47) {
        bench *b = make(3, 800, true);
        feed(b->f, TOPIC_IN, 0, FAKE_RECORDS - 800);
        feed(b->f, TOPIC_IN, 1, FAKE_RECORDS - 800);
        set_trap(b, 2, offset);
        run(b);
        check_outputs(b);
        assert_true(b->starts <= AFTER + HALVINGS + AFTER + 1);
        drop(b);
    }
}

/* Another partition commits in each life, before the record is read. */
static void test_a_poison_record_beside_work_that_goes_on(void **state)
{
    (void)state;
    bench *b = make(2, 100, true);
    feed(b->f, TOPIC_IN, 0, FAKE_RECORDS - 100);
    b->f->plan.commit.records = 60;
    set_trap(b, 1, 0);
    int64_t moved = 0;
    while (!has_failed(b->f) && !all_committed(b->f)) {
        step_once(b->f);
        if (is_caught(b)) {
            moved += b->starts == 2 && b->f->kafka.logs[TOPIC_IN][0].committed > 0;
            kill_it(b);
            assert_true(b->starts < AFTER + HALVINGS + AFTER + 1);
            start(b);
        }
    }
    assert_int_equal(moved, 1);
    check_outputs(b);
    drop(b);
}

/* A worker that has nothing to do may be killed as often as one likes. */
static void test_kills_without_input_are_not_counted(void **state)
{
    (void)state;
    bench *b = make(2, FEW_ROWS, true);
    run(b);
    for (uint32_t i = 0; i < 3 * AFTER; i++) {
        drive(b->f, is_running);
        assert_true(b->stored.is_open);
        assert_true(b->stored.failures <= 1);
        assert_int_equal(b->stored.limit, 0);
        kill_it(b);
        start(b);
    }
    drop(b);
}

static void test_two_inputs_of_a_task(void **state)
{
    (void)state;
    bench *b = calloc(1, sizeof(*b));
    MR_ASSERT(b != NULL);
    b->f = make_fixture(1, true, false);
    feed(b->f, TOPIC_IN, 0, FEW_ROWS);
    feed(b->f, TOPIC_OTHER, 0, FEW_ROWS);
    b->f->plan.poison.after = AFTER;
    b->f->plan.poison.has_dlq = true;
    start(b);
    set_trap(b, 0, 200); /* Of input 0: topic `in`. */
    run(b);
    while (b->f->kafka.logs[TOPIC_OTHER][0].committed < FEW_ROWS) {
        step_once(b->f);
    }
    assert_int_equal(b->f->kafka.logs[TOPIC_DEAD][0].count, 1);
    expect_header(&b->f->kafka.logs[TOPIC_DEAD][0].records[0], "millrace.error.topic", "in");
    assert_int_equal(b->f->kafka.logs[TOPIC_OUT][0].count, 2 * FEW_ROWS - 1);
    drop(b);
}

static void test_small_epochs_stay_within_their_limit(void **state)
{
    (void)state;
    bench *b = make(2, ROWS, true);
    b->stored = (mr_mark){.limit = 16};
    kill_it(b);
    b->stored = (mr_mark){.limit = 16};
    start(b);
    uint64_t before = 0;
    uint32_t limit = 0;
    while (!all_committed(b->f)) {
        const uint32_t commits = b->f->kafka.commit_count;
        limit = b->f->shard->attempt.mark.limit;
        b->f->kafka.hold_commits = b->f->step_count % 4 != 0;
        step_once(b->f);
        const uint64_t now = (uint64_t)b->f->kafka.logs[TOPIC_OUT][0].count +
                             (uint64_t)b->f->kafka.logs[TOPIC_OUT][1].count;
        assert_true(limit == 0 || now - before <= limit);
        assert_true(b->f->kafka.commit_count <= commits + 1);
        assert_true(limit == 0 || !b->f->shard->undecided.is_used ||
                    b->f->shard->epoch.records_in == 0); /* One after the other. */
        before = now;
    }
    assert_int_equal(b->f->shard->attempt.mark.limit, 0); /* It went well: as usual again. */
    assert_int_equal(b->stored.limit, 0);
    check_outputs(b);
    drop(b);
}

static void test_a_bounded_run_ends_with_small_epochs(void **state)
{
    (void)state;
    bench *b = make(2, FEW_ROWS, true);
    b->f->plan.is_bounded = b->f->commons[TOPIC_IN].bounded = true;
    b->f->kafka.fetch_rows = FEW_ROWS; /* Its end is known long before the last record is tried. */
    set_trap(b, 0, FEW_ROWS - 1);
    set_trap(b, 1, 0);
    run(b);
    drive(b->f, is_drained);
    check_outputs(b);
    drop(b);
}

/* ---- Stopped ---- */

static void expect_poison(bench *b, const char *place)
{
    char name[64];
    snprintf(name, sizeof(name), "E_POISON: %s: ", place);
    run(b);
    expect_failure(b->f, name);
    assert_int_equal(mr_shard_failure(b->f->shard)->status, MR_ERR_ROW);
}

static void test_a_poison_record_stops_every_start(void **state)
{
    (void)state;
    bench *b = make(2, ROWS, false);
    set_trap(b, 1, 700);
    expect_poison(b, "in-1@700");
    assert_non_null(strstr(mr_shard_failure(b->f->shard)->text, "failed 3 times"));
    assert_non_null(strstr(mr_shard_failure(b->f->shard)->text, "worker died"));
    assert_int_equal(b->f->kafka.logs[TOPIC_IN][1].committed, 700);
    assert_true(b->starts <= AFTER + HALVINGS + AFTER + 1);
    const uint32_t commits = b->f->kafka.commit_count;
    for (uint32_t i = 0; i < 5; i++) { /* A supervisor that knows no better. */
        kill_it(b);
        start(b);
        expect_poison(b, "in-1@700");
    }
    assert_int_equal(b->f->kafka.commit_count, commits);
    drop(b);
}

static void test_it_goes_on_when_told(void **state)
{
    (void)state;
    bench *b = make(2, ROWS, false);
    set_trap(b, 1, 700);
    expect_poison(b, "in-1@700");
    const uint32_t starts = b->starts;
    b->f->retry_poison = true;
    kill_it(b);
    start(b);
    drive(b->f, is_running);
    assert_int_equal(b->stored.limit, 0);
    b->f->retry_poison = false;
    expect_poison(b, "in-1@700"); /* It was not mended: found again. */
    assert_true(b->starts > starts + AFTER);
    b->trap_count = 0;
    b->f->retry_poison = true;
    kill_it(b);
    start(b);
    run(b);
    check_outputs(b);
    drop(b);
}

/* The record was convicted under `stop`; the file was changed. */
static void test_a_dlq_named_later_takes_it(void **state)
{
    (void)state;
    bench *b = make(2, ROWS, false);
    set_trap(b, 1, 700);
    expect_poison(b, "in-1@700");
    const uint32_t starts = b->starts;
    b->f->plan.poison.has_dlq = true;
    kill_it(b);
    start(b);
    run(b);
    check_outputs(b);
    assert_int_equal(b->starts, starts + 1);
    drop(b);
}

/* Someone moved the offsets over it, or retention removed it. */
static void test_a_record_that_is_gone_is_forgotten(void **state)
{
    (void)state;
    bench *b = make(1, FEW_ROWS, false);
    set_trap(b, 0, 100);
    expect_poison(b, "in-0@100");
    kill_it(b);
    fake_log *in = &b->f->kafka.logs[TOPIC_IN][0];
    for (uint32_t i = 100; i + 1 < in->count; i++) { /* Compaction, say. */
        in->records[i] = in->records[i + 1];
    }
    in->count--;
    b->trap_count = 0;
    b->f->plan.poison.has_dlq = true;
    start(b);
    run(b);
    assert_int_equal(b->f->kafka.logs[TOPIC_DEAD][0].count, 0);
    assert_int_equal(b->f->kafka.logs[TOPIC_OUT][0].count, in->count);
    drop(b);
}

/* A release that dies of everything must not empty a topic into the dlq. */
static void test_too_many_in_a_row_stop(void **state)
{
    (void)state;
    bench *b = make(1, FEW_ROWS, true);
    for (int64_t i = 0; i < TRAPS_MAX; i++) {
        set_trap(b, 0, 50 + i);
    }
    expect_poison(b, "in-0@58");
    assert_non_null(strstr(mr_shard_failure(b->f->shard)->text, "the last 9 records failed"));
    assert_int_equal(b->f->kafka.logs[TOPIC_DEAD][0].count, MR_POISON_ROW_MAX);
    kill_it(b);
    start(b);
    expect_poison(b, "in-0@58");
    drop(b);
}

/* ---- Innocent ---- */

static void test_kills_blame_nobody(void **state)
{
    (void)state;
    uint32_t limited = 0, tried = 0;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        uint64_t chance = seed;
        bench *b = make(2, ROWS, true);
        b->f->plan.commit.records = 40;
        b->f->kafka.fetch_rows = 10;
        kill_it(b);
        b->stored = (mr_mark){.limit = 8}; /* As three kills before any progress leave it. */
        start(b);
        for (uint32_t i = 0; i < 200 && !all_committed(b->f); i++) {
            /* Never three times in a row within one record's trial: that is the verdict. */
            const uint64_t steps = i % AFTER == 0 ? 8 : mr_prng_next(&chance) % 8;
            for (uint64_t s = 0; s < steps; s++) {
                step_once(b->f);
            }
            kill_it(b);
            start(b);
            limited += b->stored.limit == 1;
            tried += b->stored.is_tried && b->stored.has_suspect;
        }
        run(b);
        check_outputs(b);
        drop(b);
    }
    assert_true(limited > 50 &&
                tried > 50); /* They went the whole way down, and nobody was accused. */
}

/* On a slow topic twice the limit may take hours; what failed passes long before. */
static void test_epochs_are_as_usual_behind_what_failed(void **state)
{
    (void)state;
    bench *b = make(2, FEW_ROWS, true);
    kill_it(b);
    b->stored = (mr_mark){.limit = 64};
    b->f->plan.commit.records = 1000000;
    start(b);
    drive(b->f, is_running);
    feed(b->f, TOPIC_IN, 0, ROWS); /* No former attempt has seen these. */
    while (b->f->kafka.logs[TOPIC_IN][1].committed < FEW_ROWS ||
           b->f->kafka.logs[TOPIC_IN][0].committed < FEW_ROWS) {
        assert_int_not_equal(b->f->shard->attempt.mark.limit, 0);
        step_once(b->f);
    }
    run(b);
    assert_int_equal(b->f->shard->attempt.mark.limit, 0);
    assert_int_equal(b->stored.limit, 0);
    assert_int_equal(b->starts, 2);
    check_outputs(b);
    drop(b);
}

static void test_aborts_are_not_counted(void **state)
{
    (void)state;
    bench *b = make(2, ROWS, true);
    b->f->kafka.outcome = FAKE_ABORTS;
    b->f->kafka.outcome_at = 2; /* Every epoch behind the claim, and later claims. */
    b->f->kafka.outcome_repeats = true;
    while (recoveries(b->f) < 20) {
        step_once(b->f);
        assert_int_equal(b->stored.failures, 0);
        assert_int_equal(b->stored.limit, 0);
    }
    for (uint32_t i = 0; i < 10; i++) { /* Nor is a kill while it knows that it is no fault. */
        assert_false(b->stored.is_open);
        kill_it(b);
        start(b);
        step_once(b->f);
    }
    b->f->kafka.outcome_at = 0;
    run(b);
    assert_int_equal(b->f->shard->attempt.mark.limit, 0);
    check_outputs(b);
    drop(b);
}

/* The record's own trial ended in aborts. */
static void test_aborts_in_a_trial_do_not_convict(void **state)
{
    (void)state;
    bench *b = make(1, FEW_ROWS, true);
    kill_it(b);
    b->stored = (mr_mark){.limit = 1};
    start(b);
    drive(b->f, is_running);
    b->f->kafka.outcome = FAKE_ABORTS;
    b->f->kafka.outcome_at = b->f->kafka.commit_count + 1;
    for (uint32_t i = 0; i < 6; i++) {
        const uint64_t before = recoveries(b->f);
        while (recoveries(b->f) == before) {
            step_once(b->f);
        }
        assert_false(b->stored.is_open);
        assert_int_equal(b->stored.suspect_failures, 0);
        drive(b->f, is_running);
        b->f->kafka.outcome_at = b->f->kafka.commit_count + 1;
    }
    b->f->kafka.outcome_at = 0;
    run(b);
    check_outputs(b);
    drop(b);
}

static void test_a_stop_closes_the_attempt(void **state)
{
    (void)state;
    bench *b = make(2, ROWS, true);
    drive(b->f, is_running);
    assert_true(b->stored.is_open);
    mr_shard_stop(b->f->shard);
    drive(b->f, is_stopped);
    mr_shard_close(b->f->shard);
    b->f->shard = NULL;
    fake_reset(&b->f->kafka);
    assert_false(b->stored.is_open);
    start(b);
    run(b);
    check_outputs(b);
    drop(b);
}

/* How a process ends that tells why. */
static void test_what_counts_as_a_failure(void **state)
{
    (void)state;
    static const struct {
        mr_status status;
        const char *text;
        bool counts;
    } cases[] = {
        {MR_ERR_LIMIT, "E_OUTPUT_TOO_LARGE: out: a record is too large", true},
        {MR_ERR_REFUSED, "out-0: E_OUTPUT_REJECTED: a record was not delivered", true},
        {MR_ERR_FENCED, "E_FENCED: another worker owns these partitions", false},
        {MR_ERR_ROW, "E_ROW_REJECTED: in-0@7: rejected", false}, /* Named already. */
        {MR_ERR_MEMORY, "no memory", false},
        {MR_ERR_LIMIT, "E_STATE_FULL: the state does not fit", false},
    };
    for (uint32_t i = 0; i < MR_LENGTH(cases); i++) {
        bench *b = make(1, FEW_ROWS, true);
        drive(b->f, is_running);
        fake_fail(&b->f->kafka, cases[i].status, cases[i].text);
        expect_failure(b->f, cases[i].text);
        assert_int_equal(b->stored.is_open, cases[i].counts);
        assert_int_equal(b->stored.reason, cases[i].counts ? cases[i].status : MR_OK);
        mr_shard_close(b->f->shard);
        b->f->shard = NULL;
        assert_int_equal(b->stored.is_open, cases[i].counts);
        fake_reset(&b->f->kafka);
        start(b);
        drive(b->f, is_running);
        assert_int_equal(b->stored.failures, cases[i].counts);
        drop(b);
    }
}

static void test_the_mark_costs_a_write_a_start(void **state)
{
    (void)state;
    bench *b = make(2, ROWS, true);
    run(b);
    assert_int_equal(b->writes, 1);
    drop(b);
}

static void test_without_a_mark_work_goes_on(void **state)
{
    (void)state;
    bench *b = make(2, ROWS, true);
    b->write_fails = true;
    run(b);
    check_outputs(b);
    drop(b);
}

/* ---- Two shards of one process ---- */

static bench *make_shard(uint32_t index, mr_turns *turns, uint32_t limit)
{
    bench *b = make(1, FEW_ROWS, true);
    kill_it(b);
    b->f->index = index;
    b->f->turns = turns;
    b->f->plan.commit.records = 50;
    b->stored = (mr_mark){.limit = limit};
    start(b);
    drive(b->f, is_running);
    return b;
}

static bool has_rows_under_way(const bench *b)
{
    return b->f->shard->epoch.records_in > 0 ||
           (b->f->shard->undecided.is_used && b->f->shard->undecided.records_in > 0);
}

/* Whatever the order of their steps: while one tries a record the other has none under way. */
static void test_a_trial_is_alone_in_its_process(void **state)
{
    (void)state;
    uint32_t trials = 0, both = 0;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        uint64_t chance = seed;
        mr_turns turns = {.owner = 0};
        bench *a = make_shard(0, &turns, 1);
        bench *b = make_shard(1, &turns, seed % 2 == 0 ? 1 : 0);
        while (!all_committed(a->f) || !all_committed(b->f)) {
            bench *next = (mr_prng_next(&chance) & 1) == 0 ? a : b;
            step_once(next->f);
            const bool a_tries = a->f->shard->attempt.mark.limit == 1 && has_rows_under_way(a);
            const bool b_tries = b->f->shard->attempt.mark.limit == 1 && has_rows_under_way(b);
            trials += a_tries;
            both += has_rows_under_way(a) && has_rows_under_way(b);
            assert_false(a_tries && has_rows_under_way(b));
            assert_false(b_tries && has_rows_under_way(a));
        }
        step_once(a->f);
        step_once(b->f);
        assert_int_equal(turns.owner, 0);
        assert_int_equal(turns.busy, 0);
        check_outputs(a);
        check_outputs(b);
        drop(a);
        drop(b);
    }
    assert_true(trials > 30);
    assert_true(both > 30); /* Otherwise they work beside each other. */
}

/* What is open elsewhere is committed for it at once, not when its interval is over. */
static void test_a_trial_does_not_wait_for_an_interval(void **state)
{
    (void)state;
    mr_turns turns = {.owner = 0};
    bench *a = make_shard(0, &turns, 1);
    bench *b = make_shard(1, &turns, 0);
    b->f->plan.commit.records = FAKE_RECORDS; /* More than there are. */
    b->f->plan.commit.interval_us = HOUR_US;
    while (b->f->shard->epoch.records_in == 0) {
        step_once(b->f);
    }
    while (!all_committed(a->f)) {
        step_once(a->f);
        step_once(b->f);
        assert_true(b->f->now_us < HOUR_US);
    }
    check_outputs(a);
    drop(a);
    drop(b);
}

/* The hour is over, and an epoch without rows is open when the record comes. */
static void test_a_trial_may_join_a_heartbeat(void **state)
{
    (void)state;
    mr_turns turns = {.owner = 0};
    bench *b = make_shard(0, &turns, 1);
    run(b);
    kill_it(b);
    b->stored = (mr_mark){.limit = 1};
    start(b);
    drive(b->f, is_running);
    b->f->now_us += MR_HEARTBEAT_US;
    while (b->f->shard->epoch.opened_us == 0) {
        step_once(b->f);
    }
    fake_write(&b->f->kafka, TOPIC_IN, 0, "k0", "1");
    run(b);
    check_outputs(b);
    drop(b);
}

/* Whoever waits for its turn, or has it, and fails or is closed, does not keep it. */
static void test_a_turn_does_not_outlive_its_shard(void **state)
{
    (void)state;
    mr_turns turns = {.owner = 0};
    bench *a = make_shard(0, &turns, 1);
    bench *b = make_shard(1, &turns, 0);
    while (turns.owner == 0) {
        step_once(a->f);
    }
    fake_fail(&a->f->kafka, MR_ERR_TXN_ABORTED, "an abort");
    step_once(a->f);
    assert_int_equal(turns.owner, 0);
    while (turns.owner == 0) {
        step_once(a->f);
    }
    mr_shard_close(a->f->shard);
    a->f->shard = NULL;
    assert_int_equal(turns.owner, 0);
    run(b);
    check_outputs(b);
    drop(a);
    drop(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_poison_record_is_a_dead_letter),
        cmocka_unit_test(test_several_poison_records),
        cmocka_unit_test(test_a_poison_record_beside_a_long_backlog),
        cmocka_unit_test(test_a_poison_record_beside_work_that_goes_on),
        cmocka_unit_test(test_kills_without_input_are_not_counted),
        cmocka_unit_test(test_two_inputs_of_a_task),
        cmocka_unit_test(test_small_epochs_stay_within_their_limit),
        cmocka_unit_test(test_a_bounded_run_ends_with_small_epochs),
        cmocka_unit_test(test_a_poison_record_stops_every_start),
        cmocka_unit_test(test_it_goes_on_when_told),
        cmocka_unit_test(test_a_dlq_named_later_takes_it),
        cmocka_unit_test(test_a_record_that_is_gone_is_forgotten),
        cmocka_unit_test(test_too_many_in_a_row_stop),
        cmocka_unit_test(test_kills_blame_nobody),
        cmocka_unit_test(test_epochs_are_as_usual_behind_what_failed),
        cmocka_unit_test(test_aborts_are_not_counted),
        cmocka_unit_test(test_aborts_in_a_trial_do_not_convict),
        cmocka_unit_test(test_a_stop_closes_the_attempt),
        cmocka_unit_test(test_what_counts_as_a_failure),
        cmocka_unit_test(test_the_mark_costs_a_write_a_start),
        cmocka_unit_test(test_without_a_mark_work_goes_on),
        cmocka_unit_test(test_a_trial_is_alone_in_its_process),
        cmocka_unit_test(test_a_trial_does_not_wait_for_an_interval),
        cmocka_unit_test(test_a_trial_may_join_a_heartbeat),
        cmocka_unit_test(test_a_turn_does_not_outlive_its_shard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
