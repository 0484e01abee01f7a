/*
 * space_test.c - a filesystem that is full: the open epoch is finished in what was set aside, input
 * waits, nothing fails, and all goes on by itself once there is room again.
 *
 * LINK: mr_state mr_ring mr_batch mr_base
 */
#include "tests/unit/state/rig.h"
#include <stdio.h>

enum { SECOND_US = 1000000, WAITS = 50, EPOCHS_MAX = 400 };

static const mr_sim_fault full = {.space_error_at = 1, .for_ever = true};
static const mr_sim_fault roomy = {.space_error_at = 0};

/* Turns that ask for room at the given time. */
static void turns(rig *r, int64_t now_us)
{
    r->now_us = now_us;
    for (uint32_t i = 0; i < WAITS; i++) {
        mr_state_retry(r->state, now_us);
        rig_turn(r);
    }
}

/* With one epoch committed and its parts ahead. */
static rig *create(mr_sim_disk *disk)
{
    rig *r = rig_create(disk, 3);
    r->options.wal_part_bytes = 16 << 10;
    r->options.epoch_bytes_max = 64 << 10;
    assert_int_equal(rig_open(r), MR_OK);
    assert_int_equal(rig_roll(r, NULL), MR_OK);
    (void)rig_commit(r);
    turns(r, 0);
    return r;
}

static uint32_t demand(const rig *r)
{
    return mr_state_demand(r->state);
}

/* Epochs until the store wants all that; the last committed one. */
static rig_past fill(rig *r, uint32_t wanted)
{
    rig_past last = *rig_commit(r);
    for (uint32_t i = 0; i < EPOCHS_MAX && (demand(r) & wanted) != wanted; i++) {
        r->past_count = 0;
        rig_work(r, 10);
        last = *rig_commit(r);
        rig_turn(r);
    }
    assert_int_equal(demand(r) & wanted, wanted);
    return last;
}

static void test_input_waits_and_the_open_epoch_is_finished(void **state)
{
    mr_sim_disk *disk = mr_sim_disk_create(3);
    rig *r = create(disk);

    (void)state;
    mr_sim_disk_fault(disk, &full);
    (void)fill(r, MR_DEMAND_SPACE);
    assert_int_not_equal(demand(r) & MR_DEMAND_PAUSE_INPUT, 0);
    assert_int_equal(mr_state_no_space(r->state, &r->diag), MR_ERR_LIMIT);
    assert_non_null(strstr(r->diag.text, "E_STATE_NO_SPACE: dir/shard-0.wal: "));
    assert_non_null(strstr(r->diag.text, "free space there"));
    while (mr_state_dirty_bytes(r->state) < r->options.epoch_bytes_max / 4) {
        rig_work(r, 1); /* As large as an epoch gets before it closes. */
    }
    r->past_count = 0;
    const rig_past last = *rig_commit(r);
    rig_check(r, &last.model);

    const uint64_t calls = mr_sim_disk_call_count(disk);
    turns(r, SECOND_US); /* One try for the log and one for a base, then none for a second. */
    assert_int_equal(mr_sim_disk_call_count(disk), calls + 2);
    turns(r, 2 * SECOND_US - 1);
    assert_int_equal(mr_sim_disk_call_count(disk), calls + 2);
    assert_int_not_equal(demand(r) & MR_DEMAND_PAUSE_INPUT, 0);

    mr_sim_disk_fault(disk, &roomy);
    turns(r, INT64_C(2) * SECOND_US);
    assert_int_equal(demand(r) & (MR_DEMAND_PAUSE_INPUT | MR_DEMAND_SPACE), 0);
    rig_work(r, 20);
    r->past_count = 0;
    const rig_past next = *rig_commit(r);
    rig_close(r);
    mr_sim_disk_crash(disk, NULL);
    assert_int_equal(rig_open(r), MR_OK);
    assert_int_equal(rig_roll(r, &next), MR_OK);
    rig_check(r, &next.model);
    rig_free(r);
    mr_sim_disk_destroy(disk);
}

/* Room for one part is not yet room for what is set aside. */
static void test_input_waits_until_enough_is_set_aside(void **state)
{
    mr_sim_disk *disk = mr_sim_disk_create(4);
    rig *r = create(disk);

    (void)state;
    mr_sim_disk_fault(disk, &full);
    (void)fill(r, MR_DEMAND_SPACE);
    while (mr_state_dirty_bytes(r->state) < r->options.epoch_bytes_max / 4) {
        rig_work(r, 1);
    }
    r->past_count = 0;
    (void)rig_commit(r);
    /* Reserve and zero-fill of one part, and no more. */
    mr_sim_disk_fault(disk, &(mr_sim_fault){.space_error_at = 3, .for_ever = true});
    const uint64_t calls = mr_sim_disk_call_count(disk);
    for (uint32_t i = 0; i < WAITS; i++) {
        mr_state_retry(r->state, SECOND_US);
        rig_turn(r);
        assert_int_not_equal(demand(r) & MR_DEMAND_PAUSE_INPUT, 0);
    }
    assert_true(mr_sim_disk_call_count(disk) >= calls + 3);
    mr_sim_disk_fault(disk, &roomy);
    turns(r, INT64_C(3) * SECOND_US);
    assert_int_equal(demand(r) & MR_DEMAND_PAUSE_INPUT, 0);
    rig_free(r);
    mr_sim_disk_destroy(disk);
}

/* A runtime that could not pause: the seal waits, is thrown away by a roll, and waits again. */
static void test_a_seal_without_room_waits(void **state)
{
    (void)state;
    for (uint32_t is_rolled = 0; is_rolled < 2; is_rolled++) {
        mr_sim_disk *disk = mr_sim_disk_create(5);
        rig *r = create(disk);
        rig_past last = *rig_commit(r);
        const rig_past *waiting = NULL;
        uint32_t epochs = 0;

        mr_sim_disk_fault(disk, &full);
        for (; epochs < EPOCHS_MAX; epochs++) {
            r->past_count = 0;
            rig_work(r, 10);
            waiting = NULL;
            for (uint32_t i = 0; i < WAITS && waiting == NULL; i++) {
                waiting = rig_seal_once(r);
                mr_state_retry(r->state, SECOND_US);
                rig_turn(r);
            }
            if (waiting == NULL) {
                break;
            }
            assert_int_equal(rig_prepare(r, waiting), MR_STEP_NEXT);
            mr_state_acknowledge(r->state, waiting->epoch);
            last = *waiting;
        }
        assert_true(epochs > 1 && epochs < EPOCHS_MAX);
        if (is_rolled) {
            assert_int_equal(rig_roll(r, &last), MR_OK);
            rig_check(r, &last.model);
            rig_work(r, 10);
        }
        mr_sim_disk_fault(disk, &roomy);
        r->past_count = 0;
        for (int64_t second = 2; second < WAITS && r->past_count == 0; second++) {
            (void)rig_seal_once(r);
            turns(r, second * SECOND_US);
        }
        assert_int_equal(r->past_count, 1);
        last = r->pasts[0];
        assert_int_equal(rig_prepare(r, &last), MR_STEP_NEXT);
        mr_state_acknowledge(r->state, last.epoch);
        rig_close(r);
        mr_sim_disk_crash(disk, NULL);
        assert_int_equal(rig_open(r), MR_OK);
        assert_int_equal(rig_roll(r, &last), MR_OK);
        rig_check(r, &last.model);
        rig_free(r);
        mr_sim_disk_destroy(disk);
    }
}

/* One turn at a time at that time; empty epochs where the store asks for them. */
static void serve(rig *r, int64_t now_us, rig_past *last)
{
    mr_state_tick(r->state, now_us, 1 << 20);
    rig_turn(r);
    if ((demand(r) & MR_DEMAND_COMMIT) != 0) {
        r->past_count = 0;
        *last = *rig_commit(r);
    }
}

/* The log has its room, the data file has none for a base. */
static void test_a_base_waits_for_room(void **state)
{
    mr_sim_disk *disk = mr_sim_disk_create(6);
    rig *r = rig_create(disk, 6);
    mr_state_stats stats;
    rig_past last;

    (void)state;
    r->options.wal_bytes_max = 1 << 20;
    r->options.memory_bytes = 8 << 20;
    r->options.epoch_bytes_max = 4 << 20; /* So that the whole log is zero-filled ahead. */
    assert_int_equal(rig_open(r), MR_OK);
    assert_int_equal(rig_roll(r, NULL), MR_OK);
    (void)rig_commit(r);
    turns(r, SECOND_US);
    mr_sim_disk_fault(disk, &full);
    last = fill(r, MR_DEMAND_SPACE);
    assert_int_equal(demand(r) & MR_DEMAND_PAUSE_INPUT, 0); /* The log goes on. */
    assert_int_equal(mr_state_no_space(r->state, &r->diag), MR_ERR_LIMIT);
    assert_non_null(strstr(r->diag.text, "shard-0.data"));
    last = fill(r, MR_DEMAND_PAUSE_INPUT | MR_DEMAND_SPACE);
    const uint64_t calls = mr_sim_disk_call_count(disk);
    for (uint32_t i = 0; i < WAITS; i++) {
        serve(r, SECOND_US / 2, &last);
    }
    assert_true(mr_sim_disk_call_count(disk) <= calls + 1);
    mr_sim_disk_fault(disk, &roomy);
    for (uint32_t i = 0; i < WAITS && (demand(r) & MR_DEMAND_PAUSE_INPUT) != 0; i++) {
        serve(r, INT64_C(3) * SECOND_US, &last);
    }
    mr_state_read_stats(r->state, &stats);
    assert_int_equal(stats.base_count, 1);
    assert_int_equal(demand(r) & MR_DEMAND_SPACE, 0);
    rig_close(r);
    mr_sim_disk_crash(disk, NULL);
    assert_int_equal(rig_open(r), MR_OK);
    assert_int_equal(rig_roll(r, &last), MR_OK);
    rig_check(r, &last.model);
    rig_free(r);
    mr_sim_disk_destroy(disk);
}

/* Every key of every table, so that the state stays as large as it is. */
static rig_past rewrite(rig *r, uint32_t keys, uint32_t size)
{
    r->past_count = 0;
    for (uint32_t i = 0; i < RIG_TASKS * RIG_TABLES * keys; i++) {
        assert_true(rig_put(r, i % RIG_TASKS, i / RIG_TASKS % RIG_TABLES, i / 4, size));
    }
    return *rig_commit(r);
}

/* The log cannot grow, and more than half of it is free: a base that has its room makes the rest
 * free, and input goes on while the disk is as full as before. */
static void test_a_base_makes_room_in_a_short_log(void **state)
{
    mr_sim_disk *disk = mr_sim_disk_create(7);
    rig *r = rig_create(disk, 7);
    mr_state_stats stats = {.base_count = 0};

    (void)state;
    r->options.wal_part_bytes = 64 << 10;
    r->options.memory_bytes = 24 << 20;
    r->options.epoch_bytes_max = 2 << 20; /* A quarter is set aside: more than half of the log. */
    r->options.checkpoint_us = 1;
    assert_int_equal(rig_open(r), MR_OK);
    assert_int_equal(rig_roll(r, NULL), MR_OK);
    rig_past last = rewrite(r, RIG_KEYS, 750);
    for (uint32_t i = 0; i < EPOCHS_MAX && stats.base_count < 6;
         i++) { /* Room beside any of them. */
        last = rewrite(r, 2, 750);
        turns(r, (int64_t)i * 2 + 1);
        mr_state_read_stats(r->state, &stats);
    }
    assert_int_equal(stats.base_count, 6);
    mr_sim_disk_fault(disk, &full);
    r->now_us = 0; /* No base is due by time. */
    for (uint32_t round = 0; round < 4; round++) {
        const uint64_t bases = stats.base_count;
        for (uint32_t i = 0; i < EPOCHS_MAX && (demand(r) & MR_DEMAND_SPACE) == 0; i++) {
            last = rewrite(r, RIG_KEYS, 750);
            rig_turn(r);
        }
        assert_int_not_equal(demand(r) & MR_DEMAND_PAUSE_INPUT, 0);
        for (uint32_t i = 0; i < 4 * WAITS && (demand(r) & MR_DEMAND_PAUSE_INPUT) != 0; i++) {
            serve(r, 0, &last);
        }
        assert_int_equal(demand(r) & MR_DEMAND_PAUSE_INPUT, 0);
        mr_state_read_stats(r->state, &stats);
        assert_true(stats.base_count > bases);
    }
    rig_close(r);
    mr_sim_disk_crash(disk, NULL);
    assert_int_equal(rig_open(r), MR_OK);
    assert_int_equal(rig_roll(r, &last), MR_OK);
    rig_check(r, &last.model);
    rig_free(r);
    mr_sim_disk_destroy(disk);
}

/* Files that cannot grow for another reason than space; `calls` counts the tries. */
typedef struct broken {
    mr_io io;
    mr_file_type files;
    bool is_broken;
    uint64_t only_bytes; /* Of such growth alone; 0: of any. */
    uint64_t calls;
} broken;

static broken *breaking;

static mr_status refuse_or_reserve(void *self, int descriptor, uint64_t offset, uint64_t size)
{
    const bool is_broken =
        breaking->is_broken && (breaking->only_bytes == 0 || breaking->only_bytes == size);
    breaking->calls += is_broken;
    return is_broken ? MR_ERR_IO : breaking->io.files->reserve(self, descriptor, offset, size);
}

static mr_io break_files(void *self, const mr_io *disk)
{
    breaking = self;
    breaking->io = *disk;
    breaking->files = *disk->files;
    breaking->files.reserve = refuse_or_reserve;
    mr_io io = *disk;
    io.files = &breaking->files;
    return io;
}

/* The data file cannot grow, and not for want of space: asked a part further on each time, three
 * times in the reserve; then no pause hides it, the next epoch ends by name, and starts go on. */
static void test_a_file_that_cannot_grow_ends_by_name(void **state)
{
    mr_sim_disk *disk = mr_sim_disk_create(8);
    rig *r = rig_create(disk, 8);
    broken b = {.is_broken = false};
    mr_step step = MR_STEP_NEXT;
    rig_past last;

    (void)state;
    r->between = break_files;
    r->between_self = &b;
    r->options.wal_bytes_max = 1 << 20;
    r->options.memory_bytes = 8 << 20;
    r->options.epoch_bytes_max = 4 << 20; /* So that the whole log is zero-filled ahead. */
    assert_int_equal(rig_open(r), MR_OK);
    assert_int_equal(rig_roll(r, NULL), MR_OK);
    last = *rig_commit(r);
    turns(r, SECOND_US);
    b.is_broken = true;
    for (uint32_t i = 0; i < EPOCHS_MAX && step == MR_STEP_NEXT; i++) {
        assert_int_equal(demand(r) & (MR_DEMAND_SPACE | MR_DEMAND_PAUSE_INPUT), 0);
        r->past_count = 0;
        rig_work(r, 10);
        const rig_past *past = rig_seal(r);
        step = rig_prepare(r, past);
        if (step == MR_STEP_NEXT) {
            mr_state_acknowledge(r->state, past->epoch);
            last = *past;
        }
        turns(r, SECOND_US);
    }
    assert_int_equal(step, MR_STEP_FAILED);
    assert_non_null(strstr(r->diag.text, "E_STATE_IO: dir/shard-0.data: the room for a base"));
    assert_in_range(b.calls, 4, 16 + 3);              /* 16 parts, and three in the reserve. */
    for (uint32_t starts = 0; starts < 3; starts++) { /* They have what it refused to take. */
        rig_close(r);
        assert_int_equal(rig_open(r), MR_OK);
        assert_int_equal(rig_roll(r, &last), MR_OK);
        rig_check(r, &last.model);
        last = *rig_commit(r);
        turns(r, SECOND_US);
    }
    rig_free(r);
    mr_sim_disk_destroy(disk);
}

/* A part could not be made, and not for want of space: bases keep the log going in those there are,
 * and behind each of them the next part is asked for again. */
static void test_a_part_is_asked_for_behind_a_base(void **state)
{
    mr_sim_disk *disk = mr_sim_disk_create(9);
    rig *r = rig_create(disk, 9);
    broken b = {.only_bytes = 64 << 10};
    const rig_past *committed = NULL;
    mr_state_stats stats = {.base_count = 0};
    uint64_t before = 0;
    uint64_t after = 0;

    (void)state;
    r->between = break_files;
    r->between_self = &b;
    r->turn_us = 1000;
    assert_int_equal(rig_open(r), MR_OK);
    assert_int_equal(rig_roll(r, NULL), MR_OK);
    rig_decide(r, rig_commit(r), &committed);
    turns(r, SECOND_US);
    b.is_broken = true;
    assert_non_null(mr_sim_disk_file(disk, "dir/shard-0.wal", &before));
    for (uint32_t i = 0; i < EPOCHS_MAX && stats.base_count < 6; i++) {
        b.is_broken = stats.base_count < 3;
        rig_forget_old(r, &committed);
        assert_true(rig_heed(r, &committed));
        rig_work(r, 10);
        rig_decide(r, rig_commit(r), &committed);
        rig_turn(r);
        if (b.is_broken) {
            assert_non_null(mr_sim_disk_file(disk, "dir/shard-0.wal", &after));
            assert_int_equal(after, before);
        }
        mr_state_read_stats(r->state, &stats);
    }
    assert_int_equal(stats.base_count, 6);
    assert_true(b.calls >= 2);
    assert_non_null(mr_sim_disk_file(disk, "dir/shard-0.wal", &after));
    assert_true(after > before);
    rig_check(r, &committed->model);
    rig_free(r);
    mr_sim_disk_destroy(disk);
}

/* Input that stops only when it must, in epochs of any size up to the largest: what is set aside
 * holds the open one and all that a base needs to be installed, wherever in a part that begins. */
static void test_the_reserve_suffices(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        mr_sim_disk *disk = mr_sim_disk_create(seed);
        rig *r = rig_create(disk, seed);
        const rig_past *committed = NULL;
        mr_state_stats stats;

        r->options.wal_part_bytes = seed == 1 ? 64 << 10 : 16 << 10;
        r->options.wal_bytes_max = 2 << 20;
        r->options.memory_bytes = 12 << 20;
        r->turn_us = 1000;
        r->skips_digests = true;
        assert_int_equal(rig_open(r), MR_OK);
        assert_int_equal(rig_roll(r, NULL), MR_OK);
        rig_decide(r, rig_commit(r), &committed);
        for (uint32_t i = 0; i < EPOCHS_MAX; i++) {
            rig_forget_old(r, &committed);
            assert_true(rig_heed(r, &committed));
            const uint64_t dirty = rig_draw(r, 4) > 0 ? (255 << 10) : rig_draw(r, 255 << 10);
            for (uint32_t key = 0;
                 key < 4 * RIG_KEYS && mr_state_dirty_bytes(r->state) + 1700 < dirty; key++) {
                assert_true(rig_put(r, key % 2, key / 2 % 2, key / 4 % RIG_KEYS,
                                    1500 + (uint32_t)rig_draw(r, 100)));
            }
            const rig_past *past = rig_seal(r);
            if (rig_prepare(r, past) != MR_STEP_NEXT) {
                fail_msg("epoch %u: %s", i, r->diag.text);
            }
            mr_state_acknowledge(r->state, past->epoch);
            rig_decide(r, past, &committed);
            rig_turn(r);
        }
        mr_state_read_stats(r->state, &stats);
        assert_true(stats.base_count > 10);
        rig_check(r, &committed->model);
        rig_free(r);
        mr_sim_disk_destroy(disk);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_input_waits_and_the_open_epoch_is_finished),
        cmocka_unit_test(test_input_waits_until_enough_is_set_aside),
        cmocka_unit_test(test_a_seal_without_room_waits),
        cmocka_unit_test(test_a_base_waits_for_room),
        cmocka_unit_test(test_a_base_makes_room_in_a_short_log),
        cmocka_unit_test(test_a_file_that_cannot_grow_ends_by_name),
        cmocka_unit_test(test_a_part_is_asked_for_behind_a_base),
        cmocka_unit_test(test_the_reserve_suffices),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
