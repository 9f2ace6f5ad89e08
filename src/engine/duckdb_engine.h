/*
 * duckdb_engine.h: what the files of the DuckDB back end share.
 *
 * DuckDB has no statement limit of its own. One watcher thread an engine looks at the running
 * statements every few milliseconds and interrupts those whose time is up or whose program was
 * asked to stop; it sleeps while nothing runs. Every call that may take long stands between
 * engine_begin_() and engine_end_().
 */
#ifndef ENGINE_DUCKDB_ENGINE_H
#define ENGINE_DUCKDB_ENGINE_H

#include <duckdb.h>
#include <pthread.h>
#include <stdatomic.h>

#include "engine/engine.h"

struct engine {
    duckdb_database database;
    pthread_t watcher;
    bool watched;                   /* the thread was started */
    pthread_mutex_t lock;           /* over all below, and `deadline_ns` and links of sessions */
    pthread_cond_t wake;            /* a statement began behind an idle time, or the end came */
    bool idle, stop;                /* the watcher waits for `wake`; it must end */
    struct engine_session *running; /* sessions with a statement at work, doubly linked */
    struct engine_source *sources;  /* the open ones, linked */
    int64_t source_count;           /* all there ever were */
    void (*stuck)(enum kol_status status, const char *message); /* see engine_on_stuck() */
};

/* Why a statement was interrupted; the first reason stays. */
enum engine_cause { ENGINE_NONE, ENGINE_ASKED, ENGINE_STOPPED, ENGINE_LATE };

struct engine_session {
    struct engine *engine;
    duckdb_connection connection;
    struct engine_session *next, *prev;
    _Atomic int cause;            /* enum engine_cause of the statement */
    int64_t timeout_us;           /* of a statement, 0: none */
    int64_t began_ns, used_ns;    /* this stretch of it; the stretches before */
    int64_t deadline_ns;          /* of this stretch, 0: none */
    int64_t interrupted_ns;       /* when the watcher first saw it interrupted, 0: it is not */
    struct engine_result *result; /* whose rows are being fetched, or NULL */
};

/* A stretch of work on a statement; `first` where the statement is new. What is left of the limit
 * counts over all stretches: a slow reader of rows does not use it up. */
void engine_begin_(struct engine_session *session, bool first);
void engine_end_(struct engine_session *session);

/* Whether the statement is over before its next stretch: asked to end, or out of time. Rows may
 * come so fast that the watcher never meets one on its way. */
enum kol_status engine_over_(struct engine_session *session, struct kol_error *err) KOL_CHECKED;

/* Makes an error of DuckDB's words. */
enum kol_status engine_fail_(struct engine_session *session, const char *message,
                             struct kol_error *err) KOL_CHECKED;

/* engine_query() for SQL of our own that gives few rows, of types that need no turning into text:
 * all rows at once, and planned once, where a prepared statement over files is planned when it is
 * prepared and again when it starts. */
enum kol_status engine_query_whole_(struct engine_session *session, const char *sql,
                                    struct engine_result **out, struct kol_error *err) KOL_CHECKED;

/* A type of DuckDB as the table format has it; see engine_column_type(). */
struct ice_field engine_field_of_(duckdb_logical_type type, struct arena *arena, bool *exact);

/* The vector of a column of the current rows: for values of more than one level. */
duckdb_vector engine_vector_(const struct engine_result *result, size_t column);

/* Appends the value of a vector at `row`; `json`: as inside of a JSON document. */
void engine_put_value_(duckdb_vector vector, duckdb_logical_type type, size_t row, bool json,
                       struct buf *out);

/* A type that neither C nor JSON has a form for: the SELECT is wrapped to give it as text. */
bool engine_is_odd_(duckdb_logical_type type);

/* Appends what a file written under this schema carries in its footer: a hash of the columns' ids,
 * names and types. */
void engine_schema_mark_(const struct ice_schema *schema, struct buf *out);

/* A path as a text constant that read_parquet() and its like take for one file, whatever its
 * letters: they see patterns in it. */
void engine_quote_path_(struct buf *out, struct str path);
/* The same, not quoted. */
void engine_put_path_(struct buf *out, struct str path);

/* The SELECT over one file without field ids, whose columns the schema's name mapping tells. A file
 * that cannot be read so ends the SELECT with a message that names it. */
void engine_scan_mapped_(const struct ice_schema *schema, const char *path, struct buf *out);

bool engine_cell_valid_(duckdb_vector vector, size_t row);
struct str engine_cell_text_(const duckdb_string_t *cell);

#endif
