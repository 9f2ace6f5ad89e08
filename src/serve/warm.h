/*
 * warm.h: the warmer: writes the keys of the table into Redis before anybody asks for them.
 *
 * Where values come from is a source, of one snapshot from beginning to end. The warmer asks for
 * them item by item, gathers them into pipes of bounded bytes, keeps one pipe under way, slows down
 * when Redis answers slowly, and stops before Redis has no more room, saying what it left out.
 *
 * Threads: one warm at a time per source; the report may be read by the thread that runs it.
 */
#ifndef SERVE_WARM_H
#define SERVE_WARM_H

#include "serve/heat.h"
#include "serve/store.h"

/* WARM_PART(NAME, "flag", "help"): what can be warmed alone, in the order of a whole warm. */
enum warm_part {
#define WARM_PART(NAME, flag, help) WARM_##NAME,
#include "serve/warm_parts.def"
    WARM_PARTS
};
extern const char *const warm_part_names[WARM_PARTS];

/* One key with its value, in the arena that was given. */
struct warm_item {
    enum serve_key kind;
    struct str key;
    const struct serve_field *fields;   /* HASH */
    const struct serve_member *members; /* ZSET */
    size_t field_count, member_count;
    struct str json; /* STRING: the JSON object */
    int64_t version; /* as in struct serve_write */
};

struct warm_source {
    int64_t snapshot;
    struct str as_of; /* RFC 3339; empty: unknown */
    void *user;
    /* How many keys a part has; may be an estimate from above. */
    enum kol_status (*count)(void *user, enum warm_part part, int64_t *keys, struct kol_error *err);
    /* The next items of a part, at least one and at most `max`, those of most popular KOLs first;
     * *count 0: it is at its end. `restart`: from the first on. */
    enum kol_status (*next)(void *user, enum warm_part part, bool restart, struct arena *arena,
                            struct warm_item *items, size_t max, size_t *count,
                            struct kol_error *err);
    /* The value of one key of any part. KOL_NOT_FOUND: there is none such. */
    enum kol_status (*by_key)(void *user, struct str key, struct arena *arena,
                              struct warm_item *out, struct kol_error *err);
};

struct warm_options {
    struct redis *redis; /* NULL: a dry run */
    bool parts[WARM_PARTS];
    bool full;         /* write also what is there already and as new */
    bool older_scores; /* scores as a STRING of JSON, for programs that read that */
    int64_t limit;     /* at most so many keys; 0: all */
    /* Those keys first, the hottest first; NULL: none are known. */
    const struct heat *heat;
    /* How much of maxmemory may be full before it stops, 0..1; 0: 0.9. Redis without a maxmemory
     * has no such limit. */
    double fill;
    /* A folder for the place that an interrupted warm goes on from; NULL: none is kept. */
    const char *state;
    size_t pipe_bytes;   /* of one pipe, at most; 0: 256 KiB */
    int64_t wait_us;     /* longest for one pipe; 0: 5 s. `redis` should allow as much */
    const char *version; /* of the program, for the key that tells of the warm; may be NULL */
    void (*on_progress)(const char *part, int64_t done, int64_t total, void *user);
    bool (*stop)(void *user); /* asked between pipes; may be NULL */
    void *user;
};

struct warm_report {
    struct warm_part_report {
        int64_t keys;                   /* that were brought to Redis, or would be */
        int64_t written, kept, refused; /* what became of them; 0 in a dry run */
        int64_t left_out;               /* for want of room, or beyond the limit */
        int64_t bytes;                  /* of keys and values, as text */
        double seconds;                 /* of the part's own turn: what is hot is not in it */
    } parts[WARM_PARTS];
    int64_t snapshot;
    int64_t resumed; /* keys passed over because an interrupted warm had written them */
    bool interrupted, out_of_room;
    char reason[200]; /* of what was left out; "" : nothing was */
    double seconds;
};

/*
 * Keys that cannot be written count as refused and are no failure; a server that cannot be reached,
 * or stops to answer, is. What was written stays. A warm that was asked to stop, or had no more
 * room, comes back with KOL_OK and says so in the report.
 *
 * Each key is written once: the hottest, then part by part. One that went through to its end, or to
 * the end of the room, leaves SERVE_KEY_METADATA.
 *
 * In a cluster the first server that has no more room ends it.
 */
enum kol_status warm_run(const struct warm_source *source, const struct warm_options *options,
                         struct warm_report *report, struct kol_error *err) KOL_CHECKED;

/* The older form of a score, out of the members of KOLScore: JSON {trust_score, trust_label,
 * timestamp} and the snapshot; `as_of` stands in for a score without a time. In the arena. */
struct str warm_older_score(const struct serve_field *fields, size_t count, struct str as_of,
                            int64_t snapshot, struct arena *arena);

#endif
