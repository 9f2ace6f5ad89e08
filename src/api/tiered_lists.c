/*
 * tiered_lists.c: lists that are sets in Redis: the set with its sibling first, then the hashes of
 * its rows in one exchange. Rows that are not there, or of another snapshot than the set, come from
 * the copy of the set's snapshot; where that cannot be had, the handler answers from its own copy:
 * no answer mixes two snapshots.
 */
#include <math.h>
#include <string.h>

#include "api/tiered.h"
#include "base/clock.h"

/* A list under way. */
struct listing {
    struct http_call *call;
    struct api_asked set;
    bool all;               /* of all platforms: members name theirs */
    struct str platform;    /* as it was asked for */
    size_t count;           /* rows that are shown */
    struct api_copy *copy;  /* of the set's snapshot; NULL: none was needed yet */
    struct api_asked *rows; /* one or two for each row, see `kinds` */
    enum serve_key kinds[2];
    size_t per_row;
};

/* ---- rows ---- */

static bool init_row(struct listing *listing, size_t row)
{
    struct str platform = listing->platform, id = listing->set.set.members[row].name;
    if (listing->all) {
        api_cut_id(listing->set.set.members[row].name, &platform, &id);
    }
    for (size_t k = 0; k < listing->per_row; k++) {
        if (!api_ask_init(&listing->rows[row * listing->per_row + k], listing->call,
                          listing->kinds[k], platform, id)) {
            return false;
        }
    }
    return true;
}

/* The copy of the set's snapshot, which the call then holds. */
static enum kol_status take_copy(struct listing *listing, struct kol_error *err)
{
    const int64_t snapshot = listing->set.set.snapshot;
    struct api_call *held = api_call_of(listing->call);
    enum kol_status status = KOL_OK;
    if (listing->copy) {
        return KOL_OK;
    }
    struct api_copy *now = held->copy ? NULL : api_copy_take(held->api->copies);
    const bool current = held->copy || !snapshot || (now && now->info->number == snapshot);
    api_copy_drop(now);
    status = current ? api_call_copy(listing->call, &listing->copy, err)
                     : api_call_try_copy(listing->call, snapshot, &listing->copy, err);
    if (status == KOL_OK && snapshot && listing->copy->info->number != snapshot) {
        status = kol_fail(err, KOL_NOT_FOUND, "the set is of another snapshot");
    }
    return status;
}

/* One exchange for all rows; those that cannot be used are marked by a hash without fields. */
static bool ask_rows(struct listing *listing)
{
    struct tier *tier = listing->set.tier;
    const size_t count = listing->count * listing->per_row;
    struct redis_pipe *pipe = listing->set.set.snapshot ? tier_pipe(tier) : NULL;
    size_t *places = arena_alloc(http_call_arena(listing->call), (count + 1) * sizeof *places);
    if (!pipe) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        places[i] = serve_ask(pipe, listing->rows[i].kind, listing->rows[i].key);
    }
    const bool ran = tier_run(tier, pipe, http_call_deadline_ns(listing->call));
    for (size_t i = 0; ran && i < count; i++) {
        struct api_asked *row = &listing->rows[i];
        enum tier_read read = api_ask_take(row, pipe, places[i]);
        if (read == TIER_HIT && row->hash.snapshot != listing->set.set.snapshot) {
            read = TIER_OLD;
        }
        if (read != TIER_HIT) {
            row->hash = (struct serve_hash){0};
        }
        if (row->unsaid) {
            api_call_weak(listing->call);
        }
        tier_count(tier, read);
    }
    tier_pipe_done(tier, &pipe);
    return ran;
}

static enum kol_status fill_rows(struct listing *listing, struct kol_error *err)
{
    const size_t count = listing->count * listing->per_row;
    struct arena *arena = http_call_arena(listing->call);
    enum kol_status status = KOL_OK;
    listing->rows = arena_alloc(arena, (count + 1) * sizeof *listing->rows);
    for (size_t row = 0; row < listing->count; row++) {
        if (!init_row(listing, row)) {
            return kol_fail(err, KOL_NOT_FOUND, "a member of the set is no id");
        }
    }
    if (!ask_rows(listing) && listing->set.set.snapshot) {
        api_call_weak(listing->call);
    }
    /* What is not there comes from the copy. */
    for (size_t i = 0; i < count && status == KOL_OK; i++) {
        struct api_asked *row = &listing->rows[i];
        if (!row->hash.count) {
            status = take_copy(listing, err);
            status = status == KOL_OK ? api_ask_load(row, listing->copy, NULL, err) : status;
        }
        api_ask_tag(row);
    }
    return status;
}

/* ---- writing ---- */

/* Fields of a row's answer, out of those of its hashes. */
struct row {
    struct serve_field fields[32];
    size_t count;
};

static void put(struct row *row, const char *name, struct str value)
{
    row->fields[row->count++] = (struct serve_field){.name = str_of(name), .value = value};
}

/* Under another name maybe; what is not there stays away. */
static void put_from(struct row *row, const char *name, const struct api_asked *from,
                     const char *field)
{
    const struct serve_field *found = serve_field(from->hash.fields, from->hash.count, field);
    if (found) {
        put(row, name, found->value);
    }
}

static void put_number(struct row *row, const char *name, double value, struct arena *arena)
{
    struct buf text = {0};
    buf_put_double(&text, value);
    put(row, name, arena_copy(arena, buf_str(&text)));
    buf_free(&text);
}

static void begin(struct json *json, const struct listing *listing, const char *name,
                  struct str value)
{
    js_open(json, '{');
    js_member_text(json, "platform", listing->platform);
    if (name) {
        js_member_text(json, name, value);
    }
    js_name(json, "data");
    js_open(json, '[');
}

static enum kol_status end(struct listing *listing, struct json *json, const char *schema,
                           const struct api_row_style *style)
{
    int64_t as_of_us;
    js_close(json, ']');
    if (listing->set.set.snapshot) {
        js_member_time(json, "as_of",
                       clock_parse(listing->set.set.as_of, &as_of_us) ? as_of_us : 0);
        js_member_int(json, "snapshot", listing->set.set.snapshot);
    } else {
        api_put_source(json, listing->copy);
    }
    js_close(json, '}');
    return api_answer_rows(listing->call, json->out, schema, style);
}

/* Writes a row where its fields are what the schema says. */
static enum kol_status put_row(struct json *json, const struct serve_field *fields, size_t count,
                               const char *schema, struct kol_error *err)
{
    struct buf text = {0};
    enum kol_status status =
        serve_to_json(api_schema(schema), api_find_schema, fields, count, &text, err);
    if (status == KOL_OK) {
        js_raw(json, buf_str(&text));
    }
    buf_free(&text);
    return status;
}

/* ---- reading a list ---- */

static enum kol_status read_listing(struct http_call *call, struct listing *listing,
                                    enum serve_key kind, struct str second, enum serve_key row_kind,
                                    enum serve_key more_kind, struct kol_error *err)
{
    const size_t limit = (size_t)http_int(call, api_field(call, "limit"));
    *listing = (struct listing){
        .call = call,
        .platform = http_text(call, api_field(call, "platform")),
        .kinds = {row_kind, more_kind},
        .per_row = more_kind == row_kind ? 1 : 2,
    };
    listing->all = str_is(listing->platform, "all");
    if (!api_ask_init(&listing->set, call, kind, listing->platform, second)) {
        return kol_fail(err, KOL_NOT_FOUND, "no key is spelled so");
    }
    enum kol_status status = api_ask(&listing->set, err);
    if (status != KOL_OK) {
        return status;
    }
    listing->count = listing->set.set.count < limit ? listing->set.set.count : limit;
    status = fill_rows(listing, err);
    /* An empty foreign set has no row that names a snapshot. */
    if (status == KOL_OK && !listing->set.set.snapshot) {
        status = take_copy(listing, err);
    }
    return status;
}

/* ---- top lists ---- */

static enum kol_status put_profile(struct json *json, const struct api_asked *row,
                                   struct kol_error *err)
{
    struct arena *arena = http_call_arena(row->call);
    struct serve_field *fields = arena_alloc(arena, (row->hash.count + 1) * sizeof *fields);
    size_t count = 0;
    for (size_t i = 0; i < row->hash.count; i++) {
        if (!str_is(row->hash.fields[i].name, "also_on")) { /* of one who was asked for */
            fields[count++] = row->hash.fields[i];
        }
    }
    return put_row(json, fields, count, "KOLProfile", err);
}

enum kol_status api_tiered_top(struct http_call *call, struct kol_error *err)
{
    static const struct api_row_style all = {.field_count = 0};
    struct listing listing;
    struct buf body = {0};
    struct json json = {.out = &body};
    const struct str by = http_text(call, api_field(call, "by"));
    enum kol_status status =
        read_listing(call, &listing,
                     str_is(by, "engagement") ? SERVE_KEY_TOP_ENGAGEMENT : SERVE_KEY_TOP_FOLLOWERS,
                     STR("100"), SERVE_KEY_PROFILE_ON, SERVE_KEY_PROFILE_ON, err);
    if (status != KOL_OK) {
        return status;
    }
    begin(&json, &listing, "by", by);
    for (size_t i = 0; i < listing.count && status == KOL_OK; i++) {
        status = put_profile(&json, &listing.rows[i], err);
    }
    if (status != KOL_OK) {
        buf_free(&body);
        return status;
    }
    return end(&listing, &json, "KOLRow", &all);
}

/* ---- trending content ---- */

static void put_unknown(struct row *row, const struct api_asked *from, struct arena *arena)
{
    static const char *const counts[] = {"views", "likes", "comments", "shares"};
    struct str names[ARRAY_LEN(counts)];
    size_t unknown = 0;
    struct buf text = {0};
    struct json json = {.out = &text};
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        if (serve_field(from->hash.fields, from->hash.count, counts[i])) {
            put_from(row, counts[i], from, counts[i]);
        } else {
            put(row, counts[i], STR("0"));
            names[unknown++] = str_of(counts[i]);
        }
    }
    js_texts(&json, names, unknown);
    put(row, "unknown", arena_copy(arena, buf_str(&text)));
    buf_free(&text);
}

enum kol_status api_tiered_trending(struct http_call *call, struct kol_error *err)
{
    struct listing listing;
    struct buf body = {0};
    struct json json = {.out = &body};
    struct arena *arena = http_call_arena(call);
    const bool few = http_int(call, api_field(call, "limit")) <= 50;
    enum kol_status status =
        read_listing(call, &listing, SERVE_KEY_CONTENT_TRENDING, few ? STR("50") : STR("100"),
                     SERVE_KEY_CONTENT_ON, SERVE_KEY_CONTENT_ON, err);
    if (status != KOL_OK) {
        return status;
    }
    begin(&json, &listing, NULL, STR(""));
    for (size_t i = 0; i < listing.count && status == KOL_OK; i++) {
        const struct api_asked *from = &listing.rows[i];
        struct row row = {0};
        put_number(&row, "rank", (double)(i + 1), arena);
        put_from(&row, "content_id", from, "content_id");
        if (serve_field(from->hash.fields, from->hash.count, "kol_id")) {
            put_from(&row, "kol_id", from, "kol_id");
        } else {
            put(&row, "kol_id", STR(""));
        }
        put_from(&row, "platform", from, "platform");
        put_from(&row, "title", from, "title");
        put_unknown(&row, from, arena);
        put_number(&row, "trending_score", score_round(listing.set.set.members[i].score), arena);
        put_from(&row, "gained_views", from, "gained_views");
        put_from(&row, "as_of", from, "trending_as_of");
        status = put_row(&json, row.fields, row.count, "TrendingContent", err);
    }
    if (status != KOL_OK) {
        buf_free(&body);
        return status;
    }
    return end(&listing, &json, "TrendingContent", NULL);
}

/* ---- KOLs by a score ---- */

static const char *label_of(struct str metric, double score)
{
    return str_is(metric, "trending")  ? trending_label(score)
           : str_is(metric, "trust")   ? trust_label(score)
           : str_is(metric, "success") ? success_label(score)
                                       : "";
}

enum kol_status api_tiered_ranking(struct http_call *call, struct kol_error *err)
{
    struct listing listing;
    struct buf body = {0};
    struct json json = {.out = &body};
    struct arena *arena = http_call_arena(call);
    const struct str metric = http_text(call, api_field(call, "metric"));
    if (http_given(call, api_field(call, "label"))) {
        return kol_fail(err, KOL_NOT_FOUND, "rankings are not kept by label");
    }
    enum kol_status status = read_listing(call, &listing, SERVE_KEY_RANKING, metric,
                                          SERVE_KEY_PROFILE_ON, SERVE_KEY_SCORE_ON, err);
    if (status != KOL_OK) {
        return status;
    }
    begin(&json, &listing, "metric", metric);
    for (size_t i = 0; i < listing.count && status == KOL_OK; i++) {
        const struct api_asked *profile = &listing.rows[2 * i], *score = profile + 1;
        const double value = listing.set.set.members[i].score;
        struct row row = {0};
        put_number(&row, "rank", (double)(i + 1), arena);
        put_from(&row, "kol_id", profile, "kol_id");
        put_from(&row, "platform", profile, "platform");
        put_from(&row, "display_name", profile, "display_name");
        put_number(&row, "score", score_round(value), arena);
        put(&row, "label", str_of(label_of(metric, value)));
        put_from(&row, "followers_count", profile, "followers_count");
        put_from(&row, "as_of", score,
                 str_is(metric, "trending") ? "trending_as_of" : "event_time");
        status = put_row(&json, row.fields, row.count, "TrendingKOL", err);
    }
    if (status != KOL_OK) {
        buf_free(&body);
        return status;
    }
    return end(&listing, &json, "TrendingKOL", NULL);
}
