/*
 * error_output_test.c - rejected rows as rows of a stream: which, in what order, with which
 * columns.
 */
#include "engine/runtime/runtime_private.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { ARENA_BYTES = 8 << 20, ROWS = 100 };

static const mr_field input_fields[] = {{.name = "id", .type = MR_TEXT},
                                        {.name = "n", .type = MR_BIGINT, .nullable = true}};
static const mr_field other_fields[] = {{.name = "total", .type = MR_BIGINT},
                                        {.name = "id", .type = MR_TEXT}};
static const mr_field error_fields[] = {{.name = "id", .type = MR_TEXT},
                                        {.name = "n", .type = MR_BIGINT, .nullable = true},
                                        {.name = "error_code", .type = MR_TEXT},
                                        {.name = "error_message", .type = MR_TEXT}};
static const mr_schema input_schema = {.fields = input_fields, .field_count = 2};
static const mr_schema other_schema = {.fields = other_fields, .field_count = 2};
static const mr_schema error_schema = {.fields = error_fields, .field_count = 4};

typedef struct fixture {
    mr_arena *arena;
    mr_error_output *output;
    mr_batch *in, *out;
} fixture;

/* ROWS rows of `schema`, n or total = row, every change NEW. */
static void fixture_open(fixture *f, const mr_schema *schema, uint32_t number_column)
{
    f->arena = mr_arena_create(mr_memory_system(), ARENA_BYTES, "test");
    assert_non_null(f->arena);
    f->output = mr_error_output_create(f->arena, &input_schema);
    f->in = mr_batch_take(mr_batch_pool_create(f->arena, schema, 1, 4096, false));
    f->out = mr_batch_take(mr_batch_pool_create(f->arena, &error_schema, 1, 0, true));
    assert_non_null(f->output);
    int64_t *numbers = mr_batch_cells(f->in, number_column);
    mr_view *ids = mr_batch_cells(f->in, 1 - number_column);
    int64_t *times = mr_batch_event_times(f->in);
    uint8_t *changes = mr_batch_changes(f->in);
    uint16_t *records = mr_batch_records(f->in);
    for (uint32_t i = 0; i < ROWS; i++) {
        numbers[i] = i;
        ids[i] = (mr_view){.bytes = (const uint8_t *)"abcd" + i % 4, .size_bytes = 1};
        times[i] = 1000 + i;
        changes[i] = MR_CHANGE_NEW;
        records[i] = (uint16_t)(i + 7);
    }
    mr_batch_set_rows(f->in, ROWS);
}

static void expect_text(const mr_batch *batch, uint32_t column, uint32_t row, const char *text)
{
    const mr_view view = batch->columns[column].as.views[row];
    assert_int_equal(view.size_bytes, strlen(text));
    assert_memory_equal(view.bytes, text, view.size_bytes);
}

static void test_the_noted_rows_in_order(void **state)
{
    fixture f;

    (void)state;
    fixture_open(&f, &input_schema, 1);
    mr_error_output_begin(f.output);
    mr_error_output_note(f.output, f.in, 70, MR_ROW_22012);
    mr_error_output_note(f.output, f.in, 3, MR_ROW_22P02);
    mr_error_output_note(f.output, f.in, 70, MR_ROW_22003); /* The first reason stays. */
    mr_error_output_end(f.output, f.out);
    assert_int_equal(f.out->selected_count, 2);
    assert_int_equal(mr_batch_row(f.out, 0), 3);
    assert_int_equal(mr_batch_row(f.out, 1), 70);
    assert_int_equal(f.out->columns[1].as.integers[70], 70);
    expect_text(f.out, 0, 70, "c");
    expect_text(f.out, 2, 3, "22P02");
    expect_text(f.out, 2, 70, "22012");
    expect_text(f.out, 3, 70, "division by zero");
    assert_null(f.out->change); /* Facts, also of an upsert stream. */
    assert_int_equal(f.out->record[70], 77);
    assert_int_equal(f.out->event_time_us[3], 1003);
    mr_arena_destroy(f.arena);
}

static void test_each_call_begins_anew(void **state)
{
    fixture f;

    (void)state;
    fixture_open(&f, &input_schema, 1);
    mr_error_output_begin(f.output);
    mr_error_output_note(f.output, f.in, 9, MR_ROW_22012);
    mr_error_output_begin(f.output); /* The call failed: its epoch is dropped. */
    mr_error_output_end(f.output, f.out);
    assert_int_equal(f.out->selected_count, 0);
    mr_error_output_begin(f.output);
    mr_error_output_note(f.output, f.in, 8, MR_ROW_22012);
    mr_error_output_end(f.output, f.out);
    assert_int_equal(f.out->selected_count, 1);
    assert_int_equal(mr_batch_row(f.out, 0), 8);
    mr_arena_destroy(f.arena);
}

/* What a step rejects when the epoch closes: columns by name and type, the others NULL. */
static void test_rows_of_another_schema(void **state)
{
    fixture f;

    (void)state;
    fixture_open(&f, &other_schema, 0);
    mr_error_output_begin(f.output);
    mr_error_output_note(f.output, f.in, 5, MR_ROW_22003);
    mr_error_output_end(f.output, f.out);
    assert_int_equal(f.out->selected_count, 1);
    expect_text(f.out, 0, 5, "b");
    assert_true(mr_column_valid(&f.out->columns[0], 5));
    assert_false(mr_column_valid(&f.out->columns[1], 5));
    expect_text(f.out, 2, 5, "22003");
    mr_arena_destroy(f.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_noted_rows_in_order),
        cmocka_unit_test(test_each_call_begins_anew),
        cmocka_unit_test(test_rows_of_another_schema),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
