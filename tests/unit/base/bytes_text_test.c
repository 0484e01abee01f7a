/* bytes_text_test.c - base64 by the vectors of RFC 4648, hex, and what is neither. */
#include "engine/base/assert.h"
#include "engine/base/bytes_text.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

static const struct {
    const char *bytes, *text;
} vectors[] = {{"", ""},
               {"f", "Zg=="},
               {"fo", "Zm8="},
               {"foo", "Zm9v"},
               {"foob", "Zm9vYg=="},
               {"fooba", "Zm9vYmE="},
               {"foobar", "Zm9vYmFy"},
               {"\xfb\xff\xbf", "+/+/"}};

static void test_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < MR_LENGTH(vectors); i++) {
        const uint32_t size = (uint32_t)strlen(vectors[i].bytes);
        const uint32_t text_size = (uint32_t)strlen(vectors[i].text);
        uint8_t out[16];
        assert_int_equal(mr_base64_bytes(size), text_size);
        assert_int_equal(mr_base64_print((const uint8_t *)vectors[i].bytes, size, out), text_size);
        assert_memory_equal(out, vectors[i].text, text_size);
        assert_int_equal(mr_base64_parse((const uint8_t *)vectors[i].text, text_size, out), size);
        assert_memory_equal(out, vectors[i].bytes, size);
    }
}

static void test_every_byte_there_and_back(void **state)
{
    uint8_t bytes[259], text[520], back[390];

    (void)state;
    for (uint32_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)i;
    }
    for (uint32_t size = 0; size <= sizeof(bytes); size++) {
        const uint32_t base64 = mr_base64_print(bytes, size, text);
        assert_int_equal(base64, mr_base64_bytes(size));
        assert_int_equal(mr_base64_parse(text, base64, back), size);
        assert_memory_equal(back, bytes, size);
        const uint32_t hex = mr_hex_print(bytes, size, text);
        assert_int_equal(hex, mr_hex_bytes(size));
        assert_int_equal(mr_hex_parse(text, hex, back), size);
        assert_memory_equal(back, bytes, size);
    }
}

static void test_what_is_not_base64(void **state)
{
    static const char *const bad[] = {
        "Z",        "Zg",   "Zg=",  "Zg==Zg==", "Z===", "====", "Zm9 ",
        "Zm9v\nZg", "Zm-_", "Zh==", "Zm9=",     "=Zg=", "Zg=a"};
    uint8_t out[16];

    (void)state;
    for (size_t i = 0; i < MR_LENGTH(bad); i++) {
        if (mr_base64_parse((const uint8_t *)bad[i], (uint32_t)strlen(bad[i]), out) != -1) {
            fail_msg("%s was read", bad[i]);
        }
    }
}

static void test_what_is_not_hex(void **state)
{
    static const char *const bad[] = {"", "\\", "00", "\\x0", "\\X00", "\\x0g", "\\x 00", "x00"};
    uint8_t out[16];

    (void)state;
    for (size_t i = 0; i < MR_LENGTH(bad); i++) {
        if (mr_hex_parse((const uint8_t *)bad[i], (uint32_t)strlen(bad[i]), out) != -1) {
            fail_msg("%s was read", bad[i]);
        }
    }
    assert_int_equal(mr_hex_parse((const uint8_t *)"\\xFfA0", 6, out), 2);
    assert_memory_equal(out, "\xff\xa0", 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_every_byte_there_and_back),
        cmocka_unit_test(test_what_is_not_base64),
        cmocka_unit_test(test_what_is_not_hex),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
