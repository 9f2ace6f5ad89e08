/*
 * etl_run.h: what the parts of one run share. Private.
 */
#ifndef LAKE_ETL_RUN_H
#define LAKE_ETL_RUN_H

#include <pthread.h>

#include "lake/etl.h"
#include "lake/graph.h"
#include "lake/rules.h"
#include "lake/since.h"

/* Property in the summary of a snapshot: what it was made from (JSON). A snapshot that somebody
 * else made has none, so a table that was changed behind our back is made anew. */
#define ETL_INPUTS "kol.inputs"
#define ETL_RUN_ID "kol.run-id"
/* The tag on the version of a bronze table that the last whole run read. */
#define ETL_TAG "kol-last-run"
/* In the summary of a compaction: the snapshot whose rows these are. Tables made from that one are
 * still up to date. */
#define ETL_ROWS_OF "kol.rows-of"

/* In the summary of a version that a model scored: the place in the log up to which bronze had read
 * when it was made, {"topic": {"partition": next offset}}. */
#define ETL_OFFSETS "kol.source-offsets"

/* One run. Its tables are made by a few threads, each with a session of its own (etl_work.c); views
 * belong to the engine, so that all sessions see them. */
struct etl_state {
    struct lake *lake;
    const struct etl_options *options;
    struct engine *engine;
    char run_id[40];
    int64_t started_us;
    pthread_mutex_t lock;           /* of all below; etl_pin() and its like take it themselves */
    struct engine_session *session; /* makes the views */
    struct graph graph;
    struct since *since;    /* what kol_since() knows, of the one table that keeps times */
    struct lake_pin **pins; /* every table read or written so far, at the version of this run */
    size_t pin_count, pin_cap;
    /* Held by who looks at rows that broke a rule or replaces them: lake.quarantine is the one
     * table that several others write to, and its pin moves on within a run. */
    pthread_mutex_t quarantine;
    /* Held for reading by who reads through views, for writing by who narrows them to some days. */
    pthread_rwlock_t views;
};

/* The run's version of "gold.x", which is pinned and made a view at the first call; a declared
 * table that does not exist is made. It stays as it is until the end of the run, but for that of
 * lake.quarantine. */
enum kol_status etl_pin(struct etl_state *state, const char *name, struct lake_pin **out,
                        struct kol_error *err) KOL_CHECKED;

/* Makes the current version of a table that was just written the run's version. */
enum kol_status etl_repin(struct etl_state *state, const struct lake_table *table,
                          struct lake_pin **out, struct kol_error *err) KOL_CHECKED;

/* The snapshot whose rows a pinned version holds: its own, or the one that it is a compaction of.
 */
int64_t etl_rows_of(const struct lake_pin *pin);

/* Shows a pinned version, or a part of it, under the table's name to all sessions. */
enum kol_status etl_view(struct etl_state *state, const struct lake_pin *pin,
                         struct kol_error *err) KOL_CHECKED;

/* Makes one table, or finds that nothing has changed. Its inputs must be made. */
enum kol_status etl_table(struct etl_state *state, struct engine_session *session,
                          struct graph_node *node, struct etl_table_report *report,
                          struct kol_error *err) KOL_CHECKED;

/* Makes all tables of the graph, and reports them to the caller of the run. */
enum kol_status etl_make_tables(struct etl_state *state, struct kol_error *err) KOL_CHECKED;

/* ---- incremental runs: etl_days.c ---- */

struct etl_days {
    enum ice_transform unit; /* ICE_DAY or ICE_MONTH: what the table is partitioned by */
    int32_t *days;           /* days or months since 1970, ascending, each once */
    size_t count, cap;
};

/* The days or months (days->unit is given) whose bronze files differ between two descriptions of
 * inputs (kol.inputs). `known` is false where that cannot be told, or something other than bronze
 * changed. */
enum kol_status etl_changed_days(struct etl_state *state, const struct graph_node *node,
                                 const char *before, const char *now, struct etl_days *days,
                                 bool *known, struct kol_error *err) KOL_CHECKED;
void etl_days_free(struct etl_days *days);

/* Marks the versions of bronze that tables made by days were made from, so that they are still
 * known at the next run however many commits lie between. What fails is logged: the next run then
 * makes those tables whole. */
void etl_tag_inputs(struct etl_state *state);

/* Makes the bronze inputs of a node show these days only; then all of their rows again. Between the
 * two state->views must be held for writing. */
enum kol_status etl_view_days(struct etl_state *state, const struct graph_node *node,
                              const struct etl_days *days, struct kol_error *err) KOL_CHECKED;
enum kol_status etl_view_all(struct etl_state *state, const struct graph_node *node,
                             struct kol_error *err) KOL_CHECKED;

/* The most rows that an input of a node has; of these days (NULL: all) where it is of bronze. */
enum kol_status etl_count_rows(struct etl_state *state, const struct graph_node *node,
                               const struct etl_days *days, int64_t *rows,
                               struct kol_error *err) KOL_CHECKED;

/* Days that follow one another, and how many rows the bronze inputs have of them together. */
struct etl_stretch {
    struct etl_days days; /* by ICE_DAY */
    int64_t rows;
};

/* Cuts the days (NULL: all) of the bronze inputs into stretches of at most `most` rows, or of one
 * day where that has more. None where the day of a file cannot be told. */
enum kol_status etl_cut_days(struct etl_state *state, const struct graph_node *node,
                             const struct etl_days *wanted, int64_t most, struct etl_stretch **out,
                             size_t *count, struct kol_error *err) KOL_CHECKED;
void etl_stretches_free(struct etl_stretch *stretches, size_t count);

/* What etl_last_run() gives, by a session of this run. */
enum kol_status etl_run_before(struct etl_state *state, struct etl_run_tables *out,
                               struct kol_error *err) KOL_CHECKED;

/* Appends what ETL_OFFSETS says of this run: the next offsets of all tables of bronze that are
 * pinned. */
enum kol_status etl_put_offsets(struct etl_state *state, struct buf *out,
                                struct kol_error *err) KOL_CHECKED;

/* Brings lake.score_ledger up to this version of gold.kol_scores. */
enum kol_status etl_write_ledger(struct etl_state *state, const struct lake_pin *scores,
                                 struct kol_error *err) KOL_CHECKED;

/* Adds the row to lake.runs that completes the run. */
enum kol_status etl_write_run(struct etl_state *state, struct kol_error *err) KOL_CHECKED;

#endif
