/*
 * stats.c: figures over all KOLs and contents, and of the cache.
 *
 * What is counted over a whole copy is counted once for it and kept with it: a copy does not
 * change.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/value.h"
#include "base/clock.h"

enum { BANDS = 10, TOP_KOLS = 10 };

/* What is counted of one platform. */
struct figures {
    int64_t kols, content;
    int64_t scored; /* KOLs with a trust score */
    double trust;   /* sum of these scores */
    int64_t bands[BANDS];
};

struct counted {
    struct figures platforms[API_PLATFORM_COUNT];
};

/* ---- counting ---- */

/* Runs a query and hands each row on whose first column is a platform. */
static enum kol_status each_platform(struct engine_session *session, const char *text,
                                     void (*take)(struct figures *figures,
                                                  const struct engine_result *result, size_t row),
                                     struct counted *counted, struct kol_error *err)
{
    struct engine_result *result;
    struct buf sql = {0};
    size_t rows = 0;
    buf_puts(&sql, text);
    enum kol_status status = api_lists_query(session, &sql, &result, err);
    buf_free(&sql);
    if (status != KOL_OK) {
        return status;
    }
    while (status == KOL_OK && (status = engine_next(result, &rows, err)) == KOL_OK && rows) {
        for (size_t row = 0; row < rows; row++) {
            const int place = api_platform_place(engine_text(result, 0, row));
            if (place >= 0) {
                take(&counted->platforms[place], result, row);
            }
        }
    }
    engine_result_free(&result);
    return status;
}

static void take_kols(struct figures *figures, const struct engine_result *result, size_t row)
{
    const int64_t count = engine_int(result, 2, row);
    figures->kols += count;
    if (!engine_null(result, 1, row)) {
        int64_t band = engine_int(result, 1, row);
        band = band < 0 ? 0 : band < BANDS ? band : BANDS - 1;
        figures->bands[band] += count;
        figures->scored += count;
        figures->trust += engine_real(result, 3, row);
    }
}

static void take_content(struct figures *figures, const struct engine_result *result, size_t row)
{
    figures->content = engine_int(result, 1, row);
}

static enum kol_status count_copy(struct api_copy *copy, void *user, void **out,
                                  struct kol_error *err)
{
    (void)copy;
    struct api_reader *reader = user;
    struct engine_session *session;
    struct counted *counted = mem_zalloc(1, sizeof *counted);
    enum kol_status status = api_reader_session(reader, &session, err);
    if (status == KOL_OK) {
        status = each_platform(session,
                               "SELECT platform::VARCHAR, CAST(floor(trust_score / 10) AS BIGINT), "
                               "count(*), coalesce(sum(trust_score), 0) FROM kols_by_trust "
                               "GROUP BY 1, 2 ORDER BY 1, 2",
                               take_kols, counted, err);
        if (status == KOL_OK) {
            status =
                each_platform(session, "SELECT platform::VARCHAR, count(*) FROM content GROUP BY 1",
                              take_content, counted, err);
        }
        api_reader_release(reader, &session);
    }
    if (status != KOL_OK) {
        free(counted);
        return status;
    }
    *out = counted;
    return KOL_OK;
}

static enum kol_status counted_of(struct api_reader *reader, const struct counted **out,
                                  struct kol_error *err)
{
    void *counted = NULL;
    enum kol_status status =
        api_copy_kept(reader->copy, "counted", count_copy, reader, free, &counted, err);
    *out = counted;
    return status;
}

static struct figures sum_of(const struct counted *counted)
{
    struct figures sum = {0};
    for (size_t i = 0; i < API_PLATFORM_COUNT; i++) {
        const struct figures *one = &counted->platforms[i];
        sum.kols += one->kols;
        sum.content += one->content;
        sum.scored += one->scored;
        sum.trust += one->trust;
        for (size_t band = 0; band < BANDS; band++) {
            sum.bands[band] += one->bands[band];
        }
    }
    return sum;
}

static void put_average(struct json *json, const struct figures *figures)
{
    js_name(json, "avg_trust_score");
    js_score(json, figures->scored ? figures->trust / (double)figures->scored : NAN);
}

/* ---- platform ---- */

static void put_counts(struct json *json, const struct counted *counted, const char *prefix,
                       bool content)
{
    for (size_t i = 0; i < API_PLATFORM_COUNT; i++) {
        const struct figures *one = &counted->platforms[i];
        char name[48];
        snprintf(name, sizeof name, "%s%s", prefix, platform_name((enum platform)i));
        js_member_int(json, name, content ? one->content : one->kols);
    }
}

static void put_map(struct json *json, const struct counted *counted, const char *name,
                    bool content)
{
    js_name(json, name);
    js_open(json, '{');
    put_counts(json, counted, "", content);
    js_close(json, '}');
}

enum kol_status api_put_platform_stats(struct json *json, struct api_reader *reader,
                                       struct kol_error *err)
{
    const struct counted *counted;
    enum kol_status status = counted_of(reader, &counted, err);
    if (status != KOL_OK) {
        return status;
    }
    const struct figures sum = sum_of(counted);
    js_open(json, '{');
    js_member_int(json, "total_kols", sum.kols);
    js_member_int(json, "total_content", sum.content);
    put_counts(json, counted, "kols_", false);
    put_counts(json, counted, "content_", true);
    put_map(json, counted, "kols_by_platform", false);
    put_map(json, counted, "content_by_platform", true);
    put_average(json, &sum);
    js_name(json, "last_updated");
    js_time(json, reader->copy->info->built_us);
    api_put_source(json, reader->copy);
    js_close(json, '}');
    return KOL_OK;
}

enum kol_status api_platform_stats(struct http_call *call, struct kol_error *err)
{
    struct api_reader reader = {.call = call};
    struct buf body = {0};
    struct json json = {.out = &body};
    enum kol_status status = api_call_copy(call, &reader.copy, err);
    status = status == KOL_OK ? api_put_platform_stats(&json, &reader, err) : status;
    if (status != KOL_OK) {
        buf_free(&body);
        return status;
    }
    return api_answer(call, &body);
}

/* ---- summary ---- */

/* Those with most followers, as platform:kol_id in the call's arena. */
static enum kol_status find_top(struct http_call *call, struct api_copy *copy,
                                struct str top[TOP_KOLS], size_t *count, struct kol_error *err)
{
    struct engine_session *session;
    struct engine_result *result = NULL;
    struct buf sql = {0};
    size_t rows = 0;
    *count = 0;
    enum kol_status status = api_session_take(call, copy, &session, err);
    if (status != KOL_OK) {
        return status;
    }
    buf_printf(&sql,
               "SELECT concat(platform::VARCHAR, ':', kol_id) FROM kols_by_followers LIMIT %d",
               TOP_KOLS);
    status = api_lists_query(session, &sql, &result, err);
    while (status == KOL_OK && (status = engine_next(result, &rows, err)) == KOL_OK && rows) {
        for (size_t row = 0; row < rows && *count < TOP_KOLS; row++) {
            top[(*count)++] = arena_copy(http_call_arena(call), engine_text(result, 0, row));
        }
    }
    engine_result_free(&result);
    api_session_drop(call, &session);
    buf_free(&sql);
    return status;
}

static enum kol_status put_top(struct http_call *call, struct json *json, struct api_copy *copy,
                               struct kol_error *err)
{
    struct str top[TOP_KOLS];
    size_t count;
    enum kol_status status = find_top(call, copy, top, &count, err);
    js_name(json, "top_kols");
    js_open(json, '[');
    for (size_t i = 0; i < count && status == KOL_OK; i++) {
        struct api_who who;
        status = api_who_is(copy, top[i], (struct str){0}, &who, err);
        if (status == KOL_OK) {
            const struct api_profile_options options = {.who = &who};
            api_put_profile(json, copy, &who.record, &options);
        }
    }
    js_close(json, ']');
    return status;
}

/* Places of the platforms, most KOLs first. */
static void order_platforms(const struct counted *counted, size_t order[API_PLATFORM_COUNT])
{
    for (size_t i = 0; i < API_PLATFORM_COUNT; i++) {
        size_t at = i;
        for (; at > 0 && counted->platforms[order[at - 1]].kols < counted->platforms[i].kols;
             at--) {
            order[at] = order[at - 1];
        }
        order[at] = i;
    }
}

/* Those that have anything. */
static void put_top_platforms(struct json *json, const struct counted *counted)
{
    size_t order[API_PLATFORM_COUNT];
    order_platforms(counted, order);
    js_name(json, "top_platforms");
    js_open(json, '[');
    for (size_t i = 0; i < API_PLATFORM_COUNT; i++) {
        const struct figures *one = &counted->platforms[order[i]];
        if (!one->kols && !one->content) {
            continue;
        }
        js_open(json, '{');
        js_member_text(json, "platform", str_of(platform_name((enum platform)order[i])));
        js_member_int(json, "kols", one->kols);
        js_member_int(json, "content", one->content);
        put_average(json, one);
        js_close(json, '}');
    }
    js_close(json, ']');
}

static void put_distribution(struct json *json, const struct figures *sum)
{
    js_name(json, "score_distribution");
    js_open(json, '[');
    for (size_t band = 0; band < BANDS; band++) {
        js_open(json, '{');
        js_member_int(json, "from", (int64_t)band * 100 / BANDS);
        js_member_int(json, "to", (int64_t)(band + 1) * 100 / BANDS);
        js_member_int(json, "kols", sum->bands[band]);
        js_close(json, '}');
    }
    js_close(json, ']');
}

static void put_freshness(struct json *json, const struct api_copy *copy)
{
    const int64_t age_us = clock_now_us() - copy->info->built_us;
    js_name(json, "freshness");
    js_open(json, '{');
    js_member_time(json, "as_of", copy->info->as_of_us);
    js_name(json, "built_at");
    js_time(json, copy->info->built_us);
    js_member_int(json, "age_seconds", age_us > 0 ? age_us / CLOCK_US_PER_SECOND : 0);
    js_close(json, '}');
}

enum kol_status api_stats_summary(struct http_call *call, struct kol_error *err)
{
    struct api_reader reader = {.call = call};
    const struct counted *counted;
    struct buf body = {0};
    struct json json = {.out = &body};
    enum kol_status status = api_call_copy(call, &reader.copy, err);
    status = status == KOL_OK ? counted_of(&reader, &counted, err) : status;
    if (status != KOL_OK) {
        return status;
    }
    struct api_copy *copy = reader.copy;
    const struct figures sum = sum_of(counted);
    js_open(&json, '{');
    js_member_int(&json, "total_kols", sum.kols);
    js_member_int(&json, "total_content", sum.content);
    put_average(&json, &sum);
    put_top_platforms(&json, counted);
    status = put_top(call, &json, copy, err);
    if (status != KOL_OK) {
        buf_free(&body);
        return status;
    }
    put_distribution(&json, &sum);
    put_freshness(&json, copy);
    api_put_source(&json, copy);
    js_close(&json, '}');
    return api_answer(call, &body);
}

/* ---- a day ---- */

/* The numbers of PlatformDay behind the platform, in the order of the query. */
static const struct {
    const char *name;
    bool real;
} day_columns[] = {
    {"active_kols", false},
    {"contents", false},
    {"views", false},
    {"likes", false},
    {"comments", false},
    {"shares", false},
    {"followers_gained", false},
    {"avg_engagement_rate", true},
    {"median_followers", true},
};

static void put_day_query(struct buf *sql, int64_t day)
{
    buf_puts(sql, "SELECT platform::VARCHAR");
    for (size_t i = 0; i < ARRAY_LEN(day_columns); i++) {
        buf_printf(sql, ", %s", day_columns[i].name);
    }
    buf_printf(sql,
               " FROM agg_platform_kpi WHERE day = DATE '1970-01-01' + %lld::INTEGER "
               "ORDER BY platform::VARCHAR",
               (long long)day);
}

static void put_platform_day(struct json *json, const struct engine_result *result, size_t row)
{
    js_open(json, '{');
    js_member_text(json, "platform", engine_text(result, 0, row));
    for (size_t i = 0; i < ARRAY_LEN(day_columns); i++) {
        js_name(json, day_columns[i].name);
        if (engine_null(result, i + 1, row)) {
            js_null(json);
        } else if (day_columns[i].real) {
            js_real(json, engine_real(result, i + 1, row));
        } else {
            js_int(json, engine_int(result, i + 1, row));
        }
    }
    js_close(json, '}');
}

static enum kol_status put_day(struct api_reader *reader, int64_t day, struct json *json,
                               size_t *count, struct kol_error *err)
{
    struct engine_session *session;
    struct engine_result *result = NULL;
    struct buf sql = {0};
    size_t rows = 0;
    *count = 0;
    if (!api_copy_has(reader->copy, "gold.agg_platform_kpi")) {
        return KOL_OK;
    }
    enum kol_status status = api_reader_session(reader, &session, err);
    if (status != KOL_OK) {
        return status;
    }
    put_day_query(&sql, day);
    status = api_lists_query(session, &sql, &result, err);
    while (status == KOL_OK && (status = engine_next(result, &rows, err)) == KOL_OK && rows) {
        for (size_t row = 0; row < rows; row++) {
            put_platform_day(json, result, row);
        }
        *count += rows;
    }
    engine_result_free(&result);
    api_reader_release(reader, &session);
    buf_free(&sql);
    return status;
}

enum kol_status api_put_daily_stats(struct json *json, struct api_reader *reader, int64_t day,
                                    struct kol_error *err)
{
    size_t count;
    js_open(json, '{');
    js_name(json, "date");
    js_day(json, day);
    js_name(json, "data");
    js_open(json, '[');
    enum kol_status status = put_day(reader, day, json, &count, err);
    if (status == KOL_OK && !count) {
        status = kol_fail(err, KOL_NOT_FOUND, "nothing was seen on that day");
    }
    js_close(json, ']');
    api_put_source(json, reader->copy);
    js_close(json, '}');
    return status;
}

enum kol_status api_daily_stats(struct http_call *call, struct kol_error *err)
{
    struct api_reader reader = {.call = call};
    struct buf body = {0};
    struct json json = {.out = &body};
    const int64_t day = http_int(call, api_field(call, "date"));
    enum kol_status status = api_call_copy(call, &reader.copy, err);
    if (status != KOL_OK) {
        return status;
    }
    status = api_put_daily_stats(&json, &reader, day, err);
    if (status == KOL_NOT_FOUND) {
        status = http_problem(call, "not_found", "Nothing was seen on %.*s.",
                              STR_FORMAT(http_text(call, api_field(call, "date"))));
    }
    if (status != KOL_OK) {
        buf_free(&body);
        return status;
    }
    return api_answer_rows(call, &body, "PlatformDay", NULL);
}

/* ---- the cache ---- */

static void put_tier(struct json *json, const struct l1_stats *stats)
{
    const int64_t served = stats->hits + stats->stale, reads = served + stats->misses;
    js_open(json, '{');
    js_member_text(json, "tier", STR("l1"));
    js_member_int(json, "hits", stats->hits);
    js_member_int(json, "stale", stats->stale);
    js_member_int(json, "misses", stats->misses);
    js_member_int(json, "loads", stats->loads);
    js_member_int(json, "load_failures", stats->load_failures);
    js_member_int(json, "joined", stats->joined);
    js_member_int(json, "evictions", stats->evictions);
    js_member_int(json, "keys", stats->entries);
    js_member_int(json, "memory_bytes", stats->bytes);
    js_member_int(json, "max_bytes", stats->max_bytes);
    js_member_real(json, "hit_rate", reads ? (double)served / (double)reads : NAN);
    js_close(json, '}');
}

static void put_redis(struct json *json, const struct tier_stats *stats)
{
    const struct {
        const char *name;
        int64_t value;
    } counts[] = {
        {"breaker_opened", stats->breaker_opened},
        {"lost", stats->lost},
        {"trips", stats->trips},
        {"failed_trips", stats->failed_trips},
        {"old", stats->reads[TIER_OLD]},
        {"garbage", stats->reads[TIER_BAD]},
        {"skipped", stats->reads[TIER_SKIPPED]},
        {"written", stats->written},
        {"kept", stats->kept},
        {"refused", stats->refused},
        {"failed", stats->failed_writes},
        {"dropped", stats->dropped},
        {"waiting", stats->waiting},
        {"changes", stats->changes},
        {"unchanged", stats->same},
        {"answers_dropped", stats->drops},
        {"connections", stats->redis.open},
        {"sent_bytes", stats->redis.sent_bytes},
        {"read_bytes", stats->redis.read_bytes},
    };
    js_name(json, "redis");
    js_open(json, '{');
    js_member_text(json, "breaker", str_of(breaker_state_name(stats->breaker)));
    js_member_bool(json, "channel", stats->channel);
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        js_member_int(json, counts[i].name, counts[i].value);
    }
    js_close(json, '}');
}

static void put_redis_tier(struct json *json, struct tier *tier)
{
    static const char *const elsewhere[] = {"evictions", "keys", "memory_bytes", "max_bytes"};
    struct tier_stats stats;
    tier_stats(tier, &stats);
    const int64_t hits = stats.reads[TIER_HIT];
    const int64_t misses = stats.reads[TIER_MISS] + stats.reads[TIER_OLD] + stats.reads[TIER_BAD];
    js_open(json, '{');
    js_member_text(json, "tier", STR("redis"));
    js_member_int(json, "hits", hits);
    js_member_int(json, "stale", 0);
    js_member_int(json, "misses", misses);
    js_member_int(json, "loads", misses);
    js_member_int(json, "load_failures", 0);
    js_member_int(json, "joined", 0);
    for (size_t i = 0; i < ARRAY_LEN(elsewhere); i++) {
        js_name(json, elsewhere[i]);
        js_null(json);
    }
    js_member_real(json, "hit_rate", hits + misses ? (double)hits / (double)(hits + misses) : NAN);
    put_redis(json, &stats);
    js_close(json, '}');
}

enum kol_status api_cache_stats(struct http_call *call, struct kol_error *err)
{
    (void)err;
    const struct l1 *l1 = api_of(call)->l1;
    struct l1_stats stats;
    struct buf body = {0};
    struct json json = {.out = &body};
    js_open(&json, '{');
    js_name(&json, "tiers");
    js_open(&json, '[');
    if (l1) {
        l1_stats(l1, &stats);
        put_tier(&json, &stats);
    }
    if (api_of(call)->tier) {
        put_redis_tier(&json, api_of(call)->tier);
    }
    js_close(&json, ']');
    js_close(&json, '}');
    return api_answer(call, &body);
}
