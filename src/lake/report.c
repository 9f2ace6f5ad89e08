/*
 * report.c: `kol tables --quality` and `--lineage`: answers come from the tables themselves, the
 * properties of their snapshots and lake.quarantine, so that they hold for what is there now.
 */
#include "lake/report.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "lake/etl_run.h"

/* ---- quality ---- */

static const char *const quality_columns[] = {"table", "rule",        "check",  "columns",
                                              "rows",  "quarantined", "meaning"};

static const char *const rule_kinds[] = {
    [RULE_NOT_NULL] = "not null",
    [RULE_RANGE] = "range",
    [RULE_UNIQUE] = "unique",
    [RULE_REFERENCE] = "reference",
};

/* Counts of lake.quarantine by table and rule: a JSON object "table rule" -> rows. */
static enum kol_status count_quarantined(struct engine_session *session, json_t *counts,
                                         struct kol_error *err)
{
    struct engine_result *result = NULL;
    size_t rows = 0;
    enum kol_status status = engine_query(
        session,
        "SELECT table_name || ' ' || rule, count(*) FROM lake.quarantine GROUP BY table_name, rule",
        &result, err);
    while (status == KOL_OK && (status = engine_next(result, &rows, err)) == KOL_OK && rows) {
        for (size_t row = 0; row < rows; row++) {
            struct str key = engine_text(result, 0, row);
            json_object_setn_new(counts, key.ptr, key.len,
                                 json_integer(engine_int(result, 1, row)));
        }
    }
    engine_result_free(&result);
    return status;
}

static enum kol_status read_quarantine(struct lake *lake, json_t *counts, struct kol_error *err)
{
    struct lake_reader reader;
    enum kol_status status = lake_reader_open(lake, "lake", "quarantine", &reader, err);
    if (status != KOL_OK) {
        return status == KOL_NOT_FOUND ? KOL_OK : status; /* no run yet: nothing was found */
    }
    status = count_quarantined(reader.session, counts, err);
    lake_reader_close(&reader);
    return status;
}

static void put_argument(struct buf *out, const struct lake_rule *rule)
{
    buf_puts(out, rule_kinds[rule->kind]);
    if (rule->argument[0]) {
        buf_printf(out, " %s", rule->argument);
    }
}

static void show_rules(struct rows *out, const struct lake_table *table, const char *name,
                       int64_t rows, json_t *counts)
{
    struct arena arena;
    struct lake_rule *rules;
    struct buf key = {0}, check = {0};
    arena_init(&arena, 0);
    size_t count = lake_rules(table, &arena, &rules);
    for (size_t i = 0; i < count; i++) {
        buf_clear(&key);
        buf_clear(&check);
        buf_printf(&key, "%s %s", name, rules[i].name);
        put_argument(&check, &rules[i]);
        rows_text(out, str_of(name));
        rows_text(out, str_of(rules[i].name));
        rows_text(out, buf_str(&check));
        rows_text(out, str_of(rules[i].columns));
        rows_int(out, rows);
        rows_int(out, json_integer_value(json_object_get(counts, key.ptr)));
        rows_text(out, str_of(rules[i].doc));
    }
    buf_free(&key);
    buf_free(&check);
    arena_free(&arena);
}

enum kol_status lake_show_quality(struct lake *lake, const char *table, FILE *out,
                                  enum rows_format format, struct kol_error *err)
{
    size_t count;
    json_t *counts = json_object();
    const struct lake_table *all = lake_tables(&count);
    struct rows *rows = rows_begin(out, format, quality_columns, ARRAY_LEN(quality_columns));
    enum kol_status status = read_quarantine(lake, counts, err);
    for (size_t i = 0; i < count && status == KOL_OK; i++) {
        struct lake_pin pin;
        struct buf name = {0};
        buf_printf(&name, "%s.%s", all[i].name_space, all[i].name);
        if (all[i].kind == LAKE_SQL && (!table || !strcmp(table, name.ptr))) {
            status = lake_pin(lake, all[i].name_space, all[i].name, 0, &pin, err);
            if (status == KOL_OK) {
                show_rules(rows, &all[i], name.ptr, pin.files.rows, counts);
                lake_unpin(&pin);
            }
            status = status == KOL_NOT_FOUND ? KOL_OK : status;
        }
        buf_free(&name);
    }
    json_decref(counts);
    return rows_finish(&rows, status, err);
}

/* ---- lineage ---- */

static const char *const lineage_columns[] = {"table", "made_from", "snapshot", "is_current"};

struct lineage {
    struct lake *lake;
    struct rows *rows;
    const char *only;
};

static bool is_current(struct lake *lake, const char *name, int64_t snapshot_id)
{
    struct lake_pin pin;
    struct kol_error ignored; /* a table that is gone is not current */
    if (lake_pin_named(lake, name, NULL, &pin, &ignored) != KOL_OK) {
        return false;
    }
    bool same = etl_rows_of(&pin) == snapshot_id;
    lake_unpin(&pin);
    return same;
}

static void show_inputs(struct lineage *lineage, const char *name, const char *text)
{
    const char *input;
    json_t *snapshot;
    json_t *all = json_loads(text, 0, NULL);
    json_object_foreach(json_object_get(all, "tables"), input, snapshot)
    {
        rows_text(lineage->rows, str_of(name));
        rows_text(lineage->rows, str_of(input));
        rows_int(lineage->rows, json_integer_value(snapshot));
        rows_bool(lineage->rows, is_current(lineage->lake, input, json_integer_value(snapshot)));
    }
    json_decref(all);
}

static void show_offsets(struct lineage *lineage, const char *name, const char *text)
{
    const char *topic, *partition;
    json_t *partitions, *next;
    json_t *all = json_loads(text, 0, NULL);
    json_object_foreach(all, topic, partitions)
    {
        json_object_foreach(partitions, partition, next)
        {
            struct buf from = {0};
            buf_printf(&from, "%s/%s below %lld", topic, partition,
                       (long long)json_integer_value(next));
            rows_text(lineage->rows, str_of(name));
            rows_text(lineage->rows, buf_str(&from));
            rows_null(lineage->rows);
            rows_null(lineage->rows);
            buf_free(&from);
        }
    }
    json_decref(all);
}

static enum kol_status show_lineage(struct ice_ident ident, void *user, struct kol_error *err)
{
    struct lineage *lineage = user;
    struct ice_metadata *metadata = NULL;
    struct buf name = {0};
    buf_printf(&name, "%s.%s", ident.name_space, ident.name);
    if (lineage->only && strcmp(lineage->only, name.ptr) != 0) {
        buf_free(&name);
        return KOL_OK;
    }
    enum kol_status status = ice_table_load(lineage->lake->catalog, ident, &metadata, err);
    if (status == KOL_OK) {
        const struct ice_snapshot *snapshot = ice_current_snapshot(metadata);
        const char *inputs = snapshot ? ice_summary(snapshot, ETL_INPUTS) : NULL;
        const char *offsets = ice_property(metadata, "kol.next-offsets");
        if (inputs) {
            show_inputs(lineage, name.ptr, inputs);
        }
        if (offsets) {
            show_offsets(lineage, name.ptr, offsets);
        }
    }
    ice_metadata_free(&metadata);
    buf_free(&name);
    return status;
}

static enum kol_status show_namespace(struct ice_ident ident, void *user, struct kol_error *err)
{
    struct lineage *lineage = user;
    struct catalog *catalog = lineage->lake->catalog;
    return catalog->ops->list(catalog, ident.name_space, show_lineage, lineage, err);
}

enum kol_status lake_show_lineage(struct lake *lake, const char *table, FILE *out,
                                  enum rows_format format, struct kol_error *err)
{
    struct lineage lineage = {
        lake, rows_begin(out, format, lineage_columns, ARRAY_LEN(lineage_columns)), table};
    enum kol_status status =
        lake->catalog->ops->list(lake->catalog, NULL, show_namespace, &lineage, err);
    return rows_finish(&lineage.rows, status, err);
}
