/* env.c: see env.h. */
#include "online/env.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

enum {
    MAX_READERS = 1000,
    LOCK_FILE_BYTES = 64 << 10, /* room for them: 64 bytes each behind a header */
    FULL_BYTES = 1 << 20,       /* a disk with less than this is full */
    LEAST_MAP_BYTES = 64 << 20, /* when the address space is short */
};

/* A write that was cut short comes as EIO from LMDB; whether the disk is full only it can say. */
static bool disk_is_full(const char *path)
{
    struct statvfs fs;
    return statvfs(path, &fs) == 0 && (uint64_t)fs.f_bavail * fs.f_frsize < FULL_BYTES;
}

enum kol_status online_env_fail(const struct online_env *env, int rc, const char *doing,
                                struct kol_error *err)
{
    if (rc == ENOSPC || rc == EDQUOT || (rc == EIO && disk_is_full(env->path))) {
        return kol_fail(err, KOL_NO_SPACE,
                        "cannot %s: the disk that holds the %s %s is full; make space, then try "
                        "again",
                        doing, env->what, env->path);
    }
    switch (rc) {
    case MDB_MAP_FULL:
        return kol_fail(err, KOL_NO_SPACE,
                        "cannot %s: the %s %s has reached its limit of %zu bytes", doing, env->what,
                        env->path, env->map_bytes);
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_NOTFOUND:
        return kol_fail(err, KOL_CORRUPT,
                        "cannot %s: the %s %s is damaged (%s); remove it, it is "
                        "made again",
                        doing, env->what, env->path, mdb_strerror(rc));
    case MDB_VERSION_MISMATCH:
        return kol_fail(err, KOL_UNSUPPORTED,
                        "cannot %s: the %s %s was made by another version of LMDB", doing,
                        env->what, env->path);
    case MDB_READERS_FULL:
        return kol_fail(err, KOL_IO, "cannot %s: more than %d readers of the %s %s", doing,
                        MAX_READERS, env->what, env->path);
    default:
        if (rc > 0) {
            return kol_fail_errno(err, rc, "cannot %s: %s %s", doing, env->what, env->path);
        }
        return kol_fail(err, KOL_IO, "cannot %s: %s %s: %s", doing, env->what, env->path,
                        mdb_strerror(rc));
    }
}

/*
 * Gives the lock file its disk blocks. LMDB makes it sparse and writes to it through a map: on a
 * full disk the first touch of a missing block would be SIGBUS, where this is an error. Only one
 * that is empty is given its size: another process may have mapped it.
 */
static int reserve_lock_file(const char *path)
{
    struct buf file = {0};
    struct stat info;
    buf_printf(&file, "%s-lock", path);
    int fd = open(file.ptr, O_RDWR | O_CREAT | O_CLOEXEC, 0644), rc = 0;
    buf_free(&file);
    if (fd < 0) {
        return errno;
    }
    if (fstat(fd, &info) || fallocate(fd, 0, 0, info.st_size ? info.st_size : LOCK_FILE_BYTES)) {
        rc = errno == EOPNOTSUPP ? 0 : errno;
    }
    close(fd);
    return rc;
}

static int open_mdb(struct online_env *env, const struct online_env_options *options,
                    size_t map_bytes)
{
    int rc = mdb_env_create(&env->mdb);
    if (rc) {
        env->mdb = NULL;
        return rc;
    }
    mdb_env_set_mapsize(env->mdb, map_bytes);
    mdb_env_set_maxreaders(env->mdb, MAX_READERS);
    mdb_env_set_maxdbs(env->mdb, options->tables);
    rc = mdb_env_open(env->mdb, env->path, options->flags | MDB_NOSUBDIR | MDB_NOTLS, 0644);
    if (rc) {
        online_env_close(env);
    }
    return rc;
}

/* A file that ends before its last page was cut: its map would be SIGBUS behind the end. */
static enum kol_status check_length(const struct online_env *env, struct kol_error *err)
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
        return online_env_fail(env, rc, "open", err);
    }
    /* A new file has two pages, the last of which is written with the first commit only. */
    uint64_t least = info.me_last_txnid ? (info.me_last_pgno + 1) * (uint64_t)stat.ms_psize : 0;
    if ((uint64_t)file.st_size < least) {
        return kol_fail(err, KOL_CORRUPT,
                        "the %s %s was cut: it has %lld bytes, its pages need %llu; remove it, it "
                        "is made again",
                        env->what, env->path, (long long)file.st_size, (unsigned long long)least);
    }
    return KOL_OK;
}

/* How much to map for reading: all that is there. */
static enum kol_status file_size(const struct online_env *env, size_t *bytes, struct kol_error *err)
{
    struct stat info;
    if (stat(env->path, &info) != 0) {
        return kol_fail_errno(err, errno, "%s %s", env->what, env->path);
    }
    if (info.st_size == 0) {
        return kol_fail(err, KOL_CORRUPT, "the %s %s is empty; remove it, it is made again",
                        env->what, env->path);
    }
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    *bytes = ((size_t)info.st_size + page - 1) / page * page;
    return KOL_OK;
}

static enum kol_status open_checked(struct online_env *env,
                                    const struct online_env_options *options, struct kol_error *err)
{
    size_t map_bytes = options->map_bytes;
    int rc = 0;
    if (map_bytes == 0) {
        enum kol_status status = file_size(env, &map_bytes, err);
        if (status != KOL_OK) {
            return status;
        }
    }
    if (!(options->flags & MDB_NOLOCK)) {
        rc = reserve_lock_file(env->path);
    }
    while (rc == 0) {
        rc = open_mdb(env, options, map_bytes);
        if (rc != ENOMEM || options->map_bytes == 0 || map_bytes / 4 < LEAST_MAP_BYTES) {
            break;
        }
        rc = 0;
        map_bytes /= 4; /* the address space is limited (ulimit -v) */
    }
    if (rc) {
        return online_env_fail(env, rc, "open", err);
    }
    env->map_bytes = map_bytes;
    return check_length(env, err);
}

enum kol_status online_env_open(struct online_env *env, const char *path,
                                const struct online_env_options *options, struct kol_error *err)
{
    *env = (struct online_env){.path = mem_strdup(path), .what = options->what};
    enum kol_status status = open_checked(env, options, err);
    if (status != KOL_OK) {
        online_env_free(env);
    }
    return status;
}

void online_env_close(struct online_env *env)
{
    if (env->mdb) {
        mdb_env_close(env->mdb);
        env->mdb = NULL;
    }
}

void online_env_free(struct online_env *env)
{
    online_env_close(env);
    free(env->path);
    env->path = NULL;
}
