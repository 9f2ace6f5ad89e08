/*
 * store.h: one LMDB file of values that may expire: what both halves of the live store stand on.
 *
 * Private to online/. Two tables: `values` (key -> struct store_head and bytes) and `expiry` (time
 * of expiry, key -> nothing), which always name each other. A writing transaction is begun and
 * ended by store_begin() and store_commit() or store_abort(), which open the file again where LMDB
 * gave up on it after a failed write.
 */
#ifndef ONLINE_STORE_H
#define ONLINE_STORE_H

#include <pthread.h>
#include <stdbool.h>

#include "online/env.h"

enum { STORE_MAX_KEY = 501 }; /* with the letter of the kind; 8 bytes more in `expiry` */

struct store {
    struct online_env env;
    unsigned flags;
    pthread_rwlock_t open_lock; /* held for writing while the file is opened again, else shared */
    MDB_dbi values, expiry;
};

/* What stands before the bytes of a value, as it lies in the file. */
struct store_head {
    int64_t event_time_us;
    uint64_t version;
    int64_t expires_us; /* 0: never */
};

enum kol_status store_open(struct store *store, const char *path, const char *what, unsigned flags,
                           struct kol_error *err) KOL_CHECKED;
void store_close(struct store *store);

/* A transaction. After KOL_OK one of commit and abort must follow. */
enum kol_status store_begin(struct store *store, bool write, MDB_txn **txn,
                            struct kol_error *err) KOL_CHECKED;
enum kol_status store_commit(struct store *store, MDB_txn *txn, struct kol_error *err) KOL_CHECKED;
void store_abort(struct store *store, MDB_txn *txn);

/* The value under `key`, a view until the next write or the end of `txn`. *found is false where
 * there is none; one that has expired is found. */
enum kol_status store_get(struct store *store, MDB_txn *txn, struct str key,
                          struct store_head *head, struct str *bytes, bool *found,
                          struct kol_error *err) KOL_CHECKED;

/* Splits what stands in the table. */
enum kol_status store_split(const struct store *store, MDB_val value, struct store_head *head,
                            struct str *bytes, struct kol_error *err) KOL_CHECKED;

/* Puts a value; `old` is what is there now (NULL: nothing). Removing likewise. */
enum kol_status store_put(struct store *store, MDB_txn *txn, struct str key,
                          const struct store_head *old, const struct store_head *head,
                          struct str bytes, struct kol_error *err) KOL_CHECKED;
enum kol_status store_remove(struct store *store, MDB_txn *txn, struct str key,
                             const struct store_head *old, struct kol_error *err) KOL_CHECKED;

/* Removes up to `max` values that have expired by `now_us`. */
enum kol_status store_sweep(struct store *store, MDB_txn *txn, int64_t now_us, int64_t max,
                            int64_t *removed, struct kol_error *err) KOL_CHECKED;

static inline bool store_expired(const struct store_head *head, int64_t now_us)
{
    return head->expires_us && head->expires_us <= now_us;
}

#endif
