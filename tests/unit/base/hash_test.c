/* hash_test.c - the hashes against published vectors and the real Java client's. */
#include "engine/base/assert.h"
#include "engine/base/hash.h"
#include "tests/unit/base/murmur2_vectors.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

static void test_murmur2_equals_the_java_client(void **state)
{
    (void)state;
    for (size_t i = 0; i < MR_LENGTH(murmur2_vectors); i++) {
        const murmur2_vector *vector = &murmur2_vectors[i];
        assert_int_equal(mr_hash_murmur2(vector->bytes, vector->size_bytes), vector->hash);
    }
}

static void test_crc32c_equals_the_rfc(void **state)
{
    uint8_t bytes[32];

    (void)state;
    /* RFC 3720, appendix B.4. */
    memset(bytes, 0, sizeof(bytes));
    assert_int_equal(mr_hash_crc32c(bytes, sizeof(bytes)), 0x8a9136aa);
    memset(bytes, 0xff, sizeof(bytes));
    assert_int_equal(mr_hash_crc32c(bytes, sizeof(bytes)), 0x62a8ab43);
    for (uint8_t i = 0; i < 32; i++) {
        bytes[i] = i;
    }
    assert_int_equal(mr_hash_crc32c(bytes, sizeof(bytes)), 0x46dd794e);
    assert_int_equal(mr_hash_crc32c("123456789", 9), 0xe3069283);
    assert_int_equal(mr_hash_crc32c(NULL, 0), 0);
}

static void test_crc32c_without_the_instruction(void **state)
{
    (void)state;
    assert_int_equal(mr_hash_crc32c_portable("123456789", 9), 0xe3069283);
    assert_int_equal(mr_hash_crc32c_portable(NULL, 0), 0);
}

static void test_xxh3_equals_its_specification(void **state)
{
    uint8_t out[16];

    (void)state;
    assert_true(mr_hash64(NULL, 0, 0) == UINT64_C(0x2d06800538d394c2));
    assert_true(mr_hash64("millrace", 8, 1) != mr_hash64("millrace", 8, 2));
    mr_hash128(NULL, 0, 0, out);
    /* 99aa06d3014798d86001c324468d497f, low half first, each little-endian. */
    static const uint8_t wanted[16] = {0x7f, 0x49, 0x8d, 0x46, 0x24, 0xc3, 0x01, 0x60,
                                       0xd8, 0x98, 0x47, 0x01, 0xd3, 0x06, 0xaa, 0x99};
    assert_memory_equal(out, wanted, sizeof(wanted));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_murmur2_equals_the_java_client),
        cmocka_unit_test(test_crc32c_equals_the_rfc),
        cmocka_unit_test(test_crc32c_without_the_instruction),
        cmocka_unit_test(test_xxh3_equals_its_specification),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
