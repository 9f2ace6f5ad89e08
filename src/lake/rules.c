/*
 * rules.c: rules of data quality, and which rows break them.
 *
 * Most tables break none, so the common path is cheap: null counts and bounds of the written files
 * settle NOT_NULL and RANGE without reading a row; only UNIQUE, REFERENCE and what the statistics
 * leave open are asked in SQL.
 */
#include "lake/rules.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "lake/unique.h"

static const struct lake_rule declared_rules[] = {
#define RULE(space, of, rule_name, KIND, of_columns, with, text)                                   \
    {#space, #of, rule_name, RULE_##KIND, of_columns, with, text},
#include "sql/rules.def"
#undef RULE
};

size_t lake_rules(const struct lake_table *table, struct arena *arena, struct lake_rule **out)
{
    size_t count = 0;
    struct lake_rule *rules =
        arena_alloc(arena, (table->column_count + 1 + ARRAY_LEN(declared_rules)) * sizeof *rules);
    for (size_t i = 0; i < table->column_count; i++) {
        if (table->columns[i].required) {
            rules[count++] = (struct lake_rule){table->name_space,
                                                table->name,
                                                "required",
                                                RULE_NOT_NULL,
                                                table->columns[i].name,
                                                "",
                                                "A required column is known"};
        }
    }
    if (table->keys[0]) {
        rules[count++] = (struct lake_rule){
            table->name_space,      table->name, "key", RULE_UNIQUE, table->keys, "",
            "The key names one row"};
    }
    for (size_t i = 0; i < ARRAY_LEN(declared_rules); i++) {
        const struct lake_rule *rule = &declared_rules[i];
        if (!strcmp(rule->name_space, table->name_space) && !strcmp(rule->table, table->name)) {
            rules[count++] = *rule;
        }
    }
    *out = rules;
    return count;
}

/* ---- by statistics ---- */

static const struct ice_column_stats *stats_of(const struct ice_data_file *file, int32_t field_id)
{
    for (size_t i = 0; i < file->column_count; i++) {
        if (file->columns[i].field_id == field_id) {
            return &file->columns[i];
        }
    }
    return NULL;
}

static bool no_nulls(const struct ice_schema *schema, const char *columns,
                     const struct ice_data_file *files, size_t count)
{
    struct str rest = str_of(columns);
    while (rest.len) {
        struct str name = str_cut(&rest, ' ');
        for (size_t i = 0; i < schema->count; i++) {
            for (size_t file = 0; file < count && str_is(name, schema->fields[i].name); file++) {
                const struct ice_column_stats *stats = stats_of(&files[file], schema->fields[i].id);
                if (!stats || stats->nulls != 0) {
                    return false;
                }
            }
        }
    }
    return true;
}

/* "0..100" as two numbers; an end that is not given is infinite. */
static void range_of(const char *argument, double *least, double *most)
{
    const char *dots = strstr(argument, "..");
    KOL_ASSERT(dots);
    *least = dots == argument ? -__builtin_inf() : strtod(argument, NULL);
    *most = dots[2] ? strtod(dots + 2, NULL) : __builtin_inf();
}

static bool bound_within(const struct ice_field *field, struct str bytes, double least, double most)
{
    struct ice_value value;
    struct kol_error ignored;
    if (ice_value_read(bytes, field, &value, &ignored) != KOL_OK) {
        return false;
    }
    double number;
    switch (field->type) {
    case ICE_INT:
    case ICE_LONG: number = (double)value.integer; break;
    case ICE_FLOAT:
    case ICE_DOUBLE: number = value.real; break;
    default: return false;
    }
    return number >= least && number <= most;
}

/* True where bounds prove that all values lie within; all null is within, too. */
static bool in_range(const struct ice_schema *schema, const struct lake_rule *rule,
                     const struct ice_data_file *files, size_t count)
{
    double least, most;
    const struct ice_field *field = ice_field_by_name(schema, rule->columns);
    range_of(rule->argument, &least, &most);
    for (size_t i = 0; i < count && field; i++) {
        const struct ice_column_stats *stats = stats_of(&files[i], field->id);
        if (stats && stats->values == stats->nulls && stats->values >= 0) {
            continue;
        }
        if (!stats || !stats->has_bounds || stats->nans > 0 ||
            !bound_within(field, stats->lower, least, most) ||
            !bound_within(field, stats->upper, least, most)) {
            return false;
        }
    }
    return field != NULL;
}

/* ---- by SQL ---- */

static void put_columns(struct buf *out, const char *columns, const char *prefix,
                        const char *between)
{
    struct str rest = str_of(columns);
    bool first = true;
    while (rest.len) {
        buf_puts(out, first ? "" : between);
        buf_puts(out, prefix);
        engine_quote_name(out, str_cut(&rest, ' '));
        first = false;
    }
}

static void put_not_null(struct buf *out, const char *columns)
{
    struct str rest = str_of(columns);
    const char *between = "";
    while (rest.len) {
        buf_puts(out, between);
        engine_quote_name(out, str_cut(&rest, ' '));
        buf_puts(out, " IS NULL");
        between = " OR ";
    }
}

/* NaN lies in no range. */
static void put_range(struct buf *out, const struct lake_rule *rule)
{
    double least, most;
    struct buf column = {0};
    range_of(rule->argument, &least, &most);
    engine_quote_name(&column, str_of(rule->columns));
    buf_printf(out, "isnan(CAST(%s AS DOUBLE))", column.ptr);
    if (least > -__builtin_inf()) {
        buf_printf(out, " OR %s < ", column.ptr);
        buf_put_double(out, least);
    }
    if (most < __builtin_inf()) {
        buf_printf(out, " OR %s > ", column.ptr);
        buf_put_double(out, most);
    }
    buf_free(&column);
}

/* Of rows with one key all but the first in the order of the whole row. */
static void put_unique(struct buf *out, const char *columns)
{
    buf_puts(out, "row_number() OVER (PARTITION BY ");
    put_columns(out, columns, "", ", ");
    buf_puts(out, " ORDER BY staged) > 1");
}

/* "silver.kol_profiles.platform silver.kol_profiles.kol_id": the columns answer those of the rule,
 * in order. A row with a null among them refers to nothing. */
static void put_reference(struct buf *out, const struct lake_rule *rule)
{
    struct str columns = str_of(rule->columns), targets = str_of(rule->argument);
    const char *last_dot = strchr(strchr(rule->argument, '.') + 1, '.');
    struct str table = {rule->argument, (size_t)(last_dot - rule->argument)};
    buf_puts(out, "NOT EXISTS (SELECT 1 FROM ");
    buf_put(out, table);
    buf_puts(out, " AS target WHERE ");
    const char *between = "";
    while (columns.len) {
        struct str column = str_cut(&columns, ' '), target = str_cut(&targets, ' ');
        buf_printf(out, "%starget.", between);
        engine_quote_name(out,
                          (struct str){target.ptr + table.len + 1, target.len - table.len - 1});
        buf_puts(out, " = staged.");
        engine_quote_name(out, column);
        between = " AND ";
    }
    buf_puts(out, ")");
    columns = str_of(rule->columns);
    while (columns.len) {
        buf_puts(out, " AND staged.");
        engine_quote_name(out, str_cut(&columns, ' '));
        buf_puts(out, " IS NOT NULL");
    }
}

static void put_condition(struct buf *out, const struct lake_rule *rule)
{
    switch (rule->kind) {
    case RULE_NOT_NULL: put_not_null(out, rule->columns); break;
    case RULE_RANGE: put_range(out, rule); break;
    case RULE_UNIQUE: put_unique(out, rule->columns); break;
    case RULE_REFERENCE: put_reference(out, rule); break;
    }
}

/* How many rows break the rule. Duplicates are counted by groups, which needs no sort. */
static enum kol_status count_broken(struct engine_session *session, const struct lake_rule *rule,
                                    const char *condition, const char *scan, int64_t *rows,
                                    struct kol_error *err)
{
    struct buf sql = {0};
    if (rule->kind == RULE_UNIQUE) {
        buf_puts(&sql, "SELECT CAST(coalesce(sum(n - 1), 0) AS BIGINT) FROM (SELECT count(*) AS n "
                       "FROM (");
        buf_printf(&sql, "%s) AS staged GROUP BY ", scan);
        put_columns(&sql, rule->columns, "", ", ");
        buf_puts(&sql, " HAVING count(*) > 1)");
    } else {
        buf_printf(&sql, "SELECT count(*) FROM (%s) AS staged WHERE %s", scan, condition);
    }
    enum kol_status status = engine_get_int(session, sql.ptr, rows, err);
    buf_free(&sql);
    if (status != KOL_OK) {
        kol_wrap(err, "rule %s of %s.%s", rule->name, rule->name_space, rule->table);
    }
    return status;
}

static bool settled(const struct lake_rule *rule, const struct ice_schema *schema,
                    const struct ice_data_file *files, size_t count)
{
    return !count ||
           (rule->kind == RULE_NOT_NULL && no_nulls(schema, rule->columns, files, count)) ||
           (rule->kind == RULE_RANGE && in_range(schema, rule, files, count));
}

static int64_t rows_of(const struct ice_data_file *files, size_t count)
{
    int64_t rows = 0;
    for (size_t i = 0; i < count; i++) {
        rows += files[i].rows;
    }
    return rows;
}

/* How many rows of the files break a rule; its condition is in `condition`. */
static enum kol_status look(struct engine_session *session, const struct lake_rule *rule,
                            const char *scan, int64_t all, struct buf *condition, int64_t *rows,
                            struct kol_error *err)
{
    bool unique = false;
    enum kol_status status = KOL_OK;
    *rows = 0;
    buf_clear(condition);
    if (rule->kind == RULE_UNIQUE) {
        put_columns(condition, rule->columns, "", ", ");
        status = lake_is_unique(session, condition->ptr, scan, all, &unique, err);
        buf_clear(condition);
    }
    if (status == KOL_OK && !unique) {
        put_condition(condition, rule);
        status = count_broken(session, rule, condition->ptr, scan, rows, err);
    }
    return status;
}

enum kol_status lake_check(struct engine_session *session, const struct lake_rule *rules,
                           size_t count, const struct ice_schema *schema,
                           const struct ice_data_file *files, size_t file_count,
                           struct arena *arena, struct broken_rule **broken, size_t *broken_count,
                           struct kol_error *err)
{
    enum kol_status status = KOL_OK;
    struct buf scan = {0}, condition = {0};
    *broken_count = 0;
    *broken = arena_alloc(arena, (count + 1) * sizeof **broken);
    engine_scan_sql(schema, files, file_count, &scan);
    for (size_t i = 0; i < count && status == KOL_OK; i++) {
        int64_t rows = 0;
        if (settled(&rules[i], schema, files, file_count)) {
            continue;
        }
        status =
            look(session, &rules[i], scan.ptr, rows_of(files, file_count), &condition, &rows, err);
        if (status == KOL_OK && rows) {
            (*broken)[(*broken_count)++] =
                (struct broken_rule){&rules[i], arena_copy(arena, buf_str(&condition)).ptr, rows};
        }
    }
    buf_free(&scan);
    buf_free(&condition);
    return status;
}

void lake_put_good(const struct lake_table *table, const char *scan,
                   const struct broken_rule *broken, size_t count, struct buf *sql)
{
    buf_puts(sql, "SELECT ");
    for (size_t i = 0; i < table->column_count; i++) {
        buf_puts(sql, i ? ", " : "");
        engine_quote_name(sql, str_of(table->columns[i].name));
    }
    buf_puts(sql, " FROM (SELECT staged.*");
    for (size_t i = 0; i < count; i++) {
        buf_printf(sql, ", (%s) AS kol_bad_%zu", broken[i].condition, i);
    }
    buf_printf(sql, " FROM (%s) AS staged) WHERE true", scan);
    for (size_t i = 0; i < count; i++) {
        buf_printf(sql, " AND kol_bad_%zu IS NOT TRUE", i);
    }
}
