/*
 * restore.c: from a backup to a data folder.
 *
 * The file `restoring` stands in the folder from before the first byte until all is there, the
 * tables are at home and everything is on disk. A restore that was stopped goes on: files of tables
 * that are there already stay, all else is copied again, and what a relocation had begun is
 * removed.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backup/parts.h"
#include "base/failpoint.h"
#include "base/file.h"
#include "base/mem.h"
#include "lake/lake.h"

struct restore {
    const struct restore_options *options;
    struct backup_note note;
    struct backup_run run;
    struct backup_names names; /* of the files of the lake */
    struct backup_part part;   /* the one at hand */
    const char *from, *to;     /* its folders */
};

static void tell(const struct restore *restore)
{
    if (restore->options->on_part && restore->part.files) {
        restore->options->on_part(&restore->part, restore->options->user);
    }
}

/* ---- whose the folder is ---- */

enum kol_status backup_check_restored(const char *data, struct kol_error *err)
{
    char *mark = file_join(data, BACKUP_RESTORING);
    enum kol_status status = KOL_OK;
    if (file_exists(mark)) {
        status = kol_fail(err, KOL_CONFLICT,
                          "%s: a restore into this folder has not come to its end; give `kol "
                          "restore` again, or empty the folder",
                          data);
    }
    free(mark);
    return status;
}

/* Marks the folder as being restored from this very backup. */
static enum kol_status mark_restoring(struct restore *restore, struct kol_error *err)
{
    const char *data = restore->options->data;
    char *mark = file_join(data, BACKUP_RESTORING);
    struct buf text = {0};
    enum kol_status status = KOL_OK;
    if (file_exists(mark)) {
        status = file_read(mark, 4096, &text, err);
        if (status == KOL_OK && !str_is(str_trim(buf_str(&text)), restore->note.id)) {
            status =
                kol_fail(err, KOL_EXISTS,
                         "%s: a restore of another backup was begun here; empty the folder, or "
                         "name another one with --data",
                         data);
        }
    } else if (!backup_is_empty(data)) {
        status = kol_fail(err, KOL_EXISTS,
                          "%s: is not empty; name a folder that is with --data, nothing is ever "
                          "restored over data",
                          data);
    } else {
        buf_printf(&text, "%s\n", restore->note.id);
        status = file_replace(mark, buf_str(&text), err);
    }
    buf_free(&text);
    free(mark);
    return status;
}

/* ---- copying ---- */

static enum kol_status copy_one(struct restore *restore, const char *name, bool frozen,
                                struct kol_error *err)
{
    char *from = file_join(restore->from, name), *to = file_join(restore->to, name);
    enum kol_status status = backup_copy_file(&restore->run, from, to, frozen, &restore->part, err);
    free(to);
    free(from);
    return status;
}

static enum kol_status copy_lake_file(const char *name, const struct stat *info, void *user,
                                      struct kol_error *err)
{
    struct restore *restore = user;
    (void)info;
    backup_names_add(&restore->names, str_of(name));
    return copy_one(restore, name, strchr(name, '/') != NULL, err); /* catalog and home change */
}

static enum kol_status copy_store_file(const char *name, const struct stat *info, void *user,
                                       struct kol_error *err)
{
    (void)info;
    return copy_one(user, name, false, err);
}

static enum kol_status check_whole(const struct restore *restore, const struct backup_part *noted,
                                   struct kol_error *err)
{
    const struct backup_part *part = &restore->part;
    if (part->files == noted->files && part->bytes == noted->bytes) {
        return KOL_OK;
    }
    return kol_fail(err, KOL_CORRUPT,
                    "%s: the backup is damaged: %s has %lld files with %lld bytes, but had %lld "
                    "with %lld when it was made; take another backup",
                    restore->options->folder, part->name, (long long)part->files,
                    (long long)part->bytes, (long long)noted->files, (long long)noted->bytes);
}

/* A folder of the backup with all that is in it. */
static enum kol_status
copy_folder(struct restore *restore, const char *name, const struct backup_part *noted,
            enum kol_status (*each)(const char *name, const struct stat *info, void *user,
                                    struct kol_error *err),
            struct kol_error *err)
{
    char *from = file_join(restore->options->folder, name);
    char *to = file_join(restore->options->data, name);
    restore->part = (struct backup_part){.name = name};
    restore->from = from;
    restore->to = to;
    enum kol_status status =
        backup_walk(from, &(struct backup_walk){.each = each, .user = restore}, err);
    if (status == KOL_OK) {
        status = check_whole(restore, noted, err);
    }
    if (status == KOL_OK && each == copy_lake_file) {
        backup_names_sort(&restore->names);
        status = backup_prune(to, &restore->names, err);
    }
    free(to);
    free(from);
    return status;
}

static enum kol_status copy_names(struct restore *restore, struct kol_error *err)
{
    const struct backup_names *names = &restore->note.names;
    enum kol_status status = KOL_OK;
    restore->part = (struct backup_part){.name = "files"};
    restore->from = restore->options->folder;
    restore->to = restore->options->data;
    for (size_t i = 0; i < names->count && status == KOL_OK; i++) {
        status = copy_one(restore, names->items[i], false, err);
    }
    if (status == KOL_NOT_FOUND) {
        status = kol_fail(err, KOL_CORRUPT,
                          "%s: the backup is damaged: one of its files is missing; take another "
                          "backup",
                          restore->options->folder);
    }
    return status == KOL_OK ? check_whole(restore, &restore->note.files, err) : status;
}

/* The tables name their files by where they lie: here, from now on. */
static enum kol_status settle_lake(const struct restore *restore, struct kol_error *err)
{
    struct lake *lake;
    const struct lake_options options = {.data = restore->options->data, .relocate = true};
    if (!restore->note.lake.files) {
        return KOL_OK;
    }
    enum kol_status status = lake_open(&options, &lake, err);
    if (status == KOL_OK) {
        lake_close(&lake);
    }
    return status;
}

static enum kol_status copy_all(struct restore *restore, struct kol_error *err)
{
    const struct backup_note *note = &restore->note;
    enum kol_status status = copy_folder(restore, "lake", &note->lake, copy_lake_file, err);
    if (status == KOL_OK) {
        tell(restore);
        status = copy_folder(restore, "log", &note->log, copy_store_file, err);
    }
    if (status == KOL_OK) {
        tell(restore);
        status = copy_folder(restore, "live", &note->live, copy_store_file, err);
    }
    if (status == KOL_OK) {
        tell(restore);
        status = copy_names(restore, err);
    }
    if (status == KOL_OK) {
        tell(restore);
    }
    return status;
}

static enum kol_status complete(struct restore *restore, struct kol_error *err)
{
    const char *data = restore->options->data;
    enum kol_status status = settle_lake(restore, err);
    FAILPOINT("restore.relocated");
    if (status == KOL_OK) {
        status = backup_sync_folders(data, err);
    }
    if (status == KOL_OK) {
        char *mark = file_join(data, BACKUP_RESTORING);
        status = backup_remove(mark, err);
        free(mark);
    }
    return status;
}

static enum kol_status restore_here(struct restore *restore, struct kol_error *err)
{
    const struct backup_note *note = &restore->note;
    enum kol_status status = mark_restoring(restore, err);
    FAILPOINT("restore.begun");
    if (status == KOL_OK) {
        int64_t total = note->lake.bytes + note->log.bytes + note->live.bytes + note->files.bytes;
        progress_begin(&restore->run.progress, "restore", "bytes", total, 0);
        status = copy_all(restore, err);
        progress_end(&restore->run.progress);
    }
    FAILPOINT("restore.copied");
    if (status == KOL_OK) {
        status = complete(restore, err);
    }
    if (status == KOL_NO_SPACE) {
        kol_wrap(err, "the disk of %s is full; make space and give the same command again",
                 restore->options->data);
    }
    return status;
}

/* Holds the backup as well, so that nobody renews it meanwhile. */
static enum kol_status lock_both(const struct restore_options *options, int locks[2],
                                 struct kol_error *err)
{
    enum kol_status status = backup_lock(options->folder, &locks[0], err);
    if (status == KOL_OK) {
        status = backup_lock(options->data, &locks[1], err);
    }
    return status == KOL_OK ? backup_check_apart(options->data, options->folder, err) : status;
}

enum kol_status backup_restore(const struct restore_options *options, struct kol_error *err)
{
    struct restore restore = {.options = options};
    int locks[2] = {-1, -1};
    if (!file_exists(options->folder)) {
        return kol_fail(err, KOL_NOT_FOUND, "%s: there is no such folder", options->folder);
    }
    enum kol_status status = backup_note_read(&restore.note, options->folder, err);
    if (status != KOL_OK) {
        return status;
    }
    status = lock_both(options, locks, err);
    if (status == KOL_OK) {
        status = restore_here(&restore, err);
    }
    for (int i = 0; i < 2; i++) {
        if (locks[i] >= 0) {
            close(locks[i]);
        }
    }
    backup_names_free(&restore.names);
    backup_note_free(&restore.note);
    return status;
}
