/*
 * base_crash_test.c - power failures while a base is written, exhaustively for a small one.
 *
 * Between any two turns of the store every subset of the sectors that are not durable yet is what a
 * crash may leave. Each is opened, rolled to what Kafka has and compared with the oracle; for those
 * where all or nothing landed every epoch from the horizon on is read as well. Sectors that equal
 * what is durable below them change nothing and are left out, which is what makes it finite: a
 * small base, its manifest, the superblock pair and the delta beside them are a handful of sectors.
 * Larger bases: whole requests land or not, sector by sector only some.
 */
#include "engine/base/assert.h"
#include "tests/unit/state/rig.h"

enum {
    BITS_MAX = 10,
    KEEP_BYTES = 1024,
    SMALL_BASES = 3, /* In fresh room, behind the first one, and in front of the second again. */
    LARGE_BASES = 2,
    OUTCOMES_MIN = 9000,
    EPOCHS_MAX = 400
};

#define ALL UINT64_MAX

typedef struct subset { /* Sectors among the pending ones that matter. */
    uint32_t sectors[KEEP_BYTES * 8];
    uint32_t count;
} subset;

static uint64_t outcomes;
static uint32_t widest; /* Most sectors of which every subset was tried. */

static void check(mr_sim_disk *disk, const rig *from, const rig_past *past)
{
    rig *r = rig_create_small(disk, 1);

    r->options = from->options;
    r->incarnation = from->incarnation + 1000;
    if (rig_open(r) != MR_OK || rig_roll(r, past) != MR_OK) {
        fail_msg("%s", r->diag.text);
    }
    rig_check(r, &past->model);
    rig_free(r);
    outcomes++;
}

static bool same_files(mr_sim_disk *a, mr_sim_disk *b)
{
    static const char *const paths[] = {"dir/shard-0.wal", "dir/shard-0.data"};

    for (size_t i = 0; i < MR_LENGTH(paths); i++) {
        uint64_t size_a = 0;
        uint64_t size_b = 0;
        const uint8_t *bytes_a = mr_sim_disk_file(a, paths[i], &size_a);
        const uint8_t *bytes_b = mr_sim_disk_file(b, paths[i], &size_b);
        if (size_a != size_b || memcmp(bytes_a, bytes_b, size_a) != 0) {
            return false;
        }
    }
    return true;
}

static mr_sim_disk *crashed(const mr_sim_disk *disk, const subset *of, uint64_t bits)
{
    mr_sim_disk *copy = mr_sim_disk_clone(disk, bits);
    uint8_t keep[KEEP_BYTES] = {0};

    if (bits == ALL) {
        memset(keep, 0xff, sizeof(keep));
    }
    for (uint32_t i = 0; i < of->count; i++) {
        /* Above BITS_MAX sectors share their fate. */
        const uint32_t bit = of->count <= BITS_MAX ? i : i * BITS_MAX / of->count;
        if ((bits >> bit & 1) != 0) {
            keep[of->sectors[i] / 8] |= (uint8_t)(1u << (of->sectors[i] % 8));
        }
    }
    mr_sim_disk_crash(copy, keep);
    return copy;
}

static void find_sectors(const mr_sim_disk *disk, subset *found)
{
    const uint32_t pending = mr_sim_disk_pending_count(disk);
    subset one = {.count = 0};

    found->count = 0;
    assert_true(pending <= KEEP_BYTES * 8);
    mr_sim_disk *none = crashed(disk, &one, 0);
    one.count = 1;
    for (uint32_t i = 0; i < pending; i++) {
        one.sectors[0] = i;
        mr_sim_disk *with = crashed(disk, &one, 1);
        if (!same_files(none, with)) {
            found->sectors[found->count++] = i;
        }
        mr_sim_disk_destroy(with);
    }
    mr_sim_disk_destroy(none);
}

/* `committed`: Kafka's; `undecided`: what it may have too, if all of it landed. */
static void try_subsets(const mr_sim_disk *disk, const rig *r, const rig_past *committed,
                        const rig_past *undecided)
{
    static subset of;

    find_sectors(disk, &of);
    const uint32_t bits = of.count < BITS_MAX ? of.count : BITS_MAX;
    if (of.count <= BITS_MAX) {
        widest = of.count > widest ? of.count : widest;
    }
    for (uint64_t chosen = 0; chosen < UINT64_C(1) << bits; chosen++) {
        const bool all = chosen + 1 == UINT64_C(1) << bits;
        mr_sim_disk *copy = crashed(disk, &of, all ? ALL : chosen);
        check(copy, r, committed);
        if (all && undecided != NULL) {
            check(copy, r, undecided);
        }
        if (all || chosen == 0) {
            outcomes += rig_read_all(copy, r, committed);
            check(copy, r, committed); /* Opening again changes nothing. */
        }
        mr_sim_disk_destroy(copy);
    }
}

/* A turn at a time until the epoch is prepared, and some more. */
static const rig_past *epoch(mr_sim_disk *disk, rig *r, const rig_past *committed)
{
    rig_past *past = rig_seal(r);

    for (uint32_t turn = 0;; turn++) {
        assert_true(turn < 100);
        try_subsets(disk, r, committed, past);
        const mr_step step = mr_state_prepared(r->state, past->epoch, &r->diag);
        if (step == MR_STEP_NEXT) {
            break;
        }
        assert_int_equal(step, MR_STEP_WAIT);
        rig_turn(r);
    }
    mr_state_acknowledge(r->state, past->epoch);
    const rig_past *now = past;
    rig_decide(r, past, &now);
    /* A few only, so that the next epoch is written beside what a base still has under way. */
    for (uint64_t turns = rig_draw(r, 3); turns > 0; turns--) {
        try_subsets(disk, r, now, NULL);
        rig_turn(r);
    }
    try_subsets(disk, r, now, NULL);
    return now;
}

static void write_bases(uint64_t seed, uint32_t keys, uint32_t value_max, uint64_t wal_bytes_max,
                        uint32_t bases)
{
    mr_sim_disk *disk = mr_sim_disk_create(seed);
    rig *r = rig_create_small(disk, seed);
    mr_state_stats stats = {.base_count = 0};
    const mr_sim_fault late = {.delay_max = 2};

    r->keys = keys;
    r->value_max = value_max;
    r->options.wal_bytes_max = wal_bytes_max;
    r->options.epoch_bytes_max = 64 << 10;
    assert_int_equal(rig_open(r), MR_OK);
    assert_int_equal(rig_roll(r, NULL), MR_OK);
    const rig_past *committed = NULL;
    rig_decide(r, rig_commit(r), &committed);
    mr_sim_disk_fault(disk, &late);
    for (uint32_t i = 0; stats.base_count < bases; i++) {
        assert_true(i < EPOCHS_MAX);
        rig_forget_old(r, &committed);
        if ((mr_state_demand(r->state) & MR_DEMAND_PAUSE_INPUT) != 0 &&
            (mr_state_demand(r->state) & MR_DEMAND_COMMIT) == 0) {
            try_subsets(disk, r, committed, NULL); /* It is being copied. */
            rig_turn(r);
            continue;
        }
        rig_work(r, (uint32_t)rig_draw(r, 6));
        committed = epoch(disk, r, committed);
        mr_state_read_stats(r->state, &stats);
    }
    rig_free(r);
    mr_sim_disk_destroy(disk);
}

static void test_every_subset_of_a_small_base(void **state)
{
    (void)state;
    write_bases(3, 2, 20, 224 << 10, SMALL_BASES);
    assert_true(widest >= 4);
}

static void test_subsets_of_larger_bases(void **state)
{
    (void)state;
    write_bases(4, RIG_KEYS, 1500, 320 << 10, LARGE_BASES);
    print_message("base_crash_test: %llu outcomes, all subsets of up to %u sectors\n",
                  (unsigned long long)outcomes, widest);
    assert_true(outcomes >= OUTCOMES_MIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_subset_of_a_small_base),
        cmocka_unit_test(test_subsets_of_larger_bases),
    };

    rig_keep_memory();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
