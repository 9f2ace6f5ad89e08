/*
 * l1.h: the cache in the process: ready-made answers by key, bounded in bytes.
 *
 * It knows no HTTP: a value is opaque bytes of somebody else's with a destructor. What an entry was
 * made from is told by its tags ("kol:twitter:alice", "list:tiktok", "copy:42"): whoever changes
 * one of them drops the entry by l1_drop_tag().
 *
 * An entry lives through three spans, counted from when it was filled:
 *
 *     |------ fresh ------|-- stale-while-revalidate --|---- stale-if-error ----|  gone
 *     ^ filled            ^ served, one load begins    ^ served only if the load fails
 *
 * What changed elsewhere is told in one of two ways. l1_drop_*(): the entry goes, whatever comes
 * then (a purge, a new copy). l1_outdate_tag(): there is something newer, and until it is there the
 * entry is the newest that this process knows of: it goes to its last span at once, so that a load
 * which fails, or which could not ask all that it should have (a weak value), does not bring back
 * what was before it.
 *
 * Single flight: for one key at most one load runs, whatever the number that wait for it. Whoever
 * is told L1_LOAD runs it and ends it by l1_fill() or l1_fail(); all others are woken with the
 * entry or the failure. A generation fence makes an invalidation win over a load that began before
 * it: what the load brings goes to those who were waiting already, is not kept, and who asks
 * afterwards gets another load: begins it, or, where only the end of the first one told that it
 * was touched, waits for the one that l1_fill() returns.
 *
 * Threads: all calls from any thread. l1_get() takes no lock; all else takes one for microseconds.
 * Wake-ups run in the thread that ends the load, outside of any lock, and so do destructors, in
 * whichever thread lets go last.
 */
#ifndef CACHE_L1_H
#define CACHE_L1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

struct l1;

/* Lifes, in microseconds. Jitter (up to a tenth, by the hash of the key and the time) is taken off
 * `fresh_us`, so that what was filled together does not expire together. */
struct l1_life {
    int64_t fresh_us; /* 0: not kept at all */
    int64_t stale_us; /* stale-while-revalidate, behind fresh */
    int64_t error_us; /* stale-if-error, behind stale */
};

/* What is kept. The cache calls `destroy` once, when neither the table nor a holder needs it: at
 * once, or, where the last holder lets go just while it is taken out, at the next taking out. */
struct l1_value {
    void *data;
    size_t bytes; /* of `data`, as it counts against the bound; key, tags and head are added */
    void (*destroy)(void *data);
    /* Made without asking all that should have been asked: it takes the place of an entry that may
     * be served after an error only where it is as new as that by the stamps of both, or, where the
     * entry has none, if that one is weak too. */
    bool weak;
    const struct l1_stamp *stamps; /* copied; of things that differ */
    size_t stamp_count;
};

/* How new a value is in one thing that it tells of: `at` grows with each change of the thing. */
struct l1_stamp {
    uint64_t of;
    int64_t at;
};

/* An entry, counted by its holders and constant while it is held. */
struct l1_entry;
void *l1_data(const struct l1_entry *entry);
int64_t l1_filled_us(const struct l1_entry *entry);      /* clock_now_us() when it was filled */
int64_t l1_fresh_until_us(const struct l1_entry *entry); /* or until it was outdated */
void l1_hold(struct l1_entry *entry);                    /* one more holder */
void l1_release(struct l1_entry *entry);

struct l1_options {
    size_t max_bytes; /* of all entries together, heads included */
    /* Early refresh: as the end of the fresh span comes near, some hits (the more the nearer, by
     * the time that the last load took; XFetch of Vattani et al., 2015) are told to refresh. */
    double early; /* the beta of that paper; 0: off */
    /* The clock, for tests and simulations; NULL: clock_now_us(). */
    int64_t (*now_us)(void *user);
    void *user;
};

struct l1 *l1_new(const struct l1_options *options);
/* No load may be under way and nothing be held. */
void l1_free(struct l1 **l1);

/* ---- reading ---- */

enum l1_found {
    L1_HIT,     /* fresh: `entry` is held for the caller */
    L1_STALE,   /* stale, somebody is loading it, or a load failed within the last second (for what
                   is outdated: the last tenth of it): `entry` is held for the caller */
    L1_REFRESH, /* stale, or early: `entry` is held, and the caller should have it loaded: it calls
                   l1_join() with no waiter, at its leisure */
    L1_MISS,    /* nothing that may be served */
};

/* Looks a key up; the fast path, in place on an event thread. */
enum l1_found l1_get(struct l1 *l1, struct str key, struct l1_entry **entry);

/* The last resort of whoever could not load: the entry that may still be served after an error,
 * held, or NULL. */
struct l1_entry *l1_get_after_error(struct l1 *l1, struct str key);

/* ---- loading ---- */

struct l1_load; /* a load under way */

/* Somebody who waits for a load: part of a larger struct of the caller, which stays where it is
 * until wake() was called or l1_leave() said true. */
struct l1_waiter {
    /* Called once, from the thread that ended the load. `entry` is held for the callee; NULL: the
     * load failed, `err` says why (valid within the call), and there is nothing stale either.
     * `stale`: this is the entry from before, for the load failed (`err`), or what it brought is
     * weak and maybe older (`err` is NULL). */
    void (*wake)(struct l1_waiter *waiter, struct l1_entry *entry, bool stale,
                 const struct kol_error *err);
    struct l1_waiter *next, *prev; /* the cache's own */
    struct l1_load *load;          /* the cache's own */
    uint64_t asked;                /* the cache's own */
};

enum l1_joined {
    L1_LOAD, /* the caller runs the load: *load is set; its own waiter is queued with the others */
    L1_WAIT, /* another runs it */
    L1_FOUND /* it came in meanwhile: *entry is held, the waiter is not queued */
};

/* L1_FOUND is for a fresh entry only. `waiter` may be NULL: for a refresh, whose caller waits for
 * nothing. Then L1_WAIT means that there is nothing to do: a load runs, or one just ended or
 * failed; L1_FOUND does not occur, and l1_waiting() counts those who joined it. */
enum l1_joined l1_join(struct l1 *l1, struct str key, struct l1_waiter *waiter,
                       struct l1_load **load, struct l1_entry **entry);

/* Takes a waiter back (its deadline passed, its client went away): true if it will not be woken any
 * more, false if it was or is just being woken. The load goes on. */
bool l1_leave(struct l1 *l1, struct l1_waiter *waiter);

/* How many wait for this load now: 0 tells a loader that nobody wants it any more. */
size_t l1_waiting(const struct l1_load *load);

/* Ends a load with a value, which the cache owns from here on. `tags` are copied. A value that is
 * larger than an eighth of the bound, whose life is 0 or that the fence holds back goes to those
 * who wait and is not kept; one that was outdated while it was loaded is kept as such. A weak value
 * that must not take an entry's place goes to nobody: those who wait get the entry.
 *
 * Which tags a load has is known only here. Where one of them was dropped while it ran, those who
 * asked after that must not get its value either: they go on waiting for another load, which is
 * returned and which the caller now runs as it ran this one. NULL: there is nothing more to do. */
struct l1_load *l1_fill(struct l1_load *load, struct l1_value value, const struct l1_life *life,
                        const struct str *tags, size_t tag_count)
    __attribute__((warn_unused_result));

/* Ends a load without a value: nothing is cached, all waiters are woken, with the stale entry where
 * there is one that may be served after an error. */
void l1_fail(struct l1_load *load, const struct kol_error *err);

/* ---- taking out ---- */

/* Each also fences off the loads under way that it touches. They return how many entries went. */
size_t l1_drop_key(struct l1 *l1, struct str key);
size_t l1_drop_tag(struct l1 *l1, struct str tag);
size_t l1_drop_prefix(struct l1 *l1, struct str key_prefix); /* looks at every entry */
size_t l1_drop_all(struct l1 *l1);

/* Outdates what carries the tag, and the loads under way that it touches. What may not be served
 * after an error goes. Returns how many entries were not outdated before. */
size_t l1_outdate_tag(struct l1 *l1, struct str tag);

/* For what is read before the load that is to use it begins. How much was dropped or outdated until
 * now; and whether, since it was so much, anything was that carries one of the tags, or that has no
 * tag (or may have been: true is always a safe answer). */
uint64_t l1_drops(struct l1 *l1);
bool l1_dropped_since(struct l1 *l1, uint64_t drops, const struct str *tags, size_t tag_count);

/* ---- what is asked for ---- */

/* Tells how often each entry was asked for since the last call, misses that were filled meanwhile
 * among them: exactly up to a few hundred uses of each thread, by a sample beyond that. Entries
 * that are gone are left out. Key and tags are copies, valid within the callback, which runs
 * outside of any lock. One thread at a time. */
void l1_take_uses(struct l1 *l1,
                  void (*each)(struct str key, const struct str *tags, size_t tag_count,
                               double uses, void *user),
                  void *user);

/* ---- looking in ---- */

struct l1_stats {
    int64_t hits, stale, misses;          /* of l1_get() */
    int64_t loads, load_failures, joined; /* joined: waited for a load that another ran */
    int64_t fills, fenced, too_large;
    int64_t weak; /* values that did not take the place of what was there */
    int64_t evictions, expired, dropped;
    int64_t outdated; /* they count again when they leave */
    int64_t entries, bytes, max_bytes;
};
void l1_stats(const struct l1 *l1, struct l1_stats *out);

#endif
