/*
 * options.c - the configuration of each client, every key with its reason in docs/exactly-once.md
 * (sections 8 and 9); those of TLS and SASL are in docs/topology.md.
 *
 * Sizes follow from the shard's part of memory.kafka. librdkafka's queue limits hold for each
 * partition, hence the divisions by the number of inputs. Keys of `kafka.client:` come last; the
 * loader has refused those that would break the protocol. A key marked optional may be missing in
 * an older librdkafka. Thread: any.
 */
#define _GNU_SOURCE /* explicit_bzero */
#include "io/kafka/kafka_private.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    MESSAGE_OBJECT_BYTES = 304, /* A queued message of librdkafka. */
    PRODUCER_OBJECT_BYTES = 256,
    FETCH_PARTITION_BYTES = 4 << 20,
    FETCH_BYTES_MAX = 8 << 20, /* Larger responses are new pages each time, and leave the caches. */
    QUEUED_MESSAGES_MIN = 200, /* Of a partition. */
    QUEUED_MESSAGES_MAX = 10000000, /* librdkafka's own limits. */
    QUEUED_KIB_MIN = 64,
    QUEUED_KIB_MAX = 2097151,
    MESSAGE_BYTES_MIN = 1000,
    WORDS_BYTES = 512
};

typedef struct config {
    rd_kafka_conf_t *conf;
    mr_status status;
    mr_diag *diag;
} config;

static void set(config *c, const char *name, const char *value);
static void set_number(config *c, const char *name, uint64_t value);
static void set_optional(config *c, const char *name, const char *value);
static void set_common(config *c, const mr_client_settings *settings);
static void set_consumer(config *c, const mr_client_settings *settings);
static void set_producer(config *c, const mr_client_settings *settings);
static void set_security(config *c, const mr_client_settings *settings);
static bool is_readable(config *c, const char *key, const char *path);
static void set_secret(config *c, const mr_client_settings *settings, const char *name,
                       uint32_t secret);
static void set_properties(config *c, const mr_client_settings *settings);
static uint64_t bounded(uint64_t value, uint64_t least, uint64_t most);
static void log_client(const rd_kafka_t *rk, int level, const char *facility, const char *words);

mr_status mr_client_new(const mr_client_settings *settings, rd_kafka_t **client, mr_diag *diag)
{
    char words[WORDS_BYTES];
    config c = {.conf = rd_kafka_conf_new(), .diag = diag};
    const bool is_consumer = settings->kind == MR_CLIENT_CONSUMER;

    *client = NULL;
    set_common(&c, settings);
    if (is_consumer) {
        set_consumer(&c, settings);
    } else if (settings->kind != MR_CLIENT_ADMIN) {
        set_producer(&c, settings);
    }
    set_security(&c, settings);
    set_properties(&c, settings);
    if (c.status == MR_OK && settings->kind == MR_CLIENT_PRODUCER &&
        mr_taint_install(c.conf, settings->taint) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        c.status = mr_diag_set(diag, MR_ERR_LIMIT, 0, "librdkafka takes no interceptor");
    }
    if (c.status == MR_OK) {
        *client = rd_kafka_new(is_consumer ? RD_KAFKA_CONSUMER : RD_KAFKA_PRODUCER, c.conf, words,
                               sizeof(words));
        if (*client != NULL) {
            return MR_OK;
        }
        c.status = mr_diag_set(diag, MR_ERR_CONFIG, 0,
                               "librdkafka refuses its configuration: %s; see `kafka`", words);
    }
    rd_kafka_conf_destroy(c.conf);
    return c.status;
}

uint64_t mr_kafka_queue_bytes(uint64_t part_bytes, uint32_t inputs)
{
    const uint64_t share = part_bytes / 5;
    const uint64_t objects = (uint64_t)inputs * QUEUED_MESSAGES_MIN * MESSAGE_OBJECT_BYTES;
    const uint64_t payload = (uint64_t)inputs * QUEUED_KIB_MIN * 1024;

    return (objects > share ? objects : share) + (payload > share ? payload : share) + share;
}

/* ---- Helpers ---- */

static void set_common(config *c, const mr_client_settings *settings)
{
    const mr_plan *plan = settings->plan;
    MR_ASSERT(plan->brokers != NULL);
    set(c, "bootstrap.servers", plan->brokers);
    set(c, "client.id", plan->client_id != NULL ? plan->client_id : plan->app);
    set(c, "allow.auto.create.topics", "false");
    set(c, "retry.backoff.ms", "20");
    set(c, "reconnect.backoff.ms", "50");
    set(c, "reconnect.backoff.max.ms", "1000");
    set(c, "socket.nagle.disable", "true");
    set_optional(c, "enable.metrics.push", "false");
    set_optional(c, "retry.backoff.max.ms", "100");
    rd_kafka_conf_set_log_cb(c->conf, log_client);
    rd_kafka_conf_set_opaque(c->conf, settings->log);
    rd_kafka_conf_set_events(c->conf, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR);
}

static void set_consumer(config *c, const mr_client_settings *settings)
{
    const uint64_t b = settings->memory_bytes;
    const uint64_t inputs = settings->input_count > 0 ? settings->input_count : 1;

    set(c, "group.id", settings->plan->app);
    set(c, "isolation.level", "read_committed");
    set(c, "auto.offset.reset", "error");
    set(c, "enable.auto.commit", "false");
    set(c, "enable.auto.offset.store", "false");
    set(c, "enable.partition.eof", "true");
    set(c, "check.crcs", "true");
    set_number(
        c, "queued.min.messages",
        bounded(b / 5 / MESSAGE_OBJECT_BYTES / inputs, QUEUED_MESSAGES_MIN, QUEUED_MESSAGES_MAX));
    set_number(c, "queued.max.messages.kbytes",
               bounded(b / 5 / 1024 / inputs, QUEUED_KIB_MIN, QUEUED_KIB_MAX));
    set_number(c, "fetch.message.max.bytes", FETCH_PARTITION_BYTES);
    set_number(c, "fetch.max.bytes", bounded(b / 10, FETCH_PARTITION_BYTES, FETCH_BYTES_MAX));
    set(c, "fetch.wait.max.ms", "50");
    set(c, "fetch.min.bytes", "1");
    set_optional(c, "fetch.queue.backoff.ms", "10");
}

static void set_producer(config *c, const mr_client_settings *settings)
{
    const uint64_t b = settings->memory_bytes;

    MR_ASSERT(settings->transactional_id != NULL);
    set(c, "transactional.id", settings->transactional_id);
    set_number(c, "transaction.timeout.ms",
               (uint64_t)settings->plan->commit.transaction_timeout_us / 1000);
    set(c, "acks", "all");
    set(c, "enable.idempotence", "true");
    set(c, "max.in.flight", "5");
    if (settings->kind != MR_CLIENT_PRODUCER) {
        return;
    }
    set(c, "linger.ms", "5");
    set(c, "batch.size", "1000000");
    set(c, "batch.num.messages", "100000");
    set(c, "compression.type", "lz4");
    set(c, "delivery.report.only.error", "true");
    set_number(c, "message.max.bytes",
               bounded(settings->record_bytes_max, MESSAGE_BYTES_MIN, 1000000000));
    set_number(c, "queue.buffering.max.messages",
               bounded(b / 10 / PRODUCER_OBJECT_BYTES, QUEUED_MESSAGES_MIN, QUEUED_MESSAGES_MAX));
    set_number(c, "queue.buffering.max.kbytes", bounded(b / 5 / 1024, 1024, QUEUED_KIB_MAX));
}

/* `kafka.tls` and `kafka.sasl`; `kafka.client` may still name the protocol of SASL. */
static void set_security(config *c, const mr_client_settings *settings)
{
    const mr_plan *plan = settings->plan;
    const bool has_sasl = plan->sasl.mechanism != NULL;
    static const char *const names[] = {"ssl.ca.location", "ssl.certificate.location",
                                        "ssl.key.location"};
    static const char *const keys[] = {"ca", "cert", "key"};
    const char *const paths[] = {plan->tls.ca, plan->tls.cert, plan->tls.key};

    if (plan->tls.is_on) {
        set(c, "security.protocol", has_sasl ? "SASL_SSL" : "SSL");
        set(c, "ssl.endpoint.identification.algorithm", "https");
        for (uint32_t i = 0; i < MR_LENGTH(names); i++) {
            if (paths[i] != NULL && is_readable(c, keys[i], paths[i])) {
                set(c, names[i], paths[i]);
            }
        }
        if (plan->tls.key_password != MR_NO_INDEX) {
            set_secret(c, settings, "ssl.key.password", plan->tls.key_password);
        }
    }
    if (has_sasl) {
        if (!plan->tls.is_on) {
            set(c, "security.protocol", "SASL_PLAINTEXT");
        }
        set(c, "sasl.mechanisms", plan->sasl.mechanism);
        set(c, "sasl.username", plan->sasl.username);
        set_secret(c, settings, "sasl.password", plan->sasl.password);
    }
}

/* Said here, as librdkafka's words for it name neither the file nor the reason. */
static bool is_readable(config *c, const char *key, const char *path)
{
    if (c->status == MR_OK && access(path, R_OK) != 0) {
        c->status =
            mr_diag_set(c->diag, MR_ERR_CONFIG, 0, "E_TLS: kafka.tls.%s: %s cannot be read: %s",
                        key, path, strerror(errno));
    }
    return c->status == MR_OK;
}

/* librdkafka's words may quote the value, so they are not told. */
static void set_secret(config *c, const mr_client_settings *settings, const char *name,
                       uint32_t secret)
{
    char words[WORDS_BYTES], text[MR_SECRET_TEXT_MAX];

    MR_ASSERT(settings->secrets != NULL && secret < settings->plan->secret_count);
    if (c->status == MR_OK &&
        rd_kafka_conf_set(c->conf, name, mr_secret_reveal(settings->secrets, secret), words,
                          sizeof(words)) != RD_KAFKA_CONF_OK) {
        c->status = mr_diag_set(c->diag, MR_ERR_CONFIG, 0, "librdkafka %s takes no %s=%s",
                                rd_kafka_version_str(), name,
                                mr_secret_text(settings->plan->secrets[secret].name, text));
    }
    explicit_bzero(words, sizeof(words));
}

static void set_properties(config *c, const mr_client_settings *settings)
{
    char words[WORDS_BYTES];
    for (uint32_t i = 0; i < settings->plan->property_count && c->status == MR_OK; i++) {
        const mr_plan_property *property = &settings->plan->properties[i];
        if (rd_kafka_conf_set(c->conf, property->name, property->value, words, sizeof(words)) !=
            RD_KAFKA_CONF_OK) {
            c->status = mr_diag_set(c->diag, MR_ERR_CONFIG, 0, "kafka.client: %s", words);
            if (c->diag != NULL) {
                c->diag->place = property->place;
            }
        }
    }
}

mr_status mr_kafka_property_test(const char *name, const char *value, mr_diag *diag)
{
    char words[WORDS_BYTES] = "";
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_res_t result = RD_KAFKA_CONF_OK;

    if (strcmp(name, "plugin.library.paths") != 0) {
        result = rd_kafka_conf_set(conf, name, value, words, sizeof(words));
    }
    rd_kafka_conf_destroy(conf);
    if (result == RD_KAFKA_CONF_OK) {
        return MR_OK;
    }
    return mr_diag_set(diag, MR_ERR_CONFIG, result == RD_KAFKA_CONF_UNKNOWN ? 102 : 106,
                       "kafka.client: %s", words);
}

static void set(config *c, const char *name, const char *value)
{
    char words[WORDS_BYTES];
    if (c->status == MR_OK &&
        rd_kafka_conf_set(c->conf, name, value, words, sizeof(words)) != RD_KAFKA_CONF_OK) {
        c->status = mr_diag_set(c->diag, MR_ERR_CONFIG, 0, "librdkafka %s takes no %s=%s: %s",
                                rd_kafka_version_str(), name, value, words);
    }
}

static void set_number(config *c, const char *name, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof(text), "%" PRIu64, value);
    set(c, name, text);
}

static void set_optional(config *c, const char *name, const char *value)
{
    char words[WORDS_BYTES];
    if (c->status == MR_OK) {
        (void)rd_kafka_conf_set(c->conf, name, value, words, sizeof(words));
    }
}

static uint64_t bounded(uint64_t value, uint64_t least, uint64_t most)
{
    if (value < least) {
        return least;
    }
    return value > most ? most : value;
}

/* Failed connections are told by whoever waits for them; keys of the other client kind are ours. */
static void log_client(const rd_kafka_t *rk, int level, const char *facility, const char *words)
{
    mr_log *log = rk != NULL ? rd_kafka_opaque(rk) : NULL;
    const bool is_noise = strcmp(facility, "FAIL") == 0 || strcmp(facility, "CONFWARN") == 0 ||
                          strcmp(facility, "ERROR") == 0;
    const mr_log_field fields[] = {{.name = "facility", .text = facility},
                                   {.name = "says", .text = words}};
    mr_log_event(log, level <= 4 && !is_noise ? MR_LOG_WARN : MR_LOG_DEBUG, "kafka", "librdkafka",
                 fields, MR_LENGTH(fields));
}
