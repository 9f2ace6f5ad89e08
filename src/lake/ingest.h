/*
 * ingest.h: the event log into bronze, exactly once.
 *
 * The place where a table stands in the log is its own property kol.next-offsets (JSON, topic ->
 * partition -> next offset), set in the same commit as the rows and repeated in the snapshot's
 * summary. A commit checks it against the version that it builds on: rows below it are not added
 * again, whoever else ingests. Events that cannot be decoded go to kol.dead, once.
 */
#ifndef LAKE_INGEST_H
#define LAKE_INGEST_H

#include "lake/lake.h"
#include "log/bus.h"

struct ingest_options {
    struct lake *lake;
    struct bus *bus;
    bool follow;          /* go on until a stop is asked for */
    int64_t commit_us;    /* follow: a commit at least so often where there is something */
    int64_t commit_bytes; /* a commit at this size of events */
    const char *from;     /* TOPIC:PARTITION:OFFSET, or NULL: reads again from there; what bronze
                             already has from there on is not added twice */
};

struct ingest_report { /* one table's share of a run */
    const char *table;
    int64_t events, dead, duplicates; /* rows added; refused; already there */
    int64_t lost;                     /* offsets that retention dropped before they were read */
    int64_t files, bytes, commits;
};

/* `reports`: one for each bronze table, in memory for free(), filled on failure too. */
enum kol_status ingest_run(const struct ingest_options *options, struct ingest_report **reports,
                           size_t *count, struct kol_error *err) KOL_CHECKED;

#endif
