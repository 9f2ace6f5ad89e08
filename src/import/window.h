/*
 * window.h: the part of a source that a reader of records looks at.
 *
 *     source:  ....taken already....|begin ........ end|....not read yet....
 *                                    ^ position
 *
 * A record is looked for in bytes[begin, end); what is missing is asked for with window_more(), and
 * what is done with is given up with window_take(). The window grows to the longest record that its
 * reader is willing to look at, never with the file.
 */
#ifndef IMPORT_WINDOW_H
#define IMPORT_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "import/source.h"

struct window {
    struct source *source; /* borrowed */
    char *bytes;
    size_t begin, end, cap;
    int64_t position; /* of bytes[begin] in the decompressed source */
    bool at_end;      /* the source has nothing behind `end` */
};

void window_init(struct window *window, struct source *source);
void window_free(struct window *window); /* the source stays open */

/* Adds at least one byte behind `end`, or sets at_end. The bytes may move: offsets from `begin`
 * stay right, pointers do not. Fails as source_read() does. */
enum kol_status window_more(struct window *window, struct kol_error *err) KOL_CHECKED;

/* Gives up the first `len` bytes; they stay readable until the next window_more(). */
void window_take(struct window *window, size_t len);

/* Goes forward to a position of the source; what is in between is given up. */
enum kol_status window_seek(struct window *window, int64_t position,
                            struct kol_error *err) KOL_CHECKED;

static inline size_t window_len(const struct window *window)
{
    return window->end - window->begin;
}

#endif
