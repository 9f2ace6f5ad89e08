/* redis_nodes.c: asking the servers of Redis one by one, through keys that lie on them. */
#include "cmd/redis_nodes.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "serve/keys.h"

enum {
    CANDIDATES = 2000, /* texts of which one lies on each primary, as good as surely */
    STEP = 1000,       /* keys that a server looks at in one go: well under a millisecond */
};

static const struct redis_script info_script = {"return redis.call('INFO',ARGV[1])"};
static const struct redis_script size_script = {"return redis.call('DBSIZE')"};
static const struct redis_script scan_script = {
    "return redis.call('SCAN',ARGV[1],'MATCH',ARGV[2],'COUNT',ARGV[3])"};

/* Keys that this user may name, and that nothing is written to here. */
static struct str candidate(struct arena *arena, int64_t number)
{
    struct buf text = {0}, key = {0};
    buf_put_int64(&text, number);
    const struct str part = buf_str(&text);
    serve_key_put(&key, SERVE_KEY_LOCK, &part);
    const struct str copy = arena_copy(arena, buf_str(&key));
    buf_free(&text);
    buf_free(&key);
    return copy;
}

static enum kol_status run(struct redis_pipe *pipe, struct kol_error *err)
{
    return redis_run(pipe, clock_mono_ns() + REDIS_ASK_US * INT64_C(1000), err);
}

/* An answer that is an error becomes one. */
static enum kol_status check(const struct redis_answer *answer, enum redis_kind kind,
                             const char *what, struct kol_error *err)
{
    if (answer->kind == kind) {
        return KOL_OK;
    }
    return kol_fail(err, KOL_UNSUPPORTED, "Redis does not answer %s: %.*s", what,
                    STR_FORMAT(answer->kind == REDIS_ERROR ? answer->text : STR("unexpected")));
}

/* ---- finding ---- */

static bool holds(const struct redis_answer *ranges, size_t from, const struct str *node,
                  int64_t slot)
{
    for (size_t i = from; i < ranges->count; i++) {
        const struct redis_answer *range = &ranges->items[i];
        if (range->kind == REDIS_LIST && range->count >= 3 && range->items[2].count >= 3 &&
            str_equal(range->items[2].items[2].text, *node) && slot >= range->items[0].number &&
            slot <= range->items[1].number) {
            return true;
        }
    }
    return false;
}

/* Takes the first candidate that lies on each primary. */
static enum kol_status choose_keys(struct redis_nodes *nodes, const struct redis_answer *ranges,
                                   struct redis_pipe *slots, struct kol_error *err)
{
    for (size_t i = 0; i < ranges->count; i++) {
        const struct redis_answer *range = &ranges->items[i];
        if (range->kind != REDIS_LIST || range->count < 3 || range->items[2].count < 3) {
            return kol_fail(err, KOL_CORRUPT, "Redis answers CLUSTER SLOTS with something else");
        }
        const struct str id = range->items[2].items[2].text;
        bool known = false;
        for (size_t k = 0; k < i && !known; k++) {
            known = str_equal(ranges->items[k].items[2].items[2].text, id);
        }
        for (int64_t at = 0; at < CANDIDATES && !known && nodes->count < REDIS_NODES_MAX; at++) {
            if (holds(ranges, i, &id, redis_answer(slots, (size_t)at)->number)) {
                nodes->keys[nodes->count++] = candidate(&nodes->arena, at);
                known = true;
            }
        }
    }
    return nodes->count ? KOL_OK
                        : kol_fail(err, KOL_NOT_FOUND, "the cluster of Redis has no slots yet");
}

static enum kol_status find_primaries(struct redis_nodes *nodes, struct kol_error *err)
{
    static const struct str ask[] = {{"CLUSTER", 7}, {"SLOTS", 5}};
    struct redis_pipe *map = redis_pipe_new(nodes->redis), *slots = redis_pipe_new(nodes->redis);
    redis_add(map, 2, ask, 0);
    for (int64_t i = 0; i < CANDIDATES; i++) {
        const struct str words[] = {STR("CLUSTER"), STR("KEYSLOT"), candidate(&nodes->arena, i)};
        redis_add(slots, ARRAY_LEN(words), words, 0);
    }
    enum kol_status status = run(map, err);
    if (status == KOL_OK) {
        status = check(redis_answer(map, 0), REDIS_LIST, "CLUSTER SLOTS", err);
    }
    if (status == KOL_OK) {
        status = run(slots, err);
    }
    if (status == KOL_OK) {
        status = choose_keys(nodes, redis_answer(map, 0), slots, err);
    }
    redis_pipe_free(&map);
    redis_pipe_free(&slots);
    return status;
}

enum kol_status redis_nodes_find(struct redis *redis, bool cluster, struct redis_nodes *out,
                                 struct kol_error *err)
{
    *out = (struct redis_nodes){.redis = redis};
    arena_init(&out->arena, 0);
    if (cluster) {
        return find_primaries(out, err);
    }
    out->keys[out->count++] = candidate(&out->arena, 0);
    return KOL_OK;
}

void redis_nodes_free(struct redis_nodes *nodes)
{
    arena_free(&nodes->arena);
}

/* ---- asking ---- */

enum kol_status redis_nodes_info(struct redis_nodes *nodes, size_t node, const char *section,
                                 struct buf *out, struct kol_error *err)
{
    struct redis_pipe *pipe = redis_pipe_new(nodes->redis);
    const struct str argv[] = {nodes->keys[node], str_of(section)};
    redis_add_script(pipe, &info_script, 1, ARRAY_LEN(argv), argv);
    enum kol_status status = run(pipe, err);
    if (status == KOL_OK) {
        status = check(redis_answer(pipe, 0), REDIS_TEXT, "INFO", err);
    }
    if (status == KOL_OK) {
        buf_put(out, redis_answer(pipe, 0)->text);
    }
    redis_pipe_free(&pipe);
    return status;
}

bool redis_info_text(struct str info, const char *name, struct str *out)
{
    while (info.len) {
        struct str line = str_trim(str_cut(&info, '\n'));
        if (str_is(str_cut(&line, ':'), name)) {
            *out = line;
            return true;
        }
    }
    return false;
}

int64_t redis_info_number(struct str info, const char *name)
{
    struct str text;
    int64_t number;
    return redis_info_text(info, name, &text) && str_to_int64(text, &number) ? number : 0;
}

enum kol_status redis_nodes_size(struct redis_nodes *nodes, int64_t *keys, struct kol_error *err)
{
    struct redis_pipe *pipe = redis_pipe_new(nodes->redis);
    *keys = 0;
    for (size_t i = 0; i < nodes->count; i++) {
        redis_add_script(pipe, &size_script, 1, 1, &nodes->keys[i]);
    }
    enum kol_status status = run(pipe, err);
    for (size_t i = 0; i < nodes->count && status == KOL_OK; i++) {
        status = check(redis_answer(pipe, i), REDIS_NUMBER, "DBSIZE", err);
        *keys += status == KOL_OK ? redis_answer(pipe, i)->number : 0;
    }
    redis_pipe_free(&pipe);
    return status;
}

/* ---- keys ---- */

/* One step of one server; *cursor is empty behind the last. */
static enum kol_status scan_step(struct redis_nodes *nodes, size_t node, struct str glob,
                                 struct buf *cursor, struct redis_pipe *pipe,
                                 const struct redis_answer **keys, struct kol_error *err)
{
    char step[16];
    struct buf text = {0};
    buf_put_int64(&text, STEP);
    memcpy(step, text.ptr, text.len + 1);
    buf_free(&text);
    const struct str argv[] = {nodes->keys[node], buf_str(cursor), glob, str_of(step)};
    redis_clear(pipe);
    redis_add_script(pipe, &scan_script, 1, ARRAY_LEN(argv), argv);
    enum kol_status status = run(pipe, err);
    const struct redis_answer *answer = status == KOL_OK ? redis_answer(pipe, 0) : NULL;
    if (answer) {
        status = check(answer, REDIS_LIST, "SCAN", err);
    }
    if (status == KOL_OK && (answer->count != 2 || answer->items[1].kind != REDIS_LIST)) {
        status = kol_fail(err, KOL_CORRUPT, "Redis answers SCAN with something else");
    }
    buf_clear(cursor);
    if (status == KOL_OK) {
        *keys = &answer->items[1];
        if (!str_is(answer->items[0].text, "0")) {
            buf_put(cursor, answer->items[0].text);
        }
    }
    return status;
}

enum kol_status redis_nodes_scan(struct redis_nodes *nodes, struct str glob, int64_t most,
                                 enum kol_status (*each)(const struct str *keys, size_t count,
                                                         void *user, struct kol_error *err),
                                 void *user, int64_t *looked, struct kol_error *err)
{
    struct redis_pipe *pipe = redis_pipe_new(nodes->redis);
    struct buf cursor = {0};
    struct arena arena;
    enum kol_status status = KOL_OK;
    arena_init(&arena, 0);
    *looked = 0;
    for (size_t node = 0; node < nodes->count && status == KOL_OK; node++) {
        const int64_t share = most / (int64_t)nodes->count;
        int64_t done = 0;
        buf_clear(&cursor);
        buf_puts(&cursor, "0");
        while (status == KOL_OK && cursor.len && done < share) {
            const struct redis_answer *found = NULL;
            status = scan_step(nodes, node, glob, &cursor, pipe, &found, err);
            if (status != KOL_OK) {
                break;
            }
            arena_reset(&arena);
            struct str *keys = arena_alloc(&arena, (found->count + 1) * sizeof *keys);
            for (size_t i = 0; i < found->count; i++) {
                keys[i] = found->items[i].text;
            }
            done += STEP;
            *looked += (int64_t)found->count;
            status = each(keys, found->count, user, err);
        }
    }
    arena_free(&arena);
    buf_free(&cursor);
    redis_pipe_free(&pipe);
    return status;
}
