/*
 * head.c: everything that a request's head decides, in the order in which it is checked: its form,
 * its path, its key, its rate, its origin, its body's announcement, its parameters, its type.
 *
 * What is refused here is refused before a byte of the body is read. The first thing that is wrong
 * is told; nothing tells whether what comes later would have been right.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "http/call.h"

/* Decides the call now; returns false, so that a check ends in `return refuse(...)`. */
static bool refuse(struct http_call *call, const char *code, const char *headers,
                   const char *detail, ...) KOL_PRINTF(4, 5);
static bool refuse(struct http_call *call, const char *code, const char *headers,
                   const char *detail, ...)
{
    struct buf text = {0};
    va_list args;
    va_start(args, detail);
    buf_vprintf(&text, detail, args);
    va_end(args);
    call->early =
        http_problem_answer(call->server->app, code, buf_str(&text), http_call_id(call), headers);
    buf_free(&text);
    return false;
}

/* ---- header lines ---- */

#define STR_INIT(literal)                                                                          \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }
static const struct {
    struct str name;
    bool once; /* two of them are two requests' worth of trouble; else they are joined by commas */
} known_headers[HEADER_KNOWN] = {
    [HEADER_HOST] = {STR_INIT("Host"), true},
    [HEADER_API_KEY] = {STR_INIT("X-API-Key"), true},
    [HEADER_REQUEST_ID] = {STR_INIT("X-Request-Id"), true},
    [HEADER_ACCEPT] = {STR_INIT("Accept"), false},
    [HEADER_ACCEPT_ENCODING] = {STR_INIT("Accept-Encoding"), false},
    [HEADER_IF_NONE_MATCH] = {STR_INIT("If-None-Match"), false},
    [HEADER_ORIGIN] = {STR_INIT("Origin"), true},
    [HEADER_CONTENT_TYPE] = {STR_INIT("Content-Type"), true},
    [HEADER_CONTENT_ENCODING] = {STR_INIT("Content-Encoding"), true},
    [HEADER_CONTENT_LENGTH] = {STR_INIT("Content-Length"), true},
    [HEADER_TRANSFER_ENCODING] = {STR_INIT("Transfer-Encoding"), true},
    [HEADER_EXPECT] = {STR_INIT("Expect"), true},
    [HEADER_WANTED_METHOD] = {STR_INIT("Access-Control-Request-Method"), true},
    [HEADER_COOKIE] = {STR_INIT("Cookie"), true},
    [HEADER_FETCH_SITE] = {STR_INIT("Sec-Fetch-Site"), true},
};

struct gathering {
    struct http_call *call;
    const char *twice; /* a header that may be there once and is there again */
};

static enum MHD_Result gather_line(void *user, enum MHD_ValueKind kind, const char *name,
                                   size_t name_len, const char *value, size_t value_len)
{
    (void)kind;
    struct gathering *gathering = user;
    for (size_t i = 0; i < HEADER_KNOWN; i++) {
        if (known_headers[i].name.len != name_len ||
            strncasecmp(known_headers[i].name.ptr, name, name_len) != 0) {
            continue;
        }
        struct str *known = &gathering->call->known[i], given = {value ? value : "", value_len};
        if (!known->ptr) {
            *known = given;
        } else if (known_headers[i].once) {
            gathering->twice = known_headers[i].name.ptr;
        } else {
            struct buf both = {0};
            buf_printf(&both, "%.*s, %.*s", STR_FORMAT(*known), STR_FORMAT(given));
            *known = arena_copy(&gathering->call->arena, buf_str(&both));
            buf_free(&both);
        }
        break;
    }
    return MHD_YES;
}

static void take_request_id(struct http_call *call)
{
    struct str id = call->known[HEADER_REQUEST_ID];
    if (!id.len || id.len >= sizeof call->id) {
        return;
    }
    for (size_t i = 0; i < id.len; i++) {
        unsigned char c = (unsigned char)id.ptr[i];
        bool safe = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                    c == '-' || c == '_' || c == '.' || c == ':';
        if (!safe) {
            return;
        }
    }
    memcpy(call->id, id.ptr, id.len);
    call->id[id.len] = '\0';
    call->id_len = id.len;
}

static bool check_form(struct http_call *call)
{
    struct gathering gathering = {.call = call};
    MHD_get_connection_values_n(call->mhd, MHD_HEADER_KIND, gather_line, &gathering);
    take_request_id(call);
    const struct str *known = call->known;
    struct str transfer = known[HEADER_TRANSFER_ENCODING], length = known[HEADER_CONTENT_LENGTH];
    int64_t bytes = 0;
    bool chunked = str_is_nocase(transfer, "chunked");
    call->announced = transfer.ptr || (str_to_int64(length, &bytes) && bytes > 0);
    /* Whoever is unclear about where a request ends is not believed about where the next begins. */
    call->close = gathering.twice || (transfer.ptr && (length.ptr || !chunked));
    if (gathering.twice) {
        return refuse(call, "malformed_request", NULL, "There is more than one header %s.",
                      gathering.twice);
    }
    if (transfer.ptr && (length.ptr || !chunked)) {
        return refuse(call, "malformed_request", NULL,
                      length.ptr ? "Both Transfer-Encoding and Content-Length are given."
                                 : "The only Transfer-Encoding that is taken is chunked.");
    }
    if (!call->target.ptr) {
        return refuse(call, "uri_too_long", NULL, "The address has %zu bytes; %d are taken.",
                      call->target.len, call->server->options.uri_max);
    }
    return true;
}

/* The path and the query out of the target: "/path?query", or the same behind http://host. */
static bool split_target(struct http_call *call)
{
    struct str target = call->target;
    if (str_starts(target, STR("http://")) || str_starts(target, STR("https://"))) {
        const char *host = memchr(target.ptr, '/', target.len);
        host += 2;
        size_t left = target.len - (size_t)(host - target.ptr);
        const char *path = memchr(host, '/', left);
        target = path ? (struct str){path, target.len - (size_t)(path - target.ptr)} : STR("/");
    }
    if (!target.len || target.ptr[0] != '/') {
        return refuse(call, "malformed_request", NULL, "The address does not begin with a slash.");
    }
    call->path = str_cut(&target, '?');
    call->query = target;
    return true;
}

/* ---- path and method ---- */

/* "GET, HEAD, POST, OPTIONS" out of the methods that a path has. */
static void put_methods(unsigned allowed, struct buf *out)
{
    static const char *const names[HTTP_METHODS] = {"GET, HEAD", "POST", "PUT", "DELETE"};
    for (int i = 0; i < HTTP_METHODS; i++) {
        if (allowed & 1u << i) {
            buf_printf(out, "%s, ", names[i]);
        }
    }
    buf_puts(out, "OPTIONS");
}

static enum http_method method_of(struct http_call *call, const char *method)
{
    static const char *const names[HTTP_METHODS] = {"GET", "POST", "PUT", "DELETE"};
    call->head = strcmp(method, "HEAD") == 0;
    call->options = strcmp(method, "OPTIONS") == 0;
    for (int i = 0; i < HTTP_METHODS; i++) {
        if (strcmp(method, names[i]) == 0) {
            return (enum http_method)i;
        }
    }
    return call->head ? HTTP_GET : HTTP_METHODS;
}

static bool find_route(struct http_call *call, const char *method)
{
    enum http_method wanted = method_of(call, method);
    http_router_match(call->door->router, wanted == HTTP_METHODS ? HTTP_GET : wanted, call->path,
                      &call->match);
    if (wanted == HTTP_METHODS) {
        call->match.route = NULL;
    }
    if (call->match.route || (call->options && call->match.allowed)) {
        return true;
    }
    if (!call->match.allowed) {
        return refuse(call, "no_such_path", NULL, "Nothing is served under this path.");
    }
    struct buf allow = {0};
    buf_puts(&allow, "Allow: ");
    put_methods(call->match.allowed, &allow);
    refuse(call, "method_not_allowed", allow.ptr, "%s is not taken here; %s.", method, allow.ptr);
    buf_free(&allow);
    return false;
}

/* ---- origins ---- */

static bool origin_allowed(const struct http_server *server, struct str origin, bool by_name)
{
    struct str rest = str_of(server->cors);
    while (rest.len) {
        struct str one = str_trim(str_cut(&rest, ','));
        if (one.len && ((!by_name && str_is(one, "*")) || str_equal(one, origin))) {
            return true;
        }
    }
    return false;
}

/* The page came from this server itself: its Origin is a scheme and our Host. */
static bool same_origin(const struct http_call *call, struct str origin)
{
    struct str scheme = call->server->tls ? STR("https://") : STR("http://");
    struct str host = call->known[HEADER_HOST];
    return host.len && str_starts(origin, scheme) && origin.len == scheme.len + host.len &&
           strncasecmp(origin.ptr + scheme.len, host.ptr, host.len) == 0;
}

/* A page of a foreign origin may not change anything, whether or not its browser asked before. */
static bool check_origin(struct http_call *call)
{
    struct str origin = call->known[HEADER_ORIGIN];
    if (!origin.ptr) {
        return true;
    }
    if (origin_allowed(call->server, origin, false)) {
        call->allow_origin = str_is(str_trim(str_of(call->server->cors)), "*")
                                 ? "*"
                                 : arena_copy(&call->arena, origin).ptr;
        return true;
    }
    bool reads = call->match.route && call->match.route->method == HTTP_GET;
    bool asks = call->options && !call->known[HEADER_WANTED_METHOD].ptr;
    /* Behind a proxy that ends TLS the scheme differs: there the browser's own word counts. */
    bool own = same_origin(call, origin) || str_is(call->known[HEADER_FETCH_SITE], "same-origin");
    if (reads || asks || own) {
        return true;
    }
    return refuse(call, "origin_refused", NULL,
                  "Pages of this origin may not call this server; the option cors_origins names "
                  "those that may.");
}

/* What is done in the name of whoever is signed in, and signing in itself, is for pages of this
 * server, or of an origin that the operator trusts by name. */
static bool check_page(struct http_call *call)
{
    const struct http_route *route = call->match.route;
    const struct str origin = call->known[HEADER_ORIGIN];
    if (!route || call->options || !(call->by_cookie || route->same_origin) ||
        http_page_may_act(call, same_origin(call, origin),
                          origin_allowed(call->server, origin, true))) {
        return true;
    }
    return refuse(call, "cross_site", NULL,
                  "A page of another site may not ask this in the name of who is signed in here.");
}

/* OPTIONS, and what a browser asks before it lets a page call. */
static bool answer_options(struct http_call *call)
{
    struct buf headers = {0};
    buf_puts(&headers, "Allow: ");
    put_methods(call->match.allowed, &headers);
    buf_putc(&headers, '\n');
    if (call->allow_origin && call->known[HEADER_WANTED_METHOD].ptr) {
        buf_puts(&headers, "Access-Control-Allow-Methods: ");
        put_methods(call->match.allowed, &headers);
        buf_puts(&headers, "\nAccess-Control-Allow-Headers: Accept, Content-Type, "
                           "Content-Encoding, If-None-Match, Last-Event-ID, X-API-Key, "
                           "X-Request-Id\nAccess-Control-Max-Age: 600\n");
    }
    struct http_answer_options options = {.status = 204, .headers = headers.ptr};
    call->early = http_answer_new(&options, STR(""));
    buf_free(&headers);
    return false;
}

/* ---- who asks, and how often ---- */

/* Counts the call, or only looks whether it would be let through. Where that is so, or there is no
 * limit, true. */
static bool check_rate(struct http_call *call, bool take)
{
    const struct http_server_options *options = &call->server->options;
    const struct http_route *route = call->match.route;
    int64_t per_minute = options->rate_per_minute, burst = options->burst;
    if (call->identified && call->identity.rate_per_minute) {
        per_minute = call->identity.rate_per_minute;
        burst = call->identity.burst;
    }
    if (per_minute <= 0 || (route && route->unlimited)) {
        return true;
    }
    char address[HTTP_ADDRESS_ID] = {0};
    memcpy(address + 1, call->conn->address.bytes, sizeof call->conn->address.bytes);
    struct str id = call->identified ? http_caller(call) : (struct str){address, sizeof address};
    call->rate = (take ? http_rates_take : http_rates_look)(call->server->rates, id, per_minute,
                                                            burst, call->start_ns);
    if (!call->rate.retry_s) {
        return true;
    }
    char retry[48];
    snprintf(retry, sizeof retry, "Retry-After: %lld\n", (long long)call->rate.retry_s);
    return refuse(call, "too_many_requests", retry,
                  "At most %lld requests a minute are taken, %lld at once.", (long long)per_minute,
                  (long long)call->rate.limit);
}

static bool check_scopes(struct http_call *call)
{
    const struct http_app *app = call->server->app;
    http_scopes wanted = call->match.route ? call->match.route->scopes : 0;
    if (!wanted || !app->identify) {
        return true;
    }
    if (!call->identified) {
        return refuse(call, "key_required", "WWW-Authenticate: ApiKey realm=\"api\"\n",
                      "This path needs a key.");
    }
    if (call->identity.scopes & wanted) {
        return true;
    }
    struct buf names = {0};
    for (size_t i = 0; i < app->scope_count; i++) {
        if (wanted & (http_scopes)1 << i) {
            buf_printf(&names, "%s%s", names.len ? " or " : "", app->scopes[i]);
        }
    }
    refuse(call, "scope_missing", NULL, "This path needs a key with the scope %s.",
           names.len ? names.ptr : "that the operator gives");
    buf_free(&names);
    return false;
}

/* A key that is not valid is refused everywhere, and counts against its address, so that keys
 * cannot be tried out at will. */
static bool check_caller(struct http_call *call)
{
    const struct http_app *app = call->server->app;
    struct str key = call->known[HEADER_API_KEY];
    bool given = app->identify && key.ptr;
    call->identified =
        given ? app->identify(key, &call->identity, app->user) : call->session == HTTP_SESSION_HELD;
    if (!check_rate(call, true)) {
        return false;
    }
    if (given && !call->identified) {
        memset(&call->identity, 0, sizeof call->identity);
        return refuse(call, "key_invalid", "WWW-Authenticate: ApiKey realm=\"api\"\n",
                      "The key in X-API-Key is unknown, revoked or expired.");
    }
    if (call->by_cookie && !call->identified) {
        memset(&call->identity, 0, sizeof call->identity);
        call->early = http_session_refusal(call);
        return false;
    }
    return check_scopes(call);
}

/* ---- the body's announcement ---- */

static bool type_taken(const struct http_route *route, struct str type)
{
    type = str_trim(str_cut(&type, ';'));
    if (!route->body_types) {
        return (route->forms && str_is_nocase(type, HTTP_FORM_TYPE)) ||
               str_is_nocase(type, "application/json") ||
               (type.len > 5 && str_is_nocase((struct str){type.ptr + type.len - 5, 5}, "+json"));
    }
    struct str rest = str_of(route->body_types);
    while (rest.len) {
        struct str one = str_cut(&rest, ' ');
        if (one.len == type.len && strncasecmp(one.ptr, type.ptr, type.len) == 0) {
            return true;
        }
    }
    return false;
}

static bool check_coding(struct http_call *call)
{
    struct str coding = str_trim(call->known[HEADER_CONTENT_ENCODING]);
    if (!coding.len || str_is_nocase(coding, "identity")) {
        return true;
    }
    call->inflater = http_inflater_new(coding);
    return call->inflater ||
           refuse(call, "type_not_supported", "Accept-Encoding: gzip, zstd, br\n",
                  "The body may be coded by one of gzip, zstd and br, or not at all.");
}

static bool check_body(struct http_call *call)
{
    const struct http_route *route = call->match.route;
    const struct str *known = call->known;
    int64_t max = route->body_max ? route->body_max : call->server->options.body_max;
    call->body_limit = (size_t)max;
    int64_t length = 0;
    if (known[HEADER_CONTENT_LENGTH].ptr &&
        (!str_to_int64(known[HEADER_CONTENT_LENGTH], &length) || length > max)) {
        return refuse(call, "body_too_large", NULL,
                      "A body of at most %lld bytes, inflated, is taken here.", (long long)max);
    }
    if (!route->body && !route->body_types) {
        return true; /* what comes is thrown away, up to the limit */
    }
    if (route->body_optional && !call->announced) {
        return true;
    }
    if (!known[HEADER_CONTENT_LENGTH].ptr && !known[HEADER_TRANSFER_ENCODING].ptr) {
        return refuse(call, "length_required", NULL, "This path takes a body, and there is none.");
    }
    if (!type_taken(route, known[HEADER_CONTENT_TYPE])) {
        return refuse(call, "type_not_supported", NULL,
                      "The Content-Type of the body must be one of: %s.",
                      route->body_types ? route->body_types
                      : route->forms    ? "application/json " HTTP_FORM_TYPE
                                        : "application/json");
    }
    struct str type = known[HEADER_CONTENT_TYPE];
    call->form = route->forms && str_is_nocase(str_trim(str_cut(&type, ';')), HTTP_FORM_TYPE);
    call->collecting = true;
    return check_coding(call);
}

/* ---- parameters and the type of the answer ---- */

static bool check_parameters(struct http_call *call)
{
    struct buf detail = {0};
    bool fine = http_params_read(call->match.route, &call->match, call->query, &call->arena,
                                 &call->values, &detail);
    if (!fine) {
        refuse(call, "invalid_parameter", NULL, "%.*s", STR_FORMAT(buf_str(&detail)));
    }
    buf_free(&detail);
    return fine;
}

/* The type that a word of `format=` means: that whose subtype is the word, or ends in it behind one
 * of "-.+": "csv" text/csv, "ndjson" application/x-ndjson. */
static bool is_format(struct str type, struct str word)
{
    const char *slash = memchr(type.ptr, '/', type.len);
    if (!slash || !word.len || word.len >= type.len) {
        return false;
    }
    struct str tail = {type.ptr + type.len - word.len, word.len};
    return str_equal(tail, word) && strchr("/-.+", type.ptr[type.len - word.len - 1]);
}

/* The parameter `format` as it was given; empty where it was not, whatever its fallback. */
static struct str given_format(const struct http_call *call)
{
    const struct http_route *route = call->match.route;
    struct str rest = call->query;
    bool given = false;
    while (rest.len) {
        given |= str_starts(str_cut(&rest, '&'), STR("format="));
    }
    for (size_t i = 0; given && i < route->field_count; i++) {
        if (strcmp(route->fields[i].name, "format") == 0) {
            return http_text(call, i);
        }
    }
    return STR("");
}

static bool choose_type(struct http_call *call)
{
    const struct http_route *route = call->match.route;
    if (!route->types) {
        call->type = "application/json";
        call->key = call->values.key;
        return true;
    }
    struct buf types = {0};
    buf_printf(&types, "%s%s", route->answer ? "application/json " : "", route->types);
    struct str all = arena_copy(&call->arena, buf_str(&types)), rest = all;
    buf_free(&types);
    struct str first = str_cut(&rest, ' '), word = given_format(call);
    rest = all;
    while (word.len && rest.len && !call->type) {
        struct str type = str_cut(&rest, ' ');
        call->type = is_format(type, word) ? arena_copy(&call->arena, type).ptr : NULL;
    }
    if (!call->type && !call->known[HEADER_ACCEPT].len) {
        call->type = arena_copy(&call->arena, first).ptr;
    }
    if (!call->type) {
        call->type = http_accept_type(call->known[HEADER_ACCEPT], all.ptr, &call->arena);
    }
    if (!call->type) {
        return refuse(call, "not_acceptable", NULL, "The types to be had are: %s.", all.ptr);
    }
    struct buf key = {0};
    buf_printf(&key, "%.*s %s", STR_FORMAT(call->values.key), call->type);
    call->key = arena_copy(&call->arena, buf_str(&key));
    buf_free(&key);
    return true;
}

/* What follows once it is known who asks. `not_found` is held. */
static bool check_rest(struct http_call *call, bool found, struct http_answer *not_found)
{
    /* A path that is not there is counted too, and shown to none whose key is bad. */
    if (!check_caller(call) || (found && (!check_origin(call) || !check_page(call)))) {
        if (not_found) {
            http_answer_release(not_found);
        }
        return false;
    }
    if (!found) {
        call->early = not_found;
        return false;
    }
    if (call->options) {
        return answer_options(call);
    }
    return check_body(call) && check_parameters(call) && choose_type(call);
}

bool http_head_check(struct http_call *call, const char *method, const char *version, bool *ask)
{
    (void)version;
    *ask = false;
    if (!check_form(call) || !split_target(call)) {
        return false;
    }
    bool found = find_route(call, method);
    struct http_answer *not_found = call->early;
    call->early = NULL;
    if (!http_session_find(call)) {
        /* A route was found: it wants a scope. A look-up for nobody counts against his address
         * once it is made, and none is made for an address that has no call left. */
        *ask = check_rate(call, false);
        return *ask;
    }
    return check_rest(call, found, not_found);
}

bool http_head_go_on(struct http_call *call)
{
    return check_rest(call, true, NULL);
}

void http_head_count_gone(struct http_call *call)
{
    call->identified = call->session == HTTP_SESSION_HELD;
    (void)check_rate(call, true);
}
