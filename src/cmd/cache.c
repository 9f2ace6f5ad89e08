/*
 * cache.c: `kol cache`: what is in Redis, one key of it, and taking keys out for all processes.
 *
 * A purge first takes the keys out of Redis, then tells every process on SERVE_CHANNEL, so that
 * nobody reads again what is just going.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cmd/command.h"
#include "cmd/redis.h"
#include "cmd/redis_nodes.h"
#include "domain/event.h"
#include "serve/store.h"

enum { UNLINK_AT_ONCE = 500 };

static bool is_platform(struct str text)
{
    for (int p = PLATFORM_TIKTOK; p <= PLATFORM_INSTAGRAM; p++) {
        if (str_is(text, platform_name((enum platform)p))) {
            return true;
        }
    }
    return str_is(text, "all");
}

static bool read_kind(struct str key, enum serve_key *kind)
{
    struct str parts[SERVE_PARTS];
    return serve_key_read(key, is_platform, kind, parts);
}

static enum kol_status run(struct redis_pipe *pipe, struct kol_error *err)
{
    return redis_run(pipe, clock_mono_ns() + REDIS_ASK_US * INT64_C(1000), err);
}

/* What Redis refuses is a failure of the command, with its word. */
static enum kol_status check(const struct redis_answer *answer, struct kol_error *err)
{
    return answer->kind == REDIS_ERROR
               ? kol_fail(err, KOL_CONFLICT, "Redis says: %.*s", STR_FORMAT(answer->text))
               : KOL_OK;
}

/* ---- status ---- */

static const char *const type_names[] = {
    [SERVE_HASH] = "hash", [SERVE_STRING] = "string", [SERVE_ZSET] = "zset", [SERVE_LIST] = "list"};

struct counts {
    struct redis *redis;
    int64_t keys[SERVE_KEYS], lasting[SERVE_KEYS]; /* lasting: without a TTL */
    int64_t siblings, others;
};

/* Whether a key is the sibling of a set; `set` is the key of that. */
static bool is_sibling(struct str key, struct str *set)
{
    static const struct str tail = {"}:meta", 6};
    if (!str_starts(key, STR("{")) || key.len <= tail.len + 1 ||
        memcmp(key.ptr + key.len - tail.len, tail.ptr, tail.len) != 0) {
        return false;
    }
    *set = (struct str){key.ptr + 1, key.len - tail.len - 1};
    return true;
}

/* Counts keys by kind, and those that would stay for ever. */
static enum kol_status count_some(const struct str *keys, size_t count, void *user,
                                  struct kol_error *err)
{
    struct counts *counts = user;
    struct redis_pipe *pipe = redis_pipe_new(counts->redis);
    enum serve_key *kinds = mem_alloc((count + 1) * sizeof *kinds);
    struct str set;
    size_t asked = 0;
    for (size_t i = 0; i < count; i++) {
        if (read_kind(keys[i], &kinds[asked])) {
            redis_addf(pipe, "PTTL %S", keys[i]);
            counts->keys[kinds[asked++]]++;
        } else if (is_sibling(keys[i], &set)) {
            counts->siblings++;
        } else {
            counts->others++;
        }
    }
    const enum kol_status status = run(pipe, err);
    for (size_t i = 0; i < asked && status == KOL_OK; i++) {
        const struct redis_answer *answer = redis_answer(pipe, i);
        counts->lasting[kinds[i]] += answer->kind == REDIS_NUMBER && answer->number == -1;
    }
    free(kinds);
    redis_pipe_free(&pipe);
    return status;
}

static void put_row(struct rows *rows, const char *what, struct str value, const char *note)
{
    rows_text(rows, str_of(what));
    rows_text(rows, value);
    rows_text(rows, str_of(note));
}

static void put_number(struct rows *rows, const char *what, int64_t value, const char *note)
{
    rows_text(rows, str_of(what));
    rows_int(rows, value);
    rows_text(rows, str_of(note));
}

/* Sums over all servers; the policy is that of the first. */
static enum kol_status put_servers(struct rows *rows, struct redis_nodes *nodes,
                                   struct kol_error *err)
{
    struct buf info = {0};
    struct str text = {0};
    int64_t used = 0, most = 0, hits = 0, misses = 0, evicted = 0;
    enum kol_status status = KOL_OK;
    put_row(rows, "redis", str_of(redis_name(nodes->redis)),
            nodes->count > 1 ? "the first of a cluster" : "");
    put_number(rows, "servers", (int64_t)nodes->count, "");
    for (size_t i = 0; i < nodes->count && status == KOL_OK; i++) {
        buf_clear(&info);
        status = redis_nodes_info(nodes, i, "everything", &info, err);
        used += redis_info_number(buf_str(&info), "used_memory");
        most += redis_info_number(buf_str(&info), "maxmemory");
        hits += redis_info_number(buf_str(&info), "keyspace_hits");
        misses += redis_info_number(buf_str(&info), "keyspace_misses");
        evicted += redis_info_number(buf_str(&info), "evicted_keys");
    }
    if (status == KOL_OK) {
        put_row(rows, "version",
                redis_info_text(buf_str(&info), "redis_version", &text) ? text : STR("unknown"),
                "");
        put_number(rows, "memory", used, "bytes in use");
        put_number(rows, "maxmemory", most, most ? "bytes" : "no limit is set");
        put_row(rows, "policy",
                redis_info_text(buf_str(&info), "maxmemory_policy", &text) ? text : STR("unknown"),
                "");
        put_number(rows, "evicted", evicted, "keys, since Redis was started");
        put_number(rows, "hits", hits, "of reads by anybody, since Redis was started");
        put_number(rows, "misses", misses, "");
    } else if (status == KOL_UNSUPPORTED) {
        put_row(rows, "version", STR("unknown"), "this user may not ask for it (INFO)");
        status = KOL_OK;
    }
    buf_free(&info);
    return status;
}

static void put_kinds(struct rows *rows, const struct counts *counts, double scale)
{
    for (int i = 0; i < SERVE_KEYS; i++) {
        struct buf note = {0};
        buf_puts(&note, type_names[serve_keys[i].type]);
        if (counts->lasting[i]) {
            buf_printf(&note, "; %lld of those looked at would stay for ever",
                       (long long)counts->lasting[i]);
        }
        put_number(rows, serve_keys[i].pattern, (int64_t)((double)counts->keys[i] * scale + 0.5),
                   note.ptr);
        buf_free(&note);
    }
    put_number(rows, "siblings of sets", (int64_t)((double)counts->siblings * scale + 0.5), "hash");
    put_number(rows, "other keys", (int64_t)((double)counts->others * scale + 0.5),
               "of other programs");
}

static enum kol_status put_counts(struct rows *rows, struct redis_nodes *nodes, int64_t most,
                                  struct kol_error *err)
{
    struct counts counts = {.redis = nodes->redis};
    int64_t looked = 0, size = 0;
    char note[120] = "all were looked at";
    enum kol_status status = redis_nodes_size(nodes, &size, err);
    if (status == KOL_OK) {
        status = redis_nodes_scan(nodes, STR("*"), most, count_some, &counts, &looked, err);
    }
    if (status != KOL_OK) {
        return status;
    }
    const bool all = size <= most;
    if (!all) {
        snprintf(note, sizeof note, "%lld were looked at; what follows is estimated from them",
                 (long long)looked);
    }
    put_number(rows, "keys", size, note);
    put_kinds(rows, &counts, all || !looked ? 1 : (double)size / (double)looked);
    return KOL_OK;
}

static enum kol_status put_metadata(struct rows *rows, struct redis *redis, struct kol_error *err)
{
    struct redis_pipe *pipe = redis_pipe_new(redis);
    struct buf key = {0};
    struct arena arena;
    struct serve_hash hash;
    arena_init(&arena, 0);
    serve_key_put(&key, SERVE_KEY_METADATA, NULL);
    const size_t place = serve_ask(pipe, SERVE_KEY_METADATA, buf_str(&key));
    const enum kol_status status = run(pipe, err);
    if (status == KOL_OK &&
        serve_take_hash(pipe, place, SERVE_KEY_METADATA, &arena, &hash) == SERVE_HELD) {
        for (size_t i = 0; i < hash.count; i++) {
            struct buf what = {0};
            buf_printf(&what, "%s %.*s", key.ptr, STR_FORMAT(hash.fields[i].name));
            put_row(rows, what.ptr, hash.fields[i].value, "");
            buf_free(&what);
        }
    } else if (status == KOL_OK) {
        put_row(rows, key.ptr, STR("none"), "no warm has ended yet (`kol warm`)");
    }
    arena_free(&arena);
    buf_free(&key);
    redis_pipe_free(&pipe);
    return status;
}

static enum kol_status cache_status(const struct invocation *call, struct redis *redis,
                                    struct kol_error *err)
{
    static const char *const names[] = {"what", "value", "note"};
    struct redis_nodes nodes;
    enum kol_status status =
        redis_nodes_find(redis, config_bool(call->config, OPTION_REDIS_CLUSTER), &nodes, err);
    if (status == KOL_OK) {
        struct rows *rows = rows_begin(stdout, call->format, names, ARRAY_LEN(names));
        status = put_servers(rows, &nodes, err);
        if (status == KOL_OK) {
            status = put_counts(rows, &nodes, flag_int(call, "scan"), err);
        }
        if (status == KOL_OK) {
            status = put_metadata(rows, redis, err);
        }
        status = rows_finish(&rows, status, err);
    }
    redis_nodes_free(&nodes);
    return status;
}

/* ---- get ---- */

static void put_value(struct rows *rows, const char *what, struct str name, struct str value)
{
    rows_text(rows, str_of(what));
    rows_text(rows, name);
    rows_text(rows, value);
}

/* Pairs of a list: fields and values, or members and scores. */
static void put_pairs(struct rows *rows, const char *what, const struct redis_answer *answer)
{
    for (size_t i = 0; i + 1 < answer->count; i += 2) {
        put_value(rows, what, answer->items[i].text, answer->items[i + 1].text);
    }
}

static void put_items(struct rows *rows, const struct redis_answer *answer)
{
    for (size_t i = 0; i < answer->count; i++) {
        struct buf number = {0};
        buf_put_int64(&number, (int64_t)i);
        put_value(rows, "item", buf_str(&number), answer->items[i].text);
        buf_free(&number);
    }
}

static size_t ask_value(struct redis_pipe *pipe, struct str type, struct str key)
{
    const int64_t last = SERVE_MEMBERS_READ - 1;
    if (str_is(type, "hash")) {
        return redis_addf(pipe, "HGETALL %S", key);
    }
    if (str_is(type, "zset")) {
        return redis_addf(pipe, "ZREVRANGE %S 0 %d WITHSCORES", key, last);
    }
    return str_is(type, "list") ? redis_addf(pipe, "LRANGE %S 0 %d", key, last)
                                : redis_addf(pipe, "GET %S", key);
}

static enum kol_status print_value(const struct invocation *call, struct redis_pipe *pipe,
                                   struct str key, struct str type, int64_t ttl_ms,
                                   struct kol_error *err)
{
    static const char *const names[] = {"what", "name", "value"};
    redis_clear(pipe);
    const size_t place = ask_value(pipe, type, key);
    enum kol_status status = run(pipe, err);
    if (status == KOL_OK) {
        status = check(redis_answer(pipe, place), err);
    }
    if (status != KOL_OK) {
        return status;
    }
    const struct redis_answer *answer = redis_answer(pipe, place);
    struct buf ttl = {0};
    buf_put_int64(&ttl, ttl_ms);
    struct rows *rows = rows_begin(stdout, call->format, names, ARRAY_LEN(names));
    put_value(rows, "key", STR("type"), type);
    put_value(rows, "key", STR("ttl_ms"), buf_str(&ttl));
    if (str_is(type, "hash")) {
        put_pairs(rows, "field", answer);
    } else if (str_is(type, "zset")) {
        put_pairs(rows, "member", answer);
    } else if (str_is(type, "list")) {
        put_items(rows, answer);
    } else {
        put_value(rows, "text", STR(""), answer->text);
    }
    buf_free(&ttl);
    return rows_end(&rows, err);
}

/* What is odd about a key, for a person. */
static void remark(struct str key, struct str type, int64_t ttl_ms)
{
    enum serve_key kind;
    if (!read_kind(key, &kind)) {
        fprintf(stderr, "%.*s is no key of kol's, see docs/cache-keys.md\n", STR_FORMAT(key));
    } else if (!str_is(type, type_names[serve_keys[kind].type])) {
        fprintf(stderr,
                "a %s is expected under this key: kol takes it for missing, or in its older form, "
                "and writes it anew\n",
                type_names[serve_keys[kind].type]);
    }
    if (ttl_ms < 0) {
        fputs("it has no TTL: nothing that kol writes is without one\n", stderr);
    }
}

static enum kol_status cache_get(const struct invocation *call, struct redis *redis,
                                 struct kol_error *err)
{
    const struct str key = str_of(call->args[1]);
    struct redis_pipe *pipe = redis_pipe_new(redis);
    struct buf type = {0};
    redis_addf(pipe, "TYPE %S", key);
    redis_addf(pipe, "PTTL %S", key);
    enum kol_status status = run(pipe, err);
    if (status == KOL_OK) {
        status = check(redis_answer(pipe, 0), err);
    }
    if (status == KOL_OK) {
        const int64_t ttl_ms = redis_answer(pipe, 1)->number;
        buf_put(&type, redis_answer(pipe, 0)->text);
        if (str_is(buf_str(&type), "none")) {
            status = kol_fail(err, KOL_NOT_FOUND, "there is no key %s", call->args[1]);
        } else {
            remark(key, buf_str(&type), ttl_ms);
            status = print_value(call, pipe, key, buf_str(&type), ttl_ms, err);
        }
    }
    buf_free(&type);
    redis_pipe_free(&pipe);
    return status;
}

/* ---- purge ---- */

struct purge {
    struct redis *redis;
    bool derived; /* only what can be made anew */
    int64_t gone;
};

/* What nobody could make anew stays unless it is named: who is logged in, what was searched. */
static bool is_derived(enum serve_key kind)
{
    return kind != SERVE_KEY_RECENT && kind != SERVE_KEY_SESSION && kind != SERVE_KEY_RATE_LIMIT &&
           kind != SERVE_KEY_LOCK;
}

static size_t add_unlink(struct redis_pipe *pipe, struct str key, enum serve_key kind)
{
    redis_addf(pipe, "UNLINK %S", key);
    if (serve_keys[kind].type != SERVE_ZSET) {
        return 1;
    }
    struct buf sibling = {0};
    serve_key_put_meta(&sibling, key);
    redis_addf(pipe, "UNLINK %S", buf_str(&sibling));
    buf_free(&sibling);
    return 2;
}

/* Takes out keys of the table; those of other programs stay whatever they begin with. */
static enum kol_status unlink_some(const struct str *keys, size_t count, void *user,
                                   struct kol_error *err)
{
    struct purge *purge = user;
    struct redis_pipe *pipe = redis_pipe_new(purge->redis);
    enum kol_status status = KOL_OK;
    for (size_t from = 0; from < count && status == KOL_OK; from += UNLINK_AT_ONCE) {
        size_t places = 0;
        redis_clear(pipe);
        for (size_t i = from; i < count && i < from + UNLINK_AT_ONCE; i++) {
            enum serve_key kind;
            struct str key = keys[i];
            (void)is_sibling(keys[i], &key); /* of an empty set it is all that there is */
            if (read_kind(key, &kind) && (!purge->derived || is_derived(kind))) {
                places += add_unlink(pipe, key, kind);
            }
        }
        status = run(pipe, err);
        for (size_t i = 0; i < places && status == KOL_OK; i++) {
            status = check(redis_answer(pipe, i), err);
            purge->gone += status == KOL_OK ? redis_answer(pipe, i)->number : 0;
        }
    }
    redis_pipe_free(&pipe);
    return status;
}

static void put_glob(struct buf *out, struct str prefix)
{
    for (size_t i = 0; i < prefix.len; i++) {
        if (strchr("*?[]\\", prefix.ptr[i]) && prefix.ptr[i]) {
            buf_putc(out, '\\');
        }
        buf_putc(out, prefix.ptr[i]);
    }
    buf_putc(out, '*');
}

static enum kol_status unlink_prefix(const struct invocation *call, struct purge *purge,
                                     struct str prefix, struct kol_error *err)
{
    struct redis_nodes nodes;
    struct buf glob = {0};
    int64_t looked;
    put_glob(&glob, prefix);
    enum kol_status status = redis_nodes_find(
        purge->redis, config_bool(call->config, OPTION_REDIS_CLUSTER), &nodes, err);
    if (status == KOL_OK) {
        status =
            redis_nodes_scan(&nodes, buf_str(&glob), INT64_MAX, unlink_some, purge, &looked, err);
    }
    redis_nodes_free(&nodes);
    buf_free(&glob);
    return status;
}

static enum kol_status tell_all(struct redis *redis, struct str message, int64_t *told,
                                struct kol_error *err)
{
    struct redis_pipe *pipe = redis_pipe_new(redis);
    const size_t place = redis_addf(pipe, "PUBLISH %s %S", SERVE_CHANNEL, message);
    enum kol_status status = run(pipe, err);
    if (status == KOL_OK) {
        status = check(redis_answer(pipe, place), err);
    }
    *told = status == KOL_OK ? redis_answer(pipe, place)->number : 0;
    redis_pipe_free(&pipe);
    return status;
}

/* "key", "prefix", "tag" or "all": exactly one is to be given. */
static enum kol_status read_purge(const struct invocation *call, const char **what,
                                  struct str *name, struct kol_error *err)
{
    static const char *const named[] = {"key", "prefix", "tag"};
    size_t given = flag_bool(call, "all");
    *what = "all";
    *name = STR("");
    for (size_t i = 0; i < ARRAY_LEN(named); i++) {
        if (flag_given(call, named[i])) {
            given++;
            *what = named[i];
            *name = str_of(flag_text(call, named[i]));
        }
    }
    if (given != 1 || (strcmp(*what, "all") != 0 && !name->len)) {
        return kol_fail(err, KOL_USAGE,
                        "say what to purge: one of --key KEY, --prefix TEXT, --tag TAG, --all");
    }
    return KOL_OK;
}

static enum kol_status cache_purge(const struct invocation *call, struct redis *redis,
                                   struct kol_error *err)
{
    static const char *const names[] = {"purged", "name", "keys", "processes"};
    const char *what;
    struct str name;
    struct buf message = {0};
    struct purge purge = {.redis = redis};
    int64_t told = 0;
    enum kol_status status = read_purge(call, &what, &name, err);
    if (status != KOL_OK) {
        return status;
    }
    purge.derived = strcmp(what, "all") == 0;
    if (strcmp(what, "key") == 0) {
        status = unlink_some(&name, 1, &purge, err);
    } else if (strcmp(what, "tag") != 0) {
        status = unlink_prefix(call, &purge, name, err);
    }
    if (status == KOL_OK) {
        buf_puts(&message, what);
        buf_puts(&message, name.len ? " " : "");
        buf_put(&message, name);
        status = tell_all(redis, buf_str(&message), &told, err);
        buf_free(&message);
    }
    if (status == KOL_OK) {
        struct rows *rows = rows_begin(stdout, call->format, names, ARRAY_LEN(names));
        rows_text(rows, str_of(what));
        rows_text(rows, name);
        rows_int(rows, purge.gone);
        rows_int(rows, told);
        status = rows_end(&rows, err);
    }
    return status;
}

/* ---- the command ---- */

static const struct {
    const char *name;
    size_t args;
    enum kol_status (*run)(const struct invocation *call, struct redis *redis,
                           struct kol_error *err);
} subcommands[] = {
    {"status", 1, cache_status},
    {"get", 2, cache_get},
    {"purge", 1, cache_purge},
};

enum kol_status cmd_cache(const struct invocation *call, struct kol_error *err)
{
    const char *names[ARRAY_LEN(subcommands)];
    for (size_t i = 0; i < ARRAY_LEN(subcommands); i++) {
        names[i] = subcommands[i].name;
        if (strcmp(call->args[0], names[i]) != 0) {
            continue;
        }
        if (call->arg_count != subcommands[i].args) {
            return kol_fail(err, KOL_USAGE, "usage: kol cache %s%s (`kol help cache` explains it)",
                            names[i], subcommands[i].args > 1 ? " KEY" : "");
        }
        struct redis *redis;
        enum kol_status status = redis_from_config_needed(call->config, REDIS_ASK_US, &redis, err);
        if (status == KOL_OK) {
            status = subcommands[i].run(call, redis, err);
        }
        redis_close(&redis);
        return status;
    }
    const char *nearest = str_nearest(str_of(call->args[0]), names, ARRAY_LEN(names));
    return kol_fail(err, KOL_USAGE, "no such thing as `kol cache %s`%s%s%s", call->args[0],
                    nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
}
