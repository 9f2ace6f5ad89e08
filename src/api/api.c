/*
 * api.c: opens what the API reads, follows what changes, and keeps what a call holds.
 *
 * A part that is missing is no reason not to start: the routes that need it say so, and /readyz
 * names it. What comes later (a first copy, a repaired model) is found by the refresh.
 */
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/value.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/logger.h"

/* How eager early refreshes are; see l1.h. */
#define EARLY 1.0

/* ---- opening ---- */

static void observe(const struct http_route *route, int status, int64_t duration_ns,
                    struct str caller, void *user)
{
    struct api *api = user;
    api_red_add(api->red, route, status, duration_ns);
    if (route && route->scopes) {
        api_usage_add(api->usage, caller, status);
    }
}

static bool identify(struct str key, struct http_identity *out, void *user)
{
    struct api *api = user;
    return api_keys_identify(api->keys, key, out);
}

static void counted(void *user)
{
    struct api *api = user;
    api_limits_counted(api->limits);
}

static enum http_session session(struct str cookie, int64_t until_ns, struct http_identity *out,
                                 void *user)
{
    return api_signed_find(user, cookie, until_ns, out);
}

static void set_hooks(struct api *api)
{
    api_tables(&api->app);
    api->app.user = api;
    api->app.keeps = api->l1 != NULL;
    api->app.quick = api_quick;
    api->app.gather = api->gather ? api_gather_take : NULL;
    api->app.besides = api->gather ? api_gather_besides : NULL;
    api->app.work = api_work;
    api->app.identify = api->options.open ? NULL : identify;
    api->app.cookie = api->options.open ? NULL : API_COOKIE;
    api->app.session = api->options.open ? NULL : session;
    api->app.counted = counted;
    api->app.observe = observe;
}

/* A purge that some process asked for. */
static void on_purge(struct str what, struct str name, void *user)
{
    struct api *api = user;
    if (api->l1) {
        (void)api_purge_l1(api, what, name);
    }
}

static enum kol_status open_tier(struct api *api, struct kol_error *err)
{
    if (!api->options.redis) {
        return KOL_OK;
    }
    char *heat = file_join(api->data, "heat");
    const struct tier_options options = {
        .redis = api->options.redis,
        .l1 = api->l1,
        .first = api->options.redis_first,
        .is_platform = api_is_platform,
        .ask_us = api->options.redis_ask_us,
        .heat = heat,
        .on_purge = on_purge,
        .user = api,
    };
    api->options.redis = NULL; /* the tier's, also where it cannot be opened */
    enum kol_status status = tier_open(&options, &api->tier, err);
    free(heat);
    return status;
}

static enum kol_status open_parts(struct api *api, struct kol_error *err)
{
    const struct registry_options registry = {.data = api->data};
    enum kol_status status = open_tier(api, err);
    if (status == KOL_OK) {
        status = api_copies_open(&api->options, &api->copies, err);
    }
    if (status == KOL_OK) {
        status = registry_open(&registry, &api->registry, err);
    }
    if (status == KOL_OK) {
        status = serving_open(api->registry, &api->serving, err);
    }
    if (status == KOL_OK) {
        status = live_open(api->data, &api->live, err);
    }
    if (status == KOL_OK) {
        status = api_keys_open(api->data, api->options.api_keys, &api->keys, err);
    }
    return status;
}

enum kol_status api_open(const struct api_options *options, struct api **out, struct kol_error *err)
{
    if (!file_exists(options->data)) {
        struct redis *redis = options->redis, *patient = options->redis_patient;
        redis_close(&redis);
        redis_close(&patient);
        return kol_fail(err, KOL_NOT_FOUND,
                        "there is no data folder %s yet: `kol demo` makes one with demo data, "
                        "`kol import` one from files",
                        options->data);
    }
    struct api *api = mem_zalloc(1, sizeof *api);
    api->options = *options;
    api->data = mem_strdup(options->data);
    api->options.data = api->data;
    api->started_us = clock_now_us();
    pthread_mutex_init(&api->bus_lock, NULL);
    pthread_mutex_init(&api->problem_lock, NULL);
    api->usage = api_usage_new();
    api->signed_in = api_signed_new();
    if (options->l1_bytes > 0) {
        api->l1 =
            l1_new(&(struct l1_options){.max_bytes = (size_t)options->l1_bytes, .early = EARLY});
    }
    enum kol_status status = open_parts(api, err);
    api->options.api_keys = NULL; /* the caller's */
    if (status != KOL_OK) {
        api_close(&api);
        return status;
    }
    if (api->tier && api->options.redis_first) {
        api->gather = api_gather_start(api);
    }
    api->limits = api_limits_start(api);
    set_hooks(api);
    api->red = api_red_new(&api->app);
    if (api->tier && options->redis_patient && options->warm_interval_us) {
        api->warmer = api_warmer_start(api);
    }
    *out = api;
    return KOL_OK;
}

void api_close(struct api **api_at)
{
    struct api *api = *api_at;
    if (!api) {
        return;
    }
    api_limits_stop(&api->limits);
    api_gather_stop(&api->gather);
    api_warmer_stop(&api->warmer);
    tier_close(&api->tier);
    redis_close(&api->options.redis); /* where no tier took it */
    redis_close(&api->options.redis_patient);
    if (api->l1) {
        l1_free(&api->l1);
    }
    bus_close(&api->bus);
    live_close(&api->live);
    serving_close(&api->serving);
    registry_close(&api->registry);
    api_keys_close(&api->keys);
    api_copies_close(&api->copies);
    api_usage_free(&api->usage);
    api_signed_free(&api->signed_in);
    api_red_free(&api->red);
    pthread_mutex_destroy(&api->bus_lock);
    pthread_mutex_destroy(&api->problem_lock);
    free(api->data);
    free(api);
    *api_at = NULL;
}

const struct http_app *api_app(struct api *api)
{
    static struct http_app tables;
    if (api) {
        return &api->app;
    }
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&lock);
    if (!tables.routes) {
        api_tables(&tables);
    }
    pthread_mutex_unlock(&lock);
    return &tables;
}

void api_attach(struct api *api, const struct http_server *server)
{
    atomic_store(&api->server, server);
    api_limits_attach(api->limits, server);
}

void api_stopping(struct api *api)
{
    atomic_store(&api->stopping, true);
}

enum kol_status api_bus(struct api *api, struct bus **out, struct kol_error *err)
{
    enum kol_status status = KOL_OK;
    pthread_mutex_lock(&api->bus_lock);
    if (!api->bus) {
        char *path = file_join(api->data, "log");
        const struct bus_options options = {
            .path = path,
            .map_bytes = api->options.log_map_size,
            .default_partitions = api->options.log_partitions,
            .retention_us = api->options.log_retention_us,
            .retention_bytes = api->options.log_retention_bytes,
        };
        status = bus_open(&options, &api->bus, err);
        if (status != KOL_OK) {
            api->bus = NULL;
        }
        free(path);
    }
    *out = api->bus;
    pthread_mutex_unlock(&api->bus_lock);
    return status;
}

/* ---- following what changes ---- */

/* Keeps the problem for /readyz; says it once. "" where it is over. */
static void set_problem(struct api *api, char problem[512], const char *part, const char *now)
{
    pthread_mutex_lock(&api->problem_lock);
    bool news = strcmp(problem, now) != 0;
    snprintf(problem, sizeof api->copy_problem, "%s", now);
    pthread_mutex_unlock(&api->problem_lock);
    if (news && *now) {
        log_warn("%s: %s", part, now);
    } else if (news) {
        log_info("%s: all is well again", part);
    }
}

static void drop_tag(struct api *api, const char *tag)
{
    if (api->l1) {
        l1_drop_tag(api->l1, str_of(tag));
    }
}

static void refresh_copy(struct api *api)
{
    bool changed = false;
    struct kol_error err = {0};
    struct api_copy *before = api_copy_take(api->copies);
    enum kol_status status = api_copies_refresh(api->copies, &changed, &err);
    set_problem(api, api->copy_problem, "the online copy", status == KOL_OK ? "" : err.message);
    if (changed) {
        struct api_copy *now = api_copy_take(api->copies);
        log_info("answers come from online copy %lld now, of %lld KOLs",
                 (long long)now->info->number, (long long)now->info->kols);
        api_copy_drop(now);
    }
    if (changed && before) {
        char tag[32];
        snprintf(tag, sizeof tag, "copy:%lld", (long long)before->info->number);
        drop_tag(api, tag);
    }
    if (changed && api->warmer) {
        api_warmer_wake(api->warmer);
    }
    api_copy_drop(before);
}

static void refresh_models(struct api *api)
{
    bool swapped = false;
    struct kol_error err = {0};
    enum kol_status status = serving_refresh(api->serving, &swapped, &err);
    /* The failure is told once; it lasts until something changes. */
    if (status != KOL_OK || swapped) {
        set_problem(api, api->model_problem, "the models", status == KOL_OK ? "" : err.message);
    }
    if (swapped) {
        for (int kind = 0; kind < SCORE_KINDS; kind++) {
            char tag[32];
            snprintf(tag, sizeof tag, "model:%s", score_kind_name((enum score_kind)kind));
            drop_tag(api, tag);
        }
    }
}

static void refresh_keys(struct api *api, bool force)
{
    bool changed = false;
    struct kol_error err = {0};
    enum kol_status status = api_keys_refresh(api->keys, force, &changed, &err);
    if (status != KOL_OK || changed) {
        set_problem(api, api->key_problem, "the keys", status == KOL_OK ? "" : err.message);
    }
}

void api_refresh(struct api *api)
{
    refresh_copy(api);
    refresh_models(api);
    refresh_keys(api, false);
    api_signed_settle(api);
}

enum kol_status api_reload(struct api *api, struct kol_error *err)
{
    refresh_copy(api);
    refresh_models(api);
    refresh_keys(api, true);
    enum kol_status status = KOL_OK;
    pthread_mutex_lock(&api->problem_lock);
    const char *problem = *api->key_problem ? api->key_problem : api->model_problem;
    if (*problem) {
        status = kol_fail(err, KOL_CONFLICT, "%s", problem);
    }
    pthread_mutex_unlock(&api->problem_lock);
    return status;
}

/* ---- what a call holds ---- */

struct api *api_of(const struct http_call *call)
{
    return http_call_app(call);
}

struct api_call *api_call_of(struct http_call *call)
{
    void **slot = http_call_slot(call);
    if (!*slot) {
        struct api_call *held = arena_alloc(http_call_arena(call), sizeof *held);
        *held = (struct api_call){.api = api_of(call)};
        *slot = held;
    }
    return *slot;
}

void api_call_end(struct http_call *call)
{
    struct api_call *held = *http_call_slot(call);
    if (!held) {
        return;
    }
    api_session_drop(call, NULL);
    api_copy_drop(held->copy);
    if (held->models) {
        serving_drop(held->api->serving, held->models);
    }
    held->copy = NULL;
    held->models = NULL;
}

bool api_call_wanted(struct http_call *call)
{
    /* The call itself waits for its own load. */
    const struct api_call *held = api_call_of(call);
    return !http_cancelled(call) || (held->load && l1_waiting(held->load) > 1);
}

void api_call_tag(struct http_call *call, const char *format, ...)
{
    struct api_call *held = api_call_of(call);
    struct buf text = {0};
    if (!held->api->l1 || http_call_route(call)->method != HTTP_GET) {
        return; /* nothing is kept that could be dropped */
    }
    va_list args;
    va_start(args, format);
    buf_vprintf(&text, format, args);
    va_end(args);
    if (!held->tags) {
        held->tags = arena_alloc(http_call_arena(call), API_TAGS * sizeof *held->tags);
    }
    if (held->tag_count < API_TAGS) {
        held->tags[held->tag_count++] = arena_copy(http_call_arena(call), buf_str(&text));
    } else {
        held->too_many_tags = true;
    }
    buf_free(&text);
}

void api_call_weak(struct http_call *call)
{
    api_call_of(call)->weak = true;
}

void api_call_stamp(struct http_call *call, struct str platform, struct str kol_id, int64_t at_us)
{
    struct api_call *held = api_call_of(call);
    if (!held->stamps) {
        held->stamps = arena_alloc(http_call_arena(call), API_STAMPS * sizeof *held->stamps);
    }
    KOL_ASSERT(held->stamp_count < API_STAMPS);
    held->stamps[held->stamp_count++] = (struct l1_stamp){
        .of = hash_seeded(kol_id, hash_seeded(platform, 0)),
        .at = at_us,
    };
}

/* From here on the answer is made from this copy, which the call holds. */
static enum kol_status hold_copy(struct http_call *call, struct api_copy *copy,
                                 struct api_copy **out)
{
    struct api_call *held = api_call_of(call);
    held->copy = copy;
    api_call_tag(call, "copy:%lld", (long long)copy->info->number);
    *out = copy;
    return KOL_OK;
}

enum kol_status api_call_copy(struct http_call *call, struct api_copy **out, struct kol_error *err)
{
    (void)err;
    struct api_call *held = api_call_of(call);
    if (held->copy) {
        *out = held->copy;
        return KOL_OK;
    }
    struct api_copy *copy = api_copy_take(held->api->copies);
    if (!copy) {
        return http_problem(call, "not_ready",
                            "There is no online copy yet; it comes with the first run of etl.");
    }
    return hold_copy(call, copy, out);
}

enum kol_status api_call_copy_numbered(struct http_call *call, int64_t number,
                                       struct api_copy **out, struct kol_error *err)
{
    struct api_call *held = api_call_of(call);
    KOL_ASSERT(!held->copy); /* one answer, one copy */
    struct api_copy *copy;
    enum kol_status status = api_copy_numbered(held->api->copies, number, &copy, err);
    if (status == KOL_NOT_FOUND) {
        return http_problem(call, "cursor_expired",
                            "The cursor's snapshot %lld is not kept any more.", (long long)number);
    }
    return status == KOL_OK ? hold_copy(call, copy, out) : status;
}

enum kol_status api_call_try_copy(struct http_call *call, int64_t number, struct api_copy **out,
                                  struct kol_error *err)
{
    struct api_call *held = api_call_of(call);
    struct api_copy *copy;
    enum kol_status status = api_copy_numbered(held->api->copies, number, &copy, err);
    return status == KOL_OK ? hold_copy(call, copy, out) : status;
}

const struct score_models *api_call_models(struct http_call *call)
{
    struct api_call *held = api_call_of(call);
    if (!held->models) {
        held->models = serving_take(held->api->serving);
        for (int kind = 0; kind < SCORE_KINDS; kind++) {
            api_call_tag(call, "model:%s", score_kind_name((enum score_kind)kind));
        }
    }
    return held->models;
}

enum kol_status api_answer(struct http_call *call, struct buf *body)
{
    http_take_json(call, body);
    return KOL_OK;
}
