/*
 * form.c: what browsers send in forms of their own: cookies, and posts of HTML forms.
 *
 * Both are lists of names and values that a client made up; both are read in one pass, without a
 * copy of what is not asked for.
 */
#include <string.h>

#include "base/text.h"
#include "http/parts.h"

/* ---- cookies (RFC 6265) ---- */

/* A value may stand in quotes, which are not of it. */
static struct str unquoted(struct str value)
{
    const bool quoted = value.len >= 2 && value.ptr[0] == '"' && value.ptr[value.len - 1] == '"';
    return quoted ? (struct str){value.ptr + 1, value.len - 2} : value;
}

bool http_cookie_next(struct str *header, const char *name, struct str *out)
{
    while (header->len) {
        struct str value = str_cut(header, ';');
        if (!memchr(value.ptr, '=', value.len)) {
            continue;
        }
        const struct str its = str_trim(str_cut(&value, '='));
        if (str_is(its, name)) {
            *out = unquoted(str_trim(value));
            return true;
        }
    }
    return false;
}

bool http_cookie(struct str header, const char *name, struct str *out)
{
    struct str other;
    const bool found = http_cookie_next(&header, name, out);
    while (found && http_cookie_next(&header, name, &other)) {
        if (!str_equal(other, *out)) {
            *out = STR("");
            return false;
        }
    }
    *out = found ? *out : STR("");
    return found;
}

/* ---- forms (application/x-www-form-urlencoded) ---- */

static bool put_pair(struct str pair, struct arena *arena, struct buf *json)
{
    struct str name, value;
    struct str raw_name = str_cut(&pair, '=');
    if (!http_decode_text(raw_name, arena, &name) || !http_decode_text(pair, arena, &value)) {
        return false;
    }
    text_put_json(json, name);
    buf_putc(json, ':');
    text_put_json(json, value);
    return true;
}

bool http_form_put_json(struct str form, struct arena *arena, struct buf *json)
{
    size_t count = 0;
    buf_putc(json, '{');
    while (form.len) {
        const struct str pair = str_cut(&form, '&');
        if (!pair.len) {
            continue;
        }
        if (count == HTTP_MAX_MEMBERS) {
            return false;
        }
        buf_puts(json, count++ ? "," : "");
        if (!put_pair(pair, arena, json)) {
            return false;
        }
    }
    buf_putc(json, '}');
    return true;
}
