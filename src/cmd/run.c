/*
 * run.c: `kol run`: the API, and beside it a timer that takes events from the log to what is
 * served.
 *
 * One round is ingest, etl and the online copy, one after the other in one thread; the API sees the
 * new copy by itself. Where another model serves than scored last, etl runs without new events too:
 * it finds that only the scores are to be made anew. Now and then the tables are kept up, as by
 * `kol maintain`, behind a round that went well. A round that fails is said and tried again with
 * the next one: the API goes on with the copy that it has. A round without new events costs a look
 * at the log and at the aliases of the models.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/logger.h"
#include "base/signals.h"
#include "cmd/serve.h"
#include "lake/etl.h"
#include "lake/ingest.h"
#include "online/online.h"
#include "registry/registry.h"
#include "version.h"

#define COMMIT_BYTES (INT64_C(256) << 20) /* of events that one commit to bronze holds */

struct timer {
    const struct invocation *call;
    struct api *api;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stopping;   /* under the lock */
    bool etl_is_due; /* a round failed behind its ingest, or none was made yet */
    /* The versions by which the last complete round scored, by kind. A version never changes, so
     * their names are enough. */
    char scored_by[SCORE_KINDS][32];
    int64_t kept_up_ns; /* when the tables were kept up last; 0: not since the start */
};

static enum kol_status ingest(struct timer *timer, struct lake *lake, int64_t *events,
                              struct kol_error *err)
{
    struct bus *bus;
    struct ingest_report *reports;
    size_t count;
    *events = 0;
    enum kol_status status = api_bus(timer->api, &bus, err);
    if (status != KOL_OK) {
        return status;
    }
    const struct ingest_options options = {.lake = lake, .bus = bus, .commit_bytes = COMMIT_BYTES};
    status = ingest_run(&options, &reports, &count, err);
    for (size_t i = 0; i < count; i++) {
        *events += reports[i].events;
    }
    free(reports);
    return status;
}

static enum kol_status etl(struct timer *timer, struct lake *lake, struct kol_error *err)
{
    struct score_models models = {0};
    struct online_build_report report;
    char run_id[40] = "";
    enum kol_status status = command_load_models(timer->call, &models, err);
    if (status != KOL_OK) {
        return status;
    }
    const struct etl_options options = {.lake = lake, .version = KOL_VERSION, .models = &models};
    status = etl_run(&options, run_id, err);
    if (status == KOL_OK && run_id[0]) {
        const struct online_build_options online = {
            .data = timer->call->data, .lake = lake, .keep_us = ONLINE_KEEP_US};
        status = online_build(&online, &report, err);
    }
    registry_serving_free(&models);
    return status;
}

/* The versions that serve now. Read before etl loads them: where an alias moves in between, the
 * next round runs once more and finds nothing to do. */
static enum kol_status which_serve(const struct timer *timer, char out[SCORE_KINDS][32],
                                   struct kol_error *err)
{
    struct registry *registry = NULL;
    const struct registry_options options = {.data = timer->call->data};
    enum kol_status status = registry_open(&options, &registry, err);
    for (int kind = 0; kind < SCORE_KINDS && status == KOL_OK; kind++) {
        status = registry_which_serves(registry, (enum score_kind)kind, out[kind], err);
    }
    registry_close(&registry);
    return status;
}

/* What could not be kept up is said and waits for the next time: the round itself went well. */
static void keep_up(struct timer *timer, struct lake *lake)
{
    struct kol_error err;
    const int64_t now_ns = clock_mono_ns();
    const int64_t pause_us = config_int(timer->call->config, OPTION_RUN_MAINTAIN);
    if (!pause_us || (timer->kept_up_ns && now_ns - timer->kept_up_ns < pause_us * 1000)) {
        return;
    }
    const struct maintain_options options = command_maintain_defaults(lake);
    enum kol_status status = maintain_run(&options, &err);
    timer->kept_up_ns = clock_mono_ns();
    if (status == KOL_OK) {
        log_info("the tables were kept up in %.1f s", (double)(timer->kept_up_ns - now_ns) / 1e9);
    } else if (status != KOL_INTERRUPTED) {
        log_warn("not all tables could be kept up (`kol maintain` names them): %s", err.message);
    }
}

/* Other models than those of the last round make etl due. */
static enum kol_status look_at_models(struct timer *timer, char serving[SCORE_KINDS][32],
                                      struct kol_error *err)
{
    enum kol_status status = which_serve(timer, serving, err);
    for (int kind = 0; kind < SCORE_KINDS && status == KOL_OK; kind++) {
        if (strcmp(serving[kind], timer->scored_by[kind]) != 0) {
            timer->etl_is_due = true;
        }
    }
    return status;
}

static enum kol_status one_round(struct timer *timer, struct kol_error *err)
{
    struct lake *lake = NULL;
    char serving[SCORE_KINDS][32];
    int64_t events = 0, begun_ns = clock_mono_ns();
    enum kol_status status = command_open_lake(timer->call, false, &lake, err);
    if (status == KOL_OK) {
        status = ingest(timer, lake, &events, err);
    }
    if (events) {
        timer->etl_is_due = true; /* also where ingest failed behind some of them */
    }
    if (status == KOL_OK) {
        status = look_at_models(timer, serving, err);
    }
    if (status == KOL_OK && timer->etl_is_due) {
        status = etl(timer, lake, err);
        if (status == KOL_OK) {
            timer->etl_is_due = false;
            memcpy(timer->scored_by, serving, sizeof serving);
            log_info("%lld new events are in the tables and in the copy after %.1f s",
                     (long long)events, (double)(clock_mono_ns() - begun_ns) / 1e9);
        }
    }
    if (status == KOL_OK) {
        keep_up(timer, lake);
    }
    lake_close(&lake);
    return status;
}

/* Waits for the next round; false once it is to end. */
static bool wait_for_turn(struct timer *timer)
{
    const int64_t at_ns =
        clock_mono_ns() + config_int(timer->call->config, OPTION_RUN_INTERVAL) * 1000;
    const struct timespec until = {at_ns / 1000000000, at_ns % 1000000000};
    pthread_mutex_lock(&timer->lock);
    int rc = 0;
    while (!timer->stopping && rc == 0) {
        rc = pthread_cond_timedwait(&timer->wake, &timer->lock, &until);
    }
    bool more = !timer->stopping;
    pthread_mutex_unlock(&timer->lock);
    return more;
}

static void *run_rounds(void *user)
{
    struct timer *timer = user;
    do {
        struct kol_error err;
        enum kol_status status = one_round(timer, &err);
        if (status != KOL_OK && status != KOL_INTERRUPTED) {
            log_warn("what is served stays as it is until the next round: %s", err.message);
        }
    } while (wait_for_turn(timer));
    return NULL;
}

static enum kol_status start_timer(struct timer *timer, struct kol_error *err)
{
    pthread_condattr_t attributes;
    pthread_mutex_init(&timer->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&timer->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    int rc = pthread_create(&timer->thread, NULL, run_rounds, timer);
    return rc ? kol_fail_errno(err, rc, "no thread for ingest and etl") : KOL_OK;
}

/* What is under way ends at its next step, as with the commands: nothing acknowledged is lost. */
static void stop_timer(struct timer *timer)
{
    pthread_mutex_lock(&timer->lock);
    timer->stopping = true;
    pthread_cond_signal(&timer->wake);
    pthread_mutex_unlock(&timer->lock);
    signals_ask_stop(true);
    pthread_join(timer->thread, NULL);
    signals_ask_stop(false);
}

enum kol_status cmd_run(const struct invocation *call, struct kol_error *err)
{
    struct timer timer = {.call = call, .etl_is_due = true};
    enum kol_status status = file_make_dir(call->data, err);
    if (status == KOL_OK) {
        status = serve_open(call, &timer.api, err);
    }
    if (status == KOL_OK) {
        status = start_timer(&timer, err);
    }
    if (status == KOL_OK) {
        status = serve_until_stopped(call, timer.api, err);
        stop_timer(&timer);
    }
    api_close(&timer.api);
    return status;
}
