/*
 * storage.h: where the files of tables lie: whole objects by location, as in S3.
 *
 * No rename, no append, no folders: what cannot be had in an object store is not asked for. A
 * location is a URI (file:///data/lake/bronze/profiles/metadata/x.json); a bare absolute path is
 * taken as file://. Objects never change once they are there, but for those written by
 * put() (hints). Thread-safe.
 *
 * A put is whole or not there at all. It outlives a loss of power once settle() has returned, which
 * the catalog calls before it makes a version current: the objects of one commit lie in few
 * folders, whose names are then synced once and not once for each object.
 */
#ifndef ICEBERG_STORAGE_H
#define ICEBERG_STORAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

struct storage;

struct storage_ops {
    /* KOL_EXISTS where the object is there. */
    enum kol_status (*put_if_absent)(struct storage *storage, const char *location,
                                     struct str bytes, struct kol_error *err);
    /* The same, replacing what is there in one step. */
    enum kol_status (*put)(struct storage *storage, const char *location, struct str bytes,
                           struct kol_error *err);
    /* Makes the local file `path` the object; the file may be consumed (moved). */
    enum kol_status (*put_file)(struct storage *storage, const char *location, const char *path,
                                struct kol_error *err);
    /* Appends up to `len` bytes from `offset` to `out` (len < 0: to the end); KOL_NOT_FOUND. */
    enum kol_status (*get_range)(struct storage *storage, const char *location, int64_t offset,
                                 int64_t len, struct buf *out, struct kol_error *err);
    /* Whether the object is there: KOL_OK or KOL_NOT_FOUND. */
    enum kol_status (*look)(struct storage *storage, const char *location, struct kol_error *err);
    /* Calls `each` for every object whose location starts with `prefix`; stops at its first error.
     */
    enum kol_status (*list)(struct storage *storage, const char *prefix,
                            enum kol_status (*each)(const char *location, int64_t bytes,
                                                    int64_t modified_us, void *user,
                                                    struct kol_error *err),
                            void *user, struct kol_error *err);
    /* KOL_OK where it was not there, too. */
    enum kol_status (*remove)(struct storage *storage, const char *location, struct kol_error *err);
    /* Everything that was put before the call is durable when it returns. */
    enum kol_status (*settle)(struct storage *storage, struct kol_error *err);
    void (*close)(struct storage *storage);
};

/* A back end embeds this as its first member. */
struct storage {
    const struct storage_ops *ops;
    int64_t max_object; /* most bytes that get_range() reads at once: a hostile size is refused */
};

/* Files of this machine. `staging`: a folder on the same file system for files in the making. */
enum kol_status storage_local_open(const char *staging, struct storage **out,
                                   struct kol_error *err) KOL_CHECKED;
void storage_close(struct storage **storage);

/* The path of a location that is a local file ("file:///a/b" and "/a/b" give "/a/b"), or NULL. The
 * result is a view into `location`; percent-encoding is not undone: our own names need none. */
const char *storage_local_path(const char *location);

#endif
