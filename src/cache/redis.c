/*
 * redis.c: pipes of commands, and the pool of connections that they go over.
 *
 * A pipe takes a connection out of the pool, or makes one, has it for itself for one round trip and
 * gives it back only if all answers came. So at most as many are open as pipes run at once. The one
 * that was used last is taken first: the others grow old, and are dropped when the server closed
 * them.
 *
 * The lock of the pool is held to take, to give and to count; never while anything waits.
 */
#include "cache/redis.h"

#include <gnutls/crypto.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
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
    /* A cleared pipe keeps the memory of its commands up to this. */
    KEPT_BYTES = 1024 * 1024,
    SHA1_BYTES = 20,
};

/* A script that was added once, with the name that the server knows it by. There are a few in a
 * program, and they only come: read without the lock, from the newest on. */
struct known_script {
    const struct redis_script *script;
    const struct known_script *next;
    char hash[2 * SHA1_BYTES + 1]; /* SHA-1 of its text in hexadecimal */
};

struct redis {
    struct arena arena; /* the texts of the options, the name, and the scripts */
    _Atomic(const struct known_script *) scripts;
    struct redis_options options;
    const char *name;
    pthread_mutex_t lock; /* of what follows */
    struct redis_link *idle;
    struct redis_counts counts; /* open: those in use and the idle ones */
};

/* One command of a pipe that runs a script. */
struct script_run {
    const struct redis_script *script;
    size_t place;    /* among the commands */
    size_t argc;     /* of EVALSHA */
    size_t from, to; /* in `out`: the arguments behind the hash, which EVAL has too */
};

struct redis_pipe {
    struct redis *redis;
    struct buf out; /* the commands, as they are sent */
    size_t commands;
    struct script_run *runs; /* in the order of their places */
    size_t run_count, run_room;
    struct arena arena; /* of the answers */
    const struct redis_answer *answers;
    size_t answered; /* `commands` of the run that succeeded; 0: nothing can be read */
};

/* ---- opening ---- */

static const char *keep(struct arena *arena, const char *text)
{
    return text ? arena_copy(arena, str_of(text)).ptr : NULL;
}

static enum kol_status check(const struct redis_options *options, struct kol_error *err)
{
    if (options->tls) {
        return kol_fail(err, KOL_UNSUPPORTED,
                        "this build speaks no TLS to Redis: use redis:// within a private network, "
                        "unix://, or a TLS tunnel on this machine");
    }
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
    return KOL_OK;
}

static void set_name(struct redis *redis)
{
    const struct redis_options *options = &redis->options;
    struct buf name = {0};
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
    const enum kol_status status = check(options, err);
    if (status != KOL_OK) {
        return status;
    }
    struct redis *redis = mem_zalloc(1, sizeof *redis);
    arena_init(&redis->arena, 1024);
    redis->options = *options;
    struct redis_options *own = &redis->options;
    own->host = keep(&redis->arena, options->host ? options->host : "127.0.0.1");
    own->port = options->port ? options->port : DEFAULT_PORT;
    own->path = keep(&redis->arena, options->path);
    own->user = keep(&redis->arena, options->user);
    own->password = keep(&redis->arena, options->password);
    own->connect_us = options->connect_us ? options->connect_us : DEFAULT_CONNECT_US;
    own->answer_us = options->answer_us ? options->answer_us : DEFAULT_ANSWER_US;
    own->connections = options->connections ? options->connections : DEFAULT_CONNECTIONS;
    own->answer_max = options->answer_max ? options->answer_max : DEFAULT_ANSWER_MAX;
    set_name(redis);
    KOL_ASSERT(pthread_mutex_init(&redis->lock, NULL) == 0);
    *out = redis;
    return KOL_OK;
}

void redis_close(struct redis **redis)
{
    struct redis *closing = *redis;
    if (!closing) {
        return;
    }
    KOL_ASSERT(closing->counts.open == closing->counts.idle);
    while (closing->idle) {
        struct redis_link *link = closing->idle;
        closing->idle = link->next;
        redis_link_free(&link);
    }
    pthread_mutex_destroy(&closing->lock);
    arena_free(&closing->arena);
    free(closing);
    *redis = NULL;
}

const char *redis_name(const struct redis *redis)
{
    return redis->name;
}

const struct redis_options *redis_own_options(const struct redis *redis)
{
    return &redis->options;
}

void redis_counts(struct redis *redis, struct redis_counts *out)
{
    pthread_mutex_lock(&redis->lock);
    *out = redis->counts;
    pthread_mutex_unlock(&redis->lock);
}

/* ---- the pool ---- */

static struct redis_link *pop_idle(struct redis *redis)
{
    pthread_mutex_lock(&redis->lock);
    struct redis_link *link = redis->idle;
    if (link) {
        redis->idle = link->next;
        redis->counts.idle--;
    }
    pthread_mutex_unlock(&redis->lock);
    return link;
}

/* Closes a connection that was open, by our failure or the server's. */
static void drop(struct redis *redis, struct redis_link *link)
{
    pthread_mutex_lock(&redis->lock);
    redis->counts.open--;
    redis->counts.lost_connections++;
    pthread_mutex_unlock(&redis->lock);
    redis_link_free(&link);
}

static void give_back(struct redis *redis, struct redis_link *link)
{
    pthread_mutex_lock(&redis->lock);
    const bool kept = redis->counts.idle < redis->options.connections;
    if (kept) {
        link->next = redis->idle;
        redis->idle = link;
        redis->counts.idle++;
    } else {
        redis->counts.open--;
    }
    pthread_mutex_unlock(&redis->lock);
    if (!kept) {
        redis_link_free(&link);
    }
}

static int64_t earlier(int64_t deadline_ns, int64_t limit_us)
{
    const int64_t limit_ns = clock_mono_ns() + limit_us * 1000;
    return limit_ns < deadline_ns ? limit_ns : deadline_ns;
}

static enum kol_status connect_anew(struct redis *redis, int64_t deadline_ns,
                                    struct redis_link **out, struct kol_error *err)
{
    const enum kol_status status = redis_link_open(
        &redis->options, redis->name, earlier(deadline_ns, redis->options.connect_us), out, err);
    pthread_mutex_lock(&redis->lock);
    if (status == KOL_OK) {
        redis->counts.connections++;
        redis->counts.open++;
    } else {
        redis->counts.failed_connections++;
        redis->counts.timeouts += status == KOL_TIMEOUT;
    }
    pthread_mutex_unlock(&redis->lock);
    return status;
}

/* An idle connection that the server has not closed meanwhile (it was restarted, or has a time
 * limit for idle clients), or a new one. */
static enum kol_status take(struct redis *redis, int64_t deadline_ns, struct redis_link **out,
                            struct kol_error *err)
{
    while ((*out = pop_idle(redis))) {
        if (redis_link_is_quiet(*out)) {
            return KOL_OK;
        }
        drop(redis, *out);
    }
    return connect_anew(redis, deadline_ns, out, err);
}

static void count_run(struct redis *redis, struct redis_link *link, size_t commands,
                      enum kol_status status)
{
    pthread_mutex_lock(&redis->lock);
    redis->counts.pipes++;
    redis->counts.commands += (int64_t)commands;
    redis->counts.timeouts += status == KOL_TIMEOUT;
    redis->counts.sent_bytes += link->sent_bytes;
    redis->counts.read_bytes += link->read_bytes;
    pthread_mutex_unlock(&redis->lock);
    link->sent_bytes = link->read_bytes = 0;
}

/* ---- pipes ---- */

struct redis_pipe *redis_pipe_new(struct redis *redis)
{
    struct redis_pipe *pipe = mem_zalloc(1, sizeof *pipe);
    pipe->redis = redis;
    arena_init(&pipe->arena, 0);
    return pipe;
}

void redis_pipe_free(struct redis_pipe **pipe)
{
    if (*pipe) {
        buf_free(&(*pipe)->out);
        free((*pipe)->runs);
        arena_free(&(*pipe)->arena);
        free(*pipe);
        *pipe = NULL;
    }
}

void redis_clear(struct redis_pipe *pipe)
{
    if (pipe->out.cap > KEPT_BYTES) {
        buf_free(&pipe->out);
    }
    buf_clear(&pipe->out);
    arena_reset(&pipe->arena);
    pipe->commands = pipe->run_count = pipe->answered = 0;
}

size_t redis_add(struct redis_pipe *pipe, size_t argc, const struct str *argv, size_t key)
{
    /* One server holds every key, so its place is of no further interest. */
    KOL_ASSERT(argc > 0 && key < argc);
    redis_put_head(&pipe->out, argc);
    for (size_t i = 0; i < argc; i++) {
        redis_put_argument(&pipe->out, argv[i]);
    }
    return pipe->commands++;
}

/* The next of `*rest` that stand apart by spaces; empty at the end. */
static struct str next_word(struct str *rest)
{
    struct str word = {0};
    while (word.len == 0 && rest->len > 0) {
        word = str_cut(rest, ' ');
    }
    return word;
}

size_t redis_addf(struct redis_pipe *pipe, const char *words, ...)
{
    size_t argc = 0;
    struct str rest = str_of(words);
    while (next_word(&rest).len) {
        argc++;
    }
    KOL_ASSERT(argc > 0);
    redis_put_head(&pipe->out, argc);
    va_list args;
    va_start(args, words);
    rest = str_of(words);
    for (struct str word = next_word(&rest); word.len; word = next_word(&rest)) {
        char number[24];
        if (str_is(word, "%s")) {
            word = str_of(va_arg(args, const char *));
        } else if (str_is(word, "%S")) {
            word = va_arg(args, struct str);
        } else if (str_is(word, "%d")) {
            snprintf(number, sizeof number, "%lld", (long long)va_arg(args, int64_t));
            word = str_of(number);
        }
        redis_put_argument(&pipe->out, word);
    }
    va_end(args);
    return pipe->commands++;
}

/* ---- scripts ---- */

static const struct known_script *find_script(const struct known_script *at,
                                              const struct redis_script *script)
{
    while (at && at->script != script) {
        at = at->next;
    }
    return at;
}

static const struct known_script *know_script(struct redis *redis,
                                              const struct redis_script *script)
{
    const struct known_script *known = find_script(atomic_load(&redis->scripts), script);
    if (known) {
        return known;
    }
    unsigned char digest[SHA1_BYTES];
    KOL_ASSERT(gnutls_hash_fast(GNUTLS_DIG_SHA1, script->lua, strlen(script->lua), digest) == 0);
    pthread_mutex_lock(&redis->lock);
    known = find_script(atomic_load(&redis->scripts), script);
    if (!known) {
        struct known_script *added = arena_alloc(&redis->arena, sizeof *added);
        *added = (struct known_script){.script = script, .next = atomic_load(&redis->scripts)};
        for (size_t i = 0; i < sizeof digest; i++) {
            snprintf(added->hash + 2 * i, 3, "%02x", digest[i]);
        }
        atomic_store(&redis->scripts, added);
        known = added;
    }
    pthread_mutex_unlock(&redis->lock);
    return known;
}

static struct script_run *add_run(struct redis_pipe *pipe)
{
    if (pipe->run_count == pipe->run_room) {
        pipe->run_room = pipe->run_room ? 2 * pipe->run_room : 16;
        pipe->runs = mem_realloc(pipe->runs, pipe->run_room * sizeof *pipe->runs);
    }
    return &pipe->runs[pipe->run_count++];
}

size_t redis_add_script(struct redis_pipe *pipe, const struct redis_script *script, size_t keys,
                        size_t argc, const struct str *argv)
{
    KOL_ASSERT(keys > 0 && keys <= argc);
    char number[24];
    snprintf(number, sizeof number, "%zu", keys);
    struct script_run *run = add_run(pipe);
    *run = (struct script_run){.script = script, .place = pipe->commands, .argc = argc + 3};
    redis_put_head(&pipe->out, run->argc);
    redis_put_argument(&pipe->out, STR("EVALSHA"));
    redis_put_argument(&pipe->out, str_of(know_script(pipe->redis, script)->hash));
    run->from = pipe->out.len;
    redis_put_argument(&pipe->out, str_of(number));
    for (size_t i = 0; i < argc; i++) {
        redis_put_argument(&pipe->out, argv[i]);
    }
    run->to = pipe->out.len;
    return pipe->commands++;
}

/* Appends, whole, the runs whose script the server did not know; returns how many. */
static size_t put_unknown(const struct redis_pipe *pipe, const struct redis_answer *answers,
                          struct buf *out)
{
    size_t count = 0;
    for (size_t i = 0; i < pipe->run_count; i++) {
        const struct script_run *run = &pipe->runs[i];
        if (redis_is_error(&answers[run->place], "NOSCRIPT")) {
            redis_put_head(out, run->argc);
            redis_put_argument(out, STR("EVAL"));
            redis_put_argument(out, str_of(run->script->lua));
            buf_append(out, pipe->out.ptr + run->from, run->to - run->from);
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

/* Adds what the server said before it closed the connection ("ERR max number of clients ..."). */
static void add_last_words(const struct redis_reading *reading, const char *name,
                           struct kol_error *err)
{
    const struct redis_answer *first = &reading->answers[0];
    if (reading->got > 0 && first->kind == REDIS_ERROR) {
        const int len = first->text.len > 120 ? 120 : (int)first->text.len;
        kol_wrap(err, "redis %s said `%.*s`", name, len, first->text.ptr);
    }
}

enum kol_status redis_run(struct redis_pipe *pipe, int64_t deadline_ns, struct kol_error *err)
{
    struct redis *redis = pipe->redis;
    struct redis_link *link = NULL;
    struct redis_reading reading;
    pipe->answered = 0;
    if (pipe->commands == 0) {
        return KOL_OK;
    }
    deadline_ns = deadline_ns > 0 ? deadline_ns : 0; /* so that differences stay in range */
    enum kol_status status = take(redis, deadline_ns, &link, err);
    if (status != KOL_OK) {
        return status;
    }
    arena_reset(&pipe->arena);
    redis_reading_begin(&reading, &pipe->arena, pipe->commands, redis->options.answer_max);
    deadline_ns = earlier(deadline_ns, redis->options.answer_us);
    status =
        redis_link_exchange(link, redis->name, buf_str(&pipe->out), &reading, deadline_ns, err);
    if (status == KOL_OK && redis_is_error(&reading.answers[0], "NOAUTH")) {
        status = kol_fail(err, KOL_USAGE,
                          "redis %s asks for a password and none is set: set that of Redis",
                          redis->name);
    } else if (status == KOL_IO) {
        add_last_words(&reading, redis->name, err);
    }
    if (status == KOL_OK) {
        status = run_unknown(pipe, link, &reading, deadline_ns, err);
    }
    count_run(redis, link, pipe->commands, status);
    if (status != KOL_OK) {
        drop(redis, link);
        return status;
    }
    give_back(redis, link);
    pipe->answers = reading.answers;
    pipe->answered = pipe->commands;
    return KOL_OK;
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
