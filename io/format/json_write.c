/*
 * json_write.c - the format `json` of sinks: one compact object a row, columns in order.
 *
 * Hidden columns are left out, NULL is `null`; a dot in a column's name is a nested object, with
 * the fields of one record together. What stands between two values - comma, braces, name, colon
 * - is made once, when the sink opens. A row is written without tests of room, behind one test
 * against its bound. What each type looks like is in cell_write.c.
 */
#include "engine/base/assert.h"
#include "engine/batch/batch.h"
#include "io/format/format_private.h"
#include "io/format/json_format_private.h"
#include <string.h>

typedef struct sink_column {
    uint32_t column;
    const mr_field *field;
    const uint8_t *lead; /* `{"name":`, `,"name":`, `},"record":{"name":` */
    uint32_t lead_bytes;
} sink_column;

typedef struct json_writer {
    mr_json_style style;
    sink_column *columns;
    uint32_t column_count;
    const uint8_t *tail; /* The closing braces; `{}` of a row without columns. */
    uint32_t tail_bytes;
    uint32_t frame_bytes; /* Of all leads, and the tail. */
} json_writer;

static mr_status test_names(const mr_schema *schema, mr_diag *diag);
static bool make_lead(sink_column *column, const char *previous, mr_arena *arena);
static uint8_t *write_row(const json_writer *writer, const mr_batch *in, uint32_t row,
                          uint8_t *out);

mr_status mr_json_plan_write(mr_arena *arena, const mr_schema *schema, const char *numbers,
                             const char *times, const void **spec, mr_diag *diag)
{
    mr_json_style *style = mr_arena_take(arena, sizeof(*style));

    *spec = style;
    if (style == NULL) {
        return mr_diag_set(diag, MR_ERR_MEMORY, 0, "no memory for a json writer");
    }
    const mr_status status = test_names(schema, diag);
    if (status != MR_OK) {
        return status;
    }
    if (numbers != NULL && strcmp(numbers, "number") != 0) {
        if (strcmp(numbers, "string") != 0) {
            return mr_diag_set(diag, MR_ERR_CONFIG, 0,
                               "numbers: `%s` is neither `number` nor `string`", numbers);
        }
        style->numbers_as_text = true;
    }
    if (times != NULL && strcmp(times, "iso") != 0) {
        if (strcmp(times, "epoch_ms") != 0 && strcmp(times, "epoch_us") != 0) {
            return mr_diag_set(diag, MR_ERR_CONFIG, 0,
                               "times: `%s` is none of `iso`, `epoch_ms`, `epoch_us`", times);
        }
        style->times = strcmp(times, "epoch_ms") == 0 ? MR_TIMES_EPOCH_MS : MR_TIMES_EPOCH_US;
    }
    return MR_OK;
}

mr_status mr_json_open_write(void **self, const void *spec, const mr_schema *schema,
                             mr_arena *arena, mr_diag *diag)
{
    json_writer *made = mr_arena_take(arena, sizeof(*made));
    sink_column *columns = mr_arena_take_array(arena, schema->field_count, sizeof(*columns));
    uint16_t order[MR_FIELDS_MAX];
    const char *previous = NULL;

    if (made == NULL || columns == NULL) {
        return mr_diag_set(diag, MR_ERR_MEMORY, 0, "no memory for a json writer");
    }
    if (spec != NULL) {
        made->style = *(const mr_json_style *)spec;
    }
    made->columns = columns;
    MR_ASSERT(schema->field_count <= MR_FIELDS_MAX);
    made->column_count = mr_json_order(schema, order);
    for (uint32_t i = 0; i < made->column_count; i++) {
        sink_column *column = &columns[i];
        column->column = order[i];
        column->field = &schema->fields[order[i]];
        if (!make_lead(column, previous, arena)) {
            return mr_diag_set(diag, MR_ERR_MEMORY, 0, "no memory for a json writer");
        }
        previous = column->field->name;
        made->frame_bytes += column->lead_bytes;
    }
    uint8_t *tail = mr_arena_take(arena, mr_json_name_end_room(previous));
    if (tail == NULL) {
        return mr_diag_set(diag, MR_ERR_MEMORY, 0, "no memory for a json writer");
    }
    made->tail = tail;
    made->tail_bytes = mr_json_name_end(previous, tail);
    made->frame_bytes += made->tail_bytes;
    *self = made;
    return MR_OK;
}

uint32_t mr_json_bound(const void *self, const mr_batch *in, uint32_t i)
{
    const json_writer *writer = self;
    const uint32_t row = mr_batch_row(in, i);
    uint64_t size_bytes = writer->frame_bytes;

    MR_ASSERT(i < in->selected_count);
    for (uint32_t c = 0; c < writer->column_count; c++) {
        const sink_column *column = &writer->columns[c];
        size_bytes += mr_cell_json_bound(column->field, &in->columns[column->column], row);
    }
    return size_bytes > UINT32_MAX ? UINT32_MAX : (uint32_t)size_bytes;
}

uint32_t mr_json_encode(void *self, const mr_batch *in, uint32_t first, uint32_t count,
                        mr_view *values, uint8_t **room, uint8_t *room_end)
{
    const json_writer *writer = self;
    uint8_t *out = *room;
    uint32_t done = 0;

    MR_ASSERT(first + count <= in->selected_count && out <= room_end);
    for (; done < count; done++) {
        if ((size_t)(room_end - out) < mr_json_bound(writer, in, first + done)) {
            break;
        }
        uint8_t *end = write_row(writer, in, mr_batch_row(in, first + done), out);
        MR_ASSERT(end <= room_end);
        values[done] = (mr_view){.bytes = out, .size_bytes = (uint32_t)(end - out)};
        out = end;
    }
    *room = out;
    return done;
}

/* A name that is a column and a record at once would be two members of one name. */
static mr_status test_names(const mr_schema *schema, mr_diag *diag)
{
    for (uint32_t i = 0; i < schema->field_count; i++) {
        const mr_field *field = &schema->fields[i];
        for (uint32_t k = 0; k < schema->field_count && !field->hidden; k++) {
            const mr_field *other = &schema->fields[k];
            if (!other->hidden && mr_json_is_record_of(field->name, other->name)) {
                return mr_diag_set(diag, MR_ERR_CONFIG, 0,
                                   "\"%s\" is a column and, with \"%s\", a record: json has one "
                                   "member of a name\nhint: rename one of them in a map",
                                   field->name, other->name);
            }
        }
    }
    return MR_OK;
}

static bool make_lead(sink_column *column, const char *previous, mr_arena *arena)
{
    const char *name = column->field->name;
    const uint32_t room =
        mr_json_name_room(name) + (previous != NULL ? mr_json_name_room(previous) : 0);
    uint8_t *lead = mr_arena_take(arena, room);

    if (lead == NULL) {
        return false;
    }
    column->lead = lead;
    column->lead_bytes = mr_json_name_put(previous, name, lead);
    MR_ASSERT(column->lead_bytes <= room);
    return true;
}

static uint8_t *write_row(const json_writer *writer, const mr_batch *in, uint32_t row, uint8_t *out)
{
    for (uint32_t c = 0; c < writer->column_count; c++) {
        const sink_column *column = &writer->columns[c];
        const mr_column *source = &in->columns[column->column];
        memcpy(out, column->lead, column->lead_bytes);
        out += column->lead_bytes;
        if (mr_column_valid(source, row)) {
            out += mr_cell_to_json(column->field, source, row, &writer->style, out);
        } else {
            memcpy(out, "null", 4);
            out += 4;
        }
    }
    memcpy(out, writer->tail, writer->tail_bytes);
    return out + writer->tail_bytes;
}
