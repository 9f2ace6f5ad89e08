/*
 * ingest.c: reads the topics of events and hands their rows to commits.
 *
 * One consumer reads all topics; each bronze table has a lane: where it stands in the log, and rows
 * that wait for its next commit. The biggest lane is committed when all of them together have
 * reached the commit size, so memory is bounded whatever comes. A lane whose commit finds that
 * another run has read its records drops them and reads on from where the table now stands.
 */
#include "lake/ingest.h"

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
    POLL_BYTES = 4 << 20,        /* of records that one look at the log hands out */
    DEAD_BYTES = 4 << 20,        /* of dead letters that one transaction sends */
    IDLE_MS = 200,               /* a wait for records, at most */
    ENGINE_BYTES = 512 * 1 << 20 /* most memory of the engine; beyond it spills */
};

/* One bronze table. */
struct lane {
    const struct lake_table *table;
    const char *topic;
    int32_t partitions; /* 0: the topic is not there yet */
    struct ice_metadata *metadata;
    struct ingest_stage stage;
    struct ingest_dead dead;
    struct ingest_offsets start; /* where the table stands */
    struct ingest_offsets next;  /* where it will stand after the next commit */
    struct ingest_offsets end;   /* without follow: where this run ends */
    int64_t began_ns;            /* when the first uncommitted record came; 0: there is none */
    int64_t dead_count, lost;    /* of what is not committed */
    struct ingest_report *report;
};

struct ingest {
    const struct ingest_options *options;
    struct engine *engine;
    struct bus_consumer *consumer;
    struct lane lanes[TOPIC_COUNT];
    size_t lane_count;
    struct arena arena; /* of one event */
    struct progress progress;
    int64_t events; /* read so far, for the progress */
};

/* ---- lanes ---- */

/* Where the table stands, and that its log is the one that is here. */
static enum kol_status read_place(struct ingest *run, struct lane *lane, struct kol_error *err)
{
    const char *json = ice_property(lane->metadata, INGEST_OFFSETS_PROPERTY);
    enum kol_status status = ingest_offsets_read(json, lane->topic, &lane->start, err);
    if (status != KOL_OK) {
        return kol_wrap(err, "bronze.%s", lane->table->name);
    }
    for (int32_t p = 0; p < lane->partitions; p++) {
        struct bus_partition partition;
        const int64_t at = ingest_offsets_get(&lane->start, p);
        status = bus_partition_get(run->options->bus, lane->topic, p, &partition, err);
        if (status == KOL_OK && at > partition.end) {
            status = kol_fail(err, KOL_CONFLICT,
                              "bronze.%s has read %s, partition %d, up to offset %lld, but the log "
                              "ends at %lld: it is not the log that this lake was filled from; "
                              "restore the two together",
                              lane->table->name, lane->topic, p, (long long)at,
                              (long long)partition.end);
        }
        if (status != KOL_OK) {
            return status;
        }
        ingest_offsets_set(&lane->end, p, partition.end);
    }
    ingest_offsets_copy(&lane->next, &lane->start);
    return KOL_OK;
}

/* Finds the topic of a lane if it has come. */
static enum kol_status find_topic(struct ingest *run, struct lane *lane, struct kol_error *err)
{
    struct bus_topic topic;
    enum kol_status status = bus_topic_get(run->options->bus, lane->topic, &topic, err);
    if (status == KOL_NOT_FOUND) {
        return KOL_OK;
    }
    if (status == KOL_OK) {
        lane->partitions = topic.partitions;
        status = read_place(run, lane, err);
    }
    return status;
}

static enum kol_status open_lane(struct ingest *run, const struct lake_table *table,
                                 struct ingest_report *report, struct kol_error *err)
{
    struct lane *lane = &run->lanes[run->lane_count++];
    lane->table = table;
    lane->topic = topic_name((enum topic)table->topic);
    lane->report = report;
    ingest_dead_init(&lane->dead, run->options->bus, (enum topic)table->topic);
    enum kol_status status = lake_ensure(run->options->lake, table, &lane->metadata, err);
    if (status == KOL_OK) {
        status = find_topic(run, lane, err);
    }
    if (status == KOL_OK) {
        status = ingest_stage_open(&lane->stage, run->engine, table, lane->metadata, err);
    }
    return status;
}

static void close_lane(struct lane *lane)
{
    ingest_stage_close(&lane->stage);
    ingest_dead_free(&lane->dead);
    ingest_offsets_free(&lane->start);
    ingest_offsets_free(&lane->next);
    ingest_offsets_free(&lane->end);
    ice_metadata_free(&lane->metadata);
}

/* Has the consumer read every lane from where it stands. */
static enum kol_status assign_lanes(struct ingest *run, struct kol_error *err)
{
    struct bus_place *places = NULL;
    size_t count = 0;
    for (size_t i = 0; i < run->lane_count; i++) {
        const struct lane *lane = &run->lanes[i];
        places = mem_realloc(places, (count + (size_t)lane->partitions + 1) * sizeof *places);
        for (int32_t p = 0; p < lane->partitions; p++) {
            places[count++] =
                (struct bus_place){lane->topic, p, ingest_offsets_get(&lane->next, p)};
        }
    }
    enum kol_status status = bus_assign(run->consumer, places, count, err);
    free(places);
    return status;
}

static struct lane *lane_of(struct ingest *run, const char *topic)
{
    for (size_t i = 0; i < run->lane_count; i++) {
        if (strcmp(run->lanes[i].topic, topic) == 0) {
            return &run->lanes[i];
        }
    }
    kol_panic("the log handed out a record of %s, which was not asked for", topic);
}

static void note_lost(struct bus_consumer *consumer, const char *topic, int32_t partition,
                      int64_t from, int64_t next, void *user)
{
    struct lane *lane = lane_of(user, topic);
    (void)consumer;
    lane->lost += next - from;
    lane->began_ns = lane->began_ns ? lane->began_ns : clock_mono_ns();
    log_warn("%s, partition %d: retention dropped offsets %lld to %lld before they were "
             "read",
             topic, partition, (long long)from, (long long)next - 1);
}

/* ---- committing ---- */

static void count_commit(struct lane *lane)
{
    struct ingest_report *report = lane->report;
    report->events += lane->stage.rows;
    report->dead += lane->dead_count;
    report->lost += lane->lost;
    metrics_add(METRIC_INGEST_EVENTS, lane->topic, lane->stage.rows);
    metrics_add(METRIC_INGEST_LOST, lane->topic, lane->lost);
    metrics_add(METRIC_INGEST_COMMITS, lane->topic, 1);
}

/* Forgets what the lane holds and goes to where the table stands now. Whether a commit of unknown
 * end was made is seen from there: nobody else moves the table from `start` to `next`, unless by
 * the same rows. */
static enum kol_status rewind_lane(struct ingest *run, struct lane *lane, bool unknown,
                                   struct kol_error *err)
{
    ice_metadata_free(&lane->metadata);
    enum kol_status status = lake_ensure(run->options->lake, lane->table, &lane->metadata, err);
    if (status == KOL_OK) {
        const char *json = ice_property(lane->metadata, INGEST_OFFSETS_PROPERTY);
        status = ingest_offsets_read(json, lane->topic, &lane->start, err);
    }
    if (status == KOL_OK) {
        if (unknown && ingest_offsets_equal(&lane->start, &lane->next)) {
            count_commit(lane);
        } else {
            run->events -= lane->stage.rows + lane->dead_count;
        }
        ingest_offsets_copy(&lane->next, &lane->start);
        status = assign_lanes(run, err);
    }
    return status;
}

/* Commits what the lane holds. Where another run was first, its rows are dropped and read again. */
static enum kol_status commit_lane(struct ingest *run, struct lane *lane, struct kol_error *err)
{
    const struct ingest_batch batch = {.lake = run->options->lake,
                                       .stage = &lane->stage,
                                       .topic = lane->topic,
                                       .start = &lane->start,
                                       .next = &lane->next};
    const int64_t begun_ns = clock_mono_ns();
    if (!lane->began_ns) {
        return KOL_OK;
    }
    enum kol_status status = ingest_dead_send(&lane->dead, err);
    if (status == KOL_OK) {
        status = ingest_commit(&batch, &lane->metadata, lane->report, err);
    }
    if (status == KOL_OK) {
        count_commit(lane);
        ingest_offsets_copy(&lane->start, &lane->next);
        metrics_observe(METRIC_INGEST_COMMIT_SECONDS, NULL,
                        (double)(clock_mono_ns() - begun_ns) / 1e9);
    } else if (status == KOL_CONFLICT || status == KOL_UNKNOWN) {
        log_info("bronze.%s: %s; reading on from where the table stands", lane->table->name,
                 err->message);
        status = rewind_lane(run, lane, status == KOL_UNKNOWN, err);
    }
    if (status == KOL_OK) {
        status = ingest_stage_clear(&lane->stage, err);
    }
    lane->began_ns = lane->dead_count = lane->lost = 0;
    return status;
}

static enum kol_status commit_biggest(struct ingest *run, struct kol_error *err)
{
    struct lane *biggest = &run->lanes[0];
    for (size_t i = 1; i < run->lane_count; i++) {
        if (run->lanes[i].stage.bytes > biggest->stage.bytes) {
            biggest = &run->lanes[i];
        }
    }
    return commit_lane(run, biggest, err);
}

/* Commits the lanes that wait since `before_ns` or longer. */
static enum kol_status commit_since(struct ingest *run, int64_t before_ns, struct kol_error *err)
{
    enum kol_status status = KOL_OK;
    for (size_t i = 0; i < run->lane_count && status == KOL_OK; i++) {
        struct lane *lane = &run->lanes[i];
        if (lane->began_ns && lane->began_ns <= before_ns) {
            status = commit_lane(run, lane, err);
        }
    }
    return status;
}

static enum kol_status commit_due(struct ingest *run, struct kol_error *err)
{
    const struct ingest_options *options = run->options;
    int64_t staged = 0;
    for (size_t i = 0; i < run->lane_count; i++) {
        staged += run->lanes[i].stage.bytes;
    }
    if (staged >= options->commit_bytes) {
        return commit_biggest(run, err);
    }
    return options->follow ? commit_since(run, clock_mono_ns() - options->commit_us * 1000, err)
                           : KOL_OK;
}

/* ---- reading ---- */

static enum kol_status take_record(struct ingest *run, struct lane *lane,
                                   const struct bus_record *record, int64_t now_us,
                                   struct kol_error *err)
{
    struct event event;
    struct kol_error why;
    if (ingest_decode(record, (enum topic)lane->table->topic, now_us, &run->arena, &event, &why)) {
        return ingest_stage_add(&lane->stage, &event, record, now_us, err);
    }
    ingest_dead_add(&lane->dead, record, why.message, now_us);
    lane->dead_count++;
    return lane->dead.texts.len >= DEAD_BYTES ? ingest_dead_send(&lane->dead, err) : KOL_OK;
}

static enum kol_status take_batch(struct ingest *run, const struct bus_batch *batch,
                                  struct kol_error *err)
{
    const int64_t now_us = clock_now_us(), now_ns = clock_mono_ns();
    struct lane *lane = NULL;
    enum kol_status status = KOL_OK;
    for (size_t i = 0; i < batch->count && status == KOL_OK; i++) {
        const struct bus_record *record = &batch->records[i];
        if (!lane || strcmp(lane->topic, record->topic) != 0) {
            lane = lane_of(run, record->topic);
            lane->began_ns = lane->began_ns ? lane->began_ns : now_ns;
        }
        status = take_record(run, lane, record, now_us, err);
    }
    return status;
}

/* What was polled is behind the lanes now, and what was not there to be polled. */
static void note_places(struct ingest *run)
{
    const struct bus_place *places;
    const size_t count = bus_position(run->consumer, &places);
    for (size_t i = 0; i < count; i++) {
        struct lane *lane = lane_of(run, places[i].topic);
        if (places[i].next > ingest_offsets_get(&lane->next, places[i].partition)) {
            ingest_offsets_set(&lane->next, places[i].partition, places[i].next);
        }
    }
}

static enum kol_status read_some(struct ingest *run, struct kol_error *err)
{
    struct bus_batch batch;
    enum kol_status status = bus_poll(run->consumer, 0, POLL_BYTES, IDLE_MS, &batch, err);
    if (status == KOL_OK) {
        status = take_batch(run, &batch, err);
        FAILPOINT("ingest.read");
    }
    if (status == KOL_OK) {
        note_places(run);
        run->events += (int64_t)batch.count;
        progress_update(&run->progress, run->events);
        status = commit_due(run, err);
    }
    return status;
}

/* Records that are there and not read, up to the ends that were looked up. */
static int64_t left_to_read(const struct ingest *run)
{
    int64_t left = 0;
    for (size_t i = 0; i < run->lane_count; i++) {
        const struct lane *lane = &run->lanes[i];
        for (int32_t p = 0; p < lane->partitions; p++) {
            const int64_t behind =
                ingest_offsets_get(&lane->end, p) - ingest_offsets_get(&lane->next, p);
            left += behind > 0 ? behind : 0;
        }
    }
    return left;
}

/* Topics that have come since. */
static enum kol_status find_topics(struct ingest *run, struct kol_error *err)
{
    bool found = false;
    for (size_t i = 0; i < run->lane_count; i++) {
        struct lane *lane = &run->lanes[i];
        if (!lane->partitions) {
            enum kol_status status = find_topic(run, lane, err);
            if (status != KOL_OK) {
                return status;
            }
            found = found || lane->partitions;
        }
    }
    return found ? assign_lanes(run, err) : KOL_OK;
}

static enum kol_status read_all(struct ingest *run, struct kol_error *err)
{
    const bool follow = run->options->follow;
    enum kol_status status = KOL_OK;
    while (status == KOL_OK && (follow || left_to_read(run) > 0)) {
        if (signals_stop_asked()) {
            return kol_fail(err, KOL_INTERRUPTED, "stopped");
        }
        status = read_some(run, err);
        if (status == KOL_OK && follow) {
            status = find_topics(run, err);
        }
    }
    return status == KOL_OK ? commit_since(run, INT64_MAX, err) : status;
}

/* ---- the run ---- */

static enum kol_status open_run(struct ingest *run, struct ingest_report *reports,
                                struct kol_error *err)
{
    /* Beside the engine's own there are the log's pages, the appenders and the commit. */
    struct lake lake = *run->options->lake;
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
    const struct bus_consumer_options options = {.user = run, .on_lost = note_lost};
    enum kol_status status = bus_consumer_open(run->options->bus, &options, &run->consumer, err);
    if (status == KOL_OK) {
        status = assign_lanes(run, err);
    }
    if (status == KOL_OK) {
        progress_begin(&run->progress, "ingest", "events",
                       run->options->follow ? 0 : left_to_read(run), 0);
        status = read_all(run, err);
        progress_end(&run->progress);
    }
    return status;
}

enum kol_status ingest_run(const struct ingest_options *options, struct ingest_report **reports,
                           size_t *count, struct kol_error *err)
{
    struct ingest run = {.options = options};
    *reports = mem_zalloc(TOPIC_COUNT, sizeof **reports);
    *count = 0;
    for (int topic = 0; topic < TOPIC_COUNT; topic++) {
        const struct lake_table *table = lake_table_of_topic(topic);
        if (table) {
            (*reports)[(*count)++].table = table->name;
        }
    }
    arena_init(&run.arena, 0);
    enum kol_status status = open_run(&run, *reports, err);
    if (status == KOL_OK && options->from) {
        status = ingest_replay(options, run.engine, *reports, *count, err);
    }
    if (status == KOL_OK) {
        status = run_lanes(&run, err);
    }
    if (run.consumer) {
        bus_consumer_close(&run.consumer);
    }
    for (size_t i = 0; i < run.lane_count; i++) {
        close_lane(&run.lanes[i]);
    }
    if (run.engine) {
        engine_close(&run.engine);
    }
    arena_free(&run.arena);
    return status;
}
