/*
 * score_step.h: tables whose columns come out of the scorers: their SELECT gives the inputs, C
 * gives the rest. Private.
 *
 * The rooms gbdt/ and score/ are called as functions of the engine, block by block, from all of its
 * threads: the rows are never in memory together, and the one definition of a feature is in C.
 */
#ifndef LAKE_SCORE_STEP_H
#define LAKE_SCORE_STEP_H

#include <stdbool.h>

#include "base/str.h"
#include "lake/tables.h"
#include "score/score.h"

/* The table as it is before this, as a relation. `same`: made by the same SELECT, formulas and
 * models, see score_step_describe(). `read`: kol_since() knows its rows (since.h); else the engine
 * joins them. */
struct score_previous {
    const char *relation;
    bool same, read;
};

/* Appends the SELECT of all columns of a table of kind SCORE, around the SELECT of its inputs.
 * `previous` (NULL: none): where its row says the same, its time of computing stays. */
void score_step_select(const struct lake_table *table, struct str inputs,
                       const struct score_models *models, const struct score_previous *previous,
                       int64_t now_us, struct buf *out);

/* Whether rows keep the time of their computing; then `out` gets the columns of the version before,
 * as `q`, for since_read(). */
bool score_step_keeps_times(const struct lake_table *table, const struct score_previous *previous,
                            struct buf *out);

/* False for features and training sets, which are the same whatever model serves. */
bool score_step_asks_a_model(const struct lake_table *table);

/* Appends what the rows depend on beside their inputs: revision of the formulas, and versions and
 * checksums of models. */
void score_step_describe(const struct lake_table *table, const struct score_models *models,
                         struct buf *out);

#endif
