/*
 * feed.c - user activity of a web shop, as a deterministic stream of Kafka records.
 *
 *   demo_feed TOPIC COUNT [--rate N] [--first N] [--users N] [--malformed N]
 *
 * Each record is one JSON event {event_id, user_id, session, event, page, amount, currency, device,
 * at}, keyed by user_id and placed as Java's client would (murmur2). A few users do most of it.
 * Event n is a pure function of n: --first N goes on where another run ended. --rate N paces the
 * stream to N events a second; without it, it is as fast as it gets. --malformed N spoils one event
 * in N in one of five ways, each of which a JSON source must refuse. --users N: how many there are.
 *
 * SIGTERM and SIGINT end it after the records it has sent. The producer is idempotent, so nothing
 * is lost or doubled on the way in. It prints how many records it sent and how many are malformed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <librdkafka/rdkafka.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    VALUE_BYTES_MAX = 512,
    FLUSH_MS_MAX = 60000,
    PACE_MS = 10, /* A paced stream sends what is due this often. */
    SPOIL_KINDS = 5,
    EVENT_STEP_MS = 7, /* Of the events' own time. */
};

#define BASE_MS INT64_C(1767225600000) /* 2026-01-01T00:00:00Z */

typedef struct settings {
    const char *topic;
    uint64_t count, rate, first, users, malformed_every; /* rate, malformed_every 0: off. */
} settings;

typedef struct feed {
    rd_kafka_t *producer;
    rd_kafka_topic_t *topic;
    uint64_t sent_count, malformed_count, failed_count;
} feed;

typedef struct event {
    char key[24];
    char value[VALUE_BYTES_MAX];
    size_t key_bytes, value_bytes;
    int64_t time_ms;
} event;

static volatile sig_atomic_t is_stopping; /* Set by the signal handler. */

static _Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void settings_parse(settings *s, int count, char **words);
static void feed_open(feed *f, const char *topic);
static void feed_run(feed *f, const settings *s);
static void event_make(event *e, uint64_t n, const settings *s, bool is_malformed);

static void on_signal(int number)
{
    (void)number;
    is_stopping = 1;
}

int main(int argc, char **argv)
{
    settings s;
    feed f = {0};
    settings_parse(&s, argc - 1, argv + 1);
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    feed_open(&f, s.topic);
    feed_run(&f, &s);
    if (rd_kafka_flush(f.producer, FLUSH_MS_MAX) != RD_KAFKA_RESP_ERR_NO_ERROR ||
        f.failed_count > 0) {
        fail("not every record was delivered");
    }
    printf("sent=%llu malformed=%llu\n", (unsigned long long)f.sent_count,
           (unsigned long long)f.malformed_count);
    rd_kafka_topic_destroy(f.topic);
    rd_kafka_destroy(f.producer);
    return 0;
}

static void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("demo_feed: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    fflush(stdout);
    _exit(1);
}

static uint64_t parse_number(const char *text)
{
    char *end = NULL;
    errno = 0;
    const unsigned long long value = strtoull(text, &end, 10);
    if (end == text || *end != '\0' || *text == '-' || errno != 0) {
        fail("'%s' is not a natural number", text);
    }
    return value;
}

static void settings_parse(settings *s, int count, char **words)
{
    *s = (settings){.users = 5000};
    const struct option {
        const char *name;
        uint64_t *value;
    } options[] = {{"--rate", &s->rate},
                   {"--first", &s->first},
                   {"--users", &s->users},
                   {"--malformed", &s->malformed_every}};
    if (count < 2 || count % 2 != 0) {
        fputs("usage: demo_feed TOPIC COUNT [--rate N] [--first N] [--users N] [--malformed N]\n"
              "       (cluster: MR_KAFKA=host:port)\n",
              stderr);
        exit(2);
    }
    s->topic = words[0];
    s->count = parse_number(words[1]);
    for (int i = 2; i < count; i += 2) {
        size_t at = 0;
        while (at < 4 && strcmp(words[i], options[at].name) != 0) {
            at++;
        }
        if (at == 4) {
            fail("'%s' is no option", words[i]);
        }
        *options[at].value = parse_number(words[i + 1]);
    }
    if (s->users == 0) {
        fail("--users must be at least 1");
    }
}

static void on_delivery(rd_kafka_t *producer, const rd_kafka_message_t *message, void *opaque)
{
    feed *f = opaque;
    (void)producer;
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR && f->failed_count++ == 0) {
        fprintf(stderr, "demo_feed: %s\n", rd_kafka_err2str(message->err));
    }
}

static void feed_open(feed *f, const char *topic)
{
    char text[512];
    const char *bootstrap = getenv("MR_KAFKA");
    const char *const pairs[][2] = {{"bootstrap.servers", bootstrap},
                                    {"enable.idempotence", "true"},
                                    {"linger.ms", "5"},
                                    {"partitioner", "murmur2_random"},
                                    {"delivery.report.only.error", "true"}};
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    if (bootstrap == NULL || *bootstrap == '\0') {
        fail("MR_KAFKA is not set; it names the cluster as host:port");
    }
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        if (rd_kafka_conf_set(conf, pairs[i][0], pairs[i][1], text, sizeof text) != 0) {
            fail("%s", text);
        }
    }
    rd_kafka_conf_set_opaque(conf, f);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    f->producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    if (f->producer == NULL) {
        fail("%s", text);
    }
    f->topic = rd_kafka_topic_new(f->producer, topic, NULL);
    /* Ask for the topic now: librdkafka itself looks for an unknown one only once a second. */
    const rd_kafka_metadata_t *metadata = NULL;
    const rd_kafka_resp_err_t error =
        rd_kafka_metadata(f->producer, 0, f->topic, &metadata, FLUSH_MS_MAX);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR || metadata->topics[0].err != error) {
        fail("topic %s: %s", topic,
             rd_kafka_err2str(error != RD_KAFKA_RESP_ERR_NO_ERROR ? error
                                                                  : metadata->topics[0].err));
    }
    rd_kafka_metadata_destroy(metadata);
}

static void feed_put(feed *f, const event *e)
{
    for (;;) {
        const rd_kafka_resp_err_t error = rd_kafka_producev(
            f->producer, RD_KAFKA_V_RKT(f->topic), RD_KAFKA_V_PARTITION(RD_KAFKA_PARTITION_UA),
            RD_KAFKA_V_KEY((void *)(uintptr_t)e->key, e->key_bytes),
            RD_KAFKA_V_VALUE((void *)(uintptr_t)e->value, e->value_bytes),
            RD_KAFKA_V_TIMESTAMP(e->time_ms), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
            RD_KAFKA_V_END);
        if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
            break;
        }
        if (error != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            fail("%s", rd_kafka_err2str(error));
        }
        rd_kafka_poll(f->producer, 20);
    }
    f->sent_count++;
}

static int64_t monotonic_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void feed_run(feed *f, const settings *s)
{
    static event e;
    const int64_t start_us = monotonic_us();
    while (f->sent_count < s->count && !is_stopping) {
        uint64_t due = s->count;
        if (s->rate > 0) {
            const uint64_t elapsed_us = (uint64_t)(monotonic_us() - start_us);
            due = elapsed_us * s->rate / 1000000 + 1;
        }
        while (f->sent_count < s->count && f->sent_count < due && !is_stopping) {
            const uint64_t n = s->first + f->sent_count;
            const bool is_malformed =
                s->malformed_every > 0 && n % s->malformed_every == s->malformed_every - 1;
            event_make(&e, n, s, is_malformed);
            feed_put(f, &e);
            f->malformed_count += is_malformed;
        }
        rd_kafka_poll(f->producer, s->rate > 0 ? PACE_MS : 0);
    }
}

/* ---- Events ---- */

static uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* Uniform in [0, limit); `k` tells the fields of event n apart. */
static uint64_t draw(uint64_t n, uint64_t k, uint64_t limit)
{
    return (uint64_t)(((unsigned __int128)mix(mix(n) + k) * limit) >> 64);
}

/* The smaller of three draws: the first tenth of the users makes a quarter of all events. */
static uint64_t user_of(uint64_t n, uint64_t users)
{
    uint64_t user = users;
    for (uint64_t k = 1; k <= 3; k++) {
        const uint64_t one = draw(n, k, users);
        user = one < user ? one : user;
    }
    return user;
}

static void time_text(char *out, size_t room, int64_t time_ms)
{
    const time_t seconds = (time_t)(time_ms / 1000);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    const size_t used = strftime(out, room, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(out + used, room - used, ".%03uZ", (unsigned)(time_ms % 1000));
}

/* Five ways to be no event: cut off, no object, a byte that is not UTF-8, a wrong type, no user. */
static void event_spoil(event *e, uint64_t n)
{
    char *value = e->value;
    switch (n % SPOIL_KINDS) {
    case 0:
        e->value_bytes /= 2;
        break;
    case 1:
        e->value_bytes =
            (size_t)snprintf(value, VALUE_BYTES_MAX, "not json, event %llu", (unsigned long long)n);
        break;
    case 2:
        *(strstr(value, "\"user_id\":\"u-") + 11) = (char)0xff;
        break;
    case 3:
        e->value_bytes =
            (size_t)snprintf(value, VALUE_BYTES_MAX,
                             "{\"event_id\":\"e-%llu\",\"user_id\":\"%.*s\",\"session\""
                             ":\"s\",\"event\":\"purchase\",\"page\":\"/checkout\","
                             "\"amount\":\"a lot\",\"at\":\"2026-01-01T00:00:00Z\"}",
                             (unsigned long long)n, (int)e->key_bytes, e->key);
        break;
    default:
        memcpy(strstr(value, "user_id"), "nobody_", 7);
        break;
    }
}

static void event_make(event *e, uint64_t n, const settings *s, bool is_malformed)
{
    static const char *const kinds[] = {"page_view", "page_view", "page_view", "page_view",
                                        "page_view", "search",    "search",    "add_to_cart",
                                        "purchase",  "heartbeat"};
    static const char *const pages[] = {"", "/search", "/product", "/cart", "/checkout", "/help"};
    static const char *const devices[] = {"phone", "desktop", "tablet"};
    char at[40];
    char amount[40] = "null";
    const uint64_t user = user_of(n, s->users);
    const char *kind = kinds[draw(n, 4, 10)];
    e->time_ms = BASE_MS + (int64_t)(n * EVENT_STEP_MS);
    time_text(at, sizeof at, e->time_ms);
    if (strcmp(kind, "purchase") == 0) {
        const uint64_t cents = 99 + draw(n, 5, 25000);
        snprintf(amount, sizeof amount, "%llu.%02llu", (unsigned long long)(cents / 100),
                 (unsigned long long)(cents % 100));
    }
    e->key_bytes = (size_t)snprintf(e->key, sizeof e->key, "u-%06llu", (unsigned long long)user);
    e->value_bytes = (size_t)snprintf(
        e->value, VALUE_BYTES_MAX,
        "{\"event_id\":\"e-%llu\",\"user_id\":\"%s\",\"session\":\"s-%llx\",\"event\":\"%s\","
        "\"page\":\"%s/%llu\",\"amount\":%s,\"currency\":\"EUR\",\"device\":\"%s\",\"at\":\"%s\"}",
        (unsigned long long)n, e->key, (unsigned long long)(mix(user + n / 4096) & 0xffffff), kind,
        pages[draw(n, 6, 6)], (unsigned long long)draw(n, 7, 2000), amount, devices[draw(n, 8, 3)],
        at);
    if (is_malformed) {
        event_spoil(e, n / s->malformed_every);
    }
}
