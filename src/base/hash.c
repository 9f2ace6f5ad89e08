/* hash.c: Kafka's murmur2, and xxHash through its library. */
#include "base/hash.h"

#include <string.h>

/* Short keys are hashed in place, without a call into the library. */
#define XXH_INLINE_ALL
#include <xxhash.h>

uint32_t hash_murmur2(struct str key)
{
    const uint32_t m = 0x5bd1e995;
    const unsigned char *at = (const unsigned char *)key.ptr;
    size_t len = key.len;
    uint32_t h = 0x9747b28cu ^ (uint32_t)len;
    for (; len >= 4; at += 4, len -= 4) {
        uint32_t k = at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
        k *= m;
        k ^= k >> 24;
        h = (h * m) ^ (k * m);
    }
    if (len) {
        uint32_t tail = at[0];
        tail |= len > 1 ? (uint32_t)at[1] << 8 : 0;
        tail |= len > 2 ? (uint32_t)at[2] << 16 : 0;
        h = (h ^ tail) * m;
    }
    h ^= h >> 13;
    h *= m;
    return h ^ h >> 15;
}

int32_t hash_partition(struct str key, int32_t count)
{
    return (int32_t)((hash_murmur2(key) & 0x7fffffff) % (uint32_t)count);
}

uint64_t hash_checksum(struct str bytes)
{
    return XXH3_64bits(bytes.ptr, bytes.len);
}

uint64_t hash_seeded(struct str bytes, uint64_t seed)
{
    return XXH3_64bits_withSeed(bytes.ptr, bytes.len, seed);
}

void hash_put_hex128(struct buf *buf, struct str bytes)
{
    static const char digits[] = "0123456789abcdef";
    XXH128_hash_t hash = XXH3_128bits(bytes.ptr, bytes.len);
    char text[32];
    for (int i = 0; i < 16; i++) {
        text[i] = digits[hash.high64 >> (60 - 4 * i) & 15];
        text[16 + i] = digits[hash.low64 >> (60 - 4 * i) & 15];
    }
    buf_append(buf, text, sizeof text);
}
