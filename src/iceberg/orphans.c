/*
 * orphans.c: files in a table's folder that no version of it knows: left by a crash, a lost race or
 * a snapshot that was forgotten while its files were still young.
 *
 * A writer's files lie here before its commit names them, so age is what protects them: the
 * caller's limit must be longer than any write takes.
 */
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/mem.h"
#include "iceberg/parts.h"
#include "iceberg/reach.h"
#include "iceberg/table.h"

struct orphans {
    struct storage *storage;
    const struct ice_metadata *metadata;
    struct ice_reached files;
    struct ice_paths reached; /* those, and what else must stay */
    int64_t before_us;
    struct ice_upkeep *done;
    char **found; /* locations, for free() */
    size_t count, room;
};

/* ---- what is reached ---- */

static enum kol_status reach_all(struct orphans *orphans, struct catalog *catalog,
                                 struct kol_error *err)
{
    const struct ice_metadata *m = orphans->metadata;
    struct buf hint = {0};
    enum kol_status status = ice_reach(catalog, m, &orphans->files, err);
    for (size_t i = 0; i < orphans->files.count && status == KOL_OK; i++) {
        ice_paths_add(&orphans->reached, orphans->files.locations[i]);
    }
    ice_hint_location(&hint, m->location);
    ice_paths_add(&orphans->reached, ice_copy_text(&orphans->files.arena, hint.ptr));
    buf_free(&hint);
    for (size_t i = 0; i < m->metadata_log_count; i++) {
        ice_paths_add(&orphans->reached, m->metadata_log[i].metadata_file);
    }
    return status;
}

/* ---- what is there ---- */

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);
    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

static enum kol_status note_file(const char *location, int64_t bytes, int64_t modified_us,
                                 void *user, struct kol_error *err)
{
    struct orphans *orphans = user;
    struct ice_upkeep *done = orphans->done;
    (void)err;
    if (modified_us >= orphans->before_us || ice_paths_has(&orphans->reached, location)) {
        return KOL_OK;
    }
    if (orphans->count == orphans->room) {
        orphans->room = orphans->room ? orphans->room * 2 : 64;
        orphans->found = mem_realloc(orphans->found, orphans->room * sizeof *orphans->found);
    }
    orphans->found[orphans->count++] = mem_strdup(location);
    int64_t *counter = ends_with(location, ".parquet") ? &done->data_files
                       : ends_with(location, ".avro")  ? &done->manifests
                                                       : &done->other_files;
    (*counter)++;
    done->bytes += bytes;
    return KOL_OK;
}

static enum kol_status remove_found(struct orphans *orphans, struct kol_error *err)
{
    enum kol_status status = KOL_OK;
    for (size_t i = 0; i < orphans->count && status == KOL_OK; i++) {
        FAILPOINT("orphans.remove");
        status = orphans->storage->ops->remove(orphans->storage, orphans->found[i], err);
    }
    return status;
}

enum kol_status ice_remove_orphans(struct catalog *catalog, struct ice_ident ident,
                                   int64_t before_us, bool dry_run, struct ice_upkeep *done,
                                   struct kol_error *err)
{
    struct ice_metadata *metadata;
    struct buf prefix = {0};
    enum kol_status status = catalog->ops->load(catalog, ident, &metadata, err);
    if (status != KOL_OK) {
        return status;
    }
    struct orphans orphans = {
        .storage = catalog->storage, .metadata = metadata, .before_us = before_us, .done = done};
    buf_printf(&prefix, "%s/", metadata->location);
    status = reach_all(&orphans, catalog, err);
    if (status == KOL_OK) {
        status =
            catalog->storage->ops->list(catalog->storage, prefix.ptr, note_file, &orphans, err);
    }
    if (status == KOL_OK && !dry_run) {
        status = remove_found(&orphans, err);
    }
    for (size_t i = 0; i < orphans.count; i++) {
        free(orphans.found[i]);
    }
    free(orphans.found);
    buf_free(&prefix);
    ice_paths_free(&orphans.reached);
    ice_reached_free(&orphans.files);
    ice_metadata_free(&metadata);
    return status;
}
