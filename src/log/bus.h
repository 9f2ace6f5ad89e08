/*
 * bus.h: the event log: topics, partitions, offsets, consumer groups, transactions.
 *
 * One interface, one file per back end (lmdb.c; Kafka joins as kafka.c), chosen once at start. The
 * words and the guarantees are Kafka's, so that a topic can move:
 *
 *   - a record goes to the partition that murmur2 of its key picks; order holds within a partition;
 *   - offsets grow but need not be dense; what is kept is always the *next* offset to read;
 *   - readers see only what is committed and durable;
 *   - what a producer has flushed without error survives kill -9 and power loss, once, in order;
 *   - a transaction makes its records, group offsets and marks visible as one, or not at all;
 *   - a consumer's place may be kept elsewhere (in a table's commit): bus_assign() + the caller's
 * own store, or bus_subscribe() + bus_txn_offsets() / bus_commit().
 *
 * Threads: a `struct bus` is shared by all threads of a process; a producer or a consumer belongs
 * to one thread at a time. Several processes may open the same log; each may write and read.
 */
#ifndef LOG_BUS_H
#define LOG_BUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

enum {
    BUS_MAX_NAME = 249,        /* bytes of a topic, group or transaction name, as in Kafka */
    BUS_MAX_RECORD = 8 << 20,  /* bytes of key and value together */
    BUS_MAX_PARTITIONS = 1024, /* of one topic */
    BUS_DEFAULT_PARTITIONS = 8,
};

struct bus;
struct bus_producer;
struct bus_consumer;

struct bus_options {
    const char *path;           /* LMDB: folder of the log, made if absent */
    int64_t map_bytes;          /* LMDB: most that the log may ever hold; 0 takes 256 GiB */
    int32_t default_partitions; /* of topics made on first use; 0 takes BUS_DEFAULT_PARTITIONS */
    int64_t retention_us;       /* default of new topics: age since append; 0 keeps for ever */
    int64_t retention_bytes;    /* default of new topics, per partition; 0 means no limit */
    bool read_only;             /* refuse to write; the log must exist */
};

/* Opens the log, making it where it is absent. KOL_CORRUPT, KOL_UNSUPPORTED (made by a newer
 * version) or KOL_IO with a message that says what to do. */
enum kol_status bus_open(const struct bus_options *options, struct bus **out,
                         struct kol_error *err) KOL_CHECKED;
void bus_close(struct bus **bus); /* its producers and consumers must be closed before */

/* ---- topics ---- */

struct bus_topic_config {
    int32_t partitions;      /* 0 takes the default */
    int64_t retention_us;    /* -1 takes the default, 0 keeps for ever */
    int64_t retention_bytes; /* per partition; -1 takes the default, 0 means no limit */
};

struct bus_topic {
    char name[BUS_MAX_NAME + 1];
    int32_t partitions;
    int64_t retention_us, retention_bytes;
};

struct bus_partition {
    int64_t start;    /* first offset that can still be read */
    int64_t end;      /* offset that the next record will get */
    int64_t bytes;    /* stored, keys and values */
    int64_t first_us; /* append time of the oldest and of the newest record; 0 where empty */
    int64_t last_us;
};

/* KOL_EXISTS where the topic is there; KOL_INVALID for a name outside [A-Za-z0-9._-]. */
enum kol_status bus_topic_create(struct bus *bus, const char *name,
                                 const struct bus_topic_config *config,
                                 struct kol_error *err) KOL_CHECKED;

/* All topics by name, in memory that the caller gives to free(). */
enum kol_status bus_topics(struct bus *bus, struct bus_topic **out, size_t *count,
                           struct kol_error *err) KOL_CHECKED;
enum kol_status bus_topic_get(struct bus *bus, const char *name, struct bus_topic *out,
                              struct kol_error *err) KOL_CHECKED; /* KOL_NOT_FOUND */
enum kol_status bus_partition_get(struct bus *bus, const char *topic, int32_t partition,
                                  struct bus_partition *out, struct kol_error *err) KOL_CHECKED;

/* Drops what the retention of each topic lets go, all at once (appends do a little each time).
 * `dropped` counts records. */
enum kol_status bus_retain(struct bus *bus, int64_t now_us, int64_t *dropped,
                           struct kol_error *err) KOL_CHECKED;

/* ---- a copy of the whole log ---- */

struct bus_copying {
    int64_t bytes;                               /* written so far */
    void (*on_bytes)(int64_t bytes, void *user); /* told now and then; may be NULL */
    void *user;
};

/*
 * Writes the log as it is at one moment into `folder`, made where it is absent, in place of a log
 * that lies there (which nobody may have open); synced, but for the folder itself. Others go on to
 * write. After an error what lay there lies there still. KOL_INTERRUPTED where a stop was asked
 * for; KOL_UNSUPPORTED by a back end that has no folder.
 */
enum kol_status bus_copy(struct bus *bus, const char *folder, struct bus_copying *copying,
                         struct kol_error *err) KOL_CHECKED;

/* ---- producing ---- */

struct bus_producer_options {
    /* NULL: plain producer. Else the name of a transactional producer: opening it fences every
     * older producer of the same name, whose commits then fail with KOL_FENCED. */
    const char *transactional_id;
};

enum kol_status bus_producer_open(struct bus *bus, const struct bus_producer_options *options,
                                  struct bus_producer **out, struct kol_error *err) KOL_CHECKED;
void bus_producer_close(struct bus_producer **producer); /* drops what was not flushed */

/* Copies one record into the producer's buffer. `partition` -1 takes the key's partition.
 * `timestamp_us` is the record's own time (event time). A topic that does not exist is made with
 * the defaults. KOL_INVALID if the record is too large or the partition does not exist. */
enum kol_status bus_produce(struct bus_producer *producer, const char *topic, int32_t partition,
                            struct str key, struct str value, int64_t timestamp_us,
                            struct kol_error *err) KOL_CHECKED;

/* Bytes waiting for a flush: callers flush at a size of their own choice. */
size_t bus_pending_bytes(const struct bus_producer *producer);

/* Makes all buffered records durable and visible; concurrent flushes of one process share a commit.
 * On an error nothing of the batch is visible, the buffer is kept, and the call may be repeated
 * (KOL_NO_SPACE: after space was made). */
enum kol_status bus_flush(struct bus_producer *producer, struct kol_error *err) KOL_CHECKED;

/* After a flush or a commit: the offset of the last record that went to this partition, -1 if none
 * did. */
int64_t bus_last_offset(const struct bus_producer *producer, const char *topic, int32_t partition);

/* ---- transactions: bus_produce() in between; bus_txn_commit() takes the place of bus_flush() ----
 */

/* Adds the consumer's place (all that it has polled) to the transaction. KOL_FENCED at commit where
 * the consumer's group has moved on without it. */
enum kol_status bus_txn_offsets(struct bus_producer *producer, struct bus_consumer *consumer,
                                struct kol_error *err) KOL_CHECKED;

/* Adds a small named value (a file position, a run's state; at most 64 KiB) to the transaction; an
 * empty value removes the mark. Plain producers may use it too, with bus_flush(). */
enum kol_status bus_txn_mark(struct bus_producer *producer, const char *name, struct str value,
                             struct kol_error *err) KOL_CHECKED;
enum kol_status bus_txn_commit(struct bus_producer *producer, struct kol_error *err) KOL_CHECKED;
void bus_txn_abort(struct bus_producer *producer); /* forgets what is buffered */

/* The value of a mark, appended to `out`; KOL_NOT_FOUND where there is none. */
enum kol_status bus_mark_get(struct bus *bus, const char *name, struct buf *out,
                             struct kol_error *err) KOL_CHECKED;

/* ---- consuming ---- */

struct bus_record {
    const char *topic;
    int32_t partition;
    int64_t offset;
    int64_t timestamp_us; /* given by the producer */
    int64_t append_us;    /* when the log took it */
    struct str key;
    struct str value;
};

/* One poll's worth. Records and texts are valid until the next call on the same consumer. */
struct bus_batch {
    const struct bus_record *records;
    size_t count;
};

struct bus_place {
    const char *topic;
    int32_t partition;
    int64_t next; /* offset to read next */
};

enum bus_start { BUS_EARLIEST, BUS_LATEST }; /* where a group without a place begins */

struct bus_consumer_options {
    const char *group; /* NULL: no group; places are the caller's business */
    enum bus_start start;
    int64_t lease_us; /* a member not heard of for so long is out of its group; 0 takes 10 s */
    void *user;       /* handed to the callbacks */

    /* Partitions come and go with the members of the group. Called from inside bus_poll() and
     * bus_consumer_close(), in the consumer's thread. on_revoke is the last moment to commit. */
    void (*on_assign)(struct bus_consumer *consumer, const struct bus_place *places, size_t count,
                      void *user);
    void (*on_revoke)(struct bus_consumer *consumer, const struct bus_place *places, size_t count,
                      void *user);

    /* Records below `next` were dropped by retention before this consumer read them; reading goes
     * on at `next`. An event, not an error: NULL ignores it. */
    void (*on_lost)(struct bus_consumer *consumer, const char *topic, int32_t partition,
                    int64_t from, int64_t next, void *user);
};

enum kol_status bus_consumer_open(struct bus *bus, const struct bus_consumer_options *options,
                                  struct bus_consumer **out, struct kol_error *err) KOL_CHECKED;
void bus_consumer_close(struct bus_consumer **consumer); /* leaves the group at once */

/* Reads these partitions from these places, whatever the group says; replaces what was assigned.
 * next < 0: from the earliest record (-2, BUS_FROM_START) or behind the last one (-1,
 * BUS_FROM_END). */
enum { BUS_FROM_END = -1, BUS_FROM_START = -2 };
enum kol_status bus_assign(struct bus_consumer *consumer, const struct bus_place *places,
                           size_t count, struct kol_error *err) KOL_CHECKED;

/* Joins the group and shares the partitions of these topics with its other members. */
enum kol_status bus_subscribe(struct bus_consumer *consumer, const char *const *topics,
                              size_t count, struct kol_error *err) KOL_CHECKED;

/*
 * Waits at most `timeout_ms` for records and hands out up to `max_records` and about `max_bytes` of
 * them (0: no limit of that kind; at least one record). An empty batch is no error. KOL_CORRUPT
 * names topic, partition and offset. Wakes early with KOL_INTERRUPTED where a stop was asked for.
 */
enum kol_status bus_poll(struct bus_consumer *consumer, size_t max_records, size_t max_bytes,
                         int timeout_ms, struct bus_batch *out, struct kol_error *err) KOL_CHECKED;

/* Makes the place behind everything that was polled the group's place. KOL_FENCED where the group
 * has given a partition to somebody else. */
enum kol_status bus_commit(struct bus_consumer *consumer, struct kol_error *err) KOL_CHECKED;

/* The consumer's current places, valid until the next call on it. */
size_t bus_position(struct bus_consumer *consumer, const struct bus_place **out);

/* The place of a group, -1 where it has none, and how many records lie behind it. */
enum kol_status bus_group_place(struct bus *bus, const char *group, const char *topic,
                                int32_t partition, int64_t *next, int64_t *lag,
                                struct kol_error *err) KOL_CHECKED;

/* Names of all groups, each once, as one block for free(): count strings of BUS_MAX_NAME + 1. */
enum kol_status bus_groups(struct bus *bus, char (**out)[BUS_MAX_NAME + 1], size_t *count,
                           struct kol_error *err) KOL_CHECKED;

#endif
