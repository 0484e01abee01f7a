/*
 * churn_test.c - values of all sizes come, grow, shrink and go under a small memory: never a byte
 * more than it, E_STATE_FULL by name at its end, nothing lost, and what one size gives up another
 * one can have. The oracle is an array of sizes and numbers.
 */
#include "engine/base/assert.h"
#include "tests/unit/state/faulty.h"
#include "tests/unit/state/rig.h"

enum {
    CELLS = 160000, /* Keys; random work uses the first KEYS of them. */
    KEYS = 1500,
    VALUE_MAX = 40000,
    MEMORY_BYTES = 7 << 20,
    EPOCHS = 260,
    SEEDS = 4,
    FILL_BYTES = MEMORY_BYTES / 10 * 8, /* A tenth is for tables, tasks and the first blocks. */
    CHANGED_BYTES = 48 << 10
};

typedef struct cell {
    uint64_t content;
    uint32_t size; /* UINT32_MAX: there is none. */
    uint32_t reserved;
} cell;

typedef struct world {
    mr_sim_disk *disk; /* NULL: volatile. */
    rig *r;
    faulty f;
    cell cells[CELLS], sealed[CELLS]; /* Now; and as of the newest acknowledged epoch. */
    const rig_past *committed;
    uint32_t full_count;
} world;

static world *world_open(bool is_durable, uint64_t seed)
{
    world *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    w->disk = is_durable ? mr_sim_disk_create(seed) : NULL;
    w->r = rig_create(w->disk, seed);
    w->r->options.memory = faulty_memory(&w->f);
    w->r->options.memory_bytes = MEMORY_BYTES;
    w->r->options.value_bytes_max = 128 << 10;
    w->r->options.wal_bytes_max = 16 << 20;
    w->r->skips_digests = true;
    for (uint32_t i = 0; i < CELLS; i++) {
        w->cells[i].size = w->sealed[i].size = UINT32_MAX;
    }
    assert_int_equal(rig_open(w->r), MR_OK);
    assert_int_equal(rig_roll(w->r, NULL), MR_OK);
    rig_decide(w->r, rig_commit(w->r), &w->committed);
    return w;
}

static void world_close(world *w)
{
    if (w->f.peak_bytes > w->r->options.memory_bytes) {
        fail_msg("%llu bytes too many",
                 (unsigned long long)(w->f.peak_bytes - w->r->options.memory_bytes));
    }
    rig_close(w->r);
    assert_int_equal(w->f.acquired_bytes, 0);
    rig_free(w->r);
    mr_sim_disk_destroy(w->disk);
    free(w);
}

static uint64_t used_bytes(const world *w)
{
    mr_state_stats stats;

    mr_state_read_stats(w->r->state, &stats);
    assert_true(stats.memory_bytes <= stats.memory_bytes_max);
    return stats.memory_bytes;
}

typedef struct one_key {
    mr_keys keys;
    mr_view view;
    uint64_t hash, number;
} one_key;

/* Where a key lives: four tables, so that none has a size class for itself. */
static mr_table *find(world *w, uint32_t key, one_key *k)
{
    mr_table *table = w->r->tables[key % RIG_TASKS][key / RIG_TASKS % RIG_TABLES];

    k->number = key;
    k->view = (mr_view){.bytes = (const uint8_t *)&k->number, .size_bytes = sizeof(k->number)};
    k->hash = mr_hash64(&k->number, sizeof(k->number), mr_table_seed(table));
    k->keys = (mr_keys){.hashes = &k->hash, .views = &k->view, .count = 1};
    assert_int_equal(mr_table_prefetch(table, &k->keys), MR_STEP_NEXT);
    return table;
}

/* False = the store is full. */
static bool put(world *w, uint32_t key, uint32_t size)
{
    static uint8_t bytes[(128 << 10) + 8];
    one_key k;
    mr_table *table = find(w, key, &k);

    if (size == UINT32_MAX) {
        mr_table_delete(table, &k.keys, 0);
        w->cells[key].size = UINT32_MAX;
        return true;
    }
    uint8_t *value = mr_table_update(table, &k.keys, 0, size);
    if (value == NULL) {
        return false;
    }
    w->cells[key] = (cell){.size = size, .content = mr_prng_next(&w->r->prng)};
    rig_content(w->cells[key].content, size, bytes);
    memcpy(value, bytes, size);
    return true;
}

static void check(world *w)
{
    static uint8_t bytes[(128 << 10) + 8];
    uint64_t there = 0;
    uint64_t keys = 0;

    for (uint32_t key = 0; key < CELLS; key++) {
        one_key k;
        mr_table *table = find(w, key, &k);
        const void *value = mr_table_get(table, &k.keys, 0);
        const cell *expected = &w->cells[key];
        assert_int_equal(value != NULL, expected->size != UINT32_MAX);
        if (value != NULL) {
            there++;
            rig_content(expected->content, expected->size, bytes);
            assert_memory_equal(value, bytes, expected->size);
        }
    }
    for (uint32_t t = 0; t < RIG_TASKS; t++) {
        for (uint32_t i = 0; i < RIG_TABLES; i++) {
            keys += mr_table_key_count(w->r->tables[t][i]);
        }
    }
    assert_int_equal(keys, there);
}

/* False: the epoch found no memory at its end, told by name; then it is taken back. */
static bool commit(world *w)
{
    rig_forget_old(w->r, &w->committed);
    const rig_past *past = rig_seal(w->r);
    if (rig_prepare(w->r, past) != MR_STEP_NEXT) {
        assert_non_null(strstr(w->r->diag.text, "E_STATE_FULL"));
        assert_int_equal(rig_roll(w->r, w->committed), MR_OK);
        memcpy(w->cells, w->sealed, sizeof(w->cells));
        return false;
    }
    mr_state_acknowledge(w->r->state, past->epoch);
    rig_decide(w->r, past, &w->committed);
    memcpy(w->sealed, w->cells, sizeof(w->cells));
    rig_turn(w->r);
    return true;
}

static void take_back(world *w)
{
    w->full_count++;
    assert_int_equal(mr_state_full(w->r->state, &w->r->diag), MR_ERR_LIMIT);
    assert_non_null(strstr(w->r->diag.text, "E_STATE_FULL"));
    assert_int_equal(rig_roll(w->r, w->committed), MR_OK);
    memcpy(w->cells, w->sealed, sizeof(w->cells));
}

static bool is_pressed(const world *w)
{
    return (mr_state_demand(w->r->state) & MR_DEMAND_PAUSE_INPUT) != 0;
}

/* ---- Random work ---- */

/* As many small as large, over all classes and runs of pages. */
static uint32_t draw_size(world *w)
{
    const uint64_t top = UINT64_C(1) << rig_draw(w->r, 16);
    const uint64_t size = top + rig_draw(w->r, top) - 1;
    return (uint32_t)(size < VALUE_MAX ? size : VALUE_MAX);
}

/* One epoch; false: memory was at its end. */
static bool random_epoch(world *w, bool is_filling)
{
    const uint32_t ops = 1 + (uint32_t)rig_draw(w->r, is_filling ? 60 : 12);
    const uint64_t most = w->r->options.epoch_bytes_max - UINT64_C(2) * VALUE_MAX;

    for (uint32_t i = 0; i < ops && mr_state_dirty_bytes(w->r->state) < most; i++) {
        uint32_t key = (uint32_t)rig_draw(w->r, KEYS);
        const bool is_delete = rig_draw(w->r, 10) < (is_filling ? 1U : 8U);
        for (uint32_t tries = 0; tries < KEYS && is_delete && w->cells[key].size == UINT32_MAX;
             tries++) {
            key = (key + 1) % KEYS;
        }
        if (!put(w, key, is_delete ? UINT32_MAX : draw_size(w))) {
            take_back(w);
            return false;
        }
    }
    if (rig_draw(w->r, 10) == 0) { /* Aborted: all it took comes back. */
        const uint64_t acked = used_bytes(w);
        assert_int_equal(rig_roll(w->r, w->committed), MR_OK);
        assert_true(used_bytes(w) <= acked);
        memcpy(w->cells, w->sealed, sizeof(w->cells));
        return true;
    }
    return commit(w) && !is_pressed(w);
}

/* What fitted while it was written fits when it is read. */
static void restart(world *w)
{
    rig_close(w->r);
    assert_int_equal(w->f.acquired_bytes, 0);
    const mr_status opened = rig_open(w->r);
    const uint64_t windows = w->f.window_count;
    if (opened != MR_OK || rig_roll(w->r, w->committed) != MR_OK) {
        fail_msg("%s", w->r->diag.text);
    }
    assert_int_equal(w->f.window_count, windows); /* Beside the pages there is no room for one. */
    check(w);
}

static void churn(uint64_t seed)
{
    world *w = world_open(true, seed);
    bool is_filling = true;
    uint32_t turned = 0;

    for (uint32_t epoch = 0; epoch < EPOCHS; epoch++) {
        const bool has_room = random_epoch(w, is_filling);
        if (!has_room && is_filling) {
            check(w);
            restart(w); /* At its very end. */
            turned++;
            is_filling = false;
        } else if (!is_filling && used_bytes(w) < MEMORY_BYTES * UINT64_C(6) / 10) {
            is_filling = true;
        }
        if (epoch % 40 == 39) {
            check(w);
        }
    }
    assert_true(turned >= 2);
    restart(w);
    print_message("churn %llu: full %u times, turned %u\n", (unsigned long long)seed, w->full_count,
                  turned);
    world_close(w);
}

static void test_random_sizes_at_the_end_of_memory(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        churn(seed);
    }
}

/* ---- From one size wholly to another ---- */

/* Keys of one size until all but a tenth of the memory is used; returns how many. */
static uint32_t fill(world *w, uint32_t from, uint32_t size)
{
    uint32_t key = from;

    for (; key < CELLS; key++) {
        if (mr_state_dirty_bytes(w->r->state) + UINT64_C(2) * size >
            w->r->options.epoch_bytes_max / 2) {
            assert_true(commit(w));
        }
        if (used_bytes(w) > FILL_BYTES) {
            break;
        }
        if (!put(w, key, size)) {
            take_back(w);
            while (key > from && w->cells[key - 1].size == UINT32_MAX) {
                key--;
            }
            break;
        }
    }
    assert_true(key < CELLS);
    assert_true(commit(w));
    return key;
}

/* A little at a time: what is taken back if need be has to fit the last of the memory. */
static void change_all(world *w, uint32_t count, uint32_t size)
{
    uint64_t bytes = 0;

    for (uint32_t key = 0; key < count; key++) {
        const uint32_t old = w->cells[key].size == UINT32_MAX ? 0 : w->cells[key].size;
        bytes += 64 + (uint64_t)old + (size == UINT32_MAX ? 0 : size);
        assert_true(put(w, key, size));
        if (bytes > CHANGED_BYTES) {
            assert_true(commit(w));
            bytes = 0;
        }
    }
    assert_true(commit(w));
}

static uint32_t fill_fresh(uint32_t size)
{
    world *w = world_open(false, 1);
    const uint32_t count = fill(w, 0, size);

    world_close(w);
    return count;
}

static const uint32_t sizes[] = {0,    40,   70,   120,  200,  300,  450,   700,  1000,
                                 1500, 2100, 3000, 4096, 5000, 9000, 17000, 33000};

/* Every size after every other one, all deleted in between. */
static void test_what_one_size_gives_up_another_has(void **state)
{
    uint32_t fresh[MR_LENGTH(sizes)];
    uint32_t least = 100;

    (void)state;
    for (size_t i = 0; i < MR_LENGTH(sizes); i++) {
        fresh[i] = fill_fresh(sizes[i]);
    }
    for (size_t first = 0; first < MR_LENGTH(sizes); first += 4) {
        world *w = world_open(false, 2);
        const uint64_t empty = used_bytes(w);
        for (size_t step = 0; step < MR_LENGTH(sizes); step++) {
            const size_t i = (first + step * 5) % MR_LENGTH(sizes);
            const uint32_t count = fill(w, 0, sizes[i]);
            const uint32_t percent = count * 100 / fresh[i];
            least = percent < least ? percent : least;
            change_all(w, count, UINT32_MAX);
            assert_true(used_bytes(w) <= empty + (160 << 10));
        }
        check(w);
        world_close(w);
    }
    print_message("least: %u %% of what a fresh store holds\n", least);
    assert_true(least >= 90);
}

/* Records shrink where they are: what they no longer need others can have. */
static void test_shrunk_values_make_room(void **state)
{
    uint32_t least = 100;

    (void)state;
    for (size_t from = 3; from < MR_LENGTH(sizes); from++) {
        world *w = world_open(false, 3);
        const uint32_t to = sizes[(from - 3) / 2];
        const uint32_t count = fill(w, 0, sizes[from]);
        change_all(w, count, to);
        const uint32_t more = fill(w, count, to);
        const uint32_t fresh = fill_fresh(to);
        MR_ASSERT(fresh > 0);
        const uint32_t percent = more * 100 / fresh;
        least = percent < least ? percent : least;
        check(w);
        world_close(w);
    }
    print_message("least: %u %% of what a fresh store holds\n", least);
    assert_true(least >= 75); /* A record has less than twice the room it needs. */
}

/* An epoch that grew values and was taken back gives all of it back, again and again. */
static void test_what_was_taken_back_makes_room(void **state)
{
    world *w = world_open(false, 4);

    (void)state;
    change_all(w, 40, 10);
    const uint64_t before = used_bytes(w);
    for (uint32_t round = 0; round < 20; round++) {
        for (uint32_t key = 0; key < 40; key++) {
            assert_true(put(w, key, 100 + 200 * round));
        }
        assert_int_equal(rig_roll(w->r, w->committed), MR_OK);
        memcpy(w->cells, w->sealed, sizeof(w->cells));
        assert_int_equal(used_bytes(w), before);
    }
    check(w);
    world_close(w);
}

/* Loose in the undecided epoch and touched by the open one too: moved as soon as neither may be
 * taken back. */
static void test_a_record_touched_again_shrinks_later(void **state)
{
    static const struct {
        uint32_t first, undecided, open;
        bool is_acked, is_taken_back; /* The undecided one before the open one is decided; */
    } ways[] = {
        {30000, 10, 10, true, false},   {30000, 10, 12, true, false},
        {30000, 10, 20000, true, true}, {30000, 10, 20000, false, true},
        {10, 10, 20000, false, true},   {10, 10, 20000, true, true},
    };

    (void)state;
    for (size_t way = 0; way < MR_LENGTH(ways); way++) {
        world *w = world_open(false, 5);
        const uint64_t empty = used_bytes(w);
        change_all(w, 4, ways[way].first);
        for (uint32_t key = 0; key < 4; key++) {
            assert_true(put(w, key, ways[way].undecided));
        }
        const rig_past *past = rig_seal(w->r);
        memcpy(w->sealed, w->cells, sizeof(w->cells));
        for (uint32_t key = 0; key < 4; key++) {
            assert_true(put(w, key, ways[way].open));
        }
        if (ways[way].is_acked) {
            mr_state_acknowledge(w->r->state, past->epoch);
        }
        rig_decide(w->r, past, &w->committed);
        if (ways[way].is_taken_back) {
            assert_int_equal(rig_roll(w->r, past), MR_OK);
            memcpy(w->cells, w->sealed, sizeof(w->cells));
        } else {
            assert_true(commit(w));
        }
        check(w);
        if (used_bytes(w) > empty + (20 << 10)) {
            fail_msg("way %zu: %llu bytes more", way, (unsigned long long)(used_bytes(w) - empty));
        }
        world_close(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_sizes_at_the_end_of_memory),
        cmocka_unit_test(test_what_one_size_gives_up_another_has),
        cmocka_unit_test(test_shrunk_values_make_room),
        cmocka_unit_test(test_what_was_taken_back_makes_room),
        cmocka_unit_test(test_a_record_touched_again_shrinks_later),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
