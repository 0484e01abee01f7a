/*
 * gen.c - fills a topic with deterministic input for the benchmarks.
 *
 *   bench_gen TOPIC bids COUNT     bids of NEXMark as JSON, about 322 bytes, no key
 *   bench_gen TOPIC raw COUNT [BYTES]    the same texts padded or cut to BYTES (320), keyed
 *   bench_gen TOPIC keyed COUNT [KEYS]   {"k":K,"v":V}, keyed by K, uniform over KEYS (1,000,000)
 *
 * Record n is a pure function of (SEED, n), whatever the speed: every run and every engine reads
 * the same bytes. draw(n, k) = mix(mix(seed ^ n) + k * golden ratio); every field has its own k.
 * Uniform in [0, m) is the high half of draw * m. No floating point, which differs between
 * libraries. The event time, also the record's, advances by 1 ms for every 10 bids and persons
 * and auctions together; the latter are not written, only counted, as a bid refers to them.
 *
 * A record without a key goes to partition draw mod P, one with a key to murmur2 mod P, as Java's
 * client would. One idempotent producer: the order within a partition is the order of n.
 *
 * LINK: mr_base
 */
#include "bench/client.h"
#include "bench/price_table.h"
#include "engine/base/hash.h"
#include <stdbool.h>

enum {
    VALUE_BYTES_MAX = 4096, /* Twice that of a record, as a bid may be longer before it is cut. */
    RAW_BYTES = 320,
    RAW_BYTES_MAX = 2048,
    KEY_COUNT = 1000000,
    KEY_COUNT_MAX = 1000000000,
    EVENTS_PER_CYCLE = 50, /* 1 person, 3 auctions, 46 bids. */
    BIDS_PER_CYCLE = 46,
    FIRST_ID = 1000,
    EVENTS_PER_MS = 10,
    POLL_EVERY = 4096,
};

#define SEED UINT64_C(1)
#define BASE_MS INT64_C(1767225600000) /* 2026-01-01T00:00:00Z */

typedef enum kind { BIDS, RAW, KEYED } kind;

typedef enum field { /* The fixed k of each drawn field. */
                     FIELD_PARTITION,
                     FIELD_HOT_AUCTION,
                     FIELD_AUCTION,
                     FIELD_HOT_BIDDER,
                     FIELD_BIDDER,
                     FIELD_PRICE_DIGITS,
                     FIELD_PRICE,
                     FIELD_HOT_CHANNEL,
                     FIELD_CHANNEL,
                     FIELD_EXTRA_SIZE,
                     FIELD_KEY,
                     FIELD_VALUE,
                     FIELD_LETTERS /* And the ones behind it. */
} field;

typedef struct record {
    char value[VALUE_BYTES_MAX];
    char key[24];
    size_t value_bytes, key_bytes; /* key_bytes 0: no key. */
    int64_t time_ms;
} record;

typedef struct output {
    rd_kafka_t *producer;
    rd_kafka_topic_t *topic;
    int32_t partition_count;
    uint64_t failed_count;
} output;

typedef struct shape { /* What records look like. */
    kind what;
    uint64_t raw_bytes, key_count;
} shape;

static void record_make(record *r, const shape *how, uint64_t index);
static void output_open(output *out, const char *topic);
static void output_put(output *out, const record *r, uint64_t index);
static void output_close(output *out);

int main(int argc, char **argv)
{
    static const char *const names[] = {"bids", "raw", "keyed"};
    static record r;
    output out = {0};
    int what = 0;
    while (argc >= 4 && what < 3 && strcmp(argv[2], names[what]) != 0) {
        what++;
    }
    if (argc < 4 || argc > (what == BIDS ? 4 : 5) || what == 3) {
        fputs("usage: bench_gen TOPIC bids|raw|keyed COUNT [BYTES|KEYS]   (cluster: "
              "MR_KAFKA=host:port)\n",
              stderr);
        return 2;
    }
    shape how = {.what = (kind)what, .raw_bytes = RAW_BYTES, .key_count = KEY_COUNT};
    if (argc == 5 && what == RAW) {
        how.raw_bytes = bench_number(argv[4], 1, RAW_BYTES_MAX);
    } else if (argc == 5) {
        how.key_count = bench_number(argv[4], 1, KEY_COUNT_MAX);
    }
    const uint64_t count = bench_number(argv[3], 1, UINT64_C(1) << 40);
    const double start_s = bench_now_s();
    output_open(&out, argv[1]);
    for (uint64_t i = 0; i < count; i++) {
        record_make(&r, &how, i);
        output_put(&out, &r, i);
    }
    output_close(&out);
    printf("%llu records of %s in %.1f s\n", (unsigned long long)count, names[what],
           bench_now_s() - start_s);
    return 0;
}

static uint64_t draw(uint64_t n, uint64_t k)
{
    return bench_mix(bench_mix(SEED ^ n) + k * UINT64_C(0x9e3779b97f4a7c15));
}

/* Uniform in [0, limit). */
static uint64_t below(uint64_t n, uint64_t k, uint64_t limit)
{
    return (uint64_t)(((unsigned __int128)draw(n, k) * limit) >> 64);
}

static char *letters(char *out, uint64_t n, uint64_t k, size_t count)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < count; i++) {
        if (i % 12 == 0) {
            bits = draw(n, k + i / 12);
        }
        *out++ = (char)('a' + (bits & 31) * 26 / 32);
        bits >>= 5;
    }
    return out;
}

/* "2026-01-01 00:00:00.000" by civil-from-days arithmetic; years stay in 2026 and 2027. */
static char *time_text(char *out, int64_t time_ms)
{
    const time_t seconds = (time_t)(time_ms / 1000);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    return out + snprintf(out, 40, "%04d-%02d-%02d %02d:%02d:%02d.%03d", parts.tm_year + 1900,
                          parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min,
                          parts.tm_sec, (int)(time_ms % 1000));
}

/* In cents: 100 * 10^d * m, rounded half up; d uniform in 0..5, m log-uniform in [1, 10). */
static uint64_t price_of(uint64_t n)
{
    static const uint64_t powers[] = {100, 1000, 10000, 100000, 1000000, 10000000};
    const uint64_t bits = draw(n, FIELD_PRICE);
    const uint64_t step = bits >> 54;                      /* 10 bits: one of 1,024 steps. */
    const uint64_t part = (bits >> 34) & ((1u << 20) - 1); /* 20 bits between two of them. */
    const uint64_t low = bench_price_table[step];
    const uint64_t m = low + (((bench_price_table[step + 1] - low) * part) >> 20);
    return (powers[below(n, FIELD_PRICE_DIGITS, 6)] * m + (UINT64_C(1) << 31)) >> 32;
}

static uint64_t auction_of(uint64_t n)
{
    const uint64_t last = 3 * (n / EVENTS_PER_CYCLE) + 2;
    if (draw(n, FIELD_HOT_AUCTION) >> 63 == 0) {
        return FIRST_ID + last / 100 * 100;
    }
    const uint64_t first = last > 100 ? last - 100 : 0;
    return FIRST_ID + first + below(n, FIELD_AUCTION, last + 10 - first + 1);
}

static uint64_t bidder_of(uint64_t n)
{
    const uint64_t last = n / EVENTS_PER_CYCLE;
    if (below(n, FIELD_HOT_BIDDER, 4) != 0) {
        return FIRST_ID + last / 100 * 100 + 1;
    }
    const uint64_t active = last + 1 < 1000 ? last + 1 : 1000;
    return FIRST_ID + last + 1 - active + below(n, FIELD_BIDDER, active + 10);
}

static uint32_t bits_reversed(uint32_t value)
{
    uint32_t out = 0;
    for (int i = 0; i < 32; i++) {
        out = (out << 1) | ((value >> i) & 1);
    }
    return out;
}

/* ,"channel":"...","url":"..." */
static char *channel_and_url(char *out, uint64_t n)
{
    static const char *const hot[] = {"Google", "Facebook", "Baidu", "Apple"};
    const bool is_hot = draw(n, FIELD_HOT_CHANNEL) >> 63 == 0;
    const uint64_t number = below(n, FIELD_CHANNEL, is_hot ? 4 : 10000);
    const uint64_t channel = UINT64_MAX - (is_hot ? number : number + 4); /* Its own draws. */
    out = bench_text(out, ",\"channel\":\"");
    if (is_hot) {
        out = bench_text(out, hot[number]);
    } else {
        out = bench_decimal(bench_text(out, "channel-"), number);
    }
    out = bench_text(out, "\",\"url\":\"https://www.nexmark.com/");
    for (uint64_t part = 0; part < 3; part++) {
        out = letters(out, channel, FIELD_LETTERS + part, 5);
        *out++ = '/';
    }
    out = bench_text(out, "item.htm?query=1");
    if (!is_hot && number % 10 != 0) {
        out = bench_decimal(bench_text(out, "&channel_id="), bits_reversed((uint32_t)number));
    }
    return bench_text(out, "\"");
}

/* The bid of event n, up to and without the text of its last field `extra`. */
static char *bid_head(char *out, uint64_t n, int64_t time_ms)
{
    out =
        bench_text(out, "{\"event_type\":2,\"person\":null,\"auction\":null,\"bid\":{\"auction\":");
    out = bench_decimal(out, auction_of(n));
    out = bench_decimal(bench_text(out, ",\"bidder\":"), bidder_of(n));
    out = bench_decimal(bench_text(out, ",\"price\":"), price_of(n));
    out = channel_and_url(out, n);
    out = time_text(bench_text(out, ",\"dateTime\":\""), time_ms);
    return bench_text(out, "\",\"extra\":\"");
}

static void record_make(record *r, const shape *how, uint64_t index)
{
    const uint64_t n = index / BIDS_PER_CYCLE * EVENTS_PER_CYCLE +
                       (EVENTS_PER_CYCLE - BIDS_PER_CYCLE) + index % BIDS_PER_CYCLE;
    char *end = r->value;
    r->time_ms = BASE_MS + (int64_t)(n / EVENTS_PER_MS);
    r->key_bytes = 0;
    if (how->what != BIDS) {
        const uint64_t key = below(n, FIELD_KEY, how->key_count);
        r->key_bytes = (size_t)(bench_decimal(r->key, key) - r->key);
    }
    if (how->what == KEYED) {
        end = bench_text(end, "{\"k\":");
        memcpy(end, r->key, r->key_bytes);
        end =
            bench_decimal(bench_text(end + r->key_bytes, ",\"v\":"), below(n, FIELD_VALUE, 10000));
        end = bench_text(end, "}");
    } else {
        end = bid_head(end, n, r->time_ms);
        /* A bid is padded to 100 bytes +- 20 %, of which its numbers count 32. */
        size_t extra = 54 + below(n, FIELD_EXTRA_SIZE, 28);
        const size_t size = (size_t)(end - r->value) + 3;
        if (how->what == RAW) {
            extra = how->raw_bytes > size ? how->raw_bytes - size : 0;
        }
        end = bench_text(letters(end, n, FIELD_LETTERS, extra), "\"}}");
        if (how->what == RAW) {
            end = r->value + how->raw_bytes; /* A short one is cut. */
        }
    }
    r->value_bytes = (size_t)(end - r->value);
}

static void on_delivery(rd_kafka_t *producer, const rd_kafka_message_t *message, void *opaque)
{
    output *out = opaque;
    (void)producer;
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR && out->failed_count++ == 0) {
        fprintf(stderr, "bench_gen: a record was not delivered: %s\n",
                rd_kafka_err2str(message->err));
    }
}

static void output_open(output *out, const char *topic)
{
    static const bench_setting settings[] = {{"enable.idempotence", "true"},
                                             {"compression.type", "lz4"},
                                             {"linger.ms", "20"},
                                             {"batch.size", "1000000"},
                                             {"batch.num.messages", "100000"},
                                             {"queue.buffering.max.messages", "1000000"},
                                             {"queue.buffering.max.kbytes", "1048576"},
                                             {"delivery.report.only.error", "true"},
                                             {"socket.nagle.disable", "true"},
                                             {NULL, NULL}};
    rd_kafka_conf_t *conf = bench_conf(settings);
    rd_kafka_conf_set_opaque(conf, out);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    out->producer = bench_client(RD_KAFKA_PRODUCER, conf);
    out->partition_count = bench_partition_count(out->producer, topic);
    out->topic = rd_kafka_topic_new(out->producer, topic, NULL);
}

static void output_put(output *out, const record *r, uint64_t index)
{
    const uint32_t hash = r->key_bytes > 0 ? mr_hash_murmur2(r->key, r->key_bytes) & 0x7fffffff
                                           : (uint32_t)(draw(index, FIELD_PARTITION) >> 33);
    const char *key = r->key_bytes > 0 ? r->key : NULL;
    const int32_t partition = (int32_t)(hash % (uint32_t)out->partition_count);
    for (;;) {
        const rd_kafka_resp_err_t error =
            rd_kafka_producev(out->producer, RD_KAFKA_V_RKT(out->topic),
                              RD_KAFKA_V_PARTITION(partition), RD_KAFKA_V_KEY(key, r->key_bytes),
                              RD_KAFKA_V_VALUE((void *)(uintptr_t)r->value, r->value_bytes),
                              RD_KAFKA_V_TIMESTAMP(r->time_ms),
                              RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
        if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
            break;
        }
        if (error != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            bench_check(error, "produce");
        }
        rd_kafka_poll(out->producer, 20);
    }
    if (index % POLL_EVERY == 0) {
        rd_kafka_poll(out->producer, 0);
    }
}

static void output_close(output *out)
{
    bench_check(rd_kafka_flush(out->producer, BENCH_ANSWER_MS_MAX), "flush");
    if (out->failed_count > 0) {
        bench_fail("%llu records were not delivered", (unsigned long long)out->failed_count);
    }
    rd_kafka_topic_destroy(out->topic);
    rd_kafka_destroy(out->producer);
}
