/*
 * hash.h: the hashes that other programs must agree with, and one for tables.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stdint.h>

#include "base/str.h"

/* MurmurHash2, 32 bits, seed 0x9747b28c: what Kafka's Java clients partition by. */
uint32_t hash_murmur2(struct str key);

/* The partition of `key` among `count`, as Kafka's default partitioner picks it. */
int32_t hash_partition(struct str key, int32_t count);

/* 64-bit XXH3: checksums of stored bytes. */
uint64_t hash_checksum(struct str bytes);

/* 64-bit XXH3 with a seed: for tables whose keys strangers choose, so that they cannot choose them
 * to collide. */
uint64_t hash_seeded(struct str bytes, uint64_t seed);

/* 128-bit XXH3 as 32 lower-case hex digits: names made from content. */
void hash_put_hex128(struct buf *buf, struct str bytes);

#endif
