/*
 * duckdb_stats.h: what a COPY says of the file that it wrote, in the words of the table format.
 */
#ifndef ENGINE_DUCKDB_STATS_H
#define ENGINE_DUCKDB_STATS_H

#include "engine/engine.h"

/* Runs a COPY with RETURN_STATS that writes at most one file, and fills rows, bytes and columns of
 * `file`; rows 0 where it wrote none. Reals have no bounds and no NaN count yet. */
enum kol_status stats_copy(struct engine_session *session, const char *sql,
                           const struct ice_schema *schema, struct arena *arena,
                           struct ice_data_file *file, struct kol_error *err) KOL_CHECKED;

/* Adds what only a look into the written file tells: NaN counts and bounds of reals, and where its
 * row groups start. */
enum kol_status stats_finish(struct engine_session *session, const struct ice_schema *schema,
                             struct arena *arena, struct ice_data_file *file,
                             struct kol_error *err) KOL_CHECKED;

#endif
