/*
 * json_read.c - the format `json` of sources: a JSON object a record.
 *
 * Columns are taken by their path; unknown members are tested as JSON and skipped. A missing or
 * null member is the column's `default:` if it has one, else NULL, which is an error for a column
 * that is `not null`. Columns nobody needs are not looked at. What fits which type is in
 * cell_read.c. Texts are views into the record unless they hold escapes.
 *
 * Fields of nested records are columns like others, with a longer path: one walk over the record
 * finds them all. A record in which a needed column lies is one more wanted value, of which only
 * the kind is looked at: an object, or absent, or null.
 */
#include "engine/base/assert.h"
#include "engine/batch/batch.h"
#include "io/format/format_private.h"
#include "io/format/json_format_private.h"
#include <string.h>

typedef struct source_column {
    uint32_t column;
    mr_cell_target target;   /* `cells`: of the batch being filled. */
    const uint8_t *fallback; /* A cell; NULL = none. */
} source_column;

typedef struct json_reader {
    mr_json_reader *reader;
    source_column *columns;
    const mr_record_spec **records; /* Those that are looked at. */
    mr_json_value *values;          /* One a column, then one a record. */
    uint32_t column_count, record_count;
    const char *blamed[MR_BATCH_ROWS_MAX]; /* Column or record of a bad row; NULL = none. */
} json_reader;

static mr_status make_fallback(const mr_field_spec *spec, mr_arena *arena, const uint8_t **fallback,
                               mr_diag *diag);
static mr_status add_columns(json_reader *made, const mr_read_options *options, mr_json_path *paths,
                             mr_arena *arena, mr_diag *diag);
static void add_records(json_reader *made, const mr_read_options *options, mr_json_path *paths);
static mr_row_error read_record(json_reader *self, mr_view record, mr_batch *out, uint32_t row,
                                uint8_t **scratch, uint8_t *scratch_end);
static mr_row_error check_records(json_reader *self, uint32_t row);
static inline mr_row_error fill_column(json_reader *self, uint32_t i, mr_batch *out, uint32_t row,
                                       uint8_t **scratch, uint8_t *scratch_end);

mr_status mr_json_plan_read(mr_arena *arena, const mr_schema *schema, const mr_field_spec *fields,
                            const void **spec, mr_diag *diag)
{
    *spec = NULL;
    for (uint32_t i = 0; i < schema->field_count; i++) {
        if (fields[i].from != MR_FROM_VALUE) {
            continue;
        }
        const uint8_t *fallback = NULL;
        const mr_status status = make_fallback(&fields[i], arena, &fallback, diag);
        if (status != MR_OK) {
            return status;
        }
    }
    return MR_OK;
}

mr_status mr_json_open_read(void **self, const mr_read_options *options, mr_arena *arena,
                            mr_diag *diag)
{
    const uint32_t field_count = options->schema->field_count;
    const uint32_t value_count = field_count + options->record_count;
    json_reader *made = mr_arena_take(arena, sizeof(*made));
    mr_json_path *paths = mr_arena_take_array(arena, value_count, sizeof(*paths));
    source_column *columns = mr_arena_take_array(arena, field_count, sizeof(*columns));
    mr_json_value *values = mr_arena_take_array(arena, value_count, sizeof(*values));
    const mr_record_spec **records =
        mr_arena_take_array(arena, options->record_count + 1, sizeof(mr_record_spec *));

    MR_ASSERT(options->record_count <= MR_RECORDS_MAX && value_count <= MR_JSON_PATHS_MAX);
    if (made == NULL || paths == NULL || columns == NULL || values == NULL || records == NULL) {
        return mr_diag_set(diag, MR_ERR_MEMORY, 0, "no memory for a json reader");
    }
    made->columns = columns;
    made->records = records;
    made->values = values;
    const mr_status status = add_columns(made, options, paths, arena, diag);
    if (status != MR_OK) {
        return status;
    }
    add_records(made, options, paths);
    made->reader = mr_json_reader_open(arena, paths, made->column_count + made->record_count,
                                       options->record_bytes_max);
    if (made->reader == NULL) {
        return mr_diag_set(diag, MR_ERR_MEMORY, 0, "no memory for a json reader");
    }
    *self = made;
    return MR_OK;
}

uint32_t mr_json_decode(void *self, const mr_fetch_record *records, uint32_t count, mr_batch *out,
                        mr_row_error *errors)
{
    json_reader *reader = self;
    uint8_t *scratch = NULL;
    uint8_t *scratch_end = NULL;
    uint32_t row = 0;

    MR_ASSERT(count <= MR_BATCH_ROWS_MAX);
    for (uint32_t i = 0; i < reader->column_count; i++) {
        reader->columns[i].target.cells = mr_batch_cells(out, reader->columns[i].column);
    }
    mr_batch_scratch_room(out, &scratch, &scratch_end);
    for (; row < count; row++) {
        reader->blamed[row] = NULL;
        if (errors[row] != MR_ROW_OK || records[row].value.bytes == NULL) {
            continue;
        }
        uint8_t *used = scratch;
        errors[row] = read_record(reader, records[row].value, out, row, &used, scratch_end);
        if (errors[row] == MR_ROW_54000 && row > 0) {
            errors[row] = MR_ROW_OK; /* Has more room as the first of the next batch. */
            break;
        }
        if (errors[row] == MR_ROW_OK) {
            scratch = used;
        }
    }
    mr_batch_scratch_used(out, scratch);
    return row;
}

const char *mr_json_blame(const void *self, uint32_t row)
{
    const json_reader *reader = self;

    MR_ASSERT(row < MR_BATCH_ROWS_MAX);
    return reader->blamed[row];
}

void mr_json_close_read(void *self)
{
    json_reader *reader = self;
    mr_json_reader_close(reader->reader);
}

static mr_status add_columns(json_reader *made, const mr_read_options *options, mr_json_path *paths,
                             mr_arena *arena, mr_diag *diag)
{
    for (uint32_t i = 0; i < options->schema->field_count; i++) {
        const mr_field_spec *spec = &options->fields[i];
        if (spec->from != MR_FROM_VALUE || !spec->needed) {
            continue;
        }
        MR_ASSERT(spec->path_count > 0);
        source_column *column = &made->columns[made->column_count];
        paths[made->column_count] =
            (mr_json_path){.names = spec->path, .name_count = spec->path_count};
        column->column = i;
        column->target = (mr_cell_target){.field = spec->field, .time_format = spec->time_format};
        const mr_status status = make_fallback(spec, arena, &column->fallback, diag);
        if (status != MR_OK) {
            return status;
        }
        made->column_count++;
    }
    return MR_OK;
}

/* Records of the value in which something is needed. */
static void add_records(json_reader *made, const mr_read_options *options, mr_json_path *paths)
{
    for (uint32_t i = 0; i < options->record_count; i++) {
        const mr_record_spec *record = &options->records[i];
        bool is_needed = false;
        MR_ASSERT(record->first_column + record->column_count <= options->schema->field_count);
        for (uint32_t k = 0; k < record->column_count; k++) {
            is_needed = is_needed || options->fields[record->first_column + k].needed;
        }
        if (is_needed && record->from == MR_FROM_VALUE) {
            paths[made->column_count + made->record_count] =
                (mr_json_path){.names = record->path, .name_count = record->path_count};
            made->records[made->record_count++] = record;
        }
    }
}

/* MR_ROW_54000: the scratch does not suffice. */
static mr_row_error read_record(json_reader *self, mr_view record, mr_batch *out, uint32_t row,
                                uint8_t **scratch, uint8_t *scratch_end)
{
    const mr_json_result result = mr_json_read(self->reader, record.bytes, record.size_bytes,
                                               self->values, scratch, scratch_end);

    if (result != MR_JSON_OK) {
        return result == MR_JSON_ROOM ? MR_ROW_54000 : mr_json_row_error(result);
    }
    mr_row_error error = self->record_count > 0 ? check_records(self, row) : MR_ROW_OK;
    for (uint32_t i = 0; i < self->column_count && error == MR_ROW_OK; i++) {
        error = fill_column(self, i, out, row, scratch, scratch_end);
        if (error != MR_ROW_OK) {
            self->blamed[row] = self->columns[i].target.field->name;
        }
    }
    return error;
}

static mr_row_error check_records(json_reader *self, uint32_t row)
{
    for (uint32_t i = 0; i < self->record_count; i++) {
        const mr_json_kind kind = self->values[self->column_count + i].kind;
        const bool is_absent = kind <= MR_JSON_NULL;
        if (kind != MR_JSON_OBJECT && (!is_absent || !self->records[i]->nullable)) {
            self->blamed[row] = self->records[i]->name;
            return is_absent ? MR_ROW_DECODE_NULL : MR_ROW_DECODE_TYPE;
        }
    }
    return MR_ROW_OK;
}

static inline mr_row_error fill_column(json_reader *self, uint32_t i, mr_batch *out, uint32_t row,
                                       uint8_t **scratch, uint8_t *scratch_end)
{
    const source_column *column = &self->columns[i];
    const mr_json_value *value = &self->values[i];

    if (value->kind > MR_JSON_NULL) {
        return mr_cell_from_json(&column->target, row, value, scratch, scratch_end);
    }
    if (column->fallback != NULL) {
        const size_t cell_bytes = mr_type_cell_bytes(column->target.field->type);
        memcpy((uint8_t *)column->target.cells + row * cell_bytes, column->fallback, cell_bytes);
        return MR_ROW_OK;
    }
    if (!column->target.field->nullable) {
        return MR_ROW_DECODE_NULL;
    }
    mr_cell_set_null(out, column->column, row);
    return MR_ROW_OK;
}

/* The cell of `default:`, whose text lives as long as the plan. */
static mr_status make_fallback(const mr_field_spec *spec, mr_arena *arena, const uint8_t **fallback,
                               mr_diag *diag)
{
    char type[MR_TYPE_TEXT_MAX];

    *fallback = NULL;
    if (spec->fallback == NULL) {
        return MR_OK;
    }
    const uint8_t *text = (const uint8_t *)spec->fallback;
    const size_t size_bytes = strlen(spec->fallback);
    mr_int128 *cell = mr_arena_take(arena, sizeof(*cell));
    if (cell == NULL || size_bytes > UINT32_MAX) {
        return mr_diag_set(diag, MR_ERR_MEMORY, 0, "no memory for a default");
    }
    const mr_cell_target target = {.field = spec->field, .cells = cell}; /* Times are ISO. */
    mr_row_error error = MR_ROW_OK;
    if (spec->field->type == MR_JSONB) {
        const uint64_t room = mr_json_canonical_room((uint32_t)size_bytes);
        uint8_t *out = room > UINT32_MAX ? NULL : mr_arena_take(arena, (size_t)room);
        mr_json_result result = MR_JSON_OK;
        if (out == NULL) {
            return mr_diag_set(diag, MR_ERR_MEMORY, 0, "no memory for a default");
        }
        const uint32_t written =
            mr_json_canonical(text, (uint32_t)size_bytes, out, (uint32_t)room, &result);
        *(mr_view *)(void *)cell = (mr_view){.bytes = out, .size_bytes = written};
        error = result == MR_JSON_OK ? MR_ROW_OK : MR_ROW_DECODE_JSON;
    } else {
        error = mr_cell_from_text(&target, 0, text, (uint32_t)size_bytes);
    }
    if (error != MR_ROW_OK) {
        return mr_diag_set(diag, MR_ERR_CONFIG, 0, "column %s: the default `%s` is no %s",
                           spec->field->name, spec->fallback, mr_type_text(spec->field, type));
    }
    *fallback = (const uint8_t *)cell;
    return MR_OK;
}
