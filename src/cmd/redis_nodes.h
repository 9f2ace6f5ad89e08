/*
 * redis_nodes.h: what is asked of each server of Redis by itself: INFO, and which keys it has.
 * Private to cmd/.
 *
 * Pipes go to servers by key. So each server is known by a key that lies on it, and asked by
 * scripts that are sent along with that key; a server that stands alone has any key.
 */
#ifndef CMD_REDIS_NODES_H
#define CMD_REDIS_NODES_H

#include "base/arena.h"
#include "base/error.h"
#include "cache/redis.h"

enum { REDIS_NODES_MAX = 256, REDIS_ASK_US = 5 * 1000 * 1000 };

struct redis_nodes {
    struct redis *redis;
    struct str keys[REDIS_NODES_MAX]; /* one on each */
    size_t count;
    struct arena arena; /* of the keys */
};

/* Finds the primaries of a cluster, or the one server. redis_nodes_free() whatever it returns. */
enum kol_status redis_nodes_find(struct redis *redis, bool cluster, struct redis_nodes *out,
                                 struct kol_error *err) KOL_CHECKED;
void redis_nodes_free(struct redis_nodes *nodes);

/* Appends what INFO says of a section. KOL_UNSUPPORTED where this user may not ask. */
enum kol_status redis_nodes_info(struct redis_nodes *nodes, size_t node, const char *section,
                                 struct buf *out, struct kol_error *err) KOL_CHECKED;
/* The value of "name:value" in an INFO. */
bool redis_info_text(struct str info, const char *name, struct str *out);
int64_t redis_info_number(struct str info, const char *name); /* 0: there is none */

/* How many keys all servers have. */
enum kol_status redis_nodes_size(struct redis_nodes *nodes, int64_t *keys,
                                 struct kol_error *err) KOL_CHECKED;

/* Gives the keys that fit a glob to `each`, some hundred at a time, by SCAN: what changes meanwhile
 * may be missed or given twice. Ends behind `most` keys that were looked at, of each server its
 * share; *looked: how many were. */
enum kol_status redis_nodes_scan(struct redis_nodes *nodes, struct str glob, int64_t most,
                                 enum kol_status (*each)(const struct str *keys, size_t count,
                                                         void *user, struct kol_error *err),
                                 void *user, int64_t *looked, struct kol_error *err) KOL_CHECKED;

#endif
