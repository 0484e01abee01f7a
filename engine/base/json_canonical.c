/*
 * json_canonical.c - jsonb's text form: a single pass that writes as it reads, and puts the members
 * of each object in order when the object ends.
 *
 * `out` is used from both ends: text grows from the front, the table of members of the objects that
 * are open grows from the back, and an object out of order is rebuilt in the gap between them and
 * copied back. So nothing is allocated, and an object whose members come in order (as another
 * jsonb writer sends them) costs no copy. Members are sorted by heap sort: bad input cannot make it
 * slow. Limit: 64 levels.
 */
#include "engine/base/assert.h"
#include "engine/base/json.h"
#include "engine/base/json_private.h"
#include "engine/base/utf8.h"
#include <string.h>

typedef struct member {  /* Offsets into `out`. */
    uint32_t start, end; /* "key": value */
    uint32_t key_bytes;  /* Of the key without quotes and escapes. */
    uint32_t order;
} member;

typedef struct level {
    uint32_t member_first; /* Index of its first member; arrays have none. */
    uint32_t start;        /* Of its first member's text. */
    bool is_array;
} level;

typedef struct writer {
    const uint8_t *at, *end;
    uint8_t *out;
    uint32_t written, room; /* Room: bytes of `out` below the table. */
    uint8_t *table_end;     /* Member i stands at table_end - (i + 1) members. */
    uint32_t member_count;
    uint32_t depth;
    level levels[MR_JSON_DEPTH_MAX];
    mr_json_result result;
} writer;

static bool write_value(writer *to);
static bool close_levels(writer *to);
static bool open_level(writer *to);
static bool begin_item(writer *to);
static bool write_key(writer *to);
static bool write_string(writer *to, uint32_t *plain_bytes);
static bool write_scalar(writer *to);
static bool close_object(writer *to);
static void sort_members(writer *to, uint32_t first, uint32_t count);
static void sift_down(writer *to, uint32_t first, uint32_t root, uint32_t count);
static int compare(const writer *to, const member *a, const member *b);
static uint8_t next_byte(const uint8_t **at);
static member *member_at(const writer *to, uint32_t index);
static bool put(writer *to, const void *bytes, uint32_t size_bytes);
static uint8_t skip_space(writer *to);
static bool fail(writer *to, mr_json_result result);

uint64_t mr_json_canonical_room(uint32_t size_bytes)
{
    /* Text at most doubles (each comma and colon gains a space, a string never grows); the same
     * again to rebuild an object; a member takes at least five bytes of input, and one of the
     * table's here. */
    return 4 * (uint64_t)size_bytes + ((uint64_t)size_bytes / 5 + 1) * sizeof(member) + 64;
}

uint32_t mr_json_canonical(const uint8_t *bytes, uint32_t size_bytes, uint8_t *out,
                           uint32_t out_bytes_max, mr_json_result *result)
{
    writer to = {.at = bytes, .end = bytes + size_bytes, .out = out, .result = MR_JSON_OK};

    MR_ASSERT(result != NULL && out != NULL && (bytes != NULL || size_bytes == 0));
    /* Members are stored aligned. */
    to.table_end = out + out_bytes_max;
    const uintptr_t odd = (uintptr_t)to.table_end % _Alignof(member);
    to.room = odd > out_bytes_max ? 0 : out_bytes_max - (uint32_t)odd;
    to.table_end = out + to.room;
    bool good = true;
    do {
        good = write_value(&to) && close_levels(&to);
    } while (good && to.depth > 0);
    if (good && skip_space(&to) != '\0') {
        good = fail(&to, MR_JSON_SYNTAX);
    }
    if (good && to.at < to.end) {
        good = fail(&to, MR_JSON_SYNTAX);
    }
    *result = to.result;
    MR_ASSERT(good == (to.result == MR_JSON_OK));
    return good ? to.written : 0;
}

/* One value; of a container its opening bracket and the way to its first value. */
static bool write_value(writer *to)
{
    for (;;) { /* Ends: every turn goes one level down, of at most 64. */
        const uint8_t byte = skip_space(to);
        if (byte != '{' && byte != '[') {
            return byte == '"' ? write_string(to, &(uint32_t){0}) : write_scalar(to);
        }
        if (!open_level(to)) {
            return false;
        }
        const uint8_t first = skip_space(to);
        if (first == (byte == '{' ? '}' : ']')) {
            return true; /* close_levels sees the bracket. */
        }
        if (!begin_item(to)) {
            return false;
        }
    }
}

/* After a value: closes what ends here, and goes on to the next item of what is still open. */
static bool close_levels(writer *to)
{
    while (to->depth > 0) {
        level *open = &to->levels[to->depth - 1];
        const uint8_t byte = skip_space(to);
        if (!open->is_array && to->member_count > open->member_first) {
            member_at(to, to->member_count - 1)->end = to->written;
        }
        if (byte == ',' && to->written > open->start) {
            to->at++;
            return put(to, ", ", 2) && begin_item(to);
        }
        if (byte != (open->is_array ? ']' : '}')) {
            return fail(to, MR_JSON_SYNTAX);
        }
        to->at++;
        if (!open->is_array && !close_object(to)) {
            return false;
        }
        if (!put(to, open->is_array ? "]" : "}", 1)) {
            return false;
        }
        to->depth--;
    }
    return true;
}

static bool open_level(writer *to)
{
    const bool is_array = *to->at == '[';

    if (to->depth == MR_JSON_DEPTH_MAX) {
        return fail(to, MR_JSON_DEPTH);
    }
    if (!put(to, is_array ? "[" : "{", 1)) {
        return false;
    }
    to->at++;
    to->levels[to->depth++] =
        (level){.member_first = to->member_count, .start = to->written, .is_array = is_array};
    return true;
}

/* Up to where the item's value begins. */
static bool begin_item(writer *to)
{
    return to->levels[to->depth - 1].is_array || write_key(to);
}

static bool write_key(writer *to)
{
    member fresh = {.start = to->written, .order = to->member_count};

    if (skip_space(to) != '"') {
        return fail(to, MR_JSON_SYNTAX);
    }
    if (!write_string(to, &fresh.key_bytes)) {
        return false;
    }
    if (skip_space(to) != ':') {
        return fail(to, MR_JSON_SYNTAX);
    }
    to->at++;
    if (!put(to, ": ", 2)) {
        return false;
    }
    if (to->room < sizeof(member) || to->room - sizeof(member) < to->written) {
        return fail(to, MR_JSON_ROOM);
    }
    to->room -= (uint32_t)sizeof(member);
    *member_at(to, to->member_count) = fresh;
    to->member_count++;
    return true;
}

/* Unescapes into the gap, tests, and quotes anew in place. */
static bool write_string(writer *to, uint32_t *plain_bytes)
{
    const uint8_t *body = ++to->at;

    while (to->at < to->end && *to->at != '"') {
        if (*to->at < 0x20) {
            return fail(to, MR_JSON_SYNTAX);
        }
        to->at += *to->at == '\\' ? 2 : 1;
    }
    if (to->at >= to->end) {
        return fail(to, MR_JSON_SYNTAX);
    }
    const uint32_t body_bytes = (uint32_t)(to->at - body);
    to->at++;
    if (!mr_utf8_valid(body, body_bytes)) {
        return fail(to, MR_JSON_UTF8);
    }
    if (memchr(body, '\\', body_bytes) == NULL) {
        *plain_bytes = body_bytes;
        return put(to, body - 1, body_bytes + 2);
    }
    /* Quoting never needs more than the source did, so behind that lies room for the plain text. */
    const uint32_t gap = to->room - to->written;
    if (gap < 2 * (uint64_t)body_bytes + 2) {
        return fail(to, MR_JSON_ROOM);
    }
    uint8_t *plain = to->out + to->room - body_bytes;
    const int64_t unescaped = mr_json_unescape(body, body_bytes, plain);
    if (unescaped < 0) {
        return fail(to, unescaped == MR_JSON_BAD_ESCAPE ? MR_JSON_SYNTAX : MR_JSON_UTF8);
    }
    if (memchr(plain, '\0', (size_t)unescaped) != NULL) {
        return fail(to, MR_JSON_UTF8);
    }
    *plain_bytes = (uint32_t)unescaped;
    const uint32_t quoted =
        mr_json_quote(plain, (uint32_t)unescaped, to->out + to->written, body_bytes + 2);
    MR_ASSERT(quoted > 0);
    to->written += quoted;
    return true;
}

static bool write_scalar(writer *to)
{
    const uint8_t *start = to->at;

    while (to->at < to->end && !mr_json_is_space(*to->at) &&
           memchr(",:[]{}\"", *to->at, 7) == NULL) {
        to->at++;
    }
    const uint32_t size_bytes = (uint32_t)(to->at - start);
    if (!mr_json_is_number(start, size_bytes) && !mr_json_is_literal(start, size_bytes)) {
        return fail(to, MR_JSON_SYNTAX);
    }
    return put(to, start, size_bytes);
}

/* Sorts the members of the innermost level and drops all but the last of equal keys. */
static bool close_object(writer *to)
{
    const level *open = &to->levels[to->depth - 1];
    const uint32_t first = open->member_first;
    const uint32_t count = to->member_count - first;
    bool in_order = true;

    for (uint32_t i = 1; i < count && in_order; i++) {
        in_order = compare(to, member_at(to, first + i - 1), member_at(to, first + i)) < 0;
    }
    if (!in_order) {
        const uint32_t size_bytes = to->written - open->start;
        if (to->room - to->written < size_bytes) {
            return fail(to, MR_JSON_ROOM);
        }
        sort_members(to, first, count);
        uint8_t *fresh = to->out + to->written;
        uint32_t fresh_bytes = 0;
        for (uint32_t i = 0; i < count; i++) {
            const member *at = member_at(to, first + i);
            /* Equal keys stand together in order of appearance. */
            if (i + 1 < count && compare(to, at, member_at(to, first + i + 1)) == 0) {
                continue;
            }
            if (fresh_bytes > 0) {
                memcpy(fresh + fresh_bytes, ", ", 2);
                fresh_bytes += 2;
            }
            memcpy(fresh + fresh_bytes, to->out + at->start, at->end - at->start);
            fresh_bytes += at->end - at->start;
        }
        MR_ASSERT(fresh_bytes <= size_bytes);
        memmove(to->out + open->start, fresh, fresh_bytes);
        to->written = open->start + fresh_bytes;
    }
    to->member_count = first;
    to->room += count * (uint32_t)sizeof(member);
    return true;
}

static void sort_members(writer *to, uint32_t first, uint32_t count)
{
    for (uint32_t root = count / 2; root > 0; root--) {
        sift_down(to, first, root - 1, count);
    }
    for (uint32_t left = count; left > 1; left--) {
        const member largest = *member_at(to, first);
        *member_at(to, first) = *member_at(to, first + left - 1);
        *member_at(to, first + left - 1) = largest;
        sift_down(to, first, 0, left - 1);
    }
}

/* By key, then by order of appearance. */
static bool is_less(const writer *to, const member *a, const member *b)
{
    const int order = compare(to, a, b);
    return order != 0 ? order < 0 : a->order < b->order;
}

static void sift_down(writer *to, uint32_t first, uint32_t root, uint32_t count)
{
    for (uint32_t child = 2 * root + 1; child < count; child = 2 * root + 1) {
        if (child + 1 < count &&
            is_less(to, member_at(to, first + child), member_at(to, first + child + 1))) {
            child++;
        }
        member *above = member_at(to, first + root);
        member *below = member_at(to, first + child);
        if (!is_less(to, above, below)) {
            return;
        }
        const member swapped = *above;
        *above = *below;
        *below = swapped;
        root = child;
    }
}

/* Keys by length, then bytes, of their plain text. */
static int compare(const writer *to, const member *a, const member *b)
{
    if (a->key_bytes != b->key_bytes) {
        return a->key_bytes < b->key_bytes ? -1 : 1;
    }
    const uint8_t *left = to->out + a->start + 1;
    const uint8_t *right = to->out + b->start + 1;
    for (uint32_t i = 0; i < a->key_bytes; i++) {
        const uint8_t x = next_byte(&left);
        const uint8_t y = next_byte(&right);
        if (x != y) {
            return x < y ? -1 : 1;
        }
    }
    return 0;
}

/* The next plain byte of a string as mr_json_quote writes it. */
static uint8_t next_byte(const uint8_t **at)
{
    uint8_t plain = 0;

    if (**at != '\\') {
        return *(*at)++;
    }
    const uint32_t escaped_bytes = (*at)[1] == 'u' ? 6 : 2;
    const int64_t plain_bytes = mr_json_unescape(*at, escaped_bytes, &plain);
    MR_ASSERT(plain_bytes == 1);
    *at += escaped_bytes;
    return plain;
}

static member *member_at(const writer *to, uint32_t index)
{
    return (member *)(void *)to->table_end - (index + 1);
}

static bool put(writer *to, const void *bytes, uint32_t size_bytes)
{
    if (size_bytes > to->room - to->written) {
        return fail(to, MR_JSON_ROOM);
    }
    memcpy(to->out + to->written, bytes, size_bytes);
    to->written += size_bytes;
    return true;
}

/* The next byte that is not white space, not taken; NUL at the end. */
static uint8_t skip_space(writer *to)
{
    while (to->at < to->end && mr_json_is_space(*to->at)) {
        to->at++;
    }
    return to->at < to->end ? *to->at : '\0';
}

static bool fail(writer *to, mr_json_result result)
{
    MR_ASSERT(result != MR_JSON_OK);
    to->result = result;
    return false;
}
