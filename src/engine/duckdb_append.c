/*
 * duckdb_append.c: rows into a table, column by column.
 *
 * Cells are written straight into the vectors of one chunk of DuckDB's own size; a full chunk is
 * handed over. A chunk begins with every cell null.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "engine/duckdb_engine.h"

struct slot {
    enum ice_type type;
    const char *name;
    duckdb_vector vector;
    void *data;
    uint64_t *validity;
    duckdb_vector child; /* of a list */
    size_t elements;     /* of all lists of the chunk */
};

struct engine_appender {
    struct engine_session *session;
    duckdb_appender appender;
    duckdb_data_chunk chunk;
    struct slot *slots;
    size_t count, row, rows_max;
};

/* DuckDB's vectors after a reset: their addresses may be new ones. */
static void begin_chunk(struct engine_appender *appender)
{
    duckdb_data_chunk_reset(appender->chunk);
    appender->row = 0;
    for (size_t i = 0; i < appender->count; i++) {
        struct slot *slot = &appender->slots[i];
        slot->vector = duckdb_data_chunk_get_vector(appender->chunk, i);
        slot->data = duckdb_vector_get_data(slot->vector);
        duckdb_vector_ensure_validity_writable(slot->vector);
        slot->validity = duckdb_vector_get_validity(slot->vector);
        memset(slot->validity, 0, appender->rows_max / 8);
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
    appender->count = schema->count;
    appender->rows_max = duckdb_vector_size();
    appender->slots = mem_zalloc(schema->count, sizeof *appender->slots);
    duckdb_logical_type *types = mem_zalloc(schema->count, sizeof(duckdb_logical_type));
    for (size_t i = 0; i < schema->count; i++) {
        types[i] = duckdb_appender_column_type(appender->appender, i);
        appender->slots[i].type = schema->fields[i].type;
        appender->slots[i].name = schema->fields[i].name;
    }
    appender->chunk = duckdb_create_data_chunk(types, schema->count);
    for (size_t i = 0; i < schema->count; i++) {
        duckdb_destroy_logical_type(&types[i]);
    }
    free(types);
    begin_chunk(appender);
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

/* The slot of a cell that is about to be set. */
static struct slot *set(struct engine_appender *appender, size_t column)
{
    KOL_ASSERT(column < appender->count);
    struct slot *slot = &appender->slots[column];
    slot->validity[appender->row / 64] |= UINT64_C(1) << appender->row % 64;
    return slot;
}

void engine_append_bool(struct engine_appender *appender, size_t column, bool value)
{
    struct slot *slot = set(appender, column);
    KOL_ASSERT(slot->type == ICE_BOOLEAN);
    ((bool *)slot->data)[appender->row] = value;
}

void engine_append_int(struct engine_appender *appender, size_t column, int64_t value)
{
    struct slot *slot = set(appender, column);
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
    struct slot *slot = set(appender, column);
    if (slot->type == ICE_FLOAT) {
        ((float *)slot->data)[appender->row] = (float)value;
    } else {
        KOL_ASSERT(slot->type == ICE_DOUBLE);
        ((double *)slot->data)[appender->row] = value;
    }
}

void engine_append_text(struct engine_appender *appender, size_t column, struct str value)
{
    struct slot *slot = set(appender, column);
    KOL_ASSERT(slot->type == ICE_STRING || slot->type == ICE_BINARY);
    duckdb_vector_assign_string_element_len(slot->vector, appender->row, value.len ? value.ptr : "",
                                            value.len);
}

void engine_append_texts(struct engine_appender *appender, size_t column, const struct str *values,
                         size_t count)
{
    struct slot *slot = set(appender, column);
    KOL_ASSERT(slot->type == ICE_LIST);
    size_t start = slot->elements;
    if (duckdb_list_vector_reserve(slot->vector, start + count) != DuckDBSuccess ||
        duckdb_list_vector_set_size(slot->vector, start + count) != DuckDBSuccess) {
        kol_panic("column %s takes no list", slot->name);
    }
    for (size_t i = 0; i < count; i++) {
        duckdb_vector_assign_string_element_len(slot->child, start + i,
                                                values[i].len ? values[i].ptr : "", values[i].len);
    }
    ((duckdb_list_entry *)slot->data)[appender->row] = (duckdb_list_entry){start, count};
    slot->elements = start + count;
}

static enum kol_status hand_over(struct engine_appender *appender, struct kol_error *err)
{
    if (appender->row == 0) {
        return KOL_OK;
    }
    duckdb_data_chunk_set_size(appender->chunk, appender->row);
    if (duckdb_append_data_chunk(appender->appender, appender->chunk) != DuckDBSuccess) {
        return engine_fail_(appender->session, duckdb_appender_error(appender->appender), err);
    }
    begin_chunk(appender);
    return KOL_OK;
}

enum kol_status engine_append_row(struct engine_appender *appender, struct kol_error *err)
{
    appender->row++;
    return appender->row == appender->rows_max ? hand_over(appender, err) : KOL_OK;
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
        free(appender->slots);
        free(appender);
        *appender_at = NULL;
    }
}
