/*
 * router.c: which route a method and a path mean.
 *
 * The paths of the table become a tree of segments. At each node the literals are tried before the
 * parameter, and where a literal leads nowhere the parameter is tried after all. So the most
 * literal path that exists wins; its methods alone are allowed, as OpenAPI has it: with `POST
 * /kols/lookup` and `GET /kols/{id}` a `GET /kols/lookup` is 405.
 *
 * A path is cut into segments as it came, so that an encoded slash is no separator; a literal is
 * compared decoded. Segments that are empty, `.` or `..` (also encoded) match nothing: no two
 * spellings of a path mean the same route by way of a normal form that a proxy may see differently.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "http/parts.h"

/* A node has its literals in one row of the tree, so that a match walks through little memory. */
struct node {
    struct str literal; /* what leads here from the parent; empty where it is a parameter */
    const struct http_route *routes[HTTP_METHODS];
    unsigned methods; /* bit for each of `routes` that is there; 0: no path ends here */
    int first, next;  /* first literal below, next one beside; -1: none */
    int parameter;    /* the node below that takes any segment; -1: none */
};

struct http_router {
    struct node *nodes; /* [0] is the root */
    int count;
};

/* Takes the next byte, decoded; -1 at the end. A percent sign that escapes nothing stands for
 * itself. */
static int next_byte(struct str *text)
{
    if (!text->len) {
        return -1;
    }
    const int escaped = text_percent_byte(*text);
    const int byte = escaped < 0 ? (unsigned char)text->ptr[0] : escaped;
    const size_t used = escaped < 0 ? 1 : 3;
    *text = (struct str){text->ptr + used, text->len - used};
    return byte;
}

/* Whether `raw`, decoded, is `literal`. */
static bool decodes_to(struct str raw, struct str literal)
{
    for (;;) {
        int byte = next_byte(&raw), wanted = next_byte(&literal);
        if (byte != wanted) {
            return false;
        }
        if (byte < 0) {
            return true;
        }
    }
}

static bool is_literal(struct str raw, struct str literal)
{
    if (raw.len == literal.len) {
        return memcmp(raw.ptr, literal.ptr, raw.len) == 0;
    }
    return raw.len > literal.len && memchr(raw.ptr, '%', raw.len) && decodes_to(raw, literal);
}

static bool is_dots(struct str raw)
{
    return decodes_to(raw, STR(".")) || decodes_to(raw, STR(".."));
}

/* Cuts a path at its slashes; false where no route can have it. */
static bool split(struct str path, struct http_match *out)
{
    out->segment_count = 0;
    if (!path.len || path.ptr[0] != '/') {
        return false;
    }
    const char *at = path.ptr + 1, *end = path.ptr + path.len;
    if (at == end) {
        return true; /* the root has no segment */
    }
    for (;;) {
        const char *slash = memchr(at, '/', (size_t)(end - at));
        struct str segment = {at, (size_t)((slash ? slash : end) - at)};
        if (!segment.len || out->segment_count == HTTP_MAX_SEGMENTS ||
            ((*at == '.' || *at == '%') && is_dots(segment))) {
            return false;
        }
        out->segments[out->segment_count++] = segment;
        if (!slash) {
            return true;
        }
        at = slash + 1;
    }
}

static bool is_parameter(struct str segment)
{
    return segment.len > 2 && segment.ptr[0] == '{' && segment.ptr[segment.len - 1] == '}';
}

static int new_node(struct http_router *router, struct str literal)
{
    router->nodes = mem_realloc(router->nodes, (size_t)(router->count + 1) * sizeof *router->nodes);
    router->nodes[router->count] =
        (struct node){.literal = literal, .first = -1, .next = -1, .parameter = -1};
    return router->count++;
}

/* The node below `parent` that a segment of a route leads to; made where it is not there. */
static int child_of(struct http_router *router, int parent, struct str segment)
{
    if (is_parameter(segment)) {
        if (router->nodes[parent].parameter < 0) {
            int made = new_node(router, (struct str){0});
            router->nodes[parent].parameter = made;
        }
        return router->nodes[parent].parameter;
    }
    for (int i = router->nodes[parent].first; i >= 0; i = router->nodes[i].next) {
        if (str_equal(router->nodes[i].literal, segment)) {
            return i;
        }
    }
    int made = new_node(router, segment);
    router->nodes[made].next = router->nodes[parent].first;
    router->nodes[parent].first = made;
    return made;
}

static void add_route(struct http_router *router, const struct http_route *route)
{
    struct http_match split_path;
    if (!split(str_of(route->path), &split_path)) {
        return; /* check.c refuses such a row; a router of unchecked rows leaves it out */
    }
    int at = 0;
    for (size_t i = 0; i < split_path.segment_count; i++) {
        at = child_of(router, at, split_path.segments[i]);
    }
    struct node *node = &router->nodes[at];
    if (!node->routes[route->method]) { /* the first row of two equal ones */
        node->routes[route->method] = route;
        node->methods |= 1u << route->method;
    }
}

struct http_router *http_router_new(const struct http_route *routes, size_t count, bool public_ones,
                                    bool operations)
{
    struct http_router *router = mem_zalloc(1, sizeof *router);
    new_node(router, (struct str){0});
    for (size_t i = 0; i < count; i++) {
        if (routes[i].operations ? operations : public_ones) {
            add_route(router, &routes[i]);
        }
    }
    return router;
}

void http_router_free(struct http_router **router)
{
    if (*router) {
        free((*router)->nodes);
        free(*router);
        *router = NULL;
    }
}

/* The node at which the segments from `depth` on end, below node `at`; -1: none. Goes back at most
 * once a segment and level, and a table has few levels at which both ways lead on. */
static int find(const struct http_router *router, const struct http_match *path, int at,
                size_t depth)
{
    const struct node *nodes = router->nodes;
    if (depth == path->segment_count) {
        return nodes[at].methods ? at : -1;
    }
    for (int i = nodes[at].first; i >= 0; i = nodes[i].next) {
        if (is_literal(path->segments[depth], nodes[i].literal)) {
            int found = find(router, path, i, depth + 1);
            if (found >= 0) {
                return found;
            }
            break; /* literals differ from each other: no other one fits */
        }
    }
    return nodes[at].parameter < 0 ? -1 : find(router, path, nodes[at].parameter, depth + 1);
}

void http_router_match(const struct http_router *router, enum http_method method, struct str path,
                       struct http_match *out)
{
    out->route = NULL;
    out->allowed = 0;
    int at = split(path, out) ? find(router, out, 0, 0) : -1;
    if (at >= 0) {
        out->allowed = router->nodes[at].methods;
        out->route = router->nodes[at].routes[method];
    }
}

/* ---- rows that hide others ---- */

/* The field of a path parameter, NULL for a literal or where there is none. */
static const struct http_field *field_of(const struct http_route *route, struct str segment)
{
    if (is_parameter(segment)) {
        struct str name = {segment.ptr + 1, segment.len - 2};
        for (size_t i = 0; i < route->field_count; i++) {
            if (str_is(name, route->fields[i].name)) {
                return &route->fields[i];
            }
        }
    }
    return NULL;
}

/* What one segment of a route's path can be: itself; one of few values; or anything, for which a
 * segment stands that no table has. */
struct segment_values {
    struct str rest; /* of the choices */
    struct str now;
};

enum { MAX_TRIED = 4096 }; /* paths; with more choices than that a row counts as reachable */

static void first_value(const struct http_route *route, struct str segment,
                        struct segment_values *out)
{
    const struct http_field *field = field_of(route, segment);
    *out = (struct segment_values){.now = segment};
    if (field && field->kind == HTTP_CHOICE && field->choices) {
        out->rest = str_of(field->choices);
        out->now = str_cut(&out->rest, ' ');
    } else if (is_parameter(segment)) {
        out->now = STR("\x7f");
    }
}

/* Steps through all paths as an odometer does; false after the last. */
static bool next_path(const struct http_route *route, const struct http_match *split_path,
                      struct segment_values *values)
{
    for (size_t i = 0; i < split_path->segment_count; i++) {
        if (values[i].rest.len) {
            values[i].now = str_cut(&values[i].rest, ' ');
            return true;
        }
        first_value(route, split_path->segments[i], &values[i]);
    }
    return false;
}

static bool reaches(const struct http_router *router, const struct http_route *route,
                    const struct http_match *split_path, const struct segment_values *values)
{
    struct http_match match;
    struct buf path = {0};
    for (size_t i = 0; i < split_path->segment_count; i++) {
        buf_putc(&path, '/');
        buf_put(&path, values[i].now);
    }
    http_router_match(router, route->method, path.len ? buf_str(&path) : STR("/"), &match);
    buf_free(&path);
    return match.route == route;
}

bool http_route_hidden(const struct http_route *routes, size_t count, size_t which)
{
    const struct http_route *route = &routes[which];
    struct http_match split_path;
    struct segment_values values[HTTP_MAX_SEGMENTS];
    if (!split(str_of(route->path), &split_path)) {
        return true;
    }
    for (size_t i = 0; i < split_path.segment_count; i++) {
        first_value(route, split_path.segments[i], &values[i]);
    }
    struct http_router *router = http_router_new(routes, count, true, true);
    bool reached = false;
    int tried = 0;
    do {
        reached = tried++ == MAX_TRIED || reaches(router, route, &split_path, values);
    } while (!reached && next_path(route, &split_path, values));
    http_router_free(&router);
    return !reached;
}
