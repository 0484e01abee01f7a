/*
 * slab.c - slots for records. Sizes grow by 1.25 from 32 bytes, so that at most a fifth is waste;
 * a (table, class) starts with 4-KiB pages, sixteen of them, and goes on with 64-KiB ones, so that
 * a thousand small tables stay small and a large one has few pages.
 *
 * A page begins with its header; slots never used are handed out in order, so a fresh page is not
 * touched before it must be. An empty page goes back at once, so that what one size no longer needs
 * another one can have; as deletes are swept by epochs, a page does not come and go by the record.
 * A page is held by its last record: room beside live ones is for their size alone.
 */
#include "engine/state/state_private.h"

enum {
    SLOT_BYTES_MIN = 32,
    SMALL_PAGES_MAX = 16,
    SMALL_SLOT_BYTES_MAX = 512, /* Larger slots begin with large pages. */
    LARGE_ORDER = 4,
    LARGE_PAGES = 1 << LARGE_ORDER
};

typedef struct slab {
    mr_slabs *owner;
    uint32_t next, previous; /* Pages of the partial list. */
    uint32_t slot_bytes;
    uint16_t slot_count, used_count, fresh; /* fresh: slots from here on were never used. */
    uint16_t free_slot;                     /* 1 + number of the first free slot; 0 = none. */
    uint8_t class, order;
    uint8_t reserved[34];
} slab;
_Static_assert(sizeof(slab) == 64, "slots begin at 64");

static uint32_t add_page(mr_pages *pages, const mr_classes *classes, mr_slabs *slabs,
                         uint32_t class);
static slab *slab_of(const mr_pages *pages, const void *slot, uint32_t *page);
static void push_partial(mr_pages *pages, slab *to, uint32_t page);
static void unlink_partial(mr_pages *pages, slab *from);

void mr_classes_init(mr_classes *classes)
{
    uint32_t bytes = SLOT_BYTES_MIN;
    uint32_t units = 0;

    for (classes->count = 0; bytes < MR_SLOT_BYTES_MAX; classes->count++) {
        MR_ASSERT(classes->count < MR_CLASSES_MAX - 1);
        classes->bytes[classes->count] = bytes;
        bytes = mr_align16(bytes + bytes / 4);
    }
    classes->bytes[classes->count++] = MR_SLOT_BYTES_MAX;
    for (uint32_t class = 0; class < classes->count; class ++) {
        for (; units * MR_UNIT_BYTES <= classes->bytes[class]; units++) {
            classes->of_units[units] = (uint8_t) class;
        }
    }
}

void mr_slabs_init(mr_slabs *slabs)
{
    *slabs = (mr_slabs){.page_count = 0};
    for (uint32_t class = 0; class < MR_CLASSES_MAX; class ++) {
        slabs->partial[class] = MR_NO_PAGE;
    }
}

mr_row *mr_slab_take(mr_pages *pages, const mr_classes *classes, mr_slabs *slabs,
                     uint32_t size_bytes)
{
    MR_ASSERT(size_bytes <= MR_SLOT_BYTES_MAX);
    const uint32_t class = classes->of_units[(size_bytes + MR_UNIT_BYTES - 1) / MR_UNIT_BYTES];
    uint32_t page = slabs->partial[class];

    if (page == MR_NO_PAGE) {
        page = add_page(pages, classes, slabs, class);
        if (page == MR_NO_PAGE) {
            return NULL;
        }
    }
    slab *from = mr_page_at(pages, page);
    uint32_t number = from->fresh;
    if (from->free_slot != 0) {
        number = from->free_slot - 1u;
    } else {
        from->fresh++;
    }
    uint8_t *slot = (uint8_t *)(from + 1) + (size_t)number * from->slot_bytes;
    if (from->free_slot != 0) {
        memcpy(&from->free_slot, slot, sizeof(from->free_slot));
    }
    from->used_count++;
    MR_ASSERT(from->used_count <= from->slot_count);
    if (from->used_count == from->slot_count) {
        unlink_partial(pages, from);
    }
    mr_row *row = (mr_row *)(void *)slot;
    row->class = (uint8_t) class;
    return row;
}

void mr_slab_give(mr_pages *pages, mr_row *row)
{
    uint32_t page = 0;
    slab *to = slab_of(pages, row, &page);
    uint8_t *slot = (uint8_t *)row;
    const uint64_t from = (uint64_t)(slot - (uint8_t *)(to + 1));

    MR_ASSERT(to->used_count > 0 && from % to->slot_bytes == 0);
    memcpy(slot, &to->free_slot, sizeof(to->free_slot));
    to->free_slot = (uint16_t)(from / to->slot_bytes + 1);
    if (to->used_count == to->slot_count) {
        push_partial(pages, to, page);
    }
    to->used_count--;
    if (to->used_count == 0) {
        const uint32_t order = to->order;
        mr_slabs *owner = to->owner;
        unlink_partial(pages, to);
        owner->page_count -= (uint64_t)1 << order;
        owner->small_pages[to->class] = (uint16_t)(owner->small_pages[to->class] - (order == 0));
        mr_pages_give(pages, page, order);
    }
}

/* ---- Helpers ---- */

static uint32_t add_page(mr_pages *pages, const mr_classes *classes, mr_slabs *slabs,
                         uint32_t class)
{
    const uint32_t slot_bytes = classes->bytes[class];
    const bool small =
        slot_bytes <= SMALL_SLOT_BYTES_MAX && slabs->small_pages[class] < SMALL_PAGES_MAX;
    const uint32_t order = small ? 0 : LARGE_ORDER;
    const uint32_t page = mr_pages_take(pages, order);

    if (page == MR_NO_PAGE) {
        return MR_NO_PAGE;
    }
    slab *added = mr_page_at(pages, page);
    const uint32_t room = ((uint32_t)MR_PAGE_BYTES << order) - (uint32_t)sizeof(*added);
    *added = (slab){.owner = slabs,
                    .slot_bytes = slot_bytes,
                    .slot_count = (uint16_t)(room / slot_bytes),
                    .class = (uint8_t) class,
                    .order = (uint8_t)order};
    MR_ASSERT(added->slot_count > 0);
    memset(pages->info + page, small ? MR_PAGE_SLAB_SMALL : MR_PAGE_SLAB_LARGE, (size_t)1 << order);
    slabs->small_pages[class] = (uint16_t)(slabs->small_pages[class] + small);
    slabs->page_count += (uint64_t)1 << order;
    push_partial(pages, added, page);
    return page;
}

static slab *slab_of(const mr_pages *pages, const void *slot, uint32_t *page)
{
    uint32_t at = mr_page_of(pages, slot);

    MR_ASSERT(pages->info[at] == MR_PAGE_SLAB_SMALL || pages->info[at] == MR_PAGE_SLAB_LARGE);
    if (pages->info[at] == MR_PAGE_SLAB_LARGE) {
        at = at / LARGE_PAGES * LARGE_PAGES;
    }
    *page = at;
    return mr_page_at(pages, at);
}

static void push_partial(mr_pages *pages, slab *to, uint32_t page)
{
    uint32_t *head = &to->owner->partial[to->class];

    to->next = *head;
    to->previous = MR_NO_PAGE;
    if (*head != MR_NO_PAGE) {
        slab *next = mr_page_at(pages, *head);
        next->previous = page;
    }
    *head = page;
}

static void unlink_partial(mr_pages *pages, slab *from)
{
    if (from->previous == MR_NO_PAGE) {
        from->owner->partial[from->class] = from->next;
    } else {
        slab *previous = mr_page_at(pages, from->previous);
        previous->next = from->next;
    }
    if (from->next != MR_NO_PAGE) {
        slab *next = mr_page_at(pages, from->next);
        next->previous = from->previous;
    }
    from->next = from->previous = MR_NO_PAGE;
}
