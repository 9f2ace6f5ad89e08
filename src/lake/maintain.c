/*
 * maintain.c: upkeep, table by table: compact, expire, rewrite manifests, remove orphans.
 */
#include "lake/maintain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/mem.h"
#include "base/signals.h"
#include "lake/etl_run.h"
#include "lake/write.h"

struct upkeep {
    const struct maintain_options *options;
    struct engine *engine; /* opened by the first table that has something to compact */
    struct engine_session *session;
    struct etl_run_tables last_run;
    struct maintain_report report; /* of the table at hand */
    size_t failures;               /* tables that could not be kept up */
    enum kol_status failed;        /* of the first of them */
    struct kol_error failure;
};

/* The table at hand. */
struct target {
    struct ice_ident ident;
    const struct lake_table *declared; /* or NULL: somebody else's */
};

/* ---- what a rewriting snapshot says of itself ---- */

struct carried {
    char id[32];
    struct ice_pair pairs[4];
};

/* Files or manifests change, the rows stay those of the version that the attempt builds on,
 * whatever was looked at before: what was made from that version is still up to date, and what it
 * was made from itself holds on. */
static enum kol_status carry_summary(const struct ice_metadata *current, struct ice_change *change,
                                     void *user, struct kol_error *err)
{
    struct carried *carried = user;
    const struct ice_snapshot *snapshot = ice_current_snapshot(current);
    static const char *const keys[] = {ETL_ROWS_OF, ETL_INPUTS, ETL_RUN_ID, ETL_OFFSETS};
    (void)err;
    change->summary = carried->pairs;
    change->summary_count = 0;
    if (!snapshot) {
        return KOL_OK;
    }
    snprintf(carried->id, sizeof carried->id, "%lld", (long long)snapshot->id);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        const char *value = ice_summary(snapshot, keys[i]);
        if (!value && i == 0) {
            value = carried->id;
        }
        if (value) {
            carried->pairs[change->summary_count++] = (struct ice_pair){keys[i], value};
        }
    }
    return KOL_OK;
}

/* ---- small files ---- */

/* Some small files of one partition. */
struct group {
    struct ice_data_file *files;
    size_t count;
    int64_t bytes;
};

static bool same_partition(const struct ice_data_file *a, const struct ice_data_file *b,
                           const struct ice_schema *schema, const struct ice_partition_spec *spec)
{
    if (a->spec_id != b->spec_id || a->partition_count != b->partition_count ||
        a->partition_count != spec->count) {
        return false;
    }
    for (size_t i = 0; i < spec->count; i++) {
        const struct ice_value *left = &a->partition[i], *right = &b->partition[i];
        const struct ice_field *source = ice_field_by_id(schema, spec->fields[i].source_id);
        if (!source || left->known != right->known) {
            return false;
        }
        struct ice_field type = ice_transform_result(source, spec->fields[i].transform);
        if (left->known && ice_value_compare(&type, left, right) != 0) {
            return false;
        }
    }
    return true;
}

/* Takes the small files that share the partition of files[first] out of `files` into `group`, until
 * they make a file of the target size. `taken` marks those that belong to a group. */
static void gather(const struct upkeep *upkeep, const struct lake_pin *pin, size_t first,
                   bool *taken, struct group *group)
{
    const struct ice_schema *schema = ice_current_schema(pin->metadata);
    const struct ice_partition_spec *spec = ice_default_spec(pin->metadata);
    const int64_t target = upkeep->options->target_bytes;
    group->count = 0;
    group->bytes = 0;
    for (size_t i = first; i < pin->files.count && group->bytes < target; i++) {
        const struct ice_data_file *file = &pin->files.files[i];
        if (!taken[i] && file->bytes < target / 2 && file->spec_id == spec->spec_id &&
            same_partition(&pin->files.files[first], file, schema, spec)) {
            taken[i] = true;
            group->bytes += file->bytes;
            group->files[group->count++] = *file;
        }
    }
}

/* Why the rows cannot be written anew from the declaration, or NULL: columns that it does not know
 * would be lost, and those that only it knows have no ids yet. */
static const char *column_problem(const struct lake_table *table,
                                  const struct ice_metadata *metadata)
{
    struct arena arena;
    struct ice_schema wanted;
    const char *problem = NULL;
    const struct ice_schema *schema = ice_current_schema(metadata);
    arena_init(&arena, 0);
    lake_table_schema_for(table, metadata, &arena, &wanted);
    for (size_t i = 0; i < schema->count; i++) {
        if (!ice_field_by_id(&wanted, schema->fields[i].id)) {
            problem = "not compacted: it has columns that are not declared here";
        }
    }
    for (size_t i = 0; i < wanted.count; i++) {
        const struct ice_field *there = ice_field_by_id(schema, wanted.fields[i].id);
        if (!there || there->type != wanted.fields[i].type) {
            problem = "not compacted: its columns are not as declared; `kol ingest` or `kol etl` "
                      "makes them so";
        }
    }
    arena_free(&arena);
    return problem;
}

static enum kol_status need_engine(struct upkeep *upkeep, struct kol_error *err)
{
    if (upkeep->session) {
        return KOL_OK;
    }
    enum kol_status status = lake_engine(upkeep->options->lake, &upkeep->engine, err);
    return status == KOL_OK ? engine_session_open(upkeep->engine, &upkeep->session, err) : status;
}

static int64_t count_rows(const struct ice_data_file *files, size_t count)
{
    int64_t rows = 0;
    for (size_t i = 0; i < count; i++) {
        rows += files[i].rows;
    }
    return rows;
}

/* Files that give way are gone for good one day: their rows are counted before. */
static enum kol_status check_rows(const struct lake_table *table, const struct group *group,
                                  const struct ice_data_file *files, size_t count,
                                  struct kol_error *err)
{
    const int64_t before = count_rows(group->files, group->count), after = count_rows(files, count);
    return before == after
               ? KOL_OK
               : kol_fail(err, KOL_CORRUPT,
                          "%s.%s: not compacted, because %zu files are listed with %lld rows and "
                          "%lld were read from them: one of %s and the others was changed or lost",
                          table->name_space, table->name, group->count, (long long)before,
                          (long long)after, group->files[0].path);
}

/* `files`, of which none stays where the commit does not take them. */
static enum kol_status commit_group(struct upkeep *upkeep, const struct lake_table *table,
                                    const struct group *group, const struct ice_data_file *files,
                                    size_t count, struct kol_error *err)
{
    struct carried carried;
    struct ice_ident ident = {table->name_space, table->name};
    const char **removed = mem_alloc(group->count * sizeof *removed);
    for (size_t i = 0; i < group->count; i++) {
        removed[i] = group->files[i].path;
    }
    struct ice_change change = {.operation = ICE_REWRITE,
                                .files = files,
                                .file_count = count,
                                .removed = removed,
                                .removed_count = group->count,
                                .check = carry_summary,
                                .user = &carried};
    enum kol_status status = check_rows(table, group, files, count, err);
    if (status == KOL_OK) {
        status = ice_commit(upkeep->options->lake->catalog, ident, &change, NULL, err);
    }
    if (status != KOL_OK && status != KOL_UNKNOWN) {
        lake_remove_files(upkeep->options->lake, files, count);
    }
    free(removed);
    return status;
}

static enum kol_status compact_group(struct upkeep *upkeep, const struct lake_table *table,
                                     const struct lake_pin *pin, const struct group *group,
                                     struct kol_error *err)
{
    struct arena arena;
    struct buf select = {0};
    struct lake_writer writer;
    arena_init(&arena, 0);
    lake_writer_begin(&writer, upkeep->options->lake, upkeep->session, table, pin->metadata,
                      &arena);
    writer.target_bytes = upkeep->options->target_bytes;
    /* The columns in the order in which they are written: that of the declaration. */
    engine_scan_sql(&writer.schema, group->files, group->count, &select);
    enum kol_status status = lake_writer_run(&writer, select.ptr, err);
    FAILPOINT("maintain.written");
    if (status == KOL_OK) {
        status = commit_group(upkeep, table, group, writer.files, writer.count, err);
    }
    FAILPOINT("maintain.compacted");
    if (status == KOL_OK) {
        upkeep->report.compacted += (int64_t)group->count;
        upkeep->report.compacted_into += (int64_t)writer.count;
    }
    lake_writer_end(&writer);
    buf_free(&select);
    arena_free(&arena);
    return status;
}

/* Each group is a commit of its own, on the newest version: files of other groups may change
 * meanwhile, those of this group must not. */
static enum kol_status compact_groups(struct upkeep *upkeep, const struct lake_table *table,
                                      const struct lake_pin *pin, struct kol_error *err)
{
    enum kol_status status = KOL_OK;
    const struct maintain_options *options = upkeep->options;
    struct group group = {.files = mem_alloc((pin->files.count + 1) * sizeof *group.files)};
    bool *taken = mem_zalloc(pin->files.count + 1, sizeof *taken);
    for (size_t i = 0; i < pin->files.count && status == KOL_OK; i++) {
        if (taken[i]) {
            continue;
        }
        gather(upkeep, pin, i, taken, &group);
        if (group.count < 2 || (options->full_only && group.bytes < options->target_bytes)) {
            continue;
        }
        if (options->dry_run) {
            upkeep->report.compacted += (int64_t)group.count;
        } else {
            status = compact_group(upkeep, table, pin, &group, err);
        }
    }
    free(taken);
    free(group.files);
    return status;
}

static enum kol_status compact(struct upkeep *upkeep, const struct target *target,
                               struct kol_error *err)
{
    struct lake_pin pin;
    struct lake *lake = upkeep->options->lake;
    const struct lake_table *table = target->declared;
    if (!table) {
        return KOL_OK;
    }
    enum kol_status status = lake_pin(lake, table->name_space, table->name, 0, &pin, err);
    if (status != KOL_OK) {
        return status;
    }
    upkeep->report.problem = column_problem(table, pin.metadata);
    if (!upkeep->report.problem && pin.files.count > 1) {
        status = upkeep->options->dry_run ? KOL_OK : need_engine(upkeep, err);
        if (status == KOL_OK) {
            status = compact_groups(upkeep, table, &pin, err);
        }
    }
    lake_unpin(&pin);
    if (status == KOL_CONFLICT) { /* a writer replaced the very files: the next time will do */
        upkeep->report.problem = "not compacted: somebody else replaced its files meanwhile";
        status = KOL_OK;
    }
    return status;
}

/* ---- snapshots ---- */

/* Readers of several tables hold on to the last complete run: nothing as new as its snapshot of
 * this table may go. */
static enum kol_status expire(struct upkeep *upkeep, const struct target *target,
                              struct kol_error *err)
{
    const struct ice_ident ident = target->ident;
    struct ice_metadata *metadata = NULL;
    const struct maintain_options *options = upkeep->options;
    int64_t before_ms = (clock_now_us() - options->expire_age_us) / 1000;
    enum kol_status status = ice_table_load(options->lake->catalog, ident, &metadata, err);
    for (size_t i = 0; i < upkeep->last_run.count && status == KOL_OK; i++) {
        const struct etl_run_table *table = &upkeep->last_run.tables[i];
        const struct ice_snapshot *pinned = ice_snapshot_by_id(metadata, table->snapshot_id);
        if (pinned && !strcmp(table->name, ident.name) &&
            !strcmp(table->name_space, ident.name_space) && pinned->time_ms < before_ms) {
            before_ms = pinned->time_ms;
        }
    }
    ice_metadata_free(&metadata);
    if (status != KOL_OK) {
        return status;
    }
    return ice_expire(options->lake->catalog, ident, before_ms, options->keep, options->dry_run,
                      &upkeep->report.expired, err);
}

/* ---- manifests and orphans ---- */

static enum kol_status rewrite_manifests(struct upkeep *upkeep, const struct target *target,
                                         struct kol_error *err)
{
    struct carried carried;
    return ice_rewrite_manifests(upkeep->options->lake->catalog, target->ident,
                                 upkeep->options->dry_run, carry_summary, &carried,
                                 &upkeep->report.manifests, err);
}

static enum kol_status remove_orphans(struct upkeep *upkeep, const struct target *target,
                                      struct kol_error *err)
{
    const struct maintain_options *options = upkeep->options;
    return ice_remove_orphans(options->lake->catalog, target->ident,
                              clock_now_us() - options->orphan_age_us, options->dry_run,
                              &upkeep->report.orphans, err);
}

/* ---- the run ---- */

typedef enum kol_status step_fn(struct upkeep *upkeep, const struct target *target,
                                struct kol_error *err);

/* A file that is gone may have gone with its snapshot, by another's expiry, since the version was
 * looked up: each attempt looks at the newest one. */
static enum kol_status try_step(struct upkeep *upkeep, step_fn *step, const struct target *target,
                                struct kol_error *err)
{
    enum { ATTEMPTS = 3 };
    enum kol_status status = KOL_NOT_FOUND;
    const struct maintain_report before = upkeep->report;
    for (int i = 0; i < ATTEMPTS && status == KOL_NOT_FOUND; i++) {
        if (upkeep->options->dry_run) {
            upkeep->report = before; /* a new attempt finds the same again */
        }
        status = step(upkeep, target, err);
    }
    return status;
}

static void note_failure(struct upkeep *upkeep, enum kol_status status, const struct kol_error *err)
{
    if (upkeep->failures++ == 0) {
        upkeep->failed = status;
        upkeep->failure = *err;
        struct buf name = {0};
        buf_printf(&name, "%s.%s:", upkeep->report.name_space, upkeep->report.name);
        if (!str_starts(str_of(err->message), buf_str(&name))) {
            kol_wrap(&upkeep->failure, "%s.%s", upkeep->report.name_space, upkeep->report.name);
        }
        buf_free(&name);
    }
}

/* What is wrong with one table must not keep the others waiting. */
static enum kol_status maintain_table(struct upkeep *upkeep, struct ice_ident ident,
                                      struct kol_error *err)
{
    static step_fn *const steps[] = {compact, rewrite_manifests, expire, remove_orphans};
    const struct maintain_options *options = upkeep->options;
    const struct target target = {ident, lake_table_find(ident.name_space, ident.name)};
    enum kol_status status = KOL_OK;
    upkeep->report = (struct maintain_report){.name_space = ident.name_space, .name = ident.name};
    const size_t count = options->full_only ? 1 : ARRAY_LEN(steps);
    for (size_t i = 0; i < count && status == KOL_OK; i++) {
        status = try_step(upkeep, steps[i], &target, err);
    }
    if (status == KOL_INTERRUPTED) {
        return status;
    }
    if (status != KOL_OK) {
        upkeep->report.problem = err->message;
    }
    if (status != KOL_OK && status != KOL_UNSUPPORTED) {
        note_failure(upkeep, status, err);
    }
    if (options->on_table) {
        options->on_table(&upkeep->report, options->user);
    }
    return KOL_OK;
}

static bool is_wanted(const struct maintain_options *options, struct ice_ident ident)
{
    struct buf name = {0};
    bool wanted = options->table_count == 0;
    buf_printf(&name, "%s.%s", ident.name_space, ident.name);
    for (size_t i = 0; i < options->table_count && !wanted; i++) {
        wanted = strcmp(options->tables[i], name.ptr) == 0;
    }
    buf_free(&name);
    return wanted;
}

static enum kol_status visit_table(struct ice_ident ident, void *user, struct kol_error *err)
{
    struct upkeep *upkeep = user;
    if (signals_stop_asked()) {
        return kol_fail(err, KOL_INTERRUPTED, "stopped; what was done so far is whole");
    }
    return is_wanted(upkeep->options, ident) ? maintain_table(upkeep, ident, err) : KOL_OK;
}

static enum kol_status visit_namespace(struct ice_ident ident, void *user, struct kol_error *err)
{
    struct upkeep *upkeep = user;
    struct catalog *catalog = upkeep->options->lake->catalog;
    return catalog->ops->list(catalog, ident.name_space, visit_table, upkeep, err);
}

static enum kol_status remove_stale(const char *location, int64_t bytes, int64_t modified_us,
                                    void *user, struct kol_error *err)
{
    const struct maintain_options *options = user;
    (void)bytes;
    if (modified_us >= clock_now_us() - options->orphan_age_us || options->dry_run) {
        return KOL_OK;
    }
    return options->lake->storage->ops->remove(options->lake->storage, location, err);
}

/* Files in the making that a process which died left behind. */
static enum kol_status clean_staging(const struct maintain_options *options, struct kol_error *err)
{
    struct buf prefix = {0};
    buf_printf(&prefix, "file://%s/", options->lake->staging);
    struct storage *storage = options->lake->storage;
    enum kol_status status =
        storage->ops->list(storage, prefix.ptr, remove_stale, (void *)options, err);
    buf_free(&prefix);
    return status;
}

/* The writers of other processes have files in the making, which no snapshot reaches yet. */
static enum kol_status check_age(const struct maintain_options *options, struct kol_error *err)
{
    if (options->orphan_age_us >= MAINTAIN_ORPHAN_FLOOR_US || options->no_writers ||
        options->dry_run) {
        return KOL_OK;
    }
    return kol_fail(err, KOL_USAGE,
                    "files younger than 1h may be in the making by a writer: say --orphan-age 1h "
                    "or more, or --no-writers where nothing else writes to this lake");
}

/* A name that is no table is a mistake, not a table without work. */
static enum kol_status check_names(const struct maintain_options *options, struct kol_error *err)
{
    enum kol_status status = KOL_OK;
    for (size_t i = 0; i < options->table_count && status == KOL_OK; i++) {
        struct lake_pin pin;
        status = lake_pin_named(options->lake, options->tables[i], NULL, &pin, err);
        if (status == KOL_OK) {
            lake_unpin(&pin);
        }
    }
    return status;
}

enum kol_status maintain_run(const struct maintain_options *options, struct kol_error *err)
{
    struct upkeep upkeep = {.options = options};
    struct catalog *catalog = options->lake->catalog;
    enum kol_status status = options->full_only ? KOL_OK : check_age(options, err);
    if (status == KOL_OK) {
        status = check_names(options, err);
    }
    if (status == KOL_OK && !options->full_only) {
        status = etl_last_run(options->lake, &upkeep.last_run, err);
        status = status == KOL_NOT_FOUND ? KOL_OK : status;
    }
    if (status == KOL_OK) {
        status = catalog->ops->list(catalog, NULL, visit_namespace, &upkeep, err);
    }
    if (status == KOL_OK && !options->full_only) {
        status = clean_staging(options, err);
    }
    if (status == KOL_OK && upkeep.failures) {
        status = kol_fail(err, upkeep.failed, "%zu of the tables could not be kept up: %s",
                          upkeep.failures, upkeep.failure.message);
    }
    etl_run_tables_free(&upkeep.last_run);
    engine_session_close(&upkeep.session);
    engine_close(&upkeep.engine);
    return status;
}
