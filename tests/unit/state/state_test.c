/*
 * state_test.c - opening and declaring: what is refused by name; stores without tables; readers.
 */
#include "engine/base/assert.h"
#include "engine/state/state_private.h"
#include "tests/unit/state/rig.h"

enum { EPOCHS_READ_MAX = 6 };

static void test_layouts_are_compared(void **state)
{
    mr_sim_disk *disk = mr_sim_disk_create(1);
    rig *r = rig_create(disk, 1);
    mr_table *table = NULL;

    (void)state;
    assert_int_equal(rig_open(r), MR_OK);
    assert_int_equal(rig_roll(r, NULL), MR_OK);
    assert_true(rig_put(r, 0, 0, 1, 10));
    (void)rig_commit(r);
    rig_close(r);
    const mr_io io = mr_sim_disk_io(disk);
    assert_int_equal(mr_ring_open(&r->ring, &io, &r->diag), MR_OK);
    assert_int_equal(mr_state_open(&r->state, &r->options, r->ring, &r->diag), MR_OK);
    mr_table_spec spec = {.task = 3, .table = 0, .kind = MR_TABLE_HASH, .layout = 999};
    assert_int_equal(mr_state_declare(r->state, &spec, "per_user.results", &table, &r->diag),
                     MR_ERR_REFUSED);
    assert_non_null(strstr(r->diag.text, "E_STATE_LAYOUT"));
    assert_non_null(strstr(r->diag.text, "per_user.results"));
    spec.layout = 100;
    assert_int_equal(mr_state_declare(r->state, &spec, "per_user.results", &table, &r->diag),
                     MR_OK);
    rig_free(r);
    mr_sim_disk_destroy(disk);
}

/* Files from before 1.2: tables were numbered by rank, now by name; the layout tells which it is.
 */
static void test_a_stored_table_keeps_its_number(void **state)
{
    mr_sim_disk *disk = mr_sim_disk_create(1);
    rig *r = rig_create(disk, 1);

    (void)state;
    assert_int_equal(rig_open(r), MR_OK);
    assert_int_equal(rig_roll(r, NULL), MR_OK);
    assert_true(rig_put(r, 0, 0, 1, 10));
    const rig_past past = *rig_commit(r);
    rig_close(r);
    const mr_io io = mr_sim_disk_io(disk);
    assert_int_equal(mr_ring_open(&r->ring, &io, &r->diag), MR_OK);
    assert_int_equal(mr_state_open(&r->state, &r->options, r->ring, &r->diag), MR_OK);
    const mr_table_spec other = {.task = 3, .table = 4999, .kind = MR_TABLE_HASH, .layout = 555};
    const mr_table_spec same = {.task = 3, .table = 5000, .kind = MR_TABLE_HASH, .layout = 100};
    mr_table *tables[2];
    assert_int_equal(mr_state_declare(r->state, &other, "new.results", &tables[0], &r->diag),
                     MR_OK);
    assert_int_equal(mr_state_declare(r->state, &same, "old.results", &tables[1], &r->diag), MR_OK);
    mr_task_point points[RIG_TASKS];
    memcpy(points, past.points, sizeof(points));
    assert_int_equal(
        mr_state_roll(r->state, 9, points, RIG_TASKS, past.offsets, RIG_TASKS, &r->diag), MR_OK);
    assert_int_equal(mr_table_key_count(tables[0]), 0);
    assert_int_equal(mr_table_key_count(tables[1]), 1);
    rig_free(r);
    mr_sim_disk_destroy(disk);
}

static void test_other_kinds_are_refused(void **state)
{
    rig *r = rig_create(NULL, 1);
    mr_table *table = NULL;
    const mr_table_spec spec = {.task = 3, .table = 9, .kind = MR_TABLE_PANE};

    (void)state;
    assert_int_equal(rig_open(r), MR_OK);
    assert_int_equal(mr_state_declare(r->state, &spec, "w.panes", &table, &r->diag), MR_ERR_CONFIG);
    assert_non_null(strstr(r->diag.text, "w.panes"));
    rig_free(r);
}

static void test_too_little_memory_is_told(void **state)
{
    mr_sim_disk *disk = mr_sim_disk_create(1);
    rig *r = rig_create(disk, 1);

    (void)state;
    r->options.memory_bytes = 300 << 10;
    assert_int_equal(rig_open(r), MR_ERR_CONFIG);
    assert_non_null(strstr(r->diag.text, "E_MEMORY_BUDGET"));
    rig_close(r);
    r->options.memory_bytes = 1 << 20;
    r->options.epoch_bytes_max = UINT64_C(225) << 20;
    assert_int_equal(rig_open(r), MR_ERR_CONFIG);
    assert_non_null(strstr(r->diag.text, "commit.dirty_state"));
    rig_free(r);
    mr_sim_disk_destroy(disk);
}

static void test_a_second_store_is_locked_out(void **state)
{
    mr_sim_disk *disk = mr_sim_disk_create(1);
    rig *r = rig_create(disk, 1);
    mr_state *second = NULL;

    (void)state;
    assert_int_equal(rig_open(r), MR_OK);
    assert_int_equal(mr_state_open(&second, &r->options, r->ring, &r->diag), MR_ERR_REFUSED);
    assert_non_null(strstr(r->diag.text, "E_STATE_LOCKED"));
    assert_null(second);
    rig_free(r);
    mr_sim_disk_destroy(disk);
}

/* Rewrites both superblocks with good sums. */
static void forge(mr_sim_disk *disk, void (*change)(mr_superblock *super))
{
    uint64_t size = 0;
    uint8_t *data = mr_sim_disk_file(disk, "dir/shard-0.data", &size);

    assert_non_null(data);
    for (uint32_t i = 0; i < 2; i++) {
        mr_superblock *super = (mr_superblock *)(void *)(data + (size_t)i * 4096);
        uint64_t low = 0;
        change(super);
        memcpy(&low, super->store, sizeof(low));
        memset(super->checksum, 0, sizeof(super->checksum));
        uint8_t sum[16];
        mr_hash128(super, 4096, low ^ (uint64_t)i * 4096, sum);
        memcpy(super->checksum, sum, sizeof(sum));
    }
}

static void newer(mr_superblock *super)
{
    super->major = 2;
}

static void with_a_feature(mr_superblock *super)
{
    super->incompatible = 4;
}

static void of_another_shard(mr_superblock *super)
{
    super->shard = 5;
}

static void with_a_base(mr_superblock *super)
{
    super->base_to = 9;
}

static void test_superblocks_are_judged(void **state)
{
    static const struct {
        void (*change)(mr_superblock *super);
        const char *name;
    } rows[] = {{newer, "E_STATE_FORMAT"},
                {with_a_feature, "E_STATE_FORMAT"},
                {of_another_shard, "E_STATE_FOREIGN"},
                {with_a_base, "E_STATE_DAMAGED"}};

    (void)state;
    for (size_t i = 0; i < MR_LENGTH(rows); i++) {
        mr_sim_disk *disk = mr_sim_disk_create(1);
        rig *r = rig_create(disk, 1);
        assert_int_equal(rig_open(r), MR_OK);
        rig_close(r);
        forge(disk, rows[i].change);
        assert_int_equal(rig_open(r), MR_ERR_REFUSED);
        assert_non_null(strstr(r->diag.text, rows[i].name));
        rig_free(r);
        mr_sim_disk_destroy(disk);
    }
}

static void test_one_superblock_suffices(void **state)
{
    mr_sim_disk *disk = mr_sim_disk_create(1);
    rig *r = rig_create(disk, 1);
    uint64_t size = 0;

    (void)state;
    assert_int_equal(rig_open(r), MR_OK);
    assert_int_equal(rig_roll(r, NULL), MR_OK);
    rig_work(r, 5);
    const rig_past *past = rig_commit(r);
    rig_close(r);
    mr_sim_disk_file(disk, "dir/shard-0.data", &size)[100] ^= 1;
    assert_int_equal(rig_open(r), MR_OK);
    assert_int_equal(rig_roll(r, past), MR_OK);
    rig_check(r, &past->model);
    rig_close(r);
    /* The open has written both once more: both must go. */
    mr_sim_disk_file(disk, "dir/shard-0.data", &size)[100] ^= 1;
    mr_sim_disk_file(disk, "dir/shard-0.data", &size)[4096 + 100] ^= 1;
    assert_int_equal(rig_open(r), MR_ERR_REFUSED);
    assert_non_null(strstr(r->diag.text, "E_STATE_DAMAGED"));
    rig_free(r);
    mr_sim_disk_destroy(disk);
}

static void test_a_store_without_tables_only_numbers(void **state)
{
    mr_sim_disk *disk = mr_sim_disk_create(1);
    rig *r = rig_create(disk, 1);
    const mr_io io = mr_sim_disk_io(disk);
    mr_task_point points[RIG_TASKS];
    uint32_t count = 0;
    uint64_t epoch = 0;
    uint64_t size = 0;

    (void)state;
    assert_int_equal(mr_ring_open(&r->ring, &io, &r->diag), MR_OK);
    assert_int_equal(mr_state_open(&r->state, &r->options, r->ring, &r->diag), MR_OK);
    for (uint32_t i = 0; i < RIG_TASKS; i++) {
        points[i] = (mr_task_point){.task = rig_tasks[i], .lineage = 9, .epoch = 40 + i};
    }
    assert_int_equal(mr_state_roll(r->state, 6, points, RIG_TASKS, NULL, 0, &r->diag), MR_OK);
    assert_int_equal(points[0].verdict, MR_VERDICT_NORMAL);
    assert_int_equal(mr_state_epoch(r->state), 42);
    assert_int_equal(mr_state_demand(r->state), 0);
    assert_int_equal(mr_state_seal(r->state, r->offsets, RIG_TASKS, &epoch, points, &count),
                     MR_STEP_NEXT);
    assert_int_equal(epoch, 42);
    assert_int_equal(count, RIG_TASKS);
    assert_int_equal(points[1].digest, 0);
    assert_int_equal(points[1].lineage, 9);
    assert_int_equal(points[1].incarnation, 6);
    assert_int_equal(mr_state_seal(r->state, r->offsets, RIG_TASKS, &epoch, points, &count),
                     MR_STEP_WAIT);
    assert_int_equal(mr_state_prepared(r->state, 42, &r->diag), MR_STEP_NEXT);
    mr_state_acknowledge(r->state, 42);
    assert_int_equal(mr_state_epoch(r->state), 43);
    assert_null(mr_sim_disk_file(disk, "dir/shard-0.wal", &size));
    rig_free(r);
    mr_sim_disk_destroy(disk);
}

static void test_a_reader_sees_every_epoch(void **state)
{
    mr_sim_disk *disk = mr_sim_disk_create(1);
    rig *r = rig_create(disk, 1);
    const mr_io io = mr_sim_disk_io(disk);
    mr_state_summary summary;
    uint8_t digests[EPOCHS_READ_MAX][RIG_TASKS][16];
    uint32_t epochs = 0;

    (void)state;
    assert_int_equal(rig_open(r), MR_OK);
    assert_int_equal(rig_roll(r, NULL), MR_OK);
    for (; epochs < EPOCHS_READ_MAX; epochs++) {
        rig_work(r, 10);
        (void)rig_commit(r);
        rig_digests(r, digests[epochs]);
    }
    rig_close(r);
    const uint64_t calls = mr_sim_disk_call_count(disk);
    assert_int_equal(mr_ring_open(&r->ring, &io, &r->diag), MR_OK);
    assert_int_equal(mr_state_open_reader(&r->state, &r->options, r->ring, &r->diag), MR_OK);
    assert_int_equal(mr_state_verify(r->state, &summary, &r->diag), MR_OK);
    assert_int_equal(summary.delta_count, epochs);
    assert_int_equal(summary.task_count, RIG_TASKS);
    assert_int_equal(summary.table_count, RIG_TASKS * RIG_TABLES);
    for (uint32_t i = 0; i < epochs; i++) {
        assert_int_equal(mr_state_read_epoch(r->state, r->pasts[i].epoch, &r->diag), MR_OK);
        for (uint32_t t = 0; t < RIG_TASKS; t++) {
            uint8_t digest[16];
            mr_state_digest(r->state, rig_tasks[t], digest);
            assert_memory_equal(digest, digests[i][t], sizeof(digest));
        }
    }
    uint64_t rows = 0;
    uint64_t keys = 0;
    for (uint32_t i = 0; i < summary.table_count; i++) {
        uint64_t position[2] = {0};
        mr_table_row row;
        mr_state_table table;
        mr_state_stored_table(r->state, i, &table);
        keys += table.key_count;
        while (mr_state_next_row(r->state, i, position, &row)) {
            rows++;
        }
    }
    assert_int_equal(rows, keys);
    assert_true(rows > 0);
    assert_int_equal(mr_state_read_epoch(r->state, 1000, &r->diag), MR_ERR_REFUSED);
    assert_non_null(strstr(r->diag.text, "E_STATE_BEHIND"));
    assert_int_equal(mr_sim_disk_pending_count(disk), 0); /* Nothing was written. */
    assert_true(mr_sim_disk_call_count(disk) > calls);
    rig_free(r);
    mr_sim_disk_destroy(disk);
}

static void test_verify_finds_damage(void **state)
{
    mr_sim_disk *disk = mr_sim_disk_create(1);
    rig *r = rig_create(disk, 1);
    mr_state_summary summary;
    uint64_t size = 0;

    (void)state;
    assert_int_equal(rig_open(r), MR_OK);
    assert_int_equal(rig_roll(r, NULL), MR_OK);
    for (uint32_t i = 0; i < 6; i++) {
        rig_work(r, 10);
        (void)rig_commit(r);
    }
    rig_close(r);
    const uint64_t places[] = {60, 4096 + 200}; /* The part block; the first delta. */
    for (size_t i = 0; i < MR_LENGTH(places); i++) {
        const mr_io io = mr_sim_disk_io(disk);
        mr_sim_disk_file(disk, "dir/shard-0.wal", &size)[places[i]] ^= 16;
        assert_int_equal(mr_ring_open(&r->ring, &io, &r->diag), MR_OK);
        assert_int_equal(mr_state_open_reader(&r->state, &r->options, r->ring, &r->diag), MR_OK);
        assert_int_equal(mr_state_verify(r->state, &summary, &r->diag), MR_ERR_CORRUPT);
        assert_non_null(strstr(r->diag.text, "E_STATE_DAMAGED"));
        mr_sim_disk_file(disk, "dir/shard-0.wal", &size)[places[i]] ^= 16;
        rig_close(r);
    }
    rig_free(r);
    mr_sim_disk_destroy(disk);
}

static void count_records(void *context, const mr_state_delta *delta)
{
    uint64_t *records = context;

    *records += delta->record_count;
}

static void open_reader(rig *r)
{
    const mr_io io = mr_sim_disk_io(r->disk);

    assert_int_equal(mr_ring_open(&r->ring, &io, &r->diag), MR_OK);
    assert_int_equal(mr_state_open_reader(&r->state, &r->options, r->ring, &r->diag), MR_OK);
}

static void test_an_insert_taken_back_leaves_its_tombstone(void **state)
{
    mr_sim_disk *disk = mr_sim_disk_create(1);
    rig *r = rig_create(disk, 1);
    uint64_t records = 0;

    (void)state;
    assert_int_equal(rig_open(r), MR_OK);
    assert_int_equal(rig_roll(r, NULL), MR_OK);
    assert_true(rig_put(r, 0, 0, 1, 10));
    assert_true(rig_put(r, 0, 0, 1, UINT32_MAX));
    (void)rig_commit(r);
    rig_close(r);
    open_reader(r);
    assert_int_equal(mr_state_walk_log(r->state, count_records, &records, &r->diag), MR_OK);
    assert_int_equal(records, 1);
    rig_free(r);
    mr_sim_disk_destroy(disk);
}

/* A valid delta of the same store at the right place, but of another history. */
static void test_a_delta_of_another_life_does_not_count(void **state)
{
    mr_sim_disk *disk = mr_sim_disk_create(1);
    rig *r = rig_create(disk, 1);
    mr_state_summary summary;
    uint64_t size = 0;

    (void)state;
    assert_int_equal(rig_open(r), MR_OK);
    assert_int_equal(rig_roll(r, NULL), MR_OK);
    const rig_past first = *rig_commit(r);
    rig_close(r);
    mr_sim_disk *other_disk = mr_sim_disk_clone(disk, 1);
    rig *other = rig_create(other_disk, 1);
    assert_int_equal(rig_open(r), MR_OK);
    assert_int_equal(rig_roll(r, &first), MR_OK);
    (void)rig_commit(r); /* One epoch here, */
    rig_close(r);
    other->incarnation = 50;
    assert_int_equal(rig_open(other), MR_OK);
    assert_int_equal(rig_roll(other, &first), MR_OK);
    (void)rig_commit(other); /* two of the same size there. */
    (void)rig_commit(other);
    rig_close(other);
    open_reader(r);
    mr_state_summarize(r->state, &summary);
    assert_int_equal(summary.delta_count, 2);
    rig_close(r);
    uint8_t *to = mr_sim_disk_file(disk, "dir/shard-0.wal", &size);
    const uint8_t *from = mr_sim_disk_file(other_disk, "dir/shard-0.wal", &size);
    const uint64_t end = 4096 + summary.wal_bytes; /* Behind the part's block. */
    memcpy(to + end, from + end, 16384);
    assert_memory_equal(to + end, "MRDELTA1", 8);
    open_reader(r);
    mr_state_summarize(r->state, &summary);
    assert_int_equal(summary.delta_count, 2);
    rig_free(other);
    rig_free(r);
    mr_sim_disk_destroy(other_disk);
    mr_sim_disk_destroy(disk);
}

/* Many tables that are only kept take nothing of the buffer in which an epoch is gathered. */
static void test_kept_tables_and_the_largest_epoch(void **state)
{
    enum { KEPT = 4600 };
    static const uint32_t tasks[] = {3, 7, 1000};
    mr_sim_disk *disk = mr_sim_disk_create(1);
    rig *r = rig_create(disk, 1);
    mr_task_point points[MR_LENGTH(tasks)];
    uint64_t epoch = 0;
    uint32_t count = 0;

    (void)state;
    r->options.memory_bytes = UINT64_C(400) << 20;
    r->options.epoch_bytes_max = 512 << 10;
    r->options.table_count_max = KEPT + 4;
    r->options.tasks = tasks;
    r->options.task_count = MR_LENGTH(tasks);
    assert_int_equal(rig_open(r), MR_OK);
    mr_table **kept = calloc(KEPT, sizeof(mr_table *));
    assert_non_null(kept);
    for (uint32_t i = 0; i < KEPT; i++) {
        const mr_table_spec spec = {
            .task = 1000, .table = i, .kind = MR_TABLE_HASH, .layout = 1000 + i};
        assert_int_equal(mr_state_declare(r->state, &spec, "kept", &kept[i], &r->diag), MR_OK);
    }
    assert_int_equal(rig_roll(r, NULL), MR_OK);
    for (uint32_t i = 0; i < KEPT; i++) {
        rig_keys k;
        const uint32_t number = 1;
        rig_take_keys(kept[i], &k, &number, 1);
        assert_int_equal(mr_table_prefetch(kept[i], &k.keys), MR_STEP_NEXT);
        assert_non_null(mr_table_update(kept[i], &k.keys, 0, 8));
    }
    free(kept);
    while (mr_state_seal(r->state, r->offsets, RIG_TASKS, &epoch, points, &count) == MR_STEP_WAIT) {
        rig_turn(r);
    }
    assert_int_equal(count, MR_LENGTH(tasks));
    rig_past past = {.epoch = epoch};
    memcpy(past.points, points, sizeof(past.points));
    memcpy(past.offsets, r->offsets, sizeof(past.offsets));
    assert_int_equal(rig_prepare(r, &past), MR_STEP_NEXT);
    mr_state_acknowledge(r->state, epoch);
    rig_close(r);
    r->options.table_count_max = 4;
    r->options.tasks = rig_tasks;
    r->options.task_count = RIG_TASKS;
    assert_int_equal(rig_open(r), MR_OK);
    assert_int_equal(rig_roll(r, &past), MR_OK);
    bool is_room = true;
    for (uint32_t i = 0; is_room && i < RIG_TASKS * RIG_TABLES * RIG_KEYS; i++) {
        is_room = rig_put(r, i / RIG_TABLES % RIG_TASKS, i % RIG_TABLES, i / 4, RIG_VALUE_MAX);
    }
    assert_false(is_room);
    const rig_past *last = rig_commit(r);
    rig_check(r, &last->model);
    rig_free(r);
    mr_sim_disk_destroy(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layouts_are_compared),
        cmocka_unit_test(test_a_stored_table_keeps_its_number),
        cmocka_unit_test(test_other_kinds_are_refused),
        cmocka_unit_test(test_too_little_memory_is_told),
        cmocka_unit_test(test_a_second_store_is_locked_out),
        cmocka_unit_test(test_superblocks_are_judged),
        cmocka_unit_test(test_one_superblock_suffices),
        cmocka_unit_test(test_a_store_without_tables_only_numbers),
        cmocka_unit_test(test_a_reader_sees_every_epoch),
        cmocka_unit_test(test_verify_finds_damage),
        cmocka_unit_test(test_an_insert_taken_back_leaves_its_tombstone),
        cmocka_unit_test(test_kept_tables_and_the_largest_epoch),
        cmocka_unit_test(test_a_delta_of_another_life_does_not_count),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
