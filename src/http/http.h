/*
 * http.h: an HTTP server made from one table of routes.
 *
 * The room knows no KOL: it could serve any API. Whoever uses it gives a table of routes, a table
 * of schemas and a few hooks (struct http_app), and gets: routing by segments, parameters that are
 * checked before a handler sees them, 404 against 405 with Allow, OpenAPI 3.1, an explorer page,
 * problem details (RFC 9457), conditional requests, compression, keys and scopes, rate limits,
 * limits on everything that a client sends, and an event loop that never waits.
 *
 * One request goes like this:
 *
 *   event thread   head is read, route and parameters are found, key and limits are checked, the
 *                  body is collected; then app->quick(): an answer that is ready goes out in place.
 *   otherwise      the connection is suspended and the call goes to the pool; a full queue is 503
 *                  with Retry-After at once.
 *   worker         route->handle() (or app->work(), which may load a cache and share one load among
 *                  many calls) ends the call by http_finish(): from any thread, now or later.
 *   watcher        a call whose deadline passes is answered 504 then and there, one whose client
 *                  went away is given up; in both cases what still works for it is told to stop
 *                  (http_on_cancel).
 *
 * Threads: a call belongs to one thread at a time, but for http_finish() and http_cancelled().
 */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/json_value.h"
#include "base/str.h"

struct http_call;
struct http_answer;
struct http_server;

/* ---- what can be said of values: parameters and JSON ---- */

enum http_kind {
    HTTP_TEXT,   /* min..max: code points */
    HTTP_INT,    /* min..max */
    HTTP_REAL,   /* min..max */
    HTTP_BOOL,   /* true, false; a parameter also takes 1 and 0 */
    HTTP_CHOICE, /* one of `choices` */
    HTTP_WORDS,  /* comma-separated, each one of `choices` unless NULL; min..max: how many. JSON: a
                    list of text */
    HTTP_DATE,   /* YYYY-MM-DD */
    HTTP_TIME,   /* RFC 3339 */
    HTTP_OBJECT, /* JSON only: of `schema`; without one any object */
    HTTP_LIST,   /* JSON only: of `schema`; min..max: how many */
    HTTP_ANY,    /* JSON only */
};

/* A parameter of the path or the query, or a member of a JSON object. */
struct http_field {
    const char *name;
    enum http_kind kind;
    bool required;        /* parameter: must be given; member: is always there */
    bool nullable;        /* member: may be null */
    const char *fallback; /* parameter: what it is where it is not given, as text; NULL: unset */
    double min, max;      /* both 0: no bound */
    const char *choices;  /* space-separated */
    const char *schema;   /* name of another schema */
    const char *example;
    const char *help; /* one sentence, with the unit */
    bool acts;        /* parameter: a call that gives it does more than answer; nobody keeps that
                         answer, and none that was kept is given for it */
};

/* A JSON object, by name; in OpenAPI it is #/components/schemas/NAME. */
struct http_schema {
    const char *name;
    const char *help;
    const struct http_field *fields;
    size_t field_count;
    bool open; /* members that are not named may follow */
};

/* ---- routes ---- */

enum http_method {
    HTTP_GET,
    HTTP_POST,
    HTTP_PUT,
    HTTP_DELETE,
    HTTP_METHODS
}; /* GET answers HEAD */

/* What a key may do; a bit each. What the bits are called is the app's (http_app.scopes). */
typedef uint32_t http_scopes;

/* How long an answer may be kept, in seconds: the cache of the process, and Cache-Control. All 0:
 * no-store. */
struct http_policy {
    int fresh, stale, error; /* as in cache/l1.h: max-age, stale-while-revalidate, stale-if-error */
    int missing;             /* fresh span of a 404 */
};

/* Runs on a worker. Answers by http_json() and the like, or fails: the status becomes a problem
 * (KOL_NOT_FOUND 404, KOL_INVALID 422, KOL_TIMEOUT 504, KOL_INTERRUPTED nothing, all else 500
 * without the message, which goes to the log) unless http_problem() said more. */
typedef enum kol_status http_handler(struct http_call *call, struct kol_error *err);

struct http_route {
    enum http_method method;
    const char *path;    /* "/api/v1/kols/{kol_id}/scores"; literals win over parameters */
    const char *name;    /* operationId and metric label: "get_kol_scores" */
    const char *tag;     /* group in the docs */
    const char *summary; /* one line */
    const char *details; /* more, or "" */
    const struct http_field *fields; /* those whose name stands in the path as {name} are path
                                        parameters, all others are in the query */
    size_t field_count;
    const char *body;       /* schema of the JSON body; NULL: none is read */
    const char *body_types; /* content types of a raw body, space-separated, for a handler that
                               reads it by itself; NULL: application/json by `body` */
    int64_t body_max;       /* bytes of the body, inflated; 0: the server's */
    const char *answer;     /* schema of the 200; NULL: `types` says what it is */
    const char *types;      /* content types beside JSON, space-separated ("text/csv"), chosen by
                               Accept or `format=` */
    int status;             /* of success; 0: 200 */
    const char *problems;   /* codes of problems.def or the app's beyond those that follow from the
                               row (invalid parameter, key, limits, not found where there is a path
                               parameter, timeout, busy), space-separated */
    http_scopes scopes;     /* a key needs one of them; 0: open to all */
    struct http_policy policy;
    bool deprecated;
    bool operations;    /* belongs to the operator: with a port of its own only there */
    bool in_place;      /* the handler never waits: run on the event thread (health, metrics) */
    bool brief;         /* the handler takes microseconds and waits for nothing but memory: quick()
                           may run it; a small JSON body is read before */
    bool unlimited;     /* not counted by rate limits (health, metrics) */
    bool body_optional; /* without a body http_json_body() is NULL */
    bool forms;         /* a form post (application/x-www-form-urlencoded) is taken for `body` too:
                           its pairs are members of text */
    bool same_origin; /* a browser may call it from a page of this server only, or of an origin that
                         the operator named */
    const char *example; /* a path with query that works on the demo data, for docs and tests */
    http_handler *handle;
};

/* ---- problems (RFC 9457) ---- */

/* One kind of error, from a table: type is docs/errors.md#code. */
struct http_problem_kind {
    const char *code; /* "not_found": stable */
    int status;
    const char *title;
    const char *what_to_do;
};
/* Those of this room, by code; the app's follow in http_app. */
extern const struct http_problem_kind http_problem_kinds[];
extern const size_t http_problem_kind_count;

/* Ends the call's work with a problem: `detail` is a sentence for whoever called. Returns the
 * status with which the handler should return. The code must be in one of the tables. */
enum kol_status http_problem(struct http_call *call, const char *code, const char *detail, ...)
    KOL_PRINTF(3, 4);

/* ---- a call ---- */

struct http_server *http_call_server(const struct http_call *call);
void *http_call_app(const struct http_call *call); /* http_app.user */
const struct http_route *http_call_route(const struct http_call *call);
/* That of the route, or all 0 where the call gives a parameter that acts. */
struct http_policy http_call_policy(const struct http_call *call);
struct arena *http_call_arena(struct http_call *call);       /* lives as long as the call */
struct str http_call_id(const struct http_call *call);       /* X-Request-Id */
int64_t http_call_deadline_ns(const struct http_call *call); /* by clock_mono_ns() */
int64_t http_call_left_us(const struct http_call *call);     /* until then; at least 0 */

/* Parameters by the place of their field in the route (enum from the table), checked and with their
 * fallback filled in. `given` is false where neither is there. */
bool http_given(const struct http_call *call, size_t field);
struct str http_text(const struct http_call *call, size_t field); /* "" where it is not given */
int64_t http_int(const struct http_call *call,
                 size_t field); /* also days of a date, us of a time */
double http_real(const struct http_call *call, size_t field);
bool http_bool(const struct http_call *call, size_t field);
size_t http_choice(const struct http_call *call, size_t field); /* place among the choices */
size_t http_words(const struct http_call *call, size_t field, struct str *out, size_t max);

/* The parameters in one normal form: path and every given query parameter that the route knows, by
 * place, percent-decoded and checked, and which content type was chosen. Equal requests, equal
 * text: the key of a cache. */
struct str http_call_key(const struct http_call *call);

struct str http_header(const struct http_call *call,
                       const char *name);           /* of the request; or empty */
struct str http_body(const struct http_call *call); /* inflated; empty without one */
/* The checked JSON body, owned by the call. */
const struct json_value *http_json_body(const struct http_call *call);
/* The content type that was chosen among the route's: "application/json", "text/csv". */
const char *http_call_type(const struct http_call *call);

/* The value of a cookie in a Cookie header; false: it is not there, or there with two values: then
 * somebody else's page may have set one of them. */
bool http_cookie(struct str header, const char *name, struct str *out);
/* The next value of that name, taken off the front of a header with all before it; false: none is
 * left. */
bool http_cookie_next(struct str *header, const char *name, struct str *out);
/* The client came by TLS: to this server or, as its browser says, to a proxy before it. */
bool http_call_secure(const struct http_call *call);

/* Who asks: the id of the key, "" for nobody; its scopes. */
struct str http_caller(const struct http_call *call);
http_scopes http_caller_scopes(const struct http_call *call);

/* A pointer of the app's own for each call, NULL at first: what it holds on to until it finishes.
 */
void **http_call_slot(struct http_call *call);

/* True once the call is answered without its handler (deadline, client gone, shutdown). The call
 * itself lives until http_finish(). */
bool http_cancelled(const struct http_call *call);
/* `cancel` is called once, from another thread, when that happens (at once where it has happened
 * already); it may call http_finish(). It does not run any more once http_off_cancel() returned.
 * NULL user is fine. At most one at a time. */
void http_on_cancel(struct http_call *call, void (*cancel)(void *user), void *user);
void http_off_cancel(struct http_call *call);

/* A call of the same route, parameters, type and caller that has no client and no JSON body: for a
 * load that goes on behind the answer. Its deadline is a whole one, from now on; its slot is NULL.
 * A handler and http_take_answer() work on it, http_finish() and streams do not; http_copy_free()
 * ends it. */
struct http_call *http_call_copy(struct http_call *call);
void http_copy_free(struct http_call **copy);

/* Ends a call that app->gather() took with 503 instead of its work, for want of anybody to do it.
 */
void http_refuse_busy(struct http_call *call);

/* Between these, calls that this thread ends are answered together, at the latter: an event thread
 * then wakes once for many. For a thread that ends several calls within a moment; not nested. */
void http_cork(void);
void http_uncork(void);

/* A bucket of its own for something that a handler gives out, such as sessions. */
struct http_use {
    int kind;                  /* what: a number of the app's, 1 to 31 */
    struct str id;             /* whose bucket: the id of a key */
    int64_t per_minute, burst; /* above 0 */
};
/* Counts one use, for a handler. 0: it is let through; else it is refused, for so many seconds. It
 * is counted whether or not calls have a limit, and with other servers as they are. Of both limits
 * the answer tells that which has less left. At most one a call. */
int64_t http_use(struct http_call *call, const struct http_use *use);

/* Runs a job on a worker; false where the queue is full. Jobs that were queued have ended when
 * http_server_stop() returns. */
bool http_run(struct http_server *server, void (*job)(void *user), void *user);

/* ---- answers ---- */

/* A ready answer: status, type, body, also compressed, each with its ETag. Counted and constant, so
 * that a cache may hold it and many connections send it at once. */
struct http_answer_options {
    int status;       /* 0: 200 */
    const char *type; /* a constant; NULL: application/json */
    bool compress;    /* also make gzip and, where the library is there, br or zstd; texts over
                         1,000 bytes */
    struct http_policy policy;
    const char *headers; /* further ones, "Name: value\n" each, or NULL; copied */
};
/* Copies `body`. */
struct http_answer *http_answer_new(const struct http_answer_options *options, struct str body);
void http_answer_hold(struct http_answer *answer);
void http_answer_release(struct http_answer *answer);
size_t http_answer_bytes(const struct http_answer *answer); /* all that it takes in memory */
int http_answer_status(const struct http_answer *answer);

/* The worker's usual way: the body of this call's answer. `text` is copied. */
void http_json(struct http_call *call, struct str text);
/* The same, which takes the buffer and leaves it empty. */
void http_take_json(struct http_call *call, struct buf *text);
void http_put_header(struct http_call *call, const char *name, const char *format, ...)
    KOL_PRINTF(3, 4);
/* Makes an answer out of what the handler left: its status, or its problem. The caller holds it. */
struct http_answer *http_take_answer(struct http_call *call, enum kol_status status,
                                     const struct kol_error *err);

/* How an answer is sent this time. */
struct http_sending {
    const char *cache_status; /* RFC 9211, after "kol-l1; "... whole value; NULL: none */
    int64_t age_us;           /* Age; below 0: none */
    bool stale;               /* says so: Cache-Status carries it; max-age is 0 then */
};

/* Ends a call with an answer, which is held by the call from here on (the caller's hold goes over).
 * From any thread; a call that was cancelled meanwhile is let go quietly, and `answer` may be NULL
 * then. Once for each call, which is gone afterwards. `sending` NULL: nothing to say. */
void http_finish(struct http_call *call, struct http_answer *answer,
                 const struct http_sending *sending);

/* ---- streams ---- */

/* Begins an answer whose end is not known (export, server-sent events) instead of http_finish():
 * 200 with `type` and the headers that were put before. Then http_stream_write() from the worker:
 * waits while more than a bound is unsent, at most until `wait_us` passed (KOL_TIMEOUT);
 * KOL_INTERRUPTED where the client is gone.
 * After a http_stream_end() with an error the connection is closed without an end, so that the
 * client sees that it is cut. A stream has no deadline but for its waits. */
struct http_stream;
enum kol_status http_stream_begin(struct http_call *call, const char *type,
                                  struct http_stream **out, struct kol_error *err) KOL_CHECKED;
enum kol_status http_stream_write(struct http_stream *stream, struct str bytes, int64_t wait_us,
                                  struct kol_error *err) KOL_CHECKED;
void http_stream_end(struct http_stream **stream, enum kol_status status);

/* True once a stream was begun: it ends the call, so nobody calls http_finish(). Within
 * http_app.work also true behind the stream's end; the call is there until that hook returns. */
bool http_streaming(const struct http_call *call);

/* ---- keys ---- */

/* Looks a key up, which a request gave as X-API-Key; constant time in the key. False: unknown,
 * revoked or expired. `id` gets what it is called in logs and limits, never the key. */
struct http_identity {
    char id[64];
    http_scopes scopes;
    int64_t rate_per_minute, burst; /* 0: the server's */
};

/* What is known of a cookie that stands for a key. */
enum http_session {
    HTTP_SESSION_NONE,   /* it stands for nobody, or for nobody any more */
    HTTP_SESSION_HELD,   /* it does */
    HTTP_SESSION_ASK,    /* that takes a look elsewhere, for which it must be allowed to wait */
    HTTP_SESSION_UNTOLD, /* what would know does not answer */
    HTTP_SESSION_BUSY,   /* the server's own: no worker was free to ask */
};

/* ---- the app ---- */

/* What an event thread waits for together with its clients, on the app's behalf. */
struct http_aside {
    int fd;           /* -1: nothing */
    bool write;       /* also until it can be written to */
    int64_t until_ns; /* by clock_mono_ns(): no longer than that; INT64_MAX: without an end */
    bool ready;       /* in: `fd` can be read or written to, or has failed */
    bool last;        /* in: the thread ends; what is under way is given up now */
};

/* The place among all event threads of the one that this is; SIZE_MAX: it is none. */
size_t http_loop_here(void);

struct http_app {
    const struct http_route *routes;
    size_t route_count;
    const struct http_schema *schemas;
    size_t schema_count;
    const struct http_problem_kind *problems; /* beyond those of this room */
    size_t problem_count;
    const char *const *scopes; /* names of the bits */
    size_t scope_count;
    const char *title, *version, *description; /* of the API, for OpenAPI */
    void *user;
    bool keeps; /* answers that may be kept are: they are compressed ahead, once for all */

    /* On the event thread, must not wait: an answer that is ready, or that a brief route's handler
     * makes here (held for the callee; `sending` filled), or NULL. May be NULL. */
    struct http_answer *(*quick)(struct http_call *call, struct http_sending *sending, void *user);
    /* On a worker: ends the call by http_finish() now or later. NULL: handle(), take, finish. */
    void (*work)(struct http_call *call, void *user);
    /* On the event thread, must not wait: true where the app itself runs `work(call)` soon, on a
     * thread of its own or by http_run(). NULL, or false: a worker runs it. */
    bool (*gather)(struct http_call *call, void (*work)(void *call), void *user);
    /* On the event thread `loop`, after each look at its clients, must not wait: what the app does
     * there besides answering. NULL: nothing. */
    void (*besides)(size_t loop, struct http_aside *aside, void *user);
    /* NULL: no keys, all is open. */
    bool (*identify)(struct str key, struct http_identity *out, void *user);
    /* The name of the cookie that stands for a key where none is sent, and whom it stands for,
     * asked where a route wants a scope. `until_ns` 0: on the event thread, must not wait (ASK);
     * else on a worker, until then. NULL: there are no sessions. */
    const char *cookie;
    enum http_session (*session)(struct str cookie, int64_t until_ns, struct http_identity *out,
                                 void *user);
    /* On the event thread, must not wait: something is there for http_rates_drain() where nothing
     * was. NULL: the limits are those of this server alone. */
    void (*counted)(void *user);
    /* After each request, for metrics and usage; any thread; route NULL where none was found. */
    void (*observe)(const struct http_route *route, int status, int64_t duration_ns,
                    struct str caller, void *user);
};

/* ---- the server ---- */

struct http_server_options {
    const char *host;               /* "127.0.0.1", "::", "0.0.0.0" */
    int port;                       /* 0: a free one, see http_server_port() */
    int operations_port;            /* of the routes with `operations`; 0: on the same port */
    int threads;                    /* event threads; 0: one per CPU */
    int workers;                    /* 0: four per CPU */
    int queue;                      /* calls that may wait for a worker; 0: 1,024 */
    int64_t deadline_us;            /* of a request; 0: 2 s */
    int64_t head_us;                /* from the first byte to the end of the head; 0: 10 s */
    int64_t body_us;                /* from the end of the head to the end of the body; 0: 60 s */
    int64_t idle_us;                /* of a keep-alive connection; 0: 75 s */
    int64_t body_max;               /* bytes; 0: 1 MiB */
    int64_t head_max;               /* bytes of a request's head; 0: 12 KiB */
    int uri_max;                    /* bytes; 0: 8,000 */
    int connections;                /* 0: 20,000, or what the limit of descriptors allows */
    int connections_per_address;    /* 0: no limit */
    int64_t rate_per_minute, burst; /* of a key or, without one, an address; 0: no limit */
    const char *cors_origins;       /* comma-separated; NULL: closed; "*" */
    const char *tls_certificate, *tls_key; /* PEM files; NULL: plain */
    bool access_log;
};

/* Checks the tables (a route that no path can reach, a schema that nobody knows, a handler that is
 * missing: KOL_INVALID says which row), binds, and answers. */
enum kol_status http_server_start(const struct http_server_options *options,
                                  const struct http_app *app, struct http_server **out,
                                  struct kol_error *err) KOL_CHECKED;
int http_server_port(const struct http_server *server);
int http_server_operations_port(const struct http_server *server);

/* Certificate and key are read again; on a failure those of before stay. */
enum kol_status http_server_reload(struct http_server *server, struct kol_error *err) KOL_CHECKED;

/* Takes no new connections, lets calls under way finish for at most `grace_us`, gives up the rest,
 * ends the threads. */
void http_server_stop(struct http_server **server, int64_t grace_us);

struct http_server_stats {
    int64_t connections, calls, queued, streams;
    int64_t refused_busy, refused_slow,
        gone; /* 503 of a full queue, closed heads, clients that left */
};
void http_server_stats(const struct http_server *server, struct http_server_stats *out);

/* ---- one limit for several servers ---- */

/*
 * A server judges each request by a bucket of its own, at once. Where several are to keep one limit
 * together their app does this every moment for each of them: drain what was let through, add it to
 * a bucket that all share, merge what that one holds now. Together they then let through the limit
 * and what arrives within such a moment; that is owed, so that it comes but once.
 *
 * A bucket is a time: that at which it will be empty. Each request that is let through moves it on.
 * All that is told is told as lengths of time, so that nobody's clock matters to another.
 */
struct http_spent {
    char id[64]; /* of a key, or the bytes of an address; `id_len` of them */
    uint8_t id_len;
    bool is_address;
    uint8_t use; /* http_use.kind; 0: of calls */
    /* For the shared bucket: it is not empty before `age_ns` ago, then `spent_ns` are added; it is
     * left with no less than `floor_ns` and no more than `most_ns` from now. */
    int64_t spent_ns; /* what was let through since the last drain */
    int64_t age_ns;   /* when the first of it was */
    int64_t floor_ns; /* above 0: what was let through was not told for too long, or nobody knows
                         whether it was told: it is not added (`spent_ns` is 0), but the shared
                         bucket holds at least what the own one does */
    int64_t most_ns;
    /* Filled in by the app before http_rates_merge(). */
    bool told;       /* the shared bucket has it */
    int64_t held_ns; /* and holds so much, as it answered */
    /* The server's own. */
    uint64_t who;
    int64_t drained_ns;
};

/* What callers were let through since they were drained before; at most `max`, the others stay. One
 * thread at a time; from it on the app tells of them at once. */
size_t http_rates_drain(const struct http_server *server, struct http_spent *out, size_t max);
/* Moves the own buckets on to what the shared ones hold. One that was not told is not drained again
 * as it was: its next use tells of the own bucket as a whole. */
void http_rates_merge(const struct http_server *server, const struct http_spent *spent,
                      size_t count);

/* Checks the tables alone, as the start does. */
enum kol_status http_check(const struct http_app *app, struct kol_error *err) KOL_CHECKED;

/* The OpenAPI 3.1 document of the tables, as JSON; `server` its URL, or NULL. */
void http_put_openapi(const struct http_app *app, const char *server, struct buf *out);

/* The explorer page and its parts, embedded: handlers for rows of the app's own table. */
http_handler http_handle_openapi; /* GET /openapi.json */
http_handler http_handle_docs;    /* GET /docs and GET /docs/{file} */

#endif
