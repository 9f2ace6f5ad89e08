/* demo.c: `kol demo`: a made-up world of events into the log. */
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cmd/command.h"
#include "import/demo_log.h"

static enum kol_status read_world(const struct invocation *call, struct demo_options *world,
                                  struct kol_error *err)
{
    const char *name = flag_text(call, "world");
    if (name && strcmp(name, "reference") != 0) {
        return kol_fail(err, KOL_USAGE, "--world %s: the only named world is reference", name);
    }
    if (name && flag_given(call, "kols")) {
        return kol_fail(err, KOL_USAGE, "--world reference has its own sizes: leave --kols out");
    }
    world->reference = name != NULL;
    world->kols = flag_int(call, "kols");
    world->days = (int)flag_int(call, "days");
    world->seed = (uint64_t)flag_int(call, "seed");
    return KOL_OK;
}

static enum kol_status read_end(const struct invocation *call, struct demo_log_options *options,
                                struct kol_error *err)
{
    const char *end = flag_text(call, "end");
    int64_t now_us = clock_now_us(), end_us = DEMO_END_US;
    options->end_is_now = end && strcmp(end, "now") == 0;
    if (options->end_is_now) {
        end_us = now_us;
    } else if (end && !clock_parse(str_of(end), &end_us)) {
        return kol_fail(err, KOL_USAGE,
                        "--end %s: expected now or a time such as 2025-06-30T00:00:00Z", end);
    }
    if (end_us > now_us) {
        return kol_fail(err, KOL_USAGE,
                        "the world would end in the future by this machine's clock: give --end "
                        "now, or an earlier time");
    }
    options->world.end_us = end_us - end_us % CLOCK_US_PER_SECOND;
    return KOL_OK;
}

static enum kol_status print_report(const struct invocation *call,
                                    const struct demo_log_report *report, struct kol_error *err)
{
    static const char *const names[] = {"topic", "events"};
    struct rows *rows = rows_begin(stdout, call->format, names, ARRAY_LEN(names));
    for (int i = 0; i < TOPIC_COUNT; i++) {
        if (topic_is_input((enum topic)i)) {
            rows_text(rows, str_of(topic_name((enum topic)i)));
            rows_int(rows, report->events[i]);
        }
    }
    return rows_end(&rows, err);
}

static void say_report(const struct invocation *call, const struct demo_log_options *options,
                       const struct demo_log_report *report, int64_t taken_ns)
{
    int64_t events = 0;
    struct buf from = {0}, to = {0};
    for (int i = 0; i < TOPIC_COUNT; i++) {
        events += report->events[i];
    }
    clock_format(&from, report->end_us - options->world.days * CLOCK_US_PER_DAY);
    clock_format(&to, report->end_us);
    if (report->resumed_at > 0) {
        fprintf(stderr, "Went on behind %lld KOLs that an earlier run has made.\n",
                (long long)report->resumed_at);
    }
    fprintf(stderr, "%lld KOLs with %lld events from %s to %s (seed %lld) in %.1f s.\n",
            (long long)report->kols, (long long)events, from.ptr, to.ptr,
            (long long)options->world.seed, (double)taken_ns / 1e9);
    fprintf(stderr, "Have a look: kol log tail %s --limit 5 --data %s\n",
            topic_name(TOPIC_PROFILES), call->data);
    buf_free(&from);
    buf_free(&to);
}

enum kol_status cmd_demo(const struct invocation *call, struct kol_error *err)
{
    struct demo_log_options options = {0};
    struct demo_log_report report;
    struct bus *bus = NULL;
    int64_t started_ns = clock_mono_ns();
    options.batch_bytes = (size_t)config_int(call->config, OPTION_IMPORT_BATCH);
    enum kol_status status = read_world(call, &options.world, err);
    status = status == KOL_OK ? read_end(call, &options, err) : status;
    status = status == KOL_OK ? demo_check(&options.world, err) : status;
    status = status == KOL_OK ? command_open_bus(call, false, &bus, err) : status;
    if (status != KOL_OK) {
        return status;
    }
    status = demo_log_run(bus, &options, &report, err);
    if (status == KOL_OK) {
        status = print_report(call, &report, err);
        say_report(call, &options, &report, clock_mono_ns() - started_ns);
    }
    bus_close(&bus);
    return status;
}
