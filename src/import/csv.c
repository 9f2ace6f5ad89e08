/*
 * csv.c: the state machine behind csv.h.
 *
 * A record is scanned without being taken from the window; only what came out decides how much is
 * taken. While scanning, cells are offsets, because the window's bytes may move.
 */
#include "import/csv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"

struct csv_span {
    size_t at, len; /* from the window's begin; inside the quotes of a quoted cell */
    bool doubled;   /* holds doubled quotes */
};

enum state {
    CELL_BEGIN,
    CELL_PLAIN,
    CELL_QUOTED,
    CELL_CLOSED, /* behind the closing quote, or the first one of two */
};

/* One look at a record. */
struct scan {
    enum state state;
    size_t at;            /* the byte looked at, from the window's begin */
    size_t count;         /* cells found, those that found no room too */
    struct csv_span cell; /* the one being read */
    bool finished;        /* the record's end was found, at `at` */
    bool input_ended;     /* there is no line end behind it */
    const char *problem;  /* the structure is broken: the record's end is not known */
};

void csv_init(struct csv *csv, struct window *window, char delimiter, int64_t first_line)
{
    *csv = (struct csv){
        .window = window,
        .delimiter = delimiter,
        .max_record = CSV_MAX_RECORD,
        .max_cells = CSV_MAX_CELLS,
        .next_line = first_line,
    };
    arena_init(&csv->arena, 0);
}

void csv_free(struct csv *csv)
{
    free(csv->spans);
    free(csv->cells);
    arena_free(&csv->arena);
    buf_free(&csv->cut);
}

/* Room for one more cell than `count`. */
static void reserve_cell(struct csv *csv, size_t count)
{
    if (count == csv->cap) {
        csv->cap = csv->cap ? csv->cap * 2 : 64;
        csv->spans = mem_realloc(csv->spans, csv->cap * sizeof *csv->spans);
        csv->cells = mem_realloc(csv->cells, csv->cap * sizeof *csv->cells);
    }
}

static void end_cell(struct csv *csv, struct scan *scan, size_t end)
{
    scan->cell.len = end - scan->cell.at;
    if (scan->count < csv->max_cells) {
        reserve_cell(csv, scan->count);
        csv->spans[scan->count] = scan->cell;
    }
    scan->count++;
    scan->state = CELL_BEGIN;
}

/* At the begin of a cell or inside one without quotes. */
static void scan_plain(struct csv *csv, struct scan *scan, const char *bytes, size_t have)
{
    if (scan->state == CELL_BEGIN) {
        scan->cell = (struct csv_span){.at = scan->at};
        scan->state = CELL_PLAIN;
        if (bytes[scan->at] == '"') {
            scan->cell.at = ++scan->at;
            scan->state = CELL_QUOTED;
            return;
        }
    }
    size_t at = scan->at;
    while (at < have && bytes[at] != csv->delimiter && bytes[at] != '\n') {
        at++;
    }
    scan->at = at;
    if (at == have) {
        return;
    }
    if (bytes[at] == '\n') {
        bool crlf = at > scan->cell.at && bytes[at - 1] == '\r';
        end_cell(csv, scan, crlf ? at - 1 : at);
        scan->finished = true;
        return;
    }
    end_cell(csv, scan, at);
    scan->at++;
}

static void scan_quoted(struct scan *scan, const char *bytes, size_t have)
{
    const char *quote = memchr(bytes + scan->at, '"', have - scan->at);
    scan->at = quote ? (size_t)(quote - bytes) + 1 : have;
    if (quote) {
        scan->state = CELL_CLOSED;
    }
}

/* Behind a quote inside a quoted cell; false where a CR is the last byte that is there. */
static bool scan_closed(struct csv *csv, struct scan *scan, const char *bytes, size_t have,
                        bool at_end)
{
    size_t quote = scan->at - 1;
    char c = bytes[scan->at];
    if (c == '"') {
        scan->cell.doubled = true;
        scan->state = CELL_QUOTED;
        scan->at++;
        return true;
    }
    if (c == csv->delimiter) {
        end_cell(csv, scan, quote);
        scan->at++;
        return true;
    }
    if (c == '\r' && scan->at + 1 == have) {
        if (!at_end) {
            return false;
        }
        end_cell(csv, scan, quote); /* a last line that ends in CR alone */
        scan->at++;
        scan->finished = scan->input_ended = true;
        return true;
    }
    if (c == '\r' && bytes[scan->at + 1] == '\n') {
        scan->at++;
        c = '\n';
    }
    if (c == '\n') {
        end_cell(csv, scan, quote);
        scan->finished = true;
    } else {
        scan->problem = "text after a closing quote";
    }
    return true;
}

/* What the end of the input means where the scan stands. */
static void scan_input_end(struct csv *csv, struct scan *scan, size_t have)
{
    if (scan->state == CELL_QUOTED) {
        scan->problem = "a quote is never closed";
        return;
    }
    if (scan->state == CELL_BEGIN) { /* behind a separator, or nothing at all */
        scan->cell = (struct csv_span){.at = have};
    }
    end_cell(csv, scan, scan->state == CELL_CLOSED ? have - 1 : have);
    scan->finished = scan->input_ended = true;
}

/* Scans one record from the window's begin; takes nothing. */
static enum kol_status scan_record(struct csv *csv, struct scan *scan, struct kol_error *err)
{
    struct window *window = csv->window;
    *scan = (struct scan){0};
    while (!scan->finished && !scan->problem) {
        const char *bytes = window->bytes + window->begin;
        size_t have = window_len(window);
        bool more = scan->at == have;
        if (!more && scan->state == CELL_CLOSED) {
            more = !scan_closed(csv, scan, bytes, have, window->at_end);
        } else if (!more && scan->state == CELL_QUOTED) {
            scan_quoted(scan, bytes, have);
        } else if (!more) {
            scan_plain(csv, scan, bytes, have);
        }
        if (scan->at > csv->max_record) {
            scan->problem = "longer than a record may be";
        } else if (more && window->at_end) {
            scan_input_end(csv, scan, have);
        } else if (more) {
            enum kol_status status = window_more(window, err);
            if (status != KOL_OK) {
                return status;
            }
        }
    }
    return KOL_OK;
}

static int64_t count_lines(struct str text)
{
    int64_t lines = 0;
    const char *end = text.ptr + text.len;
    for (const char *at = text.ptr; at < end && (at = memchr(at, '\n', (size_t)(end - at))); at++) {
        lines++;
    }
    return lines;
}

static struct str without_line_end(struct str text)
{
    if (text.len && text.ptr[text.len - 1] == '\n') {
        text.len--;
        text.len -= text.len && text.ptr[text.len - 1] == '\r';
    }
    return text;
}

/* Gives up the first line of the window, whatever its length; all or the front of it is `*raw`. */
static enum kol_status take_first_line(struct csv *csv, struct str *raw, struct kol_error *err)
{
    struct window *window = csv->window;
    bool cut = false;
    for (;;) {
        const char *bytes = window->bytes + window->begin;
        size_t have = window_len(window);
        const char *end = have ? memchr(bytes, '\n', have) : NULL;
        size_t len = end ? (size_t)(end - bytes) + 1 : have;
        if (!cut && !end && !window->at_end && have > csv->max_record) {
            buf_clear(&csv->cut);
            buf_append(&csv->cut, bytes, csv->max_record);
            cut = true;
        }
        if (end || window->at_end) {
            *raw = cut ? buf_str(&csv->cut) : without_line_end((struct str){bytes, len});
        }
        if (cut || end || window->at_end) {
            window_take(window, len);
        }
        if (end || window->at_end) {
            csv->next_line += end != NULL;
            return KOL_OK;
        }
        enum kol_status status = window_more(window, err);
        if (status != KOL_OK) {
            return status;
        }
    }
}

static struct str unquote(struct arena *arena, struct str text)
{
    char *copy = arena_alloc(arena, text.len);
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        copy[len++] = text.ptr[i];
        i += text.ptr[i] == '"'; /* the second of the two */
    }
    return (struct str){copy, len};
}

static void make_cells(struct csv *csv, const char *bytes, size_t count)
{
    arena_reset(&csv->arena);
    for (size_t i = 0; i < count; i++) {
        const struct csv_span *span = &csv->spans[i];
        struct str text = {bytes + span->at, span->len};
        csv->cells[i] = span->doubled ? unquote(&csv->arena, text) : text;
    }
}

/* The record's quotes are in order and its end is known: fills `out` and takes it. */
static void take_record(struct csv *csv, const struct scan *scan, struct csv_record *out)
{
    const char *bytes = csv->window->bytes + csv->window->begin;
    size_t len = scan->at + !scan->input_ended;
    out->raw = without_line_end((struct str){bytes, len});
    if (scan->count > csv->max_cells) {
        snprintf(out->reason, sizeof out->reason, "more than %zu cells", csv->max_cells);
    } else if (csv->expected && scan->count != csv->expected) {
        snprintf(out->reason, sizeof out->reason, "%zu cells, the header has %zu", scan->count,
                 csv->expected);
    } else if (!text_is_utf8(out->raw)) {
        snprintf(out->reason, sizeof out->reason, "not UTF-8");
    } else {
        make_cells(csv, bytes, scan->count);
        out->cells = csv->cells;
        out->count = scan->count;
    }
    out->broken = out->reason[0] != '\0';
    csv->next_line += count_lines((struct str){bytes, len});
    window_take(csv->window, len);
}

/* Skips a byte order mark and empty lines. KOL_END where nothing follows. */
static enum kol_status find_record(struct csv *csv, struct kol_error *err)
{
    struct window *window = csv->window;
    for (;;) {
        while (window_len(window) < 3 && !window->at_end) {
            enum kol_status status = window_more(window, err);
            if (status != KOL_OK) {
                return status;
            }
        }
        const char *bytes = window->bytes + window->begin;
        size_t have = window_len(window);
        if (have == 0) {
            return KOL_END;
        }
        if (window->position == 0 && have >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0) {
            window_take(window, 3);
        } else if (bytes[0] == '\n' || (have > 1 && bytes[0] == '\r' && bytes[1] == '\n')) {
            window_take(window, bytes[0] == '\n' ? 1 : 2);
            csv->next_line++;
        } else {
            return KOL_OK;
        }
    }
}

enum kol_status csv_next(struct csv *csv, struct csv_record *out, struct kol_error *err)
{
    struct scan scan;
    *out = (struct csv_record){0};
    enum kol_status status = find_record(csv, err);
    if (status != KOL_OK) {
        return status;
    }
    out->line = csv->next_line;
    status = scan_record(csv, &scan, err);
    if (status != KOL_OK) {
        return status;
    }
    if (!scan.problem) {
        take_record(csv, &scan, out);
        return KOL_OK;
    }
    out->broken = true;
    snprintf(out->reason, sizeof out->reason, "%s", scan.problem);
    return take_first_line(csv, &out->raw, err);
}
