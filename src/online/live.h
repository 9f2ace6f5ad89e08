/*
 * live.h: what lives between two snapshots: DATA/live/, shared by all processes of one machine.
 *
 * The stream puts the newest scores here, the server sessions, recent searches and rate limits. A
 * value has a kind (live.def), a key, bytes that the store does not look into, the time of the
 * event that it came from with a version, and may expire. Values are durable when a call returns;
 * counters are not (they last as long as the machine runs).
 *
 * Threads and processes: any number of both. A process that dies (kill -9) in the middle of a call
 * leaves what was before it. One handle a process: live_open() of the same folder gives it again.
 */
#ifndef ONLINE_LIVE_H
#define ONLINE_LIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

struct live;

enum live_kind {
#define LIVE(NAME, tag, help) LIVE_##NAME,
#include "online/live.def"
#undef LIVE
    LIVE_KIND_COUNT
};

enum {
    LIVE_MAX_KEY = 500,       /* bytes of a key */
    LIVE_MAX_BYTES = 4 << 20, /* bytes of a value */
};

/* Opens DATA/live, made where it is absent. Not across fork(): open it in the child. */
enum kol_status live_open(const char *data, struct live **out, struct kol_error *err) KOL_CHECKED;
void live_close(struct live **live);

/* ---- values ---- */

/* One write of many. */
struct live_write {
    enum live_kind kind;
    struct str key;
    struct str bytes;
    int64_t event_time_us; /* of the event that the value came from */
    uint64_t version;      /* decides between equal times: offset, or number of the writer */
    int64_t ttl_us;        /* expires so long after now; 0: never */
    bool guarded;          /* write only what is newer: (event_time_us, version) above the stored */
    bool remove;           /* remove instead (guarded: only where (event_time_us, version) is not
                              below the stored) */
    bool written;          /* out: false where the guard kept what is there, or nothing was there to
                              remove */
};

/*
 * Makes all writes, in order, in one transaction: all of them or, on an error, none. A value that
 * has expired guards nothing. KOL_INVALID for a key that is empty or too long or bytes that are too
 * many; KOL_NO_SPACE for a full disk.
 */
enum kol_status live_write(struct live *live, struct live_write *writes, size_t count,
                           struct kol_error *err) KOL_CHECKED;

/* live_write() of one. `written` may be NULL. */
enum kol_status live_put(struct live *live, enum live_kind kind, struct str key, struct str bytes,
                         int64_t ttl_us, struct kol_error *err) KOL_CHECKED;
enum kol_status live_put_guarded(struct live *live, enum live_kind kind, struct str key,
                                 struct str bytes, int64_t event_time_us, uint64_t version,
                                 bool *written, struct kol_error *err) KOL_CHECKED;
/* Removing what is not there is fine. */
enum kol_status live_delete(struct live *live, enum live_kind kind, struct str key,
                            struct kol_error *err) KOL_CHECKED;

struct live_value {
    struct str key, bytes; /* views, see the call that fills them */
    int64_t event_time_us;
    uint64_t version;
    int64_t expires_us; /* 0: never */
};

/* Appends the bytes to `out`, of which value->bytes is then a view; value->key is `key`. `value`
 * may be NULL. KOL_NOT_FOUND where there is none or it has expired. */
enum kol_status live_get(struct live *live, enum live_kind kind, struct str key, struct buf *out,
                         struct live_value *value, struct kol_error *err) KOL_CHECKED;

/*
 * Calls `each` for the values whose keys begin with `prefix` (may be empty) and are not below
 * `from` (empty: from the first), in the order of their keys, as they were at one moment. Views are
 * valid within the call of `each`, which must not call the store; it ends the walk by returning
 * false.
 */
enum kol_status live_list(struct live *live, enum live_kind kind, struct str prefix,
                          struct str from, bool (*each)(const struct live_value *value, void *user),
                          void *user, struct kol_error *err) KOL_CHECKED;

/* Removes up to `max` values and counters that have expired, and slots of readers that died.
 * Writes do a little of it by themselves. `removed` may be NULL. */
enum kol_status live_sweep(struct live *live, int64_t max, int64_t *removed,
                           struct kol_error *err) KOL_CHECKED;

/* ---- counters ---- */

struct live_limit {
    bool allowed;
    int64_t count;     /* in this window, after the call */
    int64_t remaining; /* units that would still be allowed now */
    int64_t reset_us;  /* when the window ends; live_rate(): when all is allowed again */
    int64_t retry_us;  /* not allowed: how long to wait; else 0 */
};

/* Counts `amount` in a window that begins with its first count and lasts `window_us`. Above `limit`
 * (0: none) it is not counted and not allowed. One count across all processes. */
enum kol_status live_count(struct live *live, struct str key, int64_t amount, int64_t window_us,
                           int64_t limit, struct live_limit *out,
                           struct kol_error *err) KOL_CHECKED;

/* Rate limit without windows (GCRA): `cost` units, of which one comes back every `interval_us`, at
 * most `burst` of them at once. `count` is not set. */
enum kol_status live_rate(struct live *live, struct str key, int64_t cost, int64_t interval_us,
                          int64_t burst, struct live_limit *out, struct kol_error *err) KOL_CHECKED;

/* A bucket that several processes fill, each with what it let through already: the time at which it
 * will be empty. It is not empty before `age_us` ago, then `spent_us` are added whether or not
 * there is room; it is left with no less than `floor_us` and no more than `most_us`. One that holds
 * more before (the clock was set back) is empty. None is below 0, nor above INT64_MAX / 8. */
struct live_spent {
    int64_t age_us, spent_us, floor_us, most_us;
};
/* `held_us`: what it holds now. */
enum kol_status live_spend(struct live *live, struct str key, const struct live_spent *spent,
                           int64_t *held_us, struct kol_error *err) KOL_CHECKED;

/* ---- a copy ---- */

/* Writes the values as they are at one moment into `folder`, made where it is absent, in place of
 * the store that lies there (which nobody may have open); synced, but for the folder itself. Others
 * go on to write. After an error what lay there lies there still. */
enum kol_status live_copy(struct live *live, const char *folder, struct kol_error *err) KOL_CHECKED;

#endif
