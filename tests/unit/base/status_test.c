/* status_test.c - classes, names, and the story of a failure: replaced, framed, cut. */
#include <millrace/status.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

static void test_classes_and_names(void **state)
{
    (void)state;
    assert_int_equal(mr_status_class(MR_OK), MR_CLASS_OK);
    assert_int_equal(mr_status_class(MR_ERR_TYPE), MR_CLASS_USER);
    assert_int_equal(mr_status_class(MR_ERR_FULL), MR_CLASS_RETRY);
    assert_int_equal(mr_status_class(MR_ERR_OVERFLOW), MR_CLASS_ABORT_EPOCH);
    assert_int_equal(mr_status_class(MR_ERR_ROW), MR_CLASS_FATAL);
    assert_string_equal(mr_status_name(MR_OK), "MR_OK");
    assert_string_equal(mr_status_name(MR_ERR_TXN_ABORTED), "MR_ERR_TXN_ABORTED");
    assert_string_equal(mr_status_name(MR_ERR_ROW), "MR_ERR_ROW");
}

static void test_a_story_with_frames(void **state)
{
    mr_diag diag = {.place = {.line = 7}};

    (void)state;
    assert_int_equal(mr_diag_set(&diag, MR_ERR_IO, 123, "cannot read %s", "x"), MR_ERR_IO);
    assert_string_equal(diag.text, "cannot read x");
    assert_int_equal(diag.code, 123);
    assert_int_equal(diag.place.line, 0);
    assert_int_equal(mr_diag_frame(&diag, MR_ERR_CORRUPT, "shard %d", 3), MR_ERR_CORRUPT);
    assert_string_equal(diag.text, "shard 3: cannot read x");
    assert_int_equal(diag.text_size_bytes, strlen(diag.text));
    assert_int_equal(diag.status, MR_ERR_CORRUPT);
    /* Its own text may be an argument. */
    assert_int_equal(mr_diag_set(&diag, MR_ERR_IO, 0, "[%s]", diag.text), MR_ERR_IO);
    assert_string_equal(diag.text, "[shard 3: cannot read x]");
    assert_int_equal(diag.frame_count, 0);
    for (int i = 0; i < 9; i++) {
        (void)!mr_diag_frame(&diag, MR_ERR_IO, "%d", i);
    }
    assert_string_equal(diag.text, "7: 6: 5: 4: 3: 2: 1: 0: [shard 3: cannot read x]");
    assert_int_equal(mr_diag_set(NULL, MR_ERR_IO, 0, "nobody listens"), MR_ERR_IO);
    assert_int_equal(mr_diag_frame(NULL, MR_ERR_IO, "nobody listens"), MR_ERR_IO);
}

static void test_long_texts_are_cut_between_characters(void **state)
{
    mr_diag diag = {0};
    char text[5000];

    (void)state;
    for (uint32_t shift = 0; shift < 3; shift++) {
        memset(text, 'x', shift);
        for (uint32_t at = shift; at + 3 < sizeof(text); at += 3) {
            memcpy(text + at, "\xe2\x82\xac", 4);
        }
        assert_int_equal(mr_diag_set(&diag, MR_ERR_IO, 0, "%s", text), MR_ERR_IO);
        assert_true(diag.text_size_bytes > sizeof(diag.text) - 4);
        assert_int_equal((diag.text_size_bytes - shift) % 3, 0);
        assert_int_equal(mr_diag_frame(&diag, MR_ERR_IO, "frame"), MR_ERR_IO);
        assert_memory_equal(diag.text, "frame: ", 7);
        assert_int_equal((diag.text_size_bytes - 7 - shift) % 3, 0);
        assert_int_equal(strlen(diag.text), diag.text_size_bytes);
        assert_int_equal(mr_diag_frame(&diag, MR_ERR_IO, "%s", text), MR_ERR_IO);
        assert_int_equal(strlen(diag.text), diag.text_size_bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_classes_and_names),
        cmocka_unit_test(test_a_story_with_frames),
        cmocka_unit_test(test_long_texts_are_cut_between_characters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
