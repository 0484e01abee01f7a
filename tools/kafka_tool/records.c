/*
 * records.c - records into a topic and out of it, a line each.
 */
#define _GNU_SOURCE
#include "tools/kafka_tool/tool.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct field {
    char *bytes; /* NULL: null. Borrows the line. */
    size_t size_bytes;
} field;

/* Reads the words after the topic's name; an unknown one, or one without its value, ends the run.
 */
void mr_tool_options_parse(mr_tool_options *out, int count, char **words)
{
    *out = (mr_tool_options){.partition = RD_KAFKA_PARTITION_UA, .count_max = -1};
    for (int i = 0; i < count; i++) {
        const char *value = i + 1 < count ? words[i + 1] : NULL;
        bool takes_value = true;
        if (strcmp(words[i], "--partition") == 0 && value != NULL) {
            out->partition = (int32_t)mr_tool_parse_number(value, 0, PARTITION_COUNT_MAX);
        } else if (strcmp(words[i], "--count") == 0 && value != NULL) {
            out->count_max = mr_tool_parse_number(value, 0, INT64_MAX);
        } else if (strcmp(words[i], "--transaction") == 0 && value != NULL) {
            out->transaction = value;
        } else if (strcmp(words[i], "--header") == 0 && value != NULL) {
            if (out->header_count == HEADER_COUNT_MAX) {
                mr_tool_fail("more than %d headers", HEADER_COUNT_MAX);
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
                mr_tool_fail("'%s' is no option, or its value is missing", words[i]);
            }
        }
        i += takes_value ? 1 : 0;
    }
    if ((out->abort || out->leave_open) && out->transaction == NULL) {
        mr_tool_fail("--abort and --leave-open need --transaction ID");
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
                mr_tool_fail("line %lld: unknown escape", (long long)line);
            }
        }
        f->bytes[out++] = c;
    }
    f->size_bytes = out;
}

static field field_take(char **rest, size_t *rest_size, bool is_last, const mr_tool_feed *from)
{
    char *tab = is_last ? NULL : memchr(*rest, '\t', *rest_size);
    field f = {.bytes = *rest, .size_bytes = *rest_size};
    if (!is_last && tab == NULL) {
        mr_tool_fail("line %lld: a field is missing, lines are KEY\\tVALUE",
                     (long long)from->line_count);
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

static rd_kafka_headers_t *headers_create(const mr_tool_options *o)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new((size_t)o->header_count);
    for (int i = 0; i < o->header_count; i++) {
        const char *equals = strchr(o->headers[i], '=');
        if (equals == NULL) {
            mr_tool_fail("header '%s' is not NAME=VALUE", o->headers[i]);
        }
        mr_tool_check(
            rd_kafka_header_add(headers, o->headers[i], equals - o->headers[i], equals + 1, -1),
            "header");
    }
    return headers;
}

static void feed_line(mr_tool_feed *from, char *line, size_t size_bytes)
{
    const mr_tool_options *o = from->options;
    int64_t time_ms = 0; /* 0: now, by librdkafka. */
    if (o->with_time) {
        const field time_field = field_take(&line, &size_bytes, false, from);
        if (time_field.bytes == NULL) {
            mr_tool_fail("line %lld: the time is null", (long long)from->line_count);
        }
        time_field.bytes[time_field.size_bytes] = '\0';
        time_ms = mr_tool_parse_number(time_field.bytes, 1, INT64_MAX);
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
        mr_tool_check(error, "produce");
        break;
    }
}

int mr_tool_produce(int count, char **words)
{
    mr_tool_options o;
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
    mr_tool_options_parse(&o, count - 1, words + 1);
    mr_tool_feed from = {.topic = words[0], .options = &o};
    if (o.transaction != NULL) {
        from.producer = mr_tool_transaction_producer_create(o.transaction, &from);
    } else {
        from.producer = mr_tool_client_create(RD_KAFKA_PRODUCER, plain, &from);
    }
    mr_tool_partition_count_of(from.producer, words[0]);
    if (o.transaction != NULL) {
        mr_tool_check_error(rd_kafka_begin_transaction(from.producer), "begin_transaction");
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
    mr_tool_check(rd_kafka_flush(from.producer, ANSWER_MS_MAX), "flush");
    if (from.failed_count > 0) {
        mr_tool_fail("%lld of %lld records were not delivered", (long long)from.failed_count,
                     (long long)from.line_count);
    }
    if (o.leave_open) {
        fflush(stdout);
        _exit(0); /* As a killed producer: the transaction ends by its timeout. */
    }
    if (o.transaction != NULL) {
        mr_tool_check_error(o.abort ? rd_kafka_abort_transaction(from.producer, ANSWER_MS_MAX)
                                    : rd_kafka_commit_transaction(from.producer, ANSWER_MS_MAX),
                            "end of the transaction");
    }
    rd_kafka_destroy(from.producer);
    return 0;
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

int mr_tool_read(int count, char **words)
{
    mr_tool_options o;
    int64_t record_count = 0;
    mr_tool_options_parse(&o, count - 1, words + 1);
    rd_kafka_t *reader = mr_tool_reader_create(o.uncommitted, "kafka_tool.read");
    const int partition_count = mr_tool_partition_count_of(reader, words[0]);
    rd_kafka_topic_partition_list_t *all = rd_kafka_topic_partition_list_new(partition_count);
    for (int p = 0; p < partition_count; p++) {
        if (o.partition == RD_KAFKA_PARTITION_UA || o.partition == p) {
            rd_kafka_topic_partition_list_add(all, words[0], p)->offset = RD_KAFKA_OFFSET_BEGINNING;
        }
    }
    int open_count = all->cnt;
    mr_tool_check(rd_kafka_assign(reader, all), "assign");
    while (open_count > 0 && record_count != o.count_max) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(reader, ANSWER_MS_MAX);
        if (message == NULL) {
            mr_tool_fail("read %s: nothing within %d s", words[0], ANSWER_MS_MAX / 1000);
        }
        if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
            open_count--;
        } else {
            mr_tool_check(message->err, "read");
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
