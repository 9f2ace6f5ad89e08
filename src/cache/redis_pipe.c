/*
 * redis_pipe.c: commands and scripts gathered in a pipe, as they will be sent.
 *
 * Where the server is one of a cluster, it is noted beside each command where it lies among the
 * bytes and which slot it is for, so that they can be dealt out to the nodes.
 */
#include <gnutls/crypto.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cache/redis_parts.h"

enum {
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
        free((*pipe)->routes);
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

/* ---- commands ---- */

/* Where the command that was just added goes; it began at `from`. */
static size_t add_route(struct redis_pipe *pipe, size_t from, uint32_t slot)
{
    if (pipe->redis->cluster) {
        if (pipe->commands == pipe->route_room) {
            pipe->route_room = pipe->route_room ? 2 * pipe->route_room : 16;
            pipe->routes = mem_realloc(pipe->routes, pipe->route_room * sizeof *pipe->routes);
        }
        pipe->routes[pipe->commands] = (struct redis_command){from, pipe->out.len, slot};
    }
    return pipe->commands++;
}

/* One server has all keys: it is not asked where they are. */
static uint32_t slot_of(const struct redis_pipe *pipe, struct str key)
{
    return pipe->redis->cluster ? redis_slot(key) : REDIS_ANY_SLOT;
}

size_t redis_add(struct redis_pipe *pipe, size_t argc, const struct str *argv, size_t key)
{
    KOL_ASSERT(argc > 0 && key < argc);
    const size_t from = pipe->out.len;
    redis_put_head(&pipe->out, argc);
    for (size_t i = 0; i < argc; i++) {
        redis_put_argument(&pipe->out, argv[i]);
    }
    return add_route(pipe, from, key ? slot_of(pipe, argv[key]) : REDIS_ANY_SLOT);
}

size_t redis_add_at(struct redis_pipe *pipe, uint32_t slot, size_t argc, const struct str *argv)
{
    KOL_ASSERT(slot < REDIS_SLOTS);
    const size_t place = redis_add(pipe, argc, argv, 0);
    if (pipe->redis->cluster) {
        pipe->routes[place].slot = slot;
    }
    return place;
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
    const size_t from = pipe->out.len;
    uint32_t slot = REDIS_ANY_SLOT;
    size_t place = 0;
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
        slot = place++ == 1 ? slot_of(pipe, word) : slot;
        redis_put_argument(&pipe->out, word);
    }
    va_end(args);
    return add_route(pipe, from, slot);
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
    pthread_mutex_lock(&redis->script_lock);
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
    pthread_mutex_unlock(&redis->script_lock);
    return known;
}

static struct redis_script_run *add_run(struct redis_pipe *pipe)
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
    const size_t from = pipe->out.len;
    struct redis_script_run *run = add_run(pipe);
    *run = (struct redis_script_run){.script = script, .place = pipe->commands, .argc = argc + 3};
    redis_put_head(&pipe->out, run->argc);
    redis_put_argument(&pipe->out, STR("EVALSHA"));
    redis_put_argument(&pipe->out, str_of(know_script(pipe->redis, script)->hash));
    run->from = pipe->out.len;
    redis_put_argument(&pipe->out, str_of(number));
    for (size_t i = 0; i < argc; i++) {
        redis_put_argument(&pipe->out, argv[i]);
    }
    run->to = pipe->out.len;
    return add_route(pipe, from, slot_of(pipe, argv[0]));
}

const struct redis_script_run *redis_run_at(const struct redis_pipe *pipe, size_t place)
{
    size_t first = 0, end = pipe->run_count;
    while (first < end) {
        const size_t middle = (first + end) / 2;
        if (pipe->runs[middle].place < place) {
            first = middle + 1;
        } else {
            end = middle;
        }
    }
    return first < pipe->run_count && pipe->runs[first].place == place ? &pipe->runs[first] : NULL;
}

void redis_put_whole(const struct redis_pipe *pipe, const struct redis_script_run *run,
                     struct buf *out)
{
    redis_put_head(out, run->argc);
    redis_put_argument(out, STR("EVAL"));
    redis_put_argument(out, str_of(run->script->lua));
    buf_append(out, pipe->out.ptr + run->from, run->to - run->from);
}
