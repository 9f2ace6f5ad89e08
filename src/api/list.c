/*
 * list.c: lists of KOLs: filters and order as SQL, how many there are, the keys of a page.
 *
 * The online copy has a table for each order, in which the rows lie as they are wanted: a page is
 * the first rows that pass the filters, from a place on, and ends early. A place is how many rows
 * of the table lie before it, whether they pass or not. Going up they are counted from the last
 * known row to the first, and then on through the unknown ones:
 *
 *     table        known, highest first | unknown      rows 0..K-1 | K..
 *     going up     row K-1 ... row 0    | row K ...    place of what follows row r: K - r | r + 1
 *
 * One kind of list no table has: a search by name in another order than by followers. There the
 * rows that pass are sorted, and a place is how many of these come before.
 *
 * All that passes is counted where a page does not show the end of it; the sum is kept with the
 * copy, in which it cannot change.
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

static enum kol_status our_fault(enum kol_status status, struct kol_error *err)
{
    if (status != KOL_INVALID) {
        return status;
    }
    struct kol_error refused = *err;
    return kol_fail(err, KOL_CORRUPT, "the copy's lists refuse a query: %s", refused.message);
}

enum kol_status api_lists_query(struct engine_session *session, const struct buf *sql,
                                struct engine_result **out, struct kol_error *err)
{
    return our_fault(engine_query(session, sql->ptr, out, err), err);
}

enum kol_status api_lists_int(struct engine_session *session, const struct buf *sql, int64_t *out,
                              struct kol_error *err)
{
    return our_fault(engine_get_int(session, sql->ptr, out, err), err);
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

void api_list_first(struct arena *arena, struct str platform, struct api_list *out)
{
    struct buf where = {0};
    *out = (struct api_list){.metric = API_BY_FOLLOWERS};
    put_platform(platform, &where);
    finish_list(arena, &where, out);
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

/* ---- counts ---- */

enum { KEPT_COUNTS = 1024 };

/* The last counts of one copy by their SQL, the oldest given up first. */
struct counts_kept {
    pthread_mutex_t lock;
    size_t next;
    struct kept_count {
        uint64_t hash;
        char *sql; /* the hashes of strangers' texts may collide */
        int64_t count;
    } kept[KEPT_COUNTS];
};

static enum kol_status make_counts(struct api_copy *copy, void *user, void **out,
                                   struct kol_error *err)
{
    (void)copy;
    (void)user;
    (void)err;
    struct counts_kept *kept = mem_zalloc(1, sizeof *kept);
    pthread_mutex_init(&kept->lock, NULL);
    *out = kept;
    return KOL_OK;
}

static void free_counts(void *value)
{
    struct counts_kept *kept = value;
    for (size_t i = 0; i < KEPT_COUNTS; i++) {
        free(kept->kept[i].sql);
    }
    pthread_mutex_destroy(&kept->lock);
    free(kept);
}

static bool find_count(struct counts_kept *kept, const char *sql, uint64_t hash, int64_t *out)
{
    bool found = false;
    pthread_mutex_lock(&kept->lock);
    for (size_t i = 0; i < KEPT_COUNTS && !found; i++) {
        const struct kept_count *at = &kept->kept[i];
        found = at->hash == hash && at->sql && strcmp(at->sql, sql) == 0;
        if (found) {
            *out = at->count;
        }
    }
    pthread_mutex_unlock(&kept->lock);
    return found;
}

static void keep_count(struct counts_kept *kept, const char *sql, uint64_t hash, int64_t count)
{
    pthread_mutex_lock(&kept->lock);
    struct kept_count *at = &kept->kept[kept->next++ % KEPT_COUNTS];
    free(at->sql);
    *at = (struct kept_count){hash, mem_strdup(sql), count};
    pthread_mutex_unlock(&kept->lock);
}

/* What the SQL counts, from what is kept or by running it. `*out` at least 0 on entry: this is what
 * it counts, it is only kept. */
static enum kol_status counted(struct api_copy *copy, struct engine_session *session,
                               const struct buf *sql, int64_t *out, struct kol_error *err)
{
    void *kept = NULL;
    const uint64_t hash = hash_seeded(buf_str(sql), LIST_SEED);
    enum kol_status status =
        api_copy_kept(copy, "counts of lists", make_counts, NULL, free_counts, &kept, err);
    if (status != KOL_OK) {
        return status;
    }
    int64_t known = 0;
    if (find_count(kept, sql->ptr, hash, &known)) {
        *out = known;
        return KOL_OK;
    }
    status = *out < 0 ? api_lists_int(session, sql, out, err) : KOL_OK;
    if (status == KOL_OK) {
        keep_count(kept, sql->ptr, hash, *out);
    }
    return status;
}

enum kol_status api_list_total(struct api_copy *copy, struct engine_session *session,
                               const struct api_list *list, int64_t seen, int64_t *out,
                               struct kol_error *err)
{
    struct buf sql = {0};
    buf_puts(&sql, "SELECT count(*)");
    put_from(&sql, copy, list);
    *out = seen;
    enum kol_status status = counted(copy, session, &sql, out, err);
    buf_free(&sql);
    return status;
}

/* How many of the rows have a known value: of those that pass, or of the whole table. */
static enum kol_status count_known(struct api_copy *copy, struct engine_session *session,
                                   const struct api_list *list, bool whole, int64_t *out,
                                   struct kol_error *err)
{
    struct buf sql = {0};
    struct api_list all = *list;
    if (!has_metric(copy, list)) {
        *out = 0;
        return KOL_OK;
    }
    all.where = STR("");
    buf_printf(&sql, "SELECT count(%s)", orders[list->metric].column);
    put_from(&sql, copy, whole ? &all : list);
    *out = -1;
    enum kol_status status = counted(copy, session, &sql, out, err);
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
    int64_t *rows;           /* their numbers in the ranked table; 0 in what is sorted */
    size_t count, wanted;
};

static enum kol_status take_rows(struct reading *reading, const struct buf *sql,
                                 struct kol_error *err)
{
    struct engine_result *result = NULL;
    size_t rows = 0;
    enum kol_status status = api_lists_query(reading->session, sql, &result, err);
    while (status == KOL_OK && (status = engine_next(result, &rows, err)) == KOL_OK && rows) {
        for (size_t i = 0; i < rows; i++) {
            KOL_ASSERT(reading->count < reading->wanted);
            reading->keys[reading->count] = (struct online_key){
                arena_copy(reading->arena, engine_text(result, 0, i)),
                arena_copy(reading->arena, engine_text(result, 1, i)),
            };
            reading->rows[reading->count++] = engine_int(result, 2, i);
        }
    }
    engine_result_free(&result);
    return status;
}

/* SELECT up to where conditions may follow. */
static void begin_select(const struct reading *reading, struct buf *sql)
{
    bool ranked = is_ranked(reading->copy, reading->list);
    buf_printf(sql, "SELECT platform::VARCHAR, kol_id, %s", ranked ? "rowid" : "0::BIGINT");
    put_from(sql, reading->copy, reading->list);
}

/* Appends `count` rows, or as many as there are, in the order going down: those from the row
 * number `row` on, behind the first `pass` that pass the filters. */
static enum kol_status take_down(struct reading *reading, int64_t row, int64_t pass, size_t count,
                                 struct kol_error *err)
{
    const struct api_list *list = reading->list;
    const bool ranked = is_ranked(reading->copy, list);
    struct buf sql = {0};
    begin_select(reading, &sql);
    if (ranked && !list->where.len) { /* all rows pass: the number tells the place */
        row += pass;
        pass = 0;
    }
    if (!ranked) {
        put_sort(&sql, reading->copy, list);
    } else if (row > 0) {
        buf_printf(&sql, "%srowid >= %lld", list->where.len ? " AND " : " WHERE ", (long long)row);
    }
    buf_printf(&sql, " LIMIT %zu", count);
    if (pass > 0) {
        buf_printf(&sql, " OFFSET %lld", (long long)pass);
    }
    enum kol_status status = take_rows(reading, &sql, err);
    buf_free(&sql);
    return status;
}

/* The rows from the number `from` on going up, counted among those that pass: the known ones are
 * the last of them going down. */
static enum kol_status take_up_counted(struct reading *reading, int64_t from, struct kol_error *err)
{
    const size_t count = reading->wanted;
    int64_t all_known;
    size_t known = 0;
    enum kol_status status =
        count_known(reading->copy, reading->session, reading->list, false, &all_known, err);
    if (status == KOL_OK && from < all_known) {
        int64_t left = all_known - from;
        known = (int64_t)count < left ? count : (size_t)left;
        status = take_down(reading, 0, left - (int64_t)known, known, err);
        for (size_t i = 0, k = reading->count; i + 1 < k; i++) {
            struct online_key key = reading->keys[i];
            int64_t row = reading->rows[i];
            reading->keys[i] = reading->keys[--k];
            reading->rows[i] = reading->rows[k];
            reading->keys[k] = key;
            reading->rows[k] = row;
        }
    }
    if (status == KOL_OK && known < count) {
        status = take_down(reading, 0, from + (int64_t)known, count - known, err);
    }
    return status;
}

/* The rows behind a place going up, of a ranked table with `all_known` known rows: stretches of it,
 * each longer than the one before, until there are enough. */
static enum kol_status take_up(struct reading *reading, int64_t all_known, int64_t place,
                               struct kol_error *err)
{
    enum { FIRST_STRETCH = 16384, GROWTH = 64 }; /* a statement costs as much as some 50,000 rows */
    const char *more = reading->list->where.len ? " AND " : " WHERE ";
    enum kol_status status = KOL_OK;
    int64_t stretch = FIRST_STRETCH;
    for (int64_t end = all_known - place; end > 0 && reading->count < reading->wanted;
         stretch *= GROWTH) {
        struct buf sql = {0};
        int64_t begin = end > stretch ? end - stretch : 0;
        begin_select(reading, &sql);
        buf_printf(&sql, "%srowid >= %lld AND rowid < %lld ORDER BY rowid DESC LIMIT %zu", more,
                   (long long)begin, (long long)end, reading->wanted - reading->count);
        status = take_rows(reading, &sql, err);
        buf_free(&sql);
        if (status != KOL_OK) {
            return status;
        }
        end = begin;
    }
    if (reading->count < reading->wanted) {
        status = take_down(reading, place > all_known ? place : all_known, 0,
                           reading->wanted - reading->count, err);
    }
    return status;
}

enum kol_status api_list_page(struct api_copy *copy, struct engine_session *session,
                              const struct api_list *list, bool paged, int64_t from, size_t limit,
                              struct arena *arena, struct api_keys_page *out, struct kol_error *err)
{
    struct reading reading = {
        .copy = copy, .session = session, .list = list, .arena = arena, .wanted = limit + 1};
    const bool ranked = is_ranked(copy, list);
    int64_t all_known = 0;
    enum kol_status status = KOL_OK;
    reading.keys = arena_alloc(arena, reading.wanted * sizeof *reading.keys);
    reading.rows = arena_alloc(arena, reading.wanted * sizeof *reading.rows);
    if (list->ascending && ranked) {
        status = count_known(copy, session, list, true, &all_known, err);
    }
    if (status == KOL_OK && !list->ascending) {
        bool by_row = ranked && paged;
        status = take_down(&reading, by_row ? from : 0, by_row ? 0 : from, reading.wanted, err);
    } else if (status == KOL_OK && ranked && (paged || from == 0)) {
        status = take_up(&reading, all_known, from, err);
    } else if (status == KOL_OK) {
        status = take_up_counted(&reading, from, err);
    }
    *out = (struct api_keys_page){.keys = reading.keys, .count = reading.count};
    out->more = out->count > limit;
    out->count = out->more ? limit : out->count;
    out->next_place = from + (int64_t)out->count;
    if (ranked && out->count) {
        int64_t row = reading.rows[out->count - 1];
        out->next_place = row < all_known ? all_known - row : row + 1;
    }
    return status;
}
