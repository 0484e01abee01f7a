/*
 * plan_sink.c - a sink as written becomes a node: topic, key, partitioner, headers, format.
 */
#include "engine/base/assert.h"
#include "engine/batch/batch.h"
#include "engine/expr/expr.h"
#include "engine/topology/topology_private.h"
#include <string.h>

enum { HEADERS_MAX = 64 };

static void test_keys(mr_load *load, const mr_item *item, bool is_kafka);
static void read_topic(mr_load *load, const mr_item *item, mr_sink_common *common);
static void read_delivery(mr_load *load, const mr_item *item, mr_sink_common *common);
static bool read_key(mr_load *load, const mr_item *item, const mr_schema *schema,
                     mr_sink_common *common);
static bool test_identity(mr_load *load, const mr_item *item, const mr_schema *schema,
                          const mr_sink_common *common);
static bool read_key_format(mr_load *load, const mr_item *item, const mr_schema *schema,
                            mr_sink_common *common);
static bool read_partitioner(mr_load *load, const mr_item *item, const mr_schema *schema,
                             mr_sink_common *common);
static bool read_headers(mr_load *load, const mr_item *item, const mr_schema *schema,
                         mr_sink_common *common);
static bool read_timestamp(mr_load *load, const mr_item *item, const mr_schema *schema,
                           mr_sink_common *common);
static bool read_format(mr_load *load, const mr_item *item, const mr_schema *schema,
                        mr_sink_common *common);
static const mr_schema *value_schema(mr_load *load, const mr_schema *schema, const char *format,
                                     const mr_sink_common *common);
static void resolve_route(mr_load *load, const mr_item *item, const mr_sink_common *common);
static void add_fallible(const mr_expr *expr, uint32_t *classes, const char **what);

void mr_plan_sink(mr_load *load, mr_item *item)
{
    const mr_sink_type *type = item->sink;
    const bool is_kafka = type->head.flags & MR_SINK_IN_TXN;
    const mr_item *input = item->input;
    mr_sink_common *common = mr_load_take(load, 1, sizeof(mr_sink_common));
    const mr_schema *schema = NULL;

    MR_ASSERT(item->map != NULL && item->node != NULL);
    if (common == NULL) {
        return;
    }
    *common = (mr_sink_common){.topic = MR_NO_INDEX, .partitioner = MR_PARTITION_SAME};
    item->node->common = common;
    item->node->sink = type;
    if (input != NULL && !input->is_broken && input->node != NULL) {
        schema = input->node->outputs[item->input_output].schema;
        item->node->input = schema;
        item->node->input_node = input->node->index;
        item->node->input_output = item->input_output;
    }
    test_keys(load, item, is_kafka);
    if (is_kafka) {
        read_topic(load, item, common);
    }
    read_delivery(load, item, common);
    bool good = mr_options_parse(load, item, schema, type->head.options, type->head.option_count,
                                 item->node->spec);
    item->is_broken = true;
    if (schema == NULL) {
        mr_routes_resolve(load, item, MR_FALLIBLE_RANGE, "");
        return;
    }
    good = (!is_kafka || read_key(load, item, schema, common)) && good;
    good = read_key_format(load, item, schema, common) && good;
    good = read_partitioner(load, item, schema, common) && good;
    good = read_timestamp(load, item, schema, common) && good;
    good = read_headers(load, item, schema, common) && good;
    good = read_format(load, item, schema, common) && good;
    resolve_route(load, item, common);
    item->is_broken = !good;
    if (good && type->head.plan != NULL) {
        mr_diag diag = {0};
        if (type->head.plan(item->node->spec, item->node, &diag) != MR_OK && diag.text[0] != '\0') {
            mr_load_diag(load, &diag, item->place);
        }
    }
}

static void test_keys(mr_load *load, const mr_item *item, bool is_kafka)
{
    static const mr_key_rule rules[] = {
        {"from", NULL, 0},
        {"kind", NULL, 0},
        {"delivery", NULL, 0},
        {"topic", NULL, MR_KEY_KAFKA | MR_KEY_REQUIRED},
        {"topic_from", "a sink writes one topic", 0},
        {"topics", "a sink writes one topic", 0},
        {"format", NULL, 0},
        {"schema_from", "columns are those of the stream", 0},
        {"key", NULL, MR_KEY_KAFKA},
        {"key_format", NULL, MR_KEY_KAFKA},
        {"partitioner", NULL, MR_KEY_KAFKA},
        {"timestamp", NULL, MR_KEY_KAFKA},
        {"headers", NULL, MR_KEY_KAFKA},
        {"numbers", NULL, 0},
        {"times", NULL, 0},
        {"create", NULL, MR_KEY_KAFKA},
        {"on_error", NULL, 0},
        {"description", NULL, 0},
        {"partition_by", "all rows go to one file", 0},
    };
    const mr_key_set set = {.what = mr_load_print(load, "sink \"%s\"", item->name),
                            .rules = rules,
                            .rule_count = MR_LENGTH(rules),
                            .options = item->sink->head.options,
                            .option_count = item->sink->head.option_count,
                            .not_kafka = is_kafka ? NULL : item->kind_name,
                            .place = item->place};
    mr_keys_test(load, item->map, &set);
}

static void read_topic(mr_load *load, const mr_item *item, mr_sink_common *common)
{
    const mr_yaml *node = mr_yaml_get(item->map, "topic");
    const char *what = mr_load_print(load, "sink \"%s\"", item->name);

    if (!mr_topic_kafka(load, item->place, what) || node == NULL) {
        return;
    }
    common->topic = mr_topic_add(load, node, "topic");
    if (common->topic == MR_NO_INDEX) {
        return;
    }
    load->topics[common->topic].is_output = true;
    mr_topic_create(load, mr_yaml_get(item->map, "create"), common->topic);
    if (load->topics[common->topic].source != MR_NO_INDEX) {
        mr_load_warning(load, node->place, 211, "write to another topic",
                        "sink \"%s\" writes the topic that source \"%s\" reads: rows go round",
                        item->name, load->nodes[load->topics[common->topic].source].name);
    }
}

/* Best effort must be written out: a file may repeat rows after a failure. */
static void read_delivery(mr_load *load, const mr_item *item, mr_sink_common *common)
{
    const mr_yaml *node = mr_yaml_get(item->map, "delivery");
    uint32_t choice = 0;

    common->delivery = load->plan->delivery;
    if (node != NULL) {
        if (!mr_value_choice(load, node, "delivery", "exactly_once|at_least_once", "best_effort",
                             &choice)) {
            return;
        }
        common->delivery = choice == 0 ? MR_EXACTLY_ONCE : MR_AT_LEAST_ONCE;
    }
    if ((item->sink->head.flags & MR_SINK_BEST_EFFORT) != 0 &&
        common->delivery == MR_EXACTLY_ONCE) {
        mr_load_error(load, node != NULL ? node->place : item->place, 702,
                      "add `delivery: at_least_once`",
                      "sink \"%s\" of kind %s cannot keep exactly_once: after a failure rows may "
                      "be written again",
                      item->name, item->kind_name);
    }
}

/* Default: the identity of an upsert stream, else the stream's key. */
static bool read_key(mr_load *load, const mr_item *item, const mr_schema *schema,
                     mr_sink_common *common)
{
    const mr_yaml *node = mr_yaml_get(item->map, "key");
    const bool is_upsert = schema->mode == MR_UPSERT;
    mr_columns columns = {.indexes = is_upsert ? schema->identity : schema->key,
                          .count = is_upsert ? schema->identity_count : schema->key_count};

    if (node != NULL && !mr_plan_columns(load, schema, node, "key", MR_KEY_FIELDS_MAX, &columns)) {
        return false;
    }
    for (uint32_t i = 0; i < columns.count; i++) {
        common->key[i] = columns.indexes[i];
    }
    common->key_count = columns.count;
    return !is_upsert || test_identity(load, item, schema, common);
}

static bool test_identity(mr_load *load, const mr_item *item, const mr_schema *schema,
                          const mr_sink_common *common)
{
    const mr_yaml *node = mr_yaml_get(item->map, "key");
    bool same = common->key_count == schema->identity_count;

    for (uint32_t i = 0; i < common->key_count && same; i++) {
        bool found = false;
        for (uint32_t k = 0; k < schema->identity_count; k++) {
            found = found || schema->identity[k] == common->key[i];
        }
        same = found;
    }
    if (!same) {
        const char *identity =
            mr_column_list(load, schema, schema->identity, schema->identity_count);
        mr_load_error(load, node != NULL ? node->place : item->place, 405,
                      mr_load_print(load, "use `key: [%s]`", identity),
                      "sink key (%s) is not the identity (%s)",
                      mr_column_list(load, schema, common->key, common->key_count), identity);
    }
    return same;
}

static bool read_key_format(mr_load *load, const mr_item *item, const mr_schema *schema,
                            mr_sink_common *common)
{
    static const char *const words[] = {"text", "json", "int32", "int64", "raw"};
    const mr_yaml *node = mr_yaml_get(item->map, "key_format");
    uint32_t choice = 0;

    for (uint32_t i = 0; i < common->key_count; i++) {
        if (schema->fields[common->key[i]].type == MR_JSONB) {
            mr_load_error(load, item->place, 409, "cast it to text in a map: `x: x::text`",
                          "column \"%s\" of the key is jsonb, which has no equality",
                          schema->fields[common->key[i]].name);
            return false;
        }
        if (schema->fields[common->key[i]].type == MR_INTERVAL) {
            mr_load_error(load, item->place, 409, "cast it to text in a map: `x: x::text`",
                          "column \"%s\" of the key is an interval, of which equal ones have "
                          "different texts",
                          schema->fields[common->key[i]].name);
            return false;
        }
    }
    if (node == NULL) {
        return true;
    }
    if (!mr_value_choice(load, node, "key_format", "text|json|int32|int64|raw", "avro", &choice)) {
        return false;
    }
    common->key_format = (mr_key_format)choice;
    if (common->key_format == MR_KEY_TEXT || common->key_format == MR_KEY_JSON ||
        common->key_count == 0) {
        return true;
    }
    const mr_type type = schema->fields[common->key[0]].type;
    const bool fits =
        common->key_format == MR_KEY_RAW ? type == MR_TEXT || type == MR_BYTEA : type == MR_BIGINT;
    if (common->key_count != 1 || !fits) {
        mr_load_error(load, node->place, 409, "key_format text or json takes any key",
                      "key_format %s needs one key column of type %s", words[common->key_format],
                      common->key_format == MR_KEY_RAW ? "text or bytea" : "bigint");
        return false;
    }
    return true;
}

static bool read_partitioner(mr_load *load, const mr_item *item, const mr_schema *schema,
                             mr_sink_common *common)
{
    static const mr_key_rule rules[] = {{"expr", NULL, MR_KEY_REQUIRED}};
    const mr_yaml *node = mr_yaml_get(item->map, "partitioner");
    uint32_t choice = 0;

    common->partitioner = common->key_count > 0 ? MR_PARTITION_MURMUR2 : MR_PARTITION_SAME;
    if (node == NULL) {
        return true;
    }
    if (node->kind == MR_YAML_MAP) {
        const mr_key_set set = {.what = "\"partitioner\"",
                                .rules = rules,
                                .rule_count = MR_LENGTH(rules),
                                .place = node->place};
        const mr_yaml *expr = mr_yaml_get(node, "expr");
        mr_keys_test(load, node, &set);
        common->partitioner = MR_PARTITION_EXPR;
        common->partition = expr == NULL ? NULL
                                         : mr_plan_typed_expr(load, item, schema, true, expr,
                                                              "partitioner", MR_BIGINT);
        return common->partition != NULL;
    }
    if (!mr_value_choice(load, node, "partitioner", "murmur2|same", NULL, &choice)) {
        return false;
    }
    common->partitioner = choice == 0 ? MR_PARTITION_MURMUR2 : MR_PARTITION_SAME;
    if (common->partitioner == MR_PARTITION_MURMUR2 && common->key_count == 0) {
        mr_load_error(load, node->place, 411, "give the sink a `key`, or use `partitioner: same`",
                      "murmur2 hashes the record key, and sink \"%s\" has none", item->name);
        return false;
    }
    return true;
}

/* `create`, or an expression; absent: event_time. */
static bool read_timestamp(mr_load *load, const mr_item *item, const mr_schema *schema,
                           mr_sink_common *common)
{
    const mr_yaml *node = mr_yaml_get(item->map, "timestamp");

    if (node == NULL) {
        return true;
    }
    if (node->kind == MR_YAML_SCALAR && strcmp(node->text, "create") == 0) {
        common->timestamp_create = true;
        return true;
    }
    if (node->kind == MR_YAML_SCALAR && strcmp(node->text, "event_time") == 0) {
        return true;
    }
    common->timestamp =
        mr_plan_typed_expr(load, item, schema, true, node, "timestamp", MR_TIMESTAMPTZ);
    return common->timestamp != NULL;
}

static bool read_headers(mr_load *load, const mr_item *item, const mr_schema *schema,
                         mr_sink_common *common)
{
    const mr_yaml *map = mr_yaml_get(item->map, "headers");
    bool good = true;

    if (map == NULL) {
        return true;
    }
    if (!mr_value_is_map(load, map, "headers")) {
        return false;
    }
    if (map->count > HEADERS_MAX) {
        mr_load_error(load, map->place, 209, NULL, "a sink sets at most %u headers",
                      (unsigned)HEADERS_MAX);
        return false;
    }
    mr_sink_header *headers = mr_load_take(load, map->count + 1, sizeof(mr_sink_header));
    if (headers == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < map->count; i++) {
        headers[i].name = map->pairs[i].key->text;
        headers[i].value = mr_plan_typed_expr(load, item, schema, true, map->pairs[i].value,
                                              headers[i].name, MR_TEXT);
        good = headers[i].value != NULL && good;
    }
    common->headers = headers;
    common->header_count = good ? map->count : 0;
    return good;
}

static bool read_format(mr_load *load, const mr_item *item, const mr_schema *schema,
                        mr_sink_common *common)
{
    const mr_yaml *format = mr_yaml_get(item->map, "format");
    const mr_yaml *numbers = mr_yaml_get(item->map, "numbers");
    const mr_yaml *times = mr_yaml_get(item->map, "times");
    static const char *const number_words[] = {"number", "string"};
    static const char *const time_words[] = {"iso", "epoch_ms", "epoch_us"};
    uint32_t number = 0, time = 0;
    mr_diag diag = {0};
    const mr_format_entry *entry = mr_plan_format(load, item, "json");

    if (entry == NULL ||
        (numbers != NULL &&
         !mr_value_choice(load, numbers, "numbers", "number|string", NULL, &number)) ||
        (times != NULL &&
         !mr_value_choice(load, times, "times", "iso|epoch_ms|epoch_us", NULL, &time))) {
        return false;
    }
    const mr_schema *written = value_schema(load, schema, entry->name, common);
    if (written == NULL) {
        return false;
    }
    item->node->input = written;
    common->format = entry->type;
    if (entry->plan_write(load->arena, written, numbers != NULL ? number_words[number] : NULL,
                          times != NULL ? time_words[time] : NULL, &common->format_spec,
                          &diag) != MR_OK) {
        diag.code = diag.code != 0 ? diag.code : 407;
        mr_load_diag(load, &diag, format != NULL ? format->place : item->place);
        return false;
    }
    return true;
}

/*
 * What the sink reads, for its writer. In a raw record the key columns stand in the record key
 * only, unless there is no other column: hidden for the writer, they keep their numbers.
 */
static const mr_schema *value_schema(mr_load *load, const mr_schema *schema, const char *format,
                                     const mr_sink_common *common)
{
    uint32_t visible = 0;

    for (uint32_t i = 0; i < schema->field_count; i++) {
        visible += schema->fields[i].hidden ? 0 : 1;
    }
    if (strcmp(format, "raw") != 0 || common->key_count == 0 || visible <= common->key_count) {
        return schema;
    }
    mr_schema *copy = mr_schema_copy(load->arena, schema);
    mr_field *fields = mr_load_take(load, schema->field_count, sizeof(mr_field));
    if (copy == NULL || fields == NULL) {
        load->no_memory = true;
        return NULL;
    }
    memcpy(fields, schema->fields, schema->field_count * sizeof(mr_field));
    for (uint32_t i = 0; i < common->key_count; i++) {
        fields[common->key[i]].hidden = true;
    }
    copy->fields = fields;
    return copy;
}

/* A row too large for the topic is of class range; a failing expression of its own class. */
static void resolve_route(mr_load *load, const mr_item *item, const mr_sink_common *common)
{
    uint32_t classes = MR_FALLIBLE_RANGE;
    const char *what = NULL;

    add_fallible(common->timestamp, &classes, &what);
    add_fallible(common->partition, &classes, &what);
    for (uint32_t i = 0; i < common->header_count; i++) {
        add_fallible(common->headers[i].value, &classes, &what);
    }
    mr_routes_resolve(
        load, item, classes,
        mr_load_print(load, "%s in sink \"%s\"", what != NULL ? what : "a row", item->name));
}

static void add_fallible(const mr_expr *expr, uint32_t *classes, const char **what)
{
    const char *said = NULL;

    if (expr == NULL) {
        return;
    }
    const uint32_t found = mr_expr_fallible(expr, &said);
    *classes |= found;
    if ((found & MR_FALLIBLE_DATA) != 0 && *what == NULL) {
        *what = said;
    }
}
