/*
 * topics.c - commands on topics: made, deleted, altered, truncated, given partitions.
 */
#define _GNU_SOURCE
#include "tools/kafka_tool/tool.h"
#include <stdio.h>
#include <string.h>

static void setting_split(char *word, const char **value)
{
    char *equals = strchr(word, '=');
    if (equals == NULL || equals == word) {
        mr_tool_fail("'%s' is not KEY=VALUE", word);
    }
    *equals = '\0';
    *value = equals + 1;
}

static void look_again(rd_kafka_t *client, const char *name);

/*
 * A topic is created when the controller says so, but of use only when its broker knows it and
 * leads its partitions: some milliseconds later, or seconds on a busy machine.
 */
static void topic_await(rd_kafka_t *client, const char *name, int partition_count)
{
    const int64_t until_ms = mr_tool_now_ms() + ANSWER_MS_MAX;
    int64_t first = 0;
    int64_t end = 0;

    for (int p = 0; p < partition_count;) {
        const rd_kafka_resp_err_t error =
            rd_kafka_query_watermark_offsets(client, name, p, &first, &end, ANSWER_MS_MAX);
        if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
            p++;
        } else if (mr_tool_now_ms() > until_ms) {
            mr_tool_fail("%s-%d: %s", name, p, rd_kafka_err2str(error));
        } else {
            look_again(client, name);
        }
    }
}

/* The client knows a partition as missing until it asks anew, which it does after minutes. */
static void look_again(rd_kafka_t *client, const char *name)
{
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_topic_t *topic = rd_kafka_topic_new(client, name, NULL);

    if (topic != NULL && rd_kafka_metadata(client, 0, topic, &metadata, ANSWER_MS_MAX) ==
                             RD_KAFKA_RESP_ERR_NO_ERROR) {
        rd_kafka_metadata_destroy(metadata);
    }
    if (topic != NULL) {
        rd_kafka_topic_destroy(topic);
    }
}

void mr_tool_topic_create(rd_kafka_t *client, const char *name, int partition_count, int count,
                          char **settings)
{
    char text[512];
    size_t result_count = 0;
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(name, partition_count, 1, text, sizeof text);
    if (topic == NULL) {
        mr_tool_fail("%s", text);
    }
    for (int i = 0; i < count; i++) {
        const char *value = NULL;
        setting_split(settings[i], &value);
        mr_tool_check(rd_kafka_NewTopic_set_config(topic, settings[i], value), settings[i]);
    }
    rd_kafka_AdminOptions_t *request =
        rd_kafka_AdminOptions_new(client, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    mr_tool_check(
        rd_kafka_AdminOptions_set_request_timeout(request, ANSWER_MS_MAX, text, sizeof text), text);
    rd_kafka_CreateTopics(client, &topic, 1, request, queue);
    rd_kafka_event_t *answer = mr_tool_admin_answer(queue, "create");
    const rd_kafka_topic_result_t *const *results = rd_kafka_CreateTopics_result_topics(
        rd_kafka_event_CreateTopics_result(answer), &result_count);
    for (size_t i = 0; i < result_count; i++) {
        if (rd_kafka_topic_result_error(results[i]) != RD_KAFKA_RESP_ERR_NO_ERROR) {
            mr_tool_fail("create %s: %s", name, rd_kafka_topic_result_error_string(results[i]));
        }
    }
    rd_kafka_event_destroy(answer);
    rd_kafka_AdminOptions_destroy(request);
    rd_kafka_NewTopic_destroy(topic);
    rd_kafka_queue_destroy(queue);
    topic_await(client, name, partition_count);
}

void mr_tool_topic_delete(rd_kafka_t *client, const char *name)
{
    size_t result_count = 0;
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_DeleteTopic_t *topic = rd_kafka_DeleteTopic_new(name);
    rd_kafka_DeleteTopics(client, &topic, 1, NULL, queue);
    rd_kafka_event_t *answer = mr_tool_admin_answer(queue, "delete");
    const rd_kafka_topic_result_t *const *results = rd_kafka_DeleteTopics_result_topics(
        rd_kafka_event_DeleteTopics_result(answer), &result_count);
    for (size_t i = 0; i < result_count; i++) {
        const rd_kafka_resp_err_t error = rd_kafka_topic_result_error(results[i]);
        if (error != RD_KAFKA_RESP_ERR_NO_ERROR &&
            error != RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) {
            mr_tool_fail("delete %s: %s", name, rd_kafka_err2str(error));
        }
    }
    rd_kafka_event_destroy(answer);
    rd_kafka_DeleteTopic_destroy(topic);
    rd_kafka_queue_destroy(queue);
}

int mr_tool_create(int count, char **words)
{
    const int partition_count = (int)mr_tool_parse_number(words[1], 1, PARTITION_COUNT_MAX);
    rd_kafka_t *client = mr_tool_client_create(RD_KAFKA_PRODUCER, NULL, NULL);
    mr_tool_topic_create(client, words[0], partition_count, count - 2, words + 2);
    rd_kafka_destroy(client);
    return 0;
}

int mr_tool_delete(int count, char **words)
{
    rd_kafka_t *client = mr_tool_client_create(RD_KAFKA_PRODUCER, NULL, NULL);
    for (int i = 0; i < count; i++) {
        mr_tool_topic_delete(client, words[i]);
    }
    rd_kafka_destroy(client);
    return 0;
}

int mr_tool_alter(int count, char **words)
{
    size_t result_count = 0;
    rd_kafka_t *client = mr_tool_client_create(RD_KAFKA_PRODUCER, NULL, NULL);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_ConfigResource_t *topic =
        rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, words[0]);
    for (int i = 1; i < count; i++) {
        const char *value = NULL;
        setting_split(words[i], &value);
        mr_tool_check(rd_kafka_ConfigResource_set_config(topic, words[i], value), words[i]);
    }
    rd_kafka_AlterConfigs(client, &topic, 1, NULL, queue);
    rd_kafka_event_t *answer = mr_tool_admin_answer(queue, "alter");
    const rd_kafka_ConfigResource_t **results = rd_kafka_AlterConfigs_result_resources(
        rd_kafka_event_AlterConfigs_result(answer), &result_count);
    for (size_t i = 0; i < result_count; i++) {
        if (rd_kafka_ConfigResource_error(results[i]) != RD_KAFKA_RESP_ERR_NO_ERROR) {
            mr_tool_fail("alter %s: %s", words[0],
                         rd_kafka_ConfigResource_error_string(results[i]));
        }
    }
    rd_kafka_event_destroy(answer);
    rd_kafka_ConfigResource_destroy(topic);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(client);
    return 0;
}

int mr_tool_ends(int count, char **words)
{
    mr_tool_options o;
    mr_tool_options_parse(&o, count - 1, words + 1);
    rd_kafka_t *reader = mr_tool_reader_create(o.uncommitted, "kafka_tool.ends");
    const int partition_count = mr_tool_partition_count_of(reader, words[0]);
    for (int p = 0; p < partition_count; p++) {
        int64_t first = 0;
        int64_t end = 0;
        mr_tool_check(
            rd_kafka_query_watermark_offsets(reader, words[0], p, &first, &end, ANSWER_MS_MAX),
            words[0]);
        printf("%d\t%lld\t%lld\n", p, (long long)first, (long long)end);
    }
    rd_kafka_destroy(reader);
    return 0;
}

int mr_tool_truncate(int count, char **words)
{
    (void)count;
    rd_kafka_t *client = mr_tool_client_create(RD_KAFKA_PRODUCER, NULL, NULL);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_topic_partition_list_t *before = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(
        before, words[0], (int32_t)mr_tool_parse_number(words[1], 0, PARTITION_COUNT_MAX))
        ->offset = mr_tool_parse_number(words[2], 0, INT64_MAX);
    rd_kafka_DeleteRecords_t *request = rd_kafka_DeleteRecords_new(before);
    rd_kafka_DeleteRecords(client, &request, 1, NULL, queue);
    rd_kafka_event_t *answer = mr_tool_admin_answer(queue, "truncate");
    const rd_kafka_topic_partition_list_t *done =
        rd_kafka_DeleteRecords_result_offsets(rd_kafka_event_DeleteRecords_result(answer));
    mr_tool_check(done->elems[0].err, "truncate");
    rd_kafka_event_destroy(answer);
    rd_kafka_DeleteRecords_destroy(request);
    rd_kafka_topic_partition_list_destroy(before);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(client);
    return 0;
}

int mr_tool_partitions(int count, char **words)
{
    char text[512];
    size_t result_count = 0;
    (void)count;
    rd_kafka_t *client = mr_tool_client_create(RD_KAFKA_PRODUCER, NULL, NULL);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_NewPartitions_t *more = rd_kafka_NewPartitions_new(
        words[0], (size_t)mr_tool_parse_number(words[1], 1, PARTITION_COUNT_MAX), text,
        sizeof text);
    if (more == NULL) {
        mr_tool_fail("%s", text);
    }
    rd_kafka_CreatePartitions(client, &more, 1, NULL, queue);
    rd_kafka_event_t *answer = mr_tool_admin_answer(queue, "partitions");
    const rd_kafka_topic_result_t *const *results = rd_kafka_CreatePartitions_result_topics(
        rd_kafka_event_CreatePartitions_result(answer), &result_count);
    for (size_t i = 0; i < result_count; i++) {
        if (rd_kafka_topic_result_error(results[i]) != RD_KAFKA_RESP_ERR_NO_ERROR) {
            mr_tool_fail("partitions %s: %s", words[0],
                         rd_kafka_topic_result_error_string(results[i]));
        }
    }
    rd_kafka_event_destroy(answer);
    rd_kafka_NewPartitions_destroy(more);
    topic_await(client, words[0], (int)mr_tool_parse_number(words[1], 1, PARTITION_COUNT_MAX));
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(client);
    return 0;
}
