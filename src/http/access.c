/*
 * access.c: one line a request on stderr, by one write(2), in the form of the log. Not through the
 * logger, which holds lines of one place back.
 *
 * The query is left out: it may hold what a user searched for. No header is in it, so no key
 * either.
 */
#include <unistd.h>

#include "base/clock.h"
#include "base/logger.h"
#include "base/text.h"
#include "http/call.h"

/* What the line says, each once for both forms. */
struct access {
    struct str path, caller, id;
    const char *route, *method;
    struct buf address;
};

static const char *method_of(const struct http_call *call)
{
    static const char *const names[HTTP_METHODS] = {"GET", "POST", "PUT", "DELETE"};
    return call->head          ? "HEAD"
           : call->options     ? "OPTIONS"
           : call->match.route ? names[call->match.route->method]
                               : "-";
}

/* A path as one word of one line. */
static void put_path(struct buf *line, struct str path)
{
    enum { PATH_MAX_LOGGED = 500 };
    for (size_t i = 0; i < path.len && i < PATH_MAX_LOGGED; i++) {
        unsigned char c = (unsigned char)path.ptr[i];
        if (c <= 0x20 || c >= 0x7f) {
            buf_printf(line, "%%%02X", c);
        } else {
            buf_putc(line, (char)c);
        }
    }
    if (!path.len) {
        buf_putc(line, '-');
    }
}

static void put_text(struct buf *line, const struct access *access, const struct http_call *call,
                     int64_t duration_ns)
{
    clock_format(line, clock_now_us());
    buf_printf(line, " access %s ", access->method);
    put_path(line, access->path);
    buf_printf(line, " route=%s status=%d bytes=%zu us=%lld id=%s address=%s", access->route,
               call->status, call->sent, (long long)(duration_ns / 1000), call->id,
               access->address.ptr);
    if (access->caller.len) {
        buf_printf(line, " caller=%.*s", STR_FORMAT(access->caller));
    }
    if (call->cache_status[0]) {
        buf_printf(line, " cache=\"%s\"", call->cache_status);
    }
}

static void put_json(struct buf *line, const struct access *access, const struct http_call *call,
                     int64_t duration_ns)
{
    struct buf path = {0};
    put_path(&path, access->path);
    buf_puts(line, "{\"time\":\"");
    clock_format(line, clock_now_us());
    buf_printf(line, "\",\"level\":\"access\",\"method\":\"%s\",\"path\":", access->method);
    text_put_json(line, buf_str(&path));
    buf_printf(line,
               ",\"route\":\"%s\",\"status\":%d,\"bytes\":%zu,\"us\":%lld,\"id\":\"%s\","
               "\"address\":\"%s\",\"caller\":",
               access->route, call->status, call->sent, (long long)(duration_ns / 1000), call->id,
               access->address.ptr);
    text_put_json(line, access->caller);
    buf_puts(line, ",\"cache\":");
    text_put_json(line, str_of(call->cache_status));
    buf_putc(line, '}');
    buf_free(&path);
}

void http_access_put(const struct http_call *call, int64_t duration_ns)
{
    struct access access = {
        .path = call->path,
        .caller = http_caller(call),
        .route = call->match.route ? call->match.route->name : "-",
        .method = method_of(call),
    };
    http_address_put((const struct sockaddr *)&call->conn->peer, &access.address);
    struct buf line = {0};
    if (logger_is_json()) {
        put_json(&line, &access, call, duration_ns);
    } else {
        put_text(&line, &access, call, duration_ns);
    }
    buf_putc(&line, '\n');
    /* Nobody is left to be told where stderr itself fails. */
    ssize_t written = write(STDERR_FILENO, line.ptr, line.len);
    (void)written;
    buf_free(&line);
    buf_free(&access.address);
}
