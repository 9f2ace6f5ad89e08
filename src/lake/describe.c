/*
 * describe.c: a declared table as a section of docs/lake.md: meaning, columns, rules, SQL.
 */
#include <string.h>

#include "base/embedded.h"
#include "lake/report.h"
#include "lake/rules.h"

extern const struct embedded_file embedded_sql[];
extern const size_t embedded_sql_count;

static const char *const kinds[] = {
    [LAKE_BRONZE] = "by `kol ingest`, from the topic of these events",
    [LAKE_SQL] = "by `kol etl`, from the SELECT below",
    [LAKE_SCORE] =
        ("by the score step of `kol etl`: the SELECT below gives the inputs, the scorers of "
         "docs/scores.md the rest"),
    [LAKE_SYSTEM] = "by `kol etl` itself",
};

static void put_cell(struct buf *out, const char *text)
{
    for (; text && *text; text++) {
        buf_puts(out, *text == '|' ? "\\" : "");
        buf_putc(out, *text);
    }
}

static void put_columns(struct buf *out, const struct lake_table *table)
{
    buf_puts(out, "| column | type | unit | meaning |\n|---|---|---|---|\n");
    for (size_t i = 0; i < table->column_count; i++) {
        const struct lake_column *column = &table->columns[i];
        buf_printf(out, "| `%s`%s | %s | ", column->name, column->required ? "" : " ?",
                   column->type);
        put_cell(out, column->unit);
        buf_puts(out, " | ");
        put_cell(out, column->doc);
        buf_puts(out, " |\n");
    }
    buf_putc(out, '\n');
}

static void put_rules(struct buf *out, const struct lake_table *table)
{
    struct arena arena;
    struct lake_rule *rules;
    bool any = false;
    arena_init(&arena, 0);
    size_t count = lake_rules(table, &arena, &rules);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(rules[i].name, "required") && strcmp(rules[i].name, "key")) {
            buf_puts(out, any ? "" : "Rows that break one of these go to `lake.quarantine`:\n\n");
            buf_printf(out, "- `%s`: %s.\n", rules[i].name, rules[i].doc);
            any = true;
        }
    }
    buf_puts(out, any ? "\n" : "");
    arena_free(&arena);
}

static void put_sql(struct buf *out, const struct lake_table *table)
{
    struct buf name = {0};
    buf_printf(&name, "%s/%s", table->name_space, table->name);
    for (size_t i = 0; i < embedded_sql_count; i++) {
        if (strcmp(embedded_sql[i].name, name.ptr) == 0) {
            buf_printf(out,
                       "<details><summary>sql/%s.sql</summary>\n\n```sql\n%s```\n\n</details>\n\n",
                       name.ptr, (const char *)embedded_sql[i].bytes);
        }
    }
    buf_free(&name);
}

void lake_describe(struct buf *out, const struct lake_table *table)
{
    buf_printf(out, "### %s.%s\n\n%s. Written %s.", table->name_space, table->name, table->doc,
               kinds[table->kind]);
    if (table->keys[0]) {
        buf_printf(out, " Key: `%s`.", table->keys);
    }
    if (table->partition[0]) {
        buf_printf(out, " Partitioned by `%s`.", table->partition);
    }
    buf_puts(out, "\n\n");
    put_columns(out, table);
    put_rules(out, table);
    put_sql(out, table);
}
