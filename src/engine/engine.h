/*
 * engine.h: the SQL engine: runs SELECTs over Parquet files, takes rows in, writes Parquet.
 *
 * One interface; duckdb.c is the embedded back end, Trino joins as trino.c. The engine knows tables
 * by declared schemas (iceberg/schema.h), never by what a SELECT happens to give.
 *
 * Threads: a `struct engine` is shared; a session belongs to one thread at a time (only
 * engine_interrupt() may come from another). A session sees its own temporary tables and views.
 */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "base/error.h"
#include "base/str.h"
#include "iceberg/schema.h"

struct engine;
struct engine_session;

struct engine_options {
    const char *path;     /* a database file, or NULL: in memory */
    const char *temp;     /* folder for what does not fit into memory; NULL: none */
    int64_t memory_bytes; /* 0: the engine's default */
    int threads;          /* 0: one per CPU */
    bool read_only;       /* of `path` */
};

enum kol_status engine_open(const struct engine_options *options, struct engine **out,
                            struct kol_error *err) KOL_CHECKED;
void engine_close(struct engine **engine); /* its sessions must be closed before */

/* Session zone UTC. */
enum kol_status engine_session_open(struct engine *engine, struct engine_session **out,
                                    struct kol_error *err) KOL_CHECKED;
void engine_session_close(struct engine_session **session);

/* Ends the running statement of the session with KOL_INTERRUPTED; callable from any thread. */
void engine_interrupt(struct engine_session *session);

/* From now on a statement that runs longer ends with KOL_TIMEOUT; 0: no limit. */
void engine_set_timeout(struct engine_session *session, int64_t timeout_us);

/* Some functions of the engine go on for as long as they like: one that makes a huge text looks at
 * no interrupt. Where a statement still runs a second after it was interrupted, `stuck` is called
 * with what it should have ended with, from a thread of the engine: it is to end the process. Once,
 * before the first statement. */
void engine_on_stuck(struct engine *engine,
                     void (*stuck)(enum kol_status status, const char *message));

/* Statements without an answer (several may be given). KOL_INVALID with the engine's words for SQL
 * that it refuses, KOL_NO_SPACE for a full disk, KOL_INTERRUPTED also where the program was asked
 * to stop (signals.h). */
enum kol_status engine_exec(struct engine_session *session, const char *sql,
                            struct kol_error *err) KOL_CHECKED;

/* ---- answers ---- */

struct engine_result;

/* Runs one SELECT; rows are fetched as they are asked for. A session has one answer at a time: its
 * next statement ends the rows of the one before. The limit of a statement counts the time within
 * the engine, not the pauses between two calls. */
enum kol_status engine_query(struct engine_session *session, const char *sql,
                             struct engine_result **out, struct kol_error *err) KOL_CHECKED;
void engine_result_free(struct engine_result **result);

size_t engine_columns(const struct engine_result *result);
const char *engine_column_name(const struct engine_result *result, size_t column);
/* The column as the table format would hold it (type, precision, scale, children); `id` is 0. A
 * type without a twin there has `*exact` false: whole numbers beyond 64 bits (HUGEINT, UBIGINT)
 * stand as DECIMAL without a fraction, all others (ENUM, INTERVAL, ...) come as STRING. exact may
 * be NULL. The children live as long as the result. */
struct ice_field engine_column_type(const struct engine_result *result, size_t column, bool *exact);

/* The next rows: their number, 0 at the end. Cells are valid until the next call. */
enum kol_status engine_next(struct engine_result *result, size_t *rows,
                            struct kol_error *err) KOL_CHECKED;

/* Cells of the current rows. INT, LONG, DATE, TIME, TIMESTAMP(TZ) are integers (microseconds,
 * days), DECIMAL by engine_real() or as text, FLOAT and DOUBLE reals. engine_text() gives text and
 * binary as they are; engine_put() appends any value as text (JSON for lists and structs). */
bool engine_null(const struct engine_result *result, size_t column, size_t row);
bool engine_bool(const struct engine_result *result, size_t column, size_t row);
int64_t engine_int(const struct engine_result *result, size_t column, size_t row);
double engine_real(const struct engine_result *result, size_t column, size_t row);
struct str engine_text(const struct engine_result *result, size_t column, size_t row);
void engine_put(const struct engine_result *result, size_t column, size_t row, struct buf *out);
/* Elements of a list of text; returns how many, filling at most `max`. */
size_t engine_texts(const struct engine_result *result, size_t column, size_t row, struct str *out,
                    size_t max);

/* One number, one text from a query with one cell. */
enum kol_status engine_get_int(struct engine_session *session, const char *sql, int64_t *out,
                               struct kol_error *err) KOL_CHECKED;
enum kol_status engine_get_text(struct engine_session *session, const char *sql, struct buf *out,
                                struct kol_error *err) KOL_CHECKED;

/* ---- functions in C ---- */

/* Appends to `out` what it makes of `in`; called from any thread of the engine. */
typedef void engine_text_function(struct str in, struct buf *out);

/* From now on SQL in every session of the engine may call `name`(text), which is null for null.
 * KOL_EXISTS where the engine has such a function. */
enum kol_status engine_add_text_function(struct engine *engine, const char *name,
                                         engine_text_function *run,
                                         struct kol_error *err) KOL_CHECKED;

#define ENGINE_NO_TIME INT64_MIN /* null */

/* Fills `times` (microseconds since 1970) from columns of whole numbers, `arguments[i][row]`.
 * Called from any thread of the engine, with at most 2,048 rows, once for each row. */
typedef void engine_time_function(void *user, size_t rows, const int64_t *const *arguments,
                                  int64_t *times);

/* From now on SQL in every session of the engine may call `name` with so many BIGINTs (at most
 * ENGINE_TIME_ARGUMENTS) for a TIMESTAMPTZ; null for null. `user` must outlive the engine.
 * KOL_EXISTS as above. */
enum { ENGINE_TIME_ARGUMENTS = 4 };
enum kol_status engine_add_time_function(struct engine *engine, const char *name,
                                         size_t argument_count, engine_time_function *run,
                                         void *user, struct kol_error *err) KOL_CHECKED;

/* One member of the answer of a function of numbers. */
struct engine_member {
    const char *name;
    enum ice_type type; /* DOUBLE, LONG, BOOLEAN, STRING, or LIST: a set of names as list of text */
    const char *const *names; /* of a set: at most 63, which outlive the engine */
};

#define ENGINE_NO_SET UINT64_MAX /* null */

/* Where such a function puts one member for all rows of a block. */
union engine_column {
    double *reals;      /* NaN: null */
    int64_t *ints;      /* never null */
    signed char *bools; /* 0, 1; below 0: null */
    const char **texts; /* that outlive the engine; NULL: null */
    uint64_t *sets;     /* bit i: names[i] is in the list, in this order; or ENGINE_NO_SET */
};

/* `arguments[i][row]`, NaN where null; fills every member of every row. Called from any thread of
 * the engine, with at most 2,048 rows. The same arguments must give the same answer. */
typedef void engine_number_function(const void *user, size_t rows, const double *const *arguments,
                                    const union engine_column *members);

/* From now on SQL in every session of the engine may call `name` with so many DOUBLEs; the answer
 * is a STRUCT of the members. `user` must outlive the engine. KOL_EXISTS as above. */
enum kol_status engine_add_number_function(struct engine *engine, const char *name,
                                           size_t argument_count,
                                           const struct engine_member *members, size_t member_count,
                                           engine_number_function *run, const void *user,
                                           struct kol_error *err) KOL_CHECKED;

/* ---- rows in ---- */

struct engine_appender;

/* Fills a table of this session (made by engine_exec(), columns as in `schema`), by column and row
 * of a block: engine_append_...(), then engine_append_row(); blocks go in by themselves. Texts are
 * copied. A cell not set is null. */
enum kol_status engine_append_open(struct engine_session *session, const char *table,
                                   const struct ice_schema *schema, struct engine_appender **out,
                                   struct kol_error *err) KOL_CHECKED;
void engine_append_bool(struct engine_appender *appender, size_t column, bool value);
void engine_append_int(struct engine_appender *appender, size_t column, int64_t value);
void engine_append_real(struct engine_appender *appender, size_t column, double value);
void engine_append_text(struct engine_appender *appender, size_t column, struct str value);
void engine_append_texts(struct engine_appender *appender, size_t column, const struct str *values,
                         size_t count);
enum kol_status engine_append_row(struct engine_appender *appender,
                                  struct kol_error *err) KOL_CHECKED;
/* Makes all rows visible; the appender goes on. */
enum kol_status engine_append_flush(struct engine_appender *appender,
                                    struct kol_error *err) KOL_CHECKED;
/* Rows behind the last flush may be in the table or not: who gives up throws the table away. */
void engine_append_close(struct engine_appender **appender);

struct engine_source;

/* Appends the next rows, at most `room`; none: that was all. Texts are not copied: they stay as
 * they are until the next call or the end of the statement. Called from one thread at a time. */
typedef void engine_fill(struct engine_appender *rows, size_t room, void *user);

/* Rows that are made while a SELECT of the session's engine reads them, in their order, without a
 * table between. They are given once: who reads on after the end gets what `fill` gives then.
 * The schema outlives the source, and the source every statement over it. */
enum kol_status engine_source_open(struct engine_session *session, const struct ice_schema *schema,
                                   engine_fill *fill, void *user, struct engine_source **out,
                                   struct kol_error *err) KOL_CHECKED;
/* Appends what stands behind FROM. */
void engine_source_put(const struct engine_source *source, struct buf *sql);
void engine_source_close(struct engine_source **source);

/* ---- Parquet ---- */

/*
 * Writes the rows of a SELECT (columns in the order of `schema`, cast to its types by position) as
 * Parquet files of about `target_bytes` (0: one file) named `folder`/<unique>.parquet: zstd, field
 * ids, statistics. `files` (in `arena`): path (local), rows, bytes, columns (sizes, counts, NaN
 * counted by ourselves, bounds cut by the rule of the format), split offsets; partition and spec
 * are the caller's to fill. A SELECT without rows gives no file. KOL_INVALID where a value does not
 * fit its declared type or a required column holds a null.
 */
enum kol_status engine_write_parquet(struct engine_session *session, const char *select,
                                     const struct ice_schema *schema, const char *folder,
                                     int64_t target_bytes, struct arena *arena,
                                     struct ice_data_file **files, size_t *count,
                                     struct kol_error *err) KOL_CHECKED;

/* The name of a type in this engine ("BIGINT", "TIMESTAMP WITH TIME ZONE", "VARCHAR[]"). */
void engine_type_name(const struct ice_field *field, struct buf *out);
/* An identifier or a text constant, quoted for this engine. */
void engine_quote_name(struct buf *out, struct str name);
void engine_quote_text(struct buf *out, struct str text);

/* A SELECT of all columns of `schema`, found by field id in these Parquet files (local paths); a
 * column that a file lacks is null there. Without files: no rows. */
void engine_scan_sql(const struct ice_schema *schema, const struct ice_data_file *files,
                     size_t count, struct buf *out);

/* ---- SQL as text ---- */

/* The tables that a SELECT reads ("silver.kol_profiles"), each once, without those it defines
 * itself (WITH), as one sorted array in `arena`. KOL_INVALID where it cannot be parsed. */
enum kol_status engine_tables_of(struct engine_session *session, const char *select,
                                 struct arena *arena, const char ***out, size_t *count,
                                 struct kol_error *err) KOL_CHECKED;

/* KOL_INVALID with the reason unless `sql` is exactly one SELECT that reads named tables only: no
 * file, no table function but unnest, range, generate_series and the like, no setting, no pragma.
 */
enum kol_status engine_check_user_select(struct engine_session *session, const char *sql,
                                         struct kol_error *err) KOL_CHECKED;

/* Closes the door behind the set-up: from now on this engine reads only these files, loads nothing,
 * and no setting can be changed. */
enum kol_status engine_lock(struct engine *engine, const struct ice_data_file *files, size_t count,
                            struct kol_error *err) KOL_CHECKED;

#endif
