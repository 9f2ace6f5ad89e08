/*
 * openapi.c: the OpenAPI 3.1 document of the tables: info, paths, parameters, schemas, security.
 *
 * All that the document says comes from the rows that the server itself runs on: a bound that is
 * written here is the one that is enforced. Which answers a route can give is openapi_answers.c.
 */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "http/openapi.h"

/* What no text of a request may hold: a parameter no control character, a body no NUL. */
#define PARAMETER_PATTERN "^[^\\x00-\\x1f\\x7f]*$"
#define WORD_PATTERN "^[^\\x00-\\x1f\\x7f,]+$"
#define BODY_PATTERN "^[^\\x00]*$"

json_t *openapi_ref(const char *kind, const char *name)
{
    json_t *ref = json_object();
    struct buf path = {0};
    buf_printf(&path, "#/components/%s/%s", kind, name);
    openapi_text(ref, "$ref", path.ptr);
    buf_free(&path);
    return ref;
}

void openapi_text(json_t *object, const char *name, const char *text)
{
    json_object_set_new(object, name, json_string(text));
}

static json_t *number(double value)
{
    bool whole = value == floor(value) && fabs(value) <= HTTP_INT_MAX;
    return whole ? json_integer((json_int_t)value) : json_real(value);
}

static void put_bounds(json_t *schema, const struct http_field *field, const char *low,
                       const char *high)
{
    struct http_bounds bounds = http_bounds_of(field);
    if (bounds.any) {
        json_object_set_new(schema, low, number(bounds.min));
        json_object_set_new(schema, high, number(bounds.max));
    }
}

static json_t *words_of(const char *words)
{
    json_t *list = json_array();
    struct str rest = str_of(words), word;
    while (http_next_word(&rest, &word)) {
        json_array_append_new(list, json_stringn(word.ptr, word.len));
    }
    return list;
}

/* ---- what a value may be ---- */

/* Where a value stands decides what its text may hold. */
enum place { IN_ANSWER, IN_BODY, IN_PATH, IN_QUERY };

static json_t *typed(const char *type, const char *format)
{
    json_t *schema = json_object();
    openapi_text(schema, "type", type);
    if (format) {
        openapi_text(schema, "format", format);
    }
    return schema;
}

static json_t *text_schema(const struct http_field *field, enum place place)
{
    json_t *schema = typed("string", NULL);
    put_bounds(schema, field, "minLength", "maxLength");
    if (place == IN_PATH && field->min < 1) {
        json_object_set_new(schema, "minLength", json_integer(1)); /* no segment is empty */
    }
    if (place != IN_ANSWER) {
        openapi_text(schema, "pattern", place == IN_BODY ? BODY_PATTERN : PARAMETER_PATTERN);
    }
    return schema;
}

static json_t *words_schema(const struct http_field *field, enum place place)
{
    json_t *schema = typed("array", NULL), *items = typed("string", NULL);
    if (field->choices) {
        json_object_set_new(items, "enum", words_of(field->choices));
    } else if (place == IN_BODY) {
        openapi_text(items, "pattern", BODY_PATTERN);
    } else if (place != IN_ANSWER) {
        openapi_text(items, "pattern", WORD_PATTERN);
    }
    json_object_set_new(schema, "items", items);
    put_bounds(schema, field, "minItems", "maxItems");
    if (place != IN_ANSWER) {
        json_object_set_new(schema, "uniqueItems", json_true());
        if (!http_bounds_of(field).any) {
            json_object_set_new(schema, "maxItems", json_integer(HTTP_WORDS_MAX));
        }
    }
    if ((place == IN_PATH || place == IN_QUERY) && field->min < 1) {
        json_object_set_new(schema, "minItems", json_integer(1));
    }
    return schema;
}

static json_t *list_schema(const struct http_field *field)
{
    json_t *schema = typed("array", NULL);
    json_object_set_new(schema, "items",
                        field->schema ? openapi_ref("schemas", field->schema) : json_object());
    put_bounds(schema, field, "minItems", "maxItems");
    return schema;
}

/* An integer without bounds of its own is only bounded where a client sends it. */
static json_t *number_schema(const struct http_field *field, const char *type, const char *format,
                             enum place place)
{
    json_t *schema = typed(type, format);
    if (place != IN_ANSWER || field->min != 0 || field->max != 0) {
        put_bounds(schema, field, "minimum", "maximum");
    }
    return schema;
}

static json_t *kind_schema(const struct http_field *field, enum place place)
{
    switch (field->kind) {
    case HTTP_TEXT: return text_schema(field, place);
    case HTTP_INT: return number_schema(field, "integer", "int64", place);
    case HTTP_REAL: return number_schema(field, "number", "double", place);
    case HTTP_BOOL: return typed("boolean", NULL);
    case HTTP_DATE: return typed("string", "date");
    case HTTP_TIME: return typed("string", "date-time");
    case HTTP_WORDS: return words_schema(field, place);
    case HTTP_LIST: return list_schema(field);
    case HTTP_OBJECT:
        return field->schema ? openapi_ref("schemas", field->schema) : typed("object", NULL);
    case HTTP_CHOICE: {
        json_t *schema = typed("string", NULL);
        json_object_set_new(schema, "enum", words_of(field->choices));
        return schema;
    }
    default: return json_object();
    }
}

/* A schema that also takes null. */
static json_t *with_null(json_t *schema)
{
    json_t *type = json_object_get(schema, "type");
    if (json_object_get(schema, "$ref")) {
        return json_pack("{s:[o,{s:s}]}", "anyOf", schema, "type", "null");
    }
    if (type) {
        json_object_set_new(schema, "type", json_pack("[O,s]", type, "null"));
    }
    json_t *choices = json_object_get(schema, "enum");
    if (choices) {
        json_array_append_new(choices, json_null());
    }
    return schema;
}

/* The JSON that a text of the tables stands for; it has been checked to be one. */
static json_t *value_of(const struct http_field *field, const char *text)
{
    struct http_value value;
    switch (field->kind) {
    case HTTP_OBJECT:
    case HTTP_LIST:
    case HTTP_ANY: return json_loads(text, JSON_DECODE_ANY, NULL);
    default: break;
    }
    if (!http_value_read(field, str_of(text), &value)) {
        return NULL;
    }
    switch (field->kind) {
    case HTTP_INT: return json_integer((json_int_t)value.number);
    case HTTP_REAL: return json_real(value.real);
    case HTTP_BOOL: return json_boolean(value.number != 0);
    case HTTP_WORDS: {
        json_t *list = json_array();
        struct str rest = value.text;
        while (rest.len) {
            struct str word = str_cut(&rest, ',');
            json_array_append_new(list, json_stringn(word.ptr, word.len));
        }
        return list;
    }
    default: return json_string(text);
    }
}

/* ---- schemas ---- */

static json_t *member_schema(const struct http_field *field, enum place place)
{
    json_t *schema = kind_schema(field, place);
    if (field->nullable) {
        schema = with_null(schema);
    }
    openapi_text(schema, "description", field->help); /* 3.1 lets it stand beside a $ref */
    json_t *example = field->example ? value_of(field, field->example) : NULL;
    if (example) {
        json_object_set_new(schema, "examples", json_pack("[o]", example));
    }
    return schema;
}

static json_t *object_schema(const struct http_schema *schema, enum place place)
{
    json_t *object = typed("object", NULL);
    json_t *properties = json_object(), *required = json_array();
    if (schema->help) {
        openapi_text(object, "description", schema->help);
    }
    for (size_t i = 0; i < schema->field_count; i++) {
        const struct http_field *field = &schema->fields[i];
        json_object_set_new(properties, field->name, member_schema(field, place));
        if (field->required) {
            json_array_append_new(required, json_string(field->name));
        }
    }
    json_object_set_new(object, "properties", properties);
    if (json_array_size(required)) {
        json_object_set(object, "required", required);
    }
    json_decref(required);
    json_object_set_new(object, "additionalProperties", json_boolean(schema->open));
    return object;
}

/* Marks the schemas that a request's body can hold, from those that routes name downwards. */
static void mark_sent(const struct http_app *app, const char *name, bool *sent)
{
    const struct http_schema *schema = http_schema_find(app, name);
    size_t place = schema ? (size_t)(schema - app->schemas) : app->schema_count;
    if (place == app->schema_count || sent[place]) {
        return;
    }
    sent[place] = true;
    for (size_t i = 0; i < schema->field_count; i++) {
        if (schema->fields[i].schema) {
            mark_sent(app, schema->fields[i].schema, sent);
        }
    }
}

static json_t *schemas(const struct http_app *app)
{
    json_t *all = json_object();
    bool *sent = mem_zalloc(app->schema_count + 1, sizeof *sent);
    for (size_t i = 0; i < app->route_count; i++) {
        if (app->routes[i].body) {
            mark_sent(app, app->routes[i].body, sent);
        }
    }
    for (size_t i = 0; i < app->schema_count; i++) {
        json_object_set_new(all, app->schemas[i].name,
                            object_schema(&app->schemas[i], sent[i] ? IN_BODY : IN_ANSWER));
    }
    free(sent);
    json_object_set_new(all, "Problem", openapi_problem_schema());
    return all;
}

/* ---- operations ---- */

/* The parameters of the route's example, which is a request that works. */
static bool read_example(const struct http_route *route, struct arena *arena,
                         struct http_values *values)
{
    if (!route->example) {
        return false;
    }
    struct str query = str_of(route->example), path = str_cut(&query, '?');
    struct http_router *router = http_router_new(route, 1, true, true);
    struct http_match match;
    struct buf detail = {0};
    http_router_match(router, route->method, path, &match);
    bool fits = match.route && http_params_read(route, &match, query, arena, values, &detail);
    buf_free(&detail);
    http_router_free(&router);
    return fits;
}

static json_t *parameter(const struct http_route *route, size_t place,
                         const struct http_values *example)
{
    const struct http_field *field = &route->fields[place];
    bool in_path = http_is_path_field(route, field);
    json_t *object = json_object(), *schema = kind_schema(field, in_path ? IN_PATH : IN_QUERY);
    openapi_text(object, "name", field->name);
    openapi_text(object, "in", in_path ? "path" : "query");
    openapi_text(object, "description", field->help);
    json_object_set_new(object, "required", json_boolean(in_path || field->required));
    if (field->kind == HTTP_WORDS) {
        openapi_text(object, "style", in_path ? "simple" : "form");
        json_object_set_new(object, "explode", json_false());
    }
    if (field->fallback) {
        json_object_set_new(schema, "default", value_of(field, field->fallback));
    }
    json_object_set_new(object, "schema", schema);
    const char *text = field->example;
    if (example && example->by_field[place].given &&
        !(field->fallback && str_is(example->by_field[place].text, field->fallback))) {
        text = example->by_field[place].text.ptr;
    }
    if (text) {
        json_object_set_new(object, "example", value_of(field, text));
    }
    return object;
}

static json_t *parameters(const struct http_route *route)
{
    json_t *list = json_array();
    struct arena arena;
    struct http_values values;
    arena_init(&arena, 4096);
    bool has_example = read_example(route, &arena, &values);
    for (size_t i = 0; i < route->field_count; i++) {
        json_array_append_new(list, parameter(route, i, has_example ? &values : NULL));
    }
    arena_free(&arena);
    return list;
}

static bool is_json(struct str type)
{
    return str_is(type, "application/json");
}

static json_t *request_body(const struct http_route *route)
{
    json_t *content = json_object();
    struct str rest = str_of(route->body_types ? route->body_types : "application/json"), type;
    while (http_next_word(&rest, &type)) {
        json_t *schema = is_json(type) && route->body ? openapi_ref("schemas", route->body)
                         : is_json(type)              ? json_object()
                                                      : typed("string", NULL);
        json_object_setn_new(content, type.ptr, type.len, json_pack("{s:o}", "schema", schema));
    }
    if (route->forms) {
        json_object_set_new(content, HTTP_FORM_TYPE,
                            json_pack("{s:o}", "schema", openapi_ref("schemas", route->body)));
    }
    return json_pack("{s:b,s:o}", "required", !route->body_optional, "content", content);
}

/* A key with any one of the route's scopes, or a session of one; nothing where no key is asked for.
 */
static json_t *security(const struct http_app *app, const struct http_route *route)
{
    json_t *ways = json_array();
    for (size_t i = 0; i < app->scope_count; i++) {
        if (route->scopes >> i & 1) {
            json_array_append_new(ways, json_pack("{s:[s]}", "ApiKey", app->scopes[i]));
        }
    }
    if (app->cookie && route->scopes) {
        json_array_append_new(ways, json_pack("{s:[]}", "Session"));
    }
    if (!route->scopes) { /* a key may be sent all the same, for its rate limit */
        json_array_append_new(ways, json_object());
        json_array_append_new(ways, json_pack("{s:[]}", "ApiKey"));
    }
    return ways;
}

static json_t *operation(const struct http_app *app, const struct http_route *route,
                         json_t *components)
{
    json_t *object = json_object();
    openapi_text(object, "operationId", route->name);
    openapi_text(object, "summary", route->summary);
    if (*route->details) {
        openapi_text(object, "description", route->details);
    }
    json_object_set_new(object, "tags", json_pack("[s]", route->tag));
    if (route->deprecated) {
        json_object_set_new(object, "deprecated", json_true());
    }
    if (app->identify) {
        json_object_set_new(object, "security", security(app, route));
    }
    if (route->field_count) {
        json_object_set_new(object, "parameters", parameters(route));
    }
    if (route->body || route->body_types) {
        json_object_set_new(object, "requestBody", request_body(route));
    }
    json_object_set_new(object, "responses", openapi_responses(app, route, components));
    return object;
}

/* ---- the document ---- */

static json_t *paths(const struct http_app *app, json_t *components)
{
    static const char *const methods[HTTP_METHODS] = {"get", "post", "put", "delete"};
    json_t *all = json_object();
    for (size_t i = 0; i < app->route_count; i++) {
        const struct http_route *route = &app->routes[i];
        json_t *item = json_object_get(all, route->path);
        if (!item) {
            item = json_object();
            json_object_set_new(all, route->path, item);
        }
        json_object_set_new(item, methods[route->method], operation(app, route, components));
    }
    return all;
}

static json_t *tags(const struct http_app *app)
{
    json_t *list = json_array();
    for (size_t i = 0; i < app->route_count; i++) {
        bool seen = false;
        for (size_t j = 0; j < i && !seen; j++) {
            seen = strcmp(app->routes[i].tag, app->routes[j].tag) == 0;
        }
        if (!seen) {
            json_array_append_new(list, json_pack("{s:s}", "name", app->routes[i].tag));
        }
    }
    return list;
}

static json_t *components_of(const struct http_app *app)
{
    json_t *components = json_object();
    json_object_set_new(components, "schemas", schemas(app));
    json_object_set_new(components, "responses", json_object());
    json_object_set_new(components, "headers", openapi_headers());
    if (app->identify) {
        json_object_set_new(components, "securitySchemes",
                            json_pack("{s:{s:s,s:s,s:s,s:s}}", "ApiKey", "type", "apiKey", "in",
                                      "header", "name", "X-API-Key", "description",
                                      "A key that the operator has made."));
    }
    if (app->cookie) {
        json_object_set_new(json_object_get(components, "securitySchemes"), "Session",
                            json_pack("{s:s,s:s,s:s,s:s}", "type", "apiKey", "in", "cookie", "name",
                                      app->cookie, "description",
                                      "A session that was begun with a key."));
    }
    return components;
}

void http_put_openapi(const struct http_app *app, const char *server, struct buf *out)
{
    json_t *document = json_object(), *components = components_of(app);
    openapi_text(document, "openapi", "3.1.0");
    json_object_set_new(document, "info",
                        json_pack("{s:s,s:s,s:s}", "title", app->title, "version", app->version,
                                  "description", app->description));
    json_object_set_new(document, "servers", json_pack("[{s:s}]", "url", server ? server : "/"));
    json_object_set_new(document, "tags", tags(app));
    json_object_set_new(document, "paths", paths(app, components));
    json_object_set_new(document, "components", components);
    char *text = json_dumps(document, JSON_COMPACT);
    KOL_ASSERT(text); /* no text of the tables is malformed UTF-8 */
    buf_puts(out, text);
    free(text);
    json_decref(document);
}
