/*
 * cell_read.c - one value from text or JSON into a cell, without loss.
 *
 * What would lose something is refused: 1.5 or 2^63 for bigint, digits beyond a numeric's scale
 * (2.500 has one), a number for text, a time outside the years 1-9999. bigint, numeric and double
 * also take a string that holds a number; bytea is base64 text. The rules are those of
 * docs/topology.md, "Fields".
 */
#include "engine/base/assert.h"
#include "engine/base/bytes_text.h"
#include "engine/base/decimal.h"
#include "engine/base/time_interval.h"
#include "engine/base/time_text.h"
#include "engine/base/utf8.h"
#include "engine/batch/batch.h"
#include "io/format/format_private.h"
#include <string.h>

#define TIME_MIN_US INT64_C(-62135596800000000) /* 0001-01-01 */
#define TIME_END_US INT64_C(253402300800000000) /* 10000-01-01 */

enum { DATE_BYTES = 10 }; /* A time of day would be lost. */

static bool read_boolean(const char *text, uint32_t size_bytes, uint8_t *value);
static bool read_bigint(const char *text, uint32_t size_bytes, int64_t *value);
static bool read_double(const char *text, uint32_t size_bytes, double *value);
static bool read_numeric(const mr_field *field, const char *text, uint32_t size_bytes,
                         mr_int128 *value);
static bool read_epoch(mr_time_format format, const char *text, uint32_t size_bytes,
                       int64_t *time_us);
static bool read_time(mr_time_format format, const char *text, uint32_t size_bytes,
                      int64_t *time_us);
static bool read_number(const mr_cell_target *to, uint32_t row, const char *text,
                        uint32_t size_bytes);
static mr_row_error read_jsonb(const mr_cell_target *to, uint32_t row, const mr_json_value *value,
                               uint8_t **scratch, uint8_t *scratch_end);
static mr_row_error read_base64(const mr_cell_target *to, uint32_t row, const mr_json_value *value,
                                uint8_t **scratch, uint8_t *scratch_end);

mr_row_error mr_cell_from_text(const mr_cell_target *to, uint32_t row, const uint8_t *text,
                               uint32_t size_bytes)
{
    const char *chars = (const char *)text;
    bool good = false;

    MR_ASSERT(text != NULL || size_bytes == 0);
    switch (to->field->type) {
    case MR_BOOLEAN:
        good = read_boolean(chars, size_bytes, (uint8_t *)to->cells + row);
        break;
    case MR_BIGINT:
    case MR_DOUBLE:
    case MR_NUMERIC:
        good = read_number(to, row, chars, size_bytes);
        break;
    case MR_TIMESTAMPTZ:
        good = read_time(to->time_format, chars, size_bytes, (int64_t *)to->cells + row);
        break;
    case MR_TEXT:
        if (!mr_utf8_valid(text, size_bytes)) {
            return MR_ROW_DECODE_UTF8;
        }
        __attribute__((fallthrough));
    case MR_BYTEA:
        ((mr_view *)to->cells)[row] = (mr_view){.bytes = text, .size_bytes = size_bytes};
        good = true;
        break;
    case MR_DATE:
        good = size_bytes == DATE_BYTES &&
               mr_date_parse(chars, size_bytes, (int32_t *)to->cells + row) == 0;
        break;
    case MR_INTERVAL:
        good = mr_interval_parse(chars, size_bytes, (mr_interval *)to->cells + row) == 0;
        break;
    case MR_JSONB:
        MR_ASSERT(!"a type with a text form of its own");
    }
    return good ? MR_ROW_OK : MR_ROW_DECODE_TYPE;
}

mr_row_error mr_cell_from_json(const mr_cell_target *to, uint32_t row, const mr_json_value *value,
                               uint8_t **scratch, uint8_t *scratch_end)
{
    const bool is_number = value->kind == MR_JSON_NUMBER;
    const bool is_string = value->kind == MR_JSON_STRING;
    bool good = false;

    MR_ASSERT(value->kind != MR_JSON_MISSING && value->kind != MR_JSON_NULL);
    switch (to->field->type) {
    case MR_BOOLEAN:
        good = value->kind == MR_JSON_TRUE || value->kind == MR_JSON_FALSE;
        ((uint8_t *)to->cells)[row] = value->kind == MR_JSON_TRUE;
        break;
    case MR_BIGINT:
    case MR_DOUBLE:
    case MR_NUMERIC:
        good = (is_number || is_string) && read_number(to, row, value->text, value->size_bytes);
        break;
    case MR_TIMESTAMPTZ:
        good =
            (to->time_format == MR_TIME_ISO ? is_string : is_number) &&
            read_time(to->time_format, value->text, value->size_bytes, (int64_t *)to->cells + row);
        break;
    case MR_TEXT:
        if (is_string && memchr(value->text, '\0', value->size_bytes) != NULL) {
            return MR_ROW_DECODE_UTF8;
        }
        good = is_string;
        ((mr_view *)to->cells)[row] =
            (mr_view){.bytes = (const uint8_t *)value->text, .size_bytes = value->size_bytes};
        break;
    case MR_JSONB:
        return read_jsonb(to, row, value, scratch, scratch_end);
    case MR_DATE:
        good = is_string && value->size_bytes == DATE_BYTES &&
               mr_date_parse(value->text, value->size_bytes, (int32_t *)to->cells + row) == 0;
        break;
    case MR_BYTEA:
        return is_string ? read_base64(to, row, value, scratch, scratch_end) : MR_ROW_DECODE_TYPE;
    case MR_INTERVAL:
        good = is_string && mr_interval_parse(value->text, value->size_bytes,
                                              (mr_interval *)to->cells + row) == 0;
        break;
    }
    return good ? MR_ROW_OK : MR_ROW_DECODE_TYPE;
}

mr_row_error mr_json_row_error(mr_json_result result)
{
    switch (result) {
    case MR_JSON_SYNTAX:
    case MR_JSON_NOT_OBJECT:
        return MR_ROW_DECODE_JSON;
    case MR_JSON_UTF8:
        return MR_ROW_DECODE_UTF8;
    case MR_JSON_DEPTH:
        return MR_ROW_DECODE_DEPTH;
    case MR_JSON_OK:
    case MR_JSON_ROOM:
        break;
    }
    MR_ASSERT(!"a verdict on the record");
    return MR_ROW_DECODE_JSON;
}

void mr_cell_set_null(mr_batch *out, uint32_t column, uint32_t row)
{
    const mr_type type = out->schema->fields[column].type;

    if (type == MR_TEXT || type == MR_BYTEA || type == MR_JSONB) {
        ((mr_view *)mr_batch_cells(out, column))[row] = (mr_view){0};
    }
    mr_batch_set_null(out, column, row);
}

static bool read_boolean(const char *text, uint32_t size_bytes, uint8_t *value)
{
    const bool is_true = size_bytes == 4 && memcmp(text, "true", 4) == 0;

    *value = is_true;
    return is_true || (size_bytes == 5 && memcmp(text, "false", 5) == 0);
}

static bool read_number(const mr_cell_target *to, uint32_t row, const char *text,
                        uint32_t size_bytes)
{
    switch (to->field->type) {
    case MR_BIGINT:
        return read_bigint(text, size_bytes, (int64_t *)to->cells + row);
    case MR_DOUBLE:
        return read_double(text, size_bytes, (double *)to->cells + row);
    default:
        MR_ASSERT(to->field->type == MR_NUMERIC);
        return read_numeric(to->field, text, size_bytes, (mr_int128 *)to->cells + row);
    }
}

/* 1.0 and 1e3 are whole; digits alone, nearly all there is, take the first way. */
static bool read_bigint(const char *text, uint32_t size_bytes, int64_t *value)
{
    mr_int128 unscaled = 0;
    uint32_t scale = 0;

    const int result = mr_integer_parse(text, size_bytes, value);
    if (result != 1) {
        return result == 0;
    }
    if (mr_decimal_parse(text, size_bytes, true, &unscaled, &scale) != 0 || scale != 0 ||
        unscaled < INT64_MIN || unscaled > INT64_MAX) {
        return false;
    }
    *value = (int64_t)unscaled;
    return true;
}

static bool read_double(const char *text, uint32_t size_bytes, double *value)
{
    return mr_double_parse(text, size_bytes, value) == 0;
}

static bool read_numeric(const mr_field *field, const char *text, uint32_t size_bytes,
                         mr_int128 *value)
{
    mr_int128 unscaled = 0;
    uint32_t scale = 0;

    return mr_decimal_parse(text, size_bytes, true, &unscaled, &scale) == 0 &&
           scale <= field->scale && mr_decimal_rescale(unscaled, scale, field->scale, value) &&
           mr_decimal_fits(*value, field->precision);
}

static bool read_time(mr_time_format format, const char *text, uint32_t size_bytes,
                      int64_t *time_us)
{
    if (format == MR_TIME_ISO) {
        return mr_time_parse(text, size_bytes, time_us) == 0;
    }
    return read_epoch(format, text, size_bytes, time_us);
}

/* Fractions down to a microsecond. */
static bool read_epoch(mr_time_format format, const char *text, uint32_t size_bytes,
                       int64_t *time_us)
{
    const uint32_t scale_max = format == MR_TIME_EPOCH_S ? 6 : format == MR_TIME_EPOCH_MS ? 3 : 0;
    mr_int128 unscaled = 0;
    uint32_t scale = 0;
    mr_int128 us = 0;

    if (mr_decimal_parse(text, size_bytes, true, &unscaled, &scale) != 0 || scale > scale_max ||
        !mr_decimal_rescale(unscaled, scale, scale_max, &us) || us < TIME_MIN_US ||
        us >= TIME_END_US) {
        return false;
    }
    *time_us = (int64_t)us;
    return true;
}

static mr_row_error read_jsonb(const mr_cell_target *to, uint32_t row, const mr_json_value *value,
                               uint8_t **scratch, uint8_t *scratch_end)
{
    uint8_t *out = *scratch;
    uint64_t room = (uint64_t)(scratch_end - out);
    mr_json_result result = MR_JSON_OK;
    uint32_t size_bytes = 0;

    room = room > UINT32_MAX ? UINT32_MAX : room;
    if (room == 0) {
        return MR_ROW_54000;
    }
    if (value->kind == MR_JSON_STRING) {
        /* The reader has unescaped it. */
        if (memchr(value->text, '\0', value->size_bytes) != NULL) {
            return MR_ROW_DECODE_UTF8;
        }
        size_bytes =
            mr_json_quote((const uint8_t *)value->text, value->size_bytes, out, (uint32_t)room);
        result = size_bytes == 0 ? MR_JSON_ROOM : MR_JSON_OK;
    } else {
        size_bytes = mr_json_canonical((const uint8_t *)value->text, value->size_bytes, out,
                                       (uint32_t)room, &result);
    }
    if (result == MR_JSON_ROOM) {
        return MR_ROW_54000;
    }
    if (result != MR_JSON_OK) {
        return mr_json_row_error(result);
    }
    ((mr_view *)to->cells)[row] = (mr_view){.bytes = out, .size_bytes = size_bytes};
    *scratch = out + size_bytes;
    return MR_ROW_OK;
}

static mr_row_error read_base64(const mr_cell_target *to, uint32_t row, const mr_json_value *value,
                                uint8_t **scratch, uint8_t *scratch_end)
{
    uint8_t *out = *scratch;

    if ((size_t)(scratch_end - out) < (size_t)value->size_bytes / 4 * 3 || out == scratch_end) {
        return MR_ROW_54000;
    }
    const int64_t size_bytes =
        mr_base64_parse((const uint8_t *)value->text, value->size_bytes, out);
    if (size_bytes < 0) {
        return MR_ROW_DECODE_TYPE;
    }
    ((mr_view *)to->cells)[row] = (mr_view){.bytes = out, .size_bytes = (uint32_t)size_bytes};
    *scratch = out + size_bytes;
    return MR_ROW_OK;
}
