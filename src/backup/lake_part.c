/*
 * lake_part.c: the tables of the lake, each as it is at one moment.
 *
 * The copy of the catalog comes first and says which version of each table is taken, so that the
 * tables of a backup belong together. Files of a version may be removed while they are copied (its
 * oldest snapshots expire): then the table is begun again on its newest version, to which the copy
 * of the catalog is moved on.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backup/parts.h"
#include "base/failpoint.h"
#include "base/file.h"
#include "base/logger.h"
#include "base/mem.h"
#include "iceberg/reach.h"
#include "lake/lake.h"

enum { TABLE_TRIES = 20 };

static const char *const catalog_files[] = {"catalog.db", "catalog.db-wal", "catalog.db-shm"};

struct lake_copy {
    struct backup_job *job;
    struct lake *lake;
    struct catalog *catalog;  /* the copy */
    char *folder;             /* of the lake in the backup */
    struct backup_names keep; /* what belongs to the backup, relative to `folder` */
};

/* The name of a location relative to the lake's folder, or NULL where it lies elsewhere. */
static const char *name_in_lake(const struct lake *lake, const char *location)
{
    const char *path = storage_local_path(location);
    size_t len = strlen(lake->folder);
    bool inside = path && strncmp(path, lake->folder, len) == 0 && path[len] == '/' &&
                  !strstr(path + len, "/../") && !strstr(path + len, "/./");
    return inside ? path + len + 1 : NULL;
}

static enum kol_status copy_reached(struct lake_copy *copy, const struct ice_reached *reached,
                                    struct backup_part *part, struct kol_error *err)
{
    enum kol_status status = KOL_OK;
    for (size_t i = 0; i < reached->count && status == KOL_OK; i++) {
        const char *name = name_in_lake(copy->lake, reached->locations[i]);
        if (!name) {
            return kol_fail(err, KOL_UNSUPPORTED, "its file %s lies outside of %s",
                            reached->locations[i], copy->lake->folder);
        }
        char *to = file_join(copy->folder, name);
        status = backup_copy_file(&copy->job->run, storage_local_path(reached->locations[i]), to,
                                  true, part, err);
        free(to);
    }
    for (size_t i = 0; i < reached->count && status == KOL_OK; i++) {
        backup_names_add(&copy->keep, str_of(name_in_lake(copy->lake, reached->locations[i])));
    }
    return status;
}

/* Copies the version that the copy of the catalog names. */
static enum kol_status copy_version(struct lake_copy *copy, struct ice_ident ident,
                                    struct backup_part *part, struct backup_note_table *noted,
                                    struct kol_error *err)
{
    struct ice_metadata *metadata = NULL;
    struct ice_reached reached;
    int64_t copied_files = part->copied_files, copied_bytes = part->copied_bytes;
    *part = (struct backup_part){
        .name = part->name, .copied_files = copied_files, .copied_bytes = copied_bytes};
    enum kol_status status = ice_table_load(copy->catalog, ident, &metadata, err);
    if (status != KOL_OK) {
        return status;
    }
    status = ice_reach(copy->catalog, metadata, &reached, err);
    FAILPOINT("backup.table");
    if (status == KOL_OK) {
        status = copy_reached(copy, &reached, part, err);
    }
    noted->snapshot_id = metadata->current_snapshot_id;
    noted->files = part->files;
    noted->bytes = part->bytes;
    ice_reached_free(&reached);
    ice_metadata_free(&metadata);
    return status;
}

/* Moves the copy of the catalog on to the newest version. *moved is false where that is the one it
 * names; *dropped is true where the table is no more. */
static enum kol_status move_on(struct lake_copy *copy, struct ice_ident ident, bool *moved,
                               bool *dropped, struct kol_error *err)
{
    struct buf old = {0}, newest = {0};
    struct catalog *source = copy->lake->catalog;
    *moved = *dropped = false;
    enum kol_status status = copy->catalog->ops->locate(copy->catalog, ident, &old, err);
    if (status == KOL_OK) {
        status = source->ops->locate(source, ident, &newest, err);
        *dropped = status == KOL_NOT_FOUND;
        if (*dropped) {
            status = copy->catalog->ops->drop(copy->catalog, ident, err);
        } else if (status == KOL_OK && !str_equal(buf_str(&old), buf_str(&newest))) {
            status = copy->catalog->ops->adopt(copy->catalog, ident, old.ptr, newest.ptr, err);
            *moved = status == KOL_OK;
        }
    }
    buf_free(&old);
    buf_free(&newest);
    return status;
}

static bool is_about_the_table(enum kol_status status)
{
    return status == KOL_NOT_FOUND || status == KOL_CORRUPT || status == KOL_UNSUPPORTED ||
           status == KOL_INVALID;
}

/* A table that cannot be copied must not keep the others from it. */
static enum kol_status leave_out(struct lake_copy *copy, struct ice_ident ident,
                                 struct backup_part *part, struct backup_note_table *noted,
                                 const struct kol_error *why, struct kol_error *err)
{
    struct backup_note *note = &copy->job->note;
    *part = (struct backup_part){.name = part->name,
                                 .left_out = arena_copy(&note->arena, str_of(why->message)).ptr};
    *noted = (struct backup_note_table){
        .name = noted->name, .snapshot_id = -1, .left_out = part->left_out};
    log_warn("%s is left out of the backup: %s", part->name, why->message);
    return copy->catalog->ops->drop(copy->catalog, ident, err);
}

static enum kol_status copy_table(struct ice_ident ident, void *user, struct kol_error *err)
{
    struct lake_copy *copy = user;
    struct backup_note *note = &copy->job->note;
    struct buf name = {0};
    bool moved = true, dropped = false;
    buf_printf(&name, "%s.%s", ident.name_space, ident.name);
    struct backup_note_table *noted = backup_note_add_table(note, name.ptr);
    struct backup_part part = {.name = noted->name};
    struct kol_error why;
    buf_free(&name);
    enum kol_status status = copy_version(copy, ident, &part, noted, err);
    for (int i = 0; i < TABLE_TRIES && is_about_the_table(status) && moved && !dropped; i++) {
        why = *err;
        status = move_on(copy, ident, &moved, &dropped, err);
        if (status == KOL_OK && moved) {
            status = copy_version(copy, ident, &part, noted, err);
        } else if (status == KOL_OK && !dropped) {
            status = leave_out(copy, ident, &part, noted, &why, err);
        }
    }
    if (is_about_the_table(status)) { /* it changes faster than it can be copied */
        why = *err;
        status = leave_out(copy, ident, &part, noted, &why, err);
    }
    if (dropped) {
        note->table_count--;
    } else if (status == KOL_OK) {
        backup_tell(copy->job, &part);
    }
    return status;
}

static enum kol_status copy_namespace(struct ice_ident ident, void *user, struct kol_error *err)
{
    struct lake_copy *copy = user;
    return copy->catalog->ops->list(copy->catalog, ident.name_space, copy_table, copy, err);
}

/* What lies there is an older backup's; SQLite would write on in it. */
static enum kol_status remove_catalog(const char *folder, struct kol_error *err)
{
    enum kol_status status = file_make_dir(folder, err);
    for (size_t i = 0; i < ARRAY_LEN(catalog_files) && status == KOL_OK; i++) {
        char *path = file_join(folder, catalog_files[i]);
        status = backup_remove(path, err);
        free(path);
    }
    return status;
}

static enum kol_status copy_tables(struct lake_copy *copy, struct kol_error *err)
{
    char *database = file_join(copy->folder, catalog_files[0]);
    enum kol_status status = remove_catalog(copy->folder, err);
    if (status == KOL_OK) {
        status = catalog_sqlite_copy(copy->lake->catalog, database, &copy->catalog, err);
    }
    FAILPOINT("backup.catalog");
    if (status == KOL_OK) {
        status = copy->catalog->ops->list(copy->catalog, NULL, copy_namespace, copy, err);
        catalog_close(&copy->catalog); /* and all that it wrote is in the one file */
    }
    free(database);
    return status;
}

/* What restore needs to know: where the tables say that they are. */
static enum kol_status write_home(struct lake_copy *copy, struct kol_error *err)
{
    char *path = file_join(copy->folder, "home");
    enum kol_status status = file_replace(path, str_of(copy->lake->folder), err);
    free(path);
    return status;
}

static enum kol_status tell_catalog(struct lake_copy *copy, struct kol_error *err)
{
    struct backup_part part = {.name = "catalog"};
    struct backup_note *note = &copy->job->note;
    enum kol_status status = backup_measure(copy->folder, &note->lake, err);
    part.files = note->lake.files;
    part.bytes = note->lake.bytes;
    for (size_t i = 0; i < note->table_count; i++) {
        part.files -= note->tables[i].files;
        part.bytes -= note->tables[i].bytes;
    }
    part.copied_files = part.files;
    part.copied_bytes = part.bytes;
    if (status == KOL_OK) {
        backup_tell(copy->job, &part);
    }
    return status;
}

static enum kol_status copy_lake(struct lake_copy *copy, struct kol_error *err)
{
    enum kol_status status = copy_tables(copy, err);
    if (status == KOL_OK) {
        status = write_home(copy, err);
    }
    FAILPOINT("backup.lake");
    if (status == KOL_OK) {
        backup_names_add(&copy->keep, STR("home"));
        backup_names_add(&copy->keep, str_of(catalog_files[0]));
        backup_names_sort(&copy->keep);
        status = backup_prune(copy->folder, &copy->keep, err);
    }
    return status == KOL_OK ? tell_catalog(copy, err) : status;
}

enum kol_status backup_lake(struct backup_job *job, struct kol_error *err)
{
    struct lake_copy copy = {.job = job, .folder = file_join(job->options->folder, "lake")};
    char *source = file_join(job->options->data, "lake/catalog.db");
    enum kol_status status = KOL_OK;
    if (!file_exists(source)) { /* nothing was ever in it */
        status = backup_prune(copy.folder, NULL, err);
        rmdir(copy.folder);
    } else {
        const struct lake_options options = {.data = job->options->data, .read_only = true};
        status = lake_open(&options, &copy.lake, err);
        if (status == KOL_OK) {
            status = copy_lake(&copy, err);
            lake_close(&copy.lake);
        }
    }
    backup_names_free(&copy.keep);
    free(copy.folder);
    free(source);
    return status;
}
