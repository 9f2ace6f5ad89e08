/*
 * parts.h: what the files of this room share. Private to backup/.
 *
 *   backup.c     a backup from beginning to end
 *   lake_part.c  the tables
 *   restore.c    the way back
 *   note.c       backup.json
 *   copy.c       files and folders
 */
#ifndef BACKUP_PARTS_H
#define BACKUP_PARTS_H

#include <stdbool.h>
#include <sys/stat.h>

#include "backup/backup.h"
#include "base/arena.h"
#include "base/progress.h"
#include "base/str.h"

#define BACKUP_NOTE "backup.json" /* says that a backup is complete, and what is in it */
#define BACKUP_UNFINISHED                                                                          \
    "unfinished"                     /* says that a folder without a note is ours all the same     \
                                      */
#define BACKUP_RESTORING "restoring" /* says that a data folder is not complete yet */

enum { BACKUP_FORMAT = 1, BACKUP_MAX_NOTE = 64 << 20, BACKUP_MAX_DEPTH = 32 };

/* ---- files and folders (copy.c) ---- */

/* A run of either direction. */
struct backup_run {
    struct progress progress;
    int64_t done_bytes;
};

/* Names, relative to some folder, in memory of their own. */
struct backup_names {
    struct arena arena;
    const char **items;
    size_t count, room;
};

void backup_names_add(struct backup_names *names, struct str name);
void backup_names_sort(struct backup_names *names);
bool backup_names_have(const struct backup_names *names, const char *name); /* sorted */
void backup_names_free(struct backup_names *names);

/* Counts bytes as copied and shows it. */
void backup_progress(struct backup_run *run, int64_t bytes);

/*
 * Copies a file, whole and synced before it gets its name; the folder above is made. `frozen`: it
 * never changes, and one of the same size that is there already is left alone. Others are copied
 * again where they changed meanwhile. Counts into `part`. KOL_NOT_FOUND where `from` is not there.
 */
enum kol_status backup_copy_file(struct backup_run *run, const char *from, const char *to,
                                 bool frozen, struct backup_part *part,
                                 struct kol_error *err) KOL_CHECKED;

/* Calls `each` for every file below `folder`, by its name relative to it. Folders and files for
 * which `skip` (may be NULL) is true are passed over, and so are links, which may lead anywhere:
 * they are counted in `links` (may be NULL). No folder, no files. */
struct backup_walk {
    bool (*skip)(const char *name, void *user);
    enum kol_status (*each)(const char *name, const struct stat *info, void *user,
                            struct kol_error *err);
    void *user;
    int64_t *links;
};
enum kol_status backup_walk(const char *folder, const struct backup_walk *walk,
                            struct kol_error *err) KOL_CHECKED;

/* Removes the files below `folder` that `keep` (sorted, or NULL for none) does not name, and
 * folders that are empty then. */
enum kol_status backup_prune(const char *folder, const struct backup_names *keep,
                             struct kol_error *err) KOL_CHECKED;

/* Syncs the folder and all folders below it. */
enum kol_status backup_sync_folders(const char *folder, struct kol_error *err) KOL_CHECKED;

/* Makes the folder and keeps others out until *lock is closed. */
enum kol_status backup_lock(const char *folder, int *lock, struct kol_error *err) KOL_CHECKED;

/* True where nothing lies in the folder, or it is not there. */
bool backup_is_empty(const char *folder);

/* KOL_INVALID where the one lies in the other, or is the other. Both must be there. */
enum kol_status backup_check_apart(const char *data, const char *folder,
                                   struct kol_error *err) KOL_CHECKED;

/* Removes a file, durably; one that is not there is fine. */
enum kol_status backup_remove(const char *path, struct kol_error *err) KOL_CHECKED;

/* Adds what lies in `folder` to the part. */
enum kol_status backup_measure(const char *folder, struct backup_part *part,
                               struct kol_error *err) KOL_CHECKED;

/* ---- backup.json (note.c) ---- */

struct backup_note_table {
    const char *name;
    int64_t snapshot_id; /* -1: it has none */
    int64_t files, bytes;
    const char *left_out;
};

struct backup_note_place { /* of the log */
    const char *topic;
    int32_t partition;
    int64_t start, end;
};

struct backup_note {
    struct arena arena; /* of the texts */
    int64_t format;
    const char *id;      /* of this backup: no other has it */
    const char *program; /* that made it */
    int64_t made_us;
    const char *source;                        /* data folder, absolute */
    struct backup_part lake, log, live, files; /* totals; files 0: it had none */
    struct backup_note_table *tables;
    size_t table_count, table_room;
    struct backup_note_place *places;
    size_t place_count, place_room;
    struct backup_names names; /* plain files, relative to the folder */
};

void backup_note_init(struct backup_note *note);
struct backup_note_table *backup_note_add_table(struct backup_note *note, const char *name);
void backup_note_add_place(struct backup_note *note, const char *topic, int32_t partition,
                           int64_t start, int64_t end);
enum kol_status backup_note_write(const struct backup_note *note, const char *folder,
                                  struct kol_error *err) KOL_CHECKED;
/* KOL_NOT_FOUND where there is no complete backup. */
enum kol_status backup_note_read(struct backup_note *note, const char *folder,
                                 struct kol_error *err) KOL_CHECKED;
void backup_note_free(struct backup_note *note);

/* ---- parts of a backup ---- */

struct backup_job {
    const struct backup_options *options;
    struct backup_run run;
    struct backup_note note; /* what will be written */
};

/* The lake (lake_part.c). Does nothing where there is none. */
enum kol_status backup_lake(struct backup_job *job, struct kol_error *err) KOL_CHECKED;
/* Tells who asked of a part that is done. */
void backup_tell(const struct backup_job *job, const struct backup_part *part);

#endif
