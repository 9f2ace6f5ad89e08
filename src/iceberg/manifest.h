/*
 * manifest.h: the Avro files between a snapshot and its data: manifest list and manifests (v2, and
 * v1 for reading). Private to the room.
 *
 * Values go through libavro; the object container around them (magic, header map, blocks, sync
 * marker) is written here, because libavro's own drops the attributes that Iceberg needs. Codecs:
 * deflate is written; null, deflate and zstandard are read, others are refused by name. Every size
 * that a file claims is checked before memory is asked for.
 */
#ifndef ICEBERG_MANIFEST_H
#define ICEBERG_MANIFEST_H

#include "iceberg/schema.h"

enum ice_entry_status { ICE_EXISTING, ICE_ADDED, ICE_DELETED };

struct ice_entry {
    enum ice_entry_status status;
    int64_t snapshot_id;          /* -1: inherited from the manifest */
    int64_t sequence_number;      /* -1: inherited */
    int64_t file_sequence_number; /* -1: inherited */
    struct ice_data_file file;
};

/* What a manifest says of one partition field over all its files. */
struct ice_field_summary {
    bool contains_null, contains_nan;
    bool has_bounds;
    struct str lower, upper; /* binary form */
};

struct ice_manifest {
    const char *path;
    int64_t length;
    int32_t spec_id;
    bool deletes; /* content 1: delete files, which are refused where they are live */
    int64_t sequence_number, min_sequence_number;
    int64_t added_snapshot_id;
    int32_t added_files, existing_files, deleted_files;
    int64_t added_rows, existing_rows, deleted_rows;
    struct ice_field_summary *partitions;
    size_t partition_count;
};

enum {
    ICE_MAX_MANIFEST = 1 << 30, /* bytes of a manifest or manifest list that is read, inflated */
    ICE_MAX_AVRO_BLOCK = 64 << 20,
};

/* The bytes of a v2 manifest holding these entries; fills counts, sequence numbers, partition
 * summaries and length of `manifest` (path and spec_id are the caller's). Entries with an inherited
 * sequence number leave min_sequence_number to the caller (-1). */
enum kol_status ice_manifest_write(const struct ice_schema *schema,
                                   const struct ice_partition_spec *spec,
                                   const struct ice_entry *entries, size_t count,
                                   struct arena *arena, struct ice_manifest *manifest,
                                   struct buf *out, struct kol_error *err) KOL_CHECKED;

/* All entries of a manifest in `arena`, inherited fields filled from `manifest` (NULL: left at -1;
 * a dead delete file is left out). Partition values are in the order of `spec`, which is the
 * table's for manifest->spec_id, and of the types that `schema` gives them: KOL_CORRUPT where the
 * file says otherwise. With NULL for both, those of the file's header are taken. KOL_UNSUPPORTED: a
 * live delete file, a data format other than Parquet, encryption (key_metadata), deletion vectors.
 */
enum kol_status ice_manifest_read(struct str bytes, const struct ice_manifest *manifest,
                                  const struct ice_schema *schema,
                                  const struct ice_partition_spec *spec, struct arena *arena,
                                  struct ice_entry **out, size_t *count,
                                  struct kol_error *err) KOL_CHECKED;

enum kol_status ice_manifest_list_write(const struct ice_manifest *manifests, size_t count,
                                        int64_t snapshot_id, int64_t parent_id,
                                        int64_t sequence_number, struct buf *out,
                                        struct kol_error *err) KOL_CHECKED;
enum kol_status ice_manifest_list_read(struct str bytes, struct arena *arena,
                                       struct ice_manifest **out, size_t *count,
                                       struct kol_error *err) KOL_CHECKED;

/* False only where the summaries prove that no file of the manifest can match. */
bool ice_manifest_may_match(const struct ice_schema *schema, const struct ice_partition_spec *spec,
                            const struct ice_manifest *manifest,
                            const struct ice_condition *conditions, size_t count);

#endif
