/* key_test.c - canonical key bytes, folding of equal keys, limits, and the way back. */
#include "engine/base/assert.h"
#include "engine/base/hash.h"
#include "engine/batch/batch.h"
#include "tests/support/batch_text.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SEED = 77 };

static int setup(void **state)
{
    *state = mr_arena_create(mr_memory_system(), 64 << 20, "test");
    return *state == NULL;
}

static int teardown(void **state)
{
    mr_arena_destroy(*state);
    return 0;
}

static void expect_key(const mr_keys *keys, uint32_t key, const char *bytes, size_t size_bytes)
{
    assert_int_equal(keys->views[key].size_bytes, size_bytes);
    assert_memory_equal(keys->views[key].bytes, bytes, size_bytes);
    assert_true(keys->hashes[key] == mr_hash64(bytes, size_bytes, SEED));
}

static void test_one_bigint(void **state)
{
    mr_arena *arena = *state;
    const mr_schema *schema = mr_test_schema(arena, "id bigint");
    mr_batch *batch = mr_test_batch(arena, schema, "5\n-1\n5\n\\N\n-1\n\\N");
    mr_keys *keys = mr_keys_create(arena, &(uint16_t){0}, 1, SEED);
    static const uint16_t wanted[] = {0, 1, 0, 2, 1, 2};

    assert_true(mr_keys_encode(keys, batch));
    assert_int_equal(keys->count, 3);
    assert_memory_equal(keys->key_of_row, wanted, sizeof(wanted));
    expect_key(keys, 0, "\1\5\0\0\0\0\0\0\0", 9);
    expect_key(keys, 1, "\1\xff\xff\xff\xff\xff\xff\xff\xff", 9);
    expect_key(keys, 2, "\0", 1);
}

static void test_one_text_of_selected_rows(void **state)
{
    mr_arena *arena = *state;
    const mr_schema *schema = mr_test_schema(arena, "v bigint, name text");
    mr_batch *batch = mr_test_batch(arena, schema, "1|ab\n2|x\n3|\n4|\\N\n5|ab");
    mr_keys *keys = mr_keys_create(arena, &(uint16_t){1}, 1, SEED);
    static const uint16_t wanted[] = {0, 1, 2, 0};
    uint16_t *selection = mr_batch_selection(batch);
    uint32_t count = 0;

    for (uint16_t row = 0; row < 5; row++) {
        if (row != 1) {
            selection[count++] = row;
        }
    }
    mr_batch_select(batch, count);
    for (uint32_t again = 0; again < 2; again++) {
        assert_true(mr_keys_encode(keys, batch));
        assert_int_equal(keys->count, 3);
        assert_memory_equal(keys->key_of_row, wanted, sizeof(wanted));
        expect_key(keys, 0, "\1\2\0\0\0ab", 7);
        expect_key(keys, 1, "\1\0\0\0\0", 5);
        expect_key(keys, 2, "\0", 1);
    }
}

static void test_several_columns(void **state)
{
    mr_arena *arena = *state;
    const mr_schema *schema =
        mr_test_schema(arena, "b boolean, n numeric(10,2), t text, d double, at timestamptz");
    mr_batch *batch =
        mr_test_batch(arena, schema, "t|1.50|x|0|1970-01-01T00:00:00.000001Z\n\\N|\\N|\\N|\\N|\\N");
    static const uint16_t columns[] = {4, 0, 1, 2, 3};
    mr_keys *keys = mr_keys_create(arena, columns, 5, SEED);

    assert_true(mr_keys_encode(keys, batch));
    assert_int_equal(keys->count, 2);
    expect_key(keys, 0,
               "\1\1\0\0\0\0\0\0\0"
               "\1\1"
               "\1\x96\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
               "\1\1\0\0\0x"
               "\1\0\0\0\0\0\0\0\0",
               9 + 2 + 17 + 6 + 9);
    expect_key(keys, 1, "\0\0\0\0\0", 5);
    /* Text boundaries are part of the key: "ab"+"c" is not "a"+"bc". */
    const mr_schema *texts = mr_test_schema(arena, "x text, y text");
    mr_batch *pairs = mr_test_batch(arena, texts, "ab|c\na|bc\n|abc");
    static const uint16_t both[] = {0, 1};
    mr_keys *pair_keys = mr_keys_create(arena, both, 2, SEED);
    assert_true(mr_keys_encode(pair_keys, pairs));
    assert_int_equal(pair_keys->count, 3);
}

static void test_zeros_and_nans_are_one_key(void **state)
{
    mr_arena *arena = *state;
    const mr_schema *schema = mr_test_schema(arena, "d double");
    mr_batch *batch = mr_test_batch(arena, schema, "0\n-0\nNaN\n1");
    double *cells = mr_batch_cells(batch, 0);
    const uint64_t other_nan = UINT64_C(0xfff8000000000001);
    mr_keys *keys = mr_keys_create(arena, &(uint16_t){0}, 1, SEED);

    memcpy(&cells[3], &other_nan, sizeof(other_nan));
    assert_true(mr_keys_encode(keys, batch));
    assert_int_equal(keys->count, 2);
    assert_int_equal(keys->key_of_row[1], 0);
    assert_int_equal(keys->key_of_row[3], 1);
}

static void test_no_column_is_one_key(void **state)
{
    mr_arena *arena = *state;
    mr_batch *batch = mr_test_batch(arena, mr_test_schema(arena, "v bigint"), "1\n2");
    mr_keys *keys = mr_keys_create(arena, NULL, 0, SEED);

    assert_true(mr_keys_encode(keys, batch));
    assert_int_equal(keys->count, 1);
    assert_int_equal(keys->views[0].size_bytes, 0);
    assert_int_equal(keys->key_of_row[1], 0);
}

/* A batch of `count` texts of `size_bytes`, all different, or all equal. */
static mr_batch *texts(mr_arena *arena, uint32_t count, uint32_t size_bytes, bool is_equal)
{
    mr_batch_pool *pool =
        mr_batch_pool_create(arena, mr_test_schema(arena, "t text, u text"), 1, 0, false);
    mr_batch *batch = mr_batch_take(pool);

    for (uint32_t row = 0; row < count; row++) {
        uint8_t *bytes = mr_arena_take(arena, size_bytes);
        assert_non_null(bytes);
        memset(bytes, 'x', size_bytes);
        memcpy(bytes, &(uint32_t){is_equal ? 0 : row}, sizeof(uint32_t));
        ((mr_view *)mr_batch_cells(batch, 0))[row] = (mr_view){bytes, size_bytes};
        ((mr_view *)mr_batch_cells(batch, 1))[row] = (mr_view){bytes, 0};
    }
    (void)mr_batch_event_times(batch);
    mr_batch_set_rows(batch, count);
    return batch;
}

static void test_limits(void **state)
{
    mr_arena *arena = *state;
    static const uint16_t columns[] = {0, 1};

    for (uint32_t column_count = 1; column_count <= 2; column_count++) {
        const uint32_t head = column_count * 5;
        mr_keys *keys = mr_keys_create(arena, columns, column_count, SEED);
        mr_batch *largest = texts(arena, 1, MR_KEY_BYTES_MAX - head, false);
        uint8_t out[MR_KEY_BYTES_MAX];
        assert_true(mr_keys_encode(keys, largest));
        assert_int_equal(keys->views[0].size_bytes, MR_KEY_BYTES_MAX);
        assert_int_equal(mr_key_encode_row(largest, 0, columns, column_count, out),
                         MR_KEY_BYTES_MAX);
        mr_batch *too_long = texts(arena, 2, MR_KEY_BYTES_MAX - head + 1, false);
        assert_true(mr_keys_encode(keys, too_long));
        assert_int_equal(keys->count, 0);
        assert_int_equal(keys->key_of_row[1], MR_KEY_TOO_LONG);
        assert_int_equal(mr_key_encode_row(too_long, 0, columns, column_count, out), 0);
        /* Distinct keys count against the scratch, equal ones do not. */
        const uint32_t fitting = MR_KEYS_BYTES_MAX / MR_KEY_BYTES_MAX;
        assert_true(mr_keys_encode(keys, texts(arena, fitting, MR_KEY_BYTES_MAX - head, false)));
        assert_false(
            mr_keys_encode(keys, texts(arena, fitting + 1, MR_KEY_BYTES_MAX - head, false)));
        assert_true(mr_keys_encode(keys, texts(arena, fitting + 1, MR_KEY_BYTES_MAX - head, true)));
    }
}

static void test_a_full_batch_of_distinct_keys(void **state)
{
    mr_arena *arena = *state;
    mr_batch *batch = texts(arena, MR_BATCH_ROWS_MAX, 8, false);
    mr_keys *keys = mr_keys_create(arena, &(uint16_t){0}, 1, SEED);

    assert_true(mr_keys_encode(keys, batch));
    assert_int_equal(keys->count, MR_BATCH_ROWS_MAX);
    for (uint32_t row = 0; row < MR_BATCH_ROWS_MAX; row++) {
        assert_int_equal(keys->key_of_row[row], row);
    }
}

static void test_the_way_back(void **state)
{
    mr_arena *arena = *state;
    const char *rows = "t|1.50|x|-2.5|2026-01-01T00:00:05Z|7|{\"a\": 1}\n"
                       "\\N|\\N|\\N|\\N|\\N|\\N|\\N\n"
                       "f|-99999999.99||1e+300|0001-01-01T00:00:00Z|-9223372036854775808|[]";
    const mr_schema *schema = mr_test_schema(
        arena, "b boolean, n numeric(10,2), t text, d double, at timestamptz, i bigint, j jsonb");
    static const uint16_t columns[] = {0, 1, 2, 3, 4, 5, 6};
    mr_batch *in = mr_test_batch(arena, schema, rows);
    mr_batch *out = mr_test_batch(arena, schema, "");
    uint8_t bytes[3][MR_KEY_BYTES_MAX];

    for (uint32_t row = 0; row < 3; row++) {
        const uint32_t size_bytes = mr_key_encode_row(in, row, columns, 7, bytes[row]);
        const mr_view key = {bytes[row], size_bytes};
        assert_true(mr_key_decode_row(key, schema, columns, 7, out, row));
        /* Every shorter key, and a longer one, is damaged. */
        for (uint32_t cut = 0; cut < size_bytes; cut++) {
            assert_false(mr_key_decode_row((mr_view){bytes[row], cut}, schema, columns, 7, out, 9));
        }
        bytes[row][size_bytes] = 0;
        assert_false(
            mr_key_decode_row((mr_view){bytes[row], size_bytes + 1}, schema, columns, 7, out, 9));
    }
    (void)mr_batch_event_times(out);
    mr_batch_set_rows(out, 3);
    assert_string_equal(mr_test_rows(arena, out), rows);
    bytes[0][0] = 2; /* Neither null nor present. */
    assert_false(mr_key_decode_row((mr_view){bytes[0], 60}, schema, columns, 7, out, 9));
    bytes[0][0] = 1;
    bytes[0][1] = 2; /* Not a boolean. */
    assert_false(mr_key_decode_row((mr_view){bytes[0], 60}, schema, columns, 7, out, 9));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_bigint, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_text_of_selected_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_several_columns, setup, teardown),
        cmocka_unit_test_setup_teardown(test_zeros_and_nans_are_one_key, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_column_is_one_key, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_full_batch_of_distinct_keys, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_way_back, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
