/*
 * epoch.c - what is open, when it closes, and how it is sealed.
 *
 * An epoch closes on time or size, always between two batches: operators flush in plan order, the
 * store gathers the delta, and the epoch becomes the one undecided one. The next epoch opens at
 * once, into the other arena. What each limit means stands in docs/topology.md under `commit:`.
 * Thread: the shard's.
 */
#include "engine/runtime/runtime_private.h"
#include <string.h>

enum {
    RATIO_ONE = 16,                    /* Ratios are in sixteenths. */
    FLUSH_RATIO_FIRST = 8 * RATIO_ONE, /* Output a dirty byte may become, before it was measured. */
    ARENA_SHARE_PERCENT = 80
};

static void join(mr_shard *shard, mr_lane *lane);
static void find_heartbeats(mr_shard *shard);
static uint64_t output_limit(const mr_shard *shard);
static uint64_t scaled(const mr_shard *shard, uint64_t limit);
static bool limit_reached(const mr_shard *shard);
static bool is_parked(const mr_shard *shard);
static uint32_t gather_offsets(mr_shard *shard, bool all_lanes);
static void fill_records(mr_shard *shard, uint32_t offset_count, uint64_t epoch,
                         uint32_t point_count);
static const mr_task_point *find_point(const mr_shard *shard, uint32_t count, uint32_t task);

void mr_epoch_touch(mr_shard *shard, mr_lane *lane)
{
    lane->has_rows = true;
    join(shard, lane);
}

bool mr_epoch_has_credit(const mr_shard *shard)
{
    return shard->epoch.phase == MR_EPOCH_OPEN && !shard->stop_requested && !is_parked(shard) &&
           !limit_reached(shard) && (shard->attempt.mark.limit == 0 || !shard->undecided.is_used) &&
           (mr_state_demand(shard->state) & (MR_DEMAND_PAUSE_INPUT | MR_DEMAND_STUCK)) == 0;
}

int64_t mr_epoch_due_us(const mr_shard *shard)
{
    if (shard->epoch.opened_us == 0) {
        return INT64_MAX;
    }
    return shard->epoch.opened_us + shard->plan->commit.interval_us;
}

uint64_t mr_epoch_records_max(const mr_shard *shard)
{
    return scaled(shard, shard->plan->commit.records);
}

void mr_epoch_clear(mr_shard *shard)
{
    shard->epoch.phase = MR_EPOCH_OPEN;
    shard->epoch.opened_us = 0;
    shard->epoch.records_in = 0;
    shard->epoch.flush_lane = 0;
    for (uint32_t i = 0; i < shard->lane_count; i++) {
        shard->lanes[i].in_epoch = shard->lanes[i].has_rows = false;
    }
}

uint32_t mr_epoch_step(mr_shard *shard)
{
    mr_epoch *epoch = &shard->epoch;

    if (epoch->phase == MR_EPOCH_OPEN) {
        find_heartbeats(shard);
        if (epoch->opened_us == 0 && !shard->undecided.is_used &&
            (mr_state_demand(shard->state) & MR_DEMAND_COMMIT) != 0) {
            for (uint32_t i = 0; i < shard->lane_count; i++) { /* An empty one, as a claim is. */
                join(shard, &shard->lanes[i]);
            }
        }
        const bool is_due = shard->now_us >= mr_epoch_due_us(shard) || limit_reached(shard) ||
                            shard->stop_requested || shard->sources_ended ||
                            mr_turn_is_wanted(shard);
        if (epoch->opened_us == 0 || !is_due || shard->undecided.is_used || is_parked(shard)) {
            return 0;
        }
        epoch->phase = MR_EPOCH_FLUSH;
        epoch->flush_lane = 0;
        shard->flush_from_bytes = mr_output_used(shard, epoch->arena);
    }
    if (epoch->phase == MR_EPOCH_FLUSH) {
        for (; epoch->flush_lane < shard->lane_count; epoch->flush_lane++) {
            mr_lane *lane = &shard->lanes[epoch->flush_lane];
            if (!lane->in_epoch) {
                continue;
            }
            mr_step step = lane->is_parked ? mr_dispatch_resume(lane) : MR_STEP_NEXT;
            if (step == MR_STEP_NEXT) {
                step = mr_dispatch_flush(lane);
            }
            if (step == MR_STEP_FAILED) {
                mr_recovery_begin(shard, shard->diag.status, &shard->diag);
                return 1;
            }
            if (step == MR_STEP_WAIT) {
                return 1;
            }
        }
        epoch->phase = MR_EPOCH_SEAL;
        const uint64_t dirty = mr_state_dirty_bytes(shard->state);
        if (dirty > 0) {
            const uint64_t flushed = mr_output_used(shard, epoch->arena) - shard->flush_from_bytes;
            const uint64_t ratio = flushed * RATIO_ONE / dirty + 1;
            shard->flush_ratio = ratio > shard->flush_ratio ? ratio : shard->flush_ratio;
        }
    }
    const mr_step step = mr_epoch_seal(shard, false);
    if (step == MR_STEP_FAILED) {
        mr_recovery_begin(shard, shard->diag.status, &shard->diag);
    }
    return step != MR_STEP_WAIT;
}

mr_step mr_epoch_seal(mr_shard *shard, bool is_claim)
{
    mr_undecided *undecided = &shard->undecided;
    uint64_t epoch = 0;
    uint32_t point_count = 0;

    MR_ASSERT(!undecided->is_used);
    const uint32_t offset_count = gather_offsets(shard, is_claim);
    const mr_step step = mr_state_seal(shard->state, shard->seal_offsets, offset_count, &epoch,
                                       shard->points, &point_count);
    if (step != MR_STEP_NEXT) {
        if (step == MR_STEP_FAILED && shard->diag.status == MR_OK) {
            mr_told(mr_diag_set(&shard->diag, MR_ERR_IO, 0,
                                "E_STATE_IO: the delta of the epoch could "
                                "not be submitted: check the disk of the state directory"));
        }
        return step;
    }
    undecided->is_used = true;
    undecided->is_claim = is_claim;
    undecided->offsets_posted = undecided->is_prepared = false;
    undecided->is_produced = undecided->commit_posted = false;
    undecided->epoch = epoch;
    undecided->records_in = shard->epoch.records_in;
    undecided->opened_us = shard->epoch.opened_us;
    undecided->sealed_us = shard->now_us;
    undecided->arena = shard->epoch.arena;
    fill_records(shard, offset_count, epoch, point_count);

    shard->epoch.arena = 1 - shard->epoch.arena;
    mr_epoch_clear(shard);
    return MR_STEP_NEXT;
}

/* ---- Helpers ---- */

static void join(mr_shard *shard, mr_lane *lane)
{
    lane->in_epoch = true;
    if (shard->epoch.opened_us == 0) {
        shard->epoch.opened_us = shard->now_us > 0 ? shard->now_us : 1;
    }
}

/* A task that had no input for long commits its offset again, unchanged, so that Kafka forgets
 * neither it nor our transactional id. */
static void find_heartbeats(mr_shard *shard)
{
    if (shard->env.kafka.type == NULL ||
        shard->now_us - shard->heartbeat_looked_us < MR_HEARTBEAT_LOOK_US) {
        return;
    }
    shard->heartbeat_looked_us = shard->now_us;
    for (uint32_t i = 0; i < shard->lane_count; i++) {
        mr_lane *lane = &shard->lanes[i];
        if (!lane->in_epoch && shard->now_us - lane->sealed_us >= MR_HEARTBEAT_US) {
            join(shard, lane);
        }
    }
}

/* Smaller batches after an overflow make smaller epochs too: both have to fit one arena. */
static uint64_t scaled(const mr_shard *shard, uint64_t limit)
{
    const uint64_t share = limit / MR_BATCH_ROWS_MAX * shard->rows_max +
                           limit % MR_BATCH_ROWS_MAX * shard->rows_max / MR_BATCH_ROWS_MAX;
    const uint64_t value = share >> shard->rows.epoch_shift;
    return value > 0 ? value : 1;
}

static uint64_t output_limit(const mr_shard *shard)
{
    const uint64_t share = shard->options.arena_bytes / 100 * ARENA_SHARE_PERCENT;
    const uint64_t asked = shard->plan->commit.output_bytes;
    const uint64_t pace = mr_pace_limit(&shard->pace, shard->plan->commit.interval_us);
    const uint64_t least = asked < share ? asked : share;
    return pace < least ? pace : least;
}

/* By size, not by time: while the last epoch is undecided these stop input. */
static bool limit_reached(const mr_shard *shard)
{
    const uint64_t dirty = mr_state_dirty_bytes(shard->state);
    const uint64_t ratio = shard->flush_ratio > 0 ? shard->flush_ratio : FLUSH_RATIO_FIRST;
    const uint64_t output = mr_output_used(shard, shard->epoch.arena) + dirty * ratio / RATIO_ONE;
    return output >= output_limit(shard) ||
           dirty >= scaled(shard, shard->plan->commit.dirty_state_bytes) ||
           shard->epoch.records_in >= mr_epoch_records_max(shard) ||
           (shard->attempt.mark.limit != 0 && shard->epoch.records_in > 0) ||
           (mr_state_demand(shard->state) & MR_DEMAND_CLOSE_EPOCH) != 0;
}

static bool is_parked(const mr_shard *shard)
{
    return shard->parked_count > 0;
}

/* All inputs of every lane that takes part, in order of lanes. */
static uint32_t gather_offsets(mr_shard *shard, bool all_lanes)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < shard->input_count; i++) {
        const mr_input *input = &shard->inputs[i];
        const mr_lane *lane = input->lane;
        if (!all_lanes && !lane->in_epoch) {
            continue;
        }
        shard->seal_offsets[count++] = mr_input_offset_of(input, input->committed, input->applied);
    }
    return count;
}

/* Turns the store's points into the commit metadata of each input. */
static void fill_records(mr_shard *shard, uint32_t offset_count, uint64_t epoch,
                         uint32_t point_count)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < shard->input_count; i++) {
        mr_input *input = &shard->inputs[i];
        mr_lane *lane = input->lane;
        const mr_task_point *point = find_point(shard, point_count, lane->partition);
        if (point == NULL) {
            continue;
        }
        const mr_source_common *common = input->source->node->common;
        mr_offset *offset = &shard->undecided.offsets[count++];
        MR_ASSERT(point->epoch == epoch && input->applied >= input->committed);
        if (shard->plan->is_stateful && lane->has_rows) {
            lane->state_epoch = epoch;
        }
        lane->sealed_us = shard->now_us;
        mr_offset_record record = {.lineage = point->lineage,
                                   .epoch = epoch,
                                   .state_epoch = lane->state_epoch,
                                   .incarnation = point->incarnation,
                                   .digest = point->digest};
        memcpy(record.owner, shard->owner, sizeof(record.owner));
        memset(record.topic_id, '0', sizeof(record.topic_id) - 1);
        *offset = (mr_offset){
            .topic = common->topic, .partition = lane->partition, .offset = input->applied};
        offset->metadata_size_bytes = mr_offset_record_print(&record, offset->metadata);
        input->committed = input->applied;
    }
    MR_ASSERT(count == offset_count);
    shard->undecided.offset_count = count;
}

static const mr_task_point *find_point(const mr_shard *shard, uint32_t count, uint32_t task)
{
    for (uint32_t i = 0; i < count; i++) {
        if (shard->points[i].task == task) {
            return &shard->points[i];
        }
    }
    return NULL;
}
