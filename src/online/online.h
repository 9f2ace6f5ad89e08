/*
 * online.h: the online copy: what the API reads, copied from one set of pinned snapshots.
 *
 * DATA/online/NNNNNN/ is one copy: `records.mdb` (LMDB: one packed record for each KOL and each
 * piece of content), `lists.duckdb` (lists, filters, search, history) and `meta.json`; both halves
 * are of the same rows. DATA/online/CURRENT names the one in use. A copy is built beside it as
 * NNNNNN.tmp, synced, renamed, and taken into use by replacing CURRENT. It is no source of truth:
 * removing the folder loses nothing, `kol online build` makes it again.
 *
 * `kol etl` ends with online_build(); whoever reads opens a copy and looks now and then with
 * online_refresh() whether there is a newer one. A copy in use is locked by each process that reads
 * it (flock on NNNNNN/lease, given back by the kernel when the process dies) and is removed only
 * when nobody holds it and it has not been the current one for a while.
 *
 * Threads: an opened copy is shared by all threads. A session of lists is one thread's at a time.
 */
#ifndef ONLINE_ONLINE_H
#define ONLINE_ONLINE_H

#include "engine/engine.h"
#include "lake/etl.h"
#include "lake/lake.h"

struct online_copy;

#define ONLINE_KEEP_US                                                                             \
    (INT64_C(15) * 60 * 1000000) /* how long a copy stays after its successor                      \
                                  */

enum { ONLINE_MAX_COLUMNS = 256 };

/* ---- building ---- */

struct online_build_options {
    const char *data; /* DATA */
    struct lake *lake;
    const struct etl_run_tables *run; /* which snapshots; NULL: the last complete run */
    int64_t keep_us;                  /* older copies stay so long; usually ONLINE_KEEP_US */
    bool force;                       /* build although the current copy has the same snapshots */
    /* Called now and then with what is being done; may be NULL. `total` 0: unknown. */
    void (*on_progress)(const char *step, int64_t done, int64_t total, void *user);
    void *user;
};

struct online_build_report {
    int64_t number; /* of the copy that is now current */
    bool skipped;   /* it had the same snapshots already */
    int64_t kols, contents, bytes;
    double seconds, lists_seconds, records_seconds;
    int64_t removed; /* older copies that were cleaned away */
};

/* KOL_NOT_FOUND: no complete run; KOL_CONFLICT: another build is under way. On any failure the copy
 * in use stays as it is, and nothing is left behind. */
enum kol_status online_build(const struct online_build_options *options,
                             struct online_build_report *report, struct kol_error *err) KOL_CHECKED;

/* Removes copies that are not current, that nobody reads and whose successor is older than
 * `keep_us`; online_build() ends with it. KOL_CONFLICT while a build is under way. */
enum kol_status online_clean(const char *data, int64_t keep_us, int64_t *removed,
                             struct kol_error *err) KOL_CHECKED;

/* ---- opening ---- */

struct online_options {
    const char *data;     /* DATA */
    int64_t number;       /* 0: the current copy; else this one (a cursor pins it) */
    int64_t memory_bytes; /* for lists; 0: the engine's default */
    int threads;          /* for lists; 0: one per CPU */
};

/* KOL_NOT_FOUND where there is no copy (or not this one any more), with the command that makes one.
 */
enum kol_status online_open(const struct online_options *options, struct online_copy **out,
                            struct kol_error *err) KOL_CHECKED;
/* One more owner of the same copy, which ends with its last online_close(). */
struct online_copy *online_share(struct online_copy *copy);
void online_close(struct online_copy **copy);

/* Where a newer copy is current, closes `*copy` and opens that one instead. On a failure `*copy`
 * stays. Cheap where nothing changed: one small file is read. */
enum kol_status online_refresh(struct online_copy **copy, bool *changed,
                               struct kol_error *err) KOL_CHECKED;

struct online_info {
    int64_t number;
    const char *run_id;
    int64_t built_us; /* when it was finished */
    int64_t as_of_us; /* the newest event in it; 0: it holds none */
    int64_t kols, contents;
    struct online_snapshot {
        const char *table;   /* "silver.kol_profiles" */
        int64_t snapshot_id; /* -1: the table was empty */
    } * snapshots;
    size_t snapshot_count;
};

/* Lives as long as the copy. */
const struct online_info *online_info(const struct online_copy *copy);

/* ---- records by key ---- */

enum online_kind { ONLINE_KOL, ONLINE_CONTENT, ONLINE_KINDS };

enum online_type {
    ONLINE_BOOL,
    ONLINE_INT, /* also days of a date, microseconds of a time */
    ONLINE_REAL,
    ONLINE_TEXT, /* also decimals, and what has no form of its own, as JSON */
    ONLINE_TEXTS /* a list of text */
};

struct online_column {
    const char *name;
    enum online_type type;
    const char *declared; /* the type in the lake: "long", "timestamptz", "list<string>" */
};

struct online_layout;

/*
 * The columns of a kind in this copy. ONLINE_KOL: platform, kol_id, all of silver.kol_profiles,
 * tier and the other columns of the KOL's current row in gold.dim_kol, of
 * silver.kol_engagement_metrics, gold.kol_scores and gold.kol_standing. ONLINE_CONTENT: all of
 * silver.kol_content and the content's place in gold.content_trending of the platform's newest
 * hour. A column that a table gains in the lake is here with the next build; resolve names once for
 * each opened copy.
 */
const struct online_column *online_columns(const struct online_copy *copy, enum online_kind kind,
                                           size_t *count);
int online_column(const struct online_copy *copy, enum online_kind kind,
                  const char *name); /* -1: none */

/* A record: a view that is valid until the copy is closed. */
struct online_record {
    const struct online_layout *layout;
    struct str bytes;
};

/* KOL_NOT_FOUND; KOL_CORRUPT where the stored bytes are not what was written. */
enum kol_status online_get(const struct online_copy *copy, enum online_kind kind,
                           struct str platform, struct str id, struct online_record *out,
                           struct kol_error *err) KOL_CHECKED;

/* The records of this id on all platforms, at most `max`: the one with most followers (content:
 * views) first, unknown ones last, then by platform. KOL_NOT_FOUND where there is none. */
enum kol_status online_find(const struct online_copy *copy, enum online_kind kind, struct str id,
                            struct online_record *out, size_t max, size_t *count,
                            struct kol_error *err) KOL_CHECKED;

/* Many at once: out[i].bytes is empty where there is none. A key without a platform (empty) takes
 * the first that online_find() would give. */
struct online_key {
    struct str platform, id;
};
enum kol_status online_get_many(const struct online_copy *copy, enum online_kind kind,
                                const struct online_key *keys, size_t count,
                                struct online_record *out, struct kol_error *err) KOL_CHECKED;

/* Cells. False where it is unknown or the column is -1; a column of another type is a bug and
 * panics. */
bool online_bool(const struct online_record *record, int column, bool *out);
bool online_int(const struct online_record *record, int column, int64_t *out);
bool online_real(const struct online_record *record, int column, double *out);
bool online_text(const struct online_record *record, int column, struct str *out);
/* How many texts the list has (-1: unknown), of which at most `max` are filled in. */
int64_t online_texts(const struct online_record *record, int column, struct str *out, size_t max);

/* ---- lists ---- */

/*
 * A session on lists.duckdb, opened read-only; close it with engine_session_close() before the
 * copy. Tables:
 *   kols       the columns of ONLINE_KOL but for long texts (RECORD_ONLY in sources.def), with
 *              name_folded and id_folded, in no order
 *   kols_by_followers, _engagement, _trust, _trending, _success, _composite
 *              a row for each KOL, highest first: platform, kol_id, the metric, verified, tier,
 *              category, lang, followers_count, trust_score; kols_by_followers also name_folded and
 *              id_folded, for searches by popularity
 *   content    the columns of ONLINE_CONTENT but for long texts, with title_folded, by kol_id and
 *              platform, newest first
 *   kol_daily, kol_hourly_engagement, content_totals, kol_rankings, content_trending,
 *   platform_metrics, agg_platform_kpi: as in the lake, where the run has them
 * A top list is SELECT platform::VARCHAR, kol_id, rowid FROM kols_by_... WHERE filters LIMIT n,
 * without ORDER BY: rows come in the order in which they lie; the next page begins at rowid > the
 * last one seen. There platform, tier, category and lang are of an ENUM type: compared with any
 * text, read by a cast, which engine_text() insists on.
 * The rows themselves are then taken by online_get_many(). What is searched for goes through
 * fold_put() (base/fold.h) first. Lists are short: one thread (options.threads = 1) is fastest.
 */
enum kol_status online_lists(struct online_copy *copy, struct engine_session **out,
                             struct kol_error *err) KOL_CHECKED;

#endif
