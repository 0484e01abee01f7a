/* json_format_private.h - the slots of the format `json`, for its row in formats.c. Inside
 * io/format. */
#ifndef MR_FORMAT_JSON_FORMAT_PRIVATE_H
#define MR_FORMAT_JSON_FORMAT_PRIVATE_H

#include "io/format/format.h"

/* json_read.c */
mr_status mr_json_plan_read(mr_arena *arena, const mr_schema *schema, const mr_field_spec *fields,
                            const void **spec, mr_diag *diag);
mr_status mr_json_open_read(void **self, const mr_read_options *options, mr_arena *arena,
                            mr_diag *diag);
uint32_t mr_json_decode(void *self, const mr_fetch_record *records, uint32_t count, mr_batch *out,
                        mr_row_error *errors);
void mr_json_close_read(void *self);
const char *mr_json_blame(const void *self, uint32_t row);

/* json_write.c */
mr_status mr_json_plan_write(mr_arena *arena, const mr_schema *schema, const char *numbers,
                             const char *times, const void **spec, mr_diag *diag);
mr_status mr_json_open_write(void **self, const void *spec, const mr_schema *schema,
                             mr_arena *arena, mr_diag *diag);
uint32_t mr_json_bound(const void *self, const mr_batch *in, uint32_t i);
uint32_t mr_json_encode(void *self, const mr_batch *in, uint32_t first, uint32_t count,
                        mr_view *values, uint8_t **room, uint8_t *room_end);

#endif
