/*
 * lease.c: the folders of the copies: which is current, who reads them, which may go.
 *
 * A reader holds NNNNNN/lease with a shared flock(2); the kernel gives it back when the process
 * dies. Who removes a copy takes it exclusively and unlinks it first, so that a reader that opened
 * it a moment before sees that it has no name any more and looks at CURRENT again.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/logger.h"
#include "base/mem.h"
#include "online/parts.h"

char *online_root(const char *data)
{
    return file_join(data, "online");
}

char *online_folder(const char *data, int64_t number)
{
    struct buf path = {0};
    buf_printf(&path, "%s/online/%06lld", data, (long long)number);
    return path.ptr;
}

static enum kol_status no_copy(const char *data, struct kol_error *err)
{
    return kol_fail(err, KOL_NOT_FOUND,
                    "%s holds no online copy: `kol etl` or `kol online build` makes one", data);
}

enum kol_status online_current(const char *data, int64_t *number, struct kol_error *err)
{
    struct buf path = {0}, text = {0};
    buf_printf(&path, "%s/online/CURRENT", data);
    enum kol_status status = file_read(path.ptr, 64, &text, err);
    if (status == KOL_NOT_FOUND) {
        status = no_copy(data, err);
    } else if (status == KOL_OK &&
               (!str_to_int64(str_trim(buf_str(&text)), number) || *number < 1)) {
        status = kol_fail(err, KOL_CORRUPT,
                          "%s does not hold a number; `kol online build` makes it again", path.ptr);
    }
    buf_free(&path);
    buf_free(&text);
    return status;
}

/* ---- locks ---- */

enum kol_status online_lease(const char *folder, int *fd, struct kol_error *err)
{
    char *path = file_join(folder, "lease");
    enum kol_status status = KOL_OK;
    struct stat info;
    *fd = open(path, O_RDONLY | O_CLOEXEC);
    if (*fd < 0) {
        status = kol_fail_errno(err, errno, "%s: cannot open", path);
    } else if (flock(*fd, LOCK_SH | LOCK_NB) != 0 || fstat(*fd, &info) != 0 || info.st_nlink == 0) {
        status = kol_fail(err, KOL_NOT_FOUND, "the online copy %s is being removed", folder);
        close(*fd);
        *fd = -1;
    }
    free(path);
    return status;
}

enum kol_status online_build_lock(const char *data, int *fd, struct kol_error *err)
{
    char *root = online_root(data), *path = file_join(root, "build.lock");
    *fd = -1;
    enum kol_status status = file_make_dir(root, err);
    if (status == KOL_OK) {
        *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (*fd < 0) {
            status = kol_fail_errno(err, errno, "%s: cannot open", path);
        } else if (flock(*fd, LOCK_EX | LOCK_NB) != 0) {
            status = kol_fail(err, KOL_CONFLICT,
                              "another process is building the online copy in %s", root);
            close(*fd);
            *fd = -1;
        }
    }
    free(root);
    free(path);
    return status;
}

/* ---- removing ---- */

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)info;
    (void)type;
    (void)walk;
    if (remove(path) != 0 && errno != ENOENT) {
        log_warn("cannot remove %s: %m", path);
    }
    return 0;
}

void online_remove_tree(const char *path)
{
    nftw(path, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

/* True, with the copy gone, unless somebody reads it. */
static bool remove_unread(const char *folder)
{
    char *path = file_join(folder, "lease");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    bool free_to_go = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0;
    if (free_to_go) {
        unlink(path);
        online_remove_tree(folder);
    }
    if (fd >= 0) {
        close(fd);
    }
    free(path);
    return free_to_go;
}

/* ---- the numbers that there are ---- */

struct numbers {
    int64_t *items; /* ascending */
    size_t count, cap;
};

static int compare_numbers(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

/* The number of a copy's folder, 0 for any other name; `*left` for one in the making. */
static int64_t number_of(const char *name, bool *left)
{
    struct str text = str_of(name);
    int64_t number = 0;
    *left = text.len > 4 && !strcmp(name + text.len - 4, ".tmp");
    if (*left) {
        text.len -= 4;
    }
    return text.len >= 6 && strspn(name, "0123456789") == text.len && str_to_int64(text, &number)
               ? number
               : 0;
}

/* Lists the copies, and removes what builders that crashed left where `remove_left`. */
static enum kol_status list_copies(const char *data, bool remove_left, struct numbers *out,
                                   struct kol_error *err)
{
    char *root = online_root(data);
    DIR *entries = opendir(root);
    enum kol_status status = KOL_OK;
    *out = (struct numbers){0};
    if (!entries) {
        status = kol_fail_errno(err, errno, "%s: cannot list", root);
    }
    for (struct dirent *entry; entries && (entry = readdir(entries));) {
        bool left;
        int64_t number = number_of(entry->d_name, &left);
        if (number && left && remove_left) {
            char *path = file_join(root, entry->d_name);
            online_remove_tree(path);
            free(path);
        }
        if (number && !left) {
            if (out->count == out->cap) {
                out->cap = out->cap ? 2 * out->cap : 16;
                out->items = mem_realloc(out->items, out->cap * sizeof *out->items);
            }
            out->items[out->count++] = number;
        }
    }
    if (entries) {
        closedir(entries);
    }
    if (out->count) {
        qsort(out->items, out->count, sizeof *out->items, compare_numbers);
    }
    free(root);
    return status;
}

enum kol_status online_prepare(const char *data, int64_t *number, struct kol_error *err)
{
    struct numbers numbers;
    int64_t current = 0;
    enum kol_status status = list_copies(data, true, &numbers, err);
    if (status == KOL_OK && online_current(data, &current, NULL) != KOL_OK) {
        current = 0;
    }
    if (status == KOL_OK) {
        int64_t last = numbers.count ? numbers.items[numbers.count - 1] : 0;
        *number = (last > current ? last : current) + 1;
    }
    free(numbers.items);
    return status;
}

/* When the copy `number` was finished; 0 where that cannot be read. */
static int64_t built_us(const char *data, int64_t number)
{
    struct online_meta meta;
    char *folder = online_folder(data, number);
    int64_t time_us = 0;
    if (online_meta_read(folder, &meta, NULL) == KOL_OK) {
        time_us = meta.info.built_us;
        online_meta_free(&meta);
    }
    free(folder);
    return time_us;
}

enum kol_status online_clean_locked(const char *data, int64_t keep_us, int64_t *removed,
                                    struct kol_error *err)
{
    struct numbers numbers;
    int64_t current;
    *removed = 0;
    if (online_current(data, &current, NULL) != KOL_OK) {
        return KOL_OK; /* nothing says what could go */
    }
    enum kol_status status = list_copies(data, true, &numbers, err);
    for (size_t i = 0; status == KOL_OK && i < numbers.count; i++) {
        const int64_t number = numbers.items[i];
        /* It stopped being the current one when the next was finished, a moment later to be exact.
         */
        int64_t next = i + 1 < numbers.count ? numbers.items[i + 1] : current;
        if (number == current || clock_now_us() - built_us(data, next) < keep_us) {
            continue;
        }
        char *folder = online_folder(data, number);
        *removed += remove_unread(folder);
        free(folder);
    }
    free(numbers.items);
    return status;
}

enum kol_status online_clean(const char *data, int64_t keep_us, int64_t *removed,
                             struct kol_error *err)
{
    int fd;
    enum kol_status status = online_build_lock(data, &fd, err);
    if (status != KOL_OK) {
        return status;
    }
    status = online_clean_locked(data, keep_us, removed, err);
    close(fd);
    return status;
}
