/*
 * kafka_settings.c - `kafka:`: brokers, TLS, SASL, and properties of the client.
 *
 * Properties of the client that millrace owns, and secrets, are refused in `kafka.client`, since an
 * override there would break what the engine promises, and a secret there would be text.
 */
#define _GNU_SOURCE /* memrchr */
#include "engine/base/assert.h"
#include "engine/base/decimal.h"
#include "engine/topology/topology_private.h"
#include <string.h>
#include <strings.h>

enum { BROKERS_MAX = 64 };

/* Properties that librdkafka gets from millrace alone. */
static const char *const owned[] = {
    "acks",
    "allow.auto.create.topics",
    "auto.commit.interval.ms",
    "auto.offset.reset",
    "bootstrap.servers",
    "check.crcs",
    "client.id",
    "delivery.report.only.error",
    "delivery.timeout.ms",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.gapless.guarantee",
    "enable.idempotence",
    "enable.metrics.push",
    "enable.partition.eof",
    "enable.ssl.certificate.verification",
    "fetch.max.bytes",
    "fetch.message.max.bytes",
    "fetch.min.bytes",
    "fetch.queue.backoff.ms",
    "group.id",
    "group.instance.id",
    "group.protocol",
    "isolation.level",
    "max.in.flight",
    "max.in.flight.requests.per.connection",
    "max.partition.fetch.bytes",
    "message.max.bytes",
    "message.send.max.retries",
    "message.timeout.ms",
    "metadata.broker.list",
    "partition.assignment.strategy",
    "partitioner",
    "queue.buffering.max.kbytes",
    "queue.buffering.max.messages",
    "queued.max.messages.kbytes",
    "queued.min.messages",
    "reconnect.backoff.max.ms",
    "reconnect.backoff.ms",
    "request.required.acks",
    "retries",
    "retry.backoff.max.ms",
    "retry.backoff.ms",
    "socket.nagle.disable",
    "socket.timeout.ms",
    "ssl.endpoint.identification.algorithm",
    "transaction.timeout.ms",
    "transactional.id",
};

static const char *const secret[] = {
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.config",
    "sasl.password",
    "ssl.key.password",
    "ssl.key.pem",
    "ssl.keystore.password",
    "ssl_key",
};

static void read_brokers(mr_load *load, const mr_yaml *node);
static bool test_brokers(mr_load *load, const mr_yaml *node, const char *text);
static void read_tls(mr_load *load, const mr_yaml *map);
static void read_sasl(mr_load *load, const mr_yaml *map);
static void test_clear(mr_load *load, const mr_yaml *sasl, const mr_yaml *client);
static bool is_loopback(const char *broker, size_t size);
static void read_client(mr_load *load, const mr_yaml *node);
static void read_property(mr_load *load, const mr_yaml_pair *pair, mr_plan_property *properties);
static const char *setter_of(const mr_plan *plan, const char *name, const char *value);
static bool is_one_of(const char *word, const char *const *words, uint32_t count);

void mr_kafka_read(mr_load *load)
{
    static const mr_key_rule rules[] = {
        {"brokers", NULL, MR_KEY_REQUIRED},
        {"client_id", NULL, 0},
        {"tls", NULL, 0},
        {"sasl", NULL, 0},
        {"client", NULL, 0},
    };
    const mr_yaml *map = mr_settings_section(load, "kafka", rules, MR_LENGTH(rules));

    load->kafka = mr_yaml_get(load->root, "kafka");
    load->plan->client_id = load->plan->app;
    if (map == NULL) {
        return;
    }
    const mr_yaml *brokers = mr_yaml_get(map, "brokers");
    const mr_yaml *client_id = mr_yaml_get(map, "client_id");
    const mr_yaml *client = mr_yaml_get(map, "client");
    const mr_yaml *tls = mr_yaml_get(map, "tls"), *sasl = mr_yaml_get(map, "sasl");
    if (brokers != NULL) {
        read_brokers(load, brokers);
    }
    if (client_id != NULL) {
        (void)mr_value_text(load, client_id, "kafka.client_id", &load->plan->client_id);
    }
    if (tls != NULL) {
        read_tls(load, tls);
    }
    if (sasl != NULL) {
        read_sasl(load, sasl);
    }
    if (client != NULL) {
        read_client(load, client);
    }
    if (sasl != NULL) {
        test_clear(load, sasl, client);
    }
}

/* All may be left out: then the system's authorities are trusted, and the worker has no name. */
static void read_tls(mr_load *load, const mr_yaml *map)
{
    static const mr_key_rule rules[] = {
        {"ca", NULL, 0}, {"cert", NULL, 0}, {"key", NULL, 0}, {"key_password", NULL, 0}};
    mr_plan *plan = load->plan;
    const mr_yaml *ca = mr_yaml_get(map, "ca"), *cert = mr_yaml_get(map, "cert");
    const mr_yaml *key = mr_yaml_get(map, "key"), *password = mr_yaml_get(map, "key_password");

    plan->tls.is_on = true;
    plan->tls.key_password = MR_NO_INDEX;
    if (!mr_value_is_map(load, map, "kafka.tls")) {
        return;
    }
    const mr_key_set set = {.what = "\"kafka.tls\"",
                            .rules = rules,
                            .rule_count = MR_LENGTH(rules),
                            .place = map->place};
    mr_keys_test(load, map, &set);
    if ((cert == NULL) != (key == NULL)) {
        mr_load_error(load, (cert != NULL ? cert : key)->place, 104,
                      "a client has both, or neither", "kafka.tls needs \"%s\" beside \"%s\"",
                      cert != NULL ? "key" : "cert", cert != NULL ? "cert" : "key");
    }
    if (ca != NULL) {
        (void)mr_value_text(load, ca, "kafka.tls.ca", &plan->tls.ca);
    }
    if (cert != NULL) {
        (void)mr_value_text(load, cert, "kafka.tls.cert", &plan->tls.cert);
    }
    if (key != NULL) {
        (void)mr_value_text(load, key, "kafka.tls.key", &plan->tls.key);
    }
    if (password != NULL) {
        (void)mr_value_secret(load, password, "kafka.tls.key_password", &plan->tls.key_password);
    }
}

static void read_sasl(mr_load *load, const mr_yaml *map)
{
    static const mr_key_rule rules[] = {{"mechanism", NULL, MR_KEY_REQUIRED},
                                        {"username", NULL, MR_KEY_REQUIRED},
                                        {"password", NULL, MR_KEY_REQUIRED}};
    static const char *const mechanisms[] = {"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"};
    mr_plan *plan = load->plan;
    const mr_yaml *mechanism = mr_yaml_get(map, "mechanism");
    const mr_yaml *username = mr_yaml_get(map, "username"),
                  *password = mr_yaml_get(map, "password");
    uint32_t choice = 0;

    plan->sasl.password = MR_NO_INDEX;
    if (!mr_value_is_map(load, map, "kafka.sasl")) {
        return;
    }
    const mr_key_set set = {.what = "\"kafka.sasl\"",
                            .rules = rules,
                            .rule_count = MR_LENGTH(rules),
                            .place = map->place};
    mr_keys_test(load, map, &set);
    if (mechanism != NULL &&
        mr_value_choice(load, mechanism, "kafka.sasl.mechanism",
                        "PLAIN|SCRAM-SHA-256|SCRAM-SHA-512", "GSSAPI|OAUTHBEARER", &choice)) {
        plan->sasl.mechanism = mechanisms[choice];
    }
    if (username != NULL) {
        (void)mr_value_text(load, username, "kafka.sasl.username", &plan->sasl.username);
    }
    if (password != NULL) {
        (void)mr_value_secret(load, password, "kafka.sasl.password", &plan->sasl.password);
    }
}

/* A password goes over the wire as it is, or can be guessed from what goes: not to another host. */
static void test_clear(mr_load *load, const mr_yaml *sasl, const mr_yaml *client)
{
    const char *brokers = load->plan->brokers;

    if (load->plan->tls.is_on || brokers == NULL ||
        mr_yaml_get(client, "security.protocol") != NULL) {
        return;
    }
    for (const char *at = brokers;;) {
        const size_t size = strcspn(at, ",");
        if (!is_loopback(at, size)) {
            mr_load_error(load, sasl->place, 722,
                          "add `tls: {}`; or say that it is meant: `client: { security.protocol: "
                          "SASL_PLAINTEXT }`",
                          "kafka.sasl without kafka.tls would show the password on the way to %.*s",
                          (int)size, at);
            return;
        }
        if (at[size] == '\0') {
            return;
        }
        at += size + 1;
    }
}

static bool is_loopback(const char *broker, size_t size)
{
    static const char *const hosts[] = {"localhost:", "127.", "[::1]:"};

    for (uint32_t i = 0; i < MR_LENGTH(hosts); i++) {
        const size_t length = strlen(hosts[i]);
        if (size > length && strncmp(broker, hosts[i], length) == 0 &&
            (i != 1 || strspn(broker, "0123456789.") == strcspn(broker, ":"))) {
            return true;
        }
    }
    return false;
}

/* One comma-separated text; a variable may hold several brokers. */
static void read_brokers(mr_load *load, const mr_yaml *node)
{
    const char *all = NULL;

    if (!mr_value_is_list(load, node, "kafka.brokers")) {
        return;
    }
    if (node->count == 0 || node->count > BROKERS_MAX) {
        mr_load_error(load, node->place, 106, NULL, "kafka.brokers must name 1 to %u brokers",
                      (unsigned)BROKERS_MAX);
        return;
    }
    for (uint32_t i = 0; i < node->count; i++) {
        const char *text;
        if (mr_value_text(load, node->items[i], "a broker", &text) &&
            test_brokers(load, node->items[i], text)) {
            all = all == NULL ? text : mr_load_print(load, "%s,%s", all, text);
        }
    }
    load->plan->brokers = all;
}

static bool test_brokers(mr_load *load, const mr_yaml *node, const char *text)
{
    const char *at = text;

    for (;;) {
        const size_t size = strcspn(at, ",");
        const char *colon = memrchr(at, ':', size);
        int64_t port = 0;
        const bool good =
            colon != NULL && colon > at && memchr(at, ' ', size) == NULL &&
            mr_integer_parse(colon + 1, size - (size_t)(colon - at) - 1, &port) == 0 && port > 0 &&
            port <= UINT16_MAX;
        if (!good) {
            mr_load_error(load, node->place, 106, "e.g. `brokers: [localhost:9092]`",
                          "\"%.*s\" is no broker: it must be host:port", (int)size, at);
            return false;
        }
        if (at[size] == '\0') {
            return true;
        }
        at += size + 1;
    }
}

static void read_client(mr_load *load, const mr_yaml *node)
{
    mr_plan_property *properties;

    if (!mr_value_is_map(load, node, "kafka.client")) {
        return;
    }
    if (node->count > MR_PROPERTIES_MAX) {
        mr_load_error(load, node->place, 209, NULL, "kafka.client has more than %u properties",
                      (unsigned)MR_PROPERTIES_MAX);
        return;
    }
    properties = mr_load_take(load, node->count + 1, sizeof(mr_plan_property));
    if (properties == NULL) {
        return;
    }
    load->plan->properties = properties;
    for (uint32_t i = 0; i < node->count; i++) {
        read_property(load, &node->pairs[i], properties);
    }
}

static void read_property(mr_load *load, const mr_yaml_pair *pair, mr_plan_property *properties)
{
    const char *name = pair->key->text;
    const char *value;

    if (is_one_of(name, owned, MR_LENGTH(owned))) {
        mr_load_error(load, pair->key->place, 115, "leave it out",
                      "millrace sets the client property \"%s\" itself", name);
        return;
    }
    if (is_one_of(name, secret, MR_LENGTH(secret))) {
        mr_load_hide(load, pair->value->place);
        mr_load_error(load, pair->key->place, 720,
                      "kafka.sasl.password and kafka.tls.key_password take `{ secret: NAME }`",
                      "a secret such as \"%s\" must not stand in a topology", name);
        return;
    }
    if (!mr_value_text(load, pair->value, name, &value)) {
        return;
    }
    const char *setter = setter_of(load->plan, name, value);
    mr_diag diag = {0};
    if (setter != NULL) {
        mr_load_error(load, pair->key->place, 115, "leave it out",
                      "%s sets the client property \"%s\"", setter, name);
    } else if (load->catalogue->client_property != NULL &&
               load->catalogue->client_property(name, value, &diag) != MR_OK) {
        mr_load_diag(load, &diag, diag.code == 102 ? pair->key->place : pair->value->place);
    } else {
        properties[load->plan->property_count++] =
            (mr_plan_property){.name = name, .value = value, .place = pair->key->place};
    }
}

/* The section of the file that a property would contradict; NULL = none. */
static const char *setter_of(const mr_plan *plan, const char *name, const char *value)
{
    static const char *const of_tls[] = {"ssl.ca.location", "ssl.certificate.location",
                                         "ssl.key.location"};
    static const char *const of_sasl[] = {"sasl.mechanism", "sasl.mechanisms", "sasl.username"};

    if (plan->tls.is_on &&
        (is_one_of(name, of_tls, MR_LENGTH(of_tls)) || strcmp(name, "security.protocol") == 0)) {
        return "kafka.tls";
    }
    if (plan->sasl.mechanism != NULL &&
        (is_one_of(name, of_sasl, MR_LENGTH(of_sasl)) ||
         (strcmp(name, "security.protocol") == 0 && strncasecmp(value, "sasl_", 5) != 0))) {
        return "kafka.sasl";
    }
    return NULL;
}

static bool is_one_of(const char *word, const char *const *words, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(word, words[i]) == 0) {
            return true;
        }
    }
    return false;
}
