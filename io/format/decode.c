/*
 * decode.c - records into a batch: what all sources have in common, whatever their format.
 *
 * The order of judgement of a record: a null value (`tombstones`), its size, its value, its key,
 * its headers, NULL in a key column, its event time; the first fault counts. A row in error is
 * emptied, so that nobody who looks at it meets what an older batch left there. Columns nobody
 * needs are all NULL.
 */
#include "engine/base/assert.h"
#include "engine/batch/batch.h"
#include "engine/expr/expr.h"
#include "io/format/format_private.h"
#include "io/format/meta_read_private.h"
#include "io/format/record_key_private.h"
#include <string.h>

enum { EVENT_TIME_SCRATCH_BYTES = 256 << 10 };

struct mr_decoder {
    const mr_source_common *common;
    uint32_t record_bytes_max;
    void *format_self;
    mr_key_reader *key;                 /* NULL = no column from the key. */
    mr_meta_reader *meta;               /* Meta and header columns. */
    mr_eval *event_time;                /* NULL = meta.timestamp */
    bool is_dropped[MR_BATCH_ROWS_MAX]; /* Tombstones of this batch that say nothing. */
};

static mr_status open_parts(mr_decoder *decoder, const mr_decoder_options *options, mr_arena *arena,
                            mr_diag *diag);
static bool admit(mr_decoder *decoder, const mr_fetch_record *records, uint32_t count,
                  mr_row_error *errors);
static void set_times(const mr_fetch_record *records, uint32_t first, uint32_t count, bool is_final,
                      mr_batch *out, mr_row_error *errors);
static void hide_columns(const mr_decoder *decoder, const mr_fetch_record *records, uint32_t count,
                         mr_batch *out);
static uint32_t read_rest(mr_decoder *decoder, const mr_fetch *fetch, uint32_t first,
                          uint32_t count, mr_batch *out, mr_row_error *errors);
static void check_nulls(const mr_decoder *decoder, uint32_t count, const mr_batch *out,
                        mr_row_error *errors);
static mr_status set_event_times(mr_decoder *decoder, mr_batch *out, mr_row_error *errors);
static void finish(const mr_decoder *decoder, uint32_t count, mr_batch *out,
                   const mr_row_error *errors);

mr_status mr_decoder_open(mr_decoder **decoder, const mr_decoder_options *options, mr_arena *arena,
                          mr_diag *diag)
{
    MR_ASSERT(decoder != NULL && options->common->format->refused == NULL);
    MR_ASSERT(options->record_bytes_max > 0);
    MR_ASSERT(options->common->schema->mode == MR_APPEND); /* Refused by the plan (M0109). */
    *decoder = NULL;
    mr_decoder *made = mr_arena_take(arena, sizeof(*made));
    if (made == NULL) {
        return mr_diag_set(diag, MR_ERR_MEMORY, 0, "no memory for a decoder");
    }
    made->common = options->common;
    made->record_bytes_max = options->record_bytes_max;
    const mr_status status = open_parts(made, options, arena, diag);
    if (status != MR_OK) {
        mr_decoder_close(made);
        return status;
    }
    *decoder = made;
    return MR_OK;
}

void mr_decoder_close(mr_decoder *decoder)
{
    if (decoder == NULL) {
        return;
    }
    const mr_format_type *format = decoder->common->format;
    if (decoder->format_self != NULL && format->close_read != NULL) {
        format->close_read(decoder->format_self);
    }
    decoder->format_self = NULL;
    mr_key_reader_close(decoder->key);
    decoder->key = NULL;
}

mr_status mr_decoder_run(mr_decoder *decoder, const mr_fetch *fetch, uint32_t first, uint32_t count,
                         mr_batch *out, mr_row_error *errors, uint32_t *used)
{
    const mr_fetch_record *records = fetch->records + first;

    MR_ASSERT(decoder != NULL && out->row_count == 0);
    MR_ASSERT(count > 0 && count <= MR_BATCH_ROWS_MAX && first + count <= fetch->record_count);
    const bool any_tombstone = admit(decoder, records, count, errors);
    set_times(records, first, count, decoder->event_time == NULL, out, errors);
    hide_columns(decoder, records, any_tombstone ? count : 0, out);
    uint32_t rows =
        decoder->common->format->decode(decoder->format_self, records, count, out, errors);
    MR_ASSERT(rows > 0 && rows <= count);
    rows = read_rest(decoder, fetch, first, rows, out, errors);
    check_nulls(decoder, rows, out, errors);
    finish(decoder, rows, out, errors);
    *used = rows;
    if (decoder->event_time == NULL) {
        return MR_OK;
    }
    const mr_status status = set_event_times(decoder, out, errors);
    if (status == MR_OK) {
        finish(decoder, rows, out, errors);
    }
    return status;
}

const char *mr_decoder_blame(const mr_decoder *decoder, uint32_t row, mr_row_error error)
{
    const mr_format_type *format = decoder->common->format;
    const bool is_of_format =
        error == MR_ROW_DECODE_TYPE || error == MR_ROW_DECODE_NULL || error == MR_ROW_DECODE_UTF8;

    MR_ASSERT(row < MR_BATCH_ROWS_MAX && error != MR_ROW_OK);
    return is_of_format && format->blame != NULL ? format->blame(decoder->format_self, row) : NULL;
}

static mr_status open_parts(mr_decoder *decoder, const mr_decoder_options *options, mr_arena *arena,
                            mr_diag *diag)
{
    const mr_source_common *common = options->common;
    const mr_read_options read = {.schema = common->schema,
                                  .fields = common->fields,
                                  .records = common->records,
                                  .record_count = common->record_count,
                                  .spec = common->format_spec,
                                  .record_bytes_max = options->record_bytes_max};

    mr_status status = common->format->open_read(&decoder->format_self, &read, arena, diag);
    if (status == MR_OK) {
        status = mr_key_reader_open(&decoder->key, common, options->record_bytes_max, arena, diag);
    }
    if (status == MR_OK) {
        status = mr_meta_reader_open(&decoder->meta, common, options->topic, arena, diag);
    }
    if (status == MR_OK && common->event_time != NULL) {
        decoder->event_time =
            mr_eval_create(arena, &common->event_time, 1, EVENT_TIME_SCRATCH_BYTES);
        if (decoder->event_time == NULL) {
            return mr_diag_set(diag, MR_ERR_MEMORY, 0, "no memory for the event_time expression");
        }
    }
    return status;
}

/* What can be said of a record without reading it; whether there is a tombstone. */
static bool admit(mr_decoder *decoder, const mr_fetch_record *records, uint32_t count,
                  mr_row_error *errors)
{
    const mr_tombstones tombstones = decoder->common->tombstones;
    bool any = false;

    for (uint32_t row = 0; row < count; row++) {
        const bool is_tombstone = records[row].value.bytes == NULL;
        any = any || is_tombstone;
        decoder->is_dropped[row] = is_tombstone && tombstones == MR_TOMBSTONE_DROP;
        errors[row] = MR_ROW_OK;
        if (is_tombstone && tombstones == MR_TOMBSTONE_ERROR) {
            errors[row] = MR_ROW_TOMBSTONE;
        } else if (records[row].value.size_bytes > decoder->record_bytes_max) {
            errors[row] = MR_ROW_TOO_LARGE;
        }
    }
    return any;
}

/* `is_final`: the timestamp is the event time, so there must be one. */
static void set_times(const mr_fetch_record *records, uint32_t first, uint32_t count, bool is_final,
                      mr_batch *out, mr_row_error *errors)
{
    int64_t *times = mr_batch_event_times(out);
    uint16_t *numbers = mr_batch_records(out);

    MR_ASSERT(first + count <= UINT16_MAX);
    for (uint32_t row = 0; row < count; row++) {
        const int64_t timestamp_ms = records[row].timestamp_ms;
        const bool is_time = mr_meta_is_timestamp(timestamp_ms);
        times[row] = is_time ? timestamp_ms * 1000 : 0;
        numbers[row] = (uint16_t)(first + row);
        if (is_final && !is_time && errors[row] == MR_ROW_OK) {
            errors[row] = MR_ROW_EVENT_TIME;
        }
    }
}

/* Columns that are not filled are NULL: unneeded ones, and those of the value of a tombstone, which
 * is looked for in `count` records. */
static void hide_columns(const mr_decoder *decoder, const mr_fetch_record *records, uint32_t count,
                         mr_batch *out)
{
    const mr_source_common *common = decoder->common;

    for (uint32_t i = 0; i < common->schema->field_count; i++) {
        const mr_field_spec *spec = &common->fields[i];
        if (!spec->needed) {
            memset(mr_batch_validity(out, i), 0, MR_BATCH_WORDS_MAX * sizeof(uint64_t));
            continue;
        }
        for (uint32_t row = 0; row < count && spec->from == MR_FROM_VALUE; row++) {
            if (records[row].value.bytes == NULL) {
                mr_cell_set_null(out, i, row);
            }
        }
    }
}

/* Key, header and meta columns; returns the rows done, as the scratch may end. */
static uint32_t read_rest(mr_decoder *decoder, const mr_fetch *fetch, uint32_t first,
                          uint32_t count, mr_batch *out, mr_row_error *errors)
{
    uint8_t *scratch = NULL;
    uint8_t *scratch_end = NULL;
    uint32_t row = 0;

    mr_meta_reader_fill(decoder->meta, fetch, first, count, out);
    if (decoder->key != NULL) {
        mr_key_reader_begin(decoder->key, out);
    } else if (!mr_meta_reader_reads_records(decoder->meta)) {
        return count;
    }
    mr_batch_scratch_room(out, &scratch, &scratch_end);
    for (; row < count; row++) {
        if (errors[row] != MR_ROW_OK || decoder->is_dropped[row]) {
            continue;
        }
        if (decoder->key != NULL) {
            uint8_t *used = scratch;
            errors[row] = mr_key_reader_read(decoder->key, fetch->records[first + row].key, out,
                                             row, &used, scratch_end);
            if (errors[row] == MR_ROW_54000 && row > 0) {
                errors[row] = MR_ROW_OK; /* Has more room as the first of the next batch. */
                break;
            }
            scratch = errors[row] == MR_ROW_OK ? used : scratch;
        }
        if (errors[row] == MR_ROW_OK) {
            errors[row] = mr_meta_reader_read(decoder->meta, fetch, first + row, out, row);
        }
    }
    mr_batch_scratch_used(out, scratch);
    return row;
}

/* NULL in a key column, and in a column of a tombstone that passes but is `not null`. */
static void check_nulls(const mr_decoder *decoder, uint32_t count, const mr_batch *out,
                        mr_row_error *errors)
{
    const mr_source_common *common = decoder->common;
    const mr_schema *schema = common->schema;

    for (uint32_t i = 0; i < schema->field_count; i++) {
        const mr_column *column = &out->columns[i];
        bool is_key = false;
        for (uint32_t k = 0; k < schema->key_count; k++) {
            is_key = is_key || schema->key[k] == i;
        }
        if (column->valid == NULL || !common->fields[i].needed ||
            (!is_key && schema->fields[i].nullable)) {
            continue;
        }
        for (uint32_t row = 0; row < count; row++) {
            if (errors[row] == MR_ROW_OK && !decoder->is_dropped[row] &&
                !mr_column_valid(column, row)) {
                errors[row] = is_key ? MR_ROW_KEY_NULL : MR_ROW_DECODE_NULL;
            }
        }
    }
}

static mr_status set_event_times(mr_decoder *decoder, mr_batch *out, mr_row_error *errors)
{
    int64_t *times = mr_batch_event_times(out);
    const mr_status status = mr_eval_run(decoder->event_time, out);

    if (status != MR_OK) {
        return status;
    }
    const mr_column *column = mr_eval_column(decoder->event_time, 0);
    const mr_row_error *failed = mr_eval_errors(decoder->event_time);
    for (uint32_t i = 0; i < out->selected_count; i++) {
        const uint32_t row = mr_batch_row(out, i);
        if ((failed != NULL && failed[row] != MR_ROW_OK) || !mr_column_valid(column, row)) {
            errors[row] = MR_ROW_EVENT_TIME;
        } else {
            times[row] = column->as.integers[row];
        }
    }
    return MR_OK;
}

/* Empties the bad rows and selects the good ones. */
static void finish(const mr_decoder *decoder, uint32_t count, mr_batch *out,
                   const mr_row_error *errors)
{
    const mr_schema *schema = decoder->common->schema;
    uint16_t *selection = mr_batch_selection(out);
    uint32_t selected = 0;

    for (uint32_t row = 0; row < count; row++) {
        selection[selected] = (uint16_t)row;
        selected += errors[row] == MR_ROW_OK && !decoder->is_dropped[row];
        for (uint32_t i = 0; errors[row] != MR_ROW_OK && i < schema->field_count; i++) {
            mr_cell_set_null(out, i, row);
        }
    }
    mr_batch_set_rows(out, count);
    if (selected < count) {
        mr_batch_select(out, selected);
    }
}
