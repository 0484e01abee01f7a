/*
 * ring_test.c - the common layer over a disk that is short, busy, late and repeats itself.
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

enum { BLOCK = MR_IO_BLOCK_BYTES, BLOCKS = 64, TURNS_MAX = 20000 };

typedef struct bench {
    mr_sim_disk *disk;
    mr_ring *ring;
    mr_diag diag;
    int descriptor;
    int32_t file;
    uint8_t *blocks;
} bench;

static bench *bench_open(const mr_sim_fault *fault)
{
    bench *b = calloc(1, sizeof(*b));
    uint64_t size = 0;

    assert_non_null(b);
    b->disk = mr_sim_disk_create(3);
    const mr_io io = mr_sim_disk_io(b->disk);
    assert_int_equal(mr_ring_open(&b->ring, &io, &b->diag), MR_OK);
    assert_int_equal(
        io.files->open(io.files_self, "d/f", MR_FILE_CREATE, &b->descriptor, &size, &b->diag),
        MR_OK);
    assert_int_equal(io.files->zero_fill(io.files_self, b->descriptor, 0, (uint64_t)BLOCKS * BLOCK),
                     MR_OK);
    assert_int_equal(mr_ring_attach(b->ring, b->descriptor, &b->file), MR_OK);
    b->blocks = aligned_alloc(BLOCK, (size_t)BLOCKS * BLOCK);
    assert_non_null(b->blocks);
    mr_sim_disk_fault(b->disk, fault);
    return b;
}

static void bench_close(bench *b)
{
    mr_ring_close(b->ring);
    mr_sim_disk_destroy(b->disk);
    free(b->blocks);
    free(b);
}

static void submit_all(bench *b, mr_io_op op)
{
    for (uint32_t i = 0; i < BLOCKS; i++) {
        const mr_io_request request = {.op = op,
                                       .file = b->file,
                                       .offset = (uint64_t)i * BLOCK,
                                       .buffer = b->blocks + (size_t)i * BLOCK,
                                       .size_bytes = BLOCK,
                                       .tag = i};
        assert_int_equal(mr_ring_submit(b->ring, &request, 1), 1);
    }
}

/* Reaps `count` completions; how many had an error. */
static uint32_t await(bench *b, uint32_t count)
{
    mr_io_completion completions[16];
    uint32_t errors = 0;
    uint32_t turns = 0;

    while (count > 0) {
        const uint32_t got = mr_ring_reap(b->ring, completions, count < 16 ? count : 16);
        for (uint32_t i = 0; i < got; i++) {
            errors += completions[i].error != 0;
        }
        count -= got;
        assert_true(++turns < TURNS_MAX);
    }
    return errors;
}

static void all_content_arrives(const mr_sim_fault *fault)
{
    bench *b = bench_open(fault);

    for (uint32_t i = 0; i < BLOCKS; i++) {
        memset(b->blocks + (size_t)i * BLOCK, (int)i + 1, BLOCK);
    }
    submit_all(b, MR_IO_WRITE);
    assert_int_equal(await(b, BLOCKS), 0);
    memset(b->blocks, 0, (size_t)BLOCKS * BLOCK);
    submit_all(b, MR_IO_READ);
    assert_int_equal(await(b, BLOCKS), 0);
    for (uint32_t i = 0; i < BLOCKS * BLOCK; i++) {
        assert_int_equal(b->blocks[i], i / BLOCK + 1);
    }
    assert_int_equal(mr_ring_in_flight(b->ring), 0);
    bench_close(b);
}

/* COVERS: S25 */
static void test_short_and_busy_are_nobodys_business(void **state)
{
    const mr_sim_fault faults[] = {
        {.short_percent = 20},
        {.busy_percent = 20},
        {.delay_max = 9},
        {.queue_max = 1},
        {.queue_max = 3, .short_percent = 10, .busy_percent = 10, .delay_max = 5}};

    (void)state;
    for (size_t i = 0; i < MR_LENGTH(faults); i++) {
        all_content_arrives(&faults[i]);
    }
}

static void test_resubmission_has_an_end(void **state)
{
    const mr_sim_fault busy = {.busy_percent = 100};
    const mr_sim_fault short_ = {.short_percent = 100};
    const mr_sim_fault *const faults[] = {&busy, &short_};

    (void)state;
    for (uint32_t i = 0; i < 2; i++) {
        bench *b = bench_open(faults[i]);
        mr_io_completion completion;
        const uint64_t before = mr_sim_disk_call_count(b->disk);
        const mr_io_request request = {
            .op = MR_IO_WRITE, .file = b->file, .buffer = b->blocks, .size_bytes = BLOCK, .tag = 1};
        assert_int_equal(mr_ring_submit(b->ring, &request, 1), 1);
        while (mr_ring_reap(b->ring, &completion, 1) == 0) {
        }
        assert_int_equal(completion.error, i == 0 ? EAGAIN : EIO);
        assert_int_equal(mr_sim_disk_call_count(b->disk) - before, 1 + MR_RING_RESUBMITS_MAX);
        bench_close(b);
    }
}

/* COVERS: F12 */
static void test_errors_are_not_retried(void **state)
{
    const mr_sim_fault fault = {.write_error_at = 1};
    bench *b = bench_open(&fault);
    const uint64_t before = mr_sim_disk_call_count(b->disk);

    (void)state;
    submit_all(b, MR_IO_WRITE);
    assert_int_equal(await(b, BLOCKS), 1);
    assert_int_equal(mr_sim_disk_call_count(b->disk) - before, BLOCKS);
    bench_close(b);
}

/* COVERS: S25 */
static void test_stale_completions_are_dropped_and_counted(void **state)
{
    const mr_sim_fault fault = {.stale_at = 5};
    bench *b = bench_open(&fault);
    mr_io_completion completion;

    (void)state;
    submit_all(b, MR_IO_READ);
    assert_int_equal(await(b, BLOCKS), 0);
    submit_all(b, MR_IO_READ); /* Its place in the ring is taken again by then. */
    assert_int_equal(await(b, BLOCKS), 0);
    assert_int_equal(mr_ring_reap(b->ring, &completion, 1), 0);
    assert_int_equal(mr_ring_stale_count(b->ring), 1);
    bench_close(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_short_and_busy_are_nobodys_business),
        cmocka_unit_test(test_resubmission_has_an_end),
        cmocka_unit_test(test_errors_are_not_retried),
        cmocka_unit_test(test_stale_completions_are_dropped_and_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
