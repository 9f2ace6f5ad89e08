/*
 * etl_table.c: making one table: skip it or write it, check it, quarantine, commit.
 *
 * The rows are written once, straight from the SELECT into the table's own files, which nobody sees
 * before the commit. Rules are checked on those files; only where rows break one are the good ones
 * written a second time.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/hash.h"
#include "base/logger.h"
#include "base/mem.h"
#include "lake/etl_run.h"
#include "lake/score_step.h"
#include "lake/write.h"

#define QUARANTINE "lake.quarantine"

/* One table in the making. */
struct making {
    struct etl_state *state;
    struct engine_session *session; /* the thread's own */
    const struct graph_node *node;
    const struct lake_table *table;
    struct arena arena;
    struct ice_metadata *metadata; /* the version before */
    struct str select;             /* what gives its rows */
    const char *inputs;            /* what it is made from, as it will stand in the summary */
    const char *offsets;           /* ETL_OFFSETS; NULL where no model decides the rows */
    struct ice_data_file *files;   /* texts in the arena */
    size_t file_count, file_cap;
    int64_t quarantined;
    bool keeps_times;     /* of rows that say what they said before: state->since is its own */
    bool by_days;         /* only `days` are made anew */
    struct etl_days days; /* see etl_days.c */
};

/* ---- what it is made from ---- */

static void put_columns_text(struct buf *out, const struct lake_table *table)
{
    for (size_t i = 0; i < table->column_count; i++) {
        const struct lake_column *column = &table->columns[i];
        buf_printf(out, "%s %s %d,", column->name, column->type, column->required);
    }
    buf_printf(out, "|%s|%s|%s", table->keys, table->sort, table->partition);
}

static void put_rules_text(struct buf *out, const struct lake_table *table, struct arena *arena)
{
    struct lake_rule *rules;
    size_t count = lake_rules(table, arena, &rules);
    for (size_t i = 0; i < count; i++) {
        buf_printf(out, "|%s %d %s %s", rules[i].name, (int)rules[i].kind, rules[i].columns,
                   rules[i].argument);
    }
}

/* {"text": hash of the SELECT, the prelude, the declaration and its rules,
 *  "tables": {name: snapshot}, "schemas": {name: schema id}} */
static enum kol_status describe_inputs(struct making *making, struct kol_error *err)
{
    struct buf text = {0}, hash = {0};
    json_t *tables = json_object(), *schemas = json_object();
    enum kol_status status = KOL_OK;
    for (size_t i = 0; i < making->node->input_count && status == KOL_OK; i++) {
        struct lake_pin *pin;
        status = etl_pin(making->state, making->node->inputs[i], &pin, err);
        if (status == KOL_OK) {
            json_object_set_new(tables, making->node->inputs[i], json_integer(etl_rows_of(pin)));
            json_object_set_new(schemas, making->node->inputs[i],
                                json_integer(pin->metadata->current_schema_id));
        }
    }
    buf_put(&text, making->node->sql);
    buf_put(&text, graph_prelude());
    put_columns_text(&text, making->table);
    put_rules_text(&text, making->table, &making->arena);
    if (making->table->kind == LAKE_SCORE) {
        score_step_describe(making->table, making->state->options->models, &text);
    }
    hash_put_hex128(&hash, buf_str(&text));
    json_t *all =
        json_pack("{s:s, s:o, s:o}", "text", hash.ptr, "tables", tables, "schemas", schemas);
    char *dump = json_dumps(all, JSON_COMPACT | JSON_SORT_KEYS);
    making->inputs = arena_copy(&making->arena, str_of(dump)).ptr;
    free(dump);
    json_decref(all);
    buf_free(&text);
    buf_free(&hash);
    return status;
}

static bool is_unchanged(const struct making *making)
{
    const struct ice_snapshot *snapshot = ice_current_snapshot(making->metadata);
    const char *before = snapshot ? ice_summary(snapshot, ETL_INPUTS) : NULL;
    return before && strcmp(before, making->inputs) == 0;
}

static bool is_forced(const struct making *making)
{
    const struct etl_options *options = making->state->options;
    return options->full || (options->rescore && making->table->kind == LAKE_SCORE &&
                             score_step_asks_a_model(making->table));
}

/* ---- writing ---- */

/* The declaration without its NOT NULLs: rows that break them are to be quarantined, not to end the
 * run. */
static const struct lake_table *relaxed(struct making *making)
{
    struct lake_table *copy = arena_alloc(&making->arena, sizeof *copy);
    struct lake_column *columns =
        arena_alloc(&making->arena, making->table->column_count * sizeof *columns);
    *copy = *making->table;
    memcpy(columns, copy->columns, copy->column_count * sizeof *columns);
    for (size_t i = 0; i < copy->column_count; i++) {
        columns[i].required = false;
    }
    copy->columns = columns;
    return copy;
}

/* The columns of a SELECT must be those of the declaration, by name and in order: a swapped pair of
 * one type would pass every cast. */
static enum kol_status check_names(struct making *making, struct kol_error *err)
{
    struct buf sql = {0};
    struct engine_result *result = NULL;
    buf_puts(&sql, "SELECT * FROM (");
    buf_put(&sql, making->select);
    buf_puts(&sql, "\n) LIMIT 0");
    enum kol_status status = engine_query(making->session, sql.ptr, &result, err);
    buf_free(&sql);
    if (status != KOL_OK) {
        return status;
    }
    const struct lake_table *table = making->table;
    size_t count = engine_columns(result);
    if (count != table->column_count) {
        status = kol_fail(err, KOL_INVALID, "the SELECT gives %zu columns, %zu are declared", count,
                          table->column_count);
    }
    for (size_t i = 0; i < count && status == KOL_OK; i++) {
        if (strcmp(engine_column_name(result, i), table->columns[i].name) != 0) {
            status = kol_fail(err, KOL_INVALID, "column %zu of the SELECT is %s, declared is %s",
                              i + 1, engine_column_name(result, i), table->columns[i].name);
        }
    }
    engine_result_free(&result);
    return status;
}

/* Appends to the files of the table what a SELECT gives. */
static enum kol_status add_rows(struct making *making, const struct lake_table *table,
                                const char *select, struct kol_error *err)
{
    struct ice_data_file *files;
    size_t count;
    enum kol_status status =
        lake_write(making->state->lake, making->session, table, making->metadata, select,
                   &making->arena, &files, &count, err);
    for (size_t i = 0; i < count && status == KOL_OK; i++) {
        if (making->file_count == making->file_cap) {
            making->file_cap = making->file_cap ? 2 * making->file_cap : 16;
            making->files = mem_realloc(making->files, making->file_cap * sizeof *making->files);
        }
        making->files[making->file_count++] = files[i];
    }
    return status;
}

/* ---- parts, for what does not fit into memory ---- */

/* Memory that one thread may need for the newest values of one key while it gathers them, and what
 * the engine holds beside them, to read and to write. */
enum { BYTES_PER_KEY = 1536, BYTES_BESIDE = 100 << 20 };

/* How many keys may be gathered at once, each by one thread. */
static int64_t keys_that_fit(const struct making *making)
{
    const int64_t memory = making->state->lake->memory_bytes;
    const int64_t least = memory / 4, usable = memory - BYTES_BESIDE;
    if (!making->table->in_parts || memory <= 0) {
        return INT64_MAX;
    }
    return (usable > least ? usable : least) / BYTES_PER_KEY;
}

/* Without the values, which the engine leaves out, this takes little time and may spill. */
static enum kol_status count_keys(struct making *making, int64_t *keys, struct kol_error *err)
{
    struct buf sql = {0};
    buf_puts(&sql, "SELECT count(*) FROM (");
    buf_put(&sql, making->select);
    buf_puts(&sql, "\n)");
    enum kol_status status = engine_get_int(making->session, sql.ptr, keys, err);
    buf_free(&sql);
    return status;
}

/* In how many parts a table is made of so many rows of bronze: so many that each fits into the
 * engine's memory, where each thread may come upon each key. */
static enum kol_status count_parts(struct making *making, int64_t rows, int64_t *parts,
                                   struct kol_error *err)
{
    const int64_t fit = keys_that_fit(making);
    int64_t keys = 0;
    *parts = 1;
    if (rows <= fit) {
        return KOL_OK;
    }
    enum kol_status status = count_keys(making, &keys, err);
    keys *= lake_threads(making->state->lake);
    *parts = (keys < rows ? keys : rows) / fit + 1;
    return status;
}

/* The rows of one part: a stretch of what the keys hash to. The engine carries such a condition
 * down to before it groups by the keys, so that only the part is gathered; one with a division,
 * which might fail, it does not. The 1 makes it another hash than the engine groups by. */
static void put_part(struct buf *sql, const struct making *making, int64_t part, int64_t parts)
{
    const uint64_t step = UINT64_MAX / (uint64_t)parts, from = step * (uint64_t)part;
    struct str keys = str_of(making->table->keys);
    buf_puts(sql, "SELECT * FROM (");
    buf_put(sql, making->select);
    buf_puts(sql, "\n) AS whole WHERE hash(1");
    while (keys.len) {
        buf_puts(sql, ", ");
        engine_quote_name(sql, str_cut(&keys, ' '));
    }
    buf_printf(sql, ") BETWEEN %" PRIu64 " AND %" PRIu64, from,
               part == parts - 1 ? UINT64_MAX : from + step - 1);
}

/* Takes away all files but the first so many. */
static void remove_files_from(struct making *making, size_t kept)
{
    lake_remove_files(making->state->lake, making->files + kept, making->file_count - kept);
    making->file_count = kept;
}

static void remove_files(struct making *making)
{
    if (making->file_count) {
        remove_files_from(making, 0);
    }
}

static enum kol_status add_parts(struct making *making, int64_t parts, struct kol_error *err)
{
    const struct lake_table *table = relaxed(making);
    enum kol_status status = KOL_OK;
    if (parts == 1) {
        return add_rows(making, table, making->select.ptr, err);
    }
    for (int64_t part = 0; part < parts && status == KOL_OK; part++) {
        struct buf sql = {0};
        put_part(&sql, making, part, parts);
        status = add_rows(making, table, sql.ptr, err);
        buf_free(&sql);
    }
    return status;
}

/* The rows of the SELECT over what the views show, which are so many rows of bronze at most. How
 * long their texts are is not known ahead: where parts turn out too large, they are halved. */
static enum kol_status add_selected(struct making *making, int64_t rows, struct kol_error *err)
{
    enum { HALVED = 6 };
    const size_t before = making->file_count;
    int64_t parts;
    enum kol_status status = count_parts(making, rows, &parts, err);
    if (status != KOL_OK) {
        return status;
    }
    status = add_parts(making, parts, err);
    for (int i = 0; i < HALVED && status == KOL_NO_MEMORY && making->table->in_parts; i++) {
        remove_files_from(making, before);
        parts *= 2;
        log_info("%s.%s is made in %lld parts: %s", making->table->name_space, making->table->name,
                 (long long)parts, err->message);
        status = add_parts(making, parts, err);
    }
    return status;
}

/* True where the version before came from the same text over inputs of the same columns: what the
 * SELECT gives was looked at then. */
static bool is_same_select(const struct making *making)
{
    const struct ice_snapshot *snapshot = ice_current_snapshot(making->metadata);
    const char *before = snapshot ? ice_summary(snapshot, ETL_INPUTS) : NULL;
    json_t *old = before ? json_loads(before, 0, NULL) : NULL;
    json_t *new = json_loads(making->inputs, 0, NULL);
    bool same = json_equal(json_object_get(old, "text"), json_object_get(new, "text")) &&
                json_equal(json_object_get(old, "schemas"), json_object_get(new, "schemas"));
    json_decref(old);
    json_decref(new);
    return same;
}

/* What the rows said before, for a table that keeps their times. */
static enum kol_status read_rows_before(struct making *making, const struct lake_pin *pin,
                                        struct score_previous *previous, struct kol_error *err)
{
    struct buf columns = {0}, relation = {0};
    enum kol_status status = KOL_OK;
    if (pin->files.rows && score_step_keeps_times(making->table, previous, &columns)) {
        buf_printf(&relation, "%s AS q", previous->relation);
        status = since_read(making->session, columns.ptr, relation.ptr, pin->files.rows,
                            &making->state->since, err);
        previous->read = making->keeps_times = making->state->since != NULL;
    }
    buf_free(&columns);
    buf_free(&relation);
    return status;
}

static enum kol_status put_score_select(struct making *making, struct buf *out,
                                        struct kol_error *err)
{
    struct lake_pin *pin;
    struct buf name = {0};
    struct etl_state *state = making->state;
    buf_printf(&name, "%s.%s", making->table->name_space, making->table->name);
    struct score_previous previous = {name.ptr, is_same_select(making), false};
    enum kol_status status = etl_pin(state, name.ptr, &pin, err);
    if (status == KOL_OK) {
        status = read_rows_before(making, pin, &previous, err);
    }
    if (status == KOL_OK) {
        score_step_select(making->table, making->node->sql, state->options->models,
                          pin->files.rows ? &previous : NULL, state->started_us, out);
    }
    buf_free(&name);
    return status;
}

/* What gives the rows: the SELECT itself, or what the score step makes of it. */
static enum kol_status find_select(struct making *making, struct kol_error *err)
{
    making->select = making->node->sql;
    if (making->table->kind != LAKE_SCORE) {
        return KOL_OK;
    }
    struct buf select = {0}, offsets = {0};
    enum kol_status status = put_score_select(making, &select, err);
    making->select = arena_copy(&making->arena, buf_str(&select));
    if (status == KOL_OK && score_step_asks_a_model(making->table)) {
        status = etl_put_offsets(making->state, &offsets, err);
        making->offsets = arena_copy(&making->arena, buf_str(&offsets)).ptr;
    }
    buf_free(&select);
    buf_free(&offsets);
    return status;
}

/* ---- rows that break a rule ---- */

/* SELECT of the columns of lake.quarantine for all broken rules. */
static void put_quarantine_select(struct buf *sql, const struct making *making, const char *scan,
                                  const struct broken_rule *broken, size_t count)
{
    struct buf name = {0}, found = {0};
    buf_printf(&name, "%s.%s", making->table->name_space, making->table->name);
    clock_format(&found, making->state->started_us);
    for (size_t i = 0; i < count; i++) {
        buf_puts(sql, i ? " UNION ALL SELECT " : "SELECT ");
        engine_quote_text(sql, buf_str(&name));
        buf_puts(sql, " AS table_name, ");
        engine_quote_text(sql, str_of(broken[i].rule->name));
        buf_puts(sql, " AS rule, CAST(to_json(whole) AS VARCHAR) AS \"row\", ");
        engine_quote_text(sql, str_of(making->state->run_id));
        buf_printf(sql,
                   " AS run_id, TIMESTAMPTZ '%s' AS found_at FROM (SELECT staged AS whole, (%s) AS "
                   "bad FROM (%s) AS staged) WHERE bad",
                   found.ptr, broken[i].condition, scan);
    }
    buf_free(&name);
    buf_free(&found);
}

/* True where lake.quarantine holds rows of this table now. */
static bool has_quarantined(const struct lake_pin *pin, const char *name)
{
    for (size_t i = 0; i < pin->files.count; i++) {
        const struct ice_data_file *file = &pin->files.files[i];
        if (file->partition_count == 1 && str_is(file->partition[0].bytes, name)) {
            return true;
        }
    }
    return false;
}

/* Makes `files` all that lake.quarantine says of this table. */
static enum kol_status replace_quarantined(struct making *making, const struct lake_pin *pin,
                                           const char *name, struct ice_data_file *files,
                                           size_t count, struct kol_error *err)
{
    struct ice_value partition = {.known = true, .bytes = str_of(name)};
    const struct ice_data_file replaced = {
        .spec_id = pin->metadata->default_spec_id, .partition = &partition, .partition_count = 1};
    struct ice_change change = {.operation = ICE_REPLACE_PARTITIONS,
                                .files = files,
                                .file_count = count,
                                .replaced = &replaced,
                                .replaced_count = 1};
    struct ice_ident ident = {pin->name_space, pin->name};
    return ice_commit(making->state->lake->catalog, ident, &change, NULL, err);
}

static enum kol_status replace_broken(struct making *making, const char *scan,
                                      const struct broken_rule *broken, size_t count,
                                      struct kol_error *err)
{
    struct etl_state *state = making->state;
    struct lake_pin *pin;
    struct ice_data_file *files = NULL;
    size_t file_count = 0;
    struct buf name = {0}, sql = {0};
    buf_printf(&name, "%s.%s", making->table->name_space, making->table->name);
    const struct lake_table *table = lake_table_find("lake", "quarantine");
    enum kol_status status = etl_pin(state, QUARANTINE, &pin, err);
    if (status == KOL_OK && count) {
        put_quarantine_select(&sql, making, scan, broken, count);
        status = lake_write(state->lake, making->session, table, pin->metadata, sql.ptr,
                            &making->arena, &files, &file_count, err);
    }
    if (status == KOL_OK && (count || has_quarantined(pin, name.ptr))) {
        status = replace_quarantined(making, pin, name.ptr, files, file_count, err);
        if (status == KOL_OK) {
            status = etl_repin(state, table, &pin, err);
        }
    }
    for (size_t i = 0; i < count; i++) {
        making->quarantined += broken[i].rows;
    }
    buf_free(&name);
    buf_free(&sql);
    return status;
}

static enum kol_status quarantine(struct making *making, const char *scan,
                                  const struct broken_rule *broken, size_t count,
                                  struct kol_error *err)
{
    pthread_mutex_lock(&making->state->quarantine);
    enum kol_status status = replace_broken(making, scan, broken, count, err);
    pthread_mutex_unlock(&making->state->quarantine);
    return status;
}

/* Views for the tables that rules of this table refer to. */
static enum kol_status pin_references(struct making *making, const struct lake_rule *rules,
                                      size_t count, struct kol_error *err)
{
    enum kol_status status = KOL_OK;
    for (size_t i = 0; i < count && status == KOL_OK; i++) {
        if (rules[i].kind == RULE_REFERENCE) {
            struct lake_pin *pin;
            const char *dot = strchr(strchr(rules[i].argument, '.') + 1, '.');
            struct str name = {rules[i].argument, (size_t)(dot - rules[i].argument)};
            status = etl_pin(making->state, arena_copy(&making->arena, name).ptr, &pin, err);
        }
    }
    return status;
}

/* Where each row was found once among those of the version before, no two have one key. How many
 * rules are left. */
static size_t drop_settled(const struct making *making, struct lake_rule *rules, size_t count)
{
    int64_t rows = 0;
    size_t left = 0;
    for (size_t i = 0; i < making->file_count; i++) {
        rows += making->files[i].rows;
    }
    const bool once = making->keeps_times && since_all_once(making->state->since, rows);
    for (size_t i = 0; i < count; i++) {
        if (!once || rules[i].kind != RULE_UNIQUE ||
            strcmp(rules[i].columns, making->table->keys)) {
            rules[left++] = rules[i];
        }
    }
    return left;
}

static enum kol_status check_rows(struct making *making, struct kol_error *err)
{
    struct lake_rule *rules;
    struct broken_rule *broken = NULL;
    size_t broken_count = 0;
    struct ice_schema schema;
    struct buf scan = {0}, good = {0};
    size_t count = lake_rules(making->table, &making->arena, &rules);
    count = drop_settled(making, rules, count);
    lake_table_schema_for(making->table, making->metadata, &making->arena, &schema);
    enum kol_status status = pin_references(making, rules, count, err);
    if (status == KOL_OK) {
        status = lake_check(making->session, rules, count, &schema, making->files,
                            making->file_count, &making->arena, &broken, &broken_count, err);
    }
    if (status == KOL_OK) {
        engine_scan_sql(&schema, making->files, making->file_count, &scan);
        status = quarantine(making, scan.ptr, broken, broken_count, err);
    }
    if (status == KOL_OK && broken_count) {
        struct making first = *making;
        lake_put_good(making->table, scan.ptr, broken, broken_count, &good);
        making->files = NULL;
        making->file_count = making->file_cap = 0;
        status = add_rows(making, making->table, good.ptr, err);
        remove_files(&first);
        free(first.files);
    }
    buf_free(&scan);
    buf_free(&good);
    return status;
}

/* ---- the whole ---- */

/* The days of the table that give way, as the format names partitions. */
static struct ice_data_file *replaced_days(struct making *making)
{
    struct ice_data_file *replaced =
        arena_alloc(&making->arena, (making->days.count + 1) * sizeof *replaced);
    struct ice_value *values =
        arena_alloc(&making->arena, (making->days.count + 1) * sizeof *values);
    for (size_t i = 0; i < making->days.count; i++) {
        values[i] = (struct ice_value){.known = true, .integer = making->days.days[i]};
        replaced[i] = (struct ice_data_file){.spec_id = making->metadata->default_spec_id,
                                             .partition = &values[i],
                                             .partition_count = 1};
    }
    return replaced;
}

static enum kol_status commit_table(struct making *making, struct kol_error *err)
{
    struct etl_state *state = making->state;
    const struct ice_pair summary[] = {
        {ETL_INPUTS, making->inputs}, {ETL_RUN_ID, state->run_id}, {ETL_OFFSETS, making->offsets}};
    struct ice_change change = {.operation = ICE_OVERWRITE,
                                .files = making->files,
                                .file_count = making->file_count,
                                .summary = summary,
                                .summary_count = ARRAY_LEN(summary) - !making->offsets};
    if (making->by_days) {
        /* The other days stay as the version says that was looked at. */
        change.operation = ICE_REPLACE_PARTITIONS;
        change.replaced = replaced_days(making);
        change.replaced_count = making->days.count;
        change.base_snapshot = making->metadata->current_snapshot_id;
    }
    struct ice_ident ident = {making->table->name_space, making->table->name};
    FAILPOINT("etl.written");
    enum kol_status status =
        FAILPOINT_FAILS("etl.written")
            ? kol_fail(err, KOL_NO_MEMORY, "the statement needs more memory than it may have")
            : ice_commit(state->lake->catalog, ident, &change, NULL, err);
    FAILPOINT("etl.committed");
    if (status == KOL_OK || status == KOL_UNKNOWN) {
        making->file_count = 0; /* the table's now, or perhaps */
    }
    return status;
}

/* True where the table's files are partitioned by days or months, as its declaration says. */
static enum kol_status check_spec(struct making *making, bool *as_declared, struct kol_error *err)
{
    struct ice_files files;
    const struct ice_partition_spec *spec = ice_default_spec(making->metadata);
    enum kol_status status =
        ice_scan(making->state->lake->catalog, making->metadata, -1, NULL, 0, &files, err);
    if (status != KOL_OK) {
        return status;
    }
    making->days.unit = spec->count == 1 ? spec->fields[0].transform : ICE_VOID;
    *as_declared = making->days.unit == ICE_DAY || making->days.unit == ICE_MONTH;
    for (size_t i = 0; i < files.count && *as_declared; i++) {
        *as_declared = files.files[i].spec_id == spec->spec_id;
    }
    ice_files_free(&files);
    return KOL_OK;
}

/* Whether lake.quarantine holds rows of this table. */
static enum kol_status look_at_quarantine(struct making *making, bool *out, struct kol_error *err)
{
    struct lake_pin *pin;
    struct buf name = {0};
    buf_printf(&name, "%s.%s", making->table->name_space, making->table->name);
    pthread_mutex_lock(&making->state->quarantine);
    enum kol_status status = etl_pin(making->state, QUARANTINE, &pin, err);
    *out = status == KOL_OK && has_quarantined(pin, name.ptr);
    pthread_mutex_unlock(&making->state->quarantine);
    buf_free(&name);
    return status;
}

/* A table with quarantined rows is made whole: which day they belong to is not known. */
static enum kol_status choose_days(struct making *making, struct kol_error *err)
{
    bool as_declared = false, quarantined = false;
    const struct ice_snapshot *snapshot = ice_current_snapshot(making->metadata);
    const char *before = snapshot ? ice_summary(snapshot, ETL_INPUTS) : NULL;
    if (strcmp(making->table->incremental, "day") || !before || making->state->options->full) {
        return KOL_OK;
    }
    enum kol_status status = look_at_quarantine(making, &quarantined, err);
    if (status == KOL_OK) {
        status = check_spec(making, &as_declared, err);
    }
    if (status == KOL_OK && as_declared && !quarantined) {
        status = etl_changed_days(making->state, making->node, before, making->inputs,
                                  &making->days, &making->by_days, err);
    }
    return status;
}

static enum kol_status add_days(struct making *making, const struct etl_days *days, int64_t rows,
                                struct kol_error *err)
{
    struct etl_state *state = making->state;
    pthread_rwlock_wrlock(&state->views);
    enum kol_status status = etl_view_days(state, making->node, days, err);
    if (status == KOL_OK) {
        status = add_selected(making, rows, err);
    }
    struct kol_error after;
    enum kol_status restored = etl_view_all(state, making->node, &after);
    pthread_rwlock_unlock(&state->views);
    return status == KOL_OK && restored != KOL_OK ? kol_fail(err, restored, "%s", after.message)
                                                  : status;
}

static enum kol_status add_all(struct making *making, int64_t rows, struct kol_error *err)
{
    pthread_rwlock_rdlock(&making->state->views);
    enum kol_status status = add_selected(making, rows, err);
    pthread_rwlock_unlock(&making->state->views);
    return status;
}

/* Some days after the others, where a day's rows are made of that day's alone: each file of bronze
 * is read once, which parts by a hash would not do. `cut` is false where days cannot be told. */
static enum kol_status add_stretches(struct making *making, const struct etl_days *wanted,
                                     bool *cut, struct kol_error *err)
{
    struct etl_stretch *stretches;
    size_t count;
    enum kol_status status = etl_cut_days(making->state, making->node, wanted,
                                          keys_that_fit(making), &stretches, &count, err);
    *cut = status == KOL_OK && count;
    for (size_t i = 0; i < count && status == KOL_OK; i++) {
        status = add_days(making, &stretches[i].days, stretches[i].rows, err);
    }
    etl_stretches_free(stretches, count);
    return status;
}

static enum kol_status write_all(struct making *making, struct kol_error *err)
{
    const struct etl_days *days = making->by_days ? &making->days : NULL;
    int64_t rows;
    bool done = false;
    enum kol_status status = etl_count_rows(making->state, making->node, days, &rows, err);
    if (status == KOL_OK && rows > keys_that_fit(making) && making->table->incremental[0]) {
        status = add_stretches(making, days, &done, err);
    }
    if (status == KOL_OK && !done) {
        status = days ? add_days(making, days, rows, err) : add_all(making, rows, err);
    }
    return status;
}

static enum kol_status make_rows(struct making *making, struct kol_error *err)
{
    enum kol_status status = write_all(making, err);
    if (status == KOL_OK) {
        pthread_rwlock_rdlock(&making->state->views); /* rules refer to other tables */
        status = check_rows(making, err);
        pthread_rwlock_unlock(&making->state->views);
    }
    return status;
}

static enum kol_status make(struct making *making, struct kol_error *err)
{
    enum kol_status status = find_select(making, err);
    if (status == KOL_OK && !is_same_select(making)) {
        status = check_names(making, err);
    }
    if (status == KOL_OK) {
        status = choose_days(making, err);
    }
    if (status == KOL_OK) {
        status = make_rows(making, err);
    }
    if (status == KOL_OK && making->by_days && making->quarantined) {
        remove_files(making);
        making->by_days = false;
        making->quarantined = 0;
        status = make_rows(making, err);
    }
    if (status == KOL_OK) {
        status = commit_table(making, err);
    }
    if (making->keeps_times) {
        since_free(&making->state->since);
    }
    if (status != KOL_OK) {
        remove_files(making);
    }
    return status;
}

static void fill_report(const struct making *making, const struct lake_pin *pin,
                        struct etl_table_report *report)
{
    report->rows = pin->files.rows;
    report->bytes = pin->files.bytes;
    report->snapshot_id = pin->snapshot_id;
    report->quarantined = making->quarantined;
}

static enum kol_status declare(struct making *making, struct graph_node *node,
                               struct kol_error *err)
{
    struct etl_state *state = making->state;
    pthread_mutex_lock(&state->lock);
    enum kol_status status = graph_declare(&state->graph, making->session, node, err);
    pthread_mutex_unlock(&state->lock);
    return status;
}

enum kol_status etl_table(struct etl_state *state, struct engine_session *session,
                          struct graph_node *node, struct etl_table_report *report,
                          struct kol_error *err)
{
    int64_t begun = clock_mono_ns();
    struct making making = {.state = state, .session = session, .node = node, .table = node->table};
    struct lake_pin *pin = NULL;
    *report = (struct etl_table_report){
        .name_space = node->table->name_space, .name = node->table->name, .outcome = ETL_SKIPPED};
    arena_init(&making.arena, 0);
    enum kol_status status = describe_inputs(&making, err);
    if (status == KOL_OK) {
        status = declare(&making, node, err);
    }
    if (status == KOL_OK) {
        status = lake_ensure(state->lake, node->table, &making.metadata, err);
    }
    if (status == KOL_OK && (is_forced(&making) || !is_unchanged(&making))) {
        status = make(&making, err);
        report->outcome = making.by_days ? ETL_INCREMENTAL : ETL_WRITTEN;
    }
    if (status == KOL_OK) {
        status = etl_repin(state, node->table, &pin, err);
    }
    if (status == KOL_OK) {
        fill_report(&making, pin, report);
    } else if (status != KOL_INTERRUPTED) {
        kol_wrap(err, "%s", node->origin);
    }
    report->seconds = (double)(clock_mono_ns() - begun) / 1e9;
    ice_metadata_free(&making.metadata);
    etl_days_free(&making.days);
    free(making.files);
    arena_free(&making.arena);
    return status;
}
