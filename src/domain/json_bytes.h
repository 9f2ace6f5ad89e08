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

#include "base/bytes.h"

/* The lowest `len` bytes of a word, 0 to 8. */
static inline uint64_t json_low_bytes(uint64_t word, unsigned len)
{
    return len < 8 ? word & ~(~UINT64_C(0) << (len * 8)) : word;
}

/* The first `len` bytes at `at`, up to 24, as three words with zeros behind them. Reads none behind
 * them, but where `len` is below 8 as many before. */
static inline void json_words24(const char *at, size_t len, uint64_t words[3])
{
    words[1] = words[2] = 0;
    if (len < 8) {
        words[0] = len ? bytes_load64(at + len - 8) >> (64 - 8 * len) : 0;
        return;
    }
    words[0] = bytes_load64(at);
    if (len > 16) {
        words[1] = bytes_load64(at + 8);
        words[2] = bytes_load64(at + len - 8) >> (192 - 8 * len);
    } else if (len > 8) {
        words[1] = bytes_load64(at + len - 8) >> (128 - 8 * len);
    }
}

/*
 * json_special(): a mask of the bytes at `at` that a plain string may not hold ('"', '\\',
 * controls); JSON_STEP bytes are looked at, JSON_BITS bits of the mask stand for each. Only the
 * lowest set bit is exact.
 *
 * json_words16(): the first `len` of the sixteen bytes at `at` as two words, zeros behind them.
 *
 * json_short_key(): the length of the key at `at`, which is behind an opening quote, if it is plain
 * and ends within sixteen bytes, with its words; else -1. Reads sixteen bytes.
 */
#ifdef __SSE2__
enum { JSON_STEP = 16, JSON_BITS = 1 };

static inline __m128i json_load128(const char *at)
{
    return _mm_loadu_si128((const __m128i *)(const void *)at);
}

static inline unsigned json_special_of(__m128i bytes)
{
    __m128i quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"'));
    __m128i slash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'));
    __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1F)), bytes);
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quote, slash), control));
}

static inline uint64_t json_special(const char *at)
{
    return json_special_of(json_load128(at));
}

static inline void json_words_of(__m128i bytes, size_t len, uint64_t words[2])
{
    /* The sixteen bytes of it from 16 - n on are n bytes of ones and zeros behind them. */
    static const char masks[32] = {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};
    bytes = _mm_and_si128(bytes, json_load128(masks + 16 - len));
    words[0] = (uint64_t)_mm_cvtsi128_si64(bytes);
    words[1] = (uint64_t)_mm_cvtsi128_si64(_mm_unpackhi_epi64(bytes, bytes));
}

static inline void json_words16(const char *at, size_t len, uint64_t words[2])
{
    json_words_of(json_load128(at), len, words);
}

static inline int json_short_key(const char *at, uint64_t words[2])
{
    __m128i bytes = json_load128(at);
    unsigned special = json_special_of(bytes);
    if (!special) {
        return -1;
    }
    int len = __builtin_ctz(special);
    json_words_of(bytes, (size_t)len, words);
    return at[len] == '"' ? len : -1;
}
#else
enum { JSON_STEP = 8, JSON_BITS = 8 };

static inline uint64_t json_special(const char *at)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t word = bytes_load64(at), quote = word ^ ones * '"', slash = word ^ ones * '\\';
    uint64_t hits = ((quote - ones) & ~quote) | ((slash - ones) & ~slash);
    return (hits | ((word - ones * 0x20) & ~word)) & ones * 0x80;
}

static inline void json_words16(const char *at, size_t len, uint64_t words[2])
{
    words[0] = json_low_bytes(bytes_load64(at), len < 8 ? (unsigned)len : 8);
    words[1] = len > 8 ? json_low_bytes(bytes_load64(at + 8), (unsigned)len - 8) : 0;
}

static inline int json_short_key(const char *at, uint64_t words[2])
{
    uint64_t first = json_special(at), second = json_special(at + 8);
    if (!(first | second)) {
        return -1;
    }
    int len = first ? __builtin_ctzll(first) / 8 : 8 + __builtin_ctzll(second) / 8;
    json_words16(at, (size_t)len, words);
    return at[len] == '"' ? len : -1;
}
#endif

/*
 * Reads the digits at the front of the eight bytes at `at`: how many there are, and their value.
 * The value is made by three multiplications, whatever the number of digits.
 */
static inline unsigned json_digits(const char *at, uint64_t *value)
{
    uint64_t digits = bytes_load64(at) ^ UINT64_C(0x3030303030303030);
    uint64_t others = (digits + UINT64_C(0x7676767676767676)) | digits;
    others &= UINT64_C(0x8080808080808080);
    unsigned count = others ? (unsigned)__builtin_ctzll(others) / 8 : 8;
    if (count == 0) {
        return 0;
    }
    digits <<= 64 - 8 * count; /* zeros come in front of the digits */
    digits = digits * 10 + (digits >> 8);
    uint64_t even = digits & UINT64_C(0x000000FF000000FF);
    uint64_t odd = digits >> 16 & UINT64_C(0x000000FF000000FF);
    *value = (even * UINT64_C(0x000F424000000064) + odd * UINT64_C(0x0000271000000001)) >> 32;
    return count;
}

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
    /* Without SSE2 a mask is exact from its lowest bit on only, and that one may be shifted out. */
    if (JSON_BITS > 1 || end - start < JSON_STEP) {
        return json_find_special_bytes(at, end);
    }
    if (at == end) {
        return end;
    }
    /* The last bytes once more, those before `at` shifted out. */
    uint64_t mask = json_special(end - JSON_STEP) >> (JSON_STEP - (end - at)) * JSON_BITS;
    return mask ? at + __builtin_ctzll(mask) / JSON_BITS : end;
}

#endif
