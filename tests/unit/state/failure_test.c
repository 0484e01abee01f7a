/*
 * failure_test.c - the first, second, third ... allocation and I/O of everything a store does
 * fails.
 *
 * After each failure: a name that says what it was, no memory held, and no state but the last
 * acknowledged one - at once by another roll, and for the next process, whether or not the power
 * failed between them. Once the trouble is over, work goes on. A loop ends where the operation
 * is done before its fault is reached. What runs between a roll and a failure allocates nothing.
 */
#include "engine/state/state_private.h"
#include "tests/unit/state/faulty.h"
#include "tests/unit/state/rig.h"

enum { TRIES_MAX = 4000, BASES = 2 };

/* Faults of the simulated disk beside those of faulty.h: nothing of the request was done. */
enum { LOST_SYNC = FAULTY_KINDS, LOST_WRITE, LOST_READ, NO_SPACE, KINDS };

typedef struct world {
    mr_sim_disk *disk;
    rig *r;
    faulty f;
    const rig_past *committed; /* NULL: nothing was. */
    uint32_t kind;
    uint64_t at;
    bool is_running;    /* A roll went well: a failure may be answered by another one. */
    bool is_inspecting; /* A reader's memory follows the log. */
} world;

typedef struct scenario {
    const char *name;
    bool (*run)(world *w);             /* Arms the fault where it may strike; false: it did. */
    bool has_base, is_new, is_running; /* is_running: armed only after a roll. */
} scenario;

enum { TURN_US = 1000000 };

static uint64_t failures; /* In all loops. */

static void arm(world *w)
{
    const uint64_t at = w->at;
    faulty_arm(&w->f, w->kind < FAULTY_KINDS ? (faulty_kind)w->kind : FAULTY_NONE, at);
    if (w->kind < FAULTY_KINDS) {
        return;
    }
    const mr_sim_fault fault = {.sync_error_at = w->kind == LOST_SYNC ? at : 0,
                                .write_error_at = w->kind == LOST_WRITE ? at : 0,
                                .read_error_at = w->kind == LOST_READ ? at : 0,
                                .space_error_at = w->kind == NO_SPACE ? at : 0};
    mr_sim_disk_fault(w->disk, &fault);
}

static bool was_hit(const world *w)
{
    const uint64_t *counts = w->f.op_counts;

    switch (w->kind) {
    case LOST_SYNC:
        return counts[MR_IO_SYNC] >= w->at;
    case LOST_WRITE:
        return counts[MR_IO_WRITE] + counts[MR_IO_WRITE_DURABLE] >= w->at;
    case LOST_READ:
        return counts[MR_IO_READ] >= w->at;
    case NO_SPACE:
        return w->f.room_count >= w->at;
    default:
        return w->f.was_hit;
    }
}

static void disarm(world *w)
{
    const mr_sim_fault none = {.read_error_at = 0};
    faulty_arm(&w->f, FAULTY_NONE, 0);
    mr_sim_disk_fault(w->disk, &none);
}

/* ---- What is done while faults strike ---- */

static bool start(world *w)
{
    if (rig_open(w->r) != MR_OK || rig_roll(w->r, w->committed) != MR_OK) {
        return false;
    }
    w->is_running = true;
    return true;
}

/* What runs takes nothing from them either, though they might have it. */
static size_t arena_bytes(const world *w)
{
    return mr_arena_used_bytes(w->r->state->arena) + mr_arena_used_bytes(w->r->state->log.arena);
}

static bool commit(world *w, uint32_t work)
{
    if (w->committed != NULL) {
        rig_forget_old(w->r, &w->committed);
    }
    const size_t arenas = arena_bytes(w);
    rig_work(w->r, work);
    const rig_past *past = rig_seal(w->r);
    assert_int_equal(arena_bytes(w), arenas);
    if (rig_prepare(w->r, past) != MR_STEP_NEXT) {
        return false;
    }
    mr_state_acknowledge(w->r->state, past->epoch);
    rig_decide(w->r, past, &w->committed);
    return true;
}

static bool run_format(world *w)
{
    arm(w);
    return start(w) && commit(w, 0);
}

/* Small ones, and some that take many writes, more parts and a sync. */
static bool run_epochs(world *w)
{
    assert_true(start(w));
    arm(w);
    w->r->value_max = RIG_VALUE_MAX;
    return commit(w, 3) && commit(w, 40) && commit(w, 3);
}

/* Written, installed, and parts used again; the second one in the place before the first. */
static bool run_bases(world *w)
{
    mr_state_stats stats = {.base_count = 0};

    assert_true(start(w));
    arm(w);
    for (uint32_t i = 0; stats.base_count < BASES; i++) {
        assert_true(i < 400);
        if (!rig_heed(w->r, &w->committed) || !commit(w, 10)) {
            return false;
        }
        rig_turn(w->r);
        mr_state_read_stats(w->r->state, &stats);
    }
    return true;
}

static bool run_recovery(world *w)
{
    arm(w);
    return start(w);
}

/* A failed epoch in a running process: its recovery is what fails. */
static bool run_recovery_again(world *w)
{
    const mr_sim_fault lost = {.write_error_at = 1};

    assert_true(start(w));
    mr_sim_disk_fault(w->disk, &lost);
    assert_false(commit(w, 5));
    arm(w);
    return rig_roll(w->r, w->committed) == MR_OK;
}

static void count_deltas(void *context, const mr_state_delta *delta)
{
    *(uint64_t *)context += delta->epoch > 0;
}

static bool inspect(world *w, mr_state **reader)
{
    const uint64_t epoch = w->committed->epoch;
    mr_diag *diag = &w->r->diag;
    mr_state_summary summary;
    uint64_t count = 0;

    if (mr_state_open_reader(reader, &w->r->options, w->r->ring, diag) != MR_OK ||
        mr_state_verify(*reader, &summary, diag) != MR_OK ||
        mr_state_walk_log(*reader, count_deltas, &count, diag) != MR_OK ||
        mr_state_read_epoch(*reader, epoch, diag) != MR_OK) {
        return false;
    }
    assert_true(count > 0);
    for (uint32_t t = 0; t < RIG_TASKS; t++) {
        uint8_t digest[16];
        mr_state_digest(*reader, rig_tasks[t], digest);
        assert_memory_equal(digest, w->committed->digests[t], sizeof(digest));
    }
    return true;
}

static bool run_inspection(world *w)
{
    const mr_io disk = mr_sim_disk_io(w->disk);
    const mr_io io = faulty_io(&w->f, &disk);
    mr_state *reader = NULL;

    w->is_inspecting = true;
    assert_int_equal(mr_ring_open(&w->r->ring, &io, &w->r->diag), MR_OK);
    arm(w);
    const bool ok = inspect(w, &reader);
    mr_state_close(reader);
    return ok;
}

/* ---- What must hold behind a failure ---- */

static void expect_name(const scenario *s, const world *w)
{
    static const char *const names[KINDS][3] = {
        [FAULTY_MEMORY] = {"E_MEMORY_BUDGET"},
        [FAULTY_ERROR] = {"E_STATE_IO", "E_STATE_DAMAGED"},
        [FAULTY_SPACE] = {"E_STATE_NO_SPACE", "cannot be opened"},
        [FAULTY_SHORT] = {"E_STATE_IO", "E_STATE_DAMAGED"},
        [FAULTY_FLIP] = {"E_STATE_DAMAGED"},
        [LOST_SYNC] = {"E_STATE_IO"},
        [LOST_WRITE] = {"E_STATE_IO"},
        [LOST_READ] = {"E_STATE_IO", "E_STATE_DAMAGED"},
        [NO_SPACE] = {"E_STATE_NO_SPACE"},
    };
    for (uint32_t i = 0; i < 3 && names[w->kind][i] != NULL; i++) {
        if (strstr(w->r->diag.text, names[w->kind][i]) != NULL) {
            return;
        }
    }
    fail_msg("%s, fault %u at %llu: not the right name: %s", s->name, w->kind,
             (unsigned long long)w->at, w->r->diag.text);
}

static void fail_here(const scenario *s, const world *w, const char *what)
{
    fail_msg("%s, fault %u at %llu: %s: %s", s->name, w->kind, (unsigned long long)w->at, what,
             w->r->diag.text);
}

/* Closed, it holds nothing; open, never more than its memory. */
static void expect_budget(const world *w)
{
    assert_int_equal(w->f.acquired_bytes, 0);
    assert_true(w->is_inspecting || w->f.peak_bytes <= w->r->options.memory_bytes);
}

/* The store stands at the last acknowledged epoch, and goes on from there. */
static void expect_work(const scenario *s, world *w, const char *when)
{
    static const rig_model none;
    rig *r = w->r;

    rig_check(r, w->committed == NULL ? &none : &w->committed->model);
    for (uint32_t i = 0; i < 3; i++) {
        if ((w->committed != NULL && !rig_heed(r, &w->committed)) || !commit(w, 5)) {
            fail_here(s, w, when);
        }
        rig_turn(r);
    }
    rig_check(r, &w->committed->model);
}

static void recover(const scenario *s, world *w)
{
    rig *r = w->r;

    disarm(w);
    if (w->is_running) {
        if (rig_roll(r, w->committed) != MR_OK) {
            fail_here(s, w, "another roll");
        }
        expect_work(s, w, "work in the same process");
    }
    rig_close(r);
    expect_budget(w);
    if (w->at % 2 == 0) {
        mr_sim_disk_crash(w->disk, NULL);
    }
    w->is_running = false;
    if (!start(w)) {
        fail_here(s, w, "the next start");
    }
    expect_work(s, w, "work in the next process");
}

/* ---- Loops ---- */

typedef struct built { /* A directory to begin with. */
    mr_sim_disk *disk;
    rig *r;
    const rig_past *committed;
} built;

static built build(const scenario *s)
{
    built b = {.disk = mr_sim_disk_create(4)};

    if (s->has_base) {
        b.r = rig_with_base(b.disk, &b.committed);
        return b;
    }
    b.r = rig_create_small(b.disk, 5);
    for (uint32_t i = 0; !s->is_new && i < 6; i++) {
        if (i == 0) {
            assert_int_equal(rig_open(b.r), MR_OK);
            assert_int_equal(rig_roll(b.r, NULL), MR_OK);
        }
        rig_work(b.r, 8);
        rig_decide(b.r, rig_commit(b.r), &b.committed);
    }
    rig_close(b.r);
    return b;
}

/* False: the operation was done before the fault came. */
static bool try_at(const scenario *s, const built *b, uint32_t kind, uint64_t at)
{
    world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    w->disk = mr_sim_disk_clone(b->disk, at);
    w->r = rig_create(w->disk, at);
    memcpy(w->r, b->r, sizeof(*w->r));
    w->r->disk = w->disk;
    w->r->between = faulty_io;
    w->r->between_self = &w->f;
    w->r->turn_us = TURN_US;
    w->r->options.memory = faulty_memory(&w->f);
    w->committed = b->committed == NULL ? NULL : &w->r->pasts[b->committed - b->r->pasts];
    w->kind = kind;
    w->at = at;
    const bool ok = s->run(w);
    const bool struck = was_hit(w);
    if (!ok) {
        failures++;
        assert_true(struck);
        assert_true(kind != FAULTY_SHORT_ONCE);
        /* What is read once more is no damage; verifying is for what one read says. */
        assert_true(kind != FAULTY_FLIP || s->run == run_inspection);
        expect_name(s, w);
    }
    assert_false(kind == FAULTY_MEMORY && s->is_running && struck);
    recover(s, w);
    rig_close(w->r);
    expect_budget(w);
    rig_free(w->r);
    mr_sim_disk_destroy(w->disk);
    free(w);
    return struck;
}

static void try_all(const scenario *s)
{
    const built b = build(s);

    for (uint32_t kind = FAULTY_MEMORY; kind < KINDS; kind++) {
        uint64_t at = 1;
        while (try_at(s, &b, kind, at)) {
            at++;
            assert_true(at < TRIES_MAX);
        }
        print_message("%s, fault %u: %llu\n", s->name, kind, (unsigned long long)at - 1);
    }
    rig_free(b.r);
    mr_sim_disk_destroy(b.disk);
}

static void test_every_failure_of_a_format(void **state)
{
    const scenario s = {.name = "format", .run = run_format, .is_new = true};
    (void)state;
    try_all(&s);
}

static void test_every_failure_of_an_epoch(void **state)
{
    const scenario s = {.name = "epochs", .run = run_epochs, .is_running = true};
    (void)state;
    try_all(&s);
}

static void test_every_failure_of_a_base(void **state)
{
    const scenario s = {.name = "bases", .run = run_bases, .has_base = true, .is_running = true};
    (void)state;
    try_all(&s);
}

static void test_every_failure_of_a_recovery_from_the_log(void **state)
{
    const scenario s = {.name = "recovery from the log", .run = run_recovery};
    (void)state;
    try_all(&s);
}

static void test_every_failure_of_a_recovery_from_a_base(void **state)
{
    const scenario s = {.name = "recovery from a base", .run = run_recovery, .has_base = true};
    (void)state;
    try_all(&s);
}

static void test_every_failure_of_a_recovery_while_running(void **state)
{
    const scenario s = {
        .name = "recovery while running", .run = run_recovery_again, .has_base = true};
    (void)state;
    try_all(&s);
}

static void test_every_failure_of_an_inspection(void **state)
{
    const scenario s = {.name = "inspection", .run = run_inspection, .has_base = true};
    (void)state;
    try_all(&s);
    print_message("failure_test: %llu failures\n", (unsigned long long)failures);
}

/* Growing the file of bases, or the log, fails once: nobody is told, as there still is room. */
static void test_a_disk_full_for_a_moment(void **state)
{
    const scenario s = {.name = "full for a moment", .has_base = true};
    uint32_t struck = 0;

    (void)state;
    for (uint64_t at = 1; at <= 6; at++) {
        const mr_sim_fault full = {.space_error_at = at};
        const built b = build(&s);
        mr_state_stats stats;
        world *w = calloc(1, sizeof(*w));
        assert_non_null(w);
        w->disk = b.disk;
        w->r = b.r;
        w->r->between = faulty_io;
        w->r->between_self = &w->f;
        w->committed = b.committed;
        w->r->value_max = RIG_VALUE_MAX;
        w->r->turn_us = TURN_US;
        w->kind = NO_SPACE;
        w->at = at;
        assert_true(start(w));
        faulty_arm(&w->f, FAULTY_NONE, 0);
        mr_sim_disk_fault(w->disk, &full);
        for (uint32_t i = 0; i < 80; i++) {
            (void)rig_put(w->r, i % 2, i / 2 % 2, i % RIG_KEYS, 6000);
            if (!commit(w, 4) || !rig_heed(w->r, &w->committed)) {
                fail_here(&s, w, "work");
            }
            rig_turn(w->r);
        }
        struck += was_hit(w);
        mr_state_read_stats(w->r->state, &stats);
        assert_true(stats.base_count >= 2);
        rig_free(w->r);
        mr_sim_disk_destroy(w->disk);
        free(w);
    }
    assert_true(struck >= 3);
}

/* A refusal is looked up on the disk; where that fails half way, what was read so far is no log. */
static void test_a_log_half_read_is_not_believed(void **state)
{
    rig_bench b = rig_bench_open(6);
    mr_task_point points[RIG_TASKS];

    (void)state;
    for (uint32_t tries = 0; tries < 3; tries++) {
        const mr_sim_fault dead = {.read_error_at = tries == 0, .for_ever = true};
        mr_sim_disk_fault(b.disk, &dead);
        for (uint32_t i = 0; i < RIG_TASKS; i++) {
            points[i] = (mr_task_point){.task = rig_tasks[i], .lineage = 1000 + i};
        }
        const mr_status status =
            mr_state_roll(b.r->state, ++b.r->incarnation, points, RIG_TASKS, NULL, 0, &b.r->diag);
        assert_int_equal(status, tries == 0 ? MR_ERR_CORRUPT : MR_ERR_REFUSED);
        assert_non_null(
            strstr(b.r->diag.text, tries == 0 ? "E_STATE_DAMAGED" : "E_OFFSETS_MISSING"));
    }
    const rig_past *newest = rig_newest(&b);
    assert_int_equal(rig_roll(b.r, newest), MR_OK);
    rig_check(b.r, &newest->model);
    rig_bench_close(&b);
}

/* A disk that stays full: input pauses while the log still has what a way back needs, however often
 * it is started meanwhile; once there is space all goes on. */
static void test_a_full_disk_leaves_a_way_back(void **state)
{
    const scenario s = {.name = "full disk", .has_base = true};
    const mr_sim_fault full = {.space_error_at = 1, .for_ever = true};
    const built b = build(&s);
    world *w = calloc(1, sizeof(*w));
    mr_state_stats stats;
    uint32_t epochs = 0;

    (void)state;
    assert_non_null(w);
    w->disk = b.disk;
    w->r = b.r;
    w->committed = b.committed;
    w->kind = NO_SPACE;
    w->r->value_max = RIG_VALUE_MAX;
    w->r->turn_us = TURN_US;
    assert_true(start(w));
    mr_sim_disk_fault(w->disk, &full);
    /* More and more state, so that the next base needs a larger file. */
    for (uint32_t key = 0; rig_heed(w->r, &w->committed); key = (key + 1) % RIG_KEYS, epochs++) {
        assert_true(epochs < 400);
        assert_true(rig_put(w->r, epochs % 2, epochs / 2 % 2, key, 8000));
        if (!commit(w, 4)) {
            fail_here(&s, w, "work");
        }
        rig_turn(w->r);
    }
    assert_int_not_equal(mr_state_demand(w->r->state) & MR_DEMAND_SPACE, 0);
    assert_true(epochs > 0);
    assert_int_equal(mr_state_no_space(w->r->state, &w->r->diag), MR_ERR_LIMIT);
    expect_name(&s, w);
    for (uint32_t starts = 0; starts < 3; starts++) {
        rig_close(w->r);
        if (!start(w) || !commit(w, 0)) {
            fail_here(&s, w, "another start");
        }
        rig_turn(w->r);
    }
    mr_sim_disk_fault(w->disk, &(mr_sim_fault){.read_error_at = 0});
    rig_close(w->r);
    assert_true(start(w));
    for (uint32_t i = 0; i < 10; i++) {
        expect_work(&s, w, "work once there is space");
    }
    mr_state_read_stats(w->r->state, &stats);
    assert_true(stats.base_count > 0);
    rig_free(w->r);
    mr_sim_disk_destroy(w->disk);
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_failure_of_a_format),
        cmocka_unit_test(test_every_failure_of_an_epoch),
        cmocka_unit_test(test_every_failure_of_a_base),
        cmocka_unit_test(test_every_failure_of_a_recovery_from_the_log),
        cmocka_unit_test(test_every_failure_of_a_recovery_from_a_base),
        cmocka_unit_test(test_every_failure_of_a_recovery_while_running),
        cmocka_unit_test(test_every_failure_of_an_inspection),
        cmocka_unit_test(test_a_disk_full_for_a_moment),
        cmocka_unit_test(test_a_log_half_read_is_not_believed),
        cmocka_unit_test(test_a_full_disk_leaves_a_way_back),
    };

    rig_keep_memory();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
