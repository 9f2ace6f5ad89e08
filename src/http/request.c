/*
 * request.c: a request from its first line to its answer, as the library's event threads go through
 * it.
 *
 * The library calls http_request() once when the head is there, then for each piece of a body, then
 * once at the end, and once more after a suspended connection was resumed. An answer given at the
 * first of these closes the connection, and none is taken between the pieces of a body: so what is
 * decided early waits for the end of a small body (call->early), and goes past the library where
 * the body is large or has no end (http_send_last_word).
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "http/call.h"

enum {
    SMALL_BODY = 64 * 1024,           /* bytes that are read to the end before a refusal is sent */
    LAST_BODY_MAX = 16 * 1024 * 1024, /* and what is thrown away behind one that went out */
    BRIEF_BODY = 8 * 1024,            /* JSON that an event thread reads: some 50 us at most */
};

static void set_phase(struct http_conn *conn, enum http_phase phase, int64_t since_ns)
{
    atomic_store_explicit(&conn->since_ns, since_ns, memory_order_relaxed);
    atomic_store_explicit(&conn->phase, phase, memory_order_release);
}

void *http_request_line(void *user, const char *target, struct MHD_Connection *mhd)
{
    (void)user;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct http_conn *conn = info ? info->socket_context : NULL;
    if (!conn) {
        return NULL;
    }
    struct http_call *call = http_call_new(conn->door, conn, mhd);
    size_t len = strlen(target ? target : "");
    /* What is over the limit is not kept: the head's checks see the length. */
    call->target = len > (size_t)call->server->options.uri_max
                       ? (struct str){NULL, len}
                       : arena_copy(&call->arena, (struct str){target, len});
    int64_t began = atomic_load_explicit(&conn->head_ns, memory_order_relaxed);
    set_phase(conn, PHASE_HEAD, began ? began : call->start_ns);
    return call;
}

/* ---- bodies ---- */

static enum MHD_Result say_last_word(struct http_call *call, struct http_answer *answer)
{
    set_phase(call->conn, PHASE_LAST, clock_mono_ns());
    return http_send_last_word(call, answer) ? MHD_YES : MHD_NO;
}

static struct http_answer *problem(struct http_call *call, const char *code, const char *detail)
{
    return http_problem_answer(call->server->app, code, str_of(detail), http_call_id(call), NULL);
}

static struct http_answer *too_large(struct http_call *call)
{
    struct buf detail = {0};
    buf_printf(&detail, "A body of at most %zu bytes, inflated, is taken here.", call->body_limit);
    struct http_answer *answer = http_problem_answer(call->server->app, "body_too_large",
                                                     buf_str(&detail), http_call_id(call), NULL);
    buf_free(&detail);
    return answer;
}

/* What is wrong with the next piece of the body, or NULL. */
static struct http_answer *take_piece(struct http_call *call, struct str piece)
{
    if (clock_mono_ns() - atomic_load_explicit(&call->conn->since_ns, memory_order_relaxed) >
        call->server->options.body_us * 1000) {
        return problem(call, "body_slow",
                       "The body did not come in the time that there is for it.");
    }
    call->body_seen += piece.len;
    if (call->body_seen > call->body_limit) {
        return too_large(call);
    }
    if (!call->collecting) {
        return NULL;
    }
    if (!call->inflater) {
        buf_put(&call->body, piece);
        return NULL;
    }
    switch (http_inflate(call->inflater, piece, call->body_limit, &call->body)) {
    case KOL_OK: return NULL;
    case KOL_NO_SPACE: return too_large(call);
    default:
        return problem(call, "malformed_request",
                       "The body is not of the coding that Content-Encoding names.");
    }
}

static enum MHD_Result body_piece(struct http_call *call, const char *bytes, size_t *len)
{
    struct str piece = {bytes, *len};
    *len = 0;
    if (call->last_word) {
        call->body_seen += piece.len;
        return call->body_seen <= LAST_BODY_MAX ? MHD_YES : MHD_NO;
    }
    struct http_answer *wrong = take_piece(call, piece);
    return wrong ? say_last_word(call, wrong) : MHD_YES;
}

/* ---- answering ---- */

/* Reads the JSON body; a large one takes a while, so this is the worker's. False: `call->problem`
 * says why. */
static bool read_json(struct http_call *call)
{
    const struct http_route *route = call->match.route;
    if (!route->body || route->body_types || call->json ||
        (route->body_optional && !call->body.len)) {
        return true;
    }
    bool malformed = false;
    struct buf detail = {0}, json = {0};
    struct str body = http_body(call);
    if (call->form) {
        if (!http_form_put_json(body, &call->arena, &json)) {
            http_problem(call, "invalid_body", "The body is no form of names and values in UTF-8.");
            buf_free(&json);
            return false;
        }
        body = arena_copy(&call->arena, buf_str(&json));
        buf_free(&json);
    }
    call->json =
        http_schema_read(call->server->app, route->body, body, &call->arena, &malformed, &detail);
    if (!call->json) {
        http_problem(call, malformed ? "invalid_json" : "invalid_body", "%.*s",
                     STR_FORMAT(buf_str(&detail)));
    }
    buf_free(&detail);
    return call->json != NULL;
}

static struct http_answer *handle(struct http_call *call)
{
    struct kol_error err = {0};
    enum kol_status status = KOL_INVALID;
    if (read_json(call)) {
        status = call->match.route->handle(call, &err);
    }
    /* A stream has ended the call, and is its answer. */
    return http_streaming(call) ? NULL : http_take_answer(call, status, &err);
}

/* A worker takes up a call. */
static void work(void *argument)
{
    struct http_call *call = argument;
    const struct http_app *app = call->server->app;
    atomic_fetch_sub_explicit(&call->server->queued, 1, memory_order_relaxed);
    if (atomic_load(&call->ended)) {
        http_call_let_go(call); /* its deadline has passed, or its client has left, in the queue */
        return;
    }
    http_call_hold(call); /* http_finish() and a stream's end let go of the worker's hold */
    if (app->work && read_json(call)) {
        app->work(call, app->user);
    } else {
        struct http_answer *answer =
            app->work ? http_take_answer(call, KOL_INVALID, NULL) : handle(call);
        if (!http_streaming(call)) {
            http_finish(call, answer, NULL);
        }
    }
    http_call_release(call);
}

static void refuse_busy(struct http_call *call, const char *detail)
{
    http_call_end(call,
                  http_problem_answer(call->server->app, "busy", str_of(detail), http_call_id(call),
                                      "Retry-After: 1\n"),
                  NULL, false);
    http_call_let_go(call);
}

void http_refuse_busy(struct http_call *call)
{
    struct http_server *server = call->server;
    atomic_fetch_sub_explicit(&server->queued, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&server->refused_busy, 1, memory_order_relaxed);
    refuse_busy(call, "All workers are busy and as many calls as may wait are waiting.");
}

/* From here on the call is the workers', and the connection sleeps. */
static void hand_over(struct http_call *call)
{
    struct http_server *server = call->server;
    http_call_keep(call);
    call->handed = true;
    call->suspended = true;
    http_call_hold(call);
    atomic_fetch_add(&server->working, 1);
    atomic_fetch_add(&server->sleeping, 1);
    MHD_suspend_connection(call->mhd);
    if (!http_watch_call(server->watch, call)) {
        refuse_busy(call, "The server is stopping.");
        return;
    }
    atomic_fetch_add_explicit(&server->queued, 1, memory_order_relaxed);
    const struct http_app *app = server->app;
    if (app->gather && app->gather(call, work, app->user)) {
        return;
    }
    if (!pool_try_submit(server->pool, work, call)) {
        http_refuse_busy(call);
    }
}

/* What the app can answer here, on the event thread: NULL, it cannot. */
static struct http_answer *answer_quickly(struct http_call *call)
{
    const struct http_app *app = call->server->app;
    if (!app->quick || call->body.len > BRIEF_BODY) {
        return NULL;
    }
    if (call->match.route->brief && !read_json(call)) {
        return http_take_answer(call, KOL_INVALID, NULL);
    }
    struct http_sending sending = {.age_us = -1};
    struct http_answer *answer = app->quick(call, &sending, app->user);
    if (answer) {
        http_call_take_sending(call, &sending);
    }
    return answer;
}

/* The request is complete: answered here where that needs no wait. */
static enum MHD_Result begin(struct http_call *call)
{
    const struct http_route *route = call->match.route;
    if (call->inflater && !http_inflater_done(call->inflater)) {
        return http_send(
            call, problem(call, "malformed_request", "The body ends within its Content-Encoding."));
    }
    if (route->in_place) {
        return http_send(call, handle(call));
    }
    struct http_answer *answer = answer_quickly(call);
    if (answer) {
        return http_send(call, answer);
    }
    hand_over(call);
    return MHD_YES;
}

/* The call was ended and its connection resumed. */
static enum MHD_Result answer_ended(struct http_call *call)
{
    if (call->stream) {
        return http_send_stream(call);
    }
    if (call->dropped) {
        return MHD_NO;
    }
    struct http_answer *answer = call->answer;
    call->answer = NULL;
    return http_send(call, answer);
}

/* The head is checked. */
static enum MHD_Result head_checked(struct http_call *call, bool fine)
{
    if (call->announced) {
        set_phase(call->conn, PHASE_BODY, clock_mono_ns());
    }
    if (fine || !call->announced) {
        return MHD_YES;
    }
    struct http_answer *early = call->early;
    int64_t length = 0;
    struct str announced = call->known[HEADER_CONTENT_LENGTH];
    bool small =
        !call->close && announced.len && str_to_int64(announced, &length) && length <= SMALL_BODY;
    if (call->known[HEADER_EXPECT].len) {
        call->early = NULL;
        return http_send(call, early); /* the client has not begun to send */
    }
    if (!small) {
        call->early = NULL;
        return say_last_word(call, early);
    }
    call->collecting = false;
    call->body_limit = SMALL_BODY;
    return MHD_YES;
}

/* The head is there. */
static enum MHD_Result head_read(struct http_call *call, const char *method, const char *version)
{
    bool ask;
    call->headers_read = true;
    bool fine = http_head_check(call, method, version, &ask);
    if (ask) {
        set_phase(call->conn, PHASE_CALL, call->start_ns);
        http_session_ask(call);
        return MHD_YES;
    }
    return head_checked(call, fine);
}

enum MHD_Result http_request(void *user, struct MHD_Connection *mhd, const char *url,
                             const char *method, const char *version, const char *upload,
                             size_t *upload_size, void **context)
{
    (void)user;
    (void)mhd;
    (void)url;
    struct http_call *call = *context;
    if (!call) {
        return MHD_NO;
    }
    if (!call->headers_read) {
        return head_read(call, method, version);
    }
    if (call->asking) {
        call->asking = false;
        return head_checked(call, http_head_go_on(call));
    }
    if (*upload_size) {
        return body_piece(call, upload, upload_size);
    }
    if (call->last_word) {
        return MHD_NO;
    }
    if (call->handed) {
        return answer_ended(call);
    }
    set_phase(call->conn, PHASE_CALL, call->start_ns);
    if (call->early) {
        struct http_answer *early = call->early;
        call->early = NULL;
        return http_send(call, early);
    }
    return begin(call);
}

/* ---- the end of a request ---- */

static void tell(struct http_call *call, int64_t now_ns)
{
    const struct http_server *server = call->server;
    const struct http_app *app = server->app;
    if (!call->status) {
        /* The library refused it by itself (431), or the client is gone: nginx's number for that.
         */
        enum { CLIENT_GONE = 499 };
        call->status = CLIENT_GONE;
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(call->mhd, MHD_CONNECTION_INFO_HTTP_STATUS);
        if (info && info->http_status) {
            call->status = (int)info->http_status;
        }
    }
    if (!app->observe && !server->options.access_log) {
        return;
    }
    int64_t duration_ns = now_ns - call->start_ns;
    if (app->observe) {
        app->observe(call->match.route, call->status, duration_ns, http_caller(call), app->user);
    }
    if (server->options.access_log) {
        http_access_put(call, duration_ns);
    }
}

void http_request_completed(void *user, struct MHD_Connection *mhd, void **context,
                            enum MHD_RequestTerminationCode how)
{
    (void)user;
    (void)mhd;
    (void)how;
    struct http_call *call = *context;
    *context = NULL;
    if (!call) {
        return;
    }
    http_loop_ended();
    struct http_conn *conn = call->conn;
    if (call->handed) {
        http_watch_forget(call->server->watch, call);
    }
    if (call->asking) {
        http_head_count_gone(call);
    }
    if (call->stream) {
        http_stream_cut(call->stream); /* whoever writes for nobody is told */
    }
    int64_t now_ns = clock_mono_ns();
    tell(call, now_ns);
    atomic_store_explicit(&conn->head_ns, 0, memory_order_relaxed);
    set_phase(conn, PHASE_IDLE, now_ns);
    http_call_release(call);
}
