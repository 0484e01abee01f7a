/*
 * kafka_source.c - records of one partition become batches.
 *
 * A fetch is used up in one or more batches; each batch that borrows from it names it, so the
 * runtime knows when it may go home. What all sources share (columns from value, key, headers and
 * meta, tombstones, `max_record`, event time) is the decoder's; here are the position, the size of
 * a batch, and the rejection of bad rows with their original bytes.
 */
#include "engine/base/assert.h"
#include "engine/batch/batch.h"
#include "io/format/format.h"
#include "io/kafka/kafka_private.h"
#include <millrace/version.h>
#include <string.h>

enum { RECORD_BYTES_MAX = 64 << 20 };

typedef struct kafka_spec {
    const char *topic;
    uint64_t record_bytes_max;
} kafka_spec;

typedef struct kafka_source {
    const mr_plan_node *node;
    const mr_source_common *common;
    mr_decoder *decoder;
    mr_key_test *key_test; /* NULL = not tested. */
    const char *topic;
    mr_fetch *fetch;  /* Being used up; the runtime owns it. */
    uint32_t next;    /* Its next record. */
    int64_t position; /* Next offset to read. */
    bool at_end;
    mr_row_error errors[MR_BATCH_ROWS_MAX];
} kafka_source;

static uint32_t count_records(const kafka_source *self, const mr_task *task);

static mr_status kafka_source_plan(void *spec, mr_plan_node *node, mr_diag *diag)
{
    const kafka_spec *kafka = spec;

    (void)diag;
    if (kafka->record_bytes_max == 0 || kafka->record_bytes_max > RECORD_BYTES_MAX) {
        return mr_plan_error(node, "max_record", 110, "write a size from 1B to 64MiB",
                             "max_record is at most 64MiB");
    }
    const mr_source_common *common = node->common;
    mr_diag why = {0};
    if (common->key_test &&
        mr_record_key_check(common->key_format, common->schema, common->schema->key,
                            common->schema->key_count, &why) != MR_OK) {
        return mr_plan_error(node, "key", 409, NULL, "%s", why.text);
    }
    return MR_OK;
}

static mr_status kafka_source_open(void *self, const mr_plan_node *node, mr_task *task,
                                   const mr_position *from)
{
    kafka_source *source = self;
    const kafka_spec *spec = node->spec;

    MR_ASSERT(from != NULL && from->size_bytes == sizeof(source->position));
    *source = (kafka_source){.node = node, .common = node->common, .topic = spec->topic};
    memcpy(&source->position, from->bytes, sizeof(source->position));
    const mr_decoder_options options = {.common = source->common,
                                        .topic = spec->topic,
                                        .record_bytes_max = (uint32_t)spec->record_bytes_max};
    mr_status status =
        mr_decoder_open(&source->decoder, &options, mr_task_arena(task), mr_task_diag(task));
    if (status == MR_OK && source->common->key_test) {
        status = mr_key_test_open(&source->key_test, source->common, task);
    }
    return status;
}

static mr_step kafka_source_poll(void *self, mr_task *task, mr_batch *out)
{
    kafka_source *source = self;
    uint32_t used = 0;

    if (source->fetch == NULL || source->next == source->fetch->record_count) {
        source->fetch = mr_task_next_fetch(task);
        source->next = 0;
        if (source->fetch == NULL) {
            return MR_STEP_WAIT;
        }
        source->at_end = source->fetch->at_end;
    }
    const mr_fetch *fetch = source->fetch;
    if (fetch->record_count == 0) { /* Only the end of the log, behind control records. */
        source->fetch = NULL;
        return MR_STEP_WAIT;
    }
    const uint32_t count = count_records(source, task);
    mr_batch_set_fetch(out, source->fetch);
    const mr_status status =
        mr_decoder_run(source->decoder, fetch, source->next, count, out, source->errors, &used);
    if (status != MR_OK) {
        return mr_task_fail(task, status,
                            "%s-%d@%lld: the event time of the records from here on "
                            "fails",
                            source->topic, fetch->partition,
                            (long long)fetch->records[source->next].offset);
    }
    MR_ASSERT(used > 0 && used <= count);
    for (uint32_t i = 0; i < used; i++) {
        if (__builtin_expect(source->errors[i] != MR_ROW_OK, 0)) {
            mr_task_reject_column(task, out, i, source->errors[i],
                                  mr_decoder_blame(source->decoder, i, source->errors[i]));
        }
    }
    if (source->key_test != NULL) {
        mr_key_test_run(source->key_test, task, fetch, source->next, out);
    }
    source->next += used;
    source->position = fetch->records[source->next - 1].offset + 1;
    return MR_STEP_NEXT;
}

static void kafka_source_position(const void *self, mr_position *next)
{
    const kafka_source *source = self;
    memcpy(next->bytes, &source->position, sizeof(source->position));
    next->size_bytes = sizeof(source->position);
}

static bool kafka_source_caught_up(const void *self)
{
    const kafka_source *source = self;
    return source->at_end && (source->fetch == NULL || source->next == source->fetch->record_count);
}

static void kafka_source_close(void *self)
{
    kafka_source *source = self;
    mr_decoder_close(source->decoder);
    source->decoder = NULL;
    source->fetch = NULL;
}

/* As many as rows and payload bytes of a batch allow, at least one. */
static uint32_t count_records(const kafka_source *self, const mr_task *task)
{
    const mr_fetch *fetch = self->fetch;
    const uint32_t rows_max = mr_task_rows_max(task);
    const uint64_t bytes_max = mr_task_bytes_max(task);
    uint32_t last = self->next;
    uint64_t bytes = 0;

    while (last < fetch->record_count && last - self->next < rows_max) {
        bytes += fetch->records[last].value.size_bytes;
        if (bytes > bytes_max && last > self->next) {
            break;
        }
        last++;
    }
    return last - self->next;
}

static const mr_option kafka_options[] = {
    {.name = "topic",
     .kind = MR_OPTION_TEXT,
     .flags = MR_OPTION_REQUIRED,
     .offset = offsetof(kafka_spec, topic),
     .summary = "The topic to read."},
    {.name = "max_record",
     .fallback = "1MiB",
     .kind = MR_OPTION_SIZE,
     .offset = offsetof(kafka_spec, record_bytes_max),
     .summary = "A larger value is a decode error."},
};

const mr_source_type mr_source_kafka = {
    .head = {.abi_version = MR_OPERATOR_ABI,
             .struct_size = sizeof(mr_source_type),
             .name = "kafka",
             .summary = "Records of a Kafka topic.",
             .options = kafka_options,
             .option_count = MR_LENGTH(kafka_options),
             .spec_size = sizeof(kafka_spec),
             .self_size = sizeof(kafka_source),
             .flags = MR_SOURCE_KAFKA,
             .plan = kafka_source_plan,
             .close = kafka_source_close},
    .open = kafka_source_open,
    .poll = kafka_source_poll,
    .position = kafka_source_position,
    .caught_up = kafka_source_caught_up,
};
