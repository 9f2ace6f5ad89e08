/* score.c: `kol score`: scores all KOLs again, or shows what one would be given now. */
#include <stdio.h>

#include "base/clock.h"
#include "base/progress.h"
#include "cmd/command.h"
#include "lake/etl.h"
#include "lake/score.h"
#include "registry/registry.h"
#include "version.h"

struct scoring {
    const struct invocation *call;
    struct progress progress;
};

static void show_table(const struct etl_table_report *report, void *user)
{
    struct progress *progress = &((struct scoring *)user)->progress;
    progress->total = (int64_t)report->count;
    progress_update(progress, (int64_t)report->number);
}

/* How many KOLs have each score, from which model. */
static enum kol_status show_counts(struct engine_session *session, void *user,
                                   struct kol_error *err)
{
    struct scoring *scoring = user;
    static const char sql[] =
        "WITH all_scores AS (SELECT count(trust_score) AS trust, max(trust_model_version) AS "
        "trust_model, count(success_score) AS success, coalesce(max(success_model_version), "
        "max(success_method)) AS success_model, count(trending_score) AS trending, "
        "count(composite_score) AS composite FROM gold.kol_scores) "
        "SELECT 'trust' AS score, trust AS kols, trust_model AS model FROM all_scores UNION ALL "
        "SELECT 'success', success, success_model FROM all_scores UNION ALL "
        "SELECT 'trending', trending, NULL FROM all_scores UNION ALL "
        "SELECT 'composite', composite, NULL FROM all_scores";
    struct engine_result *result = NULL;
    progress_end(&scoring->progress);
    enum kol_status status = engine_query(session, sql, &result, err);
    if (status == KOL_OK) {
        status = command_print_answer(scoring->call, result, 0, NULL, NULL, err);
    }
    engine_result_free(&result);
    return status;
}

static enum kol_status score_all(const struct invocation *call, struct lake *lake,
                                 const struct score_models *models, struct kol_error *err)
{
    static const char *const tables[] = {"gold.kol_scores"};
    char run_id[40];
    struct scoring scoring = {.call = call};
    const int64_t begun = clock_mono_ns();
    const struct etl_options options = {
        .lake = lake,
        .tables = tables,
        .table_count = 1,
        .version = KOL_VERSION,
        .rescore = true,
        .models = models,
        .on_table = show_table,
        .on_end = show_counts,
        .user = &scoring,
    };
    progress_begin(&scoring.progress, "score", "tables", 0, 0);
    enum kol_status status = etl_run(&options, run_id, err);
    progress_end(&scoring.progress);
    if (status == KOL_OK) {
        fprintf(stderr,
                "gold.kol_scores is made after %.1f s; `kol etl` carries it on to the rankings and "
                "to what is served\n",
                (double)(clock_mono_ns() - begun) / 1e9);
    }
    return status;
}

static enum kol_status score_one(const struct invocation *call, struct lake *lake,
                                 const struct score_models *models, const char *kol,
                                 struct kol_error *err)
{
    struct lake_scoring scoring;
    int64_t rows = 0;
    enum kol_status status = lake_score_kol(lake, models, kol, &scoring, err);
    if (status != KOL_OK) {
        return status;
    }
    status = command_print_answer(call, scoring.result, 0, &rows, NULL, err);
    if (status == KOL_OK && !rows) {
        status = kol_fail(err, KOL_NOT_FOUND,
                          "there is no KOL %s in the last complete run; kol sql \"SELECT kol_id "
                          "FROM silver.kol_profiles WHERE ...\" finds names",
                          kol);
    }
    lake_scoring_close(&scoring);
    return status;
}

enum kol_status cmd_score(const struct invocation *call, struct kol_error *err)
{
    struct lake *lake = NULL;
    struct score_models models = {0};
    const char *kol = flag_text(call, "kol");
    enum kol_status status = command_open_lake(call, false, &lake, err);
    if (status == KOL_OK) {
        lake_engine_ahead(lake);
        status = command_load_models(call, &models, err);
    }
    if (status == KOL_OK) {
        status =
            kol ? score_one(call, lake, &models, kol, err) : score_all(call, lake, &models, err);
    }
    lake_close(&lake);
    registry_serving_free(&models);
    return status;
}
