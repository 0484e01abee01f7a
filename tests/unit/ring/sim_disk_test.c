/*
 * sim_disk_test.c - the simulated disk keeps the promises of a disk, and no others.
 */
#include "engine/base/assert.h"
#include "io/ring/ring.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = MR_IO_BLOCK_BYTES, SECTORS = BLOCK / 512 };

typedef struct bench {
    mr_sim_disk *disk;
    mr_ring *ring;
    mr_diag diag;
    int descriptor;
    int32_t file;
    uint8_t *block;
} bench;

static void open_file(bench *b)
{
    const mr_io io = mr_sim_disk_io(b->disk);
    uint64_t size = 0;

    assert_int_equal(mr_ring_open(&b->ring, &io, &b->diag), MR_OK);
    assert_int_equal(
        io.files->open(io.files_self, "d/f", MR_FILE_CREATE, &b->descriptor, &size, &b->diag),
        MR_OK);
    if (size == 0) {
        assert_int_equal(io.files->zero_fill(io.files_self, b->descriptor, 0, UINT64_C(16) * BLOCK),
                         MR_OK);
    }
    assert_int_equal(mr_ring_attach(b->ring, b->descriptor, &b->file), MR_OK);
}

static bench bench_open(uint64_t seed)
{
    bench b = {.disk = mr_sim_disk_create(seed), .block = aligned_alloc(BLOCK, BLOCK)};

    assert_non_null(b.block);
    open_file(&b);
    return b;
}

static void bench_close(bench *b)
{
    mr_ring_close(b->ring);
    mr_sim_disk_destroy(b->disk);
    free(b->block);
}

static void submit(bench *b, mr_io_op op, uint8_t value)
{
    const mr_io_request request = {.op = op,
                                   .file = b->file,
                                   .buffer = op == MR_IO_SYNC ? NULL : b->block,
                                   .size_bytes = op == MR_IO_SYNC ? 0 : BLOCK,
                                   .tag = 1};
    memset(b->block, value, BLOCK);
    assert_int_equal(mr_ring_submit(b->ring, &request, 1), 1);
}

static int32_t await(bench *b)
{
    mr_io_completion completion;

    while (mr_ring_reap(b->ring, &completion, 1) == 0) {
    }
    return completion.error;
}

/* Power fails; what is in the first block then. NULL keep: nothing pending survives. */
static const uint8_t *after_crash(bench *b, const uint8_t *keep)
{
    static const uint8_t nothing[64] = {0};
    uint64_t size = 0;

    mr_ring_close(b->ring);
    mr_sim_disk_crash(b->disk, keep != NULL ? keep : nothing);
    const uint8_t *bytes = mr_sim_disk_file(b->disk, "d/f", &size);
    open_file(b);
    assert_non_null(bytes);
    return bytes;
}

static void test_an_unsynced_write_may_be_lost(void **state)
{
    bench b = bench_open(1);

    (void)state;
    submit(&b, MR_IO_WRITE, 7);
    assert_int_equal(await(&b), 0);
    assert_int_equal(mr_sim_disk_pending_count(b.disk), SECTORS);
    assert_int_equal(after_crash(&b, NULL)[0], 0);
    bench_close(&b);
}

static void test_a_crash_tears_inside_a_block(void **state)
{
    bench b = bench_open(2);
    const uint8_t keep[1] = {0x05}; /* Sectors 0 and 2. */

    (void)state;
    submit(&b, MR_IO_WRITE, 7);
    assert_int_equal(await(&b), 0);
    const uint8_t *bytes = after_crash(&b, keep);
    for (uint32_t sector = 0; sector < SECTORS; sector++) {
        assert_int_equal(bytes[(size_t)sector * 512], sector == 0 || sector == 2 ? 7 : 0);
    }
    bench_close(&b);
}

static void test_a_sync_covers_what_was_reaped_before(void **state)
{
    bench b = bench_open(3);

    (void)state;
    submit(&b, MR_IO_WRITE, 7);
    assert_int_equal(await(&b), 0);
    submit(&b, MR_IO_SYNC, 0);
    assert_int_equal(await(&b), 0);
    assert_int_equal(mr_sim_disk_pending_count(b.disk), 0);
    assert_int_equal(after_crash(&b, NULL)[0], 7);
    bench_close(&b);
}

static void test_a_sync_does_not_cover_what_was_in_flight(void **state)
{
    bench b = bench_open(4);
    mr_io_completion completions[2];
    uint32_t count = 0;

    (void)state;
    submit(&b, MR_IO_WRITE, 7);
    const mr_io_request sync = {.op = MR_IO_SYNC, .file = b.file, .tag = 2};
    assert_int_equal(mr_ring_submit(b.ring, &sync, 1), 1);
    while (count < 2) {
        count += mr_ring_reap(b.ring, completions, 2 - count);
    }
    assert_int_equal(after_crash(&b, NULL)[0], 0);
    bench_close(&b);
}

static void test_a_durable_write_covers_itself_alone(void **state)
{
    bench b = bench_open(5);

    (void)state;
    submit(&b, MR_IO_WRITE, 7);
    assert_int_equal(await(&b), 0);
    const mr_io_request durable = {.op = MR_IO_WRITE_DURABLE,
                                   .file = b.file,
                                   .offset = BLOCK,
                                   .buffer = b.block,
                                   .size_bytes = BLOCK,
                                   .tag = 2};
    assert_int_equal(mr_ring_submit(b.ring, &durable, 1), 1);
    assert_int_equal(await(&b), 0);
    const uint8_t *bytes = after_crash(&b, NULL);
    assert_int_equal(bytes[0], 0);
    assert_int_equal(bytes[BLOCK], 7);
    bench_close(&b);
}

static void test_a_failed_sync_drops_and_then_reports_clean(void **state)
{
    bench b = bench_open(6);
    const mr_sim_fault fault = {.sync_error_at = 1};
    static const uint8_t all[64] = {0xff};

    (void)state;
    submit(&b, MR_IO_WRITE, 7);
    assert_int_equal(await(&b), 0);
    mr_sim_disk_fault(b.disk, &fault);
    submit(&b, MR_IO_SYNC, 0);
    assert_int_equal(await(&b), EIO);
    submit(&b, MR_IO_SYNC, 0);
    assert_int_equal(await(&b), 0);
    submit(&b, MR_IO_READ, 0);
    assert_int_equal(await(&b), 0);
    assert_int_equal(b.block[0], 7); /* Still seen, and yet lost: */
    assert_int_equal(after_crash(&b, all)[0], 0);
    bench_close(&b);
}

static void test_a_clone_goes_its_own_way(void **state)
{
    bench b = bench_open(7);
    static const uint8_t all[64] = {0xff};
    uint64_t size = 0;

    (void)state;
    submit(&b, MR_IO_WRITE, 7);
    assert_int_equal(await(&b), 0);
    mr_sim_disk *clone = mr_sim_disk_clone(b.disk, 1);
    mr_sim_disk_crash(clone, all);
    assert_int_equal(mr_sim_disk_file(clone, "d/f", &size)[0], 7);
    mr_sim_disk_destroy(clone);
    assert_int_equal(after_crash(&b, NULL)[0], 0);
    bench_close(&b);
}

static void test_a_dead_disk_answers_with_errors(void **state)
{
    bench b = bench_open(8);

    (void)state;
    mr_sim_disk_die_at(b.disk, mr_sim_disk_call_count(b.disk) + 2);
    submit(&b, MR_IO_WRITE, 7);
    assert_int_equal(await(&b), 0);
    submit(&b, MR_IO_SYNC, 7);
    assert_int_equal(await(&b), EIO);
    assert_int_equal(after_crash(&b, NULL)[0], 0);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_unsynced_write_may_be_lost),
        cmocka_unit_test(test_a_crash_tears_inside_a_block),
        cmocka_unit_test(test_a_sync_covers_what_was_reaped_before),
        cmocka_unit_test(test_a_sync_does_not_cover_what_was_in_flight),
        cmocka_unit_test(test_a_durable_write_covers_itself_alone),
        cmocka_unit_test(test_a_failed_sync_drops_and_then_reports_clean),
        cmocka_unit_test(test_a_clone_goes_its_own_way),
        cmocka_unit_test(test_a_dead_disk_answers_with_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
