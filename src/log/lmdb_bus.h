/*
 * lmdb_bus.h: what the files of the LMDB back end share.
 *
 *   lmdb.c         the front: opening, topics, partitions
 *   lmdb_env.c     the environment: layout, transactions, errors
 *   lmdb_chunk.c   the bytes of a run of records
 *   lmdb_append.c  producers, the group commit, marks
 *   lmdb_retain.c  letting go of old records
 *   lmdb_copy.c    a copy of the whole log
 *   lmdb_read.c    consumers
 *   lmdb_group.c   consumer groups: members, shares, places
 */
#ifndef LOG_LMDB_BUS_H
#define LOG_LMDB_BUS_H

#include <lmdb.h>
#include <pthread.h>

#include "log/bus_ops.h"
#include "log/lmdb_chunk.h"
#include "log/lmdb_env.h"

/* ---- rows of the tables ---- */

struct topic_row {
    uint32_t id;
    int32_t partitions;
    int64_t retention_us, retention_bytes;
};

struct partition_row {
    int64_t start; /* first offset that is kept; `end` where nothing is */
    int64_t end;   /* offset of the next record */
    int64_t bytes; /* keys and values that are kept */
};

struct group_row {
    uint64_t generation;  /* goes up by one when a member comes, leaves or is given up */
    uint64_t next_member; /* id that the next one to join gets */
};

struct member_row {
    uint64_t acked;   /* the generation for which it has let go of everything */
    int64_t until_us; /* end of its lease */
    int64_t lease_us;
    uint64_t topic_count; /* that many uint32_t topic ids follow, ascending */
};

/* ---- the bus ---- */

/* A topic never changes once it is made, so a pointer to one is good until the bus is closed. */
struct lmdb_topic {
    char name[BUS_MAX_NAME + 1];
    struct topic_row row;
    struct lmdb_topic *next;
};

struct commit_request;

struct lmdb_bus {
    struct bus base;
    struct env *env;
    struct bus_topic_config defaults;

    pthread_mutex_t topics_lock;
    struct lmdb_topic *topics; /* those that were looked up so far */

    /* Group commit: whoever finds no leader becomes it and commits for all that wait by then. */
    pthread_mutex_t commit_lock;
    pthread_cond_t committed; /* a commit has ended; waiting consumers listen too */
    struct commit_request *queue, **queue_end;
    bool leading;
};

/* What a commit says for a consumer: its places, and by what right it holds them. */
struct place_commit {
    char *group;
    uint64_t member; /* 0: not a member, places were assigned by hand */
    uint64_t generation;
    size_t count;
    struct {
        uint32_t topic;
        int32_t partition;
        int64_t next;
    } places[];
};

/* Work for one commit. All of it becomes visible, or nothing. */
struct commit_request {
    struct lmdb_producer *producer;      /* NULL: places alone */
    struct place_commit *const *offsets; /* with their count */
    size_t offset_count;

    enum kol_status status;
    struct kol_error err;
    bool done;
    struct commit_request *next;
};

/* Queues the request and returns when it has been tried. The caller owns it again. */
enum kol_status lmdb_commit(struct lmdb_bus *bus, struct commit_request *request,
                            struct kol_error *err) KOL_CHECKED;

/* ---- topics and partitions (lmdb.c) ---- */

/* The topic, or KOL_NOT_FOUND. */
enum kol_status lmdb_topic_find(struct lmdb_bus *bus, const char *name, struct lmdb_topic **out,
                                struct kol_error *err) KOL_CHECKED;
/* The topic, made with the defaults where there is none. */
enum kol_status lmdb_topic_need(struct lmdb_bus *bus, const char *name, struct lmdb_topic **out,
                                struct kol_error *err) KOL_CHECKED;
/* The topic of an id, or NULL where it was never looked up nor read by lmdb_topic_find(). */
struct lmdb_topic *lmdb_topic_of_id(struct lmdb_bus *bus, uint32_t id);

enum kol_status lmdb_topic_create(struct bus *bus, const char *name,
                                  const struct bus_topic_config *config, struct kol_error *err);
enum kol_status lmdb_topics(struct bus *bus, struct bus_topic **out, size_t *count,
                            struct kol_error *err);
enum kol_status lmdb_topic_get(struct bus *bus, const char *name, struct bus_topic *out,
                               struct kol_error *err);
enum kol_status lmdb_partition_get(struct bus *bus, const char *topic, int32_t partition,
                                   struct bus_partition *out, struct kol_error *err);

/* The row of a partition; zeros where nothing was ever appended. */
enum kol_status lmdb_partition_read(struct lmdb_bus *bus, MDB_txn *txn, uint32_t topic,
                                    int32_t partition, struct partition_row *out,
                                    struct kol_error *err) KOL_CHECKED;
enum kol_status lmdb_partition_write(struct lmdb_bus *bus, MDB_txn *txn, uint32_t topic,
                                     int32_t partition, const struct partition_row *row,
                                     struct kol_error *err) KOL_CHECKED;
enum kol_status lmdb_check_partition(const struct lmdb_topic *topic, int32_t partition,
                                     struct kol_error *err) KOL_CHECKED;

/* ---- chunks in the table (lmdb_read.c, lmdb_retain.c) ---- */

/* Positions `cursor` at the chunk that holds offset `want`, else at the first one behind it. False
 * in
 * `*found` where the partition has neither. The header is checked, the checksum is not. */
enum kol_status lmdb_chunk_seek(struct lmdb_bus *bus, MDB_cursor *cursor, struct chunk_id want,
                                bool *found, struct chunk_header *header, struct str *chunk,
                                struct kol_error *err) KOL_CHECKED;

/* Drops from the front of a partition what its retention lets go, at most `max_chunks` (`*more`:
 * there was more to drop), and changes `row` accordingly. */
enum kol_status lmdb_retain_partition(struct lmdb_bus *bus, MDB_txn *txn,
                                      const struct lmdb_topic *topic, int32_t partition,
                                      struct partition_row *row, int64_t now_us, int max_chunks,
                                      bool *more, struct kol_error *err) KOL_CHECKED;
enum kol_status lmdb_retain(struct bus *bus, int64_t now_us, int64_t *dropped,
                            struct kol_error *err);

/* ---- a copy (lmdb_copy.c) ---- */

enum kol_status lmdb_copy(struct bus *bus, const char *folder, struct bus_copying *copying,
                          struct kol_error *err);

/* ---- producers (lmdb_append.c) ---- */

enum kol_status lmdb_producer_open(struct bus *bus, const struct bus_producer_options *options,
                                   struct bus_producer **out, struct kol_error *err);
void lmdb_producer_close(struct bus_producer *producer);
enum kol_status lmdb_produce(struct bus_producer *producer, const char *topic, int32_t partition,
                             struct str key, struct str value, int64_t timestamp_us,
                             struct kol_error *err);
size_t lmdb_pending_bytes(const struct bus_producer *producer);
enum kol_status lmdb_producer_commit(struct bus_producer *producer, struct kol_error *err);
void lmdb_producer_abort(struct bus_producer *producer);
int64_t lmdb_last_offset(const struct bus_producer *producer, const char *topic, int32_t partition);
enum kol_status lmdb_txn_offsets(struct bus_producer *producer, struct bus_consumer *consumer,
                                 struct kol_error *err);
enum kol_status lmdb_txn_mark(struct bus_producer *producer, const char *name, struct str value,
                              struct kol_error *err);
enum kol_status lmdb_mark_get(struct bus *bus, const char *name, struct buf *out,
                              struct kol_error *err);

/* ---- consumers (lmdb_read.c) ---- */

/* One partition that a consumer reads. */
struct read_place {
    struct lmdb_topic *topic;
    int32_t partition;
    int64_t next; /* offset that the next poll hands out */
    /* The chunk that `next` lies in, where a poll stopped inside it: its checksum is known to be
     * good and `at` is where the record lies. -1: none. */
    int64_t chunk_base;
    size_t chunk_at;
};

struct lmdb_consumer {
    struct bus_consumer base;
    struct lmdb_bus *bus;
    struct bus_consumer_options options; /* `group` is a copy */

    struct read_place *places;
    size_t place_count, place_cap;
    size_t turn; /* the place that the next poll looks at first */

    MDB_txn *txn; /* keeps the views of the last batch valid; NULL where it was empty */
    struct bus_record *records;
    size_t record_cap;
    struct bus_place *shown; /* what bus_position() last handed out, room for place_cap */

    /* Of a member of a group (lmdb_group.c). */
    bool subscribed;
    bool holds;          /* an assignment is in effect: `places` are ours alone */
    uint64_t member;     /* 0: not joined, or given up by the others */
    uint64_t generation; /* the one that was acknowledged last */
    uint32_t *topic_ids; /* ascending */
    size_t topic_count;
    int64_t beat_us; /* wall clock: when the lease must be renewed */
};

enum kol_status lmdb_consumer_open(struct bus *bus, const struct bus_consumer_options *options,
                                   struct bus_consumer **out, struct kol_error *err);
void lmdb_consumer_close(struct bus_consumer *consumer);
enum kol_status lmdb_assign(struct bus_consumer *consumer, const struct bus_place *places,
                            size_t count, struct kol_error *err);
enum kol_status lmdb_poll(struct bus_consumer *consumer, size_t max_records, size_t max_bytes,
                          int timeout_ms, struct bus_batch *out, struct kol_error *err);
size_t lmdb_position(struct bus_consumer *consumer, const struct bus_place **out);

/* Adds a place / forgets all of them. */
void lmdb_place_add(struct lmdb_consumer *consumer, struct lmdb_topic *topic, int32_t partition,
                    int64_t next);
void lmdb_places_clear(struct lmdb_consumer *consumer);

/* ---- groups (lmdb_group.c) ---- */

enum kol_status lmdb_subscribe(struct bus_consumer *consumer, const char *const *topics,
                               size_t count, struct kol_error *err);
enum kol_status lmdb_consumer_commit(struct bus_consumer *consumer, struct kol_error *err);
/* A member's part of a poll: lets go, acknowledges, takes its share, renews its lease, each when it
 * is due. `*seen`: the newest transaction that it took into account. */
enum kol_status lmdb_group_step(struct lmdb_consumer *consumer, uint64_t *seen,
                                struct kol_error *err) KOL_CHECKED;
/* Leaves the group, on_revoke first. */
void lmdb_group_leave(struct lmdb_consumer *consumer);

/* The consumer's places for a commit, for free(). */
struct place_commit *lmdb_places_snapshot(const struct lmdb_consumer *consumer);
void place_commit_free(struct place_commit *commit);
/* KOL_FENCED where the group no longer counts the committer as the owner. Writes nothing. */
enum kol_status lmdb_places_check(struct lmdb_bus *bus, MDB_txn *txn,
                                  const struct place_commit *commit,
                                  struct kol_error *err) KOL_CHECKED;
/* Writes the places and renews the lease of the member. */
enum kol_status lmdb_places_write(struct lmdb_bus *bus, MDB_txn *txn,
                                  const struct place_commit *commit,
                                  struct kol_error *err) KOL_CHECKED;

enum kol_status lmdb_group_place(struct bus *bus, const char *group, const char *topic,
                                 int32_t partition, int64_t *next, int64_t *lag,
                                 struct kol_error *err);
enum kol_status lmdb_groups(struct bus *bus, char (**out)[BUS_MAX_NAME + 1], size_t *count,
                            struct kol_error *err);

#endif
