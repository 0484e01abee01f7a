/* batch_text.c - see batch_text.h. */
#include "tests/support/batch_text.h"
#include "engine/base/assert.h"
#include "engine/base/decimal.h"
#include "engine/base/time_interval.h"
#include "engine/base/time_text.h"
#include "engine/batch/batch.h"
#include <stdio.h>
#include <string.h>

enum { SCRATCH_BYTES = 64 << 10, CELL_MAX = 4096 };

static void read_field(mr_arena *arena, const char *text, size_t size_bytes, mr_field *field);
static void set_cell(mr_batch *batch, uint32_t column, uint32_t row, const char *text,
                     uint32_t size_bytes);
static uint32_t print_cell(const mr_field *field, const mr_column *column, uint32_t row,
                           char out[CELL_MAX]);

mr_schema *mr_test_schema(mr_arena *arena, const char *columns)
{
    mr_schema *schema = mr_arena_take(arena, sizeof(*schema));
    mr_field *fields = mr_arena_take_array(arena, MR_KEY_FIELDS_MAX, sizeof(*fields));

    MR_ASSERT(schema != NULL && fields != NULL);
    schema->fields = fields;
    for (const char *at = columns; *at != '\0';) {
        /* A comma inside numeric(p,s) belongs to the type. */
        const char *end = at;
        for (int depth = 0; *end != '\0' && (*end != ',' || depth > 0); end++) {
            depth += *end == '(' ? 1 : *end == ')' ? -1 : 0;
        }
        MR_ASSERT(schema->field_count < MR_KEY_FIELDS_MAX);
        read_field(arena, at, (size_t)(end - at), &fields[schema->field_count++]);
        at = *end == ',' ? end + 1 : end;
        at += strspn(at, " ");
    }
    return schema;
}

mr_batch *mr_test_batch(mr_arena *arena, const mr_schema *schema, const char *rows)
{
    mr_batch_pool *pool = mr_batch_pool_create(arena, schema, 1, SCRATCH_BYTES, false);
    MR_ASSERT(pool != NULL);
    mr_batch *batch = mr_batch_take(pool);
    uint32_t row = 0;

    for (const char *at = rows; *at != '\0'; row++) {
        const size_t line_bytes = strcspn(at, "\n");
        const char *end = at + line_bytes;
        for (uint32_t column = 0; column < schema->field_count; column++) {
            const char *cell_end = memchr(at, '|', (size_t)(end - at));
            cell_end = cell_end == NULL ? end : cell_end;
            MR_ASSERT((cell_end == end) == (column + 1 == schema->field_count));
            set_cell(batch, column, row, at, (uint32_t)(cell_end - at));
            at = cell_end == end ? end : cell_end + 1;
        }
        mr_batch_event_times(batch)[row] = (int64_t)row * 1000;
        at = *end == '\n' ? end + 1 : end;
    }
    mr_batch_set_rows(batch, row);
    return batch;
}

const char *mr_test_rows(mr_arena *arena, const mr_batch *batch)
{
    char *text = mr_arena_print(arena, "%s", "");

    for (uint32_t i = 0; i < batch->selected_count; i++) {
        for (uint32_t column = 0; column < batch->schema->field_count; column++) {
            char cell[CELL_MAX];
            const uint32_t size_bytes =
                print_cell(&batch->schema->fields[column], &batch->columns[column],
                           mr_batch_row(batch, i), cell);
            text = mr_arena_print(arena, "%s%s%.*s", text,
                                  column > 0 ? "|"
                                  : i > 0    ? "\n"
                                             : "",
                                  (int)size_bytes, cell);
            MR_ASSERT(text != NULL);
        }
    }
    return text;
}

static void read_field(mr_arena *arena, const char *text, size_t size_bytes, mr_field *field)
{
    static const struct {
        const char *name;
        mr_type type;
    } types[] = {{"boolean", MR_BOOLEAN},         {"bigint", MR_BIGINT}, {"double", MR_DOUBLE},
                 {"numeric", MR_NUMERIC},         {"text", MR_TEXT},     {"bytea", MR_BYTEA},
                 {"timestamptz", MR_TIMESTAMPTZ}, {"jsonb", MR_JSONB},   {"date", MR_DATE},
                 {"interval", MR_INTERVAL}};
    const char *copy = mr_arena_copy(arena, text, size_bytes);
    char name[MR_NAME_BYTES_MAX + 1];
    char type[32];
    bool found = false;

    MR_ASSERT(copy != NULL && sscanf(copy, "%63s %31[a-z]", name, type) == 2);
    field->name = mr_arena_copy(arena, name, strlen(name));
    field->nullable = strstr(copy, "not null") == NULL;
    field->hidden = strstr(copy, "hidden") != NULL;
    for (size_t i = 0; i < MR_LENGTH(types); i++) {
        if (strcmp(type, types[i].name) == 0) {
            field->type = types[i].type;
            found = true;
        }
    }
    MR_ASSERT(found);
    if (field->type == MR_NUMERIC) {
        unsigned precision = 0;
        unsigned scale = 0;
        const char *bracket = strchr(copy, '(');
        MR_ASSERT(bracket != NULL && sscanf(bracket, "(%u,%u)", &precision, &scale) == 2);
        field->precision = (uint8_t)precision;
        field->scale = (uint8_t)scale;
    }
}

static void set_cell(mr_batch *batch, uint32_t column, uint32_t row, const char *text,
                     uint32_t size_bytes)
{
    const mr_field *field = &batch->schema->fields[column];
    void *cells = mr_batch_cells(batch, column);
    uint32_t scale = 0;
    mr_int128 unscaled = 0;
    bool good = true;

    if (size_bytes == 2 && memcmp(text, "\\N", 2) == 0) {
        mr_batch_set_null(batch, column, row);
        return;
    }
    switch (field->type) {
    case MR_BOOLEAN:
        ((uint8_t *)cells)[row] = text[0] == 't';
        break;
    case MR_BIGINT:
        good = mr_integer_parse(text, size_bytes, (int64_t *)cells + row) == 0;
        break;
    case MR_DOUBLE:
        good = mr_double_parse(text, size_bytes, (double *)cells + row) == 0;
        break;
    case MR_NUMERIC:
        good = mr_decimal_parse(text, size_bytes, true, &unscaled, &scale) == 0 &&
               mr_decimal_rescale(unscaled, scale, field->scale, (mr_int128 *)cells + row);
        break;
    case MR_DATE:
        good = mr_date_parse(text, size_bytes, (int32_t *)cells + row) == 0;
        break;
    case MR_TIMESTAMPTZ:
        good = mr_time_parse(text, size_bytes, (int64_t *)cells + row) == 0;
        break;
    case MR_TEXT:
    case MR_BYTEA:
    case MR_JSONB:
        ((mr_view *)cells)[row] =
            (mr_view){.bytes = (const uint8_t *)text, .size_bytes = size_bytes};
        break;
    case MR_INTERVAL:
        good = mr_interval_parse(text, size_bytes, (mr_interval *)cells + row) == 0;
        break;
    }
    MR_ASSERT(good);
}

static uint32_t print_cell(const mr_field *field, const mr_column *column, uint32_t row,
                           char out[CELL_MAX])
{
    if (!mr_column_valid(column, row)) {
        memcpy(out, "\\N", 2);
        return 2;
    }
    switch (field->type) {
    case MR_BOOLEAN:
        out[0] = column->as.booleans[row] != 0 ? 't' : 'f';
        return 1;
    case MR_BIGINT:
        return mr_integer_print(column->as.integers[row], out);
    case MR_DOUBLE:
        return mr_double_print(column->as.doubles[row], out);
    case MR_NUMERIC:
        return mr_decimal_print(column->as.numerics[row], field->scale, out);
    case MR_DATE:
        return mr_date_print(column->as.dates[row], out);
    case MR_TIMESTAMPTZ:
        return mr_time_print(column->as.integers[row], out);
    case MR_TEXT:
    case MR_BYTEA:
    case MR_JSONB: {
        const mr_view view = column->as.views[row];
        MR_ASSERT(view.size_bytes <= CELL_MAX);
        memcpy(out, view.bytes, view.size_bytes);
        return view.size_bytes;
    }
    case MR_INTERVAL:
        return mr_interval_print(column->as.intervals[row], out);
    }
    MR_ASSERT(!"a type of these tests");
    return 0;
}
