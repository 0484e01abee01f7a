/*
 * reject.c - where rejected rows go: counted, and stopped at, dropped, handed to the step's error
 * output, or written to a dead-letter topic in the transaction of their input (dead_letter.c).
 * Thread: the shard's.
 */
#include "engine/runtime/runtime_private.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void place_of_epoch(const mr_shard *shard, char text[MR_PLACE_BYTES_MAX]);
static void stop(mr_task *task, const mr_fetch *fetch, const mr_fetch_record *record,
                 mr_reject_reason why);
static bool is_too_many(mr_task *task, uint32_t dlq, const mr_fetch *fetch,
                        const mr_fetch_record *record, mr_reject_reason why);
static mr_view text_view(const char *text);

void mr_task_reject(mr_task *task, const mr_batch *in, uint32_t row, mr_row_error error)
{
    mr_task_reject_column(task, in, row, error, NULL);
}

void mr_task_reject_column(mr_task *task, const mr_batch *in, uint32_t row, mr_row_error error,
                           const char *column)
{
    const mr_reject_reason why = {.error = error, .column = column};
    mr_shard *shard = task->shard;
    const mr_fetch *fetch = mr_batch_fetch(in);
    const mr_fetch_record *record = NULL;
    uint32_t record_index = 0;

    MR_ASSERT(error != MR_ROW_OK && error < MR_ROW_ERROR_COUNT && row < MR_BATCH_ROWS_MAX);
    if (in->change != NULL && in->change[row] == MR_CHANGE_OLD) {
        return; /* The row was sent once; that it cannot be sent again means a delete downstream. */
    }
    if (fetch != NULL && in->record != NULL) {
        record_index = in->record[row];
        MR_ASSERT(record_index < fetch->record_count);
        record = &fetch->records[record_index];
    }
    mr_counter_add(&shard->counters.rejected, 1);
    mr_epoch_touch(shard, task->lane);
    switch (task->node->on_error.kind) {
    case MR_ROUTE_DROP:
        mr_counter_add(&shard->counters.dropped, 1);
        return;
    case MR_ROUTE_STOP:
        stop(task, fetch, record, why);
        return;
    case MR_ROUTE_DLQ:
        if (is_too_many(task, task->node->on_error.dlq, fetch, record, why)) {
            return;
        }
        if (record != NULL) {
            mr_letter_of_record(task, task->node->on_error.dlq, fetch, record_index, why, 1);
        } else {
            mr_letter_of_row(task, task->node->on_error.dlq, in, row, why);
        }
        return;
    case MR_ROUTE_OUTPUT:
        mr_error_output_note(shard->error_outputs[task->node->index], in, row, error);
        return;
    }
}

void mr_reject_poison(mr_task *source, const mr_fetch *fetch, uint32_t attempts)
{
    mr_shard *shard = source->shard;
    const uint32_t dlq = shard->plan->poison.dlq;
    const mr_fetch_record *record = &fetch->records[0];
    const mr_reject_reason why = {.error = MR_ROW_POISON};

    MR_ASSERT(shard->plan->poison.has_dlq && fetch->record_count == 1);
    const mr_log_field fields[] = {
        {.name = "topic", .text = shard->plan->topics[fetch->topic].name},
        {.name = "partition", .number = fetch->partition},
        {.name = "offset", .number = record->offset},
        {.name = "attempts", .number = attempts},
        {.name = "dlq", .text = shard->plan->dlqs[dlq].name}};
    mr_log_event(shard->env.log, MR_LOG_ERROR, "poison", "a record goes to the dlq as poison",
                 fields, MR_LENGTH(fields));
    mr_counter_add(&shard->counters.rejected, 1);
    if (is_too_many(source, dlq, fetch, record, why)) {
        return;
    }
    mr_letter_of_record(source, dlq, fetch, 0, why, attempts);
}

const char *mr_reject_place(const mr_shard *shard, char text[MR_PLACE_BYTES_MAX])
{
    text[0] = '\0';
    for (uint32_t i = 0; i < shard->lane_count; i++) {
        const mr_batch *batch = shard->lanes[i].source_batch;
        const mr_fetch *fetch = batch != NULL ? mr_batch_fetch(batch) : NULL;
        if (fetch == NULL || batch->record == NULL || batch->selected_count == 0) {
            continue;
        }
        const uint32_t record = batch->record[mr_batch_row(batch, 0)];
        MR_ASSERT(record < fetch->record_count);
        (void)snprintf(text, MR_PLACE_BYTES_MAX, "%s-%" PRId32 "@%" PRId64 ": ",
                       shard->plan->topics[fetch->topic].name, fetch->partition,
                       fetch->records[record].offset);
        return text;
    }
    if (shard->epoch.records_in == 1 && shard->epoch.phase == MR_EPOCH_FLUSH) {
        place_of_epoch(shard, text);
    }
    return text;
}

void mr_reject_recovered(mr_shard *shard)
{
    for (uint32_t i = 0; i < shard->plan->dlq_count; i++) {
        mr_dlq_limit_recovered(&shard->dlq_limits[i], shard->recovered_epoch);
    }
}

uint32_t mr_task_test_headers(mr_task *task, const mr_batch *in, uint32_t row, mr_view *pairs)
{
    mr_shard *shard = task->shard;
    const mr_fetch *fetch = mr_batch_fetch(in);
    uint32_t count = 0;

    if (!shard->options.test_headers) {
        return 0;
    }
    if (fetch != NULL && in->record != NULL) {
        const mr_fetch_record *record = &fetch->records[in->record[row]];
        snprintf(shard->test_source, sizeof(shard->test_source), "%s:%" PRId32 ":%" PRId64,
                 shard->plan->topics[fetch->topic].name, fetch->partition, record->offset);
        pairs[(size_t)2 * count] = text_view("mr-src");
        pairs[(size_t)2 * count + 1] = text_view(shard->test_source);
        count++;
    }
    snprintf(shard->test_incarnation, sizeof(shard->test_incarnation), "%016" PRIx64 ":%" PRIu64,
             shard->incarnation, mr_state_epoch(shard->state));
    pairs[(size_t)2 * count] = text_view("mr-inc");
    pairs[(size_t)2 * count + 1] = text_view(shard->test_incarnation);
    return count + 1;
}

/* ---- Helpers ---- */

/* The one record of the open epoch is in front of the input that has moved in it. */
static void place_of_epoch(const mr_shard *shard, char text[MR_PLACE_BYTES_MAX])
{
    for (uint32_t i = 0; i < shard->input_count; i++) {
        const mr_input *input = &shard->inputs[i];
        const mr_source_common *common = input->source->node->common;
        if (input->applied > input->committed) {
            (void)snprintf(text, MR_PLACE_BYTES_MAX, "%s-%" PRIu32 "@%" PRId64 ": ",
                           shard->plan->topics[common->topic].name, input->lane->partition,
                           input->applied - 1);
        }
    }
}

static void stop(mr_task *task, const mr_fetch *fetch, const mr_fetch_record *record,
                 mr_reject_reason why)
{
    mr_shard *shard = task->shard;
    char text[MR_REASON_BYTES_MAX];
    if (shard->diag.status != MR_OK) {
        return; /* The first one tells the story. */
    }
    const char *remedy = "give the item an on_error route (dlq, drop or, on a step, output), or "
                         "mend the record";
    if (record != NULL) {
        mr_told(mr_diag_set(&shard->diag, MR_ERR_ROW, 0,
                            "E_ROW_REJECTED: %s-%d@%" PRId64
                            ": %s rejected the record: %s (%s); %s",
                            shard->plan->topics[fetch->topic].name, fetch->partition,
                            record->offset, task->node->name, mr_reject_reason_text(why, text),
                            mr_row_error_name(why.error), remedy));
        return;
    }
    mr_told(mr_diag_set(&shard->diag, MR_ERR_ROW, 0,
                        "E_ROW_REJECTED: partition %u: %s rejected a row: %s (%s); %s",
                        task->lane->partition, task->node->name, mr_reject_reason_text(why, text),
                        mr_row_error_name(why.error), remedy));
}

/* `stop_above` of the dlq: true = the shard stops, and nothing of the epoch is committed. */
static bool is_too_many(mr_task *task, uint32_t index, const mr_fetch *fetch,
                        const mr_fetch_record *record, mr_reject_reason why)
{
    mr_shard *shard = task->shard;
    const mr_plan_dlq *dlq = &shard->plan->dlqs[index];
    char place[MR_PLACE_BYTES_MAX] = "", text[MR_REASON_BYTES_MAX];

    if (dlq->stop_records == 0) {
        return false;
    }
    if (!mr_dlq_limit_note(&shard->dlq_limits[index], mr_state_epoch(shard->state),
                           shard->now_us)) {
        return false;
    }
    if (shard->diag.status != MR_OK) {
        return true;
    }
    if (record != NULL) {
        (void)snprintf(place, sizeof(place), " at %s-%d@%" PRId64,
                       shard->plan->topics[fetch->topic].name, fetch->partition, record->offset);
    }
    mr_told(mr_diag_set(&shard->diag, MR_ERR_ROW, 0,
                        "E_DLQ_LIMIT: dlq %s: more than %" PRIu64 " dead letters within %" PRId64
                        " s; the last one%s: %s rejected it: %s (%s); look at topic %s, mend the "
                        "cause, or raise `stop_above`",
                        dlq->name, dlq->stop_records, dlq->stop_per_us / 1000000, place,
                        task->node->name, mr_reject_reason_text(why, text),
                        mr_row_error_name(why.error), shard->plan->topics[dlq->topic].name));
    return true;
}

static mr_view text_view(const char *text)
{
    return (mr_view){.bytes = (const uint8_t *)text, .size_bytes = (uint32_t)strlen(text)};
}
