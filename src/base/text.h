/*
 * text.h: UTF-8, JSON text and base64, as far as a writer needs them.
 *
 * Reading JSON documents is the library's business (jansson), reading what requests bring that of
 * json_value.h, reading events the decoder's (domain/decode.h). Writing is a matter of one escape
 * function and needs no tree.
 */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdbool.h>

#include "base/str.h"

/* True if `text` is well-formed UTF-8: no surrogates, no overlong forms, nothing above U+10FFFF. */
bool text_is_utf8(struct str text);

/* Number of code points of well-formed UTF-8. */
size_t text_length(struct str text);

/* The longest prefix of at most `max_points` code points. */
struct str text_prefix(struct str text, size_t max_points);

/* Appends `text` (well-formed UTF-8) as a JSON string with its quotes: '"', '\' and controls are
 * escaped (\n, \t, \r, \b, \f by letter, the others as \u00xx), all else goes as it is. */
void text_put_json(struct buf *buf, struct str text);

/* Appends `text` in double quotes as a cell of CSV (RFC 4180): a quote within is doubled. */
void text_put_csv_quoted(struct buf *buf, struct str text);

/* What a hexadecimal digit stands for; -1: it is none. */
static inline int text_hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* The byte that an escape as "%2F" at the beginning of `text` stands for; -1: there is none. */
static inline int text_percent_byte(struct str text)
{
    if (text.len < 3 || text.ptr[0] != '%') {
        return -1;
    }
    const int high = text_hex_digit(text.ptr[1]), low = text_hex_digit(text.ptr[2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* Appends what percent-encoding stands for; false, with a part of it appended, for an escape that
 * is none. The bytes may be any. */
bool text_put_percent_decoded(struct buf *buf, struct str text);

/* Appends standard base64 with padding. */
void text_put_base64(struct buf *buf, struct str bytes);

/* Appends the bytes that base64 `text` stands for; false, with nothing appended, if it is none. */
bool text_put_unbase64(struct buf *buf, struct str text);

#endif
