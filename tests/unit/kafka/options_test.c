/*
 * options_test.c - client configurations as librdkafka has them after the making: protocol keys,
 * sizes from the memory budget, properties of the file.
 *
 * LINK: mr_kafka
 */
#define _GNU_SOURCE /* setenv */
#include "io/kafka/kafka_private.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static _Atomic bool taint;

static mr_plan plan_of(const mr_plan_property *properties, uint32_t count)
{
    return (mr_plan){.app = "app",
                     .brokers = "127.0.0.1:1",
                     .properties = properties,
                     .property_count = count,
                     .commit = {.transaction_timeout_us = 10000000}};
}

static rd_kafka_t *make(const mr_plan *plan, mr_client_kind kind, uint64_t memory_bytes,
                        uint32_t input_count)
{
    const mr_client_settings settings = {.plan = plan,
                                         .kind = kind,
                                         .transactional_id = "app-all-0",
                                         .memory_bytes = memory_bytes,
                                         .input_count = input_count,
                                         .record_bytes_max = 2000000,
                                         .taint = &taint};
    rd_kafka_t *client = NULL;
    mr_diag diag;
    if (mr_client_new(&settings, &client, &diag) != MR_OK) {
        fail_msg("%s", diag.text);
    }
    return client;
}

static void expect(const rd_kafka_t *client, const char *name, const char *value)
{
    char found[256] = "";
    size_t size = sizeof(found);
    assert_int_equal(
        rd_kafka_conf_get(rd_kafka_conf((rd_kafka_t *)(uintptr_t)client), name, found, &size),
        RD_KAFKA_CONF_OK);
    if (strcmp(found, value) != 0) {
        fail_msg("%s is %s, not %s", name, found, value);
    }
}

static void test_consumer_keys(void **state)
{
    (void)state;
    const mr_plan plan = plan_of(NULL, 0);
    rd_kafka_t *client = make(&plan, MR_CLIENT_CONSUMER, 0, 4);
    expect(client, "group.id", "app");
    expect(client, "isolation.level", "read_committed");
    expect(client, "auto.offset.reset", "error");
    expect(client, "enable.auto.commit", "false");
    expect(client, "enable.auto.offset.store", "false");
    expect(client, "enable.partition.eof", "true");
    expect(client, "check.crcs", "true");
    /* The floors. */
    expect(client, "queued.min.messages", "200");
    expect(client, "queued.max.messages.kbytes", "64");
    expect(client, "fetch.message.max.bytes", "4194304");
    rd_kafka_destroy(client);
}

static void test_sizes_follow_the_budget(void **state)
{
    (void)state;
    const mr_plan plan = plan_of(NULL, 0);
    const uint64_t b = UINT64_C(1) << 30;
    rd_kafka_t *client = make(&plan, MR_CLIENT_CONSUMER, b, 4);
    expect(client, "queued.min.messages", "176602");       /* 0.2 b / 304 / 4 */
    expect(client, "queued.max.messages.kbytes", "52428"); /* 0.2 b / 1024 / 4 */
    expect(client, "fetch.max.bytes", "8388608");          /* 0.1 b, at most 8 MiB */
    rd_kafka_destroy(client);
    client = make(&plan, MR_CLIENT_PRODUCER, b, 4);
    expect(client, "queue.buffering.max.messages", "419430"); /* 0.1 b / 256 */
    expect(client, "queue.buffering.max.kbytes", "209715");   /* an arena */
    rd_kafka_destroy(client);
}

static void test_producer_keys(void **state)
{
    (void)state;
    const mr_plan plan = plan_of(NULL, 0);
    rd_kafka_t *client = make(&plan, MR_CLIENT_PRODUCER, 64 << 20, 1);
    expect(client, "transactional.id", "app-all-0");
    expect(client, "transaction.timeout.ms", "10000");
    expect(client, "enable.idempotence", "true");
    expect(client, "acks", "-1");
    expect(client, "max.in.flight", "5");
    expect(client, "delivery.report.only.error", "true");
    expect(client, "compression.type", "lz4");
    expect(client, "message.max.bytes", "2000000");
    expect(client, "retry.backoff.ms", "20");
    expect(client, "socket.nagle.disable", "true");
    rd_kafka_destroy(client);
}

#define PASSWORD "CANARY-77aa"

static mr_secrets *secrets_of(void)
{
    static const mr_secret_source source = {.name = "pw", .env = "OPTIONS_TEST_PW"};
    mr_secrets *secrets = NULL;
    mr_diag diag = {0};

    assert_int_equal(setenv("OPTIONS_TEST_PW", PASSWORD, 1), 0);
    assert_int_equal(mr_secrets_open(mr_memory_system(), &source, 1, &secrets, &diag), MR_OK);
    return secrets;
}

static void test_sasl_and_tls(void **state)
{
    static const mr_plan_secret secret = {.name = "pw", .env = "OPTIONS_TEST_PW"};
    static const mr_client_kind kinds[] = {MR_CLIENT_CONSUMER, MR_CLIENT_PRODUCER, MR_CLIENT_FENCER,
                                           MR_CLIENT_ADMIN};
    mr_secrets *secrets = secrets_of();
    mr_plan plan = plan_of(NULL, 0);

    (void)state;
    plan.secrets = &secret;
    plan.secret_count = 1;
    plan.sasl.mechanism = "SCRAM-SHA-256";
    plan.sasl.username = "me";
    for (uint32_t tls = 0; tls < 2; tls++) {
        plan.tls.is_on = tls == 1;
        plan.tls.key_password = MR_NO_INDEX;
        for (size_t i = 0; i < MR_LENGTH(kinds); i++) {
            const mr_client_settings settings = {.plan = &plan,
                                                 .secrets = secrets,
                                                 .kind = kinds[i],
                                                 .transactional_id = "app-all-0",
                                                 .record_bytes_max = 2000000,
                                                 .taint = &taint};
            rd_kafka_t *client = NULL;
            mr_diag diag = {0};
            if (mr_client_new(&settings, &client, &diag) != MR_OK) {
                fail_msg("%s", diag.text);
            }
            expect(client, "security.protocol", tls == 1 ? "sasl_ssl" : "sasl_plaintext");
            expect(client, "sasl.mechanisms", "SCRAM-SHA-256");
            expect(client, "sasl.username", "me");
            expect(client, "sasl.password", PASSWORD);
            if (tls == 1) {
                expect(client, "ssl.endpoint.identification.algorithm", "https");
            }
            rd_kafka_destroy(client);
        }
    }
    mr_secrets_close(secrets);
}

/* A file that is not there is named; the password of the key is not. */
static void test_tls_files(void **state)
{
    static const mr_plan_secret secret = {.name = "pw", .env = "OPTIONS_TEST_PW"};
    mr_secrets *secrets = secrets_of();
    mr_plan plan = plan_of(NULL, 0);
    const mr_client_settings settings = {
        .plan = &plan, .secrets = secrets, .kind = MR_CLIENT_ADMIN};
    rd_kafka_t *client = NULL;
    mr_diag diag = {0};

    (void)state;
    plan.secrets = &secret;
    plan.secret_count = 1;
    plan.tls.is_on = true;
    plan.tls.ca = "/nowhere/ca.pem";
    plan.tls.cert = "/nowhere/cert.pem";
    plan.tls.key = "/nowhere/key.pem";
    plan.tls.key_password = 0;
    assert_int_equal(mr_client_new(&settings, &client, &diag), MR_ERR_CONFIG);
    assert_string_equal(diag.text,
                        "E_TLS: kafka.tls.ca: /nowhere/ca.pem cannot be read: No such file or "
                        "directory");
    plan.tls.ca = NULL;
    plan.tls.cert = plan.tls.key = "/dev/null"; /* Read, but no key: librdkafka says so. */
    diag = (mr_diag){0};
    assert_int_equal(mr_client_new(&settings, &client, &diag), MR_ERR_CONFIG);
    assert_non_null(strstr(diag.text, "librdkafka refuses its configuration"));
    assert_null(strstr(diag.text, PASSWORD));
    mr_secrets_close(secrets);
}

static void test_properties_pass_through(void **state)
{
    (void)state;
    const mr_plan_property properties[] = {{.name = "compression.type", .value = "zstd"},
                                           {.name = "linger.ms", .value = "20"}};
    const mr_plan plan = plan_of(properties, 2);
    rd_kafka_t *client = make(&plan, MR_CLIENT_PRODUCER, 64 << 20, 1);
    expect(client, "compression.type", "zstd");
    expect(client, "linger.ms", "20");
    rd_kafka_destroy(client);
}

static void test_a_wrong_property_has_its_place(void **state)
{
    (void)state;
    const mr_plan_property properties[] = {
        {.name = "compresion.type", .value = "zstd", .place = {.file = "t.yaml", .line = 7}}};
    const mr_plan plan = plan_of(properties, 1);
    const mr_client_settings settings = {.plan = &plan, .kind = MR_CLIENT_ADMIN};
    rd_kafka_t *client = NULL;
    mr_diag diag = {0};
    assert_int_equal(mr_client_new(&settings, &client, &diag), MR_ERR_CONFIG);
    assert_null(client);
    assert_int_equal(diag.place.line, 7);
    assert_non_null(strstr(diag.text, "compresion.type"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_consumer_keys),
        cmocka_unit_test(test_sizes_follow_the_budget),
        cmocka_unit_test(test_producer_keys),
        cmocka_unit_test(test_sasl_and_tls),
        cmocka_unit_test(test_tls_files),
        cmocka_unit_test(test_properties_pass_through),
        cmocka_unit_test(test_a_wrong_property_has_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
