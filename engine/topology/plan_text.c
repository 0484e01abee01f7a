/*
 * plan_text.c - a plan in words, for `millrace explain FILE`.
 *
 * Lines are at most about 100 characters; long lists go on below their first word. What is said
 * about guarantees is the contract of the engine, printed with the plan it holds for.
 */
#include "engine/base/assert.h"
#include "engine/base/secret.h"
#include "engine/batch/batch.h"
#include "engine/topology/topology_private.h"
#include <stdio.h>
#include <string.h>

enum { LINE_MAX = 512, WIDTH = 98, LABEL = 15 };

typedef struct writer {
    void (*line)(void *self, const char *text);
    void *self;
    char text[LINE_MAX];
    uint32_t size;
} writer;

static void put(writer *w, const char *format, ...) MR_PRINTF(2, 3);
static void label(writer *w, const char *name);
static void label_inside(writer *w, const char *name);
static void item(writer *w, bool is_first, const char *text);
static void end_line(writer *w);
static void node_lines(writer *w, const mr_plan *plan, const mr_plan_node *node);
static void source_lines(writer *w, const mr_plan *plan, const mr_plan_node *node);
static void step_lines(writer *w, const mr_plan *plan, const mr_plan_node *node);
static void sink_lines(writer *w, const mr_plan *plan, const mr_plan_node *node);
static void stream_words(writer *w, const mr_schema *schema);
static void columns_named(writer *w, const mr_schema *schema, const uint16_t *columns,
                          uint32_t count);
static void columns_line(writer *w, const char *name, const mr_schema *schema);
static void unread_line(writer *w, const mr_source_common *common);
static void table_lines(writer *w, const mr_plan_node *node);
static void errors_line(writer *w, const mr_plan *plan, const mr_plan_node *node);
static void guarantee_lines(writer *w, const mr_plan *plan);
static void security_line(writer *w, const mr_plan *plan);
static void settings_lines(writer *w, const mr_plan *plan);
static void commit_lines(writer *w, const mr_plan *plan);

void mr_plan_explain(const mr_plan *plan, void (*line)(void *self, const char *text), void *self)
{
    writer w = {.line = line, .self = self};

    MR_ASSERT(plan != NULL && line != NULL);
    label(&w, "app");
    put(&w, "%s", plan->app);
    end_line(&w);
    for (uint32_t i = 0; i < plan->node_count; i++) {
        node_lines(&w, plan, &plan->nodes[i]);
    }
    settings_lines(&w, plan);
    guarantee_lines(&w, plan);
}

static void node_lines(writer *w, const mr_plan *plan, const mr_plan_node *node)
{
    switch (node->kind) {
    case MR_NODE_SOURCE:
        source_lines(w, plan, node);
        break;
    case MR_NODE_STEP:
        step_lines(w, plan, node);
        break;
    case MR_NODE_SINK:
        sink_lines(w, plan, node);
        break;
    }
}

static void source_lines(writer *w, const mr_plan *plan, const mr_plan_node *node)
{
    const mr_source_common *common = node->common;

    label(w, node->name);
    put(w, "source %s", node->source->head.name);
    if (common->topic != MR_NO_INDEX) {
        put(w, " topic %s", plan->topics[common->topic].name);
    }
    stream_words(w, common->schema);
    put(w, "%s", common->bounded ? "  bounded" : "");
    end_line(w);
    columns_line(w, "out", common->schema);
    unread_line(w, common);
    label_inside(w, "event time");
    put(w, "%s", common->event_time != NULL ? "as the file says" : "meta.timestamp");
    end_line(w);
    errors_line(w, plan, node);
}

static void step_lines(writer *w, const mr_plan *plan, const mr_plan_node *node)
{
    label(w, node->name);
    put(w, "%s", node->op->name);
    put(w, "  in %s", plan->nodes[node->input_node].outputs[node->input_output].name);
    stream_words(w, node->outputs[0].schema);
    end_line(w);
    table_lines(w, node);
    for (uint32_t i = 0; i < node->output_count; i++) {
        const bool is_errors = node->on_error.kind == MR_ROUTE_OUTPUT && node->on_error.output == i;
        columns_line(w,
                     i == 0      ? "out"
                     : is_errors ? "error rows"
                                 : node->op->output_names[i],
                     node->outputs[i].schema);
    }
    if (node->outputs[0].wants_old) {
        label_inside(w, "changes");
        put(w, "with old rows, as a row may stop passing behind this step");
        end_line(w);
    }
    errors_line(w, plan, node);
}

static void sink_lines(writer *w, const mr_plan *plan, const mr_plan_node *node)
{
    static const char *const formats[] = {"text", "json", "int32", "int64", "raw"};
    static const char *const partitioners[] = {"murmur2", "the task's own number", "an expression"};
    const mr_sink_common *common = node->common;

    label(w, node->name);
    put(w, "sink %s", node->sink->head.name);
    if (common->topic != MR_NO_INDEX) {
        put(w, " topic %s", plan->topics[common->topic].name);
    }
    put(w, "  in %s", plan->nodes[node->input_node].outputs[node->input_output].name);
    end_line(w);
    if (common->topic != MR_NO_INDEX) {
        label_inside(w, "record");
        if (common->key_count > 0) {
            put(w, "key ");
            columns_named(w, node->input, common->key, common->key_count);
            put(w, " as %s, ", formats[common->key_format]);
        } else {
            put(w, "no key, ");
        }
        put(w, "partition by %s, timestamp %s", partitioners[common->partitioner],
            common->timestamp_create    ? "of writing"
            : common->timestamp != NULL ? "as the file says"
                                        : "event_time");
        end_line(w);
    }
    if (node->input->mode == MR_UPSERT) {
        label_inside(w, "rows");
        put(w, "%s",
            common->topic != MR_NO_INDEX
                ? "each change of an identity; a deleted one is a null value"
                : "each change of an identity");
        end_line(w);
    }
    errors_line(w, plan, node);
}

static void stream_words(writer *w, const mr_schema *schema)
{
    if (schema->mode == MR_UPSERT) {
        put(w, "  upsert  identity ");
        columns_named(w, schema, schema->identity, schema->identity_count);
    } else {
        put(w, "  append");
    }
    if (schema->key_count > 0) {
        put(w, "  key ");
        columns_named(w, schema, schema->key, schema->key_count);
    } else {
        put(w, "  no key");
    }
}

static void columns_named(writer *w, const mr_schema *schema, const uint16_t *columns,
                          uint32_t count)
{
    put(w, "(");
    for (uint32_t i = 0; i < count; i++) {
        put(w, "%s%s", i > 0 ? ", " : "", schema->fields[columns[i]].name);
    }
    put(w, ")");
}

static void columns_line(writer *w, const char *name, const mr_schema *schema)
{
    char type[MR_TYPE_TEXT_MAX], text[MR_NAME_BYTES_MAX + MR_TYPE_TEXT_MAX + 16];
    bool is_first = true;

    label_inside(w, name);
    for (uint32_t i = 0; i < schema->field_count; i++) {
        const mr_field *field = &schema->fields[i];
        if (field->hidden) {
            continue;
        }
        (void)snprintf(text, sizeof(text), "%s %s%s", field->name, mr_type_text(field, type),
                       field->nullable ? "" : " not null");
        item(w, is_first, text);
        is_first = false;
    }
    end_line(w);
}

/* Columns of the file that nothing reads, and the hidden ones that something does. */
static void unread_line(writer *w, const mr_source_common *common)
{
    for (uint32_t hidden = 0; hidden < 2; hidden++) {
        bool is_first = true;
        for (uint32_t i = 0; i < common->schema->field_count; i++) {
            const mr_field *field = &common->schema->fields[i];
            if (field->hidden != (hidden == 1) || common->fields[i].needed != (hidden == 1)) {
                continue;
            }
            if (is_first) {
                label_inside(w, hidden == 1 ? "also read" : "not decoded");
            }
            item(w, is_first, field->name);
            is_first = false;
        }
        if (!is_first) {
            end_line(w);
        }
    }
}

static void table_lines(writer *w, const mr_plan_node *node)
{
    for (uint32_t i = 0; i < node->table_count; i++) {
        const mr_schema *key = node->table_keys[i], *value = node->table_values[i];
        label_inside(w, "state");
        put(w, "%s, by (", node->table_names[i]);
        for (uint32_t k = 0; k < key->field_count; k++) {
            put(w, "%s%s", k > 0 ? ", " : "", key->fields[k].name);
        }
        put(w, ")");
        for (uint32_t k = 0; value != NULL && k < value->field_count; k++) {
            put(w, "%s", k == 0 ? ":" : "");
            item(w, k == 0, value->fields[k].name);
        }
        end_line(w);
    }
}

static void errors_line(writer *w, const mr_plan *plan, const mr_plan_node *node)
{
    label_inside(w, "errors");
    if (!node->on_error.is_needed) {
        put(w, "none: it cannot fail");
        end_line(w);
        return;
    }
    switch (node->on_error.kind) {
    case MR_ROUTE_STOP:
        put(w, "stop the worker");
        break;
    case MR_ROUTE_DROP:
        put(w, "rows are dropped and counted");
        break;
    case MR_ROUTE_DLQ:
        put(w, "rows go to dlq %s, topic %s", plan->dlqs[node->on_error.dlq].name,
            plan->topics[plan->dlqs[node->on_error.dlq].topic].name);
        if (plan->dlqs[node->on_error.dlq].stop_records > 0) {
            put(w, "; more than %llu in %lld s stop the worker",
                (unsigned long long)plan->dlqs[node->on_error.dlq].stop_records,
                (long long)(plan->dlqs[node->on_error.dlq].stop_per_us / 1000000));
        }
        break;
    case MR_ROUTE_OUTPUT:
        put(w, "rows go to %s", node->outputs[node->on_error.output].name);
        break;
    }
    end_line(w);
}

/* How the clients speak to the brokers, where that is not the default; of secrets the names. */
static void security_line(writer *w, const mr_plan *plan)
{
    char text[MR_SECRET_TEXT_MAX];
    const bool has_sasl = plan->sasl.mechanism != NULL;

    if (!plan->tls.is_on && !has_sasl) {
        return;
    }
    label(w, "kafka");
    put(w, "%s", plan->tls.is_on ? "TLS" : "");
    if (plan->tls.ca != NULL) {
        put(w, ", authority %s", plan->tls.ca);
    }
    if (plan->tls.cert != NULL) {
        put(w, ", certificate %s", plan->tls.cert);
    }
    if (plan->tls.is_on && plan->tls.key_password != MR_NO_INDEX) {
        put(w, ", key's password %s",
            mr_secret_text(plan->secrets[plan->tls.key_password].name, text));
    }
    if (has_sasl) {
        put(w, "%s%s as %s, password %s", plan->tls.is_on ? "; " : "", plan->sasl.mechanism,
            plan->sasl.username, mr_secret_text(plan->secrets[plan->sasl.password].name, text));
    }
    end_line(w);
}

/* What closes an epoch, whichever comes first. */
static void commit_lines(writer *w, const mr_plan *plan)
{
    char text[MR_SIZE_TEXT_MAX + 64], size[MR_SIZE_TEXT_MAX];

    put(w, "every %lld ms", (long long)(plan->commit.interval_us / 1000));
    (void)snprintf(text, sizeof(text), "or %llu records", (unsigned long long)plan->commit.records);
    item(w, false, text);
    (void)snprintf(text, sizeof(text), "or %s of changed state",
                   mr_size_text(plan->commit.dirty_state_bytes, size));
    item(w, false, text);
    (void)snprintf(text, sizeof(text), "or %s of output (at most 80 %% of an arena)",
                   mr_size_text(plan->commit.output_bytes, size));
    item(w, false, text);
    end_line(w);
    label_inside(w, "timeout");
    put(w, "%lld ms, then the brokers give up a transaction whose worker is silent",
        (long long)(plan->commit.transaction_timeout_us / 1000));
    end_line(w);
}

static void settings_lines(writer *w, const mr_plan *plan)
{
    label(w, "commit");
    if (!plan->has_kafka) {
        put(w, "none: without Kafka a run starts empty, at the beginning");
        end_line(w);
        return;
    }
    commit_lines(w, plan);
    security_line(w, plan);
    label(w, "poison");
    put(w, "after %u failures at the same offsets the record is found and ", plan->poison.after);
    if (plan->poison.has_dlq) {
        put(w, "goes to dlq %s, topic %s", plan->dlqs[plan->poison.dlq].name,
            plan->topics[plan->dlqs[plan->poison.dlq].topic].name);
    } else {
        put(w, "stops the worker");
    }
    end_line(w);
    label(w, "state");
    put(w, "%s",
        plan->is_stateful ? "on this machine's disk; a lost disk is lost state"
                          : "none but the committed offsets");
    end_line(w);
}

static void guarantee_lines(writer *w, const mr_plan *plan)
{
    static const char contract[] =
        "For every input record below the group's committed offset, its effects on read_committed "
        "output topics and on state are present exactly once, in key order. For every record at "
        "or above it, none are visible. This holds under any mix of process kill, pause, power "
        "loss and broker loss, while brokers keep what they acknowledged with acks=all. Where it "
        "cannot be kept, the worker stops with a named error instead of guessing.";
    char word[64];
    bool is_first = true;

    for (uint32_t round = 0; round < 2; round++) {
        const bool in_txn = round == 0;
        is_first = true;
        for (uint32_t i = 0; i < plan->node_count; i++) {
            const mr_plan_node *node = &plan->nodes[i];
            if (node->kind != MR_NODE_SINK ||
                ((node->sink->head.flags & MR_SINK_IN_TXN) != 0) != in_txn) {
                continue;
            }
            if (is_first) {
                label(w, in_txn ? "exactly once" : "at least once");
            }
            item(w, is_first, node->name);
            is_first = false;
        }
        for (uint32_t i = 0; in_txn && i < plan->dlq_count; i++) {
            if (is_first) {
                label(w, "exactly once");
            }
            (void)snprintf(word, sizeof(word), "dlq %.50s", plan->dlqs[i].name);
            item(w, is_first, word);
            is_first = false;
        }
        if (!is_first) {
            end_line(w);
        }
    }
    if (!plan->has_kafka) {
        return;
    }
    label(w, "contract");
    is_first = true;
    for (const char *at = contract; *at != '\0';) {
        const size_t size = strcspn(at, " ");
        if (w->size + size + 1 > WIDTH) {
            end_line(w);
            put(w, "%*s", LABEL, "");
            is_first = true;
        }
        put(w, "%s%.*s", is_first ? "" : " ", (int)size, at);
        is_first = false;
        at += size + (at[size] == ' ');
    }
    end_line(w);
}

/* Appends to the line; what does not fit is cut, which long names alone can cause. */
static void put(writer *w, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    const int size = vsnprintf(w->text + w->size, LINE_MAX - w->size, format, arguments);
    va_end(arguments);
    MR_ASSERT(size >= 0);
    w->size += (uint32_t)size;
    if (w->size >= LINE_MAX) {
        w->size = LINE_MAX - 1;
    }
}

static void label(writer *w, const char *name)
{
    MR_ASSERT(w->size == 0);
    put(w, "%-*s ", LABEL - 1, name);
}

static void label_inside(writer *w, const char *name)
{
    MR_ASSERT(w->size == 0);
    put(w, "  %-*s ", LABEL - 3, name);
}

/* One of a list, on a new line when this one is full. */
static void item(writer *w, bool is_first, const char *text)
{
    put(w, "%s", is_first ? "" : ",");
    if (!is_first && w->size + strlen(text) + 2 > WIDTH) {
        end_line(w);
        put(w, "%*s%s", LABEL, "", text);
        return;
    }
    put(w, "%s%s", w->size > LABEL || !is_first ? " " : "", text);
}

static void end_line(writer *w)
{
    uint32_t size = w->size;

    while (size > 0 && w->text[size - 1] == ' ') {
        size--;
    }
    w->text[size] = '\0';
    w->line(w->self, w->text);
    w->size = 0;
    w->text[0] = '\0';
}
