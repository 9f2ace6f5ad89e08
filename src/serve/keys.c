/* keys.c: keys out of patterns and back. */
#include "serve/keys.h"

#include <string.h>

#include "base/mem.h"

const struct serve_key_kind serve_keys[SERVE_KEYS] = {
#define KEY(ID, key_pattern, TYPE, ttl, of_fields, what, who_writes, who_reads)                    \
    [SERVE_KEY_##ID] = {.pattern = key_pattern,                                                    \
                        .type = SERVE_##TYPE,                                                      \
                        .ttl_s = ttl,                                                              \
                        .fields = of_fields,                                                       \
                        .holds = what,                                                             \
                        .writers = who_writes,                                                     \
                        .readers = who_reads},
#include "serve/keys.def"
};

void serve_key_put(struct buf *out, enum serve_key key, const struct str *parts)
{
    const char *at = serve_keys[key].pattern;
    for (const char *open; (open = strchr(at, '{')) != NULL; parts++) {
        buf_append(out, at, (size_t)(open - at));
        KOL_ASSERT(parts->len);
        buf_put(out, *parts);
        at = strchr(open, '}') + 1;
    }
    buf_puts(out, at);
}

void serve_key_put_meta(struct buf *out, struct str key)
{
    buf_putc(out, '{');
    buf_put(out, key);
    buf_puts(out, "}:meta");
}

void serve_key_put_aside(struct buf *out, struct str key, struct str token)
{
    buf_putc(out, '{');
    buf_put(out, key);
    buf_puts(out, "}:aside:");
    buf_put(out, token);
}

void serve_key_put_prefix(struct buf *out, enum serve_key key)
{
    const char *pattern = serve_keys[key].pattern;
    buf_append(out, pattern, strcspn(pattern, "{"));
}

/* Whether `text` is of the pattern. Each part but the last ends at the next ':'. */
static bool fits(const char *pattern, struct str text, bool (*is_platform)(struct str text),
                 struct str *parts)
{
    const char *at = pattern;
    for (const char *open; (open = strchr(at, '{')) != NULL;) {
        const struct str literal = {at, (size_t)(open - at)};
        if (!str_starts(text, literal)) {
            return false;
        }
        text = (struct str){text.ptr + literal.len, text.len - literal.len};
        at = strchr(open, '}') + 1;
        *parts = *at ? str_cut(&text, ':') : text;
        if (!parts->len || (*at && !text.ptr)) {
            return false; /* without the ':' behind the part there is no next one */
        }
        if (strncmp(open, "{platform}", 10) == 0 && !is_platform(*parts)) {
            return false;
        }
        if (*at) {
            at++; /* the ':' that str_cut() took */
        } else {
            text = STR("");
        }
        parts++;
    }
    return str_is(text, at);
}

static size_t parts_of(const char *pattern)
{
    size_t count = 0;
    for (; (pattern = strchr(pattern, '{')) != NULL; pattern++) {
        count++;
    }
    return count;
}

bool serve_key_read(struct str text, bool (*is_platform)(struct str text), enum serve_key *key,
                    struct str parts[SERVE_PARTS])
{
    size_t most = 0;
    bool found = false;
    for (int i = 0; i < SERVE_KEYS; i++) {
        struct str own[SERVE_PARTS] = {0};
        const size_t count = parts_of(serve_keys[i].pattern);
        if ((!found || count > most) && fits(serve_keys[i].pattern, text, is_platform, own)) {
            found = true;
            most = count;
            *key = (enum serve_key)i;
            memcpy(parts, own, sizeof own);
        }
    }
    return found;
}
