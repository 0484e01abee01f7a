/* encode_test.c - rows as JSON and raw values, room, bounds, and record keys. */
#include "engine/base/assert.h"
#include "engine/batch/batch.h"
#include "io/format/format.h"
#include "tests/support/batch_text.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

enum { ROOM = 8192 };

typedef struct sink {
    mr_arena *arena;
    const mr_schema *schema;
    mr_encoder *encoder;
    mr_batch *batch;
    mr_view values[16];
    uint8_t room[ROOM];
    mr_diag diag;
} sink;

static void begin(sink *self, uint32_t format, const char *columns, const char *numbers,
                  const char *times, const char *rows)
{
    const void *spec = NULL;

    self->arena = mr_arena_create(mr_memory_system(), 8 << 20, "test");
    self->schema = mr_test_schema(self->arena, columns);
    assert_int_equal(mr_formats[format]->plan_write(self->arena, self->schema, numbers, times,
                                                    &spec, &self->diag),
                     MR_OK);
    assert_int_equal(mr_encoder_open(&self->encoder, mr_formats[format], spec, self->schema,
                                     self->arena, &self->diag),
                     MR_OK);
    self->batch = mr_test_batch(self->arena, self->schema, rows);
}

static void check_value(const sink *self, uint32_t index, const char *wanted)
{
    const mr_view value = self->values[index];

    assert_non_null(value.bytes);
    if (value.size_bytes != strlen(wanted) || memcmp(value.bytes, wanted, strlen(wanted)) != 0) {
        fail_msg("%.*s", (int)value.size_bytes, (const char *)value.bytes);
    }
    assert_true(value.size_bytes <= mr_encoder_bound(self->encoder, self->batch, index));
}

static void run_all(sink *self)
{
    uint8_t *at = self->room;
    const uint32_t count = self->batch->selected_count;

    assert_int_equal(
        mr_encoder_run(self->encoder, self->batch, 0, count, self->values, &at, self->room + ROOM),
        count);
}

static void test_json_values(void **state)
{
    static sink self;

    (void)state;
    begin(&self, 0,
          "b boolean, i bigint, h text hidden, d double, n numeric(10,3), t text, "
          "at timestamptz, j jsonb, q\"x text",
          NULL, NULL,
          "t|-7|hidden|1.5|2.5|a\"\t\xc3\xa4|2026-01-01T00:00:05.1Z|{\"a\": 1}|\n"
          "f|0|x|NaN|-0.001||1969-12-31T23:59:59.999999Z|[]|x\n"
          "\\N|\\N|\\N|\\N|\\N|\\N|\\N|\\N|\\N\n"
          "t|1|x|-Infinity|0|x|2026-01-01|null|x");
    run_all(&self);
    check_value(&self, 0,
                "{\"b\":true,\"i\":-7,\"d\":1.5,\"n\":2.500,\"t\":\"a\\\"\\t\xc3\xa4\","
                "\"at\":\"2026-01-01T00:00:05.100Z\",\"j\":{\"a\": 1},\"q\\\"x\":\"\"}");
    check_value(&self, 1,
                "{\"b\":false,\"i\":0,\"d\":\"NaN\",\"n\":-0.001,\"t\":\"\","
                "\"at\":\"1969-12-31T23:59:59.999999Z\",\"j\":[],\"q\\\"x\":\"x\"}");
    check_value(&self, 2,
                "{\"b\":null,\"i\":null,\"d\":null,\"n\":null,\"t\":null,\"at\":null,"
                "\"j\":null,\"q\\\"x\":null}");
    check_value(&self, 3,
                "{\"b\":true,\"i\":1,\"d\":\"-Infinity\",\"n\":0.000,\"t\":\"x\","
                "\"at\":\"2026-01-01T00:00:00Z\",\"j\":null,\"q\\\"x\":\"x\"}");
    mr_arena_destroy(self.arena);
}

static void test_bytes_are_base64(void **state)
{
    static sink self;
    static const char *const wanted[] = {"{\"v\":\"\"}",         "{\"v\":\"Zg==\"}",
                                         "{\"v\":\"Zm8=\"}",     "{\"v\":\"Zm9v\"}",
                                         "{\"v\":\"/////w==\"}", "{\"v\":null}"};

    (void)state;
    begin(&self, 0, "v bytea", NULL, NULL, "\nf\nfo\nfoo\n\xff\xff\xff\xff\n\\N");
    run_all(&self);
    for (uint32_t i = 0; i < MR_LENGTH(wanted); i++) {
        check_value(&self, i, wanted[i]);
    }
    mr_arena_destroy(self.arena);
}

/* The fields of a record together, wherever their columns stand. */
static void test_records_are_nested(void **state)
{
    static sink self;
    uint8_t room[256];

    (void)state;
    begin(&self, 0,
          "a.x bigint, n bigint, a.b.c text, m.k boolean, a.y bigint, a.b.d text, o.p.q text", NULL,
          NULL, "1|2|c|t|3|d|q\n\\N|\\N|\\N|\\N|\\N|\\N|\\N");
    run_all(&self);
    check_value(&self, 0,
                "{\"a\":{\"x\":1,\"b\":{\"c\":\"c\",\"d\":\"d\"},\"y\":3},\"n\":2,"
                "\"m\":{\"k\":true},\"o\":{\"p\":{\"q\":\"q\"}}}");
    check_value(&self, 1,
                "{\"a\":{\"x\":null,\"b\":{\"c\":null,\"d\":null},\"y\":null},\"n\":null,"
                "\"m\":{\"k\":null},\"o\":{\"p\":{\"q\":null}}}");
    /* A dead letter of a row says it in the same way, and never half. */
    for (uint32_t bytes = 0; bytes <= sizeof(room); bytes++) {
        const uint32_t size = mr_row_json(self.batch, 0, room, bytes);
        assert_true(size <= bytes);
        if (size > 0) {
            assert_int_equal(size, self.values[0].size_bytes);
            assert_memory_equal(room, self.values[0].bytes, size);
        } else {
            assert_true(bytes < sizeof(room));
        }
    }
    mr_arena_destroy(self.arena);
    begin(&self, 0, "a text hidden", NULL, NULL, "x");
    run_all(&self);
    check_value(&self, 0, "{}");
    mr_arena_destroy(self.arena);
}

static void test_json_styles(void **state)
{
    static sink self;
    const char *columns = "n numeric(5,2), at timestamptz";
    const char *rows = "1.5|1970-01-01T00:00:01.234567Z\n0|1969-12-31T23:59:59.999999Z";

    (void)state;
    begin(&self, 0, columns, "string", "epoch_ms", rows);
    run_all(&self);
    check_value(&self, 0, "{\"n\":\"1.50\",\"at\":1234}");
    check_value(&self, 1, "{\"n\":\"0.00\",\"at\":-1}");
    mr_arena_destroy(self.arena);
    begin(&self, 0, columns, "number", "epoch_us", rows);
    run_all(&self);
    check_value(&self, 0, "{\"n\":1.50,\"at\":1234567}");
    check_value(&self, 1, "{\"n\":0.00,\"at\":-1}");
    mr_arena_destroy(self.arena);
}

static void test_intervals_and_long_numerics(void **state)
{
    static sink self;

    (void)state;
    begin(&self, 0, "v interval, n numeric(38,0), m numeric(38,38)", NULL, NULL,
          "-178956970 years -8 mons -2147483648 days -2562047788:00:54.775807|"
          "-99999999999999999999999999999999999999|0.99999999999999999999999999999999999999\n"
          "00:00:00|99999999999999999999999999999999999999|"
          "-0.00000000000000000000000000000000000001\n"
          "\\N|\\N|\\N");
    run_all(&self);
    check_value(&self, 0,
                "{\"v\":\"-178956970 years -8 mons -2147483648 days -2562047788:00:54.775807\","
                "\"n\":-99999999999999999999999999999999999999,"
                "\"m\":0.99999999999999999999999999999999999999}");
    check_value(&self, 1,
                "{\"v\":\"00:00:00\",\"n\":99999999999999999999999999999999999999,"
                "\"m\":-0.00000000000000000000000000000000000001}");
    check_value(&self, 2, "{\"v\":null,\"n\":null,\"m\":null}");
    mr_arena_destroy(self.arena);
}

static void test_refused_plans(void **state)
{
    mr_arena *arena = mr_arena_create(mr_memory_system(), 1 << 20, "test");
    const void *spec = NULL;
    mr_diag diag = {0};

    (void)state;
    /* One member cannot be a value and an object. */
    assert_int_equal(mr_formats[0]->plan_write(arena, mr_test_schema(arena, "a.b text, a text"),
                                               NULL, NULL, &spec, &diag),
                     MR_ERR_CONFIG);
    assert_non_null(strstr(diag.text, "\"a\" is a column and, with \"a.b\", a record"));
    assert_int_equal(
        mr_formats[0]->plan_write(arena, mr_test_schema(arena, "a.b text, a text hidden, ab text"),
                                  NULL, NULL, &spec, &diag),
        MR_OK);
    assert_int_equal(
        mr_formats[0]->plan_write(arena, mr_test_schema(arena, "a text"), "x", NULL, &spec, &diag),
        MR_ERR_CONFIG);
    assert_int_equal(
        mr_formats[0]->plan_write(arena, mr_test_schema(arena, "a text"), NULL, "x", &spec, &diag),
        MR_ERR_CONFIG);
    assert_int_equal(mr_formats[1]->plan_write(arena, mr_test_schema(arena, "a text, b text"), NULL,
                                               NULL, &spec, &diag),
                     MR_ERR_CONFIG);
    assert_int_equal(mr_formats[1]->plan_write(arena, mr_test_schema(arena, "a bigint"), NULL, NULL,
                                               &spec, &diag),
                     MR_ERR_CONFIG);
    assert_int_equal(mr_formats[1]->plan_write(arena, mr_test_schema(arena, "a text"), NULL, "iso",
                                               &spec, &diag),
                     MR_ERR_CONFIG);
    for (uint32_t i = 0; i < mr_format_count; i++) {
        const bool is_refused =
            strcmp(mr_formats[i]->name, "avro") == 0 || strcmp(mr_formats[i]->name, "csv") == 0;
        assert_int_equal(mr_formats[i]->refused != NULL, is_refused);
    }
    mr_arena_destroy(arena);
}

static void test_room_ends(void **state)
{
    static sink self;
    const char *wanted[] = {"{\"a\":1,\"t\":\"x\"}", "{\"a\":2,\"t\":\"yy\"}",
                            "{\"a\":3,\"t\":\"z\"}"};

    (void)state;
    begin(&self, 0, "a bigint, t text", NULL, NULL, "1|x\n2|yy\n9|left out\n3|z");
    static const uint16_t selection[] = {0, 1, 3};
    memcpy(mr_batch_selection(self.batch), selection, sizeof(selection));
    mr_batch_select(self.batch, 3);
    for (uint32_t room = 0; room < 400; room++) {
        uint32_t done = 0;
        uint32_t calls = 0;
        while (done < 3 && calls < 4) {
            uint8_t *at = self.room;
            const uint32_t more = mr_encoder_run(self.encoder, self.batch, done, 3 - done,
                                                 self.values + done, &at, self.room + room);
            assert_true(at <= self.room + room);
            MR_ASSERT(more <= 3 - done);
            for (uint32_t i = done; i < done + more; i++) {
                check_value(&self, i, wanted[i]);
            }
            done += more;
            calls++;
        }
        assert_true(done == 3 || room < mr_encoder_bound(self.encoder, self.batch, 1));
    }
    mr_arena_destroy(self.arena);
}

static void test_long_texts_have_exact_bounds(void **state)
{
    static sink self;
    char text[1001];

    (void)state;
    memset(text, 'x', 1000);
    text[1000] = '\0';
    text[7] = '"';
    begin(&self, 0, "t text", NULL, NULL, text);
    assert_int_equal(mr_encoder_bound(self.encoder, self.batch, 0), 1001 + 2 + 6);
    run_all(&self);
    assert_int_equal(self.values[0].size_bytes, 1001 + 2 + 6);
    mr_arena_destroy(self.arena);
}

static void test_raw(void **state)
{
    static sink self;
    uint8_t *at = self.room;

    (void)state;
    begin(&self, 1, "h bigint hidden, t text", NULL, NULL, "1|abc\n2|\\N\n3|\n4|x");
    run_all(&self);
    check_value(&self, 0, "abc");
    assert_null(self.values[1].bytes);
    check_value(&self, 2, "");
    check_value(&self, 3, "x");
    assert_int_equal(
        mr_encoder_run(self.encoder, self.batch, 0, 4, self.values, &at, self.room + 3), 3);
    mr_arena_destroy(self.arena);
}

typedef struct key_case {
    mr_key_format format;
    const char *columns, *row;
    const char *key; /* NULL: no key. */
    uint32_t key_bytes;
} key_case;

static const key_case key_cases[] = {
    {MR_KEY_TEXT, "k text", "abc", "abc", 3},
    {MR_KEY_TEXT, "k text", "", "", 0},
    {MR_KEY_TEXT, "k text", "\\N", NULL, 0},
    {MR_KEY_TEXT, "k bigint", "-7", "-7", 2},
    {MR_KEY_TEXT, "k boolean", "t", "true", 4},
    {MR_KEY_TEXT, "k numeric(5,2)", "1.5", "1.50", 4},
    {MR_KEY_TEXT, "k double", "-0", "0", 1},
    {MR_KEY_TEXT, "k double", "NaN", "NaN", 3},
    {MR_KEY_TEXT, "k timestamptz", "2026-01-01", "2026-01-01T00:00:00Z", 20},
    {MR_KEY_TEXT, "k date", "2026-01-01", "2026-01-01", 10},
    {MR_KEY_JSON, "k date", "2026-01-01", "{\"k\":\"2026-01-01\"}", 18},
    {MR_KEY_TEXT, "k text, l double, m boolean", "a\"|-0|\\N", "[\"a\\\"\",0,null]", 14},
    {MR_KEY_JSON, "k text, l numeric(5,2)", "a|1", "{\"k\":\"a\",\"l\":1.00}", 18},
    {MR_KEY_JSON, "k text", "\\N", "{\"k\":null}", 10},
    {MR_KEY_INT32, "k bigint", "-2", "\xff\xff\xff\xfe", 4},
    {MR_KEY_INT32, "k bigint", "\\N", NULL, 0},
    {MR_KEY_INT64, "k bigint", "258", "\0\0\0\0\0\0\1\2", 8},
    {MR_KEY_RAW, "k bytea", "\xff", "\xff", 1},
    {MR_KEY_TEXT, "k bytea",
     "\xff"
     "a",
     "\\xff61", 6},
    {MR_KEY_TEXT, "k bytea", "", "\\x", 2},
    {MR_KEY_TEXT, "k bytea", "\\N", NULL, 0},
    {MR_KEY_TEXT, "k bytea, l text", "hi|x", "[\"aGk=\",\"x\"]", 12},
    {MR_KEY_JSON, "k bytea", "hi", "{\"k\":\"aGk=\"}", 12},
    {MR_KEY_JSON, "r.a bigint, r.b text, c bigint", "1|x|2",
     "{\"r\":{\"a\":1,\"b\":\"x\"},\"c\":2}", 27},
};

static void test_record_keys(void **state)
{
    static const uint16_t columns[] = {0, 1, 2};

    (void)state;
    for (size_t i = 0; i < MR_LENGTH(key_cases); i++) {
        const key_case *row = &key_cases[i];
        mr_arena *arena = mr_arena_create(mr_memory_system(), 1 << 20, "test");
        const mr_schema *schema = mr_test_schema(arena, row->columns);
        /* The row is the second one, so that row numbers matter. */
        char rows[128];
        snprintf(rows, sizeof(rows), "%s\n%s\n", row->row, row->row);
        mr_batch *batch = mr_test_batch(arena, schema, rows);
        uint8_t room[512];
        uint8_t *at = room;
        mr_view key = {0};
        mr_row_error error = 99;
        mr_diag diag = {0};
        assert_int_equal(
            mr_record_key_check(row->format, schema, columns, schema->field_count, &diag), MR_OK);
        const uint32_t bound =
            mr_record_key_bound(row->format, batch, 1, columns, schema->field_count);
        assert_true(mr_record_key_encode(row->format, batch, 1, columns, schema->field_count, &at,
                                         room + bound, &key, &error));
        assert_int_equal(error, MR_ROW_OK);
        assert_int_equal(key.bytes != NULL, row->key != NULL);
        assert_int_equal(key.size_bytes, row->key_bytes);
        assert_ptr_equal(at, room + row->key_bytes);
        if (row->key_bytes > 0) {
            assert_memory_equal(key.bytes, row->key, row->key_bytes);
            at = room;
            assert_false(mr_record_key_encode(row->format, batch, 1, columns, schema->field_count,
                                              &at, room + row->key_bytes - 1, &key, &error));
            assert_ptr_equal(at, room);
        }
        mr_arena_destroy(arena);
    }
}

static void test_record_keys_that_cannot_be(void **state)
{
    mr_arena *arena = mr_arena_create(mr_memory_system(), 1 << 20, "test");
    static const uint16_t columns[] = {0, 1};
    const mr_schema *wide = mr_test_schema(arena, "k bigint, l bigint");
    const mr_schema *jsonb = mr_test_schema(arena, "k jsonb");
    const mr_schema *interval = mr_test_schema(arena, "k interval");
    mr_batch *batch = mr_test_batch(arena, wide, "2147483648|0\n-2147483649|0");
    uint8_t room[512];
    uint8_t *at = room;
    mr_view key = {0};
    mr_row_error error = 0;
    mr_diag diag = {0};

    (void)state;
    assert_int_equal(mr_record_key_check(MR_KEY_INT64, wide, columns, 2, &diag), MR_ERR_CONFIG);
    assert_int_equal(mr_record_key_check(MR_KEY_RAW, wide, columns, 1, &diag), MR_ERR_CONFIG);
    assert_int_equal(mr_record_key_check(MR_KEY_TEXT, jsonb, columns, 1, &diag), MR_ERR_CONFIG);
    assert_int_equal(mr_record_key_check(MR_KEY_TEXT, interval, columns, 1, &diag), MR_ERR_CONFIG);
    static const uint16_t apart[] = {0, 1, 2};
    const mr_schema *nested = mr_test_schema(arena, "r.a text, b text, r.c text");
    assert_int_equal(mr_record_key_check(MR_KEY_JSON, nested, apart, 3, &diag), MR_ERR_CONFIG);
    assert_non_null(strstr(diag.text, "\"r.c\" stands apart\nhint: "));
    assert_int_equal(mr_record_key_check(MR_KEY_TEXT, nested, apart, 3, &diag), MR_OK);
    const mr_schema *both = mr_test_schema(arena, "r.a text, r text");
    assert_int_equal(mr_record_key_check(MR_KEY_JSON, both, apart, 2, &diag), MR_ERR_CONFIG);
    for (uint32_t row = 0; row < 2; row++) {
        assert_true(mr_record_key_encode(MR_KEY_INT32, batch, row, columns, 1, &at, room + 512,
                                         &key, &error));
        assert_int_equal(error, MR_ROW_22003);
        assert_ptr_equal(at, room);
    }
    assert_true(
        mr_record_key_encode(MR_KEY_TEXT, batch, 0, NULL, 0, &at, room + 512, &key, &error));
    assert_null(key.bytes);
    mr_arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_values),
        cmocka_unit_test(test_bytes_are_base64),
        cmocka_unit_test(test_records_are_nested),
        cmocka_unit_test(test_json_styles),
        cmocka_unit_test(test_intervals_and_long_numerics),
        cmocka_unit_test(test_refused_plans),
        cmocka_unit_test(test_room_ends),
        cmocka_unit_test(test_long_texts_have_exact_bounds),
        cmocka_unit_test(test_raw),
        cmocka_unit_test(test_record_keys),
        cmocka_unit_test(test_record_keys_that_cannot_be),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
