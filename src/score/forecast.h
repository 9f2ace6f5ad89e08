/*
 * forecast.h: what a daily count will be: damped-trend exponential smoothing (Gardner and McKenzie,
 * Forecasting trends in time series, 1985), fitted to one series.
 *
 * Intervals: from the variance of the model's one-step errors, carried forward by the formulas of
 * the damped trend (Hyndman, Koehler, Ord, Snyder: Forecasting with Exponential Smoothing, 2008,
 * table 6.1, class ETS(A,Ad,N)). No I/O; any thread.
 */
#ifndef SCORE_FORECAST_H
#define SCORE_FORECAST_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define FORECAST_LEAST_DAYS 7 /* observed days below which no forecast is made */
#define FORECAST_MAX_HORIZON 90
#define FORECAST_MAX_DAYS 3660 /* of history; older days are left out */

struct forecast_point {
    double value;
    double low80, high80, low95, high95; /* at least one to either side, but never below 0 */
};

struct forecast {
    double alpha, beta, phi; /* smoothing of level and trend, damping */
    double level, trend;     /* at the end of the series */
    double sigma;            /* standard deviation of one-step errors */
    size_t observed;         /* days with a value */
    size_t days;             /* from the first to the last observed day */
    size_t horizon;
    struct forecast_point points[FORECAST_MAX_HORIZON]; /* day 1 is the day behind the series */
};

/* A series in the making, out of days in falling order. */
struct forecast_history {
    double values[FORECAST_MAX_DAYS]; /* ends with the newest observed day; NaN: not observed */
    int64_t last;                     /* that day, since 1970 */
    size_t observed;
};
void forecast_begin(struct forecast_history *history);
/* From the newest day to the oldest, each once. Days before the series are left out. */
void forecast_add_day(struct forecast_history *history, int64_t day, double value);

/* `values`: one a day without a gap in the calendar, NaN where the day was not observed (the
 * model then goes on without a correction). Days before the first and behind the last observed one
 * are left out. KOL_INVALID: under 7 observed days, a value below 0 or above 10^15, or a horizon
 * outside 1..90. */
enum kol_status forecast_fit(const double *values, size_t days, size_t horizon,
                             struct forecast *out, struct kol_error *err) KOL_CHECKED;

#endif
