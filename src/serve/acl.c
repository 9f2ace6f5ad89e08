/* acl.c: the user of Redis that is enough for the program, out of its tables. */
#include "serve/acl.h"

#include <string.h>

#include "base/mem.h"
#include "serve/keys.h"

/* Whether a pattern before this one begins with the same word. */
static bool is_named(size_t kind, size_t len)
{
    for (size_t i = 0; i < kind; i++) {
        if (strncmp(serve_keys[i].pattern, serve_keys[kind].pattern, len) == 0) {
            return true;
        }
    }
    return false;
}

/* The first words of all keys, and of what stands beside a set in braces. */
static void put_keys(struct buf *out)
{
    for (size_t i = 0; i < SERVE_KEYS; i++) {
        const size_t len = strcspn(serve_keys[i].pattern, ":") + 1;
        if (!is_named(i, len)) {
            buf_printf(out, " ~%.*s*", (int)len, serve_keys[i].pattern);
        }
    }
    for (size_t i = 0; i < SERVE_KEYS; i++) {
        const size_t len = strcspn(serve_keys[i].pattern, ":") + 1;
        bool first = true;
        for (size_t k = 0; k < i; k++) {
            first &= serve_keys[k].type != SERVE_ZSET ||
                     strncmp(serve_keys[k].pattern, serve_keys[i].pattern, len) != 0;
        }
        if (serve_keys[i].type == SERVE_ZSET && first) {
            buf_printf(out, " ~{%.*s*", (int)len, serve_keys[i].pattern);
        }
    }
}

void serve_put_acl(struct buf *out, const char *user, const char *password)
{
    static const char *const commands[] = {
#define ACL(command, purpose) command,
#include "serve/acl.def"
    };
    buf_printf(out, "ACL SETUSER %s on >%s resetchannels &%s &__redis__:invalidate resetkeys", user,
               password, SERVE_CHANNEL);
    put_keys(out);
    buf_puts(out, " -@all");
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        buf_printf(out, " +%s", commands[i]);
    }
}
