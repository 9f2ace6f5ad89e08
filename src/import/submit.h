/*
 * submit.h: the one way by which an event gets into the log from outside.
 *
 * `kol log produce`, `kol import` and `kol demo` hand in raw JSON lines or typed events; each
 * becomes one record of the topic that its type belongs to, or, where it breaks a rule, one dead
 * letter of kol.dead in the same commit: nothing that was handed in disappears. What came in and
 * what did not, and why, is counted here for the reports.
 *
 * Nothing is durable before submit_flush(). A `struct submit` belongs to one thread at a time. File
 * positions are the caller's business (bus_txn_mark() on the same producer, before the flush).
 */
#ifndef IMPORT_SUBMIT_H
#define IMPORT_SUBMIT_H

#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"
#include "domain/event.h"
#include "log/bus.h"

enum { SUBMIT_REASONS = 20 };

/* Why events went to kol.dead: one distinct reason. */
struct submit_reason {
    char text[512];
    int64_t count;
    char file[256]; /* where it was seen first */
    int64_t line;
};

/* Where something that is handed in comes from. */
struct submit_place {
    const char *file;
    int64_t line; /* first line of the record, from 1 */
};

struct submit {
    struct bus_producer *producer; /* borrowed */
    int32_t partition;             /* of every accepted event; -1: the one of its key */

    int64_t accepted[TOPIC_COUNT]; /* handed to the producer since submit_init() */
    int64_t accepted_total;
    int64_t dead_total;
    int64_t bytes;                                /* of what was handed in, accepted or not */
    struct submit_reason reasons[SUBMIT_REASONS]; /* the first distinct ones, in order of arrival */
    size_t reason_count;
    int64_t other_reasons; /* dead for a reason that found no row */
    char last_reason[512]; /* why the last of them went there */

    /* Reused from one event to the next. */
    struct arena arena;
    struct buf value, key, scratch;

    /* What the metrics have been told: they count what is durable, not what is buffered. */
    int64_t reported[TOPIC_COUNT];
    int64_t dead[TOPIC_COUNT + 1]; /* by the topic that was meant; the last: unknown */
    int64_t dead_reported[TOPIC_COUNT + 1];
};

void submit_init(struct submit *submit, struct bus_producer *producer);
void submit_free(struct submit *submit); /* the producer stays open */

/*
 * Takes one line of NDJSON (white space around it is trimmed, an empty line is an error of its
 * kind). A valid event is stored as it came, byte for byte, under its key and event_time; one
 * without an event_id gets the id made from its content spliced in. Anything else becomes a dead
 * letter, also an event whose type does not belong to `*only_topic` (NULL: any topic of events).
 * Fails only where the producer does; a bad line is no failure.
 */
enum kol_status submit_json(struct submit *submit, struct str line, const enum topic *only_topic,
                            struct submit_place place, struct kol_error *err) KOL_CHECKED;

/* Takes an event that event_finish() has passed; stored as canonical JSON. */
enum kol_status submit_event(struct submit *submit, const struct event *event,
                             struct kol_error *err) KOL_CHECKED;

/* Puts `bytes` into kol.dead with the reason. `topic` NULL: not known which was meant. */
enum kol_status submit_dead(struct submit *submit, const enum topic *topic, struct str bytes,
                            struct str reason, struct submit_place place,
                            struct kol_error *err) KOL_CHECKED;

/* bus_flush() of the producer, and the metrics of what has become durable by it. */
enum kol_status submit_flush(struct submit *submit, struct kol_error *err) KOL_CHECKED;

#endif
