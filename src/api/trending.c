/*
 * trending.c: what is trending: content by its gains, KOLs by their scores.
 *
 * Both are of the copy: the order of a list and the scores in it are of one moment.
 */
#include <math.h>
#include <string.h>

#include "api/value.h"

/* ---- content ---- */

static void put_content_query(struct str platform, size_t limit, struct buf *sql)
{
    buf_puts(sql, "SELECT platform, content_id, trending_score, as_of FROM content_trending");
    if (!str_is(platform, "all")) {
        buf_puts(sql, " WHERE platform = ");
        engine_quote_text(sql, platform);
    }
    buf_printf(sql, " ORDER BY trending_score DESC, platform, rank LIMIT %zu", limit);
}

static enum kol_status query_content(struct engine_session *session, struct str platform,
                                     size_t limit, struct arena *arena,
                                     struct api_trending_rows *out, struct kol_error *err)
{
    struct buf sql = {0};
    struct engine_result *result = NULL;
    size_t rows = 0;
    put_content_query(platform, limit, &sql);
    enum kol_status status = api_lists_query(session, &sql, &result, err);
    while (status == KOL_OK && (status = engine_next(result, &rows, err)) == KOL_OK && rows) {
        for (size_t i = 0; i < rows; i++, out->count++) {
            out->keys[out->count] = (struct online_key){
                arena_copy(arena, engine_text(result, 0, i)),
                arena_copy(arena, engine_text(result, 1, i)),
            };
            out->scores[out->count] = engine_real(result, 2, i);
            out->as_of_us[out->count] = engine_int(result, 3, i);
        }
    }
    engine_result_free(&result);
    buf_free(&sql);
    return status;
}

enum kol_status api_read_trending(struct api_reader *reader, struct str platform, size_t limit,
                                  struct arena *arena, struct api_trending_rows *out,
                                  struct kol_error *err)
{
    struct engine_session *session;
    *out = (struct api_trending_rows){0};
    if (!api_copy_has(reader->copy, "gold.content_trending")) {
        return KOL_OK;
    }
    *out = (struct api_trending_rows){
        .keys = arena_alloc(arena, limit * sizeof *out->keys),
        .scores = arena_alloc(arena, limit * sizeof *out->scores),
        .as_of_us = arena_alloc(arena, limit * sizeof *out->as_of_us),
    };
    enum kol_status status = api_reader_session(reader, &session, err);
    if (status == KOL_OK) {
        status = query_content(session, platform, limit, arena, out, err);
        api_reader_release(reader, &session);
    }
    return status;
}

static void put_content(struct json *json, const struct api_copy *copy,
                        const struct online_record *record, size_t rank, double score,
                        int64_t as_of_us)
{
    const struct api_content_columns *at = &copy->content;
    const struct {
        const char *name;
        int column;
    } counts[] = {{"views", at->views},
                  {"likes", at->likes},
                  {"comments", at->comments},
                  {"shares", at->shares}};
    struct str kol_id, unknown[ARRAY_LEN(counts)];
    size_t unknown_count = 0;
    js_open(json, '{');
    js_member_int(json, "rank", (int64_t)rank);
    js_member_cell(json, "content_id", record, at->content_id, HTTP_TEXT);
    js_member_text(json, "kol_id", online_text(record, at->kol_id, &kol_id) ? kol_id : STR(""));
    js_member_cell(json, "platform", record, at->platform, HTTP_TEXT);
    js_member_cell(json, "title", record, at->title, HTTP_TEXT);
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        int64_t value = 0;
        if (!online_int(record, counts[i].column, &value)) {
            unknown[unknown_count++] = str_of(counts[i].name);
            value = 0;
        }
        js_member_int(json, counts[i].name, value);
    }
    js_name(json, "trending_score");
    js_score(json, score);
    js_member_cell(json, "gained_views", record, at->gained_views, HTTP_INT);
    js_name(json, "unknown");
    js_texts(json, unknown, unknown_count);
    js_name(json, "as_of");
    js_time(json, as_of_us);
    js_close(json, '}');
}

/* An object whose "data" is open. */
static void begin_list(struct json *json, struct str platform, struct str metric)
{
    js_open(json, '{');
    js_member_text(json, "platform", platform);
    if (metric.len) {
        js_member_text(json, "metric", metric);
    }
    js_name(json, "data");
    js_open(json, '[');
}

static enum kol_status end_list(struct http_call *call, struct json *json,
                                const struct api_copy *copy, const char *schema)
{
    js_close(json, ']');
    api_put_source(json, copy);
    js_close(json, '}');
    return api_answer_rows(call, json->out, schema, NULL);
}

/* Records of keys that the lists of the same copy gave: all are there. */
static enum kol_status take_records(const struct api_copy *copy, enum online_kind kind,
                                    const struct online_key *keys, size_t count,
                                    struct arena *arena, struct online_record **out,
                                    struct kol_error *err)
{
    *out = arena_alloc(arena, (count + 1) * sizeof **out);
    enum kol_status status = online_get_many(copy->online, kind, keys, count, *out, err);
    for (size_t i = 0; i < count && status == KOL_OK; i++) {
        if (!(*out)[i].bytes.len) {
            status = kol_fail(err, KOL_CORRUPT, "the copy lists %.*s:%.*s and has no record of it",
                              STR_FORMAT(keys[i].platform), STR_FORMAT(keys[i].id));
        }
    }
    return status;
}

enum kol_status api_trending_content(struct http_call *call, struct kol_error *err)
{
    const struct str platform = http_text(call, api_field(call, "platform"));
    const size_t limit = (size_t)http_int(call, api_field(call, "limit"));
    struct arena *arena = http_call_arena(call);
    struct api_reader reader = {.call = call};
    struct api_trending_rows rows;
    struct online_record *records;
    enum kol_status status = api_call_copy(call, &reader.copy, err);
    struct api_copy *copy = reader.copy;
    if (status == KOL_OK) {
        status = api_read_trending(&reader, platform, limit, arena, &rows, err);
    }
    if (status == KOL_OK) {
        status = take_records(copy, ONLINE_CONTENT, rows.keys, rows.count, arena, &records, err);
    }
    if (status != KOL_OK) {
        return status;
    }
    struct buf body = {0};
    struct json json = {.out = &body};
    begin_list(&json, platform, STR(""));
    for (size_t i = 0; i < rows.count; i++) {
        put_content(&json, copy, &records[i], i + 1, rows.scores[i], rows.as_of_us[i]);
    }
    return end_list(call, &json, copy, "TrendingContent");
}

/* ---- KOLs ---- */

/* The scores in the order of the choices of `metric`. */
static const struct ranking {
    enum api_metric metric;
    const char *label, *labels; /* column; the values it can have */
} rankings[] = {
    {API_BY_TRENDING, "trending_label", "Viral Hot Warm Normal Cold"},
    {API_BY_TRUST, "trust_label", "high medium low"},
    {API_BY_SUCCESS, "success_label", "High Not-High"},
    {API_BY_COMPOSITE, NULL, ""},
};

/* Where the metric's parts are in the records of a copy; -1: nowhere. */
struct ranking_columns {
    int score, label, as_of;
};

static struct ranking_columns columns_of(const struct api_copy *copy, const struct ranking *ranking)
{
    const struct api_columns *at = &copy->kol;
    switch (ranking->metric) {
    case API_BY_TRENDING:
        return (struct ranking_columns){at->trending_score, at->trending_label, at->trending_as_of};
    case API_BY_TRUST:
        return (struct ranking_columns){at->trust_score, at->trust_label, at->event_time};
    case API_BY_SUCCESS:
        return (struct ranking_columns){at->success_score, at->success_label, at->event_time};
    default: return (struct ranking_columns){at->composite_score, -1, at->event_time};
    }
}

/* 422 for a label that the metric has not. */
static enum kol_status list_of(struct http_call *call, const struct ranking *ranking,
                               struct api_list *out)
{
    const struct str label = http_text(call, api_field(call, "label"));
    const struct str platform = http_text(call, api_field(call, "platform"));
    struct str rest = str_of(ranking->labels), word = {0};
    struct buf more = {0};
    while (label.len && rest.len && !str_equal(word, label)) {
        word = str_cut(&rest, ' ');
    }
    if (label.len && !str_equal(word, label)) {
        return http_problem(call, "invalid_parameter", "`label`: %s%s.",
                            *ranking->labels ? "this metric has the labels " : "composite has none",
                            ranking->labels);
    }
    if (label.len) {
        buf_printf(&more, "%s = ", ranking->label);
        engine_quote_text(&more, label);
    }
    api_list_make(http_call_arena(call), ranking->metric, platform, more.ptr ? more.ptr : "", out);
    buf_free(&more);
    return KOL_OK;
}

static void put_kol(struct json *json, const struct api_copy *copy,
                    const struct online_record *record, size_t rank,
                    const struct ranking_columns *columns)
{
    const struct api_columns *at = &copy->kol;
    struct str label;
    js_open(json, '{');
    js_member_int(json, "rank", (int64_t)rank);
    js_member_cell(json, "kol_id", record, at->kol_id, HTTP_TEXT);
    js_member_cell(json, "platform", record, at->platform, HTTP_TEXT);
    js_member_cell(json, "display_name", record, at->display_name, HTTP_TEXT);
    js_member_score(json, "score", record, columns->score);
    js_member_text(json, "label", online_text(record, columns->label, &label) ? label : STR(""));
    js_member_cell(json, "followers_count", record, at->followers_count, HTTP_INT);
    js_member_cell(json, "as_of", record, columns->as_of, HTTP_TIME);
    js_close(json, '}');
}

enum kol_status api_trending_kols(struct http_call *call, struct kol_error *err)
{
    const struct ranking *ranking = &rankings[http_choice(call, api_field(call, "metric"))];
    const size_t limit = (size_t)http_int(call, api_field(call, "limit"));
    struct api_copy *copy;
    struct api_list list;
    int64_t total;
    struct api_keys_page page;
    struct online_record *records;
    enum kol_status status = list_of(call, ranking, &list);
    status = status == KOL_OK ? api_call_copy(call, &copy, err) : status;
    status = status == KOL_OK
                 ? api_read_page(call, copy, &list, false, 0, limit, &total, &page, err)
                 : status;
    if (status == KOL_OK) {
        status = take_records(copy, ONLINE_KOL, page.keys, page.count, http_call_arena(call),
                              &records, err);
    }
    if (status != KOL_OK) {
        return status;
    }
    const struct ranking_columns columns = columns_of(copy, ranking);
    struct buf body = {0};
    struct json json = {.out = &body};
    begin_list(&json, http_text(call, api_field(call, "platform")),
               http_text(call, api_field(call, "metric")));
    for (size_t i = 0; i < page.count; i++) {
        put_kol(&json, copy, &records[i], i + 1, &columns);
    }
    return end_list(call, &json, copy, "TrendingKOL");
}
