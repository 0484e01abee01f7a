/*
 * preflight.c - the tests of a start, before any shard exists: the client's version, the brokers,
 * the topics, the group. Each refusal names what to do. Thread: control.
 */
#include "io/kafka/kafka_private.h"
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CALL_MS = 2000,
    RETENTION_MINUTES_MIN = 240,
    CREATE_MS = 10000,
    YOUNG_MS = 3000, /* A topic just made may be unknown to the broker that is asked. */
    YOUNG_PAUSE_MS = 100,
    WORDS_BYTES = 512,
    VERSION_MIN = 0x020002,
    VERSION_GOOD = 0x020400,  /* Before it: known faults of consumer and retries. */
    VERSION_WISHED = 0x020e02 /* 2.14.2 */
};

typedef struct preflight {
    const mr_preflight_options *options;
    const mr_plan *plan;
    mr_log *log;
    const mr_secrets *secrets;
    rd_kafka_t *client;
    int64_t until_us;
    mr_clock clock;
    char tls_words[WORDS_BYTES]; /* What the last failed handshake said; empty = none failed. */
    char words[WORDS_BYTES];     /* The same of connections that were refused or closed. */
} preflight;

static mr_status check_version(bool allowed, mr_log *log, mr_diag *diag);
static mr_status check_configuration(const preflight *p, mr_diag *diag);
static mr_status check_brokers(preflight *p, mr_diag *diag);
static mr_status hear_errors(preflight *p, mr_diag *diag);
static mr_status read_topics(preflight *p, uint32_t *counts, mr_diag *diag);
static mr_status await_topic(preflight *p, const mr_plan_topic *topic, uint32_t *count,
                             mr_diag *diag);
static mr_status read_topic(preflight *p, const char *name, uint32_t *count, mr_diag *diag);
static mr_status create_topic(preflight *p, const mr_plan_topic *topic, mr_diag *diag);
static rd_kafka_resp_err_t created(rd_kafka_event_t *event, char *words, size_t words_size);
static mr_status check_inputs(const mr_plan *plan, const uint32_t *counts, mr_diag *diag);
static mr_status check_group(preflight *p, mr_diag *diag);
static mr_status judge_group(const mr_plan *plan, const rd_kafka_ConsumerGroupDescription_t *group,
                             mr_diag *diag);
static void look_at_retention(preflight *p);
static void take_retention(void *self, const rd_kafka_ConfigResource_t *resource);
static bool is_stopped(const preflight *p);
static int32_t remaining_ms(const preflight *p);

mr_status mr_kafka_preflight(const mr_preflight_options *options, uint32_t *partition_counts,
                             mr_diag *diag)
{
    const mr_plan *plan = options->plan;
    preflight p = {.options = options,
                   .plan = plan,
                   .log = options->log,
                   .secrets = options->secrets,
                   .clock = mr_clock_system()};
    const mr_client_settings settings = {
        .plan = plan, .secrets = options->secrets, .log = options->log, .kind = MR_CLIENT_ADMIN};

    MR_ASSERT(plan->has_kafka && plan->brokers != NULL);
    p.until_us = p.clock.type->monotonic_us(p.clock.self) + (int64_t)options->timeout_ms * 1000;
    mr_status status = check_version(options->allow_client_version, options->log, diag);
    if (status == MR_OK) {
        status = check_configuration(&p, diag);
    }
    if (status == MR_OK) {
        status = mr_client_new(&settings, &p.client, diag);
    }
    if (status != MR_OK) {
        return status;
    }
    status = check_brokers(&p, diag);
    if (status == MR_OK) {
        status = read_topics(&p, partition_counts, diag);
    }
    if (status == MR_OK) {
        status = check_inputs(plan, partition_counts, diag);
    }
    if (status == MR_OK) {
        status = check_group(&p, diag);
    }
    if (status == MR_OK && !is_stopped(&p)) {
        look_at_retention(&p);
    }
    rd_kafka_destroy(p.client);
    return status;
}

/* ---- Before any connection ---- */

static mr_status check_version(bool allowed, mr_log *log, mr_diag *diag)
{
    const int version = rd_kafka_version() >> 8; /* The last byte says release candidate. */
    const char *text = rd_kafka_version_str();
    const mr_log_field field = {.name = "version", .text = text};
    const bool is_bad = version < VERSION_GOOD || (version >= 0x020500 && version <= 0x020502) ||
                        version == 0x020a00;

    if (version < VERSION_MIN) {
        return mr_diag_set(diag, MR_ERR_CONFIG, 0,
                           "E_CLIENT_VERSION: librdkafka %s is too old: 2.0.2 or newer is needed",
                           text);
    }
    if (is_bad && !allowed) {
        return mr_diag_set(diag, MR_ERR_CONFIG, 0,
                           "E_CLIENT_VERSION: librdkafka %s has known faults in its consumer or "
                           "its retries: install 2.14.2 or newer, or accept it with "
                           "--allow-client-version",
                           text);
    }
    if (version < VERSION_WISHED) {
        mr_log_event(log, MR_LOG_WARN, "kafka", "librdkafka is older than 2.14.2", &field, 1);
    }
    return MR_OK;
}

/* Consumer and producer are made and dropped, so that a wrong property ends the start, not a run.
 */
static mr_status check_configuration(const preflight *p, mr_diag *diag)
{
    _Atomic bool taint = false;
    mr_client_settings settings = {.plan = p->plan,
                                   .secrets = p->secrets,
                                   .log = p->log,
                                   .kind = MR_CLIENT_CONSUMER,
                                   .memory_bytes = 1 << 20,
                                   .input_count = 1,
                                   .record_bytes_max = MR_RECORD_BYTES_DEFAULT,
                                   .transactional_id = p->plan->app,
                                   .taint = &taint};
    rd_kafka_t *client = NULL;
    mr_status status = mr_client_new(&settings, &client, diag);
    if (status == MR_OK) {
        rd_kafka_destroy_flags(client, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
        settings.kind = MR_CLIENT_PRODUCER;
        status = mr_client_new(&settings, &client, diag);
    }
    if (status == MR_OK) {
        rd_kafka_destroy(client);
    }
    return status;
}

/* ---- The cluster ---- */

static mr_status check_brokers(preflight *p, mr_diag *diag)
{
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__TIMED_OUT;
    while (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        const struct rd_kafka_metadata *metadata = NULL;
        const int32_t left_ms = remaining_ms(p);
        if (is_stopped(p)) {
            return mr_diag_set(diag, MR_ERR_UNREACHABLE, 0,
                               "E_UNREACHABLE: stopped before a broker of %s answered",
                               p->plan->brokers);
        }
        if (left_ms <= 0 && p->tls_words[0] != '\0') {
            return mr_diag_set(diag, MR_ERR_UNREACHABLE, 0,
                               "E_TLS: no broker of %s can be spoken to over TLS: %s; look at "
                               "kafka.tls and at the brokers' certificates",
                               p->plan->brokers, p->tls_words);
        }
        if (left_ms <= 0) {
            return mr_diag_set(
                diag, MR_ERR_UNREACHABLE, 0,
                "E_UNREACHABLE: no broker of %s answers: %s (%s); is it running, and "
                "is kafka.brokers right%s?",
                p->plan->brokers, p->words[0] != '\0' ? p->words : rd_kafka_err2str(code),
                rd_kafka_err2name(code), p->plan->tls.is_on ? ", and kafka.tls" : "");
        }
        code =
            rd_kafka_metadata(p->client, 0, NULL, &metadata, left_ms < CALL_MS ? left_ms : CALL_MS);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            rd_kafka_metadata_destroy(metadata);
            break;
        }
        const mr_fault fault = mr_fault_of_code(code);
        const mr_verdict verdict = mr_kafka_judge(MR_CALL_READ, &fault, false);
        if (mr_status_class(verdict.status) != MR_CLASS_RETRY) {
            return mr_verdict_tell(&verdict, &fault, p->plan->brokers, rd_kafka_err2str(code),
                                   diag);
        }
        const mr_status status = hear_errors(p, diag);
        if (status != MR_OK) {
            return status;
        }
    }
    return MR_OK;
}

/* Why no connection stands: a wrong password does not pass; of all else the last words are kept. */
static mr_status hear_errors(preflight *p, mr_diag *diag)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_get_main(p->client);
    rd_kafka_event_t *event = NULL;
    mr_status status = MR_OK;

    while (status == MR_OK && (event = rd_kafka_queue_poll(queue, 0)) != NULL) {
        const mr_fault fault = mr_fault_of_code(rd_kafka_event_error(event));
        const char *words = rd_kafka_event_error_string(event);
        if (fault.code == RD_KAFKA_RESP_ERR__AUTHENTICATION) {
            const mr_verdict verdict = mr_kafka_judge(MR_CALL_EVENT, &fault, false);
            status = mr_verdict_tell(&verdict, &fault, p->plan->brokers, words, diag);
        } else if (fault.code == RD_KAFKA_RESP_ERR__SSL ||
                   strstr(words, "SSL routines") !=
                       NULL) { /* TLS 1.3 refuses after the handshake. */
            snprintf(p->tls_words, sizeof(p->tls_words), "%s", words);
        } else if (fault.code == RD_KAFKA_RESP_ERR__TRANSPORT) {
            snprintf(p->words, sizeof(p->words), "%s", words);
        }
        rd_kafka_event_destroy(event);
    }
    rd_kafka_queue_destroy(queue);
    return status;
}

static mr_status read_topics(preflight *p, uint32_t *counts, mr_diag *diag)
{
    for (uint32_t i = 0; i < p->plan->topic_count; i++) {
        const mr_plan_topic *topic = &p->plan->topics[i];
        mr_status status = await_topic(p, topic, &counts[i], diag);
        if (status != MR_OK) {
            return status;
        }
        if (counts[i] == 0 && topic->create_partitions == 0) {
            return mr_diag_set(diag, MR_ERR_CONFIG, 0,
                               "E_TOPIC_MISSING: topic %s does not exist on %s: create it%s",
                               topic->name, p->plan->brokers,
                               topic->is_output ? ", or let its item do so with `create:`" : "");
        }
        if (counts[i] != 0 && topic->create_partitions != 0 &&
            counts[i] != topic->create_partitions) {
            return mr_diag_set(diag, MR_ERR_CONFIG, 0,
                               "E_TOPIC_SHAPE: topic %s has %u partitions, its `create:` says %u: "
                               "correct the topic or the file",
                               topic->name, counts[i], topic->create_partitions);
        }
        if (counts[i] == 0) {
            status = create_topic(p, topic, diag);
            counts[i] = topic->create_partitions;
        }
        if (status != MR_OK) {
            return status;
        }
    }
    return MR_OK;
}

/* A topic that nobody is to create is asked for again for a while before it counts as missing. */
static mr_status await_topic(preflight *p, const mr_plan_topic *topic, uint32_t *count,
                             mr_diag *diag)
{
    const int32_t until_ms = remaining_ms(p) - YOUNG_MS;
    mr_status status = read_topic(p, topic->name, count, diag);

    while (status == MR_OK && *count == 0 && topic->create_partitions == 0 &&
           remaining_ms(p) > until_ms && remaining_ms(p) > 0 && !is_stopped(p)) {
        (void)poll(NULL, 0, YOUNG_PAUSE_MS);
        status = read_topic(p, topic->name, count, diag);
    }
    return status;
}

/* `count` 0: the topic does not exist. */
static mr_status read_topic(preflight *p, const char *name, uint32_t *count, mr_diag *diag)
{
    rd_kafka_topic_t *topic = rd_kafka_topic_new(p->client, name, NULL);
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__TIMED_OUT;
    mr_status status = MR_OK;

    MR_ASSERT(topic != NULL);
    do { /* Once at least: others may have used the time up. */
        const struct rd_kafka_metadata *metadata = NULL;
        code = rd_kafka_metadata(p->client, 0, topic, &metadata, CALL_MS);
        *count = 0;
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            MR_ASSERT(metadata->topic_cnt == 1);
            code = metadata->topics[0].err;
            *count = (uint32_t)metadata->topics[0].partition_cnt;
            rd_kafka_metadata_destroy(metadata);
        }
        if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) {
            code = RD_KAFKA_RESP_ERR_NO_ERROR;
            *count = 0;
        }
        const mr_fault fault = mr_fault_of_code(code);
        const mr_verdict verdict = mr_kafka_judge(MR_CALL_READ, &fault, false);
        status = verdict.status;
        if (status != MR_OK) {
            status = mr_verdict_tell(&verdict, &fault, name, rd_kafka_err2str(code), diag);
        }
    } while (mr_status_class(status) == MR_CLASS_RETRY && remaining_ms(p) > 0);
    rd_kafka_topic_destroy(topic);
    return status;
}

static mr_status create_topic(preflight *p, const mr_plan_topic *topic, mr_diag *diag)
{
    char words[256] = "no answer";
    const mr_log_field fields[] = {{.name = "topic", .text = topic->name},
                                   {.name = "partitions", .number = topic->create_partitions}};
    rd_kafka_NewTopic_t *fresh =
        rd_kafka_NewTopic_new(topic->name, (int)topic->create_partitions, topic->create_replication,
                              words, sizeof(words));
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__INVALID_ARG;

    if (fresh != NULL) {
        rd_kafka_AdminOptions_t *options =
            rd_kafka_AdminOptions_new(p->client, RD_KAFKA_ADMIN_OP_CREATETOPICS);
        rd_kafka_queue_t *queue = rd_kafka_queue_new(p->client);
        char ignored[128];
        (void)rd_kafka_AdminOptions_set_operation_timeout(options, CREATE_MS, ignored,
                                                          sizeof(ignored));
        rd_kafka_CreateTopics(p->client, &fresh, 1, options, queue);
        rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 2 * CREATE_MS);
        code = event == NULL ? RD_KAFKA_RESP_ERR__TIMED_OUT : created(event, words, sizeof(words));
        if (event != NULL) {
            rd_kafka_event_destroy(event);
        }
        rd_kafka_queue_destroy(queue);
        rd_kafka_AdminOptions_destroy(options);
        rd_kafka_NewTopic_destroy(fresh);
    }
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) {
        mr_log_event(p->log, MR_LOG_INFO, "kafka", "topic created", fields, MR_LENGTH(fields));
        return MR_OK;
    }
    return mr_diag_set(diag, MR_ERR_CONFIG, 0,
                       "E_TOPIC_MISSING: topic %s cannot be created: %s (%s)", topic->name, words,
                       rd_kafka_err2name(code));
}

static rd_kafka_resp_err_t created(rd_kafka_event_t *event, char *words, size_t words_size)
{
    rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    size_t count = 0;

    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        snprintf(words, words_size, "%s", rd_kafka_event_error_string(event));
        return code;
    }
    const rd_kafka_topic_result_t **results =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
    MR_ASSERT(count == 1);
    code = rd_kafka_topic_result_error(results[0]);
    const char *text = rd_kafka_topic_result_error_string(results[0]);
    snprintf(words, words_size, "%s", text != NULL ? text : rd_kafka_err2str(code));
    return code;
}

/* Partition p of every input belongs to one task, so their counts must agree. */
static mr_status check_inputs(const mr_plan *plan, const uint32_t *counts, mr_diag *diag)
{
    uint32_t first = MR_NO_INDEX;
    for (uint32_t i = 0; i < plan->topic_count; i++) {
        if (plan->topics[i].source == MR_NO_INDEX) {
            continue;
        }
        if (first != MR_NO_INDEX && counts[i] != counts[first]) {
            return mr_diag_set(diag, MR_ERR_CONFIG, 0,
                               "E_TOPIC_SHAPE: the inputs must have equal partition counts: %s has "
                               "%u, %s has %u",
                               plan->topics[first].name, counts[first], plan->topics[i].name,
                               counts[i]);
        }
        first = first == MR_NO_INDEX ? i : first;
    }
    return MR_OK;
}

/* ---- The group ---- */

static mr_status check_group(preflight *p, mr_diag *diag)
{
    const char *group = p->plan->app;
    mr_status status = MR_OK;

    do {
        rd_kafka_queue_t *queue = rd_kafka_queue_new(p->client);
        rd_kafka_AdminOptions_t *options =
            rd_kafka_AdminOptions_new(p->client, RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS);
        char ignored[128];
        size_t count = 0;
        (void)rd_kafka_AdminOptions_set_request_timeout(options, CALL_MS, ignored, sizeof(ignored));
        rd_kafka_DescribeConsumerGroups(p->client, &group, 1, options, queue);
        rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 2 * CALL_MS);
        rd_kafka_resp_err_t code =
            event == NULL ? RD_KAFKA_RESP_ERR__TIMED_OUT : rd_kafka_event_error(event);
        const rd_kafka_ConsumerGroupDescription_t **groups = NULL;
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            groups = rd_kafka_DescribeConsumerGroups_result_groups(
                rd_kafka_event_DescribeConsumerGroups_result(event), &count);
            const rd_kafka_error_t *error =
                count == 1 ? rd_kafka_ConsumerGroupDescription_error(groups[0]) : NULL;
            code = error != NULL ? rd_kafka_error_code(error) : RD_KAFKA_RESP_ERR_NO_ERROR;
        }
        const mr_fault fault = mr_fault_of_code(code);
        const mr_verdict verdict = mr_kafka_judge(MR_CALL_READ, &fault, false);
        status = verdict.status;
        if (status != MR_OK) {
            status = mr_verdict_tell(&verdict, &fault, group, rd_kafka_err2str(code), diag);
        } else if (count == 1) {
            status = judge_group(p->plan, groups[0], diag);
        }
        if (event != NULL) {
            rd_kafka_event_destroy(event);
        }
        rd_kafka_AdminOptions_destroy(options);
        rd_kafka_queue_destroy(queue);
    } while (mr_status_class(status) == MR_CLASS_RETRY && remaining_ms(p) > 0);
    return status;
}

static mr_status judge_group(const mr_plan *plan, const rd_kafka_ConsumerGroupDescription_t *group,
                             mr_diag *diag)
{
    const rd_kafka_consumer_group_state_t state = rd_kafka_ConsumerGroupDescription_state(group);
    if (state == RD_KAFKA_CONSUMER_GROUP_STATE_EMPTY ||
        state == RD_KAFKA_CONSUMER_GROUP_STATE_DEAD ||
        rd_kafka_ConsumerGroupDescription_member_count(group) == 0) {
        return MR_OK;
    }
    return mr_diag_set(diag, MR_ERR_REFUSED, 0,
                       "E_GROUP_ACTIVE: consumer group %s has %zu members: another program uses "
                       "the app's name as its group; stop it, or choose another app name",
                       plan->app, rd_kafka_ConsumerGroupDescription_member_count(group));
}

/* A task without input commits once an hour; behind this time brokers forget what it committed.
 * Without an answer, or the right to ask, nothing is said. */
static void look_at_retention(preflight *p)
{
    char broker[16];
    rd_kafka_ConfigResource_t *resource;
    const int32_t controller = rd_kafka_controllerid(p->client, CALL_MS);

    if (controller < 0) { /* Unknown. No broker has that number: the question would run out. */
        return;
    }
    snprintf(broker, sizeof(broker), "%d", controller);
    resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_BROKER, broker);
    MR_ASSERT(resource != NULL);
    (void)mr_configs_read(p->client, &resource, 1, CALL_MS, take_retention, p);
    rd_kafka_ConfigResource_destroy(resource);
}

static void take_retention(void *self, const rd_kafka_ConfigResource_t *resource)
{
    const preflight *p = self;
    const char *value = mr_config_value(resource, "offsets.retention.minutes");
    const mr_log_field fields[] = {{.name = "minutes", .text = value},
                                   {.name = "wanted", .number = RETENTION_MINUTES_MIN}};

    if (value != NULL && strtol(value, NULL, 10) < RETENTION_MINUTES_MIN) {
        mr_log_event(p->log, MR_LOG_WARN, "kafka",
                     "the brokers forget committed offsets soon: a worker that is away for longer "
                     "than offsets.retention.minutes is refused (E_OFFSETS_MISSING); raise it",
                     fields, MR_LENGTH(fields));
    }
}

static bool is_stopped(const preflight *p)
{
    return p->options->stop_requested != NULL && p->options->stop_requested(p->options->stop_self);
}

static int32_t remaining_ms(const preflight *p)
{
    return (int32_t)((p->until_us - p->clock.type->monotonic_us(p->clock.self)) / 1000);
}
