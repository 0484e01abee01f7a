/*
 * error_output.c - the error output of a step: rejected rows become rows of a stream.
 *
 * While a step is called, its rejected rows are noted; behind the call they are one batch that
 * borrows all columns of the batch they stand in and adds error_code and error_message. So nothing
 * is copied, and a row keeps its record: dead letters further on carry the original bytes. What a
 * step rejects when the epoch closes has the columns of its output: those of equal name and type
 * are handed on, the others are NULL. Limit: in one call all rejected rows are of one batch
 * (asserted). Thread: the shard's.
 */
#include "engine/runtime/runtime_private.h"
#include <string.h>

struct mr_error_output {
    const mr_schema *input; /* Of the step: the first columns of the output, in order. */
    const mr_batch *in;     /* Where the noted rows stand; NULL = none noted. */
    bool is_open;           /* Between begin and end. */
    uint64_t rows[MR_BATCH_WORDS_MAX];
    mr_view codes[MR_BATCH_ROWS_MAX], messages[MR_BATCH_ROWS_MAX];
    uint64_t nulls[MR_BATCH_WORDS_MAX]; /* All zero. */
    mr_int128 zeros[MR_BATCH_ROWS_MAX]; /* Cells behind it, of any type. */
};

static void borrow_columns(const mr_error_output *output, const mr_batch *in, mr_batch *out);
static mr_column column_named(const mr_error_output *output, const mr_batch *in,
                              const mr_field *field);

mr_error_output *mr_error_output_create(mr_arena *arena, const mr_schema *input)
{
    mr_error_output *output = mr_arena_take(arena, sizeof(mr_error_output));

    MR_ASSERT(input != NULL);
    if (output != NULL) {
        output->input = input;
    }
    return output;
}

void mr_error_output_begin(mr_error_output *output)
{
    output->in = NULL;
    output->is_open = true;
    memset(output->rows, 0, sizeof(output->rows));
}

void mr_error_output_note(mr_error_output *output, const mr_batch *in, uint32_t row,
                          mr_row_error error)
{
    const char *code = mr_row_error_name(error), *message = mr_row_error_text(error);
    const uint64_t bit = UINT64_C(1) << (row % 64);

    MR_ASSERT(output->is_open && row < in->row_count);
    MR_ASSERT(output->in == NULL || output->in == in);
    if ((output->rows[row / 64] & bit) != 0) {
        return; /* The first reason tells the story. */
    }
    output->in = in;
    output->rows[row / 64] |= bit;
    output->codes[row] =
        (mr_view){.bytes = (const uint8_t *)code, .size_bytes = (uint32_t)strlen(code)};
    output->messages[row] =
        (mr_view){.bytes = (const uint8_t *)message, .size_bytes = (uint32_t)strlen(message)};
}

void mr_error_output_end(mr_error_output *output, mr_batch *out)
{
    const mr_batch *in = output->in;
    uint32_t count = 0;

    MR_ASSERT(output->is_open && out->row_count == 0);
    output->is_open = false;
    if (in == NULL) {
        return;
    }
    mr_batch_inherit(out, in);
    out->change = NULL; /* A rejected row is a fact, also of an upsert stream. */
    borrow_columns(output, in, out);
    uint16_t *selection = mr_batch_selection(out);
    for (uint32_t row = 0; row < in->row_count; row++) {
        if (((output->rows[row / 64] >> (row % 64)) & 1) != 0) {
            selection[count++] = (uint16_t)row;
        }
    }
    MR_ASSERT(count > 0);
    mr_batch_select(out, count);
}

/* ---- Helpers ---- */

static void borrow_columns(const mr_error_output *output, const mr_batch *in, mr_batch *out)
{
    const uint32_t count = out->schema->field_count;
    const bool is_input = in->schema == output->input;

    MR_ASSERT(count >= MR_ERROR_COLUMNS);
    for (uint32_t i = 0; i + MR_ERROR_COLUMNS < count; i++) {
        const mr_field *field = &out->schema->fields[i];
        const mr_column column = is_input ? in->columns[i] : column_named(output, in, field);
        mr_batch_borrow_column(out, i, &column);
    }
    const mr_column codes = {.as.views = output->codes}, messages = {.as.views = output->messages};
    mr_batch_borrow_column(out, count - 2, &codes);
    mr_batch_borrow_column(out, count - 1, &messages);
}

/* A column without values where `in` has none like it. */
static mr_column column_named(const mr_error_output *output, const mr_batch *in,
                              const mr_field *field)
{
    for (uint32_t i = 0; i < in->schema->field_count; i++) {
        const mr_field *other = &in->schema->fields[i];
        if (other->type == field->type && other->precision == field->precision &&
            other->scale == field->scale && strcmp(other->name, field->name) == 0) {
            return in->columns[i];
        }
    }
    return (mr_column){.valid = output->nulls, .as.numerics = output->zeros};
}
