/*
 * plan_source.c - a source as written becomes a node: columns, key, times, the type's own options.
 */
#include "engine/base/assert.h"
#include "engine/base/time_text.h"
#include "engine/expr/expr.h"
#include "engine/topology/topology_private.h"
#include <string.h>

static const char *formats_hint(mr_load *load);
static void test_keys(mr_load *load, const mr_item *item, bool is_kafka);
static void read_topic(mr_load *load, const mr_item *item, mr_source_common *common);
static bool read_key(mr_load *load, const mr_item *item, mr_schema *schema);
static bool read_words(mr_load *load, const mr_item *item, bool is_kafka, mr_source_common *common);
static bool read_key_words(mr_load *load, const mr_item *item, mr_source_common *common);
static bool test_record_key(mr_load *load, const mr_item *item, const mr_schema *schema,
                            const mr_field_spec *specs, const mr_source_common *common);
static bool read_start(mr_load *load, const mr_yaml *node, int64_t *start_us);
static bool read_columns(mr_load *load, const mr_item *item, mr_schema *schema,
                         const mr_field_spec *specs, mr_source_common *common);
static void test_watermark(mr_load *load, const mr_yaml *node);
static bool test_pass(mr_load *load, const mr_yaml *node, const mr_schema *schema,
                      const mr_source_common *common);

void mr_plan_source(mr_load *load, mr_item *item)
{
    const mr_source_type *type = item->source;
    const bool is_kafka = type->head.flags & MR_SOURCE_KAFKA;
    mr_source_common *common = mr_load_take(load, 1, sizeof(mr_source_common));

    MR_ASSERT(item->map != NULL && item->node != NULL);
    if (common == NULL) {
        return;
    }
    *common = (mr_source_common){.topic = MR_NO_INDEX, .start_us = MR_START_EARLIEST};
    item->node->common = common;
    item->node->source = type;
    test_keys(load, item, is_kafka);
    if (is_kafka) {
        read_topic(load, item, common);
    } else if (load->kafka != NULL && item->is_used) {
        mr_load_error(load, item->place, 109, "leave \"kafka\" out, or read a topic",
                      "a source of kind %s beside \"kafka\" is known, but not part of this "
                      "release: its position would not be committed",
                      item->kind_name);
    }
    bool good = mr_plan_format(load, item, NULL) != NULL;
    good = read_words(load, item, is_kafka, common) && good;
    mr_schema *schema = mr_fields_read(load, item, is_kafka, common);
    if (schema != NULL) {
        good = read_columns(load, item, schema, common->fields, common) && good;
        common->schema = schema;
        mr_plan_set_output(item->node, 0, schema, false);
    }
    good = mr_options_parse(load, item, schema, type->head.options, type->head.option_count,
                            item->node->spec) &&
           good;
    item->is_broken = schema == NULL;
    mr_routes_resolve(load, item, MR_FALLIBLE_DATA,
                      mr_load_print(load, "decoding of source \"%s\"", item->name));
    if (good && !item->is_broken && type->head.plan != NULL) {
        mr_diag diag = {0};
        if (type->head.plan(item->node->spec, item->node, &diag) != MR_OK && diag.text[0] != '\0') {
            mr_load_diag(load, &diag, item->place);
        }
    }
}

void mr_plan_source_format(mr_load *load, mr_item *item)
{
    mr_source_common *common = (mr_source_common *)(uintptr_t)item->node->common;
    const mr_format_entry *entry = mr_plan_format(load, item, NULL);
    mr_diag diag = {0};

    if (entry == NULL || common == NULL || common->schema == NULL) {
        return;
    }
    common->format = entry->type;
    if (entry->plan_read(load->arena, common->schema, common->fields, &common->format_spec,
                         &diag) != MR_OK) {
        diag.code = diag.code != 0 ? diag.code : 407;
        mr_load_diag(load, &diag, mr_yaml_get(item->map, "format")->place);
    }
}

/* "formats: json, raw": those that work. */
static const char *formats_hint(mr_load *load)
{
    const char *text = "formats:";
    uint32_t count = 0;

    for (uint32_t i = 0; i < load->catalogue->format_count; i++) {
        const mr_format_entry *entry = &load->catalogue->formats[i];
        if (entry->refused == NULL) {
            text = mr_load_print(load, "%s%s %s", text, count++ > 0 ? "," : "", entry->name);
        }
    }
    return text;
}

const mr_format_entry *mr_plan_format(mr_load *load, const mr_item *item, const char *fallback)
{
    const mr_yaml *node = mr_yaml_get(item->map, "format");
    const mr_place place = node != NULL ? node->place : item->place;
    const char *name = fallback;

    if (node == NULL && fallback == NULL) {
        mr_load_error(load, item->place, 104, "e.g. `format: json`", "%s \"%s\" needs \"format\"",
                      item->kind == MR_ITEM_SOURCE ? "source" : "sink", item->name);
        return NULL;
    }
    if (node != NULL && !mr_value_text(load, node, "format", &name)) {
        return NULL;
    }
    mr_nearest nearest = {.word = name};
    for (uint32_t i = 0; i < load->catalogue->format_count; i++) {
        const mr_format_entry *entry = &load->catalogue->formats[i];
        mr_nearest_try(&nearest, entry->name);
        if (strcmp(entry->name, name) != 0) {
            continue;
        }
        if (entry->refused != NULL) {
            mr_load_error(load, place, 109, NULL, "format \"%s\": %s", name, entry->refused);
            return NULL;
        }
        return entry;
    }
    const char *near = mr_nearest_hint(load, &nearest);
    mr_load_error(load, place, 208, near != NULL ? near : formats_hint(load),
                  "there is no format \"%s\"", name);
    return NULL;
}

static void test_keys(mr_load *load, const mr_item *item, bool is_kafka)
{
    static const mr_key_rule rules[] = {
        {"kind", NULL, 0},
        {"topic", NULL, MR_KEY_KAFKA | MR_KEY_REQUIRED},
        {"format", NULL, 0},
        {"schema", NULL, 0},
        {"schema_from", "columns are written down in \"schema\"", 0},
        {"mode", NULL, 0},
        {"key", NULL, 0},
        {"key_format", NULL, MR_KEY_KAFKA},
        {"partitioner", NULL, MR_KEY_KAFKA},
        {"event_time", NULL, 0},
        {"watermark", NULL, 0},
        {"start", NULL, MR_KEY_KAFKA},
        {"bounded", NULL, 0},
        {"tombstones", NULL, MR_KEY_KAFKA},
        {"on_error", NULL, 0},
        {"description", NULL, 0},
        {"delivery", "no source of this release needs it", 0},
        {"follow", "a file is read up to its end", 0},
    };
    const mr_key_set set = {.what = mr_load_print(load, "source \"%s\"", item->name),
                            .rules = rules,
                            .rule_count = MR_LENGTH(rules),
                            .options = item->source->head.options,
                            .option_count = item->source->head.option_count,
                            .not_kafka = is_kafka ? NULL : item->kind_name,
                            .place = item->place};
    mr_keys_test(load, item->map, &set);
}

/* A topic is read once: Kafka keeps one offset for each topic, partition and app. */
static void read_topic(mr_load *load, const mr_item *item, mr_source_common *common)
{
    const mr_yaml *node = mr_yaml_get(item->map, "topic");
    const char *what = mr_load_print(load, "source \"%s\"", item->name);

    if (!item->is_used || !mr_topic_kafka(load, item->place, what) || node == NULL) {
        return; /* The topic of an unused source is none of the plan's. */
    }
    common->topic = mr_topic_add(load, node, "topic");
    if (common->topic == MR_NO_INDEX) {
        return;
    }
    mr_plan_topic *topic = &load->topics[common->topic];
    if (topic->source != MR_NO_INDEX) {
        mr_load_error(load, node->place, 210, "read both from one source",
                      "source \"%s\" reads topic %s already", load->nodes[topic->source].name,
                      topic->name);
        return;
    }
    topic->source = item->node->index;
}

static bool read_key(mr_load *load, const mr_item *item, mr_schema *schema)
{
    const mr_yaml *node = mr_yaml_get(item->map, "key");
    mr_columns columns = {0};

    if (node == NULL) {
        return true;
    }
    if (!mr_plan_columns(load, schema, node, "key", MR_KEY_FIELDS_MAX, &columns)) {
        return false;
    }
    for (uint32_t i = 0; i < columns.count; i++) {
        if (schema->fields[columns.indexes[i]].type == MR_JSONB) {
            mr_load_error(load, node->place, 409, "read it as text: `type: text`",
                          "column \"%s\" of the key is jsonb, which has no equality",
                          schema->fields[columns.indexes[i]].name);
            return false;
        }
        if (schema->fields[columns.indexes[i]].type == MR_INTERVAL) {
            mr_load_error(load, node->place, 409, "read it as text: `type: text`",
                          "column \"%s\" of the key is an interval, of which equal ones have "
                          "different texts",
                          schema->fields[columns.indexes[i]].name);
            return false;
        }
        mr_field *field = (mr_field *)(uintptr_t)&schema->fields[columns.indexes[i]];
        field->nullable = false; /* NULL is a decode error there. */
        schema->key[i] = columns.indexes[i];
    }
    schema->key_count = columns.count;
    return true;
}

/* What can be read without knowing the columns. */
static bool read_words(mr_load *load, const mr_item *item, bool is_kafka, mr_source_common *common)
{
    const mr_yaml *mode = mr_yaml_get(item->map, "mode");
    const mr_yaml *tombstones = mr_yaml_get(item->map, "tombstones");
    const mr_yaml *bounded = mr_yaml_get(item->map, "bounded");
    const mr_yaml *watermark = mr_yaml_get(item->map, "watermark");
    const mr_yaml *start = mr_yaml_get(item->map, "start");
    uint32_t choice = 0;
    bool good = read_key_words(load, item, common);

    if (mode != NULL) {
        good = mr_value_choice(load, mode, "mode", "append", "upsert", &choice) && good;
    }
    choice = 0;
    if (tombstones != NULL) {
        good = mr_value_choice(load, tombstones, "tombstones", "error|drop|pass", NULL, &choice) &&
               good;
    }
    common->tombstones = (mr_tombstones)choice;
    if (watermark != NULL) {
        test_watermark(load, watermark);
    }
    if (start != NULL) {
        good = read_start(load, start, &common->start_us) && good;
    }
    common->bounded = !is_kafka;
    if (bounded != NULL && mr_value_boolean(load, bounded, "bounded", &common->bounded) &&
        !is_kafka && !common->bounded) {
        mr_load_error(load, bounded->place, 109, "leave it out",
                      "following a file is known, but not part of this release");
    }
    return good;
}

static bool read_key_words(mr_load *load, const mr_item *item, mr_source_common *common)
{
    const mr_yaml *format = mr_yaml_get(item->map, "key_format");
    const mr_yaml *partitioner = mr_yaml_get(item->map, "partitioner");
    uint32_t choice = 0;
    bool good = true;

    if (format != NULL) {
        good = mr_value_choice(load, format, "key_format", "text|json|int32|int64|raw", "avro",
                               &choice);
    }
    common->key_format = (mr_key_format)choice;
    choice = 0;
    if (partitioner != NULL) {
        good =
            mr_value_choice(load, partitioner, "partitioner", "murmur2|opaque", "crc32", &choice) &&
            good;
    }
    common->key_test = choice == 0; /* Without a key it is taken back. */
    return good;
}

/* What needs the columns. */
static bool read_columns(mr_load *load, const mr_item *item, mr_schema *schema,
                         const mr_field_spec *specs, mr_source_common *common)
{
    const mr_yaml *event_time = mr_yaml_get(item->map, "event_time");
    bool good = read_key(load, item, schema);

    common->key_test = common->key_test && schema->key_count > 0 &&
                       (item->source->head.flags & MR_SOURCE_KAFKA) != 0;
    good = good && test_record_key(load, item, schema, specs, common);
    if (event_time != NULL) {
        common->event_time =
            mr_plan_typed_expr(load, item, schema, false, event_time, "event_time", MR_TIMESTAMPTZ);
        good = common->event_time != NULL && good;
    }
    if (common->tombstones == MR_TOMBSTONE_PASS) {
        good = test_pass(load, mr_yaml_get(item->map, "tombstones"), schema, common) && good;
    }
    return good;
}

/* What the record key can be decoded to, and what can be encoded to be compared with it. */
static bool test_record_key(mr_load *load, const mr_item *item, const mr_schema *schema,
                            const mr_field_spec *specs, const mr_source_common *common)
{
    static const char *const words[] = {"text", "json", "int32", "int64", "raw"};
    const mr_yaml *format = mr_yaml_get(item->map, "key_format");
    const mr_yaml *key = mr_yaml_get(item->map, "key");
    const mr_place place = format != NULL ? format->place : key != NULL ? key->place : item->place;
    uint32_t from_key = 0, columns = schema->key_count, first = schema->key[0];

    for (uint32_t i = 0; i < common->record_count; i++) {
        if (common->records[i].from == MR_FROM_KEY && common->key_format != MR_KEY_JSON) {
            /* The first one is an outermost one, so it stands in the schema itself. */
            const mr_yaml *record =
                mr_yaml_get(mr_yaml_get(item->map, "schema"), common->records[i].name);
            MR_ASSERT(record != NULL);
            mr_load_error(
                load, record->place, 409, "use `key_format: json`",
                "record \"%s\" is of the record key, which key_format %s has no records for",
                common->records[i].name, words[common->key_format]);
            return false;
        }
    }

    for (uint32_t i = 0; i < schema->field_count; i++) {
        bool is_key = false;
        for (uint32_t k = 0; k < schema->key_count; k++) {
            is_key = is_key || schema->key[k] == i;
        }
        if (specs[i].from != MR_FROM_KEY) {
            continue;
        }
        from_key++;
        first = schema->key_count == 0 ? i : first;
        if (schema->key_count > 0 && !is_key && common->key_format != MR_KEY_JSON) {
            mr_load_error(load, place, 409, "add it to `key`, or use `key_format: json`",
                          "column \"%s\" is of the record key, but \"key\" does not name it",
                          schema->fields[i].name);
            return false;
        }
    }
    if (schema->key_count == 0) {
        columns = from_key;
        if (from_key > 1 && common->key_format != MR_KEY_JSON) {
            mr_load_error(load, place, 409, "name them in `key`, in the order of the record key",
                          "%u columns are of the record key, and \"key\" does not say their order",
                          from_key);
            return false;
        }
    }
    if (columns == 0 || common->key_format == MR_KEY_TEXT || common->key_format == MR_KEY_JSON) {
        return true;
    }
    const mr_type type = schema->fields[first].type;
    const bool fits =
        common->key_format == MR_KEY_RAW ? type == MR_TEXT || type == MR_BYTEA : type == MR_BIGINT;
    if (columns == 1 && fits) {
        return true;
    }
    mr_load_error(load, place, 409, "key_format text or json takes any key",
                  "key_format %s needs one key column of type %s", words[common->key_format],
                  common->key_format == MR_KEY_RAW ? "text or bytea" : "bigint");
    return false;
}

/* Nothing waits for watermarks yet: only the defaults may be written. */
static void test_watermark(mr_load *load, const mr_yaml *node)
{
    static const mr_key_rule rules[] = {
        {"lateness", NULL, 0}, {"idle_after", NULL, 0}, {"on_idle", NULL, 0}};
    static const char *const defaults[] = {"0s", "1m", "leave"};
    const char *text;

    if (!mr_value_is_map(load, node, "watermark")) {
        return;
    }
    const mr_key_set set = {.what = "\"watermark\"",
                            .rules = rules,
                            .rule_count = MR_LENGTH(rules),
                            .place = node->place};
    mr_keys_test(load, node, &set);
    for (uint32_t i = 0; i < MR_LENGTH(defaults); i++) {
        const mr_yaml *value = mr_yaml_get(node, rules[i].name);
        if (value != NULL && mr_value_text(load, value, rules[i].name, &text) &&
            strcmp(text, defaults[i]) != 0) {
            mr_load_error(load, value->place, 109, "leave it out: no step waits for event time",
                          "watermark.%s is known, but not part of this release", rules[i].name);
        }
    }
}

static bool read_start(mr_load *load, const mr_yaml *node, int64_t *start_us)
{
    const char *text;

    if (!mr_value_text(load, node, "start", &text)) {
        return false;
    }
    if (strcmp(text, "earliest") == 0 || strcmp(text, "latest") == 0) {
        *start_us = text[0] == 'e' ? MR_START_EARLIEST : MR_START_LATEST;
        return true;
    }
    if (mr_time_parse(text, strlen(text), start_us) != 0 || *start_us < 0) {
        mr_load_error(load, node->place, 106, NULL,
                      "start must be earliest, latest, or a time such as 2026-01-01T00:00:00Z");
        return false;
    }
    return true;
}

/* All value columns of a passed tombstone are NULL. */
static bool test_pass(mr_load *load, const mr_yaml *node, const mr_schema *schema,
                      const mr_source_common *common)
{
    const char *name = NULL;

    for (uint32_t i = 0; i < common->record_count && name == NULL; i++) {
        const mr_record_spec *record = &common->records[i];
        name = record->from == MR_FROM_VALUE && !record->nullable ? record->name : NULL;
    }
    for (uint32_t i = 0; i < schema->field_count && name == NULL; i++) {
        const bool is_bad = common->fields[i].from == MR_FROM_VALUE && !schema->fields[i].nullable;
        name = is_bad ? schema->fields[i].name : NULL;
    }
    if (name == NULL) {
        return true;
    }
    mr_load_error(load, node->place, 410,
                  "use `drop`, or take key columns from the record key (`from: key`)",
                  "a passed tombstone has no value, but column \"%s\" cannot be NULL", name);
    return false;
}
