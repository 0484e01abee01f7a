/* meta_read_private.h - columns of a record's surroundings: meta.* and headers. Inside io/format.
 */
#ifndef MR_FORMAT_META_READ_PRIVATE_H
#define MR_FORMAT_META_READ_PRIVATE_H

#include "io/format/format.h"

typedef struct mr_meta_reader mr_meta_reader;

mr_status mr_meta_reader_open(mr_meta_reader **reader, const mr_source_common *common,
                              const char *topic, mr_arena *arena, mr_diag *diag);

/* Whether a record's timestamp is one: not "none", and within the years 1-9999. */
bool mr_meta_is_timestamp(int64_t timestamp_ms);

/* The columns that cannot fail, of rows 0..count-1 from records first.. on. */
void mr_meta_reader_fill(const mr_meta_reader *reader, const mr_fetch *fetch, uint32_t first,
                         uint32_t count, mr_batch *out);
/* Whether there are columns that can: then each record is read on its own. */
bool mr_meta_reader_reads_records(const mr_meta_reader *reader);
/* Header columns, and the key as text, of one row. */
mr_row_error mr_meta_reader_read(mr_meta_reader *reader, const mr_fetch *fetch, uint32_t record,
                                 mr_batch *out, uint32_t row);

#endif
