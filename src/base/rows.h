/*
 * rows.h: rows for people and scripts on stdout: --format table, json (one object a line) or csv.
 *
 * json and csv are written row by row; a table is held until rows_end(), because its column widths
 * depend on all rows. Unknown values are null in JSON, empty in CSV, "-" in a table.
 */
#ifndef BASE_ROWS_H
#define BASE_ROWS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"
#include "base/str.h"

enum rows_format { ROWS_TABLE, ROWS_JSON, ROWS_CSV };

struct rows;

/* `names` must outlive the rows. The caller gives each row's cells from left to right. */
struct rows *rows_begin(FILE *out, enum rows_format format, const char *const *names, size_t count);
void rows_text(struct rows *rows,
               struct str text); /* in a table control characters show as \n, \x1b */
void rows_int(struct rows *rows, int64_t value);
void rows_real(struct rows *rows, double value);
void rows_bool(struct rows *rows, bool value);
void rows_time(struct rows *rows, int64_t time_us);
/* A value that is JSON already: a number to its last digit, a list, an object. */
void rows_json(struct rows *rows, struct str json);
void rows_null(struct rows *rows);
/* Writes what is held and frees. KOL_IO where stdout could not take it all. */
enum kol_status rows_end(struct rows **rows, struct kol_error *err) KOL_CHECKED;
/* The same behind work that may have failed with `status`, its reason in `err`: that failure wins
 * over one of the output. */
enum kol_status rows_finish(struct rows **rows, enum kol_status status,
                            struct kol_error *err) KOL_CHECKED;

#endif
