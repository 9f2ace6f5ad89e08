/*
 * json_bytes.h: many bytes of JSON text at a time.
 *
 * Private to domain/. SSE2, which every x86-64 has, or eight bytes in a register elsewhere. Nothing
 * here reads a byte outside the bounds that it is given.
 */
#ifndef DOMAIN_JSON_BYTES_H
#define DOMAIN_JSON_BYTES_H

#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* Eight bytes, the first one lowest. */
static inline uint64_t json_load64(const char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

/*
 * json_special(): a mask of the bytes at `at` that a plain string may not hold ('"', '\\',
 * controls); JSON_STEP bytes are looked at, JSON_BITS bits of the mask stand for each. Only the
 * lowest set bit is exact.
 */
#ifdef __SSE2__
enum { JSON_STEP = 16, JSON_BITS = 1 };

static inline uint64_t json_special(const char *at)
{
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
    __m128i quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"'));
    __m128i slash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'));
    __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1F)), bytes);
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quote, slash), control));
}
#else
enum { JSON_STEP = 8, JSON_BITS = 8 };

static inline uint64_t json_special(const char *at)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t word = json_load64(at), quote = word ^ ones * '"', slash = word ^ ones * '\\';
    uint64_t hits = ((quote - ones) & ~quote) | ((slash - ones) & ~slash);
    return (hits | ((word - ones * 0x20) & ~word)) & ones * 0x80;
}
#endif

/* The rest of a text of less than JSON_STEP bytes. */
static inline const char *json_find_special_bytes(const char *at, const char *end)
{
    while (at < end && *at != '"' && *at != '\\' && (unsigned char)*at >= 0x20) {
        at++;
    }
    return at;
}

/* The first byte in [at, end) that a plain string may not hold, or `end`. [start, at) may be read.
 */
static inline const char *json_find_special(const char *at, const char *start, const char *end)
{
    for (; end - at >= JSON_STEP; at += JSON_STEP) {
        uint64_t mask = json_special(at);
        if (mask) {
            return at + __builtin_ctzll(mask) / JSON_BITS;
        }
    }
    if (end - start < JSON_STEP) {
        return json_find_special_bytes(at, end);
    }
    /* The last bytes once more, those before `at` shifted out. */
    uint64_t mask = json_special(end - JSON_STEP) >> (JSON_STEP - (end - at)) * JSON_BITS;
    return end == at || !mask ? end : at + __builtin_ctzll(mask) / JSON_BITS;
}

#endif
