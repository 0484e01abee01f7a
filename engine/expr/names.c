/*
 * names.c - what the words of an expression mean: columns, types, functions, and the hints when
 * they mean nothing.
 */
#include "engine/base/decimal.h"
#include "engine/expr/expr_private.h"
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { NAME_MAX_BYTES = 512, LIST_MAX_BYTES = 600 };

static bool no_column(mr_compile *c, const mr_node *node, const char *name);
static bool group_column(mr_compile *c, mr_node *node, const char *name);

static bool use_column(mr_compile *c, mr_node *node, uint32_t index)
{
    const mr_field *field = &c->scope->schema->fields[index];

    node->column = (uint16_t)index;
    node->type = (mr_value_type){(uint16_t)field->type, field->precision, field->scale};
    node->nullable = field->nullable;
    return c->by == NULL || node->in_aggregate || group_column(c, node, field->name);
}

/* Joins parts[from..] by dots. */
static bool join(char out[NAME_MAX_BYTES], const char *const *parts, uint32_t from, uint32_t count)
{
    size_t size = 0;

    for (uint32_t i = from; i < count; i++) {
        const size_t part = strlen(parts[i]);
        if (size + part + 2 > NAME_MAX_BYTES) {
            return false;
        }
        if (i > from) {
            out[size++] = '.';
        }
        memcpy(out + size, parts[i], part);
        size += part;
    }
    out[size] = '\0';
    return true;
}

bool mr_column_named(mr_compile *c, mr_node *node, const char *const *parts, uint32_t part_count)
{
    char name[NAME_MAX_BYTES];
    const mr_schema *schema = c->scope->schema;

    MR_ASSERT(part_count > 0);
    if (c->collects) {
        return true;
    }
    const uint32_t from = part_count > 1 && c->scope->input_name != NULL &&
                                  strcmp(parts[0], c->scope->input_name) == 0
                              ? 1
                              : 0;
    if (!join(name, parts, from, part_count)) {
        return mr_compile_error(c, node->location, 302, "the name is longer than any column's");
    }
    const uint32_t index = mr_schema_find(schema, name, (uint32_t)strlen(name));
    if (index != UINT32_MAX) {
        return use_column(c, node, index);
    }
    if (strcmp(name, "event_time") == 0 && c->scope->event_time) {
        node->kind = MR_NODE_EVENT_TIME;
        node->type.type = MR_TIMESTAMPTZ;
        return c->by == NULL || node->in_aggregate || group_column(c, node, name);
    }
    if (strcmp(name, "meta.schema_id") == 0 || strcmp(name, "meta.record_id") == 0) {
        return mr_compile_error(c, node->location, 306, "%s is not part of this release", name);
    }
    if (part_count - from > 1 && strcmp(parts[from], "meta") == 0) {
        return mr_compile_error(c, node->location, 302, "%s is not known here%s", name,
                                "\nhint: meta.topic, meta.partition, meta.offset, meta.timestamp, "
                                "meta.key, meta.header('x') survive filter and map only");
    }
    char whole[NAME_MAX_BYTES];
    if (from == 1 && join(whole, parts, 0, part_count) &&
        mr_schema_find(schema, whole, (uint32_t)strlen(whole)) != UINT32_MAX) {
        return mr_compile_error(c, node->location, 302,
                                "no column \"%s\" in input \"%s\"\nhint: the first part names the "
                                "input; of its record write %s.%s",
                                name, parts[0], parts[0], whole);
    }
    return no_column(c, node, name);
}

/* `name` is a record: its fields are columns, it is none. */
static bool is_record(const mr_schema *schema, const char *name)
{
    const size_t size = strlen(name);

    for (uint32_t i = 0; i < schema->field_count; i++) {
        const char *field = schema->fields[i].name;
        if (!schema->fields[i].hidden && strncmp(field, name, size) == 0 && field[size] == '.') {
            return true;
        }
    }
    return false;
}

static bool no_column(mr_compile *c, const mr_node *node, const char *name)
{
    const mr_schema *schema = c->scope->schema;
    const bool of_record = is_record(schema, name);
    mr_nearest_word nearest = {0};
    char hint[LIST_MAX_BYTES + NAME_MAX_BYTES] = "";
    char list[LIST_MAX_BYTES] = "";
    size_t size = 0;

    for (uint32_t i = 0; i < schema->field_count; i++) {
        const char *field = schema->fields[i].name;
        if (schema->fields[i].hidden || (of_record && (strncmp(field, name, strlen(name)) != 0 ||
                                                       field[strlen(name)] != '.'))) {
            continue;
        }
        if (strcasecmp(field, name) == 0) {
            nearest = (mr_nearest_word){.best = field, .distance = 0};
        } else if (nearest.best == NULL || nearest.distance > 0) {
            mr_nearest_word_try(&nearest, name, field);
        }
        const int more =
            snprintf(list + size, sizeof(list) - size, "%s%s", size == 0 ? "" : ", ", field);
        if (more < 0 || (size_t)more >= sizeof(list) - size) {
            (void)snprintf(list + (sizeof(list) - 6), 6, ", ...");
            break;
        }
        size += (size_t)more;
    }
    if (of_record) {
        (void)snprintf(hint, sizeof(hint), "\nhint: it is a record: name a field of it (%s)", list);
    } else if (nearest.best != NULL && nearest.distance == 0) {
        (void)snprintf(hint, sizeof(hint), "\nhint: write \"%s\" in double quotes", nearest.best);
    } else if (nearest.best != NULL) {
        (void)snprintf(hint, sizeof(hint), "\nhint: did you mean \"%s\"? (columns: %s)",
                       nearest.best, list);
    } else if (list[0] != '\0') {
        (void)snprintf(hint, sizeof(hint), "\nhint: columns: %s", list);
    }
    return c->scope->input_name != NULL
               ? mr_compile_error(c, node->location, 302, "no column \"%s\" in input \"%s\"%s",
                                  name, c->scope->input_name, hint)
               : mr_compile_error(c, node->location, 302, "no column \"%s\"%s", name, hint);
}

/* Outside of an aggregate only the columns of the group have one value. */
static bool group_column(mr_compile *c, mr_node *node, const char *name)
{
    for (uint32_t i = 0; node->kind == MR_NODE_COLUMN && i < c->by->count; i++) {
        if (c->by->indexes[i] == node->column) {
            return true;
        }
    }
    return mr_compile_error(c, node->location, 309,
                            "\"%s\" is neither in \"by\" nor aggregated\nhint: add it to `by`, or "
                            "`max(%s)`",
                            name, name);
}

/* ---- Types ---- */

typedef struct type_word {
    const char *name;
    uint16_t type;
    const char *refused; /* Not NULL: what to say instead. */
} type_word;

static const type_word type_words[] = {
    {"bool", MR_BOOLEAN, NULL},
    {"boolean", MR_BOOLEAN, NULL},
    {"int8", MR_BIGINT, NULL},
    {"bigint", MR_BIGINT, NULL},
    {"float8", MR_DOUBLE, NULL},
    {"numeric", MR_NUMERIC, NULL},
    {"decimal", MR_NUMERIC, NULL},
    {"text", MR_TEXT, NULL},
    {"varchar", MR_TEXT, NULL},
    {"timestamptz", MR_TIMESTAMPTZ, NULL},
    {"date", MR_DATE, NULL},
    {"interval", MR_INTERVAL, NULL},
    {"bytea", MR_BYTEA, NULL},
    {"jsonb", MR_JSONB, NULL},
    {"int4", 0, "type integer is refused\nhint: use bigint"},
    {"int2", 0, "type smallint is refused\nhint: use bigint"},
    {"float4", 0, "type real is refused\nhint: use double precision"},
    {"timestamp", 0, "type timestamp (without time zone) is refused\nhint: use timestamptz"},
    {"json", 0, "type json is refused\nhint: use jsonb"},
    {"bpchar", 0, "type char is refused\nhint: use text"},
    {"name", 0, "type name is refused\nhint: use text"},
    {"money", 0, "type money is refused\nhint: use numeric(18,2)"},
    {"uuid", 0, "type uuid is refused\nhint: use text"},
    {"time", 0, "type time is refused\nhint: use timestamptz or text"},
    {"timetz", 0, "type time is refused\nhint: use timestamptz or text"},
};

static bool numeric_type(mr_compile *c, int32_t location, const int32_t *modifiers, uint32_t count,
                         mr_value_type *type)
{
    if (count == 0) {
        return mr_compile_error(c, location, 304,
                                "numeric needs its digits\nhint: numeric(18,2): 18 digits, 2 of "
                                "them behind the point");
    }
    const int32_t scale = count == 2 ? modifiers[1] : 0;
    if (modifiers[0] < 1 || modifiers[0] > MR_DECIMAL_DIGITS_MAX || scale < 0 ||
        scale > modifiers[0]) {
        return mr_compile_error(c, location, 304,
                                "numeric(%d,%d) is out of range\nhint: 1 to 38 digits, the scale "
                                "between 0 and the digits",
                                modifiers[0], scale);
    }
    *type = (mr_value_type){MR_NUMERIC, (uint8_t)modifiers[0], (uint8_t)scale};
    return true;
}

bool mr_type_named(mr_compile *c, int32_t location, const char *name, const int32_t *modifiers,
                   uint32_t modifier_count, mr_value_type *type)
{
    mr_nearest_word nearest = {0};

    for (size_t i = 0; i < MR_LENGTH(type_words); i++) {
        const type_word *word = &type_words[i];
        mr_nearest_word_try(&nearest, name, word->name);
        if (strcmp(word->name, name) != 0) {
            continue;
        }
        if (word->refused != NULL) {
            return mr_compile_error(c, location, 304, "%s", word->refused);
        }
        if (word->type == MR_NUMERIC) {
            return numeric_type(c, location, modifiers, modifier_count, type);
        }
        if (modifier_count > 0 && word->type == MR_INTERVAL) {
            return mr_compile_error(c, location, 304,
                                    "type interval has neither fields nor a precision here\nhint: "
                                    "the units stand in the text: interval '1 day'");
        }
        if (modifier_count > 0) {
            return mr_compile_error(c, location, 304, "type %s takes no length\nhint: use %s", name,
                                    word->type == MR_TEXT ? "text" : name);
        }
        *type = (mr_value_type){.type = word->type};
        return true;
    }
    return nearest.best != NULL
               ? mr_compile_error(c, location, 304, "no type \"%s\"\nhint: did you mean \"%s\"?",
                                  name, nearest.best)
               : mr_compile_error(c, location, 304,
                                  "no type \"%s\"\nhint: boolean, bigint, double precision, "
                                  "numeric(p,s), text, bytea, timestamptz, date, interval, "
                                  "jsonb",
                                  name);
}

/* ---- Functions ---- */

static bool is_symbol(const char *name)
{
    return strchr("+-*/<>=~!@#%^&|`?", name[0]) != NULL;
}

bool mr_function_known(mr_compile *c, int32_t location, const char *name)
{
    static const char *const not_repeatable[] = {"now",
                                                 "clock_timestamp",
                                                 "transaction_timestamp",
                                                 "statement_timestamp",
                                                 "random",
                                                 "gen_random_uuid",
                                                 "timeofday"};
    uint32_t count = 0;
    const mr_function *functions = mr_functions(&count);
    mr_nearest_word nearest = {0};

    if (strcmp(name, "concat") == 0 || strcmp(name, "concat_ws") == 0 ||
        strcmp(name, "make_interval") == 0) {
        return true;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(functions[i].name, name) == 0) {
            return true;
        }
        if (!is_symbol(functions[i].name)) {
            mr_nearest_word_try(&nearest, name, functions[i].name);
        }
    }
    for (size_t i = 0; i < MR_LENGTH(not_repeatable); i++) {
        if (strcmp(not_repeatable[i], name) == 0) {
            return mr_compile_error(c, location, 307,
                                    "%s() is not repeatable: an epoch that is redone would give "
                                    "another result\nhint: use event_time or meta.timestamp",
                                    name);
        }
    }
    const char *refused = mr_function_refused(name);
    if (refused != NULL) {
        return mr_compile_error(c, location, 306, "%s%s is not part of this release%s%s", name,
                                is_symbol(name) ? "" : "()", refused[0] != '\0' ? "\nhint: " : "",
                                refused);
    }
    if (is_symbol(name)) {
        return mr_compile_error(c, location, 303, "no operator %s", name);
    }
    mr_nearest_word_try(&nearest, name, "coalesce");
    mr_nearest_word_try(&nearest, name, "greatest");
    mr_nearest_word_try(&nearest, name, "nullif");
    mr_nearest_word_try(&nearest, name, "least");
    return nearest.best != NULL
               ? mr_compile_error(c, location, 303, "no function %s()\nhint: did you mean \"%s\"?",
                                  name, nearest.best)
               : mr_compile_error(c, location, 303,
                                  "no function %s()\nhint: docs/functions.md has them all", name);
}
