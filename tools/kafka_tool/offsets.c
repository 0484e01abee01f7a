/*
 * offsets.c - commands on a group's committed offsets.
 */
#define _GNU_SOURCE
#include "tools/kafka_tool/tool.h"
#include <stdio.h>
#include <string.h>

int mr_tool_commit(int count, char **words)
{
    rd_kafka_t *member = mr_tool_reader_create(false, words[0]);
    rd_kafka_topic_partition_list_t *offsets = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *one = rd_kafka_topic_partition_list_add(
        offsets, words[1], (int32_t)mr_tool_parse_number(words[2], 0, PARTITION_COUNT_MAX));
    one->offset = mr_tool_parse_number(words[3], 0, INT64_MAX);
    if (count > 4) {
        one->metadata_size = strlen(words[4]);
        one->metadata = strdup(words[4]); /* The list takes it. */
    }
    mr_tool_check(rd_kafka_commit(member, offsets, 0), "commit");
    mr_tool_check(offsets->elems[0].err, "commit");
    rd_kafka_topic_partition_list_destroy(offsets);
    rd_kafka_destroy(member);
    return 0;
}

int mr_tool_offsets(int count, char **words)
{
    (void)count;
    rd_kafka_t *member = mr_tool_reader_create(false, words[0]);
    const int partition_count = mr_tool_partition_count_of(member, words[1]);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partition_count);
    rd_kafka_topic_partition_list_add_range(list, words[1], 0, partition_count - 1);
    mr_tool_check(rd_kafka_committed(member, list, ANSWER_MS_MAX), "offsets");
    for (int i = 0; i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *one = &list->elems[i];
        mr_tool_check(one->err, "offsets");
        if (one->offset < 0) {
            printf("%d\t-\t\n", one->partition);
        } else {
            printf("%d\t%lld\t%.*s\n", one->partition, (long long)one->offset,
                   (int)one->metadata_size, one->metadata_size > 0 ? (char *)one->metadata : "");
        }
    }
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_destroy(member);
    return 0;
}

int mr_tool_delete_group(int count, char **words)
{
    size_t result_count = 0;
    (void)count;
    rd_kafka_t *client = mr_tool_client_create(RD_KAFKA_PRODUCER, NULL, NULL);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_DeleteGroup_t *group = rd_kafka_DeleteGroup_new(words[0]);
    rd_kafka_DeleteGroups(client, &group, 1, NULL, queue);
    rd_kafka_event_t *answer = mr_tool_admin_answer(queue, "delete-group");
    const rd_kafka_group_result_t *const *results = rd_kafka_DeleteGroups_result_groups(
        rd_kafka_event_DeleteGroups_result(answer), &result_count);
    for (size_t i = 0; i < result_count; i++) {
        const rd_kafka_error_t *error = rd_kafka_group_result_error(results[i]);
        if (error != NULL && rd_kafka_error_code(error) != RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND) {
            mr_tool_fail("delete-group %s: %s", words[0], rd_kafka_error_string(error));
        }
    }
    rd_kafka_event_destroy(answer);
    rd_kafka_DeleteGroup_destroy(group);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(client);
    return 0;
}

int mr_tool_forget(int count, char **words)
{
    (void)count;
    rd_kafka_t *client = mr_tool_client_create(RD_KAFKA_PRODUCER, NULL, NULL);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_topic_partition_list_t *one = rd_kafka_topic_partition_list_new(1);
    (void)rd_kafka_topic_partition_list_add(
        one, words[1], (int32_t)mr_tool_parse_number(words[2], 0, PARTITION_COUNT_MAX));
    rd_kafka_DeleteConsumerGroupOffsets_t *request =
        rd_kafka_DeleteConsumerGroupOffsets_new(words[0], one);
    rd_kafka_DeleteConsumerGroupOffsets(client, &request, 1, NULL, queue);
    rd_kafka_event_t *answer = mr_tool_admin_answer(queue, "forget");
    size_t group_count = 0;
    const rd_kafka_group_result_t *const *groups =
        rd_kafka_DeleteConsumerGroupOffsets_result_groups(
            rd_kafka_event_DeleteConsumerGroupOffsets_result(answer), &group_count);
    for (size_t i = 0; i < group_count; i++) {
        const rd_kafka_error_t *error = rd_kafka_group_result_error(groups[i]);
        if (error != NULL) {
            mr_tool_fail("forget %s: %s", words[0], rd_kafka_error_string(error));
        }
        mr_tool_check(rd_kafka_group_result_partitions(groups[i])->elems[0].err, "forget");
    }
    rd_kafka_event_destroy(answer);
    rd_kafka_DeleteConsumerGroupOffsets_destroy(request);
    rd_kafka_topic_partition_list_destroy(one);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(client);
    return 0;
}
