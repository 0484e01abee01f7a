/* batch_test.c - pools, cells, nulls, scratch, selection, borrowing, fetches; and schemas. */
#include "engine/base/assert.h"
#include "engine/batch/batch.h"
#include "tests/support/batch_text.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

static int setup(void **state)
{
    *state = mr_arena_create(mr_memory_system(), 16 << 20, "test");
    return *state == NULL;
}

static int teardown(void **state)
{
    mr_arena_destroy(*state);
    return 0;
}

static void test_a_pool_runs_dry_and_fills(void **state)
{
    mr_arena *arena = *state;
    const mr_schema *schema = mr_test_schema(arena, "a bigint");
    mr_batch_pool *pool = mr_batch_pool_create(arena, schema, 2, 0, false);
    mr_batch *first = mr_batch_take(pool);
    mr_batch *second = mr_batch_take(pool);

    assert_ptr_not_equal(first, second);
    assert_null(mr_batch_take(pool));
    assert_int_equal(mr_batch_pool_free_count(pool), 0);
    mr_batch_give_back(first);
    assert_ptr_equal(mr_batch_take(pool), first);
    mr_batch_give_back(first);
    mr_batch_give_back(second);
    assert_int_equal(mr_batch_pool_free_count(pool), 2);
}

static void test_a_pool_without_memory(void **state)
{
    mr_arena *arena = *state;
    const mr_schema *schema = mr_test_schema(arena, "a bigint, b text");
    uint32_t failures = 0;

    for (size_t limit = 1024; limit < (size_t)256 * 1024; limit += 1024) {
        mr_arena *small = mr_arena_create(mr_memory_system(), limit, "test");
        failures += mr_batch_pool_create(small, schema, 2, 1000, false) == NULL;
        mr_arena_destroy(small);
    }
    assert_true(failures > 50 && failures < 255);
}

static void test_nulls_and_clear(void **state)
{
    mr_arena *arena = *state;
    const mr_schema *schema = mr_test_schema(arena, "a bigint, b text");
    mr_batch *batch = mr_test_batch(arena, schema, "1|x\n\\N|y\n3|\\N");

    assert_string_equal(mr_test_rows(arena, batch), "1|x\n\\N|y\n3|\\N");
    assert_false(mr_column_valid(&batch->columns[0], 1));
    assert_true(mr_column_valid(&batch->columns[0], 2));
    (void)mr_batch_changes(batch);
    (void)mr_batch_records(batch);
    mr_batch_clear(batch);
    assert_int_equal(batch->row_count, 0);
    assert_null(batch->columns[0].valid);
    assert_null(batch->change);
    assert_null(batch->record);
    assert_null(batch->event_time_us);
    /* What was null before is not null now. */
    ((int64_t *)mr_batch_cells(batch, 0))[1] = 7;
    mr_batch_set_null(batch, 0, 0);
    (void)mr_batch_event_times(batch);
    mr_batch_set_rows(batch, 2);
    assert_true(mr_column_valid(&batch->columns[0], 1));
    assert_false(mr_column_valid(&batch->columns[0], 0));
}

static void test_scratch(void **state)
{
    mr_arena *arena = *state;
    const mr_schema *schema = mr_test_schema(arena, "a bigint");
    mr_batch_pool *pool = mr_batch_pool_create(arena, schema, 1, 100, false);
    mr_batch *batch = mr_batch_take(pool);
    uint8_t *from = NULL;
    uint8_t *end = NULL;

    uint8_t *first = mr_batch_scratch(batch, 60);
    assert_non_null(first);
    assert_null(mr_batch_scratch(batch, 41));
    mr_batch_scratch_room(batch, &from, &end);
    assert_ptr_equal(from, first + 60);
    assert_int_equal(end - from, 40);
    mr_batch_scratch_used(batch, from + 40);
    assert_null(mr_batch_scratch(batch, 1));
    mr_batch_clear(batch);
    assert_ptr_equal(mr_batch_scratch(batch, 100), first);
}

static void test_share_and_select(void **state)
{
    mr_arena *arena = *state;
    const mr_schema *schema = mr_test_schema(arena, "a bigint, b text");
    mr_batch *in = mr_test_batch(arena, schema, "1|x\n2|y\n3|z");
    mr_batch_pool *pool = mr_batch_pool_create(arena, schema, 1, 0, true);
    mr_batch *out = mr_batch_take(pool);

    mr_batch_share(out, in);
    assert_string_equal(mr_test_rows(arena, out), "1|x\n2|y\n3|z");
    mr_batch_selection(out)[0] = 0;
    mr_batch_selection(out)[1] = 2;
    mr_batch_select(out, 2);
    assert_string_equal(mr_test_rows(arena, out), "1|x\n3|z");
    assert_int_equal(out->row_count, 3);
    assert_int_equal(in->selected_count, 3);
    mr_batch_clear(out);
    assert_int_equal(out->selected_count, 0);
}

static void test_borrowed_columns(void **state)
{
    mr_arena *arena = *state;
    mr_batch *in = mr_test_batch(arena, mr_test_schema(arena, "a bigint, b text"), "1|x\n2|\\N");
    mr_batch_pool *pool =
        mr_batch_pool_create(arena, mr_test_schema(arena, "b text, c bigint"), 1, 0, true);
    mr_batch *out = mr_batch_take(pool);

    (void)mr_batch_changes(in);
    mr_batch_inherit(out, in);
    mr_batch_borrow_column(out, 0, &in->columns[1]);
    mr_batch_borrow_column(out, 1, &in->columns[0]);
    assert_string_equal(mr_test_rows(arena, out), "x|1\n\\N|2");
    assert_ptr_equal(out->event_time_us, in->event_time_us);
    assert_ptr_equal(out->change, in->change);
}

static void count_release(void *context, void *fetch)
{
    *(uint32_t *)context += *(uint32_t *)fetch;
}

static void test_only_the_owner_releases_a_fetch(void **state)
{
    mr_arena *arena = *state;
    const mr_schema *schema = mr_test_schema(arena, "a bigint");
    mr_batch_pool *pool = mr_batch_pool_create(arena, schema, 2, 0, false);
    uint32_t released = 0;
    uint32_t fetch = 1;

    mr_batch_pool_on_release(pool, count_release, &released);
    mr_batch *owner = mr_batch_take(pool);
    mr_batch *heir = mr_batch_take(pool);
    mr_batch_set_fetch(owner, &fetch);
    mr_batch_inherit(heir, owner);
    assert_ptr_equal(mr_batch_fetch(heir), &fetch);
    mr_batch_give_back(heir);
    assert_int_equal(released, 0);
    mr_batch_give_back(owner);
    assert_int_equal(released, 1);
    owner = mr_batch_take(pool);
    assert_null(mr_batch_fetch(owner));
}

static void test_schemas(void **state)
{
    mr_arena *arena = *state;
    mr_schema *schema = mr_test_schema(arena, "a bigint, b numeric(10,2), c text not null");
    mr_schema *copy = mr_schema_copy(arena, schema);
    char text[MR_TYPE_TEXT_MAX];

    assert_int_equal(mr_schema_find(copy, "b", 1), 1);
    assert_int_equal(mr_schema_find(copy, "bb", 2), UINT32_MAX);
    assert_int_equal(mr_schema_find(copy, "bb", 1), 1);
    assert_ptr_not_equal(copy->fields[0].name, schema->fields[0].name);
    assert_string_equal(mr_type_text(&copy->fields[1], text), "numeric(10,2)");
    assert_string_equal(mr_type_text(&copy->fields[2], text), "text");
    const uint64_t print = mr_schema_fingerprint(schema);
    assert_true(mr_schema_fingerprint(copy) == print);
    const char *others[] = {"a bigint, b numeric(10,3), c text",
                            "a bigint, b numeric(10,2), d text",
                            "b numeric(10,2), a bigint, c text", "a bigint, b numeric(10,2)"};
    for (size_t i = 0; i < MR_LENGTH(others); i++) {
        assert_true(mr_schema_fingerprint(mr_test_schema(arena, others[i])) != print);
    }
    /* Nullability is left out. */
    assert_true(mr_schema_fingerprint(
                    mr_test_schema(arena, "a bigint not null, b numeric(10,2), c text")) == print);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_pool_runs_dry_and_fills, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_pool_without_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nulls_and_clear, setup, teardown),
        cmocka_unit_test_setup_teardown(test_scratch, setup, teardown),
        cmocka_unit_test_setup_teardown(test_share_and_select, setup, teardown),
        cmocka_unit_test_setup_teardown(test_borrowed_columns, setup, teardown),
        cmocka_unit_test_setup_teardown(test_only_the_owner_releases_a_fetch, setup, teardown),
        cmocka_unit_test_setup_teardown(test_schemas, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
