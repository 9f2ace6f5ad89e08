/*
 * metrics.h: how good probabilities are against labels, and how sure that is.
 *
 * Equal scores count as equal: AUC gives such a pair one half, the precision-recall curve takes
 * them in one step. Intervals come from a bootstrap over accounts (all rows of an account are drawn
 * together), seeded: the same rows and seed give the same bits. No I/O; any thread.
 */
#ifndef REGISTRY_METRICS_H
#define REGISTRY_METRICS_H

#include <stddef.h>
#include <stdint.h>

#define METRICS_DRAWS 1000 /* of a bootstrap */
#define METRICS_BINS 10    /* of equal width, for the calibration error */
#define METRICS_CUTOFF 0.5 /* a row counts as class 1 from this probability on, for F1 */

enum metric {
    METRIC_AUC,         /* area under the ROC curve */
    METRIC_PR_AUC,      /* average precision: area under the precision-recall curve, in steps */
    METRIC_F1,          /* at METRICS_CUTOFF */
    METRIC_BRIER,       /* mean squared error of the probability */
    METRIC_CALIBRATION, /* mean over rows of |mean probability - share of class 1| of their bin */
    METRICS
};
const char *
metric_name(enum metric metric); /* "auc", "pr_auc", "f1", "brier", "calibration_error" */

/* Probabilities of class 1 (0..1, never NaN) and labels (0 or 1). NaN where the metric has no
 * meaning: no rows; one class alone for the AUCs; for F1 nothing that is or is called class 1. */
double metrics_auc(const double *score, const uint8_t *label, size_t n);
double metrics_pr_auc(const double *score, const uint8_t *label, size_t n);
double metrics_f1(const double *score, const uint8_t *label, size_t n);
double metrics_brier(const double *score, const uint8_t *label, size_t n);
double metrics_calibration_error(const double *score, const uint8_t *label, size_t n);

struct metric_interval {
    double value;         /* over the rows as they are */
    double low95, high95; /* 2.5 % and 97.5 % of the draws in which the metric has a meaning */
};

/* `account`: number of the account of each row, 0..accounts - 1. */
struct metrics_rows {
    const double *score;
    const uint8_t *label;
    const uint32_t *account;
    size_t rows, accounts;
};

void metrics_intervals(const struct metrics_rows *rows, uint64_t seed,
                       struct metric_interval out[METRICS]);

/* The same for metric(other) - metric(rows), both over the same draws; `other` are scores of the
 * same rows. An interval that lies above 0 says that the other's metric is higher. */
void metrics_differences(const struct metrics_rows *rows, const double *other, uint64_t seed,
                         struct metric_interval out[METRICS]);

/* One point of a ROC curve for each distinct score, from the highest on, (0, 0) in front. */
struct roc_point {
    double false_positives, true_positives; /* shares, 0..1 */
};

/* `out` has room for n + 1 points; returns how many there are: 0 with one class alone. */
size_t metrics_roc(const double *score, const uint8_t *label, size_t n, struct roc_point *out);

/* What was foretold and what was, by bins of equal width. */
struct calibration_bin {
    size_t rows;
    double mean_score, share; /* share of class 1; both NaN without rows */
};
void metrics_calibration(const double *score, const uint8_t *label, size_t n,
                         struct calibration_bin out[METRICS_BINS]);

#endif
