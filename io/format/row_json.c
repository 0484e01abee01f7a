/*
 * row_json.c - one row as a JSON object, hidden columns left out: the value of a dead letter whose
 * row stems from no single record. Not a hot path: it tests the room before each cell.
 */
#include "engine/base/assert.h"
#include "engine/base/json.h"
#include "io/format/format_private.h"
#include <string.h>

static uint8_t *put(uint8_t *at, const uint8_t *end, const char *text);
static uint8_t *put_cell(uint8_t *at, const uint8_t *end, const mr_batch *batch, uint32_t column,
                         uint32_t row);

uint32_t mr_row_json(const mr_batch *batch, uint32_t row, uint8_t *room, uint32_t room_bytes)
{
    const uint8_t *end = room + room_bytes;
    uint8_t *at = room;
    uint16_t order[MR_FIELDS_MAX];
    const char *previous = NULL;

    MR_ASSERT(row < batch->row_count && batch->schema->field_count <= MR_FIELDS_MAX);
    const uint32_t count = mr_json_order(batch->schema, order);
    for (uint32_t i = 0; at != NULL && i < count; i++) {
        const char *name = batch->schema->fields[order[i]].name;
        const uint32_t bytes =
            mr_json_name_room(name) + (previous != NULL ? mr_json_name_room(previous) : 0);
        if (bytes > (size_t)(end - at)) {
            return 0;
        }
        at += mr_json_name_put(previous, name, at);
        previous = name;
        at = put_cell(at, end, batch, order[i], row);
    }
    if (at == NULL || mr_json_name_end_room(previous) > (size_t)(end - at)) {
        return 0;
    }
    at += mr_json_name_end(previous, at);
    return (uint32_t)(at - room);
}

static uint8_t *put(uint8_t *at, const uint8_t *end, const char *text)
{
    const size_t size = strlen(text);
    if (at == NULL || (size_t)(end - at) < size) {
        return NULL;
    }
    memcpy(at, text, size);
    return at + size;
}

static uint8_t *put_cell(uint8_t *at, const uint8_t *end, const mr_batch *batch, uint32_t column,
                         uint32_t row)
{
    static const mr_json_style style = {.numbers_as_text = false, .times = MR_TIMES_ISO};
    const mr_field *field = &batch->schema->fields[column];
    if (!mr_column_valid(&batch->columns[column], row)) {
        return put(at, end, "null");
    }
    if (mr_cell_json_bound(field, &batch->columns[column], row) > (uint64_t)(end - at)) {
        return NULL;
    }
    return at + mr_cell_to_json(field, &batch->columns[column], row, &style, at);
}
