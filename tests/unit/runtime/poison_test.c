/*
 * poison_test.c - what follows from a mark that a start finds: counting, halving, the verdict.
 *
 * LINK: mr_runtime mr_state mr_kafka mr_ring mr_format mr_batch mr_base
 */
#include "engine/runtime/runtime_private.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { HALVINGS = 10 };

static const mr_mark_facts here = {.epoch_records = 200000, .after = 3, .is_same = true};

/* The attempt died at the same offsets as before. */
static void die(mr_mark *mark, const mr_mark_facts *facts)
{
    mark->is_open = true;
    mr_mark_start(mark, facts);
    assert_false(mark->is_open);
}

/* As many records as the limit allows. */
static void try_it(mr_mark *mark, int64_t offset)
{
    const mr_mark_place place = {.topic = 5, .offset = offset, .end = offset + mark->limit};
    mr_mark_try(mark, &place);
    assert_true(mark->is_tried && mark->has_suspect);
    assert_int_equal(mark->end, offset + mark->limit);
}

static mr_mark at_limit_one(void)
{
    return (mr_mark){.limit = 1};
}

static void test_failures_at_the_same_offsets_are_counted(void **state)
{
    (void)state;
    mr_mark mark = {.limit = 0};
    mr_mark_facts facts = here;
    mr_mark_start(&mark, &facts); /* The very first start. */
    assert_int_equal(mark.failures, 0);
    for (uint32_t i = 1; i < 3; i++) {
        die(&mark, &facts);
        assert_int_equal(mark.failures, i);
        assert_int_equal(mark.limit, 0);
    }
    facts.is_same = false; /* The last attempt committed something of every input first. */
    die(&mark, &facts);
    assert_int_equal(mark.failures, 1);
    facts.is_same = true;
    die(&mark, &facts);
    die(&mark, &facts);
    assert_int_equal(mark.failures, 3);
    assert_int_equal(mark.limit, 512);
}

static void test_an_attempt_that_ended_well_does_not_count(void **state)
{
    (void)state;
    mr_mark mark = {.failures = 2};
    mr_mark_start(&mark, &here);
    assert_int_equal(mark.failures, 2); /* Nor is it a success: nothing was committed. */
    mr_mark_facts elsewhere = here;
    elsewhere.is_same = false;
    mr_mark_start(&mark, &elsewhere);
    assert_int_equal(mark.failures, 0);
}

static void test_each_failure_halves(void **state)
{
    (void)state;
    mr_mark mark = {.failures = 2};
    mr_mark_facts facts = here;
    die(&mark, &facts);
    assert_int_equal(mark.limit, 512);
    for (uint32_t i = 1; i < HALVINGS; i++) {
        facts.is_same = i % 2 == 0; /* Also where smaller epochs before it were committed. */
        try_it(&mark, 40);
        die(&mark, &facts);
        assert_int_equal(mark.limit, 512 >> i);
        assert_true(mark.has_suspect);                /* These records first, */
        assert_int_equal(mark.end, 40 + (1024 >> i)); /* up to here. */
        assert_int_equal(mark.suspect_failures, 0);
        die(&mark, &facts); /* Nothing was tried: nothing is learnt. */
        assert_int_equal(mark.limit, 512 >> i);
    }
    assert_int_equal(mark.limit, 1);
    assert_false(mark.is_convicted);
}

static void test_the_first_limit_is_half_an_epoch(void **state)
{
    (void)state;
    static const struct {
        uint64_t records;
        uint32_t limit;
    } cases[] = {{1, 1}, {2, 1}, {100, 50}, {1024, 512}, {UINT64_MAX, 512}};
    for (uint32_t i = 0; i < MR_LENGTH(cases); i++) {
        mr_mark mark = {.failures = 2};
        mr_mark_facts facts = here;
        facts.epoch_records = cases[i].records;
        die(&mark, &facts);
        assert_int_equal(mark.limit, cases[i].limit);
    }
}

static void test_a_record_is_convicted_by_its_own_failures(void **state)
{
    (void)state;
    mr_mark mark = at_limit_one();
    for (uint32_t i = 1; i <= 3; i++) {
        assert_false(mark.is_convicted);
        try_it(&mark, 40);
        die(&mark, &here);
        assert_int_equal(mark.suspect_failures, i);
    }
    assert_true(mark.is_convicted);
    assert_int_equal(mark.in_a_row, 1);
    die(&mark, &here); /* Its dead letter was not committed. */
    assert_true(mark.is_convicted);
    assert_int_equal(mark.in_a_row, 1);
}

/* Two failures of one record and one of its neighbour are no three. */
static void test_failures_of_others_do_not_add_up(void **state)
{
    (void)state;
    mr_mark mark = at_limit_one();
    try_it(&mark, 40);
    die(&mark, &here);
    try_it(&mark, 40);
    die(&mark, &here);
    try_it(&mark, 41);
    die(&mark, &here);
    assert_int_equal(mark.suspect_failures, 1);
    assert_false(mark.is_convicted);
}

/* It died, but not while the record was tried. */
static void test_a_death_outside_a_trial_blames_nobody(void **state)
{
    (void)state;
    mr_mark mark = at_limit_one();
    try_it(&mark, 40);
    die(&mark, &here);
    for (uint32_t i = 0; i < 5; i++) {
        die(&mark, &here);
    }
    assert_int_equal(mark.suspect_failures, 1);
    assert_true(mark.has_suspect);
}

/* The trial was committed before the process died. */
static void test_a_record_that_passed_is_free(void **state)
{
    (void)state;
    mr_mark mark = at_limit_one();
    mr_mark_facts facts = here;
    mark.in_a_row = 4;
    for (uint32_t i = 0; i < 2; i++) {
        try_it(&mark, 40);
        die(&mark, &facts);
    }
    try_it(&mark, 40);
    facts.is_past = true;
    facts.is_same = false;
    die(&mark, &facts);
    assert_false(mark.has_suspect);
    assert_false(mark.is_convicted);
    assert_int_equal(mark.suspect_failures, 0);
    assert_int_equal(mark.in_a_row, 0);
    assert_int_equal(mark.limit, 1);
}

/* The convicted one is a dead letter: the next one follows in the row. */
static void test_convictions_in_a_row_are_counted(void **state)
{
    (void)state;
    mr_mark mark = at_limit_one();
    for (uint32_t n = 1; n <= 3; n++) {
        mr_mark_facts facts = here;
        for (uint32_t i = 0; i < 3; i++) {
            try_it(&mark, n);
            die(&mark, &facts);
        }
        assert_int_equal(mark.in_a_row, n);
        facts.is_past = true;
        mr_mark_start(&mark, &facts);
        assert_false(mark.has_suspect);
        assert_int_equal(mark.in_a_row, n);
    }
}

/* Its trial ended in an abort: it is no more suspect than before. */
static void test_a_trial_that_ended_well_does_not_count(void **state)
{
    (void)state;
    mr_mark mark = at_limit_one();
    try_it(&mark, 40);
    die(&mark, &here);
    try_it(&mark, 40);
    mr_mark_start(&mark, &here);
    assert_int_equal(mark.suspect_failures, 1);
    mark.limit = 64;
    try_it(&mark, 40);
    mr_mark_start(&mark, &here);
    assert_int_equal(mark.limit, 64);
}

/* By topic, partition and offset; a verdict is over that record alone. */
static void test_another_place_is_another_suspect(void **state)
{
    (void)state;
    static const mr_mark_place places[] = {{.topic = 6, .partition = 0, .offset = 40, .end = 41},
                                           {.topic = 5, .partition = 1, .offset = 40, .end = 41},
                                           {.topic = 5, .partition = 0, .offset = 41, .end = 42}};
    for (uint32_t i = 0; i < MR_LENGTH(places); i++) {
        mr_mark mark = at_limit_one();
        for (uint32_t n = 0; n < 3; n++) {
            try_it(&mark, 40);
            die(&mark, &here);
        }
        assert_true(mark.is_convicted);
        assert_false(mr_mark_is_at(&mark, &places[i]));
        mr_mark_try(&mark, &places[i]);
        assert_false(mark.is_convicted);
        assert_int_equal(mark.suspect_failures, 0);
    }
}

/* Twice the limit must pass: that is more than what failed. */
static void test_what_passes_doubles_the_limit(void **state)
{
    (void)state;
    mr_mark mark = at_limit_one();
    uint64_t passed = 0, total = 0;
    uint32_t epochs = 0;
    while (mark.limit != 0) {
        const uint32_t limit = mark.limit;
        assert_false(mr_mark_passed(&mark, &passed, limit, 1000));
        assert_true(mr_mark_passed(&mark, &passed, limit, 1000));
        assert_true(mark.limit == 2 * limit || mark.limit == 0);
        total += UINT64_C(2) * limit;
        epochs += 2;
    }
    assert_int_equal(epochs, 22);
    assert_true(total >= 2000); /* Two epochs as usual may have been under way. */
    mark = (mr_mark){.limit = 8};
    for (uint32_t i = 1; i < 16; i++) { /* Small epochs prove little. */
        assert_false(mr_mark_passed(&mark, &passed, 1, 1000));
    }
    assert_true(mr_mark_passed(&mark, &passed, 1, 1000));
    mark.limit = UINT32_MAX;
    assert_true(mr_mark_passed(&mark, &passed, UINT64_C(1) << 40, UINT64_MAX));
    assert_int_equal(mark.limit, 0);
}

/* All that failed attempts can have seen is committed. */
static void test_an_acquittal_ends_small_epochs(void **state)
{
    (void)state;
    mr_mark mark = {.limit = 8,
                    .failures = 2,
                    .has_suspect = true,
                    .is_tried = true,
                    .suspect_failures = 1,
                    .in_a_row = 3,
                    .end = 9};
    mr_mark_acquit(&mark);
    assert_int_equal(mark.limit, 0);
    assert_int_equal(mark.failures, 0);
    assert_int_equal(mark.in_a_row, 0);
    assert_false(mark.has_suspect);
    assert_false(mark.is_tried);
    mark = (mr_mark){.limit = 1, .is_convicted = true, .has_suspect = true, .in_a_row = 3};
    mr_mark_acquit(&mark); /* The last record there was went to the dlq: it did not pass. */
    assert_int_equal(mark.in_a_row, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failures_at_the_same_offsets_are_counted),
        cmocka_unit_test(test_an_attempt_that_ended_well_does_not_count),
        cmocka_unit_test(test_each_failure_halves),
        cmocka_unit_test(test_the_first_limit_is_half_an_epoch),
        cmocka_unit_test(test_a_record_is_convicted_by_its_own_failures),
        cmocka_unit_test(test_failures_of_others_do_not_add_up),
        cmocka_unit_test(test_a_death_outside_a_trial_blames_nobody),
        cmocka_unit_test(test_a_record_that_passed_is_free),
        cmocka_unit_test(test_convictions_in_a_row_are_counted),
        cmocka_unit_test(test_a_trial_that_ended_well_does_not_count),
        cmocka_unit_test(test_another_place_is_another_suspect),
        cmocka_unit_test(test_what_passes_doubles_the_limit),
        cmocka_unit_test(test_an_acquittal_ends_small_epochs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
