/* text.c: UTF-8 checks, JSON string escapes, base64. */
#include "base/text.h"

#include <stdint.h>
#include <string.h>

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

bool text_is_utf8(struct str text)
{
    const unsigned char *at = (const unsigned char *)text.ptr, *end = at + text.len;
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

void text_put_json(struct buf *buf, struct str text)
{
    size_t from = 0;
    buf_reserve(buf, text.len + 2);
    buf_putc(buf, '"');
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c < 0x20 || c == '"' || c == '\\') {
            buf_append(buf, text.ptr + from, i - from);
            put_escape(buf, c);
            from = i + 1;
        }
    }
    if (text.len > from) {
        buf_append(buf, text.ptr + from, text.len - from);
    }
    buf_putc(buf, '"');
}

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

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
