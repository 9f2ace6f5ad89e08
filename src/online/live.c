/*
 * live.c: the live store: values. Counters are in live_count.c, the file format in store.c.
 *
 * LMDB allows one open of a file in a process, so the handles are in a list and shared. A handle
 * that a child process inherited is not used there: its locks are the parent's.
 */
#include "online/live.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "online/live_parts.h"

static const char tags[LIVE_KIND_COUNT] = {
#define LIVE(NAME, tag, help) [LIVE_##NAME] = (tag),
#include "online/live.def"
#undef LIVE
};

static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static struct live *list; /* under list_lock */

/* ---- opening ---- */

/* The name that the counters of this run of the machine have: what was not synced when it went
 * down is never read. */
static void counters_name(struct buf *out)
{
    struct buf boot = {0};
    if (file_read("/proc/sys/kernel/random/boot_id", 4096, &boot, NULL) != KOL_OK) {
        buf_clear(&boot);
    }
    struct str id = str_trim(buf_str(&boot));
    buf_puts(out, "counters-");
    buf_put(out, id.len ? id : STR("x"));
    buf_puts(out, ".mdb");
    buf_free(&boot);
}

/* Removes counters of earlier runs of the machine: nobody can have them open. */
static void remove_old_counters(const char *folder, const char *name)
{
    DIR *entries = opendir(folder);
    for (struct dirent *entry; entries && (entry = readdir(entries));) {
        if (!strncmp(entry->d_name, "counters-", 9) &&
            strncmp(entry->d_name, name, strlen(name)) != 0) {
            unlinkat(dirfd(entries), entry->d_name, 0);
        }
    }
    if (entries) {
        closedir(entries);
    }
}

static enum kol_status open_stores(struct live *live, const char *folder, struct kol_error *err)
{
    struct buf name = {0};
    char *path = file_join(folder, "live.mdb");
    enum kol_status status = store_open(&live->values, path, "live store", 0, err);
    free(path);
    if (status != KOL_OK) {
        return status;
    }
    counters_name(&name);
    remove_old_counters(folder, name.ptr);
    path = file_join(folder, name.ptr);
    status = store_open(&live->counters, path, "counters of the live store", MDB_NOSYNC, err);
    free(path);
    buf_free(&name);
    if (status != KOL_OK) {
        store_close(&live->values);
    }
    return status;
}

/* With list_lock held: the handle that this process has of the folder, or a new one. */
static enum kol_status open_listed(const char *folder, struct live **out, struct kol_error *err)
{
    struct stat info;
    if (stat(folder, &info) != 0) {
        return kol_fail_errno(err, errno, "live store in %s", folder);
    }
    for (struct live *live = list; live; live = live->next) {
        if (live->device == info.st_dev && live->inode == info.st_ino &&
            live->process == getpid()) {
            live->users++;
            *out = live;
            return KOL_OK;
        }
    }
    struct live *live = mem_zalloc(1, sizeof *live);
    enum kol_status status = open_stores(live, folder, err);
    if (status != KOL_OK) {
        free(live);
        return status;
    }
    live->device = info.st_dev;
    live->inode = info.st_ino;
    live->process = getpid();
    live->users = 1;
    live->next = list;
    *out = list = live;
    return KOL_OK;
}

enum kol_status live_open(const char *data, struct live **out, struct kol_error *err)
{
    char *folder = file_join(data, "live");
    enum kol_status status = file_make_dir(folder, err);
    if (status == KOL_OK) {
        pthread_mutex_lock(&list_lock);
        status = open_listed(folder, out, err);
        pthread_mutex_unlock(&list_lock);
    }
    free(folder);
    return status;
}

void live_close(struct live **live)
{
    if (!*live) {
        return;
    }
    pthread_mutex_lock(&list_lock);
    bool last = --(*live)->users == 0;
    for (struct live **at = &list; last && *at; at = &(*at)->next) {
        if (*at == *live) {
            *at = (*live)->next;
            break;
        }
    }
    if (last) { /* under the lock: nobody may open the file while it is being closed */
        store_close(&(*live)->values);
        store_close(&(*live)->counters);
        free(*live);
    }
    pthread_mutex_unlock(&list_lock);
    *live = NULL;
}

/* ---- values ---- */

/* The stored key in `out`. */
static enum kol_status stored_key(enum live_kind kind, struct str key, char out[STORE_MAX_KEY],
                                  struct str *stored, struct kol_error *err)
{
    if (key.len == 0 || key.len > LIVE_MAX_KEY) {
        return kol_fail(err, KOL_INVALID, "a key of the live store has 1 to %d bytes, not %zu",
                        LIVE_MAX_KEY, key.len);
    }
    out[0] = tags[kind];
    memcpy(out + 1, key.ptr, key.len);
    *stored = (struct str){out, key.len + 1};
    return KOL_OK;
}

/* Below 0 where the write is older than what is stored, 0 where it is as old. */
static int compare_age(const struct live_write *write, const struct store_head *old)
{
    if (write->event_time_us != old->event_time_us) {
        return write->event_time_us < old->event_time_us ? -1 : 1;
    }
    return write->version < old->version ? -1 : write->version > old->version;
}

static enum kol_status write_one(struct live *live, MDB_txn *txn, struct live_write *write,
                                 int64_t now_us, struct kol_error *err)
{
    char bytes[STORE_MAX_KEY];
    struct str key, stored;
    struct store_head old;
    bool found;
    write->written = false;
    enum kol_status status = stored_key(write->kind, write->key, bytes, &key, err);
    if (status == KOL_OK && write->bytes.len > LIVE_MAX_BYTES) {
        status = kol_fail(err, KOL_INVALID, "a value of the live store has at most %d bytes",
                          LIVE_MAX_BYTES);
    }
    if (status == KOL_OK) {
        status = store_get(&live->values, txn, key, &old, &stored, &found, err);
    }
    if (status != KOL_OK) {
        return status;
    }
    int newer =
        found && write->guarded && !store_expired(&old, now_us) ? compare_age(write, &old) : 1;
    if (newer < (write->remove ? 0 : 1)) {
        return KOL_OK;
    }
    write->written = !write->remove || (found && !store_expired(&old, now_us));
    if (write->remove) {
        return found ? store_remove(&live->values, txn, key, &old, err) : KOL_OK;
    }
    const struct store_head head = {write->event_time_us, write->version,
                                    write->ttl_us ? now_us + write->ttl_us : 0};
    return store_put(&live->values, txn, key, found ? &old : NULL, &head, write->bytes, err);
}

enum kol_status live_write(struct live *live, struct live_write *writes, size_t count,
                           struct kol_error *err)
{
    const int64_t now_us = clock_now_us();
    int64_t removed;
    MDB_txn *txn;
    enum kol_status status = store_begin(&live->values, true, &txn, err);
    if (status != KOL_OK) {
        return status;
    }
    for (size_t i = 0; i < count && status == KOL_OK; i++) {
        status = write_one(live, txn, &writes[i], now_us, err);
    }
    if (status == KOL_OK) {
        status = store_sweep(&live->values, txn, now_us, LIVE_SWEEP_PER_WRITE, &removed, err);
    }
    if (status == KOL_OK) {
        return store_commit(&live->values, txn, err);
    }
    store_abort(&live->values, txn);
    return status;
}

enum kol_status live_put(struct live *live, enum live_kind kind, struct str key, struct str bytes,
                         int64_t ttl_us, struct kol_error *err)
{
    struct live_write write = {.kind = kind, .key = key, .bytes = bytes, .ttl_us = ttl_us};
    return live_write(live, &write, 1, err);
}

enum kol_status live_put_guarded(struct live *live, enum live_kind kind, struct str key,
                                 struct str bytes, int64_t event_time_us, uint64_t version,
                                 bool *written, struct kol_error *err)
{
    struct live_write write = {.kind = kind,
                               .key = key,
                               .bytes = bytes,
                               .event_time_us = event_time_us,
                               .version = version,
                               .guarded = true};
    enum kol_status status = live_write(live, &write, 1, err);
    if (written) {
        *written = status == KOL_OK && write.written;
    }
    return status;
}

enum kol_status live_delete(struct live *live, enum live_kind kind, struct str key,
                            struct kol_error *err)
{
    struct live_write write = {.kind = kind, .key = key, .remove = true};
    return live_write(live, &write, 1, err);
}

static struct live_value make_value(struct str key, const struct store_head *head, struct str bytes)
{
    return (struct live_value){.key = key,
                               .bytes = bytes,
                               .event_time_us = head->event_time_us,
                               .version = head->version,
                               .expires_us = head->expires_us};
}

enum kol_status live_get(struct live *live, enum live_kind kind, struct str key, struct buf *out,
                         struct live_value *value, struct kol_error *err)
{
    char space[STORE_MAX_KEY];
    struct str stored, bytes;
    struct store_head head;
    bool found;
    MDB_txn *txn;
    enum kol_status status = stored_key(kind, key, space, &stored, err);
    status = status == KOL_OK ? store_begin(&live->values, false, &txn, err) : status;
    if (status != KOL_OK) {
        return status;
    }
    status = store_get(&live->values, txn, stored, &head, &bytes, &found, err);
    if (status == KOL_OK && (!found || store_expired(&head, clock_now_us()))) {
        status = kol_fail(err, KOL_NOT_FOUND, "the live store has nothing under '%.*s'",
                          STR_FORMAT(key));
    }
    if (status == KOL_OK) {
        const size_t start = out->len;
        buf_put(out, bytes);
        if (value) {
            *value = make_value(key, &head, (struct str){out->ptr + start, bytes.len});
        }
    }
    store_abort(&live->values, txn);
    return status;
}

enum kol_status live_list(struct live *live, enum live_kind kind, struct str prefix,
                          struct str from, bool (*each)(const struct live_value *value, void *user),
                          void *user, struct kol_error *err)
{
    char space[STORE_MAX_KEY];
    const int64_t now_us = clock_now_us();
    const struct str first = str_compare(from, prefix) > 0 ? from : prefix;
    MDB_txn *txn;
    MDB_cursor *cursor = NULL;
    if (first.len > LIVE_MAX_KEY) {
        return KOL_OK; /* no key is so long */
    }
    enum kol_status status = store_begin(&live->values, false, &txn, err);
    if (status != KOL_OK) {
        return status;
    }
    space[0] = tags[kind];
    memcpy(space + 1, first.len ? first.ptr : "", first.len);
    MDB_val k = {first.len + 1, space}, v;
    int rc = mdb_cursor_open(txn, live->values.values, &cursor);
    rc = rc ? rc : mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
    for (bool more = true; rc == 0 && more && status == KOL_OK;) {
        struct str key = {(const char *)k.mv_data + 1, k.mv_size - 1}, bytes;
        struct store_head head;
        if (*(const char *)k.mv_data != tags[kind] || !str_starts(key, prefix)) {
            break;
        }
        status = store_split(&live->values, v, &head, &bytes, err);
        if (status == KOL_OK && !store_expired(&head, now_us)) {
            const struct live_value value = make_value(key, &head, bytes);
            more = each(&value, user);
        }
        rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
    }
    if (rc && rc != MDB_NOTFOUND) {
        status = online_env_fail(&live->values.env, rc, "list values", err);
    }
    mdb_cursor_close(cursor);
    store_abort(&live->values, txn);
    return status;
}

/* ---- upkeep ---- */

static enum kol_status sweep(struct store *store, int64_t max, int64_t *removed,
                             struct kol_error *err)
{
    MDB_txn *txn;
    int dead;
    *removed = 0;
    enum kol_status status = store_begin(store, true, &txn, err);
    if (status != KOL_OK) {
        return status;
    }
    mdb_reader_check(store->env.mdb, &dead);
    status = store_sweep(store, txn, clock_now_us(), max, removed, err);
    if (status == KOL_OK) {
        return store_commit(store, txn, err);
    }
    store_abort(store, txn);
    return status;
}

enum kol_status live_sweep(struct live *live, int64_t max, int64_t *removed, struct kol_error *err)
{
    int64_t values = 0, counters = 0;
    enum kol_status status = sweep(&live->values, max, &values, err);
    if (status == KOL_OK) {
        status = sweep(&live->counters, max - values, &counters, err);
    }
    if (removed) {
        *removed = values + counters;
    }
    return status;
}
