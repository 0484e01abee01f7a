/* hash.h - the hashes of the project, one wrapper each. Thread: any. */
#ifndef MR_BASE_HASH_H
#define MR_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* XXH3-64 with a seed: keys of tables, section digests. */
uint64_t mr_hash64(const void *bytes, size_t size_bytes, uint64_t seed);

/* XXH3-128 with a seed, stored as low then high 64 bits, little-endian: checksums of blocks. */
void mr_hash128(const void *bytes, size_t size_bytes, uint64_t seed, uint8_t out[16]);

/*
 * murmur2 as Java's org.apache.kafka.common.utils.Utils.murmur2, seed 0x9747b28c. The partition
 * is (murmur2(key) & 0x7fffffff) % partitions.
 */
uint32_t mr_hash_murmur2(const void *bytes, size_t size_bytes);

/* CRC-32C (Castagnoli), reflected, initial and final inversion; RFC 3720 appendix B.4. */
uint32_t mr_hash_crc32c(const void *bytes, size_t size_bytes);
/* The same by table: where the processor lacks the instruction, and for the test of both. */
uint32_t mr_hash_crc32c_portable(const void *bytes, size_t size_bytes);

#endif
