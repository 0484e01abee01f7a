/*
 * kafka_tool.c - what tests, demo and scripts ask of a Kafka cluster, in one small program.
 *
 * The command-line tools of Kafka start a JVM for each call, about a second each; this one answers
 * in milliseconds and needs nothing but librdkafka. It is a developer's tool: it gives up at the
 * first error, with one line on stderr and status 1 (2: wrong use), and is no part of the engine.
 *
 * The cluster is the one of the environment variable MR_KAFKA (host:port). Lines of `produce` and
 * `read` separate fields by a tab. A field of exactly \N is null. Other fields are bytes as they
 * stand; with --escaped the sequences \\ \t \n \r and \xHH stand for bytes.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <librdkafka/rdkafka.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    ANSWER_MS_MAX = 30000, /* For each request; the admin API's own retries are inside. */
    CONFIG_COUNT_MAX = 32,
    HEADER_COUNT_MAX = 16,
    PARTITION_COUNT_MAX = 4096,
};

typedef struct options {
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
} options;

typedef struct field {
    char *bytes; /* NULL: null. Borrows the line. */
    size_t size_bytes;
} field;

typedef struct feed {
    rd_kafka_t *producer;
    const char *topic;
    const options *options;
    int64_t line_count;
    int64_t failed_count;
} feed;

static const char usage_text[] =
    "usage: kafka_tool COMMAND ...   (cluster: MR_KAFKA=host:port)\n"
    "  ready                                    a topic made, a transaction with an offset done\n"
    "  create TOPIC PARTITIONS [KEY=VALUE...]   topic with its settings\n"
    "  delete TOPIC...                          absent topics are no error\n"
    "  alter TOPIC KEY=VALUE                    one setting of a topic; the others go to default\n"
    "  produce TOPIC [--partition N | --murmur2] [--escaped] [--time] [--header K=V]...\n"
    "          [--transaction ID [--abort | --leave-open]]\n"
    "                                           lines KEY\\tVALUE from stdin; --time: TIME_MS\\t "
    "first;\n"
    "                                           \\N is null; default partitioner: murmur2\n"
    "  read TOPIC [--partition N] [--uncommitted] [--count N] [--escaped]\n"
    "                                           PARTITION\\tOFFSET\\tTIME_MS\\tKEY\\tVALUE, up to "
    "the end\n"
    "  ends TOPIC [--uncommitted]               PARTITION\\tFIRST\\tEND of each partition\n"
    "  truncate TOPIC PARTITION OFFSET          the log starts at OFFSET from now on\n"
    "  commit GROUP TOPIC PARTITION OFFSET [METADATA]\n"
    "  offsets GROUP TOPIC                      PARTITION\\tOFFSET\\tMETADATA, OFFSET - if none\n"
    "  delete-group GROUP                       an absent group is no error\n";

static _Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
static int run_ready(int count, char **words);
static int run_create(int count, char **words);
static int run_delete(int count, char **words);
static int run_alter(int count, char **words);
static int run_produce(int count, char **words);
static int run_read(int count, char **words);
static int run_ends(int count, char **words);
static int run_truncate(int count, char **words);
static int run_commit(int count, char **words);
static int run_offsets(int count, char **words);
static int run_delete_group(int count, char **words);

static const struct command {
    const char *name;
    int word_count_min; /* After the name. */
    int (*run)(int count, char **words);
} commands[] = {
    {"ready", 0, run_ready},
    {"create", 2, run_create},
    {"delete", 1, run_delete},
    {"alter", 2, run_alter},
    {"produce", 1, run_produce},
    {"read", 1, run_read},
    {"ends", 1, run_ends},
    {"commit", 4, run_commit},
    {"truncate", 3, run_truncate},
    {"offsets", 2, run_offsets},
    {"delete-group", 1, run_delete_group},
};

int main(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(argv[1], commands[i].name) == 0 && argc - 2 >= commands[i].word_count_min) {
            return commands[i].run(argc - 2, argv + 2);
        }
    }
    fputs(usage_text, stderr);
    return 2;
}

static void fail(const char *format, ...)
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

static void check(rd_kafka_resp_err_t error, const char *what)
{
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
        fail("%s: %s", what, rd_kafka_err2str(error));
    }
}

static void check_error(rd_kafka_error_t *error, const char *what)
{
    if (error != NULL) {
        fail("%s: %s", what, rd_kafka_error_string(error));
    }
}

static int64_t parse_number(const char *text, int64_t min, int64_t max)
{
    char *end = NULL;
    errno = 0;
    const long long value = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || value < min || value > max) {
        fail("'%s' is not a number from %lld to %lld", text, (long long)min, (long long)max);
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
    feed *from = opaque;
    (void)client;
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR && from != NULL && from->failed_count++ == 0) {
        fprintf(stderr, "kafka_tool: a record was not delivered: %s\n",
                rd_kafka_err2str(message->err));
    }
}

/* settings: pairs, ended by NULL. from: who counts the deliveries; NULL unless it produces. */
static rd_kafka_t *client_create(rd_kafka_type_t type, const char *const settings[], feed *from)
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
        fail("MR_KAFKA is not set; it names the cluster as host:port");
    }
    rd_kafka_conf_set_log_cb(conf, on_log);
    rd_kafka_conf_set_opaque(conf, from);
    if (type == RD_KAFKA_PRODUCER) {
        rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    }
    for (int list = 0; list < 2; list++) {
        for (const char *const *pair = lists[list]; pair != NULL && *pair != NULL; pair += 2) {
            if (rd_kafka_conf_set(conf, pair[0], pair[1], text, sizeof text) != 0) {
                fail("%s", text);
            }
        }
    }
    rd_kafka_t *client = rd_kafka_new(type, conf, text, sizeof text);
    if (client == NULL) {
        fail("%s", text);
    }
    return client;
}

/* A transactional producer with its state on the broker set up. */
static rd_kafka_t *transaction_producer_create(const char *id, feed *from)
{
    const char *const settings[] = {
        "transactional.id", id,  "transaction.timeout.ms", "10000", "linger.ms", "0", "partitioner",
        "murmur2_random",   NULL};
    rd_kafka_t *producer = client_create(RD_KAFKA_PRODUCER, settings, from);
    check_error(rd_kafka_init_transactions(producer, ANSWER_MS_MAX), "init_transactions");
    return producer;
}

/* Waits for the one answer of an admin request. Returns it owned. */
static rd_kafka_event_t *admin_answer(rd_kafka_queue_t *queue, const char *what)
{
    rd_kafka_event_t *answer = rd_kafka_queue_poll(queue, ANSWER_MS_MAX);
    if (answer == NULL) {
        fail("%s: no answer within %d s", what, ANSWER_MS_MAX / 1000);
    }
    if (rd_kafka_event_error(answer) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        fail("%s: %s", what, rd_kafka_event_error_string(answer));
    }
    return answer;
}

static void setting_split(char *word, const char **value)
{
    char *equals = strchr(word, '=');
    if (equals == NULL || equals == word) {
        fail("'%s' is not KEY=VALUE", word);
    }
    *equals = '\0';
    *value = equals + 1;
}

static void topic_create(rd_kafka_t *client, const char *name, int partition_count, int count,
                         char **settings)
{
    char text[512];
    size_t result_count = 0;
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(name, partition_count, 1, text, sizeof text);
    if (topic == NULL) {
        fail("%s", text);
    }
    for (int i = 0; i < count; i++) {
        const char *value = NULL;
        setting_split(settings[i], &value);
        check(rd_kafka_NewTopic_set_config(topic, settings[i], value), settings[i]);
    }
    rd_kafka_AdminOptions_t *request =
        rd_kafka_AdminOptions_new(client, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    check(rd_kafka_AdminOptions_set_request_timeout(request, ANSWER_MS_MAX, text, sizeof text),
          text);
    rd_kafka_CreateTopics(client, &topic, 1, request, queue);
    rd_kafka_event_t *answer = admin_answer(queue, "create");
    const rd_kafka_topic_result_t *const *results = rd_kafka_CreateTopics_result_topics(
        rd_kafka_event_CreateTopics_result(answer), &result_count);
    for (size_t i = 0; i < result_count; i++) {
        if (rd_kafka_topic_result_error(results[i]) != RD_KAFKA_RESP_ERR_NO_ERROR) {
            fail("create %s: %s", name, rd_kafka_topic_result_error_string(results[i]));
        }
    }
    rd_kafka_event_destroy(answer);
    rd_kafka_AdminOptions_destroy(request);
    rd_kafka_NewTopic_destroy(topic);
    rd_kafka_queue_destroy(queue);
}

static void topic_delete(rd_kafka_t *client, const char *name)
{
    size_t result_count = 0;
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_DeleteTopic_t *topic = rd_kafka_DeleteTopic_new(name);
    rd_kafka_DeleteTopics(client, &topic, 1, NULL, queue);
    rd_kafka_event_t *answer = admin_answer(queue, "delete");
    const rd_kafka_topic_result_t *const *results = rd_kafka_DeleteTopics_result_topics(
        rd_kafka_event_DeleteTopics_result(answer), &result_count);
    for (size_t i = 0; i < result_count; i++) {
        const rd_kafka_resp_err_t error = rd_kafka_topic_result_error(results[i]);
        if (error != RD_KAFKA_RESP_ERR_NO_ERROR &&
            error != RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) {
            fail("delete %s: %s", name, rd_kafka_err2str(error));
        }
    }
    rd_kafka_event_destroy(answer);
    rd_kafka_DeleteTopic_destroy(topic);
    rd_kafka_queue_destroy(queue);
}

/*
 * How many partitions a topic has; fails if it does not exist. A producer asks before its first
 * record too: librdkafka itself looks for an unknown topic only once a second.
 */
static int partition_count_of(rd_kafka_t *client, const char *topic)
{
    const rd_kafka_metadata_t *metadata = NULL;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(client, topic, NULL);
    check(rd_kafka_metadata(client, 0, handle, &metadata, ANSWER_MS_MAX), topic);
    check(metadata->topics[0].err, topic);
    const int count = metadata->topics[0].partition_cnt;
    rd_kafka_metadata_destroy(metadata);
    rd_kafka_topic_destroy(handle);
    return count;
}

static int64_t monotonic_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/*
 * A broker that accepts connections is not yet of use: its coordinators load, its internal topics
 * may be missing. One transaction with an offset takes every path an engine takes at its start.
 */
static int run_ready(int count, char **words)
{
    char name[64];
    char id[80];
    const int64_t start_ms = monotonic_ms();
    (void)count;
    (void)words;
    snprintf(name, sizeof name, "t.ready.%ld", (long)getpid());
    snprintf(id, sizeof id, "%s.writer", name);
    rd_kafka_t *producer = transaction_producer_create(id, NULL);
    topic_create(producer, name, 1, 0, NULL);
    rd_kafka_topic_partition_list_t *offsets = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(offsets, name, 0)->offset = 0;
    rd_kafka_consumer_group_metadata_t *group = rd_kafka_consumer_group_metadata_new(name);
    partition_count_of(producer, name);
    check_error(rd_kafka_begin_transaction(producer), "begin_transaction");
    check(rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(name), RD_KAFKA_V_VALUE("x", 1),
                            RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END),
          "produce");
    check_error(rd_kafka_send_offsets_to_transaction(producer, offsets, group, ANSWER_MS_MAX),
                "send_offsets_to_transaction");
    check_error(rd_kafka_commit_transaction(producer, ANSWER_MS_MAX), "commit_transaction");
    topic_delete(producer, name);
    rd_kafka_consumer_group_metadata_destroy(group);
    rd_kafka_topic_partition_list_destroy(offsets);
    rd_kafka_destroy(producer);
    printf("ready after %lld ms\n", (long long)(monotonic_ms() - start_ms));
    return 0;
}

static int run_create(int count, char **words)
{
    const int partition_count = (int)parse_number(words[1], 1, PARTITION_COUNT_MAX);
    rd_kafka_t *client = client_create(RD_KAFKA_PRODUCER, NULL, NULL);
    topic_create(client, words[0], partition_count, count - 2, words + 2);
    rd_kafka_destroy(client);
    return 0;
}

static int run_delete(int count, char **words)
{
    rd_kafka_t *client = client_create(RD_KAFKA_PRODUCER, NULL, NULL);
    for (int i = 0; i < count; i++) {
        topic_delete(client, words[i]);
    }
    rd_kafka_destroy(client);
    return 0;
}

static int run_alter(int count, char **words)
{
    size_t result_count = 0;
    rd_kafka_t *client = client_create(RD_KAFKA_PRODUCER, NULL, NULL);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_ConfigResource_t *topic =
        rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, words[0]);
    for (int i = 1; i < count; i++) {
        const char *value = NULL;
        setting_split(words[i], &value);
        check(rd_kafka_ConfigResource_set_config(topic, words[i], value), words[i]);
    }
    rd_kafka_AlterConfigs(client, &topic, 1, NULL, queue);
    rd_kafka_event_t *answer = admin_answer(queue, "alter");
    const rd_kafka_ConfigResource_t **results = rd_kafka_AlterConfigs_result_resources(
        rd_kafka_event_AlterConfigs_result(answer), &result_count);
    for (size_t i = 0; i < result_count; i++) {
        if (rd_kafka_ConfigResource_error(results[i]) != RD_KAFKA_RESP_ERR_NO_ERROR) {
            fail("alter %s: %s", words[0], rd_kafka_ConfigResource_error_string(results[i]));
        }
    }
    rd_kafka_event_destroy(answer);
    rd_kafka_ConfigResource_destroy(topic);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(client);
    return 0;
}

/* Reads the words after the topic's name; an unknown one, or one without its value, ends the run.
 */
static void options_parse(options *out, int count, char **words)
{
    *out = (options){.partition = RD_KAFKA_PARTITION_UA, .count_max = -1};
    for (int i = 0; i < count; i++) {
        const char *value = i + 1 < count ? words[i + 1] : NULL;
        bool takes_value = true;
        if (strcmp(words[i], "--partition") == 0 && value != NULL) {
            out->partition = (int32_t)parse_number(value, 0, PARTITION_COUNT_MAX);
        } else if (strcmp(words[i], "--count") == 0 && value != NULL) {
            out->count_max = parse_number(value, 0, INT64_MAX);
        } else if (strcmp(words[i], "--transaction") == 0 && value != NULL) {
            out->transaction = value;
        } else if (strcmp(words[i], "--header") == 0 && value != NULL) {
            if (out->header_count == HEADER_COUNT_MAX) {
                fail("more than %d headers", HEADER_COUNT_MAX);
            }
            out->headers[out->header_count++] = value;
        } else {
            takes_value = false;
            out->abort = out->abort || strcmp(words[i], "--abort") == 0;
            out->leave_open = out->leave_open || strcmp(words[i], "--leave-open") == 0;
            out->escaped = out->escaped || strcmp(words[i], "--escaped") == 0;
            out->with_time = out->with_time || strcmp(words[i], "--time") == 0;
            out->uncommitted = out->uncommitted || strcmp(words[i], "--uncommitted") == 0;
            static const char *const known[] = {"--abort", "--leave-open",  "--escaped",
                                                "--time",  "--uncommitted", "--murmur2"};
            bool is_known = false;
            for (size_t k = 0; k < sizeof known / sizeof known[0]; k++) {
                is_known = is_known || strcmp(words[i], known[k]) == 0;
            }
            if (!is_known) {
                fail("'%s' is no option, or its value is missing", words[i]);
            }
        }
        i += takes_value ? 1 : 0;
    }
    if ((out->abort || out->leave_open) && out->transaction == NULL) {
        fail("--abort and --leave-open need --transaction ID");
    }
}

static int hex_digit(char c)
{
    const char *digits = "0123456789abcdef";
    const char *at = c == '\0' ? NULL : strchr(digits, c | 0x20);
    return at == NULL ? -1 : (int)(at - digits);
}

/* Replaces the escapes of a field in place; a field only gets shorter. */
static void field_unescape(field *f, int64_t line)
{
    size_t out = 0;
    for (size_t in = 0; in < f->size_bytes; in++) {
        char c = f->bytes[in];
        if (c == '\\') {
            const char kind = in + 1 < f->size_bytes ? f->bytes[in + 1] : '\0';
            in++;
            if (kind == 't' || kind == 'n' || kind == 'r' || kind == '\\') {
                c = kind == 't' ? '\t' : kind == 'n' ? '\n' : kind == 'r' ? '\r' : '\\';
            } else if (kind == 'x' && in + 2 < f->size_bytes && hex_digit(f->bytes[in + 1]) >= 0 &&
                       hex_digit(f->bytes[in + 2]) >= 0) {
                c = (char)(hex_digit(f->bytes[in + 1]) * 16 + hex_digit(f->bytes[in + 2]));
                in += 2;
            } else {
                fail("line %lld: unknown escape", (long long)line);
            }
        }
        f->bytes[out++] = c;
    }
    f->size_bytes = out;
}

static field field_take(char **rest, size_t *rest_size, bool is_last, const feed *from)
{
    char *tab = is_last ? NULL : memchr(*rest, '\t', *rest_size);
    field f = {.bytes = *rest, .size_bytes = *rest_size};
    if (!is_last && tab == NULL) {
        fail("line %lld: a field is missing, lines are KEY\\tVALUE", (long long)from->line_count);
    }
    if (tab != NULL) {
        f.size_bytes = (size_t)(tab - *rest);
        *rest_size -= f.size_bytes + 1;
        *rest = tab + 1;
    }
    if (f.size_bytes == 2 && memcmp(f.bytes, "\\N", 2) == 0) {
        return (field){0};
    }
    if (from->options->escaped) {
        field_unescape(&f, from->line_count);
    }
    return f;
}

static rd_kafka_headers_t *headers_create(const options *o)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new((size_t)o->header_count);
    for (int i = 0; i < o->header_count; i++) {
        const char *equals = strchr(o->headers[i], '=');
        if (equals == NULL) {
            fail("header '%s' is not NAME=VALUE", o->headers[i]);
        }
        check(rd_kafka_header_add(headers, o->headers[i], equals - o->headers[i], equals + 1, -1),
              "header");
    }
    return headers;
}

static void feed_line(feed *from, char *line, size_t size_bytes)
{
    const options *o = from->options;
    int64_t time_ms = 0; /* 0: now, by librdkafka. */
    if (o->with_time) {
        const field time_field = field_take(&line, &size_bytes, false, from);
        if (time_field.bytes == NULL) {
            fail("line %lld: the time is null", (long long)from->line_count);
        }
        time_field.bytes[time_field.size_bytes] = '\0';
        time_ms = parse_number(time_field.bytes, 1, INT64_MAX);
    }
    const field key = field_take(&line, &size_bytes, false, from);
    const field value = field_take(&line, &size_bytes, true, from);
    rd_kafka_headers_t *headers = o->header_count > 0 ? headers_create(o) : NULL;
    for (;;) {
        /* A failed call has not taken the headers. */
        const rd_kafka_resp_err_t error = rd_kafka_producev(
            from->producer, RD_KAFKA_V_TOPIC(from->topic), RD_KAFKA_V_PARTITION(o->partition),
            RD_KAFKA_V_KEY(key.bytes, key.size_bytes),
            RD_KAFKA_V_VALUE(value.bytes, value.size_bytes), RD_KAFKA_V_TIMESTAMP(time_ms),
            RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END);
        if (error == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            rd_kafka_poll(from->producer, 100);
            continue;
        }
        check(error, "produce");
        break;
    }
}

static int run_produce(int count, char **words)
{
    options o;
    char *line = NULL;
    size_t capacity = 0;
    static const char *const plain[] = {"enable.idempotence",
                                        "true",
                                        "linger.ms",
                                        "5",
                                        "partitioner",
                                        "murmur2_random",
                                        "queue.buffering.max.messages",
                                        "1000000",
                                        NULL};
    options_parse(&o, count - 1, words + 1);
    feed from = {.topic = words[0], .options = &o};
    if (o.transaction != NULL) {
        from.producer = transaction_producer_create(o.transaction, &from);
    } else {
        from.producer = client_create(RD_KAFKA_PRODUCER, plain, &from);
    }
    partition_count_of(from.producer, words[0]);
    if (o.transaction != NULL) {
        check_error(rd_kafka_begin_transaction(from.producer), "begin_transaction");
    }
    for (ssize_t size = getline(&line, &capacity, stdin); size >= 0;
         size = getline(&line, &capacity, stdin)) {
        from.line_count++;
        size -= size > 0 && line[size - 1] == '\n' ? 1 : 0;
        line[size] = '\0';
        feed_line(&from, line, (size_t)size);
        rd_kafka_poll(from.producer, 0);
    }
    free(line);
    check(rd_kafka_flush(from.producer, ANSWER_MS_MAX), "flush");
    if (from.failed_count > 0) {
        fail("%lld of %lld records were not delivered", (long long)from.failed_count,
             (long long)from.line_count);
    }
    if (o.leave_open) {
        fflush(stdout);
        _exit(0); /* As a killed producer: the transaction ends by its timeout. */
    }
    if (o.transaction != NULL) {
        check_error(o.abort ? rd_kafka_abort_transaction(from.producer, ANSWER_MS_MAX)
                            : rd_kafka_commit_transaction(from.producer, ANSWER_MS_MAX),
                    "end of the transaction");
    }
    rd_kafka_destroy(from.producer);
    return 0;
}

static rd_kafka_t *reader_create(bool uncommitted, const char *group)
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
    return client_create(RD_KAFKA_CONSUMER, settings, NULL);
}

static void print_field(const void *bytes, size_t size_bytes, bool escaped)
{
    if (bytes == NULL) {
        fputs("\\N", stdout);
        return;
    }
    for (size_t i = 0; i < size_bytes; i++) {
        const unsigned char c = ((const unsigned char *)bytes)[i];
        if (!escaped || (c >= 0x20 && c < 0x7f && c != '\\')) {
            putchar(c);
        } else if (c == '\\') {
            fputs("\\\\", stdout);
        } else {
            printf("\\x%02x", c);
        }
    }
}

static void print_record(const rd_kafka_message_t *message, bool escaped)
{
    rd_kafka_timestamp_type_t kind;
    printf("%d\t%lld\t%lld\t", message->partition, (long long)message->offset,
           (long long)rd_kafka_message_timestamp(message, &kind));
    print_field(message->key, message->key_len, escaped);
    putchar('\t');
    print_field(message->payload, message->len, escaped);
    putchar('\n');
}

static int run_read(int count, char **words)
{
    options o;
    int64_t record_count = 0;
    options_parse(&o, count - 1, words + 1);
    rd_kafka_t *reader = reader_create(o.uncommitted, "kafka_tool.read");
    const int partition_count = partition_count_of(reader, words[0]);
    rd_kafka_topic_partition_list_t *all = rd_kafka_topic_partition_list_new(partition_count);
    for (int p = 0; p < partition_count; p++) {
        if (o.partition == RD_KAFKA_PARTITION_UA || o.partition == p) {
            rd_kafka_topic_partition_list_add(all, words[0], p)->offset = RD_KAFKA_OFFSET_BEGINNING;
        }
    }
    int open_count = all->cnt;
    check(rd_kafka_assign(reader, all), "assign");
    while (open_count > 0 && record_count != o.count_max) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(reader, ANSWER_MS_MAX);
        if (message == NULL) {
            fail("read %s: nothing within %d s", words[0], ANSWER_MS_MAX / 1000);
        }
        if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
            open_count--;
        } else {
            check(message->err, "read");
            print_record(message, o.escaped);
            record_count++;
        }
        rd_kafka_message_destroy(message);
    }
    rd_kafka_topic_partition_list_destroy(all);
    rd_kafka_consumer_close(reader);
    rd_kafka_destroy(reader);
    return 0;
}

static int run_ends(int count, char **words)
{
    options o;
    options_parse(&o, count - 1, words + 1);
    rd_kafka_t *reader = reader_create(o.uncommitted, "kafka_tool.ends");
    const int partition_count = partition_count_of(reader, words[0]);
    for (int p = 0; p < partition_count; p++) {
        int64_t first = 0;
        int64_t end = 0;
        check(rd_kafka_query_watermark_offsets(reader, words[0], p, &first, &end, ANSWER_MS_MAX),
              words[0]);
        printf("%d\t%lld\t%lld\n", p, (long long)first, (long long)end);
    }
    rd_kafka_destroy(reader);
    return 0;
}

static int run_truncate(int count, char **words)
{
    (void)count;
    rd_kafka_t *client = client_create(RD_KAFKA_PRODUCER, NULL, NULL);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_topic_partition_list_t *before = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(before, words[0],
                                      (int32_t)parse_number(words[1], 0, PARTITION_COUNT_MAX))
        ->offset = parse_number(words[2], 0, INT64_MAX);
    rd_kafka_DeleteRecords_t *request = rd_kafka_DeleteRecords_new(before);
    rd_kafka_DeleteRecords(client, &request, 1, NULL, queue);
    rd_kafka_event_t *answer = admin_answer(queue, "truncate");
    const rd_kafka_topic_partition_list_t *done =
        rd_kafka_DeleteRecords_result_offsets(rd_kafka_event_DeleteRecords_result(answer));
    check(done->elems[0].err, "truncate");
    rd_kafka_event_destroy(answer);
    rd_kafka_DeleteRecords_destroy(request);
    rd_kafka_topic_partition_list_destroy(before);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(client);
    return 0;
}

static int run_commit(int count, char **words)
{
    rd_kafka_t *member = reader_create(false, words[0]);
    rd_kafka_topic_partition_list_t *offsets = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *one = rd_kafka_topic_partition_list_add(
        offsets, words[1], (int32_t)parse_number(words[2], 0, PARTITION_COUNT_MAX));
    one->offset = parse_number(words[3], 0, INT64_MAX);
    if (count > 4) {
        one->metadata_size = strlen(words[4]);
        one->metadata = strdup(words[4]); /* The list takes it. */
    }
    check(rd_kafka_commit(member, offsets, 0), "commit");
    check(offsets->elems[0].err, "commit");
    rd_kafka_topic_partition_list_destroy(offsets);
    rd_kafka_destroy(member);
    return 0;
}

static int run_offsets(int count, char **words)
{
    (void)count;
    rd_kafka_t *member = reader_create(false, words[0]);
    const int partition_count = partition_count_of(member, words[1]);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partition_count);
    rd_kafka_topic_partition_list_add_range(list, words[1], 0, partition_count - 1);
    check(rd_kafka_committed(member, list, ANSWER_MS_MAX), "offsets");
    for (int i = 0; i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *one = &list->elems[i];
        check(one->err, "offsets");
        if (one->offset < 0) {
            printf("%d\t-\t\n", one->partition);
        } else {
            printf("%d\t%lld\t%.*s\n", one->partition, (long long)one->offset,
                   (int)one->metadata_size, one->metadata_size > 0 ? (char *)one->metadata : "");
        }
    }
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_destroy(member);
    return 0;
}

static int run_delete_group(int count, char **words)
{
    size_t result_count = 0;
    (void)count;
    rd_kafka_t *client = client_create(RD_KAFKA_PRODUCER, NULL, NULL);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_DeleteGroup_t *group = rd_kafka_DeleteGroup_new(words[0]);
    rd_kafka_DeleteGroups(client, &group, 1, NULL, queue);
    rd_kafka_event_t *answer = admin_answer(queue, "delete-group");
    const rd_kafka_group_result_t *const *results = rd_kafka_DeleteGroups_result_groups(
        rd_kafka_event_DeleteGroups_result(answer), &result_count);
    for (size_t i = 0; i < result_count; i++) {
        const rd_kafka_error_t *error = rd_kafka_group_result_error(results[i]);
        if (error != NULL && rd_kafka_error_code(error) != RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND) {
            fail("delete-group %s: %s", words[0], rd_kafka_error_string(error));
        }
    }
    rd_kafka_event_destroy(answer);
    rd_kafka_DeleteGroup_destroy(group);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(client);
    return 0;
}
