/*
 * signed_in.h: the sessions of those who signed in, in Redis and in the live store, for
 * signed_in.c, which begins, finds and ends them, and settle.c. Private to the room.
 */
#ifndef API_SIGNED_IN_H
#define API_SIGNED_IN_H

#include "api/keys.h"

enum { SIGNED_HASH_CHARS = 2 * KEYS_HASH_BYTES };

/* What a session says. */
struct signed_session {
    char key_id[64];
    http_scopes scopes; /* of the key when it was begun */
    int64_t expires_us;
};

/* The hash of a token as text, which the keys of both stores are made of. */
struct str api_signed_put_hash(const unsigned char hash[KEYS_HASH_BYTES],
                               char out[SIGNED_HASH_CHARS + 1]);

/* ---- in Redis ---- */

/* What Redis is told of one session. */
struct signed_telling {
    const unsigned char *hash;
    const struct signed_session *session; /* NULL: it is over */
    size_t place;
    bool told; /* out */
};

/* Tells Redis of all rows in one exchange, and notes which it has taken. False: it was not asked,
 * or nobody knows what came of it; then none counts as told. */
bool api_signed_tell(struct api *api, struct signed_telling *rows, size_t count, int64_t until_ns);
/* Of one that began or, with NULL, is over. */
bool api_signed_tell_one(struct api *api, const unsigned char hash[KEYS_HASH_BYTES],
                         const struct signed_session *session, int64_t until_ns);
/* What Redis has; UNTOLD: it does not say. There is a tier. */
enum http_session api_signed_ask_redis(struct api *api, const unsigned char hash[KEYS_HASH_BYTES],
                                       int64_t until_ns, struct signed_session *out);

/* ---- in the live store ---- */

/* In place of a session that is over: Redis knows of it, or does not yet. */
#define SIGNED_OVER STR("over")
#define SIGNED_UNTOLD STR("untold")

/* False: the value says that it is over, or is none. */
bool api_signed_take_live(const struct live_value *value, struct signed_session *out);
enum kol_status api_signed_put_live(struct api *api, const unsigned char hash[KEYS_HASH_BYTES],
                                    const struct signed_session *session,
                                    struct kol_error *err) KOL_CHECKED;
/* That a session is over, `how`: one of the two above. A later event than its begin, so that
 * whoever settles that leaves this alone. `key` is kept. */
struct live_write api_signed_write_of_end(struct str key, struct str how);
enum kol_status api_signed_put_over(struct api *api, struct str key, struct str how,
                                    struct kol_error *err) KOL_CHECKED;
/* NONE: it is over. ASK: the store has nothing, and says nothing of Redis. */
enum http_session api_signed_ask_live(struct api *api, const unsigned char hash[KEYS_HASH_BYTES],
                                      struct signed_session *out);

#endif
