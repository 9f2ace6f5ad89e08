/*
 * l1_uses.c: what the cache is asked for: samples that each thread leaves, gathered now and then.
 *
 * A hit may cost nothing for this. So a thread notes the hash of the key alone, in a ring of its
 * own: of each use, until a few hundred are noted since they were last gathered, so that a server
 * with few requests forgets none; from there on of one in 32 or so, by chance, because requests
 * that come in turn must not always have the same one noted. Whoever gathers knows from the
 * counters how many uses there were, and gives each note its share of them.
 *
 * A note is one atomic word. The writer begins a ring anew when it next notes something and sees
 * that it was gathered; what is read while it is written is one note or another, both true.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "base/random.h"
#include "cache/l1_parts.h"

enum {
    EXACT = 256,  /* notes of a ring that each are one use */
    BETWEEN = 63, /* most uses between two notes behind those; half as many on average */
    MOST_TAGS = 256,
};

struct used {
    uint64_t hash;
    double uses;
};

void l1_note(struct l1 *l1, size_t stripe, uint64_t hash)
{
    struct l1_counts *counts = &l1->counts[stripe];
    uint64_t noted = atomic_load_explicit(&counts->noted, memory_order_relaxed);
    if (atomic_load_explicit(&counts->gathered, memory_order_acquire)) {
        atomic_store_explicit(&counts->gathered, false, memory_order_relaxed);
        noted = 0;
    }
    const uint64_t place = noted < EXACT ? noted : EXACT + (noted - EXACT) % (L1_NOTES - EXACT);
    atomic_store_explicit(&l1->notes[stripe][place], hash, memory_order_relaxed);
    atomic_store_explicit(&counts->noted, noted + 1, memory_order_release);
    const int64_t hits = atomic_load_explicit(&counts->hits, memory_order_relaxed);
    const uint64_t pause = noted + 1 < EXACT ? 0 : random_mix(&l1_thread()->random) & BETWEEN;
    atomic_store_explicit(&counts->next_note, hits + (int64_t)pause, memory_order_relaxed);
}

void l1_note_rare(struct l1 *l1, uint64_t hash)
{
    struct l1_thread *self = l1_thread();
    const size_t stripe = self->number < L1_STRIPES ? self->number : L1_STRIPES - 1;
    const struct l1_counts *counts = &l1->counts[stripe];
    if (atomic_load_explicit(&counts->noted, memory_order_relaxed) < EXACT ||
        atomic_load_explicit(&counts->gathered, memory_order_relaxed) ||
        (random_mix(&self->random) & BETWEEN) <= 1) {
        l1_note(l1, stripe, hash);
    }
}

/* ---- gathering ---- */

/* Appends the notes of a stripe with their share of what was counted; returns how many. */
static size_t gather_stripe(struct l1 *l1, size_t stripe, struct used *out)
{
    struct l1_counts *counts = &l1->counts[stripe];
    const uint64_t noted = atomic_load_explicit(&counts->noted, memory_order_acquire);
    if (noted == 0 || atomic_load_explicit(&counts->gathered, memory_order_relaxed)) {
        return 0;
    }
    const int64_t total = atomic_load_explicit(&counts->hits, memory_order_relaxed) +
                          atomic_load_explicit(&counts->stale, memory_order_relaxed) +
                          atomic_load_explicit(&counts->misses, memory_order_relaxed);
    const double since = (double)(total - l1->gathered[stripe]);
    const size_t count = noted < L1_NOTES ? (size_t)noted : L1_NOTES;
    /* Uses between the gathering and the first note after it are shared out among all. */
    const double first = count > EXACT ? 1 : since / (double)count;
    const double rest = count > EXACT ? (since - EXACT) / (double)(count - EXACT) : 0;
    for (size_t i = 0; i < count; i++) {
        out[i].hash = atomic_load_explicit(&l1->notes[stripe][i], memory_order_relaxed);
        out[i].uses = i < EXACT ? first : rest;
    }
    l1->gathered[stripe] = total;
    atomic_store_explicit(&counts->gathered, true, memory_order_release);
    return count;
}

static int compare_hashes(const void *a_ptr, const void *b_ptr)
{
    const struct used *a = a_ptr, *b = b_ptr;
    return a->hash < b->hash ? -1 : a->hash > b->hash;
}

static size_t merge(struct used *used, size_t count)
{
    size_t kept = 0;
    qsort(used, count, sizeof *used, compare_hashes);
    for (size_t i = 0; i < count; i++) {
        if (kept && used[kept - 1].hash == used[i].hash) {
            used[kept - 1].uses += used[i].uses;
        } else {
            used[kept++] = used[i];
        }
    }
    return kept;
}

/* Copies key and tags of the entry of a hash, the key first; 0: it is gone. Under the lock. */
static size_t copy_names(struct l1 *l1, uint64_t hash, struct buf *text, struct str *names)
{
    struct l1_entry *entry = l1_table_find_hash(l1, hash);
    if (!entry) {
        return 0;
    }
    const size_t tags = entry->tag_count < MOST_TAGS ? entry->tag_count : MOST_TAGS;
    buf_clear(text);
    names[0] = l1_key(entry);
    buf_put(text, names[0]);
    for (size_t i = 0; i < tags; i++) {
        const struct l1_tag *tag = entry->tags[i].tag;
        names[i + 1] = (struct str){tag->text, tag->len};
        buf_put(text, names[i + 1]);
    }
    const char *at = text->ptr;
    for (size_t i = 0; i <= tags; i++) {
        names[i].ptr = at;
        at += names[i].len;
    }
    return tags + 1;
}

void l1_take_uses(struct l1 *l1,
                  void (*each)(struct str key, const struct str *tags, size_t tag_count,
                               double uses, void *user),
                  void *user)
{
    struct used *used = mem_alloc(sizeof *used * L1_STRIPES * L1_NOTES);
    struct str names[MOST_TAGS + 1];
    struct buf text = {0};
    size_t count = 0;
    for (size_t i = 0; i < L1_STRIPES; i++) {
        count += gather_stripe(l1, i, used + count);
    }
    count = merge(used, count);
    for (size_t i = 0; i < count; i++) {
        pthread_mutex_lock(&l1->lock);
        const size_t found = copy_names(l1, used[i].hash, &text, names);
        pthread_mutex_unlock(&l1->lock);
        if (found) {
            each(names[0], names + 1, found - 1, used[i].uses, user);
        }
    }
    buf_free(&text);
    free(used);
}
