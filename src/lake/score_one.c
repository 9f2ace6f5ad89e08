/*
 * score_one.c: see lake/score.h: the SELECT that makes gold.kol_scores, narrowed to one KOL.
 */
#include "lake/score.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "domain/event.h"
#include "lake/etl.h"
#include "lake/graph.h"
#include "lake/score_functions.h"
#include "lake/score_step.h"

static enum kol_status view_input(struct lake *lake, struct engine_session *session,
                                  const struct etl_run_tables *run, const char *name,
                                  struct kol_error *err)
{
    struct lake_pin pin;
    const char *rest = strchr(name, '.') + 1;
    const size_t space = (size_t)(rest - 1 - name);
    for (size_t i = 0; i < run->count; i++) {
        const struct etl_run_table *table = &run->tables[i];
        if (strlen(table->name_space) != space || memcmp(name, table->name_space, space) != 0 ||
            strcmp(rest, table->name) != 0) {
            continue;
        }
        enum kol_status status =
            lake_pin(lake, table->name_space, table->name, table->snapshot_id, &pin, err);
        if (status == KOL_OK) {
            status = lake_view(session, &pin, err);
            lake_unpin(&pin);
        }
        return status;
    }
    return kol_fail(err, KOL_NOT_FOUND, "the last complete run has no %s; `kol etl` makes it",
                    name);
}

/* The node of gold.kol_scores, with views for all that its SELECT reads. */
static enum kol_status view_inputs(struct lake *lake, struct engine_session *session,
                                   const struct graph_node *node, struct kol_error *err)
{
    struct etl_run_tables run;
    enum kol_status status = etl_last_run(lake, &run, err);
    for (size_t i = 0; i < node->input_count && status == KOL_OK; i++) {
        status = view_input(lake, session, &run, node->inputs[i], err);
    }
    etl_run_tables_free(&run);
    return status;
}

static bool is_platform(struct str name)
{
    for (int i = PLATFORM_TIKTOK; i <= PLATFORM_INSTAGRAM; i++) {
        if (str_is(name, platform_name((enum platform)i))) {
            return true;
        }
    }
    return false;
}

static void put_select(struct buf *sql, const struct graph_node *node,
                       const struct score_models *models, const char *kol)
{
    const char *colon = strchr(kol, ':');
    struct str platform = {kol, colon ? (size_t)(colon - kol) : 0};
    const bool named = colon && is_platform(platform);
    buf_puts(sql, "SELECT * FROM (");
    score_step_select(node->table, node->sql, models, NULL, clock_now_us(), sql);
    buf_puts(sql, ") WHERE kol_id = ");
    engine_quote_text(sql, str_of(named ? colon + 1 : kol));
    if (named) {
        buf_puts(sql, " AND platform = ");
        engine_quote_text(sql, platform);
    }
    buf_puts(sql, " ORDER BY platform");
}

static enum kol_status ask(struct lake *lake, const struct score_models *models, const char *kol,
                           struct lake_scoring *out, struct kol_error *err)
{
    static const char *const tables[] = {"gold.kol_scores"};
    struct graph graph;
    struct buf sql = {0};
    enum kol_status status = graph_load(lake, out->session, tables, 1, &graph, err);
    if (status != KOL_OK) {
        return status;
    }
    const struct graph_node *node = graph_find(&graph, tables[0]);
    status = view_inputs(lake, out->session, node, err);
    if (status == KOL_OK) {
        put_select(&sql, node, models, kol);
        status = engine_query(out->session, sql.ptr, &out->result, err);
    }
    buf_free(&sql);
    graph_free(&graph);
    return status;
}

enum kol_status lake_score_kol(struct lake *lake, const struct score_models *models,
                               const char *kol, struct lake_scoring *out, struct kol_error *err)
{
    *out = (struct lake_scoring){0};
    enum kol_status status = lake_engine(lake, &out->engine, err);
    if (status == KOL_OK) {
        status = engine_session_open(out->engine, &out->session, err);
    }
    if (status == KOL_OK) {
        status = engine_exec(out->session, graph_prelude().ptr, err);
    }
    if (status == KOL_OK) {
        status = score_functions_add(out->engine, models, err);
    }
    if (status == KOL_OK) {
        status = ask(lake, models, kol, out, err);
    }
    if (status != KOL_OK) {
        lake_scoring_close(out);
    }
    return status;
}

void lake_scoring_close(struct lake_scoring *scoring)
{
    engine_result_free(&scoring->result);
    engine_session_close(&scoring->session);
    engine_close(&scoring->engine);
}
