/* worker_file_test.c - what a state directory remembers of its worker: whole, torn, damaged. */
#define _GNU_SOURCE
#include "engine/runtime/runtime_private.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { BLOCK = 4096 };

typedef struct fixture {
    char directory[64], path[80];
    mr_worker_file file;
    mr_diag diag;
} fixture;

static fixture *make(void)
{
    fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    snprintf(f->directory, sizeof(f->directory), "/tmp/worker-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    snprintf(f->path, sizeof(f->path), "%s/worker", f->directory);
    return f;
}

static void drop(fixture *f)
{
    mr_worker_file_close(&f->file);
    assert_int_equal(unlink(f->path), 0);
    assert_int_equal(rmdir(f->directory), 0);
    free(f);
}

static mr_status open_it(fixture *f)
{
    return mr_worker_file_open(&f->file, f->directory, &f->diag);
}

static void write_it(fixture *f, uint32_t shards, bool is_fenced)
{
    f->file.shard_count = shards;
    f->file.is_fenced = is_fenced;
    snprintf(f->file.worker_set, sizeof(f->file.worker_set), "p0_3");
    assert_int_equal(mr_worker_file_write(&f->file, &f->diag), MR_OK);
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

static void test_what_was_written_is_read(void **state)
{
    (void)state;
    fixture *f = make();
    assert_int_equal(open_it(f), MR_OK);
    assert_int_equal(f->file.file.sequence, 0);
    for (uint32_t i = 1; i <= 5; i++) {
        write_it(f, i, i % 2 == 0);
        mr_worker_file_close(&f->file);
        assert_int_equal(open_it(f), MR_OK);
        assert_int_equal(f->file.shard_count, i);
        assert_int_equal(f->file.is_fenced, i % 2 == 0);
        assert_string_equal(f->file.worker_set, "p0_3");
    }
    drop(f);
}

/* A write that was cut short, or any flipped bit of it: the one before counts. */
static void test_a_torn_write_leaves_the_one_before(void **state)
{
    (void)state;
    for (long at = 0; at < BLOCK; at += 101) {
        fixture *f = make();
        assert_int_equal(open_it(f), MR_OK);
        write_it(f, 2, false);
        write_it(f, 2, true); /* The third: in the first block. */
        mr_worker_file_close(&f->file);
        damage(f, at);
        assert_int_equal(open_it(f), MR_OK);
        assert_int_equal(f->file.shard_count, 2);
        assert_false(f->file.is_fenced);
        drop(f);
    }
}

static void test_a_first_write_cut_short_is_none(void **state)
{
    (void)state;
    fixture *f = make();
    assert_int_equal(open_it(f), MR_OK);
    write_it(f, 2, false);
    mr_worker_file_close(&f->file);
    assert_int_equal(truncate(f->path, BLOCK), 0);
    damage(f, 100);
    assert_int_equal(open_it(f), MR_OK);
    assert_int_equal(f->file.file.sequence, 0);
    drop(f);
}

static void test_two_damaged_copies_are_refused(void **state)
{
    (void)state;
    fixture *f = make();
    assert_int_equal(open_it(f), MR_OK);
    write_it(f, 2, false);
    mr_worker_file_close(&f->file);
    damage(f, 40);
    damage(f, BLOCK + 40);
    assert_int_equal(open_it(f), MR_ERR_REFUSED);
    assert_non_null(strstr(f->diag.text, "E_STATE_DAMAGED"));
    assert_non_null(strstr(f->diag.text, f->path));
    drop(f);
}

static void test_a_second_process_is_refused(void **state)
{
    (void)state;
    fixture *f = make();
    mr_worker_file second;
    assert_int_equal(open_it(f), MR_OK);
    assert_int_equal(mr_worker_file_open(&second, f->directory, &f->diag), MR_ERR_REFUSED);
    assert_non_null(strstr(f->diag.text, "E_STATE_LOCKED"));
    mr_worker_file_close(&f->file);
    assert_int_equal(mr_worker_file_open(&second, f->directory, &f->diag), MR_OK);
    mr_worker_file_close(&second);
    drop(f);
}

static void test_a_link_is_refused(void **state)
{
    (void)state;
    fixture *f = make();
    assert_int_equal(symlink("/dev/null", f->path), 0);
    assert_int_equal(open_it(f), MR_ERR_CONFIG);
    assert_non_null(strstr(f->diag.text, "E_STATE_DIRECTORY"));
    drop(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_written_is_read),
        cmocka_unit_test(test_a_torn_write_leaves_the_one_before),
        cmocka_unit_test(test_a_first_write_cut_short_is_none),
        cmocka_unit_test(test_two_damaged_copies_are_refused),
        cmocka_unit_test(test_a_second_process_is_refused),
        cmocka_unit_test(test_a_link_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
