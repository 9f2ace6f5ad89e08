/*
 * heat.h: which keys are asked for most: a count for each that halves over time.
 *
 * A bounded table: when it is full the coldest keys go. It is saved to a file and read again, so
 * that a warm after a restart begins with what was asked for before it.
 *
 * Threads: any, under one lock; it is fed in bulk (every few seconds), never at a read.
 */
#ifndef SERVE_HEAT_H
#define SERVE_HEAT_H

#include "base/error.h"
#include "base/str.h"

struct heat;

struct heat_options {
    size_t keys;                   /* most that are kept; 0: 100,000 */
    int64_t half_us;               /* the time in which a count halves; 0: 6 h */
    int64_t (*now_us)(void *user); /* for tests and simulations; NULL: clock_now_us() */
    void *user;
};

struct heat *heat_new(const struct heat_options *options);
void heat_free(struct heat **heat);

/* Adds so many uses of a key, the last of them now. Keys over 600 bytes are passed over. */
void heat_add(struct heat *heat, struct str key, double uses);

struct heat_key {
    struct str key; /* in the caller's arena */
    double uses;    /* decayed to now */
    int64_t last_us;
    int64_t next_us; /* when the next use is expected: last + the mean time between uses */
};
struct arena;
/* The hottest, the hottest first; at most `max`. */
size_t heat_hottest(const struct heat *heat, size_t max, struct arena *arena,
                    struct heat_key **out);

/* Writes it all beside the file and puts it in its place, synced. */
enum kol_status heat_save(const struct heat *heat, const char *path,
                          struct kol_error *err) KOL_CHECKED;
/* Adds what the file holds. KOL_NOT_FOUND: no file. KOL_CORRUPT, with the line: what is not of this
 * form; what stands before it was added. */
enum kol_status heat_load(struct heat *heat, const char *path, struct kol_error *err) KOL_CHECKED;

#endif
