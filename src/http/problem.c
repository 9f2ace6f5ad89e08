/*
 * problem.c: problem details (RFC 9457) out of the tables of problem kinds.
 *
 * A client tells errors apart by `code`, which is stable; `type` is where docs/errors.md explains
 * it.
 */
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "http/parts.h"

#define PROBLEM(code, status, title, what_to_do) {code, status, title, what_to_do},
const struct http_problem_kind http_problem_kinds[] = {
#include "http/problems.def"
};
#undef PROBLEM
const size_t http_problem_kind_count = ARRAY_LEN(http_problem_kinds);

static const struct http_problem_kind *find_in(const struct http_problem_kind *kinds, size_t count,
                                               const char *code)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(kinds[i].code, code) == 0) {
            return &kinds[i];
        }
    }
    return NULL;
}

const struct http_problem_kind *http_problem_find(const struct http_app *app, const char *code)
{
    const struct http_problem_kind *kind =
        find_in(http_problem_kinds, http_problem_kind_count, code);
    return kind || !app ? kind : find_in(app->problems, app->problem_count, code);
}

static void put_member(struct buf *out, const char *name, struct str value)
{
    buf_printf(out, ",\"%s\":", name);
    text_put_json(out, value);
}

void http_problem_put(const struct http_problem_kind *kind, struct str detail,
                      struct str request_id, struct str extra, struct buf *out)
{
    buf_printf(out, "{\"type\":\"docs/errors.md#%s\"", kind->code);
    put_member(out, "title", str_of(kind->title));
    buf_printf(out, ",\"status\":%d", kind->status);
    /* A sentence made of what came in may be cut in the middle of a character. */
    put_member(out, "detail", text_is_utf8(detail) ? detail : str_of(kind->title));
    put_member(out, "code", str_of(kind->code));
    put_member(out, "what_to_do", str_of(kind->what_to_do));
    put_member(out, "instance", request_id);
    if (extra.len) {
        buf_putc(out, ',');
        buf_put(out, extra);
    }
    buf_putc(out, '}');
}

const char *http_problem_of_status(enum kol_status status)
{
    switch (status) {
    case KOL_NOT_FOUND: return "not_found";
    case KOL_INVALID: return "invalid_parameter";
    case KOL_TIMEOUT: return "timeout";
    default: return "internal";
    }
}
