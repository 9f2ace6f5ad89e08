/*
 * duckdb_result.c: the rows of a SELECT, chunk by chunk, and their cells.
 *
 * Rows are streamed: DuckDB works ahead by a bounded buffer and waits for the reader. A session
 * fetches one result at a time: a further statement ends the one before it.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/signals.h"
#include "engine/duckdb_engine.h"

struct column {
    const char *name;
    struct ice_field field;
    bool exact;
    duckdb_logical_type logical;
    duckdb_type type;
    int scale;
    duckdb_type inner; /* of a DECIMAL: how it is stored */
    /* of the current chunk */
    duckdb_vector vector;
    const void *data;
    uint64_t *validity; /* NULL: nothing is null */
};

struct engine_result {
    struct engine_session *session;
    duckdb_prepared_statement statement;
    duckdb_result result;
    duckdb_data_chunk chunk;
    struct column *columns;
    size_t count;
    struct arena arena;
    bool *odd; /* columns that were turned into text; NULL: none */
    bool ended, failed;
};

/* ---- starting ---- */

static enum kol_status prepare(struct engine_session *session, const char *sql,
                               duckdb_prepared_statement *out, struct kol_error *err)
{
    if (duckdb_prepare(session->connection, sql, out) == DuckDBSuccess) {
        return KOL_OK;
    }
    enum kol_status status = engine_fail_(session, duckdb_prepare_error(*out), err);
    duckdb_destroy_prepare(out);
    return status;
}

/* Which columns of the SELECT must be turned into text; NULL where none must. */
static bool *odd_columns(duckdb_prepared_statement statement, struct arena *arena)
{
    if (duckdb_prepared_statement_type(statement) != DUCKDB_STATEMENT_TYPE_SELECT) {
        return NULL;
    }
    bool any = false;
    idx_t count = duckdb_prepared_statement_column_count(statement);
    bool *odd = arena_alloc(arena, count + 1);
    for (idx_t i = 0; i < count; i++) {
        duckdb_logical_type type = duckdb_prepared_statement_column_logical_type(statement, i);
        odd[i] = engine_is_odd_(type);
        any = any || odd[i];
        duckdb_destroy_logical_type(&type);
    }
    return any ? odd : NULL;
}

/* The same SELECT with its odd columns as text. Columns are named by position: names may repeat. */
static void wrap_odd(duckdb_prepared_statement statement, const bool *odd, struct str inner,
                     struct buf *out)
{
    struct buf names = {0};
    idx_t count = duckdb_prepared_statement_column_count(statement);
    buf_puts(out, "SELECT ");
    for (idx_t i = 0; i < count; i++) {
        const char *name = duckdb_prepared_statement_column_name(statement, i);
        buf_puts(out, i ? ", " : "");
        buf_printf(out, odd[i] ? "CAST(c%d AS VARCHAR) AS " : "c%d AS ", (int)i);
        engine_quote_name(out, str_of(name));
        buf_printf(&names, "%sc%d", i ? ", " : "", (int)i);
        duckdb_free((void *)name);
    }
    buf_puts(out, " FROM (");
    buf_put(out, inner);
    buf_printf(out, "\n) AS q(%s)", names.ptr);
    buf_free(&names);
}

/* Leaves out the last semicolon and what follows it, spaces or a comment; false where there is
 * none. A cut within a text or comment leaves what cannot be parsed, which the caller notices. */
static bool cut_semicolon(struct str *sql)
{
    const char *last = sql->len ? memrchr(sql->ptr, ';', sql->len) : NULL;
    sql->len = last ? (size_t)(last - sql->ptr) : sql->len;
    return last != NULL;
}

static enum kol_status prepare_readable(struct engine_result *result, const char *sql,
                                        struct kol_error *err)
{
    enum kol_status status = prepare(result->session, sql, &result->statement, err);
    if (status != KOL_OK) {
        return status;
    }
    result->odd = odd_columns(result->statement, &result->arena);
    if (result->odd) {
        struct buf wrapped = {0};
        struct str inner = str_of(sql);
        duckdb_prepared_statement plain = result->statement;
        do {
            buf_clear(&wrapped);
            wrap_odd(plain, result->odd, inner, &wrapped);
            status = prepare(result->session, wrapped.ptr, &result->statement, err);
        } while (status == KOL_INVALID && cut_semicolon(&inner));
        duckdb_destroy_prepare(&plain);
        buf_free(&wrapped);
    }
    return status;
}

static enum kol_status start(struct engine_result *result, struct kol_error *err)
{
    duckdb_pending_result pending = NULL;
    enum kol_status status = KOL_OK;
    if (duckdb_pending_prepared_streaming(result->statement, &pending) != DuckDBSuccess) {
        status = engine_fail_(result->session, duckdb_pending_error(pending), err);
    } else if (duckdb_execute_pending(pending, &result->result) != DuckDBSuccess) {
        status = engine_fail_(result->session, duckdb_result_error(&result->result), err);
    }
    duckdb_destroy_pending(&pending);
    return status;
}

static void describe(struct engine_result *result)
{
    result->count = duckdb_column_count(&result->result);
    result->columns = mem_zalloc(result->count ? result->count : 1, sizeof *result->columns);
    for (size_t i = 0; i < result->count; i++) {
        struct column *column = &result->columns[i];
        column->name = duckdb_column_name(&result->result, i);
        column->logical = duckdb_column_logical_type(&result->result, i);
        column->type = duckdb_get_type_id(column->logical);
        column->field = engine_field_of_(column->logical, &result->arena, &column->exact);
        column->field.name = column->name;
        column->exact = column->exact && !(result->odd && result->odd[i]);
        if (column->type == DUCKDB_TYPE_DECIMAL) {
            column->scale = duckdb_decimal_scale(column->logical);
            column->inner = duckdb_decimal_internal_type(column->logical);
        }
    }
}

static enum kol_status run_whole(struct engine_result *result, const char *sql,
                                 struct kol_error *err)
{
    return duckdb_query(result->session->connection, sql, &result->result) == DuckDBSuccess
               ? KOL_OK
               : engine_fail_(result->session, duckdb_result_error(&result->result), err);
}

static enum kol_status run_streamed(struct engine_result *result, const char *sql,
                                    struct kol_error *err)
{
    enum kol_status status = prepare_readable(result, sql, err);
    return status == KOL_OK ? start(result, err) : status;
}

static enum kol_status query(struct engine_session *session, const char *sql, bool whole,
                             struct engine_result **out, struct kol_error *err)
{
    *out = NULL;
    if (signals_stop_asked()) {
        return kol_fail(err, KOL_INTERRUPTED, "asked to stop");
    }
    struct engine_result *result = mem_zalloc(1, sizeof *result);
    arena_init(&result->arena, 4096);
    result->session = session;
    engine_begin_(session, true);
    enum kol_status status = whole ? run_whole(result, sql, err) : run_streamed(result, sql, err);
    engine_end_(session);
    if (status == KOL_OK) {
        describe(result);
        session->result = result;
        *out = result;
    } else {
        engine_result_free(&result);
    }
    return status;
}

enum kol_status engine_query(struct engine_session *session, const char *sql,
                             struct engine_result **out, struct kol_error *err)
{
    return query(session, sql, false, out, err);
}

enum kol_status engine_query_whole_(struct engine_session *session, const char *sql,
                                    struct engine_result **out, struct kol_error *err)
{
    return query(session, sql, true, out, err);
}

void engine_result_free(struct engine_result **result_at)
{
    struct engine_result *result = *result_at;
    if (!result) {
        return;
    }
    if (result->session->result == result) {
        result->session->result = NULL;
    }
    duckdb_destroy_data_chunk(&result->chunk);
    duckdb_destroy_result(&result->result);
    duckdb_destroy_prepare(&result->statement);
    for (size_t i = 0; i < result->count; i++) {
        duckdb_destroy_logical_type(&result->columns[i].logical);
    }
    free(result->columns);
    arena_free(&result->arena);
    free(result);
    *result_at = NULL;
}

size_t engine_columns(const struct engine_result *result)
{
    return result->count;
}

const char *engine_column_name(const struct engine_result *result, size_t column)
{
    return result->columns[column].name;
}

struct ice_field engine_column_type(const struct engine_result *result, size_t column, bool *exact)
{
    if (exact) {
        *exact = result->columns[column].exact;
    }
    return result->columns[column].field;
}

/* ---- rows ---- */

static void take_chunk(struct engine_result *result)
{
    for (size_t i = 0; i < result->count; i++) {
        struct column *column = &result->columns[i];
        column->vector = duckdb_data_chunk_get_vector(result->chunk, i);
        column->data = duckdb_vector_get_data(column->vector);
        column->validity = duckdb_vector_get_validity(column->vector);
    }
}

static enum kol_status fetch(struct engine_result *result, size_t *rows, struct kol_error *err)
{
    do {
        duckdb_destroy_data_chunk(&result->chunk);
        result->chunk = duckdb_fetch_chunk(result->result);
        if (!result->chunk) {
            const char *reason = duckdb_result_error(&result->result);
            if (reason && *reason) {
                return engine_fail_(result->session, reason, err);
            }
            result->ended = true;
            return KOL_OK;
        }
        *rows = duckdb_data_chunk_get_size(result->chunk);
    } while (*rows == 0);
    take_chunk(result);
    return KOL_OK;
}

enum kol_status engine_next(struct engine_result *result, size_t *rows, struct kol_error *err)
{
    *rows = 0;
    if (result->failed) {
        return kol_fail(err, KOL_INVALID, "the SELECT has failed before");
    }
    if (result->ended) {
        return KOL_OK;
    }
    if (result->session->result != result) {
        return kol_fail(err, KOL_INVALID,
                        "another statement of the session ended this SELECT before its last row");
    }
    enum kol_status status = engine_over_(result->session, err);
    if (status == KOL_OK) {
        engine_begin_(result->session, false);
        status = fetch(result, rows, err);
        engine_end_(result->session);
    }
    result->failed = status != KOL_OK;
    return status;
}

/* ---- cells ---- */

bool engine_null(const struct engine_result *result, size_t column, size_t row)
{
    const uint64_t *validity = result->columns[column].validity;
    return validity && !(validity[row / 64] >> row % 64 & 1);
}

bool engine_bool(const struct engine_result *result, size_t column, size_t row)
{
    return ((const bool *)result->columns[column].data)[row];
}

int64_t engine_int(const struct engine_result *result, size_t column, size_t row)
{
    const struct column *at = &result->columns[column];
    switch (at->type) {
    case DUCKDB_TYPE_BOOLEAN: return ((const bool *)at->data)[row];
    case DUCKDB_TYPE_TINYINT: return ((const int8_t *)at->data)[row];
    case DUCKDB_TYPE_UTINYINT: return ((const uint8_t *)at->data)[row];
    case DUCKDB_TYPE_SMALLINT: return ((const int16_t *)at->data)[row];
    case DUCKDB_TYPE_USMALLINT: return ((const uint16_t *)at->data)[row];
    case DUCKDB_TYPE_INTEGER:
    case DUCKDB_TYPE_DATE: return ((const int32_t *)at->data)[row];
    case DUCKDB_TYPE_UINTEGER: return ((const uint32_t *)at->data)[row];
    case DUCKDB_TYPE_BIGINT:
    case DUCKDB_TYPE_TIME:
    case DUCKDB_TYPE_TIMESTAMP:
    case DUCKDB_TYPE_TIMESTAMP_TZ: return ((const int64_t *)at->data)[row];
    default: kol_panic("column %s holds no integer", at->name);
    }
}

static double decimal_real(const struct column *at, size_t row)
{
    duckdb_hugeint value = {0};
    switch (at->inner) {
    case DUCKDB_TYPE_SMALLINT: value.lower = (uint64_t)((const int16_t *)at->data)[row]; break;
    case DUCKDB_TYPE_INTEGER: value.lower = (uint64_t)((const int32_t *)at->data)[row]; break;
    case DUCKDB_TYPE_BIGINT: value.lower = (uint64_t)((const int64_t *)at->data)[row]; break;
    default: value = ((const duckdb_hugeint *)at->data)[row]; break;
    }
    if (at->inner != DUCKDB_TYPE_HUGEINT) {
        value.upper = (int64_t)value.lower < 0 ? -1 : 0;
    }
    return duckdb_decimal_to_double((duckdb_decimal){38, (uint8_t)at->scale, value});
}

double engine_real(const struct engine_result *result, size_t column, size_t row)
{
    const struct column *at = &result->columns[column];
    switch (at->type) {
    case DUCKDB_TYPE_FLOAT: return (double)((const float *)at->data)[row];
    case DUCKDB_TYPE_DOUBLE: return ((const double *)at->data)[row];
    case DUCKDB_TYPE_DECIMAL: return decimal_real(at, row);
    case DUCKDB_TYPE_HUGEINT:
        return duckdb_hugeint_to_double(((const duckdb_hugeint *)at->data)[row]);
    case DUCKDB_TYPE_UHUGEINT:
        return duckdb_uhugeint_to_double(((const duckdb_uhugeint *)at->data)[row]);
    case DUCKDB_TYPE_UBIGINT: return (double)((const uint64_t *)at->data)[row];
    default: return (double)engine_int(result, column, row);
    }
}

struct str engine_text(const struct engine_result *result, size_t column, size_t row)
{
    const struct column *at = &result->columns[column];
    if (at->type != DUCKDB_TYPE_VARCHAR && at->type != DUCKDB_TYPE_BLOB) {
        kol_panic("column %s holds no text", at->name);
    }
    return engine_cell_text_((const duckdb_string_t *)at->data + row);
}

void engine_put(const struct engine_result *result, size_t column, size_t row, struct buf *out)
{
    const struct column *at = &result->columns[column];
    engine_put_value_(at->vector, at->logical, row, false, out);
}

duckdb_vector engine_vector_(const struct engine_result *result, size_t column)
{
    return result->columns[column].vector;
}

size_t engine_texts(const struct engine_result *result, size_t column, size_t row, struct str *out,
                    size_t max)
{
    const struct column *at = &result->columns[column];
    if (at->field.type != ICE_LIST || at->field.children[0].type != ICE_STRING) {
        kol_panic("column %s holds no list of text", at->name);
    }
    duckdb_list_entry entry = ((const duckdb_list_entry *)at->data)[row];
    duckdb_vector child = duckdb_list_vector_get_child(at->vector);
    const duckdb_string_t *texts = duckdb_vector_get_data(child);
    for (size_t i = 0; i < entry.length && i < max; i++) {
        bool valid = engine_cell_valid_(child, entry.offset + i);
        out[i] = valid ? engine_cell_text_(texts + entry.offset + i) : (struct str){NULL, 0};
    }
    return entry.length;
}

/* ---- one cell ---- */

static enum kol_status first_row(struct engine_session *session, const char *sql, bool whole,
                                 struct engine_result **result, struct kol_error *err)
{
    size_t rows = 0;
    enum kol_status status = query(session, sql, whole, result, err);
    if (status == KOL_OK) {
        status = engine_next(*result, &rows, err);
    }
    if (status == KOL_OK && (rows == 0 || engine_null(*result, 0, 0))) {
        status = kol_fail(err, KOL_NOT_FOUND, "the query gave no value");
    }
    return status;
}

enum kol_status engine_get_int(struct engine_session *session, const char *sql, int64_t *out,
                               struct kol_error *err)
{
    struct engine_result *result = NULL;
    enum kol_status status = first_row(session, sql, true, &result, err);
    if (status == KOL_OK) {
        struct buf text = {0};
        engine_put(result, 0, 0, &text);
        if (!str_to_int64(buf_str(&text), out)) {
            status = kol_fail(err, KOL_INVALID, "%.60s is no whole number of 64 bits", text.ptr);
        }
        buf_free(&text);
    }
    engine_result_free(&result);
    return status;
}

enum kol_status engine_get_text(struct engine_session *session, const char *sql, struct buf *out,
                                struct kol_error *err)
{
    struct engine_result *result = NULL;
    enum kol_status status = first_row(session, sql, false, &result, err);
    if (status == KOL_OK) {
        engine_put(result, 0, 0, out);
    }
    engine_result_free(&result);
    return status;
}
