/*
 * duckdb_guard.c: which tables a SELECT reads, and whether a stranger's SELECT may run.
 *
 * Two walls. The first looks at the parsed text and lets through one SELECT over named tables. The
 * second is DuckDB's own: files other than the named ones cannot be opened, settings cannot be
 * changed. What slips through one stands before the other.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "engine/duckdb_ast.h"
#include "engine/duckdb_engine.h"

/* ---- which tables ---- */

struct names {
    struct arena *arena;
    const char **items;
    size_t count, cap;
};

static enum kol_status add_table(const char *catalog, const char *schema, const char *name,
                                 void *user, struct kol_error *err)
{
    (void)err;
    struct names *names = user;
    struct buf full = {0};
    buf_printf(&full, "%s%s%s%s%s", catalog, *catalog ? "." : "", schema, *schema ? "." : "", name);
    if (names->count == names->cap) {
        names->cap = names->cap ? names->cap * 2 : 16;
        names->items = mem_realloc(names->items, names->cap * sizeof *names->items);
    }
    names->items[names->count++] = arena_copy(names->arena, buf_str(&full)).ptr;
    buf_free(&full);
    return KOL_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorted, each once, in the arena. */
static void take_names(struct names *names, const char ***out, size_t *count)
{
    qsort(names->items, names->count, sizeof *names->items, by_name);
    *out = arena_alloc(names->arena, (names->count + 1) * sizeof **out);
    *count = 0;
    for (size_t i = 0; i < names->count; i++) {
        if (i == 0 || strcmp(names->items[i], names->items[i - 1]) != 0) {
            (*out)[(*count)++] = names->items[i];
        }
    }
}

enum kol_status engine_tables_of(struct engine_session *session, const char *select,
                                 struct arena *arena, const char ***out, size_t *count,
                                 struct kol_error *err)
{
    struct names names = {.arena = arena};
    struct ast_visitor visitor = {.table = add_table, .user = &names};
    json_t *statements;
    enum kol_status status = ast_parse(session, select, &statements, err);
    if (status == KOL_OK) {
        status = ast_walk(statements, &visitor, err);
    }
    if (status == KOL_OK) {
        names.items = mem_realloc(names.items, (names.count + 1) * sizeof *names.items);
        take_names(&names, out, count);
    }
    json_decref(statements);
    free(names.items);
    return status;
}

/* ---- what a stranger may ask ---- */

static bool is_one_of(const char *name, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcasecmp(name, list[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool starts_with_one(const char *name, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strncasecmp(name, list[i], strlen(list[i])) == 0) {
            return true;
        }
    }
    return false;
}

static bool ends_in(const char *name, const char *end)
{
    size_t len = strlen(name), tail = strlen(end);
    return len >= tail && strcasecmp(name + len - tail, end) == 0;
}

/* DuckDB reads a name that is no table as a file: by its ending, also where the dot before it parts
 * schema and table. */
static bool is_file_name(const char *full)
{
    static const char *const ends[] = {
        ".parquet", ".csv",    ".tsv", ".json", ".jsonl", ".ndjson", ".gz",      ".zst",
        ".txt",     ".duckdb", ".db",  ".xlsx", ".arrow", ".avro",   ".feather", ".ipc"};
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        if (ends_in(full, ends[i])) {
            return true;
        }
    }
    return strpbrk(full, "/\\:*?[]{}~$%") != NULL;
}

static enum kol_status refuse_table(const char *catalog, const char *schema, const char *name,
                                    void *user, struct kol_error *err)
{
    static const char *const schemas[] = {"information_schema", "pg_catalog", "system", "temp"};
    static const char *const starts[] = {"duckdb_", "pragma_", "sqlite_", "pg_"};
    char full[512];
    (void)user;
    snprintf(full, sizeof full, "%s%s%s", schema, *schema ? "." : "", name);
    if (*catalog) {
        return kol_fail(err, KOL_INVALID, "%s.%.200s: a table is named by namespace and name",
                        catalog, full);
    }
    if (strlen(schema) + strlen(name) > 400 || is_file_name(full)) {
        return kol_fail(err, KOL_INVALID, "%.200s is a file; only tables can be read", full);
    }
    if (is_one_of(schema, schemas, ARRAY_LEN(schemas)) ||
        starts_with_one(name, starts, ARRAY_LEN(starts))) {
        return kol_fail(err, KOL_INVALID, "%.200s is a table of the engine itself", full);
    }
    return KOL_OK;
}

static enum kol_status refuse_function(const char *name, bool gives_table, void *user,
                                       struct kol_error *err)
{
    static const char *const tables[] = {"unnest", "range", "generate_series", "json_each",
                                         "json_tree"};
    /* What tells of files, settings, the environment or other sessions, what runs SQL out of a
     * text, and what changes or holds up the engine. */
    static const char *const starts[] = {
        "read_",         "parquet_",   "sniff_",    "duckdb_",    "pragma_",    "pg_",  "sqlite_",
        "inet_",         "__internal", "json_exec", "json_seri",  "json_dese",  "has_", "from_subs",
        "get_substrait", "which_",     "current_q", "current_co", "current_tr",
    };
    static const char *const words[] = {
        "glob",        "getenv",         "current_setting", "getvariable",  "query",
        "query_table", "nextval",        "currval",         "write_log",    "sleep_ms",
        "setseed",     "stats",          "set_config",      "txid_current", "vector_type",
        "version",     "in_search_path",
    };
    (void)user;
    if (gives_table ? !is_one_of(name, tables, ARRAY_LEN(tables))
                    : starts_with_one(name, starts, ARRAY_LEN(starts)) ||
                          is_one_of(name, words, ARRAY_LEN(words))) {
        return kol_fail(err, KOL_INVALID, "%.100s() is not allowed here", name);
    }
    return KOL_OK;
}

static enum kol_status refuse_other(const char *type, void *user, struct kol_error *err)
{
    (void)type;
    (void)user;
    return kol_fail(err, KOL_INVALID, "only SELECT is allowed");
}

/* One statement, and that a SELECT: what DuckDB's own parser makes of the whole text. */
static enum kol_status check_statement(struct engine_session *session, const char *sql,
                                       struct kol_error *err)
{
    duckdb_extracted_statements statements = NULL;
    idx_t count = duckdb_extract_statements(session->connection, sql, &statements);
    enum kol_status status = KOL_OK;
    if (count == 0) {
        const char *reason = duckdb_extract_statements_error(statements);
        status = reason && *reason ? engine_fail_(session, reason, err)
                                   : kol_fail(err, KOL_INVALID, "there is no SQL");
    } else if (count > 1) {
        status =
            kol_fail(err, KOL_INVALID, "one SELECT at a time; these are %d statements", (int)count);
    }
    duckdb_destroy_extracted(&statements);
    return status;
}

enum kol_status engine_check_user_select(struct engine_session *session, const char *sql,
                                         struct kol_error *err)
{
    struct ast_visitor visitor = {
        .table = refuse_table, .function = refuse_function, .other = refuse_other};
    json_t *statements = NULL;
    enum kol_status status = check_statement(session, sql, err);
    if (status == KOL_OK) {
        status = ast_parse(session, sql, &statements, err);
    }
    if (status == KOL_OK && json_array_size(statements) != 1) {
        status = kol_fail(err, KOL_INVALID, "one SELECT at a time");
    }
    if (status == KOL_OK) {
        status = ast_walk(statements, &visitor, err);
    }
    json_decref(statements);
    return status;
}

enum kol_status engine_lock(struct engine *engine, const struct ice_data_file *files, size_t count,
                            struct kol_error *err)
{
    struct engine_session *session;
    enum kol_status status = engine_session_open(engine, &session, err);
    if (status != KOL_OK) {
        return status;
    }
    struct buf sql = {0};
    buf_puts(&sql, "SET GLOBAL allowed_paths = [");
    for (size_t i = 0; i < count; i++) {
        buf_puts(&sql, i ? ", " : "");
        engine_quote_text(&sql, str_of(files[i].path));
        if (strpbrk(files[i].path, "*?[")) { /* asked for as a pattern, opened by its name */
            buf_puts(&sql, ", ");
            engine_quote_path_(&sql, str_of(files[i].path));
        }
    }
    buf_puts(&sql, "]; SET GLOBAL enable_external_access = false; "
                   "SET GLOBAL lock_configuration = true");
    status = engine_exec(session, sql.ptr, err);
    buf_free(&sql);
    engine_session_close(&session);
    return status;
}
