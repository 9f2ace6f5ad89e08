/*
 * log_produce.c: `kol log produce`: lines of stdin -> records of a topic.
 *
 * Events are checked as an import checks them (import/submit.h). A commit takes at most --batch
 * lines, and comes at least every 200 ms while lines come in, so that what a person types or a slow
 * source gives is durable soon. A line is *settled* once its record, or its dead letter, is
 * durable.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cmd/each_line.h"
#include "cmd/log.h"
#include "domain/decode.h"
#include "import/submit.h"

enum {
    COMMIT_BYTES = 8 << 20, /* a commit comes at this size too, so that memory stays bounded */
    COMMIT_MS = 200,
    CUT_BYTES = 4096, /* how much of a line that is too long goes to kol.dead */
};

struct produce {
    const struct invocation *call;
    struct bus *bus;
    struct bus_producer *producer;
    struct submit submit;
    enum topic topic;
    bool check; /* lines are events of `topic` */
    bool acks;
    int64_t batch;

    int64_t taken;     /* number of the last line that was read */
    int64_t settled;   /* number of the last line whose outcome is durable */
    int64_t waiting;   /* lines since the last commit */
    int64_t oldest_ns; /* when the first of them came */
    int64_t raw;       /* records of lines that were not checked */
};

static enum kol_status commit(struct produce *produce, struct kol_error *err)
{
    if (produce->settled == produce->taken) {
        return KOL_OK;
    }
    enum kol_status status = submit_flush(&produce->submit, err);
    if (status != KOL_OK) {
        return status;
    }
    produce->waiting = 0;
    produce->settled = produce->taken;
    if (produce->acks &&
        (printf("%lld\n", (long long)produce->settled) < 0 || fflush(stdout) != 0)) {
        return kol_fail(err, KOL_IO, "the acknowledgement could not be written to stdout");
    }
    return KOL_OK;
}

static enum kol_status commit_when_idle(void *user, struct kol_error *err)
{
    return commit(user, err);
}

static enum kol_status send_line(struct produce *produce, const struct line *line,
                                 struct kol_error *err)
{
    const struct submit_place place = {"<stdin>", line->number};
    const enum topic *topic = produce->check ? &produce->topic : NULL;
    if (line->too_long) {
        struct buf reason = {0};
        buf_printf(&reason, "a line of more than %d bytes; only its first %d are kept here",
                   DECODE_MAX_BYTES, CUT_BYTES);
        const struct str cut = {line->text.ptr, CUT_BYTES};
        enum kol_status status =
            submit_dead(&produce->submit, topic, cut, buf_str(&reason), place, err);
        buf_free(&reason);
        return status;
    }
    if (produce->check) {
        return submit_json(&produce->submit, line->text, topic, place, err);
    }
    produce->raw++;
    return bus_produce(produce->producer, produce->call->args[1], produce->submit.partition,
                       (struct str){NULL, 0}, line->text, clock_now_us(), err);
}

static enum kol_status take_line(void *user, const struct line *line, struct kol_error *err)
{
    struct produce *produce = user;
    enum kol_status status = send_line(produce, line, err);
    if (status != KOL_OK) {
        return status;
    }
    const int64_t now_ns = clock_mono_ns();
    produce->taken = line->number;
    produce->oldest_ns = produce->waiting++ ? produce->oldest_ns : now_ns;
    const bool due = produce->waiting >= produce->batch ||
                     bus_pending_bytes(produce->producer) >= COMMIT_BYTES ||
                     now_ns - produce->oldest_ns >= COMMIT_MS * INT64_C(1000000);
    return due ? commit(produce, err) : KOL_OK;
}

static enum kol_status take_stdin(struct produce *produce, struct kol_error *err)
{
    const struct each_line how = {.path = "-",
                                  .max_bytes = DECODE_MAX_BYTES,
                                  .stopped = "stopped",
                                  .take = take_line,
                                  .idle = commit_when_idle,
                                  .user = produce};
    enum kol_status status = each_line(&how, err);
    /* What was taken before the input failed, or a stop was asked for, is made durable still. */
    struct kol_error commit_err;
    enum kol_status commit_status = commit(produce, &commit_err);
    if (status == KOL_OK && commit_status != KOL_OK) {
        status = kol_fail(err, commit_status, "%s", commit_err.message);
    }
    return status;
}

static void report(const struct produce *produce)
{
    const struct submit *submit = &produce->submit;
    if (produce->settled < produce->taken) {
        fprintf(stderr, "lines 1 to %lld are in the log; go on with the next one\n",
                (long long)produce->settled);
        return;
    }
    const long long accepted = submit->accepted_total + produce->raw;
    fprintf(stderr, "accepted %lld, dead %lld\n", accepted, (long long)submit->dead_total);
    for (size_t i = 0; i < submit->reason_count; i++) {
        const struct submit_reason *reason = &submit->reasons[i];
        fprintf(stderr, "  %lld dead, first at line %lld: %s\n", (long long)reason->count,
                (long long)reason->line, reason->text);
    }
    if (submit->other_reasons) {
        fprintf(stderr, "  %lld dead for other reasons\n", (long long)submit->other_reasons);
    }
}

/* A new topic is made by its first record; one whose name looks like a slip of the pen is not. */
static enum kol_status check_name(struct produce *produce, const char *name, struct kol_error *err)
{
    const char *names[TOPIC_COUNT];
    struct bus_topic there;
    for (int i = 0; i < TOPIC_COUNT; i++) {
        names[i] = topic_name((enum topic)i);
    }
    if (topic_find(str_of(name), &produce->topic)) {
        if (!topic_is_input(produce->topic) && !flag_bool(produce->call, "raw")) {
            return kol_fail(err, KOL_USAGE,
                            "%s is written by kol itself; with --raw lines go there as they are",
                            name);
        }
        return KOL_OK;
    }
    enum kol_status status = bus_topic_get(produce->bus, name, &there, err);
    if (status != KOL_NOT_FOUND) {
        return status;
    }
    const char *nearest = str_nearest(str_of(name), names, TOPIC_COUNT);
    if (nearest) {
        return kol_fail(err, KOL_NOT_FOUND,
                        "topic %s does not exist; did you mean %s? (`kol log create %s` makes it)",
                        name, nearest, name);
    }
    return KOL_OK;
}

static enum kol_status run_produce(struct produce *produce, struct kol_error *err)
{
    const struct invocation *call = produce->call;
    enum kol_status status = check_name(produce, call->args[1], err);
    if (status == KOL_OK) {
        status = bus_producer_open(produce->bus, &(struct bus_producer_options){0},
                                   &produce->producer, err);
    }
    if (status != KOL_OK) {
        return status;
    }
    enum topic found;
    produce->check = topic_find(str_of(call->args[1]), &found) && topic_is_input(found) &&
                     !flag_bool(call, "raw");
    produce->acks = flag_bool(call, "acks");
    produce->batch = flag_int(call, "batch");
    submit_init(&produce->submit, produce->producer);
    produce->submit.partition = (int32_t)flag_int(call, "partition");
    status = take_stdin(produce, err);
    report(produce);
    submit_free(&produce->submit);
    bus_producer_close(&produce->producer);
    return status;
}

enum kol_status log_produce(const struct invocation *call, struct kol_error *err)
{
    struct produce produce = {.call = call};
    enum kol_status status = command_open_bus(call, false, &produce.bus, err);
    if (status == KOL_OK) {
        status = run_produce(&produce, err);
        bus_close(&produce.bus);
    }
    return status;
}
