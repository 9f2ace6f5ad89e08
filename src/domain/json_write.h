/*
 * json_write.h: JSON put into a buffer whose room is reserved already.
 *
 * Private to domain/. The caller has asked for the bounds below; nothing here checks again.
 */
#ifndef DOMAIN_JSON_WRITE_H
#define DOMAIN_JSON_WRITE_H

#include <string.h>

#include "base/str.h"

enum { JSON_WRITE_SLACK = 16 }; /* bytes behind a text that may be scribbled on */

/* Bytes of room that a text of `len` bytes needs. */
static inline size_t json_text_bound(size_t len)
{
    return 6 * len + 2 + JSON_WRITE_SLACK;
}

static inline void json_put_byte(struct buf *out, char c)
{
    out->ptr[out->len++] = c;
}

static inline void json_put_raw(struct buf *out, struct str text)
{
    memcpy(out->ptr + out->len, text.ptr, text.len);
    out->len += text.len;
}

/* Puts a string with its quotes, escaped as text_put_json() does. */
void json_put_text(struct buf *out, struct str text);

#endif
