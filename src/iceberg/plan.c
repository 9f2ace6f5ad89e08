/*
 * plan.c: from the manifests of one snapshot to those of the next, operation by operation.
 *
 * Entries that stay keep their sequence numbers and the snapshot that added them; entries that go
 * are written once more as deleted, by which other engines follow changes and expiry finds the
 * files; manifests without any live file are left out of the next list.
 */
#include "iceberg/plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/logger.h"
#include "base/mem.h"

/* ---- what an attempt has written ---- */

void ice_written_note(struct ice_written *written, const char *location)
{
    written->locations =
        mem_realloc(written->locations, (written->count + 1) * sizeof *written->locations);
    written->locations[written->count++] = mem_strdup(location);
}

void ice_written_forget(struct ice_written *written)
{
    for (size_t i = 0; i < written->count; i++) {
        free(written->locations[i]);
    }
    free(written->locations);
    *written = (struct ice_written){0};
}

void ice_written_remove(struct ice_written *written, struct storage *storage)
{
    for (size_t i = 0; i < written->count; i++) {
        struct kol_error why;
        if (storage->ops->remove(storage, written->locations[i], &why) != KOL_OK) {
            log_warn("%s", why.message);
        }
    }
    ice_written_forget(written);
}

/* ---- writing manifests ---- */

static void plan_keep(struct ice_plan *plan, const struct ice_manifest *manifest)
{
    if (plan->count == plan->room) {
        plan->room = plan->room ? plan->room * 2 : 32;
        plan->manifests = mem_realloc(plan->manifests, plan->room * sizeof *plan->manifests);
    }
    plan->manifests[plan->count++] = *manifest;
}

/* One manifest; all entries are of one spec. */
static enum kol_status write_manifest(struct ice_plan *plan, const struct ice_entry *entries,
                                      size_t count, struct kol_error *err)
{
    const struct ice_partition_spec *spec = ice_spec_by_id(plan->base, entries[0].file.spec_id);
    if (!spec) {
        return kol_fail(err, KOL_INVALID, "%s: the table has no partition spec %d",
                        entries[0].file.path, entries[0].file.spec_id);
    }
    struct buf path = {0}, bytes = {0};
    buf_printf(&path, "%s/metadata/%s-m%d.avro", plan->base->location, plan->uuid,
               (*plan->manifest_number)++);
    struct ice_manifest manifest = {.path = ice_copy_text(plan->arena, path.ptr),
                                    .spec_id = spec->spec_id,
                                    .added_snapshot_id = plan->snapshot_id};
    enum kol_status status = ice_manifest_write(ice_current_schema(plan->base), spec, entries,
                                                count, plan->arena, &manifest, &bytes, err);
    if (status == KOL_OK) {
        ice_written_note(plan->written, path.ptr);
        status = plan->storage->ops->put_if_absent(plan->storage, path.ptr, buf_str(&bytes), err);
        FAILPOINT("commit.manifest");
    }
    if (status == KOL_OK) {
        manifest.sequence_number = plan->sequence_number;
        if (manifest.min_sequence_number < 0) {
            manifest.min_sequence_number = plan->sequence_number;
        }
        plan_keep(plan, &manifest);
    }
    buf_free(&path);
    buf_free(&bytes);
    return status;
}

enum kol_status ice_plan_write(struct ice_plan *plan, const struct ice_entry *entries, size_t count,
                               struct kol_error *err)
{
    enum kol_status status = KOL_OK;
    for (size_t at = 0; at < count && status == KOL_OK;) {
        size_t end = at + 1;
        while (end < count && end - at < ICE_PLAN_ENTRIES &&
               entries[end].file.spec_id == entries[at].file.spec_id) {
            end++;
        }
        status = write_manifest(plan, entries + at, end - at, err);
        at = end;
    }
    return status;
}

static int compare_specs(const void *a, const void *b)
{
    const struct ice_entry *x = a, *y = b;
    return (x->file.spec_id > y->file.spec_id) - (x->file.spec_id < y->file.spec_id);
}

enum kol_status ice_plan_add_files(struct ice_plan *plan, struct kol_error *err)
{
    const struct ice_change *change = plan->change;
    struct ice_entry *entries = mem_zalloc(change->file_count + 1, sizeof *entries);
    bool mixed = false;
    for (size_t i = 0; i < change->file_count; i++) {
        /* The sequence number is inherited: it is not known before the commit wins. */
        entries[i] = (struct ice_entry){ICE_ADDED, plan->snapshot_id, -1, -1, change->files[i]};
        mixed = mixed || change->files[i].spec_id != change->files[0].spec_id;
        plan->added_rows += change->files[i].rows;
        plan->added_bytes += change->files[i].bytes;
    }
    plan->added_files += (int64_t)change->file_count;
    if (mixed) {
        qsort(entries, change->file_count, sizeof *entries, compare_specs);
    }
    enum kol_status status = ice_plan_write(plan, entries, change->file_count, err);
    free(entries);
    return status;
}

/* ---- merging ---- */

static bool is_small(const struct ice_manifest *manifest)
{
    return !manifest->deletes && manifest->length < ICE_TARGET_MANIFEST;
}

/* Live entries of one manifest as they are carried on, appended to an array for free(). */
struct carried {
    struct ice_entry *entries;
    size_t count, room;
};

static void carry(struct carried *carried, const struct ice_entry *entry)
{
    if (carried->count == carried->room) {
        carried->room = carried->room ? carried->room * 2 : 64;
        carried->entries = mem_realloc(carried->entries, carried->room * sizeof *carried->entries);
    }
    carried->entries[carried->count++] = *entry;
}

static enum kol_status carry_live(struct ice_plan *plan, const struct ice_manifest *manifest,
                                  struct carried *carried, struct kol_error *err)
{
    struct ice_entry *entries;
    size_t count;
    enum kol_status status =
        ice_read_entries(plan->storage, plan->base, manifest, plan->arena, &entries, &count, err);
    for (size_t i = 0; i < count && status == KOL_OK; i++) {
        if (entries[i].status != ICE_DELETED) {
            entries[i].status = ICE_EXISTING;
            entries[i].file.spec_id = manifest->spec_id;
            carry(carried, &entries[i]);
        }
    }
    return status;
}

/* Merges old[from..] of one spec into one manifest of about the target size; those that were taken
 * are marked in `taken`. */
static enum kol_status merge_from(struct ice_plan *plan, const struct ice_manifest *old,
                                  size_t count, size_t from, bool *taken, struct kol_error *err)
{
    struct carried carried = {0};
    int64_t bytes = 0;
    size_t merged = 0;
    enum kol_status status = KOL_OK;
    for (size_t i = from; i < count && status == KOL_OK && bytes < ICE_TARGET_MANIFEST; i++) {
        if (!taken[i] && is_small(&old[i]) && old[i].spec_id == old[from].spec_id) {
            taken[i] = true;
            merged++;
            bytes += old[i].length;
            status = carry_live(plan, &old[i], &carried, err);
        }
    }
    if (status == KOL_OK && merged == 1) {
        plan_keep(plan, &old[from]); /* alone: it stays as it is */
    } else if (status == KOL_OK) {
        status = ice_plan_write(plan, carried.entries, carried.count, err);
        plan->regrouped += (int64_t)merged;
    }
    free(carried.entries);
    return status;
}

/* Keeps the manifests that still have a live file; merges the small ones once they are many. */
static enum kol_status plan_append(struct ice_plan *plan, const struct ice_manifest *old,
                                   size_t count, struct kol_error *err)
{
    size_t small = 0;
    for (size_t i = 0; i < count; i++) {
        small += is_small(&old[i]) && ice_manifest_may_be_live(&old[i]);
    }
    bool merge = small >= ICE_MERGE_MANIFESTS;
    bool *taken = mem_zalloc(count + 1, sizeof *taken);
    enum kol_status status = KOL_OK;
    for (size_t i = 0; i < count && status == KOL_OK; i++) {
        if (taken[i] || !ice_manifest_may_be_live(&old[i])) {
            continue;
        }
        if (merge && is_small(&old[i])) {
            status = merge_from(plan, old, count, i, taken, err);
        } else {
            plan_keep(plan, &old[i]);
        }
    }
    free(taken);
    return status;
}

/* ---- taking files away ---- */

/* Whether this live file of the table goes. */
typedef bool goes_fn(const struct ice_plan *plan, const struct ice_data_file *file, void *user);

static void note_deleted(struct ice_plan *plan, struct ice_entry *entry)
{
    entry->status = ICE_DELETED;
    entry->snapshot_id = plan->snapshot_id;
    plan->deleted_files++;
    plan->deleted_rows += entry->file.rows;
    plan->deleted_bytes += entry->file.bytes;
}

/* Writes a manifest anew without the files that go, or keeps it where none does. */
static enum kol_status filter_manifest(struct ice_plan *plan, const struct ice_manifest *manifest,
                                       goes_fn *goes, void *user, struct kol_error *err)
{
    struct carried carried = {0};
    int64_t before = plan->deleted_files;
    enum kol_status status = carry_live(plan, manifest, &carried, err);
    for (size_t i = 0; i < carried.count && status == KOL_OK; i++) {
        if (goes(plan, &carried.entries[i].file, user)) {
            note_deleted(plan, &carried.entries[i]);
        }
    }
    if (status == KOL_OK && plan->deleted_files == before) {
        plan_keep(plan, manifest);
    } else if (status == KOL_OK) {
        status = ice_plan_write(plan, carried.entries, carried.count, err);
    }
    free(carried.entries);
    return status;
}

/* All live files go; their entries share as few manifests as hold them. */
static enum kol_status plan_overwrite(struct ice_plan *plan, const struct ice_manifest *old,
                                      size_t count, struct kol_error *err)
{
    struct carried carried = {0};
    enum kol_status status = KOL_OK;
    for (size_t i = 0; i < count && status == KOL_OK; i++) {
        /* Delete files have nothing left to apply to. */
        if (!old[i].deletes && ice_manifest_may_be_live(&old[i])) {
            status = carry_live(plan, &old[i], &carried, err);
        }
    }
    for (size_t i = 0; i < carried.count; i++) {
        note_deleted(plan, &carried.entries[i]);
    }
    if (status == KOL_OK && carried.count) {
        qsort(carried.entries, carried.count, sizeof *carried.entries, compare_specs);
        status = ice_plan_write(plan, carried.entries, carried.count, err);
    }
    free(carried.entries);
    return status;
}

static bool goes_by_path(const struct ice_plan *plan, const struct ice_data_file *file, void *user)
{
    (void)plan;
    return ice_paths_has(user, file->path);
}

static enum kol_status refuse_deletes(const struct ice_plan *plan,
                                      const struct ice_manifest *manifest, struct kol_error *err)
{
    return manifest->deletes ? kol_fail(err, KOL_UNSUPPORTED,
                                        "%s: a table with delete files cannot be rewritten; "
                                        "compact it with the engine that wrote them",
                                        plan->base->location)
                             : KOL_OK;
}

static enum kol_status plan_rewrite(struct ice_plan *plan, const struct ice_manifest *old,
                                    size_t count, struct kol_error *err)
{
    struct ice_paths removed = {0};
    enum kol_status status = KOL_OK;
    for (size_t i = 0; i < plan->change->removed_count; i++) {
        ice_paths_add(&removed, plan->change->removed[i]);
    }
    for (size_t i = 0; i < count && status == KOL_OK; i++) {
        if (!ice_manifest_may_be_live(&old[i])) {
            continue;
        }
        status = refuse_deletes(plan, &old[i], err);
        if (status == KOL_OK && plan->deleted_files == (int64_t)removed.count) {
            plan_keep(plan, &old[i]); /* all are found: the rest need not be read */
        } else if (status == KOL_OK) {
            status = filter_manifest(plan, &old[i], goes_by_path, &removed, err);
        }
    }
    if (status == KOL_OK && plan->deleted_files != (int64_t)removed.count) {
        status =
            kol_fail(err, KOL_CONFLICT, "%s: another writer removed files that were to be replaced",
                     plan->base->location);
    }
    ice_paths_free(&removed);
    return status;
}

static bool same_partition(const struct ice_plan *plan, const struct ice_partition_spec *spec,
                           const struct ice_data_file *a, const struct ice_data_file *b)
{
    if (a->partition_count != spec->count || b->partition_count != spec->count) {
        return false;
    }
    for (size_t i = 0; i < spec->count; i++) {
        const struct ice_value *x = &a->partition[i], *y = &b->partition[i];
        const struct ice_field *source =
            ice_field_by_id(ice_current_schema(plan->base), spec->fields[i].source_id);
        if (!source || x->known != y->known) {
            return false;
        }
        struct ice_field type = ice_transform_result(source, spec->fields[i].transform);
        if (x->known && ice_value_compare(&type, x, y) != 0) {
            return false;
        }
    }
    return true;
}

static bool goes_by_partition(const struct ice_plan *plan, const struct ice_data_file *file,
                              void *user)
{
    const struct ice_partition_spec *spec = user;
    for (size_t i = 0; i < plan->change->replaced_count; i++) {
        if (same_partition(plan, spec, file, &plan->change->replaced[i])) {
            return true;
        }
    }
    return false;
}

/* Rows of what is replaced may lie in files that another spec partitions: to keep these would hold
 * such rows twice. A manifest whose list does not say that it has live files is looked into. */
static enum kol_status refuse_other_spec(struct ice_plan *plan, const struct ice_manifest *manifest,
                                         struct kol_error *err)
{
    struct carried live = {0};
    enum kol_status status = carry_live(plan, manifest, &live, err);
    if (status == KOL_OK && live.count) {
        status = kol_fail(err, KOL_UNSUPPORTED,
                          "%s: %s is partitioned otherwise than the table is now, so single "
                          "partitions cannot be replaced; write the table whole",
                          plan->base->location, live.entries[0].file.path);
    }
    free(live.entries);
    return status;
}

static enum kol_status plan_replace(struct ice_plan *plan, const struct ice_manifest *old,
                                    size_t count, struct kol_error *err)
{
    const struct ice_partition_spec *spec = ice_default_spec(plan->base);
    enum kol_status status = KOL_OK;
    for (size_t i = 0; i < count && status == KOL_OK; i++) {
        if (!ice_manifest_may_be_live(&old[i])) {
            continue;
        }
        status = refuse_deletes(plan, &old[i], err);
        if (status == KOL_OK && old[i].spec_id != spec->spec_id) {
            status = refuse_other_spec(plan, &old[i], err);
        } else if (status == KOL_OK) {
            status = filter_manifest(plan, &old[i], goes_by_partition, (void *)spec, err);
        }
    }
    return status;
}

/* ---- regrouping ---- */

/* What the comparison of two entries needs to know; qsort_r() hands it on. */
static int compare_partitions(const void *a, const void *b, void *user)
{
    const struct ice_plan *plan = user;
    const struct ice_entry *x = a, *y = b;
    const struct ice_partition_spec *spec = ice_spec_by_id(plan->base, x->file.spec_id);
    int order = compare_specs(a, b);
    for (size_t i = 0; order == 0 && i < x->file.partition_count && i < y->file.partition_count;
         i++) {
        const struct ice_value *p = &x->file.partition[i], *q = &y->file.partition[i];
        const struct ice_field *source =
            i < spec->count
                ? ice_field_by_id(ice_current_schema(plan->base), spec->fields[i].source_id)
                : NULL;
        order = (int)p->known - (int)q->known;
        if (order == 0 && p->known && source) {
            struct ice_field type = ice_transform_result(source, spec->fields[i].transform);
            order = ice_value_compare(&type, p, q);
        }
    }
    return order ? order : strcmp(x->file.path, y->file.path);
}

static enum kol_status plan_regroup(struct ice_plan *plan, const struct ice_manifest *old,
                                    size_t count, struct kol_error *err)
{
    struct carried carried = {0};
    enum kol_status status = KOL_OK;
    for (size_t i = 0; i < count && status == KOL_OK; i++) {
        if (!ice_manifest_may_be_live(&old[i])) {
            continue;
        }
        if (old[i].deletes) {
            plan_keep(plan, &old[i]); /* still applies to the same files */
        } else {
            status = carry_live(plan, &old[i], &carried, err);
            plan->regrouped++;
        }
    }
    if (status == KOL_OK && carried.count) {
        qsort_r(carried.entries, carried.count, sizeof *carried.entries, compare_partitions, plan);
        status = ice_plan_write(plan, carried.entries, carried.count, err);
    }
    free(carried.entries);
    return status;
}

enum kol_status ice_plan_old(struct ice_plan *plan, const struct ice_manifest *old, size_t count,
                             struct kol_error *err)
{
    switch (plan->change->operation) {
    case ICE_APPEND: return plan_append(plan, old, count, err);
    case ICE_OVERWRITE: return plan_overwrite(plan, old, count, err);
    case ICE_REWRITE: return plan_rewrite(plan, old, count, err);
    case ICE_REPLACE_PARTITIONS: return plan_replace(plan, old, count, err);
    case ICE_REGROUP: return plan_regroup(plan, old, count, err);
    case ICE_NO_DATA: break;
    }
    return KOL_OK;
}
