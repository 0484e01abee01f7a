/*
 * meta_read.c - topic, partition, offset, timestamp, key and headers of a record as columns.
 *
 * Of headers with equal names the last one wins. Their texts and the key's are views into the
 * fetch. Limit: 256 headers of a record are looked at.
 */
#include "engine/base/assert.h"
#include "engine/batch/batch.h"
#include "io/format/format_private.h"
#include "io/format/meta_read_private.h"
#include <string.h>

enum { PAIRS_MAX = 2 * 256 };

#define TIME_MIN_MS INT64_C(-62135596800000) /* 0001-01-01 */
#define TIME_END_MS INT64_C(253402300800000) /* 10000-01-01 */

struct mr_meta_reader {
    const mr_source_common *common;
    mr_view topic;
    uint32_t *filled;  /* Columns that cannot fail. */
    uint32_t *checked; /* Header columns and the key as text. */
    uint32_t filled_count, checked_count;
    bool reads_headers;
    mr_view pairs[PAIRS_MAX];
};

static mr_row_error read_text(const mr_source_common *common, uint32_t column, mr_view text,
                              mr_batch *out, uint32_t row);
static mr_view find_header(const mr_meta_reader *reader, uint32_t view_count, const char *name);

mr_status mr_meta_reader_open(mr_meta_reader **reader, const mr_source_common *common,
                              const char *topic, mr_arena *arena, mr_diag *diag)
{
    const uint32_t field_count = common->schema->field_count;
    mr_meta_reader *made = mr_arena_take(arena, sizeof(*made));
    uint32_t *filled = mr_arena_take_array(arena, field_count, sizeof(*filled));
    uint32_t *checked = mr_arena_take_array(arena, field_count, sizeof(*checked));

    if (made == NULL || filled == NULL || checked == NULL) {
        return mr_diag_set(diag, MR_ERR_MEMORY, 0, "no memory for a reader of meta columns");
    }
    made->common = common;
    made->filled = filled;
    made->checked = checked;
    made->topic = (mr_view){.bytes = (const uint8_t *)topic,
                            .size_bytes = topic == NULL ? 0 : (uint32_t)strlen(topic)};
    for (uint32_t i = 0; i < field_count; i++) {
        const mr_field_spec *spec = &common->fields[i];
        if (!spec->needed || spec->from == MR_FROM_VALUE || spec->from == MR_FROM_KEY) {
            continue;
        }
        const bool is_header = spec->from == MR_FROM_HEADER || spec->meta == MR_META_HEADER;
        MR_ASSERT(!is_header || (spec->header != NULL && spec->field->type != MR_JSONB));
        made->reads_headers = made->reads_headers || is_header;
        if (is_header || spec->meta == MR_META_KEY) {
            made->checked[made->checked_count++] = i;
        } else {
            MR_ASSERT(spec->meta != MR_META_TOPIC || topic != NULL);
            made->filled[made->filled_count++] = i;
        }
    }
    *reader = made;
    return MR_OK;
}

bool mr_meta_is_timestamp(int64_t timestamp_ms)
{
    return timestamp_ms != -1 && timestamp_ms >= TIME_MIN_MS && timestamp_ms < TIME_END_MS;
}

void mr_meta_reader_fill(const mr_meta_reader *reader, const mr_fetch *fetch, uint32_t first,
                         uint32_t count, mr_batch *out)
{
    const mr_fetch_record *records = fetch->records + first;

    for (uint32_t i = 0; i < reader->filled_count; i++) {
        const uint32_t column = reader->filled[i];
        const mr_meta meta = reader->common->fields[column].meta;
        int64_t *integers = mr_batch_cells(out, column);
        mr_view *views = mr_batch_cells(out, column);
        for (uint32_t row = 0; row < count; row++) {
            const mr_fetch_record *record = &records[row];
            switch (meta) {
            case MR_META_TOPIC:
                views[row] = reader->topic;
                break;
            case MR_META_PARTITION:
                integers[row] = fetch->partition;
                break;
            case MR_META_OFFSET:
                integers[row] = record->offset;
                break;
            case MR_META_TIMESTAMP:
                if (mr_meta_is_timestamp(record->timestamp_ms)) {
                    integers[row] = record->timestamp_ms * 1000;
                } else {
                    mr_batch_set_null(out, column, row);
                }
                break;
            case MR_META_KEY_BYTES:
                views[row] = record->key;
                if (record->key.bytes == NULL) {
                    mr_batch_set_null(out, column, row);
                }
                break;
            case MR_META_KEY:
            case MR_META_HEADER:
                MR_ASSERT(!"read record by record");
            }
        }
    }
}

bool mr_meta_reader_reads_records(const mr_meta_reader *reader)
{
    return reader->checked_count > 0;
}

mr_row_error mr_meta_reader_read(mr_meta_reader *reader, const mr_fetch *fetch, uint32_t record,
                                 mr_batch *out, uint32_t row)
{
    uint32_t view_count = 0;

    MR_ASSERT(record < fetch->record_count);
    if (reader->reads_headers && fetch->headers != NULL) {
        view_count = fetch->headers(fetch, record, reader->pairs, PAIRS_MAX);
        MR_ASSERT(view_count <= PAIRS_MAX && view_count % 2 == 0);
    }
    for (uint32_t i = 0; i < reader->checked_count; i++) {
        const uint32_t column = reader->checked[i];
        const mr_field_spec *spec = &reader->common->fields[column];
        const bool is_key = spec->from == MR_FROM_META && spec->meta == MR_META_KEY;
        const mr_view text =
            is_key ? fetch->records[record].key : find_header(reader, view_count, spec->header);
        const mr_row_error error = read_text(reader->common, column, text, out, row);
        if (error != MR_ROW_OK) {
            return error;
        }
    }
    return MR_ROW_OK;
}

static mr_row_error read_text(const mr_source_common *common, uint32_t column, mr_view text,
                              mr_batch *out, uint32_t row)
{
    const mr_field_spec *spec = &common->fields[column];
    mr_cell_target target = {.field = spec->field,
                             .time_format = spec->time_format,
                             .cells = mr_batch_cells(out, column)};

    if (text.bytes == NULL && spec->fallback != NULL) {
        target.time_format = MR_TIME_ISO;
        text = (mr_view){.bytes = (const uint8_t *)spec->fallback,
                         .size_bytes = (uint32_t)strlen(spec->fallback)};
    }
    if (text.bytes == NULL) {
        mr_cell_set_null(out, column, row);
        return spec->field->nullable ? MR_ROW_OK : MR_ROW_DECODE_NULL;
    }
    return mr_cell_from_text(&target, row, text.bytes, text.size_bytes);
}

/* The last of that name; NULL bytes = none, or a null header. */
static mr_view find_header(const mr_meta_reader *reader, uint32_t view_count, const char *name)
{
    const size_t name_bytes = strlen(name);

    for (uint32_t i = view_count; i >= 2; i -= 2) {
        const mr_view found = reader->pairs[i - 2];
        if (found.size_bytes == name_bytes && memcmp(found.bytes, name, name_bytes) == 0) {
            return reader->pairs[i - 1];
        }
    }
    return (mr_view){0};
}
