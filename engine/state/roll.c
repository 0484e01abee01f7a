/*
 * roll.c - puts the store at exactly the epoch Kafka committed: one path for start, abort, unknown
 * outcome and failure alike.
 *
 * If memory is intact and the log's end is known, what is open and perhaps what is undecided is
 * taken back by undo; otherwise the log is read and replayed. Both give the same digest. Killed at
 * any point and run again, it gives the same result, as nothing is written here: the dead epochs
 * are cut by the claim that the runtime seals next.
 */
#include "engine/base/crash.h"
#include "engine/state/state_private.h"
#include <stdio.h>

enum { IMAGES_MAX = 64 };

typedef struct replay {
    mr_state *state;
    uint64_t epoch;             /* Up to here. */
    const mr_delta_view *delta; /* The one being walked. */
    const mr_section *section;  /* The last one seen, and its table; NULL: not ours. */
    mr_table *table;
    mr_image images[IMAGES_MAX]; /* Waiting, all of `table`; borrowed from the delta. */
    uint32_t image_count;
    bool no_memory;
} replay;

static mr_status judge(mr_state *state, mr_judgement *judgement, mr_diag *diag);
static void undo_to(mr_state *state, uint64_t epoch);
static mr_status visit(mr_state *state, void *context, const mr_delta_view *delta, mr_diag *diag);
static bool load(void *context, const mr_section *section, mr_view key, mr_view value,
                 bool is_tombstone);
static bool load_waiting(replay *replaying);
static mr_table *table_of(const replay *replaying, const mr_section *section);
static bool has_answers(const mr_judgement *judgement);
static void note_resets(mr_state *state, const mr_judgement *judgement);
static void settle_task(mr_state *state, mr_task_point *point);
static bool load_base(void *context, const mr_base_table *table, uint64_t lineage, mr_view key,
                      mr_view value);
static bool is_alive(const replay *replaying, uint32_t task, uint64_t lineage);
static void settle_at(mr_state *state, const mr_judgement *judgement, uint64_t incarnation);
static uint64_t number_after(const mr_state *state, const mr_judgement *judgement);
static mr_status judge_unwritten(const mr_state *state, mr_judgement *judgement, mr_diag *diag);
static mr_status roll_durable(mr_state *state, mr_judgement *judgement, mr_diag *diag);

mr_status mr_state_roll(mr_state *state, uint64_t incarnation, mr_task_point *points,
                        uint32_t point_count, const mr_input_offset *offsets, uint32_t offset_count,
                        mr_diag *diag)
{
    mr_judgement judgement = {.points = points,
                              .point_count = point_count,
                              .offsets = offsets,
                              .offset_count = offset_count};
    mr_status status = MR_OK;

    MR_ASSERT(point_count == 0 || points != NULL);
    state->is_rolled = false;
    if (mr_state_is_durable(state)) {
        mr_wal_settle(state);
        mr_base_cancel(state);
        status = roll_durable(state, &judgement, diag);
    } else {
        status = judge_unwritten(state, &judgement, diag);
        if (status == MR_OK) {
            undo_to(state, judgement.epoch);
        }
    }
    if (status == MR_OK) {
        settle_at(state, &judgement, incarnation);
    }
    return status;
}

mr_status mr_state_replay(mr_state *state, uint64_t epoch, mr_diag *diag)
{
    replay context = {.state = state, .epoch = epoch};
    mr_log_end end;

    state->memory_intact = false;
    if (!mr_state_empty(state)) {
        return mr_state_full(state, diag);
    }
    mr_status status = mr_base_walk(state, load_base, &context, diag);
    if (status != MR_OK) {
        return status;
    }
    status = mr_scan_chain(state, visit, &context, &end, diag);
    if (status == MR_OK && end.epoch < epoch) {
        status =
            mr_diag_set(diag, MR_ERR_CORRUPT, 0,
                        "E_STATE_DAMAGED: %s/shard-%u.wal: epoch %llu could be read once, but "
                        "not again; check the disk",
                        state->volume.directory, state->options.shard, (unsigned long long)epoch);
    }
    return status;
}

/* ---- Helpers ---- */

static mr_status roll_durable(mr_state *state, mr_judgement *judgement, mr_diag *diag)
{
    /* Answers end a start that was refused; they rest on what the disk says, nothing else. */
    const bool is_answered = has_answers(judgement);
    bool from_disk = state->log_doubtful || !state->memory_intact || is_answered;
    mr_status status = MR_OK;

    if (state->volume.is_doubtful) {
        from_disk = state->log_doubtful = true;
        status = mr_volume_reload(state, diag);
    }
    if (status == MR_OK && (state->log_doubtful || !state->is_scanned || is_answered)) {
        status = mr_log_read(state, diag);
    }
    if (status == MR_OK) {
        status = judge(state, judgement, diag);
    }
    if (status == MR_ERR_REFUSED && !from_disk) { /* Only what lies on the disk may refuse. */
        from_disk = true;
        status = mr_log_read(state, diag);
        if (status == MR_OK) {
            status = judge(state, judgement, diag);
        }
    }
    if (status == MR_OK && judgement->epoch < state->volume.super.base_to) {
        /* Every task stands where the base has it: what lies between touched none of them. */
        judgement->epoch = state->volume.super.base_to;
    }
    if (status == MR_OK) {
        status = mr_state_prepare_memory(state, diag);
    }
    if (status == MR_OK) {
        status = mr_state_keep_tables(state, diag);
    }
    if (status == MR_OK) {
        status = mr_base_prepare(state, diag);
    }
    if (status == MR_OK && !state->is_tail_safe) {
        status = mr_wal_rewrite_last(state, diag);
    }
    if (status != MR_OK) {
        return status;
    }
    note_resets(state, judgement);
    if (from_disk || !state->memory_intact || judgement->epoch < state->acked) {
        return mr_state_replay(state, judgement->epoch, diag);
    }
    undo_to(state, judgement->epoch);
    return MR_OK;
}

/* Judges; where a point is newer than the log, looks whether the log goes on behind damage. */
static mr_status judge(mr_state *state, mr_judgement *judgement, mr_diag *diag)
{
    mr_status status = mr_judge(state, judgement, false, diag);

    if (status == MR_ERR_REFUSED && mr_state_is_durable(state) &&
        mr_judge_is_beyond(state, judgement)) {
        mr_diag ignored;
        uint64_t epoch = 0;
        uint64_t position = 0;
        if (mr_scan_beyond(state, &epoch, &position, &ignored) == MR_OK &&
            (epoch != 0 || state->volume.lost_parts > 0)) {
            status = mr_judge(state, judgement, true, diag);
        }
    }
    return status;
}

/* The open epoch is taken back, the undecided one too unless it is the epoch asked for. */
static void undo_to(mr_state *state, uint64_t epoch)
{
    const uint32_t undecided = 1 - state->open;

    mr_undo_rollback(state, state->open);
    if (state->epochs[undecided].number != 0) {
        if (state->epochs[undecided].number <= epoch) {
            mr_undo_sweep(state, undecided);
        } else {
            mr_undo_rollback(state, undecided);
        }
    }
    mr_undo_release(state, state->open);
    mr_undo_release(state, undecided);
}

static mr_status visit(mr_state *state, void *context, const mr_delta_view *delta, mr_diag *diag)
{
    replay *replaying = context;

    if (delta->header->epoch > replaying->epoch ||
        mr_log_is_dead(&state->log, delta->header->epoch)) {
        return MR_OK;
    }
    mr_crash_pass(MR_K12);
    replaying->section = NULL;
    replaying->delta = delta;
    if (!mr_delta_walk(delta, load, replaying) || !load_waiting(replaying)) {
        if (replaying->no_memory) {
            return mr_state_full(state, diag);
        }
        return mr_diag_set(diag, MR_ERR_CORRUPT, 0,
                           "E_STATE_DAMAGED: %s/shard-%u.wal: epoch %llu holds an impossible "
                           "section; restore the directory from a copy",
                           state->volume.directory, state->options.shard,
                           (unsigned long long)delta->header->epoch);
    }
    return MR_OK;
}

static bool load(void *context, const mr_section *section, mr_view key, mr_view value,
                 bool is_tombstone)
{
    replay *replaying = context;

    if (replaying->section != section) {
        if (!load_waiting(replaying)) {
            return false;
        }
        replaying->section = section;
        replaying->table = table_of(replaying, section);
    }
    if (replaying->table == NULL) {
        return true; /* Not assigned to us, or no longer in the topology: stays in the log. */
    }
    replaying->images[replaying->image_count++] =
        (mr_image){.key = key,
                   .value = value,
                   .hash = mr_hash64(key.bytes, key.size_bytes, replaying->state->hash_seed),
                   .is_tombstone = is_tombstone};
    return replaying->image_count < IMAGES_MAX || load_waiting(replaying);
}

/* NULL: not assigned to us, no longer in the topology, or of a life that was reset. */
static mr_table *table_of(const replay *replaying, const mr_section *section)
{
    const mr_delta_view *delta = replaying->delta;
    uint32_t at = 0;

    while (at < delta->header->task_count && delta->tasks[at].task != section->task) {
        at++;
    }
    MR_ASSERT(at < delta->header->task_count);
    return is_alive(replaying, section->task, delta->tasks[at].lineage)
               ? mr_state_find_table(replaying->state, section->task, section->table)
               : NULL;
}

/* Whether what the task had under this lineage is part of where the replay goes. */
static bool is_alive(const replay *replaying, uint32_t task, uint64_t lineage)
{
    const mr_state *state = replaying->state;
    const uint32_t index = mr_state_task_index(state, task);
    const mr_moment *life = mr_history_newest(mr_log_history(&state->log, task), replaying->epoch);

    if (index != UINT32_MAX && state->resets[index]) {
        return false;
    }
    return life == NULL || life->point.lineage == lineage;
}

static bool has_answers(const mr_judgement *judgement)
{
    for (uint32_t i = 0; i < judgement->point_count; i++) {
        if (judgement->points[i].allowed != 0) {
            return true;
        }
    }
    return false;
}

static void note_resets(mr_state *state, const mr_judgement *judgement)
{
    for (uint32_t i = 0; i < judgement->point_count; i++) {
        const uint32_t index = mr_state_task_index(state, judgement->points[i].task);
        MR_ASSERT(index != UINT32_MAX);
        state->resets[index] = judgement->points[i].verdict == MR_VERDICT_RESET;
    }
}

static bool load_base(void *context, const mr_base_table *table, uint64_t lineage, mr_view key,
                      mr_view value)
{
    const replay *replaying = context;
    const mr_state *state = replaying->state;
    mr_table *to = is_alive(replaying, table->task, lineage)
                       ? mr_state_find_table(state, table->task, table->table)
                       : NULL;
    const mr_image image = {
        .key = key, .value = value, .hash = mr_hash64(key.bytes, key.size_bytes, state->hash_seed)};

    return to == NULL || mr_table_load(to, &image);
}

/* Many at a time, so that their cache misses overlap. */
static bool load_waiting(replay *replaying)
{
    const uint32_t count = replaying->image_count;

    replaying->image_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        mr_index_prefetch(&replaying->table->index, replaying->images[i].hash);
    }
    for (uint32_t i = 0; i < count; i++) {
        mr_index_prefetch_rows(&replaying->table->index, replaying->images[i].hash);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!mr_table_load(replaying->table, &replaying->images[i])) {
            replaying->no_memory = true;
            return false;
        }
    }
    return true;
}

/* Everything decided: E is what the next epoch follows. */
static void settle_at(mr_state *state, const mr_judgement *judgement, uint64_t incarnation)
{
    const uint64_t number = number_after(state, judgement);

    mr_log_cut(&state->log, judgement->epoch);
    mr_base_rolled(state, judgement->epoch);
    for (uint32_t i = 0; i < judgement->point_count; i++) {
        settle_task(state, &judgement->points[i]);
    }
    state->incarnation = incarnation;
    state->follows = state->acked = judgement->epoch;
    state->flight.phase = MR_FLIGHT_NONE;
    state->flight_is_full = false;
    state->memory_intact = true;
    state->generation++;
    state->epochs[0] = state->epochs[1] = (mr_epoch){.number = 0};
    state->is_rolled = true;
    mr_state_open_epoch(state, number);
}

/* The log is cut: the task's newest moment is where it stands. */
static void settle_task(mr_state *state, mr_task_point *point)
{
    const uint32_t index = mr_state_task_index(state, point->task);
    const mr_moment *newest =
        mr_history_newest(mr_log_history(&state->log, point->task), UINT64_MAX);

    MR_ASSERT(index != UINT32_MAX);
    if (point->verdict == MR_VERDICT_RESET) {
        MR_ASSERT(point->new_lineage != 0);
        point->lineage = point->new_lineage;
        point->epoch = point->incarnation = point->digest = 0;
        newest = NULL;
    } else if (point->verdict == MR_VERDICT_KEPT) {
        MR_ASSERT(newest != NULL);
        point->lineage = newest->point.lineage;
    }
    state->lineages[index] = point->lineage;
    state->watermarks[index] = newest != NULL ? newest->point.watermark_us : INT64_MIN;
    point->watermark_us = state->watermarks[index];
}

bool mr_state_kept_offset(const mr_state *state, const mr_input_offset *input, int64_t *to)
{
    const mr_history *history = mr_log_history(&state->log, input->task);

    if (history == NULL || history->moment_count == 0) {
        return false;
    }
    const uint32_t newest = history->moment_count - 1;
    const mr_delta_offset *offsets = mr_history_offsets(history, newest);
    for (uint32_t i = 0; i < mr_history_at(history, newest)->offset_count; i++) {
        if (mr_offset_is_of(&offsets[i], input)) {
            *to = offsets[i].to;
            return true;
        }
    }
    return false;
}

static uint64_t number_after(const mr_state *state, const mr_judgement *judgement)
{
    uint64_t largest = state->log.end.epoch_max;

    for (uint32_t i = 0; i < judgement->point_count; i++) {
        largest = judgement->points[i].epoch > largest ? judgement->points[i].epoch : largest;
    }
    for (uint32_t i = 0; i < 2; i++) {
        largest = state->epochs[i].number > largest ? state->epochs[i].number : largest;
    }
    largest = state->number_max > largest ? state->number_max : largest;
    return largest + 1;
}

/*
 * Without tables there is nothing to restore, the points only tell the numbers. A volatile store
 * can go back by its undo, no further.
 */
static mr_status judge_unwritten(const mr_state *state, mr_judgement *judgement, mr_diag *diag)
{
    const uint64_t undecided = state->epochs[1 - state->open].number;

    for (uint32_t i = 0; i < judgement->point_count; i++) {
        mr_task_point *point = &judgement->points[i];
        point->verdict = point->epoch == 0 ? MR_VERDICT_GENESIS : MR_VERDICT_NORMAL;
        judgement->epoch = point->epoch > judgement->epoch ? point->epoch : judgement->epoch;
    }
    if (state->table_count == 0 || judgement->epoch == state->acked ||
        judgement->epoch == undecided) {
        return MR_OK;
    }
    for (uint32_t i = 0; i < judgement->point_count; i++) {
        judgement->points[i].verdict = MR_VERDICT_BEHIND;
    }
    return mr_diag_set(diag, MR_ERR_REFUSED, 0,
                       "E_STATE_BEHIND: shard %u keeps its state in memory only and stands at "
                       "epoch %llu; it cannot be put at epoch %llu",
                       state->options.shard, (unsigned long long)state->acked,
                       (unsigned long long)judgement->epoch);
}
