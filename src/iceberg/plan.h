/*
 * plan.h: the manifests that a commit's snapshot is made of. Private to the room.
 */
#ifndef ICEBERG_PLAN_H
#define ICEBERG_PLAN_H

#include "iceberg/parts.h"
#include "iceberg/table.h"

/* Locations that an attempt has written and that go again if it does not win; in memory of their
 * own. */
struct ice_written {
    char **locations;
    size_t count;
};

void ice_written_note(struct ice_written *written, const char *location);
void ice_written_remove(struct ice_written *written, struct storage *storage); /* and empties it */
void ice_written_forget(struct ice_written *written);

/* One attempt of a commit: from the version that it builds on to the list of manifests. */
struct ice_plan {
    struct storage *storage;
    const struct ice_metadata *base;
    const struct ice_change *change;
    struct arena *arena; /* of the attempt */
    int64_t snapshot_id, sequence_number;
    const char *uuid; /* of the commit: the manifests are <uuid>-m0.avro, -m1.avro, ... */
    int *manifest_number;
    struct ice_written *written;
    struct ice_manifest *manifests; /* result; for free() */
    size_t count, room;
    /* What the snapshot adds and takes away, for its summary. */
    int64_t added_files, added_rows, added_bytes;
    int64_t deleted_files, deleted_rows, deleted_bytes;
    int64_t regrouped; /* manifests that gave way to others with the same files */
};

/* Writes the entries as manifests of their specs (a new file for every ICE_PLAN_ENTRIES) and adds
 * these to the plan. */
enum kol_status ice_plan_write(struct ice_plan *plan, const struct ice_entry *entries, size_t count,
                               struct kol_error *err) KOL_CHECKED;

/* Writes the change's files as added entries; also on their own, before any attempt, because what
 * an append writes stays right whoever else commits. */
enum kol_status ice_plan_add_files(struct ice_plan *plan, struct kol_error *err) KOL_CHECKED;

/* What becomes of the manifests that are there, by the operation. */
enum kol_status ice_plan_old(struct ice_plan *plan, const struct ice_manifest *old, size_t count,
                             struct kol_error *err) KOL_CHECKED;

enum { ICE_PLAN_ENTRIES = 5000 };

#endif
