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
 * that were begun meanwhile. All may die or be done twice at any point: what is settled is put in
 * Redis before it is taken out of the store, and who signs out tells the store before Redis, so
 * that no session that is over comes back. (But one whose way to Redis was cut off just when it was
 * settled, that landed all the same, and that was ended elsewhere before the next try.)
 */
#include <gnutls/gnutls.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/keys.h"
#include "base/clock.h"
#include "base/logger.h"
#include "base/metrics.h"
#include "base/signals.h"

enum {
    TOKEN_CHARS = 43, /* 256 bits in the letters of base64 */
    HASH_CHARS = 2 * KEYS_HASH_BYTES,
    WAYS = 4,
    SETS = 1024,       /* of the table in the process: 4,096 sessions, however many there are */
    LOCKS = 16,        /* each for SETS / LOCKS of them */
    SCOPES_BYTES = 64, /* "read,predict,write,admin" and more */
    SETTLED_ONCE = 256 /* in one go */
};
#define NS INT64_C(1000000000)
#define FRESH_NS (5 * NS)                  /* what is kept counts so long unasked */
#define ASKED_NS (1 * NS)                  /* while one asks again, others go on with it so long */
#define SETTLING_NS (NS / 5)               /* after that no further one is settled in one go */
#define UNKNOWN_NS (2 * NS)                /* that a token stands for nobody counts so long */
#define OVER_US (60 * CLOCK_US_PER_SECOND) /* a sign-out that Redis knows of, for who settles */

#define OVER STR("over")     /* in place of a session in the store */
#define UNTOLD STR("untold") /* the same, and Redis does not know yet */

/* What a session says. */
struct session {
    char key_id[64];
    http_scopes scopes; /* of the key when it was begun */
    int64_t expires_us;
};

struct entry {
    unsigned char hash[KEYS_HASH_BYTES];
    bool known;      /* else the token stands for nobody */
    int64_t seen_ns; /* when that was so; 0: nothing is here */
    struct session session;
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

/* The hash as text, which the keys of both stores are made of. */
static struct str put_hash(const unsigned char hash[KEYS_HASH_BYTES], char out[HASH_CHARS + 1])
{
    struct buf hex = {0};
    keys_put_hex(&hex, hash, KEYS_HASH_BYTES);
    memcpy(out, hex.ptr, HASH_CHARS + 1);
    buf_free(&hex);
    return (struct str){out, HASH_CHARS};
}

/* ---- scopes as text: "read,predict" ---- */

static struct str put_scopes(http_scopes scopes, char out[SCOPES_BYTES])
{
    size_t len = 0;
    for (size_t i = 0; i < ARRAY_LEN(api_scope_names); i++) {
        if (scopes >> i & 1) {
            len += (size_t)snprintf(out + len, SCOPES_BYTES - len, "%s%s", len ? "," : "",
                                    api_scope_names[i]);
        }
    }
    return (struct str){out, len};
}

/* A scope that this version does not know is none. */
static http_scopes read_scopes(struct str text)
{
    http_scopes scopes = 0;
    while (text.len) {
        const struct str name = str_cut(&text, ',');
        for (size_t i = 0; i < ARRAY_LEN(api_scope_names); i++) {
            scopes |= str_is(name, api_scope_names[i]) ? 1U << i : 0;
        }
    }
    return scopes;
}

static bool read_session(struct str key_id, struct str scopes, int64_t expires_us,
                         struct session *out)
{
    if (!key_id.len || key_id.len >= sizeof out->key_id || expires_us <= clock_now_us()) {
        return false;
    }
    *out = (struct session){.scopes = read_scopes(scopes), .expires_us = expires_us};
    memcpy(out->key_id, key_id.ptr, key_id.len);
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
                 const struct session *session, int64_t since_ns)
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
                                bool however_old, struct session *out)
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

/* ---- in Redis ---- */

static struct str redis_key(const unsigned char hash[KEYS_HASH_BYTES], struct buf *out)
{
    char text[HASH_CHARS + 1];
    const struct str part = put_hash(hash, text);
    serve_key_put(out, SERVE_KEY_SESSION, &part);
    return buf_str(out);
}

/* What shows that a server with our keys has put a session there, and not just somebody who may
 * write to Redis: he knows the id of a key, not its hash. Of the fields as they are kept. */
static bool put_seal(struct api *api, const unsigned char hash[KEYS_HASH_BYTES], struct str scopes,
                     struct str key_id, struct str expires, unsigned char out[API_SEAL_BYTES])
{
    char text[HASH_CHARS + 1];
    struct buf sealed = {0};
    buf_put(&sealed, put_hash(hash, text));
    buf_printf(&sealed, "|%.*s|%.*s|%.*s", STR_FORMAT(scopes), STR_FORMAT(key_id),
               STR_FORMAT(expires));
    const bool done = api_keys_seal(api->keys, key_id, buf_str(&sealed), out);
    buf_free(&sealed);
    return done;
}

/* Puts a session there, for the time that it has left. False: it could not be. */
static bool tell_begin(struct api *api, const unsigned char hash[KEYS_HASH_BYTES],
                       const struct session *session, int64_t until_ns)
{
    struct redis_pipe *pipe = api->tier ? tier_pipe(api->tier) : NULL;
    const int64_t now_us = clock_now_us();
    if (!pipe) {
        return false;
    }
    char text[SCOPES_BYTES];
    unsigned char seal[API_SEAL_BYTES];
    struct buf key = {0}, expires = {0}, hex = {0};
    struct str why;
    const struct str scopes = put_scopes(session->scopes, text), key_id = str_of(session->key_id);
    clock_format(&expires, session->expires_us);
    /* Of a key that is gone it has no seal, and stands for nobody. */
    if (put_seal(api, hash, scopes, key_id, buf_str(&expires), seal)) {
        keys_put_hex(&hex, seal, sizeof seal);
    }
    const struct serve_field fields[] = {
        {STR("scope"), scopes},
        {STR("key_id"), key_id},
        {STR("expires_at"), buf_str(&expires)},
        {STR("seal"), buf_str(&hex)},
    };
    const int64_t left_ms = (session->expires_us - now_us) / 1000;
    const struct serve_write write = {
        .kind = SERVE_KEY_SESSION,
        .key = redis_key(hash, &key),
        .now_us = now_us,
        .ttl_ms = left_ms > 0 ? left_ms : 1,
        .force = true,
        .fields = fields,
        .field_count = ARRAY_LEN(fields),
    };
    const size_t place = serve_put(pipe, &write);
    const bool done =
        tier_run(api->tier, pipe, until_ns) && serve_written(pipe, place, &why) != SERVE_REFUSED;
    tier_pipe_done(api->tier, &pipe);
    buf_free(&key);
    buf_free(&expires);
    buf_free(&hex);
    return done;
}

static bool tell_end(struct api *api, const unsigned char hash[KEYS_HASH_BYTES], int64_t until_ns)
{
    struct redis_pipe *pipe = api->tier ? tier_pipe(api->tier) : NULL;
    struct buf key = {0};
    if (!pipe) {
        return false;
    }
    const size_t place = redis_addf(pipe, "UNLINK %S", redis_key(hash, &key));
    const bool done =
        tier_run(api->tier, pipe, until_ns) && redis_answer(pipe, place)->kind == REDIS_NUMBER;
    tier_pipe_done(api->tier, &pipe);
    buf_free(&key);
    return done;
}

static bool seal_is_ours(struct api *api, const unsigned char hash[KEYS_HASH_BYTES],
                         struct str scopes, struct str key_id, struct str expires, struct str seal)
{
    unsigned char ours[API_SEAL_BYTES], theirs[KEYS_HASH_BYTES];
    return keys_read_hex(seal, theirs) && put_seal(api, hash, scopes, key_id, expires, ours) &&
           gnutls_memcmp(ours, theirs, sizeof ours) == 0;
}

static enum http_session take_redis(struct api *api, const unsigned char hash_of[KEYS_HASH_BYTES],
                                    const struct redis_pipe *pipe, size_t place,
                                    struct session *out)
{
    struct arena arena;
    struct serve_hash hash;
    int64_t expires_us = 0;
    bool valid = false;
    arena_init(&arena, 1024);
    if (serve_take_hash(pipe, place, SERVE_KEY_SESSION, &arena, &hash) == SERVE_HELD) {
        const struct serve_field *key = serve_field(hash.fields, hash.count, "key_id");
        const struct serve_field *scope = serve_field(hash.fields, hash.count, "scope");
        const struct serve_field *expires = serve_field(hash.fields, hash.count, "expires_at");
        const struct serve_field *seal = serve_field(hash.fields, hash.count, "seal");
        valid = key && scope && expires && seal && clock_parse(expires->value, &expires_us) &&
                seal_is_ours(api, hash_of, scope->value, key->value, expires->value, seal->value) &&
                read_session(key->value, scope->value, expires_us, out);
    }
    arena_free(&arena);
    return valid ? HTTP_SESSION_HELD : HTTP_SESSION_NONE;
}

static enum http_session ask_redis(struct api *api, const unsigned char hash[KEYS_HASH_BYTES],
                                   int64_t until_ns, struct session *out)
{
    struct redis_pipe *pipe = tier_pipe(api->tier);
    struct buf key = {0};
    if (!pipe) {
        return HTTP_SESSION_UNTOLD;
    }
    const size_t place = serve_ask(pipe, SERVE_KEY_SESSION, redis_key(hash, &key));
    const bool ran = tier_run(api->tier, pipe, until_ns);
    /* Loading, no right to read, ...: it does not say that there is no session. */
    const bool told = ran && (redis_answer(pipe, place)->kind != REDIS_ERROR ||
                              redis_is_error(redis_answer(pipe, place), "WRONGTYPE"));
    const enum http_session found =
        told ? take_redis(api, hash, pipe, place, out) : HTTP_SESSION_UNTOLD;
    tier_pipe_done(api->tier, &pipe);
    buf_free(&key);
    return found;
}

/* ---- in the live store: the scopes, a NUL, the id of the key; or OVER, UNTOLD ---- */

static bool take_live(const struct live_value *value, struct session *out)
{
    struct str key_id = value->bytes;
    const struct str scopes = str_cut(&key_id, '\0');
    return key_id.ptr && read_session(key_id, scopes, value->expires_us, out);
}

static enum kol_status put_live(struct api *api, const unsigned char hash[KEYS_HASH_BYTES],
                                const struct session *session, struct kol_error *err)
{
    char text[HASH_CHARS + 1], scopes[SCOPES_BYTES];
    struct buf bytes = {0};
    const int64_t now_us = clock_now_us(), left_us = session->expires_us - now_us;
    buf_put(&bytes, put_scopes(session->scopes, scopes));
    buf_putc(&bytes, '\0');
    buf_puts(&bytes, session->key_id);
    struct live_write write = {
        .kind = LIVE_SESSION,
        .key = put_hash(hash, text),
        .bytes = buf_str(&bytes),
        .event_time_us = now_us,
        .ttl_us = left_us > 0 ? left_us : 1,
    };
    enum kol_status status = live_write(api->live, &write, 1, err);
    buf_free(&bytes);
    return status;
}

/* A later event than the session's begin, so that whoever settles that leaves this alone. */
static enum kol_status put_over(struct api *api, struct str key, struct str how, int64_t ttl_us,
                                struct kol_error *err)
{
    struct live_write write = {.kind = LIVE_SESSION,
                               .key = key,
                               .bytes = how,
                               .event_time_us = clock_now_us(),
                               .version = 1,
                               .ttl_us = ttl_us};
    return live_write(api->live, &write, 1, err);
}

/* ASK: the store has nothing, and says nothing of Redis. */
static enum http_session ask_live(struct api *api, const unsigned char hash[KEYS_HASH_BYTES],
                                  struct session *out)
{
    char text[HASH_CHARS + 1];
    struct buf bytes = {0};
    struct live_value value;
    struct kol_error err;
    enum http_session found = HTTP_SESSION_ASK;
    enum kol_status status =
        live_get(api->live, LIVE_SESSION, put_hash(hash, text), &bytes, &value, &err);
    if (status == KOL_OK) {
        found = take_live(&value, out) ? HTTP_SESSION_HELD : HTTP_SESSION_NONE;
    } else if (status != KOL_NOT_FOUND) {
        log_warn("the store of sessions cannot be read: %s", err.message);
        found = HTTP_SESSION_UNTOLD;
    }
    buf_free(&bytes);
    return found;
}

/* ---- finding ---- */

/* Looks where the session is, and keeps what came of it. */
static enum http_session look_up(struct api *api, const unsigned char hash[KEYS_HASH_BYTES],
                                 int64_t until_ns, struct session *out)
{
    const char *from = "live";
    const int64_t since_ns = clock_mono_ns();
    enum http_session found = ask_live(api, hash, out);
    if (api->tier && (found == HTTP_SESSION_ASK || found == HTTP_SESSION_UNTOLD)) {
        from = "redis";
        found = ask_redis(api, hash, until_ns, out);
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
    struct session session;
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
    struct session session = {.scopes = who->scopes, .expires_us = expires_us};
    snprintf(session.key_id, sizeof session.key_id, "%s", who->id);
    enum kol_status status = make_token(token, hash, err);
    if (status == KOL_OK && !tell_begin(api, hash, &session, until_ns)) {
        /* Redis may have it all the same, late: of a token that nobody gets. */
        token->len = at;
        status = make_token(token, hash, err);
        if (status == KOL_OK) {
            status = put_live(api, hash, &session, err);
        }
    }
    if (status == KOL_OK) {
        keep(api->signed_in, hash, &session, clock_mono_ns());
    }
    return status;
}

/* Ends it in the stores. Where only Redis can be told, that is enough if the live store has not got
 * it; where only the live store can, whoever settles tells Redis. */
static bool end_stored(struct api *api, const unsigned char hash[KEYS_HASH_BYTES], int64_t until_ns)
{
    char text[HASH_CHARS + 1];
    struct session ignored;
    struct kol_error err;
    const struct str key = put_hash(hash, text);
    enum kol_status status = api->tier ? put_over(api, key, UNTOLD, API_SESSION_US, &err)
                                       : live_delete(api->live, LIVE_SESSION, key, &err);
    bool over = status == KOL_OK;
    const bool told = api->tier && tell_end(api, hash, until_ns);
    if (told && over) {
        status = put_over(api, key, OVER, OVER_US, &err);
    } else if (told) {
        over = ask_live(api, hash, &ignored) == HTTP_SESSION_ASK;
    }
    if (status != KOL_OK) {
        log_warn("the live store keeps no sign-out: %s", err.message);
    }
    return over;
}

bool api_signed_end(struct api *api, struct str token, int64_t until_ns)
{
    unsigned char hash[KEYS_HASH_BYTES];
    struct session session;
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
    /* Again, for those who asked between that and the stores' being told. */
    forget(api->signed_in, hash);
    return over;
}

/* ---- settling ---- */

struct unsettled {
    char key[HASH_CHARS];
    unsigned char hash[KEYS_HASH_BYTES];
    bool over;
    int64_t event_time_us;
    uint64_t version;
    struct session session;
};

struct settling {
    struct unsettled *rows;
    size_t count;
};

static bool take_unsettled(const struct live_value *value, void *user)
{
    struct settling *settling = user;
    struct unsettled *row = &settling->rows[settling->count];
    *row = (struct unsettled){.over = str_equal(value->bytes, UNTOLD),
                              .event_time_us = value->event_time_us,
                              .version = value->version};
    if (value->key.len != HASH_CHARS || !keys_read_hex(value->key, row->hash) ||
        (!row->over && !take_live(value, &row->session))) {
        return true;
    }
    memcpy(row->key, value->key.ptr, HASH_CHARS);
    settling->count++;
    return settling->count < SETTLED_ONCE;
}

/* The session is in Redis now. Who signed out meanwhile told the store first: then that is what is
 * there. */
static enum kol_status settle_begun(struct api *api, const struct unsettled *row, int64_t until_ns,
                                    struct kol_error *err)
{
    struct live_write write = {.kind = LIVE_SESSION,
                               .key = {row->key, HASH_CHARS},
                               .event_time_us = row->event_time_us,
                               .version = row->version,
                               .guarded = true,
                               .remove = true};
    struct session ignored;
    enum kol_status status = live_write(api->live, &write, 1, err);
    if (status == KOL_OK && ask_live(api, row->hash, &ignored) == HTTP_SESSION_NONE &&
        !tell_end(api, row->hash, until_ns)) {
        status = put_over(api, write.key, UNTOLD, API_SESSION_US, err);
    }
    return status;
}

/* False: Redis did not answer, the rest waits. */
static bool settle(struct api *api, const struct unsettled *row, struct kol_error *err)
{
    const int64_t until_ns = clock_mono_ns() + NS;
    const struct str key = {row->key, HASH_CHARS};
    const bool told = row->over ? tell_end(api, row->hash, until_ns)
                                : tell_begin(api, row->hash, &row->session, until_ns);
    if (!told) {
        return false;
    }
    enum kol_status status =
        row->over ? put_over(api, key, OVER, OVER_US, err) : settle_begun(api, row, until_ns, err);
    if (status != KOL_OK) {
        log_warn("a session is not settled: %s", err->message);
    }
    return status == KOL_OK;
}

void api_signed_settle(struct api *api)
{
    struct kol_error err;
    if (!api->tier) {
        return;
    }
    struct settling settling = {.rows = mem_alloc(SETTLED_ONCE * sizeof *settling.rows)};
    if (live_list(api->live, LIVE_SESSION, STR(""), STR(""), take_unsettled, &settling, &err) !=
        KOL_OK) {
        log_warn("the store of sessions cannot be read: %s", err.message);
    }
    /* This is the thread that sees keys and copies change, and a stop asked for. */
    const int64_t last_ns = clock_mono_ns() + SETTLING_NS;
    size_t settled = 0;
    while (settled < settling.count && clock_mono_ns() < last_ns && !signals_stop_asked() &&
           settle(api, &settling.rows[settled], &err)) {
        settled++;
    }
    if (settled) {
        log_info("redis was told of %zu sessions that began or ended without it", settled);
    }
    free(settling.rows);
}
