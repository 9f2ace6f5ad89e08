/*
 * expire.c: snapshots that are forgotten, and the files that only they reached.
 *
 * With each commit only what that commit expires is looked at: in a history without branches, what
 * a snapshot reached and its successor does not is reached by nobody later. The upkeep command asks
 * the long way: everything that any kept snapshot reaches stays.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/logger.h"
#include "base/mem.h"
#include "iceberg/plan.h"

enum { DEFAULT_MAX_AGE_MS = 5 * 24 * 3600 * 1000 };

/* ---- which snapshots go ---- */

static int compare_by_age(const void *a, const void *b)
{
    const struct ice_snapshot *const *x = a, *const *y = b;
    if ((*x)->sequence_number != (*y)->sequence_number) {
        return (*x)->sequence_number < (*y)->sequence_number ? -1 : 1;
    }
    return (*x)->time_ms < (*y)->time_ms ? -1 : (*x)->time_ms > (*y)->time_ms;
}

static bool is_named(const struct ice_metadata *m, int64_t id)
{
    for (size_t i = 0; i < m->ref_count; i++) {
        if (m->refs[i].snapshot_id == id) {
            return true;
        }
    }
    return m->current_snapshot_id == id;
}

int64_t *ice_snapshots_to_expire(const struct ice_metadata *metadata, int keep, int64_t before_ms,
                                 size_t *count)
{
    size_t total = metadata->snapshot_count;
    const struct ice_snapshot **by_age = mem_alloc((total + 1) * sizeof *by_age);
    int64_t *ids = mem_alloc((total + 1) * sizeof *ids);
    *count = 0;
    for (size_t i = 0; i < total; i++) {
        by_age[i] = &metadata->snapshots[i];
    }
    qsort(by_age, total, sizeof *by_age, compare_by_age);
    size_t beyond = keep < 0 || (size_t)keep < total ? total - (size_t)(keep < 0 ? 0 : keep) : 0;
    for (size_t i = 0; i < beyond; i++) {
        if (!is_named(metadata, by_age[i]->id) && by_age[i]->time_ms < before_ms) {
            ids[(*count)++] = by_age[i]->id;
        }
    }
    free(by_age);
    return ids;
}

static void remove_file(struct storage *storage, const char *location)
{
    struct kol_error why;
    if (storage->ops->remove(storage, location, &why) != KOL_OK) {
        log_warn("what an expired snapshot held stays behind: %s", why.message);
    }
}

/* ---- the short way ---- */

/* Whether each snapshot is the parent of the next one and the last is the current: then the order
 * of the array is the order of history. */
static bool is_line(const struct ice_metadata *m)
{
    for (size_t i = 1; i < m->snapshot_count; i++) {
        if (m->snapshots[i].parent_id != m->snapshots[i - 1].id) {
            return false;
        }
    }
    return m->snapshot_count && m->snapshots[m->snapshot_count - 1].id == m->current_snapshot_id;
}

/* The data files that a snapshot took away: they were live in the one before it, and never again.
 */
static enum kol_status remove_deleted(struct storage *storage, const struct ice_metadata *m,
                                      const struct ice_snapshot *snapshot,
                                      const struct ice_manifest *manifests, size_t count,
                                      struct arena *arena, struct kol_error *err)
{
    for (size_t i = 0; i < count; i++) {
        struct ice_entry *entries;
        size_t entry_count;
        if (manifests[i].added_snapshot_id != snapshot->id || manifests[i].deleted_files == 0 ||
            manifests[i].deletes) {
            continue;
        }
        enum kol_status status =
            ice_read_entries(storage, m, &manifests[i], arena, &entries, &entry_count, err);
        if (status != KOL_OK) {
            return status;
        }
        for (size_t k = 0; k < entry_count; k++) {
            if (entries[k].status == ICE_DELETED && entries[k].snapshot_id == snapshot->id) {
                remove_file(storage, entries[k].file.path);
            }
        }
    }
    return KOL_OK;
}

/* Removes what `old` reached and its successor does not. */
static enum kol_status remove_step(struct storage *storage, const struct ice_metadata *m,
                                   const struct ice_snapshot *old,
                                   const struct ice_snapshot *successor, bool data,
                                   struct kol_error *err)
{
    struct ice_manifest *before, *after;
    size_t before_count, after_count;
    struct arena arena;
    struct ice_paths kept = {0};
    arena_init(&arena, 0);
    enum kol_status status = ice_read_list(storage, old, &arena, &before, &before_count, err);
    if (status == KOL_OK) {
        status = ice_read_list(storage, successor, &arena, &after, &after_count, err);
    }
    if (status == KOL_OK && data) {
        status = remove_deleted(storage, m, successor, after, after_count, &arena, err);
    }
    if (status == KOL_OK) {
        for (size_t i = 0; i < after_count; i++) {
            ice_paths_add(&kept, after[i].path);
        }
        for (size_t i = 0; i < before_count; i++) {
            if (!ice_paths_has(&kept, before[i].path)) {
                remove_file(storage, before[i].path);
            }
        }
        remove_file(storage, old->manifest_list);
    }
    ice_paths_free(&kept);
    arena_free(&arena);
    return status;
}

static int64_t max_age_ms(const struct ice_metadata *m)
{
    const char *text = ice_property(m, "history.expire.max-snapshot-age-ms");
    int64_t age;
    return text && str_to_int64(str_of(text), &age) && age >= 0 ? age : DEFAULT_MAX_AGE_MS;
}

void ice_expire_inline(struct storage *storage, const struct ice_metadata *before,
                       const struct ice_metadata *after)
{
    int64_t now = ice_now_ms(), age = max_age_ms(after);
    if (!is_line(before)) {
        return;
    }
    for (size_t i = 0; i + 1 < before->snapshot_count; i++) {
        const struct ice_snapshot *old = &before->snapshots[i];
        const struct ice_snapshot *successor = &before->snapshots[i + 1];
        struct kol_error why;
        /* One that a tag holds, in front of others that go, shares files with them. */
        if (ice_snapshot_by_id(after, old->id) || successor->time_ms > now - ICE_READER_GRACE_MS) {
            break;
        }
        bool data = successor->time_ms <= now - age;
        if (remove_step(storage, before, old, successor, data, &why) != KOL_OK) {
            log_warn("what an expired snapshot held stays behind: %s", why.message);
        }
    }
}

/* ---- the long way ---- */

struct expiry {
    struct storage *storage;
    const struct ice_metadata *before, *after;
    bool dry_run;
    struct ice_upkeep *done;
    struct arena arena;
    struct ice_paths kept_manifests, kept_files, seen;
};

static bool is_kept(const struct expiry *expiry, int64_t id)
{
    return ice_snapshot_by_id(expiry->after, id) != NULL;
}

/* Marks what the kept snapshots reach: manifests and live files. */
static enum kol_status mark(struct expiry *expiry, const struct ice_snapshot *snapshot,
                            struct kol_error *err)
{
    struct ice_manifest *manifests;
    size_t count, entry_count;
    struct ice_entry *entries;
    enum kol_status status =
        ice_read_list(expiry->storage, snapshot, &expiry->arena, &manifests, &count, err);
    for (size_t i = 0; i < count && status == KOL_OK; i++) {
        if (!ice_paths_add(&expiry->kept_manifests, manifests[i].path)) {
            continue;
        }
        status = ice_read_entries(expiry->storage, expiry->before, &manifests[i], &expiry->arena,
                                  &entries, &entry_count, err);
        for (size_t k = 0; k < entry_count && status == KOL_OK; k++) {
            if (entries[k].status != ICE_DELETED) {
                ice_paths_add(&expiry->kept_files, entries[k].file.path);
            }
        }
    }
    return status;
}

static void sweep_file(struct expiry *expiry, const char *location, int64_t bytes, int64_t *counter)
{
    if (!ice_paths_add(&expiry->seen, location)) {
        return;
    }
    (*counter)++;
    expiry->done->bytes += bytes;
    if (!expiry->dry_run) {
        remove_file(expiry->storage, location);
    }
}

/* Removes what a snapshot that goes reached and no kept one does. */
static enum kol_status sweep(struct expiry *expiry, const struct ice_snapshot *snapshot,
                             struct kol_error *err)
{
    struct ice_manifest *manifests;
    size_t count, entry_count;
    struct ice_entry *entries;
    enum kol_status status =
        ice_read_list(expiry->storage, snapshot, &expiry->arena, &manifests, &count, err);
    for (size_t i = 0; i < count && status == KOL_OK; i++) {
        if (ice_paths_has(&expiry->kept_manifests, manifests[i].path) ||
            ice_paths_has(&expiry->seen, manifests[i].path)) {
            continue;
        }
        status = ice_read_entries(expiry->storage, expiry->before, &manifests[i], &expiry->arena,
                                  &entries, &entry_count, err);
        for (size_t k = 0; k < entry_count && status == KOL_OK; k++) {
            const struct ice_data_file *file = &entries[k].file;
            if (!ice_paths_has(&expiry->kept_files, file->path)) {
                sweep_file(expiry, file->path, file->bytes, &expiry->done->data_files);
            }
        }
        if (status == KOL_OK) {
            sweep_file(expiry, manifests[i].path, manifests[i].length, &expiry->done->manifests);
        }
    }
    if (status == KOL_OK) {
        expiry->done->snapshots++;
        sweep_file(expiry, snapshot->manifest_list, 0, &expiry->done->other_files);
    }
    return status;
}

/* Sweeps what `before` had and `after` has not. `after` may be `before` without the snapshots that
 * a dry run would forget. */
static enum kol_status sweep_all(struct expiry *expiry, struct kol_error *err)
{
    enum kol_status status = KOL_OK;
    arena_init(&expiry->arena, 0);
    for (size_t i = 0; i < expiry->after->snapshot_count && status == KOL_OK; i++) {
        status = mark(expiry, &expiry->after->snapshots[i], err);
    }
    for (size_t i = 0; i < expiry->before->snapshot_count && status == KOL_OK; i++) {
        const struct ice_snapshot *snapshot = &expiry->before->snapshots[i];
        if (!is_kept(expiry, snapshot->id)) {
            status = sweep(expiry, snapshot, err);
        }
    }
    ice_paths_free(&expiry->kept_manifests);
    ice_paths_free(&expiry->kept_files);
    ice_paths_free(&expiry->seen);
    arena_free(&expiry->arena);
    return status;
}

/* The version before and the one after forgetting; KOL_END where there is nothing to forget. */
static enum kol_status forget(struct catalog *catalog, struct ice_ident ident, int64_t before_ms,
                              int keep, bool dry_run, struct ice_metadata **before,
                              struct ice_metadata **after, struct kol_error *err)
{
    size_t count;
    enum kol_status status = catalog->ops->load(catalog, ident, before, err);
    if (status != KOL_OK) {
        return status;
    }
    int64_t *ids = ice_snapshots_to_expire(*before, keep, before_ms, &count);
    struct ice_requirement same = {ICE_ASSERT_VERSION, (*before)->metadata_location, 0};
    struct ice_update update = {.kind = ICE_REMOVE_SNAPSHOTS, .numbers = ids, .count = count};
    if (count == 0) {
        status = KOL_END;
    } else if (dry_run) {
        status = ice_update_apply(*before, &update, 1, ice_now_ms(), after, err);
    } else {
        status = catalog->ops->commit(catalog, ident, &same, 1, &update, 1, after, err);
    }
    free(ids);
    return status;
}

enum kol_status ice_expire(struct catalog *catalog, struct ice_ident ident, int64_t before_ms,
                           int keep, bool dry_run, struct ice_upkeep *done, struct kol_error *err)
{
    enum { ATTEMPTS = 50 };
    struct ice_metadata *before = NULL, *after = NULL;
    enum kol_status status = KOL_CONFLICT;
    for (int i = 0; i < ATTEMPTS && status == KOL_CONFLICT; i++) {
        ice_metadata_free(&before);
        status = forget(catalog, ident, before_ms, keep, dry_run, &before, &after, err);
    }
    if (status == KOL_OK && !dry_run) {
        ice_put_hint(catalog, ident, after);
    }
    if (status == KOL_OK) {
        FAILPOINT("expire.sweep");
        struct expiry expiry = {.storage = catalog->storage,
                                .before = before,
                                .after = after,
                                .dry_run = dry_run,
                                .done = done};
        status = sweep_all(&expiry, err);
    }
    ice_metadata_free(&before);
    ice_metadata_free(&after);
    return status == KOL_END ? KOL_OK : status;
}

/* ---- manifests ---- */

/* How many manifests would hold the live files of one spec of manifests[from..]. Where a list does
 * not say how many files there are, the one manifest counts for itself. */
static size_t regrouped_count(const struct ice_manifest *manifests, size_t count, size_t from)
{
    int64_t files = 0;
    size_t unknown = 0;
    for (size_t i = from; i < count; i++) {
        const struct ice_manifest *manifest = &manifests[i];
        if (manifest->spec_id != manifests[from].spec_id || manifest->deletes) {
            continue;
        }
        if (manifest->added_files < 0 || manifest->existing_files < 0) {
            unknown++;
        } else {
            files += manifest->added_files + manifest->existing_files;
        }
    }
    return (size_t)((files + ICE_PLAN_ENTRIES - 1) / ICE_PLAN_ENTRIES) + unknown;
}

/* The manifests that a regrouping would write anew; 0 where as many would take their place. */
static size_t count_regroupable(const struct ice_manifest *manifests, size_t count)
{
    size_t live = 0, after = 0;
    for (size_t i = 0; i < count; i++) {
        bool first = !manifests[i].deletes;
        for (size_t k = 0; k < i && first; k++) {
            first = manifests[k].deletes || manifests[k].spec_id != manifests[i].spec_id;
        }
        after += first ? regrouped_count(manifests, count, i) : 0;
        live += !manifests[i].deletes && ice_manifest_may_be_live(&manifests[i]);
    }
    return after < live ? live : 0;
}

enum kol_status ice_rewrite_manifests(struct catalog *catalog, struct ice_ident ident, bool dry_run,
                                      ice_check_fn *check, void *user, struct ice_upkeep *done,
                                      struct kol_error *err)
{
    struct ice_metadata *metadata;
    struct ice_manifest *manifests;
    size_t count = 0;
    struct arena arena;
    enum kol_status status = catalog->ops->load(catalog, ident, &metadata, err);
    if (status != KOL_OK) {
        return status;
    }
    arena_init(&arena, 0);
    const struct ice_snapshot *snapshot = ice_current_snapshot(metadata);
    if (snapshot) {
        status = ice_read_list(catalog->storage, snapshot, &arena, &manifests, &count, err);
    }
    size_t old = status == KOL_OK ? count_regroupable(manifests, count) : 0;
    if (old) {
        struct ice_change change = {.operation = ICE_REGROUP, .check = check, .user = user};
        done->manifests += (int64_t)old;
        status = dry_run ? KOL_OK : ice_commit(catalog, ident, &change, NULL, err);
    }
    arena_free(&arena);
    ice_metadata_free(&metadata);
    return status;
}
