/*
 * arena.h: memory that is given back all at once.
 *
 * For what lives exactly as long as a batch, a request or a file: allocate many times, reset once.
 * A reset keeps the first block, so that a loop which needs the same amount each time allocates
 * nothing after its first turn. Not thread-safe: an arena belongs to one thread at a time.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

#include "base/str.h"

struct arena_block;

struct arena {
    struct arena_block *first; /* kept by a reset; NULL until the first allocation */
    struct arena_block *block; /* the one being filled */
    size_t block_size;         /* bytes of an ordinary block */
};

/* `block_size` 0 takes 64 KiB. */
void arena_init(struct arena *arena, size_t block_size);
void *arena_alloc(struct arena *arena, size_t size); /* 16-byte aligned, not zeroed, never NULL */
struct str arena_copy(struct arena *arena, struct str text); /* a copy with a NUL behind it */
void arena_reset(struct arena *arena);
void arena_free(struct arena *arena);

#endif
