/* usage.c: how much each caller asked since the server began: a small hash table of counters. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "api/parts.h"
#include "base/hash.h"

enum { SLOTS = 16384, MOST_CALLERS = 10000, NAME_BYTES = 64 };

struct caller {
    _Atomic bool used; /* set last: the name does not change afterwards */
    char name[NAME_BYTES];
    _Atomic int64_t calls, errors;
};

struct api_usage {
    pthread_mutex_t lock; /* of whoever adds a caller */
    size_t count;
    struct caller others; /* those beyond the limit, together */
    struct caller slots[SLOTS];
};

struct api_usage *api_usage_new(void)
{
    struct api_usage *usage = mem_zalloc(1, sizeof *usage);
    pthread_mutex_init(&usage->lock, NULL);
    return usage;
}

void api_usage_free(struct api_usage **usage)
{
    if (*usage) {
        pthread_mutex_destroy(&(*usage)->lock);
        free(*usage);
        *usage = NULL;
    }
}

/* The caller's slot, or the free one where it belongs. */
static struct caller *slot_of(struct api_usage *usage, struct str name)
{
    for (size_t at = hash_checksum(name) % SLOTS;; at = (at + 1) % SLOTS) {
        struct caller *slot = &usage->slots[at];
        if (!atomic_load_explicit(&slot->used, memory_order_acquire) || str_is(name, slot->name)) {
            return slot;
        }
    }
}

static struct caller *claim(struct api_usage *usage, struct str name)
{
    pthread_mutex_lock(&usage->lock);
    struct caller *slot = slot_of(usage, name);
    if (!atomic_load(&slot->used)) {
        if (usage->count == MOST_CALLERS) {
            slot = &usage->others;
        } else {
            usage->count++;
            memcpy(slot->name, name.ptr, name.len);
            atomic_store_explicit(&slot->used, true, memory_order_release);
        }
    }
    pthread_mutex_unlock(&usage->lock);
    return slot;
}

void api_usage_add(struct api_usage *usage, struct str caller, int status)
{
    struct str name = {caller.ptr, caller.len < NAME_BYTES ? caller.len : NAME_BYTES - 1};
    struct caller *slot = name.len ? slot_of(usage, name) : &usage->others;
    if (name.len && !atomic_load_explicit(&slot->used, memory_order_acquire)) {
        slot = claim(usage, name);
    }
    atomic_fetch_add_explicit(&slot->calls, 1, memory_order_relaxed);
    if (status >= 400) {
        atomic_fetch_add_explicit(&slot->errors, 1, memory_order_relaxed);
    }
}

void api_usage_get(struct api_usage *usage, struct str caller, int64_t *calls, int64_t *errors)
{
    const struct caller *slot = caller.len ? slot_of(usage, caller) : &usage->others;
    *calls = atomic_load(&slot->calls);
    *errors = atomic_load(&slot->errors);
}
