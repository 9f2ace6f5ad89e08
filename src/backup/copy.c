/*
 * copy.c: files and folders: copied so that a crash leaves no half of one, walked, removed, synced.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "backup/parts.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/signals.h"

enum { STRETCH = 8 << 20, BLOCK = 1 << 20, CHANGE_TRIES = 5 };

/* ---- names ---- */

void backup_names_add(struct backup_names *names, struct str name)
{
    if (!names->arena.block_size) {
        arena_init(&names->arena, 0);
    }
    if (names->count == names->room) {
        names->room = names->room ? names->room * 2 : 256;
        names->items = mem_realloc(names->items, names->room * sizeof *names->items);
    }
    names->items[names->count++] = arena_copy(&names->arena, name).ptr;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void backup_names_sort(struct backup_names *names)
{
    if (names->count) {
        qsort(names->items, names->count, sizeof *names->items, compare_names);
    }
}

bool backup_names_have(const struct backup_names *names, const char *name)
{
    return names->count &&
           bsearch(&name, names->items, names->count, sizeof *names->items, compare_names);
}

void backup_names_free(struct backup_names *names)
{
    arena_free(&names->arena);
    free(names->items);
    *names = (struct backup_names){0};
}

/* ---- one file ---- */

void backup_progress(struct backup_run *run, int64_t bytes)
{
    run->done_bytes += bytes;
    progress_update(&run->progress, run->done_bytes);
}

static enum kol_status check_stop(struct kol_error *err)
{
    return signals_stop_asked() ? kol_fail(err, KOL_INTERRUPTED,
                                           "stopped; the same command goes on where it stopped")
                                : KOL_OK;
}

/* Copies up to STRETCH bytes from where both files stand; -1 with errno, 0 at the end. In the
 * kernel where it can (which shares the blocks on some file systems), else through memory. */
static ssize_t copy_stretch(int from, int to, bool *in_kernel)
{
    if (*in_kernel) {
        ssize_t put = copy_file_range(from, NULL, to, NULL, STRETCH, 0);
        if (put >= 0 || (errno != EXDEV && errno != EINVAL && errno != ENOSYS &&
                         errno != EOPNOTSUPP && errno != EBADF && errno != EPERM)) {
            return put;
        }
        *in_kernel = false;
    }
    char *block = mem_alloc(BLOCK);
    ssize_t got = read(from, block, BLOCK), put = 0;
    while (got > 0 && put < got) {
        ssize_t step = write(to, block + put, (size_t)(got - put));
        if (step < 0 && errno != EINTR) {
            put = -1;
            break;
        }
        put += step > 0 ? step : 0;
    }
    int saved = errno;
    free(block);
    errno = saved;
    return got > 0 ? put : got;
}

static enum kol_status copy_bytes(struct backup_run *run, int from, int to, const char *to_path,
                                  struct kol_error *err)
{
    bool in_kernel = true;
    for (;;) {
        enum kol_status status = check_stop(err);
        if (status != KOL_OK) {
            return status;
        }
        ssize_t put = copy_stretch(from, to, &in_kernel);
        if (put == 0) {
            break;
        }
        if (put > 0) {
            backup_progress(run, put);
        } else if (errno != EINTR) {
            return kol_fail_errno(err, errno, "%s: cannot copy into it", to_path);
        }
    }
    return fsync(to) ? kol_fail_errno(err, errno, "%s: cannot sync", to_path) : KOL_OK;
}

/* Copies the open file into `part`, a file in the making, with the same rights. */
static enum kol_status copy_open(struct backup_run *run, int from, const struct stat *info,
                                 const char *part, struct kol_error *err)
{
    int to = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (to < 0) {
        return kol_fail_errno(err, errno, "%s: cannot create", part);
    }
    enum kol_status status = KOL_OK;
    if (fchmod(to, info->st_mode & 07777)) {
        status = kol_fail_errno(err, errno, "%s: cannot set its rights", part);
    } else if (ioctl(to, FICLONE, from) == 0) { /* the blocks are shared: nothing to copy */
        backup_progress(run, info->st_size);
        status = fsync(to) ? kol_fail_errno(err, errno, "%s: cannot sync", part) : KOL_OK;
    } else {
        status = copy_bytes(run, from, to, part, err);
    }
    if (close(to) && status == KOL_OK) {
        status = kol_fail_errno(err, errno, "%s: cannot write", part);
    }
    return status;
}

static bool is_same_moment(const struct stat *a, const struct stat *b)
{
    return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* Copies `from` into `part`; again where it was changed meanwhile. */
static enum kol_status copy_steady(struct backup_run *run, const char *from, const char *part,
                                   struct stat *info, struct kol_error *err)
{
    for (int i = 0; i < CHANGE_TRIES; i++) {
        struct stat after;
        int fd = open(from, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || fstat(fd, info)) {
            enum kol_status status = kol_fail_errno(err, errno, "%s: cannot open", from);
            if (fd >= 0) {
                close(fd);
            }
            return status;
        }
        enum kol_status status = copy_open(run, fd, info, part, err);
        int rc = fstat(fd, &after);
        close(fd);
        if (status != KOL_OK || (rc == 0 && is_same_moment(info, &after))) {
            return status;
        }
    }
    return kol_fail(err, KOL_CONFLICT, "%s: is changed all the time; try again when it rests",
                    from);
}

static enum kol_status make_folder_of(const char *path, struct kol_error *err)
{
    const char *slash = strrchr(path, '/');
    char *folder = mem_strndup(path, slash ? (size_t)(slash - path) : 0);
    enum kol_status status = !*folder || file_exists(folder) ? KOL_OK : file_make_dir(folder, err);
    free(folder);
    return status;
}

enum kol_status backup_copy_file(struct backup_run *run, const char *from, const char *to,
                                 bool frozen, struct backup_part *part, struct kol_error *err)
{
    struct stat there, info;
    enum kol_status status = check_stop(err);
    if (status != KOL_OK) {
        return status;
    }
    if (frozen && stat(from, &info)) {
        return kol_fail_errno(err, errno, "%s: cannot open", from);
    }
    if (frozen && stat(to, &there) == 0 && there.st_size == info.st_size) {
        part->files++;
        part->bytes += info.st_size;
        return KOL_OK;
    }
    struct buf name = {0};
    buf_printf(&name, "%s.tmp", to);
    status = make_folder_of(to, err);
    if (status == KOL_OK) {
        status = copy_steady(run, from, name.ptr, &info, err);
        if (status == KOL_OK && rename(name.ptr, to)) {
            status = kol_fail_errno(err, errno, "%s: cannot replace", to);
        }
        if (status != KOL_OK) {
            unlink(name.ptr);
        }
    }
    buf_free(&name);
    if (status == KOL_OK) {
        part->files++;
        part->bytes += info.st_size;
        part->copied_files++;
        part->copied_bytes += info.st_size;
    }
    return status;
}

/* ---- folders ---- */

struct walking {
    const struct backup_walk *walk;
    struct buf path; /* of the folder or file at hand */
    size_t root;     /* where the name begins in it */
    int depth;
};

static enum kol_status walk_folder(struct walking *walking, struct kol_error *err);

static enum kol_status walk_entry(struct walking *walking, struct kol_error *err)
{
    const struct backup_walk *walk = walking->walk;
    const char *name = walking->path.ptr + walking->root;
    struct stat info;
    if (walk->skip && walk->skip(name, walk->user)) {
        return KOL_OK;
    }
    if (lstat(walking->path.ptr, &info)) { /* just removed */
        return errno == ENOENT
                   ? KOL_OK
                   : kol_fail_errno(err, errno, "%s: cannot look at", walking->path.ptr);
    }
    if (S_ISDIR(info.st_mode)) {
        return walk_folder(walking, err);
    }
    if (S_ISLNK(info.st_mode) && walk->links) {
        ++*walk->links;
    }
    return S_ISREG(info.st_mode) ? walk->each(name, &info, walk->user, err) : KOL_OK;
}

static enum kol_status walk_folder(struct walking *walking, struct kol_error *err)
{
    DIR *entries = opendir(walking->path.ptr);
    enum kol_status status = KOL_OK;
    struct dirent *entry;
    if (!entries) {
        return errno == ENOENT
                   ? KOL_OK
                   : kol_fail_errno(err, errno, "%s: cannot read the folder", walking->path.ptr);
    }
    if (++walking->depth > BACKUP_MAX_DEPTH) {
        status = kol_fail(err, KOL_INVALID, "%s: folders are nested deeper than %d",
                          walking->path.ptr, BACKUP_MAX_DEPTH);
    }
    size_t len = walking->path.len;
    while (status == KOL_OK && (errno = 0, entry = readdir(entries))) {
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..")) {
            buf_printf(&walking->path, "/%s", entry->d_name);
            status = walk_entry(walking, err);
            walking->path.len = len;
            walking->path.ptr[len] = '\0';
        }
    }
    if (status == KOL_OK && errno) {
        status = kol_fail_errno(err, errno, "%s: cannot read the folder", walking->path.ptr);
    }
    walking->depth--;
    closedir(entries);
    return status;
}

enum kol_status backup_walk(const char *folder, const struct backup_walk *walk,
                            struct kol_error *err)
{
    struct walking walking = {.walk = walk, .root = strlen(folder) + 1};
    buf_puts(&walking.path, folder);
    enum kol_status status = walk_folder(&walking, err);
    buf_free(&walking.path);
    return status;
}

struct pruning {
    const char *folder;
    const struct backup_names *keep;
};

static enum kol_status prune_file(const char *name, const struct stat *info, void *user,
                                  struct kol_error *err)
{
    const struct pruning *pruning = user;
    (void)info;
    if (pruning->keep && backup_names_have(pruning->keep, name)) {
        return KOL_OK;
    }
    char *path = file_join(pruning->folder, name);
    enum kol_status status = KOL_OK;
    if (unlink(path) && errno != ENOENT) {
        status = kol_fail_errno(err, errno, "%s: cannot remove", path);
    }
    for (char *slash; status == KOL_OK && (slash = strrchr(path, '/')) &&
                      slash > path + strlen(pruning->folder);) {
        *slash = '\0'; /* folders that are empty now */
        if (rmdir(path)) {
            break;
        }
    }
    free(path);
    return status;
}

enum kol_status backup_prune(const char *folder, const struct backup_names *keep,
                             struct kol_error *err)
{
    struct pruning pruning = {folder, keep};
    return backup_walk(folder, &(struct backup_walk){.each = prune_file, .user = &pruning}, err);
}

static enum kol_status measure_file(const char *name, const struct stat *info, void *user,
                                    struct kol_error *err)
{
    struct backup_part *part = user;
    (void)name;
    (void)err;
    part->files++;
    part->bytes += info->st_size;
    return KOL_OK;
}

enum kol_status backup_measure(const char *folder, struct backup_part *part, struct kol_error *err)
{
    return backup_walk(folder, &(struct backup_walk){.each = measure_file, .user = part}, err);
}

enum kol_status backup_sync_folders(const char *folder, struct kol_error *err)
{
    DIR *entries = opendir(folder);
    enum kol_status status = KOL_OK;
    if (!entries) {
        return kol_fail_errno(err, errno, "%s: cannot read the folder", folder);
    }
    for (struct dirent *entry; status == KOL_OK && (entry = readdir(entries));) {
        char *path = file_join(folder, entry->d_name);
        struct stat info;
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..") && lstat(path, &info) == 0 &&
            S_ISDIR(info.st_mode)) {
            status = backup_sync_folders(path, err);
        }
        free(path);
    }
    closedir(entries);
    return status == KOL_OK ? file_sync_dir(folder, err) : status;
}

enum kol_status backup_remove(const char *path, struct kol_error *err)
{
    if (unlink(path)) {
        return errno == ENOENT ? KOL_OK : kol_fail_errno(err, errno, "%s: cannot remove", path);
    }
    char *folder = mem_strndup(path, (size_t)(strrchr(path, '/') - path));
    enum kol_status status = file_sync_dir(folder, err);
    free(folder);
    return status;
}

bool backup_is_empty(const char *folder)
{
    DIR *entries = opendir(folder);
    bool empty = true;
    for (struct dirent *entry; entries && empty && (entry = readdir(entries));) {
        empty = !strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..") ||
                !strcmp(entry->d_name, "lost+found"); /* of a disk of its own */
    }
    if (entries) {
        closedir(entries);
    }
    return empty;
}

enum kol_status backup_lock(const char *folder, int *lock, struct kol_error *err)
{
    enum kol_status status = file_make_dir(folder, err);
    *lock = -1;
    if (status != KOL_OK) {
        return status;
    }
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return kol_fail_errno(err, errno, "%s: cannot open the folder", folder);
    }
    if (flock(fd, LOCK_EX | LOCK_NB)) {
        status = errno == EWOULDBLOCK
                     ? kol_fail(err, KOL_CONFLICT, "%s: another backup or restore is at work here",
                                folder)
                     : kol_fail_errno(err, errno, "%s: cannot lock the folder", folder);
        close(fd);
        return status;
    }
    *lock = fd;
    return KOL_OK;
}

/* Whether `inner` is `outer` or lies in it; both absolute. */
static bool lies_in(const char *inner, const char *outer)
{
    size_t len = strlen(outer);
    return strncmp(inner, outer, len) == 0 &&
           (inner[len] == '/' || inner[len] == '\0' || (len && outer[len - 1] == '/'));
}

enum kol_status backup_check_apart(const char *data, const char *folder, struct kol_error *err)
{
    char *a = realpath(data, NULL), *b = realpath(folder, NULL);
    enum kol_status status = KOL_OK;
    if (!a || !b) {
        status = kol_fail_errno(err, errno, "%s: has no absolute path", a ? folder : data);
    } else if (lies_in(a, b) || lies_in(b, a)) {
        status = kol_fail(err, KOL_INVALID,
                          "%s and %s: a backup and a data folder must not lie in each other; name "
                          "another folder",
                          data, folder);
    }
    free(a);
    free(b);
    return status;
}
