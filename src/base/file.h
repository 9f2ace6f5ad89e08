/*
 * file.h: the few things done to files in more than one place.
 */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

/* Makes a folder and those above it; one that exists is fine. */
enum kol_status file_make_dir(const char *path, struct kol_error *err) KOL_CHECKED;

/* Appends the whole file to `out`; KOL_INVALID if it holds more than `max_bytes`. */
enum kol_status file_read(const char *path, size_t max_bytes, struct buf *out,
                          struct kol_error *err) KOL_CHECKED;

/* Replaces the file in one step: a reader sees the old bytes or the new ones; fsynced. */
enum kol_status file_replace(const char *path, struct str bytes, struct kol_error *err) KOL_CHECKED;
/* The same for secrets: only the owner may read it, from its first byte on. */
enum kol_status file_replace_private(const char *path, struct str bytes,
                                     struct kol_error *err) KOL_CHECKED;

/* Makes the names of a folder durable: what was created, renamed or removed in it. */
enum kol_status file_sync_dir(const char *path, struct kol_error *err) KOL_CHECKED;

/* The same for the folder that `path` lies in. */
enum kol_status file_sync_folder_of(const char *path, struct kol_error *err) KOL_CHECKED;

/* Gives the file `from` the name `to` in one step, unless that is taken. 0, or an errno: EEXIST
 * where it is, ENOENT where its folder is not there. */
int file_name_new(const char *from, const char *to);

bool file_exists(const char *path);

/* "a/b", in memory for free(). */
char *file_join(const char *folder, const char *name);

#endif
