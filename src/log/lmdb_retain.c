/*
 * lmdb_retain.c: letting go of old records.
 *
 * A partition loses whole chunks from its front: those older than the topic's retention, and those
 * that make it larger than its bytes allow (its newest chunk stays then, however large). Appends do
 * a little of it each time, so that a log which is written to stays bounded without a job;
 * bus_retain() does the rest.
 */
#include <stdlib.h>

#include "base/logger.h"
#include "base/metrics.h"
#include "log/lmdb_bus.h"

enum { CHUNKS_PER_COMMIT = 512 }; /* bus_retain(): so that writers get their turn in between */

static bool may_go(const struct lmdb_topic *topic, const struct partition_row *row,
                   const struct chunk_header *header, int64_t now_us)
{
    const struct topic_row *rule = &topic->row;
    if (rule->retention_us > 0 && header->append_us < now_us - rule->retention_us) {
        return true;
    }
    return rule->retention_bytes > 0 && row->bytes > rule->retention_bytes &&
           header->id.base + header->count < row->end;
}

static enum kol_status drop_front(struct lmdb_bus *bus, MDB_cursor *cursor,
                                  const struct chunk_header *header, struct partition_row *row,
                                  struct kol_error *err)
{
    int rc = mdb_cursor_del(cursor, 0);
    if (rc) {
        return env_fail(bus->env, rc, "drop old records", err);
    }
    row->start = header->id.base + header->count;
    row->bytes -= (int64_t)header->payload;
    return KOL_OK;
}

enum kol_status lmdb_retain_partition(struct lmdb_bus *bus, MDB_txn *txn,
                                      const struct lmdb_topic *topic, int32_t partition,
                                      struct partition_row *row, int64_t now_us, int max_chunks,
                                      bool *more, struct kol_error *err)
{
    MDB_cursor *cursor;
    *more = false;
    if (topic->row.retention_us <= 0 && topic->row.retention_bytes <= 0) {
        return KOL_OK;
    }
    int rc = mdb_cursor_open(txn, bus->env->dbi[DB_CHUNKS], &cursor);
    if (rc) {
        return env_fail(bus->env, rc, "drop old records", err);
    }
    enum kol_status status = KOL_OK;
    struct kol_error damage;
    for (int dropped = 0; status == KOL_OK && row->start < row->end; dropped++) {
        struct chunk_id id = {topic->row.id, partition, row->start};
        struct chunk_header header;
        struct str chunk;
        bool found;
        status = lmdb_chunk_seek(bus, cursor, id, &found, &header, &chunk, &damage);
        if (status == KOL_CORRUPT) {
            /* Readers are told; an append must not fail for what lies in front of it. */
            log_warn("retention stops at a damaged chunk: %s", damage.message);
            status = KOL_OK;
            break;
        }
        if (status != KOL_OK || !found || !may_go(topic, row, &header, now_us)) {
            break;
        }
        if (dropped == max_chunks) {
            *more = true;
            break;
        }
        status = drop_front(bus, cursor, &header, row, &damage);
    }
    mdb_cursor_close(cursor);
    return status == KOL_OK ? KOL_OK : kol_fail(err, status, "%s", damage.message);
}

/* One commit's worth of one partition. */
static enum kol_status retain_some(struct lmdb_bus *bus, const struct lmdb_topic *topic,
                                   int32_t partition, int64_t now_us, int64_t *dropped, bool *more,
                                   struct kol_error *err)
{
    MDB_txn *txn;
    struct partition_row row;
    enum kol_status status = env_begin(bus->env, 0, &txn, err);
    if (status != KOL_OK) {
        return status;
    }
    status = lmdb_partition_read(bus, txn, topic->row.id, partition, &row, err);
    const int64_t start = row.start;
    if (status == KOL_OK) {
        status = lmdb_retain_partition(bus, txn, topic, partition, &row, now_us, CHUNKS_PER_COMMIT,
                                       more, err);
    }
    if (status != KOL_OK || row.start == start) {
        env_abort(bus->env, &txn);
        return status;
    }
    status = lmdb_partition_write(bus, txn, topic->row.id, partition, &row, err);
    if (status != KOL_OK) {
        env_abort(bus->env, &txn);
        return status;
    }
    status = env_commit(bus->env, txn, err);
    if (status == KOL_OK) {
        *dropped += row.start - start;
        metrics_add(METRIC_LOG_RECORDS_DROPPED, topic->name, row.start - start);
    }
    return status;
}

/* LMDB uses the pages that a commit has freed only from the commit after the next: without this one
 * a log that is full would stay so until something small was written to it. */
static enum kol_status release_pages(struct lmdb_bus *bus, int64_t now_us, struct kol_error *err)
{
    MDB_txn *txn;
    enum kol_status status = env_begin(bus->env, 0, &txn, err);
    if (status != KOL_OK) {
        return status;
    }
    status = env_put(bus->env, txn, DB_META, STR("retained_us"), &now_us, sizeof now_us, err);
    if (status != KOL_OK) {
        env_abort(bus->env, &txn);
        return status;
    }
    return env_commit(bus->env, txn, err);
}

enum kol_status lmdb_retain(struct bus *base, int64_t now_us, int64_t *dropped,
                            struct kol_error *err)
{
    struct lmdb_bus *bus = (struct lmdb_bus *)base;
    struct bus_topic *topics;
    size_t count;
    enum kol_status status = lmdb_topics(base, &topics, &count, err);
    for (size_t i = 0; i < count && status == KOL_OK; i++) {
        struct lmdb_topic *topic;
        status = lmdb_topic_find(bus, topics[i].name, &topic, err);
        for (int32_t p = 0; p < topics[i].partitions && status == KOL_OK; p++) {
            bool more = true;
            while (status == KOL_OK && more) {
                status = retain_some(bus, topic, p, now_us, dropped, &more, err);
            }
        }
    }
    free(topics);
    return status == KOL_OK && *dropped ? release_pages(bus, now_us, err) : status;
}
