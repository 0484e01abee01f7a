/*
 * pages.c - the arena of a store, handed out in blocks of 2^n pages of 4 KiB (a buddy allocator).
 *
 * One mapping for index, records, large values and undo: what one of them does not need another
 * can have, and the hard cap is the mapping itself. A block is aligned to its own size, so a slab
 * of 64 KiB is found from any address in it. Free blocks carry their list links in themselves; one
 * byte a page beside the arena says where free blocks begin and which pages are slabs.
 *
 * Limits: 2^32 - 1 pages; blocks up to 2^24 pages.
 */
#include "engine/state/state_private.h"

enum { FREE_MARK = 0x80 };

typedef struct free_block {
    uint32_t next, previous;
} free_block;

static void push_free(mr_pages *pages, uint32_t page, uint32_t order);
static void unlink_free(mr_pages *pages, uint32_t page, uint32_t order);

void mr_pages_init(mr_pages *pages, uint8_t *base, uint8_t *info, uint32_t page_count)
{
    MR_ASSERT((uintptr_t)base % MR_PAGE_BYTES == 0 && page_count > 1 && page_count < MR_NO_PAGE);
    *pages = (mr_pages){.base = base, .info = info, .page_count = page_count};
    memset(info, 0, page_count);
    for (uint32_t order = 0; order < MR_PAGE_ORDERS; order++) {
        pages->heads[order] = MR_NO_PAGE;
    }
    /* Page 0 stays out, so that address 0 is no record. */
    for (uint32_t page = 1; page < page_count;) {
        uint32_t order = (uint32_t)__builtin_ctz(page);
        order = order < MR_PAGE_ORDERS ? order : MR_PAGE_ORDERS - 1;
        while (page + (UINT64_C(1) << order) > page_count) {
            order--;
        }
        push_free(pages, page, order);
        pages->free_count += 1u << order;
        page += 1u << order;
    }
}

uint32_t mr_pages_take(mr_pages *pages, uint32_t order)
{
    uint32_t from = order;

    while (from < MR_PAGE_ORDERS && pages->heads[from] == MR_NO_PAGE) {
        from++;
    }
    if (from >= MR_PAGE_ORDERS) {
        return MR_NO_PAGE;
    }
    const uint32_t page = pages->heads[from];
    unlink_free(pages, page, from);
    while (from > order) {
        from--;
        push_free(pages, page + (1u << from), from);
    }
    pages->free_count -= 1u << order;
    return page;
}

void mr_pages_give(mr_pages *pages, uint32_t page, uint32_t order)
{
    MR_ASSERT(page > 0 && page + (UINT64_C(1) << order) <= pages->page_count);
    MR_ASSERT((pages->info[page] & FREE_MARK) == 0 && page % (1u << order) == 0);
    memset(pages->info + page, 0, (size_t)1 << order);
    pages->free_count += 1u << order;
    for (; order + 1 < MR_PAGE_ORDERS; order++) {
        const uint32_t buddy = page ^ (1u << order);
        if (buddy >= pages->page_count || pages->info[buddy] != (FREE_MARK | order)) {
            break;
        }
        unlink_free(pages, buddy, order);
        page = page < buddy ? page : buddy;
    }
    push_free(pages, page, order);
}

uint32_t mr_pages_order(uint64_t size_bytes)
{
    const uint64_t count = (size_bytes + MR_PAGE_BYTES - 1) / MR_PAGE_BYTES;

    MR_ASSERT(size_bytes > 0 && count <= UINT64_C(1) << (MR_PAGE_ORDERS - 1));
    return count <= 1 ? 0 : 64 - (uint32_t)__builtin_clzll(count - 1);
}

/* ---- Helpers ---- */

static void push_free(mr_pages *pages, uint32_t page, uint32_t order)
{
    free_block *block = mr_page_at(pages, page);
    const uint32_t head = pages->heads[order];

    *block = (free_block){.next = head, .previous = MR_NO_PAGE};
    if (head != MR_NO_PAGE) {
        free_block *next = mr_page_at(pages, head);
        next->previous = page;
    }
    pages->heads[order] = page;
    pages->info[page] = (uint8_t)(FREE_MARK | order);
}

static void unlink_free(mr_pages *pages, uint32_t page, uint32_t order)
{
    const free_block *block = mr_page_at(pages, page);

    MR_ASSERT(pages->info[page] == (FREE_MARK | order));
    if (block->previous == MR_NO_PAGE) {
        pages->heads[order] = block->next;
    } else {
        free_block *previous = mr_page_at(pages, block->previous);
        previous->next = block->next;
    }
    if (block->next != MR_NO_PAGE) {
        free_block *next = mr_page_at(pages, block->next);
        next->previous = block->previous;
    }
    pages->info[page] = 0;
}
