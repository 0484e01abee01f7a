/*
 * recovery.c - the one way back, for process start, abort, unknown outcome, failed delivery,
 * failed sync and overflow alike (docs/exactly-once.md, recovery).
 *
 * Everything applied is dropped; the clients are destroyed and made anew; what Kafka has committed
 * is read; the store is rolled to exactly that epoch; operators are opened; an empty claim epoch is
 * committed under a new incarnation; then input is assigned. Where Kafka and the state disagree the
 * shard stops with a named error instead of guessing. Thread: the shard's.
 */
#include "engine/runtime/runtime_private.h"
#include <stdio.h>
#include <string.h>

static void drop_everything(mr_shard *shard);
static void back_off(mr_shard *shard);
static uint32_t post_reset(mr_shard *shard);
static uint32_t post_init(mr_shard *shard);
static mr_status roll(mr_shard *shard, uint32_t offset_count);
static void restore(mr_shard *shard, const mr_offset *offsets);
static uint64_t draw(mr_shard *shard);
static void log_recovered(mr_shard *shard);
static void log_unassigned(mr_shard *shard);

void mr_recovery_begin(mr_shard *shard, mr_status status, const mr_diag *diag)
{
    const mr_class class = mr_status_class(status);
    if (status != MR_OK && (class == MR_CLASS_FATAL || class == MR_CLASS_USER)) {
        mr_shard_fail(shard, diag);
        return;
    }
    if (status == MR_ERR_IO && ++shard->io_failures > 1) {
        mr_shard_fail(shard, diag);
        return;
    }
    if (status == MR_ERR_OVERFLOW && !mr_rows_can_shrink(shard)) {
        char place[MR_PLACE_BYTES_MAX];
        mr_told(
            mr_diag_frame(&shard->diag, MR_ERR_LIMIT,
                          "E_OUTPUT_TOO_LARGE: %sthe output of a single record does not fit the "
                          "output arena; raise memory.kafka",
                          mr_reject_place(shard, place)));
        mr_shard_fail(shard, &shard->diag);
        return;
    }
    if (shard->env.kafka.type == NULL && status != MR_OK) {
        mr_shard_fail(shard, diag); /* No commit point to go back to. */
        return;
    }
    if (status != MR_OK) {
        const mr_log_field fields[] = {{.name = "shard", .number = shard->options.index},
                                       {.name = "reason", .text = mr_status_name(status)},
                                       {.name = "cause", .text = diag != NULL ? diag->text : ""}};
        mr_log_event(shard->env.log, MR_LOG_WARN, "recovery", "recovering", fields,
                     MR_LENGTH(fields));
        mr_counter_add(&shard->counters.recoveries, 1);
        if (status == MR_ERR_OVERFLOW) { /* What comes next is another attempt: it need not wait. */
            mr_rows_overflow(shard);
        } else {
            shard->recoveries_without_ack++;
        }
    }
    drop_everything(shard);
    mr_attempt_end(shard, NULL);
    back_off(shard);
}

uint32_t mr_recovery_step(mr_shard *shard)
{
    switch (shard->phase) {
    case MR_SHARD_BACKOFF:
        if (shard->now_us < shard->backoff_until_us) {
            return 0;
        }
        shard->phase = MR_SHARD_RECOVER;
        return 1;
    case MR_SHARD_RECOVER:
        shard->incarnation = draw(shard);
        shard->recovery_from_us = shard->now_us;
        if (shard->env.kafka.type == NULL) {
            restore(shard, NULL);
            return 1;
        }
        return post_reset(shard);
    case MR_SHARD_RESETTING:
        return post_init(shard);
    case MR_SHARD_CLAIM:
        if (!shard->undecided.is_used) {
            const mr_step step = mr_epoch_seal(shard, true);
            if (step == MR_STEP_FAILED) {
                mr_recovery_begin(shard, shard->diag.status, &shard->diag);
            }
            return step != MR_STEP_WAIT;
        }
        return 0;
    case MR_SHARD_INIT:
    case MR_SHARD_RUN:
    case MR_SHARD_STOPPED:
    case MR_SHARD_FAILED:
        break;
    }
    return 0;
}

void mr_recovery_ready(mr_shard *shard, const mr_kafka_event *event)
{
    MR_ASSERT(shard->phase == MR_SHARD_INIT && event->offset_count == shard->input_count);
    /* The old clients are gone: nobody reads the arenas any more. */
    mr_output_reset(shard, 0);
    mr_output_reset(shard, 1);
    restore(shard, event->offsets);
}

void mr_recovery_claimed(mr_shard *shard)
{
    MR_ASSERT(shard->phase == MR_SHARD_CLAIM);
    const mr_kafka *kafka = &shard->env.kafka;
    if (kafka->type != NULL) {
        /* The claim's offsets; a copy, as the next epoch reuses that array. */
        MR_ASSERT(shard->undecided.offset_count == shard->input_count);
        memcpy(shard->assign_offsets, shard->undecided.offsets,
               shard->input_count * sizeof(shard->assign_offsets[0]));
        const mr_kafka_command command = {.op = MR_KAFKA_ASSIGN,
                                          .offsets = shard->assign_offsets,
                                          .offset_count = shard->input_count};
        if (kafka->type->submit(kafka->self, &command) != MR_OK) {
            mr_told(mr_diag_set(&shard->diag, MR_ERR_OUTCOME_UNKNOWN, 0,
                                "the client took no assignment"));
            mr_recovery_begin(shard, shard->diag.status, &shard->diag);
            return;
        }
    }
    mr_attempt_begin(shard);
    shard->phase = MR_SHARD_RUN;
    shard->answers = NULL; /* What they changed is what Kafka says now. */
    mr_counter_set(&shard->counters.is_running, 1);
    log_recovered(shard);
    if (!shard->told_unassigned) {
        shard->told_unassigned = true;
        log_unassigned(shard);
    }
}

void mr_shard_fail(mr_shard *shard, const mr_diag *diag)
{
    MR_ASSERT(diag != NULL && diag->status != MR_OK);
    if (diag != &shard->failure) {
        shard->failure = *diag;
    }
    drop_everything(shard);
    mr_attempt_end(shard, &shard->failure);
    shard->phase = MR_SHARD_FAILED;
}

/* ---- Helpers ---- */

static void drop_everything(mr_shard *shard)
{
    mr_counter_set(&shard->counters.is_running, 0);
    mr_tasks_close(shard);
    MR_ASSERT(shard->parked_count == 0);
    shard->undecided.is_used = false;
    shard->sources_ended = false;
    mr_epoch_clear(shard);
}

static void back_off(mr_shard *shard)
{
    shard->phase = MR_SHARD_RECOVER;
    if (shard->recoveries_without_ack < MR_RECOVERIES_CALM) {
        return;
    }
    shard->backoff_us = shard->backoff_us == 0 ? MR_BACKOFF_US_MIN : shard->backoff_us * 2;
    if (shard->backoff_us > MR_BACKOFF_US_MAX) {
        shard->backoff_us = MR_BACKOFF_US_MAX;
    }
    shard->backoff_until_us = shard->now_us + shard->backoff_us;
    shard->phase = MR_SHARD_BACKOFF;
}

static uint32_t post_reset(mr_shard *shard)
{
    const mr_kafka *kafka = &shard->env.kafka;
    const mr_kafka_command command = {.op = MR_KAFKA_RESET};
    if (kafka->type->submit(kafka->self, &command) != MR_OK) {
        return 0;
    }
    shard->phase = MR_SHARD_RESETTING;
    return 1;
}

static uint32_t post_init(mr_shard *shard)
{
    const mr_kafka *kafka = &shard->env.kafka;
    const mr_kafka_command command = {.op = MR_KAFKA_INIT,
                                      .incarnation = shard->incarnation,
                                      .offsets = shard->init_offsets,
                                      .offset_count = shard->input_count};
    if (kafka->type->submit(kafka->self, &command) != MR_OK) {
        return 0;
    }
    shard->phase = MR_SHARD_INIT;
    return 1;
}

/* From what Kafka says to an open shard with a claim to commit. */
static void restore(mr_shard *shard, const mr_offset *offsets)
{
    shard->diag.status = MR_OK;
    mr_status status = mr_offsets_judge(shard, offsets);
    if (status == MR_OK) {
        uint32_t count = 0;
        for (uint32_t i = 0; i < shard->input_count; i++) {
            const mr_input *input = &shard->inputs[i];
            const int64_t at = offsets[i].offset < 0 ? -1 : input->applied;
            shard->seal_offsets[count++] = mr_input_offset_of(input, at, at);
        }
        status = roll(shard, count);
    }
    if (status == MR_OK && offsets != NULL) {
        status = mr_offsets_settle(shard, offsets);
    }
    if (status == MR_OK) {
        status = mr_attempt_judge(shard, offsets);
    }
    if (status == MR_OK) {
        status = mr_tasks_open(shard);
    }
    if (status != MR_OK) {
        mr_recovery_begin(shard, status, &shard->diag);
        return;
    }
    shard->phase = MR_SHARD_CLAIM;
}

static mr_status roll(mr_shard *shard, uint32_t offset_count)
{
    const mr_status status =
        mr_state_roll(shard->state, shard->incarnation, shard->points, shard->lane_count,
                      shard->seal_offsets, offset_count, &shard->diag);
    if (status != MR_OK) {
        return mr_offsets_name_refusal(shard, status);
    }
    shard->recovered_epoch = 0;
    for (uint32_t i = 0; i < shard->lane_count; i++) {
        shard->lanes[i].lineage = shard->points[i].lineage;
        if (shard->points[i].epoch > shard->recovered_epoch) {
            shard->recovered_epoch = shard->points[i].epoch;
        }
    }
    mr_reject_recovered(shard);
    return MR_OK;
}

/* Never 0, which means "none" in a record. */
static uint64_t draw(mr_shard *shard)
{
    uint64_t value = 0;
    while (value == 0) {
        value = shard->env.random.type->next(shard->env.random.self);
    }
    return value;
}

static void log_recovered(mr_shard *shard)
{
    const mr_log_field fields[] = {
        {.name = "shard", .number = shard->options.index},
        {.name = "epoch", .number = (int64_t)shard->recovered_epoch},
        {.name = "tasks", .number = shard->lane_count},
        {.name = "keys", .number = (int64_t)mr_counter_read(&shard->counters.state_keys)},
        {.name = "ms", .number = (shard->now_us - shard->recovery_from_us) / 1000}};
    mr_log_event(shard->env.log, MR_LOG_INFO, "recovery", "recovered", fields, MR_LENGTH(fields));
}

/* Another worker's partitions, or ones that were taken from this one: their state stays here. */
static void log_unassigned(mr_shard *shard)
{
    uint32_t tasks[MR_UNASSIGNED_NAMED];
    char text[MR_UNASSIGNED_NAMED * 8 + 4] = "";
    size_t used = 0;

    const uint32_t count = mr_state_unassigned(shard->state, tasks, MR_UNASSIGNED_NAMED);
    if (count == 0) {
        return;
    }
    for (uint32_t i = 0; i < count && i < MR_UNASSIGNED_NAMED; i++) {
        const int size = snprintf(text + used, sizeof(text) - used, i > 0 ? ",%u" : "%u", tasks[i]);
        MR_ASSERT(size > 0 && used + (size_t)size < sizeof(text));
        used += (size_t)size;
    }
    if (count > MR_UNASSIGNED_NAMED) {
        memcpy(text + used, ",..", sizeof(",.."));
    }
    const mr_log_field fields[] = {{.name = "shard", .number = shard->options.index},
                                   {.name = "count", .number = count},
                                   {.name = "partitions", .text = text},
                                   {.name = "directory", .text = shard->options.directory}};
    mr_log_event(shard->env.log, MR_LOG_WARN, "recovery",
                 "state of partitions that are not ours is kept untouched", fields,
                 MR_LENGTH(fields));
}
