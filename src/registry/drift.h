/*
 * drift.h: how far the features of now are from those that a model was trained on.
 *
 * The model's metadata says for each feature how much of it was unknown in training, between which
 * bounds it lay, and how it was spread over deciles. Against these the rows of now are counted: the
 * population stability index (PSI) is the sum over the bins of (now - then) x ln(now / then), the
 * unknown values being a bin of their own and no share taken as less than DRIFT_LEAST_SHARE.
 * No I/O; a struct drift belongs to one thread.
 */
#ifndef REGISTRY_DRIFT_H
#define REGISTRY_DRIFT_H

#include "base/error.h"
#include "base/str.h"
#include "score/score.h"

#define DRIFT_LEAST_SHARE 1e-4
#define DRIFT_MODERATE 0.1 /* from here on the verdict is "moderate" */
#define DRIFT_SHIFTED 0.25 /* and from here "shifted" */

struct drift_feature {
    const char *name;
    double null_rate, null_rate_then; /* shares of all rows; NaN without rows */
    double outside; /* share of the known values below the least or above the greatest of training;
                       NaN where none is known now */
    double psi;     /* NaN without rows */
    const char *verdict; /* "stable", "moderate", "shifted"; "unknown" without rows */
};

struct drift;

/* `metadata`: metadata.json of a version of this kind. KOL_UNSUPPORTED where it does not tell how
 * the features were spread: an imported model, or one of before that was kept. */
enum kol_status drift_open(enum score_kind kind, struct str metadata, struct drift **out,
                           struct kol_error *err) KOL_CHECKED;
void drift_close(struct drift **drift);

/* Counts the rows (`count` times all features of the kind, NaN unknown). */
void drift_add(struct drift *drift, const double *features, size_t count);

size_t drift_rows(const struct drift *drift); /* so far */
/* One answer a feature, in their order; returns how many. `out` has room for all of the kind. */
size_t drift_measure(const struct drift *drift, struct drift_feature *out);

#endif
