/*
 * check.c: the tables against themselves, before the server listens.
 *
 * A route that no path can reach, a schema that nobody knows, a fallback that its own bounds
 * refuse: each would be found by a client, later. So the start fails and names the row. What is
 * checked here is relied on everywhere else in the room.
 */
#include <jansson.h>
#include <string.h>

#include "base/mem.h"
#include "http/parts.h"

static const char *const method_names[HTTP_METHODS] = {"GET", "POST", "PUT", "DELETE"};

/* ---- fields ---- */

/* The kinds that a query or a path can carry. */
static bool is_parameter_kind(enum http_kind kind)
{
    return kind != HTTP_OBJECT && kind != HTTP_LIST && kind != HTTP_ANY;
}

static enum kol_status check_choices(const struct http_field *field, struct kol_error *err)
{
    struct str rest = str_of(field->choices), word;
    bool any = false;
    while (http_next_word(&rest, &word)) {
        any = true;
        if (memchr(word.ptr, ',', word.len)) {
            return kol_fail(err, KOL_INVALID, "`%s`: a choice has a comma in it", field->name);
        }
    }
    if (!any && (field->kind == HTTP_CHOICE || field->choices)) {
        return kol_fail(err, KOL_INVALID, "`%s` has no choices", field->name);
    }
    return KOL_OK;
}

/* Bounds count letters, elements or words where they do not bound the value: none is below 0. */
static enum kol_status check_bounds(const struct http_field *field, struct kol_error *err)
{
    bool counts = field->kind != HTTP_INT && field->kind != HTTP_REAL;
    if (!(field->min <= field->max) || (counts && field->min < 0)) {
        return kol_fail(err, KOL_INVALID, "`%s`: its bounds leave no value", field->name);
    }
    return KOL_OK;
}

static enum kol_status check_field(const struct http_field *field, struct kol_error *err)
{
    if (!field->name || !*field->name || !field->help || !*field->help) {
        return kol_fail(err, KOL_INVALID, "a field has no name, or `%s` no help",
                        field->name ? field->name : "");
    }
    if ((unsigned)field->kind > HTTP_ANY) {
        return kol_fail(err, KOL_INVALID, "`%s` is of no kind", field->name);
    }
    enum kol_status status = check_bounds(field, err);
    return status == KOL_OK ? check_choices(field, err) : status;
}

static enum kol_status check_twice(const struct http_field *fields, size_t count,
                                   struct kol_error *err)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < i; j++) {
            if (strcmp(fields[i].name, fields[j].name) == 0) {
                return kol_fail(err, KOL_INVALID, "it has two fields `%s`", fields[i].name);
            }
        }
    }
    return KOL_OK;
}

/* A fallback or an example must be a value that a request could bring. */
static enum kol_status check_text(const struct http_field *field, const char *text,
                                  const char *what, struct kol_error *err)
{
    struct http_value value;
    if (text && !http_value_read(field, str_of(text), &value)) {
        struct buf wanted = {0};
        http_put_wanted(field, &wanted);
        kol_fail(err, KOL_INVALID, "`%s`: its %s '%s' is not %s", field->name, what, text,
                 wanted.ptr);
        buf_free(&wanted);
        return KOL_INVALID;
    }
    return KOL_OK;
}

static enum kol_status check_parameter(const struct http_route *route,
                                       const struct http_field *field, struct kol_error *err)
{
    enum kol_status status = check_field(field, err);
    if (status != KOL_OK) {
        return status;
    }
    if (!is_parameter_kind(field->kind)) {
        return kol_fail(err, KOL_INVALID, "`%s`: no parameter is an object or a list of them",
                        field->name);
    }
    if (field->kind == HTTP_WORDS && field->max > HTTP_WORDS_MAX) {
        return kol_fail(err, KOL_INVALID, "`%s` takes more than %d words", field->name,
                        HTTP_WORDS_MAX);
    }
    if (field->fallback && (field->required || http_is_path_field(route, field))) {
        return kol_fail(err, KOL_INVALID, "`%s` is always given: its fallback is never used",
                        field->name);
    }
    status = check_text(field, field->fallback, "fallback", err);
    return status == KOL_OK ? check_text(field, field->example, "example", err) : status;
}

/* ---- schemas ---- */

static enum kol_status check_member(const struct http_app *app, const struct http_field *field,
                                    struct kol_error *err)
{
    enum kol_status status = check_field(field, err);
    if (status != KOL_OK) {
        return status;
    }
    bool has_parts = field->kind == HTTP_OBJECT || field->kind == HTTP_LIST;
    if (field->schema && (!has_parts || !http_schema_find(app, field->schema))) {
        return kol_fail(err, KOL_INVALID, "`%s` is of the schema '%s', which nobody knows",
                        field->name, field->schema);
    }
    if (is_parameter_kind(field->kind)) {
        return check_text(field, field->example, "example", err);
    }
    json_t *example =
        field->example ? json_loads(field->example, JSON_DECODE_ANY, NULL) : json_null();
    if (!example) {
        return kol_fail(err, KOL_INVALID, "`%s`: its example is no JSON", field->name);
    }
    json_decref(example);
    return KOL_OK;
}

static enum kol_status check_schema(const struct http_app *app, size_t which, struct kol_error *err)
{
    const struct http_schema *schema = &app->schemas[which];
    if (http_schema_find(app, schema->name) != schema || strcmp(schema->name, "Problem") == 0) {
        return kol_fail(err, KOL_INVALID, "there is another schema of this name");
    }
    if (schema->field_count > HTTP_MAX_MEMBERS) {
        return kol_fail(err, KOL_INVALID, "it has more than %d members", HTTP_MAX_MEMBERS);
    }
    for (size_t i = 0; i < schema->field_count; i++) {
        enum kol_status status = check_member(app, &schema->fields[i], err);
        if (status != KOL_OK) {
            return status;
        }
    }
    return check_twice(schema->fields, schema->field_count, err);
}

static enum kol_status check_known(const struct http_app *app, const char *schema,
                                   struct kol_error *err)
{
    if (schema && !http_schema_find(app, schema)) {
        return kol_fail(err, KOL_INVALID, "it names the schema '%s', which nobody knows", schema);
    }
    return KOL_OK;
}

/* ---- problems ---- */

static bool is_word(const char *text)
{
    return text && *text && text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_")] == '\0';
}

static enum kol_status check_problem(const struct http_app *app,
                                     const struct http_problem_kind *kind, struct kol_error *err)
{
    if (!is_word(kind->code) || !kind->title || !kind->what_to_do) {
        return kol_fail(err, KOL_INVALID, "its code, title or advice is missing");
    }
    if (http_problem_find(app, kind->code) != kind) {
        return kol_fail(err, KOL_INVALID, "there is another problem of this code");
    }
    if (kind->status < 400 || kind->status > 599) {
        return kol_fail(err, KOL_INVALID, "%d is no status of an error", kind->status);
    }
    return KOL_OK;
}

/* ---- routes ---- */

static bool is_path_literal(struct str segment)
{
    for (size_t i = 0; i < segment.len; i++) {
        char c = segment.ptr[i];
        if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~", c)) {
            return false;
        }
    }
    return segment.len && !str_is(segment, ".") && !str_is(segment, "..");
}

static bool has_field(const struct http_route *route, struct str name)
{
    for (size_t i = 0; i < route->field_count; i++) {
        if (str_is(name, route->fields[i].name)) {
            return true;
        }
    }
    return false;
}

static enum kol_status check_segment(const struct http_route *route, struct str segment,
                                     struct kol_error *err)
{
    if (segment.len < 3 || segment.ptr[0] != '{' || segment.ptr[segment.len - 1] != '}') {
        return is_path_literal(segment)
                   ? KOL_OK
                   : kol_fail(err, KOL_INVALID, "its path has the segment '%.*s'",
                              STR_FORMAT(segment));
    }
    struct str name = {segment.ptr + 1, segment.len - 2};
    if (!is_path_literal(name) || !has_field(route, name)) {
        return kol_fail(err, KOL_INVALID, "its path names {%.*s}, which no field has",
                        STR_FORMAT(name));
    }
    const char *again = strchr(segment.ptr + segment.len, '{');
    for (; again; again = strchr(again + 1, '{')) {
        if (strncmp(again, segment.ptr, segment.len) == 0) {
            return kol_fail(err, KOL_INVALID, "its path names {%.*s} twice", STR_FORMAT(name));
        }
    }
    return KOL_OK;
}

static enum kol_status check_path(const struct http_route *route, struct kol_error *err)
{
    if (!route->path || route->path[0] != '/') {
        return kol_fail(err, KOL_INVALID, "its path does not begin with a slash");
    }
    struct str rest = str_of(route->path + 1);
    size_t segments = 0;
    for (bool more = rest.len > 0; more; more = rest.ptr != NULL) {
        enum kol_status status = check_segment(route, str_cut(&rest, '/'), err);
        if (status != KOL_OK) {
            return status;
        }
        segments++;
    }
    if (segments > HTTP_MAX_SEGMENTS) {
        return kol_fail(err, KOL_INVALID, "its path has more than %d segments", HTTP_MAX_SEGMENTS);
    }
    return KOL_OK;
}

/* Whether two paths are the same but for the names of their parameters. */
static bool same_shape(const char *a, const char *b)
{
    struct str left = str_of(a), right = str_of(b);
    while (left.ptr && right.ptr) {
        struct str x = str_cut(&left, '/'), y = str_cut(&right, '/');
        bool both = x.len && y.len && x.ptr[0] == '{' && y.ptr[0] == '{';
        if (!both && !str_equal(x, y)) {
            return false;
        }
    }
    return !left.ptr && !right.ptr;
}

static enum kol_status check_reach(const struct http_app *app, size_t which, struct kol_error *err)
{
    const struct http_route *route = &app->routes[which];
    for (size_t i = 0; i < which; i++) {
        const struct http_route *other = &app->routes[i];
        if (strcmp(other->name, route->name) == 0) {
            return kol_fail(err, KOL_INVALID, "there is another route of this name, %s",
                            other->path);
        }
        if (!same_shape(other->path, route->path)) {
            continue;
        }
        if (other->method == route->method) {
            return kol_fail(err, KOL_INVALID, "no path reaches it: '%s' (%s) hides it", other->name,
                            other->path);
        }
        if (strcmp(other->path, route->path) != 0) {
            return kol_fail(err, KOL_INVALID, "'%s' calls the same path %s", other->name,
                            other->path);
        }
    }
    return KOL_OK;
}

/* Which row answers instead, for a route whose every path is another's. */
static enum kol_status check_hidden(const struct http_app *app, size_t which, struct kol_error *err)
{
    if (!http_route_hidden(app->routes, app->route_count, which)) {
        return KOL_OK;
    }
    const struct http_route *route = &app->routes[which];
    struct buf others = {0};
    for (size_t i = 0; i < app->route_count; i++) {
        /* Without the other row, is it found? Several may hide it together: then all are named. */
        const struct http_route *other = &app->routes[i];
        size_t shared = strcspn(route->path, "{");
        if (i != which && strncmp(other->path, route->path, shared) == 0 &&
            !strchr(other->path + shared, '{')) {
            buf_printf(&others, "%s'%s'", others.len ? ", " : "", other->name);
        }
    }
    kol_fail(err, KOL_INVALID, "no path reaches it: every value of its parameters is hidden by %s",
             others.len ? others.ptr : "other rows");
    buf_free(&others);
    return KOL_INVALID;
}

static enum kol_status check_words(const struct http_app *app, const struct http_route *route,
                                   struct kol_error *err)
{
    struct str rest = str_of(route->problems), word;
    while (http_next_word(&rest, &word)) {
        char code[64];
        snprintf(code, sizeof code, "%.*s", STR_FORMAT(word));
        if (!http_problem_find(app, code)) {
            return kol_fail(err, KOL_INVALID, "it names the problem '%s', which nobody knows",
                            code);
        }
    }
    rest = str_of(route->types);
    while (http_next_word(&rest, &word)) {
        if (!memchr(word.ptr, '/', word.len)) {
            return kol_fail(err, KOL_INVALID, "'%.*s' is no content type", STR_FORMAT(word));
        }
    }
    return KOL_OK;
}

static enum kol_status check_answer(const struct http_app *app, const struct http_route *route,
                                    struct kol_error *err)
{
    bool reads = route->body || route->body_types;
    if (route->method == HTTP_GET && reads) {
        return kol_fail(err, KOL_INVALID, "a GET has no body");
    }
    if ((route->forms || route->body_optional) && (!route->body || route->body_types)) {
        return kol_fail(err, KOL_INVALID,
                        "a form or a body that may be missing is one of a schema");
    }
    if (route->status && (route->status < 200 || route->status > 399)) {
        return kol_fail(err, KOL_INVALID, "%d is no status of success", route->status);
    }
    if (!route->answer && !route->types && route->status != 204 && route->status < 300) {
        return kol_fail(err, KOL_INVALID,
                        "it says neither what its answer is (answer, types) nor "
                        "that it has none (status 204)");
    }
    if (app->scope_count < 32 && route->scopes >> app->scope_count) {
        return kol_fail(err, KOL_INVALID, "it asks for a scope that has no name");
    }
    enum kol_status status = check_known(app, route->body, err);
    return status == KOL_OK ? check_known(app, route->answer, err) : status;
}

/* The example must be a request that this route takes. */
static enum kol_status check_example(const struct http_app *app, const struct http_route *route,
                                     struct kol_error *err)
{
    if (!route->example) {
        return KOL_OK;
    }
    struct str query = str_of(route->example), path = str_cut(&query, '?');
    struct http_router *router =
        http_router_new(app->routes, app->route_count, !route->operations, route->operations);
    struct http_match match;
    struct http_values values;
    struct arena arena;
    struct buf detail = {0};
    arena_init(&arena, 4096);
    http_router_match(router, route->method, path, &match);
    enum kol_status status = KOL_OK;
    if (match.route != route) {
        status = kol_fail(err, KOL_INVALID, "its example %s is a path of %s", route->example,
                          match.route ? match.route->name : "no route");
    } else if (!http_params_read(route, &match, query, &arena, &values, &detail)) {
        status = kol_fail(err, KOL_INVALID, "its example is refused: %s", detail.ptr);
    }
    buf_free(&detail);
    arena_free(&arena);
    http_router_free(&router);
    return status;
}

static enum kol_status check_fields(const struct http_route *route, struct kol_error *err)
{
    if (route->field_count > HTTP_MAX_FIELDS) {
        return kol_fail(err, KOL_INVALID, "it has more than %d parameters", HTTP_MAX_FIELDS);
    }
    for (size_t i = 0; i < route->field_count; i++) {
        enum kol_status status = check_parameter(route, &route->fields[i], err);
        if (status != KOL_OK) {
            return status;
        }
    }
    return check_twice(route->fields, route->field_count, err);
}

static enum kol_status check_route(const struct http_app *app, const struct http_route *route,
                                   struct kol_error *err)
{
    if (!is_word(route->name) || !route->tag || !route->summary || !route->details) {
        return kol_fail(err, KOL_INVALID, "its name, tag, summary or details are missing");
    }
    if (!route->handle) {
        return kol_fail(err, KOL_INVALID, "it has no handler");
    }
    enum kol_status status = check_fields(route, err);
    status = status == KOL_OK ? check_path(route, err) : status;
    status = status == KOL_OK ? check_words(app, route, err) : status;
    return status == KOL_OK ? check_answer(app, route, err) : status;
}

/* What needs all rows to be sound by themselves. */
static enum kol_status check_together(const struct http_app *app, size_t which,
                                      struct kol_error *err)
{
    enum kol_status status = check_reach(app, which, err);
    status = status == KOL_OK ? check_hidden(app, which, err) : status;
    return status == KOL_OK ? check_example(app, &app->routes[which], err) : status;
}

static enum kol_status wrap_route(const struct http_route *route, struct kol_error *err)
{
    return kol_wrap(err, "route '%s' (%s %s)", route->name ? route->name : "",
                    (unsigned)route->method < HTTP_METHODS ? method_names[route->method] : "?",
                    route->path ? route->path : "");
}

static enum kol_status check_routes(const struct http_app *app, struct kol_error *err)
{
    for (size_t i = 0; i < app->route_count; i++) {
        bool known = (unsigned)app->routes[i].method < HTTP_METHODS;
        enum kol_status status = known ? check_route(app, &app->routes[i], err)
                                       : kol_fail(err, KOL_INVALID, "it has no method");
        if (status != KOL_OK) {
            return wrap_route(&app->routes[i], err);
        }
    }
    for (size_t i = 0; i < app->route_count; i++) {
        if (check_together(app, i, err) != KOL_OK) {
            return wrap_route(&app->routes[i], err);
        }
    }
    return KOL_OK;
}

enum kol_status http_check(const struct http_app *app, struct kol_error *err)
{
    for (size_t i = 0; i < app->problem_count; i++) {
        const char *code = app->problems[i].code;
        if (check_problem(app, &app->problems[i], err) != KOL_OK) {
            return kol_wrap(err, "problem '%s'", code ? code : "");
        }
    }
    for (size_t i = 0; i < app->schema_count; i++) {
        if (check_schema(app, i, err) != KOL_OK) {
            return kol_wrap(err, "schema '%s'", app->schemas[i].name);
        }
    }
    if (!app->title || !app->version || !app->description) {
        return kol_fail(err, KOL_INVALID, "the API has no title, version or description");
    }
    return check_routes(app, err);
}
