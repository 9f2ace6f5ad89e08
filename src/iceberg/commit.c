/*
 * commit.c: a change becomes the next version of a table, however many others write it meanwhile.
 *
 * An attempt takes the newest version, writes what its snapshot needs and asks the catalog to swap
 * the pointer, on the condition that nothing at all has changed since. A lost race costs a new
 * attempt; only the manifests of added files, which are the same on every version, are kept.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/logger.h"
#include "base/mem.h"
#include "base/random.h"
#include "iceberg/plan.h"

enum { PATIENCE_S = 120, LONGEST_WAIT_MS = 400, MAX_SUMMARY = 32 };

/* One commit over all its attempts. */
struct commit {
    struct catalog *catalog;
    struct ice_ident ident;
    struct ice_change *change;
    int64_t snapshot_id;
    struct buf uuid;
    int manifest_number;
    struct arena arena;      /* of the added manifests */
    struct ice_plan added;   /* the change's files as manifests */
    struct ice_written kept; /* their locations */
    bool added_written;
    unsigned seed; /* of the waits */
};

/* One attempt. */
struct attempt {
    struct commit *commit;
    struct ice_metadata *base;
    struct arena arena;
    struct ice_plan plan;
    struct ice_written written;
    struct ice_snapshot snapshot;
    struct ice_pair summary[MAX_SUMMARY];
    size_t summary_count;
};

/* ---- the summary ---- */

static void summarise(struct attempt *attempt, const char *key, const char *value)
{
    if (attempt->summary_count < MAX_SUMMARY) {
        attempt->summary[attempt->summary_count++] = (struct ice_pair){key, value};
    }
}

static void summarise_count(struct attempt *attempt, const char *key, int64_t count)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, count);
    summarise(attempt, key, ice_copy_text(&attempt->arena, text));
}

static void summarise_some(struct attempt *attempt, const char *key, int64_t count)
{
    if (count) {
        summarise_count(attempt, key, count);
    }
}

/* A total of the snapshot before; 0 where there is none, -1 where its writer did not say. */
static int64_t total_before(const struct attempt *attempt, const char *key)
{
    const struct ice_snapshot *parent = ice_current_snapshot(attempt->base);
    const char *text = parent ? ice_summary(parent, key) : "0";
    int64_t total;
    return text && str_to_int64(str_of(text), &total) ? total : -1;
}

static void summarise_totals(struct attempt *attempt)
{
    const struct ice_plan *plan = &attempt->plan;
    int64_t files = 0, rows = 0;
    for (size_t i = 0; i < plan->count; i++) {
        if (!plan->manifests[i].deletes) {
            files += plan->manifests[i].added_files + plan->manifests[i].existing_files;
            rows += plan->manifests[i].added_rows + plan->manifests[i].existing_rows;
        }
    }
    bool whole = attempt->commit->change->operation == ICE_OVERWRITE;
    int64_t bytes = whole ? 0 : total_before(attempt, "total-files-size");
    if (bytes >= 0) {
        bytes += plan->added_bytes - (whole ? 0 : plan->deleted_bytes);
        summarise_count(attempt, "total-files-size", bytes);
    }
    summarise_count(attempt, "total-data-files", files);
    summarise_count(attempt, "total-records", rows);
    static const char *const carried[] = {"total-delete-files", "total-position-deletes",
                                          "total-equality-deletes"};
    for (size_t i = 0; i < ARRAY_LEN(carried); i++) {
        int64_t count = whole ? 0 : total_before(attempt, carried[i]);
        if (count >= 0) {
            summarise_count(attempt, carried[i], count);
        }
    }
}

static void make_summary(struct attempt *attempt)
{
    const struct ice_plan *plan = &attempt->plan;
    const struct ice_change *change = attempt->commit->change;
    summarise(attempt, "operation", ice_operation_text(change->operation));
    summarise_some(attempt, "added-data-files", plan->added_files);
    summarise_some(attempt, "added-records", plan->added_rows);
    summarise_some(attempt, "added-files-size", plan->added_bytes);
    summarise_some(attempt, "deleted-data-files", plan->deleted_files);
    summarise_some(attempt, "deleted-records", plan->deleted_rows);
    summarise_some(attempt, "removed-files-size", plan->deleted_bytes);
    summarise_some(attempt, "manifests-replaced", plan->regrouped);
    summarise_totals(attempt);
    for (size_t i = 0; i < change->summary_count; i++) {
        summarise(attempt, change->summary[i].key, change->summary[i].value);
    }
}

/* ---- the snapshot ---- */

static struct ice_plan new_plan(struct commit *commit, const struct ice_metadata *base,
                                struct arena *arena, struct ice_written *written)
{
    return (struct ice_plan){.storage = commit->catalog->storage,
                             .base = base,
                             .change = commit->change,
                             .arena = arena,
                             .snapshot_id = commit->snapshot_id,
                             .sequence_number = base->last_sequence_number + 1,
                             .uuid = commit->uuid.ptr,
                             .manifest_number = &commit->manifest_number,
                             .written = written};
}

/* The manifests of the change's files: written by the first attempt, taken over by the others with
 * the sequence number that they would inherit now. */
static enum kol_status add_files(struct attempt *attempt, struct kol_error *err)
{
    struct commit *commit = attempt->commit;
    if (!commit->added_written) {
        commit->added = new_plan(commit, attempt->base, &commit->arena, &commit->kept);
        enum kol_status status = ice_plan_add_files(&commit->added, err);
        if (status != KOL_OK) {
            return status;
        }
        commit->added_written = true;
    }
    struct ice_plan *plan = &attempt->plan;
    size_t count = plan->count + commit->added.count;
    plan->manifests = mem_realloc(plan->manifests, (count + 1) * sizeof *plan->manifests);
    for (size_t i = 0; i < commit->added.count; i++) {
        struct ice_manifest manifest = commit->added.manifests[i];
        manifest.sequence_number = manifest.min_sequence_number = plan->sequence_number;
        plan->manifests[plan->count++] = manifest;
    }
    plan->added_files = commit->added.added_files;
    plan->added_rows = commit->added.added_rows;
    plan->added_bytes = commit->added.added_bytes;
    return KOL_OK;
}

static enum kol_status write_list(struct attempt *attempt, struct kol_error *err)
{
    struct storage *storage = attempt->commit->catalog->storage;
    struct ice_snapshot *snapshot = &attempt->snapshot;
    struct buf path = {0}, bytes = {0};
    /* An attempt of its own needs a list of its own. */
    buf_printf(&path, "%s/metadata/snap-%" PRId64 "-1-", attempt->base->location, snapshot->id);
    random_put_uuid(&path);
    buf_puts(&path, ".avro");
    snapshot->manifest_list = ice_copy_text(&attempt->arena, path.ptr);
    enum kol_status status =
        ice_manifest_list_write(attempt->plan.manifests, attempt->plan.count, snapshot->id,
                                snapshot->parent_id, snapshot->sequence_number, &bytes, err);
    if (status == KOL_OK) {
        ice_written_note(&attempt->written, path.ptr);
        status = storage->ops->put_if_absent(storage, path.ptr, buf_str(&bytes), err);
        FAILPOINT("commit.list");
    }
    buf_free(&path);
    buf_free(&bytes);
    return status;
}

static enum kol_status make_snapshot(struct attempt *attempt, struct kol_error *err)
{
    struct commit *commit = attempt->commit;
    const struct ice_metadata *base = attempt->base;
    const struct ice_snapshot *parent = ice_current_snapshot(base);
    struct ice_manifest *old = NULL;
    size_t old_count = 0;
    enum kol_status status = KOL_OK;
    attempt->plan = new_plan(commit, base, &attempt->arena, &attempt->written);
    if (parent) {
        status =
            ice_read_list(commit->catalog->storage, parent, &attempt->arena, &old, &old_count, err);
    }
    if (status == KOL_OK) {
        status = ice_plan_old(&attempt->plan, old, old_count, err);
    }
    if (status == KOL_OK) {
        status = add_files(attempt, err);
    }
    if (status != KOL_OK) {
        return status;
    }
    int64_t now = ice_now_ms();
    make_summary(attempt);
    attempt->snapshot =
        (struct ice_snapshot){.id = commit->snapshot_id,
                              .parent_id = parent ? parent->id : -1,
                              .sequence_number = base->last_sequence_number + 1,
                              .time_ms = now > base->last_updated_ms ? now : base->last_updated_ms,
                              .schema_id = base->current_schema_id,
                              .summary = attempt->summary,
                              .summary_count = attempt->summary_count};
    return write_list(attempt, err);
}

/* ---- the swap ---- */

/* The ref "main" at the new snapshot, with the retention that it has. */
static struct ice_ref moved_main(const struct attempt *attempt)
{
    struct ice_ref ref = {"main", attempt->snapshot.id, false, -1, -1, -1};
    for (size_t i = 0; i < attempt->base->ref_count; i++) {
        if (strcmp(attempt->base->refs[i].name, "main") == 0) {
            ref = attempt->base->refs[i];
            ref.snapshot_id = attempt->snapshot.id;
        }
    }
    return ref;
}

static enum kol_status swap(struct attempt *attempt, struct ice_metadata **out,
                            struct kol_error *err)
{
    struct commit *commit = attempt->commit;
    const struct ice_change *change = commit->change;
    const struct ice_metadata *base = attempt->base;
    const struct ice_requirement requirements[] = {{ICE_ASSERT_VERSION, base->metadata_location, 0},
                                                   {ICE_ASSERT_UUID, base->table_uuid, 0}};
    const struct ice_ref ref = moved_main(attempt);
    bool data = change->operation != ICE_NO_DATA;
    int keep = change->keep_snapshots > 0 ? change->keep_snapshots : ICE_KEEP_SNAPSHOTS;
    size_t expired;
    int64_t *ids = ice_snapshots_to_expire(base, data ? keep - 1 : keep, INT64_MAX, &expired);
    struct ice_update updates[5];
    size_t count = 0;
    if (base->format_version < 2) {
        updates[count++] = (struct ice_update){.kind = ICE_UPGRADE_FORMAT, .number = 2};
    }
    if (data) {
        updates[count++] =
            (struct ice_update){.kind = ICE_ADD_SNAPSHOT, .snapshot = &attempt->snapshot};
        updates[count++] = (struct ice_update){.kind = ICE_SET_REF, .ref = &ref};
    }
    if (change->set_count) {
        updates[count++] = (struct ice_update){
            .kind = ICE_SET_PROPERTIES, .pairs = change->set, .count = change->set_count};
    }
    if (expired) {
        updates[count++] =
            (struct ice_update){.kind = ICE_REMOVE_SNAPSHOTS, .numbers = ids, .count = expired};
    }
    enum kol_status status =
        commit->catalog->ops->commit(commit->catalog, commit->ident, requirements,
                                     base->table_uuid ? 2 : 1, updates, count, out, err);
    free(ids);
    return status;
}

/* ---- after a commit that won ---- */

/* Removes metadata files that have left the log. */
static void remove_old_metadata(struct storage *storage, const struct ice_metadata *base,
                                const struct ice_metadata *next)
{
    const char *wanted = ice_property(next, "write.metadata.delete-after-commit.enabled");
    if (!wanted || strcmp(wanted, "true") != 0) {
        return;
    }
    struct ice_paths kept = {0};
    for (size_t i = 0; i < next->metadata_log_count; i++) {
        ice_paths_add(&kept, next->metadata_log[i].metadata_file);
    }
    for (size_t i = 0; i < base->metadata_log_count; i++) {
        struct kol_error why;
        const char *file = base->metadata_log[i].metadata_file;
        if (!ice_paths_has(&kept, file) && storage->ops->remove(storage, file, &why) != KOL_OK) {
            log_warn("%s", why.message);
        }
    }
    ice_paths_free(&kept);
}

static void tidy(struct commit *commit, const struct ice_metadata *base,
                 const struct ice_metadata *next)
{
    FAILPOINT("commit.hint");
    ice_put_hint(commit->catalog, commit->ident, next);
    FAILPOINT("commit.expire");
    remove_old_metadata(commit->catalog->storage, base, next);
    ice_expire_inline(commit->catalog->storage, base, next);
}

/* ---- attempts ---- */

static enum kol_status check(struct attempt *attempt, struct kol_error *err)
{
    struct ice_change *change = attempt->commit->change;
    const struct ice_metadata *base = attempt->base;
    if (change->base_snapshot && change->base_snapshot != base->current_snapshot_id) {
        return kol_fail(err, KOL_CONFLICT, "%s: another writer changed it first", base->location);
    }
    return change->check ? change->check(base, change, change->user, err) : KOL_OK;
}

static enum kol_status look_for(const struct commit *commit, const char *location,
                                struct kol_error *err)
{
    struct storage *storage = commit->catalog->storage;
    enum kol_status status = storage->ops->look(storage, location, err);
    return status != KOL_NOT_FOUND
               ? status
               : kol_fail(err, KOL_CONFLICT,
                          "%s.%s: %s was removed before the commit that adds it, by an upkeep that "
                          "spares no young files; nothing was changed",
                          commit->ident.name_space, commit->ident.name, location);
}

/* A version must not name files that are gone. What no version reaches yet is an orphan to others,
 * and safe from them only by its age: so all that the attempt adds is looked for once more, as late
 * as can be. */
static enum kol_status look_for_files(const struct attempt *attempt, struct kol_error *err)
{
    const struct commit *commit = attempt->commit;
    const struct ice_written *const written[] = {&commit->kept, &attempt->written};
    enum kol_status status = KOL_OK;
    for (size_t i = 0; i < commit->change->file_count && status == KOL_OK; i++) {
        status = look_for(commit, commit->change->files[i].path, err);
    }
    for (size_t i = 0; i < ARRAY_LEN(written); i++) {
        for (size_t j = 0; j < written[i]->count && status == KOL_OK; j++) {
            status = look_for(commit, written[i]->locations[j], err);
        }
    }
    return status;
}

/* KOL_CONFLICT with `*again` true where a lost race is worth another attempt. */
static enum kol_status try_once(struct commit *commit, struct ice_metadata **out, bool *again,
                                struct kol_error *err)
{
    struct attempt attempt = {.commit = commit};
    struct ice_metadata *next = NULL;
    *again = false;
    arena_init(&attempt.arena, 0);
    enum kol_status status =
        commit->catalog->ops->load(commit->catalog, commit->ident, &attempt.base, err);
    if (status == KOL_OK) {
        status = check(&attempt, err);
    }
    if (status == KOL_OK && commit->change->operation != ICE_NO_DATA) {
        status = make_snapshot(&attempt, err);
        status = status == KOL_OK ? look_for_files(&attempt, err) : status;
    }
    if (status == KOL_OK) {
        status = swap(&attempt, &next, err);
        *again = status == KOL_CONFLICT;
    }
    if (status == KOL_OK || status == KOL_UNKNOWN) {
        ice_written_forget(&attempt.written);
    } else {
        ice_written_remove(&attempt.written, commit->catalog->storage);
    }
    if (status == KOL_OK) {
        tidy(commit, attempt.base, next);
    }
    if (out) {
        *out = next;
    } else {
        ice_metadata_free(&next);
    }
    ice_metadata_free(&attempt.base);
    free(attempt.plan.manifests);
    arena_free(&attempt.arena);
    return status;
}

/* A random time that grows with the attempts, so that writers who met do not meet again. */
static void wait_a_little(struct commit *commit, int attempts)
{
    int64_t longest = attempts < 7 ? INT64_C(4) << attempts : LONGEST_WAIT_MS;
    int64_t wait_us = rand_r(&commit->seed) % (longest * 1000) + 500;
    struct timespec time = {wait_us / 1000000, wait_us % 1000000 * 1000};
    nanosleep(&time, NULL);
}

static enum kol_status commit_run(struct commit *commit, struct ice_metadata **out,
                                  struct kol_error *err)
{
    int64_t deadline = clock_mono_ns() + PATIENCE_S * INT64_C(1000000000);
    enum kol_status status = KOL_OK;
    bool again = true;
    for (int attempts = 0; again; attempts++) {
        status = try_once(commit, out, &again, err);
        if (again && clock_mono_ns() > deadline) {
            return kol_fail(err, KOL_CONFLICT,
                            "%s.%s: other writers were first for %d seconds; try again",
                            commit->ident.name_space, commit->ident.name, PATIENCE_S);
        }
        if (again) {
            wait_a_little(commit, attempts);
        }
    }
    return status;
}

enum kol_status ice_commit(struct catalog *catalog, struct ice_ident ident,
                           struct ice_change *change, struct ice_metadata **out,
                           struct kol_error *err)
{
    struct commit commit = {.catalog = catalog,
                            .ident = ident,
                            .change = change,
                            .snapshot_id = ice_random_id(),
                            .seed = (unsigned)ice_random_id()};
    if (out) {
        *out = NULL;
    }
    arena_init(&commit.arena, 0);
    random_put_uuid(&commit.uuid);
    enum kol_status status = commit_run(&commit, out, err);
    if (status == KOL_OK || status == KOL_UNKNOWN) {
        ice_written_forget(&commit.kept);
    } else {
        ice_written_remove(&commit.kept, catalog->storage);
    }
    buf_free(&commit.uuid);
    free(commit.added.manifests);
    arena_free(&commit.arena);
    return status;
}
