/* lookup.c: records by key. What is returned are views into the map, which never changes. */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "online/parts.h"

enum { MAX_PLATFORM = 60, HASH_HEX = 32, MAX_SAME = 64 };

/* The part of a key before its platform, NUL included. */
static size_t put_id(char *out, struct str id)
{
    size_t len = id.len <= ONLINE_LONG_ID ? id.len : ONLINE_LONG_ID;
    memcpy(out, len ? id.ptr : "", len);
    if (id.len > ONLINE_LONG_ID) {
        struct buf hex = {0};
        hash_put_hex128(&hex, id);
        KOL_ASSERT(hex.len == HASH_HEX);
        memcpy(out + len, hex.ptr, HASH_HEX);
        len += HASH_HEX;
        buf_free(&hex);
    }
    out[len] = '\0';
    return len + 1;
}

size_t online_record_key(char out[ONLINE_MAX_KEY], struct str platform, struct str id)
{
    if (platform.len > MAX_PLATFORM || memchr(platform.len ? platform.ptr : "", 0, platform.len)) {
        return 0;
    }
    size_t len = put_id(out, id);
    memcpy(out + len, platform.len ? platform.ptr : "", platform.len);
    return len + platform.len;
}

struct str online_key_platform(struct str key)
{
    size_t at = key.len;
    while (at > 0 && key.ptr[at - 1] != '\0') {
        at--;
    }
    return (struct str){key.ptr + at, key.len - at};
}

static enum kol_status fail_corrupt(const struct online_copy *copy, enum online_kind kind,
                                    struct str id, struct kol_error *err)
{
    return kol_fail(err, KOL_CORRUPT,
                    "the record of %s '%.*s' in %s is damaged; `kol online build --force` makes "
                    "the copy again",
                    online_kind_names[kind], STR_FORMAT(id), copy->records.path);
}

static enum kol_status take(const struct online_copy *copy, enum online_kind kind, struct str id,
                            MDB_val value, struct online_record *out, struct kol_error *err)
{
    out->layout = &copy->meta.layouts[kind];
    out->bytes = (struct str){value.mv_data, value.mv_size};
    return record_check(out->layout, out->bytes) ? KOL_OK : fail_corrupt(copy, kind, id, err);
}

static enum kol_status begin(const struct online_copy *copy, MDB_txn **txn, struct kol_error *err)
{
    int rc = mdb_txn_begin(copy->records.mdb, NULL, MDB_RDONLY, txn);
    return rc ? online_env_fail(&copy->records, rc, "read", err) : KOL_OK;
}

/* KOL_NOT_FOUND without a message: the caller says what it means. */
static enum kol_status get_in(const struct online_copy *copy, MDB_txn *txn, enum online_kind kind,
                              struct str platform, struct str id, struct online_record *out,
                              struct kol_error *err)
{
    char bytes[ONLINE_MAX_KEY];
    MDB_val key = {online_record_key(bytes, platform, id), bytes}, value;
    int rc = key.mv_size ? mdb_get(txn, copy->tables[kind], &key, &value) : MDB_NOTFOUND;
    if (rc == MDB_NOTFOUND) {
        return KOL_NOT_FOUND;
    }
    return rc ? online_env_fail(&copy->records, rc, "read a record", err)
              : take(copy, kind, id, value, out, err);
}

static enum kol_status fail_not_found(enum online_kind kind, struct str platform, struct str id,
                                      struct kol_error *err)
{
    return kol_fail(err, KOL_NOT_FOUND, "the online copy has no %s '%.*s'%s%.*s",
                    online_kind_names[kind], STR_FORMAT(id), platform.len ? " on " : "",
                    STR_FORMAT(platform));
}

enum kol_status online_get(const struct online_copy *copy, enum online_kind kind,
                           struct str platform, struct str id, struct online_record *out,
                           struct kol_error *err)
{
    MDB_txn *txn;
    enum kol_status status = begin(copy, &txn, err);
    if (status == KOL_OK) {
        status = get_in(copy, txn, kind, platform, id, out, err);
        mdb_txn_abort(txn);
    }
    return status == KOL_NOT_FOUND ? fail_not_found(kind, platform, id, err) : status;
}

/* ---- all platforms ---- */

/* One record among those of an id. */
struct same {
    struct online_record record;
    struct str platform;
    int64_t weight; /* followers or views, -1: unknown */
};

static int compare_same(const void *a, const void *b)
{
    const struct same *x = a, *y = b;
    if (x->weight != y->weight) {
        return x->weight > y->weight ? -1 : 1;
    }
    return str_compare(x->platform, y->platform);
}

/* The records of the id at the cursor and behind it. */
static enum kol_status collect(const struct online_copy *copy, MDB_cursor *cursor,
                               enum online_kind kind, struct str id, struct same *all,
                               size_t *count, struct kol_error *err)
{
    char bytes[ONLINE_MAX_KEY];
    const struct str prefix = {bytes, put_id(bytes, id)};
    MDB_val key = online_val(prefix), value;
    enum kol_status status = KOL_OK;
    int rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    for (*count = 0; rc == 0 && status == KOL_OK && *count < MAX_SAME;) {
        const struct str found = {key.mv_data, key.mv_size};
        if (!str_starts(found, prefix)) {
            break;
        }
        struct same *same = &all[*count];
        same->platform = online_key_platform(found);
        /* An id that holds a NUL is a neighbour of the one before its NUL. */
        if (same->platform.ptr == found.ptr + prefix.len) {
            status = take(copy, kind, id, value, &same->record, err);
            if (status == KOL_OK &&
                !online_int(&same->record, copy->order_columns[kind], &same->weight)) {
                same->weight = -1;
            }
            ++*count;
        }
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    if (rc && rc != MDB_NOTFOUND) {
        return online_env_fail(&copy->records, rc, "read a record", err);
    }
    if (status == KOL_OK && *count > 1) {
        qsort(all, *count, sizeof *all, compare_same);
    }
    return status == KOL_OK && *count == 0 ? KOL_NOT_FOUND : status;
}

static enum kol_status find_in(const struct online_copy *copy, MDB_txn *txn, enum online_kind kind,
                               struct str id, struct online_record *out, size_t max, size_t *count,
                               struct kol_error *err)
{
    struct same all[MAX_SAME];
    MDB_cursor *cursor;
    int rc = mdb_cursor_open(txn, copy->tables[kind], &cursor);
    if (rc) {
        return online_env_fail(&copy->records, rc, "read a record", err);
    }
    enum kol_status status = collect(copy, cursor, kind, id, all, count, err);
    mdb_cursor_close(cursor);
    *count = *count < max ? *count : max;
    for (size_t i = 0; status == KOL_OK && i < *count; i++) {
        out[i] = all[i].record;
    }
    return status;
}

enum kol_status online_find(const struct online_copy *copy, enum online_kind kind, struct str id,
                            struct online_record *out, size_t max, size_t *count,
                            struct kol_error *err)
{
    MDB_txn *txn;
    *count = 0;
    enum kol_status status = begin(copy, &txn, err);
    if (status == KOL_OK) {
        status = find_in(copy, txn, kind, id, out, max, count, err);
        mdb_txn_abort(txn);
    }
    return status == KOL_NOT_FOUND ? fail_not_found(kind, (struct str){0}, id, err) : status;
}

enum kol_status online_get_many(const struct online_copy *copy, enum online_kind kind,
                                const struct online_key *keys, size_t count,
                                struct online_record *out, struct kol_error *err)
{
    MDB_txn *txn;
    enum kol_status status = begin(copy, &txn, err);
    if (status != KOL_OK) {
        return status;
    }
    for (size_t i = 0, found; i < count && status == KOL_OK; i++) {
        out[i] = (struct online_record){0};
        status = keys[i].platform.len
                     ? get_in(copy, txn, kind, keys[i].platform, keys[i].id, &out[i], err)
                     : find_in(copy, txn, kind, keys[i].id, &out[i], 1, &found, err);
        status = status == KOL_NOT_FOUND ? KOL_OK : status;
    }
    mdb_txn_abort(txn);
    return status;
}
