/* row_error_test.c - every reason has a stable, unique name and a sentence. */
#include <millrace/row_error.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

static void test_names(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < MR_ROW_ERROR_COUNT; i++) {
        const mr_row_error error = (mr_row_error)i;
        assert_true(strlen(mr_row_error_name(error)) >= 2);
        assert_true(strlen(mr_row_error_text(error)) >= 8);
        for (mr_row_error other = 0; other < error; other++) {
            assert_string_not_equal(mr_row_error_name(error), mr_row_error_name(other));
        }
    }
    assert_string_equal(mr_row_error_name(MR_ROW_22P02), "22P02");
    assert_string_equal(mr_row_error_name(MR_ROW_DECODE_JSON), "DECODE_JSON");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_names)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
