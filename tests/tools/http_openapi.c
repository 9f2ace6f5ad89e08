/*
 * http_openapi.c: the made-up tables of the unit tests, for tests that ask foreign libraries.
 *
 *   http_openapi                 prints their OpenAPI document
 *   http_openapi body SCHEMA     for each line of stdin, a JSON body: "ok", or the refusal
 *   http_openapi query PATH      for each line of stdin, a query of GET PATH: likewise
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/http_fixture.h"

static void read_body(const char *schema, struct str line, struct buf *detail)
{
    bool malformed;
    struct arena arena;
    arena_init(&arena, 0);
    http_schema_read(&fixture_app, schema, line, &arena, &malformed, detail);
    arena_free(&arena);
}

static void read_query(const char *path, struct str line, struct buf *detail)
{
    struct arena arena;
    struct http_match match;
    struct http_values values;
    struct http_router *router =
        http_router_new(fixture_routes, ARRAY_LEN(fixture_routes), true, true);
    arena_init(&arena, 0);
    http_router_match(router, HTTP_GET, str_of(path), &match);
    KOL_ASSERT(match.route);
    http_params_read(match.route, &match, line, &arena, &values, detail);
    arena_free(&arena);
    http_router_free(&router);
}

int main(int argc, char **argv)
{
    struct buf text = {0};
    if (argc < 3) {
        http_put_openapi(&fixture_app, NULL, &text);
        puts(text.ptr);
        buf_free(&text);
        return 0;
    }
    char *line = NULL;
    size_t room = 0;
    for (ssize_t len; (len = getline(&line, &room, stdin)) > 0;) {
        struct str given = {line, (size_t)len - (line[len - 1] == '\n')};
        buf_clear(&text);
        (strcmp(argv[1], "body") == 0 ? read_body : read_query)(argv[2], given, &text);
        puts(text.len ? text.ptr : "ok");
    }
    free(line);
    buf_free(&text);
    return 0;
}
