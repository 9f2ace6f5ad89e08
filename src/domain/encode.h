/*
 * encode.h: event -> canonical JSON, and rejects -> records of kol.dead.
 *
 * Canonical: the known fields in the order of the table, no white space, texts escaped as little as
 * JSON allows, integers in decimal, doubles in their shortest exact form, times in UTC. The same
 * event always gives the same bytes, so ids can be made from them.
 */
#ifndef DOMAIN_ENCODE_H
#define DOMAIN_ENCODE_H

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"
#include "domain/event.h"

/* Appends the event with its event_id. */
void event_encode(struct buf *out, const struct event *event);

/* Appends the 32 hex digits that name this content: XXH3-128 of the canonical JSON without
 * event_id. `scratch` is overwritten. */
void event_put_content_id(struct buf *out, const struct event *event, struct buf *scratch);

/* Where a reject came from: a message of the log, or a line of a file. */
struct dead_letter {
    struct str topic;  /* the topic it was in or meant for; empty where unknown */
    int32_t partition; /* -1 where it came from a file */
    int64_t offset;    /* -1 where it came from a file */
    struct str file;   /* empty where it came from the log */
    int64_t line;      /* first line of the record, from 1 */
    struct str reason;
    struct str bytes; /* as they came */
    int64_t time_us;  /* when it was rejected */
};

/* Appends one JSON object: topic, partition, offset, file, line, reason, time, and the bytes as
 * `bytes` where they are UTF-8, else as `bytes_base64`. What is unknown is left out. */
void dead_letter_encode(struct buf *out, const struct dead_letter *dead);

/* Reads such a record back; views into `arena`. KOL_INVALID with the reason if it is none. */
enum kol_status dead_letter_decode(struct str json, struct arena *arena, struct dead_letter *out,
                                   struct kol_error *err) KOL_CHECKED;

#endif
