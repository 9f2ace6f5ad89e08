/*
 * metadata.h: one version of a table: the metadata JSON of the Iceberg spec, format version 2.
 *
 * Immutable once read. A version 1 table is read as version 2 (its writer must be upgraded by a
 * commit); version 3, encryption and unknown required features are refused by name.
 */
#ifndef ICEBERG_METADATA_H
#define ICEBERG_METADATA_H

#include "iceberg/schema.h"

struct ice_pair {
    const char *key, *value;
};

struct ice_snapshot {
    int64_t id;
    int64_t parent_id; /* -1: none */
    int64_t sequence_number;
    int64_t time_ms;
    const char *manifest_list; /* location */
    int32_t schema_id;         /* -1: unknown */
    struct ice_pair *summary;  /* "operation" among them */
    size_t summary_count;
};

struct ice_ref {
    const char *name;
    int64_t snapshot_id;
    bool is_tag;
    /* Retention of the ref, -1 where not set. */
    int64_t max_ref_age_ms, max_snapshot_age_ms, min_snapshots;
};

struct ice_log_entry { /* of the snapshot log and of the metadata log */
    int64_t time_ms;
    int64_t snapshot_id;
    const char *metadata_file;
};

struct ice_metadata {
    _Atomic int holders;           /* how many ice_metadata_free() it takes */
    struct arena arena;            /* holds all that the rest points to */
    const char *metadata_location; /* where this version was read from; NULL for a new one */
    int32_t format_version;
    const char *table_uuid;
    const char *location; /* of the table, without a slash at the end */
    int64_t last_sequence_number;
    int64_t last_updated_ms;
    int32_t last_column_id;
    int32_t last_partition_id;
    struct ice_schema *schemas;
    size_t schema_count;
    int32_t current_schema_id;
    struct ice_partition_spec *specs;
    size_t spec_count;
    int32_t default_spec_id;
    struct ice_sort_order *orders;
    size_t order_count;
    int32_t default_order_id;
    struct ice_pair *properties; /* by key */
    size_t property_count;
    int64_t current_snapshot_id;    /* -1: none */
    struct ice_snapshot *snapshots; /* in the order of the file */
    size_t snapshot_count;
    struct ice_log_entry *snapshot_log;
    size_t snapshot_log_count;
    struct ice_log_entry *metadata_log;
    size_t metadata_log_count;
    struct ice_ref *refs;
    size_t ref_count;
    /* JSON arrays of other writers (Puffin files), kept as they are for as long as their snapshots;
     * NULL where there are none. */
    const char *statistics, *partition_statistics;
};

enum {
    ICE_MAX_METADATA = 64 << 20, /* bytes of a metadata file that is read */
    ICE_MAX_COLUMNS = 10000,
    ICE_MAX_NESTING = 32,
};

/* `json` as in a metadata file; "*.gz.metadata.json" is inflated by the caller of this through the
 * location. KOL_CORRUPT with the JSON path for what breaks the spec, KOL_UNSUPPORTED by name. */
enum kol_status ice_metadata_read(struct str json, const char *location, struct ice_metadata **out,
                                  struct kol_error *err) KOL_CHECKED;
void ice_metadata_write(struct buf *out, const struct ice_metadata *metadata);
void ice_metadata_free(struct ice_metadata **metadata);

const struct ice_schema *ice_current_schema(const struct ice_metadata *metadata);
const struct ice_schema *ice_schema_by_id(const struct ice_metadata *metadata, int32_t schema_id);
const struct ice_partition_spec *ice_spec_by_id(const struct ice_metadata *metadata,
                                                int32_t spec_id);
const struct ice_partition_spec *ice_default_spec(const struct ice_metadata *metadata);
/* NULL where there is none. */
const struct ice_snapshot *ice_snapshot_by_id(const struct ice_metadata *metadata, int64_t id);
const struct ice_snapshot *ice_current_snapshot(const struct ice_metadata *metadata);
/* The snapshot that was current at that time by the snapshot log, or NULL. */
const struct ice_snapshot *ice_snapshot_at(const struct ice_metadata *metadata, int64_t time_ms);
const char *ice_property(const struct ice_metadata *metadata, const char *key); /* or NULL */
const char *ice_summary(const struct ice_snapshot *snapshot, const char *key);  /* or NULL */

/* ---- what a commit asks and does (the words of the REST catalog) ---- */

enum ice_requirement_kind {
    ICE_ASSERT_UUID,         /* text */
    ICE_ASSERT_REF_SNAPSHOT, /* text: ref, number: snapshot id, -1: the ref is not there */
    ICE_ASSERT_SCHEMA_ID,    /* number */
    ICE_ASSERT_LAST_COLUMN_ID,
    ICE_ASSERT_DEFAULT_SPEC_ID,
    ICE_ASSERT_VERSION, /* text: the metadata file: nothing at all has changed since */
};

struct ice_requirement {
    enum ice_requirement_kind kind;
    const char *text;
    int64_t number;
};

enum ice_update_kind {
    ICE_UPGRADE_FORMAT,    /* number */
    ICE_ADD_SCHEMA,        /* schema; becomes current by ICE_SET_SCHEMA with number -1 */
    ICE_SET_SCHEMA,        /* number: id, -1: the one added in this commit */
    ICE_ADD_SPEC,          /* spec */
    ICE_SET_SPEC,          /* number, -1 as above */
    ICE_ADD_ORDER,         /* order */
    ICE_SET_ORDER,         /* number, -1 as above */
    ICE_ADD_SNAPSHOT,      /* snapshot */
    ICE_SET_REF,           /* ref; "main" moves the current snapshot and the snapshot log */
    ICE_REMOVE_SNAPSHOTS,  /* numbers */
    ICE_REMOVE_REF,        /* text */
    ICE_SET_PROPERTIES,    /* pairs */
    ICE_REMOVE_PROPERTIES, /* pairs, by key */
    ICE_SET_LOCATION,      /* text */
};

struct ice_update {
    enum ice_update_kind kind;
    int64_t number;
    const char *text;
    const struct ice_schema *schema;
    const struct ice_partition_spec *spec;
    const struct ice_sort_order *order;
    const struct ice_snapshot *snapshot;
    const struct ice_ref *ref;
    const int64_t *numbers;
    const struct ice_pair *pairs;
    size_t count; /* of numbers or pairs */
};

/* KOL_CONFLICT naming the first requirement that does not hold. */
enum kol_status ice_require(const struct ice_metadata *metadata,
                            const struct ice_requirement *requirements, size_t count,
                            struct kol_error *err) KOL_CHECKED;

/* A new version made of `base` and the updates; the metadata log grows by base's location and keeps
 * the newest 100. KOL_INVALID for an update that the spec forbids (a narrowed column, a reused id).
 */
enum kol_status ice_update_apply(const struct ice_metadata *base, const struct ice_update *updates,
                                 size_t count, int64_t now_ms, struct ice_metadata **out,
                                 struct kol_error *err) KOL_CHECKED;

#endif
