/*
 * http_served.c: a made-up API on the HTTP server, for the tests that drive it over sockets.
 *
 *   http_served NAME=VALUE...    options of the server by their name ("deadline_us=200000"), and
 *                                shared=1 for one answer that is kept (the quick path), work=1 for
 *                                an app that ends its calls by itself
 *
 * It prints one line of JSON with its ports once it listens, and ends on SIGTERM or at the end of
 * stdin, with its counts as a last line. SIGHUP reads the certificate again.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/logger.h"
#include "base/mem.h"
#include "http/http.h"

static _Atomic long handled, cancels, observed, abandoned, quick_hits, refreshed;
static struct http_answer *shared_answer; /* what quick() gives for /hit */
static struct http_server *the_server;

static void sleep_us(int64_t us)
{
    struct timespec pause = {us / 1000000, us % 1000000 * 1000};
    nanosleep(&pause, NULL);
}

/* ---- handlers ---- */

static enum kol_status handle_ping(struct http_call *call, struct kol_error *err)
{
    (void)err;
    atomic_fetch_add(&handled, 1);
    http_json(call, STR("{\"pong\":true}"));
    return KOL_OK;
}

/* What the call knows of itself. */
static enum kol_status handle_echo(struct http_call *call, struct kol_error *err)
{
    (void)err;
    atomic_fetch_add(&handled, 1);
    struct buf out = {0};
    struct str key = http_call_key(call), caller = http_caller(call), id = http_call_id(call);
    struct str name = http_text(call, 0), agent = http_header(call, "User-Agent");
    buf_printf(&out, "{\"name\":\"%.*s\",\"count\":%lld,\"key\":\"%.*s\",\"caller\":\"%.*s\"",
               STR_FORMAT(name), (long long)http_int(call, 1), STR_FORMAT(key), STR_FORMAT(caller));
    buf_printf(&out, ",\"id\":\"%.*s\",\"agent\":\"%.*s\",\"type\":\"%s\"}", STR_FORMAT(id),
               STR_FORMAT(agent), http_call_type(call));
    http_json(call, buf_str(&out));
    buf_free(&out);
    return KOL_OK;
}

struct sleeper {
    _Atomic bool told;
};

static void wake_up(void *user)
{
    struct sleeper *sleeper = user;
    atomic_fetch_add(&cancels, 1);
    atomic_store(&sleeper->told, true);
}

/* Sleeps for `ms`; with `deaf` nothing but the time ends it. */
static enum kol_status handle_slow(struct http_call *call, struct kol_error *err)
{
    atomic_fetch_add(&handled, 1);
    struct sleeper sleeper = {0};
    int64_t end_ns = clock_mono_ns() + http_int(call, 0) * 1000000;
    bool deaf = http_bool(call, 1);
    http_on_cancel(call, wake_up, &sleeper);
    while (clock_mono_ns() < end_ns && (deaf || !atomic_load(&sleeper.told))) {
        sleep_us(1000);
    }
    http_off_cancel(call);
    if (http_cancelled(call)) {
        atomic_fetch_add(&abandoned, 1);
        return kol_fail(err, KOL_INTERRUPTED, "told to stop");
    }
    http_json(call, STR("{\"slept\":true}"));
    return KOL_OK;
}

/* A body of `bytes` in words, so that it compresses. */
static enum kol_status handle_big(struct http_call *call, struct kol_error *err)
{
    (void)err;
    struct buf out = {0};
    buf_puts(&out, "{\"text\":\"");
    while (out.len < (size_t)http_int(call, 0)) {
        buf_printf(&out, "word %zu of many, ", out.len);
    }
    buf_puts(&out, "\"}");
    http_json(call, buf_str(&out));
    buf_free(&out);
    return KOL_OK;
}

static enum kol_status handle_fail(struct http_call *call, struct kol_error *err)
{
    switch (http_choice(call, 0)) {
    case 0: return kol_fail(err, KOL_NOT_FOUND, "there is no thing of that name");
    case 1: return kol_fail(err, KOL_IO, "secret: /var/lib/disk7 is broken");
    case 2: return http_problem(call, "teapot", "It is %d times a teapot.", 2);
    default: return kol_fail(err, KOL_TIMEOUT, "too slow");
    }
}

/* The body, its length and checksum: what came through inflating. */
static enum kol_status handle_body(struct http_call *call, struct kol_error *err)
{
    (void)err;
    struct str body = http_body(call);
    unsigned sum = 0;
    for (size_t i = 0; i < body.len; i++) {
        sum = sum * 31 + (unsigned char)body.ptr[i];
    }
    struct buf out = {0};
    buf_printf(&out, "{\"bytes\":%zu,\"sum\":%u}", body.len, sum);
    http_json(call, buf_str(&out));
    buf_free(&out);
    return KOL_OK;
}

static enum kol_status handle_json_body(struct http_call *call, struct kol_error *err)
{
    (void)err;
    http_json(call, http_json_body(call) ? STR("{\"json\":true}") : STR("{\"json\":false}"));
    return KOL_OK;
}

static enum kol_status handle_page(struct http_call *call, struct kol_error *err)
{
    (void)err;
    http_json(call, STR("<!doctype html><title>made up</title>"));
    return KOL_OK;
}

/* `lines` lines of 1,000 bytes; `cut`: fails behind them. */
static enum kol_status handle_stream(struct http_call *call, struct kol_error *err)
{
    struct http_stream *stream;
    enum kol_status status = http_stream_begin(call, "application/x-ndjson", &stream, err);
    if (status != KOL_OK) {
        return status;
    }
    int64_t lines = http_int(call, 0), pause_us = http_int(call, 2);
    bool cut = http_bool(call, 1);
    char line[1001];
    memset(line, 'x', sizeof line);
    line[999] = '\n';
    for (int64_t i = 0; i < lines && status == KOL_OK; i++) {
        char number[24];
        int len = snprintf(number, sizeof number, "%014lld", (long long)i);
        memcpy(line, number, (size_t)len);
        status = http_stream_write(stream, (struct str){line, 1000}, 1000000, err);
        if (status == KOL_OK && pause_us) {
            sleep_us(pause_us);
        }
    }
    atomic_fetch_add(&abandoned, status != KOL_OK);
    http_stream_end(&stream, cut && status == KOL_OK ? KOL_IO : status);
    return status;
}

static enum kol_status handle_stats(struct http_call *call, struct kol_error *err)
{
    (void)err;
    struct http_server_stats stats;
    struct buf out = {0};
    http_server_stats(http_call_server(call), &stats);
    buf_printf(&out,
               "{\"connections\":%lld,\"calls\":%lld,\"queued\":%lld,\"streams\":%lld,"
               "\"refused_busy\":%lld,\"refused_slow\":%lld,\"gone\":%lld,",
               (long long)stats.connections, (long long)stats.calls, (long long)stats.queued,
               (long long)stats.streams, (long long)stats.refused_busy,
               (long long)stats.refused_slow, (long long)stats.gone);
    buf_printf(&out,
               "\"handled\":%ld,\"cancels\":%ld,\"observed\":%ld,\"abandoned\":%ld,"
               "\"quick\":%ld,\"refreshed\":%ld}",
               handled, cancels, observed, abandoned, quick_hits, refreshed);
    http_json(call, buf_str(&out));
    buf_free(&out);
    return KOL_OK;
}

/* ---- the table ---- */

static const struct http_field echo_fields[] = {
    {.name = "name", .kind = HTTP_TEXT, .required = true, .help = "A name"},
    {.name = "count", .kind = HTTP_INT, .fallback = "1", .min = 1, .max = 100, .help = "How many"},
    {.name = "format", .kind = HTTP_CHOICE, .choices = "json csv", .help = "Which type"},
};
static const struct http_field slow_fields[] = {
    {.name = "ms", .kind = HTTP_INT, .fallback = "100", .min = 0, .max = 60000, .help = "Sleep"},
    {.name = "deaf", .kind = HTTP_BOOL, .fallback = "false", .help = "Whether it hears no cancel"},
};
static const struct http_field big_fields[] = {
    {.name = "bytes",
     .kind = HTTP_INT,
     .fallback = "20000",
     .min = 0,
     .max = 100000000,
     .help = "Length of the body"},
};
static const struct http_field fail_fields[] = {
    {.name = "how",
     .kind = HTTP_CHOICE,
     .fallback = "missing",
     .choices = "missing io teapot late",
     .help = "How it fails"},
};
static const struct http_field stream_fields[] = {
    {.name = "lines",
     .kind = HTTP_INT,
     .fallback = "10",
     .min = 0,
     .max = 10000000,
     .help = "How many lines"},
    {.name = "cut", .kind = HTTP_BOOL, .fallback = "false", .help = "Whether it fails at its end"},
    {.name = "pause_us",
     .kind = HTTP_INT,
     .fallback = "0",
     .min = 0,
     .max = 10000000,
     .help = "Pause behind each line"},
};
static const struct http_field thing_fields[] = {
    {.name = "word", .kind = HTTP_TEXT, .required = true, .min = 1, .max = 100, .help = "A word"},
};
static const struct http_field any_fields[] = {
    {.name = "ok", .kind = HTTP_BOOL, .help = "Anything"},
};
static const struct http_schema schemas[] = {
    {.name = "Thing", .help = "A thing", .fields = thing_fields, .field_count = 1},
    {.name = "Any", .help = "Anything", .fields = any_fields, .field_count = 1, .open = true},
};

#define FIELDS(list) .fields = (list), .field_count = ARRAY_LEN(list)
#define ROW(the_path, the_name, handler)                                                           \
    .path = (the_path), .name = (the_name), .tag = "made up", .summary = (the_name),               \
    .details = "", .handle = (handler)

#define JSON .answer = "Any"
static const struct http_route routes[] = {
    {ROW("/ping", "ping", handle_ping), JSON, .in_place = true, .example = "/ping"},
    {ROW("/worker", "worker", handle_ping), JSON, .example = "/worker"},
    {ROW("/hit", "hit", handle_ping), JSON, .policy = {60, 30, 600, 0}, .example = "/hit"},
    {ROW("/echo/{name}", "echo", handle_echo), JSON, FIELDS(echo_fields), .types = "text/csv",
     .example = "/echo/x"},
    {ROW("/slow", "slow", handle_slow), JSON, FIELDS(slow_fields), .example = "/slow"},
    {ROW("/big", "big", handle_big), JSON, FIELDS(big_fields), .policy = {60, 30, 600, 0},
     .example = "/big"},
    {ROW("/fail", "fail", handle_fail), JSON, FIELDS(fail_fields), .problems = "teapot not_found",
     .example = "/fail"},
    {ROW("/secret/{name}", "secret", handle_echo), JSON, FIELDS(echo_fields), .types = "text/csv",
     .scopes = 1, .policy = {60, 0, 0, 0}, .example = "/secret/x"},
    {ROW("/admin", "admin", handle_ping), JSON, .scopes = 2, .example = "/admin"},
    {ROW("/body", "post_body", handle_body), JSON, .method = HTTP_POST,
     .body_types = "application/octet-stream text/plain", .body_max = 200000, .example = "/body"},
    {ROW("/things", "post_thing", handle_json_body), JSON, .method = HTTP_POST, .body = "Thing",
     .example = "/things"},
    {ROW("/nothing", "post_nothing", handle_ping), JSON, .method = HTTP_POST,
     .example = "/nothing"},
    {ROW("/things", "get_things", handle_ping), JSON, .example = "/things"},
    {ROW("/later", "later", handle_ping), JSON, FIELDS(slow_fields), .example = "/later"},
    {ROW("/never", "never", handle_ping), JSON, .example = "/never"},
    {ROW("/copied/{name}", "copied", handle_echo), JSON, FIELDS(echo_fields), .types = "text/csv",
     .example = "/copied/x"},
    {ROW("/page", "page", handle_page), .types = "text/html", .example = "/page"},
    {ROW("/stream", "stream", handle_stream), FIELDS(stream_fields),
     .types = "application/x-ndjson", .example = "/stream"},
    {ROW("/stats", "stats", handle_stats), JSON, .in_place = true, .unlimited = true,
     .operations = true, .example = "/stats"},
};

static const struct http_problem_kind problems[] = {
    {"teapot", 418, "It is a teapot", "Ask another for coffee."},
};
static const char *const scopes[] = {"read", "admin"};

/* ---- hooks ---- */

static struct http_answer *quick(struct http_call *call, struct http_sending *sending, void *user)
{
    (void)user;
    if (!shared_answer || strcmp(http_call_route(call)->name, "hit") != 0) {
        return NULL;
    }
    atomic_fetch_add_explicit(&quick_hits, 1, memory_order_relaxed);
    static _Thread_local char status[64];
    int64_t age_s = 5; /* or what the client asks for; below 0: not said */
    if (!str_to_int64(http_header(call, "X-Age"), &age_s) || age_s > 1000 || age_s < -1) {
        age_s = 5;
    }
    snprintf(status, sizeof status, "made-up; hit; ttl=%lld", (long long)(60 - age_s));
    *sending = (struct http_sending){.cache_status = status, .age_us = age_s * 1000000};
    http_answer_hold(shared_answer);
    return shared_answer;
}

static bool identify(struct str key, struct http_identity *out, void *user)
{
    (void)user;
    if (!str_is(key, "reader-key") && !str_is(key, "admin-key") && !str_is(key, "greedy-key")) {
        return false;
    }
    snprintf(out->id, sizeof out->id, "%.*s", (int)key.len - 4, key.ptr);
    out->scopes = str_is(key, "admin-key") ? 3 : 1;
    if (str_is(key, "greedy-key")) {
        out->rate_per_minute = 60;
        out->burst = 3;
    }
    return true;
}

static void observe(const struct http_route *route, int status, int64_t duration_ns,
                    struct str caller, void *user)
{
    (void)route;
    (void)status;
    (void)duration_ns;
    (void)caller;
    (void)user;
    atomic_fetch_add_explicit(&observed, 1, memory_order_relaxed);
}

/* ---- an app that ends its calls by itself (work=1) ---- */

static struct http_answer *small_answer(const char *text)
{
    struct http_answer_options options = {0};
    return http_answer_new(&options, str_of(text));
}

static void *finish_later(void *argument)
{
    struct http_call *call = argument;
    sleep_us(http_int(call, 0) * 1000);
    http_finish(call, small_answer("{\"later\":true}"), NULL);
    return NULL;
}

static void finish_cancelled(void *user)
{
    atomic_fetch_add(&cancels, 1);
    http_finish(user, NULL, NULL);
}

static void refresh(void *user)
{
    struct http_call *copy = user;
    struct kol_error err = {0};
    enum kol_status status = http_call_route(copy)->handle(copy, &err);
    http_answer_release(http_take_answer(copy, status, &err));
    http_copy_free(&copy);
    atomic_fetch_add(&refreshed, 1);
}

static void work(struct http_call *call, void *user)
{
    (void)user;
    const struct http_route *route = http_call_route(call);
    struct kol_error err = {0};
    pthread_t thread;
    if (strcmp(route->name, "later") == 0) {
        KOL_ASSERT(pthread_create(&thread, NULL, finish_later, call) == 0);
        pthread_detach(thread);
        return;
    }
    if (strcmp(route->name, "never") == 0) {
        atomic_fetch_add(&handled, 1);
        http_on_cancel(call, finish_cancelled, call);
        return;
    }
    if (strcmp(route->name, "copied") == 0) {
        struct http_call *copy = http_call_copy(call);
        *http_call_slot(call) = copy;
        if (!http_run(http_call_server(call), refresh, copy)) {
            http_copy_free(&copy);
        }
    }
    enum kol_status status = route->handle(call, &err);
    if (!http_streaming(call)) {
        http_finish(call, http_take_answer(call, status, &err), NULL);
    }
}

/* ---- options and life ---- */

struct text_option {
    const char *name;
    const char **at;
};
struct number_option {
    const char *name;
    int64_t *wide;
    int *narrow;
};

static bool set_number(struct http_server_options *o, const char *name, int64_t value)
{
    const struct number_option known[] = {
        {"port", NULL, &o->port},
        {"operations_port", NULL, &o->operations_port},
        {"threads", NULL, &o->threads},
        {"workers", NULL, &o->workers},
        {"queue", NULL, &o->queue},
        {"deadline_us", &o->deadline_us, NULL},
        {"head_us", &o->head_us, NULL},
        {"body_us", &o->body_us, NULL},
        {"idle_us", &o->idle_us, NULL},
        {"body_max", &o->body_max, NULL},
        {"head_max", &o->head_max, NULL},
        {"uri_max", NULL, &o->uri_max},
        {"connections", NULL, &o->connections},
        {"connections_per_address", NULL, &o->connections_per_address},
        {"rate_per_minute", &o->rate_per_minute, NULL},
        {"burst", &o->burst, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (strcmp(known[i].name, name) == 0) {
            if (known[i].wide) {
                *known[i].wide = value;
            } else {
                *known[i].narrow = (int)value;
            }
            return true;
        }
    }
    return false;
}

static bool set_text(struct http_server_options *o, const char *name, const char *value)
{
    const struct text_option known[] = {
        {"host", &o->host},
        {"cors_origins", &o->cors_origins},
        {"tls_certificate", &o->tls_certificate},
        {"tls_key", &o->tls_key},
    };
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (strcmp(known[i].name, name) == 0) {
            *known[i].at = value;
            return true;
        }
    }
    return false;
}

static bool share, open_to_all, own_work;
static int64_t grace_us = 1000000;

static void set_option(struct http_server_options *options, char *text)
{
    char *value = strchr(text, '=');
    if (!value) {
        kol_panic("not NAME=VALUE: %s", text);
    }
    *value++ = '\0';
    int64_t number = 0;
    bool is_number = str_to_int64(str_of(value), &number);
    if (strcmp(text, "shared") == 0) {
        share = number != 0;
    } else if (strcmp(text, "work") == 0) {
        own_work = number != 0;
    } else if (strcmp(text, "open") == 0) {
        open_to_all = number != 0;
    } else if (strcmp(text, "grace_us") == 0) {
        grace_us = number;
    } else if (strcmp(text, "access_log") == 0) {
        options->access_log = number > 0;
        logger_setup(&(struct logger_options){.level = LOG_INFO, .json = number == 2});
    } else if (!(is_number && set_number(options, text, number)) &&
               !set_text(options, text, value)) {
        kol_panic("no such option: %s", text);
    }
}

static void make_shared(void)
{
    struct buf body = {0};
    buf_puts(&body, "{\"kol_id\":\"somebody\",\"filler\":\"");
    while (body.len < 1100) {
        buf_puts(&body, "abcdefgh ");
    }
    buf_puts(&body, "\"}");
    struct http_answer_options options = {.compress = true, .policy = {60, 30, 600, 0}};
    shared_answer = http_answer_new(&options, buf_str(&body));
    buf_free(&body);
}

int main(int argc, char **argv)
{
    struct http_server_options options = {0};
    for (int i = 1; i < argc; i++) {
        set_option(&options, argv[i]);
    }
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    if (share) {
        make_shared();
    }
    struct http_app app = {
        .routes = routes,
        .route_count = ARRAY_LEN(routes),
        .schemas = schemas,
        .schema_count = ARRAY_LEN(schemas),
        .problems = problems,
        .problem_count = ARRAY_LEN(problems),
        .scopes = scopes,
        .scope_count = ARRAY_LEN(scopes),
        .title = "Made up",
        .version = "1",
        .description = "For tests",
        .quick = quick,
        .keeps = true,
        .work = own_work ? work : NULL,
        .identify = open_to_all ? NULL : identify,
        .observe = observe,
    };
    struct kol_error err = {0};
    if (http_server_start(&options, &app, &the_server, &err) != KOL_OK) {
        fprintf(stderr, "http_served: %s\n", err.message);
        return 1;
    }
    printf("{\"port\":%d,\"operations_port\":%d}\n", http_server_port(the_server),
           http_server_operations_port(the_server));
    fflush(stdout);
    int got = 0;
    while (sigwait(&signals, &got) == 0 && got == SIGHUP) {
        enum kol_status status = http_server_reload(the_server, &err);
        printf("{\"reloaded\":%s}\n", status == KOL_OK ? "true" : "false");
        fflush(stdout);
    }
    http_server_stop(&the_server, grace_us);
    if (shared_answer) {
        http_answer_release(shared_answer);
    }
    printf("{\"handled\":%ld,\"cancels\":%ld,\"observed\":%ld,\"abandoned\":%ld}\n", handled,
           cancels, observed, abandoned);
    return 0;
}
