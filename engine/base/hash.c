/*
 * hash.c - the project's hashes: XXH3 from libxxhash, murmur2 as Kafka's Java client, CRC-32C.
 *
 * xxhash is compiled into this file: keys are short, and a call through the shared library would
 * cost as much as the hash. CRC-32C uses the processor's instruction where it has one.
 */
#include "engine/base/hash.h"
#include "engine/base/assert.h"
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>
#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

static uint32_t crc32c_table(uint32_t crc, const uint8_t *bytes, size_t size_bytes);

uint64_t mr_hash64(const void *bytes, size_t size_bytes, uint64_t seed)
{
    MR_ASSERT(bytes != NULL || size_bytes == 0);
    return XXH3_64bits_withSeed(bytes, size_bytes, seed);
}

void mr_hash128(const void *bytes, size_t size_bytes, uint64_t seed, uint8_t out[16])
{
    MR_ASSERT(bytes != NULL || size_bytes == 0);
    const XXH128_hash_t hash = XXH3_128bits_withSeed(bytes, size_bytes, seed);

    for (uint32_t i = 0; i < 8; i++) {
        out[i] = (uint8_t)(hash.low64 >> (8 * i));
        out[8 + i] = (uint8_t)(hash.high64 >> (8 * i));
    }
}

uint32_t mr_hash_murmur2(const void *bytes, size_t size_bytes)
{
    enum { SHIFT = 24 };
    const uint32_t seed = UINT32_C(0x9747b28c);
    const uint32_t multiplier = UINT32_C(0x5bd1e995);
    const uint8_t *at = bytes;
    uint32_t hash = seed ^ (uint32_t)size_bytes;

    MR_ASSERT(bytes != NULL || size_bytes == 0);
    MR_ASSERT(size_bytes <= INT32_MAX);
    for (size_t left = size_bytes / 4; left > 0; left--, at += 4) {
        uint32_t word =
            (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
        word *= multiplier;
        word ^= word >> SHIFT;
        word *= multiplier;
        hash *= multiplier;
        hash ^= word;
    }
    const size_t tail = size_bytes % 4;
    if (tail > 2) {
        hash ^= (uint32_t)at[2] << 16;
    }
    if (tail > 1) {
        hash ^= (uint32_t)at[1] << 8;
    }
    if (tail > 0) {
        hash ^= at[0];
        hash *= multiplier;
    }
    hash ^= hash >> 13;
    hash *= multiplier;
    hash ^= hash >> 15;
    return hash;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc32c_sse42(uint32_t crc, const uint8_t *bytes,
                                                               size_t size_bytes)
{
    uint64_t wide = crc;

    for (; size_bytes >= 8; size_bytes -= 8, bytes += 8) {
        uint64_t word;
        memcpy(&word, bytes, sizeof(word));
        wide = _mm_crc32_u64(wide, word);
    }
    crc = (uint32_t)wide;
    for (; size_bytes > 0; size_bytes--, bytes++) {
        crc = _mm_crc32_u8(crc, *bytes);
    }
    return crc;
}
#endif

uint32_t mr_hash_crc32c(const void *bytes, size_t size_bytes)
{
    const uint32_t start = UINT32_C(0xffffffff);

    MR_ASSERT(bytes != NULL || size_bytes == 0);
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2")) {
        return crc32c_sse42(start, bytes, size_bytes) ^ start;
    }
#endif
    return mr_hash_crc32c_portable(bytes, size_bytes);
}

uint32_t mr_hash_crc32c_portable(const void *bytes, size_t size_bytes)
{
    const uint32_t start = UINT32_C(0xffffffff);

    MR_ASSERT(bytes != NULL || size_bytes == 0);
    return crc32c_table(start, bytes, size_bytes) ^ start;
}

/* Half a byte at a time: small, and only for processors without the instruction. */
static uint32_t crc32c_table(uint32_t crc, const uint8_t *bytes, size_t size_bytes)
{
    static const uint32_t table[16] = {
        0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
        0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
        0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
    };

    for (size_t i = 0; i < size_bytes; i++) {
        crc ^= bytes[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return crc;
}
