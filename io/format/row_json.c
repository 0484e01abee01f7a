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
    uint8_t *at = put(room, end, "{");
    bool is_first = true;

    MR_ASSERT(row < batch->row_count);
    for (uint32_t i = 0; at != NULL && i < batch->schema->field_count; i++) {
        const mr_field *field = &batch->schema->fields[i];
        if (field->hidden) {
            continue;
        }
        at = is_first ? at : put(at, end, ",");
        is_first = false;
        if (at != NULL) {
            const uint32_t size =
                mr_json_quote((const uint8_t *)field->name, (uint32_t)strlen(field->name), at,
                              (uint32_t)(end - at));
            at = size > 0 ? put(at + size, end, ":") : NULL;
        }
        at = at != NULL ? put_cell(at, end, batch, i, row) : NULL;
    }
    at = at != NULL ? put(at, end, "}") : NULL;
    return at != NULL ? (uint32_t)(at - room) : 0;
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
