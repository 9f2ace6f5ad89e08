/* lmdb_env.c: one LMDB environment a log: layout, transactions, and what its errors mean. */
#include "log/lmdb_env.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/logger.h"
#include "base/mem.h"

enum {
    FORMAT_VERSION = 1,
    MAX_READERS = 1000,
    LOCK_FILE_BYTES = 64 << 10, /* room for them: 64 bytes each behind a header of two lines */
    WAIT_IDLE_MS = 1000,
};

static const size_t default_map_bytes = (size_t)256 << 30;
static const size_t least_map_bytes = (size_t)1 << 30; /* when the address space is short */

static const char *const db_names[DB_COUNT] = {
    [DB_META] = "meta",     [DB_TOPICS] = "topics", [DB_PARTITIONS] = "partitions",
    [DB_CHUNKS] = "chunks", [DB_GROUPS] = "groups", [DB_MEMBERS] = "members",
    [DB_PLACES] = "places", [DB_MARKS] = "marks",   [DB_PRODUCERS] = "producers",
};

static pthread_mutex_t open_lock = PTHREAD_MUTEX_INITIALIZER;
static struct env *open_list; /* under open_lock */

/* A write that was cut short comes as EIO from LMDB; whether the disk is full only it can say. */
static bool disk_is_full(const char *path)
{
    struct statvfs fs;
    return statvfs(path, &fs) == 0 && (uint64_t)fs.f_bavail * fs.f_frsize < (1 << 20);
}

enum kol_status env_fail(const struct env *env, int rc, const char *doing, struct kol_error *err)
{
    if (rc == ENOSPC || rc == EDQUOT || (rc == EIO && disk_is_full(env->path))) {
        return kol_fail(
            err, KOL_NO_SPACE,
            "cannot %s: the disk that holds the event log in %s is full; make space and "
            "try again, nothing that was acknowledged is lost",
            doing, env->path);
    }
    switch (rc) {
    case MDB_MAP_FULL:
        return kol_fail(err, KOL_NO_SPACE,
                        "cannot %s: the event log in %s has reached its limit of %zu bytes; raise "
                        "log.map_size or let retention drop records, then try again",
                        doing, env->path, env->map_bytes);
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_BAD_VALSIZE:
        return kol_fail(err, KOL_CORRUPT,
                        "cannot %s: the event log in %s is damaged (%s); restore it from a backup",
                        doing, env->path, mdb_strerror(rc));
    case MDB_VERSION_MISMATCH:
        return kol_fail(err, KOL_UNSUPPORTED,
                        "cannot %s: the event log in %s was made by another version of LMDB", doing,
                        env->path);
    case MDB_READERS_FULL:
        return kol_fail(err, KOL_IO, "cannot %s: more than %d readers of the event log in %s",
                        doing, MAX_READERS, env->path);
    default:
        if (rc > 0) {
            return kol_fail_errno(err, rc, "cannot %s: event log in %s", doing, env->path);
        }
        return kol_fail(err, KOL_IO, "cannot %s: event log in %s: %s", doing, env->path,
                        mdb_strerror(rc));
    }
}

enum kol_status env_get(const struct env *env, MDB_txn *txn, enum env_db db, struct str key,
                        void *row, size_t size, bool *found, struct kol_error *err)
{
    MDB_val k = {key.len, (void *)(uintptr_t)key.ptr}, v;
    int rc = mdb_get(txn, env->dbi[db], &k, &v);
    *found = rc == 0;
    if (rc == MDB_NOTFOUND) {
        return KOL_OK;
    }
    if (rc != 0) {
        return env_fail(env, rc, "read", err);
    }
    if (v.mv_size < size) {
        return kol_fail(err, KOL_CORRUPT, "event log in %s: a row of %s has %zu bytes, not %zu",
                        env->path, db_names[db], v.mv_size, size);
    }
    memcpy(row, v.mv_data, size);
    return KOL_OK;
}

enum kol_status env_put(const struct env *env, MDB_txn *txn, enum env_db db, struct str key,
                        const void *row, size_t size, struct kol_error *err)
{
    MDB_val k = {key.len, (void *)(uintptr_t)key.ptr}, v = {size, (void *)(uintptr_t)row};
    int rc = mdb_put(txn, env->dbi[db], &k, &v, 0);
    return rc ? env_fail(env, rc, "write", err) : KOL_OK;
}

/* Opens the tables, making them where `create`. MDB_NOTFOUND where one is missing. */
static int open_tables(struct env *env, MDB_txn *txn, bool create, uint64_t *format)
{
    *format = FORMAT_VERSION;
    for (int i = 0; i < DB_COUNT; i++) {
        int rc = mdb_dbi_open(txn, db_names[i], create ? MDB_CREATE : 0, &env->dbi[i]);
        if (rc) {
            return rc;
        }
        if (i == DB_META) {
            MDB_val key = {6, (void *)(uintptr_t) "format"}, value = {sizeof *format, format};
            rc = mdb_get(txn, env->dbi[DB_META], &key, &value);
            if (rc == 0 && value.mv_size == sizeof *format) {
                memcpy(format, value.mv_data, sizeof *format);
            } else if (rc == MDB_NOTFOUND && create) {
                rc = mdb_put(txn, env->dbi[DB_META], &key, &value, 0);
            }
            /* A newer program may have other tables: nothing else is looked at. */
            if (rc || *format > FORMAT_VERSION) {
                return rc;
            }
        }
    }
    return 0;
}

static enum kol_status load_layout(struct env *env, struct kol_error *err)
{
    MDB_txn *txn = NULL;
    uint64_t format = 0;
    int rc = mdb_txn_begin(env->mdb, NULL, MDB_RDONLY, &txn);
    rc = rc ? rc : open_tables(env, txn, false, &format);
    if (rc == MDB_NOTFOUND && !env->read_only) {
        mdb_txn_abort(txn);
        txn = NULL;
        rc = mdb_txn_begin(env->mdb, NULL, 0, &txn);
        rc = rc ? rc : open_tables(env, txn, true, &format);
    }
    if (rc || format > FORMAT_VERSION) {
        mdb_txn_abort(txn);
    } else {
        rc = mdb_txn_commit(txn); /* keeps the handles */
    }
    if (rc == MDB_NOTFOUND) {
        return kol_fail(err, KOL_NOT_FOUND, "%s holds no event log", env->path);
    }
    if (rc) {
        return env_fail(env, rc, "open", err);
    }
    if (format > FORMAT_VERSION) {
        return kol_fail(err, KOL_UNSUPPORTED,
                        "the event log in %s has format %" PRIu64
                        ", made by a newer kol; this one reads up to %d",
                        env->path, format, FORMAT_VERSION);
    }
    return KOL_OK;
}

/*
 * Gives the lock file its disk blocks. LMDB makes it sparse and writes to it through a map: on a
 * full disk the first touch of a missing block would be SIGBUS, where this is an error. Only one
 * that is empty is given its size: another process may have mapped it.
 */
static int reserve_lock_file(const char *path)
{
    char *file = file_join(path, "lock.mdb");
    int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0644), rc = 0;
    free(file);
    if (fd < 0) {
        return errno;
    }
    struct stat info;
    if (fstat(fd, &info) || fallocate(fd, 0, 0, info.st_size ? info.st_size : LOCK_FILE_BYTES)) {
        rc = errno == EOPNOTSUPP ? 0 : errno;
    }
    close(fd);
    return rc;
}

static int open_mdb(struct env *env, size_t map_bytes)
{
    int rc = mdb_env_create(&env->mdb);
    if (rc) {
        env->mdb = NULL;
        return rc;
    }
    mdb_env_set_mapsize(env->mdb, map_bytes);
    mdb_env_set_maxreaders(env->mdb, MAX_READERS);
    mdb_env_set_maxdbs(env->mdb, DB_COUNT);
    /* NOTLS: a consumer may be handed from thread to thread while it reads. */
    rc = mdb_env_open(env->mdb, env->path, MDB_NOTLS | (env->read_only ? MDB_RDONLY : 0), 0644);
    if (rc) {
        mdb_env_close(env->mdb);
        env->mdb = NULL;
    }
    return rc;
}

/* A file that ends before its last page was cut: its map would be SIGBUS behind the end. */
static enum kol_status check_length(const struct env *env, struct kol_error *err)
{
    MDB_envinfo info;
    MDB_stat stat;
    struct stat file;
    mdb_filehandle_t fd;
    int rc = mdb_env_info(env->mdb, &info);
    rc = rc ? rc : mdb_env_stat(env->mdb, &stat);
    rc = rc ? rc : mdb_env_get_fd(env->mdb, &fd);
    if (rc == 0 && fstat(fd, &file) != 0) {
        rc = errno;
    }
    if (rc) {
        return env_fail(env, rc, "open", err);
    }
    /* A new log has two pages, the last of which is written with the first commit only. */
    uint64_t least = info.me_last_txnid ? (info.me_last_pgno + 1) * (uint64_t)stat.ms_psize : 0;
    if ((uint64_t)file.st_size < least) {
        return kol_fail(
            err, KOL_CORRUPT,
            "the event log in %s was cut: data.mdb has %lld bytes, its pages need %llu; "
            "restore it from a backup",
            env->path, (long long)file.st_size, (unsigned long long)least);
    }
    return KOL_OK;
}

/* An empty file is what a full disk leaves where a log should be made. */
static bool is_empty_log(const struct env *env)
{
    struct stat info;
    char *file = file_join(env->path, "data.mdb");
    bool empty = stat(file, &info) == 0 && info.st_size == 0;
    free(file);
    return empty;
}

/* Opens LMDB and the tables; where the address space is limited (ulimit -v), with a smaller map. */
static enum kol_status open_whole(struct env *env, struct kol_error *err)
{
    int rc = reserve_lock_file(env->path);
    if (rc && !(env->read_only && (rc == EROFS || rc == EACCES))) {
        return env_fail(env, rc, "open", err);
    }
    if (env->read_only && is_empty_log(env)) {
        return kol_fail(err, KOL_NOT_FOUND, "%s holds no event log", env->path);
    }
    size_t map_bytes = env->map_bytes;
    for (;;) {
        rc = open_mdb(env, map_bytes);
        if (rc != ENOMEM || map_bytes / 4 < least_map_bytes) {
            break;
        }
        map_bytes /= 4;
    }
    if (rc) {
        return env_fail(env, rc, "open", err);
    }
    if (map_bytes != env->map_bytes) {
        log_warn("the event log can only grow to %zu GiB here: there is no address space for more",
                 map_bytes >> 30);
        env->map_bytes = map_bytes;
    }
    enum kol_status status = check_length(env, err);
    status = status == KOL_OK ? load_layout(env, err) : status;
    if (status != KOL_OK) {
        mdb_env_close(env->mdb);
        env->mdb = NULL;
        return status;
    }
    /* Readers that died (kill -9) would keep the pages that they saw from being used again. */
    int dead = 0;
    mdb_reader_check(env->mdb, &dead);
    return KOL_OK;
}

/* A file that was made is there after a power cut only once its folder is on disk too. */
static void sync_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        if (fsync(fd)) {
            log_warn("cannot sync the folder %s: %m", path);
        }
        close(fd);
    }
}

static enum kol_status make_folder(struct env *env, struct kol_error *err)
{
    struct stat info;
    if (!env->read_only) {
        enum kol_status status = file_make_dir(env->path, err);
        if (status != KOL_OK) {
            return status;
        }
    }
    if (stat(env->path, &info)) {
        return kol_fail_errno(err, errno, "event log in %s", env->path);
    }
    env->device = info.st_dev;
    env->inode = info.st_ino;
    return KOL_OK;
}

/* Two opens of one file in a process undo each other's file locks: refused here. */
static enum kol_status enter_open_list(struct env *env, struct kol_error *err)
{
    for (struct env *other = open_list; other; other = other->next_open) {
        if (other->device == env->device && other->inode == env->inode) {
            return kol_fail(err, KOL_EXISTS,
                            "the event log in %s is open in this process already; share it",
                            env->path);
        }
    }
    env->next_open = open_list;
    open_list = env;
    return KOL_OK;
}

static void leave_open_list(struct env *env)
{
    pthread_mutex_lock(&open_lock);
    for (struct env **at = &open_list; *at; at = &(*at)->next_open) {
        if (*at == env) {
            *at = env->next_open;
            break;
        }
    }
    pthread_mutex_unlock(&open_lock);
}

static void env_free(struct env *env)
{
    pthread_mutex_destroy(&env->lock);
    pthread_cond_destroy(&env->idle);
    free(env->path);
    free(env);
}

enum kol_status env_open(struct env **out, const char *path, int64_t map_bytes, bool read_only,
                         struct kol_error *err)
{
    struct env *env = mem_zalloc(1, sizeof *env);
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    env->path = mem_strdup(path);
    env->map_bytes =
        map_bytes > 0 ? ((size_t)map_bytes + page - 1) / page * page : default_map_bytes;
    env->read_only = read_only;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&env->lock, NULL);
    pthread_cond_init(&env->idle, &monotonic);
    pthread_condattr_destroy(&monotonic);

    enum kol_status status = make_folder(env, err);
    if (status == KOL_OK) {
        pthread_mutex_lock(&open_lock);
        status = enter_open_list(env, err);
        pthread_mutex_unlock(&open_lock);
    }
    if (status != KOL_OK) {
        env_free(env);
        return status;
    }
    status = open_whole(env, err);
    if (status != KOL_OK) {
        leave_open_list(env);
        env_free(env);
        return status;
    }
    if (!read_only) {
        sync_folder(env->path);
    }
    *out = env;
    return KOL_OK;
}

void env_close(struct env **env)
{
    if (!*env) {
        return;
    }
    KOL_ASSERT((*env)->users == 0);
    if ((*env)->mdb) {
        mdb_env_close((*env)->mdb);
    }
    leave_open_list(*env);
    env_free(*env);
    *env = NULL;
}

/* With the lock held: waits until nobody has a transaction, or somebody else has done the repair;
 * but not for ever, because one may be a batch that this very thread still holds. */
static bool wait_idle(struct env *env)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += WAIT_IDLE_MS / 1000;
    int rc = 0;
    while (env->users > 0 && env->state != ENV_READY && rc != ETIMEDOUT) {
        rc = pthread_cond_timedwait(&env->idle, &env->lock, &until);
    }
    return env->users == 0 || env->state == ENV_READY;
}

/* With the lock held: does what the state asks for. */
static enum kol_status repair(struct env *env, struct kol_error *err)
{
    if (!wait_idle(env)) {
        return kol_fail(err, KOL_IO,
                        "the event log in %s must be opened again, but this process still holds "
                        "records that it read; poll again, then repeat",
                        env->path);
    }
    if (env->state == ENV_OUTGROWN) {
        int rc = mdb_env_set_mapsize(env->mdb, 0);
        if (rc) {
            return env_fail(env, rc, "map more of the log", err);
        }
    } else if (env->state == ENV_BROKEN) {
        if (env->mdb) {
            mdb_env_close(env->mdb);
            env->mdb = NULL;
        }
        enum kol_status status = open_whole(env, err);
        if (status != KOL_OK) {
            return status;
        }
        log_warn("the event log in %s was opened again after a write had failed", env->path);
    }
    env->state = ENV_READY;
    pthread_cond_broadcast(&env->idle);
    return KOL_OK;
}

static enum kol_status enter(struct env *env, struct kol_error *err)
{
    enum kol_status status = KOL_OK;
    pthread_mutex_lock(&env->lock);
    if (env->state != ENV_READY) {
        status = repair(env, err);
    }
    env->users += status == KOL_OK;
    pthread_mutex_unlock(&env->lock);
    return status;
}

static void leave(struct env *env, enum env_state found)
{
    pthread_mutex_lock(&env->lock);
    if (found != ENV_READY) {
        env->state = found;
    }
    if (--env->users == 0) {
        pthread_cond_broadcast(&env->idle);
    }
    pthread_mutex_unlock(&env->lock);
}

enum kol_status env_begin(struct env *env, unsigned flags, MDB_txn **out, struct kol_error *err)
{
    int rc = 0;
    *out = NULL;
    for (int attempt = 0; attempt < 3; attempt++) {
        enum kol_status status = enter(env, err);
        if (status != KOL_OK) {
            return status;
        }
        rc = mdb_txn_begin(env->mdb, NULL, flags, out);
        if (rc == 0) {
            return KOL_OK;
        }
        *out = NULL;
        if (rc == MDB_READERS_FULL) {
            int dead = 0;
            mdb_reader_check(env->mdb, &dead);
        }
        leave(env, rc == MDB_PANIC ? ENV_BROKEN : rc == MDB_MAP_RESIZED ? ENV_OUTGROWN : ENV_READY);
        if (rc != MDB_PANIC && rc != MDB_MAP_RESIZED && rc != MDB_READERS_FULL) {
            break;
        }
    }
    return env_fail(env, rc, flags & MDB_RDONLY ? "read" : "write", err);
}

enum kol_status env_commit(struct env *env, MDB_txn *txn, struct kol_error *err)
{
    int rc = mdb_txn_commit(txn);
    enum kol_status status = rc ? env_fail(env, rc, "commit", err) : KOL_OK;
    leave(env, ENV_READY);
    return status;
}

void env_abort(struct env *env, MDB_txn **txn)
{
    if (*txn) {
        mdb_txn_abort(*txn);
        *txn = NULL;
        leave(env, ENV_READY);
    }
}

uint64_t env_last_txn(struct env *env)
{
    MDB_envinfo info = {0};
    pthread_mutex_lock(&env->lock);
    if (env->state == ENV_READY) {
        mdb_env_info(env->mdb, &info);
    }
    pthread_mutex_unlock(&env->lock);
    return info.me_last_txnid;
}
