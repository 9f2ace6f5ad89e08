/*
 * duckdb.c: the embedded engine: opening it, its sessions, their limits, statements without rows.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/signals.h"
#include "engine/duckdb_engine.h"

#define WATCH_EVERY_NS 10000000 /* between two looks at the running statements */
#define STUCK_AFTER_NS 1000000000

/* ---- the watcher ---- */

static void interrupt(struct engine_session *session, enum engine_cause cause)
{
    int none = ENGINE_NONE;
    atomic_compare_exchange_strong(&session->cause, &none, cause);
    duckdb_interrupt(session->connection);
}

static enum kol_status fail_interrupted(struct engine_session *session, struct kol_error *err);

static void look_at_interrupted(struct engine *engine, struct engine_session *session, int64_t now)
{
    if (!session->interrupted_ns) {
        session->interrupted_ns = now;
    } else if (engine->stuck && now - session->interrupted_ns >= STUCK_AFTER_NS) {
        struct kol_error err;
        enum kol_status status = fail_interrupted(session, &err);
        engine->stuck(status, err.message);
    }
}

static void look_at_running(struct engine *engine)
{
    bool stop = signals_stop_asked();
    int64_t now = clock_mono_ns();
    for (struct engine_session *at = engine->running; at; at = at->next) {
        if (stop) {
            interrupt(at, ENGINE_STOPPED);
        } else if (at->deadline_ns && now >= at->deadline_ns) {
            interrupt(at, ENGINE_LATE);
        } else if (atomic_load(&at->cause) != ENGINE_NONE) {
            /* Asked for before DuckDB had begun, which clears its flag at a statement's start. */
            duckdb_interrupt(at->connection);
        }
        if (atomic_load(&at->cause) != ENGINE_NONE) {
            look_at_interrupted(engine, at, now);
        }
    }
}

static void *watch(void *arg)
{
    struct engine *engine = arg;
    pthread_mutex_lock(&engine->lock);
    while (!engine->stop) {
        if (!engine->running) {
            engine->idle = true;
            pthread_cond_wait(&engine->wake, &engine->lock);
            engine->idle = false;
            continue;
        }
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += WATCH_EVERY_NS;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&engine->wake, &engine->lock, &until);
        look_at_running(engine);
    }
    pthread_mutex_unlock(&engine->lock);
    return NULL;
}

static void start_watcher(struct engine *engine)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&engine->wake, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&engine->lock, NULL);
    if (pthread_create(&engine->watcher, NULL, watch, engine) != 0) {
        kol_panic("no thread for the engine's limits");
    }
    engine->watched = true;
}

static void stop_watcher(struct engine *engine)
{
    if (engine->watched) {
        pthread_mutex_lock(&engine->lock);
        engine->stop = true;
        pthread_cond_signal(&engine->wake);
        pthread_mutex_unlock(&engine->lock);
        pthread_join(engine->watcher, NULL);
        pthread_cond_destroy(&engine->wake);
        pthread_mutex_destroy(&engine->lock);
    }
}

void engine_begin_(struct engine_session *session, bool first)
{
    struct engine *engine = session->engine;
    if (first) {
        session->result = NULL; /* a further statement ends the rows of the one before */
        session->used_ns = 0;
        atomic_store(&session->cause, ENGINE_NONE);
    }
    session->began_ns = clock_mono_ns();
    pthread_mutex_lock(&engine->lock);
    session->deadline_ns = session->interrupted_ns = 0;
    if (session->timeout_us) {
        session->deadline_ns = session->began_ns + session->timeout_us * 1000 - session->used_ns;
    }
    session->prev = NULL;
    session->next = engine->running;
    if (engine->running) {
        engine->running->prev = session;
    }
    engine->running = session;
    if (engine->idle) {
        pthread_cond_signal(&engine->wake);
    }
    pthread_mutex_unlock(&engine->lock);
}

void engine_end_(struct engine_session *session)
{
    struct engine *engine = session->engine;
    pthread_mutex_lock(&engine->lock);
    if (session->prev) {
        session->prev->next = session->next;
    } else {
        engine->running = session->next;
    }
    if (session->next) {
        session->next->prev = session->prev;
    }
    pthread_mutex_unlock(&engine->lock);
    session->used_ns += clock_mono_ns() - session->began_ns;
}

/* ---- errors ---- */

/* How DuckDB begins a message, and what that means here; the first that fits. */
static const struct {
    const char *start;
    enum kol_status status;
} kinds[] = {
    {"Parser", KOL_INVALID},
    {"Binder", KOL_INVALID},
    {"Catalog", KOL_INVALID},
    {"Conversion", KOL_INVALID},
    {"Invalid Input", KOL_INVALID},
    {"Invalid type", KOL_INVALID},
    {"Invalid Error", KOL_INVALID},
    {"Mismatch Type", KOL_INVALID},
    {"Constraint", KOL_INVALID},
    {"Out of Range", KOL_INVALID},
    {"Syntax", KOL_INVALID},
    {"Expression", KOL_INVALID},
    {"Parameter", KOL_INVALID},
    {"Permission", KOL_INVALID},
    {"Divide by Zero", KOL_INVALID},
    {"Decimal", KOL_INVALID},
    {"Not implemented", KOL_UNSUPPORTED},
    {"Missing Extension", KOL_UNSUPPORTED},
};

/* One line of what DuckDB says: its pointer at the place in the SQL ("LINE 1: ...") is left out. */
static void one_line(char *out, size_t size, const char *message)
{
    const char *end = strstr(message, "\nLINE ");
    size_t len = end ? (size_t)(end - message) : strlen(message), at = 0;
    for (size_t i = 0; i < len && at + 1 < size; i++) {
        bool space = (unsigned char)message[i] <= ' ';
        if (!space) {
            out[at++] = message[i];
        } else if (at && out[at - 1] != ' ') {
            out[at++] = ' ';
        }
    }
    while (at && out[at - 1] == ' ') {
        at--;
    }
    out[at] = '\0';
}

static enum kol_status fail_interrupted(struct engine_session *session, struct kol_error *err)
{
    switch (atomic_load(&session->cause)) {
    case ENGINE_LATE:
        return kol_fail(err, KOL_TIMEOUT, "the statement ran into its limit of %.3g s",
                        (double)session->timeout_us / 1e6);
    case ENGINE_STOPPED: return kol_fail(err, KOL_INTERRUPTED, "asked to stop");
    default: return kol_fail(err, KOL_INTERRUPTED, "the statement was interrupted");
    }
}

enum kol_status engine_fail_(struct engine_session *session, const char *message,
                             struct kol_error *err)
{
    char line[sizeof err->message];
    one_line(line, sizeof line, message ? message : "the engine gave no reason");
    if (strncmp(line, "INTERRUPT", 9) == 0 || strstr(line, "Interrupted!")) {
        return fail_interrupted(session, err);
    }
    if (strstr(line, "No space left") || strstr(line, "Disk quota exceeded")) {
        return kol_fail(err, KOL_NO_SPACE, "%s", line);
    }
    if (strncmp(line, "Out of Memory", 13) == 0) {
        return kol_fail(err, KOL_NO_MEMORY, "the statement needs more memory than it may have: %s",
                        line);
    }
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (strncmp(line, kinds[i].start, strlen(kinds[i].start)) == 0) {
            return kol_fail(err, kinds[i].status, "%s", line);
        }
    }
    return kol_fail(err, KOL_IO, "%s", line);
}

enum kol_status engine_over_(struct engine_session *session, struct kol_error *err)
{
    int64_t limit_ns = session->timeout_us * 1000;
    if (signals_stop_asked()) {
        atomic_store(&session->cause, ENGINE_STOPPED);
    } else if (limit_ns && session->used_ns >= limit_ns) {
        atomic_store(&session->cause, ENGINE_LATE);
    }
    return atomic_load(&session->cause) == ENGINE_NONE ? KOL_OK : fail_interrupted(session, err);
}

/* ---- opening ---- */

static void set_number(duckdb_config config, const char *name, int64_t value, const char *unit)
{
    char text[48];
    snprintf(text, sizeof text, "%" PRId64 "%s", value, unit);
    if (duckdb_set_config(config, name, text) != DuckDBSuccess) {
        kol_panic("DuckDB does not take %s = %s", name, text);
    }
}

static void set_text(duckdb_config config, const char *name, const char *value)
{
    if (duckdb_set_config(config, name, value) != DuckDBSuccess) {
        kol_panic("DuckDB does not take %s", name);
    }
}

static duckdb_config make_config(const struct engine_options *options)
{
    duckdb_config config;
    if (duckdb_create_config(&config) != DuckDBSuccess) {
        kol_panic("DuckDB has no configuration");
    }
    set_text(config, "autoinstall_known_extensions", "false");
    set_text(config, "autoload_known_extensions", "false");
    set_text(config, "allow_community_extensions", "false");
    set_text(config, "temp_directory", options->temp ? options->temp : "");
    if (options->memory_bytes) {
        set_number(config, "memory_limit", options->memory_bytes, "B");
    }
    if (options->threads) {
        set_number(config, "threads", options->threads, "");
    }
    if (options->read_only && options->path) {
        set_text(config, "access_mode", "READ_ONLY");
    }
    return config;
}

/* Settings that hold for every session; made while settings can still be made. */
static enum kol_status set_up(struct engine *engine, struct kol_error *err)
{
    struct engine_session *session;
    enum kol_status status = engine_session_open(engine, &session, err);
    if (status == KOL_OK) {
        status = engine_exec(session, "SET GLOBAL TimeZone = 'UTC'", err);
        engine_session_close(&session);
    }
    return status;
}

enum kol_status engine_open(const struct engine_options *options, struct engine **out,
                            struct kol_error *err)
{
    struct engine *engine = mem_zalloc(1, sizeof *engine);
    duckdb_config config = make_config(options);
    char *reason = NULL;
    duckdb_state state = duckdb_open_ext(options->path, &engine->database, config, &reason);
    duckdb_destroy_config(&config);
    if (state != DuckDBSuccess) {
        struct engine_session none = {.engine = engine};
        enum kol_status status = engine_fail_(&none, reason, err);
        duckdb_free(reason);
        free(engine);
        return status == KOL_OK
                   ? KOL_IO
                   : kol_wrap(err, "cannot open %s", options->path ? options->path : "an engine");
    }
    start_watcher(engine);
    enum kol_status status = set_up(engine, err);
    if (status != KOL_OK) {
        engine_close(&engine);
        return status;
    }
    *out = engine;
    return KOL_OK;
}

void engine_close(struct engine **engine_at)
{
    struct engine *engine = *engine_at;
    if (engine) {
        stop_watcher(engine);
        duckdb_close(&engine->database);
        free(engine);
        *engine_at = NULL;
    }
}

enum kol_status engine_session_open(struct engine *engine, struct engine_session **out,
                                    struct kol_error *err)
{
    struct engine_session *session = mem_zalloc(1, sizeof *session);
    session->engine = engine;
    if (duckdb_connect(engine->database, &session->connection) != DuckDBSuccess) {
        free(session);
        return kol_fail(err, KOL_IO, "the engine gives no connection");
    }
    *out = session;
    return KOL_OK;
}

void engine_session_close(struct engine_session **session_at)
{
    struct engine_session *session = *session_at;
    if (session) {
        KOL_ASSERT(!session->result);
        duckdb_disconnect(&session->connection);
        free(session);
        *session_at = NULL;
    }
}

void engine_interrupt(struct engine_session *session)
{
    interrupt(session, ENGINE_ASKED);
}

void engine_on_stuck(struct engine *engine,
                     void (*stuck)(enum kol_status status, const char *message))
{
    engine->stuck = stuck;
}

void engine_set_timeout(struct engine_session *session, int64_t timeout_us)
{
    session->timeout_us = timeout_us;
}

enum kol_status engine_exec(struct engine_session *session, const char *sql, struct kol_error *err)
{
    if (signals_stop_asked()) {
        return kol_fail(err, KOL_INTERRUPTED, "asked to stop");
    }
    duckdb_result result = {0};
    enum kol_status status = KOL_OK;
    engine_begin_(session, true);
    if (duckdb_query(session->connection, sql, &result) != DuckDBSuccess) {
        status = engine_fail_(session, duckdb_result_error(&result), err);
    }
    duckdb_destroy_result(&result);
    engine_end_(session);
    return status;
}
