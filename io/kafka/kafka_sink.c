/*
 * kafka_sink.c - rows become records in the output arena, and ride the epoch's transaction.
 *
 * Of an update (an old row followed by its new one) the new row is written; an old row alone is a
 * delete and becomes a tombstone: its key with a null value. A row that cannot be written goes to
 * the error route while its source record is at hand: too large for the topic, a key that does not
 * encode, an upsert key without bytes, a failing expression.
 *
 * In a chunk a record lies as header views, header texts, key, value. A time at or before 1970 is
 * written as 1 ms after it, as a record's timestamp has no room for it. Thread: the shard's.
 */
#include "engine/base/hash.h"
#include "engine/batch/batch.h"
#include "engine/expr/expr.h"
#include "io/format/format.h"
#include "io/kafka/kafka_private.h"
#include <millrace/version.h>
#include <string.h>

enum {
    RECORD_OVERHEAD_BYTES =
        512, /* What a record batch adds at most, see mr_task_topic_record_max */
    HEADERS_MAX = 64,
    TEST_HEADERS_MAX = 2,
    EVAL_SCRATCH_BYTES = 1 << 20,
    NO_EXPR = -1
};

typedef struct kafka_spec {
    const char *topic;
} kafka_spec;

typedef struct kafka_sink {
    const mr_plan_node *node;
    const mr_sink_common *common;
    mr_encoder *encoder;
    mr_eval *eval;      /* Partition, timestamp and header expressions; NULL = there are none. */
    int partition_expr; /* Index in `eval`, or NO_EXPR. */
    int timestamp_expr;
    uint32_t first_header_expr;
    uint32_t partition_count, record_max;
    bool is_upsert;
    const mr_row_error *errors; /* Of the running batch, by row; NULL = none. */
    mr_view pairs[2 * (HEADERS_MAX + TEST_HEADERS_MAX)]; /* Of the row being written. */
} kafka_sink;

typedef struct output {  /* One record on its way into a chunk. */
    uint32_t row, index; /* Row number; index in the selection. */
    bool is_delete;
    uint32_t header_count;
    uint64_t header_bytes; /* Texts and views. */
} output;

static mr_status open_expressions(kafka_sink *sink, mr_task *task);
static mr_step write_row(kafka_sink *sink, mr_task *task, const mr_batch *in, output *out);
static mr_row_error place(kafka_sink *sink, mr_task *task, const mr_batch *in, const output *out,
                          mr_chunk *chunk);
static mr_row_error place_key(kafka_sink *sink, const mr_batch *in, const output *out,
                              mr_chunk *chunk, uint8_t **room, mr_view *key);
static void collect_headers(kafka_sink *sink, mr_task *task, const mr_batch *in, output *out);
static const mr_view *place_headers(const kafka_sink *sink, const output *out, uint8_t **room);
static mr_row_error partition_of(const kafka_sink *sink, const mr_task *task, uint32_t row,
                                 const mr_view *key, int32_t *partition);
static int64_t timestamp_of(const kafka_sink *sink, const mr_batch *in, uint32_t row);
static uint64_t room_needed(const kafka_sink *sink, const mr_batch *in, const output *out);

static mr_status kafka_sink_plan(void *spec, mr_plan_node *node, mr_diag *diag)
{
    const mr_sink_common *common = node->common;
    mr_diag why = {0};

    (void)spec;
    (void)diag;
    if (mr_record_key_check(common->key_format, node->input, common->key, common->key_count,
                            &why) != MR_OK) {
        return mr_plan_error(node, "key", 409, NULL, "%s", why.text);
    }
    return MR_OK;
}

static mr_status kafka_sink_open(void *self, const mr_plan_node *node, mr_task *task,
                                 uint64_t epoch_committed)
{
    kafka_sink *sink = self;

    (void)epoch_committed;
    *sink = (kafka_sink){.node = node, .common = node->common};
    MR_ASSERT(sink->common->header_count <= HEADERS_MAX);
    sink->partition_count = mr_task_topic_partitions(task, sink->common->topic);
    sink->record_max = mr_task_topic_record_max(task, sink->common->topic);
    sink->is_upsert = node->input->mode == MR_UPSERT;
    MR_ASSERT(sink->partition_count > 0 && sink->record_max > RECORD_OVERHEAD_BYTES);
    const mr_status status =
        mr_encoder_open(&sink->encoder, sink->common->format, sink->common->format_spec,
                        node->input, mr_task_arena(task), mr_task_diag(task));
    return status == MR_OK ? open_expressions(sink, task) : status;
}

static mr_step kafka_sink_write(void *self, mr_task *task, uint64_t epoch, const mr_batch *in)
{
    kafka_sink *sink = self;

    (void)epoch;
    sink->errors = NULL;
    if (sink->eval != NULL) {
        const mr_status status = mr_eval_run(sink->eval, in);
        if (status != MR_OK) {
            return mr_task_fail(task, status, "expressions of sink %s fail", sink->node->name);
        }
        sink->errors = mr_eval_errors(sink->eval);
    }
    for (uint32_t i = 0; i < in->selected_count; i++) {
        output out = {.row = mr_batch_row(in, i), .index = i};
        if (in->change != NULL && in->change[out.row] == MR_CHANGE_OLD) {
            const bool has_new =
                i + 1 < in->selected_count && in->change[mr_batch_row(in, i + 1)] == MR_CHANGE_NEW;
            if (has_new) {
                continue;
            }
            out.is_delete = true;
        }
        if (sink->errors != NULL && sink->errors[out.row] != MR_ROW_OK) {
            mr_task_reject(task, in, out.row, sink->errors[out.row]);
            continue;
        }
        if (write_row(sink, task, in, &out) == MR_STEP_FAILED) {
            return MR_STEP_FAILED;
        }
    }
    return MR_STEP_NEXT;
}

/* ---- One row ---- */

static mr_step write_row(kafka_sink *sink, mr_task *task, const mr_batch *in, output *out)
{
    collect_headers(sink, task, in, out);
    const uint64_t needed = room_needed(sink, in, out);
    mr_chunk *chunk = needed > UINT32_MAX ? NULL : mr_task_output(task, (uint32_t)needed);
    if (chunk == NULL) {
        return mr_task_fail(task, MR_ERR_OVERFLOW,
                            "the output arena has no room for %llu bytes more",
                            (unsigned long long)needed);
    }
    const mr_row_error error = place(sink, task, in, out, chunk);
    if (error != MR_ROW_OK) {
        mr_task_reject(task, in, out->row, error);
    }
    return MR_STEP_NEXT;
}

/* Writes the record at the chunk's room, which moves only when all went well. */
static mr_row_error place(kafka_sink *sink, mr_task *task, const mr_batch *in, const output *out,
                          mr_chunk *chunk)
{
    uint8_t *room = chunk->room;
    mr_view key = {0};
    mr_view value = {0};
    int32_t partition = 0;

    const mr_view *headers = out->header_count == 0 ? NULL : place_headers(sink, out, &room);
    mr_row_error error = place_key(sink, in, out, chunk, &room, &key);
    if (error == MR_ROW_OK) {
        error = partition_of(sink, task, out->row, &key, &partition);
    }
    if (error != MR_ROW_OK) {
        return error;
    }
    if (!out->is_delete &&
        mr_encoder_run(sink->encoder, in, out->index, 1, &value, &room, chunk->room_end) != 1) {
        return MR_ROW_OUTPUT_TOO_LARGE; /* The room holds all that the topic takes. */
    }
    const uint64_t texts = out->header_bytes - 2 * sizeof(mr_view) * out->header_count;
    if (texts + key.size_bytes + value.size_bytes + RECORD_OVERHEAD_BYTES > sink->record_max) {
        return MR_ROW_OUTPUT_TOO_LARGE;
    }
    MR_ASSERT(room <= chunk->room_end && chunk->record_count < chunk->record_max);
    chunk->records[chunk->record_count++] =
        (mr_record){.topic = sink->common->topic,
                    .partition = partition,
                    .timestamp_ms = timestamp_of(sink, in, out->row),
                    .key = key,
                    .value = value,
                    .headers = headers,
                    .header_count = out->header_count};
    chunk->room = room;
    return MR_ROW_OK;
}

static mr_row_error place_key(kafka_sink *sink, const mr_batch *in, const output *out,
                              mr_chunk *chunk, uint8_t **room, mr_view *key)
{
    const mr_sink_common *common = sink->common;
    mr_row_error error = MR_ROW_OK;

    if (common->key_count == 0) {
        return MR_ROW_OK;
    }
    if (!mr_record_key_encode(common->key_format, in, out->row, common->key, common->key_count,
                              room, chunk->room_end, key, &error)) {
        return MR_ROW_OUTPUT_TOO_LARGE;
    }
    if (error == MR_ROW_OK && key->bytes == NULL && sink->is_upsert) {
        error = MR_ROW_OUTPUT_KEY_NULL;
    }
    return error;
}

/* The room to ask for: an upper bound, but no more than the topic would take. */
static uint64_t room_needed(const kafka_sink *sink, const mr_batch *in, const output *out)
{
    const mr_sink_common *common = sink->common;
    uint64_t body = 0;

    if (common->key_count > 0) {
        body +=
            mr_record_key_bound(common->key_format, in, out->row, common->key, common->key_count);
    }
    if (!out->is_delete) {
        body += mr_encoder_bound(sink->encoder, in, out->index);
    }
    if (body > sink->record_max) {
        body = sink->record_max;
    }
    return out->header_bytes + body;
}

/* ---- Headers ---- */

/* Views of the row's headers into `pairs`; a NULL value is a header with a null value. */
static void collect_headers(kafka_sink *sink, mr_task *task, const mr_batch *in, output *out)
{
    const mr_sink_common *common = sink->common;
    uint32_t count = 0;

    for (uint32_t i = 0; i < common->header_count; i++) {
        const mr_column *column = mr_eval_column(sink->eval, sink->first_header_expr + i);
        sink->pairs[(size_t)2 * count] =
            (mr_view){.bytes = (const uint8_t *)common->headers[i].name,
                      .size_bytes = (uint32_t)strlen(common->headers[i].name)};
        sink->pairs[(size_t)2 * count + 1] = mr_column_valid(column, out->row)
                                                 ? column->as.views[out->row]
                                                 : (mr_view){.bytes = NULL};
        count++;
    }
    count += mr_task_test_headers(task, in, out->row, &sink->pairs[(size_t)2 * count]);
    MR_ASSERT(count <= HEADERS_MAX + TEST_HEADERS_MAX);
    out->header_count = count;
    for (uint32_t i = 0; i < 2 * count; i++) {
        out->header_bytes += sink->pairs[i].size_bytes;
    }
    out->header_bytes += 2 * sizeof(mr_view) * count;
}

/* The views first, as the chunk's room is aligned for them. */
static const mr_view *place_headers(const kafka_sink *sink, const output *out, uint8_t **room)
{
    mr_view *views = (mr_view *)(void *)*room;

    MR_ASSERT((uintptr_t)*room % _Alignof(mr_view) == 0);
    *room += 2 * sizeof(mr_view) * out->header_count;
    for (uint32_t i = 0; i < 2 * out->header_count; i++) {
        const mr_view *from = &sink->pairs[i];
        views[i] = (mr_view){.bytes = NULL};
        if (from->bytes != NULL) {
            views[i] = (mr_view){.bytes = *room, .size_bytes = from->size_bytes};
            memcpy(*room, from->bytes, from->size_bytes);
            *room += from->size_bytes;
        }
    }
    return views;
}

/* ---- Partition and time ---- */

static mr_row_error partition_of(const kafka_sink *sink, const mr_task *task, uint32_t row,
                                 const mr_view *key, int32_t *partition)
{
    const uint32_t count = sink->partition_count;

    if (sink->common->partitioner == MR_PARTITION_EXPR) {
        const mr_column *column = mr_eval_column(sink->eval, (uint32_t)sink->partition_expr);
        if (!mr_column_valid(column, row)) {
            return MR_ROW_22023;
        }
        const int64_t rest = column->as.integers[row] % (int64_t)count;
        *partition = (int32_t)(rest < 0 ? rest + count : rest);
    } else if (sink->common->partitioner == MR_PARTITION_MURMUR2 && key->bytes != NULL) {
        const uint32_t hash = mr_hash_murmur2(key->bytes, key->size_bytes) & 0x7fffffff;
        *partition = (int32_t)(hash % count);
    } else {
        *partition = (int32_t)(mr_task_partition(task) % count);
    }
    return MR_ROW_OK;
}

static int64_t timestamp_of(const kafka_sink *sink, const mr_batch *in, uint32_t row)
{
    int64_t time_us = in->event_time_us[row];

    if (sink->common->timestamp_create) {
        return 0; /* The client stamps. */
    }
    if (sink->timestamp_expr != NO_EXPR) {
        const mr_column *column = mr_eval_column(sink->eval, (uint32_t)sink->timestamp_expr);
        if (mr_column_valid(column, row)) {
            time_us = column->as.integers[row];
        }
    }
    return time_us >= 1000 ? time_us / 1000 : 1;
}

/* ---- Opening ---- */

static mr_status open_expressions(kafka_sink *sink, mr_task *task)
{
    const mr_sink_common *common = sink->common;
    const mr_expr *exprs[HEADERS_MAX + 2];
    uint32_t count = 0;

    sink->partition_expr = sink->timestamp_expr = NO_EXPR;
    if (common->partitioner == MR_PARTITION_EXPR) {
        sink->partition_expr = (int)count;
        exprs[count++] = common->partition;
    }
    if (common->timestamp != NULL && !common->timestamp_create) {
        sink->timestamp_expr = (int)count;
        exprs[count++] = common->timestamp;
    }
    sink->first_header_expr = count;
    for (uint32_t i = 0; i < common->header_count; i++) {
        exprs[count++] = common->headers[i].value;
    }
    if (count == 0) {
        return MR_OK;
    }
    sink->eval = mr_eval_create(mr_task_arena(task), exprs, count, EVAL_SCRATCH_BYTES);
    if (sink->eval == NULL) {
        return mr_diag_set(mr_task_diag(task), MR_ERR_MEMORY, 0,
                           "no memory for sink %s: raise memory.total", sink->node->name);
    }
    return MR_OK;
}

static const mr_option kafka_options[] = {
    {.name = "topic",
     .kind = MR_OPTION_TEXT,
     .flags = MR_OPTION_REQUIRED,
     .offset = offsetof(kafka_spec, topic),
     .summary = "The topic to write."},
};

const mr_sink_type mr_sink_kafka = {
    .head = {.abi_version = MR_OPERATOR_ABI,
             .struct_size = sizeof(mr_sink_type),
             .name = "kafka",
             .summary = "Records of a Kafka topic, in the transaction of their epoch.",
             .options = kafka_options,
             .option_count = MR_LENGTH(kafka_options),
             .spec_size = sizeof(kafka_spec),
             .self_size = sizeof(kafka_sink),
             .flags = MR_SINK_IN_TXN,
             .plan = kafka_sink_plan},
    .open = kafka_sink_open,
    .write = kafka_sink_write,
};
