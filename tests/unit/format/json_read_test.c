/* json_read_test.c - JSON records into columns: what fits a type, what does not, defaults, nulls.
 */
#include "tests/unit/format/source_fixture.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>

static const mr_format_type *json(void)
{
    assert_string_equal(mr_formats[0]->name, "json");
    return mr_formats[0];
}

typedef struct cell_case {
    const char *column, *json;
    const char *text; /* NULL: rejected with `error`. */
    mr_row_error error;
} cell_case;

static const cell_case cases[] = {
    {"v boolean", "true", "t", 0},
    {"v boolean", "false", "f", 0},
    {"v boolean", "null", "\\N", 0},
    {"v boolean", "\"true\"", NULL, MR_ROW_DECODE_TYPE},
    {"v boolean", "1", NULL, MR_ROW_DECODE_TYPE},
    {"v bigint", "7", "7", 0},
    {"v bigint", "-9223372036854775808", "-9223372036854775808", 0},
    {"v bigint", "9223372036854775807", "9223372036854775807", 0},
    {"v bigint", "9223372036854775808", NULL, MR_ROW_DECODE_TYPE},
    {"v bigint", "1.0", "1", 0},
    {"v bigint", "1e3", "1000", 0},
    {"v bigint", "1.5", NULL, MR_ROW_DECODE_TYPE},
    {"v bigint", "1e30", NULL, MR_ROW_DECODE_TYPE},
    {"v bigint", "\"12\"", "12", 0},
    {"v bigint", "\"12 \"", NULL, MR_ROW_DECODE_TYPE},
    {"v bigint", "\"\"", NULL, MR_ROW_DECODE_TYPE},
    {"v bigint", "true", NULL, MR_ROW_DECODE_TYPE},
    {"v bigint", "[1]", NULL, MR_ROW_DECODE_TYPE},
    {"v double", "0.1", "0.1", 0},
    {"v double", "1e308", "1e+308", 0},
    {"v double", "1e309", NULL, MR_ROW_DECODE_TYPE},
    {"v double", "\"NaN\"", "NaN", 0},
    {"v double", "\"-2.5\"", "-2.5", 0},
    {"v double", "\"x\"", NULL, MR_ROW_DECODE_TYPE},
    {"v numeric(5,2)", "2.500", "2.50", 0},
    {"v numeric(5,2)", "2.505", NULL, MR_ROW_DECODE_TYPE},
    {"v numeric(5,2)", "999.99", "999.99", 0},
    {"v numeric(5,2)", "1000", NULL, MR_ROW_DECODE_TYPE},
    {"v numeric(5,2)", "\"1.5\"", "1.50", 0},
    {"v numeric(5,2)", "{}", NULL, MR_ROW_DECODE_TYPE},
    {"v text", "\"x\\ty\"", "x\ty", 0},
    {"v text", "\"\"", "", 0},
    {"v text", "7", NULL, MR_ROW_DECODE_TYPE},
    {"v text", "\"a\\u0000\"", NULL, MR_ROW_DECODE_UTF8},
    {"v text", "\"\xff\"", NULL, MR_ROW_DECODE_UTF8},
    {"v text", "\"\\ud800\"", NULL, MR_ROW_DECODE_UTF8},
    {"v timestamptz", "\"2026-01-01T00:00:05Z\"", "2026-01-01T00:00:05Z", 0},
    {"v timestamptz", "\"2026-01-01 01:00:05.25+01:00\"", "2026-01-01T00:00:05.250Z", 0},
    {"v timestamptz", "\"2026-13-01\"", NULL, MR_ROW_DECODE_TYPE},
    {"v timestamptz", "1767225605", NULL, MR_ROW_DECODE_TYPE},
    {"v date", "\"2024-02-29\"", "2024-02-29", 0},
    {"v date", "\"0001-01-01\"", "0001-01-01", 0},
    {"v date", "\"2023-02-29\"", NULL, MR_ROW_DECODE_TYPE},
    {"v date", "\"2024-02-29T10:00:00Z\"", NULL, MR_ROW_DECODE_TYPE},
    {"v date", "20240229", NULL, MR_ROW_DECODE_TYPE},
    {"v interval", "\"1 mon 2 days 03:04:05.6\"", "1 mon 2 days 03:04:05.6", 0},
    {"v interval", "\"P1Y2M3DT4H5M6S\"", "1 year 2 mons 3 days 04:05:06", 0},
    {"v interval", "\"-178956970 years -8 mons -2147483648 days -2562047788:00:54.775807\"",
     "-178956970 years -8 mons -2147483648 days -2562047788:00:54.775807", 0},
    {"v interval", "\"soon\"", NULL, MR_ROW_DECODE_TYPE},
    {"v interval", "\"99999999999 days\"", NULL, MR_ROW_DECODE_TYPE},
    {"v interval", "5", NULL, MR_ROW_DECODE_TYPE},
    {"v interval", "null", "\\N", 0},
    {"v numeric(38,0)", "99999999999999999999999999999999999999",
     "99999999999999999999999999999999999999", 0},
    {"v numeric(38,0)", "-99999999999999999999999999999999999999",
     "-99999999999999999999999999999999999999", 0},
    {"v numeric(38,0)", "100000000000000000000000000000000000000", NULL, MR_ROW_DECODE_TYPE},
    {"v numeric(38,0)", "1e37", "10000000000000000000000000000000000000", 0},
    {"v numeric(38,0)", "1e38", NULL, MR_ROW_DECODE_TYPE},
    {"v numeric(38,38)", "0.99999999999999999999999999999999999999",
     "0.99999999999999999999999999999999999999", 0},
    {"v numeric(38,38)", "-1e-38", "-0.00000000000000000000000000000000000001", 0},
    {"v numeric(38,38)", "1e-39", NULL, MR_ROW_DECODE_TYPE},
    {"v numeric(38,38)", "1", NULL, MR_ROW_DECODE_TYPE},
    {"v numeric(38,19)", "\"9999999999999999999.9999999999999999999\"",
     "9999999999999999999.9999999999999999999", 0},
    {"v numeric(38,19)", "9999999999999999999.99999999999999999990",
     "9999999999999999999.9999999999999999999", 0},
    {"v jsonb", "{\"b\":[1,2],\"a\":null}", "{\"a\": null, \"b\": [1, 2]}", 0},
    {"v jsonb", "\"x\\ny\"", "\"x\\ny\"", 0},
    {"v jsonb", "1.50", "1.50", 0},
    {"v jsonb", "true", "true", 0},
    {"v jsonb", "null", "\\N", 0},
    {"v jsonb", "[\"\\u0000\"]", NULL, MR_ROW_DECODE_UTF8},
    {"v bytea", "\"aGkh\"", "hi!", 0},
    {"v bytea", "\"aGk\\u003d\"", "hi", 0},
    {"v bytea", "\"\"", "", 0},
    {"v bytea", "null", "\\N", 0},
    {"v bytea", "\"aGk\"", NULL, MR_ROW_DECODE_TYPE},
    {"v bytea", "\"aG k\"", NULL, MR_ROW_DECODE_TYPE},
    {"v bytea", "\"\\\\x6869\"", NULL, MR_ROW_DECODE_TYPE},
    {"v bytea", "7", NULL, MR_ROW_DECODE_TYPE},
    {"v bytea", "[104]", NULL, MR_ROW_DECODE_TYPE},
    {"v bytea", "1234", NULL, MR_ROW_DECODE_TYPE}, /* Digits of base64 too. */
    {"v bytea", "true", NULL, MR_ROW_DECODE_TYPE},
};

static void test_every_type(void **state)
{
    (void)state;
    for (size_t i = 0; i < MR_LENGTH(cases); i++) {
        fixture self;
        char record[256];
        fixture_begin(&self, json(), cases[i].column);
        assert_int_equal(fixture_open(&self), MR_OK);
        snprintf(record, sizeof(record), "{\"v\":%s}", cases[i].json);
        fixture_add(&self, NULL, record);
        const char *rows = fixture_run(&self, 0);
        if (self.errors[0] != cases[i].error) {
            fail_msg("%s from %s: %s", cases[i].column, cases[i].json,
                     mr_row_error_name(self.errors[0]));
        }
        assert_string_equal(rows, cases[i].text == NULL ? "" : cases[i].text);
        assert_int_equal(self.out->row_count, 1);
        assert_int_equal(self.out->selected_count, cases[i].text != NULL);
        fixture_end(&self);
    }
}

static void test_epochs(void **state)
{
    static const struct {
        mr_time_format format;
        const char *json, *text;
    } rows[] = {{MR_TIME_EPOCH_S, "1767225605", "2026-01-01T00:00:05Z"},
                {MR_TIME_EPOCH_S, "1767225605.25", "2026-01-01T00:00:05.250Z"},
                {MR_TIME_EPOCH_S, "1.0000001", NULL},
                {MR_TIME_EPOCH_MS, "1767225605250", "2026-01-01T00:00:05.250Z"},
                {MR_TIME_EPOCH_MS, "-1", "1969-12-31T23:59:59.999Z"},
                {MR_TIME_EPOCH_MS, "0.001", "1970-01-01T00:00:00.000001Z"},
                {MR_TIME_EPOCH_US, "1", "1970-01-01T00:00:00.000001Z"},
                {MR_TIME_EPOCH_US, "0.5", NULL},
                {MR_TIME_EPOCH_US, "\"1\"", NULL},
                {MR_TIME_EPOCH_S, "253402300800", NULL}};

    (void)state;
    for (size_t i = 0; i < MR_LENGTH(rows); i++) {
        fixture self;
        char record[256];
        fixture_begin(&self, json(), "v timestamptz");
        self.fields[0].time_format = rows[i].format;
        assert_int_equal(fixture_open(&self), MR_OK);
        snprintf(record, sizeof(record), "{\"v\":%s}", rows[i].json);
        fixture_add(&self, NULL, record);
        assert_string_equal(fixture_run(&self, 0), rows[i].text == NULL ? "" : rows[i].text);
        fixture_end(&self);
    }
}

static void test_missing_null_and_default(void **state)
{
    fixture self;

    (void)state;
    fixture_begin(&self, json(), "a bigint, b text not null, c numeric(5,2), d jsonb");
    self.fields[2].fallback = "1.5";
    self.fields[3].fallback = "{\"z\":1,\"y\":2}";
    assert_int_equal(fixture_open(&self), MR_OK);
    fixture_add(&self, NULL, "{\"b\":\"x\"}");
    fixture_add(&self, NULL, "{\"a\":1,\"b\":null}");
    fixture_add(&self, NULL, "{\"a\":1}");
    fixture_add(&self, NULL, "{\"a\":null,\"b\":\"\",\"c\":null,\"d\":[]}");
    assert_string_equal(fixture_run(&self, 0), "\\N|x|1.50|{\"y\": 2, \"z\": 1}\n\\N||1.50|[]");
    assert_int_equal(self.errors[1], MR_ROW_DECODE_NULL);
    assert_int_equal(self.errors[2], MR_ROW_DECODE_NULL);
    fixture_end(&self);
}

static void test_columns_nobody_needs(void **state)
{
    fixture self;

    (void)state;
    fixture_begin(&self, json(), "a bigint, b text not null");
    self.fields[1].needed = false;
    assert_int_equal(fixture_open(&self), MR_OK);
    fixture_add(&self, NULL, "{\"a\":1,\"b\":7}");
    fixture_add(&self, NULL, "{\"a\":2}");
    assert_string_equal(fixture_run(&self, 0), "1|\\N\n2|\\N");
    fixture_end(&self);
}

static void test_bad_records_and_their_neighbours(void **state)
{
    fixture self;
    char deep[200] = "{\"a\":";

    (void)state;
    fixture_begin(&self, json(), "a bigint, b text");
    assert_int_equal(fixture_open(&self), MR_OK);
    memset(deep + 5, '[', 70);
    memset(deep + 75, ']', 70);
    memcpy(deep + 145, "}", 2);
    fixture_add(&self, NULL, "{\"a\":1,\"b\":\"x\"}");
    fixture_add(&self, NULL, "{\"a\":1,");
    fixture_add(&self, NULL, "");
    fixture_add(&self, NULL, deep);
    fixture_add(&self, NULL, "[1]");
    fixture_add(&self, NULL, "{\"a\":2,\"b\":\"y\",\"c\":tru}");
    fixture_add(&self, NULL, "{\"a\":3,\"b\":\"z\"}");
    assert_string_equal(fixture_run(&self, 0), "1|x\n3|z");
    assert_int_equal(self.errors[1], MR_ROW_DECODE_JSON);
    assert_int_equal(self.errors[2], MR_ROW_DECODE_JSON);
    assert_int_equal(self.errors[3], MR_ROW_DECODE_DEPTH);
    assert_int_equal(self.errors[4], MR_ROW_DECODE_JSON);
    assert_int_equal(self.errors[5], MR_ROW_DECODE_JSON);
    assert_int_equal(self.out->record[6], 6);
    /* What stands in a bad row is nothing. */
    assert_false(mr_column_valid(&self.out->columns[1], 5));
    assert_null(self.out->columns[1].as.views[5].bytes);
    fixture_end(&self);
}

static void test_a_full_scratch_ends_the_batch(void **state)
{
    fixture self;
    char record[FIXTURE_RECORD_MAX + 1];

    (void)state;
    fixture_begin(&self, json(), "b text, c jsonb");
    assert_int_equal(fixture_open(&self), MR_OK);
    snprintf(record, sizeof(record), "{\"b\":\"\\n%0900d\"}", 7);
    for (uint32_t i = 0; i < 6; i++) {
        fixture_add(&self, NULL, record);
    }
    (void)fixture_run(&self, 0);
    assert_int_equal(self.used, 4);
    assert_int_equal(self.out->selected_count, 4);
    (void)fixture_run(&self, 4);
    assert_int_equal(self.used, 2);
    assert_int_equal(self.out->record[0], 4);
    /* A record that does not fit alone is a bad row, not a hang. */
    self.fetch.record_count = 0;
    char heavy[FIXTURE_RECORD_MAX + 1] = "{\"c\":{\"a\":0";
    for (uint32_t i = 0; i < 140; i++) {
        snprintf(heavy + strlen(heavy), sizeof(heavy) - strlen(heavy), ",\"\":1");
    }
    snprintf(heavy + strlen(heavy), sizeof(heavy) - strlen(heavy), "}}");
    fixture_add(&self, NULL, heavy);
    fixture_add(&self, NULL, "{\"c\":1}");
    assert_string_equal(fixture_run(&self, 0), "\\N|1");
    assert_int_equal(self.errors[0], MR_ROW_54000);
    fixture_end(&self);
}

/* customer { id bigint not null, address { city text, zip bigint default 7 } }, n bigint */
typedef struct nested {
    fixture self;
    const char *id[2], *city[3], *zip[3], *address[2];
    mr_record_spec records[2];
} nested;

static void nested_begin(nested *of)
{
    *of = (nested){.id = {"customer", "id"},
                   .city = {"customer", "address", "city"},
                   .zip = {"customer", "address", "zip"},
                   .address = {"customer", "address"}};
    fixture_begin(&of->self, json(), "a bigint not null, b text, c bigint, n bigint");
    mr_field *names = (mr_field *)(uintptr_t)of->self.schema->fields;
    names[0].name = "customer.id";
    names[1].name = "customer.address.city";
    names[2].name = "customer.address.zip";
    of->self.fields[0].path = of->id;
    of->self.fields[0].path_count = 2;
    of->self.fields[1].path = of->city;
    of->self.fields[2].path = of->zip;
    of->self.fields[1].path_count = of->self.fields[2].path_count = 3;
    of->self.fields[2].fallback = "7";
    of->records[0] = (mr_record_spec){
        .name = "customer", .nullable = true, .path = of->id, .path_count = 1, .column_count = 3};
    of->records[1] = (mr_record_spec){.name = "customer.address",
                                      .nullable = true,
                                      .path = of->address,
                                      .path_count = 2,
                                      .first_column = 1,
                                      .column_count = 2};
    of->self.common.records = of->records;
    of->self.common.record_count = 2;
}

static void expect_blame(const nested *of, uint32_t row, mr_row_error error, const char *column)
{
    assert_int_equal(of->self.errors[row], error);
    const char *found = mr_decoder_blame(of->self.decoder, row, error);
    if (column == NULL) {
        assert_null(found);
    } else {
        assert_non_null(found);
        assert_string_equal(found, column);
    }
}

static void test_nested_records(void **state)
{
    nested of;

    (void)state;
    nested_begin(&of);
    assert_int_equal(fixture_open(&of.self), MR_OK);
    fixture_add(&of.self, NULL,
                "{\"n\":1,\"customer\":{\"address\":{\"zip\":3000,\"city\":\"Bern\"},\"id\":5}}");
    fixture_add(&of.self, NULL, "{\"customer\":{\"id\":6,\"address\":null},\"n\":2}");
    fixture_add(&of.self, NULL, "{\"customer\":{\"id\":7,\"city\":\"outside\"}}");
    fixture_add(&of.self, NULL, "{\"n\":3}");
    fixture_add(&of.self, NULL, "{\"n\":3,\"customer\":null}");
    fixture_add(&of.self, NULL, "{\"n\":3,\"customer\":{\"id\":null}}");
    fixture_add(&of.self, NULL, "{\"customer\":[{\"id\":1}]}");
    fixture_add(&of.self, NULL, "{\"customer\":{\"id\":1,\"address\":\"Bern\"}}");
    fixture_add(&of.self, NULL, "{\"customer\":{\"id\":1,\"address\":{\"zip\":\"x\"}}}");
    fixture_add(&of.self, NULL, "{\"customer\":{\"id\":1},\"customer\":{\"id\":8,\"address\":{}}}");
    fixture_add(&of.self, NULL, "{\"customer\":");
    assert_string_equal(fixture_run(&of.self, 0),
                        "5|Bern|3000|1\n6|\\N|7|2\n7|\\N|7|\\N\n8|\\N|7|\\N");
    for (uint32_t row = 3; row <= 5; row++) {
        expect_blame(&of, row, MR_ROW_DECODE_NULL, "customer.id");
    }
    expect_blame(&of, 6, MR_ROW_DECODE_TYPE, "customer");
    expect_blame(&of, 7, MR_ROW_DECODE_TYPE, "customer.address");
    expect_blame(&of, 8, MR_ROW_DECODE_TYPE, "customer.address.zip");
    expect_blame(&of, 10, MR_ROW_DECODE_JSON, NULL);
    fixture_end(&of.self);
}

static void test_records_that_must_be_there(void **state)
{
    nested of;

    (void)state;
    nested_begin(&of);
    of.records[1].nullable = false;
    assert_int_equal(fixture_open(&of.self), MR_OK);
    fixture_add(&of.self, NULL, "{\"customer\":{\"id\":1,\"address\":{}}}");
    fixture_add(&of.self, NULL, "{\"customer\":{\"id\":1}}");
    fixture_add(&of.self, NULL, "{\"customer\":{\"id\":1,\"address\":null}}");
    assert_string_equal(fixture_run(&of.self, 0), "1|\\N|7|\\N");
    expect_blame(&of, 1, MR_ROW_DECODE_NULL, "customer.address");
    expect_blame(&of, 2, MR_ROW_DECODE_NULL, "customer.address");
    fixture_end(&of.self);
}

/* What nobody reads is not tested: neither fields nor the records they are in. */
static void test_records_nobody_needs(void **state)
{
    nested of;

    (void)state;
    nested_begin(&of);
    of.self.fields[1].needed = of.self.fields[2].needed = false;
    assert_int_equal(fixture_open(&of.self), MR_OK);
    fixture_add(&of.self, NULL, "{\"customer\":{\"id\":1,\"address\":\"Bern\"}}");
    fixture_add(&of.self, NULL, "{\"customer\":\"Bern\"}");
    assert_string_equal(fixture_run(&of.self, 0), "1|\\N|\\N|\\N");
    expect_blame(&of, 1, MR_ROW_DECODE_TYPE, "customer");
    fixture_end(&of.self);
    nested_begin(&of);
    of.self.fields[0].needed = of.self.fields[1].needed = of.self.fields[2].needed = false;
    assert_int_equal(fixture_open(&of.self), MR_OK);
    fixture_add(&of.self, NULL, "{\"customer\":\"Bern\",\"n\":4}");
    assert_string_equal(fixture_run(&of.self, 0), "\\N|\\N|\\N|4");
    fixture_end(&of.self);
}

/* What was wrong with a row is nothing to the same row of the next batch. */
static void test_blame_is_of_one_batch(void **state)
{
    fixture self;

    (void)state;
    fixture_begin(&self, json(), "a bigint not null, b bigint not null");
    self.common.tombstones = MR_TOMBSTONE_PASS;
    assert_int_equal(fixture_open(&self), MR_OK);
    fixture_add(&self, NULL, "{\"a\":1,\"b\":\"x\"}");
    fixture_add(&self, NULL, NULL);
    (void)fixture_run(&self, 0);
    assert_int_equal(self.errors[0], MR_ROW_DECODE_TYPE);
    assert_string_equal(mr_decoder_blame(self.decoder, 0, self.errors[0]), "b");
    assert_int_equal(self.errors[1], MR_ROW_DECODE_NULL);
    assert_null(mr_decoder_blame(self.decoder, 1, self.errors[1]));
    (void)fixture_run(&self, 1);
    assert_int_equal(self.errors[0], MR_ROW_DECODE_NULL);
    assert_null(mr_decoder_blame(self.decoder, 0, self.errors[0]));
    fixture_end(&self);
}

static void test_bytes_that_fill_the_scratch(void **state)
{
    fixture self;
    char record[FIXTURE_RECORD_MAX + 1];

    (void)state;
    fixture_begin(&self, json(), "b bytea");
    assert_int_equal(fixture_open(&self), MR_OK);
    snprintf(record, sizeof(record), "{\"b\":\"%0960d\"}", 0);
    for (uint32_t i = 0; i < 7; i++) {
        fixture_add(&self, NULL, record);
    }
    (void)fixture_run(&self, 0);
    assert_int_equal(self.used, 5); /* 720 bytes each, of 4,096 */
    assert_int_equal(self.out->selected_count, 5);
    (void)fixture_run(&self, 5);
    assert_int_equal(self.used, 2);
    assert_int_equal(self.out->columns[0].as.views[1].size_bytes, 720);
    fixture_end(&self);
}

static void test_plans(void **state)
{
    fixture self;
    const void *spec = NULL;

    (void)state;
    fixture_begin(&self, json(), "a bytea");
    assert_int_equal(json()->plan_read(self.arena, self.schema, self.fields, &spec, &self.diag),
                     MR_OK);
    fixture_end(&self);
    fixture_begin(&self, json(), "a numeric(5,2)");
    self.fields[0].fallback = "1.555";
    assert_int_equal(json()->plan_read(self.arena, self.schema, self.fields, &spec, &self.diag),
                     MR_ERR_CONFIG);
    assert_string_equal(self.diag.text, "column a: the default `1.555` is no numeric(5,2)");
    fixture_end(&self);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_type),
        cmocka_unit_test(test_epochs),
        cmocka_unit_test(test_missing_null_and_default),
        cmocka_unit_test(test_columns_nobody_needs),
        cmocka_unit_test(test_bad_records_and_their_neighbours),
        cmocka_unit_test(test_a_full_scratch_ends_the_batch),
        cmocka_unit_test(test_nested_records),
        cmocka_unit_test(test_records_that_must_be_there),
        cmocka_unit_test(test_records_nobody_needs),
        cmocka_unit_test(test_blame_is_of_one_batch),
        cmocka_unit_test(test_bytes_that_fill_the_scratch),
        cmocka_unit_test(test_plans),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
