/*
 * utf8.c - validation, counting, decoding and encoding of UTF-8 (RFC 3629), without U+0000, which
 * PostgreSQL's text cannot hold. Plain ASCII, nearly all there is, goes eight bytes at a time.
 */
#include "engine/base/utf8.h"
#include "engine/base/assert.h"
#include <string.h>

#define HIGH_BITS UINT64_C(0x8080808080808080)
#define LOW_BITS UINT64_C(0x0101010101010101)

static uint32_t sequence_bytes(const uint8_t *bytes, size_t size_bytes);

bool mr_utf8_valid(const uint8_t *bytes, size_t size_bytes)
{
    size_t at = 0;

    MR_ASSERT(bytes != NULL || size_bytes == 0);
    while (at < size_bytes) {
        if (size_bytes - at >= sizeof(uint64_t)) {
            uint64_t word;
            memcpy(&word, bytes + at, sizeof(word));
            /* No high bit anywhere, and no zero byte: only the latter borrows into its high bit. */
            if (((word | (word - LOW_BITS)) & HIGH_BITS) == 0) {
                at += sizeof(word);
                continue;
            }
        }
        const uint32_t step = sequence_bytes(bytes + at, size_bytes - at);
        if (step == 0) {
            return false;
        }
        at += step;
    }
    return true;
}

uint32_t mr_utf8_length(const uint8_t *bytes, size_t size_bytes)
{
    uint32_t count = 0;

    MR_ASSERT(bytes != NULL || size_bytes == 0);
    for (size_t i = 0; i < size_bytes; i++) {
        count += (bytes[i] & 0xc0) != 0x80;
    }
    return count;
}

uint32_t mr_utf8_decode(const uint8_t *bytes, uint32_t *code_point)
{
    const uint32_t first = bytes[0];

    MR_ASSERT(code_point != NULL && (first < 0x80 || first >= 0xc2));
    if (first < 0x80) {
        *code_point = first;
        return 1;
    }
    if (first < 0xe0) {
        *code_point = (first & 0x1f) << 6 | (bytes[1] & 0x3fu);
        return 2;
    }
    if (first < 0xf0) {
        *code_point = (first & 0x0f) << 12 | (bytes[1] & 0x3fu) << 6 | (bytes[2] & 0x3fu);
        return 3;
    }
    *code_point = (first & 0x07) << 18 | (bytes[1] & 0x3fu) << 12 | (bytes[2] & 0x3fu) << 6 |
                  (bytes[3] & 0x3fu);
    return 4;
}

uint32_t mr_utf8_encode(uint32_t code_point, uint8_t out[4])
{
    MR_ASSERT(code_point < 0x110000 && (code_point < 0xd800 || code_point > 0xdfff));
    if (code_point < 0x80) {
        out[0] = (uint8_t)code_point;
        return 1;
    }
    if (code_point < 0x800) {
        out[0] = (uint8_t)(0xc0 | code_point >> 6);
        out[1] = (uint8_t)(0x80 | (code_point & 0x3f));
        return 2;
    }
    if (code_point < 0x10000) {
        out[0] = (uint8_t)(0xe0 | code_point >> 12);
        out[1] = (uint8_t)(0x80 | (code_point >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (code_point & 0x3f));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | code_point >> 18);
    out[1] = (uint8_t)(0x80 | (code_point >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (code_point >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (code_point & 0x3f));
    return 4;
}

/* The size of the valid sequence at `bytes`, 0 = none: by the table of RFC 3629, section 4. */
static uint32_t sequence_bytes(const uint8_t *bytes, size_t size_bytes)
{
    const uint8_t first = bytes[0];
    uint32_t wanted = 0;
    uint8_t low = 0x80;
    uint8_t high = 0xbf;

    if (first < 0x80) {
        return first != 0 ? 1 : 0;
    }
    if (first >= 0xc2 && first <= 0xdf) {
        wanted = 2;
    } else if (first >= 0xe0 && first <= 0xef) {
        wanted = 3;
        low = first == 0xe0 ? 0xa0 : low;   /* Overlong. */
        high = first == 0xed ? 0x9f : high; /* Surrogates. */
    } else if (first >= 0xf0 && first <= 0xf4) {
        wanted = 4;
        low = first == 0xf0 ? 0x90 : low;   /* Overlong. */
        high = first == 0xf4 ? 0x8f : high; /* Above U+10FFFF. */
    }
    if (wanted == 0 || size_bytes < wanted || bytes[1] < low || bytes[1] > high) {
        return 0;
    }
    for (uint32_t i = 2; i < wanted; i++) {
        if ((bytes[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return wanted;
}
