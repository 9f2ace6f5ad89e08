/*
 * ledger.c: lake.score_ledger: which version of which model gave which KOL what score, and when.
 *
 * A run adds what differs between gold.kol_scores now and as it was when the ledger last looked.
 * Which version that was is a property of the ledger, set in the same commit as the rows: a run
 * that was killed in between is made up for by the next one, and nothing is added twice. Where that
 * version is no more, the ledger's own newest rows take its place.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/mem.h"
#include "lake/etl_run.h"
#include "lake/ingest_parts.h"

/* Property: the snapshot of gold.kol_scores that the rows stand for. */
#define LEDGER_SCORES "kol.scores-snapshot"

/* One kind of score in gold.kol_scores; "" where it has no such column. */
static const struct ledger_score {
    const char *name, *value, *label, *version;
} ledger_scores[] = {
    {"trust", "trust_score", "trust_label", "trust_model_version"},
    {"success", "success_score", "success_label", "success_model_version"},
    {"trending", "trending_score", "trending_label", ""},
    {"composite", "composite_score", "", ""},
};

static void put_column(struct buf *sql, const char *relation, const char *column)
{
    if (column[0]) {
        buf_printf(sql, "%s.%s", relation, column);
    } else {
        buf_puts(sql, "CAST(NULL AS VARCHAR)");
    }
}

/* {'score': 'trust', 'value': n.trust_score, ..., 'changed': ...} */
static void put_entry(struct buf *sql, const struct ledger_score *score, bool has_old)
{
    buf_printf(sql, "{'score': '%s', 'value': n.%s, 'label': ", score->name, score->value);
    put_column(sql, "n", score->label);
    buf_puts(sql, ", 'version': ");
    put_column(sql, "n", score->version);
    if (!has_old) {
        buf_printf(sql, ", 'changed': n.%s IS NOT NULL}", score->value);
        return;
    }
    buf_printf(sql, ", 'changed': n.%s IS DISTINCT FROM o.%s", score->value, score->value);
    if (score->version[0]) {
        buf_printf(sql, " OR n.%s IS DISTINCT FROM o.%s", score->version, score->version);
    }
    buf_putc(sql, '}');
}

/* The SELECT of the new rows; `old` "": there are none to compare with; `since`: only rows for
 * which this holds can differ, or ""; `offsets` NULL: it is not known from where in the log the
 * scores are. */
static void put_select(struct buf *sql, struct str old, const char *since, const char *offsets)
{
    buf_puts(sql, "SELECT platform, kol_id, u.score, u.value, u.label, u.version, event_time, "
                  "computed_at, ");
    if (offsets) {
        engine_quote_text(sql, str_of(offsets));
    } else {
        buf_puts(sql, "NULL");
    }
    buf_puts(sql, " FROM (SELECT n.platform, n.kol_id, n.event_time, n.computed_at, unnest([");
    for (size_t i = 0; i < ARRAY_LEN(ledger_scores); i++) {
        buf_puts(sql, i ? ", " : "");
        put_entry(sql, &ledger_scores[i], old.len > 0);
    }
    buf_puts(sql, "]) AS u FROM gold.kol_scores AS n");
    if (old.len) {
        buf_puts(sql, " LEFT JOIN (");
        buf_put(sql, old);
        buf_puts(sql, ") AS o ON o.kol_id = n.kol_id AND o.platform = n.platform");
    }
    buf_printf(sql, "%s) WHERE u.changed", since);
}

/* The newest that the ledger itself says, in the columns of gold.kol_scores. */
static void put_own_rows(struct buf *sql, const char *scan)
{
    buf_puts(sql, "SELECT platform, kol_id");
    for (size_t i = 0; i < ARRAY_LEN(ledger_scores); i++) {
        const struct ledger_score *score = &ledger_scores[i];
        buf_printf(sql, ", arg_max_null(value, computed_at) FILTER (WHERE score = '%s') AS %s",
                   score->name, score->value);
        if (score->version[0]) {
            buf_printf(sql,
                       ", arg_max_null(model_version, computed_at) FILTER (WHERE score = '%s') AS "
                       "%s",
                       score->name, score->version);
        }
    }
    buf_printf(sql, " FROM (%s) GROUP BY platform, kol_id", scan);
}

/* What to compare with, as a SELECT; empty where the ledger never looked. */
static enum kol_status put_old(struct etl_state *state, const struct ice_metadata *ledger,
                               struct buf *sql, struct kol_error *err)
{
    struct lake_pin pin;
    int64_t id;
    const char *looked = ice_property(ledger, LEDGER_SCORES);
    if (!looked || !str_to_int64(str_of(looked), &id)) {
        return KOL_OK;
    }
    enum kol_status status = lake_pin(state->lake, "gold", "kol_scores", id, &pin, err);
    if (status == KOL_OK) {
        engine_scan_sql(lake_pin_schema(&pin), pin.files.files, pin.files.count, sql);
        lake_unpin(&pin);
        return KOL_OK;
    }
    if (status != KOL_NOT_FOUND) {
        return status;
    }
    status = lake_pin(state->lake, "lake", "score_ledger", 0, &pin, err);
    if (status == KOL_OK) {
        struct buf scan = {0};
        engine_scan_sql(lake_pin_schema(&pin), pin.files.files, pin.files.count, &scan);
        put_own_rows(sql, scan.ptr);
        buf_free(&scan);
        lake_unpin(&pin);
    }
    return status;
}

/* Where this run made the scores out of those that the ledger knows, a row that says something new
 * has the run's time: which rows have is in the statistics of the files, so that looking for them
 * costs next to nothing where there are none. */
static enum kol_status find_changed(struct etl_state *state, const struct ice_metadata *ledger,
                                    const struct ice_snapshot *now, struct buf *since, bool *any,
                                    struct kol_error *err)
{
    int64_t id, rows;
    struct buf sql = {0};
    const char *looked = ice_property(ledger, LEDGER_SCORES);
    const char *run = now ? ice_summary(now, ETL_RUN_ID) : NULL;
    *any = true;
    if (!looked || !str_to_int64(str_of(looked), &id) || !run || strcmp(run, state->run_id) != 0 ||
        now->parent_id != id) {
        return KOL_OK;
    }
    buf_puts(since, " WHERE n.computed_at = TIMESTAMPTZ '");
    clock_format(since, state->started_us);
    buf_putc(since, '\'');
    buf_printf(&sql, "SELECT count(*) FROM gold.kol_scores AS n%s", since->ptr);
    enum kol_status status = engine_get_int(state->session, sql.ptr, &rows, err);
    *any = rows > 0;
    buf_free(&sql);
    return status;
}

static enum kol_status append(struct etl_state *state, const struct lake_table *table,
                              const struct ice_metadata *metadata, const struct lake_pin *scores,
                              struct kol_error *err)
{
    const struct ice_snapshot *snapshot = ice_snapshot_by_id(scores->metadata, scores->snapshot_id);
    struct arena arena;
    struct buf old = {0}, since = {0}, sql = {0};
    bool any = false;
    char value[32];
    const struct ice_pair set = {LEDGER_SCORES, value};
    const struct ice_pair summary = {ETL_RUN_ID, state->run_id};
    struct ice_data_file *files = NULL;
    struct ice_change change = {
        .set = &set, .set_count = 1, .summary = &summary, .summary_count = 1};
    arena_init(&arena, 0);
    snprintf(value, sizeof value, "%lld", (long long)etl_rows_of(scores));
    enum kol_status status = find_changed(state, metadata, snapshot, &since, &any, err);
    if (status == KOL_OK && any) {
        status = put_old(state, metadata, &old, err);
    }
    if (status == KOL_OK && any) {
        put_select(&sql, buf_str(&old), since.len ? since.ptr : "",
                   snapshot ? ice_summary(snapshot, ETL_OFFSETS) : NULL);
        status = lake_write(state->lake, state->session, table, metadata, sql.ptr, &arena, &files,
                            &change.file_count, err);
    }
    FAILPOINT("etl.ledger");
    if (status == KOL_OK) {
        struct ice_ident ident = {table->name_space, table->name};
        change.operation = change.file_count ? ICE_APPEND : ICE_NO_DATA;
        change.files = files;
        status = ice_commit(state->lake->catalog, ident, &change, NULL, err);
    }
    buf_free(&old);
    buf_free(&since);
    buf_free(&sql);
    arena_free(&arena);
    return status;
}

/* ---- from where in the log ---- */

/* Adds the topics of one table to those of the others. */
static enum kol_status add_offsets(json_t *all, const struct lake_pin *pin, struct kol_error *err)
{
    const char *text = ice_property(pin->metadata, INGEST_OFFSETS_PROPERTY);
    if (!text) {
        return KOL_OK; /* nothing was ingested yet */
    }
    json_t *topics = json_loads(text, 0, NULL);
    enum kol_status status = KOL_OK;
    if (json_object_update(all, topics) != 0) {
        status = kol_fail(err, KOL_CORRUPT, "%s.%s: " INGEST_OFFSETS_PROPERTY " is no JSON object",
                          pin->name_space, pin->name);
    }
    json_decref(topics);
    return status;
}

enum kol_status etl_put_offsets(struct etl_state *state, struct buf *out, struct kol_error *err)
{
    json_t *all = json_object();
    enum kol_status status = KOL_OK;
    pthread_mutex_lock(&state->lock);
    for (size_t i = 0; i < state->pin_count && status == KOL_OK; i++) {
        if (strcmp(state->pins[i]->name_space, "bronze") == 0) {
            status = add_offsets(all, state->pins[i], err);
        }
    }
    pthread_mutex_unlock(&state->lock);
    char *text = json_dumps(all, JSON_COMPACT | JSON_SORT_KEYS);
    buf_puts(out, text);
    free(text);
    json_decref(all);
    return status;
}

/* ---- the interface ---- */

enum kol_status etl_write_ledger(struct etl_state *state, const struct lake_pin *scores,
                                 struct kol_error *err)
{
    const struct lake_table *table = lake_table_find("lake", "score_ledger");
    struct ice_metadata *metadata = NULL;
    const int64_t now = etl_rows_of(scores);
    enum kol_status status = lake_ensure(state->lake, table, &metadata, err);
    if (status == KOL_OK) {
        const char *looked = ice_property(metadata, LEDGER_SCORES);
        int64_t id;
        if (now >= 0 && !(looked && str_to_int64(str_of(looked), &id) && id == now)) {
            status = append(state, table, metadata, scores, err);
        }
    }
    if (status != KOL_OK && status != KOL_INTERRUPTED) {
        kol_wrap(err, "lake.score_ledger");
    }
    ice_metadata_free(&metadata);
    return status;
}
