/*
 * answers_test.c - what a roll does where a refusal was answered: keep, reset, go back. Each answer
 * must also hold for the next starts, which are not given it.
 */
#include "engine/base/assert.h"
#include "tests/unit/state/rig.h"

enum { FRESH = 70000 };

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

static void restart(bench *b)
{
    rig_close(b->r);
    assert_int_equal(rig_open(b->r), MR_OK);
}

/* Points of nothing committed. */
static void no_points(mr_task_point *points, uint32_t allowed)
{
    for (uint32_t i = 0; i < RIG_TASKS; i++) {
        points[i] = (mr_task_point){
            .task = rig_tasks[i], .lineage = 5 + i, .new_lineage = FRESH + i, .allowed = allowed};
    }
}

static void expect_roll(bench *b, mr_task_point *points, const mr_input_offset *offsets,
                        uint32_t offset_count)
{
    const mr_status status = mr_state_roll(b->r->state, ++b->r->incarnation, points, RIG_TASKS,
                                           offsets, offset_count, &b->r->diag);
    if (status != MR_OK) {
        fail_msg("%s", b->r->diag.text);
    }
}

/* The claim behind an answer, and starts without it. */
static void expect_to_last(bench *b, const rig_model *model, const int64_t to[RIG_TASKS])
{
    b->r->model = *model;
    for (uint32_t i = 0; i < RIG_TASKS; i++) {
        b->r->offsets[i].from = b->r->offsets[i].to = to[i];
    }
    rig_check(b->r, model);
    const rig_past *claim = rig_commit(b->r);
    restart(b);
    assert_int_equal(rig_roll(b->r, claim), MR_OK);
    rig_check(b->r, model);
    rig_work(b->r, 20);
    const rig_past *next = rig_commit(b->r);
    restart(b);
    assert_int_equal(rig_roll(b->r, next), MR_OK);
    rig_check(b->r, &next->model);
}

static void test_missing_offsets_keep_the_state(void **state)
{
    bench b = bench_open(4);
    mr_task_point points[RIG_TASKS];
    int64_t to[RIG_TASKS];

    (void)state;
    const rig_past decided = *newest(&b);
    rig_work(b.r, 10);
    const rig_past *undecided = rig_seal(b.r); /* Prepared, never acked: it does not count. */
    assert_int_equal(rig_prepare(b.r, undecided), MR_STEP_NEXT);
    restart(&b);
    no_points(points, MR_ALLOW_KEEP);
    expect_roll(&b, points, NULL, 0);
    for (uint32_t i = 0; i < RIG_TASKS; i++) {
        assert_int_equal(points[i].verdict, MR_VERDICT_KEPT);
        assert_int_equal(points[i].lineage, decided.points[i].lineage);
        mr_input_offset input = decided.offsets[i];
        assert_true(mr_state_kept_offset(b.r->state, &input, &to[i]));
        assert_int_equal(to[i], decided.offsets[i].to);
        input.topic++;
        assert_false(mr_state_kept_offset(b.r->state, &input, &to[i]));
        to[i] = decided.offsets[i].to;
    }
    expect_to_last(&b, &decided.model, to);
    bench_close(&b);
}

static void test_missing_offsets_reset_the_state(void **state)
{
    static const rig_model empty;
    static const int64_t to[RIG_TASKS];
    bench b = bench_open(4);
    mr_task_point points[RIG_TASKS];

    (void)state;
    restart(&b);
    no_points(points, MR_ALLOW_RESET);
    expect_roll(&b, points, NULL, 0);
    assert_int_equal(points[0].verdict, MR_VERDICT_RESET);
    assert_int_equal(points[1].lineage, FRESH + 1);
    expect_to_last(&b, &empty, to);
    bench_close(&b);
}

/* The claim was not committed: nothing has happened, the next start asks again. */
static void test_a_reset_that_was_not_committed_is_none(void **state)
{
    bench b = bench_open(4);
    mr_task_point points[RIG_TASKS];

    (void)state;
    /* The log knows of an epoch that it was acked from the delta behind it. */
    const rig_past decided = b.r->pasts[b.r->past_count - 2];
    restart(&b);
    no_points(points, MR_ALLOW_RESET);
    expect_roll(&b, points, NULL, 0);
    const rig_past *claim = rig_seal(b.r);
    assert_int_equal(rig_prepare(b.r, claim), MR_STEP_NEXT);
    restart(&b);
    no_points(points, 0);
    assert_int_equal(mr_state_roll(b.r->state, 77, points, RIG_TASKS, NULL, 0, &b.r->diag),
                     MR_ERR_REFUSED);
    assert_int_equal(points[0].verdict, MR_VERDICT_OFFSETS_MISSING);
    no_points(points, MR_ALLOW_KEEP);
    expect_roll(&b, points, NULL, 0);
    rig_check(b.r, &decided.model);
    bench_close(&b);
}

/* One task of two is reset; the other stays as it was, and goes through undo and disk alike. */
static void test_a_foreign_task_is_reset_alone(void **state)
{
    bench b = bench_open(4);
    mr_task_point points[RIG_TASKS];
    int64_t to[RIG_TASKS];

    (void)state;
    const rig_past decided = *newest(&b);
    rig_model model = decided.model;
    memcpy(points, decided.points, sizeof(points));
    points[0].digest++;
    points[0].new_lineage = FRESH;
    points[0].allowed = MR_ALLOW_RESET;
    expect_roll(&b, points, decided.offsets, RIG_TASKS); /* In a running process. */
    assert_int_equal(points[0].verdict, MR_VERDICT_RESET);
    assert_int_equal(points[1].verdict, MR_VERDICT_NORMAL);
    memset(model.cells[0], 0, sizeof(model.cells[0]));
    for (uint32_t i = 0; i < RIG_TASKS; i++) {
        to[i] = decided.offsets[i].to;
    }
    expect_to_last(&b, &model, to);
    bench_close(&b);
}

static void test_a_lost_disk_is_reset(void **state)
{
    static const rig_model empty;
    bench b = bench_open(4);
    mr_task_point points[RIG_TASKS];
    int64_t to[RIG_TASKS];

    (void)state;
    const rig_past decided = *newest(&b);
    rig_close(b.r);
    mr_sim_disk_remove(b.disk, "dir/shard-0.wal");
    mr_sim_disk_remove(b.disk, "dir/shard-0.data");
    assert_int_equal(rig_open(b.r), MR_OK);
    memcpy(points, decided.points, sizeof(points));
    for (uint32_t i = 0; i < RIG_TASKS; i++) {
        points[i].new_lineage = FRESH + i;
        points[i].allowed = MR_ALLOW_RESET;
        to[i] = decided.offsets[i].to;
    }
    expect_roll(&b, points, decided.offsets, RIG_TASKS);
    assert_int_equal(points[0].verdict, MR_VERDICT_RESET);
    assert_true(mr_state_epoch(b.r->state) > decided.epoch); /* Numbers never repeat. */
    expect_to_last(&b, &empty, to);
    bench_close(&b);
}

static void test_kafka_went_back_and_is_followed(void **state)
{
    bench b = bench_open(6);
    mr_task_point points[RIG_TASKS];
    int64_t to[RIG_TASKS];

    (void)state;
    const rig_past old = b.r->pasts[b.r->past_count - 4];
    restart(&b);
    memcpy(points, old.points, sizeof(points));
    for (uint32_t i = 0; i < RIG_TASKS; i++) {
        points[i].allowed = MR_ALLOW_BACK;
        to[i] = old.offsets[i].to;
    }
    expect_roll(&b, points, old.offsets, RIG_TASKS);
    assert_int_equal(points[0].verdict, MR_VERDICT_FOLLOWED);
    expect_to_last(&b, &old.model, to);
    bench_close(&b);
}

/* One transaction commits all tasks of a shard: one alone was never there. */
static void test_one_task_alone_is_not_followed(void **state)
{
    bench b = bench_open(6);
    const rig_past *old = &b.r->pasts[b.r->past_count - 2];
    mr_task_point points[RIG_TASKS] = {old->points[0], newest(&b)->points[1]};
    const mr_input_offset offsets[RIG_TASKS] = {old->offsets[0], newest(&b)->offsets[1]};

    (void)state;
    points[0].allowed = points[1].allowed = MR_ALLOW_BACK;
    restart(&b);
    assert_int_equal(
        mr_state_roll(b.r->state, 77, points, RIG_TASKS, offsets, RIG_TASKS, &b.r->diag),
        MR_ERR_REFUSED);
    assert_int_equal(points[0].verdict, MR_VERDICT_REGRESSION);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_missing_offsets_keep_the_state),
        cmocka_unit_test(test_missing_offsets_reset_the_state),
        cmocka_unit_test(test_a_reset_that_was_not_committed_is_none),
        cmocka_unit_test(test_a_foreign_task_is_reset_alone),
        cmocka_unit_test(test_a_lost_disk_is_reset),
        cmocka_unit_test(test_kafka_went_back_and_is_followed),
        cmocka_unit_test(test_one_task_alone_is_not_followed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
