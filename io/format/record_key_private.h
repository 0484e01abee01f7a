/*
 * record_key_private.h - from the bytes of a record key to columns (key_read.c), and what both
 * directions share. Inside io/format.
 */
#ifndef MR_FORMAT_RECORD_KEY_PRIVATE_H
#define MR_FORMAT_RECORD_KEY_PRIVATE_H

#include "io/format/format.h"

/* Whether the key is JSON text: json, or text of several columns. */
bool mr_key_is_json(mr_key_format format, uint32_t column_count);

/* Whether a key of this format can have a column of this type. */
bool mr_record_key_takes(mr_key_format format, mr_type type);

typedef struct mr_key_reader mr_key_reader;

/* Of the columns with `from: key`; `reader` is NULL when there is none that is needed. */
mr_status mr_key_reader_open(mr_key_reader **reader, const mr_source_common *common,
                             uint32_t key_bytes_max, mr_arena *arena, mr_diag *diag);
void mr_key_reader_close(mr_key_reader *reader); /* NULL is allowed. */

/* Points at the cells of the batch that is filled next. */
void mr_key_reader_begin(mr_key_reader *reader, mr_batch *out);
/* Fills the key columns of one row. MR_ROW_54000: the scratch does not suffice. */
mr_row_error mr_key_reader_read(mr_key_reader *reader, mr_view key, mr_batch *out, uint32_t row,
                                uint8_t **scratch, uint8_t *scratch_end);

#endif
