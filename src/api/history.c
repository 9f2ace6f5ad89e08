/*
 * history.c: GET /kols/{kol_id}/history: a daily count of a KOL, how it changed, and its spikes.
 *
 * The days end with the KOL's newest observed day, not with today: an account that nobody looks at
 * any more keeps its history. A change is known where both its days were observed.
 *
 * A spike is a day whose change is far from the usual one: |change - median| of at least 3.5 times
 * 1.4826 x MAD (the median distance from the median, which that factor makes a standard deviation
 * where changes are normal). Where more than half of the changes are equal, MAD is 0 and 1.2533
 * times the mean distance stands for it. At least 7 changes must be known. The change of a day
 * whose day before was not observed is the mean one since the last that was.
 */
#include <math.h>
#include <stdlib.h>

#include "api/lists.h"

enum { USUAL_DAYS = 90, MIN_CHANGES = 7 };
static const double SPIKE_DISTANCE = 3.5, MAD_FACTOR = 1.4826, MEAN_FACTOR = 1.2533;

/* In the order of the choices of `metric`. */
static const char *const metric_columns[] = {"followers_count", "following_count", "post_count",
                                             "favorites_count", "total_views"};

/* The days from the newest one back: values[age], NaN where it was not observed. */
struct history {
    double *values;
    size_t days;
    int64_t newest; /* day of age 0 */
    bool any;       /* there is a day at all */
};

struct spike {
    int64_t day;
    double change;
};

static void put_query(const struct api_who *who, const char *column, size_t days, struct buf *sql)
{
    buf_printf(sql, "SELECT day, %s FROM kol_daily WHERE kol_id = ", column);
    engine_quote_text(sql, who->kol_id);
    buf_puts(sql, " AND platform = ");
    engine_quote_text(sql, who->platform);
    buf_printf(sql, " ORDER BY day DESC LIMIT %zu", days);
}

static enum kol_status read_history(struct engine_session *session, const struct api_who *who,
                                    const char *column, struct history *out, struct kol_error *err)
{
    struct buf sql = {0};
    struct engine_result *result = NULL;
    size_t rows = 0;
    put_query(who, column, out->days, &sql);
    enum kol_status status = api_lists_query(session, &sql, &result, err);
    while (status == KOL_OK && (status = engine_next(result, &rows, err)) == KOL_OK && rows) {
        for (size_t i = 0; i < rows; i++) {
            int64_t day = engine_int(result, 0, i);
            out->newest = out->any ? out->newest : day;
            out->any = true;
            if (out->newest - day < (int64_t)out->days && !engine_null(result, 1, i)) {
                out->values[out->newest - day] = (double)engine_int(result, 1, i);
            }
        }
    }
    engine_result_free(&result);
    buf_free(&sql);
    return status;
}

/* ---- spikes ---- */

static int compare_reals(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sorts. */
static double median_of(double *values, size_t count)
{
    qsort(values, count, sizeof *values, compare_reals);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

/* The change of each day that is known, the newest first. */
static size_t find_changes(const struct history *history, struct spike *out)
{
    size_t count = 0, later = history->days;
    for (size_t age = 0; age < history->days; age++) {
        if (isnan(history->values[age])) {
            continue;
        }
        if (later < history->days) {
            double change = history->values[later] - history->values[age];
            out[count++] =
                (struct spike){history->newest - (int64_t)later, change / (double)(age - later)};
        }
        later = age;
    }
    return count;
}

/* How far from the median a change usually is; 0: always as far. */
static double usual_distance(const struct spike *changes, size_t count, double median,
                             double *scratch)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        scratch[i] = fabs(changes[i].change - median);
        sum += scratch[i];
    }
    double mad = median_of(scratch, count);
    return mad > 0 ? MAD_FACTOR * mad : MEAN_FACTOR * sum / (double)count;
}

/* Keeps those of `changes` that are spikes of the newest `days`; returns how many. */
static size_t find_spikes(const struct history *history, size_t days, struct spike *changes,
                          double *scratch, double *usual)
{
    size_t count = find_changes(history, changes), kept = 0;
    if (count < MIN_CHANGES) {
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        scratch[i] = changes[i].change;
    }
    *usual = median_of(scratch, count);
    double distance = usual_distance(changes, count, *usual, scratch);
    for (size_t i = 0; i < count && distance > 0; i++) {
        bool shown = history->newest - changes[i].day < (int64_t)days;
        if (shown && fabs(changes[i].change - *usual) >= SPIKE_DISTANCE * distance) {
            changes[kept++] = changes[i];
        }
    }
    return kept;
}

/* ---- the answer ---- */

static void put_deltas(struct json *json, const struct history *history)
{
    static const struct {
        const char *name;
        size_t days;
    } deltas[] = {{"d1", 1}, {"d7", 7}, {"d30", 30}};
    size_t newest = 0;
    while (newest < history->days && isnan(history->values[newest])) {
        newest++;
    }
    js_name(json, "deltas");
    js_open(json, '{');
    for (size_t i = 0; i < ARRAY_LEN(deltas); i++) {
        size_t before = newest + deltas[i].days;
        js_name(json, deltas[i].name);
        js_real(json,
                before < history->days ? history->values[newest] - history->values[before] : NAN);
    }
    js_close(json, '}');
}

static void put_spikes(struct json *json, const struct history *history, size_t days,
                       struct arena *arena)
{
    double usual = 0, *scratch = arena_alloc(arena, history->days * sizeof *scratch);
    struct spike *spikes = arena_alloc(arena, history->days * sizeof *spikes);
    size_t count = find_spikes(history, days, spikes, scratch, &usual);
    js_name(json, "spikes");
    js_open(json, '[');
    while (count--) { /* the oldest is the last */
        js_open(json, '{');
        js_name(json, "day");
        js_day(json, spikes[count].day);
        js_member_real(json, "change", spikes[count].change);
        js_member_real(json, "usual", usual);
        js_close(json, '}');
    }
    js_close(json, ']');
}

static void put_days(struct json *json, const struct history *history, size_t days)
{
    js_name(json, "data");
    js_open(json, '[');
    for (size_t age = days; history->any && age-- > 0;) {
        js_open(json, '{');
        js_name(json, "day");
        js_day(json, history->newest - (int64_t)age);
        js_member_real(json, "value", history->values[age]);
        js_close(json, '}');
    }
    js_close(json, ']');
}

static enum kol_status answer(struct http_call *call, const struct api_copy *copy,
                              const struct api_who *who, const struct history *history, size_t days)
{
    struct buf body = {0};
    struct json json = {.out = &body};
    js_open(&json, '{');
    js_member_text(&json, "kol_id", who->kol_id);
    js_member_text(&json, "platform", who->platform);
    js_member_text(&json, "metric", http_text(call, api_field(call, "metric")));
    js_member_int(&json, "days", (int64_t)days);
    put_deltas(&json, history);
    put_spikes(&json, history, days, http_call_arena(call));
    put_days(&json, history, days);
    api_put_source(&json, copy);
    js_close(&json, '}');
    return api_answer_rows(call, &body, "DailyPoint", NULL);
}

enum kol_status api_kol_history(struct http_call *call, struct kol_error *err)
{
    const size_t days = (size_t)http_int(call, api_field(call, "days"));
    const char *column = metric_columns[http_choice(call, api_field(call, "metric"))];
    struct history history = {.days = days > USUAL_DAYS ? days : USUAL_DAYS};
    struct api_copy *copy;
    struct api_who who;
    struct engine_session *session = NULL;
    history.values = arena_alloc(http_call_arena(call), history.days * sizeof *history.values);
    for (size_t i = 0; i < history.days; i++) {
        history.values[i] = NAN;
    }
    enum kol_status status = api_call_copy(call, &copy, err);
    status = status == KOL_OK ? api_who(call, copy, &who, err) : status;
    if (status == KOL_OK && api_copy_has(copy, "silver.kol_daily")) {
        status = api_session_take(call, copy, &session, err);
        if (status == KOL_OK) {
            status = read_history(session, &who, column, &history, err);
        }
        api_session_drop(call, &session);
    }
    return status == KOL_OK ? answer(call, copy, &who, &history, days) : status;
}
