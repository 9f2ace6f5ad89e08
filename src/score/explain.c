/*
 * explain.c: from log-odds to points: what each feature adds to a score.
 *
 * A score is no sum of log-odds, but between the base and the score there is one slope that makes
 * it one: points = phi x slope. Near the base the slope is a quotient of two roundings, so that its
 * limit is taken instead: the derivative of the score, halfway.
 */
#include "score/explain.h"

#include <math.h>

/* Below this difference of log-odds the derivative halfway is the slope to 12 digits. */
#define NEAR_BASE 1e-5

static double score_of(enum score_kind kind, const struct gbdt_model *model, double raw)
{
    const double p = gbdt_answer(model, raw);
    return kind == SCORE_TRUST ? 100 * (1 - p) : 100 * p;
}

/* Points for one unit of log-odds. */
static double slope_of(const struct gbdt_model *model, const struct explanation *of)
{
    const double distance = of->raw - of->raw_base;
    if (fabs(distance) >= NEAR_BASE) {
        return (of->score - of->base) / distance;
    }
    const double p = gbdt_answer(model, of->raw_base + distance / 2);
    const double slope = 100 * p * (1 - p) * gbdt_sigmoid(model);
    return of->kind == SCORE_TRUST ? -slope : slope;
}

static bool weighs_more(const struct contribution *a, const struct contribution *b)
{
    const double one = fabs(a->points), other = fabs(b->points);
    return one > other || (one == other && a->feature < b->feature);
}

static void insert(struct explanation *out, const struct contribution *part)
{
    size_t at = out->count++;
    for (; at > 0 && weighs_more(part, &out->by_weight[at - 1]); at--) {
        out->by_weight[at] = out->by_weight[at - 1];
    }
    out->by_weight[at] = *part;
}

void score_explain(enum score_kind kind, const struct gbdt_model *model, const double *features,
                   struct explanation *out)
{
    const size_t count = kind == SCORE_TRUST ? TRUST_FEATURES : SUCCESS_FEATURES;
    double phi[TRUST_FEATURES + 1];
    gbdt_explain(model, features, phi);
    *out = (struct explanation){.kind = kind, .raw = gbdt_raw(model, features)};
    out->raw_base = phi[count];
    out->score = score_of(kind, model, out->raw);
    out->base = score_of(kind, model, out->raw_base);
    const double slope = slope_of(model, out);
    for (size_t i = 0; i < count; i++) {
        insert(out, &(struct contribution){
                        .feature = i,
                        .value = features[i],
                        .phi = phi[i],
                        .points = phi[i] * slope,
                    });
    }
}
