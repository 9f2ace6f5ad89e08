/*
 * paths.c: sets of locations: which files are still needed, which are to go.
 */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "iceberg/parts.h"

/* What two spellings of one local file have in common. */
static const char *essence(const char *location)
{
    const char *path = storage_local_path(location);
    return path ? path : location;
}

/* The slot that holds the location, or the free one where it would go. */
static const char **slot_of(const struct ice_paths *paths, const char *location)
{
    const char *key = essence(location);
    size_t at = (size_t)hash_checksum(str_of(key)) & (paths->size - 1);
    while (paths->slots[at] && strcmp(essence(paths->slots[at]), key) != 0) {
        at = (at + 1) & (paths->size - 1);
    }
    return &paths->slots[at];
}

static void grow(struct ice_paths *paths)
{
    struct ice_paths bigger = {.size = paths->size ? paths->size * 2 : 64, .count = paths->count};
    bigger.slots = mem_zalloc(bigger.size, sizeof *bigger.slots);
    for (size_t i = 0; i < paths->size; i++) {
        if (paths->slots[i]) {
            *slot_of(&bigger, paths->slots[i]) = paths->slots[i];
        }
    }
    free(paths->slots);
    *paths = bigger;
}

bool ice_paths_add(struct ice_paths *paths, const char *location)
{
    if (paths->count * 2 >= paths->size) {
        grow(paths);
    }
    const char **slot = slot_of(paths, location);
    bool is_new = !*slot;
    if (is_new) {
        *slot = location;
        paths->count++;
    }
    return is_new;
}

bool ice_paths_has(const struct ice_paths *paths, const char *location)
{
    return paths->size && *slot_of(paths, location);
}

void ice_paths_free(struct ice_paths *paths)
{
    free(paths->slots);
    *paths = (struct ice_paths){0};
}
