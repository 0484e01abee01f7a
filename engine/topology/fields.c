/*
 * fields.c - the columns of a source: `schema:` in its short and long form, and the hidden columns.
 *
 * Behind the columns of the file every source has the hidden ones of the record: meta.topic,
 * meta.partition, meta.offset, meta.timestamp, meta.key, meta.key_bytes, and one for each header
 * that some expression of the document reads. They cost nothing unless prune.c finds a reader.
 */
#include "engine/base/assert.h"
#include "engine/base/decimal.h"
#include "engine/base/time_interval.h"
#include "engine/base/time_text.h"
#include "engine/topology/topology_private.h"
#include <ctype.h>
#include <string.h>

enum { META_COUNT = 6, TYPE_TEXT_MAX = 64 };

static bool read_field(mr_load *load, const mr_yaml_pair *pair, bool is_kafka, mr_field *field,
                       mr_field_spec *spec);
static bool read_long_form(mr_load *load, const mr_yaml_pair *pair, bool is_kafka, mr_field *field,
                           mr_field_spec *spec);
static bool read_place(mr_load *load, const mr_yaml *map, bool is_kafka, mr_field_spec *spec);
static bool read_path(mr_load *load, const mr_yaml *node, mr_field_spec *spec);
static bool read_default(mr_load *load, const mr_yaml *node, const mr_field *field,
                         mr_field_spec *spec);
static bool default_fits(const mr_field *field, const char *text);
static bool set_path(mr_load *load, mr_field_spec *spec, const char *name);
static void add_hidden(mr_load *load, mr_schema *schema, mr_field *fields, mr_field_spec *specs);
static bool read_type_name(const char *word, mr_field *field);
static bool read_numeric(const char *word, mr_field *field);
static void refuse_type(mr_load *load, const mr_yaml *node, const char *word);

mr_schema *mr_fields_read(mr_load *load, const mr_item *item, bool is_kafka, mr_field_spec **specs)
{
    const mr_yaml *map = mr_yaml_get(item->map, "schema");
    bool good = true;

    if (map == NULL && mr_yaml_get(item->map, "schema_from") != NULL) {
        return NULL; /* Refused before. */
    }
    if (map == NULL) {
        mr_load_error(load, item->place, 104, "e.g. `schema: { id: text not null, n: bigint }`",
                      "source \"%s\" needs \"schema\"", item->name);
        return NULL;
    }
    if (!mr_value_is_map(load, map, "schema")) {
        return NULL;
    }
    const uint32_t hidden_max = META_COUNT + MR_HEADERS_MAX;
    if (map->count == 0 || map->count > MR_FIELDS_MAX - hidden_max) {
        mr_load_error(load, map->place, 209, "e.g. `schema: { id: text not null, n: bigint }`",
                      "a schema has 1 to %u columns", (unsigned)(MR_FIELDS_MAX - hidden_max));
        return NULL;
    }
    mr_schema *schema = mr_load_take(load, 1, sizeof(mr_schema));
    mr_field *fields = mr_load_take(load, map->count + hidden_max, sizeof(mr_field));
    *specs = mr_load_take(load, map->count + hidden_max, sizeof(mr_field_spec));
    if (schema == NULL || fields == NULL || *specs == NULL) {
        return NULL;
    }
    schema->fields = fields;
    for (uint32_t i = 0; i < map->count; i++) {
        (*specs)[i].field = &fields[i];
        good = read_field(load, &map->pairs[i], is_kafka, &fields[i], &(*specs)[i]) && good;
        schema->field_count++;
    }
    add_hidden(load, schema, fields, *specs);
    return good ? schema : NULL;
}

bool mr_field_type(mr_load *load, const mr_yaml *node, const char *text, mr_field *field)
{
    char word[TYPE_TEXT_MAX];
    uint32_t size = 0;

    for (const char *at = text; *at != '\0' && size + 1 < TYPE_TEXT_MAX; at++) {
        const bool is_space = isspace((unsigned char)*at) != 0;
        if (is_space && (size == 0 || word[size - 1] == ' ')) {
            continue;
        }
        word[size++] = is_space ? ' ' : (char)tolower((unsigned char)*at);
    }
    while (size > 0 && word[size - 1] == ' ') {
        size--;
    }
    word[size] = '\0';
    field->nullable = true;
    if (size > 9 && strcmp(word + size - 9, " not null") == 0) {
        field->nullable = false;
        word[size - 9] = '\0';
    }
    if (read_type_name(word, field) || read_numeric(word, field)) {
        return true;
    }
    refuse_type(load, node, word);
    return false;
}

static bool read_type_name(const char *word, mr_field *field)
{
    static const struct {
        const char *name;
        mr_type type;
    } types[] = {
        {"boolean", MR_BOOLEAN},
        {"bool", MR_BOOLEAN},
        {"bigint", MR_BIGINT},
        {"int8", MR_BIGINT},
        {"double precision", MR_DOUBLE},
        {"float8", MR_DOUBLE},
        {"text", MR_TEXT},
        {"varchar", MR_TEXT},
        {"bytea", MR_BYTEA},
        {"timestamptz", MR_TIMESTAMPTZ},
        {"date", MR_DATE},
        {"interval", MR_INTERVAL},
        {"jsonb", MR_JSONB},
    };

    for (uint32_t i = 0; i < MR_LENGTH(types); i++) {
        if (strcmp(types[i].name, word) == 0) {
            field->type = types[i].type;
            return true;
        }
    }
    return false;
}

/* numeric(p,s), numeric(p), decimal(p,s) */
static bool read_numeric(const char *word, mr_field *field)
{
    const char *at = word;
    uint32_t numbers[2] = {0, 0}, count = 0;

    if (strncmp(at, "numeric", 7) != 0 && strncmp(at, "decimal", 7) != 0) {
        return false;
    }
    at += 7;
    at += strspn(at, " ");
    if (*at != '(') {
        return false;
    }
    do {
        at++;
        at += strspn(at, " ");
        const size_t digits = strspn(at, "0123456789");
        if (digits == 0 || digits > 2 || count == 2) {
            return false;
        }
        for (size_t i = 0; i < digits; i++) {
            numbers[count] = numbers[count] * 10 + (uint32_t)(at[i] - '0');
        }
        count++;
        at += digits;
        at += strspn(at, " ");
    } while (*at == ',');
    if (strcmp(at, ")") != 0 || numbers[0] < 1 || numbers[0] > MR_DECIMAL_DIGITS_MAX ||
        numbers[1] > numbers[0]) {
        return false;
    }
    field->type = MR_NUMERIC;
    field->precision = (uint8_t)numbers[0];
    field->scale = (uint8_t)numbers[1];
    return true;
}

static void refuse_type(mr_load *load, const mr_yaml *node, const char *word)
{
    static const char *const instead[][2] = {
        {"integer", "bigint"},
        {"int", "bigint"},
        {"int4", "bigint"},
        {"smallint", "bigint"},
        {"int2", "bigint"},
        {"real", "double precision"},
        {"float", "double precision"},
        {"float4", "double precision"},
        {"double", "double precision"},
        {"timestamp", "timestamptz"},
        {"json", "jsonb"},
        {"string", "text"},
        {"bytes", "bytea"},
        {"numeric", "numeric(18,2)"},
        {"decimal", "numeric(18,2)"},
        {"uuid", "text"},
    };
    static const char *const names[] = {"boolean",     "bigint", "text",  "bytea",
                                        "timestamptz", "date",   "jsonb", "interval"};
    mr_nearest nearest = {.word = word};

    if (strcmp(word, "record") == 0) {
        mr_load_error(load, node->place, 109, "name its fields with `path: a.b`",
                      "type %s is known, but not part of this release", word);
        return;
    }
    for (uint32_t i = 0; i < MR_LENGTH(instead); i++) {
        if (strcmp(word, instead[i][0]) == 0) {
            mr_load_error(load, node->place, 121, mr_load_print(load, "use %s", instead[i][1]),
                          "there is no column type \"%s\"", word);
            return;
        }
    }
    for (uint32_t i = 0; i < MR_LENGTH(names); i++) {
        mr_nearest_try(&nearest, names[i]);
    }
    const char *near = mr_nearest_hint(load, &nearest);
    mr_load_error(
        load, node->place, 121,
        near != NULL ? near
                     : "types: boolean, bigint, double precision, numeric(p,s), text, "
                       "bytea, timestamptz, date, interval, jsonb; each with or without `not null`",
        "there is no column type \"%s\"", word);
}

static bool read_field(mr_load *load, const mr_yaml_pair *pair, bool is_kafka, mr_field *field,
                       mr_field_spec *spec)
{
    const char *text;

    field->name = pair->key->text;
    if (pair->key->size_bytes == 0 || pair->key->size_bytes > MR_NAME_BYTES_MAX) {
        mr_load_error(load, pair->key->place, 113, NULL, "a column name has 1 to %u bytes",
                      (unsigned)MR_NAME_BYTES_MAX);
        return false;
    }
    if (strncmp(field->name, "meta.", 5) == 0) {
        mr_load_error(load, pair->key->place, 113, "choose another name, and give its `path`",
                      "columns called meta.* are the record's own");
        return false;
    }
    if (pair->value->kind == MR_YAML_MAP) {
        return read_long_form(load, pair, is_kafka, field, spec);
    }
    return mr_value_text(load, pair->value, mr_load_print(load, "column \"%s\"", field->name),
                         &text) &&
           mr_field_type(load, pair->value, text, field) && set_path(load, spec, field->name);
}

static bool read_long_form(mr_load *load, const mr_yaml_pair *pair, bool is_kafka, mr_field *field,
                           mr_field_spec *spec)
{
    static const mr_key_rule rules[] = {
        {"type", NULL, MR_KEY_REQUIRED},
        {"path", NULL, 0},
        {"from", NULL, 0},
        {"name", NULL, 0},
        {"default", NULL, 0},
        {"format", NULL, 0},
        {"fields", "name the fields of a record with `path: a.b`", 0},
        {"description", NULL, 0},
    };
    const mr_yaml *map = pair->value;
    const mr_yaml *type = mr_yaml_get(map, "type"), *format = mr_yaml_get(map, "format");
    const mr_yaml *fallback = mr_yaml_get(map, "default");
    const char *text;
    uint32_t choice = 0;

    const mr_key_set set = {.what = mr_load_print(load, "column \"%s\"", field->name),
                            .rules = rules,
                            .rule_count = MR_LENGTH(rules),
                            .place = pair->key->place};
    mr_keys_test(load, map, &set);
    bool good = type != NULL && mr_value_text(load, type, "type", &text) &&
                mr_field_type(load, type, text, field);
    if (!set_path(load, spec, field->name) || !read_place(load, map, is_kafka, spec)) {
        good = false;
    }
    if (format != NULL) {
        if (!mr_value_choice(load, format, "format", "iso|epoch_s|epoch_ms|epoch_us", NULL,
                             &choice)) {
            good = false;
        } else if (good && field->type != MR_TIMESTAMPTZ) {
            mr_load_error(load, format->place, 106, NULL,
                          "\"format\" is for times; column \"%s\" is none", field->name);
            good = false;
        }
        spec->time_format = (mr_time_format)choice;
    }
    if (fallback != NULL && good) {
        good = read_default(load, fallback, field, spec);
    }
    return good;
}

/* Where the value comes from: from, name, path. */
static bool read_place(mr_load *load, const mr_yaml *map, bool is_kafka, mr_field_spec *spec)
{
    const mr_yaml *from = mr_yaml_get(map, "from"), *name = mr_yaml_get(map, "name");
    const mr_yaml *path = mr_yaml_get(map, "path");
    uint32_t choice = 0;

    if (from != NULL && !mr_value_choice(load, from, "from", "value|key|header", NULL, &choice)) {
        return false;
    }
    spec->from = (mr_from)choice;
    if (spec->from != MR_FROM_VALUE && !is_kafka) {
        mr_load_error(load, from->place, 120, NULL, "lines of a file have neither key nor headers");
        return false;
    }
    if (name != NULL && spec->from != MR_FROM_HEADER) {
        mr_load_error(load, name->place, 106, "\"name\" goes with `from: header`",
                      "\"name\" is the name of a header");
        return false;
    }
    if (path != NULL && spec->from == MR_FROM_HEADER) {
        mr_load_error(load, path->place, 106, "\"path\" goes with `from: value`",
                      "a header has no path");
        return false;
    }
    spec->header = spec->from == MR_FROM_HEADER ? spec->field->name : NULL;
    if (name != NULL && !mr_value_text(load, name, "name", &spec->header)) {
        return false;
    }
    return path == NULL || read_path(load, path, spec);
}

static bool read_path(mr_load *load, const mr_yaml *node, mr_field_spec *spec)
{
    const char *text;
    uint32_t count = 1;

    if (!mr_value_text(load, node, "path", &text)) {
        return false;
    }
    for (const char *at = text; *at != '\0'; at++) {
        count += *at == '.';
    }
    if (text[0] == '\0' || count > MR_YAML_DEPTH_MAX) {
        mr_load_error(load, node->place, 106, NULL, "a path has 1 to 64 names");
        return false;
    }
    const char **names = mr_load_take(load, count, sizeof(const char *));
    if (names == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        const size_t size = strcspn(text, ".");
        if (size == 0) {
            mr_load_error(load, node->place, 106, NULL, "a name of the path is empty");
            return false;
        }
        names[i] = mr_load_print(load, "%.*s", (int)size, text);
        text += size + (text[size] == '.');
    }
    spec->path = names;
    spec->path_count = count;
    return true;
}

static bool read_default(mr_load *load, const mr_yaml *node, const mr_field *field,
                         mr_field_spec *spec)
{
    if (!mr_value_text(load, node, "default", &spec->fallback)) {
        return false;
    }
    if (!default_fits(field, spec->fallback)) {
        mr_load_error(load, node->place, 106, NULL, "\"%s\" does not fit the type of column \"%s\"",
                      spec->fallback, field->name);
        return false;
    }
    return true;
}

static bool default_fits(const mr_field *field, const char *text)
{
    const size_t size = strlen(text);
    int64_t integer;
    int32_t days;
    double number;
    mr_int128 unscaled;
    mr_interval interval;
    uint32_t scale;

    switch (field->type) {
    case MR_BOOLEAN:
        return strcmp(text, "true") == 0 || strcmp(text, "false") == 0;
    case MR_BIGINT:
        return mr_integer_parse(text, size, &integer) == 0;
    case MR_DOUBLE:
        return mr_double_parse(text, size, &number) == 0;
    case MR_NUMERIC:
        return mr_decimal_parse(text, size, true, &unscaled, &scale) == 0 &&
               scale <= field->scale &&
               mr_decimal_rescale(unscaled, scale, field->scale, &unscaled) &&
               mr_decimal_fits(unscaled, field->precision);
    case MR_TIMESTAMPTZ:
        return mr_time_parse(text, size, &integer) == 0;
    case MR_DATE:
        return size == 10 && mr_date_parse(text, size, &days) == 0;
    case MR_INTERVAL:
        return mr_interval_parse(text, size, &interval) == 0;
    case MR_JSONB:
    case MR_BYTEA:
        return false;
    default:
        return true;
    }
}

/* The default: one member with the column's name. */
static bool set_path(mr_load *load, mr_field_spec *spec, const char *name)
{
    const char **names = mr_load_take(load, 1, sizeof(const char *));

    if (names == NULL) {
        return false;
    }
    names[0] = name;
    spec->path = names;
    spec->path_count = 1;
    return true;
}

static void add_hidden(mr_load *load, mr_schema *schema, mr_field *fields, mr_field_spec *specs)
{
    static const struct {
        const char *name;
        mr_type type;
        bool nullable;
        mr_meta meta;
    } hidden[META_COUNT] = {
        {"meta.topic", MR_TEXT, false, MR_META_TOPIC},
        {"meta.partition", MR_BIGINT, false, MR_META_PARTITION},
        {"meta.offset", MR_BIGINT, false, MR_META_OFFSET},
        {"meta.timestamp", MR_TIMESTAMPTZ, false, MR_META_TIMESTAMP},
        {"meta.key", MR_TEXT, true, MR_META_KEY},
        {"meta.key_bytes", MR_BYTEA, true, MR_META_KEY_BYTES},
    };
    uint32_t at = schema->field_count;

    for (uint32_t i = 0; i < META_COUNT; i++, at++) {
        fields[at] = (mr_field){.name = hidden[i].name,
                                .type = hidden[i].type,
                                .nullable = hidden[i].nullable,
                                .hidden = true};
        specs[at] =
            (mr_field_spec){.field = &fields[at], .from = MR_FROM_META, .meta = hidden[i].meta};
    }
    for (uint32_t i = 0; i < load->header_count; i++, at++) {
        fields[at] = (mr_field){.name = mr_load_print(load, "meta.header.%s", load->headers[i]),
                                .type = MR_TEXT,
                                .nullable = true,
                                .hidden = true};
        specs[at] = (mr_field_spec){.field = &fields[at],
                                    .from = MR_FROM_META,
                                    .meta = MR_META_HEADER,
                                    .header = load->headers[i]};
    }
    schema->field_count = at;
}
