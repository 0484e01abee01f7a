/*
 * client.h - what the programs of this folder share: librdkafka clients, errors, numbers, a hash.
 *
 * Each program is one source file, so this is a header of small inline functions. They give up at
 * the first error with one line on stderr and status 1: a measurement that went on would be none.
 * The cluster is the one of the environment variable MR_KAFKA (host:port).
 */
#ifndef MR_BENCH_CLIENT_H
#define MR_BENCH_CLIENT_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* Included first: clocks. */
#endif
#include <errno.h>
#include <librdkafka/rdkafka.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    BENCH_ANSWER_MS_MAX = 60000,
    BENCH_PARTITIONS_MAX = 64,
    BENCH_TOPIC_TRIES = 100,
    BENCH_TOPIC_WAIT_MS = 100
};

static inline _Noreturn void bench_fail(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

static inline _Noreturn void bench_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    /* Not exit(): a client that is still open must not delay the end. */
    fflush(stdout);
    _exit(1);
}

static inline void bench_check(rd_kafka_resp_err_t error, const char *what)
{
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
        bench_fail("%s: %s", what, rd_kafka_err2str(error));
    }
}

static inline void bench_check_error(rd_kafka_error_t *error, const char *what)
{
    if (error != NULL) {
        bench_fail("%s: %s", what, rd_kafka_error_string(error));
    }
}

static inline uint64_t bench_number(const char *text, uint64_t min, uint64_t max)
{
    char *end = NULL;
    errno = 0;
    const unsigned long long value = strtoull(text, &end, 10);
    if (end == text || *end != '\0' || *text == '-' || errno != 0 || value < min || value > max) {
        bench_fail("'%s' is not a number from %llu to %llu", text, (unsigned long long)min,
                   (unsigned long long)max);
    }
    return value;
}

typedef struct bench_setting { /* Of librdkafka. A list ends with a name of NULL. */
    const char *name, *value;
} bench_setting;

/* Returns owned. */
static inline rd_kafka_conf_t *bench_conf(const bench_setting *settings)
{
    char text[512];
    const char *bootstrap = getenv("MR_KAFKA");
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    if (bootstrap == NULL || *bootstrap == '\0') {
        bench_fail("MR_KAFKA is not set; it names the cluster as host:port");
    }
    if (rd_kafka_conf_set(conf, "bootstrap.servers", bootstrap, text, sizeof text) != 0) {
        bench_fail("%s", text);
    }
    for (; settings->name != NULL; settings++) {
        if (rd_kafka_conf_set(conf, settings->name, settings->value, text, sizeof text) != 0) {
            bench_fail("%s", text);
        }
    }
    return conf;
}

/* Takes `conf`. Returns owned. */
static inline rd_kafka_t *bench_client(rd_kafka_type_t type, rd_kafka_conf_t *conf)
{
    char text[512];
    rd_kafka_t *client = rd_kafka_new(type, conf, text, sizeof text);
    if (client == NULL) {
        bench_fail("%s", text);
    }
    return client;
}

/* How many partitions a topic has; ends the program if it does not exist or has too many. */
/* A topic that was just made may be unknown, or without leaders, for a moment. */
static inline int32_t bench_partition_count(rd_kafka_t *client, const char *topic)
{
    const rd_kafka_metadata_t *metadata = NULL;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(client, topic, NULL);
    for (int tries = 0; metadata == NULL; tries++) {
        bench_check(rd_kafka_metadata(client, 0, handle, &metadata, BENCH_ANSWER_MS_MAX), topic);
        const rd_kafka_resp_err_t error = metadata->topics[0].err;
        if (tries < BENCH_TOPIC_TRIES && (error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
                                          error == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE)) {
            rd_kafka_metadata_destroy(metadata);
            metadata = NULL;
            rd_kafka_poll(client, BENCH_TOPIC_WAIT_MS);
        }
    }
    bench_check(metadata->topics[0].err, topic);
    const int32_t count = metadata->topics[0].partition_cnt;
    rd_kafka_metadata_destroy(metadata);
    rd_kafka_topic_destroy(handle);
    if (count < 1 || count > BENCH_PARTITIONS_MAX) {
        bench_fail("%s has %d partitions, 1 to %d are read here", topic, count,
                   BENCH_PARTITIONS_MAX);
    }
    return count;
}

/* A consumer of a whole topic from its first record, every partition in one queue. Returns owned.
 */
static inline rd_kafka_t *bench_consumer(const bench_setting *settings, const char *topic,
                                         int32_t *partition_count)
{
    rd_kafka_t *consumer = bench_client(RD_KAFKA_CONSUMER, bench_conf(settings));
    bench_check(rd_kafka_poll_set_consumer(consumer), "poll_set_consumer");
    *partition_count = bench_partition_count(consumer, topic);
    rd_kafka_topic_partition_list_t *all = rd_kafka_topic_partition_list_new(*partition_count);
    for (int32_t p = 0; p < *partition_count; p++) {
        rd_kafka_topic_partition_list_add(all, topic, p)->offset = RD_KAFKA_OFFSET_BEGINNING;
    }
    bench_check(rd_kafka_assign(consumer, all), "assign");
    rd_kafka_topic_partition_list_destroy(all);
    return consumer;
}

static inline double bench_now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* The step of splitmix64: mix(0) = 0xe220a8397b1dcdaf, mix(1) = 0x910a2dec89025cc1. */
static inline uint64_t bench_mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* Writes a number in decimal; returns the place behind it. Room: 20 bytes. */
static inline char *bench_decimal(char *out, uint64_t value)
{
    char digits[20];
    int count = 0;
    do {
        digits[count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    while (count > 0) {
        *out++ = digits[--count];
    }
    return out;
}

/* Copies a text without its NUL; returns the place behind it. */
static inline char *bench_text(char *out, const char *text)
{
    const size_t size_bytes = strlen(text);
    memcpy(out, text, size_bytes);
    return out + size_bytes;
}

#endif
