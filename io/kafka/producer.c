/*
 * producer.c - chunks of the output arena into librdkafka, and its deliveries back.
 *
 * Payloads are neither copied nor freed: librdkafka reads them from the arena until the broker has
 * acknowledged them. Successful deliveries report nothing; any failed one is a failure of the
 * epoch, even if a commit would pass. The delivery queue is read empty on every turn, because a
 * commit waits for a failed record until its event has been read.
 *
 * Under saturation a commit is the flush of what the producer holds. So no more unacked bytes are
 * handed over than were acked in the last commit interval (at least 1 MiB): a commit then ends
 * within one and a half intervals. Thread: the shard's.
 */
#include "io/kafka/kafka_private.h"
#include <stdio.h>
#include <string.h>

enum { LOOK_AGAIN_US = 500 };

static int64_t now(const mr_producer *producer);
static bool has_room(mr_producer *producer, uint64_t chunk_bytes, int64_t now_us);
static uint64_t chunk_payload(const mr_chunk *chunk);
static rd_kafka_resp_err_t produce(mr_producer *producer, const mr_record *record);
static rd_kafka_headers_t *headers_of(const mr_record *record);
static mr_status await_room(mr_producer *producer, int64_t now_us);
static mr_status judge_deliveries(mr_producer *producer, rd_kafka_event_t *event, mr_diag *diag);
static rd_kafka_error_t *cause_of_purge(mr_producer *producer, rd_kafka_resp_err_t code);
static mr_status judge_delivery(mr_producer *producer, const rd_kafka_message_t *message,
                                mr_diag *diag);
static mr_status judge_event(mr_producer *producer, rd_kafka_event_t *event, mr_diag *diag);
static mr_fault resolve(mr_producer *producer, rd_kafka_resp_err_t code);
static void note_fence(mr_producer *producer, const mr_verdict *verdict);

void mr_producer_open(mr_producer *producer, const mr_kafka_options *options, mr_txn *txn)
{
    producer->options = options;
    producer->txn = txn;
    producer->window_us = options->plan->commit.interval_us;
    MR_ASSERT(producer->window_us > 0);
}

void mr_producer_reset(mr_producer *producer)
{
    producer->is_open = false;
    producer->epoch = 0;
    producer->chunk = NULL;
    producer->chunk_next = 0;
    producer->handed_records = producer->handed_bytes = 0;
    producer->epoch_records = 0;
    producer->window_acked = producer->acked_before = 0;
    producer->window_from_us = 0;
    producer->has_rejection = false;
    producer->is_waiting = false;
}

mr_status mr_producer_submit(mr_producer *producer, const mr_chunk *chunk, mr_diag *diag)
{
    MR_ASSERT(chunk->record_count > 0 && chunk->record_count <= chunk->record_max);
    MR_ASSERT(chunk->epoch != 0);
    if (!producer->is_open || (producer->epoch != 0 && producer->epoch != chunk->epoch)) {
        return MR_ERR_FULL;
    }
    MR_ASSERT(producer->chunk == NULL ||
              producer->chunk == chunk); /* What was begun comes first. */
    const int64_t now_us = now(producer);
    if (producer->is_waiting && now_us < producer->look_again_us) {
        return MR_ERR_FULL;
    }
    producer->is_waiting = false;
    const uint64_t bytes = chunk_payload(chunk);
    if (producer->chunk == NULL) {
        if (!has_room(producer, bytes, now_us)) {
            return await_room(producer, now_us);
        }
        producer->chunk = chunk;
        producer->chunk_next = 0;
    }
    producer->epoch = chunk->epoch;
    while (producer->chunk_next < chunk->record_count) {
        const mr_record *record = &chunk->records[producer->chunk_next];
        const rd_kafka_resp_err_t code = produce(producer, record);
        if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            return await_room(producer, now_us);
        }
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
            const mr_fault fault = resolve(producer, code);
            const mr_verdict verdict = mr_kafka_judge(MR_CALL_PRODUCE, &fault, true);
            note_fence(producer, &verdict);
            const mr_status status = mr_verdict_tell(&verdict, &fault, "handing a record over",
                                                     rd_kafka_err2str(code), diag);
            return mr_diag_frame(diag, status, "%s-%d",
                                 producer->options->plan->topics[record->topic].name,
                                 record->partition);
        }
        producer->chunk_next++;
    }
    producer->chunk = NULL;
    producer->handed_records += chunk->record_count;
    producer->epoch_records += chunk->record_count;
    producer->handed_bytes += bytes;
    mr_crash_pass(MR_K2);
    return MR_OK;
}

mr_status mr_producer_drain(mr_producer *producer, mr_diag *diag)
{
    rd_kafka_queue_t *queue = producer->txn->clients.producer_events;
    mr_status status = MR_OK;
    rd_kafka_event_t *event = NULL;

    MR_ASSERT(queue != NULL);
    while ((event = rd_kafka_queue_poll(queue, 0)) != NULL) {
        mr_status found = MR_OK;
        mr_diag *story = status == MR_OK ? diag : NULL; /* The first failure is told. */
        if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_DR) {
            found = judge_deliveries(producer, event, story);
        } else if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR) {
            found = judge_event(producer, event, story);
        }
        status = status == MR_OK ? found : status;
        rd_kafka_event_destroy(event);
    }
    return status;
}

void mr_producer_purge(mr_producer *producer)
{
    const mr_clients *clients = &producer->txn->clients;
    /* Whatever failed first (often a delivery that was purged): if the producer was fenced, say so.
     */
    const mr_fault fault = resolve(producer, RD_KAFKA_RESP_ERR__FATAL);
    if (fault.code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        const mr_verdict verdict = mr_kafka_judge(MR_CALL_EVENT, &fault, true);
        note_fence(producer, &verdict);
    }
    (void)rd_kafka_purge(clients->producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    mr_kafka_told(mr_producer_drain(producer, NULL));
}

bool mr_producer_is_lent(const mr_producer *producer)
{
    return producer->is_open || producer->epoch != 0;
}

bool mr_producer_is_acked(const mr_producer *producer)
{
    return producer->chunk == NULL && rd_kafka_outq_len(producer->txn->clients.producer) == 0;
}

/* ---- Handing over ---- */

static int64_t now(const mr_producer *producer)
{
    const mr_clock *clock = &producer->options->clock;
    return clock->type->monotonic_us(clock->self);
}

static uint64_t chunk_payload(const mr_chunk *chunk)
{
    /* Keys and values of a chunk lie together, but an arena may have gaps between: add up. */
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < chunk->record_count; i++) {
        bytes += chunk->records[i].key.size_bytes + chunk->records[i].value.size_bytes;
    }
    return bytes;
}

static bool has_room(mr_producer *producer, uint64_t chunk_bytes, int64_t now_us)
{
    const uint64_t unacked_records = (uint64_t)rd_kafka_outq_len(producer->txn->clients.producer);

    if (producer->handed_records == 0 || unacked_records == 0) {
        return true;
    }
    const uint64_t unacked = unacked_records * (producer->handed_bytes / producer->handed_records);
    const uint64_t acked = producer->handed_bytes > unacked ? producer->handed_bytes - unacked : 0;
    const uint64_t in_window = acked > producer->window_acked ? acked - producer->window_acked : 0;
    if (now_us - producer->window_from_us >= producer->window_us) {
        producer->acked_before = in_window;
        producer->window_acked = acked;
        producer->window_from_us = now_us;
    }
    uint64_t limit = in_window > producer->acked_before ? in_window : producer->acked_before;
    limit = limit > MR_UNACKED_BYTES_MIN ? limit : MR_UNACKED_BYTES_MIN;
    return unacked + chunk_bytes <= limit;
}

/*
 * Nobody tells of successes, so the committer is asked to look; the shard, if it happens to be
 * awake, looks again by itself, but not on every turn.
 */
static mr_status await_room(mr_producer *producer, int64_t now_us)
{
    mr_txn *txn = producer->txn;
    producer->is_waiting = true;
    producer->look_again_us = now_us + LOOK_AGAIN_US;
    if (atomic_load_explicit(&txn->room_goal, memory_order_relaxed) < 0) {
        const int64_t held = rd_kafka_outq_len(txn->clients.producer);
        atomic_store_explicit(&txn->room_goal, held / 2, memory_order_release);
        mr_txn_poke(txn);
    }
    return MR_ERR_FULL;
}

static rd_kafka_resp_err_t produce(mr_producer *producer, const mr_record *record)
{
    const mr_clients *clients = &producer->txn->clients;
    rd_kafka_topic_t *topic = clients->topics[record->topic];

    MR_ASSERT(topic != NULL && record->partition >= 0);
    if (record->header_count == 0) {
        return rd_kafka_producev(
            clients->producer, RD_KAFKA_V_RKT(topic), RD_KAFKA_V_PARTITION(record->partition),
            RD_KAFKA_V_VALUE((void *)(uintptr_t)record->value.bytes, record->value.size_bytes),
            RD_KAFKA_V_KEY(record->key.bytes, record->key.size_bytes),
            RD_KAFKA_V_TIMESTAMP(record->timestamp_ms), RD_KAFKA_V_END);
    }
    rd_kafka_headers_t *headers = headers_of(record);
    if (headers == NULL) {
        return RD_KAFKA_RESP_ERR__QUEUE_FULL; /* No memory: as if there were no room yet. */
    }
    const rd_kafka_resp_err_t code = rd_kafka_producev(
        clients->producer, RD_KAFKA_V_RKT(topic), RD_KAFKA_V_PARTITION(record->partition),
        RD_KAFKA_V_VALUE((void *)(uintptr_t)record->value.bytes, record->value.size_bytes),
        RD_KAFKA_V_KEY(record->key.bytes, record->key.size_bytes),
        RD_KAFKA_V_TIMESTAMP(record->timestamp_ms), RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        rd_kafka_headers_destroy(headers);
    }
    return code;
}

static rd_kafka_headers_t *headers_of(const mr_record *record)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new(record->header_count);
    for (uint32_t i = 0; headers != NULL && i < record->header_count; i++) {
        const mr_view *name = &record->headers[2 * (size_t)i];
        const mr_view *value = name + 1;
        if (rd_kafka_header_add(headers, (const char *)name->bytes, (ssize_t)name->size_bytes,
                                value->bytes,
                                (ssize_t)value->size_bytes) != RD_KAFKA_RESP_ERR_NO_ERROR) {
            rd_kafka_headers_destroy(headers);
            headers = NULL;
        }
    }
    return headers;
}

/* ---- Deliveries ---- */

static mr_status judge_deliveries(mr_producer *producer, rd_kafka_event_t *event, mr_diag *diag)
{
    const rd_kafka_message_t *message = NULL;
    mr_status status = MR_OK;
    while ((message = rd_kafka_event_message_next(event)) != NULL) {
        if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR && status == MR_OK) {
            status = judge_delivery(producer, message, diag);
        }
    }
    return status;
}

static mr_status judge_delivery(mr_producer *producer, const rd_kafka_message_t *message,
                                mr_diag *diag)
{
    rd_kafka_error_t *cause = diag != NULL ? cause_of_purge(producer, message->err) : NULL;
    const mr_fault fault = cause != NULL ? mr_fault_of(cause) : mr_fault_of_code(message->err);
    const char *words =
        cause != NULL ? rd_kafka_error_string(cause) : rd_kafka_err2str(message->err);
    const bool was_ready = atomic_load_explicit(&producer->txn->has_produced, memory_order_acquire);
    mr_verdict verdict = mr_kafka_judge(MR_CALL_DELIVERY, &fault, was_ready);
    const char *topic = message->rkt != NULL ? rd_kafka_topic_name(message->rkt) : "?";

    if (verdict.is_fence) {
        atomic_store_explicit(&producer->txn->fenced, true, memory_order_release);
    }
    uint32_t index = 0;
    while (index < producer->options->plan->topic_count &&
           strcmp(producer->options->plan->topics[index].name, topic) != 0) {
        index++;
    }
    const bool is_local = message->err < RD_KAFKA_RESP_ERR_UNKNOWN; /* Codes of librdkafka. */
    if (!producer->has_rejection) { /* Once in the life of a slot. */
        const bool is_same =
            index == producer->rejected_topic && message->err == producer->rejected_code;
        producer->rejected_count = is_same ? producer->rejected_count + 1 : 1;
        producer->rejected_topic = index;
        producer->rejected_code = message->err;
        producer->has_rejection = true;
    }
    if (!is_local && !verdict.is_fence && producer->rejected_count >= MR_REJECTIONS_MAX) {
        verdict.status = MR_ERR_REFUSED;
        verdict.name = "E_OUTPUT_REJECTED";
        verdict.remedy = "the broker refuses these records every time; look at the topic's "
                         "max.message.bytes, timestamps and rights";
    }
    const mr_status status =
        mr_verdict_tell(&verdict, &fault, "a record was not delivered", words, diag);
    if (cause != NULL) {
        rd_kafka_error_destroy(cause);
    }
    return mr_diag_frame(diag, status, "%s-%d", topic, message->partition);
}

/* Records that are purged only say so; why the transaction failed is told by the next call of its
 * API, which changes nothing. NULL = nobody knows, or we purged them ourselves. */
static rd_kafka_error_t *cause_of_purge(mr_producer *producer, rd_kafka_resp_err_t code)
{
    if (code != RD_KAFKA_RESP_ERR__PURGE_QUEUE && code != RD_KAFKA_RESP_ERR__PURGE_INFLIGHT) {
        return NULL;
    }
    rd_kafka_error_t *error = rd_kafka_begin_transaction(producer->txn->clients.producer);
    if (error != NULL && !rd_kafka_error_txn_requires_abort(error)) {
        rd_kafka_error_destroy(error);
        error = NULL;
    }
    return error;
}

/* A fatal producer says only that it is; why stands in the handle. */
static mr_fault resolve(mr_producer *producer, rd_kafka_resp_err_t code)
{
    mr_fault fault = mr_fault_of_code(code);
    char words[256];

    if (fault.code == RD_KAFKA_RESP_ERR__FATAL) {
        fault.code = rd_kafka_fatal_error(producer->txn->clients.producer, words, sizeof(words));
        fault.is_fatal = true;
    }
    return fault;
}

/* Whoever hears of the fence first: the next INIT must look who it was before it takes the id. */
static void note_fence(mr_producer *producer, const mr_verdict *verdict)
{
    if (verdict->is_fence) {
        atomic_store_explicit(&producer->txn->fenced, true, memory_order_release);
    }
}

static mr_status judge_event(mr_producer *producer, rd_kafka_event_t *event, mr_diag *diag)
{
    const mr_fault fault = resolve(producer, rd_kafka_event_error(event));
    const mr_verdict verdict = mr_kafka_judge(MR_CALL_EVENT, &fault, true);
    if (verdict.status == MR_OK || !fault.is_fatal) {
        return MR_OK; /* Told by the consumer, or by the call that meets it. */
    }
    note_fence(producer, &verdict);
    return mr_verdict_tell(&verdict, &fault, "the producer failed",
                           rd_kafka_event_error_string(event), diag);
}
