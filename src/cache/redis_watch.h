/*
 * redis_watch.h: being told what changes in Redis: keys by client tracking, and a channel.
 *
 * A thread of its own keeps one connection to the server (in a cluster one to each primary, and
 * finds them again after a failover). Each connection says CLIENT TRACKING ON BCAST with the
 * prefixes, REDIRECT to itself, and subscribes to __redis__:invalidate and to the channel: all of
 * it works in RESP2. A connection that says nothing is asked (PING) every `ping_us`, so that one
 * that was cut without a word is found within two of them.
 *
 * In a cluster the primaries are asked for every `ping_us`: for as long, a primary that was added
 * to it and took over slots of another may go unwatched before on_lost() says so. Messages are told
 * once.
 *
 * While not all connections are there, changes may go by unseen: on_lost() says when that begins,
 * on_ready() when it is over; what was cached in between and before is not to be trusted. Broadcast
 * tells of every writer, this process included, and of keys that expire or are evicted.
 *
 * Threads: all callbacks run in the watch's own thread, one at a time, and may use a `struct
 * redis`.
 */
#ifndef CACHE_REDIS_WATCH_H
#define CACHE_REDIS_WATCH_H

#include "cache/redis.h"

struct redis_watch;

struct redis_watch_options {
    struct redis *redis; /* whose address and login are used; outlives the watch */
    /* Beginnings of keys; none may begin with another (the server refuses that). At least one. */
    const struct str *prefixes;
    size_t prefix_count;
    const char *channel; /* NULL: none */
    int64_t ping_us;     /* 0: 500 ms */
    int64_t retry_us;    /* the longest pause between two tries to connect; 0: 1 s */

    /* Keys that were written, expired, evicted or deleted, as many as came together. `keys` NULL:
     * all keys of that server (FLUSHALL, or FLUSHDB of any database). Keys of all databases are
     * told of alike. */
    void (*on_keys)(const struct str *keys, size_t count, void *user);
    /* A message on the channel. */
    void (*on_message)(struct str text, void *user);
    /* From here on changes may go by unseen; also called once for a start that fails. */
    void (*on_lost)(const struct kol_error *err, void *user);
    /* From here on none do. */
    void (*on_ready)(void *user);
    void *user;
};

/* Copies the options. Returns at once: connecting is the thread's. KOL_INVALID for prefixes of
 * which one begins with another, or none. */
enum kol_status redis_watch_start(const struct redis_watch_options *options,
                                  struct redis_watch **out, struct kol_error *err) KOL_CHECKED;
/* Ends the thread; no callback runs any more when it returns. NULL inside is fine. */
void redis_watch_stop(struct redis_watch **watch);

/* Whether no change can go by unseen now: true only after on_ready() has returned, false before
 * on_lost() is called. Any thread. */
bool redis_watch_ready(const struct redis_watch *watch);

#endif
