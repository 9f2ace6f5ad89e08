/* store.c: see store.h. */
#include "online/store.h"

#include <string.h>

#include "base/mem.h"

enum { FORMAT_VERSION = 1, TABLES = 3 };

static const size_t map_bytes = (size_t)64 << 30;

static enum kol_status fail(const struct store *store, int rc, const char *doing,
                            struct kol_error *err)
{
    return online_env_fail(&store->env, rc, doing, err);
}

/* ---- opening ---- */

/* Makes the tables, or opens them. *format is that of the file. */
static int open_tables(struct store *store, MDB_txn *txn, uint64_t *format)
{
    static const char name[] = "format";
    MDB_dbi meta;
    MDB_val key = {sizeof name - 1, (void *)(uintptr_t)name}, value = {sizeof *format, format};
    int rc = mdb_dbi_open(txn, "meta", MDB_CREATE, &meta);
    rc = rc ? rc : mdb_get(txn, meta, &key, &value);
    if (rc == 0 && value.mv_size == sizeof *format) {
        memcpy(format, value.mv_data, sizeof *format);
    } else if (rc == MDB_NOTFOUND) {
        *format = FORMAT_VERSION;
        value = (MDB_val){sizeof *format, format};
        rc = mdb_put(txn, meta, &key, &value, 0);
    } else if (rc == 0) {
        rc = MDB_CORRUPTED;
    }
    if (rc || *format != FORMAT_VERSION) {
        return rc;
    }
    rc = mdb_dbi_open(txn, "values", MDB_CREATE, &store->values);
    return rc ? rc : mdb_dbi_open(txn, "expiry", MDB_CREATE, &store->expiry);
}

static enum kol_status open_layout(struct store *store, struct kol_error *err)
{
    MDB_txn *txn = NULL;
    uint64_t format = FORMAT_VERSION;
    int dead, rc = mdb_txn_begin(store->env.mdb, NULL, 0, &txn);
    rc = rc ? rc : open_tables(store, txn, &format);
    if (rc || format != FORMAT_VERSION) {
        mdb_txn_abort(txn);
    } else {
        rc = mdb_txn_commit(txn);
    }
    if (rc) {
        return fail(store, rc, "open", err);
    }
    if (format != FORMAT_VERSION) {
        return kol_fail(err, KOL_UNSUPPORTED,
                        "the %s %s has format %llu, made by another kol; this one reads %d",
                        store->env.what, store->env.path, (unsigned long long)format,
                        FORMAT_VERSION);
    }
    /* Readers that died would keep the pages that they saw from being used again. */
    mdb_reader_check(store->env.mdb, &dead);
    return KOL_OK;
}

static enum kol_status open_file(struct store *store, const char *path, const char *what,
                                 struct kol_error *err)
{
    const struct online_env_options options = {
        .what = what, .flags = store->flags, .map_bytes = map_bytes, .tables = TABLES};
    enum kol_status status = online_env_open(&store->env, path, &options, err);
    if (status == KOL_OK && (status = open_layout(store, err)) != KOL_OK) {
        online_env_free(&store->env);
    }
    return status;
}

enum kol_status store_open(struct store *store, const char *path, const char *what, unsigned flags,
                           struct kol_error *err)
{
    *store = (struct store){.flags = flags};
    enum kol_status status = open_file(store, path, what, err);
    if (status == KOL_OK) {
        pthread_rwlock_init(&store->open_lock, NULL);
    }
    return status;
}

void store_close(struct store *store)
{
    online_env_free(&store->env);
    pthread_rwlock_destroy(&store->open_lock);
}

/* ---- transactions ---- */

/* Opens the file again after LMDB gave up on it, unless another thread has done so. */
static enum kol_status open_again(struct store *store, struct kol_error *err)
{
    enum kol_status status = KOL_OK;
    MDB_txn *txn = NULL;
    pthread_rwlock_wrlock(&store->open_lock);
    int rc = store->env.mdb ? mdb_txn_begin(store->env.mdb, NULL, 0, &txn) : MDB_PANIC;
    if (rc == 0) {
        mdb_txn_abort(txn);
    } else if (rc == MDB_MAP_RESIZED) {
        rc = mdb_env_set_mapsize(store->env.mdb, 0);
        status = rc ? fail(store, rc, "map more of it", err) : KOL_OK;
    } else {
        struct online_env old = store->env;
        online_env_close(&old);
        status = open_file(store, old.path, old.what, err);
        if (status == KOL_OK) {
            online_env_free(&old);
        } else {
            store->env = old; /* without its map: the next call tries again */
        }
    }
    pthread_rwlock_unlock(&store->open_lock);
    return status;
}

enum kol_status store_begin(struct store *store, bool write, MDB_txn **txn, struct kol_error *err)
{
    for (int attempt = 0;; attempt++) {
        pthread_rwlock_rdlock(&store->open_lock);
        int rc = store->env.mdb ? mdb_txn_begin(store->env.mdb, NULL, write ? 0 : MDB_RDONLY, txn)
                                : MDB_PANIC;
        if (rc == 0) {
            return KOL_OK;
        }
        enum kol_status status = fail(store, rc, write ? "write" : "read", err);
        pthread_rwlock_unlock(&store->open_lock);
        if (attempt == 2 || (rc != MDB_PANIC && rc != MDB_MAP_RESIZED)) {
            return status;
        }
        status = open_again(store, err);
        if (status != KOL_OK) {
            return status;
        }
    }
}

enum kol_status store_commit(struct store *store, MDB_txn *txn, struct kol_error *err)
{
    int rc = mdb_txn_commit(txn);
    enum kol_status status = rc ? fail(store, rc, "write", err) : KOL_OK;
    pthread_rwlock_unlock(&store->open_lock);
    return status;
}

void store_abort(struct store *store, MDB_txn *txn)
{
    mdb_txn_abort(txn);
    pthread_rwlock_unlock(&store->open_lock);
}

/* ---- values ---- */

enum kol_status store_split(const struct store *store, MDB_val value, struct store_head *head,
                            struct str *bytes, struct kol_error *err)
{
    if (value.mv_size < sizeof *head) {
        return fail(store, MDB_CORRUPTED, "read a value", err);
    }
    memcpy(head, value.mv_data, sizeof *head);
    *bytes = (struct str){(const char *)value.mv_data + sizeof *head, value.mv_size - sizeof *head};
    return KOL_OK;
}

enum kol_status store_get(struct store *store, MDB_txn *txn, struct str key,
                          struct store_head *head, struct str *bytes, bool *found,
                          struct kol_error *err)
{
    MDB_val k = online_val(key), v;
    int rc = mdb_get(txn, store->values, &k, &v);
    *found = rc == 0;
    if (rc == MDB_NOTFOUND) {
        return KOL_OK;
    }
    return rc ? fail(store, rc, "read a value", err) : store_split(store, v, head, bytes, err);
}

/* The key in `expiry`: in the order of time. Returns its length. */
static size_t expiry_key(char out[8 + STORE_MAX_KEY], int64_t expires_us, struct str key)
{
    for (int i = 0; i < 8; i++) {
        out[i] = (char)((uint64_t)expires_us >> (56 - 8 * i));
    }
    memcpy(out + 8, key.ptr, key.len);
    return 8 + key.len;
}

static int remove_expiry(struct store *store, MDB_txn *txn, struct str key, int64_t expires_us)
{
    char bytes[8 + STORE_MAX_KEY];
    MDB_val k = {expiry_key(bytes, expires_us, key), bytes};
    int rc = mdb_del(txn, store->expiry, &k, NULL);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

enum kol_status store_put(struct store *store, MDB_txn *txn, struct str key,
                          const struct store_head *old, const struct store_head *head,
                          struct str bytes, struct kol_error *err)
{
    int rc = 0;
    KOL_ASSERT(key.len <= STORE_MAX_KEY);
    if (old && old->expires_us && old->expires_us != head->expires_us) {
        rc = remove_expiry(store, txn, key, old->expires_us);
    }
    if (rc == 0 && head->expires_us) {
        char expiry[8 + STORE_MAX_KEY];
        MDB_val k = {expiry_key(expiry, head->expires_us, key), expiry}, nothing = {0, NULL};
        rc = mdb_put(txn, store->expiry, &k, &nothing, 0);
    }
    if (rc == 0) {
        MDB_val k = online_val(key), v = {sizeof *head + bytes.len, NULL};
        rc = mdb_put(txn, store->values, &k, &v, MDB_RESERVE);
        if (rc == 0) {
            memcpy(v.mv_data, head, sizeof *head);
            memcpy((char *)v.mv_data + sizeof *head, bytes.len ? bytes.ptr : "", bytes.len);
        }
    }
    return rc ? fail(store, rc, "write a value", err) : KOL_OK;
}

enum kol_status store_remove(struct store *store, MDB_txn *txn, struct str key,
                             const struct store_head *old, struct kol_error *err)
{
    MDB_val k = online_val(key);
    int rc = old->expires_us ? remove_expiry(store, txn, key, old->expires_us) : 0;
    rc = rc ? rc : mdb_del(txn, store->values, &k, NULL);
    return rc ? fail(store, rc, "remove a value", err) : KOL_OK;
}

/* The first entry of `expiry` if it has expired: its time and a copy of its key. */
static int first_expired(struct store *store, MDB_txn *txn, int64_t now_us, char *copy,
                         struct str *key, int64_t *expires_us)
{
    MDB_cursor *cursor;
    MDB_val k, v;
    uint64_t time = 0;
    int rc = mdb_cursor_open(txn, store->expiry, &cursor);
    if (rc) {
        return rc;
    }
    rc = mdb_cursor_get(cursor, &k, &v, MDB_FIRST);
    if (rc == 0) {
        KOL_ASSERT(k.mv_size >= 8 && k.mv_size <= 8 + STORE_MAX_KEY);
        for (size_t i = 0; i < 8; i++) {
            time = time << 8 | ((const unsigned char *)k.mv_data)[i];
        }
        memcpy(copy, (const char *)k.mv_data + 8, k.mv_size - 8);
        *key = (struct str){copy, k.mv_size - 8};
        *expires_us = (int64_t)time;
        rc = *expires_us <= now_us ? 0 : MDB_NOTFOUND;
    }
    mdb_cursor_close(cursor);
    return rc;
}

enum kol_status store_sweep(struct store *store, MDB_txn *txn, int64_t now_us, int64_t max,
                            int64_t *removed, struct kol_error *err)
{
    for (*removed = 0; *removed < max; (*removed)++) {
        char copy[STORE_MAX_KEY];
        struct str key;
        int64_t expires_us;
        int rc = first_expired(store, txn, now_us, copy, &key, &expires_us);
        if (rc == MDB_NOTFOUND) {
            break;
        }
        rc = rc ? rc : remove_expiry(store, txn, key, expires_us);
        if (rc == 0) {
            MDB_val k = online_val(key);
            rc = mdb_del(txn, store->values, &k, NULL);
            rc = rc == MDB_NOTFOUND ? 0 : rc;
        }
        if (rc) {
            return fail(store, rc, "remove what has expired", err);
        }
    }
    return KOL_OK;
}
