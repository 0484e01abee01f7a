/*
 * reject.c - where rejected rows go: counted, and stopped at, dropped, handed to the step's error
 * output, or written to a dead-letter topic in the transaction of their input.
 *
 * A dead letter of a row that stems from one source record carries that record's key, value and
 * headers byte for byte, so that a replay is a copy; else its value is the row as JSON. The
 * provenance headers (millrace.error.*) are listed in docs/topology.md. Thread: the shard's.
 */
#include "engine/runtime/runtime_private.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    HEADERS_MAX = 64, /* Of the source record that are carried over. */
    PROVENANCE_COUNT = 10,
    NUMBER_TEXT_MAX = 24,
    RECORD_OVERHEAD_BYTES = 512,
    REASON_BYTES_MAX = 256
};

typedef struct dead_letter { /* What a record is made of before it has a place. */
    mr_view key, value;
    mr_view pairs[2 * (HEADERS_MAX + PROVENANCE_COUNT)];
    uint32_t pair_count;
    int64_t timestamp_ms;
    char numbers[4][NUMBER_TEXT_MAX];
    char omitted[96];
    char reason[REASON_BYTES_MAX];
} dead_letter;

typedef struct reason { /* Why a row is rejected, and which column or record is to blame. */
    mr_row_error error;
    const char *column; /* NULL = none alone. */
} reason;

static void stop(mr_task *task, const mr_fetch *fetch, const mr_fetch_record *record, reason why);
static const char *reason_text(reason why, char text[REASON_BYTES_MAX]);
static bool is_too_many(mr_task *task, uint32_t dlq, const mr_fetch *fetch,
                        const mr_fetch_record *record, reason why);
static void letter_of_record(dead_letter *letter, const mr_fetch *fetch, uint32_t record);
static void letter_of_row(mr_task *task, dead_letter *letter, const mr_batch *in, uint32_t row);
static void write_dead_letter(mr_task *task, uint32_t dlq, dead_letter *letter);
static void add_header(dead_letter *letter, const char *name, const char *value);
static void add_provenance(mr_task *task, dead_letter *letter, const mr_fetch *fetch,
                           const mr_fetch_record *record, reason why, uint32_t attempts);
static void add_number(dead_letter *letter, const char *name, uint32_t slot, int64_t number);
static uint32_t letter_bytes(const dead_letter *letter);
static void place(mr_chunk *chunk, const dead_letter *letter, uint32_t topic, int32_t partition);
static mr_view copy(mr_chunk *chunk, mr_view view);
static mr_view text_view(const char *text);

void mr_task_reject(mr_task *task, const mr_batch *in, uint32_t row, mr_row_error error)
{
    mr_task_reject_column(task, in, row, error, NULL);
}

void mr_task_reject_column(mr_task *task, const mr_batch *in, uint32_t row, mr_row_error error,
                           const char *column)
{
    const reason why = {.error = error, .column = column};
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
        dead_letter letter = {.pair_count = 0};
        if (record != NULL) {
            letter_of_record(&letter, fetch, record_index);
        } else {
            letter_of_row(task, &letter, in, row);
        }
        add_provenance(task, &letter, fetch, record, why, 1);
        write_dead_letter(task, task->node->on_error.dlq, &letter);
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
    const reason why = {.error = MR_ROW_POISON};
    dead_letter letter = {.pair_count = 0};

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
    letter_of_record(&letter, fetch, 0);
    add_provenance(source, &letter, fetch, record, why, attempts);
    write_dead_letter(source, dlq, &letter);
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

/* `a field that is not null is missing or null: customer.id`, in `text` or as it stands. */
static const char *reason_text(reason why, char text[REASON_BYTES_MAX])
{
    if (why.column == NULL) {
        return mr_row_error_text(why.error);
    }
    (void)snprintf(text, REASON_BYTES_MAX, "%s: %s", mr_row_error_text(why.error), why.column);
    return text;
}

static void stop(mr_task *task, const mr_fetch *fetch, const mr_fetch_record *record, reason why)
{
    mr_shard *shard = task->shard;
    char text[REASON_BYTES_MAX];
    if (shard->diag.status != MR_OK) {
        return; /* The first one tells the story. */
    }
    const char *remedy = "give the item an on_error route (dlq, drop or, on a step, output), or "
                         "mend the record";
    if (record != NULL) {
        mr_told(mr_diag_set(
            &shard->diag, MR_ERR_ROW, 0,
            "E_ROW_REJECTED: %s-%d@%" PRId64 ": %s rejected the record: %s (%s); %s",
            shard->plan->topics[fetch->topic].name, fetch->partition, record->offset,
            task->node->name, reason_text(why, text), mr_row_error_name(why.error), remedy));
        return;
    }
    mr_told(mr_diag_set(&shard->diag, MR_ERR_ROW, 0,
                        "E_ROW_REJECTED: partition %u: %s rejected a row: %s (%s); %s",
                        task->lane->partition, task->node->name, reason_text(why, text),
                        mr_row_error_name(why.error), remedy));
}

/* `stop_above` of the dlq: true = the shard stops, and nothing of the epoch is committed. */
static bool is_too_many(mr_task *task, uint32_t index, const mr_fetch *fetch,
                        const mr_fetch_record *record, reason why)
{
    mr_shard *shard = task->shard;
    const mr_plan_dlq *dlq = &shard->plan->dlqs[index];
    char place[MR_PLACE_BYTES_MAX] = "", text[REASON_BYTES_MAX];

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
                        task->node->name, reason_text(why, text), mr_row_error_name(why.error),
                        shard->plan->topics[dlq->topic].name));
    return true;
}

static void letter_of_record(dead_letter *letter, const mr_fetch *fetch, uint32_t record)
{
    letter->key = fetch->records[record].key;
    letter->value = fetch->records[record].value;
    letter->timestamp_ms = fetch->records[record].timestamp_ms;
    letter->pair_count = fetch->headers(fetch, record, letter->pairs, 2 * HEADERS_MAX);
}

static void letter_of_row(mr_task *task, dead_letter *letter, const mr_batch *in, uint32_t row)
{
    mr_shard *shard = task->shard;
    const uint32_t size = shard->options.row_json(in, row, shard->row_text, MR_ROW_TEXT_BYTES);

    letter->value = (mr_view){.bytes = shard->row_text, .size_bytes = size};
    letter->timestamp_ms =
        (in->event_time_us != NULL ? in->event_time_us[row] : shard->wall_us) / 1000;
}

static void write_dead_letter(mr_task *task, uint32_t index, dead_letter *letter)
{
    mr_shard *shard = task->shard;
    const mr_plan_dlq *dlq = &shard->plan->dlqs[index];
    const uint32_t record_max = mr_task_topic_record_max(task, dlq->topic);

    if (letter_bytes(letter) + RECORD_OVERHEAD_BYTES > record_max) {
        /* It can stand in no topic with this limit: its size and where it lies take its place. */
        snprintf(letter->omitted, sizeof(letter->omitted),
                 "{\"omitted\":\"record too large for the topic\",\"size_bytes\":%u}",
                 letter->value.size_bytes);
        letter->value = text_view(letter->omitted);
        if (letter_bytes(letter) + RECORD_OVERHEAD_BYTES > record_max) {
            letter->key = (mr_view){0};
        }
    }
    mr_chunk *chunk = mr_task_output(task, letter_bytes(letter));
    if (chunk == NULL) {
        mr_failed(
            mr_task_fail(task, MR_ERR_OVERFLOW, "the output arena has no room for a dead letter"));
        return;
    }
    const uint32_t partitions = mr_task_topic_partitions(task, dlq->topic);
    MR_ASSERT(partitions > 0);
    place(chunk, letter, dlq->topic, (int32_t)(task->lane->partition % partitions));
    mr_counter_add(&shard->counters.dead_letters, 1);
}

static void add_provenance(mr_task *task, dead_letter *letter, const mr_fetch *fetch,
                           const mr_fetch_record *record, reason why, uint32_t attempts)
{
    add_header(letter, "millrace.error.code", mr_row_error_name(why.error));
    add_header(letter, "millrace.error.message", reason_text(why, letter->reason));
    add_header(letter, "millrace.error.app", task->shard->plan->app);
    add_header(letter, "millrace.error.step", task->node->name);
    if (record != NULL) {
        add_header(letter, "millrace.error.topic", task->shard->plan->topics[fetch->topic].name);
        add_number(letter, "millrace.error.partition", 0, fetch->partition);
        add_number(letter, "millrace.error.offset", 1, record->offset);
        add_number(letter, "millrace.error.timestamp", 2, record->timestamp_ms);
        add_header(letter, "millrace.error.payload", "source");
    } else {
        add_number(letter, "millrace.error.partition", 0, task->lane->partition);
        add_header(letter, "millrace.error.payload", "row");
    }
    add_number(letter, "millrace.error.attempt", 3, attempts);
}

static void add_header(dead_letter *letter, const char *name, const char *value)
{
    MR_ASSERT(letter->pair_count + 2 <= MR_LENGTH(letter->pairs));
    letter->pairs[letter->pair_count++] = text_view(name);
    letter->pairs[letter->pair_count++] = text_view(value);
}

static void add_number(dead_letter *letter, const char *name, uint32_t slot, int64_t number)
{
    MR_ASSERT(slot < MR_LENGTH(letter->numbers));
    snprintf(letter->numbers[slot], NUMBER_TEXT_MAX, "%" PRId64, number);
    add_header(letter, name, letter->numbers[slot]);
}

static uint32_t letter_bytes(const dead_letter *letter)
{
    uint64_t bytes = letter->key.size_bytes + (uint64_t)letter->value.size_bytes +
                     letter->pair_count * sizeof(mr_view) + sizeof(mr_view);
    for (uint32_t i = 0; i < letter->pair_count; i++) {
        bytes += letter->pairs[i].size_bytes;
    }
    MR_ASSERT(bytes < UINT32_MAX);
    return (uint32_t)bytes;
}

/* Header views come first, as the chunk's room is aligned for them. */
static void place(mr_chunk *chunk, const dead_letter *letter, uint32_t topic, int32_t partition)
{
    mr_record *record = &chunk->records[chunk->record_count++];
    mr_view *headers = (mr_view *)(void *)chunk->room;
    chunk->room += letter->pair_count * sizeof(mr_view);
    for (uint32_t i = 0; i < letter->pair_count; i++) {
        headers[i] = copy(chunk, letter->pairs[i]);
    }
    *record = (mr_record){.topic = topic,
                          .partition = partition,
                          .timestamp_ms = letter->timestamp_ms > 0 ? letter->timestamp_ms : 0,
                          .headers = headers,
                          .header_count = letter->pair_count / 2};
    record->key = copy(chunk, letter->key);
    record->value = copy(chunk, letter->value);
    MR_ASSERT(chunk->room <= chunk->room_end);
}

/* NULL stays NULL: a null key or value of the source record is kept as such. */
static mr_view copy(mr_chunk *chunk, mr_view view)
{
    if (view.bytes == NULL) {
        return view;
    }
    const mr_view out = {.bytes = chunk->room, .size_bytes = view.size_bytes};
    memcpy(chunk->room, view.bytes, view.size_bytes);
    chunk->room += view.size_bytes;
    return out;
}

static mr_view text_view(const char *text)
{
    return (mr_view){.bytes = (const uint8_t *)text, .size_bytes = (uint32_t)strlen(text)};
}
