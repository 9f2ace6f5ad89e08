/*
 * search.c: KOLs by any part of their name, and what a user searched for.
 *
 * A search that names a user is remembered for 7 days in the live store, under the key that made it
 * as well, so that one program never reads what the users of another searched for:
 *
 *     user NUL id of the key NUL hash of folded text and platform  ->  platform NUL text
 *
 * The same search made again takes the place of the one before.
 */
#include <stdlib.h>
#include <string.h>

#include "api/lists.h"
#include "api/names.h"
#include "base/clock.h"
#include "base/fold.h"
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

/* A search that cannot be remembered is answered all the same. */
static void remember(struct http_call *call, struct str user, struct str platform, struct str q,
                     struct str folded)
{
    struct kol_error err;
    struct recents recents;
    struct str prefix = key_prefix(call, user, false);
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

/* ---- search ---- */

static void put_hit(struct json *json, const struct api_copy *copy, const struct names_hit *hit,
                    const struct online_record *record)
{
    struct str matched[2];
    size_t count = 0;
    if (hit->in_id) {
        matched[count++] = STR("kol_id");
    }
    if (hit->in_name) {
        matched[count++] = STR("display_name");
    }
    js_open(json, '{');
    js_member_text(json, "kol_id", hit->kol_id);
    js_member_text(json, "platform", str_of(platform_name((enum platform)hit->platform)));
    js_member_cell(json, "display_name", record, copy->kol.display_name, HTTP_TEXT);
    js_member_cell(json, "followers_count", record, copy->kol.followers_count, HTTP_INT);
    js_member_cell(json, "tier", record, copy->kol.tier, HTTP_TEXT);
    js_member_cell(json, "verified", record, copy->kol.verified, HTTP_BOOL);
    js_name(json, "matched");
    js_texts(json, matched, count);
    js_member_text(json, "match", str_of(names_match_words[hit->match]));
    js_close(json, '}');
}

static int platform_of(struct http_call *call)
{
    size_t choice = http_choice(call, api_field(call, "platform"));
    return choice < API_PLATFORM_COUNT ? (int)choice : NAMES_ANYWHERE;
}

/* The rows as JSON; the folded text goes with them, for whoever remembers it. */
static enum kol_status put_found(struct http_call *call, struct api_copy *copy, struct str folded,
                                 struct buf *body, struct kol_error *err)
{
    const struct api_names *names;
    struct names_hit hits[NAMES_MOST];
    struct online_record records[NAMES_MOST];
    struct json json = {body, false};
    enum kol_status status = api_names_of(copy, &names, err);
    if (status != KOL_OK) {
        return status;
    }
    size_t count = api_names_search(names, folded, platform_of(call),
                                    (size_t)http_int(call, api_field(call, "limit")), hits);
    status = api_names_records(copy, hits, count, records, err);
    if (status != KOL_OK) {
        return status;
    }
    js_open(&json, '{');
    js_member_text(&json, "q", http_text(call, api_field(call, "q")));
    js_member_int(&json, "total", (int64_t)count);
    js_name(&json, "data");
    js_open(&json, '[');
    for (size_t i = 0; i < count; i++) {
        put_hit(&json, copy, &hits[i], &records[i]);
    }
    js_close(&json, ']');
    api_put_source(&json, copy);
    js_close(&json, '}');
    return KOL_OK;
}

enum kol_status api_search_kols(struct http_call *call, struct kol_error *err)
{
    struct api_copy *copy;
    struct buf folded = {0}, body = {0};
    const size_t user = api_field(call, "user_id");
    const struct str q = http_text(call, api_field(call, "q"));
    enum kol_status status = api_call_copy(call, &copy, err);
    if (status != KOL_OK) {
        return status;
    }
    fold_put(&folded, q);
    status = put_found(call, copy, buf_str(&folded), &body, err);
    if (status == KOL_OK && http_given(call, user)) {
        remember(call, http_text(call, user), http_text(call, api_field(call, "platform")), q,
                 buf_str(&folded));
    }
    buf_free(&folded);
    if (status != KOL_OK) {
        buf_free(&body);
        return status;
    }
    return api_answer_rows(call, &body, "SearchHit", NULL);
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
    struct json json = {&body, false};
    enum kol_status status = find_own(call, &recents, err);
    if (status != KOL_OK) {
        return status;
    }
    js_open(&json, '{');
    js_member_text(&json, "user_id", http_text(call, api_field(call, "user_id")));
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
    struct recents recents;
    struct buf body = {0};
    struct json json = {&body, false};
    enum kol_status status = find_own(call, &recents, err);
    if (status == KOL_OK) {
        status = remove_from(call, &recents, 0, err);
    }
    if (status != KOL_OK) {
        return status;
    }
    js_open(&json, '{');
    js_member_text(&json, "user_id", http_text(call, api_field(call, "user_id")));
    js_member_int(&json, "removed", (int64_t)recents.count);
    js_close(&json, '}');
    return api_answer(call, &body);
}
