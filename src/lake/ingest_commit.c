/*
 * ingest_commit.c: the files of one read into their table, together with the place in the log that
 * the table has reached by it.
 *
 * The place is checked against the very version that the commit builds on, so of two runs that have
 * read the same records one commits and the other gives up.
 */
#include "base/failpoint.h"
#include "lake/ingest_parts.h"
#include "lake/write.h"

/* What check() needs and what it makes. */
struct place_check {
    const struct ingest_batch *batch;
    struct buf json; /* the new property */
    struct ice_pair pair;
};

/* The table must stand where the batch begins. Places of other topics stay as they are. */
static enum kol_status check_place(const struct ice_metadata *current, struct ice_change *change,
                                   void *user, struct kol_error *err)
{
    struct place_check *check = user;
    const struct ingest_batch *batch = check->batch;
    const char *json = ice_property(current, INGEST_OFFSETS_PROPERTY);
    struct ingest_offsets there = {0};
    enum kol_status status = ingest_offsets_read(json, batch->topic, &there, err);
    if (status == KOL_OK && !ingest_offsets_equal(&there, batch->start)) {
        status = kol_fail(err, KOL_CONFLICT, "another ingest has read these records of %s",
                          batch->topic);
    }
    if (status == KOL_OK) {
        buf_clear(&check->json);
        ingest_offsets_write(json, batch->topic, batch->next, &check->json);
        check->pair = (struct ice_pair){INGEST_OFFSETS_PROPERTY, check->json.ptr};
        change->set = change->summary = &check->pair;
        change->set_count = change->summary_count = 1;
    }
    ingest_offsets_free(&there);
    return status;
}

enum kol_status ingest_commit(const struct ingest_batch *batch, struct ice_metadata **metadata,
                              struct kol_error *err)
{
    const struct ice_ident ident = {batch->table->name_space, batch->table->name};
    struct place_check check = {.batch = batch};
    struct ice_change change = {
        .operation = batch->files->count ? ICE_APPEND : ICE_NO_DATA,
        .files = batch->files->files,
        .file_count = batch->files->count,
        .check = check_place,
        .user = &check,
    };
    struct ice_metadata *committed = NULL;
    FAILPOINT("ingest.files");
    enum kol_status status = ice_commit(batch->lake->catalog, ident, &change, &committed, err);
    if (status == KOL_OK) {
        FAILPOINT("ingest.committed");
        ice_metadata_free(metadata);
        *metadata = committed;
    } else if (status != KOL_UNKNOWN) {
        lake_remove_files(batch->lake, batch->files->files, batch->files->count);
    }
    buf_free(&check.json);
    return status;
}
