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

static json_t *read_body(struct str body)
{
    struct buf detail = {0};
    bool malformed = false;
    json_t *root = http_schema_read(&fixture_app, "Book", body, &malformed, &detail);
    KOL_ASSERT(root ? detail.len == 0 && !malformed : detail.len > 0 && detail.len < MAX_DETAIL);
    KOL_ASSERT(text_is_utf8(buf_str(&detail)));
    buf_free(&detail);
    return root;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > MAX_BODY) {
        return 0;
    }
    json_t *root = read_body((struct str){(const char *)data, size});
    if (root) {
        KOL_ASSERT(json_is_string(json_object_get(root, "title")));
        json_t *pages = json_object_get(root, "pages");
        KOL_ASSERT(json_is_null(pages) || json_is_integer(pages));
        KOL_ASSERT(json_object_size(root) <= ARRAY_LEN(fixture_book));
        char *text = json_dumps(root, JSON_COMPACT);
        json_t *again = read_body(str_of(text));
        KOL_ASSERT(again && json_equal(root, again));
        json_decref(again);
        free(text);
        json_decref(root);
    }
    return 0;
}
