/*
 * cell_write.c - one value as JSON or as text.
 *
 * numeric with all digits of its scale; bytea as base64; double as the shortest text that reads
 * back equal, NaN and infinities as strings; timestamptz as ISO 8601 with 0, 3 or 6 fraction
 * digits, or as a number. Bounds are cheap for short texts (every byte escaped) and exact for long
 * ones, so that a long text is never refused for room it would not need.
 */
#include "engine/base/assert.h"
#include "engine/base/bytes_text.h"
#include "engine/base/decimal.h"
#include "engine/base/time_interval.h"
#include "engine/base/time_text.h"
#include "io/format/format_private.h"
#include <math.h>
#include <string.h>

enum { SHORT_TEXT_BYTES = 128 };
_Static_assert((int)MR_INTERVAL_TEXT_MAX + 2 <= MR_CELL_TEXT_MAX &&
                   (int)MR_DECIMAL_TEXT_MAX + 2 <= MR_CELL_TEXT_MAX,
               "room for every printed value between quotes");

static uint32_t print_fixed(const mr_field *field, const mr_column *column, uint32_t row,
                            uint8_t *out);
static uint64_t quoted_bytes(mr_view text);
static uint32_t put_quoted_ascii(const uint8_t *text, uint32_t size_bytes, uint8_t *out);

uint32_t mr_cell_to_json(const mr_field *field, const mr_column *column, uint32_t row,
                         const mr_json_style *style, uint8_t *out)
{
    uint8_t text[MR_CELL_TEXT_MAX];

    MR_ASSERT(mr_column_valid(column, row));
    switch (field->type) {
    case MR_TEXT: {
        const mr_view view = column->as.views[row];
        const uint64_t room = 6 * (uint64_t)view.size_bytes + 2;
        const uint32_t size_bytes = mr_json_quote(view.bytes, view.size_bytes, out,
                                                  room > UINT32_MAX ? UINT32_MAX : (uint32_t)room);
        MR_ASSERT(size_bytes > 0);
        return size_bytes;
    }
    case MR_JSONB: {
        const mr_view view = column->as.views[row];
        MR_ASSERT(view.size_bytes > 0);
        memcpy(out, view.bytes, view.size_bytes);
        return view.size_bytes;
    }
    case MR_TIMESTAMPTZ:
        if (style->times == MR_TIMES_ISO) {
            return put_quoted_ascii(text, print_fixed(field, column, row, text), out);
        }
        {
            const int64_t us = column->as.integers[row];
            /* A millisecond below: floored, so that order is kept before 1970 too. */
            const int64_t ms = us / 1000 - (us % 1000 < 0 ? 1 : 0);
            return mr_integer_print(style->times == MR_TIMES_EPOCH_MS ? ms : us, (char *)out);
        }
    case MR_NUMERIC:
        if (style->numbers_as_text) {
            return put_quoted_ascii(text, print_fixed(field, column, row, text), out);
        }
        return print_fixed(field, column, row, out);
    case MR_DATE:
    case MR_INTERVAL:
        return put_quoted_ascii(text, print_fixed(field, column, row, text), out);
    case MR_DOUBLE:
        if (!isfinite(column->as.doubles[row])) {
            return put_quoted_ascii(text, print_fixed(field, column, row, text), out);
        }
        return print_fixed(field, column, row, out);
    case MR_BOOLEAN:
    case MR_BIGINT:
        return print_fixed(field, column, row, out);
    case MR_BYTEA: {
        const mr_view view = column->as.views[row];
        out[0] = '"';
        const uint32_t size_bytes = mr_base64_print(view.bytes, view.size_bytes, out + 1);
        out[1 + size_bytes] = '"';
        return size_bytes + 2;
    }
    }
    MR_ASSERT(!"a type of its own");
    return 0;
}

uint64_t mr_cell_json_bound(const mr_field *field, const mr_column *column, uint32_t row)
{
    if (!mr_column_valid(column, row)) {
        return 4;
    }
    switch (field->type) {
    case MR_TEXT:
        return quoted_bytes(column->as.views[row]);
    case MR_JSONB:
        return column->as.views[row].size_bytes;
    case MR_BYTEA:
        return mr_base64_bytes(column->as.views[row].size_bytes) + 2;
    default:
        return MR_CELL_TEXT_MAX;
    }
}

mr_view mr_cell_to_text(const mr_field *field, const mr_column *column, uint32_t row,
                        uint8_t room[MR_CELL_TEXT_MAX])
{
    MR_ASSERT(mr_column_valid(column, row));
    if (field->type == MR_TEXT || field->type == MR_BYTEA || field->type == MR_JSONB) {
        return column->as.views[row];
    }
    return (mr_view){.bytes = room, .size_bytes = print_fixed(field, column, row, room)};
}

static uint32_t print_fixed(const mr_field *field, const mr_column *column, uint32_t row,
                            uint8_t *out)
{
    char *chars = (char *)out;

    switch (field->type) {
    case MR_BOOLEAN: {
        const bool is_true = column->as.booleans[row] != 0;
        memcpy(out, is_true ? "true" : "false", is_true ? 4 : 5);
        return is_true ? 4 : 5;
    }
    case MR_BIGINT:
        return mr_integer_print(column->as.integers[row], chars);
    case MR_DOUBLE:
        return mr_double_print(column->as.doubles[row], chars);
    case MR_NUMERIC:
        return mr_decimal_print(column->as.numerics[row], field->scale, chars);
    case MR_TIMESTAMPTZ:
        return mr_time_print(column->as.integers[row], chars);
    case MR_DATE:
        return mr_date_print(column->as.dates[row], chars);
    case MR_INTERVAL:
        return mr_interval_print(column->as.intervals[row], chars);
    case MR_TEXT:
    case MR_BYTEA:
    case MR_JSONB:
        break;
    }
    MR_ASSERT(!"a type of fixed size with a text form");
    return 0;
}

static uint64_t quoted_bytes(mr_view text)
{
    uint64_t size_bytes = 2;

    if (text.size_bytes <= SHORT_TEXT_BYTES) {
        return 6 * (uint64_t)text.size_bytes + 2;
    }
    for (uint32_t i = 0; i < text.size_bytes; i++) {
        const uint8_t byte = text.bytes[i];
        size_bytes += byte < 0x20 ? 6 : byte == '"' || byte == '\\' ? 2 : 1;
    }
    return size_bytes;
}

static uint32_t put_quoted_ascii(const uint8_t *text, uint32_t size_bytes, uint8_t *out)
{
    out[0] = '"';
    memcpy(out + 1, text, size_bytes);
    out[1 + size_bytes] = '"';
    return size_bytes + 2;
}
