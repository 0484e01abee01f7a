/* schema.c - copies, look-up, fingerprint and texts of schemas and types. */
#include "engine/base/assert.h"
#include "engine/base/hash.h"
#include "engine/batch/batch.h"
#include <stdio.h>
#include <string.h>

mr_schema *mr_schema_copy(struct mr_arena *arena, const mr_schema *schema)
{
    MR_ASSERT(arena != NULL && schema != NULL && schema->field_count <= MR_FIELDS_MAX);
    mr_schema *copy = mr_arena_take(arena, sizeof(*copy));
    mr_field *fields = mr_arena_take_array(arena, schema->field_count, sizeof(*fields));
    if (copy == NULL || fields == NULL) {
        return NULL;
    }
    *copy = *schema;
    copy->fields = fields;
    for (uint32_t i = 0; i < schema->field_count; i++) {
        fields[i] = schema->fields[i];
        fields[i].name = mr_arena_copy(arena, fields[i].name, strlen(fields[i].name));
        if (fields[i].name == NULL) {
            return NULL;
        }
    }
    return copy;
}

uint32_t mr_schema_find(const mr_schema *schema, const char *name, uint32_t size_bytes)
{
    MR_ASSERT(schema != NULL && name != NULL);
    for (uint32_t i = 0; i < schema->field_count; i++) {
        if (strlen(schema->fields[i].name) == size_bytes &&
            memcmp(schema->fields[i].name, name, size_bytes) == 0) {
            return i;
        }
    }
    return UINT32_MAX;
}

uint64_t mr_schema_fingerprint(const mr_schema *schema)
{
    uint64_t hash = 0;

    MR_ASSERT(schema != NULL && schema->field_count <= MR_FIELDS_MAX);
    for (uint32_t i = 0; i < schema->field_count; i++) {
        const mr_field *field = &schema->fields[i];
        const bool is_numeric = field->type == MR_NUMERIC;
        const uint8_t type[3] = {(uint8_t)field->type, is_numeric ? field->precision : 0,
                                 is_numeric ? field->scale : 0};
        hash = mr_hash64(field->name, strlen(field->name), hash);
        hash = mr_hash64(type, sizeof(type), hash);
    }
    return hash;
}

const char *mr_type_text(const mr_field *field, char out[MR_TYPE_TEXT_MAX])
{
    static const char *const names[] = {
        [MR_BOOLEAN] = "boolean",
        [MR_BIGINT] = "bigint",
        [MR_DOUBLE] = "double precision",
        [MR_NUMERIC] = "numeric",
        [MR_TEXT] = "text",
        [MR_BYTEA] = "bytea",
        [MR_TIMESTAMPTZ] = "timestamptz",
        [MR_DATE] = "date",
        [MR_INTERVAL] = "interval",
        [MR_JSONB] = "jsonb",
    };

    MR_ASSERT(field != NULL && (size_t)field->type < MR_LENGTH(names));
    int size = 0;
    if (field->type == MR_NUMERIC) {
        size = snprintf(out, MR_TYPE_TEXT_MAX, "numeric(%d,%d)", field->precision, field->scale);
    } else {
        size = snprintf(out, MR_TYPE_TEXT_MAX, "%s", names[field->type]);
    }
    MR_ASSERT(size > 0 && size < MR_TYPE_TEXT_MAX);
    return out;
}

uint32_t mr_type_cell_bytes(mr_type type)
{
    switch (type) {
    case MR_BOOLEAN:
        return 1;
    case MR_DATE:
        return 4;
    case MR_BIGINT:
    case MR_DOUBLE:
    case MR_TIMESTAMPTZ:
        return 8;
    case MR_NUMERIC:
    case MR_INTERVAL:
    case MR_TEXT:
    case MR_BYTEA:
    case MR_JSONB:
        return 16;
    }
    MR_ASSERT(!"a type of the table");
    return 0;
}
