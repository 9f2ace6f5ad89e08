/*
 * signed_stores.c: sessions as they are kept: in Redis as a hash that is sealed, in the live store
 * as a few bytes. See signed_in.c for which of them has one when.
 */
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <string.h>

#include "api/signed_in.h"
#include "base/clock.h"
#include "base/logger.h"

enum { SCOPES_BYTES = 64 };                /* "read,predict,write,admin" and more */
#define OVER_US (60 * CLOCK_US_PER_SECOND) /* a sign-out that Redis knows of, for who settles */

struct str api_signed_put_hash(const unsigned char hash[KEYS_HASH_BYTES],
                               char out[SIGNED_HASH_CHARS + 1])
{
    struct buf hex = {0};
    keys_put_hex(&hex, hash, KEYS_HASH_BYTES);
    memcpy(out, hex.ptr, SIGNED_HASH_CHARS + 1);
    buf_free(&hex);
    return (struct str){out, SIGNED_HASH_CHARS};
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
                         struct signed_session *out)
{
    if (!key_id.len || key_id.len >= sizeof out->key_id || expires_us <= clock_now_us()) {
        return false;
    }
    *out = (struct signed_session){.scopes = read_scopes(scopes), .expires_us = expires_us};
    memcpy(out->key_id, key_id.ptr, key_id.len);
    return true;
}

/* ---- in Redis ---- */

static struct str redis_key(const unsigned char hash[KEYS_HASH_BYTES], struct buf *out)
{
    char text[SIGNED_HASH_CHARS + 1];
    const struct str part = api_signed_put_hash(hash, text);
    serve_key_put(out, SERVE_KEY_SESSION, &part);
    return buf_str(out);
}

/* What shows that a server with our keys has put a session there, and not just somebody who may
 * write to Redis: he knows the id of a key, not its hash. Of the fields as they are kept. */
static bool put_seal(struct api *api, const unsigned char hash[KEYS_HASH_BYTES], struct str scopes,
                     struct str key_id, struct str expires, unsigned char out[API_SEAL_BYTES])
{
    char text[SIGNED_HASH_CHARS + 1];
    struct buf sealed = {0};
    buf_put(&sealed, api_signed_put_hash(hash, text));
    buf_printf(&sealed, "|%.*s|%.*s|%.*s", STR_FORMAT(scopes), STR_FORMAT(key_id),
               STR_FORMAT(expires));
    const bool done = api_keys_seal(api->keys, key_id, buf_str(&sealed), out);
    buf_free(&sealed);
    return done;
}

/* Puts a session there, for the time that it has left. */
static size_t add_begin(struct api *api, struct redis_pipe *pipe, const struct signed_telling *row)
{
    char text[SCOPES_BYTES];
    unsigned char seal[API_SEAL_BYTES];
    struct buf key = {0}, expires = {0}, hex = {0};
    const int64_t now_us = clock_now_us(), left_ms = (row->session->expires_us - now_us) / 1000;
    const struct str scopes = put_scopes(row->session->scopes, text),
                     key_id = str_of(row->session->key_id);
    clock_format(&expires, row->session->expires_us);
    /* Of a key that is gone it has no seal, and stands for nobody. */
    if (put_seal(api, row->hash, scopes, key_id, buf_str(&expires), seal)) {
        keys_put_hex(&hex, seal, sizeof seal);
    }
    const struct serve_field fields[] = {
        {STR("scope"), scopes},
        {STR("key_id"), key_id},
        {STR("expires_at"), buf_str(&expires)},
        {STR("seal"), buf_str(&hex)},
    };
    const struct serve_write write = {
        .kind = SERVE_KEY_SESSION,
        .key = redis_key(row->hash, &key),
        .now_us = now_us,
        .ttl_ms = left_ms > 0 ? left_ms : 1,
        .force = true,
        .fields = fields,
        .field_count = ARRAY_LEN(fields),
    };
    const size_t place = serve_put(pipe, &write);
    buf_free(&key);
    buf_free(&expires);
    buf_free(&hex);
    return place;
}

static size_t add_end(struct redis_pipe *pipe, const struct signed_telling *row)
{
    struct buf key = {0};
    const size_t place = redis_addf(pipe, "UNLINK %S", redis_key(row->hash, &key));
    buf_free(&key);
    return place;
}

static bool was_told(const struct redis_pipe *pipe, const struct signed_telling *row)
{
    struct str why;
    return row->session ? serve_written(pipe, row->place, &why) != SERVE_REFUSED
                        : redis_answer(pipe, row->place)->kind == REDIS_NUMBER;
}

bool api_signed_tell(struct api *api, struct signed_telling *rows, size_t count, int64_t until_ns)
{
    struct redis_pipe *pipe = api->tier ? tier_pipe(api->tier) : NULL;
    for (size_t i = 0; i < count; i++) {
        rows[i].told = false;
    }
    if (!pipe) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        rows[i].place = rows[i].session ? add_begin(api, pipe, &rows[i]) : add_end(pipe, &rows[i]);
    }
    const bool ran = tier_run(api->tier, pipe, until_ns);
    for (size_t i = 0; ran && i < count; i++) {
        rows[i].told = was_told(pipe, &rows[i]);
    }
    tier_pipe_done(api->tier, &pipe);
    return ran;
}

bool api_signed_tell_one(struct api *api, const unsigned char hash[KEYS_HASH_BYTES],
                         const struct signed_session *session, int64_t until_ns)
{
    struct signed_telling row = {.hash = hash, .session = session};
    return api_signed_tell(api, &row, 1, until_ns) && row.told;
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
                                    struct signed_session *out)
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

enum http_session api_signed_ask_redis(struct api *api, const unsigned char hash[KEYS_HASH_BYTES],
                                       int64_t until_ns, struct signed_session *out)
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

/* ---- in the live store: the scopes, a NUL, the id of the key; or SIGNED_OVER, SIGNED_UNTOLD ----
 */

bool api_signed_take_live(const struct live_value *value, struct signed_session *out)
{
    struct str key_id = value->bytes;
    const struct str scopes = str_cut(&key_id, '\0');
    return key_id.ptr && read_session(key_id, scopes, value->expires_us, out);
}

enum kol_status api_signed_put_live(struct api *api, const unsigned char hash[KEYS_HASH_BYTES],
                                    const struct signed_session *session, struct kol_error *err)
{
    char text[SIGNED_HASH_CHARS + 1], scopes[SCOPES_BYTES];
    struct buf bytes = {0};
    const int64_t now_us = clock_now_us(), left_us = session->expires_us - now_us;
    buf_put(&bytes, put_scopes(session->scopes, scopes));
    buf_putc(&bytes, '\0');
    buf_puts(&bytes, session->key_id);
    struct live_write write = {
        .kind = LIVE_SESSION,
        .key = api_signed_put_hash(hash, text),
        .bytes = buf_str(&bytes),
        .event_time_us = now_us,
        .ttl_us = left_us > 0 ? left_us : 1,
    };
    enum kol_status status = live_write(api->live, &write, 1, err);
    buf_free(&bytes);
    return status;
}

struct live_write api_signed_write_of_end(struct str key, struct str how)
{
    return (struct live_write){.kind = LIVE_SESSION,
                               .key = key,
                               .bytes = how,
                               .event_time_us = clock_now_us(),
                               .version = 1,
                               .ttl_us = str_equal(how, SIGNED_OVER) ? OVER_US : API_SESSION_US};
}

enum kol_status api_signed_put_over(struct api *api, struct str key, struct str how,
                                    struct kol_error *err)
{
    struct live_write write = api_signed_write_of_end(key, how);
    return live_write(api->live, &write, 1, err);
}

enum http_session api_signed_ask_live(struct api *api, const unsigned char hash[KEYS_HASH_BYTES],
                                      struct signed_session *out)
{
    char text[SIGNED_HASH_CHARS + 1];
    struct buf bytes = {0};
    struct live_value value;
    struct kol_error err;
    enum http_session found = HTTP_SESSION_ASK;
    enum kol_status status =
        live_get(api->live, LIVE_SESSION, api_signed_put_hash(hash, text), &bytes, &value, &err);
    if (status == KOL_OK) {
        found = api_signed_take_live(&value, out) ? HTTP_SESSION_HELD : HTTP_SESSION_NONE;
    } else if (status != KOL_NOT_FOUND) {
        log_warn("the store of sessions cannot be read: %s", err.message);
        found = HTTP_SESSION_UNTOLD;
    }
    buf_free(&bytes);
    return found;
}
