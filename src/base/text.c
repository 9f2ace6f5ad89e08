/* text.c: UTF-8 checks, JSON string escapes, quoted CSV cells, base64. */
#include "base/text.h"

#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/bytes.h"

/* Bytes of the sequence that `lead` opens, and the allowed range of the byte behind it (Unicode
 * 15, table 3-7). 0: not a lead byte. */
static int sequence_of(unsigned char lead, unsigned char *low, unsigned char *high)
{
    *low = 0x80;
    *high = 0xBF;
    if (lead >= 0xC2 && lead <= 0xDF) {
        return 2;
    }
    if (lead >= 0xE0 && lead <= 0xEF) {
        *low = lead == 0xE0 ? 0xA0 : 0x80;
        *high = lead == 0xED ? 0x9F : 0xBF;
        return 3;
    }
    if (lead >= 0xF0 && lead <= 0xF4) {
        *low = lead == 0xF0 ? 0x90 : 0x80;
        *high = lead == 0xF4 ? 0x8F : 0xBF;
        return 4;
    }
    return 0;
}

/* The answer for a short text, or where there is no SSE2: one sequence after the other. */
static bool is_utf8_by_sequence(struct str text)
{
    /* The empty view may have no pointer, to which nothing may be added, not even 0. */
    const unsigned char *at = (const unsigned char *)(text.len ? text.ptr : "");
    const unsigned char *end = at + text.len;
    while (at < end) {
        uint64_t eight;
        while (end - at >= 8 && (memcpy(&eight, at, 8), (eight & 0x8080808080808080u) == 0)) {
            at += 8;
        }
        if (at == end) {
            break;
        }
        if (*at < 0x80) {
            at++;
            continue;
        }
        unsigned char low, high;
        int len = sequence_of(*at, &low, &high);
        if (len == 0 || end - at < len || at[1] < low || at[1] > high ||
            (len > 2 && (at[2] & 0xC0) != 0x80) || (len > 3 && (at[3] & 0xC0) != 0x80)) {
            return false;
        }
        at += len;
    }
    return true;
}

#ifdef __SSE2__
enum { BLOCK = 16, BEFORE = 3 }; /* bytes looked at together, and those before them that matter */
static const ptrdiff_t two_blocks = (ptrdiff_t)2 * BLOCK, three_blocks = (ptrdiff_t)3 * BLOCK;

static inline __m128i load_block(const char *at)
{
    return _mm_loadu_si128((const __m128i *)(const void *)at);
}

/* The highest bit of each byte that is at least `least`, which is above 0x80. */
static inline __m128i at_least(__m128i bytes, int least)
{
    return _mm_subs_epu8(bytes, _mm_set1_epi8((char)(least - 0x80)));
}

static inline __m128i equal(__m128i bytes, int value)
{
    return _mm_cmpeq_epi8(bytes, _mm_set1_epi8((char)value));
}

/*
 * Not zero where one of the sixteen bytes cannot follow those before it, of which the nearest three
 * are in `one`, `two` and `three` (shifted by as many bytes). The rules are those of sequence_of(),
 * asked of all bytes at once: a byte goes on with a sequence if and only if one of the three before
 * it wants it to, and some lead bytes narrow the byte behind them or may not be at all. Only the
 * highest bit of each byte counts.
 */
static inline int wrong_bytes(__m128i bytes, __m128i one, __m128i two, __m128i three)
{
    __m128i wanted =
        _mm_or_si128(_mm_or_si128(at_least(one, 0xC0), at_least(two, 0xE0)), at_least(three, 0xF0));
    __m128i follows = _mm_cmplt_epi8(bytes, _mm_set1_epi8((char)0xC0)); /* signed: 0x80 to 0xBF */
    __m128i never = _mm_or_si128(at_least(bytes, 0xF5),
                                 equal(_mm_and_si128(bytes, _mm_set1_epi8((char)0xFE)), 0xC0));
    __m128i narrow = _mm_or_si128(at_least(one, 0xED), equal(one, 0xE0));
    __m128i wrong = _mm_or_si128(_mm_xor_si128(wanted, follows), never);
    if (_mm_movemask_epi8(narrow)) { /* few texts have them */
        __m128i below_a0 = _mm_cmplt_epi8(bytes, _mm_set1_epi8((char)0xA0));
        __m128i below_90 = _mm_cmplt_epi8(bytes, _mm_set1_epi8((char)0x90));
        wrong = _mm_or_si128(wrong, _mm_and_si128(equal(one, 0xE0), below_a0));
        wrong = _mm_or_si128(wrong, _mm_andnot_si128(below_a0, equal(one, 0xED)));
        wrong = _mm_or_si128(wrong, _mm_and_si128(equal(one, 0xF0), below_90));
        wrong = _mm_or_si128(wrong, _mm_andnot_si128(below_90, equal(one, 0xF4)));
    }
    return _mm_movemask_epi8(wrong);
}

/* True if the text before `at`, of three bytes or more, breaks off within a sequence. */
static inline bool breaks_off(const char *at)
{
    return (unsigned char)at[-1] >= 0xC0 || (unsigned char)at[-2] >= 0xE0 ||
           (unsigned char)at[-3] >= 0xF0;
}

/* True if the bytes of a block can follow those before it. */
static inline bool is_right_block(const char *at)
{
    return !wrong_bytes(load_block(at), load_block(at - 1), load_block(at - 2), load_block(at - 3));
}

static inline bool is_ascii_block(const char *at)
{
    return _mm_movemask_epi8(load_block(at)) == 0;
}

static inline bool is_ascii_pair(const char *at)
{
    return _mm_movemask_epi8(_mm_or_si128(load_block(at), load_block(at + BLOCK))) == 0;
}

bool text_is_utf8(struct str text)
{
    if (text.len < BLOCK + BEFORE) {
        return is_utf8_by_sequence(text);
    }
    const char *at = text.ptr, *end = at + text.len;
    bool ascii = is_ascii_block(at); /* of the last block: it wants nothing from the next one */
    __m128i first = load_block(at);
    if (!ascii && wrong_bytes(first, _mm_slli_si128(first, 1), _mm_slli_si128(first, 2),
                              _mm_slli_si128(first, 3))) {
        return false;
    }
    for (at += BLOCK; end - at >= BLOCK; at += BLOCK) {
        while (ascii && end - at >= three_blocks && is_ascii_pair(at)) {
            at += two_blocks;
        }
        if (!is_ascii_block(at)) {
            ascii = false;
            if (!is_right_block(at)) {
                return false;
            }
        } else if (!ascii) {
            ascii = true;
            if (breaks_off(at)) {
                return false;
            }
        }
    }
    /* What is left, with as much of what was looked at as makes a block. */
    at = end - BLOCK;
    return is_ascii_block(at) ? !breaks_off(at) : is_right_block(at) && !breaks_off(end);
}
#else
bool text_is_utf8(struct str text)
{
    return is_utf8_by_sequence(text);
}
#endif

size_t text_length(struct str text)
{
    size_t points = 0;
    for (size_t i = 0; i < text.len; i++) {
        points += ((unsigned char)text.ptr[i] & 0xC0) != 0x80;
    }
    return points;
}

struct str text_prefix(struct str text, size_t max_points)
{
    size_t points = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (((unsigned char)text.ptr[i] & 0xC0) != 0x80 && points++ == max_points) {
            return (struct str){text.ptr, i};
        }
    }
    return text;
}

static void put_escape(struct buf *buf, unsigned char c)
{
    static const char letters[] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f',
                                   ['\r'] = 'r', ['"'] = '"',  ['\\'] = '\\'};
    if (letters[c]) {
        char two[] = {'\\', letters[c]};
        buf_append(buf, two, 2);
    } else {
        buf_printf(buf, "\\u%04x", c);
    }
}

/* Where the first byte stands that JSON does not take as it is, from `from` on; the length where
 * there is none. Eight at a time: in each of the three differences the high bit of a byte is set
 * where it is met, or of one behind such a byte, which is then looked at in vain. */
static size_t find_escape(struct str text, size_t from)
{
    const uint64_t ones = UINT64_MAX / 255, high = ones * 0x80;
    while (text.len - from >= 8) {
        const uint64_t bytes = bytes_load64(text.ptr + from);
        const uint64_t quote = bytes ^ ones * '"', slash = bytes ^ ones * '\\';
        const uint64_t met = ((bytes - ones * 0x20) & ~bytes) | ((quote - ones) & ~quote) |
                             ((slash - ones) & ~slash);
        if (met & high) {
            break;
        }
        from += 8;
    }
    for (; from < text.len; from++) {
        const unsigned char c = (unsigned char)text.ptr[from];
        if (c < 0x20 || c == '"' || c == '\\') {
            break;
        }
    }
    return from;
}

void text_put_json(struct buf *buf, struct str text)
{
    buf_reserve(buf, text.len + 2);
    buf_putc(buf, '"');
    for (size_t from = 0; from < text.len; from++) {
        const size_t at = find_escape(text, from);
        buf_append(buf, text.ptr + from, at - from);
        if (at < text.len) {
            put_escape(buf, (unsigned char)text.ptr[at]);
        }
        from = at;
    }
    buf_putc(buf, '"');
}

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void text_put_csv_quoted(struct buf *buf, struct str text)
{
    buf_putc(buf, '"');
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '"') {
            buf_putc(buf, '"');
        }
        buf_putc(buf, text.ptr[i]);
    }
    buf_putc(buf, '"');
}

void text_put_base64(struct buf *buf, struct str bytes)
{
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t left = bytes.len - i;
        uint32_t bits = 0;
        for (size_t j = 0; j < 3; j++) {
            bits = bits << 8 | (j < left ? (unsigned char)bytes.ptr[i + j] : 0);
        }
        char four[4] = {base64_digits[bits >> 18], base64_digits[bits >> 12 & 63],
                        left > 1 ? base64_digits[bits >> 6 & 63] : '=',
                        left > 2 ? base64_digits[bits & 63] : '='};
        buf_append(buf, four, 4);
    }
}

bool text_put_unbase64(struct buf *buf, struct str text)
{
    size_t start = buf->len;
    bool ok = text.len % 4 == 0;
    for (size_t i = 0; ok && i < text.len; i += 4) {
        uint32_t bits = 0;
        size_t padding = 0;
        for (size_t j = 0; j < 4; j++) {
            char c = text.ptr[i + j];
            const char *digit = c ? strchr(base64_digits, c) : NULL;
            padding += c == '=';
            ok = ok && (digit ? padding == 0 : c == '=' && j >= 2 && i + 4 == text.len);
            bits = bits << 6 | (digit ? (uint32_t)(digit - base64_digits) : 0);
        }
        char three[3] = {(char)(bits >> 16), (char)(bits >> 8), (char)bits};
        if (ok) {
            buf_append(buf, three, 3 - padding);
        }
    }
    if (!ok) {
        buf->len = start;
    }
    return ok;
}

bool text_put_percent_decoded(struct buf *buf, struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '%') {
            const int byte = text_percent_byte((struct str){text.ptr + i, text.len - i});
            if (byte < 0) {
                return false;
            }
            c = (char)byte;
            i += 2;
        }
        buf_putc(buf, c);
    }
    return true;
}
