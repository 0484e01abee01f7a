/*
 * format_private.h - single cells from and to text and JSON: shared by the formats, the record keys
 * and the decoder. Inside io/format only.
 */
#ifndef MR_FORMAT_FORMAT_PRIVATE_H
#define MR_FORMAT_FORMAT_PRIVATE_H

#include "engine/base/json.h"
#include "io/format/format.h"

/* ---- cell_read.c ---- */

typedef struct mr_cell_target { /* Where a value goes: row i of `cells`, of the field's type. */
    const mr_field *field;
    mr_time_format time_format;
    void *cells;
} mr_cell_target;

/*
 * From the text form of a value: a lone record key, a header, a `default:`. Texts become views of
 * `text`, bytea is its bytes as they are. MR_ROW_DECODE_TYPE or MR_ROW_DECODE_UTF8. Not for jsonb.
 */
mr_row_error mr_cell_from_text(const mr_cell_target *to, uint32_t row, const uint8_t *text,
                               uint32_t size_bytes);

/*
 * From a JSON value that is there and not null, without loss or with MR_ROW_DECODE_TYPE. jsonb and
 * bytea (from base64) are written to the scratch; MR_ROW_54000 = it has no room, nothing is
 * consumed.
 */
mr_row_error mr_cell_from_json(const mr_cell_target *to, uint32_t row, const mr_json_value *value,
                               uint8_t **scratch, uint8_t *scratch_end);

/* The row error of a record that is no good JSON. Not for MR_JSON_OK and _ROOM. */
mr_row_error mr_json_row_error(mr_json_result result);

/* Makes a cell null; a text then has no bytes. */
void mr_cell_set_null(mr_batch *out, uint32_t column, uint32_t row);

/* ---- cell_write.c ---- */

typedef enum mr_json_times { MR_TIMES_ISO, MR_TIMES_EPOCH_MS, MR_TIMES_EPOCH_US } mr_json_times;

typedef struct mr_json_style { /* The sink's keys `numbers` and `times`. */
    bool numbers_as_text;
    mr_json_times times;
} mr_json_style;

enum { MR_CELL_TEXT_MAX = 96 }; /* A value of fixed size as text or JSON. */

/* A value, not null, as JSON at `out`, with the room of mr_cell_json_bound(); its size. */
uint32_t mr_cell_to_json(const mr_field *field, const mr_column *column, uint32_t row,
                         const mr_json_style *style, uint8_t *out);
/* An upper bound, close for long texts; null cells too. */
uint64_t mr_cell_json_bound(const mr_field *field, const mr_column *column, uint32_t row);

/*
 * The text form of a value, not null: of texts a view of the cell, else printed into `room`. Of
 * bytea it is the bytes as they are.
 */
mr_view mr_cell_to_text(const mr_field *field, const mr_column *column, uint32_t row,
                        uint8_t room[MR_CELL_TEXT_MAX]);

/* ---- json_names.c ---- */

/*
 * Writes what stands between two values: closes the records of `previous` (NULL: nothing was
 * written yet) that `name` is not in, opens those it is in, then its member name and colon.
 * Returns the size; all names of an object and its end need their rooms in sum.
 */
uint32_t mr_json_name_put(const char *previous, const char *name, uint8_t *out);
uint32_t mr_json_name_room(const char *name);
/* The end of the object behind the last name; NULL: an empty object. */
uint32_t mr_json_name_end(const char *previous, uint8_t *out);
uint32_t mr_json_name_end_room(const char *previous);
/* The visible columns in the order of writing: in theirs, but the fields of a record together. */
uint32_t mr_json_order(const mr_schema *schema, uint16_t *order);
/* Whether `name` is a field of the record `record`: it begins with its name and a dot. */
bool mr_json_is_record_of(const char *record, const char *name);

/* ---- The formats ---- */

extern const mr_format_type mr_format_json, mr_format_raw;

#endif
