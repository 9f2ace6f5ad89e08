/*
 * write.h: files of one table in the making, one partition after the other.
 *
 * What lake_write() is made of, for those who have their rows in order already.
 */
#ifndef LAKE_WRITE_H
#define LAKE_WRITE_H

#include "lake/lake.h"

struct lake_writer {
    struct lake *lake;
    struct engine_session *session;
    const struct ice_metadata *metadata;
    struct arena *arena; /* of all that the files point to */
    const struct ice_partition_spec *spec;
    struct ice_schema schema; /* of the files */
    int64_t target_bytes;     /* of a data file, about: 128 MiB unless the caller says otherwise */
    int32_t order_id;         /* 0 where the files are not sorted */
    struct buf sort;          /* the list behind ORDER BY; empty where unsorted */

    struct ice_data_file *files; /* all that are in their place */
    size_t count, cap;
};

/* `metadata` is the version of the table that the files are made for; all that is given must
 * outlive the writer. */
void lake_writer_begin(struct lake_writer *writer, struct lake *lake,
                       struct engine_session *session, const struct lake_table *table,
                       const struct ice_metadata *metadata, struct arena *arena);
void lake_writer_end(struct lake_writer *writer); /* the files stay */

/* Writes the rows of `select`, all of one partition with these values (in the arena, one for each
 * field of the spec), in the order in which it gives them. */
enum kol_status lake_writer_add(struct lake_writer *writer, const char *select,
                                struct ice_value *values, struct kol_error *err) KOL_CHECKED;

/* Writes all rows of `select`, sorted and partitioned as the table wants, as lake_write() does; on
 * an error the files that were written are removed. */
enum kol_status lake_writer_run(struct lake_writer *writer, const char *select,
                                struct kol_error *err) KOL_CHECKED;

/* Removes files that no commit took. */
void lake_remove_files(struct lake *lake, const struct ice_data_file *files, size_t count);

#endif
