/*
 * key_read.c - record keys into the columns that say `from: key`.
 *
 * All of them together are the key: those that `key` names first, in its order, as record_key.c
 * writes them; in a JSON object they are found by their paths, whatever their names and order. A
 * null key makes them all NULL, or their default. Whatever does not decode is MR_ROW_DECODE_KEY.
 * Limit: MR_KEY_FIELDS_MAX columns; the plan has tested that, and their types.
 */
#include "engine/base/assert.h"
#include "engine/base/bytes_text.h"
#include "engine/batch/batch.h"
#include "io/format/format_private.h"
#include "io/format/record_key_private.h"
#include <string.h>

struct mr_key_reader {
    mr_key_format format;
    uint32_t count;
    uint32_t key_bytes_max;
    uint16_t columns[MR_KEY_FIELDS_MAX];
    mr_cell_target targets[MR_KEY_FIELDS_MAX];
    mr_json_path paths[MR_KEY_FIELDS_MAX];
    mr_json_value values[MR_KEY_FIELDS_MAX];
    const char *fallbacks[MR_KEY_FIELDS_MAX]; /* `default:`, NULL = none. */
    mr_json_reader *json;                     /* NULL = the key is not JSON. */
};

static bool add_columns(mr_key_reader *reader, const mr_source_common *common);
static void add_column(mr_key_reader *reader, const mr_field_spec *spec, uint32_t column);
static mr_row_error read_json(mr_key_reader *reader, mr_view key, mr_batch *out, uint32_t row,
                              uint8_t **scratch, uint8_t *scratch_end);
static mr_row_error read_lone(const mr_key_reader *reader, mr_view key, uint32_t row,
                              uint8_t **scratch, uint8_t *scratch_end);
static mr_row_error read_hex(const mr_cell_target *to, mr_view text, uint32_t row,
                             uint8_t **scratch, uint8_t *scratch_end);
static mr_row_error set_null(mr_key_reader *reader, uint32_t i, mr_batch *out, uint32_t row);

mr_status mr_key_reader_open(mr_key_reader **reader, const mr_source_common *common,
                             uint32_t key_bytes_max, mr_arena *arena, mr_diag *diag)
{
    mr_key_reader *made = mr_arena_take(arena, sizeof(*made));

    *reader = NULL;
    if (made == NULL) {
        return mr_diag_set(diag, MR_ERR_MEMORY, 0, "no memory for a key reader");
    }
    made->format = common->key_format;
    made->key_bytes_max = key_bytes_max;
    if (!add_columns(made, common)) {
        return MR_OK;
    }
    if (mr_key_is_json(made->format, made->count)) {
        made->json = mr_json_reader_open(arena, made->paths, made->count, key_bytes_max);
        if (made->json == NULL) {
            return mr_diag_set(diag, MR_ERR_MEMORY, 0, "no memory for a key reader");
        }
    }
    *reader = made;
    return MR_OK;
}

void mr_key_reader_close(mr_key_reader *reader)
{
    if (reader != NULL && reader->json != NULL) {
        mr_json_reader_close(reader->json);
    }
}

void mr_key_reader_begin(mr_key_reader *reader, mr_batch *out)
{
    for (uint32_t i = 0; i < reader->count; i++) {
        reader->targets[i].cells = mr_batch_cells(out, reader->columns[i]);
    }
}

mr_row_error mr_key_reader_read(mr_key_reader *reader, mr_view key, mr_batch *out, uint32_t row,
                                uint8_t **scratch, uint8_t *scratch_end)
{
    if (key.bytes == NULL) {
        mr_row_error first = MR_ROW_OK;
        for (uint32_t i = 0; i < reader->count; i++) {
            const mr_row_error error = set_null(reader, i, out, row);
            first = first == MR_ROW_OK ? error : first;
        }
        return first;
    }
    if (key.size_bytes > reader->key_bytes_max) {
        return MR_ROW_DECODE_KEY;
    }
    return reader->json != NULL ? read_json(reader, key, out, row, scratch, scratch_end)
                                : read_lone(reader, key, row, scratch, scratch_end);
}

/* Whether one of them is needed. */
static bool add_columns(mr_key_reader *reader, const mr_source_common *common)
{
    const mr_schema *schema = common->schema;
    bool is_needed = false;

    for (uint32_t k = 0; k < schema->key_count; k++) {
        const mr_field_spec *spec = &common->fields[schema->key[k]];
        if (spec->from == MR_FROM_KEY) {
            add_column(reader, spec, schema->key[k]);
        }
    }
    const uint32_t named = reader->count;
    for (uint32_t i = 0; i < schema->field_count; i++) {
        const mr_field_spec *spec = &common->fields[i];
        bool is_named = false;
        if (spec->from != MR_FROM_KEY) {
            continue;
        }
        is_needed = is_needed || spec->needed;
        for (uint32_t k = 0; k < named; k++) {
            is_named = is_named || reader->columns[k] == i;
        }
        if (!is_named) {
            add_column(reader, spec, i);
        }
    }
    MR_ASSERT(reader->count <= 1 || mr_key_is_json(reader->format, reader->count));
    return is_needed;
}

static void add_column(mr_key_reader *reader, const mr_field_spec *spec, uint32_t column)
{
    const uint32_t at = reader->count++;

    MR_ASSERT(at < MR_KEY_FIELDS_MAX && spec->path_count > 0);
    MR_ASSERT(mr_record_key_takes(reader->format, spec->field->type));
    reader->columns[at] = (uint16_t)column;
    reader->targets[at].field = spec->field;
    reader->targets[at].time_format = spec->time_format;
    reader->fallbacks[at] = spec->fallback;
    reader->paths[at] = (mr_json_path){.names = spec->path, .name_count = spec->path_count};
}

static mr_row_error read_json(mr_key_reader *reader, mr_view key, mr_batch *out, uint32_t row,
                              uint8_t **scratch, uint8_t *scratch_end)
{
    mr_json_result result = MR_JSON_OK;
    uint32_t value_count = reader->count;

    if (reader->format == MR_KEY_JSON) {
        result = mr_json_read(reader->json, key.bytes, key.size_bytes, reader->values, scratch,
                              scratch_end);
    } else {
        result = mr_json_read_array(reader->json, key.bytes, key.size_bytes, reader->values,
                                    reader->count, &value_count, scratch, scratch_end);
    }
    if (result == MR_JSON_ROOM) {
        return MR_ROW_54000;
    }
    if (result != MR_JSON_OK || value_count != reader->count) {
        return MR_ROW_DECODE_KEY;
    }
    for (uint32_t i = 0; i < reader->count; i++) {
        mr_row_error error = MR_ROW_OK;
        if (reader->values[i].kind <= MR_JSON_NULL) {
            error = set_null(reader, i, out, row);
        } else {
            error = mr_cell_from_json(&reader->targets[i], row, &reader->values[i], scratch,
                                      scratch_end);
            error = error == MR_ROW_OK || error == MR_ROW_54000 ? error : MR_ROW_DECODE_KEY;
        }
        if (error != MR_ROW_OK) {
            return error;
        }
    }
    return MR_ROW_OK;
}

static mr_row_error read_lone(const mr_key_reader *reader, mr_view key, uint32_t row,
                              uint8_t **scratch, uint8_t *scratch_end)
{
    const uint32_t wanted_bytes = reader->format == MR_KEY_INT32 ? 4 : 8;
    uint64_t bits = 0;

    if (reader->format == MR_KEY_TEXT && reader->targets[0].field->type == MR_BYTEA) {
        return read_hex(&reader->targets[0], key, row, scratch, scratch_end);
    }
    if (reader->format != MR_KEY_INT32 && reader->format != MR_KEY_INT64) {
        return mr_cell_from_text(&reader->targets[0], row, key.bytes, key.size_bytes) == MR_ROW_OK
                   ? MR_ROW_OK
                   : MR_ROW_DECODE_KEY;
    }
    if (key.size_bytes != wanted_bytes) {
        return MR_ROW_DECODE_KEY;
    }
    for (uint32_t i = 0; i < wanted_bytes; i++) {
        bits = bits << 8 | key.bytes[i];
    }
    ((int64_t *)reader->targets[0].cells)[row] =
        wanted_bytes == 4 ? (int64_t)(int32_t)(uint32_t)bits : (int64_t)bits;
    return MR_ROW_OK;
}

/* The text form of bytea. */
static mr_row_error read_hex(const mr_cell_target *to, mr_view text, uint32_t row,
                             uint8_t **scratch, uint8_t *scratch_end)
{
    uint8_t *out = *scratch;

    if ((size_t)(scratch_end - out) < text.size_bytes / 2 || out == scratch_end) {
        return MR_ROW_54000;
    }
    const int64_t size_bytes = mr_hex_parse(text.bytes, text.size_bytes, out);
    if (size_bytes < 0) {
        return MR_ROW_DECODE_KEY;
    }
    ((mr_view *)to->cells)[row] = (mr_view){.bytes = out, .size_bytes = (uint32_t)size_bytes};
    *scratch = out + size_bytes;
    return MR_ROW_OK;
}

/* NULL, or the default. */
static mr_row_error set_null(mr_key_reader *reader, uint32_t i, mr_batch *out, uint32_t row)
{
    const char *fallback = reader->fallbacks[i];

    if (fallback != NULL) {
        mr_cell_target target = reader->targets[i];
        target.time_format = MR_TIME_ISO;
        return mr_cell_from_text(&target, row, (const uint8_t *)fallback,
                                 (uint32_t)strlen(fallback)) == MR_ROW_OK
                   ? MR_ROW_OK
                   : MR_ROW_DECODE_KEY;
    }
    mr_cell_set_null(out, reader->columns[i], row);
    return reader->targets[i].field->nullable ? MR_ROW_OK : MR_ROW_KEY_NULL;
}
