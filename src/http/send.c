/*
 * send.c: an answer on its way out: which form of it, with which headers, or 304 instead.
 *
 * The response of the library is made for each request (its headers belong to it) or, for what is
 * sent often, taken from those that are kept (ready.c); the bytes are the answer's own and shared.
 * All of this runs on the event thread of the connection.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "http/call.h"

/* ---- conditional requests ---- */

/* One of the entity tags of If-None-Match is `etag`, by the weak comparison of RFC 9110. */
static bool none_match_hits(struct str list, const char *etag)
{
    size_t etag_len = strlen(etag);
    if (str_is(str_trim(list), "*")) {
        return true;
    }
    for (size_t at = 0; at < list.len;) {
        if (list.ptr[at] != '"') {
            at++; /* a comma, blanks, W/ */
            continue;
        }
        const char *end = memchr(list.ptr + at + 1, '"', list.len - at - 1);
        if (!end) {
            return false;
        }
        size_t len = (size_t)(end - list.ptr) + 1 - at;
        if (len == etag_len && memcmp(list.ptr + at, etag, len) == 0) {
            return true;
        }
        at += len;
    }
    return false;
}

/* ---- codings ---- */

/* The form that the client likes best; CODING_COUNT: none that it takes. Of equals the smaller one,
 * which is a coded one. */
static enum http_coding choose_form(const struct http_call *call, const struct http_answer *answer)
{
    struct str header = call->known[HEADER_ACCEPT_ENCODING];
    int weights[CODING_COUNT];
    http_accept_codings(header, header.ptr != NULL, weights);
    enum http_coding best = CODING_COUNT;
    for (int coding = CODING_COUNT - 1; coding >= 0; coding--) {
        if (!answer->forms[coding].bytes || !weights[coding]) {
            continue;
        }
        if (best == CODING_COUNT || weights[coding] > weights[best] ||
            (weights[coding] == weights[best] &&
             answer->forms[coding].len < answer->forms[best].len)) {
            best = (enum http_coding)coding;
        }
    }
    return best;
}

/* The client refuses the plain form, the only one there is: codes it for this request, or says 406.
 * Takes the hold and gives another. */
static struct http_answer *recode(struct http_call *call, struct http_answer *answer)
{
    enum { IN_PLACE = 64 * 1024 }; /* bytes that an event thread codes: about a millisecond */
    struct str header = call->known[HEADER_ACCEPT_ENCODING];
    int weights[CODING_COUNT];
    http_accept_codings(header, true, weights);
    struct http_form *plain = &answer->forms[CODING_IDENTITY];
    if (answer->status >= 400) {
        return answer; /* an error in a form that was not asked for still says more than another */
    }
    struct buf bytes = {0};
    if (plain->len <= IN_PLACE && weights[CODING_GZIP] &&
        http_encode(CODING_GZIP, (struct str){plain->bytes, plain->len}, true, &bytes)) {
        struct http_answer *coded = http_answer_recoded(answer, CODING_GZIP, &bytes);
        http_answer_release(answer);
        return coded;
    }
    buf_free(&bytes);
    http_answer_release(answer);
    return http_problem_answer(call->server->app, "not_acceptable",
                               STR("This answer is not had in a coding that Accept-Encoding takes; "
                                   "it is had as identity."),
                               http_call_id(call), NULL);
}

/* ---- headers ---- */

static void add(struct MHD_Response *response, const char *name, const char *value)
{
    MHD_add_response_header(response, name, value);
}

/* The differing headers of one sending. */
struct differing {
    const char *values[HTTP_DIFFERING];
    char numbers[HTTP_DIFFERING][HTTP_NUMBER_MAX];
};

static void put_differing(struct differing *out, enum http_differing which, int64_t number)
{
    out->values[which] = http_number(number, out->numbers[which]);
}

/* `answer` says that these of the answer are meant, too: a stream has none. */
static void take_differing(const struct http_call *call, bool answer, struct differing *out)
{
    for (size_t i = 0; i < HTTP_DIFFERING; i++) {
        out->values[i] = "";
    }
    out->values[DIFFERING_REQUEST_ID] = call->id;
    if (answer) {
        out->values[DIFFERING_CACHE_STATUS] = call->cache_status;
    }
    if (answer && call->age_us >= 0) {
        put_differing(out, DIFFERING_AGE, call->age_us / CLOCK_US_PER_SECOND);
    }
    if (call->rate.limit) {
        put_differing(out, DIFFERING_RATE_LIMIT, call->rate.limit);
        put_differing(out, DIFFERING_RATE_REMAINING, call->rate.remaining);
        put_differing(out, DIFFERING_RATE_RESET, call->rate.reset_s);
    }
}

static void add_differing(struct MHD_Response *response, const struct differing *differing)
{
    for (size_t i = 0; i < HTTP_DIFFERING; i++) {
        if (*differing->values[i]) {
            add(response, http_differing_names[i], differing->values[i]);
        }
    }
}

static bool has_header(const struct http_answer *answer, const char *name)
{
    for (const char *at = answer ? answer->headers : NULL; at && *at;) {
        const char *value = at + strlen(at) + 1;
        if (strcasecmp(at, name) == 0) {
            return true;
        }
        at = value + strlen(value) + 1;
    }
    return false;
}

static void add_own(struct MHD_Response *response, const struct http_answer *answer)
{
    for (const char *at = answer->headers; at && *at;) {
        const char *value = at + strlen(at) + 1;
        add(response, at, value);
        at = value + strlen(value) + 1;
    }
}

/* NULL: the answer varies by nothing. */
static const char *vary_of(const struct http_call *call, const struct http_answer *answer)
{
    static const char *const texts[] = {
        NULL,
        "Accept-Encoding",
        "Accept",
        "Accept-Encoding, Accept",
        "Origin",
        "Accept-Encoding, Origin",
        "Accept, Origin",
        "Accept-Encoding, Accept, Origin",
        "Cookie",
        "Accept-Encoding, Cookie",
        "Accept, Cookie",
        "Accept-Encoding, Accept, Cookie",
        "Origin, Cookie",
        "Accept-Encoding, Origin, Cookie",
        "Accept, Origin, Cookie",
        "Accept-Encoding, Accept, Origin, Cookie",
    };
    bool many_types = call->match.route && call->match.route->types;
    const char *cors = call->server->cors;
    unsigned which = (answer && answer->varies ? 1u : 0u) | (many_types ? 2u : 0u) |
                     (cors && strcmp(cors, "*") != 0 ? 4u : 0u) | (call->by_cookie ? 8u : 0u);
    return texts[which];
}

/* True where the connection ends behind the answer. */
static bool closes(const struct http_call *call)
{
    return call->close || atomic_load_explicit(&call->server->stopping, memory_order_relaxed);
}

/* What every answer carries, whatever it is. */
static void add_common(const struct http_call *call, const char *vary,
                       struct MHD_Response *response)
{
    if (vary) {
        add(response, "Vary", vary);
    }
    add(response, "X-Content-Type-Options", "nosniff");
    if (call->allow_origin) {
        add(response, "Access-Control-Allow-Origin", call->allow_origin);
        add(response, "Access-Control-Expose-Headers",
            "ETag, Age, Cache-Status, X-Request-Id, Retry-After, RateLimit-Limit, "
            "RateLimit-Remaining, RateLimit-Reset, *"); /* "*": what the app adds */
    }
    if (closes(call)) {
        add(response, "Connection", "close");
    }
}

static const char *cache_control(const struct http_call *call, const struct http_answer *answer)
{
    if (call->stale && answer->policy.fresh > 0) {
        return "no-cache"; /* kept, but asked for again each time: what max-age=0 says */
    }
    bool is_private = call->identified || (call->match.route && call->match.route->scopes);
    return is_private ? answer->cache_private : answer->cache_public;
}

static void add_headers(const struct http_call *call, const struct http_likeness *likeness,
                        struct MHD_Response *response)
{
    const struct http_answer *answer = likeness->answer;
    const struct http_form *form = &answer->forms[likeness->coding];
    if (answer->status != 204) {
        add(response, "Content-Type", answer->type);
    }
    if (form->etag[0]) {
        add(response, "ETag", form->etag);
    }
    if (likeness->coding != CODING_IDENTITY) {
        add(response, "Content-Encoding", http_coding_names[likeness->coding]);
    }
    add(response, "Cache-Control", likeness->cache_control);
    if (answer->html) {
        if (!has_header(answer, "Content-Security-Policy")) {
            add(response, "Content-Security-Policy", "frame-ancestors 'none'");
        }
        /* With none at all a browser keeps from us as well which page a form is posted from. */
        add(response, "Referrer-Policy", "same-origin");
    }
    add_common(call, likeness->vary, response);
    add_own(response, answer);
}

/* ---- whole answers ---- */

static void let_go(void *answer)
{
    http_answer_release(answer);
}

/* Makes a response for this request and queues it. `keep`: it may be kept. Takes the hold. */
static enum MHD_Result send_new(struct http_call *call, struct http_answer *answer,
                                const struct http_likeness *likeness,
                                const struct differing *differing, bool unchanged, bool keep)
{
    const struct http_form *form = &answer->forms[likeness->coding];
    const size_t len = unchanged ? 0 : form->len;
    struct MHD_Response *response = MHD_create_response_from_buffer_with_free_callback_cls(
        len, len ? form->bytes : NULL, let_go, answer);
    if (!response) {
        http_answer_release(answer);
        return MHD_NO;
    }
    add_headers(call, likeness, response);
    add_differing(response, differing);
    enum MHD_Result result = MHD_queue_response(call->mhd, (unsigned)call->status, response);
    if (!keep || result != MHD_YES ||
        !http_ready_keep(http_loop_ready(call->loop), likeness, differing->values, response)) {
        MHD_destroy_response(response);
    }
    return result;
}

/* The same for what is sent whole and may have been sent before. */
static enum MHD_Result send_known(struct http_call *call, struct http_answer *answer,
                                  const struct http_likeness *likeness,
                                  const struct differing *differing)
{
    struct MHD_Response *kept =
        http_ready_find(http_loop_ready(call->loop), likeness, differing->values);
    if (!kept) {
        return send_new(call, answer, likeness, differing, false, true);
    }
    enum MHD_Result result = MHD_queue_response(call->mhd, (unsigned)call->status, kept);
    http_answer_release(answer); /* the response has a hold of its own */
    return result;
}

enum MHD_Result http_send(struct http_call *call, struct http_answer *answer)
{
    answer = http_answer_named(answer, http_call_id(call));
    enum http_coding coding = choose_form(call, answer);
    if (coding == CODING_COUNT) {
        answer = recode(call, answer);
        coding = answer->forms[CODING_GZIP].bytes ? CODING_GZIP : CODING_IDENTITY;
    }
    struct http_form *form = &answer->forms[coding];
    struct str none_match = call->known[HEADER_IF_NONE_MATCH];
    bool reads = !call->match.route || call->match.route->method == HTTP_GET;
    bool unchanged =
        none_match.len && reads && answer->status == 200 && none_match_hits(none_match, form->etag);
    struct differing differing;
    const struct http_likeness likeness = {answer, coding, cache_control(call, answer),
                                           vary_of(call, answer)};
    take_differing(call, true, &differing);
    call->status = unchanged ? 304 : answer->status;
    call->sent = call->head || unchanged ? 0 : form->len;
    const bool alone = unchanged || answer->status != 200 || call->allow_origin || closes(call);
    return alone ? send_new(call, answer, &likeness, &differing, unchanged, false)
                 : send_known(call, answer, &likeness, &differing);
}

/* What the handler put before it began to stream. */
static void add_put(const struct http_call *call, struct MHD_Response *response)
{
    struct str rest = buf_str(&call->headers);
    struct buf name = {0}, value = {0};
    while (rest.len) {
        struct str line = str_cut(&rest, '\n');
        buf_clear(&name);
        buf_clear(&value);
        buf_put(&name, str_cut(&line, ':'));
        buf_put(&value, str_trim(line));
        add(response, name.ptr, value.ptr);
    }
    buf_free(&name);
    buf_free(&value);
}

enum MHD_Result http_send_stream(struct http_call *call)
{
    enum { BLOCK = 32 * 1024 };
    struct differing differing;
    http_stream_hold(call->stream);
    struct MHD_Response *response = MHD_create_response_from_callback(
        MHD_SIZE_UNKNOWN, BLOCK, http_stream_read, call->stream, http_stream_release);
    if (!response) {
        http_stream_release(call->stream);
        return MHD_NO;
    }
    add(response, "Content-Type", http_stream_type(call->stream));
    add(response, "Cache-Control", "no-store");
    add_put(call, response);
    add_common(call, vary_of(call, NULL), response);
    take_differing(call, false, &differing);
    add_differing(response, &differing);
    call->status = 200;
    enum MHD_Result result = MHD_queue_response(call->mhd, 200, response);
    MHD_destroy_response(response);
    return result;
}

/* ---- past the library ---- */

static bool send_bytes(struct http_call *call, struct str bytes)
{
    if (call->server->tls) {
        return http_tls_send(call->mhd, bytes);
    }
    /* It is small and nothing else was sent on this connection: it fits, or the client is gone. */
    return send(call->conn->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT) ==
           (ssize_t)bytes.len;
}

bool http_send_last_word(struct http_call *call, struct http_answer *answer)
{
    answer = http_answer_named(answer, http_call_id(call));
    const struct http_form *form = &answer->forms[CODING_IDENTITY];
    struct buf out = {0};
    buf_printf(&out,
               "HTTP/1.1 %d %s\r\nConnection: close\r\nContent-Type: %s\r\n"
               "Content-Length: %zu\r\nCache-Control: no-store\r\nX-Request-Id: %s\r\n"
               "X-Content-Type-Options: nosniff\r\n",
               answer->status, MHD_get_reason_phrase_for((unsigned)answer->status), answer->type,
               form->len, call->id);
    for (const char *at = answer->headers; at && *at;) {
        const char *value = at + strlen(at) + 1;
        buf_printf(&out, "%s: %s\r\n", at, value);
        at = value + strlen(value) + 1;
    }
    if (call->allow_origin) {
        buf_printf(&out, "Access-Control-Allow-Origin: %s\r\n", call->allow_origin);
    }
    buf_puts(&out, "\r\n");
    if (!call->head) {
        buf_append(&out, form->bytes, form->len);
    }
    call->status = answer->status;
    call->sent = call->head ? 0 : form->len;
    bool sent = send_bytes(call, buf_str(&out));
    buf_free(&out);
    http_answer_release(answer);
    if (sent && !call->server->tls) {
        /* The client sees at once that this was all; what it still sends is thrown away for a
         * moment, so that no reset overtakes the answer. */
        shutdown(call->conn->fd, SHUT_WR);
    }
    call->last_word = sent;
    return sent;
}
