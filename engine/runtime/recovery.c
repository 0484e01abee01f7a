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
#include <inttypes.h>
#include <string.h>

static void drop_everything(mr_shard *shard);
static void back_off(mr_shard *shard);
static uint32_t post_reset(mr_shard *shard);
static uint32_t post_init(mr_shard *shard);
static mr_status judge_offsets(mr_shard *shard, const mr_offset *offsets);
static mr_status judge_input(mr_shard *shard, mr_input *input, const mr_offset *offset,
                             mr_task_point *point);
static mr_status refuse(mr_shard *shard, const mr_offset *offset, const char *name,
                        const char *story, int64_t bound, const char *remedy);
static mr_status roll(mr_shard *shard, uint32_t offset_count);
static void restore(mr_shard *shard, const mr_offset *offsets);
static uint64_t draw(mr_shard *shard);
static void log_recovered(mr_shard *shard);

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
    if (status == MR_ERR_OVERFLOW && shard->rows_max == 1) {
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
        shard->recoveries_without_ack++;
    }
    if (status == MR_ERR_OVERFLOW) {
        shard->rows_max = shard->rows_max / 2 > 0 ? shard->rows_max / 2 : 1;
    }
    drop_everything(shard);
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
    shard->phase = MR_SHARD_RUN;
    mr_counter_set(&shard->counters.is_running, 1);
    log_recovered(shard);
}

void mr_shard_fail(mr_shard *shard, const mr_diag *diag)
{
    MR_ASSERT(diag != NULL && diag->status != MR_OK);
    if (diag != &shard->failure) {
        shard->failure = *diag;
    }
    drop_everything(shard);
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
    mr_status status = judge_offsets(shard, offsets);
    if (status == MR_OK) {
        uint32_t count = 0;
        for (uint32_t i = 0; i < shard->input_count; i++) {
            const mr_input *input = &shard->inputs[i];
            if (offsets[i].offset < 0) {
                continue;
            }
            shard->seal_offsets[count++] = (mr_input_offset){.task = input->lane->partition,
                                                             .input = input->ordinal,
                                                             .partition = input->lane->partition,
                                                             .from = input->applied,
                                                             .to = input->applied};
        }
        status = roll(shard, count);
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

/* Fills one point a lane, and each input's position; refuses what would be a guess. */
static mr_status judge_offsets(mr_shard *shard, const mr_offset *offsets)
{
    for (uint32_t i = 0; i < shard->lane_count; i++) {
        shard->points[i] =
            (mr_task_point){.task = shard->lanes[i].partition, .watermark_us = INT64_MIN};
        shard->lanes[i].state_epoch = 0;
    }
    for (uint32_t i = 0; i < shard->input_count; i++) {
        mr_input *input = &shard->inputs[i];
        const mr_status status =
            judge_input(shard, input, &offsets[i], &shard->points[input->lane->index]);
        if (status != MR_OK) {
            return status;
        }
    }
    for (uint32_t i = 0; i < shard->lane_count; i++) {
        if (shard->points[i].epoch == 0) {
            shard->points[i].lineage = draw(shard);
        }
    }
    return MR_OK;
}

static mr_status judge_input(mr_shard *shard, mr_input *input, const mr_offset *offset,
                             mr_task_point *point)
{
    mr_offset_record record;
    input->at_end = false; /* What was read up to the end is read again. */
    if (input->end < 0) {
        input->end = offset->log_end;
    }
    if (offset->offset < 0) { /* Genesis of this partition: resolved once, then committed. */
        input->applied = input->committed = offset->start;
        return MR_OK;
    }
    input->applied = input->committed = offset->offset;
    const mr_record_result result =
        mr_offset_record_parse(offset->metadata, offset->metadata_size_bytes, &record);
    if (result == MR_RECORD_NEWER) {
        return refuse(shard, offset, "E_RECORD_NEWER",
                      "its committed offset was written by a newer release", -1,
                      "run that release, or a newer one");
    }
    if (result == MR_RECORD_FOREIGN) {
        return refuse(shard, offset, "E_OFFSETS_FOREIGN",
                      "its committed offset was not written by millrace (set by hand, or by "
                      "another tool)",
                      -1, "restore the offset this application committed, or use another app name");
    }
    if (offset->offset < offset->log_start) {
        return refuse(shard, offset, "E_OFFSET_LOST",
                      "retention has removed records that were not read yet; the log starts at",
                      offset->log_start, "records are lost: decide where to go on");
    }
    if (offset->offset > offset->log_end) {
        return refuse(shard, offset, "E_OFFSET_BEYOND_END",
                      "the committed offset is beyond the end of the log, which was truncated or "
                      "recreated; it ends at",
                      offset->log_end, "restore the topic, or start a new app name");
    }
    if (point->epoch != 0 &&
        (point->lineage != record.lineage || point->epoch != record.epoch ||
         point->incarnation != record.incarnation || point->digest != record.digest)) {
        return refuse(shard, offset, "E_RECORD_DISAGREE",
                      "the inputs of this task name different epochs", -1,
                      "offsets were changed from outside; restore them");
    }
    point->lineage = record.lineage;
    point->epoch = record.epoch;
    point->incarnation = record.incarnation;
    point->digest = record.digest;
    input->lane->state_epoch = record.state_epoch;
    return MR_OK;
}

static mr_status refuse(mr_shard *shard, const mr_offset *offset, const char *name,
                        const char *story, int64_t bound, const char *remedy)
{
    const char *topic = shard->plan->topics[offset->topic].name;
    if (bound >= 0) {
        return mr_diag_set(&shard->diag, MR_ERR_REFUSED, 0,
                           "%s: %s-%u@%" PRId64 ": %s %" PRId64 "; %s", name, topic,
                           offset->partition, offset->offset, story, bound, remedy);
    }
    return mr_diag_set(&shard->diag, MR_ERR_REFUSED, 0, "%s: %s-%u@%" PRId64 ": %s; %s", name,
                       topic, offset->partition, offset->offset, story, remedy);
}

static mr_status roll(mr_shard *shard, uint32_t offset_count)
{
    const mr_status status =
        mr_state_roll(shard->state, shard->incarnation, shard->points, shard->lane_count,
                      shard->seal_offsets, offset_count, &shard->diag);
    if (status != MR_OK) {
        return status;
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
