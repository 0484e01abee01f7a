/*
 * shard_disk_test.c - a shard with its state on a real disk dies at any step and is opened again:
 * counts go on exactly. Where state and committed offsets no longer belong together it refuses.
 *
 * LINK: mr_runtime mr_state mr_kafka mr_ring mr_format mr_batch mr_base
 */
#define _GNU_SOURCE
#include "tests/unit/runtime/shard_fixture.h"
#include <dirent.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

static void drain(void *self, int descriptor)
{
    uint64_t value = 0;
    (void)self;
    (void)!read(descriptor, &value, sizeof(value));
}

/* Files of the state; the folder stays. */
static void wipe(const char *directory)
{
    DIR *folder = opendir(directory);
    const struct dirent *entry = NULL;
    assert_non_null(folder);
    while ((entry = readdir(folder)) != NULL) {
        (void)unlinkat(dirfd(folder), entry->d_name, 0);
    }
    closedir(folder);
}

static void open_on_disk(fixture *f)
{
    char fallback[256];
    assert_int_equal(mr_io_open(MR_IO_THREADS, f->directory, &f->env.io, fallback, &f->diag),
                     MR_OK);
    open_it(f);
}

static fixture *fixture_on_disk(char directory[64])
{
    fixture *f = fixture_with_rows(2, true, FEW_ROWS);
    snprintf(directory, 64, "/tmp/shard-XXXXXX");
    assert_non_null(mkdtemp(directory));
    f->directory = directory;
    f->env.wake_descriptor = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    f->env.sleep.drain = drain;
    f->plan.commit.records = 100;
    f->kafka.fetch_rows = 20;
    f->plan.state.wal_max_bytes = 256 << 20;
    open_on_disk(f);
    return f;
}

static void free_on_disk(fixture *f)
{
    char directory[64];
    const int descriptor = f->env.wake_descriptor;
    snprintf(directory, sizeof(directory), "%s", f->directory);
    free_fixture(f);
    close(descriptor);
    wipe(directory);
    rmdir(directory);
}

/* The process is gone: what Kafka was told is settled one way or the other, the rest is lost. */
static void die(fixture *f, bool commit_wins)
{
    if (f->kafka.commit_posted && commit_wins) {
        fake_apply(&f->kafka);
    }
    mr_shard_close(f->shard);
    f->shard = NULL;
    fake_reset(&f->kafka);
}

/* COVERS: S17 I1 I2 I5 */
static void test_a_death_at_any_step_loses_nothing(void **state)
{
    (void)state;
    bool was_there = true;
    uint32_t deaths = 0;
    for (uint32_t step = 0; was_there; step += 2) {
        char directory[64];
        fixture *f = fixture_on_disk(directory);
        for (uint32_t i = 0; i < step; i++) {
            step_once(f);
        }
        was_there = !all_committed(f);
        die(f, step % 4 == 0);
        open_on_disk(f);
        drive(f, is_running);
        die(f, false); /* Once more, right behind the claim. */
        open_on_disk(f);
        drive(f, all_committed);
        check_all(f);
        free_on_disk(f);
        deaths++;
    }
    assert_true(deaths > 8);
}

/* In one process: the store goes back by its undo, also out of the middle of a seal.
 * COVERS: S11 I1 I2 I5 */
static void test_a_failure_at_any_step_loses_nothing(void **state)
{
    (void)state;
    bool was_there = true;
    uint32_t failures = 0;
    for (uint32_t step = 0; was_there; step++) {
        char directory[64];
        fixture *f = fixture_on_disk(directory);
        for (uint32_t i = 0; i < step; i++) {
            step_once(f);
        }
        was_there = !all_committed(f);
        if (f->kafka.commit_posted && step % 2 == 0) {
            fake_apply(&f->kafka);
        }
        fake_fail(&f->kafka, MR_ERR_OUTCOME_UNKNOWN, "the test says so");
        drive(f, all_committed);
        check_all(f);
        die(f, false);
        open_on_disk(f); /* What memory holds is what the disk holds. */
        feed(f, TOPIC_IN, 1, KEYS);
        f->kafka.logs[TOPIC_OUT][1].count = 0;
        drive(f, all_committed);
        assert_int_equal(f->kafka.logs[TOPIC_OUT][1].count, KEYS);
        assert_string_equal(f->kafka.logs[TOPIC_OUT][1].records[0].value, "44");
        free_on_disk(f);
        failures++;
    }
    assert_true(failures > 16);
}

static void expect_refusal_after(fixture *f, const char *name)
{
    open_on_disk(f);
    const uint32_t commits = f->kafka.commit_count;
    expect_failure(f, name);
    assert_int_equal(mr_shard_failure(f->shard)->status, MR_ERR_REFUSED);
    assert_int_equal(f->kafka.commit_count, commits);
    free_on_disk(f);
}

static void test_a_lost_disk_is_refused(void **state)
{
    (void)state;
    char directory[64];
    fixture *f = fixture_on_disk(directory);
    drive(f, all_committed);
    die(f, false);
    wipe(directory);
    expect_refusal_after(f, "E_STATE_BEHIND");
}

static void test_lost_offsets_are_refused(void **state)
{
    (void)state;
    char directory[64];
    fixture *f = fixture_on_disk(directory);
    drive(f, all_committed);
    step_once(f);
    die(f, false);
    f->kafka.logs[TOPIC_IN][1].committed = -1;
    f->kafka.logs[TOPIC_IN][1].metadata_bytes = 0;
    expect_refusal_after(f, "E_OFFSETS_MISSING");
}

/* Empty state, from the committed offsets on; the starts behind it need no answer. */
static void test_a_lost_disk_begins_anew_when_told(void **state)
{
    (void)state;
    static const mr_answers answers = {.adopt = MR_ADOPT_RESET_STATE};
    char directory[64];
    fixture *f = fixture_on_disk(directory);
    drive(f, all_committed);
    die(f, false);
    wipe(directory);
    const uint32_t before = f->kafka.logs[TOPIC_OUT][1].count;
    f->answers = &answers;
    open_on_disk(f);
    feed(f, TOPIC_IN, 1, KEYS);
    drive(f, all_committed);
    assert_int_equal(f->kafka.logs[TOPIC_OUT][1].count, before + KEYS);
    assert_string_equal(f->kafka.logs[TOPIC_OUT][1].records[before].value, "1");
    die(f, false);
    f->answers = NULL;
    open_on_disk(f);
    feed(f, TOPIC_IN, 1, KEYS);
    drive(f, all_committed);
    assert_string_equal(f->kafka.logs[TOPIC_OUT][1].records[before + KEYS].value, "2");
    assert_int_equal(recoveries(f), 0);
    free_on_disk(f);
}

/* The log knows an epoch as decided from the one behind it: at most the last one is repeated. */
static void test_lost_offsets_go_on_with_the_state_when_told(void **state)
{
    (void)state;
    static const mr_answers answers = {.adopt = MR_ADOPT_KEEP_STATE};
    char directory[64];
    fixture *f = fixture_on_disk(directory);
    drive(f, all_committed);
    step_once(f);
    die(f, false);
    for (uint32_t p = 0; p < 2; p++) {
        f->kafka.logs[TOPIC_IN][p].committed = -1;
        f->kafka.logs[TOPIC_IN][p].metadata_bytes = 0;
    }
    f->answers = &answers;
    open_on_disk(f);
    feed(f, TOPIC_IN, 1, KEYS);
    drive(f, all_committed);
    const fake_log *out = &f->kafka.logs[TOPIC_OUT][1];
    char expected[FAKE_TEXT];
    snprintf(expected, sizeof(expected), "%u", FEW_ROWS / KEYS + 1);
    assert_string_equal(out->records[out->count - 1].value, expected);
    free_on_disk(f);
}

static void test_an_offset_moved_by_hand_is_refused(void **state)
{
    (void)state;
    char directory[64];
    fixture *f = fixture_on_disk(directory);
    drive(f, all_committed);
    die(f, false);
    f->kafka.logs[TOPIC_IN][1].committed -= 10; /* The record is kept: a careless tool. */
    expect_refusal_after(f, "E_RECORD_DISAGREE");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_death_at_any_step_loses_nothing),
        cmocka_unit_test(test_a_failure_at_any_step_loses_nothing),
        cmocka_unit_test(test_a_lost_disk_is_refused),
        cmocka_unit_test(test_lost_offsets_are_refused),
        cmocka_unit_test(test_a_lost_disk_begins_anew_when_told),
        cmocka_unit_test(test_lost_offsets_go_on_with_the_state_when_told),
        cmocka_unit_test(test_an_offset_moved_by_hand_is_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
