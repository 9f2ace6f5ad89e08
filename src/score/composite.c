/* composite.c: what is made of the other scores, and of counts alone. */
#include <float.h>
#include <math.h>

#include "score/score.h"

/* Whole numbers, so that three scores of 100 are a composite of exactly 100. */
static const double weights[COMPOSITE_PARTS] = {
    [COMPOSITE_TRENDING] = 40,
    [COMPOSITE_SUCCESS] = 35,
    [COMPOSITE_TRUST] = 25,
};

double composite_score(double trending, double success, double trust, uint32_t *parts)
{
    const double scores[COMPOSITE_PARTS] = {
        [COMPOSITE_TRENDING] = trending,
        [COMPOSITE_SUCCESS] = success,
        [COMPOSITE_TRUST] = trust,
    };
    double sum = 0, weight = 0;
    *parts = 0;
    for (int i = 0; i < COMPOSITE_PARTS; i++) {
        if (isfinite(scores[i])) {
            sum += weights[i] * scores[i];
            weight += weights[i];
            *parts |= 1u << i;
        }
    }
    return weight > 0 ? sum / weight : NAN;
}

double virality_index(double favorites, double followers)
{
    const double index = favorites / followers;
    return favorites >= 0 && followers > 0 && followers <= DBL_MAX && index <= DBL_MAX ? index
                                                                                       : NAN;
}
