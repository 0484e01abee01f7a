/*
 * txn_topics.c - what the cluster says about topics: partition counts, the largest record, the ends
 * of the logs, and what `start:` means in them.
 *
 * All of it is asked anew at each INIT, as all of it can change, and every few seconds between two
 * jobs whether topics are there and inputs have the partitions they had. A topic that is absent for
 * less than 30 s is waited for: brokers forget topics for moments while they start.
 * Thread: the committer's.
 */
#include "io/kafka/kafka_private.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RETRY_MS = 100, LOG_EVERY_MS = 30000 };

static mr_status read_topic(mr_txn *txn, uint32_t index, uint64_t generation, mr_diag *diag);
static bool is_absent(rd_kafka_resp_err_t code);
static rd_kafka_resp_err_t ask_partitions(mr_txn *txn, const char *name, uint32_t *count);
static mr_status judge_count(const mr_txn *txn, uint32_t index, uint32_t count, mr_diag *diag);
static void take_limit(void *self, const rd_kafka_ConfigResource_t *resource);
static mr_status read_end(mr_txn *txn, mr_offset *offset, uint64_t generation, mr_diag *diag);
static rd_kafka_resp_err_t ask_start(mr_txn *txn, const char *topic, mr_offset *offset);
static mr_status judge_read(const mr_txn *txn, rd_kafka_resp_err_t code, const char *what,
                            mr_diag *diag);

mr_status mr_txn_read_topics(mr_txn *txn, uint64_t generation, mr_diag *diag)
{
    const mr_plan *plan = txn->options->plan;
    for (uint32_t i = 0; i < plan->topic_count; i++) {
        mr_status status = read_topic(txn, i, generation, diag);
        if (status == MR_OK) {
            status = judge_count(txn, i, txn->topic_partitions[i], diag);
        }
        if (status != MR_OK) {
            return status;
        }
    }
    for (uint32_t i = 0; i < txn->input_count; i++) {
        const mr_offset *offset = &txn->offsets[i];
        if (offset->partition >= txn->topic_partitions[offset->topic]) {
            return mr_diag_set(diag, MR_ERR_REFUSED, 0,
                               "E_TOPIC_SHAPE: topic %s has %u partitions now, partition %u is "
                               "missing: restore the topic, or start under a new app name",
                               plan->topics[offset->topic].name,
                               txn->topic_partitions[offset->topic], offset->partition);
        }
    }
    return MR_OK;
}

/* What cannot be asked now is asked again soon. */
mr_status mr_txn_check_topics(mr_txn *txn, mr_diag *diag)
{
    const mr_plan *plan = txn->options->plan;
    for (uint32_t i = 0; i < plan->topic_count; i++) {
        uint32_t count = 0;
        const rd_kafka_resp_err_t code = ask_partitions(txn, plan->topics[i].name, &count);
        if (is_absent(code)) { /* A recovery waits for it to come back, and gives up by name. */
            txn->saw_absence = true;
            return mr_diag_set(diag, MR_ERR_TXN_ABORTED, 0, "topic %s is absent: %s (%s)",
                               plan->topics[i].name, rd_kafka_err2str(code),
                               rd_kafka_err2name(code));
        }
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
            return MR_OK;
        }
        const mr_status status = judge_count(txn, i, count, diag);
        if (status != MR_OK) {
            return status;
        }
    }
    return MR_OK;
}

/* The smallest max.message.bytes of the output topics. */
mr_status mr_txn_read_limits(mr_txn *txn, uint64_t generation, mr_diag *diag)
{
    static const char WHAT[] = "reading the configuration of the output topics";
    const mr_plan *plan = txn->options->plan;
    rd_kafka_ConfigResource_t *resources[MR_PLAN_TOPICS_MAX];
    size_t count = 0;
    int64_t logged_ms = -1;
    mr_status status = MR_OK;

    MR_ASSERT(plan->topic_count <= MR_PLAN_TOPICS_MAX);
    for (uint32_t i = 0; i < plan->topic_count; i++) {
        if (plan->topics[i].is_output) {
            resources[count++] =
                rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, plan->topics[i].name);
        }
    }
    txn->record_bytes_max = count == 0 ? MR_RECORD_BYTES_DEFAULT : 0;
    while (count > 0 && !mr_txn_abandoned(txn, generation)) {
        const rd_kafka_resp_err_t code =
            mr_configs_read(txn->clients.consumer, resources, count, MR_CALL_MS, take_limit, txn);
        status = judge_read(txn, code, WHAT, diag);
        if (mr_status_class(status) != MR_CLASS_RETRY) {
            break;
        }
        mr_txn_log_wait(txn, WHAT, diag->text, &logged_ms);
        mr_txn_pause(txn, generation, RETRY_MS);
    }
    rd_kafka_ConfigResource_destroy_array(resources, count);
    if (status == MR_OK && txn->record_bytes_max == 0) {
        txn->record_bytes_max = MR_RECORD_BYTES_DEFAULT; /* Nobody told. */
    }
    return mr_status_class(status) == MR_CLASS_RETRY ? MR_ERR_TXN_ABORTED : status;
}

mr_status mr_txn_read_ends(mr_txn *txn, uint64_t generation, mr_diag *diag)
{
    for (uint32_t i = 0; i < txn->input_count; i++) {
        const mr_status status = read_end(txn, &txn->offsets[i], generation, diag);
        if (status != MR_OK) {
            return status;
        }
    }
    return MR_OK;
}

void mr_txn_log_wait(const mr_txn *txn, const char *what, const char *words, int64_t *logged_ms)
{
    const int64_t now_ms = mr_txn_now_ms(txn);
    if (*logged_ms >= 0 && now_ms - *logged_ms < LOG_EVERY_MS) {
        return;
    }
    const mr_log_field fields[] = {{.name = "shard", .number = txn->options->shard},
                                   {.name = "call", .text = what},
                                   {.name = "cause", .text = words}};
    mr_log_event(txn->options->log, MR_LOG_WARN, "kafka", "waiting for the cluster", fields,
                 MR_LENGTH(fields));
    *logged_ms = now_ms;
}

/* ---- Partition counts ---- */

static mr_status read_topic(mr_txn *txn, uint32_t index, uint64_t generation, mr_diag *diag)
{
    const char *name = txn->options->plan->topics[index].name;
    int64_t logged_ms = -1;
    int64_t gone_ms = -1;

    while (!mr_txn_abandoned(txn, generation)) {
        const rd_kafka_resp_err_t code = ask_partitions(txn, name, &txn->topic_partitions[index]);
        if (is_absent(code)) {
            gone_ms = gone_ms < 0 ? mr_txn_now_ms(txn) : gone_ms;
            if (mr_txn_now_ms(txn) - gone_ms > MR_TOPIC_GONE_MS) {
                return mr_diag_set(diag, MR_ERR_REFUSED, 0,
                                   "E_TOPIC_GONE: topic %s has been absent for %d s: it was "
                                   "deleted; restore it, or start under a new app name",
                                   name, MR_TOPIC_GONE_MS / 1000);
            }
        } else {
            const mr_status status = judge_read(txn, code, name, diag);
            if (mr_status_class(status) != MR_CLASS_RETRY) {
                return status;
            }
            gone_ms = -1;
        }
        mr_txn_log_wait(txn, "reading the metadata of a topic", rd_kafka_err2str(code), &logged_ms);
        mr_txn_pause(txn, generation, RETRY_MS);
    }
    return mr_diag_set(diag, MR_ERR_TXN_ABORTED, 0, "abandoned");
}

static bool is_absent(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
           code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC;
}

/* Producers send keys elsewhere as soon as there are more partitions, but the state stays. */
static mr_status judge_count(const mr_txn *txn, uint32_t index, uint32_t count, mr_diag *diag)
{
    const mr_plan_topic *topic = &txn->options->plan->topics[index];
    const uint32_t expected = txn->options->topic_partitions;

    if (topic->source == MR_NO_INDEX || expected == 0 || count <= expected) {
        return MR_OK; /* One that is missing is found by mr_txn_read_topics. */
    }
    return mr_diag_set(diag, MR_ERR_PARTITIONS, 0,
                       "E_PARTITIONS_CHANGED: topic %s has %u partitions now, it had %u when the "
                       "worker started: keys have moved, and the state cannot follow; process the "
                       "topic anew under another app name",
                       topic->name, count, expected);
}

static rd_kafka_resp_err_t ask_partitions(mr_txn *txn, const char *name, uint32_t *count)
{
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_topic_t *topic = rd_kafka_topic_new(txn->clients.consumer, name, NULL);
    MR_ASSERT(topic != NULL);
    rd_kafka_resp_err_t code =
        rd_kafka_metadata(txn->clients.consumer, 0, topic, &metadata, MR_CALL_MS);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        MR_ASSERT(metadata->topic_cnt == 1);
        code = metadata->topics[0].err;
        *count = (uint32_t)metadata->topics[0].partition_cnt;
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR && *count == 0) {
            code = RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE;
        }
        rd_kafka_metadata_destroy(metadata);
    }
    rd_kafka_topic_destroy(topic);
    return code;
}

/* ---- The largest record ---- */

/* A topic whose configuration we may not read counts with librdkafka's default. */
static void take_limit(void *self, const rd_kafka_ConfigResource_t *resource)
{
    mr_txn *txn = self;
    const char *value = mr_config_value(resource, "max.message.bytes");
    const uint32_t limit =
        value != NULL ? (uint32_t)strtoul(value, NULL, 10) : MR_RECORD_BYTES_DEFAULT;

    if (txn->record_bytes_max == 0 || limit < txn->record_bytes_max) {
        txn->record_bytes_max = limit;
    }
}

/* ---- The ends of the logs ---- */

static mr_status read_end(mr_txn *txn, mr_offset *offset, uint64_t generation, mr_diag *diag)
{
    const char *topic = txn->options->plan->topics[offset->topic].name;
    char what[300];
    int64_t logged_ms = -1;

    snprintf(what, sizeof(what), "reading the ends of %s-%u", topic, offset->partition);
    while (!mr_txn_abandoned(txn, generation)) {
        rd_kafka_resp_err_t code = rd_kafka_query_watermark_offsets(
            txn->clients.consumer, topic, (int32_t)offset->partition, &offset->log_start,
            &offset->log_end, MR_CALL_MS);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            code = ask_start(txn, topic, offset);
        }
        const mr_status status = judge_read(txn, code, what, diag);
        if (mr_status_class(status) != MR_CLASS_RETRY) {
            return status;
        }
        mr_txn_log_wait(txn, what, rd_kafka_err2str(code), &logged_ms);
        mr_txn_pause(txn, generation, RETRY_MS);
    }
    return mr_diag_set(diag, MR_ERR_TXN_ABORTED, 0, "abandoned");
}

/* `start` goes in as what the plan says and comes out as an offset of this partition. */
static rd_kafka_resp_err_t ask_start(mr_txn *txn, const char *topic, mr_offset *offset)
{
    if (offset->start == MR_START_EARLIEST || offset->offset >= 0) {
        offset->start = offset->log_start;
        return RD_KAFKA_RESP_ERR_NO_ERROR;
    }
    if (offset->start == MR_START_LATEST) {
        offset->start = offset->log_end;
        return RD_KAFKA_RESP_ERR_NO_ERROR;
    }
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *entry =
        rd_kafka_topic_partition_list_add(list, topic, (int32_t)offset->partition);
    MR_ASSERT(offset->start >= 0);
    entry->offset = (offset->start + 999) / 1000; /* In: milliseconds. */
    rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(txn->clients.consumer, list, MR_CALL_MS);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        code = entry->err;
    }
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        offset->start = entry->offset >= 0 ? entry->offset : offset->log_end;
    }
    rd_kafka_topic_partition_list_destroy(list);
    return code;
}

static mr_status judge_read(const mr_txn *txn, rd_kafka_resp_err_t code, const char *what,
                            mr_diag *diag)
{
    const mr_fault fault = mr_fault_of_code(code);
    const mr_verdict verdict = mr_kafka_judge(MR_CALL_READ, &fault, txn->was_ready);
    if (verdict.status == MR_OK) {
        return MR_OK;
    }
    return mr_verdict_tell(&verdict, &fault, what, rd_kafka_err2str(code), diag);
}
