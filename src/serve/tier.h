/*
 * tier.h: Redis as a tier of the cache of one process, behind the cache in the process (L1).
 *
 * Asked by pipes, answered or not, but never an error: behind a breaker, within a time of its own.
 * What is loaded from elsewhere is written back off the request's path. A thread of the tier's own
 * writes, makes the trials of the breaker and feeds the access log; another one (redis_watch.h) is
 * told what others change and takes out of L1 what was made from it:
 *
 *   A load that reads a key says what it saw (tier_saw()) before its answer is kept. A change is
 *   looked at: where the key holds what was seen, the answers stay; else all that carry the key as
 *   a tag are dropped, and loads under way fenced off. A load that saw something else than another
 *   one did drops them too, itself among them: whichever of the two is old is not kept.
 *
 * While changes may go by unseen nothing that came from Redis is fresh in L1: all of it carries the
 * tag TIER_TAG, which is dropped when the channel is lost, and once more when it is back.
 *
 * Dropped here is outdated there (l1_outdate_tag()): if Redis cannot be asked when the answer is
 * made anew, one without it may be older than the one that is there. Such an answer is weak, and
 * the other one is served as stale. A purge takes out both.
 *
 * Threads: all calls from any thread.
 */
#ifndef SERVE_TIER_H
#define SERVE_TIER_H

#include "cache/breaker.h"
#include "cache/l1.h"
#include "serve/heat.h"
#include "serve/store.h"

struct tier;

#define TIER_TAG "redis"

struct tier_options {
    struct redis *redis; /* becomes the tier's */
    struct l1 *l1;       /* outlives the tier; may be NULL */
    /* Every key is asked for here; else only what lives between snapshots, and the local copy
     * answers all else. */
    bool first;
    bool (*is_platform)(struct str text); /* see serve_key_read() */
    int64_t ask_us;                       /* longest for one exchange; 0: 250 ms */
    size_t queue;                         /* writes that may wait; 0: 4,096 */
    const char *heat;                     /* the file of the access log; NULL: none is kept */
    /* A purge that some process asked for, told to the cache in this process; runs in the watch's
     * thread. `what`: "key", "prefix", "tag" or "all". */
    void (*on_purge)(struct str what, struct str name, void *user);
    void *user;
};

enum kol_status tier_open(const struct tier_options *options, struct tier **out,
                          struct kol_error *err) KOL_CHECKED;
/* Writes what waits, for a second at most. */
void tier_close(struct tier **tier);

bool tier_is_first(const struct tier *tier);
struct redis *tier_redis(struct tier *tier);
struct heat *tier_heat(struct tier *tier);

/* ---- asking ---- */

/* An empty pipe, or NULL where Redis is not to be asked now. */
struct redis_pipe *tier_pipe(struct tier *tier);
/* True: its answers can be read. `deadline_ns`: the request's. */
bool tier_run(struct tier *tier, struct redis_pipe *pipe, int64_t deadline_ns);
/* tier_run() by a thread that must not wait: see redis_begin(). */
struct tier_trip {
    struct redis_pipe *pipe;
    int64_t start_ns, own_ns, deadline_ns;
};
bool tier_begin(struct tier *tier, struct redis_pipe *pipe, int64_t deadline_ns,
                struct tier_trip *out);
bool tier_end(struct tier *tier, const struct tier_trip *trip);
void tier_pipe_done(struct tier *tier, struct redis_pipe **pipe);

/* What a read came to, for the counts. */
enum tier_read { TIER_HIT, TIER_MISS, TIER_OLD, TIER_BAD, TIER_SKIPPED, TIER_READS };
void tier_count(struct tier *tier, enum tier_read read);

/* See above. `print`: of what was read. */
void tier_saw(struct tier *tier, struct str key, uint64_t print);
/* Whether that is still what was last seen of the key: nothing else was told of it since. */
bool tier_still_sees(struct tier *tier, struct str key, uint64_t print);
/* What is kept of this key from here on did not come from it. */
void tier_saw_not(struct tier *tier, struct str key);

/* ---- loading ---- */

/* Whose turn it is to load what a key lacks, between processes. */
struct tier_turn {
    char token[33]; /* "": no lock is held */
};
enum tier_turns {
    TIER_MINE,    /* load it, write it back with the turn, or give it up */
    TIER_OTHERS,  /* another process loads it: look again in a moment */
    TIER_NOBODYS, /* Redis cannot tell: load it */
};
enum tier_turns tier_take_turn(struct tier *tier, struct str key, int64_t deadline_ns,
                               struct tier_turn *out);
void tier_give_up(struct tier *tier, struct str key, const struct tier_turn *turn);

/* Queues a write, all of which is copied; the turn (or NULL) ends when it has landed. A queue that
 * is full drops it, which is counted. */
void tier_write_back(struct tier *tier, const struct serve_write *write,
                     const struct tier_turn *turn);

/* Tells all processes, this one among them; false: Redis could not be told. */
bool tier_tell_purge(struct tier *tier, struct str what, struct str name);

/* ---- looking in ---- */

struct tier_stats {
    int64_t reads[TIER_READS];
    int64_t trips, failed_trips;                                     /* exchanges of requests */
    int64_t written, kept, refused, dropped, failed_writes, waiting; /* write-backs */
    int64_t changes, drops, same; /* keys that changed, answers dropped, keys that held the same */
    int64_t lost;                 /* how often the channel was lost */
    bool channel;
    enum breaker_state breaker;
    int64_t breaker_opened;
    struct redis_counts redis;
};
void tier_stats(struct tier *tier, struct tier_stats *out);

#endif
