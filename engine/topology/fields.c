/*
 * fields.c - the columns of a source: `schema:` in its short and long form, nested records, and the
 * hidden columns.
 *
 * A record is no column: its fields are, at any depth, under their dotted names, with the path to
 * them, and side by side. The record itself stays as an mr_record_spec, so that a format can tell
 * an object from anything else. An explicit stack of open records takes the place of recursion.
 *
 * Behind the columns of the file every source has the hidden ones of the record: meta.topic,
 * meta.partition, meta.offset, meta.timestamp, meta.key, meta.key_bytes, and one for each header
 * that some expression of the document reads. They cost nothing unless prune.c finds a reader.
 */
#include "engine/base/assert.h"
#include "engine/base/decimal.h"
#include "engine/base/json.h"
#include "engine/base/time_interval.h"
#include "engine/base/time_text.h"
#include "engine/batch/batch.h"
#include "engine/topology/topology_private.h"
#include <string.h>

enum {
    META_COUNT = 6,
    COLUMNS_MAX = MR_FIELDS_MAX - META_COUNT - MR_HEADERS_MAX,
    PATH_NAMES_MAX = MR_JSON_DEPTH_MAX - 1,
    DEFAULT_BYTES_MAX = 64 << 10
};

typedef struct scope { /* A map of fields that is being read: the schema, or a record in it. */
    const mr_yaml *fields;
    uint32_t next;
    const char *name; /* Of the record, with those around it; NULL = the schema. */
    const char *const *path;
    uint32_t path_count;
    mr_from from;
    uint32_t record; /* Index of the record. */
} scope;

typedef struct reader {
    mr_load *load;
    bool is_kafka;
    mr_field *fields;
    mr_field_spec *specs;
    mr_record_spec *records;
    uint32_t column_count, record_count, from_key_count;
    uint32_t depth; /* Open scopes. */
    scope scopes[MR_RECORD_DEPTH_MAX + 1];
} reader;

static bool read_schema(reader *r, const mr_yaml *map);
static bool open_record(reader *r, const mr_yaml_pair *pair, bool nullable);
static bool read_field(reader *r, const mr_yaml_pair *pair);
static bool type_is_read(mr_load *load, const mr_yaml *place, const mr_field *field, mr_from from);
static bool count_is_read(reader *r, const mr_yaml *key, mr_from from);
static const char *read_name(reader *r, const mr_yaml *key);
static bool read_long_form(reader *r, const mr_yaml_pair *pair, mr_field *field,
                           mr_field_spec *spec);
static bool read_place(reader *r, const mr_yaml *map, mr_field_spec *spec);
static bool read_from(reader *r, const mr_yaml *map, const char *choices, mr_from *from);
static bool read_path(mr_load *load, const mr_yaml *node, const scope *in, const char *const **path,
                      uint32_t *path_count);
static const char **extend_path(mr_load *load, const scope *in, uint32_t count);
static bool set_path(mr_load *load, const scope *in, const mr_yaml *key, const char *const **path,
                     uint32_t *path_count);
static bool read_default(mr_load *load, const mr_yaml *node, const mr_field *field,
                         mr_field_spec *spec);
static bool default_fits(mr_load *load, const mr_field *field, const char *text);
static bool is_json(mr_load *load, const char *text);
static void add_hidden(mr_load *load, mr_schema *schema, mr_field *fields, mr_field_spec *specs);

mr_schema *mr_fields_read(mr_load *load, const mr_item *item, bool is_kafka,
                          mr_source_common *common)
{
    const mr_yaml *map = mr_yaml_get(item->map, "schema");

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
    if (map->count == 0) {
        mr_load_error(load, map->place, 209, "e.g. `schema: { id: text not null, n: bigint }`",
                      "a schema has 1 to %u columns", (unsigned)COLUMNS_MAX);
        return NULL;
    }
    mr_schema *schema = mr_load_take(load, 1, sizeof(mr_schema));
    reader r = {.load = load,
                .is_kafka = is_kafka,
                .fields = mr_load_take(load, MR_FIELDS_MAX, sizeof(mr_field)),
                .specs = mr_load_take(load, MR_FIELDS_MAX, sizeof(mr_field_spec)),
                .records = mr_load_take(load, MR_RECORDS_MAX, sizeof(mr_record_spec))};
    if (schema == NULL || r.fields == NULL || r.specs == NULL || r.records == NULL) {
        return NULL;
    }
    const bool good = read_schema(&r, map);
    schema->fields = r.fields;
    schema->field_count = r.column_count;
    common->fields = r.specs;
    common->records = r.records;
    common->record_count = r.record_count;
    add_hidden(load, schema, r.fields, r.specs);
    return good ? schema : NULL;
}

static bool read_schema(reader *r, const mr_yaml *map)
{
    bool good = true;

    r->depth = 1;
    r->scopes[0] = (scope){.fields = map, .from = MR_FROM_VALUE};
    while (r->depth > 0) {
        scope *in = &r->scopes[r->depth - 1];
        bool nullable = true;
        if (in->next == in->fields->count) {
            if (--r->depth > 0) {
                mr_record_spec *record = &r->records[in->record];
                record->column_count = r->column_count - record->first_column;
            }
            continue;
        }
        const mr_yaml_pair *pair = &in->fields->pairs[in->next++];
        if (mr_field_is_record(pair->value, &nullable)) {
            good = open_record(r, pair, nullable) && good;
            continue;
        }
        if (r->column_count == COLUMNS_MAX) {
            mr_load_error(r->load, pair->key->place, 209, "leave out what nobody reads",
                          "a schema has 1 to %u columns, those of its records included",
                          (unsigned)COLUMNS_MAX);
            return false;
        }
        good = read_field(r, pair) && good;
    }
    return good;
}

/* Its fields are read next. */
static bool open_record(reader *r, const mr_yaml_pair *pair, bool nullable)
{
    static const mr_key_rule rules[] = {{"type", NULL, MR_KEY_REQUIRED},
                                        {"path", NULL, 0},
                                        {"from", NULL, 0},
                                        {"fields", NULL, MR_KEY_REQUIRED},
                                        {"description", NULL, 0}};
    mr_load *load = r->load;
    const scope *around = &r->scopes[r->depth - 1];
    const mr_yaml *fields = mr_yaml_get(pair->value, "fields");
    const mr_yaml *path = mr_yaml_get(pair->value, "path");
    const char *name = read_name(r, pair->key);

    if (name == NULL) {
        return false;
    }
    const mr_key_set set = {.what = mr_load_print(load, "record \"%s\"", name),
                            .rules = rules,
                            .rule_count = MR_LENGTH(rules),
                            .place = pair->key->place};
    mr_keys_test(load, pair->value, &set);
    if (strchr(pair->key->text, '.') != NULL) {
        mr_load_error(load, pair->key->place, 113, "name the outer record, and this one in it",
                      "the name of a record has no dot");
        return false;
    }
    if (fields == NULL || !mr_value_is_map(load, fields, "fields")) {
        return false;
    }
    if (fields->count == 0 || r->record_count == MR_RECORDS_MAX || r->depth > MR_RECORD_DEPTH_MAX) {
        mr_load_error(load, fields->place, 209, "e.g. `fields: { id: bigint, name: text }`",
                      "a record has a field or more; a schema has at most %u records, %u deep",
                      (unsigned)MR_RECORDS_MAX, (unsigned)MR_RECORD_DEPTH_MAX);
        return false;
    }
    scope in = {.fields = fields, .name = name, .from = around->from, .record = r->record_count};
    if (!read_from(r, pair->value, "value|key", &in.from) ||
        !(path != NULL ? read_path(load, path, around, &in.path, &in.path_count)
                       : set_path(load, around, pair->key, &in.path, &in.path_count))) {
        return false;
    }
    r->records[r->record_count++] = (mr_record_spec){.name = name,
                                                     .from = in.from,
                                                     .nullable = nullable,
                                                     .path = in.path,
                                                     .path_count = in.path_count,
                                                     .first_column = r->column_count};
    r->scopes[r->depth++] = in;
    return true;
}

static bool read_field(reader *r, const mr_yaml_pair *pair)
{
    mr_load *load = r->load;
    const scope *in = &r->scopes[r->depth - 1];
    mr_field *field = &r->fields[r->column_count];
    mr_field_spec *spec = &r->specs[r->column_count];
    const char *text;

    field->name = read_name(r, pair->key);
    if (field->name == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < r->column_count; i++) {
        if (strcmp(r->fields[i].name, field->name) == 0) {
            mr_load_error(load, pair->key->place, 103, "rename one, and give its `path`",
                          "column \"%s\" stands twice: as a field of a record, and by this name",
                          field->name);
            return false;
        }
    }
    r->column_count++;
    spec->field = field;
    spec->from = in->from;
    if (!set_path(load, in, pair->key, &spec->path, &spec->path_count)) {
        return false;
    }
    const bool good =
        pair->value->kind == MR_YAML_MAP
            ? read_long_form(r, pair, field, spec)
            : mr_value_text(load, pair->value, mr_load_print(load, "column \"%s\"", field->name),
                            &text) &&
                  mr_field_type(load, pair->value, text, field);
    return count_is_read(r, pair->key, spec->from) && good &&
           type_is_read(load, pair->value, field, spec->from);
}

/* Headers hold texts; of a record key, equal values have equal bytes. */
static bool type_is_read(mr_load *load, const mr_yaml *place, const mr_field *field, mr_from from)
{
    const bool is_refused = from == MR_FROM_HEADER ? field->type == MR_JSONB
                            : from == MR_FROM_KEY
                                ? field->type == MR_JSONB || field->type == MR_INTERVAL
                                : false;
    char type[MR_TYPE_TEXT_MAX];

    if (is_refused) {
        (void)mr_type_text(field, type);
        mr_load_error(load, place->place, 106,
                      mr_load_print(load, "read it as text, and cast it in a map: x::%s", type),
                      "column \"%s\": %s cannot be read from a %s", field->name, type,
                      from == MR_FROM_HEADER ? "header" : "record key");
    }
    return !is_refused;
}

/* Of a record key, as many columns as a key has; said at the first one beyond. */
static bool count_is_read(reader *r, const mr_yaml *key, mr_from from)
{
    if (from != MR_FROM_KEY || ++r->from_key_count <= MR_KEY_FIELDS_MAX) {
        return true;
    }
    if (r->from_key_count == MR_KEY_FIELDS_MAX + 1) {
        mr_load_error(r->load, key->place, 209, "leave out what nobody reads",
                      "at most %u columns are read from the record key, those of its records "
                      "included",
                      (unsigned)MR_KEY_FIELDS_MAX);
    }
    return false;
}

/* The whole name of a column or record, with those of the records around it. */
static const char *read_name(reader *r, const mr_yaml *key)
{
    mr_load *load = r->load;
    const scope *in = &r->scopes[r->depth - 1];
    const char *name =
        in->name == NULL ? key->text : mr_load_print(load, "%s.%s", in->name, key->text);

    if (key->size_bytes == 0 || strlen(name) > MR_NAME_BYTES_MAX) {
        mr_load_error(load, key->place, 113, NULL,
                      in->name == NULL ? "a column name has 1 to %u bytes"
                                       : "a column name has 1 to %u bytes, those of its records "
                                         "included",
                      (unsigned)MR_NAME_BYTES_MAX);
        return NULL;
    }
    if (in->name != NULL && strchr(key->text, '.') != NULL) {
        mr_load_error(load, key->place, 113, "choose another name, and give its `path`",
                      "the name of a field of a record has no dot");
        return NULL;
    }
    if (strncmp(name, "meta.", 5) == 0) {
        mr_load_error(load, key->place, 113, "choose another name, and give its `path`",
                      "columns called meta.* are the record's own");
        return NULL;
    }
    return name;
}

static bool read_long_form(reader *r, const mr_yaml_pair *pair, mr_field *field,
                           mr_field_spec *spec)
{
    static const mr_key_rule rules[] = {
        {"type", NULL, MR_KEY_REQUIRED},
        {"path", NULL, 0},
        {"from", NULL, 0},
        {"name", NULL, 0},
        {"default", NULL, 0},
        {"format", NULL, 0},
        {"fields", NULL, 0},
        {"description", NULL, 0},
    };
    mr_load *load = r->load;
    const mr_yaml *map = pair->value;
    const mr_yaml *type = mr_yaml_get(map, "type"), *format = mr_yaml_get(map, "format");
    const mr_yaml *fallback = mr_yaml_get(map, "default"), *fields = mr_yaml_get(map, "fields");
    const char *text;
    uint32_t choice = 0;

    const mr_key_set set = {.what = mr_load_print(load, "column \"%s\"", field->name),
                            .rules = rules,
                            .rule_count = MR_LENGTH(rules),
                            .place = pair->key->place};
    mr_keys_test(load, map, &set);
    bool good = type != NULL && mr_value_text(load, type, "type", &text) &&
                mr_field_type(load, type, text, field);
    if (fields != NULL) {
        mr_load_error(load, fields->place, 106, "\"fields\" goes with `type: record`",
                      "column \"%s\" is no record", field->name);
        good = false;
    }
    if (!read_place(r, map, spec)) {
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
static bool read_place(reader *r, const mr_yaml *map, mr_field_spec *spec)
{
    mr_load *load = r->load;
    const scope *in = &r->scopes[r->depth - 1];
    const mr_yaml *name = mr_yaml_get(map, "name"), *path = mr_yaml_get(map, "path");

    if (!read_from(r, map, "value|key|header", &spec->from)) {
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
    return path == NULL || read_path(load, path, in, &spec->path, &spec->path_count);
}

/* `from` is untouched where it is not written. */
static bool read_from(reader *r, const mr_yaml *map, const char *choices, mr_from *from)
{
    const mr_yaml *node = mr_yaml_get(map, "from");
    uint32_t choice = 0;

    if (node == NULL) {
        return true;
    }
    if (r->depth > 1) {
        mr_load_error(r->load, node->place, 106, "write it on the outermost record",
                      "a field of record \"%s\" comes from where the record comes from",
                      r->scopes[r->depth - 1].name);
        return false;
    }
    if (!mr_value_choice(r->load, node, "from", choices, NULL, &choice)) {
        return false;
    }
    *from = (mr_from)choice;
    if (*from != MR_FROM_VALUE && !r->is_kafka) {
        mr_load_error(r->load, node->place, 120, NULL,
                      "lines of a file have neither key nor headers");
        return false;
    }
    return true;
}

/* Within a record it begins there. */
static bool read_path(mr_load *load, const mr_yaml *node, const scope *in, const char *const **path,
                      uint32_t *path_count)
{
    const char *text;
    uint32_t count = 1;

    if (!mr_value_text(load, node, "path", &text)) {
        return false;
    }
    for (const char *at = text; *at != '\0'; at++) {
        count += *at == '.';
    }
    if (text[0] == '\0' || in->path_count + count > PATH_NAMES_MAX) {
        mr_load_error(load, node->place, 106, NULL, "a path has 1 to %u names",
                      (unsigned)PATH_NAMES_MAX);
        return false;
    }
    const char **names = extend_path(load, in, count);
    if (names == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        const size_t size = strcspn(text, ".");
        if (size == 0 || size > MR_JSON_NAME_BYTES_MAX) {
            mr_load_error(load, node->place, 106, NULL, "a name of the path has 1 to %u bytes",
                          (unsigned)MR_JSON_NAME_BYTES_MAX);
            return false;
        }
        names[in->path_count + i] = mr_load_print(load, "%.*s", (int)size, text);
        text += size + (text[size] == '.');
    }
    *path = names;
    *path_count = in->path_count + count;
    return true;
}

/* The names of the record around, and room for `count` more. */
static const char **extend_path(mr_load *load, const scope *in, uint32_t count)
{
    const char **names = mr_load_take(load, in->path_count + count, sizeof(const char *));

    for (uint32_t i = 0; names != NULL && i < in->path_count; i++) {
        names[i] = in->path[i];
    }
    return names;
}

/* The default: one member with the name as written, dots and all. */
static bool set_path(mr_load *load, const scope *in, const mr_yaml *key, const char *const **path,
                     uint32_t *path_count)
{
    if (in->path_count == PATH_NAMES_MAX) {
        mr_load_error(load, key->place, 106, NULL, "a path has 1 to %u names",
                      (unsigned)PATH_NAMES_MAX);
        return false;
    }
    const char **names = extend_path(load, in, 1);
    if (names == NULL) {
        return false;
    }
    names[in->path_count] = key->text;
    *path = names;
    *path_count = in->path_count + 1;
    return true;
}

static bool read_default(mr_load *load, const mr_yaml *node, const mr_field *field,
                         mr_field_spec *spec)
{
    if (!mr_value_text(load, node, "default", &spec->fallback)) {
        return false;
    }
    if (field->type == MR_BYTEA) {
        mr_load_error(load, node->place, 106, "use coalesce in a map",
                      "bytea has no default; column \"%s\" is of that type", field->name);
        return false;
    }
    if (!default_fits(load, field, spec->fallback)) {
        mr_load_error(load, node->place, 106, NULL, "\"%s\" does not fit the type of column \"%s\"",
                      spec->fallback, field->name);
        return false;
    }
    return true;
}

/* As the type is written in a file; times are ISO texts, whatever those of the records are. */
static bool default_fits(mr_load *load, const mr_field *field, const char *text)
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
        return is_json(load, text);
    default:
        return true;
    }
}

static bool is_json(mr_load *load, const char *text)
{
    const size_t size = strlen(text);
    mr_json_result result = MR_JSON_OK;

    if (size > DEFAULT_BYTES_MAX) {
        return false;
    }
    const uint64_t room = mr_json_canonical_room((uint32_t)size);
    uint8_t *out = mr_load_take(load, 1, (size_t)room);
    return out != NULL && mr_json_canonical((const uint8_t *)text, (uint32_t)size, out,
                                            (uint32_t)room, &result) > 0;
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
