/*
 * kafka_fake.h - a Kafka of one group and one producer, in the test's own thread.
 *
 * It keeps the seam's rules as hard as the real client does: what is borrowed (chunks, offsets) is
 * read only when a transaction ends, never copied before, so that memory given back too early shows
 * as wrong output; commands out of order are assertions. Faults are armed by the test, each by the
 * number of the call it shall hit, from 1.
 */
#ifndef MR_TESTS_UNIT_RUNTIME_KAFKA_FAKE_H
#define MR_TESTS_UNIT_RUNTIME_KAFKA_FAKE_H

#include "engine/base/assert.h"
#include "io/kafka/kafka.h"
#include <stdio.h>
#include <string.h>

/* Here and in shard_fixture.h: not every test needs all of it. */
#pragma GCC diagnostic ignored "-Wunused-function"

enum {
    FAKE_TOPICS = 5,
    FAKE_PARTITIONS = 3,
    FAKE_RECORDS = 4000, /* Of a partition. */
    FAKE_INPUTS = 8,
    FAKE_CHUNKS = 4096,
    FAKE_TEXT = 16,
    FAKE_EVENTS = 8
};

typedef enum fake_outcome {
    FAKE_COMMITS,
    FAKE_ABORTS,
    FAKE_UNKNOWN_COMMITTED,
    FAKE_UNKNOWN_ABORTED
} fake_outcome;

typedef struct fake_record {
    int64_t offset;
    char key[FAKE_TEXT], value[FAKE_TEXT]; /* An output's value may be longer: its head. */
    uint32_t value_bytes, header_count;
    char headers[12][2][40];
} fake_record;

typedef struct fake_log { /* One partition: of an input as written, of an output as committed. */
    fake_record *records;
    uint32_t count;
    int64_t start, end;
    int64_t committed; /* Of the group; -1 = none. */
    uint32_t metadata_bytes;
    char metadata[MR_RECORD_BYTES_MAX + 1];
} fake_log;

typedef struct fake_input {
    uint32_t topic, partition, at; /* Next record of its log. */
    uint32_t message_count;
    bool is_out, end_told;
    mr_fetch fetch;
    mr_fetch_record records[MR_BATCH_ROWS_MAX];
} fake_input;

typedef struct fake_kafka {
    fake_log logs[FAKE_TOPICS][FAKE_PARTITIONS];
    fake_input inputs[FAKE_INPUTS];
    uint32_t input_count;
    mr_offset ready[FAKE_INPUTS];
    int64_t assigned[FAKE_INPUTS]; /* Of the last ASSIGN. */
    const mr_offset *init_offsets, *assign_offsets, *offsets;
    const mr_offset *late_assign; /* An ASSIGN still running when RESET came: read until INIT. */
    uint32_t offset_count;
    const mr_chunk *chunks[FAKE_CHUNKS];
    uint32_t chunk_count;
    bool is_live, is_assigned, is_open, init_posted, assign_posted, offsets_posted, commit_posted;
    uint64_t open_epoch, commit_epoch;
    mr_kafka_event events[FAKE_EVENTS];
    uint32_t event_count;
    mr_diag diag;
    const int64_t *now_us;

    /* Knobs. */
    fake_outcome outcome; /* What the commit `outcome_at` meets. */
    uint32_t outcome_at;  /* 0 = none. */
    bool outcome_repeats; /* Every commit from then on. */
    bool hold_commits;    /* A posted commit waits. */
    bool hold_init;       /* A posted INIT waits. */
    bool hold_assign;     /* A posted ASSIGN waits. */
    uint32_t full_count;  /* So many PRODUCE are refused. */
    uint32_t reject_at;   /* This chunk is not delivered. */
    uint32_t repeat_at;   /* From this take on every fetch holds each record twice in a row of
                             two, and the first fetch starts before its position. */
    bool may_go_back;     /* An answer may put an offset below the committed one. */
    uint32_t fetch_rows;
    mr_status init_fails; /* MR_OK = it does not. */

    /* Seen. */
    uint32_t commit_count, chunk_total, take_count, init_count, reset_count, repeated;
    int64_t init_us[32];
    int64_t failed_us; /* When the last FAILED came. */
} fake_kafka;

static void fake_event(fake_kafka *kafka, mr_kafka_event event)
{
    MR_ASSERT(kafka->event_count < FAKE_EVENTS);
    kafka->events[kafka->event_count++] = event;
}

static void fake_fail(fake_kafka *kafka, mr_status status, const char *text)
{
    (void)!mr_diag_set(&kafka->diag, status, 0, "%s", text);
    kafka->failed_us = *kafka->now_us;
    fake_event(kafka,
               (mr_kafka_event){.fact = MR_KAFKA_FAILED, .status = status, .diag = &kafka->diag});
}

static void fake_reset(fake_kafka *kafka)
{
    for (uint32_t i = 0; i < FAKE_INPUTS; i++) {
        MR_ASSERT(!kafka->inputs[i].is_out); /* All fetches are home. */
    }
    kafka->reset_count++;
    kafka->late_assign = kafka->assign_posted ? kafka->assign_offsets : NULL;
    kafka->event_count = 0;
    kafka->chunk_count = 0;
    kafka->is_live = kafka->is_assigned = kafka->is_open = false;
    kafka->init_posted = kafka->assign_posted = false;
    kafka->offsets_posted = kafka->commit_posted = false;
    kafka->open_epoch = 0;
}

static mr_status fake_produce(fake_kafka *kafka, const mr_kafka_command *command)
{
    if (!kafka->is_open || (kafka->open_epoch != 0 && kafka->open_epoch != command->epoch)) {
        return MR_ERR_FULL;
    }
    if (kafka->full_count > 0) {
        kafka->full_count--;
        return MR_ERR_FULL;
    }
    MR_ASSERT(command->chunk->record_count > 0 && command->chunk->epoch == command->epoch);
    MR_ASSERT(kafka->chunk_count < FAKE_CHUNKS);
    kafka->open_epoch = command->epoch;
    kafka->chunks[kafka->chunk_count++] = command->chunk;
    if (++kafka->chunk_total == kafka->reject_at) {
        fake_fail(kafka, MR_ERR_TXN_ABORTED, "a record was not delivered");
    }
    return MR_OK;
}

static mr_status fake_submit(void *self, const mr_kafka_command *command)
{
    fake_kafka *kafka = self;
    switch (command->op) {
    case MR_KAFKA_RESET:
        fake_reset(kafka);
        return MR_OK;
    case MR_KAFKA_INIT:
        MR_ASSERT(!kafka->is_live && command->offset_count <= FAKE_INPUTS);
        MR_ASSERT(command->incarnation != 0);
        kafka->init_us[kafka->init_count++ % MR_LENGTH(kafka->init_us)] = *kafka->now_us;
        kafka->init_posted = true;
        for (uint32_t i = 0; kafka->late_assign != NULL && i < kafka->input_count; i++) {
            MR_ASSERT(kafka->late_assign[i].offset >= 0); /* Borrowed until its answer. */
        }
        kafka->late_assign = NULL;
        kafka->init_offsets = command->offsets;
        kafka->input_count = command->offset_count;
        return MR_OK;
    case MR_KAFKA_ASSIGN:
        MR_ASSERT(kafka->is_live && !kafka->is_assigned);
        MR_ASSERT(command->offset_count == kafka->input_count);
        kafka->assign_posted = true;
        kafka->assign_offsets = command->offsets;
        return MR_OK;
    case MR_KAFKA_PRODUCE:
        return fake_produce(kafka, command);
    case MR_KAFKA_OFFSETS:
        if (!kafka->is_open) {
            return MR_ERR_FULL;
        }
        MR_ASSERT(kafka->open_epoch == 0 || kafka->open_epoch == command->epoch);
        MR_ASSERT(!kafka->offsets_posted && command->offset_count > 0);
        kafka->open_epoch = command->epoch;
        kafka->offsets_posted = true;
        kafka->offsets = command->offsets;
        kafka->offset_count = command->offset_count;
        return MR_OK;
    case MR_KAFKA_COMMIT:
        MR_ASSERT(kafka->offsets_posted && kafka->is_open && kafka->open_epoch == command->epoch);
        kafka->commit_posted = true;
        kafka->is_open = false;
        kafka->commit_epoch = command->epoch;
        return MR_OK;
    }
    return MR_ERR_FULL;
}

static void fake_text(char *out, uint32_t room, mr_view view)
{
    const uint32_t size = view.size_bytes < room - 1 ? view.size_bytes : room - 1;
    memset(out, 0, room);
    if (view.bytes != NULL) {
        memcpy(out, view.bytes, size);
    }
}

static void fake_apply(fake_kafka *kafka)
{
    for (uint32_t c = 0; c < kafka->chunk_count; c++) {
        const mr_chunk *chunk = kafka->chunks[c];
        for (uint32_t i = 0; i < chunk->record_count; i++) {
            const mr_record *from = &chunk->records[i];
            fake_log *log = &kafka->logs[from->topic][from->partition];
            MR_ASSERT(log->count < FAKE_RECORDS);
            fake_record *to = &log->records[log->count++];
            to->offset = log->end++;
            to->value_bytes = from->value.size_bytes;
            fake_text(to->key, sizeof(to->key), from->key);
            fake_text(to->value, sizeof(to->value), from->value);
            to->header_count = from->header_count;
            MR_ASSERT(from->header_count <= MR_LENGTH(to->headers));
            for (uint32_t h = 0; h < from->header_count; h++) {
                fake_text(to->headers[h][0], sizeof(to->headers[h][0]),
                          from->headers[(size_t)2 * h]);
                fake_text(to->headers[h][1], sizeof(to->headers[h][1]),
                          from->headers[(size_t)2 * h + 1]);
            }
        }
    }
    for (uint32_t i = 0; i < kafka->offset_count; i++) {
        const mr_offset *offset = &kafka->offsets[i];
        fake_log *log = &kafka->logs[offset->topic][offset->partition];
        MR_ASSERT(offset->offset >= 0 && offset->offset <= log->end);
        MR_ASSERT(kafka->may_go_back || log->committed <= offset->offset); /* Never goes back. */
        log->committed = offset->offset;
        log->metadata_bytes = offset->metadata_size_bytes;
        memcpy(log->metadata, offset->metadata, sizeof(log->metadata));
    }
}

static void fake_end(fake_kafka *kafka)
{
    kafka->commit_count++;
    const bool is_hit = kafka->outcome_at != 0 &&
                        (kafka->commit_count == kafka->outcome_at ||
                         (kafka->outcome_repeats && kafka->commit_count > kafka->outcome_at));
    const fake_outcome outcome = is_hit ? kafka->outcome : FAKE_COMMITS;
    if (outcome == FAKE_COMMITS || outcome == FAKE_UNKNOWN_COMMITTED) {
        fake_apply(kafka);
    }
    kafka->chunk_count = 0;
    kafka->commit_posted = kafka->offsets_posted = false;
    kafka->open_epoch = 0;
    if (outcome == FAKE_COMMITS) {
        kafka->is_open = true;
        fake_event(kafka,
                   (mr_kafka_event){.fact = MR_KAFKA_COMMITTED, .epoch = kafka->commit_epoch});
        return;
    }
    fake_fail(kafka, outcome == FAKE_ABORTS ? MR_ERR_TXN_ABORTED : MR_ERR_OUTCOME_UNKNOWN,
              "the transaction did not end well");
}

static void fake_ready(fake_kafka *kafka)
{
    kafka->init_posted = false;
    if (kafka->init_fails != MR_OK) {
        fake_fail(kafka, kafka->init_fails, "E_FENCED: another worker owns these partitions");
        return;
    }
    for (uint32_t i = 0; i < kafka->input_count; i++) {
        const mr_offset *asked = &kafka->init_offsets[i];
        const fake_log *log = &kafka->logs[asked->topic][asked->partition];
        kafka->inputs[i].topic = asked->topic;
        kafka->inputs[i].partition = asked->partition;
        kafka->ready[i] = (mr_offset){.topic = asked->topic,
                                      .partition = asked->partition,
                                      .offset = log->committed,
                                      .log_start = log->start,
                                      .log_end = log->end,
                                      .metadata_size_bytes = log->metadata_bytes};
        kafka->ready[i].start = asked->start == MR_START_LATEST ? log->end : log->start;
        memcpy(kafka->ready[i].metadata, log->metadata, sizeof(log->metadata));
    }
    kafka->is_live = kafka->is_open = true;
    fake_event(kafka, (mr_kafka_event){.fact = MR_KAFKA_READY,
                                       .offsets = kafka->ready,
                                       .offset_count = kafka->input_count});
}

static void fake_assign(fake_kafka *kafka)
{
    kafka->assign_posted = false;
    kafka->is_assigned = true;
    for (uint32_t i = 0; i < kafka->input_count; i++) {
        fake_input *input = &kafka->inputs[i];
        const fake_log *log = &kafka->logs[input->topic][input->partition];
        MR_ASSERT(kafka->assign_offsets[i].topic == input->topic);
        kafka->assigned[i] = kafka->assign_offsets[i].offset;
        input->at = 0;
        input->end_told = false;
        while (input->at < log->count && log->records[input->at].offset < kafka->assigned[i]) {
            input->at++;
        }
    }
    fake_event(kafka, (mr_kafka_event){.fact = MR_KAFKA_RECORDS});
}

static uint32_t fake_poll(void *self, mr_kafka_event *events, uint32_t count_max)
{
    fake_kafka *kafka = self;
    if (kafka->init_posted && !kafka->hold_init) {
        fake_ready(kafka);
    }
    if (kafka->assign_posted && !kafka->hold_assign) {
        fake_assign(kafka);
    }
    if (kafka->commit_posted && !kafka->hold_commits && kafka->event_count == 0) {
        fake_end(kafka);
    }
    const uint32_t count = kafka->event_count;
    MR_ASSERT(count <= count_max);
    memcpy(events, kafka->events, count * sizeof(*events));
    kafka->event_count = 0;
    return count;
}

static uint32_t fake_headers(const mr_fetch *fetch, uint32_t record, mr_view *pairs,
                             uint32_t pairs_max)
{
    (void)fetch;
    (void)record;
    MR_ASSERT(pairs_max >= 2);
    pairs[0] = (mr_view){.bytes = (const uint8_t *)"trace", .size_bytes = 5};
    pairs[1] = (mr_view){.bytes = (const uint8_t *)"t1", .size_bytes = 2};
    return 2;
}

static void fake_add(fake_input *input, const fake_record *from)
{
    input->records[input->fetch.record_count++] = (mr_fetch_record){
        .key = {.bytes = (const uint8_t *)from->key, .size_bytes = (uint32_t)strlen(from->key)},
        .value = {.bytes = (const uint8_t *)from->value,
                  .size_bytes = (uint32_t)strlen(from->value)},
        .offset = from->offset,
        .timestamp_ms = 1767225600000};
}

static mr_fetch *fake_take(void *self, uint32_t index)
{
    fake_kafka *kafka = self;
    MR_ASSERT(index < kafka->input_count);
    fake_input *input = &kafka->inputs[index];
    const fake_log *log = &kafka->logs[input->topic][input->partition];

    MR_ASSERT(!input->is_out);
    if (!kafka->is_assigned || (input->at == log->count && input->end_told)) {
        return NULL;
    }
    const bool repeats = kafka->repeat_at != 0 && ++kafka->take_count >= kafka->repeat_at;
    const uint32_t rows = repeats ? kafka->fetch_rows / 2 : kafka->fetch_rows;
    input->fetch = (mr_fetch){.input = index,
                              .topic = input->topic,
                              .partition = (int32_t)input->partition,
                              .records = input->records,
                              .headers = fake_headers};
    if (repeats && input->at > 0) { /* One from before. */
        fake_add(input, &log->records[input->at - 1]);
        kafka->repeated++;
    }
    const uint32_t from = input->at;
    while (input->at < log->count && input->at - from < rows) {
        fake_add(input, &log->records[input->at++]);
        if (repeats && (input->at - from) % 2 == 0) { /* a, b, a, b */
            fake_add(input, &log->records[input->at - 2]);
            fake_add(input, &log->records[input->at - 1]);
            kafka->repeated += 2;
        }
    }
    input->end_told = input->fetch.at_end = input->at == log->count;
    input->fetch.end_offset = log->end;
    input->is_out = true;
    return &input->fetch;
}

static void fake_give_back(void *self, mr_fetch *fetch)
{
    fake_kafka *kafka = self;
    fake_input *input = &kafka->inputs[fetch->input];
    MR_ASSERT(fetch == &input->fetch && input->is_out);
    input->is_out = false;
    memset(input->records, 0xee, sizeof(input->records)); /* Nobody may look at it any more. */
}

static bool fake_may_sleep(void *self)
{
    (void)self;
    return true;
}

static bool fake_produced(void *self, uint64_t epoch)
{
    (void)self;
    (void)epoch;
    return true;
}

static uint32_t fake_topic_partitions(void *self, uint32_t topic)
{
    const fake_kafka *kafka = self;
    MR_ASSERT(kafka->is_live && topic < FAKE_TOPICS);
    return FAKE_PARTITIONS;
}

static uint32_t fake_topic_record_max(void *self, uint32_t topic)
{
    const fake_kafka *kafka = self;
    MR_ASSERT(kafka->is_live && topic < FAKE_TOPICS);
    return 1000000;
}

static const mr_kafka_type fake_kafka_type = {.submit = fake_submit,
                                              .poll = fake_poll,
                                              .take = fake_take,
                                              .give_back = fake_give_back,
                                              .may_sleep = fake_may_sleep,
                                              .produced = fake_produced,
                                              .topic_partitions = fake_topic_partitions,
                                              .topic_record_max = fake_topic_record_max};

/* One record at the end of an input; gaps are control records. */
static void fake_write(fake_kafka *kafka, uint32_t topic, uint32_t partition, const char *key,
                       const char *value)
{
    fake_log *log = &kafka->logs[topic][partition];
    MR_ASSERT(log->count < FAKE_RECORDS);
    fake_record *record = &log->records[log->count++];
    record->offset = log->end++;
    snprintf(record->key, sizeof(record->key), "%s", key);
    snprintf(record->value, sizeof(record->value), "%s", value);
    for (uint32_t i = 0; i < FAKE_INPUTS; i++) { /* The end is somewhere else now. */
        if (kafka->inputs[i].topic == topic && kafka->inputs[i].partition == partition) {
            kafka->inputs[i].end_told = false;
        }
    }
}

static void fake_write_marker(fake_kafka *kafka, uint32_t topic, uint32_t partition)
{
    kafka->logs[topic][partition].end++;
}

#endif
