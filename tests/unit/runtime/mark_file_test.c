/* mark_file_test.c - the mark of a shard's attempts on disk: whole, torn, damaged, impossible. */
#define _GNU_SOURCE
#include "engine/runtime/runtime_private.h"
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

enum { BLOCK = 4096 };

typedef struct fixture {
    char directory[64], path[80];
    mr_block_file file;
    mr_mark mark;
    mr_diag diag;
} fixture;

static const mr_mark full = {.prints = {0x1122, [1999] = 0x7788},
                             .failures = 3,
                             .limit = 1,
                             .topic = 0xaabbccdd00112233,
                             .offset = INT64_C(1) << 40,
                             .end = (INT64_C(1) << 40) + 1,
                             .partition = 1999,
                             .suspect_failures = 2,
                             .in_a_row = 5,
                             .reason = MR_ERR_LIMIT,
                             .is_open = true,
                             .has_suspect = true,
                             .is_tried = true,
                             .is_convicted = true};

static fixture *make(void)
{
    fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    snprintf(f->directory, sizeof(f->directory), "/tmp/mark-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    snprintf(f->path, sizeof(f->path), "%s/attempt-11", f->directory);
    return f;
}

static void drop(fixture *f)
{
    mr_block_file_close(&f->file);
    assert_int_equal(unlink(f->path), 0);
    assert_int_equal(rmdir(f->directory), 0);
    free(f);
}

static mr_status open_it(fixture *f)
{
    return mr_mark_file_open(&f->file, f->directory, 11, &f->mark, &f->diag);
}

static void write_it(fixture *f, const mr_mark *mark)
{
    assert_int_equal(mr_mark_file_write(&f->file, mark, &f->diag), MR_OK);
}

static void reopen(fixture *f, mr_status expected)
{
    mr_block_file_close(&f->file);
    assert_int_equal(open_it(f), expected);
}

static void damage(const fixture *f, long at)
{
    FILE *file = fopen(f->path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, at, SEEK_SET), 0);
    const int byte = fgetc(file);
    assert_int_equal(fseek(file, at, SEEK_SET), 0);
    assert_int_equal(fputc(byte ^ 0x10, file), byte ^ 0x10);
    assert_int_equal(fclose(file), 0);
}

static void expect_mark(const mr_mark *mark, const mr_mark *expected)
{
    assert_memory_equal(mark->prints, expected->prints, sizeof(mark->prints));
    assert_int_equal(mark->failures, expected->failures);
    assert_int_equal(mark->limit, expected->limit);
    assert_int_equal(mark->topic, expected->topic);
    assert_int_equal(mark->offset, expected->offset);
    assert_int_equal(mark->end, expected->end);
    assert_int_equal(mark->partition, expected->partition);
    assert_int_equal(mark->suspect_failures, expected->suspect_failures);
    assert_int_equal(mark->in_a_row, expected->in_a_row);
    assert_int_equal(mark->reason, expected->reason);
    assert_int_equal(mark->is_open, expected->is_open);
    assert_int_equal(mark->has_suspect, expected->has_suspect);
    assert_int_equal(mark->is_tried, expected->is_tried);
    assert_int_equal(mark->is_convicted, expected->is_convicted);
}

static void test_what_was_written_is_read(void **state)
{
    (void)state;
    static const mr_mark none = {.limit = 0};
    fixture *f = make();
    assert_int_equal(open_it(f), MR_OK);
    expect_mark(&f->mark, &none);
    write_it(f, &full);
    reopen(f, MR_OK);
    expect_mark(&f->mark, &full);
    for (uint32_t bit = 0; bit < 4; bit++) { /* Each flag alone, as far as it can stand alone. */
        mr_mark mark = {.limit = 1, .is_open = bit == 0, .has_suspect = bit > 0};
        mark.end = mark.has_suspect;
        mark.is_tried = bit == 2;
        mark.is_convicted = bit == 3;
        write_it(f, &mark);
        reopen(f, MR_OK);
        expect_mark(&f->mark, &mark);
    }
    drop(f);
}

static void test_a_torn_write_leaves_the_one_before(void **state)
{
    (void)state;
    static const mr_mark older = {.prints = {4}, .failures = 1};
    for (long at = 0; at < BLOCK; at += 53) {
        fixture *f = make();
        assert_int_equal(open_it(f), MR_OK);
        write_it(f, &older);
        write_it(f, &full); /* The third: in the first block. */
        mr_block_file_close(&f->file);
        damage(f, at);
        assert_int_equal(open_it(f), MR_OK);
        expect_mark(&f->mark, &older);
        drop(f);
    }
}

/* Neither writing in vain nor the write after it may touch the copy that counts. */
static void test_a_write_that_failed_spares_the_other_copy(void **state)
{
    static const mr_mark newer = {.prints = {9}, .failures = 2};
    struct rlimit limit;
    struct rlimit before;

    (void)state;
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    fixture *f = make();
    assert_int_equal(open_it(f), MR_OK);
    write_it(f, &full);
    write_it(f, &full); /* The third: in the first block; the next goes to the second. */
    limit = before;
    limit.rlim_cur = BLOCK;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    const mr_status status = mr_mark_file_write(&f->file, &newer, &f->diag);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(status, MR_ERR_LIMIT);
    write_it(f, &newer);
    mr_block_file_close(&f->file);
    damage(f, BLOCK + 40); /* That write was torn. */
    assert_int_equal(open_it(f), MR_OK);
    expect_mark(&f->mark, &full);
    drop(f);
}

/* A reason that no release of this format writes, or a later one. */
static void test_an_unknown_reason_is_a_death(void **state)
{
    (void)state;
    mr_mark mark = full;
    mark.reason = 0x777;
    fixture *f = make();
    assert_int_equal(open_it(f), MR_OK);
    write_it(f, &mark);
    reopen(f, MR_OK);
    mark.reason = MR_OK;
    expect_mark(&f->mark, &mark);
    drop(f);
}

static void test_two_damaged_copies_are_refused(void **state)
{
    (void)state;
    fixture *f = make();
    assert_int_equal(open_it(f), MR_OK);
    write_it(f, &full);
    mr_block_file_close(&f->file);
    damage(f, 40);
    damage(f, BLOCK + 40);
    assert_int_equal(open_it(f), MR_ERR_REFUSED);
    assert_non_null(strstr(f->diag.text, "E_STATE_DAMAGED"));
    assert_non_null(strstr(f->diag.text, f->path));
    assert_non_null(strstr(f->diag.text, "remove the file"));
    drop(f);
}

/* A checksum that fits proves no meaning: a suspect is tried alone, or not at all. */
static void test_an_impossible_mark_is_refused(void **state)
{
    (void)state;
    mr_mark marks[] = {full, full, full, full, full};
    marks[0].limit = 2; /* A verdict over two. */
    marks[1].has_suspect = false;
    marks[2].offset = -1;
    marks[3].end = marks[3].offset;
    marks[4].limit = 0;
    marks[4].is_convicted = false;
    for (uint32_t i = 0; i < MR_LENGTH(marks); i++) {
        fixture *f = make();
        assert_int_equal(open_it(f), MR_OK);
        write_it(f, &marks[i]);
        reopen(f, MR_ERR_REFUSED);
        drop(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_written_is_read),
        cmocka_unit_test(test_a_torn_write_leaves_the_one_before),
        cmocka_unit_test(test_a_write_that_failed_spares_the_other_copy),
        cmocka_unit_test(test_an_unknown_reason_is_a_death),
        cmocka_unit_test(test_two_damaged_copies_are_refused),
        cmocka_unit_test(test_an_impossible_mark_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
