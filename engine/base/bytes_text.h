/*
 * bytes_text.h - bytes as text: base64 (RFC 4648, as JSON carries bytea) and hex (PostgreSQL's
 * `\x0aff`, the text form of bytea). Threads: any.
 */
#ifndef MR_BASE_BYTES_TEXT_H
#define MR_BASE_BYTES_TEXT_H

#include <stdint.h>

/* Size of the text of so many bytes. */
uint64_t mr_base64_bytes(uint32_t size_bytes);
uint64_t mr_hex_bytes(uint32_t size_bytes);

/* Writes the text, with padding, on one line; `out` has room for mr_base64_bytes(). Its size. */
uint32_t mr_base64_print(const uint8_t *bytes, uint32_t size_bytes, uint8_t *out);
/*
 * Reads strict base64: the standard alphabet, padded to a multiple of four, no white space, unused
 * bits zero. `out` has room for 3 bytes per 4 of text. The size, or -1.
 */
int64_t mr_base64_parse(const uint8_t *text, uint32_t size_bytes, uint8_t *out);

/* Writes `\x` and two lower-case digits a byte; `out` has room for mr_hex_bytes(). Its size. */
uint32_t mr_hex_print(const uint8_t *bytes, uint32_t size_bytes, uint8_t *out);
/* Reads `\x` and digits in pairs, of either case. `out` has room for half. The size, or -1. */
int64_t mr_hex_parse(const uint8_t *text, uint32_t size_bytes, uint8_t *out);

#endif
