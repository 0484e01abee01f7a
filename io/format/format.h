/*
 * format.h - from record bytes to rows and back: formats, record keys, and what all sources share.
 *
 * A connector uses four things: an mr_decoder (records to a batch: value, key, meta and header
 * columns, tombstones, size limit, event time), an mr_encoder (rows to values), and
 * mr_record_key_encode for record keys. The formats themselves are rows of one table (formats.c),
 * which the composition root hands to the loader. Threads: plan slots control, all else the shard
 * that opened.
 */
#ifndef MR_FORMAT_FORMAT_H
#define MR_FORMAT_FORMAT_H

#include "engine/base/arena.h"
#include <millrace/batch.h>
#include <millrace/row_error.h>
#include <millrace/sink.h>
#include <millrace/source.h>
#include <millrace/status.h>
#include <stdbool.h>
#include <stdint.h>

/* ---- The table of formats ---- */

typedef struct mr_read_options { /* What a reader is opened with; borrowed for its life. */
    const mr_schema *schema;
    const mr_field_spec *fields; /* schema->field_count; only needed ones of the value are read. */
    const mr_record_spec *records; /* What must be an object where a needed column lies in it. */
    uint32_t record_count;
    const void *spec;          /* From plan_read. */
    uint32_t record_bytes_max; /* Larger values never come. */
} mr_read_options;

typedef struct mr_format_type {
    const char *name, *summary;
    const char *refused; /* Not NULL: the word is known, the format is refused with this reason. */

    /*
     * Tests the columns of a source (`fields`, one a column of `schema`) or sink for this format
     * and makes the spec in `arena` (may be NULL afterwards: nothing to keep). MR_ERR_CONFIG with
     * the story in `diag`. `numbers`, `times`: the sink's keys of that name, NULL = default.
     */
    mr_status (*plan_read)(mr_arena *arena, const mr_schema *schema, const mr_field_spec *fields,
                           const void **spec, mr_diag *diag);
    mr_status (*plan_write)(mr_arena *arena, const mr_schema *schema, const char *numbers,
                            const char *times, const void **spec, mr_diag *diag);

    /* Returns owned through `self`; lives as long as `arena`, but needs the close. */
    mr_status (*open_read)(void **self, const mr_read_options *options, mr_arena *arena,
                           mr_diag *diag);
    /*
     * Fills the needed value columns of rows 0..count-1 of `out` from records 0..count-1. A record
     * with errors[i] set already, or with a null value, is left alone (the decoder has dealt with
     * it); a bad one gets its error. Returns how many records are done: fewer than `count` when the
     * text scratch of `out` is full.
     */
    uint32_t (*decode)(void *self, const mr_fetch_record *records, uint32_t count, mr_batch *out,
                       mr_row_error *errors);
    void (*close_read)(void *self); /* May be NULL. */
    /*
     * The column or record that made the error of record `row` of the last call of decode, for
     * messages; NULL = it was not one of them. May be NULL.
     */
    const char *(*blame)(const void *self, uint32_t row);

    mr_status (*open_write)(void **self, const void *spec, const mr_schema *schema, mr_arena *arena,
                            mr_diag *diag);
    /* An upper bound of the bytes of the i-th selected row. */
    uint32_t (*bound)(const void *self, const mr_batch *in, uint32_t i);
    /* As mr_encoder_run. */
    uint32_t (*encode)(void *self, const mr_batch *in, uint32_t first, uint32_t count,
                       mr_view *values, uint8_t **room, uint8_t *room_end);
} mr_format_type;

/* The formats by name, from top to bottom: json, raw; avro and csv are refused. */
extern const mr_format_type *const mr_formats[];
extern const uint32_t mr_format_count;

/* ---- Decoding, for sources ---- */

typedef struct mr_decoder mr_decoder;

typedef struct mr_decoder_options { /* Borrowed for the decoder's life. */
    const mr_source_common *common;
    const char *topic;         /* meta.topic */
    uint32_t record_bytes_max; /* `max_record`: a larger value is MR_ROW_TOO_LARGE. */
} mr_decoder_options;

/*
 * Returns owned through `decoder`; memory is the arena's (OPEN only), but the parser inside needs
 * mr_decoder_close(). MR_ERR_MEMORY or MR_ERR_CONFIG with a story.
 */
MR_MUST_USE mr_status mr_decoder_open(mr_decoder **decoder, const mr_decoder_options *options,
                                      mr_arena *arena, mr_diag *diag);
void mr_decoder_close(mr_decoder *decoder); /* NULL is allowed. */

/*
 * Decodes records `first`..`first + count - 1` of `fetch` into the empty batch `out` and completes
 * it: row i is record first + i (out->record says so), event times are set (meta.timestamp, or the
 * event_time expression), and the selection holds the good rows. errors[i] is the reason of a bad
 * row, MR_ROW_OK of a good one and of a dropped tombstone. `used`: rows made, at least one; fewer
 * than `count` when the batch's text scratch is full: the rest goes into the next batch.
 *
 * Texts are views into the fetch where possible, so it must live until `out` goes home. The caller
 * sets the batch's fetch (mr_batch_set_fetch) before it rejects bad rows. Of `fetch` are read:
 * partition, records (`count` of them), headers (NULL: there are none). `errors` has room for
 * `count`. MR_ERR_OVERFLOW: texts of the event_time expression exceed its scratch.
 */
MR_MUST_USE mr_status mr_decoder_run(mr_decoder *decoder, const mr_fetch *fetch, uint32_t first,
                                     uint32_t count, mr_batch *out, mr_row_error *errors,
                                     uint32_t *used);
/*
 * The column or record that made the error of row `row` of the last run, by its whole name; NULL =
 * none alone. Valid as long as the plan.
 */
const char *mr_decoder_blame(const mr_decoder *decoder, uint32_t row, mr_row_error error);

/* ---- Encoding, for sinks ---- */

typedef struct mr_encoder mr_encoder;

/* Returns owned through `encoder`; lives as long as `arena`. `schema`: what the sink reads. */
MR_MUST_USE mr_status mr_encoder_open(mr_encoder **encoder, const mr_format_type *format,
                                      const void *format_spec, const mr_schema *schema,
                                      mr_arena *arena, mr_diag *diag);
/* An upper bound of the value's bytes of the i-th selected row (saturates at UINT32_MAX). */
uint32_t mr_encoder_bound(const mr_encoder *encoder, const mr_batch *in, uint32_t i);
/*
 * Encodes the selected rows first..first+count-1 while room lasts; returns how many. values[k] is
 * the value of row first + k, a view into the room (NULL bytes: a null value); `room` is moved on.
 * Encoding cannot fail.
 */
uint32_t mr_encoder_run(mr_encoder *encoder, const mr_batch *in, uint32_t first, uint32_t count,
                        mr_view *values, uint8_t **room, uint8_t *room_end);

/* ---- Record keys ---- */

/*
 * Whether `column_count` columns of `schema` can be a record key of this format; MR_ERR_CONFIG with
 * the story: int32 and int64 take one bigint, raw one text or bytea, none takes jsonb or interval.
 * The fields of a record stand together in json, and none is called like one. A hint follows behind
 * "\nhint: ".
 */
MR_MUST_USE mr_status mr_record_key_check(mr_key_format format, const mr_schema *schema,
                                          const uint16_t *columns, uint32_t column_count,
                                          mr_diag *diag);
/*
 * The record key of row `row` (a row number), into the room, which is moved on. Equal keys give
 * equal bytes. `key`: NULL bytes = no key (a lone NULL column; no columns at all). False = no room;
 * nothing is consumed. `error`: MR_ROW_22003 when a value does not fit int32.
 */
bool mr_record_key_encode(mr_key_format format, const mr_batch *in, uint32_t row,
                          const uint16_t *columns, uint32_t column_count, uint8_t **room,
                          uint8_t *room_end, mr_view *key, mr_row_error *error);
/* An upper bound of its bytes. */
uint32_t mr_record_key_bound(mr_key_format format, const mr_batch *in, uint32_t row,
                             const uint16_t *columns, uint32_t column_count);

/*
 * The row as a JSON object, hidden columns left out, for dead letters; the size, or 0 when it does
 * not fit `room_bytes`. Columns must be of the types json can write. Thread: any.
 */
uint32_t mr_row_json(const mr_batch *batch, uint32_t row, uint8_t *room, uint32_t room_bytes);

#endif
