/*
 * reach.c: all files that belong to one version of a table.
 *
 * Manifests are shared by many snapshots, and so are data files: each is read and named once.
 */
#include "iceberg/reach.h"

#include <stdlib.h>

#include "base/mem.h"
#include "iceberg/parts.h"

struct reach {
    struct storage *storage;
    const struct ice_metadata *metadata;
    struct ice_reached *out;
    struct ice_paths seen;
    struct ice_manifest *manifests; /* of all snapshots, each once; texts are in out->arena */
    size_t count, room;
};

/* Adds a location; false where it is there already. */
static bool add(struct reach *reach, const char *location)
{
    struct ice_reached *out = reach->out;
    if (ice_paths_has(&reach->seen, location)) {
        return false;
    }
    if (out->count == out->room) {
        out->room = out->room ? out->room * 2 : 64;
        out->locations = mem_realloc(out->locations, out->room * sizeof *out->locations);
    }
    const char *copy = ice_copy_text(&out->arena, location);
    out->locations[out->count++] = copy;
    return ice_paths_add(&reach->seen, copy);
}

/* The Puffin files of other writers. */
static void add_statistics(struct reach *reach, const char *text)
{
    json_t *array = text ? json_loads(text, 0, NULL) : NULL;
    for (size_t i = 0; i < json_array_size(array); i++) {
        json_t *path = json_object_get(json_array_get(array, i), "statistics-path");
        if (json_is_string(path)) {
            add(reach, json_string_value(path));
        }
    }
    json_decref(array);
}

static enum kol_status add_snapshot(struct reach *reach, const struct ice_snapshot *snapshot,
                                    struct kol_error *err)
{
    struct ice_manifest *manifests;
    size_t count;
    if (!snapshot->manifest_list || !add(reach, snapshot->manifest_list)) {
        return KOL_OK;
    }
    enum kol_status status =
        ice_read_list(reach->storage, snapshot, &reach->out->arena, &manifests, &count, err);
    for (size_t i = 0; i < count && status == KOL_OK; i++) {
        if (!add(reach, manifests[i].path)) {
            continue;
        }
        if (reach->count == reach->room) {
            reach->room = reach->room ? reach->room * 2 : 64;
            reach->manifests =
                mem_realloc(reach->manifests, reach->room * sizeof *reach->manifests);
        }
        reach->manifests[reach->count++] = manifests[i];
    }
    return status;
}

static enum kol_status add_data(struct reach *reach, const struct ice_manifest *manifest,
                                struct kol_error *err)
{
    struct arena arena;
    struct ice_entry *entries;
    size_t count;
    arena_init(&arena, 0);
    enum kol_status status =
        ice_read_entries(reach->storage, reach->metadata, manifest, &arena, &entries, &count, err);
    for (size_t i = 0; i < count && status == KOL_OK; i++) {
        if (entries[i].status != ICE_DELETED) {
            add(reach, entries[i].file.path);
        }
    }
    arena_free(&arena);
    return status;
}

enum kol_status ice_reach(struct catalog *catalog, const struct ice_metadata *metadata,
                          struct ice_reached *out, struct kol_error *err)
{
    struct reach reach = {.storage = catalog->storage, .metadata = metadata, .out = out};
    enum kol_status status = KOL_OK;
    *out = (struct ice_reached){0};
    arena_init(&out->arena, 0);
    add(&reach, metadata->metadata_location);
    for (size_t i = 0; i < metadata->snapshot_count && status == KOL_OK; i++) {
        status = add_snapshot(&reach, &metadata->snapshots[i], err);
    }
    add_statistics(&reach, metadata->statistics);
    add_statistics(&reach, metadata->partition_statistics);
    out->small = out->count;
    for (size_t i = 0; i < reach.count && status == KOL_OK; i++) {
        if (ice_manifest_may_be_live(&reach.manifests[i])) {
            status = add_data(&reach, &reach.manifests[i], err);
        }
    }
    ice_paths_free(&reach.seen);
    free(reach.manifests);
    return status;
}

void ice_reached_free(struct ice_reached *reached)
{
    arena_free(&reached->arena);
    free(reached->locations);
    *reached = (struct ice_reached){0};
}
