/* test_forecast.c: what any forecast must hold to, on series whose future is known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/random.h"
#include "score/forecast.h"

enum { DAYS = 200 };

static double series[DAYS];
static struct forecast out;
static struct kol_error err;

static void make_line(size_t days, double first, double step)
{
    for (size_t day = 0; day < days; day++) {
        series[day] = first + step * (double)day;
    }
}

/* A walk whose steps are mostly up, so that it has a trend, noise, and is never below 0. */
static void make_walk(size_t days, uint64_t seed)
{
    struct random_stream chance;
    double at = 1000;
    random_seed(&chance, &seed, 1);
    for (size_t day = 0; day < days; day++) {
        at += (double)random_below(&chance, 400) - 150;
        series[day] = at = at > 0 ? at : 0;
    }
}

static void fit(size_t days, size_t horizon)
{
    assert_int_equal(forecast_fit(series, days, horizon, &out, &err), KOL_OK);
    assert_int_equal(out.horizon, horizon);
}

/* What every forecast is, whatever it is of. */
static void check_shape(void)
{
    double width = 0;
    for (size_t h = 0; h < out.horizon; h++) {
        const struct forecast_point *point = &out.points[h];
        assert_true(isfinite(point->value) && isfinite(point->low95) && isfinite(point->high95));
        assert_true(0 <= point->low95 && point->low95 <= point->low80);
        assert_true(point->low80 <= point->value && point->value <= point->high80);
        assert_true(point->high80 <= point->high95);
        const double above = point->high95 - point->value;
        if (point->value > 0) { /* at 0 a value and its bound may have been held up */
            assert_true(above >= width * (1 - 1e-9));
            width = above;
        }
    }
}

static void test_a_straight_line_is_continued_and_damped(void **state)
{
    (void)state;
    make_line(100, 5000, 30);
    fit(100, 90);
    check_shape();
    const double last = series[99];
    double before = last, step = 30;
    for (size_t h = 0; h < 90; h++) {
        const double now = out.points[h].value - before;
        assert_true(now > 0 && now <= step * (1 + 1e-9)); /* upwards, by less each day */
        before = out.points[h].value;
        step = now;
    }
    assert_true(fabs(out.points[0].value - (last + 30)) < 3);
    assert_true(out.points[6].value > last + 0.8 * 7 * 30);
    assert_true(out.points[89].value < last + 90 * 30);
    assert_true(out.phi <= 0.98 && out.phi >= 0.8);
}

/* It never moved, but what is counted by ones may move by one. */
static void test_a_constant_stays_within_one(void **state)
{
    (void)state;
    make_line(30, 1234, 0);
    fit(30, 90);
    check_shape();
    for (size_t h = 0; h < 90; h++) {
        const struct forecast_point *point = &out.points[h];
        assert_true(fabs(point->value - 1234) < 1e-6);
        assert_true(point->low80 == point->value - 1 && point->high80 == point->value + 1);
        assert_true(point->low95 == point->value - 1 && point->high95 == point->value + 1);
    }
    make_line(7, 0, 0);
    fit(7, 1);
    assert_true(out.points[0].value == 0 && out.points[0].low95 == 0);
    assert_true(out.points[0].high80 == 1 && out.points[0].high95 == 1);
}

static void test_gaps_are_bridged(void **state)
{
    (void)state;
    make_line(100, 5000, 30);
    for (size_t day = 0; day < 100; day++) {
        series[day] = day % 3 == 1 ? NAN : series[day];
    }
    series[0] = series[99] = NAN; /* and the ends are left out */
    fit(100, 30);
    assert_int_equal(out.days, 97);
    assert_int_equal(out.observed, 65);
    check_shape();
    assert_true(fabs(out.points[0].value - (5000 + 30 * 99)) < 3);
    /* Days behind the last observed one change nothing. */
    const struct forecast whole = out;
    fit(99, 30);
    assert_memory_equal(whole.points, out.points, sizeof out.points);
}

static void test_the_unit_does_not_matter(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        make_walk(120, seed);
        fit(120, 60);
        check_shape();
        const struct forecast small = out;
        for (size_t day = 0; day < 120; day++) {
            series[day] *= 1024; /* exact, so that the fit takes the same steps */
        }
        fit(120, 60);
        assert_true(small.alpha == out.alpha && small.beta == out.beta && small.phi == out.phi);
        for (size_t h = 0; h < 60; h++) {
            assert_true(small.points[h].value * 1024 == out.points[h].value);
            assert_true(small.points[h].low95 * 1024 == out.points[h].low95);
            assert_true(small.points[h].high80 * 1024 == out.points[h].high80);
        }
    }
}

/* A longer horizon tells the days of a shorter one the same. */
static void test_the_horizon_does_not_change_its_days(void **state)
{
    (void)state;
    make_walk(150, 7);
    fit(150, 90);
    const struct forecast whole = out;
    for (size_t horizon = 1; horizon < 90; horizon += 11) {
        fit(150, horizon);
        assert_memory_equal(whole.points, out.points, horizon * sizeof *out.points);
    }
}

static void test_a_fall_ends_at_zero(void **state)
{
    (void)state;
    make_line(50, 500, -10);
    fit(50, 90);
    check_shape();
    assert_true(out.points[89].value == 0 && out.points[89].low95 == 0);
}

static void test_huge_counts_stay_finite(void **state)
{
    (void)state;
    const double most = 1e15; /* as the lake has it */
    make_line(90, most, 0);
    fit(90, 90);
    check_shape();
    make_line(90, most / 2, most / 180);
    fit(90, 90);
    check_shape();
    for (size_t day = 0; day < 90; day++) {
        series[day] = day % 2 ? most : 0;
    }
    fit(90, 90);
    check_shape();
    assert_true(out.points[89].high95 > most / 2);
}

static void test_more_noise_is_less_sure(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        double widths[2];
        for (int noisy = 0; noisy < 2; noisy++) {
            struct random_stream chance;
            random_seed(&chance, &seed, 1);
            make_line(100, 10000, 20);
            for (size_t day = 0; day < 100; day++) {
                series[day] += ((double)random_below(&chance, 201) - 100) * (noisy ? 10 : 1);
            }
            fit(100, 30);
            check_shape();
            widths[noisy] = out.points[29].high95 - out.points[29].low95;
        }
        assert_true(widths[1] > 2 * widths[0]);
    }
}

/* Of the last day, if the errors of days were independent and nothing were estimated. */
static double deviation_by_formula(void)
{
    double variance = 1, damped = 0;
    for (size_t h = 1; h < out.horizon; h++) {
        damped += pow(out.phi, (double)h);
        variance += pow(out.alpha + out.beta * damped, 2);
    }
    return out.sigma * sqrt(variance);
}

static void test_growth_in_spells_is_less_sure_than_the_formula_says(void **state)
{
    (void)state;
    double at = 1000;
    for (size_t day = 0; day < 180; day++) { /* a month up, a month down */
        series[day] = at += day / 30 % 2 ? -60 : 100;
    }
    fit(180, 30);
    check_shape();
    const double estimated = sqrt(1 + 3 * 30.0 / 180);
    const double width = (out.points[29].high95 - out.points[29].value) / 1.959963984540054;
    assert_true(width > 1.1 * estimated * deviation_by_formula());
    make_walk(180, 3); /* and where days are independent, not much */
    fit(180, 30);
    const double other = (out.points[29].high95 - out.points[29].value) / 1.959963984540054;
    assert_true(other >= (1 - 1e-9) * estimated * deviation_by_formula());
}

static void test_what_is_refused(void **state)
{
    (void)state;
    make_line(DAYS, 100, 1);
    assert_int_equal(forecast_fit(series, 6, 7, &out, &err), KOL_INVALID);
    assert_non_null(strstr(err.message, "only 6 days were observed, a forecast needs 7"));
    assert_int_equal(forecast_fit(series, 7, 7, &out, &err), KOL_OK);
    assert_int_equal(forecast_fit(series, 0, 7, &out, &err), KOL_INVALID);
    assert_int_equal(forecast_fit(series, 50, 0, &out, &err), KOL_INVALID);
    assert_int_equal(forecast_fit(series, 50, 91, &out, &err), KOL_INVALID);
    assert_non_null(strstr(err.message, "1 to 90 days"));
    assert_int_equal(forecast_fit(series, 50, 90, &out, &err), KOL_OK);
    for (size_t day = 10; day < DAYS; day++) {
        series[day] = day == 11 ? 5 : NAN;
    }
    for (size_t day = 0; day < 5; day++) {
        series[day] = NAN;
    }
    assert_int_equal(forecast_fit(series, DAYS, 7, &out, &err), KOL_INVALID); /* 6 of 200 */
    const double bad[] = {-1, INFINITY, -INFINITY, nextafter(1e15, INFINITY), DBL_MAX};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        make_line(50, 100, 1);
        series[25] = bad[i];
        assert_int_equal(forecast_fit(series, 50, 7, &out, &err), KOL_INVALID);
        assert_non_null(strstr(err.message, "negative or above 10^15"));
    }
}

static void test_only_the_newest_days_count(void **state)
{
    (void)state;
    static double longer[FORECAST_MAX_DAYS + 50];
    for (size_t day = 0; day < ARRAY_LEN(longer); day++) {
        longer[day] = day < 50 ? 1e9 : 1000 + (double)(day % 7);
    }
    assert_int_equal(forecast_fit(longer, ARRAY_LEN(longer), 7, &out, &err), KOL_OK);
    const struct forecast whole = out;
    assert_int_equal(forecast_fit(longer + 50, FORECAST_MAX_DAYS, 7, &out, &err), KOL_OK);
    assert_int_equal(whole.days, FORECAST_MAX_DAYS);
    assert_memory_equal(whole.points, out.points, sizeof out.points);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_straight_line_is_continued_and_damped),
        cmocka_unit_test(test_a_constant_stays_within_one),
        cmocka_unit_test(test_gaps_are_bridged),
        cmocka_unit_test(test_the_unit_does_not_matter),
        cmocka_unit_test(test_the_horizon_does_not_change_its_days),
        cmocka_unit_test(test_a_fall_ends_at_zero),
        cmocka_unit_test(test_huge_counts_stay_finite),
        cmocka_unit_test(test_more_noise_is_less_sure),
        cmocka_unit_test(test_growth_in_spells_is_less_sure_than_the_formula_says),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_only_the_newest_days_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
