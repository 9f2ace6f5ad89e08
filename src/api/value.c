/*
 * value.c: the value of one key of the cache between processes, made from a copy: what the answers
 * of the API are made of, in the same words.
 */
#include "api/value.h"

#include <string.h>

#include "base/clock.h"
#include "base/text.h"

/* ---- readers ---- */

enum kol_status api_reader_session(struct api_reader *reader, struct engine_session **out,
                                   struct kol_error *err)
{
    if (reader->call) {
        return api_session_take(reader->call, reader->copy, out, err);
    }
    enum kol_status status =
        reader->own ? KOL_OK : online_lists(reader->copy->online, &reader->own, err);
    *out = reader->own;
    return status;
}

void api_reader_release(struct api_reader *reader, struct engine_session **session)
{
    if (reader->call) {
        api_session_drop(reader->call, session);
    }
    *session = NULL;
}

void api_reader_done(struct api_reader *reader)
{
    engine_session_close(&reader->own);
}

bool api_is_platform(struct str text)
{
    return api_platform_place(text) >= 0 || str_is(text, "all");
}

const struct http_schema *api_value_schema(enum serve_key kind)
{
    struct str fields = str_of(serve_keys[kind].fields);
    const struct str name = str_cut(&fields, ' ');
    char text[64];
    KOL_ASSERT(name.len && name.len < sizeof text);
    memcpy(text, name.ptr, name.len);
    text[name.len] = '\0';
    return api_schema(text);
}

static struct str keep(struct buf *body, struct arena *arena)
{
    const struct str text = arena_copy(arena, buf_str(body));
    buf_free(body);
    return text;
}

/* Whom a key names: by its bare id, or on a platform. */
static enum kol_status find_kol(struct api_copy *copy, enum serve_key kind, const struct str *parts,
                                struct api_who *out, struct kol_error *err)
{
    const bool bare = kind == SERVE_KEY_PROFILE || kind == SERVE_KEY_SCORE;
    const struct str platform = bare ? STR("") : parts[0], id = bare ? parts[0] : parts[1];
    if (str_is(platform, "all")) {
        return kol_fail(err, KOL_NOT_FOUND, "no KOL is of all platforms");
    }
    enum kol_status status = api_who_is(copy, id, platform, out, err);
    return status == KOL_INVALID ? KOL_NOT_FOUND : status;
}

/* ---- hashes ---- */

/* A hash while it is written, by what writes the JSON of answers. */
struct hash {
    struct buf bytes;
    struct json json;
    struct json_fields fields;
};

enum { HASH_BYTES = 2000 }; /* most have fewer */

static void begin_hash(struct hash *hash)
{
    hash->bytes = (struct buf){0};
    buf_reserve(&hash->bytes, HASH_BYTES);
    js_fields_begin(&hash->json, &hash->fields, &hash->bytes);
}

static void end_hash(struct hash *hash, struct arena *arena, struct warm_item *out)
{
    struct serve_field *fields;
    js_fields_end(&hash->json, arena, &fields, &out->field_count);
    out->fields = fields;
    buf_free(&hash->bytes);
}

static enum kol_status profile_value(struct api_copy *copy, enum serve_key kind,
                                     const struct str *parts, struct arena *arena,
                                     struct warm_item *out, struct kol_error *err)
{
    struct api_who who;
    struct hash hash;
    enum kol_status status = find_kol(copy, kind, parts, &who, err);
    if (status == KOL_OK) {
        const struct api_profile_options options = {.who = &who};
        begin_hash(&hash);
        api_put_profile(&hash.json, copy, &who.record, &options);
        end_hash(&hash, arena, out);
    }
    return status;
}

static enum kol_status score_value(struct api_copy *copy, enum serve_key kind,
                                   const struct str *parts, struct arena *arena,
                                   struct warm_item *out, struct kol_error *err)
{
    struct api_who who;
    struct api_score score;
    struct hash hash;
    enum kol_status status = find_kol(copy, kind, parts, &who, err);
    if (status != KOL_OK) {
        return status;
    }
    api_score_of(copy, &who.record, NULL, arena, &score);
    if (!online_int(&who.record, copy->kol.event_time, &out->version)) {
        out->version = 0;
    }
    begin_hash(&hash);
    api_put_score(&hash.json, copy, &who.record, &score);
    js_member_time(&hash.json, "event_time", out->version); /* what its writers compare */
    end_hash(&hash, arena, out);
    return KOL_OK;
}

static enum kol_status content_value(struct api_copy *copy, enum serve_key kind,
                                     const struct str *parts, struct arena *arena,
                                     struct warm_item *out, struct kol_error *err)
{
    struct online_record record;
    struct hash hash;
    const bool bare = kind == SERVE_KEY_CONTENT;
    enum kol_status status =
        api_find_content(copy, bare ? STR("") : parts[0], bare ? parts[0] : parts[1], &record, err);
    if (status == KOL_OK) {
        begin_hash(&hash);
        api_put_content(&hash.json, copy, &record);
        end_hash(&hash, arena, out);
    }
    return status;
}

static enum kol_status stats_value(struct api_reader *reader, enum serve_key kind,
                                   const struct str *parts, struct arena *arena,
                                   struct warm_item *out, struct kol_error *err)
{
    struct hash hash;
    enum kol_status status;
    int64_t day_us;
    begin_hash(&hash);
    if (kind == SERVE_KEY_STATS_PLATFORM) {
        status = api_put_platform_stats(&hash.json, reader, err);
    } else if (clock_parse_day(parts[0], &day_us)) {
        status = api_put_daily_stats(&hash.json, reader, day_us / CLOCK_US_PER_DAY, err);
    } else {
        status = kol_fail(err, KOL_NOT_FOUND, "that is no day");
    }
    end_hash(&hash, arena, out);
    return status;
}

/* ---- lists ---- */

/* The keys of the first rows of a list, and how many there are in all where `total` is not NULL. */
static enum kol_status read_list(struct api_reader *reader, const struct api_list *list,
                                 size_t limit, struct arena *arena, struct api_keys_page *page,
                                 int64_t *total, struct kol_error *err)
{
    struct engine_session *session;
    enum kol_status status = api_reader_session(reader, &session, err);
    if (status != KOL_OK) {
        return status;
    }
    status = api_list_page(reader->copy, session, list, false, 0, limit, arena, page, err);
    if (status == KOL_OK && total) {
        const int64_t seen = page->more ? -1 : (int64_t)page->count;
        status = api_list_total(reader->copy, session, list, seen, total, err);
    }
    api_reader_release(reader, &session);
    return status;
}

/* GET /api/v1/kols?platform=X: without a word on the filters. */
static enum kol_status first_page(struct api_reader *reader, struct str platform,
                                  struct arena *arena, struct warm_item *out, struct kol_error *err)
{
    static const struct api_row_style all = {.field_count = 0};
    struct api_list list;
    struct api_keys_page keys;
    struct api_page page = {.limit = API_LIST_PAGE};
    struct buf body = {0};
    struct json json = {.out = &body};
    api_list_first(arena, platform, &list);
    enum kol_status status =
        read_list(reader, &list, API_LIST_PAGE, arena, &keys, &page.total, err);
    if (status != KOL_OK) {
        return status;
    }
    page.more = keys.more;
    page.next_place = keys.next_place;
    page.list = list.hash;
    js_open(&json, '{');
    js_name(&json, "data");
    js_open(&json, '[');
    status = api_put_rows(&json, reader->copy, &all, keys.keys, keys.count, arena, err);
    js_close(&json, ']');
    if (status != KOL_OK) {
        buf_free(&body);
        return status;
    }
    api_put_page_members(&json, reader->copy, &page);
    js_close(&json, '}');
    out->json = keep(&body, arena);
    return KOL_OK;
}

static int column_of(const struct api_copy *copy, enum api_metric metric)
{
    switch (metric) {
    case API_BY_FOLLOWERS: return copy->kol.followers_count;
    case API_BY_ENGAGEMENT: return copy->kol.avg_engagement_rate;
    case API_BY_TRUST: return copy->kol.trust_score;
    case API_BY_TRENDING: return copy->kol.trending_score;
    case API_BY_SUCCESS: return copy->kol.success_score;
    default: return copy->kol.composite_score;
    }
}

static double number_of(const struct online_record *record, int column, bool whole)
{
    int64_t count = 0;
    double value = 0;
    if (whole) {
        return online_int(record, column, &count) ? (double)count : 0;
    }
    return online_real(record, column, &value) ? value : 0;
}

/* A member of a set: with its platform where the set is of all. */
static struct str member_name(const struct online_key *key, bool all, struct arena *arena)
{
    if (!all) {
        return key->id;
    }
    struct buf text = {0};
    buf_put(&text, key->platform);
    buf_putc(&text, ':');
    buf_put(&text, key->id);
    return keep(&text, arena);
}

static enum kol_status ranked_value(struct api_reader *reader, enum api_metric metric,
                                    struct str platform, size_t limit, struct arena *arena,
                                    struct warm_item *out, struct kol_error *err)
{
    struct api_list list;
    struct api_keys_page page;
    const struct api_copy *copy = reader->copy;
    const int column = column_of(copy, metric);
    api_list_make(arena, metric, platform, "", &list);
    enum kol_status status = read_list(reader, &list, limit, arena, &page, NULL, err);
    if (status != KOL_OK) {
        return status;
    }
    struct online_record *records = arena_alloc(arena, (page.count + 1) * sizeof *records);
    struct serve_member *members = arena_alloc(arena, (page.count + 1) * sizeof *members);
    status = online_get_many(copy->online, ONLINE_KOL, page.keys, page.count, records, err);
    for (size_t i = 0; i < page.count && status == KOL_OK; i++) {
        members[i].name = member_name(&page.keys[i], str_is(platform, "all"), arena);
        members[i].score = number_of(&records[i], column, metric == API_BY_FOLLOWERS);
    }
    out->members = members;
    out->member_count = page.count;
    return status;
}

static enum kol_status trending_value(struct api_reader *reader, const struct str *parts,
                                      struct arena *arena, struct warm_item *out,
                                      struct kol_error *err)
{
    struct api_trending_rows rows;
    const size_t limit = str_is(parts[1], "50") ? 50 : str_is(parts[1], "100") ? 100 : 0;
    if (!limit) {
        return kol_fail(err, KOL_NOT_FOUND, "trending content is kept at limits 50 and 100");
    }
    enum kol_status status = api_read_trending(reader, parts[0], limit, arena, &rows, err);
    struct serve_member *members = arena_alloc(arena, (rows.count + 1) * sizeof *members);
    for (size_t i = 0; i < rows.count && status == KOL_OK; i++) {
        members[i].name = member_name(&rows.keys[i], str_is(parts[0], "all"), arena);
        members[i].score = rows.scores[i];
    }
    out->members = members;
    out->member_count = rows.count;
    return status;
}

static enum kol_status top_value(struct api_reader *reader, enum api_metric metric,
                                 const struct str *parts, struct arena *arena,
                                 struct warm_item *out, struct kol_error *err)
{
    return str_is(parts[1], "100")
               ? ranked_value(reader, metric, parts[0], API_TOP_LIMIT, arena, out, err)
               : kol_fail(err, KOL_NOT_FOUND, "top lists are kept at a limit of 100");
}

static enum kol_status ranking_value(struct api_reader *reader, const struct str *parts,
                                     struct arena *arena, struct warm_item *out,
                                     struct kol_error *err)
{
    static const struct {
        const char *name;
        enum api_metric metric;
    } metrics[] = {{"trending", API_BY_TRENDING},
                   {"trust", API_BY_TRUST},
                   {"success", API_BY_SUCCESS},
                   {"composite", API_BY_COMPOSITE}};
    for (size_t i = 0; i < ARRAY_LEN(metrics); i++) {
        if (str_is(parts[1], metrics[i].name)) {
            return ranked_value(reader, metrics[i].metric, parts[0], API_RANKING_MAX, arena, out,
                                err);
        }
    }
    return kol_fail(err, KOL_NOT_FOUND, "no score ranks by that name");
}

/* ---- names ---- */

/* Folded name, NUL, display name, NUL, platform:kol_id, NUL, followers: all at score 0. The lists
 * have no names but folded ones: the name that is shown is in the record. */
static enum kol_status name_member(const struct api_copy *copy, const struct engine_result *result,
                                   size_t row, struct arena *arena, struct str *out,
                                   struct kol_error *err)
{
    struct online_record record;
    struct str name;
    struct buf text = {0};
    const struct str platform = engine_text(result, 0, row), id = engine_text(result, 1, row);
    enum kol_status status = online_get(copy->online, ONLINE_KOL, platform, id, &record, err);
    if (status != KOL_OK) {
        return status;
    }
    if (!online_text(&record, copy->kol.display_name, &name)) {
        name = id;
    }
    buf_put(&text, engine_text(result, 2, row));
    buf_putc(&text, '\0');
    buf_put(&text, name);
    buf_putc(&text, '\0');
    buf_put(&text, platform);
    buf_putc(&text, ':');
    buf_put(&text, id);
    buf_putc(&text, '\0');
    buf_put_int64(&text, engine_null(result, 3, row) ? 0 : engine_int(result, 3, row));
    *out = keep(&text, arena);
    return KOL_OK;
}

static enum kol_status names_value(struct api_reader *reader, struct arena *arena,
                                   struct warm_item *out, struct kol_error *err)
{
    struct engine_session *session;
    struct engine_result *result = NULL;
    struct buf sql = {0};
    size_t rows = 0, count = 0;
    const int64_t kols = reader->copy->info->kols;
    struct serve_member *members = arena_alloc(arena, ((size_t)kols + 1) * sizeof *members);
    enum kol_status status = api_reader_session(reader, &session, err);
    if (status != KOL_OK) {
        return status;
    }
    buf_printf(&sql,
               "SELECT platform::VARCHAR, kol_id, coalesce(nullif(name_folded, ''), id_folded), "
               "followers_count FROM kols_by_followers LIMIT %d",
               SERVE_MEMBERS_MAX);
    status = api_lists_query(session, &sql, &result, err);
    while (status == KOL_OK && (status = engine_next(result, &rows, err)) == KOL_OK && rows) {
        for (size_t row = 0; row < rows && (int64_t)count < kols && status == KOL_OK; row++) {
            members[count].score = 0;
            status = name_member(reader->copy, result, row, arena, &members[count++].name, err);
        }
    }
    engine_result_free(&result);
    api_reader_release(reader, &session);
    buf_free(&sql);
    out->members = members;
    out->member_count = count;
    return status;
}

enum kol_status api_value_of(struct api_reader *reader, enum serve_key kind,
                             const struct str parts[SERVE_PARTS], struct arena *arena,
                             struct warm_item *out, struct kol_error *err)
{
    *out = (struct warm_item){.kind = kind};
    switch (kind) {
    case SERVE_KEY_PROFILE:
    case SERVE_KEY_PROFILE_ON: return profile_value(reader->copy, kind, parts, arena, out, err);
    case SERVE_KEY_SCORE:
    case SERVE_KEY_SCORE_ON: return score_value(reader->copy, kind, parts, arena, out, err);
    case SERVE_KEY_CONTENT:
    case SERVE_KEY_CONTENT_ON: return content_value(reader->copy, kind, parts, arena, out, err);
    case SERVE_KEY_STATS_PLATFORM:
    case SERVE_KEY_STATS_DAILY: return stats_value(reader, kind, parts, arena, out, err);
    case SERVE_KEY_PROFILES_LIST: return first_page(reader, parts[0], arena, out, err);
    case SERVE_KEY_TOP_FOLLOWERS:
        return top_value(reader, API_BY_FOLLOWERS, parts, arena, out, err);
    case SERVE_KEY_TOP_ENGAGEMENT:
        return top_value(reader, API_BY_ENGAGEMENT, parts, arena, out, err);
    case SERVE_KEY_RANKING: return ranking_value(reader, parts, arena, out, err);
    case SERVE_KEY_CONTENT_TRENDING: return trending_value(reader, parts, arena, out, err);
    case SERVE_KEY_AUTOCOMPLETE: return names_value(reader, arena, out, err);
    default: return kol_fail(err, KOL_NOT_FOUND, "no copy holds such a value");
    }
}
