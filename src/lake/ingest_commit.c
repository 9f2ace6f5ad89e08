/*
 * ingest_commit.c: one batch of rows into its table, together with the place in the log that the
 * table has reached by it.
 *
 * The place is checked against the very version that the commit builds on, so of two runs that have
 * read the same records one commits and the other gives up.
 */
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "lake/ingest_parts.h"

void ingest_remove_files(struct lake *lake, const struct ice_data_file *files, size_t count)
{
    struct kol_error ignored;
    for (size_t i = 0; i < count; i++) {
        /* Best effort: what stays behind is an orphan that upkeep removes. */
        enum kol_status status = lake->storage->ops->remove(lake->storage, files[i].path, &ignored);
        (void)status;
    }
}

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

static void count_files(const struct ice_data_file *files, size_t count,
                        struct ingest_report *report)
{
    for (size_t i = 0; i < count; i++) {
        report->files++;
        report->bytes += files[i].bytes;
    }
    report->commits++;
}

enum kol_status ingest_commit(const struct ingest_batch *batch, struct ice_metadata **metadata,
                              struct ingest_report *report, struct kol_error *err)
{
    const struct lake_table *table = batch->stage->table;
    struct place_check check = {.batch = batch};
    struct ice_change change = {.operation = ICE_NO_DATA, .check = check_place, .user = &check};
    struct ice_data_file *files = NULL;
    struct ice_metadata *committed = NULL;
    struct arena arena;
    size_t count = 0;
    enum kol_status status = KOL_OK;
    arena_init(&arena, 0);
    if (batch->stage->rows) {
        status = ingest_stage_flush(batch->stage, err);
        FAILPOINT("ingest.staged");
        if (status == KOL_OK) {
            status = lake_write(batch->lake, batch->stage->session, table, *metadata,
                                "SELECT * FROM " INGEST_STAGE_TABLE, &arena, &files, &count, err);
        }
        change.operation = ICE_APPEND;
        change.files = files;
        change.file_count = count;
    }
    if (status == KOL_OK) {
        FAILPOINT("ingest.files");
        status =
            ice_commit(batch->lake->catalog, (struct ice_ident){table->name_space, table->name},
                       &change, &committed, err);
        if (status != KOL_OK && status != KOL_UNKNOWN) {
            ingest_remove_files(batch->lake, files, count);
        }
    }
    if (status == KOL_OK) {
        FAILPOINT("ingest.committed");
        ice_metadata_free(metadata);
        *metadata = committed;
        count_files(files, count, report);
    }
    buf_free(&check.json);
    arena_free(&arena);
    return status;
}
