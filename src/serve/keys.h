/*
 * keys.h: the keys of the cache between processes: spelling them, and telling what a key is of.
 *
 * The table is keys.def. Pure functions of text; any thread.
 */
#ifndef SERVE_KEYS_H
#define SERVE_KEYS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

/* The channel by which processes tell each other of purges; a message is "key K", "prefix P", "tag
 * T" or "all". */
#define SERVE_CHANNEL "kol:invalidate"

enum serve_key {
#define KEY(ID, ...) SERVE_KEY_##ID,
#include "serve/keys.def"
    SERVE_KEYS
};

enum serve_type { SERVE_HASH, SERVE_STRING, SERVE_ZSET, SERVE_LIST };

enum { SERVE_PARTS = 2 }; /* most that a pattern has */

struct serve_key_kind {
    const char *pattern;
    enum serve_type type;
    int ttl_s; /* 0: whoever writes says it */
    const char *fields, *holds, *writers, *readers;
};

extern const struct serve_key_kind serve_keys[SERVE_KEYS];

/* Appends the key with its parts, in the order of the pattern; as many as it has. */
void serve_key_put(struct buf *out, enum serve_key key, const struct str *parts);

/* What a key is of; its parts point into `text`. False for a key that is none of the table's. A
 * sibling ({...}:meta) is none. `is_platform` tells whether a text is a platform, or "all". */
bool serve_key_read(struct str text, bool (*is_platform)(struct str text), enum serve_key *key,
                    struct str parts[SERVE_PARTS]);

/* Appends the sibling of a set: {key}:meta. */
void serve_key_put_meta(struct buf *out, struct str key);

/* Appends where a set is built before it is put in its place: {key}:aside:token. */
void serve_key_put_aside(struct buf *out, struct str key, struct str token);

/* Appends the part of a pattern before its first {, by which all of its keys begin. */
void serve_key_put_prefix(struct buf *out, enum serve_key key);

#endif
