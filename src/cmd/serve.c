/*
 * serve.c: `kol serve`: the REST API over the data folder, until it is asked to stop.
 *
 * The main thread follows what changes (the online copy, models, keys, once a second) and waits for
 * signals: SIGHUP reads keys, models and certificate again, SIGTERM ends it in an order that costs
 * no request: not ready, no new connections, what is under way finishes, all else is given up after
 * serve.grace.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backup/backup.h"
#include "base/clock.h"
#include "base/logger.h"
#include "base/signals.h"
#include "cmd/redis.h"
#include "cmd/serve.h"
#include "version.h"

enum { TICK_MS = 1000, WARM_ANSWER_US = 5000000 };

/* ---- who may ask ---- */

static bool is_loopback(const char *host)
{
    return strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0 ||
           strcmp(host, "localhost") == 0;
}

/* Keys that are neither revoked nor expired, the given ones among them. */
static enum kol_status count_keys(const struct invocation *call, size_t *out, struct kol_error *err)
{
    struct arena arena;
    struct api_key *keys;
    size_t count;
    const char *given = config_text(call->config, OPTION_SERVE_API_KEYS);
    arena_init(&arena, 0);
    enum kol_status status = api_key_list(call->data, &arena, &keys, &count, err);
    *out = given && *given ? 1 : 0;
    for (size_t i = 0; i < count && status == KOL_OK; i++) {
        bool expired = keys[i].expires_us && keys[i].expires_us <= clock_now_us();
        *out += !keys[i].revoked_us && !expired;
    }
    arena_free(&arena);
    return status;
}

/* Open to all: only where nobody but this machine can ask and no key was ever made, or by order. */
static enum kol_status decide_open(const struct invocation *call, bool *open, struct kol_error *err)
{
    size_t keys;
    const char *host = config_text(call->config, OPTION_SERVE_HOST);
    enum kol_status status = count_keys(call, &keys, err);
    *open = false;
    if (status != KOL_OK || keys) {
        return status;
    }
    if (!is_loopback(host) && !config_bool(call->config, OPTION_SERVE_ALLOW_OPEN)) {
        return kol_fail(err, KOL_USAGE,
                        "%s can be reached from outside and there is no key: make one by `kol keys "
                        "create --scope read`, or let everybody in by --serve-allow-open",
                        host);
    }
    *open = true;
    return KOL_OK;
}

/* ---- from options to a server ---- */

static struct http_server_options server_options(const struct config *config)
{
    return (struct http_server_options){
        .host = config_text(config, OPTION_SERVE_HOST),
        .port = (int)config_int(config, OPTION_SERVE_PORT),
        .operations_port = (int)config_int(config, OPTION_SERVE_OPERATIONS_PORT),
        .threads = (int)config_int(config, OPTION_SERVE_THREADS),
        .workers = (int)config_int(config, OPTION_SERVE_WORKERS),
        .queue = (int)config_int(config, OPTION_SERVE_QUEUE),
        .deadline_us = config_int(config, OPTION_SERVE_DEADLINE),
        .head_us = config_int(config, OPTION_SERVE_HEAD_TIME),
        .body_us = config_int(config, OPTION_SERVE_BODY_TIME),
        .idle_us = config_int(config, OPTION_SERVE_IDLE_TIME),
        .connections = (int)config_int(config, OPTION_SERVE_CONNECTIONS),
        .connections_per_address = (int)config_int(config, OPTION_SERVE_CONNECTIONS_PER_ADDRESS),
        .rate_per_minute = config_int(config, OPTION_SERVE_RATE),
        .burst = config_int(config, OPTION_SERVE_BURST),
        .cors_origins = config_text(config, OPTION_SERVE_CORS_ORIGINS),
        .tls_certificate = config_text(config, OPTION_SERVE_TLS_CERTIFICATE),
        .tls_key = config_text(config, OPTION_SERVE_TLS_KEY),
        .access_log = config_bool(config, OPTION_SERVE_ACCESS_LOG),
    };
}

static struct api_options api_options(const struct invocation *call, bool open)
{
    const struct config *config = call->config;
    return (struct api_options){
        .data = call->data,
        .l1_bytes = config_int(config, OPTION_SERVE_CACHE),
        .lists_bytes = config_int(config, OPTION_SERVE_MEMORY),
        .sessions = (int)config_int(config, OPTION_SERVE_SESSIONS),
        .api_keys = config_text(config, OPTION_SERVE_API_KEYS),
        .open = open,
        .log_map_size = config_int(config, OPTION_LOG_MAP_SIZE),
        .log_partitions = (int)config_int(config, OPTION_LOG_PARTITIONS),
        .log_retention_us = config_int(config, OPTION_LOG_RETENTION),
        .log_retention_bytes = config_int(config, OPTION_LOG_RETENTION_BYTES),
        .redis_first = config_bool(config, OPTION_REDIS_FIRST),
        .redis_ask_us = config_int(config, OPTION_REDIS_ANSWER_TIME),
        .older_scores = config_int(config, OPTION_REDIS_SCORE_FORMAT) == 1,
        .version = KOL_VERSION,
        .warm_interval_us = config_int(config, OPTION_WARM_INTERVAL),
        .warm_fill = (double)config_int(config, OPTION_WARM_FILL) / 100,
    };
}

/* Redis for requests, and for the warmer, which has more time. */
static enum kol_status open_redis(const struct invocation *call, struct api_options *options,
                                  struct kol_error *err)
{
    enum kol_status status = redis_from_config(call->config, &options->redis, err);
    if (status == KOL_OK) {
        status =
            redis_from_config_patient(call->config, WARM_ANSWER_US, &options->redis_patient, err);
    }
    if (status == KOL_OK && !options->redis && options->redis_first) {
        status = kol_fail(err, KOL_USAGE,
                          "redis.first asks Redis before the local copy, and no Redis is "
                          "configured: name it by --redis-url or --redis-host");
    }
    if (status != KOL_OK) {
        redis_close(&options->redis);
        redis_close(&options->redis_patient);
    }
    return status;
}

/* ---- saying where it is ---- */

/* A name that this machine can be asked by: what listens everywhere is here too. */
static void put_url(struct buf *out, const struct invocation *call, int port)
{
    const char *host = config_text(call->config, OPTION_SERVE_HOST);
    bool tls = config_text(call->config, OPTION_SERVE_TLS_CERTIFICATE) != NULL;
    if (strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0) {
        host = "127.0.0.1";
    }
    bool bracket = strchr(host, ':') != NULL;
    buf_printf(out, "http%s://%s%s%s:%d", tls ? "s" : "", bracket ? "[" : "", host,
               bracket ? "]" : "", port);
}

static void put_row(struct rows *rows, const char *what, const char *base, const char *path)
{
    struct buf url = {0};
    buf_printf(&url, "%s%s", base, path);
    rows_text(rows, str_of(what));
    rows_text(rows, buf_str(&url));
    buf_free(&url);
}

static enum kol_status print_urls(const struct invocation *call, const struct http_server *server,
                                  struct kol_error *err)
{
    static const char *const columns[] = {"what", "url"};
    struct buf api = {0}, operations = {0};
    put_url(&api, call, http_server_port(server));
    put_url(&operations, call, http_server_operations_port(server));
    struct rows *rows = rows_begin(stdout, call->format, columns, 2);
    put_row(rows, "api", api.ptr, "/");
    put_row(rows, "docs", api.ptr, "/docs");
    put_row(rows, "openapi", api.ptr, "/openapi.json");
    put_row(rows, "ready", api.ptr, "/readyz");
    put_row(rows, "metrics", operations.ptr, "/metrics");
    enum kol_status status = rows_end(&rows, err);
    if (status == KOL_OK && fflush(stdout) != 0) {
        status = kol_fail(err, KOL_IO, "stdout could not take the addresses");
    }
    buf_free(&api);
    buf_free(&operations);
    return status;
}

/* ---- running ---- */

static void reload(struct api *api, struct http_server *server)
{
    struct kol_error err;
    log_info("reading keys, models and certificate again");
    if (api_reload(api, &err) != KOL_OK) {
        log_warn("not all could be read again, what was there before serves on: %s", err.message);
    }
    if (http_server_reload(server, &err) != KOL_OK) {
        log_warn("the certificate could not be read again, that of before serves on: %s",
                 err.message);
    }
}

static void run_until_stopped(struct api *api, struct http_server *server)
{
    while (!signals_stop_asked()) {
        struct pollfd stop = {.fd = signals_stop_fd(), .events = POLLIN};
        if (poll(&stop, 1, TICK_MS) > 0) {
            continue;
        }
        if (signals_take_reload()) {
            reload(api, server);
        }
        api_refresh(api);
    }
    /* Statements of calls under way would end with the flag; a second signal sets it again. */
    signals_ask_stop(false);
}

static void stop(const struct invocation *call, struct api *api, struct http_server **server)
{
    log_info("asked to stop: not ready from here on, calls under way finish");
    api_stopping(api);
    struct pollfd again = {.fd = signals_stop_fd(), .events = POLLIN};
    int64_t drain_us = config_int(call->config, OPTION_SERVE_DRAIN);
    if (drain_us) {
        (void)poll(&again, 1, (int)(drain_us / 1000));
    }
    api_attach(api, NULL);
    http_server_stop(server, config_int(call->config, OPTION_SERVE_GRACE));
    log_info("stopped");
}

enum kol_status serve_open(const struct invocation *call, struct api **out, struct kol_error *err)
{
    bool open = false;
    enum kol_status status = backup_check_restored(call->data, err);
    if (status == KOL_OK) {
        status = decide_open(call, &open, err);
    }
    if (status != KOL_OK) {
        return status;
    }
    struct api_options options = api_options(call, open);
    status = open_redis(call, &options, err);
    if (status == KOL_OK) {
        status = api_open(&options, out, err);
    }
    if (status == KOL_OK) {
        log_info(open ? "no key is asked for: only this machine should reach the server"
                      : "a key is asked for");
    }
    return status;
}

enum kol_status serve_until_stopped(const struct invocation *call, struct api *api,
                                    struct kol_error *err)
{
    struct http_server *server = NULL;
    const struct http_server_options options = server_options(call->config);
    signals_catch_reload();
    enum kol_status status = http_server_start(&options, api_app(api), &server, err);
    if (status != KOL_OK) {
        return status;
    }
    api_attach(api, server);
    status = print_urls(call, server, err);
    if (status == KOL_OK) {
        run_until_stopped(api, server);
    }
    stop(call, api, &server);
    return status;
}

enum kol_status cmd_serve(const struct invocation *call, struct kol_error *err)
{
    struct api *api = NULL;
    enum kol_status status = serve_open(call, &api, err);
    if (status == KOL_OK) {
        status = serve_until_stopped(call, api, err);
    }
    api_close(&api);
    return status;
}
