/*
 * decode.h: JSON -> typed, checked event, led by the field tables.
 *
 * One pass over the bytes finds the values of known keys wherever they stand and validates all the
 * rest (syntax of RFC 8259, UTF-8, escapes, depth); a second step converts the values that the
 * event's type needs. Nothing is allocated per event but from the caller's arena, and that only for
 * texts with escapes, lists and ids made here.
 *
 * Keys: any order; an unknown key is skipped with its value; of one key given twice the last counts
 * (a null too: the value is then unknown). Other names of a field: see .accepts in
 * fields/common.def; the value is the first one that is known in that order, but all that are given
 * must be right.
 */
#ifndef DOMAIN_DECODE_H
#define DOMAIN_DECODE_H

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"
#include "domain/event.h"

enum {
    DECODE_MAX_BYTES = 1 << 20, /* of one event */
    DECODE_MAX_DEPTH = 32,      /* of nested arrays and objects, the event itself counted */
    DECODE_MAX_TAGS = 1000,     /* items of an array of TAGS, empty ones counted */
};

/*
 * Decodes one event from `json` (an object, white space around it allowed).
 *
 * `event`: filled; its texts are views into `json` or into `arena`, valid while both are.
 * `now_us`: the time that event_time is checked against (clock_now_us()).
 * An event without event_id gets one made from its content: 32 hex digits, the XXH3-128 of its
 * canonical JSON without event_id.
 *
 * KOL_INVALID with the reason ("followers_count: expected an integer, got a string") if the bytes
 * are no JSON object, break a limit, a type, a bound or a rule of event_check(); `event` is then
 * undefined. Thread-safe.
 */
enum kol_status event_decode(struct str json, int64_t now_us, struct arena *arena,
                             struct event *event, struct kol_error *err) KOL_CHECKED;

/*
 * Reads a text cell as the value of `field`, for sources that have no types (CSV): INT and REAL as
 * decimal text, BOOL as true/false/yes/no/1/0/t/f in any case, TIME as RFC 3339, CHOICE by word,
 * TAGS as one item, the rest as text by the rules of their kind. Sets the bit in event->known, or
 * leaves it clear where the kind makes an empty text unknown. Texts stay views into `text`.
 */
enum kol_status event_set_text(struct event *event, int field, struct str text, struct arena *arena,
                               struct kol_error *err) KOL_CHECKED;

/* For events that were not decoded from JSON: event_type from event->type where it is unknown (a
 * different one is refused), event_complete(), event_check(), and the id where there is none.
 * `arena` holds the id. */
enum kol_status event_finish(struct event *event, int64_t now_us, struct arena *arena,
                             struct kol_error *err) KOL_CHECKED;

#endif
