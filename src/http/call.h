/*
 * call.h: what the files of the running server share (parts.h is for the tables). Private to the
 * room.
 *
 * Who owns what:
 *
 *   http_door     a listening socket with its event threads and its router
 *   http_loop     an event thread, with a daemon of the library and the connections of that
 *   http_conn     one connection; made and freed by its event thread (server.c), found by the
 *                 watcher under watch.mutex
 *   http_call     one request; counted: one hold of its connection until the library is done with
 *                 the request, one of whoever works for it until http_finish() or the end of its
 *                 stream, and short ones of the watcher
 *   http_answer   counted and constant
 *
 * A call is ended exactly once: whoever first sets `ended` may set its answer and resumes its
 * connection; all who come later let go.
 *
 *   READING --hand over--> suspended, `ended` false --first of {http_finish, stream, deadline,
 *   gone, stop}--> `ended` true, resumed --event thread--> sent --completed--> let go
 */
#ifndef HTTP_CALL_H
#define HTTP_CALL_H

#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/pool.h"
#include "http/http.h"
#include "http/parts.h"

/* ---- compress.c ---- */

enum http_coding { CODING_IDENTITY, CODING_GZIP, CODING_BR, CODING_ZSTD, CODING_COUNT };
extern const char *const http_coding_names[CODING_COUNT];
/* The codings that answers are made in, beside identity. */
extern const enum http_coding http_answer_codings[2];

/* Appends `bytes` in a coding; false where the library is not there or it did not get smaller and
 * `force` is not set. */
bool http_encode(enum http_coding coding, struct str bytes, bool force, struct buf *out);

/* The weight of each coding by an Accept-Encoding header, 0 to 1000; 0: not acceptable. `present`:
 * the request has the header. */
void http_accept_codings(struct str header, bool present, int weights[CODING_COUNT]);

/* A body that comes in pieces, inflated. */
struct http_inflater;
/* NULL: a coding that is not taken. */
struct http_inflater *http_inflater_new(struct str coding);
/* Appends what `bytes` come to. KOL_INVALID: not of the coding; KOL_NO_SPACE: over `max` in all. */
enum kol_status http_inflate(struct http_inflater *inflater, struct str bytes, size_t max,
                             struct buf *out);
bool http_inflater_done(const struct http_inflater *inflater); /* at the end of a whole stream */
void http_inflater_free(struct http_inflater **inflater);

/* ---- limits.c ---- */

/* An address as limits count it: an IPv4 one, or the /64 of an IPv6 one. */
struct http_address {
    uint8_t bytes[16];
};
struct http_address http_address_of(const struct sockaddr *address);
void http_address_put(const struct sockaddr *address, struct buf *out);

struct http_rates; /* how much each caller has asked for */
struct http_rates *http_rates_new(void);
void http_rates_free(struct http_rates **rates);

/* The key of an address for http_rates_take(): its bytes behind a NUL, so that it never is a key's
 * id; that of a use is the byte of its kind and the id. */
enum { HTTP_ADDRESS_ID = 17 };
struct http_rate {
    int64_t limit, remaining; /* calls at once */
    int64_t reset_s;          /* until all of `limit` is there again */
    int64_t retry_s;          /* above 0: refused, and for how long */
};
/* Counts one call of `id` (a key's id or an address); `per_minute` is above 0. Of a burst that
 * takes longer than HTTP_DEPTH_MAX_NS to come back so much is allowed as comes back in that time.
 */
#define HTTP_DEPTH_MAX_NS (INT64_C(10) * 365 * 86400 * 1000000000)
struct http_rate http_rates_take(struct http_rates *rates, struct str id, int64_t per_minute,
                                 int64_t burst, int64_t now_ns);
/* What http_rates_take() would say, without counting a call. */
struct http_rate http_rates_look(struct http_rates *rates, struct str id, int64_t per_minute,
                                 int64_t burst, int64_t now_ns);
/* From here on what is let through is kept for the two below; see struct http_app for `counted`. */
void http_rates_share(struct http_rates *rates, void (*counted)(void *user), void *user);
/* http_rates_drain() and http_rates_merge() of a server, at a time that the caller says. */
size_t http_spent_drain(struct http_rates *rates, struct http_spent *out, size_t max,
                        int64_t now_ns);
void http_spent_merge(struct http_rates *rates, const struct http_spent *spent, size_t count);

struct http_crowd; /* open connections by address */
struct http_crowd *http_crowd_new(void);
void http_crowd_free(struct http_crowd **crowd);
/* False: the address has `max` already; then it is not counted. */
bool http_crowd_enter(struct http_crowd *crowd, const struct http_address *address, int max);
void http_crowd_leave(struct http_crowd *crowd, const struct http_address *address);

/* ---- answers (answer.c) ---- */

enum { HTTP_CACHE_CONTROL_MAX = 96, HTTP_NUMBER_MAX = 24 };

/* The digits of a number, 0 for one below, at the end of `text`: without printf, as several are
 * written for each answer. */
const char *http_number(int64_t number, char text[HTTP_NUMBER_MAX]);

struct http_form {
    char *bytes; /* NULL: not made */
    size_t len;
    char etag[56]; /* with its quotes */
};

struct http_answer {
    _Atomic int holds; /* first, and forms last: a copy of the head takes what lies between */
    int status;
    char type[96];
    bool varies; /* by Accept-Encoding */
    bool html;
    size_t instance_at; /* a problem that many requests may get: where in its plain body the id of
                           each goes in; 0: it is complete */
    struct http_policy policy;
    char cache_public[HTTP_CACHE_CONTROL_MAX], cache_private[HTTP_CACHE_CONTROL_MAX];
    char *headers; /* name NUL value NUL ... NUL */
    struct http_form forms[CODING_COUNT];
};

/* The same answer in one other coding only; takes `bytes`. */
struct http_answer *http_answer_recoded(const struct http_answer *answer, enum http_coding coding,
                                        struct buf *bytes);

/* The answer as one request gets it: a problem carries its id. Takes the hold and gives another. */
struct http_answer *http_answer_named(struct http_answer *answer, struct str id);

/* An answer out of a problem, complete. `headers` as in http_answer_options. */
struct http_answer *http_problem_answer(const struct http_app *app, const char *code,
                                        struct str detail, struct str id, const char *headers);

/* ---- calls (call.c, request.c) ---- */

/* The headers of a request that the server itself looks at. */
enum http_known {
    HEADER_HOST,
    HEADER_API_KEY,
    HEADER_REQUEST_ID,
    HEADER_ACCEPT,
    HEADER_ACCEPT_ENCODING,
    HEADER_IF_NONE_MATCH,
    HEADER_ORIGIN,
    HEADER_CONTENT_TYPE,
    HEADER_CONTENT_ENCODING,
    HEADER_CONTENT_LENGTH,
    HEADER_TRANSFER_ENCODING,
    HEADER_EXPECT,
    HEADER_WANTED_METHOD,
    HEADER_COOKIE,
    HEADER_FETCH_SITE,
    HEADER_KNOWN
};

struct http_line {
    struct str name, value;
};

enum http_phase {
    PHASE_IDLE, /* between requests, or before the end of the first request line */
    PHASE_HEAD, /* the request line is there */
    PHASE_BODY, /* the head is there, the body is not */
    PHASE_CALL, /* all is there: it is worked on or answered */
    PHASE_LAST, /* answered before the end of its body, which is let run for a moment */
};

struct http_conn {
    struct http_server *server;
    struct http_door *door;
    struct http_loop *loop;
    int fd;
    uint32_t serial; /* tells it from others that had the same descriptor */
    bool counted;    /* in the crowd */
    struct sockaddr_storage peer;
    struct http_address address;

    /* Written by the event thread, read by the watcher's sweep. */
    _Atomic int phase;
    _Atomic int64_t since_ns; /* when the phase began */
    _Atomic int64_t head_ns;  /* when the sweep saw bytes of a head whose line is not there; 0 */

    /* watch.mutex */
    bool polled;            /* in the watcher's epoll */
    bool gone;              /* the peer has closed its side */
    bool shut;              /* closed by us */
    struct http_call *call; /* that is handed over */
    int64_t bytes;          /* TCP bytes received at the last look within PHASE_IDLE; -1: none */
    int64_t looked_ns;      /* when that was */
};

struct http_call {
    struct http_server *server;
    struct http_door *door;
    struct http_loop *loop;     /* NULL: a copy */
    struct http_conn *conn;     /* NULL: a copy. Event thread and watcher only */
    struct MHD_Connection *mhd; /* event thread, and whoever ends the call */
    _Atomic int holds;
    struct arena arena;

    /* The request. */
    char id[65];
    size_t id_len;
    int64_t start_ns, deadline_ns;
    struct str target; /* raw, of the request line */
    struct str path, query;
    bool head, options; /* HEAD, OPTIONS */
    bool headers_read, handed;
    bool close;                     /* the connection ends behind the answer */
    struct str known[HEADER_KNOWN]; /* in the library's memory until the call is handed over */
    struct http_line *lines;        /* copies of all headers, once it is handed over */
    size_t line_count;
    struct http_match match;
    struct http_values values;
    const char *type;
    struct str key; /* http_call_key() */
    struct http_identity identity;
    bool identified;
    bool by_cookie;            /* a cookie was looked at to tell who asks */
    enum http_session session; /* what came of it */
    struct str cookie;         /* while a worker asks: a copy */
    bool asking;               /* the head is checked up to who asks, which a worker finds out */
    struct http_rate rate;     /* limit 0: not counted */
    const char *allow_origin;

    /* The body. */
    bool collecting; /* else what comes is thrown away */
    bool announced;  /* the request has a body */
    bool form;       /* which is a form post */
    size_t body_seen, body_limit;
    struct buf body;
    struct http_inflater *inflater;
    const struct json_value *json; /* in the arena, with views of the body */
    struct http_answer *early;     /* decided before the body was there, sent behind it */

    /* The end. */
    pthread_mutex_t mutex; /* of cancel and canceller */
    void (*cancel)(void *user);
    void *cancel_user;
    _Atomic bool ended, cancelled;
    bool cancel_ran;            /* mutex */
    bool suspended;             /* set before anybody else knows the call */
    bool dropped;               /* ended without an answer: the connection is closed */
    struct http_answer *answer; /* set by whoever set `ended` */
    struct http_stream *stream; /* set before `streaming` */
    _Atomic bool streaming;
    char cache_status[200];
    int64_t age_us; /* below 0: none */
    bool stale;

    /* What a handler left. */
    struct buf text, headers;
    struct http_rate use; /* limit 0: none was counted */
    const char *problem;
    struct str problem_detail;
    void *slot;

    /* watch.mutex: the list of calls by deadline. */
    struct http_call *next, *prev;
    bool listed;

    /* What came of it: event thread. */
    int status;
    size_t sent;
    bool last_word; /* answered past the library, the rest of the body is thrown away */
};

struct http_call *http_call_new(struct http_door *door, struct http_conn *conn,
                                struct MHD_Connection *mhd);
void http_call_hold(struct http_call *call);
void http_call_release(struct http_call *call);

/* Ends a call if nobody has: `answer` (its hold goes over in any case) or NULL to close the
 * connection. `cancel`: it is not the worker that ends it. True if this one did. */
bool http_call_end(struct http_call *call, struct http_answer *answer,
                   const struct http_sending *sending, bool cancel);
/* The same by a stream, a hold of which goes over to the call. */
bool http_call_end_by_stream(struct http_call *call, struct http_stream *stream);
/* How the answer is sent; NULL: nothing to say. */
void http_call_take_sending(struct http_call *call, const struct http_sending *sending);
/* Copies what belongs to the library, so that a worker may outlive the request. */
void http_call_keep(struct http_call *call);
/* What works for a call lets go of it: the last thing that it does with it. */
void http_call_let_go(struct http_call *call);
/* Wakes the connection of a call that was counted as sleeping and suspended. Whoever has no hold of
 * the call may touch it no more: the event thread may be done with it before this returns. */
void http_call_resume(struct http_call *call);
/* Tells what works for a call that was ended by somebody else to stop; once. */
void http_call_cancel(struct http_call *call);

/* ---- sending (send.c) ---- */

/* Hands an answer to the library, on the event thread; the hold goes over. */
enum MHD_Result http_send(struct http_call *call, struct http_answer *answer);
enum MHD_Result http_send_stream(struct http_call *call);
/* Answers before the body is at its end, where the library takes no answer: past it. The caller
 * throws away what still comes. False: it could not be sent. */
bool http_send_last_word(struct http_call *call, struct http_answer *answer);

/* ---- responses that are kept (ready.c); on one event thread alone ---- */

/* The headers that differ from one sending of an answer to the next. */
enum http_differing {
    DIFFERING_CACHE_STATUS,
    DIFFERING_AGE,
    DIFFERING_REQUEST_ID,
    DIFFERING_RATE_LIMIT,
    DIFFERING_RATE_REMAINING,
    DIFFERING_RATE_RESET,
    HTTP_DIFFERING
};
extern const char *const http_differing_names[HTTP_DIFFERING];

/* What all else in a response follows from. The texts are compared as pointers. */
struct http_likeness {
    const struct http_answer *answer;
    enum http_coding coding;
    const char *cache_control, *vary;
};

struct http_ready;
struct http_ready *http_ready_new(void);
/* No connection of the thread is there any more. NULL inside is fine. */
void http_ready_free(struct http_ready **ready);
/* A kept response like this one, its differing headers now with these values ("": without that
 * header); NULL: none. It stays the keeper's, and is to be queued before the next look. */
struct MHD_Response *http_ready_find(struct http_ready *ready, const struct http_likeness *likeness,
                                     const char *const values[HTTP_DIFFERING]);
/* Takes a response that was queued, with these values and the hold of the answer that it has, where
 * its like was sent before and somebody else has the answer, too; false: it is the caller's still.
 */
bool http_ready_keep(struct http_ready *ready, const struct http_likeness *likeness,
                     const char *const values[HTTP_DIFFERING], struct MHD_Response *response);

/* ---- requests (request.c) ---- */

void *http_request_line(void *user, const char *target, struct MHD_Connection *mhd);
enum MHD_Result http_request(void *user, struct MHD_Connection *mhd, const char *url,
                             const char *method, const char *version, const char *upload,
                             size_t *upload_size, void **context);
void http_request_completed(void *user, struct MHD_Connection *mhd, void **context,
                            enum MHD_RequestTerminationCode how);
/* The checks of a head; head.c. False: `call->early` says why. Where `call->asking` is to be set by
 * http_session_ask() it is true with `*ask` set, and http_head_go_on() makes the rest of the checks
 * once that is over. */
bool http_head_check(struct http_call *call, const char *method, const char *version, bool *ask);
bool http_head_go_on(struct http_call *call);
/* The client left while a worker asked for him: that counts all the same. */
void http_head_count_gone(struct http_call *call);

/* ---- session.c ---- */

/* Whom the cookie of a request stands for, as far as the app knows at once, in `call->session` and
 * `call->identity`. False: a worker is to ask. */
bool http_session_find(struct http_call *call);
/* Puts the connection to sleep until a worker has asked: then http_request() comes again. */
void http_session_ask(struct http_call *call);
/* Why a request with a cookie is refused, or NULL: it stands for somebody. */
struct http_answer *http_session_refusal(struct http_call *call);
/* Whether a page, by what its browser says of it, may do this in the name of whoever is signed in.
 * `origin_named`: the operator named its origin, and not just all of them. */
bool http_page_may_act(const struct http_call *call, bool same_origin, bool origin_named);

/* ---- access.c ---- */

void http_access_put(const struct http_call *call, int64_t duration_ns);

/* ---- watch.c ---- */

struct http_watch;
struct http_watch *http_watch_new(struct http_server *server);
/* Ends the thread; no connection is there any more. */
void http_watch_free(struct http_watch **watch);
void http_watch_open(struct http_watch *watch, struct http_conn *conn);
void http_watch_close(struct http_watch *watch, struct http_conn *conn);
/* From the hand-over on: its deadline and its client. False: the server stops. */
bool http_watch_call(struct http_watch *watch, struct http_call *call);
/* False: the server stops, and what sleeps from now on is waited for by nobody. */
bool http_watch_open_for_calls(struct http_watch *watch);
void http_watch_no_deadline(struct http_watch *watch, struct http_call *call);
/* The library is done with the request. */
void http_watch_forget(struct http_watch *watch, struct http_call *call);
/* Ends all calls; those that come are ended at once. */
void http_watch_give_up(struct http_watch *watch);
/* Closes a connection whose call is not completed, from any thread. */
void http_watch_shut(struct http_watch *watch, struct http_conn *conn);
/* How many connections have a request under way. */
size_t http_watch_busy(struct http_watch *watch);

/* ---- stream.c ---- */

/* What the library reads an answer without an end from; on the event thread. The response has a
 * hold, the call another, the writer a third. */
ssize_t http_stream_read(void *stream, uint64_t at, char *out, size_t max);
void http_stream_hold(struct http_stream *stream);
void http_stream_release(void *stream);
const char *http_stream_type(const struct http_stream *stream);
/* The client is gone or the server stops. */
void http_stream_cut(struct http_stream *stream);

/* ---- tls.c ---- */

struct http_tls;
enum kol_status http_tls_new(const char *certificate, const char *key, struct http_tls **out,
                             struct kol_error *err) KOL_CHECKED;
enum kol_status http_tls_reload(struct http_tls *tls, struct kol_error *err) KOL_CHECKED;
void http_tls_free(struct http_tls **tls);
/* The options that a daemon needs; `options` has room for `HTTP_TLS_OPTIONS`. */
enum { HTTP_TLS_OPTIONS = 2 };
size_t http_tls_options(struct http_tls *tls, struct MHD_OptionItem *options);
/* Writes bytes into a session of the library's; false: not all went. */
bool http_tls_send(struct MHD_Connection *mhd, struct str bytes);

/* ---- loop.c ---- */

/* Starts an event thread of a door, `place` of all, with so many connections at most. `*out` is to
 * be stopped in any case. */
enum kol_status http_loop_start(struct http_door *door, size_t place, unsigned connections,
                                struct http_loop **out, struct kol_error *err) KOL_CHECKED;
/* The server stops: returns once the thread takes no new connections. */
void http_loop_quiesce(struct http_loop *loop);
/* No connection may sleep any more. NULL inside is fine. */
void http_loop_stop(struct http_loop **loop);
struct http_door *http_loop_door(const struct http_loop *loop);
struct http_ready *http_loop_ready(const struct http_loop *loop);
/* On an event thread: a request or a connection has ended. */
void http_loop_ended(void);
/* Has a suspended connection go on; from any thread. */
void http_loop_resume(struct http_loop *loop, struct MHD_Connection *mhd);

/* ---- server.c ---- */

struct http_door {
    struct http_server *server;
    struct http_router *router;
    struct http_loop **loops; /* options.threads of them; NULL: not started */
    int listener, port;
};

/* MHD_NotifyConnectionCallback of a loop: a connection begins or ends. */
void http_conn_changed(void *loop, struct MHD_Connection *mhd, void **context,
                       enum MHD_ConnectionNotificationCode code);

struct http_server {
    struct http_server_options options; /* with all defaults filled in */
    const struct http_app *app;
    struct http_door doors[2]; /* the public one, the operator's */
    size_t door_count;
    char *cors; /* a copy of options.cors_origins, NULL: closed */
    struct pool *pool;
    struct http_watch *watch;
    struct http_rates *rates;
    struct http_crowd *crowd;
    struct http_tls *tls;
    _Atomic bool stopping;    /* answers close their connection */
    _Atomic int64_t working;  /* calls held by whoever works for them */
    _Atomic int64_t sleeping; /* suspended connections, until their resume has returned */
    _Atomic int64_t connections, queued, streams, refused_busy, refused_slow, gone;
};

#endif
