/*
 * superblock_test.c - pairs of superblocks that rot: what the other pair names counts only where
 * Kafka's record shows that it is not older, and the story names the disk, not the directory.
 *
 * LINK: mr_state mr_ring mr_batch mr_base
 */
#include "engine/state/format_private.h"
#include "tests/unit/state/rig.h"

enum { BLOCK = 4096, LATER_EPOCHS = 60, FRESH = 700 };

typedef struct bench {
    mr_sim_disk *disk;
    rig *r;
    const rig_past *committed;
} bench;

/* Two bases and so many epochs behind the second, which use its freed parts again. */
static bench create(uint32_t epochs)
{
    bench b = {.disk = mr_sim_disk_create(3)};
    mr_state_stats stats = {.base_count = 0};

    b.r = rig_with_base(b.disk, &b.committed);
    if (epochs > 0) {
        assert_int_equal(rig_open(b.r), MR_OK);
        assert_int_equal(rig_roll(b.r, b.committed), MR_OK);
        for (uint32_t i = 0; i < epochs && stats.base_count == 0; i++) {
            rig_forget_old(b.r, &b.committed);
            assert_true(rig_heed(b.r, &b.committed));
            rig_work(b.r, 10);
            rig_decide(b.r, rig_commit(b.r), &b.committed);
            rig_turn(b.r);
            mr_state_read_stats(b.r->state, &stats);
        }
        rig_close(b.r);
    }
    return b;
}

static void destroy(bench *b)
{
    rig_free(b->r);
    mr_sim_disk_destroy(b->disk);
}

static uint8_t *blocks_of(const bench *b)
{
    uint64_t size = 0;
    uint8_t *data = mr_sim_disk_file(b->disk, "dir/shard-0.data", &size);

    assert_non_null(data);
    assert_true(size >= 4 * (uint64_t)BLOCK);
    return data;
}

/* The first slot of the newest pair. */
static uint32_t newest_pair(const bench *b)
{
    mr_superblock first;
    mr_superblock second;

    memcpy(&first, blocks_of(b), sizeof(first));
    memcpy(&second, blocks_of(b) + (size_t)2 * BLOCK, sizeof(second));
    return first.sequence > second.sequence ? 0 : 2;
}

static void rot(const bench *b, uint32_t slot)
{
    blocks_of(b)[(size_t)slot * BLOCK + 100] ^= 1;
}

static void expect_text(const bench *b, const char *text)
{
    if (strstr(b->r->diag.text, text) == NULL) {
        fail_msg("\"%s\" is not in: %s", text, b->r->diag.text);
    }
}

static mr_status roll(const bench *b, const rig_past *past, uint32_t allowed,
                      mr_task_point points[RIG_TASKS])
{
    uint32_t offset_count = 0;
    mr_input_offset offsets[RIG_TASKS] = {0};

    for (uint32_t i = 0; i < RIG_TASKS; i++) {
        points[i] = (mr_task_point){.task = rig_tasks[i], .lineage = 5 + i};
        if (past != NULL) {
            points[i] = past->points[i];
            offsets[offset_count++] = past->offsets[i];
        }
        points[i].new_lineage = FRESH + i;
        points[i].allowed = allowed;
    }
    return mr_state_roll(b->r->state, ++b->r->incarnation, points, RIG_TASKS, offsets, offset_count,
                         &b->r->diag);
}

/* What the older pair names is not what Kafka committed: damage, by the place of the rot. */
static void test_a_lost_newest_pair_is_told(void **state)
{
    static const rig_model empty;
    bench b = create(LATER_EPOCHS);
    const uint32_t newest = newest_pair(&b);
    mr_task_point points[RIG_TASKS];
    char place[64];

    (void)state;
    rot(&b, newest);
    rot(&b, newest + 1);
    (void)snprintf(place, sizeof(place), "bytes %u and %u of shard-0.data", newest * BLOCK,
                   (newest + 1) * BLOCK);
    assert_int_equal(rig_open(b.r), MR_OK);
    assert_int_equal(roll(&b, b.committed, 0, points), MR_ERR_REFUSED);
    assert_int_equal(points[0].verdict, MR_VERDICT_DAMAGED);
    expect_text(&b, "E_STATE_DAMAGED: dir/shard-0, task 3: Kafka has epoch");
    expect_text(&b, place);
    expect_text(&b, "were written and do not verify");
    expect_text(&b, "--adopt-offsets=reset-state");
    /* Nothing is begun or kept without Kafka's word. */
    assert_int_equal(roll(&b, NULL, 0, points), MR_ERR_REFUSED);
    assert_int_equal(points[0].verdict, MR_VERDICT_DAMAGED);
    assert_int_equal(roll(&b, NULL, MR_ALLOW_KEEP, points), MR_ERR_REFUSED);
    assert_int_equal(points[0].verdict, MR_VERDICT_DAMAGED);
    /* To be emptied needs none. */
    assert_int_equal(roll(&b, b.committed, MR_ALLOW_RESET, points), MR_OK);
    assert_int_equal(points[0].verdict, MR_VERDICT_RESET);
    b.r->model = empty;
    rig_check(b.r, &empty);
    const rig_past claim = *rig_commit(b.r);
    rig_close(b.r);
    assert_int_equal(rig_open(b.r), MR_OK);
    assert_int_equal(rig_roll(b.r, &claim), MR_OK);
    rig_check(b.r, &empty);
    destroy(&b);
}

/* The same without a base in the older pair: the log it names is gone, and no task is known. */
static void test_a_lost_pair_is_no_beginning(void **state)
{
    bench b = {.disk = mr_sim_disk_create(4)};
    mr_task_point points[RIG_TASKS];

    (void)state;
    b.r = rig_create(b.disk, 4);
    assert_int_equal(rig_open(b.r), MR_OK);
    rig_close(b.r);
    assert_int_equal(rig_open(b.r), MR_OK);
    assert_int_equal(roll(&b, NULL, 0, points), MR_OK); /* A pair that was never written. */
    assert_int_equal(points[0].verdict, MR_VERDICT_GENESIS);
    rig_close(b.r);
    rot(&b, 2);
    assert_int_equal(rig_open(b.r), MR_OK);
    assert_int_equal(roll(&b, NULL, 0, points), MR_ERR_REFUSED);
    assert_int_equal(points[0].verdict, MR_VERDICT_DAMAGED);
    expect_text(&b, "bytes 8192 and 12288 of shard-0.data");
    expect_text(&b, "so number 1 was read");
    assert_int_equal(roll(&b, NULL, MR_ALLOW_RESET, points), MR_OK);
    assert_int_equal(points[0].verdict, MR_VERDICT_GENESIS);
    destroy(&b);
}

/* Never written is never lost: a state that is behind stays one of another directory. */
static void test_a_pair_never_written_is_not_lost(void **state)
{
    rig_bench b = rig_bench_open(4);
    const rig_past *newest = rig_newest(&b);
    mr_sim_disk *old = mr_sim_disk_create(5);
    rig *r = rig_create(old, 5);

    (void)state;
    assert_int_equal(rig_open(r), MR_OK);
    assert_int_equal(rig_roll(r, newest), MR_ERR_REFUSED);
    assert_non_null(strstr(r->diag.text, "E_STATE_BEHIND"));
    assert_null(strstr(r->diag.text, "verify"));
    rig_free(r);
    mr_sim_disk_destroy(old);
    rig_bench_close(&b);
}

/* The older pair is lost, or one copy of each: what Kafka names is here, and the start goes on. */
static void test_a_lost_older_pair_stops_nothing(void **state)
{
    (void)state;
    for (uint32_t both = 0; both < 2; both++) {
        bench b = create(0);
        const uint32_t newest = newest_pair(&b);
        mr_state_stats stats = {.base_count = 0};
        mr_task_point points[RIG_TASKS];

        rot(&b, 2 - newest);
        rot(&b, both != 0 ? 2 - newest + 1 : newest);
        assert_int_equal(rig_open(b.r), MR_OK);
        assert_int_equal(rig_roll(b.r, b.committed), MR_OK);
        rig_check(b.r, &b.committed->model);
        rig_past half = *b.committed; /* One task shows that all is here: the other's story is its
                                         own. */
        half.points[1] = (mr_task_point){.task = rig_tasks[1], .lineage = 5};
        assert_int_equal(rig_roll(b.r, &half), MR_ERR_REFUSED);
        expect_text(&b, "E_OFFSETS_MISSING: dir/shard-0, task 7");
        assert_int_equal(rig_roll(b.r, b.committed), MR_OK);
        for (uint32_t i = 0; i < 200 && stats.base_count == 0; i++) {
            assert_true(rig_heed(b.r, &b.committed));
            rig_work(b.r, 10);
            rig_decide(b.r, rig_commit(b.r), &b.committed);
            rig_turn(b.r);
            mr_state_read_stats(b.r->state, &stats);
        }
        assert_int_equal(stats.base_count, 1); /* Its pair stands where the lost one did. */
        assert_int_equal(roll(&b, NULL, 0, points), MR_ERR_REFUSED);
        assert_int_equal(points[0].verdict, MR_VERDICT_OFFSETS_MISSING);
        assert_null(strstr(b.r->diag.text, "verify"));
        destroy(&b);
    }
}

/* What verify says of the store. */
static mr_status verify(const bench *b)
{
    const mr_io io = mr_sim_disk_io(b->disk);
    mr_state_summary summary;
    mr_state *reader = NULL;
    mr_ring *ring = NULL;

    assert_int_equal(mr_ring_open(&ring, &io, &b->r->diag), MR_OK);
    assert_int_equal(mr_state_open_reader(&reader, &b->r->options, ring, &b->r->diag), MR_OK);
    const mr_status status = mr_state_verify(reader, &summary, &b->r->diag);
    mr_state_close(reader);
    mr_ring_close(ring);
    return status;
}

/* A zeroed pair was written too, once there are later ones; either copy of a pair suffices. */
static void test_verify_tells_a_lost_pair(void **state)
{
    bench b = create(0);
    const uint32_t older = 2 - newest_pair(&b);

    (void)state;
    assert_int_equal(verify(&b), MR_OK);
    rot(&b, older);
    assert_int_equal(verify(&b), MR_OK);
    rot(&b, older + 1);
    assert_int_equal(verify(&b), MR_ERR_CORRUPT);
    expect_text(&b, "E_STATE_DAMAGED: dir/shard-0.data: both superblocks at bytes");
    rot(&b, older); /* The bit turns back. */
    assert_int_equal(verify(&b), MR_OK);
    memset(blocks_of(&b) + (size_t)older * BLOCK, 0, (size_t)2 * BLOCK);
    assert_int_equal(verify(&b), MR_ERR_CORRUPT);
    expect_text(&b, "E_STATE_DAMAGED: dir/shard-0.data: both superblocks at bytes");
    destroy(&b);
}

/* A base that only the older pair names, and whose place was used again: both stories are told. */
static void test_a_base_of_the_older_pair_is_told(void **state)
{
    bench b = create(0);
    const uint32_t newest = newest_pair(&b);
    mr_superblock older;

    (void)state;
    memcpy(&older, blocks_of(&b) + (size_t)(2 - newest) * BLOCK, sizeof(older));
    blocks_of(&b)[older.manifest_block * BLOCK] ^= 1;
    rot(&b, newest);
    rot(&b, newest + 1);
    assert_int_equal(rig_open(b.r), MR_ERR_CORRUPT);
    expect_text(&b, "the manifest does not verify");
    expect_text(&b, "were written and do not verify, so number 2 was read");
    destroy(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_lost_newest_pair_is_told),
        cmocka_unit_test(test_a_lost_pair_is_no_beginning),
        cmocka_unit_test(test_a_pair_never_written_is_not_lost),
        cmocka_unit_test(test_a_lost_older_pair_stops_nothing),
        cmocka_unit_test(test_verify_tells_a_lost_pair),
        cmocka_unit_test(test_a_base_of_the_older_pair_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
