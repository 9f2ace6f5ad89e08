/* fold.c: see fold.h. The table comes from fold_table.py. */
#include "base/fold.h"

#include <stdbool.h>

#include "base/fold_table.h"

enum { HANGUL_FIRST = 0xAC00, HANGUL_LAST = 0xD7A3, VOWELS = 21, TAILS = 28 };

/* The character at `text`, which has a byte at least, and its length; 0 where it is not UTF-8. */
static size_t read_point(struct str text, uint32_t *point)
{
    const unsigned char *at = (const unsigned char *)text.ptr;
    size_t len = at[0] < 0x80   ? 1
                 : at[0] < 0xC2 ? 0
                 : at[0] < 0xE0 ? 2
                 : at[0] < 0xF0 ? 3
                 : at[0] < 0xF5 ? 4
                                : 0;
    if (len == 0 || len > text.len) {
        return 0;
    }
    *point = len == 1 ? at[0] : at[0] & (0x7Fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((at[i] & 0xC0) != 0x80) {
            return 0;
        }
        *point = *point << 6 | (at[i] & 0x3Fu);
    }
    return len;
}

static size_t write_three_bytes(char *out, uint32_t point)
{
    out[0] = (char)(0xE0 | point >> 12);
    out[1] = (char)(0x80 | (point >> 6 & 0x3F));
    out[2] = (char)(0x80 | (point & 0x3F));
    return 3;
}

/* A syllable becomes its two or three letters, as it would by decomposition. */
static size_t write_hangul(char out[9], uint32_t point)
{
    uint32_t index = point - HANGUL_FIRST;
    size_t len = write_three_bytes(out, 0x1100 + index / (VOWELS * TAILS));
    len += write_three_bytes(out + len, 0x1161 + index % (VOWELS * TAILS) / TAILS);
    if (index % TAILS) {
        len += write_three_bytes(out + len, 0x11A7 + index % TAILS);
    }
    return len;
}

/* Where `point` stands in the table, or fold_count. */
static size_t find_point(uint32_t point)
{
    size_t low = 0, high = fold_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (fold_points[middle] < point) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < fold_count && fold_points[low] == point ? low : fold_count;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Appends bytes of a folded character; a blank waits in `*space` for what follows it. */
static void put_folded(struct buf *out, const char *bytes, size_t len, size_t start, bool *space)
{
    for (size_t i = 0; i < len; i++) {
        if (is_space(bytes[i])) {
            *space = out->len > start;
            continue;
        }
        if (*space) {
            buf_putc(out, ' ');
            *space = false;
        }
        buf_putc(out, bytes[i]);
    }
}

static void put_point(struct buf *out, struct str text, uint32_t point, size_t start, bool *space)
{
    if (point >= HANGUL_FIRST && point <= HANGUL_LAST) {
        char letters[9];
        put_folded(out, letters, write_hangul(letters, point), start, space);
        return;
    }
    size_t at = find_point(point);
    if (at == fold_count) {
        put_folded(out, text.ptr, text.len, start, space);
    } else {
        put_folded(out, (const char *)fold_pool + (fold_places[at] >> 8), fold_places[at] & 0xFF,
                   start, space);
    }
}

void fold_put(struct buf *out, struct str text)
{
    const size_t start = out->len;
    bool space = false;
    buf_reserve(out, text.len);
    while (text.len) {
        uint32_t point;
        size_t len = 1;
        if ((unsigned char)*text.ptr < 0x80) {
            char c = *text.ptr;
            c = (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
            put_folded(out, &c, 1, start, &space);
        } else if ((len = read_point(text, &point)) > 0) {
            put_point(out, (struct str){text.ptr, len}, point, start, &space);
        } else {
            len = 1;
            put_folded(out, text.ptr, 1, start, &space);
        }
        text.ptr += len;
        text.len -= len;
    }
}
