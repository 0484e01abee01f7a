/*
 * copy.c - the plain program: what a careful person writes by hand on librdkafka for one job.
 *
 *   bench_copy pass|q2|count INPUT OUTPUT ID [INTERVAL_MS]
 *
 * Every engine's figure is set against this one. It reads all partitions of INPUT to the end they
 * have at its start, writes to OUTPUT in Kafka transactions, and every INTERVAL_MS (100) commits
 * the input offsets of group ID, with a metadata text as long as the engine's, inside the
 * transaction: exactly once as long as it is never restarted. It keeps no durable state, recovers
 * from nothing and dies at the first error, so it is a limit, not a competitor.
 *
 *   pass    record for record, key and value as they are, to the same partition
 *   q2      of JSON bids those with auction % 123 = 0, as {"auction":A,"price":P}
 *   count   records so far by the JSON field k; at each commit {"k":K,"n":N} for each k that
 * changed
 *
 * Tuned as librdkafka 2.0.2 needs it: a prefetch queue that never fills (at its limit fetching
 * stops for a good part of a second), fetches of 4 MB, delivery events instead of callbacks (a
 * commit ends in 2 ms instead of 11) and a thread of its own that drains them while the main
 * thread is inside commit. JSON is read by the engine's own reader: both pay the same for it.
 * It prints one line with its counts and commit times.
 *
 * LINK: mr_base
 */
#include "bench/client.h"
#include "engine/base/json.h"
#include "engine/base/memory.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/resource.h>

enum {
    BATCH_MAX = 1000,
    WAIT_MS = 20, /* A batch call returns when it is full or at this time. */
    COMMITS_MAX = 100000,
    METADATA_BYTES = 175,
    RECORD_BYTES_MAX = 1 << 20,
    OUTPUT_BYTES_MAX = 64,
    ARENA_BYTES_MAX = 64 << 20,
    KEY_SLOTS = 1 << 22, /* For up to 2^21 keys; 100 MB. */
};

typedef enum job { JOB_PASS, JOB_Q2, JOB_COUNT } job;

typedef struct counter { /* One key of `count`. `n` 0: a free slot. */
    uint64_t key, n;
    uint32_t epoch; /* In which it changed last. */
    int32_t partition;
} counter;

typedef struct latencies { /* In seconds, of each commit. */
    double values[COMMITS_MAX];
    uint32_t count;
} latencies;

typedef struct copy {
    job what;
    double interval_s;
    const char *input, *output;
    /* Input. */
    rd_kafka_t *consumer;
    rd_kafka_queue_t *queue;
    rd_kafka_consumer_group_metadata_t *group;
    int32_t partition_count;
    int64_t next[BENCH_PARTITIONS_MAX]; /* Offset behind the last applied record; -1: none new. */
    uint64_t record_total, record_count;
    /* Output. */
    rd_kafka_t *producer;
    rd_kafka_topic_t *topic;
    rd_kafka_queue_t *events;
    pthread_t drainer;
    atomic_bool is_ending;
    uint64_t output_count;
    /* Jobs. */
    mr_json_reader *json;
    uint8_t *scratch, *scratch_end;
    counter *counters;
    uint32_t *changed; /* Slots that changed in this epoch. */
    uint32_t changed_count, used_count, epoch;
    latencies send_offsets, commit;
} copy;

static void input_open(copy *c, const char *group);
static void output_open(copy *c, const char *id);
static void jobs_open(copy *c);
static void run(copy *c);
static void report(copy *c, double seconds);

int main(int argc, char **argv)
{
    static const char *const names[] = {"pass", "q2", "count"};
    static copy c;
    int what = 0;
    while (argc >= 5 && what < 3 && strcmp(argv[1], names[what]) != 0) {
        what++;
    }
    if (argc < 5 || argc > 6 || what == 3) {
        fputs("usage: bench_copy pass|q2|count INPUT OUTPUT ID [INTERVAL_MS]   (cluster: "
              "MR_KAFKA=host:port)\n",
              stderr);
        return 2;
    }
    c.what = (job)what;
    c.input = argv[2];
    c.output = argv[3];
    c.interval_s = (double)bench_number(argc == 6 ? argv[5] : "100", 1, 60000) / 1000;
    jobs_open(&c);
    output_open(&c, argv[4]);
    input_open(&c, argv[4]);
    const double start_s = bench_now_s();
    run(&c);
    report(&c, bench_now_s() - start_s);
    _exit(0); /* All is committed; closing the clients would only cost time. */
}

/* ---- Input and output ---- */

static void input_open(copy *c, const char *group)
{
    const bench_setting settings[] = {{"group.id", group},
                                      {"isolation.level", "read_committed"},
                                      {"enable.auto.commit", "false"},
                                      {"enable.auto.offset.store", "false"},
                                      {"auto.offset.reset", "error"},
                                      {"queued.min.messages", "1000000"},
                                      {"queued.max.messages.kbytes", "262144"},
                                      {"fetch.message.max.bytes", "4194304"},
                                      {"fetch.max.bytes", "52428800"},
                                      {"fetch.wait.max.ms", "50"},
                                      {"check.crcs", "true"},
                                      {NULL, NULL}};
    c->consumer = bench_consumer(settings, c->input, &c->partition_count);
    c->queue = rd_kafka_queue_get_consumer(c->consumer);
    c->group = rd_kafka_consumer_group_metadata(c->consumer);
    if (c->partition_count > bench_partition_count(c->producer, c->output)) {
        bench_fail("%s has fewer partitions than %s", c->output, c->input);
    }
    for (int32_t p = 0; p < c->partition_count; p++) {
        int64_t first = 0;
        int64_t end = 0;
        bench_check(rd_kafka_query_watermark_offsets(c->consumer, c->input, p, &first, &end,
                                                     BENCH_ANSWER_MS_MAX),
                    c->input);
        c->record_total += (uint64_t)(end - first);
        c->next[p] = -1;
    }
}

static void *drain(void *argument)
{
    copy *c = argument;
    while (!atomic_load_explicit(&c->is_ending, memory_order_relaxed)) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(c->events, 100);
        if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_DR) {
            const rd_kafka_message_t *message = rd_kafka_event_message_next(event);
            bench_check(message == NULL ? RD_KAFKA_RESP_ERR_NO_ERROR : message->err, c->output);
        } else if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR) {
            fprintf(stderr, "bench_copy: %s\n", rd_kafka_event_error_string(event));
        }
        if (event != NULL) {
            rd_kafka_event_destroy(event);
        }
    }
    return NULL;
}

static void output_open(copy *c, const char *id)
{
    const bench_setting settings[] = {{"transactional.id", id},
                                      {"transaction.timeout.ms", "60000"},
                                      {"compression.type", "lz4"},
                                      {"linger.ms", "5"},
                                      {"batch.size", "1000000"},
                                      {"batch.num.messages", "100000"},
                                      {"queue.buffering.max.messages", "1000000"},
                                      {"queue.buffering.max.kbytes", "1048576"},
                                      {"delivery.report.only.error", "true"},
                                      {"socket.nagle.disable", "true"},
                                      {NULL, NULL}};
    rd_kafka_conf_t *conf = bench_conf(settings);
    rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR);
    c->producer = bench_client(RD_KAFKA_PRODUCER, conf);
    c->events = rd_kafka_queue_get_main(c->producer);
    if (pthread_create(&c->drainer, NULL, drain, c) != 0) {
        bench_fail("no thread for the delivery events");
    }
    bench_check_error(rd_kafka_init_transactions(c->producer, BENCH_ANSWER_MS_MAX),
                      "init_transactions");
    c->topic = rd_kafka_topic_new(c->producer, c->output, NULL);
}

static void put(copy *c, int32_t partition, const void *key, size_t key_bytes, void *value,
                size_t value_bytes)
{
    while (rd_kafka_produce(c->topic, partition, RD_KAFKA_MSG_F_COPY, value, value_bytes, key,
                            key_bytes, NULL) != 0) {
        if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            bench_check(rd_kafka_last_error(), "produce");
        }
        usleep(500); /* The client's own threads make room. */
    }
    c->output_count++;
}

/* ---- The jobs ---- */

static void *take(size_t size_bytes, const char *purpose)
{
    const mr_memory memory = mr_memory_system();
    void *found = memory.type->acquire(memory.self, size_bytes, purpose);
    if (found == NULL) {
        bench_fail("no memory for %s", purpose);
    }
    return found;
}

static void jobs_open(copy *c)
{
    static const char *const auction[] = {"bid", "auction"};
    static const char *const price[] = {"bid", "price"};
    static const char *const key[] = {"k"};
    static const mr_json_path bid_paths[] = {{auction, 2}, {price, 2}};
    static const mr_json_path key_paths[] = {{key, 1}};
    if (c->what == JOB_PASS) {
        return;
    }
    mr_arena *arena = mr_arena_create(mr_memory_system(), ARENA_BYTES_MAX, "json");
    c->json = arena == NULL ? NULL
                            : mr_json_reader_open(arena, c->what == JOB_Q2 ? bid_paths : key_paths,
                                                  c->what == JOB_Q2 ? 2 : 1, RECORD_BYTES_MAX);
    if (c->json == NULL) {
        bench_fail("no memory for the JSON reader");
    }
    c->scratch = take((size_t)2 * RECORD_BYTES_MAX, "json text");
    c->scratch_end = c->scratch + (size_t)2 * RECORD_BYTES_MAX;
    if (c->what == JOB_COUNT) {
        c->counters = take((size_t)KEY_SLOTS * sizeof(counter), "counters");
        c->changed = take((size_t)KEY_SLOTS * sizeof(uint32_t), "changed keys");
        c->epoch = 1;
    }
}

static uint64_t natural(const mr_json_value *value, const rd_kafka_message_t *message)
{
    uint64_t sum = 0;
    bool is_number = value->kind == MR_JSON_NUMBER && value->size_bytes < 20;
    for (uint32_t i = 0; is_number && i < value->size_bytes; i++) {
        is_number = value->text[i] >= '0' && value->text[i] <= '9';
        sum = sum * 10 + (uint64_t)(value->text[i] - '0');
    }
    if (!is_number) {
        bench_fail("partition %d offset %lld: not a natural number", message->partition,
                   (long long)message->offset);
    }
    return sum;
}

static void parse(copy *c, const rd_kafka_message_t *message, mr_json_value *values)
{
    uint8_t *scratch = c->scratch;
    const mr_json_result result = mr_json_read(c->json, message->payload, (uint32_t)message->len,
                                               values, &scratch, c->scratch_end);
    if (result != MR_JSON_OK) {
        bench_fail("partition %d offset %lld: not JSON", message->partition,
                   (long long)message->offset);
    }
}

static void filter_bid(copy *c, const rd_kafka_message_t *message)
{
    char text[OUTPUT_BYTES_MAX];
    mr_json_value values[2];
    parse(c, message, values);
    const uint64_t auction = natural(&values[0], message);
    if (auction % 123 != 0) {
        return;
    }
    char *end = bench_decimal(bench_text(text, "{\"auction\":"), auction);
    end = bench_decimal(bench_text(end, ",\"price\":"), natural(&values[1], message));
    *end++ = '}';
    put(c, message->partition, message->key, message->key_len, text, (size_t)(end - text));
}

static void count_key(copy *c, const rd_kafka_message_t *message)
{
    mr_json_value value;
    parse(c, message, &value);
    const uint64_t key = natural(&value, message);
    uint32_t at = (uint32_t)(bench_mix(key) & (KEY_SLOTS - 1));
    while (c->counters[at].n != 0 && c->counters[at].key != key) {
        at = (at + 1) & (KEY_SLOTS - 1);
    }
    counter *slot = &c->counters[at];
    if (slot->n == 0 && ++c->used_count > KEY_SLOTS / 2) {
        bench_fail("more than %d keys", KEY_SLOTS / 2);
    }
    slot->key = key;
    slot->n++;
    if (slot->epoch != c->epoch) {
        slot->epoch = c->epoch;
        slot->partition = message->partition;
        c->changed[c->changed_count++] = at;
    }
}

static void put_changed(copy *c)
{
    char key[OUTPUT_BYTES_MAX];
    char value[OUTPUT_BYTES_MAX];
    for (uint32_t i = 0; i < c->changed_count; i++) {
        const counter *slot = &c->counters[c->changed[i]];
        const size_t key_bytes = (size_t)(bench_decimal(key, slot->key) - key);
        char *end = bench_text(value, "{\"k\":");
        memcpy(end, key, key_bytes);
        end = bench_decimal(bench_text(end + key_bytes, ",\"n\":"), slot->n);
        *end++ = '}';
        put(c, slot->partition, key, key_bytes, value, (size_t)(end - value));
    }
    c->changed_count = 0;
    c->epoch++;
}

/* ---- The loop ---- */

static void latencies_add(latencies *l, double seconds)
{
    if (l->count < COMMITS_MAX) {
        l->values[l->count++] = seconds;
    }
}

static void commit(copy *c)
{
    char metadata[METADATA_BYTES + 1];
    memset(metadata, 'x', METADATA_BYTES);
    metadata[METADATA_BYTES] = '\0';
    if (c->what == JOB_COUNT) {
        put_changed(c);
    }
    rd_kafka_topic_partition_list_t *offsets =
        rd_kafka_topic_partition_list_new(c->partition_count);
    for (int32_t p = 0; p < c->partition_count; p++) {
        if (c->next[p] >= 0) {
            rd_kafka_topic_partition_t *one =
                rd_kafka_topic_partition_list_add(offsets, c->input, p);
            one->offset = c->next[p];
            one->metadata = strdup(metadata); /* The list takes it. */
            one->metadata_size = METADATA_BYTES;
            c->next[p] = -1;
        }
    }
    const double start_s = bench_now_s();
    bench_check_error(
        rd_kafka_send_offsets_to_transaction(c->producer, offsets, c->group, BENCH_ANSWER_MS_MAX),
        "send_offsets_to_transaction");
    const double sent_s = bench_now_s();
    bench_check_error(rd_kafka_commit_transaction(c->producer, -1), "commit_transaction");
    latencies_add(&c->send_offsets, sent_s - start_s);
    latencies_add(&c->commit, bench_now_s() - sent_s);
    rd_kafka_topic_partition_list_destroy(offsets);
}

static void apply(copy *c, rd_kafka_message_t *const *messages, ssize_t count)
{
    for (ssize_t i = 0; i < count; i++) {
        const rd_kafka_message_t *message = messages[i];
        bench_check(message->err, c->input);
        switch (c->what) {
        case JOB_PASS:
            put(c, message->partition, message->key, message->key_len, message->payload,
                message->len);
            break;
        case JOB_Q2:
            filter_bid(c, message);
            break;
        case JOB_COUNT:
            count_key(c, message);
            break;
        }
        c->next[message->partition] = message->offset + 1;
    }
    c->record_count += (uint64_t)count;
}

static void run(copy *c)
{
    static rd_kafka_message_t *messages[BATCH_MAX];
    double begun_s = bench_now_s();
    bench_check_error(rd_kafka_begin_transaction(c->producer), "begin_transaction");
    while (c->record_count < c->record_total) {
        const ssize_t count = rd_kafka_consume_batch_queue(c->queue, WAIT_MS, messages, BATCH_MAX);
        if (count > 0) {
            apply(c, messages, count);
        }
        for (ssize_t i = 0; i < count; i++) {
            rd_kafka_message_destroy(messages[i]);
        }
        const bool is_last = c->record_count >= c->record_total;
        if (is_last || bench_now_s() - begun_s >= c->interval_s) {
            commit(c);
            begun_s = bench_now_s();
            if (!is_last) {
                bench_check_error(rd_kafka_begin_transaction(c->producer), "begin_transaction");
            }
        }
    }
    atomic_store_explicit(&c->is_ending, true, memory_order_relaxed);
}

static int by_value(const void *left, const void *right)
{
    const double a = *(const double *)left;
    const double b = *(const double *)right;
    return (a > b) - (a < b);
}

/* In milliseconds; `part` of the values are at most that. */
static double quantile_ms(latencies *l, double part)
{
    qsort(l->values, l->count, sizeof l->values[0], by_value);
    return l->count == 0 ? 0 : 1000 * l->values[(uint32_t)((l->count - 1) * part)];
}

static void report(copy *c, double seconds)
{
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    printf("records_in=%llu records_out=%llu seconds=%.3f commits=%u send_offsets_ms_p50=%.2f "
           "commit_ms_p50=%.2f commit_ms_p99=%.2f rss_kib=%ld\n",
           (unsigned long long)c->record_count, (unsigned long long)c->output_count, seconds,
           c->commit.count, quantile_ms(&c->send_offsets, 0.5), quantile_ms(&c->commit, 0.5),
           quantile_ms(&c->commit, 0.99), use.ru_maxrss);
    fflush(stdout);
}
