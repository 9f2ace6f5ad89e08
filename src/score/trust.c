/* trust.c: the trust score: features, the model, and what its probability says. */
#include <math.h>

#include "base/bytes.h"
#include "score/score.h"

/* Accounts whose features are on the stack at once: 59 kB, one block of the trees. */
enum { BLOCK = 256 };

static bool anything_known(const double *features)
{
    bool known = false;
    for (size_t i = 0; i < TRUST_FEATURES; i++) {
        known |= features[i] == features[i];
    }
    return known;
}

/* What gbdt_in_range() would say, asked once a call instead of once a value. */
struct ranges {
    double low[TRUST_FEATURES], high[TRUST_FEATURES];
    uint32_t others; /* features whose range is no interval: asked value by value */
};

static void take_ranges(const struct gbdt_model *model, struct ranges *ranges)
{
    const struct gbdt_feature *features = gbdt_features(model);
    ranges->others = 0;
    for (size_t i = 0; i < TRUST_FEATURES; i++) {
        /* A feature that no tree asks for has a range and yet no value outside. */
        const bool bounded =
            !gbdt_in_range(model, i, -INFINITY) || !gbdt_in_range(model, i, INFINITY);
        const bool interval = bounded && features[i].range == GBDT_NUMERICAL;
        ranges->low[i] = interval ? features[i].min : -INFINITY;
        ranges->high[i] = interval ? features[i].max : INFINITY;
        ranges->others |= (uint32_t)(bounded && !interval) << i;
    }
}

_Static_assert(TRUST_FEATURES <= 32, "a feature has no bit to be told by");

/* Bit i is out[i], which is 0 or 1. The factor brings the bytes of each eight, the first of which
 * is the lowest, to the eight highest bits: byte k by 56 - 7k. */
static uint32_t pack(const char out[32])
{
    uint32_t bits = 0;
    for (int i = 0; i < 32; i += 8) {
        bits |= (uint32_t)(bytes_load64(out + i) * UINT64_C(0x0102040810204080) >> 56) << i;
    }
    return bits;
}

/* What is unknown is not outside: it is neither less nor more. */
static uint32_t outside(const struct gbdt_model *model, const struct ranges *ranges,
                        const double *features)
{
    char out[32] = {0};
    for (size_t i = 0; i < TRUST_FEATURES; i++) {
        out[i] = (char)((features[i] < ranges->low[i]) | (features[i] > ranges->high[i]));
    }
    uint32_t bits = pack(out);
    for (size_t i = 0; ranges->others >> i; i++) {
        if (ranges->others >> i & 1) {
            bits |= (uint32_t)!gbdt_in_range(model, i, features[i]) << i;
        }
    }
    return bits;
}

static void fill(const struct gbdt_model *model, const struct ranges *ranges,
                 const double *features, double raw, struct trust_score *out)
{
    const bool known = anything_known(features);
    const double p = known ? gbdt_answer(model, raw) : NAN;
    const double score = 100 * (1 - p);
    const uint32_t bits = outside(model, ranges, features);
    *out = (struct trust_score){
        .score = score,
        .probability = p,
        .raw = known ? raw : NAN,
        .confidence = known ? fmax(p, 1 - p) : 0,
        .label = trust_label(score),
        .risk = risk_level(score),
        .in_domain = bits == 0,
        .outside = bits,
    };
}

void trust_score_features(const struct gbdt_model *model, const double *features, size_t count,
                          struct trust_score *out)
{
    double raw[BLOCK];
    struct ranges ranges;
    take_ranges(model, &ranges);
    while (count) {
        const size_t now = count < BLOCK ? count : BLOCK;
        gbdt_raw_rows(model, features, now, raw);
        for (size_t i = 0; i < now; i++) {
            fill(model, &ranges, features + i * TRUST_FEATURES, raw[i], &out[i]);
        }
        features += now * TRUST_FEATURES;
        out += now;
        count -= now;
    }
}

void trust_score(const struct gbdt_model *model, const struct trust_inputs *inputs, size_t count,
                 struct trust_score *out)
{
    double features[BLOCK * TRUST_FEATURES];
    while (count) {
        const size_t now = count < BLOCK ? count : BLOCK;
        trust_compute_features(inputs, now, features);
        trust_score_features(model, features, now, out);
        inputs += now;
        out += now;
        count -= now;
    }
}
