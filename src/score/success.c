/*
 * success.c: the chance that a product sells in the top quarter: by a model where there is one,
 * else by a rule of thumb over what is known of the content that promotes it.
 */
#include <math.h>

#include "base/mem.h"
#include "score/score.h"

enum { BLOCK = 64 }; /* products whose features are on the stack at once: 11 kB */

/* A part of the rule: a feature earns value / divisor * factor points, up to a cap. */
static const struct {
    enum success_feature feature;
    double cap, divisor, factor;
} parts[] = {
    {SUCCESS_VIEWS, 30, 50000, 30},
    {SUCCESS_ENGAGEMENT_RATE, 30, 1, 300},
    {SUCCESS_CTR, 20, 1, 200},
    {SUCCESS_ENGAGEMENT, 20, 5000, 20},
};

static double rule(const double *features, uint32_t *missing)
{
    double score = 0;
    *missing = 0;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        const double value = features[parts[i].feature];
        if (isnan(value)) {
            *missing |= 1u << i;
        } else {
            score += fmin(parts[i].cap, value / parts[i].divisor * parts[i].factor);
        }
    }
    return *missing + 1 == 1u << ARRAY_LEN(parts) ? NAN : score;
}

double success_rule(const struct success_inputs *inputs, uint32_t *missing)
{
    double features[SUCCESS_FEATURES];
    success_compute_features(inputs, 1, features);
    return rule(features, missing);
}

static void fill_by_rule(const double *features, struct success_score *out)
{
    *out = (struct success_score){.method = "rule", .in_domain = true};
    out->score = rule(features, &out->missing);
    out->label = success_label(out->score);
}

static void fill_by_model(const struct gbdt_model *model, const double *features, double raw,
                          struct success_score *out)
{
    bool known = false;
    *out = (struct success_score){.method = "model"};
    for (size_t i = 0; i < SUCCESS_FEATURES; i++) {
        known = known || !isnan(features[i]);
        out->outside |= (uint32_t)!gbdt_in_range(model, i, features[i]) << i;
    }
    out->score = known ? 100 * gbdt_answer(model, raw) : NAN;
    out->label = success_label(out->score);
    out->in_domain = out->outside == 0;
}

void success_score(const struct gbdt_model *model, const struct success_inputs *inputs,
                   size_t count, struct success_score *out)
{
    double features[BLOCK * SUCCESS_FEATURES], raw[BLOCK];
    while (count) {
        const size_t now = count < BLOCK ? count : BLOCK;
        success_compute_features(inputs, now, features);
        if (model) {
            gbdt_raw_rows(model, features, now, raw);
        }
        for (size_t i = 0; i < now; i++) {
            const double *row = features + i * SUCCESS_FEATURES;
            if (model) {
                fill_by_model(model, row, raw[i], &out[i]);
            } else {
                fill_by_rule(row, &out[i]);
            }
        }
        inputs += now;
        out += now;
        count -= now;
    }
}
