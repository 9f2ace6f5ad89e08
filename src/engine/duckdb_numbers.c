/*
 * duckdb_numbers.c: functions of numbers, written in C, that SQL may call on whole columns.
 *
 * DuckDB hands over blocks of up to 2,048 rows and calls from all of its threads at once. Arguments
 * come as arrays of doubles in which NaN stands for null; the answer is a STRUCT whose members are
 * filled column by column.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "engine/duckdb_engine.h"

enum { MAX_ARGUMENTS = 64, MAX_MEMBERS = 64, MAX_NAMES = 63, MAX_WORDS = 16 };

/* What DuckDB hands back with each call. */
struct number_function {
    engine_number_function *run;
    const void *user;
    size_t argument_count, member_count;
    enum ice_type types[MAX_MEMBERS];
    const char *const *names[MAX_MEMBERS]; /* of sets */
};

/* The arguments of a block: the engine's own arrays where nothing is null, else copies with NaN. */
struct arguments {
    const double *columns[MAX_ARGUMENTS];
    double *copies[MAX_ARGUMENTS];
};

static void take_arguments(const struct number_function *function, duckdb_data_chunk input,
                           idx_t rows, struct arguments *out)
{
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < function->argument_count; i++) {
        const duckdb_vector vector = duckdb_data_chunk_get_vector(input, i);
        const double *values = duckdb_vector_get_data(vector);
        const uint64_t *valid = duckdb_vector_get_validity(vector);
        out->columns[i] = values;
        if (valid) {
            out->copies[i] = mem_alloc(rows * sizeof *values);
            for (idx_t row = 0; row < rows; row++) {
                out->copies[i][row] = valid[row / 64] >> row % 64 & 1 ? values[row] : NAN;
            }
            out->columns[i] = out->copies[i];
        }
    }
}

static void free_arguments(const struct number_function *function, struct arguments *arguments)
{
    for (size_t i = 0; i < function->argument_count; i++) {
        free(arguments->copies[i]);
    }
}

/* The nulls of a vector: DuckDB gives it the room for them when there is one. */
struct nulls {
    duckdb_vector vector;
    uint64_t *valid;
};

static inline void set_null(struct nulls *nulls, idx_t row)
{
    if (!nulls->valid) {
        duckdb_vector_ensure_validity_writable(nulls->vector);
        nulls->valid = duckdb_vector_get_validity(nulls->vector);
    }
    nulls->valid[row / 64] &= ~(UINT64_C(1) << row % 64);
}

/* Where the function writes: numbers straight into the engine's arrays, texts beside. */
static void begin_members(const struct number_function *function, duckdb_vector output, idx_t rows,
                          union engine_column *members)
{
    for (size_t i = 0; i < function->member_count; i++) {
        void *data = duckdb_vector_get_data(duckdb_struct_vector_get_child(output, i));
        if (function->types[i] == ICE_DOUBLE) {
            members[i].reals = data;
        } else if (function->types[i] == ICE_LONG) {
            members[i].ints = data;
        } else if (function->types[i] == ICE_BOOLEAN) {
            members[i].bools = mem_zalloc(rows, sizeof *members[i].bools);
        } else if (function->types[i] == ICE_LIST) {
            members[i].sets = mem_zalloc(rows, sizeof *members[i].sets);
        } else {
            members[i].texts = mem_zalloc(rows, sizeof *members[i].texts);
        }
    }
}

static void end_reals(duckdb_vector vector, idx_t rows, const double *values)
{
    struct nulls nulls = {.vector = vector};
    for (idx_t row = 0; row < rows; row++) {
        if (isnan(values[row])) {
            set_null(&nulls, row);
        }
    }
}

static void end_bools(duckdb_vector vector, idx_t rows, const signed char *values)
{
    struct nulls nulls = {.vector = vector};
    bool *data = duckdb_vector_get_data(vector);
    for (idx_t row = 0; row < rows; row++) {
        data[row] = values[row] > 0;
        if (values[row] < 0) {
            set_null(&nulls, row);
        }
    }
}

/* The texts of a block are few constants: DuckDB takes each in once, and the rows share it. */
struct words {
    duckdb_vector vector;
    duckdb_string_t *cells;
    struct {
        const char *text;
        duckdb_string_t cell;
    } known[MAX_WORDS];
    size_t count;
};

static inline void put_word(struct words *words, idx_t row, const char *text)
{
    for (size_t i = 0; i < words->count; i++) {
        if (words->known[i].text == text) {
            words->cells[row] = words->known[i].cell;
            return;
        }
    }
    duckdb_vector_assign_string_element(words->vector, row, text);
    if (words->count < MAX_WORDS) {
        words->known[words->count].text = text;
        words->known[words->count++].cell = words->cells[row];
    }
}

static void end_texts(duckdb_vector vector, idx_t rows, const char *const *values)
{
    struct nulls nulls = {.vector = vector};
    struct words words = {.vector = vector, .cells = duckdb_vector_get_data(vector)};
    for (idx_t row = 0; row < rows; row++) {
        if (values[row]) {
            put_word(&words, row, values[row]);
        } else {
            set_null(&nulls, row);
        }
    }
}

/* Where the list of each row stands among the elements of all; how many these are. */
static idx_t place_sets(duckdb_vector vector, idx_t rows, const uint64_t *values)
{
    struct nulls nulls = {.vector = vector};
    duckdb_list_entry *entries = duckdb_vector_get_data(vector);
    idx_t count = 0;
    for (idx_t row = 0; row < rows; row++) {
        const bool none = values[row] == ENGINE_NO_SET;
        const idx_t length = none ? 0 : (idx_t)__builtin_popcountll(values[row]);
        entries[row] = (duckdb_list_entry){count, length};
        count += length;
        if (none) {
            set_null(&nulls, row);
        }
    }
    return count;
}

static void end_sets(duckdb_vector vector, idx_t rows, const uint64_t *values,
                     const char *const *names)
{
    const idx_t count = place_sets(vector, rows, values);
    if (duckdb_list_vector_reserve(vector, count) != DuckDBSuccess ||
        duckdb_list_vector_set_size(vector, count) != DuckDBSuccess) {
        kol_panic("DuckDB gives a list no room");
    }
    duckdb_vector child = duckdb_list_vector_get_child(vector);
    duckdb_string_t *cells = duckdb_vector_get_data(child), known[MAX_NAMES];
    uint64_t taken = 0; /* bit i: known[i] is names[i] as DuckDB took it in */
    idx_t at = 0;
    for (idx_t row = 0; row < rows; row++) {
        uint64_t rest = values[row] == ENGINE_NO_SET ? 0 : values[row];
        for (; rest; rest &= rest - 1, at++) {
            const int name = __builtin_ctzll(rest);
            if (!(taken >> name & 1)) {
                duckdb_vector_assign_string_element(child, at, names[name]);
                known[name] = cells[at];
                taken |= UINT64_C(1) << name;
            }
            cells[at] = known[name];
        }
    }
}

static void end_members(const struct number_function *function, duckdb_vector output, idx_t rows,
                        union engine_column *members)
{
    for (size_t i = 0; i < function->member_count; i++) {
        duckdb_vector vector = duckdb_struct_vector_get_child(output, i);
        if (function->types[i] == ICE_DOUBLE) {
            end_reals(vector, rows, members[i].reals);
        } else if (function->types[i] == ICE_BOOLEAN) {
            end_bools(vector, rows, members[i].bools);
            free(members[i].bools);
        } else if (function->types[i] == ICE_LIST) {
            end_sets(vector, rows, members[i].sets, function->names[i]);
            free(members[i].sets);
        } else if (function->types[i] == ICE_STRING) {
            end_texts(vector, rows, members[i].texts);
            free(members[i].texts);
        }
    }
}

static void run_on_chunk(duckdb_function_info info, duckdb_data_chunk input, duckdb_vector output)
{
    const struct number_function *function = duckdb_scalar_function_get_extra_info(info);
    const idx_t rows = duckdb_data_chunk_get_size(input);
    struct arguments arguments;
    union engine_column members[MAX_MEMBERS];
    take_arguments(function, input, rows, &arguments);
    begin_members(function, output, rows, members);
    function->run(function->user, rows, arguments.columns, members);
    end_members(function, output, rows, members);
    free_arguments(function, &arguments);
}

static duckdb_logical_type member_type(enum ice_type type)
{
    if (type == ICE_LIST) {
        duckdb_logical_type text = duckdb_create_logical_type(DUCKDB_TYPE_VARCHAR);
        duckdb_logical_type list = duckdb_create_list_type(text);
        duckdb_destroy_logical_type(&text);
        return list;
    }
    return duckdb_create_logical_type(type == ICE_DOUBLE    ? DUCKDB_TYPE_DOUBLE
                                      : type == ICE_LONG    ? DUCKDB_TYPE_BIGINT
                                      : type == ICE_BOOLEAN ? DUCKDB_TYPE_BOOLEAN
                                                            : DUCKDB_TYPE_VARCHAR);
}

static duckdb_logical_type struct_type(const struct engine_member *members, size_t count)
{
    duckdb_logical_type types[MAX_MEMBERS];
    const char *names[MAX_MEMBERS];
    for (size_t i = 0; i < count; i++) {
        names[i] = members[i].name;
        types[i] = member_type(members[i].type);
    }
    duckdb_logical_type all = duckdb_create_struct_type(types, names, count);
    for (size_t i = 0; i < count; i++) {
        duckdb_destroy_logical_type(&types[i]);
    }
    return all;
}

static struct number_function *new_function(size_t argument_count,
                                            const struct engine_member *members,
                                            size_t member_count, engine_number_function *run,
                                            const void *user)
{
    if (argument_count > MAX_ARGUMENTS || member_count > MAX_MEMBERS) {
        kol_panic("a function of %zu numbers with %zu members is too wide", argument_count,
                  member_count);
    }
    struct number_function *extra = mem_zalloc(1, sizeof *extra);
    extra->run = run;
    extra->user = user;
    extra->argument_count = argument_count;
    extra->member_count = member_count;
    for (size_t i = 0; i < member_count; i++) {
        extra->types[i] = members[i].type;
        extra->names[i] = members[i].names;
    }
    return extra;
}

enum kol_status engine_add_number_function(struct engine *engine, const char *name,
                                           size_t argument_count,
                                           const struct engine_member *members, size_t member_count,
                                           engine_number_function *run, const void *user,
                                           struct kol_error *err)
{
    struct engine_session *session;
    enum kol_status status = engine_session_open(engine, &session, err);
    if (status != KOL_OK) {
        return status;
    }
    duckdb_scalar_function function = duckdb_create_scalar_function();
    duckdb_logical_type real = duckdb_create_logical_type(DUCKDB_TYPE_DOUBLE);
    duckdb_logical_type all = struct_type(members, member_count);
    duckdb_scalar_function_set_name(function, name);
    for (size_t i = 0; i < argument_count; i++) {
        duckdb_scalar_function_add_parameter(function, real);
    }
    duckdb_scalar_function_set_return_type(function, all);
    duckdb_scalar_function_set_special_handling(function); /* a null argument is an argument */
    duckdb_scalar_function_set_extra_info(
        function, new_function(argument_count, members, member_count, run, user), free);
    duckdb_scalar_function_set_function(function, run_on_chunk);
    if (duckdb_register_scalar_function(session->connection, function) != DuckDBSuccess) {
        status = kol_fail(err, KOL_EXISTS, "the engine has a function %s already", name);
    }
    duckdb_destroy_logical_type(&real);
    duckdb_destroy_logical_type(&all);
    duckdb_destroy_scalar_function(&function);
    engine_session_close(&session);
    return status;
}
