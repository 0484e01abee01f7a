/*
 * configs.c - what brokers tell of their own and of topics' configuration. Thread: the caller's,
 * who is blocked for the call.
 */
#include "io/kafka/kafka_private.h"
#include <string.h>

rd_kafka_resp_err_t mr_configs_read(rd_kafka_t *client, rd_kafka_ConfigResource_t **resources,
                                    size_t count, int32_t timeout_ms, mr_config_take take,
                                    void *self)
{
    rd_kafka_AdminOptions_t *options =
        rd_kafka_AdminOptions_new(client, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__TIMED_OUT;
    char text[256];
    size_t found = 0;

    MR_ASSERT(count > 0 && timeout_ms > 0);
    (void)rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, text, sizeof(text));
    rd_kafka_DescribeConfigs(client, resources, count, options, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 2 * timeout_ms);
    if (event != NULL) {
        code = rd_kafka_event_error(event);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            const rd_kafka_ConfigResource_t **answers = rd_kafka_DescribeConfigs_result_resources(
                rd_kafka_event_DescribeConfigs_result(event), &found);
            for (size_t i = 0; i < found; i++) {
                take(self, answers[i]);
            }
        }
        rd_kafka_event_destroy(event);
    }
    rd_kafka_queue_destroy(queue);
    rd_kafka_AdminOptions_destroy(options);
    return code;
}

const char *mr_config_value(const rd_kafka_ConfigResource_t *resource, const char *name)
{
    size_t count = 0;

    if (rd_kafka_ConfigResource_error(resource) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return NULL;
    }
    const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(resource, &count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(rd_kafka_ConfigEntry_name(entries[i]), name) == 0) {
            return rd_kafka_ConfigEntry_value(entries[i]);
        }
    }
    return NULL;
}
