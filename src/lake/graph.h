/*
 * graph.h: the tables that are made by SQL, in the order in which they need each other. Private.
 */
#ifndef LAKE_GRAPH_H
#define LAKE_GRAPH_H

#include "lake/lake.h"

struct graph_node {
    const struct lake_table *table; /* declared, or made from a user's SELECT */
    struct str sql;
    const char *origin;  /* of the text, for messages: "sql/gold/dim_kol.sql" */
    const char **inputs; /* "silver.kol_profiles", sorted */
    size_t input_count;
    int mark; /* of the depth-first walk */
};

struct graph {
    struct arena arena;
    struct graph_node *nodes; /* in running order */
    size_t count;
};

/*
 * Reads the SELECTs of the program and of lake->sql_folder, lints them, and orders those of these
 * tables (`count` of 0: of all) and of what they need by what each reads; the graph is of them
 * alone. KOL_INVALID names a table that is neither declared nor in the catalog, a circle, or a text
 * that the lint refuses; KOL_NOT_FOUND one that no SELECT makes, and the nearest that one does.
 */
enum kol_status graph_load(struct lake *lake, struct engine_session *session,
                           const char *const *tables, size_t count, struct graph *out,
                           struct kol_error *err) KOL_CHECKED;
void graph_free(struct graph *graph);

/* Fills the columns of a user's table from its SELECT, whose inputs must be views of the session.
 */
enum kol_status graph_declare(struct graph *graph, struct engine_session *session,
                              struct graph_node *node, struct kol_error *err) KOL_CHECKED;

struct graph_node *graph_find(const struct graph *graph, const char *name); /* "gold.x" or NULL */

/* The prelude that gives the engine the functions of the dialect. */
struct str graph_prelude(void);

#endif
