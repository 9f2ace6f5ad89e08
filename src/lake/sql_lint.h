/*
 * sql_lint.h: refuses in a SELECT what DuckDB and Trino understand differently.
 */
#ifndef LAKE_SQL_LINT_H
#define LAKE_SQL_LINT_H

#include "base/error.h"
#include "base/str.h"

/*
 * KOL_INVALID with "name:line: what and why, and what to write instead" at the first place that one
 * of the two engines would read otherwise or not at all; KOL_OK where none is seen. It knows
 * tokens, not types: what it lets pass is compared with a real Trino by a test.
 */
enum kol_status lake_sql_lint(struct str sql, const char *name, struct kol_error *err) KOL_CHECKED;

#endif
