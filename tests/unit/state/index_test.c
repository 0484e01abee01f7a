/*
 * index_test.c - pages, slots and index against plain arrays, with hashes made to collide.
 */
#include "engine/state/state_private.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "engine/base/clock.h"
#include <cmocka.h>
#include <stdlib.h>

enum { PAGES = 4096, ROWS = 30000 };

typedef struct bench {
    mr_pages pages;
    mr_classes classes;
    mr_slabs slabs;
    mr_index index;
    uint8_t *memory, *info;
} bench;

static bench *bench_open(void)
{
    bench *b = calloc(1, sizeof(*b));
    assert_non_null(b);
    b->memory = aligned_alloc(4096, (size_t)PAGES * 4096);
    b->info = malloc(PAGES);
    assert_non_null(b->memory);
    assert_non_null(b->info);
    mr_pages_init(&b->pages, b->memory, b->info, PAGES);
    mr_classes_init(&b->classes);
    mr_slabs_init(&b->slabs);
    assert_true(mr_index_init(&b->index, &b->pages));
    return b;
}

static void bench_close(bench *b)
{
    free(b->memory);
    free(b->info);
    free(b);
}

static mr_row *add(bench *b, uint64_t hash, uint64_t key)
{
    mr_row *row = mr_slab_take(&b->pages, &b->classes, &b->slabs, 16 + 16 + 8);
    if (row == NULL) {
        return NULL;
    }
    *row = (mr_row){.hash = (uint32_t)(hash >> 32), .key_size = 8, .class = row->class};
    memcpy(mr_row_key(row), &key, sizeof(key));
    if (!mr_index_insert(&b->index, hash, row)) {
        mr_slab_give(&b->pages, row);
        return NULL;
    }
    return row;
}

static void test_pages_split_and_merge(void **state)
{
    bench *b = bench_open();
    const uint32_t free_before = b->pages.free_count;
    uint32_t taken[600][2];
    uint64_t prng = 5;

    (void)state;
    for (uint32_t round = 0; round < 20; round++) {
        uint32_t count = 0;
        while (count < 600) {
            const uint32_t order = (uint32_t)(mr_prng_next(&prng) % 6);
            const uint32_t page = mr_pages_take(&b->pages, order);
            if (page == MR_NO_PAGE) {
                break;
            }
            assert_int_equal(page % (1u << order), 0);
            memset(mr_page_at(&b->pages, page), 0xee, (size_t)4096 << order);
            taken[count][0] = page;
            taken[count++][1] = order;
        }
        assert_true(count > 100);
        while (count > 0) {
            const uint32_t at = (uint32_t)(mr_prng_next(&prng) % count);
            mr_pages_give(&b->pages, taken[at][0], taken[at][1]);
            count--;
            taken[at][0] = taken[count][0];
            taken[at][1] = taken[count][1];
        }
        assert_int_equal(b->pages.free_count, free_before);
    }
    /* All merged again: the largest block is there. */
    assert_int_not_equal(mr_pages_take(&b->pages, 11), MR_NO_PAGE);
    assert_int_equal(mr_pages_take(&b->pages, 12), MR_NO_PAGE);
    bench_close(b);
}

static void test_classes_waste_at_most_a_fifth(void **state)
{
    mr_classes classes;

    (void)state;
    mr_classes_init(&classes);
    for (uint32_t size = 32; size <= MR_SLOT_BYTES_MAX; size += 16) {
        const uint32_t class = classes.of_units[size / 16];
        assert_true(classes.bytes[class] >= size);
        assert_true(class == 0 || classes.bytes[class - 1] < size);
        assert_true((classes.bytes[class] - size) * 5 <= classes.bytes[class] + 80);
    }
}

static void test_slots_are_reused(void **state)
{
    bench *b = bench_open();
    mr_row *rows[2000];

    (void)state;
    for (uint32_t round = 0; round < 10; round++) {
        for (uint32_t i = 0; i < 2000; i++) {
            rows[i] = mr_slab_take(&b->pages, &b->classes, &b->slabs, 40 + i % 500);
            assert_non_null(rows[i]);
            memset(rows[i] + 1, 0xab, 24 + i % 500);
        }
        for (uint32_t i = 0; i < 2000; i++) {
            mr_slab_give(&b->pages, rows[(i * 7) % 2000]);
        }
        assert_true(b->slabs.page_count < 500);
    }
    bench_close(b);
}

/* Inserts, finds, removes; `spread` makes hashes collide in directory, bucket or tag. */
static void run(uint64_t (*spread)(uint64_t key), uint32_t count)
{
    bench *b = bench_open();
    mr_row **rows = calloc(count, sizeof(mr_row *));
    uint64_t prng = 9;
    uint32_t there = 0;

    assert_non_null(rows);
    for (uint32_t step = 0; step < count * 4; step++) {
        const uint64_t key = mr_prng_next(&prng) % count;
        const uint64_t hash = spread(key);
        mr_row *found = mr_index_find(&b->index, hash, &key, sizeof(key));
        assert_ptr_equal(found, rows[key]);
        if (found == NULL) {
            rows[key] = add(b, hash, key);
            assert_non_null(rows[key]);
            there++;
        } else if (step % 3 != 0) {
            mr_index_remove(&b->index, hash, found);
            mr_slab_give(&b->pages, found);
            rows[key] = NULL;
            there--;
        }
    }
    for (uint64_t key = 0; key < count; key++) {
        assert_ptr_equal(mr_index_find(&b->index, spread(key), &key, sizeof(key)), rows[key]);
    }
    mr_cursor cursor = {0};
    uint32_t walked = 0;
    for (const mr_row *row = mr_index_next(&b->index, &cursor); row != NULL;
         row = mr_index_next(&b->index, &cursor)) {
        uint64_t key = 0;
        memcpy(&key, mr_row_key(row), sizeof(key));
        assert_ptr_equal(row, rows[key]);
        walked++;
    }
    assert_int_equal(walked, there);
    free(rows);
    bench_close(b);
}

static uint64_t spread_well(uint64_t key)
{
    return mr_hash64(&key, sizeof(key), 1);
}

static uint64_t spread_same_tag(uint64_t key)
{
    return mr_hash64(&key, sizeof(key), 1) & ~UINT64_C(0xffff0000);
}

/* Four homes only in each sub-table: chains of full buckets, pulled back by removals. */
static uint64_t spread_few_buckets(uint64_t key)
{
    return mr_hash64(&key, sizeof(key), 1) & ~(UINT64_C(0xff) << 32);
}

static void test_hashes_that_spread(void **state)
{
    (void)state;
    run(spread_well, ROWS);
}

static void test_equal_tags(void **state)
{
    (void)state;
    run(spread_same_tag, ROWS);
}

static void test_few_buckets(void **state)
{
    (void)state;
    run(spread_few_buckets, 2000);
}

static void test_equal_hashes_end_in_no_memory(void **state)
{
    bench *b = bench_open();
    uint32_t count = 0;

    (void)state;
    for (uint64_t key = 0; key < 40 && add(b, 77, key) != NULL; key++) {
        count++;
    }
    assert_int_equal(count, 32); /* Home and three further buckets of eight. */
    for (uint64_t key = 0; key < count; key++) {
        assert_non_null(mr_index_find(&b->index, 77, &key, sizeof(key)));
    }
    bench_close(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages_split_and_merge),
        cmocka_unit_test(test_classes_waste_at_most_a_fifth),
        cmocka_unit_test(test_slots_are_reused),
        cmocka_unit_test(test_hashes_that_spread),
        cmocka_unit_test(test_equal_tags),
        cmocka_unit_test(test_few_buckets),
        cmocka_unit_test(test_equal_hashes_end_in_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
