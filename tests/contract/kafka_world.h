/*
 * kafka_world.h - a small world for the contract test of the Kafka seam: a plan of one input and
 * one output topic, actors that hold the seam, and the means to feed and read the topics from
 * outside, on the log in process or on a real broker.
 */
#ifndef MR_TESTS_KAFKA_WORLD_H
#define MR_TESTS_KAFKA_WORLD_H

#include "engine/base/arena.h"
#include "engine/base/assert.h"
#include "io/kafka/kafka.h"
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

/* Each test takes what it needs. */
#define UNUSED __attribute__((unused))

enum {
    IN = 0,
    OUT = 1,
    ACTORS_MAX = 8,
    PARTITIONS_MAX = 4,
    CHUNK_RECORDS = 512,
    CHUNK_BYTES = 1 << 20,
    WAIT_MS = 30000,
    ARENA_BYTES = 512 << 20,
    SHARD_MEMORY_BYTES = 64 << 20
};

typedef struct actor {
    mr_kafka kafka;
    mr_kafka_options options;
    int wake;
    bool is_open;
    uint64_t incarnation;
    mr_offset asked[PARTITIONS_MAX], ready[PARTITIONS_MAX], offsets[PARTITIONS_MAX];
    mr_diag failure;
    mr_kafka_event event;
    uint32_t fetch_max;
    int64_t end_offset;
    char last_value[64];
} actor;

typedef struct world {
    bool is_broker;
    char app[64], in[80], out[80], bootstrap[128];
    mr_plan plan;
    mr_plan_topic topics[2];
    uint32_t partition_count;
    int64_t start;
    mr_arena *arena;
    mr_kafka_memory *cluster;
    rd_kafka_t *feeder;
    actor actors[ACTORS_MAX];
    uint32_t actor_count;
    mr_log *log;
} world;

/* The group of cases that runs. */
static bool world_broker;

UNUSED static void world_use_broker(bool is_broker)
{
    world_broker = is_broker;
}

UNUSED static mr_view view(const char *text)
{
    return (mr_view){.bytes = (const uint8_t *)text, .size_bytes = (uint32_t)strlen(text)};
}

UNUSED static void assert_view(mr_view found, const char *text)
{
    assert_non_null(found.bytes);
    assert_int_equal(found.size_bytes, strlen(text));
    assert_memory_equal(found.bytes, text, strlen(text));
}

/* ---- The world ---- */

UNUSED static void find_broker(world *w)
{
    const char *given = getenv("MR_KAFKA");
    const char *file = getenv("MR_SERVICES_ENV");
    char line[200];

    if (given != NULL && given[0] != '\0') {
        snprintf(w->bootstrap, sizeof(w->bootstrap), "%s", given);
        return;
    }
    FILE *env = file == NULL ? NULL : fopen(file, "r");
    while (env != NULL && fgets(line, sizeof(line), env) != NULL) {
        if (strncmp(line, "MR_KAFKA=", 9) == 0) {
            line[strcspn(line, "\n")] = '\0';
            snprintf(w->bootstrap, sizeof(w->bootstrap), "%.100s", line + 9);
        }
    }
    if (env != NULL) {
        fclose(env);
    }
    if (w->bootstrap[0] == '\0') {
        fail_msg("no broker: set MR_KAFKA=host:port, or start one with ./dev kafka start");
    }
}

UNUSED static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char words[200];
    if (rd_kafka_conf_set(conf, name, value, words, sizeof(words)) != RD_KAFKA_CONF_OK) {
        fail_msg("%s", words);
    }
}

UNUSED static rd_kafka_t *client(const world *w, rd_kafka_type_t type, const char *transactional_id)
{
    char words[200];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", w->bootstrap);
    if (type == RD_KAFKA_PRODUCER) {
        set(conf, "linger.ms", "1");
        set(conf, "acks", "all");
    } else {
        set(conf, "group.id", "reader");
        set(conf, "isolation.level", "read_committed");
        set(conf, "enable.partition.eof", "true");
        set(conf, "enable.auto.commit", "false");
    }
    if (transactional_id != NULL) {
        set(conf, "transactional.id", transactional_id);
    }
    rd_kafka_t *made = rd_kafka_new(type, conf, words, sizeof(words));
    if (made == NULL) {
        fail_msg("%s", words);
    }
    return made;
}

UNUSED static world *world_begin(void **state, uint32_t partition_count)
{
    static uint32_t count; /* Makes names unique within this process. */
    world *w = calloc(1, sizeof(world));
    uint32_t counts[2];
    mr_diag diag;

    (void)state;
    assert_non_null(w);
    w->is_broker = world_broker;
    w->partition_count = partition_count;
    w->start = MR_START_EARLIEST;
    snprintf(w->app, sizeof(w->app), "contract-%d-%u", getpid(), count++);
    snprintf(w->in, sizeof(w->in), "%s.in", w->app);
    snprintf(w->out, sizeof(w->out), "%s.out", w->app);
    w->arena = mr_arena_create(mr_memory_system(), ARENA_BYTES, "test");
    w->log = mr_log_create(STDERR_FILENO, MR_LOG_ERROR, MR_LOG_LOGFMT);
    w->topics[IN] = (mr_plan_topic){
        .name = w->in, .source = 0, .create_partitions = partition_count, .create_replication = -1};
    w->topics[OUT] = (mr_plan_topic){.name = w->out,
                                     .source = MR_NO_INDEX,
                                     .is_output = true,
                                     .create_partitions = partition_count,
                                     .create_replication = -1};
    w->plan = (mr_plan){.app = w->app,
                        .topics = w->topics,
                        .topic_count = 2,
                        .has_kafka = true,
                        .brokers = w->bootstrap,
                        .commit = {.interval_us = 100000, .transaction_timeout_us = 10000000}};
    if (!w->is_broker) {
        w->cluster =
            mr_kafka_memory_create(mr_memory_system(), &w->plan, partition_count, ARENA_BYTES);
        assert_non_null(w->cluster);
        return w;
    }
    find_broker(w);
    const mr_preflight_options preflight = {
        .plan = &w->plan, .allow_client_version = true, .timeout_ms = WAIT_MS, .log = w->log};
    const mr_status status = mr_kafka_preflight(&preflight, counts, &diag);
    if (status != MR_OK) {
        fail_msg("%s", diag.text);
    }
    assert_int_equal(counts[IN], partition_count);
    w->feeder = client(w, RD_KAFKA_PRODUCER, NULL);
    return w;
}

UNUSED static void world_close(actor *a)
{
    if (a->is_open) {
        if (world_broker) {
            mr_kafka_close(&a->kafka);
        } else {
            mr_kafka_memory_close(&a->kafka);
        }
        close(a->wake);
        a->is_open = false;
    }
}

UNUSED static void world_end(world *w)
{
    for (uint32_t i = 0; i < w->actor_count; i++) {
        world_close(&w->actors[i]);
    }
    if (w->feeder != NULL) {
        rd_kafka_destroy(w->feeder);
    }
    mr_kafka_memory_destroy(w->cluster);
    mr_arena_destroy(w->arena);
    mr_log_destroy(w->log);
    free(w);
}

/* ---- Feeding and reading from outside ---- */

UNUSED static void feed_one(world *w, rd_kafka_t *producer, const char *topic,
                            const mr_record *record)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new(record->header_count + 1);
    for (uint32_t i = 0; i < record->header_count; i++) {
        const mr_view *pair = &record->headers[2 * (size_t)i];
        assert_int_equal(rd_kafka_header_add(headers, (const char *)pair[0].bytes,
                                             (ssize_t)pair[0].size_bytes, pair[1].bytes,
                                             (ssize_t)pair[1].size_bytes),
                         RD_KAFKA_RESP_ERR_NO_ERROR);
    }
    assert_int_equal(rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(topic),
                                       RD_KAFKA_V_PARTITION(record->partition),
                                       RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                                       RD_KAFKA_V_VALUE((void *)(uintptr_t)record->value.bytes,
                                                        record->value.size_bytes),
                                       RD_KAFKA_V_KEY(record->key.bytes, record->key.size_bytes),
                                       RD_KAFKA_V_TIMESTAMP(record->timestamp_ms),
                                       RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END),
                     RD_KAFKA_RESP_ERR_NO_ERROR);
    (void)w;
}

UNUSED static void world_feed_record(world *w, const mr_record *record)
{
    mr_record sent = *record;
    sent.topic = IN;
    if (!w->is_broker) {
        (void)mr_kafka_memory_append(w->cluster, &sent);
        return;
    }
    feed_one(w, w->feeder, w->in, &sent);
    assert_int_equal(rd_kafka_flush(w->feeder, WAIT_MS), RD_KAFKA_RESP_ERR_NO_ERROR);
}

/* Not flushed until an actor begins, so that many are quick. */
UNUSED static void world_feed(world *w, int32_t partition, const char *key, const char *value,
                              int64_t timestamp_ms)
{
    const mr_record record = {.topic = IN,
                              .partition = partition,
                              .timestamp_ms = timestamp_ms,
                              .key = view(key),
                              .value = view(value)};
    if (!w->is_broker) {
        (void)mr_kafka_memory_append(w->cluster, &record);
        return;
    }
    feed_one(w, w->feeder, w->in, &record);
}

UNUSED static void world_settle(world *w)
{
    if (w->is_broker) {
        assert_int_equal(rd_kafka_flush(w->feeder, WAIT_MS), RD_KAFKA_RESP_ERR_NO_ERROR);
    }
}

/* Reads read_committed up to the end; returns how many, the first `max` into `out`. */
UNUSED static uint32_t world_read_output(world *w, uint32_t partition, mr_record *out, uint32_t max)
{
    uint32_t count = 0;
    if (!w->is_broker) {
        mr_record record;
        while (mr_kafka_memory_read(w->cluster, OUT, partition, count, &record)) {
            if (count < max) {
                out[count] = record;
            }
            count++;
        }
        return count;
    }
    rd_kafka_t *reader = client(w, RD_KAFKA_CONSUMER, NULL);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, w->out, (int32_t)partition)->offset =
        RD_KAFKA_OFFSET_BEGINNING;
    rd_kafka_poll_set_consumer(reader);
    assert_int_equal(rd_kafka_assign(reader, list), RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_topic_partition_list_destroy(list);
    for (;;) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(reader, WAIT_MS);
        assert_non_null(message);
        if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
            rd_kafka_message_destroy(message);
            break;
        }
        assert_int_equal(message->err, RD_KAFKA_RESP_ERR_NO_ERROR);
        if (count < max) {
            rd_kafka_headers_t *headers = NULL;
            rd_kafka_timestamp_type_t type;
            mr_view *pairs = mr_arena_take_array(w->arena, 8, sizeof(mr_view));
            mr_record *record = &out[count];
            *record = (mr_record){.headers = pairs};
            if (message->key != NULL) {
                record->key.bytes =
                    (const uint8_t *)mr_arena_copy(w->arena, message->key, message->key_len);
                record->key.size_bytes = (uint32_t)message->key_len;
            }
            if (message->payload != NULL) {
                record->value.bytes =
                    (const uint8_t *)mr_arena_copy(w->arena, message->payload, message->len);
                record->value.size_bytes = (uint32_t)message->len;
            }
            record->timestamp_ms = rd_kafka_message_timestamp(message, &type);
            if (rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR) {
                const char *name = NULL;
                const void *bytes = NULL;
                size_t size = 0;
                for (uint32_t i = 0; rd_kafka_header_get_all(headers, i, &name, &bytes, &size) ==
                                     RD_KAFKA_RESP_ERR_NO_ERROR;
                     i++) {
                    pairs[2 * (size_t)i] = view(mr_arena_copy(w->arena, name, strlen(name)));
                    if (bytes != NULL) {
                        pairs[2 * (size_t)i + 1] = (mr_view){
                            .bytes = (const uint8_t *)mr_arena_copy(w->arena, bytes, size),
                            .size_bytes = (uint32_t)size};
                    }
                    record->header_count++;
                }
            }
        }
        count++;
        rd_kafka_message_destroy(message);
    }
    rd_kafka_destroy(reader);
    return count;
}

UNUSED static uint32_t world_count_output(world *w, uint32_t partition)
{
    return world_read_output(w, partition, NULL, 0);
}

/* ---- Actors ---- */

UNUSED static actor *world_actor(world *w, const char *worker_set)
{
    mr_diag diag;
    MR_ASSERT(w->actor_count < ACTORS_MAX);
    actor *a = &w->actors[w->actor_count++];
    a->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    a->options = (mr_kafka_options){.plan = &w->plan,
                                    .worker_set = worker_set,
                                    .memory_bytes = SHARD_MEMORY_BYTES,
                                    .partition_count = w->partition_count,
                                    .wake_descriptor = a->wake,
                                    .clock = mr_clock_system(),
                                    .random = mr_random_system(),
                                    .memory = mr_memory_system(),
                                    .log = w->log};
    const mr_status status = w->is_broker
                                 ? mr_kafka_open(&a->options, &a->kafka, &diag)
                                 : mr_kafka_memory_open(w->cluster, &a->options, &a->kafka, &diag);
    if (status != MR_OK) {
        fail_msg("%s", diag.text);
    }
    a->is_open = true;
    return a;
}

UNUSED static void nap(const actor *a)
{
    struct pollfd wait = {.fd = a->wake, .events = POLLIN};
    uint64_t count = 0;
    if (!a->kafka.type->may_sleep(a->kafka.self)) {
        return;
    }
    (void)poll(&wait, 1, 100);
    (void)!read(a->wake, &count, sizeof(count));
}

/* The next event that is not RECORDS. */
UNUSED static void next_event(actor *a)
{
    mr_kafka_event event;
    for (int waited_ms = 0; waited_ms < WAIT_MS; waited_ms += 100) {
        while (a->kafka.type->poll(a->kafka.self, &event, 1) == 1) {
            if (event.fact == MR_KAFKA_RECORDS) {
                continue;
            }
            a->event = event;
            if (event.fact == MR_KAFKA_FAILED) {
                a->failure = *event.diag;
                assert_int_equal(a->failure.status, event.status);
            }
            return;
        }
        nap(a);
    }
    fail_msg("no event within %d ms", WAIT_MS);
}

UNUSED static void world_init(world *w, actor *a, uint64_t incarnation)
{
    world_settle(w);
    for (uint32_t i = 0; i < w->partition_count; i++) {
        a->asked[i] = (mr_offset){.topic = IN, .partition = i, .offset = -1, .start = w->start};
    }
    const mr_kafka_command command = {.op = MR_KAFKA_INIT,
                                      .incarnation = incarnation,
                                      .offsets = a->asked,
                                      .offset_count = w->partition_count};
    a->incarnation = incarnation;
    assert_int_equal(a->kafka.type->submit(a->kafka.self, &command), MR_OK);
}

UNUSED static void world_expect_ready(world *w, actor *a)
{
    next_event(a);
    if (a->event.fact != MR_KAFKA_READY) {
        fail_msg("not ready: %s", a->failure.text);
    }
    assert_int_equal(a->event.offset_count, w->partition_count);
    memcpy(a->ready, a->event.offsets, w->partition_count * sizeof(mr_offset));
}

UNUSED static void world_expect_failed(world *w, actor *a)
{
    (void)w;
    next_event(a);
    assert_int_equal(a->event.fact, MR_KAFKA_FAILED);
    assert_true(a->failure.text_size_bytes > 0);
}

UNUSED static void world_reset(actor *a)
{
    const mr_kafka_command command = {.op = MR_KAFKA_RESET};
    assert_int_equal(a->kafka.type->submit(a->kafka.self, &command), MR_OK);
}

UNUSED static void world_assign(world *w, actor *a, int64_t offset)
{
    mr_kafka_event event = {.fact = MR_KAFKA_READY};
    for (uint32_t i = 0; i < w->partition_count; i++) {
        a->offsets[i] = a->ready[i];
        a->offsets[i].offset = offset;
    }
    const mr_kafka_command command = {
        .op = MR_KAFKA_ASSIGN, .offsets = a->offsets, .offset_count = w->partition_count};
    assert_int_equal(a->kafka.type->submit(a->kafka.self, &command), MR_OK);
    for (int i = 0; i < WAIT_MS / 100 && event.fact != MR_KAFKA_RECORDS; i++) {
        if (a->kafka.type->poll(a->kafka.self, &event, 1) == 0) {
            nap(a);
        }
    }
    assert_int_equal(event.fact, MR_KAFKA_RECORDS);
}

/* Records; ends of the log without records are passed over. */
UNUSED static mr_fetch *world_take(world *w, actor *a, uint32_t input)
{
    world_settle(w);
    for (int i = 0; i < WAIT_MS / 100; i++) {
        mr_kafka_event event;
        assert_int_equal(a->kafka.type->poll(a->kafka.self, &event, 1), 0);
        mr_fetch *fetch = a->kafka.type->take(a->kafka.self, input);
        if (fetch != NULL && fetch->record_count > 0) {
            return fetch;
        }
        if (fetch != NULL) {
            a->kafka.type->give_back(a->kafka.self, fetch);
            continue;
        }
        nap(a);
    }
    fail_msg("no records within %d ms", WAIT_MS);
    return NULL;
}

UNUSED static uint32_t world_read_to_end(world *w, actor *a, uint32_t input)
{
    uint32_t count = 0;
    bool at_end = false;
    world_settle(w);
    for (int i = 0; i < WAIT_MS / 100 && !at_end; i++) {
        mr_kafka_event event;
        mr_fetch *fetch = NULL;
        assert_int_equal(a->kafka.type->poll(a->kafka.self, &event, 1), 0);
        while (!at_end && (fetch = a->kafka.type->take(a->kafka.self, input)) != NULL) {
            a->fetch_max = fetch->record_count > a->fetch_max ? fetch->record_count : a->fetch_max;
            count += fetch->record_count;
            if (fetch->record_count > 0) {
                const mr_view value = fetch->records[fetch->record_count - 1].value;
                snprintf(a->last_value, sizeof(a->last_value), "%.*s", (int)value.size_bytes,
                         (const char *)value.bytes);
            }
            /* An end that lies before what was fed is an old one. */
            at_end = fetch->at_end && count > 0;
            a->end_offset = fetch->at_end ? fetch->end_offset : a->end_offset;
            a->kafka.type->give_back(a->kafka.self, fetch);
        }
        if (!at_end) {
            nap(a);
        }
    }
    assert_true(at_end);
    return count;
}

/* ---- Epochs ---- */

UNUSED static mr_chunk *world_chunk(world *w, uint64_t epoch)
{
    mr_chunk *chunk = mr_arena_take(w->arena, sizeof(mr_chunk));
    chunk->records = mr_arena_take_array(w->arena, CHUNK_RECORDS, sizeof(mr_record));
    chunk->room = mr_arena_take(w->arena, CHUNK_BYTES);
    assert_non_null(chunk->room);
    chunk->room_end = chunk->room + CHUNK_BYTES;
    chunk->record_max = CHUNK_RECORDS;
    chunk->epoch = epoch;
    return chunk;
}

UNUSED static mr_view put_view(mr_chunk *chunk, mr_view from)
{
    if (from.bytes == NULL) {
        return from;
    }
    assert_true(from.size_bytes <= chunk->room_end - chunk->room);
    const mr_view out = {.bytes = chunk->room, .size_bytes = from.size_bytes};
    memcpy(chunk->room, from.bytes, from.size_bytes);
    chunk->room += from.size_bytes;
    return out;
}

UNUSED static void world_put(mr_chunk *chunk, int32_t partition, mr_view key, mr_view value,
                             int64_t timestamp_ms, const mr_view *headers, uint32_t header_count)
{
    mr_view *pairs = (mr_view *)(void *)(((uintptr_t)chunk->room + 15) & ~(uintptr_t)15);
    chunk->room = (uint8_t *)(pairs + 2 * (size_t)header_count);
    for (uint32_t i = 0; i < 2 * header_count; i++) {
        pairs[i] = put_view(chunk, headers[i]);
    }
    assert_true(chunk->record_count < chunk->record_max);
    mr_record *record = &chunk->records[chunk->record_count++];
    *record = (mr_record){.topic = OUT,
                          .partition = partition,
                          .timestamp_ms = timestamp_ms,
                          .headers = pairs,
                          .header_count = header_count};
    record->key = put_view(chunk, key);
    record->value = put_view(chunk, value);
}

UNUSED static void world_produce(world *w, actor *a, mr_chunk *chunk)
{
    const mr_kafka_command command = {
        .op = MR_KAFKA_PRODUCE, .epoch = chunk->epoch, .chunk = chunk};
    (void)w;
    for (int i = 0; i < WAIT_MS / 100; i++) {
        mr_kafka_event event;
        if (a->kafka.type->submit(a->kafka.self, &command) == MR_OK) {
            return;
        }
        assert_int_equal(a->kafka.type->poll(a->kafka.self, &event, 1), 0);
        nap(a);
    }
    fail_msg("the chunk was not taken within %d ms", WAIT_MS);
}

UNUSED static void world_wait_produced(world *w, actor *a, uint64_t epoch)
{
    (void)w;
    for (int i = 0; i < WAIT_MS; i++) {
        mr_kafka_event event;
        if (a->kafka.type->produced(a->kafka.self, epoch)) {
            return;
        }
        assert_int_equal(a->kafka.type->poll(a->kafka.self, &event, 1), 0);
        struct pollfd none = {.fd = -1};
        (void)poll(&none, 1, 1);
    }
    fail_msg("not acked within %d ms", WAIT_MS);
}

UNUSED static uint32_t world_record(const actor *a, uint64_t epoch,
                                    char out[MR_RECORD_BYTES_MAX + 1])
{
    mr_offset_record record = {.lineage = 0xabc,
                               .epoch = epoch,
                               .state_epoch = epoch,
                               .incarnation = a->incarnation,
                               .digest = 5};
    snprintf(record.owner, sizeof(record.owner), "%s-0", a->options.worker_set);
    memset(record.topic_id, '0', 32);
    return mr_offset_record_print(&record, out);
}

UNUSED static uint64_t world_epoch_of(const mr_offset *offset)
{
    mr_offset_record record;
    assert_int_equal(mr_offset_record_parse(offset->metadata, offset->metadata_size_bytes, &record),
                     MR_RECORD_OK);
    return record.epoch;
}

UNUSED static mr_status submit_offsets(world *w, actor *a, uint64_t epoch, int64_t offset)
{
    for (uint32_t i = 0; i < w->partition_count; i++) {
        a->offsets[i] = (mr_offset){.topic = IN, .partition = i, .offset = offset};
        a->offsets[i].metadata_size_bytes = world_record(a, epoch, a->offsets[i].metadata);
    }
    const mr_kafka_command command = {.op = MR_KAFKA_OFFSETS,
                                      .epoch = epoch,
                                      .offsets = a->offsets,
                                      .offset_count = w->partition_count};
    return a->kafka.type->submit(a->kafka.self, &command);
}

UNUSED static void world_offsets(world *w, actor *a, uint64_t epoch, int64_t offset)
{
    assert_int_equal(submit_offsets(w, a, epoch, offset), MR_OK);
}

UNUSED static void world_commit(world *w, actor *a, uint64_t epoch)
{
    const mr_kafka_command command = {.op = MR_KAFKA_COMMIT, .epoch = epoch};
    (void)w;
    assert_int_equal(a->kafka.type->submit(a->kafka.self, &command), MR_OK);
    next_event(a);
    if (a->event.fact != MR_KAFKA_COMMITTED) {
        fail_msg("not committed: %s", a->failure.text);
    }
    assert_int_equal(a->event.epoch, epoch);
}

/* Whatever of an epoch a client still takes; its answers are the caller's affair. */
UNUSED static void world_try_epoch(world *w, actor *a, uint64_t epoch, mr_chunk *chunk,
                                   int64_t offset)
{
    if (chunk != NULL) {
        const mr_kafka_command command = {.op = MR_KAFKA_PRODUCE, .epoch = epoch, .chunk = chunk};
        (void)a->kafka.type->submit(a->kafka.self, &command);
    }
    if (submit_offsets(w, a, epoch, offset) == MR_OK) {
        const mr_kafka_command command = {.op = MR_KAFKA_COMMIT, .epoch = epoch};
        (void)a->kafka.type->submit(a->kafka.self, &command);
    }
}

/* `count` records, numbered, in as many chunks as it takes. */
UNUSED static void world_produce_many(world *w, actor *a, uint64_t epoch, uint32_t count,
                                      uint32_t value_bytes)
{
    char *value = mr_arena_take(w->arena, value_bytes + 1);
    mr_chunk *chunk = NULL;
    memset(value, '.', value_bytes);
    for (uint32_t i = 0; i < count; i++) {
        char number[16];
        const int size = snprintf(number, sizeof(number), "%08u", i);
        memcpy(value, number, (size_t)size);
        chunk = chunk == NULL ? world_chunk(w, epoch) : chunk;
        world_put(chunk, 0, view(number), view(value), 1000, NULL, 0);
        if (chunk->record_count == chunk->record_max || i + 1 == count) {
            world_produce(w, a, chunk);
            chunk = NULL;
        }
    }
}

/* How many records there are, if each carries its own number. */
UNUSED static uint32_t world_count_in_order(world *w, uint32_t partition)
{
    const uint32_t count = world_count_output(w, partition);
    mr_record *records = mr_arena_take_array(w->arena, count + 1, sizeof(mr_record));
    assert_int_equal(world_read_output(w, partition, records, count), count);
    for (uint32_t i = 0; i < count; i++) {
        char number[16];
        snprintf(number, sizeof(number), "%08u", i);
        assert_memory_equal(records[i].key.bytes, number, 8);
        assert_memory_equal(records[i].value.bytes, number, 8);
    }
    return count;
}

/* A transaction on the input topic that is rolled back. */
UNUSED static void world_feed_aborted(world *w, const char *key, const char *value)
{
    const mr_record record = {
        .topic = IN, .timestamp_ms = 1000, .key = view(key), .value = view(value)};
    if (!w->is_broker) {
        mr_kafka_memory_append_aborted(w->cluster, &record);
        return;
    }
    char id[100];
    snprintf(id, sizeof(id), "%s-abort", w->app);
    world_settle(w);
    rd_kafka_t *producer = client(w, RD_KAFKA_PRODUCER, id);
    assert_null(rd_kafka_init_transactions(producer, WAIT_MS));
    assert_null(rd_kafka_begin_transaction(producer));
    feed_one(w, producer, w->in, &record);
    assert_int_equal(rd_kafka_flush(producer, WAIT_MS), RD_KAFKA_RESP_ERR_NO_ERROR);
    assert_null(rd_kafka_abort_transaction(producer, WAIT_MS));
    rd_kafka_destroy(producer);
}

#endif
