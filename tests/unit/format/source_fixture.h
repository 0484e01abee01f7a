/*
 * source_fixture.h - a source's columns and records from text, and a stand-in for the evaluation of
 * event_time: the fake expression is a column, and the time of 1970-01-01 fails. For one test file.
 */
#ifndef MR_TESTS_UNIT_FORMAT_SOURCE_FIXTURE_H
#define MR_TESTS_UNIT_FORMAT_SOURCE_FIXTURE_H

#include "engine/base/assert.h"
#include "engine/batch/batch.h"
#include "engine/expr/expr.h"
#include "io/format/format.h"
#include "tests/support/batch_text.h"
#include <string.h>

enum { FIXTURE_SCRATCH_BYTES = 4096, FIXTURE_RECORD_MAX = 1000, FIXTURE_ROWS = 16 };

struct mr_expr {
    uint32_t column;
};

struct mr_eval {
    const mr_column *column;
    uint32_t index;
    mr_row_error errors[MR_BATCH_ROWS_MAX];
};

mr_eval *mr_eval_create(mr_arena *arena, const mr_expr *const *exprs, uint32_t count,
                        uint32_t scratch_bytes_max)
{
    mr_eval *eval = mr_arena_take(arena, sizeof(*eval));

    MR_ASSERT(eval != NULL && count == 1 && scratch_bytes_max > 0);
    eval->index = exprs[0]->column;
    return eval;
}

mr_status mr_eval_run(mr_eval *eval, const mr_batch *in)
{
    eval->column = &in->columns[eval->index];
    for (uint32_t i = 0; i < in->selected_count; i++) {
        const uint32_t row = mr_batch_row(in, i);
        eval->errors[row] =
            mr_column_valid(eval->column, row) && eval->column->as.integers[row] == 0 ? MR_ROW_22007
                                                                                      : MR_ROW_OK;
    }
    return MR_OK;
}

const mr_column *mr_eval_column(const mr_eval *eval, uint32_t index)
{
    MR_ASSERT(index == 0);
    return eval->column;
}

const mr_row_error *mr_eval_errors(const mr_eval *eval)
{
    return eval->errors;
}

typedef struct fixture {
    mr_arena *arena;
    mr_schema *schema;
    mr_field_spec fields[MR_KEY_FIELDS_MAX];
    const char *paths[MR_KEY_FIELDS_MAX];
    mr_source_common common;
    mr_decoder *decoder;
    mr_batch *out;
    mr_fetch_record records[FIXTURE_ROWS];
    mr_fetch fetch;
    mr_row_error errors[FIXTURE_ROWS];
    uint32_t used;
    mr_diag diag;
} fixture;

/* Every column is needed, of the value, its path its name. Tests change that before opening. */
static inline void fixture_begin(fixture *self, const mr_format_type *format, const char *columns)
{
    *self = (fixture){.arena = mr_arena_create(mr_memory_system(), 16 << 20, "test")};
    MR_ASSERT(self->arena != NULL);
    self->schema = mr_test_schema(self->arena, columns);
    for (uint32_t i = 0; i < self->schema->field_count; i++) {
        self->paths[i] = self->schema->fields[i].name;
        self->fields[i] = (mr_field_spec){.field = &self->schema->fields[i],
                                          .from = MR_FROM_VALUE,
                                          .needed = true,
                                          .path = &self->paths[i],
                                          .path_count = 1};
    }
    self->common =
        (mr_source_common){.schema = self->schema, .fields = self->fields, .format = format};
    self->fetch = (mr_fetch){.partition = 3, .records = self->records};
}

static inline mr_status fixture_open(fixture *self)
{
    const mr_decoder_options options = {
        .common = &self->common, .topic = "events", .record_bytes_max = FIXTURE_RECORD_MAX};
    const mr_status status = mr_decoder_open(&self->decoder, &options, self->arena, &self->diag);
    mr_batch_pool *pool =
        mr_batch_pool_create(self->arena, self->schema, 1, FIXTURE_SCRATCH_BYTES, false);
    MR_ASSERT(pool != NULL);
    self->out = mr_batch_take(pool);
    return status;
}

static inline mr_fetch_record *fixture_add(fixture *self, const char *key, const char *value)
{
    mr_fetch_record *record = &self->records[self->fetch.record_count];

    MR_ASSERT(self->fetch.record_count < FIXTURE_ROWS);
    *record = (mr_fetch_record){.offset = 100 + self->fetch.record_count,
                                .timestamp_ms = 5000 + self->fetch.record_count};
    self->fetch.record_count++;
    if (key != NULL) {
        record->key = (mr_view){(const uint8_t *)key, (uint32_t)strlen(key)};
    }
    if (value != NULL) {
        record->value = (mr_view){(const uint8_t *)value, (uint32_t)strlen(value)};
    }
    return record;
}

/* Decodes all records from `first` on; returns the good rows as text. */
static inline const char *fixture_run(fixture *self, uint32_t first)
{
    mr_batch_clear(self->out);
    const mr_status status =
        mr_decoder_run(self->decoder, &self->fetch, first, self->fetch.record_count - first,
                       self->out, self->errors, &self->used);
    MR_ASSERT(status == MR_OK);
    return mr_test_rows(self->arena, self->out);
}

static inline void fixture_end(fixture *self)
{
    mr_decoder_close(self->decoder);
    mr_arena_destroy(self->arena);
}

#endif
