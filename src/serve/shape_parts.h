/*
 * shape_parts.h: JSON as slices of its text; private to serve/shape*.c and their tests.
 *
 *     shape.c        objects to fields and back, by a schema
 *     shape_read.c   the grammar: values are checked whole and cut out of the text, not turned into
 *                    a tree
 *
 * Everything here is given UTF-8 (text_is_utf8()); slices point into it.
 */
#ifndef SERVE_SHAPE_PARTS_H
#define SERVE_SHAPE_PARTS_H

#include "base/arena.h"
#include "base/str.h"

enum { SHAPE_DEPTH = 32 }; /* levels of lists and objects; deeper is refused */

enum shape_kind {
    SHAPE_NULL,
    SHAPE_BOOL,
    SHAPE_NUMBER,
    SHAPE_TEXT,
    SHAPE_OBJECT,
    SHAPE_LIST,
    SHAPE_PLAIN, /* no JSON: the field of a hash, which says nothing of its kind */
};

struct shape_value {
    struct str raw; /* as it stands, a text with its quotes; without white space around it */
    enum shape_kind kind;
};

struct shape_member {
    struct str name; /* without quotes and escapes */
    struct shape_value value;
};

/* The value that `text` is, and nothing but white space around it. False: no JSON (RFC 8259), a
 * half of a surrogate pair, a number beyond doubles, or too deep. */
bool shape_read(struct str text, struct shape_value *out);

/* The members of a value that was read, of the kind SHAPE_OBJECT; `*out` in `arena`. False: more
 * than `max`, or two of one name. */
bool shape_members(struct str object, size_t max, struct arena *arena, struct shape_member **out,
                   size_t *count);

/* The next element of a list that was read, of the kind SHAPE_LIST; `*rest` is the list at first.
 * False at its end. */
bool shape_next(struct str *rest, struct shape_value *out);

/* A text without quotes and escapes: a slice where it has none, else in `arena`. */
struct str shape_text(struct str raw, struct arena *arena);

/* Whether a number has neither a fraction nor a power. */
bool shape_is_whole(struct str raw);

/* Appends a number, or any value, as this program writes JSON. */
void shape_put_number(struct str raw, struct buf *out);
void shape_put(const struct shape_value *value, struct arena *arena, struct buf *out);

#endif
