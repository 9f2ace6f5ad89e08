/*
 * duckdb_append.h: cells on their way into the vectors of a chunk, whoever hands the chunk on: an
 * appender to a table (duckdb_append.c) or a source that a SELECT reads (duckdb_source.c).
 */
#ifndef ENGINE_DUCKDB_APPEND_H
#define ENGINE_DUCKDB_APPEND_H

#include "engine/duckdb_engine.h"

/* One column of the chunk. */
struct append_slot {
    enum ice_type type;
    const char *name;
    duckdb_vector vector;
    void *data;
    uint64_t *known;     /* a bit a row: the cell is set */
    duckdb_vector child; /* of a list */
    size_t elements;     /* of all lists of the chunk */
};

struct engine_appender {
    struct engine_session *session;
    duckdb_appender appender; /* NULL in a source */
    duckdb_data_chunk chunk;
    bool borrows; /* texts stay where they are, and are there for as long as the chunk is read */
    struct append_slot *slots;
    size_t count, row, rows_max;
};

/* Makes the slots of an empty appender; the schema outlives it. */
void append_init_(struct engine_appender *appender, const struct ice_schema *schema);
void append_free_(struct engine_appender *appender);

/* Begins with every cell null in `chunk`, which DuckDB has just reset. */
void append_begin_(struct engine_appender *appender, duckdb_data_chunk chunk);

/* Tells the chunk how many rows it has and which cells are null. */
void append_seal_(struct engine_appender *appender);

#endif
