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

void json_put_text(struct buf *out, struct str text)
{
    char *to = out->ptr + out->len;
    size_t at = 0;
    *to++ = '"';
    while (at < text.len) {
        const char *end = text.ptr + text.len;
        const char *special = json_find_special(text.ptr + at, text.ptr, end);
        size_t plain = (size_t)(special - text.ptr) - at;
        memcpy(to, text.ptr + at, plain);
        to += plain;
        at += plain;
        if (at < text.len) {
            to = put_escape(to, (unsigned char)text.ptr[at++]);
        }
    }
    *to++ = '"';
    out->len = (size_t)(to - out->ptr);
}
