/*
 * row_test.c - filter and map, and the table of operators.
 */
#include "tests/unit/operators/fake_task.h"

typedef struct filter_spec_mirror { /* operators/filter.c */
    const mr_expr *where;
} filter_spec_mirror;

typedef struct map_spec_mirror { /* operators/map.c */
    mr_select set, select;
    mr_columns drop;
    uint64_t made_by_plan[8];
} map_spec_mirror;

static void filter_keeps_what_is_true(void **state)
{
    fake *f = fake_create();
    const mr_schema *schema = fake_schema(f, "id bigint, amount bigint", 1);
    filter_spec_mirror spec = {fake_expr(f, schema, "100 / amount > 10")};
    mr_batch *in = mr_test_batch(f->arena, schema, "1|5\n2|0\n3|\\N\n4|50\n5|9\n");
    char text[FAKE_TEXT_MAX] = "";
    uint32_t calls = 0;

    (void)state;
    assert_int_equal(fake_plan(f, &mr_op_filter, schema, &spec), MR_OK);
    assert_true((f->fallible & MR_FALLIBLE_DATA) != 0);
    assert_string_equal(f->what, "division");
    assert_ptr_equal(f->node.outputs[0].schema, schema);
    fake_open(f);
    assert_int_equal(fake_process(f, in, text, &calls), MR_STEP_NEXT);
    assert_string_equal(text, "1|5\n5|9\n");
    assert_string_equal(f->task.rejects, "1 22012;");
    assert_int_equal(calls, 1);

    /* Rows outside of the selection do not exist. */
    mr_batch_selection(in)[0] = 3;
    mr_batch_selection(in)[1] = 4;
    mr_batch_select(in, 2);
    text[0] = '\0';
    assert_int_equal(fake_process(f, in, text, &calls), MR_STEP_NEXT);
    assert_string_equal(text, "5|9\n");
    fake_destroy(f);
}

static void filter_passes_halves(void **state)
{
    fake *f = fake_create();
    mr_schema *schema = fake_schema(f, "id bigint, amount bigint", 1);
    filter_spec_mirror spec = {fake_expr(f, schema, "100 / amount > 10")};
    mr_batch *in = mr_test_batch(f->arena, schema, "1|5\n1|50\n2|50\n2|5\n3|0\n3|5\n4|5\n4|0\n");
    char text[FAKE_TEXT_MAX] = "";
    uint32_t calls = 0;

    (void)state;
    schema->mode = MR_UPSERT;
    for (uint32_t i = 0; i < 8; i++) {
        mr_batch_changes(in)[i] = i % 2 == 0 ? MR_CHANGE_OLD : MR_CHANGE_NEW;
    }
    assert_int_equal(fake_plan(f, &mr_op_filter, schema, &spec), MR_OK);
    fake_open(f);
    assert_int_equal(fake_process(f, in, text, &calls), MR_STEP_NEXT);
    assert_string_equal(text, "-1|5\n+2|5\n+3|5\n-4|5\n");
    assert_string_equal(f->task.rejects, "7 22012;"); /* The failing old half says nothing. */
    fake_destroy(f);
}

static void filter_without_scratch_left(void **state)
{
    fake *f = fake_create();
    const mr_schema *schema = fake_schema(f, "t text", 0);
    filter_spec_mirror spec = {
        fake_expr(f, schema, "length(t || t || t || t || t || t || t || t) > 0")};
    mr_batch_pool *pool = mr_batch_pool_create(f->arena, schema, 1, 8 << 20, false);
    mr_batch *in = mr_batch_take(pool);
    uint32_t calls = 0;

    (void)state;
    for (uint32_t row = 0; row < 100; row++) {
        uint8_t *text = mr_batch_scratch(in, 50000);
        memset(text, 'x', 50000);
        ((mr_view *)mr_batch_cells(in, 0))[row] = (mr_view){text, 50000};
        mr_batch_event_times(in)[row] = 0;
    }
    mr_batch_set_rows(in, 100);
    assert_int_equal(fake_plan(f, &mr_op_filter, schema, &spec), MR_OK);
    fake_open(f);
    assert_int_equal(fake_process(f, in, NULL, &calls), MR_STEP_FAILED);
    assert_int_equal(f->task.diag.status, MR_ERR_OVERFLOW);
    fake_destroy(f);
}

static const char map_columns[] =
    "id bigint, region text, amount numeric(10,2), meta.offset bigint hidden";

static void map_runs(fake *f, const mr_schema *schema, map_spec_mirror *spec, const char *columns,
                     const char *expected)
{
    mr_batch *in =
        mr_test_batch(f->arena, schema, "1|eu|12.50|100\n2|us|0.00|101\n3|\\N|1.00|102\n");
    char text[FAKE_TEXT_MAX] = "", names[FAKE_TEXT_MAX] = "";
    uint32_t calls = 0;
    size_t size = 0;

    assert_int_equal(fake_plan(f, &mr_op_map, schema, spec), MR_OK);
    const mr_schema *out = f->node.outputs[0].schema;
    for (uint32_t i = 0; i < out->field_count; i++) {
        char type[MR_TYPE_TEXT_MAX];
        size +=
            (size_t)snprintf(names + size, sizeof(names) - size, "%s%s %s%s", i == 0 ? "" : ", ",
                             out->fields[i].name, mr_type_text(&out->fields[i], type),
                             out->fields[i].hidden ? " hidden" : "");
    }
    assert_string_equal(names, columns);
    fake_open(f);
    assert_int_equal(fake_process(f, in, text, &calls), MR_STEP_NEXT);
    assert_string_equal(text, expected);
}

static void map_set(void **state)
{
    fake *f = fake_create();
    const mr_schema *schema = fake_schema(f, map_columns, 1);
    static const char *const pairs[] = {
        "amount", "amount * 2", "place", "upper(region) || meta.offset", "id2", "id", NULL};
    map_spec_mirror spec = {.set = fake_select(f, schema, pairs)};

    (void)state;
    map_runs(f, schema, &spec,
             "id bigint, region text, amount numeric(11,2), place text, id2 bigint, "
             "meta.offset bigint hidden",
             "1|eu|25.00|EU100|1|100\n2|us|0.00|US101|2|101\n3|\\N|2.00|\\N|3|102\n");
    assert_int_equal(f->node.outputs[0].schema->key_count, 1);
    assert_int_equal(f->node.outputs[0].schema->key[0], 0);
    fake_destroy(f);
}

static void map_select_renames_the_key(void **state)
{
    fake *f = fake_create();
    const mr_schema *schema = fake_schema(f, map_columns, 1);
    static const char *const pairs[] = {"total", "100 / amount", "who", "id", NULL};
    map_spec_mirror spec = {.select = fake_select(f, schema, pairs)};

    (void)state;
    map_runs(f, schema, &spec, "total numeric(11,6), who bigint, meta.offset bigint hidden",
             "8.000000|1|100\n100.000000|3|102\n");
    assert_string_equal(f->task.rejects, "1 22012;");
    assert_int_equal(f->node.outputs[0].schema->key_count, 1);
    assert_int_equal(f->node.outputs[0].schema->key[0], 1);
    fake_destroy(f);
}

static void map_drop(void **state)
{
    fake *f = fake_create();
    const mr_schema *schema = fake_schema(f, map_columns, 1);
    static const uint16_t dropped[] = {0, 2};
    map_spec_mirror spec = {.drop = {.indexes = dropped, .count = 2, .given = 1}};

    (void)state;
    map_runs(f, schema, &spec, "region text, meta.offset bigint hidden",
             "eu|100\nus|101\n\\N|102\n");
    assert_int_equal(f->node.outputs[0].schema->key_count, 0);
    fake_destroy(f);
}

static void map_replaces_the_key(void **state)
{
    fake *f = fake_create();
    const mr_schema *schema = fake_schema(f, map_columns, 1);
    static const char *const pairs[] = {"id", "id + 1", NULL};
    map_spec_mirror spec = {.set = fake_select(f, schema, pairs)};

    (void)state;
    assert_int_equal(fake_plan(f, &mr_op_map, schema, &spec), MR_OK);
    assert_int_equal(f->node.outputs[0].schema->key_count, 0);
    fake_destroy(f);
}

static void map_refuses(void **state)
{
    fake *f = fake_create();
    mr_schema *schema = fake_schema(f, map_columns, 1);
    static const char *const pairs[] = {"x", "id", NULL}, *const meta[] = {"meta.offset", "1",
                                                                           NULL};
    static const char *const changed[] = {"id", "id + 1", NULL};
    static const uint16_t all[] = {0, 1, 2};
    map_spec_mirror none = {0};
    map_spec_mirror two = {.set = fake_select(f, schema, pairs),
                           .select = fake_select(f, schema, pairs)};
    map_spec_mirror hidden = {.set = fake_select(f, schema, meta)};
    map_spec_mirror empty = {.drop = {.indexes = all, .count = 3, .given = 1}};
    map_spec_mirror lost = {.set = fake_select(f, schema, changed)};
    map_spec_mirror kept = {.select = fake_select(f, schema, pairs)};

    (void)state;
    assert_int_equal(fake_plan(f, &mr_op_map, schema, &none), MR_ERR_CONFIG);
    assert_string_equal(f->error,
                        "M0104 op map needs exactly one of \"set\", \"select\", \"drop\"");
    assert_int_equal(fake_plan(f, &mr_op_map, schema, &two), MR_ERR_CONFIG);
    assert_int_equal(fake_plan(f, &mr_op_map, schema, &hidden), MR_ERR_CONFIG);
    assert_int_equal(strncmp(f->error, "M0113 \"meta.offset\"", 19), 0);
    assert_int_equal(fake_plan(f, &mr_op_map, schema, &empty), MR_ERR_CONFIG);
    assert_int_equal(strncmp(f->error, "M0106", 5), 0);
    schema->mode = MR_UPSERT;
    schema->identity_count = 1;
    assert_int_equal(fake_plan(f, &mr_op_map, schema, &lost), MR_ERR_CONFIG);
    assert_int_equal(strncmp(f->error, "M0310 map changes or leaves out \"id\"", 35), 0);
    assert_int_equal(fake_plan(f, &mr_op_map, schema, &kept), MR_OK);
    assert_int_equal(f->node.outputs[0].schema->mode, MR_UPSERT);
    assert_int_equal(f->node.outputs[0].schema->identity_count, 1);
    fake_destroy(f);
}

static void the_table(void **state)
{
    (void)state;
    assert_int_equal(mr_operator_count, 3);
    for (uint32_t i = 0; i < mr_operator_count; i++) {
        assert_int_equal(mr_operators[i]->struct_size, sizeof(mr_operator_type));
        assert_non_null(mr_operators[i]->summary);
        assert_null(mr_operator_refused(mr_operators[i]->name));
    }
    assert_non_null(mr_operator_refused("window"));
    assert_non_null(mr_operator_refused("join"));
    assert_null(mr_operator_refused("filer"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filter_keeps_what_is_true),
        cmocka_unit_test(filter_passes_halves),
        cmocka_unit_test(filter_without_scratch_left),
        cmocka_unit_test(map_set),
        cmocka_unit_test(map_select_renames_the_key),
        cmocka_unit_test(map_drop),
        cmocka_unit_test(map_replaces_the_key),
        cmocka_unit_test(map_refuses),
        cmocka_unit_test(the_table),
    };
    return cmocka_run_group_tests_name("row operators", tests, NULL, NULL);
}
