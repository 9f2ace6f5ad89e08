/* docs_api.c: the page on the REST API, and the problems that it answers with. */
#include <string.h>

#include "api/api.h"
#include "base/mem.h"
#include "cmd/docs.h"

static const char *const method_names[HTTP_METHODS] = {"GET", "POST", "PUT", "DELETE"};

static const char *const kind_names[] = {
    [HTTP_TEXT] = "text",          [HTTP_INT] = "whole number",     [HTTP_REAL] = "number",
    [HTTP_BOOL] = "true or false", [HTTP_CHOICE] = "one of",        [HTTP_WORDS] = "list of words",
    [HTTP_DATE] = "date",          [HTTP_TIME] = "time (RFC 3339)", [HTTP_OBJECT] = "object",
    [HTTP_LIST] = "list",          [HTTP_ANY] = "any JSON value",
};

/* ---- problems ---- */

/* An anchor a row: `type` of a problem leads there. */
static void put_kinds(struct buf *out, const struct http_problem_kind *kinds, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        buf_printf(out, "| <a id=\"%s\"></a>`%s` | %d | ", kinds[i].code, kinds[i].code,
                   kinds[i].status);
        docs_put_cell(out, kinds[i].title);
        buf_puts(out, " | ");
        docs_put_cell(out, kinds[i].what_to_do);
        buf_puts(out, " |\n");
    }
}

void docs_put_problems(struct buf *out)
{
    const struct http_app *app = api_app(NULL);
    buf_puts(
        out,
        "\n## Problems of the API\n\n"
        "An error of the REST API is a JSON object of the type `application/problem+json` "
        "(RFC 9457): `code` tells the kind of error and never changes, `detail` what is wrong "
        "this time, `instance` is the id of the request, which also stands in the log. What is no "
        "HTTP, or larger than the memory for a connection, never reaches the program: the HTTP "
        "library closes the connection or answers by itself (400, 413, 414, 431), without such an "
        "object.\n\n"
        "| code | status | what it is | what to do |\n|---|---|---|---|\n");
    put_kinds(out, http_problem_kinds, http_problem_kind_count);
    put_kinds(out, app->problems, app->problem_count);
}

/* ---- what a value may be ---- */

/* "one of: a, b" or "whole number, 1 to 100". */
void docs_put_value(struct buf *out, const struct http_field *field, const char *page)
{
    buf_puts(out, kind_names[field->kind]);
    if (field->schema) {
        buf_printf(out, " of [%s](%s#%s)", field->schema, page, field->schema);
    }
    if (field->choices) {
        buf_puts(out, field->kind == HTTP_WORDS ? " out of:" : ":");
        struct str rest = str_of(field->choices);
        for (bool first = true; rest.len; first = false) {
            struct str word = str_cut(&rest, ' ');
            buf_printf(out, "%s `%.*s`", first ? "" : ",", STR_FORMAT(word));
        }
    }
    if (field->min != 0 || field->max != 0) {
        static const char *const units[] = {[HTTP_TEXT] = " characters",
                                            [HTTP_WORDS] = " of them",
                                            [HTTP_LIST] = " of them",
                                            [HTTP_ANY] = NULL};
        const char *unit = units[field->kind];
        buf_puts(out, ", ");
        buf_put_double(out, field->min);
        buf_puts(out, " to ");
        buf_put_double(out, field->max);
        buf_puts(out, unit ? unit : "");
    }
}

/* ---- routes ---- */

static bool in_path(const struct http_route *route, const struct http_field *field)
{
    char name[80];
    snprintf(name, sizeof name, "{%s}", field->name);
    return strstr(route->path, name) != NULL;
}

static void put_parameters(struct buf *out, const struct http_route *route)
{
    if (route->field_count) {
        buf_puts(out, "| parameter | where | value | default | meaning |\n|---|---|---|---|---|\n");
    }
    for (size_t i = 0; i < route->field_count; i++) {
        const struct http_field *field = &route->fields[i];
        bool path = in_path(route, field);
        buf_printf(out, "| `%s`%s | %s | ", field->name, path || field->required ? "" : " ?",
                   path ? "path" : "query");
        docs_put_value(out, field, "");
        buf_puts(out, " | ");
        docs_put_cell(out, field->fallback);
        buf_puts(out, " | ");
        docs_put_cell(out, field->help);
        buf_puts(out, " |\n");
    }
    buf_puts(out, route->field_count ? "\n" : "");
}

static void put_words(struct buf *out, const char *before, const char *words, const char *link)
{
    struct str rest = str_of(words);
    if (rest.len) {
        buf_puts(out, before);
    }
    for (bool first = true; rest.len; first = false) {
        struct str word = str_cut(&rest, ' ');
        buf_printf(out, link ? "%s[`%.*s`](%s#%.*s)" : "%s`%.*s`", first ? "" : ", ",
                   STR_FORMAT(word), link ? link : "", STR_FORMAT(word));
    }
}

static void put_body(struct buf *out, const struct http_route *route)
{
    if (route->body) {
        buf_printf(out, "Body: [%s](#%s) as JSON%s%s. ", route->body, route->body,
                   route->forms ? " or as a form post" : "",
                   route->body_optional ? ", or none" : "");
    }
    if (route->body_types) {
        put_words(out, "Body: one of ", route->body_types, NULL);
        buf_puts(out, ". ");
    }
}

static void put_answer(struct buf *out, const struct http_route *route)
{
    buf_printf(out, "Answer: %d", route->status ? route->status : 200);
    if (route->answer) {
        buf_printf(out, ", [%s](#%s)", route->answer, route->answer);
    }
    put_words(out, route->answer ? ", or as " : ", ", route->types, NULL);
    buf_puts(out, ". ");
}

static void put_scopes(struct buf *out, const struct http_app *app, const struct http_route *route)
{
    const char *before = "Key with the scope ";
    for (size_t i = 0; i < app->scope_count; i++) {
        if (route->scopes >> i & 1) {
            buf_printf(out, "%s`%s`", before, app->scopes[i]);
            before = " or ";
        }
    }
    buf_puts(out, route->scopes ? ". " : "Open to all. ");
}

static void put_policy(struct buf *out, const struct http_policy *policy)
{
    if (!policy->fresh && !policy->stale && !policy->error) {
        buf_puts(out, "Not kept by caches.");
        return;
    }
    buf_printf(out, "Kept for %d s", policy->fresh);
    if (policy->stale) {
        buf_printf(out, ", shown for %d s more while it is made anew", policy->stale);
    }
    if (policy->error) {
        buf_printf(out, ", for %d s if it cannot be", policy->error);
    }
    buf_puts(out, ".");
}

static void put_example(struct buf *out, const struct http_route *route)
{
    if (route->example && route->method == HTTP_GET) {
        buf_printf(out, "\n\n```sh\ncurl 'http://127.0.0.1:8000%s'\n```", route->example);
    }
}

static void put_route(struct buf *out, const struct http_app *app, const struct http_route *route)
{
    buf_printf(out, "### %s %s\n\n%s%s.", method_names[route->method], route->path,
               route->deprecated ? "**Deprecated.** " : "", route->summary);
    if (*route->details) {
        buf_printf(out, " %s", route->details);
    }
    buf_puts(out, "\n\n");
    put_parameters(out, route);
    put_body(out, route);
    put_answer(out, route);
    put_scopes(out, app, route);
    put_policy(out, &route->policy);
    put_words(out, " Problems of its own: ", route->problems, "errors.md");
    buf_puts(out, route->problems && *route->problems ? "." : "");
    put_example(out, route);
    buf_puts(out, "\n\n");
}

/* The tags in the order in which rows bring them; false once there are no more. */
static bool next_tag(const struct http_app *app, size_t *at)
{
    for (; *at < app->route_count; ++*at) {
        bool seen = false;
        for (size_t i = 0; i < *at && !seen; i++) {
            seen = strcmp(app->routes[i].tag, app->routes[*at].tag) == 0;
        }
        if (!seen) {
            return true;
        }
    }
    return false;
}

static void put_overview(struct buf *out, const struct http_app *app)
{
    buf_puts(out, "| route | what it gives |\n|---|---|\n");
    for (size_t tag = 0; next_tag(app, &tag); tag++) {
        for (size_t i = 0; i < app->route_count; i++) {
            const struct http_route *route = &app->routes[i];
            if (strcmp(route->tag, app->routes[tag].tag) == 0) {
                buf_printf(out, "| `%s %s` | ", method_names[route->method], route->path);
                docs_put_cell(out, route->summary);
                buf_puts(out, route->deprecated ? " (deprecated) |\n" : " |\n");
            }
        }
    }
    buf_putc(out, '\n');
}

static void put_routes(struct buf *out, const struct http_app *app)
{
    for (size_t tag = 0; next_tag(app, &tag); tag++) {
        buf_printf(out, "## Routes: %s\n\n", app->routes[tag].tag);
        for (size_t i = 0; i < app->route_count; i++) {
            if (strcmp(app->routes[i].tag, app->routes[tag].tag) == 0) {
                put_route(out, app, &app->routes[i]);
            }
        }
    }
}

/* ---- schemas ---- */

static void put_member(struct buf *out, const struct http_field *field)
{
    buf_printf(out, "| `%s`%s | ", field->name, field->required ? "" : " ?");
    docs_put_value(out, field, "");
    buf_puts(out, field->nullable ? ", or null | " : " | ");
    docs_put_cell(out, field->help);
    buf_puts(out, " |\n");
}

static void put_schemas(struct buf *out, const struct http_app *app)
{
    buf_puts(out, "## Objects\n\nA `?` behind a member means that it may be left out.\n\n");
    for (size_t i = 0; i < app->schema_count; i++) {
        const struct http_schema *schema = &app->schemas[i];
        buf_printf(out, "### %s\n\n%s.%s\n\n", schema->name, schema->help,
                   schema->open ? " More members may follow." : "");
        buf_puts(out, schema->field_count ? "| member | value | meaning |\n|---|---|---|\n" : "");
        for (size_t j = 0; j < schema->field_count; j++) {
            put_member(out, &schema->fields[j]);
        }
        buf_puts(out, schema->field_count ? "\n" : "");
    }
}

enum kol_status docs_api(struct buf *out, const struct invocation *call, struct kol_error *err)
{
    (void)call, (void)err;
    const struct http_app *app = api_app(NULL);
    buf_puts(
        out,
        "# REST API\n\n"
        "`kol serve` answers on http://127.0.0.1:8000, in JSON and UTF-8. The same tables as this "
        "page make `/openapi.json` (OpenAPI 3.1) and `/docs`, where every route can be tried.\n\n"
        "A parameter that a route does not know, that is given twice or that is out of bounds is "
        "refused with 422, and the answer names it. Where a key is asked for, it is sent in the "
        "header `X-API-Key`. Errors are explained in [errors.md](errors.md).\n\n"
        "Every answer has `X-Request-Id`; a GET also `ETag`: sent back as `If-None-Match`, it "
        "saves the bytes of an answer that has not changed (304). `Cache-Control` says how long an "
        "answer may be kept, `Cache-Status` which cache it came from. A `?` behind a parameter "
        "means that it may be left out.\n\n");
    put_overview(out, app);
    put_routes(out, app);
    put_schemas(out, app);
    out->len--; /* one empty line at the end is enough */
    out->ptr[out->len] = '\0';
    return KOL_OK;
}
