/*
 * warmer.c: the server's own warmer: a thread that warms Redis on start, after each new copy and
 * every warm.interval. Of several processes one does it: whoever holds the lock. In between each
 * keeps alive what it is asked for itself, and the few keys whose life is shorter than the time
 * between two warms.
 */
#include <stdlib.h>

#include "api/value.h"
#include "api/values.h"
#include "base/clock.h"
#include "base/logger.h"
#include "serve/ahead.h"

struct api_warmer {
    struct api *api;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool asked, stop;
    int64_t warmed_ns; /* the thread's own */
};

#define AHEAD_US (INT64_C(60) * 1000000) /* how often what is hot is looked at */

/* Between processes: those that do not get the turn have nothing to do. */
#define WARM_OP "warm"

static bool is_stopped(void *user)
{
    struct api_warmer *warmer = user;
    pthread_mutex_lock(&warmer->lock);
    const bool stop = warmer->stop;
    pthread_mutex_unlock(&warmer->lock);
    return stop;
}

static void say(const struct warm_report *report)
{
    int64_t written = 0, kept = 0, refused = 0, left_out = 0;
    for (size_t i = 0; i < WARM_PARTS; i++) {
        written += report->parts[i].written;
        kept += report->parts[i].kept;
        refused += report->parts[i].refused;
        left_out += report->parts[i].left_out;
    }
    log_info("redis is warm with snapshot %lld: %lld keys written, %lld as new were there, %lld "
             "refused, %lld left out, in %.1f s",
             (long long)report->snapshot, (long long)written, (long long)kept, (long long)refused,
             (long long)left_out, report->seconds);
    if (*report->reason) {
        log_warn("not all of it: %s", report->reason);
    }
}

static void warm(struct api_warmer *warmer)
{
    struct api *api = warmer->api;
    struct api_copy *copy = api_copy_take(api->copies);
    struct kol_error err;
    struct warm_report report;
    if (!copy) {
        return;
    }
    struct api_values *values = api_values_of(copy);
    struct warm_options options = {
        .redis = api->options.redis_patient,
        .heat = tier_heat(api->tier),
        .fill = api->options.warm_fill,
        .older_scores = api->options.older_scores,
        .version = api->options.version,
        .stop = is_stopped,
        .user = warmer,
    };
    for (size_t i = 0; i < WARM_PARTS; i++) {
        options.parts[i] = true;
    }
    if (warm_run(api_values_source(values), &options, &report, &err) == KOL_OK) {
        say(&report);
    } else {
        log_warn("redis could not be warmed, keys come to it as they are asked for: %s",
                 err.message);
    }
    api_values_close(&values);
}

/* What is hot, or would not live until the next warm, and expires soon. */
static void refresh_ahead(struct api_warmer *warmer)
{
    struct api *api = warmer->api;
    struct api_copy *copy = api_copy_take(api->copies);
    struct kol_error err;
    struct ahead_report report;
    if (!copy) {
        return;
    }
    struct arena arena;
    struct str *brief;
    arena_init(&arena, 0);
    /* A warm comes late by one look ahead, and takes its time. */
    const int64_t life_us = api->options.warm_interval_us + 2 * AHEAD_US;
    const size_t brief_count = api_values_brief(life_us, &arena, &brief);
    struct api_values *values = api_values_of(copy);
    const struct ahead_options options = {
        .redis = api->options.redis_patient,
        .heat = tier_heat(api->tier),
        .horizon_us = 2 * AHEAD_US,
        .always = brief,
        .always_count = brief_count,
        .older_scores = api->options.older_scores,
        .stop = is_stopped,
        .user = warmer,
    };
    if (ahead_run(api_values_source(values), &options, &report, &err) != KOL_OK) {
        log_warn("what is hot could not be refreshed ahead: %s", err.message);
    } else if (report.written || report.kept) {
        log_debug("%lld keys live on, %lld of them written anew",
                  (long long)(report.written + report.kept), (long long)report.written);
    }
    api_values_close(&values);
    arena_free(&arena);
}

enum due { DUE_STOP, DUE_WARM, DUE_AHEAD };

/* Waits for a warm that is asked for or due, or until it is time to look ahead. */
static enum due wait_until_due(struct api_warmer *warmer)
{
    const int64_t interval_us = warmer->api->options.warm_interval_us;
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)((interval_us < AHEAD_US ? interval_us : AHEAD_US) / 1000000) + 1;
    pthread_mutex_lock(&warmer->lock);
    int waited = 0;
    while (!warmer->stop && !warmer->asked && waited == 0) {
        waited = pthread_cond_timedwait(&warmer->wake, &warmer->lock, &until);
    }
    const bool due = warmer->asked || clock_mono_ns() - warmer->warmed_ns >= interval_us * 1000;
    warmer->asked = false;
    const bool stop = warmer->stop;
    pthread_mutex_unlock(&warmer->lock);
    return stop ? DUE_STOP : due ? DUE_WARM : DUE_AHEAD;
}

/* Of several processes one warms: whoever gets the turn. */
static void warm_by_turns(struct api_warmer *warmer)
{
    struct tier *tier = warmer->api->tier;
    struct tier_turn turn;
    const int64_t deadline_ns = clock_mono_ns() + INT64_C(1000000000);
    warmer->warmed_ns = clock_mono_ns();
    if (tier_take_turn(tier, STR(WARM_OP), deadline_ns, &turn) == TIER_MINE) {
        warm(warmer);
        tier_give_up(tier, STR(WARM_OP), &turn);
    }
}

static void *run(void *user)
{
    struct api_warmer *warmer = user;
    enum due due;
    while ((due = wait_until_due(warmer)) != DUE_STOP) {
        if (due == DUE_WARM) {
            warm_by_turns(warmer);
        } else {
            refresh_ahead(warmer);
        }
    }
    return NULL;
}

struct api_warmer *api_warmer_start(struct api *api)
{
    struct api_warmer *warmer = mem_zalloc(1, sizeof *warmer);
    pthread_condattr_t monotonic;
    warmer->api = api;
    warmer->asked = true;
    pthread_mutex_init(&warmer->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&warmer->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    KOL_ASSERT(pthread_create(&warmer->thread, NULL, run, warmer) == 0);
    return warmer;
}

void api_warmer_wake(struct api_warmer *warmer)
{
    pthread_mutex_lock(&warmer->lock);
    warmer->asked = true;
    pthread_cond_signal(&warmer->wake);
    pthread_mutex_unlock(&warmer->lock);
}

void api_warmer_stop(struct api_warmer **warmer_at)
{
    struct api_warmer *warmer = *warmer_at;
    if (!warmer) {
        return;
    }
    pthread_mutex_lock(&warmer->lock);
    warmer->stop = true;
    pthread_cond_signal(&warmer->wake);
    pthread_mutex_unlock(&warmer->lock);
    pthread_join(warmer->thread, NULL);
    pthread_cond_destroy(&warmer->wake);
    pthread_mutex_destroy(&warmer->lock);
    free(warmer);
    *warmer_at = NULL;
}
