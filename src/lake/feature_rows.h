/*
 * feature_rows.h: the rows that a model is trained on, as they are now or as they were known at a
 * time.
 */
#ifndef LAKE_FEATURE_ROWS_H
#define LAKE_FEATURE_ROWS_H

#include "lake/lake.h"
#include "score/score.h"

struct lake_features {
    struct engine *engine;
    struct engine_session *session;
    const struct lake_table *table; /* gold.ml_trust_training or gold.ml_success_training */
    const char *select;             /* its columns, in the order of its key, for the session */
    struct arena arena;
    const char **files; /* in the staging folder; removed by lake_features_close() */
    size_t file_count, file_cap;
};

/*
 * The training table of a kind. `as_of_us` NULL: as it is. Else made anew from the events of bronze
 * whose event_time is not after that time, by the same SELECTs, rules and features, so that no
 * value of later is in it: neither in a feature nor in a label nor in a bound between labels.
 * KOL_NOT_FOUND where bronze or the table is not there yet. On a failure nothing stays open.
 */
enum kol_status lake_features_open(struct lake *lake, enum score_kind kind, const int64_t *as_of_us,
                                   struct lake_features *out, struct kol_error *err) KOL_CHECKED;
void lake_features_close(struct lake_features *features);

/* Writes the rows as one Parquet file, which is at `path` whole or not at all. Without rows it has
 * the columns alone. */
enum kol_status lake_features_write(struct lake_features *features, const char *path, int64_t *rows,
                                    struct kol_error *err) KOL_CHECKED;

#endif
