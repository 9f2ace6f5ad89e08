/*
 * storage_local.c: objects as files of this machine.
 *
 * An object is written beside the tables (in the staging folder), synced, and gets its name in one
 * step, so that no reader and no crash ever sees half of it. So that the name outlives a loss of
 * power its folder must be synced too: that waits for settle(), once for all objects in it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/file.h"
#include "base/mem.h"
#include "iceberg/storage.h"

enum { MAX_OBJECT = 1 << 30, MAX_FOLDERS = 64 };

struct local {
    struct storage base;
    char *staging;
    _Atomic uint64_t counter; /* of files in the making */
    uint64_t salt;            /* so that two processes with one id (containers) do not meet */

    pthread_mutex_t lock; /* of the list, held while folders are synced: who settles after another
                             must not return before him */
    char **unsynced;      /* folders that got a name since they were synced, each once */
    size_t unsynced_count, unsynced_cap;
};

const char *storage_local_path(const char *location)
{
    if (strncmp(location, "file:", 5) == 0) {
        location += 5;
        if (strncmp(location, "///", 3) == 0) {
            location += 2;
        } else if (strncmp(location, "//", 2) == 0) {
            return NULL; /* another machine's */
        }
    }
    return *location == '/' ? location : NULL;
}

static enum kol_status path_of(const char *location, const char **path, struct kol_error *err)
{
    *path = storage_local_path(location);
    if (!*path) {
        return kol_fail(err, KOL_UNSUPPORTED,
                        "%s: only files of this machine (file:///...) can be read and written here",
                        location);
    }
    return KOL_OK;
}

static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return mem_strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

/* Makes the folder and those above it, each durably. */
static enum kol_status make_folder(const char *folder, struct kol_error *err)
{
    struct stat info;
    if (stat(folder, &info) == 0 && S_ISDIR(info.st_mode)) {
        return KOL_OK;
    }
    char *parent = folder_of(folder);
    enum kol_status status = strcmp(parent, folder) == 0 ? KOL_OK : make_folder(parent, err);
    if (status == KOL_OK && mkdir(folder, 0777) != 0 && errno != EEXIST) {
        status = kol_fail_errno(err, errno, "%s: cannot make the folder", folder);
    }
    if (status == KOL_OK) {
        status = file_sync_dir(parent, err);
    }
    free(parent);
    return status;
}

static enum kol_status write_synced(const char *path, struct str bytes, struct kol_error *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) {
        return kol_fail_errno(err, errno, "%s: cannot create", path);
    }
    enum kol_status status = KOL_OK;
    while (bytes.len && status == KOL_OK) {
        ssize_t put = write(fd, bytes.ptr, bytes.len);
        if (put >= 0) {
            bytes.ptr += put;
            bytes.len -= (size_t)put;
        } else if (errno != EINTR) {
            status = kol_fail_errno(err, errno, "%s: cannot write", path);
        }
    }
    if (status == KOL_OK && fsync(fd) != 0) {
        status = kol_fail_errno(err, errno, "%s: cannot sync", path);
    }
    close(fd);
    return status;
}

/* Gives `from` the name `to`; 0, or an errno (EEXIST where it may not replace). */
static int give_name(const char *from, const char *to, bool replace)
{
    return !replace ? file_name_new(from, to) : rename(from, to) == 0 ? 0 : errno;
}

static void note_unsynced(struct local *local, const char *folder)
{
    bool known = false;
    pthread_mutex_lock(&local->lock);
    for (size_t i = 0; i < local->unsynced_count && !known; i++) {
        known = strcmp(local->unsynced[i], folder) == 0;
    }
    if (!known && local->unsynced_count == local->unsynced_cap) {
        local->unsynced_cap = local->unsynced_cap ? 2 * local->unsynced_cap : 8;
        local->unsynced =
            mem_realloc(local->unsynced, local->unsynced_cap * sizeof *local->unsynced);
    }
    if (!known) {
        local->unsynced[local->unsynced_count++] = mem_strdup(folder);
    }
    pthread_mutex_unlock(&local->lock);
}

static enum kol_status local_settle(struct storage *storage, struct kol_error *err)
{
    struct local *local = (struct local *)storage;
    enum kol_status status = KOL_OK;
    FAILPOINT("storage.sync");
    pthread_mutex_lock(&local->lock);
    while (local->unsynced_count && status == KOL_OK) {
        char *folder = local->unsynced[local->unsynced_count - 1];
        status = file_sync_dir(folder, err);
        if (status == KOL_OK) {
            free(folder);
            local->unsynced_count--;
        }
    }
    pthread_mutex_unlock(&local->lock);
    return status;
}

/* The last step of every object: its name. */
static enum kol_status place(struct local *local, const char *from, const char *path, bool replace,
                             struct kol_error *err)
{
    char *folder = folder_of(path);
    int rc = give_name(from, path, replace);
    enum kol_status status = KOL_OK;
    if (rc == ENOENT) {
        status = make_folder(folder, err);
        rc = status == KOL_OK ? give_name(from, path, replace) : 0;
    }
    if (rc == EEXIST) {
        status = kol_fail(err, KOL_EXISTS, "%s: is there already", path);
    } else if (rc != 0) {
        status = kol_fail_errno(err, rc, "%s: cannot be made", path);
    }
    if (status == KOL_OK) {
        note_unsynced(local, folder);
    }
    free(folder);
    return status;
}

static enum kol_status put_bytes(struct storage *storage, const char *location, struct str bytes,
                                 bool replace, struct kol_error *err)
{
    struct local *local = (struct local *)storage;
    const char *path;
    enum kol_status status = path_of(location, &path, err);
    if (status != KOL_OK) {
        return status;
    }
    struct buf staged = {0};
    buf_printf(&staged, "%s/%ld-%llx-%llu.tmp", local->staging, (long)getpid(),
               (unsigned long long)local->salt, (unsigned long long)++local->counter);
    status = write_synced(staged.ptr, bytes, err);
    FAILPOINT("storage.staged");
    if (status == KOL_OK) {
        status = place(local, staged.ptr, path, replace, err);
    }
    if (status != KOL_OK) {
        unlink(staged.ptr);
    }
    buf_free(&staged);
    return status;
}

static enum kol_status local_put_if_absent(struct storage *storage, const char *location,
                                           struct str bytes, struct kol_error *err)
{
    return put_bytes(storage, location, bytes, false, err);
}

static enum kol_status local_put(struct storage *storage, const char *location, struct str bytes,
                                 struct kol_error *err)
{
    return put_bytes(storage, location, bytes, true, err);
}

static enum kol_status local_put_file(struct storage *storage, const char *location,
                                      const char *from, struct kol_error *err)
{
    const char *path;
    enum kol_status status = path_of(location, &path, err);
    if (status != KOL_OK) {
        return status;
    }
    int fd = open(from, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0) {
        status = kol_fail_errno(err, errno, "%s: cannot sync", from);
    }
    if (fd >= 0) {
        close(fd);
    }
    return status == KOL_OK ? place((struct local *)storage, from, path, false, err) : status;
}

/* ---- reading ---- */

static enum kol_status read_range(int fd, const char *path, int64_t offset, int64_t len,
                                  struct buf *out, struct kol_error *err)
{
    buf_reserve(out, (size_t)len);
    while (len > 0) {
        ssize_t got = pread(fd, out->ptr + out->len, (size_t)len, offset);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return kol_fail_errno(err, errno, "%s: cannot read", path);
        }
        if (got == 0) {
            break;
        }
        out->len += (size_t)got;
        offset += got;
        len -= got;
    }
    out->ptr[out->len] = '\0';
    return KOL_OK;
}

static enum kol_status local_get_range(struct storage *storage, const char *location,
                                       int64_t offset, int64_t len, struct buf *out,
                                       struct kol_error *err)
{
    const char *path;
    struct stat info;
    enum kol_status status = path_of(location, &path, err);
    if (status != KOL_OK) {
        return status;
    }
    /* Not to wait for a writer where the name is a pipe. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &info) != 0) {
        status = kol_fail_errno(err, errno, "%s: cannot open", path);
        goto out;
    }
    if (!S_ISREG(info.st_mode)) {
        status = kol_fail(err, KOL_INVALID, "%s: is no file", path);
        goto out;
    }
    int64_t left = info.st_size > offset ? info.st_size - offset : 0;
    len = len < 0 || len > left ? left : len;
    status = len > storage->max_object
                 ? kol_fail(err, KOL_INVALID, "%s: %lld bytes are more than is read at once", path,
                            (long long)len)
                 : read_range(fd, path, offset, len, out, err);
out:
    if (fd >= 0) {
        close(fd);
    }
    return status;
}

static enum kol_status local_look(struct storage *storage, const char *location,
                                  struct kol_error *err)
{
    (void)storage;
    const char *path;
    enum kol_status status = path_of(location, &path, err);
    return status != KOL_OK          ? status
           : access(path, F_OK) == 0 ? KOL_OK
                                     : kol_fail_errno(err, errno, "%s: cannot be looked at", path);
}

/* One walk through the folders below a prefix. */
struct listing {
    struct str prefix;   /* path that results start with */
    size_t scheme;       /* bytes of the location before its path ("file://") */
    struct buf location; /* of the entry at hand */
    enum kol_status (*each)(const char *location, int64_t bytes, int64_t modified_us, void *user,
                            struct kol_error *err);
    void *user;
    struct kol_error *err;
};

static enum kol_status list_folder(struct listing *listing, int depth);

static enum kol_status list_entry(struct listing *listing, int depth)
{
    struct stat info;
    const char *path = listing->location.ptr + listing->scheme;
    size_t len = listing->location.len - listing->scheme;
    size_t common = len < listing->prefix.len ? len : listing->prefix.len;
    if (memcmp(path, listing->prefix.ptr, common) != 0 || lstat(path, &info) != 0) {
        return KOL_OK; /* elsewhere, or removed meanwhile */
    }
    if (S_ISDIR(info.st_mode)) {
        return list_folder(listing, depth + 1);
    }
    if (!S_ISREG(info.st_mode) || len < listing->prefix.len) {
        return KOL_OK;
    }
    int64_t modified =
        (int64_t)info.st_mtim.tv_sec * CLOCK_US_PER_SECOND + info.st_mtim.tv_nsec / 1000;
    return listing->each(listing->location.ptr, info.st_size, modified, listing->user,
                         listing->err);
}

static enum kol_status list_folder(struct listing *listing, int depth)
{
    size_t mark = listing->location.len;
    const char *path = listing->location.ptr + listing->scheme;
    if (depth > MAX_FOLDERS) {
        return kol_fail(listing->err, KOL_INVALID, "%s: folders are nested too deeply", path);
    }
    DIR *dir = opendir(path);
    if (!dir) {
        return errno == ENOENT ? KOL_OK
                               : kol_fail_errno(listing->err, errno, "%s: cannot list", path);
    }
    enum kol_status status = KOL_OK;
    struct dirent *entry;
    while (status == KOL_OK && (errno = 0, entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        buf_printf(&listing->location, "%s%s", listing->location.ptr[mark - 1] == '/' ? "" : "/",
                   entry->d_name);
        status = list_entry(listing, depth);
        listing->location.len = mark;
        listing->location.ptr[mark] = '\0';
    }
    if (status == KOL_OK && errno) {
        status = kol_fail_errno(listing->err, errno, "%s: cannot list",
                                listing->location.ptr + listing->scheme);
    }
    closedir(dir);
    return status;
}

static enum kol_status local_list(struct storage *storage, const char *prefix,
                                  enum kol_status (*each)(const char *location, int64_t bytes,
                                                          int64_t modified_us, void *user,
                                                          struct kol_error *err),
                                  void *user, struct kol_error *err)
{
    (void)storage;
    const char *path;
    enum kol_status status = path_of(prefix, &path, err);
    if (status != KOL_OK) {
        return status;
    }
    struct listing listing = {.prefix = str_of(path),
                              .scheme = (size_t)(path - prefix),
                              .each = each,
                              .user = user,
                              .err = err};
    /* From the folder that the prefix lies in. */
    size_t folder = (size_t)(strrchr(path, '/') - path);
    buf_append(&listing.location, prefix, listing.scheme + (folder ? folder : 1));
    status = list_folder(&listing, 0);
    buf_free(&listing.location);
    return status;
}

static enum kol_status local_remove(struct storage *storage, const char *location,
                                    struct kol_error *err)
{
    (void)storage;
    const char *path;
    enum kol_status status = path_of(location, &path, err);
    if (status == KOL_OK && unlink(path) != 0 && errno != ENOENT) {
        status = kol_fail_errno(err, errno, "%s: cannot remove", path);
    }
    return status;
}

static void local_close(struct storage *storage)
{
    struct local *local = (struct local *)storage;
    for (size_t i = 0; i < local->unsynced_count; i++) {
        free(local->unsynced[i]);
    }
    free(local->unsynced);
    pthread_mutex_destroy(&local->lock);
    free(local->staging);
    free(local);
}

static const struct storage_ops ops = {
    .put_if_absent = local_put_if_absent,
    .put = local_put,
    .put_file = local_put_file,
    .get_range = local_get_range,
    .look = local_look,
    .list = local_list,
    .remove = local_remove,
    .settle = local_settle,
    .close = local_close,
};

enum kol_status storage_local_open(const char *staging, struct storage **out, struct kol_error *err)
{
    *out = NULL;
    enum kol_status status = file_make_dir(staging, err);
    if (status != KOL_OK) {
        return status;
    }
    struct local *local = mem_zalloc(1, sizeof *local);
    local->base = (struct storage){&ops, MAX_OBJECT};
    local->staging = mem_strdup(staging);
    pthread_mutex_init(&local->lock, NULL);
    local->salt = (uint64_t)clock_mono_ns() ^ (uint64_t)(uintptr_t)local;
    *out = &local->base;
    return KOL_OK;
}

void storage_close(struct storage **storage)
{
    if (*storage) {
        (*storage)->ops->close(*storage);
        *storage = NULL;
    }
}
