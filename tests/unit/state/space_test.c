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

/* Files that cannot grow for another reason than space; `calls` counts the tries. */
typedef struct broken {
    mr_io io;
    mr_file_type files;
    bool is_broken;
    mr_status status;      /* MR_OK: MR_ERR_IO. */
    uint64_t only_bytes;   /* Of such growth alone; 0: of any. */
    uint64_t spared_bytes; /* Not of such growth. */
    uint64_t calls;
} broken;

static broken *breaking;

static mr_status refuse_or_reserve(void *self, int descriptor, uint64_t offset, uint64_t size)
{
    const bool is_broken = breaking->is_broken && size != breaking->spared_bytes &&
                           (breaking->only_bytes == 0 || breaking->only_bytes == size);
    const mr_status status = breaking->status != MR_OK ? breaking->status : MR_ERR_IO;
    breaking->calls += is_broken;
    return is_broken ? status : breaking->io.files->reserve(self, descriptor, offset, size);
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

/* The whole log is zero-filled ahead: only the data file asks the disk for more. */
static rig *create_ahead(mr_sim_disk *disk, broken *b)
{
    rig *r = rig_create(disk, 6);

    if (b != NULL) {
        r->between = break_files;
        r->between_self = b;
    }
    r->options.wal_bytes_max = 1 << 20;
    r->options.memory_bytes = 8 << 20;
    r->options.epoch_bytes_max = 4 << 20;
    assert_int_equal(rig_open(r), MR_OK);
    assert_int_equal(rig_roll(r, NULL), MR_OK);
    (void)rig_commit(r);
    turns(r, SECOND_US);
    return r;
}

/* The log has its room, the data file has none for a base. */
static void test_a_base_waits_for_room(void **state)
{
    mr_sim_disk *disk = mr_sim_disk_create(6);
    rig *r = create_ahead(disk, NULL);
    mr_state_stats stats;
    rig_past last;

    (void)state;
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

/* The data file cannot grow, and not for want of space: asked a part further on each time, three
 * times in the reserve; then no pause hides it, the next epoch ends by name, and starts go on. */
static void test_a_file_that_cannot_grow_ends_by_name(void **state)
{
    mr_sim_disk *disk = mr_sim_disk_create(8);
    broken b = {.is_broken = false};
    rig *r = create_ahead(disk, &b);
    mr_step step = MR_STEP_NEXT;
    rig_past last;

    (void)state;
    last = *rig_commit(r);
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
    for (uint32_t starts = 0; starts < 4; starts++) { /* They have what it refused to take. */
        if (starts % 2 == 1) {                        /* Else the process goes on. */
            rig_close(r);
            assert_int_equal(rig_open(r), MR_OK);
        }
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

/* An open epoch of at least so many bytes, and of less than a record more. */
static void dirty(rig *r, uint64_t bytes)
{
    for (uint32_t i = 0; mr_state_dirty_bytes(r->state) < bytes; i++) {
        assert_true(i < 4 * RIG_KEYS);
        assert_true(rig_put(r, i % 2, i / 2 % 2, i / 4, bytes > (256 << 10) ? 8000 : 1600));
    }
}

/* Empty epochs, so many or until input must stop; how many there were. */
static uint32_t empty_epochs(rig *r, uint32_t count)
{
    uint32_t done = 0;

    for (; done < count && (demand(r) & MR_DEMAND_PAUSE_INPUT) == 0; done++) {
        r->past_count = 0;
        (void)rig_commit(r);
        rig_turn(r);
    }
    return done;
}

enum { PART = 16 << 10, PARTS = 64, LARGEST = 256 << 10, EMPTY_EPOCHS = 12 };

/* The data file is as good as full, the log may have all its parts; `shifted`: by one block. */
static rig *create_for_reserve(mr_sim_disk *disk, broken *b, bool shifted)
{
    rig *r = rig_create(disk, 10);

    *b = (broken){.status = MR_ERR_FULL, .spared_bytes = PART};
    r->between = break_files;
    r->between_self = b;
    r->options.wal_part_bytes = PART;
    r->options.wal_bytes_max = (uint64_t)PARTS * PART;
    r->options.memory_bytes = 8 << 20;
    r->options.epoch_bytes_max = LARGEST;
    assert_int_equal(rig_open(r), MR_OK);
    b->is_broken = true;
    assert_int_equal(rig_roll(r, NULL), MR_OK);
    rig_work(r, shifted ? 1 : 0);
    (void)rig_commit(r);
    return r;
}

/* What is left of the log, part blocks not counted. */
static uint64_t left_of(const rig *r)
{
    enum { BLOCK = 4096 };
    mr_state_stats stats;

    mr_state_read_stats(r->state, &stats);
    const uint64_t at = BLOCK + stats.wal_bytes; /* From the first part on. */
    return (PARTS - 1 - at / PART) * (PART - BLOCK) + PART - at % PART;
}

/* Input waits where the largest epoch, twelve empty ones and two parts are left; at the last place
 * in front of that the largest epoch still has its room, and the empty ones behind it. */
static void test_the_reserve_is_what_it_says(void **state)
{
    const uint64_t reserve = LARGEST + EMPTY_EPOCHS * 8192 + 2 * PART;

    (void)state;
    for (uint32_t shifted = 0; shifted < 2; shifted++) {
        mr_sim_disk *disks[] = {mr_sim_disk_create(10), mr_sim_disk_create(10)};
        broken b;
        rig *r = create_for_reserve(disks[0], &b, shifted != 0);

        const uint32_t last = empty_epochs(r, EPOCHS_MAX) - 1; /* Behind one more input waits. */
        assert_in_range(last, 2, EPOCHS_MAX - 2);
        assert_in_range(left_of(r), reserve - 8192 + 1, reserve);
        rig_free(r);
        r = create_for_reserve(disks[1], &b, shifted != 0);
        assert_int_equal(empty_epochs(r, last), last);
        assert_int_equal(demand(r) & MR_DEMAND_PAUSE_INPUT, 0);
        dirty(r, LARGEST - 1700);
        for (uint32_t i = 0; i <= EMPTY_EPOCHS; i++) {
            r->past_count = 0;
            (void)rig_commit(r);
        }
        rig_check(r, &r->model);
        rig_free(r);
        mr_sim_disk_destroy(disks[0]);
        mr_sim_disk_destroy(disks[1]);
    }
}

/* A runtime that does not pause: where the log is full while a base is being installed, the seal
 * waits for the parts that it makes free. */
static void test_a_seal_waits_for_an_install(void **state)
{
    mr_sim_disk *disk = mr_sim_disk_create(11);
    rig *r = create_ahead(disk, NULL);
    mr_state_stats stats;

    (void)state;
    for (uint32_t i = 0; i < RIG_HORIZON; i++) {
        (void)rig_commit(r);
    }
    dirty(r, 400 << 10);
    (void)rig_commit(r);
    turns(r, SECOND_US); /* A base of it. */
    for (uint32_t i = 0; i < RIG_HORIZON - 2; i++) {
        (void)rig_commit(r);
    }
    mr_state_read_stats(r->state, &stats);
    assert_int_equal(stats.base_count, 0);
    dirty(r, stats.wal_bytes_max - stats.wal_bytes - (160 << 10));
    (void)rig_commit(r); /* The base is at the horizon. */
    dirty(r, 250 << 10);
    r->past_count = 0;
    assert_null(rig_seal_once(r));
    const rig_past past = *rig_seal(r);
    assert_int_equal(rig_prepare(r, &r->pasts[0]), MR_STEP_NEXT);
    mr_state_acknowledge(r->state, past.epoch);
    mr_state_read_stats(r->state, &stats);
    assert_int_equal(stats.base_count, 1);
    rig_close(r);
    assert_int_equal(rig_open(r), MR_OK);
    assert_int_equal(rig_roll(r, &past), MR_OK);
    rig_check(r, &past.model);
    rig_free(r);
    mr_sim_disk_destroy(disk);
}

/* The data file could not grow: it is asked again a part further on, or behind a roll. */
static void test_a_roll_asks_at_once(void **state)
{
    mr_sim_disk *disk = mr_sim_disk_create(12);
    broken b = {.is_broken = false};
    rig *r = create_ahead(disk, &b);
    rig_past last = *rig_commit(r);

    (void)state;
    b.is_broken = true;
    for (uint32_t i = 0; i < EPOCHS_MAX && b.calls == 0; i++) {
        r->past_count = 0;
        rig_work(r, 10);
        last = *rig_commit(r);
        turns(r, SECOND_US);
    }
    assert_int_equal(b.calls, 1);
    turns(r, SECOND_US);
    assert_int_equal(b.calls, 1);
    assert_int_equal(rig_roll(r, &last), MR_OK);
    turns(r, SECOND_US);
    assert_int_equal(b.calls, 2);
    rig_free(r);
    mr_sim_disk_destroy(disk);
}

/* One epoch and its turns, in which the data file is mended once it has refused so often; how often
 * it refused. UINT64_MAX: the epoch failed. */
static uint64_t refusals(rig *r, broken *b, uint64_t mended_at)
{
    const uint64_t before = b->calls;

    r->past_count = 0;
    rig_work(r, 10);
    const rig_past *past = rig_seal(r);
    if (rig_prepare(r, past) != MR_STEP_NEXT) {
        return UINT64_MAX;
    }
    mr_state_acknowledge(r->state, past->epoch);
    for (uint32_t i = 0; i < WAITS; i++) {
        rig_turn(r);
        b->is_broken = b->is_broken && b->calls - before < mended_at;
    }
    return b->calls - before;
}

/* Three refusals in a row are counted in the reserve: those before a base that was written do not
 * count for the next one. */
static void test_refusals_before_a_base_are_forgotten(void **state)
{
    mr_sim_disk *disk = mr_sim_disk_create(13);
    broken b = {.is_broken = false};
    rig *r = create_ahead(disk, &b);
    mr_state_stats stats = {.base_count = 0};
    uint64_t most = 0;

    (void)state;
    b.is_broken = true;
    for (uint32_t i = 0; i < EPOCHS_MAX && stats.base_count == 0; i++) {
        assert_int_not_equal(refusals(r, &b, 2), UINT64_MAX); /* Twice: that is in the reserve. */
        mr_state_read_stats(r->state, &stats);
    }
    assert_int_equal(stats.base_count, 1);
    b.is_broken = true;
    for (uint32_t i = 0; i < EPOCHS_MAX; i++) {
        const uint64_t count = refusals(r, &b, UINT64_MAX);
        if (count == UINT64_MAX) {
            break;
        }
        most = count > most ? count : most;
    }
    assert_int_equal(most, 3);
    rig_free(r);
    mr_sim_disk_destroy(disk);
}

/* Commits epochs that are small enough for what is ahead; then one is open that is not, and is
 * sealed or not before a roll throws it away. How many parts end the pause then. */
static uint32_t parts_until_input(bool is_sealed)
{
    mr_sim_disk *disk = mr_sim_disk_create(14);
    rig *r = create(disk);
    uint32_t parts = 0;

    r->past_count = 0;
    const rig_past last = *rig_commit(r);
    mr_sim_disk_fault(disk, &full);
    dirty(r, 62 << 10);
    if (is_sealed) {
        for (uint32_t i = 0; i < WAITS; i++) {
            assert_null(rig_seal_once(r));
            rig_turn(r);
        }
    }
    assert_int_equal(rig_roll(r, &last), MR_OK);
    rig_check(r, &last.model);
    for (; parts < EPOCHS_MAX; parts++) {
        turns(r, ((int64_t)parts + 1) * SECOND_US);
        if ((demand(r) & MR_DEMAND_PAUSE_INPUT) == 0) {
            break;
        }
        mr_sim_disk_fault(disk, &(mr_sim_fault){.space_error_at = 3, .for_ever = true});
    }
    assert_true(parts < EPOCHS_MAX);
    rig_free(r);
    mr_sim_disk_destroy(disk);
    return parts;
}

/* What a seal waited for is nobody's wish any more once a roll has thrown it away. */
static void test_a_roll_forgets_what_a_seal_wanted(void **state)
{
    (void)state;
    assert_int_equal(parts_until_input(true), parts_until_input(false));
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
        cmocka_unit_test(test_the_reserve_is_what_it_says),
        cmocka_unit_test(test_a_seal_waits_for_an_install),
        cmocka_unit_test(test_a_roll_asks_at_once),
        cmocka_unit_test(test_refusals_before_a_base_are_forgotten),
        cmocka_unit_test(test_a_roll_forgets_what_a_seal_wanted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
