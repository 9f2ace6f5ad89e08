/*
 * ingest_parts.h: the pieces of an ingest: places in the log as a table keeps them, rows on their
 * way into files, dead letters on their way into kol.dead.
 */
#ifndef LAKE_INGEST_PARTS_H
#define LAKE_INGEST_PARTS_H

#include "domain/event.h"
#include "lake/ingest.h"
#include "lake/lake.h"
#include "log/bus.h"

/* ---- places: ingest_offsets.c ---- */

/* The table property that says how far the table has read the log. */
#define INGEST_OFFSETS_PROPERTY "kol.next-offsets"

/* The next offset of each partition of one topic; 0 where nothing was read. */
struct ingest_offsets {
    int64_t *next;
    int32_t count;
};

void ingest_offsets_free(struct ingest_offsets *offsets);
int64_t ingest_offsets_get(const struct ingest_offsets *offsets, int32_t partition);
void ingest_offsets_set(struct ingest_offsets *offsets, int32_t partition, int64_t next);
void ingest_offsets_copy(struct ingest_offsets *to, const struct ingest_offsets *from);
bool ingest_offsets_equal(const struct ingest_offsets *a, const struct ingest_offsets *b);

/* Reads the places of `topic` out of JSON such as {"kol.videos.raw": {"0": 12, "1": 7}}; NULL is
 * an empty map. `out` must be empty or hold an older answer. KOL_CORRUPT for anything else. */
enum kol_status ingest_offsets_read(const char *json, const char *topic, struct ingest_offsets *out,
                                    struct kol_error *err) KOL_CHECKED;

/* Appends such JSON: what `json` (or NULL) says of other topics stays. */
void ingest_offsets_write(const char *json, const char *topic, const struct ingest_offsets *offsets,
                          struct buf *out);

/* ---- events of one read: ingest_rows.c ---- */

/* An event that is good. */
struct ingest_row {
    int64_t event_time;
    const struct bus_record *record; /* of the consumer's batch */
};

/* The good events of one read of the log, in the order of the table. */
struct ingest_rows {
    int64_t now_us; /* when they were read */
    enum topic topic;
    struct ingest_row *rows;
    size_t count;
};

/* Threads that an ingest works with; at most INGEST_MAX_THREADS. */
enum { INGEST_MAX_THREADS = 8 };
size_t ingest_threads(const struct lake *lake);

struct ingest_reading {
    const struct bus_batch *batch;
    size_t threads;
    /* Called now and then with about how many records are looked at, by the calling thread. */
    void (*looked)(size_t records, void *user);
    void *user;
};

/* Records of a batch that are no good events, in their order; `places` is for free(). */
struct ingest_dead_places {
    size_t *places;
    size_t count;
};

/* Decodes a batch: `rows` (empty but for topic and time) takes the good events. KOL_INTERRUPTED
 * where a stop was asked for. */
enum kol_status ingest_rows_read(struct ingest_rows *rows, struct ingest_reading reading,
                                 struct ingest_dead_places *dead,
                                 struct kol_error *err) KOL_CHECKED;
void ingest_rows_free(struct ingest_rows *rows);

/* Decodes the record as an event of `topic`; false with the reason where it is dead. Given the same
 * time it gives the same answer. The event lives until the caller resets the arena. */
bool ingest_decode(const struct bus_record *record, enum topic topic, int64_t now_us,
                   struct arena *arena, struct event *event, struct kol_error *why);

/* ---- rows in the engine: ingest_stage.c ---- */

/* Sets the cells of one row of a bronze table; the row is the caller's to end. */
void ingest_append(struct engine_appender *appender, const struct event *event,
                   const struct bus_record *record, int64_t now_us);

/* Typed rows of one table in a temporary table of a session. */
struct ingest_stage {
    const struct lake_table *table;
    struct engine_session *session;
    struct engine_appender *appender;
    struct arena arena; /* of the schema */
    struct ice_schema schema;
    int64_t rows;
};

/* Gives the stage a session of its own and an empty table. On an error the stage may be closed. */
enum kol_status ingest_stage_open(struct ingest_stage *stage, struct engine *engine,
                                  const struct lake_table *table,
                                  const struct ice_metadata *metadata,
                                  struct kol_error *err) KOL_CHECKED;
void ingest_stage_close(struct ingest_stage *stage);

enum kol_status ingest_stage_add(struct ingest_stage *stage, const struct event *event,
                                 const struct bus_record *record, int64_t now_us,
                                 struct kol_error *err) KOL_CHECKED;

/* Makes what was added readable as INGEST_STAGE_TABLE, in the order in which it was. */
#define INGEST_STAGE_TABLE "kol_ingest_stage"
enum kol_status ingest_stage_flush(struct ingest_stage *stage, struct kol_error *err) KOL_CHECKED;

/* Drops all rows and the memory that they took. */
enum kol_status ingest_stage_clear(struct ingest_stage *stage, struct kol_error *err) KOL_CHECKED;

/* ---- files: ingest_write.c ---- */

/* Files that are in their place and in no table yet. */
struct ingest_files {
    struct arena *arenas; /* of each thread that wrote */
    size_t threads;
    struct ice_data_file *files;
    size_t count;
    int64_t bytes;
};

/*
 * Writes sorted rows as data files of the table, by several threads, each with runs of whole
 * partitions. On an error no file stays. KOL_UNSUPPORTED where the table is partitioned by
 * something other than a period of event_time.
 */
enum kol_status ingest_write(struct lake *lake, struct engine *engine,
                             const struct lake_table *table, const struct ice_metadata *metadata,
                             const struct ingest_rows *rows, struct ingest_files *out,
                             struct kol_error *err) KOL_CHECKED;
void ingest_files_free(struct ingest_files *files);

/* ---- dead letters: ingest_dead.c ---- */

/* Dead letters of one topic that are not sent yet, in the order of the log. */
struct ingest_dead {
    struct bus *bus;
    enum topic topic;
    struct ingest_letter {
        int32_t partition;
        int64_t offset;
        size_t start, len; /* in `texts` */
    } * letters;
    size_t count, cap;
    struct buf texts;
};

void ingest_dead_init(struct ingest_dead *dead, struct bus *bus, enum topic topic);
void ingest_dead_free(struct ingest_dead *dead);
void ingest_dead_add(struct ingest_dead *dead, const struct bus_record *record, const char *reason,
                     int64_t now_us);

/*
 * Sends those that no run has sent yet, each once whoever else ingests: the mark
 * "ingest.dead.TOPIC", moved in the same transaction, says up to which offset of each partition
 * they are sent. Whatever is in the log below a table's place was sent before the place moved.
 */
enum kol_status ingest_dead_send(struct ingest_dead *dead, struct kol_error *err) KOL_CHECKED;
void ingest_dead_clear(struct ingest_dead *dead);

/* ---- a commit: ingest_commit.c ---- */

/* Files of one table with the places in the log that they lead from and to. */
struct ingest_batch {
    struct lake *lake;
    const struct lake_table *table;
    const char *topic;
    const struct ingest_offsets *start, *next;
    const struct ingest_files *files;
};

/*
 * Commits the files with the new places. `metadata`: the version that they were made for; on
 * success the new one. KOL_CONFLICT: the table's place is not `start` any more, nothing was added
 * and the files are removed. KOL_UNKNOWN: look at the table's place.
 */
enum kol_status ingest_commit(const struct ingest_batch *batch, struct ice_metadata **metadata,
                              struct kol_error *err) KOL_CHECKED;

/* ---- --from: ingest_replay.c ---- */

/* Reads TOPIC:PARTITION:OFFSET again up to the table's place and adds what the table lacks. */
enum kol_status ingest_replay(const struct ingest_options *options, struct engine *engine,
                              struct ingest_report *reports, size_t count,
                              struct kol_error *err) KOL_CHECKED;

/* KOL_USAGE for what is no TOPIC:PARTITION:OFFSET of an input topic. */
enum kol_status ingest_read_from(const char *from, enum topic *topic, int32_t *partition,
                                 int64_t *offset, struct kol_error *err) KOL_CHECKED;

#endif
