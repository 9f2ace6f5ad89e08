/*
 * live_copy.c: the values of the live store as they are at one moment, into another folder.
 *
 * Counters are left: they are gone with the machine anyway.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "online/live_parts.h"

static enum kol_status copy_into(struct store *store, const char *path, struct kol_error *err)
{
    MDB_txn *txn;
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) {
        return kol_fail_errno(err, errno, "%s: cannot create", path);
    }
    /* A transaction of our own keeps the file from being opened anew meanwhile. */
    enum kol_status status = store_begin(store, false, &txn, err);
    if (status == KOL_OK) {
        int rc = mdb_env_copyfd2(store->env.mdb, fd, MDB_CP_COMPACT);
        store_abort(store, txn);
        if (rc > 0) {
            status = kol_fail_errno(err, rc, "%s: cannot write the copy of the live store", path);
        } else if (rc) {
            status = online_env_fail(&store->env, rc, "copy", err);
        } else if (fsync(fd)) {
            status = kol_fail_errno(err, errno, "%s: cannot sync", path);
        }
    }
    if (close(fd) && status == KOL_OK) {
        status = kol_fail_errno(err, errno, "%s: cannot write", path);
    }
    return status;
}

enum kol_status live_copy(struct live *live, const char *folder, struct kol_error *err)
{
    char *path = file_join(folder, "live.mdb"), *part = file_join(folder, "live.mdb.tmp");
    enum kol_status status = file_make_dir(folder, err);
    if (status == KOL_OK) {
        status = copy_into(&live->values, part, err);
        if (status == KOL_OK && rename(part, path)) {
            status = kol_fail_errno(err, errno, "%s: cannot replace", path);
        }
        if (status != KOL_OK) {
            unlink(part);
        }
    }
    free(part);
    free(path);
    return status;
}
