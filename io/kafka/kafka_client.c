/*
 * kafka_client.c - the seam of kafka.h on librdkafka: the shard's side, which glues fetches, chunks
 * and the committer together and never blocks.
 *
 * A RESET starts a new generation: what the committer is at gives up, records in the producer are
 * thrown away (which ends a running commit), the clients are given back, and every answer of the
 * old generation is void. From then until the READY of the next INIT nothing is lent to this
 * thread. One failure a generation is told; what follows it would be its echo.
 *
 * A commit that hangs beyond three transaction timeouts ends the process: calls of librdkafka have
 * been seen to hang for good, and a restart recovers. Thread: the shard's; open and close control.
 */
#include "io/kafka/kafka_private.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    ARENA_BYTES_MAX = 512 << 20,
    PAUSE_US_MAX = 1000000, /* A longer gap between two polls is our own absence. */
    DOWN_BACKOFF_US_MIN = 1000000,
    DOWN_BACKOFF_US_MAX = 60000000
};

static mr_status client_submit(void *self, const mr_kafka_command *command);
static mr_status submit_reset(mr_kafka_client *client);
static mr_status submit_job(mr_kafka_client *client, mr_job_kind kind,
                            const mr_kafka_command *command);
static mr_status submit_chunk(mr_kafka_client *client, const mr_chunk *chunk);
static void fail(mr_kafka_client *client, mr_status status);
static bool take_reply(mr_kafka_client *client, mr_kafka_event *event);
static void take_committed(mr_kafka_client *client, mr_kafka_event *event, bool is_tainted);
static void drain(mr_kafka_client *client);
static void drain_consumer(mr_kafka_client *client);
static void log_down(mr_kafka_client *client, const char *words);
static void watch(mr_kafka_client *client);
static uint32_t count_inputs(const mr_kafka_options *options);

static uint32_t client_poll(void *self, mr_kafka_event *events, uint32_t count_max)
{
    mr_kafka_client *client = self;
    const mr_clock *clock = &client->options.clock;
    uint32_t count = 0;

    MR_ASSERT(count_max > 0);
    mr_arrivals_turn(&client->txn.arrivals, clock->type->monotonic_us(clock->self));
    while (count < count_max && take_reply(client, &events[count])) {
        count++;
        if (events[count - 1].fact == MR_KAFKA_FAILED) {
            return count; /* Its diag lies in the scratch of replies. */
        }
    }
    if (client->is_live) {
        drain(client);
    }
    if (client->is_unreported && count < count_max) {
        client->is_unreported = false;
        events[count++] = (mr_kafka_event){
            .fact = MR_KAFKA_FAILED, .status = client->failure.status, .diag = &client->failure};
    }
    watch(client);
    return count;
}

static mr_fetch *client_take(void *self, uint32_t input)
{
    mr_kafka_client *client = self;

    MR_ASSERT(input < client->input_count);
    if (!client->is_assigned || client->has_failed) {
        return NULL;
    }
    client->verdict.status = MR_OK;
    mr_fetch *fetch = mr_consumer_take(&client->consumer, client->txn.clients.inputs[input], input,
                                       client->txn.was_ready, &client->verdict, &client->failure);
    if (client->verdict.status != MR_OK) {
        fail(client, client->verdict.status);
    }
    return fetch;
}

static void client_give_back(void *self, mr_fetch *fetch)
{
    mr_kafka_client *client = self;
    mr_consumer_give_back(&client->consumer, fetch);
}

static bool client_may_sleep(void *self)
{
    mr_kafka_client *client = self;
    return mr_arrivals_may_sleep(&client->txn.arrivals);
}

static bool client_produced(void *self, uint64_t epoch)
{
    const mr_kafka_client *client = self;
    const mr_producer *producer = &client->producer;

    if (!client->is_live || !producer->is_open || client->has_failed) {
        return false;
    }
    return producer->epoch != epoch || mr_producer_is_acked(producer);
}

static uint32_t client_topic_partitions(void *self, uint32_t topic)
{
    const mr_kafka_client *client = self;
    MR_ASSERT(client->is_live && topic < client->options.plan->topic_count);
    return client->txn.topic_partitions[topic];
}

static uint32_t client_topic_record_max(void *self, uint32_t topic)
{
    const mr_kafka_client *client = self;
    MR_ASSERT(client->is_live && topic < client->options.plan->topic_count);
    return client->txn.record_bytes_max;
}

static const mr_kafka_type client_type = {.submit = client_submit,
                                          .poll = client_poll,
                                          .take = client_take,
                                          .give_back = client_give_back,
                                          .may_sleep = client_may_sleep,
                                          .produced = client_produced,
                                          .topic_partitions = client_topic_partitions,
                                          .topic_record_max = client_topic_record_max};

mr_status mr_kafka_open(const mr_kafka_options *options, mr_kafka *kafka, mr_diag *diag)
{
    const uint32_t input_max = count_inputs(options);

    *kafka = (mr_kafka){.type = NULL};
    if (input_max == 0 || input_max > MR_SHARD_PARTITIONS_MAX) {
        return mr_diag_set(diag, MR_ERR_LIMIT, 0,
                           "a shard reads 1 to %d partitions, not %u: use more shards or workers",
                           MR_SHARD_PARTITIONS_MAX, input_max);
    }
    mr_arena *arena = mr_arena_create(options->memory, ARENA_BYTES_MAX, "kafka client");
    mr_kafka_client *client = arena == NULL ? NULL : mr_arena_take(arena, sizeof(mr_kafka_client));
    if (client == NULL) {
        mr_arena_destroy(arena);
        return mr_diag_set(diag, MR_ERR_MEMORY, 0, "no memory for the Kafka client of a shard");
    }
    client->options = *options;
    client->arena = arena;
    mr_producer_open(&client->producer, &client->options, &client->txn);
    mr_status status = mr_consumer_open(&client->consumer, &client->options, &client->txn.arrivals,
                                        input_max, arena, diag);
    if (status == MR_OK) {
        status = mr_txn_start(&client->txn, &client->options, input_max, arena, diag);
    }
    if (status != MR_OK) {
        mr_arena_destroy(arena);
        return status;
    }
    mr_arena_seal(arena);
    *kafka = (mr_kafka){.type = &client_type, .self = client};
    return MR_OK;
}

void mr_kafka_close(mr_kafka *kafka)
{
    mr_kafka_client *client = kafka->self;
    if (client == NULL) {
        return;
    }
    atomic_fetch_add_explicit(&client->txn.generation, 1, memory_order_acq_rel);
    if (mr_producer_is_lent(&client->producer)) {
        mr_producer_purge(&client->producer);
    }
    mr_txn_stop(&client->txn);
    mr_arena_destroy(client->arena);
    *kafka = (mr_kafka){.type = NULL};
}

/* ---- Commands ---- */

static mr_status client_submit(void *self, const mr_kafka_command *command)
{
    mr_kafka_client *client = self;
    const bool is_running = client->is_live && !client->has_failed;

    switch (command->op) {
    case MR_KAFKA_RESET:
        return submit_reset(client);
    case MR_KAFKA_INIT:
        MR_ASSERT(!client->is_live && command->offset_count > 0);
        client->input_count = command->offset_count;
        mr_consumer_reset(&client->consumer, command->offsets, command->offset_count);
        return submit_job(client, MR_JOB_INIT, command);
    case MR_KAFKA_ASSIGN:
        MR_ASSERT(!client->is_assigned && command->offset_count == client->input_count);
        return is_running ? submit_job(client, MR_JOB_ASSIGN, command) : MR_ERR_FULL;
    case MR_KAFKA_PRODUCE:
        return is_running ? submit_chunk(client, command->chunk) : MR_ERR_FULL;
    case MR_KAFKA_OFFSETS:
        if (!is_running || !client->producer.is_open) {
            return MR_ERR_FULL;
        }
        MR_ASSERT(client->producer.epoch == 0 || client->producer.epoch == command->epoch);
        client->producer.epoch = command->epoch;
        return submit_job(client, MR_JOB_OFFSETS, command);
    case MR_KAFKA_COMMIT:
        if (!is_running) {
            return MR_ERR_FULL;
        }
        MR_ASSERT(client->producer.is_open && client->producer.epoch == command->epoch);
        MR_ASSERT(client->producer.chunk == NULL);
        if (submit_job(client, MR_JOB_COMMIT, command) != MR_OK) {
            return MR_ERR_FULL;
        }
        client->producer.is_open = false;
        return MR_OK;
    }
    return MR_ERR_FULL;
}

static mr_status submit_reset(mr_kafka_client *client)
{
    const mr_job job = {.kind = MR_JOB_RESET};

    if (mr_spsc_ring_count(client->txn.jobs) == MR_JOBS_MAX) {
        return MR_ERR_FULL;
    }
    /* First, so that nothing new begins; then the records, so that what runs ends. */
    client->generation =
        atomic_fetch_add_explicit(&client->txn.generation, 1, memory_order_acq_rel) + 1;
    if (mr_producer_is_lent(&client->producer)) {
        mr_producer_purge(&client->producer);
    }
    const bool is_posted = mr_txn_post(&client->txn, &job);
    MR_ASSERT(is_posted);
    client->posted++;
    client->is_live = client->is_assigned = false;
    client->has_failed = client->is_unreported = false;
    mr_producer_reset(&client->producer);
    return MR_OK;
}

static mr_status submit_job(mr_kafka_client *client, mr_job_kind kind,
                            const mr_kafka_command *command)
{
    const mr_job job = {.kind = kind,
                        .generation = client->generation,
                        .epoch = command->epoch,
                        .incarnation = command->incarnation,
                        .offsets = command->offsets,
                        .offset_count = command->offset_count,
                        .has_records = client->producer.epoch_records > 0};
    if (!mr_txn_post(&client->txn, &job)) {
        return MR_ERR_FULL;
    }
    client->posted++;
    return MR_OK;
}

static mr_status submit_chunk(mr_kafka_client *client, const mr_chunk *chunk)
{
    const mr_status status = mr_producer_submit(&client->producer, chunk, &client->failure);
    if (status != MR_OK && status != MR_ERR_FULL) {
        fail(client, status);
        return MR_ERR_FULL;
    }
    return status;
}

/* `failure` holds the story. */
static void fail(mr_kafka_client *client, mr_status status)
{
    MR_ASSERT(status != MR_OK && !client->has_failed);
    client->failure.status = status;
    client->has_failed = client->is_unreported = true;
}

/* ---- Events ---- */

/* One reply that is an event for the runtime; false = none is left. */
static bool take_reply(mr_kafka_client *client, mr_kafka_event *event)
{
    while (mr_spsc_ring_pop(client->txn.replies, &client->reply)) {
        const mr_reply *reply = &client->reply;
        if (reply->generation != client->generation || client->has_failed) {
            continue;
        }
        *event = (mr_kafka_event){.epoch = reply->epoch};
        switch (reply->kind) {
        case MR_REPLY_READY:
            client->is_live = client->producer.is_open = true;
            event->fact = MR_KAFKA_READY;
            event->offsets = client->txn.offsets;
            event->offset_count = client->input_count;
            return true;
        case MR_REPLY_ASSIGNED:
            client->is_assigned = true;
            event->fact = MR_KAFKA_RECORDS;
            return true;
        case MR_REPLY_OFFSETS:
            break;
        case MR_REPLY_COMMITTED:
        case MR_REPLY_TAINTED:
            take_committed(client, event, reply->kind == MR_REPLY_TAINTED);
            return true;
        case MR_REPLY_RENEWED:
            client->producer.is_open = true;
            client->is_live = true;
            break;
        case MR_REPLY_FAILED:
            client->has_failed = true;
            event->fact = MR_KAFKA_FAILED;
            event->status = reply->diag.status;
            event->diag = &reply->diag;
            return true;
        }
    }
    return false;
}

static void take_committed(mr_kafka_client *client, mr_kafka_event *event, bool is_tainted)
{
    mr_producer *producer = &client->producer;
    MR_ASSERT(producer->epoch == event->epoch && !producer->is_open);
    event->fact = MR_KAFKA_COMMITTED;
    if (producer->epoch_records > 0) {
        producer->rejected_count = 0;
    }
    producer->epoch = 0;
    producer->epoch_records = 0;
    if (!is_tainted) {
        producer->is_open = true;
        return;
    }
    /* Give the slot up; the committer makes it anew. Partitions are read on meanwhile. */
    const mr_kafka_command none = {.op = MR_KAFKA_COMMIT};
    mr_producer_reset(producer);
    const mr_status status = submit_job(client, MR_JOB_RENEW, &none);
    MR_ASSERT(status == MR_OK);
}

static void drain(mr_kafka_client *client)
{
    const bool is_lent = mr_producer_is_lent(&client->producer);
    if (is_lent && !client->has_failed) {
        const mr_status status = mr_producer_drain(&client->producer, &client->failure);
        if (status != MR_OK) {
            fail(client, status);
        }
    } else if (is_lent) {
        mr_kafka_told(mr_producer_drain(&client->producer, NULL));
    }
    drain_consumer(client);
}

static void drain_consumer(mr_kafka_client *client)
{
    rd_kafka_event_t *event = NULL;
    while ((event = rd_kafka_queue_poll(client->txn.clients.consumer_events, 0)) != NULL) {
        const mr_fault fault = mr_fault_of_code(rd_kafka_event_error(event));
        const char *words = rd_kafka_event_error_string(event);
        const mr_verdict verdict = mr_kafka_judge(MR_CALL_EVENT, &fault, client->txn.was_ready);
        if (fault.code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
            log_down(client, words);
        } else if (verdict.status != MR_OK && !client->has_failed) {
            fail(client,
                 mr_verdict_tell(&verdict, &fault, "the consumer failed", words, &client->failure));
        }
        rd_kafka_event_destroy(event);
    }
}

/* Once, then ever less often: the clients reconnect by themselves. */
static void log_down(mr_kafka_client *client, const char *words)
{
    mr_consumer *consumer = &client->consumer;
    const mr_clock *clock = &client->options.clock;
    const int64_t now_us = clock->type->monotonic_us(clock->self);
    const mr_log_field fields[] = {{.name = "shard", .number = client->options.shard},
                                   {.name = "cause", .text = words}};

    if (consumer->down_logged_us != 0 &&
        now_us - consumer->down_logged_us < consumer->down_backoff_us) {
        return;
    }
    const bool is_calm = now_us - consumer->down_logged_us > DOWN_BACKOFF_US_MAX;
    consumer->down_backoff_us = is_calm ? DOWN_BACKOFF_US_MIN : consumer->down_backoff_us * 2;
    if (consumer->down_backoff_us > DOWN_BACKOFF_US_MAX) {
        consumer->down_backoff_us = DOWN_BACKOFF_US_MAX;
    }
    consumer->down_logged_us = now_us;
    mr_log_event(client->options.log, MR_LOG_WARN, "kafka", "no broker can be reached", fields,
                 MR_LENGTH(fields));
}

/* Time in which the process itself was stopped does not count, nor what waits for brokers: the
 * start, a renewal, a look at the records. */
static void watch(mr_kafka_client *client)
{
    const uint64_t finished = atomic_load_explicit(&client->txn.finished, memory_order_acquire);
    const mr_clock *clock = &client->options.clock;

    if (finished != client->finished_seen || finished == client->posted ||
        atomic_load_explicit(&client->txn.is_waiting_long, memory_order_acquire)) {
        client->finished_seen = finished;
        client->progress_us = 0;
        client->polled_us = 0;
        return;
    }
    const int64_t now_us = clock->type->monotonic_us(clock->self);
    const int64_t gap_us = client->polled_us == 0 ? 0 : now_us - client->polled_us;
    client->polled_us = now_us;
    client->progress_us += gap_us < PAUSE_US_MAX ? gap_us : PAUSE_US_MAX;
    if (client->progress_us > 3 * client->options.plan->commit.transaction_timeout_us) {
        const mr_log_field fields[] = {{.name = "shard", .number = client->options.shard},
                                       {.name = "ms", .number = client->progress_us / 1000}};
        mr_log_event(client->options.log, MR_LOG_ERROR, "kafka",
                     "the committer hangs in librdkafka; ending the process, a restart recovers",
                     fields, MR_LENGTH(fields));
        abort();
    }
}

static uint32_t count_inputs(const mr_kafka_options *options)
{
    const mr_plan *plan = options->plan;
    uint32_t sources = 0;
    for (uint32_t i = 0; i < plan->topic_count; i++) {
        sources += plan->topics[i].source != MR_NO_INDEX;
    }
    return sources * options->partition_count;
}
