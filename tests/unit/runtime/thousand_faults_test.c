/*
 * thousand_faults_test.c - what a shard holds does not grow with the faults it has been through.
 *
 * LINK: mr_runtime mr_state mr_kafka mr_ring mr_format mr_batch mr_base
 */
#include "tests/unit/runtime/shard_fixture.h"
#include <dirent.h>
#include <malloc.h>

enum { FAULTS = 1000, WARM = 100 };

typedef struct holding { /* What the process has. */
    uint64_t bytes;
    uint32_t descriptors;
} holding;

static holding look(void)
{
    const struct mallinfo2 info = mallinfo2();
    holding have = {.bytes = info.uordblks + info.hblkhd};
    DIR *folder = opendir("/proc/self/fd");

    assert_non_null(folder);
    while (readdir(folder) != NULL) {
        have.descriptors++;
    }
    (void)closedir(folder);
    return have;
}

/* COVERS: I13 */
static void test_a_thousand_faults_leave_nothing_behind(void **state)
{
    static const fake_outcome outcomes[] = {FAKE_ABORTS, FAKE_UNKNOWN_COMMITTED,
                                            FAKE_UNKNOWN_ABORTED};
    holding warm = {.bytes = 0};
    fixture *f = fixture_with_rows(2, true, KEYS);

    (void)state;
    open_it(f);
    drive(f, all_committed);
    for (uint32_t i = 0; i < FAULTS; i++) {
        const uint64_t before = recoveries(f);
        f->kafka.outcome = outcomes[i % MR_LENGTH(outcomes)];
        f->kafka.outcome_at = f->kafka.commit_count + 1;
        feed(f, TOPIC_IN, i % 2, KEYS);
        drive(f, all_committed);
        assert_true(recoveries(f) > before);
        if (i == WARM) {
            warm = look();
        }
    }
    const holding have = look();
    assert_int_equal(have.bytes, warm.bytes);
    assert_int_equal(have.descriptors, warm.descriptors);
    check_all(f);
    free_fixture(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_thousand_faults_leave_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
