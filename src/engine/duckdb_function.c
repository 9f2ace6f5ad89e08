/* duckdb_function.c: functions written in C that SQL may call. */
#include <stdlib.h>

#include "base/mem.h"
#include "engine/duckdb_engine.h"

/* What DuckDB hands back with each call: function pointers may not travel as void *. */
struct text_function {
    engine_text_function *run;
};

static void run_on_chunk(duckdb_function_info info, duckdb_data_chunk input, duckdb_vector output)
{
    const struct text_function *function = duckdb_scalar_function_get_extra_info(info);
    const duckdb_vector vector = duckdb_data_chunk_get_vector(input, 0);
    const idx_t rows = duckdb_data_chunk_get_size(input);
    const duckdb_string_t *cells = duckdb_vector_get_data(vector);
    struct buf out = {0};
    buf_reserve(&out, 64);
    for (idx_t i = 0; i < rows; i++) {
        if (engine_cell_valid_(vector, i)) {
            buf_clear(&out);
            function->run(engine_cell_text_(&cells[i]), &out);
            duckdb_vector_assign_string_element_len(output, i, out.ptr, out.len);
        } else {
            duckdb_vector_ensure_validity_writable(output);
            duckdb_validity_set_row_invalid(duckdb_vector_get_validity(output), i);
        }
    }
    buf_free(&out);
}

/* What a function takes `count` of, and gives. */
struct types {
    duckdb_type argument;
    idx_t count;
    duckdb_type answer;
};

static duckdb_scalar_function make_function(const char *name, const struct types *types)
{
    duckdb_scalar_function function = duckdb_create_scalar_function();
    duckdb_logical_type argument = duckdb_create_logical_type(types->argument);
    duckdb_logical_type answer = duckdb_create_logical_type(types->answer);
    duckdb_scalar_function_set_name(function, name);
    for (idx_t i = 0; i < types->count; i++) {
        duckdb_scalar_function_add_parameter(function, argument);
    }
    duckdb_scalar_function_set_return_type(function, answer);
    duckdb_destroy_logical_type(&argument);
    duckdb_destroy_logical_type(&answer);
    return function;
}

static enum kol_status add_function(struct engine *engine, const char *name,
                                    duckdb_scalar_function *function, struct kol_error *err)
{
    struct engine_session *session;
    enum kol_status status = engine_session_open(engine, &session, err);
    if (status == KOL_OK) {
        if (duckdb_register_scalar_function(session->connection, *function) != DuckDBSuccess) {
            status = kol_fail(err, KOL_EXISTS, "the engine has a function %s already", name);
        }
        engine_session_close(&session);
    }
    duckdb_destroy_scalar_function(function);
    return status;
}

enum kol_status engine_add_text_function(struct engine *engine, const char *name,
                                         engine_text_function *run, struct kol_error *err)
{
    const struct types types = {DUCKDB_TYPE_VARCHAR, 1, DUCKDB_TYPE_VARCHAR};
    duckdb_scalar_function function = make_function(name, &types);
    struct text_function *extra = mem_alloc(sizeof *extra);
    extra->run = run;
    duckdb_scalar_function_set_extra_info(function, extra, free);
    duckdb_scalar_function_set_function(function, run_on_chunk);
    return add_function(engine, name, &function, err);
}

/* ---- times ---- */

struct time_function {
    engine_time_function *run;
    void *user;
    size_t argument_count;
};

/* The engine calls for nulls too, with whatever stands in their place. */
static void forget_nulls(duckdb_vector argument, idx_t rows, int64_t *times)
{
    if (!duckdb_vector_get_validity(argument)) {
        return;
    }
    for (idx_t i = 0; i < rows; i++) {
        times[i] = engine_cell_valid_(argument, i) ? times[i] : ENGINE_NO_TIME;
    }
}

static void run_times(duckdb_function_info info, duckdb_data_chunk input, duckdb_vector output)
{
    const struct time_function *function = duckdb_scalar_function_get_extra_info(info);
    const idx_t rows = duckdb_data_chunk_get_size(input);
    const int64_t *arguments[ENGINE_TIME_ARGUMENTS];
    int64_t *times = duckdb_vector_get_data(output);
    for (size_t i = 0; i < function->argument_count; i++) {
        arguments[i] = duckdb_vector_get_data(duckdb_data_chunk_get_vector(input, i));
    }
    function->run(function->user, rows, arguments, times);
    for (size_t i = 0; i < function->argument_count; i++) {
        forget_nulls(duckdb_data_chunk_get_vector(input, i), rows, times);
    }
    for (idx_t i = 0; i < rows; i++) {
        if (times[i] == ENGINE_NO_TIME) {
            duckdb_vector_ensure_validity_writable(output);
            duckdb_validity_set_row_invalid(duckdb_vector_get_validity(output), i);
        }
    }
}

enum kol_status engine_add_time_function(struct engine *engine, const char *name,
                                         size_t argument_count, engine_time_function *run,
                                         void *user, struct kol_error *err)
{
    const struct types types = {DUCKDB_TYPE_BIGINT, argument_count, DUCKDB_TYPE_TIMESTAMP_TZ};
    KOL_ASSERT(argument_count <= ENGINE_TIME_ARGUMENTS);
    duckdb_scalar_function function = make_function(name, &types);
    struct time_function *extra = mem_alloc(sizeof *extra);
    *extra = (struct time_function){run, user, argument_count};
    duckdb_scalar_function_set_volatile(function); /* it may count what it is asked */
    duckdb_scalar_function_set_extra_info(function, extra, free);
    duckdb_scalar_function_set_function(function, run_times);
    return add_function(engine, name, &function, err);
}
