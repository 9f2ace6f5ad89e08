/*
 * log_tail.c: `kol log tail`: records of a topic, over all partitions in the order of their append.
 *
 * Each partition has a consumer of its own, and of the records at their fronts the one that was
 * appended first is printed. What is appended while that goes on is in order too, as far as one
 * round of looks can tell.
 */
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/signals.h"
#include "cmd/log.h"
#include "domain/event.h"

enum {
    DEFAULT_LAST = 10,
    BATCH = 1000,     /* records that one partition hands out at once */
    FOLLOW_MS = 50,   /* between two looks at all partitions when following */
    TABLE_ROWS = 1000 /* a table is held in memory: a longer one is printed in pieces */
};

/* A partition that is read. */
struct lane {
    struct bus_consumer *consumer;
    int32_t partition;
    int64_t end; /* without --follow: read no further than this */
    struct bus_batch batch;
    size_t at; /* the record of the batch that is at the front */
};

struct tail {
    const struct invocation *call;
    struct bus *bus;
    struct bus_topic topic;
    struct lane *lanes;
    size_t lane_count;
    bool follow, values;
    int64_t left; /* records that may still be printed */
    struct rows *rows;
    int64_t in_table;
};

static void say_lost(struct bus_consumer *consumer, const char *topic, int32_t partition,
                     int64_t from, int64_t next, void *user)
{
    (void)consumer, (void)user;
    fprintf(stderr, "%s, partition %d: offsets %lld to %lld were dropped by retention\n", topic,
            partition, (long long)from, (long long)next - 1);
}

static enum kol_status open_lane(struct tail *tail, int32_t partition, int64_t from,
                                 struct kol_error *err)
{
    struct lane *lane = &tail->lanes[tail->lane_count++];
    struct bus_partition extent;
    lane->partition = partition;
    enum kol_status status =
        bus_partition_get(tail->bus, tail->topic.name, partition, &extent, err);
    if (status == KOL_OK) {
        const struct bus_consumer_options options = {.on_lost = say_lost};
        status = bus_consumer_open(tail->bus, &options, &lane->consumer, err);
    }
    if (status != KOL_OK) {
        return status;
    }
    lane->end = tail->follow ? INT64_MAX : extent.end;
    const struct bus_place place = {tail->topic.name, partition, from};
    return bus_assign(lane->consumer, &place, 1, err);
}

static const struct bus_record *front(const struct lane *lane)
{
    return lane->at < lane->batch.count ? &lane->batch.records[lane->at] : NULL;
}

/* Gives the lane a record at its front, if there is one. */
static enum kol_status fill_lane(struct lane *lane, int timeout_ms, struct kol_error *err)
{
    const struct bus_place *place;
    if (front(lane)) {
        return KOL_OK;
    }
    lane->batch.count = 0;
    lane->at = 0;
    if (bus_position(lane->consumer, &place) == 1 && place->next >= lane->end) {
        return KOL_OK;
    }
    enum kol_status status = bus_poll(lane->consumer, BATCH, 0, timeout_ms, &lane->batch, err);
    while (lane->batch.count && lane->batch.records[lane->batch.count - 1].offset >= lane->end) {
        lane->batch.count--;
    }
    return status;
}

/* The lane whose front was appended first, NULL where all are empty. */
static enum kol_status pick_lane(struct tail *tail, struct lane **out, struct kol_error *err)
{
    *out = NULL;
    for (size_t i = 0; i < tail->lane_count; i++) {
        struct lane *lane = &tail->lanes[i];
        enum kol_status status = fill_lane(lane, 0, err);
        if (status != KOL_OK) {
            return status;
        }
        if (front(lane) && (!*out || front(lane)->append_us < front(*out)->append_us)) {
            *out = lane;
        }
    }
    return KOL_OK;
}

/* ---- printing ---- */

static void put_record(struct tail *tail, const struct bus_record *record)
{
    if (tail->values) {
        fwrite(record->value.ptr, 1, record->value.len, stdout);
        putchar('\n');
        return;
    }
    static const char *const names[] = {"partition", "offset", "timestamp", "key", "value"};
    if (!tail->rows) {
        tail->rows = rows_begin(stdout, tail->call->format, names, ARRAY_LEN(names));
    }
    rows_int(tail->rows, record->partition);
    rows_int(tail->rows, record->offset);
    rows_time(tail->rows, record->timestamp_us);
    rows_text(tail->rows, record->key);
    rows_text(tail->rows, record->value);
    tail->in_table++;
}

static enum kol_status end_table(struct tail *tail, struct kol_error *err)
{
    tail->in_table = 0;
    return tail->rows ? rows_end(&tail->rows, err) : KOL_OK;
}

/* Makes what was printed visible now: before a wait, and now and then. */
static enum kol_status show(struct tail *tail, struct kol_error *err)
{
    if (tail->rows && tail->call->format == ROWS_TABLE) {
        enum kol_status status = end_table(tail, err);
        if (status != KOL_OK) {
            return status;
        }
    }
    if (fflush(stdout) != 0 || ferror(stdout)) {
        return kol_fail(err, KOL_IO, "the output could not be written");
    }
    return KOL_OK;
}

static enum kol_status print_records(struct tail *tail, struct kol_error *err)
{
    struct lane *lane;
    while (tail->left > 0) {
        if (signals_stop_asked()) {
            return kol_fail(err, KOL_INTERRUPTED, "stopped");
        }
        enum kol_status status = pick_lane(tail, &lane, err);
        if (status != KOL_OK || (!lane && !tail->follow)) {
            return status;
        }
        if (lane) {
            put_record(tail, front(lane));
            lane->at++;
            tail->left--;
        }
        if (!lane || tail->in_table >= TABLE_ROWS || ferror(stdout)) {
            status = show(tail, err);
        }
        if (status == KOL_OK && !lane) {
            status = fill_lane(&tail->lanes[0], FOLLOW_MS, err);
        }
        if (status != KOL_OK) {
            return status;
        }
    }
    return KOL_OK;
}

/* ---- where to begin ---- */

struct stamp {
    int64_t append_us;
    size_t lane;
};

static int compare_stamps(const void *a, const void *b)
{
    const struct stamp *x = a, *y = b;
    if (x->append_us != y->append_us) {
        return (x->append_us > y->append_us) - (x->append_us < y->append_us);
    }
    return (x->lane > y->lane) - (x->lane < y->lane);
}

/* Reads a lane to its end and notes when each record was appended. */
static enum kol_status note_stamps(struct tail *tail, size_t i, struct stamp **stamps,
                                   size_t *count, struct kol_error *err)
{
    struct lane *lane = &tail->lanes[i];
    enum kol_status status;
    while ((status = fill_lane(lane, 0, err)) == KOL_OK && front(lane)) {
        *stamps = mem_realloc(*stamps, (*count + 1) * sizeof **stamps);
        (*stamps)[(*count)++] = (struct stamp){front(lane)->append_us, i};
        lane->at++;
    }
    return status;
}

/* Sets a lane back by some records. */
static enum kol_status step_back(struct tail *tail, struct lane *lane, int64_t records,
                                 struct kol_error *err)
{
    const struct bus_place *at;
    bus_position(lane->consumer, &at);
    const int64_t next = at->next < lane->end ? at->next : lane->end;
    const struct bus_place place = {tail->topic.name, lane->partition, next - records};
    lane->batch.count = lane->at = 0;
    return bus_assign(lane->consumer, &place, 1, err);
}

/* The lanes begin `last` records before their ends. Goes forward in them until only the `last`
 * newest of all are left. */
static enum kol_status keep_newest(struct tail *tail, int64_t last, struct kol_error *err)
{
    struct stamp *stamps = NULL;
    size_t count = 0;
    int64_t *keep = mem_zalloc(tail->lane_count, sizeof *keep);
    enum kol_status status = KOL_OK;
    for (size_t i = 0; i < tail->lane_count && status == KOL_OK; i++) {
        status = note_stamps(tail, i, &stamps, &count, err);
    }
    if (status == KOL_OK && count) {
        qsort(stamps, count, sizeof *stamps, compare_stamps);
    }
    for (size_t i = count > (size_t)last ? count - (size_t)last : 0; i < count; i++) {
        keep[stamps[i].lane]++;
    }
    for (size_t i = 0; i < tail->lane_count && status == KOL_OK; i++) {
        status = step_back(tail, &tail->lanes[i], keep[i], err);
    }
    free(stamps);
    free(keep);
    return status;
}

/* The offset that a lane begins at. */
static enum kol_status place_of(const struct tail *tail, int32_t partition, int64_t last,
                                int64_t *out, struct kol_error *err)
{
    const char *from = flag_text(tail->call, "from");
    struct bus_partition extent;
    if (!from) {
        enum kol_status status =
            bus_partition_get(tail->bus, tail->topic.name, partition, &extent, err);
        *out = extent.end - extent.start > last ? extent.end - last : extent.start;
        return status;
    }
    if (strcmp(from, "start") == 0) {
        *out = BUS_FROM_START;
    } else if (strcmp(from, "end") == 0) {
        *out = BUS_FROM_END;
    } else if (!str_to_int64(str_of(from), out) || *out < 0) {
        return kol_fail(err, KOL_USAGE, "--from: start, end or an offset, not '%s'", from);
    }
    return KOL_OK;
}

static enum kol_status open_lanes(struct tail *tail, int64_t last, struct kol_error *err)
{
    const int64_t only = flag_int(tail->call, "partition");
    if (only >= tail->topic.partitions) {
        return kol_fail(err, KOL_USAGE, "--partition: topic %s has partitions 0 to %d",
                        tail->topic.name, tail->topic.partitions - 1);
    }
    tail->lanes = mem_zalloc((size_t)tail->topic.partitions, sizeof *tail->lanes);
    for (int32_t p = 0; p < tail->topic.partitions; p++) {
        int64_t from;
        if (only >= 0 && p != only) {
            continue;
        }
        enum kol_status status = place_of(tail, p, last, &from, err);
        status = status == KOL_OK ? open_lane(tail, p, from, err) : status;
        if (status != KOL_OK) {
            return status;
        }
    }
    return KOL_OK;
}

/* Finds the topic. One of the program's own that nobody has written to yet is no error: KOL_END, or
 * with --follow a wait until it is there. */
static enum kol_status find_topic(struct tail *tail, struct kol_error *err)
{
    const char *name = tail->call->args[1];
    enum topic known;
    enum kol_status status = bus_topic_get(tail->bus, name, &tail->topic, err);
    if (status != KOL_NOT_FOUND || !topic_find(str_of(name), &known)) {
        return status;
    }
    while (tail->follow && status == KOL_NOT_FOUND && !signals_stop_asked()) {
        struct pollfd stop = {.fd = signals_stop_fd(), .events = POLLIN};
        (void)poll(&stop, 1, FOLLOW_MS); /* how it ends does not matter: all is looked at anew */
        status = bus_topic_get(tail->bus, name, &tail->topic, err);
    }
    if (status == KOL_NOT_FOUND && tail->follow) {
        return kol_fail(err, KOL_INTERRUPTED, "stopped");
    }
    if (status == KOL_NOT_FOUND) {
        fprintf(stderr, "nothing has come to %s yet\n", name);
        return KOL_END;
    }
    return status;
}

static enum kol_status run_tail(struct tail *tail, struct kol_error *err)
{
    const struct invocation *call = tail->call;
    const bool limited = flag_given(call, "limit");
    tail->follow = flag_bool(call, "follow");
    tail->values = flag_bool(call, "values");
    tail->left = limited ? flag_int(call, "limit") : INT64_MAX;
    /* Without a place, --limit says how many of the last ones. */
    const int64_t last = limited && !tail->follow ? tail->left : DEFAULT_LAST;
    enum kol_status status = find_topic(tail, err);
    if (status == KOL_END) {
        return KOL_OK;
    }
    status = status == KOL_OK ? open_lanes(tail, last, err) : status;
    if (status == KOL_OK && !flag_text(call, "from")) {
        status = keep_newest(tail, last, err);
    }
    return status == KOL_OK ? print_records(tail, err) : status;
}

enum kol_status log_tail(const struct invocation *call, struct kol_error *err)
{
    struct tail tail = {.call = call};
    struct kol_error end_err;
    enum kol_status status = command_open_bus(call, true, &tail.bus, err);
    if (status != KOL_OK) {
        return status;
    }
    status = run_tail(&tail, err);
    /* What was printed before a failure is shown too. */
    enum kol_status end_status = end_table(&tail, &end_err);
    end_status = end_status == KOL_OK ? show(&tail, &end_err) : end_status;
    if (status == KOL_OK && end_status != KOL_OK) {
        status = kol_fail(err, end_status, "%s", end_err.message);
    }
    for (size_t i = 0; i < tail.lane_count; i++) {
        bus_consumer_close(&tail.lanes[i].consumer);
    }
    free(tail.lanes);
    bus_close(&tail.bus);
    return status;
}
