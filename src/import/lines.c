/* lines.c: finds line ends in a window. */
#include "import/lines.h"

#include <string.h>

void lines_init(struct lines *lines, struct window *window, size_t max_bytes, int64_t first_line)
{
    *lines = (struct lines){.window = window, .max_bytes = max_bytes, .next_line = first_line};
}

void lines_free(struct lines *lines)
{
    buf_free(&lines->cut);
}

/* Gives up what is left of the current line, its end included. */
static enum kol_status skip_to_line_end(struct window *window, struct kol_error *err)
{
    for (;;) {
        const char *begin = window->bytes + window->begin;
        const char *end = window_len(window) ? memchr(begin, '\n', window_len(window)) : NULL;
        window_take(window, end ? (size_t)(end - begin) + 1 : window_len(window));
        if (end || window->at_end) {
            return KOL_OK;
        }
        enum kol_status status = window_more(window, err);
        if (status != KOL_OK) {
            return status;
        }
    }
}

/* Looks for the end of the line at the window's begin: `*len` bytes of text, `*taken` with the end;
 * `*too_long` where it lies further than the limit. Takes nothing. */
static enum kol_status find_line(struct lines *lines, size_t *len, size_t *taken, bool *too_long,
                                 struct kol_error *err)
{
    struct window *window = lines->window;
    for (size_t searched = 0;;) {
        const char *begin = window->bytes + window->begin;
        size_t have = window_len(window);
        const char *end = have > searched ? memchr(begin + searched, '\n', have - searched) : NULL;
        *len = end ? (size_t)(end - begin) : have;
        *taken = end ? *len + 1 : have;
        *too_long = *len > lines->max_bytes + 1; /* 1: a CR that is no part of the text */
        if (end || window->at_end || *too_long) {
            break;
        }
        searched = have;
        enum kol_status status = window_more(window, err);
        if (status != KOL_OK) {
            return status;
        }
    }
    const char *begin = window->bytes + window->begin;
    if (!*too_long && *len && begin[*len - 1] == '\r') {
        --*len;
    }
    *too_long = *len > lines->max_bytes;
    return KOL_OK;
}

static bool starts_with_byte_order_mark(const struct window *window)
{
    return window->position == 0 && window_len(window) >= 3 &&
           memcmp(window->bytes + window->begin, "\xef\xbb\xbf", 3) == 0;
}

/* Keeps the front of a line and gives up all of it. */
static enum kol_status cut_line(struct lines *lines, struct kol_error *err)
{
    struct window *window = lines->window;
    buf_clear(&lines->cut);
    buf_append(&lines->cut, window->bytes + window->begin, lines->max_bytes);
    return skip_to_line_end(window, err);
}

enum kol_status lines_next(struct lines *lines, struct line *out, struct kol_error *err)
{
    struct window *window = lines->window;
    for (;;) {
        size_t len, taken;
        *out = (struct line){.number = lines->next_line};
        enum kol_status status = find_line(lines, &len, &taken, &out->too_long, err);
        if (status != KOL_OK) {
            return status;
        }
        if (taken == 0) {
            return KOL_END;
        }
        if (starts_with_byte_order_mark(window)) {
            window_take(window, 3);
            continue;
        }
        lines->next_line++;
        if (out->too_long) {
            status = cut_line(lines, err);
            out->text = buf_str(&lines->cut);
            return status;
        }
        out->text = (struct str){window->bytes + window->begin, len};
        window_take(window, taken);
        if (str_trim(out->text).len) {
            return KOL_OK;
        }
    }
}
