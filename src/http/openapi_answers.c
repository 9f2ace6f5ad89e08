/*
 * openapi_answers.c: what a route can answer, for the document: its success by type, and each
 * status of an error with the problems behind it.
 *
 * What can occur follows from the row: a route with a body can be sent too much of one, a GET can
 * be asked conditionally, and so on. A status that a client meets and the document does not name is
 * a fault of this file.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "http/openapi.h"

enum { MOST_CODES = 64, FIRST_STATUS = 400, LAST_STATUS = 599 };

/* The problems of one route, each once. */
struct problems {
    const struct http_problem_kind *kinds[MOST_CODES];
    size_t count;
};

static const struct {
    const char *name, *type, *help;
} headers[] = {
    {"ETag", "string", "Names the bytes of the answer; send it as If-None-Match."},
    {"Cache-Control", "string", "How long the answer may be kept, and by whom."},
    {"Cache-Status", "string", "Which cache answered (RFC 9211)."},
    {"Vary", "string", "Which headers of the request the answer depends on."},
    {"X-Request-Id", "string", "Names the request in the server's log."},
    {"Retry-After", "integer", "Seconds to wait before the next try."},
    {"RateLimit-Limit", "integer", "Requests that the limit allows in its window."},
    {"RateLimit-Remaining", "integer", "Requests that are left in it."},
    {"RateLimit-Reset", "integer", "Seconds until the limit is whole again."},
    {"WWW-Authenticate", "string", "How to identify: by X-API-Key."},
};

json_t *openapi_headers(void)
{
    json_t *all = json_object();
    for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
        json_object_set_new(all, headers[i].name,
                            json_pack("{s:s,s:{s:s}}", "description", headers[i].help, "schema",
                                      "type", headers[i].type));
    }
    return all;
}

json_t *openapi_problem_schema(void)
{
    static const struct {
        const char *name, *help;
    } texts[] = {
        {"type", "Where this kind of error is explained."},
        {"title", "The kind of error, for a person."},
        {"detail", "What is wrong this time."},
        {"code", "The kind of error, for a program; stable."},
        {"what_to_do", "What helps."},
        {"instance", "The id of the request, as in X-Request-Id."},
    };
    json_t *properties = json_object(), *required = json_array();
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        json_object_set_new(properties, texts[i].name,
                            json_pack("{s:s,s:s}", "type", "string", "description", texts[i].help));
        json_array_append_new(required, json_string(texts[i].name));
    }
    json_object_set_new(properties, "status",
                        json_pack("{s:s,s:i,s:i,s:s}", "type", "integer", "minimum", FIRST_STATUS,
                                  "maximum", LAST_STATUS, "description", "The HTTP status."));
    json_array_append_new(required, json_string("status"));
    return json_pack("{s:s,s:s,s:o,s:o}", "type", "object", "description",
                     "Problem details (RFC 9457).", "properties", properties, "required", required);
}

/* ---- which problems ---- */

static void add(struct problems *problems, const struct http_app *app, const char *code)
{
    const struct http_problem_kind *kind = http_problem_find(app, code);
    KOL_ASSERT(kind && problems->count < MOST_CODES); /* by check.c */
    for (size_t i = 0; i < problems->count; i++) {
        if (problems->kinds[i] == kind) {
            return;
        }
    }
    problems->kinds[problems->count++] = kind;
}

static void add_all(struct problems *problems, const struct http_app *app, const char *codes)
{
    struct str rest = str_of(codes), word;
    while (http_next_word(&rest, &word)) {
        char code[64];
        snprintf(code, sizeof code, "%.*s", STR_FORMAT(word));
        add(problems, app, code);
    }
}

static bool has_path_field(const struct http_route *route)
{
    return strchr(route->path, '{') != NULL;
}

/* A query that names what the route does not know is refused on every route: 422 always. */
static void derive(const struct http_app *app, const struct http_route *route, struct problems *out)
{
    add_all(out, app, "malformed_request invalid_parameter uri_too_long head_too_large internal");
    if (app->identify) {
        add_all(out, app, route->scopes ? "key_required key_invalid scope_missing" : "key_invalid");
    }
    if (app->cookie && route->scopes) {
        add_all(out, app, "session_over session_untold cross_site busy");
    }
    add_all(out, app, route->same_origin ? "origin_refused cross_site" : "");
    add_all(out, app, has_path_field(route) ? "not_found" : "");
    add_all(out, app, route->types ? "not_acceptable" : "");
    if (route->body || route->body_types) {
        add_all(out, app, "body_slow length_required body_too_large type_not_supported");
    }
    add_all(out, app, route->body ? "invalid_json invalid_body" : "");
    add_all(out, app, route->unlimited ? "" : "too_many_requests");
    add_all(out, app, route->in_place ? "" : "busy timeout");
    add_all(out, app, "not_ready"); /* also what a server says that is about to stop */
    add_all(out, app, route->problems);
}

/* ---- errors ---- */

static void put_header(json_t *response, const char *name)
{
    json_t *all = json_object_get(response, "headers");
    if (!all) {
        all = json_object();
        json_object_set_new(response, "headers", all);
    }
    json_object_set_new(all, name, openapi_ref("headers", name));
}

static void put_limits(json_t *response)
{
    put_header(response, "RateLimit-Limit");
    put_header(response, "RateLimit-Remaining");
    put_header(response, "RateLimit-Reset");
}

static json_t *example_of(const struct http_problem_kind *kind)
{
    struct buf text = {0};
    http_problem_put(kind, str_of(kind->title), STR("01JQ7ZC5T3"), (struct str){0}, &text);
    json_t *value = json_loadb(text.ptr, text.len, 0, NULL);
    buf_free(&text);
    return json_pack("{s:s,s:o}", "summary", kind->title, "value", value);
}

static json_t *error_response(int status, const struct problems *problems)
{
    json_t *response = json_object(), *examples = json_object();
    struct buf help = {0};
    for (size_t i = 0; i < problems->count; i++) {
        const struct http_problem_kind *kind = problems->kinds[i];
        if (kind->status == status) {
            buf_printf(&help, "%s`%s`: %s. %s", help.len ? "\n\n" : "", kind->code, kind->title,
                       kind->what_to_do);
            json_object_set_new(examples, kind->code, example_of(kind));
        }
    }
    openapi_text(response, "description", help.ptr);
    buf_free(&help);
    put_header(response, "X-Request-Id");
    if (status == 401) {
        put_header(response, "WWW-Authenticate");
    }
    if (status == 429 || status == 503) {
        put_header(response, "Retry-After");
    }
    if (status == 429) {
        put_limits(response);
    }
    json_object_set_new(response, "content",
                        json_pack("{s:{s:o,s:o}}", "application/problem+json", "schema",
                                  openapi_ref("schemas", "Problem"), "examples", examples));
    return response;
}

/* Routes share most of their errors: each set of problems is written once, under a name made of its
 * codes. */
static json_t *error_ref(int status, const struct problems *problems, json_t *components)
{
    json_t *shared = json_object_get(components, "responses");
    struct buf name = {0};
    for (size_t i = 0; i < problems->count; i++) {
        if (problems->kinds[i]->status == status) {
            buf_printf(&name, "%s%s", name.len ? "." : "", problems->kinds[i]->code);
        }
    }
    if (!json_object_get(shared, name.ptr)) {
        json_object_set_new(shared, name.ptr, error_response(status, problems));
    }
    json_t *ref = openapi_ref("responses", name.ptr);
    buf_free(&name);
    return ref;
}

/* ---- success ---- */

static bool is_cached(const struct http_route *route)
{
    const struct http_policy *policy = &route->policy;
    return policy->fresh || policy->stale || policy->error || policy->missing;
}

static json_t *content_of(const struct http_route *route)
{
    json_t *content = json_object();
    if (route->answer) {
        json_object_set_new(content, "application/json",
                            json_pack("{s:o}", "schema", openapi_ref("schemas", route->answer)));
    }
    struct str rest = str_of(route->types), type;
    while (http_next_word(&rest, &type)) {
        bool text = str_starts(type, STR("text/"));
        if (!json_object_getn(content, type.ptr, type.len)) {
            json_object_setn_new(content, type.ptr, type.len,
                                 text ? json_pack("{s:{s:s}}", "schema", "type", "string")
                                      : json_object());
        }
    }
    return content;
}

static void put_headers(json_t *response, const struct http_route *route)
{
    put_header(response, "X-Request-Id");
    put_header(response, "Cache-Control");
    put_header(response, "Vary");
    if (route->method == HTTP_GET) {
        put_header(response, "ETag");
    }
    if (is_cached(route)) {
        put_header(response, "Cache-Status");
    }
    if (!route->unlimited) {
        put_limits(response);
    }
}

static void put_success(json_t *responses, const struct http_route *route)
{
    char status[8];
    snprintf(status, sizeof status, "%d", route->status ? route->status : 200);
    json_t *response = json_object();
    openapi_text(response, "description", route->summary);
    put_headers(response, route);
    if (route->answer || route->types) {
        json_object_set_new(response, "content", content_of(route));
    }
    json_object_set_new(responses, status, response);
    if (route->method == HTTP_GET) {
        json_t *same = json_pack("{s:s}", "description", "What If-None-Match names is current.");
        put_headers(same, route);
        json_object_set_new(responses, "304", same);
    }
}

json_t *openapi_responses(const struct http_app *app, const struct http_route *route,
                          json_t *components)
{
    json_t *responses = json_object();
    struct problems problems = {0};
    derive(app, route, &problems);
    put_success(responses, route);
    for (int status = FIRST_STATUS; status <= LAST_STATUS; status++) {
        bool occurs = false;
        for (size_t i = 0; i < problems.count; i++) {
            occurs = occurs || problems.kinds[i]->status == status;
        }
        if (occurs) {
            char text[8];
            snprintf(text, sizeof text, "%d", status);
            json_object_set_new(responses, text, error_ref(status, &problems, components));
        }
    }
    return responses;
}
