/*
 * table.h: reading a table and committing to it.
 *
 * A reader takes one version (ice_table_load) and sees that snapshot for as long as it likes, as
 * long as nobody expires it and removes its files. A writer describes what should change; the
 * commit takes the newest version, applies the change and tries to swap the pointer, again and
 * again where somebody else was first: an append never fails because another append won.
 *
 * Order of a commit, so that a crash anywhere leaves a whole table: data files (the caller's,
 * before the call), manifests, manifest list, metadata file, pointer, hint. What a lost attempt
 * left behind is removed, or is an orphan for ice_orphans(). Threads: every call stands alone; a
 * `struct ice_metadata` may be shared by readers.
 */
#ifndef ICEBERG_TABLE_H
#define ICEBERG_TABLE_H

#include "iceberg/catalog.h"
#include "iceberg/metadata.h"

/* ---- making and reading ---- */

struct ice_table_options {
    const struct ice_schema *schema;       /* ids as given; last_column_id follows from them */
    const struct ice_partition_spec *spec; /* NULL: not partitioned */
    const struct ice_sort_order *order;    /* NULL: unsorted */
    const struct ice_pair *properties;
    size_t property_count;
};

/* KOL_EXISTS where the table is there. */
enum kol_status ice_table_create(struct catalog *catalog, struct ice_ident ident,
                                 const struct ice_table_options *options,
                                 struct kol_error *err) KOL_CHECKED;

/* Takes a table that is found by its folder (location) into the catalog: the version that its hint
 * names, else the highest there is. For a catalog that was lost. KOL_EXISTS, KOL_NOT_FOUND. */
enum kol_status ice_table_register(struct catalog *catalog, struct ice_ident ident,
                                   const char *location, struct kol_error *err) KOL_CHECKED;

/* The current version, to be given to ice_metadata_free(). */
enum kol_status ice_table_load(struct catalog *catalog, struct ice_ident ident,
                               struct ice_metadata **out, struct kol_error *err) KOL_CHECKED;

struct ice_files {
    struct arena arena;
    struct ice_data_file *files; /* in the order of the manifests */
    size_t count;
    int64_t rows, bytes; /* of all of them */
    int64_t skipped;     /* files that the conditions ruled out, where they were looked at */
    int64_t manifests_total, manifests_read;
};

/* The data files of a snapshot (-1: the current one; a table without a snapshot has none) that may
 * hold rows for all conditions. KOL_UNSUPPORTED where live delete files belong to them. */
enum kol_status ice_scan(struct catalog *catalog, const struct ice_metadata *metadata,
                         int64_t snapshot_id, const struct ice_condition *conditions, size_t count,
                         struct ice_files *out, struct kol_error *err) KOL_CHECKED;
void ice_files_free(struct ice_files *files);

/* ---- committing ---- */

enum ice_operation {
    ICE_APPEND,    /* adds files */
    ICE_OVERWRITE, /* the table holds these files and no others; `removed` is ignored */
    ICE_REWRITE,   /* `removed` gives way to `files`: the same rows in other files (compaction);
                      KOL_CONFLICT where one of `removed` is not there any more */
    ICE_REPLACE_PARTITIONS, /* files whose partition equals `replaced` give way to `files`;
                               KOL_UNSUPPORTED where a live file has another spec than the default:
                               its rows may belong to what is replaced */
    ICE_NO_DATA,            /* properties and expiry alone: no snapshot is made */
    ICE_REGROUP,            /* the same files, in manifests ordered by partition */
};

struct ice_change;
typedef enum kol_status ice_check_fn(const struct ice_metadata *current, struct ice_change *change,
                                     void *user, struct kol_error *err);

struct ice_change {
    enum ice_operation operation;
    const struct ice_data_file *files;
    size_t file_count;
    const char *const *removed; /* paths, for ICE_REWRITE */
    size_t removed_count;
    const struct ice_data_file *replaced; /* for ICE_REPLACE_PARTITIONS: only spec_id and partition
                                             count */
    size_t replaced_count;
    const struct ice_pair *set;     /* table properties set by the same commit, as they are now; */
    size_t set_count;               /* check() may point these elsewhere before each attempt */
    const struct ice_pair *summary; /* added to the snapshot's summary */
    size_t summary_count;
    int64_t base_snapshot; /* 0: whatever is there; else (-1: none) the current snapshot must still
                              be this one, or KOL_CONFLICT */
    /* Called with the version that the next attempt builds on, before each attempt; what it returns
     * other than KOL_OK ends the commit with that status. May be NULL. */
    ice_check_fn *check;
    void *user;
    int keep_snapshots; /* newest ones kept by the inline expiry; 0 takes ICE_KEEP_SNAPSHOTS */
};

enum {
    ICE_KEEP_SNAPSHOTS = 100,  /* older ones are dropped from the metadata with each commit ... */
    ICE_MERGE_MANIFESTS = 100, /* so many small manifests become one with the next commit */
    ICE_TARGET_MANIFEST = 8 << 20, /* bytes from which a manifest is left as it is */
    ICE_READER_GRACE_MS =
        5 * 60 * 1000, /* what a snapshot reached outlives its successor so long */
};

/*
 * Makes the change. Retries a lost race with jitter for up to 2 minutes, rebuilding on the newest
 * version. Inline expiry forgets snapshots beyond `keep_snapshots` that no ref names. What only
 * they reached is removed so late that a reader who holds one goes on: manifest lists and manifests
 * ICE_READER_GRACE_MS after the snapshot was followed by another, data files after the table
 * property history.expire.max-snapshot-age-ms (default 5 days). What is younger when its snapshot
 * is forgotten, or cannot be told cheaply (a history with branches), is left for
 * ice_remove_orphans(). `out` may be NULL; else the new version. KOL_UNKNOWN: files must not be
 * removed. KOL_CONFLICT also where a file of the change is not there (any more).
 */
enum kol_status ice_commit(struct catalog *catalog, struct ice_ident ident,
                           struct ice_change *change, struct ice_metadata **out,
                           struct kol_error *err) KOL_CHECKED;

/*
 * Brings the table's schema to what is declared: a column with an id that is not there is added,
 * one whose name differs is renamed, a type that may be widened is widened (int to long, float to
 * double, decimal to more digits), docs are taken over. Columns that are not declared stay.
 * KOL_INVALID for a change that the format forbids. Does nothing where all is equal.
 */
enum kol_status ice_evolve(struct catalog *catalog, struct ice_ident ident,
                           const struct ice_schema *declared, struct kol_error *err) KOL_CHECKED;

/* The same, but a declared column with a new id whose name another column has takes its place: the
 * old one is dropped, and rows that are there have no value in the new one. For tables whose rows
 * are all written anew. KOL_INVALID where the table is partitioned or sorted by the old one. */
enum kol_status ice_evolve_replacing(struct catalog *catalog, struct ice_ident ident,
                                     const struct ice_schema *declared,
                                     struct kol_error *err) KOL_CHECKED;

/* Whether a column of the first type may become one of the second without rewriting a file. */
bool ice_may_widen(const struct ice_field *from, const struct ice_field *to);

/* ---- upkeep ---- */

struct ice_upkeep {
    int64_t snapshots, manifests, data_files, other_files, bytes; /* done, or found by a dry run */
};

/* Forgets snapshots older than `before_ms` beyond the newest `keep`, and removes what only they
 * reached. */
enum kol_status ice_expire(struct catalog *catalog, struct ice_ident ident, int64_t before_ms,
                           int keep, bool dry_run, struct ice_upkeep *done,
                           struct kol_error *err) KOL_CHECKED;

/* Writes the live entries of all manifests anew, grouped by partition, where that leaves fewer
 * manifests. `check` (or NULL) may add to the summary of the new snapshot, as in a change. */
enum kol_status ice_rewrite_manifests(struct catalog *catalog, struct ice_ident ident, bool dry_run,
                                      ice_check_fn *check, void *user, struct ice_upkeep *done,
                                      struct kol_error *err) KOL_CHECKED;

/* Removes files under the table's location that no snapshot and no metadata log entry reaches and
 * that were modified before `before_us`. */
enum kol_status ice_remove_orphans(struct catalog *catalog, struct ice_ident ident,
                                   int64_t before_us, bool dry_run, struct ice_upkeep *done,
                                   struct kol_error *err) KOL_CHECKED;

/* A location for a new data file of the table, never given twice, appended to `out`. */
void ice_new_data_location(const struct ice_metadata *metadata, struct buf *out);

/* "append", "overwrite", "replace": the word in a snapshot's summary. */
const char *ice_operation_text(enum ice_operation operation);

#endif
