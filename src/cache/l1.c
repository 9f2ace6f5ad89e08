/*
 * l1.c: the cache in the process: looking up, putting in, taking out.
 *
 * The other files: l1_hold.c (who holds an entry), l1_table.c (the table), l1_load.c (single flight
 * and what comes out of it), l1_evict.c (what has to go for room), l1_tags.c (taking out by key,
 * tag and prefix), l1_uses.c (what was asked for). l1_parts.h says how they work together.
 */
#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/random.h"
#include "cache/l1_parts.h"

enum { FIRST_CELLS = 1024 };

/* ---- making and ending ---- */

struct l1 *l1_new(const struct l1_options *options)
{
    struct l1 *l1 = aligned_alloc(alignof(struct l1), sizeof *l1);
    KOL_ASSERT(l1);
    memset(l1, 0, sizeof *l1);
    l1->options = *options;
    random_fill(&l1->seed, sizeof l1->seed);
    KOL_ASSERT(pthread_mutex_init(&l1->lock, NULL) == 0);
    atomic_store(&l1->table, l1_table_new(FIRST_CELLS));
    l1->notes = mem_zalloc(L1_STRIPES, sizeof *l1->notes);
    l1->ages.newer = l1->ages.older = &l1->ages;
    l1_tags_init(&l1->tags);
    l1_evict_init(l1);
    return l1;
}

void l1_free(struct l1 **l1)
{
    struct l1 *old = *l1;
    if (!old) {
        return;
    }
    KOL_ASSERT(old->loading == 0);
    l1_drop_all(old);
    struct l1_table *table = atomic_load(&old->table);
    while (table) {
        struct l1_table *before = table->before;
        free(table);
        table = before;
    }
    free(old->notes);
    free(old->tags.buckets);
    free(old->sketch.lines);
    pthread_mutex_destroy(&old->lock);
    free(old);
    *l1 = NULL;
}

int64_t l1_now_us(const struct l1 *l1)
{
    return l1->options.now_us ? l1->options.now_us(l1->options.user) : clock_now_us();
}

/* It is this late at most; cheap. */
static inline int64_t latest_us(const struct l1 *l1)
{
    return l1->options.now_us ? l1->options.now_us(l1->options.user)
                              : clock_rough_us() + CLOCK_ROUGH_US;
}

/* ---- an entry ---- */

void *l1_data(const struct l1_entry *entry)
{
    return entry->data;
}

int64_t l1_filled_us(const struct l1_entry *entry)
{
    return entry->filled_us;
}

int64_t l1_fresh_until_us(const struct l1_entry *entry)
{
    const int64_t outdated_us = l1_outdated_us(entry);
    return outdated_us && outdated_us < entry->fresh_until_us ? outdated_us : entry->fresh_until_us;
}

/* ---- counting ---- */

/* One more in this thread's stripe: nobody else writes there, but for the last one. */
static inline void count(struct l1 *l1, size_t thread, size_t offset)
{
    struct l1_counts *stripe = &l1->counts[thread < L1_STRIPES ? thread : L1_STRIPES - 1];
    _Atomic int64_t *counter = (_Atomic int64_t *)((char *)stripe + offset);
    if (thread < L1_STRIPES - 1) {
        const int64_t now = atomic_load_explicit(counter, memory_order_relaxed);
        atomic_store_explicit(counter, now + 1, memory_order_relaxed);
    } else {
        atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
    }
}

/* The same for a hit, some of which are noted. */
static inline void count_hit(struct l1 *l1, uint64_t hash)
{
    const size_t thread = l1_thread()->number;
    const size_t stripe = thread < L1_STRIPES ? thread : L1_STRIPES - 1;
    struct l1_counts *counts = &l1->counts[stripe];
    count(l1, thread, offsetof(struct l1_counts, hits));
    if (atomic_load_explicit(&counts->hits, memory_order_relaxed) >
        atomic_load_explicit(&counts->next_note, memory_order_relaxed)) {
        l1_note(l1, stripe, hash);
    }
}

#define COUNT(l1, field) count(l1, l1_thread()->number, offsetof(struct l1_counts, field))

/* Who asks for what is not there mostly has it loaded: it is there when notes are gathered. */
static void count_miss(struct l1 *l1, uint64_t hash)
{
    COUNT(l1, misses);
    l1_note_rare(l1, hash);
}

void l1_stats(const struct l1 *l1, struct l1_stats *out)
{
    struct l1 *open = (struct l1 *)(uintptr_t)l1; /* its lock is no part of what is constant */
    pthread_mutex_lock(&open->lock);
    *out = l1->stats;
    out->entries = (int64_t)l1->entries;
    out->bytes = (int64_t)l1->bytes;
    out->max_bytes = (int64_t)l1->options.max_bytes;
    pthread_mutex_unlock(&open->lock);
    for (size_t i = 0; i < L1_STRIPES; i++) {
        out->hits += atomic_load_explicit(&l1->counts[i].hits, memory_order_relaxed);
        out->stale += atomic_load_explicit(&l1->counts[i].stale, memory_order_relaxed);
        out->misses += atomic_load_explicit(&l1->counts[i].misses, memory_order_relaxed);
    }
}

/* ---- reading ---- */

/* Marks a hit for the eviction. Two at once may count as one. */
static inline void touch(struct l1_entry *entry)
{
    const uint8_t mark = atomic_load_explicit(&entry->mark, memory_order_relaxed);
    if (mark < L1_MARK_MAX) {
        atomic_store_explicit(&entry->mark, (uint8_t)(mark + 1), memory_order_relaxed);
    }
}

/* Lets go of an entry that is past everything, and of its room unless somebody else has the lock.
 */
static void let_go(struct l1 *l1, struct l1_entry *entry)
{
    struct l1_entry *taken_out = NULL;
    if (pthread_mutex_trylock(&l1->lock) == 0) {
        if (entry->queue) {
            l1_take_out(l1, entry, &taken_out);
            l1->stats.expired++;
        }
        pthread_mutex_unlock(&l1->lock);
    }
    l1_release(entry);
    if (taken_out) {
        l1_settle(taken_out);
    }
}

/* XFetch: a refresh is due as if the time were later by a random part of what a load takes, which
 * is exponentially distributed. So one of many hits begins it in time, and rarely two do. */
static bool is_early(const struct l1_entry *entry, int64_t now_us)
{
    if (entry->early_us == 0) {
        return false;
    }
    const double chance = ((double)(random_mix(&l1_thread()->random) >> 11) + 1) * 0x1p-53;
    return (double)now_us - (double)entry->early_us * log(chance) >= (double)entry->fresh_until_us;
}

/* The entry may be served only if a load fails, or not even then. */
static enum l1_found miss(struct l1 *l1, uint64_t hash, struct l1_entry **out, int64_t now_us)
{
    struct l1_entry *entry = *out;
    *out = NULL;
    if (now_us >= l1_gone_us(entry)) {
        let_go(l1, entry);
    } else {
        l1_release(entry);
    }
    count_miss(l1, hash);
    return L1_MISS;
}

/* What becomes of a hit on an entry that is not simply fresh. */
static enum l1_found look_closer(struct l1 *l1, uint64_t hash, struct l1_entry **out)
{
    struct l1_entry *entry = *out;
    const int64_t now_us = l1_now_us(l1);
    const bool outdated = l1_outdated_us(entry), rests = l1_rests(entry, now_us);
    const bool loading = atomic_load_explicit(&entry->loading, memory_order_relaxed) || rests;
    if (outdated ? !rests || now_us >= l1_gone_us(entry) : now_us >= entry->stale_until_us) {
        return miss(l1, hash, out, now_us);
    }
    touch(entry);
    if (!outdated && now_us < entry->fresh_until_us) {
        count_hit(l1, hash);
        return !loading && is_early(entry, now_us) ? L1_REFRESH : L1_HIT;
    }
    COUNT(l1, stale);
    l1_note_rare(l1, hash);
    return loading ? L1_STALE : L1_REFRESH;
}

enum l1_found l1_get(struct l1 *l1, struct str key, struct l1_entry **out)
{
    const uint64_t hash = l1_hash(l1, key);
    struct l1_entry *entry = *out = l1_table_take(l1, key, hash);
    if (!entry) {
        count_miss(l1, hash);
        return L1_MISS;
    }
    if (latest_us(l1) < atomic_load_explicit(&entry->quick_until_us, memory_order_relaxed)) {
        touch(entry);
        count_hit(l1, hash);
        return L1_HIT;
    }
    return look_closer(l1, hash, out);
}

struct l1_entry *l1_get_after_error(struct l1 *l1, struct str key)
{
    struct l1_entry *entry = l1_table_take(l1, key, l1_hash(l1, key));
    if (entry && l1_now_us(l1) >= l1_gone_us(entry)) {
        let_go(l1, entry);
        return NULL;
    }
    return entry;
}

/* ---- putting in and taking out, under the lock ---- */

static void count_in(struct l1 *l1, struct l1_entry *entry)
{
    entry->number = ++l1->sequence;
    entry->age = (struct l1_place){&l1->ages, l1->ages.older, entry};
    entry->age.newer->older = entry->age.older->newer = &entry->age;
    l1->entries++;
    l1->bytes += entry->bytes;
}

static void count_out(struct l1 *l1, struct l1_entry *entry, struct l1_entry **taken_out)
{
    l1_tags_remove(l1, entry);
    entry->age.newer->older = entry->age.older;
    entry->age.older->newer = entry->age.newer;
    l1->entries--;
    l1->bytes -= entry->bytes;
    entry->queue = NULL;
    entry->older = *taken_out;
    *taken_out = entry;
}

void l1_put(struct l1 *l1, struct l1_entry *entry, struct l1_entry **taken_out)
{
    struct l1_entry *old = l1_table_find(l1, l1_key(entry), entry->hash);
    if (old) {
        l1_table_replace(l1, old, entry);
        l1_evict_replace(l1, old, entry);
        count_out(l1, old, taken_out);
    } else {
        l1_table_put(l1, entry);
        l1_evict_put(l1, entry);
    }
    count_in(l1, entry);
    l1_evict(l1, entry->filled_us, taken_out);
}

void l1_take_out(struct l1 *l1, struct l1_entry *entry, struct l1_entry **taken_out)
{
    l1_table_remove(l1, entry);
    l1_evict_remove(l1, entry);
    count_out(l1, entry, taken_out);
}

void l1_outdate(struct l1_entry *entry, int64_t now_us)
{
    atomic_store_explicit(&entry->outdated_us, now_us > 0 ? now_us : 1, memory_order_relaxed);
    atomic_store_explicit(&entry->rest_until_us, 0, memory_order_relaxed);
    atomic_store(&entry->quick_until_us, 0); /* last: who finds it not quick looks at the rest */
}
