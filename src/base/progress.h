/*
 * progress.h: how far a long piece of work is: a bar on a terminal, a line now and then elsewhere.
 *
 * Goes to stderr. Not thread-safe: one thread reports.
 */
#ifndef BASE_PROGRESS_H
#define BASE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

enum progress_style {
    PROGRESS_AUTO, /* a bar if stderr is a terminal, else lines */
    PROGRESS_BAR,
    PROGRESS_LINES,
    PROGRESS_OFF,
};

struct progress {
    const char *what; /* "import videos.csv" */
    const char *unit; /* "events"; "bytes" is shown in kB, MB, GB */
    int64_t total;    /* 0: unknown, no share and no ETA */
    int64_t done;
    int64_t started_ns, shown_ns;
    int64_t started_at; /* `done` at the start: work that an earlier run did counts in no rate */
    enum progress_style style;
    bool drawn; /* a bar stands on the current line */
};

/* The style of every progress that is begun from now on as PROGRESS_AUTO. */
void progress_set_style(enum progress_style style);

void progress_begin(struct progress *progress, const char *what, const char *unit, int64_t total,
                    int64_t already_done);
/* Cheap enough for every batch: shows something at most 10 times a second (bar) or every 5 s. */
void progress_update(struct progress *progress, int64_t done);
/* Removes the bar; writes nothing else: the caller says what came out. */
void progress_end(struct progress *progress);

#endif
