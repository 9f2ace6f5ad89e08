/*
 * explain.h: why a score is what it is: what each feature adds, in score points and in words.
 *
 * phi is exact TreeSHAP in log-odds (gbdt_explain()); points are phi_i (score - base) / (raw -
 * raw_base), base being the score of raw_base, so that base + sum of points = score. Where raw and
 * raw_base are equal, the limit is taken: -100 p (1 - p) phi_i.
 */
#ifndef SCORE_EXPLAIN_H
#define SCORE_EXPLAIN_H

#include "base/str.h"
#include "score/score.h"

struct contribution {
    size_t feature; /* number in the feature table of the kind */
    double value;   /* of the feature; NaN: unknown */
    double phi;     /* log-odds of class 1 */
    double points;  /* of the score */
};

struct explanation {
    enum score_kind kind;
    double score, base;                            /* points */
    double raw, raw_base;                          /* log-odds */
    size_t count;                                  /* features of the kind */
    struct contribution by_weight[TRUST_FEATURES]; /* |points| falling, then by number */
};

/* Explains the score that trust_score() or a success model gives to these features. The model is
 * one that gbdt_can_explain(). Where not one feature is known there is no score; what is explained
 * then is what the model says of an account of which nothing is known. */
void score_explain(enum score_kind kind, const struct gbdt_model *model, const double *features,
                   struct explanation *out);

/* Appends a plain sentence for one contribution, from the inputs where that says more:
 * "follows 10 times more accounts than follow it: -12.4". An input that is unknown while the
 * feature is not (a row of features alone) leaves the feature's meaning and value. */
void trust_reason(const struct trust_inputs *inputs, const struct contribution *part,
                  struct buf *out);
void success_reason(const struct success_inputs *inputs, const struct contribution *part,
                    struct buf *out);

#endif
