/*
 * json_test.c - records read, refused and written: the grammar of RFC 8259, paths, duplicates,
 * escapes, room, and that nothing behind a record is read.
 */
#define _GNU_SOURCE
#include "engine/base/assert.h"
#include "engine/base/json.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { RECORD_MAX = 1 << 16, SCRATCH_MAX = 1 << 12, VALUES_MAX = 8 };

typedef struct fixture {
    mr_arena *arena;
    mr_json_reader *reader;
    mr_json_value values[VALUES_MAX];
    uint8_t scratch[SCRATCH_MAX];
    uint8_t *at;
} fixture;

static const char *const name_a[] = {"a"};
static const char *const name_b[] = {"b"};
static const char *const name_a_x[] = {"a", "x"};
static const char *const name_a_y_z[] = {"a", "y", "z"};
static const char *const name_b_again[] = {"b"};
static const char *const name_quoted[] = {"q\"\xc3\xa4"};
static const mr_json_path paths[] = {{name_a, 1},     {name_b, 1},       {name_a_x, 2},
                                     {name_a_y_z, 3}, {name_b_again, 1}, {name_quoted, 1}};
enum { A, B, A_X, A_Y_Z, B_AGAIN, QUOTED, PATH_COUNT };

static int setup(void **state)
{
    static fixture self;

    self.arena = mr_arena_create(mr_memory_system(), 1 << 20, "test");
    self.reader = mr_json_reader_open(self.arena, paths, PATH_COUNT, RECORD_MAX);
    self.at = self.scratch;
    *state = &self;
    return self.reader == NULL;
}

static int teardown(void **state)
{
    fixture *self = *state;

    mr_json_reader_close(self->reader);
    mr_arena_destroy(self->arena);
    return 0;
}

static mr_json_result read_text(fixture *self, const char *text)
{
    self->at = self->scratch;
    return mr_json_read(self->reader, (const uint8_t *)text, (uint32_t)strlen(text), self->values,
                        &self->at, self->scratch + SCRATCH_MAX);
}

static void expect(const fixture *self, uint32_t path, mr_json_kind kind, const char *text)
{
    const mr_json_value *value = &self->values[path];

    assert_int_equal(value->kind, kind);
    if (text != NULL) {
        assert_int_equal(value->size_bytes, strlen(text));
        assert_memory_equal(value->text, text, strlen(text));
    }
}

static void test_every_kind_of_value(void **state)
{
    fixture *self = *state;

    assert_int_equal(
        read_text(self, " {\"a\" : {\"x\":-1.5e3 , \"y\":{\"z\":true}} , \"b\":\"text\"} \n"),
        MR_JSON_OK);
    expect(self, A, MR_JSON_OBJECT, "{\"x\":-1.5e3 , \"y\":{\"z\":true}}");
    expect(self, A_X, MR_JSON_NUMBER, "-1.5e3");
    expect(self, A_Y_Z, MR_JSON_TRUE, "true");
    expect(self, B, MR_JSON_STRING, "text");
    expect(self, B_AGAIN, MR_JSON_STRING, "text");
    expect(self, QUOTED, MR_JSON_MISSING, NULL);
    assert_int_equal(read_text(self, "{\"a\":[1,[2],{}],\"b\":null}"), MR_JSON_OK);
    expect(self, A, MR_JSON_ARRAY, "[1,[2],{}]");
    expect(self, A_X, MR_JSON_MISSING, NULL);
    expect(self, B, MR_JSON_NULL, "null");
    assert_int_equal(read_text(self, "{\"b\":false}"), MR_JSON_OK);
    expect(self, B, MR_JSON_FALSE, "false");
    assert_int_equal(read_text(self, "{}"), MR_JSON_OK);
    expect(self, A, MR_JSON_MISSING, NULL);
}

static void test_names_below_an_array_do_not_count(void **state)
{
    fixture *self = *state;

    assert_int_equal(read_text(self, "{\"a\":[{\"x\":1}],\"c\":{\"b\":2,\"a\":{\"x\":3}}}"),
                     MR_JSON_OK);
    expect(self, A_X, MR_JSON_MISSING, NULL);
    expect(self, B, MR_JSON_MISSING, NULL);
}

static void test_the_last_of_equal_names_counts(void **state)
{
    fixture *self = *state;

    assert_int_equal(read_text(self, "{\"b\":1,\"b\":2}"), MR_JSON_OK);
    expect(self, B, MR_JSON_NUMBER, "2");
    expect(self, B_AGAIN, MR_JSON_NUMBER, "2");
    /* What the first one held is gone, also below. */
    assert_int_equal(read_text(self, "{\"a\":{\"x\":1},\"a\":{\"y\":{\"z\":2}}}"), MR_JSON_OK);
    expect(self, A_X, MR_JSON_MISSING, NULL);
    expect(self, A_Y_Z, MR_JSON_NUMBER, "2");
    assert_int_equal(read_text(self, "{\"a\":{\"x\":1},\"a\":null}"), MR_JSON_OK);
    expect(self, A, MR_JSON_NULL, NULL);
    expect(self, A_X, MR_JSON_MISSING, NULL);
    assert_int_equal(read_text(self, "{\"a\":{\"y\":{\"z\":1},\"x\":2},\"b\":5,\"a\":{\"x\":3}}"),
                     MR_JSON_OK);
    expect(self, A_X, MR_JSON_NUMBER, "3");
    expect(self, A_Y_Z, MR_JSON_MISSING, NULL);
    expect(self, B, MR_JSON_NUMBER, "5");
    assert_int_equal(read_text(self, "{\"b\":5,\"a\":{\"x\":2,\"y\":{\"z\":1}},\"a\":{},\"a\":{"
                                     "\"y\":{\"z\":7}},\"b\":6,\"a\":{\"x\":8,\"y\":{}}}"),
                     MR_JSON_OK);
    expect(self, A_X, MR_JSON_NUMBER, "8");
    expect(self, A_Y_Z, MR_JSON_MISSING, NULL);
    expect(self, B_AGAIN, MR_JSON_NUMBER, "6");
}

static void test_escapes(void **state)
{
    fixture *self = *state;

    assert_int_equal(
        read_text(self, "{\"b\":\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4\\ud83d\\ude00\"}"),
        MR_JSON_OK);
    expect(self, B, MR_JSON_STRING, "a\"\\/\b\f\n\r\t\xc3\xa4\xf0\x9f\x98\x80");
    assert_int_equal(read_text(self, "{\"\\u0062\":1,\"q\\\"\\u00E4\":2}"), MR_JSON_OK);
    expect(self, B, MR_JSON_NUMBER, "1");
    expect(self, QUOTED, MR_JSON_NUMBER, "2");
    /* An escaped U+0000 is JSON; who makes a text of it must test. */
    assert_int_equal(read_text(self, "{\"b\":\"\\u0000\"}"), MR_JSON_OK);
    assert_int_equal(self->values[B].size_bytes, 1);
}

static void test_scratch_that_does_not_suffice(void **state)
{
    fixture *self = *state;
    const char *text = "{\"b\":\"four\\n\"}";
    uint8_t *at = self->scratch;

    assert_int_equal(mr_json_read(self->reader, (const uint8_t *)text, (uint32_t)strlen(text),
                                  self->values, &at, self->scratch + 5),
                     MR_JSON_ROOM);
    assert_ptr_equal(at, self->scratch);
    assert_int_equal(mr_json_read(self->reader, (const uint8_t *)text, (uint32_t)strlen(text),
                                  self->values, &at, self->scratch + 6),
                     MR_JSON_OK);
    assert_ptr_equal(at, self->scratch + 5);
}

typedef struct bad {
    const char *text;
    mr_json_result result;
} bad;

static const bad bad_records[] = {
    {"", MR_JSON_SYNTAX},
    {"  ", MR_JSON_SYNTAX},
    {"[]", MR_JSON_NOT_OBJECT},
    {"\"a\"", MR_JSON_NOT_OBJECT},
    {"null", MR_JSON_NOT_OBJECT},
    {"{", MR_JSON_SYNTAX},
    {"}", MR_JSON_NOT_OBJECT},
    {"{}}", MR_JSON_SYNTAX},
    {"{} {}", MR_JSON_SYNTAX},
    {"{}x", MR_JSON_SYNTAX},
    {"{,}", MR_JSON_SYNTAX},
    {"{\"c\"}", MR_JSON_SYNTAX},
    {"{\"c\":}", MR_JSON_SYNTAX},
    {"{\"c\" 1}", MR_JSON_SYNTAX},
    {"{\"c\":1,}", MR_JSON_SYNTAX},
    {"{\"c\":1 \"d\":2}", MR_JSON_SYNTAX},
    {"{\"c\":1 2}", MR_JSON_SYNTAX},
    {"{\"c\":\"x\"y}", MR_JSON_SYNTAX},
    {"{\"c\":\"x\" \"y\"}", MR_JSON_SYNTAX},
    {"{c:1}", MR_JSON_SYNTAX},
    {"{1:1}", MR_JSON_SYNTAX},
    {"{\"c\":[1,]}", MR_JSON_SYNTAX},
    {"{\"c\":[,1]}", MR_JSON_SYNTAX},
    {"{\"c\":[1}}", MR_JSON_SYNTAX},
    {"{\"c\":{\"d\":1]}", MR_JSON_SYNTAX},
    {"{\"c\":[}", MR_JSON_SYNTAX},
    {"{\"c\":tru}", MR_JSON_SYNTAX},
    {"{\"c\":True}", MR_JSON_SYNTAX},
    {"{\"c\":nulll}", MR_JSON_SYNTAX},
    {"{\"c\":NaN}", MR_JSON_SYNTAX},
    {"{\"c\":01}", MR_JSON_SYNTAX},
    {"{\"c\":+1}", MR_JSON_SYNTAX},
    {"{\"c\":-}", MR_JSON_SYNTAX},
    {"{\"c\":1.}", MR_JSON_SYNTAX},
    {"{\"c\":.5}", MR_JSON_SYNTAX},
    {"{\"c\":1e}", MR_JSON_SYNTAX},
    {"{\"c\":1e+}", MR_JSON_SYNTAX},
    {"{\"c\":0x1}", MR_JSON_SYNTAX},
    {"{\"c\":\"x}", MR_JSON_SYNTAX},
    {"{\"c\":\"\\x\"}", MR_JSON_SYNTAX},
    {"{\"c\":\"\\u12g4\"}", MR_JSON_SYNTAX},
    {"{\"c\":\"\\u12\"}", MR_JSON_SYNTAX},
    {"{\"c\\x\":1}", MR_JSON_SYNTAX},
    {"{\"c\":\"a\nb\"}", MR_JSON_SYNTAX},
    {"{\"c\":'x'}", MR_JSON_SYNTAX},
    {"\xef\xbb\xbf{}", MR_JSON_NOT_OBJECT},
    {"{\"c\":\"\\ud800\"}", MR_JSON_UTF8},
    {"{\"c\":\"\\udc00\"}", MR_JSON_UTF8},
    {"{\"c\":\"\\ud800\\u0041\"}", MR_JSON_UTF8},
    {"{\"c\":\"\xff\"}", MR_JSON_UTF8},
    {"{\"c\":\"\xc0\xaf\"}", MR_JSON_UTF8},
    {"{\"c\":\"\xed\xa0\x80\"}", MR_JSON_UTF8},
    {"{\"c\":\"\xe2\x82\"}", MR_JSON_UTF8},
};

/* The same verdict whether the bad value is wanted (`a`) or skipped (`c`). */
static void test_bad_records_wanted_or_skipped(void **state)
{
    fixture *self = *state;

    for (size_t i = 0; i < MR_LENGTH(bad_records); i++) {
        char text[128];
        snprintf(text, sizeof(text), "%s", bad_records[i].text);
        if (read_text(self, text) != bad_records[i].result) {
            fail_msg("skipped: %s", text);
        }
        char *name = strstr(text, "\"c");
        if (name != NULL) {
            name[1] = 'a';
        }
        if (read_text(self, text) != bad_records[i].result) {
            fail_msg("wanted: %s", text);
        }
    }
}

static void test_depth(void **state)
{
    fixture *self = *state;
    char text[512];

    for (uint32_t depth = MR_JSON_DEPTH_MAX - 1; depth <= MR_JSON_DEPTH_MAX; depth++) {
        uint32_t at = (uint32_t)snprintf(text, sizeof(text), "{\"c\":");
        for (uint32_t i = 0; i < depth; i++) {
            text[at++] = '[';
        }
        for (uint32_t i = 0; i < depth; i++) {
            text[at++] = ']';
        }
        text[at++] = '}';
        text[at] = '\0';
        assert_int_equal(read_text(self, text),
                         depth < MR_JSON_DEPTH_MAX ? MR_JSON_OK : MR_JSON_DEPTH);
    }
}

/* Records of every length up to a few blocks end directly before a page that cannot be read. */
static void test_nothing_behind_a_record_is_read(void **state)
{
    fixture *self = *state;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *pages =
        mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(pages != MAP_FAILED);
    assert_int_equal(mprotect(pages + page, page, PROT_NONE), 0);
    for (uint32_t filler = 0; filler < 300; filler++) {
        const uint32_t size_bytes = filler + 8;
        uint8_t *record = pages + page - size_bytes;
        memcpy(record, "{\"b\":\"", 6);
        memset(record + 6, 'x', filler);
        memcpy(record + 6 + filler, "\"}", 2);
        self->at = self->scratch;
        assert_int_equal(mr_json_read(self->reader, record, size_bytes, self->values, &self->at,
                                      self->scratch + SCRATCH_MAX),
                         MR_JSON_OK);
        assert_int_equal(self->values[B].size_bytes, filler);
    }
    assert_int_equal(munmap(pages, 2 * page), 0);
}

static void test_arrays(void **state)
{
    fixture *self = *state;
    const char *text = "[1,\"a\\n\",[2,{\"a\":3}],null,5]";
    uint32_t count = 0;

    self->at = self->scratch;
    assert_int_equal(mr_json_read_array(self->reader, (const uint8_t *)text, (uint32_t)strlen(text),
                                        self->values, 4, &count, &self->at,
                                        self->scratch + SCRATCH_MAX),
                     MR_JSON_OK);
    assert_int_equal(count, 5);
    expect(self, 0, MR_JSON_NUMBER, "1");
    expect(self, 1, MR_JSON_STRING, "a\n");
    expect(self, 2, MR_JSON_ARRAY, "[2,{\"a\":3}]");
    expect(self, 3, MR_JSON_NULL, NULL);
    assert_int_equal(mr_json_read_array(self->reader, (const uint8_t *)"{}", 2, self->values, 4,
                                        &count, &self->at, self->scratch + SCRATCH_MAX),
                     MR_JSON_NOT_OBJECT);
}

static void canonical(const char *text, const char *wanted, mr_json_result wanted_result)
{
    uint8_t out[8192];
    mr_json_result result = MR_JSON_ROOM;
    const uint64_t room = mr_json_canonical_room((uint32_t)strlen(text));
    assert_true(room <= sizeof(out));

    const uint32_t size_bytes = mr_json_canonical((const uint8_t *)text, (uint32_t)strlen(text),
                                                  out, (uint32_t)room, &result);
    if (result != wanted_result) {
        fail_msg("%s: result %d", text, result);
    }
    assert_int_equal(size_bytes, wanted == NULL ? 0 : strlen(wanted));
    if (wanted != NULL) {
        assert_memory_equal(out, wanted, size_bytes);
    }
}

static void test_canonical_form(void **state)
{
    (void)state;
    canonical("{\"bb\":1,\"a\":{\"z\":[1,2 , 3],\"y\":null},\"c\":true}",
              "{\"a\": {\"y\": null, \"z\": [1, 2, 3]}, \"c\": true, \"bb\": 1}", MR_JSON_OK);
    canonical("{\"a\":1,\"b\":2,\"a\":3,\"a\":{\"x\":4}}", "{\"a\": {\"x\": 4}, \"b\": 2}",
              MR_JSON_OK);
    canonical(" 1.50 ", "1.50", MR_JSON_OK);
    canonical("\"\\u0041\\/\\u00e4\\u0001\\\"\"", "\"A/\xc3\xa4\\u0001\\\"\"", MR_JSON_OK);
    canonical("[]", "[]", MR_JSON_OK);
    canonical("{}", "{}", MR_JSON_OK);
    canonical("[{},[],[[]]]", "[{}, [], [[]]]", MR_JSON_OK);
    /* By plain length and plain bytes: `"` has one byte, written it has two. */
    canonical("{\"bb\":1,\"\\\"\":2,\"\\u0062\":3}", "{\"\\\"\": 2, \"b\": 3, \"bb\": 1}",
              MR_JSON_OK);
    canonical("{\"\\u0061\":1,\"a\":2}", "{\"a\": 2}", MR_JSON_OK);
    canonical("[1,]", NULL, MR_JSON_SYNTAX);
    canonical("[,1]", NULL, MR_JSON_SYNTAX);
    canonical("[1", NULL, MR_JSON_SYNTAX);
    canonical("1 2", NULL, MR_JSON_SYNTAX);
    canonical("{\"a\":1,}", NULL, MR_JSON_SYNTAX);
    canonical("{\"a\" 1}", NULL, MR_JSON_SYNTAX);
    canonical("{\"a\":1]", NULL, MR_JSON_SYNTAX);
    canonical("", NULL, MR_JSON_SYNTAX);
    canonical("tru", NULL, MR_JSON_SYNTAX);
    canonical("\"a", NULL, MR_JSON_SYNTAX);
    canonical("\"\\\"", NULL, MR_JSON_SYNTAX);
    canonical("\"\\u0000\"", NULL, MR_JSON_UTF8);
    canonical("\"\\ud800\"", NULL, MR_JSON_UTF8);
}

static void test_canonical_of_many_members(void **state)
{
    char text[2048] = "{";
    char wanted[2048] = "{";

    (void)state;
    for (int i = 99; i >= 10; i--) {
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s\"k%d\":%d",
                 i == 99 ? "" : ",", i, i);
    }
    for (int i = 10; i <= 99; i++) {
        snprintf(wanted + strlen(wanted), sizeof(wanted) - strlen(wanted), "%s\"k%d\": %d",
                 i == 10 ? "" : ", ", i, i);
    }
    snprintf(text + strlen(text), sizeof(text) - strlen(text), "}");
    snprintf(wanted + strlen(wanted), sizeof(wanted) - strlen(wanted), "}");
    canonical(text, wanted, MR_JSON_OK);
}

static void test_canonical_without_room(void **state)
{
    const char *text = "{\"b\":\"x\\u0041\",\"a\":[1,2]}";
    mr_json_result result = MR_JSON_OK;
    uint8_t out[512];
    uint32_t room = 0;

    (void)state;
    for (; room < sizeof(out); room++) {
        if (mr_json_canonical((const uint8_t *)text, (uint32_t)strlen(text), out, room, &result) >
            0) {
            break;
        }
        assert_int_equal(result, MR_JSON_ROOM);
    }
    assert_true(room > strlen(text) && room <= mr_json_canonical_room((uint32_t)strlen(text)));
}

static void test_quote(void **state)
{
    const char *text = "plain text, long enough for words \"\\\n\t\x01\x7f\xc3\xa4 and some more";
    const char *wanted =
        "\"plain text, long enough for words \\\"\\\\\\n\\t\\u0001\x7f\xc3\xa4 and some more\"";
    uint8_t out[128];

    (void)state;
    for (uint32_t room = 0; room < strlen(wanted); room++) {
        assert_int_equal(mr_json_quote((const uint8_t *)text, (uint32_t)strlen(text), out, room),
                         0);
    }
    assert_int_equal(
        mr_json_quote((const uint8_t *)text, (uint32_t)strlen(text), out, (uint32_t)strlen(wanted)),
        strlen(wanted));
    assert_memory_equal(out, wanted, strlen(wanted));
    assert_int_equal(mr_json_quote(NULL, 0, out, 2), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_every_kind_of_value, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names_below_an_array_do_not_count, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_last_of_equal_names_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_escapes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_scratch_that_does_not_suffice, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_records_wanted_or_skipped, setup, teardown),
        cmocka_unit_test_setup_teardown(test_depth, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing_behind_a_record_is_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_arrays, setup, teardown),
        cmocka_unit_test(test_canonical_form),
        cmocka_unit_test(test_canonical_of_many_members),
        cmocka_unit_test(test_canonical_without_room),
        cmocka_unit_test(test_quote),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
