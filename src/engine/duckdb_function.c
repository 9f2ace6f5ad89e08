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

enum kol_status engine_add_text_function(struct engine *engine, const char *name,
                                         engine_text_function *run, struct kol_error *err)
{
    struct engine_session *session;
    enum kol_status status = engine_session_open(engine, &session, err);
    if (status != KOL_OK) {
        return status;
    }
    struct text_function *extra = mem_alloc(sizeof *extra);
    extra->run = run;
    duckdb_scalar_function function = duckdb_create_scalar_function();
    duckdb_logical_type text = duckdb_create_logical_type(DUCKDB_TYPE_VARCHAR);
    duckdb_scalar_function_set_name(function, name);
    duckdb_scalar_function_add_parameter(function, text);
    duckdb_scalar_function_set_return_type(function, text);
    duckdb_scalar_function_set_extra_info(function, extra, free);
    duckdb_scalar_function_set_function(function, run_on_chunk);
    if (duckdb_register_scalar_function(session->connection, function) != DuckDBSuccess) {
        status = kol_fail(err, KOL_EXISTS, "the engine has a function %s already", name);
    }
    duckdb_destroy_logical_type(&text);
    duckdb_destroy_scalar_function(&function);
    engine_session_close(&session);
    return status;
}
