/*
 * dead_letter.c - what a dead letter is made of.
 *
 * That of a row which stems from one source record carries the record's key, value and headers byte
 * for byte, so that a replay is a copy; else its value is the row as JSON. Where it came from and
 * why is in headers of its own, which docs/topology.md lists: they take the place of those that a
 * replayed record has, and only the attempts are counted on.
 */
#include "engine/base/sha256.h"
#include "engine/runtime/runtime_private.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    HEADERS_MAX = 64, /* Of the source record that are carried over. */
    PROVENANCE_COUNT = 11,
    NUMBER_TEXT_MAX = 24,
    RECORD_OVERHEAD_BYTES = 512,
    VARINT_BYTES_MAX = 5, /* A length in front of a name or value. */
    ATTEMPTS_MAX = 1000000000
};

static const char PREFIX[] = "millrace.error.";
static const char KEPT[] = "millrace.error.headers_kept";
static const char ATTEMPT[] = "millrace.error.attempt";

typedef struct dead_letter { /* What a record is made of before it has a place. */
    mr_view key, value;
    mr_view pairs[2 * (HEADERS_MAX + PROVENANCE_COUNT)];
    uint32_t pair_count, source_pairs; /* Views: all, and the source's, which come first. */
    bool is_cut;                       /* The source has more headers. */
    int64_t timestamp_ms;
    char numbers[5][NUMBER_TEXT_MAX];
    char omitted[128 + MR_SHA256_TEXT_BYTES];
    char reason[MR_REASON_BYTES_MAX];
} dead_letter;

static uint32_t take_headers(dead_letter *letter, const mr_fetch *fetch, uint32_t record);
static bool is_named(mr_view name, const char *text, size_t bytes);
static uint32_t parse_attempts(mr_view value);
static void write_letter(mr_task *task, uint32_t dlq, dead_letter *letter);
static bool fits(const dead_letter *letter, uint32_t record_bytes_max);
static void omit_value(dead_letter *letter);
static void omit_headers(dead_letter *letter);
static void add_reason(mr_task *task, dead_letter *letter, mr_reject_reason why);
static void add_header(dead_letter *letter, const char *name, const char *value);
static void add_number(dead_letter *letter, const char *name, uint32_t slot, int64_t number);
static uint32_t letter_bytes(const dead_letter *letter);
static void place(mr_chunk *chunk, const dead_letter *letter, uint32_t topic, int32_t partition);
static mr_view copy(mr_chunk *chunk, mr_view view);
static mr_view text_view(const char *text);

const char *mr_reject_reason_text(mr_reject_reason why, char text[MR_REASON_BYTES_MAX])
{
    if (why.column == NULL) {
        return mr_row_error_text(why.error);
    }
    (void)snprintf(text, MR_REASON_BYTES_MAX, "%s: %s", mr_row_error_text(why.error), why.column);
    return text;
}

void mr_letter_of_record(mr_task *task, uint32_t dlq, const mr_fetch *fetch, uint32_t index,
                         mr_reject_reason why, uint32_t attempts)
{
    const mr_fetch_record *record = &fetch->records[index];
    dead_letter letter = {
        .key = record->key, .value = record->value, .timestamp_ms = record->timestamp_ms};
    const uint32_t before = take_headers(&letter, fetch, index);

    add_reason(task, &letter, why);
    add_header(&letter, "millrace.error.topic", task->shard->plan->topics[fetch->topic].name);
    add_number(&letter, "millrace.error.partition", 0, fetch->partition);
    add_number(&letter, "millrace.error.offset", 1, record->offset);
    add_number(&letter, "millrace.error.timestamp", 2, record->timestamp_ms);
    add_header(&letter, "millrace.error.payload", "source");
    add_number(&letter, ATTEMPT, 3, (int64_t)before + attempts);
    write_letter(task, dlq, &letter);
}

void mr_letter_of_row(mr_task *task, uint32_t dlq, const mr_batch *in, uint32_t row,
                      mr_reject_reason why)
{
    mr_shard *shard = task->shard;
    const uint32_t size = shard->options.row_json(in, row, shard->row_text, MR_ROW_TEXT_BYTES);
    const int64_t time_us = in->event_time_us != NULL ? in->event_time_us[row] : shard->wall_us;
    dead_letter letter = {.value = {.bytes = shard->row_text, .size_bytes = size},
                          .timestamp_ms = time_us / 1000};

    if (size == 0) {
        letter.value =
            text_view("{\"omitted\":\"row larger than 1 MiB as JSON\"}"); /* MR_ROW_TEXT_BYTES */
    }
    add_reason(task, &letter, why);
    add_number(&letter, "millrace.error.partition", 0, task->lane->partition);
    add_header(&letter, "millrace.error.payload", "row");
    add_number(&letter, ATTEMPT, 3, 1);
    write_letter(task, dlq, &letter);
}

/* ---- Helpers ---- */

/* The record's headers but those of a former dead letter, whose attempts are returned. */
static uint32_t take_headers(dead_letter *letter, const mr_fetch *fetch, uint32_t record)
{
    mr_view pairs[2 * (HEADERS_MAX + 1)];
    const uint32_t count = fetch->headers(fetch, record, pairs, MR_LENGTH(pairs));
    uint32_t attempts = 0;

    for (uint32_t i = 0; i < count && i < 2 * HEADERS_MAX; i += 2) {
        if (!is_named(pairs[i], PREFIX, sizeof(PREFIX) - 1)) {
            letter->pairs[letter->pair_count++] = pairs[i];
            letter->pairs[letter->pair_count++] = pairs[i + 1];
        } else if (pairs[i].size_bytes == sizeof(ATTEMPT) - 1 &&
                   is_named(pairs[i], ATTEMPT, sizeof(ATTEMPT) - 1)) {
            attempts = parse_attempts(pairs[i + 1]);
        }
    }
    letter->source_pairs = letter->pair_count;
    letter->is_cut = count > 2 * HEADERS_MAX;
    if (letter->is_cut) {
        add_number(letter, KEPT, 4, letter->source_pairs / 2);
    }
    return attempts;
}

static bool is_named(mr_view name, const char *text, size_t bytes)
{
    return name.size_bytes >= bytes && memcmp(name.bytes, text, bytes) == 0;
}

/* 0 = no number: then somebody else wrote it. */
static uint32_t parse_attempts(mr_view value)
{
    uint64_t number = 0;

    for (uint32_t i = 0; i < value.size_bytes; i++) {
        const uint8_t digit = (uint8_t)(value.bytes[i] - '0');
        if (digit > 9) {
            return 0;
        }
        number = number * 10 + digit;
        if (number > ATTEMPTS_MAX) {
            return ATTEMPTS_MAX;
        }
    }
    return (uint32_t)number;
}

static void write_letter(mr_task *task, uint32_t index, dead_letter *letter)
{
    mr_shard *shard = task->shard;
    const mr_plan_dlq *dlq = &shard->plan->dlqs[index];
    const uint32_t record_max = mr_task_topic_record_max(task, dlq->topic);

    if (!fits(letter, record_max)) {
        omit_value(letter);
    }
    if (!fits(letter, record_max)) {
        letter->key = (mr_view){0};
    }
    if (!fits(letter, record_max)) {
        omit_headers(letter);
    }
    const uint32_t views_bytes = (letter->pair_count + 1) * (uint32_t)sizeof(mr_view);
    mr_chunk *chunk = mr_task_output(task, letter_bytes(letter) + views_bytes);
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

static bool fits(const dead_letter *letter, uint32_t record_bytes_max)
{
    return letter_bytes(letter) + RECORD_OVERHEAD_BYTES <= record_bytes_max;
}

/* It can stand in no topic with this limit: its size and digest, and where it lies, do. */
static void omit_value(dead_letter *letter)
{
    char digest[MR_SHA256_TEXT_BYTES];

    mr_sha256_text(letter->value.bytes, letter->value.size_bytes, digest);
    (void)snprintf(letter->omitted, sizeof(letter->omitted),
                   "{\"omitted\":\"record too large for the topic\",\"size_bytes\":%u,"
                   "\"sha256\":\"%s\"}",
                   letter->value.size_bytes, digest);
    letter->value = text_view(letter->omitted);
}

/* Those of the source, which come first. */
static void omit_headers(dead_letter *letter)
{
    letter->pair_count -= letter->source_pairs;
    memmove(letter->pairs, letter->pairs + letter->source_pairs,
            letter->pair_count * sizeof(letter->pairs[0]));
    if (!letter->is_cut) {
        add_number(letter, KEPT, 4, 0);
    } else {
        (void)snprintf(letter->numbers[4], NUMBER_TEXT_MAX, "0");
    }
    letter->source_pairs = 0;
}

static void add_reason(mr_task *task, dead_letter *letter, mr_reject_reason why)
{
    add_header(letter, "millrace.error.code", mr_row_error_name(why.error));
    add_header(letter, "millrace.error.message", mr_reject_reason_text(why, letter->reason));
    add_header(letter, "millrace.error.app", task->shard->plan->app);
    add_header(letter, "millrace.error.step", task->node->name);
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

/* Of the record as it is sent, at most. */
static uint32_t letter_bytes(const dead_letter *letter)
{
    uint64_t bytes = letter->key.size_bytes + (uint64_t)letter->value.size_bytes;

    for (uint32_t i = 0; i < letter->pair_count; i++) {
        bytes += letter->pairs[i].size_bytes + VARINT_BYTES_MAX;
    }
    MR_ASSERT(bytes < UINT32_MAX - sizeof(letter->pairs));
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
