/*
 * relocate.c: tables whose folder was moved, or restored elsewhere, learn where they lie now.
 *
 * The format holds full locations everywhere, so every manifest, manifest list and the metadata are
 * written anew beside the old ones, and the pointer is swapped last: a crash leaves the table as it
 * was, and the next run begins again. Tables that lie right already are passed over.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/mem.h"
#include "base/random.h"
#include "iceberg/parts.h"
#include "iceberg/table.h"

/* A manifest that several snapshots share is written once. */
struct moved_manifest {
    const char *old_path;
    struct ice_manifest manifest;
};

struct relocation {
    struct catalog *catalog;
    const char *from, *to;
    /* Of the table at hand. */
    struct arena arena;
    struct ice_metadata *metadata; /* in the making */
    struct moved_manifest *manifests;
    size_t count, room;
};

static const char *essence(const char *location)
{
    const char *path = storage_local_path(location);
    return path ? path : location;
}

/* Where a location lies now: itself, unless it is under `from`. */
static const char *moved(struct relocation *relocation, const char *location)
{
    const char *path = essence(location), *from = essence(relocation->from);
    size_t len = strlen(from);
    while (len > 1 && from[len - 1] == '/') {
        len--;
    }
    if (strncmp(path, from, len) != 0 || (path[len] != '/' && path[len] != '\0')) {
        return location;
    }
    const char *to = essence(relocation->to); /* "file://" stays where it stands */
    size_t to_len = strlen(to);
    while (to_len > 1 && to[to_len - 1] == '/') {
        to_len--;
    }
    struct buf text = {0};
    buf_printf(&text, "%.*s%.*s%s", (int)(path - location), location, (int)to_len, to, path + len);
    const char *result = ice_copy_text(&relocation->arena, text.ptr);
    buf_free(&text);
    return result;
}

static bool lies_under_from(struct relocation *relocation, const char *location)
{
    return moved(relocation, location) != location;
}

/* Writes bytes under a fresh name in the metadata folder; the location is in the arena. */
static enum kol_status put_fresh(struct relocation *relocation, const char *stem, struct str bytes,
                                 const char **location, struct kol_error *err)
{
    struct storage *storage = relocation->catalog->storage;
    struct buf path = {0};
    buf_printf(&path, "%s/metadata/%s", relocation->metadata->location, stem);
    random_put_uuid(&path);
    buf_puts(&path, ".avro");
    *location = ice_copy_text(&relocation->arena, path.ptr);
    enum kol_status status = storage->ops->put_if_absent(storage, path.ptr, bytes, err);
    buf_free(&path);
    return status;
}

static enum kol_status write_manifest(struct relocation *relocation, struct ice_manifest *manifest,
                                      struct kol_error *err)
{
    struct ice_metadata *m = relocation->metadata;
    struct ice_entry *entries;
    size_t count;
    struct buf bytes = {0};
    int64_t sequence_number = manifest->sequence_number;
    manifest->path = moved(relocation, manifest->path);
    enum kol_status status = ice_read_entries(relocation->catalog->storage, m, manifest,
                                              &relocation->arena, &entries, &count, err);
    for (size_t i = 0; i < count && status == KOL_OK; i++) {
        entries[i].file.path = moved(relocation, entries[i].file.path);
    }
    if (status == KOL_OK) {
        status = ice_manifest_write(ice_current_schema(m), ice_spec_by_id(m, manifest->spec_id),
                                    entries, count, &relocation->arena, manifest, &bytes, err);
        manifest->sequence_number = sequence_number;
    }
    if (status == KOL_OK) {
        status = put_fresh(relocation, "moved-", buf_str(&bytes), &manifest->path, err);
    }
    buf_free(&bytes);
    return status;
}

static enum kol_status move_manifest(struct relocation *relocation, struct ice_manifest *manifest,
                                     struct kol_error *err)
{
    for (size_t i = relocation->count; i > 0; i--) {
        if (strcmp(relocation->manifests[i - 1].old_path, manifest->path) == 0) {
            *manifest = relocation->manifests[i - 1].manifest;
            return KOL_OK;
        }
    }
    const char *old_path = manifest->path;
    enum kol_status status = write_manifest(relocation, manifest, err);
    if (status != KOL_OK) {
        return status;
    }
    if (relocation->count == relocation->room) {
        relocation->room = relocation->room ? relocation->room * 2 : 64;
        relocation->manifests =
            mem_realloc(relocation->manifests, relocation->room * sizeof *relocation->manifests);
    }
    relocation->manifests[relocation->count++] = (struct moved_manifest){old_path, *manifest};
    return KOL_OK;
}

static enum kol_status move_snapshot(struct relocation *relocation, struct ice_snapshot *snapshot,
                                     struct kol_error *err)
{
    struct ice_manifest *manifests;
    size_t count;
    struct buf bytes = {0};
    char stem[48];
    snapshot->manifest_list = moved(relocation, snapshot->manifest_list);
    enum kol_status status = ice_read_list(relocation->catalog->storage, snapshot,
                                           &relocation->arena, &manifests, &count, err);
    for (size_t i = 0; i < count && status == KOL_OK; i++) {
        status = move_manifest(relocation, &manifests[i], err);
    }
    if (status == KOL_OK) {
        status = ice_manifest_list_write(manifests, count, snapshot->id, snapshot->parent_id,
                                         snapshot->sequence_number, &bytes, err);
    }
    if (status == KOL_OK) {
        snprintf(stem, sizeof stem, "snap-%" PRId64 "-1-", snapshot->id);
        status = put_fresh(relocation, stem, buf_str(&bytes), &snapshot->manifest_list, err);
    }
    buf_free(&bytes);
    return status;
}

/* The paths in what other writers keep beside the snapshots. */
static const char *move_statistics(struct relocation *relocation, const char *text)
{
    json_t *array = text ? json_loads(text, 0, NULL) : NULL;
    for (size_t i = 0; i < json_array_size(array); i++) {
        json_t *item = json_array_get(array, i);
        json_t *path = json_object_get(item, "statistics-path");
        if (json_is_string(path)) {
            json_object_set_new(item, "statistics-path",
                                json_string(moved(relocation, json_string_value(path))));
        }
    }
    char *left = array ? json_dumps(array, JSON_COMPACT) : NULL;
    const char *copy = ice_copy_text(&relocation->metadata->arena, left);
    free(left);
    json_decref(array);
    return copy;
}

static enum kol_status move_metadata(struct relocation *relocation, struct kol_error *err)
{
    struct ice_metadata *m = relocation->metadata;
    enum kol_status status = KOL_OK;
    m->location = moved(relocation, m->location);
    for (size_t i = 0; i < m->snapshot_count && status == KOL_OK; i++) {
        status = move_snapshot(relocation, &m->snapshots[i], err);
    }
    for (size_t i = 0; i < m->metadata_log_count; i++) {
        m->metadata_log[i].metadata_file = moved(relocation, m->metadata_log[i].metadata_file);
    }
    m->statistics = move_statistics(relocation, m->statistics);
    m->partition_statistics = move_statistics(relocation, m->partition_statistics);
    m->format_version = 2;
    return status;
}

/* Writes the moved version beside the old one and swaps the pointer from `old`. */
static enum kol_status publish(struct relocation *relocation, struct ice_ident ident,
                               const char *old, struct kol_error *err)
{
    struct catalog *catalog = relocation->catalog;
    struct ice_metadata *m = relocation->metadata;
    struct buf location = {0}, json = {0};
    ice_new_metadata_location(&location, m->location,
                              ice_metadata_version(m->metadata_location) + 1);
    ice_metadata_write(&json, m);
    enum kol_status status =
        catalog->storage->ops->put_if_absent(catalog->storage, location.ptr, buf_str(&json), err);
    FAILPOINT("relocate.swap");
    if (status == KOL_OK) {
        status = catalog->ops->adopt(catalog, ident, old, location.ptr, err);
    }
    if (status == KOL_OK) {
        m->metadata_location = ice_copy_text(&m->arena, location.ptr);
        ice_put_hint(catalog, ident, m);
    }
    buf_free(&location);
    buf_free(&json);
    return status;
}

static enum kol_status move_table(struct ice_ident ident, void *user, struct kol_error *err)
{
    struct relocation *relocation = user;
    struct catalog *catalog = relocation->catalog;
    struct ice_metadata *read = NULL;
    struct buf old = {0};
    arena_init(&relocation->arena, 0);
    relocation->count = 0;
    enum kol_status status = catalog->ops->locate(catalog, ident, &old, err);
    if (status != KOL_OK || !lies_under_from(relocation, old.ptr)) {
        goto out;
    }
    status = ice_metadata_fetch(catalog->storage, moved(relocation, old.ptr), &read, err);
    if (status == KOL_OK) {
        relocation->metadata = ice_metadata_copy(read);
        status = move_metadata(relocation, err);
        if (status == KOL_OK) {
            status = publish(relocation, ident, old.ptr, err);
        }
        ice_metadata_free(&relocation->metadata);
    }
    if (status != KOL_OK) {
        kol_wrap(err, "%s.%s", ident.name_space, ident.name);
    }
out:
    ice_metadata_free(&read);
    arena_free(&relocation->arena);
    buf_free(&old);
    return status;
}

static enum kol_status move_namespace(struct ice_ident ident, void *user, struct kol_error *err)
{
    struct catalog *catalog = ((struct relocation *)user)->catalog;
    return catalog->ops->list(catalog, ident.name_space, move_table, user, err);
}

enum kol_status catalog_relocate(struct catalog *catalog, const char *from, const char *to,
                                 struct kol_error *err)
{
    struct relocation relocation = {.catalog = catalog, .from = from, .to = to};
    enum kol_status status = catalog->ops->list(catalog, NULL, move_namespace, &relocation, err);
    free(relocation.manifests);
    return status;
}
