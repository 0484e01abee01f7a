/*
 * raw.c - the format `raw`: the value is one column, byte for byte.
 *
 * A source has one value column of type text (tested as UTF-8) or bytea, a view of the record. A
 * sink writes its only visible column, of type text, bytea or jsonb; NULL is a null value.
 */
#include "engine/base/assert.h"
#include "engine/batch/batch.h"
#include "io/format/format_private.h"
#include <string.h>

enum { NO_COLUMN = 0xffffffff };

typedef struct raw_reader {
    uint32_t column; /* NO_COLUMN = nobody needs it. */
    const mr_field *field;
} raw_reader;

typedef struct raw_writer {
    uint32_t column;
} raw_writer;

static uint32_t visible_column(const mr_schema *schema, uint32_t *count);

static mr_status plan_read(mr_arena *arena, const mr_schema *schema, const mr_field_spec *fields,
                           const void **spec, mr_diag *diag)
{
    uint32_t value_count = 0;

    (void)arena;
    *spec = NULL;
    for (uint32_t i = 0; i < schema->field_count; i++) {
        const mr_field *field = fields[i].field;
        char type[MR_TYPE_TEXT_MAX];
        if (fields[i].from != MR_FROM_VALUE) {
            continue;
        }
        value_count++;
        if (field->type != MR_TEXT && field->type != MR_BYTEA) {
            return mr_diag_set(diag, MR_ERR_CONFIG, 0,
                               "column %s: format raw gives text or bytea, not %s", field->name,
                               mr_type_text(field, type));
        }
        if (fields[i].path_count > 1) {
            return mr_diag_set(diag, MR_ERR_CONFIG, 0,
                               "column %s: the value of format raw has no members, so it has "
                               "neither paths nor records",
                               field->name);
        }
        if (fields[i].fallback != NULL) {
            return mr_diag_set(diag, MR_ERR_CONFIG, 0,
                               "column %s: format raw has no use for a default", field->name);
        }
    }
    if (value_count > 1) {
        return mr_diag_set(diag, MR_ERR_CONFIG, 0,
                           "format raw gives one column of the value, the schema has %u",
                           value_count);
    }
    return MR_OK;
}

static mr_status plan_write(mr_arena *arena, const mr_schema *schema, const char *numbers,
                            const char *times, const void **spec, mr_diag *diag)
{
    uint32_t count = 0;
    char type[MR_TYPE_TEXT_MAX];
    const uint32_t column = visible_column(schema, &count);

    (void)arena;
    *spec = NULL;
    if (numbers != NULL || times != NULL) {
        return mr_diag_set(diag, MR_ERR_CONFIG, 0, "%s: belongs to format json, not to raw",
                           numbers != NULL ? "numbers" : "times");
    }
    if (count != 1) {
        return mr_diag_set(diag, MR_ERR_CONFIG, 0, "format raw writes one column, the input has %u",
                           count);
    }
    const mr_field *field = &schema->fields[column];
    if (field->type != MR_TEXT && field->type != MR_BYTEA && field->type != MR_JSONB) {
        return mr_diag_set(diag, MR_ERR_CONFIG, 0,
                           "column %s: format raw writes text, bytea or jsonb, not %s", field->name,
                           mr_type_text(field, type));
    }
    return MR_OK;
}

static mr_status open_read(void **self, const mr_read_options *options, mr_arena *arena,
                           mr_diag *diag)
{
    raw_reader *made = mr_arena_take(arena, sizeof(*made));

    if (made == NULL) {
        return mr_diag_set(diag, MR_ERR_MEMORY, 0, "no memory for a raw reader");
    }
    made->column = NO_COLUMN;
    for (uint32_t i = 0; i < options->schema->field_count; i++) {
        if (options->fields[i].from == MR_FROM_VALUE && options->fields[i].needed) {
            MR_ASSERT(made->column == NO_COLUMN);
            made->column = i;
            made->field = options->fields[i].field;
        }
    }
    *self = made;
    return MR_OK;
}

static uint32_t decode(void *self, const mr_fetch_record *records, uint32_t count, mr_batch *out,
                       mr_row_error *errors)
{
    const raw_reader *reader = self;

    MR_ASSERT(count <= MR_BATCH_ROWS_MAX);
    if (reader->column == NO_COLUMN) {
        return count;
    }
    const mr_cell_target target = {.field = reader->field,
                                   .cells = mr_batch_cells(out, reader->column)};
    for (uint32_t row = 0; row < count; row++) {
        const mr_view value = records[row].value;
        if (errors[row] == MR_ROW_OK && value.bytes != NULL) {
            errors[row] = mr_cell_from_text(&target, row, value.bytes, value.size_bytes);
        }
    }
    return count;
}

static mr_status open_write(void **self, const void *spec, const mr_schema *schema, mr_arena *arena,
                            mr_diag *diag)
{
    uint32_t count = 0;
    raw_writer *made = mr_arena_take(arena, sizeof(*made));

    (void)spec;
    if (made == NULL) {
        return mr_diag_set(diag, MR_ERR_MEMORY, 0, "no memory for a raw writer");
    }
    made->column = visible_column(schema, &count);
    MR_ASSERT(count == 1);
    *self = made;
    return MR_OK;
}

static uint32_t bound(const void *self, const mr_batch *in, uint32_t i)
{
    const raw_writer *writer = self;
    const mr_column *column = &in->columns[writer->column];
    const uint32_t row = mr_batch_row(in, i);

    MR_ASSERT(i < in->selected_count);
    return mr_column_valid(column, row) ? column->as.views[row].size_bytes : 0;
}

static uint32_t encode(void *self, const mr_batch *in, uint32_t first, uint32_t count,
                       mr_view *values, uint8_t **room, uint8_t *room_end)
{
    const raw_writer *writer = self;
    const mr_column *column = &in->columns[writer->column];
    uint8_t *out = *room;
    uint32_t done = 0;

    MR_ASSERT(first + count <= in->selected_count && out != NULL && out <= room_end);
    for (; done < count; done++) {
        const uint32_t row = mr_batch_row(in, first + done);
        if (!mr_column_valid(column, row)) {
            values[done] = (mr_view){0};
            continue;
        }
        const mr_view value = column->as.views[row];
        if (value.size_bytes > (size_t)(room_end - out)) {
            break;
        }
        if (value.size_bytes > 0) {
            memcpy(out, value.bytes, value.size_bytes);
        }
        values[done] = (mr_view){.bytes = out, .size_bytes = value.size_bytes};
        out += value.size_bytes;
    }
    *room = out;
    return done;
}

/* The first column that is not hidden; how many there are. */
static uint32_t visible_column(const mr_schema *schema, uint32_t *count)
{
    uint32_t first = NO_COLUMN;

    *count = 0;
    for (uint32_t i = 0; i < schema->field_count; i++) {
        if (!schema->fields[i].hidden) {
            first = *count == 0 ? i : first;
            (*count)++;
        }
    }
    return first;
}

const mr_format_type mr_format_raw = {
    .name = "raw",
    .summary = "The value is one column, byte for byte.",
    .plan_read = plan_read,
    .plan_write = plan_write,
    .open_read = open_read,
    .decode = decode,
    .open_write = open_write,
    .bound = bound,
    .encode = encode,
};
