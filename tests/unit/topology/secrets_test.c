/*
 * secrets_test.c - `secrets:`, the options that take one, TLS and SASL of Kafka, and that a literal
 * is neither taken nor shown.
 */
#include "tests/unit/topology/fake.h"

#define HEAD "millrace: 1\napp: t\n"
#define ITEMS                                                          \
    "sources:\n  a: { topic: a, format: json, schema: { x: text } }\n" \
    "sinks:\n  b: { from: a, topic: b }\n"                             \
    "errors: { default: { stop: true } }\n"
#define SASL(password)                                                             \
    "kafka: { brokers: [\"127.0.0.1:1\"], sasl: { mechanism: PLAIN, username: u, " \
    "password: " password " } }\n"

static void test_settings(void **state)
{
    mr_topology *topology =
        fake_load(HEAD "secrets:\n"
                       "  unused_b: { env: B }\n"
                       "  pw: { file: \"/run/${GREETING}/pw\" }\n"
                       "  key_pw: { env: KEY_PW, description: of the key }\n"
                       "kafka:\n"
                       "  brokers: [b:1]\n"
                       "  tls: { ca: ca.pem, cert: c.pem, key: k.pem, key_password: { secret: "
                       "key_pw } }\n"
                       "  sasl: { mechanism: SCRAM-SHA-512, username: \"${GREETING}\", password: { "
                       "secret: pw } }\n" ITEMS);
    const mr_plan *plan = mr_topology_plan(topology);

    (void)state;
    assert_non_null(plan);
    assert_true(plan->tls.is_on);
    assert_string_equal(plan->tls.ca, "ca.pem");
    assert_string_equal(plan->tls.cert, "c.pem");
    assert_string_equal(plan->tls.key, "k.pem");
    assert_string_equal(plan->sasl.mechanism, "SCRAM-SHA-512");
    assert_string_equal(plan->sasl.username, "hello");
    /* Only what is used is in the plan, and so will be read. */
    assert_int_equal(plan->secret_count, 2);
    assert_string_equal(plan->secrets[plan->tls.key_password].name, "key_pw");
    assert_string_equal(plan->secrets[plan->tls.key_password].env, "KEY_PW");
    assert_null(plan->secrets[plan->tls.key_password].file);
    assert_string_equal(plan->secrets[plan->sasl.password].name, "pw");
    assert_string_equal(plan->secrets[plan->sasl.password].file, "/run/hello/pw");
    const mr_message *warning = fake_message(topology, 203);
    assert_non_null(warning);
    assert_int_equal(warning->place.line, 4);
    mr_topology_destroy(topology);
    topology = fake_load(HEAD "kafka: { brokers: [b:1], tls: {} }\n" ITEMS);
    plan = mr_topology_plan(topology);
    assert_non_null(plan);
    assert_true(plan->tls.is_on);
    assert_int_equal(plan->tls.key_password, MR_NO_INDEX);
    assert_null(plan->sasl.mechanism);
    mr_topology_destroy(topology);
}

static void test_mistakes(void **state)
{
    (void)state;
    fake_expect(HEAD "secrets: [a]\n" ITEMS, 105, 3);
    fake_expect(HEAD "secrets: { Pw: { env: A } }\n" ITEMS, 113, 3);
    fake_expect(HEAD "secrets: { pw: {} }\n" ITEMS, 104, 3);
    fake_expect(HEAD "secrets: { pw: { env: A, file: b } }\n" ITEMS, 104, 3);
    fake_expect(HEAD "secrets: { pw: { vault: A } }\n" ITEMS, 102, 3);
    fake_expect(HEAD "secrets: { pw: { env: \"\" } }\n" ITEMS, 106, 3);
    fake_expect(HEAD "secrets: { pw: { file: \"${NOBODY}\" } }\n" ITEMS, 110, 3);
    fake_expect(HEAD SASL("{ secret: pw }") ITEMS, 721, 3);
    fake_expect(HEAD "secrets: { pwd: { env: A } }\n" SASL("{ secret: pw }") ITEMS, 721, 4);
    fake_expect(HEAD SASL("{ env: PW }") ITEMS, 102, 3);
    fake_expect(HEAD SASL("[x]") ITEMS, 105, 3);
    fake_expect(HEAD "kafka: { brokers: [b:1], tls: yes }\n" ITEMS, 105, 3);
    fake_expect(HEAD "kafka: { brokers: [b:1], tls: { cert: c.pem } }\n" ITEMS, 104, 3);
    fake_expect(HEAD "kafka: { brokers: [b:1], tls: { key: k.pem } }\n" ITEMS, 104, 3);
    fake_expect(HEAD "kafka: { brokers: [b:1], tls: {}, client: { ssl.ca.location: x } }\n" ITEMS,
                115, 3);
    fake_expect(HEAD "kafka: { brokers: [b:1], sasl: { mechanism: GSSAPI } }\n" ITEMS, 109, 3);
    fake_expect(HEAD "kafka: { brokers: [b:1], sasl: { mechanism: plain } }\n" ITEMS, 106, 3);
    fake_expect(HEAD "kafka: { brokers: [b:1], client: "
                     "{ enable.ssl.certificate.verification: false } }\n" ITEMS,
                115, 3);
}

/* Nowhere in any message: not in its text, its hint, nor the line it shows. */
static void expect_hidden(const char *text)
{
    mr_topology *topology = fake_load(text);
    uint32_t count = 0;
    const mr_message *messages = mr_topology_messages(topology, &count);

    assert_non_null(fake_message(topology, 720));
    for (uint32_t i = 0; i < count; i++) {
        const char *const parts[] = {messages[i].text, messages[i].hint, messages[i].line};
        for (size_t k = 0; k < 3; k++) {
            if (parts[k] != NULL && strstr(parts[k], "CANARY") != NULL) {
                fail_msg("M%04u shows it: %s", messages[i].code, parts[k]);
            }
        }
    }
    mr_topology_destroy(topology);
}

static void test_literals_are_not_shown(void **state)
{
    (void)state;
    expect_hidden(HEAD SASL("CANARY-1") ITEMS);
    expect_hidden(HEAD SASL("\"CANARY-1\", nonsense: 1") ITEMS);
    expect_hidden(HEAD "kafka:\n  brokers: [\"localhost:1\"]\n  sasl:\n    mechanism: PLAIN\n"
                       "    username: u\n    password: |\n      CANARY-1\n" ITEMS);
    expect_hidden(HEAD "kafka: { brokers: [b], tls: { key_password: CANARY-1 } }\n" ITEMS);
    expect_hidden(HEAD "kafka: { brokers: [b:1], client: { sasl.password: CANARY-1 } }\n" ITEMS);
    expect_hidden(HEAD "secrets: { pw: CANARY-1 }\n" ITEMS);
}

static void expect_clear(const char *brokers, const char *more, bool is_refused)
{
    char text[1024];

    (void)snprintf(text, sizeof(text),
                   HEAD "secrets: { pw: { env: PW } }\nkafka: { brokers: [%s], sasl: { mechanism: "
                        "PLAIN, username: u, password: { secret: pw } }%s }\n" ITEMS,
                   brokers, more);
    mr_topology *topology = fake_load(text);
    if ((fake_message(topology, 722) != NULL) != is_refused) {
        fail_msg("[%s]%s", brokers, more);
    }
    mr_topology_destroy(topology);
}

static void test_a_password_does_not_leave_the_machine_in_the_clear(void **state)
{
    (void)state;
    expect_clear("\"localhost:1\"", "", false);
    expect_clear("\"127.0.0.1:1\", \"127.1.2.3:9\"", "", false);
    expect_clear("\"[::1]:1\"", "", false);
    expect_clear("\"kafka:1\"", "", true);
    expect_clear("\"localhost:1\", \"kafka:1\"", "", true);
    expect_clear("\"localhost:1,10.0.0.1:1\"", "", true);
    expect_clear("\"127.evil.example:1\"", "", true);
    expect_clear("\"localhost.example:1\"", "", true);
    expect_clear("\"kafka:1\"", ", tls: {}", false);
    expect_clear("\"kafka:1\"", ", client: { security.protocol: sasl_plaintext }", false);
    /* Named, but none of SASL: the password would not be used at all. */
    fake_expect(HEAD "secrets: { pw: { env: PW } }\nkafka: { brokers: [\"kafka:1\"], client: { "
                     "security.protocol: ssl }, sasl: { mechanism: PLAIN, username: u, password: { "
                     "secret: pw } } }\n" ITEMS,
                115, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_literals_are_not_shown),
        cmocka_unit_test(test_a_password_does_not_leave_the_machine_in_the_clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
