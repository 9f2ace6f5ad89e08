/*
 * csv.h: records of a CSV file (RFC 4180), one by one, in bounded memory.
 *
 * Fine: a byte order mark in front, CRLF and lone LF as line ends (mixed, too), quoted cells with
 * separators, doubled quotes and line ends inside (kept byte for byte; a lone CR is text
 * everywhere), a quote in the middle of an unquoted cell (text), empty lines (skipped), a last line
 * without end.
 *
 * Broken records are handed out with the reason, and reading goes on:
 *
 *   - the quotes are in order, but the number of cells is wrong, or there are too many of them, or
 * the bytes are no UTF-8: the whole record is the broken one, the next follows behind it;
 *   - text behind a closing quote, a quote that is never closed, a record above the limit: where
 * the record ends cannot be known, so its first line is the broken one and reading goes on at the
 *     next line. A forgotten quote thus costs one line, and never the rest of the file; the lines
 *     behind a stray quote in a cell of several lines come out broken one by one.
 *
 * Looking again costs at most as much as looking once: a quote that stays open over some lines
 * leaves an even number of quotes side by side in each of them, so none of them alone stays open.
 */
#ifndef IMPORT_CSV_H
#define IMPORT_CSV_H

#include "base/arena.h"
#include "base/str.h"
#include "import/window.h"

enum {
    CSV_MAX_RECORD = 16 << 20, /* bytes of one record */
    CSV_MAX_CELLS = 4096,      /* of one record */
};

struct csv_span; /* where a cell lies; private */

struct csv {
    struct window *window; /* borrowed */
    char delimiter;
    size_t max_record, max_cells; /* the limits above, or smaller ones for tests */
    size_t expected;              /* cells that a record must have; 0: any number */
    int64_t next_line;            /* number of the line at the window's begin, from 1 */

    /* Reused from one record to the next. */
    struct csv_span *spans;
    struct str *cells;
    size_t cap;         /* of both */
    struct arena arena; /* cells that had doubled quotes */
    struct buf cut;     /* the front of a line above the limit */
};

struct csv_record {
    const struct str *cells; /* unquoted; all valid until the next call */
    size_t count;
    int64_t line;    /* of its first line, from 1 */
    struct str raw;  /* its bytes as they are in the file, without the line end */
    bool broken;     /* then there are no cells */
    char reason[96]; /* why it is broken */
};

/* `first_line`: the number of the line at the window's position. */
void csv_init(struct csv *csv, struct window *window, char delimiter, int64_t first_line);
void csv_free(struct csv *csv);

/* The next record, good or broken; KOL_END behind the last; else fails as source_read() does. The
 * window's position is then behind the record, and reading can begin there again. */
enum kol_status csv_next(struct csv *csv, struct csv_record *out,
                         struct kol_error *err) KOL_CHECKED;

#endif
