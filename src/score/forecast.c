/*
 * forecast.c: damped-trend exponential smoothing, see forecast.h.
 *
 * In error-correction form, with e the error of the one-step forecast l + phi b:
 *     l' = l + phi b + alpha e        b' = phi b + beta e
 * A day that was not observed takes e = 0. The parameters are those of the least sum of squared
 * one-step errors: the best point of a coarse grid, then a walk with shrinking steps. The level and
 * trend at the start come from a straight line through the first observed days.
 */
#include "score/forecast.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

/* Bounds of the parameters. phi under 1 damps every trend; under 0.8 nothing is left of it after a
 * week. */
#define ALPHA_MIN 0.02
#define ALPHA_MAX 0.999
#define BETA_MIN 0.0
#define PHI_MIN 0.8
#define PHI_MAX 0.98
#define START_DAYS 10   /* of the line that the start is read from */
#define STEPS 40        /* of the walk */
#define FITTED 3        /* level, trend, damping */
#define LOOKS_MIN 5     /* forecasts of a length that its interval is widened by */
#define COUNT_MAX 1e15  /* as the rules for rows have it (sql/rules.def) */
#define LEAST_REACH 1.0 /* of an interval to either side: counts move by whole ones */

/* Two-sided quantiles of the normal distribution. */
#define Z80 1.2815515655446004
#define Z95 1.959963984540054

struct series {
    const double *values; /* from the first observed day to the last */
    size_t days, observed;
    double level, trend; /* at the start */
};

struct fit {
    double alpha, beta, phi;
    double squares;      /* sum of squared one-step errors */
    double level, trend; /* at the end */
};

/* ---- the series ---- */

/* Least squares over the first observed days. */
static void find_start(struct series *series)
{
    double n = 0, sum_x = 0, sum_y = 0, sum_xx = 0, sum_xy = 0;
    for (size_t day = 0; day < series->days && n < START_DAYS; day++) {
        const double y = series->values[day], x = (double)day;
        if (!isnan(y)) {
            n++;
            sum_x += x;
            sum_y += y;
            sum_xx += x * x;
            sum_xy += x * y;
        }
    }
    const double spread = n * sum_xx - sum_x * sum_x;
    series->trend = spread > 0 ? (n * sum_xy - sum_x * sum_y) / spread : 0;
    series->level = (sum_y - series->trend * sum_x) / n - series->trend;
}

static struct series cut(const double *values, size_t days)
{
    struct series series = {0};
    size_t first = 0;
    if (days > FORECAST_MAX_DAYS) {
        values += days - FORECAST_MAX_DAYS;
        days = FORECAST_MAX_DAYS;
    }
    while (first < days && isnan(values[first])) {
        first++;
    }
    while (days > first && isnan(values[days - 1])) {
        days--;
    }
    series.values = values + first;
    series.days = days - first;
    for (size_t day = 0; day < series.days; day++) {
        series.observed += !isnan(series.values[day]);
    }
    return series;
}

/* ---- the fit ---- */

static void run(const struct series *series, struct fit *fit)
{
    double level = series->level, trend = series->trend, squares = 0;
    for (size_t day = 0; day < series->days; day++) {
        const double next = level + fit->phi * trend;
        const double error = isnan(series->values[day]) ? 0 : series->values[day] - next;
        level = next + fit->alpha * error;
        trend = fit->phi * trend + fit->beta * error;
        squares += error * error;
    }
    fit->level = level;
    fit->trend = trend;
    fit->squares = squares;
}

static double clamp(double value, double low, double high)
{
    return value < low ? low : value > high ? high : value;
}

/* Takes the point where it is better. */
static bool try_point(const struct series *series, double alpha, double beta, double phi,
                      struct fit *best)
{
    struct fit fit = {.alpha = clamp(alpha, ALPHA_MIN, ALPHA_MAX),
                      .phi = clamp(phi, PHI_MIN, PHI_MAX)};
    fit.beta = clamp(beta, BETA_MIN, fit.alpha);
    run(series, &fit);
    if (!(fit.squares < best->squares)) {
        return false;
    }
    *best = fit;
    return true;
}

static void try_grid(const struct series *series, struct fit *best)
{
    static const double alphas[] = {0.05, 0.2, 0.4, 0.6, 0.8, 0.95, 0.999};
    static const double shares[] = {0, 0.02, 0.1, 0.3, 0.6}; /* beta as a share of alpha */
    static const double phis[] = {0.8, 0.9, 0.95, 0.98};
    for (size_t a = 0; a < sizeof alphas / sizeof *alphas; a++) {
        for (size_t b = 0; b < sizeof shares / sizeof *shares; b++) {
            for (size_t p = 0; p < sizeof phis / sizeof *phis; p++) {
                try_point(series, alphas[a], alphas[a] * shares[b], phis[p], best);
            }
        }
    }
}

static void walk(const struct series *series, struct fit *best)
{
    double step = 0.1;
    for (int i = 0; i < STEPS && step > 1e-4; i++) {
        const struct fit at = *best;
        bool better = try_point(series, at.alpha + step, at.beta, at.phi, best);
        better |= try_point(series, at.alpha - step, at.beta, at.phi, best);
        better |= try_point(series, best->alpha, at.beta + step, at.phi, best);
        better |= try_point(series, best->alpha, at.beta - step, at.phi, best);
        better |= try_point(series, best->alpha, best->beta, at.phi + step / 2, best);
        better |= try_point(series, best->alpha, best->beta, at.phi - step / 2, best);
        step = better ? step : step / 2;
    }
}

/* ---- the forecast ---- */

static double not_negative(double count)
{
    return count > 0 ? count : 0;
}

/*
 * The error of day h is e(h) + sum over j < h of c(j) e(h - j) with c(j) = alpha + beta (phi + ...
 * + phi^j), so its variance is sigma^2 (1 + sum of c(j)^2), if the errors of days are independent.
 * Those of real accounts are not: growth comes in spells. So the fitted model forecasts from every
 * day of the series too, and where its errors h days ahead were larger than the formula says, the
 * interval is that much wider, for h and all behind it. That look back is too kind, because level,
 * trend and damping were fitted to the same n days: each adds h / n to the variance, as the drift
 * of a random walk does that is estimated from its own steps.
 */
struct spread {
    double deviation[FORECAST_MAX_HORIZON]; /* of day h = 1, 2, ... */
};

static void spread_by_formula(const struct fit *fit, double sigma, size_t horizon,
                              struct spread *out)
{
    double variance = 1, damped = 0, power = 1;
    for (size_t h = 0; h < horizon; h++) {
        out->deviation[h] = sigma * sqrt(variance);
        power *= fit->phi;
        damped += power;
        const double carried = fit->alpha + fit->beta * damped;
        variance += carried * carried;
    }
}

/* Adds the squared errors of forecasts of up to `reach` days from one day of the series. */
static void look_ahead(const struct series *series, const struct fit *fit, size_t day, double level,
                       double trend, size_t reach, double *squares, size_t *counts)
{
    double damped = 0, power = 1;
    for (size_t h = 0; h < reach && day + 1 + h < series->days; h++) {
        power *= fit->phi;
        damped += power;
        const double value = series->values[day + 1 + h];
        if (!isnan(value)) {
            const double error = value - (level + damped * trend);
            squares[h] += error * error;
            counts[h]++;
        }
    }
}

static void widen(const struct series *series, const struct fit *fit, size_t horizon,
                  struct spread *spread)
{
    double squares[FORECAST_MAX_HORIZON] = {0}, factor = 1;
    size_t counts[FORECAST_MAX_HORIZON] = {0};
    double level = series->level, trend = series->trend;
    for (size_t day = 0; day < series->days; day++) {
        const double next = level + fit->phi * trend;
        const double error = isnan(series->values[day]) ? 0 : series->values[day] - next;
        level = next + fit->alpha * error;
        trend = fit->phi * trend + fit->beta * error;
        look_ahead(series, fit, day, level, trend, horizon, squares, counts);
    }
    for (size_t h = 0; h < horizon; h++) {
        if (counts[h] >= LOOKS_MIN && spread->deviation[h] > 0) {
            const double seen = sqrt(squares[h] / (double)counts[h]) / spread->deviation[h];
            factor = seen > factor ? seen : factor;
        }
        spread->deviation[h] *=
            factor * sqrt(1 + FITTED * (double)(h + 1) / (double)series->observed);
    }
}

static void project(const struct fit *fit, const struct spread *spread, struct forecast *out)
{
    double damped = 0, power = 1;
    for (size_t h = 0; h < out->horizon; h++) {
        struct forecast_point *point = &out->points[h];
        const double deviation = spread->deviation[h];
        power *= fit->phi;
        damped += power;
        const double value = fit->level + damped * fit->trend;
        point->value = not_negative(value);
        const double reach80 = fmax(Z80 * deviation, LEAST_REACH);
        const double reach95 = fmax(Z95 * deviation, LEAST_REACH);
        point->low80 = not_negative(value - reach80);
        point->high80 = not_negative(value + reach80);
        point->low95 = not_negative(value - reach95);
        point->high95 = not_negative(value + reach95);
    }
}

/* Which values are no counts, or NULL. */
static const char *what_is_wrong(const struct series *series)
{
    for (size_t day = 0; day < series->days; day++) {
        if (series->values[day] < 0 || series->values[day] > COUNT_MAX) {
            return "a value is negative or above 10^15, which no count is";
        }
    }
    return NULL;
}

void forecast_begin(struct forecast_history *history)
{
    history->last = 0;
    history->observed = 0;
    for (size_t i = 0; i < FORECAST_MAX_DAYS; i++) {
        history->values[i] = NAN;
    }
}

void forecast_add_day(struct forecast_history *history, int64_t day, double value)
{
    history->last = history->observed ? history->last : day;
    const int64_t back = history->last - day;
    if (back < FORECAST_MAX_DAYS) {
        history->values[FORECAST_MAX_DAYS - 1 - back] = value;
        history->observed++;
    }
}

enum kol_status forecast_fit(const double *values, size_t days, size_t horizon,
                             struct forecast *out, struct kol_error *err)
{
    struct series series = cut(values, days);
    struct fit best = {.squares = INFINITY};
    struct spread spread;
    const char *wrong = what_is_wrong(&series);
    if (horizon < 1 || horizon > FORECAST_MAX_HORIZON) {
        return kol_fail(err, KOL_INVALID, "a forecast is for 1 to %d days, not %zu",
                        FORECAST_MAX_HORIZON, horizon);
    }
    if (wrong) {
        return kol_fail(err, KOL_INVALID, "%s", wrong);
    }
    if (series.observed < FORECAST_LEAST_DAYS) {
        return kol_fail(err, KOL_INVALID, "only %zu days were observed, a forecast needs %d",
                        series.observed, FORECAST_LEAST_DAYS);
    }
    find_start(&series);
    try_grid(&series, &best);
    walk(&series, &best);
    memset(out, 0, sizeof *out);
    out->alpha = best.alpha;
    out->beta = best.beta;
    out->phi = best.phi;
    out->level = best.level;
    out->trend = best.trend;
    /* Three parameters and two of the start are taken from the data. */
    out->sigma =
        sqrt(best.squares / (double)(series.observed > 10 ? series.observed - 5 : series.observed));
    out->observed = series.observed;
    out->days = series.days;
    out->horizon = horizon;
    spread_by_formula(&best, out->sigma, horizon, &spread);
    widen(&series, &best, horizon, &spread);
    project(&best, &spread, out);
    return KOL_OK;
}
