/*
 * docs.c: the explorer page of the API, and the OpenAPI document that it shows.
 *
 * The page is Swagger UI (npm package swagger-ui-dist, Apache-2.0; tools/explorer.sh), packed into
 * the program: it needs no network and no file. It draws the document of this server with scripts
 * and styles of this server only, and its Content-Security-Policy says so to the browser: no inline
 * script or style, no eval, no address but its own. Images may be `data:`, since the styles carry
 * icons.
 */
#include <string.h>
#include <zstd.h>

#include "base/embedded.h"
#include "base/mem.h"
#include "http/call.h"

#define POLICY                                                                                     \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "              \
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

extern const struct embedded_file embedded_explorer[];
extern const size_t embedded_explorer_count;

/* Addresses are relative, so that the page also works behind a proxy that adds a prefix. */
static const char page[] = "<!doctype html>\n"
                           "<html lang=\"en\">\n"
                           "<head>\n"
                           "<meta charset=\"utf-8\">\n"
                           "<meta name=\"viewport\" content=\"width=device-width\">\n"
                           "<title>API</title>\n"
                           "<link rel=\"icon\" href=\"data:,\">\n"
                           "<link rel=\"stylesheet\" href=\"docs/swagger-ui.css\">\n"
                           "</head>\n"
                           "<body>\n"
                           "<div id=\"explorer\"></div>\n"
                           "<noscript>The explorer needs JavaScript; the document itself is "
                           "<a href=\"openapi.json\">openapi.json</a>.</noscript>\n"
                           "<script src=\"docs/swagger-ui-bundle.js\"></script>\n"
                           "<script src=\"docs/start.js\"></script>\n"
                           "</body>\n"
                           "</html>\n";

static const char start[] = "\"use strict\";\n"
                            "SwaggerUIBundle({\n"
                            "    url: \"openapi.json\",\n"
                            "    dom_id: \"#explorer\",\n"
                            "    deepLinking: true,\n"
                            "    displayRequestDuration: true,\n"
                            "    docExpansion: \"list\",\n"
                            "    filter: true,\n"
                            "    tryItOutEnabled: true,\n"
                            "    validatorUrl: null,\n"
                            "});\n";

/* An embedded file; false where there is none of this name. The room has packed it, so that what is
 * wrong with it is wrong with the program. */
static bool unpack(struct str name, struct arena *arena, struct str *out)
{
    for (size_t i = 0; i < embedded_explorer_count; i++) {
        const struct embedded_file *file = &embedded_explorer[i];
        const char *own = strrchr(file->name, '/');
        if (!own || !str_is(name, own + 1)) {
            continue;
        }
        unsigned long long size = ZSTD_getFrameContentSize(file->bytes, file->len);
        KOL_ASSERT(size < 64u << 20); /* the two values for an unknown size are above */
        char *bytes = arena_alloc(arena, (size_t)size + 1);
        KOL_ASSERT(ZSTD_decompress(bytes, (size_t)size, file->bytes, file->len) == size);
        *out = (struct str){bytes, (size_t)size};
        return true;
    }
    return false;
}

static bool ends(struct str text, struct str end)
{
    return text.len >= end.len &&
           str_equal((struct str){text.ptr + text.len - end.len, end.len}, end);
}

/* Answers with a part of the page; its type is that of the file, whatever the row names first. */
static enum kol_status answer_part(struct http_call *call, struct str name)
{
    struct str bytes = {start, sizeof start - 1};
    if (!str_is(name, "start.js") && !unpack(name, http_call_arena(call), &bytes)) {
        return http_problem(call, "not_found", "The explorer page has no part of this name.");
    }
    call->type =
        ends(name, STR(".css")) ? "text/css; charset=utf-8" : "text/javascript; charset=utf-8";
    http_json(call, bytes);
    return KOL_OK;
}

enum kol_status http_handle_docs(struct http_call *call, struct kol_error *err)
{
    (void)err;
    const struct http_route *route = http_call_route(call);
    for (size_t i = 0; i < route->field_count; i++) {
        if (http_is_path_field(route, &route->fields[i])) {
            return answer_part(call, http_text(call, i));
        }
    }
    call->type = "text/html; charset=utf-8";
    http_put_header(call, "Content-Security-Policy", "%s", POLICY);
    http_json(call, (struct str){page, sizeof page - 1});
    return KOL_OK;
}

enum kol_status http_handle_openapi(struct http_call *call, struct kol_error *err)
{
    (void)err;
    struct buf document = {0};
    http_put_openapi(http_call_server(call)->app, NULL, &document);
    http_json(call, buf_str(&document));
    buf_free(&document);
    return KOL_OK;
}
