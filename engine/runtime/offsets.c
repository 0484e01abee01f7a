/*
 * offsets.c - what Kafka says of each input, judged before the store is rolled: whether the offset
 * is ours, whether the log still holds it, whether the inputs of a task agree. What would be a
 * guess is refused by name, unless the start was given an answer to it; what an answer changes is
 * logged with the old and the new value. Thread: the shard's.
 */
#include "engine/runtime/runtime_private.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { PLACE_BYTES = 300 };

static mr_status judge_input(mr_shard *shard, mr_input *input, const mr_offset *offset,
                             mr_task_point *point);
static mr_status judge_place(mr_shard *shard, const mr_offset *offset);
static mr_status take_answer(mr_shard *shard, mr_input *input, const mr_offset *offset);
static mr_status test_kept(mr_shard *shard, const mr_offset *offset, int64_t kept);
static bool may_reset(const mr_shard *shard, const mr_offset *offset, int64_t *to);
static mr_status put_place(mr_diag *diag, mr_status status, const char *place);
static uint32_t allowed(const mr_shard *shard, const mr_offset *offset);
static void log_answer(mr_shard *shard, const mr_offset *offset, const char *answer, int64_t to);
static mr_status refuse(mr_shard *shard, const mr_offset *offset, const char *name,
                        const char *story, int64_t bound, const char *remedy);
static uint64_t draw(mr_shard *shard);

mr_status mr_offsets_judge(mr_shard *shard, const mr_offset *offsets)
{
    for (uint32_t i = 0; i < shard->lane_count; i++) {
        shard->points[i] = (mr_task_point){.task = shard->lanes[i].partition,
                                           .new_lineage = draw(shard),
                                           .watermark_us = INT64_MIN};
        shard->lanes[i].state_epoch = 0;
    }
    for (uint32_t i = 0; i < shard->input_count; i++) {
        mr_input *input = &shard->inputs[i];
        mr_task_point *point = &shard->points[input->lane->index];
        point->allowed |= allowed(shard, &offsets[i]);
        const mr_status status = judge_input(shard, input, &offsets[i], point);
        if (status != MR_OK) {
            return status;
        }
    }
    for (uint32_t i = 0; i < shard->lane_count; i++) {
        if (shard->points[i].epoch == 0) {
            shard->points[i].lineage = shard->points[i].new_lineage;
        }
    }
    return MR_OK;
}

mr_status mr_offsets_settle(mr_shard *shard, const mr_offset *offsets)
{
    for (uint32_t i = 0; i < shard->input_count; i++) {
        const mr_status status = take_answer(shard, &shard->inputs[i], &offsets[i]);
        if (status != MR_OK) {
            return status;
        }
    }
    return MR_OK;
}

mr_status mr_offsets_name_refusal(mr_shard *shard, mr_status status)
{
    for (uint32_t i = 0; i < shard->input_count; i++) {
        const mr_input *input = &shard->inputs[i];
        const mr_task_point *point = &shard->points[input->lane->index];
        if (!mr_verdict_is_refusal((mr_verdict)point->verdict)) {
            continue;
        }
        const mr_source_common *common = input->source->node->common;
        const char *topic = shard->plan->topics[common->topic].name;
        char place[PLACE_BYTES];
        if (point->epoch == 0) {
            snprintf(place, sizeof(place), "%s-%u", topic, input->lane->partition);
        } else {
            snprintf(place, sizeof(place), "%s-%u@%" PRId64, topic, input->lane->partition,
                     input->committed);
        }
        return put_place(&shard->diag, status, place);
    }
    return status;
}

/* "NAME: story" becomes "NAME: place: story". */
static mr_status put_place(mr_diag *diag, mr_status status, const char *place)
{
    const mr_diag told = *diag;
    const char *story = strstr(told.text, ": ");

    if (story == NULL) {
        return mr_diag_frame(diag, status, "%s", place);
    }
    return mr_diag_set(diag, status, told.code, "%.*s: %s%s", (int)(story - told.text), told.text,
                       place, story);
}

/* ---- One input ---- */

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
    const bool is_adopted = (point->allowed & (MR_ALLOW_KEEP | MR_ALLOW_RESET)) != 0;
    if (result == MR_RECORD_FOREIGN && !is_adopted) {
        return refuse(shard, offset, "E_OFFSETS_FOREIGN",
                      "its committed offset was not written by millrace (set by hand, or by "
                      "another tool)",
                      -1,
                      "restore the offset this application committed, or go on from this one: "
                      "--adopt-offsets=keep-state (effects may repeat or be missing) or "
                      "--adopt-offsets=reset-state (with empty state)");
    }
    const mr_status status = judge_place(shard, offset);
    if (status != MR_OK || result == MR_RECORD_FOREIGN) {
        return status;
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

/* Whether the log still holds what is to be read next. */
static mr_status judge_place(mr_shard *shard, const mr_offset *offset)
{
    int64_t to = 0;
    if (may_reset(shard, offset, &to)) {
        return MR_OK;
    }
    if (offset->offset < offset->log_start) {
        return refuse(shard, offset, "E_OFFSET_LOST",
                      "retention has removed records that were not read yet; the log starts at",
                      offset->log_start,
                      "they are lost: go on with --reset-offsets=earliest or =latest");
    }
    if (offset->offset > offset->log_end) {
        return refuse(shard, offset, "E_OFFSET_BEYOND_END",
                      "the committed offset is beyond the end of the log, which was truncated or "
                      "recreated; it ends at",
                      offset->log_end,
                      "restore the topic, or go on with --reset-offsets=earliest or =latest (for "
                      "a new topic with --adopt-offsets=reset-state too)");
    }
    return MR_OK;
}

/* ---- Answers ---- */

/* Behind the roll: the positions that an answer chose. */
static mr_status take_answer(mr_shard *shard, mr_input *input, const mr_offset *offset)
{
    const mr_task_point *point = &shard->points[input->lane->index];
    const mr_input_offset stored = mr_input_offset_of(input, 0, 0);
    int64_t to = input->applied;

    if (may_reset(shard, offset, &to)) {
        log_answer(shard, offset, "reset-offsets", to);
    } else if (point->verdict == MR_VERDICT_KEPT && offset->offset < 0 &&
               mr_state_kept_offset(shard->state, &stored, &to)) {
        const mr_status status = test_kept(shard, offset, to);
        if (status != MR_OK) {
            return status;
        }
        log_answer(shard, offset, "keep-state", to);
    } else if (point->verdict == MR_VERDICT_KEPT) {
        log_answer(shard, offset, "keep-state", to);
    } else if (point->verdict == MR_VERDICT_RESET) {
        log_answer(shard, offset, "reset-state", to);
    } else if (point->verdict == MR_VERDICT_FOLLOWED) {
        log_answer(shard, offset, "accept-regression", to);
    } else if (offset->offset >= 0 && point->epoch == 0) { /* Not ours, and no state to judge. */
        log_answer(shard, offset, "adopt-offsets", to);
    }
    input->applied = input->committed = to;
    return MR_OK;
}

/* The offset stored with the state must still be in the log. */
static mr_status test_kept(mr_shard *shard, const mr_offset *offset, int64_t kept)
{
    mr_offset stored = *offset;
    if (kept >= offset->log_start && kept <= offset->log_end) {
        return MR_OK;
    }
    stored.offset = kept;
    return refuse(shard, &stored,
                  kept < offset->log_start ? "E_OFFSET_LOST" : "E_OFFSET_BEYOND_END",
                  kept < offset->log_start
                      ? "the offset stored with the state was removed by retention; the log starts "
                        "at"
                      : "the offset stored with the state is beyond the end of the log; it ends at",
                  kept < offset->log_start ? offset->log_start : offset->log_end,
                  "restore the topic, or begin anew with --adopt-offsets=reset-state");
}

/* Whether the committed offset has no place in the log, and the start was told where to go on. */
static bool may_reset(const mr_shard *shard, const mr_offset *offset, int64_t *to)
{
    const mr_answers *answers = shard->answers;
    const char *topic = shard->plan->topics[offset->topic].name;

    if (offset->offset < 0 || answers == NULL || answers->reset_offsets == 0 ||
        (offset->offset >= offset->log_start && offset->offset <= offset->log_end) ||
        !mr_answer_covers(answers->reset_scope, topic, offset->partition)) {
        return false;
    }
    *to = answers->reset_offsets == MR_START_EARLIEST ? offset->log_start : offset->log_end;
    return true;
}

static uint32_t allowed(const mr_shard *shard, const mr_offset *offset)
{
    return shard->answers == NULL
               ? 0
               : mr_answers_allow(shard->answers, shard->plan->topics[offset->topic].name,
                                  offset->partition);
}

static void log_answer(mr_shard *shard, const mr_offset *offset, const char *answer, int64_t to)
{
    const mr_log_field fields[] = {
        {.name = "shard", .number = shard->options.index},
        {.name = "answer", .text = answer},
        {.name = "topic", .text = shard->plan->topics[offset->topic].name},
        {.name = "partition", .number = offset->partition},
        {.name = "committed", .number = offset->offset},
        {.name = "next", .number = to}};
    mr_log_event(shard->env.log, MR_LOG_WARN, "recovery", "an answer was used", fields,
                 MR_LENGTH(fields));
}

/* ---- Helpers ---- */

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

/* Never 0, which means "none" in a record. */
static uint64_t draw(mr_shard *shard)
{
    uint64_t value = 0;
    while (value == 0) {
        value = shard->env.random.type->next(shard->env.random.self);
    }
    return value;
}
