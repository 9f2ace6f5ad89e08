/*
 * list.c: lists of KOLs: filters and order as SQL, how many there are, the keys of a page.
 *
 * The online copy has a table for each order, in which the rows lie as they are wanted: a page is
 * the first rows that pass the filters, from a place on, and ends early. A place going down is the
 * row's number in that table. Going up, and in the one list that no table has (a search by name in
 * another order than by followers, which sorts), it is the number of rows passed over: the rows
 * going up are those going down, read from the other end.
 *
 * What passes the filters is counted by one look at all rows; the sum is kept with the copy, in
 * which it cannot change.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "api/lists.h"
#include "base/fold.h"
#include "base/hash.h"

static const struct order {
    const char *table, *column;
} orders[API_METRICS] = {
    [API_BY_FOLLOWERS] = {"kols_by_followers", "followers_count"},
    [API_BY_ENGAGEMENT] = {"kols_by_engagement", "avg_engagement_rate"},
    [API_BY_TRUST] = {"kols_by_trust", "trust_score"},
    [API_BY_TRENDING] = {"kols_by_trending", "trending_score"},
    [API_BY_SUCCESS] = {"kols_by_success", "success_score"},
    [API_BY_COMPOSITE] = {"kols_by_composite", "composite_score"},
};

#define LIST_SEED UINT64_C(0x6c69737473) /* any number, the same in every process */

enum kol_status api_lists_query(struct engine_session *session, const struct buf *sql,
                                struct engine_result **out, struct kol_error *err)
{
    enum kol_status status = engine_query(session, sql->ptr, out, err);
    if (status != KOL_INVALID) {
        return status;
    }
    struct kol_error refused = *err;
    return kol_fail(err, KOL_CORRUPT, "the copy's lists refuse a query: %s", refused.message);
}

/* ---- filters ---- */

static void begin_condition(struct buf *where)
{
    if (where->len) {
        buf_puts(where, " AND ");
    }
}

static void put_flag(const struct http_call *call, struct buf *where)
{
    size_t field = api_field(call, "verified");
    if (http_given(call, field)) {
        begin_condition(where);
        buf_puts(where, http_bool(call, field) ? "verified" : "NOT verified");
    }
}

static void put_words(const struct http_call *call, const char *name, struct buf *where)
{
    enum { MAX_WORDS = 100 };
    struct str words[MAX_WORDS];
    size_t count = http_words(call, api_field(call, name), words, MAX_WORDS);
    if (!count) {
        return;
    }
    begin_condition(where);
    buf_printf(where, "%s IN (", name);
    for (size_t i = 0; i < count; i++) {
        buf_puts(where, i ? ", " : "");
        engine_quote_text(where, words[i]);
    }
    buf_putc(where, ')');
}

static void put_bounds(const struct http_call *call, struct buf *where)
{
    size_t least = api_field(call, "min_followers"), most = api_field(call, "max_followers");
    size_t trust = api_field(call, "min_trust");
    if (http_given(call, least)) {
        begin_condition(where);
        buf_printf(where, "followers_count >= %lld", (long long)http_int(call, least));
    }
    if (http_given(call, most)) {
        begin_condition(where);
        buf_printf(where, "followers_count <= %lld", (long long)http_int(call, most));
    }
    if (http_given(call, trust)) {
        begin_condition(where);
        buf_puts(where, "trust_score >= ");
        buf_put_double(where, http_real(call, trust));
        buf_puts(where, "::DOUBLE"); /* else it is a DECIMAL, and the scores are cast to that */
    }
}

/* A text that folds to nothing is held by every name. */
static bool put_search(const struct http_call *call, struct buf *where)
{
    struct buf folded = {0};
    fold_put(&folded, http_text(call, api_field(call, "q")));
    bool searches = folded.len > 0;
    if (searches) {
        begin_condition(where);
        buf_puts(where, "(contains(name_folded, ");
        engine_quote_text(where, buf_str(&folded));
        buf_puts(where, ") OR contains(id_folded, ");
        engine_quote_text(where, buf_str(&folded));
        buf_puts(where, "))");
    }
    buf_free(&folded);
    return searches;
}

static void put_platform(struct str platform, struct buf *where)
{
    if (platform.len && !str_is(platform, "all")) {
        begin_condition(where);
        buf_puts(where, "platform = ");
        engine_quote_text(where, platform);
    }
}

/* Takes the text over. */
static void finish_list(struct arena *arena, struct buf *where, struct api_list *list)
{
    list->where = arena_copy(arena, buf_str(where));
    buf_free(where);
    uint64_t order = (uint64_t)list->metric * 2 + (uint64_t)list->ascending;
    list->hash = hash_seeded(list->where, LIST_SEED + order);
}

void api_list_of(struct http_call *call, struct api_list *out)
{
    struct buf where = {0};
    *out = (struct api_list){
        .metric = (enum api_metric)http_choice(call, api_field(call, "sort_by")),
        .ascending = http_choice(call, api_field(call, "order")) == 1,
    };
    put_platform(http_text(call, api_field(call, "platform")), &where);
    put_flag(call, &where);
    put_words(call, "tier", &where);
    put_words(call, "category", &where);
    put_words(call, "lang", &where);
    put_bounds(call, &where);
    out->sorts = put_search(call, &where) && out->metric != API_BY_FOLLOWERS;
    finish_list(http_call_arena(call), &where, out);
}

void api_list_make(struct arena *arena, enum api_metric metric, struct str platform,
                   const char *more, struct api_list *out)
{
    struct buf where = {0};
    *out = (struct api_list){.metric = metric, .sorts = *more != 0};
    put_platform(platform, &where);
    begin_condition(&where);
    buf_printf(&where, "%s IS NOT NULL", orders[metric].column);
    if (*more) {
        begin_condition(&where);
        buf_puts(&where, more);
    }
    finish_list(arena, &where, out);
}

/* ---- where the rows are ---- */

/* False where no KOL of the copy has the metric: there is no table then either. */
static bool has_metric(const struct api_copy *copy, const struct api_list *list)
{
    return online_column(copy->online, ONLINE_KOL, orders[list->metric].column) >= 0;
}

/* A table has the rows in their order; else all that pass are sorted. */
static bool is_ranked(const struct api_copy *copy, const struct api_list *list)
{
    return !list->sorts && has_metric(copy, list);
}

static void put_from(struct buf *sql, const struct api_copy *copy, const struct api_list *list)
{
    buf_printf(sql, " FROM %s", is_ranked(copy, list) ? orders[list->metric].table : "kols");
    if (list->where.len) {
        buf_printf(sql, " WHERE %.*s", STR_FORMAT(list->where));
    }
}

static void put_sort(struct buf *sql, const struct api_copy *copy, const struct api_list *list)
{
    buf_puts(sql, " ORDER BY ");
    if (has_metric(copy, list)) {
        buf_printf(sql, "%s DESC NULLS LAST, ", orders[list->metric].column);
    }
    buf_puts(sql, "platform, kol_id");
}

/* ---- totals ---- */

enum { KEPT_TOTALS = 1024 };

/* The last lists that were counted in one copy, the oldest given up first. */
struct totals_kept {
    pthread_mutex_t lock;
    size_t next;
    struct kept_total {
        uint64_t hash;
        char *key; /* hashes of strangers' texts may collide */
        struct api_totals totals;
    } kept[KEPT_TOTALS];
};

static enum kol_status make_totals(struct api_copy *copy, void *user, void **out,
                                   struct kol_error *err)
{
    (void)copy;
    (void)user;
    (void)err;
    struct totals_kept *kept = mem_zalloc(1, sizeof *kept);
    pthread_mutex_init(&kept->lock, NULL);
    *out = kept;
    return KOL_OK;
}

static void free_totals(void *value)
{
    struct totals_kept *kept = value;
    for (size_t i = 0; i < KEPT_TOTALS; i++) {
        free(kept->kept[i].key);
    }
    pthread_mutex_destroy(&kept->lock);
    free(kept);
}

static bool find_totals(struct totals_kept *kept, const char *key, uint64_t hash,
                        struct api_totals *out)
{
    bool found = false;
    pthread_mutex_lock(&kept->lock);
    for (size_t i = 0; i < KEPT_TOTALS && !found; i++) {
        const struct kept_total *at = &kept->kept[i];
        found = at->hash == hash && at->key && strcmp(at->key, key) == 0;
        if (found) {
            *out = at->totals;
        }
    }
    pthread_mutex_unlock(&kept->lock);
    return found;
}

static void keep_totals(struct totals_kept *kept, const char *key, uint64_t hash,
                        const struct api_totals *totals)
{
    pthread_mutex_lock(&kept->lock);
    struct kept_total *at = &kept->kept[kept->next++ % KEPT_TOTALS];
    free(at->key);
    *at = (struct kept_total){hash, mem_strdup(key), *totals};
    pthread_mutex_unlock(&kept->lock);
}

static enum kol_status count_rows(struct engine_session *session, const struct buf *sql,
                                  struct api_totals *out, struct kol_error *err)
{
    struct engine_result *result = NULL;
    size_t rows = 0;
    enum kol_status status = api_lists_query(session, sql, &result, err);
    status = status == KOL_OK ? engine_next(result, &rows, err) : status;
    if (status == KOL_OK && rows == 1) {
        *out = (struct api_totals){engine_int(result, 0, 0), engine_int(result, 1, 0)};
    }
    engine_result_free(&result);
    return status;
}

enum kol_status api_list_totals(struct api_copy *copy, struct engine_session *session,
                                const struct api_list *list, struct api_totals *out,
                                struct kol_error *err)
{
    static const char kept_as[] = "totals of lists";
    void *kept = NULL;
    struct buf sql = {0};
    *out = (struct api_totals){0};
    enum kol_status status =
        api_copy_kept(copy, kept_as, make_totals, NULL, free_totals, &kept, err);
    if (status != KOL_OK) {
        return status;
    }
    buf_puts(&sql, "SELECT count(*), ");
    buf_printf(&sql, "%s%s%s", has_metric(copy, list) ? "count(" : "0 AS ",
               orders[list->metric].column, has_metric(copy, list) ? ")" : "");
    put_from(&sql, copy, list);
    uint64_t hash = hash_seeded(buf_str(&sql), LIST_SEED);
    if (!find_totals(kept, sql.ptr, hash, out)) {
        status = count_rows(session, &sql, out, err);
        if (status == KOL_OK) {
            keep_totals(kept, sql.ptr, hash, out);
        }
    }
    buf_free(&sql);
    return status;
}

/* ---- pages ---- */

/* What a page is read by. */
struct reading {
    struct api_copy *copy;
    struct engine_session *session;
    const struct api_list *list;
    struct arena *arena;
    struct online_key *keys; /* room for one more than the page */
    int64_t *places;         /* row numbers, of ranked tables */
    size_t count;
};

static enum kol_status take_rows(struct reading *reading, const struct buf *sql,
                                 struct kol_error *err)
{
    struct engine_result *result = NULL;
    size_t rows = 0;
    enum kol_status status = api_lists_query(reading->session, sql, &result, err);
    while (status == KOL_OK && (status = engine_next(result, &rows, err)) == KOL_OK && rows) {
        for (size_t i = 0; i < rows; i++) {
            reading->keys[reading->count] = (struct online_key){
                arena_copy(reading->arena, engine_text(result, 0, i)),
                arena_copy(reading->arena, engine_text(result, 1, i)),
            };
            reading->places[reading->count++] = engine_int(result, 2, i);
        }
    }
    engine_result_free(&result);
    return status;
}

/* Appends `count` rows, or as many as there are, in the order going down: those from the row
 * number `place` on, behind the first `pass` that pass the filters. */
static enum kol_status take_down(struct reading *reading, int64_t place, int64_t pass, size_t count,
                                 struct kol_error *err)
{
    const struct api_list *list = reading->list;
    const bool ranked = is_ranked(reading->copy, list);
    struct buf sql = {0};
    buf_printf(&sql, "SELECT platform::VARCHAR, kol_id, %s", ranked ? "rowid" : "0::BIGINT");
    put_from(&sql, reading->copy, list);
    if (ranked && !list->where.len) { /* nothing is passed over: the row number tells the place */
        place += pass;
        pass = 0;
    }
    if (!ranked) {
        put_sort(&sql, reading->copy, list);
    } else if (place > 0) {
        buf_printf(&sql, "%srowid >= %lld", list->where.len ? " AND " : " WHERE ",
                   (long long)place);
    }
    buf_printf(&sql, " LIMIT %zu", count);
    if (pass > 0) {
        buf_printf(&sql, " OFFSET %lld", (long long)pass);
    }
    enum kol_status status = take_rows(reading, &sql, err);
    buf_free(&sql);
    return status;
}

/* The rows from the number `from` on going up: the known ones from their end, then the unknown. */
static enum kol_status take_up(struct reading *reading, const struct api_totals *totals,
                               int64_t from, size_t count, struct kol_error *err)
{
    enum kol_status status = KOL_OK;
    size_t known = 0;
    if (from < totals->known) {
        int64_t left = totals->known - from;
        known = (int64_t)count < left ? count : (size_t)left;
        status = take_down(reading, 0, left - (int64_t)known, known, err);
        for (size_t i = 0, k = reading->count; i + 1 < k; i++) {
            struct online_key key = reading->keys[i];
            reading->keys[i] = reading->keys[--k];
            reading->keys[k] = key;
        }
    }
    if (status == KOL_OK && known < count) {
        int64_t pass = from + (int64_t)known;
        status = pass < totals->rows ? take_down(reading, 0, pass, count - known, err) : KOL_OK;
    }
    return status;
}

enum kol_status api_list_page(struct api_copy *copy, struct engine_session *session,
                              const struct api_list *list, const struct api_totals *totals,
                              bool paged, int64_t from, size_t limit, struct arena *arena,
                              struct api_keys_page *out, struct kol_error *err)
{
    struct reading reading = {copy, session, list, arena, NULL, NULL, 0};
    const bool by_row = !list->ascending && is_ranked(copy, list);
    enum kol_status status = KOL_OK;
    reading.keys = arena_alloc(arena, (limit + 1) * sizeof *reading.keys);
    reading.places = arena_alloc(arena, (limit + 1) * sizeof *reading.places);
    if (list->ascending) {
        status = take_up(&reading, totals, from, limit + 1, err);
    } else if (by_row && paged) {
        status = take_down(&reading, from, 0, limit + 1, err);
    } else if (from < totals->rows) {
        status = take_down(&reading, 0, from, limit + 1, err);
    }
    *out = (struct api_keys_page){.keys = reading.keys, .count = reading.count};
    out->more = out->count > limit;
    out->count = out->more ? limit : out->count;
    out->next_place =
        by_row && out->count ? reading.places[out->count - 1] + 1 : from + (int64_t)out->count;
    return status;
}
