/*
 * redis.c: opening a client, and running a pipe on one server.
 */
#include "cache/redis.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cache/redis_parts.h"

enum {
    DEFAULT_PORT = 6379,
    DEFAULT_CONNECT_US = 500 * 1000,
    DEFAULT_ANSWER_US = 250 * 1000,
    DEFAULT_CONNECTIONS = 16,
    DEFAULT_ANSWER_MAX = 64 * 1024 * 1024,
};

/* ---- opening ---- */

static const char *keep(struct arena *arena, const char *text)
{
    return text ? arena_copy(arena, str_of(text)).ptr : NULL;
}

static enum kol_status check_tls(const struct redis_options *options, struct kol_error *err)
{
    if (options->tls && options->path) {
        return kol_fail(err, KOL_INVALID,
                        "a unix socket of Redis carries no TLS: take TLS or the socket out");
    }
    /* Who names certificates does not want to send passwords as they are. */
    if (!options->tls && (options->tls_ca || options->tls_name || options->tls_certificate ||
                          options->tls_key || options->tls_insecure)) {
        return kol_fail(err, KOL_INVALID,
                        "options of TLS to Redis are set, but TLS is not: say rediss:// or take "
                        "them out");
    }
    if (!options->tls_certificate != !options->tls_key) {
        return kol_fail(err, KOL_INVALID,
                        "a certificate to show Redis needs its key, and a key its certificate");
    }
    return KOL_OK;
}

static enum kol_status check(const struct redis_options *options, struct kol_error *err)
{
    if (options->port < 0 || options->port > 65535) {
        return kol_fail(err, KOL_INVALID, "port %d of Redis is not between 1 and 65535",
                        options->port);
    }
    if (options->db < 0) {
        return kol_fail(err, KOL_INVALID, "database %d of Redis is below 0", options->db);
    }
    if (options->path && strlen(options->path) >= sizeof((struct sockaddr_un *)0)->sun_path) {
        return kol_fail(err, KOL_INVALID, "the path of the socket of Redis is over 107 bytes: %s",
                        options->path);
    }
    if (options->connect_us < 0 || options->connect_us > CLOCK_US_PER_DAY ||
        options->answer_us < 0 || options->answer_us > CLOCK_US_PER_DAY) {
        return kol_fail(err, KOL_INVALID, "a time limit of Redis is below 0 or over a day");
    }
    if (options->connections < 0) {
        return kol_fail(err, KOL_INVALID, "the number of kept connections of Redis is below 0");
    }
    if (options->cluster && (options->path || options->db)) {
        return kol_fail(err, KOL_INVALID,
                        "a Redis Cluster has database 0 alone and is reached by host and port: "
                        "take the database or the path of a socket out");
    }
    return check_tls(options, err);
}

static void set_name(struct redis *redis)
{
    const struct redis_options *options = &redis->options;
    struct buf name = {0};
    if (options->tls) {
        buf_puts(&name, "tls:");
    }
    if (options->path) {
        buf_printf(&name, "unix:%s/%d", options->path, options->db);
    } else if (strchr(options->host, ':')) {
        buf_printf(&name, "[%s]:%d/%d", options->host, options->port, options->db);
    } else {
        buf_printf(&name, "%s:%d/%d", options->host, options->port, options->db);
    }
    redis->name = keep(&redis->arena, name.ptr);
    buf_free(&name);
}

enum kol_status redis_open(const struct redis_options *options, struct redis **out,
                           struct kol_error *err)
{
    *out = NULL;
    enum kol_status status = check(options, err);
    if (status != KOL_OK) {
        return status;
    }
    struct redis *redis = mem_zalloc(1, sizeof *redis);
    arena_init(&redis->arena, 1024);
    redis->options = *options;
    struct redis_options *own = &redis->options;
    own->host = keep(&redis->arena, options->host ? options->host : "127.0.0.1");
    own->port = options->port ? options->port : DEFAULT_PORT;
    own->hosts = keep(&redis->arena, options->hosts);
    own->path = keep(&redis->arena, options->path);
    own->user = keep(&redis->arena, options->user);
    own->password = keep(&redis->arena, options->password);
    own->tls_name = keep(&redis->arena, options->tls_name);
    own->connect_us = options->connect_us ? options->connect_us : DEFAULT_CONNECT_US;
    own->answer_us = options->answer_us ? options->answer_us : DEFAULT_ANSWER_US;
    own->connections = options->connections ? options->connections : DEFAULT_CONNECTIONS;
    own->answer_max = options->answer_max ? options->answer_max : DEFAULT_ANSWER_MAX;
    set_name(redis);
    KOL_ASSERT(pthread_mutex_init(&redis->script_lock, NULL) == 0);
    if (options->tls) {
        status = redis_tls_new(options, &redis->tls, err);
    }
    redis_pool_init(&redis->pool, &redis->options, redis->tls, redis->name);
    if (status == KOL_OK && options->cluster) {
        status = redis_cluster_open(redis, err);
    }
    if (status != KOL_OK) {
        redis_close(&redis);
    }
    *out = redis;
    return status;
}

void redis_close(struct redis **redis)
{
    struct redis *closing = *redis;
    if (!closing) {
        return;
    }
    redis_cluster_close(&closing->cluster);
    redis_pool_end(&closing->pool);
    redis_tls_free(&closing->tls);
    pthread_mutex_destroy(&closing->script_lock);
    arena_free(&closing->arena);
    free(closing);
    *redis = NULL;
}

const char *redis_name(const struct redis *redis)
{
    return redis->name;
}

const char *redis_password(const struct redis *redis)
{
    return redis->options.password ? redis->options.password : "";
}

void redis_counts(struct redis *redis, struct redis_counts *out)
{
    *out = (struct redis_counts){0};
    if (redis->cluster) {
        redis_cluster_counts(redis->cluster, out);
    } else {
        redis_pool_add_counts(&redis->pool, out);
    }
}

/* ---- running ---- */

/* Appends, whole, the runs whose script the server did not know; returns how many. */
static size_t put_unknown(const struct redis_pipe *pipe, const struct redis_answer *answers,
                          struct buf *out)
{
    size_t count = 0;
    for (size_t i = 0; i < pipe->run_count; i++) {
        const struct redis_script_run *run = &pipe->runs[i];
        if (redis_is_error(&answers[run->place], "NOSCRIPT")) {
            redis_put_whole(pipe, run, out);
            count++;
        }
    }
    return count;
}

/* The second exchange of a pipe, where its server did not know all scripts (it was started anew, or
 * they were flushed): those runs alone, whose answers then take the place of the first ones. */
static enum kol_status run_unknown(struct redis_pipe *pipe, struct redis_link *link,
                                   struct redis_reading *first, int64_t deadline_ns,
                                   struct kol_error *err)
{
    struct buf out = {0};
    enum kol_status status = KOL_OK;
    const size_t count = put_unknown(pipe, first->answers, &out);
    if (count > 0) {
        struct redis_reading second;
        redis_reading_begin(&second, &pipe->arena, count, first->budget);
        status =
            redis_link_exchange(link, pipe->redis->name, buf_str(&out), &second, deadline_ns, err);
        const struct redis_answer *next = second.answers;
        for (size_t i = 0; i < pipe->run_count && status == KOL_OK; i++) {
            struct redis_answer *answer = &first->answers[pipe->runs[i].place];
            if (redis_is_error(answer, "NOSCRIPT")) {
                *answer = *next++;
            }
        }
    }
    buf_free(&out);
    return status;
}

/* A run begins on a connection. */
static void set_out(struct redis_pipe *pipe, struct redis_link *link, int64_t deadline_ns)
{
    const struct redis *redis = pipe->redis;
    arena_reset(&pipe->arena);
    redis_reading_begin(&pipe->reading, &pipe->arena, pipe->commands, redis->options.answer_max);
    pipe->link = link;
    pipe->until_ns = redis_earlier(deadline_ns, redis->options.answer_us);
}

/* It ends with what the exchange came to. */
static enum kol_status arrive(struct redis_pipe *pipe, enum kol_status status,
                              struct kol_error *err)
{
    struct redis *redis = pipe->redis;
    if (status == KOL_OK && redis_is_error(&pipe->reading.answers[0], "NOAUTH")) {
        status = kol_fail(err, KOL_USAGE,
                          "redis %s asks for a password and none is set: set that of Redis",
                          redis->name);
    } else if (status == KOL_IO) {
        redis_add_last_words(&pipe->reading, &redis->options, redis->name, err);
    }
    if (status == KOL_OK) {
        status = run_unknown(pipe, pipe->link, &pipe->reading, pipe->until_ns, err);
    }
    redis_pool_put(&redis->pool, pipe->link, pipe->commands, status);
    pipe->link = NULL;
    if (status == KOL_OK) {
        pipe->answers = pipe->reading.answers;
        pipe->answered = pipe->commands;
    }
    return status;
}

enum kol_status redis_run(struct redis_pipe *pipe, int64_t deadline_ns, struct kol_error *err)
{
    struct redis *redis = pipe->redis;
    struct redis_link *link = NULL;
    pipe->answered = 0;
    if (pipe->commands == 0) {
        return KOL_OK;
    }
    deadline_ns = deadline_ns > 0 ? deadline_ns : 0; /* so that differences stay in range */
    if (redis->cluster) {
        return redis_cluster_run(pipe, deadline_ns, err);
    }
    enum kol_status status = redis_pool_take(&redis->pool, deadline_ns, &link, err);
    if (status != KOL_OK) {
        return status;
    }
    set_out(pipe, link, deadline_ns);
    status = redis_link_exchange(link, redis->name, buf_str(&pipe->out), &pipe->reading,
                                 pipe->until_ns, err);
    return arrive(pipe, status, err);
}

bool redis_begin(struct redis_pipe *pipe, int64_t deadline_ns)
{
    struct redis *redis = pipe->redis;
    struct redis_link *link = NULL;
    if (pipe->commands > 0 && pipe->run_count == 0 && !redis->cluster && !redis->tls) {
        link = redis_pool_take_idle(&redis->pool);
    }
    if (!link) {
        return false;
    }
    pipe->answered = 0;
    set_out(pipe, link, deadline_ns > 0 ? deadline_ns : 0);
    pipe->talk = (struct redis_talk){
        .link = link, .name = redis->name, .out = buf_str(&pipe->out), .reading = &pipe->reading};
    redis_talk_go_on(&pipe->talk, POLLOUT);
    return true;
}

void redis_wait(const struct redis_pipe *pipe, int *fd, bool *write, int64_t *until_ns)
{
    *fd = pipe->link->fd;
    *write = pipe->talk.out.len != 0;
    /* One that failed while it began is told by no descriptor. */
    *until_ns = pipe->talk.over ? 0 : pipe->until_ns;
}

bool redis_go_on(struct redis_pipe *pipe)
{
    struct redis_talk *talk = &pipe->talk;
    if (!talk->over) {
        redis_talk_go_on(talk, talk->out.len ? POLLIN | POLLOUT : POLLIN);
    }
    return talk->over || clock_mono_ns() >= pipe->until_ns;
}

enum kol_status redis_end(struct redis_pipe *pipe, struct kol_error *err)
{
    if (!pipe->talk.over) {
        redis_talk_give_up(&pipe->talk);
    }
    if (pipe->talk.status != KOL_OK && err) {
        *err = pipe->talk.err;
    }
    return arrive(pipe, pipe->talk.status, err);
}

/* ---- answers ---- */

const struct redis_answer *redis_answer(const struct redis_pipe *pipe, size_t place)
{
    KOL_ASSERT(place < pipe->answered);
    return &pipe->answers[place];
}

bool redis_is_error(const struct redis_answer *answer, const char *word)
{
    struct str rest = answer->text;
    return answer->kind == REDIS_ERROR && str_is(str_cut(&rest, ' '), word);
}
