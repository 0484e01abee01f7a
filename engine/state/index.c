/*
 * index.c - from a hash to its record: buckets of one cache line, grown a sub-table at a time.
 *
 * A bucket is eight 64-bit entries: tag (hash bits 31..16) 16 bits, class 4, distance 2, location
 * 2 (0 empty, 1 memory), address 40 in units of 16 bytes. An entry sits in the first bucket with
 * room from its home on, at most three further; so a probe ends at the first bucket with an empty
 * entry, and a removal pulls back what had overflowed past it, without tombstones. Only comparing
 * the key decides.
 *
 * A sub-table doubles to 1,024 buckets and then splits by extendible hashing (bits 63..42 choose
 * the sub-table, bits from 32 on the bucket), because rehashing a large table at once would stall
 * for seconds; no operation touches more than one sub-table and the directory. A split reads record
 * headers, never keys. A sub-table that is nearly empty halves its buckets; it is never merged, so
 * what stays of keys long gone is a page for each sub-table there ever was.
 */
#include "engine/state/state_private.h"

#define ADDRESS_MASK ((UINT64_C(1) << 40) - 1)
#define LOCATION_MEMORY (UINT64_C(1) << 40)
#define DISTANCE_ONE (UINT64_C(1) << 42)

enum {
    TAG_SHIFT = 48,
    DISTANCE_SHIFT = 42,
    DISTANCE_MAX = 3,
    BUCKET_BITS_MIN = 4,
    BUCKET_BITS_MAX = 10,
    DIRECTORY_BITS_MAX = 22,
    LOAD_PERCENT = 85,
    LOAD_PERCENT_MIN = 12, /* Below: half the buckets will do for long. */
    GROW_TRIES_MAX = 8,
    SMALL_ROW_BYTES = 48, /* Of which a prefetch covers all. */
    ENTRIES_AHEAD = 24    /* Of a walk; half of them or more are records. */
};

static mr_subtable *subtable_of(const mr_index *index, uint64_t hash);
static uint32_t same_tag(const uint64_t *bucket, uint64_t tag);
static bool place(mr_subtable *to, uint64_t hash, uint64_t address);
static uint64_t *entry_of(const mr_index *index, mr_subtable *in, uint64_t hash, uint64_t address,
                          uint32_t *bucket);
static void pull_back(mr_subtable *in, uint32_t bucket, uint32_t entry);
static bool grow(mr_index *index, uint32_t number);
static void tighten(mr_index *index, mr_subtable *in);
static bool refill_with(mr_index *index, mr_subtable *in, uint8_t bits);
static bool refill(const mr_index *index, const mr_subtable *from, mr_subtable *to, uint32_t bit,
                   uint32_t value);
static bool split(mr_index *index, uint32_t number);
static bool double_directory(mr_index *index);
static bool more_subtables(mr_index *index);
static uint64_t *take_buckets(mr_index *index, uint32_t bits);
static void give_buckets(mr_index *index, uint64_t *buckets, uint32_t bits);

bool mr_index_init(mr_index *index, mr_pages *pages)
{
    *index = (mr_index){.pages = pages};
    const uint32_t directory = mr_pages_take(pages, 0);
    const uint32_t subtables = mr_pages_take(pages, 0);
    uint64_t *buckets = take_buckets(index, BUCKET_BITS_MIN);

    if (directory == MR_NO_PAGE || subtables == MR_NO_PAGE || buckets == NULL) {
        return false;
    }
    index->page_count += 2;
    index->directory = mr_page_at(pages, directory);
    index->directory[0] = 0;
    index->subtables = mr_page_at(pages, subtables);
    index->subtable_room = MR_PAGE_BYTES / sizeof(mr_subtable);
    index->subtables[0] = (mr_subtable){.buckets = buckets, .bits = BUCKET_BITS_MIN};
    index->subtable_count = 1;
    return true;
}

void mr_index_prefetch(const mr_index *index, uint64_t hash)
{
    const mr_subtable *in = subtable_of(index, hash);
    const uint32_t home = (uint32_t)(hash >> 32) & ((1u << in->bits) - 1);

    __builtin_prefetch(&in->buckets[(size_t)home * MR_BUCKET_ENTRIES]);
}

void mr_index_prefetch_rows(const mr_index *index, uint64_t hash)
{
    const mr_subtable *in = subtable_of(index, hash);
    const uint32_t home = (uint32_t)(hash >> 32) & ((1u << in->bits) - 1);
    const uint64_t *bucket = &in->buckets[(size_t)home * MR_BUCKET_ENTRIES];
    const uint64_t tag = hash >> 16 & 0xffff;

    for (uint32_t found = same_tag(bucket, tag); found != 0; found &= found - 1) {
        const uint64_t entry = bucket[__builtin_ctz(found)];
        const uint8_t *row = (const uint8_t *)mr_row_at(index->pages, entry & ADDRESS_MASK);
        __builtin_prefetch(row, 1);
        __builtin_prefetch(row + SMALL_ROW_BYTES - 1, 1); /* It may straddle two lines. */
    }
}

mr_row *mr_index_find(const mr_index *index, uint64_t hash, const void *key, uint32_t key_size)
{
    const mr_subtable *in = subtable_of(index, hash);
    const uint32_t mask = (1u << in->bits) - 1;
    const uint32_t home = (uint32_t)(hash >> 32) & mask;
    const uint64_t tag = hash >> 16 & 0xffff;

    for (uint32_t distance = 0; distance <= DISTANCE_MAX; distance++) {
        const uint64_t *bucket =
            &in->buckets[(size_t)((home + distance) & mask) * MR_BUCKET_ENTRIES];
        for (uint32_t found = same_tag(bucket, tag); found != 0; found &= found - 1) {
            const uint64_t entry = bucket[__builtin_ctz(found)];
            mr_row *row = mr_row_at(index->pages, entry & ADDRESS_MASK);
            /* A tag of 0 finds empty entries too. */
            if (entry != 0 && row->hash == (uint32_t)(hash >> 32) && row->key_size == key_size &&
                memcmp(mr_row_key(row), key, key_size) == 0) {
                return row;
            }
        }
        bool has_empty = false;
        for (uint32_t i = 0; i < MR_BUCKET_ENTRIES; i++) {
            has_empty |= bucket[i] == 0;
        }
        if (has_empty) {
            return NULL;
        }
    }
    return NULL;
}

bool mr_index_insert(mr_index *index, uint64_t hash, const mr_row *row)
{
    const uint64_t address = mr_address(index->pages, row);

    MR_ASSERT(address > 0 && address <= ADDRESS_MASK);
    for (uint32_t tries = 0; tries < GROW_TRIES_MAX; tries++) {
        mr_subtable *to = subtable_of(index, hash);
        const uint64_t room = (uint64_t)MR_BUCKET_ENTRIES << to->bits;
        if ((to->count + 1) * UINT64_C(100) <= room * LOAD_PERCENT && place(to, hash, address)) {
            to->count++;
            return true;
        }
        if (!grow(index, (uint32_t)(to - index->subtables))) {
            return false;
        }
    }
    return false;
}

void mr_index_remove(mr_index *index, uint64_t hash, const mr_row *row)
{
    mr_subtable *in = subtable_of(index, hash);
    uint32_t bucket = 0;
    uint64_t *entry = entry_of(index, in, hash, mr_address(index->pages, row), &bucket);

    MR_ASSERT(in->count > 0);
    in->count--;
    pull_back(in, bucket, (uint32_t)(entry - &in->buckets[(size_t)bucket * MR_BUCKET_ENTRIES]));
    tighten(index, in);
}

void mr_index_move(mr_index *index, uint64_t hash, const mr_row *from, const mr_row *to)
{
    uint32_t bucket = 0;
    uint64_t *entry =
        entry_of(index, subtable_of(index, hash), hash, mr_address(index->pages, from), &bucket);

    *entry = (*entry & ~ADDRESS_MASK) | mr_address(index->pages, to);
}

mr_row *mr_index_next(const mr_index *index, mr_cursor *cursor)
{
    for (; cursor->subtable < index->subtable_count; cursor->subtable++, cursor->entry = 0) {
        const mr_subtable *in = &index->subtables[cursor->subtable];
        const uint32_t count = (uint32_t)MR_BUCKET_ENTRIES << in->bits;
        while (cursor->entry < count) {
            const uint64_t entry = in->buckets[cursor->entry++];
            if (cursor->entry + ENTRIES_AHEAD < count) { /* Records stand anywhere. */
                const uint64_t ahead = in->buckets[cursor->entry + ENTRIES_AHEAD] & ADDRESS_MASK;
                const uint8_t *row = (const uint8_t *)mr_row_at(index->pages, ahead);
                __builtin_prefetch(row);
                __builtin_prefetch(row + SMALL_ROW_BYTES - 1);
            }
            if (entry != 0) {
                return mr_row_at(index->pages, entry & ADDRESS_MASK);
            }
        }
    }
    return NULL;
}

/* ---- Entries ---- */

static mr_subtable *subtable_of(const mr_index *index, uint64_t hash)
{
    /* In two steps, as a shift by 64 is undefined at depth 0. */
    return &index->subtables[index->directory[(hash >> 1) >> (63 - index->depth)]];
}

/* Bit i: entry i has the tag. Without a branch an entry, as each would be a coin toss. */
static uint32_t same_tag(const uint64_t *bucket, uint64_t tag)
{
    uint32_t found = 0;

    for (uint32_t i = 0; i < MR_BUCKET_ENTRIES; i++) {
        found |= (uint32_t)(bucket[i] >> TAG_SHIFT == tag) << i;
    }
    return found;
}

static bool place(mr_subtable *to, uint64_t hash, uint64_t address)
{
    const uint32_t mask = (1u << to->bits) - 1;
    const uint32_t home = (uint32_t)(hash >> 32) & mask;

    for (uint32_t distance = 0; distance <= DISTANCE_MAX; distance++) {
        uint64_t *bucket = &to->buckets[(size_t)((home + distance) & mask) * MR_BUCKET_ENTRIES];
        for (uint32_t i = 0; i < MR_BUCKET_ENTRIES; i++) {
            if (bucket[i] == 0) {
                bucket[i] = (hash >> 16 & 0xffff) << TAG_SHIFT |
                            (uint64_t)distance << DISTANCE_SHIFT | LOCATION_MEMORY | address;
                return true;
            }
        }
    }
    return false;
}

/* The entry of a record that is there. */
static uint64_t *entry_of(const mr_index *index, mr_subtable *in, uint64_t hash, uint64_t address,
                          uint32_t *bucket)
{
    const uint32_t mask = (1u << in->bits) - 1;
    const uint32_t home = (uint32_t)(hash >> 32) & mask;

    (void)index;
    for (uint32_t distance = 0; distance <= DISTANCE_MAX; distance++) {
        *bucket = (home + distance) & mask;
        uint64_t *entries = &in->buckets[(size_t)*bucket * MR_BUCKET_ENTRIES];
        for (uint32_t i = 0; i < MR_BUCKET_ENTRIES; i++) {
            if (entries[i] != 0 && (entries[i] & ADDRESS_MASK) == address) {
                return &entries[i];
            }
        }
    }
    MR_ASSERT(!"the record is in the index");
    return NULL;
}

/* Empties an entry; if its bucket was full, fills it with one that had to go past it, and so on. */
static void pull_back(mr_subtable *in, uint32_t bucket, uint32_t entry)
{
    const uint32_t mask = (1u << in->bits) - 1;
    uint64_t *hole = &in->buckets[(size_t)bucket * MR_BUCKET_ENTRIES + entry];

    for (uint32_t moves = 0; moves <= mask; moves++) {
        bool was_full = true;
        for (uint32_t i = 0; i < MR_BUCKET_ENTRIES; i++) {
            was_full = was_full && in->buckets[(size_t)bucket * MR_BUCKET_ENTRIES + i] != 0;
        }
        *hole = 0;
        if (!was_full) {
            return;
        }
        uint64_t *moved = NULL;
        for (uint32_t ahead = 1; ahead <= DISTANCE_MAX && moved == NULL; ahead++) {
            const uint32_t next = (bucket + ahead) & mask;
            uint64_t *entries = &in->buckets[(size_t)next * MR_BUCKET_ENTRIES];
            for (uint32_t i = 0; i < MR_BUCKET_ENTRIES && moved == NULL; i++) {
                const uint32_t distance = (uint32_t)(entries[i] >> DISTANCE_SHIFT) & DISTANCE_MAX;
                if (entries[i] != 0 && distance >= ahead) {
                    moved = &entries[i];
                    *hole = *moved - ahead * DISTANCE_ONE;
                    bucket = next;
                }
            }
        }
        if (moved == NULL) {
            return;
        }
        hole = moved;
    }
    MR_ASSERT(!"a chain of moves ends");
}

/* ---- Growth ---- */

static bool grow(mr_index *index, uint32_t number)
{
    mr_subtable *old = &index->subtables[number];
    if (old->bits >= BUCKET_BITS_MAX) {
        return split(index, number);
    }
    return refill_with(index, old, (uint8_t)(old->bits + 1));
}

/* Removals only: without memory, or with entries that crowd, it stays as it is. */
static void tighten(mr_index *index, mr_subtable *in)
{
    const uint64_t room = (uint64_t)MR_BUCKET_ENTRIES << in->bits;

    if (in->bits > BUCKET_BITS_MIN && in->count * UINT64_C(100) < room * LOAD_PERCENT_MIN) {
        (void)refill_with(index, in, (uint8_t)(in->bits - 1));
    }
}

/* Gives a sub-table another number of buckets. False: it is as it was. */
static bool refill_with(mr_index *index, mr_subtable *in, uint8_t bits)
{
    mr_subtable next = {.bits = bits, .depth = in->depth};

    next.buckets = take_buckets(index, bits);
    if (next.buckets == NULL) {
        return false;
    }
    if (!refill(index, in, &next, 0, 0)) {
        give_buckets(index, next.buckets, bits);
        return false;
    }
    give_buckets(index, in->buckets, in->bits);
    *in = next;
    return true;
}

/* Copies the entries whose hash bit `bit` (64 = any, as 0 here) has `value`. */
static bool refill(const mr_index *index, const mr_subtable *from, mr_subtable *to, uint32_t bit,
                   uint32_t value)
{
    const uint32_t count = (uint32_t)MR_BUCKET_ENTRIES << from->bits;

    for (uint32_t i = 0; i < count; i++) {
        const uint64_t entry = from->buckets[i];
        if (i + 16 < count && from->buckets[i + 16] != 0) {
            __builtin_prefetch(mr_row_at(index->pages, from->buckets[i + 16] & ADDRESS_MASK));
        }
        if (entry == 0) {
            continue;
        }
        const mr_row *row = mr_row_at(index->pages, entry & ADDRESS_MASK);
        const uint64_t hash = (uint64_t)row->hash << 32 | (entry >> TAG_SHIFT) << 16;
        if (bit != 0 && (hash >> bit & 1) != value) {
            continue;
        }
        if (!place(to, hash, entry & ADDRESS_MASK)) {
            return false;
        }
        to->count++;
    }
    return true;
}

static bool split(mr_index *index, uint32_t number)
{
    const uint32_t depth = index->subtables[number].depth;
    mr_subtable halves[2];

    if ((depth == index->depth && !double_directory(index)) || !more_subtables(index)) {
        return false;
    }
    bool ok = true;
    for (uint32_t i = 0; i < 2; i++) {
        halves[i] = (mr_subtable){.bits = BUCKET_BITS_MAX,
                                  .depth = (uint8_t)(depth + 1),
                                  .buckets = take_buckets(index, BUCKET_BITS_MAX)};
        ok = ok && halves[i].buckets != NULL &&
             refill(index, &index->subtables[number], &halves[i], 63 - depth, i);
    }
    if (!ok) {
        for (uint32_t i = 0; i < 2; i++) {
            if (halves[i].buckets != NULL) {
                give_buckets(index, halves[i].buckets, BUCKET_BITS_MAX);
            }
        }
        return false;
    }
    MR_ASSERT(halves[0].count + halves[1].count == index->subtables[number].count);
    give_buckets(index, index->subtables[number].buckets, BUCKET_BITS_MAX);
    index->subtables[number] = halves[0];
    index->subtables[index->subtable_count] = halves[1];
    /* The directory entries of the old one are a run; the upper half of it changes. */
    const uint32_t size = 1u << index->depth;
    const uint32_t run = size >> depth;
    uint32_t first = 0;
    while (index->directory[first] != number) {
        first += run;
        MR_ASSERT(first < size);
    }
    for (uint32_t i = run / 2; i < run; i++) {
        index->directory[first + i] = index->subtable_count;
    }
    index->subtable_count++;
    return true;
}

static bool double_directory(mr_index *index)
{
    const uint64_t size = UINT64_C(1) << index->depth;
    const uint32_t old_order = mr_pages_order(size * sizeof(uint32_t));
    const uint32_t order = mr_pages_order(2 * size * sizeof(uint32_t));

    if (index->depth >= DIRECTORY_BITS_MAX) {
        return false;
    }
    const uint32_t page = mr_pages_take(index->pages, order);
    if (page == MR_NO_PAGE) {
        return false;
    }
    uint32_t *doubled = mr_page_at(index->pages, page);
    for (uint64_t i = 0; i < size; i++) {
        doubled[2 * i] = doubled[2 * i + 1] = index->directory[i];
    }
    mr_pages_give(index->pages, mr_page_of(index->pages, index->directory), old_order);
    index->page_count += (UINT64_C(1) << order) - (UINT64_C(1) << old_order);
    index->directory = doubled;
    index->depth++;
    return true;
}

/* Room for one more sub-table. */
static bool more_subtables(mr_index *index)
{
    const uint64_t bytes = (uint64_t)index->subtable_room * sizeof(mr_subtable);

    if (index->subtable_count < index->subtable_room) {
        return true;
    }
    const uint32_t order = mr_pages_order(bytes);
    const uint32_t page = mr_pages_take(index->pages, order + 1);
    if (page == MR_NO_PAGE) {
        return false;
    }
    memcpy(mr_page_at(index->pages, page), index->subtables, bytes);
    mr_pages_give(index->pages, mr_page_of(index->pages, index->subtables), order);
    index->page_count += UINT64_C(1) << order;
    index->subtables = mr_page_at(index->pages, page);
    index->subtable_room *= 2;
    return true;
}

static uint64_t *take_buckets(mr_index *index, uint32_t bits)
{
    const uint64_t bytes = UINT64_C(64) << bits;
    const uint32_t order = mr_pages_order(bytes);
    const uint32_t page = mr_pages_take(index->pages, order);

    if (page == MR_NO_PAGE) {
        return NULL;
    }
    index->page_count += UINT64_C(1) << order;
    memset(mr_page_at(index->pages, page), 0, bytes);
    return mr_page_at(index->pages, page);
}

static void give_buckets(mr_index *index, uint64_t *buckets, uint32_t bits)
{
    const uint32_t order = mr_pages_order(UINT64_C(64) << bits);

    index->page_count -= UINT64_C(1) << order;
    mr_pages_give(index->pages, mr_page_of(index->pages, buckets), order);
}
