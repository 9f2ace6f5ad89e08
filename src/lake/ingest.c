/*
 * ingest.c: one read of the log after the other, each of one topic, each one commit.
 *
 * A read takes what there is behind the table's place, up to the commit size. Nothing is kept
 * between two reads but where the table stands, so whatever ends one of them early (a stop, a full
 * disk, another run that was first) costs that read only, and the next one begins where the table
 * says.
 */
#include "lake/ingest.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/logger.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/progress.h"
#include "base/signals.h"
#include "lake/ingest_parts.h"

enum {
    RECORD_BYTES = 256,       /* a read takes at most so many records as if none were smaller */
    DEAD_BYTES = 4 << 20,     /* of dead letters that one transaction sends */
    ENGINE_BYTES = 512 << 20, /* most memory of the engine; beyond it spills */
};

/* One bronze table. */
struct lane {
    const struct lake_table *table;
    const char *topic;
    int32_t partitions; /* 0: the topic is not there yet */
    struct ice_metadata *metadata;
    struct ingest_offsets end; /* without follow: where this run ends */
    struct ingest_report *report;
    bool broken; /* something is wrong with the table: it waits for the next run */
};

struct ingest {
    const struct ingest_options *options;
    struct engine *engine;
    size_t threads;
    struct lane lanes[TOPIC_COUNT];
    size_t lane_count;
    struct progress progress;
    int64_t done; /* records that are behind this run, for the progress */
    size_t broken_count;
    enum kol_status broken; /* of the first broken lane */
    struct kol_error why;
};

/* One read of one topic. */
struct read {
    struct ingest *run;
    struct lane *lane;
    struct bus_consumer *consumer;
    struct ingest_offsets start, next;
    struct ingest_rows rows;
    struct ingest_dead dead;
    struct arena arena; /* of one dead event */
    struct ingest_files files;
    int64_t records, dead_count, lost;
};

/* ---- lanes ---- */

/* Where the table stands. */
static enum kol_status read_place(const struct lane *lane, struct ingest_offsets *out,
                                  struct kol_error *err)
{
    const char *json = ice_property(lane->metadata, INGEST_OFFSETS_PROPERTY);
    enum kol_status status = ingest_offsets_read(json, lane->topic, out, err);
    return status == KOL_OK ? KOL_OK : kol_wrap(err, "bronze.%s", lane->table->name);
}

/* Looks up the ends of the topic, and that the table stands in this log. */
static enum kol_status read_ends(struct ingest *run, struct lane *lane, struct kol_error *err)
{
    struct ingest_offsets start = {0};
    enum kol_status status = read_place(lane, &start, err);
    for (int32_t p = 0; p < lane->partitions && status == KOL_OK; p++) {
        struct bus_partition partition;
        const int64_t at = ingest_offsets_get(&start, p);
        status = bus_partition_get(run->options->bus, lane->topic, p, &partition, err);
        if (status == KOL_OK && at > partition.end) {
            status = kol_fail(err, KOL_CONFLICT,
                              "bronze.%s has read %s, partition %d, up to offset %lld, but the log "
                              "ends at %lld: it is not the log that this lake was filled from; "
                              "restore the two together",
                              lane->table->name, lane->topic, p, (long long)at,
                              (long long)partition.end);
        }
        if (status == KOL_OK) {
            ingest_offsets_set(&lane->end, p, partition.end);
        }
    }
    ingest_offsets_free(&start);
    return status;
}

/* Finds the topic of a lane if it has come. */
static enum kol_status find_topic(struct ingest *run, struct lane *lane, struct kol_error *err)
{
    struct bus_topic topic;
    enum kol_status status = bus_topic_get(run->options->bus, lane->topic, &topic, err);
    if (status == KOL_OK) {
        lane->partitions = topic.partitions;
        status = read_ends(run, lane, err);
    }
    return status == KOL_NOT_FOUND ? KOL_OK : status;
}

/* What is wrong with one table alone, such as a schema that somebody changed, must not keep the
 * others waiting: KOL_OK then, unless all of them are broken. */
static enum kol_status note_broken(struct ingest *run, struct lane *lane, enum kol_status status,
                                   struct kol_error *err)
{
    const bool own = status == KOL_INVALID || status == KOL_UNSUPPORTED || status == KOL_CORRUPT;
    if (status == KOL_OK || !own) {
        return status;
    }
    struct buf name = {0};
    buf_printf(&name, "bronze.%s", lane->table->name);
    if (!str_starts(str_of(err->message), buf_str(&name))) {
        kol_wrap(err, "%s", name.ptr);
    }
    buf_free(&name);
    log_error("%s; the other tables go on", err->message);
    lane->broken = true;
    if (run->broken_count++ == 0) {
        run->broken = status;
        run->why = *err;
    }
    return KOL_OK;
}

static enum kol_status open_lane(struct ingest *run, const struct lake_table *table,
                                 struct ingest_report *report, struct kol_error *err)
{
    struct lane *lane = &run->lanes[run->lane_count++];
    lane->table = table;
    lane->topic = topic_name((enum topic)table->topic);
    lane->report = report;
    enum kol_status status = lake_ensure(run->options->lake, table, &lane->metadata, err);
    if (status == KOL_OK) {
        status = find_topic(run, lane, err);
    }
    return note_broken(run, lane, status, err);
}

/* Records up to the lane's end that lie behind `at`. */
static int64_t records_behind(const struct lane *lane, const struct ingest_offsets *at)
{
    int64_t left = 0;
    for (int32_t p = 0; p < lane->partitions; p++) {
        const int64_t behind = ingest_offsets_get(&lane->end, p) - ingest_offsets_get(at, p);
        left += behind > 0 ? behind : 0;
    }
    return left;
}

/* ---- reading ---- */

static void note_lost(struct bus_consumer *consumer, const char *topic, int32_t partition,
                      int64_t from, int64_t next, void *user)
{
    struct read *read = user;
    (void)consumer;
    read->lost += next - from;
    log_warn("%s, partition %d: retention dropped offsets %lld to %lld before they were read",
             topic, partition, (long long)from, (long long)next - 1);
}

/* Has a consumer begin where the table stands. */
static enum kol_status begin_read(struct read *read, struct kol_error *err)
{
    const struct lane *lane = read->lane;
    const struct bus_consumer_options options = {.user = read, .on_lost = note_lost};
    enum kol_status status = read_place(lane, &read->start, err);
    if (status == KOL_OK) {
        ingest_offsets_copy(&read->next, &read->start);
        status = bus_consumer_open(read->run->options->bus, &options, &read->consumer, err);
    }
    if (status != KOL_OK) {
        return status;
    }
    struct bus_place *places = mem_alloc((size_t)lane->partitions * sizeof *places);
    for (int32_t p = 0; p < lane->partitions; p++) {
        places[p] = (struct bus_place){lane->topic, p, ingest_offsets_get(&read->start, p)};
    }
    status = bus_assign(read->consumer, places, (size_t)lane->partitions, err);
    free(places);
    return status;
}

/* Decodes once more what is no good event, for the reason. */
static enum kol_status take_dead(struct read *read, const struct bus_record *record,
                                 struct kol_error *err)
{
    struct event event;
    struct kol_error why;
    arena_reset(&read->arena);
    KOL_ASSERT(
        !ingest_decode(record, read->rows.topic, read->rows.now_us, &read->arena, &event, &why));
    ingest_dead_add(&read->dead, record, why.message, read->rows.now_us);
    read->dead_count++;
    return read->dead.texts.len >= DEAD_BYTES ? ingest_dead_send(&read->dead, err) : KOL_OK;
}

static void show_progress(size_t records, void *user)
{
    struct ingest *run = user;
    /* The other half of the work is to write them. */
    progress_update(&run->progress, run->done + (int64_t)records / 2);
}

static enum kol_status take_batch(struct read *read, const struct bus_batch *batch,
                                  struct kol_error *err)
{
    struct ingest *run = read->run;
    const struct ingest_reading reading = {
        .batch = batch, .threads = run->threads, .looked = show_progress, .user = run};
    struct ingest_dead_places dead = {0};
    enum kol_status status = ingest_rows_read(&read->rows, reading, &dead, err);
    for (size_t i = 0; i < dead.count && status == KOL_OK; i++) {
        status = signals_stop_asked() ? kol_fail(err, KOL_INTERRUPTED, "stopped")
                                      : take_dead(read, &batch->records[dead.places[i]], err);
    }
    free(dead.places);
    read->records = (int64_t)batch->count;
    return status;
}

/* What the table's place is once this read is in it. */
static void note_places(struct read *read)
{
    const struct bus_place *places;
    const size_t count = bus_position(read->consumer, &places);
    for (size_t i = 0; i < count; i++) {
        ingest_offsets_set(&read->next, places[i].partition, places[i].next);
    }
}

static enum kol_status read_log(struct read *read, struct kol_error *err)
{
    const int64_t bytes = read->run->options->commit_bytes;
    struct bus_batch batch;
    enum kol_status status =
        bus_poll(read->consumer, (size_t)(bytes / RECORD_BYTES), (size_t)bytes, 0, &batch, err);
    if (status == KOL_OK) {
        status = take_batch(read, &batch, err);
        FAILPOINT("ingest.read");
    }
    if (status == KOL_OK) {
        note_places(read);
    }
    return status;
}

/* ---- committing ---- */

static void count_commit(const struct read *read)
{
    const struct lane *lane = read->lane;
    struct ingest_report *report = lane->report;
    const int64_t events = (int64_t)read->rows.count;
    report->events += events;
    report->dead += read->dead_count;
    report->lost += read->lost;
    report->files += (int64_t)read->files.count;
    report->bytes += read->files.bytes;
    report->commits++;
    read->run->done += read->records;
    metrics_add(METRIC_INGEST_EVENTS, lane->topic, events);
    metrics_add(METRIC_INGEST_LOST, lane->topic, read->lost);
    metrics_add(METRIC_INGEST_COMMITS, lane->topic, 1);
    progress_update(&read->run->progress, read->run->done);
}

/* After a commit that was lost, or whose end is unknown: the table itself says which. Nobody else
 * moves it from `start` to `next`, unless by the same rows. */
static enum kol_status look_again(struct read *read, bool unknown, struct kol_error *err)
{
    struct lane *lane = read->lane;
    struct ingest_offsets there = {0};
    ice_metadata_free(&lane->metadata);
    enum kol_status status =
        lake_ensure(read->run->options->lake, lane->table, &lane->metadata, err);
    if (status == KOL_OK && unknown) {
        status = read_place(lane, &there, err);
    }
    if (status == KOL_OK && unknown && ingest_offsets_equal(&there, &read->next)) {
        count_commit(read);
    }
    ingest_offsets_free(&there);
    return status;
}

static enum kol_status commit_read(struct read *read, struct kol_error *err)
{
    struct lane *lane = read->lane;
    struct lake *lake = read->run->options->lake;
    const struct ingest_batch batch = {.lake = lake,
                                       .table = lane->table,
                                       .topic = lane->topic,
                                       .start = &read->start,
                                       .next = &read->next,
                                       .files = &read->files};
    const int64_t begun_ns = clock_mono_ns();
    enum kol_status status = ingest_dead_send(&read->dead, err);
    if (status == KOL_OK) {
        status = ingest_write(lake, read->run->engine, lane->table, lane->metadata, &read->rows,
                              &read->files, err);
    }
    if (status != KOL_OK) {
        return status;
    }
    status = ingest_commit(&batch, &lane->metadata, err);
    if (status == KOL_OK) {
        count_commit(read);
        metrics_observe(METRIC_INGEST_COMMIT_SECONDS, NULL,
                        (double)(clock_mono_ns() - begun_ns) / 1e9);
    } else if (status == KOL_CONFLICT || status == KOL_UNKNOWN) {
        log_info("bronze.%s: %s; going on from where the table stands", lane->table->name,
                 err->message);
        status = look_again(read, status == KOL_UNKNOWN, err);
    }
    return status;
}

/* One read and its commit. `*left`: records up to the lane's end that are not in the table yet. */
static enum kol_status step(struct ingest *run, struct lane *lane, int64_t *left,
                            struct kol_error *err)
{
    struct read read = {.run = run, .lane = lane};
    read.rows.topic = (enum topic)lane->table->topic;
    read.rows.now_us = clock_now_us();
    arena_init(&read.arena, 0);
    ingest_dead_init(&read.dead, run->options->bus, read.rows.topic);
    enum kol_status status = begin_read(&read, err);
    if (status == KOL_OK) {
        status = read_log(&read, err);
    }
    if (status == KOL_OK && !ingest_offsets_equal(&read.start, &read.next)) {
        status = commit_read(&read, err);
    }
    if (status == KOL_OK) {
        status = read_place(lane, &read.next, err);
        *left = records_behind(lane, &read.next);
    }
    if (read.consumer) {
        bus_consumer_close(&read.consumer);
    }
    ingest_rows_free(&read.rows);
    ingest_dead_free(&read.dead);
    ingest_files_free(&read.files);
    ingest_offsets_free(&read.start);
    ingest_offsets_free(&read.next);
    arena_free(&read.arena);
    return status;
}

/* ---- the run ---- */

/* Reads a topic up to its end as it was looked up. */
static enum kol_status catch_up(struct ingest *run, struct lane *lane, struct kol_error *err)
{
    enum kol_status status = KOL_OK;
    for (int64_t left = lane->partitions; left > 0 && status == KOL_OK;) {
        status = signals_stop_asked() ? kol_fail(err, KOL_INTERRUPTED, "stopped")
                                      : step(run, lane, &left, err);
    }
    return status;
}

static enum kol_status catch_up_all(struct ingest *run, struct kol_error *err)
{
    enum kol_status status = KOL_OK;
    for (size_t i = 0; i < run->lane_count && status == KOL_OK; i++) {
        struct lane *lane = &run->lanes[i];
        if (!lane->broken) {
            status = note_broken(run, lane, catch_up(run, lane, err), err);
        }
    }
    return status;
}

/* Sleeps until then, or until a stop is asked for. */
static void sleep_until(int64_t end_ns)
{
    int64_t wait_ns;
    while (!signals_stop_asked() && (wait_ns = end_ns - clock_mono_ns()) > 0) {
        struct pollfd stop = {.fd = signals_stop_fd(), .events = POLLIN};
        const int64_t wait_ms = wait_ns / 1000000 + 1;
        /* How the wait ends does not matter: all is looked at anew. */
        (void)poll(&stop, 1, wait_ms > 60000 ? 60000 : (int)wait_ms);
    }
}

/* Reads what has come to a topic since. The table may have been moved by another run. */
static enum kol_status follow_lane(struct ingest *run, struct lane *lane, struct kol_error *err)
{
    struct ingest_offsets at = {0};
    enum kol_status status = find_topic(run, lane, err);
    if (status == KOL_OK) {
        status = read_place(lane, &at, err);
    }
    if (status == KOL_OK && records_behind(lane, &at) > 0) {
        ice_metadata_free(&lane->metadata);
        status = lake_ensure(run->options->lake, lane->table, &lane->metadata, err);
        status = status == KOL_OK ? catch_up(run, lane, err) : status;
    }
    ingest_offsets_free(&at);
    return status;
}

static enum kol_status follow(struct ingest *run, struct kol_error *err)
{
    enum kol_status status = KOL_OK;
    while (status == KOL_OK && run->broken_count < run->lane_count) {
        const int64_t begun_ns = clock_mono_ns();
        for (size_t i = 0; i < run->lane_count && status == KOL_OK; i++) {
            struct lane *lane = &run->lanes[i];
            if (!lane->broken) {
                status = note_broken(run, lane, follow_lane(run, lane, err), err);
            }
        }
        if (status == KOL_OK) {
            sleep_until(begun_ns + run->options->commit_us * 1000);
        }
        if (status == KOL_OK && signals_stop_asked()) {
            status = kol_fail(err, KOL_INTERRUPTED, "stopped");
        }
    }
    return status;
}

static enum kol_status open_run(struct ingest *run, struct ingest_report *reports,
                                struct kol_error *err)
{
    /* The threads are our own, and beside the engine's memory there are the records' places. */
    struct lake lake = *run->options->lake;
    lake.ahead = NULL; /* the original's */
    lake.threads = 1;
    if (!lake.memory_bytes || lake.memory_bytes > ENGINE_BYTES) {
        lake.memory_bytes = ENGINE_BYTES;
    }
    enum kol_status status = lake_engine(&lake, &run->engine, err);
    for (int topic = 0; topic < TOPIC_COUNT && status == KOL_OK; topic++) {
        const struct lake_table *table = lake_table_of_topic(topic);
        if (table) {
            status = open_lane(run, table, &reports[run->lane_count], err);
        }
    }
    return status;
}

static enum kol_status run_lanes(struct ingest *run, struct kol_error *err)
{
    int64_t total = 0;
    for (size_t i = 0; i < run->lane_count && !run->options->follow; i++) {
        struct ingest_offsets start = {0};
        if (run->lanes[i].broken) {
            continue;
        }
        enum kol_status status = read_place(&run->lanes[i], &start, err);
        total += records_behind(&run->lanes[i], &start);
        ingest_offsets_free(&start);
        if (status != KOL_OK) {
            return status;
        }
    }
    progress_begin(&run->progress, "ingest", "events", total, 0);
    enum kol_status status = run->options->follow ? follow(run, err) : catch_up_all(run, err);
    progress_end(&run->progress);
    return status;
}

enum kol_status ingest_run(const struct ingest_options *options, struct ingest_report **reports,
                           size_t *count, struct kol_error *err)
{
    struct ingest run = {.options = options, .threads = ingest_threads(options->lake)};
    *reports = mem_zalloc(TOPIC_COUNT, sizeof **reports);
    *count = 0;
    for (int topic = 0; topic < TOPIC_COUNT; topic++) {
        const struct lake_table *table = lake_table_of_topic(topic);
        if (table) {
            (*reports)[(*count)++].table = table->name;
        }
    }
    enum kol_status status = open_run(&run, *reports, err);
    if (status == KOL_OK && options->from) {
        status = ingest_replay(options, run.engine, *reports, *count, err);
    }
    if (status == KOL_OK) {
        status = run_lanes(&run, err);
    }
    if (run.broken_count && (status == KOL_OK || status == KOL_INTERRUPTED)) {
        status = kol_fail(err, run.broken, "%zu of the tables could not be filled: %s",
                          run.broken_count, run.why.message);
    }
    for (size_t i = 0; i < run.lane_count; i++) {
        ice_metadata_free(&run.lanes[i].metadata);
        ingest_offsets_free(&run.lanes[i].end);
    }
    if (run.engine) {
        engine_close(&run.engine);
    }
    return status;
}
