/*
 * fields_test.c - columns of a source: types, the long form, the hidden ones.
 */
#include "tests/unit/topology/fake.h"

#define HEAD "millrace: 1\napp: t\nkafka: { brokers: [a:1] }\nerrors: { default: { stop: true } }\n"
#define SINK "sinks:\n  b: { from: a, topic: out }\n"
#define WITH(schema) \
    HEAD SINK "sources:\n  a:\n    topic: in\n    format: json\n    schema:\n" schema

/* The source "a" of a document without mistakes. */
static const mr_source_common *source_of(const mr_topology *topology)
{
    assert_non_null(mr_topology_plan(topology));
    return fake_node(mr_topology_plan(topology), "a")->common;
}

/* Whether it is, for this reason; without, there is a plan. Destroys it. */
static bool is_refused(mr_topology *topology, uint16_t code)
{
    const bool is_said = fake_message(topology, code) != NULL;

    assert_int_equal(mr_topology_plan(topology) == NULL, is_said);
    mr_topology_destroy(topology);
    return is_said;
}

static void append(char *text, size_t room, const char *format, ...) MR_PRINTF(3, 4);

static void append(char *text, size_t room, const char *format, ...)
{
    const size_t used = strlen(text);
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text + used, room - used, format, arguments);
    va_end(arguments);
}

static void test_types(void **state)
{
    mr_topology *topology = fake_load(WITH("      a: bool\n"
                                           "      b: bigint not null\n"
                                           "      c: double   precision NOT NULL\n"
                                           "      d: numeric(18, 2) not null\n"
                                           "      e: decimal(5)\n"
                                           "      f: text\n"
                                           "      g: timestamptz\n"
                                           "      h: jsonb\n"
                                           "      i: bytea\n"));
    static const mr_type types[] = {MR_BOOLEAN, MR_BIGINT,      MR_DOUBLE, MR_NUMERIC, MR_NUMERIC,
                                    MR_TEXT,    MR_TIMESTAMPTZ, MR_JSONB,  MR_BYTEA};

    (void)state;
    const mr_schema *schema = source_of(topology)->schema;
    assert_int_equal(schema->field_count, 9 + 6);
    for (uint32_t i = 0; i < 9; i++) {
        assert_int_equal(schema->fields[i].type, types[i]);
        assert_int_equal(schema->fields[i].nullable, i < 1 || i > 3);
        assert_false(schema->fields[i].hidden);
    }
    assert_int_equal(schema->fields[3].precision, 18);
    assert_int_equal(schema->fields[3].scale, 2);
    assert_int_equal(schema->fields[4].precision, 5);
    assert_int_equal(schema->fields[4].scale, 0);
    assert_string_equal(schema->fields[9].name, "meta.topic");
    assert_string_equal(schema->fields[14].name, "meta.key_bytes");
    assert_true(schema->fields[9].hidden && schema->fields[14].hidden);
    mr_topology_destroy(topology);
}

static void test_long_form(void **state)
{
    mr_topology *topology =
        fake_load(WITH("      a: { type: bigint not null, path: after.n, default: 7 }\n"
                       "      b: { type: text, from: header, name: X-Trace }\n"
                       "      c: { type: text, from: header }\n"
                       "      d: { type: timestamptz, format: epoch_ms }\n"
                       "      e.f: text\n"));

    (void)state;
    const mr_source_common *common = source_of(topology);
    assert_int_equal(common->fields[0].path_count, 2);
    assert_string_equal(common->fields[0].path[0], "after");
    assert_string_equal(common->fields[0].path[1], "n");
    assert_string_equal(common->fields[0].fallback, "7");
    assert_int_equal(common->fields[1].from, MR_FROM_HEADER);
    assert_string_equal(common->fields[1].header, "X-Trace");
    assert_string_equal(common->fields[2].header, "c");
    assert_int_equal(common->fields[3].time_format, MR_TIME_EPOCH_MS);
    assert_int_equal(common->fields[4].path_count, 1); /* Only `path` has dots. */
    assert_string_equal(common->fields[4].path[0], "e.f");
    assert_int_equal(common->fields[5].from, MR_FROM_META);
    mr_topology_destroy(topology);
}

static void test_mistakes(void **state)
{
    (void)state;
    fake_expect(HEAD SINK "sources:\n  a: { topic: in, format: json }\n", 104, 8);
    fake_expect(HEAD SINK "sources:\n  a: { topic: in, format: json, schema: {} }\n", 209, 8);
    fake_expect(WITH("      a: integer\n"), 121, 12);
    fake_expect(WITH("      a: numeric(39,2)\n"), 121, 12);
    fake_expect(WITH("      a: numeric(3,4)\n"), 121, 12);
    fake_expect(WITH("      a: numeric(3,2,1)\n"), 121, 12);
    fake_expect(WITH("      a: { path: b }\n"), 104, 12);
    fake_expect(WITH("      a: { type: text, path: b. }\n"), 106, 12);
    fake_expect(WITH("      a: { type: text, name: b }\n"), 106, 12);
    fake_expect(WITH("      a: { type: text, from: header, path: b }\n"), 106, 12);
    fake_expect(WITH("      a: { type: bigint, default: 1.5 }\n"), 106, 12);
    fake_expect(WITH("      a: { type: \"numeric(3,1)\", default: 100 }\n"), 106, 12);
    fake_expect(WITH("      a: { type: bigint, format: iso }\n"), 106, 12);
    fake_expect(WITH("      a: { type: text, fields: {} }\n"), 106, 12);
    fake_expect(WITH("      a: { type: bytea, default: x }\n"), 106, 12);
    fake_expect(WITH("      a: { type: jsonb, default: \"{\" }\n"), 106, 12);
    fake_expect(WITH("      meta.offset: bigint\n"), 113, 12);
    fake_expect(WITH("      a: { type: timestamptz, format: epoch_ms, default: 0 }\n"), 106, 12);
    fake_expect(WITH("      a: { type: jsonb, from: header }\n"), 106, 12);
    fake_expect(WITH("      a: { type: jsonb, from: key }\n    key_format: json\n"), 106, 12);
    fake_expect(WITH("      a: { type: interval, from: key }\n    key_format: json\n"), 106, 12);
    fake_expect(WITH("      a:\n        type: record\n        from: key\n        fields: { b: "
                     "jsonb }\n    key_format: json\n"),
                106, 15);
}

/* As many columns as a key has, those of records and those that nobody reads included. */
static void test_columns_of_the_record_key(void **state)
{
#define KEYS(more)                                                                                \
    WITH("      r: { type: record, from: key, fields: { a: text, b: text, c: text, d: text } }\n" \
         "      s: { type: record, from: key, fields: { a: text, b: text, c: text, d: text } }\n" \
         "      t: { type: record, from: key, fields: { a: text, b: text, c: text, d: text } }\n" \
         "      a: { type: text, from: key }\n"                                                   \
         "      b: { type: text, from: key }\n"                                                   \
         "      c: { type: text, from: key }\n"                                                   \
         "      v: text\n"                                                                        \
         "      d: { type: text, from: key }\n" more "    key_format: json\n")
    (void)state;
    assert_false(is_refused(fake_load(KEYS("")), 209));
    fake_expect(KEYS("      e: { type: text, from: key }\n"), 209, 20);
    fake_expect(KEYS("      u: { type: record, from: key, fields: { a: text } }\n"), 209, 20);
}

static void test_records(void **state)
{
    mr_topology *topology =
        fake_load(WITH("      n: bigint\n"
                       "      customer:\n"
                       "        type: record not null\n"
                       "        path: payload.after\n"
                       "        fields:\n"
                       "          id: bigint not null\n"
                       "          address:\n"
                       "            type: Record\n"
                       "            fields: { city: text, at: { type: timestamptz, path: t.s, "
                       "format: epoch_s, default: 0001-01-01T00:00:00Z } }\n"
                       "          name: { type: text, default: nobody }\n"
                       "      k: { type: record, from: key, fields: { id: text } }\n"
                       "      j: { type: jsonb, default: '{\"a\": 1}' }\n"
                       "    key_format: json\n"));
    static const struct {
        const char *name, *path;
        bool nullable;
        mr_from from;
    } columns[] = {{"n", "n", true, MR_FROM_VALUE},
                   {"customer.id", "payload.after.id", false, MR_FROM_VALUE},
                   {"customer.address.city", "payload.after.address.city", true, MR_FROM_VALUE},
                   {"customer.address.at", "payload.after.address.t.s", true, MR_FROM_VALUE},
                   {"customer.name", "payload.after.name", true, MR_FROM_VALUE},
                   {"k.id", "k.id", true, MR_FROM_KEY},
                   {"j", "j", true, MR_FROM_VALUE}};

    (void)state;
    const mr_source_common *common = source_of(topology);
    assert_int_equal(common->schema->field_count, 7 + 6);
    for (uint32_t i = 0; i < 7; i++) {
        const mr_field_spec *spec = &common->fields[i];
        char path[128] = "";
        for (uint32_t k = 0; k < spec->path_count; k++) {
            append(path, sizeof(path), "%s%s", k > 0 ? "." : "", spec->path[k]);
        }
        assert_string_equal(common->schema->fields[i].name, columns[i].name);
        assert_string_equal(path, columns[i].path);
        assert_int_equal(common->schema->fields[i].nullable, columns[i].nullable);
        assert_int_equal(spec->from, columns[i].from);
    }
    assert_int_equal(common->fields[3].time_format, MR_TIME_EPOCH_S);
    assert_string_equal(common->fields[4].fallback, "nobody");
    assert_int_equal(common->record_count, 3);
    assert_string_equal(common->records[0].name, "customer");
    assert_false(common->records[0].nullable);
    assert_int_equal(common->records[0].path_count, 2);
    assert_int_equal(common->records[0].first_column, 1);
    assert_int_equal(common->records[0].column_count, 4);
    assert_string_equal(common->records[1].name, "customer.address");
    assert_true(common->records[1].nullable);
    assert_int_equal(common->records[1].first_column, 2);
    assert_int_equal(common->records[1].column_count, 2);
    assert_int_equal(common->records[2].from, MR_FROM_KEY);
    mr_topology_destroy(topology);
}

#define RECORD(fields) WITH("      r: { type: record, fields: { " fields " } }\n")

static void test_mistakes_in_records(void **state)
{
    (void)state;
    fake_expect(WITH("      r: record\n"), 104, 12);
    fake_expect(WITH("      r: { type: record }\n"), 104, 12);
    fake_expect(WITH("      r: { type: record, fields: [a] }\n"), 105, 12);
    fake_expect(WITH("      r: { type: record, fields: {} }\n"), 209, 12);
    fake_expect(WITH("      r: { type: record, default: x, fields: { a: text } }\n"), 102, 12);
    fake_expect(WITH("      r: { type: record, from: header, fields: { a: text } }\n"), 106, 12);
    fake_expect(WITH("      r.s: { type: record, fields: { a: text } }\n"), 113, 12);
    fake_expect(WITH("      meta: { type: record, fields: { topic: text } }\n"), 113, 12);
    fake_expect(RECORD("a.b: text"), 113, 12);
    fake_expect(RECORD("a: { type: text, from: key }"), 106, 12);
    fake_expect(RECORD("a: { type: text, path: x..y }"), 106, 12);
    fake_expect(RECORD("a: integer"), 121, 12);
    fake_expect(WITH("      r: { type: record, from: key, fields: { a: text } }\n"), 409, 12);
    fake_expect(WITH("      r: { type: record, fields: { a: text } }\n      r.a: text\n"), 103, 13);
    fake_expect(RECORD("a23456789a23456789a23456789a2: { type: record, fields: { "
                       "b23456789b23456789b23456789b2345: text } }"),
                113, 12);
    /* A passed tombstone has no record. */
    fake_expect(WITH("      r: { type: record not null, fields: { a: text } }\n"
                     "    tombstones: pass\n"),
                410, 13);
}

/* Records in records, `count` deep; the innermost has a field. */
static mr_topology *load_nested(uint32_t count)
{
    char text[4096] = WITH("      ");

    for (uint32_t i = 0; i < count; i++) {
        append(text, sizeof(text), "r: { type: record, fields: { ");
    }
    append(text, sizeof(text), "x: text");
    for (uint32_t i = 0; i < count; i++) {
        append(text, sizeof(text), " } }");
    }
    append(text, sizeof(text), "\n");
    return fake_load(text);
}

static void test_limits(void **state)
{
    static char text[65536];

    (void)state;
    assert_false(is_refused(load_nested(MR_RECORD_DEPTH_MAX), 209));
    assert_true(is_refused(load_nested(MR_RECORD_DEPTH_MAX + 1), 209));
    for (uint32_t records = MR_RECORDS_MAX; records <= MR_RECORDS_MAX + 1; records++) {
        (void)snprintf(text, sizeof(text), "%s", WITH(""));
        for (uint32_t i = 0; i < records; i++) {
            append(text, sizeof(text), "      r%u: { type: record, fields: { a: text } }\n", i);
        }
        assert_int_equal(is_refused(fake_load(text), 209), records > MR_RECORDS_MAX);
    }
    /* 512 less meta and header columns; those of records count. */
    for (uint32_t columns = 474; columns <= 475; columns++) {
        (void)snprintf(text, sizeof(text), "%s",
                       WITH("      r:\n        type: record\n"
                            "        fields:\n"));
        for (uint32_t i = 0; i < columns; i++) {
            append(text, sizeof(text), "          c%u: text\n", i);
        }
        assert_int_equal(is_refused(fake_load(text), 209), columns > 474);
    }
    /* A path that the reader of JSON cannot follow. */
    for (uint32_t names = 61; names <= 62; names++) {
        (void)snprintf(
            text, sizeof(text), "%s",
            WITH("      r: { type: record, path: a.b, fields: { x: { type: text, path: y"));
        for (uint32_t i = 1; i < names; i++) {
            append(text, sizeof(text), ".y");
        }
        append(text, sizeof(text), " } } }\n");
        assert_int_equal(is_refused(fake_load(text), 106), names > 61);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),    cmocka_unit_test(test_long_form),
        cmocka_unit_test(test_mistakes), cmocka_unit_test(test_columns_of_the_record_key),
        cmocka_unit_test(test_records),  cmocka_unit_test(test_mistakes_in_records),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
