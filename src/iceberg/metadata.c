/*
 * metadata.c: a version of a table in memory: its life, what can be looked up in it, and the names
 * of files that hold it.
 */
#include "iceberg/metadata.h"
#include "base/random.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "iceberg/parts.h"

enum { METADATA_ARENA_BLOCK = 32 * 1024 };

struct ice_metadata *ice_metadata_new(void)
{
    struct ice_metadata *metadata = mem_zalloc(1, sizeof *metadata);
    atomic_init(&metadata->holders, 1);
    arena_init(&metadata->arena, METADATA_ARENA_BLOCK);
    metadata->format_version = 2;
    metadata->current_snapshot_id = -1;
    return metadata;
}

struct ice_metadata *ice_metadata_share(const struct ice_metadata *metadata)
{
    struct ice_metadata *shared = (struct ice_metadata *)metadata;
    atomic_fetch_add(&shared->holders, 1);
    return shared;
}

void ice_metadata_free(struct ice_metadata **metadata)
{
    if (*metadata && atomic_fetch_sub(&(*metadata)->holders, 1) == 1) {
        struct arena arena = (*metadata)->arena;
        arena_free(&arena);
        free(*metadata);
    }
    *metadata = NULL;
}

/* ---- copies ---- */

static void copy_snapshots(struct ice_metadata *copy, const struct ice_metadata *metadata)
{
    struct arena *arena = &copy->arena;
    copy->snapshots =
        ice_copy(arena, metadata->snapshots, metadata->snapshot_count * sizeof *copy->snapshots);
    for (size_t i = 0; i < copy->snapshot_count; i++) {
        struct ice_snapshot *snapshot = &copy->snapshots[i];
        snapshot->manifest_list = ice_copy_text(arena, snapshot->manifest_list);
        snapshot->summary = ice_pairs_copy(arena, snapshot->summary, snapshot->summary_count);
    }
}

static void copy_logs(struct ice_metadata *copy, const struct ice_metadata *metadata)
{
    struct arena *arena = &copy->arena;
    copy->snapshot_log = ice_copy(arena, metadata->snapshot_log,
                                  metadata->snapshot_log_count * sizeof *copy->snapshot_log);
    copy->metadata_log = ice_copy(arena, metadata->metadata_log,
                                  metadata->metadata_log_count * sizeof *copy->metadata_log);
    for (size_t i = 0; i < copy->metadata_log_count; i++) {
        copy->metadata_log[i].metadata_file =
            ice_copy_text(arena, copy->metadata_log[i].metadata_file);
    }
    copy->refs = ice_copy(arena, metadata->refs, metadata->ref_count * sizeof *copy->refs);
    for (size_t i = 0; i < copy->ref_count; i++) {
        copy->refs[i].name = ice_copy_text(arena, copy->refs[i].name);
    }
    copy->statistics = ice_copy_text(arena, metadata->statistics);
    copy->partition_statistics = ice_copy_text(arena, metadata->partition_statistics);
}

static void copy_definitions(struct ice_metadata *copy, const struct ice_metadata *metadata)
{
    struct arena *arena = &copy->arena;
    copy->schemas = arena_alloc(arena, metadata->schema_count * sizeof *copy->schemas);
    for (size_t i = 0; i < metadata->schema_count; i++) {
        copy->schemas[i] = ice_schema_copy(arena, &metadata->schemas[i]);
    }
    copy->specs = arena_alloc(arena, metadata->spec_count * sizeof *copy->specs);
    for (size_t i = 0; i < metadata->spec_count; i++) {
        copy->specs[i] = ice_spec_copy(arena, &metadata->specs[i]);
    }
    copy->orders = arena_alloc(arena, metadata->order_count * sizeof *copy->orders);
    for (size_t i = 0; i < metadata->order_count; i++) {
        copy->orders[i] = ice_order_copy(arena, &metadata->orders[i]);
    }
    copy->properties = ice_pairs_copy(arena, metadata->properties, metadata->property_count);
}

struct ice_metadata *ice_metadata_copy(const struct ice_metadata *metadata)
{
    struct ice_metadata *copy = ice_metadata_new();
    /* The plain members; what is pointed to follows. Those in front, its holders and its arena, are
     * its own: others may be counting the holders of the original meanwhile. */
    size_t own = offsetof(struct ice_metadata, metadata_location);
    memcpy((char *)copy + own, (const char *)metadata + own, sizeof *copy - own);
    copy->metadata_location = ice_copy_text(&copy->arena, metadata->metadata_location);
    copy->table_uuid = ice_copy_text(&copy->arena, metadata->table_uuid);
    copy->location = ice_copy_text(&copy->arena, metadata->location);
    copy_definitions(copy, metadata);
    copy_snapshots(copy, metadata);
    copy_logs(copy, metadata);
    return copy;
}

/* ---- what is in it ---- */

const struct ice_schema *ice_schema_by_id(const struct ice_metadata *metadata, int32_t schema_id)
{
    for (size_t i = 0; i < metadata->schema_count; i++) {
        if (metadata->schemas[i].schema_id == schema_id) {
            return &metadata->schemas[i];
        }
    }
    return NULL;
}

void ice_metadata_map_names(struct ice_metadata *metadata)
{
    const char *mapping = ice_property(metadata, "schema.name-mapping.default");
    for (size_t i = 0; i < metadata->schema_count; i++) {
        metadata->schemas[i].name_mapping = mapping;
    }
}

const struct ice_schema *ice_current_schema(const struct ice_metadata *metadata)
{
    return ice_schema_by_id(metadata, metadata->current_schema_id);
}

const struct ice_partition_spec *ice_spec_by_id(const struct ice_metadata *metadata,
                                                int32_t spec_id)
{
    for (size_t i = 0; i < metadata->spec_count; i++) {
        if (metadata->specs[i].spec_id == spec_id) {
            return &metadata->specs[i];
        }
    }
    return NULL;
}

const struct ice_partition_spec *ice_default_spec(const struct ice_metadata *metadata)
{
    return ice_spec_by_id(metadata, metadata->default_spec_id);
}

const struct ice_snapshot *ice_snapshot_by_id(const struct ice_metadata *metadata, int64_t id)
{
    /* The newest are asked for most. */
    for (size_t i = metadata->snapshot_count; i > 0; i--) {
        if (metadata->snapshots[i - 1].id == id) {
            return &metadata->snapshots[i - 1];
        }
    }
    return NULL;
}

const struct ice_snapshot *ice_current_snapshot(const struct ice_metadata *metadata)
{
    return metadata->current_snapshot_id < 0
               ? NULL
               : ice_snapshot_by_id(metadata, metadata->current_snapshot_id);
}

const struct ice_snapshot *ice_snapshot_at(const struct ice_metadata *metadata, int64_t time_ms)
{
    const struct ice_log_entry *best = NULL;
    for (size_t i = 0; i < metadata->snapshot_log_count; i++) {
        const struct ice_log_entry *entry = &metadata->snapshot_log[i];
        if (entry->time_ms <= time_ms && (!best || entry->time_ms >= best->time_ms)) {
            best = entry;
        }
    }
    return best ? ice_snapshot_by_id(metadata, best->snapshot_id) : NULL;
}

static const char *value_of(const struct ice_pair *pairs, size_t count, const char *key)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(pairs[i].key, key) == 0) {
            return pairs[i].value;
        }
    }
    return NULL;
}

const char *ice_property(const struct ice_metadata *metadata, const char *key)
{
    return value_of(metadata->properties, metadata->property_count, key);
}

const char *ice_summary(const struct ice_snapshot *snapshot, const char *key)
{
    return value_of(snapshot->summary, snapshot->summary_count, key);
}

/* ---- names ---- */

int64_t ice_random_id(void)
{
    uint64_t id = 0;
    while (id == 0) {
        random_fill(&id, sizeof id);
        id &= INT64_MAX;
    }
    return (int64_t)id;
}

int64_t ice_now_ms(void)
{
    return clock_now_us() / 1000;
}

void ice_new_metadata_location(struct buf *out, const char *location, int64_t version)
{
    buf_printf(out, "%s/metadata/%05lld-", location, (long long)version);
    random_put_uuid(out);
    buf_puts(out, ".metadata.json");
}

int64_t ice_metadata_version(const char *metadata_location)
{
    const char *slash = strrchr(metadata_location, '/');
    const char *name = slash ? slash + 1 : metadata_location;
    name += *name == 'v'; /* "v12.metadata.json": tables without a catalog */
    size_t digits = strspn(name, "0123456789");
    int64_t version;
    if (digits == 0 || digits > 18 || (name[digits] != '-' && name[digits] != '.') ||
        !str_to_int64((struct str){name, digits}, &version)) {
        return -1;
    }
    return version;
}

void ice_hint_location(struct buf *out, const char *location)
{
    buf_printf(out, "%s/metadata/version-hint.text", location);
}

/* ---- files ---- */

/* gzip, as "x.gz.metadata.json" holds it. */
static enum kol_status inflate_all(struct str packed, const char *location, struct buf *out,
                                   struct kol_error *err)
{
    z_stream stream = {.next_in = (Bytef *)packed.ptr, .avail_in = (uInt)packed.len};
    if (inflateInit2(&stream, 15 + 16) != Z_OK) {
        return kol_fail(err, KOL_IO, "%s: cannot start to inflate", location);
    }
    int rc = Z_OK;
    while (rc == Z_OK && out->len <= ICE_MAX_METADATA) {
        buf_reserve(out, 65536);
        stream.next_out = (Bytef *)out->ptr + out->len;
        stream.avail_out = 65536;
        rc = inflate(&stream, Z_NO_FLUSH);
        out->len += 65536 - stream.avail_out;
    }
    inflateEnd(&stream);
    if (rc != Z_STREAM_END) {
        return kol_fail(err, KOL_CORRUPT, "%s: %s", location,
                        rc == Z_OK ? "is too large once inflated" : "is no whole gzip file");
    }
    return KOL_OK;
}

static bool is_packed(const char *location)
{
    size_t len = strlen(location);
    static const char *const endings[] = {".gz.metadata.json", ".metadata.json.gz"};
    for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
        size_t end = strlen(endings[i]);
        if (len >= end && strcmp(location + len - end, endings[i]) == 0) {
            return true;
        }
    }
    return false;
}

enum kol_status ice_metadata_fetch(struct storage *storage, const char *location,
                                   struct ice_metadata **out, struct kol_error *err)
{
    struct buf bytes = {0}, plain = {0};
    enum kol_status status = storage->ops->get_range(storage, location, 0, -1, &bytes, err);
    if (status == KOL_OK && bytes.len > ICE_MAX_METADATA) {
        status = kol_fail(err, KOL_CORRUPT, "%s: larger than %d bytes", location, ICE_MAX_METADATA);
    }
    bool packed = is_packed(location);
    if (status == KOL_OK && packed) {
        status = inflate_all(buf_str(&bytes), location, &plain, err);
    }
    if (status == KOL_OK) {
        status = ice_metadata_read(buf_str(packed ? &plain : &bytes), location, out, err);
    }
    buf_free(&bytes);
    buf_free(&plain);
    return status;
}
