/*
 * duckdb_parquet.c: the rows of a SELECT as Parquet files, with what the table format wants to know
 * of them.
 *
 * One COPY a file: it answers with sizes, counts, least and greatest values as text
 * (duckdb_stats.c). A SELECT runs once only. It is not known before how large its rows become, so
 * that it goes into one file first; a file that came out too large is cut by row numbers, which
 * DuckDB finds without reading what stands before them. So the order of the rows stays, whatever
 * the number of threads; DuckDB's own FILE_SIZE_BYTES mixes it.
 */
#include <string.h>
#include <unistd.h>

#include "base/random.h"
#include "engine/duckdb_engine.h"
#include "engine/duckdb_stats.h"

enum {
    GROUP_VALUES = 1 << 21, /* values of one row group, about: what one thread holds in memory */
    GROUP_ROWS_MIN = 16384,
    GROUP_ROWS_MAX = 122880,
    ZSTD_LEVEL = 1, /* an eighth off the CPU of an ingest at the usual 3, files 1 % larger */
    /* Distinct values of a column in a group beyond which no dictionary is tried: reals and names
     * fill the larger one of DuckDB for nothing. Files are hardly larger (0.01 % at the most seen).
     */
    DICTIONARY_VALUES = 4096,
};

/* One call of engine_write_parquet(). */
struct writing {
    struct engine_session *session;
    const struct ice_schema *schema;
    const char *folder;
    struct arena *arena;
    struct ice_data_file *files;
    size_t count, cap;
};

/* ---- types: what may be cast ---- */

static bool is_whole(enum ice_type type)
{
    return type == ICE_INT || type == ICE_LONG;
}

static bool is_number(enum ice_type type)
{
    return is_whole(type) || type == ICE_FLOAT || type == ICE_DOUBLE || type == ICE_DECIMAL;
}

/* True where a cast gives the same value or an error, never another value. */
static bool fits(const struct ice_field *from, const struct ice_field *to)
{
    if (from->type == ICE_DECIMAL && is_whole(to->type)) {
        return from->scale == 0;
    }
    if (from->type == ICE_DECIMAL && to->type == ICE_DECIMAL) {
        return from->scale <= to->scale;
    }
    if (to->type == ICE_DECIMAL) {
        return is_whole(from->type);
    }
    if (to->type == ICE_FLOAT || to->type == ICE_DOUBLE) {
        return is_number(from->type);
    }
    if (is_whole(to->type)) {
        return is_whole(from->type);
    }
    if (from->type != to->type || from->child_count != to->child_count) {
        return false;
    }
    for (size_t i = 0; i < to->child_count; i++) {
        if (!fits(&from->children[i], &to->children[i])) {
            return false;
        }
    }
    return true;
}

/* A bare NULL comes as INTEGER; typeof() knows it. The SELECT is planned for this, not run. */
static enum kol_status is_bare_null(struct engine_session *session, const char *select,
                                    size_t column, size_t count, bool *out, struct kol_error *err)
{
    struct buf sql = {0}, answer = {0};
    buf_printf(&sql, "SELECT typeof(c%d) FROM (SELECT 1) LEFT JOIN (SELECT * FROM (", (int)column);
    buf_puts(&sql, select);
    buf_puts(&sql, "\n) LIMIT 0) AS q(");
    for (size_t i = 0; i < count; i++) {
        buf_printf(&sql, i ? ", c%d" : "c%d", (int)i);
    }
    buf_puts(&sql, ") ON true");
    enum kol_status status = engine_get_text(session, sql.ptr, &answer, err);
    *out = status == KOL_OK && strstr(answer.ptr, "NULL");
    buf_free(&sql);
    buf_free(&answer);
    return status;
}

static enum kol_status check_type(struct writing *writing, const char *select,
                                  const struct ice_field *given, size_t column,
                                  struct kol_error *err)
{
    const struct ice_field *wanted = &writing->schema->fields[column];
    bool null = false;
    enum kol_status status = KOL_OK;
    if (wanted->type == ICE_FIXED) {
        return kol_fail(err, KOL_UNSUPPORTED, "column %s: DuckDB writes no fixed[%d]", wanted->name,
                        (int)wanted->length);
    }
    if (fits(given, wanted)) {
        return KOL_OK;
    }
    /* An empty list, too, is a list of INTEGER where nothing says of what. */
    if (given->type == ICE_INT || given->type == ICE_LIST) {
        status = is_bare_null(writing->session, select, column, writing->schema->count, &null, err);
    }
    if (status == KOL_OK && !null) {
        struct buf have = {0}, want = {0};
        engine_type_name(given, &have);
        engine_type_name(wanted, &want);
        status =
            kol_fail(err, KOL_INVALID,
                     "column %s is declared %s and the SELECT gives %s: write an explicit CAST",
                     wanted->name, want.ptr, have.ptr);
        buf_free(&have);
        buf_free(&want);
    }
    return status;
}

/* Before anything runs: as many columns as declared, of types that become the declared ones without
 * a change of value. */
static enum kol_status check_types(struct writing *writing, const char *select,
                                   struct kol_error *err)
{
    struct engine_session *session = writing->session;
    duckdb_prepared_statement statement = NULL;
    struct arena arena;
    arena_init(&arena, 0);
    enum kol_status status = KOL_OK;
    engine_begin_(session, true);
    if (duckdb_prepare(session->connection, select, &statement) != DuckDBSuccess) {
        status = engine_fail_(session, duckdb_prepare_error(statement), err);
    }
    engine_end_(session);
    size_t count = status == KOL_OK ? duckdb_prepared_statement_column_count(statement) : 0;
    if (status == KOL_OK && count != writing->schema->count) {
        status = kol_fail(err, KOL_INVALID, "the SELECT gives %zu columns, %zu are declared", count,
                          writing->schema->count);
    }
    for (size_t i = 0; i < count && status == KOL_OK; i++) {
        bool exact;
        duckdb_logical_type type = duckdb_prepared_statement_column_logical_type(statement, i);
        struct ice_field given = engine_field_of_(type, &arena, &exact);
        duckdb_destroy_logical_type(&type);
        status = check_type(writing, select, &given, i, err);
    }
    duckdb_destroy_prepare(&statement);
    arena_free(&arena);
    return status;
}

/* ---- SQL ---- */

static const char *new_path(struct writing *writing)
{
    struct buf path = {0};
    buf_printf(&path, "%s/", writing->folder);
    random_put_uuid(&path);
    buf_puts(&path, ".parquet");
    const char *copy = arena_copy(writing->arena, buf_str(&path)).ptr;
    buf_free(&path);
    return copy;
}

static void put_ids(const struct ice_field *field, struct buf *out)
{
    if (field->child_count == 0) {
        buf_printf(out, "%d", (int)field->id);
        return;
    }
    buf_printf(out, "{__duckdb_field_id: %d", (int)field->id);
    static const char *const list[] = {"element"}, *const map[] = {"key", "value"};
    for (size_t i = 0; i < field->child_count; i++) {
        const char *name = field->type == ICE_LIST  ? list[0]
                           : field->type == ICE_MAP ? map[i]
                                                    : field->children[i].name;
        buf_puts(out, ", ");
        engine_quote_name(out, str_of(name));
        buf_puts(out, ": ");
        put_ids(&field->children[i], out);
    }
    buf_putc(out, '}');
}

static int64_t group_rows(const struct ice_schema *schema)
{
    int64_t rows = GROUP_VALUES / (int64_t)schema->count / 2048 * 2048;
    return rows < GROUP_ROWS_MIN ? GROUP_ROWS_MIN : rows > GROUP_ROWS_MAX ? GROUP_ROWS_MAX : rows;
}

static void put_copy(const struct writing *writing, const char *select, const char *path,
                     struct buf *sql)
{
    const struct ice_schema *schema = writing->schema;
    buf_puts(sql, "COPY (SELECT ");
    for (size_t i = 0; i < schema->count; i++) {
        buf_printf(sql, i ? ", CAST(c%d AS " : "CAST(c%d AS ", (int)i);
        engine_type_name(&schema->fields[i], sql);
        buf_puts(sql, ") AS ");
        engine_quote_name(sql, str_of(schema->fields[i].name));
    }
    buf_printf(sql, " FROM (%s\n) AS q(", select);
    for (size_t i = 0; i < schema->count; i++) {
        buf_printf(sql, i ? ", c%d" : "c%d", (int)i);
    }
    buf_puts(sql, ")) TO ");
    engine_quote_text(sql, str_of(path));
    buf_printf(sql,
               " (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL %d, ROW_GROUP_SIZE %d, "
               "DICTIONARY_SIZE_LIMIT %d, WRITE_EMPTY_FILE false, USE_TMP_FILE false, "
               "RETURN_STATS, KV_METADATA {'engine.schema': '",
               ZSTD_LEVEL, (int)group_rows(schema), DICTIONARY_VALUES);
    engine_schema_mark_(schema, sql);
    buf_puts(sql, "'}, FIELD_IDS {");
    for (size_t i = 0; i < schema->count; i++) {
        buf_puts(sql, i ? ", " : "");
        engine_quote_name(sql, str_of(schema->fields[i].name));
        buf_puts(sql, ": ");
        put_ids(&schema->fields[i], sql);
    }
    buf_puts(sql, "})");
}

/* ---- files ---- */

static struct ice_data_file *add_file(struct writing *writing)
{
    if (writing->count == writing->cap) {
        size_t cap = writing->cap ? writing->cap * 2 : 4;
        struct ice_data_file *more = arena_alloc(writing->arena, cap * sizeof *more);
        if (writing->count) {
            memcpy(more, writing->files, writing->count * sizeof *more);
        }
        writing->files = more;
        writing->cap = cap;
    }
    return memset(&writing->files[writing->count++], 0, sizeof *writing->files);
}

/* Columns may be required: DuckDB's files allow nulls everywhere, so it is looked at here. */
static enum kol_status check_required(const struct ice_schema *schema,
                                      const struct ice_data_file *file, struct kol_error *err)
{
    for (size_t i = 0; i < schema->count; i++) {
        const struct ice_field *field = &schema->fields[i];
        for (size_t j = 0; j < file->column_count && field->required; j++) {
            if (file->columns[j].field_id == field->id && file->columns[j].nulls > 0) {
                return kol_fail(err, KOL_INVALID, "column %s is required and %lld rows lack it",
                                field->name, (long long)file->columns[j].nulls);
            }
        }
    }
    return KOL_OK;
}

/* Writes one file. `*file` is filled but for what stats_finish() adds; its `rows` are 0 where the
 * SELECT gave none (and no file is). */
static enum kol_status write_file(struct writing *writing, const char *select,
                                  struct ice_data_file *file, struct kol_error *err)
{
    struct buf sql = {0};
    memset(file, 0, sizeof *file);
    file->path = new_path(writing);
    put_copy(writing, select, file->path, &sql);
    enum kol_status status =
        stats_copy(writing->session, sql.ptr, writing->schema, writing->arena, file, err);
    if (status == KOL_OK) {
        status = check_required(writing->schema, file, err);
    }
    if (status != KOL_OK) {
        unlink(file->path); /* it may not be there */
    }
    buf_free(&sql);
    return status;
}

/* Takes a written file among those to return. */
static enum kol_status keep_file(struct writing *writing, struct ice_data_file *file,
                                 struct kol_error *err)
{
    enum kol_status status = KOL_OK;
    if (file->rows) {
        *add_file(writing) = *file;
        status = stats_finish(writing->session, writing->schema, writing->arena,
                              &writing->files[writing->count - 1], err);
    }
    return status;
}

/* Cuts a file that is too large into several of about `target`, and removes it. */
static enum kol_status split_file(struct writing *writing, const struct ice_data_file *large,
                                  int64_t target, struct kol_error *err)
{
    int64_t step = group_rows(writing->schema);
    int64_t pieces = (large->bytes + target - 1) / target;
    int64_t rows = (large->rows / pieces + step - 1) / step * step;
    enum kol_status status = KOL_OK;
    for (int64_t from = 0; from < large->rows && status == KOL_OK; from += rows) {
        struct buf sql = {0};
        struct ice_data_file piece;
        buf_puts(&sql, "SELECT * EXCLUDE (file_row_number) FROM read_parquet(");
        engine_quote_path_(&sql, str_of(large->path));
        buf_printf(&sql,
                   ", hive_partitioning = false, file_row_number = true) "
                   "WHERE file_row_number BETWEEN %lld AND %lld",
                   (long long)from, (long long)(from + rows - 1));
        status = write_file(writing, sql.ptr, &piece, err);
        if (status == KOL_OK) {
            status = keep_file(writing, &piece, err);
        }
        buf_free(&sql);
    }
    unlink(large->path);
    return status;
}

enum kol_status engine_write_parquet(struct engine_session *session, const char *select,
                                     const struct ice_schema *schema, const char *folder,
                                     int64_t target_bytes, struct arena *arena,
                                     struct ice_data_file **files, size_t *count,
                                     struct kol_error *err)
{
    struct writing writing = {
        .session = session, .schema = schema, .folder = folder, .arena = arena};
    struct ice_data_file first;
    *files = NULL;
    *count = 0;
    enum kol_status status = check_types(&writing, select, err);
    if (status == KOL_OK) {
        status = write_file(&writing, select, &first, err);
    }
    if (status == KOL_OK) {
        bool large = target_bytes > 0 && first.bytes > target_bytes + target_bytes / 2 &&
                     first.rows > group_rows(schema);
        status = large ? split_file(&writing, &first, target_bytes, err)
                       : keep_file(&writing, &first, err);
    }
    for (size_t i = 0; i < writing.count && status != KOL_OK; i++) {
        unlink(writing.files[i].path);
    }
    if (status == KOL_OK) {
        *files = writing.files;
        *count = writing.count;
    }
    return status;
}
