/*
 * train.h: trains a model through LightGBM's C API and says how good it is.
 *
 * Rows are split by account (all rows of one account are in one part), stratified by label: 70 %
 * train, 15 % validation (early stopping only), 15 % test (looked at once, at the end). The same
 * rows in the same order with the same seed give the same bytes of model.txt and metadata.json.
 * Threads: one training at a time.
 */
#ifndef REGISTRY_TRAIN_H
#define REGISTRY_TRAIN_H

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"
#include "registry/registry.h"
#include "score/score.h"

/* Rows to learn from. An account's rows lie behind one another. */
struct train_set {
    enum score_kind kind;
    double *features;      /* rows x features of the kind, NaN missing */
    uint8_t *labels;       /* rows: 1 is the class whose probability is learnt */
    const char **accounts; /* rows: the unit of the split, in `arena` */
    uint8_t *masked;       /* rows: trust: 1 in the copy without age and default flags */
    size_t rows;
    struct buf source; /* JSON object: table and snapshot id, or file and its hash */
    struct arena arena;
};
void train_set_free(struct train_set *set);

/* Checks and sorts nothing: the rows of a CSV as `kol features export` writes it (columns found by
 * name). KOL_INVALID names line and column. */
enum kol_status train_set_from_csv(enum score_kind kind, const char *path, struct train_set *out,
                                   struct kol_error *err) KOL_CHECKED;

struct train_options {
    const struct train_set *set;
    int64_t seed;
    const char *library; /* path of lib_lightgbm, or NULL: looked for, see lightgbm.h */
    bool full_rows_only; /* trust: leave the masked copies out of training (for comparison) */
    void (*on_round)(int64_t round, int64_t at_most, double validation_auc, void *user);
    void *user;
};

/* An interval by bootstrap over accounts of the test part (1,000 draws, seeded). */
struct train_metric {
    double value, low95, high95;
};

struct train_quality {
    size_t rows, accounts, positives;
    struct train_metric auc, pr_auc, f1, brier, calibration_error /* 10 equal bins */;
};

struct train_result {
    struct buf model;                  /* model.txt */
    struct buf metadata;               /* metadata.json */
    struct buf report;                 /* report.html */
    int64_t rounds;                    /* trees kept */
    struct train_quality full, masked; /* test part: as it is, and (trust) without age and flags */
};

enum kol_status train_run(const struct train_options *options, struct train_result *out,
                          struct kol_error *err) KOL_CHECKED;
void train_result_free(struct train_result *result);

#endif
