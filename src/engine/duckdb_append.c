/*
 * duckdb_append.c: rows into a table, column by column.
 *
 * Cells are written straight into the vectors of one chunk of DuckDB's own size; a full chunk is
 * handed over. A chunk begins with every cell null.
 */
#include "engine/duckdb_append.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* ---- a chunk ---- */

void append_init_(struct engine_appender *appender, const struct ice_schema *schema)
{
    appender->count = schema->count;
    appender->rows_max = duckdb_vector_size();
    appender->slots = mem_zalloc(schema->count, sizeof *appender->slots);
    for (size_t i = 0; i < schema->count; i++) {
        appender->slots[i].type = schema->fields[i].type;
        appender->slots[i].name = schema->fields[i].name;
        appender->slots[i].known = mem_alloc(appender->rows_max / 8);
    }
}

void append_free_(struct engine_appender *appender)
{
    for (size_t i = 0; i < appender->count; i++) {
        free(appender->slots[i].known);
    }
    free(appender->slots);
}

/* DuckDB's vectors after a reset: their addresses may be new ones. */
void append_begin_(struct engine_appender *appender, duckdb_data_chunk chunk)
{
    appender->chunk = chunk;
    appender->row = 0;
    for (size_t i = 0; i < appender->count; i++) {
        struct append_slot *slot = &appender->slots[i];
        slot->vector = duckdb_data_chunk_get_vector(chunk, i);
        slot->data = duckdb_vector_get_data(slot->vector);
        memset(slot->known, 0, appender->rows_max / 8);
        slot->elements = 0;
        if (slot->type == ICE_LIST) {
            slot->child = duckdb_list_vector_get_child(slot->vector);
            memset(slot->data, 0, appender->rows_max * sizeof(duckdb_list_entry));
            if (duckdb_list_vector_set_size(slot->vector, 0) != DuckDBSuccess) {
                kol_panic("column %s is no list", slot->name);
            }
        }
    }
}

/* Whether the first `rows` bits are all set. */
static bool all_set(const uint64_t *bits, size_t rows)
{
    for (size_t i = 0; i < rows / 64; i++) {
        if (bits[i] != UINT64_MAX) {
            return false;
        }
    }
    const uint64_t rest = (UINT64_C(1) << rows % 64) - 1;
    return rest == 0 || (bits[rows / 64] & rest) == rest;
}

void append_seal_(struct engine_appender *appender)
{
    duckdb_data_chunk_set_size(appender->chunk, appender->row);
    for (size_t i = 0; i < appender->count; i++) {
        const struct append_slot *slot = &appender->slots[i];
        /* A vector without a mask is all there: DuckDB takes shorter ways with it. */
        if (!all_set(slot->known, appender->row)) {
            duckdb_vector_ensure_validity_writable(slot->vector);
            memcpy(duckdb_vector_get_validity(slot->vector), slot->known,
                   (appender->row + 63) / 64 * sizeof *slot->known);
        }
    }
}

/* ---- an appender to a table ---- */

static enum kol_status check_columns(struct engine_appender *appender, const char *table,
                                     const struct ice_schema *schema, struct kol_error *err)
{
    idx_t count = duckdb_appender_column_count(appender->appender);
    if (count != schema->count) {
        return kol_fail(err, KOL_INVALID, "table %s has %d columns, the schema %d", table,
                        (int)count, (int)schema->count);
    }
    return KOL_OK;
}

static enum kol_status make_chunk(struct engine_appender *appender, const char *table,
                                  const struct ice_schema *schema, struct kol_error *err)
{
    enum kol_status status = check_columns(appender, table, schema, err);
    if (status != KOL_OK) {
        return status;
    }
    append_init_(appender, schema);
    duckdb_logical_type *types = mem_zalloc(schema->count, sizeof(duckdb_logical_type));
    for (size_t i = 0; i < schema->count; i++) {
        types[i] = duckdb_appender_column_type(appender->appender, i);
    }
    appender->chunk = duckdb_create_data_chunk(types, schema->count);
    for (size_t i = 0; i < schema->count; i++) {
        duckdb_destroy_logical_type(&types[i]);
    }
    free(types);
    append_begin_(appender, appender->chunk);
    return KOL_OK;
}

enum kol_status engine_append_open(struct engine_session *session, const char *table,
                                   const struct ice_schema *schema, struct engine_appender **out,
                                   struct kol_error *err)
{
    struct engine_appender *appender = mem_zalloc(1, sizeof *appender);
    appender->session = session;
    enum kol_status status = KOL_OK;
    if (duckdb_appender_create(session->connection, NULL, table, &appender->appender) !=
        DuckDBSuccess) {
        status = kol_fail(err, KOL_INVALID, "no rows can be appended to %s: %s", table,
                          duckdb_appender_error(appender->appender));
    } else {
        status = make_chunk(appender, table, schema, err);
    }
    if (status == KOL_OK) {
        *out = appender;
    } else {
        engine_append_close(&appender);
    }
    return status;
}

/* ---- cells ---- */

/* The slot of a cell that is about to be set. */
static struct append_slot *set(struct engine_appender *appender, size_t column)
{
    KOL_ASSERT(column < appender->count);
    struct append_slot *slot = &appender->slots[column];
    slot->known[appender->row / 64] |= UINT64_C(1) << appender->row % 64;
    return slot;
}

void engine_append_bool(struct engine_appender *appender, size_t column, bool value)
{
    struct append_slot *slot = set(appender, column);
    KOL_ASSERT(slot->type == ICE_BOOLEAN);
    ((bool *)slot->data)[appender->row] = value;
}

void engine_append_int(struct engine_appender *appender, size_t column, int64_t value)
{
    struct append_slot *slot = set(appender, column);
    switch (slot->type) {
    case ICE_INT:
    case ICE_DATE:
        KOL_ASSERT(value == (int32_t)value);
        ((int32_t *)slot->data)[appender->row] = (int32_t)value;
        break;
    case ICE_LONG:
    case ICE_TIME:
    case ICE_TIMESTAMP:
    case ICE_TIMESTAMPTZ: ((int64_t *)slot->data)[appender->row] = value; break;
    default: kol_panic("column %s takes no integer", slot->name);
    }
}

void engine_append_real(struct engine_appender *appender, size_t column, double value)
{
    struct append_slot *slot = set(appender, column);
    if (slot->type == ICE_FLOAT) {
        ((float *)slot->data)[appender->row] = (float)value;
    } else {
        KOL_ASSERT(slot->type == ICE_DOUBLE);
        ((double *)slot->data)[appender->row] = value;
    }
}

/* Sets element `at` of a vector of texts. */
static void put_text(const struct engine_appender *appender, duckdb_vector vector, void *data,
                     size_t at, struct str value)
{
    duckdb_string_t *cell = (duckdb_string_t *)data + at;
    if (!appender->borrows) {
        duckdb_vector_assign_string_element_len(vector, at, value.len ? value.ptr : "", value.len);
        return;
    }
    KOL_ASSERT(value.len <= UINT32_MAX);
    memset(cell, 0, sizeof *cell);
    cell->value.inlined.length = (uint32_t)value.len;
    if (value.len <= sizeof cell->value.inlined.inlined) {
        if (value.len) {
            memcpy(cell->value.inlined.inlined, value.ptr, value.len);
        }
    } else {
        memcpy(cell->value.pointer.prefix, value.ptr, sizeof cell->value.pointer.prefix);
        cell->value.pointer.ptr = (char *)(uintptr_t)value.ptr; /* DuckDB does not write there */
    }
}

void engine_append_text(struct engine_appender *appender, size_t column, struct str value)
{
    struct append_slot *slot = set(appender, column);
    KOL_ASSERT(slot->type == ICE_STRING || slot->type == ICE_BINARY);
    put_text(appender, slot->vector, slot->data, appender->row, value);
}

void engine_append_texts(struct engine_appender *appender, size_t column, const struct str *values,
                         size_t count)
{
    struct append_slot *slot = set(appender, column);
    KOL_ASSERT(slot->type == ICE_LIST);
    size_t start = slot->elements;
    if (duckdb_list_vector_reserve(slot->vector, start + count) != DuckDBSuccess ||
        duckdb_list_vector_set_size(slot->vector, start + count) != DuckDBSuccess) {
        kol_panic("column %s takes no list", slot->name);
    }
    void *data = duckdb_vector_get_data(slot->child); /* the reserve may have moved it */
    for (size_t i = 0; i < count; i++) {
        put_text(appender, slot->child, data, start + i, values[i]);
    }
    ((duckdb_list_entry *)slot->data)[appender->row] = (duckdb_list_entry){start, count};
    slot->elements = start + count;
}

/* ---- rows ---- */

static enum kol_status hand_over(struct engine_appender *appender, struct kol_error *err)
{
    if (appender->row == 0) {
        return KOL_OK;
    }
    append_seal_(appender);
    if (duckdb_append_data_chunk(appender->appender, appender->chunk) != DuckDBSuccess) {
        return engine_fail_(appender->session, duckdb_appender_error(appender->appender), err);
    }
    duckdb_data_chunk_reset(appender->chunk);
    append_begin_(appender, appender->chunk);
    return KOL_OK;
}

enum kol_status engine_append_row(struct engine_appender *appender, struct kol_error *err)
{
    appender->row++;
    /* A source's rows are handed on by the SELECT that reads them. */
    return appender->row == appender->rows_max && appender->appender ? hand_over(appender, err)
                                                                     : KOL_OK;
}

enum kol_status engine_append_flush(struct engine_appender *appender, struct kol_error *err)
{
    enum kol_status status = hand_over(appender, err);
    if (status == KOL_OK && duckdb_appender_flush(appender->appender) != DuckDBSuccess) {
        status = engine_fail_(appender->session, duckdb_appender_error(appender->appender), err);
    }
    return status;
}

void engine_append_close(struct engine_appender **appender_at)
{
    struct engine_appender *appender = *appender_at;
    if (appender) {
        duckdb_destroy_data_chunk(&appender->chunk);
        duckdb_appender_destroy(&appender->appender);
        append_free_(appender);
        free(appender);
        *appender_at = NULL;
    }
}
