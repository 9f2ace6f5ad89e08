/* file.c: folders, whole files, and replacing a file so that no reader sees half of it. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

char *file_join(const char *folder, const char *name)
{
    struct buf path = {0};
    size_t len = strlen(folder);
    buf_append(&path, folder, len);
    if (len && folder[len - 1] != '/') {
        buf_putc(&path, '/');
    }
    buf_puts(&path, name);
    return path.ptr;
}

bool file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

enum kol_status file_make_dir(const char *path, struct kol_error *err)
{
    char *copy = mem_strdup(path);
    enum kol_status status = KOL_OK;
    for (char *at = copy + 1; *copy; at++) {
        bool last = *at == '\0';
        if (*at != '/' && !last) {
            continue;
        }
        *at = '\0';
        if (mkdir(copy, 0777) != 0 && errno != EEXIST) {
            status = kol_fail_errno(err, errno, "%s: cannot make the folder", copy);
            break;
        }
        if (last) {
            break;
        }
        *at = '/';
    }
    struct stat info;
    if (status == KOL_OK && (stat(path, &info) != 0 || !S_ISDIR(info.st_mode))) {
        status = kol_fail(err, KOL_IO, "%s: is there, but is no folder", path);
    }
    free(copy);
    return status;
}

enum kol_status file_read(const char *path, size_t max_bytes, struct buf *out,
                          struct kol_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return kol_fail_errno(err, errno, "%s: cannot open", path);
    }
    enum kol_status status = KOL_OK;
    size_t start = out->len;
    for (;;) {
        buf_reserve(out, 65536);
        ssize_t got = read(fd, out->ptr + out->len, 65536);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            status = kol_fail_errno(err, errno, "%s: cannot read", path);
        }
        if (got <= 0) {
            break;
        }
        out->len += (size_t)got;
        if (out->len - start > max_bytes) {
            status = kol_fail(err, KOL_INVALID, "%s: larger than %zu bytes", path, max_bytes);
            break;
        }
    }
    out->ptr[out->len] = '\0';
    close(fd);
    return status;
}

static enum kol_status write_all(int fd, struct str bytes, const char *path, struct kol_error *err)
{
    while (bytes.len) {
        ssize_t put = write(fd, bytes.ptr, bytes.len);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put < 0) {
            return kol_fail_errno(err, errno, "%s: cannot write", path);
        }
        bytes.ptr += put;
        bytes.len -= (size_t)put;
    }
    if (fsync(fd) != 0) {
        return kol_fail_errno(err, errno, "%s: cannot sync", path);
    }
    return KOL_OK;
}

enum kol_status file_sync_dir(const char *path, struct kol_error *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum kol_status status = KOL_OK;
    if (fd < 0 || fsync(fd) != 0) {
        status = kol_fail_errno(err, errno, "%s: cannot sync the folder", path);
    }
    if (fd >= 0) {
        close(fd);
    }
    return status;
}

int file_name_new(const char *from, const char *to)
{
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0) {
        return 0;
    }
    if (errno != EINVAL && errno != ENOSYS) {
        return errno;
    }
    /* A file system that cannot refuse to replace can still refuse a second link. */
    if (link(from, to) != 0) {
        return errno;
    }
    unlink(from);
    return 0;
}

/* A rename is durable once the folder is. */
enum kol_status file_sync_folder_of(const char *path, struct kol_error *err)
{
    const char *slash = strrchr(path, '/');
    char *folder =
        slash ? mem_strndup(path, slash == path ? 1 : (size_t)(slash - path)) : mem_strdup(".");
    enum kol_status status = file_sync_dir(folder, err);
    free(folder);
    return status;
}

static enum kol_status replace(const char *path, mode_t mode, struct str bytes,
                               struct kol_error *err)
{
    struct buf temporary = {0};
    buf_printf(&temporary, "%s.%ld.tmp", path, (long)getpid());
    int fd = open(temporary.ptr, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    enum kol_status status = KOL_OK;
    if (fd < 0) {
        status = kol_fail_errno(err, errno, "%s: cannot create", temporary.ptr);
        goto out;
    }
    status = write_all(fd, bytes, temporary.ptr, err);
    close(fd);
    if (status == KOL_OK && rename(temporary.ptr, path) != 0) {
        status = kol_fail_errno(err, errno, "%s: cannot replace", path);
    }
    if (status != KOL_OK) {
        unlink(temporary.ptr);
        goto out;
    }
    status = file_sync_folder_of(path, err);
out:
    buf_free(&temporary);
    return status;
}

enum kol_status file_replace(const char *path, struct str bytes, struct kol_error *err)
{
    return replace(path, 0666, bytes, err);
}

enum kol_status file_replace_private(const char *path, struct str bytes, struct kol_error *err)
{
    return replace(path, 0600, bytes, err);
}
