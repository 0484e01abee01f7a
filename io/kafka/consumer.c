/*
 * consumer.c - fetches: what one look at a partition's own queue brings, without waiting. A queue
 * that has not filled since the last look is not asked.
 *
 * Payloads stay where librdkafka put them until the fetch goes home. Errors and the end of the log
 * come as messages on the same queue, in order. After an error of the kind that means recovery
 * nothing more is taken from the partition: what follows might lie behind a gap.
 *
 * Each input has one fetch of its own, made when the client is opened. With very many inputs a
 * fetch is smaller than a batch. Thread: the shard's.
 */
#include "io/kafka/kafka_private.h"
#include <string.h>

enum {
    ROWS_MIN = 64,
    SLACK_SHARE = 20 /* A twentieth of the shard's part of memory.kafka for fetches. */
};

static uint32_t fetch_headers(const mr_fetch *fetch, uint32_t record, mr_view *pairs,
                              uint32_t pairs_max);
static void take_message(mr_input_queue *input, rd_kafka_message_t *message);
static bool judge_error(mr_consumer *consumer, mr_input_queue *input,
                        const rd_kafka_message_t *message, bool was_ready, mr_verdict *verdict,
                        mr_diag *diag);

mr_status mr_consumer_open(mr_consumer *consumer, const mr_kafka_options *options,
                           mr_arrivals *arrivals, uint32_t input_max, mr_arena *arena,
                           mr_diag *diag)
{
    const uint64_t row_bytes = sizeof(mr_fetch_record) + sizeof(rd_kafka_message_t *);
    const uint64_t rows = options->memory_bytes / SLACK_SHARE / row_bytes / input_max;

    MR_ASSERT(input_max > 0 && input_max <= MR_SHARD_PARTITIONS_MAX);
    consumer->options = options;
    consumer->arrivals = arrivals;
    consumer->input_max = input_max;
    consumer->rows_max = rows > MR_BATCH_ROWS_MAX ? MR_BATCH_ROWS_MAX : (uint32_t)rows;
    if (consumer->rows_max < ROWS_MIN) {
        consumer->rows_max = ROWS_MIN;
    }
    consumer->inputs = mr_arena_take_array(arena, input_max, sizeof(mr_input_queue));
    for (uint32_t i = 0; consumer->inputs != NULL && i < input_max; i++) {
        mr_input_queue *input = &consumer->inputs[i];
        input->records = mr_arena_take_array(arena, consumer->rows_max, sizeof(mr_fetch_record));
        input->messages =
            mr_arena_take_array(arena, consumer->rows_max, sizeof(rd_kafka_message_t *));
        if (input->records == NULL || input->messages == NULL) {
            consumer->inputs = NULL;
        }
    }
    if (consumer->inputs == NULL) {
        return mr_diag_set(diag, MR_ERR_MEMORY, 0, "no memory for the fetches of %u partitions",
                           input_max);
    }
    return MR_OK;
}

void mr_consumer_reset(mr_consumer *consumer, const mr_offset *offsets, uint32_t count)
{
    MR_ASSERT(count <= consumer->input_max);
    for (uint32_t i = 0; i < consumer->input_max; i++) {
        mr_input_queue *input = &consumer->inputs[i];
        MR_ASSERT(!input->is_out);
        input->is_broken = false;
        if (i < count) {
            input->fetch = (mr_fetch){.input = i,
                                      .topic = offsets[i].topic,
                                      .partition = (int32_t)offsets[i].partition,
                                      .headers = fetch_headers,
                                      .owner = input};
        }
    }
}

mr_fetch *mr_consumer_take(mr_consumer *consumer, rd_kafka_queue_t *queue, uint32_t index,
                           bool was_ready, mr_verdict *verdict, mr_diag *diag)
{
    MR_ASSERT(index < consumer->input_max && queue != NULL);
    mr_input_queue *input = &consumer->inputs[index];
    MR_ASSERT(!input->is_out);
    if (input->is_broken || !mr_arrivals_take(consumer->arrivals, index)) {
        return NULL;
    }
    const ssize_t count =
        rd_kafka_consume_batch_queue(queue, 0, input->messages, consumer->rows_max);
    if (count <= 0) {
        return NULL;
    }
    if ((size_t)count == consumer->rows_max) {
        mr_arrivals_keep(consumer->arrivals, index);
    }
    mr_fetch *fetch = &input->fetch;
    fetch->records = input->records;
    fetch->record_count = 0;
    fetch->at_end = false;
    input->message_count = 0;
    for (ssize_t i = 0; i < count; i++) {
        rd_kafka_message_t *message = input->messages[i];
        if (__builtin_expect(!input->is_broken && message->err == RD_KAFKA_RESP_ERR_NO_ERROR, 1)) {
            take_message(input, message);
            continue;
        }
        if (!input->is_broken && message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
            fetch->at_end = true;
            fetch->end_offset = message->offset;
        } else if (!input->is_broken) {
            input->is_broken = judge_error(consumer, input, message, was_ready, verdict, diag);
        }
        rd_kafka_message_destroy(message);
    }
    if (fetch->record_count == 0 && !fetch->at_end) {
        return NULL;
    }
    input->is_out = true;
    return fetch;
}

void mr_consumer_give_back(mr_consumer *consumer, mr_fetch *fetch)
{
    mr_input_queue *input = fetch->owner;
    MR_ASSERT(fetch->input < consumer->input_max && input == &consumer->inputs[fetch->input]);
    MR_ASSERT(input->is_out);
    for (uint32_t i = 0; i < input->message_count; i++) {
        rd_kafka_message_destroy(input->messages[i]);
    }
    input->message_count = 0;
    input->is_out = false;
}

/* ---- Helpers ---- */

static void take_message(mr_input_queue *input, rd_kafka_message_t *message)
{
    mr_fetch *fetch = &input->fetch;
    mr_fetch_record *record = &input->records[fetch->record_count];
    rd_kafka_timestamp_type_t type;

    record->value.bytes = message->payload;
    record->value.size_bytes = (uint32_t)message->len;
    record->key.bytes = message->key;
    record->key.size_bytes = (uint32_t)message->key_len;
    record->offset = message->offset;
    record->timestamp_ms = rd_kafka_message_timestamp(message, &type);
    record->message = message;
    input->messages[fetch->record_count] = message;
    fetch->record_count++;
    input->message_count = fetch->record_count;
    fetch->at_end = false; /* An end that was seen lies before this record. */
}

/* True: nothing after this may be taken. */
static bool judge_error(mr_consumer *consumer, mr_input_queue *input,
                        const rd_kafka_message_t *message, bool was_ready, mr_verdict *verdict,
                        mr_diag *diag)
{
    const mr_fault fault = mr_fault_of_code(message->err);
    const char *words = rd_kafka_message_errstr(message);

    *verdict = mr_kafka_judge(MR_CALL_CONSUME, &fault, was_ready);
    if (verdict->status == MR_OK) {
        return false;
    }
    const char *topic = consumer->options->plan->topics[input->fetch.topic].name;
    mr_kafka_told(mr_verdict_tell(verdict, &fault, "reading the input",
                                  words != NULL ? words : rd_kafka_err2str(message->err), diag));
    mr_kafka_told(mr_diag_frame(diag, verdict->status, "%s-%d@%lld", topic, input->fetch.partition,
                                (long long)message->offset));
    return true;
}

/* Parsed by librdkafka on the first call for a message; nothing is paid where nobody asks. */
static uint32_t fetch_headers(const mr_fetch *fetch, uint32_t record, mr_view *pairs,
                              uint32_t pairs_max)
{
    rd_kafka_headers_t *headers = NULL;
    uint32_t filled = 0;

    MR_ASSERT(record < fetch->record_count);
    rd_kafka_message_t *message = fetch->records[record].message;
    if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return 0;
    }
    for (size_t i = 0; filled + 2 <= pairs_max; i++) {
        const char *name = NULL;
        const void *value = NULL;
        size_t size = 0;
        if (rd_kafka_header_get_all(headers, i, &name, &value, &size) !=
            RD_KAFKA_RESP_ERR_NO_ERROR) {
            break;
        }
        pairs[filled++] =
            (mr_view){.bytes = (const uint8_t *)name, .size_bytes = (uint32_t)strlen(name)};
        pairs[filled++] = (mr_view){.bytes = value, .size_bytes = (uint32_t)size};
    }
    return filled;
}
