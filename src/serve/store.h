/*
 * store.h: values of the keys of keys.def in Redis: read with suspicion, written by guarded
 * scripts.
 *
 * Reading: serve_ask() adds what reads a key to a pipe, serve_take_...() tells what came. Another
 * type under a key, a value beyond the bounds below or an error to the command is SERVE_GARBAGE,
 * which is to be written anew; it is never an error.
 *
 * Writing: each write is one script, so that no reader sees half of it and no key is without a
 * TTL. What is there stays (its TTL begins anew) unless the new value is newer: `version` is
 * greater, or as great and `snapshot` is greater; a value that names neither is older than any that
 * names one. Garbage is replaced. `force` replaces in any case but an older version.
 *
 * How old a hash is its fields say, of a set its sibling, of a text the members of the JSON.
 * Versions and snapshots are whole numbers up to 2^53; anything else under these names is garbage.
 *
 * A small hash is sent packed and put in place by RESTORE (store_pack.c): that takes the server
 * less than a HSET of the same fields. One that does not take it (before Redis 7, or whose ACL does
 * not allow RESTORE) is given them by HSET, by the same script. Into an empty server it goes
 * without the script (`first`).
 *
 * Threads: as for a pipe: one at a time.
 */
#ifndef SERVE_STORE_H
#define SERVE_STORE_H

#include "cache/redis.h"
#include "serve/keys.h"
#include "serve/shape.h"

enum {
    SERVE_FIELDS_MAX = 512,      /* of a hash; more is garbage */
    SERVE_VALUE_MAX = 1 << 20,   /* bytes of one field, or of a JSON text */
    SERVE_MEMBERS_MAX = 1000000, /* of a set that is written */
    SERVE_MEMBERS_READ = 1000,   /* of a set that is read: the highest */
};

enum serve_held { SERVE_HELD, SERVE_ABSENT, SERVE_GARBAGE };

/* ---- reading ---- */

/* Adds the commands that read a key; returns the place for serve_take_...(). They are one round
 * trip with whatever else is in the pipe. */
size_t serve_ask(struct redis_pipe *pipe, enum serve_key kind, struct str key);

/* A HASH; or the older STRING of a kind that had one, whose JSON members are the fields then. */
struct serve_hash {
    struct serve_field *fields; /* in the arena */
    size_t count;
    int64_t snapshot; /* 0: not told */
    int64_t version;  /* 0: not told */
    uint64_t print;   /* serve_print() */
    bool older_form;
};
enum serve_held serve_take_hash(const struct redis_pipe *pipe, size_t place, enum serve_key kind,
                                struct arena *arena, struct serve_hash *out);

/* A ZSET, the highest first and those of equal score by their bytes, and what its sibling tells.
 * One that is empty by its sibling is held, without members; one that was replaced while it was
 * read is told as absent. */
struct serve_member {
    struct str name; /* in the arena */
    double score;
};
struct serve_set {
    struct serve_member *members;
    size_t count;
    int64_t snapshot; /* 0: no sibling, or it does not tell */
    struct str as_of; /* likewise; RFC 3339 */
    uint64_t print;   /* of members, scores and snapshot */
};
enum serve_held serve_take_set(const struct redis_pipe *pipe, size_t place, enum serve_key kind,
                               struct arena *arena, struct serve_set *out);

/* A STRING that is a JSON object; its member `snapshot` is told where it has one. */
struct serve_text {
    struct str json; /* in the arena */
    int64_t snapshot;
    uint64_t print;
};
enum serve_held serve_take_text(const struct redis_pipe *pipe, size_t place, enum serve_key kind,
                                struct arena *arena, struct serve_text *out);

/* ---- writing ---- */

struct serve_write {
    enum serve_key kind;
    struct str key;
    int64_t version, snapshot; /* 0: none; both are written as fields where they are not 0 */
    int64_t now_us;            /* becomes cached_at */
    int64_t ttl_ms;            /* 0: that of the table */
    bool force;
    /* Nothing is thought to be there: a small hash is tried by RESTORE alone, which takes only
     * where nothing is, and costs the server half of the script. Its answer is for serve_tried().
     */
    bool first;
    bool absent; /* write only where nothing is there, whatever it be: what was loaded because the
                    key was missing does not replace what another program wrote meanwhile */
    struct str as_of; /* of a set; may be empty */
    /* What is written, by the type of the key. Names and members differ from each other; scores are
     * finite. A set may be empty: then its sibling alone is there. */
    const struct serve_field *fields; /* HASH; version, snapshot and cached_at among them are passed
                                         over, but for the `version` of cache:metadata */
    size_t field_count;
    const struct serve_member *members; /* ZSET, at most SERVE_MEMBERS_READ: the larger ones go by
                                           serve_put_set() */
    size_t member_count;
    struct str text; /* STRING; also the older form of a kind that had one, then without fields */
};

/* Adds a write; its answer is for serve_written(). */
size_t serve_put(struct redis_pipe *pipe, const struct serve_write *write);

enum serve_done {
    SERVE_WRITTEN, /* the value is there */
    SERVE_KEPT,    /* as new, or newer, was there; its TTL began anew */
    SERVE_REFUSED, /* by the server: no memory, no right, read-only; `why` is its word */
    SERVE_AGAIN,   /* by serve_tried() alone */
};
enum serve_done serve_written(const struct redis_pipe *pipe, size_t place, struct str *why);
/* Of a write with `first`. SERVE_AGAIN: something was there, or the server does not take that form:
 * it is to be put again without `first`. */
enum serve_done serve_tried(const struct redis_pipe *pipe, size_t place, struct str *why);

/* Replaces a set of any size: built aside in pieces, then put in its place with its sibling. More
 * than one round trip. A death in between leaves an aside key, which expires. */
enum kol_status serve_put_set(struct redis *redis, const struct serve_write *write,
                              int64_t deadline_ns, enum serve_done *done,
                              struct kol_error *err) KOL_CHECKED;

/* ---- the lock between processes ---- */

/* SET NX PX with a token; the answer is for serve_locked(). */
size_t serve_lock(struct redis_pipe *pipe, struct str key, struct str token, int64_t ttl_ms);
bool serve_locked(const struct redis_pipe *pipe, size_t place);
/* Deletes it where it still holds this token; the answer is the number of locks deleted. */
size_t serve_unlock(struct redis_pipe *pipe, struct str key, struct str token);

#endif
