/*
 * bytes_text.c - base64 and hex. Reading is strict, so that every value has one text and what was
 * cut short or mistaken for base64 is an error, not other bytes.
 */
#include "engine/base/bytes_text.h"
#include "engine/base/assert.h"
#include <stdbool.h>
#include <stddef.h>

enum { NO_DIGIT = 0xff };

static const uint8_t base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const uint8_t hex_digits[] = "0123456789abcdef";

static uint32_t base64_value(uint8_t byte);
static uint32_t hex_value(uint8_t byte);

uint64_t mr_base64_bytes(uint32_t size_bytes)
{
    return ((uint64_t)size_bytes + 2) / 3 * 4;
}

uint64_t mr_hex_bytes(uint32_t size_bytes)
{
    return 2 + 2 * (uint64_t)size_bytes;
}

uint32_t mr_base64_print(const uint8_t *bytes, uint32_t size_bytes, uint8_t *out)
{
    uint32_t at = 0;

    MR_ASSERT(mr_base64_bytes(size_bytes) <= UINT32_MAX);
    for (uint32_t i = 0; i < size_bytes; i += 3) {
        const uint32_t left = size_bytes - i;
        const uint32_t bits = (uint32_t)bytes[i] << 16 |
                              (left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) |
                              (left > 2 ? (uint32_t)bytes[i + 2] : 0);
        out[at++] = base64_digits[bits >> 18];
        out[at++] = base64_digits[bits >> 12 & 63];
        out[at++] = left > 1 ? base64_digits[bits >> 6 & 63] : '=';
        out[at++] = left > 2 ? base64_digits[bits & 63] : '=';
    }
    return at;
}

int64_t mr_base64_parse(const uint8_t *text, uint32_t size_bytes, uint8_t *out)
{
    uint32_t size = 0;
    uint32_t padding = 0;

    if (size_bytes % 4 != 0) {
        return -1;
    }
    if (size_bytes > 0) {
        padding = text[size_bytes - 1] != '=' ? 0 : text[size_bytes - 2] != '=' ? 1 : 2;
    }
    for (uint32_t i = 0; i < size_bytes; i += 4) {
        const bool is_last = i + 4 == size_bytes;
        uint32_t bits = 0;
        for (uint32_t k = 0; k < 4; k++) {
            const bool is_padding = is_last && k >= 4 - padding;
            const uint32_t value = is_padding ? 0 : base64_value(text[i + k]);
            if (value == NO_DIGIT) {
                return -1;
            }
            bits = bits << 6 | value;
        }
        const uint32_t count = is_last ? 3 - padding : 3;
        if ((bits & (count == 1 ? 0xffffU : count == 2 ? 0xffU : 0)) != 0) {
            return -1;
        }
        for (uint32_t k = 0; k < count; k++) {
            out[size++] = (uint8_t)(bits >> (16 - 8 * k));
        }
    }
    return size;
}

uint32_t mr_hex_print(const uint8_t *bytes, uint32_t size_bytes, uint8_t *out)
{
    MR_ASSERT(mr_hex_bytes(size_bytes) <= UINT32_MAX);
    out[0] = '\\';
    out[1] = 'x';
    for (uint32_t i = 0; i < size_bytes; i++) {
        out[2 + 2 * (size_t)i] = hex_digits[bytes[i] >> 4];
        out[3 + 2 * (size_t)i] = hex_digits[bytes[i] & 15];
    }
    return 2 + 2 * size_bytes;
}

int64_t mr_hex_parse(const uint8_t *text, uint32_t size_bytes, uint8_t *out)
{
    uint32_t size = 0;

    if (size_bytes < 2 || size_bytes % 2 != 0 || text[0] != '\\' || text[1] != 'x') {
        return -1;
    }
    for (uint32_t i = 2; i < size_bytes; i += 2) {
        const uint32_t high = hex_value(text[i]), low = hex_value(text[i + 1]);
        if (high == NO_DIGIT || low == NO_DIGIT) {
            return -1;
        }
        out[size++] = (uint8_t)(high << 4 | low);
    }
    return size;
}

static uint32_t base64_value(uint8_t byte)
{
    return byte >= 'A' && byte <= 'Z'   ? (uint32_t)(byte - 'A')
           : byte >= 'a' && byte <= 'z' ? (uint32_t)(byte - 'a') + 26
           : byte >= '0' && byte <= '9' ? (uint32_t)(byte - '0') + 52
           : byte == '+'                ? 62
           : byte == '/'                ? 63
                                        : NO_DIGIT;
}

static uint32_t hex_value(uint8_t byte)
{
    return byte >= '0' && byte <= '9'   ? (uint32_t)(byte - '0')
           : byte >= 'a' && byte <= 'f' ? (uint32_t)(byte - 'a') + 10
           : byte >= 'A' && byte <= 'F' ? (uint32_t)(byte - 'A') + 10
                                        : NO_DIGIT;
}
