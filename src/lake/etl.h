/*
 * etl.h: bronze to silver to gold: one SELECT a table, run as one graph.
 *
 * Order follows from the tables that each SELECT names. A table is made anew, whole, from pinned
 * snapshots of its inputs, checked against rules.def (what breaks a rule goes to lake.quarantine),
 * and replaced in one commit whose properties say from which snapshots and which text it came
 * (kol.inputs); where neither changed, it is skipped. The row in lake.runs, written last, makes a
 * run complete.
 */
#ifndef LAKE_ETL_H
#define LAKE_ETL_H

#include "lake/lake.h"
#include "score/score.h"

enum etl_outcome { ETL_WRITTEN, ETL_SKIPPED, ETL_INCREMENTAL };

struct etl_table_report {
    const char *name_space, *name;
    enum etl_outcome outcome;
    int64_t rows, bytes, quarantined;
    int64_t snapshot_id;
    double seconds;
    size_t number, count; /* which of how many tables of this run, from 1 */
};

struct etl_options {
    struct lake *lake;
    const char *const *tables; /* only these and what they need ("gold.dim_kol"); none: all */
    size_t table_count;
    const char *version; /* of the program, for lake.runs */
    bool full;           /* make even what did not change, and nothing incrementally */
    bool rescore;        /* make the tables of scores even where nothing changed */
    const struct score_models *models; /* what scores; they outlive the run */
    /* Called after each table, in running order, from any thread of the run but one at a time; may
     * be NULL. */
    void (*on_table)(const struct etl_table_report *report, void *user);
    /* Called once behind all tables, in a session in which those of the run are views; the next run
     * may begin meanwhile. May be NULL. Its failure is the run's, whose tables stand. */
    enum kol_status (*on_end)(struct engine_session *session, void *user, struct kol_error *err);
    void *user;
};

/* KOL_CONFLICT where another run is under way. `run_id` gets the id of the run. */
enum kol_status etl_run(const struct etl_options *options, char run_id[40],
                        struct kol_error *err) KOL_CHECKED;

/* A row in lake.runs: which snapshot of which table belongs to a complete run. */
struct etl_run_tables {
    char run_id[40];
    int64_t finished_us;
    struct arena arena;
    struct etl_run_table {
        const char *name_space, *name;
        int64_t snapshot_id; /* -1: the table was empty and had none */
    } * tables;
    size_t count;
};

/* The last complete run; KOL_NOT_FOUND where there is none. */
enum kol_status etl_last_run(struct lake *lake, struct etl_run_tables *out,
                             struct kol_error *err) KOL_CHECKED;
void etl_run_tables_free(struct etl_run_tables *run);

#endif
