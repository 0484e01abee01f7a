/*
 * sha256.c - SHA-256 by OpenSSL.
 */
#include "engine/base/sha256.h"
#include "engine/base/assert.h"
#include <openssl/sha.h>

void mr_sha256_text(const void *bytes, size_t size_bytes, char text[MR_SHA256_TEXT_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    uint8_t digest[SHA256_DIGEST_LENGTH];

    MR_ASSERT(bytes != NULL || size_bytes == 0);
    const uint8_t *done = SHA256(bytes, size_bytes, digest);
    MR_ASSERT(done == digest);
    for (uint32_t i = 0; i < SHA256_DIGEST_LENGTH; i++) {
        text[(size_t)2 * i] = digits[digest[i] >> 4];
        text[(size_t)2 * i + 1] = digits[digest[i] & 15];
    }
    text[MR_SHA256_TEXT_BYTES - 1] = '\0';
}
