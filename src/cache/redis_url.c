/*
 * redis_url.c: redis://, rediss:// and unix:// addresses.
 *
 * An address holds a password, and one that is written wrong may hold it at a place where something
 * else belongs: no message repeats any part of an address.
 */
#include <string.h>
#include <sys/un.h>

#include "base/arena.h"
#include "base/text.h"
#include "cache/redis.h"

enum { MOST_PORT = 65535, MOST_DB = 1023 };

static enum kol_status invalid(struct kol_error *err, const char *why)
{
    return kol_fail(err, KOL_INVALID, "the address of Redis is wrong: %s", why);
}

/* Undoes percent-encoding; NULL for an escape that is none, or one of NUL. */
static const char *decode(struct str text, struct arena *arena)
{
    struct buf plain = {0};
    const char *out = NULL;
    if (text_put_percent_decoded(&plain, text) &&
        !memchr(plain.ptr ? plain.ptr : "", '\0', plain.len)) {
        out = arena_copy(arena, buf_str(&plain)).ptr;
    }
    buf_free(&plain);
    return out;
}

/* Digits alone, `most` at most. */
static bool read_whole(struct str text, int64_t most, int *out)
{
    int64_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return false;
        }
    }
    if (text.len > 9 || !str_to_int64(text, &value) || value > most) {
        return false;
    }
    *out = (int)value;
    return true;
}

static bool split(struct str text, char at, struct str *before, struct str *behind)
{
    const char *found = text.len ? memchr(text.ptr, at, text.len) : NULL;
    *before = text;
    *behind = (struct str){0};
    if (!found) {
        return false;
    }
    before->len = (size_t)(found - text.ptr);
    *behind = (struct str){found + 1, text.len - before->len - 1};
    return true;
}

/* "user:password" or ":password". */
static enum kol_status read_login(struct str login, struct arena *arena, struct redis_options *out,
                                  struct kol_error *err)
{
    struct str user, password;
    if (!split(login, ':', &user, &password)) {
        return invalid(err, "before the @ stands user:password or :password");
    }
    if (password.len == 0) {
        return invalid(err, "the password between : and @ is empty");
    }
    const char *user_text = decode(user, arena), *password_text = decode(password, arena);
    if (!user_text || !password_text) {
        return invalid(err, "a % in user or password begins two hexadecimal digits other than 00 "
                            "(write %25 for % itself)");
    }
    if (user.len) {
        out->user = user_text;
    }
    out->password = password_text;
    return KOL_OK;
}

/* Takes "user:password@" off the front of `*authority`, where it is there. */
static enum kol_status take_login(struct str *authority, struct arena *arena,
                                  struct redis_options *out, struct kol_error *err)
{
    const char *at = authority->len ? memrchr(authority->ptr, '@', authority->len) : NULL;
    if (!at) {
        return KOL_OK;
    }
    const struct str login = {authority->ptr, (size_t)(at - authority->ptr)};
    *authority = (struct str){at + 1, authority->len - login.len - 1};
    return read_login(login, arena, out, err);
}

static bool is_host(struct str host, const char *others)
{
    for (size_t i = 0; i < host.len; i++) {
        const char c = host.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              (c && strchr(others, c)))) {
            return false;
        }
    }
    return host.len > 0;
}

/* "host", "host:port", "[::1]:port". */
static enum kol_status read_host(struct str authority, struct arena *arena,
                                 struct redis_options *out, struct kol_error *err)
{
    struct str host, port;
    bool has_port;
    if (authority.len && authority.ptr[0] == '[') {
        const struct str inner = {authority.ptr + 1, authority.len - 1};
        if (!split(inner, ']', &host, &port) || !is_host(host, ":.") ||
            (port.len && port.ptr[0] != ':')) {
            return invalid(err, "an IPv6 address stands alone in [ ], and :port behind it");
        }
        has_port = port.len > 0;
        if (has_port) {
            port = (struct str){port.ptr + 1, port.len - 1};
        }
    } else {
        has_port = split(authority, ':', &host, &port);
        if (!is_host(host, "._-")) {
            return invalid(err,
                           "behind redis:// and an @, if there is one, stands a host: letters, "
                           "digits, dots and hyphens, or an IPv6 address in [ ]");
        }
    }
    if (has_port && (!read_whole(port, MOST_PORT, &out->port) || out->port == 0)) {
        return invalid(err, "the port is a number from 1 to 65535 (an IPv6 address stands in [ ])");
    }
    out->host = arena_copy(arena, host).ptr;
    return KOL_OK;
}

static enum kol_status read_db(struct str text, struct redis_options *out, struct kol_error *err)
{
    return text.len == 0 || read_whole(text, MOST_DB, &out->db)
               ? KOL_OK
               : invalid(err, "the database is a number from 0 to 1023");
}

static enum kol_status read_tcp(struct str rest, struct arena *arena, struct redis_options *out,
                                struct kol_error *err)
{
    struct str authority, db;
    split(rest, '/', &authority, &db);
    if (db.len && memchr(db.ptr, '@', db.len)) {
        return invalid(err, "a / in user or password is written %2F, and an @ %40");
    }
    enum kol_status status = take_login(&authority, arena, out, err);
    if (status == KOL_OK) {
        status = read_host(authority, arena, out, err);
    }
    out->path = NULL;
    return status == KOL_OK ? read_db(db, out, err) : status;
}

static enum kol_status read_unix(struct str rest, struct arena *arena, struct redis_options *out,
                                 struct kol_error *err)
{
    const char *slash = rest.len ? memchr(rest.ptr, '/', rest.len) : NULL;
    if (!slash) {
        return invalid(err, "behind unix:// stands the whole path of a socket: unix:///run/...");
    }
    struct str authority = {rest.ptr, (size_t)(slash - rest.ptr)};
    enum kol_status status = take_login(&authority, arena, out, err);
    if (status != KOL_OK) {
        return status;
    }
    if (authority.len) {
        return invalid(err, "a socket has no host (unix:///path; a / in the password is %2F)");
    }
    struct str path, query;
    const bool has_query =
        split((struct str){slash, rest.len - (size_t)(slash - rest.ptr)}, '?', &path, &query);
    if (has_query && !str_starts(query, STR("db="))) {
        return invalid(err, "behind the ? of a unix:// address stands db=N alone");
    }
    out->path = decode(path, arena);
    if (!out->path) {
        return invalid(err, "a % in the path begins two hexadecimal digits other than 00");
    }
    if (strlen(out->path) >= sizeof((struct sockaddr_un *)0)->sun_path) {
        return invalid(err, "the path of a socket has at most 107 bytes");
    }
    return has_query ? read_db((struct str){query.ptr + 3, query.len - 3}, out, err) : KOL_OK;
}

enum kol_status redis_read_url(struct str url, struct arena *arena, struct redis_options *out,
                               struct kol_error *err)
{
    static const struct {
        const char *prefix;
        bool tls;
        enum kol_status (*read)(struct str rest, struct arena *arena, struct redis_options *out,
                                struct kol_error *err);
    } schemes[] = {
        {"redis://", false, read_tcp},
        {"rediss://", true, read_tcp},
        {"unix://", false, read_unix},
    };
    url = str_trim(url);
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        const struct str prefix = str_of(schemes[i].prefix);
        if (!str_starts(url, prefix)) {
            continue;
        }
        /* A wrong address leaves everything as it was. */
        struct redis_options read = *out;
        read.tls = schemes[i].tls;
        const enum kol_status status = schemes[i].read(
            (struct str){url.ptr + prefix.len, url.len - prefix.len}, arena, &read, err);
        if (status == KOL_OK) {
            *out = read;
        }
        return status;
    }
    return invalid(err, "it begins with redis://, rediss:// or unix://");
}
