/*
 * client.c - clients, answers and the one way to give up, for every command.
 */
#define _GNU_SOURCE
#include "tools/kafka_tool/tool.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void mr_tool_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("kafka_tool: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    /* Not exit(): a producer that is still open must not delay the end of a failed call. */
    fflush(stdout);
    _exit(1);
}

void mr_tool_check(rd_kafka_resp_err_t error, const char *what)
{
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
        mr_tool_fail("%s: %s", what, rd_kafka_err2str(error));
    }
}

void mr_tool_check_error(rd_kafka_error_t *error, const char *what)
{
    if (error != NULL) {
        mr_tool_fail("%s: %s", what, rd_kafka_error_string(error));
    }
}

int64_t mr_tool_parse_number(const char *text, int64_t min, int64_t max)
{
    char *end = NULL;
    errno = 0;
    const long long value = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || value < min || value > max) {
        mr_tool_fail("'%s' is not a number from %lld to %lld", text, (long long)min,
                     (long long)max);
    }
    return value;
}

static void on_log(const rd_kafka_t *client, int level, const char *facility, const char *text)
{
    (void)client;
    /* Refused connections are expected while a broker starts; what matters comes as an error. */
    if (level <= 2) {
        fprintf(stderr, "kafka_tool: %s %s\n", facility, text);
    }
}

static void on_delivery(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque)
{
    mr_tool_feed *from = opaque;
    (void)client;
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR && from != NULL && from->failed_count++ == 0) {
        fprintf(stderr, "kafka_tool: a record was not delivered: %s\n",
                rd_kafka_err2str(message->err));
    }
}

/* settings: pairs, ended by NULL. from: who counts the deliveries; NULL unless it produces. */
rd_kafka_t *mr_tool_client_create(rd_kafka_type_t type, const char *const settings[],
                                  mr_tool_feed *from)
{
    const char *bootstrap = getenv("MR_KAFKA");
    const char *const common[] = {"bootstrap.servers",
                                  bootstrap,
                                  "reconnect.backoff.ms",
                                  "20",
                                  "reconnect.backoff.max.ms",
                                  "200",
                                  NULL};
    const char *const *const lists[] = {common, settings};
    char text[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    if (bootstrap == NULL) {
        mr_tool_fail("MR_KAFKA is not set; it names the cluster as host:port");
    }
    rd_kafka_conf_set_log_cb(conf, on_log);
    rd_kafka_conf_set_opaque(conf, from);
    if (type == RD_KAFKA_PRODUCER) {
        rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    }
    for (int list = 0; list < 2; list++) {
        for (const char *const *pair = lists[list]; pair != NULL && *pair != NULL; pair += 2) {
            if (rd_kafka_conf_set(conf, pair[0], pair[1], text, sizeof text) != 0) {
                mr_tool_fail("%s", text);
            }
        }
    }
    rd_kafka_t *client = rd_kafka_new(type, conf, text, sizeof text);
    if (client == NULL) {
        mr_tool_fail("%s", text);
    }
    return client;
}

/* A transactional producer with its state on the broker set up. */
rd_kafka_t *mr_tool_transaction_producer_create(const char *id, mr_tool_feed *from)
{
    const char *const settings[] = {
        "transactional.id", id,  "transaction.timeout.ms", "10000", "linger.ms", "0", "partitioner",
        "murmur2_random",   NULL};
    rd_kafka_t *producer = mr_tool_client_create(RD_KAFKA_PRODUCER, settings, from);
    mr_tool_check_error(rd_kafka_init_transactions(producer, ANSWER_MS_MAX), "init_transactions");
    return producer;
}

rd_kafka_t *mr_tool_reader_create(bool uncommitted, const char *group)
{
    const char *const settings[] = {"group.id",
                                    group,
                                    "enable.auto.commit",
                                    "false",
                                    "enable.partition.eof",
                                    "true",
                                    "auto.offset.reset",
                                    "error",
                                    "isolation.level",
                                    uncommitted ? "read_uncommitted" : "read_committed",
                                    NULL};
    return mr_tool_client_create(RD_KAFKA_CONSUMER, settings, NULL);
}

/* Waits for the one answer of an admin request. Returns it owned. */
rd_kafka_event_t *mr_tool_admin_answer(rd_kafka_queue_t *queue, const char *what)
{
    rd_kafka_event_t *answer = rd_kafka_queue_poll(queue, ANSWER_MS_MAX);
    if (answer == NULL) {
        mr_tool_fail("%s: no answer within %d s", what, ANSWER_MS_MAX / 1000);
    }
    if (rd_kafka_event_error(answer) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        mr_tool_fail("%s: %s", what, rd_kafka_event_error_string(answer));
    }
    return answer;
}

/*
 * How many partitions a topic has; fails if it does not exist. A producer asks before its first
 * record too: librdkafka itself looks for an unknown topic only once a second.
 */
int mr_tool_partition_count_of(rd_kafka_t *client, const char *topic)
{
    const rd_kafka_metadata_t *metadata = NULL;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(client, topic, NULL);
    mr_tool_check(rd_kafka_metadata(client, 0, handle, &metadata, ANSWER_MS_MAX), topic);
    mr_tool_check(metadata->topics[0].err, topic);
    const int count = metadata->topics[0].partition_cnt;
    rd_kafka_metadata_destroy(metadata);
    rd_kafka_topic_destroy(handle);
    return count;
}

int64_t mr_tool_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
