/*
 * call.c: a call from its beginning to its end: who holds it, who may end it, and what a handler
 * can ask of it.
 *
 * The end is the one place where threads meet: a worker, the watcher (deadline, client gone) and a
 * stop may all want to end the same call. `ended` decides; the one who set it owns answer and
 * resume, all others let go of what they brought.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/random.h"
#include "http/call.h"

enum { CALL_ARENA = 2048 };

/* Makes an id of a request: nobody foresees it by chance, and it costs no system call. */
static void make_id(struct http_call *call)
{
    static _Thread_local struct random_stream stream;
    static _Thread_local bool seeded;
    if (!seeded) {
        uint64_t numbers[2];
        random_fill(numbers, sizeof numbers);
        random_seed(&stream, numbers, ARRAY_LEN(numbers));
        seeded = true;
    }
    static const char digits[] = "0123456789abcdef";
    uint64_t bits = random_bits(&stream), more = random_bits(&stream);
    for (int i = 0; i < 24; i++) {
        call->id[i] = digits[(i < 16 ? bits >> (4 * i) : more >> (4 * (i - 16))) & 15];
    }
    call->id[24] = '\0';
    call->id_len = 24;
}

struct http_call *http_call_new(struct http_door *door, struct http_conn *conn,
                                struct MHD_Connection *mhd)
{
    /* The parameters are filled in by whoever reads them: 2 kB that need no zeroes. */
    struct http_call *call = mem_alloc(sizeof *call);
    memset(call, 0, offsetof(struct http_call, values));
    memset(&call->type, 0, sizeof *call - offsetof(struct http_call, type));
    call->server = door->server;
    call->door = door;
    call->loop = conn ? conn->loop : NULL;
    call->conn = conn;
    call->mhd = mhd;
    call->holds = 1;
    call->age_us = -1;
    call->mutex = (pthread_mutex_t)PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
    arena_init(&call->arena, CALL_ARENA);
    call->start_ns = clock_mono_ns();
    call->deadline_ns = call->start_ns + door->server->options.deadline_us * 1000;
    make_id(call);
    return call;
}

void http_call_hold(struct http_call *call)
{
    atomic_fetch_add_explicit(&call->holds, 1, memory_order_relaxed);
}

void http_call_release(struct http_call *call)
{
    if (atomic_fetch_sub_explicit(&call->holds, 1, memory_order_acq_rel) > 1) {
        return;
    }
    if (call->answer) {
        http_answer_release(call->answer);
    }
    if (call->early) {
        http_answer_release(call->early);
    }
    if (call->stream) {
        http_stream_release(call->stream);
    }
    http_inflater_free(&call->inflater);
    buf_free(&call->body);
    buf_free(&call->text);
    buf_free(&call->headers);
    arena_free(&call->arena);
    free(call);
}

void http_call_let_go(struct http_call *call)
{
    struct http_server *server = call->server;
    http_call_release(call);
    atomic_fetch_sub(&server->working, 1);
}

void http_call_cancel(struct http_call *call)
{
    atomic_store(&call->cancelled, true);
    pthread_mutex_lock(&call->mutex);
    if (call->cancel && !call->cancel_ran) {
        call->cancel_ran = true;
        call->cancel(call->cancel_user);
    }
    pthread_mutex_unlock(&call->mutex);
}

enum { CORKED_MAX = 64 };

/* Connections that this thread wakes by http_uncork(). */
static _Thread_local struct corked {
    bool on;
    size_t count;
    struct http_call *calls[CORKED_MAX]; /* held */
} corked;

void http_call_resume(struct http_call *call)
{
    struct http_server *server = call->server;
    http_loop_resume(call->loop, call->mhd);
    atomic_fetch_sub(&server->sleeping, 1);
}

static void resume_corked(void)
{
    for (size_t i = 0; i < corked.count; i++) {
        http_call_resume(corked.calls[i]);
        http_call_release(corked.calls[i]);
    }
    corked.count = 0;
}

void http_cork(void)
{
    corked.on = true;
}

void http_uncork(void)
{
    corked.on = false;
    resume_corked();
}

/* The last thing that the one who ended a call does for its connection. */
static void wake(struct http_call *call)
{
    if (!call->suspended) {
        return;
    }
    http_watch_no_deadline(call->server->watch, call);
    if (!corked.on) {
        http_call_resume(call);
        return;
    }
    if (corked.count == CORKED_MAX) {
        resume_corked();
    }
    http_call_hold(call);
    corked.calls[corked.count++] = call;
}

void http_call_take_sending(struct http_call *call, const struct http_sending *sending)
{
    if (!sending) {
        return;
    }
    if (sending->cache_status) {
        size_t len = strnlen(sending->cache_status, sizeof call->cache_status - 1);
        memcpy(call->cache_status, sending->cache_status, len);
        call->cache_status[len] = '\0';
    }
    call->age_us = sending->age_us;
    call->stale = sending->stale;
}

/* By whoever worked for the call: nobody writes there any more. */
static void take_use(struct http_call *call)
{
    const struct http_rate *use = &call->use;
    if (use->limit && (!call->rate.limit || use->remaining <= call->rate.remaining)) {
        call->rate = *use;
    }
}

bool http_call_end(struct http_call *call, struct http_answer *answer,
                   const struct http_sending *sending, bool cancel)
{
    if (atomic_exchange(&call->ended, true)) {
        if (answer) {
            http_answer_release(answer);
        }
        return false;
    }
    http_call_take_sending(call, sending);
    call->answer = answer;
    call->dropped = !answer;
    if (cancel) {
        atomic_store(&call->cancelled, true);
    } else {
        take_use(call);
    }
    wake(call);
    if (cancel) {
        http_call_cancel(call);
    }
    return true;
}

bool http_call_end_by_stream(struct http_call *call, struct http_stream *stream)
{
    if (atomic_exchange(&call->ended, true)) {
        return false;
    }
    call->stream = stream;
    atomic_store(&call->streaming, true);
    wake(call);
    return true;
}

void http_finish(struct http_call *call, struct http_answer *answer,
                 const struct http_sending *sending)
{
    http_call_end(call, answer, sending, false);
    http_call_let_go(call);
}

static enum MHD_Result keep_line(void *user, enum MHD_ValueKind kind, const char *name,
                                 size_t name_len, const char *value, size_t value_len)
{
    (void)kind;
    struct http_call *call = user;
    call->lines[call->line_count++] = (struct http_line){
        arena_copy(&call->arena, (struct str){name, name_len}),
        arena_copy(&call->arena, (struct str){value ? value : "", value ? value_len : 0}),
    };
    return MHD_YES;
}

void http_call_keep(struct http_call *call)
{
    int count = MHD_get_connection_values_n(call->mhd, MHD_HEADER_KIND, NULL, NULL);
    call->lines = arena_alloc(&call->arena, (size_t)(count > 0 ? count : 1) * sizeof *call->lines);
    MHD_get_connection_values_n(call->mhd, MHD_HEADER_KIND, keep_line, call);
}

/* ---- a copy that has no client ---- */

static void copy_values(struct http_call *to, const struct http_call *from)
{
    to->values.key = arena_copy(&to->arena, from->values.key);
    for (size_t i = 0; i < from->match.route->field_count; i++) {
        struct http_value *value = &to->values.by_field[i];
        *value = from->values.by_field[i];
        if (value->text.ptr) {
            value->text = arena_copy(&to->arena, value->text);
        }
    }
}

struct http_call *http_call_copy(struct http_call *call)
{
    struct http_call *copy = http_call_new(call->door, NULL, NULL);
    atomic_fetch_add(&call->server->working, 1);
    memcpy(copy->id, call->id, sizeof copy->id);
    copy->id_len = call->id_len;
    copy->match.route = call->match.route;
    copy_values(copy, call);
    copy->type = arena_copy(&copy->arena, str_of(call->type)).ptr;
    copy->key = arena_copy(&copy->arena, call->key);
    copy->identity = call->identity;
    copy->identified = call->identified;
    KOL_ASSERT(!call->json); /* whose answers nobody keeps */
    buf_put(&copy->body, buf_str(&call->body));
    return copy;
}

void http_copy_free(struct http_call **copy)
{
    if (*copy) {
        KOL_ASSERT(!(*copy)->conn);
        http_call_let_go(*copy);
        *copy = NULL;
    }
}

/* ---- what a handler can ask ---- */

struct http_server *http_call_server(const struct http_call *call)
{
    return call->server;
}

void *http_call_app(const struct http_call *call)
{
    return call->server->app->user;
}

const struct http_route *http_call_route(const struct http_call *call)
{
    return call->match.route;
}

struct http_policy http_call_policy(const struct http_call *call)
{
    const struct http_route *route = call->match.route;
    for (size_t i = 0; i < route->field_count; i++) {
        if (route->fields[i].acts && http_given(call, i)) {
            return (struct http_policy){0};
        }
    }
    return route->policy;
}

struct arena *http_call_arena(struct http_call *call)
{
    return &call->arena;
}

struct str http_call_id(const struct http_call *call)
{
    return (struct str){call->id, call->id_len};
}

int64_t http_call_deadline_ns(const struct http_call *call)
{
    return call->deadline_ns;
}

int64_t http_call_left_us(const struct http_call *call)
{
    int64_t left = call->deadline_ns - clock_mono_ns();
    return left > 0 ? left / 1000 : 0;
}

static const struct http_value *value_of(const struct http_call *call, size_t field)
{
    KOL_ASSERT(field < call->match.route->field_count);
    return &call->values.by_field[field];
}

bool http_given(const struct http_call *call, size_t field)
{
    return value_of(call, field)->given;
}

struct str http_text(const struct http_call *call, size_t field)
{
    const struct http_value *value = value_of(call, field);
    return value->given ? value->text : STR("");
}

int64_t http_int(const struct http_call *call, size_t field)
{
    return value_of(call, field)->number;
}

double http_real(const struct http_call *call, size_t field)
{
    return value_of(call, field)->real;
}

bool http_bool(const struct http_call *call, size_t field)
{
    return value_of(call, field)->number != 0;
}

size_t http_choice(const struct http_call *call, size_t field)
{
    return (size_t)value_of(call, field)->number;
}

size_t http_words(const struct http_call *call, size_t field, struct str *out, size_t max)
{
    struct str rest = http_text(call, field);
    size_t count = 0;
    while (rest.len && count < max) {
        struct str word = str_trim(str_cut(&rest, ','));
        if (word.len) {
            out[count++] = word;
        }
    }
    return count;
}

struct str http_call_key(const struct http_call *call)
{
    return call->key;
}

struct str http_header(const struct http_call *call, const char *name)
{
    for (size_t i = 0; i < call->line_count; i++) {
        if (str_is_nocase(call->lines[i].name, name)) {
            return call->lines[i].value;
        }
    }
    const char *value = NULL;
    size_t len = 0;
    if (call->mhd && !call->lines &&
        MHD_lookup_connection_value_n(call->mhd, MHD_HEADER_KIND, name, strlen(name), &value,
                                      &len) == MHD_YES &&
        value) {
        return (struct str){value, len};
    }
    return STR("");
}

struct str http_body(const struct http_call *call)
{
    return buf_str(&call->body);
}

const struct json_value *http_json_body(const struct http_call *call)
{
    return call->json;
}

const char *http_call_type(const struct http_call *call)
{
    return call->type;
}

struct str http_caller(const struct http_call *call)
{
    return str_of(call->identity.id);
}

http_scopes http_caller_scopes(const struct http_call *call)
{
    return call->identity.scopes;
}

bool http_streaming(const struct http_call *call)
{
    return atomic_load(&call->streaming);
}

void **http_call_slot(struct http_call *call)
{
    return &call->slot;
}

bool http_cancelled(const struct http_call *call)
{
    return atomic_load(&call->cancelled) || (!call->conn && atomic_load(&call->server->stopping));
}

void http_on_cancel(struct http_call *call, void (*cancel)(void *user), void *user)
{
    pthread_mutex_lock(&call->mutex);
    call->cancel = cancel;
    call->cancel_user = user;
    call->cancel_ran = false;
    if (atomic_load(&call->cancelled)) {
        call->cancel_ran = true;
        cancel(user);
    }
    pthread_mutex_unlock(&call->mutex);
}

void http_off_cancel(struct http_call *call)
{
    pthread_mutex_lock(&call->mutex);
    call->cancel = NULL;
    pthread_mutex_unlock(&call->mutex);
}
