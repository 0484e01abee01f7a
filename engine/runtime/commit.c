/*
 * commit.c - brings the one undecided epoch to Kafka's decision.
 *
 * OFFSETS are posted as soon as the epoch is sealed and may overlap with the sync of its delta;
 * COMMIT only when the epoch is prepared here and all its records are handed over (protocol steps
 * 4-9 in docs/exactly-once.md). Any answer but COMMITTED is recovery's affair. A plan without
 * Kafka has no commit point: its epochs end when its sinks are done. Thread: the shard's.
 */
#include "engine/base/crash.h"
#include "engine/runtime/runtime_private.h"

static uint32_t post_offsets(mr_shard *shard);
static uint32_t await_prepared(mr_shard *shard);
static uint32_t post_commit(mr_shard *shard);
static mr_step sinks_prepare(mr_shard *shard, uint64_t epoch);
static mr_step sinks_committed(mr_shard *shard, uint64_t epoch);

uint32_t mr_commit_step(mr_shard *shard)
{
    mr_undecided *undecided = &shard->undecided;
    uint32_t work = 0;

    if (!undecided->is_used) {
        if (shard->phase == MR_SHARD_RUN && shard->epoch.phase == MR_EPOCH_OPEN) {
            (void)mr_output_submit(shard, shard->epoch.arena, mr_state_epoch(shard->state), false);
        }
        return 0;
    }
    if (!undecided->is_produced) {
        undecided->is_produced = mr_output_submit(shard, undecided->arena, undecided->epoch, true);
        work += undecided->is_produced;
    }
    work += post_offsets(shard);
    work += await_prepared(shard);
    if (undecided->is_used && undecided->is_prepared && undecided->is_produced &&
        !undecided->commit_posted) {
        work += post_commit(shard);
    }
    return work;
}

void mr_commit_acknowledge(mr_shard *shard, uint64_t epoch)
{
    mr_undecided *undecided = &shard->undecided;
    MR_ASSERT(undecided->is_used && undecided->epoch == epoch && undecided->is_prepared);

    mr_crash_pass(MR_K10);
    mr_state_acknowledge(shard->state, epoch);
    if (undecided->records_in > 0) {
        mr_pace_note(&shard->pace, mr_output_used(shard, undecided->arena), undecided->opened_us,
                     shard->now_us);
    }
    mr_output_reset(shard, undecided->arena);
    mr_counter_add(&shard->counters.epochs, 1);
    mr_counter_add(&shard->counters.committed_in, undecided->records_in);
    undecided->is_used = false;
    mr_attempt_passed(shard, undecided->records_in);
    if (undecided->records_in > 0) {
        shard->recoveries_without_ack = 0;
        shard->backoff_us = 0;
        shard->io_failures = 0;
        shard->rows_max =
            shard->rows_max * 2 > MR_BATCH_ROWS_MAX ? MR_BATCH_ROWS_MAX : shard->rows_max * 2;
    }
    if (sinks_committed(shard, epoch) == MR_STEP_FAILED) {
        mr_recovery_begin(shard, shard->diag.status, &shard->diag);
        return;
    }
    if (undecided->is_claim) {
        mr_recovery_claimed(shard);
    }
}

/* ---- Helpers ---- */

static uint32_t post_offsets(mr_shard *shard)
{
    mr_undecided *undecided = &shard->undecided;
    const mr_kafka *kafka = &shard->env.kafka;
    if (undecided->offsets_posted || kafka->type == NULL) {
        return 0;
    }
    const mr_kafka_command command = {.op = MR_KAFKA_OFFSETS,
                                      .epoch = undecided->epoch,
                                      .offsets = undecided->offsets,
                                      .offset_count = undecided->offset_count};
    undecided->offsets_posted = kafka->type->submit(kafka->self, &command) == MR_OK;
    return undecided->offsets_posted;
}

static uint32_t await_prepared(mr_shard *shard)
{
    mr_undecided *undecided = &shard->undecided;
    if (undecided->is_prepared) {
        return 0;
    }
    mr_step step = mr_state_prepared(shard->state, undecided->epoch, &shard->diag);
    if (step == MR_STEP_NEXT) {
        step = sinks_prepare(shard, undecided->epoch);
    }
    if (step == MR_STEP_FAILED) {
        mr_recovery_begin(shard, shard->diag.status, &shard->diag);
        return 1;
    }
    if (step == MR_STEP_WAIT) {
        return 0;
    }
    undecided->is_prepared = true;
    mr_crash_pass(MR_K6);
    return 1;
}

static uint32_t post_commit(mr_shard *shard)
{
    mr_undecided *undecided = &shard->undecided;
    const mr_kafka *kafka = &shard->env.kafka;
    if (kafka->type == NULL) {
        undecided->commit_posted = true;
        mr_commit_acknowledge(shard, undecided->epoch);
        return 1;
    }
    if (!undecided->offsets_posted) {
        return 0;
    }
    const mr_kafka_command command = {.op = MR_KAFKA_COMMIT, .epoch = undecided->epoch};
    if (undecided->is_claim) {
        mr_crash_pass(MR_K12C);
    }
    undecided->commit_posted = kafka->type->submit(kafka->self, &command) == MR_OK;
    return undecided->commit_posted;
}

static mr_step sinks_prepare(mr_shard *shard, uint64_t epoch)
{
    for (uint32_t i = 0; i < shard->lane_count; i++) {
        for (uint32_t n = 0; n < shard->plan->node_count; n++) {
            mr_task *task = &shard->lanes[i].nodes[n];
            if (task->node->kind != MR_NODE_SINK || task->node->sink->prepare == NULL) {
                continue;
            }
            const mr_step step = task->node->sink->prepare(task->self, task, epoch);
            if (step != MR_STEP_NEXT) {
                return step;
            }
        }
    }
    return MR_STEP_NEXT;
}

static mr_step sinks_committed(mr_shard *shard, uint64_t epoch)
{
    for (uint32_t i = 0; i < shard->lane_count; i++) {
        for (uint32_t n = 0; n < shard->plan->node_count; n++) {
            mr_task *task = &shard->lanes[i].nodes[n];
            if (task->node->kind != MR_NODE_SINK || task->node->sink->committed == NULL) {
                continue;
            }
            const mr_step step = task->node->sink->committed(task->self, task, epoch);
            if (step != MR_STEP_NEXT) {
                return step;
            }
        }
    }
    return MR_STEP_NEXT;
}
