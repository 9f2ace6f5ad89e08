/*
 * fuzz_http_params.c: a method, a path and a query against the made-up table of the unit tests.
 *
 * The first byte picks the method, the rest is the target. What must hold: a refusal says why, in
 * UTF-8; what is taken is within its bounds; and the normal form, asked again as a request, is
 * taken, by the same route, and has itself as its normal form. So no two different requests share a
 * key.
 */
#include <stdlib.h>
#include <string.h>

#include "../unit/http_fixture.h"
#include "base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_TARGET = 8000 }; /* the server refuses a longer one */

static struct http_router *router;
static struct arena arena;

/* Reads a target; NULL: no route, or refused. */
static const struct http_route *read_target(enum http_method method, struct str target,
                                            struct http_values *values)
{
    struct str query = target, path = str_cut(&query, '?');
    struct http_match match;
    struct buf detail = {0};
    http_router_match(router, method, path, &match);
    if (!match.route) {
        return NULL;
    }
    bool taken = http_params_read(match.route, &match, query, &arena, values, &detail);
    KOL_ASSERT(taken ? detail.len == 0 : detail.len > 0 && text_is_utf8(buf_str(&detail)));
    buf_free(&detail);
    return taken ? match.route : NULL;
}

/* What a handler relies on. */
static void check_values(const struct http_route *route, const struct http_values *values)
{
    for (size_t i = 0; i < route->field_count; i++) {
        const struct http_field *field = &route->fields[i];
        const struct http_value *value = &values->by_field[i];
        if (!value->given) {
            KOL_ASSERT(!field->required && !field->fallback && !http_is_path_field(route, field));
            continue;
        }
        KOL_ASSERT(text_is_utf8(value->text) && value->text.ptr[value->text.len] == '\0');
        KOL_ASSERT(strlen(value->text.ptr) == value->text.len);
        if (field->kind == HTTP_INT && (field->min != 0 || field->max != 0)) {
            KOL_ASSERT((double)value->number >= field->min && (double)value->number <= field->max);
        }
        if (field->kind == HTTP_CHOICE) {
            KOL_ASSERT(http_word_place(field->choices, value->text) == value->number);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > MAX_TARGET) {
        return 0;
    }
    if (!router) {
        router = http_router_new(fixture_routes, ARRAY_LEN(fixture_routes), true, true);
        arena_init(&arena, 0);
    }
    enum http_method method = (enum http_method)(data[0] % HTTP_METHODS);
    struct str target = {(const char *)data + 1, size - 1};
    struct http_values values, again;
    arena_reset(&arena);
    const struct http_route *route = read_target(method, target, &values);
    if (route) {
        check_values(route, &values);
        struct str key = values.key;
        if (method != HTTP_GET) {
            str_cut(&key, ' '); /* the method stands in front */
        }
        KOL_ASSERT(read_target(method, key, &again) == route);
        KOL_ASSERT(str_equal(values.key, again.key));
    }
    return 0;
}
