/*
 * sha256.h - SHA-256 (FIPS 180-4) of bytes that a record cannot carry. Pure. Thread: any.
 */
#ifndef MR_BASE_SHA256_H
#define MR_BASE_SHA256_H

#include <stddef.h>

enum { MR_SHA256_TEXT_BYTES = 65 }; /* Hex digits and a NUL. */

/* The digest of `size_bytes` bytes in lower-case hex; `bytes` may be NULL if there are none. */
void mr_sha256_text(const void *bytes, size_t size_bytes, char text[MR_SHA256_TEXT_BYTES]);

#endif
