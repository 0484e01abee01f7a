/* utf8_test.c - validity, counting, both ways of coding, and case of every code point. */
#define _GNU_SOURCE
#include "engine/base/assert.h"
#include "engine/base/utf8.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <locale.h>
#include <string.h>
#include <wctype.h>

static bool valid(const char *text, size_t size_bytes)
{
    return mr_utf8_valid((const uint8_t *)text, size_bytes);
}

static void test_validity(void **state)
{
    static const struct {
        const char *text;
        size_t size_bytes;
    } bad[] = {{"\0", 1},
               {"long plain text \0 and more", 27},
               {"\x80", 1},
               {"\xc0\x80", 2},
               {"\xc1\xbf", 2},
               {"\xc3", 1},
               {"\xc3(", 2},
               {"\xe0\x9f\xbf", 3},
               {"\xed\xa0\x80", 3},
               {"\xe2\x82", 2},
               {"\xe2(\xa1", 3},
               {"\xf0\x8f\xbf\xbf", 4},
               {"\xf4\x90\x80\x80", 4},
               {"\xf5\x80\x80\x80", 4},
               {"\xf0\x9f\x98", 3},
               {"\xff", 1},
               {"12345678\xff", 9}};

    (void)state;
    assert_true(valid("", 0));
    assert_true(valid("plain text of some length", 25));
    assert_true(valid("\x01\x7f", 2));
    assert_true(valid("\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf", 16));
    assert_true(valid("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", 8));
    for (size_t i = 0; i < MR_LENGTH(bad); i++) {
        assert_false(valid(bad[i].text, bad[i].size_bytes));
    }
}

static void test_every_code_point(void **state)
{
    const locale_t locale = newlocale(LC_ALL_MASK, "C.UTF-8", NULL);
    uint32_t mapped = 0;

    (void)state;
    assert_non_null(locale);
    for (uint32_t code_point = 1; code_point < 0x110000; code_point++) {
        uint8_t bytes[4];
        uint32_t back = 0;
        if (code_point == 0xd800) {
            code_point = 0xe000;
        }
        const uint32_t size_bytes = mr_utf8_encode(code_point, bytes);
        assert_true(mr_utf8_valid(bytes, size_bytes));
        assert_false(mr_utf8_valid(bytes, size_bytes - 1) && size_bytes > 1);
        assert_int_equal(mr_utf8_decode(bytes, &back), size_bytes);
        assert_int_equal(back, code_point);
        assert_int_equal(mr_utf8_length(bytes, size_bytes), 1);
        /* The table is made by printing runs of towlower_l and towupper_l of this locale. */
        assert_int_equal(mr_utf8_lower(code_point), towlower_l(code_point, locale));
        assert_int_equal(mr_utf8_upper(code_point), towupper_l(code_point, locale));
        mapped += mr_utf8_lower(code_point) != code_point;
    }
    assert_true(mapped > 1000);
    freelocale(locale);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_validity),
        cmocka_unit_test(test_every_code_point),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
