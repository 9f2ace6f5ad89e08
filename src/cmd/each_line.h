/*
 * each_line.h: what the commands share that read lines, one by one, from stdin or a file. Private
 * to cmd/.
 */
#ifndef CMD_EACH_LINE_H
#define CMD_EACH_LINE_H

#include "base/error.h"
#include "import/lines.h"

struct each_line {
    const char *path;    /* "-": stdin */
    size_t max_bytes;    /* of one line; a longer one is handed out cut, as lines.h says */
    const char *stopped; /* said where a stop was asked for: what stands, or how to go on */
    /* Takes one line, which is valid until it returns. KOL_END: no more lines are wanted. */
    enum kol_status (*take)(void *user, const struct line *line, struct kol_error *err);
    /* Called in a wait for more, see source_on_idle(); may be NULL. */
    enum kol_status (*idle)(void *user, struct kol_error *err);
    void *user;
};

/* Reads to the end, or until take() or idle() give anything but KOL_OK, which is then returned;
 * KOL_OK at the end. KOL_INTERRUPTED where a stop was asked for, before a line is taken. */
enum kol_status each_line(const struct each_line *how, struct kol_error *err) KOL_CHECKED;

#endif
