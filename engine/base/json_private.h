/*
 * json_private.h - what json.c, json_text.c and json_shim.cpp share. Inside engine/base only.
 */
#ifndef MR_BASE_JSON_PRIVATE_H
#define MR_BASE_JSON_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- json_shim.cpp: simdjson's stage 1 ---- */

typedef struct mr_json_index mr_json_index; /* Owned by C++; not arena memory. */

typedef enum mr_json_index_result {
    MR_JSON_INDEX_OK,
    MR_JSON_INDEX_SYNTAX, /* An unclosed string, a control character in one, nothing at all. */
    MR_JSON_INDEX_UTF8
} mr_json_index_result;

/* NULL = no memory. */
mr_json_index *mr_json_index_open(uint32_t size_bytes_max);
void mr_json_index_close(mr_json_index *index); /* NULL is allowed. */

/*
 * Finds, in order, every `{ } [ ] : ,` outside strings and the first byte of every scalar, and
 * validates UTF-8 and the bytes of strings. `positions` is valid until the next call. Reads
 * nothing behind `size_bytes` (tested with an unreadable page there).
 */
mr_json_index_result mr_json_index_run(mr_json_index *index, const uint8_t *bytes,
                                       uint32_t size_bytes, const uint32_t **positions,
                                       uint32_t *count);

/* ---- json_text.c: pieces of JSON text ---- */

enum { MR_JSON_BAD_ESCAPE = -1, MR_JSON_LONE_SURROGATE = -2 };

/*
 * The body of a string (without its quotes) unescaped into `out`, which has room for size_bytes;
 * `out` NULL: only tested. Returns the size or one of the negative results above.
 */
int64_t mr_json_unescape(const uint8_t *body, uint32_t size_bytes, uint8_t *out);

/* Whether the bytes are exactly one number, or one of true, false, null. */
bool mr_json_is_number(const uint8_t *bytes, uint32_t size_bytes);
bool mr_json_is_literal(const uint8_t *bytes, uint32_t size_bytes);

static inline bool mr_json_is_space(uint8_t byte)
{
    return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t';
}

#ifdef __cplusplus
}
#endif
#endif
