/*
 * values.c: all values of the cache between processes in turn, for the warmer: each part is a few
 * single keys, then one or two for each row of a list, the most popular first.
 */
#include "api/values.h"

#include <stdlib.h>
#include <string.h>

#include "api/value.h"
#include "base/clock.h"

/* Where the walk through one part is. */
struct walk {
    size_t single;                  /* of the keys that stand alone, the next */
    struct engine_session *session; /* of the list alone: values are made while it is open */
    struct engine_result *result;   /* of the list; NULL: it was not begun, or is at its end */
    bool ended;
    struct arena arena; /* holds the rows */
    struct online_key *rows;
    size_t row_count, row;
    int of_row; /* the next key of the row */
    bool bare;  /* the row has the keys of its bare id; known once one is come to */
    /* What was made for the row's key of the kind before, in this round; NULL: nothing was. The
     * same stands under its bare key. */
    const struct warm_item *made;
};

struct api_values {
    struct api_copies *copies; /* NULL: the copy is the caller's */
    struct api_reader reader;
    struct buf as_of;
    struct warm_source source;
    struct walk walks[WARM_PARTS];
};

/* ---- keys that stand alone ---- */

enum { PLACES = API_PLATFORM_COUNT + 1 }; /* the platforms, and all of them together */

/* A kind with its second part, for each place. */
static const struct single {
    enum warm_part part;
    enum serve_key kind;
    const char *second; /* NULL: the kind has one part */
    bool once;          /* no part at all */
} singles[] = {
    {WARM_PROFILES, SERVE_KEY_PROFILES_LIST, NULL},
    {WARM_TOP, SERVE_KEY_TOP_FOLLOWERS, "100"},
    {WARM_TOP, SERVE_KEY_TOP_ENGAGEMENT, "100"},
    {WARM_TOP, SERVE_KEY_RANKING, "trending"},
    {WARM_TOP, SERVE_KEY_RANKING, "trust"},
    {WARM_TOP, SERVE_KEY_RANKING, "success"},
    {WARM_TOP, SERVE_KEY_RANKING, "composite"},
    {WARM_TRENDING, SERVE_KEY_CONTENT_TRENDING, "50"},
    {WARM_TRENDING, SERVE_KEY_CONTENT_TRENDING, "100"},
    {WARM_STATS, SERVE_KEY_STATS_PLATFORM, NULL, true},
    {WARM_SEARCH, SERVE_KEY_AUTOCOMPLETE, NULL, true},
};

/* The n-th of a part; false behind the last. */
static bool single_of(enum warm_part part, size_t number, enum serve_key *kind,
                      struct str parts[SERVE_PARTS])
{
    for (size_t i = 0; i < ARRAY_LEN(singles); i++) {
        const struct single *single = &singles[i];
        const size_t count = single->once ? 1 : PLACES;
        if (single->part != part) {
            continue;
        }
        if (number >= count) {
            number -= count;
            continue;
        }
        *kind = single->kind;
        parts[0] = single->once                   ? STR("")
                   : number == API_PLATFORM_COUNT ? STR("all")
                                                  : str_of(platform_name((enum platform)number));
        parts[1] = single->second ? str_of(single->second) : STR("");
        return true;
    }
    return false;
}

static size_t singles_of(enum warm_part part)
{
    enum serve_key kind;
    struct str parts[SERVE_PARTS];
    size_t count = 0;
    while (single_of(part, count, &kind, parts)) {
        count++;
    }
    return count;
}

/* ---- keys of rows ---- */

/* The list of a part: two columns, platform and id; NULL: it has none. */
static const char *list_of(const struct api_values *values, enum warm_part part)
{
    switch (part) {
    case WARM_PROFILES: return "SELECT platform::VARCHAR, kol_id FROM kols_by_followers";
    case WARM_TRENDING:
        return "SELECT platform::VARCHAR, content_id FROM content "
               "ORDER BY views DESC NULLS LAST, 1, 2";
    case WARM_STATS:
        return api_copy_has(values->reader.copy, "gold.agg_platform_kpi")
                   ? "SELECT '', CAST(day AS VARCHAR) FROM agg_platform_kpi GROUP BY day "
                     "ORDER BY day DESC"
                   : NULL;
    default: return NULL;
    }
}

/* The kinds of the keys of one row, in turn, the one of a bare id behind its own; false behind the
 * last. */
static bool kind_of_row(enum warm_part part, int number, enum serve_key *kind)
{
    static const enum serve_key profiles[] = {SERVE_KEY_PROFILE_ON, SERVE_KEY_PROFILE,
                                              SERVE_KEY_SCORE_ON, SERVE_KEY_SCORE};
    static const enum serve_key contents[] = {SERVE_KEY_CONTENT_ON, SERVE_KEY_CONTENT};
    static const enum serve_key days[] = {SERVE_KEY_STATS_DAILY};
    const enum serve_key *kinds = part == WARM_PROFILES   ? profiles
                                  : part == WARM_TRENDING ? contents
                                                          : days;
    const int count = part == WARM_PROFILES ? 4 : part == WARM_TRENDING ? 2 : 1;
    if (number >= count) {
        return false;
    }
    *kind = kinds[number];
    return true;
}

static bool is_bare(enum serve_key kind)
{
    return kind == SERVE_KEY_PROFILE || kind == SERVE_KEY_SCORE || kind == SERVE_KEY_CONTENT;
}

/* Of those who share a bare id only one has it: the one that whoever asks for it gets. */
static bool has_bare_key(const struct api_copy *copy, enum serve_key kind,
                         const struct online_key *row)
{
    struct online_record record;
    struct str platform = {0};
    struct kol_error ignored;
    size_t count;
    struct str named, id;
    api_cut_id(row->id, &named, &id);
    const bool content = kind == SERVE_KEY_CONTENT;
    return !named.len &&
           online_find(copy->online, content ? ONLINE_CONTENT : ONLINE_KOL, row->id, &record, 1,
                       &count, &ignored) == KOL_OK &&
           online_text(&record, content ? copy->content.platform : copy->kol.platform, &platform) &&
           str_equal(platform, row->platform);
}

static enum kol_status begin_list(struct api_values *values, enum warm_part part,
                                  struct kol_error *err)
{
    struct walk *walk = &values->walks[part];
    struct buf sql = {0};
    const char *list = list_of(values, part);
    walk->ended = list == NULL;
    if (!list) {
        return KOL_OK;
    }
    enum kol_status status =
        walk->session ? KOL_OK : online_lists(values->reader.copy->online, &walk->session, err);
    if (status == KOL_OK) {
        buf_puts(&sql, list);
        status = api_lists_query(walk->session, &sql, &walk->result, err);
        buf_free(&sql);
    }
    return status;
}

/* The next batch of rows; none where the list is at its end. */
static enum kol_status read_rows(struct api_values *values, enum warm_part part,
                                 struct kol_error *err)
{
    struct walk *walk = &values->walks[part];
    size_t rows = 0;
    walk->row = walk->row_count = 0;
    walk->of_row = 0;
    enum kol_status status = walk->result ? KOL_OK : begin_list(values, part, err);
    if (status != KOL_OK || walk->ended) {
        return status;
    }
    status = engine_next(walk->result, &rows, err);
    arena_reset(&walk->arena);
    walk->rows = arena_alloc(&walk->arena, (rows + 1) * sizeof *walk->rows);
    for (size_t i = 0; i < rows && status == KOL_OK; i++) {
        walk->rows[i] = (struct online_key){
            arena_copy(&walk->arena, engine_text(walk->result, 0, i)),
            arena_copy(&walk->arena, engine_text(walk->result, 1, i)),
        };
    }
    walk->row_count = status == KOL_OK ? rows : 0;
    walk->ended = rows == 0;
    return status;
}

/* ---- the source ---- */

static struct str spell(enum serve_key kind, const struct str *parts, struct arena *arena)
{
    struct buf text = {0};
    serve_key_put(&text, kind, parts);
    const struct str key = arena_copy(arena, buf_str(&text));
    buf_free(&text);
    return key;
}

/* Makes a value; one that the copy does not hold is passed over. */
static enum kol_status add(struct api_values *values, enum serve_key kind, const struct str *parts,
                           struct arena *arena, struct warm_item *items, size_t *count,
                           struct kol_error *err)
{
    struct warm_item *item = &items[*count];
    enum kol_status status = api_value_of(&values->reader, kind, parts, arena, item, err);
    if (status == KOL_OK) {
        item->key = spell(kind, parts, arena);
        ++*count;
    }
    return status == KOL_NOT_FOUND ? KOL_OK : status;
}

/* The key of the bare id, under which stands what was just made for the other one. */
static enum kol_status add_bare(struct api_values *values, struct walk *walk, enum serve_key kind,
                                struct arena *arena, struct warm_item *items, size_t *count,
                                struct kol_error *err)
{
    const struct online_key *row = &walk->rows[walk->row];
    const struct str parts[SERVE_PARTS] = {row->id};
    if (kind != SERVE_KEY_SCORE) { /* a score comes behind the profile: what holds of that */
        walk->bare = has_bare_key(values->reader.copy, kind, row);
    }
    if (!walk->bare) {
        return KOL_OK;
    }
    if (!walk->made) {
        return add(values, kind, parts, arena, items, count, err);
    }
    items[*count] = *walk->made;
    items[*count].kind = kind;
    items[(*count)++].key = spell(kind, parts, arena);
    return KOL_OK;
}

/* The next key of the rows, if there is one. */
static enum kol_status add_of_row(struct api_values *values, enum warm_part part,
                                  struct arena *arena, struct warm_item *items, size_t *count,
                                  struct kol_error *err)
{
    struct walk *walk = &values->walks[part];
    const struct online_key *row = &walk->rows[walk->row];
    const bool day = part == WARM_STATS;
    const struct str parts[SERVE_PARTS] = {day ? row->id : row->platform, day ? STR("") : row->id};
    enum serve_key kind;
    if (!kind_of_row(part, walk->of_row, &kind)) {
        walk->row++;
        walk->of_row = 0;
        return KOL_OK;
    }
    walk->of_row++;
    if (is_bare(kind)) {
        return add_bare(values, walk, kind, arena, items, count, err);
    }
    const size_t before = *count;
    enum kol_status status = add(values, kind, parts, arena, items, count, err);
    walk->made = *count > before ? &items[before] : NULL;
    return status;
}

static void restart_walk(struct walk *walk)
{
    engine_result_free(&walk->result);
    arena_free(&walk->arena);
    *walk = (struct walk){.session = walk->session};
    arena_init(&walk->arena, 0);
}

static enum kol_status next(void *user, enum warm_part part, bool restart, struct arena *arena,
                            struct warm_item *items, size_t max, size_t *count,
                            struct kol_error *err)
{
    struct api_values *values = user;
    struct walk *walk = &values->walks[part];
    enum serve_key kind;
    struct str parts[SERVE_PARTS];
    enum kol_status status = KOL_OK;
    *count = 0;
    if (restart) {
        restart_walk(walk);
    }
    walk->made = NULL;
    while (status == KOL_OK && *count < max && single_of(part, walk->single, &kind, parts)) {
        walk->single++;
        status = add(values, kind, parts, arena, items, count, err);
    }
    while (status == KOL_OK && *count < max) {
        if (walk->row == walk->row_count) {
            status = walk->ended ? KOL_OK : read_rows(values, part, err);
            if (status != KOL_OK || !walk->row_count) {
                break;
            }
        }
        status = add_of_row(values, part, arena, items, count, err);
    }
    return status;
}

static enum kol_status count_keys(void *user, enum warm_part part, int64_t *keys,
                                  struct kol_error *err)
{
    struct api_values *values = user;
    const struct online_info *info = values->reader.copy->info;
    struct engine_session *session;
    struct buf sql = {0};
    *keys = (int64_t)singles_of(part);
    if (part == WARM_PROFILES) {
        *keys += 4 * info->kols;
    } else if (part == WARM_TRENDING) {
        *keys += 2 * info->contents;
    } else if (part == WARM_STATS && list_of(values, part)) {
        int64_t days = 0;
        enum kol_status status = api_reader_session(&values->reader, &session, err);
        buf_puts(&sql, "SELECT count(DISTINCT day) FROM agg_platform_kpi");
        status = status == KOL_OK ? api_lists_int(session, &sql, &days, err) : status;
        buf_free(&sql);
        *keys += days;
        return status;
    }
    return KOL_OK;
}

static enum kol_status by_key(void *user, struct str key, struct arena *arena,
                              struct warm_item *out, struct kol_error *err)
{
    struct api_values *values = user;
    enum serve_key kind;
    struct str parts[SERVE_PARTS] = {0};
    if (!serve_key_read(key, api_is_platform, &kind, parts)) {
        return kol_fail(err, KOL_NOT_FOUND, "that is no key of the table");
    }
    enum kol_status status = api_value_of(&values->reader, kind, parts, arena, out, err);
    out->key = key;
    return status;
}

size_t api_values_brief(int64_t life_us, struct arena *arena, struct str **out)
{
    enum serve_key kind;
    struct str parts[SERVE_PARTS];
    size_t all = 0, count = 0;
    for (int part = 0; part < WARM_PARTS; part++) {
        all += singles_of((enum warm_part)part);
    }
    *out = arena_alloc(arena, all * sizeof **out);
    for (int part = 0; part < WARM_PARTS; part++) {
        for (size_t i = 0; single_of((enum warm_part)part, i, &kind, parts); i++) {
            if (serve_keys[kind].ttl_s * CLOCK_US_PER_SECOND <= life_us) {
                (*out)[count++] = spell(kind, parts, arena);
            }
        }
    }
    return count;
}

struct api_values *api_values_of(struct api_copy *copy)
{
    struct api_values *values = mem_zalloc(1, sizeof *values);
    values->reader = (struct api_reader){.copy = copy};
    if (copy->info->as_of_us) {
        clock_format(&values->as_of, copy->info->as_of_us);
    }
    values->source = (struct warm_source){
        .snapshot = copy->info->number,
        .as_of = buf_str(&values->as_of),
        .user = values,
        .count = count_keys,
        .next = next,
        .by_key = by_key,
    };
    for (size_t i = 0; i < WARM_PARTS; i++) {
        arena_init(&values->walks[i].arena, 0);
    }
    return values;
}

enum kol_status api_values_open(const char *data, struct api_values **out, struct kol_error *err)
{
    struct api_copies *copies;
    const struct api_options options = {.data = data, .sessions = 1};
    enum kol_status status = api_copies_open(&options, &copies, err);
    if (status != KOL_OK) {
        return status;
    }
    struct api_copy *copy = api_copy_take(copies);
    if (!copy) {
        api_copies_close(&copies);
        return kol_fail(err, KOL_NOT_FOUND,
                        "there is no online copy in %s yet: `kol etl` makes one", data);
    }
    *out = api_values_of(copy);
    (*out)->copies = copies;
    return KOL_OK;
}

void api_values_close(struct api_values **values_at)
{
    struct api_values *values = *values_at;
    if (!values) {
        return;
    }
    for (size_t i = 0; i < WARM_PARTS; i++) {
        engine_result_free(&values->walks[i].result);
        engine_session_close(&values->walks[i].session);
        arena_free(&values->walks[i].arena);
    }
    api_reader_done(&values->reader);
    api_copy_drop(values->reader.copy);
    api_copies_close(&values->copies);
    buf_free(&values->as_of);
    free(values);
    *values_at = NULL;
}

const struct warm_source *api_values_source(struct api_values *values)
{
    return &values->source;
}
