/*
 * roll_test.c - every row of the recovery table, and that undo and the disk lead to the same place.
 */
#include "engine/base/assert.h"
#include "tests/unit/state/rig.h"

typedef struct bench { /* A store with some committed epochs, open. */
    mr_sim_disk *disk;
    rig *r;
} bench;

static bench bench_open(uint32_t epochs)
{
    bench b = {.disk = mr_sim_disk_create(epochs)};

    b.r = rig_create(b.disk, epochs);
    assert_int_equal(rig_open(b.r), MR_OK);
    assert_int_equal(rig_roll(b.r, NULL), MR_OK);
    for (uint32_t i = 0; i < epochs; i++) {
        rig_work(b.r, 10);
        (void)rig_commit(b.r);
    }
    return b;
}

static void bench_close(bench *b)
{
    rig_free(b->r);
    mr_sim_disk_destroy(b->disk);
}

static rig_past *newest(const bench *b)
{
    return &b->r->pasts[b->r->past_count - 1];
}

/* The process is gone and comes back with nothing in memory. */
static void restart(bench *b)
{
    rig_close(b->r);
    assert_int_equal(rig_open(b->r), MR_OK);
}

/* Rolls to points that are refused: status, name in the story, verdict of the first task. */
static void expect_refusal(bench *b, const mr_task_point *points, const mr_input_offset *offsets,
                           uint32_t offset_count, const char *name, mr_verdict verdict)
{
    mr_task_point judged[RIG_TASKS];

    memcpy(judged, points, sizeof(judged));
    const mr_status status =
        mr_state_roll(b->r->state, 99, judged, RIG_TASKS, offsets, offset_count, &b->r->diag);
    assert_int_equal(status, MR_ERR_REFUSED);
    if (strstr(b->r->diag.text, name) == NULL) {
        fail_msg("%s is not %s", b->r->diag.text, name);
    }
    assert_int_equal(judged[0].verdict, verdict);
}

static void test_undo_and_disk_agree(void **state)
{
    bench b = bench_open(5);
    uint8_t by_undo[RIG_TASKS][16];
    uint8_t from_disk[RIG_TASKS][16];

    (void)state;
    const rig_past committed = *newest(&b);
    rig_work(b.r, 30);
    (void)rig_seal(b.r); /* Undecided, and thrown away; so is what is open. */
    rig_work(b.r, 30);
    assert_int_equal(rig_roll(b.r, &committed), MR_OK);
    rig_check(b.r, &committed.model);
    rig_digests(b.r, by_undo);
    restart(&b);
    assert_int_equal(rig_roll(b.r, &committed), MR_OK);
    rig_check(b.r, &committed.model);
    rig_digests(b.r, from_disk);
    assert_memory_equal(by_undo, from_disk, sizeof(by_undo));
    bench_close(&b);
}

static void test_an_undecided_epoch_that_kafka_committed_stays(void **state)
{
    bench b = bench_open(3);

    (void)state;
    rig_work(b.r, 20);
    const rig_past *past = rig_seal(b.r);
    assert_int_equal(rig_prepare(b.r, past), MR_STEP_NEXT);
    rig_work(b.r, 20);
    assert_int_equal(rig_roll(b.r, past), MR_OK);
    rig_check(b.r, &past->model);
    rig_work(b.r, 20);
    const rig_past *next = rig_commit(b.r);
    restart(&b);
    assert_int_equal(rig_roll(b.r, next), MR_OK);
    rig_check(b.r, &next->model);
    bench_close(&b);
}

static void test_tombstones_survive_a_roll(void **state)
{
    bench b = bench_open(1);
    rig *r = b.r;

    (void)state;
    assert_true(rig_put(r, 0, 0, 5, 50));
    (void)rig_commit(r);
    assert_true(rig_put(r, 0, 0, 5, UINT32_MAX)); /* Deleted in an undecided epoch, */
    const rig_past *deleted = rig_seal(r);
    assert_true(rig_put(r, 0, 0, 5, 60)); /* there again in the open one, */
    assert_int_equal(rig_prepare(r, deleted), MR_STEP_NEXT);
    mr_state_acknowledge(r->state, deleted->epoch);
    assert_int_equal(rig_roll(r, deleted), MR_OK); /* which is taken back. */
    rig_check(r, &deleted->model);
    assert_true(rig_put(r, 0, 0, 5, 70));
    const rig_past *again = rig_commit(r);
    rig_check(r, &again->model);
    bench_close(&b);
}

static void test_numbers_never_repeat(void **state)
{
    bench b = bench_open(3);

    (void)state;
    const rig_past *committed = newest(&b);
    uint64_t last = committed->epoch;
    for (uint32_t i = 0; i < 4; i++) {
        rig_work(b.r, 3);
        const rig_past *past = rig_seal(b.r);
        assert_true(past->epoch > last);
        last = past->epoch;
        assert_int_equal(rig_prepare(b.r, past), MR_STEP_NEXT);
        if (i == 1) {
            restart(&b);
        }
        assert_int_equal(rig_roll(b.r, committed), MR_OK);
        assert_true(mr_state_epoch(b.r->state) > last);
        rig_check(b.r, &committed->model);
    }
    bench_close(&b);
}

static void test_genesis(void **state)
{
    bench b = bench_open(0);
    mr_task_point points[RIG_TASKS];

    (void)state;
    for (uint32_t i = 0; i < RIG_TASKS; i++) {
        points[i] = (mr_task_point){.task = rig_tasks[i], .lineage = 5, .verdict = 77};
    }
    (void)rig_seal(b.r); /* Genesis, undecided: redone. */
    restart(&b);
    assert_int_equal(mr_state_roll(b.r->state, 9, points, RIG_TASKS, NULL, 0, &b.r->diag), MR_OK);
    assert_int_equal(points[0].verdict, MR_VERDICT_GENESIS);
    assert_int_equal(points[1].verdict, MR_VERDICT_GENESIS);
    bench_close(&b);
}

static void test_behind(void **state)
{
    bench b = bench_open(3);
    mr_task_point points[RIG_TASKS];

    (void)state;
    memcpy(points, newest(&b)->points, sizeof(points));
    points[0].epoch += 5;
    points[1].epoch += 5;
    expect_refusal(&b, points, newest(&b)->offsets, RIG_TASKS, "E_STATE_BEHIND", MR_VERDICT_BEHIND);
    rig_close(b.r);
    mr_sim_disk_remove(b.disk, "dir/shard-0.wal"); /* A replaced disk. */
    mr_sim_disk_remove(b.disk, "dir/shard-0.data");
    assert_int_equal(rig_open(b.r), MR_OK);
    expect_refusal(&b, newest(&b)->points, newest(&b)->offsets, RIG_TASKS, "E_STATE_BEHIND",
                   MR_VERDICT_BEHIND);
    bench_close(&b);
}

static void test_foreign(void **state)
{
    bench b = bench_open(3);
    mr_task_point points[RIG_TASKS];

    (void)state;
    for (uint32_t field = 0; field < 3; field++) {
        memcpy(points, newest(&b)->points, sizeof(points));
        points[0].lineage += field == 0;
        points[0].incarnation += field == 1;
        points[0].digest += field == 2;
        expect_refusal(&b, points, newest(&b)->offsets, RIG_TASKS, "E_STATE_FOREIGN",
                       MR_VERDICT_FOREIGN);
        restart(&b);
    }
    bench_close(&b);
}

static void test_a_cut_epoch_is_foreign(void **state)
{
    bench b = bench_open(2);

    (void)state;
    const rig_past committed = *newest(&b);
    rig_work(b.r, 5);
    const rig_past *dead = rig_seal(b.r);
    assert_int_equal(rig_prepare(b.r, dead), MR_STEP_NEXT);
    assert_int_equal(rig_roll(b.r, &committed), MR_OK);
    (void)rig_commit(b.r); /* The claim follows the epoch before the dead one. */
    restart(&b);
    expect_refusal(&b, dead->points, dead->offsets, RIG_TASKS, "E_STATE_FOREIGN",
                   MR_VERDICT_FOREIGN);
    bench_close(&b);
}

static void test_regression(void **state)
{
    bench b = bench_open(4);
    const rig_past *old = &b.r->pasts[b.r->past_count - 3];

    (void)state;
    expect_refusal(&b, old->points, old->offsets, RIG_TASKS, "E_OFFSET_REGRESSION",
                   MR_VERDICT_REGRESSION);
    restart(&b); /* Known from the hint in the log, too. */
    expect_refusal(&b, old->points, old->offsets, RIG_TASKS, "E_OFFSET_REGRESSION",
                   MR_VERDICT_REGRESSION);
    bench_close(&b);
}

static void test_one_task_alone_cannot_go_back(void **state)
{
    bench b = bench_open(4);
    const rig_past *old = &b.r->pasts[b.r->past_count - 2];
    mr_task_point points[RIG_TASKS] = {old->points[0], newest(&b)->points[1]};
    const mr_input_offset offsets[RIG_TASKS] = {old->offsets[0], newest(&b)->offsets[1]};

    (void)state;
    restart(&b);
    expect_refusal(&b, points, offsets, RIG_TASKS, "E_OFFSET_REGRESSION", MR_VERDICT_REGRESSION);
    bench_close(&b);
}

static void test_offsets_missing(void **state)
{
    bench b = bench_open(3);
    mr_task_point points[RIG_TASKS];

    (void)state;
    restart(&b);
    for (uint32_t i = 0; i < RIG_TASKS; i++) {
        points[i] = (mr_task_point){.task = rig_tasks[i], .lineage = 5};
    }
    expect_refusal(&b, points, NULL, 0, "E_OFFSETS_MISSING", MR_VERDICT_OFFSETS_MISSING);
    bench_close(&b);
}

static void test_disagree(void **state)
{
    bench b = bench_open(3);
    mr_input_offset offsets[RIG_TASKS];

    (void)state;
    memcpy(offsets, newest(&b)->offsets, sizeof(offsets));
    offsets[0].to++;
    expect_refusal(&b, newest(&b)->points, offsets, RIG_TASKS, "E_RECORD_DISAGREE",
                   MR_VERDICT_DISAGREE);
    offsets[0].to--;
    offsets[0].topic++; /* One that the epoch does not list. */
    expect_refusal(&b, newest(&b)->points, offsets, RIG_TASKS, "E_RECORD_DISAGREE",
                   MR_VERDICT_DISAGREE);
    offsets[0].topic--;
    offsets[0].to = -1; /* One that it lists is not committed. */
    expect_refusal(&b, newest(&b)->points, offsets, RIG_TASKS, "E_RECORD_DISAGREE",
                   MR_VERDICT_DISAGREE);
    bench_close(&b);
}

/* Sources are added, removed and moved in the topology: the others are what they were. */
static void test_inputs_come_and_go(void **state)
{
    bench b = bench_open(3);
    mr_input_offset offsets[RIG_TASKS + 1];

    (void)state;
    const rig_past past = *newest(&b);
    offsets[0] = (mr_input_offset){
        .task = rig_tasks[0], .partition = rig_tasks[0], .topic = 71, .to = -1}; /* New, first. */
    offsets[1] = past.offsets[0];
    offsets[1].input = 1;
    offsets[2] = past.offsets[1];
    restart(&b);
    mr_task_point points[RIG_TASKS] = {past.points[0], past.points[1]};
    assert_int_equal(
        mr_state_roll(b.r->state, 99, points, RIG_TASKS, offsets, RIG_TASKS + 1, &b.r->diag),
        MR_OK);
    restart(&b);
    /* The first task has lost its input. */
    assert_int_equal(mr_state_roll(b.r->state, 99, points, RIG_TASKS, offsets + 2, 1, &b.r->diag),
                     MR_OK);
    bench_close(&b);
}

static void test_damage_before_valid_epochs(void **state)
{
    bench b = bench_open(5);
    uint64_t size = 0;
    uint32_t seen = 0;

    (void)state;
    rig_close(b.r);
    uint8_t *wal = mr_sim_disk_file(b.disk, "dir/shard-0.wal", &size);
    for (uint64_t at = 0; at + 8 <= size; at += 4096) { /* Rot in the third delta's seal. */
        seen += memcmp(wal + at, "MRSEAL01", 8) == 0;
        if (seen == 3) {
            wal[at + 3000] ^= 4;
            break;
        }
    }
    assert_int_equal(rig_open(b.r), MR_OK);
    expect_refusal(&b, newest(&b)->points, newest(&b)->offsets, RIG_TASKS, "E_STATE_DAMAGED",
                   MR_VERDICT_DAMAGED);
    bench_close(&b);
}

static void test_idle_task_keeps_its_point(void **state)
{
    bench b = bench_open(2);
    rig *r = b.r;
    mr_task_point points[RIG_TASKS];
    uint32_t count = 0;
    uint64_t epoch = 0;

    (void)state;
    rig_past old = *newest(&b);
    for (uint32_t i = 0; i < 100; i++) { /* More epochs than a task's history keeps. */
        r->offsets[1].from = r->offsets[1].to++;
        assert_true(rig_put(r, 1, 0, i % RIG_KEYS, 20));
        mr_step step = MR_STEP_WAIT;
        while (step == MR_STEP_WAIT) {
            step = mr_state_seal(r->state, &r->offsets[1], 1, &epoch, points, &count);
            rig_turn(r);
        }
        assert_int_equal(count, 1);
        while (mr_state_prepared(r->state, epoch, &r->diag) == MR_STEP_WAIT) {
            rig_turn(r);
        }
        mr_state_acknowledge(r->state, epoch);
    }
    old.points[1] = points[0];
    old.offsets[1] = r->offsets[1];
    old.model = r->model;
    restart(&b);
    assert_int_equal(rig_roll(r, &old), MR_OK);
    rig_check(r, &old.model);
    bench_close(&b);
}

static void test_watermarks_come_back(void **state)
{
    bench b = bench_open(1);
    mr_task_point points[RIG_TASKS];

    (void)state;
    mr_state_watermark(b.r->state, rig_tasks[1], 123456789);
    const rig_past *past = rig_commit(b.r);
    restart(&b);
    memcpy(points, past->points, sizeof(points));
    points[1].watermark_us = 0;
    assert_int_equal(
        mr_state_roll(b.r->state, 4, points, RIG_TASKS, past->offsets, RIG_TASKS, &b.r->diag),
        MR_OK);
    assert_int_equal(points[0].watermark_us, INT64_MIN);
    assert_int_equal(points[1].watermark_us, 123456789);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_undo_and_disk_agree),
        cmocka_unit_test(test_an_undecided_epoch_that_kafka_committed_stays),
        cmocka_unit_test(test_tombstones_survive_a_roll),
        cmocka_unit_test(test_numbers_never_repeat),
        cmocka_unit_test(test_genesis),
        cmocka_unit_test(test_behind),
        cmocka_unit_test(test_foreign),
        cmocka_unit_test(test_a_cut_epoch_is_foreign),
        cmocka_unit_test(test_regression),
        cmocka_unit_test(test_one_task_alone_cannot_go_back),
        cmocka_unit_test(test_offsets_missing),
        cmocka_unit_test(test_disagree),
        cmocka_unit_test(test_inputs_come_and_go),
        cmocka_unit_test(test_damage_before_valid_epochs),
        cmocka_unit_test(test_idle_task_keeps_its_point),
        cmocka_unit_test(test_watermarks_come_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
