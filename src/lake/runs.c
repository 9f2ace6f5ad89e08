/*
 * runs.c: lake.runs: which snapshots belong together.
 *
 * A run makes its tables one by one; who reads several of them at any moment would see a mix. The
 * row written last names the snapshot of each, and readers of several tables take the last row.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/mem.h"
#include "lake/etl_run.h"

/* {"gold.dim_kol": 123, ...} of everything that the run read or wrote. */
static char *snapshots_json(const struct etl_state *state)
{
    struct buf name = {0};
    json_t *all = json_object();
    for (size_t i = 0; i < state->pin_count; i++) {
        const struct lake_pin *pin = state->pins[i];
        buf_clear(&name);
        buf_printf(&name, "%s.%s", pin->name_space, pin->name);
        json_object_set_new(all, name.ptr, json_integer(pin->snapshot_id));
    }
    char *text = json_dumps(all, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(all);
    buf_free(&name);
    return text;
}

static void put_time(struct buf *sql, int64_t time_us)
{
    buf_puts(sql, ", TIMESTAMPTZ '");
    clock_format(sql, time_us);
    buf_putc(sql, '\'');
}

static void put_run(struct buf *sql, const struct etl_state *state)
{
    char *snapshots = snapshots_json(state);
    buf_puts(sql, "SELECT ");
    engine_quote_text(sql, str_of(state->run_id));
    put_time(sql, state->started_us);
    put_time(sql, clock_now_us());
    buf_puts(sql, ", ");
    engine_quote_text(sql, str_of(snapshots));
    buf_puts(sql, ", ");
    engine_quote_text(sql, str_of(state->options->version));
    free(snapshots);
}

enum kol_status etl_write_run(struct etl_state *state, struct kol_error *err)
{
    const struct lake_table *table = lake_table_find("lake", "runs");
    struct ice_ident ident = {table->name_space, table->name};
    struct arena arena;
    struct buf sql = {0};
    struct ice_metadata *metadata = NULL;
    const struct ice_pair summary = {ETL_RUN_ID, state->run_id};
    struct ice_change change = {.operation = ICE_APPEND, .summary = &summary, .summary_count = 1};
    arena_init(&arena, 0);
    put_run(&sql, state);
    enum kol_status status = lake_ensure(state->lake, table, &metadata, err);
    if (status == KOL_OK) {
        struct ice_data_file *files;
        status = lake_write(state->lake, state->session, table, metadata, sql.ptr, &arena, &files,
                            &change.file_count, err);
        change.files = files;
    }
    FAILPOINT("etl.run");
    if (status == KOL_OK) {
        status = ice_commit(state->lake->catalog, ident, &change, NULL, err);
    }
    ice_metadata_free(&metadata);
    buf_free(&sql);
    arena_free(&arena);
    return status;
}

/* ---- reading ---- */

static enum kol_status read_tables(const char *text, struct etl_run_tables *out,
                                   struct kol_error *err)
{
    const char *name;
    json_t *snapshot;
    json_t *all = json_loads(text, 0, NULL);
    if (!json_is_object(all)) {
        json_decref(all);
        return kol_fail(err, KOL_CORRUPT, "lake.runs: the snapshots of run %s are no JSON object",
                        out->run_id);
    }
    out->tables = arena_alloc(&out->arena, (json_object_size(all) + 1) * sizeof *out->tables);
    json_object_foreach(all, name, snapshot)
    {
        struct str rest = str_of(name);
        const char *space = arena_copy(&out->arena, str_cut(&rest, '.')).ptr;
        out->tables[out->count++] = (struct etl_run_table){space, arena_copy(&out->arena, rest).ptr,
                                                           json_integer_value(snapshot)};
    }
    json_decref(all);
    return KOL_OK;
}

/* The run whose row came last: by the history of the table, as a clock may be set back. NULL where
 * that does not tell. */
static const char *newest_run(const struct lake_pin *pin)
{
    const struct ice_snapshot *at = ice_snapshot_by_id(pin->metadata, pin->snapshot_id);
    const char *run = NULL;
    for (size_t i = 0; i < pin->metadata->snapshot_count && at && !run; i++) {
        run = ice_summary(at, ETL_RUN_ID);
        at = ice_snapshot_by_id(pin->metadata, at->parent_id);
    }
    return run;
}

static enum kol_status query_last(struct engine_session *session, const struct lake_pin *pin,
                                  struct etl_run_tables *out, struct kol_error *err)
{
    struct engine_result *result = NULL;
    struct buf sql = {0};
    size_t rows = 0;
    const char *run = newest_run(pin);
    buf_puts(&sql, "SELECT run_id, finished_at, snapshots FROM lake.runs ORDER BY ");
    if (run) {
        buf_puts(&sql, "run_id = ");
        engine_quote_text(&sql, str_of(run));
        buf_puts(&sql, " DESC, ");
    }
    buf_puts(&sql, "finished_at DESC, run_id LIMIT 1");
    enum kol_status status = engine_query(session, sql.ptr, &result, err);
    buf_free(&sql);
    if (status == KOL_OK) {
        status = engine_next(result, &rows, err);
    }
    if (status == KOL_OK && !rows) {
        status = KOL_NOT_FOUND;
    }
    if (status == KOL_OK) {
        struct str id = engine_text(result, 0, 0);
        snprintf(out->run_id, sizeof out->run_id, "%.*s", STR_FORMAT(id));
        out->finished_us = engine_int(result, 1, 0);
        status = read_tables(arena_copy(&out->arena, engine_text(result, 2, 0)).ptr, out, err);
    }
    engine_result_free(&result);
    return status;
}

static enum kol_status no_run(enum kol_status status, struct kol_error *err)
{
    return status == KOL_NOT_FOUND
               ? kol_fail(err, status, "no run is complete yet; `kol etl` makes one")
               : status;
}

enum kol_status etl_last_run(struct lake *lake, struct etl_run_tables *out, struct kol_error *err)
{
    struct lake_reader reader;
    *out = (struct etl_run_tables){0};
    arena_init(&out->arena, 0);
    enum kol_status status = lake_reader_open(lake, "lake", "runs", &reader, err);
    if (status == KOL_OK) {
        status = query_last(reader.session, &reader.pin, out, err);
        lake_reader_close(&reader);
    }
    return no_run(status, err);
}

enum kol_status etl_run_before(struct etl_state *state, struct etl_run_tables *out,
                               struct kol_error *err)
{
    struct lake_pin pin;
    *out = (struct etl_run_tables){0};
    arena_init(&out->arena, 0);
    enum kol_status status = lake_pin(state->lake, "lake", "runs", 0, &pin, err);
    if (status == KOL_OK) {
        status = etl_view(state, &pin, err);
        if (status == KOL_OK) {
            status = query_last(state->session, &pin, out, err);
        }
        lake_unpin(&pin);
    }
    return no_run(status, err);
}

void etl_run_tables_free(struct etl_run_tables *run)
{
    arena_free(&run->arena);
    *run = (struct etl_run_tables){0};
}
