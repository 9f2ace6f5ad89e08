/*
 * str.h: text as pointer and length, and a buffer that grows.
 *
 * A `struct str` is a view: it owns nothing, need not end in NUL and may hold NUL bytes. A
 * `struct buf` owns its bytes and keeps a NUL behind them, so that buf.ptr is a C string too.
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct str {
    const char *ptr; /* may be NULL where len is 0 */
    size_t len;      /* bytes */
};

#define STR(literal) ((struct str){"" literal, sizeof(literal) - 1})
#define STR_FORMAT(s) (int)(s).len, (s).len ? (s).ptr : ""

struct str str_of(const char *text); /* NULL gives the empty view */
bool str_equal(struct str a, struct str b);
bool str_is(struct str a, const char *text);
bool str_is_nocase(struct str a, const char *text); /* ASCII letters of either case are equal */
bool str_starts(struct str text, struct str prefix);
int str_compare(struct str a, struct str b); /* by bytes, as memcmp; a prefix sorts first */

/* Without ASCII white space at both ends. */
struct str str_trim(struct str text);

/* Cuts `*rest` at the first `separator`: returns what stands before it and leaves what follows in
 * `*rest` (empty, with a NULL pointer, once the text is used up). */
struct str str_cut(struct str *rest, char separator);

/* True where `word` is one of `words`, which stand apart by a space. */
bool str_has_word(struct str words, struct str word);

/* Whole decimal integer with optional sign; false on anything else or out of range. */
bool str_to_int64(struct str text, int64_t *out);

/* Whole finite decimal number as strtod reads it (no hex, no inf, no nan); false on all else. */
bool str_to_double(struct str text, double *out);

/* The name among `count` that is nearest to `text` by edit distance, or NULL where none is near
 * enough to be meant (more than a third of the letters differ). */
const char *str_nearest(struct str text, const char *const *names, size_t count);

struct buf {
    char *ptr;  /* NULL until the first append; NUL-terminated afterwards */
    size_t len; /* bytes used, without the NUL */
    size_t cap; /* bytes allocated */
};

void buf_free(struct buf *buf); /* leaves an empty, usable buffer */
void buf_clear(struct buf *buf);
void buf_reserve(struct buf *buf, size_t more); /* room for `more` bytes and the NUL */
void buf_append(struct buf *buf, const void *bytes, size_t len);
void buf_put(struct buf *buf, struct str text);
void buf_puts(struct buf *buf, const char *text);
void buf_putc(struct buf *buf, char c);
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *buf, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));
void buf_put_int64(struct buf *buf, int64_t value);

/* Shortest decimal text that reads back as the same double; `value` must be finite. */
void buf_put_double(struct buf *buf, double value);

struct str buf_str(const struct buf *buf);

#endif
