/* lmdb.c: the LMDB back end: opening it, its topics and what is known of their partitions. */
#include "log/lmdb_bus.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"

static void lmdb_bus_close(struct bus *base);

static const struct bus_ops lmdb_ops = {
    .close = lmdb_bus_close,
    .topic_create = lmdb_topic_create,
    .topics = lmdb_topics,
    .topic_get = lmdb_topic_get,
    .partition_get = lmdb_partition_get,
    .retain = lmdb_retain,
    .copy = lmdb_copy,
    .producer_open = lmdb_producer_open,
    .producer_close = lmdb_producer_close,
    .produce = lmdb_produce,
    .pending_bytes = lmdb_pending_bytes,
    .commit = lmdb_producer_commit,
    .abort = lmdb_producer_abort,
    .last_offset = lmdb_last_offset,
    .txn_offsets = lmdb_txn_offsets,
    .txn_mark = lmdb_txn_mark,
    .mark_get = lmdb_mark_get,
    .consumer_open = lmdb_consumer_open,
    .consumer_close = lmdb_consumer_close,
    .assign = lmdb_assign,
    .subscribe = lmdb_subscribe,
    .poll = lmdb_poll,
    .consumer_commit = lmdb_consumer_commit,
    .position = lmdb_position,
    .group_place = lmdb_group_place,
    .groups = lmdb_groups,
};

enum kol_status lmdb_bus_open(const struct bus_options *options, struct bus **out,
                              struct kol_error *err)
{
    struct lmdb_bus *bus = mem_zalloc(1, sizeof *bus);
    bus->base.ops = &lmdb_ops;
    enum kol_status status =
        env_open(&bus->env, options->path, options->map_bytes, options->read_only, err);
    if (status != KOL_OK) {
        free(bus);
        return status;
    }
    bus->defaults = (struct bus_topic_config){
        .partitions =
            options->default_partitions ? options->default_partitions : BUS_DEFAULT_PARTITIONS,
        .retention_us = options->retention_us,
        .retention_bytes = options->retention_bytes,
    };
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&bus->committed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&bus->topics_lock, NULL);
    pthread_mutex_init(&bus->commit_lock, NULL);
    bus->queue_end = &bus->queue;
    *out = &bus->base;
    return KOL_OK;
}

static void lmdb_bus_close(struct bus *base)
{
    struct lmdb_bus *bus = (struct lmdb_bus *)base;
    env_close(&bus->env);
    while (bus->topics) {
        struct lmdb_topic *next = bus->topics->next;
        free(bus->topics);
        bus->topics = next;
    }
    pthread_mutex_destroy(&bus->topics_lock);
    pthread_mutex_destroy(&bus->commit_lock);
    pthread_cond_destroy(&bus->committed);
    free(bus);
}

/* ---- topics ---- */

static struct lmdb_topic *known_topic(struct lmdb_bus *bus, const char *name)
{
    struct lmdb_topic *topic = bus->topics;
    while (topic && strcmp(topic->name, name) != 0) {
        topic = topic->next;
    }
    return topic;
}

/* Keeps a topic that was read; the one that is kept already wins. */
static struct lmdb_topic *keep_topic(struct lmdb_bus *bus, const char *name,
                                     const struct topic_row *row)
{
    pthread_mutex_lock(&bus->topics_lock);
    struct lmdb_topic *topic = known_topic(bus, name);
    if (!topic) {
        topic = mem_zalloc(1, sizeof *topic);
        strncpy(topic->name, name, BUS_MAX_NAME);
        topic->row = *row;
        topic->next = bus->topics;
        bus->topics = topic;
    }
    pthread_mutex_unlock(&bus->topics_lock);
    return topic;
}

struct lmdb_topic *lmdb_topic_of_id(struct lmdb_bus *bus, uint32_t id)
{
    pthread_mutex_lock(&bus->topics_lock);
    struct lmdb_topic *topic = bus->topics;
    while (topic && topic->row.id != id) {
        topic = topic->next;
    }
    pthread_mutex_unlock(&bus->topics_lock);
    return topic;
}

enum kol_status lmdb_topic_find(struct lmdb_bus *bus, const char *name, struct lmdb_topic **out,
                                struct kol_error *err)
{
    pthread_mutex_lock(&bus->topics_lock);
    *out = known_topic(bus, name);
    pthread_mutex_unlock(&bus->topics_lock);
    if (*out) {
        return KOL_OK;
    }
    MDB_txn *txn;
    struct topic_row row;
    bool found = false;
    enum kol_status status = env_begin(bus->env, MDB_RDONLY, &txn, err);
    if (status == KOL_OK) {
        status = env_get(bus->env, txn, DB_TOPICS, str_of(name), &row, sizeof row, &found, err);
        env_abort(bus->env, &txn);
    }
    if (status == KOL_OK && !found) {
        status = kol_fail(err, KOL_NOT_FOUND, "topic %.250s does not exist", name);
    }
    if (status == KOL_OK) {
        *out = keep_topic(bus, name, &row);
    }
    return status;
}

enum kol_status lmdb_topic_need(struct lmdb_bus *bus, const char *name, struct lmdb_topic **out,
                                struct kol_error *err)
{
    enum kol_status status = bus_check_topic(name, err);
    status = status == KOL_OK ? lmdb_topic_find(bus, name, out, err) : status;
    if (status == KOL_NOT_FOUND) {
        status = bus_topic_create(&bus->base, name, &bus->defaults, err);
        if (status == KOL_OK || status == KOL_EXISTS) { /* another process was faster */
            status = lmdb_topic_find(bus, name, out, err);
        }
    }
    return status;
}

static enum kol_status put_new_topic(struct lmdb_bus *bus, MDB_txn *txn, const char *name,
                                     struct topic_row *row, struct kol_error *err)
{
    struct topic_row there;
    uint64_t next_id = 1;
    bool found;
    enum kol_status status =
        env_get(bus->env, txn, DB_TOPICS, str_of(name), &there, sizeof there, &found, err);
    if (status == KOL_OK && found) {
        status = kol_fail(err, KOL_EXISTS, "topic %s exists, with %d partitions", name,
                          there.partitions);
    }
    if (status == KOL_OK) {
        status = env_get(bus->env, txn, DB_META, STR("next_topic"), &next_id, sizeof next_id,
                         &found, err);
    }
    row->id = (uint32_t)next_id++;
    if (status == KOL_OK) {
        status = env_put(bus->env, txn, DB_META, STR("next_topic"), &next_id, sizeof next_id, err);
    }
    if (status == KOL_OK) {
        status = env_put(bus->env, txn, DB_TOPICS, str_of(name), row, sizeof *row, err);
    }
    return status;
}

enum kol_status lmdb_topic_create(struct bus *base, const char *name,
                                  const struct bus_topic_config *config, struct kol_error *err)
{
    struct lmdb_bus *bus = (struct lmdb_bus *)base;
    const struct bus_topic_config *defaults = &bus->defaults;
    struct topic_row row = {
        .partitions = config->partitions ? config->partitions : defaults->partitions,
        .retention_us = config->retention_us < 0 ? defaults->retention_us : config->retention_us,
        .retention_bytes =
            config->retention_bytes < 0 ? defaults->retention_bytes : config->retention_bytes,
    };
    MDB_txn *txn;
    enum kol_status status = env_begin(bus->env, 0, &txn, err);
    if (status != KOL_OK) {
        return status;
    }
    status = put_new_topic(bus, txn, name, &row, err);
    if (status != KOL_OK) {
        env_abort(bus->env, &txn);
        return status;
    }
    return env_commit(bus->env, txn, err);
}

static void show_topic(struct bus_topic *out, struct str name, const struct topic_row *row)
{
    memset(out, 0, sizeof *out);
    memcpy(out->name, name.ptr, name.len < BUS_MAX_NAME ? name.len : BUS_MAX_NAME);
    out->partitions = row->partitions;
    out->retention_us = row->retention_us;
    out->retention_bytes = row->retention_bytes;
}

enum kol_status lmdb_topic_get(struct bus *base, const char *name, struct bus_topic *out,
                               struct kol_error *err)
{
    struct lmdb_topic *topic;
    enum kol_status status = lmdb_topic_find((struct lmdb_bus *)base, name, &topic, err);
    if (status == KOL_OK) {
        show_topic(out, str_of(topic->name), &topic->row);
    }
    return status;
}

enum kol_status lmdb_topics(struct bus *base, struct bus_topic **out, size_t *count,
                            struct kol_error *err)
{
    struct lmdb_bus *bus = (struct lmdb_bus *)base;
    MDB_txn *txn;
    MDB_cursor *cursor = NULL;
    MDB_val key, value;
    *out = NULL;
    *count = 0;
    enum kol_status status = env_begin(bus->env, MDB_RDONLY, &txn, err);
    if (status != KOL_OK) {
        return status;
    }
    int rc = mdb_cursor_open(txn, bus->env->dbi[DB_TOPICS], &cursor);
    rc = rc ? rc : mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
    while (rc == 0) {
        struct topic_row row;
        if (value.mv_size < sizeof row) {
            rc = MDB_CORRUPTED;
            break;
        }
        memcpy(&row, value.mv_data, sizeof row);
        *out = mem_realloc(*out, (*count + 1) * sizeof **out);
        show_topic(&(*out)[(*count)++], (struct str){key.mv_data, key.mv_size}, &row);
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    if (cursor) {
        mdb_cursor_close(cursor);
    }
    env_abort(bus->env, &txn);
    if (rc != MDB_NOTFOUND) {
        free(*out);
        *out = NULL;
        *count = 0;
        return env_fail(bus->env, rc, "list the topics", err);
    }
    return KOL_OK;
}

/* ---- partitions ---- */

enum kol_status lmdb_check_partition(const struct lmdb_topic *topic, int32_t partition,
                                     struct kol_error *err)
{
    if (partition < 0 || partition >= topic->row.partitions) {
        return kol_fail(err, KOL_INVALID, "topic %s has partitions 0 to %d, not %d", topic->name,
                        topic->row.partitions - 1, partition);
    }
    return KOL_OK;
}

static struct str partition_key(unsigned char bytes[CHUNK_KEY_SIZE], uint32_t topic,
                                int32_t partition)
{
    chunk_put_key(bytes, (struct chunk_id){topic, partition, 0});
    return (struct str){(const char *)bytes, 8};
}

enum kol_status lmdb_partition_read(struct lmdb_bus *bus, MDB_txn *txn, uint32_t topic,
                                    int32_t partition, struct partition_row *out,
                                    struct kol_error *err)
{
    unsigned char key[CHUNK_KEY_SIZE];
    bool found;
    *out = (struct partition_row){0};
    return env_get(bus->env, txn, DB_PARTITIONS, partition_key(key, topic, partition), out,
                   sizeof *out, &found, err);
}

enum kol_status lmdb_partition_write(struct lmdb_bus *bus, MDB_txn *txn, uint32_t topic,
                                     int32_t partition, const struct partition_row *row,
                                     struct kol_error *err)
{
    unsigned char key[CHUNK_KEY_SIZE];
    return env_put(bus->env, txn, DB_PARTITIONS, partition_key(key, topic, partition), row,
                   sizeof *row, err);
}

static enum kol_status append_time(struct lmdb_bus *bus, MDB_cursor *cursor, struct chunk_id id,
                                   int64_t *out, struct kol_error *err)
{
    struct chunk_header header;
    struct str chunk;
    bool found;
    enum kol_status status = lmdb_chunk_seek(bus, cursor, id, &found, &header, &chunk, err);
    *out = status == KOL_OK && found ? header.append_us : 0;
    return status;
}

enum kol_status lmdb_partition_get(struct bus *base, const char *name, int32_t partition,
                                   struct bus_partition *out, struct kol_error *err)
{
    struct lmdb_bus *bus = (struct lmdb_bus *)base;
    struct lmdb_topic *topic;
    struct partition_row row;
    MDB_txn *txn = NULL;
    MDB_cursor *cursor = NULL;
    memset(out, 0, sizeof *out);
    enum kol_status status = lmdb_topic_find(bus, name, &topic, err);
    status = status == KOL_OK ? lmdb_check_partition(topic, partition, err) : status;
    status = status == KOL_OK ? env_begin(bus->env, MDB_RDONLY, &txn, err) : status;
    if (status != KOL_OK) {
        return status;
    }
    status = lmdb_partition_read(bus, txn, topic->row.id, partition, &row, err);
    if (status != KOL_OK) {
        goto out;
    }
    int rc = mdb_cursor_open(txn, bus->env->dbi[DB_CHUNKS], &cursor);
    if (rc) {
        status = env_fail(bus->env, rc, "read", err);
        goto out;
    }
    *out = (struct bus_partition){.start = row.start, .end = row.end, .bytes = row.bytes};
    if (row.end > row.start) {
        struct chunk_id id = {topic->row.id, partition, row.start};
        status = append_time(bus, cursor, id, &out->first_us, err);
        id.base = row.end - 1;
        status = status == KOL_OK ? append_time(bus, cursor, id, &out->last_us, err) : status;
    }
out:
    if (cursor) {
        mdb_cursor_close(cursor);
    }
    env_abort(bus->env, &txn);
    return status;
}
