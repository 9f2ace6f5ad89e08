/*
 * lmdb_read.c: consumers: finding chunks, handing out views of their records, waiting for more.
 *
 * A batch's texts are views into the map. They hold while the read transaction that found them is
 * open; it is ended by the next poll, so a consumer that keeps a batch for long keeps LMDB from
 * using dropped pages again. While it waits it holds none.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/signals.h"
#include "log/lmdb_bus.h"

enum {
    DEFAULT_BYTES = 16 << 20, /* of a poll without any limit */
};

/* Between two looks for records of other processes. */
static const int64_t wait_min_ns = 200000, wait_max_ns = 4000000;

static const int64_t default_lease_us = 10 * CLOCK_US_PER_SECOND;

/* ---- opening, places ---- */

enum kol_status lmdb_consumer_open(struct bus *base, const struct bus_consumer_options *options,
                                   struct bus_consumer **out, struct kol_error *err)
{
    struct lmdb_consumer *consumer = mem_zalloc(1, sizeof *consumer);
    (void)err;
    consumer->base.bus = base;
    consumer->bus = (struct lmdb_bus *)base;
    consumer->options = *options;
    consumer->options.group = options->group ? mem_strdup(options->group) : NULL;
    if (consumer->options.lease_us <= 0) {
        consumer->options.lease_us = default_lease_us;
    }
    *out = &consumer->base;
    return KOL_OK;
}

void lmdb_consumer_close(struct bus_consumer *base)
{
    struct lmdb_consumer *consumer = (struct lmdb_consumer *)base;
    env_abort(consumer->bus->env, &consumer->txn);
    if (consumer->subscribed) {
        lmdb_group_leave(consumer);
    }
    free(consumer->places);
    free(consumer->shown);
    free(consumer->records);
    free(consumer->topic_ids);
    free((void *)(uintptr_t)consumer->options.group);
    free(consumer);
}

void lmdb_place_add(struct lmdb_consumer *consumer, struct lmdb_topic *topic, int32_t partition,
                    int64_t next)
{
    if (consumer->place_count == consumer->place_cap) {
        consumer->place_cap = consumer->place_cap ? consumer->place_cap * 2 : 16;
        consumer->places =
            mem_realloc(consumer->places, consumer->place_cap * sizeof *consumer->places);
        consumer->shown =
            mem_realloc(consumer->shown, consumer->place_cap * sizeof *consumer->shown);
    }
    consumer->places[consumer->place_count++] =
        (struct read_place){.topic = topic, .partition = partition, .next = next, .chunk_base = -1};
}

void lmdb_places_clear(struct lmdb_consumer *consumer)
{
    consumer->place_count = 0;
    consumer->turn = 0;
}

size_t lmdb_position(struct bus_consumer *base, const struct bus_place **out)
{
    struct lmdb_consumer *consumer = (struct lmdb_consumer *)base;
    for (size_t i = 0; i < consumer->place_count; i++) {
        const struct read_place *place = &consumer->places[i];
        consumer->shown[i] = (struct bus_place){place->topic->name, place->partition, place->next};
    }
    *out = consumer->shown;
    return consumer->place_count;
}

/* An offset for BUS_FROM_START and BUS_FROM_END. */
static enum kol_status resolve(struct lmdb_consumer *consumer, MDB_txn *txn,
                               const struct lmdb_topic *topic, const struct bus_place *place,
                               int64_t *next, struct kol_error *err)
{
    struct partition_row row;
    enum kol_status status =
        lmdb_partition_read(consumer->bus, txn, topic->row.id, place->partition, &row, err);
    *next = place->next >= 0 ? place->next : place->next == BUS_FROM_END ? row.end : row.start;
    return status;
}

enum kol_status lmdb_assign(struct bus_consumer *base, const struct bus_place *places, size_t count,
                            struct kol_error *err)
{
    struct lmdb_consumer *consumer = (struct lmdb_consumer *)base;
    MDB_txn *txn = NULL;
    enum kol_status status = KOL_OK;
    env_abort(consumer->bus->env, &consumer->txn);
    if (consumer->subscribed) {
        lmdb_group_leave(consumer);
    }
    lmdb_places_clear(consumer);
    for (size_t i = 0; i < count && status == KOL_OK; i++) {
        struct lmdb_topic *topic;
        int64_t next;
        status = lmdb_topic_find(consumer->bus, places[i].topic, &topic, err);
        if (status == KOL_OK) {
            status = lmdb_check_partition(topic, places[i].partition, err);
        }
        if (status == KOL_OK) {
            status = env_begin(consumer->bus->env, MDB_RDONLY, &txn, err);
        }
        if (status == KOL_OK) {
            status = resolve(consumer, txn, topic, &places[i], &next, err);
            env_abort(consumer->bus->env, &txn);
        }
        if (status == KOL_OK) {
            lmdb_place_add(consumer, topic, places[i].partition, next);
        }
    }
    if (status != KOL_OK) {
        lmdb_places_clear(consumer);
    }
    return status;
}

/* ---- chunks ---- */

static enum kol_status damaged(struct lmdb_bus *bus, struct chunk_id id, const char *what,
                               struct kol_error *err)
{
    const struct lmdb_topic *topic = lmdb_topic_of_id(bus, id.topic);
    return kol_fail(err, KOL_CORRUPT,
                    "topic %s partition %d offset %lld: the stored run of records that begins "
                    "there %s; restore the log from a backup, or read on behind it",
                    topic ? topic->name : "?", id.partition, (long long)id.base, what);
}

/* Whether the cursor's key is a chunk of the partition; *id is then its id. */
static bool same_partition(const MDB_val *key, struct chunk_id want, struct chunk_id *id)
{
    if (key->mv_size != CHUNK_KEY_SIZE) {
        return false;
    }
    *id = chunk_read_key(key->mv_data);
    return id->topic == want.topic && id->partition == want.partition;
}

static enum kol_status take_chunk(struct lmdb_bus *bus, struct chunk_id id, const MDB_val *value,
                                  struct chunk_header *header, struct str *chunk,
                                  struct kol_error *err)
{
    *chunk = (struct str){value->mv_data, value->mv_size};
    if (!chunk_read_header(*chunk, id, header)) {
        return damaged(bus, id, "has no valid header", err);
    }
    return KOL_OK;
}

enum kol_status lmdb_chunk_seek(struct lmdb_bus *bus, MDB_cursor *cursor, struct chunk_id want,
                                bool *found, struct chunk_header *header, struct str *chunk,
                                struct kol_error *err)
{
    unsigned char bytes[CHUNK_KEY_SIZE];
    chunk_put_key(bytes, want);
    MDB_val key = {sizeof bytes, bytes}, value;
    struct chunk_id id;
    *found = false;
    int rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    bool behind = rc == 0 && same_partition(&key, want, &id);
    if (behind && id.base == want.base) {
        *found = true;
        return take_chunk(bus, id, &value, header, chunk, err);
    }
    if (rc == 0 || rc == MDB_NOTFOUND) {
        /* No chunk begins at the offset: it lies inside the one in front, or was dropped. */
        rc = mdb_cursor_get(cursor, &key, &value, rc == 0 ? MDB_PREV : MDB_LAST);
    }
    if (rc == 0 && same_partition(&key, want, &id)) {
        enum kol_status status = take_chunk(bus, id, &value, header, chunk, err);
        if (status != KOL_OK || id.base + header->count > want.base) {
            *found = true;
            return status;
        }
    }
    if (behind) {
        chunk_put_key(bytes, want);
        key = (MDB_val){sizeof bytes, bytes};
        rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
        if (rc == 0 && same_partition(&key, want, &id)) {
            *found = true;
            return take_chunk(bus, id, &value, header, chunk, err);
        }
    }
    return rc == 0 || rc == MDB_NOTFOUND ? KOL_OK : env_fail(bus->env, rc, "read", err);
}

/* ---- one poll ---- */

/* What a poll has handed out so far, and may hand out. */
struct fill {
    size_t count, bytes;
    size_t max_records, max_bytes;
};

static bool is_full(const struct fill *fill)
{
    return fill->count > 0 && (fill->count >= fill->max_records || fill->bytes >= fill->max_bytes);
}

static void add_record(struct lmdb_consumer *consumer, struct fill *fill,
                       const struct read_place *place, const struct chunk_record *record,
                       int64_t append_us)
{
    if (fill->count == consumer->record_cap) {
        consumer->record_cap = consumer->record_cap ? consumer->record_cap * 2 : 256;
        consumer->records =
            mem_realloc(consumer->records, consumer->record_cap * sizeof *consumer->records);
    }
    consumer->records[fill->count++] = (struct bus_record){
        .topic = place->topic->name,
        .partition = place->partition,
        .offset = place->next,
        .timestamp_us = record->timestamp_us,
        .append_us = append_us,
        .key = record->key,
        .value = record->value,
    };
    fill->bytes += record->key.len + record->value.len;
}

/* Hands out what is left of a chunk, as far as the poll's limits allow. */
static enum kol_status read_chunk(struct lmdb_consumer *consumer, struct read_place *place,
                                  struct str chunk, const struct chunk_header *header,
                                  struct fill *fill, struct kol_error *err)
{
    size_t at = place->chunk_at;
    if (place->chunk_base != header->id.base) {
        at = 0;
        place->chunk_base = -1;
        if (!chunk_is_whole(chunk, header)) {
            return damaged(consumer->bus, header->id, "does not match its checksum", err);
        }
        if (!chunk_skip(chunk, &at, place->next - header->id.base)) {
            return damaged(consumer->bus, header->id, "ends too early", err);
        }
        place->chunk_base = header->id.base;
    }
    const int64_t end = header->id.base + header->count;
    while (place->next < end && !is_full(fill)) {
        struct chunk_record record;
        if (!chunk_next(chunk, &at, &record)) {
            place->chunk_base = -1;
            return damaged(consumer->bus, header->id, "ends too early", err);
        }
        add_record(consumer, fill, place, &record, header->append_us);
        place->next++;
    }
    place->chunk_at = at;
    return KOL_OK;
}

/* What lies in front of `place->next` is not there any more: reading goes on behind it. */
static void skip_lost(struct lmdb_consumer *consumer, struct read_place *place, int64_t next)
{
    const int64_t from = place->next;
    place->next = next;
    place->chunk_base = -1;
    if (consumer->options.on_lost) {
        consumer->options.on_lost(&consumer->base, place->topic->name, place->partition, from, next,
                                  consumer->options.user);
    }
}

/* Reads at most one chunk of a place. `*any`: there was something. */
static enum kol_status read_place(struct lmdb_consumer *consumer, MDB_cursor *cursor,
                                  struct read_place *place, struct fill *fill, bool *any,
                                  struct kol_error *err)
{
    struct partition_row row;
    struct chunk_header header;
    struct str chunk;
    bool found;
    enum kol_status status = lmdb_partition_read(consumer->bus, mdb_cursor_txn(cursor),
                                                 place->topic->row.id, place->partition, &row, err);
    if (status != KOL_OK) {
        return status;
    }
    if (place->next < row.start) {
        skip_lost(consumer, place, row.start);
    }
    if (place->next >= row.end) {
        return KOL_OK;
    }
    struct chunk_id want = {place->topic->row.id, place->partition, place->next};
    status = lmdb_chunk_seek(consumer->bus, cursor, want, &found, &header, &chunk, err);
    if (status != KOL_OK) {
        return status;
    }
    if (!found || header.id.base > place->next) {
        return damaged(consumer->bus, want, "is missing", err);
    }
    *any = true;
    return read_chunk(consumer, place, chunk, &header, fill, err);
}

/* Takes a chunk from each place in turn, so that none waits behind a busy one. */
static enum kol_status read_places(struct lmdb_consumer *consumer, MDB_cursor *cursor,
                                   struct fill *fill, struct kol_error *err)
{
    bool any = true;
    while (any && !is_full(fill)) {
        any = false;
        for (size_t i = 0; i < consumer->place_count && !is_full(fill); i++) {
            size_t at = consumer->turn % consumer->place_count;
            struct read_place *place = &consumer->places[at];
            consumer->turn = at + 1;
            enum kol_status status = read_place(consumer, cursor, place, fill, &any, err);
            if (status != KOL_OK) {
                /* What is good is handed out first; a later poll meets the error again. */
                return fill->count ? KOL_OK : status;
            }
        }
    }
    return KOL_OK;
}

/* One look at the log. Keeps the transaction open where there were records. */
static enum kol_status look(struct lmdb_consumer *consumer, struct fill *fill, uint64_t *seen,
                            struct kol_error *err)
{
    MDB_cursor *cursor;
    enum kol_status status = env_begin(consumer->bus->env, MDB_RDONLY, &consumer->txn, err);
    if (status != KOL_OK) {
        return status;
    }
    int rc = mdb_cursor_open(consumer->txn, consumer->bus->env->dbi[DB_CHUNKS], &cursor);
    if (rc) {
        status = env_fail(consumer->bus->env, rc, "read", err);
    } else {
        status = read_places(consumer, cursor, fill, err);
        mdb_cursor_close(cursor);
    }
    *seen = mdb_txn_id(consumer->txn);
    if (status != KOL_OK || fill->count == 0) {
        env_abort(consumer->bus->env, &consumer->txn);
    }
    return status;
}

/* Waits a little, or until somebody in this process has committed. */
static void wait_commit(struct lmdb_bus *bus, int64_t wait_ns)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)(wait_ns % 1000000000);
    until.tv_sec += (time_t)(wait_ns / 1000000000) + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&bus->commit_lock);
    pthread_cond_timedwait(&bus->committed, &bus->commit_lock, &until);
    pthread_mutex_unlock(&bus->commit_lock);
}

/* Returns some time after a commit newer than `seen` has come, when a member's lease must be
 * renewed, or at the deadline. Waits before it looks: while a commit waits for the disk, its number
 * is there already and its records are not. */
static enum kol_status wait_news(const struct lmdb_consumer *consumer, uint64_t seen,
                                 int64_t deadline_ns, struct kol_error *err)
{
    int64_t wait_ns = wait_min_ns;
    for (;;) {
        const int64_t left_ns = deadline_ns - clock_mono_ns();
        if (signals_stop_asked()) {
            return kol_fail(err, KOL_INTERRUPTED, "asked to stop while waiting for records");
        }
        if (left_ns <= 0) {
            return KOL_OK;
        }
        wait_commit(consumer->bus, wait_ns < left_ns ? wait_ns : left_ns);
        if (env_last_txn(consumer->bus->env) != seen ||
            (consumer->subscribed && clock_now_us() >= consumer->beat_us)) {
            return KOL_OK;
        }
        wait_ns = wait_ns * 2 < wait_max_ns ? wait_ns * 2 : wait_max_ns;
    }
}

enum kol_status lmdb_poll(struct bus_consumer *base, size_t max_records, size_t max_bytes,
                          int timeout_ms, struct bus_batch *out, struct kol_error *err)
{
    struct lmdb_consumer *consumer = (struct lmdb_consumer *)base;
    const int64_t deadline_ns = clock_mono_ns() + (int64_t)timeout_ms * 1000000;
    struct fill fill = {
        .max_records = max_records ? max_records : SIZE_MAX,
        .max_bytes = max_bytes     ? max_bytes
                     : max_records ? SIZE_MAX
                                   : DEFAULT_BYTES,
    };
    env_abort(consumer->bus->env, &consumer->txn);
    for (;;) {
        uint64_t group_seen = UINT64_MAX, seen = 0;
        enum kol_status status = KOL_OK;
        if (consumer->subscribed) {
            status = lmdb_group_step(consumer, &group_seen, err);
        }
        status = status == KOL_OK ? look(consumer, &fill, &seen, err) : status;
        if (status != KOL_OK) {
            return status;
        }
        if (fill.count) {
            *out = (struct bus_batch){consumer->records, fill.count};
            return KOL_OK;
        }
        if (clock_mono_ns() >= deadline_ns) {
            return KOL_OK;
        }
        /* What came between the two looks is news too. */
        status = wait_news(consumer, seen < group_seen ? seen : group_seen, deadline_ns, err);
        if (status != KOL_OK) {
            return status;
        }
    }
}
