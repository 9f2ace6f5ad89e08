/*
 * slots.h: an open table of hashes of 63 bits, at most half full. Private.
 *
 * The hashes come from the engine (`CAST(hash(...) >> 1 AS BIGINT)`), whose own hash is the same
 * wherever it takes two keys for one. The highest bit of a slot is its owner's to use.
 */
#ifndef LAKE_SLOTS_H
#define LAKE_SLOTS_H

#include <stddef.h>
#include <stdint.h>

enum {
    SLOTS_MAX_ROWS = 1 << 21, /* 32 MiB of slots, beside the engine's limit; since.c has 64 more */
    /* Slots that are looked at for one hash: of two million by chance it is 80 at the most. Keys
     * that somebody chose for their hashes are left to the engine. */
    SLOTS_MAX_STEPS = 512,
};

#define SLOTS_MARK (UINT64_C(1) << 63)
#define SLOTS_NONE SIZE_MAX

/* Hashes by their lowest bits, the next slot where one is taken; 0 is an empty one. */
struct slots {
    uint64_t *hashes, mask;
};

/* Room for so many, at most SLOTS_MAX_ROWS. */
void slots_init(struct slots *slots, int64_t rows);
void slots_free(struct slots *slots);

/* What a hash is in a slot: never 0. */
static inline uint64_t slots_hash(int64_t hash)
{
    return hash ? (uint64_t)hash : 1;
}

static inline void slots_prefetch(const struct slots *slots, int64_t hash)
{
    __builtin_prefetch(&slots->hashes[slots_hash(hash) & slots->mask], 1);
}

/* Where a hash stands, or the empty slot that it may be put into; SLOTS_NONE: too far away. */
static inline size_t slots_find(const struct slots *slots, uint64_t hash)
{
    size_t at = hash & slots->mask;
    for (int step = 0; step < SLOTS_MAX_STEPS; step++) {
        const uint64_t there = __atomic_load_n(&slots->hashes[at], __ATOMIC_RELAXED) & ~SLOTS_MARK;
        if (!there || there == hash) {
            return at;
        }
        at = (at + 1) & slots->mask;
    }
    return SLOTS_NONE;
}

#endif
