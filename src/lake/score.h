/*
 * score.h: the scores of one KOL, computed now from the tables of the last complete run.
 */
#ifndef LAKE_SCORE_H
#define LAKE_SCORE_H

#include "lake/lake.h"
#include "score/score.h"

struct lake_scoring {
    struct engine *engine;
    struct engine_session *session;
    struct engine_result *result; /* columns of gold.kol_scores; a row for each platform */
};

/* `kol`: a kol_id or platform:kol_id. The rows are those that `kol etl` would write with these
 * models. KOL_NOT_FOUND where no run is complete. On a failure nothing stays open. */
enum kol_status lake_score_kol(struct lake *lake, const struct score_models *models,
                               const char *kol, struct lake_scoring *out,
                               struct kol_error *err) KOL_CHECKED;
void lake_scoring_close(struct lake_scoring *scoring);

#endif
