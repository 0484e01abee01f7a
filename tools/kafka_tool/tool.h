/*
 * tool.h - what the files of kafka_tool share. Everything here fails by ending the program.
 */
#ifndef MR_TOOLS_KAFKA_TOOL_H
#define MR_TOOLS_KAFKA_TOOL_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    ANSWER_MS_MAX = 30000, /* For each request; the admin API's own retries are inside. */
    CONFIG_COUNT_MAX = 32,
    HEADER_COUNT_MAX = 128,
    PARTITION_COUNT_MAX = 4096,
};

typedef struct mr_tool_options {
    int32_t partition;       /* RD_KAFKA_PARTITION_UA: by murmur2 of the key. */
    int64_t count_max;       /* Of `read`; -1: up to the end as it stood at the start. */
    const char *transaction; /* Transactional id; NULL: plain idempotent. */
    const char *headers[HEADER_COUNT_MAX];
    int header_count;
    bool abort;
    bool leave_open;
    bool escaped;
    bool with_time;
    bool uncommitted;
} mr_tool_options;

typedef struct mr_tool_feed {
    rd_kafka_t *producer;
    const char *topic;
    const mr_tool_options *options;
    int64_t line_count;
    int64_t failed_count;
} mr_tool_feed;

/* ---- client.c ---- */
_Noreturn void mr_tool_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
void mr_tool_check(rd_kafka_resp_err_t error, const char *what);
void mr_tool_check_error(rd_kafka_error_t *error, const char *what);
int64_t mr_tool_parse_number(const char *text, int64_t min, int64_t max);
rd_kafka_t *mr_tool_client_create(rd_kafka_type_t type, const char *const settings[],
                                  mr_tool_feed *from);
rd_kafka_t *mr_tool_transaction_producer_create(const char *id, mr_tool_feed *from);
rd_kafka_t *mr_tool_reader_create(bool uncommitted, const char *group);
rd_kafka_event_t *mr_tool_admin_answer(rd_kafka_queue_t *queue, const char *what);
int mr_tool_partition_count_of(rd_kafka_t *client, const char *topic);
int64_t mr_tool_now_ms(void); /* Monotonic. */

/* ---- topics.c ---- */
void mr_tool_topic_create(rd_kafka_t *client, const char *name, int partition_count, int count,
                          char **settings);
void mr_tool_topic_delete(rd_kafka_t *client, const char *name);
int mr_tool_create(int count, char **words);
int mr_tool_delete(int count, char **words);
int mr_tool_alter(int count, char **words);
int mr_tool_ends(int count, char **words);
int mr_tool_truncate(int count, char **words);
int mr_tool_partitions(int count, char **words);

/* ---- records.c ---- */
void mr_tool_options_parse(mr_tool_options *out, int count, char **words);
int mr_tool_produce(int count, char **words);
int mr_tool_read(int count, char **words);

/* ---- offsets.c ---- */
int mr_tool_commit(int count, char **words);
int mr_tool_offsets(int count, char **words);
int mr_tool_delete_group(int count, char **words);
int mr_tool_forget(int count, char **words);

#endif
