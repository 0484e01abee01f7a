/*
 * field_types.c - the words for the types of columns, with or without `not null`.
 *
 * Types that PostgreSQL has and millrace has not are refused with the type to use instead.
 */
#include "engine/base/assert.h"
#include "engine/base/decimal.h"
#include "engine/topology/topology_private.h"
#include <ctype.h>
#include <string.h>

enum { TYPE_TEXT_MAX = 64 };

static bool split_type(const char *text, char word[TYPE_TEXT_MAX]);
static bool read_type_name(const char *word, mr_field *field);
static bool read_numeric(const char *word, mr_field *field);
static void refuse_type(mr_load *load, const mr_yaml *node, const char *word);

bool mr_field_type(mr_load *load, const mr_yaml *node, const char *text, mr_field *field)
{
    char word[TYPE_TEXT_MAX];

    field->nullable = split_type(text, word);
    if (read_type_name(word, field) || read_numeric(word, field)) {
        return true;
    }
    refuse_type(load, node, word);
    return false;
}

bool mr_field_is_record(const mr_yaml *value, bool *nullable)
{
    const mr_yaml *type = mr_yaml_get(value, "type");
    char word[TYPE_TEXT_MAX];

    if (type == NULL || type->kind != MR_YAML_SCALAR) {
        return false;
    }
    *nullable = split_type(type->text, word);
    return strcmp(word, "record") == 0;
}

/* The type in small letters with single spaces, without `not null`; whether it is nullable. */
static bool split_type(const char *text, char word[TYPE_TEXT_MAX])
{
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
    if (size > 9 && strcmp(word + size - 9, " not null") == 0) {
        word[size - 9] = '\0';
        return false;
    }
    return true;
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
        mr_load_error(load, node->place, 104, "`{ type: record, fields: { id: bigint } }`",
                      "a record needs its \"fields\"");
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
