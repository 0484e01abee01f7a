/*
 * json_text.c - pieces of JSON text: numbers and literals tested, strings unescaped and quoted.
 */
#include "engine/base/assert.h"
#include "engine/base/json.h"
#include "engine/base/json_private.h"
#include "engine/base/utf8.h"
#include <string.h>

static const uint8_t *skip_plain(const uint8_t *at, const uint8_t *end);
static int32_t hex_four(const uint8_t *bytes);
static int64_t unescape_unicode(const uint8_t *at, const uint8_t *end, uint32_t *used);
static uint32_t quote_special(uint8_t byte, uint8_t out[6]);

int64_t mr_json_unescape(const uint8_t *body, uint32_t size_bytes, uint8_t *out)
{
    const uint8_t *at = body;
    const uint8_t *end = body + size_bytes;
    int64_t written = 0;

    while (at < end) {
        if (*at != '\\') {
            if (out != NULL) {
                out[written] = *at;
            }
            written++;
            at++;
            continue;
        }
        static const char from[] = "\"\\/bfnrt";
        static const char to[] = "\"\\/\b\f\n\r\t";
        if (end - at < 2) {
            return MR_JSON_BAD_ESCAPE;
        }
        const char *found = at[1] == '\0' ? NULL : strchr(from, at[1]);
        if (found != NULL) {
            if (out != NULL) {
                out[written] = (uint8_t)to[found - from];
            }
            written++;
            at += 2;
            continue;
        }
        uint8_t encoded[4];
        uint32_t used = 0;
        const int64_t code_point = unescape_unicode(at, end, &used);
        if (code_point < 0) {
            return code_point;
        }
        const uint32_t encoded_bytes = mr_utf8_encode((uint32_t)code_point, encoded);
        if (out != NULL) {
            memcpy(out + written, encoded, encoded_bytes);
        }
        written += encoded_bytes;
        at += used;
    }
    MR_ASSERT(written <= size_bytes);
    return written;
}

bool mr_json_is_number(const uint8_t *bytes, uint32_t size_bytes)
{
    const uint8_t *at = bytes;
    const uint8_t *end = bytes + size_bytes;

    at += at < end && *at == '-';
    if (at == end || *at < '0' || *at > '9') {
        return false;
    }
    const bool is_zero = *at == '0';
    const uint8_t *digits = at;
    while (at < end && *at >= '0' && *at <= '9') {
        at++;
    }
    if (is_zero && at - digits > 1) {
        return false;
    }
    if (at < end && *at == '.') {
        digits = ++at;
        while (at < end && *at >= '0' && *at <= '9') {
            at++;
        }
        if (at == digits) {
            return false;
        }
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        at += at < end && (*at == '-' || *at == '+');
        digits = at;
        while (at < end && *at >= '0' && *at <= '9') {
            at++;
        }
        if (at == digits) {
            return false;
        }
    }
    return at == end;
}

bool mr_json_is_literal(const uint8_t *bytes, uint32_t size_bytes)
{
    return (size_bytes == 4 && (memcmp(bytes, "true", 4) == 0 || memcmp(bytes, "null", 4) == 0)) ||
           (size_bytes == 5 && memcmp(bytes, "false", 5) == 0);
}

uint32_t mr_json_quote(const uint8_t *text, uint32_t size_bytes, uint8_t *out,
                       uint32_t out_bytes_max)
{
    const uint8_t *at = text;
    const uint8_t *end = text + size_bytes;
    uint32_t written = 1;

    MR_ASSERT((text != NULL || size_bytes == 0) && out != NULL);
    if (out_bytes_max < 2) {
        return 0;
    }
    out[0] = '"';
    while (at < end) {
        const uint8_t *plain = at;
        at = skip_plain(at, end);
        const uint32_t plain_bytes = (uint32_t)(at - plain);
        if (plain_bytes > out_bytes_max - written) {
            return 0;
        }
        memcpy(out + written, plain, plain_bytes);
        written += plain_bytes;
        if (at < end) {
            uint8_t special[6];
            const uint32_t special_bytes = quote_special(*at, special);
            if (special_bytes > out_bytes_max - written) {
                return 0;
            }
            memcpy(out + written, special, special_bytes);
            written += special_bytes;
            at++;
        }
    }
    if (written == out_bytes_max) {
        return 0;
    }
    out[written++] = '"';
    return written;
}

/* Over bytes that need no escape, eight at a time. */
static const uint8_t *skip_plain(const uint8_t *at, const uint8_t *end)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    const uint64_t highs = UINT64_C(0x8080808080808080);

    for (; end - at >= 8; at += 8) {
        uint64_t word;
        memcpy(&word, at, sizeof(word));
        /* A byte of x that is zero borrows into its high bit; a false alarm only ends the fast
         * way early. Bytes above 0x7f are plain. */
        const uint64_t quote = word ^ ones * '"';
        const uint64_t backslash = word ^ ones * '\\';
        const uint64_t special = (quote - ones) | (backslash - ones) | (word - ones * 0x20);
        if ((special & ~word & highs) != 0) {
            break;
        }
    }
    while (at < end && *at >= 0x20 && *at != '"' && *at != '\\') {
        at++;
    }
    return at;
}

static int32_t hex_four(const uint8_t *bytes)
{
    int32_t value = 0;

    for (uint32_t i = 0; i < 4; i++) {
        const uint8_t byte = bytes[i];
        int32_t digit = 0;
        if (byte >= '0' && byte <= '9') {
            digit = byte - '0';
        } else if ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'f') {
            digit = (byte | 0x20) - 'a' + 10;
        } else {
            return -1;
        }
        value = value * 16 + digit;
    }
    return value;
}

/* uXXXX behind a backslash, or two of them that make a pair. */
static int64_t unescape_unicode(const uint8_t *at, const uint8_t *end, uint32_t *used)
{
    if (end - at < 6 || at[1] != 'u') {
        return MR_JSON_BAD_ESCAPE;
    }
    const int32_t high = hex_four(at + 2);
    if (high < 0) {
        return MR_JSON_BAD_ESCAPE;
    }
    *used = 6;
    if (high < 0xd800 || high > 0xdfff) {
        return high;
    }
    if (high > 0xdbff || end - at < 12 || at[6] != '\\' || at[7] != 'u') {
        return MR_JSON_LONE_SURROGATE;
    }
    const int32_t low = hex_four(at + 8);
    if (low < 0) {
        return MR_JSON_BAD_ESCAPE;
    }
    if (low < 0xdc00 || low > 0xdfff) {
        return MR_JSON_LONE_SURROGATE;
    }
    *used = 12;
    return 0x10000 + ((int64_t)(high - 0xd800) << 10) + (low - 0xdc00);
}

/* The shortest escape; returns its size. */
static uint32_t quote_special(uint8_t byte, uint8_t out[6])
{
    static const char hex[] = "0123456789abcdef";
    static const char from[] = "\"\\\b\f\n\r\t";
    static const char to[] = "\"\\bfnrt";
    const char *found = byte == '\0' ? NULL : strchr(from, byte);

    out[0] = '\\';
    if (found != NULL) {
        out[1] = (uint8_t)to[found - from];
        return 2;
    }
    MR_ASSERT(byte < 0x20);
    memcpy(out + 1, "u00", 3);
    out[4] = (uint8_t)hex[byte >> 4];
    out[5] = (uint8_t)hex[byte & 15];
    return 6;
}
