/*
 * lmdb_copy.c: the whole log as it is at one moment, into another folder, while others write.
 *
 * LMDB writes the copy in one call that nothing stops, so it goes through a pipe: a thread of its
 * own fills it, the caller empties it into the file, sees how far it is, and can end it by closing
 * its end. Pages that the copy needs are not used again before it is done, so a busy log grows by
 * what is written meanwhile.
 */
#include "log/lmdb_bus.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/signals.h"

enum { PIPE_BYTES = 1 << 20 };

struct filler {
    MDB_env *mdb;
    int fd; /* closed by the thread when it is done */
    int rc;
};

static void *fill(void *user)
{
    struct filler *filler = user;
    filler->rc = mdb_env_copyfd2(filler->mdb, filler->fd, MDB_CP_COMPACT);
    close(filler->fd);
    return NULL;
}

/* Signals are for the thread that empties the pipe. */
static int start_filler(struct filler *filler, pthread_t *thread)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(thread, NULL, fill, filler);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

static enum kol_status write_out(int fd, const char *bytes, size_t len, const char *path,
                                 struct kol_error *err)
{
    while (len) {
        ssize_t put = write(fd, bytes, len);
        if (put < 0 && errno != EINTR) {
            return kol_fail_errno(err, errno, "%s: cannot write the copy of the event log", path);
        }
        if (put > 0) {
            bytes += put;
            len -= (size_t)put;
        }
    }
    return KOL_OK;
}

/* Empties the pipe into the file. */
static enum kol_status drain(int from, int to, const char *path, struct bus_copying *copying,
                             struct kol_error *err)
{
    char *block = mem_alloc(PIPE_BYTES);
    enum kol_status status = KOL_OK;
    for (;;) {
        if (signals_stop_asked()) {
            status = kol_fail(err, KOL_INTERRUPTED, "stopped while the event log was copied");
            break;
        }
        ssize_t got = read(from, block, PIPE_BYTES);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            status = kol_fail_errno(err, errno, "cannot read the copy of the event log");
        }
        status = got > 0 ? write_out(to, block, (size_t)got, path, err) : status;
        if (got <= 0 || status != KOL_OK) {
            break;
        }
        copying->bytes += got;
        if (copying->on_bytes) {
            copying->on_bytes(copying->bytes, copying->user);
        }
    }
    free(block);
    return status;
}

/* Copies into the open file `fd`. */
static enum kol_status copy_into(struct env *env, int fd, const char *path,
                                 struct bus_copying *copying, struct kol_error *err)
{
    int ends[2];
    pthread_t thread;
    if (pipe2(ends, O_CLOEXEC)) {
        return kol_fail_errno(err, errno, "cannot make a pipe");
    }
    fcntl(ends[1], F_SETPIPE_SZ, PIPE_BYTES); /* smaller is slower, no more */
    struct filler filler = {.mdb = env->mdb, .fd = ends[1]};
    int rc = start_filler(&filler, &thread);
    if (rc) {
        close(ends[0]);
        close(ends[1]);
        return kol_fail_errno(err, rc, "cannot start a thread");
    }
    enum kol_status status = drain(ends[0], fd, path, copying, err);
    close(ends[0]); /* ends the thread where the file could not take it all */
    pthread_join(thread, NULL);
    if (status == KOL_OK && filler.rc) {
        status = env_fail(env, filler.rc, "copy", err);
    }
    if (status == KOL_OK && fsync(fd)) {
        status = kol_fail_errno(err, errno, "%s: cannot sync", path);
    }
    return status;
}

/* The file in the making, `part`, becomes data.mdb once it is whole. */
static enum kol_status copy_file(struct env *env, const char *part, const char *path,
                                 struct bus_copying *copying, struct kol_error *err)
{
    int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) {
        return kol_fail_errno(err, errno, "%s: cannot create", part);
    }
    enum kol_status status = copy_into(env, fd, part, copying, err);
    if (close(fd) && status == KOL_OK) {
        status = kol_fail_errno(err, errno, "%s: cannot write", part);
    }
    if (status == KOL_OK && rename(part, path)) {
        status = kol_fail_errno(err, errno, "%s: cannot replace", path);
    }
    if (status != KOL_OK) {
        unlink(part);
    }
    return status;
}

enum kol_status lmdb_copy(struct bus *base, const char *folder, struct bus_copying *copying,
                          struct kol_error *err)
{
    struct lmdb_bus *bus = (struct lmdb_bus *)base;
    MDB_txn *txn;
    /* Held open meanwhile, so that nobody opens the environment anew under the copy. */
    enum kol_status status = env_begin(bus->env, MDB_RDONLY, &txn, err);
    if (status != KOL_OK) {
        return status;
    }
    status = file_make_dir(folder, err);
    if (status == KOL_OK) {
        char *path = file_join(folder, "data.mdb"), *part = file_join(folder, "data.mdb.tmp");
        status = copy_file(bus->env, part, path, copying, err);
        free(part);
        free(path);
    }
    env_abort(bus->env, &txn);
    return status;
}
