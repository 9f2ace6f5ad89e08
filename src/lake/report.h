/*
 * report.h: the lake about itself: rules and what broke them, and which table comes from which.
 */
#ifndef LAKE_REPORT_H
#define LAKE_REPORT_H

#include <stdio.h>

#include "base/rows.h"
#include "lake/lake.h"

/* One row a rule: the rows that it was checked on and those in lake.quarantine because of it.
 * `table` ("silver.kol_profiles") NULL: of all tables. */
enum kol_status lake_show_quality(struct lake *lake, const char *table, FILE *out,
                                  enum rows_format format, struct kol_error *err) KOL_CHECKED;

/* One row a table and what it was made from: the input's snapshot then, and whether that is still
 * the current one. For bronze the topics, with the next offset. */
enum kol_status lake_show_lineage(struct lake *lake, const char *table, FILE *out,
                                  enum rows_format format, struct kol_error *err) KOL_CHECKED;

/* Appends a declared table as a section of docs/lake.md. */
void lake_describe(struct buf *out, const struct lake_table *table);

#endif
