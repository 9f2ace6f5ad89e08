/*
 * position.h: how far an import of one file is, kept in the log beside the events.
 *
 * The position is a mark of the log (bus_txn_mark()) that each batch moves in its own commit: what
 * is in the log and where reading goes on can never disagree. It is named after everything that
 * decides what the events are (the preset, the file as it is, the values given by hand), so that a
 * changed file or preset begins at the front.
 */
#ifndef IMPORT_POSITION_H
#define IMPORT_POSITION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "domain/event.h"
#include "import/preset.h"
#include "log/bus.h"

enum { POSITION_NAME = 40 };

/* What came out of a file so far, in this run and in those that it goes on from. */
struct import_counts {
    int64_t records;               /* records or lines that were no header and not blank */
    int64_t events;                /* accepted */
    int64_t accepted[TOPIC_COUNT]; /* the same by topic */
    int64_t dead;                  /* records that went to kol.dead */
    int64_t skipped;               /* records for which the preset makes no event */
};

struct position {
    int64_t offset; /* in the decompressed bytes, where the next record begins */
    int64_t line;   /* its number, from 1 */
    struct import_counts counts;
    bool done;        /* the file is read to its end */
    char command[33]; /* done by which command: another one imports the file again */
};

/* The mark's name; empty for a pipe, in which nobody can go on. KOL_NOT_FOUND or KOL_IO where the
 * file cannot be looked at. */
enum kol_status position_name(const struct preset *preset, const char *path, const char *set,
                              char out[POSITION_NAME], struct kol_error *err) KOL_CHECKED;

/* Adds the position to the producer's commit, or its removal where `position` is NULL. */
enum kol_status position_put(struct bus_producer *producer, const char *name,
                             const struct position *position, struct kol_error *err) KOL_CHECKED;

/* KOL_NOT_FOUND where the log has none. */
enum kol_status position_get(struct bus *bus, const char *name, struct position *out,
                             struct kol_error *err) KOL_CHECKED;

#endif
