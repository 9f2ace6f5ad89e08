/*
 * duckdb_source.c: rows that C makes while a SELECT reads them.
 *
 * A table function, engine_source(N), whose columns and rows are those of source N. The rows go
 * into the very vectors that the SELECT works on: no table between, and no copy of a text. What
 * DuckDB keeps beyond a chunk it copies, so that a text need not stay longer than its chunk.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/mem.h"
#include "engine/duckdb_append.h"

struct engine_source {
    struct engine *engine;
    struct engine_source *next;
    int64_t number;
    const struct ice_schema *schema;
    engine_fill *fill;
    void *user;
    struct engine_appender rows;
};

/* What DuckDB hands back where a source is looked up. */
struct lookup {
    struct engine *engine;
};

/* ---- the table function ---- */

static duckdb_logical_type make_type(const struct ice_field *field)
{
    static const duckdb_type types[] = {
        [ICE_BOOLEAN] = DUCKDB_TYPE_BOOLEAN,
        [ICE_INT] = DUCKDB_TYPE_INTEGER,
        [ICE_LONG] = DUCKDB_TYPE_BIGINT,
        [ICE_FLOAT] = DUCKDB_TYPE_FLOAT,
        [ICE_DOUBLE] = DUCKDB_TYPE_DOUBLE,
        [ICE_DATE] = DUCKDB_TYPE_DATE,
        [ICE_TIME] = DUCKDB_TYPE_TIME,
        [ICE_TIMESTAMP] = DUCKDB_TYPE_TIMESTAMP,
        [ICE_TIMESTAMPTZ] = DUCKDB_TYPE_TIMESTAMP_TZ,
        [ICE_STRING] = DUCKDB_TYPE_VARCHAR,
        [ICE_BINARY] = DUCKDB_TYPE_BLOB,
    };
    if (field->type == ICE_LIST) {
        duckdb_logical_type element = make_type(&field->children[0]);
        duckdb_logical_type list = duckdb_create_list_type(element);
        duckdb_destroy_logical_type(&element);
        return list;
    }
    if ((size_t)field->type >= ARRAY_LEN(types) || !types[field->type]) {
        kol_panic("column %s has a type that no source gives", field->name);
    }
    return duckdb_create_logical_type(types[field->type]);
}

static struct engine_source *find_source(struct engine *engine, int64_t number)
{
    pthread_mutex_lock(&engine->lock);
    struct engine_source *at = engine->sources;
    while (at && at->number != number) {
        at = at->next;
    }
    pthread_mutex_unlock(&engine->lock);
    return at;
}

static void bind_source(duckdb_bind_info info)
{
    const struct lookup *lookup = duckdb_bind_get_extra_info(info);
    duckdb_value number = duckdb_bind_get_parameter(info, 0);
    struct engine_source *source = find_source(lookup->engine, duckdb_get_int64(number));
    duckdb_destroy_value(&number);
    if (!source) {
        duckdb_bind_set_error(info, "there is no such source");
        return;
    }
    for (size_t i = 0; i < source->schema->count; i++) {
        duckdb_logical_type type = make_type(&source->schema->fields[i]);
        duckdb_bind_add_result_column(info, source->schema->fields[i].name, type);
        duckdb_destroy_logical_type(&type);
    }
    duckdb_bind_set_bind_data(info, source, NULL);
}

/* One thread reads: the rows stay in their order. */
static void init_source(duckdb_init_info info)
{
    duckdb_init_set_max_threads(info, 1);
}

static void fill_chunk(duckdb_function_info info, duckdb_data_chunk chunk)
{
    struct engine_source *source = duckdb_function_get_bind_data(info);
    append_begin_(&source->rows, chunk);
    source->fill(&source->rows, source->rows.rows_max, source->user);
    KOL_ASSERT(source->rows.row <= source->rows.rows_max);
    append_seal_(&source->rows);
}

static enum kol_status add_function(struct engine_session *session, struct kol_error *err)
{
    struct lookup *lookup = mem_alloc(sizeof *lookup);
    lookup->engine = session->engine;
    duckdb_table_function function = duckdb_create_table_function();
    duckdb_logical_type number = duckdb_create_logical_type(DUCKDB_TYPE_BIGINT);
    duckdb_table_function_set_name(function, "engine_source");
    duckdb_table_function_add_parameter(function, number);
    duckdb_table_function_set_extra_info(function, lookup, free);
    duckdb_table_function_set_bind(function, bind_source);
    duckdb_table_function_set_init(function, init_source);
    duckdb_table_function_set_function(function, fill_chunk);
    enum kol_status status = KOL_OK;
    if (duckdb_register_table_function(session->connection, function) != DuckDBSuccess) {
        status = kol_fail(err, KOL_EXISTS, "the engine has a function engine_source already");
    }
    duckdb_destroy_logical_type(&number);
    duckdb_destroy_table_function(&function);
    return status;
}

/* ---- sources ---- */

enum kol_status engine_source_open(struct engine_session *session, const struct ice_schema *schema,
                                   engine_fill *fill, void *user, struct engine_source **out,
                                   struct kol_error *err)
{
    struct engine *engine = session->engine;
    struct engine_source *source = mem_zalloc(1, sizeof *source);
    source->engine = engine;
    source->schema = schema;
    source->fill = fill;
    source->user = user;
    source->rows.session = session;
    source->rows.borrows = true;
    append_init_(&source->rows, schema);
    pthread_mutex_lock(&engine->lock);
    enum kol_status status = engine->source_count ? KOL_OK : add_function(session, err);
    if (status == KOL_OK) {
        source->number = ++engine->source_count;
        source->next = engine->sources;
        engine->sources = source;
        *out = source;
    }
    pthread_mutex_unlock(&engine->lock);
    if (status != KOL_OK) {
        append_free_(&source->rows);
        free(source);
    }
    return status;
}

void engine_source_put(const struct engine_source *source, struct buf *sql)
{
    buf_printf(sql, "engine_source(%" PRId64 ")", source->number);
}

void engine_source_close(struct engine_source **source_at)
{
    struct engine_source *source = *source_at;
    if (source) {
        pthread_mutex_lock(&source->engine->lock);
        struct engine_source **at = &source->engine->sources;
        while (*at != source) {
            at = &(*at)->next;
        }
        *at = source->next;
        pthread_mutex_unlock(&source->engine->lock);
        append_free_(&source->rows);
        free(source);
        *source_at = NULL;
    }
}
