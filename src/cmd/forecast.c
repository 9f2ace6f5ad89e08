/* forecast.c: `kol forecast`: what a daily count of a KOL will be, out of silver.kol_daily. */
#include "score/forecast.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cmd/command.h"

static const char *const columns[] = {"day", "value", "low80", "high80", "low95", "high95"};

/* What can be forecast, and where it stands. */
static const struct daily_metric {
    const char *name, *column;
} metrics[] = {
    {"followers", "followers_count"}, {"following", "following_count"}, {"posts", "post_count"},
    {"favorites", "favorites_count"}, {"views", "total_views"},
};

static enum kol_status find_metric(const char *name, const struct daily_metric **out,
                                   struct kol_error *err)
{
    const char *names[ARRAY_LEN(metrics)];
    for (size_t i = 0; i < ARRAY_LEN(metrics); i++) {
        names[i] = metrics[i].name;
        if (strcmp(name, names[i]) == 0) {
            *out = &metrics[i];
            return KOL_OK;
        }
    }
    const char *near = str_nearest(str_of(name), names, ARRAY_LEN(metrics));
    return kol_fail(err, KOL_USAGE,
                    "--metric %s: followers, following, posts, favorites or views is meant%s%s",
                    name, near ? "; perhaps " : "", near ? near : "");
}

/* ---- which account ---- */

struct account {
    char *platform, *kol_id;
};

/* The accounts that `kol` may mean: a kol_id may hold a colon itself. That with most followers at
 * last comes first, as everywhere where a name is on several platforms. */
static void put_accounts(struct buf *sql, const char *kol)
{
    const char *colon = strchr(kol, ':');
    buf_puts(sql,
             "SELECT platform, kol_id, max_by(followers_count, day) FILTER (WHERE "
             "followers_count IS NOT NULL) AS followers FROM silver.kol_daily WHERE kol_id = ");
    engine_quote_text(sql, str_of(kol));
    if (colon) {
        buf_puts(sql, " OR (platform = ");
        engine_quote_text(sql, (struct str){kol, (size_t)(colon - kol)});
        buf_puts(sql, " AND kol_id = ");
        engine_quote_text(sql, str_of(colon + 1));
        buf_putc(sql, ')');
    }
    buf_puts(sql,
             " GROUP BY platform, kol_id ORDER BY followers DESC NULLS LAST, platform, kol_id");
}

static enum kol_status find_account(struct engine_session *session, const char *kol,
                                    struct account *out, struct kol_error *err)
{
    struct engine_result *result = NULL;
    struct buf sql = {0};
    size_t count = 0;
    put_accounts(&sql, kol);
    enum kol_status status = engine_query(session, sql.ptr, &result, err);
    if (status == KOL_OK) {
        status = engine_next(result, &count, err);
    }
    if (status == KOL_OK && !count) {
        status = kol_fail(err, KOL_NOT_FOUND,
                          "there is no KOL %s in silver.kol_daily; kol sql \"SELECT kol_id FROM "
                          "silver.kol_profiles WHERE ...\" finds names",
                          kol);
    }
    for (size_t row = 0; row < count; row++) {
        const struct str platform = engine_text(result, 0, row), id = engine_text(result, 1, row);
        if (row == 0) {
            *out = (struct account){mem_strndup(platform.ptr, platform.len),
                                    mem_strndup(id.ptr, id.len)};
        } else {
            fprintf(stderr, "this is %s:%s; there is also %.*s:%.*s\n", out->platform, out->kol_id,
                    STR_FORMAT(platform), STR_FORMAT(id));
        }
    }
    engine_result_free(&result);
    buf_free(&sql);
    return status;
}

/* ---- its history ---- */

static enum kol_status read_history(struct engine_session *session, const struct account *account,
                                    const struct daily_metric *metric, struct forecast_history *out,
                                    struct kol_error *err)
{
    struct engine_result *result = NULL;
    struct buf sql = {0};
    size_t count = 0;
    forecast_begin(out);
    buf_printf(&sql,
               "SELECT day, CAST(%s AS DOUBLE) FROM silver.kol_daily WHERE %s IS NOT NULL AND "
               "platform = ",
               metric->column, metric->column);
    engine_quote_text(&sql, str_of(account->platform));
    buf_puts(&sql, " AND kol_id = ");
    engine_quote_text(&sql, str_of(account->kol_id));
    buf_puts(&sql, " ORDER BY day DESC");
    enum kol_status status = engine_query(session, sql.ptr, &result, err);
    while (status == KOL_OK && (status = engine_next(result, &count, err)) == KOL_OK && count) {
        for (size_t row = 0; row < count; row++) {
            forecast_add_day(out, engine_int(result, 0, row), engine_real(result, 1, row));
        }
    }
    engine_result_free(&result);
    buf_free(&sql);
    return status;
}

/* ---- the answer ---- */

/* A table is for people, who know no half followers. */
static void put_count(struct rows *rows, const struct invocation *call, double count)
{
    if (call->format == ROWS_TABLE && count < 9e15) {
        rows_int(rows, llrint(count));
    } else {
        rows_real(rows, count);
    }
}

static void put_day(struct rows *rows, int64_t day)
{
    struct buf text = {0};
    clock_format(&text, day * CLOCK_US_PER_DAY);
    rows_text(rows, (struct str){text.ptr, strcspn(text.ptr, "T")});
    buf_free(&text);
}

static enum kol_status print(const struct invocation *call, const struct forecast *forecast,
                             int64_t last, struct kol_error *err)
{
    struct rows *rows = rows_begin(stdout, call->format, columns, ARRAY_LEN(columns));
    for (size_t i = 0; i < forecast->horizon; i++) {
        const struct forecast_point *point = &forecast->points[i];
        put_day(rows, last + 1 + (int64_t)i);
        put_count(rows, call, point->value);
        put_count(rows, call, point->low80);
        put_count(rows, call, point->high80);
        put_count(rows, call, point->low95);
        put_count(rows, call, point->high95);
    }
    return rows_end(&rows, err);
}

static enum kol_status forecast_account(const struct invocation *call,
                                        struct engine_session *session,
                                        const struct account *account,
                                        const struct daily_metric *metric, struct kol_error *err)
{
    struct forecast_history *history = mem_zalloc(1, sizeof *history);
    struct forecast forecast;
    enum kol_status status = read_history(session, account, metric, history, err);
    if (status == KOL_OK) {
        status = forecast_fit(history->values, FORECAST_MAX_DAYS, (size_t)flag_int(call, "horizon"),
                              &forecast, err);
        if (status != KOL_OK) {
            kol_wrap(err, "%s of %s:%s", metric->name, account->platform, account->kol_id);
        }
    }
    if (status == KOL_OK) {
        status = print(call, &forecast, history->last, err);
    }
    free(history);
    return status;
}

enum kol_status cmd_forecast(const struct invocation *call, struct kol_error *err)
{
    const struct daily_metric *metric = NULL;
    struct lake *lake = NULL;
    struct lake_reader reader;
    struct account account = {0};
    enum kol_status status = find_metric(flag_text(call, "metric"), &metric, err);
    if (status == KOL_OK) {
        status = command_open_lake(call, true, &lake, err);
    }
    if (status != KOL_OK) {
        return status;
    }
    status = lake_reader_open(lake, "silver", "kol_daily", &reader, err);
    if (status == KOL_NOT_FOUND) {
        status = kol_fail(err, status, "there is no history yet; `kol etl` makes it");
    } else if (status == KOL_OK) {
        status = find_account(reader.session, call->args[0], &account, err);
        if (status == KOL_OK) {
            status = forecast_account(call, reader.session, &account, metric, err);
        }
        lake_reader_close(&reader);
    }
    free(account.platform);
    free(account.kol_id);
    lake_close(&lake);
    return status;
}
