/*
 * duckdb_footer.h: what the footer of a Parquet file says of its columns, read by ourselves.
 */
#ifndef ENGINE_DUCKDB_FOOTER_H
#define ENGINE_DUCKDB_FOOTER_H

#include "base/arena.h"
#include "base/str.h"

/* The top-level columns of a file whose columns have no field ids, which writers without Iceberg
 * make; in `arena`. False where a column has an id, and where the file cannot be read: then the
 * engine will say what is wrong with it. */
bool footer_plain_columns(const char *path, struct arena *arena, const char ***names,
                          size_t *count);

#endif
