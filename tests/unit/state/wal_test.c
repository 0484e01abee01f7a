/*
 * wal_test.c - deltas on their way: the same bytes on every back-end, no room, errors, the helper.
 */
#define _GNU_SOURCE
#include "engine/base/assert.h"
#include "tests/unit/state/rig.h"
#include <fcntl.h>
#include <unistd.h>

enum { BACKENDS = 3, EPOCHS = 12 };

/* Opens a rig on real files; the simulated rig's functions serve it as well. */
static void open_real(rig *r, const char *folder, mr_io_choice choice)
{
    char fallback[256];
    mr_io io;

    r->options.directory = folder;
    if (mr_io_open(choice, folder, &io, fallback, &r->diag) != MR_OK) {
        fail_msg("%s", r->diag.text);
    }
    assert_int_equal(mr_ring_open(&r->ring, &io, &r->diag), MR_OK);
    assert_int_equal(mr_state_open(&r->state, &r->options, r->ring, &r->diag), MR_OK);
    for (uint32_t t = 0; t < RIG_TASKS; t++) {
        for (uint32_t i = 0; i < RIG_TABLES; i++) {
            const mr_table_spec spec = {
                .task = rig_tasks[t], .table = i, .kind = MR_TABLE_HASH, .layout = 100 + i};
            assert_int_equal(
                mr_state_declare(r->state, &spec, "step.t", &r->tables[t][i], &r->diag), MR_OK);
        }
    }
}

/* A fixed history: epochs of all sizes, one of them rolled back. */
static void live(rig *r)
{
    r->value_max = RIG_VALUE_MAX;
    assert_int_equal(rig_roll(r, NULL), MR_OK);
    const rig_past *committed = rig_commit(r);
    for (uint32_t epoch = 0; epoch < EPOCHS; epoch++) {
        rig_work(r, epoch * 8);
        if (epoch == 7) {
            const rig_past *dead = rig_seal(r);
            assert_int_equal(rig_prepare(r, dead), MR_STEP_NEXT);
            assert_int_equal(rig_roll(r, committed), MR_OK);
        }
        committed = rig_commit(r);
    }
}

static uint8_t *read_file(const char *folder, const char *name, uint64_t *size_bytes)
{
    char path[128];

    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *stream = fopen(path, "rb");
    assert_non_null(stream);
    assert_int_equal(fseek(stream, 0, SEEK_END), 0);
    *size_bytes = (uint64_t)ftell(stream);
    rewind(stream);
    uint8_t *bytes = malloc(*size_bytes);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, *size_bytes, stream), *size_bytes);
    (void)fclose(stream);
    (void)unlink(path);
    return bytes;
}

static void test_backends_write_the_same_bytes(void **state)
{
    static const char *const names[] = {"shard-0.wal", "shard-0.data"};
    static const mr_io_choice choices[] = {MR_IO_URING, MR_IO_THREADS};
    mr_sim_disk *disk = mr_sim_disk_create(1);
    rig *r = rig_create(disk, 42);

    (void)state;
    (void)setenv("MR_IO", "", 1);
    assert_int_equal(rig_open(r), MR_OK);
    live(r);
    rig_free(r);
    for (uint32_t i = 0; i < 2; i++) {
        char folder[] = "wal_test-XXXXXX";
        char path[64];
        assert_non_null(mkdtemp(folder));
        rig *real = rig_create(disk, 42);
        open_real(real, folder, choices[i]);
        live(real);
        rig_free(real);
        for (size_t n = 0; n < MR_LENGTH(names); n++) {
            uint64_t simulated_size = 0;
            uint64_t size = 0;
            (void)snprintf(path, sizeof(path), "dir/%s", names[n]);
            const uint8_t *simulated = mr_sim_disk_file(disk, path, &simulated_size);
            uint8_t *bytes = read_file(folder, names[n], &size);
            /* How far ahead the helper has come may differ: zeros, in whole parts. */
            const uint64_t common = size < simulated_size ? size : simulated_size;
            assert_true(common >= 16384);
            assert_memory_equal(bytes, simulated, common);
            free(bytes);
        }
        (void)snprintf(path, sizeof(path), "%s/LOCK", folder);
        (void)unlink(path);
        (void)rmdir(folder);
    }
    mr_sim_disk_destroy(disk);
}

static void test_a_full_log_stops_by_name(void **state)
{
    mr_sim_disk *disk = mr_sim_disk_create(2);
    rig *r = rig_create(disk, 2);
    const rig_past *past = NULL;
    mr_step step = MR_STEP_NEXT;

    (void)state;
    r->options.wal_bytes_max = 256 << 10;
    r->options.wal_part_bytes = 32 << 10;
    assert_int_equal(rig_open(r), MR_OK);
    assert_int_equal(rig_roll(r, NULL), MR_OK);
    rig_past last;
    last = *rig_commit(r);
    for (uint32_t epoch = 0; epoch < 100 && step == MR_STEP_NEXT; epoch++) {
        r->past_count = 0;
        rig_work(r, 20);
        past = rig_seal(r);
        step = rig_prepare(r, past);
        if (step == MR_STEP_NEXT) {
            mr_state_acknowledge(r->state, past->epoch);
            last = *past;
        }
    }
    assert_int_equal(step, MR_STEP_FAILED);
    assert_int_equal(r->diag.status, MR_ERR_LIMIT);
    assert_non_null(strstr(r->diag.text, "E_STATE_NO_SPACE"));
    assert_non_null(strstr(r->diag.text, "state.wal_max"));
    rig_close(r); /* What was committed is there, with more room it goes on. */
    r->options.wal_bytes_max = 1 << 20;
    assert_int_equal(rig_open(r), MR_OK);
    assert_int_equal(rig_roll(r, &last), MR_OK);
    rig_check(r, &last.model);
    rig_work(r, 20);
    (void)rig_commit(r);
    rig_free(r);
    mr_sim_disk_destroy(disk);
}

static void test_format_without_space(void **state)
{
    (void)state;
    for (uint64_t at = 1; at <= 3; at++) { /* Reserve, log, data. */
        mr_sim_disk *disk = mr_sim_disk_create(4);
        rig *r = rig_create(disk, 4);
        mr_sim_disk_fault(disk, &(mr_sim_fault){.space_error_at = at});
        assert_int_equal(rig_open(r), MR_ERR_LIMIT);
        assert_non_null(strstr(r->diag.text, "E_STATE_NO_SPACE"));
        rig_close(r);
        assert_int_equal(rig_open(r), MR_OK); /* Redone. */
        assert_int_equal(rig_roll(r, NULL), MR_OK);
        rig_free(r);
        mr_sim_disk_destroy(disk);
    }
}

/* The n-th write or sync fails: named, never retried, and the next roll re-reads the disk.
 * COVERS: F12 I5 I11 */
static void test_failed_writes_and_syncs(void **state)
{
    (void)state;
    for (uint32_t kind = 0; kind < 2; kind++) {
        for (uint64_t at = 1; at < 12; at++) {
            mr_sim_disk *disk = mr_sim_disk_create(at);
            rig *r = rig_create(disk, at);
            r->options.wal_part_bytes = 16 << 10; /* Deltas of several writes and a sync. */
            assert_int_equal(rig_open(r), MR_OK);
            assert_int_equal(rig_roll(r, NULL), MR_OK);
            const rig_past *committed = rig_commit(r);
            mr_sim_disk_fault(disk, &(mr_sim_fault){.write_error_at = kind == 0 ? at : 0,
                                                    .sync_error_at = kind == 1 ? at : 0});
            for (uint32_t epoch = 0; epoch < 8; epoch++) {
                rig_work(r, 30);
                const rig_past *past = rig_seal(r);
                if (rig_prepare(r, past) == MR_STEP_NEXT) {
                    mr_state_acknowledge(r->state, past->epoch);
                    committed = past;
                    continue;
                }
                assert_int_equal(r->diag.status, MR_ERR_IO);
                assert_non_null(strstr(r->diag.text, "E_STATE_IO"));
                assert_int_equal(rig_roll(r, committed), MR_OK);
                rig_check(r, &committed->model);
            }
            rig_close(r);
            mr_sim_disk_crash(disk, NULL);
            assert_int_equal(rig_open(r), MR_OK);
            if (rig_roll(r, committed) != MR_OK) {
                fail_msg("%s", r->diag.text);
            }
            rig_check(r, &committed->model);
            rig_free(r);
            mr_sim_disk_destroy(disk);
        }
    }
}

/* COVERS: F12 I11 */
static void test_a_failed_read_is_damage_by_name(void **state)
{
    mr_sim_disk *disk = mr_sim_disk_create(6);
    rig *r = rig_create(disk, 6);

    (void)state;
    assert_int_equal(rig_open(r), MR_OK);
    assert_int_equal(rig_roll(r, NULL), MR_OK);
    const rig_past *past = rig_commit(r);
    rig_close(r);
    mr_sim_disk_fault(disk, &(mr_sim_fault){.read_error_at = 2}); /* Once: read again. */
    assert_int_equal(rig_open(r), MR_OK);
    assert_int_equal(rig_roll(r, past), MR_OK);
    rig_close(r);
    mr_sim_disk_fault(disk, &(mr_sim_fault){.read_error_at = 2, .for_ever = true});
    assert_int_equal(rig_open(r), MR_ERR_CORRUPT);
    assert_non_null(strstr(r->diag.text, "E_STATE_DAMAGED"));
    rig_free(r);
    mr_sim_disk_destroy(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_backends_write_the_same_bytes),
        cmocka_unit_test(test_a_full_log_stops_by_name),
        cmocka_unit_test(test_format_without_space),
        cmocka_unit_test(test_failed_writes_and_syncs),
        cmocka_unit_test(test_a_failed_read_is_damage_by_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
