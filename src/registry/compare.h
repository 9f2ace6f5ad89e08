/*
 * compare.h: two versions of a model on the same rows, and whether the newer one is better.
 *
 * Every difference comes with an interval from a paired bootstrap over accounts: the same draws for
 * both versions, all rows of an account together, seeded.
 */
#ifndef REGISTRY_COMPARE_H
#define REGISTRY_COMPARE_H

#include "registry/registry.h"
#include "registry/train.h"

/* What a promotion asks for: the whole interval of the AUC's gain above 0, and probabilities that
 * mean what they say. */
#define COMPARE_MOST_CALIBRATION 0.025

enum compare_part {
    COMPARE_ALL,    /* all rows; what a promotion looks at */
    COMPARE_FULL,   /* trust, where there are both kinds: rows with all inputs */
    COMPARE_MASKED, /* and those without age and default flags */
    COMPARE_PARTS
};
const char *compare_part_name(enum compare_part part); /* "all", "full", "masked" */

struct compare_line {
    size_t rows, accounts; /* 0: the part is not there */
    double a[METRICS], b[METRICS];
    struct metric_interval difference[METRICS]; /* of b over a */
};

/* A row whose label is another one by b than by a. */
struct compare_flip {
    struct str account; /* lives as long as the set */
    bool masked;
    uint8_t truth;
    double score_a, score_b;       /* points, 0..100 */
    const char *label_a, *label_b; /* trust_label(), success_label() */
};

struct comparison {
    struct compare_line lines[COMPARE_PARTS];
    struct compare_flip *flips; /* in the order of the rows; for free() by comparison_free() */
    size_t flip_count;
};

/* Compares two models on those rows of the set that `chosen` (one byte a row) says, NULL: on all.
 * KOL_INVALID where no rows are chosen or one class alone is among them. */
enum kol_status compare_models(const struct score_model *a, const struct score_model *b,
                               const struct train_set *set, const uint8_t *chosen, int64_t seed,
                               struct comparison *out, struct kol_error *err) KOL_CHECKED;
void comparison_free(struct comparison *comparison);

/* KOL_OK where b may be promoted over a; KOL_CONFLICT says what it lacks. */
enum kol_status compare_check_better(const struct comparison *comparison,
                                     struct kol_error *err) KOL_CHECKED;

#endif
