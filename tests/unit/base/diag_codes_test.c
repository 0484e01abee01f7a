/*
 * diag_codes_test.c - the table of diagnostics is sorted, complete and fits a terminal.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/base/diag_codes.h"
#include <string.h>

static void test_the_table(void **state)
{
    uint32_t count = 0;
    const mr_diag_code *codes = mr_diag_codes(&count);

    (void)state;
    assert_true(count > 40);
    for (uint32_t i = 0; i < count; i++) {
        assert_true(codes[i].code >= 101 && codes[i].code <= 899);
        assert_true(i == 0 || codes[i - 1].code < codes[i].code);
        assert_ptr_equal(mr_diag_code_find(codes[i].code), &codes[i]);
        const size_t title = strlen(codes[i].title), text = strlen(codes[i].text);
        assert_true(title > 0 && title < 80 && codes[i].title[title - 1] != '.');
        assert_true(text > 0 && codes[i].text[text - 1] == '\n');
        for (const char *line = codes[i].text; *line != '\0'; line = strchr(line, '\n') + 1) {
            assert_true(strcspn(line, "\n") <= 100);
        }
        const size_t example = strlen(codes[i].example);
        assert_true(example > 0 && codes[i].example[example - 1] == '\n');
        assert_non_null(strchr(codes[i].example, '#')); /* Behind it stands how it is mended. */
    }
    assert_null(mr_diag_code_find(0));
    assert_null(mr_diag_code_find(999));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_the_table)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
