/*
 * keys.c: who may ask: DATA/keys.json, and the keys of the option serve.api_keys.
 *
 * A key is 256 random bits as text ("kol_" and 43 characters). Only its SHA-256 is kept: bits that
 * nobody can guess need no slow hash. A key that is presented is hashed and compared with all, each
 * in the same time, and without an end at the first that fits.
 *
 * The file is read again when it has changed; what is valid is a table that is swapped as a whole,
 * so that whoever is asked meanwhile waits for nothing. A broken file leaves the keys of before:
 * they neither open nor close the door by accident.
 *
 *     {"version":1,"keys":[{"id":"...","note":"...","scopes":["read"],"sha256":"...","created":"...",
 *      "expires":null,"revoked":null,"rate_per_minute":0,"burst":0}]}
 */
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "api/keys.h"
#include "base/clock.h"
#include "base/file.h"

enum {
    LEAST_GIVEN = 16,          /* characters of a key that an operator made up */
    MOST_GIVEN = 512,          /* of a key that is presented */
    MOST_FILE_BYTES = 4 << 20, /* of keys.json */
};

/* What the file looked like when it was read. */
struct file_mark {
    int64_t mtime_ns, size, inode;
};

struct api_keys {
    char *path;
    struct key_table given; /* of the option; fixed */
    pthread_mutex_t refresh;
    struct file_mark mark;
    pthread_rwlock_t lock; /* `table`: held for a comparison, or a swap */
    struct key_table table;
};

/* ---- hashes ---- */

void keys_hash(struct str key, unsigned char out[KEYS_HASH_BYTES])
{
    if (gnutls_hash_fast(GNUTLS_DIG_SHA256, key.ptr, key.len, out) != 0) {
        kol_panic("SHA-256 is not available");
    }
}

/* 0 where both are the same; takes the same time whatever they hold. */
static unsigned differ(const unsigned char a[KEYS_HASH_BYTES],
                       const unsigned char b[KEYS_HASH_BYTES])
{
    unsigned bits = 0;
    for (size_t i = 0; i < KEYS_HASH_BYTES; i++) {
        bits |= (unsigned)(a[i] ^ b[i]);
    }
    return bits;
}

void keys_put_hex(struct buf *out, const unsigned char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        buf_printf(out, "%02x", bytes[i]);
    }
}

/* -1: none. */
static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool keys_read_hex(struct str text, unsigned char out[KEYS_HASH_BYTES])
{
    if (text.len != (size_t)2 * KEYS_HASH_BYTES) {
        return false;
    }
    for (size_t i = 0; i < KEYS_HASH_BYTES; i++) {
        const int high = hex_digit(text.ptr[2 * i]), low = hex_digit(text.ptr[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        out[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

/* ---- the file ---- */

/* A time of the file: 0 for null; false where it is none. Zero itself would be no end at all. */
static bool read_time(const json_t *object, const char *name, int64_t *out)
{
    const json_t *value = json_object_get(object, name);
    *out = 0;
    if (!value || json_is_null(value)) {
        return true;
    }
    return json_is_string(value) && clock_parse(str_of(json_string_value(value)), out) && *out != 0;
}

static bool read_scopes(const json_t *list, http_scopes *out)
{
    *out = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        size_t bit = 0;
        while (bit < ARRAY_LEN(api_scope_names) &&
               strcmp(name ? name : "", api_scope_names[bit]) != 0) {
            bit++;
        }
        if (bit == ARRAY_LEN(api_scope_names)) {
            return false;
        }
        *out |= 1U << bit;
    }
    return *out != 0;
}

static bool read_key(const json_t *object, struct stored_key *out)
{
    struct api_key *key = &out->key;
    const char *id = json_string_value(json_object_get(object, "id"));
    const char *note = json_string_value(json_object_get(object, "note"));
    *out = (struct stored_key){0};
    snprintf(key->id, sizeof key->id, "%s", id ? id : "");
    snprintf(key->note, sizeof key->note, "%s", note ? note : "");
    key->rate_per_minute = json_integer_value(json_object_get(object, "rate_per_minute"));
    key->burst = json_integer_value(json_object_get(object, "burst"));
    return id && *id && strlen(id) < sizeof key->id && (!note || strlen(note) < sizeof key->note) &&
           key->rate_per_minute >= 0 && key->burst >= 0 &&
           read_scopes(json_object_get(object, "scopes"), &key->scopes) &&
           read_time(object, "created", &key->created_us) &&
           read_time(object, "expires", &key->expires_us) &&
           read_time(object, "revoked", &key->revoked_us) &&
           keys_read_hex(str_of(json_string_value(json_object_get(object, "sha256"))), out->hash);
}

void keys_free(struct key_table *table)
{
    free(table->keys);
    *table = (struct key_table){0};
}

enum kol_status keys_parse(const char *path, struct str text, struct key_table *out,
                           struct kol_error *err)
{
    enum kol_status status = KOL_OK;
    json_t *root = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL);
    const json_t *list = json_object_get(root, "keys");
    const size_t count = json_array_size(list);
    if (!json_is_array(list) || json_integer_value(json_object_get(root, "version")) != 1) {
        status = kol_fail(err, KOL_CORRUPT, "%s is no list of keys of version 1", path);
    } else if (count > KEYS_MOST) {
        status = kol_fail(err, KOL_CORRUPT, "%s has over %d keys", path, KEYS_MOST);
    }
    out->keys = status == KOL_OK ? mem_zalloc(count + 1, sizeof *out->keys) : NULL;
    for (size_t i = 0; i < count && status == KOL_OK; i++) {
        if (!read_key(json_array_get(list, i), &out->keys[i])) {
            status = kol_fail(err, KOL_CORRUPT,
                              "%s: key %zu lacks an id, scopes (%s), a time or its sha256", path,
                              i + 1, KEYS_SCOPES);
        }
    }
    out->count = count;
    json_decref(root);
    if (status != KOL_OK) {
        keys_free(out);
    }
    return status;
}

enum kol_status keys_read(const char *path, struct key_table *out, struct kol_error *err)
{
    struct buf text = {0};
    *out = (struct key_table){0};
    enum kol_status status = file_read(path, MOST_FILE_BYTES, &text, err);
    if (status == KOL_OK) {
        status = keys_parse(path, buf_str(&text), out, err);
    } else if (status == KOL_NOT_FOUND) {
        status = KOL_OK;
    }
    buf_free(&text);
    return status;
}

static void put_key(struct json *json, const struct stored_key *stored)
{
    const struct api_key *key = &stored->key;
    struct buf hex = {0};
    keys_put_hex(&hex, stored->hash, KEYS_HASH_BYTES);
    buf_puts(json->out, json->comma ? "" : "\n");
    js_open(json, '{');
    js_member_text(json, "id", str_of(key->id));
    js_member_text(json, "note", str_of(key->note));
    js_name(json, "scopes");
    js_open(json, '[');
    for (size_t i = 0; i < ARRAY_LEN(api_scope_names); i++) {
        if (key->scopes >> i & 1) {
            js_text(json, str_of(api_scope_names[i]));
        }
    }
    js_close(json, ']');
    js_member_text(json, "sha256", buf_str(&hex));
    js_member_time(json, "created", key->created_us);
    js_member_time(json, "expires", key->expires_us);
    js_member_time(json, "revoked", key->revoked_us);
    js_member_int(json, "rate_per_minute", key->rate_per_minute);
    js_member_int(json, "burst", key->burst);
    js_close(json, '}');
    buf_putc(json->out, '\n');
    buf_free(&hex);
}

void keys_put(const struct key_table *table, struct buf *out)
{
    struct json json = {.out = out};
    js_open(&json, '{');
    js_member_int(&json, "version", 1);
    js_name(&json, "keys");
    js_open(&json, '[');
    for (size_t i = 0; i < table->count; i++) {
        put_key(&json, &table->keys[i]);
    }
    js_close(&json, ']');
    js_close(&json, '}');
    buf_putc(out, '\n');
}

enum kol_status keys_write(const char *path, const struct key_table *table, struct kol_error *err)
{
    struct buf text = {0};
    keys_put(table, &text);
    enum kol_status status = file_replace_private(path, buf_str(&text), err);
    buf_free(&text);
    return status;
}

/* ---- the store ---- */

/* Keys that an operator made up, comma-separated; they read, predict and write. */
static enum kol_status read_given(const char *text, struct key_table *out, struct kol_error *err)
{
    struct str rest = str_of(text);
    *out = (struct key_table){.keys = mem_zalloc(KEYS_MOST, sizeof *out->keys)};
    while (rest.len) {
        struct str key = str_trim(str_cut(&rest, ','));
        struct stored_key *stored = &out->keys[out->count];
        if (!key.len) {
            continue;
        }
        if (key.len < LEAST_GIVEN || key.len > MOST_GIVEN || out->count == KEYS_MOST) {
            keys_free(out);
            return kol_fail(
                err, KOL_USAGE,
                "serve.api_keys takes up to %d keys of %d to %d characters: make one by "
                "`kol keys create`, or by `openssl rand -hex 32`",
                KEYS_MOST, LEAST_GIVEN, MOST_GIVEN);
        }
        keys_hash(key, stored->hash);
        struct buf id = {0};
        buf_puts(&id, "given-");
        keys_put_hex(&id, stored->hash, 4);
        snprintf(stored->key.id, sizeof stored->key.id, "%s", id.ptr);
        buf_free(&id);
        stored->key.scopes = API_READ | API_PREDICT | API_WRITE;
        out->count++;
    }
    return KOL_OK;
}

enum kol_status api_keys_open(const char *data, const char *text, struct api_keys **out,
                              struct kol_error *err)
{
    struct api_keys *keys = mem_zalloc(1, sizeof *keys);
    bool changed;
    keys->path = file_join(data, "keys.json");
    pthread_mutex_init(&keys->refresh, NULL);
    pthread_rwlock_init(&keys->lock, NULL);
    enum kol_status status = read_given(text, &keys->given, err);
    if (status == KOL_OK) {
        status = api_keys_refresh(keys, true, &changed, err);
    }
    if (status != KOL_OK) {
        api_keys_close(&keys);
        return status;
    }
    *out = keys;
    return KOL_OK;
}

void api_keys_close(struct api_keys **keys_at)
{
    struct api_keys *keys = *keys_at;
    if (!keys) {
        return;
    }
    keys_free(&keys->given);
    keys_free(&keys->table);
    pthread_mutex_destroy(&keys->refresh);
    pthread_rwlock_destroy(&keys->lock);
    free(keys->path);
    free(keys);
    *keys_at = NULL;
}

static struct file_mark look(const char *path)
{
    struct stat stat_of;
    if (stat(path, &stat_of) != 0) {
        return (struct file_mark){0};
    }
    return (struct file_mark){stat_of.st_mtim.tv_sec * INT64_C(1000000000) +
                                  stat_of.st_mtim.tv_nsec,
                              stat_of.st_size, (int64_t)stat_of.st_ino};
}

enum kol_status api_keys_refresh(struct api_keys *keys, bool force, bool *changed,
                                 struct kol_error *err)
{
    struct key_table table;
    enum kol_status status = KOL_OK;
    *changed = false;
    pthread_mutex_lock(&keys->refresh);
    struct file_mark mark = look(keys->path);
    if (force || memcmp(&mark, &keys->mark, sizeof mark) != 0) {
        keys->mark = mark; /* a broken file is said once, not every second */
        status = keys_read(keys->path, &table, err);
        if (status == KOL_OK) {
            pthread_rwlock_wrlock(&keys->lock);
            struct key_table before = keys->table;
            keys->table = table;
            pthread_rwlock_unlock(&keys->lock);
            keys_free(&before);
            *changed = true;
        }
    }
    pthread_mutex_unlock(&keys->refresh);
    return status;
}

static bool is_valid(const struct api_key *key, int64_t now_us)
{
    return !key->revoked_us && (!key->expires_us || key->expires_us > now_us);
}

/* The place of the hash in the table, or its count; looks at all. */
static size_t find_hash(const struct key_table *table, const unsigned char hash[KEYS_HASH_BYTES])
{
    size_t found = table->count;
    for (size_t i = 0; i < table->count; i++) {
        found = differ(table->keys[i].hash, hash) ? found : i;
    }
    return found;
}

/* False: the key is not valid now. */
static bool put_identity(const struct api_key *key, struct http_identity *out)
{
    if (!is_valid(key, clock_now_us())) {
        return false;
    }
    *out = (struct http_identity){
        .scopes = key->scopes, .rate_per_minute = key->rate_per_minute, .burst = key->burst};
    snprintf(out->id, sizeof out->id, "%s", key->id);
    return true;
}

static bool identify_in(const struct key_table *table, const unsigned char hash[KEYS_HASH_BYTES],
                        struct http_identity *out)
{
    size_t at = find_hash(table, hash);
    return at < table->count && put_identity(&table->keys[at].key, out);
}

bool api_keys_identify(struct api_keys *keys, struct str key, struct http_identity *out)
{
    unsigned char hash[KEYS_HASH_BYTES];
    if (!key.len || key.len > MOST_GIVEN) {
        return false;
    }
    keys_hash(key, hash);
    pthread_rwlock_rdlock(&keys->lock);
    bool stored = identify_in(&keys->table, hash, out);
    pthread_rwlock_unlock(&keys->lock);
    return stored || identify_in(&keys->given, hash, out);
}

size_t api_keys_count(struct api_keys *keys)
{
    size_t count = keys->given.count;
    const int64_t now_us = clock_now_us();
    pthread_rwlock_rdlock(&keys->lock);
    for (size_t i = 0; i < keys->table.count; i++) {
        count += is_valid(&keys->table.keys[i].key, now_us);
    }
    pthread_rwlock_unlock(&keys->lock);
    return count;
}

static bool find_id(const struct key_table *table, struct str id, struct api_key *out)
{
    for (size_t i = 0; i < table->count; i++) {
        if (str_is(id, table->keys[i].key.id)) {
            *out = table->keys[i].key;
            return true;
        }
    }
    return false;
}

bool api_keys_find(struct api_keys *keys, struct str id, struct api_key *out)
{
    pthread_rwlock_rdlock(&keys->lock);
    bool found = find_id(&keys->table, id, out);
    pthread_rwlock_unlock(&keys->lock);
    return found || find_id(&keys->given, id, out);
}

bool api_keys_identity(struct api_keys *keys, struct str id, struct http_identity *out)
{
    struct api_key key;
    return api_keys_find(keys, id, &key) && put_identity(&key, out);
}

static bool seal_in(const struct key_table *table, struct str id, struct str text,
                    unsigned char out[API_SEAL_BYTES])
{
    for (size_t i = 0; i < table->count; i++) {
        if (str_is(id, table->keys[i].key.id)) {
            return gnutls_hmac_fast(GNUTLS_MAC_SHA256, table->keys[i].hash, KEYS_HASH_BYTES,
                                    text.ptr, text.len, out) == 0;
        }
    }
    return false;
}

bool api_keys_seal(struct api_keys *keys, struct str id, struct str text,
                   unsigned char out[API_SEAL_BYTES])
{
    pthread_rwlock_rdlock(&keys->lock);
    bool sealed = seal_in(&keys->table, id, text, out);
    pthread_rwlock_unlock(&keys->lock);
    return sealed || seal_in(&keys->given, id, text, out);
}
