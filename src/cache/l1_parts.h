/*
 * l1_parts.h: what the files of the cache in the process share: its entries, table, loads and tags.
 *
 * Reading takes no lock. A reader finds an entry's address in the table, writes it into a slot of
 * its own thread, and looks whether it still stands in the table. If so, the slot is its hold:
 * whoever takes an entry out of the table looks through the slots of all threads afterwards, before
 * it is freed. So a hit writes to no memory that another thread reads at each hit.
 *
 *     l1_get()                                  taking out
 *     address = table[i]                        table[i] = NULL
 *     slot = address                            slots of all threads with the address + holds
 *     table[i] == address ? held : slot = NULL      == 0 ? freed : looked at again later
 *
 * The number of an entry's holders is `holds` - L1_TABLE_HOLD (while it is in the table) + the
 * slots with its address. A hold is not tied to a thread: a release that finds no slot of its own
 * thread counts `holds` down, below 0 where the slot of another thread stands against it.
 *
 * All changes are made under one lock, which is held for microseconds: what has many entries to
 * take out lets go of it in between. Destructors and wake-ups run outside of it.
 */
#ifndef CACHE_L1_PARTS_H
#define CACHE_L1_PARTS_H

#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <string.h>

#include "base/hash.h"
#include "cache/l1.h"

enum {
    L1_LINE = 64,           /* bytes of a cache line */
    L1_SLOTS = 7,           /* holds of a thread that are kept beside the entry's own count */
    L1_STRIPES = 64,        /* of the counters; the last one is shared by all further threads */
    L1_LOAD_BUCKETS = 1024, /* of the table of loads under way */
    L1_TAG_FENCES = 8192,
    L1_MARK_MAX = 15, /* where the mark of an entry and a counter of the sketch stop */
    L1_STEP = 256,    /* entries taken out before the lock is let go */
    L1_NOTES = 1024,  /* of what one stripe was asked for */
};

#define L1_TABLE_HOLD (INT64_C(1) << 40)

/* ---- entries ---- */

/* A place in the list of all entries by age. A walk that lets go of the lock leaves a place of its
 * own behind, whose `entry` is NULL. */
struct l1_place {
    struct l1_place *newer, *older;
    struct l1_entry *entry;
};

/* One tag of one entry, in the list of all that carry the tag. A walk through the list that lets go
 * of the lock leaves a link of its own behind, whose `entry` is NULL. */
struct l1_tag_link {
    struct l1_tag *tag;
    struct l1_entry *entry;
    struct l1_tag_link *newer, *older;
};

struct l1_queue;

struct l1_entry {
    /* Under the lock. */
    struct l1_queue *queue;         /* NULL: not in the table */
    struct l1_entry *newer, *older; /* in the queue; `older` links what was taken out, too */
    struct l1_place age;
    struct l1_tag_link *tags;
    size_t tag_count;
    unsigned spared; /* how often it was preferred to a new one since its last hit */
    uint64_t number; /* of the sequence, when it was put in */

    /* Constant. */
    uint64_t hash;
    size_t bytes; /* all in all */
    int64_t filled_us, fresh_until_us, stale_until_us, gone_us;
    int64_t early_us; /* time of the load times l1_options.early */
    struct l1_stamp *stamps;
    size_t stamp_count;
    bool weak;
    _Atomic int64_t rest_until_us; /* a load failed: no refresh is asked for until here */
    _Atomic int64_t outdated_us;   /* when it was outdated; 0: it was not */
    void (*destroy)(void *data);

    _Atomic int64_t holds;

    /* What a hit reads, in a cache line of its own, with the beginning of the key. */
    alignas(L1_LINE) _Atomic int64_t
        quick_until_us; /* until here it is fresh and no early refresh is due; 0: outdated */
    void *data;
    uint32_t key_len;
    _Atomic uint8_t mark; /* hits since the eviction looked at it, to L1_MARK_MAX */
    atomic_bool loading;  /* a load for its key is under way */
    atomic_bool out;      /* of the table: its end is up to its holders */
    char key[];
};

static inline struct str l1_key(const struct l1_entry *entry)
{
    return (struct str){entry->key, entry->key_len};
}

/* Whether a load failed just now: what cannot be loaded is not asked for at every hit. */
static inline bool l1_rests(struct l1_entry *entry, int64_t now_us)
{
    return now_us < atomic_load_explicit(&entry->rest_until_us, memory_order_relaxed);
}

/* When it was outdated, or 0. */
static inline int64_t l1_outdated_us(const struct l1_entry *entry)
{
    return atomic_load_explicit(&entry->outdated_us, memory_order_relaxed);
}

/* When it may not be served any more, not even after an error: for what is outdated that span
 * begins there and then. */
static inline int64_t l1_gone_us(const struct l1_entry *entry)
{
    const int64_t outdated_us = l1_outdated_us(entry);
    return !outdated_us || outdated_us >= entry->stale_until_us
               ? entry->gone_us
               : outdated_us + (entry->gone_us - entry->stale_until_us);
}

/* ---- the table ---- */

/* Open addressing, linear probing; what is taken out is closed up by moving back what follows, so
 * there are no tombstones. `hash` 0: the end of a run. A reader may see the hash of one entry
 * beside the address of another while they move; the key decides. */
struct l1_cell {
    _Atomic uint64_t hash;
    _Atomic(struct l1_entry *) entry;
};

struct l1_table {
    size_t mask;
    struct l1_table *before; /* the smaller one, emptied; readers may still be in it: freed last */
    struct l1_cell cells[];
};

/* ---- eviction ---- */

struct l1_queue {
    struct l1_entry *newest, *oldest;
    size_t bytes, max_bytes;
};

/* How often a key was asked for lately, by its hash: counters of four rows that stop at
 * L1_MARK_MAX; all are halved after `period` additions. One line holds all counters of a hash. */
struct l1_sketch {
    uint8_t (*lines)[L1_LINE];
    size_t mask;
    size_t added, period;
};

/* ---- loads ---- */

struct l1_load {
    struct l1 *l1;
    struct l1_load *next; /* in its bucket */
    struct l1_waiter *first, *last;
    _Atomic size_t waiting;
    uint64_t hash;
    uint64_t began; /* l1_tags.drops then */
    int64_t began_us;
    bool fenced; /* out of its bucket: nobody joins it, what it brings is not kept */
    size_t key_len;
    char key[];
};

/* ---- tags ---- */

struct l1_tag {
    struct l1_tag *next; /* in its bucket */
    struct l1_tag_link *newest, *oldest;
    uint64_t hash;
    size_t len;
    char text[];
};

struct l1_tags {
    struct l1_tag **buckets;
    size_t mask, count;
    uint64_t drops;    /* counts drops, outdatings too */
    uint64_t untagged; /* `drops` when something was last dropped by its key or a prefix */
    /* `drops` when a tag of this hash was last dropped, or outdated. A load names its tags at its
     * end only; it is fenced if one was dropped since it began. Tags that share a cell fence each
     * other's loads: such a value is merely not kept, or not as a fresh one. */
    uint64_t dropped[L1_TAG_FENCES], outdated[L1_TAG_FENCES];
};

/* ---- all of it ---- */

/* One thread's, so that counting is no contended write. */
struct l1_counts {
    alignas(L1_LINE) _Atomic int64_t hits, stale, misses;
    _Atomic int64_t next_note; /* the hit that is noted next, by its number */
    _Atomic uint64_t noted;    /* since the notes were begun anew */
    atomic_bool gathered;      /* the notes: they are begun anew at the next one */
};

struct l1 {
    _Atomic(struct l1_table *) table;
    uint64_t seed; /* of the hash: nobody outside can make keys that collide */
    struct l1_options options;

    alignas(L1_LINE) pthread_mutex_t lock;
    _Atomic uint64_t moves; /* odd while entries move within the table */
    uint64_t sequence;      /* counts what is put in, and drops */
    size_t entries, bytes;
    struct l1_queue window, main;
    struct l1_entry
        *hand; /* where the search for a victim in `main` goes on; NULL: at the oldest */
    struct l1_sketch sketch;
    struct l1_place ages; /* a ring; `older` of it is the newest */
    struct l1_tags tags;
    struct l1_load *loads[L1_LOAD_BUCKETS];
    size_t loading;
    struct l1_stats stats; /* but for hits, stale, misses */

    struct l1_counts counts[L1_STRIPES];
    /* Hashes of what was asked for, a ring for each stripe; see l1_uses.c. Pages that no thread
     * writes to take no memory. */
    _Atomic uint64_t (*notes)[L1_NOTES];
    int64_t gathered[L1_STRIPES]; /* the sum of the counts when the notes were gathered; its own */
};

static inline uint64_t l1_hash(const struct l1 *l1, struct str key)
{
    const uint64_t hash = hash_seeded(key, l1->seed);
    return hash ? hash : 1;
}

int64_t l1_now_us(const struct l1 *l1);

/* ---- l1_hold.c: who holds what ---- */

/* Of each thread that ever read. Lives on when the thread ends, for another one. */
struct l1_thread {
    alignas(2 * L1_LINE) _Atomic(struct l1_entry *) slots[L1_SLOTS];
    uint64_t random;        /* state of random_mix() */
    struct l1_thread *next; /* of all there are */
    size_t number;          /* from 0, nobody else's */
    atomic_bool taken;
};

extern _Thread_local struct l1_thread *l1_thread_self;
struct l1_thread *l1_thread_new(void);

static inline struct l1_thread *l1_thread(void)
{
    return l1_thread_self ? l1_thread_self : l1_thread_new();
}

/* A free slot of this thread. */
_Atomic(struct l1_entry *) *l1_free_slot(struct l1_thread *self);

/* Ends the hold of a slot of this thread. */
static inline void l1_clear_slot(_Atomic(struct l1_entry *) *slot)
{
    atomic_store_explicit(slot, NULL, memory_order_release);
}

/* Frees what was taken out (linked by `older`), or leaves it in the limbo while it is held. Looks
 * through the whole limbo. Not under the lock of a cache. */
void l1_settle(struct l1_entry *taken_out);

/* Frees this one if it is in the limbo and nobody holds it; it may be gone already. */
void l1_look_again(const struct l1_entry *entry);

/* ---- l1_table.c ---- */

struct l1_table *l1_table_new(size_t cells);
/* The entry of a key, held by a slot of this thread, or NULL. No lock; it may miss an entry that is
 * being moved, rarely. */
struct l1_entry *l1_table_take(struct l1 *l1, struct str key, uint64_t hash);

/* Under the lock: */
struct l1_entry *l1_table_find(struct l1 *l1, struct str key, uint64_t hash);
/* The entry of a hash, whatever its key; NULL: there is none. */
struct l1_entry *l1_table_find_hash(struct l1 *l1, uint64_t hash);
void l1_table_put(struct l1 *l1, struct l1_entry *entry);
void l1_table_replace(struct l1 *l1, struct l1_entry *old, struct l1_entry *entry);
void l1_table_remove(struct l1 *l1, struct l1_entry *entry);

/* ---- l1_uses.c: what is asked for ---- */

/* Notes a use by the thread of a stripe, and says which hit is noted next. */
void l1_note(struct l1 *l1, size_t stripe, uint64_t hash);
/* A use that is no hit: noted at once or by chance. */
void l1_note_rare(struct l1 *l1, uint64_t hash);

/* ---- l1.c, under the lock ---- */

/* Puts an entry in, instead of what its key had; what has to go for it is prepended to
 * `*taken_out`, itself perhaps. */
void l1_put(struct l1 *l1, struct l1_entry *entry, struct l1_entry **taken_out);
void l1_take_out(struct l1 *l1, struct l1_entry *entry, struct l1_entry **taken_out);
/* From now on it is outdated. It may be in the table or not yet. */
void l1_outdate(struct l1_entry *entry, int64_t now_us);

/* ---- l1_evict.c, under the lock ---- */

void l1_evict_init(struct l1 *l1);
void l1_evict_put(struct l1 *l1, struct l1_entry *entry);
void l1_evict_replace(struct l1 *l1, struct l1_entry *old, struct l1_entry *entry);
void l1_evict_remove(struct l1 *l1, struct l1_entry *entry);
/* Takes out entries until all queues keep their bounds. */
void l1_evict(struct l1 *l1, int64_t now_us, struct l1_entry **taken_out);

/* ---- l1_load.c, under the lock ---- */

/* Fences the load of this key, or those of all keys with this prefix. */
void l1_fence_key(struct l1 *l1, struct str key, uint64_t hash);
void l1_fence_prefix(struct l1 *l1, struct str prefix);

/* ---- l1_tags.c, under the lock ---- */

void l1_tags_init(struct l1_tags *tags);
/* Files an entry under its tags. `texts` has entry->tag_count tags. */
void l1_tags_put(struct l1 *l1, struct l1_entry *entry, const struct str *texts);
void l1_tags_remove(struct l1 *l1, struct l1_entry *entry);
/* Whether one of these tags was dropped since a load began, by l1_tags.dropped or .outdated. */
bool l1_tags_fence(const struct l1 *l1, const uint64_t drops[L1_TAG_FENCES], uint64_t began,
                   const struct str *texts, size_t count);

#endif
