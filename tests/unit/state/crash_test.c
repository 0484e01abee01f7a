/*
 * crash_test.c - the store against power failures on the simulated disk, judged by an oracle.
 *
 * Whatever a crash leaves: an epoch that was prepared is reachable, opening leads to exactly what
 * that epoch sealed, opening again changes nothing, and an epoch that is not there is refused by
 * name or treated as never written. Exhaustive for three keys, three epochs and every subset of
 * the last writes; random for larger histories with every kind of trouble below the store.
 */
#include "engine/base/assert.h"
#include "tests/unit/state/rig.h"

enum { SUBSET_BITS_MAX = 9, RANDOM_RUNS = 300, DEATH_SEEDS = 3 };

static const char *name_of_refusal(const rig *r)
{
    return r->diag.text;
}

/* Opens a fresh rig on the disk, rolls to the past of `from`, compares, closes. */
static void reopen_and_check(mr_sim_disk *disk, const rig *from, const rig_past *past,
                             uint8_t digests[RIG_TASKS][16])
{
    rig *again = rig_create(disk, 1);
    again->options = from->options;
    again->incarnation = from->incarnation + 1000;
    if (rig_open(again) != MR_OK || rig_roll(again, past) != MR_OK) {
        fail_msg("%s", name_of_refusal(again));
    }
    rig_model none = {0};
    rig_check(again, past == NULL ? &none : &past->model);
    rig_digests(again, digests);
    rig_free(again);
}

/* Every subset of the sectors pending when `past` was being written. */
static void try_subsets(const mr_sim_disk *disk, const rig *r, const rig_past *committed,
                        const rig_past *undecided)
{
    const uint32_t pending = mr_sim_disk_pending_count(disk);
    const uint32_t bits = pending < SUBSET_BITS_MAX ? pending : SUBSET_BITS_MAX;
    uint8_t digests[RIG_TASKS][16];
    uint8_t digests_again[RIG_TASKS][16];

    for (uint32_t subset = 0; subset < 1u << bits; subset++) {
        uint8_t keep[4096] = {0};
        /* Beyond the first bits sectors share their fate, so that whole blocks appear too. */
        for (uint32_t i = 0; i < pending && i < sizeof(keep) * 8; i++) {
            const uint32_t bit = pending <= SUBSET_BITS_MAX ? i : i * bits / pending;
            const uint8_t mask = (uint8_t)(1u << (i % 8));
            keep[i / 8] =
                (uint8_t)((subset >> bit & 1) != 0 ? keep[i / 8] | mask : keep[i / 8] & ~mask);
        }
        mr_sim_disk *crashed = mr_sim_disk_clone(disk, subset);
        mr_sim_disk_crash(crashed, keep);
        reopen_and_check(crashed, r, committed, digests);
        reopen_and_check(crashed, r, committed, digests_again);
        assert_memory_equal(digests, digests_again, sizeof(digests));
        if (subset + 1 == 1u << bits && undecided != NULL) {
            /* All of it landed: Kafka may have committed it. */
            reopen_and_check(crashed, r, undecided, digests);
        }
        mr_sim_disk_destroy(crashed);
    }
}

/* COVERS: F13 I5 */
static void test_every_subset_of_the_last_writes(void **state)
{
    mr_sim_disk *disk = mr_sim_disk_create(7);
    rig *r = rig_create(disk, 7);

    (void)state;
    const mr_sim_fault late = {.delay_max = 3};
    r->keys = 3;
    r->value_max = 40;
    assert_int_equal(rig_open(r), MR_OK);
    assert_int_equal(rig_roll(r, NULL), MR_OK);
    const rig_past *committed = rig_commit(r);
    for (uint32_t epoch = 0; epoch < 3; epoch++) {
        rig_work(r, 3);
        mr_sim_disk_fault(disk, &late);
        const rig_past *past = rig_seal(r);
        try_subsets(disk, r, committed, past);
        assert_int_equal(rig_prepare(r, past), MR_STEP_NEXT);
        try_subsets(disk, r, past, NULL);
        mr_state_acknowledge(r->state, past->epoch);
        committed = past;
    }
    rig_free(r);
    mr_sim_disk_destroy(disk);
}

/* The same with deltas that cross parts, so that chunks and part blocks fail apart.
 * COVERS: F13 I5 */
static void test_every_subset_across_parts(void **state)
{
    mr_sim_disk *disk = mr_sim_disk_create(11);
    rig *r = rig_create(disk, 11);

    (void)state;
    r->keys = 3;
    r->value_max = RIG_VALUE_MAX;
    r->options.wal_part_bytes = 12 << 10;
    assert_int_equal(rig_open(r), MR_OK);
    assert_int_equal(rig_roll(r, NULL), MR_OK);
    const rig_past *committed = rig_commit(r);
    for (uint32_t epoch = 0; epoch < 3; epoch++) {
        rig_work(r, 4);
        const rig_past *past = rig_seal(r);
        for (uint32_t turn = 0; turn < 6; turn++) {
            try_subsets(disk, r, committed, NULL);
            rig_turn(r);
            if (mr_state_prepared(r->state, past->epoch, &r->diag) == MR_STEP_NEXT) {
                break;
            }
        }
        assert_int_equal(rig_prepare(r, past), MR_STEP_NEXT);
        try_subsets(disk, r, past, NULL);
        mr_state_acknowledge(r->state, past->epoch);
        committed = past;
    }
    rig_free(r);
    mr_sim_disk_destroy(disk);
}

static mr_sim_fault draw_trouble(rig *r)
{
    return (mr_sim_fault){.short_percent = (uint32_t)rig_draw(r, 3) * 10,
                          .busy_percent = (uint32_t)rig_draw(r, 3) * 10,
                          .delay_max = (uint32_t)rig_draw(r, 5),
                          .queue_max = (uint32_t)rig_draw(r, 4),
                          .stale_at = rig_draw(r, 20),
                          .sync_error_at = rig_draw(r, 4) == 0 ? 3 + rig_draw(r, 8) : 0,
                          .write_error_at = rig_draw(r, 4) == 0 ? 3 + rig_draw(r, 8) : 0};
}

/* What Kafka remembers when the process dies, and the life after it. */
typedef struct world {
    rig *r;
    mr_sim_disk *disk;
    const rig_past *committed; /* Kafka's; NULL = nothing. */
    const rig_past *undecided; /* Prepared, so Kafka may decide for it. */
} world;

/* Opens; rolls; claims. False = the disk died. */
static bool start(world *w)
{
    const mr_status opened = rig_open(w->r);
    if (opened != MR_OK) {
        return false;
    }
    const mr_status rolled = rig_roll(w->r, w->committed);
    if (rolled != MR_OK) {
        if (rolled == MR_ERR_REFUSED) {
            fail_msg("%s", name_of_refusal(w->r));
        }
        return false;
    }
    rig_check(w->r, &w->r->model);
    return true;
}

/* An epoch or a roll; false = the disk died. */
static bool live(world *w)
{
    rig *r = w->r;
    const uint64_t choice = rig_draw(r, 10);

    rig_work(r, (uint32_t)rig_draw(r, 12));
    if (choice == 0) { /* Abort of the open epoch. */
        uint8_t by_undo[RIG_TASKS][16];
        const bool ok = rig_roll(r, w->committed) == MR_OK;
        if (ok) {
            rig_check(r, &r->model);
            rig_digests(r, by_undo);
        }
        return ok;
    }
    rig_past *past = rig_seal(r);
    w->undecided = past;
    rig_work(r, (uint32_t)rig_draw(r, 5));
    if (rig_prepare(r, past) != MR_STEP_NEXT) { /* Never committed: one recovery from the disk. */
        w->undecided = NULL;
        const bool ok = rig_roll(r, w->committed) == MR_OK;
        if (ok) {
            rig_check(r, &r->model);
        }
        return ok;
    }
    if (choice == 1) { /* Aborted by Kafka after it was prepared. */
        w->undecided = NULL;
        return rig_roll(r, w->committed) == MR_OK;
    }
    w->committed = past;
    w->undecided = NULL;
    if (choice == 2) { /* Committed, and the answer lost. */
        const bool ok = rig_roll(r, past) == MR_OK;
        if (ok) {
            rig_check(r, &past->model);
        }
        return ok;
    }
    mr_state_acknowledge(r->state, past->epoch);
    return true;
}

static void crash(world *w, bool power)
{
    rig *old = w->r;

    rig_close(old);
    if (power) {
        mr_sim_disk_crash(w->disk, NULL);
    } else { /* The process died, the machine lives on. */
        const mr_sim_fault none = {.read_error_at = 0};
        mr_sim_disk_die_at(w->disk, 0);
        mr_sim_disk_fault(w->disk, &none);
    }
}

static void run_random(uint64_t seed)
{
    world w = {.disk = mr_sim_disk_create(seed)};

    w.r = rig_create(w.disk, seed * 77 + 5);
    w.r->value_max = rig_draw(w.r, 2) == 0 ? 60 : RIG_VALUE_MAX;
    w.r->options.wal_part_bytes = (uint32_t)(2 + rig_draw(w.r, 6)) * 4096;
    w.r->options.wal_bytes_max = 4 << 20;
    for (uint32_t life = 0; life < 6; life++) {
        const uint64_t lasts = 1 + rig_draw(w.r, life == 0 ? 60 : 40);
        const mr_sim_fault trouble = draw_trouble(w.r);
        mr_sim_disk_fault(w.disk, &trouble);
        mr_sim_disk_die_at(w.disk, mr_sim_disk_call_count(w.disk) + lasts);
        bool alive = start(&w);
        while (alive && w.r->past_count < RIG_EPOCHS_MAX - 1) {
            alive = live(&w);
        }
        crash(&w, rig_draw(w.r, 3) != 0);
    }
    /* A last life on a sound disk. */
    assert_true(start(&w));
    if (w.r->past_count < RIG_EPOCHS_MAX - 1) {
        rig_work(w.r, 5);
        const rig_past *past = rig_commit(w.r);
        rig_close(w.r);
        uint8_t digests[RIG_TASKS][16];
        reopen_and_check(w.disk, w.r, past, digests);
    }
    rig_free(w.r);
    mr_sim_disk_destroy(w.disk);
}

/* COVERS: F12 F13 I5 */
static void test_random_lives(void **state)
{
    const char *only = getenv("MR_SEED");
    const char *runs = getenv("MR_RUNS");

    (void)state;
    if (only != NULL) {
        run_random(strtoull(only, NULL, 10));
        return;
    }
    const uint64_t count = runs != NULL ? strtoull(runs, NULL, 10) : RANDOM_RUNS;
    for (uint64_t seed = 1; seed <= count; seed++) {
        run_random(seed);
    }
}

/* The disk dies at call 1, 2, 3 ... of: format, claim, one epoch, restart.
 * COVERS: F13 S18 I5 */
static void test_death_at_every_call(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= DEATH_SEEDS; seed++) {
        bool reached_the_end = false;
        for (uint64_t at = 1; !reached_the_end; at++) {
            world w = {.disk = mr_sim_disk_create(seed)};
            w.r = rig_create(w.disk, seed);
            w.r->options.wal_part_bytes = 16 << 10;
            mr_sim_disk_die_at(w.disk, at);
            for (uint32_t life = 0; life < 2; life++) {
                bool alive = start(&w);
                for (uint32_t epoch = 0; alive && epoch < 2; epoch++) {
                    rig_work(w.r, 6);
                    const rig_past *past = rig_seal(w.r);
                    alive = rig_prepare(w.r, past) == MR_STEP_NEXT;
                    if (alive) {
                        mr_state_acknowledge(w.r->state, past->epoch);
                        w.committed = past;
                    }
                }
                reached_the_end = alive;
                if (life == 0) {
                    crash(&w, alive);
                } else {
                    rig_close(w.r);
                    mr_sim_disk_crash(w.disk, NULL);
                }
            }
            uint8_t digests[RIG_TASKS][16];
            reopen_and_check(w.disk, w.r, w.committed, digests);
            rig_free(w.r);
            mr_sim_disk_destroy(w.disk);
            if (at > 400) {
                fail_msg("the end is never reached");
            }
        }
    }
}

/* One bit turned anywhere: the right answer or a refusal by name, never a wrong answer.
 * COVERS: F14 I5 I11 */
static void test_a_flipped_bit_is_never_believed(void **state)
{
    static const char *const paths[] = {"dir/shard-0.wal", "dir/shard-0.data"};
    mr_sim_disk *disk = mr_sim_disk_create(3);
    rig *r = rig_create(disk, 3);
    uint32_t refused = 0;

    (void)state;
    assert_int_equal(rig_open(r), MR_OK);
    assert_int_equal(rig_roll(r, NULL), MR_OK);
    const rig_past *past = rig_commit(r);
    for (uint32_t epoch = 0; epoch < 4; epoch++) {
        rig_work(r, 8);
        past = rig_commit(r);
    }
    rig_close(r);
    for (size_t p = 0; p < MR_LENGTH(paths); p++) {
        uint64_t size = 0;
        assert_non_null(mr_sim_disk_file(disk, paths[p], &size));
        for (uint64_t at = 0; at < size; at += 61) {
            mr_sim_disk *copy = mr_sim_disk_clone(disk, at);
            uint8_t *bytes = mr_sim_disk_file(copy, paths[p], &size);
            bytes[at] ^= (uint8_t)(1u << (at % 8));
            rig *again = rig_create(copy, 1);
            mr_status status = rig_open(again);
            if (status == MR_OK) {
                status = rig_roll(again, past);
            }
            if (status == MR_OK) {
                rig_check(again, &past->model);
            } else {
                refused++;
                assert_non_null(strstr(again->diag.text, "E_STATE_"));
            }
            rig_free(again);
            mr_sim_disk_destroy(copy);
        }
    }
    assert_true(refused > 100);
    rig_free(r);
    mr_sim_disk_destroy(disk);
}

/* A write that lands elsewhere, is lost, or lands with a bit turned, while all seems well.
 * COVERS: F13 F14 I5 */
static void test_a_lying_disk_is_never_believed(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 90; seed++) {
        mr_sim_disk *disk = mr_sim_disk_create(seed);
        rig *r = rig_create(disk, seed);
        const uint64_t at = 1 + seed / 3 % 6;
        const mr_sim_fault lie = {.misdirect_at = seed % 3 == 0 ? at : 0,
                                  .lose_at = seed % 3 == 1 ? at : 0,
                                  .flip_at = seed % 3 == 2 ? at : 0};
        r->value_max = RIG_VALUE_MAX;
        r->options.wal_part_bytes = 32 << 10;
        assert_int_equal(rig_open(r), MR_OK);
        assert_int_equal(rig_roll(r, NULL), MR_OK);
        const rig_past *past = rig_commit(r);
        mr_sim_disk_fault(disk, &lie);
        for (uint32_t epoch = 0; epoch < 5; epoch++) {
            rig_work(r, 6);
            past = rig_commit(r);
        }
        rig_close(r);
        mr_sim_disk_crash(disk, NULL);
        rig *again = rig_create(disk, 1);
        again->options = r->options;
        mr_status status = rig_open(again);
        if (status == MR_OK) {
            status = rig_roll(again, past);
        }
        if (status == MR_OK) {
            rig_check(again, &past->model);
        } else {
            assert_non_null(strstr(again->diag.text, "E_STATE_"));
        }
        rig_free(again);
        rig_free(r);
        mr_sim_disk_destroy(disk);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_subset_of_the_last_writes),
        cmocka_unit_test(test_every_subset_across_parts),
        cmocka_unit_test(test_death_at_every_call),
        cmocka_unit_test(test_random_lives),
        cmocka_unit_test(test_a_flipped_bit_is_never_believed),
        cmocka_unit_test(test_a_lying_disk_is_never_believed),
    };

    rig_keep_memory();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
