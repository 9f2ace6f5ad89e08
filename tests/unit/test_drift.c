/* test_drift.c: drift of features against sums by hand, and metadata that does not tell enough. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "registry/drift.h"

enum { FEATURES = SUCCESS_FEATURES };

static struct kol_error err;
static struct drift *drift;
static struct drift_feature answers[FEATURES];

/* All features alike: a quarter unknown, and of the known a half up to 1, 3/10 up to 4, the rest
 * above; `name0` and `rest` replace those of the first one. */
static void put_metadata(struct buf *out, const char *name0, const char *rest)
{
    buf_puts(out, "{\"features\": [");
    for (size_t i = 0; i < FEATURES; i++) {
        buf_printf(out, "%s{\"name\": \"%s\", %s}", i ? ", " : "",
                   i || !name0 ? success_feature_names[i] : name0,
                   i || !rest ? "\"min\": 0, \"max\": 9, \"null_rate\": 0.25, "
                                "\"bins_up_to\": [1, 4], \"bin_shares\": [0.5, 0.3, 0.2]"
                              : rest);
    }
    buf_puts(out, "]}");
}

static enum kol_status open_with(const char *name0, const char *rest)
{
    struct buf text = {0};
    put_metadata(&text, name0, rest);
    enum kol_status status = drift_open(SCORE_SUCCESS, buf_str(&text), &drift, &err);
    buf_free(&text);
    return status;
}

static void add(double value, size_t times)
{
    double row[FEATURES];
    for (size_t i = 0; i < FEATURES; i++) {
        row[i] = value;
    }
    for (size_t i = 0; i < times; i++) {
        drift_add(drift, row, 1);
    }
}

static void measure(void)
{
    assert_int_equal(drift_measure(drift, answers), FEATURES);
    for (size_t i = 0; i < FEATURES; i++) {
        assert_string_equal(answers[i].name, success_feature_names[i]);
    }
}

static double term(double now, double then)
{
    return (now - then) * log(now / then);
}

static void test_the_same_shares_are_no_drift(void **state)
{
    (void)state;
    assert_int_equal(open_with(NULL, NULL), KOL_OK);
    add(NAN, 10);
    add(0.5, 10);
    add(1, 5); /* a bound belongs to what is below it */
    add(4, 9);
    add(9, 6);
    measure();
    assert_int_equal(drift_rows(drift), 40);
    assert_true(fabs(answers[0].psi) < 1e-12 && answers[0].outside == 0);
    assert_true(answers[0].null_rate == 0.25 && answers[0].null_rate_then == 0.25);
    assert_string_equal(answers[0].verdict, "stable");
    drift_close(&drift);
}

static void test_the_index_is_the_sum_over_the_bins(void **state)
{
    (void)state;
    assert_int_equal(open_with(NULL, NULL), KOL_OK);
    add(NAN, 20);
    add(0, 30);
    add(2, 30);
    add(9.5, 15); /* above all of training */
    add(-1, 5);   /* below */
    measure();
    const double wanted = term(0.2, 0.25) + term(0.35, 0.375) + term(0.3, 0.225) + term(0.15, 0.15);
    assert_true(fabs(answers[3].psi - wanted) < 1e-12);
    assert_true(fabs(answers[3].outside - 20.0 / 80) < 1e-15);
    drift_close(&drift);
}

static void test_verdicts(void **state)
{
    (void)state;
    static const struct {
        size_t unknown;
        const char *verdict;
    } cases[] = {
        {39, "stable"}, {40, "moderate"}, {48, "moderate"}, {49, "shifted"}, {100, "shifted"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(open_with(NULL, NULL), KOL_OK);
        const size_t known = 100 - cases[i].unknown;
        add(NAN, 10 * cases[i].unknown);
        add(1, 5 * known);
        add(2, 3 * known);
        add(5, 2 * known);
        measure();
        assert_string_equal(answers[0].verdict, cases[i].verdict);
        assert_true(isfinite(answers[0].psi)); /* a bin without a row is no infinity */
        drift_close(&drift);
    }
    assert_int_equal(open_with(NULL, NULL), KOL_OK);
    measure();
    assert_string_equal(answers[0].verdict, "unknown");
    assert_true(isnan(answers[0].psi) && isnan(answers[0].null_rate));
    drift_close(&drift);
}

static void test_what_was_never_known(void **state)
{
    (void)state;
    const char *rest = "\"min\": null, \"max\": null, \"null_rate\": 1, \"bins_up_to\": [], "
                       "\"bin_shares\": []";
    assert_int_equal(open_with(NULL, rest), KOL_OK);
    add(NAN, 10);
    measure();
    assert_true(answers[0].psi == 0 && isnan(answers[0].outside));
    add(3, 10);
    measure();
    assert_true(answers[0].outside == 1);
    assert_string_equal(answers[0].verdict, "shifted");
    drift_close(&drift);
}

static void test_metadata_that_does_not_tell(void **state)
{
    (void)state;
    const char *bad[] = {
        "\"min\": 0, \"max\": 9, \"null_rate\": 0.25",
        "\"null_rate\": 0.25, \"bins_up_to\": [1], \"bin_shares\": [0.5, 0.3, 0.2]",
        "\"null_rate\": 0.25, \"bins_up_to\": [4, 1], \"bin_shares\": [0.5, 0.3, 0.2]",
        "\"null_rate\": 0.25, \"bins_up_to\": [1, \"4\"], \"bin_shares\": [0.5, 0.3, 0.2]",
        "\"null_rate\": 0.25, \"bins_up_to\": [1, 4], \"bin_shares\": [0.5, -0.3, 0.2]",
        "\"null_rate\": 2, \"bins_up_to\": [1, 4], \"bin_shares\": [0.5, 0.3, 0.2]",
        "\"null_rate\": 0.25, \"bins_up_to\": [], \"bin_shares\": []",
        "\"bins_up_to\": [1, 4], \"bin_shares\": [0.5, 0.3, 0.2]",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(open_with(NULL, bad[i]), KOL_UNSUPPORTED);
        assert_null(drift);
    }
    assert_non_null(strstr(err.message, "kol train success"));
    assert_int_equal(open_with("another", NULL), KOL_UNSUPPORTED);
    const struct str texts[] = {{0}, STR("{}"), STR("["), STR("{\"features\": 3}")};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        assert_int_equal(drift_open(SCORE_TRUST, texts[i], &drift, &err), KOL_UNSUPPORTED);
    }
    struct buf text = {0};
    put_metadata(&text, NULL, NULL);
    assert_int_equal(drift_open(SCORE_TRUST, buf_str(&text), &drift, &err), KOL_UNSUPPORTED);
    buf_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_same_shares_are_no_drift),
        cmocka_unit_test(test_the_index_is_the_sum_over_the_bins),
        cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_what_was_never_known),
        cmocka_unit_test(test_metadata_that_does_not_tell),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
