/*
 * demo_log.h: the demo world into the event log, in durable batches, resumable.
 */
#ifndef IMPORT_DEMO_LOG_H
#define IMPORT_DEMO_LOG_H

#include "import/demo.h"
#include "log/bus.h"

struct demo_log_options {
    struct demo_options world; /* `first` is not looked at */
    bool end_is_now;           /* world.end_us is the time of this run, not a choice */
    size_t batch_bytes;        /* about so many bytes a commit; a KOL is never split */
};

/* What stands in the log of this world, earlier runs of the same command included. */
struct demo_log_report {
    int64_t events[TOPIC_COUNT];
    int64_t kols, all_kols;
    int64_t resumed_at; /* KOL that this run began with; 0: at the beginning */
    int64_t end_us;     /* of the world; that of the first run where end_is_now */
};

/*
 * Writes the world into a log whose input topics are empty, or goes on with the same world where an
 * earlier run was stopped: the next KOL is kept as a mark of the log, in the same commit as the
 * events. `report` is right for every status.
 *
 * KOL_EXISTS: the topics hold events, or another world is unfinished; nothing was written.
 * KOL_INTERRUPTED: a stop was asked for; what was made is durable. KOL_FENCED: a newer run of the
 * same kind has taken over.
 */
enum kol_status demo_log_run(struct bus *bus, const struct demo_log_options *options,
                             struct demo_log_report *report, struct kol_error *err) KOL_CHECKED;

#endif
