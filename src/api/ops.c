/*
 * ops.c: the service about itself: alive, ready, metrics, its description, and where to go.
 *
 * These run on an event thread: none of them waits or reads a file.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "api/parts.h"
#include "base/clock.h"
#include "base/metrics.h"

enum kol_status api_healthz(struct http_call *call, struct kol_error *err)
{
    (void)err;
    struct buf body = {0};
    struct json json = {.out = &body};
    js_open(&json, '{');
    js_member_text(&json, "status", STR("ok"));
    js_member_text(&json, "version", str_of(KOL_API_VERSION));
    js_close(&json, '}');
    return api_answer(call, &body);
}

/* ---- ready ---- */

enum { PARTS = 4 };

struct part {
    const char *name;
    bool ok;
    bool needed; /* answers need it */
    char reason[800];
};

static void look_at_copy(struct api *api, struct part *part)
{
    struct api_copy *copy = api_copy_take(api->copies);
    *part = (struct part){.name = "copy", .ok = copy != NULL, .needed = true};
    if (copy) {
        snprintf(part->reason, sizeof part->reason, "online copy %lld of %lld KOLs%s%s",
                 (long long)copy->info->number, (long long)copy->info->kols,
                 *api->copy_problem ? "; a newer one cannot be used: " : "", api->copy_problem);
    } else {
        snprintf(part->reason, sizeof part->reason, "%s",
                 *api->copy_problem ? api->copy_problem : "there is none yet: run `kol etl`");
    }
    api_copy_drop(copy);
}

static void look_at_models(struct api *api, struct part *part)
{
    const struct score_models *models = serving_take(api->serving);
    const char *version = models->by_kind[SCORE_TRUST].version;
    *part = (struct part){.name = "models", .ok = models->by_kind[SCORE_TRUST].gbdt != NULL};
    snprintf(part->reason, sizeof part->reason, "%s, %s%s%s", version,
             models->by_kind[SCORE_SUCCESS].gbdt ? models->by_kind[SCORE_SUCCESS].version
                                                 : "success by the rule",
             *api->model_problem ? "; a newer one cannot be used: " : "", api->model_problem);
    serving_drop(api->serving, models);
}

static void look(struct api *api, struct part parts[PARTS])
{
    pthread_mutex_lock(&api->problem_lock);
    look_at_copy(api, &parts[0]);
    look_at_models(api, &parts[1]);
    parts[2] = (struct part){.name = "keys", .ok = !*api->key_problem};
    snprintf(parts[2].reason, sizeof parts[2].reason, "%zu valid%s%s%s", api_keys_count(api->keys),
             api->options.open ? ", none is asked for" : "", *api->key_problem ? "; " : "",
             api->key_problem);
    pthread_mutex_unlock(&api->problem_lock);
    bool stopping = atomic_load(&api->stopping);
    parts[3] = (struct part){.name = "server", .ok = !stopping, .needed = true};
    snprintf(parts[3].reason, sizeof parts[3].reason, "%s",
             stopping ? "it was asked to stop" : "it answers");
}

static bool is_ready(const struct part parts[PARTS], struct buf *missing)
{
    for (size_t i = 0; i < PARTS; i++) {
        if (parts[i].needed && !parts[i].ok) {
            buf_printf(missing, "%s%s: %s", missing->len ? "; " : "", parts[i].name,
                       parts[i].reason);
        }
    }
    return missing->len == 0;
}

enum kol_status api_readyz(struct http_call *call, struct kol_error *err)
{
    (void)err;
    struct part parts[PARTS];
    struct buf missing = {0}, body = {0};
    look(api_of(call), parts);
    if (!is_ready(parts, &missing)) {
        enum kol_status status = http_problem(call, "not_ready", "%s", missing.ptr);
        buf_free(&missing);
        return status;
    }
    struct json json = {.out = &body};
    js_open(&json, '{');
    js_member_bool(&json, "ready", true);
    js_name(&json, "parts");
    js_open(&json, '[');
    for (size_t i = 0; i < PARTS; i++) {
        js_open(&json, '{');
        js_member_text(&json, "name", str_of(parts[i].name));
        js_member_bool(&json, "ok", parts[i].ok);
        js_member_text(&json, "reason", str_of(parts[i].reason));
        js_close(&json, '}');
    }
    js_close(&json, ']');
    js_close(&json, '}');
    buf_free(&missing);
    return api_answer(call, &body);
}

/* ---- metrics ---- */

static void measure_server(struct api *api)
{
    struct http_server_stats stats = {0};
    const struct http_server *server = atomic_load(&api->server);
    if (server) {
        http_server_stats(server, &stats);
    }
    metrics_set(METRIC_HTTP_CONNECTIONS, NULL, (double)stats.connections);
    metrics_set(METRIC_HTTP_CALLS, NULL, (double)stats.calls);
    metrics_set(METRIC_HTTP_QUEUED, NULL, (double)stats.queued);
    metrics_set(METRIC_HTTP_STREAMS, NULL, (double)stats.streams);
    metrics_set_total(METRIC_HTTP_REFUSED, "busy", stats.refused_busy);
    metrics_set_total(METRIC_HTTP_REFUSED, "slow", stats.refused_slow);
    metrics_set_total(METRIC_HTTP_REFUSED, "gone", stats.gone);
}

static void measure_cache(struct api *api)
{
    struct l1_stats stats = {0};
    if (api->l1) {
        l1_stats(api->l1, &stats);
    }
    metrics_set_total(METRIC_CACHE_READS, "l1,hit", stats.hits);
    metrics_set_total(METRIC_CACHE_READS, "l1,stale", stats.stale);
    metrics_set_total(METRIC_CACHE_READS, "l1,miss", stats.misses);
    metrics_set_total(METRIC_CACHE_LOADS, "l1,done", stats.loads - stats.load_failures);
    metrics_set_total(METRIC_CACHE_LOADS, "l1,failed", stats.load_failures);
    metrics_set_total(METRIC_CACHE_LOADS, "l1,joined", stats.joined);
    metrics_set_total(METRIC_CACHE_LOADS, "l1,weak", stats.weak);
    metrics_set_total(METRIC_CACHE_LEFT, "l1,evicted", stats.evictions);
    metrics_set_total(METRIC_CACHE_LEFT, "l1,expired", stats.expired);
    metrics_set_total(METRIC_CACHE_LEFT, "l1,dropped", stats.dropped);
    metrics_set_total(METRIC_CACHE_LEFT, "l1,outdated", stats.outdated);
    metrics_set_total(METRIC_CACHE_LEFT, "l1,fenced", stats.fenced);
    metrics_set_total(METRIC_CACHE_LEFT, "l1,too_large", stats.too_large);
    metrics_set(METRIC_CACHE_ENTRIES, "l1", (double)stats.entries);
    metrics_set(METRIC_CACHE_BYTES, "l1", (double)stats.bytes);
    metrics_set(METRIC_CACHE_MAX_BYTES, "l1", (double)stats.max_bytes);
}

static void measure_redis(const struct tier_stats *stats)
{
    metrics_set_total(METRIC_CACHE_READS, "redis,hit", stats->reads[TIER_HIT]);
    metrics_set_total(METRIC_CACHE_READS, "redis,miss", stats->reads[TIER_MISS]);
    metrics_set_total(METRIC_CACHE_READS, "redis,old", stats->reads[TIER_OLD]);
    metrics_set_total(METRIC_CACHE_READS, "redis,garbage", stats->reads[TIER_BAD]);
    metrics_set_total(METRIC_CACHE_READS, "redis,skipped", stats->reads[TIER_SKIPPED]);
    metrics_set_total(METRIC_CACHE_TRIPS_FAILED, "redis", stats->failed_trips);
    metrics_set_total(METRIC_CACHE_WRITES, "redis,written", stats->written);
    metrics_set_total(METRIC_CACHE_WRITES, "redis,kept", stats->kept);
    metrics_set_total(METRIC_CACHE_WRITES, "redis,refused", stats->refused);
    metrics_set_total(METRIC_CACHE_WRITES, "redis,failed", stats->failed_writes);
    metrics_set_total(METRIC_CACHE_WRITES, "redis,dropped", stats->dropped);
    metrics_set(METRIC_CACHE_WRITES_WAITING, "redis", (double)stats->waiting);
    metrics_set(METRIC_CACHE_BREAKER, "redis", (double)stats->breaker);
    metrics_set_total(METRIC_CACHE_BREAKER_OPENED, "redis", stats->breaker_opened);
    metrics_set(METRIC_CACHE_CHANNEL, "redis", stats->channel ? 1 : 0);
    metrics_set_total(METRIC_CACHE_CHANNEL_LOST, "redis", stats->lost);
    metrics_set_total(METRIC_CACHE_CHANGES, "redis,seen", stats->changes);
    metrics_set_total(METRIC_CACHE_CHANGES, "redis,unchanged", stats->same);
    metrics_set_total(METRIC_CACHE_CHANGES, "redis,dropped", stats->drops);
    metrics_set_total(METRIC_CACHE_LINK_BYTES, "redis,sent", stats->redis.sent_bytes);
    metrics_set_total(METRIC_CACHE_LINK_BYTES, "redis,read", stats->redis.read_bytes);
}

/* 1 for what serves, 0 for what served before. */
static void measure_models(struct api *api)
{
    const struct score_models *models = serving_take(api->serving);
    pthread_mutex_lock(&api->problem_lock);
    for (int kind = 0; kind < SCORE_KINDS; kind++) {
        char *before = api->measured_model[kind], label[sizeof api->measured_model[0]];
        snprintf(label, sizeof label, "%s,%s", score_kind_name((enum score_kind)kind),
                 models->by_kind[kind].version);
        if (*before && strcmp(before, label) != 0) {
            metrics_set(METRIC_MODEL_SERVES, before, 0);
        }
        memcpy(before, label, sizeof label);
        metrics_set(METRIC_MODEL_SERVES, label, 1);
    }
    pthread_mutex_unlock(&api->problem_lock);
    serving_drop(api->serving, models);
}

static void measure_copy(struct api *api)
{
    struct api_copy *copy = api_copy_take(api->copies);
    const struct online_info *info = copy ? copy->info : NULL;
    const int64_t now_us = clock_now_us();
    metrics_set(METRIC_COPY_NUMBER, NULL, info ? (double)info->number : 0);
    metrics_set(METRIC_COPY_KOLS, NULL, info ? (double)info->kols : 0);
    metrics_set(METRIC_COPY_AGE_SECONDS, NULL,
                info ? (double)(now_us - info->built_us) / 1e6 : NAN);
    metrics_set(METRIC_COPY_LAG_SECONDS, NULL,
                info && info->as_of_us ? (double)(now_us - info->as_of_us) / 1e6 : NAN);
    api_copy_drop(copy);
}

enum kol_status api_metrics(struct http_call *call, struct kol_error *err)
{
    (void)err;
    struct api *api = api_of(call);
    struct part parts[PARTS];
    struct buf body = {0}, missing = {0};
    look(api, parts);
    metrics_set(METRIC_READY, NULL, is_ready(parts, &missing) ? 1 : 0);
    metrics_set(METRIC_KEYS, NULL, (double)api_keys_count(api->keys));
    measure_server(api);
    measure_cache(api);
    if (api->tier) {
        struct tier_stats stats;
        tier_stats(api->tier, &stats);
        measure_redis(&stats);
    }
    measure_models(api);
    measure_copy(api);
    metrics_render(&body);
    buf_free(&missing);
    return api_answer(call, &body);
}

/* ---- the description, and the front page ---- */

enum kol_status api_openapi(struct http_call *call, struct kol_error *err)
{
    return http_handle_openapi(call, err);
}

enum kol_status api_docs(struct http_call *call, struct kol_error *err)
{
    return http_handle_docs(call, err);
}

enum kol_status api_docs_file(struct http_call *call, struct kol_error *err)
{
    return http_handle_docs(call, err);
}

enum kol_status api_root(struct http_call *call, struct kol_error *err)
{
    (void)err;
    static const char page[] =
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width\">\n<title>kol</title>\n"
        "<h1>kol</h1>\n<p>Profiles, scores, rankings, content and predictions of KOLs.</p>\n<ul>\n"
        "<li><a href=\"/docs\">All routes, to try</a></li>\n"
        "<li><a href=\"/openapi.json\">Their description (OpenAPI 3.1)</a></li>\n"
        "<li><a href=\"/readyz\">Whether the service is ready</a></li>\n"
        "</ul>\n</html>\n";
    http_json(call, (struct str){page, sizeof page - 1});
    return KOL_OK;
}
