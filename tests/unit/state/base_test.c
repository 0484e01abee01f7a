/*
 * base_test.c - bases: a log that would fill many times over never ends, whatever crashes leave is
 * exactly what was committed, and every epoch from the horizon on can be read.
 */
#include "engine/base/assert.h"
#include "tests/unit/state/rig.h"

static const uint64_t BLOCK = 4096;

enum { LIVES = 8, SEEDS = 240, OUTCOMES_MIN = 20000, TURNS_MAX = 20000, CROWD = 4000 };

static uint32_t deaf_percent; /* Epochs that go on although input should pause. */
static uint64_t bases;        /* Installed in all lives. */
static uint64_t outcomes;     /* Openings after a crash, each compared with the oracle. */

static bool epoch(rig *r, const rig_past **committed)
{
    rig_forget_old(r, committed);
    /* A copy under way must not survive what is touched meanwhile. */
    const bool is_deaf = deaf_percent > 0 && rig_draw(r, 100) < deaf_percent;
    if (!is_deaf && !rig_heed(r, committed)) {
        return false;
    }
    rig_work(r, (uint32_t)rig_draw(r, 25));
    const rig_past *past = rig_seal(r);
    if (rig_prepare(r, past) != MR_STEP_NEXT) {
        return false;
    }
    rig_decide(r, past, committed);
    if (rig_draw(r, 12) == 0) { /* Committed, and the answer lost. */
        return rig_roll(r, past) == MR_OK;
    }
    mr_state_acknowledge(r->state, past->epoch);
    rig_turn(r);
    if (rig_draw(r, 12) == 0) {
        rig_work(r, 3);
        const bool ok = rig_roll(r, *committed) == MR_OK; /* Aborted. */
        if (ok) {
            rig_check(r, &(*committed)->model);
        }
        return ok;
    }
    return true;
}

static void test_a_small_log_never_ends(void **state)
{
    mr_sim_disk *disk = mr_sim_disk_create(1);
    rig *r = rig_create_small(disk, 1);
    mr_state_stats stats;
    uint64_t size = 0;

    (void)state;
    r->value_max = 5000;
    assert_int_equal(rig_open(r), MR_OK);
    assert_int_equal(rig_roll(r, NULL), MR_OK);
    const rig_past *committed = rig_commit(r);
    for (uint32_t i = 0; i < 1500; i++) {
        if (!epoch(r, &committed)) {
            fail_msg("epoch %u: %s", i, r->diag.text);
        }
    }
    mr_state_read_stats(r->state, &stats);
    assert_true(stats.base_count > 10);
    rig_close(r);
    assert_non_null(mr_sim_disk_file(disk, "dir/shard-0.wal", &size));
    assert_true(size <= r->options.wal_bytes_max);
    assert_non_null(mr_sim_disk_file(disk, "dir/shard-0.data", &size));
    assert_true(size <= 8 << 20);
    assert_int_equal(rig_open(r), MR_OK);
    assert_int_equal(rig_roll(r, committed), MR_OK);
    rig_check(r, &committed->model);
    rig_free(r);
    mr_sim_disk_destroy(disk);
}

static void check_disk(mr_sim_disk *disk, const rig *r, const rig_past *committed)
{
    for (uint32_t twice = 0; twice < 2; twice++) { /* Opening again changes nothing. */
        rig *again = rig_create_small(disk, 1);
        again->options = r->options;
        again->incarnation = r->incarnation + 1000;
        if (rig_open(again) != MR_OK || rig_roll(again, committed) != MR_OK) {
            fail_msg("%s", again->diag.text);
        }
        rig_check(again, &committed->model);
        rig_free(again);
        outcomes++;
    }
}

/* The answer to a store that no longer has what Kafka has of it: all its tasks begin anew. */
static void begin_anew(rig *r, const rig_past *committed)
{
    mr_task_point points[RIG_TASKS];

    for (uint32_t i = 0; i < RIG_TASKS; i++) {
        points[i] = committed->points[i];
        points[i].allowed = MR_ALLOW_RESET;
        points[i].new_lineage = 700 + i;
    }
    assert_int_equal(mr_state_roll(r->state, ++r->incarnation, points, RIG_TASKS,
                                   committed->offsets, RIG_TASKS, &r->diag),
                     MR_OK);
    assert_int_equal(points[0].verdict, MR_VERDICT_RESET);
    memset(&r->model, 0, sizeof(r->model));
}

/* Lives that end at any call of the disk, with trouble below; several bases each. */
static void run(uint64_t seed)
{
    mr_sim_disk *disk = mr_sim_disk_create(seed);
    rig *r = rig_create_small(disk, seed * 31 + 7);
    const rig_past *committed = NULL;

    r->value_max = rig_draw(r, 2) == 0 ? 120 : 5000;
    r->options.wal_part_bytes = (uint32_t)(2 + rig_draw(r, 4)) * 4096;
    r->options.wal_bytes_max = (256 << 10) + rig_draw(r, 256 << 10);
    for (uint32_t life = 0; life < LIVES; life++) {
        const mr_sim_fault trouble = {
            .short_percent = (uint32_t)rig_draw(r, 2) * 10,
            .busy_percent = (uint32_t)rig_draw(r, 2) * 10,
            .delay_max = (uint32_t)rig_draw(r, 4),
            .queue_max = (uint32_t)rig_draw(r, 4),
            .sync_error_at = rig_draw(r, 5) == 0 ? 1 + rig_draw(r, 30) : 0,
            .write_error_at = rig_draw(r, 5) == 0 ? 1 + rig_draw(r, 200) : 0};
        mr_sim_disk_fault(disk, &trouble);
        mr_sim_disk_die_at(disk, mr_sim_disk_call_count(disk) + 1 + rig_draw(r, 1500));
        bool alive = rig_open(r) == MR_OK;
        if (alive) {
            const mr_status status = rig_roll(r, committed);
            if (status == MR_ERR_REFUSED || status == MR_ERR_CORRUPT) {
                /* A dying disk may fail every read; a sound one must not refuse. */
                assert_true(status == MR_ERR_CORRUPT);
            }
            alive = status == MR_OK;
        }
        if (alive && committed == NULL) {
            const rig_past *past = rig_seal(r);
            alive = rig_prepare(r, past) == MR_STEP_NEXT;
            if (alive) {
                mr_state_acknowledge(r->state, past->epoch);
                rig_decide(r, past, &committed);
            }
        }
        for (uint32_t i = 0; alive && i < 60; i++) {
            alive = epoch(r, &committed);
        }
        if (r->state != NULL) {
            mr_state_stats stats;
            mr_state_read_stats(r->state, &stats);
            bases += stats.base_count;
        }
        rig_close(r);
        if (rig_draw(r, 4) == 0) { /* The process dies, the machine lives. */
            mr_sim_disk_die_at(disk, 0);
            mr_sim_disk_fault(disk, &(mr_sim_fault){.read_error_at = 0});
        } else {
            mr_sim_disk_crash(disk, NULL);
        }
        if (committed != NULL) {
            for (uint64_t variant = 0; variant < 2; variant++) {
                mr_sim_disk *copy = mr_sim_disk_clone(disk, seed + variant);
                check_disk(copy, r, committed);
                if (variant == 1) {
                    outcomes += rig_read_all(copy, r, committed);
                }
                mr_sim_disk_destroy(copy);
            }
        }
    }
    rig_free(r);
    mr_sim_disk_destroy(disk);
}

/* COVERS: F13 I5 */
static void test_random_lives_with_bases(void **state)
{
    const char *only = getenv("MR_SEED");
    const char *runs = getenv("MR_RUNS");
    const uint64_t count = runs != NULL ? strtoull(runs, NULL, 10) : SEEDS;

    (void)state;
    if (only != NULL) {
        deaf_percent = strtoull(only, NULL, 10) % 2 == 0 ? 40 : 0;
        run(strtoull(only, NULL, 10));
        return;
    }
    for (uint64_t seed = 1; seed <= count; seed++) {
        deaf_percent = seed % 2 == 0 ? 40 : 0;
        run(seed);
    }
    deaf_percent = 0;
    print_message("base_test: %llu outcomes, %llu bases installed\n", (unsigned long long)outcomes,
                  (unsigned long long)bases);
    assert_true(bases > count);
    assert_true(runs != NULL || outcomes >= OUTCOMES_MIN);
}

/* One bit turned anywhere: the right answer or a refusal by name, never a wrong answer.
 * COVERS: F14 I5 I11 */
static void test_a_flipped_bit_is_never_believed(void **state)
{
    static const char *const paths[] = {"dir/shard-0.wal", "dir/shard-0.data"};
    mr_sim_disk *disk = mr_sim_disk_create(3);
    const rig_past *committed = NULL;
    rig *r = rig_with_base(disk, &committed);
    uint32_t refused[2] = {0};

    (void)state;
    for (size_t p = 0; p < MR_LENGTH(paths); p++) {
        uint64_t size = 0;
        assert_non_null(mr_sim_disk_file(disk, paths[p], &size));
        for (uint64_t at = 0; at < size; at += 211) {
            mr_sim_disk *copy = mr_sim_disk_clone(disk, at);
            mr_sim_disk_file(copy, paths[p], &size)[at] ^= (uint8_t)(1u << (at % 8));
            rig *again = rig_create_small(copy, 1);
            again->options = r->options;
            mr_status status = rig_open(again);
            if (status == MR_OK) {
                status = rig_roll(again, committed);
            }
            if (status == MR_OK) {
                rig_check(again, &committed->model);
            } else {
                refused[p]++;
                assert_non_null(strstr(again->diag.text, "E_STATE_"));
            }
            rig_free(again);
            mr_sim_disk_destroy(copy);
            outcomes++;
        }
    }
    assert_true(refused[0] > 20 && refused[1] > 20);
    rig_free(r);
    mr_sim_disk_destroy(disk);
}

/* Each call to the disk in a restart, a base, its install and the reuse of parts is the last.
 * COVERS: S18 I5 */
static void test_death_at_every_call_of_a_base(void **state)
{
    mr_sim_disk *disk = mr_sim_disk_create(4);
    const rig_past *built = NULL;
    rig *r = rig_with_base(disk, &built);
    bool reached_the_end = false;

    (void)state;
    for (uint64_t at = 1; !reached_the_end; at++) {
        assert_true(at < 3000);
        mr_sim_disk *copy = mr_sim_disk_clone(disk, at);
        rig *again = rig_create_small(copy, 1);
        const uint64_t calls = mr_sim_disk_call_count(copy);
        memcpy(again, r, sizeof(*again));
        again->disk = copy;
        const rig_past *committed = &again->pasts[built - r->pasts];
        mr_state_stats stats = {.base_count = 0};
        mr_sim_disk_die_at(copy, calls + at);
        bool alive = rig_open(again) == MR_OK && rig_roll(again, committed) == MR_OK;
        for (uint32_t i = 0; alive && stats.base_count == 0; i++) {
            assert_true(i < 100);
            alive = rig_heed(again, &committed);
            if (alive) {
                rig_work(again, 10);
                const rig_past *past = rig_seal(again);
                alive = rig_prepare(again, past) == MR_STEP_NEXT;
                if (alive) {
                    mr_state_acknowledge(again->state, past->epoch);
                    rig_decide(again, past, &committed);
                    mr_state_read_stats(again->state, &stats);
                }
            }
        }
        reached_the_end = alive;
        rig_close(again);
        mr_sim_disk_crash(copy, NULL);
        check_disk(copy, again, committed);
        outcomes += rig_read_all(copy, again, committed);
        rig_free(again);
        mr_sim_disk_destroy(copy);
    }
    rig_free(r);
    mr_sim_disk_destroy(disk);
}

/* A record in Kafka that is older than the base is refused by its own name. */
static void test_a_point_before_the_base_is_too_old(void **state)
{
    mr_sim_disk *disk = mr_sim_disk_create(3);
    const rig_past *committed = NULL;
    rig *r = rig_with_base(disk, &committed);
    const rig_past first = r->pasts[1];

    (void)state;
    assert_int_equal(rig_open(r), MR_OK);
    assert_int_equal(rig_roll(r, &first), MR_ERR_REFUSED);
    assert_non_null(strstr(r->diag.text, "E_STATE_TOO_OLD"));
    rig_free(r);
    mr_sim_disk_destroy(disk);
}

/* What a base holds of a life that was reset behind it must not come back. */
static void test_a_reset_outlives_the_base_before_it(void **state)
{
    static const rig_model empty;
    mr_sim_disk *disk = mr_sim_disk_create(5);
    rig *r = rig_create_small(disk, 5);
    const rig_past *committed = NULL;
    mr_state_stats stats = {.base_count = 0};
    mr_task_point points[RIG_TASKS];

    (void)state;
    assert_int_equal(rig_open(r), MR_OK);
    assert_int_equal(rig_roll(r, NULL), MR_OK);
    for (uint32_t i = 0; i < 400 && stats.base_count == 0; i++) {
        assert_true(epoch(r, &committed));
        mr_state_read_stats(r->state, &stats);
    }
    assert_int_equal(stats.base_count, 1);
    rig_close(r);
    assert_int_equal(rig_open(r), MR_OK);
    for (uint32_t i = 0; i < RIG_TASKS; i++) {
        points[i] = (mr_task_point){.task = rig_tasks[i],
                                    .lineage = 5 + i,
                                    .new_lineage = 700 + i,
                                    .allowed = MR_ALLOW_RESET};
    }
    assert_int_equal(
        mr_state_roll(r->state, ++r->incarnation, points, RIG_TASKS, NULL, 0, &r->diag), MR_OK);
    assert_int_equal(points[0].verdict, MR_VERDICT_RESET);
    r->model = empty;
    rig_check(r, &empty);
    const rig_past claim = *rig_commit(r);
    rig_close(r);
    assert_int_equal(rig_open(r), MR_OK);
    assert_int_equal(rig_roll(r, &claim), MR_OK);
    rig_check(r, &empty);
    rig_free(r);
    mr_sim_disk_destroy(disk);
}

/* The log is gone, and the answer was to begin anew: what is written from then on is there at the
 * next start, also where the base's log begins within a part, whose block nobody has written. */
static void test_what_follows_a_lost_log_is_kept(void **state)
{
    uint32_t inside = 0;

    (void)state;
    for (uint32_t more = 0; more < 4; more++) {
        mr_sim_disk *disk = mr_sim_disk_create(3);
        const rig_past *committed = NULL;
        rig *r = rig_with_base(disk, &committed);
        mr_state_stats before;
        mr_state_stats stats = {.base_count = 0};
        uint64_t bytes = 0;
        uint64_t position = 0;

        r->options.checkpoint_us = 1;
        assert_int_equal(rig_open(r), MR_OK);
        assert_int_equal(rig_roll(r, committed), MR_OK);
        mr_state_read_stats(r->state, &before);
        for (uint32_t i = 0; i < 200 && stats.base_count == 0; i++) {
            rig_work(r, i < more ? 0 : 3); /* Two blocks, or three and more. */
            rig_decide(r, rig_commit(r), &committed);
            r->now_us += i < more ? 0 : 1000; /* Due by time, so that it may begin anywhere. */
            rig_turn(r);
            mr_state_read_stats(r->state, &stats);
        }
        assert_true(stats.base_count > 0);
        rig_close(r);
        const uint64_t at = stats.base_epoch; /* The newer pair: the larger of its sequences. */
        const uint8_t *data = mr_sim_disk_file(disk, "dir/shard-0.data", &bytes);
        for (uint32_t slot = 0; slot < 4; slot += 2) {
            uint64_t epoch = 0;
            memcpy(&epoch, data + slot * BLOCK + 72, sizeof(epoch));
            if (epoch == at) {
                memcpy(&position, data + slot * BLOCK + 88, sizeof(position));
            }
        }
        inside += position % r->options.wal_part_bytes != 4096;
        uint8_t *log = mr_sim_disk_file(disk, "dir/shard-0.wal", &bytes);
        memset(log, 0, bytes);
        assert_int_equal(rig_open(r), MR_OK);
        begin_anew(r, committed);
        rig_past last = *rig_commit(r);
        for (uint32_t i = 0; i < 3; i++) {
            rig_work(r, 5);
            last = *rig_commit(r);
        }
        rig_close(r);
        if (rig_open(r) != MR_OK || rig_roll(r, &last) != MR_OK) {
            fail_msg("%s", r->diag.text);
        }
        rig_check(r, &last.model);
        rig_free(r);
        mr_sim_disk_destroy(disk);
    }
    assert_true(inside > 0);
}

/* A task that has tables and no epoch yet is in the base all the same, and in what a reader sees.
 */
static void test_a_base_with_a_task_that_never_took_part(void **state)
{
    mr_sim_disk *disk = mr_sim_disk_create(3);
    rig *r = rig_create_small(disk, 3);
    const mr_io io = mr_sim_disk_io(disk);
    mr_state_stats stats = {.base_count = 0};
    mr_task_point points[RIG_TASKS];
    mr_state *reader = NULL;
    mr_ring *ring = NULL;
    uint64_t seal = 0;
    uint32_t count = 0;
    mr_diag diag;

    (void)state;
    r->options.checkpoint_us = 1;
    assert_int_equal(rig_open(r), MR_OK);
    assert_int_equal(rig_roll(r, NULL), MR_OK);
    for (uint32_t i = 0; i < 200 && stats.base_count == 0; i++) {
        assert_true(rig_put(r, 0, 0, i % RIG_KEYS, 100));
        r->offsets[0].to++;
        assert_int_equal(mr_state_seal(r->state, r->offsets, 1, &seal, points, &count),
                         MR_STEP_NEXT);
        assert_int_equal(count, 1);
        assert_int_equal(rig_prepare(r, &(rig_past){.epoch = seal}), MR_STEP_NEXT);
        mr_state_acknowledge(r->state, seal);
        r->now_us += 1000;
        rig_turn(r);
        mr_state_read_stats(r->state, &stats);
    }
    assert_int_equal(stats.base_count, 1);
    rig_close(r);
    assert_int_equal(mr_ring_open(&ring, &io, &diag), MR_OK);
    if (mr_state_open_reader(&reader, &r->options, ring, &diag) != MR_OK) {
        fail_msg("%s", diag.text);
    }
    assert_int_equal(mr_state_read_epoch(reader, seal, &diag), MR_OK);
    mr_state_close(reader);
    mr_ring_close(ring);
    rig_free(r);
    mr_sim_disk_destroy(disk);
}

/* No part is there, and none of their size would fit the limit of now. */
static void test_a_log_without_a_part_is_told(void **state)
{
    mr_sim_disk *disk = mr_sim_disk_create(3);
    const rig_past *committed = NULL;
    rig *r = rig_with_base(disk, &committed);
    const mr_io io = mr_sim_disk_io(disk);
    uint64_t bytes = 0;
    int descriptor = -1;

    (void)state;
    assert_int_equal(io.files->open(io.files_self, "dir/shard-0.wal", MR_FILE_CREATE, &descriptor,
                                    &bytes, &r->diag),
                     MR_OK);
    assert_int_equal(io.files->shrink(io.files_self, descriptor, 0), MR_OK);
    io.files->close(io.files_self, descriptor);
    r->options.wal_bytes_max = r->options.wal_part_bytes / 2;
    assert_int_equal(rig_open(r), MR_OK);
    assert_int_equal(rig_roll(r, committed), MR_ERR_REFUSED);
    assert_non_null(strstr(r->diag.text, "E_STATE_BEHIND"));
    begin_anew(r, committed);
    const rig_past claim = *rig_commit(r);
    rig_close(r);
    assert_int_equal(rig_open(r), MR_OK);
    assert_int_equal(rig_roll(r, &claim), MR_OK);
    rig_free(r);
    mr_sim_disk_destroy(disk);
}

static const uint32_t crowd_tasks[] = {3, 7, 11, 12, 13};

/* A store in which three tasks beside the rig's have an epoch of so many offsets each. */
static rig *create_crowded(mr_sim_disk *disk)
{
    static mr_input_offset offsets[CROWD];
    rig *r = rig_create(disk, 6);
    mr_task_point points[MR_LENGTH(crowd_tasks)];
    uint64_t number = 0;
    uint32_t count = 0;

    r->options.tasks = crowd_tasks;
    r->options.task_count = MR_LENGTH(crowd_tasks);
    r->options.memory_bytes = 8 << 20;
    r->options.wal_bytes_max = 1536 << 10;
    assert_int_equal(rig_open(r), MR_OK);
    for (uint32_t i = 0; i < MR_LENGTH(crowd_tasks); i++) {
        points[i] = (mr_task_point){.task = crowd_tasks[i], .lineage = 1000 + i};
    }
    assert_int_equal(mr_state_roll(r->state, 1, points, MR_LENGTH(crowd_tasks), NULL, 0, &r->diag),
                     MR_OK);
    for (uint32_t i = RIG_TASKS; i < MR_LENGTH(crowd_tasks); i++) {
        for (uint32_t k = 0; k < CROWD; k++) {
            offsets[k] = (mr_input_offset){.task = crowd_tasks[i], .input = k, .topic = 70 + k};
        }
        while (mr_state_seal(r->state, offsets, CROWD, &number, points, &count) == MR_STEP_WAIT) {
            rig_turn(r); /* For parts of the log. */
        }
        const rig_past past = {.epoch = number};
        assert_int_equal(rig_prepare(r, &past), MR_STEP_NEXT);
        mr_state_acknowledge(r->state, number);
    }
    return r;
}

/* More offsets than a base has room for, all of assigned tasks: said by its name and numbers. What
 * it says to do helps, as a base has room for whatever tasks are only kept. */
static void test_a_base_has_room_for_what_is_kept(void **state)
{
    mr_sim_disk *disk = mr_sim_disk_create(6);
    rig *r = create_crowded(disk);
    const rig_past *committed = NULL;
    mr_step step = MR_STEP_NEXT;
    mr_state_stats stats = {.base_count = 0};

    (void)state;
    rig_past last = *rig_commit(r);
    for (uint32_t i = 0; i < TURNS_MAX && step == MR_STEP_NEXT; i++) {
        r->past_count = 0;
        rig_work(r, 10);
        const rig_past *past = rig_seal(r);
        step = rig_prepare(r, past);
        if (step == MR_STEP_NEXT) {
            mr_state_acknowledge(r->state, past->epoch);
            last = *past;
        }
        rig_turn(r);
    }
    assert_int_equal(step, MR_STEP_FAILED);
    if (strstr(r->diag.text, "E_STATE_NO_SPACE: dir/shard-0.wal: no room for epoch ") == NULL ||
        strstr(r->diag.text, "have 12002 input offsets, a base has room for 8") == NULL ||
        strstr(r->diag.text, "--partitions") == NULL) {
        fail_msg("%s", r->diag.text);
    }
    rig_close(r);
    r->options.tasks = rig_tasks;
    r->options.task_count = RIG_TASKS;
    assert_int_equal(rig_open(r), MR_OK);
    assert_int_equal(rig_roll(r, &last), MR_OK);
    assert_int_equal(mr_state_unassigned(r->state, NULL, 0), 3);
    r->past_count = 0;
    rig_decide(r, rig_commit(r), &committed);
    for (uint32_t i = 0; i < TURNS_MAX && stats.base_count < 2; i++) {
        rig_forget_old(r, &committed);
        assert_true(epoch(r, &committed));
        mr_state_read_stats(r->state, &stats);
    }
    assert_int_equal(stats.base_count, 2);
    last = *committed;
    rig_close(r);
    assert_int_equal(rig_open(r), MR_OK);
    assert_int_equal(rig_roll(r, &last), MR_OK);
    assert_int_equal(mr_state_unassigned(r->state, NULL, 0), 3);
    rig_check(r, &last.model);
    rig_free(r);
    mr_sim_disk_destroy(disk);
}

/* XXH3-128 of `size` bytes at `at` of the data file, seeded as FORMAT.md says. */
static void sum_at(const uint8_t *data, uint64_t at, uint64_t size, uint8_t sum[16])
{
    uint64_t seed = 0;

    memcpy(&seed, data + 16, sizeof(seed)); /* The store, in every superblock. */
    mr_hash128(data + at, size, seed ^ at, sum);
}

/* All sums are right, and a table of the base is of a task that the base does not list. */
static void test_a_table_of_no_task_is_damage(void **state)
{
    mr_sim_disk *disk = mr_sim_disk_create(3);
    const rig_past *committed = NULL;
    rig *r = rig_with_base(disk, &committed);
    uint64_t bytes = 0;
    uint8_t *data = mr_sim_disk_file(disk, "dir/shard-0.data", &bytes);
    uint64_t sequences[2];
    uint64_t manifest[2]; /* Block, bytes. */
    uint32_t counts[2];   /* Tasks, offsets. */
    const uint32_t stray = 99;

    (void)state;
    memcpy(&sequences[0], data + 40, 8);
    memcpy(&sequences[1], data + 2 * BLOCK + 40, 8);
    const uint32_t first = sequences[0] > sequences[1] ? 0 : 2;
    memcpy(manifest, data + first * BLOCK + 112, sizeof(manifest));
    const uint64_t at = manifest[0] * BLOCK;
    memcpy(counts, data + at + 64, sizeof(counts));
    memcpy(data + at + 80 + counts[0] * UINT64_C(48) + counts[1] * UINT64_C(32), &stray,
           sizeof(stray));
    for (uint64_t block = first * BLOCK; block < (first + 2) * BLOCK; block += BLOCK) {
        sum_at(data, at, manifest[1], data + block + 128);
        memset(data + block + 152, 0, 16);
        uint8_t sum[16];
        sum_at(data, block, 4096, sum);
        memcpy(data + block + 152, sum, sizeof(sum));
    }
    assert_int_equal(rig_open(r), MR_ERR_CORRUPT);
    assert_non_null(strstr(r->diag.text, "the manifest holds impossible values"));
    rig_free(r);
    mr_sim_disk_destroy(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_base_with_a_task_that_never_took_part),
        cmocka_unit_test(test_a_base_has_room_for_what_is_kept),
        cmocka_unit_test(test_what_follows_a_lost_log_is_kept),
        cmocka_unit_test(test_a_log_without_a_part_is_told),
        cmocka_unit_test(test_a_table_of_no_task_is_damage),
        cmocka_unit_test(test_a_reset_outlives_the_base_before_it),
        cmocka_unit_test(test_a_small_log_never_ends),
        cmocka_unit_test(test_random_lives_with_bases),
        cmocka_unit_test(test_a_flipped_bit_is_never_believed),
        cmocka_unit_test(test_death_at_every_call_of_a_base),
        cmocka_unit_test(test_a_point_before_the_base_is_too_old),
    };

    rig_keep_memory();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
