/*
 * formats.c - the table of formats, and the encoder, which is a thin front of it.
 *
 * A new format is a file and a row here.
 */
#include "engine/base/assert.h"
#include "io/format/format_private.h"
#include "io/format/json_format_private.h"

struct mr_encoder {
    const mr_format_type *format;
    void *self;
};

const mr_format_type mr_format_json = {
    .name = "json",
    .summary = "The value is a JSON object; columns are its members.",
    .plan_read = mr_json_plan_read,
    .plan_write = mr_json_plan_write,
    .open_read = mr_json_open_read,
    .decode = mr_json_decode,
    .close_read = mr_json_close_read,
    .blame = mr_json_blame,
    .open_write = mr_json_open_write,
    .bound = mr_json_bound,
    .encode = mr_json_encode,
};

static const mr_format_type format_avro = {
    .name = "avro",
    .summary = "Avro with a Schema Registry.",
    .refused = "Avro is not part of this release; use json or raw",
};

static const mr_format_type format_csv = {
    .name = "csv",
    .summary = "Comma-separated values, RFC 4180.",
    .refused = "CSV is not part of this release; use json or raw",
};

const mr_format_type *const mr_formats[] = {&mr_format_json, &mr_format_raw, &format_avro,
                                            &format_csv};
const uint32_t mr_format_count = MR_LENGTH(mr_formats);

mr_status mr_encoder_open(mr_encoder **encoder, const mr_format_type *format,
                          const void *format_spec, const mr_schema *schema, mr_arena *arena,
                          mr_diag *diag)
{
    MR_ASSERT(encoder != NULL && format != NULL && format->refused == NULL);
    mr_encoder *made = mr_arena_take(arena, sizeof(*made));
    if (made == NULL) {
        return mr_diag_set(diag, MR_ERR_MEMORY, 0, "no memory for an encoder");
    }
    made->format = format;
    const mr_status status = format->open_write(&made->self, format_spec, schema, arena, diag);
    if (status == MR_OK) {
        *encoder = made;
    }
    return status;
}

uint32_t mr_encoder_bound(const mr_encoder *encoder, const mr_batch *in, uint32_t i)
{
    MR_ASSERT(encoder != NULL && i < in->selected_count);
    return encoder->format->bound(encoder->self, in, i);
}

uint32_t mr_encoder_run(mr_encoder *encoder, const mr_batch *in, uint32_t first, uint32_t count,
                        mr_view *values, uint8_t **room, uint8_t *room_end)
{
    MR_ASSERT(encoder != NULL && first <= in->selected_count);
    MR_ASSERT(count <= in->selected_count - first && *room <= room_end);
    return encoder->format->encode(encoder->self, in, first, count, values, room, room_end);
}
