/*
 * tier_parts.h: what the files of the tier share; private to them.
 *
 *     tier.c        opening, asking, the tier's own thread, counts
 *     tier_write.c  writing back, whose turn it is to load
 *     tier_watch.c  what was seen of each key, and what becomes of changes
 */
#ifndef SERVE_TIER_PARTS_H
#define SERVE_TIER_PARTS_H

#include <pthread.h>

#include "base/arena.h"
#include "cache/redis_watch.h"
#include "serve/tier.h"

enum {
    TIER_FREE_PIPES = 32,
    TIER_SEEN_SETS = 1 << 15, /* sets of the table of what was seen */
    TIER_SEEN_WAYS = 4,       /* places of a set: a fifth key makes it forget the oldest */
    TIER_SEEN_LOCKS = 16,
};

/* What was last seen of a key. Forgetting is harmless: a change of it then drops its answers. */
struct tier_seen {
    uint64_t key; /* its hash; 0: free */
    uint64_t print;
};

struct tier_write {
    struct tier_write *next;
    struct arena arena; /* holds all of it */
    struct serve_write write;
    struct tier_turn turn;
};

struct tier {
    struct tier_options options;
    struct redis *redis;
    struct redis_watch *watch;
    struct breaker breaker;
    struct heat *heat;
    char *heat_file;
    uint64_t seed; /* of the hashes of keys */

    pthread_mutex_t pipes_lock;
    struct redis_pipe *pipes[TIER_FREE_PIPES];
    size_t pipe_count;

    pthread_mutex_t seen_locks[TIER_SEEN_LOCKS];
    struct tier_seen (*seen)[TIER_SEEN_WAYS];

    pthread_t thread;
    bool started;
    pthread_mutex_t queue_lock;
    pthread_cond_t queue_ready;
    struct tier_write *first_write, **last_write;
    size_t waiting;
    bool stop;

    _Atomic bool channel;
    _Atomic int64_t reads[TIER_READS];
    _Atomic int64_t trips, failed_trips, written, kept, refused, dropped, failed_writes;
    _Atomic int64_t changes, drops, same, lost;
};

/* ---- tier_write.c ---- */

/* Takes what waits out of the queue and writes it; false: Redis could not be reached. */
bool tier_write_some(struct tier *tier);
void tier_write_free(struct tier_write *write);

/* ---- tier_watch.c ---- */

enum kol_status tier_watch_start(struct tier *tier, struct kol_error *err) KOL_CHECKED;

#endif
