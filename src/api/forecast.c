/*
 * forecast.c: what a daily count of a KOL will be, out of its days in the copy.
 *
 * The same smoothing over the same days as `kol forecast` (score/forecast.h).
 */
#include "score/forecast.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/lists.h"

/* In the order of the choices of `metric`. */
static const char *const metric_columns[] = {"followers_count", "total_views"};

static void put_query(struct buf *sql, const struct api_who *who, const char *column)
{
    buf_printf(sql, "SELECT day, CAST(%s AS DOUBLE) FROM kol_daily WHERE %s IS NOT NULL AND ",
               column, column);
    buf_puts(sql, "kol_id = ");
    engine_quote_text(sql, who->kol_id);
    buf_puts(sql, " AND platform = ");
    engine_quote_text(sql, who->platform);
    buf_puts(sql, " ORDER BY day DESC");
}

static enum kol_status read_history(struct http_call *call, struct api_copy *copy,
                                    const struct api_who *who, const char *column,
                                    struct forecast_history *out, struct kol_error *err)
{
    struct engine_session *session;
    struct engine_result *result = NULL;
    struct buf sql = {0};
    size_t count = 0;
    forecast_begin(out);
    if (!api_copy_has(copy, "silver.kol_daily")) {
        return KOL_OK;
    }
    enum kol_status status = api_session_take(call, copy, &session, err);
    if (status != KOL_OK) {
        return status;
    }
    put_query(&sql, who, column);
    status = api_lists_query(session, &sql, &result, err);
    while (status == KOL_OK && (status = engine_next(result, &count, err)) == KOL_OK && count) {
        for (size_t row = 0; row < count; row++) {
            forecast_add_day(out, engine_int(result, 0, row), engine_real(result, 1, row));
        }
    }
    engine_result_free(&result);
    api_session_drop(call, &session);
    buf_free(&sql);
    return status;
}

static void put_point(struct json *json, int64_t day, const struct forecast_point *point)
{
    js_open(json, '{');
    js_name(json, "day");
    js_day(json, day);
    js_member_real(json, "value", point->value);
    js_member_real(json, "low80", point->low80);
    js_member_real(json, "high80", point->high80);
    js_member_real(json, "low95", point->low95);
    js_member_real(json, "high95", point->high95);
    js_close(json, '}');
}

/* `rows`: what the points are called. */
static void put_forecast(struct http_call *call, struct json *json, const struct api_copy *copy,
                         const struct api_who *who, const struct forecast_history *history,
                         const struct forecast *forecast, const char *rows)
{
    js_open(json, '{');
    js_member_text(json, "kol_id", who->kol_id);
    js_member_text(json, "platform", who->platform);
    js_member_text(json, "metric", http_text(call, api_field(call, "metric")));
    js_member_int(json, "horizon", (int64_t)forecast->horizon);
    js_member_int(json, "observed_days", (int64_t)forecast->observed);
    js_name(json, "last_day");
    js_day(json, history->last);
    js_member_text(json, "method", STR("damped trend exponential smoothing"));
    js_name(json, rows);
    js_open(json, '[');
    for (size_t i = 0; i < forecast->horizon; i++) {
        put_point(json, history->last + 1 + (int64_t)i, &forecast->points[i]);
    }
    js_close(json, ']');
    api_put_source(json, copy);
    js_close(json, '}');
}

static enum kol_status answer(struct http_call *call, struct api_copy *copy,
                              const struct api_who *who, const struct forecast_history *history,
                              struct kol_error *err)
{
    struct forecast forecast;
    struct buf body = {0};
    struct json json = {.out = &body};
    const size_t horizon = (size_t)http_int(call, api_field(call, "horizon"));
    if (history->observed < FORECAST_LEAST_DAYS) {
        return http_problem(
            call, "too_short_history",
            "%zu days of %.*s:%.*s were observed; a forecast takes %d of them at least.",
            history->observed, STR_FORMAT(who->platform), STR_FORMAT(who->kol_id),
            FORECAST_LEAST_DAYS);
    }
    enum kol_status status =
        forecast_fit(history->values, FORECAST_MAX_DAYS, horizon, &forecast, err);
    if (status == KOL_INVALID) { /* a count that no account has */
        return http_problem(call, "too_short_history", "There is no forecast: %s.", err->message);
    }
    if (status != KOL_OK) {
        return status;
    }
    const bool csv = strcmp(http_call_type(call), "text/csv") == 0;
    put_forecast(call, &json, copy, who, history, &forecast, csv ? "data" : "points");
    return csv ? api_answer_rows(call, &body, "ForecastPoint", NULL) : api_answer(call, &body);
}

enum kol_status api_forecast_kol(struct http_call *call, struct kol_error *err)
{
    struct api_copy *copy;
    struct api_who who;
    enum kol_status status = api_call_copy(call, &copy, err);
    if (status == KOL_OK) {
        status = api_who(call, copy, &who, err);
    }
    if (status != KOL_OK) {
        return status;
    }
    struct forecast_history *history = mem_zalloc(1, sizeof *history);
    const size_t metric = http_choice(call, api_field(call, "metric"));
    status = read_history(call, copy, &who, metric_columns[metric], history, err);
    if (status == KOL_OK) {
        status = answer(call, copy, &who, history, err);
    }
    free(history);
    return status;
}
