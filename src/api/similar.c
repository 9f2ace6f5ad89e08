/*
 * similar.c: GET /kols/{kol_id}/similar: the nearest KOLs of the same platform.
 *
 * Only KOLs of about the same size are looked at: those beside it in the list by followers, up to
 * 250 on each side, and as many on each side that share its category. Among these the distance is
 *
 *     sqrt(sum of weight x difference^2), each difference from 0 to 1
 *
 *     weight  difference
 *     3       followers     |log10((1 + a) / (1 + b))|, at most 1: ten times as many is far
 *     3       category      0 the same, 1 another
 *     2       engagement    |log10((0.1 + a) / (0.1 + b))| of avg_engagement_rate, at most 1
 *     1       language      0 the same, 1 another
 *     1       trust         |a - b| / 100
 *     0.5     verified      0 the same, 1 not
 *
 * What is unknown of both makes no difference, what is unknown of one a half. The similarity is
 * 1 - distance / the greatest distance. Equal ones come by kol_id.
 */
#include <math.h>
#include <stdlib.h>

#include "api/lists.h"

enum { EACH_SIDE = 250, MAX_CANDIDATES = 4 * EACH_SIDE };

static const double UNKNOWN_DIFFERENCE = 0.5;

/* What a KOL is compared by. NaN, or an empty text: unknown. */
struct traits {
    double followers, engagement, trust, verified;
    struct str category, lang;
};

struct candidate {
    struct str kol_id;
    struct online_record record;
    double similarity;
};

/* ---- distance ---- */

static double number_of(const struct online_record *record, int column)
{
    int64_t value;
    return online_int(record, column, &value) ? (double)value : NAN;
}

static struct traits traits_of(const struct api_copy *copy, const struct online_record *record)
{
    const struct api_columns *at = &copy->kol;
    struct traits traits = {.followers = number_of(record, at->followers_count)};
    bool verified;
    if (!online_real(record, at->avg_engagement_rate, &traits.engagement)) {
        traits.engagement = NAN;
    }
    if (!online_real(record, at->trust_score, &traits.trust)) {
        traits.trust = NAN;
    }
    traits.verified = online_bool(record, at->verified, &verified) ? verified : NAN;
    if (!online_text(record, at->category, &traits.category)) {
        traits.category = STR("");
    }
    if (!online_text(record, at->lang, &traits.lang)) {
        traits.lang = STR("");
    }
    return traits;
}

/* The difference where not both are known; below 0 where they are. */
static double of_unknown(bool a_known, bool b_known)
{
    return a_known && b_known ? -1 : a_known || b_known ? UNKNOWN_DIFFERENCE : 0;
}

static double in_size(double a, double b, double floor)
{
    double unknown = of_unknown(!isnan(a), !isnan(b));
    return unknown >= 0 ? unknown : fmin(fabs(log10((floor + a) / (floor + b))), 1);
}

static double in_points(double a, double b, double range)
{
    double unknown = of_unknown(!isnan(a), !isnan(b));
    return unknown >= 0 ? unknown : fmin(fabs(a - b) / range, 1);
}

static double in_word(struct str a, struct str b)
{
    double unknown = of_unknown(a.len > 0, b.len > 0);
    return unknown >= 0 ? unknown : str_equal(a, b) ? 0 : 1;
}

static double similarity_of(const struct traits *a, const struct traits *b)
{
    const struct {
        double weight, difference;
    } parts[] = {
        {3, in_size(a->followers, b->followers, 1)},
        {3, in_word(a->category, b->category)},
        {2, in_size(a->engagement, b->engagement, 0.1)},
        {1, in_word(a->lang, b->lang)},
        {1, in_points(a->trust, b->trust, 100)},
        {0.5, in_points(a->verified, b->verified, 1)},
    };
    double sum = 0, greatest = 0;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        sum += parts[i].weight * parts[i].difference * parts[i].difference;
        greatest += parts[i].weight;
    }
    return 1 - sqrt(sum / greatest);
}

/* ---- candidates ---- */

/* Whose neighbours are looked for, and those that were found. */
struct search {
    struct engine_session *session;
    struct arena *arena;
    const struct api_who *who;
    struct traits traits;
    int64_t place; /* its row in kols_by_followers */
    int64_t rows;  /* of that table */
    struct online_key keys[MAX_CANDIDATES];
    size_t count;
};

static void put_condition(struct buf *sql, const char *column, struct str value)
{
    buf_printf(sql, " AND %s = ", column);
    engine_quote_text(sql, value);
}

/* The row that the KOL itself has in the list; those with as many followers lie together. */
static enum kol_status find_place(struct search *search, struct kol_error *err)
{
    struct buf sql = {0};
    buf_puts(&sql, "SELECT coalesce(min(rowid), -1) FROM kols_by_followers WHERE ");
    if (isnan(search->traits.followers)) {
        buf_puts(&sql, "followers_count IS NULL");
    } else {
        buf_printf(&sql, "followers_count = %.0f", search->traits.followers);
    }
    put_condition(&sql, "kol_id", search->who->kol_id);
    put_condition(&sql, "platform", search->who->platform);
    enum kol_status status = api_lists_int(search->session, &sql, &search->place, err);
    if (status == KOL_OK && search->place < 0) {
        status = kol_fail(err, KOL_CORRUPT, "the list by followers lacks %.*s:%.*s",
                          STR_FORMAT(search->who->platform), STR_FORMAT(search->who->kol_id));
    }
    buf_free(&sql);
    return status;
}

/* At most EACH_SIDE rows from `from` to before `to`, the nearest first. */
static enum kol_status take_side(struct search *search, int64_t from, int64_t to, bool above,
                                 struct str category, size_t *taken, struct kol_error *err)
{
    struct buf sql = {0};
    struct engine_result *result = NULL;
    size_t rows = 0, before = search->count;
    buf_printf(&sql, "SELECT kol_id FROM kols_by_followers WHERE rowid >= %lld AND rowid < %lld",
               (long long)from, (long long)to);
    put_condition(&sql, "platform", search->who->platform);
    if (category.len) {
        put_condition(&sql, "category", category);
    }
    buf_printf(&sql, " ORDER BY rowid %s LIMIT %d", above ? "DESC" : "ASC", EACH_SIDE);
    enum kol_status status = api_lists_query(search->session, &sql, &result, err);
    while (status == KOL_OK && (status = engine_next(result, &rows, err)) == KOL_OK && rows) {
        for (size_t i = 0; i < rows; i++) {
            search->keys[search->count++] = (struct online_key){
                search->who->platform, arena_copy(search->arena, engine_text(result, 0, i))};
        }
    }
    engine_result_free(&result);
    buf_free(&sql);
    *taken = search->count - before;
    return status;
}

/* Rows of one side of the KOL: a stretch of the list that grows until it has enough of them. */
static enum kol_status search_side(struct search *search, bool above, struct str category,
                                   struct kol_error *err)
{
    enum { FIRST_STRETCH = 4096, GROWTH = 8 };
    const size_t before = search->count;
    enum kol_status status = KOL_OK;
    size_t taken = 0;
    bool all = false;
    for (int64_t stretch = FIRST_STRETCH; status == KOL_OK && taken < EACH_SIDE && !all;
         stretch *= GROWTH) {
        int64_t from = above ? search->place - stretch : search->place + 1;
        int64_t to = above ? search->place : search->place + 1 + stretch;
        all = above ? from <= 0 : to >= search->rows;
        search->count = before;
        status = take_side(search, from > 0 ? from : 0, to, above, category, &taken, err);
    }
    return status;
}

static enum kol_status find_candidates(struct search *search, struct kol_error *err)
{
    enum kol_status status = find_place(search, err);
    for (int side = 0; side < 2 && status == KOL_OK; side++) {
        status = search_side(search, side == 0, STR(""), err);
        if (status == KOL_OK && search->traits.category.len) {
            status = search_side(search, side == 0, search->traits.category, err);
        }
    }
    return status;
}

/* ---- the nearest ---- */

static int compare_ids(const void *a, const void *b)
{
    return str_compare(((const struct online_key *)a)->id, ((const struct online_key *)b)->id);
}

static int compare_nearness(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->similarity != y->similarity) {
        return x->similarity > y->similarity ? -1 : 1;
    }
    return str_compare(x->kol_id, y->kol_id);
}

/* Those that were found by size and by category are there twice. */
static void drop_doubles(struct search *search)
{
    size_t kept = 0;
    qsort(search->keys, search->count, sizeof *search->keys, compare_ids);
    for (size_t i = 0; i < search->count; i++) {
        if (!kept || !str_equal(search->keys[kept - 1].id, search->keys[i].id)) {
            search->keys[kept++] = search->keys[i];
        }
    }
    search->count = kept;
}

static enum kol_status rank_candidates(const struct api_copy *copy, struct search *search,
                                       struct candidate **out, struct kol_error *err)
{
    drop_doubles(search);
    const size_t count = search->count;
    struct candidate *candidates = arena_alloc(search->arena, (count + 1) * sizeof *candidates);
    struct online_record *records = arena_alloc(search->arena, (count + 1) * sizeof *records);
    enum kol_status status =
        online_get_many(copy->online, ONLINE_KOL, search->keys, count, records, err);
    for (size_t i = 0; i < count && status == KOL_OK; i++) {
        if (!records[i].bytes.len) {
            return kol_fail(err, KOL_CORRUPT, "the copy lists %.*s and has no record of it",
                            STR_FORMAT(search->keys[i].id));
        }
        const struct traits traits = traits_of(copy, &records[i]);
        candidates[i] = (struct candidate){search->keys[i].id, records[i],
                                           similarity_of(&search->traits, &traits)};
    }
    if (status == KOL_OK) {
        qsort(candidates, count, sizeof *candidates, compare_nearness);
    }
    *out = candidates;
    return status;
}

/* ---- the answer ---- */

static void put_similar(struct json *json, const struct api_copy *copy,
                        const struct candidate *candidate)
{
    static const double PLACES = 10000; /* four decimals */
    const struct api_columns *at = &copy->kol;
    const struct online_record *record = &candidate->record;
    js_open(json, '{');
    js_member_cell(json, "kol_id", record, at->kol_id, HTTP_TEXT);
    js_member_cell(json, "platform", record, at->platform, HTTP_TEXT);
    js_member_cell(json, "display_name", record, at->display_name, HTTP_TEXT);
    js_member_cell(json, "followers_count", record, at->followers_count, HTTP_INT);
    js_member_cell(json, "tier", record, at->tier, HTTP_TEXT);
    js_member_cell(json, "category", record, at->category, HTTP_TEXT);
    js_member_score(json, "trust_score", record, at->trust_score);
    js_member_real(json, "similarity", rint(candidate->similarity * PLACES) / PLACES);
    js_close(json, '}');
}

static enum kol_status answer(struct http_call *call, const struct api_copy *copy,
                              const struct api_who *who, const struct candidate *candidates,
                              size_t count)
{
    struct buf body = {0};
    struct json json = {.out = &body};
    js_open(&json, '{');
    js_member_text(&json, "kol_id", who->kol_id);
    js_member_text(&json, "platform", who->platform);
    js_name(&json, "data");
    js_open(&json, '[');
    for (size_t i = 0; i < count; i++) {
        put_similar(&json, copy, &candidates[i]);
    }
    js_close(&json, ']');
    api_put_source(&json, copy);
    js_close(&json, '}');
    return api_answer_rows(call, &body, "SimilarKOL", NULL);
}

enum kol_status api_similar_kols(struct http_call *call, struct kol_error *err)
{
    const size_t limit = (size_t)http_int(call, api_field(call, "limit"));
    struct arena *arena = http_call_arena(call);
    struct search *search = arena_alloc(arena, sizeof *search);
    struct candidate *candidates = NULL;
    struct api_copy *copy;
    struct api_who who;
    *search = (struct search){.arena = arena, .who = &who};
    enum kol_status status = api_call_copy(call, &copy, err);
    status = status == KOL_OK ? api_who(call, copy, &who, err) : status;
    if (status == KOL_OK) {
        search->traits = traits_of(copy, &who.record);
        search->rows = copy->info->kols;
        status = api_session_take(call, copy, &search->session, err);
    }
    status = status == KOL_OK ? find_candidates(search, err) : status;
    api_session_drop(call, &search->session);
    status = status == KOL_OK ? rank_candidates(copy, search, &candidates, err) : status;
    if (status != KOL_OK) {
        return status;
    }
    return answer(call, copy, &who, candidates, search->count < limit ? search->count : limit);
}
