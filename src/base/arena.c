/* arena.c: a chain of blocks, filled from the front. */
#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { ARENA_ALIGN = 16, ARENA_DEFAULT_BLOCK = 64 * 1024 };

struct arena_block {
    struct arena_block *next; /* blocks behind this one are unused */
    size_t used;              /* bytes of data given out */
    size_t size;              /* bytes of data in all */
    alignas(ARENA_ALIGN) unsigned char data[];
};

void arena_init(struct arena *arena, size_t block_size)
{
    *arena = (struct arena){.block_size = block_size ? block_size : ARENA_DEFAULT_BLOCK};
}

static struct arena_block *block_new(size_t size)
{
    struct arena_block *block = mem_alloc(sizeof *block + size);
    block->next = NULL;
    block->used = 0;
    block->size = size;
    return block;
}

/* Moves on to a block with room for `size`: the next one of the chain, or a new one behind it. */
static struct arena_block *arena_advance(struct arena *arena, size_t size)
{
    size_t want = size > arena->block_size ? size : arena->block_size;
    struct arena_block *block = arena->block ? arena->block->next : arena->first;
    if (!block || block->size < size) {
        struct arena_block *fresh = block_new(want);
        fresh->next = block;
        if (arena->block) {
            arena->block->next = fresh;
        } else {
            arena->first = fresh;
        }
        block = fresh;
    }
    block->used = 0;
    arena->block = block;
    return block;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    KOL_ASSERT(size <= SIZE_MAX / 2);
    size = (size + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
    struct arena_block *block = arena->block;
    if (!block || block->size - block->used < size) {
        block = arena_advance(arena, size);
    }
    void *memory = block->data + block->used;
    block->used += size;
    return memory;
}

struct str arena_copy(struct arena *arena, struct str text)
{
    char *copy = arena_alloc(arena, text.len + 1);
    if (text.len) {
        memcpy(copy, text.ptr, text.len);
    }
    copy[text.len] = '\0';
    return (struct str){copy, text.len};
}

static void free_chain(struct arena_block *block)
{
    while (block) {
        struct arena_block *next = block->next;
        free(block);
        block = next;
    }
}

void arena_reset(struct arena *arena)
{
    if (arena->first) {
        free_chain(arena->first->next);
        arena->first->next = NULL;
        arena->first->used = 0;
        arena->block = arena->first;
    }
}

void arena_free(struct arena *arena)
{
    free_chain(arena->first);
    arena->first = NULL;
    arena->block = NULL;
}
