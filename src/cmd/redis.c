/*
 * redis.c: from the options of redis.* to a Redis that can be asked.
 *
 * What the address says wins over the options for its parts; a part that it does not name, mostly
 * the password, comes from its option.
 */
#include "cmd/redis.h"

#include <string.h>

#include "base/arena.h"
#include "cmd/command.h"

/* Options that somebody has left empty ("REDIS_HOST=") are not set. */
static const char *text_of(const struct config *config, enum option option)
{
    const char *text = config_text(config, option);
    return text && *text ? text : NULL;
}

static struct redis_options read_parts(const struct config *config)
{
    return (struct redis_options){
        .host = text_of(config, OPTION_REDIS_HOST),
        .port = (int)config_int(config, OPTION_REDIS_PORT),
        .path = text_of(config, OPTION_REDIS_PATH),
        .user = text_of(config, OPTION_REDIS_USER),
        .password = text_of(config, OPTION_REDIS_PASSWORD),
        .db = (int)config_int(config, OPTION_REDIS_DB),
        .tls = config_bool(config, OPTION_REDIS_TLS),
        .tls_ca = text_of(config, OPTION_REDIS_TLS_CA),
        .tls_name = text_of(config, OPTION_REDIS_TLS_NAME),
        .tls_certificate = text_of(config, OPTION_REDIS_TLS_CERTIFICATE),
        .tls_key = text_of(config, OPTION_REDIS_TLS_KEY),
        .tls_insecure = config_bool(config, OPTION_REDIS_TLS_INSECURE),
        .cluster = config_bool(config, OPTION_REDIS_CLUSTER),
        .hosts = text_of(config, OPTION_REDIS_HOSTS),
        .connect_us = config_int(config, OPTION_REDIS_CONNECT_TIME),
        .answer_us = config_int(config, OPTION_REDIS_ANSWER_TIME),
    };
}

/* Without a host of its own a cluster begins with the first of its hosts. */
static enum kol_status take_first_host(struct redis_options *options, struct arena *arena,
                                       struct kol_error *err)
{
    struct str rest = str_trim(str_of(options->hosts)), first = str_cut(&rest, ' ');
    const char *colon = first.len ? memrchr(first.ptr, ':', first.len) : NULL;
    int64_t port = 0;
    if (!colon || colon == first.ptr ||
        !str_to_int64((struct str){colon + 1, first.len - (size_t)(colon + 1 - first.ptr)},
                      &port) ||
        port < 1 || port > 65535) {
        return kol_fail(err, KOL_USAGE, "redis hosts are host:port, separated by spaces: '%.*s'",
                        STR_FORMAT(first));
    }
    options->host = arena_copy(arena, (struct str){first.ptr, (size_t)(colon - first.ptr)}).ptr;
    options->port = (int)port;
    return KOL_OK;
}

static enum kol_status check_parts(const struct redis_options *options, struct kol_error *err)
{
    if (options->hosts && !options->cluster) {
        return kol_fail(err, KOL_USAGE,
                        "several hosts of Redis are those of a cluster: say --redis-cluster too, "
                        "or name one by --redis-host");
    }
    if (options->cluster && options->db) {
        return kol_fail(err, KOL_USAGE, "a cluster of Redis has database 0 alone, not %d",
                        options->db);
    }
    return KOL_OK;
}

static enum kol_status read_options(const struct config *config, struct arena *arena,
                                    struct redis_options *out, bool *found, struct kol_error *err)
{
    const char *url = text_of(config, OPTION_REDIS_URL);
    *out = read_parts(config);
    *found = url || out->host || out->path || out->hosts;
    enum kol_status status = KOL_OK;
    if (url) {
        const bool tls = out->tls;
        status = redis_read_url(str_of(url), arena, out, err);
        out->tls |= tls;
    } else if (!out->host && !out->path && out->hosts) {
        status = take_first_host(out, arena, err);
    }
    return status == KOL_OK ? check_parts(out, err) : status;
}

enum kol_status redis_from_config_patient(const struct config *config, int64_t answer_us,
                                          struct redis **out, struct kol_error *err)
{
    struct arena arena;
    struct redis_options options;
    bool found;
    arena_init(&arena, 1024);
    *out = NULL;
    enum kol_status status = read_options(config, &arena, &options, &found, err);
    if (status == KOL_OK && found) {
        options.answer_us = options.answer_us > answer_us ? options.answer_us : answer_us;
        status = redis_open(&options, out, err);
    }
    arena_free(&arena);
    if (status != KOL_OK && status != KOL_USAGE) {
        kol_wrap(err, "the options of redis");
        status = KOL_USAGE;
    }
    return status;
}

enum kol_status redis_from_config(const struct config *config, struct redis **out,
                                  struct kol_error *err)
{
    return redis_from_config_patient(config, 0, out, err);
}

enum kol_status redis_from_config_needed(const struct config *config, int64_t answer_us,
                                         struct redis **out, struct kol_error *err)
{
    const enum kol_status status = redis_from_config_patient(config, answer_us, out, err);
    if (status == KOL_OK && !*out) {
        return kol_fail(err, KOL_USAGE,
                        "no Redis is configured: name it by --redis-url redis://host:port/db, "
                        "--redis-host, or REDIS_URL in the environment");
    }
    return status;
}
