/*
 * tables.h: the tables of the lake as they are declared: one row in tables.def each, the columns in
 * columns/<namespace>_<name>.def. What a SELECT gives is cast to this, never the other way round.
 *
 * The columns of bronze come from the event fields (domain/fields): every field of the event type
 * plus ingest_time, log_topic, log_partition, log_offset. Field ids are given by position when a
 * table is made; afterwards a column is found by its name (or by .was, its old name), a new one
 * gets the next free id.
 */
#ifndef LAKE_TABLES_H
#define LAKE_TABLES_H

#include "base/arena.h"
#include "iceberg/schema.h"
#include "iceberg/table.h"

enum lake_kind {
    LAKE_BRONZE, /* written by ingest from one topic */
    LAKE_SQL,    /* sql/<namespace>/<name>.sql */
    LAKE_SCORE,  /* written by the score step, in C */
    LAKE_SYSTEM, /* written by the runner itself: quarantine, runs, ... */
};

struct lake_column {
    const char *name;
    const char *type; /* as Iceberg writes it; "list<string>" for tags */
    bool required;
    const char *was;  /* old name, or NULL */
    const char *unit; /* or NULL */
    const char *doc;  /* meaning and source, one sentence */
};

struct lake_table {
    const char *name_space; /* bronze, silver, gold, lake */
    const char *name;
    enum lake_kind kind;
    const char *keys;      /* columns that make a row unique, space-separated; "" for none */
    const char *sort;      /* columns that files are sorted by, space-separated */
    const char *partition; /* "", or column:transform ("event_time:day") */
    /* LAKE_SQL: how the runner may avoid a full run, see etl.h. "" always whole; "day" the
     * days or months (what it is partitioned by) that have new bronze rows are made anew, the rest
     * stays. */
    const char *incremental;
    /* Each row is made of the bronze rows with its key: many of them are worked off in parts. */
    bool in_parts;
    int topic;       /* LAKE_BRONZE: enum topic; else -1 */
    const char *doc; /* one sentence: what a row is */
    const struct lake_column *columns;
    size_t column_count;
};

/* All declared tables, constant, in the order of tables.def. */
const struct lake_table *lake_tables(size_t *count);
const struct lake_table *lake_table_find(const char *name_space, const char *name); /* or NULL */
const struct lake_table *lake_table_of_topic(int topic);                            /* or NULL */

/* The declared schema, spec and order in `arena`, field ids 1, 2, ... (list elements behind the
 * last column). */
void lake_table_schema(const struct lake_table *table, struct arena *arena,
                       struct ice_schema *schema, struct ice_partition_spec *spec,
                       struct ice_sort_order *order);

/* The same as an existing table has it, columns found by name: their ids, and what another engine
 * widened or made optional. A new column is optional where there are rows. A column of a table that
 * is not declared here gets a new id where its type has become another one. */
void lake_table_schema_for(const struct lake_table *table, const struct ice_metadata *metadata,
                           struct arena *arena, struct ice_schema *schema);

#endif
