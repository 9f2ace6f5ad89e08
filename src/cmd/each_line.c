/*
 * each_line.c: the lines of stdin or of a file, for the commands that take them one by one.
 *
 * Memory is bounded by the longest line that the command wants, whatever comes in.
 */
#include "cmd/each_line.h"

#include "base/signals.h"

static enum kol_status take_lines(const struct each_line *how, struct lines *lines,
                                  struct kol_error *err)
{
    struct line line;
    enum kol_status status = KOL_OK;
    while (status == KOL_OK && (status = lines_next(lines, &line, err)) == KOL_OK) {
        if (signals_stop_asked()) {
            return kol_fail(err, KOL_INTERRUPTED, "%s", how->stopped);
        }
        status = how->take(how->user, &line, err);
    }
    return status == KOL_END ? KOL_OK : status;
}

enum kol_status each_line(const struct each_line *how, struct kol_error *err)
{
    struct source *source;
    struct window window;
    struct lines lines;
    enum kol_status status = source_open(how->path, &source, err);
    if (status != KOL_OK) {
        return status;
    }
    if (how->idle) {
        source_on_idle(source, how->idle, how->user);
    }
    window_init(&window, source);
    lines_init(&lines, &window, how->max_bytes, 1);
    status = take_lines(how, &lines, err);
    lines_free(&lines);
    window_free(&window);
    source_close(&source);
    return status;
}
