/*
 * session.c: a caller who signed in before and shows a cookie instead of a key.
 *
 * The app knows who that is. What it knows at once it says on the event thread; what it must look
 * up elsewhere a worker asks it for, while the connection sleeps with its head half checked: who is
 * not known is shown nothing, and no byte of the body is read for him.
 *
 * A browser sends a cookie whichever page made the request, so a page of another site could act for
 * whoever is signed in. What the browser says of that page decides (Sec-Fetch-Site, which no script
 * can set, else Origin); one that says neither is no browser of today, and the cookie's own
 * SameSite is what is left.
 */
#include <string.h>

#include "base/mem.h"
#include "http/call.h"

bool http_session_find(struct http_call *call)
{
    const struct http_app *app = call->server->app;
    const struct http_route *route = call->match.route;
    const struct str header = call->known[HEADER_COOKIE];
    call->session = HTTP_SESSION_NONE;
    /* Where all may ask, nothing depends on who it is. A key says it better. */
    if (!header.len || !app->session || !route || !route->scopes || call->options ||
        call->known[HEADER_API_KEY].ptr) {
        return true;
    }
    struct str cookie;
    if (!http_cookie(header, app->cookie, &cookie)) {
        return true;
    }
    call->by_cookie = true;
    call->session = app->session(cookie, 0, &call->identity, app->user);
    if (call->session == HTTP_SESSION_ASK) {
        call->cookie = arena_copy(&call->arena, cookie);
    }
    return call->session != HTTP_SESSION_ASK;
}

/* On a worker; the event thread sleeps over this call, all of which is this thread's until then. */
static void ask(void *argument)
{
    struct http_call *call = argument;
    const struct http_app *app = call->server->app;
    call->session = app->session(call->cookie, call->deadline_ns, &call->identity, app->user);
    KOL_ASSERT(call->session != HTTP_SESSION_ASK);
    http_call_resume(call);
    http_call_let_go(call);
}

void http_session_ask(struct http_call *call)
{
    struct http_server *server = call->server;
    call->asking = true;
    http_call_hold(call);
    atomic_fetch_add(&server->working, 1);
    atomic_fetch_add(&server->sleeping, 1);
    MHD_suspend_connection(call->mhd);
    /* Behind `sleeping`: a stop that is not seen here waits for this connection to wake. */
    if (http_watch_open_for_calls(server->watch)) {
        if (pool_try_submit(server->pool, ask, call)) {
            return;
        }
        atomic_fetch_add_explicit(&server->refused_busy, 1, memory_order_relaxed);
    }
    call->session = HTTP_SESSION_BUSY;
    http_call_resume(call);
    http_call_let_go(call);
}

struct http_answer *http_session_refusal(struct http_call *call)
{
    const struct http_app *app = call->server->app;
    switch (call->session) {
    case HTTP_SESSION_NONE:
        return http_problem_answer(app, "session_over",
                                   STR("The cookie belongs to no session: it has ended, or its key "
                                       "is revoked or expired."),
                                   http_call_id(call), "WWW-Authenticate: ApiKey realm=\"api\"\n");
    case HTTP_SESSION_UNTOLD:
        return http_problem_answer(app, "session_untold",
                                   STR("What sessions are kept in does not answer."),
                                   http_call_id(call), "Retry-After: 1\n");
    case HTTP_SESSION_BUSY:
        return http_problem_answer(
            app, "busy", STR("The server is stopping, or as many calls as may wait are waiting."),
            http_call_id(call), "Retry-After: 1\n");
    default: return NULL;
    }
}

bool http_page_may_act(const struct http_call *call, bool same_origin, bool origin_named)
{
    const struct str site = call->known[HEADER_FETCH_SITE];
    const bool reads = call->match.route->method == HTTP_GET;
    if (!site.len) {
        return reads || same_origin || origin_named || !call->known[HEADER_ORIGIN].ptr;
    }
    if (str_is(site, "same-origin") || str_is(site, "none")) {
        return true;
    }
    return str_is(site, "same-site") && (reads || origin_named);
}

bool http_call_secure(const struct http_call *call)
{
    return call->server->tls || str_starts(http_header(call, "Origin"), STR("https://"));
}
