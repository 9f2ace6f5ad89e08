/*
 * backup.h: the whole data folder into another folder while it is in use, and back.
 *
 * A backup has the layout of a data folder. Order is what makes it consistent: the lake first, then
 * the log, so that no table has read further than the log of the backup goes; then the rest. The
 * file backup.json is written last, with everything else on disk: a folder without it is no backup.
 * Files of tables never change, so those that an earlier backup left in the folder are not copied
 * again. The online copy is left out: `kol etl` makes it anew.
 *
 * Threads: one call at a time for a folder, whatever the process; a second one is refused.
 */
#ifndef BACKUP_BACKUP_H
#define BACKUP_BACKUP_H

#include <stdint.h>

#include "base/error.h"
#include "log/bus.h"

/* One part of a backup: a table ("bronze.profiles"), "catalog", "log", "live" or "files". */
struct backup_part {
    const char *name;
    int64_t files, bytes;               /* all of it */
    int64_t copied_files, copied_bytes; /* by this run; the rest was there already */
    const char *left_out;               /* why the table is not in the backup; NULL: it is */
};

struct backup_options {
    const char *data;    /* the data folder */
    const char *folder;  /* of the backup */
    const char *program; /* version of this program, noted in backup.json */
    struct bus *bus;     /* the log of the data folder, opened, or NULL where it has none */
    void (*on_part)(const struct backup_part *part, void *user); /* done; texts live until the call
                                                                    returns; may be NULL */
    void *user;
};

/*
 * Makes the backup in `folder`, or renews the one that lies there. KOL_EXISTS where something else
 * lies there; KOL_INVALID where one of the folders lies in the other; KOL_CONFLICT where another
 * run is at work on it; KOL_NO_SPACE; KOL_INTERRUPTED: the same call goes on where it stopped.
 * KOL_UNSUPPORTED with the number of tables that were left out, in a backup that is otherwise
 * complete: on_part says which and why.
 */
enum kol_status backup_make(const struct backup_options *options,
                            struct kol_error *err) KOL_CHECKED;

struct restore_options {
    const char *folder; /* of the backup */
    const char *data;   /* where to: absent, empty, or left by a restore of the same backup that was
                           stopped */
    void (*on_part)(const struct backup_part *part, void *user);
    void *user;
};

/*
 * Copies the backup and makes its lake at home in `data`. Until all is there and on disk, the file
 * `restoring` in `data` says that it is not: see backup_is_restoring(). KOL_NOT_FOUND where
 * `folder` holds no complete backup, KOL_EXISTS where `data` holds something else, KOL_CORRUPT
 * where files of the backup are missing, KOL_UNSUPPORTED where a newer program made it.
 */
enum kol_status backup_restore(const struct restore_options *options,
                               struct kol_error *err) KOL_CHECKED;

/* KOL_CONFLICT, with what to do, where a restore into `data` has not come to its end. */
enum kol_status backup_check_restored(const char *data, struct kol_error *err) KOL_CHECKED;

#endif
