/*
 * table.c: making a table, finding it, and the data files of one of its snapshots.
 */
#include "iceberg/table.h"
#include "base/random.h"

#include <stdlib.h>
#include <string.h>

#include "base/logger.h"
#include "base/mem.h"
#include "iceberg/parts.h"

enum { SCAN_ARENA_BLOCK = 256 * 1024 };

/* ---- making ---- */

/* What a table sets unless it is told otherwise: other engines that write it keep it small too. */
static const struct ice_pair default_properties[] = {
    {"write.metadata.delete-after-commit.enabled", "true"},
    {"write.metadata.previous-versions-max", "100"},
    {"write.parquet.compression-codec", "zstd"},
};

static enum kol_status check_options(const struct ice_table_options *options, struct kol_error *err)
{
    const struct ice_partition_spec *spec = options->spec;
    for (size_t i = 0; spec && i < spec->count; i++) {
        if (!ice_field_by_id(options->schema, spec->fields[i].source_id)) {
            return kol_fail(err, KOL_INVALID, "partition field %s: there is no column %d",
                            spec->fields[i].name, spec->fields[i].source_id);
        }
    }
    const struct ice_sort_order *order = options->order;
    for (size_t i = 0; order && i < order->count; i++) {
        if (!ice_field_by_id(options->schema, order->fields[i].source_id)) {
            return kol_fail(err, KOL_INVALID, "sort order: there is no column %d",
                            order->fields[i].source_id);
        }
    }
    return KOL_OK;
}

static void fill_spec(struct ice_metadata *m, const struct ice_partition_spec *spec)
{
    m->specs = arena_alloc(&m->arena, sizeof *m->specs);
    m->specs[0] = spec ? ice_spec_copy(&m->arena, spec) : (struct ice_partition_spec){0};
    m->specs[0].spec_id = 0;
    m->spec_count = 1;
    m->last_partition_id = 999;
    for (size_t i = 0; i < m->specs[0].count; i++) {
        struct ice_partition_field *field = &m->specs[0].fields[i];
        if (field->field_id <= m->last_partition_id) {
            field->field_id = m->last_partition_id + 1;
        }
        m->last_partition_id = field->field_id;
    }
}

static void fill_orders(struct ice_metadata *m, const struct ice_sort_order *order)
{
    m->orders = arena_alloc(&m->arena, 2 * sizeof *m->orders);
    m->orders[m->order_count++] = (struct ice_sort_order){0};
    if (order && order->count) {
        m->orders[m->order_count] = ice_order_copy(&m->arena, order);
        m->orders[m->order_count++].order_id = m->default_order_id = 1;
    }
}

static struct ice_metadata *first_version(const struct ice_table_options *options)
{
    struct ice_metadata *m = ice_metadata_new();
    struct buf uuid = {0};
    random_put_uuid(&uuid);
    m->table_uuid = ice_copy_text(&m->arena, uuid.ptr);
    buf_free(&uuid);
    m->last_updated_ms = ice_now_ms();
    m->schemas = arena_alloc(&m->arena, sizeof *m->schemas);
    m->schemas[0] = ice_schema_copy(&m->arena, options->schema);
    m->schemas[0].schema_id = 0;
    m->schema_count = 1;
    m->last_column_id = ice_schema_highest_id(options->schema);
    fill_spec(m, options->spec);
    fill_orders(m, options->order);
    for (size_t i = 0; i < ARRAY_LEN(default_properties); i++) {
        ice_metadata_set_property(m, default_properties[i].key, default_properties[i].value);
    }
    for (size_t i = 0; i < options->property_count; i++) {
        ice_metadata_set_property(m, options->properties[i].key, options->properties[i].value);
    }
    return m;
}

enum kol_status ice_table_create(struct catalog *catalog, struct ice_ident ident,
                                 const struct ice_table_options *options, struct kol_error *err)
{
    enum kol_status status = check_options(options, err);
    if (status == KOL_OK) {
        status = catalog->ops->make_namespace(catalog, ident.name_space, err);
    }
    if (status == KOL_OK) {
        struct ice_metadata *metadata = first_version(options);
        status = catalog->ops->create(catalog, ident, metadata, err);
        ice_metadata_free(&metadata);
    }
    struct ice_metadata *made = NULL;
    if (status == KOL_OK && catalog->ops->load(catalog, ident, &made, NULL) == KOL_OK) {
        ice_put_hint(catalog, ident, made);
        ice_metadata_free(&made);
    }
    return status;
}

enum kol_status ice_table_load(struct catalog *catalog, struct ice_ident ident,
                               struct ice_metadata **out, struct kol_error *err)
{
    return catalog->ops->load(catalog, ident, out, err);
}

/* ---- finding by the folder ---- */

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);
    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

/* The metadata file with the highest number so far; of two with one number the one that was written
 * last. */
struct newest {
    struct buf location;
    int64_t version, modified_us;
    size_t folder; /* bytes of the folder's location: what lies deeper is none of the table's */
};

static enum kol_status note_newest(const char *location, int64_t bytes, int64_t modified_us,
                                   void *user, struct kol_error *err)
{
    struct newest *newest = user;
    (void)bytes;
    (void)err;
    int64_t version = ice_metadata_version(location);
    bool named = ends_with(location, ".metadata.json") || ends_with(location, ".metadata.json.gz");
    named = named && !strchr(location + newest->folder, '/');
    if (named && (version > newest->version ||
                  (version == newest->version && modified_us > newest->modified_us))) {
        newest->version = version;
        newest->modified_us = modified_us;
        buf_clear(&newest->location);
        buf_puts(&newest->location, location);
    }
    return KOL_OK;
}

/* The hint names a file in the metadata folder without its ending, or a bare number ("3" for
 * v3.metadata.json). False where it is none of these. */
static bool read_hint(struct storage *storage, const char *location, struct buf *out)
{
    struct buf hint = {0}, text = {0};
    ice_hint_location(&hint, location);
    bool good = storage->ops->get_range(storage, hint.ptr, 0, 256, &text, NULL) == KOL_OK;
    struct str name = str_trim(buf_str(&text));
    good = good && name.len > 0 && name.len < 200;
    bool digits = good;
    for (size_t i = 0; good && i < name.len; i++) {
        char c = name.ptr[i];
        bool digit = c >= '0' && c <= '9';
        digits = digits && digit;
        good = digit || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
    }
    if (good) {
        buf_printf(out, "%s/metadata/%s%.*s.metadata.json", location, digits ? "v" : "",
                   STR_FORMAT(name));
    }
    buf_free(&hint);
    buf_free(&text);
    return good;
}

/* The metadata file to take for the table in a folder, appended to `out`. */
static enum kol_status find_metadata(struct storage *storage, const char *location, struct buf *out,
                                     struct kol_error *err)
{
    struct buf folder = {0};
    struct newest newest = {.version = -1};
    if (read_hint(storage, location, &newest.location)) {
        struct buf probe = {0};
        bool there =
            storage->ops->get_range(storage, newest.location.ptr, 0, 1, &probe, NULL) == KOL_OK;
        buf_free(&probe);
        if (there) {
            buf_puts(out, newest.location.ptr);
            buf_free(&newest.location);
            return KOL_OK;
        }
        buf_clear(&newest.location);
    }
    buf_printf(&folder, "%s/metadata/", location);
    newest.folder = folder.len;
    enum kol_status status = storage->ops->list(storage, folder.ptr, note_newest, &newest, err);
    if (status == KOL_OK && newest.version < 0) {
        status = kol_fail(err, KOL_NOT_FOUND, "%s: there is no metadata file of a table in it",
                          folder.ptr);
    } else if (status == KOL_OK) {
        buf_puts(out, newest.location.ptr);
    }
    buf_free(&folder);
    buf_free(&newest.location);
    return status;
}

enum kol_status ice_table_register(struct catalog *catalog, struct ice_ident ident,
                                   const char *location, struct kol_error *err)
{
    struct buf file = {0};
    struct ice_metadata *metadata = NULL;
    enum kol_status status = find_metadata(catalog->storage, location, &file, err);
    if (status == KOL_OK) { /* nothing that cannot be read comes in */
        status = ice_metadata_fetch(catalog->storage, file.ptr, &metadata, err);
    }
    if (status == KOL_OK) {
        status = catalog->ops->make_namespace(catalog, ident.name_space, err);
    }
    if (status == KOL_OK) {
        status = catalog->ops->adopt(catalog, ident, NULL, file.ptr, err);
    }
    ice_metadata_free(&metadata);
    buf_free(&file);
    return status;
}

void ice_put_hint(struct catalog *catalog, struct ice_ident ident, const struct ice_metadata *next)
{
    struct storage *storage = catalog->storage;
    struct buf now = {0}, location = {0};
    struct kol_error why = {KOL_OK, ""};
    const char *slash = strrchr(next->metadata_location, '/');
    const char *name = slash ? slash + 1 : next->metadata_location;
    const char *end = strstr(name, ".metadata.json");
    ice_hint_location(&location, next->location);
    enum kol_status status = catalog->ops->locate(catalog, ident, &now, &why);
    if (status == KOL_OK && end && strcmp(now.ptr, next->metadata_location) == 0) {
        status = storage->ops->put(storage, location.ptr, (struct str){name, (size_t)(end - name)},
                                   &why);
    }
    if (status != KOL_OK) {
        log_warn("the version hint was not written: %s", why.message);
    }
    buf_free(&now);
    buf_free(&location);
}

/* ---- what a snapshot reaches ---- */

enum kol_status ice_read_list(struct storage *storage, const struct ice_snapshot *snapshot,
                              struct arena *arena, struct ice_manifest **out, size_t *count,
                              struct kol_error *err)
{
    struct buf bytes = {0};
    *out = NULL;
    *count = 0;
    enum kol_status status =
        storage->ops->get_range(storage, snapshot->manifest_list, 0, -1, &bytes, err);
    if (status == KOL_OK) {
        status = ice_manifest_list_read(buf_str(&bytes), arena, out, count, err);
        if (status != KOL_OK) {
            kol_wrap(err, "%s", snapshot->manifest_list);
        }
    }
    buf_free(&bytes);
    return status;
}

/* Whether the current schema still has every column that the spec is made of: one may have been
 * dropped since, and then only the manifest itself knows its type. */
static bool knows_sources(const struct ice_schema *schema, const struct ice_partition_spec *spec)
{
    for (size_t i = 0; i < spec->count; i++) {
        if (!ice_field_by_id(schema, spec->fields[i].source_id)) {
            return false;
        }
    }
    return true;
}

enum kol_status ice_read_entries(struct storage *storage, const struct ice_metadata *metadata,
                                 const struct ice_manifest *manifest, struct arena *arena,
                                 struct ice_entry **out, size_t *count, struct kol_error *err)
{
    const struct ice_partition_spec *spec = ice_spec_by_id(metadata, manifest->spec_id);
    const struct ice_schema *schema = ice_current_schema(metadata);
    struct buf bytes = {0};
    *out = NULL;
    *count = 0;
    if (!spec) {
        return kol_fail(err, KOL_CORRUPT, "%s: the table has no partition spec %d", manifest->path,
                        manifest->spec_id);
    }
    bool known = knows_sources(schema, spec);
    enum kol_status status = storage->ops->get_range(storage, manifest->path, 0, -1, &bytes, err);
    if (status == KOL_OK) {
        status = ice_manifest_read(buf_str(&bytes), manifest, known ? schema : NULL,
                                   known ? spec : NULL, arena, out, count, err);
        if (status != KOL_OK) {
            kol_wrap(err, "%s", manifest->path);
        }
    }
    buf_free(&bytes);
    return status;
}

bool ice_manifest_may_be_live(const struct ice_manifest *manifest)
{
    return manifest->added_files != 0 || manifest->existing_files != 0;
}

/* ---- the scan ---- */

struct scan {
    struct storage *storage;
    const struct ice_metadata *metadata;
    const struct ice_condition *conditions;
    size_t condition_count;
    struct ice_files *out;
    struct ice_data_file *files; /* grows outside of the arena */
    size_t room;
};

static void take_file(struct scan *scan, const struct ice_data_file *file)
{
    struct ice_files *out = scan->out;
    if (out->count == scan->room) {
        scan->room = scan->room ? scan->room * 2 : 64;
        scan->files = mem_realloc(scan->files, scan->room * sizeof *scan->files);
    }
    scan->files[out->count++] = *file;
    out->rows += file->rows;
    out->bytes += file->bytes;
}

static enum kol_status scan_manifest(struct scan *scan, const struct ice_manifest *manifest,
                                     struct kol_error *err)
{
    const struct ice_schema *schema = ice_current_schema(scan->metadata);
    const struct ice_partition_spec *spec = ice_spec_by_id(scan->metadata, manifest->spec_id);
    if (manifest->deletes) {
        return kol_fail(err, KOL_UNSUPPORTED,
                        "%s: delete files cannot be read; compact the table with the engine that "
                        "wrote them (%s)",
                        scan->metadata->location, manifest->path);
    }
    bool can_prune = spec && knows_sources(schema, spec) && scan->condition_count;
    if (can_prune &&
        !ice_manifest_may_match(schema, spec, manifest, scan->conditions, scan->condition_count)) {
        scan->out->skipped += manifest->added_files + manifest->existing_files;
        return KOL_OK;
    }
    struct ice_entry *entries;
    size_t count;
    enum kol_status status = ice_read_entries(scan->storage, scan->metadata, manifest,
                                              &scan->out->arena, &entries, &count, err);
    scan->out->manifests_read++;
    for (size_t i = 0; i < count && status == KOL_OK; i++) {
        if (entries[i].status == ICE_DELETED) {
            continue;
        }
        if (can_prune && !ice_file_may_match(schema, spec, &entries[i].file, scan->conditions,
                                             scan->condition_count)) {
            scan->out->skipped++;
        } else {
            take_file(scan, &entries[i].file);
        }
    }
    return status;
}

static enum kol_status scan_snapshot(struct scan *scan, const struct ice_snapshot *snapshot,
                                     struct kol_error *err)
{
    struct ice_manifest *manifests;
    size_t count;
    enum kol_status status =
        ice_read_list(scan->storage, snapshot, &scan->out->arena, &manifests, &count, err);
    for (size_t i = 0; i < count && status == KOL_OK; i++) {
        scan->out->manifests_total++;
        if (ice_manifest_may_be_live(&manifests[i])) {
            status = scan_manifest(scan, &manifests[i], err);
        }
    }
    return status;
}

enum kol_status ice_scan(struct catalog *catalog, const struct ice_metadata *metadata,
                         int64_t snapshot_id, const struct ice_condition *conditions, size_t count,
                         struct ice_files *out, struct kol_error *err)
{
    const struct ice_snapshot *snapshot = snapshot_id == -1
                                              ? ice_current_snapshot(metadata)
                                              : ice_snapshot_by_id(metadata, snapshot_id);
    struct scan scan = {catalog->storage, metadata, conditions, count, out, NULL, 0};
    enum kol_status status = KOL_OK;
    *out = (struct ice_files){0};
    arena_init(&out->arena, SCAN_ARENA_BLOCK);
    if (!snapshot && snapshot_id != -1) {
        return kol_fail(err, KOL_NOT_FOUND, "%s: there is no snapshot %lld (any more)",
                        metadata->location, (long long)snapshot_id);
    }
    if (snapshot) {
        status = scan_snapshot(&scan, snapshot, err);
    }
    out->files = ice_copy(&out->arena, scan.files, out->count * sizeof *out->files);
    free(scan.files);
    if (status != KOL_OK) {
        ice_files_free(out);
    }
    return status;
}

void ice_files_free(struct ice_files *files)
{
    arena_free(&files->arena);
    *files = (struct ice_files){0};
}

/* ---- words ---- */

void ice_new_data_location(const struct ice_metadata *metadata, struct buf *out)
{
    buf_printf(out, "%s/data/", metadata->location);
    random_put_uuid(out);
    buf_puts(out, ".parquet");
}

const char *ice_operation_text(enum ice_operation operation)
{
    switch (operation) {
    case ICE_APPEND: return "append";
    case ICE_OVERWRITE:
    case ICE_REPLACE_PARTITIONS: return "overwrite";
    case ICE_REWRITE:
    case ICE_REGROUP: return "replace";
    case ICE_NO_DATA: break;
    }
    return "";
}
