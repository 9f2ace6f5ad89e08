/*
 * fuzz_http_schema.c: any bytes as a JSON body, against the made-up schemas of the unit tests.
 *
 * What must hold: a refusal says why, in UTF-8 and within bounds; and a body that is taken is taken
 * again after it was written out, with nothing in it that the schema does not name.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/http_fixture.h"
#include "base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_BODY = 1 << 20, MAX_DETAIL = 16384 };

/* Whether the body is taken. */
static bool read_body(struct str body)
{
    struct buf detail = {0};
    struct arena arena;
    bool malformed = false;
    arena_init(&arena, 0);
    const struct json_value *root =
        http_schema_read(&fixture_app, "Book", body, &arena, &malformed, &detail);
    KOL_ASSERT(root ? detail.len == 0 && !malformed : detail.len > 0 && detail.len < MAX_DETAIL);
    KOL_ASSERT(text_is_utf8(buf_str(&detail)));
    /* What our reader alone does not take has a NUL byte in it. */
    const bool has_nul = body.len && memchr(body.ptr, '\0', body.len);
    KOL_ASSERT(has_nul ? !root
                       : root || strcmp(detail.ptr, "The body is no JSON: it holds a NUL byte."));
    if (root) {
        KOL_ASSERT(json_value_get(root, "title")->kind == VALUE_TEXT);
        const enum json_kind pages = json_value_get(root, "pages")->kind;
        KOL_ASSERT(pages == VALUE_NULL || pages == VALUE_INT);
        KOL_ASSERT(root->count <= ARRAY_LEN(fixture_book));
    }
    arena_free(&arena);
    buf_free(&detail);
    return root != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str body = {(const char *)data, size};
    if (size <= MAX_BODY && read_body(body)) {
        json_t *root = json_loadb(body.ptr, body.len, JSON_REJECT_DUPLICATES, NULL);
        char *text = json_dumps(root, JSON_COMPACT);
        KOL_ASSERT(read_body(str_of(text)));
        free(text);
        json_decref(root);
    }
    return 0;
}
