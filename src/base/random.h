/*
 * random.h: bytes that nobody can foresee, names that nobody else gives, and chance that comes out
 * the same on every machine.
 */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

/* Fills `out` from the kernel's generator. Thread-safe. */
void random_fill(void *out, size_t len);

/* Appends a random UUID (version 4 of RFC 9562), 36 characters. */
void random_put_uuid(struct buf *out);

/* ---- the same for the same seed ---- */

/* xoshiro256** (Blackman and Vigna, 2018), seeded by splitmix64: whole numbers only, so that the
 * same seed gives the same numbers everywhere. Not for secrets. One thread at a time. */
struct random_stream {
    uint64_t state[4];
};

/* A stream of its own for each row of numbers, such as (seed, what it is for): each number passes
 * the mixer before the next is added, so that neighbours share no pattern. `count` is above 0. */
void random_seed(struct random_stream *stream, const uint64_t *numbers, size_t count);
uint64_t random_bits(struct random_stream *stream);
uint64_t random_below(struct random_stream *stream, uint64_t bound); /* 0..bound - 1; bound > 0 */

/* One step of splitmix64: a number made of `*state`, which moves on. */
uint64_t random_mix(uint64_t *state);

#endif
