/*
 * txn_init.c - a new consumer and a new producer, and what recovery must know before it decides:
 * steps 3 to 6 of section 4 in docs/exactly-once.md; the renewal of a slot; the assignment.
 *
 * An absent broker is no reason to give up: every loop goes on, with a growing pause, until it
 * succeeds or the shard abandons it. Thread: the committer's.
 */
#include "io/kafka/kafka_private.h"
#include <string.h>

enum {
    PAUSE_MS_MIN = 100,
    PAUSE_MS_MAX = 5000,
    MESSAGES_AT_ONCE = 256,
    MESSAGES_MAX = 1 << 20 /* More than a queue of librdkafka is let to hold. */
};

static mr_status make_consumer(mr_txn *txn, mr_diag *diag);
static mr_status make_producer(mr_txn *txn, mr_diag *diag);
static void empty(rd_kafka_queue_t *queue);
static void forget_inputs(mr_txn *txn);

mr_status mr_txn_init(mr_txn *txn, const mr_job *job, mr_diag *diag)
{
    const uint64_t generation = job->generation;

    MR_ASSERT(txn->clients.consumer == NULL && txn->clients.producer == NULL);
    MR_ASSERT(job->offset_count > 0 && job->offset_count <= txn->input_max);
    txn->input_count = job->offset_count;
    memcpy(txn->offsets, job->offsets, job->offset_count * sizeof(mr_offset));
    mr_status status = make_consumer(txn, diag);
    if (status == MR_OK) {
        status = mr_txn_read_topics(txn, generation, diag);
    }
    if (status == MR_OK) {
        status = mr_txn_read_limits(txn, generation, diag);
    }
    if (status == MR_OK) {
        status = mr_txn_check_fence(txn, generation, diag);
    }
    if (status == MR_OK) {
        status = mr_txn_open_slot(txn, generation, diag);
    }
    if (status == MR_OK) {
        status = mr_txn_read_committed(txn, generation, diag);
    }
    if (status == MR_OK) {
        status = mr_txn_read_ends(txn, generation, diag);
    }
    if (status == MR_OK) {
        txn->attempted = job->incarnation;
    }
    return status;
}

/* A producer with a fresh epoch, its topics known, a transaction begun. */
mr_status mr_txn_open_slot(mr_txn *txn, uint64_t generation, mr_diag *diag)
{
    const mr_plan *plan = txn->options->plan;

    atomic_store_explicit(&txn->taint, false, memory_order_release);
    mr_status status = make_producer(txn, diag);
    if (status == MR_OK) {
        status = mr_txn_init_transactions(txn, txn->clients.producer, generation,
                                          txn->transactional_id, diag);
    }
    for (uint32_t i = 0; i < plan->topic_count && status == MR_OK; i++) {
        if (!plan->topics[i].is_output) {
            continue;
        }
        const struct rd_kafka_metadata *metadata = NULL;
        txn->clients.topics[i] =
            rd_kafka_topic_new(txn->clients.producer, plan->topics[i].name, NULL);
        MR_ASSERT(txn->clients.topics[i] != NULL);
        /* Only so that the first record finds its leader; a failure costs no more than time. */
        if (rd_kafka_metadata(txn->clients.producer, 0, txn->clients.topics[i], &metadata,
                              MR_CALL_MS) == RD_KAFKA_RESP_ERR_NO_ERROR) {
            rd_kafka_metadata_destroy(metadata);
        }
    }
    if (status != MR_OK) {
        return status;
    }
    /* What failed while the id was taken over happened before this transaction. */
    atomic_store_explicit(&txn->taint, false, memory_order_release);
    rd_kafka_error_t *error = rd_kafka_begin_transaction(txn->clients.producer);
    if (error == NULL) {
        return MR_OK;
    }
    const mr_fault fault = mr_fault_of(error);
    const mr_verdict verdict = mr_kafka_judge(MR_CALL_BEGIN, &fault, txn->was_ready);
    status = mr_verdict_tell(&verdict, &fault, "beginning a transaction",
                             rd_kafka_error_string(error), diag);
    rd_kafka_error_destroy(error);
    return status;
}

mr_status mr_txn_init_transactions(mr_txn *txn, rd_kafka_t *producer, uint64_t generation,
                                   const char *id, mr_diag *diag)
{
    uint32_t pause_ms = PAUSE_MS_MIN;
    int64_t logged_ms = -1;

    while (!mr_txn_abandoned(txn, generation)) {
        rd_kafka_error_t *error = rd_kafka_init_transactions(producer, MR_CALL_MS);
        if (error == NULL) {
            return MR_OK;
        }
        const mr_fault fault = mr_fault_of(error);
        const mr_verdict verdict = mr_kafka_judge(MR_CALL_INIT, &fault, txn->was_ready);
        const mr_status status =
            mr_verdict_tell(&verdict, &fault, id, rd_kafka_error_string(error), diag);
        if (verdict.is_fence) {
            atomic_store_explicit(&txn->fenced, true, memory_order_release);
        }
        if (mr_status_class(status) == MR_CLASS_RETRY) {
            mr_txn_log_wait(txn, "taking over the transactional id", rd_kafka_error_string(error),
                            &logged_ms);
        }
        rd_kafka_error_destroy(error);
        if (mr_status_class(status) != MR_CLASS_RETRY) {
            return status;
        }
        mr_txn_pause(txn, generation, pause_ms);
        pause_ms = pause_ms * 2 > PAUSE_MS_MAX ? PAUSE_MS_MAX : pause_ms * 2;
    }
    return mr_diag_set(diag, MR_ERR_TXN_ABORTED, 0, "abandoned");
}

/* Each partition keeps its own queue, so that a fetch is of one partition. */
mr_status mr_txn_assign(mr_txn *txn, const mr_job *job, mr_diag *diag)
{
    const mr_plan *plan = txn->options->plan;
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new((int)job->offset_count);

    MR_ASSERT(job->offset_count == txn->input_count);
    for (uint32_t i = 0; i < job->offset_count; i++) {
        const mr_offset *offset = &job->offsets[i];
        const char *topic = plan->topics[offset->topic].name;
        MR_ASSERT(offset->offset >= 0 && txn->clients.inputs[i] == NULL);
        rd_kafka_topic_partition_list_add(list, topic, (int32_t)offset->partition)->offset =
            offset->offset;
        rd_kafka_queue_t *queue =
            rd_kafka_queue_get_partition(txn->clients.consumer, topic, (int32_t)offset->partition);
        MR_ASSERT(queue != NULL);
        rd_kafka_queue_forward(queue, NULL);
        mr_arrivals_watch(&txn->arrivals, i, queue);
        txn->clients.inputs[i] = queue;
    }
    const rd_kafka_resp_err_t code = rd_kafka_assign(txn->clients.consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        return MR_OK;
    }
    return mr_diag_set(diag, MR_ERR_TXN_ABORTED, 0, "assigning %u partitions: %s (%s)",
                       job->offset_count, rd_kafka_err2str(code), rd_kafka_err2name(code));
}

void mr_txn_destroy_producer(mr_txn *txn)
{
    mr_clients *clients = &txn->clients;
    for (uint32_t i = 0; i < txn->options->plan->topic_count; i++) {
        if (clients->topics[i] != NULL) {
            rd_kafka_topic_destroy(clients->topics[i]);
            clients->topics[i] = NULL;
        }
    }
    if (clients->producer_events != NULL) {
        rd_kafka_queue_destroy(clients->producer_events);
        clients->producer_events = NULL;
    }
    if (clients->producer != NULL) {
        (void)rd_kafka_purge(clients->producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        rd_kafka_destroy(clients->producer);
        clients->producer = NULL;
    }
}

void mr_txn_destroy_clients(mr_txn *txn)
{
    mr_clients *clients = &txn->clients;
    mr_txn_destroy_producer(txn);
    if (clients->consumer != NULL && txn->saw_absence) {
        (void)rd_kafka_consumer_close(clients->consumer); /* See empty(). */
    }
    forget_inputs(txn);
    txn->saw_absence = false;
    if (clients->consumer_events != NULL) {
        rd_kafka_queue_destroy(clients->consumer_events);
        clients->consumer_events = NULL;
    }
    if (clients->consumer != NULL) {
        rd_kafka_destroy_flags(clients->consumer, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
        clients->consumer = NULL;
    }
    atomic_store_explicit(&txn->room_goal, -1, memory_order_release);
}

/* ---- Helpers ---- */

static mr_status make_consumer(mr_txn *txn, mr_diag *diag)
{
    const mr_client_settings settings = {.plan = txn->options->plan,
                                         .secrets = txn->options->secrets,
                                         .log = txn->options->log,
                                         .kind = MR_CLIENT_CONSUMER,
                                         .memory_bytes = txn->options->memory_bytes,
                                         .input_count = txn->input_count};
    const mr_status status = mr_client_new(&settings, &txn->clients.consumer, diag);
    if (status != MR_OK) {
        return status;
    }
    rd_kafka_poll_set_consumer(txn->clients.consumer);
    txn->clients.consumer_events = rd_kafka_queue_get_consumer(txn->clients.consumer);
    MR_ASSERT(txn->clients.consumer_events != NULL);
    return MR_OK;
}

static mr_status make_producer(mr_txn *txn, mr_diag *diag)
{
    static const uint64_t one = 1; /* What librdkafka writes to the eventfd. */
    const mr_client_settings settings = {.plan = txn->options->plan,
                                         .secrets = txn->options->secrets,
                                         .log = txn->options->log,
                                         .kind = MR_CLIENT_PRODUCER,
                                         .transactional_id = txn->transactional_id,
                                         .memory_bytes = txn->options->memory_bytes,
                                         .record_bytes_max = txn->record_bytes_max,
                                         .taint = &txn->taint};
    MR_ASSERT(txn->clients.producer == NULL);
    const mr_status status = mr_client_new(&settings, &txn->clients.producer, diag);
    if (status != MR_OK) {
        return status;
    }
    txn->clients.producer_events = rd_kafka_queue_get_main(txn->clients.producer);
    rd_kafka_queue_io_event_enable(txn->clients.producer_events, txn->options->wake_descriptor,
                                   &one, sizeof(one));
    return MR_OK;
}

/*
 * The partition of a deleted topic is held by its assignment and by what lies in its queue (errors
 * are added while it is assigned), and it holds the broker's thread: librdkafka 2.0.2 then waits
 * for that thread for ever when it is destroyed. So the consumer is closed and then its queues are
 * emptied, before it is destroyed. Only then, as closing may wait for a broker that is away.
 */
static void empty(rd_kafka_queue_t *queue)
{
    rd_kafka_message_t *messages[MESSAGES_AT_ONCE];
    ssize_t count = 1;

    /* The limit: a living topic is fetched meanwhile, and needs none of this. */
    for (uint32_t total = 0; count > 0 && total < MESSAGES_MAX; total += (uint32_t)count) {
        count = rd_kafka_consume_batch_queue(queue, 0, messages, MESSAGES_AT_ONCE);
        for (ssize_t i = 0; i < count; i++) {
            rd_kafka_message_destroy(messages[i]);
        }
    }
}

static void forget_inputs(mr_txn *txn)
{
    for (uint32_t i = 0; i < txn->input_max; i++) {
        if (txn->clients.inputs[i] != NULL) {
            mr_arrivals_forget(txn->clients.inputs[i]);
            if (txn->saw_absence) {
                empty(txn->clients.inputs[i]);
            }
            rd_kafka_queue_destroy(txn->clients.inputs[i]);
            txn->clients.inputs[i] = NULL;
        }
    }
}
