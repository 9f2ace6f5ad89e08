/*
 * train_parts.h: one training on its way: what train.c gathers, and what metadata.c and report.c
 * write down. Private to the room.
 */
#ifndef REGISTRY_TRAIN_PARTS_H
#define REGISTRY_TRAIN_PARTS_H

#include "gbdt/gbdt.h"
#include "registry/lightgbm.h"
#include "registry/train.h"

#define TRAIN_PATIENCE 50     /* rounds without a better validation loss end a training */
#define TRAIN_MOST_TREES 3000 /* where the options set no bound */
#define TRAIN_REPEATS 5       /* permutations of a feature */

/* The recipe, in the order in which LightGBM and the metadata get it. */
struct train_parameter {
    const char *name, *value;
};
extern const struct train_parameter train_parameters[];
extern const size_t train_parameter_count;

static const double train_quantiles[] = {0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99};
#define TRAIN_QUANTILES (sizeof train_quantiles / sizeof train_quantiles[0])

enum { TRAIN_BINS = 10 };

/* What a feature was in the rows that the model was made of, unmasked: what drift is measured
 * against. */
struct train_range {
    double min, max; /* NaN: never known */
    double null_rate;
    double quantiles[TRAIN_QUANTILES]; /* of the known values; NaN without any */
    /* The known values by deciles: share i is of those up to up_to[i] and above the one before, the
     * last of those above all. Equal deciles are one, so that a flag has two bins. */
    double up_to[TRAIN_BINS - 1], shares[TRAIN_BINS];
    size_t bins; /* 0: never known */
};

/* What the AUC loses when the feature's values are dealt out among the rows at random. */
struct train_loss {
    double mean, deviation; /* over TRAIN_REPEATS */
};

/* Some rows of the set with what a model says of them. */
struct train_view {
    size_t *rows; /* numbers of rows of the set */
    uint8_t *labels;
    uint32_t *accounts; /* 0 .. account_count - 1, as metrics.h wants them */
    double *scores;     /* probabilities of class 1 */
    size_t count, account_count;
};

struct train_work {
    const struct train_options *options;
    const struct train_set *set;
    uint8_t *parts; /* of the set's rows */
    struct lightgbm lib;
    struct gbdt_model *model;       /* the program's own reading of what was trained */
    int64_t rounds;                 /* of the first pass, until it was stopped */
    int64_t trees;                  /* at its best round: as many as the model has */
    double best_loss;               /* on validation, at that round */
    struct train_view full, masked; /* of the test part */
    struct train_range *ranges;     /* one a feature */
    struct train_loss *importance;  /* one a feature */
};

const struct score_feature *train_features(enum score_kind kind);

/* Rows of one part: masked or not. Without scores. */
void train_view_make(const struct train_set *set, const uint8_t *parts, enum train_part part,
                     bool masked, struct train_view *out);
void train_view_free(struct train_view *view);
/* Asks the model for view->scores. */
void train_view_score(const struct train_set *set, const struct gbdt_model *model,
                      struct train_view *view);
struct train_quality train_view_quality(const struct train_view *view, uint64_t seed);

/* importance.c: both in memory for free(), one a feature. */
struct train_range *train_make_ranges(const struct train_set *set, const uint8_t *parts);
enum kol_status train_make_importance(const struct train_work *work, struct train_loss **out,
                                      struct kol_error *err) KOL_CHECKED;

/* metadata.c and report.c */
void train_put_metadata(const struct train_work *work, const struct train_result *result,
                        struct buf *out);
void train_put_report(const struct train_work *work, const struct train_result *result,
                      struct buf *out);

#endif
