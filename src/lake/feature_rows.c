/*
 * feature_rows.c: the training table of a model, as it is or as it would have been at a time.
 *
 * For a time of before, bronze is shown without what came later, and the tables that the training
 * table needs are made from that once more, in the order of the graph, as files of the staging
 * folder: the same SELECTs, the same declared types, the same rules, the same functions in C.
 */
#include "lake/feature_rows.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/signals.h"
#include "lake/graph.h"
#include "lake/rules.h"
#include "lake/score_functions.h"
#include "lake/score_step.h"

static const char *const table_names[SCORE_KINDS] = {
    [SCORE_TRUST] = "ml_trust_training",
    [SCORE_SUCCESS] = "ml_success_training",
};

/* The features need no model: those that are asked for one are not in these tables. */
static const struct score_models no_models;

#define WHOLE "kol_whole" /* the schema of bronze with what came later */

/* What is being made. */
struct past {
    struct lake *lake;
    struct lake_features *out;
    struct graph graph;
    int64_t as_of_us;
};

/* ---- bronze until then ---- */

static enum kol_status show_until(const struct past *past, const char *name, struct kol_error *err)
{
    struct buf sql = {0}, time = {0};
    clock_format(&time, past->as_of_us);
    buf_puts(&sql, "CREATE SCHEMA IF NOT EXISTS bronze; CREATE OR REPLACE VIEW bronze.");
    engine_quote_name(&sql, str_of(name));
    buf_puts(&sql, " AS SELECT * FROM " WHOLE ".");
    engine_quote_name(&sql, str_of(name));
    buf_printf(&sql, " WHERE event_time <= TIMESTAMPTZ '%s'", time.ptr);
    enum kol_status status = engine_exec(past->out->session, sql.ptr, err);
    buf_free(&sql);
    buf_free(&time);
    return status;
}

/* `input`: "bronze.profiles". */
static enum kol_status view_bronze(const struct past *past, const char *input,
                                   struct kol_error *err)
{
    struct lake_pin pin;
    const char *dot = strchr(input, '.');
    if (strncmp(input, "bronze.", 7) != 0) {
        return kol_fail(err, KOL_UNSUPPORTED, "%s is not made from bronze: how it was is not known",
                        input);
    }
    enum kol_status status = lake_pin(past->lake, "bronze", dot + 1, 0, &pin, err);
    if (status == KOL_NOT_FOUND) {
        return kol_fail(err, status, "there is no %s yet; `kol ingest` makes it", input);
    }
    if (status != KOL_OK) {
        return status;
    }
    snprintf(pin.name_space, sizeof pin.name_space, "%s", WHOLE);
    status = lake_view(past->out->session, &pin, err);
    lake_unpin(&pin);
    return status == KOL_OK ? show_until(past, dot + 1, err) : status;
}

static enum kol_status view_leaves(const struct past *past, const struct graph_node *node,
                                   struct kol_error *err)
{
    enum kol_status status = KOL_OK;
    for (size_t i = 0; i < node->input_count && status == KOL_OK; i++) {
        if (!graph_find(&past->graph, node->inputs[i])) {
            status = view_bronze(past, node->inputs[i], err);
        }
    }
    return status;
}

/* ---- a table until then ---- */

static void keep_files(struct lake_features *out, const struct ice_data_file *files, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (out->file_count == out->file_cap) {
            out->file_cap = out->file_cap ? 2 * out->file_cap : 16;
            out->files = mem_realloc(out->files, out->file_cap * sizeof *out->files);
        }
        out->files[out->file_count++] = files[i].path;
    }
}

static enum kol_status view_rows(const struct past *past, const struct lake_table *table,
                                 const char *select, struct kol_error *err)
{
    struct buf sql = {0};
    buf_printf(&sql, "CREATE SCHEMA IF NOT EXISTS %s; CREATE OR REPLACE VIEW %s.%s AS %s",
               table->name_space, table->name_space, table->name, select);
    enum kol_status status = engine_exec(past->out->session, sql.ptr, err);
    buf_free(&sql);
    return status;
}

/* The rows that break no rule, under the name of the table. */
static enum kol_status view_good(const struct past *past, const struct lake_table *table,
                                 const struct ice_schema *schema, const struct ice_data_file *files,
                                 size_t count, struct kol_error *err)
{
    struct lake_rule *rules;
    struct broken_rule *broken = NULL;
    struct arena *arena = &past->out->arena;
    struct buf scan = {0}, good = {0};
    size_t broken_count = 0, rule_count = lake_rules(table, arena, &rules);
    engine_scan_sql(schema, files, count, &scan);
    enum kol_status status = lake_check(past->out->session, rules, rule_count, schema, files, count,
                                        arena, &broken, &broken_count, err);
    if (status == KOL_OK) {
        lake_put_good(table, scan.ptr, broken, broken_count, &good);
        status = view_rows(past, table, good.ptr, err);
    }
    buf_free(&scan);
    buf_free(&good);
    return status;
}

/* Nulls in required columns are for the rules to find, as in a run. */
static void relaxed_schema(const struct lake_table *table, struct arena *arena,
                           struct ice_schema *schema)
{
    struct ice_partition_spec spec;
    struct ice_sort_order order;
    lake_table_schema(table, arena, schema, &spec, &order);
    for (size_t i = 0; i < schema->count; i++) {
        schema->fields[i].required = false;
    }
}

static enum kol_status make_table(const struct past *past, const struct graph_node *node,
                                  struct kol_error *err)
{
    struct lake_features *out = past->out;
    struct ice_schema schema;
    struct ice_data_file *files = NULL;
    size_t count = 0;
    struct buf select = {0};
    if (signals_stop_asked()) {
        return kol_fail(err, KOL_INTERRUPTED, "interrupted; nothing was exported");
    }
    relaxed_schema(node->table, &out->arena, &schema);
    if (node->table->kind == LAKE_SCORE) {
        score_step_select(node->table, node->sql, &no_models, NULL, past->as_of_us, &select);
    } else {
        buf_put(&select, node->sql);
    }
    enum kol_status status = view_leaves(past, node, err);
    if (status == KOL_OK) {
        status = engine_write_parquet(out->session, select.ptr, &schema, past->lake->staging, 0,
                                      &out->arena, &files, &count, err);
    }
    if (status == KOL_OK) {
        keep_files(out, files, count);
        status = view_good(past, node->table, &schema, files, count, err);
    }
    if (status != KOL_OK && status != KOL_INTERRUPTED) {
        kol_wrap(err, "%s.%s as it was", node->table->name_space, node->table->name);
    }
    buf_free(&select);
    return status;
}

static enum kol_status make_past(struct past *past, struct kol_error *err)
{
    struct lake_features *out = past->out;
    struct buf name = {0};
    enum kol_status status = engine_exec(out->session, graph_prelude().ptr, err);
    if (status == KOL_OK) {
        status = score_functions_add(out->engine, &no_models, err);
    }
    if (status != KOL_OK) {
        return status;
    }
    buf_printf(&name, "%s.%s", out->table->name_space, out->table->name);
    const char *const wanted[] = {name.ptr};
    status = graph_load(past->lake, out->session, wanted, 1, &past->graph, err);
    for (size_t i = 0; i < past->graph.count && status == KOL_OK; i++) {
        status = make_table(past, &past->graph.nodes[i], err);
    }
    graph_free(&past->graph);
    buf_free(&name);
    return status;
}

/* ---- the table as it is ---- */

static enum kol_status view_present(struct lake *lake, struct lake_features *out,
                                    struct kol_error *err)
{
    struct lake_pin pin;
    enum kol_status status = lake_pin(lake, out->table->name_space, out->table->name, 0, &pin, err);
    if (status == KOL_NOT_FOUND) {
        return kol_fail(err, status, "there is no %s.%s yet; `kol etl` makes it",
                        out->table->name_space, out->table->name);
    }
    if (status == KOL_OK) {
        status = lake_view(out->session, &pin, err);
        lake_unpin(&pin);
    }
    return status;
}

/* ---- the interface ---- */

static const char *select_of(struct lake_features *out, enum score_kind kind)
{
    static const char *const orders[SCORE_KINDS] = {
        [SCORE_TRUST] = "platform, kol_id, masked",
        [SCORE_SUCCESS] = "platform, coalesce(product_id, event_id), observed_at, event_id",
    };
    struct buf sql = {0};
    buf_puts(&sql, "SELECT ");
    for (size_t i = 0; i < out->table->column_count; i++) {
        buf_puts(&sql, i ? ", " : "");
        engine_quote_name(&sql, str_of(out->table->columns[i].name));
    }
    buf_printf(&sql, " FROM %s.%s ORDER BY %s", out->table->name_space, out->table->name,
               orders[kind]);
    const char *select = arena_copy(&out->arena, buf_str(&sql)).ptr;
    buf_free(&sql);
    return select;
}

enum kol_status lake_features_open(struct lake *lake, enum score_kind kind, const int64_t *as_of_us,
                                   struct lake_features *out, struct kol_error *err)
{
    *out = (struct lake_features){.table = lake_table_find("gold", table_names[kind])};
    arena_init(&out->arena, 0);
    out->select = select_of(out, kind);
    enum kol_status status = lake_engine(lake, &out->engine, err);
    if (status == KOL_OK) {
        status = engine_session_open(out->engine, &out->session, err);
    }
    if (status == KOL_OK && as_of_us) {
        struct past past = {.lake = lake, .out = out, .as_of_us = *as_of_us};
        status = make_past(&past, err);
    } else if (status == KOL_OK) {
        status = view_present(lake, out, err);
    }
    if (status != KOL_OK) {
        lake_features_close(out);
    }
    return status;
}

void lake_features_close(struct lake_features *features)
{
    engine_session_close(&features->session);
    engine_close(&features->engine);
    for (size_t i = 0; i < features->file_count; i++) {
        unlink(features->files[i]); /* what stays is removed with the leavings of dead processes */
    }
    free(features->files);
    arena_free(&features->arena);
    *features = (struct lake_features){0};
}

/* A file with the columns and no row, as a CSV file then has its header. */
static enum kol_status write_empty(struct lake_features *features, const struct ice_schema *schema,
                                   const char *path, struct kol_error *err)
{
    struct buf part = {0}, sql = {0};
    buf_printf(&part, "%s.part", path);
    buf_puts(&sql, "COPY (");
    engine_scan_sql(schema, NULL, 0, &sql);
    buf_puts(&sql, ") TO ");
    engine_quote_text(&sql, buf_str(&part));
    buf_puts(&sql, " (FORMAT parquet)");
    enum kol_status status = engine_exec(features->session, sql.ptr, err);
    if (status == KOL_OK && rename(part.ptr, path) != 0) {
        status = kol_fail_errno(err, errno, "%s: cannot be written", path);
    }
    if (status != KOL_OK) {
        unlink(part.ptr);
    }
    buf_free(&part);
    buf_free(&sql);
    return status == KOL_OK ? file_sync_folder_of(path, err) : status;
}

enum kol_status lake_features_write(struct lake_features *features, const char *path, int64_t *rows,
                                    struct kol_error *err)
{
    struct ice_schema schema;
    struct ice_partition_spec spec;
    struct ice_sort_order order;
    struct ice_data_file *files = NULL;
    size_t count = 0;
    const char *slash = strrchr(path, '/');
    const struct str folder = slash ? (struct str){path, (size_t)(slash - path) + 1} : STR(".");
    lake_table_schema(features->table, &features->arena, &schema, &spec, &order);
    enum kol_status status = engine_write_parquet(features->session, features->select, &schema,
                                                  arena_copy(&features->arena, folder).ptr, 0,
                                                  &features->arena, &files, &count, err);
    if (status != KOL_OK) {
        return status;
    }
    *rows = 0;
    if (!count) {
        return write_empty(features, &schema, path, err);
    }
    KOL_ASSERT(count == 1);
    *rows = files[0].rows;
    if (rename(files[0].path, path) != 0) {
        status = kol_fail_errno(err, errno, "%s: cannot be written", path);
        unlink(files[0].path);
        return status;
    }
    return file_sync_folder_of(path, err);
}
