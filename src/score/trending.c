/* trending.c: how fast people turn to a KOL now, beside its own week and beside its platform. */
#include <float.h>
#include <math.h>

#include "score/score.h"

/* What can be a rate of engagement: known, finite, not below 0. */
static bool is_rate(double value)
{
    return value >= 0 && value <= DBL_MAX;
}

double trending_score(const struct trending_inputs *inputs, double floor)
{
    const double v = inputs->velocity, q = inputs->momentum;
    if (!is_rate(v) || !is_rate(inputs->baseline) || !is_rate(inputs->market) ||
        !(q >= -1 && q <= DBL_MAX)) {
        return NAN;
    }
    const double b = fmax(inputs->baseline, floor), m = fmax(inputs->market, floor);
    const double raw = 0.5 * v / b + 0.3 * v / m + 0.2 * (1 + q);
    return 100 / (1 + exp(-0.8 * (raw - 2)));
}

double trending_momentum(double velocity, double velocity_before)
{
    if (!is_rate(velocity) || !is_rate(velocity_before)) {
        return NAN;
    }
    return (velocity - velocity_before) / fmax(velocity_before, 1);
}

double engagement_points(double views, double likes, double comments, double shares)
{
    const double gains[] = {views, likes, comments, shares};
    static const double points[] = {1, 10, 20, 30};
    double sum = 0;
    bool known = false;
    for (int i = 0; i < 4; i++) {
        known = known || isfinite(gains[i]);
        sum += isfinite(gains[i]) && gains[i] > 0 ? points[i] * gains[i] : 0;
    }
    return known ? sum : NAN;
}
