/*
 * lines.h: the lines of a text file (NDJSON), one by one.
 *
 * A byte order mark in front, CRLF, blank lines and a last line without newline are all fine. A
 * line that is too long is handed out cut and marked, and reading goes on behind it.
 */
#ifndef IMPORT_LINES_H
#define IMPORT_LINES_H

#include "base/str.h"
#include "import/window.h"

struct lines {
    struct window *window; /* borrowed */
    size_t max_bytes;      /* of one line, without its end */
    int64_t next_line;     /* number of the line at the window's begin, from 1 */
    struct buf cut;        /* the front of a line that was too long */
};

struct line {
    struct str text; /* without its end; valid until the next call */
    int64_t number;  /* from 1 */
    bool too_long;   /* `text` is only its first max_bytes */
};

/* `first_line`: the number of the line at the window's position. */
void lines_init(struct lines *lines, struct window *window, size_t max_bytes, int64_t first_line);
void lines_free(struct lines *lines);

/* The next line that is not blank; KOL_END behind the last; else fails as source_read() does. The
 * window's position is then behind the line, its end included. */
enum kol_status lines_next(struct lines *lines, struct line *out,
                           struct kol_error *err) KOL_CHECKED;

#endif
