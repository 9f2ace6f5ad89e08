/*
 * score.h: the scores: trust, success, trending, composite, and the words for them.
 *
 * Pure functions: the same inputs and model give the same double, in batch, stream and API. Scores
 * are 0..100 and unrounded (rounded to 2 decimals only in JSON, score_round()); NaN is "none".
 * Source of all formulas and bounds: SPEC section 3, restated in docs/scores.md.
 *
 * Threads: any; a struct score_models is counted by its holders and does not change.
 */
#ifndef SCORE_SCORE_H
#define SCORE_SCORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "gbdt/gbdt.h"
#include "score/features.h"

/* ---- models ---- */

enum score_kind { SCORE_TRUST, SCORE_SUCCESS, SCORE_KINDS };
const char *score_kind_name(enum score_kind kind); /* "trust", "success" */

/* A model with its place in the registry. */
struct score_model {
    struct gbdt_model *gbdt;
    char version[64]; /* "trust/3": what answers, tables and the ledger say */
    /* Of the model's text: "trust/shipped" is another model in another program. 0: not told. */
    uint64_t checksum;
};

/* KOL_INVALID unless the model is binary and has the features of the kind in their order. */
enum kol_status score_check_model(enum score_kind kind, const struct gbdt_model *gbdt,
                                  struct kol_error *err) KOL_CHECKED;

/* The models that serve, taken and let go together, so that one answer never mixes two versions.
 * A member whose gbdt is NULL: none is loaded. */
struct score_models {
    struct score_model by_kind[SCORE_KINDS];
};

/* ---- trust ---- */

struct trust_score {
    double score;       /* 100 x (1 - p); NaN where nothing at all is known of the account */
    double probability; /* p of untrustworthy */
    double raw;         /* log-odds */
    double confidence;  /* max(p, 1 - p); 0 without a score */
    const char *label;  /* trust_label() */
    const char *risk;   /* risk_level() */
    bool in_domain;     /* each known feature lies in what the model saw in training */
    uint32_t outside;   /* bit i: feature i does not */
};

/* Scores of `count` accounts. */
void trust_score(const struct gbdt_model *model, const struct trust_inputs *inputs, size_t count,
                 struct trust_score *out);
/* The same from features that were computed before (count x TRUST_FEATURES). */
void trust_score_features(const struct gbdt_model *model, const double *features, size_t count,
                          struct trust_score *out);

const char *trust_label(double score); /* high >= 80, medium >= 40, low; "unknown" for NaN */
const char *
risk_level(double score); /* low >= 80, moderate >= 60, elevated >= 40, high; "unknown" */

/* ---- success ---- */

struct success_score {
    double score;       /* NaN where no input of the method is known */
    const char *label;  /* success_label() */
    const char *method; /* "model" or "rule" */
    bool in_domain;     /* rule: true */
    uint32_t outside;   /* bit i: feature i lies outside */
    uint32_t missing;   /* rule: bit 0 views, 1 rate, 2 ctr, 3 engagement were unknown and gave 0 */
};

/* `model` NULL: by the rule. */
void success_score(const struct gbdt_model *model, const struct success_inputs *inputs,
                   size_t count, struct success_score *out);
double success_rule(const struct success_inputs *inputs, uint32_t *missing);
const char *success_label(double score); /* High >= 50, Not-High; "unknown" */

/* ---- trending ---- */

struct trending_inputs {
    double velocity; /* v: engagement a minute in the 5-minute window */
    double baseline; /* b: engagement a minute over the 7 days before */
    double market;   /* m: mean v of the platform's active KOLs */
    double momentum; /* q: (v - v_prev) / max(v_prev, 1) */
};

#define TRENDING_FLOOR 1.0         /* of b and m that were measured */
#define TRENDING_FLOOR_BY_HAND 0.1 /* of those that are given by hand */

/* `floor` holds up b and m, see above. NaN where an input is unknown, infinite or negative
 * (momentum: below -1). */
double trending_score(const struct trending_inputs *inputs, double floor);
double trending_momentum(double velocity, double velocity_before); /* q; NaN as above */
/* views + 10 likes + 20 comments + 30 shares, of gains. A fall adds nothing, nor does a gain that
 * is unknown (some platforms never tell shares); NaN where none is known. */
double engagement_points(double views, double likes, double comments, double shares);
const char *
trending_label(double score); /* Viral >= 80, Hot, Warm, Normal >= 25, Cold; "unknown" */

/* ---- together ---- */

enum composite_part { COMPOSITE_TRENDING, COMPOSITE_SUCCESS, COMPOSITE_TRUST, COMPOSITE_PARTS };
extern const char *const composite_part_names[COMPOSITE_PARTS];
const char *composite_part_name(enum composite_part part);

/* 0.40 trending + 0.35 success + 0.25 trust over the parts that exist (are not NaN), weights
 * renormalised; NaN without any. `parts` (bits by enum composite_part) says which. */
double composite_score(double trending, double success, double trust, uint32_t *parts);

double virality_index(double favorites, double followers); /* NaN: unknown, or no followers */
const char *kol_tier(double followers); /* Rising, Nano, Micro, Mid, Macro, Mega; NULL: unknown */

/* To 2 decimals, halves to even, as JSON shows it; NaN stays. */
double score_round(double score);

#endif
