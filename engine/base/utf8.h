/* utf8.h - UTF-8 as PostgreSQL takes it: valid by RFC 3629, without U+0000. Thread: any. */
#ifndef MR_BASE_UTF8_H
#define MR_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether the bytes are valid UTF-8 without U+0000. */
bool mr_utf8_valid(const uint8_t *bytes, size_t size_bytes);
/* Code points in valid UTF-8. */
uint32_t mr_utf8_length(const uint8_t *bytes, size_t size_bytes);
/* Bytes of the code point that begins with `lead`, in valid UTF-8. */
static inline uint32_t mr_utf8_size(uint8_t lead)
{
    return lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}
/* Decodes one code point of valid UTF-8 at `bytes`; returns its size (1-4). */
uint32_t mr_utf8_decode(const uint8_t *bytes, uint32_t *code_point);
/* Encodes; returns the size (1-4). Asserts a valid scalar value. */
uint32_t mr_utf8_encode(uint32_t code_point, uint8_t out[4]);
/* Simple (one to one) case mapping of Unicode 15, C.UTF-8's. */
uint32_t mr_utf8_lower(uint32_t code_point);
uint32_t mr_utf8_upper(uint32_t code_point);

#endif
