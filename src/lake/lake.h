/*
 * lake.h: the lake of one data folder, opened: storage, catalog, the tables as declared, the
 * engine.
 *
 * What is where: DATA/lake/catalog.db (SQLite), DATA/lake/<namespace>/<table>/{data,metadata}/,
 * DATA/lake/.staging/ (files in the making; what a dead process left there is removed when old).
 * Threads: a lake is shared by all threads of a process; every open process may write.
 */
#ifndef LAKE_LAKE_H
#define LAKE_LAKE_H

#include "engine/engine.h"
#include "iceberg/catalog.h"
#include "iceberg/table.h"
#include "lake/tables.h"

struct lake {
    char *folder;  /* DATA/lake, absolute */
    char *staging; /* DATA/lake/.staging */
    struct storage *storage;
    struct catalog *catalog;
    const char *sql_folder;   /* lake.sql: the user's own SELECTs, or NULL */
    int64_t memory_bytes;     /* lake.memory: for the engine */
    int threads;              /* lake.threads */
    struct lake_ahead *ahead; /* an engine that is being opened, or NULL */
};

struct lake_options {
    const char *data;       /* DATA */
    const char *sql_folder; /* or NULL */
    int64_t memory_bytes;
    int threads;
    bool read_only; /* KOL_NOT_FOUND with the command that makes a lake where there is none */
    bool relocate;  /* make a lake that was moved at home where it is */
};

/* Opens the lake; where it was made at another path says so and names the command that repairs it
 * (KOL_CONFLICT). */
enum kol_status lake_open(const struct lake_options *options, struct lake **out,
                          struct kol_error *err) KOL_CHECKED;
void lake_close(struct lake **lake);

/* The current version of a declared table, which is made where it is absent and evolved where the
 * declaration has grown. */
enum kol_status lake_ensure(struct lake *lake, const struct lake_table *table,
                            struct ice_metadata **out, struct kol_error *err) KOL_CHECKED;

/* How many threads its engines have: lake.threads, or one per CPU. */
int lake_threads(const struct lake *lake);

/* Begins to open the engine that the next lake_engine() gives, on a thread of its own: for a
 * command that has something else to read meanwhile. One that nobody asks for ends with the lake.
 */
void lake_engine_ahead(struct lake *lake);

/* An engine in memory that spills under the staging folder. */
enum kol_status lake_engine(struct lake *lake, struct engine **out,
                            struct kol_error *err) KOL_CHECKED;

/* A version of a table for reading: by name, or by name and snapshot. */
struct lake_pin {
    char name_space[64], name[128];
    struct ice_metadata *metadata;
    int64_t snapshot_id; /* -1: the table has none */
    bool as_then;        /* asked for as it was: also the columns are those of the snapshot */
    struct ice_files files;
};

/* Takes the current snapshot of a table (`snapshot_id` 0) or one of its older ones. */
enum kol_status lake_pin(struct lake *lake, const char *name_space, const char *name,
                         int64_t snapshot_id, struct lake_pin *out,
                         struct kol_error *err) KOL_CHECKED;
void lake_unpin(struct lake_pin *pin);

/* The same by its whole name ("silver.kol_profiles"), as it was at `as_of`: a snapshot's number, a
 * time (RFC 3339) or a day; NULL: now. KOL_NOT_FOUND names the nearest table. */
enum kol_status lake_pin_named(struct lake *lake, const char *name, const char *as_of,
                               struct lake_pin *out, struct kol_error *err) KOL_CHECKED;

/* The columns as they were in the pinned snapshot; those of today where it is the current one and
 * was not asked for as of a snapshot or time. */
const struct ice_schema *lake_pin_schema(const struct lake_pin *pin);

/* The current version of one table, ready to be asked in a session of its own. */
struct lake_reader {
    struct lake_pin pin;
    struct engine *engine;
    struct engine_session *session;
};

/* On a failure nothing stays open; KOL_NOT_FOUND where there is no such table. */
enum kol_status lake_reader_open(struct lake *lake, const char *name_space, const char *name,
                                 struct lake_reader *out, struct kol_error *err) KOL_CHECKED;
void lake_reader_close(struct lake_reader *reader);

/* Makes `pin` readable in the session under its name ("silver.kol_profiles"). KOL_UNSUPPORTED for a
 * table of others that the engine cannot show: without columns, or with two whose names differ only
 * in upper and lower case. */
enum kol_status lake_view(struct engine_session *session, const struct lake_pin *pin,
                          struct kol_error *err) KOL_CHECKED;

/*
 * Writes the rows of a SELECT as data files of the table under its own location, sorted and
 * partitioned as declared, ready for ice_commit(). `select` gives the columns of the declared
 * schema by position. Files are in `arena`; on an error those already written are removed.
 * Memory stays bounded however many partitions there are.
 */
enum kol_status lake_write(struct lake *lake, struct engine_session *session,
                           const struct lake_table *table, const struct ice_metadata *metadata,
                           const char *select, struct arena *arena, struct ice_data_file **files,
                           size_t *count, struct kol_error *err) KOL_CHECKED;

#endif
