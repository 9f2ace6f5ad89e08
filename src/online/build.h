/* build.h: how a copy is built, without the lake: from tables that a session of SQL can read.
 * Private to online/. */
#ifndef ONLINE_BUILD_H
#define ONLINE_BUILD_H

#include "online/parts.h"

/* A table that the session knows as name_space.name. */
struct online_source {
    const char *name_space, *name;
    const struct ice_schema *schema;
    int64_t snapshot_id;
};

struct online_input {
    struct engine *engine; /* in memory; the copy is attached to it as `copy` */
    struct engine_session *session;
    const struct online_source *sources;
    size_t source_count;
    const char *run_id;
};

/* A build under way. */
struct online_build_state {
    const struct online_build_options *options;
    const struct online_input *input;
    char *folder;            /* DATA/online/NNNNNN.tmp */
    char *elsewhere;         /* a folder that lists.duckdb is made in instead, or NULL */
    struct online_meta meta; /* filled by and by */
    int64_t steps_done;      /* tables of lists.duckdb */
    /* SELECT of the rows of a kind with the columns of its layout, in no order. The snapshots are
     * pinned, so that it gives the same rows whenever it runs. */
    struct buf rows[ONLINE_KINDS];
};

/* Everything of online_build() behind the pinning of snapshots. */
enum kol_status online_build_from(const struct online_build_options *options,
                                  const struct online_input *input,
                                  struct online_build_report *report,
                                  struct kol_error *err) KOL_CHECKED;

/* Makes an empty lists.duckdb, attached as `copy`. */
enum kol_status online_build_attach(struct online_build_state *state,
                                    struct kol_error *err) KOL_CHECKED;
/* Detaches it; it is whole, synced and in its place afterwards. */
enum kol_status online_build_detach(struct online_build_state *state,
                                    struct kol_error *err) KOL_CHECKED;
/* Detaches what will not be needed. */
void online_build_give_up(struct online_build_state *state);

/* lists.duckdb, which stays attached as `copy`; fills layouts, rows, counts and as_of. */
enum kol_status online_build_lists(struct online_build_state *state,
                                   struct kol_error *err) KOL_CHECKED;
/* Its ranked lists, out of copy.kols. */
enum kol_status online_build_ranked(struct online_build_state *state,
                                    struct kol_error *err) KOL_CHECKED;
/* records.mdb. */
enum kol_status online_build_records(struct online_build_state *state,
                                     struct kol_error *err) KOL_CHECKED;

/* The tables of lists.duckdb that hold the records, and the columns of their keys. */
extern const char *const online_list_tables[ONLINE_KINDS];
extern const char *const online_id_columns[ONLINE_KINDS];

const struct online_source *online_source_find(const struct online_input *input,
                                               const char *name_space,
                                               const char *name); /* or NULL */
void online_say(const struct online_build_state *state, const char *step, int64_t done,
                int64_t total);

#endif
