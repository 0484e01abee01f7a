/*
 * shard_fixture.h - a shard in the test's own thread: hand-made plan, fake Kafka, fake clock, fake
 * random, volatile store. The plan is source -> [counter ->] sink over `partition_count` tasks; the
 * counter sends a key's running count for each of its rows, so its output is wrong as soon as one
 * row is lost, doubled or out of order. Not every test needs all of it.
 */
#ifndef MR_TESTS_UNIT_RUNTIME_SHARD_FIXTURE_H
#define MR_TESTS_UNIT_RUNTIME_SHARD_FIXTURE_H

#include "engine/batch/batch.h"
#include "engine/runtime/runtime_private.h"
#include "tests/unit/runtime/kafka_fake.h"
#include <millrace/operator.h>
#include <millrace/sink.h>
#include <millrace/source.h>
#include <millrace/version.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

enum { TOPIC_IN, TOPIC_OTHER, TOPIC_OUT, TOPIC_DEAD, TOPIC_COUNT };

/* ---- Source: key text, value bigint; a value that is no number is rejected ---- */

typedef struct test_source {
    const mr_plan_node *node;
    mr_fetch *fetch;
    uint32_t next;
    int64_t position;
} test_source;

static mr_status source_open(void *self, const mr_plan_node *node, mr_task *task,
                             const mr_position *from)
{
    test_source *source = self;
    (void)task;
    *source = (test_source){.node = node};
    memcpy(&source->position, from->bytes, sizeof(source->position));
    return MR_OK;
}

static mr_step source_poll(void *self, mr_task *task, mr_batch *out)
{
    test_source *source = self;
    if (source->fetch == NULL || source->next == source->fetch->record_count) {
        source->fetch = mr_task_next_fetch(task);
        source->next = 0;
        if (source->fetch == NULL || source->fetch->record_count == 0) {
            source->fetch = NULL;
            return MR_STEP_WAIT;
        }
    }
    const mr_fetch *fetch = source->fetch;
    mr_view *keys = mr_batch_cells(out, 0);
    int64_t *values = mr_batch_cells(out, 1);
    int64_t *times = mr_batch_event_times(out);
    uint16_t *records = mr_batch_records(out);
    uint16_t *selection = mr_batch_selection(out);
    uint32_t rows = 0;
    uint32_t selected = 0;

    mr_batch_set_fetch(out, source->fetch);
    for (; source->next < fetch->record_count && rows < mr_task_rows_max(task); rows++) {
        const mr_fetch_record *record = &fetch->records[source->next];
        records[rows] = (uint16_t)source->next++;
        keys[rows] = record->key;
        times[rows] = record->timestamp_ms * 1000;
        source->position = record->offset + 1;
        if (record->value.bytes[0] < '0' || record->value.bytes[0] > '9') {
            mr_task_reject(task, out, rows, MR_ROW_DECODE_TYPE);
            continue;
        }
        values[rows] = strtoll((const char *)record->value.bytes, NULL, 10);
        selection[selected++] = (uint16_t)rows;
    }
    mr_batch_set_rows(out, rows);
    mr_batch_select(out, selected);
    return MR_STEP_NEXT;
}

static void source_position(const void *self, mr_position *next)
{
    const test_source *source = self;
    memcpy(next->bytes, &source->position, sizeof(source->position));
    next->size_bytes = sizeof(source->position);
}

static bool source_caught_up(const void *self)
{
    (void)self;
    return false;
}

static const mr_source_type source_type = {.head = {.abi_version = MR_OPERATOR_ABI,
                                                    .struct_size = sizeof(mr_source_type),
                                                    .name = "test",
                                                    .self_size = sizeof(test_source),
                                                    .flags = MR_SOURCE_KAFKA},
                                           .open = source_open,
                                           .poll = source_poll,
                                           .position = source_position,
                                           .caught_up = source_caught_up};

/* ---- Counter: key -> how often it was seen; (key, count) for each row ---- */

typedef struct test_counter {
    mr_keys *keys;
    mr_table *table;
} test_counter;

static mr_status counter_open(void *self, const void *spec, mr_task *task)
{
    static const uint16_t column = 0;
    test_counter *counter = self;
    (void)spec;
    counter->table = mr_task_table(task, 0);
    counter->keys = mr_keys_create(mr_task_arena(task), &column, 1, mr_table_seed(counter->table));
    MR_ASSERT(counter->keys != NULL);
    return MR_OK;
}

static mr_step counter_prefetch(void *self, mr_task *task, uint32_t port, const mr_batch *in)
{
    test_counter *counter = self;
    (void)port;
    if (!mr_keys_encode(counter->keys, in)) {
        return mr_task_fail(task, MR_ERR_OVERFLOW, "too many keys");
    }
    return mr_table_prefetch(counter->table, counter->keys);
}

static mr_step counter_process(void *self, mr_task *task, uint32_t port, const mr_batch *in,
                               mr_batch *const outs[])
{
    test_counter *counter = self;
    mr_batch *out = outs[0];
    mr_view *keys = mr_batch_cells(out, 0);
    int64_t *counts = mr_batch_cells(out, 1);
    int64_t *times = mr_batch_event_times(out);
    (void)port;
    for (uint32_t i = 0; i < in->selected_count; i++) {
        const uint32_t row = mr_batch_row(in, i);
        int64_t *count = mr_table_update(counter->table, counter->keys,
                                         counter->keys->key_of_row[i], sizeof(*count));
        if (count == NULL) {
            return mr_task_fail_full(task);
        }
        (*count)++;
        keys[i] = in->columns[0].as.views[row];
        counts[i] = *count;
        times[i] = in->event_time_us[row];
    }
    mr_batch_set_rows(out, in->selected_count);
    return MR_STEP_NEXT;
}

static const mr_operator_type counter_type = {.abi_version = MR_OPERATOR_ABI,
                                              .struct_size = sizeof(mr_operator_type),
                                              .name = "count",
                                              .input_count_min = 1,
                                              .input_count_max = 1,
                                              .output_count = 1,
                                              .flags = MR_OP_KEYED | MR_OP_STATEFUL,
                                              .self_size = sizeof(test_counter),
                                              .open = counter_open,
                                              .prefetch = counter_prefetch,
                                              .process = counter_process};

/* ---- Sink: the value as text, padded to the spec's size, on the task's own partition ---- */

typedef struct test_sink_spec {
    uint32_t value_bytes; /* At least; 0 = as it is. */
} test_sink_spec;

typedef struct test_sink {
    const mr_plan_node *node;
} test_sink;

static mr_status sink_open(void *self, const mr_plan_node *node, mr_task *task, uint64_t epoch)
{
    (void)task;
    (void)epoch;
    ((test_sink *)self)->node = node;
    return MR_OK;
}

static mr_step sink_write(void *self, mr_task *task, uint64_t epoch, const mr_batch *in)
{
    const test_sink *sink = self;
    const test_sink_spec *spec = sink->node->spec;
    (void)epoch;
    for (uint32_t i = 0; i < in->selected_count; i++) {
        const uint32_t row = mr_batch_row(in, i);
        const mr_view key = in->columns[0].as.views[row];
        char text[FAKE_TEXT] = {0};
        const uint32_t length = (uint32_t)snprintf(text, sizeof(text), "%lld",
                                                   (long long)in->columns[1].as.integers[row]);
        const uint32_t value_bytes = spec->value_bytes > length ? spec->value_bytes : length;
        mr_chunk *chunk = mr_task_output(task, key.size_bytes + value_bytes);
        if (chunk == NULL) {
            return mr_task_fail(task, MR_ERR_OVERFLOW, "the output arena is full");
        }
        mr_record *record = &chunk->records[chunk->record_count++];
        *record = (mr_record){.topic = TOPIC_OUT, .partition = (int32_t)mr_task_partition(task)};
        memcpy(chunk->room, key.bytes, key.size_bytes);
        record->key = (mr_view){.bytes = chunk->room, .size_bytes = key.size_bytes};
        chunk->room += key.size_bytes;
        memset(chunk->room, 0, value_bytes);
        memcpy(chunk->room, text, length);
        record->value = (mr_view){.bytes = chunk->room, .size_bytes = value_bytes};
        chunk->room += value_bytes;
    }
    return MR_STEP_NEXT;
}

static const mr_sink_type sink_type = {.head = {.abi_version = MR_OPERATOR_ABI,
                                                .struct_size = sizeof(mr_sink_type),
                                                .name = "test",
                                                .self_size = sizeof(test_sink),
                                                .flags = MR_SINK_IN_TXN},
                                       .open = sink_open,
                                       .write = sink_write};

/* ---- The fixture ---- */

static const mr_field row_fields[] = {{.name = "key", .type = MR_TEXT},
                                      {.name = "value", .type = MR_BIGINT}};
static const mr_schema row_schema = {
    .fields = row_fields, .field_count = 2, .key_count = 1, .key = {0}};

typedef struct fixture {
    fake_kafka kafka;
    mr_plan plan;
    mr_plan_node nodes[4];
    mr_plan_edge edges[4];
    mr_plan_topic topics[TOPIC_COUNT];
    mr_plan_dlq dlq;
    mr_source_common commons[2];
    test_sink_spec sink_spec;
    mr_env env;
    uint32_t partitions[FAKE_PARTITIONS];
    uint32_t partition_count;
    uint64_t memory_bytes;
    const char *directory; /* NULL = volatile. */
    const mr_answers *answers;
    mr_mark mark; /* With which the next shard opens; attempt_test.c. */
    mr_turns *turns;
    uint32_t index;
    bool retry_poison;
    mr_shard *shard;
    int64_t now_us;
    uint64_t seed;
    uint32_t step_count;
    mr_diag diag;
} fixture;

static int64_t fixture_monotonic(void *self)
{
    return ((fixture *)self)->now_us;
}

static int64_t fixture_wall(void *self)
{
    return INT64_C(1767225600000000) + ((fixture *)self)->now_us;
}

static uint64_t fixture_random(void *self)
{
    return mr_prng_next(&((fixture *)self)->seed);
}

static const mr_clock_type fixture_clock = {.monotonic_us = fixture_monotonic,
                                            .wall_us = fixture_wall};
static const mr_random_type fixture_random_type = {.next = fixture_random};

static uint32_t fixture_row_json(const mr_batch *batch, uint32_t row, uint8_t *room,
                                 uint32_t room_bytes)
{
    (void)batch;
    (void)row;
    MR_ASSERT(room_bytes > 2);
    memcpy(room, "{}", 2);
    return 2;
}

static void add_output(fixture *f, uint32_t node, uint32_t edge, uint32_t consumer)
{
    f->edges[edge] = (mr_plan_edge){.node = consumer, .port = 0};
    f->nodes[node].outputs[0] = (mr_plan_output){.name = f->nodes[node].name,
                                                 .schema = &row_schema,
                                                 .consumers = &f->edges[edge],
                                                 .consumer_count = 1};
    f->nodes[node].output_count = 1;
}

static void add_source(fixture *f, uint32_t node, uint32_t topic, uint32_t consumer)
{
    f->commons[topic] =
        (mr_source_common){.schema = &row_schema, .start_us = MR_START_EARLIEST, .topic = topic};
    f->nodes[node] = (mr_plan_node){.index = node,
                                    .kind = MR_NODE_SOURCE,
                                    .name = topic == TOPIC_IN ? "source" : "other",
                                    .source = &source_type,
                                    .common = &f->commons[topic]};
    f->topics[topic].source = node;
    add_output(f, node, node, consumer);
}

/* source [other] [counter] sink */
static void make_plan(fixture *f, bool has_other, bool has_counter)
{
    const uint32_t counter = has_other ? 2 : 1;
    const uint32_t sink = counter + has_counter;
    for (uint32_t i = 0; i < TOPIC_COUNT; i++) {
        f->topics[i].source = MR_NO_INDEX;
    }
    f->topics[TOPIC_IN].name = "in";
    f->topics[TOPIC_OTHER].name = "other";
    f->topics[TOPIC_OUT].name = "out";
    f->topics[TOPIC_DEAD].name = "dead";
    f->dlq = (mr_plan_dlq){.name = "dead", .topic = TOPIC_DEAD};
    add_source(f, 0, TOPIC_IN, counter);
    if (has_other) {
        add_source(f, 1, TOPIC_OTHER, counter);
    }
    if (has_counter) {
        f->nodes[counter] = (mr_plan_node){.index = counter,
                                           .kind = MR_NODE_STEP,
                                           .name = "count",
                                           .op = &counter_type,
                                           .input = &row_schema,
                                           .table_count = 1,
                                           .table_names = {"counts"}};
        f->nodes[counter].tables[0] = (mr_table_spec){
            .kind = MR_TABLE_HASH, .value_size_bytes = sizeof(int64_t), .layout = 7};
        add_output(f, counter, counter, sink);
    }
    f->nodes[sink] = (mr_plan_node){.index = sink,
                                    .kind = MR_NODE_SINK,
                                    .name = "sink",
                                    .sink = &sink_type,
                                    .spec = &f->sink_spec,
                                    .input = &row_schema};
    f->plan = (mr_plan){.file = "test.yaml",
                        .app = "app",
                        .nodes = f->nodes,
                        .node_count = sink + 1,
                        .topics = f->topics,
                        .topic_count = TOPIC_COUNT,
                        .dlqs = &f->dlq,
                        .dlq_count = 1,
                        .table_count = has_counter,
                        .has_kafka = true,
                        .is_stateful = has_counter,
                        .commit = {.interval_us = 100000,
                                   .transaction_timeout_us = 10000000,
                                   .dirty_state_bytes = 8 << 20,
                                   .output_bytes = 8 << 20,
                                   .records = 500},
                        .state = {.wal_max_bytes = 1 << 30, .value_max_bytes = 1 << 20}};
}

static fixture *make_fixture(uint32_t partition_count, bool has_other, bool has_counter)
{
    fixture *f = calloc(1, sizeof(*f));
    MR_ASSERT(f != NULL);
    f->now_us = 1000000;
    f->seed = 42;
    f->partition_count = partition_count;
    f->memory_bytes = 256 << 20;
    for (uint32_t t = 0; t < FAKE_TOPICS; t++) {
        for (uint32_t p = 0; p < FAKE_PARTITIONS; p++) {
            f->kafka.logs[t][p].records = calloc(FAKE_RECORDS, sizeof(fake_record));
            f->kafka.logs[t][p].committed = -1;
        }
    }
    f->kafka.now_us = &f->now_us;
    f->kafka.fetch_rows = 100;
    for (uint32_t i = 0; i < partition_count; i++) {
        f->partitions[i] = i;
    }
    make_plan(f, has_other, has_counter);
    f->env = (mr_env){.clock = {.type = &fixture_clock, .self = f},
                      .random = {.type = &fixture_random_type, .self = f},
                      .memory = mr_memory_system(),
                      .kafka = {.type = &fake_kafka_type, .self = &f->kafka},
                      .wake_descriptor = -1};
    return f;
}

static mr_status open_shard(fixture *f)
{
    const mr_shard_options options = {.plan = &f->plan,
                                      .env = &f->env,
                                      .index = f->index,
                                      .shard_count = 1,
                                      .worker_set = "all",
                                      .directory = f->directory,
                                      .partitions = f->partitions,
                                      .partition_count = f->partition_count,
                                      .store_bytes = 128 << 20,
                                      .memory_bytes = f->memory_bytes,
                                      .arena_bytes = 4 << 20,
                                      .answers = f->answers,
                                      .turns = f->turns,
                                      .mark = f->mark,
                                      .retry_poison = f->retry_poison,
                                      .row_json = fixture_row_json};
    return mr_shard_open(&f->shard, &options, &f->diag);
}

static void free_fixture(fixture *f)
{
    mr_shard_close(f->shard);
    for (uint32_t t = 0; t < FAKE_TOPICS; t++) {
        for (uint32_t p = 0; p < FAKE_PARTITIONS; p++) {
            free(f->kafka.logs[t][p].records);
        }
    }
    free(f);
}

/* One turn; when it found nothing to do the clock goes on to when the shard wants to be woken. */
static void step_once(fixture *f)
{
    f->step_count++;
    if (mr_shard_step(f->shard) != 0) {
        f->now_us += 100;
        return;
    }
    if (f->shard->ring != NULL && mr_ring_in_flight(f->shard->ring) > 0) {
        mr_ring_wait(f->shard->ring, 1, INT64_C(10000000)); /* The disk is what it waits for. */
        return;
    }
    const int64_t at_us = mr_shard_wake_at_us(f->shard);
    f->now_us = at_us > f->now_us ? at_us : f->now_us + 1;
}

/* ---- What tests do with it ---- */

enum { ROWS = 1501, FEW_ROWS = 301, KEYS = 7, STEPS_MAX = 20000 };

static void feed(fixture *f, uint32_t topic, uint32_t partition, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        char key[FAKE_TEXT];
        char value[FAKE_TEXT];
        snprintf(key, sizeof(key), "k%u", i % KEYS);
        snprintf(value, sizeof(value), "%u", i);
        fake_write(&f->kafka, topic, partition, key, value);
    }
}

static fixture *fixture_with_rows(uint32_t partition_count, bool has_counter, uint32_t rows)
{
    fixture *f = make_fixture(partition_count, false, has_counter);
    for (uint32_t p = 0; p < partition_count; p++) {
        feed(f, TOPIC_IN, p, rows);
    }
    return f;
}

static void open_it(fixture *f)
{
    if (open_shard(f) != MR_OK) {
        fail_msg("%s", f->diag.text);
    }
}

static int64_t last_of(const fake_log *log)
{
    return log->count == 0 ? log->start : log->records[log->count - 1].offset + 1;
}

static bool all_committed(const fixture *f)
{
    for (uint32_t p = 0; p < f->partition_count; p++) {
        const fake_log *log = &f->kafka.logs[TOPIC_IN][p];
        if (log->committed != last_of(log)) {
            return false;
        }
    }
    return true;
}

static bool is_assigning_again(const fixture *f)
{
    return f->kafka.init_count == 2 && f->kafka.assign_posted;
}

static bool is_running(const fixture *f)
{
    return mr_counter_read(&mr_shard_read_counters(f->shard)->is_running) != 0;
}

static bool is_drained(const fixture *f)
{
    return mr_counter_read(&mr_shard_read_counters(f->shard)->is_drained) != 0;
}

static bool is_stopped(const fixture *f)
{
    return mr_shard_is_stopped(f->shard);
}

static bool has_failed(const fixture *f)
{
    return mr_shard_failure(f->shard) != NULL;
}

static void drive(fixture *f, bool (*is_there)(const fixture *f))
{
    for (uint32_t i = 0; i < STEPS_MAX; i++) {
        if (is_there(f)) {
            return;
        }
        if (has_failed(f)) {
            fail_msg("the shard failed: %s", mr_shard_failure(f->shard)->text);
        }
        step_once(f);
    }
    fail_msg("not there after %d steps", STEPS_MAX);
}

static void expect_failure(fixture *f, const char *name)
{
    for (uint32_t i = 0; i < STEPS_MAX && !has_failed(f); i++) {
        step_once(f);
    }
    if (!has_failed(f) || strstr(mr_shard_failure(f->shard)->text, name) == NULL) {
        fail_msg("expected %s, got: %s", name,
                 has_failed(f) ? mr_shard_failure(f->shard)->text : "no failure");
    }
}

static uint64_t recoveries(const fixture *f)
{
    return mr_counter_read(&mr_shard_read_counters(f->shard)->recoveries);
}

/* The outputs of a partition are those of its first `count` rows, each once and in order. */
static void check_prefix(const fixture *f, uint32_t partition, uint32_t count)
{
    const fake_log *in = &f->kafka.logs[TOPIC_IN][partition];
    const fake_log *out = &f->kafka.logs[TOPIC_OUT][partition];
    uint32_t counts[KEYS] = {0};

    assert_int_equal(out->count, count);
    for (uint32_t i = 0; i < count; i++) {
        char expected[FAKE_TEXT];
        const uint32_t seen = ++counts[i % KEYS];
        assert_string_equal(out->records[i].key, in->records[i].key);
        snprintf(expected, sizeof(expected), "%u", seen);
        assert_string_equal(out->records[i].value,
                            f->plan.is_stateful ? expected : in->records[i].value);
    }
}

static void check_all(const fixture *f)
{
    for (uint32_t p = 0; p < f->partition_count; p++) {
        check_prefix(f, p, f->kafka.logs[TOPIC_IN][p].count);
    }
}

static mr_offset_record record_of(const fixture *f, uint32_t topic, uint32_t partition)
{
    const fake_log *log = &f->kafka.logs[topic][partition];
    mr_offset_record record;
    assert_int_equal(mr_offset_record_parse(log->metadata, log->metadata_bytes, &record),
                     MR_RECORD_OK);
    assert_string_equal(record.owner, "all-0");
    assert_true(record.epoch > 0 && record.lineage != 0 && record.incarnation != 0);
    assert_true(record.state_epoch <= record.epoch);
    return record;
}

static fixture *run_through(bool has_counter, fake_outcome outcome, uint32_t outcome_at)
{
    fixture *f = fixture_with_rows(2, has_counter, ROWS);
    f->kafka.outcome = outcome;
    f->kafka.outcome_at = outcome_at;
    open_it(f);
    drive(f, all_committed);
    check_all(f);
    return f;
}

#endif
