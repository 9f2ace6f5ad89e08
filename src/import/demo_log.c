/*
 * demo_log.c: batches, marks and the way back in for `kol demo`.
 *
 * The mark has two lines: the arguments, which must be the same for a run that goes on, and how far
 * the world is. It is written in the commit that makes the events durable, always between two KOLs,
 * so that a run that was killed and repeated leaves the same log as one that was not.
 */
#include "import/demo_log.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/progress.h"
#include "base/signals.h"
#include "import/submit.h"

static const char mark_name[] = "kol-demo";

struct demo_writer {
    const struct demo_log_options *options;
    struct demo_log_report *report;
    struct bus_producer *producer;
    struct submit submit;
    struct progress progress;
    struct buf arguments; /* first line of the mark */
    struct buf mark;
    int64_t earlier[TOPIC_COUNT]; /* events of earlier runs */
};

static void put_arguments(struct buf *out, const struct demo_log_options *options)
{
    const struct demo_options *world = &options->world;
    buf_printf(out, "version %d ", DEMO_VERSION);
    if (world->reference) {
        buf_puts(out, "--world reference");
    } else {
        buf_printf(out, "--kols %lld", (long long)world->kols);
    }
    buf_printf(out, " --days %d --seed %lld --end ", world->days, (long long)world->seed);
    if (options->end_is_now) {
        buf_puts(out, "now");
    } else {
        clock_format(out, world->end_us);
    }
}

static void put_mark(struct demo_writer *writer, int64_t next)
{
    buf_clear(&writer->mark);
    buf_put(&writer->mark, buf_str(&writer->arguments));
    buf_printf(&writer->mark, "\n%lld %lld", (long long)writer->report->end_us, (long long)next);
    for (int i = 0; i < TOPIC_COUNT; i++) {
        buf_printf(&writer->mark, " %lld", (long long)writer->report->events[i]);
    }
}

/* Reads the second line: end, next, events of each topic. */
static bool read_progress(struct demo_writer *writer, struct str line, int64_t *next)
{
    struct str rest = line;
    bool good = str_to_int64(str_cut(&rest, ' '), &writer->report->end_us) &&
                str_to_int64(str_cut(&rest, ' '), next);
    for (int i = 0; good && i < TOPIC_COUNT; i++) {
        good = str_to_int64(str_cut(&rest, ' '), &writer->earlier[i]);
        writer->report->events[i] = writer->earlier[i];
    }
    return good && rest.len == 0;
}

static enum kol_status check_empty(struct bus *bus, struct kol_error *err)
{
    for (int i = 0; i < TOPIC_COUNT; i++) {
        struct bus_topic topic;
        struct bus_partition partition = {0};
        const char *name = topic_name((enum topic)i);
        if (!topic_is_input((enum topic)i)) {
            continue;
        }
        enum kol_status status = bus_topic_get(bus, name, &topic, err);
        for (int32_t p = 0; status == KOL_OK && p < topic.partitions; p++) {
            status = bus_partition_get(bus, name, p, &partition, err);
            if (status == KOL_OK && partition.end > partition.start) {
                return kol_fail(err, KOL_EXISTS,
                                "%s already holds events, and a demo world begins in an empty "
                                "log: give it a folder of its own with --data",
                                name);
            }
        }
        if (status != KOL_OK && status != KOL_NOT_FOUND) {
            return status;
        }
    }
    return KOL_OK;
}

/* Finds out where to begin: at 0 in an empty log, or behind what an unfinished run has made. */
static enum kol_status find_place(struct demo_writer *writer, struct bus *bus, int64_t *next,
                                  struct kol_error *err)
{
    *next = 0;
    buf_clear(&writer->mark);
    enum kol_status status = bus_mark_get(bus, mark_name, &writer->mark, err);
    if (status == KOL_NOT_FOUND) {
        return check_empty(bus, err);
    }
    if (status != KOL_OK) {
        return status;
    }
    struct str rest = buf_str(&writer->mark), arguments = str_cut(&rest, '\n');
    struct demo_log_report empty = {.all_kols = writer->report->all_kols,
                                    .end_us = writer->report->end_us};
    if (rest.len == 0) { /* an empty second line: the world is finished */
        return check_empty(bus, err);
    }
    if (!str_equal(arguments, buf_str(&writer->arguments))) {
        return kol_fail(err, KOL_EXISTS,
                        "an unfinished demo world stands in this log (%.*s): finish it with the "
                        "same arguments, or give the new one a folder of its own with --data",
                        STR_FORMAT(arguments));
    }
    if (!read_progress(writer, rest, next) || *next < 0 || *next > writer->report->all_kols) {
        *writer->report = empty;
        return kol_fail(err, KOL_CORRUPT, "the mark %s of the log cannot be read", mark_name);
    }
    writer->report->kols = writer->report->resumed_at = *next;
    return KOL_OK;
}

/* Makes durable what is buffered and says in the same commit that KOL `next` comes next. */
static enum kol_status commit(struct demo_writer *writer, int64_t next, struct kol_error *err)
{
    struct demo_log_report before = *writer->report;
    for (int i = 0; i < TOPIC_COUNT; i++) {
        writer->report->events[i] = writer->earlier[i] + writer->submit.accepted[i];
    }
    if (next == before.all_kols) {
        buf_clear(&writer->mark);
        buf_put(&writer->mark, buf_str(&writer->arguments));
    } else {
        put_mark(writer, next);
    }
    writer->report->kols = next;
    enum kol_status status = bus_txn_mark(writer->producer, mark_name, buf_str(&writer->mark), err);
    status = status == KOL_OK ? submit_flush(&writer->submit, err) : status;
    if (status != KOL_OK) {
        *writer->report = before;
    }
    return status;
}

static enum kol_status on_event(void *user, const struct event *event, struct kol_error *err)
{
    struct demo_writer *writer = user;
    return submit_event(&writer->submit, event, err);
}

static enum kol_status on_kol(void *user, int64_t next, struct kol_error *err)
{
    struct demo_writer *writer = user;
    bool last = next == writer->report->all_kols, stop = !last && signals_stop_asked();
    bool full = bus_pending_bytes(writer->producer) >= writer->options->batch_bytes;
    enum kol_status status = last || stop || full ? commit(writer, next, err) : KOL_OK;
    progress_update(&writer->progress, next);
    if (status == KOL_OK && stop) {
        status = kol_fail(err, KOL_INTERRUPTED,
                          "interrupted after %lld of %lld KOLs; the same command goes on there",
                          (long long)next, (long long)writer->report->all_kols);
    }
    return status;
}

static enum kol_status write_world(struct demo_writer *writer, int64_t first, struct kol_error *err)
{
    const struct demo_sink sink = {.event = on_event, .kol = on_kol, .user = writer};
    struct demo_options world = writer->options->world;
    world.first = first;
    world.end_us = writer->report->end_us;
    progress_begin(&writer->progress, "demo", "KOLs", writer->report->all_kols, first);
    enum kol_status status = demo_run(&world, &sink, err);
    progress_end(&writer->progress);
    return status;
}

enum kol_status demo_log_run(struct bus *bus, const struct demo_log_options *options,
                             struct demo_log_report *report, struct kol_error *err)
{
    /* The name fences: of two runs at once, the older one cannot commit any more. */
    const struct bus_producer_options producer_options = {.transactional_id = mark_name};
    struct demo_writer writer = {.options = options, .report = report};
    int64_t next = 0;
    memset(report, 0, sizeof *report);
    report->end_us = options->world.end_us;
    report->all_kols = demo_kol_count(&options->world);
    put_arguments(&writer.arguments, options);
    enum kol_status status = bus_producer_open(bus, &producer_options, &writer.producer, err);
    if (status == KOL_OK) {
        submit_init(&writer.submit, writer.producer);
        status = find_place(&writer, bus, &next, err);
        status = status == KOL_OK ? write_world(&writer, next, err) : status;
        submit_free(&writer.submit);
        bus_producer_close(&writer.producer);
    }
    buf_free(&writer.arguments);
    buf_free(&writer.mark);
    return status;
}
