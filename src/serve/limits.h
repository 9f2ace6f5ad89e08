/*
 * limits.h: one rate limit for several processes: buckets that all of them fill.
 *
 * A bucket is a time, that at which it will be empty, by the clock of the server that holds it.
 * Each process judges by a bucket of its own and tells afterwards what it let through: that is
 * added whether or not there is room, for it has happened. What a bucket holds beyond its room is
 * owed.
 *
 * The key holds that time as microseconds since 1970, a text of digits, and lives until then.
 * Lengths of time alone go there and back: the clocks of the processes do not matter, and one of
 * the server that is set back or on makes buckets of before empty, or empties them.
 *
 * Threads: as for a pipe: one at a time.
 */
#ifndef SERVE_LIMITS_H
#define SERVE_LIMITS_H

#include "cache/redis.h"

struct serve_spent {
    int64_t age_us;   /* the bucket was not empty before so long ago, */
    int64_t spent_us; /* then this is added; */
    int64_t floor_us; /* it is left with no less than this */
    int64_t most_us;  /* and no more. One that holds more before is none: it is empty then */
};

/* Adds the exchange of a bucket, one script; its answer is for serve_take_spent(). None of the
 * lengths is below 0. */
size_t serve_put_spent(struct redis_pipe *pipe, struct str key, const struct serve_spent *spent);

enum serve_told {
    SERVE_TOLD,
    SERVE_TOLD_ANEW, /* what was under the key was no bucket, and is one now */
    SERVE_NOT_TOLD,  /* refused by the server (no memory, no right), or its answer is none; `why` */
};
/* `held_us`: what the bucket holds now, 0 to most_us. */
enum serve_told serve_take_spent(const struct redis_pipe *pipe, size_t place,
                                 const struct serve_spent *spent, int64_t *held_us,
                                 struct str *why);

#endif
