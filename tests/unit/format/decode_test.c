/* decode_test.c - what all sources share: tombstones, sizes, keys, headers, meta, event times. */
#include "tests/support/death.h"
#include "tests/unit/format/source_fixture.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const mr_format_type *json(void)
{
    return mr_formats[0];
}

static const mr_format_type *raw(void)
{
    assert_string_equal(mr_formats[1]->name, "raw");
    return mr_formats[1];
}

static void test_tombstones(void **state)
{
    static const struct {
        mr_tombstones tombstones;
        const char *rows;
        mr_row_error error;
    } rows[] = {{MR_TOMBSTONE_ERROR, "1|x\n2|x", MR_ROW_TOMBSTONE},
                {MR_TOMBSTONE_DROP, "1|x\n2|x", MR_ROW_OK},
                {MR_TOMBSTONE_PASS, "1|x\n\\N|x\n2|x", MR_ROW_OK}};

    (void)state;
    for (size_t i = 0; i < MR_LENGTH(rows); i++) {
        fixture self;
        fixture_begin(&self, json(), "a bigint, k text");
        self.fields[1].from = MR_FROM_KEY;
        self.common.tombstones = rows[i].tombstones;
        assert_int_equal(fixture_open(&self), MR_OK);
        fixture_add(&self, "x", "{\"a\":1}");
        fixture_add(&self, "x", NULL);
        fixture_add(&self, "x", "{\"a\":2}");
        assert_string_equal(fixture_run(&self, 0), rows[i].rows);
        assert_int_equal(self.errors[1], rows[i].error);
        assert_int_equal(self.out->row_count, 3);
        fixture_end(&self);
    }
}

static void test_a_passing_tombstone_without_its_not_null_column(void **state)
{
    fixture self;

    (void)state;
    fixture_begin(&self, json(), "a bigint not null");
    self.common.tombstones = MR_TOMBSTONE_PASS;
    assert_int_equal(fixture_open(&self), MR_OK);
    fixture_add(&self, NULL, NULL);
    assert_string_equal(fixture_run(&self, 0), "");
    assert_int_equal(self.errors[0], MR_ROW_DECODE_NULL);
    fixture_end(&self);
}

static void test_sizes(void **state)
{
    fixture self;
    static char large[FIXTURE_RECORD_MAX + 2];

    (void)state;
    fixture_begin(&self, raw(), "v text");
    assert_int_equal(fixture_open(&self), MR_OK);
    memset(large, 'x', FIXTURE_RECORD_MAX + 1);
    fixture_add(&self, NULL, large);
    fixture_add(&self, NULL, large)->value.size_bytes = FIXTURE_RECORD_MAX;
    (void)fixture_run(&self, 0);
    assert_int_equal(self.errors[0], MR_ROW_TOO_LARGE);
    assert_int_equal(self.errors[1], MR_ROW_OK);
    assert_ptr_equal(self.out->columns[0].as.views[1].bytes, large);
    fixture_end(&self);
}

static void test_raw(void **state)
{
    fixture self;
    const void *spec = NULL;

    (void)state;
    fixture_begin(&self, raw(), "v text");
    assert_int_equal(raw()->plan_read(self.arena, self.schema, self.fields, &spec, &self.diag),
                     MR_OK);
    assert_int_equal(fixture_open(&self), MR_OK);
    fixture_add(&self, NULL, "plain \xc3\xa4");
    fixture_add(&self, NULL, "\xff");
    fixture_add(&self, NULL, "");
    assert_string_equal(fixture_run(&self, 0), "plain \xc3\xa4\n");
    assert_int_equal(self.errors[1], MR_ROW_DECODE_UTF8);
    fixture_end(&self);
    fixture_begin(&self, raw(), "v bytea");
    assert_int_equal(fixture_open(&self), MR_OK);
    fixture_add(&self, NULL, "\xff\x01");
    assert_string_equal(fixture_run(&self, 0), "\xff\x01");
    fixture_end(&self);
    static const char *const bad[] = {"v bigint", "v text, w text"};
    for (size_t i = 0; i < MR_LENGTH(bad); i++) {
        fixture_begin(&self, raw(), bad[i]);
        assert_int_equal(raw()->plan_read(self.arena, self.schema, self.fields, &spec, &self.diag),
                         MR_ERR_CONFIG);
        fixture_end(&self);
    }
}

typedef struct key_case {
    mr_key_format format;
    const char *columns, *key;
    uint32_t key_bytes;
    const char *rows; /* NULL: MR_ROW_DECODE_KEY */
} key_case;

static const key_case key_cases[] = {
    {MR_KEY_TEXT, "v jsonb, k text", "abc", 3, "abc"},
    {MR_KEY_TEXT, "v jsonb, k text", "", 0, ""},
    {MR_KEY_TEXT, "v jsonb, k text", "\xff", 1, NULL},
    {MR_KEY_TEXT, "v jsonb, k bigint", "-12", 3, "-12"},
    {MR_KEY_TEXT, "v jsonb, k bigint", "x", 1, NULL},
    {MR_KEY_TEXT, "v jsonb, k boolean", "true", 4, "t"},
    {MR_KEY_TEXT, "v jsonb, k numeric(5,2)", "1.5", 3, "1.50"},
    {MR_KEY_TEXT, "v jsonb, k text, l bigint", "[\"a\\n\",7]", 9, "a\n|7"},
    {MR_KEY_TEXT, "v jsonb, k text, l bigint", "[null,7]", 8, "\\N|7"},
    {MR_KEY_TEXT, "v jsonb, k text, l bigint", "[\"a\"]", 5, NULL},
    {MR_KEY_TEXT, "v jsonb, k text, l bigint", "[\"a\",1,2]", 9, NULL},
    {MR_KEY_TEXT, "v jsonb, k text, l bigint", "[1,1]", 5, NULL},
    {MR_KEY_TEXT, "v jsonb, k text, l bigint", "a", 1, NULL},
    {MR_KEY_JSON, "v jsonb, k text", "{\"k\":\"x\"}", 9, "x"},
    {MR_KEY_JSON, "v jsonb, k text", "{}", 2, "\\N"},
    {MR_KEY_JSON, "v jsonb, k text", "[]", 2, NULL},
    {MR_KEY_INT32, "v jsonb, k bigint", "\xff\xff\xff\xfe", 4, "-2"},
    {MR_KEY_INT32, "v jsonb, k bigint", "\0\0\0", 3, NULL},
    {MR_KEY_INT64, "v jsonb, k bigint", "\x80\0\0\0\0\0\0\0", 8, "-9223372036854775808"},
    {MR_KEY_INT64, "v jsonb, k bigint", "\0\0\0\1", 4, NULL},
    {MR_KEY_RAW, "v jsonb, k bytea", "\xff\x7f", 2, "\xff\x7f"},
    {MR_KEY_RAW, "v jsonb, k text", "\xff", 1, NULL},
    {MR_KEY_TEXT, "v jsonb, k bytea", "\\x6869", 6, "hi"},
    {MR_KEY_TEXT, "v jsonb, k bytea", "\\x", 2, ""},
    {MR_KEY_TEXT, "v jsonb, k bytea", "\\X6869", 6, NULL},
    {MR_KEY_TEXT, "v jsonb, k bytea", "hi", 2, NULL},
    {MR_KEY_TEXT, "v jsonb, k bytea, l bigint", "[\"aGk=\",7]", 10, "hi|7"},
    {MR_KEY_JSON, "v jsonb, k bytea", "{\"k\":\"aGk=\"}", 12, "hi"},
    {MR_KEY_JSON, "v jsonb, k bytea", "{\"k\":\"hi\"}", 10, NULL},
};

static void test_keys(void **state)
{
    (void)state;
    for (size_t i = 0; i < MR_LENGTH(key_cases); i++) {
        const key_case *row = &key_cases[i];
        fixture self;
        fixture_begin(&self, json(), row->columns);
        self.common.key_format = row->format;
        for (uint32_t c = 1; c < self.schema->field_count; c++) {
            self.fields[c].from = MR_FROM_KEY;
        }
        assert_int_equal(fixture_open(&self), MR_OK);
        fixture_add(&self, "", "{\"v\":1}")->key.size_bytes = row->key_bytes;
        self.records[0].key.bytes = (const uint8_t *)row->key;
        const char *rows = fixture_run(&self, 0);
        if (self.errors[0] != (row->rows == NULL ? MR_ROW_DECODE_KEY : MR_ROW_OK)) {
            fail_msg("case %zu: %s", i, mr_row_error_name(self.errors[0]));
        }
        if (row->rows != NULL) {
            assert_memory_equal(rows, "1|", 2);
            assert_string_equal(rows + 2, row->rows);
        }
        fixture_end(&self);
    }
}

static void test_a_key_in_a_record(void **state)
{
    static const char *const path[] = {"payload", "id"};
    fixture self;

    (void)state;
    fixture_begin(&self, json(), "a bigint, k text");
    self.fields[1].from = MR_FROM_KEY;
    self.fields[1].path = path;
    self.fields[1].path_count = 2;
    self.common.key_format = MR_KEY_JSON;
    assert_int_equal(fixture_open(&self), MR_OK);
    fixture_add(&self, "{\"payload\":{\"id\":\"x\"},\"id\":\"outside\"}", "{\"a\":1}");
    fixture_add(&self, "{\"payload\":null}", "{\"a\":2}");
    assert_string_equal(fixture_run(&self, 0), "1|x\n2|\\N");
    fixture_end(&self);
}

static void test_null_keys(void **state)
{
    fixture self;

    (void)state;
    fixture_begin(&self, json(), "a bigint, k text");
    self.fields[1].from = MR_FROM_KEY;
    assert_int_equal(fixture_open(&self), MR_OK);
    fixture_add(&self, NULL, "{\"a\":1}");
    assert_string_equal(fixture_run(&self, 0), "1|\\N");
    fixture_end(&self);
    /* As the stream's key it must not be null, wherever it comes from. */
    for (uint32_t column = 0; column < 2; column++) {
        fixture_begin(&self, json(), "a bigint, k text");
        self.fields[1].from = MR_FROM_KEY;
        self.schema->key_count = 1;
        self.schema->key[0] = (uint16_t)column;
        assert_int_equal(fixture_open(&self), MR_OK);
        fixture_add(&self, column == 1 ? NULL : "x", column == 0 ? "{}" : "{\"a\":1}");
        assert_string_equal(fixture_run(&self, 0), "");
        assert_int_equal(self.errors[0], MR_ROW_KEY_NULL);
        fixture_end(&self);
    }
}

/* Times of a default are ISO texts, whatever those of the records are. */
static void test_defaults_of_keys_and_headers(void **state)
{
    fixture self;

    (void)state;
    fixture_begin(&self, json(),
                  "v timestamptz, h timestamptz, k text not null, n numeric(5,2), at timestamptz");
    for (uint32_t i = 0; i < 5; i++) {
        self.fields[i].from = i == 0 ? MR_FROM_VALUE : i == 1 ? MR_FROM_HEADER : MR_FROM_KEY;
        self.fields[i].header = i == 1 ? "absent" : NULL;
        self.fields[i].fallback = i == 2 ? "nobody" : i == 3 ? "1.5" : "2026-01-02T03:04:05Z";
        self.fields[i].time_format = MR_TIME_EPOCH_MS;
    }
    self.common.key_format = MR_KEY_JSON;
    assert_int_equal(fixture_open(&self), MR_OK);
    fixture_add(&self, "{\"k\":null}", "{}");
    fixture_add(&self, NULL, "{\"v\":1000}");
    fixture_add(&self, "{\"k\":\"x\",\"n\":2,\"at\":0}", "{}");
    assert_string_equal(
        fixture_run(&self, 0),
        "2026-01-02T03:04:05Z|2026-01-02T03:04:05Z|nobody|1.50|2026-01-02T03:04:05Z\n"
        "1970-01-01T00:00:01Z|2026-01-02T03:04:05Z|nobody|1.50|2026-01-02T03:04:05Z\n"
        "2026-01-02T03:04:05Z|2026-01-02T03:04:05Z|x|2.00|1970-01-01T00:00:00Z");
    fixture_end(&self);
}

/* `key` says in which order the array has them. */
static void test_the_order_of_key(void **state)
{
    fixture self;

    (void)state;
    fixture_begin(&self, json(), "a text, v bigint, b text, c bigint");
    self.fields[0].from = self.fields[2].from = self.fields[3].from = MR_FROM_KEY;
    self.schema->key_count = 3;
    self.schema->key[0] = 3;
    self.schema->key[1] = 0;
    self.schema->key[2] = 2;
    assert_int_equal(fixture_open(&self), MR_OK);
    fixture_add(&self, "[7,\"of a\",\"of b\"]", "{\"v\":1}");
    assert_string_equal(fixture_run(&self, 0), "of a|1|of b|7");
    fixture_end(&self);
}

/* Layout is for who writes a key: what is read has a path, and its name means nothing. */
static void test_names_that_no_key_could_be_written_with(void **state)
{
    fixture self;

    (void)state;
    fixture_begin(&self, json(), "a.x bigint, b bigint, a.y bigint, b.c bigint");
    for (uint32_t i = 0; i < 4; i++) {
        self.fields[i].from = MR_FROM_KEY;
    }
    self.common.key_format = MR_KEY_JSON;
    self.schema->key_count = 1; /* The others are read too. */
    self.schema->key[0] = 2;
    assert_int_equal(fixture_open(&self), MR_OK);
    fixture_add(&self, "{\"b.c\":4,\"a.y\":3,\"b\":2,\"a.x\":1}", "{}");
    assert_string_equal(fixture_run(&self, 0), "1|2|3|4");
    fixture_end(&self);
}

static void open_columns(mr_from from, mr_key_format format, const char *columns)
{
    fixture self;

    fixture_begin(&self, json(), columns);
    for (uint32_t i = 0; i < self.schema->field_count; i++) {
        self.fields[i].from = from;
        self.fields[i].header = "h";
    }
    self.common.key_format = format;
    (void)fixture_open(&self);
}

static void open_text_as_int64(void)
{
    open_columns(MR_FROM_KEY, MR_KEY_INT64, "k text");
}

static void open_two_as_raw(void)
{
    open_columns(MR_FROM_KEY, MR_KEY_RAW, "k text, l text");
}

static void open_upsert(void)
{
    fixture self;

    fixture_begin(&self, json(), "a bigint");
    self.schema->mode = MR_UPSERT;
    (void)fixture_open(&self);
}

static void open_jsonb_of_a_header(void)
{
    open_columns(MR_FROM_HEADER, MR_KEY_TEXT, "h jsonb");
}

/* The plan refuses these; should one get here, nothing is read. */
static void test_what_the_plan_refuses(void **state)
{
    (void)state;
    mr_expect_assert(open_text_as_int64, "mr_record_key_takes");
    mr_expect_assert(open_two_as_raw, "mr_key_is_json");
    mr_expect_assert(open_jsonb_of_a_header, "MR_JSONB");
    mr_expect_assert(open_upsert, "MR_APPEND");
}

static uint32_t headers(const mr_fetch *fetch, uint32_t record, mr_view *pairs, uint32_t pairs_max)
{
    static const char *const texts[] = {"n", "1", "x", "first", "x", "last"};

    assert_true(record < fetch->record_count && pairs_max >= 6);
    if (record == 1) {
        return 0;
    }
    for (uint32_t i = 0; i < 6; i++) {
        pairs[i] = (mr_view){(const uint8_t *)texts[i], (uint32_t)strlen(texts[i])};
    }
    return 6;
}

static void test_headers_and_meta(void **state)
{
    static const mr_meta metas[] = {MR_META_TOPIC,     MR_META_PARTITION, MR_META_OFFSET,
                                    MR_META_TIMESTAMP, MR_META_KEY,       MR_META_KEY_BYTES,
                                    MR_META_HEADER};
    fixture self;

    (void)state;
    fixture_begin(&self, json(),
                  "n bigint, topic text, p bigint, o bigint, ts timestamptz, k text, kb bytea, "
                  "x text");
    self.fields[0].from = MR_FROM_HEADER;
    self.fields[0].header = "n";
    for (uint32_t i = 0; i < MR_LENGTH(metas); i++) {
        self.fields[1 + i].from = MR_FROM_META;
        self.fields[1 + i].meta = metas[i];
        self.fields[1 + i].header = "x";
    }
    self.fetch.headers = headers;
    assert_int_equal(fixture_open(&self), MR_OK);
    fixture_add(&self, "key", "{}");
    fixture_add(&self, NULL, "{}");
    fixture_add(&self, "\xff", "{}");
    assert_string_equal(fixture_run(&self, 0),
                        "1|events|3|100|1970-01-01T00:00:05Z|key|key|last\n"
                        "\\N|events|3|101|1970-01-01T00:00:05.001Z|\\N|\\N|\\N");
    assert_int_equal(self.errors[2], MR_ROW_DECODE_UTF8);
    fixture_end(&self);
    fixture_begin(&self, json(), "n bigint not null");
    self.fields[0].from = MR_FROM_HEADER;
    self.fields[0].header = "x";
    self.fetch.headers = headers;
    assert_int_equal(fixture_open(&self), MR_OK);
    fixture_add(&self, NULL, "{}");
    fixture_add(&self, NULL, "{}");
    assert_string_equal(fixture_run(&self, 0), "");
    assert_int_equal(self.errors[0], MR_ROW_DECODE_TYPE);
    assert_int_equal(self.errors[1], MR_ROW_DECODE_NULL);
    fixture_end(&self);
}

static void test_event_times(void **state)
{
    fixture self;
    const mr_expr event_time = {.column = 0};

    (void)state;
    fixture_begin(&self, json(), "at timestamptz");
    assert_int_equal(fixture_open(&self), MR_OK);
    fixture_add(&self, NULL, "{}");
    fixture_add(&self, NULL, "{}")->timestamp_ms = -1;
    assert_string_equal(fixture_run(&self, 0), "\\N");
    assert_true(self.out->event_time_us[0] == 5000000);
    assert_int_equal(self.errors[1], MR_ROW_EVENT_TIME);
    fixture_end(&self);

    fixture_begin(&self, json(), "at timestamptz");
    self.common.event_time = &event_time;
    assert_int_equal(fixture_open(&self), MR_OK);
    fixture_add(&self, NULL, "{\"at\":\"1970-01-01T00:00:07Z\"}")->timestamp_ms = -1;
    fixture_add(&self, NULL, "{}");
    fixture_add(&self, NULL, "{\"at\":1}");
    fixture_add(&self, NULL, "{\"at\":\"1970-01-01T00:00:00Z\"}");
    fixture_add(&self, NULL, "{\"at\":\"1970-01-01T00:00:09Z\"}");
    assert_string_equal(fixture_run(&self, 0), "1970-01-01T00:00:07Z\n1970-01-01T00:00:09Z");
    assert_int_equal(self.errors[1], MR_ROW_EVENT_TIME);
    assert_int_equal(self.errors[2], MR_ROW_DECODE_TYPE);
    assert_int_equal(self.errors[3], MR_ROW_EVENT_TIME);
    assert_true(self.out->event_time_us[0] == 7000000);
    assert_true(self.out->event_time_us[4] == 9000000);
    fixture_end(&self);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tombstones),
        cmocka_unit_test(test_a_passing_tombstone_without_its_not_null_column),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_raw),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_a_key_in_a_record),
        cmocka_unit_test(test_null_keys),
        cmocka_unit_test(test_defaults_of_keys_and_headers),
        cmocka_unit_test(test_the_order_of_key),
        cmocka_unit_test(test_names_that_no_key_could_be_written_with),
        cmocka_unit_test(test_what_the_plan_refuses),
        cmocka_unit_test(test_headers_and_meta),
        cmocka_unit_test(test_event_times),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
