/*
 * signed_in.c: who is signed in: what the token of a session stands for.
 *
 * A token is 256 random bits. Only its SHA-256 is kept, and looked up: whoever measures how far a
 * look-up came learns something of a hash that he chose, and nothing of a token that he does not
 * have, so nothing is compared in constant time. A session names a key and what that one was good
 * for; what the key is good for now is asked at each request, so that one that is revoked or has
 * expired ends its sessions, on servers that share keys as well as sessions.
 *
 * A session is in one place: in Redis (all servers have it), or in the live store where there is no
 * Redis or while it does not answer (this machine has it). In the process the sessions of late are
 * kept for a moment, for the event threads; that moment is how long a sign-out elsewhere may take
 * to be noticed. They are kept on for when nobody can tell.
 *
 * The live store remembers who signed out as well: a session that Redis still has is over here from
 * then on, and api_signed_settle() tells Redis once it answers. It also takes the sessions there
 * that were begun meanwhile, many in one exchange. All may die or be done twice at any point: what
 * is settled is put in Redis before it is taken out of the store, who signs out tells the store
 * before Redis, and one process of a machine settles at a time, so that no session that is over
 * comes back. (But one whose way to Redis was cut off just when it was settled, that landed all the
 * same, and that was ended on another machine before the next try.)
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/signed_in.h"
#include "base/clock.h"
#include "base/logger.h"
#include "base/metrics.h"

enum {
    TOKEN_CHARS = 43, /* 256 bits in the letters of base64 */
    WAYS = 4,
    SETS = 1024, /* of the table in the process: 4,096 sessions, however many there are */
    LOCKS = 16   /* each for SETS / LOCKS of them */
};
#define NS INT64_C(1000000000)
#define FRESH_NS (5 * NS)   /* what is kept counts so long unasked */
#define ASKED_NS (1 * NS)   /* while one asks again, others go on with it so long */
#define UNKNOWN_NS (2 * NS) /* that a token stands for nobody counts so long */

struct entry {
    unsigned char hash[KEYS_HASH_BYTES];
    bool known;      /* else the token stands for nobody */
    int64_t seen_ns; /* when that was so; 0: nothing is here */
    struct signed_session session;
};

struct api_signed {
    pthread_mutex_t locks[LOCKS];
    struct entry entries[SETS][WAYS];
};

struct api_signed *api_signed_new(void)
{
    struct api_signed *table = mem_zalloc(1, sizeof *table);
    for (size_t i = 0; i < LOCKS; i++) {
        pthread_mutex_init(&table->locks[i], NULL);
    }
    return table;
}

void api_signed_free(struct api_signed **table)
{
    for (size_t i = 0; *table && i < LOCKS; i++) {
        pthread_mutex_destroy(&(*table)->locks[i]);
    }
    free(*table);
    *table = NULL;
}

/* ---- tokens ---- */

/* What no server has given out is no token, and costs no look-up. */
static bool read_token(struct str token, unsigned char hash[KEYS_HASH_BYTES])
{
    if (token.len != TOKEN_CHARS) {
        return false;
    }
    for (size_t i = 0; i < token.len; i++) {
        const char c = token.ptr[i];
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                            (c >= '0' && c <= '9') || c == '-' || c == '_';
        if (!letter) {
            return false;
        }
    }
    keys_hash(token, hash);
    return true;
}

/* ---- the table in the process ---- */

static pthread_mutex_t *lock_set(struct api_signed *table,
                                 const unsigned char hash[KEYS_HASH_BYTES], struct entry **set)
{
    uint64_t number;
    memcpy(&number, hash, sizeof number);
    *set = table->entries[number % SETS];
    pthread_mutex_t *lock = &table->locks[number % LOCKS];
    pthread_mutex_lock(lock);
    return lock;
}

static struct entry *find_entry(struct entry set[WAYS], const unsigned char hash[KEYS_HASH_BYTES])
{
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].seen_ns && memcmp(set[i].hash, hash, KEYS_HASH_BYTES) == 0) {
            return &set[i];
        }
    }
    return NULL;
}

/* Whose place is taken: one that stands for nobody before one that does, then the oldest. */
static struct entry *choose_entry(struct entry set[WAYS])
{
    struct entry *worst = &set[0];
    for (size_t i = 1; i < WAYS; i++) {
        const bool better =
            set[i].known != worst->known ? worst->known : set[i].seen_ns < worst->seen_ns;
        worst = better ? &set[i] : worst;
    }
    return worst;
}

/* `session` NULL: the token stands for nobody. `since_ns`: when whoever says so began to ask. Of a
 * session that was ended since he says what is over. */
static void keep(struct api_signed *table, const unsigned char hash[KEYS_HASH_BYTES],
                 const struct signed_session *session, int64_t since_ns)
{
    struct entry *set;
    pthread_mutex_t *lock = lock_set(table, hash, &set);
    struct entry *entry = find_entry(set, hash);
    const bool ended = session && entry && !entry->known && entry->seen_ns >= since_ns;
    if (!ended) {
        entry = entry ? entry : choose_entry(set);
        *entry = (struct entry){.known = session != NULL, .seen_ns = clock_mono_ns()};
        memcpy(entry->hash, hash, KEYS_HASH_BYTES);
    }
    if (session && !ended) {
        entry->session = *session;
    }
    pthread_mutex_unlock(lock);
}

static void forget(struct api_signed *table, const unsigned char hash[KEYS_HASH_BYTES])
{
    keep(table, hash, NULL, 0);
}

/* What is kept; `however_old`: also where it is due to be asked again. */
static enum http_session recall(struct api_signed *table, const unsigned char hash[KEYS_HASH_BYTES],
                                bool however_old, struct signed_session *out)
{
    struct entry *set;
    const int64_t now_ns = clock_mono_ns();
    enum http_session found = HTTP_SESSION_ASK;
    pthread_mutex_t *lock = lock_set(table, hash, &set);
    struct entry *entry = find_entry(set, hash);
    const int64_t age_ns = entry ? now_ns - entry->seen_ns : 0;
    if (entry && entry->known && (however_old || age_ns < FRESH_NS)) {
        found = HTTP_SESSION_HELD;
        *out = entry->session;
    } else if (entry && entry->known) {
        entry->seen_ns = now_ns - FRESH_NS + ASKED_NS;
    } else if (entry && age_ns < UNKNOWN_NS) {
        found = HTTP_SESSION_NONE;
    }
    pthread_mutex_unlock(lock);
    return found;
}

/* ---- finding ---- */

/* Looks where the session is, and keeps what came of it. */
static enum http_session look_up(struct api *api, const unsigned char hash[KEYS_HASH_BYTES],
                                 int64_t until_ns, struct signed_session *out)
{
    const char *from = "live";
    const int64_t since_ns = clock_mono_ns();
    enum http_session found = api_signed_ask_live(api, hash, out);
    if (api->tier && (found == HTTP_SESSION_ASK || found == HTTP_SESSION_UNTOLD)) {
        from = "redis";
        found = api_signed_ask_redis(api, hash, until_ns, out);
    }
    if (found == HTTP_SESSION_ASK) {
        found = HTTP_SESSION_NONE;
    }
    if (found == HTTP_SESSION_UNTOLD) {
        const bool kept = recall(api->signed_in, hash, true, out) == HTTP_SESSION_HELD;
        metrics_add(METRIC_SESSION_LOOKUPS, kept ? "kept" : "untold", 1);
        return kept ? HTTP_SESSION_HELD : HTTP_SESSION_UNTOLD;
    }
    keep(api->signed_in, hash, found == HTTP_SESSION_HELD ? out : NULL, since_ns);
    metrics_add(METRIC_SESSION_LOOKUPS, found == HTTP_SESSION_HELD ? from : "none", 1);
    return found;
}

enum http_session api_signed_find(struct api *api, struct str token, int64_t until_ns,
                                  struct http_identity *out)
{
    unsigned char hash[KEYS_HASH_BYTES];
    struct signed_session session;
    if (!read_token(token, hash)) {
        return HTTP_SESSION_NONE;
    }
    enum http_session found = until_ns ? look_up(api, hash, until_ns, &session)
                                       : recall(api->signed_in, hash, false, &session);
    if (found != HTTP_SESSION_HELD) {
        return found;
    }
    /* Never more than the key was good for when it signed in: another server that shares Redis may
     * know another key by the same id. */
    if (session.expires_us <= clock_now_us() ||
        !api_keys_identity(api->keys, str_of(session.key_id), out)) {
        return HTTP_SESSION_NONE;
    }
    out->scopes &= session.scopes;
    return out->scopes ? HTTP_SESSION_HELD : HTTP_SESSION_NONE;
}

/* ---- beginning and ending ---- */

static enum kol_status make_token(struct buf *token, unsigned char hash[KEYS_HASH_BYTES],
                                  struct kol_error *err)
{
    const size_t at = token->len;
    enum kol_status status = keys_put_random(token, err);
    if (status == KOL_OK) {
        keys_hash((struct str){token->ptr + at, token->len - at}, hash);
    }
    return status;
}

enum kol_status api_signed_begin(struct api *api, const struct http_identity *who,
                                 int64_t expires_us, int64_t until_ns, struct buf *token,
                                 struct kol_error *err)
{
    unsigned char hash[KEYS_HASH_BYTES];
    const size_t at = token->len;
    struct signed_session session = {.scopes = who->scopes, .expires_us = expires_us};
    snprintf(session.key_id, sizeof session.key_id, "%s", who->id);
    enum kol_status status = make_token(token, hash, err);
    if (status == KOL_OK && !api_signed_tell_one(api, hash, &session, until_ns)) {
        /* Redis may have it all the same, late: of a token that nobody gets. */
        token->len = at;
        status = make_token(token, hash, err);
        if (status == KOL_OK) {
            status = api_signed_put_live(api, hash, &session, err);
        }
    }
    if (status == KOL_OK) {
        keep(api->signed_in, hash, &session, clock_mono_ns());
    }
    return status;
}

/* Ends it in the stores. Where only Redis can be told, that is enough if the live store has not got
 * it; where only the live store can, whoever settles tells Redis. He does so as well where the live
 * store had the session, or may have had it: it may be on its way to Redis, by somebody who dies on
 * the way. */
static bool end_stored(struct api *api, const unsigned char hash[KEYS_HASH_BYTES], int64_t until_ns)
{
    char text[SIGNED_HASH_CHARS + 1];
    struct signed_session ignored;
    struct kol_error err;
    const struct str key = api_signed_put_hash(hash, text);
    const bool settles = api_signed_ask_live(api, hash, &ignored) != HTTP_SESSION_ASK;
    enum kol_status status = api->tier ? api_signed_put_over(api, key, SIGNED_UNTOLD, &err)
                                       : live_delete(api->live, LIVE_SESSION, key, &err);
    bool over = status == KOL_OK;
    const bool told = api->tier && api_signed_tell_one(api, hash, NULL, until_ns);
    if (told && over) {
        status = settles ? KOL_OK : api_signed_put_over(api, key, SIGNED_OVER, &err);
    } else if (told) {
        over = api_signed_ask_live(api, hash, &ignored) == HTTP_SESSION_ASK;
    }
    if (status != KOL_OK) {
        log_warn("the live store keeps no sign-out: %s", err.message);
    }
    return over;
}

bool api_signed_end(struct api *api, struct str token, int64_t until_ns)
{
    unsigned char hash[KEYS_HASH_BYTES];
    struct signed_session session;
    if (!read_token(token, hash)) {
        return true;
    }
    /* Nothing is written for whoever made a token up; nor where that cannot be told. */
    const enum http_session found = look_up(api, hash, until_ns, &session);
    if (found != HTTP_SESSION_HELD) {
        return found == HTTP_SESSION_NONE;
    }
    forget(api->signed_in, hash);
    const bool over = end_stored(api, hash, until_ns);
    /* Again, for those who asked between that and the stores' being told; or it goes on, also while
     * nobody can be asked. */
    keep(api->signed_in, hash, over ? NULL : &session, INT64_MAX);
    return over;
}
