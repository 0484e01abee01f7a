/*
 * record_key.c - from key columns to the bytes of a record key.
 *
 * text: the text form of a lone column (NULL: no key; of bytea `\x` and hex), or a compact JSON
 * array of several. json: a compact object of the columns in key order, nested where their names
 * have dots. int32, int64: big-endian, as Java's serializers
 * write. raw: the bytes. Partitioners hash these bytes, so equal keys must give equal bytes: -0 is
 * written as 0, numerics have all digits of their scale, times are UTC.
 */
#include "engine/base/assert.h"
#include "engine/base/bytes_text.h"
#include "engine/batch/batch.h"
#include "io/format/format_private.h"
#include "io/format/record_key_private.h"
#include <string.h>

static const mr_json_style key_style = {.numbers_as_text = false, .times = MR_TIMES_ISO};

static const char *format_name(mr_key_format format);
static mr_row_error encode_integer(mr_key_format format, int64_t value, uint8_t *out,
                                   uint32_t *size_bytes);
static mr_status check_names(const mr_schema *schema, const uint16_t *columns,
                             uint32_t column_count, mr_diag *diag);
static uint32_t lone_bound(mr_key_format format, const mr_field *field, const mr_column *column,
                           uint32_t row);
static uint32_t encode_text(mr_key_format format, const mr_batch *in, uint32_t row, uint32_t column,
                            uint8_t *out);
static uint32_t encode_json(const mr_batch *in, uint32_t row, const uint16_t *columns,
                            uint32_t column_count, bool with_names, uint8_t *out);
static mr_column without_negative_zero(const mr_column *column, const mr_field *field,
                                       uint32_t *row, double *room);

bool mr_key_is_json(mr_key_format format, uint32_t column_count)
{
    return format == MR_KEY_JSON || (format == MR_KEY_TEXT && column_count > 1);
}

bool mr_record_key_takes(mr_key_format format, mr_type type)
{
    switch (format) {
    case MR_KEY_INT32:
    case MR_KEY_INT64:
        return type == MR_BIGINT;
    case MR_KEY_RAW:
        return type == MR_TEXT || type == MR_BYTEA;
    case MR_KEY_TEXT:
    case MR_KEY_JSON:
        break;
    }
    return type != MR_JSONB && type != MR_INTERVAL;
}

mr_status mr_record_key_check(mr_key_format format, const mr_schema *schema,
                              const uint16_t *columns, uint32_t column_count, mr_diag *diag)
{
    const bool takes_one = format == MR_KEY_INT32 || format == MR_KEY_INT64 || format == MR_KEY_RAW;

    MR_ASSERT(column_count <= MR_KEY_FIELDS_MAX && (columns != NULL || column_count == 0));
    if (takes_one && column_count > 1) {
        return mr_diag_set(diag, MR_ERR_CONFIG, 0, "key_format %s takes one column, the key has %u",
                           format_name(format), column_count);
    }
    for (uint32_t i = 0; i < column_count; i++) {
        const mr_field *field = &schema->fields[columns[i]];
        char type[MR_TYPE_TEXT_MAX];
        if (!mr_record_key_takes(format, field->type)) {
            return mr_diag_set(diag, MR_ERR_CONFIG, 0,
                               "column %s: %s cannot be a record key of key_format %s", field->name,
                               mr_type_text(field, type), format_name(format));
        }
    }
    return format == MR_KEY_JSON ? check_names(schema, columns, column_count, diag) : MR_OK;
}

uint32_t mr_record_key_bound(mr_key_format format, const mr_batch *in, uint32_t row,
                             const uint16_t *columns, uint32_t column_count)
{
    uint64_t size_bytes = 2;

    MR_ASSERT(column_count <= MR_KEY_FIELDS_MAX);
    for (uint32_t i = 0; i < column_count; i++) {
        const mr_field *field = &in->schema->fields[columns[i]];
        const mr_column *column = &in->columns[columns[i]];
        if (!mr_key_is_json(format, column_count)) {
            return lone_bound(format, field, column, row);
        }
        size_bytes += mr_cell_json_bound(field, column, row) + 1;
        if (format == MR_KEY_JSON) {
            size_bytes += mr_json_name_room(field->name);
        }
    }
    return size_bytes > UINT32_MAX ? UINT32_MAX : (uint32_t)size_bytes;
}

bool mr_record_key_encode(mr_key_format format, const mr_batch *in, uint32_t row,
                          const uint16_t *columns, uint32_t column_count, uint8_t **room,
                          uint8_t *room_end, mr_view *key, mr_row_error *error)
{
    uint32_t size_bytes = 0;

    MR_ASSERT(row < in->row_count && *room != NULL && *room <= room_end);
    *error = MR_ROW_OK;
    *key = (mr_view){0};
    if (column_count == 0) {
        return true;
    }
    const bool is_json = mr_key_is_json(format, column_count);
    if (!is_json && !mr_column_valid(&in->columns[columns[0]], row)) {
        return true;
    }
    if (mr_record_key_bound(format, in, row, columns, column_count) > (size_t)(room_end - *room)) {
        return false;
    }
    if (is_json) {
        size_bytes = encode_json(in, row, columns, column_count, format == MR_KEY_JSON, *room);
    } else if (format == MR_KEY_INT32 || format == MR_KEY_INT64) {
        *error =
            encode_integer(format, in->columns[columns[0]].as.integers[row], *room, &size_bytes);
        if (*error != MR_ROW_OK) {
            return true;
        }
    } else {
        size_bytes = encode_text(format, in, row, columns[0], *room);
    }
    MR_ASSERT(size_bytes <= (size_t)(room_end - *room));
    *key = (mr_view){.bytes = *room, .size_bytes = size_bytes};
    *room += size_bytes;
    return true;
}

static const char *format_name(mr_key_format format)
{
    static const char *const names[] = {"text", "json", "int32", "int64", "raw"};

    MR_ASSERT((size_t)format < MR_LENGTH(names));
    return names[format];
}

/* Objects open and close between two neighbours: a record's fields must stand together. */
static mr_status check_names(const mr_schema *schema, const uint16_t *columns,
                             uint32_t column_count, mr_diag *diag)
{
    mr_field fields[MR_KEY_FIELDS_MAX];
    uint16_t order[MR_KEY_FIELDS_MAX];
    const mr_schema key = {.fields = fields, .field_count = column_count};

    for (uint32_t i = 0; i < column_count; i++) {
        fields[i] = schema->fields[columns[i]];
        fields[i].hidden = false;
        for (uint32_t k = 0; k < column_count; k++) {
            const char *other = schema->fields[columns[k]].name;
            if (mr_json_is_record_of(fields[i].name, other)) {
                return mr_diag_set(diag, MR_ERR_CONFIG, 0,
                                   "the key has a column \"%s\" and, with \"%s\", a record of that "
                                   "name\nhint: rename one of them, or use `key_format: text`",
                                   fields[i].name, other);
            }
        }
    }
    (void)mr_json_order(&key, order);
    for (uint32_t i = 0; i < column_count; i++) {
        if (order[i] != i) {
            return mr_diag_set(diag, MR_ERR_CONFIG, 0,
                               "fields of one record stand together in a json key, and \"%s\" "
                               "stands apart\nhint: name it in `key` beside the other ones",
                               fields[order[i]].name);
        }
    }
    return MR_OK;
}

static mr_row_error encode_integer(mr_key_format format, int64_t value, uint8_t *out,
                                   uint32_t *size_bytes)
{
    *size_bytes = format == MR_KEY_INT32 ? 4 : 8;
    if (format == MR_KEY_INT32 && (value < INT32_MIN || value > INT32_MAX)) {
        return MR_ROW_22003;
    }
    for (uint32_t i = 0; i < *size_bytes; i++) {
        out[i] = (uint8_t)((uint64_t)value >> (8 * (*size_bytes - 1 - i)));
    }
    return MR_ROW_OK;
}

/* One column that is not written as JSON. */
static uint32_t lone_bound(mr_key_format format, const mr_field *field, const mr_column *column,
                           uint32_t row)
{
    if (field->type != MR_TEXT && field->type != MR_BYTEA) {
        return MR_CELL_TEXT_MAX;
    }
    if (!mr_column_valid(column, row)) {
        return 0;
    }
    const uint32_t size_bytes = column->as.views[row].size_bytes;
    if (format != MR_KEY_TEXT || field->type == MR_TEXT) {
        return size_bytes;
    }
    const uint64_t hex_bytes = mr_hex_bytes(size_bytes);
    return hex_bytes > UINT32_MAX ? UINT32_MAX : (uint32_t)hex_bytes;
}

static uint32_t encode_text(mr_key_format format, const mr_batch *in, uint32_t row, uint32_t column,
                            uint8_t *out)
{
    const mr_field *field = &in->schema->fields[column];
    if (format == MR_KEY_TEXT && field->type == MR_BYTEA) {
        const mr_view bytes = in->columns[column].as.views[row];
        return mr_hex_print(bytes.bytes, bytes.size_bytes, out);
    }
    uint8_t text[MR_CELL_TEXT_MAX];
    double room = 0;
    const mr_column source = without_negative_zero(&in->columns[column], field, &row, &room);
    const mr_view view = mr_cell_to_text(field, &source, row, text);

    if (view.size_bytes > 0) {
        memcpy(out, view.bytes, view.size_bytes);
    }
    return view.size_bytes;
}

static uint32_t encode_json(const mr_batch *in, uint32_t row, const uint16_t *columns,
                            uint32_t column_count, bool with_names, uint8_t *out)
{
    const char *previous = NULL;
    uint32_t at = 0;

    for (uint32_t i = 0; i < column_count; i++) {
        const mr_field *field = &in->schema->fields[columns[i]];
        uint32_t source_row = row;
        double room = 0;
        const mr_column source =
            without_negative_zero(&in->columns[columns[i]], field, &source_row, &room);
        if (with_names) {
            at += mr_json_name_put(previous, field->name, out + at);
            previous = field->name;
        } else {
            out[at++] = i > 0 ? ',' : '[';
        }
        if (mr_column_valid(&source, source_row)) {
            at += mr_cell_to_json(field, &source, source_row, &key_style, out + at);
        } else {
            memcpy(out + at, "null", 4);
            at += 4;
        }
    }
    if (with_names) {
        return at + mr_json_name_end(previous, out + at);
    }
    out[at++] = ']';
    return at;
}

/* The column itself, or one cell with 0 in `room`: the two zeros are one key. */
static mr_column without_negative_zero(const mr_column *column, const mr_field *field,
                                       uint32_t *row, double *room)
{
    if (field->type == MR_DOUBLE && mr_column_valid(column, *row) &&
        column->as.doubles[*row] == 0.0) {
        *room = 0.0;
        *row = 0;
        return (mr_column){.as.doubles = room};
    }
    return *column;
}
