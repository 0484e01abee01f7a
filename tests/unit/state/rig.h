/*
 * rig.h - a store on a simulated disk, an oracle beside it, and a Kafka that only remembers.
 *
 * The oracle is a plain array of cells, one copy for each epoch; it shares no code with the store.
 * Two tasks with two tables each; values are drawn from a number, so a cell is a size and a number.
 */
#ifndef MR_TESTS_STATE_RIG_H
#define MR_TESTS_STATE_RIG_H

#include "engine/base/clock.h"
#include "engine/base/hash.h"
#include "engine/state/state.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    RIG_TASKS = 2,
    RIG_TABLES = 2,
    RIG_KEYS = 40,
    RIG_VALUE_MAX = 9000,
    RIG_EPOCHS_MAX = 256,
    RIG_BATCH = 8
};

static const uint32_t rig_tasks[RIG_TASKS] = {3, 7};

typedef struct rig_cell {
    bool is_there;
    uint32_t size;
    uint64_t content;
} rig_cell;

typedef struct rig_model {
    rig_cell cells[RIG_TASKS][RIG_TABLES][RIG_KEYS];
} rig_model;

typedef struct rig_past { /* What an epoch sealed. */
    uint64_t epoch;
    rig_model model;
    mr_task_point points[RIG_TASKS];
    mr_input_offset offsets[RIG_TASKS];
    uint8_t digests[RIG_TASKS][16];
    bool is_decided; /* Kafka committed it; the test's to set. */
} rig_past;

typedef struct rig {
    mr_sim_disk *disk; /* NULL: volatile. */
    mr_ring *ring;
    mr_state *state;
    mr_table *tables[RIG_TASKS][RIG_TABLES];
    mr_state_options options;
    rig_model model;                    /* Of the open epoch. */
    mr_input_offset offsets[RIG_TASKS]; /* Applied so far. */
    rig_past pasts[RIG_EPOCHS_MAX];
    uint32_t past_count;
    uint64_t incarnation, prng;
    uint32_t keys, value_max; /* Of the domain in use. */
    mr_diag diag;
} rig;

static inline uint64_t rig_draw(rig *r, uint64_t below)
{
    return mr_prng_next(&r->prng) % below;
}

static inline rig *rig_create(mr_sim_disk *disk, uint64_t seed)
{
    rig *r = calloc(1, sizeof(*r));
    assert_non_null(r);
    r->disk = disk;
    r->prng = seed;
    r->keys = RIG_KEYS;
    r->value_max = 200;
    r->options = (mr_state_options){.directory = disk == NULL ? NULL : "dir",
                                    .tasks = rig_tasks,
                                    .task_count = RIG_TASKS,
                                    .memory_bytes = 1 << 20,
                                    .wal_bytes_max = 4 << 20,
                                    .epoch_bytes_max = 256 << 10,
                                    .value_bytes_max = RIG_VALUE_MAX,
                                    .wal_part_bytes = 64 << 10,
                                    .memory = mr_memory_system()};
    memset(r->options.random, 0x5a, sizeof(r->options.random));
    for (uint32_t i = 0; i < RIG_TASKS; i++) {
        r->offsets[i] =
            (mr_input_offset){.task = rig_tasks[i], .partition = rig_tasks[i], .topic = 70};
    }
    return r;
}

/* Open and declare; the status of the first that fails. */
static inline mr_status rig_open(rig *r)
{
    r->state = NULL;
    r->ring = NULL;
    if (r->disk != NULL) {
        const mr_io io = mr_sim_disk_io(r->disk);
        assert_int_equal(mr_ring_open(&r->ring, &io, &r->diag), MR_OK);
    }
    mr_status status = mr_state_open(&r->state, &r->options, r->ring, &r->diag);
    for (uint32_t t = 0; status == MR_OK && t < RIG_TASKS; t++) {
        for (uint32_t i = 0; status == MR_OK && i < RIG_TABLES; i++) {
            const mr_table_spec spec = {
                .task = rig_tasks[t], .table = i, .kind = MR_TABLE_HASH, .layout = 100 + i};
            char name[32];
            (void)snprintf(name, sizeof(name), "step.t%u", i);
            status = mr_state_declare(r->state, &spec, name, &r->tables[t][i], &r->diag);
        }
    }
    return status;
}

static inline void rig_close(rig *r)
{
    mr_state_close(r->state);
    mr_ring_close(r->ring);
    r->state = NULL;
    r->ring = NULL;
}

static inline void rig_free(rig *r)
{
    rig_close(r);
    free(r);
}

/* One turn of a shard's loop. */
static inline void rig_turn(rig *r)
{
    mr_io_completion completions[16];
    if (r->ring == NULL) {
        return;
    }
    if (mr_ring_in_flight(r->ring) > 0) {
        mr_ring_wait(r->ring, 1, 1000);
    }
    const uint32_t count = mr_ring_reap(r->ring, completions, 16);
    for (uint32_t i = 0; i < count; i++) {
        mr_state_complete(r->state, &completions[i]);
    }
    mr_state_tick(r->state, 0, 1 << 20);
}

/* Rolls to a past epoch, NULL = no commit at all. */
static inline mr_status rig_roll(rig *r, const rig_past *past)
{
    mr_task_point points[RIG_TASKS];
    uint32_t offset_count = 0;
    mr_input_offset offsets[RIG_TASKS] = {0};

    for (uint32_t i = 0; i < RIG_TASKS; i++) {
        points[i] = (mr_task_point){.task = rig_tasks[i], .lineage = 1000 + i};
        if (past != NULL && past->points[i].epoch != 0) {
            points[i] = past->points[i];
            offsets[offset_count++] = past->offsets[i];
        }
    }
    const mr_status status = mr_state_roll(r->state, ++r->incarnation, points, RIG_TASKS, offsets,
                                           offset_count, &r->diag);
    if (status != MR_OK) {
        return status;
    }
    memset(&r->model, 0, sizeof(r->model));
    for (uint32_t i = 0; i < RIG_TASKS; i++) {
        r->offsets[i].to = 0;
    }
    if (past != NULL) {
        r->model = past->model;
        for (uint32_t i = 0; i < RIG_TASKS; i++) {
            r->offsets[i].to = past->offsets[i].to;
        }
    }
    return status;
}

static inline uint32_t rig_key(uint32_t key, uint8_t bytes[64])
{
    const uint32_t size = 1 + key % 37;
    memset(bytes, (int)('a' + key % 26), 64);
    bytes[0] = (uint8_t)key;
    return size;
}

static inline void rig_content(uint64_t content, uint32_t size, uint8_t *bytes)
{
    for (uint32_t i = 0; i < size; i += 8) {
        const uint64_t word = mr_prng_next(&content);
        memcpy(bytes + i, &word, size - i < 8 ? size - i : 8);
    }
}

typedef struct rig_keys {
    mr_keys keys;
    uint8_t bytes[RIG_KEYS][64];
    mr_view views[RIG_KEYS];
    uint64_t hashes[RIG_KEYS];
} rig_keys;

static inline void rig_take_keys(const mr_table *table, rig_keys *k, const uint32_t *numbers,
                                 uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t size = rig_key(numbers[i], k->bytes[i]);
        k->views[i] = (mr_view){.bytes = k->bytes[i], .size_bytes = size};
        k->hashes[i] = mr_hash64(k->bytes[i], size, mr_table_seed(table));
    }
    k->keys = (mr_keys){.hashes = k->hashes, .views = k->views, .count = count};
}

/* Sets one cell in store and model; size UINT32_MAX deletes. False = the store is full. */
static inline bool rig_put(rig *r, uint32_t task, uint32_t table, uint32_t key, uint32_t size)
{
    rig_keys k;
    mr_table *to = r->tables[task][table];
    rig_cell *cell = &r->model.cells[task][table][key];
    rig_take_keys(to, &k, &key, 1);
    assert_int_equal(mr_table_prefetch(to, &k.keys), MR_STEP_NEXT);
    if (size == UINT32_MAX) {
        mr_table_delete(to, &k.keys, 0);
        *cell = (rig_cell){.is_there = false};
        return true;
    }
    const uint64_t content = mr_prng_next(&r->prng);
    uint8_t *bytes = mr_table_update(to, &k.keys, 0, size);
    if (bytes == NULL) {
        return false;
    }
    rig_content(content, size, bytes);
    *cell = (rig_cell){.is_there = true, .size = size, .content = content};
    return true;
}

static inline uint32_t rig_draw_size(rig *r)
{
    const uint64_t kind = rig_draw(r, 10);
    if (kind < 3) {
        return UINT32_MAX;
    }
    if (kind == 9 && r->value_max > 4096) {
        return (uint32_t)(4000 + rig_draw(r, r->value_max - 4000));
    }
    return (uint32_t)rig_draw(r, r->value_max < 300 ? r->value_max : 300);
}

/* `count` random puts and deletes. */
static inline void rig_work(rig *r, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t task = (uint32_t)rig_draw(r, RIG_TASKS);
        const uint32_t table = (uint32_t)rig_draw(r, RIG_TABLES);
        assert_true(rig_put(r, task, table, (uint32_t)rig_draw(r, r->keys), rig_draw_size(r)));
        r->offsets[task].to++;
    }
}

/* Seals the open epoch with both tasks; the past it becomes, NULL while the store says WAIT. */
static inline rig_past *rig_seal_once(rig *r)
{
    mr_task_point points[RIG_TASKS];
    uint32_t count = 0;
    uint64_t epoch = 0;
    const uint64_t expected = mr_state_epoch(r->state);
    if (mr_state_seal(r->state, r->offsets, RIG_TASKS, &epoch, points, &count) != MR_STEP_NEXT) {
        return NULL;
    }
    assert_int_equal(epoch, expected);
    assert_int_equal(count, RIG_TASKS);
    assert_true(r->past_count < RIG_EPOCHS_MAX);
    rig_past *past = &r->pasts[r->past_count++];
    past->epoch = epoch;
    past->is_decided = false;
    past->model = r->model;
    memcpy(past->points, points, sizeof(points));
    memcpy(past->offsets, r->offsets, sizeof(r->offsets));
    for (uint32_t i = 0; i < RIG_TASKS; i++) {
        mr_state_digest(r->state, rig_tasks[i], past->digests[i]);
    }
    return past;
}

static inline rig_past *rig_seal(rig *r)
{
    for (uint32_t i = 0; i < 100000; i++) {
        rig_past *past = rig_seal_once(r);
        if (past != NULL) {
            return past;
        }
        rig_turn(r);
    }
    fail_msg("the seal waits for ever");
    return NULL;
}

/* Until prepared: NEXT or FAILED. */
static inline mr_step rig_prepare(rig *r, const rig_past *past)
{
    for (uint32_t i = 0; i < 100000; i++) {
        const mr_step step = mr_state_prepared(r->state, past->epoch, &r->diag);
        if (step != MR_STEP_WAIT) {
            return step;
        }
        rig_turn(r);
    }
    fail_msg("never prepared");
    return MR_STEP_FAILED;
}

/* Seal, prepare, acknowledge. */
static inline rig_past *rig_commit(rig *r)
{
    rig_past *past = rig_seal(r);
    assert_int_equal(rig_prepare(r, past), MR_STEP_NEXT);
    mr_state_acknowledge(r->state, past->epoch);
    return past;
}

/* Store and model hold the same. */
static inline void rig_check(rig *r, const rig_model *model)
{
    static uint8_t expected[RIG_VALUE_MAX + 8];
    for (uint32_t t = 0; t < RIG_TASKS; t++) {
        for (uint32_t i = 0; i < RIG_TABLES; i++) {
            uint64_t there = 0;
            for (uint32_t key = 0; key < RIG_KEYS; key++) {
                const rig_cell *cell = &model->cells[t][i][key];
                rig_keys k;
                rig_take_keys(r->tables[t][i], &k, &key, 1);
                assert_int_equal(mr_table_prefetch(r->tables[t][i], &k.keys), MR_STEP_NEXT);
                const void *found = mr_table_get(r->tables[t][i], &k.keys, 0);
                assert_int_equal(found != NULL, cell->is_there);
                there += cell->is_there;
                if (found != NULL) {
                    rig_content(cell->content, cell->size, expected);
                    assert_memory_equal(found, expected, cell->size);
                }
            }
            assert_int_equal(mr_table_key_count(r->tables[t][i]), there);
        }
    }
}

static inline void rig_digests(const rig *r, uint8_t digests[RIG_TASKS][16])
{
    for (uint32_t t = 0; t < RIG_TASKS; t++) {
        mr_state_digest(r->state, rig_tasks[t], digests[t]);
    }
}

#endif
