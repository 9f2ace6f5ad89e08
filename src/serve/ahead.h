/*
 * ahead.h: keys that will be asked for are written anew before they expire.
 *
 * Threads: one run at a time per source.
 */
#ifndef SERVE_AHEAD_H
#define SERVE_AHEAD_H

#include "serve/warm.h"

struct ahead_options {
    struct redis *redis;
    const struct heat *heat;
    /* Of the hottest `keys` (0: 2,000) those that expire, or are gone, within `horizon_us` from
     * now, and whose next use is expected by then, too. */
    size_t keys;
    int64_t horizon_us;
    /* Keys that are kept alive whether anybody asks for them or not: as above, without a look at
     * their next use. */
    const struct str *always;
    size_t always_count;
    bool older_scores;        /* as in warm_options */
    bool (*stop)(void *user); /* asked between exchanges; may be NULL */
    void *user;
};

struct ahead_report {
    int64_t looked_at, written, kept, refused;
};

/* A key that the source does not hold, or cannot make, is passed over. Fails where Redis does not
 * answer. */
enum kol_status ahead_run(const struct warm_source *source, const struct ahead_options *options,
                          struct ahead_report *report, struct kol_error *err) KOL_CHECKED;

#endif
