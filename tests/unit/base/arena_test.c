/* arena_test.c - alignment, zeroing, limits, reset and seal; and the system's memory below. */
#include "engine/base/arena.h"
#include "tests/support/death.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

static void expect_zero(const uint8_t *bytes, size_t size_bytes)
{
    for (size_t i = 0; i < size_bytes; i++) {
        assert_int_equal(bytes[i], 0);
    }
}

static void test_system_memory(void **state)
{
    static const size_t sizes[] = {
        1, 64, 1000, 256 << 10, (256 << 10) + 1, 2 << 20, (2 << 20) + 1, (5 << 20) + 7};
    const mr_memory memory = mr_memory_system();

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        uint8_t *bytes = memory.type->acquire(memory.self, sizes[i], "test");
        assert_non_null(bytes);
        assert_int_equal((uintptr_t)bytes % (sizes[i] > 2 << 20 ? 2 << 20 : 64), 0);
        expect_zero(bytes, sizes[i]);
        memset(bytes, 0xab, sizes[i]);
        memory.type->release(memory.self, bytes, sizes[i]);
    }
    assert_null(memory.type->acquire(memory.self, SIZE_MAX / 4, "test"));
}

static void test_takes_are_zeroed_and_aligned(void **state)
{
    mr_arena *arena = mr_arena_create(mr_memory_system(), 32 << 20, "test");

    (void)state;
    for (uint32_t round = 0; round < 2; round++) {
        size_t taken = 0;
        for (size_t size = 0; size < 3000; size += 7) {
            uint8_t *bytes = mr_arena_take(arena, size);
            assert_non_null(bytes);
            assert_int_equal((uintptr_t)bytes % 16, 0);
            expect_zero(bytes, size);
            memset(bytes, 0xab, size);
            taken += size;
        }
        for (size_t alignment = 1; alignment <= 4096; alignment *= 2) {
            uint8_t *bytes = mr_arena_take_aligned(arena, 100, alignment);
            assert_int_equal((uintptr_t)bytes % alignment, 0);
            expect_zero(bytes, 100);
        }
        uint8_t *large = mr_arena_take(arena, 5 << 20);
        expect_zero(large, 5 << 20);
        memset(large, 0xab, 5 << 20);
        assert_true(mr_arena_used_bytes(arena) >= taken + (5 << 20));
        mr_arena_reset(arena);
        assert_int_equal(mr_arena_used_bytes(arena), 0);
    }
    mr_arena_destroy(arena);
    mr_arena_destroy(NULL);
}

static void test_limits(void **state)
{
    mr_arena *arena = mr_arena_create(mr_memory_system(), 1024, "test");

    (void)state;
    assert_null(mr_arena_take(arena, 1025));
    assert_non_null(mr_arena_take(arena, 1024));
    assert_null(mr_arena_take(arena, 1));
    mr_arena_reset(arena);
    assert_null(mr_arena_take_array(arena, SIZE_MAX / 2, 3));
    assert_non_null(mr_arena_take_array(arena, 64, 16));
    mr_arena_destroy(arena);

    arena = mr_arena_create(mr_memory_system(), 1 << 20, "test");
    size_t taken = 0;
    while (mr_arena_take(arena, 4096) != NULL) {
        taken += 4096;
    }
    assert_int_equal(taken, 1 << 20);
    mr_arena_destroy(arena);
}

static void test_texts(void **state)
{
    mr_arena *arena = mr_arena_create(mr_memory_system(), 4096, "test");

    (void)state;
    assert_string_equal(mr_arena_copy(arena, "abcdef", 3), "abc");
    assert_string_equal(mr_arena_copy(arena, NULL, 0), "");
    assert_string_equal(mr_arena_print(arena, "%s-%d", "x", 7), "x-7");
    assert_null(mr_arena_print(arena, "%5000d", 7));
    mr_arena_destroy(arena);
}

static void take_sealed(void)
{
    mr_arena *arena = mr_arena_create(mr_memory_system(), 4096, "test");
    mr_arena_seal(arena);
    (void)mr_arena_take(arena, 1);
}

static void test_a_sealed_arena_asserts(void **state)
{
    mr_arena *arena = mr_arena_create(mr_memory_system(), 4096, "test");

    (void)state;
    mr_expect_assert(take_sealed, "!arena->sealed");
    mr_arena_seal(arena);
    mr_arena_reset(arena);
    assert_non_null(mr_arena_take(arena, 1));
    mr_arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_system_memory),
        cmocka_unit_test(test_takes_are_zeroed_and_aligned),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_a_sealed_arena_asserts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
