/*
 * table_test.c - records of a volatile store: read, update, grow, delete, list, take back, limits.
 */
#include "engine/base/assert.h"
#include "tests/support/death.h"
#include "tests/unit/state/rig.h"

static rig *volatile_rig(uint64_t seed)
{
    rig *r = rig_create(NULL, seed);

    assert_int_equal(rig_open(r), MR_OK);
    assert_int_equal(rig_roll(r, NULL), MR_OK);
    return r;
}

static void test_update_zeroes_what_is_new(void **state)
{
    rig *r = volatile_rig(1);
    mr_table *table = r->tables[0][0];
    const uint32_t key = 4;
    rig_keys k;

    (void)state;
    rig_take_keys(table, &k, &key, 1);
    assert_int_equal(mr_table_prefetch(table, &k.keys), MR_STEP_NEXT);
    assert_null(mr_table_get(table, &k.keys, 0));
    uint8_t *bytes = mr_table_update(table, &k.keys, 0, 24);
    assert_true((uintptr_t)bytes % 16 == 0);
    for (uint32_t i = 0; i < 24; i++) {
        assert_int_equal(bytes[i], 0);
    }
    memset(bytes, 7, 24);
    (void)mr_table_update(table, &k.keys, 0, 8);      /* Shrinks, */
    bytes = mr_table_update(table, &k.keys, 0, 5000); /* and grows into pages of its own. */
    for (uint32_t i = 0; i < 5000; i++) {
        assert_int_equal(bytes[i], i < 8 ? 7 : 0);
    }
    mr_table_delete(table, &k.keys, 0);
    assert_null(mr_table_get(table, &k.keys, 0));
    assert_int_equal(mr_table_key_count(table), 0);
    bytes = mr_table_update(table, &k.keys, 0, 16);
    for (uint32_t i = 0; i < 16; i++) {
        assert_int_equal(bytes[i], 0);
    }
    assert_int_equal(mr_table_key_count(table), 1);
    rig_free(r);
}

static void test_random_work_equals_the_model(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        rig *r = volatile_rig(seed);
        r->value_max = seed % 2 == 0 ? 100 : RIG_VALUE_MAX;
        for (uint32_t epoch = 0; epoch < 30; epoch++) {
            const rig_model before = r->model;
            const mr_input_offset offsets[RIG_TASKS] = {r->offsets[0], r->offsets[1]};
            rig_work(r, 20);
            rig_check(r, &r->model);
            if (rig_draw(r, 4) == 0) { /* Take it back. */
                rig_past now = {.model = before};
                for (uint32_t i = 0; i < RIG_TASKS; i++) {
                    now.points[i] = (mr_task_point){
                        .task = rig_tasks[i],
                        .epoch = r->past_count > 0 ? r->pasts[r->past_count - 1].epoch : 0};
                    now.offsets[i] = offsets[i];
                }
                assert_int_equal(rig_roll(r, &now), MR_OK);
                rig_check(r, &before);
            } else {
                (void)rig_commit(r);
                rig_check(r, &r->model);
            }
        }
        rig_free(r);
    }
}

static void test_changed_lists_first_touches_once(void **state)
{
    rig *r = volatile_rig(2);
    mr_table *table = r->tables[0][0];
    mr_table_row rows[2];
    mr_scan scan = {.rows = rows, .row_count_max = 2};
    uint8_t key[64];

    (void)state;
    assert_true(rig_put(r, 0, 0, 1, 30));
    assert_true(rig_put(r, 0, 0, 2, 30));
    (void)rig_commit(r);
    assert_true(rig_put(r, 0, 0, 2, 40)); /* Updated, twice, */
    assert_true(rig_put(r, 0, 0, 2, 700));
    assert_true(rig_put(r, 0, 0, 9, 10));         /* inserted, */
    assert_true(rig_put(r, 0, 0, 1, UINT32_MAX)); /* deleted, */
    assert_true(rig_put(r, 0, 0, 8, 0));          /* inserted empty. */
    for (uint32_t round = 0; round < 2; round++) {
        assert_int_equal(mr_table_changed(table, &scan), MR_STEP_AGAIN);
        assert_int_equal(scan.row_count, 2);
        assert_int_equal(rows[0].key.size_bytes, rig_key(2, key));
        assert_memory_equal(rows[0].key.bytes, key, rows[0].key.size_bytes);
        assert_int_equal(rows[0].value.size_bytes, 700);
        assert_non_null(rows[0].before.bytes);
        assert_int_equal(rows[0].before.size_bytes, 30);
        assert_int_equal(rows[1].value.size_bytes, 10);
        assert_null(rows[1].before.bytes);
        assert_int_equal(mr_table_changed(table, &scan), MR_STEP_NEXT);
        assert_int_equal(scan.row_count, 2);
        assert_null(rows[0].value.bytes);
        assert_int_equal(rows[0].before.size_bytes, 30);
        assert_non_null(rows[1].value.bytes);
        assert_int_equal(rows[1].value.size_bytes, 0);
        assert_null(rows[1].before.bytes);
        assert_int_equal(scan.position[0], 0);
    }
    rig_free(r);
}

static void test_dirty_bytes_are_after_images(void **state)
{
    rig *r = volatile_rig(3);
    uint8_t key[64];
    const uint64_t head = 16 + (uint64_t)rig_key(1, key);

    (void)state;
    assert_int_equal(mr_state_dirty_bytes(r->state), 0);
    assert_true(rig_put(r, 0, 0, 1, 100));
    assert_int_equal(mr_state_dirty_bytes(r->state), head + 100);
    assert_true(rig_put(r, 0, 0, 1, 40));
    assert_int_equal(mr_state_dirty_bytes(r->state), head + 40);
    assert_true(rig_put(r, 0, 0, 1, UINT32_MAX));
    assert_int_equal(mr_state_dirty_bytes(r->state), head);
    (void)rig_commit(r);
    assert_int_equal(mr_state_dirty_bytes(r->state), 0);
    rig_free(r);
}

static void test_an_epoch_has_a_limit(void **state)
{
    rig *r = rig_create(NULL, 4);

    (void)state;
    r->options.epoch_bytes_max = 8 << 10;
    assert_int_equal(rig_open(r), MR_OK);
    assert_int_equal(rig_roll(r, NULL), MR_OK);
    assert_int_equal(mr_state_demand(r->state), 0);
    assert_true(rig_put(r, 0, 0, 0, 3000));
    assert_int_equal(mr_state_demand(r->state), MR_DEMAND_CLOSE_EPOCH);
    assert_true(rig_put(r, 0, 0, 1, 3000));
    assert_false(rig_put(r, 0, 0, 2, 3000));
    (void)rig_commit(r);
    assert_true(rig_put(r, 0, 0, 2, 3000));
    rig_free(r);
}

/* Adds keys from `from` on until input is to pause; the next key, UINT32_MAX = no memory. */
static uint32_t fill(rig *r, uint32_t from)
{
    for (uint32_t i = from;; i++) {
        const uint32_t key = 0;
        rig_keys k;
        rig_take_keys(r->tables[0][0], &k, &key, 1);
        memcpy(k.bytes[0], &i, sizeof(i));
        k.views[0].size_bytes = sizeof(i);
        k.hashes[0] = mr_hash64(k.bytes[0], sizeof(i), mr_table_seed(r->tables[0][0]));
        assert_int_equal(mr_table_prefetch(r->tables[0][0], &k.keys), MR_STEP_NEXT);
        if (mr_table_update(r->tables[0][0], &k.keys, 0, 1000) == NULL) {
            return UINT32_MAX;
        }
        if ((mr_state_demand(r->state) & MR_DEMAND_PAUSE_INPUT) != 0) {
            return i + 1;
        }
        if (i % 50 == 49) {
            r->past_count = 0;
            (void)rig_commit(r);
        }
    }
}

static void test_full_is_told_by_name(void **state)
{
    rig *r = rig_create(NULL, 5);
    uint32_t next = 0;

    (void)state;
    r->options.memory_bytes = 8 << 20;
    assert_int_equal(rig_open(r), MR_OK);
    assert_int_equal(rig_roll(r, NULL), MR_OK);
    assert_true(rig_put(r, 1, 1, 0, 8000));
    while ((mr_state_demand(r->state) & MR_DEMAND_STUCK) == 0) {
        next = fill(r, next); /* Acknowledging frees undo, less each time. */
        assert_true(next > 5000 && next < 8000);
        r->past_count = 0;
        (void)rig_commit(r);
    }
    assert_int_equal(mr_state_full(r->state, &r->diag), MR_ERR_LIMIT);
    assert_non_null(strstr(r->diag.text, "E_STATE_FULL"));
    assert_non_null(strstr(r->diag.text, "step.t0 of task 3"));
    rig_free(r);
}

static void test_a_roll_frees_all_memory_of_the_epoch(void **state)
{
    rig *r = volatile_rig(6);
    mr_state_stats before;
    mr_state_stats after;

    (void)state;
    for (uint32_t i = 0; i < 20; i++) { /* Slots of all sizes first: what they grew to stays. */
        r->past_count = 0;
        rig_work(r, 200);
        (void)rig_commit(r);
    }
    const rig_past *past = &r->pasts[0];
    mr_state_read_stats(r->state, &before);
    for (uint32_t i = 0; i < 50; i++) {
        rig_work(r, 60);
        assert_int_equal(rig_roll(r, past), MR_OK);
        rig_check(r, &past->model);
    }
    mr_state_read_stats(r->state, &after);
    assert_int_equal(before.key_count, after.key_count);
    assert_true(after.memory_bytes <= before.memory_bytes + (100 << 10));
    rig_free(r);
}

static void get_a_key_never_prefetched(void)
{
    rig *r = volatile_rig(7);
    const uint32_t key = 1;
    rig_keys k;

    rig_take_keys(r->tables[0][0], &k, &key, 1);
    (void)mr_table_get(r->tables[0][0], &k.keys, 0);
}

static void test_a_key_must_be_prefetched(void **state)
{
    (void)state;
    mr_expect_assert(get_a_key_never_prefetched, "table->pinned == keys");
}

static void test_a_sweep_makes_pins_void(void **state)
{
    rig *r = volatile_rig(8);
    mr_table *table = r->tables[0][0];
    const uint32_t key = 3;
    rig_keys k;

    (void)state;
    assert_true(rig_put(r, 0, 0, 3, 10));
    (void)rig_commit(r);
    assert_true(rig_put(r, 0, 0, 3, UINT32_MAX));
    const rig_past *past = rig_seal(r);
    rig_take_keys(table, &k, &key, 1);
    assert_int_equal(mr_table_prefetch(table, &k.keys), MR_STEP_NEXT); /* Pins the tombstone. */
    mr_state_acknowledge(r->state, past->epoch);                       /* It is swept. */
    assert_null(mr_table_get(table, &k.keys, 0));
    uint8_t *bytes = mr_table_update(table, &k.keys, 0, 12);
    assert_non_null(bytes);
    memset(bytes, 1, 12);
    assert_int_equal(mr_table_key_count(table), 1);
    rig_free(r);
}

static void test_a_deleted_record_gives_its_memory_back(void **state)
{
    rig *r = volatile_rig(9);
    mr_state_stats before;
    mr_state_stats after;

    (void)state;
    mr_state_read_stats(r->state, &before);
    for (uint32_t round = 0; round < 20; round++) {
        r->past_count = 0;
        for (uint32_t key = 0; key < RIG_KEYS; key++) {
            assert_true(rig_put(r, 0, 0, key, 5000));
        }
        (void)rig_commit(r);
        for (uint32_t key = 0; key < RIG_KEYS; key++) {
            assert_true(rig_put(r, 0, 0, key, UINT32_MAX));
        }
        (void)rig_commit(r);
    }
    mr_state_read_stats(r->state, &after);
    assert_int_equal(after.key_count, 0);
    assert_true(after.memory_bytes <= before.memory_bytes + (64 << 10)); /* A page a class stays. */
    rig_free(r);
}

/* Deleted in the undecided epoch, back and deleted again in the open one: not ours to sweep yet. */
static void test_a_tombstone_touched_again_is_not_swept(void **state)
{
    (void)state;
    for (uint32_t rolls = 0; rolls < 2; rolls++) {
        rig *r = volatile_rig(10);
        assert_true(rig_put(r, 0, 0, 3, 10));
        (void)rig_commit(r);
        assert_true(rig_put(r, 0, 0, 3, UINT32_MAX));
        const rig_past *past = rig_seal(r);
        assert_true(rig_put(r, 0, 0, 3, 20));
        assert_true(rig_put(r, 0, 0, 3, UINT32_MAX));
        mr_state_acknowledge(r->state, past->epoch);
        if (rolls != 0) {
            assert_int_equal(rig_roll(r, past), MR_OK);
        } else {
            (void)rig_commit(r);
        }
        rig_check(r, &r->model);
        assert_true(rig_put(r, 0, 0, 3, 30));
        (void)rig_commit(r);
        rig_check(r, &r->model);
        rig_free(r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_update_zeroes_what_is_new),
        cmocka_unit_test(test_random_work_equals_the_model),
        cmocka_unit_test(test_changed_lists_first_touches_once),
        cmocka_unit_test(test_dirty_bytes_are_after_images),
        cmocka_unit_test(test_an_epoch_has_a_limit),
        cmocka_unit_test(test_full_is_told_by_name),
        cmocka_unit_test(test_a_roll_frees_all_memory_of_the_epoch),
        cmocka_unit_test(test_a_key_must_be_prefetched),
        cmocka_unit_test(test_a_sweep_makes_pins_void),
        cmocka_unit_test(test_a_deleted_record_gives_its_memory_back),
        cmocka_unit_test(test_a_tombstone_touched_again_is_not_swept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
