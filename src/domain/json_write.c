/* json_write.c: strings escaped as little as JSON allows, sixteen bytes at a time. */
#include "domain/json_write.h"

#include "domain/json_bytes.h"

static char *put_escape(char *to, unsigned char c)
{
    static const char letters[] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f',
                                   ['\r'] = 'r', ['"'] = '"',  ['\\'] = '\\'};
    static const char digits[] = "0123456789abcdef";
    *to++ = '\\';
    if (letters[c]) {
        *to++ = letters[c];
        return to;
    }
    memcpy(to, "u00", 3);
    to[3] = digits[c >> 4];
    to[4] = digits[c & 15];
    return to + 5;
}

/* True if none of eight bytes must be escaped. */
static inline bool is_plain(uint64_t word)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t quote = word ^ ones * '"', slash = word ^ ones * '\\';
    uint64_t hits = ((quote - ones) & ~quote) | ((slash - ones) & ~slash);
    return ((hits | ((word - ones * 0x20) & ~word)) & ones * 0x80) == 0;
}

/* Puts eight to fifteen bytes as two words that may overlap; false if one must be escaped. */
static inline bool put_plain_words(char *to, const char *at, size_t len)
{
    uint64_t first = bytes_load64(at), last = bytes_load64(at + len - 8);
    memcpy(to, at, 8);
    memcpy(to + len - 8, at + len - 8, 8);
    return is_plain(first) && is_plain(last);
}

void json_put_text(struct buf *out, struct str text)
{
    char *to = out->ptr + out->len;
    size_t at = 0;
    *to++ = '"';
    /* Steps are copied whole: what is behind a byte to escape is written over. */
    while (text.len - at >= JSON_STEP) {
        uint64_t mask = json_special(text.ptr + at);
        memcpy(to, text.ptr + at, JSON_STEP);
        size_t plain = mask ? (size_t)__builtin_ctzll(mask) / JSON_BITS : JSON_STEP;
        to += plain;
        at += plain;
        if (mask) {
            to = put_escape(to, (unsigned char)text.ptr[at++]);
        }
    }
    size_t rest = text.len - at;
    if (rest >= 8 && put_plain_words(to, text.ptr + at, rest)) {
        to += rest;
        at += rest;
    }
    for (; at < text.len; at++) {
        unsigned char c = (unsigned char)text.ptr[at];
        if (c < 0x20 || c == '"' || c == '\\') {
            to = put_escape(to, c);
        } else {
            *to++ = (char)c;
        }
    }
    *to++ = '"';
    out->len = (size_t)(to - out->ptr);
}
