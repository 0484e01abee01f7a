/*
 * shard.c - the step: one bounded turn of everything a shard does, in a fixed order.
 *
 * mr_shard_step() makes no system call beyond the seams and never blocks; the worker calls it in a
 * loop and lets the shard sleep when a turn found nothing to do. Each part of the turn is bounded
 * by a constant of runtime_private.h. Thread: the shard's own; counters are read by any.
 */
#include "engine/base/crash.h"
#include "engine/runtime/runtime_private.h"
#include <stdio.h>
#include <string.h>

static mr_status shard_open(mr_shard *shard);
static mr_status state_open(mr_shard *shard);
static uint32_t step_completions(mr_shard *shard);
static uint32_t step_events(mr_shard *shard);
static uint32_t step_parked(mr_shard *shard);
static uint32_t step_sources(mr_shard *shard);
static uint32_t poll_source(mr_lane *lane, mr_task *source);
static void step_state(mr_shard *shard);
static void tell_space(mr_shard *shard);
static bool source_is_done(const mr_task *source);
static void find_end(mr_shard *shard);
static void find_stopped(mr_shard *shard);
static void read_counters(mr_shard *shard);

mr_status mr_shard_open(mr_shard **out, const mr_shard_options *options, mr_diag *diag)
{
    const mr_memory memory = options->env->memory;
    mr_arena *arena = mr_arena_create(memory, options->memory_bytes, "shard");
    *out = NULL;
    if (arena == NULL) {
        return mr_diag_set(diag, MR_ERR_MEMORY, 0, "no memory for a shard");
    }
    mr_shard *shard = mr_arena_take(arena, sizeof(*shard));
    if (shard == NULL) {
        mr_arena_destroy(arena);
        return mr_diag_set(diag, MR_ERR_MEMORY, 0, "no memory for a shard");
    }
    shard->arena = arena;
    shard->options = *options;
    shard->env = *options->env;
    shard->plan = options->plan;
    shard->answers = options->answers;
    shard->attempt = (mr_attempt){.mark = options->mark, .suspect_input = MR_NO_INDEX};
    shard->rows_max = MR_BATCH_ROWS_MAX;
    snprintf(shard->owner, sizeof(shard->owner), "%s-%u", options->worker_set, options->index);
    const mr_status status = shard_open(shard);
    if (status != MR_OK) {
        *diag = shard->diag;
        mr_shard_close(shard);
        return status;
    }
    *out = shard;
    return MR_OK;
}

uint32_t mr_shard_step(mr_shard *shard)
{
    uint32_t work = 0;
    const int64_t before_us = shard->env.clock.type->monotonic_us(shard->env.clock.self);

    shard->now_us = before_us;
    shard->wall_us = shard->env.clock.type->wall_us(shard->env.clock.self);
    work += step_completions(shard);
    work += step_events(shard);
    if (shard->phase == MR_SHARD_RUN) {
        work += step_parked(shard);
        work += step_sources(shard);
    }
    if (shard->phase == MR_SHARD_RUN) {
        find_end(shard);
        work += mr_epoch_step(shard);
    }
    if (shard->phase == MR_SHARD_RUN || shard->phase == MR_SHARD_CLAIM) {
        work += mr_commit_step(shard);
    }
    if (shard->is_busy && shard->epoch.opened_us == 0 && !shard->undecided.is_used) {
        mr_turn_leave(shard);
    }
    if (shard->phase != MR_SHARD_RUN) {
        work += mr_recovery_step(shard);
    }
    step_state(shard);
    find_stopped(shard);
    mr_counter_add(&shard->counters.turns, 1);
    const int64_t cycle_us = shard->env.clock.type->monotonic_us(shard->env.clock.self) - before_us;
    if ((uint64_t)cycle_us > mr_counter_read(&shard->counters.step_cycle_us_max)) {
        mr_counter_set(&shard->counters.step_cycle_us_max, (uint64_t)cycle_us);
    }
    return work;
}

int64_t mr_shard_wake_at_us(const mr_shard *shard)
{
    int64_t at_us = shard->now_us + MR_IDLE_US_MAX;
    if (shard->phase == MR_SHARD_BACKOFF && shard->backoff_until_us < at_us) {
        at_us = shard->backoff_until_us;
    }
    /* A due epoch that waits (for a seal's buffers, for parked reads) is woken by completions. */
    if (shard->phase == MR_SHARD_RUN && !shard->undecided.is_used && shard->parked_count == 0 &&
        shard->epoch.phase == MR_EPOCH_OPEN && mr_epoch_due_us(shard) < at_us) {
        at_us = mr_epoch_due_us(shard);
    }
    return at_us;
}

void mr_shard_sleep(mr_shard *shard)
{
    const mr_kafka *kafka = &shard->env.kafka;
    const int64_t timeout_us = mr_shard_wake_at_us(shard) - shard->now_us;
    if (timeout_us <= 0 || (kafka->type != NULL && !kafka->type->may_sleep(kafka->self))) {
        return;
    }
    if (shard->ring != NULL) {
        const uint32_t in_flight = mr_ring_in_flight(shard->ring);
        mr_ring_wait(shard->ring, in_flight > 0 ? 1 : 0, timeout_us);
        return;
    }
    int descriptors[MR_WATCHES_MAX + 1];
    memcpy(descriptors, shard->watches, sizeof(shard->watches));
    descriptors[shard->watch_count] = shard->env.wake_descriptor;
    shard->env.sleep.wait(shard->env.sleep.self, descriptors, shard->watch_count + 1, timeout_us);
    shard->env.sleep.drain(shard->env.sleep.self, shard->env.wake_descriptor);
}

const mr_diag *mr_shard_failure(const mr_shard *shard)
{
    return shard->phase == MR_SHARD_FAILED ? &shard->failure : NULL;
}

void mr_shard_stop(mr_shard *shard)
{
    if (!shard->stop_requested) {
        shard->stop_requested = true;
        mr_crash_pass(MR_K14);
    }
}

bool mr_shard_is_stopped(const mr_shard *shard)
{
    return shard->phase == MR_SHARD_STOPPED;
}

const mr_shard_counters *mr_shard_read_counters(const mr_shard *shard)
{
    return &shard->counters;
}

void mr_shard_close(mr_shard *shard)
{
    if (shard == NULL) {
        return;
    }
    mr_attempt_end(shard, NULL);
    if (shard->lanes != NULL) {
        mr_tasks_close(shard);
    }
    mr_state_close(shard->state);
    if (shard->ring != NULL) {
        mr_ring_close(shard->ring);
    }
    for (uint32_t i = 0; i < MR_LENGTH(shard->outputs); i++) {
        mr_output_arena *arena = &shard->outputs[i];
        if (arena->memory != NULL) {
            shard->env.memory.type->release(shard->env.memory.self, arena->memory,
                                            arena->size_bytes);
        }
    }
    mr_arena_destroy(shard->task_arena);
    mr_arena_destroy(shard->arena);
}

/* ---- Opening ---- */

static mr_status shard_open(mr_shard *shard)
{
    mr_status status = MR_OK;
    shard->task_arena =
        mr_arena_create(shard->env.memory, shard->options.memory_bytes, "operators");
    if (shard->task_arena == NULL) {
        return mr_diag_set(&shard->diag, MR_ERR_MEMORY, 0, "no memory for operators");
    }
    if (shard->env.io.raw != NULL) {
        status = mr_ring_open(&shard->ring, &shard->env.io, &shard->diag);
        if (status == MR_OK) {
            status = mr_ring_watch(shard->ring, shard->env.wake_descriptor, MR_WATCH_TAG);
        }
    }
    if (status == MR_OK) {
        status = state_open(shard);
    }
    if (status == MR_OK) {
        status = mr_tasks_create(shard);
    }
    if (status == MR_OK) {
        status = mr_output_open(shard);
    }
    if (status == MR_OK) {
        shard->row_text = mr_arena_take(shard->arena, MR_ROW_TEXT_BYTES);
        status = shard->row_text != NULL ? MR_OK
                                         : mr_diag_set(&shard->diag, MR_ERR_MEMORY, 0, "no memory");
    }
    if (status == MR_OK) {
        shard->phase = MR_SHARD_RECOVER;
    }
    return status;
}

static mr_status state_open(mr_shard *shard)
{
    const uint64_t epoch_bytes = shard->plan->commit.dirty_state_bytes * 4;
    mr_state_options options = {.directory = shard->options.directory,
                                .tasks = shard->options.partitions,
                                .task_count = shard->options.partition_count,
                                .shard = shard->options.index,
                                .memory_bytes = shard->options.store_bytes,
                                .table_count_max =
                                    shard->plan->table_count * shard->options.partition_count,
                                .inputs_max = mr_budget_inputs(shard->plan),
                                .wal_bytes_max = shard->plan->state.wal_max_bytes,
                                .checkpoint_us = shard->plan->state.checkpoint_us,
                                .epoch_bytes_max = epoch_bytes,
                                .value_bytes_max = (uint32_t)shard->plan->state.value_max_bytes,
                                .memory = shard->env.memory};
    for (uint32_t i = 0; i < sizeof(options.random); i += sizeof(uint64_t)) {
        const uint64_t value = shard->env.random.type->next(shard->env.random.self);
        memcpy(options.random + i, &value, sizeof(value));
    }
    return mr_state_open(&shard->state, &options, shard->ring, &shard->diag);
}

/* ---- The parts of a turn ---- */

static uint32_t step_completions(mr_shard *shard)
{
    mr_io_completion completions[MR_STEP_COMPLETIONS_MAX];
    uint32_t work = 0;
    if (shard->ring == NULL) {
        return 0;
    }
    const uint32_t count = mr_ring_reap(shard->ring, completions, MR_STEP_COMPLETIONS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        if ((completions[i].tag & MR_WATCH_TAG) != 0) {
            shard->env.sleep.drain(shard->env.sleep.self, shard->env.wake_descriptor);
            continue;
        }
        MR_ASSERT((completions[i].tag & MR_STATE_TAG) != 0);
        mr_state_complete(shard->state, &completions[i]);
        work++;
    }
    return work;
}

static uint32_t step_events(mr_shard *shard)
{
    mr_kafka_event events[MR_STEP_EVENTS_MAX];
    const mr_kafka *kafka = &shard->env.kafka;
    if (kafka->type == NULL) {
        return 0;
    }
    const uint32_t count = kafka->type->poll(kafka->self, events, MR_STEP_EVENTS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        const mr_kafka_event *event = &events[i];
        if (shard->phase == MR_SHARD_FAILED || shard->phase == MR_SHARD_STOPPED) {
            break;
        }
        switch (event->fact) {
        case MR_KAFKA_RECORDS:
            break; /* Every turn looks at all queues that have filled. */
        case MR_KAFKA_READY:
            if (shard->phase == MR_SHARD_INIT) {
                mr_recovery_ready(shard, event);
            }
            break;
        case MR_KAFKA_COMMITTED:
            if (shard->undecided.is_used && shard->undecided.epoch == event->epoch) {
                mr_commit_acknowledge(shard, event->epoch);
            }
            break;
        case MR_KAFKA_FAILED:
            if (shard->phase != MR_SHARD_RECOVER && shard->phase != MR_SHARD_BACKOFF &&
                shard->phase != MR_SHARD_RESETTING) {
                mr_recovery_begin(shard, event->status, event->diag);
            }
            break;
        }
    }
    return count;
}

static uint32_t step_parked(mr_shard *shard)
{
    uint32_t work = 0;
    if (shard->parked_count == 0 || shard->epoch.phase != MR_EPOCH_OPEN) {
        return 0;
    }
    for (uint32_t i = 0; i < shard->lane_count; i++) {
        mr_lane *lane = &shard->lanes[i];
        if (!lane->is_parked) {
            continue;
        }
        if (mr_dispatch_resume(lane) == MR_STEP_FAILED) {
            mr_recovery_begin(shard, shard->diag.status, &shard->diag);
            return work + 1;
        }
        work++;
    }
    return work;
}

/* One batch a source in rotation, at most MR_STEP_BATCHES_MAX batches or MR_STEP_US_MAX. */
static uint32_t step_sources(mr_shard *shard)
{
    uint32_t batches = 0;
    uint32_t silent = 0;
    while (silent < shard->lane_count && batches < MR_STEP_BATCHES_MAX) {
        if (!mr_epoch_has_credit(shard) || !mr_turn_may_read(shard)) {
            mr_counter_add(&shard->counters.credit_waits, shard->phase == MR_SHARD_RUN);
            break;
        }
        mr_lane *lane = &shard->lanes[shard->next_lane];
        shard->next_lane = (shard->next_lane + 1) % shard->lane_count;
        uint32_t found = 0;
        /* An epoch of single rows may have room for one record, of one source: in turn. */
        const bool is_small = shard->rows_max == 1;
        const uint32_t first = is_small ? lane->first_node : 0;
        for (uint32_t i = 0; i < shard->plan->node_count; i++) {
            const uint32_t node = (first + i) % shard->plan->node_count;
            mr_task *task = &lane->nodes[node];
            const bool is_full =
                (shard->attempt.mark.limit != 0 || is_small) && !mr_epoch_has_credit(shard);
            if (task->node->kind == MR_NODE_SOURCE && !source_is_done(task) && !is_full &&
                shard->parked_count == 0) {
                const uint32_t count = poll_source(lane, task);
                found += count;
                lane->first_node = count > 0 ? node + 1 : lane->first_node;
                if (shard->phase != MR_SHARD_RUN) {
                    return batches + 1;
                }
            }
        }
        batches += found;
        silent = found > 0 ? 0 : silent + 1;
        if (batches > 0 &&
            shard->env.clock.type->monotonic_us(shard->env.clock.self) - shard->now_us >
                MR_STEP_US_MAX) {
            break;
        }
    }
    return batches;
}

/* 1 when the source had rows. */
static uint32_t poll_source(mr_lane *lane, mr_task *source)
{
    mr_shard *shard = lane->shard;
    const mr_source_type *type = source->node->source;
    mr_batch *batch =
        mr_batch_take(shard->pools[(size_t)source->node->index * MR_PLAN_OUTPUTS_MAX]);
    MR_ASSERT(batch != NULL);

    mr_step step = type->poll(source->self, source, batch);
    if (shard->diag.status != MR_OK) {
        step = MR_STEP_FAILED;
    }
    if (step == MR_STEP_WAIT || step == MR_STEP_END) {
        source->at_end = source->at_end || step == MR_STEP_END;
        mr_batch_give_back(batch);
        return 0;
    }
    if (step == MR_STEP_FAILED) {
        mr_batch_give_back(batch);
        shard->epoch.records_in++; /* At least; whether a smaller epoch would do hangs on it. */
        mr_recovery_begin(shard, shard->diag.status, &shard->diag);
        return 0;
    }
    mr_epoch_touch(shard, lane);
    if (source->input != MR_NO_INDEX) {
        mr_input *input = &shard->inputs[source->input];
        mr_position next = {.size_bytes = 0};
        int64_t offset = 0;
        type->position(source->self, &next);
        MR_ASSERT(next.size_bytes == sizeof(offset));
        memcpy(&offset, next.bytes, sizeof(offset));
        MR_ASSERT(offset >= input->applied);
        const mr_source_common *common = source->node->common;
        mr_crash_record(shard->plan->topics[common->topic].name, lane->partition, input->applied,
                        offset);
        input->applied = offset;
        mr_crash_pass(MR_K0);
    }
    shard->epoch.records_in += batch->row_count;
    mr_counter_add(&shard->counters.records_in, batch->row_count);
    if (batch->selected_count == 0) {
        mr_batch_give_back(batch);
        return 1;
    }
    if (mr_dispatch_source(lane, source, batch) == MR_STEP_FAILED) {
        mr_recovery_begin(shard, shard->diag.status, &shard->diag);
    }
    return 1;
}

/* No call on the store before the first roll, nor within a seal that has begun: a recovery may
 * have cut one short, and only its roll may follow. */
static void step_state(mr_shard *shard)
{
    const bool is_open = (shard->phase == MR_SHARD_RUN && shard->epoch.phase != MR_EPOCH_SEAL) ||
                         (shard->phase == MR_SHARD_CLAIM && shard->undecided.is_used);
    if (shard->phase == MR_SHARD_RUN || shard->phase == MR_SHARD_CLAIM) {
        mr_state_retry(shard->state, shard->now_us);
        tell_space(shard);
    }
    if (!is_open) {
        return;
    }
    if (shard->phase == MR_SHARD_RUN && (mr_state_demand(shard->state) & MR_DEMAND_STUCK) != 0) {
        mr_told(mr_state_full(shard->state, &shard->diag));
        mr_shard_fail(shard, &shard->diag);
    }
    mr_state_tick(shard->state, shard->now_us, MR_TICK_BYTES);
    read_counters(shard);
}

/* A full disk, when it begins, once a minute while it lasts, and when it has been over for some
 * seconds: bases make room in the log again and again. */
static void tell_space(mr_shard *shard)
{
    const bool is_full = (mr_state_demand(shard->state) & MR_DEMAND_SPACE) != 0;
    mr_diag diag = {.status = MR_OK};

    shard->full_seen_us = is_full ? shard->now_us : shard->full_seen_us;
    if (is_full ? shard->full_told_us != 0 && shard->now_us - shard->full_told_us < MR_REMIND_US
                : shard->full_told_us == 0 || shard->now_us - shard->full_seen_us < MR_CALM_US) {
        return;
    }
    if (is_full) {
        mr_told(mr_state_no_space(shard->state, &diag));
    }
    const mr_log_field fields[] = {{.name = "shard", .number = shard->options.index},
                                   {.name = "cause", .text = diag.text}};
    mr_log_event(shard->env.log, is_full ? MR_LOG_WARN : MR_LOG_INFO, "state",
                 is_full ? "the disk is full" : "there is room on the disk again", fields,
                 is_full ? MR_LENGTH(fields) : 1);
    shard->full_told_us = is_full ? shard->now_us : 0;
}

static bool source_is_done(const mr_task *source)
{
    const mr_shard *shard = source->shard;
    const mr_source_common *common = source->node->common;
    if (source->at_end || source->input == MR_NO_INDEX || !common->bounded) {
        return source->at_end;
    }
    const mr_input *input = &shard->inputs[source->input];
    if (input->applied >= input->end) {
        return true;
    }
    /* Control records before the end: nothing follows what was fetched, once that is applied. */
    const mr_fetch *fetch = input->fetch;
    return input->at_end && (fetch == NULL || fetch->record_count == 0 ||
                             input->applied > fetch->records[fetch->record_count - 1].offset);
}

/* Bounded sources at their end: what is open closes at once, and then the shard is drained. */
static void find_end(mr_shard *shard)
{
    if (!shard->plan->is_bounded || shard->parked_count > 0) {
        return;
    }
    for (uint32_t i = 0; i < shard->lane_count; i++) {
        for (uint32_t n = 0; n < shard->plan->node_count; n++) {
            const mr_task *task = &shard->lanes[i].nodes[n];
            if (task->node->kind == MR_NODE_SOURCE && !source_is_done(task)) {
                shard->sources_ended = false;
                return;
            }
        }
    }
    shard->sources_ended = true;
    if (shard->epoch.opened_us == 0 && shard->epoch.phase == MR_EPOCH_OPEN &&
        !shard->undecided.is_used) {
        mr_counter_set(&shard->counters.is_drained, 1);
    }
}

/* A stop waits for what can still be committed; in a recovery there is nothing to wait for. */
static void find_stopped(mr_shard *shard)
{
    if (!shard->stop_requested) {
        return;
    }
    switch (shard->phase) {
    case MR_SHARD_RUN:
        if (shard->epoch.opened_us == 0 && !shard->undecided.is_used && shard->parked_count == 0) {
            shard->phase = MR_SHARD_STOPPED;
        }
        break;
    case MR_SHARD_RECOVER:
    case MR_SHARD_BACKOFF:
    case MR_SHARD_RESETTING:
    case MR_SHARD_INIT:
        shard->phase = MR_SHARD_STOPPED;
        break;
    case MR_SHARD_CLAIM:
    case MR_SHARD_STOPPED:
    case MR_SHARD_FAILED:
        break;
    }
}

static void read_counters(mr_shard *shard)
{
    mr_state_stats stats;
    if (shard->now_us - shard->stats_read_us < MR_IDLE_US_MAX) {
        return;
    }
    shard->stats_read_us = shard->now_us;
    mr_state_read_stats(shard->state, &stats);
    mr_counter_set(&shard->counters.state_keys, stats.key_count);
    mr_counter_set(&shard->counters.state_bytes, stats.memory_bytes);
    mr_counter_set(&shard->counters.wal_bytes, stats.wal_bytes);
}
