/*
 * recents.c: what a user searched for.
 *
 * A search that names a user is remembered for 7 days in the live store, under the key that made it
 * as well, so that one program never reads what the users of another searched for:
 *
 *     user NUL id of the key NUL hash of folded text and platform  ->  platform NUL text
 *
 * The same search made again takes the place of the one before. Where Redis is configured a list
 * there has the same for all machines; it is read as long as it answers, and the store where not.
 * Who may see what the users of all keys searched for is told from the store.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "api/lists.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/logger.h"

enum {
    REMEMBERED = 50, /* searches of a user by one key */
    SHOWN = 100,     /* of a user by all keys */
    LOOKED_AT = 2000 /* in the store for one user: more are of no use */
};
#define REMEMBERED_US (7 * CLOCK_US_PER_DAY)

/* ---- what the store has of a user ---- */

struct recent {
    struct str key, platform, q;
    int64_t at_us;
};

struct recents {
    struct arena *arena;
    struct recent *rows;
    size_t count;
};

static bool take_recent(const struct live_value *value, void *user)
{
    struct recents *recents = user;
    struct str q = arena_copy(recents->arena, value->bytes), platform = str_cut(&q, '\0');
    recents->rows[recents->count++] = (struct recent){
        .key = arena_copy(recents->arena, value->key),
        .platform = platform,
        .q = q,
        .at_us = value->event_time_us,
    };
    return recents->count < LOOKED_AT;
}

static int compare_recents(const void *a_at, const void *b_at)
{
    const struct recent *a = a_at, *b = b_at;
    return a->at_us != b->at_us ? (a->at_us < b->at_us ? 1 : -1) : str_compare(a->key, b->key);
}

/* Newest first. */
static enum kol_status find_recents(struct http_call *call, struct str prefix, struct recents *out,
                                    struct kol_error *err)
{
    struct arena *arena = http_call_arena(call);
    *out = (struct recents){arena, arena_alloc(arena, LOOKED_AT * sizeof *out->rows), 0};
    enum kol_status status =
        live_list(api_of(call)->live, LIVE_RECENT, prefix, (struct str){0}, take_recent, out, err);
    if (out->count) {
        qsort(out->rows, out->count, sizeof *out->rows, compare_recents);
    }
    return status;
}

/* The beginning of the keys of a user, as far as the caller may see them. */
static struct str key_prefix(struct http_call *call, struct str user, bool all)
{
    struct buf prefix = {0};
    buf_put(&prefix, user);
    buf_putc(&prefix, '\0');
    if (!all) {
        buf_put(&prefix, http_caller(call));
        buf_putc(&prefix, '\0');
    }
    struct str kept = arena_copy(http_call_arena(call), buf_str(&prefix));
    buf_free(&prefix);
    return kept;
}

static enum kol_status remove_from(struct http_call *call, const struct recents *recents,
                                   size_t first, struct kol_error *err)
{
    if (first >= recents->count) {
        return KOL_OK;
    }
    const size_t count = recents->count - first;
    struct live_write *writes = mem_zalloc(count, sizeof *writes);
    for (size_t i = 0; i < count; i++) {
        writes[i] = (struct live_write){
            .kind = LIVE_RECENT, .key = recents->rows[first + i].key, .remove = true};
    }
    enum kol_status status = live_write(api_of(call)->live, writes, count, err);
    free(writes);
    return status;
}

static enum kol_status put_recent(struct http_call *call, struct str prefix, struct str platform,
                                  struct str q, struct str folded, struct kol_error *err)
{
    struct buf key = {0}, bytes = {0};
    buf_put(&bytes, platform);
    buf_putc(&bytes, '\0');
    buf_put(&bytes, folded);
    buf_put(&key, prefix);
    hash_put_hex128(&key, buf_str(&bytes));
    buf_clear(&bytes);
    buf_put(&bytes, platform);
    buf_putc(&bytes, '\0');
    buf_put(&bytes, q);
    struct live_write write = {
        .kind = LIVE_RECENT,
        .key = buf_str(&key),
        .bytes = buf_str(&bytes),
        .event_time_us = clock_now_us(),
        .ttl_us = REMEMBERED_US,
    };
    enum kol_status status = live_write(api_of(call)->live, &write, 1, err);
    buf_free(&key);
    buf_free(&bytes);
    return status;
}

/* ---- what Redis has of a user ---- */

/* Takes what has the same id out, puts the new one in front, cuts the list. */
static const struct redis_script remember_script = {
    "if redis.call('TYPE', KEYS[1]).ok ~= 'list' then redis.call('DEL', KEYS[1]) end "
    "for _, text in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do "
    "  local well, row = pcall(cjson.decode, text) "
    "  if not well or type(row) ~= 'table' or row.id == ARGV[1] then "
    "    redis.call('LREM', KEYS[1], 0, text) end end "
    "redis.call('LPUSH', KEYS[1], ARGV[2]) "
    "redis.call('LTRIM', KEYS[1], 0, ARGV[3] - 1) "
    "return redis.call('PEXPIRE', KEYS[1], ARGV[4])"};

/* The list of a user: by the one who asks, where keys are asked for. */
static struct str list_key(struct http_call *call, struct str user)
{
    struct buf part = {0}, key = {0};
    buf_put(&part, user);
    if (http_caller(call).len) {
        buf_putc(&part, '/');
        buf_put(&part, http_caller(call));
    }
    const struct str name = buf_str(&part);
    serve_key_put(&key, SERVE_KEY_RECENT, &name);
    const struct str kept = arena_copy(http_call_arena(call), buf_str(&key));
    buf_free(&part);
    buf_free(&key);
    return kept;
}

static void put_row_text(struct buf *out, struct str id, struct str platform, struct str q)
{
    struct json json = {.out = out};
    js_open(&json, '{');
    js_member_text(&json, "id", id);
    js_member_text(&json, "q", q);
    js_name(&json, "platform");
    if (platform.len && !str_is(platform, "all")) {
        js_text(&json, platform);
    } else {
        js_null(&json);
    }
    js_name(&json, "at");
    js_time(&json, clock_now_us());
    js_close(&json, '}');
}

/* Where it cannot be told the store has it. */
static void remember_in_redis(struct http_call *call, struct str user, struct str platform,
                              struct str q, struct str folded)
{
    struct tier *tier = api_of(call)->tier;
    struct redis_pipe *pipe = tier ? tier_pipe(tier) : NULL;
    struct buf same = {0}, id = {0}, row = {0};
    char most[16], ttl[24];
    if (!pipe) {
        return;
    }
    buf_put(&same, platform);
    buf_putc(&same, '\0');
    buf_put(&same, folded);
    hash_put_hex128(&id, buf_str(&same));
    put_row_text(&row, buf_str(&id), platform, q);
    snprintf(most, sizeof most, "%d", REMEMBERED);
    snprintf(ttl, sizeof ttl, "%lld", (long long)serve_keys[SERVE_KEY_RECENT].ttl_s * 1000);
    const struct str argv[] = {list_key(call, user), buf_str(&id), buf_str(&row), str_of(most),
                               str_of(ttl)};
    const size_t place = redis_add_script(pipe, &remember_script, 1, ARRAY_LEN(argv), argv);
    if (tier_run(tier, pipe, http_call_deadline_ns(call)) &&
        redis_answer(pipe, place)->kind == REDIS_ERROR) {
        log_warn("redis does not remember a search: %s", redis_answer(pipe, place)->text.ptr);
    }
    tier_pipe_done(tier, &pipe);
    buf_free(&same);
    buf_free(&id);
    buf_free(&row);
}

/* A row of the list; one that is none is passed over. */
static void take_row(struct recents *out, struct str text)
{
    int64_t at_us;
    json_t *row = json_loadb(text.ptr, text.len, 0, NULL);
    const json_t *q = json_object_get(row, "q");
    const char *at = json_string_value(json_object_get(row, "at"));
    const char *platform = json_string_value(json_object_get(row, "platform"));
    if (json_is_string(q) && at && clock_parse(str_of(at), &at_us)) {
        out->rows[out->count++] = (struct recent){
            .platform = arena_copy(out->arena, str_of(platform ? platform : "")),
            .q = arena_copy(out->arena, (struct str){json_string_value(q), json_string_length(q)}),
            .at_us = at_us,
        };
    }
    json_decref(row);
}

/* Newest first; false: Redis does not answer, or is not there. `forget`: it is removed too. */
static bool find_in_redis(struct http_call *call, struct str user, bool forget, struct recents *out)
{
    struct tier *tier = api_of(call)->tier;
    struct redis_pipe *pipe = tier ? tier_pipe(tier) : NULL;
    const struct str key = list_key(call, user);
    if (!pipe) {
        return false;
    }
    const size_t place = redis_addf(pipe, "LRANGE %S 0 %d", key, (int64_t)SHOWN - 1);
    if (forget) {
        redis_addf(pipe, "UNLINK %S", key);
    }
    const bool ran = tier_run(tier, pipe, http_call_deadline_ns(call));
    const struct redis_answer *rows = ran ? redis_answer(pipe, place) : NULL;
    if (ran && rows->kind == REDIS_LIST) {
        struct arena *arena = http_call_arena(call);
        *out = (struct recents){arena, arena_alloc(arena, SHOWN * sizeof *out->rows), 0};
        for (size_t i = 0; i < rows->count && i < SHOWN; i++) {
            if (rows->items[i].kind == REDIS_TEXT) {
                take_row(out, rows->items[i].text);
            }
        }
    }
    const bool found = ran && (forget || rows->kind == REDIS_LIST);
    tier_pipe_done(tier, &pipe);
    return found;
}

/* ---- remembering ---- */

/* A search that cannot be remembered is answered all the same. */
void api_remember(struct http_call *call, struct str user, struct str platform, struct str q,
                  struct str folded)
{
    struct kol_error err;
    struct recents recents;
    struct str prefix = key_prefix(call, user, false);
    remember_in_redis(call, user, platform, q, folded);
    enum kol_status status = put_recent(call, prefix, platform, q, folded, &err);
    if (status == KOL_OK) {
        status = find_recents(call, prefix, &recents, &err);
    }
    if (status == KOL_OK) {
        status = remove_from(call, &recents, REMEMBERED, &err);
    }
    if (status != KOL_OK) {
        log_warn("a search was not remembered: %s", err.message);
    }
}

/* ---- recent searches ---- */

static enum kol_status find_own(struct http_call *call, struct recents *out, struct kol_error *err)
{
    const bool all = http_caller_scopes(call) & API_ADMIN;
    struct str user = http_text(call, api_field(call, "user_id"));
    return find_recents(call, key_prefix(call, user, all), out, err);
}

enum kol_status api_recent_searches(struct http_call *call, struct kol_error *err)
{
    struct recents recents;
    struct buf body = {0};
    struct json json = {.out = &body};
    const struct str user = http_text(call, api_field(call, "user_id"));
    const bool all = http_caller_scopes(call) & API_ADMIN;
    const bool found = !all && find_in_redis(call, user, false, &recents);
    enum kol_status status = found ? KOL_OK : find_own(call, &recents, err);
    if (status != KOL_OK) {
        return status;
    }
    js_open(&json, '{');
    js_member_text(&json, "user_id", user);
    js_name(&json, "data");
    js_open(&json, '[');
    for (size_t i = 0; i < recents.count && i < SHOWN; i++) {
        const struct recent *row = &recents.rows[i];
        js_open(&json, '{');
        js_member_text(&json, "q", row->q);
        js_name(&json, "platform");
        if (row->platform.len && !str_is(row->platform, "all")) {
            js_text(&json, row->platform);
        } else {
            js_null(&json);
        }
        js_name(&json, "at");
        js_time(&json, row->at_us);
        js_close(&json, '}');
    }
    js_close(&json, ']');
    js_close(&json, '}');
    return api_answer(call, &body);
}

enum kol_status api_forget_searches(struct http_call *call, struct kol_error *err)
{
    struct recents recents, shared = {0};
    struct buf body = {0};
    struct json json = {.out = &body};
    enum kol_status status = find_own(call, &recents, err);
    if (status == KOL_OK) {
        status = remove_from(call, &recents, 0, err);
    }
    if (status == KOL_OK && api_of(call)->tier &&
        !find_in_redis(call, http_text(call, api_field(call, "user_id")), true, &shared)) {
        status = kol_fail(err, KOL_IO, "redis, which remembers searches too, does not answer");
    }
    if (status != KOL_OK) {
        return status;
    }
    js_open(&json, '{');
    js_member_text(&json, "user_id", http_text(call, api_field(call, "user_id")));
    js_member_int(&json, "removed",
                  (int64_t)(recents.count > shared.count ? recents.count : shared.count));
    js_close(&json, '}');
    return api_answer(call, &body);
}
