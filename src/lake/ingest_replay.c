/*
 * ingest_replay.c: `--from`: a stretch of the log that the table has passed, read once more.
 *
 * For what a table has lost by hand or by a restored backup. Rows that it has, by partition and
 * offset, are not added again. The table's place does not move, so a replay and an ingest never get
 * into each other's way; two replays do, and a property that each of them moves keeps them apart.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/progress.h"
#include "base/signals.h"
#include "lake/ingest_parts.h"
#include "lake/write.h"

#define REPLAYS_PROPERTY "kol.replays"

enum { POLL_BYTES = 4 << 20, IDLE_MS = 200 };

struct replay {
    const struct ingest_options *options;
    const struct lake_table *table;
    enum topic topic;
    int32_t partition;
    int64_t next; /* offset to read next */
    int64_t end;  /* the table's place */
    int64_t from; /* first offset of the rows that are staged */
    struct ingest_stage stage;
    int64_t staged_bytes;
    struct ingest_dead dead;
    struct arena arena; /* of one event */
    struct ingest_report *report;
};

/* ---- TOPIC:PARTITION:OFFSET ---- */

enum kol_status ingest_read_from(const char *from, enum topic *topic, int32_t *partition,
                                 int64_t *offset, struct kol_error *err)
{
    struct str rest = str_of(from);
    int64_t number = -1;
    const struct str name = str_cut(&rest, ':');
    const struct str middle = str_cut(&rest, ':');
    if (!str_to_int64(middle, &number) || number < 0 || number >= BUS_MAX_PARTITIONS ||
        !str_to_int64(rest, offset) || *offset < 0) {
        return kol_fail(err, KOL_USAGE,
                        "--from %s: expected TOPIC:PARTITION:OFFSET, such as %s:0:1200", from,
                        topic_name(TOPIC_VIDEOS));
    }
    if (!topic_find(name, topic) || !topic_is_input(*topic)) {
        return kol_fail(err, KOL_USAGE, "--from %s: %.*s is no topic of events", from,
                        STR_FORMAT(name));
    }
    *partition = (int32_t)number;
    return KOL_OK;
}

/* ---- rows that the table does not have ---- */

/* The staged rows without those that `pin` has. */
static void put_missing(const struct replay *replay, const struct lake_pin *pin, struct buf *sql)
{
    buf_puts(sql, "SELECT staged.* FROM " INGEST_STAGE_TABLE " AS staged");
    if (pin->files.count) {
        buf_puts(sql, " ANTI JOIN (SELECT log_offset FROM (");
        engine_scan_sql(lake_pin_schema(pin), pin->files.files, pin->files.count, sql);
        buf_printf(sql,
                   ") AS kept WHERE log_partition = %d AND log_offset >= %" PRId64
                   " AND log_offset < %" PRId64
                   ") AS there ON staged.log_offset = there.log_offset",
                   replay->partition, replay->from, replay->next);
    }
}

/* No other replay may have come between the look at the table and the commit. */
static enum kol_status check_replays(const struct ice_metadata *current, struct ice_change *change,
                                     void *user, struct kol_error *err)
{
    const char *seen = user, *now = ice_property(current, REPLAYS_PROPERTY);
    (void)change;
    return strcmp(seen, now ? now : "0") == 0
               ? KOL_OK
               : kol_fail(err, KOL_CONFLICT, "another replay was first");
}

static enum kol_status commit_files(struct replay *replay, const struct lake_pin *pin,
                                    const struct ice_data_file *files, size_t count,
                                    struct kol_error *err)
{
    const char *seen = ice_property(pin->metadata, REPLAYS_PROPERTY);
    const struct ice_ident ident = {replay->table->name_space, replay->table->name};
    char moved[32], before[32];
    int64_t number = 0;
    snprintf(before, sizeof before, "%s", seen ? seen : "0");
    (void)str_to_int64(str_of(before), &number); /* what is no number counts as the first */
    snprintf(moved, sizeof moved, "%" PRId64, number + 1);
    const struct ice_pair pair = {REPLAYS_PROPERTY, moved};
    struct ice_change change = {.operation = ICE_APPEND,
                                .files = files,
                                .file_count = count,
                                .set = &pair,
                                .set_count = 1,
                                .check = check_replays,
                                .user = before};
    enum kol_status status = ice_commit(replay->options->lake->catalog, ident, &change, NULL, err);
    if (status != KOL_OK && status != KOL_UNKNOWN) {
        lake_remove_files(replay->options->lake, files, count);
    }
    return status;
}

/* One try to add what is missing. KOL_CONFLICT: look again. */
static enum kol_status add_missing(struct replay *replay, struct kol_error *err)
{
    struct lake *lake = replay->options->lake;
    struct ice_data_file *files = NULL;
    struct lake_pin pin;
    struct arena arena;
    struct buf sql = {0};
    int64_t rows = 0;
    size_t count = 0;
    arena_init(&arena, 0);
    enum kol_status status =
        lake_pin(lake, replay->table->name_space, replay->table->name, 0, &pin, err);
    if (status == KOL_OK) {
        put_missing(replay, &pin, &sql);
        status = lake_write(lake, replay->stage.session, replay->table, pin.metadata, sql.ptr,
                            &arena, &files, &count, err);
    }
    FAILPOINT("ingest.replay");
    for (size_t i = 0; i < count; i++) {
        rows += files[i].rows;
    }
    if (status == KOL_OK && count) {
        status = commit_files(replay, &pin, files, count, err);
    }
    if (status == KOL_OK) {
        replay->report->events += rows;
        replay->report->duplicates += replay->stage.rows - rows;
        replay->report->files += (int64_t)count;
        replay->report->commits += count > 0;
        for (size_t i = 0; i < count; i++) {
            replay->report->bytes += files[i].bytes;
        }
        metrics_add(METRIC_INGEST_EVENTS, topic_name(replay->topic), rows);
    }
    lake_unpin(&pin);
    buf_free(&sql);
    arena_free(&arena);
    return status;
}

static enum kol_status commit_staged(struct replay *replay, struct kol_error *err)
{
    enum kol_status status = ingest_dead_send(&replay->dead, err);
    if (status == KOL_OK && replay->stage.rows) {
        status = ingest_stage_flush(&replay->stage, err);
        bool again = status == KOL_OK;
        while (again) {
            /* A commit of unknown end is looked at in the same way: what it added is there. */
            status = add_missing(replay, err);
            again = (status == KOL_CONFLICT || status == KOL_UNKNOWN) && !signals_stop_asked();
        }
        status = status == KOL_OK ? ingest_stage_clear(&replay->stage, err) : status;
    }
    replay->from = replay->next;
    replay->staged_bytes = 0;
    return status;
}

/* ---- reading ---- */

static void note_lost(struct bus_consumer *consumer, const char *topic, int32_t partition,
                      int64_t from, int64_t next, void *user)
{
    struct replay *replay = user;
    (void)consumer, (void)topic, (void)partition;
    replay->report->lost += (next < replay->end ? next : replay->end) - from;
}

static enum kol_status take_record(struct replay *replay, const struct bus_record *record,
                                   int64_t now_us, struct kol_error *err)
{
    struct event event;
    struct kol_error why;
    if (record->offset >= replay->end) {
        return KOL_OK;
    }
    arena_reset(&replay->arena);
    if (ingest_decode(record, replay->topic, now_us, &replay->arena, &event, &why)) {
        replay->staged_bytes += (int64_t)record->value.len;
        return ingest_stage_add(&replay->stage, &event, record, now_us, err);
    }
    ingest_dead_add(&replay->dead, record, why.message, now_us);
    replay->report->dead++;
    return KOL_OK;
}

static enum kol_status read_some(struct replay *replay, struct bus_consumer *consumer,
                                 struct kol_error *err)
{
    const struct bus_place *place;
    struct bus_batch batch;
    const int64_t now_us = clock_now_us();
    if (signals_stop_asked()) {
        return kol_fail(err, KOL_INTERRUPTED, "stopped");
    }
    enum kol_status status = bus_poll(consumer, 0, POLL_BYTES, IDLE_MS, &batch, err);
    for (size_t i = 0; i < batch.count && status == KOL_OK; i++) {
        status = take_record(replay, &batch.records[i], now_us, err);
    }
    if (bus_position(consumer, &place) == 1) {
        replay->next = place->next;
    }
    if (status == KOL_OK && (replay->staged_bytes >= replay->options->commit_bytes ||
                             replay->dead.texts.len >= POLL_BYTES)) {
        status = commit_staged(replay, err);
    }
    return status;
}

static enum kol_status read_all(struct replay *replay, struct kol_error *err)
{
    const struct bus_consumer_options options = {.user = replay, .on_lost = note_lost};
    const struct bus_place place = {topic_name(replay->topic), replay->partition, replay->next};
    struct bus_consumer *consumer;
    struct progress progress;
    const int64_t first = replay->next;
    enum kol_status status = bus_consumer_open(replay->options->bus, &options, &consumer, err);
    if (status != KOL_OK) {
        return status;
    }
    status = bus_assign(consumer, &place, 1, err);
    progress_begin(&progress, "replay", "events", replay->end - first, 0);
    while (status == KOL_OK && replay->next < replay->end) {
        status = read_some(replay, consumer, err);
        progress_update(&progress, replay->next - first);
    }
    progress_end(&progress);
    bus_consumer_close(&consumer);
    return status == KOL_OK ? commit_staged(replay, err) : status;
}

static enum kol_status find_end(struct replay *replay, const struct ice_metadata *metadata,
                                struct kol_error *err)
{
    struct ingest_offsets places = {0};
    const char *json = ice_property(metadata, INGEST_OFFSETS_PROPERTY);
    enum kol_status status = ingest_offsets_read(json, topic_name(replay->topic), &places, err);
    replay->end = ingest_offsets_get(&places, replay->partition);
    ingest_offsets_free(&places);
    return status;
}

enum kol_status ingest_replay(const struct ingest_options *options, struct engine *engine,
                              struct ingest_report *reports, size_t count, struct kol_error *err)
{
    struct replay replay = {.options = options};
    struct ice_metadata *metadata = NULL;
    enum kol_status status =
        ingest_read_from(options->from, &replay.topic, &replay.partition, &replay.from, err);
    if (status != KOL_OK) {
        return status;
    }
    replay.next = replay.from;
    replay.table = lake_table_of_topic((int)replay.topic);
    for (size_t i = 0; i < count; i++) {
        replay.report =
            strcmp(reports[i].table, replay.table->name) == 0 ? &reports[i] : replay.report;
    }
    arena_init(&replay.arena, 0);
    ingest_dead_init(&replay.dead, options->bus, replay.topic);
    status = lake_ensure(options->lake, replay.table, &metadata, err);
    if (status == KOL_OK) {
        status = find_end(&replay, metadata, err);
    }
    if (status == KOL_OK && replay.next < replay.end) {
        status = ingest_stage_open(&replay.stage, engine, replay.table, metadata, err);
        status = status == KOL_OK ? read_all(&replay, err) : status;
        ingest_stage_close(&replay.stage);
    }
    ice_metadata_free(&metadata);
    ingest_dead_free(&replay.dead);
    arena_free(&replay.arena);
    return status;
}
