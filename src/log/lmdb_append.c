/*
 * lmdb_append.c: producers, and the commit that they share.
 *
 * A producer copies records into one buffer a partition, already in the form that they have in a
 * chunk. A commit cuts the buffers into chunks, gives them their offsets and writes them, with
 * marks and places, in one LMDB transaction. The commit costs two waits for the disk, so threads
 * that want one at the same time share it: one leads and commits for all who are queued, the others
 * wait.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/logger.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "log/lmdb_bus.h"

enum {
    RETAIN_CHUNKS = 4, /* dropped at most beside twice what a commit adds to a partition */
    KEEP_BUFFER = 4 << 20,
};

/* The records that wait for one partition. */
struct part {
    struct buf records; /* in the form of a chunk */
    int64_t count;
    uint64_t payload;    /* keys and values */
    int64_t last_offset; /* of the last commit that had records for it, -1: none had */

    int64_t new_end; /* during a commit: what becomes of it if that succeeds */
    int64_t new_start, old_start;
};

/* A topic that the producer has written to. */
struct outlet {
    struct lmdb_topic *topic;
    struct part *parts; /* topic->row.partitions of them */
    bool waiting;       /* some part has records */
};

struct mark {
    char *name;
    struct buf value; /* empty: remove */
};

struct lmdb_producer {
    struct bus_producer base;
    struct lmdb_bus *bus;
    char *txn_id; /* NULL: plain */
    uint64_t epoch;

    struct outlet *outlets;
    size_t outlet_count;
    size_t last_outlet; /* the one that was used last: the next record mostly goes there too */
    size_t pending;     /* bytes in all buffers */

    struct mark *marks;
    size_t mark_count;
    struct place_commit **offsets;
    size_t offset_count;
};

static struct lmdb_bus *bus_of(const struct lmdb_producer *producer)
{
    return producer->bus;
}

/* ---- opening and filling ---- */

/* Takes over the name: whoever had it before is fenced from now on. */
static enum kol_status take_epoch(struct lmdb_bus *bus, struct str id, uint64_t *epoch,
                                  struct kol_error *err)
{
    MDB_txn *txn;
    bool found;
    *epoch = 0;
    enum kol_status status = env_begin(bus->env, 0, &txn, err);
    if (status != KOL_OK) {
        return status;
    }
    status = env_get(bus->env, txn, DB_PRODUCERS, id, epoch, sizeof *epoch, &found, err);
    ++*epoch;
    if (status == KOL_OK) {
        status = env_put(bus->env, txn, DB_PRODUCERS, id, epoch, sizeof *epoch, err);
    }
    if (status != KOL_OK) {
        env_abort(bus->env, &txn);
        return status;
    }
    return env_commit(bus->env, txn, err);
}

enum kol_status lmdb_producer_open(struct bus *base, const struct bus_producer_options *options,
                                   struct bus_producer **out, struct kol_error *err)
{
    struct lmdb_bus *bus = (struct lmdb_bus *)base;
    uint64_t epoch = 0;
    if (options->transactional_id) {
        enum kol_status status = take_epoch(bus, str_of(options->transactional_id), &epoch, err);
        if (status != KOL_OK) {
            return status;
        }
    }
    struct lmdb_producer *producer = mem_zalloc(1, sizeof *producer);
    producer->base.bus = base;
    producer->bus = bus;
    producer->txn_id = options->transactional_id ? mem_strdup(options->transactional_id) : NULL;
    producer->epoch = epoch;
    *out = &producer->base;
    return KOL_OK;
}

void lmdb_producer_close(struct bus_producer *base)
{
    struct lmdb_producer *producer = (struct lmdb_producer *)base;
    lmdb_producer_abort(base);
    for (size_t i = 0; i < producer->outlet_count; i++) {
        struct outlet *outlet = &producer->outlets[i];
        for (int32_t p = 0; p < outlet->topic->row.partitions; p++) {
            buf_free(&outlet->parts[p].records);
        }
        free(outlet->parts);
    }
    free(producer->outlets);
    free(producer->marks);
    free(producer->offsets);
    free(producer->txn_id);
    free(producer);
}

static struct outlet *known_outlet(const struct lmdb_producer *producer, const char *topic)
{
    for (size_t i = 0; i < producer->outlet_count; i++) {
        size_t at = (producer->last_outlet + i) % producer->outlet_count;
        if (strcmp(producer->outlets[at].topic->name, topic) == 0) {
            return &producer->outlets[at];
        }
    }
    return NULL;
}

static enum kol_status find_outlet(struct lmdb_producer *producer, const char *name,
                                   struct outlet **out, struct kol_error *err)
{
    *out = known_outlet(producer, name);
    if (!*out) {
        struct lmdb_topic *topic;
        enum kol_status status = lmdb_topic_need(bus_of(producer), name, &topic, err);
        if (status != KOL_OK) {
            return status;
        }
        producer->outlets =
            mem_realloc(producer->outlets, (producer->outlet_count + 1) * sizeof **out);
        *out = &producer->outlets[producer->outlet_count++];
        **out = (struct outlet){
            .topic = topic,
            .parts = mem_zalloc((size_t)topic->row.partitions, sizeof *(*out)->parts),
        };
        for (int32_t p = 0; p < topic->row.partitions; p++) {
            (*out)->parts[p].last_offset = -1;
        }
    }
    producer->last_outlet = (size_t)(*out - producer->outlets);
    return KOL_OK;
}

enum kol_status lmdb_produce(struct bus_producer *base, const char *topic, int32_t partition,
                             struct str key, struct str value, int64_t timestamp_us,
                             struct kol_error *err)
{
    struct lmdb_producer *producer = (struct lmdb_producer *)base;
    struct outlet *outlet;
    enum kol_status status = find_outlet(producer, topic, &outlet, err);
    if (status == KOL_OK && partition != -1) {
        status = lmdb_check_partition(outlet->topic, partition, err);
    }
    if (status != KOL_OK) {
        return status;
    }
    if (partition < 0) {
        partition = hash_partition(key, outlet->topic->row.partitions);
    }
    struct part *part = &outlet->parts[partition];
    size_t before = part->records.len;
    chunk_put_record(&part->records, key, value, timestamp_us);
    part->count++;
    part->payload += key.len + value.len;
    producer->pending += part->records.len - before;
    outlet->waiting = true;
    return KOL_OK;
}

size_t lmdb_pending_bytes(const struct bus_producer *base)
{
    return ((const struct lmdb_producer *)base)->pending;
}

int64_t lmdb_last_offset(const struct bus_producer *base, const char *topic, int32_t partition)
{
    const struct outlet *outlet = known_outlet((const struct lmdb_producer *)base, topic);
    if (!outlet || partition < 0 || partition >= outlet->topic->row.partitions) {
        return -1;
    }
    return outlet->parts[partition].last_offset;
}

enum kol_status lmdb_txn_mark(struct bus_producer *base, const char *name, struct str value,
                              struct kol_error *err)
{
    struct lmdb_producer *producer = (struct lmdb_producer *)base;
    struct mark *mark = NULL;
    (void)err;
    for (size_t i = 0; i < producer->mark_count && !mark; i++) {
        mark = strcmp(producer->marks[i].name, name) == 0 ? &producer->marks[i] : NULL;
    }
    if (!mark) {
        producer->marks = mem_realloc(producer->marks, (producer->mark_count + 1) * sizeof *mark);
        mark = &producer->marks[producer->mark_count++];
        *mark = (struct mark){.name = mem_strdup(name)};
    }
    buf_clear(&mark->value);
    buf_put(&mark->value, value);
    return KOL_OK;
}

enum kol_status lmdb_txn_offsets(struct bus_producer *base, struct bus_consumer *consumer,
                                 struct kol_error *err)
{
    struct lmdb_producer *producer = (struct lmdb_producer *)base;
    (void)err;
    producer->offsets = mem_realloc(producer->offsets,
                                    (producer->offset_count + 1) * sizeof(struct place_commit *));
    producer->offsets[producer->offset_count++] =
        lmdb_places_snapshot((struct lmdb_consumer *)consumer);
    return KOL_OK;
}

static void forget_marks_and_offsets(struct lmdb_producer *producer)
{
    for (size_t i = 0; i < producer->mark_count; i++) {
        free(producer->marks[i].name);
        buf_free(&producer->marks[i].value);
    }
    producer->mark_count = 0;
    for (size_t i = 0; i < producer->offset_count; i++) {
        place_commit_free(producer->offsets[i]);
    }
    producer->offset_count = 0;
}

/* Empties a buffer; one that a single large batch has blown up is given back. */
static void part_clear(struct part *part)
{
    if (part->records.cap > KEEP_BUFFER) {
        buf_free(&part->records);
    }
    buf_clear(&part->records);
    part->count = 0;
    part->payload = 0;
}

void lmdb_producer_abort(struct bus_producer *base)
{
    struct lmdb_producer *producer = (struct lmdb_producer *)base;
    for (size_t i = 0; i < producer->outlet_count; i++) {
        struct outlet *outlet = &producer->outlets[i];
        for (int32_t p = 0; outlet->waiting && p < outlet->topic->row.partitions; p++) {
            part_clear(&outlet->parts[p]);
        }
        outlet->waiting = false;
    }
    producer->pending = 0;
    forget_marks_and_offsets(producer);
}

/* ---- what one request does inside the transaction ---- */

static enum kol_status check_epoch(struct lmdb_bus *bus, MDB_txn *txn,
                                   const struct lmdb_producer *producer, struct kol_error *err)
{
    uint64_t newest = 0;
    bool found;
    if (!producer->txn_id) {
        return KOL_OK;
    }
    enum kol_status status = env_get(bus->env, txn, DB_PRODUCERS, str_of(producer->txn_id), &newest,
                                     sizeof newest, &found, err);
    if (status == KOL_OK && newest != producer->epoch) {
        status =
            kol_fail(err, KOL_FENCED, "a newer producer has taken over the transactional id %s",
                     producer->txn_id);
    }
    return status;
}

static enum kol_status put_chunk(struct lmdb_bus *bus, MDB_txn *txn, struct chunk_header header,
                                 struct str records, struct kol_error *err)
{
    unsigned char key[CHUNK_KEY_SIZE];
    chunk_put_key(key, header.id);
    MDB_val k = {sizeof key, key}, v = {chunk_size(records.len), NULL};
    int rc = mdb_put(txn, bus->env->dbi[DB_CHUNKS], &k, &v, MDB_RESERVE | MDB_NOOVERWRITE);
    if (rc == MDB_KEYEXIST) {
        return kol_fail(err, KOL_CORRUPT,
                        "event log in %s: topic id %u partition %d has records at offset %lld, "
                        "where its end should be; restore it from a backup",
                        bus->env->path, header.id.topic, header.id.partition,
                        (long long)header.id.base);
    }
    if (rc) {
        return env_fail(bus->env, rc, "append", err);
    }
    chunk_write(v.mv_data, header, records);
    return KOL_OK;
}

static enum kol_status append_part(struct lmdb_bus *bus, MDB_txn *txn,
                                   const struct lmdb_topic *topic, int32_t partition,
                                   struct part *part, int64_t now_us, struct kol_error *err)
{
    struct partition_row row;
    bool more;
    int chunks = 0;
    enum kol_status status = lmdb_partition_read(bus, txn, topic->row.id, partition, &row, err);
    struct str rest = buf_str(&part->records);
    struct chunk_header header = {.append_us = now_us};
    part->old_start = row.start;
    while (status == KOL_OK && rest.len) {
        size_t len = chunk_cut(rest, &header.count, &header.payload);
        header.id = (struct chunk_id){topic->row.id, partition, row.end};
        status = put_chunk(bus, txn, header, (struct str){rest.ptr, len}, err);
        chunks++;
        row.end += header.count;
        row.bytes += (int64_t)header.payload;
        rest.ptr += len;
        rest.len -= len;
    }
    if (status == KOL_OK) {
        status = lmdb_retain_partition(bus, txn, topic, partition, &row, now_us,
                                       2 * chunks + RETAIN_CHUNKS, &more, err);
    }
    part->new_end = row.end;
    part->new_start = row.start;
    return status == KOL_OK ? lmdb_partition_write(bus, txn, topic->row.id, partition, &row, err)
                            : status;
}

static enum kol_status write_marks(struct lmdb_bus *bus, MDB_txn *txn,
                                   const struct lmdb_producer *producer, struct kol_error *err)
{
    for (size_t i = 0; i < producer->mark_count; i++) {
        const struct mark *mark = &producer->marks[i];
        MDB_val key = {strlen(mark->name), mark->name}, value = {mark->value.len, mark->value.ptr};
        int rc = value.mv_size ? mdb_put(txn, bus->env->dbi[DB_MARKS], &key, &value, 0)
                               : mdb_del(txn, bus->env->dbi[DB_MARKS], &key, NULL);
        if (rc && !(rc == MDB_NOTFOUND && !value.mv_size)) {
            return env_fail(bus->env, rc, "write a mark", err);
        }
    }
    return KOL_OK;
}

/* What can refuse this request alone; nothing is written, so that the others of the commit go on.
 */
static enum kol_status check_request(struct lmdb_bus *bus, MDB_txn *txn,
                                     const struct commit_request *request, struct kol_error *err)
{
    enum kol_status status =
        request->producer ? check_epoch(bus, txn, request->producer, err) : KOL_OK;
    for (size_t i = 0; i < request->offset_count && status == KOL_OK; i++) {
        status = lmdb_places_check(bus, txn, request->offsets[i], err);
    }
    return status;
}

static enum kol_status apply_request(struct lmdb_bus *bus, MDB_txn *txn,
                                     const struct commit_request *request, int64_t now_us,
                                     struct kol_error *err)
{
    struct lmdb_producer *producer = request->producer;
    enum kol_status status = KOL_OK;
    for (size_t i = 0; producer && i < producer->outlet_count && status == KOL_OK; i++) {
        struct outlet *outlet = &producer->outlets[i];
        int32_t count = outlet->waiting ? outlet->topic->row.partitions : 0;
        for (int32_t p = 0; p < count && status == KOL_OK; p++) {
            if (outlet->parts[p].count) {
                status = append_part(bus, txn, outlet->topic, p, &outlet->parts[p], now_us, err);
            }
        }
    }
    if (producer && status == KOL_OK) {
        status = write_marks(bus, txn, producer, err);
    }
    for (size_t i = 0; i < request->offset_count && status == KOL_OK; i++) {
        status = lmdb_places_write(bus, txn, request->offsets[i], err);
    }
    return status;
}

/* What the commit has made true of a request: offsets, metrics, empty buffers. */
static void settle_outlet(struct outlet *outlet)
{
    const char *name = outlet->topic->name;
    int64_t records = 0, bytes = 0, dropped = 0;
    for (int32_t p = 0; p < outlet->topic->row.partitions; p++) {
        struct part *part = &outlet->parts[p];
        if (part->count) {
            records += part->count;
            bytes += (int64_t)part->payload;
            dropped += part->new_start - part->old_start;
            part->last_offset = part->new_end - 1;
            part_clear(part);
        }
    }
    outlet->waiting = false;
    metrics_add(METRIC_LOG_RECORDS_APPENDED, name, records);
    metrics_add(METRIC_LOG_BYTES_APPENDED, name, bytes);
    if (dropped) {
        metrics_add(METRIC_LOG_RECORDS_DROPPED, name, dropped);
    }
}

static void settle_request(struct commit_request *request)
{
    struct lmdb_producer *producer = request->producer;
    for (size_t i = 0; producer && i < producer->outlet_count; i++) {
        if (producer->outlets[i].waiting) {
            settle_outlet(&producer->outlets[i]);
        }
    }
    if (producer) {
        producer->pending = 0;
        forget_marks_and_offsets(producer);
    }
}

/* ---- the shared commit ---- */

static enum kol_status fill_txn(struct lmdb_bus *bus, MDB_txn *txn, struct commit_request *list,
                                bool *work, struct kol_error *err)
{
    const int64_t now_us = clock_now_us();
    enum kol_status status = KOL_OK;
    *work = false;
    for (struct commit_request *at = list; at && status == KOL_OK; at = at->next) {
        at->status = check_request(bus, txn, at, &at->err);
        if (at->status == KOL_OK) {
            *work = true;
            status = apply_request(bus, txn, at, now_us, err);
        }
    }
    return status;
}

/* Tries to commit the whole list as one. Afterwards each request has its status. */
static enum kol_status try_commit(struct lmdb_bus *bus, struct commit_request *list)
{
    MDB_txn *txn;
    struct kol_error err = {0};
    bool work;
    const int64_t started_ns = clock_mono_ns();
    enum kol_status status = env_begin(bus->env, 0, &txn, &err);
    if (status == KOL_OK) {
        status = fill_txn(bus, txn, list, &work, &err);
        if (status == KOL_OK && work) {
            status = env_commit(bus->env, txn, &err);
        } else {
            env_abort(bus->env, &txn);
        }
    }
    for (struct commit_request *at = list; at; at = at->next) {
        if (status != KOL_OK) {
            at->status = status;
            at->err = err;
        } else if (at->status == KOL_OK) {
            settle_request(at);
        }
    }
    metrics_observe(METRIC_LOG_COMMIT_SECONDS, NULL, (double)(clock_mono_ns() - started_ns) / 1e9);
    return status;
}

/* Where there is no room left: drops all that retention lets go. True if that was something. */
static bool make_room(struct lmdb_bus *bus)
{
    struct kol_error err;
    int64_t dropped = 0;
    enum kol_status status = lmdb_retain(&bus->base, clock_now_us(), &dropped, &err);
    if (status != KOL_OK) {
        log_warn("retention could not make room in the event log: %s", err.message);
    }
    return status == KOL_OK && dropped > 0;
}

static void commit_each_alone(struct lmdb_bus *bus, struct commit_request *list)
{
    while (list) {
        struct commit_request *rest = list->next;
        list->next = NULL;
        (void)try_commit(bus, list); /* the request carries the outcome */
        list->next = rest;
        list = rest;
    }
}

/* Commits for all. If that fails, each alone: one that does not fit must not stop those that do. */
static void lead(struct lmdb_bus *bus, struct commit_request *list)
{
    enum kol_status status = try_commit(bus, list);
    if (status == KOL_NO_SPACE && make_room(bus)) {
        status = try_commit(bus, list);
    }
    if (status != KOL_OK && list->next) {
        commit_each_alone(bus, list);
    }
}

enum kol_status lmdb_commit(struct lmdb_bus *bus, struct commit_request *request,
                            struct kol_error *err)
{
    request->done = false;
    request->next = NULL;
    pthread_mutex_lock(&bus->commit_lock);
    *bus->queue_end = request;
    bus->queue_end = &request->next;
    while (bus->leading && !request->done) {
        pthread_cond_wait(&bus->committed, &bus->commit_lock);
    }
    if (!request->done) {
        struct commit_request *list = bus->queue;
        bus->queue = NULL;
        bus->queue_end = &bus->queue;
        bus->leading = true;
        pthread_mutex_unlock(&bus->commit_lock);
        lead(bus, list);
        pthread_mutex_lock(&bus->commit_lock);
        bus->leading = false;
        while (list) {
            struct commit_request *next = list->next; /* gone once its owner sees `done` */
            list->done = true;
            list = next;
        }
        pthread_cond_broadcast(&bus->committed);
    }
    pthread_mutex_unlock(&bus->commit_lock);
    if (request->status != KOL_OK && err) {
        *err = request->err;
    }
    return request->status;
}

enum kol_status lmdb_producer_commit(struct bus_producer *base, struct kol_error *err)
{
    struct lmdb_producer *producer = (struct lmdb_producer *)base;
    if (!producer->txn_id && !producer->pending && !producer->mark_count &&
        !producer->offset_count) {
        return KOL_OK;
    }
    struct commit_request request = {
        .producer = producer,
        .offsets = producer->offsets,
        .offset_count = producer->offset_count,
    };
    return lmdb_commit(bus_of(producer), &request, err);
}

enum kol_status lmdb_mark_get(struct bus *base, const char *name, struct buf *out,
                              struct kol_error *err)
{
    struct lmdb_bus *bus = (struct lmdb_bus *)base;
    MDB_txn *txn;
    enum kol_status status = env_begin(bus->env, MDB_RDONLY, &txn, err);
    if (status != KOL_OK) {
        return status;
    }
    MDB_val key = {strlen(name), (void *)(uintptr_t)name}, value;
    int rc = mdb_get(txn, bus->env->dbi[DB_MARKS], &key, &value);
    if (rc == 0) {
        buf_append(out, value.mv_data, value.mv_size);
    } else if (rc == MDB_NOTFOUND) {
        status = kol_fail(err, KOL_NOT_FOUND, "there is no mark %s", name);
    } else {
        status = env_fail(bus->env, rc, "read a mark", err);
    }
    env_abort(bus->env, &txn);
    return status;
}
