/*
 * io_contract.c - what every I/O back-end promises: the same cases on io_uring, on threads and on
 * the simulated disk, so that the simulated one cannot drift from the real ones.
 *
 * LINK: mr_ring mr_base
 * ALSO: tsan
 */
#define _GNU_SOURCE
#include "engine/base/assert.h"
#include "io/ring/ring.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { BLOCK = MR_IO_BLOCK_BYTES, WAITS_MAX = 2000, NAME_BYTES = 96 };

typedef enum backend { URING, THREADS, SIM, BACKENDS } backend;

static const char *const backend_names[BACKENDS] = {"uring", "threads", "sim"};

typedef struct bench {
    backend kind;
    char folder[64];
    mr_sim_disk *disk;
    mr_ring *ring;
    mr_io io;
    mr_diag diag;
    int descriptor; /* Of "a", attached as `file`. */
    int32_t file;
    uint8_t *blocks; /* 2 MiB, aligned. */
} bench;

enum { BLOCKS_BYTES = 2 << 20 };

/* ---- The bench ---- */

static void ring_open(bench *b)
{
    if (b->kind == SIM) {
        b->io = mr_sim_disk_io(b->disk);
    } else {
        char fallback[256];
        const mr_io_choice choice = b->kind == URING ? MR_IO_URING : MR_IO_THREADS;
        if (mr_io_open(choice, b->folder, &b->io, fallback, &b->diag) != MR_OK) {
            fail_msg("%s", b->diag.text);
        }
        assert_string_equal(fallback, "");
    }
    assert_string_equal(b->io.raw->name, backend_names[b->kind]);
    assert_int_equal(mr_ring_open(&b->ring, &b->io, &b->diag), MR_OK);
}

static mr_status file_open(bench *b, const char *name, uint32_t flags, int *descriptor,
                           uint64_t *size_bytes)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s", b->folder, name);
    return b->io.files->open(b->io.files_self, path, flags, descriptor, size_bytes, &b->diag);
}

static void file_close(bench *b, int descriptor)
{
    b->io.files->close(b->io.files_self, descriptor);
}

/* A file of so many zeroed blocks, attached. */
static void file_make(bench *b, const char *name, uint32_t blocks, int *descriptor, int32_t *file)
{
    uint64_t size = 0;
    if (file_open(b, name, MR_FILE_CREATE, descriptor, &size) != MR_OK) {
        fail_msg("%s", b->diag.text);
    }
    if (blocks > 0) {
        assert_int_equal(
            b->io.files->zero_fill(b->io.files_self, *descriptor, 0, (uint64_t)blocks * BLOCK),
            MR_OK);
    }
    assert_int_equal(mr_ring_attach(b->ring, *descriptor, file), MR_OK);
}

static int set_up(void **state)
{
    const backend kind = *(const backend *)*state;
    bench *b = calloc(1, sizeof(*b));

    b->kind = kind;
    (void)snprintf(b->folder, sizeof(b->folder), "io_contract-XXXXXX");
    if (kind == SIM) {
        b->disk = mr_sim_disk_create(5);
    } else if (mkdtemp(b->folder) == NULL) {
        return -1;
    }
    (void)setenv("MR_IO", "", 1);
    ring_open(b);
    b->blocks = aligned_alloc(BLOCK, BLOCKS_BYTES);
    memset(b->blocks, 0, BLOCKS_BYTES);
    file_make(b, "a", 512, &b->descriptor, &b->file);
    *state = b;
    return 0;
}

static int tear_down(void **state)
{
    bench *b = *state;

    if (b->ring != NULL) {
        mr_ring_close(b->ring);
    }
    b->io.files->close(b->io.files_self, b->descriptor);
    free(b->blocks);
    mr_sim_disk_destroy(b->disk);
    if (b->kind != SIM) {
        char command[128];
        (void)snprintf(command, sizeof(command), "%s", b->folder);
        const char *const names[] = {"a", "b", "c", "LOCK"};
        for (size_t i = 0; i < MR_LENGTH(names); i++) {
            char path[160];
            (void)snprintf(path, sizeof(path), "%s/%s", command, names[i]);
            (void)unlink(path);
        }
        (void)rmdir(command);
    }
    free(b);
    return 0;
}

static mr_io_request request(const bench *b, mr_io_op op, uint32_t block, uint32_t blocks,
                             uint64_t tag)
{
    if (op == MR_IO_SYNC) {
        return (mr_io_request){.op = op, .file = b->file, .tag = tag};
    }
    return (mr_io_request){.op = op,
                           .file = b->file,
                           .offset = (uint64_t)block * BLOCK,
                           .buffer = b->blocks + (size_t)block % 512 * BLOCK,
                           .size_bytes = blocks * BLOCK,
                           .tag = tag};
}

/* Until `count` completions came. */
static void await(bench *b, mr_io_completion *completions, uint32_t count)
{
    uint32_t got = 0;
    for (uint32_t i = 0; i < WAITS_MAX && got < count; i++) {
        got += mr_ring_reap(b->ring, completions + got, count - got);
        if (got < count) {
            mr_ring_wait(b->ring, 1, INT64_C(100) * 1000);
        }
    }
    assert_int_equal(got, count);
}

static int32_t run(bench *b, mr_io_op op, uint32_t block, uint32_t blocks)
{
    const mr_io_request one = request(b, op, block, blocks, 7);
    mr_io_completion completion;
    assert_int_equal(mr_ring_submit(b->ring, &one, 1), 1);
    await(b, &completion, 1);
    assert_int_equal(completion.tag, 7);
    return completion.error;
}

static void fill(bench *b, uint32_t block, uint32_t blocks, uint8_t value)
{
    memset(b->blocks + (size_t)block * BLOCK, value, (size_t)blocks * BLOCK);
}

static void expect(const bench *b, uint32_t block, uint32_t blocks, uint8_t value)
{
    for (size_t i = 0; i < (size_t)blocks * BLOCK; i++) {
        if (b->blocks[(size_t)block * BLOCK + i] != value) {
            fail_msg("byte %zu of block %u is %u, not %u", i, block,
                     b->blocks[(size_t)block * BLOCK + i], value);
        }
    }
}

/* ---- Transfers ---- */

static void a_write_is_read_back(void **state)
{
    bench *b = *state;
    fill(b, 3, 1, 9);
    assert_int_equal(run(b, MR_IO_WRITE, 3, 1), 0);
    fill(b, 3, 1, 0);
    assert_int_equal(run(b, MR_IO_READ, 3, 1), 0);
    expect(b, 3, 1, 9);
}

static void a_durable_write_is_read_back(void **state)
{
    bench *b = *state;
    fill(b, 8, 4, 11);
    assert_int_equal(run(b, MR_IO_WRITE_DURABLE, 8, 4), 0);
    fill(b, 8, 4, 0);
    assert_int_equal(run(b, MR_IO_READ, 8, 4), 0);
    expect(b, 8, 4, 11);
}

static void a_sync_completes(void **state)
{
    bench *b = *state;
    assert_int_equal(run(b, MR_IO_SYNC, 0, 0), 0);
    fill(b, 0, 1, 1);
    assert_int_equal(run(b, MR_IO_WRITE, 0, 1), 0);
    assert_int_equal(run(b, MR_IO_SYNC, 0, 0), 0);
}

static void fresh_blocks_are_zero(void **state)
{
    bench *b = *state;
    fill(b, 500, 12, 3);
    assert_int_equal(run(b, MR_IO_READ, 500, 12), 0);
    expect(b, 500, 12, 0);
}

static void a_mebibyte_in_one_request(void **state)
{
    bench *b = *state;
    fill(b, 0, 256, 21);
    assert_int_equal(run(b, MR_IO_WRITE, 0, 256), 0);
    fill(b, 0, 256, 0);
    assert_int_equal(run(b, MR_IO_READ, 0, 256), 0);
    expect(b, 0, 256, 21);
}

static void a_write_leaves_its_neighbours(void **state)
{
    bench *b = *state;
    fill(b, 10, 3, 1);
    assert_int_equal(run(b, MR_IO_WRITE, 10, 3), 0);
    fill(b, 11, 1, 2);
    assert_int_equal(run(b, MR_IO_WRITE_DURABLE, 11, 1), 0);
    fill(b, 10, 3, 0);
    assert_int_equal(run(b, MR_IO_READ, 10, 3), 0);
    expect(b, 10, 1, 1);
    expect(b, 11, 1, 2);
    expect(b, 12, 1, 1);
}

static void the_last_write_wins(void **state)
{
    bench *b = *state;
    for (uint8_t i = 1; i < 20; i++) {
        fill(b, 4, 1, i);
        assert_int_equal(run(b, i % 2 == 0 ? MR_IO_WRITE : MR_IO_WRITE_DURABLE, 4, 1), 0);
    }
    fill(b, 4, 1, 0);
    assert_int_equal(run(b, MR_IO_READ, 4, 1), 0);
    expect(b, 4, 1, 19);
}

static void a_read_behind_the_end_is_an_error(void **state)
{
    bench *b = *state;
    assert_int_equal(run(b, MR_IO_READ, 512, 1), EIO);
}

static void a_read_across_the_end_is_an_error(void **state)
{
    bench *b = *state;
    mr_io_request one = request(b, MR_IO_READ, 510, 1, 7);
    mr_io_completion completion;
    one.size_bytes = 4 * BLOCK;
    one.buffer = b->blocks;
    assert_int_equal(mr_ring_submit(b->ring, &one, 1), 1);
    await(b, &completion, 1);
    assert_int_equal(completion.error, EIO);
}

/* ---- Many at once ---- */

static void every_tag_comes_back_once(void **state)
{
    bench *b = *state;
    mr_io_request requests[200];
    mr_io_completion completions[200];
    bool seen[200] = {false};

    for (uint32_t i = 0; i < 200; i++) {
        fill(b, i, 1, (uint8_t)(i + 1));
        requests[i] = request(b, MR_IO_WRITE, i, 1, 1000 + i);
    }
    assert_int_equal(mr_ring_submit(b->ring, requests, 200), 200);
    await(b, completions, 200);
    for (uint32_t i = 0; i < 200; i++) {
        assert_int_equal(completions[i].error, 0);
        assert_in_range(completions[i].tag, 1000, 1199);
        assert_false(seen[completions[i].tag - 1000]);
        seen[completions[i].tag - 1000] = true;
    }
    fill(b, 0, 200, 0);
    assert_int_equal(run(b, MR_IO_READ, 0, 200), 0);
    for (uint32_t i = 0; i < 200; i++) {
        expect(b, i, 1, (uint8_t)(i + 1));
    }
}

static void no_more_than_the_depth_is_taken(void **state)
{
    bench *b = *state;
    mr_io_request requests[MR_RING_DEPTH_MAX + 10];
    mr_io_completion completions[MR_RING_DEPTH_MAX];

    for (uint32_t i = 0; i < MR_LENGTH(requests); i++) {
        requests[i] = request(b, MR_IO_READ, i, 1, i);
    }
    assert_int_equal(mr_ring_submit(b->ring, requests, MR_LENGTH(requests)), MR_RING_DEPTH_MAX);
    assert_int_equal(mr_ring_submit(b->ring, requests, 1), 0);
    await(b, completions, MR_RING_DEPTH_MAX);
    assert_int_equal(mr_ring_submit(b->ring, requests, 1), 1);
    await(b, completions, 1);
}

static void in_flight_is_counted(void **state)
{
    bench *b = *state;
    mr_io_request requests[5];
    mr_io_completion completions[5];

    assert_int_equal(mr_ring_in_flight(b->ring), 0);
    for (uint32_t i = 0; i < 5; i++) {
        requests[i] = request(b, MR_IO_READ, i, 1, i);
    }
    assert_int_equal(mr_ring_submit(b->ring, requests, 5), 5);
    assert_int_equal(mr_ring_in_flight(b->ring), 5);
    await(b, completions, 2);
    assert_int_equal(mr_ring_in_flight(b->ring), 3);
    await(b, completions, 3);
    assert_int_equal(mr_ring_in_flight(b->ring), 0);
}

static void reads_of_one_block_may_overlap(void **state)
{
    bench *b = *state;
    mr_io_request requests[16];
    mr_io_completion completions[16];

    fill(b, 0, 1, 77);
    assert_int_equal(run(b, MR_IO_WRITE, 0, 1), 0);
    for (uint32_t i = 0; i < 16; i++) {
        requests[i] = request(b, MR_IO_READ, 0, 1, i);
        requests[i].buffer = b->blocks + (size_t)i * BLOCK;
    }
    fill(b, 0, 16, 0);
    assert_int_equal(mr_ring_submit(b->ring, requests, 16), 16);
    await(b, completions, 16);
    expect(b, 0, 16, 77);
}

static void rounds_without_end_leave_nothing(void **state)
{
    bench *b = *state;
    mr_io_request requests[32];
    mr_io_completion completions[32];

    for (uint32_t round = 0; round < 50; round++) {
        for (uint32_t i = 0; i < 32; i++) {
            requests[i] = request(b, round % 2 == 0 ? MR_IO_WRITE : MR_IO_READ, i, 1, i);
        }
        assert_int_equal(mr_ring_submit(b->ring, requests, 32), 32);
        await(b, completions, 32);
    }
    assert_int_equal(mr_ring_in_flight(b->ring), 0);
    assert_int_equal(mr_ring_stale_count(b->ring), 0);
}

static void reap_takes_no_more_than_asked(void **state)
{
    bench *b = *state;
    mr_io_request requests[8];
    mr_io_completion completions[8];

    for (uint32_t i = 0; i < 8; i++) {
        requests[i] = request(b, MR_IO_READ, i, 1, i);
    }
    assert_int_equal(mr_ring_submit(b->ring, requests, 8), 8);
    for (uint32_t i = 0; i < 8; i++) {
        await(b, completions, 1);
    }
    assert_int_equal(mr_ring_reap(b->ring, completions, 8), 0);
}

/* ---- Waiting ---- */

static void nothing_to_reap_is_no_error(void **state)
{
    bench *b = *state;
    mr_io_completion completion;
    assert_int_equal(mr_ring_reap(b->ring, &completion, 1), 0);
}

static void a_wait_ends_by_time(void **state)
{
    bench *b = *state;
    mr_io_completion completion;
    mr_ring_wait(b->ring, 0, 2000);
    mr_ring_wait(b->ring, 1, 2000);
    mr_ring_wait(b->ring, 1, -5);
    assert_int_equal(mr_ring_reap(b->ring, &completion, 1), 0);
}

static void what_is_put_back_comes_again(void **state)
{
    bench *b = *state;
    const mr_io_completion wake = {.tag = UINT64_C(1) << 63 | 5};
    mr_io_completion completions[4];

    mr_ring_put_back(b->ring, &wake);
    mr_ring_put_back(b->ring, &wake); /* The same wake-up: once is enough. */
    mr_ring_wait(b->ring, 1, INT64_C(60) * 1000 * 1000);
    assert_int_equal(mr_ring_reap(b->ring, completions, 4), 1);
    assert_true(completions[0].tag == wake.tag);
    assert_int_equal(mr_ring_reap(b->ring, completions, 4), 0);
}

static void a_ring_closes_with_requests_in_flight(void **state)
{
    bench *b = *state;
    mr_io_request requests[64];

    for (uint32_t i = 0; i < 64; i++) {
        requests[i] = request(b, MR_IO_WRITE, i, 1, i);
    }
    assert_int_equal(mr_ring_submit(b->ring, requests, 64), 64);
    mr_ring_close(b->ring);
    b->ring = NULL;
}

/* ---- Files ---- */

static void files_do_not_mix(void **state)
{
    bench *b = *state;
    int descriptor = -1;
    int32_t second = -1;

    file_make(b, "b", 4, &descriptor, &second);
    fill(b, 0, 1, 1);
    assert_int_equal(run(b, MR_IO_WRITE, 0, 1), 0);
    const int32_t first = b->file;
    b->file = second;
    fill(b, 0, 1, 2);
    assert_int_equal(run(b, MR_IO_WRITE, 0, 1), 0);
    b->file = first;
    assert_int_equal(run(b, MR_IO_READ, 0, 1), 0);
    expect(b, 0, 1, 1);
    mr_ring_detach(b->ring, second);
    file_close(b, descriptor);
}

static void a_file_number_is_used_again(void **state)
{
    bench *b = *state;
    int descriptor = -1;
    int32_t file = -1;

    for (uint32_t i = 0; i < 2 * MR_RING_FILES_MAX; i++) {
        file_make(b, "b", 1, &descriptor, &file);
        mr_ring_detach(b->ring, file);
        file_close(b, descriptor);
    }
}

static void files_have_a_limit(void **state)
{
    bench *b = *state;
    int32_t files[MR_RING_FILES_MAX];
    uint32_t count = 0;

    while (mr_ring_attach(b->ring, b->descriptor, &files[count]) == MR_OK) {
        count++;
        assert_true(count < MR_RING_FILES_MAX);
    }
    assert_int_equal(count, MR_RING_FILES_MAX - 1);
    for (uint32_t i = 0; i < count; i++) {
        mr_ring_detach(b->ring, files[i]);
    }
}

static void content_survives_a_close(void **state)
{
    bench *b = *state;
    uint64_t size = 0;

    fill(b, 5, 1, 42);
    assert_int_equal(run(b, MR_IO_WRITE_DURABLE, 5, 1), 0);
    mr_ring_close(b->ring);
    file_close(b, b->descriptor);
    ring_open(b);
    assert_int_equal(file_open(b, "a", MR_FILE_CREATE, &b->descriptor, &size), MR_OK);
    assert_int_equal(size, 512 * BLOCK);
    assert_int_equal(mr_ring_attach(b->ring, b->descriptor, &b->file), MR_OK);
    fill(b, 5, 1, 0);
    assert_int_equal(run(b, MR_IO_READ, 5, 1), 0);
    expect(b, 5, 1, 42);
}

static void a_missing_file_is_named(void **state)
{
    bench *b = *state;
    uint64_t size = 0;
    int descriptor = -1;

    assert_int_equal(file_open(b, "c", 0, &descriptor, &size), MR_ERR_REFUSED);
    assert_non_null(strstr(b->diag.text, "E_STATE_MISSING"));
    assert_int_equal(file_open(b, "c", MR_FILE_READ_ONLY, &descriptor, &size), MR_ERR_REFUSED);
}

static void a_lock_is_held_once(void **state)
{
    bench *b = *state;
    uint64_t size = 0;
    int first = -1;
    int second = -1;
    const uint32_t flags = MR_FILE_CREATE | MR_FILE_LOCK;

    assert_int_equal(file_open(b, "LOCK", flags, &first, &size), MR_OK);
    assert_int_equal(file_open(b, "LOCK", flags, &second, &size), MR_ERR_REFUSED);
    assert_non_null(strstr(b->diag.text, "E_STATE_LOCKED"));
    file_close(b, first);
    assert_int_equal(file_open(b, "LOCK", flags, &first, &size), MR_OK);
    file_close(b, first);
}

static void a_reader_is_kept_out(void **state)
{
    bench *b = *state;
    uint64_t size = 0;
    int first = -1;
    int second = -1;

    assert_int_equal(file_open(b, "LOCK", MR_FILE_CREATE | MR_FILE_LOCK | 3u << MR_FILE_SHARD_SHIFT,
                               &first, &size),
                     MR_OK);
    assert_int_equal(file_open(b, "LOCK", MR_FILE_READ_ONLY | MR_FILE_LOCK, &second, &size),
                     MR_ERR_REFUSED);
    assert_non_null(strstr(b->diag.text, "E_STATE_LOCKED"));
    file_close(b, first);
    assert_int_equal(file_open(b, "LOCK", MR_FILE_READ_ONLY | MR_FILE_LOCK, &second, &size), MR_OK);
    file_close(b, second);
}

static void shards_lock_apart(void **state)
{
    bench *b = *state;
    uint64_t size = 0;
    int descriptors[3];

    for (uint32_t i = 0; i < 3; i++) {
        const uint32_t flags = MR_FILE_CREATE | MR_FILE_LOCK | i << MR_FILE_SHARD_SHIFT;
        assert_int_equal(file_open(b, "LOCK", flags, &descriptors[i], &size), MR_OK);
    }
    for (uint32_t i = 0; i < 3; i++) {
        file_close(b, descriptors[i]);
    }
}

static void a_reserve_leaves_the_size(void **state)
{
    bench *b = *state;
    uint64_t size = 0;
    int descriptor = -1;

    assert_int_equal(file_open(b, "b", MR_FILE_CREATE, &descriptor, &size), MR_OK);
    assert_int_equal(b->io.files->reserve(b->io.files_self, descriptor, 0, UINT64_C(64) * BLOCK),
                     MR_OK);
    file_close(b, descriptor);
    assert_int_equal(file_open(b, "b", MR_FILE_CREATE, &descriptor, &size), MR_OK);
    assert_int_equal(size, 0);
    file_close(b, descriptor);
}

static void a_shrunk_file_is_shorter(void **state)
{
    bench *b = *state;
    assert_int_equal(b->io.files->shrink(b->io.files_self, b->descriptor, UINT64_C(2) * BLOCK),
                     MR_OK);
    assert_int_equal(run(b, MR_IO_READ, 1, 1), 0);
    assert_int_equal(run(b, MR_IO_READ, 2, 1), EIO);
}

static void a_prepared_range_is_there(void **state)
{
    bench *b = *state;
    const mr_file_job job = {.descriptor = b->descriptor,
                             .offset = UINT64_C(512) * BLOCK,
                             .size_bytes = UINT64_C(512) * BLOCK,
                             .tag = 99};
    mr_io_completion completion;

    assert_true(mr_ring_prepare(b->ring, &job));
    assert_int_equal(mr_ring_in_flight(b->ring), 1);
    await(b, &completion, 1);
    assert_int_equal(completion.tag, 99);
    assert_int_equal(completion.error, 0);
    fill(b, 0, 8, 1);
    assert_int_equal(run(b, MR_IO_READ, 1016, 8), 0);
    expect(b, 1016 % 512, 8, 0);
}

static void file_jobs_have_a_limit(void **state)
{
    bench *b = *state;
    mr_io_completion completions[MR_FILE_JOBS_MAX];
    uint32_t count = 0;

    for (; count <= MR_FILE_JOBS_MAX; count++) {
        const mr_file_job job = {.descriptor = b->descriptor,
                                 .offset = (uint64_t)(512 + count) * BLOCK,
                                 .size_bytes = BLOCK,
                                 .tag = count};
        if (!mr_ring_prepare(b->ring, &job)) {
            break;
        }
    }
    assert_int_equal(count, MR_FILE_JOBS_MAX);
    await(b, completions, MR_FILE_JOBS_MAX);
    for (uint32_t i = 0; i < MR_FILE_JOBS_MAX; i++) {
        assert_int_equal(completions[i].error, 0);
    }
}

/* ---- Watches: the real back-ends ---- */

static void a_watch_wakes_and_wakes_again(void **state)
{
    bench *b = *state;
    const int bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    const uint64_t tag = UINT64_C(1) << 63 | 17;
    const uint64_t one = 1;
    mr_io_completion completion;
    uint64_t count = 0;

    assert_true(bell >= 0);
    assert_int_equal(mr_ring_watch(b->ring, bell, tag), MR_OK);
    assert_int_equal(mr_ring_reap(b->ring, &completion, 1), 0);
    for (uint32_t round = 0; round < 5; round++) {
        assert_int_equal(write(bell, &one, sizeof(one)), sizeof(one));
        await(b, &completion, 1);
        assert_true(completion.tag == tag);
        assert_int_equal(completion.error, 0);
        assert_int_equal(read(bell, &count, sizeof(count)), sizeof(count));
    }
    mr_ring_close(b->ring);
    b->ring = NULL;
    (void)close(bell);
}

static void a_watch_mixes_with_requests(void **state)
{
    bench *b = *state;
    const int bell = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
    const uint64_t tag = UINT64_C(1) << 63 | 1;
    const mr_io_request one = request(b, MR_IO_READ, 0, 1, 3);
    bool rang = false;
    bool was_read = false;

    assert_int_equal(mr_ring_watch(b->ring, bell, tag), MR_OK);
    assert_int_equal(mr_ring_submit(b->ring, &one, 1), 1);
    while (!rang || !was_read) { /* A bell nobody drains may ring more than once. */
        mr_io_completion completion;
        await(b, &completion, 1);
        rang = rang || completion.tag == tag;
        was_read = was_read || completion.tag == 3;
    }
    mr_ring_close(b->ring);
    b->ring = NULL;
    (void)close(bell);
}

typedef struct contract_case {
    const char *name;
    void (*run)(void **state);
    bool real_only;
} contract_case;

static const contract_case cases[] = {
    {"a write is read back", a_write_is_read_back, false},
    {"a durable write is read back", a_durable_write_is_read_back, false},
    {"a sync completes", a_sync_completes, false},
    {"fresh blocks are zero", fresh_blocks_are_zero, false},
    {"a mebibyte in one request", a_mebibyte_in_one_request, false},
    {"a write leaves its neighbours", a_write_leaves_its_neighbours, false},
    {"the last write wins", the_last_write_wins, false},
    {"a read behind the end is an error", a_read_behind_the_end_is_an_error, false},
    {"a read across the end is an error", a_read_across_the_end_is_an_error, false},
    {"every tag comes back once", every_tag_comes_back_once, false},
    {"no more than the depth is taken", no_more_than_the_depth_is_taken, false},
    {"in flight is counted", in_flight_is_counted, false},
    {"reads of one block may overlap", reads_of_one_block_may_overlap, false},
    {"rounds without end leave nothing", rounds_without_end_leave_nothing, false},
    {"reap takes no more than asked", reap_takes_no_more_than_asked, false},
    {"nothing to reap is no error", nothing_to_reap_is_no_error, false},
    {"a wait ends by time", a_wait_ends_by_time, false},
    {"what is put back comes again", what_is_put_back_comes_again, false},
    {"a ring closes with requests in flight", a_ring_closes_with_requests_in_flight, false},
    {"files do not mix", files_do_not_mix, false},
    {"a file number is used again", a_file_number_is_used_again, false},
    {"files have a limit", files_have_a_limit, false},
    {"content survives a close", content_survives_a_close, false},
    {"a missing file is named", a_missing_file_is_named, false},
    {"a lock is held once", a_lock_is_held_once, false},
    {"a reader is kept out", a_reader_is_kept_out, false},
    {"shards lock apart", shards_lock_apart, false},
    {"a reserve leaves the size", a_reserve_leaves_the_size, false},
    {"a shrunk file is shorter", a_shrunk_file_is_shorter, false},
    {"a prepared range is there", a_prepared_range_is_there, false},
    {"file jobs have a limit", file_jobs_have_a_limit, false},
    {"a watch wakes and wakes again", a_watch_wakes_and_wakes_again, true},
    {"a watch mixes with requests", a_watch_mixes_with_requests, true},
};

int main(void)
{
    static backend kinds[BACKENDS] = {URING, THREADS, SIM};
    static char names[BACKENDS * MR_LENGTH(cases)][NAME_BYTES];
    struct CMUnitTest tests[BACKENDS * MR_LENGTH(cases)];
    size_t count = 0;

    for (uint32_t kind = 0; kind < BACKENDS; kind++) {
        for (size_t i = 0; i < MR_LENGTH(cases); i++) {
            if (kind == SIM && cases[i].real_only) {
                continue; /* A simulated shard has no descriptors to watch. */
            }
            (void)snprintf(names[count], NAME_BYTES, "%s: %s", backend_names[kind], cases[i].name);
            tests[count] = (struct CMUnitTest){.name = names[count],
                                               .test_func = cases[i].run,
                                               .setup_func = set_up,
                                               .teardown_func = tear_down,
                                               .initial_state = &kinds[kind]};
            count++;
        }
    }
    return _cmocka_run_group_tests("io_contract", tests, count, NULL, NULL);
}
